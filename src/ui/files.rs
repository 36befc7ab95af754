//! Files and folders to pick from.

use super::fit;
use super::setup::unsaved::is_open;
use crate::app::clean;
use crate::app::picker::Item;
use crate::run::RunDir;
use crate::text::counted;
use crate::{Error, Result};
use std::path::{Path, PathBuf};

/// Folders below the first that are looked into.
const DEPTH: usize = 4;
/// Files and folders that are looked at, at most.
const MOST: usize = 20_000;
/// Bytes of a file that may be a recipe.
const RECIPE: u64 = 1 << 20;
/// Folders in which nothing of a user's lies.
const SKIPPED: [&str; 5] = ["target", "node_modules", "checkpoints", "__pycache__", "venv"];

/// What a folder holds, folders first; nothing where it cannot be read.
pub fn list(folder: &Path) -> Vec<Item> {
    let mut items: Vec<Item> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .take(MOST)
        .map(|entry| {
            let path = entry.path();
            Item::of_path(&path, path.is_dir())
        })
        .collect();
    items.sort_by(|a, b| (!a.folder, &a.label).cmp(&(!b.folder, &b.label)));
    items
}

/// Files below a folder with one of these extensions, by path.
fn below(folder: &Path, extensions: &[&str]) -> Vec<PathBuf> {
    let (mut found, mut seen) = (Vec::new(), 0);
    let mut folders = vec![(folder.to_path_buf(), 0)];
    while let Some((place, depth)) = folders.pop() {
        for entry in std::fs::read_dir(&place).into_iter().flatten().flatten() {
            seen += 1;
            if seen > MOST {
                break;
            }
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            // Links to folders may go round.
            let is_folder = entry.file_type().is_ok_and(|t| t.is_dir());
            if name.starts_with('.') || (is_folder && SKIPPED.contains(&name.as_str())) {
                continue;
            }
            if is_folder && depth < DEPTH {
                folders.push((path, depth + 1));
            } else if path.extension().and_then(|e| e.to_str()).is_some_and(|e| extensions.contains(&e))
                && path.is_file()
            {
                found.push(path);
            }
        }
    }
    found.sort_by_key(|path| (path.components().count(), path.clone()));
    found
}

/// A file under its path from `folder`.
fn item(path: &Path, folder: &Path, detail: String) -> Item {
    let label = path.strip_prefix(folder).unwrap_or(path).to_string_lossy().into_owned();
    Item { label: clean::line(&label), detail, value: path.to_path_buf(), ..Item::default() }
}

/// Files of examples below a folder.
pub fn examples(folder: &Path) -> Vec<Item> {
    let size = |path: &Path| path.metadata().map_or(String::new(), |meta| kilobytes(meta.len()));
    below(folder, &["jsonl", "ndjson", "json"]).iter().map(|path| item(path, folder, size(path))).collect()
}

fn kilobytes(n: u64) -> String {
    if n < 10_000_000 { format!("{} kB", n.div_ceil(1000)) } else { fit::bytes(n) }
}

/// Recipes below a folder, and those of the runs in `runs`.
pub fn recipes(folder: &Path, runs: Option<&Path>) -> Vec<Item> {
    let of_file = |path: &PathBuf| Some(item(path, folder, about(path)?));
    let found = below(folder, &["toml"]);
    let mut items: Vec<Item> = found.iter().filter(|path| !is_record(path)).filter_map(of_file).collect();
    for run in runs.into_iter().flat_map(|runs| RunDir::list(runs).unwrap_or_default()) {
        let path = std::path::absolute(run.recipe_file()).unwrap_or_else(|_| run.recipe_file());
        let detail = about(&path).unwrap_or_default();
        items.push(Item {
            label: clean::line(&run.name()),
            detail: format!("run  {detail}"),
            value: path,
            ..Item::default()
        });
    }
    items
}

/// What a recipe is about, nothing for another file.
fn about(path: &Path) -> Option<String> {
    if path.metadata().ok()?.len() > RECIPE {
        return None;
    }
    let table: toml::Table = toml::from_str(&std::fs::read_to_string(path).ok()?).ok()?;
    let adapters = table.get("adapters")?.as_array()?;
    let base = table.get("base").and_then(toml::Value::as_str).unwrap_or("no base yet");
    let base = Path::new(base).file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    Some(clean::line(&format!("{base}, {}", counted(adapters.len(), "adapter"))))
}

/// Whether a file is the record of a run, which never changes.
fn is_record(path: &Path) -> bool {
    let beside = |name: &str| path.with_file_name(name).exists();
    path.file_name().is_some_and(|n| n == "recipe.toml") && (beside("events.jsonl") || beside("worker.log"))
}

/// The text of a recipe that may be edited.
///
/// # Errors
/// When it cannot be read, is too large, or is the record of a run.
pub fn read_recipe(path: &Path) -> Result<String> {
    if is_record(path) {
        let place = path.display();
        return Err(Error::user(format!(
            "{place} is the record of a run and does not change; c in the list of runs makes a new recipe from it"
        )));
    }
    let size = path.metadata().map_err(|e| Error::io("read the recipe", path, &e))?.len();
    if size > RECIPE {
        return Err(Error::user(format!("{} is too large for a recipe", path.display())));
    }
    std::fs::read_to_string(path).map_err(|e| Error::io("read the recipe", path, &e))
}

/// `stem.toml` in `folder`, with a number behind it where that exists or somebody is about to write it.
pub fn free_recipe(folder: &Path, stem: &str) -> PathBuf {
    let kept: String = stem.chars().map(|c| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '-' }).collect();
    let stem = if kept.trim_matches('.').is_empty() { "recipe".to_owned() } else { kept };
    let name = |n: usize| if n == 1 { format!("{stem}.toml") } else { format!("{stem}-{n}.toml") };
    (1..10_000)
        .map(|n| folder.join(name(n)))
        .find(|path| !path.exists() && !is_open(path))
        .unwrap_or_else(|| folder.join(name(1)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_picked_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        let recipe = "base = 'm/b'\nadapters = [{ name = 'x' }]\n";
        write("r.toml", recipe);
        write("Cargo.toml", "[package]\nname = 'x'\n");
        write("data/train.jsonl", "{}\n");
        write("data/.hidden/x.jsonl", "{}\n");
        write("runs/one/recipe.toml", recipe);
        write("runs/one/events.jsonl", "");
        let names =
            |items: Vec<Item>| items.into_iter().map(|i| format!("{} ({})", i.label, i.detail)).collect::<Vec<_>>();
        assert_eq!(names(recipes(folder.path(), None)), ["r.toml (b, 1 adapter)"]);
        let runs = folder.path().join("runs");
        assert_eq!(names(recipes(folder.path(), Some(&runs)))[1], "one (run  b, 1 adapter)");
        // The journal of a run looks like examples, and is a file like others.
        assert_eq!(names(examples(folder.path())), ["data/train.jsonl (1 kB)", "runs/one/events.jsonl (0 kB)"]);
        assert_eq!(list(folder.path()).iter().filter(|i| i.folder).count(), 2);
        assert!(list(&folder.path().join("none")).is_empty());
        assert!(read_recipe(&runs.join("one/recipe.toml")).unwrap_err().to_string().contains("record of a run"));
        assert_eq!(read_recipe(&folder.path().join("r.toml")).unwrap(), recipe);
        assert_eq!(free_recipe(folder.path(), "r"), folder.path().join("r-2.toml"));
        assert_eq!(free_recipe(folder.path(), "a b"), folder.path().join("a-b.toml"));
    }
}
