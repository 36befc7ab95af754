//! A run without a worker, loaded to be asked: what it ended with, or its newest checkpoint.

use super::super::checkpoint::{self, Checkpoint, Position, list};
use super::super::plan::{self, Pruning};
use super::super::stage::prune_settings;
use super::super::task::Task;
use super::super::{check_rules, matrices, merged};
use super::Subject;
use crate::lora::MergedSet;
use crate::prune::Pruner;
use crate::recipe::ratios::Rule;
use crate::recipe::{RatioSchedule, Recipe};
use crate::run::event::{EventBody, MatrixInfo};
use crate::run::{RunDir, RunState};
use crate::{Error, Result};
use candle_core::{Device, Tensor};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// A checkpoint that could not be read, as it was then: one that is written anew by the same name is another.
#[derive(Debug, PartialEq)]
struct Unreadable {
    folder: PathBuf,
    since: Option<SystemTime>,
}

impl Unreadable {
    fn of(folder: &Path) -> Self {
        let since = std::fs::metadata(folder).and_then(|meta| meta.modified()).ok();
        Self { folder: folder.to_path_buf(), since }
    }
}

/// Which set of a run is asked. A run that goes on has another one sooner or later.
#[derive(Debug)]
struct Source {
    /// The best set of a run that is finished, the last of one that is not.
    finished: bool,
    /// The newest checkpoint that could be read.
    folder: PathBuf,
    /// Where the run stood at it: a resumed run may come by the same name again.
    position: Position,
    /// Newer ones, which could not.
    unreadable: Vec<Unreadable>,
}

impl Source {
    /// Whether [`Reopened::load`] would choose it now.
    fn is_current(&self, run: &RunDir) -> bool {
        let folders = list(&run.checkpoints()).into_iter();
        let mut others = folders.filter(|folder| !self.unreadable.contains(&Unreadable::of(folder)));
        let newest = others.find_map(|folder| checkpoint::position(&folder).ok().map(|position| (folder, position)));
        let is_it = |(folder, position): (PathBuf, Position)| folder == self.folder && position == self.position;
        is_finished(run) == self.finished && newest.is_some_and(is_it)
    }
}

fn is_finished(run: &RunDir) -> bool {
    run.state() == RunState::Finished
}

/// What was loaded.
#[derive(Debug)]
pub struct Reopened {
    /// The run's recipe.
    pub recipe: Recipe,
    /// Base and data.
    pub task: Task,
    /// The matrices.
    pub set: MergedSet,
    /// What pruned them.
    pub pruner: Pruner,
    /// The updates of the stage that they have seen.
    pub step: usize,
    /// The stage's number and its method.
    pub stage: (usize, String),
    /// Every matrix of every adapter.
    pub matrices: Vec<MatrixInfo>,
    /// What the user should know.
    pub notes: Vec<String>,
    source: Source,
}

impl Reopened {
    /// Loads the run: the best set of one that is finished, the last of one that is not.
    ///
    /// # Errors
    /// When it has no checkpoint, or something is missing or damaged.
    pub fn load(run: &RunDir) -> Result<Self> {
        let mut recipe = run.recipe()?;
        // Nothing is scored by it.
        recipe.eval.encoder = None;
        // Before the checkpoint: what a run writes last is there when it is finished.
        let finished = is_finished(run);
        let (newest, unreadable) = checkpoint::readable(&run.checkpoints());
        let skipped = unreadable.iter().map(|(folder, _)| Unreadable::of(folder)).collect();
        let mut notes: Vec<String> = unreadable.into_iter().map(|(_, why)| why).collect();
        let Some(checkpoint) = newest else {
            let path = crate::text::printable(&run.path().display().to_string()).into_owned();
            return Err(Error::user(format!("{path} has no checkpoint to ask: it is {}", run.state().word())));
        };
        let mut said: Vec<EventBody> = Vec::new();
        let mut task = Task::load(&recipe, &mut said)?;
        if let Some(adapter) = checkpoint.target(&task.adapters[task.target].0)? {
            task.adapters[task.target].0 = adapter;
        }
        let stages = plan::stages(&recipe);
        let number = checkpoint.position.stage;
        let stage = stages.get(number).ok_or_else(|| Error::user("the checkpoint is of another recipe"))?;
        let none = || Error::user(format!("the stage {:?} has no adapters: nothing to prune", stage.label));
        let set = merged(&task, stage)?.ok_or_else(none)?;
        let names = recipe.adapters.iter().map(|a| a.name.clone()).collect();
        let pruning = stage.training.map_or(Pruning::None, |training| training.pruning);
        let mut pruner = Pruner::new(&prune_settings(&recipe.prune, pruning), names, recipe.seed)?;
        let step = fill(&checkpoint, &set, &mut pruner, finished, &mut notes)?;
        let matrices = matrices(&task.adapters);
        let stage = (number, stage.label.clone());
        let (folder, position) = (checkpoint.folder, checkpoint.position);
        let source = Source { finished, folder, position, unreadable: skipped };
        Ok(Self { recipe, task, set, pruner, step, stage, matrices, notes, source })
    }

    /// Whether the set is the best of a run that is finished.
    pub fn is_finished(&self) -> bool {
        self.source.finished
    }

    /// Whether the run would be asked by the same set if it were loaded now: not so once it has gone on.
    pub fn is_current(&self, run: &RunDir) -> bool {
        self.source.is_current(run)
    }

    /// It, to be asked.
    pub fn subject(&self) -> Subject<'_> {
        Subject { recipe: &self.recipe, task: &self.task, set: &self.set, pruner: &self.pruner, step: self.step }
    }

    /// What would have pruned the set to its present ratios without a schedule: with it the rules of a question are taken
    /// as they are, not by the share that the schedule has come to, and all other matrices stay as they are. `None` where
    /// that share is the whole. It holds masks and shadow once more.
    ///
    /// # Errors
    /// When memory is short.
    pub fn unscheduled(&self) -> Result<Option<Pruner>> {
        let share = self.pruner.present_share();
        if share >= 1.0 {
            return Ok(None);
        }
        let mut settings = self.pruner.settings().clone();
        settings.schedule = RatioSchedule::Constant;
        settings.ratio *= share;
        settings.rules.iter_mut().for_each(|rule| rule.ratio *= share);
        let names = self.recipe.adapters.iter().map(|a| a.name.clone()).collect();
        let mut pruner = Pruner::new(&settings, names, self.recipe.seed)?;
        // Not what belongs to another set.
        let of_this = self.pruner.state()?.into_iter().filter(|(name, _)| !name.starts_with("best."));
        let mut state: HashMap<String, Tensor> = of_this.collect();
        // Without this nothing was pruned yet.
        if let Some(last) = state.get_mut("last") {
            let mut numbers: Vec<f64> = last.to_vec1()?;
            // The share, of what are the whole ratios now.
            numbers[0] = 1.0;
            *last = Tensor::from_vec(numbers, last.shape(), &Device::Cpu)?;
            pruner.restore(&self.set, &state)?;
        }
        Ok(Some(pruner))
    }

    /// Refuses rules that say nothing about any matrix.
    ///
    /// # Errors
    /// Names the first one.
    pub fn check(&self, rules: &[Rule]) -> Result<()> {
        rules.iter().try_for_each(Rule::validate)?;
        check_rules(rules, &self.recipe, &self.matrices)
    }
}

/// Puts the checkpoint's matrices and what pruned them into place; their step.
fn fill(
    checkpoint: &Checkpoint,
    set: &MergedSet,
    pruner: &mut Pruner,
    finished: bool,
    notes: &mut Vec<String>,
) -> Result<usize> {
    if !checkpoint.is_of_training() {
        return Ok(0);
    }
    checkpoint.restore_pruner(set, pruner)?;
    if finished && checkpoint.position.best.is_some() {
        checkpoint.fill_whole("best", set)?;
        if pruner.return_to_best()? {
            pruner.lie_with(set)?;
        } else {
            pruner.take_zeros(set)?;
            notes
                .push("the run is of an older lopper, which did not keep what it pruned: it comes back as zero".into());
        }
        return Ok(checkpoint.position.best.map_or(checkpoint.position.step, |best| best.1));
    }
    checkpoint.fill_whole("now", set)?;
    Ok(checkpoint.position.step)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_set_stays_the_current_one_beside_a_newer_checkpoint_that_is_damaged() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("recipe.toml"), "").unwrap();
        let run = RunDir::open(folder.path()).unwrap();
        let write = |step| {
            let position = Position { v: 1, step, ..Position::default() };
            checkpoint::write(&run.checkpoints(), &position, None, None).unwrap()
        };
        write(1);
        let newest = write(2);
        std::fs::write(newest.join("state.safetensors"), b"half").unwrap();
        let (found, unreadable) = checkpoint::readable(&run.checkpoints());
        let Checkpoint { folder, position, .. } = found.unwrap();
        let unreadable = unreadable.iter().map(|(folder, _)| Unreadable::of(folder)).collect();
        let source = Source { finished: false, folder, position, unreadable };
        assert!(source.position.step == 1 && source.is_current(&run));
        assert!(newest.exists(), "whoever asks leaves it where it is");
        // Written again it can be read.
        std::fs::remove_dir_all(&newest).unwrap();
        std::fs::create_dir(run.checkpoints().join("stage-0-step-0")).unwrap();
        assert!(source.is_current(&run), "what lies before it does not matter");
        assert!(write(2) == newest && !source.is_current(&run));
    }
}
