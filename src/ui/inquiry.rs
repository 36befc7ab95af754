//! Questions about a run that has no worker: a process of its own answers them (`lopper what-if RUN --serve`), which loads
//! the run for the first one and goes with the screen.

use super::threads::thread;
use crate::app::Message;
use crate::run::inquiry::{self, Answer, Asked, Question, Said};
use crate::run::what_if::{Progress, WhatIf};
use crate::{Error, Result};
use std::collections::HashMap;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::{Arc, Mutex, PoisonError, mpsc};

/// Why a question has no answer.
const ENDED: &str = "the process that measures has ended, maybe for want of memory";

/// The questions that have no last word yet: their ids, and whether they are what-ifs.
type Open = Arc<Mutex<HashMap<String, bool>>>;

/// The process, and where it is spoken to.
#[derive(Debug)]
struct Process {
    child: Child,
    input: ChildStdin,
    open: Open,
}

impl Drop for Process {
    fn drop(&mut self) {
        // It holds nothing but memory.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Whom a screen asks where no worker is.
#[derive(Debug)]
pub(super) struct Inquiry {
    run: PathBuf,
    to: mpsc::Sender<Message>,
    process: Option<Process>,
    count: usize,
}

impl Inquiry {
    /// Of the run at `run`; answers go `to` the screen.
    pub(super) fn new(run: &Path, to: mpsc::Sender<Message>) -> Self {
        Self { run: run.to_path_buf(), to, process: None, count: 0 }
    }

    /// Asks, or takes a question back; the id.
    ///
    /// # Errors
    /// When the process cannot be started.
    pub(super) fn ask(&mut self, question: Question) -> Result<String> {
        self.count += 1;
        let id = format!("screen-{}", self.count);
        let takes_back = matches!(question, Question::GiveUp { .. });
        if self.process.is_none() && takes_back {
            return Ok(id);
        }
        let is_what_if = matches!(question, Question::WhatIf { .. });
        let asked = Asked { id: id.clone(), question };
        // One that has ended, after a long time without a question, is started anew.
        for _ in 0..2 {
            let process = match &mut self.process {
                Some(process) => process,
                None => self.process.insert(start(&self.run, &self.to)?),
            };
            if !takes_back {
                process.open.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone(), is_what_if);
            }
            if inquiry::write(&mut process.input, &asked).is_ok() {
                return Ok(id);
            }
            process.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
            self.process = None;
            if takes_back {
                // What it is about ended with the process.
                return Ok(id);
            }
        }
        Err(Error::user("the process that measures ends at once: lopper what-if says why"))
    }
}

fn start(run: &Path, to: &mpsc::Sender<Message>) -> Result<Process> {
    let program = std::env::current_exe().map_err(|e| Error::fault(format!("lopper does not find itself: {e}")))?;
    let child = std::process::Command::new(program)
        .arg("what-if")
        .arg(run)
        .arg("--serve")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let mut child = child.map_err(|e| Error::user(format!("nothing can be measured: {e}")))?;
    let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(Error::fault("a process without input and output"));
    };
    let process = Process { child, input, open: Open::default() };
    let (open, to) = (Arc::clone(&process.open), to.clone());
    thread("answers", move || hear(output, &open, &to))?;
    Ok(process)
}

/// Hands on what the process says, and that it has ended without a last word.
fn hear(output: impl Read, open: &Open, to: &mpsc::Sender<Message>) {
    let mut output = BufReader::new(output);
    let tell = |answer: Answer| to.send(Message::Answered(Box::new(answer))).is_ok();
    while let Some(answer) = inquiry::read::<Answer>(&mut output) {
        if answer.said.is_over() {
            open.lock().unwrap_or_else(PoisonError::into_inner).remove(&answer.id);
        }
        if !tell(answer) {
            return;
        }
    }
    let left: Vec<(String, bool)> = open.lock().unwrap_or_else(PoisonError::into_inner).drain().collect();
    for (id, is_what_if) in left {
        let text = ENDED.to_owned();
        let said = if is_what_if {
            let found = WhatIf { request: id.clone(), text, state: Progress::Failed, ..WhatIf::default() };
            Said::WhatIf(Box::new(found))
        } else {
            Said::Ended(Some(text))
        };
        tell(Answer { id, said });
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_a_process_has_not_answered_when_it_ends_has_its_last_word() {
        let said = [
            ("1", Said::WhatIf(Box::default())),
            ("2", Said::WhatIf(Box::new(WhatIf { state: Progress::Done, ..WhatIf::default() }))),
            ("3", Said::Progress("round 1".into())),
        ];
        let mut bytes = Vec::new();
        for (id, said) in said {
            inquiry::write(&mut bytes, &Answer { id: id.into(), said }).unwrap();
        }
        // Killed in the middle of a line.
        bytes.extend(b"{\"id\":\"3\",\"prop");
        let open = Open::default();
        for (id, is_what_if) in [("1", true), ("2", true), ("3", false)] {
            open.lock().unwrap().insert(id.into(), is_what_if);
        }
        let (to, messages) = mpsc::channel();
        hear(&bytes[..], &open, &to);
        drop(to);
        let mut ends: Vec<Answer> = messages
            .iter()
            .filter_map(|message| if let Message::Answered(answer) = message { Some(*answer) } else { None })
            .filter(|answer| answer.said.is_over())
            .collect();
        ends.sort_by(|a, b| a.id.cmp(&b.id));
        let [left, done, search] = &ends[..] else { unreachable!("{ends:?}") };
        assert!(matches!(&done.said, Said::WhatIf(found) if found.state == Progress::Done), "{done:?}");
        assert_eq!(search.said, Said::Ended(Some(ENDED.into())));
        let Said::WhatIf(found) = &left.said else { unreachable!("{left:?}") };
        assert_eq!((found.state, found.text.as_str(), found.request.as_str()), (Progress::Failed, ENDED, "1"));
        assert!(open.lock().unwrap().is_empty());
    }
}
