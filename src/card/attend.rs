//! Attention of the next token over what is kept of its sequence: see `attend.cu`.

use super::launch::{Kernel, Source, address_of, room, view};
use super::{On, typed, whole};
use candle_core::cuda_backend::cudarc::driver::PushKernelArg;
use candle_core::{CudaStorage, Result, Tensor};

/// Warps of a block, as in the kernel.
const WARPS: usize = 4;
/// The widest head that there is a kernel for.
pub const WIDEST: usize = 256;

/// What is kept of a sequence.
#[derive(Debug, Clone, Copy)]
pub struct Kept<'a> {
    /// (key heads, room, dim), contiguous.
    pub keys: &'a Tensor,
    /// The same.
    pub values: &'a Tensor,
    /// How many keys and values there are without the new one.
    pub filled: usize,
}

/// The attended row of the next token of every sequence: `q` (sequences, query heads, dim), `k` and `v` (sequences, key heads,
/// dim), which are kept behind the others. `window` keys are seen or (0) all.
///
/// # Errors
/// When shapes or types don't fit, the room of a sequence is used up, or the card fails.
pub fn attend(
    (q, k, v): (On<'_>, On<'_>, On<'_>),
    kept: &[Kept<'_>],
    window: usize,
    scale: f32,
) -> Result<CudaStorage> {
    let device = &q.0.device;
    let (sequences, heads, dim) = q.1.shape().dims3()?;
    let key_heads = k.1.shape().dims3()?.1;
    let fits = |x: On<'_>| x.1.dims() == [sequences, key_heads, dim] && x.dtype() == q.dtype();
    if kept.len() != sequences || !fits(k) || !fits(v) || key_heads == 0 || heads % key_heads != 0 || dim > WIDEST {
        candle_core::bail!("{:?}, {:?} and {} sequences don't fit", q.1.dims(), k.1.dims(), kept.len());
    }
    let (group, length, seen) = (whole(heads / key_heads)?, whole(dim)?, whole(window)?);
    typed!(q.dtype(), T => {
        let mut words = Vec::with_capacity(3 * sequences);
        for of in kept {
            let (heads, room, width) = of.keys.dims3()?;
            if of.values.dims() != of.keys.dims() || (heads, width) != (key_heads, dim) || of.filled >= room {
                candle_core::bail!("no room for the next token in {:?}, {} filled", of.keys.dims(), of.filled);
            }
            let places = u64::from(whole(of.filled + 1)?) | (u64::from(whole(room)?) << 32);
            words.extend([address_of::<T>(of.keys)?, address_of::<T>(of.values)?, places]);
        }
        let table = device.clone_htod(&words)?;
        let (new_keys, new_values) = (view::<T>(k)?, view::<T>(v)?);
        let append = Kernel::typed::<T>(device, Source::Attend, "append")?;
        append.start((key_heads, sequences), dim.next_multiple_of(32), |a| {
            a.arg(&table).arg(&new_keys).arg(&new_values).arg(&length);
        })?;
        let each = dim.div_ceil(32).next_power_of_two();
        let attend = Kernel::typed::<T>(device, Source::Attend, &format!("attend_{each}"))?;
        let (from, mut out) = (view::<T>(q)?, room::<T>(device, q.elements())?);
        attend.start((heads, sequences), 32 * WARPS, |a| {
            a.arg(&table).arg(&from).arg(&mut out).arg(&group).arg(&length).arg(&seen).arg(&scale);
        })?;
        Ok(CudaStorage::wrap_cuda_slice(out, device.clone()))
    })
}
