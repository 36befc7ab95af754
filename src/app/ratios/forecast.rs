//! What ratios would make of the whole: its sparsity, exactly, and the importance it keeps, as far as the
//! journal's few figures tell.

use super::sketch::{Figures, Sketch};
use super::tidy;
use crate::app::{App, Measure};
use crate::run::event::{MatrixInfo, Modules};

/// What comes of a set of ratios.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Forecast {
    /// Entries to prune over all entries: Σ round(ratio · n) / Σ n.
    pub sparsity: f64,
    /// Share of importance that is left, the mean over the matrices by size as in the heatmap: an estimate.
    pub retained: Option<f64>,
}

/// What the journal says of matrix `at`, for a sketch of it.
pub fn figures(modules: &Modules, at: usize) -> Option<Figures> {
    let value = |column: &[Option<f32>]| column.get(at).copied().flatten().map(f64::from);
    Some(Figures {
        mean: value(&modules.importance)?,
        quantiles: modules.quantiles.get(at).copied().flatten()?.map(f64::from),
        sparsity: value(&modules.sparsity),
        retained: value(&modules.retained),
    })
}

/// The forecasts of the ratios as they are now and as the draft has them.
pub fn of_draft(app: &App) -> Option<(Forecast, Forecast)> {
    both(app, |at| app.ratios.draft.get(at))
}

/// The forecasts of the ratios as they are now and with `other` ratios for some matrices.
pub fn both(app: &App, other: impl Fn(usize) -> Option<f64>) -> Option<(Forecast, Forecast)> {
    let (started, modules) = (app.started.as_ref()?, app.drafted()?);
    let (mut now, mut then) = (Sum::default(), Sum::default());
    for (at, matrix) in started.matrices.iter().enumerate() {
        let Some(base) = app.present_ratio(at) else { continue };
        let n = matrix.rows as f64 * matrix.cols as f64;
        let sketch = figures(modules, at).and_then(|f| Sketch::new(&f));
        let wanted = other(at).unwrap_or(base);
        let known = now.add(base, n, sketch.as_ref());
        if wanted == base {
            then.take(known, n);
        } else {
            then.add(wanted, n, sketch.as_ref());
        }
    }
    (now.size > 0.0).then(|| (now.forecast(), then.forecast()))
}

/// What other ratios would make of the measures of single matrices at this step.
#[derive(Debug, Clone, Copy)]
pub struct Outlook<'a> {
    matrices: &'a [MatrixInfo],
    modules: &'a Modules,
    /// How far the schedule is, 0 to 1.
    share: f64,
}

impl<'a> Outlook<'a> {
    /// Of the step that drafts are over, `None` before there is one.
    pub fn new(app: &'a App) -> Option<Self> {
        let modules = app.drafted()?;
        Some(Self { matrices: &app.started.as_ref()?.matrices, modules, share: modules.share() })
    }

    /// A measure of matrix `at` with another ratio at the schedule's end: the sparsity exactly, retained importance as
    /// an estimate. `None` where the measure does not follow from ratios or the journal tells too little.
    pub fn of(&self, measure: Measure, at: usize, ratio: f64) -> Option<f32> {
        let matrix = self.matrices.get(at)?;
        let now = ratio * self.share;
        let value = match measure {
            Measure::Ratio => ratio,
            Measure::Sparsity => {
                let n = (matrix.rows as f64 * matrix.cols as f64).max(1.0);
                (now * n).round() / n
            }
            Measure::Retained => 1.0 - Sketch::new(&figures(self.modules, at)?)?.lost(now),
            Measure::Importance | Measure::Flips | Measure::Sensitivity => return None,
        };
        Some(value as f32)
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    pruned: f64,
    size: f64,
    retained: f64,
    sketched: f64,
}

impl Sum {
    fn add(&mut self, ratio: f64, n: f64, sketch: Option<&Sketch>) -> (f64, Option<f64>) {
        let known = ((ratio * n).round(), sketch.map(|s| 1.0 - s.lost(ratio)));
        self.take(known, n);
        known
    }

    fn take(&mut self, (pruned, retained): (f64, Option<f64>), n: f64) {
        self.pruned += pruned;
        self.size += n;
        if let Some(retained) = retained {
            self.retained += retained * n;
            self.sketched += n;
        }
    }

    fn forecast(&self) -> Forecast {
        let retained = (self.sketched > 0.0).then(|| self.retained / self.sketched);
        Forecast { sparsity: self.pruned / self.size, retained }
    }
}

/// The same retained importance in all of `matrices` (each with its size) at a mean ratio of `mean`; what cannot
/// be estimated gets the mean itself.
pub fn equal_retained(modules: &Modules, matrices: &[(usize, f64)], mean: f64) -> Vec<(usize, f64)> {
    let tables: Vec<_> = matrices
        .iter()
        .map(|(at, n)| (*at, *n, figures(modules, *at).and_then(|f| Sketch::new(&f)).map(|s| s.table())))
        .collect();
    let size: f64 = matrices.iter().map(|m| m.1).sum();
    let pruned = |lost: f64| -> f64 {
        tables.iter().map(|(_, n, table)| n * table.as_ref().map_or(mean, |t| t.ratio(lost))).sum::<f64>() / size
    };
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..40 {
        let middle = f64::midpoint(low, high);
        if pruned(middle) <= mean { low = middle } else { high = middle }
    }
    let ratio = |table: &Option<super::sketch::Table>| table.as_ref().map_or(mean, |t| t.ratio(low));
    // A percent is as fine as the estimate, and keeps the rules few.
    tables.iter().map(|(at, _, table)| (*at, tidy((ratio(table) * 100.0).round() / 100.0))).collect()
}
