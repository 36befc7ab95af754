//! The frozen base and the trainable decoder around it.

pub mod attention;
pub mod config;
pub mod decoder;
pub mod device;
pub mod generate;
pub mod gguf;
pub mod header;
pub mod inventory;
pub mod kernels;
pub mod linear;
pub mod mapped;
pub mod product;
pub mod weights;

use crate::Error;

impl From<candle_core::Error> for Error {
    fn from(error: candle_core::Error) -> Self {
        let text = error.to_string();
        Self::fault(format!("in the tensor library: {}", text.lines().next().unwrap_or_default()))
    }
}
