//! The frozen base and the trainable decoder around it.

pub mod attention;
pub mod config;
pub mod decoder;
pub mod device;
mod few;
pub mod file;
pub mod generate;
pub mod gguf;
pub mod header;
pub mod inventory;
pub mod kernels;
pub mod linear;
pub mod matrix;
pub mod product;
pub mod rounded;
pub mod weights;

use crate::Error;

/// How the sentence about a card without free memory begins.
pub(crate) const CARD_FULL: &str = "the card's memory is full";

impl From<candle_core::Error> for Error {
    fn from(error: candle_core::Error) -> Self {
        let text = error.to_string();
        if ["OUT_OF_MEMORY", "STATUS_ALLOC"].iter().any(|sign| text.contains(sign)) {
            return Self::user(format!(
                "{CARD_FULL}: lower train.micro_tokens or data.max_document_tokens, or use a smaller base"
            ));
        }
        Self::fault(format!("in the tensor library: {}", text.lines().next().unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_card_is_something_to_mend() {
        let full = candle_core::Error::Msg("DriverError(CUDA_ERROR_OUT_OF_MEMORY, \"out of memory\")".into());
        assert_eq!(Error::from(full).exit_code(), 2);
        assert_eq!(Error::from(candle_core::Error::Msg("shapes differ".into())).exit_code(), 1);
    }
}
