//! How sure a mean is, and whether one system is better than another on the same documents.
//!
//! Intervals: percentile bootstrap over documents (Efron and Tibshirani, "An introduction to the bootstrap", 1993;
//! for systems that are compared, documents are drawn in pairs as in Koehn, "Statistical significance tests for
//! machine translation evaluation", EMNLP 2004). p-values: paired approximate randomisation, two-sided, which
//! Riezler and Maxwell, "On some pitfalls in automatic evaluation and significance testing for MT", 2005, found to err
//! less often than the bootstrap: under "no difference" each document's two scores might as well be swapped.
//!
//! A document has one score a system: scores of several seeds are averaged document by document first.

use crate::text::printable;
use crate::{Error, Result};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// How often is drawn, and how.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Resampling {
    /// Draws of the bootstrap and of the randomisation; above 0.
    pub draws: usize,
    /// What an interval covers, above 0 and below 1.
    pub confidence: f64,
    /// The same seed gives the same numbers.
    pub seed: u64,
}

impl Default for Resampling {
    /// 10,000 draws, 95 %, seed 1.
    fn default() -> Self {
        Self { draws: 10_000, confidence: 0.95, seed: 1 }
    }
}

/// A mean with its interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// Mean score.
    pub mean: f64,
    /// Lower and upper bound; `None` for a single document, which says nothing of others. With a handful of
    /// documents a percentile interval is too narrow.
    pub bounds: Option<(f64, f64)>,
    /// Documents.
    pub documents: usize,
}

/// Two systems on the same documents.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Comparison {
    /// Mean of the first minus mean of the second.
    pub difference: f64,
    /// Its interval by paired bootstrap; `None` for a single document.
    pub bounds: Option<(f64, f64)>,
    /// Two-sided: how often a difference at least as large comes about if the systems do not differ. Above 0, at most
    /// 1; 1 for the same scores and for a single document.
    pub p: f64,
    /// Whether `p` is from all swaps rather than from some drawn by chance.
    pub exact: bool,
    /// Documents.
    pub documents: usize,
    /// Those on which the scores differ. With n of them `p` is at least 2 / 2ⁿ: below six, never below 0.05.
    pub differing: usize,
    /// What the interval covers.
    pub confidence: f64,
}

/// The mean of per-document scores with its bootstrap interval.
///
/// # Errors
/// When there is no score, one is not finite, or `how` is out of range.
pub fn interval(scores: &[f64], how: &Resampling) -> Result<Interval> {
    check(scores, how)?;
    Ok(Interval { mean: mean(scores), bounds: bounds(scores, how), documents: scores.len() })
}

/// Compares two systems by their scores on the same documents, in the same order.
///
/// # Errors
/// When there is no score, the numbers of scores differ, one is not finite, or `how` is out of range.
pub fn compare(first: &[f64], second: &[f64], how: &Resampling) -> Result<Comparison> {
    check(first, how)?;
    check(second, how)?;
    if first.len() != second.len() {
        return Err(Error::user(format!(
            "{} scores cannot be compared with {}: both systems must have written the same documents",
            first.len(),
            second.len()
        )));
    }
    let differences: Vec<f64> = first.iter().zip(second).map(|(a, b)| a - b).collect();
    let (p, exact, differing) = randomisation(&differences, how);
    Ok(Comparison {
        difference: mean(&differences),
        bounds: bounds(&differences, how),
        p,
        exact,
        documents: first.len(),
        differing,
        confidence: how.confidence,
    })
}

impl Comparison {
    /// Whether the systems differ at a level such as 0.05.
    pub fn significant(&self, level: f64) -> bool {
        self.p < level
    }

    /// The outcome for a person, at a level such as 0.05, scores in the unit that they have; safe to show.
    pub fn sentence(&self, first: &str, second: &str, level: f64) -> String {
        let (first, second) = (printable(first), printable(second));
        let documents = crate::text::counted(self.documents, "document");
        let range = self.bounds.map_or(String::new(), |(low, high)| {
            format!("{:.0} % interval {low:.2} to {high:.2}, ", self.confidence * 100.0)
        });
        let figures = format!("{range}p = {:.2}, {documents}", self.p);
        if self.differing == 0 {
            return format!("{first} and {second} have the same scores ({documents})");
        }
        if self.significant(level) {
            let word = if self.difference > 0.0 { "better" } else { "worse" };
            let small = if self.p < 0.005 { figures.replace("p = 0.00", "p < 0.005") } else { figures };
            return format!("{first} is {word} than {second} by {:.2} ({small})", self.difference.abs());
        }
        let few = if 2.0 / 2f64.powi(self.differing.min(1000) as i32) >= level {
            format!("; so few that differ cannot reach p < {level}")
        } else {
            String::new()
        };
        format!(
            "{first} and {second} cannot be told apart: they differ by {:.2} ({figures}{few})",
            self.difference.abs()
        )
    }
}

fn check(scores: &[f64], how: &Resampling) -> Result<()> {
    if scores.is_empty() {
        return Err(Error::user("there is no score to take a mean of: at least one document is needed"));
    }
    if let Some(at) = scores.iter().position(|s| !s.is_finite()) {
        return Err(Error::user(format!("the score of document {} is {}, which is no number", at + 1, scores[at])));
    }
    if how.draws == 0 {
        return Err(Error::user("0 draws: at least one is needed (10,000 are usual)"));
    }
    if !(how.confidence > 0.0 && how.confidence < 1.0) {
        return Err(Error::user(format!("confidence {}: a share above 0 and below 1 is needed", how.confidence)));
    }
    Ok(())
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

fn bounds(values: &[f64], how: &Resampling) -> Option<(f64, f64)> {
    if values.len() < 2 {
        return None;
    }
    let mut rng = ChaCha8Rng::seed_from_u64(how.seed);
    let n = values.len();
    let mut draw = |_| (0..n).map(|_| values[rng.random_range(0..n)]).sum::<f64>() / n as f64;
    let mut means: Vec<f64> = (0..how.draws).map(&mut draw).collect();
    means.sort_unstable_by(f64::total_cmp);
    let tail = (1.0 - how.confidence) / 2.0;
    Some((quantile(&means, tail), quantile(&means, 1.0 - tail)))
}

/// Of sorted numbers, at least one, interpolated between neighbours (numpy's default).
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let at = share * (sorted.len() - 1) as f64;
    let (low, high) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
    low + (high - low) * at.fract()
}

/// p, whether it is exact, and how many documents differ.
fn randomisation(differences: &[f64], how: &Resampling) -> (f64, bool, usize) {
    // A document without a difference is the same when it is swapped.
    let differing: Vec<f64> = differences.iter().copied().filter(|d| *d != 0.0).collect();
    let n = differing.len();
    let observed = differing.iter().sum::<f64>().abs();
    // Sums in another order differ in their last bits.
    let limit = observed - 1e-12 * differing.iter().map(|d| d.abs()).sum::<f64>();
    let swapped = |signs: &mut dyn FnMut(usize) -> bool| {
        let sum: f64 = differing.iter().enumerate().map(|(i, d)| if signs(i) { *d } else { -d }).sum();
        sum.abs() >= limit
    };
    if n < usize::BITS as usize - 1 && 1usize << n <= how.draws {
        let all = 1usize << n;
        let hits = (0..all).filter(|pattern| swapped(&mut |i| pattern >> i & 1 == 0)).count();
        return (hits as f64 / all as f64, true, n);
    }
    let mut rng = ChaCha8Rng::seed_from_u64(how.seed);
    // Not the numbers of the bootstrap.
    rng.set_stream(1);
    let hits = (0..how.draws).filter(|_| swapped(&mut |_| rng.random())).count();
    // What was observed is one of the possible outcomes: p is never 0.
    ((hits + 1) as f64 / (how.draws + 1) as f64, false, n)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn intervals_and_p_values_are_scipys_within_the_error_of_drawing() {
        let cases: Vec<Value> =
            serde_json::from_str(include_str!("../../tests/fixtures/significance/cases.json")).unwrap();
        assert!(cases.len() >= 10);
        let how = Resampling { draws: 20_000, ..Resampling::default() };
        for case in &cases {
            let list =
                |key: &str| -> Vec<f64> { case[key].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect() };
            let name = case["name"].as_str().unwrap();
            let got = compare(&list("a"), &list("b"), &how).unwrap();
            let want = case["p"].as_f64().unwrap();
            // Both sides draw, scipy 100,000 times; five standard errors.
            let error = 5.0 * (want * (1.0 - want) * (1.0 / 20_000.0 + 1.0 / 100_000.0)).sqrt() + 1e-4;
            // Both go through all swaps: of 16 documents at most in scipy.
            let error = if got.exact && got.documents <= 16 { 1e-12 } else { error };
            assert!((got.p - want).abs() <= error, "{name}: p is {}, scipy has {want}", got.p);
            assert!((got.difference - case["difference"].as_f64().unwrap()).abs() < 1e-12, "{name}");
            for (key, bounds) in
                [("difference_bounds", got.bounds), ("a_bounds", interval(&list("a"), &how).unwrap().bounds)]
            {
                let Some(want) = case[key].as_array() else {
                    assert_eq!(bounds, None, "{name}");
                    continue;
                };
                let (low, high) = bounds.unwrap();
                let (want_low, want_high) = (want[0].as_f64().unwrap(), want[1].as_f64().unwrap());
                let error = 0.03 * (want_high - want_low) + 1e-12;
                assert!((low - want_low).abs() <= error, "{name} {key}: {low}, scipy has {want_low}");
                assert!((high - want_high).abs() <= error, "{name} {key}: {high}, scipy has {want_high}");
            }
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_numbers_and_another_one_nearly() {
        let a: Vec<f64> = (0..40).map(|i| f64::from(i * 37 % 41)).collect();
        let b: Vec<f64> = (0..40).map(|i| f64::from(i * 29 % 41) - 3.0).collect();
        let how = Resampling::default();
        let one = compare(&a, &b, &how).unwrap();
        assert_eq!(one, compare(&a, &b, &how).unwrap());
        let other = compare(&a, &b, &Resampling { seed: 2, ..how }).unwrap();
        assert!(one.p != other.p && (one.p - other.p).abs() < 0.03, "{one:?} {other:?}");
        let back = compare(&b, &a, &how).unwrap();
        assert_eq!((back.p, back.difference), (one.p, -one.difference));
    }

    #[test]
    fn few_documents_and_equal_systems_have_an_outcome() {
        let how = Resampling::default();
        let one = compare(&[0.5], &[0.25], &how).unwrap();
        assert_eq!((one.difference, one.bounds, one.p), (0.25, None, 1.0));
        assert!(one.sentence("a", "b", 0.05).contains("so few that differ cannot"), "{}", one.sentence("a", "b", 0.05));
        let two = compare(&[0.5, 1.0], &[0.25, 0.5], &how).unwrap();
        assert_eq!((two.bounds, two.p, two.exact), (Some((0.25, 0.5)), 0.5, true));
        let same = compare(&[1.0; 30], &[1.0; 30], &how).unwrap();
        assert_eq!((same.difference, same.bounds, same.p, same.differing), (0.0, Some((0.0, 0.0)), 1.0, 0));
        assert_eq!(same.sentence("a", "b\x1b", 0.05), "a and b\\u{1b} have the same scores (30 documents)");
        let always = compare(&[2.0; 30], &[1.0; 30], &how).unwrap();
        assert!(always.p < 0.001 && always.p > 0.0 && !always.exact);
        let said = always.sentence("a", "b", 0.05);
        assert_eq!(said, "a is better than b by 1.00 (95 % interval 1.00 to 1.00, p < 0.005, 30 documents)");
        assert!(compare(&[1.0; 30], &[2.0; 30], &how).unwrap().sentence("a", "b", 0.05).contains("a is worse"));
    }

    #[test]
    fn what_cannot_be_compared_is_refused_in_words() {
        let how = Resampling::default();
        let said = |e: crate::Error| e.to_string();
        assert!(said(interval(&[], &how).unwrap_err()).contains("at least one document"));
        assert!(said(interval(&[1.0, f64::NAN], &how).unwrap_err()).contains("document 2"));
        assert!(said(compare(&[1.0], &[1.0, 2.0], &how).unwrap_err()).contains("the same documents"));
        assert!(said(interval(&[1.0], &Resampling { draws: 0, ..how }).unwrap_err()).contains("0 draws"));
        assert!(said(interval(&[1.0], &Resampling { confidence: 1.0, ..how }).unwrap_err()).contains("confidence 1"));
    }
}
