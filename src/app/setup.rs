//! The recipe form, as data: the draft, what is wrong with it, what is known of what it names, what lies over it.

pub mod edit;
pub mod evaluate;
pub mod fits;
pub mod hub;
pub mod look;
mod offer;
mod over;
pub mod pick;
mod point;
pub mod restore;
pub mod rows;
pub mod update;

pub use edit::{Editing, Menu};
pub use evaluate::Evaluate;
pub use hub::{Hub, Named};
pub use look::Looked;
pub use pick::Purpose;
pub use restore::{Found, Kept, Left};
pub use rows::{CELLS, Row, What};
pub use update::update;

use super::clean;
use super::palette::Palette;
use super::picker::{Ground, Item, Picker};
use super::prompt::Line;
use super::runs::Comparison;
use super::scroll::Reach;
use super::themes::{Choice, Themes};
use crate::data::preview::Preview;
use crate::hub::desk::{Answer, Ask};
use crate::hub::reference::Reference;
use crate::hub::{AdapterFacts, BaseEntry, Catalog};
use crate::recipe::Method;
use crate::recipe::draft::{Draft, Place};
use crate::run::compare::Compared;
use crate::run::estimate::Estimate;
use crate::{Error, Result};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The panes of the form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pane {
    /// The settings.
    Settings,
    /// The first examples as the model reads them.
    Data,
    /// Memory and time.
    Estimate,
}

impl Pane {
    /// All, in order.
    pub const ALL: [Self; 3] = [Self::Settings, Self::Data, Self::Estimate];

    /// What it is called.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Settings => "settings",
            Self::Data => "data",
            Self::Estimate => "estimate",
        }
    }
}

/// What is done once the recipe is saved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Then {
    /// The form goes on.
    Stay,
    /// Leave it.
    Leave,
    /// Start the run.
    Start,
    /// Start an evaluation of these methods over these seeds.
    Evaluate(Vec<Method>, Vec<u64>),
    /// Open another recipe.
    Open(PathBuf),
}

/// A question and its answers.
#[derive(Debug, Clone, PartialEq)]
pub enum Question {
    /// There are changes that are not saved.
    Unsaved(Then),
    /// Start the run.
    Start,
    /// The file is not what the form began with.
    Overwrite(PathBuf, Then),
    /// An earlier form has left changes.
    Restore {
        /// Which.
        left: Left,
        /// How many more copies there are.
        more: usize,
        /// Whether the file is there.
        there: bool,
    },
}

impl Question {
    /// The answers with their keys; the first is the one under the cursor at first.
    pub const fn answers(&self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Unsaved(_) => &[("s", "save"), ("d", "drop the changes"), ("esc", "stay")],
            Self::Start => &[("y", "start"), ("esc", "not yet")],
            Self::Overwrite(..) => &[("esc", "leave the file"), ("y", "replace it")],
            Self::Restore { there: true, .. } => {
                &[("r", "restore"), ("f", "look at the file as it is"), ("d", "drop them")]
            }
            Self::Restore { .. } => &[("r", "restore"), ("f", "begin anew"), ("d", "drop them")],
        }
    }
}

/// What lies over the form.
#[derive(Debug, Clone, PartialEq)]
pub enum Overlay {
    /// The key table, from this line on.
    Help {
        /// Lines scrolled.
        top: usize,
    },
    /// A list of words to choose from.
    Menu(Menu),
    /// Something to pick.
    Pick(Purpose, Box<Picker>),
    /// A question.
    Ask {
        /// Which.
        question: Question,
        /// The answer that Enter gives.
        at: usize,
    },
    /// Methods and seeds of an evaluation.
    Evaluate(Evaluate),
    /// A name for a copy, and what is wrong with it.
    SaveAs(Line, Option<String>),
    /// The settings that differ from another recipe, from this line on.
    Compare {
        /// The two.
        comparison: Comparison,
        /// Lines scrolled.
        top: usize,
    },
    /// The actions by name.
    Palette(Palette),
    /// Themes to choose from.
    Themes(Choice),
    /// The files that are fetched, from this one on.
    Fetch {
        /// Files scrolled.
        top: usize,
    },
}

/// What the program does for the form.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Look at what the recipe names; only the newest wish counts.
    Look {
        /// Comes back with what was seen.
        ticket: u64,
        /// The recipe.
        text: String,
        /// Its file.
        file: PathBuf,
        /// Folders that stand in for repositories that are still to be fetched.
        outlines: BTreeMap<Reference, PathBuf>,
    },
    /// Ask the hub.
    Hub(Ask),
    /// Look for bases and adapters.
    Catalog(PathBuf),
    /// Hold adapters of this machine against a base.
    Fits {
        /// The base.
        against: fits::Against,
        /// The recipe's file.
        file: PathBuf,
        /// The folders of the adapters.
        adapters: Vec<PathBuf>,
    },
    /// Look for files that suit this purpose.
    Search(Purpose, PathBuf),
    /// Read a folder.
    List(PathBuf),
    /// Write the recipe where `expected` (nothing: no file) is still what the file holds.
    Save {
        /// Where.
        path: PathBuf,
        /// What.
        text: String,
        /// What the file has to hold now.
        expected: Option<String>,
        /// Whatever it holds.
        replace: bool,
        /// What comes next.
        then: Then,
    },
    /// Read another recipe into the form.
    Open(PathBuf),
    /// Compare this text with another recipe.
    Compare {
        /// The form's.
        text: String,
        /// Its file.
        file: PathBuf,
        /// The other.
        other: PathBuf,
    },
    /// Look for changes that an earlier form has left.
    Recover {
        /// The recipe's file.
        file: PathBuf,
        /// What it holds, nothing if there is none.
        saved: Option<String>,
    },
    /// Look whether what the recipe of this run names is what it was for the run.
    Since(PathBuf),
    /// This copy is from now on that of this form.
    Adopt(PathBuf),
    /// Take this copy away.
    Forget(PathBuf),
    /// Start a run of the saved recipe.
    Start(PathBuf),
    /// Start an evaluation of the saved recipe.
    Evaluate(PathBuf, Vec<Method>, Vec<u64>),
    /// Show an evaluation; come back afterwards.
    Study(PathBuf),
    /// End a start that waits for the hub.
    GiveUp,
    /// Show a run; come back afterwards.
    Watch(PathBuf),
    /// Leave the form.
    Quit,
    /// Suspend to the shell.
    Suspend,
    /// Draw everything anew.
    Redraw,
}

/// What happens to the form.
#[derive(Debug, Clone, PartialEq)]
pub enum Message {
    /// A key, by its name in the action table.
    Key(String),
    /// Text was pasted: never keys.
    Paste(String),
    /// A click, or the wheel.
    Mouse(Hit),
    /// Lines by which data and estimate can be scrolled, as they were last drawn.
    Reach([usize; 2]),
    /// Something was seen of what the recipe names.
    Looked(u64, Looked),
    /// The bases and adapters that there are.
    Catalog(Catalog),
    /// Whether adapters of this machine fit a base; none where it cannot be read.
    Fits(fits::Against, Vec<(PathBuf, fits::Fit)>),
    /// An answer of the hub.
    Hub(Answer),
    /// Files that suit a purpose.
    Found(Purpose, Vec<Item>),
    /// What a folder holds.
    Listed(PathBuf, Vec<Item>),
    /// The recipe was written.
    Saved(PathBuf, String, Then),
    /// The file holds something else than was thought; nothing was written.
    Differs(PathBuf, Then),
    /// Another recipe was read.
    Opened(PathBuf, String),
    /// What earlier forms have left.
    Unsaved(Found),
    /// What has become of what the copied run's recipe names, by its keys.
    Since(Vec<(String, &'static str)>),
    /// What was read for a comparison.
    Compared(Vec<Compared>),
    /// A run has begun.
    Started(PathBuf),
    /// An evaluation has begun.
    Evaluating(PathBuf),
    /// No run has begun, and why.
    NotStarted(String),
    /// Something to tell the user for a while.
    Toast(String),
    /// The clock, Unix seconds.
    Tick(f64),
}

/// Where the mouse is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hit {
    /// On a pane or its tab.
    Pane(Pane),
    /// On a row, and of an adapter on one of [`CELLS`].
    Row(usize, Option<usize>),
    /// The wheel over a pane, upwards or downwards.
    Wheel(Pane, bool),
}

/// The state of the form. Every text in it that is shown is harmless.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The recipe's file, absolute; it need not be there yet.
    pub file: PathBuf,
    /// What is edited.
    pub draft: Draft,
    /// What the file holds, nothing if there is none.
    pub saved: Option<String>,
    /// The draft as it was opened: what stood there stays explicit.
    opened: Draft,
    undone: Vec<String>,
    done: Vec<String>,
    /// The rows of the form.
    pub rows: Vec<Row>,
    /// The row under the cursor.
    pub at: usize,
    /// The cell of an adapter's row under the cursor.
    pub cell: usize,
    /// The value that is being edited.
    pub editing: Option<Editing>,
    /// The pane that has the keys.
    pub pane: Pane,
    /// Lines scrolled in the data and the estimate.
    pub scroll: [usize; 2],
    /// Lines by which they can be scrolled at most.
    reach: [usize; 2],
    /// What lies over the form.
    pub overlay: Option<Overlay>,
    /// How far the key table and the list of files can be scrolled.
    pub over: Reach,
    /// What is wrong, place by place.
    pub problems: BTreeMap<Place, String>,
    /// What is wrong with the whole.
    pub whole: Option<String>,
    /// What was seen of what the recipe names.
    pub seen: Seen,
    /// Bases and adapters, once they were looked for.
    pub catalog: Option<Catalog>,
    /// What is known of the hub.
    pub hub: hub::Hub,
    /// Which adapters of this machine fit the base.
    fits: fits::Fits,
    /// A message for a while, and until when.
    pub toast: Option<(String, f64)>,
    /// The clock.
    pub now: f64,
    /// A run is being started.
    pub starting: bool,
    /// The theme, and those that there are.
    pub themes: Themes,
    /// The run that this is a copy of.
    pub run: Option<PathBuf>,
    /// What has become of its inputs, by their keys.
    since: Vec<(String, &'static str)>,
    home: Option<PathBuf>,
    ticket: u64,
}

/// What was seen of what the recipe names.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Seen {
    /// Paths that are wrong, under their keys.
    pub files: Vec<(String, String)>,
    /// Repositories of the hub.
    pub named: Named,
    /// The base.
    pub base: Option<BaseEntry>,
    /// The adapters with a path, by their place in the recipe.
    pub adapters: BTreeMap<usize, Result<AdapterFacts, String>>,
    /// The data.
    pub preview: Option<Result<Preview, String>>,
    /// Memory and time.
    pub estimate: Option<Result<Estimate, String>>,
    /// Something is still being looked at.
    pub looking: bool,
}

impl Setup {
    /// The form on `text`; `saved` is what the file holds.
    ///
    /// # Errors
    /// When the text is no TOML.
    pub fn new(file: &Path, text: &str, saved: Option<String>, home: Option<PathBuf>) -> Result<Self> {
        let draft = Draft::parse(text)?;
        let mut setup = Self {
            file: file.to_path_buf(),
            opened: draft.clone(),
            draft,
            saved,
            undone: Vec::new(),
            done: Vec::new(),
            rows: Vec::new(),
            at: 0,
            cell: 0,
            editing: None,
            pane: Pane::Settings,
            scroll: [0, 0],
            // More lines than any preview has, until it was drawn.
            reach: [10_000; 2],
            overlay: None,
            over: Reach::default(),
            problems: BTreeMap::new(),
            whole: None,
            seen: Seen::default(),
            catalog: None,
            hub: hub::Hub::default(),
            fits: fits::Fits::default(),
            toast: None,
            now: 0.0,
            starting: false,
            themes: Themes::default(),
            run: None,
            since: Vec::new(),
            home,
            ticket: 0,
        };
        setup.refresh();
        // What is needed and missing is what a user begins with.
        if let Some(at) = setup.rows.iter().position(|row| row.error.is_some()) {
            setup.at = at;
        }
        Ok(setup)
    }

    /// What is to be done first.
    pub fn begin(&mut self) -> Vec<Effect> {
        let recover = Effect::Recover { file: self.file.clone(), saved: self.saved.clone() };
        let mut first = vec![Effect::Catalog(self.file.clone()), self.look(), recover];
        first.extend(self.run.clone().map(Effect::Since));
        first
    }

    /// Whether there are changes that are not in the file.
    pub fn is_changed(&self) -> bool {
        self.saved.as_deref() != Some(self.draft.text().as_str())
    }

    /// The file's name as shown.
    pub fn name(&self) -> String {
        clean::line(&self.file.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default())
    }

    /// The row under the cursor.
    pub fn row(&self) -> &Row {
        &self.rows[self.at.min(self.rows.len() - 1)]
    }

    /// The place that Enter edits.
    pub fn place(&self) -> Option<Place> {
        match self.row().what {
            What::Setting(place) => Some(place),
            What::Adapter(i) => Place::of_adapter(i, CELLS[self.cell.min(CELLS.len() - 1)]),
            What::Add => None,
        }
    }

    /// Everything that is wrong: sentences with the rows they stand at, then that of the whole.
    pub fn wrong(&self) -> usize {
        self.rows.iter().filter(|row| row.error.is_some()).count() + usize::from(self.whole.is_some())
    }

    /// Where paths are typed.
    pub fn ground(&self) -> Ground {
        let folder = self.file.parent().unwrap_or(Path::new("/")).to_path_buf();
        Ground { folder, home: self.home.clone() }
    }

    /// Says something for a while.
    fn say(&mut self, text: impl AsRef<str>) {
        self.toast = Some((clean::line(text.as_ref()), self.now + TOAST));
    }

    /// Finds again what is wrong, and what the rows say.
    fn refresh(&mut self) {
        (self.problems, self.whole) = self.draft.problems(&self.file);
        self.whole = self.whole.as_deref().map(clean::line);
        self.renew_rows();
    }

    fn renew_rows(&mut self) {
        let here = self.rows.get(self.at).map(|row| row.what);
        self.rows = rows::all(self);
        let found = self.rows.iter().position(|row| Some(row.what) == here);
        self.at = found.unwrap_or(self.at).min(self.rows.len().saturating_sub(1));
    }

    /// A wish to look at what the recipe names.
    fn look(&mut self) -> Effect {
        self.ticket += 1;
        self.seen.looking = true;
        let (text, file, outlines) = (self.draft.text(), self.file.clone(), self.outlines());
        Effect::Look { ticket: self.ticket, text, file, outlines }
    }

    /// Changes the draft; what was there can be brought back.
    fn change(&mut self, edit: impl FnOnce(&mut Draft) -> Result<()>) -> Vec<Effect> {
        let before = self.draft.text();
        let mut draft = self.draft.clone();
        if let Err(e) = edit(&mut draft) {
            self.say(e.to_string());
            return Vec::new();
        }
        let text = draft.text();
        if text == before {
            return Vec::new();
        }
        if toml::from_str::<toml::Table>(&text).is_err() {
            // Never a file that cannot be read again.
            self.say(Error::fault("this edit would break the file; it was not made").to_string());
            return Vec::new();
        }
        self.done.push(before);
        self.undone.clear();
        self.draft = draft;
        self.changed()
    }

    fn changed(&mut self) -> Vec<Effect> {
        self.refresh();
        vec![self.look()]
    }

    /// One change back, or forth again.
    fn step(&mut self, back: bool) -> Vec<Effect> {
        let from = if back { &mut self.done } else { &mut self.undone };
        let Some(text) = from.pop() else {
            self.say(if back { "there is nothing to undo" } else { "there is nothing to redo" });
            return Vec::new();
        };
        let Ok(draft) = Draft::parse(&text) else { return Vec::new() };
        let now = std::mem::replace(&mut self.draft, draft).text();
        if back { &mut self.undone } else { &mut self.done }.push(now);
        self.changed()
    }

    /// Whether the file held this setting when it was opened.
    fn had(&self, place: Place) -> bool {
        self.opened.get(place).is_some()
    }
}

/// Seconds that a toast stays.
const TOAST: f64 = 5.0;

#[cfg(test)]
mod tests;
