//! Numbers from this machine's memory in a tensor on a card.

use super::launch::view_mut;
use candle_core::cuda_backend::CudaDType;
use candle_core::cuda_backend::cudarc::driver::DeviceRepr;
use candle_core::{CpuStorage, CudaStorage, InplaceOp1, Layout, Result, Tensor};

/// A type whose numbers can be sent to a card.
pub trait Sent: CudaDType + DeviceRepr + 'static {}

impl<T: CudaDType + DeviceRepr + 'static> Sent for T {}

/// Some numbers of a tensor, from one on.
struct Piece<'a, T> {
    at: usize,
    numbers: &'a [T],
}

impl<T: Sent> InplaceOp1 for Piece<'_, T> {
    fn name(&self) -> &'static str {
        "put"
    }

    fn cpu_fwd(&self, _: &mut CpuStorage, _: &Layout) -> Result<()> {
        candle_core::bail!("a tensor on a card is needed")
    }

    fn cuda_fwd(&self, storage: &mut CudaStorage, layout: &Layout) -> Result<()> {
        let device = storage.device.clone();
        let mut all = view_mut::<T>(storage, layout)?;
        let mut these = all.slice_mut(self.at..self.at + self.numbers.len());
        device.memcpy_htod(self.numbers, &mut these)
    }
}

/// Puts `numbers` in a contiguous `tensor`, from number `at` on. They may be changed as soon as it returns, which may be before
/// they are there.
///
/// # Errors
/// When the tensor is not on a card, not contiguous, of another type or shorter, or the card fails.
pub fn put<T: Sent>(tensor: &Tensor, at: usize, numbers: &[T]) -> Result<()> {
    let end = at + numbers.len();
    if end > tensor.elem_count() {
        candle_core::bail!("numbers {at} to {end} are not of {:?}", tensor.dims());
    }
    tensor.inplace_op1(&Piece { at, numbers })
}
