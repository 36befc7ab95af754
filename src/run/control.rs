//! Commands to a worker: lines of `control.jsonl`, appended by any reader of the run.

use super::fault;
use crate::{Error, Result, bounded};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// One line of the control file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// Format version, [`super::event::VERSION`].
    pub v: u32,
    /// Unique per run; the journal answers by it.
    pub id: String,
    /// Unix time in seconds.
    pub t: f64,
    /// What to do.
    #[serde(flatten)]
    pub command: Command,
}

/// What a worker can be told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Command {
    /// Write a checkpoint after this step and wait.
    Pause,
    /// Go on after a pause.
    Resume,
    /// Write a checkpoint and end; `lopper resume` goes on from there.
    Stop,
    /// Write a checkpoint after this step and go on.
    Checkpoint,
    /// Use these prune rules from the next step (appended to the recipe's, the last match wins).
    SetRatios {
        /// The rules.
        rules: Vec<crate::recipe::ratios::Rule>,
    },
    /// Write the sample summaries now.
    Generate,
    /// Measure what other prune ratios would do, on a copy; a newer one replaces it.
    WhatIf {
        /// Rules behind the run's own, the last match wins.
        rules: Vec<crate::recipe::ratios::Rule>,
        /// Dev documents to measure the loss on, the first ones.
        documents: usize,
        /// Dev documents to write summaries of, the first ones.
        samples: usize,
        /// Share of the time that what-ifs may take while training goes on, 0 to 1.
        #[serde(default = "what_if_share")]
        share: f64,
    },
    /// Give up a what-if, waiting or under way.
    CancelWhatIf {
        /// The id of its request.
        request: String,
    },
}

/// Share of the time that what-ifs may take while training goes on, where nothing else is said.
pub const fn what_if_share() -> f64 {
    0.2
}

impl Command {
    /// Its name in the file.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Stop => "stop",
            Self::Checkpoint => "checkpoint",
            Self::SetRatios { .. } => "set_ratios",
            Self::Generate => "generate",
            Self::WhatIf { .. } => "what_if",
            Self::CancelWhatIf { .. } => "cancel_what_if",
        }
    }
}

/// Appends a command to the run's control file and returns its id.
///
/// # Errors
/// When the file cannot be written, as for somebody who may only read the run.
pub fn send(run: &Path, command: Command) -> Result<String> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let path = run.join("control.jsonl");
    let t = super::now();
    let id = format!("{:x}-{:x}-{}", (t * 1e6) as u64, std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let request = Request { v: super::event::VERSION, id: id.clone(), t, command };
    let mut line = serde_json::to_vec(&request).map_err(|e| Error::fault(e.to_string()))?;
    line.push(b'\n');
    let mut write = || {
        let mut file = bounded::append(&path)?;
        // A sender that died in its write has left a line without an end.
        if !is_ended(&mut file)? {
            line.insert(0, b'\n');
        }
        fault::write("send", &mut file, &line)?;
        file.sync_data()
    };
    write().map_err(|e| Error::io("write", &path, &e))?;
    Ok(id)
}

/// Whether the file is empty or its last line has its end.
fn is_ended(file: &mut std::fs::File) -> std::io::Result<bool> {
    if file.metadata()?.len() == 0 {
        return Ok(true);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

/// Reads commands as they arrive, each once, also across restarts of the worker.
#[derive(Debug)]
pub struct Inbox {
    path: PathBuf,
    offset: u64,
    answered: HashSet<String>,
}

/// Commands are short; a longer line is none.
const LONGEST_LINE: u64 = 1024 * 1024;

impl Inbox {
    /// The inbox of `run`; `answered` are the ids that the journal already holds.
    pub fn new(run: &Path, answered: HashSet<String>) -> Self {
        Self { path: run.join("control.jsonl"), offset: 0, answered }
    }

    /// Commands that were not read before, in their order, and sentences about lines that are none.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub fn read(&mut self) -> Result<(Vec<Request>, Vec<String>)> {
        let mut requests = Vec::new();
        let mut complaints = Vec::new();
        let mut file = match bounded::open(&self.path) {
            Ok(file) => file,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok((requests, complaints)),
            Err(e) => return Err(Error::io("read", &self.path, &e)),
        };
        file.seek(SeekFrom::Start(self.offset)).map_err(|e| Error::io("read", &self.path, &e))?;
        let mut reader = BufReader::new(file);
        let mut line = Vec::new();
        loop {
            line.clear();
            let n = (&mut reader)
                .take(LONGEST_LINE)
                .read_until(b'\n', &mut line)
                .map_err(|e| Error::io("read", &self.path, &e))? as u64;
            // A line without its end is still being written.
            if n == 0 || (line.last() != Some(&b'\n') && n < LONGEST_LINE) {
                break;
            }
            self.offset += n;
            if line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            match serde_json::from_slice::<Request>(&line) {
                Ok(request) if self.answered.insert(request.id.clone()) => requests.push(request),
                Ok(_) => {}
                Err(e) => {
                    // It repeats words of the line.
                    let why = e.to_string();
                    let why = crate::text::printable(&why);
                    complaints.push(format!("a line of control.jsonl is no command that this version knows: {why}"));
                }
            }
        }
        if !requests.is_empty() {
            fault::point("control");
        }
        Ok((requests, complaints))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_command_is_read_once_also_by_the_next_worker() {
        let folder = tempfile::tempdir().unwrap();
        let mut inbox = Inbox::new(folder.path(), HashSet::new());
        assert!(inbox.read().unwrap().0.is_empty());
        let first = send(folder.path(), Command::Pause).unwrap();
        let second = send(folder.path(), Command::Stop).unwrap();
        assert_ne!(first, second);
        let read: Vec<_> = inbox.read().unwrap().0.into_iter().map(|r| r.command).collect();
        assert_eq!(read, [Command::Pause, Command::Stop]);
        assert!(inbox.read().unwrap().0.is_empty());
        let mut next = Inbox::new(folder.path(), HashSet::from([first]));
        let read: Vec<_> = next.read().unwrap().0.into_iter().map(|r| r.id).collect();
        assert_eq!(read, [second]);
    }

    #[test]
    fn a_command_behind_a_torn_one_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control.jsonl");
        send(folder.path(), Command::Pause).unwrap();
        std::fs::write(&path, [std::fs::read(&path).unwrap(), b"{\"v\":1,\"id\":\"x".to_vec()].concat()).unwrap();
        send(folder.path(), Command::Stop).unwrap();
        send(folder.path(), Command::Generate).unwrap();
        let (requests, complaints) = Inbox::new(folder.path(), HashSet::new()).read().unwrap();
        let read: Vec<_> = requests.into_iter().map(|r| r.command).collect();
        assert_eq!(read, [Command::Pause, Command::Stop, Command::Generate]);
        assert_eq!(complaints.len(), 1);
    }

    #[test]
    fn nonsense_and_half_lines_are_no_commands() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("control.jsonl"), b"{}\nhello\n{\"v\":1").unwrap();
        let (requests, complaints) = Inbox::new(folder.path(), HashSet::new()).read().unwrap();
        assert!(requests.is_empty());
        assert_eq!(complaints.len(), 2);
        let line = b"{\"v\":1,\"id\":\"x\",\"t\":1.0,\"command\":\"\\u001b[2Jhey\"}\n";
        std::fs::write(folder.path().join("control.jsonl"), line).unwrap();
        let (_, complaints) = Inbox::new(folder.path(), HashSet::new()).read().unwrap();
        assert!(complaints[0].contains("[2Jhey") && !complaints[0].contains('\u{1b}'), "{complaints:?}");
    }
}
