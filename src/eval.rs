//! How good the summaries are.

pub mod evaluation;
pub mod report;
pub mod rouge;
pub mod segment;
pub mod stem;
