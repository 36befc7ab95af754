//! The next token of all sequences at once, on a card.

use super::{Cache, Heads};
use crate::card::{self, Kept, On};
use crate::model::kernels::{Causal, OfThree};
use candle_core::{CudaStorage, Result, Shape};

/// Attention of q, k and v of the next tokens over what is kept of their sequences.
pub(super) struct NextToken<'a> {
    pub caches: &'a [Cache],
    pub heads: Heads,
    pub causal: Causal,
}

impl OfThree for NextToken<'_> {
    const NAME: &'static str = "next-token";

    fn here(&self, _: [&[f32]; 3], _: &[usize]) -> Result<(Vec<f32>, Shape)> {
        candle_core::bail!("sequences are gone through one after another on the CPU")
    }

    fn on_card(&self, [q, k, v]: [On<'_>; 3]) -> Result<(CudaStorage, Shape)> {
        let kept: Vec<Kept<'_>> =
            self.caches.iter().map(|c| Kept { keys: &c.keys, values: &c.values, filled: c.filled }).collect();
        let (window, scale) = (self.causal.window.unwrap_or(0), self.heads.scale() as f32);
        let rows = card::attend((q, k, v), &kept, window, scale)?;
        Ok((rows, (kept.len(), self.heads.query * self.heads.dim).into()))
    }
}
