//! How many parameters a SafeTensors file holds, by its header alone.

use super::content::Content;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Longer headers are no SafeTensors files.
const LONGEST: u64 = 100 << 20;

/// Numbers by type (`F32`, `BF16`), none where the header cannot be read.
pub fn parameters(content: &Content) -> Option<BTreeMap<String, u64>> {
    let length = u64::from_le_bytes(content.read(0, 8).ok()?.as_ref().try_into().ok()?);
    if length > LONGEST.min(content.size()) {
        return None;
    }
    let header = content.read(8, length as usize).ok()?;
    let header: Map<String, Value> = serde_json::from_slice(&header).ok()?;
    let mut out = BTreeMap::new();
    for (name, tensor) in &header {
        if name == "__metadata__" {
            continue;
        }
        let shape = tensor.get("shape")?.as_array()?;
        let count = shape.iter().map(Value::as_u64).try_fold(1u64, |n, side| n.checked_mul(side?))?;
        *out.entry(tensor.get("dtype")?.as_str()?.to_owned()).or_default() += count;
    }
    Some(out)
}
