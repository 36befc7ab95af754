//! One adapter: read from a PEFT folder, or new.

mod settings;

pub use settings::Settings;

use super::targets;
use crate::model::config::Config;
use crate::model::header::{self, place};
use crate::model::mapped::Mapped;
use crate::model::weights::numbers;
use crate::module::{Factor, ModuleId, Projection};
use crate::recipe::AdapterEntry;
use crate::text::printable;
use crate::{Error, Result};
use candle_core::{DType, Device, Tensor};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;
use std::path::Path;

/// `adapter_config.json` files are a few kilobytes; nothing above this is read.
const MAX_FILE: u64 = 4 << 20;

/// One adapter's matrices at one module.
#[derive(Debug, Clone)]
pub struct Pair {
    /// r × `d_in`, f32.
    pub a: Tensor,
    /// `d_out` × r, f32 (PEFT's layout).
    pub b: Tensor,
    /// `lora_alpha` at this module.
    pub alpha: f64,
    /// alpha/r, or alpha/√r with rsLoRA: the factor on B·A.
    pub scaling: f64,
}

impl Pair {
    /// r, the number of rows of A.
    pub fn rank(&self) -> usize {
        self.a.dims().first().copied().unwrap_or(0)
    }
}

/// One LoRA adapter.
#[derive(Debug, Clone)]
pub struct Adapter {
    /// Its matrices by module.
    pub modules: BTreeMap<ModuleId, Pair>,
    /// Its `lora_dropout`, 0 to below 1.
    pub dropout: f64,
    /// Whether its scaling is alpha/√r.
    pub rslora: bool,
    /// `base_model_name_or_path` as its file says.
    pub base: Option<String>,
}

impl Adapter {
    /// Reads a PEFT folder (`adapter_config.json` and `adapter_model.safetensors`) for a base of shape `config`.
    ///
    /// # Errors
    /// When a file is missing or damaged, a setting is not honoured, a tensor belongs to no adapted
    /// module, or the adapter doesn't fit the base: the first mismatch is named.
    pub fn read(folder: &Path, config: &Config, device: &Device) -> Result<Self> {
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
        let text = std::fs::read_to_string(&path).map_err(|e| match e.kind() {
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
        let file = Mapped::open(&weights)?;
        Self::assemble(&file, &settings, config, device).map_err(|e| e.at(place(&weights)))
    }

    fn assemble(file: &Mapped, settings: &Settings, config: &Config, device: &Device) -> Result<Self> {
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
            if place.0.layer >= config.layers {
                return Err(Error::user(format!(
                    "the tensor {} is for layer {}, the base has {} layers: this adapter is for another base",
                    printable(&name),
                    place.0.layer,
                    config.layers
                )));
            }
            if !settings.targets.matches(&targets::name(place.0)) {
                return Err(Error::user(format!(
                    "the tensor {} is for a module that adapter_config.json does not name as a target",
                    printable(&name)
                )));
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
        let mut modules = BTreeMap::new();
        for module in config.modules() {
            let name = targets::name(module);
            if !settings.targets.matches(&name) {
                continue;
            }
            let (d_out, d_in) = config.linear_shape(module.projection);
            let rank = settings.rank_pattern.of(&name).unwrap_or(settings.rank);
            let read = |factor: Factor, shape: [usize; 2]| -> Result<Tensor> {
                let Some((name, entry)) = found.get(&(module, factor)) else {
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
                numbers(file, name, entry, DType::F32, device)
            };
            let (a, b) = (read(Factor::A, [rank, d_in])?, read(Factor::B, [d_out, rank])?);
            let alpha = settings.alpha_pattern.of(&name).unwrap_or(settings.alpha);
            modules.insert(module, Pair { a, b, alpha, scaling: settings.scaling(alpha, rank) });
        }
        if modules.is_empty() {
            return Err(Error::user("target_modules names no module of this base"));
        }
        Ok(Self { modules, dropout: settings.dropout, rslora: settings.rslora, base: settings.base.clone() })
    }

    /// A new adapter as PEFT starts one: A uniform in ±1/√`d_in` (`kaiming_uniform_` with a = √5), B zero.
    /// The same seed gives the same numbers, whatever other modules are adapted.
    ///
    /// # Errors
    /// When the rank is 0 or there are no targets.
    pub fn fresh(entry: &AdapterEntry, config: &Config, seed: u64, device: &Device) -> Result<Self> {
        if entry.rank == 0 || entry.targets.is_empty() {
            return Err(Error::user(format!(
                "adapter {}: a rank above 0 and at least one target is needed",
                entry.name
            )));
        }
        let root = if entry.rslora { (entry.rank as f64).sqrt() } else { entry.rank as f64 };
        let mut modules = BTreeMap::new();
        for (stream, module) in config.modules().enumerate() {
            if !entry.targets.contains(&module.projection) {
                continue;
            }
            let (d_out, d_in) = config.linear_shape(module.projection);
            let bound = 1.0 / (d_in as f32).sqrt();
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            rng.set_stream(stream as u64);
            let values: Vec<f32> = (0..entry.rank * d_in).map(|_| rng.random_range(-bound..bound)).collect();
            let a = Tensor::from_vec(values, (entry.rank, d_in), device)?;
            let b = Tensor::zeros((d_out, entry.rank), DType::F32, device)?;
            modules.insert(module, Pair { a, b, alpha: entry.alpha, scaling: entry.alpha / root });
        }
        Ok(Self { modules, dropout: 0.0, rslora: entry.rslora, base: None })
    }

    /// The same adapter (alphas, scalings, dropout) with other matrices: A r × `d_in` and B `d_out` × r by module,
    /// such as [`super::MergedSet::adapter`] gives.
    ///
    /// # Errors
    /// When a module is missing or a shape differs.
    pub fn with_matrices(&self, mut matrices: BTreeMap<ModuleId, (Tensor, Tensor)>) -> Result<Self> {
        let mut modules = BTreeMap::new();
        for (module, pair) in &self.modules {
            match matrices.remove(module) {
                Some((a, b)) if a.dims() == pair.a.dims() && b.dims() == pair.b.dims() => {
                    modules.insert(*module, Pair { a, b, ..*pair });
                }
                _ => return Err(Error::fault(format!("the matrices of {module} do not fit the adapter"))),
            }
        }
        Ok(Self { modules, dropout: self.dropout, rslora: self.rslora, base: self.base.clone() })
    }
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
