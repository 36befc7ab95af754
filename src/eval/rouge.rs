//! ROUGE as Google's `rouge_score` computes it, with its stemmer; over characters where words have no spaces.

pub mod parts;

use super::segment::{self, Segmentation};
use crate::run::event;
use std::collections::HashMap;

/// Precision, recall and F of one measure, 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Score {
    /// Share of the candidate that is in the reference.
    pub precision: f64,
    /// Share of the reference that is in the candidate.
    pub recall: f64,
    /// Harmonic mean of both.
    pub f: f64,
}

impl Score {
    fn new(hits: usize, reference: usize, candidate: usize) -> Self {
        let precision = hits as f64 / candidate.max(1) as f64;
        let recall = hits as f64 / reference.max(1) as f64;
        let f = if precision + recall > 0.0 { 2.0 * precision * recall / (precision + recall) } else { 0.0 };
        Self { precision, recall, f }
    }
}

/// The four measures of one pair.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Scores {
    /// Unigrams.
    pub rouge1: Score,
    /// Bigrams.
    pub rouge2: Score,
    /// Longest common subsequence.
    pub rouge_l: Score,
    /// Union of the longest common subsequences of the lines.
    pub rouge_l_sum: Score,
}

/// Scores a candidate against a reference.
pub fn score(reference: &str, candidate: &str, segmentation: Segmentation) -> Scores {
    let tokens = |text: &str| segment::tokens(text, segmentation);
    let (r, c) = (tokens(reference), tokens(candidate));
    if r.is_empty() || c.is_empty() {
        return Scores::default();
    }
    let lines = |text: &str| -> Vec<Vec<String>> { text.split('\n').filter(|l| !l.is_empty()).map(tokens).collect() };
    Scores {
        rouge1: ngrams(&r, &c, 1),
        rouge2: ngrams(&r, &c, 2),
        rouge_l: Score::new(lcs_length(&r, &c), r.len(), c.len()),
        rouge_l_sum: union_lcs(&lines(reference), &lines(candidate)),
    }
}

fn ngrams(r: &[String], c: &[String], n: usize) -> Score {
    let count = |tokens: &[String]| {
        let mut counts: HashMap<Vec<String>, usize> = HashMap::new();
        for gram in tokens.windows(n) {
            *counts.entry(gram.to_vec()).or_default() += 1;
        }
        counts
    };
    let (r, c) = (count(r), count(c));
    let hits = r.iter().map(|(gram, n)| *n.min(c.get(gram).unwrap_or(&0))).sum();
    Score::new(hits, r.values().sum(), c.values().sum())
}

/// The length of the longest common subsequence, in memory that grows with the shorter text.
fn lcs_length(r: &[String], c: &[String]) -> usize {
    let (long, short) = if r.len() < c.len() { (c, r) } else { (r, c) };
    let mut row = vec![0usize; short.len() + 1];
    for token in long {
        // What stood left of and above the cell.
        let mut corner = 0;
        for (at, other) in short.iter().enumerate() {
            let above = row[at + 1];
            row[at + 1] = if token == other { corner + 1 } else { above.max(row[at]) };
            corner = above;
        }
    }
    row[short.len()]
}

/// Positions in `r` of one longest common subsequence, chosen as `rouge_score`'s backtracking does.
fn lcs_rows(r: &[String], c: &[String]) -> Vec<usize> {
    let width = c.len() + 1;
    let mut table = vec![0u32; (r.len() + 1) * width];
    for i in 1..=r.len() {
        for j in 1..=c.len() {
            table[i * width + j] = if r[i - 1] == c[j - 1] {
                table[(i - 1) * width + j - 1] + 1
            } else {
                table[(i - 1) * width + j].max(table[i * width + j - 1])
            };
        }
    }
    let (mut i, mut j) = (r.len(), c.len());
    let mut rows = Vec::new();
    while i > 0 && j > 0 {
        if r[i - 1] == c[j - 1] {
            rows.push(i - 1);
            i -= 1;
            j -= 1;
        } else if table[i * width + j - 1] > table[(i - 1) * width + j] {
            j -= 1;
        } else {
            i -= 1;
        }
    }
    rows
}

fn union_lcs(reference: &[Vec<String>], candidate: &[Vec<String>]) -> Score {
    let length = |lines: &[Vec<String>]| lines.iter().map(Vec::len).sum::<usize>();
    let count = |lines: &[Vec<String>]| {
        let mut counts: HashMap<String, usize> = HashMap::new();
        lines.iter().flatten().for_each(|t| *counts.entry(t.clone()).or_default() += 1);
        counts
    };
    let (m, n) = (length(reference), length(candidate));
    if m == 0 || n == 0 {
        return Score::default();
    }
    let (mut left_r, mut left_c) = (count(reference), count(candidate));
    let mut hits = 0;
    for line in reference {
        let mut rows: Vec<usize> = candidate.iter().flat_map(|c| lcs_rows(line, c)).collect();
        rows.sort_unstable();
        rows.dedup();
        for token in rows.into_iter().map(|i| &line[i]) {
            if let (Some(r @ 1..), Some(c @ 1..)) = (left_r.get_mut(token), left_c.get_mut(token)) {
                hits += 1;
                *r -= 1;
                *c -= 1;
            }
        }
    }
    Score::new(hits, m, n)
}

/// Mean F of ROUGE-1, ROUGE-2 and ROUGE-L over (reference, candidate) pairs, with precision and recall, in percent.
pub fn mean<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>, segmentation: Segmentation) -> event::Rouge {
    let scores: Vec<Scores> =
        pairs.into_iter().map(|(reference, candidate)| score(reference, candidate, segmentation)).collect();
    mean_of(&scores)
}

/// As [`mean`], of pairs that are scored already.
pub fn mean_of(scores: &[Scores]) -> event::Rouge {
    let scale = 100.0 / scores.len().max(1) as f64;
    let mean = |of: fn(&Scores) -> f64| scores.iter().map(of).sum::<f64>() * scale;
    let mut all = [0.0; 6];
    for of in scores.iter().map(parts::of_pair) {
        all.iter_mut().zip(of).for_each(|(sum, part)| *sum += part);
    }
    event::Rouge {
        rouge1: mean(|s| s.rouge1.f),
        rouge2: mean(|s| s.rouge2.f),
        rouge_l: mean(|s| s.rouge_l.f),
        parts: Some(parts::Parts::from(all.map(|sum| sum * scale))),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn scores_equal_rouge_scores_on_real_pairs() {
        let mut pairs = 0;
        for line in include_str!("../../tests/fixtures/rouge/pairs.jsonl").lines() {
            let pair: serde_json::Value = serde_json::from_str(line).unwrap();
            let text = |key: &str| pair[key].as_str().unwrap().to_owned();
            for (key, segmentation) in [("s", Segmentation::Stemmed), ("p", Segmentation::Words)] {
                let got = score(&text("r"), &text("c"), segmentation);
                let got = [got.rouge1, got.rouge2, got.rouge_l, got.rouge_l_sum];
                let got = got.iter().flat_map(|s| [s.precision, s.recall, s.f]);
                let want = pair[key].as_array().unwrap().iter().map(|v| v.as_f64().unwrap());
                for (i, (got, want)) in got.zip(want).enumerate() {
                    assert!((got - want).abs() < 1e-6, "{key}[{i}] is {got}, rouge_score has {want}: {line}");
                }
            }
            pairs += 1;
        }
        assert!(pairs >= 500, "{pairs} pairs");
    }

    #[test]
    fn summaries_of_several_lines_equal_rouge_scores() {
        let read = |text: &str| -> Vec<serde_json::Value> {
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
        };
        let texts = read(include_str!("../../tests/fixtures/rouge/pairs.jsonl"));
        let pairs = read(include_str!("../../tests/fixtures/rouge/lines.jsonl"));
        assert!(pairs.len() >= 500, "{} pairs", pairs.len());
        // `c40`: the candidate of line 40.
        let joined = |names: &serde_json::Value| -> String {
            let names = names.as_array().unwrap().iter().map(|name| name.as_str().unwrap());
            let lines = names.map(|n| texts[n[1..].parse::<usize>().unwrap()][&n[..1]].as_str().unwrap());
            lines.collect::<Vec<_>>().join("\n")
        };
        for pair in &pairs {
            for (key, segmentation) in [("s", Segmentation::Stemmed), ("p", Segmentation::Words)] {
                let got = score(&joined(&pair["r"]), &joined(&pair["c"]), segmentation).rouge_l_sum;
                for (i, got) in [got.precision, got.recall, got.f].into_iter().enumerate() {
                    let want = pair[key][i].as_f64().unwrap();
                    assert!((got - want).abs() < 1e-6, "{key}[{i}] is {got}, rouge_score has {want}: {pair}");
                }
            }
        }
    }

    #[test]
    fn japanese_is_scored_over_characters() {
        let s = score("日本語の要約", "日本語要約。", Segmentation::Characters);
        assert!((s.rouge1.recall - 5.0 / 6.0).abs() < 1e-12);
        assert!((s.rouge1.precision - 1.0).abs() < 1e-12);
    }

    #[test]
    fn means_have_precision_and_recall_and_stay_readable_without() {
        let pairs = [("a small game engine", "a small game"), ("a small game engine", "no word of it")];
        let mean = mean(pairs, Segmentation::Words);
        let parts = mean.parts.unwrap();
        assert!((parts.rouge1_p - 50.0).abs() < 1e-9 && (parts.rouge1_r - 37.5).abs() < 1e-9, "{mean:?}");
        assert!((parts.rouge2_r - 100.0 / 3.0).abs() < 1e-9 && (parts.rouge_l_p - 50.0).abs() < 1e-9, "{mean:?}");
        let text = serde_json::to_string(&mean).unwrap();
        assert!(text.contains("\"rouge1_p\":") && !text.contains("parts"), "{text}");
        assert_eq!(serde_json::from_str::<event::Rouge>(&text).unwrap(), mean);
        let before: event::Rouge = serde_json::from_str(r#"{"rouge1": 30, "rouge2": 9.5, "rouge_l": 21.0}"#).unwrap();
        assert_eq!((before.rouge1, before.parts), (30.0, None));
    }
}
