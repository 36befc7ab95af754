//! Pruning where the matrices lie, on a card: masks and shadow stay there until someone asks for them.

use super::importance::Norms;
use super::scratch::Scratch;
use super::shadow::Stand;
use super::{Key, MatrixState, Pruner, Sums, mask};
use crate::card::{self, Entries, Matrix, Outcome};
use crate::lora::{MergedSet, SquareSums};
use crate::model::kernels;
use crate::module::{Factor, ModuleId};
use crate::recipe::ratios::Ratios;
use crate::recipe::{Group, Importance};
use crate::{Error, Result};
use candle_core::{DType, Device, Tensor};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::OnceLock;

/// What a pruner keeps on a card.
#[derive(Debug)]
pub(super) struct OnCard {
    entries: Entries,
    /// Where a matrix's entries lie there.
    places: BTreeMap<Key, Range<usize>>,
    /// Pruned entries of every matrix.
    pruned: BTreeMap<Key, usize>,
    /// Masks and shadow in this machine's memory, since someone has asked.
    home: OnceLock<Stand>,
}

/// What was asked of a matrix.
struct Asked {
    key: Key,
    n: usize,
    ratio: f64,
    full: f64,
}

/// The norms of all modules one after another, and where those of a module's columns and of its rows begin.
#[derive(Default)]
struct AllNorms {
    numbers: Vec<f32>,
    starts: BTreeMap<ModuleId, (usize, usize)>,
}

impl AllNorms {
    fn add(&mut self, id: ModuleId, norms: &Norms) {
        let first = self.numbers.len();
        self.starts.insert(id, (first, first + norms.x.len()));
        self.numbers.extend(norms.x.iter().chain(&norms.z));
    }
}

/// Tensors that are written with what a tried mask leaves.
type Tried = BTreeMap<(ModuleId, Factor), Tensor>;

impl OnCard {
    /// What `stand` was without masks and shadow, with those that lie on the card.
    pub fn home(&self, stand: &Stand) -> Result<&Stand> {
        if let Some(home) = self.home.get() {
            return Ok(home);
        }
        let (masks, shadow) = self.entries.home()?;
        let mut home = stand.clone();
        for (key, place) in &self.places {
            let mask = masks[place.clone()].to_vec();
            // Of the others nothing ever was pruned.
            let shadow = &shadow[place.clone()];
            if mask.contains(&1) || shadow.iter().any(|&was| was != 0.0) {
                home.shadow.insert(*key, shadow.to_vec());
            }
            home.masks.insert(*key, mask);
        }
        Ok(self.home.get_or_init(|| home))
    }
}

/// The column sums of a set in this machine's memory, in one copy: what is squared becomes a norm later.
type ColumnSums = BTreeMap<ModuleId, (Vec<f32>, Vec<f32>)>;

fn home(squares: &SquareSums) -> Result<ColumnSums> {
    let all: Vec<&Tensor> = squares.modules.values().flat_map(|(x, z)| [x, z]).collect();
    if all.is_empty() {
        return Ok(ColumnSums::new());
    }
    let numbers = Tensor::cat(&all, 0)?.to_dtype(DType::F32)?.to_vec1::<f32>()?;
    let mut rest = &numbers[..];
    let mut next = |n: usize| {
        let (these, others) = rest.split_at(n);
        rest = others;
        these.to_vec()
    };
    Ok(squares.modules.iter().map(|(id, (x, z))| (*id, (next(x.elem_count()), next(z.elem_count())))).collect())
}

impl Pruner {
    /// Whether this pruner's settings and the set are what the card's kernels do.
    pub(super) fn fits_card(&self, set: &MergedSet) -> bool {
        self.settings.group == Group::Matrix
            && matches!(self.settings.importance, Importance::Direct | Importance::Magnitude)
            && !set.modules.is_empty()
            && set.modules.values().all(|m| [&m.a, &m.b].into_iter().all(kernels::trained_on_card))
    }

    /// Takes masks and shadow from the card, if they lie there, and leaves it.
    pub(super) fn leave_card(&mut self) -> Result<()> {
        if let Some(card) = self.card.take() {
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
        let mut places = BTreeMap::new();
        let mut end = 0;
        for (id, module) in &set.modules {
            for segment in &module.segments {
                for factor in [Factor::A, Factor::B] {
                    let n = segment.rank * module.tensor(factor).dim(1)?;
                    places.insert((*id, segment.adapter, factor), end..end + n);
                    end += n;
                }
            }
        }
        let Some(Device::Cuda(device)) = set.modules.values().next().map(|m| m.a.device().clone()) else {
            return Err(Error::fault("a set to be pruned on a card that is not there"));
        };
        let mut pruned = BTreeMap::new();
        if self.now.masks.is_empty() {
            return Ok(OnCard { entries: Entries::new(&device, end)?, places, pruned, home: OnceLock::new() });
        }
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
        Ok(OnCard { entries: Entries::with(&device, &masks, &shadow)?, places, pruned, home: OnceLock::new() })
    }

    /// Brings masks and shadow to where `set` lies, if that is a card and something was pruned.
    ///
    /// # Errors
    /// When they are of another set, or the card's memory is short.
    pub(super) fn settle(&mut self, set: &MergedSet) -> Result<()> {
        if self.fits_card(set) && !self.now.masks.is_empty() {
            self.card = Some(self.enter_card(set)?);
            (self.now.masks, self.now.shadow) = Default::default();
        }
        Ok(())
    }

    /// Every matrix of `set` as the card's kernels take it, under `ratios` times `share`, or without any under the masks that
    /// there are.
    fn matrices<'a>(
        &self,
        card: &OnCard,
        set: &'a MergedSet,
        norms: &AllNorms,
        (ratios, share): (Option<&Ratios>, f64),
    ) -> Result<(Vec<Asked>, Vec<Matrix<'a>>)> {
        let wants_norms = self.settings.importance.wants_norms();
        let (mut asked, mut matrices) = (Vec::with_capacity(card.places.len()), Vec::with_capacity(card.places.len()));
        for (id, module) in &set.modules {
            let (of_columns, of_rows) = norms.starts.get(id).copied().unwrap_or_default();
            for segment in &module.segments {
                let name = self.names.get(segment.adapter).map_or("", String::as_str);
                for factor in [Factor::A, Factor::B] {
                    let key = (*id, segment.adapter, factor);
                    let (tensor, transposed) = (module.tensor(factor), factor == Factor::B);
                    let width = tensor.dim(1)?;
                    let n = segment.rank * width;
                    let place = card.places.get(&key).filter(|place| place.len() == n);
                    let place = place.ok_or_else(|| Error::fault(format!("{id} {factor} is new to the pruner")))?;
                    let pruned = card.pruned.get(&key).copied().unwrap_or_default();
                    let asis = pruned as f64 / n.max(1) as f64;
                    let full = ratios.map(|ratios| ratios.of(*id, name, factor));
                    let ratio = full.map_or(asis, |full| full * share);
                    matrices.push(Matrix {
                        tensor,
                        first: segment.start * width,
                        entry: place.start,
                        rank: segment.rank,
                        width,
                        norms: wants_norms.then_some(if transposed { of_rows + segment.start } else { of_columns }),
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
        let mut sums = if self.settings.importance.wants_norms() { home(squares)? } else { ColumnSums::new() };
        let (mut known, mut norms) = (BTreeMap::new(), AllNorms::default());
        for (id, module) in &set.modules {
            let of = self.norms_of(*id, module, sums.remove(id))?;
            norms.add(*id, &of);
            known.insert(*id, of);
        }
        let first = !self.pruned_before();
        let mut card = self.enter_card(set)?;
        let pruned = self.matrices(&card, set, &norms, (Some(&self.ratios), share)).and_then(|(asked, matrices)| {
            let outcomes = card::prune(&card.entries, &norms.numbers, &matrices)?;
            Ok((asked, outcomes))
        });
        if let Ok((asked, outcomes)) = &pruned {
            card.pruned = asked.iter().zip(outcomes).map(|(asked, outcome)| (asked.key, outcome.pruned)).collect();
        }
        self.card = Some(card);
        // Those of before are on the card.
        (self.now.masks, self.now.shadow) = Default::default();
        let (asked, outcomes) = pruned?;
        check(&asked, &outcomes)?;
        self.now.norms = known;
        (self.now.share, self.now.step, self.now.rules) = (share, step, self.settings.rules.len());
        Ok(asked.iter().zip(&outcomes).map(|(asked, outcome)| (asked.key, state(asked, first, outcome))).collect())
    }

    /// [`Pruner::scratch`] and [`Pruner::present`] on the card that the masks lie on.
    pub(super) fn tried_on_card(
        &self,
        card: &OnCard,
        set: &MergedSet,
        ratios: Option<&Ratios>,
        squares: Option<&SquareSums>,
    ) -> Result<Scratch> {
        let mut norms = AllNorms::default();
        for id in set.modules.keys() {
            norms.add(*id, &self.last_norms(*id, squares)?);
        }
        let mut tried = Tried::new();
        let (asked, mut matrices) = self.matrices(card, set, &norms, (ratios, self.present_share()))?;
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
        let outcomes = card::prune(&card.entries, &norms.numbers, &matrices)?;
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
        Some((Asked { key: (id, _, factor), .. }, _)) => Err(Error::fault(format!(
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
