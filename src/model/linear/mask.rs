//! LoRA dropout: which inputs of a linear's adapters are dropped, and what is left of them.

#![allow(clippy::inline_always, reason = "what is not inlined is not compiled for the vector units")]

use crate::model::kernels::{PIECE, in_one_pass, slice, slice_mut, vectorised};
use candle_core::{CpuStorage, CustomOp1, InplaceOp2, Layout, Result, Shape, Tensor};
use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use std::borrow::Cow;
use std::sync::OnceLock;
#[cfg(feature = "cuda")]
use {
    crate::card::{self, On},
    candle_core::CudaStorage,
};

/// Inputs whose bits lie in one word of a mask.
const BITS: usize = u32::BITS as usize;
/// Words of a mask that a thread draws at once.
const WORDS: usize = 1024;

/// LoRA dropout of one forward pass; the same key gives the same mask, so that a recomputed layer
/// and a resumed run see what the first pass saw.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dropout {
    /// Share of inputs that are dropped, below 1.
    pub p: f64,
    /// Key of the random stream: seed, step and pass in one number.
    pub key: u64,
}

impl Dropout {
    /// What an input that is kept is multiplied by.
    fn factor(self) -> f32 {
        (1.0 / (1.0 - self.p)) as f32
    }

    /// The lowest number of 53 bits whose input is kept: the others, over 2⁵³, are below p.
    fn least(self) -> u64 {
        (self.p * (1u64 << 53) as f64).ceil() as u64
    }

    /// The random stream of module number `stream`.
    fn stream(self, stream: u64) -> ChaCha8Rng {
        let mut rng = ChaCha8Rng::seed_from_u64(self.key);
        rng.set_stream(stream);
        rng
    }

    /// A bit for each of `count` inputs, the lowest first, 0 for those that are dropped. Every input has its place in the
    /// stream, so that threads draw pieces of it at once.
    fn bits(self, stream: u64, count: usize) -> Vec<u32> {
        // An input takes two words of the stream: the upper 53 bits of both are its number between 0 and 1, dropped below p.
        let least = self.least();
        let mut bits = vec![0u32; count.div_ceil(BITS)];
        bits.par_chunks_mut(WORDS).enumerate().for_each(|(piece, bits)| {
            let mut rng = self.stream(stream);
            rng.set_word_pos((2 * BITS * WORDS * piece) as u128);
            let mut drawn = [0u8; 8 * BITS];
            for word in bits {
                rng.fill_bytes(&mut drawn);
                for (i, bytes) in drawn.as_chunks::<8>().0.iter().enumerate() {
                    let number = u64::from_le_bytes(*bytes) >> 11;
                    *word |= u32::from(number >= least) << i;
                }
            }
        });
        bits
    }
}

/// The dropout of one module in one pass. Forward and back meet the same mask, and it is the same one on the CPU and on a card:
/// an input's number follows from the key, the module's number and the input's place alone. In this machine's memory it is drawn
/// once and kept as a bit an input; a card draws it anew wherever it is applied, in the same launch, and keeps nothing.
#[derive(Debug, Clone)]
pub(super) struct Mask {
    dropout: Dropout,
    /// The module's number.
    stream: u64,
    bits: OnceLock<Vec<u32>>,
}

impl Mask {
    /// The mask of module number `stream`.
    pub fn new(dropout: Dropout, stream: u64) -> Self {
        Self { dropout, stream, bits: OnceLock::new() }
    }

    /// The bits of `count` inputs.
    fn bits(&self, count: usize) -> Cow<'_, [u32]> {
        if self.bits.get().is_none() {
            // Drawn before they are put there: the threads that draw wait for nothing.
            self.bits.set(self.dropout.bits(self.stream, count)).ok();
        }
        match self.bits.get().and_then(|bits| bits.get(..count.div_ceil(BITS))) {
            Some(bits) => Cow::Borrowed(bits),
            None => Cow::Owned(self.dropout.bits(self.stream, count)),
        }
    }

    /// What a card draws it from.
    #[cfg(feature = "cuda")]
    fn draw(&self) -> card::Draw {
        let seed = self.dropout.stream(self.stream).get_seed();
        let mut key = [0u64; 4];
        for (word, bytes) in key.iter_mut().zip(seed.as_chunks::<8>().0) {
            *word = u64::from_le_bytes(*bytes);
        }
        card::Draw { key, stream: self.stream, least: self.dropout.least(), factor: self.dropout.factor() }
    }

    /// 0 for the inputs of `x` that are dropped, 1/(1−p) for the others.
    fn tensor(&self, x: &Tensor) -> Result<Tensor> {
        let (bits, factor) = (self.bits(x.elem_count()), self.dropout.factor());
        let of = |i: usize| of_bit(bits[i / BITS], (i % BITS) as u32, factor);
        let values: Vec<f32> = (0..x.elem_count()).into_par_iter().with_min_len(PIECE).map(of).collect();
        Tensor::from_vec(values, x.shape(), x.device())?.to_dtype(x.dtype())
    }

    /// `x` after dropout.
    pub fn of(&self, x: &Tensor) -> Result<Tensor> {
        if in_one_pass(x) && x.is_contiguous() {
            return x.apply_op1_no_bwd(&Masked(self));
        }
        x.mul(&self.tensor(x)?)
    }

    /// y + `x` after dropout: `y` is consumed and must not be shared.
    pub fn onto(&self, y: Tensor, x: &Tensor) -> Result<Tensor> {
        let together = |t: &Tensor| in_one_pass(t) && t.is_contiguous() && t.dtype() == x.dtype();
        if [&y, x].into_iter().all(together) && y.dims() == x.dims() {
            y.inplace_op2(x, &Masked(self))?;
            return Ok(y);
        }
        y + x.mul(&self.tensor(x)?)?
    }
}

/// What input number `i` of a word is multiplied by.
#[inline(always)]
fn of_bit(word: u32, i: u32, factor: f32) -> f32 {
    f32::from_bits(factor.to_bits() * ((word >> i) & 1))
}

/// What lies row after row, f32 in this machine's memory or on a card, after dropout.
struct Masked<'a>(&'a Mask);

impl CustomOp1 for Masked<'_> {
    fn name(&self) -> &'static str {
        "dropout"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = slice(storage, layout)?;
        let (bits, factor) = (self.0.bits(x.len()), self.0.dropout.factor());
        let mut y = vec![0f32; x.len()];
        let pieces = y.par_chunks_mut(PIECE).zip(x.par_chunks(PIECE)).zip(bits.par_chunks(PIECE / BITS));
        pieces.for_each(|((y, x), bits)| {
            vectorised!({
                for ((y, x), &word) in y.chunks_mut(BITS).zip(x.chunks(BITS)).zip(bits) {
                    for (i, (y, x)) in y.iter_mut().zip(x).enumerate() {
                        *y = x * of_bit(word, i as u32, factor);
                    }
                }
            });
        });
        Ok((CpuStorage::F32(y), layout.shape().clone()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, storage: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        Ok((card::dropout(On(storage, layout), &self.0.draw())?, layout.shape().clone()))
    }
}

impl InplaceOp2 for Masked<'_> {
    fn name(&self) -> &'static str {
        "dropout-onto"
    }

    fn cpu_fwd(&self, s1: &mut CpuStorage, l1: &Layout, s2: &CpuStorage, l2: &Layout) -> Result<()> {
        let (y, x) = (slice_mut(s1, l1)?, slice(s2, l2)?);
        let (bits, factor) = (self.0.bits(x.len()), self.0.dropout.factor());
        let pieces = y.par_chunks_mut(PIECE).zip(x.par_chunks(PIECE)).zip(bits.par_chunks(PIECE / BITS));
        pieces.for_each(|((y, x), bits)| {
            vectorised!({
                for ((y, x), &word) in y.chunks_mut(BITS).zip(x.chunks(BITS)).zip(bits) {
                    for (i, (y, x)) in y.iter_mut().zip(x).enumerate() {
                        *y += x * of_bit(word, i as u32, factor);
                    }
                }
            });
        });
        Ok(())
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, s1: &mut CudaStorage, l1: &Layout, s2: &CudaStorage, l2: &Layout) -> Result<()> {
        card::dropout_onto(s1, l1, On(s2, l2), &self.0.draw())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::model::kernels::tests::ramp;
    use rand::Rng;

    /// The numbers in a row, as they were drawn before threads shared them.
    fn in_a_row(dropout: Dropout, stream: u64, count: usize) -> Vec<bool> {
        let mut rng = ChaCha8Rng::seed_from_u64(dropout.key);
        rng.set_stream(stream);
        (0..count).map(|_| rng.random::<f64>() >= dropout.p).collect()
    }

    fn unpacked(bits: &[u32], count: usize) -> Vec<bool> {
        (0..count).map(|i| of_bit(bits[i / BITS], (i % BITS) as u32, 1.0) == 1.0).collect()
    }

    #[test]
    fn pieces_drawn_at_once_are_the_stream_in_a_row() {
        let piece = BITS * WORDS;
        for (stream, p) in [0.05, 0.1, 0.5, 1.0 / 3.0, 0.999, 1e-18].into_iter().enumerate() {
            let (dropout, stream) = (Dropout { p, key: 0x51ee_d0f4_77a3_0009 ^ stream as u64 }, 3 + stream as u64);
            for count in [0, 1, 31, 32, 33, 577, piece - 1, piece, piece + 1, 2 * piece + 1_013] {
                let bits = dropout.bits(stream, count);
                assert_eq!(bits.len(), count.div_ceil(BITS));
                assert!(unpacked(&bits, count) == in_a_row(dropout, stream, count), "{p}, {count} inputs");
            }
        }
        let alone = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        let dropout = Dropout { p: 0.1, key: 7 };
        let count = 5 * piece + 7;
        assert!(alone.install(|| dropout.bits(2, count)) == dropout.bits(2, count));
        assert!(dropout.bits(2, count) != dropout.bits(3, count));
    }

    #[test]
    fn what_is_kept_is_what_would_be_drawn_again() {
        let dropout = Dropout { p: 0.3, key: 5 };
        let mask = Mask::new(dropout, 4);
        for count in [200, 200, 70, 4_000, 200] {
            let again = dropout.bits(4, count);
            assert!(*mask.bits(count) == again[..], "{count} inputs");
        }
    }

    #[test]
    fn dropout_multiplies_by_the_mask_to_the_bit() {
        let bits = |x: &Tensor| -> Vec<u32> {
            x.flatten_all().unwrap().to_vec1::<f32>().unwrap().into_iter().map(f32::to_bits).collect()
        };
        for shape in [[1, 1], [3, 37], [64, 33], [131, 577]] {
            let (x, y) = (ramp(&shape, 0.2), ramp(&shape, 0.7));
            let mask = Mask::new(Dropout { p: 0.4, key: 11 }, 6);
            let factors = mask.tensor(&x).unwrap();
            let want = x.mul(&factors).unwrap();
            assert!(bits(&mask.of(&x).unwrap()) == bits(&want), "{shape:?}");
            let sum = (&y + want).unwrap();
            assert!(bits(&mask.onto(y.copy().unwrap(), &x).unwrap()) == bits(&sum), "{shape:?}");
            // What does not lie row after row comes to the same.
            let turned = x.t().unwrap().contiguous().unwrap().t().unwrap();
            assert!(bits(&mask.of(&turned).unwrap()) == bits(&x.mul(&factors).unwrap()), "{shape:?}");
            let kept = bits(&factors).iter().filter(|f| **f != 0).count();
            assert!(shape[0] < 100 || kept.abs_diff(x.elem_count() * 6 / 10) < x.elem_count() / 50, "{kept}");
        }
    }
}
