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
    // A file system of no blocks at all counts none: some that lie on a network or in a program say nothing else.
    (stat.f_blocks > 0).then(|| stat.f_bavail.saturating_mul(stat.f_frsize))
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_file_system_that_counts_no_blocks_is_not_full() {
        let folder = tempfile::tempdir().unwrap();
        assert!(free(folder.path()).is_some());
        assert_eq!(free(Path::new("/proc")), None);
        assert_eq!(free(&folder.path().join("gone")), None);
    }
}
