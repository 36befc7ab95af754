//! Sample summaries of dev documents: written into the journal, and how much of a training's time they may take.

use super::Context;
use crate::Result;
use crate::eval::rouge;
use crate::lora::MergedSet;
use crate::run::event::{EventBody, Sample};
use crate::train::evaluate;

/// Share of a stage's training time that samples may take, beside those of its first and its last evaluation.
const SHARE: f64 = 0.1;
/// Seconds: a stage whose samples have once been written in less writes them after every evaluation. So what a small run's
/// journal holds does not depend on how busy the machine is.
const CHEAP: f64 = 0.5;

/// Where the time of a stage's training went since this worker began it, pauses left out.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Budget {
    /// Seconds of steps and evaluations.
    worked: f64,
    /// Seconds of the samples after evaluations.
    sampled: f64,
    /// Seconds that the last of them took, ...
    last: f64,
    /// ... and the quickest.
    least: Option<f64>,
    /// Whether some were left out.
    left_out: bool,
}

impl Budget {
    /// Steps or an evaluation took `seconds`.
    pub fn add_work(&mut self, seconds: f64) {
        self.worked += seconds;
    }

    /// The samples after an evaluation took `seconds`.
    pub fn add_samples(&mut self, seconds: f64) {
        self.sampled += seconds;
        self.last = seconds;
        self.least = Some(self.least.map_or(seconds, |least| least.min(seconds)));
    }

    /// Some are left out; true the first time.
    pub fn leaves_out(&mut self) -> bool {
        !std::mem::replace(&mut self.left_out, true)
    }

    /// Whether samples may be written now: they are cheap, or stay within their share if they take as long as the last time.
    pub fn affords(&self) -> bool {
        let cheap = self.least.is_none_or(|least| least < CHEAP);
        cheap || self.sampled + self.last <= SHARE * (self.worked + self.sampled)
    }
}

impl Context<'_> {
    /// Writes the sample summaries into the journal; false when stopped. No number of the training depends on them: they
    /// are drawn from a random stream of their own.
    ///
    /// # Errors
    /// When the journal fails or memory is short.
    pub fn samples(&mut self, set: Option<&MergedSet>, step: usize) -> Result<bool> {
        let (recipe, task) = (self.recipe, self.task);
        let count = recipe.samples.documents;
        if count == 0 {
            return Ok(true);
        }
        let texts =
            evaluate::summaries(task, set, &task.dev, count, (&recipe.samples, recipe.seed), &mut |_, _| self.tick())?;
        let Some(texts) = texts else { return Ok(false) };
        for (document, text) in texts.into_iter().enumerate() {
            let rouge_l = 100.0 * rouge::score(&task.dev.references[document], &text, task.segmentation).rouge_l.f;
            self.session.record(EventBody::Sample(Sample { step, document, text, rouge_l }))?;
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Evaluations after `work` seconds of steps each, with samples of `seconds`, those of `always` in any case: the numbers
    /// of those whose samples are written, and the share of the time that they took.
    fn written(evaluations: usize, work: f64, seconds: f64, always: &[usize]) -> (Vec<usize>, f64) {
        let mut budget = Budget::default();
        let mut all = Vec::new();
        for i in 0..evaluations {
            budget.add_work(work);
            let afforded = budget.affords();
            if afforded || always.contains(&i) {
                budget.add_samples(seconds);
                all.push(i);
            }
            if afforded && i > 0 && seconds >= CHEAP {
                assert!(budget.sampled <= SHARE * (budget.worked + budget.sampled), "{i}: {budget:?}");
            }
        }
        (all, budget.sampled / (budget.worked + budget.sampled))
    }

    #[test]
    fn samples_stay_within_their_share_of_the_time() {
        let (all, share) = written(20, 1.0, 0.5, &[0, 19]);
        assert_eq!(all, [0, 9, 13, 18, 19]);
        // The first and the last may come on top.
        assert!(share <= SHARE + 2.0 * 0.5 / 20.0, "{share}");
        let (all, share) = written(2_000, 1.0, 0.5, &[0, 1_999]);
        assert!(all.len() > 300 && (0.08..=SHARE + 0.001).contains(&share), "{} {share}", all.len());
        // Costly ones are written in any case only.
        assert_eq!(written(20, 1.0, 30.0, &[0, 4, 19]).0, [0, 4, 19]);
        // Where there is time for all, all are written.
        assert_eq!(written(20, 10.0, 0.9, &[0]).0.len(), 20);
    }

    #[test]
    fn quick_samples_are_always_written() {
        assert_eq!(written(20, 0.01, 0.49, &[]).0.len(), 20);
        // Also after one that something else held up.
        let mut budget = Budget::default();
        budget.add_samples(0.02);
        budget.add_samples(60.0);
        assert!(budget.affords());
    }
}
