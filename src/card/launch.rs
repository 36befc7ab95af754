//! The only unsafe code of this crate: memory of a card before anything is in it, starting a kernel, cuBLAS.
//!
//! What has to hold: a kernel gets as many arguments, of such types, as its source has, and works within the buffers; cuBLAS
//! gets the sizes that the matrices have. The functions of [`super`] see to the first, [`product_onto`] to the second.
#![allow(unsafe_code)]

use candle_core::cuda_backend::CudaDType;
use candle_core::cuda_backend::cudarc::cublas::sys::cublasOperation_t::{CUBLAS_OP_N, CUBLAS_OP_T};
use candle_core::cuda_backend::cudarc::cublas::{CudaBlas, Gemm, GemmConfig};
use candle_core::cuda_backend::cudarc::driver::{
    CudaFunction, CudaSlice, CudaStream, CudaView, CudaViewMut, DevicePtr, DeviceRepr, LaunchArgs, LaunchConfig,
    ValidAsZeroBits,
};
use candle_core::cuda_backend::cudarc::driver::{result, sys::CUmemPool_attribute};
use candle_core::{CudaDevice, CudaStorage, Error, Layout, Result, Storage, Tensor};
use half::bf16;
use std::sync::Arc;

mod ptx {
    #![allow(missing_docs)]
    include!(concat!(env!("OUT_DIR"), "/card.rs"));
}

/// A type that kernels are compiled for.
pub trait Number: CudaDType + DeviceRepr + ValidAsZeroBits {
    /// How kernels call it.
    const NAME: &'static str;
    /// 1.
    const ONE: Self;
}

impl Number for f32 {
    const NAME: &'static str = "float";
    const ONE: Self = 1.0;
}

impl Number for bf16 {
    const NAME: &'static str = "bf16";
    const ONE: Self = Self::ONE;
}

/// A file of kernels.
#[derive(Debug, Clone, Copy)]
pub(super) enum Source {
    Rows,
    Numbers,
    Select,
    Attend,
}

impl Source {
    fn ptx(self) -> (&'static str, &'static str) {
        match self {
            Self::Rows => ("lopper-rows", ptx::ROWS),
            Self::Numbers => ("lopper-numbers", ptx::NUMBERS),
            Self::Select => ("lopper-select", ptx::SELECT),
            Self::Attend => ("lopper-attend", ptx::ATTEND),
        }
    }
}

/// What a driver's refusal comes to.
pub(super) fn failed(error: impl std::fmt::Display) -> Error {
    Error::Msg(format!("the card: {error}"))
}

/// Keeps memory that is free again for what comes next: by default the driver takes it back whenever it is waited for,
/// several times a step. And leaves out the events that every tensor would get for streams that there are not.
///
/// # Errors
/// When the card has no such memory.
pub fn keep_memory(device: &CudaDevice) -> Result<()> {
    let stream = device.cuda_stream();
    let mut most = u64::MAX;
    // SAFETY: the attribute is a u64, which the driver reads before it returns; all work is queued by one thread on one stream
    // (see `model::device`).
    unsafe {
        device.disable_event_tracking();
        let pool = result::device::get_default_mem_pool(stream.context().cu_device()).map_err(failed)?;
        let what = CUmemPool_attribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD;
        result::mem_pool::set_attribute(pool, what, std::ptr::from_mut(&mut most).cast()).map_err(failed)
    }
}

/// A figure of the card's pool of memory.
fn of_pool(device: &CudaDevice, what: CUmemPool_attribute) -> Result<u64> {
    let stream = device.cuda_stream();
    let mut bytes = 0u64;
    // SAFETY: the attributes asked for are u64, which the driver has written when it returns.
    unsafe {
        let pool = result::device::get_default_mem_pool(stream.context().cu_device()).map_err(failed)?;
        result::mem_pool::get_attribute(pool, what, std::ptr::from_mut(&mut bytes).cast()).map_err(failed)?;
    }
    Ok(bytes)
}

/// The most bytes that were in use at once, without what cuBLAS holds for itself.
///
/// # Errors
/// When the card has no such memory.
pub fn most_memory(device: &CudaDevice) -> Result<u64> {
    of_pool(device, CUmemPool_attribute::CU_MEMPOOL_ATTR_USED_MEM_HIGH)
}

/// Bytes that are kept for what comes next.
///
/// # Errors
/// When the card has no such memory.
pub fn spare_memory(device: &CudaDevice) -> Result<u64> {
    let reserved = of_pool(device, CUmemPool_attribute::CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT)?;
    Ok(reserved.saturating_sub(of_pool(device, CUmemPool_attribute::CU_MEMPOOL_ATTR_USED_MEM_CURRENT)?))
}

/// A kernel on a card, ready to be started.
pub(super) struct Kernel {
    function: CudaFunction,
    stream: Arc<CudaStream>,
}

impl Kernel {
    pub fn of(device: &CudaDevice, source: Source, name: &str) -> Result<Self> {
        let (module, ptx) = source.ptx();
        let lacking = |error: Error| Error::Msg(format!("the kernel {name} of {module}: {error}"));
        let function = device.get_or_load_custom_func(name, module, ptx).map_err(lacking)?.into_cuda_function();
        Ok(Self { function, stream: device.cuda_stream() })
    }

    /// The same, for a type.
    pub fn typed<T: Number>(device: &CudaDevice, source: Source, name: &str) -> Result<Self> {
        Self::of(device, source, &format!("{name}_{}", T::NAME))
    }

    /// Queues it over a grid of blocks of `threads` threads, a multiple of 32; `push` gives its arguments.
    pub fn start<'a>(
        &'a self,
        (x, y): (usize, usize),
        threads: usize,
        push: impl FnOnce(&mut LaunchArgs<'a>),
    ) -> Result<()> {
        if x == 0 || y == 0 {
            return Ok(());
        }
        let mut arguments = self.stream.launch_builder(&self.function);
        push(&mut arguments);
        let config = LaunchConfig {
            grid_dim: (super::whole(x)?, super::whole(y)?, 1),
            block_dim: (super::whole(threads)?, 1, 1),
            shared_mem_bytes: 0,
        };
        // SAFETY: see above.
        unsafe { arguments.launch(config) }.map_err(failed)?;
        Ok(())
    }
}

/// Room for `n` numbers. What was there before is there until a kernel writes all of it.
pub(super) fn room<T: DeviceRepr>(device: &CudaDevice, n: usize) -> Result<CudaSlice<T>> {
    // SAFETY: every caller has a kernel write all of it before anything reads it.
    unsafe { device.alloc::<T>(n.max(1)) }
}

fn offsets(layout: &Layout) -> Result<(usize, usize)> {
    match layout.contiguous_offsets() {
        Some(offsets) => Ok(offsets),
        None => candle_core::bail!("a contiguous tensor is needed"),
    }
}

/// The numbers of a contiguous tensor.
pub(super) fn view<T: Number>(super::On(storage, layout): super::On<'_>) -> Result<CudaView<'_, T>> {
    let (from, to) = offsets(layout)?;
    Ok(storage.as_cuda_slice::<T>()?.slice(from..to))
}

/// The same, to be changed.
pub(super) fn view_mut<'a, T: CudaDType>(storage: &'a mut CudaStorage, layout: &Layout) -> Result<CudaViewMut<'a, T>> {
    let (from, to) = offsets(layout)?;
    Ok(storage.as_cuda_slice_mut::<T>()?.slice_mut(from..to))
}

/// Where the numbers of a contiguous f32 tensor lie on its card: for tables that kernels read. It stays there as long as the
/// tensor does.
///
/// # Errors
/// When the tensor is no such.
pub fn address(tensor: &Tensor) -> Result<u64> {
    address_of::<f32>(tensor)
}

/// The same of a type.
pub(super) fn address_of<T: Number>(tensor: &Tensor) -> Result<u64> {
    let (storage, layout) = tensor.storage_and_layout();
    let Storage::Cuda(storage) = &*storage else { candle_core::bail!("a tensor on a card is needed") };
    Ok(place(storage, &view::<T>(super::On(storage, layout))?))
}

fn place<T>(storage: &CudaStorage, view: &impl DevicePtr<T>) -> u64 {
    let stream = storage.device.cuda_stream();
    view.device_ptr(&stream).0
}

/// Where a buffer lies.
pub(super) fn start_of<T>(device: &CudaDevice, buffer: &CudaSlice<T>) -> u64 {
    let stream = device.cuda_stream();
    buffer.device_ptr(&stream).0
}

/// c + a · b into `c` (m × n), either factor as it lies or (true) transposed.
///
/// # Errors
/// When shapes or types don't fit, or cuBLAS fails.
pub fn product_onto<T: Number>(
    (storage, layout): (&mut CudaStorage, &Layout),
    (a, a_turned): (super::On<'_>, bool),
    (b, b_turned): (super::On<'_>, bool),
) -> Result<()>
where
    CudaBlas: Gemm<T>,
{
    let oriented = |on: super::On<'_>, turned: bool| {
        let (rows, columns) = on.1.shape().dims2()?;
        Ok::<_, Error>(if turned { (columns, rows) } else { (rows, columns) })
    };
    let (m, n) = layout.shape().dims2()?;
    let ((a_rows, k), (b_rows, b_columns)) = (oriented(a, a_turned)?, oriented(b, b_turned)?);
    if (a_rows, b_rows, b_columns) != (m, k, n) {
        candle_core::bail!("the product of {a_rows} x {k} and {b_rows} x {b_columns} is not {m} x {n}");
    }
    if m == 0 || n == 0 || k == 0 {
        return Ok(());
    }
    let length = |n: usize| i32::try_from(n).map_err(failed);
    // cuBLAS thinks in columns: our rows of c are columns of bᵀ·aᵀ there.
    let config = GemmConfig {
        transa: if b_turned { CUBLAS_OP_T } else { CUBLAS_OP_N },
        transb: if a_turned { CUBLAS_OP_T } else { CUBLAS_OP_N },
        m: length(n)?,
        n: length(m)?,
        k: length(k)?,
        alpha: T::ONE,
        lda: length(if b_turned { k } else { n })?,
        ldb: length(if a_turned { m } else { k })?,
        beta: T::ONE,
        ldc: length(n)?,
    };
    let blas = storage.device.cublas_handle();
    let (a, b) = (view::<T>(a)?, view::<T>(b)?);
    let mut c = view_mut::<T>(storage, layout)?;
    // SAFETY: the sizes are those of the views.
    unsafe { blas.gemm(config, &b, &a, &mut c) }.map_err(failed)
}
