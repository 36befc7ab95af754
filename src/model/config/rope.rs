//! Rotary frequencies and their scaling, as transformers' `modeling_rope_utils` defines them.

use super::Keys;
use crate::text::printable;
use crate::{Error, Result};
use serde_json::Value;

/// How the rotary frequencies are stretched for longer contexts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Scaling {
    /// Not at all.
    None,
    /// Every frequency divided by `factor`.
    Linear {
        /// Above 0.
        factor: f64,
    },
    /// Llama 3.1's: low frequencies divided, high ones kept, blended in between.
    Llama3 {
        /// Divisor of the low frequencies.
        factor: f64,
        /// Wavelengths above `original / low` are divided.
        low: f64,
        /// Wavelengths below `original / high` are kept; above `low`.
        high: f64,
        /// Context length before stretching, tokens.
        original: f64,
    },
}

/// θ^(−2i/d) for i = 0 … d/2 − 1, computed in f32 as PyTorch does.
pub(super) fn plain(theta: f64, head_dim: usize) -> Vec<f32> {
    let theta = theta as f32;
    (0..head_dim).step_by(2).map(|i| 1.0 / theta.powf(i as f32 / head_dim as f32)).collect()
}

impl Scaling {
    /// The stretched frequencies.
    pub(super) fn apply(self, mut freq: Vec<f32>) -> Vec<f32> {
        match self {
            Self::None => {}
            Self::Linear { factor } => freq.iter_mut().for_each(|f| *f /= factor as f32),
            Self::Llama3 { factor, low, high, original } => {
                for f in &mut freq {
                    let wave = std::f64::consts::TAU / f64::from(*f);
                    if wave > original / low {
                        *f = (f64::from(*f) / factor) as f32;
                    } else if wave >= original / high {
                        let smooth = (original / wave - low) / (high - low);
                        let f64_f = f64::from(*f);
                        *f = ((1.0 - smooth) * f64_f / factor + smooth * f64_f) as f32;
                    }
                }
            }
        }
        freq
    }
}

/// θ and the scaling from `rope_parameters` (transformers 5) or `rope_theta` and `rope_scaling`.
pub(super) fn read(keys: &Keys, max_position: usize) -> Result<(f64, Scaling)> {
    let object = |key: &'static str| match keys.0.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(map)) => Ok(Some((key, map))),
        Some(other) => Err(keys.wrong(key, other, "an object or null")),
    };
    let found = match object("rope_parameters")? {
        Some(found) => Some(found),
        None => object("rope_scaling")?,
    };
    let mut theta = keys.number_or("rope_theta", 10_000.0)?;
    let mut scaling = Scaling::None;
    if let Some((key, map)) = found {
        let inner = Keys(map);
        theta = inner.number_or("rope_theta", theta).map_err(|e| e.at(key))?;
        scaling = read_scaling(&inner, keys, max_position).map_err(|e| e.at(key))?;
    }
    if !(theta > 1.0 && theta <= 1e12) {
        return Err(Error::user(format!("rope_theta = {theta}: a number above 1 is needed")));
    }
    Ok((theta, scaling))
}

fn read_scaling(inner: &Keys, outer: &Keys, max_position: usize) -> Result<Scaling> {
    let partial = inner.number_or("partial_rotary_factor", 1.0)?;
    if (partial - 1.0).abs() > f64::EPSILON {
        return Err(Error::user(format!("partial_rotary_factor = {partial}: only 1.0 is supported")));
    }
    let kind = match inner.0.get("rope_type").or_else(|| inner.0.get("type")) {
        None | Some(Value::Null) => "default",
        Some(Value::String(kind)) => kind,
        Some(other) => return Err(inner.wrong("rope_type", other, "a name")),
    };
    let number = |key: &str| {
        if !inner.given(key) {
            return Err(Error::user(format!("rope type {kind:?} needs {key}")));
        }
        let value = inner.number_or(key, 0.0)?;
        if value > 0.0 { Ok(value) } else { Err(Error::user(format!("{key} = {value}: a number above 0 is needed"))) }
    };
    match kind {
        "default" => Ok(Scaling::None),
        "linear" => Ok(Scaling::Linear { factor: number("factor")? }),
        "llama3" => {
            let (low, high) = (number("low_freq_factor")?, number("high_freq_factor")?);
            if high <= low {
                return Err(Error::user(format!("high_freq_factor = {high} must be above low_freq_factor = {low}")));
            }
            let original = if inner.given("original_max_position_embeddings") {
                number("original_max_position_embeddings")?
            } else {
                outer.number_or("original_max_position_embeddings", max_position as f64)?
            };
            Ok(Scaling::Llama3 { factor: number("factor")?, low, high, original })
        }
        other => Err(Error::user(format!(
            "rope type {:?} is not supported; lopper knows \"default\", \"linear\" and \"llama3\"",
            printable(other)
        ))),
    }
}
