//! Moments of what is pruned (`moments = "zero"`).

use super::{Moments, Optimizer};
use crate::Result;
use crate::lora::MergedSet;
#[cfg(feature = "cuda")]
use crate::model::kernels;
use crate::module::{Factor, ModuleId};
use crate::prune::{Pruner, storage};

impl Optimizer {
    /// Zeroes the moments of all entries of `set` that `pruner` has pruned.
    ///
    /// # Errors
    /// When the device fails.
    pub fn forget_pruned(&mut self, set: &MergedSet, pruner: &Pruner) -> Result<()> {
        // Plain gradient descent has none: masks that lie on a card need not be fetched for it.
        if self.moments.is_empty() {
            return Ok(());
        }
        #[cfg(feature = "cuda")]
        if self.forget_on_card(set, pruner)? {
            return Ok(());
        }
        for (id, module) in &set.modules {
            for factor in [Factor::A, Factor::B] {
                if let Some(mask) = pruner.whole_mask(*id, module, factor)? {
                    self.forget(*id, factor, &mask)?;
                }
            }
        }
        Ok(())
    }

    /// The same where masks and moments lie on a card; false where they don't.
    #[cfg(feature = "cuda")]
    fn forget_on_card(&self, set: &MergedSet, pruner: &Pruner) -> Result<bool> {
        let lies_there = |moments: &Moments| match moments {
            Moments::Device(m, v) => [m, v].into_iter().all(kernels::trained_on_card),
            Moments::Host(..) => false,
        };
        if !self.moments.values().all(lies_there) {
            return Ok(false);
        }
        pruner.forget_on_card(set, |id, factor| match self.moments.get(&(id, factor)) {
            Some(Moments::Device(m, v)) => Some([m, v]),
            _ => None,
        })
    }

    /// Zeroes the moments of entries whose `mask` is 1.
    ///
    /// # Errors
    /// When the device fails.
    pub fn forget(&mut self, id: ModuleId, factor: Factor, mask: &[u8]) -> Result<()> {
        match self.moments.get_mut(&(id, factor)) {
            Some(Moments::Host(m, v)) => {
                for ((m, v), _) in m.iter_mut().zip(v).zip(mask).filter(|(_, pruned)| **pruned == 1) {
                    (*m, *v) = (0.0, 0.0);
                }
            }
            Some(Moments::Device(m, v)) => {
                storage::zero(m, &[mask])?;
                storage::zero(v, &[mask])?;
            }
            None => {}
        }
        Ok(())
    }
}
