//! Copies of recipes that are not saved yet, beside the recipe: `.r.toml.unsaved`, or with a number behind it
//! where another form has one or has left one. A living form holds the lock of its copy (flock), so that a copy
//! without a lock is one that was left. The first line is a comment with what is known of it, the rest the recipe.

use crate::app::setup::{Found, Kept, Left};
use crate::recipe::draft::Draft;
use crate::run::lock::host;
use crate::text::printable;
use crate::{Error, Result};
use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Copies of one recipe, at most.
const MOST: usize = 5;
/// Bytes of a copy that are read: twice what a recipe may have.
const LONGEST: u64 = 2 << 20;
/// How the first line begins.
const MARK: &str = "# lopper-unsaved ";

/// The first line of a copy.
#[derive(Debug, Serialize, Deserialize)]
struct Head {
    v: u32,
    /// Who has written it.
    pid: u32,
    host: String,
    /// When, Unix seconds.
    t: f64,
    /// Sum of what the file held then, nothing if there was none.
    file: Option<String>,
    /// Sum of the text below.
    text: String,
}

/// A copy that is ours: nobody else writes to it while this lives.
#[derive(Debug)]
pub(super) struct Copy {
    place: PathBuf,
    held: File,
}

/// What there is at a place.
enum There {
    Nothing,
    /// Another form's, which is open.
    Open(Option<Head>),
    Left(Head, String),
    Damaged(String),
}

/// 64 bits of FNV-1a: tells texts apart, and is the same in every build.
fn sum(text: &str) -> String {
    let hash = |sum: u64, byte: u8| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    format!("{:016x}", text.bytes().fold(0xcbf2_9ce4_8422_2325, hash))
}

/// The recipe's file itself, where that is a link or lies behind one.
fn real(file: &Path) -> PathBuf {
    let behind = || Some(file.parent()?.canonicalize().ok()?.join(file.file_name()?));
    file.canonicalize().ok().or_else(behind).unwrap_or_else(|| file.to_path_buf())
}

fn beside(file: &Path, end: &str) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(file.file_name().unwrap_or_default());
    name.push(end);
    file.with_file_name(name)
}

/// Where copies of a recipe may be.
fn places(file: &Path) -> impl Iterator<Item = PathBuf> {
    let file = real(file);
    let end = |n: usize| if n == 1 { ".unsaved".to_owned() } else { format!(".unsaved-{n}") };
    (1..=MOST).map(move |n| beside(&file, &end(n)))
}

fn name(place: &Path) -> String {
    printable(&place.file_name().unwrap_or_default().to_string_lossy()).into_owned()
}

/// Opens a file, never what a link leads to.
fn open(place: &Path, options: &mut OpenOptions) -> std::io::Result<File> {
    options.mode(0o600).custom_flags(OFlags::NOFOLLOW.bits() as i32).open(place)
}

/// Whether the file that is open is the one that has this name now.
fn is_at(file: &File, place: &Path) -> bool {
    let [open, there] = [file.metadata(), std::fs::symlink_metadata(place)];
    matches!((open, there), (Ok(a), Ok(b)) if (a.dev(), a.ino()) == (b.dev(), b.ino()))
}

/// The copy at a place, if it is there and nobody has it.
fn take(place: &Path) -> Option<Copy> {
    let held = open(place, OpenOptions::new().read(true).write(true)).ok()?;
    (held.try_lock().is_ok() && is_at(&held, place)).then(|| Copy { place: place.to_path_buf(), held })
}

fn head_and_text(text: &str) -> Option<(Head, &str)> {
    let (first, rest) = text.split_once('\n')?;
    Some((serde_json::from_str(first.strip_prefix(MARK)?).ok()?, rest))
}

/// What a copy holds.
fn read(place: &Path) -> There {
    if !std::fs::symlink_metadata(place).is_ok_and(|meta| meta.is_file()) {
        return There::Nothing;
    }
    let mut file = match open(place, OpenOptions::new().read(true)) {
        Ok(file) => file,
        Err(e) if e.kind() == ErrorKind::NotFound => return There::Nothing,
        Err(e) => return There::Damaged(format!("cannot be read: {e}")),
    };
    let is_open = matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock));
    let mut bytes = Vec::new();
    if let Err(e) = (&mut file).take(LONGEST + 1).read_to_end(&mut bytes) {
        return There::Damaged(format!("cannot be read: {e}"));
    }
    let text = String::from_utf8(bytes).unwrap_or_default();
    let parts = head_and_text(&text);
    match parts {
        parts if is_open => There::Open(parts.map(|(head, _)| head)),
        // Begun, and never written.
        _ if file.metadata().is_ok_and(|meta| meta.len() == 0) => There::Nothing,
        Some((Head { v: 2.., .. }, _)) => There::Damaged("was written by a newer lopper".into()),
        Some((head, rest)) if head.text == sum(rest) && Draft::parse(rest).is_ok() => {
            let rest = rest.to_owned();
            There::Left(head, rest)
        }
        _ => There::Damaged("is not as it was written".into()),
    }
}

/// Whether a form has this recipe open, with changes that are not saved.
pub(in crate::ui) fn is_open(file: &Path) -> bool {
    places(file).any(|place| matches!(read(&place), There::Open(_)))
}

/// Looks for what earlier forms have left of a recipe whose file holds `saved`. A copy of what the file holds is
/// taken away, and one that cannot be read is put aside.
pub(super) fn find(file: &Path, saved: Option<&str>) -> Found {
    let (mut found, mut all) = (Found::default(), Vec::new());
    let now = crate::run::now();
    for place in places(file) {
        match read(&place) {
            There::Nothing => {}
            There::Open(Some(head)) if head.pid == std::process::id() && head.host == host() => {}
            There::Open(head) => {
                let who = head.map(|head| format!("process {} on {}", head.pid, printable(&head.host)));
                found.open = Some(who.unwrap_or_else(|| "a process that has not written its name".into()));
            }
            There::Left(_, text) if Some(text.as_str()) == saved => forget(&place),
            There::Left(head, text) => {
                let older = head.file != saved.map(sum);
                all.push(Left { copy: place, text, age: (now - head.t).max(0.0), older });
            }
            There::Damaged(why) => {
                let aside = match put_aside(file, &place) {
                    Ok(aside) => format!("it is {} now", name(&aside)),
                    Err(e) => e.to_string(),
                };
                found.said.push(format!("the copy of unsaved changes {} {why}; {aside}", name(&place)));
            }
        }
    }
    found.more = all.len().saturating_sub(1);
    found.left = all.into_iter().min_by(|a, b| a.age.total_cmp(&b.age));
    found
}

/// Gives a copy that is of no use another name.
fn put_aside(file: &Path, place: &Path) -> Result<PathBuf> {
    let file = real(file);
    let end = |n: usize| if n == 1 { ".damaged".to_owned() } else { format!(".damaged-{n}") };
    let mut aside = (1..100).map(|n| beside(&file, &end(n))).filter(|path| std::fs::symlink_metadata(path).is_err());
    let aside = aside.next().unwrap_or_else(|| beside(&file, ".damaged"));
    std::fs::rename(place, &aside).map_err(|e| Error::io("rename", place, &e))?;
    Ok(aside)
}

/// Takes away a copy, unless a form has it.
pub(super) fn forget(place: &Path) {
    if let Some(copy) = take(place) {
        copy.remove();
    }
}

impl Copy {
    /// The copy that was left at a place; nothing if another form has it by now.
    pub(super) fn adopt(place: &Path) -> Option<Self> {
        take(place)
    }

    /// A place for a copy of this recipe that is nobody's.
    ///
    /// # Errors
    /// When the folder cannot be written, has no locks, or is full of copies.
    fn claim(file: &Path) -> Result<Self> {
        for place in places(file) {
            let mut options = OpenOptions::new();
            let held = match open(&place, options.read(true).write(true).create(true).truncate(false)) {
                Ok(held) => held,
                // A folder or a link of that name.
                Err(_) if std::fs::symlink_metadata(&place).is_ok_and(|meta| !meta.is_file()) => continue,
                Err(e) => return Err(Error::io("write", &place, &e)),
            };
            match held.try_lock() {
                // Not one that was left, nor one that has just gone.
                Ok(()) if is_at(&held, &place) && held.metadata().is_ok_and(|meta| meta.len() == 0) => {
                    return Ok(Self { place, held });
                }
                Ok(()) | Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(e)) => return Err(Error::io("lock", &place, &e)),
            }
        }
        let first = places(file).next().unwrap_or_default();
        Err(Error::user(format!("{} and {} more are there already", name(&first), MOST - 1)))
    }

    /// Writes `kept` to `copy` where that is of the same recipe and still ours, or to a new one.
    ///
    /// # Errors
    /// As [`Self::claim`], or when the disk is full.
    pub(super) fn keep(copy: &mut Option<Self>, kept: &Kept) -> Result<()> {
        let ours = |copy: &Self| is_at(&copy.held, &copy.place) && places(&kept.file).any(|p| p == copy.place);
        if !copy.as_ref().is_some_and(ours) {
            let old = copy.replace(Self::claim(&kept.file)?);
            old.into_iter().for_each(Self::remove);
        }
        copy.as_mut().map_or(Ok(()), |copy| copy.write(kept))
    }

    /// Writes it aside and renames it; both have the lock, so that it is never without one.
    fn write(&mut self, kept: &Kept) -> Result<()> {
        let head = Head {
            v: 1,
            pid: std::process::id(),
            host: host(),
            t: crate::run::now(),
            file: kept.saved.as_deref().map(sum),
            text: sum(&kept.text),
        };
        let head = serde_json::to_string(&head).map_err(|e| Error::fault(e.to_string()))?;
        let part = self.part();
        let write = || {
            // One that a killed process has left is not written into.
            std::fs::remove_file(&part).ok();
            let mut file = open(&part, OpenOptions::new().write(true).create_new(true))?;
            file.try_lock()?;
            file.write_all(format!("{MARK}{head}\n{}", kept.text).as_bytes())?;
            file.sync_all()?;
            std::fs::rename(&part, &self.place)?;
            Ok(file)
        };
        self.held = write().map_err(|e: std::io::Error| {
            std::fs::remove_file(&part).ok();
            Error::io("write", &self.place, &e)
        })?;
        Ok(())
    }

    fn part(&self) -> PathBuf {
        let mut part = self.place.clone().into_os_string();
        part.push(".part");
        part.into()
    }

    /// Takes it away.
    pub(super) fn remove(self) {
        if is_at(&self.held, &self.place) {
            std::fs::remove_file(self.part()).ok();
            std::fs::remove_file(&self.place).ok();
        }
    }
}

#[cfg(test)]
mod tests;
