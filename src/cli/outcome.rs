//! The runs of a folder that answer one question: what is finished stays, the rest is gone on with or started.

use super::interrupted::Interrupted;
use super::plain;
use crate::recipe::Recipe;
use crate::run::control::{self, Command, Inbox};
use crate::run::event::Report;
use crate::run::tail::Tail;
use crate::run::{RunDir, RunState, launch, lock, origin, start, worker};
use crate::text::printable;
use crate::{Error, Result, bounded, study};
use std::collections::HashSet;
use std::io::Write;
use std::path::Path;

/// A line of progress; a reader that has gone away is no error.
pub fn tell(line: &str) {
    writeln!(std::io::stderr(), "{line}").ok();
}

/// The run of this recipe in `out`, if there is one; one whose base, adapters or data had other contents is none.
///
/// # Errors
/// When the folder cannot be read.
pub fn found(wanted: &Recipe, out: &Path) -> Result<Option<RunDir>> {
    let same = |run: &RunDir| run.recipe().is_ok_and(|of| study::is_of(of, wanted));
    for run in RunDir::list(out)?.into_iter().filter(same) {
        match origin::other_input(&run) {
            Ok(Some(key)) if !matches!(run.state(), RunState::Running | RunState::Paused) => {
                tell(&format!("{} does not count: {key} has changed since", printable(&run.name())));
            }
            _ => return Ok(Some(run)),
        }
    }
    Ok(None)
}

/// The run of this recipe in `out`, finished: found, gone on with, or started; `None` when a signal came.
///
/// # Errors
/// When it cannot be started or does not come to its end (the sentence is the worker's); [`Error::Stopped`] where it was
/// stopped.
pub fn finished(wanted: &Recipe, out: &Path, ending: &mut Ending<'_>) -> Result<Option<RunDir>> {
    let (run, tail) = match found(wanted, out)? {
        Some(run) if run.state() == RunState::Finished => return Ok(Some(run)),
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
    match ending.follow(&run, tail)? {
        plain::End::Over => {}
        plain::End::Unread | plain::End::Signal(_) => return Ok(None),
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
}
