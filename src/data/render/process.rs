//! The process that renders templates, seen from the one that wants their texts.

use super::{Asked, Templates};
use crate::{Error, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// What it says of a document: its text, or why there is none.
pub(super) type Answer = Result<String, String>;

/// No document takes so long, on a machine however busy: the process ends itself after a second or two of work.
const PATIENCE: Duration = Duration::from_secs(60);

/// No answer is longer than this, ...
const LONGEST: usize = 128 << 20;
/// ... and so many bytes for each of the document.
const EACH: usize = 128;

/// Why there is no answer and never will be.
#[derive(Debug)]
pub(super) enum Ended {
    /// The template took more time or memory than a process that renders has.
    TooMuch,
    /// Something else: what has become of the process.
    Otherwise(String),
}

#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    input: ChildStdin,
    output: ChildStdout,
}

impl Process {
    /// Starts `program` for these templates.
    pub(super) fn start(program: &Path, templates: &Templates) -> Result<Self> {
        let failed =
            |e: std::io::Error| Error::fault(format!("templates cannot be rendered: {}: {e}", program.display()));
        let mut command = Command::new(program);
        // A group of its own: what is typed at the terminal is not for it. It ends with its input.
        command.arg("render").process_group(0);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().map_err(failed)?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(Error::fault("templates cannot be rendered: the process has no pipes"));
        };
        let mut this = Self { child, input, output };
        let line = line(templates).map_err(failed)?;
        this.input.write_all(&line).map_err(failed)?;
        Ok(this)
    }

    /// The text of a document.
    pub(super) fn ask(&mut self, asked: &Asked) -> std::result::Result<Answer, Ended> {
        let done = line(asked).and_then(|line| {
            self.input.write_all(&line)?;
            self.answer(LONGEST.saturating_add(line.len().saturating_mul(EACH)))
        });
        let bytes = match done {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == ErrorKind::TimedOut => {
                let seconds = PATIENCE.as_secs();
                return Err(Ended::Otherwise(format!("has not answered for {seconds} s: is the machine overloaded?")));
            }
            Err(e) => return Err(self.end(&e)),
        };
        serde_json::from_slice(&bytes).map_err(|e| Ended::Otherwise(format!("says what is no answer: {e}")))
    }

    /// A line of the process, of `most` bytes.
    fn answer(&mut self, most: usize) -> std::io::Result<Vec<u8>> {
        let begun = Instant::now();
        let (mut line, mut piece) = (Vec::new(), [0; 1 << 14]);
        loop {
            let left = PATIENCE.saturating_sub(begun.elapsed());
            let limit = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() };
            match poll(&mut [PollFd::new(&self.output, PollFlags::IN)], Some(&limit)) {
                Ok(0) => return Err(ErrorKind::TimedOut.into()),
                Err(rustix::io::Errno::INTR) => continue,
                other => other?,
            };
            match self.output.read(&mut piece)? {
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                n => line.extend_from_slice(&piece[..n]),
            }
            if line.ends_with(b"\n") {
                return Ok(line);
            }
            if line.len() > most {
                return Err(std::io::Error::new(ErrorKind::InvalidData, "its answer does not end"));
            }
        }
    }

    /// What has become of it, when its pipes failed by `error`.
    fn end(&mut self, error: &std::io::Error) -> Ended {
        // What has closed its pipes may not be gone yet.
        self.child.kill().ok();
        match self.child.wait() {
            Ok(status) => ended(status, error),
            Err(e) => Ended::Otherwise(format!("is lost: {e}")),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn line(value: &impl serde::Serialize) -> std::io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    Ok(line)
}

/// The kernel ends a process that is out of its time, the runtime one that gets no memory.
fn ended(status: ExitStatus, error: &std::io::Error) -> Ended {
    use signal_hook::consts::{SIGABRT, SIGSEGV, SIGXCPU};
    match status.signal() {
        Some(SIGXCPU | SIGABRT | SIGSEGV) => Ended::TooMuch,
        _ => Ended::Otherwise(format!("has ended ({status}): {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_limit_is_the_templates_fault() {
        let error = ErrorKind::UnexpectedEof.into();
        let of = |raw| ended(ExitStatus::from_raw(raw), &error);
        assert!(matches!(of(signal_hook::consts::SIGXCPU), Ended::TooMuch));
        assert!(matches!(of(signal_hook::consts::SIGABRT), Ended::TooMuch));
        assert!(matches!(of(9), Ended::Otherwise(why) if why.contains("signal: 9")));
        assert!(matches!(of(1 << 8), Ended::Otherwise(why) if why.contains("exit status: 1")));
    }
}
