//! What leaves the house: PEFT adapters and merged models.

pub mod file;

use super::adapter::Adapter;
use super::merge::{MergedModule, MergedSet};
use super::targets;
use crate::model::config::Config;
use crate::model::inventory::{self, Stored};
use crate::model::weights::Weights;
use crate::module::{Factor, ModuleId};
use crate::{Error, Result};
use candle_core::{DType, Device, Tensor};
use file::Planned;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

/// Bytes of numbers in one shard of a merged model.
const SHARD: usize = 5_000_000_000;

/// Files that travel with a merged model.
const BESIDE: [&str; 12] = [
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "tokenizer.model",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
    "chat_template.json",
    "LICENSE",
];

/// One module as PEFT stores it.
struct Written {
    a: Tensor,
    b: Tensor,
    alpha: f64,
}

/// Writes the merge as **one** PEFT adapter: ranks concatenated, every segment's scale folded into its
/// columns of B, `lora_alpha` = r everywhere so that PEFT's own scaling is 1. Zeros stay zeros. `only`
/// restricts it to some adapters of the merge; `base` becomes `base_model_name_or_path`.
///
/// # Errors
/// When `target` exists, nothing is left to write, or the disk refuses.
pub fn merged_adapter(target: &Path, set: &MergedSet, only: Option<&[usize]>, base: Option<&str>) -> Result<()> {
    let mut modules = BTreeMap::new();
    for (id, module) in &set.modules {
        let kept = |adapter: usize| only.is_none_or(|list| list.contains(&adapter));
        let (mut rows, mut columns) = (Vec::new(), Vec::new());
        for segment in module.segments.iter().filter(|s| kept(s.adapter) && s.rank > 0) {
            rows.push(module.a.narrow(0, segment.start, segment.rank)?.detach());
            columns.push((module.b.narrow(0, segment.start, segment.rank)?.detach() * segment.scale)?);
        }
        if rows.is_empty() {
            continue;
        }
        let (a, b) = (Tensor::cat(&rows, 0)?, Tensor::cat(&columns, 0)?.t()?);
        let alpha = a.dims()[0] as f64;
        modules.insert(*id, Written { a, b, alpha });
    }
    file::folder(target, |folder| write_adapter(folder, &modules, 0.0, false, base))
}

/// Writes one adapter in PEFT's format as it is: own A, B, ranks, alphas, dropout.
///
/// # Errors
/// When `target` exists or the disk refuses.
pub fn adapter(target: &Path, adapter: &Adapter) -> Result<()> {
    let one = |pair: &super::Pair| Written { a: pair.a.clone(), b: pair.b.clone(), alpha: pair.alpha };
    let modules = adapter.modules.iter().map(|(id, pair)| (*id, one(pair))).collect();
    let (dropout, rslora, base) = (adapter.dropout, adapter.rslora, adapter.base.as_deref());
    file::folder(target, |folder| write_adapter(folder, &modules, dropout, rslora, base))
}

fn write_adapter(
    folder: &Path,
    modules: &BTreeMap<ModuleId, Written>,
    dropout: f64,
    rslora: bool,
    base: Option<&str>,
) -> Result<()> {
    let Some(first) = modules.values().next() else {
        return Err(Error::user("there is no adapted module to write"));
    };
    // The first module's values are the defaults; whoever differs is named.
    let (rank, alpha) = (first.a.dims()[0], first.alpha);
    let (mut rank_pattern, mut alpha_pattern) = (serde_json::Map::new(), serde_json::Map::new());
    for (id, module) in modules {
        // Unescaped: older PEFT versions look the name itself up. A dot's other meanings hit no other module.
        let key = targets::name(*id);
        if module.a.dims()[0] != rank {
            rank_pattern.insert(key.clone(), json!(module.a.dims()[0]));
        }
        if module.alpha.to_bits() != alpha.to_bits() {
            alpha_pattern.insert(key, number(module.alpha));
        }
    }
    let config = json!({
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base,
        "inference_mode": true,
        "r": rank,
        "lora_alpha": number(alpha),
        "use_rslora": rslora,
        "rank_pattern": rank_pattern,
        "alpha_pattern": alpha_pattern,
        // Whole names: right for any mixture of layers and projections, and for a base with more layers.
        "target_modules": modules.keys().map(|id| targets::name(*id)).collect::<Vec<_>>(),
        "lora_dropout": dropout,
        "bias": "none",
        "fan_in_fan_out": false,
        "init_lora_weights": true,
        "modules_to_save": null,
        "use_dora": false,
    });
    let mut plan = Vec::with_capacity(2 * modules.len());
    let mut tensors = BTreeMap::new();
    for (id, module) in modules {
        for (factor, tensor) in [(Factor::A, &module.a), (Factor::B, &module.b)] {
            let name = format!("base_model.model.{}.lora_{factor}.weight", targets::name(*id));
            plan.push(Planned { name: name.clone(), shape: tensor.dims().to_vec(), dtype: DType::F32 });
            tensors.insert(name, tensor);
        }
    }
    file::write(&folder.join("adapter_model.safetensors"), &plan, |planned| match tensors.get(&planned.name) {
        Some(tensor) => Ok((*tensor).clone()),
        None => Err(Error::fault(format!("{} was planned without a tensor", planned.name))),
    })?;
    file::write_json(&folder.join("adapter_config.json"), &config)
}

/// Whole numbers as PEFT writes them, `16` instead of `16.0`.
fn number(value: f64) -> Value {
    if value.fract() == 0.0 && value.abs() < 1e15 { json!(value as i64) } else { json!(value) }
}

/// Writes the base with the merge added, W0 + Σ `scale_i` `B_i` `A_i`, as a model folder in Hugging Face layout.
/// Weights keep the type that they have in the base (f32 where that is GGUF or F64); the sum is done in
/// f32. `base` is the base's folder, from which configuration and tokenizer are copied. One tensor is in
/// memory at a time. `progress` hears done and total tensors.
///
/// # Errors
/// When `target` exists, a module is not in the base, a weight is not finite, or the disk refuses.
pub fn merged_model(
    target: &Path,
    base: &Path,
    config: &Config,
    set: &MergedSet,
    progress: impl FnMut(usize, usize),
) -> Result<()> {
    let weights = Weights::load(base, config)?;
    file::folder(target, |folder| write_model(folder, base, config, &weights, set, SHARD, progress))
}

fn write_model(
    folder: &Path,
    base: &Path,
    config: &Config,
    weights: &Weights,
    set: &MergedSet,
    shard: usize,
    mut progress: impl FnMut(usize, usize),
) -> Result<()> {
    for name in BESIDE {
        let from = base.join(name);
        if from.is_file() {
            std::fs::copy(&from, folder.join(name)).map_err(|e| Error::io("copy", &from, &e))?;
        }
    }
    let adapted: BTreeMap<String, &MergedModule> =
        set.modules.iter().map(|(id, module)| (inventory::weight_name(*id), module)).collect();
    let plan: Vec<Planned> = inventory::expected(config)
        .into_iter()
        .map(|(name, shape)| {
            let dtype = match weights.stored(&name) {
                Some(Stored::F16) => DType::F16,
                Some(Stored::Bf16) => DType::BF16,
                _ => DType::F32,
            };
            Planned { name, shape, dtype }
        })
        .collect();
    if let Some(name) = adapted.keys().find(|name| !plan.iter().any(|p| &p.name == *name)) {
        return Err(Error::fault(format!("the base has no {name} for the adapters to be added to")));
    }
    let shards = split(&plan, shard);
    let (total, mut done) = (plan.len(), 0);
    let mut map = serde_json::Map::new();
    for (i, part) in shards.iter().enumerate() {
        let name = match shards.len() {
            1 => "model.safetensors".to_owned(),
            n => format!("model-{:05}-of-{n:05}.safetensors", i + 1),
        };
        file::write(&folder.join(&name), part, |planned| {
            done += 1;
            progress(done, total);
            let Some(module) = adapted.get(&planned.name) else {
                return weights.tensor(&planned.name, &planned.shape, planned.dtype, &Device::Cpu);
            };
            let weight = weights.tensor(&planned.name, &planned.shape, DType::F32, &Device::Cpu)?;
            stored(&(weight + delta(module)?)?, planned)
        })?;
        map.extend(part.iter().map(|planned| (planned.name.clone(), json!(name))));
    }
    if shards.len() > 1 {
        let bytes: usize = plan.iter().map(Planned::bytes).sum();
        let index = json!({"metadata": {"total_size": bytes}, "weight_map": map});
        file::write_json(&folder.join("model.safetensors.index.json"), &index)?;
    }
    Ok(())
}

/// Σ `scale_i` `B_i` `A_i`, `d_out` × `d_in`, f32 on the CPU.
fn delta(module: &MergedModule) -> Result<Tensor> {
    let (a, b) = (module.a.detach().to_device(&Device::Cpu)?, module.b.detach().to_device(&Device::Cpu)?);
    let mut scaled = Vec::with_capacity(module.segments.len());
    for segment in &module.segments {
        scaled.push((b.narrow(0, segment.start, segment.rank)? * segment.scale)?);
    }
    Ok(Tensor::cat(&scaled, 0)?.t()?.contiguous()?.matmul(&a)?)
}

/// `sum` in the type of the file; refused where a number of it is too large for that: it would become infinity.
fn stored(sum: &Tensor, planned: &Planned) -> Result<Tensor> {
    let stored = sum.to_dtype(planned.dtype)?;
    // x · 0 is 0 for every finite x and NaN for the others.
    if (stored.to_dtype(DType::F32)? * 0.0)?.sum_all()?.to_scalar::<f32>()? == 0.0 {
        return Ok(stored);
    }
    Err(Error::user(format!(
        "{} with the adapters added holds a number that {:?} cannot: lower their weights, or use the adapter beside its \
         base",
        planned.name, planned.dtype
    )))
}

/// Consecutive tensors in shards of at most `limit` bytes (one tensor at least).
fn split(plan: &[Planned], limit: usize) -> Vec<Vec<Planned>> {
    let mut shards: Vec<Vec<Planned>> = Vec::new();
    let mut size = usize::MAX;
    for planned in plan {
        if size.saturating_add(planned.bytes()) > limit {
            shards.push(Vec::new());
            size = 0;
        }
        size += planned.bytes();
        if let Some(last) = shards.last_mut() {
            last.push(planned.clone());
        }
    }
    shards
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::lora::Segment;
    use crate::module::Projection;

    #[test]
    fn a_sum_that_the_bases_type_cannot_hold_is_refused() {
        let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/models/mistral");
        let config = Config::read(&base).unwrap();
        let id = ModuleId::new(0, Projection::QProj);
        let (d_out, d_in) = config.linear_shape(id.projection);
        let ones = |width: usize| Tensor::ones((1, width), DType::F32, &Device::Cpu).unwrap();
        let out = tempfile::tempdir().unwrap();
        let write = |name: &str, scale: f64| {
            let segments = vec![Segment { adapter: 0, start: 0, rank: 1, scale }];
            let set = MergedSet { modules: [(id, MergedModule { a: ones(d_in), b: ones(d_out), segments })].into() };
            merged_model(&out.path().join(name), &base, &config, &set, |_, _| {})
        };
        // The largest number of f16 is 65,504.
        write("fits", 6e4).unwrap();
        let error = write("does-not", 7e4).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("q_proj.weight with the adapters added holds a number that F16"), "{error}");
        assert_eq!(std::fs::read_dir(out.path()).unwrap().count(), 1, "nothing half written stays");
    }

    #[test]
    fn a_model_in_shards_is_the_same_model() {
        let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/models/qwen2");
        let config = Config::read(&base).unwrap();
        let weights = Weights::load(&base, &config).unwrap();
        let out = tempfile::tempdir().unwrap();
        write_model(out.path(), &base, &config, &weights, &MergedSet::default(), 40_000, |_, _| {}).unwrap();
        assert!(out.path().join("model.safetensors.index.json").exists());
        let shards = std::fs::read_dir(out.path())
            .unwrap()
            .filter(|f| f.as_ref().unwrap().path().extension().is_some_and(|e| e == "safetensors"));
        assert!(shards.count() > 2);
        let again = Weights::load(out.path(), &config).unwrap();
        for (name, shape) in inventory::expected(&config) {
            assert_eq!(again.stored(&name), weights.stored(&name));
            let numbers = |w: &Weights| -> Vec<f32> {
                let tensor = w.tensor(&name, &shape, DType::F32, &Device::Cpu).unwrap();
                tensor.flatten_all().unwrap().to_vec1().unwrap()
            };
            assert_eq!(numbers(&again), numbers(&weights));
        }
    }
}
