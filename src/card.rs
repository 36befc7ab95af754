//! Kernels of our own for a card: the fused pieces of the decoder, the optimiser and pruning.
//!
//! Their sources (`card/*.cu`) are compiled by `build.rs` to PTX that lies in the binary; the driver makes code of it for
//! whatever card there is. `tests/card` runs them on a CPU. Every function here takes what candle's custom operations are
//! given, contiguous and of one type, and queues its work on the card without waiting for it.

mod attend;
mod dropout;
mod launch;
mod norms;
mod numbers;
mod prune;
mod rows;
mod sent;
mod trained;

pub use attend::{Kept, WIDEST, attend};
pub use dropout::{Draw, dropout, dropout_onto};
pub use launch::{Number, address, keep_memory, most_memory, product_onto, spare_memory};
pub use norms::norms;
pub use numbers::{column_squares, column_squares_of, scaled_rows, swiglu, swiglu_backward};
pub use prune::{Entries, Forgotten, Matrix, Outcome, Scratch, forget, prune};
pub use rows::{causal_softmax, cross_entropy, rms_norm, rms_norm_backward, softmax_backward, swap_axes};
pub use sent::{Sent, put};
pub use trained::{Trained, adamw, descend, square_sum};

use candle_core::{CudaStorage, DType, Layout, Result};

/// A tensor's storage and layout, as custom operations get them.
#[derive(Clone, Copy)]
pub struct On<'a>(pub &'a CudaStorage, pub &'a Layout);

impl On<'_> {
    /// Type of its numbers.
    pub fn dtype(&self) -> DType {
        use candle_core::backend::BackendStorage;
        self.0.dtype()
    }

    fn elements(&self) -> usize {
        self.1.shape().elem_count()
    }

    /// Rows and width, with all dimensions but the last one as rows.
    fn rows(&self) -> (usize, usize) {
        let width = self.1.dims().last().copied().unwrap_or(1);
        (self.elements() / width.max(1), width)
    }
}

/// `$body` with the type `$T` that `$dtype` names.
macro_rules! typed {
    ($dtype:expr, $T:ident => $body:expr) => {
        match $dtype {
            candle_core::DType::F32 => {
                type $T = f32;
                $body
            }
            candle_core::DType::BF16 => {
                type $T = half::bf16;
                $body
            }
            other => candle_core::bail!("no kernel for {other:?}"),
        }
    };
}
pub(crate) use typed;

fn whole(n: usize) -> Result<u32> {
    u32::try_from(n).map_err(|_| candle_core::Error::Msg(format!("{n} is too large for a kernel")))
}
