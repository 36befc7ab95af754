//! Commands of the user, as the loop obeys them.

use crate::Result;
use crate::recipe::ratios::Rule;
use crate::run::control::{Command, Request};
use crate::run::event::EventBody;
use crate::run::session::Session;
use crate::run::what_if::{Progress, WhatIf};
use std::time::Duration;

/// Why a what-if was given up for another.
pub const REPLACED: &str = "replaced by a newer one";
/// Why one is given up with the run.
pub const STOPS: &str = "the run stops";
/// Why one is not answered where there is no training to look at.
pub const UNTRAINED: &str = "nothing is trained now: ask when a stage trains, or the run is over";

/// What the user wants that has not been done yet.
#[derive(Debug, Default)]
pub struct Orders {
    paused: bool,
    /// The journal says so.
    told: bool,
    stop: Option<Request>,
    checkpoint: Vec<Request>,
    generate: Vec<Request>,
    rules: Vec<(Request, Vec<Rule>)>,
    /// A stage trains: only then what-ifs can be answered.
    trains: bool,
    /// The newest one counts.
    what_if: Option<Request>,
    /// A what-if that is under way is to be given up.
    give_up: bool,
    /// The id of the what-if that was taken last.
    answered: Option<String>,
}

impl Orders {
    /// Reads new commands. Between steps call [`Self::wait`] afterwards.
    ///
    /// # Errors
    /// When the run's files fail.
    pub fn read(&mut self, session: &mut dyn Session) -> Result<()> {
        for request in session.commands()? {
            match request.command.clone() {
                Command::Pause => {
                    self.paused = true;
                    session.answer(&request, true, "pauses after this step")?;
                }
                Command::Resume => {
                    let text = if self.paused { "goes on" } else { "was not paused" };
                    self.paused = false;
                    session.answer(&request, true, text)?;
                }
                Command::Stop => self.stop = Some(request),
                Command::Checkpoint => self.checkpoint.push(request),
                Command::Generate => self.generate.push(request),
                Command::SetRatios { rules } => self.rules.push((request, rules)),
                Command::WhatIf { .. } if !self.trains => decline(session, &request, Progress::Failed, UNTRAINED)?,
                Command::WhatIf { .. } => {
                    if let Some(older) = self.what_if.replace(request) {
                        session.answer(&older, false, REPLACED)?;
                    }
                    self.give_up = true;
                }
                Command::CancelWhatIf { request: id } => {
                    if let Some(waiting) = self.what_if.take_if(|waiting| waiting.id == id) {
                        session.answer(&waiting, false, "given up")?;
                    } else if self.answered.as_ref() == Some(&id) {
                        // One that has had its answer is nobody's any more.
                        self.give_up = true;
                    }
                    session.answer(&request, true, "given up")?;
                }
            }
        }
        Ok(())
    }

    /// Waits as long as the user wants a pause, and reads new commands meanwhile. A command that needs the loop
    /// ends the wait; the pause goes on at the next call.
    ///
    /// # Errors
    /// When the run's files fail.
    pub fn wait(&mut self, session: &mut dyn Session) -> Result<()> {
        if !self.paused {
            // The order to go on may have been read elsewhere.
            if std::mem::take(&mut self.told) {
                session.record(EventBody::Paused { paused: false })?;
            }
            return Ok(());
        }
        // Once, however often a command needs the loop meanwhile.
        if !std::mem::replace(&mut self.told, true) {
            session.record(EventBody::Paused { paused: true })?;
        }
        while self.paused
            && self.stop.is_none()
            && self.checkpoint.is_empty()
            && self.generate.is_empty()
            && self.rules.is_empty()
            && self.what_if.is_none()
        {
            std::thread::sleep(Duration::from_millis(50));
            self.read(session)?;
        }
        if !self.paused || self.stop.is_some() {
            self.told = false;
            session.record(EventBody::Paused { paused: false })?;
        }
        Ok(())
    }

    /// Whether the loop has to come back to [`Self::wait`] before its next step.
    pub fn is_paused(&self) -> bool {
        self.paused
    }

    /// The command to stop, if there is one.
    pub fn stop(&self) -> Option<&Request> {
        self.stop.as_ref()
    }

    /// Whether a long piece of work should be given up.
    pub fn wants_stop(&self) -> bool {
        self.stop.is_some()
    }

    /// Checkpoints that were asked for.
    pub fn take_checkpoints(&mut self) -> Vec<Request> {
        std::mem::take(&mut self.checkpoint)
    }

    /// Samples that were asked for.
    pub fn take_generates(&mut self) -> Vec<Request> {
        std::mem::take(&mut self.generate)
    }

    /// New prune rules, in their order.
    pub fn take_rules(&mut self) -> Vec<(Request, Vec<Rule>)> {
        std::mem::take(&mut self.rules)
    }

    /// A stage begins to train.
    pub fn begin_training(&mut self) {
        self.trains = true;
    }

    /// It does not any more. A what-if that still waits is nobody's then: it has its last word here.
    ///
    /// # Errors
    /// When the journal fails.
    pub fn end_training(&mut self, session: &mut dyn Session, why: &str) -> Result<()> {
        self.trains = false;
        self.what_if.take().map_or(Ok(()), |waiting| decline(session, &waiting, Progress::Cancelled, why))
    }

    /// The what-if that waits, if there is one.
    pub fn what_if(&self) -> Option<&Request> {
        self.what_if.as_ref()
    }

    /// Takes it: it is under way from now on.
    pub fn take_what_if(&mut self) -> Option<Request> {
        self.give_up = false;
        self.answered = self.what_if.as_ref().map(|request| request.id.clone());
        self.what_if.take()
    }

    /// Whether the what-if under way should go on.
    pub fn keeps_what_if(&self) -> bool {
        !self.give_up && self.stop.is_none()
    }

    /// Answers what could not be done because the stage has no use for it.
    ///
    /// # Errors
    /// When the journal fails.
    pub fn refuse_rest(&mut self, session: &mut dyn Session, why: &str) -> Result<()> {
        let rules = self.take_rules().into_iter().map(|(request, _)| request);
        let rest: Vec<Request> =
            self.take_generates().into_iter().chain(rules).chain(self.take_checkpoints()).collect();
        for request in rest {
            session.answer(&request, false, why)?;
        }
        Ok(())
    }
}

/// The last word on a what-if that nothing was measured of.
fn decline(session: &mut dyn Session, request: &Request, state: Progress, why: &str) -> Result<()> {
    let Command::WhatIf { rules, .. } = &request.command else { return Ok(()) };
    let (id, rules) = (request.id.clone(), rules.clone());
    let found = WhatIf { request: id, state, rules, text: why.into(), ..WhatIf::default() };
    let line = found.line();
    session.record(EventBody::WhatIf(Box::new(found)))?;
    session.answer(request, false, &line)
}
