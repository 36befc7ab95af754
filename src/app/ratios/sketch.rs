//! How a matrix's importance is spread, rebuilt from the few figures that the journal holds of it: an estimate.

/// Knots of a [`Table`], equally spaced from 0 to 1.
const KNOTS: usize = 129;

/// The share of the summed importance that lies in the least important entries, as a curve over their share.
///
/// Between the quantiles importance is taken to grow by equal factors, as it nearly does where it is a product of
/// a weight and a norm; above the last as an exponential tail with the mean that is left for it. Where the run has measured what a mask leaves, the curve is bent through that point.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sketch {
    /// Quantiles 0.1, 0.5, 0.9 over the mean.
    quantiles: [f64; 3],
    /// What the tail's mean lies above the last quantile, over the mean.
    tail: f64,
    /// Sparsity and lost share that were measured, with what the curve says there.
    measured: Option<[f64; 3]>,
}

/// What the journal says of a matrix.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Figures {
    /// Mean importance.
    pub mean: f64,
    /// Importance at the quantiles 0.1, 0.5, 0.9.
    pub quantiles: [f64; 3],
    /// Share that is zero.
    pub sparsity: Option<f64>,
    /// Share of the importance that is left.
    pub retained: Option<f64>,
}

impl Sketch {
    /// The curve of a matrix, `None` where the figures give none.
    pub fn new(figures: &Figures) -> Option<Self> {
        let (mean, mut q) = (figures.mean, figures.quantiles);
        if !(mean > 0.0 && mean.is_finite() && q.iter().all(|q| q.is_finite() && *q >= 0.0)) {
            return None;
        }
        q = q.map(|q| q / mean);
        q[1] = q[1].max(q[0]);
        q[2] = q[2].max(q[1]);
        // Rounded figures, or a mass that is denser than linear: what the quantiles claim may be too much.
        let body = body(&q);
        let room = 1.0 - body - 0.1 * q[2];
        if room < 0.0 {
            let scale = 1.0 / (body + 0.1 * q[2]);
            q = q.map(|q| q * scale);
        }
        let mut sketch = Self { quantiles: q, tail: room.max(0.0) * 10.0, measured: None };
        if let (Some(sparsity), Some(retained)) = (figures.sparsity, figures.retained) {
            let raw = sketch.raw(sparsity);
            let sane = (0.0..=1.0).contains(&retained) && sparsity > 0.01 && sparsity < 0.99;
            if sane && raw > 1e-9 && raw < 1.0 - 1e-9 {
                sketch.measured = Some([sparsity, 1.0 - retained, raw]);
            }
        }
        Some(sketch)
    }

    /// The share of importance in the least important `share` of the entries, before the measured point.
    fn raw(&self, share: f64) -> f64 {
        let [a, b, c] = self.quantiles;
        let p = share.clamp(0.0, 1.0);
        let mut sum = linear(p.min(0.1), 0.0, a, 0.1);
        if p > 0.1 {
            sum += growing((p - 0.1).min(0.4), a, b, 0.4);
        }
        if p > 0.5 {
            sum += growing((p - 0.5).min(0.4), b, c, 0.4);
        }
        if p > 0.9 {
            let u = ((p - 0.9) / 0.1).min(1.0);
            let rest = 1.0 - u;
            let log = if rest > 1e-12 { rest * rest.ln() } else { 0.0 };
            sum += 0.1 * (c * u + self.tail * (log + u));
        }
        sum.clamp(0.0, 1.0)
    }

    /// The share of importance that is lost where `ratio` of the entries are pruned.
    pub fn lost(&self, ratio: f64) -> f64 {
        let raw = self.raw(ratio);
        match self.measured {
            Some([at, lost, there]) if ratio <= at => (raw * lost / there).min(lost),
            Some([_, lost, there]) => 1.0 - (1.0 - raw) * (1.0 - lost) / (1.0 - there),
            None => raw,
        }
    }

    /// The curve for many look-ups the other way round.
    pub fn table(&self) -> Table {
        let mut lost = [0.0; KNOTS];
        let mut most = 0.0f64;
        for (i, place) in lost.iter_mut().enumerate() {
            most = most.max(self.lost(i as f64 / (KNOTS - 1) as f64));
            *place = most;
        }
        Table { lost }
    }
}

fn body([a, b, c]: &[f64; 3]) -> f64 {
    linear(0.1, 0.0, *a, 0.1) + growing(0.4, *a, *b, 0.4) + growing(0.4, *b, *c, 0.4)
}

/// The integral over the first `x` of a line that goes from one value to another over `width`.
fn linear(x: f64, from: f64, to: f64, width: f64) -> f64 {
    x * (from + (to - from) * x / (2.0 * width))
}

/// The same of a curve that grows by equal factors.
fn growing(x: f64, from: f64, to: f64, width: f64) -> f64 {
    let factor = to / from;
    if from <= 0.0 || factor < 1.001 {
        return linear(x, from, to, width);
    }
    let log = factor.ln();
    width * from * ((log * x / width).exp() - 1.0) / log
}

/// A sketch at equally spaced shares, never falling.
#[derive(Debug, Clone)]
pub struct Table {
    lost: [f64; KNOTS],
}

impl Table {
    /// The largest ratio that loses no more than `lost` of the importance.
    pub fn ratio(&self, lost: f64) -> f64 {
        let above = self.lost.partition_point(|l| *l <= lost);
        let Some(high) = self.lost.get(above) else { return 1.0 };
        let Some(below) = above.checked_sub(1) else { return 0.0 };
        let low = self.lost[below];
        let part = if high - low > 1e-15 { (lost - low) / (high - low) } else { 0.0 };
        (below as f64 + part) / (KNOTS - 1) as f64
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Entries of a distribution, sorted: its figures at a sparsity, and what a ratio loses in truth.
    fn figures(entries: &[f64], sparsity: f64) -> Figures {
        let n = entries.len();
        let at = |q: f64| entries[((n - 1) as f64 * q) as usize];
        Figures {
            mean: entries.iter().sum::<f64>() / n as f64,
            quantiles: [at(0.1), at(0.5), at(0.9)],
            sparsity: Some(sparsity),
            retained: Some(1.0 - lost(entries, sparsity)),
        }
    }

    fn lost(entries: &[f64], ratio: f64) -> f64 {
        let k = (ratio * entries.len() as f64).round() as usize;
        entries[..k].iter().sum::<f64>() / entries.iter().sum::<f64>()
    }

    /// Importance of an entry by its rank.
    type Shape<'a> = &'a dyn Fn(usize) -> f64;

    #[test]
    fn it_is_near_the_truth_where_that_is_known() {
        let uniform = |i: usize| (i as f64 + 0.5) / 10_000.0;
        let exponential = |i: usize| -(1.0 - uniform(i)).ln();
        let slim = |i: usize| exponential(i).powf(0.7);
        let heavy = |i: usize| exponential(i).powf(1.5);
        // How far it is off at most: with a measured point, without one.
        let shapes: [(Shape<'_>, [f64; 2]); 4] =
            [(&uniform, [0.05, 0.06]), (&slim, [0.02, 0.035]), (&exponential, [0.01, 0.03]), (&heavy, [0.03, 0.04])];
        for (shape, within) in shapes {
            let entries: Vec<f64> = (0..10_000).map(shape).collect();
            let measured = figures(&entries, 0.5);
            for (figures, within) in [measured, Figures { retained: None, ..measured }].into_iter().zip(within) {
                let sketch = Sketch::new(&figures).unwrap();
                for i in 0..=20 {
                    let ratio = f64::from(i) / 20.0;
                    let off = (sketch.lost(ratio) - lost(&entries, ratio)).abs();
                    assert!(off <= within, "{ratio}: {off}");
                }
            }
        }
    }

    #[test]
    fn it_never_falls_starts_at_nothing_ends_at_all_and_meets_what_was_measured() {
        let odd = [
            Figures { mean: 1.0, quantiles: [0.1, 0.6, 2.0], sparsity: Some(0.5), retained: Some(0.9) },
            Figures { mean: 1.0, quantiles: [3.0, 2.0, 1.0], sparsity: Some(0.7), retained: Some(0.2) },
            Figures { mean: 1.0, quantiles: [0.0, 0.0, 0.0], sparsity: Some(0.5), retained: Some(1.0) },
            Figures { mean: 2.0, quantiles: [5.0, 5.0, 5.0], sparsity: None, retained: None },
        ];
        for figures in odd {
            let sketch = Sketch::new(&figures).unwrap();
            let all: Vec<f64> = (0..=1000).map(|i| sketch.lost(f64::from(i) / 1000.0)).collect();
            assert!(all.windows(2).all(|w| w[1] >= w[0] - 1e-12), "{figures:?}");
            assert!(all[0].abs() < 1e-9 && (all[1000] - 1.0).abs() < 1e-9, "{figures:?} {} {}", all[0], all[1000]);
            let table = sketch.table();
            for lost in [0.0, 0.01, 0.1, 0.5, 0.99] {
                assert!(sketch.lost(table.ratio(lost)) <= lost + 0.02, "{figures:?} {lost}");
            }
            assert_eq!(table.ratio(1.0), 1.0);
        }
        let met = Sketch::new(&odd[0]).unwrap().lost(0.5);
        assert!((met - 0.1).abs() < 1e-9, "{met}");
        assert_eq!(Sketch::new(&Figures::default()), None);
        assert_eq!(Sketch::new(&Figures { mean: f64::NAN, ..odd[0] }), None);
    }
}
