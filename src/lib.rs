//! lopper merges several LoRA adapters on a frozen base model, fine-tunes them on a few dozen
//! examples and, after every update, zeroes the parameters that matter least (Adaptive LoRA Merge
//! with Parameter Pruning, arXiv 2505.24174).
//!
//! ```text
//! recipe ─▶ run::launch ─spawn─▶ worker process: model ▸ lora ▸ train ▸ prune ▸ eval
//!                                     │ Observer::record(Event)          ▲ commands, read between steps
//!                                     ▼                                  │
//!                        run directory: recipe.toml · events.jsonl · control.jsonl · checkpoints/ · result/
//!                                     │ run::tail                        ▲ run::control appends
//!                                     ▼                                  │
//!  keys, mouse, resize ─▶ app::update(&mut App, Message) ─▶ Vec<Effect> ─┘
//!                                     │
//!                                     ▼
//!                        ui::draw(&App, &Theme, Frame) ─▶ terminal
//! ```
//!
//! The engine (`model`, `lora`, `prune`, `data`, `train`, `eval`) knows nothing of terminals, the
//! workbench (`app`, `ui`, `theme`, `terminal`) nothing of tensors; between them lies the run
//! directory (`run`).

pub mod app;
pub mod bounded;
#[cfg(feature = "cuda")]
pub mod card;
pub mod cli;
pub mod config;
pub mod contained;
pub mod data;
pub mod demo;
pub mod error;
pub mod eval;
pub mod hub;
pub mod lora;
pub mod model;
pub mod module;
pub mod prune;
pub mod recipe;
pub mod run;
pub mod study;
pub mod sweep;
pub mod terminal;
pub mod text;
pub mod theme;
pub mod train;
pub mod ui;

pub use error::{Error, Result};
