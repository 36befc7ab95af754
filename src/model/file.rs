//! Files of weights, read piece by piece where they are wanted. Not mapped: a file that is cut or whose disk fails while it
//! is mapped ends its reader (SIGBUS), a read is an error with a sentence.

use crate::{Error, Result};
use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// A file of weights, open.
#[derive(Debug)]
pub struct WeightFile {
    path: PathBuf,
    file: File,
    length: usize,
}

impl WeightFile {
    /// Opens the regular file `path` for reading.
    ///
    /// # Errors
    /// When it is missing, not readable, empty, or no regular file.
    pub fn open(path: &Path) -> Result<Self> {
        let shown = || crate::text::printable(&path.display().to_string()).into_owned();
        // Asked before it is opened: opening a pipe would wait for its writer.
        let meta = std::fs::metadata(path).map_err(|e| Error::io("open", path, &e))?;
        if !meta.is_file() {
            return Err(Error::user(format!("{} is not a regular file", shown())));
        }
        let file = File::open(path).map_err(|e| Error::io("open", path, &e))?;
        let meta = file.metadata().map_err(|e| Error::io("open", path, &e))?;
        if meta.len() == 0 {
            return Err(Error::user(format!("{} is empty: copy or download it again", shown())));
        }
        let length = usize::try_from(meta.len()).map_err(|_| Error::user(format!("{} is too large", shown())))?;
        Ok(Self { path: path.to_path_buf(), file, length })
    }

    /// The file's path, as given.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes that it had when it was opened.
    pub fn length(&self) -> usize {
        self.length
    }

    /// Fills `out` with the bytes from `at` on; several threads may at once.
    ///
    /// # Errors
    /// When they cannot be read, or the file has become shorter.
    pub fn fill(&self, at: usize, out: &mut [u8]) -> Result<()> {
        self.file.read_exact_at(out, at as u64).map_err(|e| self.failed(&e))
    }

    /// The bytes of `range`, as far as the file had so many when it was opened.
    ///
    /// # Errors
    /// As [`Self::fill`].
    pub fn read(&self, range: Range<usize>) -> Result<Vec<u8>> {
        let end = range.end.min(self.length);
        let mut bytes = vec![0; end.saturating_sub(range.start)];
        self.fill(range.start, &mut bytes)?;
        Ok(bytes)
    }

    /// It as a stream with a place of its own.
    pub fn reader(&self) -> Reader<'_> {
        Reader { file: self, at: 0 }
    }

    /// The sentence for a read that failed.
    fn failed(&self, error: &std::io::Error) -> Error {
        if error.kind() != ErrorKind::UnexpectedEof {
            return Error::io("read", &self.path, error);
        }
        Error::user(format!(
            "{} has become shorter while it was read (it had {} bytes): copy or download it again",
            crate::text::printable(&self.path.display().to_string()),
            self.length
        ))
    }
}

/// A stream over a file of weights.
#[derive(Debug)]
pub struct Reader<'a> {
    file: &'a WeightFile,
    at: u64,
}

impl Read for Reader<'_> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let n = self.file.file.read_at(out, self.at)?;
        self.at += n as u64;
        Ok(n)
    }
}

impl Seek for Reader<'_> {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        let to = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => (self.file.length as u64).checked_add_signed(by),
        };
        self.at = to.ok_or(ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_cut_meanwhile_is_told_in_a_sentence() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        std::fs::write(&path, vec![7; 100_000]).unwrap();
        let file = WeightFile::open(&path).unwrap();
        assert_eq!(file.read(99_998..200_000).unwrap(), [7, 7]);
        assert!(file.read(300_000..400_000).unwrap().is_empty());
        let mut reader = file.reader();
        assert_eq!(reader.seek(SeekFrom::End(-3)).unwrap(), 99_997);
        assert_eq!(reader.read_to_end(&mut Vec::new()).unwrap(), 3);
        assert!(reader.seek(SeekFrom::Current(-100_001)).is_err());
        File::options().write(true).open(&path).unwrap().set_len(4096).unwrap();
        assert_eq!(file.read(0..4096).unwrap().len(), 4096);
        let error = file.read(4000..5000).unwrap_err();
        assert!(error.to_string().contains("has become shorter while it was read (it had 100000 bytes)"), "{error}");
        assert_eq!(error.exit_code(), 2);
        std::fs::write(&path, "").unwrap();
        assert!(WeightFile::open(&path).unwrap_err().to_string().contains("is empty"));
        assert!(WeightFile::open(folder.path()).unwrap_err().to_string().contains("not a regular file"));
    }
}
