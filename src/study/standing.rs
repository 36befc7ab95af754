//! How a study stands: its table as far as it is filled, with the runs behind each row.

use super::Kind;
use crate::run::RunState;
use std::path::PathBuf;

/// A run behind a row.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Part {
    /// What tells it from the row's others: `seed 2`; empty where there are none.
    pub label: String,
    /// Its directory; `None` where it was not begun.
    pub run: Option<PathBuf>,
    /// How far it is with the row: created while it has not come to it, running at it, finished, stopped, failed.
    pub state: RunState,
    /// What it is at, or why it failed.
    pub said: String,
}

/// A cell of the table.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Cell {
    /// As it is shown; empty where it is not known yet.
    pub text: String,
    /// What it is sorted by.
    pub value: Option<f64>,
    /// What it tells beside its number: `*`, `**`.
    pub mark: &'static str,
}

/// A method of an evaluation, or settings of a sweep.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Line {
    /// The method, or the settings.
    pub name: String,
    /// One a column.
    pub cells: Vec<Cell>,
    /// The runs behind it, one a seed.
    pub parts: Vec<Part>,
    /// The method that all others are compared with, or the settings that were chosen.
    pub stands_out: bool,
}

/// A column.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Head {
    /// What it is called.
    pub name: String,
    /// Whether its larger values come first.
    pub falls: bool,
    /// Higher stays longer where there is no room for all.
    pub weight: u8,
}

/// A study as it is now.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    /// Which question it answers.
    pub kind: Kind,
    /// The recipe's name.
    pub name: String,
    /// How the work on it stands.
    pub state: RunState,
    /// The last word, once it is over.
    pub said: String,
    /// Runs that are finished, and those it comes to.
    pub runs: (usize, usize),
    /// The columns.
    pub heads: Vec<Head>,
    /// The rows, as the method or the rank orders them.
    pub lines: Vec<Line>,
    /// What the figures are, what makes them say less than they seem to, what failed.
    pub notes: Vec<String>,
    /// A metric against the prune ratio, in braille and in ASCII.
    pub curve: Option<[String; 2]>,
}

impl Line {
    /// How the row stands: failed if a part has, running while one is at it, finished when all are.
    pub fn state(&self) -> RunState {
        let any = |state: RunState| self.parts.iter().any(|part| part.state == state);
        let all = |state: RunState| !self.parts.is_empty() && self.parts.iter().all(|part| part.state == state);
        for state in [RunState::Failed, RunState::Crashed, RunState::Running, RunState::Paused, RunState::Stopped] {
            if any(state) {
                return state;
            }
        }
        if all(RunState::Finished) { RunState::Finished } else { RunState::Created }
    }

    /// Parts that are done, and all.
    pub fn done(&self) -> (usize, usize) {
        (self.parts.iter().filter(|part| part.state == RunState::Finished).count(), self.parts.len())
    }
}
