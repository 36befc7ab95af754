//! What a backward pass leaves for every module of a merged set.

use crate::Result;
use crate::module::ModuleId;
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
}

fn add(modules: &mut BTreeMap<ModuleId, (Tensor, Tensor)>, module: ModuleId, a: Tensor, b: Tensor) -> Result<()> {
    let sum = match modules.remove(&module) {
        Some((old_a, old_b)) => ((old_a + a)?, (old_b + b)?),
        None => (a, b),
    };
    modules.insert(module, sum);
    Ok(())
}
