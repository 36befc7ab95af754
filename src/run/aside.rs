//! Files that are replaced whole, or not at all.

use super::fault;
use crate::{Error, Result};
use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Writes a file under a temporary name, syncs it and renames it into place. One that is there keeps its mode, whatever
/// this process's mask says: whoever could read it still can.
///
/// # Errors
/// When it cannot be written; the old file, if there was one, stays.
pub fn write_aside(path: &Path, bytes: &[u8]) -> Result<()> {
    let aside = path.with_extension("part");
    let mut file = own(&aside).map_err(|e| Error::io("write", path, &e))?;
    let write = |file: &mut File| {
        if let Ok(old) = std::fs::metadata(path)
            && old.is_file()
        {
            // Some shared disks know no modes.
            file.set_permissions(old.permissions()).ok();
        }
        fault::write("aside", file, bytes)?;
        file.sync_all()?;
        std::fs::rename(&aside, path)?;
        // The new name lasts only once its folder is on the disk.
        let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder)?.sync_all()
    };
    write(&mut file).map_err(|e| {
        // Half a file is of no use to anybody. It is held until it is gone: another writer's is left alone.
        if is_named(&file, &aside).unwrap_or(false) {
            std::fs::remove_file(&aside).ok();
        }
        Error::io("write", path, &e)
    })
}

/// Opens the file of the temporary name, empty, for this writer alone: another one is waited for, and what one left
/// that was killed is taken over.
fn own(aside: &Path) -> std::io::Result<File> {
    loop {
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(aside)?;
        let is_ours = match file.lock() {
            // Whoever held it has renamed or removed it meanwhile.
            Ok(()) => is_named(&file, aside)?,
            // Where a file system has no locks, there is one writer, or the last one wins.
            Err(e) => e.kind() != ErrorKind::Interrupted,
        };
        if is_ours {
            if file.metadata()?.len() > 0 {
                file.set_len(0)?;
            }
            return Ok(file);
        }
    }
}

/// Whether an open file is the one that has this name.
fn is_named(file: &File, path: &Path) -> std::io::Result<bool> {
    match std::fs::metadata(path) {
        Ok(named) => {
            let held = file.metadata()?;
            Ok((held.dev(), held.ino()) == (named.dev(), named.ino()))
        }
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(false),
        Err(e) => Err(e),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_file_written_aside_replaces_the_old_one_whole() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.json");
        // What a writer left that was killed.
        std::fs::write(folder.path().join("x.part"), b"a longer half").unwrap();
        write_aside(&file, b"one").unwrap();
        write_aside(&file, b"two").unwrap();
        assert_eq!(std::fs::read(&file).unwrap(), b"two");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_is_replaced_keeps_its_mode() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.toml");
        write_aside(&file, b"one").unwrap();
        // No mask makes this one.
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o604)).unwrap();
        write_aside(&file, b"two").unwrap();
        assert_eq!(std::fs::read(&file).unwrap(), b"two");
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o604);
    }

    #[test]
    fn writers_of_one_file_at_once_write_one_after_the_other() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.json");
        std::thread::scope(|scope| {
            for letter in b'a'..b'e' {
                let file = &file;
                // Some share the temporary name alone.
                let place = if letter == b'd' { file.with_extension("svg") } else { file.clone() };
                scope.spawn(move || {
                    for _ in 0..8 {
                        write_aside(&place, &vec![letter; 100_000]).unwrap();
                        let read = std::fs::read(&place).unwrap();
                        assert!(read.len() == 100_000 && read.iter().all(|byte| *byte == read[0]));
                    }
                });
            }
        });
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
        assert!(std::fs::read(file.with_extension("svg")).unwrap().iter().all(|byte| *byte == b'd'));
    }
}
