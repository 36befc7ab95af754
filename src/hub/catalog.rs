//! The catalog: folders are looked through, headers are read.

use super::search::Facets;
use super::walk;
use crate::data::tokenizer;
use crate::lora::adapter::{Outline, Sheet};
use crate::model::config::Config;
use crate::model::inventory::Inventory;
use crate::module::Projection;
use crate::recipe::Recipe;
use crate::text::printable;
use crate::{Error, Result};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Settings above this are not looked into.
const MAX_JSON: u64 = 4 << 20;

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
    #[serde(serialize_with = "crate::text::path_as_text")]
    pub path: PathBuf,
    /// `hf://ORG/NAME@COMMIT` where it is a snapshot of this user's cache: what a recipe takes as well.
    pub link: Option<String>,
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
    /// What it can be sifted by.
    pub facets: Facets,
    /// Why lopper cannot use it, as a sentence.
    pub problem: Option<String>,
}

/// A folder with an adapter: `adapter_config.json`.
#[derive(Debug, Clone, PartialEq, Default, serde::Serialize)]
pub struct AdapterEntry {
    /// `ORG/NAME` in the hub's cache, `RUN` of a run's result, the folder's name elsewhere; safe to show.
    pub name: String,
    /// The folder, absolute: what a recipe's `path` takes.
    #[serde(serialize_with = "crate::text::path_as_text")]
    pub path: PathBuf,
    /// `hf://ORG/NAME@COMMIT` where it is a snapshot of this user's cache: what a recipe takes as well.
    pub link: Option<String>,
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
    /// What it can be sifted by.
    pub facets: Facets,
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

/// Looks through `roots` for bases and adapters. Never fails: what cannot be read is a note or a `problem`.
pub fn scan(roots: &[Root]) -> Catalog {
    let mut found = walk::folders(roots);
    let mut catalog = Catalog {
        bases: found.bases.iter().map(base_of).collect(),
        adapters: found.adapters.iter().map(adapter_of).collect(),
        notes: std::mem::take(&mut found.notes),
    };
    catalog.bases.sort_by(|a, b| (a.problem.is_some(), &a.name, &a.path).cmp(&(b.problem.is_some(), &b.name, &b.path)));
    catalog
        .adapters
        .sort_by(|a, b| (a.problem.is_some(), &a.name, &a.path).cmp(&(b.problem.is_some(), &b.name, &b.path)));
    catalog
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
    base_of(&walk::Folder::new(folder))
}

/// What the adapter in `folder` is; anything wrong with it on every base is its `problem`.
pub fn adapter(folder: &Path) -> AdapterEntry {
    adapter_of(&walk::Folder::new(folder))
}

/// A JSON file as far as it can be read.
pub(super) fn json(path: &Path) -> Option<Value> {
    let meta = std::fs::metadata(path).ok().filter(|m| m.is_file() && m.len() <= MAX_JSON);
    meta.and_then(|_| serde_json::from_slice(&std::fs::read(path).ok()?).ok())
}

fn base_of(folder: &walk::Folder) -> BaseEntry {
    let path = &folder.path;
    let said = json(&path.join("config.json"));
    let architecture = said.as_ref().and_then(|v| v.get("model_type")?.as_str()).unwrap_or_default();
    let mut entry = BaseEntry {
        name: printable(&folder.name).into_owned(),
        path: path.clone(),
        link: super::place::of_cache(path).map(|reference| reference.link()),
        architecture: printable(architecture).into_owned(),
        ..BaseEntry::default()
    };
    let config = Config::read(path);
    if let Ok(config) = &config {
        (entry.context, entry.layers) = (config.max_position, config.layers);
    }
    let inventory = Inventory::read(path);
    if let Ok(inventory) = &inventory {
        entry.parameters = inventory.parameters() as u64;
        entry.bytes = inventory.bytes() as u64;
        let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
        for tensor in inventory.tensors.values() {
            *kinds.entry(tensor.entry.stored.name()).or_default() += tensor.entry.elements();
        }
        entry.dtype = kinds.into_iter().max_by_key(|kind| kind.1).map(|kind| kind.0).unwrap_or_default();
    }
    entry.facets = Facets::of_folder(path, &folder.name, folder.is_of_hub, said.as_ref(), entry.parameters);
    let usable = || -> Result<bool> {
        let config = config?;
        inventory?.check(&config)?;
        tokenizer::file(path)?;
        tokenizer::has_chat_template(path)
    };
    match usable() {
        Ok(chat) => entry.chat_template = chat,
        Err(e) => entry.problem = Some(e.to_string()),
    }
    entry
}

fn adapter_of(folder: &walk::Folder) -> AdapterEntry {
    let path = &folder.path;
    let read = json(&path.join("adapter_config.json"));
    let said = read.clone().unwrap_or_default();
    let text = |key: &str| said.get(key).and_then(Value::as_str).map(|t| printable(t).into_owned());
    let targets = match said.get("target_modules") {
        Some(Value::Array(names)) => {
            names.iter().filter_map(Value::as_str).map(|n| printable(n).into_owned()).collect()
        }
        Some(Value::String(pattern)) => vec![printable(pattern).into_owned()],
        _ => Vec::new(),
    };
    let mut entry = AdapterEntry {
        name: printable(&folder.name).into_owned(),
        path: path.clone(),
        link: super::place::of_cache(path).map(|reference| reference.link()),
        targets,
        base: text("base_model_name_or_path"),
        ..AdapterEntry::default()
    };
    match Sheet::read(path) {
        Ok(sheet) => {
            (entry.rank, entry.alpha) = (sheet.settings.rank, sheet.settings.alpha);
            (entry.parameters, entry.bytes) = (sheet.parameters() as u64, sheet.bytes() as u64);
        }
        Err(e) => {
            entry.rank = said.get("r").and_then(Value::as_u64).unwrap_or_default() as usize;
            entry.alpha = said.get("lora_alpha").and_then(Value::as_f64).unwrap_or_default();
            entry.problem = Some(e.to_string());
        }
    }
    entry.facets = Facets::of_folder(path, &folder.name, folder.is_of_hub, read.as_ref(), entry.parameters);
    entry
}

/// Whether the folder has the configuration of a base that lopper can read.
pub fn is_base(folder: &Path) -> bool {
    Config::read(folder).is_ok()
}

/// Whether the adapter in `adapter` fits the base in `base`, by the checks that loading makes; reads headers only.
///
/// # Errors
/// The first mismatch, as loading would name it, or what is wrong with either.
pub fn fits(base: &Path, adapter: &Path) -> Result<AdapterFacts> {
    let config = Config::read(base)?;
    Ok(facts(&Sheet::read(adapter)?.outline(&config)?, &config))
}

fn facts(outline: &Outline, config: &Config) -> AdapterFacts {
    let layers: BTreeSet<usize> = outline.modules.keys().map(|m| m.layer).collect();
    AdapterFacts {
        rank: outline.modules.values().map(|s| s.rank).max().unwrap_or(0),
        alpha: outline.modules.values().map(|s| s.alpha).fold(0.0, f64::max),
        rslora: outline.rslora,
        dropout: outline.dropout,
        targets: Projection::ALL.into_iter().filter(|p| outline.modules.keys().any(|m| m.projection == *p)).collect(),
        layers: layers.len(),
        modules: outline.modules.len(),
        parameters: outline.parameters(config) as u64,
        base: outline.base.as_deref().map(|b| printable(b).into_owned()),
    }
}

/// The adapters of `recipe` on its base, headers only, in the recipe's order; a new one as it will be made.
///
/// # Errors
/// As loading would: the base's configuration, the first adapter that does not fit it, by name.
pub fn outlines(recipe: &Recipe) -> Result<(Config, Vec<Outline>)> {
    let config = Config::read(&recipe.base)?;
    let one = |entry: &crate::recipe::AdapterEntry| match &entry.path {
        Some(path) => Sheet::read(path)
            .and_then(|sheet| sheet.outline(&config))
            .map_err(|e: Error| e.at(format!("adapter {}", entry.name))),
        None => Ok(Outline::fresh(entry, &config)),
    };
    let all = recipe.adapters.iter().map(one).collect::<Result<_>>()?;
    Ok((config, all))
}

/// The adapters of `recipe` on its base, in the recipe's order; its prune rules are checked against them.
///
/// # Errors
/// As [`outlines`], and for a prune rule that matches no matrix.
pub fn of_recipe(recipe: &Recipe) -> Result<Vec<AdapterFacts>> {
    let (config, outlines) = outlines(recipe)?;
    crate::train::check_rules(&recipe.prune.rules, recipe, &matrices(&config, &outlines))?;
    Ok(outlines.iter().map(|outline| facts(outline, &config)).collect())
}

/// Every matrix of every adapter, as the journal will describe them.
fn matrices(config: &Config, outlines: &[Outline]) -> Vec<crate::run::event::MatrixInfo> {
    use crate::module::Factor;
    let mut all = Vec::new();
    for (adapter, outline) in outlines.iter().enumerate() {
        for (&module, slot) in &outline.modules {
            let (d_out, d_in) = config.linear_shape(module.projection);
            for (factor, rows, cols) in [(Factor::A, slot.rank, d_in), (Factor::B, d_out, slot.rank)] {
                all.push(crate::run::event::MatrixInfo { module, adapter, factor, rows, cols });
            }
        }
    }
    all
}
