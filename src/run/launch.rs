//! Starting a worker as a process of its own, which outlives the terminal that started it.

use super::{RunDir, lock};
use crate::text::printable;
use crate::{Error, Result};
use std::fs::OpenOptions;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// How long a worker may take until it holds its run (a slow shared disk).
const PATIENCE: Duration = Duration::from_secs(20);

/// Starts `lopper worker RUN` with its output in `worker.log` and waits until it holds the run (or has
/// already ended). The worker leaves our session at once ([`detach`]).
///
/// # Errors
/// When another worker holds the run, or this one cannot be started or ends before it has taken the run.
pub fn launch(run: &RunDir) -> Result<Child> {
    if lock::is_held(run.path()) {
        return Err(lock::taken(run.path()));
    }
    let path = run.log_file();
    let open = || OpenOptions::new().create(true).append(true).open(&path);
    let log = open().map_err(|e| Error::io("write", &path, &e))?;
    let errors = open().map_err(|e| Error::io("write", &path, &e))?;
    let said_before = log.metadata().map_or(0, |m| m.len()) as usize;
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
    while start.elapsed() < PATIENCE {
        let ended = child.try_wait().ok().flatten();
        let ours = lock::holder(run.path()).is_some_and(|h| h.pid == child.id() && h.host == lock::host());
        if ours && (ended.is_some() || lock::is_held(run.path())) {
            return Ok(child);
        }
        if let Some(status) = ended {
            // Another worker may have been faster.
            let held = lock::is_held(run.path());
            return Err(if held { lock::taken(run.path()) } else { ended_at_once(run, said_before, status) });
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(child)
}

/// What the worker said, if it had time to.
fn ended_at_once(run: &RunDir, said_before: usize, status: ExitStatus) -> Error {
    let log = std::fs::read(run.log_file()).unwrap_or_default();
    let said = String::from_utf8_lossy(log.get(said_before..).unwrap_or_default()).into_owned();
    match said.lines().find_map(|line| line.strip_prefix("lopper: ")) {
        Some(sentence) if status.code() == Some(2) => Error::user(printable(sentence)),
        Some(sentence) => Error::fault(printable(sentence)),
        None => Error::fault(format!("the worker ended at once ({status}): {}", tail_of_log(run))),
    }
}

/// The end of `worker.log`, safe to show.
pub fn tail_of_log(run: &RunDir) -> String {
    let text = std::fs::read(run.log_file()).map(|b| String::from_utf8_lossy(&b).into_owned()).unwrap_or_default();
    let lines: Vec<&str> = text.lines().filter(|l| !l.trim().is_empty()).collect();
    let last = lines[lines.len().saturating_sub(5)..].join(" | ");
    if last.is_empty() { "worker.log is empty".into() } else { printable(&last).into_owned() }
}

/// Leaves the terminal's session, so that its end does not reach this process, and turns the signal of
/// a limit on file sizes into an ordinary error of the write. Called first thing by a worker.
pub fn detach() {
    // Fails only where this process already leads a session, and then it has nothing to leave.
    rustix::process::setsid().ok();
    let noticed = std::sync::Arc::default();
    signal_hook::flag::register(signal_hook::consts::SIGXFSZ, noticed).ok();
}
