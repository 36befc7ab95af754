//! What a backward pass leaves for every module of a merged set.

use super::MergedModule;
use crate::module::ModuleId;
use crate::{Error, Result};
use candle_core::Tensor;
use std::collections::BTreeMap;

/// Gradients in the layout of [`super::MergedModule`].
#[derive(Debug, Default)]
pub struct Gradients {
    /// Of A (R × `d_in`) and of the transposed B (R × `d_out`), f32.
    pub modules: BTreeMap<ModuleId, (Tensor, Tensor)>,
}

impl Gradients {
    /// Adds one pass's gradients of a module.
    ///
    /// # Errors
    /// When shapes differ from what was added before.
    pub fn add(&mut self, module: ModuleId, a: Tensor, b: Tensor) -> Result<()> {
        add(&mut self.modules, module, a, b)
    }
}

/// Squared column sums of the inputs of A and of B over the tokens of a step.
#[derive(Debug, Default)]
pub struct SquareSums {
    /// Σ x² per input feature (`d_in`) and Σ z² per concatenated rank (R) with z = A x, f32.
    pub modules: BTreeMap<ModuleId, (Tensor, Tensor)>,
}

impl SquareSums {
    /// Adds the sums over one pass's tokens.
    ///
    /// # Errors
    /// When shapes differ from what was added before.
    pub fn add(&mut self, module: ModuleId, x: &Tensor, z: &Tensor) -> Result<()> {
        add(&mut self.modules, module, x.clone(), z.clone())
    }

    /// The sums of a module, which it is pruned by.
    ///
    /// # Errors
    /// When there are none, or they are not of its sizes.
    pub fn of(&self, id: ModuleId, module: &MergedModule) -> Result<(&Tensor, &Tensor)> {
        let found = self.modules.get(&id);
        let (x, z) = found.ok_or_else(|| Error::fault(format!("{id} has no norms of its inputs to be pruned by")))?;
        let lengths = (x.elem_count(), z.elem_count());
        if lengths != (module.a.dim(1)?, module.rank()) {
            return Err(Error::fault(format!("{id} has {} and {} norms of its inputs", lengths.0, lengths.1)));
        }
        Ok((x, z))
    }
}

fn add(modules: &mut BTreeMap<ModuleId, (Tensor, Tensor)>, module: ModuleId, a: Tensor, b: Tensor) -> Result<()> {
    let sum = match modules.remove(&module) {
        Some((old_a, old_b)) => ((old_a + a)?, (old_b + b)?),
        None => (a, b),
    };
    modules.insert(module, sum);
    Ok(())
}
