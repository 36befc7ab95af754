//! Which folders hold something: bounded in depth, number and time, so that no folder is too large to be named.

use super::catalog::{self, Root, RootKind};
use super::environment;
use crate::text::printable;
use crate::{Error, Result, config};
use std::collections::{BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Folders below a [`RootKind::Folder`] that are gone down.
const DEPTH: usize = 4;
/// Entries of folders that are looked at below one root.
const ENTRIES: usize = 20_000;
/// For all roots together.
const PATIENCE: Duration = Duration::from_secs(5);
/// Never gone into, beside hidden folders: many files, no models.
const SKIPPED: [&str; 4] = ["node_modules", "__pycache__", "site-packages", "checkpoints"];

/// A folder that holds something, and what to call it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Folder {
    pub path: PathBuf,
    pub name: String,
    /// Whether it is a snapshot of a hub's cache.
    pub is_of_hub: bool,
}

impl Folder {
    /// Named as the list shows it: `ORG/NAME` for a snapshot of the hub's cache, the run of a `RUN/result/adapter`,
    /// otherwise the folder's own name.
    pub fn new(path: &Path) -> Self {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
        let above = path.ancestors().nth(2).unwrap_or(&path);
        let own = |path: &Path| path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let snapshot = path.parent().is_some_and(|p| p.ends_with("snapshots"));
        let id = repository(above).filter(|_| snapshot);
        let is_of_hub = id.is_some();
        let name = match id {
            Some(id) => id,
            None if path.ends_with("result/adapter") && above.join("recipe.toml").is_file() => own(above),
            None => own(&path),
        };
        Self { path, name, is_of_hub }
    }
}

/// `ORG/NAME` of a folder `models--ORG--NAME`.
fn repository(folder: &Path) -> Option<String> {
    Some(folder.file_name()?.to_str()?.strip_prefix("models--")?.replacen("--", "/", 1))
}

/// What [`folders`] found.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub bases: Vec<Folder>,
    pub adapters: Vec<Folder>,
    pub notes: Vec<String>,
    /// Canonical paths, so that links to links come to an end and nothing is listed twice.
    seen: BTreeSet<PathBuf>,
}

/// The folders that are looked through, nearest first, each once: `models/` and `adapters/` of the recipe's folder (if
/// there is one yet) and of the working folder, these two, the runs, the user's own
/// ([`crate::config::model_folders`]), the hub's cache (`HF_HUB_CACHE`, `HF_HOME/hub`, `~/.cache/huggingface/hub`).
///
/// # Errors
/// When the user's settings cannot be read or the working folder is gone.
pub fn roots(recipe: Option<&Path>, runs: &Path) -> Result<Vec<Root>> {
    let here = std::env::current_dir().map_err(|e| Error::io("find", Path::new("."), &e))?;
    let own = config::model_folders()?;
    let near: Vec<PathBuf> = recipe.map(Path::to_path_buf).into_iter().chain([here.clone()]).collect();
    let inner = near.iter().flat_map(|folder| ["models", "adapters"].map(|name| folder.join(name)));
    let mut roots: Vec<Root> = Vec::new();
    let mut add = |path: PathBuf, kind| {
        let root = Root { path: here.join(path), kind };
        if !roots.contains(&root) {
            roots.push(root);
        }
    };
    inner.for_each(|path| add(path, RootKind::Folder));
    add(runs.to_path_buf(), RootKind::Runs);
    near.iter().chain(&own).for_each(|path| add(path.clone(), RootKind::Folder));
    environment::cache().into_iter().for_each(|path| add(path, RootKind::Hub));
    Ok(roots)
}

/// The folders below `roots` that hold a base or an adapter, whatever is wrong with it.
pub(super) fn folders(roots: &[Root]) -> Found {
    let mut found = Found::default();
    let start = Instant::now();
    for root in roots {
        match root.kind {
            RootKind::Folder => found.below(&root.path, start),
            RootKind::Runs => found.of_runs(&root.path),
            RootKind::Hub => found.of_hub(&root.path),
        }
    }
    found
}

impl Found {
    /// The entries of a folder, sorted; none and a note where it cannot be read.
    fn entries(&mut self, folder: &Path) -> Vec<PathBuf> {
        let read = || -> std::io::Result<Vec<PathBuf>> {
            // One more than is looked at, so that the limit shows.
            std::fs::read_dir(folder)?.take(ENTRIES + 1).map(|e| e.map(|e| e.path())).collect()
        };
        match read() {
            Ok(mut entries) => {
                entries.sort();
                entries
            }
            Err(e) => {
                if e.kind() != std::io::ErrorKind::NotFound {
                    self.notes.push(Error::io("look through", folder, &e).to_string());
                }
                Vec::new()
            }
        }
    }

    /// Whether the folder was not seen before.
    fn is_new(&mut self, folder: &Path) -> bool {
        std::fs::canonicalize(folder).is_ok_and(|path| self.seen.insert(path))
    }

    /// Keeps a folder whose entries name a base or an adapter.
    fn keep(&mut self, folder: &Folder, entries: &[PathBuf]) {
        let has = |name: &str| entries.iter().any(|e| e.file_name().is_some_and(|n| n == name));
        let weights = |e: &PathBuf| e.extension().is_some_and(|x| x.eq_ignore_ascii_case("gguf"));
        if has("adapter_config.json") {
            self.adapters.push(folder.clone());
        } else if has("config.json") {
            // Many programs have a file of that name.
            let said = catalog::json(&folder.path.join("config.json"));
            let model = said.is_some_and(|v| v.get("model_type").is_some() || v.get("architectures").is_some());
            if model || has("model.safetensors") || has("model.safetensors.index.json") {
                self.bases.push(folder.clone());
            }
        } else if has("model.safetensors.index.json") || entries.iter().any(weights) {
            self.bases.push(folder.clone());
        }
    }

    fn below(&mut self, root: &Path, start: Instant) {
        let mut left = ENTRIES;
        // Level by level: what is near is found even where the limit is reached.
        let mut waiting = VecDeque::from([(root.to_path_buf(), 0)]);
        while let Some((folder, depth)) = waiting.pop_front() {
            if !folder.is_dir() || !self.is_new(&folder) {
                continue;
            }
            let entries = self.entries(&folder);
            self.keep(&Folder::new(&folder), &entries);
            if entries.len() > left || start.elapsed() > PATIENCE {
                let why = if entries.len() > left { "it holds too many files" } else { "it takes too long" };
                let shown = printable(&root.display().to_string()).into_owned();
                self.notes.push(format!("{shown} was looked through in part only: {why}; name the folder itself"));
                return;
            }
            left -= entries.len();
            let inner = entries.into_iter().filter(|path| depth < DEPTH && goes_into(path));
            waiting.extend(inner.map(|path| (path, depth + 1)));
        }
    }

    fn of_runs(&mut self, runs: &Path) {
        for run in self.entries(runs).into_iter().take(ENTRIES) {
            let folder = run.join("result/adapter");
            if folder.join("adapter_config.json").is_file() && self.is_new(&folder) {
                self.adapters.push(Folder::new(&folder));
            }
        }
    }

    fn of_hub(&mut self, cache: &Path) {
        for repository in self.entries(cache).into_iter().take(ENTRIES) {
            let Some(name) = self::repository(&repository) else { continue };
            match snapshot(&repository) {
                Some(path) if self.is_new(&path) => {
                    let entries = self.entries(&path);
                    self.keep(&Folder::new(&path), &entries);
                }
                Some(_) => {}
                None => self.notes.push(format!("{}: the hub's cache holds no whole snapshot of it", printable(&name))),
            }
        }
    }
}

/// The commit that `main` points to, or the newest one that is there.
fn snapshot(repository: &Path) -> Option<PathBuf> {
    let snapshots = repository.join("snapshots");
    let main = std::fs::read_to_string(repository.join("refs/main")).unwrap_or_default();
    let commit = main.trim();
    let plain = !commit.is_empty() && commit.chars().all(|c| c.is_ascii_alphanumeric());
    if plain && snapshots.join(commit).is_dir() {
        return Some(snapshots.join(commit));
    }
    let all = std::fs::read_dir(snapshots).ok()?.flatten().take(ENTRIES).filter(|e| e.path().is_dir());
    all.max_by_key(|e| e.metadata().and_then(|m| m.modified()).ok()).map(|e| e.path())
}

fn goes_into(path: &Path) -> bool {
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    !name.starts_with('.') && !SKIPPED.contains(&name.as_str()) && path.is_dir()
}
