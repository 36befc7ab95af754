//! Norms of what all matrices multiply, from the sums of squares that lie on the card: see `numbers.cu`.

use super::launch::{Kernel, Source, address};
use super::whole;
use candle_core::cuda_backend::cudarc::driver::PushKernelArg;
use candle_core::{DType, Device, Result, Tensor};

const THREADS: usize = 256;
/// Blocks for each input.
const SHARES: usize = 8;

/// The roots of all `sums`, one after another. With `means`, laid out like them, the roots of the exponential means of what was
/// before and of these, which the means become; they begin with these where it says so (true). It does not wait for the card.
///
/// # Errors
/// When a tensor is not on the card, not f32 or not contiguous, there are more or fewer means than sums, or the card fails.
pub fn norms(sums: &[Tensor], means: Option<(&Tensor, bool)>) -> Result<Tensor> {
    let Some(first) = sums.first() else { candle_core::bail!("there are no squares to take roots of") };
    let Device::Cuda(device) = first.device() else { candle_core::bail!("a tensor on a card is needed") };
    let count: usize = sums.iter().map(Tensor::elem_count).sum();
    if means.is_some_and(|(means, _)| means.elem_count() != count) {
        candle_core::bail!("the means are not of {count} sums");
    }
    let norms = Tensor::zeros(count, DType::F32, first.device())?;
    let to = address(&norms)?;
    let of = means.map(|(means, _)| address(means)).transpose()?;
    let begins = u64::from(means.is_some_and(|(_, begins)| begins));
    let mut words = Vec::with_capacity(4 * sums.len());
    let mut offset = 0;
    for one in sums {
        let n = one.elem_count();
        let length = u64::from(whole(n)?) | (begins << 32);
        words.extend([address(one)?, of.map_or(0, |of| of + offset), to + offset, length]);
        offset += 4 * n as u64;
    }
    let words = device.clone_htod(&words)?;
    let kernel = Kernel::of(device, Source::Numbers, "roots")?;
    kernel.start((SHARES, sums.len()), THREADS, |k| {
        k.arg(&words);
    })?;
    Ok(norms)
}
