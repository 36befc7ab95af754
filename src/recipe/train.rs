//! How the adapters are trained.

use super::{Recompute, range};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// How to train.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Train {
    /// Passes over the training examples.
    pub epochs: usize,
    /// Optimiser steps instead of epochs, if above 0.
    pub steps: usize,
    /// Examples per optimiser step.
    pub batch: usize,
    /// Tokens per forward pass; a batch is cut into as many passes as it takes.
    pub micro_tokens: usize,
    /// `adamw` or `sgd`.
    pub optimizer: OptimizerKind,
    /// Peak learning rate.
    pub lr: f64,
    /// Shape of the learning rate after the warm-up.
    pub schedule: LrSchedule,
    /// Share of the steps that warm up, 0 to 1.
    pub warmup: f64,
    /// AdamW's decoupled weight decay.
    pub weight_decay: f64,
    /// AdamW's betas.
    pub betas: [f64; 2],
    /// AdamW's epsilon.
    pub eps: f64,
    /// Gradients are scaled to at most this norm, 0 for never.
    pub clip: f64,
    /// LoRA dropout, 0 to 1; `None` takes the largest of the adapters' own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dropout: Option<f64>,
    /// Which layers are forwarded again in the backward pass instead of keeping their activations.
    pub recompute: Recompute,
    /// Evaluate on dev every so many steps, 0 for once an epoch.
    pub eval_every: usize,
    /// What decides which checkpoint is best.
    pub best_by: BestBy,
    /// Stop after so many evaluations without a better one, 0 for never.
    pub patience: usize,
    /// Checkpoint every so many steps, 0 for once an epoch.
    pub checkpoint_every: usize,
}

impl Default for Train {
    fn default() -> Self {
        Self {
            epochs: 3,
            steps: 0,
            batch: 8,
            micro_tokens: 2048,
            optimizer: OptimizerKind::Adamw,
            lr: 1e-4,
            schedule: LrSchedule::Linear,
            warmup: 0.05,
            weight_decay: 0.0,
            betas: [0.9, 0.999],
            eps: 1e-8,
            clip: 1.0,
            dropout: None,
            recompute: Recompute::Auto,
            eval_every: 0,
            best_by: BestBy::DevLoss,
            patience: 0,
            checkpoint_every: 0,
        }
    }
}

/// The optimiser.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OptimizerKind {
    /// AdamW, decoupled weight decay.
    #[default]
    Adamw,
    /// Plain gradient descent.
    Sgd,
}

/// Shape of the learning rate after the warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LrSchedule {
    /// Straight down to 0.
    #[default]
    Linear,
    /// Half a cosine down to 0.
    Cosine,
    /// Stays.
    Constant,
    /// Times 0.85 after every epoch (GRASP-LoRA's setting).
    Epoch,
}

/// What decides which checkpoint is best.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BestBy {
    /// Lowest dev loss.
    #[default]
    DevLoss,
    /// Highest ROUGE-L of dev summaries.
    RougeL,
}

/// Training of the target adapter alone, before the merge.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TargetStage {
    /// Passes over the training examples, 0 to skip the stage. Only for a new target adapter.
    pub epochs: usize,
    /// Peak learning rate.
    pub lr: f64,
}

impl Default for TargetStage {
    fn default() -> Self {
        Self { epochs: 3, lr: 2e-4 }
    }
}

impl Train {
    pub(super) fn validate(&self) -> Result<()> {
        range::share("train.warmup", self.warmup)?;
        if let Some(dropout) = self.dropout {
            range::share("train.dropout", dropout)?;
            if dropout >= 1.0 {
                return Err(Error::user("train.dropout = 1.0 would drop everything; use a share below 1.0"));
            }
        }
        range::above_zero("train.lr", self.lr)?;
        range::above_zero("train.eps", self.eps)?;
        range::at_least_one("train.batch", self.batch)?;
        range::at_least_one("train.micro_tokens", self.micro_tokens)?;
        if self.epochs == 0 && self.steps == 0 {
            return Err(Error::user(
                "train.epochs = 0 and train.steps = 0: set one of them, or there is nothing to train",
            ));
        }
        for (i, beta) in self.betas.iter().enumerate() {
            if !(0.0..1.0).contains(beta) {
                return Err(Error::user(format!(
                    "train.betas[{i}] = {beta}: a number from 0.0 to below 1.0 is needed"
                )));
            }
        }
        range::not_negative("train.weight_decay", self.weight_decay)?;
        range::not_negative("train.clip", self.clip)
    }
}

impl TargetStage {
    pub(super) fn validate(&self) -> Result<()> {
        range::above_zero("target.lr", self.lr)
    }
}
