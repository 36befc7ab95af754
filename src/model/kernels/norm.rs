//! Root-mean-square norm, forward and backward.

use super::{OfThree, PIECE, Pass, alike, dot, in_one_pass, slice};
use candle_core::{CpuStorage, CustomOp2, D, DType, Layout, Result, Shape, Tensor};
use rayon::prelude::*;
#[cfg(feature = "cuda")]
use {
    crate::card::{self, On},
    candle_core::CudaStorage,
};

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
            vectorised!({
                let r = 1.0 / (dot(x, x) / d as f32 + self.eps).sqrt();
                for ((out, x), w) in out.iter_mut().zip(x).zip(w) {
                    *out = x * r * w;
                }
            });
        });
        Ok((CpuStorage::F32(out), l1.shape().clone()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, s1: &CudaStorage, l1: &Layout, s2: &CudaStorage, l2: &Layout) -> Result<(CudaStorage, Shape)> {
        Ok((card::rms_norm(On(s1, l1), On(s2, l2), self.eps)?, l1.shape().clone()))
    }
}

/// Root-mean-square norm over the last dimension, times `weight`.
///
/// # Errors
/// When shapes or types don't fit.
pub fn rms_norm(x: &Tensor, weight: &Tensor, eps: f64) -> Result<Tensor> {
    if in_one_pass(x) && weight.dims() == [x.dim(D::Minus1)?] {
        return x.contiguous()?.apply_op2_no_bwd(weight, &RmsNorm { eps: eps as f32 });
    }
    candle_nn::ops::rms_norm(x, weight, eps as f32)
}

struct RmsNormBackward {
    eps: f32,
}

impl OfThree for RmsNormBackward {
    const NAME: &'static str = "rms-norm-backward";

    fn here(&self, [x, w, dy]: [&[f32]; 3], dims: &[usize]) -> Result<(Vec<f32>, Shape)> {
        let d = w.len();
        let mut dx = vec![0f32; x.len()];
        dx.par_chunks_mut(d).with_min_len(PIECE.div_ceil(d)).zip(x.par_chunks(d)).zip(dy.par_chunks(d)).for_each(
            |((dx, x), dy)| {
                vectorised!({
                    let r = 1.0 / (dot(x, x) / d as f32 + self.eps).sqrt();
                    for (dx, (w, dy)) in dx.iter_mut().zip(w.iter().zip(dy)) {
                        *dx = w * dy;
                    }
                    let c = dot(x, dx) * r * r * r / d as f32;
                    for (dx, x) in dx.iter_mut().zip(x) {
                        *dx = *dx * r - x * c;
                    }
                });
            },
        );
        Ok((dx, dims.into()))
    }

    #[cfg(feature = "cuda")]
    fn on_card(&self, [x, w, dy]: [On<'_>; 3]) -> Result<(CudaStorage, Shape)> {
        Ok((card::rms_norm_backward(x, w, dy, self.eps)?, x.1.shape().clone()))
    }
}

/// Gradient of [`rms_norm`] with respect to `x`; the weight is frozen.
///
/// # Errors
/// When shapes or types don't fit.
pub fn rms_norm_backward(x: &Tensor, weight: &Tensor, eps: f64, dy: &Tensor) -> Result<Tensor> {
    if in_one_pass(x) && alike(&[x, dy]) && weight.dims() == [x.dim(D::Minus1)?] {
        let op = Pass(RmsNormBackward { eps: eps as f32 });
        return x.contiguous()?.apply_op3_no_bwd(weight, &dy.contiguous()?, &op);
    }
    let (x32, dy32) = (x.to_dtype(DType::F32)?, dy.to_dtype(DType::F32)?);
    let wdy = dy32.broadcast_mul(&weight.to_dtype(DType::F32)?)?;
    let r = (x32.sqr()?.mean_keepdim(D::Minus1)? + eps)?.sqrt()?.recip()?;
    let c = (x32.mul(&wdy)?.mean_keepdim(D::Minus1)? * r.powf(3.0)?)?;
    (wdy.broadcast_mul(&r)? - x32.broadcast_mul(&c)?)?.to_dtype(x.dtype())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::tests::{close, ramp};
    use super::*;
    use candle_core::Var;

    #[test]
    fn rms_norm_backward_equals_autograd() {
        let (x, w, dy) = (ramp(&[5, 32], 0.1), ramp(&[32], 0.5), ramp(&[5, 32], 0.9));
        let var = Var::from_tensor(&x).unwrap();
        let y = candle_nn::ops::rms_norm_slow(var.as_tensor(), &w, 1e-5).unwrap();
        let grads = (y * &dy).unwrap().sum_all().unwrap().backward().unwrap();
        close(&rms_norm_backward(&x, &w, 1e-5, &dy).unwrap(), grads.get(&var).unwrap(), 2e-6);
    }
}
