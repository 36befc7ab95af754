//! Everything on screen, as data: no I/O, no terminal.

pub mod action;
pub mod clean;
pub mod grid;
pub mod looks;
pub mod measure;
pub mod news;
pub mod pace;
pub mod palette;
pub mod pending;
pub mod picker;
pub mod prompt;
pub mod ratios;
pub mod runs;
pub mod scroll;
pub mod sensitivity;
pub mod series;
pub mod setup;
pub mod steady;
pub mod study;
pub mod themes;
pub mod update;
pub mod watch;

pub use grid::{Grid, Selection};
pub use looks::Looks;
pub use measure::{Measure, Scale};
pub use palette::Palette;
pub use prompt::Prompt;
pub use watch::{Charts, Quantity, Watch};

use crate::module::{Factor, ModuleId, Projection};
use crate::recipe::ratios::Rule;
use crate::run::RunState;
use crate::run::blocks::{Blocks, Wanted};
use crate::run::control::Command;
use crate::run::event::{Event, Modules, Phase, Report, Stage, Started, Step};
use crate::run::inquiry::{Answer, Question};
use crate::run::listing::Summary;
use crate::run::sensitivity::Measured;
use measure::Scales;
use pace::Pace;
use pending::Pending;
use ratios::{Menu, Ratios};
use sensitivity::Sensitivity;
use series::Series;
use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;

/// The panes, in the order of their keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pane {
    /// Layers × projections.
    Heatmap,
    /// Curves over the steps.
    Charts,
    /// Summaries beside their references.
    Samples,
    /// Methods and scores.
    Report,
    /// What was said.
    Log,
}

impl Pane {
    /// All, in order.
    pub const ALL: [Self; 5] = [Self::Heatmap, Self::Charts, Self::Samples, Self::Report, Self::Log];

    /// What it is called.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Heatmap => "heatmap",
            Self::Charts => "charts",
            Self::Samples => "samples",
            Self::Report => "report",
            Self::Log => "log",
        }
    }
}

/// What lies over the panes.
#[derive(Debug, Clone, PartialEq)]
pub enum Overlay {
    /// The key table, from this line on.
    Help {
        /// Lines scrolled.
        top: usize,
    },
    /// Every matrix of the module under the cursor, from this one on.
    Module {
        /// Matrices scrolled.
        top: usize,
    },
    /// The entries of one of them.
    Matrix(watch::matrix::Look),
    /// A line to fill in.
    Prompt(Prompt),
    /// Actions, found by name.
    Palette(Palette),
    /// Themes to choose from.
    Themes(themes::Choice),
    /// A list of sets of ratios to choose from.
    Ratios(Menu),
    /// What the draft does, measured, from this line on.
    Trial {
        /// Lines scrolled.
        top: usize,
    },
    /// Other runs to choose from.
    Others(watch::others::Choice),
    /// "Stop the run?", and whether "yes" is under the cursor.
    Stop {
        /// The answer that Enter gives.
        yes: bool,
    },
}

/// How a line of the log or a notice is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// What happens.
    Plain,
    /// Success.
    Good,
    /// The user should know.
    Warn,
    /// The end of the run, and not a good one.
    Bad,
}

/// Something that was said.
#[derive(Debug, Clone, PartialEq)]
pub struct Note {
    /// Unix time in seconds.
    pub t: f64,
    /// How it is meant.
    pub tone: Tone,
    /// The sentence.
    pub text: String,
}

/// The curves of one stage.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Curves {
    /// The stage.
    pub stage: Stage,
    /// Training loss by step.
    pub train: Series,
    /// Dev loss by step.
    pub dev: Series,
    /// The lowest dev loss.
    pub best: Option<f64>,
    /// Every other quantity by step, those there are.
    pub more: BTreeMap<watch::Quantity, Series>,
}

/// A summary that a stage wrote of a document.
#[derive(Debug, Clone, PartialEq)]
pub struct Written {
    /// Number of the stage.
    pub stage: usize,
    /// Its method.
    pub method: String,
    /// The step, 0 before training.
    pub step: usize,
    /// The summary.
    pub text: String,
    /// ROUGE-L against the reference, percent.
    pub rouge_l: f64,
}

/// What the program does for the app.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Append a command to the run's control file.
    Send(Command),
    /// Ask a process that loads the run, or take a question back.
    Inquire(Question),
    /// Read what was measured of the run's sensitivity.
    ReadSensitivity,
    /// Leave the screen for a new recipe: the run's, with these rules behind its own.
    SetUp(Vec<Rule>),
    /// Keep or look for named sets of ratios.
    Ratios(ratios::Order),
    /// Look into a matrix of the newest checkpoint.
    Look {
        /// Index into [`Started::matrices`].
        matrix: usize,
        /// What to read.
        wanted: Wanted,
    },
    /// Look for the other runs of the folder.
    ListRuns,
    /// Read these runs, and again as they grow; all others not any more.
    Follow(Vec<PathBuf>),
    /// Write the screen as a picture.
    SavePicture,
    /// Leave the screen.
    Quit,
    /// Suspend to the shell.
    Suspend,
    /// Draw everything anew.
    Redraw,
    /// Write the pane with the keys as a picture and as text.
    SavePane,
    /// Stop the clock of a replay, or let it go on.
    PauseReplay,
    /// Send the run's path to the terminal's clipboard.
    CopyRun,
}

/// Where the mouse is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hit {
    /// On a pane or its tab.
    Pane(Pane),
    /// On a cell of the heatmap: layer and projection.
    Cell(usize, usize),
    /// The wheel over a pane, upwards or downwards.
    Wheel(Pane, bool),
}

/// What happens to the app.
#[derive(Debug, Clone, PartialEq)]
pub enum Message {
    /// A key, by its name in the action table (`q`, `tab`, `ctrl-z`).
    Key(String),
    /// Text was pasted: never keys.
    Paste(String),
    /// The mouse.
    Mouse(Hit),
    /// News of the run.
    Run {
        /// New events, as they were read.
        events: Vec<Event>,
        /// How it stands.
        state: RunState,
        /// Whether these are all.
        caught_up: bool,
    },
    /// The last command is in the control file under this id.
    Sent {
        /// The command's name.
        command: String,
        /// Its id.
        id: String,
    },
    /// The last command could not be sent.
    NotSent(String),
    /// The named sets of ratios that there are.
    RatioSets(Vec<ratios::Set>),
    /// A matrix was looked into, or not, and why.
    Looked {
        /// Index into [`Started::matrices`].
        matrix: usize,
        /// Its entries.
        found: Result<Blocks, String>,
    },
    /// The other runs of the folder.
    Runs(Vec<Summary>),
    /// What is known of another run by now.
    Other(PathBuf, Arc<watch::others::Other>),
    /// An answer of the process that has loaded the run.
    Answered(Box<Answer>),
    /// What was measured of the run's sensitivity, as its file has it.
    Sensitivity(Vec<Measured>),
    /// Something to tell the user for a while.
    Toast(String),
    /// How much of a long journal was read so far, 0 to 1; `None` when it was read.
    Read(Option<f32>),
    /// What is known of a worker that is gone without a last word.
    Gone(Option<String>),
    /// The clock, Unix seconds.
    Tick(f64),
    /// The time that a replay has come to, Unix seconds.
    Told(f64),
}

/// The state of the screen. Every text in it is harmless ([`clean`]).
#[derive(Debug, Clone)]
pub struct App {
    /// The run's name.
    pub run: String,
    /// No key changes anything.
    pub read_only: bool,
    /// Leaving goes back to the list of runs.
    pub from_list: bool,
    /// How the run stands.
    pub state: RunState,
    /// Whether everything that is written so far has been read.
    pub caught_up: bool,
    /// How much of a long journal was read so far, 0 to 1, while much of it is left.
    pub read: Option<f32>,
    /// What the run is about.
    pub started: Option<Started>,
    /// The stage under way.
    pub stage: Stage,
    /// Curves of all stages that train, the newest last.
    pub curves: Vec<Curves>,
    /// The last update of the stage.
    pub step: Option<Step>,
    /// Pace of the stage's steps.
    pub steps: Pace,
    /// Work that is not training.
    pub phase: Option<Phase>,
    /// Its pace.
    pub phases: Pace,
    /// The last state of every matrix.
    pub modules: Option<Modules>,
    /// What the heatmap's colours stand for.
    pub scales: Scales,
    /// By document: every version of its summary, the newest last.
    pub samples: BTreeMap<usize, Vec<Written>>,
    /// The scores so far.
    pub report: Option<Report>,
    /// The last warning or the final sentence.
    pub notice: Option<Note>,
    /// What is known of a worker that is gone without a last word.
    pub gone: Option<String>,
    /// What was said, oldest first.
    pub log: VecDeque<Note>,
    /// Unix time of the last event.
    pub last_event: f64,
    /// The run's clock: in a replay the time that it has come to.
    pub now: f64,
    /// The user's clock.
    pub clock: f64,
    /// A message for a while, and until when by the user's clock.
    pub toast: Option<(String, f64)>,
    /// The pane with the keys.
    pub pane: Pane,
    /// What the heatmap shows.
    pub measure: Measure,
    /// Whether the user chose it.
    pub measure_chosen: bool,
    /// Which matrices the heatmap shows, and `+` and `-` apply to.
    pub selection: Selection,
    /// Layer and projection under the cursor.
    pub cursor: (usize, usize),
    /// The document on show.
    pub document: usize,
    /// Lines that the log is scrolled up.
    pub log_back: usize,
    /// Whether the chart shows earlier stages.
    pub earlier: bool,
    /// What lies over the panes.
    pub overlay: Option<Overlay>,
    /// Ratios that were asked for and do not show yet.
    pub pending: Pending,
    /// How it looks, and how it gets to the terminal.
    pub looks: Looks,
    /// Charts, time and versions.
    pub watch: Watch,
    /// Ratios that are being edited.
    pub ratios: Ratios,
    /// What the loss minds being pruned.
    pub sensitivity: Sensitivity,
}

impl App {
    /// A screen on a run of which nothing is known yet.
    pub fn new(run: &str, read_only: bool) -> Self {
        Self {
            run: clean::line(run),
            read_only,
            from_list: false,
            state: RunState::Created,
            caught_up: false,
            read: None,
            started: None,
            stage: Stage::default(),
            curves: Vec::new(),
            step: None,
            steps: Pace::default(),
            phase: None,
            phases: Pace::default(),
            modules: None,
            scales: Scales::default(),
            samples: BTreeMap::new(),
            report: None,
            notice: None,
            gone: None,
            log: VecDeque::new(),
            last_event: 0.0,
            now: 0.0,
            clock: 0.0,
            toast: None,
            pane: Pane::Heatmap,
            measure: Measure::Sparsity,
            measure_chosen: false,
            selection: Selection::default(),
            cursor: (0, 0),
            document: 0,
            log_back: 0,
            earlier: true,
            overlay: None,
            pending: Pending::default(),
            looks: Looks::default(),
            watch: Watch::default(),
            ratios: Ratios::default(),
            sensitivity: Sensitivity::default(),
        }
    }

    /// Decoder layers, 0 before the run has said.
    pub fn layers(&self) -> usize {
        self.started.as_ref().map_or(0, |s| s.layers)
    }

    /// The module under the cursor.
    pub fn module(&self) -> ModuleId {
        ModuleId::new(self.cursor.0, Projection::ALL[self.cursor.1.min(Projection::ALL.len() - 1)])
    }

    /// The ratio that a matrix of the run has, or was asked to have, at the end of the schedule; `None` where it takes no part in
    /// pruning. Of a finished run it is that of its result ([`Self::drafted`]). Of a run that is over and did without, all that was trained has the ratio 0: what pruning would do can be asked.
    pub fn present_ratio(&self, matrix: usize) -> Option<f64> {
        let info = self.started.as_ref()?.matrices.get(matrix)?;
        let modules = self.drafted()?;
        let of_run = modules.full_ratios().get(matrix).copied().flatten();
        let trained = || modules.importance.get(matrix).copied().flatten().map(|_| 0.0);
        let ratio = match self.stage.prunes {
            true => of_run?,
            false if self.state.is_over() => of_run.or_else(trained)?,
            false => return None,
        };
        let takes_part = info.module.layer < self.layers() && ratio.is_finite();
        takes_part.then(|| self.pending.get(matrix).unwrap_or_else(|| ratios::tidy(f64::from(ratio))))
    }

    /// A measure of all modules over the chosen matrices, once there is one; with what a draft would make of it.
    pub fn grid(&self, measure: Measure, selection: Selection) -> Option<Grid> {
        let (started, modules) = (self.started.as_ref()?, self.drafted()?);
        match self.ratios.expected(self, measure) {
            Some(expected) => Some(Grid::of(started, expected.into_iter(), selection)),
            None => Some(Grid::new(started, modules, measure, selection)),
        }
    }

    /// Before a frame over a slow link: settles the heatmap's values in so many levels.
    pub fn settle(&mut self, levels: usize) {
        if let Some(grid) = self.grid(self.measure, self.selection) {
            let scale = self.shown_scale(self.measure);
            self.looks.steady.take(&grid, scale, (self.measure, self.selection), levels);
        }
    }

    /// Whether keys that change the run have an effect.
    pub fn can_change(&self) -> bool {
        !self.read_only && !self.state.is_over()
    }

    /// Name of an adapter.
    pub fn adapter_name(&self, adapter: usize) -> String {
        let known = self.started.as_ref().and_then(|s| s.adapters.get(adapter));
        known.map_or_else(|| format!("adapter {adapter}"), |a| a.name.clone())
    }

    /// What the selection is called: `all adapters`, `games`.
    pub fn adapter_label(&self) -> String {
        self.selection.adapter.map_or_else(|| "all adapters".into(), |a| self.adapter_name(a))
    }

    /// What the factor selection is called.
    pub fn factor_label(&self) -> &'static str {
        match self.selection.factor {
            None => "A+B",
            Some(Factor::A) => "A",
            Some(Factor::B) => "B",
        }
    }

    /// The step that the heatmap shows: `step 8 of 14`, empty before there is one; an earlier one with the live
    /// one: `step 8 of 14 (live is 12)`; of a run that is finished and whose result is not the last one
    /// `step 8 of 14, the best`.
    pub fn step_label(&self) -> String {
        let of = |step: usize, stage: Option<&Stage>| match stage {
            Some(stage) if stage.steps > 0 => format!("step {step} of {}", stage.steps),
            _ => format!("step {step}"),
        };
        let is_result = self.result().is_some();
        match (&self.watch.scrub.shown, self.drafted()) {
            (Some(shown), live) => {
                let place = shown.place;
                let label = of(place.step, self.watch.history.stage(place.stage));
                match live {
                    Some(live) if place.stage == self.stage.index => {
                        let which = if is_result { "the best" } else { "live" };
                        format!("{label} ({which} is {})", live.step)
                    }
                    _ => format!("{label} of stage {}", place.stage + 1),
                }
            }
            (None, Some(modules)) => {
                let label = of(modules.step, Some(&self.stage));
                if is_result { format!("{label}, the best") } else { label }
            }
            (None, None) => self.past().map_or_else(String::new, |past| {
                let label = of(past.place.step, self.watch.history.stage(past.place.stage));
                format!("{label} of stage {}", past.place.stage + 1)
            }),
        }
    }

    /// Seconds of work left in the current phase or stage.
    pub fn eta(&self) -> Option<f64> {
        match &self.phase {
            Some(phase) if phase.total > 0 => self.phases.left(self.now, phase.total as f64),
            Some(_) => None,
            None if self.stage.steps > 0 => self.steps.left(self.now, self.stage.steps as f64),
            None => None,
        }
    }
}
