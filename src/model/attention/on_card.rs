//! The next token of all sequences at once, on a card.

use super::{Cache, Heads};
use crate::card::{self, Kept, On};
use crate::model::kernels::Causal;
use candle_core::{CpuStorage, CudaStorage, CustomOp3, Layout, Result, Shape};

/// Attention of q, k and v of the next tokens over what is kept of their sequences.
pub(super) struct NextToken<'a> {
    pub caches: &'a [Cache],
    pub heads: Heads,
    pub causal: Causal,
}

impl CustomOp3 for NextToken<'_> {
    fn name(&self) -> &'static str {
        "next-token"
    }

    fn cpu_fwd(
        &self,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        candle_core::bail!("sequences are gone through one after another on the CPU")
    }

    fn cuda_fwd(
        &self,
        s1: &CudaStorage,
        l1: &Layout,
        s2: &CudaStorage,
        l2: &Layout,
        s3: &CudaStorage,
        l3: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        let kept: Vec<Kept<'_>> =
            self.caches.iter().map(|c| Kept { keys: &c.keys, values: &c.values, filled: c.filled }).collect();
        let (window, scale) = (self.causal.window.unwrap_or(0), self.heads.scale() as f32);
        let rows = card::attend((On(s1, l1), On(s2, l2), On(s3, l3)), &kept, window, scale)?;
        Ok((rows, (kept.len(), self.heads.query * self.heads.dim).into()))
    }
}
