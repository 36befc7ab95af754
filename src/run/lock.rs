//! One worker a run: `worker.lock`, held by flock as long as the worker lives.

use super::{fault, shell};
use crate::{Error, Result, bounded};
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};

/// Who holds a run.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Holder {
    /// Grows with every worker of the run.
    pub epoch: u64,
    /// Process id.
    pub pid: u32,
    /// Host name.
    pub host: String,
    /// The kernel's boot id: a pid means nothing after a reboot.
    pub boot: String,
    /// When it took the run, Unix time in seconds.
    #[serde(default)]
    pub since: f64,
}

/// `worker.lock` is a multiple of this, bytes.
const LENGTH: usize = 512;

/// The held lock; let go when dropped.
#[derive(Debug)]
pub struct Lock {
    file: File,
    path: PathBuf,
    holder: Holder,
}

fn place(run: &Path) -> PathBuf {
    run.join("worker.lock")
}

fn read(file: &mut File) -> Option<Holder> {
    let mut text = String::new();
    file.seek(std::io::SeekFrom::Start(0)).ok()?;
    file.take(4096).read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

/// The epoch in what a worker left that died while it wrote its name.
fn recovered(file: &mut File) -> u64 {
    let mut bytes = Vec::new();
    if file.seek(std::io::SeekFrom::Start(0)).and_then(|_| file.take(4096).read_to_end(&mut bytes)).is_err() {
        return 0;
    }
    let text = String::from_utf8_lossy(&bytes);
    let after = text.split_once("\"epoch\":").map_or("", |(_, rest)| rest);
    let digits: String = after.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap_or(0)
}

/// Host name of this machine.
pub fn host() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname").map(|h| h.trim().to_owned()).unwrap_or_default()
}

/// The kernel's id of this boot.
pub fn boot() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|b| b.trim().to_owned()).unwrap_or_default()
}

impl Lock {
    /// Takes the run, or says who has it.
    ///
    /// # Errors
    /// When another worker holds it, or the file cannot be written.
    pub fn take(run: &Path) -> Result<Self> {
        let path = place(run);
        bounded::absent_or_file(&path).map_err(|e| Error::io("open", &path, &e))?;
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|e| Error::io("open", &path, &e))?;
        // A reader that asks whether the run is held has a shared lock for a moment: not a worker.
        let mut attempt = file.try_lock();
        for _ in 0..20 {
            if !matches!(attempt, Err(TryLockError::WouldBlock)) {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
            attempt = file.try_lock();
        }
        match attempt {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(taken(run)),
            Err(TryLockError::Error(e)) => return Err(not_locked(&path, &e)),
        }
        fault::point("lock");
        let epoch = read(&mut file).map_or_else(|| recovered(&mut file), |h| h.epoch) + 1;
        let holder = Holder { pid: std::process::id(), host: host(), boot: boot(), epoch, since: super::now() };
        let mut text = serde_json::to_vec(&holder).map_err(|e| Error::fault(e.to_string()))?;
        // Of one length, over what is there: a full disk does not refuse it, and the epoch comes first, so that a
        // worker that dies in this write leaves it readable.
        text.resize(text.len().next_multiple_of(LENGTH), b' ');
        let mut write = || {
            file.seek(std::io::SeekFrom::Start(0))?;
            fault::write("lock", &mut file, &text)?;
            file.set_len(text.len() as u64)?;
            file.sync_all()
        };
        write().map_err(|e| Error::io("write", &path, &e))?;
        Ok(Self { file, path, holder })
    }

    /// Whether this worker is still the run's newest: a worker given up for dead on another node finds
    /// a newer epoch here and must not write any more.
    ///
    /// # Errors
    /// When a newer worker has taken over.
    pub fn check(&self) -> Result<()> {
        let newest = bounded::open(&self.path).ok().and_then(|mut f| read(&mut f));
        match newest {
            Some(holder) if holder.epoch > self.holder.epoch => Err(Error::fault(format!(
                "process {} on {} has taken over this run; this worker stops",
                holder.pid,
                crate::text::printable(&holder.host)
            ))),
            _ => Ok(()),
        }
    }

    /// This worker.
    pub fn holder(&self) -> &Holder {
        &self.holder
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        self.file.unlock().ok();
    }
}

/// The sentence for a file that cannot be locked at all, as on some shared disks.
fn not_locked(path: &Path, error: &std::io::Error) -> Error {
    use rustix::io::Errno;
    match Errno::from_io_error(error) {
        Some(Errno::NOLCK | Errno::NOSYS | Errno::OPNOTSUPP) => Error::user(format!(
            "cannot lock {}: this file system has no locks, which keep two workers from one run; put the runs on \
             another disk (--runs FOLDER or LOPPER_RUNS)",
            crate::text::printable(&path.display().to_string())
        )),
        _ => Error::io("lock", path, error),
    }
}

/// Who holds the run, or held it last.
pub fn holder(run: &Path) -> Option<Holder> {
    read(&mut bounded::open(&place(run)).ok()?)
}

/// The sentence for a run that another worker holds.
pub fn taken(run: &Path) -> Error {
    let run_name = crate::text::printable(&run.display().to_string()).into_owned();
    let mut by = holder(run);
    for _ in 0..100 {
        if by.is_some() {
            break;
        }
        // It has just taken the lock and is writing its name.
        std::thread::sleep(std::time::Duration::from_millis(20));
        by = holder(run);
    }
    let by = match by {
        Some(holder) => format!("process {} on {}", holder.pid, crate::text::printable(&holder.host)),
        None => "a process that has not written its name".to_owned(),
    };
    Error::user(format!("{run_name} already has a worker: {by}; `lopper attach {}` watches it", shell::word(run)))
}

/// Whether a worker holds the run now.
pub fn is_held(run: &Path) -> bool {
    let Ok(file) = bounded::open(&place(run)) else { return false };
    // A shared lock is refused exactly while a worker has the exclusive one.
    matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::io::Errno;

    #[test]
    fn a_disk_without_locks_is_told_with_what_to_do() {
        let of = |errno: Errno| not_locked(Path::new("/net/runs/x/worker.lock"), &errno.into());
        for errno in [Errno::NOLCK, Errno::NOSYS, Errno::OPNOTSUPP] {
            let error = of(errno);
            assert_eq!(error.exit_code(), 2, "{error}");
            let text = error.to_string();
            assert!(text.contains("/net/runs/x/worker.lock: this file system has no locks"), "{text}");
            assert!(text.contains("LOPPER_RUNS"), "{text}");
        }
        assert_eq!(of(Errno::IO).exit_code(), 1);
    }
}
