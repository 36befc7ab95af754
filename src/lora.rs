//! LoRA adapters: PEFT files in and out, and the merged set that is trained.

pub mod merge;

pub use merge::{MergedModule, MergedSet, Segment};
