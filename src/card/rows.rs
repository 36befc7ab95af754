//! Kernels of which a block works on one row: norms, softmax, cross-entropy.

use super::launch::{Kernel, Source, room, view, view_mut};
use super::{On, typed, whole};
use candle_core::cuda_backend::cudarc::driver::PushKernelArg;
use candle_core::{CudaStorage, Layout, Result};

/// Threads for a row of `width` numbers: about four numbers each.
fn threads(width: usize) -> usize {
    width.div_ceil(4).next_multiple_of(32).clamp(32, 512)
}

/// See [`crate::model::kernels::rms_norm`].
///
/// # Errors
/// When a tensor is not contiguous, or the card fails.
pub fn rms_norm(x: On<'_>, weight: On<'_>, eps: f32) -> Result<CudaStorage> {
    let device = &x.0.device;
    let (rows, width) = x.rows();
    let length = whole(width)?;
    typed!(x.dtype(), T => {
        let kernel = Kernel::typed::<T>(device, Source::Rows, "rms_norm")?;
        let (from, w, mut y) = (view::<T>(x)?, view::<T>(weight)?, room::<T>(device, rows * width)?);
        kernel.start((rows, 1), threads(width), |k| {
            k.arg(&from).arg(&w).arg(&mut y).arg(&length).arg(&eps);
        })?;
        Ok(CudaStorage::wrap_cuda_slice(y, device.clone()))
    })
}

/// See [`crate::model::kernels::rms_norm_backward`].
///
/// # Errors
/// When a tensor is not contiguous, or the card fails.
pub fn rms_norm_backward(x: On<'_>, weight: On<'_>, dy: On<'_>, eps: f32) -> Result<CudaStorage> {
    let device = &x.0.device;
    let (rows, width) = x.rows();
    let length = whole(width)?;
    typed!(x.dtype(), T => {
        let kernel = Kernel::typed::<T>(device, Source::Rows, "rms_norm_backward")?;
        let (from, w, dy) = (view::<T>(x)?, view::<T>(weight)?, view::<T>(dy)?);
        let mut dx = room::<T>(device, rows * width)?;
        kernel.start((rows, 1), threads(width), |k| {
            k.arg(&from).arg(&w).arg(&dy).arg(&mut dx).arg(&length).arg(&eps);
        })?;
        Ok(CudaStorage::wrap_cuda_slice(dx, device.clone()))
    })
}

/// Softmax of `scale` · scores, in place: `queries` queries from the `query`th on over keys from the `key`th on, `window` back
/// or (0) all.
///
/// # Errors
/// When the tensor is not contiguous, or the card fails.
pub fn causal_softmax(
    storage: &mut CudaStorage,
    layout: &Layout,
    [queries, query, key, window]: [usize; 4],
    scale: f32,
) -> Result<()> {
    let device = storage.device.clone();
    let (rows, width) = On(storage, layout).rows();
    let (length, places) = (whole(width)?, [whole(queries)?, whole(query)?, whole(key)?, whole(window)?]);
    typed!(On(storage, layout).dtype(), T => {
        let kernel = Kernel::typed::<T>(&device, Source::Rows, "causal_softmax")?;
        let mut scores = view_mut::<T>(storage, layout)?;
        kernel.start((rows, 1), threads(width), |k| {
            k.arg(&mut scores).arg(&length);
            places.iter().for_each(|place| {
                k.arg(place);
            });
            k.arg(&scale);
        })
    })
}

/// See [`crate::model::kernels::softmax_backward`]; `dp` is changed.
///
/// # Errors
/// When a tensor is not contiguous, or the card fails.
pub fn softmax_backward(dp: &mut CudaStorage, layout: &Layout, p: On<'_>, scale: f32) -> Result<()> {
    let device = dp.device.clone();
    let (rows, width) = p.rows();
    let length = whole(width)?;
    typed!(p.dtype(), T => {
        let kernel = Kernel::typed::<T>(&device, Source::Rows, "softmax_backward")?;
        let (mut dp, p) = (view_mut::<T>(dp, layout)?, view::<T>(p)?);
        kernel.start((rows, 1), threads(width), |k| {
            k.arg(&mut dp).arg(&p).arg(&length).arg(&scale);
        })
    })
}

/// The loss of every row of logits, which become the gradient of `scale` · Σ losses if there is a scale. It waits for the card.
///
/// # Errors
/// When the tensor is not contiguous, or the card fails.
pub fn cross_entropy(
    logits: &mut CudaStorage,
    layout: &Layout,
    targets: &[u32],
    scale: Option<f32>,
) -> Result<Vec<f32>> {
    let device = logits.device.clone();
    let (rows, width) = On(logits, layout).rows();
    if rows != targets.len() || targets.iter().any(|&target| target as usize >= width) {
        candle_core::bail!("{rows} rows of logits over {width} tokens don't fit the {} targets", targets.len());
    }
    if rows == 0 {
        return Ok(Vec::new());
    }
    let (length, scale) = (whole(width)?, scale.unwrap_or(0.0));
    let (targets, mut losses) = (device.clone_htod(targets)?, room::<f32>(&device, rows)?);
    typed!(On(logits, layout).dtype(), T => {
        let kernel = Kernel::typed::<T>(&device, Source::Rows, "cross_entropy")?;
        let mut logits = view_mut::<T>(logits, layout)?;
        kernel.start((rows, 1), 1024, |k| {
            k.arg(&mut logits).arg(&targets).arg(&mut losses).arg(&length).arg(&scale);
        })?;
    });
    device.clone_dtoh(&losses)
}

/// (rows, columns, width) → (columns, rows, width).
///
/// # Errors
/// When the tensor is not contiguous, or the card fails.
pub fn swap_axes(x: On<'_>) -> Result<CudaStorage> {
    let device = &x.0.device;
    let (rows, columns, width) = x.1.shape().dims3()?;
    let sizes = [whole(rows)?, whole(columns)?, whole(width)?];
    typed!(x.dtype(), T => {
        let kernel = Kernel::typed::<T>(device, Source::Rows, "swap_axes")?;
        let (from, mut out) = (view::<T>(x)?, room::<T>(device, x.elements())?);
        kernel.start((rows * columns, 1), width.next_multiple_of(32).clamp(32, 256), |k| {
            k.arg(&from).arg(&mut out);
            sizes.iter().for_each(|size| {
                k.arg(size);
            });
        })?;
        Ok(CudaStorage::wrap_cuda_slice(out, device.clone()))
    })
}
