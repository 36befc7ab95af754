//! The runs of a folder at a glance: of each only what is new since the last look is read.

mod lines;
mod studies;

pub(super) use lines::each_line;
pub(crate) use lines::kind;

use super::event::{Event, EventBody, Report, Rouge};
use super::notes::Notes;
use super::worker::{self, LastWord};
use super::{RunDir, RunState, lock};
use crate::recipe::Recipe;
use crate::{Result, study};
use lines::{Newest, first_line, first_time, holds_a_stage};
use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// What the end of a journal is looked through for at first, bytes; four times as much until it holds a stage.
const WINDOW: u64 = 256 * 1024;
/// A journal is looked through that far from its end at most.
const FURTHEST: u64 = 64 * 1024 * 1024;

/// A run at a glance.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Summary {
    /// The run directory.
    pub path: PathBuf,
    /// Its name.
    pub name: String,
    /// How it stands.
    pub state: RunState,
    /// Number of the stage from 1 and of how many; (0, 0) before the first.
    pub stage: (usize, usize),
    /// The stage's method.
    pub method: String,
    /// Step of the stage and of how many.
    pub step: (usize, usize),
    /// Training loss of the stage's last step.
    pub train_loss: Option<f64>,
    /// Dev loss of the stage's last evaluation.
    pub dev_loss: Option<f64>,
    /// Scores of the run's own method, the last row of its report.
    pub rouge: Option<Rouge>,
    /// Share of the adapters' parameters that are zero, 0 to 1.
    pub sparsity: Option<f64>,
    /// Unix time of its first event, or of its making.
    pub started: f64,
    /// Unix time of its last event; in a pause that of its beginning.
    pub last: f64,
    /// The last sentence: a warning, or the end.
    pub said: String,
    /// Tags and note.
    pub notes: Notes,
    /// What is wrong with `notes.toml`.
    pub notes_error: Option<String>,
    /// What the recipe says.
    pub about: About,
    /// The methods that are scored so far.
    pub report: Option<Report>,
    /// The question that this folder of runs answers; `None` of a run.
    pub study: Option<study::Kind>,
}

/// What a run's recipe says.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct About {
    /// The base.
    pub base: String,
    /// The adapters: name and role.
    pub adapters: Vec<(String, String)>,
    /// Train, dev and test data.
    pub data: Vec<String>,
    /// Why it cannot be read.
    pub error: Option<String>,
}

/// What a file was when it was read.
type Stamp = Option<(u64, SystemTime)>;

fn stamp(path: &Path) -> Stamp {
    let meta = std::fs::metadata(path).ok()?;
    Some((meta.len(), meta.modified().ok()?))
}

/// What is known of a run, and how far its files were read.
#[derive(Debug, Default)]
struct Known {
    summary: Summary,
    recipe: Stamp,
    notes: Stamp,
    /// The journal up to here.
    offset: u64,
    paused: bool,
    /// Parameters of each matrix, as the worker said at its start; empty where that was not read.
    sizes: Vec<usize>,
    word: Option<LastWord>,
    word_stamp: Stamp,
}

/// The runs of one folder.
#[derive(Debug)]
pub struct Listing {
    folder: PathBuf,
    known: HashMap<PathBuf, Known>,
}

/// The evaluations and sweeps of a folder, the newest first.
pub fn studies(folder: &Path) -> Vec<Summary> {
    studies::look(folder)
}

impl Listing {
    /// The runs below `folder`, none read yet.
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_path_buf(), known: HashMap::new() }
    }

    /// Looks at all runs and at the studies beside them, each newest folder first.
    ///
    /// # Errors
    /// As [`Self::scan`].
    pub fn scan_all(&mut self) -> Result<Vec<Summary>> {
        let mut all = self.scan()?;
        all.extend(studies::look(&self.folder));
        Ok(all)
    }

    /// Looks at all runs, newest folder first.
    ///
    /// # Errors
    /// When the folder cannot be read; what is wrong with a single run is in its summary.
    pub fn scan(&mut self) -> Result<Vec<Summary>> {
        let runs = RunDir::list(&self.folder)?;
        self.known.retain(|path, _| runs.iter().any(|run| run.path() == path));
        Ok(runs.iter().map(|run| self.known.entry(run.path().to_path_buf()).or_default().look(run)).collect())
    }
}

impl Known {
    fn look(&mut self, run: &RunDir) -> Summary {
        self.read_recipe(run);
        self.read_notes(run);
        // The lock before the last word: a worker lets go of it after it has written that.
        let held = lock::is_held(run.path());
        let now = stamp(&run.path().join("exit.json"));
        if now != self.word_stamp {
            self.word = worker::read_last_word(run.path());
            self.word_stamp = now;
        }
        self.read_journal(run);
        let summary = &mut self.summary;
        summary.state = match (held, &self.word) {
            (true, _) if self.paused => RunState::Paused,
            (true, _) => RunState::Running,
            (false, Some(word)) => word.state().unwrap_or(RunState::Crashed),
            (false, None) if self.offset > 0 || run.journal_file().is_file() => RunState::Crashed,
            (false, None) if lock::holder(run.path()).is_some() => RunState::Crashed,
            (false, None) => RunState::Created,
        };
        if let Some(word) = self.word.as_ref().filter(|_| !held) {
            summary.said.clone_from(&word.text);
            summary.last = summary.last.max(word.t);
        }
        summary.clone()
    }

    fn read_recipe(&mut self, run: &RunDir) {
        let now = stamp(&run.recipe_file());
        if now == self.recipe && !self.summary.name.is_empty() {
            return;
        }
        self.recipe = now;
        self.summary.path = run.path().to_path_buf();
        self.summary.name = run.name();
        if self.summary.started == 0.0 {
            let made = now.and_then(|(_, t)| t.duration_since(SystemTime::UNIX_EPOCH).ok());
            self.summary.started = made.map_or(0.0, |d| d.as_secs_f64());
            self.summary.last = self.summary.started;
        }
        self.summary.about = match run.recipe() {
            Ok(recipe) => About::new(&recipe),
            Err(e) => About { error: Some(e.to_string()), ..About::default() },
        };
    }

    fn read_notes(&mut self, run: &RunDir) {
        let now = stamp(&run.path().join("notes.toml"));
        if now != self.notes {
            self.notes = now;
            (self.summary.notes, self.summary.notes_error) = match Notes::read(run.path()) {
                Ok(notes) => (notes, None),
                Err(e) => (Notes::default(), Some(e.to_string())),
            };
        }
    }

    /// What is new in the journal; of a journal that was never read, its first line and its end.
    fn read_journal(&mut self, run: &RunDir) {
        let path = run.journal_file();
        let Ok(length) = std::fs::metadata(&path).map(|m| m.len()) else { return };
        if length < self.offset {
            // Another file of that name.
            self.offset = 0;
        }
        if length == self.offset {
            return;
        }
        let Ok(mut file) = crate::bounded::open(&path) else { return };
        if self.offset == 0 {
            if let Some(first) = first_time(&mut file) {
                self.summary.started = first;
            }
            let mut window = WINDOW;
            while window < length && window < FURTHEST && !holds_a_stage(&mut file, length - window) {
                window *= 4;
            }
            if window < length
                && let Some(event) = first_line(&mut file).and_then(|line| serde_json::from_slice::<Event>(&line).ok())
                && matches!(event.body, EventBody::Started(_))
            {
                self.apply(event);
            }
            self.take(&mut file, length.saturating_sub(window), window < length);
        } else {
            self.take(&mut file, self.offset, false);
        }
    }

    /// Takes in the complete lines from `from` on; the first one is left out where it is `torn`.
    fn take(&mut self, file: &mut File, from: u64, torn: bool) {
        let mut newest = Newest::default();
        let mut at = from;
        each_line(file, from, |line| {
            at += line.len() as u64;
            if !(torn && at == from + line.len() as u64) {
                newest.see(line);
            }
        });
        self.offset = at;
        newest.into_events().for_each(|event| self.apply(event));
    }

    fn apply(&mut self, event: Event) {
        let summary = &mut self.summary;
        // Only says that the worker lives.
        if !(self.paused && matches!(event.body, EventBody::Heartbeat {})) {
            summary.last = summary.last.max(event.t);
        }
        match event.body {
            EventBody::Stage(stage) => {
                summary.stage = (stage.index + 1, stage.of);
                summary.method = stage.method;
                summary.step = (0, stage.steps);
                (summary.train_loss, summary.dev_loss, summary.sparsity) = (None, None, None);
            }
            EventBody::Step(step) => {
                summary.step.0 = step.step;
                summary.train_loss = Some(step.loss);
            }
            EventBody::Dev(dev) => summary.dev_loss = Some(dev.loss),
            EventBody::Modules(modules) => {
                summary.sparsity = sparsity(&modules.sparsity, &self.sizes);
            }
            EventBody::Report(report) => {
                summary.report = Some(report.clone());
                // The row of the run's own method comes last, after those it is compared with.
                if let Some(row) =
                    report.rows.last().filter(|_| summary.stage.1 > 0 && summary.stage.0 == summary.stage.1)
                {
                    summary.rouge = Some(row.rouge);
                    summary.sparsity = Some(row.sparsity);
                }
            }
            EventBody::Paused { paused } => self.paused = paused,
            EventBody::Started(started) => {
                self.paused = false;
                self.sizes = started.matrices.iter().map(|m| m.rows * m.cols).collect();
            }
            EventBody::Warning { text }
            | EventBody::Finished { text }
            | EventBody::Stopped { text }
            | EventBody::Failed { text } => summary.said = text,
            _ => {}
        }
    }
}

/// Share of the parameters that are zero, from that of each matrix; the plain mean where the sizes are not those
/// of these matrices.
fn sparsity(shares: &[Option<f32>], sizes: &[usize]) -> Option<f64> {
    let known = sizes.len() == shares.len();
    let (mut zero, mut all) = (0.0, 0.0);
    for (i, share) in shares.iter().enumerate() {
        let size = if known { sizes[i] as f64 } else { 1.0 };
        if let Some(share) = share {
            zero += f64::from(*share) * size;
            all += size;
        }
    }
    (all > 0.0).then(|| zero / all)
}

impl About {
    fn new(recipe: &Recipe) -> Self {
        let shown = |path: &Path| path.display().to_string();
        let data = [Some(&recipe.data.train), Some(&recipe.data.dev), recipe.data.test.as_ref()];
        Self {
            base: recipe.base_shown(),
            adapters: recipe.adapters.iter().map(|a| (a.name.clone(), a.role.name().to_owned())).collect(),
            data: data.into_iter().flatten().map(|p| shown(p)).collect(),
            error: None,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
