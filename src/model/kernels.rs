//! Fused pieces of the decoder, forward and backward.
//!
//! Every function has one pass over f32 slices for the CPU and a path of plain tensor operations
//! for other devices and types. Nothing here records a graph: the backward passes are written out.
//! [`tensor_operations_only`] takes the second path on the CPU too, so that the two can be compared.

use candle_core::{
    CpuStorage, CustomOp2, CustomOp3, D, DType, Device, InplaceOp1, InplaceOp2, Layout, Result, Shape, Tensor,
};
use rayon::prelude::*;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

/// Rows are handed to threads in pieces of at least this many numbers.
const PIECE: usize = 16 * 1024;

static TENSOR_OPERATIONS: AtomicBool = AtomicBool::new(false);

/// Makes this process compute with tensor operations alone, as it is done on a card, and not with the
/// passes over slices that the CPU has: what tests compare.
pub fn tensor_operations_only(yes: bool) {
    TENSOR_OPERATIONS.store(yes, Ordering::Relaxed);
}

/// Whether `x` lies in this machine's memory and may be worked on as a slice, by several threads.
pub(crate) fn in_memory(x: &Tensor) -> bool {
    x.device().is_cpu() && !TENSOR_OPERATIONS.load(Ordering::Relaxed)
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

pub(crate) fn slice_mut<'a>(storage: &'a mut CpuStorage, layout: &Layout) -> Result<&'a mut [f32]> {
    let CpuStorage::F32(data) = storage else { candle_core::bail!("an f32 tensor is needed") };
    match layout.contiguous_offsets() {
        Some((from, to)) => Ok(&mut data[from..to]),
        None => candle_core::bail!("a contiguous tensor is needed"),
    }
}

/// e^x to about 2 ulp, without a branch or a call, so that loops over it are vectorised.
/// Inputs below −87 give 0 to within 1e-38; inputs above 88 are clamped.
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

#[allow(clippy::inline_always, reason = "it has to vectorise in its loops")]
#[inline(always)]
fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// Sums of a row run in this many lanes: as many as a vector register has, and no chain of roundings along the row,
/// which would put one and the same error on all its numbers.
const LANES: usize = 16;

/// Σ f(i, lane's numbers) in [`LANES`] lanes, which are added in pairs.
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

fn sum(x: &[f32]) -> f32 {
    let mut sums = [0f32; LANES];
    let pieces = x.chunks_exact(LANES);
    let rest = pieces.remainder();
    for piece in pieces {
        sums.iter_mut().zip(piece).for_each(|(s, x)| *s += x);
    }
    sums.iter_mut().zip(rest).for_each(|(s, x)| *s += x);
    lanes(sums)
}

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

struct RmsNorm {
    eps: f32,
}

impl CustomOp2 for RmsNorm {
    fn name(&self) -> &'static str {
        "rms-norm"
    }

    fn cpu_fwd(&self, s1: &CpuStorage, l1: &Layout, s2: &CpuStorage, l2: &Layout) -> Result<(CpuStorage, Shape)> {
        let (x, w) = (slice(s1, l1)?, slice(s2, l2)?);
        let d = w.len();
        let mut out = vec![0f32; x.len()];
        out.par_chunks_mut(d).with_min_len(PIECE.div_ceil(d)).zip(x.par_chunks(d)).for_each(|(out, x)| {
            let r = 1.0 / (dot(x, x) / d as f32 + self.eps).sqrt();
            for ((out, x), w) in out.iter_mut().zip(x).zip(w) {
                *out = x * r * w;
            }
        });
        Ok((CpuStorage::F32(out), l1.shape().clone()))
    }
}

/// Root-mean-square norm over the last dimension, times `weight`.
///
/// # Errors
/// When shapes or types don't fit.
pub fn rms_norm(x: &Tensor, weight: &Tensor, eps: f64) -> Result<Tensor> {
    if on_cpu(x) {
        return x.contiguous()?.apply_op2_no_bwd(weight, &RmsNorm { eps: eps as f32 });
    }
    candle_nn::ops::rms_norm(x, weight, eps as f32)
}

struct RmsNormBackward {
    eps: f32,
}

impl CustomOp3 for RmsNormBackward {
    fn name(&self) -> &'static str {
        "rms-norm-backward"
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
        let (x, w, dy) = (slice(s1, l1)?, slice(s2, l2)?, slice(s3, l3)?);
        let d = w.len();
        let mut dx = vec![0f32; x.len()];
        dx.par_chunks_mut(d).with_min_len(PIECE.div_ceil(d)).zip(x.par_chunks(d)).zip(dy.par_chunks(d)).for_each(
            |((dx, x), dy)| {
                let r = 1.0 / (dot(x, x) / d as f32 + self.eps).sqrt();
                dx.iter_mut().zip(w.iter().zip(dy)).for_each(|(dx, (w, dy))| *dx = w * dy);
                let c = dot(x, dx) * r * r * r / d as f32;
                dx.iter_mut().zip(x).for_each(|(dx, x)| *dx = *dx * r - x * c);
            },
        );
        Ok((CpuStorage::F32(dx), l1.shape().clone()))
    }
}

/// Gradient of [`rms_norm`] with respect to `x`; the weight is frozen.
///
/// # Errors
/// When shapes or types don't fit.
pub fn rms_norm_backward(x: &Tensor, weight: &Tensor, eps: f64, dy: &Tensor) -> Result<Tensor> {
    if on_cpu(x) {
        return x.contiguous()?.apply_op3_no_bwd(weight, &dy.contiguous()?, &RmsNormBackward { eps: eps as f32 });
    }
    let (x32, dy32) = (x.to_dtype(DType::F32)?, dy.to_dtype(DType::F32)?);
    let wdy = dy32.broadcast_mul(&weight.to_dtype(DType::F32)?)?;
    let r = (x32.sqr()?.mean_keepdim(D::Minus1)? + eps)?.sqrt()?.recip()?;
    let c = (x32.mul(&wdy)?.mean_keepdim(D::Minus1)? * r.powf(3.0)?)?;
    (wdy.broadcast_mul(&r)? - x32.broadcast_mul(&c)?)?.to_dtype(x.dtype())
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
            for ((out, &g), &u) in out.iter_mut().zip(g).zip(u) {
                *out = g * sigmoid(g) * u;
            }
        });
        Ok((CpuStorage::F32(out), l1.shape().clone()))
    }
}

/// silu(gate) · up.
///
/// # Errors
/// When shapes or types don't fit.
pub fn swiglu(gate: &Tensor, up: &Tensor) -> Result<Tensor> {
    if on_cpu(gate) {
        return gate.apply_op2_no_bwd(up, &SwiGlu);
    }
    candle_nn::ops::silu(gate)?.mul(up)
}

struct SwiGluBackward;

impl CustomOp3 for SwiGluBackward {
    fn name(&self) -> &'static str {
        "swiglu-backward"
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
        let (gate, up, dy) = (slice(s1, l1)?, slice(s2, l2)?, slice(s3, l3)?);
        let mut both = vec![0f32; 2 * gate.len()];
        let (d_gate, d_up) = both.split_at_mut(gate.len());
        d_gate
            .par_chunks_mut(PIECE)
            .zip(d_up.par_chunks_mut(PIECE))
            .zip(gate.par_chunks(PIECE).zip(up.par_chunks(PIECE)).zip(dy.par_chunks(PIECE)))
            .for_each(|((d_gate, d_up), ((gate, up), dy))| {
                for ((d_gate, d_up), ((&g, &u), &dy)) in d_gate.iter_mut().zip(d_up).zip(gate.iter().zip(up).zip(dy)) {
                    let s = sigmoid(g);
                    *d_gate = dy * u * s * (1.0 + g * (1.0 - s));
                    *d_up = dy * g * s;
                }
            });
        let mut dims = vec![2];
        dims.extend_from_slice(l1.dims());
        Ok((CpuStorage::F32(both), dims.into()))
    }
}

/// Gradients of [`swiglu`] with respect to gate and up.
///
/// # Errors
/// When shapes or types don't fit.
pub fn swiglu_backward(gate: &Tensor, up: &Tensor, dy: &Tensor) -> Result<(Tensor, Tensor)> {
    if on_cpu(gate) {
        let both = gate.apply_op3_no_bwd(up, &dy.contiguous()?, &SwiGluBackward)?;
        return Ok((both.get(0)?, both.get(1)?));
    }
    let s = candle_nn::ops::sigmoid(gate)?;
    let silu = gate.mul(&s)?;
    let slope = ((gate.mul(&(1.0 - &s)?)? + 1.0)? * s)?;
    Ok(((dy * up)?.mul(&slope)?, dy.mul(&silu)?))
}

/// What a query may see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Causal {
    /// How many keys back, itself included; `None` for all.
    pub window: Option<usize>,
}

impl Causal {
    /// The keys that query `i` sees.
    fn range(self, i: usize) -> std::ops::Range<usize> {
        self.window.map_or(0, |w| (i + 1).saturating_sub(w))..i + 1
    }
}

struct CausalSoftmax {
    causal: Causal,
    scale: f32,
    keys: usize,
}

impl InplaceOp1 for CausalSoftmax {
    fn name(&self) -> &'static str {
        "causal-softmax"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> Result<()> {
        let t = self.keys;
        let scores = slice_mut(storage, layout)?;
        scores.par_chunks_mut(t).with_min_len(PIECE.div_ceil(t)).enumerate().for_each(|(row, scores)| {
            let seen = self.causal.range(row % t);
            scores[..seen.start].fill(0.0);
            scores[seen.end..].fill(0.0);
            let seen = &mut scores[seen];
            let max = seen.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            seen.iter_mut().for_each(|s| *s = exp((*s - max) * self.scale));
            let inverse = 1.0 / sum(seen);
            seen.iter_mut().for_each(|s| *s *= inverse);
        });
        Ok(())
    }
}

/// Attention weights of one sequence: softmax over the keys that each query sees of `scale · scores`.
/// `scores` is (heads, rows, t) with rows a multiple of t (grouped queries one after another); it is
/// consumed, on CPU in place. `mask` is [`hidden`]'s, made where it is needed if left out.
///
/// # Errors
/// When shapes or types don't fit.
pub fn causal_softmax(scores: Tensor, scale: f64, causal: Causal, mask: Option<&Tensor>) -> Result<Tensor> {
    let (heads, rows, t) = scores.dims3()?;
    if on_cpu(&scores) {
        scores.inplace_op1(&CausalSoftmax { causal, scale: scale as f32, keys: t })?;
        return Ok(scores);
    }
    let mask = match mask {
        Some(mask) => mask.clone(),
        None => hidden(t, causal, scores.dtype(), scores.device())?,
    };
    let scores = (scores.reshape((heads * rows / t, t, t))? * scale)?.broadcast_add(&mask)?;
    candle_nn::ops::softmax_last_dim(&scores)?.reshape((heads, rows, t))
}

/// What is added to the scores of `t` queries over `t` keys: 0 for a key that is seen, −∞ for the others. (1, t, t).
///
/// # Errors
/// When memory is short.
pub fn hidden(t: usize, causal: Causal, dtype: DType, device: &Device) -> Result<Tensor> {
    let mut mask = vec![f32::NEG_INFINITY; t * t];
    for (i, row) in mask.chunks_mut(t).enumerate() {
        row[causal.range(i)].fill(0.0);
    }
    Tensor::from_vec(mask, (1, t, t), device)?.to_dtype(dtype)
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
            let dot = dot(dp, p);
            for (dp, p) in dp.iter_mut().zip(p) {
                *dp = (*dp - dot) * p * self.scale;
            }
        });
        Ok(())
    }
}

/// Gradient of the unscaled scores from the gradient `dp` of the attention weights `p`; `dp` is consumed.
///
/// # Errors
/// When shapes or types don't fit.
pub fn softmax_backward(dp: Tensor, p: &Tensor, scale: f64) -> Result<Tensor> {
    if on_cpu(&dp) {
        let keys = dp.dim(D::Minus1)?;
        dp.inplace_op2(p, &SoftmaxBackward { scale: scale as f32, keys })?;
        return Ok(dp);
    }
    // In f32: the rows are sums of small numbers of both signs.
    let (dp, p32) = (dp.to_dtype(DType::F32)?, p.to_dtype(DType::F32)?);
    let dot = dp.mul(&p32)?.sum_keepdim(D::Minus1)?;
    (dp.broadcast_sub(&dot)?.mul(&p32)? * scale)?.to_dtype(p.dtype())
}

struct CrossEntropy<'a> {
    targets: &'a [u32],
    /// Factor on the gradient; `None` leaves the logits as they are.
    scale: Option<f32>,
    losses: Mutex<Vec<f32>>,
}

impl InplaceOp1 for CrossEntropy<'_> {
    fn name(&self) -> &'static str {
        "cross-entropy"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> Result<()> {
        let vocabulary = layout.dims()[1];
        let logits = slice_mut(storage, layout)?;
        let losses: Vec<f32> = logits
            .par_chunks_mut(vocabulary)
            .zip(self.targets)
            .map(|(logits, &target)| {
                let target = target as usize;
                let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                let own = logits[target] - max;
                // Pieces, so that a sum over a large vocabulary keeps its precision.
                let sum: f64 =
                    logits.chunks(1024).map(|c| f64::from(c.iter().map(|l| exp(l - max)).sum::<f32>())).sum();
                if let Some(scale) = self.scale {
                    let factor = (f64::from(scale) / sum) as f32;
                    logits.iter_mut().for_each(|l| *l = exp(*l - max) * factor);
                    logits[target] -= scale;
                }
                (sum.ln() - f64::from(own)) as f32
            })
            .collect();
        if let Ok(mut kept) = self.losses.lock() {
            *kept = losses;
        }
        Ok(())
    }
}

/// Cross-entropy of every row of `logits` (n, vocabulary) against `targets` (n), in nats. With
/// `scale`, the logits' gradient of `scale · Σ losses` comes back too. `logits` is consumed.
///
/// # Errors
/// When shapes or types don't fit.
pub fn cross_entropy(logits: Tensor, targets: &[u32], scale: Option<f64>) -> Result<(Vec<f32>, Option<Tensor>)> {
    let (n, vocabulary) = logits.dims2()?;
    if n != targets.len() || targets.iter().any(|&t| t as usize >= vocabulary) {
        candle_core::bail!("{n} rows of logits over {vocabulary} tokens don't fit the {} targets", targets.len());
    }
    if on_cpu(&logits) {
        let op = CrossEntropy { targets, scale: scale.map(|s| s as f32), losses: Mutex::new(Vec::new()) };
        logits.inplace_op1(&op)?;
        let losses = op.losses.into_inner().unwrap_or_default();
        return Ok((losses, scale.map(|_| logits)));
    }
    let dtype = logits.dtype();
    let log_p = candle_nn::ops::log_softmax(&logits.to_dtype(DType::F32)?, D::Minus1)?;
    let index = Tensor::new(targets, logits.device())?.unsqueeze(1)?;
    let losses = log_p.gather(&index, 1)?.neg()?.squeeze(1)?.to_vec1::<f32>()?;
    let Some(scale) = scale else { return Ok((losses, None)) };
    let ones = Tensor::full(-1f32, (n, 1), logits.device())?;
    let gradient = (log_p.exp()?.scatter_add(&index, &ones, 1)? * scale)?;
    Ok((losses, Some(gradient.to_dtype(dtype)?)))
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
mod tests {
    use super::*;
    use candle_core::Var;

    fn ramp(shape: &[usize], seed: f32) -> Tensor {
        let n: usize = shape.iter().product();
        let values: Vec<f32> = (0..n).map(|i| ((i as f32 * 0.7311 + seed) * 1.913).sin() * 1.5).collect();
        Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
    }

    fn close(a: &Tensor, b: &Tensor, tolerance: f32) {
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

    #[test]
    fn rms_norm_backward_equals_autograd() {
        let (x, w, dy) = (ramp(&[5, 32], 0.1), ramp(&[32], 0.5), ramp(&[5, 32], 0.9));
        let var = Var::from_tensor(&x).unwrap();
        let y = candle_nn::ops::rms_norm_slow(var.as_tensor(), &w, 1e-5).unwrap();
        let grads = (y * &dy).unwrap().sum_all().unwrap().backward().unwrap();
        close(&rms_norm_backward(&x, &w, 1e-5, &dy).unwrap(), grads.get(&var).unwrap(), 2e-6);
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
            let p = causal_softmax(s.copy().unwrap(), 0.25, causal, None).unwrap();
            close(&p, &want, 1e-6);
            let grads = (want * &dp).unwrap().sum_all().unwrap().backward().unwrap();
            let ds = softmax_backward(dp.copy().unwrap(), &p, 0.25).unwrap();
            close(&ds, grads.get(&var).unwrap(), 1e-6);
        }
    }

    #[test]
    fn cross_entropy_and_its_gradient_equal_autograd() {
        let logits = ramp(&[4, 3000], 0.3);
        let targets = [7u32, 0, 2999, 1234];
        let var = Var::from_tensor(&logits).unwrap();
        let index = Tensor::new(&targets, &Device::Cpu).unwrap();
        let want = candle_nn::loss::cross_entropy(var.as_tensor(), &index).unwrap();
        let grads = want.backward().unwrap();
        let (losses, gradient) = cross_entropy(logits.copy().unwrap(), &targets, Some(0.25)).unwrap();
        let mean = losses.iter().sum::<f32>() / 4.0;
        assert!((mean - want.to_scalar::<f32>().unwrap()).abs() < 1e-5);
        close(&gradient.unwrap(), grads.get(&var).unwrap(), 1e-7);
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
