//! Causal attention with grouped queries over packed sequences, forward, backward and with a cache.
//!
//! Sequences lie one after another in the rows, without padding: every linear sees them as one
//! matrix, and only here each sequence is looked at on its own.

use super::kernels::{self, Causal};
use candle_core::{DType, Device, Result, Tensor};
use rayon::prelude::*;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

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
    x.transpose(0, 1)?.contiguous()?.reshape((key, heads / key * t, dim))
}

/// The inverse of [`by_head`].
fn by_token(x: &Tensor, heads: usize) -> Result<Tensor> {
    let (key, rows, dim) = x.dims3()?;
    let t = key * rows / heads;
    x.reshape((heads, t, dim))?.transpose(0, 1)?.contiguous()
}

/// The masks of packed sequences for devices that need them as tensors: one for each length and window.
#[derive(Debug, Clone, Default)]
pub struct Masks(HashMap<(usize, Causal), Tensor>);

impl Masks {
    /// The masks of sequences of `lengths` in layers that look back as `layers` say.
    ///
    /// # Errors
    /// When memory is short.
    pub fn new(
        lengths: &[usize],
        layers: impl Iterator<Item = Causal> + Clone,
        dtype: DType,
        device: &Device,
    ) -> Result<Self> {
        let mut masks = HashMap::new();
        for &t in lengths {
            for causal in layers.clone() {
                if let Entry::Vacant(free) = masks.entry((t, causal)) {
                    free.insert(kernels::hidden(t, causal, dtype, device)?);
                }
            }
        }
        Ok(Self(masks))
    }
}

/// `f` for each sequence (number, first row, length): several at once in this machine's memory. On a card
/// they are queued by the calling thread alone, for every thread has a queue of its own there and nothing
/// holds one back until another is done.
fn each<T: Send>(x: &Tensor, lengths: &[usize], f: impl Fn(usize, usize, usize) -> Result<T> + Sync) -> Result<Vec<T>> {
    let starts: Vec<usize> = lengths
        .iter()
        .scan(0, |start, &t| {
            let first = *start;
            *start += t;
            Some(first)
        })
        .collect();
    if !kernels::in_memory(x) {
        return lengths.iter().zip(starts).enumerate().map(|(i, (&t, start))| f(i, start, t)).collect();
    }
    lengths.par_iter().zip(starts).enumerate().map(|(i, (&t, start))| f(i, start, t)).collect()
}

/// Attention of packed sequences. `q` (T, query heads, dim), `k` and `v` (T, key heads, dim), all after
/// rotary embedding; `masks` may be empty. Returns (T, query heads · dim) and the attention weights of each sequence.
///
/// # Errors
/// When shapes or types don't fit.
pub fn forward(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    lengths: &[usize],
    heads: Heads,
    (causal, masks): (Causal, &Masks),
) -> Result<(Tensor, Vec<Tensor>)> {
    let parts = each(q, lengths, |_, start, t| {
        let q = by_head(&q.narrow(0, start, t)?, heads.key)?;
        let k = by_head(&k.narrow(0, start, t)?, heads.key)?;
        let v = by_head(&v.narrow(0, start, t)?, heads.key)?;
        let p =
            kernels::causal_softmax(q.matmul(&k.transpose(1, 2)?)?, heads.scale(), causal, masks.0.get(&(t, causal)))?;
        let out = by_token(&p.matmul(&v)?, heads.query)?;
        Ok((out, p))
    })?;
    let (outs, weights): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
    Ok((Tensor::cat(&outs, 0)?.flatten_from(1)?, weights))
}

/// Gradients of q, k and v, in their shapes, from `dy` (T, query heads · dim).
///
/// # Errors
/// When shapes or types don't fit.
pub fn backward(
    dy: &Tensor,
    (q, k, v): (&Tensor, &Tensor, &Tensor),
    weights: &[Tensor],
    lengths: &[usize],
    heads: Heads,
) -> Result<(Tensor, Tensor, Tensor)> {
    let rows = dy.dim(0)?;
    let dy = dy.reshape((rows, heads.query, heads.dim))?;
    let parts = each(&dy, lengths, |i, start, t| {
        let q = by_head(&q.narrow(0, start, t)?, heads.key)?;
        let k = by_head(&k.narrow(0, start, t)?, heads.key)?;
        let v = by_head(&v.narrow(0, start, t)?, heads.key)?;
        let dy = by_head(&dy.narrow(0, start, t)?, heads.key)?;
        let p = &weights[i];
        let dv = p.transpose(1, 2)?.matmul(&dy)?;
        let ds = kernels::softmax_backward(dy.matmul(&v.transpose(1, 2)?)?, p, heads.scale())?;
        let dq = ds.matmul(&k)?;
        let dk = ds.transpose(1, 2)?.matmul(&q)?;
        Ok((by_token(&dq, heads.query)?, by_token(&dk, heads.key)?, by_token(&dv, heads.key)?))
    })?;
    let cat =
        |pick: fn(&(Tensor, Tensor, Tensor)) -> &Tensor| Tensor::cat(&parts.iter().map(pick).collect::<Vec<_>>(), 0);
    Ok((cat(|p| &p.0)?, cat(|p| &p.1)?, cat(|p| &p.2)?))
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
        let p = candle_nn::ops::softmax_last_dim(&scores)?;
        p.matmul(&values)?.reshape((1, heads.query * heads.dim))
    }
}
