//! A worker that waits for room on a disk: the run's own, or another that it writes to.

use super::WorkerSession;
use crate::run::control::Command;
use crate::run::disk;
use crate::run::estimate::bytes;
use crate::run::event::{ControlOutcome, EventBody};
use crate::{Error, Result};
use std::path::Path;
use std::time::{Duration, Instant};

/// What a stop means to a worker that waits for room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    /// It cannot be done: the run fails.
    Fails,
    /// Who waits does it.
    IsHandedOut,
}

impl WorkerSession {
    /// As [`super::Session::hold`].
    pub(super) fn wait_for_own_room(&mut self, full: Error) -> Result<()> {
        let Error::Full { text, need } = &full else { return Err(full) };
        let (place, need) = (self.dir.path().to_path_buf(), *need);
        let what = if need > 0 { format!(", {} at least", bytes(need)) } else { String::new() };
        let text = format!("{text}{what}");
        self.wait_for_room(&full, &text, &place, need, disk::AGAIN, Stop::Fails)
    }

    /// As [`super::Session::hold_for`].
    pub(super) fn wait_for_room_of(&mut self, full: Error, place: &Path) -> Result<()> {
        let Error::Full { text, need } = full.clone() else { return Err(full) };
        // Only a quota's room cannot be seen.
        let seen = disk::free(place).is_some_and(|free| free < need);
        let again = if seen { Duration::MAX } else { disk::AGAIN };
        self.wait_for_room(&full, &text, place, need, again, Stop::IsHandedOut)
    }

    /// Waits until `place` has `need` bytes and more than it has now, for `again` at most, or until the user says so.
    fn wait_for_room(
        &mut self,
        full: &Error,
        text: &str,
        place: &Path,
        need: u64,
        again: Duration,
        stop: Stop,
    ) -> Result<()> {
        let run = self.dir.path().to_path_buf();
        let before = disk::free(place);
        // What was kept for the last words serves for these.
        disk::release(&run);
        let path = crate::run::shell::word(&run);
        let text = format!(
            "paused: {text}; the run goes on by itself when there is room, `lopper continue {path}` tries at once"
        );
        // Where even this has no room, the reader still has the state from the line before.
        if self.told.as_ref() != Some(&text) && self.append(EventBody::Warning { text: text.clone() }, false).is_ok() {
            self.told = Some(text);
        }
        self.append(EventBody::Paused { paused: true }, false).ok();
        let begun = Instant::now();
        while begun.elapsed() < again {
            std::thread::sleep(Duration::from_millis(200));
            let enough = match (disk::free(place), before) {
                (Some(now), Some(before)) => now >= need.max(before + disk::SLACK),
                _ => false,
            };
            if self.asked_meanwhile(full, stop)? || enough {
                break;
            }
        }
        disk::keep(&run);
        self.append(EventBody::Paused { paused: false }, false).ok();
        Ok(())
    }

    /// Takes the commands that arrive while there is no room; whether to go on at once.
    ///
    /// # Errors
    /// `full`, where the user gives up and nobody else sees to that; when the control file cannot be read.
    fn asked_meanwhile(&mut self, full: &Error, at_stop: Stop) -> Result<bool> {
        let (requests, _) = self.inbox.read()?;
        let mut go_on = false;
        let mut stop = false;
        for request in requests {
            self.open.push(request.clone());
            let (done, text) = match request.command {
                Command::Resume => (true, "tries again"),
                Command::Stop if at_stop == Stop::Fails => {
                    (false, "there is no room for a checkpoint; the newest one stays")
                }
                _ => {
                    go_on |= request.command == Command::Stop;
                    self.waiting.push(request);
                    continue;
                }
            };
            stop |= request.command == Command::Stop;
            go_on |= done;
            let outcome = ControlOutcome {
                id: request.id.clone(),
                command: request.command.name().into(),
                ok: done,
                text: text.into(),
            };
            if self.append(EventBody::Control(outcome), false).is_ok() {
                self.open.retain(|other| other.id != request.id);
            } else if done {
                // Answered once there is room.
                self.waiting.push(request);
            }
        }
        if stop { Err(full.clone()) } else { Ok(go_on) }
    }
}
