//! Cross-entropy over the vocabulary, with its gradient.

use super::{exp, in_one_pass, largest, slice_mut, sum_of_exp};
use candle_core::{CpuStorage, D, DType, InplaceOp1, Layout, Result, Tensor};
use rayon::prelude::*;
use std::sync::Mutex;
#[cfg(feature = "cuda")]
use {crate::card, candle_core::CudaStorage};

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
                vectorised!({
                    let max = largest(logits);
                    let own = logits[target] - max;
                    // Pieces, so that a sum over a large vocabulary keeps its precision.
                    let mut sum = 0f64;
                    for piece in logits.chunks(1024) {
                        sum += f64::from(sum_of_exp(piece, max));
                    }
                    if let Some(scale) = self.scale {
                        let factor = (f64::from(scale) / sum) as f32;
                        for l in logits.iter_mut() {
                            *l = exp(*l - max) * factor;
                        }
                        logits[target] -= scale;
                    }
                    (sum.ln() - f64::from(own)) as f32
                })
            })
            .collect();
        if let Ok(mut kept) = self.losses.lock() {
            *kept = losses;
        }
        Ok(())
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, storage: &mut CudaStorage, layout: &Layout) -> Result<()> {
        let losses = card::cross_entropy(storage, layout, self.targets, self.scale)?;
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
    if in_one_pass(&logits) {
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::tests::{close, ramp};
    use super::*;
    use candle_core::{Device, Var};

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
}
