//! The base's numbers: read from disk and converted tensor by tensor.

mod floats;

use super::config::Config;
use super::file::WeightFile;
use super::gguf::Gguf;
use super::header::{Entry, Stored, place};
use super::inventory::{self, Located, Source};
use super::matrix::{self, Blocks, Hold, Matrix, kept_packed};
use crate::text::printable;
use crate::{Error, Result};
use candle_core::quantized::{GgmlDType, QStorage, QTensor};
use candle_core::{DType, Device, Tensor};
use floats::{floats, width};
use half::{bf16, f16};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;

/// A model folder's weights, checked against its configuration, read when asked for.
#[derive(Debug)]
pub struct Weights {
    store: Store,
    tensors: BTreeMap<String, Located>,
    heads: usize,
    kv_heads: usize,
}

#[derive(Debug)]
enum Store {
    Safetensors(Vec<WeightFile>),
    Gguf(Box<Gguf>),
}

impl Weights {
    /// Opens the weights of `folder` and checks that all that `config` needs is there; reads no numbers yet.
    ///
    /// # Errors
    /// Names the file and the first tensor that is missing, damaged or of the wrong shape.
    pub fn load(folder: &Path, config: &Config) -> Result<Self> {
        let source = inventory::find(folder)?;
        let (store, tensors) = match &source {
            Source::Safetensors(paths) => {
                let files = paths.iter().map(|p| WeightFile::open(p)).collect::<Result<Vec<_>>>()?;
                let tensors = inventory::collect(&files)?;
                (Store::Safetensors(files), tensors)
            }
            Source::Gguf(path) => {
                let gguf = Gguf::open(path)?;
                let tensors = gguf.tensors()?;
                (Store::Gguf(Box::new(gguf)), tensors)
            }
        };
        inventory::check(&tensors, config, &source)?;
        Ok(Self { store, tensors, heads: config.heads, kv_heads: config.kv_heads })
    }

    /// The tensor `name` (Hugging Face's name, as [`inventory::expected`] lists them) as `dtype` (f32,
    /// bf16 or f16) on `device`.
    ///
    /// # Errors
    /// When it is missing, its shape is not `shape`, or a number in it is NaN or infinite.
    pub fn tensor(&self, name: &str, shape: &[usize], dtype: DType, device: &Device) -> Result<Tensor> {
        let Located { file, entry } = self.located(name, shape)?;
        match &self.store {
            Store::Safetensors(files) => numbers(&files[*file], name, entry, dtype, device),
            Store::Gguf(gguf) => {
                let tensor = gguf.tensor(name, self.permuted_heads(name))?;
                if !matrix::finite(&tensor)? {
                    return Err(not_finite(name));
                }
                Ok(tensor.to_dtype(dtype)?.to_device(device)?)
            }
        }
    }

    /// The matrix `name` for activations of type `dtype` on `device`.
    ///
    /// # Errors
    /// As [`Self::tensor`].
    pub fn matrix(&self, name: &str, shape: [usize; 2], dtype: DType, hold: Hold, device: &Device) -> Result<Matrix> {
        let Located { file, entry } = self.located(name, &shape)?;
        let may = |kind: &GgmlDType| match hold {
            Hold::Numbers => false,
            Hold::Stored => true,
            Hold::Halves => *kind == GgmlDType::BF16,
        };
        let Some(kind) = kept_packed(entry.stored, !device.is_cpu()).filter(may) else {
            return Ok(match hold {
                // Rounded once: from what is stored.
                Hold::Halves => Matrix::Blocks(Blocks::halves(&self.tensor(name, &shape, DType::BF16, device)?)?),
                Hold::Numbers | Hold::Stored => Matrix::Dense(self.tensor(name, &shape, dtype, device)?),
            });
        };
        let packed = match &self.store {
            Store::Gguf(gguf) => gguf.packed(name, self.permuted_heads(name), device)?,
            Store::Safetensors(files) => {
                let bytes = files[*file].read(entry.bytes.clone())?;
                QTensor::new(QStorage::from_data(aligned(&bytes), device, kind)?, &shape[..])?
            }
        };
        let blocks = Blocks::new(packed, dtype)?;
        let matrix = Matrix::Blocks(if hold == Hold::Halves { blocks.rounding() } else { blocks });
        if matrix.finite()? { Ok(matrix) } else { Err(not_finite(name)) }
    }

    fn located(&self, name: &str, shape: &[usize]) -> Result<&Located> {
        let Some(located) = self.tensors.get(name) else {
            return Err(Error::user(format!("the base has no tensor {}", printable(name))));
        };
        if located.entry.shape != shape {
            return Err(Error::user(format!(
                "the base's tensor {} has the shape {:?}, not {shape:?}",
                printable(name),
                located.entry.shape
            )));
        }
        Ok(located)
    }

    /// Heads of a projection whose rows llama.cpp puts in an order of its own.
    fn permuted_heads(&self, name: &str) -> Option<usize> {
        match name.rsplit('.').nth(1) {
            Some("q_proj") => Some(self.heads),
            Some("k_proj") => Some(self.kv_heads),
            _ => None,
        }
    }

    /// How the tensor `name` is stored, if there is one.
    pub fn stored(&self, name: &str) -> Option<Stored> {
        self.tensors.get(name).map(|t| t.entry.stored)
    }

    /// Names of the stored tensors, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// Shape of the stored tensor `name`, if there is one.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.tensors.get(name).map(|t| t.entry.shape.as_slice())
    }
}

/// `bytes` where numbers of two bytes may lie: as they are, or copied.
fn aligned(bytes: &[u8]) -> Cow<'_, [u8]> {
    if bytes.as_ptr().align_offset(4) == 0 { Cow::Borrowed(bytes) } else { Cow::Owned(bytes.to_vec()) }
}

fn not_finite(name: &str) -> Error {
    Error::user(format!(
        "the tensor {} holds NaN or infinite numbers: the file is damaged or was written by a diverged training",
        printable(name)
    ))
}

/// One tensor of a safetensors file, converted and checked for NaN and infinity.
///
/// # Errors
/// When it is stored in a type that is no float, a number is not finite in `dtype`, or the file cannot be read.
pub(crate) fn numbers(file: &WeightFile, name: &str, entry: &Entry, dtype: DType, device: &Device) -> Result<Tensor> {
    let at = || place(file.path());
    if entry.bytes.end > file.length() {
        return Err(Error::fault(format!("{}: {} is beyond the end of the file", at(), printable(name))));
    }
    let Some(width) = width(entry.stored) else { return Err(no_float(name, entry.stored).at(at())) };
    let tensor = match dtype {
        DType::F32 => floats::<f32>(file, entry, width, device)?,
        DType::BF16 => floats::<bf16>(file, entry, width, device)?,
        DType::F16 => floats::<f16>(file, entry, width, device)?,
        other => return Err(Error::fault(format!("weights as {other:?} are not supported"))),
    };
    tensor.ok_or_else(|| not_finite(name).at(at()))
}

/// The refusal of a tensor that is stored in a type that is no float.
pub(crate) fn no_float(name: &str, stored: Stored) -> Error {
    Error::user(format!(
        "the tensor {} is stored as {}; F32, F16, BF16 or F64 is needed",
        printable(name),
        stored.name()
    ))
}
