//! The runs of a folder that answer one question: what is finished stays, the rest is gone on with or started.

use super::interrupted::Interrupted;
use super::plain;
use crate::recipe::Recipe;
use crate::run::control::{self, Command, Inbox};
use crate::run::event::{EventBody, Phase, PhaseKind, Report};
use crate::run::origin::Inputs;
use crate::run::tail::Tail;
use crate::run::{RunDir, RunState, journal, launch, lock, origin, start, worker};
use crate::study::{self, copied};
use crate::text::printable;
use crate::{Error, Result, bounded};
use std::collections::{BTreeSet, HashSet};
use std::io::Write;
use std::path::Path;
use std::sync::Mutex;

/// A line of progress; a reader that has gone away is no error.
pub fn tell(line: &str) {
    writeln!(std::io::stderr(), "{line}").ok();
}

/// The same, but not twice in this process: a folder is looked through for each of its runs.
fn tell_once(line: &str) {
    static TOLD: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    if TOLD.lock().map_or(true, |mut told| told.insert(line.to_owned())) {
        tell(line);
    }
}

/// The run of this recipe in `out`, if there is one; one whose base, adapters or data had other contents is none. A finished
/// one comes first, also where it was copied here: its figures suffice.
///
/// # Errors
/// When the folder cannot be read.
pub fn found(wanted: &Recipe, out: &Path) -> Result<Option<RunDir>> {
    match copied::finished(wanted, out)? {
        Some(run) => Ok(Some(run)),
        None => look(wanted, out, &mut tell_once),
    }
}

fn look(wanted: &Recipe, out: &Path, told: &mut dyn FnMut(&str)) -> Result<Option<RunDir>> {
    for run in RunDir::list(out)? {
        let name = run.name();
        let name = printable(&name);
        let of = match run.recipe() {
            Ok(of) => of,
            Err(e) => {
                told(&format!("{name} is left out: {}", printable(&e.to_string())));
                continue;
            }
        };
        if !study::is_of(of, wanted) {
            continue;
        }
        match origin::inputs_of(&run) {
            Ok(Inputs::Other(key)) if !matches!(run.state(), RunState::Running | RunState::Paused) => {
                told(&format!("{name} does not count: {key} has changed since"));
            }
            Ok(Inputs::Missing(key)) => {
                told(&format!("{name} counts, but {key} is missing: nothing says whether it has changed"));
                return Ok(Some(run));
            }
            _ => return Ok(Some(run)),
        }
    }
    Ok(None)
}

/// The run of this recipe in `out`, finished: found, gone on with, or started; `None` when a signal came. `begun` is told
/// which one it is as soon as it is there.
///
/// # Errors
/// When it cannot be started or does not come to its end (the sentence is the worker's; one that is gone without a word is
/// started once more); [`Error::Stopped`] where it was stopped. That of `begun`.
pub fn finished(
    wanted: &Recipe,
    out: &Path,
    ending: &mut Ending<'_>,
    begun: &mut dyn FnMut(&RunDir) -> Result<()>,
) -> Result<Option<RunDir>> {
    let (run, mut tail) = match found(wanted, out)? {
        Some(run) if run.state() == RunState::Finished => {
            begun(&run)?;
            return Ok(Some(run));
        }
        Some(run) => {
            let tail = Tail::from_end(run.clone())?;
            if !matches!(run.state(), RunState::Running | RunState::Paused) {
                launch::launch(&run)?;
            }
            (run, tail)
        }
        None => {
            let run = start::start(wanted, out)?.0;
            (run.clone(), Tail::new(run))
        }
    };
    begun(&run)?;
    let mut again = true;
    loop {
        match ending.follow(&run, tail) {
            Ok(plain::End::Over) => break,
            Ok(plain::End::Unread | plain::End::Signal(_)) => return Ok(None),
            // Who killed a worker says nothing of what it was at: it goes on, but not for ever.
            Err(error) if again && run.state() == RunState::Crashed => {
                again = false;
                tell(&format!("{}; it goes on, this once", printable(&error.to_string())));
                tail = Tail::from_end(run.clone())?;
                launch::launch(&run)?;
            }
            Err(error) => return Err(error),
        }
    }
    match worker::read_last_word(run.path()).and_then(|word| word.error()) {
        Some(error) => Err(error),
        None if run.state() == RunState::Finished => Ok(Some(run)),
        None => Err(stopped(run.path())),
    }
}

fn stopped(path: &Path) -> Error {
    let path = printable(&path.display().to_string()).into_owned();
    Error::Stopped(format!("{path} was stopped; the same command goes on with it"))
}

/// What may end the work on a study: a signal, or a stop that is sent to its folder.
#[derive(Debug)]
pub struct Ending<'a> {
    folder: &'a Path,
    signal: Interrupted,
    inbox: Inbox,
    /// When this process took the folder: what was sent before is none of its.
    since: f64,
    stop: bool,
}

impl<'a> Ending<'a> {
    /// Of the folder that this process holds.
    pub fn of(folder: &'a Path) -> Self {
        let since = lock::holder(folder).map_or(0.0, |holder| holder.since);
        let inbox = Inbox::new(folder, HashSet::new());
        Self { folder, signal: Interrupted::listen(), inbox, since, stop: false }
    }

    /// Whether a stop was sent.
    fn is_stop(&mut self) -> Result<bool> {
        let (sent, _) = self.inbox.read()?;
        self.stop |= sent.iter().any(|request| request.command == Command::Stop && request.t >= self.since);
        Ok(self.stop)
    }

    /// Whether a signal came.
    ///
    /// # Errors
    /// [`Error::Stopped`] where a stop was sent; when the folder cannot be read.
    pub fn is_near(&mut self) -> Result<bool> {
        if self.is_stop()? {
            return Err(stopped(self.folder));
        }
        Ok(self.signal.is_set())
    }

    /// Prints the events of `run` until it is over or a signal comes; a stop goes on to the run, once.
    fn follow(&mut self, run: &RunDir, tail: Tail) -> Result<plain::End> {
        let mut told = false;
        plain::follow(run, tail, &mut std::io::stderr(), &mut || {
            if !told && self.is_stop()? {
                control::send(run.path(), Command::Stop)?;
                told = true;
            }
            Ok(self.signal.signal())
        })
    }
}

/// The run of this recipe in `out` if it has failed, or its worker is gone.
///
/// # Errors
/// When the folder cannot be read.
pub fn failed(wanted: &Recipe, out: &Path) -> Result<Option<RunDir>> {
    Ok(found(wanted, out)?.filter(|run| matches!(run.state(), RunState::Failed | RunState::Crashed)))
}

/// What a run that came to no end has scored; no row where it has told none.
///
/// # Errors
/// When its journal cannot be read.
pub fn told(run: &RunDir) -> Result<Report> {
    let last = journal::last_of(&run.journal_file(), "report")?;
    Ok(last.map_or_else(Report::default, |event| match event.body {
        EventBody::Report(report) => report,
        _ => Report::default(),
    }))
}

/// The number of the stage at which a run has failed; `None` where it had not come to one since its worker began.
///
/// # Errors
/// When its journal cannot be read.
pub fn failed_at(run: &RunDir) -> Result<Option<usize>> {
    let last = |kind: &str| journal::last_of(&run.journal_file(), kind);
    let Some(stage) = last("stage")? else { return Ok(None) };
    let EventBody::Stage(begun) = stage.body else { return Ok(None) };
    // A worker that goes on loads again before it tells its stage.
    let loads = |phase: &Phase| matches!(phase.phase, PhaseKind::Load | PhaseKind::Download);
    let behind = last("phase")?.filter(|phase| phase.seq > stage.seq);
    let is_loading = behind.is_some_and(|event| matches!(&event.body, EventBody::Phase(phase) if loads(phase)));
    Ok((!is_loading).then_some(begun.index))
}

/// The report of a finished run.
///
/// # Errors
/// When it is missing or damaged.
pub fn report(run: &RunDir) -> Result<Report> {
    let path = run.result().join("report.json");
    let damaged = |e: &dyn std::fmt::Display| {
        Error::user(format!("{}: {e}; delete the run and ask again", printable(&path.display().to_string())))
    };
    let bytes = bounded::bytes(&path, bounded::SETTINGS).map_err(|e| Error::io("read", &path, &e))?;
    serde_json::from_slice(&bytes).map_err(|e| damaged(&e))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::run::control::send;

    #[test]
    fn a_stop_ends_the_work_that_it_was_sent_to() {
        let folder = tempfile::tempdir().unwrap();
        send(folder.path(), Command::Stop).unwrap();
        let _held = lock::Lock::take(folder.path()).unwrap();
        assert_eq!(Ending::of(folder.path()).is_near(), Ok(false), "of an earlier process");
        send(folder.path(), Command::Pause).unwrap();
        assert_eq!(Ending::of(folder.path()).is_near(), Ok(false));
        // Also one that is sent before anybody listens.
        send(folder.path(), Command::Stop).unwrap();
        let mut ending = Ending::of(folder.path());
        for _ in 0..2 {
            assert!(matches!(ending.is_near(), Err(Error::Stopped(text)) if text.contains("the same command goes on")));
        }
    }

    #[test]
    fn what_is_left_out_or_cannot_be_compared_is_told() {
        use crate::run::event::Started;
        use crate::run::journal::Journal;
        let folder = tempfile::tempdir().unwrap();
        let place = |name: &str| folder.path().join(name);
        std::fs::create_dir(place("base")).unwrap();
        for (name, text) in [("base/config.json", "{}"), ("t", "train"), ("d", "dev")] {
            std::fs::write(place(name), text).unwrap();
        }
        let text = "base = 'base'\n[data]\ntrain = 't'\ndev = 'd'\n[[adapters]]\nname = 'x'\nrole = 'target'\n";
        let recipe = Recipe::parse_as(text, &place("recipe.toml")).unwrap();
        let out = place("out");
        let run = RunDir::create(&out, "games", &recipe).unwrap();
        let origin = Box::new(origin::look(&recipe));
        let started = Box::new(Started { origin, ..Started::default() });
        Journal::open(&run.journal_file()).unwrap().append(EventBody::Started(started)).unwrap();
        let looked = || {
            let mut told = Vec::new();
            let found = look(&recipe, &out, &mut |line: &str| told.push(line.to_owned())).unwrap();
            (found.is_some(), told.join("\n"))
        };
        assert_eq!(looked(), (true, String::new()));
        std::fs::rename(place("base"), place("away")).unwrap();
        let (counts, told) = looked();
        assert!(counts && told.contains(" counts, but base is missing: "), "{told}");
        std::fs::rename(place("away"), place("base")).unwrap();
        std::fs::write(place("base/config.json"), "{ }").unwrap();
        let (counts, told) = looked();
        assert!(!counts && told.ends_with(" does not count: base has changed since"), "{told}");
        std::fs::write(run.recipe_file(), "base =").unwrap();
        let (counts, told) = looked();
        assert!(!counts && told.starts_with("games-") && told.contains(" is left out: "), "{told}");
    }

    #[test]
    fn a_run_that_failed_tells_what_it_scored_and_where_it_was() {
        use crate::run::event::{ReportRow, Stage};
        use crate::run::journal::Journal;
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("recipe.toml"), "").unwrap();
        let run = RunDir::open(folder.path()).unwrap();
        assert_eq!((failed_at(&run), told(&run)), (Ok(None), Ok(Report::default())));
        let phase = |phase| EventBody::Phase(Phase { phase, label: "x".into(), done: 0, total: 1 });
        let stage = |index| EventBody::Stage(Stage { index, of: 3, ..Stage::default() });
        let mut journal = Journal::open(&run.journal_file()).unwrap();
        let mut append = |body| journal.append(body).unwrap();
        append(phase(PhaseKind::Load));
        assert_eq!(failed_at(&run), Ok(None));
        append(stage(0));
        append(phase(PhaseKind::Eval));
        let rows = vec![ReportRow { method: "zero-shot".into(), ..ReportRow::default() }];
        append(EventBody::Report(Report { split: "test".into(), rows, ..Report::default() }));
        append(stage(1));
        assert_eq!((failed_at(&run), told(&run).unwrap().rows.len()), (Ok(Some(1)), 1));
        // Its next worker has not come that far.
        append(phase(PhaseKind::Load));
        append(EventBody::Failed { text: "no such base".into() });
        assert_eq!(failed_at(&run), Ok(None));
        append(stage(1));
        assert_eq!(failed_at(&run), Ok(Some(1)));
    }
}
