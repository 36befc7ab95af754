//! An evaluation or a sweep, as data: its table, how that is sorted, what lies over it.

mod update;

pub use update::update;

use super::action::study::Study as Key;
use super::clean;
use super::palette::Palette;
use super::scroll::Reach;
use super::themes::{Choice, Themes};
use crate::run::RunState;
use crate::study::standing::Line;
use crate::study::{Kind, Standing};
use std::cmp::Ordering;
use std::path::PathBuf;

/// What has the keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pane {
    /// Methods, or settings.
    Table,
    /// What the figures are, and what makes them say less.
    Notes,
    /// A metric against the prune ratio.
    Curve,
}

/// What lies over the table.
#[derive(Debug, Clone, PartialEq)]
pub enum Overlay {
    /// The key table, from this line on.
    Help {
        /// Lines scrolled.
        top: usize,
    },
    /// The runs of a row.
    Runs {
        /// The row's name.
        row: String,
        /// What is told of each, and its directory.
        runs: Vec<(String, PathBuf)>,
        /// The one under the cursor.
        at: usize,
    },
    /// The actions by name.
    Palette(Palette),
    /// Themes to choose from.
    Themes(Choice),
}

/// What the program does for the screen.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Show a run; come back afterwards.
    Watch {
        /// Its directory.
        run: PathBuf,
        /// Of an evaluation the method of the row: what is shown first.
        method: Option<String>,
    },
    /// Leave the screen.
    Quit,
    /// Suspend to the shell.
    Suspend,
    /// Draw everything anew.
    Redraw,
}

/// What happens to the screen.
#[derive(Debug, Clone, PartialEq)]
pub enum Message {
    /// A key, by its name in the action table.
    Key(String),
    /// Text was pasted: never keys.
    Paste(String),
    /// How it stands now.
    Standing(Box<Standing>),
    /// The folder cannot be read.
    Unreadable(String),
    /// Something to tell the user for a while.
    Toast(String),
    /// The clock, Unix seconds.
    Tick(f64),
}

/// The state of the screen. Every text in it is harmless ([`clean`]).
#[derive(Debug, Clone)]
pub struct Study {
    /// The folder's name.
    pub folder: String,
    /// How it stands, once it was read.
    pub standing: Option<Standing>,
    /// Why it cannot be read.
    pub error: Option<String>,
    /// The row under the cursor, by its name.
    selected: Option<String>,
    /// Its place when it was last seen.
    at: usize,
    /// The column that orders the table, by its name, and whether from high to low; as it comes if there is none.
    pub order: Option<(String, bool)>,
    /// What has the keys.
    pub pane: Pane,
    /// Notes scrolled.
    pub top: usize,
    /// What lies over the table.
    pub overlay: Option<Overlay>,
    /// How far the key table can be scrolled.
    pub reach: Reach,
    /// A message for a while, and until when.
    pub toast: Option<(String, f64)>,
    /// The clock.
    pub now: f64,
    /// The theme, and those that there are.
    pub themes: Themes,
}

impl Study {
    /// A screen on a folder of which nothing is known yet.
    pub fn new(folder: &str) -> Self {
        Self {
            folder: clean::line(folder),
            standing: None,
            error: None,
            selected: None,
            at: 0,
            order: None,
            pane: Pane::Table,
            top: 0,
            overlay: None,
            reach: Reach::default(),
            toast: None,
            now: 0.0,
            themes: Themes::default(),
        }
    }

    /// The rows in their order.
    pub fn rows(&self) -> Vec<&Line> {
        let Some(standing) = &self.standing else { return Vec::new() };
        let mut rows: Vec<&Line> = standing.lines.iter().collect();
        let column = self
            .order
            .as_ref()
            .and_then(|(name, falls)| standing.heads.iter().position(|head| head.name == *name).map(|at| (at, *falls)));
        if let Some((at, falls)) = column {
            let value = |row: &Line| row.cells.get(at).and_then(|cell| cell.value).filter(|v| v.is_finite());
            rows.sort_by(|a, b| match (value(a), value(b)) {
                (Some(a), Some(b)) if falls => b.total_cmp(&a),
                (Some(a), Some(b)) => a.total_cmp(&b),
                // Without a figure they come last either way.
                (a, b) => b.is_some().cmp(&a.is_some()),
            });
        } else if self.order.as_ref().is_some_and(|(_, falls)| *falls) {
            rows.reverse();
        }
        rows
    }

    /// The row under the cursor.
    pub fn cursor(&self) -> usize {
        let rows = self.rows();
        let here = self.selected.as_ref().and_then(|name| rows.iter().position(|row| row.name == *name));
        here.unwrap_or_else(|| self.at.min(rows.len().saturating_sub(1)))
    }

    /// The line under the cursor.
    pub fn current(&self) -> Option<&Line> {
        self.rows().get(self.cursor()).copied()
    }

    /// The method that a row is about; settings of a sweep are none.
    fn method(&self, row: &str) -> Option<String> {
        let is_evaluation = self.standing.as_ref().is_some_and(|standing| standing.kind == Kind::Evaluation);
        is_evaluation.then(|| row.to_owned())
    }

    /// The panes that there are.
    pub fn panes(&self) -> &'static [Pane] {
        if self.standing.as_ref().is_some_and(|standing| standing.curve.is_some()) {
            &[Pane::Table, Pane::Notes, Pane::Curve]
        } else {
            &[Pane::Table, Pane::Notes]
        }
    }

    /// Whether an action has something to do.
    pub fn works(&self, action: Key) -> bool {
        match action {
            Key::Open => {
                self.pane == Pane::Table
                    && self.current().is_some_and(|row| row.parts.iter().any(|part| part.run.is_some()))
            }
            Key::Order | Key::Reverse => self.standing.as_ref().is_some_and(|standing| standing.lines.len() > 1),
            _ => true,
        }
    }

    fn go_to(&mut self, at: usize) {
        let rows = self.rows();
        let at = at.min(rows.len().saturating_sub(1));
        let name = rows.get(at).map(|row| row.name.clone());
        (self.at, self.selected) = (at, name);
    }
}

/// How the parts of a row stand, those that failed first: `seed 2 failed: ...`.
pub fn told(row: &Line) -> Vec<(String, RunState)> {
    let worst = |state: RunState| match state {
        RunState::Failed | RunState::Crashed => 0,
        RunState::Running | RunState::Paused => 1,
        RunState::Stopped => 2,
        RunState::Created => 3,
        RunState::Finished => 4,
    };
    let mut parts: Vec<_> = row.parts.iter().collect();
    parts.sort_by_key(|part| worst(part.state));
    let text = |part: &crate::study::standing::Part| {
        let word = if part.state == RunState::Created { "waiting" } else { part.state.word() };
        let label = if part.label.is_empty() { String::new() } else { format!("{} ", part.label) };
        let said = if part.said.is_empty() { String::new() } else { format!(": {}", part.said) };
        format!("{label}{word}{said}")
    };
    parts.into_iter().map(|part| (text(part), part.state)).collect()
}

/// The standing with every text in it harmless.
fn tidy(mut standing: Standing) -> Standing {
    let heads = standing.heads.iter_mut().map(|head| &mut head.name);
    let one = [&mut standing.name, &mut standing.said];
    one.into_iter().chain(heads).chain(&mut standing.notes).for_each(|text| *text = clean::line(text));
    for line in &mut standing.lines {
        line.name = clean::line(&line.name);
        line.cells.iter_mut().for_each(|cell| cell.text = clean::line(&cell.text));
        for part in &mut line.parts {
            (part.label, part.said) = (clean::line(&part.label), clean::line(&part.said));
        }
    }
    standing
}

/// The orders in turn: as it comes, then by every column.
fn next_order(study: &Study) -> Option<(String, bool)> {
    let heads = study.standing.as_ref().map_or(&[][..], |standing| &standing.heads);
    let at = study.order.as_ref().and_then(|(name, _)| heads.iter().position(|head| head.name == *name));
    let next = heads.get(at.map_or(0, |at| at + 1));
    next.map(|head| (head.name.clone(), head.falls))
}

/// The same order the other way round.
fn reversed(study: &Study) -> Option<(String, bool)> {
    match &study.order {
        None => Some((String::new(), true)),
        Some((name, true)) if name.is_empty() => None,
        Some((name, falls)) => Some((name.clone(), !falls)),
    }
}

/// Whether a value is before another: what stands out as the best of a column.
pub fn best(standing: &Standing, at: usize) -> Option<f64> {
    let head = standing.heads.get(at)?;
    let values = standing.lines.iter().filter_map(|line| line.cells.get(at)?.value).filter(|v| v.is_finite());
    values.max_by(|a, b| {
        let order = a.total_cmp(b);
        if head.falls { order } else { Ordering::reverse(order) }
    })
}
