//! The merged set: all adapters of a module as one LoRA of rank Σ `r_i`.

use super::adapter::Adapter;
use crate::module::{Factor, ModuleId};
use crate::{Error, Result};
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
    /// Rank `r_i` of the adapter at this module.
    pub rank: usize,
    /// `s_i` · `w_i`: alpha/r (or alpha/√r) times the user's weight.
    pub scale: f64,
}

impl Segment {
    /// The adapter's rows in [`MergedModule::a`] and [`MergedModule::b`].
    pub fn rows(&self) -> Range<usize> {
        self.start..self.start + self.rank
    }
}

/// All adapters of one module: `y = W0 x + Σ_i scale_i B_i (A_i x)`, computed as one LoRA.
#[derive(Debug, Clone)]
pub struct MergedModule {
    /// A of all adapters, R × `d_in` with R = Σ `r_i`, f32, contiguous; adapter i has the rows of its segment.
    pub a: Tensor,
    /// B of all adapters **transposed**, R × `d_out`, f32, contiguous, so that here too every adapter
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

/// What [`MergedSet::merged`] gathers for one module.
#[derive(Default)]
struct Parts {
    a: Vec<Tensor>,
    b: Vec<Tensor>,
    segments: Vec<Segment>,
}

/// Everything that is trained and pruned, by module.
#[derive(Debug, Clone, Default)]
pub struct MergedSet {
    /// The adapted modules in layer and projection order.
    pub modules: BTreeMap<ModuleId, MergedModule>,
}

impl MergedSet {
    /// The merge of `adapters`, each with the user's weight `w_i`: matrices are copied, f32, on their device.
    ///
    /// # Errors
    /// When adapters do not have the same sizes at a module.
    pub fn merged(adapters: &[(Adapter, f64)]) -> Result<Self> {
        let mut parts: BTreeMap<ModuleId, Parts> = BTreeMap::new();
        for (index, (adapter, weight)) in adapters.iter().enumerate() {
            for (module, pair) in &adapter.modules {
                let part = parts.entry(*module).or_default();
                let start = part.segments.last().map_or(0, |s| s.rows().end);
                part.segments.push(Segment { adapter: index, start, rank: pair.rank(), scale: pair.scaling * weight });
                part.a.push(pair.a.clone());
                part.b.push(pair.b.t()?);
            }
        }
        let mut modules = BTreeMap::new();
        for (module, Parts { a, b, segments }) in parts {
            if a.iter().any(|t| t.dims()[1] != a[0].dims()[1]) || b.iter().any(|t| t.dims()[1] != b[0].dims()[1]) {
                return Err(Error::fault(format!("the adapters have different sizes at {module}")));
            }
            let whole = |rows: &[Tensor]| -> Result<Tensor> {
                // One tensor alone would come back as itself, shared with its adapter: it is copied.
                let whole =
                    if let [one] = rows { one.force_contiguous()? } else { Tensor::cat(rows, 0)?.contiguous()? };
                Ok(whole.detach())
            };
            modules.insert(module, MergedModule { a: whole(&a)?, b: whole(&b)?, segments });
        }
        Ok(Self { modules })
    }

    /// The matrices of one adapter of the merge, in PEFT's layout: A r × `d_in` and B `d_out` × r, f32, unscaled,
    /// own copies.
    ///
    /// # Errors
    /// When the device fails.
    pub fn adapter(&self, index: usize) -> Result<BTreeMap<ModuleId, (Tensor, Tensor)>> {
        let mut pairs = BTreeMap::new();
        for (id, module) in &self.modules {
            for segment in module.segments.iter().filter(|s| s.adapter == index) {
                let a = module.a.narrow(0, segment.start, segment.rank)?.force_contiguous()?.detach();
                let b = module.b.narrow(0, segment.start, segment.rank)?.t()?.force_contiguous()?.detach();
                pairs.insert(*id, (a, b));
            }
        }
        Ok(pairs)
    }

    /// A copy that shares nothing with this set: later in-place changes here do not reach it.
    ///
    /// # Errors
    /// When the device fails, out of memory for one.
    pub fn snapshot(&self) -> Result<Self> {
        let mut modules = BTreeMap::new();
        for (id, module) in &self.modules {
            let (a, b) = (module.a.force_contiguous()?.detach(), module.b.force_contiguous()?.detach());
            modules.insert(*id, MergedModule { a, b, segments: module.segments.clone() });
        }
        Ok(Self { modules })
    }

    /// The adapters of one module, if it has any.
    pub fn get(&self, module: ModuleId) -> Option<&MergedModule> {
        self.modules.get(&module)
    }

    /// Number of trainable parameters.
    pub fn parameters(&self) -> usize {
        self.modules.values().map(|m| m.a.elem_count() + m.b.elem_count()).sum()
    }
}
