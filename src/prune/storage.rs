//! A matrix's numbers without a copy, and zeroing some of them in place.

use crate::Result;
use crate::model::kernels;
use candle_core::{CpuStorage, DType, InplaceOp1, Layout, Storage, Tensor};
use std::ops::Deref;

/// The numbers of a tensor: lent where they lie as f32 in this machine's memory, copied otherwise.
pub enum Numbers<'a> {
    /// Nothing may change the tensor while this lives.
    Lent(Box<dyn Deref<Target = Storage> + 'a>, &'a Layout),
    /// From a device or another type.
    Copied(Vec<f32>),
}

impl<'a> Numbers<'a> {
    /// The numbers of `tensor`, row by row.
    ///
    /// # Errors
    /// When the device fails.
    pub fn of(tensor: &'a Tensor) -> Result<Self> {
        if kernels::on_cpu(tensor) && tensor.is_contiguous() {
            let (storage, layout) = tensor.storage_and_layout();
            return Ok(Self::Lent(Box::new(storage), layout));
        }
        Ok(Self::Copied(tensor.flatten_all()?.to_dtype(DType::F32)?.to_vec1()?))
    }

    /// Them.
    ///
    /// # Errors
    /// Never, for what [`Self::of`] made.
    pub fn slice(&self) -> Result<&[f32]> {
        match self {
            Self::Lent(storage, layout) => match &***storage {
                Storage::Cpu(storage) => Ok(kernels::slice(storage, layout)?),
                _ => Err(crate::Error::fault("a matrix has left this machine's memory")),
            },
            Self::Copied(numbers) => Ok(numbers),
        }
    }
}

/// Masks that lie one after another over a tensor.
struct Zero<'a>(&'a [&'a [u8]]);

impl InplaceOp1 for Zero<'_> {
    fn name(&self) -> &'static str {
        "zero-pruned"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> candle_core::Result<()> {
        let mut weights = kernels::slice_mut(storage, layout)?;
        for mask in self.0 {
            let (these, rest) = weights.split_at_mut(mask.len());
            for (w, &pruned) in these.iter_mut().zip(*mask) {
                *w = if pruned == 1 { 0.0 } else { *w };
            }
            weights = rest;
        }
        Ok(())
    }
}

/// Zeroes the entries of `weights` whose mask is 1, in place. The masks lie one after another and have
/// as many entries as `weights` together.
///
/// # Errors
/// When they have not, or the device fails.
pub fn zero(weights: &Tensor, masks: &[&[u8]]) -> Result<()> {
    let entries: usize = masks.iter().map(|m| m.len()).sum();
    if entries != weights.elem_count() {
        return Err(crate::Error::fault(format!("a mask of {entries} entries for {} weights", weights.elem_count())));
    }
    if kernels::in_memory(weights) {
        weights.inplace_op1(&Zero(masks))?;
        return Ok(());
    }
    let mask = Tensor::from_vec(masks.concat(), weights.shape(), weights.device())?;
    let pruned = mask.where_cond(&weights.zeros_like()?, weights)?;
    weights.slice_set(&pruned, 0, 0)?;
    Ok(())
}
