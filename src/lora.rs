//! LoRA adapters: PEFT files in and out, and the merged set that is trained.

pub mod gradients;
pub mod merge;

pub use gradients::{Gradients, SquareSums};
pub use merge::{MergedModule, MergedSet, Segment};
