//! How fast something goes, and when it will be done: the time of pauses does not count.

/// Progress over time.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Pace {
    /// Unix time and units at the first news.
    first: Option<(f64, f64)>,
    /// The same at the last.
    last: Option<(f64, f64)>,
    /// Seconds of pauses between the first and the last news.
    paused: f64,
    /// Seconds of pauses since the last news, over already.
    since: f64,
    /// When the pause began that still goes on.
    began: Option<f64>,
}

impl Pace {
    /// So many units are done at `t`.
    pub fn reach(&mut self, t: f64, done: f64) {
        // News end a pause, also one whose end was not told.
        self.go_on(t);
        if self.first.is_none_or(|(_, first)| done < first) {
            *self = Self { first: Some((t, done)), ..Self::default() };
        }
        self.paused += std::mem::take(&mut self.since);
        self.last = Some((t, done));
    }

    /// A pause begins.
    pub fn pause(&mut self, t: f64) {
        self.began.get_or_insert(t);
    }

    /// It ends.
    pub fn go_on(&mut self, t: f64) {
        if let Some(began) = self.began.take() {
            self.since += (t - began).max(0.0);
        }
    }

    /// Working seconds per unit, from the first news to the last.
    pub fn seconds_per_unit(&self) -> Option<f64> {
        let ((t0, n0), (t1, n1)) = (self.first?, self.last?);
        (n1 > n0).then(|| (t1 - t0 - self.paused).max(0.0) / (n1 - n0))
    }

    /// Seconds of work left at `now` until `total` units are done.
    pub fn left(&self, now: f64, total: f64) -> Option<f64> {
        let (t, done) = self.last?;
        let pauses = self.since + self.began.map_or(0.0, |began| (now - began).max(0.0));
        let worked = (now - t - pauses).max(0.0);
        Some((self.seconds_per_unit()? * (total - done).max(0.0) - worked).max(0.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_of_pauses_does_not_count() {
        let mut pace = Pace::default();
        pace.reach(100.0, 1.0);
        assert_eq!(pace.left(100.0, 11.0), None);
        pace.reach(102.0, 2.0);
        assert_eq!(pace.left(102.0, 11.0), Some(18.0));
        pace.pause(103.0);
        // A second news of the same pause.
        pace.pause(500.0);
        assert_eq!(pace.left(1000.0, 11.0), Some(17.0));
        pace.go_on(1103.0);
        assert_eq!(pace.left(1103.0, 11.0), Some(17.0));
        pace.reach(1104.0, 3.0);
        assert_eq!(pace.seconds_per_unit(), Some(2.0));
        assert_eq!(pace.left(1104.0, 11.0), Some(16.0));
    }

    #[test]
    fn a_stage_that_starts_again_starts_a_new_measurement() {
        let mut pace = Pace::default();
        pace.reach(0.0, 10.0);
        pace.reach(10.0, 20.0);
        pace.reach(100.0, 5.0);
        assert_eq!(pace.seconds_per_unit(), None);
        pace.reach(103.0, 6.0);
        assert_eq!(pace.left(103.0, 8.0), Some(6.0));
        // Slower than thought: nothing below zero.
        assert_eq!(pace.left(200.0, 8.0), Some(0.0));
    }
}
