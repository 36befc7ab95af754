//! Deleting a run: its own folder, and only while nothing works on it.

use super::{RunDir, lock};
use crate::text::printable;
use crate::{Error, Result};

/// Deletes the run directory with everything in it, and nothing else: what the recipe names elsewhere stays.
///
/// # Errors
/// When a worker holds the run, when it is a link to somewhere else, or when its files cannot be removed.
pub fn remove(run: &RunDir) -> Result<()> {
    let path = run.path();
    let meta = std::fs::symlink_metadata(path).map_err(|e| Error::io("delete", path, &e))?;
    if !meta.is_dir() || !run.recipe_file().is_file() {
        let shown = printable(&path.display().to_string()).into_owned();
        return Err(Error::user(format!("{shown} is a link, or no run any more: nothing was deleted")));
    }
    // Held to the end, so that no worker starts on half a run.
    let _lock = lock::Lock::take(path)?;
    std::fs::remove_dir_all(path).map_err(|e| Error::io("delete", path, &e))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_run_with_a_worker_or_behind_a_link_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run");
        std::fs::create_dir_all(path.join("checkpoints")).unwrap();
        std::fs::write(path.join("recipe.toml"), "").unwrap();
        let run = RunDir::open(&path).unwrap();
        let lock = lock::Lock::take(&path).unwrap();
        assert!(remove(&run).unwrap_err().to_string().contains("already has a worker"));
        drop(lock);
        #[cfg(unix)]
        {
            let link = folder.path().join("link");
            std::os::unix::fs::symlink(&path, &link).unwrap();
            assert!(remove(&RunDir::open(&link).unwrap()).unwrap_err().to_string().contains("link"));
        }
        assert!(path.is_dir());
        remove(&run).unwrap();
        assert!(!path.exists());
    }
}
