//! Pruning after every update: importance, threshold, mask, zero in place (method.md, steps 3 to 6).

pub mod importance;
pub mod mask;
#[cfg(feature = "cuda")]
mod on_card;
pub mod scratch;
mod select;
mod shadow;
mod state;
pub(crate) mod storage;

use crate::lora::{Gradients, MergedModule, MergedSet, SquareSums};
use crate::model::kernels::{self, vectorised};
use crate::module::{Factor, ModuleId};
use crate::recipe::ratios::Ratios;
use crate::recipe::{self, Group, Importance, RatioSchedule};
use crate::{Error, Result};
use candle_core::{Device, Tensor};
use importance::{Norms, Scorer};
use rayon::prelude::*;
use shadow::Stand;
use std::collections::BTreeMap;
use storage::Numbers;

/// A matrix in the merge: module, adapter, factor.
pub type Key = (ModuleId, usize, Factor);

/// A number for every input feature and for every concatenated rank of each module.
type PerInput = BTreeMap<ModuleId, (Vec<f32>, Vec<f32>)>;

/// What became of one matrix.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MatrixState {
    /// Ratio asked at this step, after the schedule, 0 to 1.
    pub ratio: f64,
    /// Ratio that the schedule leads to, 0 to 1.
    pub full: f64,
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
    /// What the last pruning left; of it masks, shadow and norms may lie on a card.
    now: Stand,
    #[cfg(feature = "cuda")]
    card: Option<on_card::OnCard>,
    /// The same of the best set on dev, for those who ask later.
    best: Option<Box<Stand>>,
    /// Exponential mean of squares per module, for `norms = "running"`; it may lie on a card.
    running: PerInput,
}

/// What one module's pruning needs, in this machine's memory: on the CPU the matrices themselves, otherwise copies.
struct Work {
    id: ModuleId,
    module: MergedModule,
    norms: Norms,
    gradients: Option<(Tensor, Tensor)>,
}

/// What it gives for one matrix.
struct Done {
    key: Key,
    state: MatrixState,
    mask: Vec<u8>,
    scores: Vec<f32>,
    /// Entries that were kept before, with their values.
    gone: Vec<(u32, f32)>,
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
            now: Stand::default(),
            #[cfg(feature = "cuda")]
            card: None,
            best: None,
            running: PerInput::new(),
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
        self.settings.importance.wants_norms() && self.settings.norms == recipe::Norms::Train
    }

    /// Whether norms have to be taken over the tokens of every step.
    pub fn wants_step_norms(&self) -> bool {
        self.settings.importance.wants_norms() && !self.wants_train_norms()
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
    /// A matrix in which nothing can be ranked yet (B of a new adapter, which is entirely zero, and under
    /// `product` and `sensitivity` its A) is left alone until something can be, or until it is pruned whole.
    ///
    /// # Errors
    /// When an importance is not a number, or norms or gradients are missing that the measure needs.
    pub fn prune(
        &mut self,
        set: &MergedSet,
        squares: &SquareSums,
        gradients: Option<&Gradients>,
        progress: f64,
        step: usize,
    ) -> Result<Vec<(Key, MatrixState)>> {
        let share = self.scheduled(progress.clamp(0.0, 1.0));
        #[cfg(feature = "cuda")]
        {
            if self.fits_card(set) {
                return self.prune_on_card(set, squares, share, step);
            }
            self.leave_card()?;
        }
        let wants_gradients = self.settings.importance.wants_gradients();
        let mut works = Vec::with_capacity(set.modules.len());
        for (id, module) in &set.modules {
            let norms = self.norms(*id, module, squares)?;
            // A card is only ever spoken to from this thread (see `attention`).
            let here = |x: &Tensor| x.to_device(&Device::Cpu);
            let gradients = match gradients.filter(|_| wants_gradients).and_then(|g| g.modules.get(id)) {
                Some((a, b)) => Some((here(a)?, here(b)?)),
                None => None,
            };
            let (a, b) = (here(&module.a)?, here(&module.b)?);
            let module = MergedModule { a, b, segments: module.segments.clone() };
            works.push(Work { id: *id, module, norms, gradients });
        }
        let this = &*self;
        let lent = set.modules.values().all(|m| kernels::in_memory(&m.a));
        let one = |work: &Work| {
            let done = this.masked(work, share, step)?;
            if lent {
                zero(work.id, &work.module, &done)?;
            }
            Ok(done)
        };
        let done: Vec<Vec<Done>> = works.par_iter().map(one).collect::<Result<_>>()?;
        if !lent {
            for ((id, module), done) in set.modules.iter().zip(&done) {
                zero(*id, module, done)?;
            }
        }
        let mut states = Vec::new();
        for done in done.into_iter().flatten() {
            states.push((done.key, done.state));
            self.now.keep(done.key, &done.gone, done.mask.len());
            self.now.masks.insert(done.key, done.mask);
            if self.settings.importance == Importance::Sensitivity {
                self.now.sensitivity.insert(done.key, done.scores);
            }
        }
        self.now.norms = works.into_iter().map(|work| (work.id, work.norms)).collect();
        (self.now.share, self.now.step, self.now.rules) = (share, step, self.settings.rules.len());
        Ok(states)
    }

    /// `‖X_j‖₂` for A (per input feature) and `‖Z_j‖₂` for B (per concatenated rank), if the measure asks.
    fn norms(&mut self, id: ModuleId, module: &MergedModule, squares: &SquareSums) -> Result<Norms> {
        if !self.settings.importance.wants_norms() {
            return Ok(Norms::default());
        }
        let (x, z) = squares.of(id, module)?;
        let (mut x, mut z) = (x.to_vec1::<f32>()?, z.to_vec1::<f32>()?);
        if self.settings.norms == recipe::Norms::Running {
            let (mean_x, mean_z) = self.running.entry(id).or_insert_with(|| (x.clone(), z.clone()));
            for (mean, now) in [(mean_x, &mut x), (mean_z, &mut z)] {
                for (mean, now) in mean.iter_mut().zip(now) {
                    *mean = 0.9 * *mean + 0.1 * *now;
                    *now = *mean;
                }
            }
        }
        x.iter_mut().chain(&mut z).for_each(|square| *square = square.sqrt());
        Ok(Norms { x, z })
    }

    /// Scores and masks, in the order adapter, A, B. The matrices are read where they lie.
    fn masked(&self, work: &Work, share: f64, step: usize) -> Result<Vec<Done>> {
        let Work { id, module, norms, gradients } = work;
        let (a, b) = (Numbers::of(&module.a)?, Numbers::of(&module.b)?);
        let (a, b) = (a.slice()?, b.slice()?);
        let gradients = match gradients {
            Some((a, b)) => Some((Numbers::of(a)?, Numbers::of(b)?)),
            None => None,
        };
        let gradients = match &gradients {
            Some((a, b)) => Some((a.slice()?, b.slice()?)),
            None => None,
        };
        let (d_in, d_out) = (module.a.dim(1)?, module.b.dim(1)?);
        let measure = self.settings.importance;
        let mut parts = Vec::new();
        for segment in &module.segments {
            let rows = segment.rows();
            let (of_a, of_b) = (rows.start * d_in..rows.end * d_in, rows.start * d_out..rows.end * d_out);
            let scorer = Scorer {
                kind: measure,
                a: &a[of_a.clone()],
                b: &b[of_b.clone()],
                rank: segment.rank,
                x: &norms.x,
                z: norms.z.get(rows).unwrap_or_default(),
            };
            let keys = [Factor::A, Factor::B].map(|factor| (*id, segment.adapter, factor));
            let scores = scorer.scores(
                gradients.map(|(a, b)| [&a[of_a], &b[of_b]]),
                keys.map(|key| self.now.sensitivity.get(&key).map(Vec::as_slice)),
                |factor| importance::stream(self.seed, step, (*id, segment.adapter, factor)),
            )?;
            let name = self.names.get(segment.adapter).map_or("", String::as_str);
            for ((key, scores), (weights, width)) in
                keys.into_iter().zip(scores).zip([(scorer.a, d_in), (scorer.b, d_out)])
            {
                // Their largest tells whether one is none; where it is, only then.
                let most = scores.iter().fold(0, |most: u32, score| most.max(score.to_bits() & !(1 << 31)));
                let bad =
                    if f32::from_bits(most).is_finite() { None } else { scores.iter().position(|s| !s.is_finite()) };
                if let Some(bad) = bad {
                    return Err(Error::user(format!(
                        "the importance of entry {bad} of {id} {} is {}: the training has diverged; lower the learning rate",
                        key.2, scores[bad]
                    )));
                }
                let old = self.now.masks.get(&key).map(Vec::as_slice);
                let full = self.ratios.of(*id, name, key.2);
                let ratio = full * share;
                let silent = |numbers: &[f32]| numbers.iter().all(|&n| n == 0.0);
                // What was pruned to nothing before is not new: it stays under its mask.
                let idle = ratio < 1.0
                    && (silent(weights) || measure.looks_through() && silent(&scores))
                    && !old.is_some_and(|mask| mask.contains(&1));
                let held = old.filter(|_| self.settings.hold);
                let rank = segment.rank;
                parts.push(mask::Part { key, rank, width, ratio, full, idle, held, pruned: None, scores, weights });
            }
        }
        let masks = self.choose(&parts);
        Ok(parts.into_iter().zip(masks).map(|(part, mask)| self.done(part, mask)).collect())
    }

    /// The masks of one module's matrices.
    fn choose(&self, parts: &[mask::Part<'_>]) -> Vec<Vec<u8>> {
        match self.settings.group {
            Group::Matrix => parts.iter().map(mask::by_matrix).collect(),
            Group::Row => parts.iter().map(mask::by_row).collect(),
            Group::Module => mask::by_module(parts),
        }
    }

    fn done(&self, part: mask::Part<'_>, mask: Vec<u8>) -> Done {
        let state = self.outcome(&part, &mask);
        let old = self.now.masks.get(&part.key);
        let gone = match old {
            None => newly(&vec![0; mask.len()], &mask, part.weights),
            Some(old) => newly(old, &mask, part.weights),
        };
        Done { key: part.key, state, mask, scores: part.scores, gone }
    }

    /// What becomes of a matrix under a mask.
    fn outcome(&self, part: &mask::Part<'_>, mask: &[u8]) -> MatrixState {
        let n = mask.len() as f64;
        let old = self.now.masks.get(&part.key);
        let flips = old.map(|old| flipped::<false>(old, mask) as f64 / n);
        Sums::of(mask, part.weights, &part.scores).state(n, (part.ratio, part.full), quantiles(&part.scores), flips)
    }

    /// What the last pruning left, in this machine's memory.
    #[cfg_attr(not(feature = "cuda"), allow(clippy::unnecessary_wraps))]
    fn stand(&self) -> Result<&Stand> {
        #[cfg(feature = "cuda")]
        if let Some(card) = &self.card {
            return card.home(&self.now);
        }
        Ok(&self.now)
    }

    /// Brings what is known to the card that `set` lies on, if it does: what is asked about it is answered there.
    ///
    /// # Errors
    /// When it is of another set, or the card's memory is short.
    #[cfg_attr(not(feature = "cuda"), allow(clippy::unnecessary_wraps, clippy::unused_self, unused_variables))]
    pub fn lie_with(&mut self, set: &MergedSet) -> Result<()> {
        #[cfg(feature = "cuda")]
        self.settle(set)?;
        Ok(())
    }

    /// Puts `stand` in the place of what was left, wherever that lies.
    #[cfg_attr(not(feature = "cuda"), allow(clippy::unnecessary_wraps))]
    fn set_stand(&mut self, stand: Stand) -> Result<()> {
        #[cfg(feature = "cuda")]
        if let Some(card) = self.card.take()
            && let Some(running) = card.running()?
        {
            self.running = running;
        }
        self.now = stand;
        Ok(())
    }

    /// Whether there are masks.
    fn pruned_before(&self) -> bool {
        #[cfg(feature = "cuda")]
        if self.card.is_some() {
            return true;
        }
        !self.now.masks.is_empty()
    }

    /// The mask of a matrix in the layout of the merged set (1 = pruned), if it was pruned before.
    ///
    /// # Errors
    /// When a card on which it lies fails.
    pub fn mask(&self, key: Key) -> Result<Option<&[u8]>> {
        Ok(self.stand()?.masks.get(&key).map(Vec::as_slice))
    }

    /// The masks of a module's whole tensor, adapters one after another; `None` before the first pruning.
    ///
    /// # Errors
    /// When a card on which they lie fails.
    pub fn whole_mask(&self, id: ModuleId, module: &MergedModule, factor: Factor) -> Result<Option<Vec<u8>>> {
        let mut whole = Vec::new();
        for segment in &module.segments {
            let Some(mask) = self.mask((id, segment.adapter, factor))? else { return Ok(None) };
            whole.extend_from_slice(mask);
        }
        Ok(Some(whole))
    }
}

/// Entries whose mask changes from `old` to `new`; with `BACK` only those that come back, pruned in `old` alone.
fn flipped<const BACK: bool>(old: &[u8], new: &[u8]) -> usize {
    const BLOCK: usize = 1 << 10;
    let mut count = 0;
    vectorised!({
        for (old, new) in old.chunks(BLOCK).zip(new.chunks(BLOCK)) {
            let mut flips = 0u32;
            for (old, new) in old.iter().zip(new) {
                flips += u32::from(if BACK { old > new } else { old != new });
            }
            count += flips as usize;
        }
    });
    count
}

/// Zeroes what the masks of a module say.
fn zero(id: ModuleId, module: &MergedModule, done: &[Done]) -> Result<()> {
    for factor in [Factor::A, Factor::B] {
        let masks: Vec<&[u8]> = done.iter().filter(|d| d.key.2 == factor).map(|d| &d.mask[..]).collect();
        storage::zero(module.tensor(factor), &masks).map_err(|e| e.at(format!("{id} {factor}")))?;
    }
    Ok(())
}

/// Entries that are pruned by `mask` and were not by `old`, with their values.
fn newly(old: &[u8], mask: &[u8], weights: &[f32]) -> Vec<(u32, f32)> {
    const CHUNK: usize = 64;
    let mut gone = Vec::new();
    // Mostly nothing changes.
    for (at, (old, mask)) in
        old.chunks(CHUNK).zip(mask.chunks(CHUNK)).enumerate().filter(|(_, (old, mask))| old != mask)
    {
        let new = (0..mask.len()).filter(|i| mask[*i] == 1 && old[*i] == 0).map(|i| at * CHUNK + i);
        gone.extend(new.map(|at| (at as u32, weights[at])));
    }
    gone
}

/// Sums over a matrix, in lanes: one after another would wait for each addition.
#[derive(Debug, Default)]
struct Sums {
    /// Of importance.
    total: f64,
    /// Of importance that the mask prunes.
    lost: f64,
    pruned: usize,
    /// Entries that are pruned or zero by themselves.
    zeros: usize,
}

impl Sums {
    /// What became of a matrix of `n` entries of which a ratio was asked, now and at the schedule's end.
    fn state(&self, n: f64, (ratio, full): (f64, f64), quantiles: [f32; 3], flips: Option<f64>) -> MatrixState {
        let Self { total, lost, pruned, zeros } = *self;
        MatrixState {
            ratio,
            full,
            sparsity: zeros as f64 / n,
            importance: (total / n) as f32,
            quantiles,
            retained: if total > 0.0 { 1.0 - lost / total } else { 1.0 - pruned as f64 / n },
            flips,
            pruned,
        }
    }

    fn of(mask: &[u8], weights: &[f32], scores: &[f32]) -> Self {
        const LANES: usize = 8;
        const BLOCK: usize = 1 << 10;
        let mut sums = Self::default();
        vectorised!({
            for ((mask, weights), scores) in mask.chunks(BLOCK).zip(weights.chunks(BLOCK)).zip(scores.chunks(BLOCK)) {
                let (mut total, mut lost) = ([0f64; LANES], [0f64; LANES]);
                let ((masks, mask_rest), (many, rest)) = (mask.as_chunks::<LANES>(), scores.as_chunks::<LANES>());
                for (mask, scores) in masks.iter().zip(many) {
                    for i in 0..LANES {
                        total[i] += f64::from(scores[i]);
                        lost[i] += f64::from(scores[i]) * f64::from(mask[i]);
                    }
                }
                for (m, score) in mask_rest.iter().zip(rest) {
                    total[0] += f64::from(*score);
                    lost[0] += f64::from(*score) * f64::from(*m);
                }
                sums.total += total.iter().sum::<f64>();
                sums.lost += lost.iter().sum::<f64>();
                let (mut pruned, mut zeros) = (0u32, 0u32);
                for (m, w) in mask.iter().zip(weights) {
                    pruned += u32::from(*m);
                    zeros += u32::from(*m) | u32::from(*w == 0.0);
                }
                sums.pruned += pruned as usize;
                sums.zeros += zeros as usize;
            }
        });
        sums
    }
}

/// 0.1, 0.5 and 0.9 quantile of at most 4,096 evenly spaced values.
fn quantiles(values: &[f32]) -> [f32; 3] {
    let stride = values.len().div_ceil(4096).max(1);
    // Importances are not negative: they compare as their bits do.
    let mut some: Vec<u32> = values.iter().step_by(stride).map(|value| value.to_bits()).collect();
    let last = some.len() as f64 - 1.0;
    // From the highest down, each among those below the one before.
    let mut found = [0.0; 3];
    let mut end = some.len();
    for (i, q) in [0.1, 0.5, 0.9].into_iter().enumerate().rev() {
        let at = (last * q).round() as usize;
        if at < end {
            found[i] = f32::from_bits(*some[..end].select_nth_unstable(at).1);
            end = at + 1;
        }
    }
    found
}
