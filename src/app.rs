//! Everything on screen, as data: no I/O, no terminal.

pub mod action;
pub mod series;
pub mod update;

use crate::module::{Factor, ModuleId, Projection};
use crate::run::RunState;
use crate::run::control::Command;
use crate::run::event::{Event, Modules, Phase, Report, Sample, Stage, Started, Step};
use series::Series;
use std::collections::BTreeMap;

/// What the heatmap shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// Share of entries that are exactly zero.
    Sparsity,
    /// Mean importance.
    Importance,
    /// Share of the summed importance that the mask leaves.
    Retained,
    /// Share of entries whose mask changed at the last step.
    Flips,
    /// Ratio asked.
    Ratio,
}

impl Measure {
    /// All, in the order of the key.
    pub const ALL: [Self; 5] = [Self::Sparsity, Self::Importance, Self::Retained, Self::Flips, Self::Ratio];

    /// What it is called.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Sparsity => "sparsity",
            Self::Importance => "mean importance",
            Self::Retained => "retained importance",
            Self::Flips => "mask flips",
            Self::Ratio => "prune ratio",
        }
    }

    /// Whether it is a share of 0 to 1.
    pub const fn is_share(self) -> bool {
        !matches!(self, Self::Importance)
    }

    fn column(self, modules: &Modules) -> &[Option<f32>] {
        match self {
            Self::Sparsity => &modules.sparsity,
            Self::Importance => &modules.importance,
            Self::Retained => &modules.retained,
            Self::Flips => &modules.flips,
            Self::Ratio => &modules.ratio,
        }
    }
}

/// The panes, in the order of their keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pane {
    /// Layers × projections.
    Heatmap,
    /// Loss curves.
    Charts,
    /// Summaries beside their references.
    Samples,
    /// Methods and scores.
    Report,
}

impl Pane {
    /// All, in order.
    pub const ALL: [Self; 4] = [Self::Heatmap, Self::Charts, Self::Samples, Self::Report];

    /// What it is called.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Heatmap => "heatmap",
            Self::Charts => "loss",
            Self::Samples => "samples",
            Self::Report => "report",
        }
    }
}

/// What lies over the panes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Overlay {
    /// The key table.
    Help,
    /// A question; `true` when "yes" is chosen.
    Confirm {
        /// The sentence.
        question: String,
        /// What "yes" sends.
        command: Box<CommandKey>,
        /// Whether "yes" is under the cursor.
        yes: bool,
    },
}

/// Commands that need a confirmation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommandKey {
    /// Stop with a checkpoint.
    Stop,
}

/// The curves of one stage.
#[derive(Debug, Clone, Default)]
pub struct Curves {
    /// The stage.
    pub stage: Stage,
    /// Training loss by step.
    pub train: Series,
    /// Dev loss by step.
    pub dev: Series,
}

/// The summaries of one document so far.
#[derive(Debug, Clone, Default)]
pub struct Summaries {
    /// The newest.
    pub latest: Option<(String, Sample)>,
    /// The one before it.
    pub before: Option<String>,
}

/// What the program does for the app.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Append a command to the run's control file.
    Send(Command),
    /// Write the screen as a picture.
    SavePicture,
    /// Leave the screen.
    Quit,
    /// Suspend to the shell.
    Suspend,
}

/// What happens to the app.
#[derive(Debug, Clone, PartialEq)]
pub enum Message {
    /// A key, by its name in the action table (`q`, `tab`, `ctrl-z`).
    Key(String),
    /// News of the run.
    Run {
        /// New events.
        events: Vec<Event>,
        /// How it stands.
        state: RunState,
    },
    /// Something to tell the user for a while.
    Toast(String),
    /// The clock, Unix seconds.
    Tick(f64),
}

/// The state of the screen.
#[derive(Debug, Clone)]
pub struct App {
    /// Where the run is, for people.
    pub run: String,
    /// No key changes anything.
    pub read_only: bool,
    /// How the run stands.
    pub state: RunState,
    /// What the run is about.
    pub started: Option<Started>,
    /// The stage under way.
    pub stage: Stage,
    /// When it began (Unix seconds) and at which step that was seen.
    pub stage_began: f64,
    /// Curves of all stages that train, the current one last.
    pub curves: Vec<Curves>,
    /// The last update.
    pub step: Option<Step>,
    /// Unix time of the last update.
    pub step_at: f64,
    /// Work that is not training.
    pub phase: Option<Phase>,
    /// The last state of every matrix.
    pub modules: Option<Modules>,
    /// By document.
    pub samples: BTreeMap<usize, Summaries>,
    /// The scores so far.
    pub report: Option<Report>,
    /// The last warning or the final sentence.
    pub notice: String,
    /// Unix time of the last event.
    pub last_event: f64,
    /// The clock.
    pub now: f64,
    /// A message for a while, and until when.
    pub toast: Option<(String, f64)>,
    /// The pane with the keys.
    pub pane: Pane,
    /// What the heatmap shows.
    pub measure: Measure,
    /// One adapter, or all.
    pub adapter: Option<usize>,
    /// One factor, or both.
    pub factor: Option<Factor>,
    /// The module under the cursor.
    pub cursor: (usize, usize),
    /// The document on show.
    pub document: usize,
    /// What lies over the panes.
    pub overlay: Option<Overlay>,
    /// Ratios that were asked for and are not confirmed yet.
    pub pending: BTreeMap<ModuleId, f32>,
}

impl App {
    /// A screen on a run of which nothing is known yet.
    pub fn new(run: String, read_only: bool) -> Self {
        Self {
            run,
            read_only,
            state: RunState::Created,
            started: None,
            stage: Stage::default(),
            stage_began: 0.0,
            curves: Vec::new(),
            step: None,
            step_at: 0.0,
            phase: None,
            modules: None,
            samples: BTreeMap::new(),
            report: None,
            notice: String::new(),
            last_event: 0.0,
            now: 0.0,
            toast: None,
            pane: Pane::Heatmap,
            measure: Measure::Sparsity,
            adapter: None,
            factor: None,
            cursor: (0, 0),
            document: 0,
            overlay: None,
            pending: BTreeMap::new(),
        }
    }

    /// Decoder layers, 0 before the run has said.
    pub fn layers(&self) -> usize {
        self.started.as_ref().map_or(0, |s| s.layers)
    }

    /// The module under the cursor.
    pub fn module(&self) -> ModuleId {
        ModuleId::new(self.cursor.0, Projection::ALL[self.cursor.1.min(6)])
    }

    /// A measure of a module: the mean, by size, over the adapters and factors that are chosen.
    pub fn value(&self, module: ModuleId, measure: Measure) -> Option<f32> {
        let (started, modules) = (self.started.as_ref()?, self.modules.as_ref()?);
        let column = measure.column(modules);
        let (mut sum, mut size) = (0.0, 0.0);
        for (matrix, value) in started.matrices.iter().zip(column) {
            let chosen = matrix.module == module
                && self.adapter.is_none_or(|a| a == matrix.adapter)
                && self.factor.is_none_or(|f| f == matrix.factor);
            if let (true, Some(value)) = (chosen, value) {
                let n = (matrix.rows * matrix.cols) as f64;
                sum += f64::from(*value) * n;
                size += n;
            }
        }
        (size > 0.0).then(|| (sum / size) as f32)
    }

    /// All modules' values of a measure, layer by layer.
    pub fn grid(&self, measure: Measure) -> Vec<[Option<f32>; 7]> {
        let mut sums = vec![[(0.0f64, 0.0f64); 7]; self.layers()];
        if let (Some(started), Some(modules)) = (&self.started, &self.modules) {
            for (matrix, value) in started.matrices.iter().zip(measure.column(modules)) {
                let chosen =
                    self.adapter.is_none_or(|a| a == matrix.adapter) && self.factor.is_none_or(|f| f == matrix.factor);
                let Some(row) = sums.get_mut(matrix.module.layer) else { continue };
                if let (true, Some(value)) = (chosen, value) {
                    let n = (matrix.rows * matrix.cols) as f64;
                    let cell = &mut row[matrix.module.projection as usize];
                    cell.0 += f64::from(*value) * n;
                    cell.1 += n;
                }
            }
        }
        sums.iter().map(|row| row.map(|(sum, n)| (n > 0.0).then(|| (sum / n) as f32))).collect()
    }

    /// Name of the chosen adapter.
    pub fn adapter_label(&self) -> String {
        match (self.adapter, &self.started) {
            (Some(i), Some(started)) => started.adapters.get(i).map_or_else(|| i.to_string(), |a| a.name.clone()),
            _ => "all adapters".into(),
        }
    }

    /// What the factor selection is called.
    pub fn factor_label(&self) -> &'static str {
        match self.factor {
            None => "A+B",
            Some(Factor::A) => "A",
            Some(Factor::B) => "B",
        }
    }

    /// Seconds until the stage's last step, from its mean pace since the first step.
    pub fn eta(&self) -> Option<f64> {
        let step = self.step.as_ref()?;
        let done = self.curves.last()?.train.len();
        if done < 2 || self.stage.steps == 0 {
            return None;
        }
        let pace = (self.step_at - self.stage_began) / done as f64;
        Some(pace * self.stage.steps.saturating_sub(step.step) as f64)
    }
}
