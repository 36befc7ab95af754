//! The user's decisions, as TOML: base, adapters, data, training, pruning, evaluation.

mod adapters;
mod data;
pub mod draft;
mod eval;
pub mod probe;
mod prune;
mod range;
pub mod ratios;
mod recompute;
pub mod sets;
pub mod settings;
pub(crate) mod syntax;
mod train;

pub use adapters::{AdapterEntry, Role};
pub use data::Data;
pub use eval::{Eval, Method, Samples};
pub use prune::{Group, Importance, Moments, Norms, Prune, RatioSchedule};
pub use recompute::Recompute;
pub use train::{BestBy, LrSchedule, OptimizerKind, TargetStage, Train};

use crate::text::printable;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Everything a run depends on. Same recipe, same device and thread count: same losses and masks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// What the run is called on screen; the recipe's file name if left out.
    #[serde(default)]
    pub name: String,
    /// Folder of the base model in Hugging Face layout; `hf://ORG/NAME@REVISION` in the file for one of the hub.
    #[serde(serialize_with = "crate::hub::place::written")]
    pub base: PathBuf,
    /// Seed of every random choice.
    #[serde(default = "seed")]
    pub seed: u64,
    /// `auto`, `cpu` or `cuda:N`.
    #[serde(default = "device")]
    pub device: String,
    /// Type of the frozen weights in memory.
    #[serde(default)]
    pub dtype: BaseType,
    /// The adapters to merge. Exactly one has the role `target`.
    pub adapters: Vec<AdapterEntry>,
    /// The examples.
    pub data: Data,
    /// How to train the merged set.
    #[serde(default)]
    pub train: Train,
    /// How the target adapter is trained alone before the merge (0 epochs: not at all).
    #[serde(default)]
    pub target: TargetStage,
    /// What to prune.
    #[serde(default)]
    pub prune: Prune,
    /// Which dev documents to summarise while training.
    #[serde(default)]
    pub samples: Samples,
    /// What to score at the end.
    #[serde(default)]
    pub eval: Eval,
}

/// Type of the frozen weights in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BaseType {
    /// f32 on CPU, bf16 on CUDA.
    #[default]
    Auto,
    /// 32-bit floats.
    F32,
    /// bfloat16; on the CPU matrices alone, beside activations in f32.
    Bf16,
    /// As the base's file has them: GGUF's blocks, and on the CPU bf16 and f16; unpacked piece by piece for the same
    /// activations as with `Auto`.
    Stored,
}

fn seed() -> u64 {
    1
}

fn device() -> String {
    "auto".into()
}

impl Recipe {
    /// Reads and validates a recipe; relative paths in it are taken from its folder.
    ///
    /// # Errors
    /// Names the file, and the line or the field, and what is allowed there.
    pub fn read(path: &Path) -> Result<Self> {
        let most = crate::bounded::SETTINGS;
        let text = crate::bounded::text_of_any(path, most).map_err(|e| Error::io("read the recipe", path, &e))?;
        Self::parse_as(&text, path).map_err(|e| e.at(printable(&path.display().to_string())))
    }

    /// As [`Self::read`] of a file that holds `text`.
    ///
    /// # Errors
    /// Names the line or the field, and what is allowed there.
    pub fn parse_as(text: &str, path: &Path) -> Result<Self> {
        let mut recipe = Self::parse(text)?;
        recipe.settle(path)?;
        Ok(recipe)
    }

    /// Gives paths and name what the recipe's file gives them.
    pub(crate) fn settle(&mut self, path: &Path) -> Result<()> {
        let place = std::path::absolute(path).map_err(|e| Error::io("find", path, &e))?;
        self.resolve_paths(place.parent().unwrap_or(Path::new("/")))?;
        if self.name.is_empty() {
            self.name = path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
        }
        Ok(())
    }

    /// Parses and validates TOML; paths stay as written.
    ///
    /// # Errors
    /// Names the line or the field, and what is allowed there.
    pub fn parse(text: &str) -> Result<Self> {
        let recipe: Self = toml::from_str(text).map_err(|e| syntax::sentence(text, &e))?;
        recipe.validate()?;
        Ok(recipe)
    }

    /// The recipe as TOML.
    ///
    /// # Errors
    /// When a path is not Unicode.
    pub fn to_toml(&self) -> Result<String> {
        toml::to_string(self).map_err(|e| Error::user(format!("the recipe cannot be written as TOML: {e}")))
    }

    fn resolve_paths(&mut self, folder: &Path) -> Result<()> {
        let model = |p: &Path, key: String| crate::hub::place::resolved(p, folder).map_err(|e| e.at(key));
        self.base = model(&self.base, "base".into())?;
        for adapter in &mut self.adapters {
            if let Some(path) = &mut adapter.path {
                *path = model(path, format!("adapter {}", adapter.name))?;
            }
        }
        let place = |p: &mut PathBuf| *p = folder.join(&*p);
        place(&mut self.data.train);
        place(&mut self.data.dev);
        self.data.test.iter_mut().for_each(place);
        self.eval.encoder.iter_mut().for_each(place);
        Ok(())
    }

    /// Checks every field's range and that the parts fit together.
    ///
    /// # Errors
    /// Names the first field that is wrong, its value and what is allowed.
    pub fn validate(&self) -> Result<()> {
        self.prune.validate()?;
        self.train.validate()?;
        self.target.validate()?;
        self.samples.validate()?;
        self.eval.validate()?;
        self.data.validate()?;
        if self.base.as_os_str().is_empty() {
            return Err(Error::user("base = \"\": a folder is needed"));
        }
        adapters::validate(&self.adapters)?;
        self.validate_methods()?;
        if !(self.device == "auto" || self.device == "cpu" || self.cuda_ordinal().is_some()) {
            return Err(Error::user(format!("device = {:?}: use \"auto\", \"cpu\" or \"cuda:0\"", self.device)));
        }
        Ok(())
    }

    /// Whether anything is to be pruned.
    pub fn prunes(&self) -> bool {
        self.prune.ratio > 0.0 || self.prune.rules.iter().any(|r| r.ratio > 0.0)
    }

    /// Checks that what the recipe names is there, before a run directory is made for it.
    ///
    /// # Errors
    /// Names the key and the first path that is missing or of the wrong kind.
    pub fn check_files(&self) -> Result<()> {
        self.file_problems().into_iter().next().map_or(Ok(()), |(key, error)| Err(error.at(key)))
    }

    /// Every path of the recipe that is missing or of the wrong kind, under its key: `base`, `adapter NAME`,
    /// `data.train`.
    pub fn file_problems(&self) -> Vec<(String, Error)> {
        let adapters = self.adapters.iter().filter_map(|a| Some((format!("adapter {}", a.name), a.path.as_ref()?)));
        let encoder = self.eval.encoder.iter().map(|path| ("eval.encoder".to_owned(), path));
        let folders = std::iter::once(("base".to_owned(), &self.base)).chain(adapters).chain(encoder);
        let wrong_folder = |(key, path): (String, &PathBuf)| match std::fs::metadata(path) {
            Err(e) => Some((key, crate::hub::place::absent(path).unwrap_or_else(|| Error::io("read", path, &e)))),
            Ok(meta) if meta.is_dir() => None,
            Ok(_) => {
                let path = path.display().to_string();
                Some((key, Error::user(format!("{} is a file; a folder is needed", printable(&path)))))
            }
        };
        let data = [("data.train", Some(&self.data.train)), ("data.dev", Some(&self.data.dev))];
        let files = data.into_iter().chain([("data.test", self.data.test.as_ref())]);
        let wrong_file = |(key, path): (&str, Option<&PathBuf>)| {
            let path = path?;
            let error = match std::fs::metadata(path) {
                Err(e) => Error::io("read", path, &e),
                Ok(meta) if meta.is_dir() => {
                    Error::io("read", path, &std::io::Error::from(std::io::ErrorKind::IsADirectory))
                }
                Ok(_) => return None,
            };
            Some((key.to_owned(), error))
        };
        folders.filter_map(wrong_folder).chain(files.filter_map(wrong_file)).collect()
    }

    /// What others call the base: its name on the hub where it came from there, its folder otherwise; `None` for a
    /// folder that is not Unicode.
    pub fn base_name(&self) -> Option<String> {
        match crate::hub::place::of_cache(&self.base) {
            Some(reference) => Some(reference.id),
            None => self.base.to_str().map(str::to_owned),
        }
    }

    /// The base as people read it: `ORG/NAME` of the hub with the beginning of its commit, or its folder; safe to show.
    pub fn base_shown(&self) -> String {
        match crate::hub::place::of_cache(&self.base) {
            Some(reference) if reference.is_pinned() => format!("{} at {}", reference.id, &reference.revision[..12]),
            Some(reference) => reference.to_string(),
            None => printable(&self.base.display().to_string()).into_owned(),
        }
    }

    /// N of `cuda:N` (`cuda` is `cuda:0`).
    pub fn cuda_ordinal(&self) -> Option<usize> {
        cuda_ordinal(&self.device)
    }
}

/// N of the device `cuda:N` (`cuda` is `cuda:0`).
pub fn cuda_ordinal(device: &str) -> Option<usize> {
    match device {
        "cuda" => Some(0),
        other => other.strip_prefix("cuda:")?.parse().ok(),
    }
}
