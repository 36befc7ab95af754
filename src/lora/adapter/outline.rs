//! An adapter without its numbers: settings and headers, and whether they fit a base.

use super::Settings;
use crate::lora::targets;
use crate::model::config::Config;
use crate::model::file::WeightFile;
use crate::model::header::{self, Stored, place};
use crate::model::weights::no_float;
use crate::module::{Factor, ModuleId, Projection};
use crate::recipe;
use crate::text::printable;
use crate::{Error, Result};
use std::collections::BTreeMap;
use std::path::Path;

/// `adapter_config.json` files are a few kilobytes; nothing above this is read.
const MAX_FILE: u64 = 4 << 20;

/// A PEFT folder, opened: what can be said of it without a base.
#[derive(Debug)]
pub struct Sheet {
    /// The honoured settings.
    pub settings: Settings,
    pub(super) file: WeightFile,
    /// Name and header of every matrix.
    pub(super) found: BTreeMap<(ModuleId, Factor), (String, header::Entry)>,
}

/// One adapted module of an [`Outline`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Slot {
    /// r.
    pub rank: usize,
    /// `lora_alpha` at this module.
    pub alpha: f64,
    /// alpha/r, or alpha/√r with rsLoRA.
    pub scaling: f64,
}

/// An adapter on a base that it fits, without its numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Outline {
    /// The adapted modules.
    pub modules: BTreeMap<ModuleId, Slot>,
    /// Its `lora_dropout`, 0 to below 1.
    pub dropout: f64,
    /// Whether its scaling is alpha/√r.
    pub rslora: bool,
    /// `base_model_name_or_path` as its file says.
    pub base: Option<String>,
}

impl Sheet {
    /// Reads settings and headers of a PEFT folder.
    ///
    /// # Errors
    /// When a file is missing or damaged, a setting is not honoured, or a tensor belongs to no module that can be
    /// adapted on any base.
    pub fn read(folder: &Path) -> Result<Self> {
        let path = folder.join("adapter_config.json");
        if folder.is_dir() && !path.exists() {
            return Err(Error::user(format!(
                "{} is missing: an adapter is a PEFT folder with adapter_config.json and adapter_model.safetensors",
                place(&path)
            )));
        }
        let size = std::fs::metadata(&path).map_err(|e| Error::io("read", &path, &e))?.len();
        if size > MAX_FILE {
            return Err(Error::user(format!("{} has {size} bytes: that is no adapter configuration", place(&path))));
        }
        let text = crate::bounded::text(&path, MAX_FILE).map_err(|e| match e.kind() {
            std::io::ErrorKind::InvalidData => Error::user(format!("{} is not UTF-8 text", place(&path))),
            _ => Error::io("read", &path, &e),
        })?;
        let settings = Settings::parse(&text).map_err(|e| e.at(place(&path)))?;
        let weights = folder.join("adapter_model.safetensors");
        if !weights.exists() && folder.join("adapter_model.bin").exists() {
            return Err(Error::user(format!(
                "{} is a pickle file, which can run code when it is read: load the adapter once with PEFT and \
                 save_pretrained it again, which writes adapter_model.safetensors",
                place(&folder.join("adapter_model.bin"))
            )));
        }
        let file = WeightFile::open(&weights)?;
        let found = matrices(&file, &settings).map_err(|e| e.at(place(&weights)))?;
        Ok(Self { settings, file, found })
    }

    /// Numbers in all its matrices.
    pub fn parameters(&self) -> usize {
        self.found.values().map(|(_, entry)| entry.elements()).sum()
    }

    /// Bytes of all its matrices on disk.
    pub fn bytes(&self) -> usize {
        self.found.values().map(|(_, entry)| entry.bytes.len()).sum()
    }

    /// The adapter on a base of shape `config`.
    ///
    /// # Errors
    /// When it does not fit the base: the first mismatch is named.
    pub fn outline(&self, config: &Config) -> Result<Outline> {
        self.fitted(config).map_err(|e| e.at(place(self.file.path())))
    }

    fn fitted(&self, config: &Config) -> Result<Outline> {
        let settings = &self.settings;
        if let Some(((module, _), (name, _))) = self.found.iter().find(|((m, _), _)| m.layer >= config.layers) {
            return Err(Error::user(format!(
                "the tensor {} is for layer {}, the base has {} layers: this adapter is for another base",
                printable(name),
                module.layer,
                config.layers
            )));
        }
        let mut modules = BTreeMap::new();
        for module in config.modules() {
            let name = targets::name(module);
            if !settings.targets.matches(&name) {
                continue;
            }
            let (d_out, d_in) = config.linear_shape(module.projection);
            let rank = settings.rank_pattern.of(&name).unwrap_or(settings.rank);
            for (factor, shape) in [(Factor::A, [rank, d_in]), (Factor::B, [d_out, rank])] {
                let Some((name, entry)) = self.found.get(&(module, factor)) else {
                    return Err(Error::user(format!(
                        "{factor} of {module} is missing, which target_modules names for this base"
                    )));
                };
                if entry.shape != shape {
                    return Err(Error::user(format!(
                        "the tensor {} has the shape {:?}; rank {rank} on this base ({d_out} × {d_in}) needs {shape:?}",
                        printable(name),
                        entry.shape
                    )));
                }
            }
            let alpha = settings.alpha_pattern.of(&name).unwrap_or(settings.alpha);
            modules.insert(module, Slot { rank, alpha, scaling: settings.scaling(alpha, rank) });
        }
        if modules.is_empty() {
            return Err(Error::user("target_modules names no module of this base"));
        }
        Ok(Outline { modules, dropout: settings.dropout, rslora: settings.rslora, base: settings.base.clone() })
    }
}

impl Outline {
    /// Of a new adapter, as [`super::Adapter::fresh`] makes it.
    pub fn fresh(entry: &recipe::AdapterEntry, config: &Config) -> Self {
        let root = if entry.rslora { (entry.rank as f64).sqrt() } else { entry.rank as f64 };
        let slot = Slot { rank: entry.rank, alpha: entry.alpha, scaling: entry.alpha / root };
        let modules = config.modules().filter(|m| entry.targets.contains(&m.projection)).map(|m| (m, slot)).collect();
        Self { modules, dropout: 0.0, rslora: entry.rslora, base: None }
    }

    /// Numbers in A and B together on a base of shape `config`.
    pub fn parameters(&self, config: &Config) -> usize {
        let size = |(module, slot): (&ModuleId, &Slot)| {
            let (d_out, d_in) = config.linear_shape(module.projection);
            slot.rank * (d_in + d_out)
        };
        self.modules.iter().map(size).sum()
    }
}

/// The matrices of a file, each in a place that the settings name.
fn matrices(file: &WeightFile, settings: &Settings) -> Result<BTreeMap<(ModuleId, Factor), (String, header::Entry)>> {
    for whole in ["lm_head", "model.embed_tokens"] {
        if settings.targets.matches(whole) {
            return Err(Error::user(format!(
                "target_modules names {whole}: only {} of the decoder layers can be adapted",
                Projection::ALL.map(Projection::name).join(", ")
            )));
        }
    }
    let mut found: BTreeMap<(ModuleId, Factor), (String, header::Entry)> = BTreeMap::new();
    for (name, entry) in header::read(file)? {
        let place = locate(&name)?;
        if !settings.targets.matches(&targets::name(place.0)) {
            return Err(Error::user(format!(
                "the tensor {} is for a module that adapter_config.json does not name as a target",
                printable(&name)
            )));
        }
        if matches!(entry.stored, Stored::Other(..) | Stored::Gguf(_)) {
            return Err(no_float(&name, entry.stored));
        }
        if let Some((other, _)) = found.insert(place, (name.clone(), entry)) {
            return Err(Error::user(format!(
                "{} and {} are both {} of {}",
                printable(&other),
                printable(&name),
                place.1,
                place.0
            )));
        }
    }
    Ok(found)
}

/// The module and factor of a tensor's name, with or without PEFT's prefix and the adapter's name.
fn locate(name: &str) -> Result<(ModuleId, Factor)> {
    let refuse = |why: &str| {
        Err(Error::user(format!(
            "the tensor {} {why}; lopper adapts {} of the decoder layers",
            printable(name),
            Projection::ALL.map(Projection::name).join(", ")
        )))
    };
    if name.contains("lora_magnitude_vector") {
        return refuse("belongs to DoRA, which is not supported");
    }
    if name.contains("lora_embedding_") || name.contains("embed_tokens") {
        return refuse("adapts the embedding, which is not supported");
    }
    if name.contains("lm_head") {
        return refuse("adapts the output projection, which is not supported");
    }
    let inner = name.strip_prefix("base_model.model.").unwrap_or(name);
    let parts: Vec<&str> = inner.split('.').collect();
    let (["model", "layers", layer, block, projection, factor, "weight"]
    | ["model", "layers", layer, block, projection, factor, _, "weight"]) = parts.as_slice()
    else {
        return refuse("belongs to no module that can be adapted");
    };
    let factor = match *factor {
        "lora_A" => Factor::A,
        "lora_B" => Factor::B,
        _ => return refuse("is neither lora_A nor lora_B"),
    };
    match (layer.parse::<usize>(), Projection::from_name(projection)) {
        (Ok(layer), Some(projection)) if projection.block() == *block => Ok((ModuleId::new(layer, projection), factor)),
        _ => refuse("belongs to no module that can be adapted"),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn names_with_and_without_the_adapters_name_are_the_same() {
        let q = ModuleId::new(3, Projection::QProj);
        for name in [
            "base_model.model.model.layers.3.self_attn.q_proj.lora_A.weight",
            "base_model.model.model.layers.3.self_attn.q_proj.lora_A.default.weight",
            "model.layers.3.self_attn.q_proj.lora_A.weight",
        ] {
            assert_eq!(locate(name).unwrap(), (q, Factor::A));
        }
        for name in [
            "base_model.model.lm_head.lora_A.weight",
            "base_model.model.model.embed_tokens.lora_embedding_A",
            "base_model.model.model.layers.3.self_attn.q_proj.lora_magnitude_vector",
            "base_model.model.model.layers.3.mlp.q_proj.lora_A.weight",
            "base_model.model.model.layers.x.self_attn.q_proj.lora_A.weight",
            "base_model.model.model.layers.3.self_attn.q_proj.lora_B.bias",
        ] {
            assert!(locate(name).unwrap_err().to_string().contains(name));
        }
    }
}
