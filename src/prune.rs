//! Pruning after every update: importance, threshold, mask, zero in place (method.md, steps 3 to 6).

pub mod importance;
pub mod mask;

use crate::lora::{Gradients, MergedModule, MergedSet, SquareSums};
use crate::module::{Factor, ModuleId};
use crate::recipe::ratios::Ratios;
use crate::recipe::{self, Group, RatioSchedule};
use crate::{Error, Result};
use candle_core::{CpuStorage, DType, InplaceOp1, Layout, Tensor};
use importance::{Norms, Scorer};
use rayon::prelude::*;
use std::collections::{BTreeMap, HashMap};

/// A matrix in the merge: module, adapter, factor.
pub type Key = (ModuleId, usize, Factor);

/// What became of one matrix.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MatrixState {
    /// Ratio asked at this step, after the schedule, 0 to 1.
    pub ratio: f64,
    /// Share that is exactly zero now, 0 to 1.
    pub sparsity: f64,
    /// Mean importance before the mask.
    pub importance: f32,
    /// Importance at 0.1, 0.5, 0.9 (of at most 4,096 evenly spaced entries).
    pub quantiles: [f32; 3],
    /// Share of the summed importance that the mask leaves, 0 to 1.
    pub retained: f64,
    /// Share of entries whose mask changed since the last pruning; `None` the first time.
    pub flips: Option<f64>,
    /// Entries that are zero because of the mask.
    pub pruned: usize,
}

/// Prunes a merged set step after step, and remembers what it has to between steps.
#[derive(Debug)]
pub struct Pruner {
    settings: recipe::Prune,
    ratios: Ratios,
    names: Vec<String>,
    seed: u64,
    /// Pruned entries of each matrix in the layout of the merged set (1 = pruned).
    masks: HashMap<Key, Vec<u8>>,
    /// Exponential mean of squares per module, for `norms = "running"`.
    running: BTreeMap<ModuleId, (Vec<f32>, Vec<f32>)>,
    /// Smoothed |w·g| of each matrix, for `importance = "sensitivity"`.
    sensitivity: HashMap<Key, Vec<f32>>,
}

/// What one module's pruning needs and gives.
struct Work<'a> {
    id: ModuleId,
    module: &'a MergedModule,
    norms: Norms,
    gradients: Option<(Vec<f32>, Vec<f32>)>,
}

struct Done {
    key: Key,
    state: MatrixState,
    mask: Vec<u8>,
    sensitivity: Option<Vec<f32>>,
}

impl Pruner {
    /// A pruner for adapters of these names, in the order of the merge.
    ///
    /// # Errors
    /// When a rule is malformed.
    pub fn new(settings: &recipe::Prune, names: Vec<String>, seed: u64) -> Result<Self> {
        Ok(Self {
            ratios: Ratios::new(settings.ratio, &settings.rules)?,
            settings: settings.clone(),
            names,
            seed,
            masks: HashMap::new(),
            running: BTreeMap::new(),
            sensitivity: HashMap::new(),
        })
    }

    /// Adds rules from the next pruning on; the last one that matches counts.
    ///
    /// # Errors
    /// When a rule is malformed; nothing changes then.
    pub fn add_rules(&mut self, rules: &[recipe::ratios::Rule]) -> Result<()> {
        let mut all = self.settings.rules.clone();
        all.extend_from_slice(rules);
        for rule in rules {
            rule.validate()?;
        }
        self.ratios = Ratios::new(self.settings.ratio, &all)?;
        self.settings.rules = all;
        Ok(())
    }

    /// The settings with the rules that were added.
    pub fn settings(&self) -> &recipe::Prune {
        &self.settings
    }

    /// Whether norms have to be taken over the whole training set before every pruning.
    pub fn wants_train_norms(&self) -> bool {
        self.settings.norms == recipe::Norms::Train
    }

    /// The share of the full ratio at `progress` (0 to 1) of the training.
    fn scheduled(&self, progress: f64) -> f64 {
        match self.settings.schedule {
            RatioSchedule::Constant => 1.0,
            RatioSchedule::Linear => progress,
            RatioSchedule::Cubic => 1.0 - (1.0 - progress).powi(3),
        }
    }

    /// One pruning after an update: scores every matrix, zeroes its least important entries in place,
    /// and says what became of it, in the order module, adapter, A, B.
    ///
    /// `squares` are the column sums of this step's tokens (or of the training set), `progress` is the
    /// share of the training that is done, `step` numbers the updates.
    ///
    /// # Errors
    /// When an importance is not a number, or `sensitivity` is asked without gradients.
    pub fn prune(
        &mut self,
        set: &MergedSet,
        squares: &SquareSums,
        gradients: Option<&Gradients>,
        progress: f64,
        step: usize,
    ) -> Result<Vec<(Key, MatrixState)>> {
        let share = self.scheduled(progress.clamp(0.0, 1.0));
        let mut works = Vec::with_capacity(set.modules.len());
        for (id, module) in &set.modules {
            let norms = self.norms(*id, module, squares)?;
            let gradients = match (self.settings.importance, gradients) {
                (recipe::Importance::Sensitivity, Some(gradients)) => {
                    let (a, b) = gradients
                        .modules
                        .get(id)
                        .ok_or_else(|| Error::fault(format!("{id} has no gradient to measure its sensitivity by")))?;
                    Some((host(a)?, host(b)?))
                }
                _ => None,
            };
            works.push(Work { id: *id, module, norms, gradients });
        }
        let this = &*self;
        let done: Vec<Vec<Done>> =
            works.into_par_iter().map(|work| this.module(work, share, step)).collect::<Result<_>>()?;
        let mut states = Vec::new();
        for done in done.into_iter().flatten() {
            states.push((done.key, done.state));
            self.masks.insert(done.key, done.mask);
            if let Some(sensitivity) = done.sensitivity {
                self.sensitivity.insert(done.key, sensitivity);
            }
        }
        Ok(states)
    }

    /// ‖X_j‖₂ for A (per input feature) and ‖Z_j‖₂ for B (per concatenated rank).
    fn norms(&mut self, id: ModuleId, module: &MergedModule, squares: &SquareSums) -> Result<Norms> {
        let (x, z) = match squares.modules.get(&id) {
            Some((x, z)) => (x.to_vec1::<f32>()?, z.to_vec1::<f32>()?),
            None => (vec![1.0; module.a.dim(1)?], vec![1.0; module.rank()]),
        };
        let (x, z) = if self.settings.norms == recipe::Norms::Running {
            let (old_x, old_z) = self.running.entry(id).or_insert_with(|| (x.clone(), z.clone()));
            for (old, new) in [(old_x, &x), (old_z, &z)] {
                old.iter_mut().zip(new).for_each(|(old, new)| *old = 0.9 * *old + 0.1 * new);
            }
            self.running[&id].clone()
        } else {
            (x, z)
        };
        let root = |v: Vec<f32>| v.into_iter().map(f32::sqrt).collect();
        Ok(Norms { x: root(x), z: root(z) })
    }

    fn module(&self, work: Work<'_>, share: f64, step: usize) -> Result<Vec<Done>> {
        let Work { id, module, norms, gradients } = work;
        let (a, b) = (host(&module.a)?, host(&module.b)?);
        let (d_in, d_out) = (module.a.dim(1)?, module.b.dim(1)?);
        let mut parts = Vec::new();
        for segment in &module.segments {
            let rows = segment.rows();
            let scorer = Scorer {
                kind: self.settings.importance,
                a: &a[rows.start * d_in..rows.end * d_in],
                b: &b[rows.start * d_out..rows.end * d_out],
                rank: segment.rank,
                x: &norms.x,
                z: &norms.z[rows.clone()],
            };
            for factor in [Factor::A, Factor::B] {
                let key = (id, segment.adapter, factor);
                let (weights, width, gradient) = match factor {
                    Factor::A => (scorer.a, d_in, gradients.as_ref().map(|g| &g.0[rows.start * d_in..rows.end * d_in])),
                    Factor::B => {
                        (scorer.b, d_out, gradients.as_ref().map(|g| &g.1[rows.start * d_out..rows.end * d_out]))
                    }
                };
                let stream = importance::stream(self.seed, step, key);
                let (scores, sensitivity) = scorer.scores(factor, gradient, self.sensitivity.get(&key), stream)?;
                if let Some(bad) = scores.iter().position(|s| !s.is_finite()) {
                    return Err(Error::fault(format!(
                        "the importance of entry {bad} of {id} {factor} is {}: the training has diverged; lower the learning rate",
                        scores[bad]
                    )));
                }
                let name = self.names.get(segment.adapter).map_or("", String::as_str);
                parts.push(mask::Part {
                    key,
                    rank: segment.rank,
                    width,
                    factor,
                    ratio: self.ratios.of(id, name, factor) * share,
                    // A matrix that is entirely zero (B of a new adapter) has nothing to rank yet.
                    idle: weights.iter().all(|&w| w == 0.0),
                    held: if self.settings.hold { self.masks.get(&key).map(Vec::as_slice) } else { None },
                    scores,
                    sensitivity,
                    weights,
                });
            }
        }
        let masks = match self.settings.group {
            Group::Matrix => parts.iter().map(mask::by_matrix).collect(),
            Group::Row => parts.iter().map(mask::by_row).collect(),
            Group::Module => mask::by_module(&parts),
        };
        for factor in [Factor::A, Factor::B] {
            let mut whole = Vec::with_capacity(module.tensor(factor).elem_count());
            for (part, mask) in parts.iter().zip(&masks) {
                if part.factor == factor {
                    whole.extend_from_slice(mask);
                }
            }
            zero(module.tensor(factor), whole)?;
        }
        Ok(parts.into_iter().zip(masks).map(|(part, mask)| self.done(part, mask)).collect())
    }

    fn done(&self, part: mask::Part<'_>, mask: Vec<u8>) -> Done {
        let n = mask.len() as f64;
        let pruned = mask.iter().map(|&m| m as usize).sum::<usize>();
        let zeros = part.weights.iter().zip(&mask).filter(|&(&w, &m)| m == 1 || w == 0.0).count();
        let total: f64 = part.scores.iter().map(|&s| f64::from(s)).sum();
        let lost: f64 = part.scores.iter().zip(&mask).filter(|&(_, &m)| m == 1).map(|(&s, _)| f64::from(s)).sum();
        let flips =
            self.masks.get(&part.key).map(|old| old.iter().zip(&mask).filter(|(a, b)| a != b).count() as f64 / n);
        let state = MatrixState {
            ratio: part.ratio,
            sparsity: zeros as f64 / n,
            importance: (total / n) as f32,
            quantiles: quantiles(&part.scores),
            retained: if total > 0.0 { 1.0 - lost / total } else { 1.0 - pruned as f64 / n },
            flips,
            pruned,
        };
        Done { key: part.key, state, mask, sensitivity: part.sensitivity }
    }

    /// The mask of a matrix in the layout of the merged set (1 = pruned), if it was pruned before.
    pub fn mask(&self, key: Key) -> Option<&[u8]> {
        self.masks.get(&key).map(Vec::as_slice)
    }

    /// The masks of a module's whole tensor, adapters one after another; `None` before the first pruning.
    pub fn whole_mask(&self, id: ModuleId, module: &MergedModule, factor: Factor) -> Option<Vec<u8>> {
        let mut whole = Vec::new();
        for segment in &module.segments {
            whole.extend_from_slice(self.mask((id, segment.adapter, factor))?);
        }
        Some(whole)
    }

    /// Everything that has to survive a restart, by name.
    ///
    /// # Errors
    /// When memory is short.
    pub fn state(&self) -> Result<Vec<(String, Tensor)>> {
        let device = &candle_core::Device::Cpu;
        let mut state = Vec::new();
        for (key, mask) in &self.masks {
            state.push((format!("mask.{}", key_name(*key)), Tensor::from_slice(mask, mask.len(), device)?));
        }
        for (key, values) in &self.sensitivity {
            state.push((format!("sensitivity.{}", key_name(*key)), Tensor::from_slice(values, values.len(), device)?));
        }
        for (id, (x, z)) in &self.running {
            state.push((format!("running.{id}.x"), Tensor::from_slice(x, x.len(), device)?));
            state.push((format!("running.{id}.z"), Tensor::from_slice(z, z.len(), device)?));
        }
        Ok(state)
    }

    /// Takes back what [`Self::state`] gave, for the matrices of `set`.
    ///
    /// # Errors
    /// When a tensor has another type than it was written with.
    pub fn restore(&mut self, set: &MergedSet, state: &HashMap<String, Tensor>) -> Result<()> {
        for (id, module) in &set.modules {
            for segment in &module.segments {
                for factor in [Factor::A, Factor::B] {
                    let key = (*id, segment.adapter, factor);
                    if let Some(mask) = state.get(&format!("mask.{}", key_name(key))) {
                        self.masks.insert(key, mask.to_vec1()?);
                    }
                    if let Some(values) = state.get(&format!("sensitivity.{}", key_name(key))) {
                        self.sensitivity.insert(key, values.to_vec1()?);
                    }
                }
            }
            if let (Some(x), Some(z)) = (state.get(&format!("running.{id}.x")), state.get(&format!("running.{id}.z"))) {
                self.running.insert(*id, (x.to_vec1()?, z.to_vec1()?));
            }
        }
        Ok(())
    }
}

fn key_name((id, adapter, factor): Key) -> String {
    format!("{id}.{adapter}.{factor}")
}

fn host(x: &Tensor) -> Result<Vec<f32>> {
    Ok(x.flatten_all()?.to_dtype(DType::F32)?.to_vec1()?)
}

/// 0.1, 0.5 and 0.9 quantile of at most 4,096 evenly spaced values.
fn quantiles(values: &[f32]) -> [f32; 3] {
    let stride = values.len().div_ceil(4096).max(1);
    let mut some: Vec<f32> = values.iter().copied().step_by(stride).collect();
    some.sort_unstable_by(f32::total_cmp);
    [0.1, 0.5, 0.9].map(|q| some.get(((some.len() as f64 - 1.0) * q).round() as usize).copied().unwrap_or(0.0))
}

struct Zero(Vec<u8>);

impl InplaceOp1 for Zero {
    fn name(&self) -> &'static str {
        "zero-pruned"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> candle_core::Result<()> {
        let weights = crate::model::kernels::slice_mut(storage, layout)?;
        for (w, &pruned) in weights.iter_mut().zip(&self.0) {
            *w = if pruned == 1 { 0.0 } else { *w };
        }
        Ok(())
    }
}

/// Zeroes the entries of `weights` whose mask is 1, in place.
pub(crate) fn zero(weights: &Tensor, mask: Vec<u8>) -> Result<()> {
    if weights.device().is_cpu() {
        weights.inplace_op1(&Zero(mask))?;
        return Ok(());
    }
    let mask = Tensor::from_vec(mask, weights.shape(), weights.device())?;
    let pruned = mask.where_cond(&weights.zeros_like()?, weights)?;
    weights.slice_set(&pruned, 0, 0)?;
    Ok(())
}
