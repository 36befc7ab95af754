//! What can be said of a summary without judging it: its length, how much of it is copied from the document,
//! how much of it repeats itself.

use super::segment::{self, Segmentation};
use std::collections::{HashMap, HashSet};

/// n of the repetition rate, as in the paper that it is from.
pub const REPEATED: usize = 4;

/// One summary beside its document and its reference.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Surface {
    /// Tokens of the summary.
    pub tokens: usize,
    /// Tokens of the reference.
    pub reference: usize,
    /// Extractive fragment coverage, 0 to 1: the share of the summary's tokens that belong to a fragment of the
    /// document; the copy rate. 0 for an empty summary.
    pub coverage: f64,
    /// Extractive fragment density: the mean length, over the summary's tokens, of the fragment that a token
    /// belongs to (0 where it belongs to none). A summary of m tokens that is one passage of the document has m.
    pub density: f64,
    /// The share of the summary's 4-grams that stood in it before, 0 to 1: 1 − distinct / all (`seq-rep-4` of
    /// Welleck et al., "Neural text generation with unlikelihood training", ICLR 2020). 0 for fewer than
    /// five tokens.
    pub repetition: f64,
}

impl Surface {
    /// Looks at one summary. Texts are cut as for ROUGE; to copy or repeat is to have the same tokens, so that stems
    /// are not used: [`Segmentation::Stemmed`] counts as [`Segmentation::Words`].
    pub fn of(document: &str, reference: &str, summary: &str, segmentation: Segmentation) -> Self {
        let segmentation = if segmentation == Segmentation::Stemmed { Segmentation::Words } else { segmentation };
        let tokens = segment::tokens(summary, segmentation);
        let fragments = fragments(&segment::tokens(document, segmentation), &tokens);
        let length = tokens.len().max(1) as f64;
        Self {
            tokens: tokens.len(),
            reference: segment::tokens(reference, segmentation).len(),
            coverage: fragments.iter().sum::<usize>() as f64 / length,
            density: fragments.iter().map(|f| f * f).sum::<usize>() as f64 / length,
            repetition: repetition(&tokens, REPEATED),
        }
    }

    /// Tokens of the summary for each of the reference; `None` where the reference has no token.
    pub fn length_ratio(&self) -> Option<f64> {
        (self.reference > 0).then(|| self.tokens as f64 / self.reference as f64)
    }
}

/// The same over several summaries.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Mean {
    /// Summaries.
    pub documents: usize,
    /// All tokens of the summaries for each of the references (sacrebleu's `ratio`); `None` where the references have
    /// none.
    pub length_ratio: Option<f64>,
    /// Mean coverage, 0 to 1.
    pub coverage: f64,
    /// Mean density, tokens.
    pub density: f64,
    /// Mean repetition rate, 0 to 1.
    pub repetition: f64,
    /// Summaries without a token.
    pub empty: usize,
}

/// Means over summaries, each counted once; the length ratio is that of the sums. Of none everything is 0.
pub fn mean(all: &[Surface]) -> Mean {
    let n = all.len().max(1) as f64;
    let mean = |of: fn(&Surface) -> f64| all.iter().map(of).sum::<f64>() / n;
    let whole = Surface {
        tokens: all.iter().map(|s| s.tokens).sum(),
        reference: all.iter().map(|s| s.reference).sum(),
        ..Surface::default()
    };
    Mean {
        documents: all.len(),
        length_ratio: whole.length_ratio(),
        coverage: mean(|s| s.coverage),
        density: mean(|s| s.density),
        repetition: mean(|s| s.repetition),
        empty: all.iter().filter(|s| s.tokens == 0).count(),
    }
}

/// Lengths of the passages that a summary shares with its document, in its order: the greedy F(A, S) of Grusky,
/// Naaman and Artzi, "Newsroom: a dataset of 1.3 million summaries with diverse extractive strategies", NAACL 2018,
/// figure 2. At each token of the summary the longest passage of the document that begins with it is taken, where a
/// passage is looked for only behind the end of the one found before it, as there.
pub fn fragments(document: &[String], summary: &[String]) -> Vec<usize> {
    let mut places: HashMap<&str, Vec<usize>> = HashMap::new();
    for (at, token) in document.iter().enumerate() {
        places.entry(token).or_default().push(at);
    }
    let mut found = Vec::new();
    let mut i = 0;
    while i < summary.len() {
        let (mut longest, mut behind) = (0, 0);
        for &j in places.get(summary[i].as_str()).map_or(&[][..], Vec::as_slice) {
            if j < behind {
                continue;
            }
            let length = summary[i..].iter().zip(&document[j..]).take_while(|(s, d)| s == d).count();
            behind = j + length;
            longest = longest.max(length);
        }
        if longest > 0 {
            found.push(longest);
        }
        i += longest.max(1);
    }
    found
}

/// The share of the n-grams that stood before, 0 to 1; 0 where there are none.
pub fn repetition(tokens: &[String], n: usize) -> f64 {
    let all = (tokens.len() + 1).saturating_sub(n);
    if n == 0 || all == 0 {
        return 0.0;
    }
    let distinct: HashSet<&[String]> = tokens.windows(n).collect();
    1.0 - distinct.len() as f64 / all as f64
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn copying_and_repetition_equal_the_papers_algorithm() {
        let mut pairs = 0;
        for line in include_str!("../../tests/fixtures/surface/pairs.jsonl").lines() {
            let pair: Value = serde_json::from_str(line).unwrap();
            let text = |key: &str| pair[key].as_str().unwrap();
            let number = |key: &str| pair[key].as_f64().unwrap();
            let got = Surface::of(text("d"), text("d"), text("s"), Segmentation::Stemmed);
            assert!((got.coverage - number("coverage")).abs() < 1e-9, "{got:?} {line}");
            assert!((got.density - number("density")).abs() < 1e-9, "{got:?} {line}");
            assert!((got.repetition - number("repetition")).abs() < 1e-9, "{got:?} {line}");
            pairs += 1;
        }
        assert!(pairs >= 200, "{pairs} pairs");
    }

    #[test]
    fn a_passage_covers_all_and_is_as_dense_as_it_is_long() {
        let s = Surface::of("The cat sat on the mat.", "a cat sat", "cat sat on the", Segmentation::Words);
        assert_eq!((s.coverage, s.density, s.repetition), (1.0, 4.0, 0.0));
        assert_eq!(s.length_ratio(), Some(4.0 / 3.0));
        // 96 words of one kind: 93 4-grams, one of them new.
        let loops = Surface::of("no", "", &"the ".repeat(96), Segmentation::Words);
        assert_eq!((loops.coverage, loops.length_ratio()), (0.0, None));
        assert!((loops.repetition - 92.0 / 93.0).abs() < 1e-12);
        let japanese = Surface::of("日本語の要約", "要約", "日本の要", Segmentation::Characters);
        assert_eq!((japanese.tokens, japanese.coverage, japanese.density), (4, 1.0, 2.0));
    }

    #[test]
    fn empty_summaries_are_counted_and_divide_by_nothing() {
        let empty = Surface::of("a document", "a reference", "", Segmentation::Stemmed);
        let full = Surface::of("a document", "a reference", "a document", Segmentation::Stemmed);
        let both = mean(&[empty, full]);
        assert_eq!((both.documents, both.empty, both.length_ratio, both.coverage), (2, 1, Some(0.5), 0.5));
        assert_eq!(mean(&[]), Mean::default());
    }

    #[test]
    fn a_long_document_takes_no_quadratic_time() {
        let document = "one two three four five ".repeat(4_000);
        let clock = std::time::Instant::now();
        let s = Surface::of(&document, &document, &document, Segmentation::Words);
        assert_eq!((s.tokens, s.coverage), (20_000, 1.0));
        assert!(clock.elapsed().as_secs() < 20, "{:?}", clock.elapsed());
    }
}
