//! The runs of a folder that answer one question: what is finished stays, the rest is gone on with or started.

use super::plain;
use crate::recipe::Recipe;
use crate::run::event::Report;
use crate::run::tail::Tail;
use crate::run::{RunDir, RunState, launch, start, worker};
use crate::text::printable;
use crate::{Error, Result, bounded, study};
use std::io::Write;
use std::path::Path;

/// A line of progress; a reader that has gone away is no error.
pub fn tell(line: &str) {
    writeln!(std::io::stderr(), "{line}").ok();
}

/// The run of this recipe in `out`, if there is one.
///
/// # Errors
/// When the folder cannot be read.
pub fn found(wanted: &Recipe, out: &Path) -> Result<Option<RunDir>> {
    let same = |run: &RunDir| run.recipe().is_ok_and(|of| study::is_of(of, wanted));
    Ok(RunDir::list(out)?.into_iter().find(same))
}

/// The run of this recipe in `out`, finished: found, gone on with, or started; `None` when a signal came.
///
/// # Errors
/// When it cannot be started or does not come to its end; the sentence is the worker's.
pub fn finished(wanted: &Recipe, out: &Path) -> Result<Option<RunDir>> {
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
    match plain::follow(&run, tail, &mut std::io::stderr())? {
        plain::End::Over => {}
        plain::End::Unread | plain::End::Signal(_) => return Ok(None),
    }
    match worker::read_last_word(run.path()).and_then(|word| word.error()) {
        Some(error) => Err(error),
        None if run.state() == RunState::Finished => Ok(Some(run)),
        None => Err(Error::user(format!("{} {}", printable(&run.path().display().to_string()), study::STOPPED))),
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
