//! The cache of Python's `huggingface_hub`, shared in both directions: blobs by hash, snapshots that link to them,
//! references to commits, and its locks.

use super::client::RepositoryFile;
use super::reference::Reference;
use crate::run::disk;
use crate::text::printable;
use crate::{Error, Result};
use std::fs::{File, OpenOptions};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// How often a lock that another program holds is tried.
const AGAIN: Duration = Duration::from_millis(100);

/// One repository of the cache.
#[derive(Debug, Clone)]
pub struct Shelf {
    folder: PathBuf,
    locks: PathBuf,
}

impl Shelf {
    /// The repository's folders, which need not be there.
    pub fn of(cache: &Path, what: &Reference) -> Self {
        let folder = what.repository(cache);
        let locks = cache.join(".locks").join(folder.file_name().unwrap_or_default());
        Self { folder, locks }
    }

    /// Makes the folders.
    ///
    /// # Errors
    /// When one cannot be made.
    pub fn make(&self) -> Result<()> {
        for folder in
            [&self.folder.join("blobs"), &self.folder.join("refs"), &self.folder.join("snapshots"), &self.locks]
        {
            std::fs::create_dir_all(folder).map_err(|e| failed("make the hub's cache in", folder, &e))?;
        }
        Ok(())
    }

    /// The folder of a commit's files.
    pub fn snapshot(&self, commit: &str) -> PathBuf {
        self.folder.join("snapshots").join(commit)
    }

    /// Where the file's content lies, whatever commits it belongs to.
    pub fn blob(&self, file: &RepositoryFile) -> PathBuf {
        self.folder.join("blobs").join(&file.oid)
    }

    /// What was fetched of it so far; ours alone, and named so.
    pub fn part(&self, file: &RepositoryFile) -> PathBuf {
        self.folder.join("blobs").join(format!("{}.lopper.incomplete", file.oid))
    }

    /// Whether the file is there whole, by its size; what has another size is no such file.
    pub fn has(&self, file: &RepositoryFile, commit: &str) -> bool {
        let whole = |path: &Path| std::fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.len() == file.size);
        whole(&self.snapshot(commit).join(&file.path)) || whole(&self.blob(file))
    }

    /// Bytes of the file that are there already.
    pub fn begun(&self, file: &RepositoryFile) -> u64 {
        std::fs::metadata(self.part(file)).map_or(0, |meta| meta.len().min(file.size))
    }

    /// Waits for the lock that Python's client takes for the same file; `waits` is told once if it is held.
    ///
    /// # Errors
    /// When the lock's file cannot be made.
    pub async fn lock(&self, file: &RepositoryFile, waits: impl Fn()) -> Result<File> {
        let path = self.locks.join(format!("{}.lock", file.oid));
        let mut told = false;
        loop {
            let lock = OpenOptions::new()
                .create(true)
                .truncate(false)
                .write(true)
                .open(&path)
                .map_err(|e| failed("lock", &path, &e))?;
            match lock.try_lock() {
                Ok(()) if is_at(&lock, &path) => return Ok(lock),
                // Its holder removed the file: another may be there by now.
                Ok(()) => continue,
                Err(std::fs::TryLockError::WouldBlock) => {}
                // A file system without locks: Python goes on without them as well.
                Err(std::fs::TryLockError::Error(_)) => return Ok(lock),
            }
            if !told {
                waits();
                told = true;
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// Gives a checked part its name. It is not forced to the disk first, as Python's client does not: parts grow at their
    /// end only, so that what a power cut takes makes the file shorter, and [`Self::has`] looks at the length.
    ///
    /// # Errors
    /// When it cannot be renamed.
    pub fn keep(&self, file: &RepositoryFile) -> Result<()> {
        let (part, blob) = (self.part(file), self.blob(file));
        std::fs::rename(&part, &blob).map_err(|e| failed("write", &blob, &e))
    }

    /// Shows a blob in a commit's folder, by a relative link as Python makes it.
    ///
    /// # Errors
    /// When it cannot be linked and not copied either.
    pub fn show(&self, file: &RepositoryFile, commit: &str) -> Result<()> {
        let place = self.snapshot(commit).join(&file.path);
        if std::fs::metadata(&place).is_ok_and(|meta| meta.is_file() && meta.len() == file.size) {
            return Ok(());
        }
        let folder = place.parent().unwrap_or(&self.folder);
        std::fs::create_dir_all(folder).map_err(|e| failed("make", folder, &e))?;
        let up = "../".repeat(2 + file.path.matches('/').count());
        let target = format!("{up}blobs/{}", file.oid);
        // Made aside, so that the place never holds half of anything.
        let aside = aside(folder, &file.oid);
        std::fs::remove_file(&aside).ok();
        if symlink(&target, &aside).is_err() {
            std::fs::copy(self.blob(file), &aside).map_err(|e| {
                std::fs::remove_file(&aside).ok();
                failed("write", &place, &e)
            })?;
        }
        std::fs::rename(&aside, &place).map_err(|e| {
            std::fs::remove_file(&aside).ok();
            failed("write", &place, &e)
        })
    }

    /// Writes down which commit a branch or tag is.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn refer(&self, revision: &str, commit: &str) -> Result<()> {
        let place = self.folder.join("refs").join(revision);
        if std::fs::read_to_string(&place).is_ok_and(|text| text.trim() == commit) {
            return Ok(());
        }
        let folder = place.parent().unwrap_or(&self.folder);
        std::fs::create_dir_all(folder).map_err(|e| failed("make", folder, &e))?;
        let aside = aside(&self.folder, commit);
        std::fs::write(&aside, commit).and_then(|()| std::fs::rename(&aside, &place)).map_err(|e| {
            std::fs::remove_file(&aside).ok();
            failed("write", &place, &e)
        })
    }
}

/// A name in `folder` that nobody else uses, neither another process nor another download of this one.
fn aside(folder: &Path, what: &str) -> PathBuf {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    folder.join(format!(".{what}.{}.{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed)))
}

/// Whether the open file is still the one of that path.
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let same = |a: &std::fs::Metadata, b: &std::fs::Metadata| a.dev() == b.dev() && a.ino() == b.ino();
    matches!((file.metadata(), std::fs::metadata(path)), (Ok(a), Ok(b)) if same(&a, &b))
}

/// A failed file operation in the cache. Who may not write there can have another cache.
pub(super) fn failed(what: &str, path: &Path, error: &std::io::Error) -> Error {
    match Error::io(what, path, error) {
        Error::User(sentence) => Error::User(format!("{sentence}; HF_HUB_CACHE can name a folder of yours")),
        other => other,
    }
}

/// The repository in the cache that takes most room, and its bytes; `except` is left out.
pub(super) fn largest(cache: &Path, except: &str) -> Option<(String, u64)> {
    let entries = std::fs::read_dir(cache).ok()?.flatten();
    let sized = entries.filter_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        let id = name.strip_prefix("models--").or_else(|| name.strip_prefix("datasets--"))?.replacen("--", "/", 1);
        let blobs = std::fs::read_dir(entry.path().join("blobs")).ok()?;
        let bytes = blobs.filter_map(|blob| Some(blob.ok()?.metadata().ok()?.len())).sum();
        Some((printable(&id).into_owned(), bytes))
    });
    sized.filter(|(id, bytes)| id != except && *bytes > 0).max_by_key(|(_, bytes)| *bytes)
}

/// The folder itself, or where it will be made.
pub(super) fn ground(folder: &Path) -> Option<&Path> {
    folder.ancestors().find(|path| path.exists())
}

/// Bytes that are free where `folder` is or will be.
pub fn free(folder: &Path) -> Option<u64> {
    disk::free(ground(folder)?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::io::{self, ErrorKind};

    #[test]
    fn what_a_cache_refuses_is_a_sentence_with_what_to_do() {
        let said = |kind| failed("write", Path::new("/hub/a"), &io::Error::from(kind)).to_string();
        let own = "HF_HUB_CACHE can name a folder of yours";
        assert_eq!(said(ErrorKind::PermissionDenied), format!("cannot write /hub/a: permission denied; {own}"));
        assert_eq!(
            said(ErrorKind::ReadOnlyFilesystem),
            format!("cannot write /hub/a: the file system is read-only; {own}")
        );
        let broken = failed("write", Path::new("/hub/a"), &io::Error::from_raw_os_error(5));
        assert_eq!(broken.to_string(), "cannot write /hub/a: Input/output error (os error 5)");
        assert_eq!(broken.exit_code(), 1);
    }

    #[test]
    fn the_largest_repository_is_named_as_the_hub_names_it() {
        let cache = tempfile::tempdir().unwrap();
        assert_eq!(largest(cache.path(), ""), None);
        for (name, bytes) in [("models--lab--a-b", 7), ("datasets--lab--x--y", 9), ("models--lab--own", 99), ("x", 999)]
        {
            let blobs = cache.path().join(name).join("blobs");
            std::fs::create_dir_all(&blobs).unwrap();
            std::fs::write(blobs.join("one"), vec![0; bytes]).unwrap();
        }
        std::fs::create_dir(cache.path().join("models--empty")).unwrap();
        assert_eq!(largest(cache.path(), "lab/own"), Some(("lab/x--y".into(), 9)));
        assert_eq!(largest(cache.path(), ""), Some(("lab/own".into(), 99)));
    }
}
