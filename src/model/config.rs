//! The base model's shape, read from Hugging Face's config.json.

mod keys;
mod rope;

use crate::module::{ModuleId, Projection};
use crate::text::printable;
use crate::{Error, Result};
use keys::Keys;
pub use rope::Scaling;
use serde_json::Value;
use std::path::Path;

/// The architectures that lopper trains, by their `model_type`.
pub const KNOWN: [&str; 4] = ["llama", "mistral", "qwen2", "qwen3"];

/// Largest size accepted for any dimension: far above every published model of these families.
const MAX_SIZE: usize = 1 << 24;
/// Largest number of layers accepted.
const MAX_LAYERS: usize = 4096;
/// config.json files are a few kilobytes; nothing above this is read.
const MAX_FILE: u64 = 1 << 20;

/// The architecture of the base, by `model_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Llama 1 to 3.x, `SmolLM2` and everything else that calls itself `llama`.
    Llama,
    /// Mistral 7B and its kin.
    Mistral,
    /// Qwen 2 and 2.5.
    Qwen2,
    /// Qwen 3 (dense).
    Qwen3,
}

/// Which attention projections have a bias vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttentionBias {
    /// None.
    None,
    /// Query, key and value: Qwen 2.
    Qkv,
    /// All four: `"attention_bias": true`.
    Qkvo,
}

impl AttentionBias {
    /// Whether `projection` has a bias vector by this setting (never for the MLP's three).
    pub fn has(self, projection: Projection) -> bool {
        match projection {
            Projection::QProj | Projection::KProj | Projection::VProj => self != Self::None,
            Projection::OProj => self == Self::Qkvo,
            _ => false,
        }
    }
}

/// Everything about the base that its forward pass needs beside the weights.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Which architecture it is.
    pub family: Family,
    /// Width of the residual stream.
    pub hidden: usize,
    /// Width inside the `SwiGLU` block.
    pub intermediate: usize,
    /// Number of decoder layers.
    pub layers: usize,
    /// Number of query heads.
    pub heads: usize,
    /// Number of key and value heads; divides `heads`.
    pub kv_heads: usize,
    /// Width of one head; even.
    pub head_dim: usize,
    /// Number of rows of the embedding.
    pub vocab: usize,
    /// Epsilon of every `RMSNorm`.
    pub eps: f64,
    /// Longest sequence that the base was made for, tokens.
    pub max_position: usize,
    /// Whether the output projection is the embedding itself (no `lm_head.weight`).
    pub tie: bool,
    /// Which attention projections have a bias.
    pub attention_bias: AttentionBias,
    /// Whether gate, up and down projections have a bias.
    pub mlp_bias: bool,
    /// Whether queries and keys go through an `RMSNorm` per head before the rotation.
    pub qk_norm: bool,
    /// How many positions a sliding-window layer sees, itself included.
    pub sliding_window: Option<usize>,
    /// Which layers have the window, one entry a layer; see [`Config::window`].
    pub sliding: Vec<bool>,
    /// Base of the rotary frequencies.
    pub rope_theta: f64,
    /// How the rotary frequencies are stretched.
    pub rope_scaling: Scaling,
}

impl Config {
    /// Reads and validates `folder/config.json`.
    ///
    /// # Errors
    /// Names the file, the key, its value, and what lopper knows instead.
    pub fn read(folder: &Path) -> Result<Self> {
        let path = folder.join("config.json");
        let place = printable(&path.display().to_string()).into_owned();
        if !path.exists() && folder.is_dir() {
            return Err(Error::user(format!(
                "{place} is missing: a base is a folder in Hugging Face layout (config.json, tokenizer.json and \
                 *.safetensors or one *.gguf); a GGUF file needs the original model's config.json beside it"
            )));
        }
        let meta = std::fs::metadata(&path).map_err(|e| Error::io("read", &path, &e))?;
        if meta.len() > MAX_FILE {
            return Err(Error::user(format!("{place} has {} bytes: that is no model configuration", meta.len())));
        }
        let text = crate::bounded::text(&path, MAX_FILE).map_err(|e| match e.kind() {
            std::io::ErrorKind::InvalidData => Error::user(format!("{place} is not UTF-8 text")),
            _ => Error::io("read", &path, &e),
        })?;
        Self::parse(&text).map_err(|e| e.at(place))
    }

    /// Parses and validates the text of a config.json.
    ///
    /// # Errors
    /// Names the key, its value and what is allowed.
    pub fn parse(text: &str) -> Result<Self> {
        let value: Value = serde_json::from_str(text).map_err(|e| Error::user(format!("not valid JSON: {e}")))?;
        let Value::Object(map) = value else {
            return Err(Error::user("a JSON object is needed"));
        };
        let keys = Keys(&map);
        let family = family(&keys)?;
        refuse_unsupported(&keys)?;

        let hidden = keys.size("hidden_size", MAX_SIZE)?;
        let heads = keys.size("num_attention_heads", MAX_SIZE)?;
        let kv_default = if family == Family::Mistral && !map.contains_key("num_key_value_heads") { 8 } else { heads };
        let kv_heads = keys.size_or("num_key_value_heads", kv_default, MAX_SIZE)?;
        if heads % kv_heads != 0 {
            return Err(Error::user(format!(
                "num_attention_heads = {heads} is not a multiple of num_key_value_heads = {kv_heads}"
            )));
        }
        let head_dim = match (keys.given("head_dim"), family) {
            (true, _) => keys.size("head_dim", MAX_SIZE)?,
            // transformers' default for this architecture.
            (false, Family::Qwen3) => 128,
            (false, _) if hidden % heads == 0 => hidden / heads,
            (false, _) => {
                return Err(Error::user(format!(
                    "hidden_size = {hidden} is not a multiple of num_attention_heads = {heads}, and there is no head_dim"
                )));
            }
        };
        if head_dim % 2 != 0 {
            return Err(Error::user(format!(
                "head_dim = {head_dim}: an even number is needed for rotary position embeddings"
            )));
        }
        if heads.saturating_mul(head_dim) > MAX_SIZE {
            return Err(Error::user(format!("{heads} heads of {head_dim} are beyond any model that lopper knows")));
        }
        let layers = keys.size("num_hidden_layers", MAX_LAYERS)?;
        let eps = keys.number_or("rms_norm_eps", 1e-6)?;
        if !(eps > 0.0 && eps < 1.0) {
            return Err(Error::user(format!("rms_norm_eps = {eps}: a number between 0 and 1 is needed")));
        }
        let max_position = keys.size_or("max_position_embeddings", 2048, usize::MAX >> 16)?;
        let (rope_theta, rope_scaling) = rope::read(&keys, max_position)?;
        let (sliding_window, sliding) = windows(&keys, family, layers)?;
        let attention_bias = match family {
            Family::Qwen2 => AttentionBias::Qkv,
            Family::Llama | Family::Qwen3 if keys.flag("attention_bias", false)? => AttentionBias::Qkvo,
            Family::Llama | Family::Qwen3 | Family::Mistral => AttentionBias::None,
        };
        Ok(Self {
            family,
            hidden,
            intermediate: keys.size("intermediate_size", MAX_SIZE)?,
            layers,
            heads,
            kv_heads,
            head_dim,
            vocab: keys.size("vocab_size", MAX_SIZE)?,
            eps,
            max_position,
            tie: keys.flag("tie_word_embeddings", false)?,
            attention_bias,
            mlp_bias: family == Family::Llama && keys.flag("mlp_bias", false)?,
            qk_norm: family == Family::Qwen3,
            sliding_window,
            sliding,
            rope_theta,
            rope_scaling,
        })
    }

    /// The attention window of `layer` in positions, itself included; none where it sees everything before it.
    pub fn window(&self, layer: usize) -> Option<usize> {
        self.sliding_window.filter(|_| self.sliding.get(layer).copied().unwrap_or(false))
    }

    /// The rotary inverse frequencies with scaling applied: `head_dim`/2 values, radians per position.
    pub fn inv_freq(&self) -> Vec<f32> {
        self.rope_scaling.apply(rope::plain(self.rope_theta, self.head_dim))
    }

    /// (`d_out`, `d_in`) of a linear's weight.
    pub fn linear_shape(&self, projection: Projection) -> (usize, usize) {
        let (q, kv) = (self.heads * self.head_dim, self.kv_heads * self.head_dim);
        match projection {
            Projection::QProj => (q, self.hidden),
            Projection::KProj | Projection::VProj => (kv, self.hidden),
            Projection::OProj => (self.hidden, q),
            Projection::GateProj | Projection::UpProj => (self.intermediate, self.hidden),
            Projection::DownProj => (self.hidden, self.intermediate),
        }
    }

    /// Whether a linear has a bias vector.
    pub fn has_bias(&self, projection: Projection) -> bool {
        match projection.block() {
            "mlp" => self.mlp_bias,
            _ => self.attention_bias.has(projection),
        }
    }

    /// Every linear that adapters can attach to, in layer and projection order.
    pub fn modules(&self) -> impl Iterator<Item = ModuleId> + use<> {
        (0..self.layers).flat_map(|layer| Projection::ALL.into_iter().map(move |p| ModuleId::new(layer, p)))
    }
}

fn family(keys: &Keys) -> Result<Family> {
    let name = match keys.0.get("model_type") {
        Some(Value::String(name)) => name.as_str(),
        Some(other) => return Err(keys.wrong("model_type", other, "a name")),
        None => {
            return Err(Error::user(format!(
                "there is no model_type; lopper knows the architectures {}",
                KNOWN.join(", ")
            )));
        }
    };
    match name {
        "llama" => Ok(Family::Llama),
        "mistral" => Ok(Family::Mistral),
        "qwen2" => Ok(Family::Qwen2),
        "qwen3" => Ok(Family::Qwen3),
        other => Err(Error::user(format!(
            "model_type is {:?}: lopper knows the architectures {}",
            printable(other),
            KNOWN.join(", ")
        ))),
    }
}

fn refuse_unsupported(keys: &Keys) -> Result<()> {
    if let Some(quantization) = keys.0.get("quantization_config").filter(|v| !v.is_null()) {
        let method = quantization.get("quant_method").and_then(Value::as_str).unwrap_or("unnamed");
        return Err(Error::user(format!(
            "quantization_config ({}) is not supported: use the model in f32, f16 or bf16, or as GGUF",
            printable(method)
        )));
    }
    match keys.0.get("hidden_act") {
        None | Some(Value::Null) => {}
        Some(Value::String(name)) if name == "silu" || name == "swish" => {}
        Some(other) => return Err(keys.wrong("hidden_act", other, "only \"silu\" is known; it")),
    }
    let partial = keys.number_or("partial_rotary_factor", 1.0)?;
    if (partial - 1.0).abs() > f64::EPSILON {
        return Err(Error::user(format!("partial_rotary_factor = {partial}: only 1.0 is supported")));
    }
    Ok(())
}

/// The window and which layers have it, by each architecture's own rule.
fn windows(keys: &Keys, family: Family, layers: usize) -> Result<(Option<usize>, Vec<bool>)> {
    let absent = !keys.0.contains_key("sliding_window");
    let used = match family {
        Family::Llama => false,
        Family::Mistral => absent || keys.given("sliding_window"),
        Family::Qwen2 | Family::Qwen3 => keys.flag("use_sliding_window", false)?,
    };
    let window = if used && (absent || keys.given("sliding_window")) {
        // These architectures' default in transformers where the key is absent.
        Some(keys.size_or("sliding_window", 4096, usize::MAX >> 16)?)
    } else {
        None
    };
    let types = match keys.0.get("layer_types") {
        None | Some(Value::Null) => None,
        Some(Value::Array(types)) if types.len() == layers => Some(types),
        Some(Value::Array(types)) => {
            return Err(Error::user(format!(
                "layer_types has {} entries for num_hidden_layers = {layers}",
                types.len()
            )));
        }
        Some(other) => return Err(keys.wrong("layer_types", other, "a list")),
    };
    let mut sliding = vec![false; layers];
    match (types, family) {
        (Some(types), _) => {
            for (i, (kind, slot)) in types.iter().zip(&mut sliding).enumerate() {
                *slot = match kind.as_str() {
                    Some("full_attention") => false,
                    Some("sliding_attention") if window.is_some() => true,
                    Some("sliding_attention") => {
                        return Err(Error::user(format!("layer_types[{i}] is sliding_attention without a window")));
                    }
                    _ => {
                        return Err(Error::user(format!(
                            "layer_types[{i}] is {}: only \"full_attention\" and \"sliding_attention\" are supported",
                            printable(&kind.to_string())
                        )));
                    }
                };
            }
        }
        (None, Family::Mistral) => sliding.fill(window.is_some()),
        (None, Family::Qwen2 | Family::Qwen3) if window.is_some() => {
            let first = match keys.0.get("max_window_layers") {
                None | Some(Value::Null) => 28,
                Some(value) => match value.as_u64().and_then(|v| usize::try_from(v).ok()) {
                    Some(first) => first,
                    None => return Err(keys.wrong("max_window_layers", value, "a number of layers from 0")),
                },
            };
            sliding.iter_mut().skip(first).for_each(|s| *s = true);
        }
        (None, _) => {}
    }
    Ok((window, sliding))
}

#[cfg(test)]
#[path = "config/tests.rs"]
mod tests;
