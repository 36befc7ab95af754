//! Pruning where the matrices lie, on a card: masks, shadow and norms stay there until someone asks for them.

mod kept;

pub(super) use kept::OnCard;

use super::scratch::Scratch;
use super::{Key, MatrixState, PerInput, Pruner, Sums, mask};
use crate::card::{self, Entries, Forgotten, Matrix, Outcome};
use crate::lora::{MergedSet, SquareSums};
use crate::model::kernels;
use crate::module::{Factor, ModuleId};
use crate::recipe::ratios::Ratios;
use crate::recipe::{self, Group, Importance};
use crate::{Error, Result};
use candle_core::{DType, Device, Tensor};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

/// What was asked of a matrix.
struct Asked {
    key: Key,
    n: usize,
    ratio: f64,
    full: f64,
}

/// Tensors that are written with what a tried mask leaves.
type Tried = BTreeMap<(ModuleId, Factor), Tensor>;

/// The sums of squares of all modules of `set`, in the order in which their norms lie.
fn sums(set: &MergedSet, squares: Option<&SquareSums>) -> Result<Vec<Tensor>> {
    let squares = squares.ok_or_else(|| Error::fault("there are no norms of inputs to be pruned by"))?;
    let mut all = Vec::with_capacity(2 * set.modules.len());
    for (id, module) in &set.modules {
        let (x, z) = squares.of(*id, module)?;
        for sums in [x, z] {
            all.push(sums.to_dtype(DType::F32)?.to_device(module.a.device())?.contiguous()?);
        }
    }
    Ok(all)
}

impl Pruner {
    /// Whether this pruner's settings and the set are what the card's kernels do.
    pub(super) fn fits_card(&self, set: &MergedSet) -> bool {
        self.settings.group == Group::Matrix
            && matches!(self.settings.importance, Importance::Direct | Importance::Magnitude)
            && !set.modules.is_empty()
            && set.modules.values().all(|m| [&m.a, &m.b].into_iter().all(kernels::trained_on_card))
    }

    /// Takes what lies on the card, if anything does, and leaves it.
    pub(super) fn leave_card(&mut self) -> Result<()> {
        if let Some(card) = self.card.take() {
            if let Some(running) = card.running()? {
                self.running = running;
            }
            self.now = card.home(&self.now)?.clone();
        }
        Ok(())
    }

    /// Brings what is known to the card of `set`.
    fn enter_card(&mut self, set: &MergedSet) -> Result<OnCard> {
        if let Some(mut card) = self.card.take() {
            card.home = OnceLock::new();
            return Ok(card);
        }
        let (mut places, mut starts) = (BTreeMap::new(), BTreeMap::new());
        let (mut end, mut norms) = (0, 0);
        for (id, module) in &set.modules {
            for segment in &module.segments {
                for factor in [Factor::A, Factor::B] {
                    let n = segment.rank * module.tensor(factor).dim(1)?;
                    places.insert((*id, segment.adapter, factor), end..end + n);
                    end += n;
                }
            }
            if self.settings.importance.wants_norms() {
                let x = norms..norms + module.a.dim(1)?;
                norms = x.end + module.rank();
                starts.insert(*id, [x.clone(), x.end..norms]);
            }
        }
        let device = set.modules.values().next().map_or(&Device::Cpu, |module| module.a.device());
        let Device::Cuda(cuda) = device else {
            return Err(Error::fault("a set to be pruned on a card that is not there"));
        };
        let mut pruned = BTreeMap::new();
        let entries = if self.now.masks.is_empty() {
            Entries::new(cuda, end)?
        } else {
            let (mut masks, mut shadow) = (vec![0u8; end], vec![0f32; end]);
            for (key, place) in &places {
                if let Some(mask) = self.now.masks.get(key) {
                    masks[place.clone()].copy_from_slice(mask);
                    pruned.insert(*key, mask.iter().map(|m| usize::from(*m)).sum());
                }
                if let Some(known) = self.now.shadow.get(key) {
                    shadow[place.clone()].copy_from_slice(known);
                }
            }
            Entries::with(cuda, &masks, &shadow)?
        };
        let mut card = OnCard { entries, places, pruned, starts, norms: None, running: None, home: OnceLock::new() };
        let Self { now, running, .. } = &*self;
        let norms = card.laid_out(device, |id| now.norms.get(&id).map(|norms| (&norms.x[..], &norms.z[..])))?;
        let means = card.laid_out(device, |id| running.get(&id).map(|(x, z)| (&x[..], &z[..])))?;
        (card.norms, card.running) = (norms, means);
        Ok(card)
    }

    /// Keeps `card`, and no longer what lies there.
    fn keep_on_card(&mut self, card: OnCard) {
        (self.now.masks, self.now.shadow) = Default::default();
        if card.norms.is_some() {
            self.now.norms = BTreeMap::new();
        }
        if card.running.is_some() {
            self.running = PerInput::new();
        }
        self.card = Some(card);
    }

    /// Brings masks, shadow and norms to where `set` lies, if that is a card and something was pruned.
    ///
    /// # Errors
    /// When they are of another set, or the card's memory is short.
    pub(super) fn settle(&mut self, set: &MergedSet) -> Result<()> {
        if self.fits_card(set) && !self.now.masks.is_empty() {
            let card = self.enter_card(set)?;
            self.keep_on_card(card);
        }
        Ok(())
    }

    /// Every matrix of `set` as the card's kernels take it, under `ratios` times `share`, or without any under the masks that
    /// there are.
    fn matrices<'a>(
        &self,
        card: &OnCard,
        set: &'a MergedSet,
        (ratios, share): (Option<&Ratios>, f64),
    ) -> Result<(Vec<Asked>, Vec<Matrix<'a>>)> {
        let (mut asked, mut matrices) = (Vec::with_capacity(card.places.len()), Vec::with_capacity(card.places.len()));
        for (id, module) in &set.modules {
            let starts = card.starts.get(id).map(|[columns, rows]| (columns.start, rows.start));
            for segment in &module.segments {
                let name = self.names.get(segment.adapter).map_or("", String::as_str);
                for factor in [Factor::A, Factor::B] {
                    let key = (*id, segment.adapter, factor);
                    let (tensor, transposed) = (module.tensor(factor), factor == Factor::B);
                    let width = tensor.dim(1)?;
                    let n = segment.rank * width;
                    let entry = card.entry(key, n)?;
                    let pruned = card.pruned.get(&key).copied().unwrap_or_default();
                    let asis = pruned as f64 / n.max(1) as f64;
                    let full = ratios.map(|ratios| ratios.of(*id, name, factor));
                    let ratio = full.map_or(asis, |full| full * share);
                    matrices.push(Matrix {
                        tensor,
                        first: segment.start * width,
                        entry,
                        rank: segment.rank,
                        width,
                        norms: starts.map(|(columns, rows)| if transposed { rows + segment.start } else { columns }),
                        transposed,
                        k: mask::count(ratio, n),
                        hold: self.settings.hold,
                        idle_if_silent: ratio < 1.0,
                        scratch: None,
                    });
                    asked.push(Asked { key, n, ratio, full: full.unwrap_or(asis) });
                }
            }
        }
        Ok((asked, matrices))
    }

    /// [`Pruner::prune`] on the card.
    pub(super) fn prune_on_card(
        &mut self,
        set: &MergedSet,
        squares: &SquareSums,
        share: f64,
        step: usize,
    ) -> Result<Vec<(Key, MatrixState)>> {
        let sums = if self.settings.importance.wants_norms() { sums(set, Some(squares))? } else { Vec::new() };
        let first = !self.pruned_before();
        let mut card = self.enter_card(set)?;
        let running = self.settings.norms == recipe::Norms::Running;
        let pruned = card.next_norms(&sums, running).and_then(|norms| {
            let (asked, matrices) = self.matrices(&card, set, (Some(&self.ratios), share))?;
            let outcomes = card::prune(&card.entries, norms.as_ref(), &matrices)?;
            Ok((norms, asked, outcomes))
        });
        if let Ok((_, asked, outcomes)) = &pruned {
            card.pruned = asked.iter().zip(outcomes).map(|(asked, outcome)| (asked.key, outcome.pruned)).collect();
        }
        self.keep_on_card(card);
        let (norms, asked, outcomes) = pruned?;
        check(&asked, &outcomes)?;
        if let Some(card) = &mut self.card {
            card.norms = norms;
        }
        (self.now.share, self.now.step, self.now.rules) = (share, step, self.settings.rules.len());
        Ok(asked.iter().zip(&outcomes).map(|(asked, outcome)| (asked.key, state(asked, first, outcome))).collect())
    }

    /// Zeroes the moments of what is pruned, all at once; false where the masks don't lie on a card. `moments` gives those of a
    /// module's tensor.
    pub(crate) fn forget_on_card<'a>(
        &self,
        set: &MergedSet,
        moments: impl Fn(ModuleId, Factor) -> Option<[&'a Tensor; 2]>,
    ) -> Result<bool> {
        let Some(card) = &self.card else { return Ok(false) };
        let mut all = Vec::with_capacity(card.places.len());
        for (id, module) in &set.modules {
            for factor in [Factor::A, Factor::B] {
                let Some(both) = moments(*id, factor) else { continue };
                let width = module.tensor(factor).dim(1)?;
                for segment in &module.segments {
                    let n = segment.rank * width;
                    let entry = card.entry((*id, segment.adapter, factor), n)?;
                    all.push(Forgotten { moments: both, first: segment.start * width, entry, n });
                }
            }
        }
        card::forget(&card.entries, &all)?;
        Ok(true)
    }

    /// [`Pruner::scratch`] and [`Pruner::present`] on the card that the masks lie on.
    pub(super) fn tried_on_card(
        &self,
        card: &OnCard,
        set: &MergedSet,
        ratios: Option<&Ratios>,
        squares: Option<&SquareSums>,
    ) -> Result<Scratch> {
        // Before the first pruning they are not known yet.
        let norms = match &card.norms {
            Some(norms) => Some(norms.clone()),
            None if self.settings.importance.wants_norms() => Some(card::norms(&sums(set, squares)?, None)?),
            None => None,
        };
        let mut tried = Tried::new();
        let (asked, mut matrices) = self.matrices(card, set, (ratios, self.present_share()))?;
        // The same count leaves the same mask.
        for (asked, of) in asked.iter().zip(&matrices) {
            let pruned = card.pruned.get(&asked.key).copied().unwrap_or_default();
            let k = if of.hold { of.k.max(pruned) } else { of.k };
            let place = (asked.key.0, asked.key.2);
            if ratios.is_some() && k != pruned && !tried.contains_key(&place) {
                tried.insert(place, of.tensor.zeros_like()?);
            }
        }
        for (asked, of) in asked.iter().zip(&mut matrices) {
            let to = tried.get(&(asked.key.0, asked.key.2));
            of.scratch = Some(card::Scratch { to, as_is: ratios.is_none() });
        }
        let outcomes = card::prune(&card.entries, norms.as_ref(), &matrices)?;
        check(&asked, &outcomes)?;
        let mut scratch = Scratch {
            set: set.clone(),
            states: Vec::with_capacity(asked.len()),
            changed: 0,
            first: None,
            restored: 0,
            entries: set.parameters(),
        };
        let mut changed = BTreeSet::new();
        for (asked, outcome) in asked.iter().zip(&outcomes) {
            if outcome.flips > 0 {
                scratch.changed += 1;
                scratch.restored += outcome.restored;
                scratch.first = scratch.first.or(Some(asked.key.0.layer));
                changed.insert((asked.key.0, asked.key.2));
            }
            scratch.states.push((asked.key, state(asked, false, outcome)));
        }
        for ((id, factor), values) in tried {
            if let Some(module) = scratch.set.modules.get_mut(&id).filter(|_| changed.contains(&(id, factor))) {
                *(if factor == Factor::A { &mut module.a } else { &mut module.b }) = values;
            }
        }
        Ok(scratch)
    }
}

/// Refuses importances that are no numbers.
fn check(asked: &[Asked], outcomes: &[Outcome]) -> Result<()> {
    match asked.iter().zip(outcomes).find(|(_, outcome)| outcome.broken) {
        None => Ok(()),
        Some((Asked { key: (id, _, factor), .. }, _)) => Err(Error::user(format!(
            "an importance of {id} {factor} is not a number: the training has diverged; lower the learning rate"
        ))),
    }
}

fn state(asked: &Asked, first: bool, outcome: &Outcome) -> MatrixState {
    let Outcome { total, lost, pruned, zeros, flips, quantiles, .. } = *outcome;
    let n = asked.n as f64;
    let flips = (!first).then_some(flips as f64 / n);
    Sums { total, lost, pruned, zeros }.state(n, (asked.ratio, asked.full), quantiles, flips)
}
