//! A curve that stays small however long the run is.

/// Points that are kept; above it neighbours are joined.
const LIMIT: usize = 4096;

/// How much of the moving mean each value keeps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Smoothing {
    /// None of it: the raw curve.
    Off,
    /// 0.6.
    #[default]
    Some,
    /// 0.9.
    Much,
}

impl Smoothing {
    /// All, in the order of the key.
    pub const ALL: [Self; 3] = [Self::Off, Self::Some, Self::Much];

    /// The share that is kept.
    pub const fn keep(self) -> f64 {
        match self {
            Self::Off => 0.0,
            Self::Some => 0.6,
            Self::Much => 0.9,
        }
    }
}

/// A debiased moving mean.
#[derive(Debug, Clone, Default, PartialEq)]
struct Mean {
    points: Vec<(f64, f64)>,
    sum: f64,
    weight: f64,
}

/// Values by step, with their moving means.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Series {
    points: Vec<(f64, f64)>,
    some: Mean,
    much: Mean,
    count: usize,
}

/// Points before `step`.
fn before(points: &[(f64, f64)], step: f64) -> usize {
    points.partition_point(|p| p.0 < step)
}

impl Mean {
    fn push(&mut self, keep: f64, step: f64, value: f64) {
        self.sum = keep * self.sum + (1.0 - keep) * value;
        self.weight = keep * self.weight + (1.0 - keep);
        self.points.push((step, self.sum / self.weight));
    }

    fn go_back(&mut self, step: f64) {
        self.points.truncate(before(&self.points, step));
        (self.sum, self.weight) = self.points.last().map_or((0.0, 0.0), |p| (p.1, 1.0));
    }

    fn thin(&mut self) {
        let last = self.points.len().saturating_sub(1);
        // The newest stays: it is what the read-out shows.
        self.points =
            self.points.iter().enumerate().filter(|(i, _)| (last - i).is_multiple_of(2)).map(|p| *p.1).collect();
    }
}

impl Series {
    /// Adds a value. A step that is not behind the last one takes the place of it and of what follows: a
    /// run that is resumed goes on from its checkpoint. What is no number has no place in a curve.
    pub fn push(&mut self, step: f64, value: f64) {
        if !value.is_finite() {
            return;
        }
        if self.points.last().is_some_and(|last| last.0 >= step) {
            self.points.truncate(before(&self.points, step));
            self.some.go_back(step);
            self.much.go_back(step);
            self.count = self.points.len();
        }
        self.some.push(Smoothing::Some.keep(), step, value);
        self.much.push(Smoothing::Much.keep(), step, value);
        self.points.push((step, value));
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
        self.some.thin();
        self.much.thin();
    }

    /// The raw points.
    pub fn points(&self) -> &[(f64, f64)] {
        &self.points
    }

    /// The moving mean; the raw points without one.
    pub fn smooth(&self, smoothing: Smoothing) -> &[(f64, f64)] {
        match smoothing {
            Smoothing::Off => &self.points,
            Smoothing::Some => &self.some.points,
            Smoothing::Much => &self.much.points,
        }
    }

    /// The value of the moving mean at a step: the last one that is not behind it.
    pub fn at(&self, smoothing: Smoothing, step: f64) -> Option<f64> {
        let points = self.smooth(smoothing);
        points[..points.partition_point(|p| p.0 <= step)].last().map(|p| p.1)
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
        for smoothing in Smoothing::ALL {
            assert!(series.smooth(smoothing).len() <= LIMIT);
            assert!(series.at(smoothing, 1e9).is_some_and(|v| (v - 1.0).abs() < 1e-9));
        }
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
        let smooth = series.smooth(Smoothing::Some);
        assert!(smooth.len() == 3 && smooth[2].1 < 4.0, "{smooth:?}");
        assert_eq!([1.9, 2.0, 9.0, 0.5].map(|x| series.at(Smoothing::Off, x)), [Some(4.0), Some(3.0), Some(2.0), None]);
    }

    #[test]
    fn the_mean_is_not_biased_towards_zero_at_the_start() {
        let mut series = Series::default();
        series.push(1.0, 4.0);
        series.push(2.0, f64::NAN);
        for smoothing in Smoothing::ALL {
            assert!((series.smooth(smoothing)[0].1 - 4.0).abs() < 1e-12);
            assert_eq!(series.smooth(smoothing).len(), 1);
        }
    }
}
