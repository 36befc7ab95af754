//! The catalog: folders are looked through, headers are read.

use crate::module::Projection;
use crate::{Error, Result};
use std::path::{Path, PathBuf};

/// A folder that is looked through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    /// The folder; it need not be there.
    pub path: PathBuf,
    /// How it is looked through.
    pub kind: RootKind,
}

/// How a folder is looked through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RootKind {
    /// It and what lies below it, a few folders deep.
    Folder,
    /// A folder of runs: `*/result/adapter`.
    Runs,
    /// The cache of Python's `huggingface_hub`: `models--ORG--NAME/refs/main` → `snapshots/COMMIT`.
    Hub,
}

/// A folder with a base: `config.json` and weights.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize)]
pub struct BaseEntry {
    /// `ORG/NAME` in the hub's cache, the folder's name elsewhere; safe to show.
    pub name: String,
    /// The folder, absolute: what a recipe's `base` takes.
    pub path: PathBuf,
    /// `llama`, `mistral`, `qwen2`, `qwen3`; what config.json says where lopper does not know it; empty if nothing.
    pub architecture: String,
    /// Parameters of the weights' files, 0 where they cannot be read.
    pub parameters: u64,
    /// How most of them are stored: `BF16`, `F32`, `Q8_0`; empty where they cannot be read.
    pub dtype: String,
    /// Bytes of the tensors on disk.
    pub bytes: u64,
    /// Longest sequence, tokens; 0 where config.json cannot be read.
    pub context: usize,
    /// Decoder layers; 0 where config.json cannot be read.
    pub layers: usize,
    /// Whether its tokenizer has a chat template.
    pub chat_template: bool,
    /// Why lopper cannot use it, as a sentence.
    pub problem: Option<String>,
}

/// A folder with an adapter: `adapter_config.json`.
#[derive(Debug, Clone, PartialEq, Default, serde::Serialize)]
pub struct AdapterEntry {
    /// `ORG/NAME` in the hub's cache, `RUN` of a run's result, the folder's name elsewhere; safe to show.
    pub name: String,
    /// The folder, absolute: what a recipe's `path` takes.
    pub path: PathBuf,
    /// `r`; 0 where the settings cannot be read.
    pub rank: usize,
    /// `lora_alpha`.
    pub alpha: f64,
    /// `target_modules` as written: names, or one expression; safe to show.
    pub targets: Vec<String>,
    /// `base_model_name_or_path` as written, safe to show.
    pub base: Option<String>,
    /// Parameters of its file, 0 where it cannot be read.
    pub parameters: u64,
    /// Bytes of its tensors on disk.
    pub bytes: u64,
    /// Why lopper cannot use it on any base, as a sentence.
    pub problem: Option<String>,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Default, serde::Serialize)]
pub struct Catalog {
    /// Bases: those that can be used first, each group by name.
    pub bases: Vec<BaseEntry>,
    /// Adapters: those that can be used first, each group by name.
    pub adapters: Vec<AdapterEntry>,
    /// What was left out and why: a folder that cannot be read, a limit that was reached. Sentences.
    pub notes: Vec<String>,
}

/// An adapter on a base that it fits.
#[derive(Debug, Clone, PartialEq, Default, serde::Serialize)]
pub struct AdapterFacts {
    /// Largest rank of a module.
    pub rank: usize,
    /// Largest alpha of a module.
    pub alpha: f64,
    /// Whether it scales by alpha/√r.
    pub rslora: bool,
    /// `lora_dropout`, 0 to below 1.
    pub dropout: f64,
    /// Projections that are adapted in at least one layer, in the order of the forward pass.
    pub targets: Vec<Projection>,
    /// Layers with an adapted module.
    pub layers: usize,
    /// Adapted modules.
    pub modules: usize,
    /// Numbers in A and B together.
    pub parameters: u64,
    /// `base_model_name_or_path` as written, safe to show.
    pub base: Option<String>,
}

/// The folders that are looked through, nearest first, each once: the recipe's (if there is one yet), the working
/// folder, `models/` and `adapters/` in both, the runs, the user's own ([`crate::config::model_folders`]), the
/// hub's cache (`HF_HUB_CACHE`, `HF_HOME/hub`, `~/.cache/huggingface/hub`).
///
/// # Errors
/// When the user's settings cannot be read or the working folder is gone.
pub fn roots(recipe: Option<&Path>, runs: &Path) -> Result<Vec<Root>> {
    let _ = (recipe, runs);
    Err(Error::fault("not there yet"))
}

/// Looks through `roots` for bases and adapters. Never fails: what cannot be read is a note or a `problem`.
pub fn scan(roots: &[Root]) -> Catalog {
    let _ = roots;
    Catalog::default()
}

/// The bases of [`scan`] alone, and its notes.
pub fn bases(roots: &[Root]) -> (Vec<BaseEntry>, Vec<String>) {
    let found = scan(roots);
    (found.bases, found.notes)
}

/// The adapters of [`scan`] alone, and its notes.
pub fn adapters(roots: &[Root]) -> (Vec<AdapterEntry>, Vec<String>) {
    let found = scan(roots);
    (found.adapters, found.notes)
}

/// What the base in `folder` is; anything wrong is its `problem`. For a path that the user types.
pub fn base(folder: &Path) -> BaseEntry {
    BaseEntry { path: folder.into(), ..BaseEntry::default() }
}

/// What the adapter in `folder` is; anything wrong with it on every base is its `problem`.
pub fn adapter(folder: &Path) -> AdapterEntry {
    AdapterEntry { path: folder.into(), ..AdapterEntry::default() }
}

/// Whether the adapter in `adapter` fits the base in `base`, by the checks that loading makes; reads headers only.
///
/// # Errors
/// The first mismatch, as loading would name it, or what is wrong with either.
pub fn fits(base: &Path, adapter: &Path) -> Result<AdapterFacts> {
    let _ = (base, adapter);
    Err(Error::fault("not there yet"))
}
