//! The merged set: all adapters of a module as one LoRA of rank Σ r_i.

use crate::module::{Factor, ModuleId};
use candle_core::Tensor;
use std::collections::BTreeMap;
use std::ops::Range;

/// One adapter's place in the concatenated rank of a module.
#[derive(Debug, Clone, PartialEq)]
pub struct Segment {
    /// Index of the adapter in the merge.
    pub adapter: usize,
    /// First row in the concatenated matrices.
    pub start: usize,
    /// Rank r_i of the adapter at this module.
    pub rank: usize,
    /// s_i · w_i: alpha/r (or alpha/√r) times the user's weight.
    pub scale: f64,
}

impl Segment {
    /// The adapter's rows in [`MergedModule::a`] and [`MergedModule::b`].
    pub fn rows(&self) -> Range<usize> {
        self.start..self.start + self.rank
    }
}

/// All adapters of one module: y = W0 x + Σ_i scale_i B_i (A_i x), computed as one LoRA.
#[derive(Debug, Clone)]
pub struct MergedModule {
    /// A of all adapters, R × d_in with R = Σ r_i, f32, contiguous; adapter i has the rows of its segment.
    pub a: Tensor,
    /// B of all adapters **transposed**, R × d_out, f32, contiguous, so that here too every adapter
    /// has consecutive rows: row j of adapter i is column j of PEFT's `lora_B`.
    pub b: Tensor,
    /// The adapters, in order, without gaps.
    pub segments: Vec<Segment>,
}

impl MergedModule {
    /// R, the concatenated rank.
    pub fn rank(&self) -> usize {
        self.segments.last().map_or(0, |s| s.rows().end)
    }

    /// The tensor that holds `factor` (B transposed).
    pub fn tensor(&self, factor: Factor) -> &Tensor {
        match factor {
            Factor::A => &self.a,
            Factor::B => &self.b,
        }
    }
}

/// Everything that is trained and pruned, by module.
#[derive(Debug, Clone, Default)]
pub struct MergedSet {
    /// The adapted modules in layer and projection order.
    pub modules: BTreeMap<ModuleId, MergedModule>,
}

impl MergedSet {
    /// The adapters of one module, if it has any.
    pub fn get(&self, module: ModuleId) -> Option<&MergedModule> {
        self.modules.get(&module)
    }

    /// Number of trainable parameters.
    pub fn parameters(&self) -> usize {
        self.modules.values().map(|m| m.a.elem_count() + m.b.elem_count()).sum()
    }
}
