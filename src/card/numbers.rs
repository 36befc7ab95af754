//! Kernels that take number by number, and sums over columns.

use super::launch::{Kernel, Number, Source, address, address_of, room, view};
use super::{On, typed, whole};
use candle_core::cuda_backend::cudarc::driver::PushKernelArg;
use candle_core::{CudaStorage, DType, Device, Result, Tensor};

const THREADS: usize = 256;
/// Blocks that keep the largest card busy.
const BLOCKS: usize = 4096;
/// Rows that a thread adds up.
const ROWS: usize = 64;

fn blocks(n: usize) -> usize {
    n.div_ceil(4 * THREADS).min(BLOCKS)
}

/// See [`crate::model::kernels::swiglu`].
///
/// # Errors
/// When a tensor is not contiguous, or the card fails.
pub fn swiglu(gate: On<'_>, up: On<'_>) -> Result<CudaStorage> {
    let (device, n) = (&gate.0.device, gate.elements());
    typed!(gate.dtype(), T => {
        let kernel = Kernel::typed::<T>(device, Source::Numbers, "swiglu")?;
        let (g, u, mut out) = (view::<T>(gate)?, view::<T>(up)?, room::<T>(device, n)?);
        kernel.start((blocks(n), 1), THREADS, |k| {
            k.arg(&g).arg(&u).arg(&mut out).arg(&n);
        })?;
        Ok(CudaStorage::wrap_cuda_slice(out, device.clone()))
    })
}

/// See [`crate::model::kernels::swiglu_backward`]: the gradient of the gate, then that of up.
///
/// # Errors
/// When a tensor is not contiguous, or the card fails.
pub fn swiglu_backward(gate: On<'_>, up: On<'_>, dy: On<'_>) -> Result<CudaStorage> {
    let (device, n) = (&gate.0.device, gate.elements());
    typed!(gate.dtype(), T => {
        let kernel = Kernel::typed::<T>(device, Source::Numbers, "swiglu_backward")?;
        let (g, u, dy) = (view::<T>(gate)?, view::<T>(up)?, view::<T>(dy)?);
        let mut both = room::<T>(device, 2 * n)?;
        kernel.start((blocks(n), 1), THREADS, |k| {
            k.arg(&g).arg(&u).arg(&dy).arg(&mut both).arg(&n);
        })?;
        Ok(CudaStorage::wrap_cuda_slice(both, device.clone()))
    })
}

/// See [`crate::model::kernels::scaled_rows`].
///
/// # Errors
/// When a tensor is not contiguous, there is not a scale for every row, or the card fails.
pub fn scaled_rows(x: On<'_>, scales: On<'_>, dtype: DType) -> Result<CudaStorage> {
    let device = &x.0.device;
    let (rows, width) = x.rows();
    if scales.elements() != rows {
        candle_core::bail!("{} scales for {rows} rows", scales.elements());
    }
    let (factors, length) = (view::<f32>(scales)?, whole(width)?);
    typed!(x.dtype(), T => typed!(dtype, U => {
        let name = format!("scaled_rows_{}", T::NAME);
        let kernel = Kernel::typed::<U>(device, Source::Numbers, &name)?;
        let (from, mut out) = (view::<T>(x)?, room::<U>(device, rows * width)?);
        kernel.start((rows, width.div_ceil(4 * THREADS)), THREADS, |k| {
            k.arg(&from).arg(&factors).arg(&mut out).arg(&length);
        })?;
        Ok(CudaStorage::wrap_cuda_slice(out, device.clone()))
    }))
}

/// Σ x² over the rows of `x`, f32.
///
/// # Errors
/// When the tensor is not contiguous, or the card fails.
pub fn column_squares(x: On<'_>) -> Result<CudaStorage> {
    let device = &x.0.device;
    let (rows, columns) = x.rows();
    let parts = rows.div_ceil(ROWS);
    let (count, tall, wide, at_once) = (whole(parts)?, whole(rows)?, whole(columns)?, whole(ROWS)?);
    let (mut apart, mut sums) = (room::<f32>(device, parts * columns)?, room::<f32>(device, columns)?);
    typed!(x.dtype(), T => {
        let kernel = Kernel::typed::<T>(device, Source::Numbers, "column_squares")?;
        let from = view::<T>(x)?;
        kernel.start((columns.div_ceil(THREADS), parts), THREADS, |k| {
            k.arg(&from).arg(&mut apart).arg(&tall).arg(&wide).arg(&at_once);
        })?;
    });
    let kernel = Kernel::of(device, Source::Numbers, "column_sums")?;
    kernel.start((columns.div_ceil(THREADS), 1), THREADS, |k| {
        k.arg(&apart).arg(&mut sums).arg(&count).arg(&wide);
    })?;
    Ok(CudaStorage::wrap_cuda_slice(sums, device.clone()))
}

/// Σ x² over the rows of each of `all`, one after another, f32: for matrices of few columns and as many rows, in one launch. It
/// does not wait for the card.
///
/// # Errors
/// When there are none, one is not on the card, not contiguous or not of the first one's type and rows, or the card fails.
pub fn column_squares_of(all: &[&Tensor]) -> Result<Tensor> {
    let Some(first) = all.first() else { candle_core::bail!("there are no columns to add up") };
    let Device::Cuda(device) = first.device() else { candle_core::bail!("a tensor on a card is needed") };
    let rows = first.dims2()?.0;
    let (mut words, mut total, mut widest) = (Vec::with_capacity(2 * all.len()), 0, 0);
    typed!(first.dtype(), T => {
        for one in all {
            let (tall, columns) = one.dims2()?;
            if tall != rows {
                candle_core::bail!("{tall} rows beside {rows}");
            }
            let place = u64::from(whole(columns)?) | (u64::from(whole(total)?) << 32);
            words.extend([address_of::<T>(one)?, place]);
            total += columns;
            widest = columns.max(widest);
        }
    });
    let sums = Tensor::zeros(total, DType::F32, first.device())?;
    let to = address(&sums)?;
    let parts = rows.div_ceil(ROWS);
    let (count, tall, wide, at_once) = (whole(parts)?, whole(rows)?, whole(total)?, whole(ROWS)?);
    let (words, mut apart) = (device.clone_htod(&words)?, room::<f32>(device, parts * total)?);
    typed!(first.dtype(), T => {
        let kernel = Kernel::typed::<T>(device, Source::Numbers, "column_squares_of")?;
        kernel.start((parts, all.len()), widest.next_multiple_of(32).clamp(32, THREADS), |k| {
            k.arg(&words).arg(&mut apart).arg(&tall).arg(&wide).arg(&at_once);
        })?;
    });
    let kernel = Kernel::of(device, Source::Numbers, "column_sums")?;
    kernel.start((total.div_ceil(THREADS), 1), THREADS, |k| {
        k.arg(&apart).arg(&to).arg(&count).arg(&wide);
    })?;
    Ok(sums)
}
