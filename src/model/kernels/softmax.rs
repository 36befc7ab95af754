//! Softmax of attention scores under a causal mask, forward and backward.

use super::{PIECE, alike, dot, exp, in_one_pass, largest, slice, slice_mut, sum};
use candle_core::{CpuStorage, D, DType, Device, InplaceOp1, InplaceOp2, Layout, Result, Tensor};
use rayon::prelude::*;
use std::ops::Range;
#[cfg(feature = "cuda")]
use {
    crate::card::{self, On},
    candle_core::CudaStorage,
};

/// What a query may see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Causal {
    /// How many keys back, itself included; `None` for all.
    pub window: Option<usize>,
}

impl Causal {
    /// The keys that query `i` sees.
    fn range(self, i: usize) -> Range<usize> {
        self.window.map_or(0, |w| (i + 1).saturating_sub(w))..i + 1
    }

    /// The keys that query `i` of a block sees, counted from the block's first.
    pub fn seen(self, i: usize, block: &Block) -> Range<usize> {
        let seen = self.range(i);
        seen.start.saturating_sub(block.keys.start)..seen.end - block.keys.start
    }

    /// The scores of some queries: over the keys that one of them sees.
    pub fn block(self, queries: Range<usize>) -> Block {
        Block { keys: self.range(queries.start).start..queries.end, queries }
    }

    /// The blocks of `step` queries of a sequence of `t` tokens, the last as long as it comes.
    pub fn blocks(self, t: usize, step: usize) -> impl Iterator<Item = Block> {
        (0..t).step_by(step.max(1)).map(move |from| self.block(from..(from + step).min(t)))
    }
}

/// Some queries and the keys that they see of one sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// The queries.
    pub queries: Range<usize>,
    /// The keys.
    pub keys: Range<usize>,
}

/// Attention weights of one query in place of its scores: softmax over the keys that are `seen` of `scale · scores`, 0 for the
/// others.
pub(crate) fn softmax_row(scores: &mut [f32], seen: Range<usize>, scale: f32) {
    scores[..seen.start].fill(0.0);
    scores[seen.end..].fill(0.0);
    let seen = &mut scores[seen];
    vectorised!({
        let max = largest(seen);
        for s in seen.iter_mut() {
            *s = exp((*s - max) * scale);
        }
        let inverse = 1.0 / sum(seen);
        for s in seen.iter_mut() {
            *s *= inverse;
        }
    });
}

/// The gradient of one query's unscaled scores in place of that of its attention weights `p`.
pub(crate) fn softmax_row_backward(dp: &mut [f32], p: &[f32], scale: f32) {
    vectorised!({
        let dot = dot(dp, p);
        for (dp, p) in dp.iter_mut().zip(p) {
            *dp = (*dp - dot) * p * scale;
        }
    });
}

struct CausalSoftmax {
    causal: Causal,
    scale: f32,
    block: Block,
}

impl InplaceOp1 for CausalSoftmax {
    fn name(&self) -> &'static str {
        "causal-softmax"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> Result<()> {
        let queries = &self.block.queries;
        let width = self.block.keys.len();
        let scores = slice_mut(storage, layout)?;
        scores.par_chunks_mut(width).with_min_len(PIECE.div_ceil(width)).enumerate().for_each(|(row, scores)| {
            softmax_row(scores, self.causal.seen(queries.start + row % queries.len(), &self.block), self.scale);
        });
        Ok(())
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, storage: &mut CudaStorage, layout: &Layout) -> Result<()> {
        let Block { queries, keys } = &self.block;
        let places = [queries.len(), queries.start, keys.start, self.causal.window.unwrap_or(0)];
        card::causal_softmax(storage, layout, places, self.scale)
    }
}

/// Attention weights of some queries of one sequence: softmax over the keys that each of them sees of `scale · scores`.
/// `scores` is (heads, rows, keys of the block) with rows a multiple of its queries (grouped queries one after another); it is
/// consumed, on CPU in place. `mask` is [`hidden`]'s of this block, made where it is needed if left out.
///
/// # Errors
/// When shapes or types don't fit.
pub fn causal_softmax(
    scores: Tensor,
    scale: f64,
    causal: Causal,
    block: &Block,
    mask: Option<&Tensor>,
) -> Result<Tensor> {
    let (heads, rows, keys) = scores.dims3()?;
    let queries = block.queries.len();
    if keys != block.keys.len() || !rows.is_multiple_of(queries.max(1)) || queries == 0 {
        candle_core::bail!("scores of {:?} are not those of {block:?}", scores.dims());
    }
    if in_one_pass(&scores) {
        scores.inplace_op1(&CausalSoftmax { causal, scale: scale as f32, block: block.clone() })?;
        return Ok(scores);
    }
    let mask = match mask {
        Some(mask) => mask.clone(),
        None => hidden(block, causal, scores.dtype(), scores.device())?,
    };
    let scores = (scores.reshape((heads * rows / queries, queries, keys))? * scale)?.broadcast_add(&mask)?;
    softmax(&scores)?.reshape((heads, rows, keys))
}

/// Softmax of the last dimension. Of halves in f32: candle's adds them up in their own type, where a sum of weights stops
/// growing at 256.
///
/// # Errors
/// When memory is short.
pub fn softmax(scores: &Tensor) -> Result<Tensor> {
    match scores.dtype() {
        dtype @ (DType::BF16 | DType::F16) if scores.device().is_cpu() => {
            candle_nn::ops::softmax_last_dim(&scores.to_dtype(DType::F32)?)?.to_dtype(dtype)
        }
        _ => candle_nn::ops::softmax_last_dim(scores),
    }
}

/// What is added to the scores of a block's queries over its keys: 0 for a key that is seen, −∞ for the others.
/// (1, queries, keys).
///
/// # Errors
/// When memory is short.
pub fn hidden(block: &Block, causal: Causal, dtype: DType, device: &Device) -> Result<Tensor> {
    let (queries, keys) = (block.queries.len(), block.keys.len());
    let mut mask = vec![f32::NEG_INFINITY; queries * keys];
    for (i, row) in block.queries.clone().zip(mask.chunks_mut(keys)) {
        let seen = causal.seen(i, block);
        row[seen].fill(0.0);
    }
    Tensor::from_vec(mask, (1, queries, keys), device)?.to_dtype(dtype)
}

struct SoftmaxBackward {
    scale: f32,
    keys: usize,
}

impl InplaceOp2 for SoftmaxBackward {
    fn name(&self) -> &'static str {
        "softmax-backward"
    }

    fn cpu_fwd(&self, s1: &mut CpuStorage, l1: &Layout, s2: &CpuStorage, l2: &Layout) -> Result<()> {
        let (dp, p) = (slice_mut(s1, l1)?, slice(s2, l2)?);
        let t = self.keys;
        dp.par_chunks_mut(t).with_min_len(PIECE.div_ceil(t)).zip(p.par_chunks(t)).for_each(|(dp, p)| {
            softmax_row_backward(dp, p, self.scale);
        });
        Ok(())
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, s1: &mut CudaStorage, l1: &Layout, s2: &CudaStorage, l2: &Layout) -> Result<()> {
        card::softmax_backward(s1, l1, On(s2, l2), self.scale)
    }
}

/// Gradient of the unscaled scores from the gradient `dp` of the attention weights `p`; `dp` is consumed.
///
/// # Errors
/// When shapes or types don't fit.
pub fn softmax_backward(dp: Tensor, p: &Tensor, scale: f64) -> Result<Tensor> {
    if in_one_pass(&dp) && alike(&[&dp, p]) {
        let keys = dp.dim(D::Minus1)?;
        dp.inplace_op2(p, &SoftmaxBackward { scale: scale as f32, keys })?;
        return Ok(dp);
    }
    // In f32: the rows are sums of small numbers of both signs.
    let (dp, p32) = (dp.to_dtype(DType::F32)?, p.to_dtype(DType::F32)?);
    let dot = dp.mul(&p32)?.sum_keepdim(D::Minus1)?;
    (dp.broadcast_sub(&dot)?.mul(&p32)? * scale)?.to_dtype(p.dtype())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::tests::{close, ramp};
    use super::*;
    use candle_core::Var;

    #[test]
    fn causal_softmax_and_its_backward_equal_autograd() {
        for window in [None, Some(3)] {
            let causal = Causal { window };
            let (s, dp) = (ramp(&[2, 10, 5], 0.1), ramp(&[2, 10, 5], 0.9));
            let var = Var::from_tensor(&s).unwrap();
            let mask: Vec<f32> = (0..10)
                .flat_map(|r| (0..5).map(move |j| if causal.range(r % 5).contains(&j) { 0.0 } else { -1e30 }))
                .collect();
            let mask = Tensor::from_vec(mask, (1, 10, 5), &Device::Cpu).unwrap();
            let masked = (var.as_tensor() * 0.25).unwrap().broadcast_add(&mask).unwrap();
            let want = candle_nn::ops::softmax(&masked, D::Minus1).unwrap();
            let p = causal_softmax(s.copy().unwrap(), 0.25, causal, &causal.block(0..5), None).unwrap();
            close(&p, &want, 1e-6);
            let grads = (want * &dp).unwrap().sum_all().unwrap().backward().unwrap();
            let ds = softmax_backward(dp.copy().unwrap(), &p, 0.25).unwrap();
            close(&ds, grads.get(&var).unwrap(), 1e-6);
        }
    }
}
