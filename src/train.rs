//! The loop: step, prune, evaluate, checkpoint, obey.

pub mod optimizer;
pub mod schedule;
