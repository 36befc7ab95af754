//! How far a download is, for whoever looks.

use crate::hub::client::RepositoryFile;
use crate::text::printable;
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The rate is that of the last seconds.
const WINDOW: Duration = Duration::from_secs(5);

/// What happens to a file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum State {
    /// It has not begun.
    #[default]
    Waiting,
    /// Another program fetches it.
    Locked,
    /// Bytes arrive.
    Running,
    /// The connection broke; it is tried again.
    Again,
    /// It is there, checked.
    Done,
    /// It cannot be fetched: the sentence.
    Failed(String),
}

/// A file of a download.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Its path in the repository, safe to show.
    pub path: String,
    /// Bytes in all.
    pub size: u64,
    /// Bytes that are there.
    pub done: u64,
    /// What happens to it.
    pub state: State,
}

/// The files of a download and how far each is. Shared between the task that fetches and the one that shows.
#[derive(Debug, Default)]
pub struct Board(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    lines: Vec<Line>,
    /// Bytes that arrived by the network.
    arrived: u64,
    /// When how many had arrived.
    marks: VecDeque<(Instant, u64)>,
}

/// A download at one moment.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Standing {
    /// Its files.
    pub lines: Vec<Line>,
    /// Bytes that are there.
    pub done: u64,
    /// Bytes in all.
    pub total: u64,
    /// Bytes a second that arrive now.
    pub rate: f64,
    /// Seconds until the end, if bytes arrive.
    pub left: Option<f64>,
}

impl Board {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Names the files.
    pub(super) fn begin(&self, files: &[RepositoryFile]) {
        let line = |file: &RepositoryFile| Line {
            path: printable(&file.path).into_owned(),
            size: file.size,
            done: 0,
            state: State::Waiting,
        };
        *self.inner() = Inner { lines: files.iter().map(line).collect(), ..Inner::default() };
    }

    pub(super) fn set(&self, index: usize, state: State) {
        if let Some(line) = self.inner().lines.get_mut(index) {
            line.state = state;
        }
    }

    /// Says how many bytes of a file are there.
    pub(super) fn at(&self, index: usize, done: u64) {
        let mut inner = self.inner();
        let Some(line) = inner.lines.get_mut(index) else { return };
        let running = line.state == State::Running;
        let more = done.saturating_sub(line.done);
        line.done = done;
        // What lay on the disk already did not arrive now.
        if running {
            inner.arrived += more;
        }
    }

    /// Bytes that arrived by the network.
    pub fn arrived(&self) -> u64 {
        self.inner().arrived
    }

    /// How far it is now.
    pub fn standing(&self) -> Standing {
        self.standing_at(Instant::now())
    }

    fn standing_at(&self, now: Instant) -> Standing {
        let mut inner = self.inner();
        let arrived = inner.arrived;
        inner.marks.push_back((now, arrived));
        while inner.marks.len() > 2 && now.duration_since(inner.marks[1].0) >= WINDOW {
            inner.marks.pop_front();
        }
        let (since, before) = inner.marks[0];
        let seconds = now.duration_since(since).as_secs_f64();
        let rate = if seconds > 0.0 { (arrived - before) as f64 / seconds } else { 0.0 };
        let done: u64 = inner.lines.iter().map(|l| l.done).sum();
        let total: u64 = inner.lines.iter().map(|l| l.size).sum();
        let left = (rate > 0.0).then(|| total.saturating_sub(done) as f64 / rate);
        Standing { lines: inner.lines.clone(), done, total, rate, left }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_that_of_the_last_seconds_and_counts_no_resumed_bytes() {
        let board = Board::default();
        let file = |path: &str, size| RepositoryFile { path: path.into(), size, oid: String::new() };
        board.begin(&[file("a", 1000), file("b\x1b", 100)]);
        let start = Instant::now();
        board.at(0, 500);
        board.set(0, State::Running);
        assert_eq!((board.standing_at(start).done, board.standing_at(start).left), (500, None));
        board.at(0, 600);
        let then = board.standing_at(start + Duration::from_secs(2));
        assert_eq!((then.rate, then.left, then.total), (50.0, Some(10.0), 1100));
        assert_eq!(then.lines[1].path, "b\\u{1b}");
        // Nothing for a long time: nothing arrives.
        board.standing_at(start + Duration::from_secs(10));
        let later = board.standing_at(start + Duration::from_secs(16));
        assert_eq!((later.rate, later.left), (0.0, None));
    }
}
