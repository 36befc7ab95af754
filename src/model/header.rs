//! The header of a safetensors file: a length, JSON, and a promise about the bytes that follow.

use super::file::WeightFile;
use crate::text::printable;
use crate::{Error, Result};
use serde_json::Value;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

/// The safetensors format's own limit.
const MAX_HEADER: u64 = 100_000_000;

/// How a tensor's numbers are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    /// 64-bit floats.
    F64,
    /// 32-bit floats.
    F32,
    /// 16-bit floats.
    F16,
    /// bfloat16.
    Bf16,
    /// Any other type of the format, by its name and width in bits: no weight that lopper can use.
    Other(&'static str, u64),
    /// A GGUF block type.
    Gguf(candle_core::quantized::GgmlDType),
}

/// The other types of the format, with their width in bits.
const OTHER: [(&str, u64); 15] = [
    ("BOOL", 8),
    ("U8", 8),
    ("I8", 8),
    ("F8_E4M3", 8),
    ("F8_E5M2", 8),
    ("F8_E8M0", 8),
    ("F6_E2M3", 6),
    ("F6_E3M2", 6),
    ("F4", 4),
    ("U16", 16),
    ("I16", 16),
    ("U32", 32),
    ("I32", 32),
    ("U64", 64),
    ("I64", 64),
];

impl Stored {
    fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "F64" => Self::F64,
            "F32" => Self::F32,
            "F16" => Self::F16,
            "BF16" => Self::Bf16,
            other => {
                let (name, bits) = OTHER.into_iter().find(|(name, _)| *name == other)?;
                Self::Other(name, bits)
            }
        })
    }

    /// Width of one number in bits; none for block types.
    pub fn bits(self) -> Option<u64> {
        match self {
            Self::F64 => Some(64),
            Self::F32 => Some(32),
            Self::F16 | Self::Bf16 => Some(16),
            Self::Other(_, bits) => Some(bits),
            Self::Gguf(_) => None,
        }
    }

    /// The type's name as the file writes it.
    pub fn name(self) -> String {
        match self {
            Self::F64 => "F64".into(),
            Self::F32 => "F32".into(),
            Self::F16 => "F16".into(),
            Self::Bf16 => "BF16".into(),
            Self::Other(name, _) => name.into(),
            Self::Gguf(kind) => format!("{kind:?}"),
        }
    }
}

/// One tensor of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Sizes of its dimensions.
    pub shape: Vec<usize>,
    /// How its numbers are stored.
    pub stored: Stored,
    /// Its bytes, counted from the start of the file.
    pub bytes: Range<usize>,
}

impl Entry {
    /// Number of elements.
    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }
}

/// The tensors of one safetensors file, by name, every range checked against the file.
///
/// # Errors
/// Names the file, the tensor, and what is wrong with it.
pub fn read(file: &WeightFile) -> Result<BTreeMap<String, Entry>> {
    let mut head = file.read(0..8)?;
    if let Some(length) = claimed(&head).filter(|length| *length <= MAX_HEADER) {
        head = file.read(0..8 + length as usize)?;
    }
    parse_head(&head, file.length()).map_err(|e| e.at(place(file.path())))
}

/// Bytes of the header, as the file's first eight say.
fn claimed(data: &[u8]) -> Option<u64> {
    data.first_chunk::<8>().map(|b| u64::from_le_bytes(*b))
}

/// A path as a sentence shows it.
pub(crate) fn place(path: &Path) -> String {
    printable(&path.display().to_string()).into_owned()
}

/// As [`read`] of a file with these bytes.
///
/// # Errors
/// Names the tensor, and what is wrong with it.
pub fn parse(data: &[u8]) -> Result<BTreeMap<String, Entry>> {
    parse_head(data, data.len())
}

/// The tensors of a file of `file` bytes, which begins with `data`: the header and maybe more.
fn parse_head(data: &[u8], file: usize) -> Result<BTreeMap<String, Entry>> {
    let user = |text: String| -> Result<BTreeMap<String, Entry>> { Err(Error::user(text)) };
    let Some(length) = claimed(data) else {
        return user(format!("{file} bytes are too few for a safetensors file"));
    };
    if length > MAX_HEADER {
        return user(format!(
            "the header claims {length} bytes (at most {MAX_HEADER} are allowed): no safetensors file"
        ));
    }
    let body = 8 + length as usize;
    let Some(header) = data.get(8..body) else {
        return user(format!("the header claims {length} bytes, the file has {file}: it is cut short"));
    };
    let header: Value =
        serde_json::from_slice(header).map_err(|e| Error::user(format!("the header is not valid JSON: {e}")))?;
    let Value::Object(map) = header else {
        return user("the header is not a JSON object".into());
    };
    let mut entries = BTreeMap::new();
    for (name, value) in &map {
        if name == "__metadata__" {
            continue;
        }
        let entry = entry(value, body, file).map_err(|e| e.at(format!("tensor {}", printable(name))))?;
        entries.insert(name.clone(), entry);
    }
    let mut ranges: Vec<(&Range<usize>, &String)> =
        entries.iter().filter(|(_, e)| !e.bytes.is_empty()).map(|(name, e)| (&e.bytes, name)).collect();
    ranges.sort_by_key(|(range, _)| range.start);
    for pair in ranges.windows(2) {
        if pair[1].0.start < pair[0].0.end {
            return user(format!(
                "the tensors {} and {} overlap in the file: it is damaged",
                printable(pair[0].1),
                printable(pair[1].1)
            ));
        }
    }
    Ok(entries)
}

fn entry(value: &Value, body: usize, file: usize) -> Result<Entry> {
    let name = value.get("dtype").and_then(Value::as_str).unwrap_or_default();
    let Some(stored) = Stored::from_name(name) else {
        return Err(Error::user(format!("dtype {:?} is no type of the format", printable(name))));
    };
    let number = |v: &Value| v.as_u64().and_then(|v| usize::try_from(v).ok());
    let list = |key: &str| -> Option<Vec<usize>> { value.get(key)?.as_array()?.iter().map(number).collect() };
    let Some(shape) = list("shape") else {
        return Err(Error::user("its shape is not a list of sizes"));
    };
    let Some([start, end]) = list("data_offsets").and_then(|v| <[usize; 2]>::try_from(v).ok()) else {
        return Err(Error::user("data_offsets is not a pair of positions"));
    };
    let bits = shape
        .iter()
        .try_fold(1u64, |product, size| product.checked_mul(*size as u64))
        .and_then(|elements| elements.checked_mul(stored.bits()?));
    let (Some(bits), Some(from), Some(to)) = (bits, body.checked_add(start), body.checked_add(end)) else {
        return Err(Error::user(format!("the sizes {shape:?} or offsets {start}..{end} are beyond all bounds")));
    };
    if to > file {
        return Err(Error::user(format!(
            "its data ends at byte {to}, the file has {file}: it is cut short, copy or download it again"
        )));
    }
    if start > end || bits != (end - start) as u64 * 8 {
        return Err(Error::user(format!(
            "{shape:?} {name} needs {} bytes, data_offsets give {start}..{end}",
            bits.div_ceil(8)
        )));
    }
    Ok(Entry { shape, stored, bytes: from..to })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn file(header: &str, data: usize) -> Vec<u8> {
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.as_bytes());
        bytes.extend(vec![0; data]);
        bytes
    }

    fn refused(header: &str, data: usize) -> String {
        parse(&file(header, data)).unwrap_err().to_string()
    }

    #[test]
    fn a_proper_header_gives_names_shapes_and_ranges() {
        let header = r#"{"__metadata__":{"format":"pt"},"w":{"dtype":"BF16","shape":[2,3],"data_offsets":[4,16]},
            "b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#;
        let entries = parse(&file(header, 16)).unwrap();
        let body = 8 + header.len();
        assert_eq!(entries["w"], Entry { shape: vec![2, 3], stored: Stored::Bf16, bytes: body + 4..body + 16 });
        assert_eq!(entries.len(), 2);
    }

    #[test]
    fn hostile_headers_are_refused_with_the_tensor_named() {
        assert!(parse(&[1, 2, 3]).unwrap_err().to_string().contains("3 bytes"));
        assert!(parse(&[0xff; 64]).unwrap_err().to_string().contains("claims"));
        let mut cut = file("{}", 0);
        cut[0] = 200;
        assert!(parse(&cut).unwrap_err().to_string().contains("cut short"));
        assert!(refused("{", 0).contains("JSON"));
        assert!(refused("[]", 0).contains("object"));
        let short = refused(r#"{"w":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}"#, 8);
        assert!(short.contains("tensor w") && short.contains("cut short"), "{short}");
        assert!(refused(r#"{"w":{"dtype":"F32","shape":[4],"data_offsets":[0,8]}}"#, 8).contains("needs 16 bytes"));
        assert!(refused(r#"{"w":{"dtype":"F32","shape":[1],"data_offsets":[8,4]}}"#, 8).contains("8..4"));
        assert!(refused(r#"{"w":{"dtype":"Q4","shape":[1],"data_offsets":[0,4]}}"#, 8).contains("Q4"));
        let huge = r#"{"w":{"dtype":"F32","shape":[9223372036854775807,9],"data_offsets":[0,4]}}"#;
        assert!(refused(huge, 8).contains("bounds"));
        let far = r#"{"w":{"dtype":"F32","shape":[1],"data_offsets":[18446744073709551610,18446744073709551614]}}"#;
        assert!(refused(far, 8).contains("bounds"));
        let overlap = r#"{"v":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},
            "w":{"dtype":"F32","shape":[1],"data_offsets":[2,6]}}"#;
        let overlap = refused(overlap, 8);
        assert!(overlap.contains("v and w overlap"), "{overlap}");
    }
}
