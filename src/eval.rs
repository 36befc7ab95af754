//! How good the summaries are.

pub mod report;
pub mod rouge;
pub mod segment;
pub mod stem;
