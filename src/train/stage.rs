//! One training stage: update after update, with evaluations, samples, checkpoints and the user's orders.

mod samples;

use super::checkpoint::{self, Checkpoint, Position, State};
use super::evaluate;
use super::optimizer::Optimizer;
use super::orders::{Orders, STOPS, UNTRAINED};
use super::plan::{Pruning, Stage, Training};
use super::schedule::learning_rate;
use super::step::{Trainer, Update, diverged, train_squares};
use super::task::Task;
use super::what_if::desk::Desk;
use crate::data::Epochs;
use crate::lora::{Adapter, MergedSet};
use crate::model::CARD_FULL;
use crate::prune::{Key, MatrixState, Pruner};
use crate::recipe::{self, BestBy, Recipe};
use crate::run::crash;
use crate::run::estimate::bytes;
use crate::run::estimate::layers::Layers;
use crate::run::event::{self, Dev, EventBody, MatrixInfo, Modules, Phase, PhaseKind};
use crate::run::session::{Session, with_room};
use crate::{Error, Result};
use samples::Budget;
use std::collections::HashMap;
use std::time::Instant;

/// What the stages of a run share.
pub struct Context<'a> {
    /// The recipe.
    pub recipe: &'a Recipe,
    /// Base and data.
    pub task: &'a Task,
    /// The run.
    pub session: &'a mut dyn Session,
    /// The user's orders.
    pub orders: &'a mut Orders,
    /// Columns of the journal's `modules` events.
    pub matrices: &'a [MatrixInfo],
    /// Where the run stands.
    pub position: &'a mut Position,
    /// The target adapter as it was trained alone, if it was.
    pub target: Option<&'a Adapter>,
    /// Learning rate of the last update.
    pub lr: f64,
    /// The step of this stage's newest checkpoint, where that holds all that there is of the step.
    pub saved: Option<usize>,
}

/// How a training stage ended.
#[derive(Debug)]
pub enum End {
    /// With these matrices (the best on dev), and their sparsity.
    Done(MergedSet),
    /// The user stopped it; a checkpoint is written.
    Stopped,
}

impl Context<'_> {
    /// Gives the user's orders a look while something long goes on; false to give it up.
    pub(super) fn tick(&mut self) -> Result<bool> {
        self.orders.read(self.session)?;
        Ok(!self.orders.wants_stop())
    }

    /// As [`Self::tick`], while the dev set is scored; says how far that is.
    fn tick_of_dev(&mut self, what: &str, counts: (usize, usize), told: &mut Option<usize>) -> Result<bool> {
        if let Some(phase) = phase_of_dev(what, counts, told) {
            self.session.record(EventBody::Phase(phase))?;
        }
        self.tick()
    }

    /// Mean loss of the dev set and, where the best is chosen by it, ROUGE. `None` when stopped.
    fn score_dev(&mut self, set: &MergedSet) -> Result<Option<(f64, Option<event::Rouge>)>> {
        let (recipe, task) = (self.recipe, self.task);
        let micro = recipe.train.micro_tokens;
        let mut told = None;
        let mut tell = |done, total| self.tick_of_dev("loss", (done, total), &mut told);
        let Some(loss) = evaluate::loss(task, Some(set), &task.dev, micro, &mut tell)? else { return Ok(None) };
        if recipe.train.best_by == BestBy::DevLoss {
            return Ok(Some((loss, None)));
        }
        let settings = (&evaluate::greedy(recipe), recipe.seed);
        let mut told = None;
        let mut tell = |done, total| self.tick_of_dev("summaries", (done, total), &mut told);
        let texts = evaluate::summaries(task, Some(set), &task.dev, usize::MAX, settings, &mut tell)?;
        Ok(texts.map(|texts| (loss, Some(evaluate::rouge(task, &task.dev, &texts)))))
    }

    fn modules_event(&mut self, step: usize, states: &[(Key, MatrixState)]) -> Result<()> {
        let by_key: HashMap<Key, &MatrixState> = states.iter().map(|(key, state)| (*key, state)).collect();
        let column = |pick: &dyn Fn(&MatrixState) -> Option<f32>| -> Vec<Option<f32>> {
            self.matrices
                .iter()
                .map(|m| by_key.get(&(m.module, m.adapter, m.factor)).and_then(|s| pick(s)).map(short))
                .collect()
        };
        let modules = Modules {
            step,
            ratio: column(&|s| Some(s.ratio as f32)),
            sparsity: column(&|s| Some(s.sparsity as f32)),
            importance: column(&|s| Some(s.importance)),
            quantiles: self
                .matrices
                .iter()
                .map(|m| by_key.get(&(m.module, m.adapter, m.factor)).map(|s| s.quantiles.map(short)))
                .collect(),
            retained: column(&|s| Some(s.retained as f32)),
            flips: column(&|s| s.flips.map(|f| f as f32)),
            full: match self.recipe.prune.schedule {
                recipe::RatioSchedule::Constant => Vec::new(),
                recipe::RatioSchedule::Linear | recipe::RatioSchedule::Cubic => column(&|s| Some(s.full as f32)),
            },
        };
        self.session.record(EventBody::Modules(modules))
    }

    fn checkpoint(&mut self, trainer: &Trainer<'_>, best: Option<&MergedSet>) -> Result<String> {
        self.check(&trainer.set)?;
        let dir = self.session.dir().clone();
        if let Some(pruner) = &trainer.pruner {
            let known = self.recipe.prune.rules.len();
            self.position.rules = pruner.settings().rules.get(known..).unwrap_or_default().to_vec();
        }
        let state = State { set: &trainer.set, best, optimizer: &trainer.optimizer, pruner: trainer.pruner.as_ref() };
        let (position, target) = (&*self.position, self.target);
        let folder = with_room(self.session, || checkpoint::write(&dir.checkpoints(), position, target, Some(state)))?;
        let path = folder.strip_prefix(dir.path()).unwrap_or(&folder).display().to_string();
        let best = self.position.best.is_some_and(|b| b.1 == self.position.step);
        self.session.record(EventBody::Checkpoint(event::Checkpoint {
            step: self.position.step,
            path: path.clone(),
            best,
        }))?;
        self.saved = Some(self.position.step);
        Ok(path)
    }

    /// Trains `set` as `stage` says, from the start or from `resume`.
    ///
    /// # Errors
    /// When the training diverges, memory is short, or the run's files fail.
    pub fn train(
        &mut self,
        stage: &Stage,
        training: Training,
        set: MergedSet,
        resume: Option<&Checkpoint>,
    ) -> Result<End> {
        let (recipe, task) = (self.recipe, self.task);
        let examples = task.train.encoded.sequences.len();
        let (total, per_epoch) = stage.steps(examples, recipe.train.batch);
        let names = recipe.adapters.iter().map(|a| a.name.clone()).collect();
        let mut pruner = Pruner::new(&prune_settings(&recipe.prune, training.pruning), names, recipe.seed)?;
        let mut set = set;
        if training.pruning == Pruning::Once && resume.is_none() {
            set = self.pruned_once(&set)?;
            pruner.take_zeros(&set)?;
        }
        let mut trainer = Trainer {
            task,
            settings: &recipe.train,
            set,
            optimizer: Optimizer::new(&recipe.train),
            pruner: Some(pruner),
            key: recipe.seed.rotate_left(40) ^ ((self.position.stage as u64) << 56),
        };
        let mut best: Option<MergedSet> = None;
        if let Some(checkpoint) = resume {
            checkpoint.fill_whole("now", &trainer.set)?;
            if checkpoint.position.best.is_some() {
                let kept = trainer.set.snapshot()?;
                checkpoint.fill_whole("best", &kept)?;
                best = Some(kept);
            }
            checkpoint.restore(&trainer.set, &mut trainer.optimizer, trainer.pruner.as_mut())?;
        }
        let mut order = Epochs::new(examples, recipe.train.batch, recipe.seed).after(self.position.step);
        self.lr = training.lr;
        let eval_every = if recipe.train.eval_every > 0 { recipe.train.eval_every } else { per_epoch };
        let checkpoint_every =
            if recipe.train.checkpoint_every > 0 { recipe.train.checkpoint_every } else { per_epoch };
        // By the checkpoint that this stage came from.
        self.saved = Some(self.position.step);
        let mut desk = Desk::default();
        let mut budget = Budget::default();
        self.orders.begin_training();
        while !self.position.trained {
            self.obey(&mut trainer, training.pruning != Pruning::None, best.as_ref())?;
            desk.serve(self, &trainer)?;
            if self.stop(&trainer, best.as_ref())? {
                return Ok(End::Stopped);
            }
            if self.orders.is_paused() {
                continue;
            }
            let step = self.position.step;
            let due = step > 0 && (step.is_multiple_of(eval_every) || step == total);
            if due && self.position.evaluated != step {
                match self.evaluate(&trainer.set, step == total, &mut budget)? {
                    // The order to stop is carried out above; the evaluation comes again after a resume.
                    None => continue,
                    Some(true) => {
                        best = Some(trainer.set.snapshot()?);
                        trainer.pruner.iter_mut().try_for_each(Pruner::keep_best)?;
                    }
                    Some(false) => self.position.trained = self.out_of_patience()?,
                }
            }
            self.position.trained |= step == total;
            if self.saved != Some(step) && (self.position.trained || step.is_multiple_of(checkpoint_every)) {
                self.checkpoint(&trainer, best.as_ref())?;
            }
            if self.position.trained {
                break;
            }
            let clock = Instant::now();
            let Some(chosen) = order.next() else { break };
            self.lr = learning_rate(&recipe.train, training.lr, step, total, per_epoch);
            let update = trainer
                .step(step + 1, total, &chosen, self.lr)
                .map_err(|e| with_figures(e, task.place.memory(), recipe, task.layers))?;
            self.position.step += 1;
            let seconds = clock.elapsed().as_secs_f64();
            self.position.seconds += seconds;
            budget.add_work(seconds);
            self.report(&update, per_epoch)?;
        }
        // Scoring, which comes now, may take long: nobody is left to wait for its end.
        self.orders.end_training(self.session, UNTRAINED)?;
        Ok(End::Done(best.unwrap_or(trainer.set)))
    }

    /// A copy of `set`, pruned as the recipe says by the norms of the whole training set.
    ///
    /// # Errors
    /// When memory is short, or the importance needs gradients.
    pub fn pruned_once(&mut self, set: &MergedSet) -> Result<MergedSet> {
        let (recipe, task) = (self.recipe, self.task);
        let names = recipe.adapters.iter().map(|a| a.name.clone()).collect();
        let squares = train_squares(task, set, &recipe.train)?;
        Ok(Pruner::new(&recipe.prune, names, recipe.seed)?.scratch(set, &[], Some(&squares))?.set)
    }

    /// Scores the dev set and writes the samples that the training has time for: at the first evaluation and
    /// the last one in any case. Whether it is the best so far, `None` when stopped.
    fn evaluate(&mut self, set: &MergedSet, last: bool, budget: &mut Budget) -> Result<Option<bool>> {
        let step = self.position.step;
        let clock = Instant::now();
        let Some((loss, rouge)) = self.score_dev(set)? else { return Ok(None) };
        budget.add_work(clock.elapsed().as_secs_f64());
        if !loss.is_finite() {
            return Err(diverged(step, &format!("dev loss {loss}"), self.lr));
        }
        // Lower is better.
        let figure = rouge.map_or(loss, |r| -r.rouge_l);
        let better = self.position.best.is_none_or(|(old, _)| figure < old);
        if better {
            self.position.best = Some((figure, step));
            self.position.stale = 0;
        } else {
            self.position.stale += 1;
        }
        self.position.evaluated = step;
        // One that was written before, in a pause or on order, knows nothing of this.
        self.saved = None;
        let documents = self.task.dev.references.len();
        self.session.record(EventBody::Dev(Dev { step, loss, rouge, documents, best: better }))?;
        // Of the first nothing is known yet: it is afforded.
        if last || self.is_stale() || budget.affords() {
            let clock = Instant::now();
            self.samples(Some(set), step)?;
            budget.add_samples(clock.elapsed().as_secs_f64());
        } else if budget.leaves_out() {
            let text = format!(
                "the samples of step {step} are left out: they would take more than a tenth of the training's time; the \
                 last evaluation has some, and a key writes them at any time"
            );
            self.session.record(EventBody::Warning { text })?;
        }
        Ok(Some(better))
    }

    /// Whether the training has gone on long enough without a better dev result.
    fn is_stale(&self) -> bool {
        let patience = self.recipe.train.patience;
        patience > 0 && self.position.stale >= patience
    }

    /// The same, and says so.
    fn out_of_patience(&mut self) -> Result<bool> {
        if !self.is_stale() {
            return Ok(false);
        }
        let (step, stale) = (self.position.step, self.position.stale);
        let text = format!("stopped early at step {step}: no better dev result in {stale} evaluations");
        self.session.record(EventBody::Warning { text })?;
        Ok(true)
    }

    /// Refuses to keep matrices that hold NaN or infinity: the checkpoint before them is the last good one.
    #[allow(clippy::eq_op)]
    fn check(&self, set: &MergedSet) -> Result<()> {
        for (id, module) in &set.modules {
            for matrix in [&module.a, &module.b] {
                // x - x is 0 for every finite x and NaN for the others.
                if (matrix - matrix)?.sum_all()?.to_scalar::<f32>()? != 0.0 {
                    return Err(diverged(self.position.step, &format!("{id} holds NaN or infinity"), self.lr));
                }
            }
        }
        Ok(())
    }

    fn report(&mut self, update: &Update, per_epoch: usize) -> Result<()> {
        let step = self.position.step;
        self.session.record(EventBody::Step(event::Step {
            step,
            epoch: step as f64 / per_epoch.max(1) as f64,
            loss: update.loss,
            lr: self.lr,
            grad_norm: update.norm,
            tokens_per_second: update.tokens as f64 / update.seconds.total().max(1e-9),
            seconds: update.seconds,
            memory: self.task.place.memory(),
        }))?;
        if !update.matrices.is_empty() {
            self.modules_event(step, &update.matrices)?;
        }
        Ok(())
    }

    /// Carries out what the user asked for between two updates.
    fn obey(&mut self, trainer: &mut Trainer<'_>, prunes: bool, best: Option<&MergedSet>) -> Result<()> {
        self.orders.read(self.session)?;
        if self.orders.is_paused() && !self.orders.wants_stop() && self.saved != Some(self.position.step) {
            // Who asks from the run's files while it is paused is answered about this step, as the worker answers.
            self.checkpoint(trainer, best)?;
        }
        self.orders.wait(self.session)?;
        let mut taken = Vec::new();
        for (request, rules) in self.orders.take_rules() {
            let refusal = match trainer.pruner.as_mut().filter(|_| prunes) {
                None => Some("this stage does not prune".to_owned()),
                Some(pruner) => super::check_rules(&rules, self.recipe, self.matrices)
                    .and_then(|()| pruner.add_rules(&rules))
                    .err()
                    .map(|e| e.to_string()),
            };
            match refusal {
                Some(why) => self.session.answer(&request, false, &why)?,
                None => taken.push(request),
            }
        }
        if !taken.is_empty() {
            // What the user was told is kept, whatever becomes of this worker.
            self.checkpoint(trainer, best)?;
        }
        for request in taken {
            self.session.answer(&request, true, &format!("from step {}", self.position.step + 1))?;
        }
        for request in self.orders.take_generates() {
            let ok = self.samples(Some(&trainer.set), self.position.step)?;
            self.session.answer(&request, ok, if ok { "samples are written" } else { "given up" })?;
        }
        for request in self.orders.take_checkpoints() {
            let path = self.checkpoint(trainer, best)?;
            self.session.answer(&request, true, &path)?;
        }
        Ok(())
    }

    fn stop(&mut self, trainer: &Trainer<'_>, best: Option<&MergedSet>) -> Result<bool> {
        let Some(request) = self.orders.stop().cloned() else { return Ok(false) };
        self.orders.end_training(self.session, STOPS)?;
        let path = self.checkpoint(trainer, best)?;
        self.session.answer(&request, true, &format!("stopped with {path}"))?;
        Ok(true)
    }
}

/// What is told of a dev evaluation within the training: each count once, and not the last one, after which the score
/// itself comes.
fn phase_of_dev(what: &str, (done, total): (usize, usize), told: &mut Option<usize>) -> Option<Phase> {
    // The same number comes again with every token that is written.
    if done >= total || told.replace(done) == Some(done) {
        return None;
    }
    let (done, total) = (done as u64, total as u64);
    Some(Phase { phase: PhaseKind::Eval, label: format!("dev {what}"), done, total })
}

/// Where a card's memory is full: what it had, and what of a step is left to lower.
fn with_figures(error: Error, memory: u64, recipe: &Recipe, layers: Layers) -> Error {
    match error {
        Error::User(text) if text.starts_with(CARD_FULL) => {
            let (settings, besides) = crash::less(recipe, Some([layers.again(), layers.of]));
            Error::User(format!(
                "{CARD_FULL}: {} were in use, train.micro_tokens is {}, {} of {} layers are forwarded again: \
                 `lopper resume RUN {}` goes on from the last checkpoint{besides}; or use a smaller base",
                bytes(memory),
                recipe.train.micro_tokens,
                layers.again(),
                layers.of,
                settings.join("`, `")
            ))
        }
        other => other,
    }
}

/// How a stage prunes. One that does not still measures the importance of every matrix, over the tokens of its steps.
pub fn prune_settings(asked: &recipe::Prune, pruning: Pruning) -> recipe::Prune {
    let mut settings = asked.clone();
    match pruning {
        Pruning::Each => {}
        // Drawn anew at every step, no entry would outlive a few of them.
        Pruning::Random => (settings.importance, settings.hold) = (recipe::Importance::Random, true),
        Pruning::Once => (settings.hold, settings.schedule) = (true, recipe::RatioSchedule::Constant),
        Pruning::None => {
            (settings.ratio, settings.rules, settings.moments) = (0.0, Vec::new(), recipe::Moments::Keep);
            if settings.norms == recipe::Norms::Train {
                settings.norms = recipe::Norms::Batch;
            }
        }
    }
    settings
}

/// Four significant digits: what the screen can show, and a third of the bytes.
fn short(x: f32) -> f32 {
    if x == 0.0 || !x.is_finite() {
        return if x.is_finite() { x } else { 0.0 };
    }
    let scale = 10f64.powi(3 - f64::from(x.abs()).log10().floor() as i32);
    ((f64::from(x) * scale).round() / scale) as f32
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::{Layers, Recipe, phase_of_dev, short, with_figures};
    use crate::Error;

    #[test]
    fn a_full_card_is_told_with_figures_and_with_what_is_left_to_lower() {
        let recipe = "base = 'b'\n[data]\ntrain = 't'\ndev = 'd'\n[[adapters]]\nname = 'x'\nrole = 'target'\n";
        let recipe = Recipe::parse(recipe).unwrap();
        let full = || Error::user(format!("{}: use a smaller base", crate::model::CARD_FULL));
        let text = |whole| with_figures(full(), 78_000_000_000, &recipe, Layers { whole, of: 32 }).to_string();
        let (some, all) = (text(20), text(1));
        assert!(some.contains("78.0 GB were in use") && some.contains("12 of 32 layers are forwarded again"), "{some}");
        assert!(some.contains("--set train.micro_tokens=1024`, `--set train.recompute=true` goes on"), "{some}");
        assert!(all.contains("31 of 32 layers") && !all.contains("train.recompute"), "{all}");
        assert_eq!(with_figures(Error::user("x"), 1, &recipe, Layers::default()), Error::user("x"));
    }

    #[test]
    fn a_dev_evaluation_tells_each_count_once_and_leaves_its_end_to_the_score() {
        let mut told = None;
        let counts = [0, 0, 2, 2, 5, 5, 9].map(|done| phase_of_dev("summaries", (done, 9), &mut told));
        let shown: Vec<String> = counts.iter().flatten().map(|p| format!("{} {}", p.label, p.counts())).collect();
        assert_eq!(shown, ["dev summaries 0/9", "dev summaries 2/9", "dev summaries 5/9"]);
        // A dev set of one batch is scored as soon as anything could be told of it.
        assert_eq!(phase_of_dev("loss", (3, 3), &mut None), None);
    }

    #[test]
    fn four_digits_stay() {
        assert_eq!(
            [short(0.123_456), short(-98_765.4), short(0.0), short(1.0), short(3e-9)],
            [0.1235, -98_770.0, 0.0, 1.0, 3e-9]
        );
    }
}
