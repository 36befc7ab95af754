//! Files of a repository and their bytes, in memory or on disk.

use bytes::Bytes;
use serde_json::{Value, json};
use sha1::Sha1;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs::File as DiskFile;
use std::io::Read;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Where a file's bytes are. A file on disk is read piece by piece, never as a whole.
#[derive(Clone, Debug)]
pub enum Content {
    Memory(Bytes),
    Disk(Arc<OnDisk>),
}

/// An open file; `folder` keeps a temporary one alive as long as somebody may read from it.
#[derive(Debug)]
pub struct OnDisk {
    file: DiskFile,
    folder: Option<Arc<tempfile::TempDir>>,
}

impl Content {
    pub fn disk(path: &Path, folder: Option<Arc<tempfile::TempDir>>) -> std::io::Result<Self> {
        Ok(Self::Disk(Arc::new(OnDisk { file: DiskFile::open(path)?, folder })))
    }

    /// The bytes from `start`, at most `len` of them; fewer at the end.
    pub fn read(&self, start: u64, len: usize) -> std::io::Result<Bytes> {
        match self {
            Self::Memory(bytes) => {
                let from = (start as usize).min(bytes.len());
                Ok(bytes.slice(from..(from + len).min(bytes.len())))
            }
            Self::Disk(disk) => {
                let mut buffer = vec![0; len];
                let mut filled = 0;
                while filled < len {
                    match disk.file.read_at(&mut buffer[filled..], start + filled as u64)? {
                        0 => break,
                        n => filled += n,
                    }
                }
                buffer.truncate(filled);
                Ok(buffer.into())
            }
        }
    }

    pub fn size(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::Disk(disk) => disk.file.metadata().unwrap().len(),
        }
    }
}

/// A file of a commit.
#[derive(Clone, Debug)]
pub struct File {
    pub content: Content,
    pub size: u64,
    /// The git blob's sha1: of the content, or of the pointer where the content is in LFS.
    pub oid: String,
    /// Of LFS files only.
    pub sha256: Option<String>,
}

pub fn hex(bytes: impl AsRef<[u8]>) -> String {
    bytes.as_ref().iter().fold(String::new(), |mut out, b| {
        write!(out, "{b:02x}").unwrap();
        out
    })
}

/// What git calls a blob of these bytes.
pub fn blob_id(content: &[u8]) -> String {
    let mut hash = Sha1::new();
    hash.update(format!("blob {}\0", content.len()));
    hash.update(content);
    hex(hash.finalize())
}

/// What git keeps in place of an LFS file.
pub fn pointer(sha256: &str, size: u64) -> String {
    format!("version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n")
}

impl File {
    pub fn plain(content: Bytes) -> Self {
        let (size, oid) = (content.len() as u64, blob_id(&content));
        Self { content: Content::Memory(content), size, oid, sha256: None }
    }

    pub fn lfs(content: Content, sha256: String) -> Self {
        let size = content.size();
        Self { content, size, oid: blob_id(pointer(&sha256, size).as_bytes()), sha256: Some(sha256) }
    }

    /// What a client sees as this file's `ETag`, without quotes.
    pub fn etag(&self) -> &str {
        self.sha256.as_deref().unwrap_or(&self.oid)
    }

    /// `lfs` of the tree's entries.
    pub fn lfs_entry(&self) -> Option<Value> {
        let sha256 = self.sha256.as_ref()?;
        Some(json!({"oid": sha256, "size": self.size, "pointerSize": pointer(sha256, self.size).len()}))
    }
}

/// The sha256 of a file on disk, once for each state of it in this process.
pub fn sha256_of(path: &Path) -> String {
    type Known = HashMap<(PathBuf, u64, i64, i64), String>;
    static KNOWN: Mutex<Option<Known>> = Mutex::new(None);
    let about = std::fs::metadata(path).unwrap();
    let key = (path.to_owned(), about.len(), about.mtime(), about.mtime_nsec());
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    known
        .get_or_insert_default()
        .entry(key)
        .or_insert_with(|| {
            let (mut file, mut hash) = (DiskFile::open(path).unwrap(), Sha256::new());
            let mut buffer = vec![0; 1 << 20];
            loop {
                match file.read(&mut buffer).unwrap() {
                    0 => break hex(hash.finalize()),
                    n => hash.update(&buffer[..n]),
                }
            }
        })
        .clone()
}
