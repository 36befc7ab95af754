//! Files mapped into memory: the one place with `unsafe`.
#![allow(unsafe_code)]

use crate::{Error, Result};
use std::fs::File;
use std::ops::Deref;
use std::path::{Path, PathBuf};

/// A whole file as bytes, paged in by the kernel as it is read.
#[derive(Debug)]
pub struct Mapped {
    path: PathBuf,
    map: memmap2::Mmap,
}

impl Mapped {
    /// Maps the regular file `path` for reading.
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
        // SAFETY: the mapping is private and read-only, and lives as long as this struct, whose bytes are
        // only lent out through `&self`. What `Mmap::map` cannot rule out is another process changing the
        // file meanwhile: weights are plain numbers read by copy (bytes into integers or floats, every bit
        // pattern of which is valid) after offsets were checked against the mapped length, so changed
        // contents give wrong numbers, never a wrong address. A file that is cut shorter raises SIGBUS,
        // which ends the process as it would for any reader that maps model files (safetensors, llama.cpp);
        // lopper replaces its own files by renaming, never in place.
        let map = unsafe { memmap2::Mmap::map(&file) }.map_err(|e| Error::io("map", path, &e))?;
        Ok(Self { path: path.to_path_buf(), map })
    }

    /// The file's path, as given.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Deref for Mapped {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.map
    }
}
