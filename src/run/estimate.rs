//! What a run will take: memory by part, steps, time.

use crate::data::preview::Preview;
use crate::recipe::Recipe;
use crate::{Error, Result};
use std::path::Path;

/// What a run will take.
#[derive(Debug, Clone, PartialEq, Default, serde::Serialize)]
pub struct Estimate {
    /// `cpu` or `cuda:0`: where `device` of the recipe leads on this machine.
    pub device: String,
    /// `f32` or `bf16`: type of the frozen weights in memory.
    pub dtype: &'static str,
    /// The memory of the moment that needs most, by part, largest first.
    pub parts: Vec<Part>,
    /// The sum of the parts, bytes.
    pub total: u64,
    /// The total with `recompute` the other way round, bytes.
    pub other_recompute: u64,
    /// Memory that is free there, bytes; `None` where the system does not tell.
    pub free: Option<u64>,
    /// Stages in their order.
    pub stages: Vec<StageEstimate>,
    /// Updates of all stages.
    pub steps: usize,
    /// Seconds of all stages, scoring included.
    pub seconds: f64,
    /// Tokens that go through a training step, a second.
    pub tokens_per_second: f64,
    /// Where that figure comes from: `measured in runs/demo-…` or the assumption, safe to show.
    pub speed_from: String,
}

/// One part of the memory.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Part {
    /// What it is: `base weights`, `activations`.
    pub name: &'static str,
    /// Bytes.
    pub bytes: u64,
}

/// One stage.
#[derive(Debug, Clone, PartialEq, Default, serde::Serialize)]
pub struct StageEstimate {
    /// The method's name as the report shows it.
    pub method: String,
    /// Updates, 0 without training.
    pub steps: usize,
    /// Updates of an epoch, 0 without training.
    pub steps_per_epoch: usize,
    /// Seconds, its evaluations and scoring included.
    pub seconds: f64,
}

/// What `recipe` will take on this machine, with its data as [`crate::data::preview::preview`] read it. `runs` is
/// the folder of runs where an earlier one may tell how fast this machine is. Reads headers only.
///
/// # Errors
/// When the base or an adapter cannot be used.
pub fn estimate(recipe: &Recipe, preview: &Preview, runs: &Path) -> Result<Estimate> {
    let _ = (recipe, preview, runs);
    Err(Error::fault("not there yet"))
}
