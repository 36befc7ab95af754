//! Which runs the list shows, and in which order.

use crate::run::RunState;
use crate::run::listing::Summary;
use std::cmp::Ordering;

/// What the list can be sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Column {
    /// When it was started.
    Started,
    /// How it stands: what needs looking at first.
    State,
    /// Its name.
    Name,
    /// Training loss.
    Train,
    /// Dev loss.
    Dev,
    /// ROUGE-L of the result.
    Rouge,
    /// Share that is zero.
    Sparsity,
    /// How long it took.
    Duration,
}

impl Column {
    /// All, in the order of the key.
    pub const ALL: [Self; 8] =
        [Self::Started, Self::State, Self::Name, Self::Train, Self::Dev, Self::Rouge, Self::Sparsity, Self::Duration];

    /// What it is called.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::State => "state",
            Self::Name => "run",
            Self::Train => "train",
            Self::Dev => "dev",
            Self::Rouge => "ROUGE-L",
            Self::Sparsity => "sparsity",
            Self::Duration => "took",
        }
    }

    /// Whether the usual order is from high to low.
    pub const fn falls(self) -> bool {
        matches!(self, Self::Started | Self::Rouge | Self::Sparsity | Self::Duration)
    }

    fn figure(self, row: &Summary, now: f64) -> Option<f64> {
        match self {
            Self::Started => Some(row.started),
            Self::State => Some(rank(row.state)),
            Self::Name => None,
            Self::Train => row.train_loss,
            Self::Dev => row.dev_loss,
            Self::Rouge => row.rouge.map(|r| r.rouge_l),
            Self::Sparsity => row.sparsity,
            Self::Duration => Some(duration(row, now)),
        }
        .filter(|v| v.is_finite())
    }
}

/// Seconds from the first event to the last, to now while it is under way; while it is paused the clock stands.
pub fn duration(row: &Summary, now: f64) -> f64 {
    let until = if row.state == RunState::Running { now.max(row.last) } else { row.last };
    (until - row.started).max(0.0)
}

const fn rank(state: RunState) -> f64 {
    match state {
        RunState::Running => 0.0,
        RunState::Paused => 1.0,
        RunState::Crashed => 2.0,
        RunState::Failed => 3.0,
        RunState::Stopped => 4.0,
        RunState::Created => 5.0,
        RunState::Finished => 6.0,
    }
}

/// Whether every word of `filter` is in the run's name, state or tags.
pub fn matches(row: &Summary, filter: &str) -> bool {
    let kind = row.study.map_or("", crate::study::Kind::word);
    let text = format!("{} {} {kind} {}", row.name, row.state.word(), row.notes.tags.join(" ")).to_lowercase();
    filter.split_whitespace().all(|word| text.contains(word.trim_start_matches('#').to_lowercase().as_str()))
}

/// Sorts by a column; runs without a figure come last either way, equals by their start and name.
pub fn sort(rows: &mut [&Summary], (column, falls): (Column, bool), now: f64) {
    rows.sort_by(|a, b| {
        let by = match column {
            Column::Name => turn(a.name.cmp(&b.name), falls),
            _ => match (column.figure(a, now), column.figure(b, now)) {
                (Some(a), Some(b)) => turn(a.total_cmp(&b), falls),
                (a, b) => b.is_some().cmp(&a.is_some()),
            },
        };
        by.then(b.started.total_cmp(&a.started)).then(a.name.cmp(&b.name))
    });
}

fn turn(order: Ordering, falls: bool) -> Ordering {
    if falls { order.reverse() } else { order }
}
