//! When a screen that is all lists draws, and how long it waits for keys: the clock of its loop.

use std::time::{Duration, Instant};

/// At most thirty frames a second, those that answer keys left out.
const FRAME: Duration = Duration::from_millis(33);
/// The same over a slow link: at most four.
const SLOW_FRAME: Duration = Duration::from_millis(250);
/// Between two looks at news that are about to come.
const SOON: Duration = Duration::from_millis(10);

/// The clock of a loop.
#[derive(Debug)]
pub(super) struct Pacing {
    /// Something has changed since the last frame.
    pub(super) dirty: bool,
    /// A key has changed something: its answer does not wait for the next frame's turn.
    pub(super) keyed: bool,
    /// News are looked for so often while no key is pressed.
    look: Duration,
    /// Between two frames at least.
    frame: Duration,
    drawn: Option<Instant>,
    second: u64,
}

impl Pacing {
    /// A clock before the first frame, with looks at the news so far apart, over a slow link or not.
    pub(super) fn new(look: Duration, slow_link: bool) -> Self {
        let frame = if slow_link { SLOW_FRAME } else { FRAME };
        Self { dirty: true, keyed: false, look, frame, drawn: None, second: 0 }
    }

    /// Whether another second has begun at `now`, Unix seconds; true the first time.
    pub(super) fn ticks(&mut self, now: f64) -> bool {
        std::mem::replace(&mut self.second, now as u64) != now as u64
    }

    /// Whether a frame is to be drawn now; then it counts as drawn.
    pub(super) fn draws(&mut self) -> bool {
        let due = self.dirty && (self.keyed || self.drawn.is_none_or(|at| at.elapsed() >= self.frame));
        if due {
            (self.dirty, self.keyed, self.drawn) = (false, false, Some(Instant::now()));
        }
        due
    }

    /// So long a key may be waited for; `soon`: news are about to come.
    pub(super) fn wait(&self, soon: bool) -> Duration {
        match self.drawn {
            _ if self.dirty && self.keyed => Duration::ZERO,
            Some(at) if self.dirty => self.frame.saturating_sub(at.elapsed()),
            _ if soon => self.look.min(SOON),
            _ => self.look,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_drawn_for_a_change_and_then_not_again() {
        let mut pacing = Pacing::new(Duration::from_secs(9), false);
        assert!(pacing.draws() && !pacing.draws());
        assert_eq!((pacing.wait(false), pacing.wait(true)), (Duration::from_secs(9), SOON));
        pacing.dirty = true;
        assert!(pacing.wait(false) <= FRAME);
        // The answer to a key comes at once.
        pacing.keyed = true;
        assert!(pacing.wait(false).is_zero() && pacing.draws() && !pacing.keyed);
        pacing.dirty = true;
        std::thread::sleep(FRAME);
        assert!(pacing.draws() && !pacing.dirty);
    }

    #[test]
    fn over_a_slow_link_a_frame_waits_for_its_turn_and_a_key_does_not() {
        let mut pacing = Pacing::new(Duration::from_secs(9), true);
        assert!(pacing.draws());
        pacing.dirty = true;
        assert!(pacing.wait(false) > FRAME && !pacing.draws());
        pacing.keyed = true;
        assert!(pacing.draws());
    }

    #[test]
    fn a_second_ticks_once() {
        let mut pacing = Pacing::new(Duration::from_secs(1), false);
        let ticks = [1000.2, 1000.9, 1001.0, 1001.5, 1000.0].map(|now| pacing.ticks(now));
        assert_eq!(ticks, [true, false, true, false, true]);
    }
}
