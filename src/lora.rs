//! LoRA adapters: PEFT files in and out, the merged set that is trained, and merges without training.

pub mod adapter;
pub mod combine;
pub mod export;
pub mod gradients;
pub mod merge;
pub mod targets;

pub use adapter::{Adapter, Pair};
pub use gradients::{Gradients, SquareSums};
pub use merge::{MergedModule, MergedSet, Segment};
