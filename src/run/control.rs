//! Commands to a worker: lines of `control.jsonl`, appended by any reader of the run.

use serde::{Deserialize, Serialize};

/// One line of the control file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// Format version, [`super::event::VERSION`].
    pub v: u32,
    /// Unique per run; the journal answers by it.
    pub id: String,
    /// Unix time in seconds.
    pub t: f64,
    /// What to do.
    #[serde(flatten)]
    pub command: Command,
}

/// What a worker can be told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Command {
    /// Wait after this step.
    Pause,
    /// Go on after a pause.
    Resume,
    /// Write a checkpoint and end; `lopper resume` goes on from there.
    Stop,
    /// Write a checkpoint after this step and go on.
    Checkpoint,
    /// Use these prune rules from the next step (appended to the recipe's, the last match wins).
    SetRatios {
        /// The rules.
        rules: Vec<crate::recipe::ratios::Rule>,
    },
    /// Write the sample summaries now.
    Generate,
}
