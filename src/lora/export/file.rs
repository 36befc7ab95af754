//! Safetensors files written tensor by tensor, and folders that appear whole or not at all.

use crate::model::header::place;
use crate::{Error, Result};
use candle_core::{DType, Device, Tensor};
use serde_json::{Map, Value, json};
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

/// What a file will hold under one name.
#[derive(Debug, Clone)]
pub struct Planned {
    /// The tensor's name.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its type in the file: F32, F16 or BF16.
    pub dtype: DType,
}

impl Planned {
    /// Bytes of its numbers.
    pub fn bytes(&self) -> usize {
        self.shape.iter().product::<usize>() * self.dtype.size_in_bytes()
    }
}

/// Writes a safetensors file at `path`, asking `tensor` for one tensor at a time, and syncs it.
///
/// # Errors
/// When a tensor can't be had, is not as planned, or the disk refuses.
pub fn write(path: &Path, plan: &[Planned], mut tensor: impl FnMut(&Planned) -> Result<Tensor>) -> Result<()> {
    let mut header = Map::new();
    header.insert("__metadata__".into(), json!({"format": "pt"}));
    let mut end = 0;
    for planned in plan {
        let kind = match planned.dtype {
            DType::F32 => "F32",
            DType::F16 => "F16",
            DType::BF16 => "BF16",
            other => return Err(Error::fault(format!("tensors of {other:?} can't be written"))),
        };
        let start = end;
        end += planned.bytes();
        header
            .insert(planned.name.clone(), json!({"dtype": kind, "shape": planned.shape, "data_offsets": [start, end]}));
    }
    let mut head = Value::Object(header).to_string().into_bytes();
    // The data begins at a multiple of 8.
    head.resize(head.len().next_multiple_of(8), b' ');
    let io = |e: std::io::Error| Error::io("write", path, &e);
    let mut out = BufWriter::with_capacity(1 << 20, File::create(path).map_err(io)?);
    out.write_all(&(head.len() as u64).to_le_bytes()).map_err(io)?;
    out.write_all(&head).map_err(io)?;
    for planned in plan {
        let tensor = tensor(planned)?;
        if tensor.dims() != planned.shape {
            let text = format!("{} has become {:?}, not {:?}", planned.name, tensor.dims(), planned.shape);
            return Err(Error::fault(text));
        }
        let flat = tensor.to_device(&Device::Cpu)?.to_dtype(planned.dtype)?.flatten_all()?;
        match planned.dtype {
            DType::F32 => numbers(&mut out, &flat.to_vec1::<f32>()?, f32::to_le_bytes),
            DType::F16 => numbers(&mut out, &flat.to_vec1::<half::f16>()?, half::f16::to_le_bytes),
            _ => numbers(&mut out, &flat.to_vec1::<half::bf16>()?, half::bf16::to_le_bytes),
        }
        .map_err(io)?;
    }
    let file = out.into_inner().map_err(|e| io(e.into_error()))?;
    file.sync_all().map_err(io)
}

fn numbers<T: Copy, const N: usize>(
    out: &mut impl Write,
    values: &[T],
    bytes: fn(T) -> [u8; N],
) -> std::io::Result<()> {
    let mut buffer = Vec::with_capacity(1 << 16);
    for chunk in values.chunks((1 << 16) / N) {
        buffer.clear();
        buffer.extend(chunk.iter().flat_map(|v| bytes(*v)));
        out.write_all(&buffer)?;
    }
    Ok(())
}

/// Writes `value` as indented JSON at `path` and syncs it.
///
/// # Errors
/// When the disk refuses.
pub fn write_json(path: &Path, value: &Value) -> Result<()> {
    let io = |e: std::io::Error| Error::io("write", path, &e);
    let mut file = File::create(path).map_err(io)?;
    file.write_all(format!("{value:#}\n").as_bytes()).map_err(io)?;
    file.sync_all().map_err(io)
}

/// Makes the folder `target` with what `fill` puts into it: written under a temporary name beside it,
/// synced, renamed. After an error nothing is left.
///
/// # Errors
/// When `target` exists, `fill` fails, or the disk refuses.
pub fn folder(target: &Path, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    if target.exists() {
        return Err(Error::user(format!("{} exists already: remove it or choose another place", place(target))));
    }
    let Some(name) = target.file_name() else {
        return Err(Error::user(format!("{} is no name for a folder", place(target))));
    };
    let parent = match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    fs::create_dir_all(parent).map_err(|e| Error::io("make the folder", parent, &e))?;
    let mut partial = std::ffi::OsString::from(".");
    partial.push(name);
    partial.push(format!(".partial-{}", std::process::id()));
    let partial = parent.join(partial);
    if partial.exists() {
        fs::remove_dir_all(&partial).map_err(|e| Error::io("remove the old", &partial, &e))?;
    }
    fs::create_dir(&partial).map_err(|e| Error::io("make the folder", &partial, &e))?;
    let done = fill(&partial)
        .and_then(|()| sync_folder(&partial))
        .and_then(|()| fs::rename(&partial, target).map_err(|e| Error::io("rename to", target, &e)))
        .and_then(|()| sync_folder(parent));
    if done.is_err() {
        // The first error is the one to tell.
        let _ = fs::remove_dir_all(&partial);
    }
    done
}

fn sync_folder(folder: &Path) -> Result<()> {
    File::open(folder).and_then(|f| f.sync_all()).map_err(|e| Error::io("sync", folder, &e))
}
