//! A run that is over, told once more: its events at the pace at which they were written, or faster.

use super::event::{Event, EventBody};
use super::journal::Reader;
use super::tail::TailUpdate;
use super::{RunDir, RunState};
use crate::{Error, Result};
use std::collections::VecDeque;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Nobody waits longer for the next event: a run may have stood still for days.
const LONGEST: Duration = Duration::from_secs(2);
/// Events that are told at once, and read ahead, at most...
const MOST: usize = 100;
/// ... and bytes of the journal that are read ahead, about.
const AHEAD: u64 = 1024 * 1024;
/// Between looks at the clock.
const LOOK: Duration = Duration::from_millis(20);

/// The time of the journal while it is replayed.
#[derive(Debug)]
pub struct Clock(Mutex<Hand>);

/// Where the clock stood when it was last set, and whether it stands.
#[derive(Debug, Clone, Copy)]
struct Hand {
    at: f64,
    since: Instant,
    speed: f64,
    paused: bool,
}

impl Hand {
    fn now(&self) -> f64 {
        if self.paused { self.at } else { self.at + self.since.elapsed().as_secs_f64() * self.speed }
    }

    fn set(&mut self, at: f64) {
        (self.at, self.since) = (at, Instant::now());
    }
}

impl Clock {
    fn new(at: f64, speed: f64) -> Self {
        Self(Mutex::new(Hand { at, since: Instant::now(), speed, paused: false }))
    }

    fn with<T>(&self, take: impl FnOnce(&mut Hand) -> T) -> T {
        // A hand is whole after every statement, also after one that panicked.
        take(&mut self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    /// The journal's time, Unix seconds.
    pub fn now(&self) -> f64 {
        self.with(|hand| hand.now())
    }

    /// Whether it stands.
    pub fn is_paused(&self) -> bool {
        self.with(|hand| hand.paused)
    }

    /// Stops it, or lets it go on.
    pub fn toggle(&self) {
        self.with(|hand| {
            hand.set(hand.now());
            hand.paused = !hand.paused;
        });
    }

    /// Leaves out what lies further ahead than anybody waits.
    fn shorten(&self, next: f64) {
        self.with(|hand| {
            let latest = next - LONGEST.as_secs_f64() * hand.speed;
            if !hand.paused && hand.now() < latest {
                hand.set(latest);
            }
        });
    }
}

/// Tells the events of the run at `path` as they come due, `speed` times as fast as they came, until `stop` or
/// until nobody receives any more.
///
/// # Errors
/// When it is no run, or none that is over, or no thread can be started.
pub fn follow(
    path: &Path,
    speed: f64,
    sender: mpsc::SyncSender<TailUpdate>,
    stop: Arc<AtomicBool>,
) -> Result<(Arc<Clock>, JoinHandle<()>)> {
    let dir = RunDir::open(path)?;
    let end = dir.state();
    if !end.is_over() {
        let sentence = format!("{} is {}: a replay needs a run that is over", dir.path().display(), end.word());
        return Err(Error::user(sentence));
    }
    let mut events = Ahead { reader: Reader::new(&dir.journal_file()), read: VecDeque::new() }.peekable();
    let clock = Arc::new(Clock::new(events.peek().map_or(0.0, |e| e.t), speed));
    let hand = Arc::clone(&clock);
    let thread = std::thread::Builder::new()
        .name("replay".into())
        .spawn(move || tell(events, end, &hand, &sender, &stop))
        .map_err(|e| Error::fault(format!("no thread could be started: {e}")))?;
    Ok((clock, thread))
}

/// The events of a journal, read a little ahead of who takes them.
struct Ahead {
    reader: Reader,
    read: VecDeque<Event>,
}

impl Iterator for Ahead {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        if self.read.is_empty() {
            // What cannot be read any more is where the tale ends.
            self.read = self.reader.read(MOST, AHEAD).unwrap_or_default().into();
        }
        self.read.pop_front()
    }
}

fn tell(
    events: impl Iterator<Item = Event>,
    end: RunState,
    clock: &Clock,
    sender: &mpsc::SyncSender<TailUpdate>,
    stop: &AtomicBool,
) {
    let mut left = events.peekable();
    let (mut paused, mut told) = (false, None);
    while !stop.load(Ordering::Relaxed) {
        if let Some(next) = left.peek() {
            clock.shorten(next.t);
        }
        let now = clock.now();
        let mut due = Vec::new();
        while let Some(event) = left.next_if(|e| due.len() < MOST && e.t <= now) {
            if let EventBody::Paused { paused: to } = event.body {
                paused = to;
            }
            due.push(event);
        }
        let state = match left.peek() {
            None => end,
            Some(_) if paused || clock.is_paused() => RunState::Paused,
            Some(_) => RunState::Running,
        };
        let over = left.peek().is_none();
        let more = due.len() == MOST;
        if !due.is_empty() || told != Some(state) {
            told = Some(state);
            let news = TailUpdate { events: due, state, skipped: 0, caught_up: true, read: None, gone: None };
            if sender.send(news).is_err() || over {
                return;
            }
        }
        if !more {
            std::thread::sleep(LOOK);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn events(times: &[f64]) -> Vec<Event> {
        let event = |(seq, t): (usize, &f64)| Event { v: 1, seq: seq as u64, t: *t, body: EventBody::Heartbeat {} };
        times.iter().enumerate().map(event).collect()
    }

    #[test]
    fn events_come_in_order_and_a_long_silence_is_cut() {
        let (sender, news) = mpsc::sync_channel(100);
        // Ten seconds at 100x, then a week.
        let all = events(&[1000.0, 1005.0, 1010.0, 1010.0 + 604_800.0]);
        let clock = Clock::new(1000.0, 100.0);
        let start = Instant::now();
        tell(all.into_iter(), RunState::Finished, &clock, &sender, &AtomicBool::new(false));
        let took = start.elapsed();
        assert!(took >= Duration::from_millis(100) && took < Duration::from_secs(20), "{took:?}");
        let told: Vec<TailUpdate> = news.try_iter().collect();
        let seqs: Vec<u64> = told.iter().flat_map(|u| &u.events).map(|e| e.seq).collect();
        assert_eq!(seqs, [0, 1, 2, 3]);
        assert!(told.len() >= 3);
        let (last, before) = told.split_last().unwrap();
        assert_eq!(last.state, RunState::Finished);
        assert!(before.iter().all(|u| u.state == RunState::Running));
    }

    #[test]
    fn a_clock_that_stands_tells_nothing() {
        let (sender, news) = mpsc::sync_channel(100);
        let clock = Arc::new(Clock::new(1000.0, 1000.0));
        clock.toggle();
        assert!(clock.is_paused());
        let stop = Arc::new(AtomicBool::new(false));
        let (hand, flag) = (Arc::clone(&clock), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            tell(events(&[1001.0, 1002.0]).into_iter(), RunState::Stopped, &hand, &sender, &flag);
        });
        let first = news.recv().unwrap();
        assert!(first.events.is_empty() && first.state == RunState::Paused);
        assert!(news.recv_timeout(Duration::from_millis(200)).is_err());
        clock.toggle();
        let told: Vec<TailUpdate> = news.iter().collect();
        assert_eq!(told.iter().map(|u| u.events.len()).sum::<usize>(), 2);
        assert_eq!(told.last().unwrap().state, RunState::Stopped);
        thread.join().unwrap();
        assert_eq!(clock.now() >= 1002.0, !stop.load(Ordering::Relaxed));
    }
}
