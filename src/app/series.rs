//! A curve that stays small however long the run is.

/// Points that are kept; above it neighbours are joined.
const LIMIT: usize = 4096;

/// Values by step, with a debiased moving mean.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Series {
    points: Vec<(f64, f64)>,
    smooth: Vec<(f64, f64)>,
    mean: f64,
    weight: f64,
    count: usize,
}

impl Series {
    /// Adds a value. A step that is not behind the last one takes the place of it and of what follows: a
    /// run that is resumed goes on from its checkpoint.
    pub fn push(&mut self, step: f64, value: f64) {
        const KEEP: f64 = 0.8;
        if self.points.last().is_some_and(|last| last.0 >= step) {
            self.points.retain(|p| p.0 < step);
            self.smooth.retain(|p| p.0 < step);
            (self.mean, self.weight) = self.smooth.last().map_or((0.0, 0.0), |p| (p.1, 1.0));
            self.count = self.points.len();
        }
        self.mean = KEEP * self.mean + (1.0 - KEEP) * value;
        self.weight = KEEP * self.weight + (1.0 - KEEP);
        self.points.push((step, value));
        self.smooth.push((step, self.mean / self.weight));
        self.count += 1;
        if self.points.len() > LIMIT {
            self.thin();
        }
    }

    /// Of four neighbours the lowest and the highest stay, so that no spike gets lost.
    fn thin(&mut self) {
        let mut kept = Vec::with_capacity(LIMIT / 2 + 2);
        for four in self.points.chunks(4) {
            let low = four.iter().copied().min_by(|a, b| a.1.total_cmp(&b.1));
            let high = four.iter().copied().max_by(|a, b| a.1.total_cmp(&b.1));
            let (Some(low), Some(high)) = (low, high) else { continue };
            kept.push(if low.0 <= high.0 { low } else { high });
            if low.0 != high.0 {
                kept.push(if low.0 <= high.0 { high } else { low });
            }
        }
        self.points = kept;
        self.smooth = self.smooth.iter().copied().skip(1).step_by(2).collect();
    }

    /// The raw points.
    pub fn points(&self) -> &[(f64, f64)] {
        &self.points
    }

    /// The moving mean.
    pub fn smooth(&self) -> &[(f64, f64)] {
        &self.smooth
    }

    /// Values that were added.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether none was.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The newest value.
    pub fn last(&self) -> Option<f64> {
        self.points.last().map(|p| p.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_million_points_stay_few_and_keep_their_spikes() {
        let mut series = Series::default();
        for i in 0..1_000_000 {
            series.push(f64::from(i), if i == 123_456 { 99.0 } else { 1.0 });
        }
        assert!(series.points().len() <= LIMIT && series.smooth().len() <= LIMIT);
        assert!(series.points().iter().any(|p| p.1 == 99.0));
        assert!(series.points().windows(2).all(|w| w[0].0 < w[1].0));
        assert_eq!(series.len(), 1_000_000);
    }

    #[test]
    fn a_resumed_run_goes_on_from_its_checkpoint() {
        let mut series = Series::default();
        for (step, value) in [(1.0, 4.0), (2.0, 3.0), (3.0, 9.0), (4.0, 9.0), (3.0, 2.0)] {
            series.push(step, value);
        }
        assert_eq!(series.points(), [(1.0, 4.0), (2.0, 3.0), (3.0, 2.0)]);
        assert_eq!(series.smooth().len(), 3);
        assert!(series.smooth()[2].1 < 4.0);
    }

    #[test]
    fn the_mean_is_not_biased_towards_zero_at_the_start() {
        let mut series = Series::default();
        series.push(1.0, 4.0);
        assert!((series.smooth()[0].1 - 4.0).abs() < 1e-12);
    }
}
