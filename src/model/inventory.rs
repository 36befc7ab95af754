//! What a model folder holds: names, shapes and types of its tensors, from the headers alone.

use super::config::Config;
use super::file::WeightFile;
use super::header::{self, place};
pub use super::header::{Entry, Stored};
use super::matrix::{self, Hold};
use crate::module::Projection;
use crate::text::printable;
use crate::{Error, Result};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

/// Index files list one line a tensor; nothing above this is read.
const MAX_INDEX: u64 = 64 << 20;

/// Where a model's weights are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// One or many safetensors files.
    Safetensors(Vec<PathBuf>),
    /// One GGUF file.
    Gguf(PathBuf),
}

/// Finds the weights of a model folder: model.safetensors.index.json, model.safetensors or one *.gguf.
///
/// # Errors
/// When there are none, more than one GGUF, only pickle files, or the index names a file that is
/// missing or outside of the folder.
pub fn find(folder: &Path) -> Result<Source> {
    let shown = place(folder);
    let index = folder.join("model.safetensors.index.json");
    if index.is_file() {
        return shards(folder, &index).map(Source::Safetensors);
    }
    let single = folder.join("model.safetensors");
    if single.is_file() {
        return Ok(Source::Safetensors(vec![single]));
    }
    let listing = std::fs::read_dir(folder).map_err(|e| Error::io("read the folder", folder, &e))?;
    let mut names = Vec::new();
    for item in listing {
        names.push(item.map_err(|e| Error::io("read the folder", folder, &e))?.file_name());
    }
    names.sort();
    let ending = |end: &str| -> Vec<PathBuf> {
        let fits = |n: &&std::ffi::OsString| Path::new(n).extension().is_some_and(|e| e.eq_ignore_ascii_case(end));
        names.iter().filter(fits).map(|n| folder.join(n)).collect()
    };
    match ending("gguf").as_slice() {
        [one] => return Ok(Source::Gguf(one.clone())),
        [] => {}
        many => {
            return Err(Error::user(format!(
                "{shown} holds {} GGUF files; leave the one to use (split GGUF files must be merged first)",
                many.len()
            )));
        }
    }
    if let [first, ..] = ending("safetensors").as_slice() {
        return Err(Error::user(format!(
            "{shown} holds {} but neither model.safetensors nor model.safetensors.index.json",
            place(Path::new(first.file_name().unwrap_or_default()))
        )));
    }
    if let Some(pickle) = ["bin", "pt", "pth"].iter().find_map(|end| ending(end).into_iter().next()) {
        return Err(Error::user(format!(
            "{} is a pickle file, which can run code when it is read: convert it once with transformers \
             (AutoModelForCausalLM.from_pretrained(folder).save_pretrained(new_folder)) and use model.safetensors",
            place(&pickle)
        )));
    }
    Err(Error::user(format!("{shown} holds no weights: model.safetensors, its index, or one *.gguf is needed")))
}

fn shards(folder: &Path, index: &Path) -> Result<Vec<PathBuf>> {
    let at = place(index);
    let user = |text: String| Error::user(format!("{at}: {text}"));
    let size = std::fs::metadata(index).map_err(|e| Error::io("read", index, &e))?.len();
    if size > MAX_INDEX {
        return Err(user(format!("{size} bytes are too many for an index")));
    }
    let bytes = crate::bounded::bytes(index, MAX_INDEX).map_err(|e| Error::io("read", index, &e))?;
    let value: Value = serde_json::from_slice(&bytes).map_err(|e| user(format!("not valid JSON: {e}")))?;
    let Some(map) = value.get("weight_map").and_then(Value::as_object) else {
        return Err(user("there is no weight_map".into()));
    };
    let mut files = BTreeSet::new();
    for (tensor, file) in map {
        let Some(file) = file.as_str() else {
            return Err(user(format!("weight_map of {} is not a file name", printable(tensor))));
        };
        files.insert(file);
    }
    let mut paths = Vec::with_capacity(files.len());
    for file in files {
        let relative = Path::new(file);
        let inside = !file.is_empty() && relative.components().all(|c| matches!(c, Component::Normal(_)));
        if !inside {
            return Err(user(format!("{:?} leads out of the folder", printable(file))));
        }
        let path = folder.join(relative);
        if !path.is_file() {
            return Err(user(format!("the shard {} is missing: copy or download it again", place(&path))));
        }
        paths.push(path);
    }
    if paths.is_empty() {
        return Err(user("weight_map is empty".into()));
    }
    Ok(paths)
}

/// The tensors of a model folder, without their numbers.
#[derive(Debug)]
pub struct Inventory {
    /// Where they are.
    pub source: Source,
    /// By Hugging Face name (GGUF names translated).
    pub tensors: BTreeMap<String, Located>,
}

/// One tensor and the file that holds it.
#[derive(Debug, Clone, PartialEq)]
pub struct Located {
    /// Index of the file in [`Source::Safetensors`], 0 for GGUF.
    pub file: usize,
    /// Its shape, type and place.
    pub entry: Entry,
}

impl Inventory {
    /// Bytes of the base with its matrices as `hold` says and the rest in f32, or bf16 (`half`).
    pub fn held_bytes(&self, config: &Config, hold: Hold, half: bool, on_card: bool) -> u64 {
        let bytes = |(name, shape): &(String, Vec<usize>)| {
            let entry = self.tensors.get(name).map(|t| &t.entry);
            let kept = entry.and_then(|entry| Some((entry, matrix::kept_packed(entry.stored, on_card)?)));
            let numbers = shape.iter().product::<usize>() as u64;
            match (hold, kept, &shape[..]) {
                (Hold::Stored, Some((entry, _)), [_, _]) => entry.bytes.len() as u64,
                (Hold::Halves, _, [_, _]) => 2 * numbers,
                _ => numbers * if half { 2 } else { 4 },
            }
        };
        expected(config).iter().map(bytes).sum()
    }

    /// Bytes that the base takes less with its matrices as they are stored than as `hold` says; as [`Self::held_bytes`].
    pub fn packing_saves(&self, config: &Config, hold: Hold, half: bool, on_card: bool) -> u64 {
        let of = |hold| self.held_bytes(config, hold, half, on_card);
        of(hold).saturating_sub(of(Hold::Stored))
    }

    /// Reads the headers of `folder`'s weights.
    ///
    /// # Errors
    /// As [`find`], and when a header is damaged; names the file and the tensor.
    pub fn read(folder: &Path) -> Result<Self> {
        let source = find(folder)?;
        let files = match &source {
            Source::Safetensors(paths) => paths.iter().map(|p| WeightFile::open(p)).collect::<Result<Vec<_>>>()?,
            Source::Gguf(path) => {
                let tensors = super::gguf::Gguf::open(path)?.tensors()?;
                return Ok(Self { source, tensors });
            }
        };
        let tensors = collect(&files)?;
        Ok(Self { source, tensors })
    }

    /// Number of parameters.
    pub fn parameters(&self) -> usize {
        self.tensors.values().map(|t| t.entry.elements()).sum()
    }

    /// Bytes on disk.
    pub fn bytes(&self) -> usize {
        self.tensors.values().map(|t| t.entry.bytes.len()).sum()
    }

    /// Checks that every tensor that `config` needs is there in its shape and in floating point, and
    /// that nothing is there that the architecture doesn't know.
    ///
    /// # Errors
    /// Names the first tensor that doesn't fit, with its file.
    pub fn check(&self, config: &Config) -> Result<()> {
        check(&self.tensors, config, &self.source)
    }
}

/// All tensors of some safetensors files.
pub(super) fn collect(files: &[WeightFile]) -> Result<BTreeMap<String, Located>> {
    let mut tensors = BTreeMap::new();
    for (file, open) in files.iter().enumerate() {
        for (name, entry) in header::read(open)? {
            if let Some(other) = tensors.insert(name.clone(), Located { file, entry }) {
                return Err(Error::user(format!(
                    "the tensor {} is in two shards, {} and {}",
                    printable(&name),
                    place(files[other.file].path()),
                    place(open.path())
                )));
            }
        }
    }
    Ok(tensors)
}

pub(super) fn check(tensors: &BTreeMap<String, Located>, config: &Config, source: &Source) -> Result<()> {
    let whole = match source {
        Source::Safetensors(paths) if paths.len() == 1 => place(&paths[0]),
        Source::Safetensors(paths) => {
            format!("{} ({} shards)", place(paths[0].parent().unwrap_or(Path::new("."))), paths.len())
        }
        Source::Gguf(path) => place(path),
    };
    let file = |located: &Located| match source {
        Source::Safetensors(paths) => place(&paths[located.file]),
        Source::Gguf(path) => place(path),
    };
    let expected = expected(config);
    for (name, shape) in &expected {
        let Some(located) = tensors.get(name) else {
            return Err(Error::user(format!(
                "{whole}: the tensor {name} {shape:?} is missing, which config.json ({:?}, {} layers) asks for",
                config.family, config.layers
            )));
        };
        if &located.entry.shape != shape {
            return Err(Error::user(format!(
                "{}: the tensor {name} has the shape {:?}, by config.json it must be {shape:?}",
                file(located),
                located.entry.shape
            )));
        }
        if let Stored::Other(kind, _) = located.entry.stored {
            return Err(Error::user(format!(
                "{}: the tensor {name} is stored as {kind}; F32, F16, BF16, F64 or GGUF is needed",
                file(located)
            )));
        }
    }
    let known: BTreeSet<&str> = expected.iter().map(|(name, _)| name.as_str()).collect();
    for (name, located) in tensors {
        // Computed, not learnt, or a copy of the tied embedding.
        let harmless = name.ends_with("rotary_emb.inv_freq") || name == "rope_freqs.weight" || name == "lm_head.weight";
        if !harmless && !known.contains(name.as_str()) {
            return Err(Error::user(format!(
                "{}: the tensor {} does not belong to the architecture of config.json ({:?}, {} layers)",
                file(located),
                printable(name),
                config.family,
                config.layers
            )));
        }
    }
    Ok(())
}

/// The name of a linear's weight: `model.layers.7.self_attn.q_proj.weight`.
pub fn weight_name(module: crate::module::ModuleId) -> String {
    format!("model.{module}.weight")
}

/// Every tensor that a model of this shape needs, by its Hugging Face name, with its shape.
pub fn expected(config: &Config) -> Vec<(String, Vec<usize>)> {
    let mut list = vec![("model.embed_tokens.weight".to_owned(), vec![config.vocab, config.hidden])];
    for layer in 0..config.layers {
        let name = |rest: &str| format!("model.layers.{layer}.{rest}");
        list.push((name("input_layernorm.weight"), vec![config.hidden]));
        list.push((name("post_attention_layernorm.weight"), vec![config.hidden]));
        if config.qk_norm {
            list.push((name("self_attn.q_norm.weight"), vec![config.head_dim]));
            list.push((name("self_attn.k_norm.weight"), vec![config.head_dim]));
        }
        for projection in Projection::ALL {
            let (d_out, d_in) = config.linear_shape(projection);
            let linear = format!("{}.{projection}", projection.block());
            list.push((name(&format!("{linear}.weight")), vec![d_out, d_in]));
            if config.has_bias(projection) {
                list.push((name(&format!("{linear}.bias")), vec![d_out]));
            }
        }
    }
    list.push(("model.norm.weight".to_owned(), vec![config.hidden]));
    if !config.tie {
        list.push(("lm_head.weight".to_owned(), vec![config.vocab, config.hidden]));
    }
    list
}
