//! Reading beside the screen: other runs, each on a thread of its own, which leaves what it knows where the screen finds
//! it; and what is asked for of its own.

use super::inquiry::Inquiry;
use super::threads::thread;
use crate::Result;
use crate::app::Message;
use crate::app::watch::others::Other;
use crate::run::RunDir;
use crate::run::blocks::{self, Wanted};
use crate::run::course::Course;
use crate::run::inquiry::Question;
use crate::run::listing::Listing;
use crate::run::sensitivity;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

/// Between two looks at a journal that was read to its end.
const LOOK: Duration = Duration::from_secs(1);
/// While a long journal is read, what is known so far is told so often.
const TELL: Duration = Duration::from_millis(500);

/// Where a thread leaves what it knows: the newest takes the place of what nobody has looked at.
type Slot = Arc<Mutex<Option<Arc<Other>>>>;

/// A thread at a run; it ends when this is dropped.
#[derive(Debug)]
struct Follower {
    slot: Slot,
    stop: Arc<AtomicBool>,
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// What is being read.
#[derive(Debug)]
pub(super) struct Beside {
    own: PathBuf,
    sender: mpsc::Sender<Message>,
    said: mpsc::Receiver<Message>,
    followers: HashMap<PathBuf, Follower>,
    inquiry: Inquiry,
}

impl Beside {
    /// Beside the run at `own`.
    pub(super) fn new(own: &Path) -> Self {
        let (sender, said) = mpsc::channel();
        let inquiry = Inquiry::new(own, sender.clone());
        Self { own: own.to_path_buf(), sender, said, followers: HashMap::new(), inquiry }
    }

    /// Asks a process that loads the own run, or takes a question back; its id.
    ///
    /// # Errors
    /// When that cannot be started.
    pub(super) fn inquire(&mut self, question: Question) -> Result<String> {
        self.inquiry.ask(question)
    }

    /// Begins to read what was measured of the own run's sensitivity.
    pub(super) fn sensitivity(&self) {
        self.begin("sensitivity", sensitivity);
    }

    /// Begins to look for the other runs of the folder.
    pub(super) fn list(&self) {
        self.begin("runs", runs);
    }

    /// Begins to look into a matrix of the own run.
    pub(super) fn look(&self, matrix: usize, wanted: Wanted) {
        self.begin("look", move |own| look(own, matrix, &wanted));
    }

    /// Has a thread find out something about the own run.
    fn begin(&self, name: &str, find: impl FnOnce(&Path) -> Message + Send + 'static) {
        let (own, sender) = (self.own.clone(), self.sender.clone());
        // Nobody may be there any more to hear it.
        let begun = thread(name, move || drop(sender.send(find(&own))));
        if let Err(e) = begun {
            self.sender.send(Message::Toast(e.to_string())).ok();
        }
    }

    /// Reads these runs from now on, and no others.
    pub(super) fn follow(&mut self, paths: &[PathBuf]) {
        self.followers.retain(|path, _| paths.contains(path));
        for path in paths {
            if !self.followers.contains_key(path) {
                match begin(path) {
                    Ok(follower) => drop(self.followers.insert(path.clone(), follower)),
                    Err(e) => drop(self.sender.send(Message::Toast(e.to_string()))),
                }
            }
        }
    }

    /// What is new since the last call.
    pub(super) fn news(&self) -> Vec<Message> {
        let known = self.followers.iter().filter_map(|(path, follower)| {
            let known = follower.slot.lock().unwrap_or_else(PoisonError::into_inner).take()?;
            Some(Message::Other(path.clone(), known))
        });
        self.said.try_iter().chain(known).collect()
    }
}

/// A matrix of the run at `own`, looked into.
pub(super) fn look(own: &Path, matrix: usize, wanted: &Wanted) -> Message {
    let found = RunDir::open(own).and_then(|run| blocks::read(&run, wanted)).map_err(|e| e.to_string());
    Message::Looked { matrix, found }
}

/// What was measured of the sensitivity of the run at `own`.
pub(super) fn sensitivity(own: &Path) -> Message {
    let read = RunDir::open(own).and_then(|run| sensitivity::read(&run));
    read.map_or_else(|e| Message::Toast(e.to_string()), Message::Sensitivity)
}

/// The other runs of the folder of `own`.
pub(super) fn runs(own: &Path) -> Message {
    let whole = own.canonicalize().unwrap_or_else(|_| own.to_path_buf());
    let listed = whole.parent().map_or_else(|| Ok(Vec::new()), |folder| Listing::new(folder).scan());
    match listed {
        Ok(all) => Message::Runs(all.into_iter().filter(|run| run.path != whole).collect()),
        Err(e) => Message::Toast(e.to_string()),
    }
}

/// All that is known of a run as it stands now.
pub(super) fn whole(path: &Path) -> Arc<Other> {
    let mut known = Other::default();
    let read = |known: &mut Other| -> Result<()> {
        let mut course = Course::new(RunDir::open(path)?);
        loop {
            let slice = course.poll()?;
            let caught_up = slice.caught_up;
            known.take(slice);
            if caught_up {
                return Ok(());
            }
        }
    };
    if let Err(e) = read(&mut known) {
        fail(&mut known, &e);
    }
    Arc::new(known)
}

fn fail(known: &mut Other, e: &crate::Error) {
    let error = Some(crate::app::clean::line(&e.to_string()));
    (known.reading, known.error) = (None, error);
}

fn begin(path: &Path) -> Result<Follower> {
    let follower = Follower { slot: Slot::default(), stop: Arc::new(AtomicBool::new(false)) };
    let (slot, stop, path) = (Arc::clone(&follower.slot), Arc::clone(&follower.stop), path.to_path_buf());
    thread("beside", move || read(&path, &slot, &stop))?;
    Ok(follower)
}

/// Reads a run to its end, and again as it grows, until `stop`.
fn read(path: &Path, slot: &Slot, stop: &AtomicBool) {
    let mut known = Other::default();
    let leave = |known: &Other| {
        *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(known.clone()));
    };
    let mut course = match RunDir::open(path) {
        Ok(run) => Course::new(run),
        Err(e) => {
            fail(&mut known, &e);
            return leave(&known);
        }
    };
    let (mut changed, mut told) = (false, Instant::now());
    while !stop.load(Ordering::Relaxed) {
        let caught_up = match course.poll() {
            Ok(slice) => {
                let caught_up = slice.caught_up;
                changed |= known.take(slice);
                caught_up
            }
            Err(e) => {
                changed |= known.error.is_none();
                fail(&mut known, &e);
                true
            }
        };
        if changed && (caught_up || told.elapsed() >= TELL) {
            leave(&known);
            (changed, told) = (false, Instant::now());
        }
        if caught_up {
            std::thread::sleep(LOOK);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;
    use crate::app::Quantity;
    use crate::run::event::{EventBody, Stage, Step};
    use crate::run::journal::Journal;

    fn run(folder: &Path, name: &str) -> PathBuf {
        let path = folder.join(name);
        std::fs::create_dir(&path).unwrap();
        std::fs::write(path.join("recipe.toml"), "").unwrap();
        path
    }

    /// The points of the training loss that the screen knows after some more news.
    fn points(beside: &Beside, at_least: usize) -> usize {
        loop {
            for message in beside.news() {
                if let Message::Other(_, known) = message
                    && let Some(points) = known.curves("m", Quantity::Loss).map(|c| c.train.points().len())
                    && points >= at_least
                {
                    return points;
                }
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn a_run_is_read_and_read_again_as_it_grows() {
        let folder = tempfile::tempdir().unwrap();
        let (own, other) = (run(folder.path(), "own"), run(folder.path(), "other"));
        let mut journal = Journal::open(&other.join("events.jsonl")).unwrap();
        journal.append(EventBody::Stage(Stage { steps: 9, method: "m".into(), ..Stage::default() })).unwrap();
        let step = |step| EventBody::Step(Step { step, loss: 1.0, ..Step::default() });
        journal.append(step(1)).unwrap();
        let Message::Runs(runs) = runs(&own) else { panic!("no list") };
        assert_eq!(runs.iter().map(|run| run.name.as_str()).collect::<Vec<_>>(), ["other"]);
        let mut beside = Beside::new(&own);
        beside.follow(std::slice::from_ref(&other));
        assert_eq!(points(&beside, 1), 1);
        journal.append(step(2)).unwrap();
        journal.append(step(3)).unwrap();
        assert_eq!(points(&beside, 3), 3);
        assert_eq!(whole(&other).curves("m", Quantity::Loss).unwrap().train.points().len(), 3);
        beside.follow(&[]);
        assert!(beside.followers.is_empty() && beside.news().is_empty());
        assert!(whole(&folder.path().join("gone")).error.as_ref().is_some_and(|e| e.contains("no such folder")));
    }
}
