//! Updates of all trained matrices at once.

use super::launch::{Kernel, Source, address, room};
use candle_core::cuda_backend::cudarc::driver::PushKernelArg;
use candle_core::{CudaDevice, Device, Result, Tensor};

const THREADS: usize = 256;
/// Blocks for each matrix.
const SHARES: usize = 16;

/// A matrix that is trained, all of them f32, contiguous and of one size.
#[derive(Debug, Clone, Copy)]
pub struct Trained<'a> {
    /// The matrix.
    pub weights: &'a Tensor,
    /// Its gradient.
    pub gradient: &'a Tensor,
    /// First and second moment, for [`adamw`].
    pub moments: Option<(&'a Tensor, &'a Tensor)>,
}

/// The table of `all`, five words each, and their card.
fn table(all: &[Trained<'_>]) -> Result<Option<(CudaDevice, Vec<u64>)>> {
    let Some(first) = all.first() else { return Ok(None) };
    let Device::Cuda(device) = first.weights.device() else { candle_core::bail!("a tensor on a card is needed") };
    let mut words = Vec::with_capacity(5 * all.len());
    for one in all {
        let n = one.weights.elem_count();
        let others = [Some(one.gradient), one.moments.map(|m| m.0), one.moments.map(|m| m.1)];
        if others.iter().flatten().any(|other| other.elem_count() != n) {
            candle_core::bail!("a gradient or a moment is not of the size of its matrix");
        }
        words.push(address(one.weights)?);
        for other in others {
            words.push(other.map_or(Ok(0), address)?);
        }
        words.push(n as u64);
    }
    Ok(Some((device.clone(), words)))
}

/// One update of AdamW of every matrix, with `train::optimizer`'s numbers in the order of the kernel's: factor of the
/// gradient, decay, 1 − β₁, β₂, 1 − β₂, ε, rate, correction.
///
/// # Errors
/// When a tensor is not on the card, not f32 or not contiguous, or the card fails.
pub fn adamw(all: &[Trained<'_>], numbers: [f32; 8]) -> Result<()> {
    let Some((device, words)) = table(all)? else { return Ok(()) };
    if all.iter().any(|one| one.moments.is_none()) {
        candle_core::bail!("a matrix without moments");
    }
    let words = device.clone_htod(&words)?;
    let kernel = Kernel::of(&device, Source::Numbers, "adamw")?;
    kernel.start((SHARES, all.len()), THREADS, |k| {
        k.arg(&words);
        numbers.iter().for_each(|number| {
            k.arg(number);
        });
    })
}

/// One step of gradient descent of every matrix: w · decay − rate · g.
///
/// # Errors
/// When a tensor is not on the card, not f32 or not contiguous, or the card fails.
pub fn descend(all: &[Trained<'_>], rate: f32, decay: f32) -> Result<()> {
    let Some((device, words)) = table(all)? else { return Ok(()) };
    let words = device.clone_htod(&words)?;
    let kernel = Kernel::of(&device, Source::Numbers, "descend")?;
    kernel.start((SHARES, all.len()), THREADS, |k| {
        k.arg(&words).arg(&rate).arg(&decay);
    })
}

/// Σ g² over all gradients. It waits for the card.
///
/// # Errors
/// When a tensor is not on the card, not f32 or not contiguous, or the card fails.
pub fn square_sum(gradients: &[&Tensor]) -> Result<f64> {
    let all: Vec<Trained<'_>> = gradients.iter().map(|g| Trained { weights: g, gradient: g, moments: None }).collect();
    let Some((device, words)) = table(&all)? else { return Ok(0.0) };
    let words = device.clone_htod(&words)?;
    let mut parts = room::<f64>(&device, SHARES * all.len())?;
    let kernel = Kernel::of(&device, Source::Numbers, "squares")?;
    kernel.start((SHARES, all.len()), THREADS, |k| {
        k.arg(&words).arg(&mut parts);
    })?;
    Ok(device.clone_dtoh(&parts)?.iter().sum())
}
