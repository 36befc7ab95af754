//! Files from outside, read up to a length: no pipe is waited for, no device read without an end.

use std::fs::{File, OpenOptions};
use std::io::{Error, ErrorKind, Read, Result};
use std::path::Path;

/// What a file of settings may have, bytes: recipes, themes, keys, the words that a worker leaves.
pub const SETTINGS: u64 = 4 << 20;

/// Refuses what is no regular file. Asked before it is opened: opening a pipe would wait for its other end.
fn check(path: &Path) -> Result<()> {
    let kind = std::fs::metadata(path)?.file_type();
    if kind.is_dir() {
        return Err(ErrorKind::IsADirectory.into());
    }
    if !kind.is_file() {
        return Err(Error::other("it is a pipe or a device, a file is needed"));
    }
    Ok(())
}

/// Opens a regular file for reading.
///
/// # Errors
/// As the system has them; a folder, a pipe and a device are refused.
pub fn open(path: &Path) -> Result<File> {
    check(path)?;
    File::open(path)
}

/// Opens a regular file to append to it, also to read what is there; makes it where there is none.
///
/// # Errors
/// As the system has them; a folder, a pipe and a device are refused.
pub fn append(path: &Path) -> Result<File> {
    absent_or_file(path)?;
    OpenOptions::new().create(true).read(true).append(true).open(path)
}

/// Refuses what is there and no regular file.
///
/// # Errors
/// As the system has them; a folder, a pipe and a device are refused.
pub fn absent_or_file(path: &Path) -> Result<()> {
    match check(path) {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

/// The bytes of a regular file of at most `most` of them.
///
/// # Errors
/// As the system has them; a folder, a pipe, a device and a longer file are refused.
pub fn bytes(path: &Path, most: u64) -> Result<Vec<u8>> {
    up_to(open(path)?, most)
}

/// The text of a regular file of at most `most` bytes.
///
/// # Errors
/// As [`bytes()`], and where it is not UTF-8.
pub fn text(path: &Path, most: u64) -> Result<String> {
    String::from_utf8(bytes(path, most)?).map_err(|_| ErrorKind::InvalidData.into())
}

/// As [`text`], also from a pipe, which somebody may have made on purpose: `lopper run <(make-recipe)`.
///
/// # Errors
/// As [`text`]; pipes are read.
pub fn text_of_any(path: &Path, most: u64) -> Result<String> {
    if std::fs::metadata(path)?.is_dir() {
        return Err(ErrorKind::IsADirectory.into());
    }
    String::from_utf8(up_to(File::open(path)?, most)?).map_err(|_| ErrorKind::InvalidData.into())
}

/// What `reader` has, if that is at most `most` bytes.
fn up_to(reader: impl Read, most: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(Error::other(format!("it is larger than {most} bytes, which no such file is")));
    }
    Ok(bytes)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn pipes_folders_devices_and_long_files_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "12345").unwrap();
        assert_eq!(text(&file, 5).unwrap(), "12345");
        assert!(text(&file, 4).unwrap_err().to_string().contains("larger than 4 bytes"));
        let pipe = folder.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0).unwrap();
        for path in [pipe.as_path(), Path::new("/dev/zero")] {
            assert!(bytes(path, 10).unwrap_err().to_string().contains("pipe or a device"), "{}", path.display());
            assert!(append(path).unwrap_err().to_string().contains("pipe or a device"), "{}", path.display());
        }
        assert_eq!(append(folder.path()).unwrap_err().kind(), ErrorKind::IsADirectory);
        assert!(append(&folder.path().join("new")).is_ok());
    }
}
