//! The screen: states, snapshots, and the program in a real terminal.
#![allow(dead_code, missing_docs)]

#[path = "../../pty/form.rs"]
mod form;
#[path = "../../pty/picture.rs"]
mod picture;
#[path = "../../pty/terminal.rs"]
mod pty;
#[path = "../../tiny/shim.rs"]
mod shim;
#[path = "../../synthetic/run.rs"]
mod synthetic;
#[path = "../../tiny/project.rs"]
mod tiny;

mod bytes;
mod faulty_screen;
mod keys;
mod looks;
mod random;
mod robust;
mod scene;
mod screen;
mod screen_others;
mod screen_ratios;
mod screen_setup;
mod screen_study;
mod screen_unsaved;
mod snapshots;
mod snapshots_looks;
mod snapshots_ratios;
mod snapshots_runs;
mod snapshots_setup;
mod snapshots_study;
mod soak;
mod themes;
