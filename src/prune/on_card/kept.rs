//! What a pruner keeps on a card, and the way home.

use crate::card::{self, Entries};
use crate::module::ModuleId;
use crate::prune::importance::Norms;
use crate::prune::shadow::Stand;
use crate::prune::{Key, PerInput};
use crate::{Error, Result};
use candle_core::{DType, Device, Tensor};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::OnceLock;

/// What a pruner keeps on a card.
#[derive(Debug)]
pub(in crate::prune) struct OnCard {
    pub(super) entries: Entries,
    /// Where a matrix's entries lie there.
    pub(super) places: BTreeMap<Key, Range<usize>>,
    /// Pruned entries of every matrix.
    pub(super) pruned: BTreeMap<Key, usize>,
    /// Where the norms of a module's columns and those of its rows lie among all norms; nowhere if none are asked for.
    pub(super) starts: BTreeMap<ModuleId, [Range<usize>; 2]>,
    /// All norms that the last pruning went by, f32.
    pub(super) norms: Option<Tensor>,
    /// The exponential means of their squares, laid out as they are.
    pub(super) running: Option<Tensor>,
    /// All that in this machine's memory, since someone has asked.
    pub(super) home: OnceLock<Stand>,
}

impl OnCard {
    /// `stand`, which lacks what lies on the card, with it.
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
        if let Some(norms) = &self.norms {
            home.norms = self.by_module(norms)?.into_iter().map(|(id, (x, z))| (id, Norms { x, z })).collect();
        }
        Ok(self.home.get_or_init(|| home))
    }

    /// Whether the norms of a pruning are known here.
    pub fn has_norms(&self) -> bool {
        self.norms.is_some()
    }

    /// The exponential means in this machine's memory, if they lie here.
    pub fn running(&self) -> Result<Option<PerInput>> {
        self.running.as_ref().map(|means| self.by_module(means)).transpose()
    }

    /// Numbers that lie as the norms do, by module.
    fn by_module(&self, all: &Tensor) -> Result<PerInput> {
        let all = all.to_vec1::<f32>()?;
        let of = |place: &Range<usize>| all[place.clone()].to_vec();
        Ok(self.starts.iter().map(|(id, [x, z])| (*id, (of(x), of(z)))).collect())
    }

    /// The other way; `None` where they are not those of all modules.
    pub(super) fn laid_out<'a>(
        &self,
        device: &Device,
        numbers: impl Fn(ModuleId) -> Option<(&'a [f32], &'a [f32])>,
    ) -> Result<Option<Tensor>> {
        let mut all = Vec::new();
        for (id, [x, z]) in &self.starts {
            let found = numbers(*id).filter(|found| (found.0.len(), found.1.len()) == (x.len(), z.len()));
            let Some((of_x, of_z)) = found else { return Ok(None) };
            all.extend_from_slice(of_x);
            all.extend_from_slice(of_z);
        }
        if all.is_empty() {
            return Ok(None);
        }
        let n = all.len();
        Ok(Some(Tensor::from_vec(all, n, device)?))
    }

    /// The norms by the sums of squares of all modules, or with `running` by their exponential means, which go on; `None` of
    /// none.
    pub(super) fn next_norms(&mut self, sums: &[Tensor], running: bool) -> Result<Option<Tensor>> {
        if sums.is_empty() {
            return Ok(None);
        }
        if !running {
            return Ok(Some(card::norms(sums, None)?));
        }
        let n: usize = sums.iter().map(Tensor::elem_count).sum();
        let begins = self.running.is_none();
        let means = match &self.running {
            Some(means) => means.clone(),
            None => Tensor::zeros(n, DType::F32, sums[0].device())?,
        };
        let norms = card::norms(sums, Some((&means, begins)))?;
        self.running = Some(means);
        Ok(Some(norms))
    }

    /// Where the `n` entries of a matrix begin.
    pub(super) fn entry(&self, key: Key, n: usize) -> Result<usize> {
        let place = self.places.get(&key).filter(|place| place.len() == n);
        place.map(|place| place.start).ok_or_else(|| {
            let (id, _, factor) = key;
            Error::fault(format!("{id} {factor} is new to the pruner"))
        })
    }
}
