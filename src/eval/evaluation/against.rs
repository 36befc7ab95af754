//! Methods beside the one that all are compared with: how far they are from it, and whether by more than chance.

use super::Row;
use super::figures::Scored;
use crate::Result;
use crate::eval::significance::{self, Comparison, Resampling};
use crate::text::counted;
use serde::{Deserialize, Serialize};

/// Below this p-value systems are said to differ.
const LEVEL: f64 = 0.05;

/// Summaries against others of the same documents, by ROUGE-L.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Against {
    /// Mean difference, percent points: above 0 these are better.
    pub difference: f64,
    /// Its interval of 95 %, by paired bootstrap over documents; `None` of one document.
    pub bounds: Option<(f64, f64)>,
    /// Two-sided p-value of the paired randomisation test.
    pub p: f64,
    /// The same, adjusted by Holm for all comparisons of its table; `None` where there is no table, and in what an earlier
    /// lopper has written.
    #[serde(default)]
    pub p_holm: Option<f64>,
}

impl From<Comparison> for Against {
    fn from(of: Comparison) -> Self {
        Self { difference: of.difference, bounds: of.bounds, p: of.p, p_holm: None }
    }
}

impl Against {
    /// Compares ROUGE-L by document, in percent, the documents in the same order.
    ///
    /// # Errors
    /// When there is no document, or their numbers differ.
    pub fn of(scores: &[f64], others: &[f64]) -> Result<Self> {
        significance::compare(scores, others, &Resampling::default()).map(Self::from)
    }

    /// `**` below 0.01, `*` below 0.05: by Holm's p where there are several comparisons.
    pub fn mark(&self) -> &'static str {
        let p = self.p_holm.unwrap_or(self.p);
        if p < 0.01 {
            "**"
        } else if p < LEVEL {
            "*"
        } else {
            ""
        }
    }
}

/// A method beside another, over the seeds that both were scored for; `None` where there is none.
///
/// # Errors
/// When they have not the same documents.
pub(super) fn compared(found: &Scored, base: &Scored) -> Result<Option<Comparison>> {
    let both: Vec<u64> = found.seeds.iter().copied().filter(|seed| base.seeds.contains(seed)).collect();
    if both.is_empty() {
        return Ok(None);
    }
    significance::compare(&found.by_document(&both), &base.by_document(&both), &Resampling::default()).map(Some)
}

/// p-values adjusted for their number, in their order: whoever rejects those below a level is wrong about any of them no
/// more often than that (Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of
/// Statistics 6, 1979).
fn holm(all: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..all.len()).collect();
    order.sort_by(|a, b| all[*a].total_cmp(&all[*b]));
    let mut adjusted = vec![0.0; all.len()];
    let mut least = 0.0f64;
    for (rank, at) in order.into_iter().enumerate() {
        least = least.max((all.len() - rank) as f64 * all[at]).min(1.0);
        adjusted[at] = least;
    }
    adjusted
}

/// Puts what was found into the rows that it is about.
pub(super) fn put(rows: &mut [Row], comparisons: &[Option<Comparison>]) {
    let all: Vec<f64> = comparisons.iter().flatten().map(|found| found.p).collect();
    let mut adjusted = holm(&all).into_iter();
    for (row, found) in rows.iter_mut().zip(comparisons) {
        row.against = found.map(|found| Against { p_holm: adjusted.next(), ..found.into() });
    }
}

/// The best method beside the one that all are compared with, or, where that is the best, this one beside the next: a
/// sentence that is safe to show. `None` where nothing is compared.
pub(super) fn verdict(rows: &[Row], comparisons: &[Option<Comparison>], reference: &str) -> Option<String> {
    let mean = |row: &Row| row.figures.as_ref().map_or(f64::NEG_INFINITY, |of| of.rouge_l.mean);
    let base = rows.iter().find(|row| row.method == reference)?;
    let pairs = rows.iter().zip(comparisons).filter_map(|(row, found)| Some((row, (*found)?)));
    let (row, found) = pairs.max_by(|a, b| mean(a.0).total_cmp(&mean(b.0)))?;
    let found = Comparison { p: row.against.and_then(|a| a.p_holm).unwrap_or(found.p), ..found };
    let sentence = if mean(row) > mean(base) {
        found.sentence(&row.method, reference, LEVEL)
    } else {
        let bounds = found.bounds.map(|(low, high)| (0.0 - high, 0.0 - low));
        Comparison { difference: 0.0 - found.difference, bounds, ..found }.sentence(reference, &row.method, LEVEL)
    };
    let all = comparisons.iter().flatten().count();
    let of = if all > 1 { format!("; Holm's p for {}", counted(all, "comparison")) } else { String::new() };
    Some(format!("R-L: {sentence}{of}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p_values_are_adjusted_as_holm_has_it() {
        let near = |got: &[f64], want: &[f64]| {
            assert!(got.len() == want.len() && got.iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-12), "{got:?}");
        };
        // Sorted: 4 * 0.005, 3 * 0.01, 2 * 0.03, and 1 * 0.04, which is not below the one before.
        near(&holm(&[0.01, 0.04, 0.03, 0.005]), &[0.03, 0.06, 0.06, 0.02]);
        near(&holm(&[0.04, 0.04, 0.04]), &[0.12; 3]);
        near(&holm(&[0.5, 0.9, 1.0]), &[1.0; 3]);
        near(&holm(&[0.03]), &[0.03]);
        near(&holm(&[]), &[]);
    }

    #[test]
    fn marks_are_by_the_adjusted_p_where_there_is_one() {
        let of = |p, p_holm| Against { difference: 1.0, bounds: None, p, p_holm };
        assert_eq!(
            (of(0.004, None).mark(), of(0.004, Some(0.012)).mark(), of(0.03, Some(0.06)).mark()),
            ("**", "*", "")
        );
        // As an earlier lopper has written it.
        let old = r#"{"difference": 1.5, "bounds": [0.5, 2.5], "p": 0.03}"#;
        let old: Result<Against, _> = serde_json::from_str(old);
        assert!(old.is_ok_and(|old| old.p_holm.is_none() && old.mark() == "*"));
    }
}
