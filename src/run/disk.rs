//! Room on the disk of a run.

use std::path::{Path, PathBuf};
use std::time::Duration;

/// Kept on the disk for the words that tell that it is full.
const SPARE: usize = 32 * 1024;
/// More room than before by so much, and it is worth trying again.
pub const SLACK: u64 = 64 * 1024;
/// Tried again after this time in any case: a quota's room cannot be seen.
pub const AGAIN: Duration = Duration::from_secs(60);

/// Bytes that this user can still write where `path` lies; `None` where the system does not tell.
pub fn free(path: &Path) -> Option<u64> {
    let stat = rustix::fs::statvfs(path).ok()?;
    Some(stat.f_bavail.saturating_mul(stat.f_frsize))
}

fn spare(run: &Path) -> PathBuf {
    run.join("worker.spare")
}

/// Takes room on the disk for the last words. On a disk that is full already the first thing that has to be kept
/// says so.
pub fn keep(run: &Path) {
    std::fs::write(spare(run), vec![0; SPARE]).ok();
}

/// Gives the room back that [`keep`] took.
pub fn release(run: &Path) {
    std::fs::remove_file(spare(run)).ok();
}
