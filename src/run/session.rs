//! What the engine has of its run: a journal to write, commands to read, a folder for results.

mod room;

use super::control::{Command, Inbox, Request};
use super::event::{ControlOutcome, EventBody, Observer};
use super::journal::{Journal, Reader};
use super::lock::Lock;
use super::{RunDir, now};
use crate::{Error, Result};
use std::collections::HashSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Silence after which the journal gets a heartbeat.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// The run, as the engine sees it.
pub trait Session: Observer {
    /// Commands that arrived since the last call.
    ///
    /// # Errors
    /// When the control file cannot be read.
    fn commands(&mut self) -> Result<Vec<Request>>;

    /// Where checkpoints and results go.
    fn dir(&self) -> &RunDir;

    /// Waits until the disk has room again, as far as it can be told, and says so; the caller then tries once more.
    /// Who cannot wait gives `full` back.
    ///
    /// # Errors
    /// `full`, where nothing is to be waited for or the user has stopped the run.
    fn hold(&mut self, full: Error) -> Result<()> {
        Err(full)
    }

    /// As [`Self::hold`], of another disk than the run's: that of `place`. A stop ends the wait, and
    /// [`Self::commands`] hands it out.
    ///
    /// # Errors
    /// `full`, where nothing is to be waited for.
    fn hold_for(&mut self, full: Error, _place: &Path) -> Result<()> {
        Err(full)
    }

    /// Says what came of a command.
    ///
    /// # Errors
    /// When the journal cannot be written.
    fn answer(&mut self, request: &Request, ok: bool, text: &str) -> Result<()> {
        self.record(EventBody::Control(ControlOutcome {
            id: request.id.clone(),
            command: request.command.name().into(),
            ok,
            text: text.into(),
        }))
    }
}

/// Does `work`, and does it again once there is room where it failed for want of it.
///
/// # Errors
/// Those of `work`.
pub fn with_room<T>(session: &mut dyn Session, mut work: impl FnMut() -> Result<T>) -> Result<T> {
    loop {
        match work() {
            Err(full @ Error::Full { .. }) => session.hold(full)?,
            other => return other,
        }
    }
}

/// The session of a living worker.
#[derive(Debug)]
pub struct WorkerSession {
    dir: RunDir,
    shared: Arc<Mutex<Shared>>,
    inbox: Inbox,
    /// Read already, not yet handed out.
    waiting: Vec<Request>,
    /// Read already, not yet answered.
    open: Vec<Request>,
    /// The last sentence about a full disk.
    told: Option<String>,
    beating: Arc<AtomicBool>,
}

#[derive(Debug)]
struct Shared {
    journal: Journal,
    lock: Lock,
    last: f64,
}

impl Shared {
    fn append(&mut self, body: EventBody) -> Result<()> {
        self.lock.check()?;
        self.journal.append(body)?;
        self.last = now();
        Ok(())
    }
}

impl WorkerSession {
    /// Takes the run and goes on with its journal.
    ///
    /// # Errors
    /// When another worker has it, or its files cannot be written.
    pub fn open(dir: RunDir) -> Result<Self> {
        let began = now();
        let lock = Lock::take(dir.path())?;
        let answered = answered(&dir)?;
        let journal = Journal::open(&dir.journal_file())?;
        let inbox = Inbox::new(dir.path(), answered);
        let shared = Arc::new(Mutex::new(Shared { journal, lock, last: now() }));
        let beating = Arc::new(AtomicBool::new(true));
        beat(Arc::clone(&shared), Arc::clone(&beating))?;
        let mut session = Self { dir, shared, inbox, waiting: Vec::new(), open: Vec::new(), told: None, beating };
        session.sort_out(began)?;
        Ok(session)
    }

    /// A stop or a pause that the worker before did not live to see was meant for that one.
    fn sort_out(&mut self, began: f64) -> Result<()> {
        for request in self.commands()? {
            let for_the_last = matches!(
                request.command,
                Command::Stop
                    | Command::Pause
                    | Command::Resume
                    | Command::WhatIf { .. }
                    | Command::CancelWhatIf { .. }
            );
            if for_the_last && request.t < began {
                self.answer(&request, false, "came when no worker was at the run")?;
            } else {
                self.waiting.push(request);
            }
        }
        Ok(())
    }

    /// Answers what came too late for a run that is complete: no worker after this one will.
    ///
    /// # Errors
    /// When the control file cannot be read or the journal not be written.
    pub fn refuse_rest(&mut self) -> Result<()> {
        self.refuse("came when the run was complete", |_| true)
    }

    /// Answers the what-ifs that are left where the run ends early. Whatever else is asked waits for the next worker.
    ///
    /// # Errors
    /// When the control file cannot be read or the journal not be written.
    pub fn refuse_what_ifs(&mut self, why: &str) -> Result<()> {
        self.refuse(why, |command| matches!(command, Command::WhatIf { .. }))
    }

    /// Refuses those of the commands so far that have no answer and that `takes` takes.
    fn refuse(&mut self, why: &str, takes: impl Fn(&Command) -> bool) -> Result<()> {
        self.commands()?;
        let mut left = self.open.clone();
        left.retain(|request| takes(&request.command));
        left.iter().try_for_each(|request| self.answer(request, false, why))
    }

    fn append(&self, body: EventBody, sync: bool) -> Result<()> {
        let mut shared = self.shared.lock().map_err(|_| Error::fault("the journal's writer is gone"))?;
        shared.append(body)?;
        if sync { shared.journal.sync() } else { Ok(()) }
    }
}

impl Drop for WorkerSession {
    fn drop(&mut self) {
        self.beating.store(false, Ordering::Relaxed);
    }
}

/// Ids that the journal already answers.
fn answered(dir: &RunDir) -> Result<HashSet<String>> {
    let mut reader = Reader::new(&dir.journal_file());
    let mut ids = HashSet::new();
    loop {
        let slice = reader.read(4096, 8 << 20)?;
        let over = slice.is_empty();
        let last = if over { reader.unended()? } else { None };
        let events = slice.into_iter().chain(last);
        ids.extend(events.filter_map(|e| if let EventBody::Control(c) = e.body { Some(c.id) } else { None }));
        if over {
            return Ok(ids);
        }
    }
}

fn beat(shared: Arc<Mutex<Shared>>, beating: Arc<AtomicBool>) -> Result<()> {
    let run = move || {
        while beating.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(500));
            let Ok(mut shared) = shared.lock() else { return };
            let silent = now() - shared.last > HEARTBEAT.as_secs_f64();
            if !beating.load(Ordering::Relaxed) || !silent {
                continue;
            }
            match shared.append(EventBody::Heartbeat {}) {
                // There may be room again.
                Ok(()) | Err(Error::Full { .. }) => {}
                // The engine's own next write fails with the sentence.
                Err(_) => return,
            }
        }
    };
    std::thread::Builder::new()
        .name("heartbeat".into())
        .spawn(run)
        .map(drop)
        .map_err(|e| Error::fault(format!("no thread could be started: {e}")))
}

impl Observer for WorkerSession {
    fn record(&mut self, body: EventBody) -> Result<()> {
        let sync = matches!(
            body,
            EventBody::Checkpoint(_)
                | EventBody::Finished { .. }
                | EventBody::Stopped { .. }
                | EventBody::Failed { .. }
        );
        let answered = if let EventBody::Control(outcome) = &body { Some(outcome.id.clone()) } else { None };
        loop {
            match self.append(body.clone(), sync) {
                Err(full @ Error::Full { .. }) => self.hold(full)?,
                other => break other?,
            }
        }
        if let Some(id) = answered {
            self.open.retain(|request| request.id != id);
        }
        Ok(())
    }
}

impl Session for WorkerSession {
    fn hold(&mut self, full: Error) -> Result<()> {
        self.wait_for_own_room(full)
    }

    fn hold_for(&mut self, full: Error, place: &Path) -> Result<()> {
        self.wait_for_room_of(full, place)
    }

    fn commands(&mut self) -> Result<Vec<Request>> {
        let (requests, complaints) = self.inbox.read()?;
        for text in complaints {
            self.record(EventBody::Warning { text })?;
        }
        self.open.extend(requests.iter().cloned());
        let mut all = std::mem::take(&mut self.waiting);
        all.extend(requests);
        Ok(all)
    }

    fn dir(&self) -> &RunDir {
        &self.dir
    }
}
