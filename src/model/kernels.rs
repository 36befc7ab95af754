//! Fused pieces of the decoder, forward and backward.
//!
//! Nearly every function has one pass over f32 slices for the CPU, a kernel for a card (see `card`) and a path of plain tensor
//! operations for other types, which also says what is wrong with shapes that don't fit. Nothing here records a graph: the backward passes are written out.
//! [`tensor_operations_only`] takes the last path everywhere, so that they can be compared.

#![allow(clippy::inline_always, reason = "what is not inlined is not compiled for the vector units")]

/// Does a block of work with the vector units of this processor: its loops are compiled once for each kind and chosen at run
/// time. The numbers are the same: nothing is contracted or reordered. What is not inlined stands as a function of its own,
/// compiled for the oldest processor: that cost a long text's step a fifth of its time.
macro_rules! vectorised {
    ($work:block) => {
        pulp::Arch::new().dispatch($crate::model::kernels::Work(
            #[inline(always)]
            || $work,
        ))
    };
}

pub(crate) use vectorised;

/// A closure for [`pulp::Arch::dispatch`]. It is called as `FnMut`: called as `FnOnce`, as pulp does, it stands behind a
/// function that nothing makes inline.
pub(crate) struct Work<F>(pub(crate) F);

impl<R, F: FnMut() -> R> WithSimd for Work<F> {
    type Output = R;

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, _: S) -> R {
        (self.0)()
    }
}

mod columns;
mod loss;
mod norm;
mod scale;
mod softmax;

pub use columns::{column_squares, column_squares_of};
pub use loss::cross_entropy;
pub use norm::{rms_norm, rms_norm_backward};
pub use scale::scaled_rows;
pub use softmax::{Block, Causal, causal_softmax, hidden, softmax, softmax_backward};
pub(crate) use softmax::{softmax_row, softmax_row_backward};

use candle_core::{CpuStorage, CustomOp1, CustomOp2, CustomOp3, DType, Layout, Result, Shape, Storage, Tensor};
use pulp::{Simd, WithSimd};
use rayon::prelude::*;
use std::sync::atomic::{AtomicBool, Ordering};
#[cfg(feature = "cuda")]
use {
    crate::card::{self, On},
    candle_core::CudaStorage,
};

/// Rows are handed to threads in pieces of at least this many numbers.
pub(crate) const PIECE: usize = 16 * 1024;

static TENSOR_OPERATIONS: AtomicBool = AtomicBool::new(false);
static NOT_ON_CARD: AtomicBool = AtomicBool::new(false);

/// Makes this process compute with tensor operations alone, and not with the passes over slices that the CPU has, nor with
/// the kernels that a card has: what tests compare.
pub fn tensor_operations_only(yes: bool) {
    TENSOR_OPERATIONS.store(yes, Ordering::Relaxed);
}

/// Makes this process do without the kernels that a card has: they don't give there what they should.
pub fn do_without_card() {
    NOT_ON_CARD.store(true, Ordering::Relaxed);
}

/// Whether `x` lies in this machine's memory and may be worked on as a slice, by several threads.
pub(crate) fn in_memory(x: &Tensor) -> bool {
    x.device().is_cpu() && !TENSOR_OPERATIONS.load(Ordering::Relaxed)
}

/// Whether `x` lies on a card in a type that there are kernels for.
pub(crate) fn on_card(x: &Tensor) -> bool {
    cfg!(feature = "cuda")
        && x.device().is_cuda()
        && matches!(x.dtype(), DType::F32 | DType::BF16)
        && !NOT_ON_CARD.load(Ordering::Relaxed)
        && !TENSOR_OPERATIONS.load(Ordering::Relaxed)
}

/// Whether `x` lies on a card as its kernels take what is trained: f32, contiguous.
#[cfg(feature = "cuda")]
pub(crate) fn trained_on_card(x: &Tensor) -> bool {
    on_card(x) && x.dtype() == DType::F32 && x.is_contiguous()
}

/// Whether there is one pass for all, on the CPU or on a card.
pub(crate) fn in_one_pass(x: &Tensor) -> bool {
    on_cpu(x) || on_card(x)
}

/// Whether all have the same dimensions.
pub(crate) fn alike(tensors: &[&Tensor]) -> bool {
    tensors.windows(2).all(|pair| pair[0].dims() == pair[1].dims())
}

/// Whether the passes over f32 slices can be taken.
pub(crate) fn on_cpu(x: &Tensor) -> bool {
    in_memory(x) && x.dtype() == DType::F32
}

/// The numbers of a contiguous f32 tensor.
pub(crate) fn slice<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    let data = storage.as_slice::<f32>()?;
    match layout.contiguous_offsets() {
        Some((from, to)) => Ok(&data[from..to]),
        None => candle_core::bail!("a contiguous tensor is needed"),
    }
}

/// What `work` makes of the numbers of contiguous f32 tensors in this machine's memory.
pub(crate) fn with_slices<const N: usize, R>(
    tensors: [&Tensor; N],
    work: impl FnOnce([&[f32]; N]) -> Result<R>,
) -> Result<R> {
    let held = tensors.map(Tensor::storage_and_layout);
    let mut slices = [&[][..]; N];
    for (slice_of, (storage, layout)) in slices.iter_mut().zip(&held) {
        let Storage::Cpu(storage) = &**storage else { candle_core::bail!("a tensor has left this machine's memory") };
        *slice_of = slice(storage, layout)?;
    }
    work(slices)
}

pub(crate) fn slice_mut<'a>(storage: &'a mut CpuStorage, layout: &Layout) -> Result<&'a mut [f32]> {
    let CpuStorage::F32(data) = storage else { candle_core::bail!("an f32 tensor is needed") };
    match layout.contiguous_offsets() {
        Some((from, to)) => Ok(&mut data[from..to]),
        None => candle_core::bail!("a contiguous tensor is needed"),
    }
}

/// e^x to about 2 ulp, without a branch or a call, so that loops over it are vectorised.
/// Inputs below −87 give e⁻⁸⁷, which is 1.7e-38; inputs above 88 are clamped.
#[inline(always)]
fn exp(x: f32) -> f32 {
    const LN2_HI: f32 = 0.693_359_4;
    const LN2_LO: f32 = -2.121_944_4e-4;
    // Adding 1.5·2²³ rounds to the nearest integer and leaves it in the low bits.
    const ROUND: f32 = 12_582_912.0;
    let x = x.clamp(-87.0, 88.0);
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = x - n * LN2_HI - n * LN2_LO;
    let p = 1.987_569_1e-4f32;
    let p = p * r + 1.398_199_9e-3;
    let p = p * r + 8.333_452e-3;
    let p = p * r + 4.166_579_6e-2;
    let p = p * r + 1.666_666_5e-1;
    let p = p * r + 5e-1;
    let p = p * r * r + r + 1.0;
    let scale = f32::from_bits(((shifted.to_bits() as i32).wrapping_add(127) << 23) as u32);
    p * scale
}

#[inline(always)]
fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// Sums of a row run in this many lanes: as many as a vector register has, and no chain of roundings along the row,
/// which would put one and the same error on all its numbers.
const LANES: usize = 16;

/// The sum of the lanes, which are added in pairs.
#[inline(always)]
fn lanes(mut sums: [f32; LANES]) -> f32 {
    let mut n = LANES;
    while n > 1 {
        n /= 2;
        for i in 0..n {
            sums[i] += sums[i + n];
        }
    }
    sums[0]
}

#[inline(always)]
fn sum(x: &[f32]) -> f32 {
    sum_of(
        x,
        #[inline(always)]
        |x| x,
    )
}

/// Σ e^(x − less).
#[inline(always)]
fn sum_of_exp(x: &[f32], less: f32) -> f32 {
    sum_of(
        x,
        #[inline(always)]
        |x| exp(x - less),
    )
}

/// Σ f(x).
#[inline(always)]
fn sum_of(x: &[f32], f: impl Fn(f32) -> f32) -> f32 {
    let mut sums = [0f32; LANES];
    let pieces = x.chunks_exact(LANES);
    let rest = pieces.remainder();
    for piece in pieces {
        sums.iter_mut().zip(piece).for_each(|(s, &x)| *s += f(x));
    }
    sums.iter_mut().zip(rest).for_each(|(s, &x)| *s += f(x));
    lanes(sums)
}

/// The largest number, −∞ of none; NaN are passed over.
#[inline(always)]
fn largest(x: &[f32]) -> f32 {
    let mut most = [f32::NEG_INFINITY; LANES];
    let pieces = x.chunks_exact(LANES);
    let rest = pieces.remainder();
    for piece in pieces {
        most.iter_mut().zip(piece).for_each(|(m, &x)| *m = if x > *m { x } else { *m });
    }
    most.iter().chain(rest).copied().fold(f32::NEG_INFINITY, f32::max)
}

#[inline(always)]
fn dot(x: &[f32], y: &[f32]) -> f32 {
    let mut sums = [0f32; LANES];
    let (xs, ys) = (x.chunks_exact(LANES), y.chunks_exact(LANES));
    let (x_rest, y_rest) = (xs.remainder(), ys.remainder());
    for (x, y) in xs.zip(ys) {
        sums.iter_mut().zip(x.iter().zip(y)).for_each(|(s, (x, y))| *s += x * y);
    }
    sums.iter_mut().zip(x_rest.iter().zip(y_rest)).for_each(|(s, (x, y))| *s += x * y);
    lanes(sums)
}

struct SwiGlu;

impl CustomOp2 for SwiGlu {
    fn name(&self) -> &'static str {
        "swiglu"
    }

    fn cpu_fwd(&self, s1: &CpuStorage, l1: &Layout, s2: &CpuStorage, l2: &Layout) -> Result<(CpuStorage, Shape)> {
        let (gate, up) = (slice(s1, l1)?, slice(s2, l2)?);
        let mut out = vec![0f32; gate.len()];
        out.par_chunks_mut(PIECE).zip(gate.par_chunks(PIECE)).zip(up.par_chunks(PIECE)).for_each(|((out, g), u)| {
            vectorised!({
                for ((out, &g), &u) in out.iter_mut().zip(g).zip(u) {
                    *out = g * sigmoid(g) * u;
                }
            });
        });
        Ok((CpuStorage::F32(out), l1.shape().clone()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, s1: &CudaStorage, l1: &Layout, s2: &CudaStorage, l2: &Layout) -> Result<(CudaStorage, Shape)> {
        Ok((card::swiglu(On(s1, l1), On(s2, l2))?, l1.shape().clone()))
    }
}

/// silu(gate) · up.
///
/// # Errors
/// When shapes or types don't fit.
pub fn swiglu(gate: &Tensor, up: &Tensor) -> Result<Tensor> {
    if in_one_pass(gate) && alike(&[gate, up]) {
        return gate.apply_op2_no_bwd(up, &SwiGlu);
    }
    candle_nn::ops::silu(gate)?.mul(up)
}

/// What comes of three contiguous tensors in one pass: over their numbers, or by a kernel.
pub(super) trait OfThree {
    /// What candle calls it.
    const NAME: &'static str;

    /// Of f32 in this machine's memory; `dims` are the first one's dimensions.
    fn here(&self, numbers: [&[f32]; 3], dims: &[usize]) -> Result<(Vec<f32>, Shape)>;

    #[cfg(feature = "cuda")]
    fn on_card(&self, tensors: [On<'_>; 3]) -> Result<(CudaStorage, Shape)>;
}

/// The same as candle takes it.
pub(super) struct Pass<F>(pub F);

impl<F: OfThree> CustomOp3 for Pass<F> {
    fn name(&self) -> &'static str {
        F::NAME
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
        s3: &CpuStorage,
        l3: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (numbers, shape) = self.0.here([slice(s1, l1)?, slice(s2, l2)?, slice(s3, l3)?], l1.dims())?;
        Ok((CpuStorage::F32(numbers), shape))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        s1: &CudaStorage,
        l1: &Layout,
        s2: &CudaStorage,
        l2: &Layout,
        s3: &CudaStorage,
        l3: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        self.0.on_card([On(s1, l1), On(s2, l2), On(s3, l3)])
    }
}

struct SwiGluBackward;

impl OfThree for SwiGluBackward {
    const NAME: &'static str = "swiglu-backward";

    fn here(&self, [gate, up, dy]: [&[f32]; 3], dims: &[usize]) -> Result<(Vec<f32>, Shape)> {
        let mut both = vec![0f32; 2 * gate.len()];
        let (d_gate, d_up) = both.split_at_mut(gate.len());
        d_gate
            .par_chunks_mut(PIECE)
            .zip(d_up.par_chunks_mut(PIECE))
            .zip(gate.par_chunks(PIECE).zip(up.par_chunks(PIECE)).zip(dy.par_chunks(PIECE)))
            .for_each(|((d_gate, d_up), ((gate, up), dy))| {
                vectorised!({
                    for ((d_gate, d_up), ((&g, &u), &dy)) in
                        d_gate.iter_mut().zip(d_up.iter_mut()).zip(gate.iter().zip(up).zip(dy))
                    {
                        let s = sigmoid(g);
                        *d_gate = dy * u * s * (1.0 + g * (1.0 - s));
                        *d_up = dy * g * s;
                    }
                });
            });
        Ok((both, [&[2], dims].concat().into()))
    }

    #[cfg(feature = "cuda")]
    fn on_card(&self, [gate, up, dy]: [On<'_>; 3]) -> Result<(CudaStorage, Shape)> {
        Ok((card::swiglu_backward(gate, up, dy)?, [&[2], gate.1.dims()].concat().into()))
    }
}

/// Gradients of [`swiglu`] with respect to gate and up.
///
/// # Errors
/// When shapes or types don't fit.
pub fn swiglu_backward(gate: &Tensor, up: &Tensor, dy: &Tensor) -> Result<(Tensor, Tensor)> {
    if in_one_pass(gate) && alike(&[gate, up, dy]) {
        let both = gate.apply_op3_no_bwd(up, &dy.contiguous()?, &Pass(SwiGluBackward))?;
        return Ok((both.get(0)?, both.get(1)?));
    }
    let s = candle_nn::ops::sigmoid(gate)?;
    let silu = gate.mul(&s)?;
    let slope = ((gate.mul(&(1.0 - &s)?)? + 1.0)? * s)?;
    Ok(((dy * up)?.mul(&slope)?, dy.mul(&silu)?))
}

struct SwapAxes;

impl CustomOp1 for SwapAxes {
    fn name(&self) -> &'static str {
        "swap-axes"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        candle_core::bail!("axes are swapped by candle on the CPU")
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, storage: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        let (rows, columns, width) = layout.shape().dims3()?;
        Ok((card::swap_axes(On(storage, layout))?, (columns, rows, width).into()))
    }
}

/// (rows, columns, width) as contiguous (columns, rows, width).
///
/// # Errors
/// When shapes or types don't fit.
pub fn swap_axes(x: &Tensor) -> Result<Tensor> {
    if on_card(x) && x.is_contiguous() {
        return x.apply_op1_no_bwd(&SwapAxes);
    }
    x.transpose(0, 1)?.contiguous()
}

/// Rotary embedding of (tokens, heads, `head_dim`) with per-token `cos` and `sin` (tokens, `head_dim/2`),
/// in the half-split layout of Hugging Face's Llama. With −sin it is its own inverse, and so its backward.
///
/// # Errors
/// When shapes or types don't fit.
pub fn rope(x: &Tensor, cos: &Tensor, sin: &Tensor) -> Result<Tensor> {
    candle_nn::rotary_emb::rope_thd(&x.unsqueeze(0)?.contiguous()?, cos, sin)?.squeeze(0)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(super) mod tests {
    mod random;

    use super::*;
    use candle_core::{Device, Var};

    pub(in crate::model) fn ramp(shape: &[usize], seed: f32) -> Tensor {
        let n: usize = shape.iter().product();
        let values: Vec<f32> = (0..n).map(|i| ((i as f32 * 0.7311 + seed) * 1.913).sin() * 1.5).collect();
        Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
    }

    /// The largest difference over the largest number.
    pub(in crate::model) fn off(got: &Tensor, want: &Tensor) -> f32 {
        let largest = |t: &Tensor| t.abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
        assert_eq!(got.dims(), want.dims());
        largest(&(got - want).unwrap()) / largest(want)
    }

    pub(super) fn close(a: &Tensor, b: &Tensor, tolerance: f32) {
        let worst = (a - b).unwrap().abs().unwrap().flatten_all().unwrap().max(0).unwrap().to_scalar::<f32>().unwrap();
        assert!(worst < tolerance, "off by {worst}");
    }

    #[test]
    fn exp_is_exact_to_rounding() {
        for i in -8700..8800 {
            let x = i as f32 * 0.01;
            let want = f64::from(x).exp();
            assert!((f64::from(exp(x)) - want).abs() <= want * 3e-7 + 1e-38, "exp({x})");
        }
    }

    /// Nothing is read beside a tensor, and nothing left out, where shapes don't belong together.
    #[test]
    fn what_does_not_fit_is_refused() {
        let x = |rows: usize| ramp(&[rows, 8], 0.1);
        assert!(swiglu(&x(3), &x(2)).is_err());
        assert!(swiglu_backward(&x(3), &x(3), &x(2)).is_err());
        for weight in [4, 16] {
            assert!(rms_norm(&x(4), &ramp(&[weight], 0.2), 1e-5).is_err());
            assert!(rms_norm_backward(&x(4), &ramp(&[weight], 0.2), 1e-5, &x(4)).is_err());
        }
        assert!(rms_norm_backward(&x(4), &ramp(&[8], 0.2), 1e-5, &x(3)).is_err());
        let causal = Causal { window: None };
        for (rows, keys) in [(8, 4), (8, 3), (7, 4)] {
            let scores = ramp(&[2, rows, keys], 0.1);
            let fits = keys == 4 && rows % 4 == 0;
            assert_eq!(causal_softmax(scores, 1.0, causal, &causal.block(0..4), None).is_ok(), fits, "{rows} {keys}");
        }
        assert!(causal_softmax(ramp(&[2, 8, 4], 0.1), 1.0, causal, &causal.block(4..4), None).is_err());
        assert!(softmax_backward(x(3), &x(2), 1.0).is_err());
    }

    #[test]
    fn swiglu_and_its_backward_equal_autograd() {
        let (g, u, dy) = (ramp(&[3, 7], 0.1), ramp(&[3, 7], 0.5), ramp(&[3, 7], 0.9));
        let (vg, vu) = (Var::from_tensor(&g).unwrap(), Var::from_tensor(&u).unwrap());
        let y = (candle_nn::ops::silu(vg.as_tensor()).unwrap() * vu.as_tensor()).unwrap();
        close(&swiglu(&g, &u).unwrap(), &y, 1e-6);
        let grads = (y * &dy).unwrap().sum_all().unwrap().backward().unwrap();
        let (dg, du) = swiglu_backward(&g, &u, &dy).unwrap();
        close(&dg, grads.get(&vg).unwrap(), 2e-6);
        close(&du, grads.get(&vu).unwrap(), 2e-6);
    }

    #[test]
    fn rope_is_undone_by_the_opposite_angle() {
        let x = ramp(&[6, 2, 8], 0.2);
        let angles = ramp(&[6, 4], 0.4);
        let (cos, sin) = (angles.cos().unwrap(), angles.sin().unwrap());
        let there = rope(&x, &cos, &sin).unwrap();
        close(&rope(&there, &cos, &sin.neg().unwrap()).unwrap(), &x, 1e-6);
    }
}
