//! Which adapters are merged.

use crate::module::Projection;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// What an adapter is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The task at hand.
    Target,
    /// Another task that may help.
    Related,
}

impl Role {
    /// As the recipe writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Target => "target",
            Self::Related => "related",
        }
    }
}

/// One adapter of the merge: a PEFT folder, or (target only) a new one of the given shape.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdapterEntry {
    /// Short name on screen and in rules.
    pub name: String,
    /// Folder with `adapter_config.json` and `adapter_model.safetensors`, or `hf://ORG/NAME@REVISION` in the file;
    /// none makes a new adapter.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "crate::hub::place::written_if_any")]
    pub path: Option<PathBuf>,
    /// `target` or `related`.
    pub role: Role,
    /// Factor on its contribution.
    #[serde(default = "one")]
    pub weight: f64,
    /// Rank of a new adapter.
    #[serde(default = "rank")]
    pub rank: usize,
    /// Alpha of a new adapter.
    #[serde(default = "alpha")]
    pub alpha: f64,
    /// Scaling alpha/√r instead of alpha/r for a new adapter.
    #[serde(default)]
    pub rslora: bool,
    /// Modules of a new adapter.
    #[serde(default = "targets")]
    pub targets: Vec<Projection>,
}

fn one() -> f64 {
    1.0
}

fn rank() -> usize {
    16
}

fn alpha() -> f64 {
    32.0
}

fn targets() -> Vec<Projection> {
    Projection::ALL.to_vec()
}

/// Largest rank of a new adapter.
const MAX_RANK: usize = 4096;

/// Checks the adapters one by one and that exactly one is the target.
///
/// # Errors
/// Names the first adapter that is wrong and what is needed there.
pub(super) fn validate(adapters: &[AdapterEntry]) -> Result<()> {
    let targets = adapters.iter().filter(|a| a.role == Role::Target).count();
    if targets != 1 {
        return Err(Error::user(format!("{targets} adapters have role = \"target\"; exactly one is needed")));
    }
    for (i, adapter) in adapters.iter().enumerate() {
        let at = |text: String| {
            let name = crate::text::printable(&adapter.name);
            Err(Error::user(format!("adapters[{i}] ({name}): {text}")))
        };
        if adapter.name.is_empty() || adapter.name.chars().any(|c| !(c.is_alphanumeric() || "-_.".contains(c))) {
            return at("a name of letters, digits, '-', '_' and '.' is needed".into());
        }
        if adapters[..i].iter().any(|other| other.name == adapter.name) {
            return at("this name is used twice".into());
        }
        if !adapter.weight.is_finite() {
            return at(format!("weight = {}: a finite number is needed", adapter.weight));
        }
        if adapter.path.is_some() {
            continue;
        }
        if adapter.role == Role::Related {
            return at("a related adapter needs a path to a PEFT folder".into());
        }
        if adapter.rank == 0 || adapter.rank > MAX_RANK {
            return at(format!("rank = {}: 1 to {MAX_RANK} is needed", adapter.rank));
        }
        if !(adapter.alpha > 0.0 && adapter.alpha.is_finite()) {
            return at(format!("alpha = {}: a number above 0 is needed", adapter.alpha));
        }
        if adapter.targets.is_empty() {
            return at("targets is empty; name at least one projection, such as \"q_proj\"".into());
        }
    }
    Ok(())
}
