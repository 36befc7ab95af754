//! The worker process of a run: takes the lock, runs the engine, leaves a last word.

use super::event::{EventBody, Observer};
use super::session::{Session, WorkerSession};
use super::{RunDir, RunState, disk, fault, write_aside};
use crate::recipe::Recipe;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::panic::AssertUnwindSafe;
use std::path::Path;

/// How the engine ended, when it did not fail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// All is done; the sentence names the result.
    Finished(String),
    /// The user stopped it; the sentence says how to go on.
    Stopped(String),
}

/// `exit.json`, the last word of a worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LastWord {
    /// `finished`, `stopped` or `failed`.
    pub state: String,
    /// The sentence for the user.
    pub text: String,
    /// The exit code: 0, or that of the error.
    pub code: u8,
    /// Unix time in seconds.
    pub t: f64,
}

impl LastWord {
    /// The state that it gives.
    pub fn state(&self) -> Option<RunState> {
        match self.state.as_str() {
            "finished" => Some(RunState::Finished),
            "stopped" => Some(RunState::Stopped),
            "failed" => Some(RunState::Failed),
            _ => None,
        }
    }

    /// The error that ended the run, if one did.
    pub fn error(&self) -> Option<Error> {
        let text = self.text.clone();
        (self.state == "failed").then_some(if self.code == 2 { Error::User(text) } else { Error::Fault(text) })
    }
}

fn place(run: &Path) -> std::path::PathBuf {
    run.join("exit.json")
}

/// The last word as it was written, if the last worker left one.
pub fn read_last_word(run: &Path) -> Option<LastWord> {
    serde_json::from_slice(&crate::bounded::bytes(&place(run), crate::bounded::SETTINGS).ok()?).ok()
}

/// The state that the last word gives.
pub fn last_word(run: &Path) -> Option<RunState> {
    read_last_word(run)?.state()
}

/// Runs `engine` on the run at `path` as its worker and returns the exit code. A panic of the engine
/// fails the run with a sentence; its backtrace is in `worker.log`.
///
/// # Errors
/// When the run cannot be taken at all, or its last word cannot be written.
pub fn serve(path: &Path, engine: impl FnOnce(&Recipe, &mut dyn Session) -> Result<Outcome>) -> Result<u8> {
    let dir = RunDir::open(path)?;
    if dir.is_open_to_group() {
        super::group_umask();
    }
    let mut session = WorkerSession::open(dir.clone())?;
    // A run that is resumed has an old last word; while this worker lives it has none.
    match std::fs::remove_file(place(dir.path())) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(Error::io("remove", &place(dir.path()), &e)),
        _ => {}
    }
    fault::point("exit");
    disk::keep(dir.path());
    let work = || {
        let recipe = dir.recipe()?;
        engine(&recipe, &mut session)
    };
    let result = std::panic::catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        Err(Error::fault(format!(
            "lopper has a bug: the worker panicked; {} has the details",
            dir.log_file().display()
        )))
    });
    let result = result.and_then(|outcome| {
        if matches!(outcome, Outcome::Finished(_)) {
            session.refuse_rest()?;
        }
        Ok(outcome)
    });
    let left = match &result {
        // One that is finished has answered all; on a full disk no more is written than must be.
        Ok(Outcome::Finished(_)) | Err(Error::Full { .. }) => None,
        Ok(Outcome::Stopped(_)) => Some("the run has stopped"),
        Err(_) => Some("the run has failed"),
    };
    let (state, text, code) = match result {
        Ok(Outcome::Finished(text)) => ("finished", text, 0),
        Ok(Outcome::Stopped(text)) => ("stopped", text, 0),
        Err(error) => ("failed", error.to_string(), error.exit_code()),
    };
    let event = match state {
        "finished" => EventBody::Finished { text: text.clone() },
        "stopped" => EventBody::Stopped { text: text.clone() },
        _ => EventBody::Failed { text: text.clone() },
    };
    disk::release(dir.path());
    if let Some(why) = left {
        // The run ends, whatever becomes of this.
        session.refuse_what_ifs(why).ok();
    }
    let recorded = session.record(event);
    fault::point("exit");
    let word = LastWord { state: state.into(), text, code, t: super::now() };
    let bytes = serde_json::to_vec_pretty(&word).map_err(|e| Error::fault(e.to_string()))?;
    write_aside(&place(dir.path()), &bytes)?;
    fault::point("exit");
    recorded?;
    Ok(code)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::run::control::{Command, send};
    use crate::run::journal::Reader;

    #[test]
    fn a_what_if_that_is_left_where_the_run_ends_early_is_answered_and_nothing_else_is() {
        let text = "base = 'b'\n[data]\ntrain = 't'\ndev = 'd'\n[[adapters]]\nname = 'games'\nrole = 'target'\n";
        let recipe = Recipe::parse(text).unwrap();
        let ends = [
            (Ok(Outcome::Stopped("stopped".into())), "the run has stopped"),
            (Err(Error::user("diverged")), "the run has failed"),
        ];
        for (end, why) in ends {
            let folder = tempfile::tempdir().unwrap();
            let dir = RunDir::create(folder.path(), "x", &recipe).unwrap();
            let mut ids = Vec::new();
            let ask = Command::WhatIf { rules: Vec::new(), documents: 8, samples: 0, share: 0.2 };
            serve(dir.path(), |_, session| {
                ids.push(send(dir.path(), ask.clone())?);
                ids.push(send(dir.path(), Command::Checkpoint)?);
                assert_eq!(session.commands()?.len(), 2);
                // Nobody has read this one.
                ids.push(send(dir.path(), ask)?);
                end
            })
            .unwrap();
            let events = Reader::new(&dir.journal_file()).read(usize::MAX, u64::MAX).unwrap();
            let answers = events.iter().filter_map(|e| match &e.body {
                EventBody::Control(outcome) => Some((outcome.id.clone(), outcome.ok, outcome.text.as_str())),
                _ => None,
            });
            assert_eq!(answers.collect::<Vec<_>>(), [(ids[0].clone(), false, why), (ids[2].clone(), false, why)]);
            let last = events.last().map(|e| &e.body);
            assert!(matches!(last, Some(EventBody::Stopped { .. } | EventBody::Failed { .. })), "{last:?}");
        }
    }
}
