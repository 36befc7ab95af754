//! Causal attention with grouped queries over packed sequences, forward, backward and with a cache.
//!
//! Sequences lie one after another in the rows, without padding: every linear sees them as one
//! matrix, and only here each sequence is looked at on its own: some queries at a time, so that memory grows with a
//! sequence's length and not with its square. Attention weights are not kept for the way back but computed again.
//! What is f32 in this machine's memory is worked on as slices, everything else by tensor operations.

mod in_memory;
#[cfg(feature = "cuda")]
mod on_card;

pub use in_memory::scratch_numbers;

use super::kernels::{self, Block, Causal};
use candle_core::{DType, Device, Result, Tensor};
use rayon::prelude::*;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

/// Scores that are computed at once for a sequence by tensor operations, all heads together: in this machine's memory
/// (16 MB), ...
const SCORES: usize = 4 << 20;
/// ... and on a card.
const SCORES_ON_CARD: usize = 64 << 20;
/// Queries of a block, unless there are less.
const FEWEST: usize = 64;

/// Queries that are computed at once of a sequence of `t` tokens, by tensor operations.
pub fn queries_at_once(t: usize, heads: usize, on_card: bool) -> usize {
    let scores = if on_card { SCORES_ON_CARD } else { SCORES };
    (scores / (heads * t).max(1)).max(FEWEST).min(t)
}

/// Head counts and sizes.
#[derive(Debug, Clone, Copy)]
pub struct Heads {
    /// Query heads.
    pub query: usize,
    /// Key and value heads; divides `query`.
    pub key: usize,
    /// Width of a head.
    pub dim: usize,
}

impl Heads {
    fn group(self) -> usize {
        self.query / self.key
    }

    fn scale(self) -> f64 {
        1.0 / (self.dim as f64).sqrt()
    }
}

/// (t, heads, dim) of one sequence → (key heads, group·t, dim).
fn by_head(x: &Tensor, key: usize) -> Result<Tensor> {
    let (t, heads, dim) = x.dims3()?;
    kernels::swap_axes(x)?.reshape((key, heads / key * t, dim))
}

/// The inverse of [`by_head`].
fn by_token(x: &Tensor, heads: usize) -> Result<Tensor> {
    let (key, rows, dim) = x.dims3()?;
    let t = key * rows / heads;
    kernels::swap_axes(&x.reshape((heads, t, dim))?)
}

/// The masks of packed sequences for devices that need them as tensors: one for each length, of those that are computed in
/// one block, and window.
#[derive(Debug, Clone, Default)]
pub struct Masks(HashMap<(usize, Causal), Tensor>);

impl Masks {
    /// The masks of sequences of `lengths` in layers that look back as `layers` say.
    ///
    /// # Errors
    /// When memory is short.
    pub fn new(
        lengths: &[usize],
        layers: &(impl Iterator<Item = Causal> + Clone),
        heads: Heads,
        dtype: DType,
        device: &Device,
    ) -> Result<Self> {
        let mut masks = HashMap::new();
        // Of longer ones every block makes its own: a whole mask grows with the square.
        let heads = heads.query;
        for &t in lengths.iter().filter(|&&t| queries_at_once(t, heads, device.is_cuda()) == t) {
            for causal in layers.clone() {
                if let Entry::Vacant(entry) = masks.entry((t, causal)) {
                    entry.insert(kernels::hidden(&causal.block(0..t), causal, dtype, device)?);
                }
            }
        }
        Ok(Self(masks))
    }
}

/// `f` for each sequence (first row, length): several at once in this machine's memory. On a card
/// they are queued by the calling thread alone, for every thread has a queue of its own there and nothing
/// holds one back until another is done.
fn each<T: Send>(x: &Tensor, lengths: &[usize], f: impl Fn(usize, usize) -> Result<T> + Sync) -> Result<Vec<T>> {
    let starts: Vec<usize> = lengths
        .iter()
        .scan(0, |start, &t| {
            let first = *start;
            *start += t;
            Some(first)
        })
        .collect();
    if !kernels::in_memory(x) {
        return lengths.iter().zip(starts).map(|(&t, start)| f(start, t)).collect();
    }
    lengths.par_iter().zip(starts).map(|(&t, start)| f(start, t)).collect()
}

/// One sequence by head: (key heads, group·t, dim) of q and what lies like it, (key heads, t, dim) of k and v.
struct Sequence<'a> {
    t: usize,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    heads: Heads,
    causal: Causal,
    masks: &'a Masks,
}

/// The block's keys of `x` (key heads, t, dim).
fn keys(x: &Tensor, block: &Block) -> Result<Tensor> {
    x.narrow(1, block.keys.start, block.keys.len())
}

impl Sequence<'_> {
    /// The blocks of queries, one after another.
    fn blocks(&self) -> impl Iterator<Item = Block> + use<> {
        let step = queries_at_once(self.t, self.heads.query, !kernels::in_memory(&self.q));
        self.causal.blocks(self.t, step)
    }

    /// The block's rows of `x`, which lies as q does.
    fn rows(&self, x: &Tensor, block: &Block) -> Result<Tensor> {
        let n = block.queries.len();
        if n == self.t {
            return Ok(x.clone());
        }
        let (key, group, dim) = (self.heads.key, self.heads.group(), self.heads.dim);
        let x = x.reshape((key, group, self.t, dim))?.narrow(2, block.queries.start, n)?;
        x.contiguous()?.reshape((key, group * n, dim))
    }

    /// The inverse of [`Self::rows`] over all blocks.
    fn joined(&self, mut blocks: Vec<Tensor>) -> Result<Tensor> {
        if blocks.len() == 1 {
            return Ok(blocks.remove(0));
        }
        let (key, group, dim) = (self.heads.key, self.heads.group(), self.heads.dim);
        let apart = |x: &Tensor| x.reshape((key, group, x.dim(1)? / group, dim));
        let blocks = blocks.iter().map(apart).collect::<Result<Vec<_>>>()?;
        Tensor::cat(&blocks, 2)?.reshape((key, group * self.t, dim))
    }

    /// The attention weights of a block.
    fn weights(&self, block: &Block) -> Result<Tensor> {
        let scores = self.rows(&self.q, block)?.matmul(&keys(&self.k, block)?.transpose(1, 2)?)?;
        let mask = self.masks.0.get(&(self.t, self.causal));
        kernels::causal_softmax(scores, self.heads.scale(), self.causal, block, mask)
    }

    fn forward(&self) -> Result<Tensor> {
        let out = |block: Block| self.weights(&block)?.matmul(&keys(&self.v, &block)?);
        self.joined(self.blocks().map(out).collect::<Result<_>>()?)
    }

    /// Gradients of q, k and v from `dy`, which lies as q does.
    fn backward(&self, dy: &Tensor) -> Result<[Tensor; 3]> {
        let (mut dq, mut dk, mut dv) = (Vec::new(), None, None);
        for block in self.blocks() {
            let (q, dy) = (self.rows(&self.q, &block)?, self.rows(dy, &block)?);
            let p = self.weights(&block)?;
            self.add(&mut dv, p.transpose(1, 2)?.matmul(&dy)?, &block)?;
            let dp = dy.matmul(&keys(&self.v, &block)?.transpose(1, 2)?)?;
            let ds = kernels::softmax_backward(dp, &p, self.heads.scale())?;
            self.add(&mut dk, ds.transpose(1, 2)?.matmul(&q)?, &block)?;
            dq.push(ds.matmul(&keys(&self.k, &block)?)?);
        }
        let like = |sum: Option<Tensor>| sum.map_or_else(|| self.k.zeros_like(), |sum| sum.to_dtype(self.k.dtype()));
        Ok([self.joined(dq)?, like(dk)?, like(dv)?])
    }

    /// Adds a block's part of a gradient of k or v; the sum of several is in f32.
    fn add(&self, sum: &mut Option<Tensor>, part: Tensor, block: &Block) -> Result<()> {
        if block.queries.len() == self.t {
            *sum = Some(part);
            return Ok(());
        }
        let all = match sum.take() {
            Some(all) => all,
            None => Tensor::zeros((self.heads.key, self.t, self.heads.dim), DType::F32, part.device())?,
        };
        let more = (keys(&all, block)? + part.to_dtype(DType::F32)?)?;
        all.slice_set(&more.contiguous()?, 1, block.keys.start)?;
        *sum = Some(all);
        Ok(())
    }
}

/// q, k and v of packed sequences, after rotary embedding, and what they see.
#[derive(Debug, Clone, Copy)]
pub struct Packed<'a> {
    /// (T, query heads, dim).
    pub q: &'a Tensor,
    /// (T, key heads, dim).
    pub k: &'a Tensor,
    /// (T, key heads, dim).
    pub v: &'a Tensor,
    /// Length of each sequence.
    pub lengths: &'a [usize],
    /// Head counts and sizes.
    pub heads: Heads,
    /// What a query sees.
    pub causal: Causal,
    /// Masks for devices that need them as tensors; may be empty.
    pub masks: &'a Masks,
}

impl<'a> Packed<'a> {
    fn sequence(&self, start: usize, t: usize) -> Result<Sequence<'a>> {
        let of = |x: &Tensor| by_head(&x.narrow(0, start, t)?, self.heads.key);
        let (q, k, v) = (of(self.q)?, of(self.k)?, of(self.v)?);
        Ok(Sequence { t, q, k, v, heads: self.heads, causal: self.causal, masks: self.masks })
    }

    /// Whether all, with `x` that lies as q does, is f32 in this machine's memory. Shapes that do not fit go to the tensor
    /// operations, whose error says why.
    fn lies_in_memory(&self, x: &Tensor) -> bool {
        let (Heads { query, key, dim }, t) = (self.heads, self.lengths.iter().sum());
        let fits = key > 0
            && query.is_multiple_of(key)
            && self.q.dims() == [t, query, dim]
            && [self.k, self.v].iter().all(|x| x.dims() == [t, key, dim]);
        fits && x.elem_count() == t * query * dim
            && !self.lengths.contains(&0)
            && [x, self.q, self.k, self.v].iter().all(|x| kernels::on_cpu(x) && x.is_contiguous())
    }

    /// Attention: (T, query heads · dim).
    ///
    /// # Errors
    /// When shapes or types don't fit.
    pub fn forward(&self) -> Result<Tensor> {
        if self.lies_in_memory(self.q) { in_memory::forward(self) } else { self.forward_by_operations() }
    }

    fn forward_by_operations(&self) -> Result<Tensor> {
        let outs =
            each(self.q, self.lengths, |start, t| by_token(&self.sequence(start, t)?.forward()?, self.heads.query))?;
        Tensor::cat(&outs, 0)?.flatten_from(1)
    }

    /// Gradients of q, k and v, in their shapes, from `dy` (T, query heads · dim).
    ///
    /// # Errors
    /// When shapes or types don't fit.
    pub fn backward(&self, dy: &Tensor) -> Result<[Tensor; 3]> {
        if self.lies_in_memory(dy) { in_memory::backward(self, dy) } else { self.backward_by_operations(dy) }
    }

    fn backward_by_operations(&self, dy: &Tensor) -> Result<[Tensor; 3]> {
        let heads = self.heads;
        let dy = dy.reshape((dy.dim(0)?, heads.query, heads.dim))?;
        let parts = each(&dy, self.lengths, |start, t| {
            let dy = by_head(&dy.narrow(0, start, t)?, heads.key)?;
            let [dq, dk, dv] = self.sequence(start, t)?.backward(&dy)?;
            Ok([by_token(&dq, heads.query)?, by_token(&dk, heads.key)?, by_token(&dv, heads.key)?])
        })?;
        let cat = |at: usize| Tensor::cat(&parts.iter().map(|p| &p[at]).collect::<Vec<_>>(), 0);
        Ok([cat(0)?, cat(1)?, cat(2)?])
    }
}

/// [`Cache::step`] for several sequences, one a row of `q`, `k` and `v`. Returns (sequences, query heads · dim).
///
/// # Errors
/// When the room of one is used up or shapes don't fit.
pub fn step(
    caches: &mut [Cache],
    (q, k, v): (&Tensor, &Tensor, &Tensor),
    heads: Heads,
    causal: Causal,
) -> Result<Tensor> {
    #[cfg(feature = "cuda")]
    if kernels::on_card(q) && heads.dim <= crate::card::WIDEST {
        let op = kernels::Pass(on_card::NextToken { caches, heads, causal });
        let rows = q.contiguous()?.apply_op3_no_bwd(&k.contiguous()?, &v.contiguous()?, &op)?;
        caches.iter_mut().for_each(|cache| cache.filled += 1);
        return Ok(rows);
    }
    let one = |(i, cache): (usize, &mut Cache)| cache.step(&q.get(i)?, &k.get(i)?, &v.get(i)?, heads, causal);
    let rows: Vec<Tensor> = if kernels::in_memory(q) {
        caches.par_iter_mut().enumerate().map(one).collect::<Result<_>>()?
    } else {
        caches.iter_mut().enumerate().map(one).collect::<Result<_>>()?
    };
    Tensor::cat(&rows, 0)
}

/// Keys and values of one sequence at one layer, with room for those to come.
#[derive(Debug, Clone)]
pub struct Cache {
    keys: Tensor,
    values: Tensor,
    filled: usize,
}

impl Cache {
    /// Keeps `k` and `v` (t, key heads, dim) of a prompt, with room for `room` more tokens.
    ///
    /// # Errors
    /// When memory is short.
    pub fn new(k: &Tensor, v: &Tensor, room: usize) -> Result<Self> {
        let (t, heads, dim) = k.dims3()?;
        let keep = |x: &Tensor| {
            let all = Tensor::zeros((heads, t + room, dim), x.dtype(), x.device())?;
            all.slice_set(&by_head(x, heads)?, 1, 0)?;
            Ok::<_, candle_core::Error>(all)
        };
        Ok(Self { keys: keep(k)?, values: keep(v)?, filled: t })
    }

    /// Attention of the next token: `q` (1, query heads, dim), `k` and `v` (1, key heads, dim).
    /// Returns (1, query heads · dim).
    ///
    /// # Errors
    /// When the room is used up or shapes don't fit.
    pub fn step(&mut self, q: &Tensor, k: &Tensor, v: &Tensor, heads: Heads, causal: Causal) -> Result<Tensor> {
        self.keys.slice_set(&k.reshape((heads.key, 1, heads.dim))?, 1, self.filled)?;
        self.values.slice_set(&v.reshape((heads.key, 1, heads.dim))?, 1, self.filled)?;
        self.filled += 1;
        let first = causal.window.map_or(0, |w| self.filled.saturating_sub(w));
        let keys = self.keys.narrow(1, first, self.filled - first)?;
        let values = self.values.narrow(1, first, self.filled - first)?;
        let q = q.reshape((heads.key, heads.group(), heads.dim))?;
        let scores = (q.matmul(&keys.transpose(1, 2)?)? * heads.scale())?;
        let p = kernels::softmax(&scores)?;
        p.matmul(&values)?.reshape((1, heads.query * heads.dim))
    }
}

#[cfg(test)]
mod tests;
