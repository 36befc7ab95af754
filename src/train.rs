//! The loop: step, prune, evaluate, checkpoint, obey.

pub mod checkpoint;
pub mod evaluate;
pub mod optimizer;
pub mod orders;
pub mod schedule;
pub mod step;
pub mod task;
