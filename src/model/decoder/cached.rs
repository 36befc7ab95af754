//! Generation: prompts read once, then a token at a time over their keys and values.

use super::{Decoder, Pass};
use crate::Result;
use crate::model::attention::{self, Cache};
use crate::model::device::within_threads;
use crate::model::kernels::{self, Causal};
use candle_core::Tensor;

/// Keys and values of every layer and sequence.
#[derive(Debug)]
pub struct Caches {
    layers: Vec<Vec<Cache>>,
    positions: Vec<usize>,
}

impl Caches {
    /// Forgets the sequences for which `keep` is false.
    pub fn retain(&mut self, keep: &[bool]) {
        let mut flags = keep.iter();
        self.positions.retain(|_| flags.next().copied().unwrap_or(true));
        for layer in &mut self.layers {
            let mut flags = keep.iter();
            layer.retain(|_| flags.next().copied().unwrap_or(true));
        }
    }
}

impl Decoder {
    /// Reads prompts and keeps their keys and values, with room for `room` more tokens each. Returns
    /// the last row of each prompt after the final norm (sequences, hidden).
    ///
    /// # Errors
    /// When memory is short.
    pub fn prefill(&self, tokens: &[u32], lengths: &[usize], pass: &Pass, room: usize) -> Result<(Tensor, Caches)> {
        let (mut x, packed) = self.embed(tokens, lengths)?;
        let mut layers = Vec::with_capacity(self.layers.len());
        for index in 0..self.layers.len() {
            let (y, trace) = self.packed_layer(index, &x, &packed, pass)?;
            let mut start = 0;
            let mut caches = Vec::with_capacity(lengths.len());
            for &t in lengths {
                caches.push(Cache::new(&trace.k.narrow(0, start, t)?, &trace.v.narrow(0, start, t)?, room)?);
                start += t;
            }
            layers.push(caches);
            x = y;
        }
        let ends: Vec<u32> = lengths
            .iter()
            .scan(0, |end, &t| {
                *end += t as u32;
                Some(*end - 1)
            })
            .collect();
        let last = x.index_select(&Tensor::new(ends, &self.device)?, 0)?;
        let last = kernels::rms_norm(&last, &self.norm, self.config.eps)?;
        Ok((last, Caches { layers, positions: lengths.to_vec() }))
    }

    /// The next token of each sequence, ids (sequences). Returns its row after the final norm (sequences, hidden).
    ///
    /// # Errors
    /// When the caches' room is used up.
    pub fn step(&self, tokens: &Tensor, caches: &mut Caches, pass: &Pass) -> Result<Tensor> {
        within_threads(&self.device, || self.next(tokens, caches, pass))
    }

    fn next(&self, tokens: &Tensor, caches: &mut Caches, pass: &Pass) -> Result<Tensor> {
        let mut x = self.embeddings.select(tokens)?;
        let (cos, sin) = self.rotary(caches.positions.iter().copied())?;
        for (index, sequences) in caches.layers.iter_mut().enumerate() {
            let attend = |q: &Tensor, k: &Tensor, v: &Tensor, causal: Causal| {
                attention::step(sequences, (q, k, v), self.heads(), causal)
            };
            x = self.layer(index, &x, (&cos, &sin), pass, attend)?.0;
        }
        caches.positions.iter_mut().for_each(|p| *p += 1);
        Ok(kernels::rms_norm(&x, &self.norm, self.config.eps)?)
    }
}
