//! GGUF files: llama.cpp's names and row order turned back into Hugging Face's.

use super::file::WeightFile;
use super::header::{Entry, Stored, place};
use super::inventory::Located;
use crate::text::printable;
use crate::{Error, Result};
use candle_core::quantized::gguf_file::{Content, TensorInfo};
use candle_core::quantized::{QStorage, QTensor};
use candle_core::{Device, Tensor};
use std::collections::BTreeMap;
use std::io::BufReader;
use std::path::Path;

/// Where `general.alignment` is looked for: metadata comes before the tensors.
const METADATA_SPAN: usize = 64 << 20;
/// So much of it at a time.
const PIECE: usize = 1 << 20;

/// A GGUF file, open.
#[derive(Debug)]
pub struct Gguf {
    file: WeightFile,
    content: Content,
    /// Hugging Face name → llama.cpp's.
    names: BTreeMap<String, String>,
    /// Whether the rows of q and k are in llama.cpp's interleaved order.
    permuted: bool,
}

impl Gguf {
    /// Opens `path` and translates its names.
    ///
    /// # Errors
    /// When it is no GGUF, damaged, or of an architecture that lopper doesn't know.
    pub fn open(path: &Path) -> Result<Self> {
        let at = place(path);
        let file = WeightFile::open(path)?;
        if zero_alignment(&file)? {
            return Err(Error::user(format!("{at}: general.alignment is 0: the file is damaged")));
        }
        let content = Content::read(&mut BufReader::new(file.reader())).map_err(|e| {
            let text = e.to_string();
            let first = text.lines().next().unwrap_or_default();
            Error::user(format!("{at} is not a readable GGUF file: {}", printable(first)))
        })?;
        let architecture = match content.metadata.get("general.architecture").and_then(|v| v.to_string().ok()) {
            Some(name) => name.clone(),
            None => return Err(Error::user(format!("{at}: there is no general.architecture"))),
        };
        if !["llama", "qwen2", "qwen3"].contains(&architecture.as_str()) {
            return Err(Error::user(format!(
                "{at}: the architecture {:?} is not supported; lopper reads GGUF files of llama, qwen2 and qwen3",
                printable(&architecture)
            )));
        }
        let mut names = BTreeMap::new();
        for name in content.tensor_infos.keys() {
            let Some(translated) = translate(name) else {
                return Err(Error::user(format!("{at}: the tensor {} is not one that lopper knows", printable(name))));
            };
            names.insert(translated, name.clone());
        }
        Ok(Self { file, content, names, permuted: architecture == "llama" })
    }

    /// Its tensors by Hugging Face name, with their bytes checked against the file.
    ///
    /// # Errors
    /// When a tensor's size is beyond bounds or its data beyond the end of the file.
    pub fn tensors(&self) -> Result<BTreeMap<String, Located>> {
        let mut tensors = BTreeMap::new();
        for (name, original) in &self.names {
            if let Some(info) = self.content.tensor_infos.get(original) {
                let entry = self.entry(info).map_err(|e| e.at(format!("{}: {name}", place(self.file.path()))))?;
                tensors.insert(name.clone(), Located { file: 0, entry });
            }
        }
        Ok(tensors)
    }

    fn entry(&self, info: &TensorInfo) -> Result<Entry> {
        let shape = info.shape.dims().to_vec();
        let block = info.ggml_dtype.block_size();
        let bytes = shape
            .iter()
            .try_fold(1usize, |product, size| product.checked_mul(*size))
            .filter(|elements| elements % block == 0)
            .and_then(|elements| (elements / block).checked_mul(info.ggml_dtype.type_size()));
        let start = usize::try_from(self.content.tensor_data_offset.saturating_add(info.offset)).unwrap_or(usize::MAX);
        match bytes.and_then(|bytes| start.checked_add(bytes)) {
            Some(end) if end <= self.file.length() => {
                Ok(Entry { shape, stored: Stored::Gguf(info.ggml_dtype), bytes: start..end })
            }
            Some(end) => {
                let have = self.file.length();
                Err(Error::user(format!("its data ends at byte {end}, the file has {have}: it is cut short")))
            }
            None => Err(Error::user(format!("the sizes {shape:?} do not fit its type {:?}", info.ggml_dtype))),
        }
    }

    /// The tensor of Hugging Face name `name`, dequantised to f32 on the CPU, rows in Hugging Face's order.
    /// `heads` of q's or k's projection undo llama.cpp's permutation.
    ///
    /// # Errors
    /// When there is no such tensor or its data can't be read.
    pub fn tensor(&self, name: &str, heads: Option<usize>) -> Result<Tensor> {
        let at = || format!("{}: {name}", place(self.file.path()));
        let quantized = self.read(name, &Device::Cpu)?;
        let tensor = quantized.dequantize(&Device::Cpu).map_err(|e| Error::from(e).at(at()))?;
        match heads.filter(|_| self.permuted) {
            Some(heads) => unpermute(&tensor, heads).map_err(|e| Error::from(e).at(at())),
            None => Ok(tensor),
        }
    }

    /// The matrix of Hugging Face name `name` in its blocks on `device`, otherwise as [`Self::tensor`]: rows are moved as they
    /// are, every one has blocks of its own.
    ///
    /// # Errors
    /// When there is no such tensor or its data can't be read.
    pub fn packed(&self, name: &str, heads: Option<usize>, device: &Device) -> Result<QTensor> {
        let Some(heads) = heads.filter(|_| self.permuted) else { return self.read(name, device) };
        let at = |e: candle_core::Error| Error::from(e).at(format!("{}: {name}", place(self.file.path())));
        let stored = self.read(name, &Device::Cpu)?;
        let rows = stored.shape().dims2().map_err(at)?.0;
        let bytes = unpermute_bytes(&stored.data().map_err(at)?, rows, heads);
        let storage = QStorage::from_data(bytes.into(), device, stored.dtype()).map_err(at)?;
        QTensor::new(storage, stored.shape().clone()).map_err(at)
    }

    fn read(&self, name: &str, device: &Device) -> Result<QTensor> {
        let at = || format!("{}: {name}", place(self.file.path()));
        let Some(original) = self.names.get(name) else {
            return Err(Error::user(format!("{}: there is no such tensor", at())));
        };
        let read = self.content.tensor(&mut self.file.reader(), original, device);
        read.map_err(|e| Error::from(e).at(at()))
    }
}

/// The bytes of a matrix with its rows in Hugging Face's order, see [`unpermute`].
fn unpermute_bytes(packed: &[u8], rows: usize, heads: usize) -> Vec<u8> {
    let (row, half) = (packed.len() / rows, rows / heads / 2);
    let mut out = Vec::with_capacity(packed.len());
    for at in 0..rows {
        let (head, within) = (at / (2 * half), at % (2 * half));
        let from = head * 2 * half + 2 * (within % half) + within / half;
        out.extend_from_slice(&packed[from * row..(from + 1) * row]);
    }
    out
}

/// Candle divides by this number without a look.
fn zero_alignment(file: &WeightFile) -> Result<bool> {
    const KEY: &[u8] = b"general.alignment";
    let mut start = 0;
    let at = loop {
        let piece = file.read(start..(start + PIECE + KEY.len()).min(METADATA_SPAN))?;
        if let Some(at) = piece.windows(KEY.len()).position(|w| w == KEY) {
            break start + at;
        }
        if piece.len() < PIECE {
            return Ok(false);
        }
        start += PIECE;
    };
    // A value type (u32, 4 bytes), then the number; the widest type that candle takes has 4 bytes.
    let value = file.read(at + KEY.len()..at + KEY.len() + 8)?;
    let width = match value.first().copied().unwrap_or_default() {
        0 | 1 => 1,
        2 | 3 => 2,
        _ => 4,
    };
    Ok(value.get(4..4 + width).is_some_and(|bytes| bytes.iter().all(|b| *b == 0)))
}

/// Rows come as (heads, `head_dim`/2, 2), Hugging Face has (heads, 2, `head_dim`/2).
fn unpermute(tensor: &Tensor, heads: usize) -> candle_core::Result<Tensor> {
    let shape = tensor.dims().to_vec();
    let (rows, rest) = (shape[0], shape[1..].iter().product::<usize>());
    tensor.reshape((heads, rows / heads / 2, 2, rest))?.transpose(1, 2)?.contiguous()?.reshape(shape)
}

/// `blk.3.attn_q.weight` → `model.layers.3.self_attn.q_proj.weight`.
fn translate(name: &str) -> Option<String> {
    match name {
        "token_embd.weight" => return Some("model.embed_tokens.weight".into()),
        "output_norm.weight" => return Some("model.norm.weight".into()),
        "output.weight" => return Some("lm_head.weight".into()),
        // Llama 3's scaled frequencies; config.json has their recipe.
        "rope_freqs.weight" => return Some(name.into()),
        _ => {}
    }
    let (layer, rest) = name.strip_prefix("blk.")?.split_once('.')?;
    let layer: usize = layer.parse().ok()?;
    let (part, kind) = rest.rsplit_once('.')?;
    if !["weight", "bias"].contains(&kind) {
        return None;
    }
    let part = match part {
        "attn_norm" => "input_layernorm",
        "ffn_norm" => "post_attention_layernorm",
        "attn_q" => "self_attn.q_proj",
        "attn_k" => "self_attn.k_proj",
        "attn_v" => "self_attn.v_proj",
        "attn_output" => "self_attn.o_proj",
        "attn_q_norm" => "self_attn.q_norm",
        "attn_k_norm" => "self_attn.k_norm",
        "ffn_gate" => "mlp.gate_proj",
        "ffn_up" => "mlp.up_proj",
        "ffn_down" => "mlp.down_proj",
        _ => return None,
    };
    Some(format!("model.layers.{layer}.{part}.{kind}"))
}
