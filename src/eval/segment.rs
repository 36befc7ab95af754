//! Text to tokens, for scores.

use super::mecab;
use super::stem::stem;
use crate::Result;
use unicode_segmentation::UnicodeSegmentation;

/// How a text is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Segmentation {
    /// `rouge_score`'s words (`[a-z0-9]+` of the lower-cased text), stemmed where longer than three letters.
    Stemmed,
    /// The same without the stemmer.
    Words,
    /// Unicode's words of the lower-cased text (UAX 29): for scripts with spaces that `rouge_score`'s words know nothing
    /// of, as Cyrillic, Greek, Arabic, Hangul, Devanagari.
    Unicode,
    /// Every letter or digit that is not ASCII is a token, and every ASCII word: for Japanese and others
    /// that have no spaces.
    Characters,
    /// `MeCab`'s words of the lower-cased text that have a letter or a digit, by the dictionary of
    /// [`mecab::VARIABLE`]; characters where there is none.
    Japanese,
}

impl Segmentation {
    /// What a report says of it.
    pub fn label(self) -> String {
        match self {
            Self::Stemmed => "words, Porter-stemmed (as rouge_score with use_stemmer)".to_owned(),
            Self::Words => "words (as rouge_score)".to_owned(),
            Self::Unicode => "words of any script (rouge_score's are of a to z and digits)".to_owned(),
            Self::Characters => "characters".to_owned(),
            Self::Japanese => {
                let name = mecab::installed().ok().flatten().map(mecab::Dictionary::name);
                format!("Japanese words (MeCab, {})", name.unwrap_or_default())
            }
        }
    }

    /// Stemmed words where most of the references have spaces between words; Unicode's where most of them have no word of
    /// `rouge_score`'s. Elsewhere Japanese words, where most of them have kana and a dictionary is there, or else
    /// characters.
    ///
    /// # Errors
    /// When the dictionary that [`mecab::VARIABLE`] names cannot be read.
    pub fn of<'a>(references: impl IntoIterator<Item = &'a str>) -> Result<Self> {
        let (mut spaceless, mut kana, mut other, mut all) = (0usize, 0usize, 0usize, 0usize);
        for text in references {
            all += 1;
            other +=
                usize::from(!text.chars().any(|c| c.is_ascii_alphanumeric()) && text.chars().any(char::is_alphabetic));
            spaceless += usize::from(text.chars().any(is_spaceless));
            kana += usize::from(text.chars().any(is_kana));
        }
        Ok(if 2 * spaceless <= all {
            if 2 * other > all { Self::Unicode } else { Self::Stemmed }
        } else if 2 * kana > spaceless && mecab::installed()?.is_some() {
            Self::Japanese
        } else {
            Self::Characters
        })
    }
}

/// A sentence on references that have no token when cut like this, as those of another language or of marks alone: no
/// summary scores there. `None` where all have one.
pub fn tokenless<'a>(references: impl IntoIterator<Item = &'a str>, segmentation: Segmentation) -> Option<String> {
    let (mut without, mut all) = (0usize, 0usize);
    for text in references {
        all += 1;
        without += usize::from(tokens(text, segmentation).is_empty());
    }
    (without > 0).then(|| {
        let verb = if without == 1 { "has" } else { "have" };
        format!(
            "{without} of {all} references {verb} no token as ROUGE cuts them ({}): whatever is written there scores 0",
            segmentation.label()
        )
    })
}

/// Hiragana and katakana: Chinese has none, and hardly a Japanese sentence is without.
fn is_kana(c: char) -> bool {
    matches!(c, '\u{3040}'..='\u{30ff}' | '\u{31f0}'..='\u{31ff}' | '\u{ff66}'..='\u{ff9f}')
}

/// Kana, Han, Thai, Lao, Khmer, Myanmar.
fn is_spaceless(c: char) -> bool {
    matches!(c, '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{e00}'..='\u{eff}'
        | '\u{1780}'..='\u{17ff}' | '\u{1000}'..='\u{109f}' | '\u{20000}'..='\u{3ffff}')
}

/// The tokens of `text`.
pub fn tokens(text: &str, segmentation: Segmentation) -> Vec<String> {
    // As Python's str.lower: one character may become several.
    let lower = text.to_lowercase();
    match segmentation {
        Segmentation::Words => words(&lower).map(str::to_owned).collect(),
        Segmentation::Stemmed => words(&lower).map(|w| if w.len() > 3 { stem(w) } else { w.to_owned() }).collect(),
        Segmentation::Unicode => lower.unicode_words().map(str::to_owned).collect(),
        Segmentation::Japanese => match mecab::installed() {
            Ok(Some(dictionary)) => japanese(&lower, dictionary),
            _ => characters(&lower),
        },
        Segmentation::Characters => characters(&lower),
    }
}

/// Words of a lower-cased text that have a letter or a digit.
fn japanese(lower: &str, dictionary: &mecab::Dictionary) -> Vec<String> {
    let words = dictionary.words(lower).into_iter();
    words.filter(|word| word.chars().any(char::is_alphanumeric)).map(str::to_owned).collect()
}

/// Every letter or digit that is not ASCII, and every ASCII word.
fn characters(lower: &str) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    let mut word = false;
    for c in lower.chars() {
        match (c.is_ascii_alphanumeric(), out.last_mut()) {
            (true, Some(last)) if word => last.push(c),
            (true, _) => out.push(c.to_string()),
            (false, _) if c.is_alphanumeric() => out.push(c.to_string()),
            _ => {}
        }
        word = c.is_ascii_alphanumeric();
    }
    out
}

fn words(lower: &str) -> impl Iterator<Item = &str> {
    lower.split(|c: char| !(c.is_ascii_lowercase() || c.is_ascii_digit())).filter(|w| !w.is_empty())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn references_that_nothing_can_match_are_told() {
        let mixed = ["a game", "another one", "囲碁", "...", "Go 囲碁"];
        let of = Segmentation::of(mixed).unwrap();
        let said = tokenless(mixed, of).unwrap();
        assert!(said.starts_with("2 of 5 references have no token as ROUGE cuts them (words, Porter"), "{said}");
        assert_eq!(tokenless(["a game", "b 囲碁"], of), None);
        assert_eq!(
            tokenless(mixed, Segmentation::Characters).unwrap().split(" as").next(),
            Some("1 of 5 references has no token")
        );
    }

    #[test]
    fn the_language_decides() {
        let of = |texts: &[&str]| Segmentation::of(texts.iter().copied()).unwrap();
        assert_eq!(of(&["a game", "another one"]), Segmentation::Stemmed);
        assert_eq!(of(&["数値", "another", "数値計算"]), Segmentation::Characters);
        assert_eq!(of(&[]), Segmentation::Stemmed);
        // Most of them have none of rouge_score's words.
        for text in ["Небольшая игра", "작은 게임", "لعبة صغيرة", "एक छोटा खेल"]
        {
            assert_eq!(of(&[text, text, "a small game"]), Segmentation::Unicode, "{text}");
            assert!(tokens(text, Segmentation::Unicode).len() >= 2, "{text}");
            assert_eq!(of(&[text, "игра на SDL", "a game"]), Segmentation::Stemmed);
        }
        assert_eq!(tokens("Небольшая ИГРА, 2.0!", Segmentation::Unicode), ["небольшая", "игра", "2.0"]);
        let words = mecab::installed().unwrap().is_some();
        let japanese = if words { Segmentation::Japanese } else { Segmentation::Characters };
        assert_eq!(of(&["ゲーム", "another", "数値の計算"]), japanese);
        assert_eq!(tokens("GTK版 2.0の", Segmentation::Characters), ["gtk", "版", "2", "0", "の"]);
        assert_eq!(tokens("It's 3.14!", Segmentation::Words), ["it", "s", "3", "14"]);
    }
}
