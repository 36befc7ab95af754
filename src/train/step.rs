//! One optimiser update: forward, loss, backward over the passes of a batch; clip, update, prune.

use super::optimizer::{self, Optimizer};
use super::task::Task;
use crate::data::{Batch, batch};
use crate::lora::{Gradients, MergedSet, SquareSums};
use crate::model::device::within_threads;
use crate::model::linear::Dropout;
use crate::prune::{Key, MatrixState, Pruner};
use crate::recipe::{Moments, Train};
use crate::run::event::Seconds;
use crate::run::fault;
use crate::{Error, Result};
use std::time::Instant;

/// What is trained and with what.
#[derive(Debug)]
pub struct Trainer<'a> {
    /// Base and data.
    pub task: &'a Task,
    /// Training settings.
    pub settings: &'a Train,
    /// The matrices.
    pub set: MergedSet,
    /// The optimiser.
    pub optimizer: Optimizer,
    /// The pruner, if the stage prunes.
    pub pruner: Option<Pruner>,
    /// Base of the dropout keys: seed and stage.
    pub key: u64,
}

/// The figures of one update.
#[derive(Debug, Clone, Default)]
pub struct Update {
    /// Mean loss per summary token before the update, nats.
    pub loss: f64,
    /// Gradient norm before clipping.
    pub norm: f64,
    /// Tokens through the model.
    pub tokens: usize,
    /// Where the time went.
    pub seconds: Seconds,
    /// What became of the matrices, if the stage prunes.
    pub matrices: Vec<(Key, MatrixState)>,
}

impl Trainer<'_> {
    /// Update number `step` (from 1) of `total` on the training examples `chosen`.
    ///
    /// # Errors
    /// When the loss or a gradient is not a number, or memory is short.
    pub fn step(&mut self, step: usize, total: usize, chosen: &[usize], lr: f64) -> Result<Update> {
        let task = self.task;
        within_threads(task.decoder.device(), || self.update(step, total, chosen, lr))
    }

    fn update(&mut self, step: usize, total: usize, chosen: &[usize], lr: f64) -> Result<Update> {
        fault::starve("memory");
        let mut update = Update::default();
        let clock = Instant::now();
        let batches = batch::micro_batches(&self.task.train.encoded.sequences, chosen, self.settings.micro_tokens);
        let targets: usize = batches.iter().map(|b| b.targets.len()).sum();
        let scale = 1.0 / targets.max(1) as f64;
        update.seconds.data = clock.elapsed().as_secs_f64();
        let wants_squares = self.pruner.as_ref().is_some_and(Pruner::wants_step_norms);
        let mut gradients = Gradients::default();
        let mut squares = SquareSums::default();
        for (pass_number, batch) in batches.iter().enumerate() {
            let key = self.key ^ ((step as u64) << 20) ^ pass_number as u64;
            let dropout = (self.task.dropout > 0.0).then_some(Dropout { p: self.task.dropout, key });
            let squares = wants_squares.then_some(&mut squares);
            let passed = pass(self.task, &self.set, batch, (dropout, scale), &mut gradients, squares)?;
            update.loss += passed.nats * scale;
            update.tokens += batch.tokens.len();
            update.seconds.forward += passed.seconds[0];
            update.seconds.backward += passed.seconds[1];
        }
        let clock = Instant::now();
        update.norm = optimizer::global_norm(&gradients)?;
        if !update.loss.is_finite() || !update.norm.is_finite() {
            let what = format!("loss {}, gradient norm {}", update.loss, update.norm);
            return Err(diverged(step, &what, lr));
        }
        let factor = optimizer::clip_factor(update.norm, self.settings.clip);
        self.optimizer.step(&self.set, &gradients, lr, factor)?;
        update.seconds.optimiser = clock.elapsed().as_secs_f64();
        let clock = Instant::now();
        update.matrices = self.prune(step, total, &gradients, squares)?;
        update.seconds.prune = clock.elapsed().as_secs_f64();
        Ok(update)
    }

    fn prune(
        &mut self,
        step: usize,
        total: usize,
        gradients: &Gradients,
        squares: SquareSums,
    ) -> Result<Vec<(Key, MatrixState)>> {
        let Some(pruner) = &mut self.pruner else { return Ok(Vec::new()) };
        let squares =
            if pruner.wants_train_norms() { train_squares(self.task, &self.set, self.settings)? } else { squares };
        let states = pruner.prune(&self.set, &squares, Some(gradients), step as f64 / total.max(1) as f64, step)?;
        if pruner.settings().moments == Moments::Zero {
            self.optimizer.forget_pruned(&self.set, pruner)?;
        }
        Ok(states)
    }
}

/// What one pass forward and back gives beside its gradients.
#[derive(Debug, Clone, Copy)]
pub struct Passed {
    /// Sum of the targets' losses, nats.
    pub nats: f64,
    /// Seconds forward and back.
    pub seconds: [f64; 2],
}

/// One batch forward and back: adds the gradients of its targets' losses times `scale`, and the squares if asked.
///
/// # Errors
/// When memory is short.
pub fn pass(
    task: &Task,
    set: &MergedSet,
    batch: &Batch,
    (dropout, scale): (Option<Dropout>, f64),
    gradients: &mut Gradients,
    squares: Option<&mut SquareSums>,
) -> Result<Passed> {
    let clock = Instant::now();
    let decoder = &task.decoder;
    let pass = decoder.pass(Some(set), dropout)?;
    let (x, packed) = decoder.embed(&batch.tokens, &batch.lengths)?;
    let (x, tape) = decoder.forward_traced(&x, &packed, &pass, task.layers.whole)?;
    let (nats, gradient) = decoder.loss(&x, &batch.targets, Some(scale))?;
    let forward = clock.elapsed().as_secs_f64();
    let clock = Instant::now();
    let gradient = gradient.ok_or_else(|| Error::fault("a loss without a gradient"))?;
    decoder.backward(gradient, tape, &packed, &pass, gradients, squares)?;
    Ok(Passed { nats, seconds: [forward, clock.elapsed().as_secs_f64()] })
}

/// The sentence for a training that has left the numbers.
pub fn diverged(step: usize, what: &str, lr: f64) -> Error {
    Error::user(format!(
        "the training diverged at step {step}: {what}; the last good checkpoint is kept: lower the learning rate (it was {lr:.1e}) in the run's recipe.toml and resume, or check the data"
    ))
}

/// Squared column sums over the whole training set (`norms = "train"`).
///
/// # Errors
/// When memory is short.
pub fn train_squares(task: &Task, set: &MergedSet, settings: &Train) -> Result<SquareSums> {
    let pass = task.decoder.pass(Some(set), None)?;
    let mut squares = SquareSums::default();
    let all: Vec<usize> = (0..task.train.encoded.sequences.len()).collect();
    for batch in batch::micro_batches(&task.train.encoded.sequences, &all, settings.micro_tokens) {
        let (x, packed) = task.decoder.embed(&batch.tokens, &batch.lengths)?;
        task.decoder.measure(&x, &packed, &pass, &mut squares)?;
    }
    Ok(squares)
}
