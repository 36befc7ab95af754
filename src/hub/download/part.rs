//! One file: asked for from where it broke off, written aside, and hashed as it arrives.

use super::{Plan, State};
use crate::hub::cache::{self, Shelf};
use crate::hub::client::{Client, RepositoryFile};
use crate::hub::failure::Failure;
use crate::hub::supply::blocking;
use crate::run::estimate::bytes as sized;
use crate::text::hex;
use crate::{Error, Result};
use bytes::Bytes;
use futures::StreamExt;
use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE};
use reqwest::{Response, StatusCode};
use sha1::{Digest, Sha1};
use sha2::Sha256;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::Duration;
use tokio::sync::mpsc;

/// How often in a row a connection may break before anything arrives.
const TRIES: u32 = 6;
/// How often a file may turn out wrong before it is given up.
const WRONG: u32 = 2;
/// Pieces that wait to be written; each has up to some hundreds of kB.
const QUEUE: usize = 8;

/// What a file must come to: SHA-256 where the hub names that, git's SHA-1 of a blob otherwise.
#[derive(Clone)]
enum Hash {
    Large(Box<Sha256>),
    Small(Box<Sha1>),
}

impl Hash {
    fn of(file: &RepositoryFile) -> Self {
        if file.oid.len() == 64 {
            return Self::Large(Box::default());
        }
        let mut hash = Sha1::new();
        hash.update(format!("blob {}\0", file.size).as_bytes());
        Self::Small(Box::new(hash))
    }

    fn add(&mut self, bytes: &[u8]) {
        match self {
            Self::Large(hash) => hash.update(bytes),
            Self::Small(hash) => hash.update(bytes),
        }
    }

    fn text(self) -> String {
        match self {
            Self::Large(hash) => hex(&hash.finalize()),
            Self::Small(hash) => hex(&hash.finalize()),
        }
    }
}

/// The part on disk: as long as what was hashed of it.
struct Part {
    file: File,
    hash: Hash,
    length: u64,
}

impl Part {
    /// What is there of it, hashed anew; longer than it may be is worth nothing.
    fn open(path: &Path, of: &RepositoryFile) -> Result<Self> {
        let failed = |e: std::io::Error| cache::failed("write", path, &e);
        let mut file =
            OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path).map_err(failed)?;
        let mut part = Self { hash: Hash::of(of), length: 0, file: file.try_clone().map_err(failed)? };
        if file.metadata().map_err(failed)?.len() > of.size {
            part.restart(of).map_err(failed)?;
            return Ok(part);
        }
        let mut buffer = vec![0; 1 << 20];
        loop {
            match file.read(&mut buffer).map_err(|e| cache::failed("read", path, &e))? {
                0 => return Ok(part),
                n => {
                    part.hash.add(&buffer[..n]);
                    part.length += n as u64;
                }
            }
        }
    }

    fn restart(&mut self, of: &RepositoryFile) -> std::io::Result<()> {
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0))?;
        (self.hash, self.length) = (Hash::of(of), 0);
        Ok(())
    }

    /// Writes the pieces to the end of the part and hashes them beside that; stops before `size` would be exceeded.
    fn add(mut self, mut pieces: mpsc::Receiver<Bytes>, size: u64) -> std::io::Result<Self> {
        let (to, from) = std::sync::mpsc::sync_channel::<Bytes>(QUEUE);
        let mut hash = self.hash;
        let file = &mut self.file;
        let mut length = self.length;
        let hashed = std::thread::scope(|scope| {
            let hashing = scope.spawn(move || {
                from.iter().for_each(|piece| hash.add(&piece));
                hash
            });
            while let Some(mut piece) = pieces.blocking_recv() {
                // More than was listed is not of this file.
                let room = (size - length).min(piece.len() as u64) as usize;
                let is_too_long = room < piece.len();
                piece.truncate(room);
                file.write_all(&piece)?;
                length += room as u64;
                if to.send(piece).is_err() || is_too_long {
                    break;
                }
            }
            drop(to);
            hashing.join().map_err(|_| std::io::Error::other("the thread that hashes it ended early"))
        })?;
        Ok(Self { hash: hashed, length, file: self.file })
    }
}

/// Fetches a file whose lock is held into its blob. `told`: bytes that are there, and what happens.
pub async fn fetch(
    client: &Client,
    plan: &Plan,
    shelf: &Shelf,
    file: &RepositoryFile,
    told: &(dyn Fn(u64, State) + Sync),
) -> Result<(), Failure> {
    let url = client.address(&plan.id, &plan.commit, &file.path)?;
    let path = shelf.part(file);
    let of = file.clone();
    let mut part = blocking(move || Part::open(&path, &of)).await?;
    let (mut tries, mut wrong) = (0, 0);
    loop {
        told(part.length, State::Running);
        if part.length == file.size {
            if part.hash.clone().text() == file.oid {
                drop(part);
                let (shelf, file) = (shelf.clone(), file.clone());
                return Ok(blocking(move || shelf.keep(&file)).await?);
            }
            wrong += 1;
            part.restart(file).map_err(|e| cache::failed("write", &shelf.part(file), &e))?;
            if wrong == WRONG {
                std::fs::remove_file(shelf.part(file)).ok();
                return Err(Failure::Nonsense(format!(
                    "what it sends has another hash than it lists ({}…); nothing of it was kept",
                    &file.oid[..12]
                )));
            }
            told(0, State::Again);
            continue;
        }
        let before = part.length;
        let range = (part.length > 0).then(|| format!("bytes={}-", part.length));
        let mut cost = 1;
        let answer = match client.get(&url, range.as_deref()).await {
            Ok(response) => receive(response, part, shelf, file, told).await,
            Err(failure) => {
                // It was asked for several times already.
                cost = TRIES / 2;
                Err((failure, Some(part)))
            }
        };
        let failure = match answer {
            Ok(whole) => {
                part = whole;
                // The connection's end before the file's end.
                (part.length < file.size).then(|| Failure::Network("the connection broke off".into()))
            }
            Err((failure, Some(kept))) => {
                part = kept;
                Some(failure)
            }
            Err((failure, None)) => return Err(failure),
        };
        let Some(failure) = failure else { continue };
        tries = if part.length > before { cost } else { tries + cost };
        if !failure.may_pass() || tries >= TRIES {
            return Err(later(failure, part.length, file));
        }
        told(part.length, State::Again);
        tokio::time::sleep(Duration::from_millis(100) * 2u32.pow(tries - 1)).await;
    }
}

/// A network's failure, with what is kept.
fn later(failure: Failure, length: u64, file: &RepositoryFile) -> Failure {
    match failure {
        Failure::Network(why) if length > 0 => Failure::Network(format!(
            "{why}; {} of {} are kept, the next try goes on from there",
            sized(length),
            sized(file.size)
        )),
        other => other,
    }
}

/// Reads a body to its end, writing and hashing beside it. The part comes back with what arrived, unless it could not
/// be written.
async fn receive(
    response: Response,
    mut part: Part,
    shelf: &Shelf,
    file: &RepositoryFile,
    told: &(dyn Fn(u64, State) + Sync),
) -> Result<Part, (Failure, Option<Part>)> {
    let restart = |part: &mut Part| part.restart(file).map_err(|e| cache::failed("write", &shelf.part(file), &e));
    match response.status() {
        StatusCode::PARTIAL_CONTENT if range_of(&response) == Some((part.length, file.size)) => {}
        StatusCode::OK => {
            // Without ranges everything comes again.
            restart(&mut part).map_err(|e| (e.into(), None))?;
        }
        _ => {
            restart(&mut part).map_err(|e| (e.into(), None))?;
            return Err((Failure::Network("it does not go on where the last try ended".into()), Some(part)));
        }
    }
    let expected = file.size - part.length;
    let told_length = response.headers().get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    if let Some(length) = told_length.filter(|length| *length != expected) {
        let why = format!("it offers {length} bytes where {expected} are listed");
        return Err((Failure::Nonsense(why), Some(part)));
    }
    told(part.length, State::Running);
    let mut length = part.length;
    let (to, from) = mpsc::channel::<Bytes>(QUEUE);
    let path = shelf.part(file);
    let size = file.size;
    let writing =
        tokio::task::spawn_blocking(move || part.add(from, size).map_err(|e| cache::failed("write", &path, &e)));
    let mut pieces = response.bytes_stream();
    let mut broken = None;
    while let Some(piece) = pieces.next().await {
        let piece = match piece {
            Ok(piece) => piece,
            Err(e) => {
                broken = Some(match Failure::of_request(&e) {
                    // Cut in the middle: hyper calls that a body that cannot be decoded.
                    Failure::Nonsense(_) => Failure::Network("the connection broke off".into()),
                    other => other,
                });
                break;
            }
        };
        length += piece.len() as u64;
        if to.send(piece).await.is_err() {
            break;
        }
        told(length.min(size), State::Running);
    }
    drop(to);
    let part = writing
        .await
        .map_err(|_| Error::fault("the task that writes the file ended early"))
        .and_then(|written| written)
        .map_err(|e| (Failure::Local(e), None))?;
    match broken {
        Some(failure) => Err((failure, Some(part))),
        None if length > size => {
            Err((Failure::Nonsense(format!("it sends more than the {} that are listed", sized(size))), Some(part)))
        }
        None => Ok(part),
    }
}

/// First byte and size of a `Content-Range`.
fn range_of(response: &Response) -> Option<(u64, u64)> {
    let text = response.headers().get(CONTENT_RANGE)?.to_str().ok()?;
    let (range, size) = text.strip_prefix("bytes ")?.split_once('/')?;
    Some((range.split_once('-')?.0.parse().ok()?, size.parse().ok()?))
}
