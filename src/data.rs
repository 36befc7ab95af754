//! Examples in, tokens and loss masks out: [`dataset`] reads files, [`tokenizer`] a model's vocabulary,
//! [`template`] puts the question, [`render`] its text, [`batch`] packs sequences for the model,
//! [`overlap`] says what splits share.

pub mod batch;
pub mod chat;
pub mod dataset;
pub mod overlap;
pub mod preview;
pub mod render;
pub mod template;
pub mod tokenizer;

pub use batch::{Batch, Epochs};
pub use dataset::{Dataset, Example, Fields};
pub use template::{Sequence, Template};
pub use tokenizer::Tokenizer;
