//! Other ratios on a copy: the masks that they would give now, and the set under them. Nothing of the training is
//! touched.
//!
//! Entries that are pruned now go first and the others after them by importance, so that the same ratio gives the
//! same mask, and masks of rising ratios lie in one another. An entry that comes back has its shadow's value.

use super::importance::{self, Norms, Scorer};
use super::storage::Numbers;
use super::{Key, MatrixState, Pruner, mask};
use crate::lora::{MergedModule, MergedSet, SquareSums};
use crate::module::{Factor, ModuleId};
use crate::recipe::Importance;
use crate::recipe::ratios::{Ratios, Rule};
use crate::{Error, Result};
use candle_core::{Device, Tensor};
use rayon::prelude::*;
use std::collections::BTreeMap;

/// A set under other masks.
#[derive(Debug, Clone)]
pub struct Scratch {
    /// The set; modules that did not change share their tensors with the original, which must not change meanwhile.
    pub set: MergedSet,
    /// Every matrix, in the order module, adapter, A, B. `flips` is against the present masks.
    pub states: Vec<(Key, MatrixState)>,
    /// Matrices whose mask is another.
    pub changed: usize,
    /// The first layer that has one.
    pub first: Option<usize>,
    /// Entries that come back, each with its shadow's value.
    pub restored: usize,
    /// Entries in all.
    pub entries: usize,
}

impl Scratch {
    /// Share of all entries that is zero.
    pub fn sparsity(&self, sizes: &BTreeMap<Key, usize>) -> f64 {
        weighted(&self.states, sizes, |s| s.sparsity)
    }

    /// Share of importance that the masks leave, the mean over the matrices by size.
    pub fn retained(&self, sizes: &BTreeMap<Key, usize>) -> f64 {
        weighted(&self.states, sizes, |s| s.retained)
    }
}

fn weighted(states: &[(Key, MatrixState)], sizes: &BTreeMap<Key, usize>, value: impl Fn(&MatrixState) -> f64) -> f64 {
    let size = |key: &Key| sizes.get(key).map_or(0.0, |n| *n as f64);
    let all: f64 = states.iter().map(|(key, _)| size(key)).sum();
    states.iter().map(|(key, state)| value(state) * size(key)).sum::<f64>() / all.max(1.0)
}

/// Entries of every matrix of a set.
pub fn sizes(set: &MergedSet) -> BTreeMap<Key, usize> {
    let mut sizes = BTreeMap::new();
    for (id, module) in &set.modules {
        for segment in &module.segments {
            for (factor, tensor) in [(Factor::A, &module.a), (Factor::B, &module.b)] {
                sizes.insert((*id, segment.adapter, factor), segment.rank * tensor.dims()[1]);
            }
        }
    }
    sizes
}

/// What one module becomes.
struct Remade {
    id: ModuleId,
    /// New numbers of A and of B, where a mask changed.
    values: [Option<Vec<f32>>; 2],
    states: Vec<(Key, MatrixState)>,
    changed: usize,
    restored: usize,
}

impl Pruner {
    /// Whether [`Self::scratch`] has to be given norms: nothing was pruned yet.
    pub fn lacks_norms(&self) -> bool {
        self.settings.importance.wants_norms() && self.now.norms.is_empty()
    }

    /// The ratio of a matrix with `rules` behind the pruner's own, as at the last pruning of the schedule.
    ///
    /// # Errors
    /// When a rule is malformed.
    pub fn ratios_with(&self, rules: &[Rule]) -> Result<Ratios> {
        let mut all = self.settings.rules.clone();
        all.extend_from_slice(rules);
        Ratios::new(self.settings.ratio, &all)
    }

    /// The present share of the full ratios; the whole where nothing was pruned yet under a constant schedule.
    pub fn present_share(&self) -> f64 {
        if self.now.masks.is_empty() { self.scheduled(0.0) } else { self.now.share }
    }

    /// `set`, which is as the last pruning left it, under the masks that `rules` behind the pruner's own would give
    /// now: by the norms of the last pruning, or of `squares` where there was none.
    ///
    /// # Errors
    /// When a rule is malformed, or norms or gradients are missing that the measure needs.
    pub fn scratch(&self, set: &MergedSet, rules: &[Rule], squares: Option<&SquareSums>) -> Result<Scratch> {
        self.under(set, Some(&self.ratios_with(rules)?), squares)
    }

    fn under(&self, set: &MergedSet, ratios: Option<&Ratios>, squares: Option<&SquareSums>) -> Result<Scratch> {
        let mut works = Vec::with_capacity(set.modules.len());
        for (id, module) in &set.modules {
            let (a, b) = (module.a.to_device(&Device::Cpu)?, module.b.to_device(&Device::Cpu)?);
            let module = MergedModule { a, b, segments: module.segments.clone() };
            works.push((*id, module, self.last_norms(*id, squares)?));
        }
        let remade: Vec<Remade> = works
            .par_iter()
            .map(|(id, module, norms)| self.remade(*id, module, norms, ratios))
            .collect::<Result<_>>()?;
        let mut scratch = Scratch {
            set: set.clone(),
            states: Vec::new(),
            changed: 0,
            first: None,
            restored: 0,
            entries: set.parameters(),
        };
        for remade in remade {
            if let Some(module) = scratch.set.modules.get_mut(&remade.id) {
                let [a, b] = remade.values;
                for (values, tensor) in [(a, &mut module.a), (b, &mut module.b)] {
                    if let Some(values) = values {
                        *tensor = Tensor::from_vec(values, tensor.shape(), tensor.device())?;
                    }
                }
            }
            scratch.changed += remade.changed;
            scratch.first = scratch.first.or((remade.changed > 0).then_some(remade.id.layer));
            scratch.restored += remade.restored;
            scratch.states.extend(remade.states);
        }
        Ok(scratch)
    }

    /// The same set under the masks that it has: what they are, whatever rules came since.
    ///
    /// # Errors
    /// When norms or gradients are missing that the measure needs.
    pub fn present(&self, set: &MergedSet, squares: Option<&SquareSums>) -> Result<Scratch> {
        self.under(set, None, squares)
    }

    fn last_norms(&self, id: ModuleId, squares: Option<&SquareSums>) -> Result<Norms> {
        if !self.settings.importance.wants_norms() {
            return Ok(Norms::default());
        }
        if let Some(norms) = self.now.norms.get(&id) {
            return Ok(norms.clone());
        }
        let found = squares.and_then(|squares| squares.modules.get(&id));
        let (x, z) = found.ok_or_else(|| Error::fault(format!("{id} has no norms of its inputs to be pruned by")))?;
        let root = |x: &Tensor| -> Result<Vec<f32>> { Ok(x.to_vec1::<f32>()?.into_iter().map(f32::sqrt).collect()) };
        Ok(Norms { x: root(x)?, z: root(z)? })
    }

    /// One module under other masks.
    fn remade(&self, id: ModuleId, module: &MergedModule, norms: &Norms, ratios: Option<&Ratios>) -> Result<Remade> {
        let (a, b) = (Numbers::of(&module.a)?, Numbers::of(&module.b)?);
        let present = [a.slice()?, b.slice()?];
        let widths = [module.a.dim(1)?, module.b.dim(1)?];
        let share = self.present_share();
        // Every entry as it would be if it were kept.
        let mut full: [Vec<f32>; 2] = [present[0].to_vec(), present[1].to_vec()];
        let mut old: [Vec<u8>; 2] = [vec![0; full[0].len()], vec![0; full[1].len()]];
        for segment in &module.segments {
            for (side, factor) in [Factor::A, Factor::B].into_iter().enumerate() {
                let key = (id, segment.adapter, factor);
                let Some(mask) = self.now.masks.get(&key) else { continue };
                let from = segment.start * widths[side];
                old[side][from..from + mask.len()].copy_from_slice(mask);
                let Some(shadow) = self.now.shadow.get(&key) else { continue };
                for (at, value) in shadow.iter().enumerate().filter(|(at, _)| mask[*at] == 1) {
                    full[side][from + at] = *value;
                }
            }
        }
        let mut parts = Vec::new();
        for segment in &module.segments {
            let ranges = widths.map(|width| segment.start * width..segment.rows().end * width);
            let of = |numbers: [&'_ [f32]; 2]| {
                self.present_scores(id, segment.adapter, segment.rank, numbers, norms, segment.rows())
            };
            let [whole_a, whole_b] = of([&full[0][ranges[0].clone()], &full[1][ranges[1].clone()]])?;
            let mut scores = [whole_a, whole_b];
            if self.settings.importance == Importance::Product && old.iter().any(|mask| mask.contains(&1)) {
                // What is kept is ranked by the product as it is, what is not by the product as it was.
                let now = of([&present[0][ranges[0].clone()], &present[1][ranges[1].clone()]])?;
                for (side, now) in now.into_iter().enumerate() {
                    let mask = &old[side][ranges[side].clone()];
                    let kept = scores[side].iter_mut().zip(now).zip(mask).filter(|(_, pruned)| **pruned == 0);
                    kept.for_each(|((score, now), _)| *score = now);
                }
            }
            let name = self.names.get(segment.adapter).map_or("", String::as_str);
            for (side, (factor, scores)) in [Factor::A, Factor::B].into_iter().zip(scores).enumerate() {
                let range = ranges[side].clone();
                let (key, mask) = ((id, segment.adapter, factor), &old[side][range.clone()]);
                let pruned: usize = mask.iter().map(|pruned| usize::from(*pruned)).sum();
                let stands = pruned as f64 / mask.len().max(1) as f64;
                let wanted = ratios.map(|ratios| ratios.of(id, name, factor));
                let ratio = wanted.map_or(stands, |wanted| wanted * share);
                let silent = |numbers: &[f32]| numbers.iter().all(|&n| n == 0.0);
                let new = silent(&present[side][range.clone()])
                    || self.settings.importance.looks_through() && silent(&scores);
                let idle = ratio < 1.0 && new && !mask.contains(&1);
                let held = Some(mask).filter(|_| self.settings.hold);
                parts.push(mask::Part {
                    key,
                    rank: segment.rank,
                    width: widths[side],
                    ratio,
                    full: wanted.unwrap_or(stands),
                    idle,
                    held,
                    pruned: Some(mask),
                    scores,
                    weights: &full[side][range],
                });
            }
        }
        // The masks as they stand need no choice.
        let keep = |part: &mask::Part<'_>| part.pruned.unwrap_or_default().to_vec();
        let masks = if ratios.is_some() { self.choose(&parts) } else { parts.iter().map(keep).collect() };
        let (mut states, mut changed, mut differs) = (Vec::new(), 0, [false, false]);
        let mut restored = 0;
        let mut new = old.clone();
        for (part, mask) in parts.into_iter().zip(masks) {
            let side = usize::from(part.key.2 == Factor::B);
            let segment = module.segments.iter().find(|s| s.adapter == part.key.1);
            let from = segment.map_or(0, |s| s.start) * part.width;
            if old[side][from..from + mask.len()] != mask {
                differs[side] = true;
                changed += 1;
                let present = &old[side][from..from + mask.len()];
                restored += present.iter().zip(&mask).filter(|(old, new)| **old > **new).count();
                new[side][from..from + mask.len()].copy_from_slice(&mask);
            }
            states.push((part.key, self.done(part, mask).state));
        }
        let mut values = full;
        for (values, mask) in values.iter_mut().zip(&new) {
            values.iter_mut().zip(mask).filter(|(_, pruned)| **pruned == 1).for_each(|(value, _)| *value = 0.0);
        }
        let [a, b] = values;
        let values = [differs[0].then_some(a), differs[1].then_some(b)];
        Ok(Remade { id, values, states, changed, restored })
    }

    /// Importance by what the last pruning knew: its norms, its smoothed sensitivities, its random numbers.
    fn present_scores(
        &self,
        id: ModuleId,
        adapter: usize,
        rank: usize,
        [a, b]: [&[f32]; 2],
        norms: &Norms,
        rows: std::ops::Range<usize>,
    ) -> Result<[Vec<f32>; 2]> {
        let keys = [Factor::A, Factor::B].map(|factor| (id, adapter, factor));
        if self.settings.importance == Importance::Sensitivity {
            let known = keys.map(|key| self.now.sensitivity.get(&key).cloned());
            let [Some(a), Some(b)] = known else {
                return Err(Error::user("importance = \"sensitivity\" knows nothing before the first step: ask later"));
            };
            return Ok([a, b]);
        }
        let z = norms.z.get(rows).unwrap_or_default();
        let scorer = Scorer { kind: self.settings.importance, a, b, rank, x: &norms.x, z };
        let stream = |factor| importance::stream(self.seed, self.now.step, (id, adapter, factor));
        scorer.scores(None, [None, None], stream)
    }
}
