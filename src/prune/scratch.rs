//! Other ratios on a copy: the masks that they would give now, and the set under them. Nothing of the training is
//! touched.
//!
//! Entries that are pruned now go first and the others after them by importance, so that the same ratio gives the
//! same mask, and masks of rising ratios lie in one another. An entry that comes back has its shadow's value.

use super::importance::{self, Norms, Scorer};
use super::storage::Numbers;
use super::{Key, MatrixState, Pruner, flipped, mask};
use crate::lora::merge::Segment;
use crate::lora::{MergedModule, MergedSet, SquareSums};
use crate::model::kernels::vectorised;
use crate::module::{Factor, ModuleId};
use crate::recipe::ratios::{Ratios, Rule};
use crate::recipe::{Group, Importance};
use crate::{Error, Result};
use candle_core::{Device, Tensor};
use rayon::prelude::*;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

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

/// Entries that are looked at together.
const BLOCK: usize = 1 << 10;

/// `pruned` where that is 1, `kept` where it is 0: by bits, as a branch an entry would be guessed wrong half the time.
#[inline]
fn chosen(is_pruned: u8, pruned: f32, kept: f32) -> f32 {
    let mask = 0u32.wrapping_sub(u32::from(is_pruned));
    f32::from_bits((pruned.to_bits() & mask) | (kept.to_bits() & !mask))
}

/// The weights under a mask, behind `values`.
fn under_mask(values: &mut Vec<f32>, weights: &[f32], mask: &[u8]) {
    let mut some = [0.0; BLOCK];
    vectorised!({
        for (weights, mask) in weights.chunks(BLOCK).zip(mask.chunks(BLOCK)) {
            for ((value, weight), pruned) in some.iter_mut().zip(weights).zip(mask) {
                *value = chosen(*pruned, 0.0, *weight);
            }
            values.extend_from_slice(&some[..weights.len()]);
        }
    });
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

/// One adapter at one module as the last pruning left it; A, then B.
struct Stands<'a> {
    adapter: usize,
    rank: usize,
    /// Its rows in the module.
    rows: Range<usize>,
    widths: [usize; 2],
    present: [&'a [f32]; 2],
    /// 1 is pruned.
    masks: [Cow<'a, [u8]>; 2],
    /// Every entry as it would be if it were kept.
    full: [Vec<f32>; 2],
}

impl Pruner {
    /// Whether [`Self::scratch`] has to be given norms: nothing was pruned yet.
    pub fn lacks_norms(&self) -> bool {
        #[cfg(feature = "cuda")]
        if self.card.as_ref().is_some_and(super::on_card::OnCard::has_norms) {
            return false;
        }
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
        if self.pruned_before() { self.now.share } else { self.scheduled(0.0) }
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
        #[cfg(feature = "cuda")]
        if let Some(card) = self.card.as_ref().filter(|_| self.fits_card(set)) {
            return self.tried_on_card(card, set, ratios, squares);
        }
        let mut works = Vec::with_capacity(set.modules.len());
        for (id, module) in &set.modules {
            let (a, b) = (module.a.to_device(&Device::Cpu)?, module.b.to_device(&Device::Cpu)?);
            let module = MergedModule { a, b, segments: module.segments.clone() };
            works.push((*id, module, self.last_norms(*id, squares)?));
        }
        // What lies on a card is fetched by this thread and not by those that share the work.
        self.stand()?;
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
        if let Some(norms) = self.stand()?.norms.get(&id) {
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
        let numbers = [a.slice()?, b.slice()?];
        let widths = [module.a.dim(1)?, module.b.dim(1)?];
        let mut remade = Remade { id, values: [None, None], states: Vec::new(), changed: 0, restored: 0 };
        let (mut values, mut differs) = ([Vec::new(), Vec::new()], [false, false]);
        if ratios.is_some() {
            values = numbers.map(|numbers| Vec::with_capacity(numbers.len()));
        }
        // One adapter after another, while the processor's cache has it, unless all compete.
        let at_once = if self.settings.group == Group::Module { module.segments.len() } else { 1 };
        for segments in module.segments.chunks(at_once.max(1)) {
            let stands =
                segments.iter().map(|s| self.stands(id, s, numbers, widths)).collect::<Result<Vec<Stands>>>()?;
            let mut parts = Vec::new();
            for of in &stands {
                parts.extend(self.parts(id, of, norms, ratios)?);
            }
            // The masks as they stand need no choice.
            let keep = |part: &mask::Part<'_>| part.pruned.unwrap_or_default().to_vec();
            let masks = if ratios.is_some() { self.choose(&parts) } else { parts.iter().map(keep).collect() };
            for (part, mask) in parts.iter().zip(&masks) {
                let side = usize::from(part.key.2 == Factor::B);
                let present = part.pruned.unwrap_or_default();
                if present != mask {
                    differs[side] = true;
                    remade.changed += 1;
                    remade.restored += flipped::<true>(present, mask);
                }
                remade.states.push((part.key, self.outcome(part, mask)));
                if ratios.is_some() {
                    under_mask(&mut values[side], part.weights, mask);
                }
            }
        }
        let [a, b] = values;
        remade.values = [differs[0].then_some(a), differs[1].then_some(b)];
        Ok(remade)
    }

    /// One adapter's matrices as they stand.
    fn stands<'a>(
        &'a self,
        id: ModuleId,
        segment: &Segment,
        numbers: [&'a [f32]; 2],
        widths: [usize; 2],
    ) -> Result<Stands<'a>> {
        let stand = self.stand()?;
        let (rank, rows) = (segment.rank, segment.rows());
        let present = [0, 1].map(|side| &numbers[side][rows.start * widths[side]..rows.end * widths[side]]);
        let of = |side: usize| {
            let key = (id, segment.adapter, [Factor::A, Factor::B][side]);
            let Some(mask) = stand.masks.get(&key) else {
                return (Cow::Owned(vec![0; present[side].len()]), present[side].to_vec());
            };
            let full = match stand.shadow.get(&key) {
                None => present[side].to_vec(),
                Some(shadow) => {
                    let mut full = vec![0.0; shadow.len()];
                    vectorised!({
                        for (((value, now), was), pruned) in full.iter_mut().zip(present[side]).zip(shadow).zip(mask) {
                            *value = chosen(*pruned, *was, *now);
                        }
                    });
                    full
                }
            };
            (Cow::Borrowed(&mask[..]), full)
        };
        let ((mask_a, full_a), (mask_b, full_b)) = (of(0), of(1));
        Ok(Stands {
            adapter: segment.adapter,
            rank,
            rows,
            widths,
            present,
            masks: [mask_a, mask_b],
            full: [full_a, full_b],
        })
    }

    /// Its A and its B, scored.
    fn parts<'a>(
        &self,
        id: ModuleId,
        stands: &'a Stands<'a>,
        norms: &Norms,
        ratios: Option<&Ratios>,
    ) -> Result<[mask::Part<'a>; 2]> {
        let of = |numbers: [&[f32]; 2]| {
            self.present_scores(id, stands.adapter, stands.rank, numbers, norms, stands.rows.clone())
        };
        let mut scores = of([&stands.full[0], &stands.full[1]])?;
        if self.settings.importance == Importance::Product && stands.masks.iter().any(|mask| mask.contains(&1)) {
            // What is kept is ranked by the product as it is, what is not by the product as it was.
            let now = of(stands.present)?;
            for ((scores, now), mask) in scores.iter_mut().zip(now).zip(&stands.masks) {
                let kept = scores.iter_mut().zip(now).zip(mask.iter()).filter(|(_, pruned)| **pruned == 0);
                kept.for_each(|((score, now), _)| *score = now);
            }
        }
        let share = self.present_share();
        let name = self.names.get(stands.adapter).map_or("", String::as_str);
        let silent = |numbers: &[f32]| numbers.iter().all(|&n| n == 0.0);
        let [of_a, of_b] = scores;
        Ok([(0, Factor::A, of_a), (1, Factor::B, of_b)].map(|(side, factor, scores)| {
            let mask: &[u8] = &stands.masks[side];
            let pruned = mask.iter().map(|pruned| u32::from(*pruned)).sum::<u32>();
            let asis = f64::from(pruned) / mask.len().max(1) as f64;
            let wanted = ratios.map(|ratios| ratios.of(id, name, factor));
            let ratio = wanted.map_or(asis, |wanted| wanted * share);
            let new = silent(stands.present[side]) || self.settings.importance.looks_through() && silent(&scores);
            mask::Part {
                key: (id, stands.adapter, factor),
                rank: stands.rank,
                width: stands.widths[side],
                ratio,
                full: wanted.unwrap_or(asis),
                idle: ratio < 1.0 && new && pruned == 0,
                held: Some(mask).filter(|_| self.settings.hold),
                pruned: Some(mask),
                scores,
                weights: &stands.full[side],
            }
        }))
    }

    /// Importance by what the last pruning knew: its norms, its smoothed sensitivities, its random numbers.
    fn present_scores(
        &self,
        id: ModuleId,
        adapter: usize,
        rank: usize,
        [a, b]: [&[f32]; 2],
        norms: &Norms,
        rows: Range<usize>,
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
