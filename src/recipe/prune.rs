//! What is pruned, and how importance is measured.

use super::range;
use super::ratios::Rule;
use crate::Result;
use serde::{Deserialize, Serialize};

/// What to prune.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Prune {
    /// Share of every matrix to zero after each step, 0 to 1.
    pub ratio: f64,
    /// Exceptions by module, adapter and factor; the last one that matches counts.
    pub rules: Vec<Rule>,
    /// Importance measure.
    pub importance: Importance,
    /// Which tokens the norms are taken over.
    pub norms: Norms,
    /// What competes for a place under the mask.
    pub group: Group,
    /// Ratio over the steps.
    pub schedule: RatioSchedule,
    /// Once pruned, always pruned.
    pub hold: bool,
    /// What happens to the optimiser's moments of pruned entries.
    pub moments: Moments,
}

impl Default for Prune {
    fn default() -> Self {
        Self {
            ratio: 0.5,
            rules: Vec::new(),
            importance: Importance::Direct,
            norms: Norms::Batch,
            group: Group::Matrix,
            schedule: RatioSchedule::Constant,
            hold: false,
            moments: Moments::Keep,
        }
    }
}

/// Importance measure; see method.md's step 4 and the README.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Importance {
    /// `|W_ij| · ‖X_j‖₂` (Wanda's form, read literally).
    #[default]
    Direct,
    /// Wanda's score of the product B·A carried back to its factors.
    Product,
    /// `|W_ij · ∂L/∂W_ij|`, smoothed over steps.
    Sensitivity,
    /// `|W_ij|`.
    Magnitude,
    /// A random number: the control.
    Random,
}

/// Which tokens the norms of X are taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Norms {
    /// This step's batch.
    #[default]
    Batch,
    /// Exponential mean of squares over steps, factor 0.9.
    Running,
    /// The whole training set, computed again before every pruning.
    Train,
}

/// What competes for a place under the mask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Group {
    /// All entries of a matrix.
    #[default]
    Matrix,
    /// The entries of one output row (Wanda's grouping).
    Row,
    /// A and B of all adapters of the module together.
    Module,
}

/// Ratio over the steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RatioSchedule {
    /// The full ratio from the first step.
    #[default]
    Constant,
    /// Linear from 0 to the ratio at the last step.
    Linear,
    /// 1 − (1 − t)³ of the ratio.
    Cubic,
}

/// What happens to the optimiser's moments of pruned entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Moments {
    /// They stay, so that an entry can come back.
    #[default]
    Keep,
    /// They are zeroed with the entry.
    Zero,
}

impl Prune {
    pub(super) fn validate(&self) -> Result<()> {
        range::share("prune.ratio", self.ratio)?;
        self.rules.iter().try_for_each(Rule::validate)
    }
}
