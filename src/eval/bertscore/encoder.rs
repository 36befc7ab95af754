//! An encoder from a Hugging Face folder: BERT, `RoBERTa` or `XLM-RoBERTa`, with its tokenizer.

use super::layers;
use crate::contained::contained;
use crate::hub::place;
use crate::model::file::WeightFile;
use crate::text::{counted, printable};
use crate::{Error, Result, bounded};
use candle_core::{DType, Device, Tensor};
use candle_nn::{Activation, VarBuilder};
use candle_transformers::models::{bert, xlm_roberta};
use serde::Deserialize;
use serde_json::Value;
use std::path::Path;
use tokenizers::{Tokenizer, TruncationDirection, TruncationParams};

/// No tokenizer is longer.
const MAX_TOKENIZER: u64 = 256 << 20;

/// What `config.json` has to say.
#[derive(Debug, Clone, Deserialize)]
struct Settings {
    model_type: String,
    vocab_size: usize,
    hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    intermediate_size: usize,
    max_position_embeddings: usize,
    #[serde(default = "gelu")]
    hidden_act: String,
    #[serde(default = "two")]
    type_vocab_size: usize,
    #[serde(default = "epsilon")]
    layer_norm_eps: f64,
    pad_token_id: Option<u32>,
    position_embedding_type: Option<String>,
    #[serde(default, rename = "_name_or_path")]
    name: String,
}

fn gelu() -> String {
    "gelu".into()
}

fn two() -> usize {
    2
}

fn epsilon() -> f64 {
    1e-12
}

/// The kinds that are known, by their `model_type`.
const KINDS: [&str; 3] = ["bert", "roberta", "xlm-roberta"];

enum Model {
    Bert(bert::BertModel),
    Roberta(xlm_roberta::XLMRobertaModel),
}

/// Texts in, embeddings out; on the CPU, in f32.
pub struct Encoder {
    model: Model,
    tokenizer: Tokenizer,
    /// Tokens that do not count: those before and behind a text.
    special: Vec<u32>,
    /// Texts begin with a space: byte-level tokens of a first word are others than those of the same word within a text.
    spaced: bool,
    name: String,
    layer: usize,
}

impl std::fmt::Debug for Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Encoder").field("name", &self.name).field("layer", &self.layer).finish_non_exhaustive()
    }
}

/// An encoder without its weights.
pub(super) struct Outline {
    settings: Settings,
    tokenizer: Tokenizer,
    special: Vec<u32>,
    pad: u32,
    name: String,
    layer: usize,
}

impl Outline {
    /// Reads and checks the settings, the tokenizer, and that there are weights.
    ///
    /// # Errors
    /// As [`super::Scorer::open`].
    pub(super) fn read(folder: &Path, layer: Option<usize>) -> Result<Self> {
        let settings = settings(folder)?;
        let shown = || printable(&folder.display().to_string()).into_owned();
        let name = match place::of_cache(folder) {
            Some(reference) => reference.id,
            None => folder.file_name().map_or_else(shown, |name| name.to_string_lossy().into_owned()),
        };
        let all = settings.num_hidden_layers;
        let known = layers::of(&name).or_else(|| layers::of(&settings.name)).filter(|layer| *layer <= all);
        let layer = layer.or(known).unwrap_or(all);
        if layer > all {
            let has = counted(all, "layer");
            return Err(Error::user(format!("encoder_layer = {layer}: {} has {has}, use 0 to {all}", shown())));
        }
        let roberta = settings.model_type != "bert";
        let pad = settings.pad_token_id.unwrap_or(u32::from(roberta));
        // Positions begin behind that of padding.
        let before = if roberta { pad as usize + 1 } else { 0 };
        let positions = settings.max_position_embeddings.saturating_sub(before);
        let (tokenizer, special) = tokenizer(folder, roberta, positions)?;
        let words = tokenizer.get_vocab_size(true);
        if words > settings.vocab_size {
            let why = format!("its tokenizer has {words} tokens, its config.json {}", settings.vocab_size);
            return Err(Error::user(format!("{} is no encoder that can be used: {why}", shown())));
        }
        WeightFile::open(&folder.join("model.safetensors"))?;
        Ok(Self { settings, tokenizer, special, pad, name, layer })
    }

    /// `bert-base-uncased, layer 9`.
    pub(super) fn label(&self) -> String {
        label(&self.name, self.layer)
    }
}

/// What a report says of an encoder.
fn label(name: &str, layer: usize) -> String {
    format!("{}, layer {layer}", printable(name))
}

impl Encoder {
    /// See [`super::Scorer::open`].
    pub(super) fn open(folder: &Path, layer: Option<usize>) -> Result<Self> {
        let Outline { settings, tokenizer, special, pad, name, layer } = Outline::read(folder, layer)?;
        let path = folder.join("model.safetensors");
        let file = WeightFile::open(&path)?;
        let bytes = file.read(0..file.length())?;
        let damaged = |why: &str| {
            Error::user(format!(
                "{}: {}; it is no whole encoder",
                printable(&path.display().to_string()),
                printable(why)
            ))
        };
        // A damaged file or settings that contradict it are found by the library, one way or another.
        let read = || model(&settings, layer, pad, &bytes);
        let model = match contained(read) {
            Some(Ok(model)) => model,
            Some(Err(e)) => return Err(damaged(&one_line(&e.to_string()))),
            None => return Err(damaged("its settings contradict its weights")),
        };
        let spaced = settings.model_type == "roberta";
        Ok(Self { model, tokenizer, special, spaced, name, layer })
    }

    pub(super) fn label(&self) -> String {
        label(&self.name, self.layer)
    }

    /// The tokens of a text with those before and behind it, cut at what the encoder takes, and which of them count.
    pub(super) fn tokens(&self, text: &str) -> Result<(Vec<u32>, Vec<bool>)> {
        // What Python's `strip` takes away.
        let stripped = text.trim_matches(|c: char| c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c));
        let given = if self.spaced && !stripped.is_empty() { format!(" {stripped}") } else { stripped.to_owned() };
        let encoding = match contained(|| self.tokenizer.encode(given, true)) {
            Some(Ok(encoding)) => encoding,
            Some(Err(e)) => {
                return Err(Error::fault(format!("the encoder's tokenizer failed: {}", printable(&e.to_string()))));
            }
            None => {
                return Err(Error::user(
                    "the encoder's tokenizer.json cannot be used: its parts contradict each other",
                ));
            }
        };
        let ids = encoding.get_ids().to_vec();
        let counts = ids.iter().map(|id| !self.special.contains(id)).collect();
        Ok((ids, counts))
    }

    /// The embeddings of tokens: one row each.
    pub(super) fn hidden(&self, ids: &[u32]) -> Result<Tensor> {
        let ids = Tensor::new(ids, &Device::Cpu)?.unsqueeze(0)?;
        let kinds = ids.zeros_like()?;
        let rows = match &self.model {
            Model::Bert(model) => model.forward(&ids, &kinds, None)?,
            Model::Roberta(model) => model.forward(&ids, &ids.ones_like()?, &kinds, None, None, None)?,
        };
        Ok(rows.squeeze(0)?)
    }
}

/// The library's sentences have backtraces behind them.
fn one_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

fn settings(folder: &Path) -> Result<Settings> {
    let shown = printable(&folder.display().to_string()).into_owned();
    let path = folder.join("config.json");
    if !path.is_file() {
        return Err(Error::user(format!(
            "{shown} is no encoder: it has no config.json; a folder in Hugging Face layout is needed"
        )));
    }
    let bytes = bounded::bytes(&path, bounded::SETTINGS).map_err(|e| Error::io("read", &path, &e))?;
    let refused = |why: String| Error::user(format!("{shown} is no encoder that can be used: {why}"));
    let all: Value = serde_json::from_slice(&bytes).map_err(|e| refused(format!("config.json: {e}")))?;
    let kind = all.get("model_type").and_then(Value::as_str).unwrap_or("missing").to_owned();
    if !KINDS.contains(&kind.as_str()) {
        let known = KINDS.join(", ");
        return Err(refused(format!("its model_type is {:?}, known are {known}", printable(&kind))));
    }
    let settings: Settings = serde_json::from_value(all).map_err(|e| refused(format!("config.json: {e}")))?;
    let sizes = [settings.hidden_size, settings.num_attention_heads, settings.max_position_embeddings];
    if sizes.contains(&0) || !settings.hidden_size.is_multiple_of(settings.num_attention_heads) {
        return Err(refused("config.json: hidden_size is no multiple of num_attention_heads".into()));
    }
    match settings.position_embedding_type.as_deref() {
        None | Some("absolute") => Ok(settings),
        Some(other) => Err(refused(format!("position_embedding_type {:?}, known is \"absolute\"", printable(other)))),
    }
}

/// The tokenizer, cutting at what the encoder takes, and the ids of the tokens before and behind a text.
fn tokenizer(folder: &Path, roberta: bool, positions: usize) -> Result<(Tokenizer, Vec<u32>)> {
    let path = crate::data::tokenizer::file(folder)?;
    let bytes = bounded::bytes(&path, MAX_TOKENIZER).map_err(|e| Error::io("read", &path, &e))?;
    let broken = |why: &str| Error::user(format!("{}: {}", printable(&path.display().to_string()), printable(why)));
    let read = crate::contained::deep(|| Tokenizer::from_bytes(&bytes).map_err(|e| e.to_string()))?;
    let mut tokenizer = match read {
        Some(Ok(tokenizer)) => tokenizer,
        Some(Err(why)) => return Err(broken(&why)),
        None => return Err(broken("its parts contradict each other")),
    };
    let beside = bounded::bytes(&folder.join("tokenizer_config.json"), bounded::SETTINGS).ok();
    let beside: Value = beside.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or(Value::Null);
    // Larger numbers stand for none.
    let longest = beside.get("model_max_length").and_then(Value::as_f64).unwrap_or(f64::MAX);
    let most = if longest < positions as f64 { longest.max(0.0) as usize } else { positions };
    let text = |key: &str, usual: &str| match beside.get(key) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Object(token)) => token.get("content").and_then(Value::as_str).unwrap_or(usual).to_owned(),
        _ => usual.to_owned(),
    };
    let (first, last) = if roberta { ("<s>", "</s>") } else { ("[CLS]", "[SEP]") };
    let tokens = [text("cls_token", first), text("sep_token", last)];
    let special: Vec<u32> = tokens.iter().filter_map(|token| tokenizer.token_to_id(token)).collect();
    let cut =
        TruncationParams { max_length: most, direction: TruncationDirection::Right, ..TruncationParams::default() };
    tokenizer.with_padding(None);
    match contained(|| tokenizer.with_truncation(Some(cut)).map(|_| ()).map_err(|e| e.to_string())) {
        Some(Ok(())) if most > 2 => Ok((tokenizer, special)),
        Some(Err(why)) => Err(broken(&why)),
        _ => Err(broken(&format!("texts of {most} tokens are too short to compare"))),
    }
}

fn model(settings: &Settings, layer: usize, pad: u32, file: &[u8]) -> candle_core::Result<Model> {
    let vb = VarBuilder::from_slice_safetensors(file, DType::F32, &Device::Cpu)?;
    // A model with a head keeps the encoder under a name.
    let table = "embeddings.word_embeddings.weight";
    let within = ["bert", "roberta"].into_iter().find(|name| vb.contains_tensor(&format!("{name}.{table}")));
    let vb = within.map_or_else(|| vb.clone(), |name| vb.pp(name));
    if settings.model_type == "bert" {
        let hidden_act = match settings.hidden_act.as_str() {
            "gelu" => bert::HiddenAct::Gelu,
            "gelu_new" | "gelu_pytorch_tanh" => bert::HiddenAct::GeluApproximate,
            "relu" => bert::HiddenAct::Relu,
            other => candle_core::bail!("hidden_act {other:?} is not known"),
        };
        let config = bert::Config {
            vocab_size: settings.vocab_size,
            hidden_size: settings.hidden_size,
            num_hidden_layers: layer,
            num_attention_heads: settings.num_attention_heads,
            intermediate_size: settings.intermediate_size,
            hidden_act,
            max_position_embeddings: settings.max_position_embeddings,
            type_vocab_size: settings.type_vocab_size,
            layer_norm_eps: settings.layer_norm_eps,
            pad_token_id: pad as usize,
            ..bert::Config::default()
        };
        return bert::BertModel::load(vb, &config).map(Model::Bert);
    }
    let hidden_act = match settings.hidden_act.as_str() {
        "gelu" => Activation::Gelu,
        "gelu_new" | "gelu_pytorch_tanh" => Activation::NewGelu,
        "relu" => Activation::Relu,
        other => candle_core::bail!("hidden_act {other:?} is not known"),
    };
    let config = xlm_roberta::Config {
        hidden_size: settings.hidden_size,
        layer_norm_eps: settings.layer_norm_eps,
        attention_probs_dropout_prob: 0.0,
        hidden_dropout_prob: 0.0,
        num_attention_heads: settings.num_attention_heads,
        position_embedding_type: "absolute".into(),
        intermediate_size: settings.intermediate_size,
        hidden_act,
        num_hidden_layers: layer,
        vocab_size: settings.vocab_size,
        max_position_embeddings: settings.max_position_embeddings,
        type_vocab_size: settings.type_vocab_size,
        pad_token_id: pad,
    };
    xlm_roberta::XLMRobertaModel::new(&config, vb).map(Model::Roberta)
}
