//! Dropout, drawn where it is applied: see `numbers.cu`.

use super::launch::{Kernel, Source, room, view, view_mut};
use super::{On, typed};
use candle_core::cuda_backend::cudarc::driver::{LaunchArgs, PushKernelArg};
use candle_core::{CudaStorage, Layout, Result};

const THREADS: usize = 256;
/// Blocks that keep the largest card busy.
const BLOCKS: usize = 4096;
/// Inputs for which a thread draws at once.
const INPUTS: usize = 8;

/// Where the numbers of a mask come from, and what becomes of them.
#[derive(Debug, Clone, Copy)]
pub struct Draw {
    /// `ChaCha8`'s key.
    pub key: [u64; 4],
    /// Its stream.
    pub stream: u64,
    /// The lowest number, of 53 bits, whose input is kept.
    pub least: u64,
    /// What an input that is kept is multiplied by.
    pub factor: f32,
}

impl Draw {
    /// Its arguments, in the order in which both kernels take them.
    fn push<'a>(&'a self, kernel: &mut LaunchArgs<'a>) {
        for word in &self.key {
            kernel.arg(word);
        }
        kernel.arg(&self.stream).arg(&self.least).arg(&self.factor);
    }
}

fn blocks(n: usize) -> usize {
    n.div_ceil(INPUTS * THREADS).min(BLOCKS)
}

/// `x` after dropout. It does not wait for the card.
///
/// # Errors
/// When the tensor is not contiguous, or the card fails.
pub fn dropout(x: On<'_>, draw: &Draw) -> Result<CudaStorage> {
    let (device, n) = (&x.0.device, x.elements());
    typed!(x.dtype(), T => {
        let kernel = Kernel::typed::<T>(device, Source::Numbers, "dropout")?;
        let (from, mut y) = (view::<T>(x)?, room::<T>(device, n)?);
        kernel.start((blocks(n), 1), THREADS, |k| {
            k.arg(&from).arg(&mut y).arg(&n);
            draw.push(k);
        })?;
        Ok(CudaStorage::wrap_cuda_slice(y, device.clone()))
    })
}

/// y + `x` after dropout; `y` is changed. It does not wait for the card.
///
/// # Errors
/// When a tensor is not contiguous or not of the other's size and type, or the card fails.
pub fn dropout_onto(y: &mut CudaStorage, layout: &Layout, x: On<'_>, draw: &Draw) -> Result<()> {
    let (device, n) = (x.0.device.clone(), x.elements());
    if layout.shape().elem_count() != n {
        candle_core::bail!("dropout of {n} inputs is not added to {:?}", layout.dims());
    }
    typed!(x.dtype(), T => {
        let kernel = Kernel::typed::<T>(&device, Source::Numbers, "dropout_onto")?;
        let (from, mut y) = (view::<T>(x)?, view_mut::<T>(y, layout)?);
        kernel.start((blocks(n), 1), THREADS, |k| {
            k.arg(&from).arg(&mut y).arg(&n);
            draw.push(k);
        })
    })
}
