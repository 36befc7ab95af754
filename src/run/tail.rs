//! Following a run: its events as they are written, and whether its worker lives.

use super::event::{Event, EventBody};
use super::journal::Reader;
use super::{RunDir, RunState};
use crate::{Error, Result};
use notify::{RecursiveMode, Watcher};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

/// Events in one slice.
const SLICE: usize = 2000;
/// Bytes in one slice, about: read in a few milliseconds, so that a reader that shows it still hears its user.
const SLICE_BYTES: u64 = 1024 * 1024;
/// Slices that wait for a reader at most: a long journal is not kept in memory as events.
pub const WAITING: usize = 4;
/// A journal is said to be read as long as more than this of it is left, bytes.
const BEHIND: u64 = 4 * SLICE_BYTES;
/// File watching is not to be had everywhere (NFS): look anyway after this time.
const LOOK: Duration = Duration::from_millis(250);

/// News of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct TailUpdate {
    /// New events, in order.
    pub events: Vec<Event>,
    /// How the run stands.
    pub state: RunState,
    /// Lines so far that were no events.
    pub skipped: u64,
    /// Whether this is all there is for now.
    pub caught_up: bool,
    /// The share of a long journal that has been read, 0 to 1, while much of it is left.
    pub read: Option<f32>,
    /// What is known of a worker that is gone without a last word.
    pub gone: Option<String>,
}

/// A follower that is asked for news.
#[derive(Debug)]
pub struct Tail {
    dir: RunDir,
    reader: Reader,
    paused: bool,
    /// What is known of a worker that is gone without a last word; looked up once.
    gone: Option<String>,
}

impl Tail {
    /// Follows `dir` from its first event.
    pub fn new(dir: RunDir) -> Self {
        let reader = Reader::new(&dir.journal_file());
        Self { dir, reader, paused: false, gone: None }
    }

    /// Follows `dir` from what is written next, as after a resume.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub fn from_end(dir: RunDir) -> Result<Self> {
        let mut tail = Self::new(dir);
        tail.reader.skip_to_end()?;
        Ok(tail)
    }

    /// The next slice of events and the state.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub fn poll(&mut self) -> Result<TailUpdate> {
        // The state first: what a worker wrote before its last word is then in the slices that follow.
        let state = self.dir.state();
        let events = self.reader.read(SLICE, SLICE_BYTES)?;
        for event in &events {
            match event.body {
                EventBody::Paused { paused } => self.paused = paused,
                EventBody::Started(_) => self.paused = false,
                _ => {}
            }
        }
        let caught_up = events.is_empty();
        let state = match state {
            // The last word counts once everything before it was read.
            state if state.is_over() && !caught_up => RunState::Running,
            RunState::Running if self.paused => RunState::Paused,
            state => state,
        };
        let (done, length) = (self.reader.offset(), self.reader.length());
        let read = (length.saturating_sub(done) > BEHIND).then(|| done as f32 / length as f32);
        match (state, &self.gone) {
            (RunState::Crashed, None) => self.gone = Some(super::crash::sentence(&self.dir)),
            (RunState::Crashed, Some(_)) => {}
            _ => self.gone = None,
        }
        let gone = self.gone.clone();
        Ok(TailUpdate { events, state, skipped: self.reader.skipped, caught_up, read, gone })
    }
}

/// Follows the run at `path` on a thread of its own and sends what is new, until `stop` or until nobody
/// receives any more. Nothing is sent while nothing changes, and nothing is read while [`WAITING`] slices wait.
///
/// # Errors
/// When it is no run directory or no thread can be started.
pub fn follow(path: &Path, sender: mpsc::SyncSender<TailUpdate>, stop: Arc<AtomicBool>) -> Result<JoinHandle<()>> {
    let dir = RunDir::open(path)?;
    let run = move || {
        let (wake, woken) = mpsc::channel();
        let watcher = notify::recommended_watcher(move |notice| {
            if is_news(&notice) {
                wake.send(()).ok();
            }
        })
        .and_then(|mut watcher| watcher.watch(dir.path(), RecursiveMode::NonRecursive).map(|()| watcher));
        let mut tail = Tail::new(dir);
        let mut last = None;
        while !stop.load(Ordering::Relaxed) {
            if let Ok(update) = tail.poll() {
                let more = !update.events.is_empty();
                let shown = (update.state, update.skipped, update.caught_up);
                if (more || last != Some(shown)) && sender.send(update).is_err() {
                    return;
                }
                last = Some(shown);
                if more {
                    continue;
                }
            }
            if watcher.is_ok() {
                woken.recv_timeout(LOOK).ok();
                // One write makes several notices.
                while woken.try_recv().is_ok() {}
            } else {
                std::thread::sleep(LOOK);
            }
        }
    };
    std::thread::Builder::new()
        .name("tail".into())
        .spawn(run)
        .map_err(|e| Error::fault(format!("no thread could be started: {e}")))
}

/// Whether something may have been written: files that are opened and read are no news, this follower does that
/// itself.
fn is_news(notice: &notify::Result<notify::Event>) -> bool {
    !notice.as_ref().is_ok_and(|notice| notice.kind.is_access())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::run::journal::Journal;
    use notify::event::{AccessKind, CreateKind, EventKind, ModifyKind};

    #[test]
    fn what_the_follower_does_itself_does_not_wake_it() {
        let notice = |kind| Ok(notify::Event::new(kind));
        assert!(!is_news(&notice(EventKind::Access(AccessKind::Any))));
        assert!(is_news(&notice(EventKind::Modify(ModifyKind::Any))));
        assert!(is_news(&notice(EventKind::Create(CreateKind::File))));
        assert!(is_news(&Err(notify::Error::generic("x"))));
    }

    #[test]
    fn of_a_long_journal_the_share_is_told_that_was_read() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("recipe.toml"), "").unwrap();
        let mut journal = Journal::open(&folder.path().join("events.jsonl")).unwrap();
        let text = "x".repeat(64 * 1024);
        for _ in 0..160 {
            journal.append(EventBody::Warning { text: text.clone() }).unwrap();
        }
        let mut tail = Tail::new(RunDir::open(folder.path()).unwrap());
        let mut all: Vec<TailUpdate> = Vec::new();
        while all.last().is_none_or(|last| !last.caught_up) {
            all.push(tail.poll().unwrap());
        }
        let shares: Vec<f32> = all.iter().map_while(|update| update.read).collect();
        assert!(shares.len() > 4 && shares.windows(2).all(|w| w[0] < w[1]), "{shares:?}");
        assert!(shares[0] > 0.05 && shares[0] < 0.2 && all[shares.len()..].iter().all(|u| u.read.is_none()));
        assert!(all.iter().all(|update| update.events.len() <= 17), "a slice is small");
        assert_eq!(all.iter().map(|update| update.events.len()).sum::<usize>(), 160);
    }
}
