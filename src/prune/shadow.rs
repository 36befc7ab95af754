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

    /// Takes what is zero in `set` for pruned, where nothing else is known: what comes back is zero then.
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
                    let zeros = rows[segment.rows()].iter().flatten().map(|w| u8::from(*w == 0.0)).collect();
                    stand.masks.insert((*id, segment.adapter, factor), zeros);
                }
            }
        }
        self.set_stand(stand)?;
        self.lie_with(set)
    }
}
