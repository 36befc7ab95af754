//! Starting a worker as a process of its own, which outlives the terminal that started it.

use super::{RunDir, lock, worker};
use crate::{Error, Result};
use std::fs::OpenOptions;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Starts `lopper worker RUN` with its output in `worker.log` and waits until it holds the run (or has
/// already ended). The worker leaves our session at once ([`detach`]).
///
/// # Errors
/// When it cannot be started, or ends before it has taken the run.
pub fn launch(run: &RunDir) -> Result<Child> {
    if lock::is_held(run.path()) {
        // Says who.
        return Err(match lock::Lock::take(run.path()) {
            Err(e) => e,
            Ok(_) => Error::fault("the run's worker ended at this moment; try again"),
        });
    }
    let path = run.log_file();
    let open = || OpenOptions::new().create(true).append(true).open(&path);
    let log = open().map_err(|e| Error::io("write", &path, &e))?;
    let errors = open().map_err(|e| Error::io("write", &path, &e))?;
    let program =
        std::env::current_exe().map_err(|e| Error::fault(format!("lopper's own file cannot be found: {e}")))?;
    let mut child = Command::new(&program)
        .arg("worker")
        .arg(run.path())
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors)
        .spawn()
        .map_err(|e| Error::fault(format!("cannot start {}: {e}", program.display())))?;
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(20) {
        if lock::is_held(run.path()) {
            return Ok(child);
        }
        if let Ok(Some(status)) = child.try_wait() {
            if worker::last_word(run.path()).is_some() {
                return Ok(child);
            }
            return Err(Error::fault(format!("the worker ended at once ({status}): {}", tail_of_log(run))));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(child)
}

/// The end of `worker.log`, safe to show.
pub fn tail_of_log(run: &RunDir) -> String {
    let text = std::fs::read(run.log_file()).map(|b| String::from_utf8_lossy(&b).into_owned()).unwrap_or_default();
    let lines: Vec<&str> = text.lines().filter(|l| !l.trim().is_empty()).collect();
    let last = lines[lines.len().saturating_sub(5)..].join(" | ");
    if last.is_empty() { "worker.log is empty".into() } else { crate::text::printable(&last).into_owned() }
}

/// Leaves the terminal's session, so that its end does not reach this process. Called first thing by a worker.
pub fn detach() {
    // Fails only where this process already leads a session, and then it has nothing to leave.
    rustix::process::setsid().ok();
}
