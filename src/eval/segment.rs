//! Text to tokens, for scores.

use super::stem::stem;

/// How a text is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Segmentation {
    /// `rouge_score`'s words (`[a-z0-9]+` of the lower-cased text), stemmed where longer than three letters.
    Stemmed,
    /// The same without the stemmer.
    Words,
    /// Every letter or digit that is not ASCII is a token, and every ASCII word: for Japanese and others
    /// that have no spaces.
    Characters,
}

impl Segmentation {
    /// What a report says of it.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Stemmed => "words, Porter-stemmed (as rouge_score with use_stemmer)",
            Self::Words => "words (as rouge_score)",
            Self::Characters => "characters",
        }
    }

    /// Characters where most of the references have no spaces between words, stemmed words elsewhere.
    pub fn of<'a>(references: impl IntoIterator<Item = &'a str>) -> Self {
        let (mut spaceless, mut all) = (0usize, 0usize);
        for text in references {
            all += 1;
            spaceless += usize::from(text.chars().any(is_spaceless));
        }
        if 2 * spaceless > all { Self::Characters } else { Self::Stemmed }
    }
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
        Segmentation::Characters => {
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
    }
}

fn words(lower: &str) -> impl Iterator<Item = &str> {
    lower.split(|c: char| !(c.is_ascii_lowercase() || c.is_ascii_digit())).filter(|w| !w.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_language_decides() {
        assert_eq!(Segmentation::of(["a game", "another one"]), Segmentation::Stemmed);
        assert_eq!(Segmentation::of(["ゲーム", "another", "数値計算"]), Segmentation::Characters);
        assert_eq!(tokens("GTK版 2.0の", Segmentation::Characters), ["gtk", "版", "2", "0", "の"]);
        assert_eq!(tokens("It's 3.14!", Segmentation::Words), ["it", "s", "3", "14"]);
    }
}
