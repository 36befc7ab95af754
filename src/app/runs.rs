//! The list of runs, as data: what is known of each, what is shown, what lies over it.

pub mod compare;
pub mod difference;
pub mod order;
mod over;
pub mod update;

pub use compare::Comparison;
pub use difference::{Aspect, Difference};
pub use order::Column;
pub use update::update;

use super::action::runs::List;
use super::clean;
use super::palette::Palette;
use super::picker::{Ground, Item, Picker};
use super::prompt::Line;
use super::scroll::Reach;
use super::themes::{Choice, Themes};
use crate::run::RunState;
use crate::run::compare::Compared;
use crate::run::control::Command;
use crate::run::listing::Summary;
use crate::run::notes::Notes;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// What a question is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// Stop the run with a checkpoint.
    Stop,
    /// Delete the run directory.
    Delete,
}

/// What a line is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edit {
    /// The tags of a run.
    Tags,
    /// Its note.
    Note,
}

/// What lies over the list.
#[derive(Debug, Clone, PartialEq)]
pub enum Overlay {
    /// The key table, from this line on.
    Help {
        /// Lines scrolled.
        top: usize,
    },
    /// A question about a run.
    Ask {
        /// Which.
        question: Question,
        /// The run.
        path: PathBuf,
        /// Its name as shown.
        name: String,
        /// The answer that Enter gives.
        yes: bool,
    },
    /// A line about a run.
    Edit {
        /// What for.
        edit: Edit,
        /// The run.
        path: PathBuf,
        /// Its name as shown.
        name: String,
        /// The text.
        line: Line,
    },
    /// The end of a worker's log.
    Log {
        /// The run.
        path: PathBuf,
        /// Its name as shown.
        name: String,
        /// The lines, oldest first.
        lines: Vec<String>,
        /// Lines scrolled up from the end.
        back: usize,
    },
    /// A recipe to open.
    Pick(Picker),
    /// The actions by name.
    Palette(Palette),
    /// Themes to choose from.
    Themes(Choice),
    /// Runs side by side, from this line on.
    Compare {
        /// What is compared.
        comparison: Comparison,
        /// Lines scrolled.
        top: usize,
    },
}

/// What the program does for the list.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Show a run; come back afterwards.
    Watch(PathBuf),
    /// Show an evaluation or a sweep; come back afterwards.
    Study(PathBuf),
    /// Write a run's `notes.toml`.
    Save(PathBuf, Notes),
    /// Start a worker on a run.
    Resume(PathBuf),
    /// Append a command to a run's control file.
    Send(PathBuf, Command),
    /// Delete a run directory.
    Delete(PathBuf),
    /// Read what a comparison of these runs needs.
    Compare(Vec<PathBuf>),
    /// Read the end of a worker's log.
    ReadLog(PathBuf),
    /// Unpack the demo and start it.
    Demo,
    /// A new recipe in the form.
    New,
    /// A recipe from that of a run, in the form.
    Clone(PathBuf),
    /// A recipe in the form.
    Edit(PathBuf),
    /// Look for recipes.
    Recipes(PathBuf),
    /// Read a folder for the picker.
    ListFolder(PathBuf),
    /// Leave the screen.
    Quit,
    /// Suspend to the shell.
    Suspend,
    /// Draw everything anew.
    Redraw,
}

/// What happens to the list.
#[derive(Debug, Clone, PartialEq)]
pub enum Message {
    /// A key, by its name in the action table.
    Key(String),
    /// Text was pasted: never keys.
    Paste(String),
    /// The runs as they stand now.
    Rows(Vec<Summary>),
    /// The folder cannot be read.
    Unreadable(String),
    /// The lines of a log.
    Log(PathBuf, Vec<String>),
    /// What was read for a comparison.
    Compared(Vec<Compared>),
    /// Recipes that there are.
    Recipes(Vec<Item>),
    /// What a folder holds.
    Listed(PathBuf, Vec<Item>),
    /// A run has begun: the cursor goes there.
    Begun(PathBuf),
    /// Something to tell the user for a while.
    Toast(String),
    /// The clock, Unix seconds.
    Tick(f64),
}

/// The state of the list. Every text in it is harmless ([`clean`]).
#[derive(Debug, Clone)]
pub struct Runs {
    /// The folder, as shown.
    pub folder: String,
    /// All runs.
    pub rows: Vec<Summary>,
    /// Whether the folder was read.
    pub loaded: bool,
    /// Why the folder cannot be read.
    pub error: Option<String>,
    /// The run under the cursor.
    pub selected: Option<PathBuf>,
    /// Its row when it was last seen, for when it is gone.
    at: usize,
    /// Marked for a comparison.
    pub marked: BTreeSet<PathBuf>,
    /// The column that orders the list, and whether from high to low.
    pub order: (Column, bool),
    /// Words that a run must have to be shown.
    pub filter: Line,
    /// Whether keys go to the filter.
    pub filtering: bool,
    /// What lies over the list.
    pub overlay: Option<Overlay>,
    /// How far the key table can be scrolled.
    pub reach: Reach,
    /// A message for a while, and until when.
    pub toast: Option<(String, f64)>,
    /// The clock.
    pub now: f64,
    /// Where paths are typed.
    pub ground: Ground,
    /// The theme, and those that there are.
    pub themes: Themes,
}

impl Runs {
    /// A list of which nothing is known yet.
    pub fn new(folder: &str) -> Self {
        Self {
            folder: clean::line(folder),
            rows: Vec::new(),
            loaded: false,
            error: None,
            selected: None,
            at: 0,
            marked: BTreeSet::new(),
            order: (Column::Started, true),
            filter: Line::default(),
            filtering: false,
            overlay: None,
            reach: Reach::default(),
            toast: None,
            now: 0.0,
            ground: Ground::default(),
            themes: Themes::default(),
        }
    }

    /// The runs that are shown, in their order.
    pub fn shown(&self) -> Vec<&Summary> {
        let mut shown: Vec<&Summary> = self.rows.iter().filter(|row| order::matches(row, self.filter.text())).collect();
        order::sort(&mut shown, self.order, self.now);
        shown
    }

    /// Row of the cursor among those shown.
    pub fn cursor(&self) -> usize {
        let shown = self.shown();
        let here = self.selected.as_ref().and_then(|path| shown.iter().position(|row| row.path == *path));
        here.unwrap_or_else(|| self.at.min(shown.len().saturating_sub(1)))
    }

    /// The run under the cursor.
    pub fn current(&self) -> Option<&Summary> {
        let at = self.cursor();
        self.shown().get(at).copied()
    }

    /// The marked runs, in the order of the list.
    pub fn marked(&self) -> Vec<PathBuf> {
        self.shown().into_iter().map(|row| row.path.clone()).filter(|path| self.marked.contains(path)).collect()
    }

    /// Whether an action has something to do for the run under the cursor, or for the list.
    pub fn works(&self, action: List) -> bool {
        let state = self.current().map(|row| row.state);
        let study = self.current().and_then(|row| row.study);
        let alive = matches!(state, Some(RunState::Running | RunState::Paused));
        match action {
            List::Pause => alive && study.is_none(),
            List::Stop => alive,
            List::Resume => state.is_some_and(|s| !alive && s != RunState::Finished),
            List::Delete => state.is_some() && !alive,
            List::Clone | List::Mark => state.is_some() && study.is_none(),
            List::Watch | List::Log | List::Tags | List::Note => state.is_some(),
            List::Compare => self.marked.len() > 1,
            List::Filter | List::Order => self.rows.len() > 1,
            _ => true,
        }
    }

    fn go_to(&mut self, at: usize) {
        let shown = self.shown();
        let at = at.min(shown.len().saturating_sub(1));
        let path = shown.get(at).map(|row| row.path.clone());
        (self.at, self.selected) = (at, path);
    }
}

/// The summary with every text in it harmless.
fn tidy(mut row: Summary) -> Summary {
    let texts = [&mut row.name, &mut row.method, &mut row.said, &mut row.about.base];
    let lists = row.about.data.iter_mut().chain(&mut row.notes.tags);
    let adapters = row.about.adapters.iter_mut().flat_map(|(name, role)| [name, role]);
    let errors = row.about.error.iter_mut().chain(&mut row.notes_error);
    texts.into_iter().chain(lists).chain(adapters).chain(errors).for_each(|text| *text = clean::line(text));
    if let Some(report) = &mut row.report {
        report.rows.iter_mut().for_each(|row| row.method = clean::line(&row.method));
    }
    row
}

#[cfg(test)]
mod tests;
