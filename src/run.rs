//! The contract between engine and workbench: a run directory and its life.

pub mod control;
pub mod event;
