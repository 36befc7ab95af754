//! Starting a worker as a process of its own, which outlives the terminal that started it.

use super::{RunDir, lock, logout, worker};
use crate::text::printable;
use crate::{Error, Result, bounded};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// How many threads a process takes: of rayon, and of candle.
const THREADS: &str = "RAYON_NUM_THREADS";
/// How often candle's threads look for work before they sleep.
const SPIN: &str = "CANDLE_BARRIER_POOL_SPIN_LIMIT";
/// How long a worker may take until it holds its run (a slow shared disk).
const PATIENCE: Duration = Duration::from_secs(20);

/// Of a log, so much is looked at.
const LOG: u64 = 64 * 1024;

/// Starts `lopper worker RUN` with its output in `worker.log` and waits until it holds the run (or has
/// already ended). The worker leaves our session at once ([`detach`]).
///
/// # Errors
/// When another worker holds the run, or this one cannot be started or ends before it has taken the run.
pub fn launch(run: &RunDir) -> Result<Child> {
    process("worker", run.path())
}

/// Starts `lopper VERB FOLDER`, which takes the folder's lock and leaves its last word there, as [`launch`] does.
///
/// # Errors
/// As [`launch`].
pub fn process(verb: &str, folder: &Path) -> Result<Child> {
    if lock::is_held(folder) {
        return Err(lock::taken(folder));
    }
    let path = log_file(folder);
    let open = || bounded::append(&path);
    let log = open().map_err(|e| Error::io("write", &path, &e))?;
    let errors = open().map_err(|e| Error::io("write", &path, &e))?;
    let said_before = log.metadata().map_or(0, |m| m.len()) as usize;
    let program =
        std::env::current_exe().map_err(|e| Error::fault(format!("lopper's own file cannot be found: {e}")))?;
    let mut scoped = logout::here(&logout::user()) == logout::AtLogout::Killed && logout::has_scopes();
    let spawn = |scoped: bool| {
        let output = |file: &std::fs::File| file.try_clone().map_err(|e| Error::io("write", &path, &e));
        command(&program, verb, folder, scoped)
            .stdin(Stdio::null())
            .stdout(output(&log)?)
            .stderr(output(&errors)?)
            .spawn()
            .map_err(|e| Error::fault(format!("cannot start {}: {e}", program.display())))
    };
    let mut child = match spawn(scoped) {
        Err(_) if scoped => {
            scoped = false;
            spawn(false)?
        }
        other => other?,
    };
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        let ended = child.try_wait().ok().flatten();
        let ours = lock::holder(folder).is_some_and(|h| h.pid == child.id() && h.host == lock::host());
        // A run that is resumed has an old last word until its worker has all it needs.
        if ours && ended.is_none() && lock::is_held(folder) && worker::read_last_word(folder).is_none() {
            return Ok(child);
        }
        if let Some(status) = ended {
            // One that had a run left its words in the run; one that could not take it, in the log.
            if ours && sentence(&log_from(&path, said_before as u64)).is_none() {
                return Ok(child);
            }
            // Another worker may have been faster.
            let held = lock::is_held(folder);
            if scoped && !held && !status.success() {
                // The user's manager would not have it: better a worker in this session than none.
                scoped = false;
                child = spawn(false)?;
                continue;
            }
            return Err(if held { lock::taken(folder) } else { ended_at_once(&path, said_before, status) });
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(child)
}

/// The command that starts a worker: within a scope of the user's own manager, where the end of the session would
/// take it along. systemd-run turns into the worker, so the process is the same.
fn command(program: &Path, verb: &str, run: &Path, scoped: bool) -> Command {
    let mut command = if scoped {
        let mut command = Command::new("systemd-run");
        command.args(["--user", "--scope", "--quiet", "--collect", "--"]).arg(program);
        command
    } else {
        Command::new(program)
    };
    command.arg(verb).arg(run);
    // Candle reads /proc/cpuinfo anew for every product of matrices where the number of threads is not said, a tenth of the
    // time that an answer takes; and its own threads wait by working, while rayon's want the processor.
    for (name, value) in [(THREADS, rayon::current_num_threads()), (SPIN, 1)] {
        if std::env::var_os(name).is_none() {
            command.env(name, value.to_string());
        }
    }
    command
}

/// What the worker said, if it had time to.
fn ended_at_once(log: &Path, said_before: usize, status: ExitStatus) -> Error {
    let said = log_from(log, said_before as u64);
    match sentence(&said) {
        Some(sentence) if status.code() == Some(2) => Error::user(printable(sentence)),
        Some(sentence) => Error::fault(printable(sentence)),
        None => Error::fault(format!("the worker ended at once ({status}): {}", tail(log))),
    }
}

/// What a worker said of why it cannot work.
fn sentence(said: &str) -> Option<&str> {
    said.lines().find_map(|line| line.strip_prefix("lopper: "))
}

/// What `worker.log` has from byte `from` on, as far as it is worth reading.
fn log_from(log: &Path, from: u64) -> String {
    let mut bytes = Vec::new();
    if let Ok(mut file) = bounded::open(log)
        && file.seek(SeekFrom::Start(from)).is_ok()
    {
        // What cannot be read is not shown.
        file.take(LOG).read_to_end(&mut bytes).ok();
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The end of `worker.log`, safe to show.
pub fn tail_of_log(run: &RunDir) -> String {
    tail(&run.log_file())
}

fn log_file(folder: &Path) -> PathBuf {
    folder.join("worker.log")
}

fn tail(log: &Path) -> String {
    let length = std::fs::metadata(log).map_or(0, |meta| meta.len());
    let text = log_from(log, length.saturating_sub(LOG));
    // What the runtime advises is for those who build lopper.
    let is_advice = |line: &str| line.starts_with("note: run with `RUST_BACKTRACE=");
    let lines: Vec<&str> = text.lines().filter(|l| !l.trim().is_empty() && !is_advice(l)).collect();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_a_scope_the_worker_is_what_systemd_run_turns_into() {
        let words = |scoped| {
            let command = command(Path::new("/bin/lopper"), "worker", Path::new("/runs/a b"), scoped);
            let args = command.get_args().map(|a| a.to_string_lossy().into_owned());
            std::iter::once(command.get_program().to_string_lossy().into_owned())
                .chain(args)
                .collect::<Vec<_>>()
                .join("|")
        };
        assert_eq!(words(false), "/bin/lopper|worker|/runs/a b");
        assert_eq!(words(true), "systemd-run|--user|--scope|--quiet|--collect|--|/bin/lopper|worker|/runs/a b");
    }
}
