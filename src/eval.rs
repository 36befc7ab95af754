//! How good the summaries are, and how sure that is.

pub mod bertscore;
pub mod bleu;
pub mod evaluation;
pub mod markup;
pub mod mecab;
pub mod report;
pub mod rouge;
pub mod segment;
pub mod significance;
pub mod stem;
pub mod surface;
