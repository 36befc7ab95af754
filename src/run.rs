//! The contract between engine and workbench: a run directory and its life.

mod aside;
pub mod blocks;
pub mod change;
pub mod compare;
pub mod control;
pub mod course;
pub mod crash;
pub mod disk;
pub mod estimate;
pub mod event;
pub mod fault;
pub mod inquiry;
pub mod journal;
pub mod launch;
pub mod listing;
pub mod lock;
pub mod logout;
pub mod matrices;
pub mod memory;
pub mod notes;
pub mod origin;
pub mod proposal;
pub mod remove;
pub mod replay;
pub mod sensitivity;
pub mod session;
pub mod shell;
pub mod start;
pub mod tail;
pub mod what_if;
pub mod worker;

use crate::recipe::Recipe;
use crate::{Error, Result};
pub use aside::write_aside;
use std::path::{Path, PathBuf};

/// A run directory: `recipe.toml`, `events.jsonl`, `control.jsonl`, `worker.lock`, `worker.log`,
/// `exit.json`, `notes.toml`, `checkpoints/`, `result/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunDir {
    path: PathBuf,
}

/// How a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RunState {
    /// No worker has started yet.
    #[default]
    Created,
    /// A worker is at it.
    Running,
    /// A worker waits for `resume`.
    Paused,
    /// Complete.
    Finished,
    /// Ended by the user; can be resumed.
    Stopped,
    /// Ended by an error.
    Failed,
    /// The worker is gone without a last word.
    Crashed,
}

impl RunState {
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Finished => "finished",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
            Self::Crashed => "crashed",
        }
    }

    /// Whether no worker is at it any more.
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Finished | Self::Stopped | Self::Failed | Self::Crashed)
    }
}

impl RunDir {
    /// Makes a new run directory `parent/NAME-DATE-TIME` (with a number behind it where that exists), readable
    /// by its owner only, with the resolved recipe.
    ///
    /// # Errors
    /// When the folder cannot be made or written.
    pub fn create(parent: &Path, name: &str, recipe: &Recipe) -> Result<Self> {
        let text = recipe.to_toml()?;
        std::fs::create_dir_all(parent).map_err(|e| Error::io("make the folder", parent, &e))?;
        let safe = as_file_name(name);
        let stem = format!("{}-{}", if safe.is_empty() { "run" } else { &safe }, stamp(now()));
        for attempt in 0..100 {
            let path = parent.join(if attempt == 0 { stem.clone() } else { format!("{stem}-{attempt}") });
            match private_folder(&path) {
                Ok(()) => {
                    let run = Self { path };
                    if let Err(e) = write_aside(&run.recipe_file(), text.as_bytes()) {
                        // A folder without a recipe is no run.
                        std::fs::remove_dir_all(&run.path).ok();
                        return Err(e);
                    }
                    return Ok(run);
                }
                Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(e) => return Err(Error::io("make the run directory", &path, &e)),
            }
        }
        Err(Error::fault(format!("{} is full of runs of this second", parent.display())))
    }

    /// Lets the group of the folder read the run: the worker then makes its files so.
    ///
    /// # Errors
    /// When the folder's mode cannot be changed.
    pub fn open_to_group(&self) -> Result<()> {
        group_umask();
        open_file_to_group(&self.recipe_file())?;
        to_group(&self.path, rustix::fs::Mode::from_raw_mode(0o750))
    }

    /// Whether [`Self::open_to_group`] was asked for.
    pub fn is_open_to_group(&self) -> bool {
        rustix::fs::stat(&self.path).is_ok_and(|stat| stat.st_mode & 0o050 == 0o050)
    }

    /// Opens an existing run directory.
    ///
    /// # Errors
    /// When it is none.
    pub fn open(path: &Path) -> Result<Self> {
        if !path.is_dir() {
            return Err(Error::user(format!(
                "{} is not a run directory: there is no such folder; `lopper runs` lists the runs",
                path.display()
            )));
        }
        let path = std::path::absolute(path).map_err(|e| Error::io("open", path, &e))?;
        let run = Self { path };
        if !run.recipe_file().is_file() {
            return Err(Error::user(format!("{} is not a run directory: it has no recipe.toml", run.path.display())));
        }
        Ok(run)
    }

    /// All run directories below `parent`, newest first.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn list(parent: &Path) -> Result<Vec<Self>> {
        let entries = match std::fs::read_dir(parent) {
            Ok(entries) => entries,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(Error::io("list the runs in", parent, &e)),
        };
        let mut runs: Vec<_> = entries
            .flatten()
            .filter(|e| e.path().join("recipe.toml").is_file())
            .map(|e| (e.metadata().and_then(|m| m.modified()).ok(), Self { path: e.path() }))
            .collect();
        runs.sort_by_key(|run| std::cmp::Reverse(run.0));
        Ok(runs.into_iter().map(|run| run.1).collect())
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its name.
    pub fn name(&self) -> String {
        self.path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default()
    }

    /// `recipe.toml`.
    pub fn recipe_file(&self) -> PathBuf {
        self.path.join("recipe.toml")
    }

    /// `events.jsonl`.
    pub fn journal_file(&self) -> PathBuf {
        self.path.join("events.jsonl")
    }

    /// `control.jsonl`.
    pub fn control_file(&self) -> PathBuf {
        self.path.join("control.jsonl")
    }

    /// `worker.log`.
    pub fn log_file(&self) -> PathBuf {
        self.path.join("worker.log")
    }

    /// `checkpoints/`.
    pub fn checkpoints(&self) -> PathBuf {
        self.path.join("checkpoints")
    }

    /// `result/`.
    pub fn result(&self) -> PathBuf {
        self.path.join("result")
    }

    /// The recipe of the run.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn recipe(&self) -> Result<Recipe> {
        Recipe::read(&self.recipe_file())
    }

    /// How the run stands, from the lock and the last word in `exit.json`; `Paused` is known from the
    /// journal only ([`tail`]).
    pub fn state(&self) -> RunState {
        if lock::is_held(&self.path) {
            return RunState::Running;
        }
        match worker::last_word(&self.path) {
            Some(word) => word,
            None if self.journal_file().is_file() || lock::holder(&self.path).is_some() => RunState::Crashed,
            None => RunState::Created,
        }
    }
}

/// What this process makes from now on, the group may read, whatever the user's own mask says.
pub(crate) fn group_umask() {
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o027));
}

/// Lets the group read a file of a run that is open to it.
fn open_file_to_group(path: &Path) -> Result<()> {
    to_group(path, rustix::fs::Mode::from_raw_mode(0o640))
}

fn to_group(path: &Path, mode: rustix::fs::Mode) -> Result<()> {
    rustix::fs::chmod(path, mode).map_err(|e| Error::io("let the group read", path, &e.into()))
}

fn private_folder(path: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// A recipe's name as part of a file's: letters, digits, `-`, `_` and `.`, other characters as `-`; no path.
pub fn as_file_name(name: &str) -> String {
    name.chars().map(|c| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '-' }).collect()
}

/// Unix time in seconds.
pub fn now() -> f64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0.0, |d| d.as_secs_f64())
}

/// `20261123-204701` (UTC) of a Unix time.
fn stamp(t: f64) -> String {
    let seconds = t as i64;
    let (days, rest) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Civil date from days since 1970 (Howard Hinnant's algorithm).
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let (day, month) = (doy - (153 * mp + 2) / 5 + 1, if mp < 10 { mp + 3 } else { mp - 9 });
    let year = yoe + era * 400 + i64::from(month <= 2);
    format!("{year:04}{month:02}{day:02}-{:02}{:02}{:02}", rest / 3600, rest / 60 % 60, rest % 60)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn stamps_are_civil_dates() {
        assert_eq!(stamp(0.0), "19700101-000000");
        assert_eq!(stamp(951_827_696.0), "20000229-123456");
        assert_eq!(stamp(1_795_466_821.0), "20261123-204701");
    }
}
