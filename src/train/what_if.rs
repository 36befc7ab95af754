//! What other prune ratios would do, measured on a copy: the loss of dev documents and summaries, against the set as
//! it stands. The training that it looks at is only read.

pub mod desk;
mod reading;
pub mod reopened;
pub mod sensitivity;
pub mod slopes;
pub mod suggest;
pub mod tilt;
mod writing;

use super::step;
use super::task::Task;
use crate::lora::{MergedSet, SquareSums};
use crate::prune::scratch::{self, Scratch};
use crate::prune::{Key, Pruner};
use crate::recipe::Recipe;
use crate::recipe::ratios::Rule;
use crate::run::what_if::{Change, DocumentLoss, Progress, WhatIf, mean_losses};
use crate::{Error, Result};
use reading::{Early, From, GivenUp, Inputs, losses};
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::time::Instant;

/// What is asked.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Question {
    /// Rules behind the run's own, the last match wins.
    pub rules: Vec<Rule>,
    /// Dev documents to measure the loss on.
    pub documents: Range<usize>,
    /// How many of the first dev documents to write summaries of.
    pub samples: usize,
}

/// What it is asked of: a set as the last pruning left it.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The recipe.
    pub recipe: &'a Recipe,
    /// Base and data.
    pub task: &'a Task,
    /// The matrices.
    pub set: &'a MergedSet,
    /// What pruned them.
    pub pruner: &'a Pruner,
    /// Updates so far.
    pub step: usize,
}

/// Who waits for the answer.
pub trait Asker {
    /// More is known.
    ///
    /// # Errors
    /// When it cannot be told.
    fn news(&mut self, so_far: &WhatIf) -> Result<()>;

    /// Whether to go on; asked between layers, batches and tokens. When not, why.
    ///
    /// # Errors
    /// When that cannot be found out.
    fn gives_up(&mut self) -> Result<Option<String>>;
}

/// What decides an answer: the ratio of every matrix as bits, the documents, the samples.
type Settings = (Vec<u64>, Range<usize>, usize);

/// Answers questions about one set at one step, and knows again what it was asked there.
#[derive(Debug, Default)]
pub struct Answers {
    step: Option<usize>,
    /// Nats and tokens of dev documents, as things stand. By what was asked: only the same batches give the same bits.
    losses: HashMap<Range<usize>, Vec<(f64, usize)>>,
    /// Summaries as things stand, by the documents that were written together: as above.
    texts: HashMap<Range<usize>, Vec<String>>,
    squares: Option<SquareSums>,
    /// What went into the layers as things stand, over these documents.
    inputs: Option<(Range<usize>, Inputs)>,
    sizes: BTreeMap<Key, usize>,
    /// Sparsity and retained importance as things stand.
    stands: Option<[f64; 2]>,
    known: HashMap<Settings, WhatIf>,
}

impl Answers {
    /// Forgets what belongs to another step.
    fn turn_to(&mut self, subject: &Subject<'_>) {
        if self.step != Some(subject.step) {
            *self = Self { step: Some(subject.step), sizes: scratch::sizes(subject.set), ..Self::default() };
        }
    }

    /// Lets go of what only makes answers faster, and takes room.
    pub fn rest(&mut self) {
        self.inputs = None;
    }

    /// The answer, if the same was asked before at this step.
    ///
    /// # Errors
    /// When a rule is malformed.
    pub fn known(&mut self, subject: &Subject<'_>, question: &Question) -> Result<Option<WhatIf>> {
        self.turn_to(subject);
        let settings = settings(subject, question, &self.sizes)?;
        let known = self.known.get(&settings);
        Ok(known.map(|known| WhatIf { cached: true, seconds: 0.0, rules: question.rules.clone(), ..known.clone() }))
    }

    /// The answer; one that was given up is not known again.
    ///
    /// # Errors
    /// When a rule is malformed, a measured figure is no number, memory is short, or `asker` fails.
    pub fn answer(&mut self, subject: &Subject<'_>, question: &Question, asker: &mut dyn Asker) -> Result<WhatIf> {
        self.attempt(subject, question, asker)?.map_err(Error::user)
    }

    /// As [`Self::answer`]. Where only the ratios that were asked make a figure no number, the inner error says so:
    /// another question can be answered then.
    ///
    /// # Errors
    /// As [`Self::answer`], but for that.
    pub fn attempt(
        &mut self,
        subject: &Subject<'_>,
        question: &Question,
        asker: &mut dyn Asker,
    ) -> Result<std::result::Result<WhatIf, String>> {
        if let Some(known) = self.known(subject, question)? {
            return Ok(Ok(known));
        }
        let mut found = WhatIf { step: subject.step, rules: question.rules.clone(), ..WhatIf::default() };
        match self.find(subject, question, &mut found, asker) {
            Ok(()) => Ok(Ok(found)),
            Err(error) => no_number_by_ratios(&found).map_or(Err(error), |why| Ok(Err(why))),
        }
    }

    fn find(
        &mut self,
        subject: &Subject<'_>,
        question: &Question,
        found: &mut WhatIf,
        asker: &mut dyn Asker,
    ) -> Result<()> {
        let clock = Instant::now();
        let documents = question.documents.start..question.documents.end.min(subject.task.dev.references.len());
        let samples = question.samples.min(subject.task.dev.references.len());
        found.asked = [documents.len(), samples];
        let other = self.masks(subject, &question.rules, found)?;
        found.seconds = clock.elapsed().as_secs_f64();
        readable(found)?;
        asker.news(found)?;
        let measured = self.measure(subject, &other, (documents, samples), found, clock, asker)?;
        found.seconds = clock.elapsed().as_secs_f64();
        if let Err(GivenUp(why)) = measured {
            (found.state, found.text) = (Progress::Cancelled, why);
        } else {
            readable(found)?;
            found.state = Progress::Done;
            self.known.insert(settings(subject, question, &self.sizes)?, found.clone());
        }
        Ok(())
    }

    /// The copy with other masks, and what they are.
    fn masks(&mut self, subject: &Subject<'_>, rules: &[Rule], found: &mut WhatIf) -> Result<Scratch> {
        let Subject { task, set, pruner, .. } = *subject;
        if self.squares.is_none() && pruner.lacks_norms() {
            self.squares = Some(step::train_squares(task, set, &subject.recipe.train)?);
        }
        let stands = if let Some(stands) = self.stands {
            stands
        } else {
            let present = pruner.present(set, self.squares.as_ref())?;
            [present.sparsity(&self.sizes), present.retained(&self.sizes)]
        };
        self.stands = Some(stands);
        let other = pruner.scratch(set, rules, self.squares.as_ref())?;
        (found.changed, found.restored, found.share) = (other.changed, other.restored, pruner.present_share());
        found.sparsity = [stands[0], other.sparsity(&self.sizes)];
        found.retained = [stands[1], other.retained(&self.sizes)];
        let pruned = |(key, state): &(Key, crate::prune::MatrixState)| {
            crate::prune::mask::count(state.ratio, self.sizes.get(key).copied().unwrap_or(0))
        };
        found.predicted = other.states.iter().map(pruned).sum::<usize>() as f64 / other.entries.max(1) as f64;
        Ok(other)
    }

    fn measure(
        &mut self,
        subject: &Subject<'_>,
        other: &Scratch,
        (documents, samples): (Range<usize>, usize),
        found: &mut WhatIf,
        clock: Instant,
        asker: &mut dyn Asker,
    ) -> Early<()> {
        let all: Vec<usize> = documents.clone().collect();
        let mut inputs = None;
        let before = match self.losses.get(&documents) {
            Some(known) => known.clone(),
            None => match losses(subject, subject.set, &all, From::Kept(&mut inputs), asker)? {
                Err(why) => return Ok(Err(why)),
                Ok(before) => self.losses.entry(documents.clone()).or_insert(before).clone(),
            },
        };
        if let Some(inputs) = inputs {
            self.inputs = Some((documents.clone(), inputs));
        }
        let known = self.inputs.as_ref().filter(|(of, _)| *of == documents);
        let from = other.first.zip(known).map_or(From::Start, |(layer, (_, inputs))| From::Layer(layer, inputs));
        let after = match losses(subject, &other.set, &all, from, asker)? {
            Err(why) => return Ok(Err(why)),
            Ok(after) => after,
        };
        let mean = |(sum, tokens): (f64, usize)| sum / tokens.max(1) as f64;
        found.losses = all
            .iter()
            .zip(before.into_iter().zip(after))
            .map(|(&document, (before, after))| DocumentLoss {
                document,
                tokens: before.1,
                before: mean(before),
                after: mean(after),
            })
            .collect();
        found.loss = mean_losses(&found.losses);
        found.delta = Change::of_losses(&found.losses);
        readable(found)?;
        if samples == 0 {
            return Ok(Ok(()));
        }
        (found.state, found.seconds) = (Progress::Loss, clock.elapsed().as_secs_f64());
        asker.news(found)?;
        self.write(subject, &other.set, samples, found, clock, asker)
    }
}

/// Refuses figures that are no numbers: whoever waits could not read them.
fn readable(found: &WhatIf) -> Result<()> {
    found.unmeasured().map_or(Ok(()), |why| Err(Error::user(why)))
}

/// Why the ratios that were asked make a figure no number, where all can be told of the set as it stands.
fn no_number_by_ratios(found: &WhatIf) -> Option<String> {
    let stands = [found.retained[0], found.sparsity[0]].iter().all(|x| x.is_finite());
    let stands = stands && found.losses.iter().all(|loss| loss.before.is_finite());
    found.unmeasured().filter(|_| stands)
}

/// What decides the answer.
fn settings(subject: &Subject<'_>, question: &Question, sizes: &BTreeMap<Key, usize>) -> Result<Settings> {
    let ratios = subject.pruner.ratios_with(&question.rules)?;
    let name = |adapter: usize| subject.recipe.adapters.get(adapter).map_or("", |a| a.name.as_str());
    let bits = sizes.keys().map(|&(id, adapter, factor)| ratios.of(id, name(adapter), factor).to_bits()).collect();
    Ok((bits, question.documents.clone(), question.samples))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_that_the_ratios_spoil_is_told_from_one_that_is_none_anyway() {
        let found = |before, after| WhatIf {
            losses: vec![DocumentLoss { document: 0, tokens: 9, before, after }],
            loss: Some([before, after]),
            retained: [0.9, 0.8],
            ..WhatIf::default()
        };
        assert_eq!(no_number_by_ratios(&found(3.5, 3.6)), None);
        let why = no_number_by_ratios(&found(3.5, f64::INFINITY)).unwrap();
        assert!(why.starts_with("the dev loss is no finite number with these ratios"), "{why}");
        let why = no_number_by_ratios(&WhatIf { retained: [0.9, f64::NAN], ..WhatIf::default() }).unwrap();
        assert!(why.starts_with("the importance is no finite number with these ratios"), "{why}");
        // No other ratios help.
        assert_eq!(no_number_by_ratios(&found(f64::NAN, f64::NAN)), None);
        assert_eq!(no_number_by_ratios(&WhatIf { retained: [f64::NAN; 2], ..WhatIf::default() }), None);
    }
}
