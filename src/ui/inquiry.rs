//! What-ifs of a run that has no worker: a process of its own answers them (`lopper what-if RUN --serve`), which loads
//! the run for the first one and goes with the screen.

use super::threads::thread;
use crate::app::Message;
use crate::run::control::{Command, Request};
use crate::run::event::VERSION;
use crate::run::what_if::{Progress, WhatIf};
use crate::{Error, Result};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::sync::{Arc, Mutex, PoisonError, mpsc};

/// No answer is longer, bytes.
const LONGEST: u64 = 16 << 20;

/// The id of the question that was asked last, while it has no last word.
type Open = Arc<Mutex<Option<String>>>;

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
    pub(super) fn ask(&mut self, command: Command) -> Result<String> {
        self.count += 1;
        let id = format!("screen-{}", self.count);
        let is_question = matches!(command, Command::WhatIf { .. });
        if self.process.is_none() && !is_question {
            return Ok(id);
        }
        let request = Request { v: VERSION, id: id.clone(), t: crate::run::now(), command };
        let mut line = serde_json::to_vec(&request).map_err(|e| Error::fault(e.to_string()))?;
        line.push(b'\n');
        // One that has ended, after a long time without a question, is started anew.
        for _ in 0..2 {
            let process = match &mut self.process {
                Some(process) => process,
                None => self.process.insert(start(&self.run, &self.to)?),
            };
            if is_question {
                *process.open.lock().unwrap_or_else(PoisonError::into_inner) = Some(id.clone());
            }
            if process.input.write_all(&line).is_ok() {
                return Ok(id);
            }
            self.process = None;
        }
        Err(Error::user("the process that measures what-ifs ends at once: lopper what-if says why"))
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
    let mut child = child.map_err(|e| Error::user(format!("what-ifs cannot be measured: {e}")))?;
    let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(Error::fault("a process without input and output"));
    };
    let process = Process { child, input, open: Open::default() };
    let (open, to) = (Arc::clone(&process.open), to.clone());
    thread("answers", move || read(output, &open, &to))?;
    Ok(process)
}

/// Hands on what the process says, and that it has ended without a last word.
fn read(output: ChildStdout, open: &Open, to: &mpsc::Sender<Message>) {
    let mut output = BufReader::new(output);
    loop {
        let mut line = String::new();
        match output.by_ref().take(LONGEST).read_line(&mut line) {
            Ok(1..) => {}
            _ => break,
        }
        let Ok(found) = serde_json::from_str::<WhatIf>(&line) else { continue };
        if found.state.is_over() {
            open.lock().unwrap_or_else(PoisonError::into_inner).take_if(|id| *id == found.request);
        }
        if to.send(Message::WhatIf(Box::new(found))).is_err() {
            return;
        }
    }
    if let Some(request) = open.lock().unwrap_or_else(PoisonError::into_inner).take() {
        let text = "the process that measures has ended: memory may be short".to_owned();
        let found = WhatIf { request, text, state: Progress::Failed, ..WhatIf::default() };
        to.send(Message::WhatIf(Box::new(found))).ok();
    }
}
