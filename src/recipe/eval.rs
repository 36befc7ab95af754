//! What is written and scored: sample summaries and the report's methods.

use super::range;
use crate::Result;
use serde::{Deserialize, Serialize};

/// Which dev documents to summarise while training.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Samples {
    /// How many of the first dev documents.
    pub documents: usize,
    /// Longest summary, in tokens.
    pub max_new_tokens: usize,
    /// 0 for greedy.
    pub temperature: f64,
    /// Nucleus, 0 to 1.
    pub top_p: f64,
}

impl Default for Samples {
    fn default() -> Self {
        Self { documents: 3, max_new_tokens: 48, temperature: 0.0, top_p: 1.0 }
    }
}

/// What to score at the end.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Eval {
    /// The methods of the report beside the run's own, in this order.
    pub methods: Vec<Method>,
}

/// A way to use the base and the adapters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// The base alone.
    ZeroShot,
    /// The target adapter, trained alone.
    Target,
    /// All adapters added, no further training.
    Merge,
    /// Merge, then fine-tune without pruning.
    MergeTune,
    /// Merge, then fine-tune and prune at every step (the paper's).
    MergeTunePrune,
}

impl Method {
    /// As tables show it.
    pub const fn label(self) -> &'static str {
        match self {
            Self::ZeroShot => "zero-shot",
            Self::Target => "target adapter alone",
            Self::Merge => "merge, no training",
            Self::MergeTune => "merge + fine-tune",
            Self::MergeTunePrune => "merge + fine-tune + prune",
        }
    }
}

impl Samples {
    pub(super) fn validate(&self) -> Result<()> {
        range::share("samples.top_p", self.top_p)?;
        range::at_least_one("samples.max_new_tokens", self.max_new_tokens)?;
        range::not_negative("samples.temperature", self.temperature)
    }
}
