//! The engine and its commands: numbers against PyTorch and PEFT, runs from start to end and through faults.
#![allow(dead_code, missing_docs)]

#[path = "../../tiny/case.rs"]
mod case;
#[path = "../../tiny/disk.rs"]
mod disk;
#[path = "../../tiny/shim.rs"]
mod shim;
#[path = "../../tiny/project.rs"]
mod tiny;

mod card;
mod cuda;
mod decoder;
mod eval;
mod faulty;
mod kernel;
mod kills;
mod layering;
mod paper;
mod paths;
mod peft;
mod prune;
mod resume;
mod run;
mod smollm2;
mod sources;
mod survive;
mod sweep;
mod templates;
mod twin;
mod weights;
mod what_if;
mod writes;
