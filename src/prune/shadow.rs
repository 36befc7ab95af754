//! What a pruning leaves behind for those who ask what other ratios would do: the masks, the norms it went by, and
//! the **shadow**, the value that every pruned entry had when it last went from kept to pruned.

use super::importance::Norms;
use super::{Key, Pruner};
use crate::lora::MergedSet;
use crate::module::{Factor, ModuleId};
use crate::recipe::ratios::Ratios;
use crate::{Error, Result};
use std::collections::{BTreeMap, HashMap};

/// A pruned set beside its matrices, at one step.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Stand {
    /// Pruned entries of each matrix in the layout of the merged set (1 = pruned).
    pub masks: HashMap<Key, Vec<u8>>,
    /// What pruned entries were when they were pruned; of the others nothing. No matrix of which nothing ever was.
    pub shadow: HashMap<Key, Vec<f32>>,
    /// Smoothed |w·g| of each matrix, for `importance = "sensitivity"`.
    pub sensitivity: HashMap<Key, Vec<f32>>,
    /// The norms that the last pruning went by.
    pub norms: BTreeMap<ModuleId, Norms>,
    /// Share of the full ratios at that pruning, after the schedule.
    pub share: f64,
    /// Its step.
    pub step: usize,
    /// How many rules there were.
    pub rules: usize,
}

impl Stand {
    /// Remembers what entries of a matrix of `n` were that are now pruned.
    pub fn keep(&mut self, key: Key, gone: &[(u32, f32)], n: usize) {
        if !gone.is_empty() {
            let shadow = self.shadow.entry(key).or_insert_with(|| vec![0.0; n]);
            for &(at, value) in gone {
                shadow[at as usize] = value;
            }
        }
    }
}

impl Pruner {
    /// Remembers how the set stands: it is the best so far.
    ///
    /// # Errors
    /// When a card on which its masks lie fails.
    pub fn keep_best(&mut self) -> Result<()> {
        self.best = Some(Box::new(self.stand()?.clone()));
        Ok(())
    }

    /// Goes back to the best set's masks, norms, shadow and rules, if they are known; only to ask about that set.
    ///
    /// # Errors
    /// When there are fewer rules than it had.
    pub fn return_to_best(&mut self) -> Result<bool> {
        let Some(best) = self.best.take() else { return Ok(false) };
        let rules = self.settings.rules.get(..best.rules);
        let rules = rules.ok_or_else(|| Error::fault("the best set had rules that the run does not know"))?.to_vec();
        self.ratios = Ratios::new(self.settings.ratio, &rules)?;
        self.settings.rules = rules;
        self.set_stand(*best)?;
        Ok(true)
    }

    /// Takes what is zero in `set` for pruned, where nothing else is known: what comes back is zero then. A matrix that
    /// is zero altogether and not to be pruned whole is new (B of an adapter that nothing has trained): held, it would
    /// never be trained.
    ///
    /// # Errors
    /// When the device fails.
    pub fn take_zeros(&mut self, set: &MergedSet) -> Result<()> {
        #[cfg(feature = "cuda")]
        self.leave_card()?;
        let mut stand = Stand { share: 1.0, rules: self.settings.rules.len(), ..Stand::default() };
        stand.norms = std::mem::take(&mut self.now.norms);
        for (id, module) in &set.modules {
            for (factor, tensor) in [(Factor::A, &module.a), (Factor::B, &module.b)] {
                let rows: Vec<Vec<f32>> = tensor.to_vec2()?;
                for segment in &module.segments {
                    let mut mask: Vec<u8> =
                        rows[segment.rows()].iter().flatten().map(|w| u8::from(*w == 0.0)).collect();
                    let name = self.names.get(segment.adapter).map_or("", String::as_str);
                    if !mask.contains(&0) && self.ratios.of(*id, name, factor) < 1.0 {
                        mask.fill(0);
                    }
                    stand.masks.insert((*id, segment.adapter, factor), mask);
                }
            }
        }
        self.set_stand(stand)?;
        self.lie_with(set)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::lora::{MergedModule, Segment, SquareSums};
    use crate::module::Projection;
    use crate::recipe::{Importance, Prune};
    use candle_core::{Device, Tensor};

    #[test]
    fn what_is_zero_is_held_and_a_matrix_that_nothing_trained_yet_is_not() {
        let id = ModuleId::new(0, Projection::QProj);
        let make = |values: [f32; 8]| Tensor::from_slice(&values, (2, 4), &Device::Cpu).unwrap();
        let a = make([1.0, 0.0, 2.0, 0.0, 3.0, 0.0, 4.0, 0.0]);
        let segments = vec![Segment { adapter: 0, start: 0, rank: 2, scale: 1.0 }];
        let set = MergedSet { modules: [(id, MergedModule { a, b: make([0.0; 8]), segments })].into() };
        let settings = Prune { importance: Importance::Magnitude, hold: true, ..Prune::default() };
        let masks = |ratio| {
            let mut pruner = Pruner::new(&Prune { ratio, ..settings.clone() }, vec!["x".into()], 1).unwrap();
            pruner.take_zeros(&set).unwrap();
            let of = |factor| pruner.mask((id, 0, factor)).unwrap().unwrap().to_vec();
            (of(Factor::A), of(Factor::B), pruner)
        };
        let (of_a, of_b, mut pruner) = masks(0.5);
        assert_eq!((of_a, of_b), (vec![0, 1, 0, 1, 0, 1, 0, 1], vec![0; 8]));
        // Trained, it is pruned as any other; what was zero in A stays so.
        let module = &set.modules[&id];
        module.b.slice_set(&make([1.0, 8.0, 2.0, 7.0, 3.0, 6.0, 4.0, 5.0]), 0, 0).unwrap();
        module.a.slice_set(&make([9.0; 8]), 0, 0).unwrap();
        pruner.prune(&set, &SquareSums::default(), None, 1.0, 1).unwrap();
        let numbers = |x: &Tensor| x.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(numbers(&module.b), [0.0, 8.0, 0.0, 7.0, 0.0, 6.0, 0.0, 5.0]);
        assert_eq!(numbers(&module.a), [9.0, 0.0, 9.0, 0.0, 9.0, 0.0, 9.0, 0.0]);
        // What is to be pruned whole is under its mask from the beginning.
        module.b.slice_set(&make([0.0; 8]), 0, 0).unwrap();
        assert_eq!(masks(1.0).1, vec![1; 8]);
    }
}
