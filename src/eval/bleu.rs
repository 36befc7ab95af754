//! BLEU as sacrebleu computes it: cased, `exp` smoothing, one reference, n-grams up to four.
//!
//! Papineni et al., "BLEU: a method for automatic evaluation of machine translation", ACL 2002; the
//! tokens and the smoothing as in Post, "A call for clarity in reporting BLEU scores", WMT 2018
//! (sacrebleu's signatures `tok:13a|smooth:exp`, `tok:ja-mecab|smooth:exp` and `tok:char|smooth:exp`).

use super::mecab;
use super::segment::Segmentation;
use regex::Regex;
use std::collections::HashMap;
use std::ops::AddAssign;
use std::sync::LazyLock;

/// Longest n-gram.
pub const ORDER: usize = 4;

/// How sacrebleu cuts a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tokens {
    /// `13a`, the rules of mteval-v13a: for languages with spaces between words.
    V13a,
    /// `char`: every character that is no white space.
    Characters,
    /// `ja-mecab`: every word of `MeCab`, by the dictionary of [`mecab::VARIABLE`] (sacrebleu has `IPADIC`);
    /// characters where there is none.
    JaMecab,
}

impl Tokens {
    /// What fits texts that ROUGE cuts like this.
    pub const fn of(segmentation: Segmentation) -> Self {
        match segmentation {
            Segmentation::Stemmed | Segmentation::Words | Segmentation::Unicode => Self::V13a,
            Segmentation::Characters => Self::Characters,
            Segmentation::Japanese => Self::JaMecab,
        }
    }

    /// What a report says of it: sacrebleu's name, where sacrebleu would cut like that.
    pub fn told(self) -> String {
        match (self, mecab::installed().ok().flatten()) {
            (Self::JaMecab, Some(dictionary)) => japanese(&dictionary.name(), dictionary.is_sacrebleus()),
            (Self::JaMecab, None) => Self::Characters.label().to_owned(),
            (Self::V13a | Self::Characters, _) => self.label().to_owned(),
        }
    }

    /// sacrebleu's name for it.
    pub const fn label(self) -> &'static str {
        match self {
            Self::V13a => "13a",
            Self::Characters => "char",
            Self::JaMecab => "ja-mecab",
        }
    }
}

/// What a report says of `MeCab`'s words by this dictionary.
fn japanese(dictionary: &str, is_sacrebleus: bool) -> String {
    let name = Tokens::JaMecab.label();
    if is_sacrebleus { name.to_owned() } else { format!("MeCab ({dictionary}; sacrebleu's {name} has IPADIC)") }
}

/// What is counted of one pair; the counts of a corpus are the sums of its pairs'.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// n-grams of the candidate that stand in the reference, at most as often as there; by n − 1.
    pub matches: [usize; ORDER],
    /// n-grams of the candidate, by n − 1.
    pub totals: [usize; ORDER],
    /// Tokens of the candidate.
    pub candidate: usize,
    /// Tokens of the reference.
    pub reference: usize,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        for n in 0..ORDER {
            self.matches[n] += other.matches[n];
            self.totals[n] += other.totals[n];
        }
        self.candidate += other.candidate;
        self.reference += other.reference;
    }
}

impl Counts {
    /// Counts one pair.
    pub fn of(reference: &str, candidate: &str, tokens: Tokens) -> Self {
        let (reference, candidate) = (cut(reference, tokens), cut(candidate, tokens));
        let mut counts = Self { candidate: candidate.len(), reference: reference.len(), ..Self::default() };
        for n in 1..=ORDER {
            let mut left: HashMap<&[String], usize> = HashMap::new();
            reference.windows(n).for_each(|gram| *left.entry(gram).or_default() += 1);
            for gram in candidate.windows(n) {
                counts.totals[n - 1] += 1;
                if let Some(count @ 1..) = left.get_mut(gram) {
                    *count -= 1;
                    counts.matches[n - 1] += 1;
                }
            }
        }
        counts
    }

    /// BLEU in percent, 0 to 100. With `effective`, n-grams that are longer than the candidate do not count
    /// (sacrebleu's `effective_order`, meant for single sentences); without it a corpus that has no
    /// 4-gram scores 0. Nothing in common is 0.
    pub fn score(&self, effective: bool) -> f64 {
        if self.matches.iter().all(|m| *m == 0) || self.candidate == 0 {
            return 0.0;
        }
        let (candidate, reference) = (self.candidate as f64, self.reference as f64);
        let brevity = if candidate < reference { (1.0 - reference / candidate).exp() } else { 1.0 };
        // Each order without a match counts as half of the one before that had none.
        let mut smoothing = 1.0;
        let mut logs = Vec::with_capacity(ORDER);
        for (matches, total) in self.matches.iter().zip(self.totals).filter(|(_, total)| *total > 0) {
            let share = if *matches == 0 {
                smoothing *= 2.0;
                1.0 / (smoothing * total as f64)
            } else {
                *matches as f64 / total as f64
            };
            logs.push((100.0 * share).ln());
        }
        if logs.len() < ORDER && !effective {
            return 0.0;
        }
        brevity * (logs.iter().sum::<f64>() / logs.len() as f64).exp()
    }
}

/// BLEU of a corpus of (reference, candidate) pairs, in percent: sacrebleu's `corpus_score`.
pub fn corpus<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>, tokens: Tokens) -> f64 {
    let mut sum = Counts::default();
    pairs.into_iter().for_each(|(reference, candidate)| sum += Counts::of(reference, candidate, tokens));
    sum.score(false)
}

/// BLEU of one pair, in percent: sacrebleu's `sentence_score` with `effective_order`.
pub fn sentence(reference: &str, candidate: &str, tokens: Tokens) -> f64 {
    Counts::of(reference, candidate, tokens).score(true)
}

/// mteval-v13a's rules and what they put there. The expressions are constants; a test sees that all compile.
static RULES: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    let rules = [
        // Every ASCII mark but . , - ' is a token.
        (r"([{-~\[-` -&(-+:-@/])", " $1 "),
        // A full stop or comma too, unless it stands between digits.
        (r"([^0-9])([.,])", "$1 $2 "),
        (r"([.,])([^0-9])", " $1 $2"),
        // A dash after a digit too.
        (r"([0-9])(-)", "$1 $2 "),
    ];
    rules.into_iter().filter_map(|(pattern, with)| Some((Regex::new(pattern).ok()?, with))).collect()
});

/// White space of Python's `str.split`, which has four separators more than Unicode's property.
fn is_space(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{1c}'..='\u{1f}')
}

fn characters(text: &str) -> Vec<String> {
    text.chars().filter(|c| !is_space(*c)).map(String::from).collect()
}

fn cut(text: &str, tokens: Tokens) -> Vec<String> {
    match tokens {
        Tokens::Characters => characters(text),
        Tokens::JaMecab => match mecab::installed() {
            Ok(Some(dictionary)) => {
                // Python splits once more where a word of the dictionary is or has white space.
                let words = dictionary.words(text.trim_matches(is_space)).into_iter();
                words.flat_map(|word| word.split(is_space)).filter(|w| !w.is_empty()).map(str::to_owned).collect()
            }
            _ => characters(text),
        },
        Tokens::V13a => {
            let mut text = text.trim_end_matches(is_space).replace("<skipped>", "").replace("-\n", "");
            text = text.replace('\n', " ");
            for (entity, mark) in [("&quot;", "\""), ("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">")] {
                text = text.replace(entity, mark);
            }
            text = format!(" {text} ");
            for (pattern, with) in &*RULES {
                text = pattern.replace_all(&text, *with).into_owned();
            }
            text.split(is_space).filter(|t| !t.is_empty()).map(str::to_owned).collect()
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn every_rule_compiles() {
        assert_eq!(RULES.len(), 4);
    }

    #[test]
    fn scores_equal_sacrebleus_on_real_pairs() {
        let mut lines = include_str!("../../tests/fixtures/bleu/pairs.jsonl")
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap());
        let corpora = lines.next().unwrap();
        let pairs: Vec<Value> = lines.collect();
        assert!(pairs.len() >= 500, "{} pairs", pairs.len());
        let text = |pair: &Value, key: &str| pair[key].as_str().unwrap().to_owned();
        let texts: Vec<(String, String)> = pairs.iter().map(|p| (text(p, "r"), text(p, "c"))).collect();
        for tokens in [Tokens::V13a, Tokens::Characters] {
            for ((reference, candidate), pair) in texts.iter().zip(&pairs) {
                let (got, want) = (sentence(reference, candidate, tokens), pair[tokens.label()].as_f64().unwrap());
                assert!((got - want).abs() < 1e-6, "{}: {got}, sacrebleu has {want}: {pair}", tokens.label());
            }
            for (range, want) in corpora[tokens.label()].as_object().unwrap() {
                let (from, to) = range.split_once('-').unwrap();
                let part = &texts[from.parse().unwrap()..to.parse().unwrap()];
                let got = corpus(part.iter().map(|(r, c)| (&r[..], &c[..])), tokens);
                let want = want.as_f64().unwrap();
                assert!((got - want).abs() < 1e-6, "{} {range}: {got}, sacrebleu has {want}", tokens.label());
            }
        }
    }

    #[test]
    fn another_dictionary_is_not_told_by_sacrebleus_name() {
        assert_eq!(japanese("IPADIC of 392126 entries", true), "ja-mecab");
        let told = japanese("UniDic of 756463 entries", false);
        assert_eq!(told, "MeCab (UniDic of 756463 entries; sacrebleu's ja-mecab has IPADIC)");
        assert_eq!((Tokens::V13a.told(), Tokens::Characters.told()), ("13a".to_owned(), "char".to_owned()));
    }

    #[test]
    fn nothing_scores_nothing() {
        assert_eq!(corpus([], Tokens::V13a), 0.0);
        for (reference, candidate) in [("", ""), ("a", ""), ("", "a"), ("a", "b")] {
            assert_eq!(sentence(reference, candidate, Tokens::V13a), 0.0);
        }
    }
}
