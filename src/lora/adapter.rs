//! One adapter: read from a PEFT folder, or new.

mod outline;
mod settings;

pub use outline::{Outline, Sheet, Slot};
pub use settings::Settings;

use crate::model::config::Config;
use crate::model::header::place;
use crate::model::weights::numbers;
use crate::module::{Factor, ModuleId};
use crate::recipe::AdapterEntry;
use crate::{Error, Result};
use candle_core::{DType, Device, Tensor};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;
use std::path::Path;

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

/// Words of a model's name that say how it is stored, not what it is.
const PACKING: [&str; 12] =
    ["meta", "unsloth", "bnb", "4bit", "8bit", "gguf", "awq", "gptq", "int4", "int8", "fp8", "hf"];

/// The words of the name in `ORG/NAME` that say which model it is; `None` of a path, of which nothing can be told.
fn model(base: &str) -> Option<Vec<String>> {
    let (org, name) = base.split_once('/')?;
    if org.is_empty() || org.starts_with('.') || name.is_empty() || name.contains('/') {
        return None;
    }
    let name = name.to_lowercase();
    Some(name.split(['-', '_']).filter(|word| !PACKING.contains(word)).map(str::to_owned).collect())
}

impl Adapter {
    /// The base that its file names, where that is another model than `base`, both by their names on the hub.
    pub fn other_base(&self, base: &str) -> Option<&str> {
        let own = self.base.as_deref()?;
        (model(own)? != model(base)?).then_some(own)
    }

    /// Reads a PEFT folder (`adapter_config.json` and `adapter_model.safetensors`) for a base of shape `config`.
    ///
    /// # Errors
    /// When a file is missing or damaged, a setting is not honoured, a tensor belongs to no adapted
    /// module, or the adapter doesn't fit the base: the first mismatch is named.
    pub fn read(folder: &Path, config: &Config, device: &Device) -> Result<Self> {
        let sheet = Sheet::read(folder)?;
        let outline = sheet.outline(config)?;
        let at = |e: Error| e.at(place(sheet.file.path()));
        let mut modules = BTreeMap::new();
        for (module, slot) in &outline.modules {
            let read = |factor: Factor| -> Result<Tensor> {
                let (name, entry) = &sheet.found[&(*module, factor)];
                numbers(&sheet.file, name, entry, DType::F32, device).map_err(at)
            };
            let (a, b) = (read(Factor::A)?, read(Factor::B)?);
            modules.insert(*module, Pair { a, b, alpha: slot.alpha, scaling: slot.scaling });
        }
        Ok(Self { modules, dropout: outline.dropout, rslora: outline.rslora, base: outline.base })
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[test]
    fn another_base_is_one_of_another_name_and_not_of_another_packing() {
        let other = |own: Option<&str>, base: &str| {
            let adapter =
                Adapter { modules: BTreeMap::new(), dropout: 0.0, rslora: false, base: own.map(str::to_owned) };
            adapter.other_base(base).map(str::to_owned)
        };
        let llama = "meta-llama/Llama-3.1-8B";
        for own in [llama, "unsloth/Meta-Llama-3.1-8B-bnb-4bit", "them/llama-3.1-8b_GGUF"] {
            assert_eq!(other(Some(own), llama), None, "{own}");
        }
        for own in ["meta-llama/Llama-3-8B", "meta-llama/Llama-3.1-8B-Instruct", "mistralai/Mistral-7B-v0.1"] {
            assert_eq!(other(Some(own), llama).as_deref(), Some(own));
        }
        // What a folder holds its name does not say.
        for own in ["/data/base", "./base", "base", "a/b/c", "models/", ""] {
            assert_eq!(other(Some(own), llama), None, "{own}");
        }
        assert_eq!((other(None, llama), other(Some("a/b"), "/data/base")), (None, None));
    }

    #[test]
    fn matrices_in_half_precision_are_read_as_the_numbers_that_they_are() {
        let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/models/llama");
        let config = Config::read(&base).unwrap();
        let from = base.join("adapter");
        let whole = Adapter::read(&from, &config, &Device::Cpu).unwrap();
        let numbers = |x: &Tensor| x.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        for dtype in [DType::BF16, DType::F16] {
            let folder = tempfile::tempdir().unwrap();
            let tensors = candle_core::safetensors::load(from.join("adapter_model.safetensors"), &Device::Cpu).unwrap();
            let half: HashMap<String, Tensor> =
                tensors.into_iter().map(|(name, x)| (name, x.to_dtype(dtype).unwrap())).collect();
            candle_core::safetensors::save(&half, folder.path().join("adapter_model.safetensors")).unwrap();
            std::fs::copy(from.join("adapter_config.json"), folder.path().join("adapter_config.json")).unwrap();
            let read = Adapter::read(folder.path(), &config, &Device::Cpu).unwrap();
            assert_eq!(read.modules.len(), whole.modules.len());
            for (id, pair) in &read.modules {
                let want = &whole.modules[id];
                for (got, want) in [(&pair.a, &want.a), (&pair.b, &want.b)] {
                    let rounded = want.to_dtype(dtype).unwrap().to_dtype(DType::F32).unwrap();
                    assert_eq!(numbers(got), numbers(&rounded), "{id} {dtype:?}");
                }
            }
        }
    }
}
