//! Many runs of one recipe with other settings, ranked by what they score on the dev set. The test set is left to the run
//! of the settings that are chosen.

pub mod axis;
pub mod curve;
pub mod plan;
pub mod ruled;
pub mod tables;

use crate::run::event::{Rouge, number};
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;

/// What a run scored on a split.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Score {
    /// Documents.
    pub documents: usize,
    /// Mean loss per summary token, nats; NaN where it is no number: `null` in JSON.
    #[serde(deserialize_with = "number")]
    pub loss: f64,
    /// ROUGE F, percent.
    #[serde(flatten)]
    pub rouge: Rouge,
    /// Standard error of ROUGE-L over the documents, percent points; `None` of one document.
    pub error: Option<f64>,
    /// Share of adapter parameters that are zero, 0 to 1.
    pub sparsity: f64,
    /// Seconds of training.
    pub seconds: f64,
}

/// One run of a sweep.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// Its settings, in the order of the axes.
    pub settings: Vec<f64>,
    /// Epochs or steps of its training where that is less than the recipe has.
    pub budget: Option<usize>,
    /// The name of its run directory.
    pub run: String,
    /// What it scored on dev; `None` where it came to no end.
    pub score: Option<Score>,
    /// Why it came to no end.
    pub failed: Option<String>,
    /// ROUGE-L F of each dev document, percent, in the order of the data; empty where it came to no end.
    #[serde(default)]
    pub by_document: Vec<f64>,
}

/// How far a trial is from the best one, over the documents that both have.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ToBest {
    /// ROUGE-L less that of the best trial, percent points.
    pub difference: f64,
    /// Standard error of the difference document by document: what both find easy or hard does not count. `None` of one
    /// document.
    pub error: Option<f64>,
}

/// The run of the settings that were chosen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Chosen {
    /// The settings, in the order of the axes.
    pub settings: Vec<f64>,
    /// The name of its run directory; `None` where it was not asked for, or there is no test set.
    pub run: Option<String>,
    /// What it scored on the test set.
    pub test: Option<Score>,
    /// Runs of this sweep, and of the folder of runs that holds it, that have scored the test set: 1 is what should be.
    pub looks: usize,
}

/// A whole sweep.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sweep {
    /// The recipe's name.
    pub name: String,
    /// How settings were searched.
    pub search: String,
    /// What was varied: `ratio`, `lr`, `weight NAME`.
    pub axes: Vec<String>,
    /// How texts are cut for ROUGE.
    pub tokens: String,
    /// All trials, the best first.
    pub trials: Vec<Trial>,
    /// What was chosen.
    pub chosen: Option<Chosen>,
    /// What makes these figures say less than they seem to.
    #[serde(default)]
    pub notes: Vec<String>,
}

/// The better trial first: more training, then higher ROUGE-L, then lower loss; last what came to no end.
pub fn order(a: &Trial, b: &Trial) -> Ordering {
    let budget = |trial: &Trial| trial.budget.unwrap_or(usize::MAX);
    let (Some(x), Some(y)) = (a.score, b.score) else { return b.score.is_some().cmp(&a.score.is_some()) };
    let rouge = y.rouge.rouge_l.total_cmp(&x.rouge.rouge_l);
    budget(b).cmp(&budget(a)).then(rouge).then(x.loss.total_cmp(&y.loss))
}

impl Sweep {
    /// Puts the trials in order; those that score the same stay in the order in which they ran.
    pub fn rank(&mut self) {
        self.trials.sort_by(order);
    }

    /// Trials with the recipe's whole training and their scores, the best first once ranked.
    pub fn whole(&self) -> impl Iterator<Item = (&Trial, &Score)> {
        self.trials.iter().filter(|t| t.budget.is_none()).filter_map(|t| Some((t, t.score.as_ref()?)))
    }

    /// The best whole trial and its score; `None` where none came to its end. Call it on a ranked sweep.
    pub fn best(&self) -> Option<(&Trial, &Score)> {
        self.whole().next()
    }

    /// How far a whole trial is from the best one; `None` of the best, of a part of the training, and where documents are
    /// not known or not the same. Call it on a ranked sweep.
    pub fn to_best(&self, trial: &Trial) -> Option<ToBest> {
        let (best, _) = self.best()?;
        let (one, other) = (&trial.by_document, &best.by_document);
        if trial.budget.is_some() || trial.run == best.run || one.is_empty() || one.len() != other.len() {
            return None;
        }
        let differences: Vec<f64> = one.iter().zip(other).map(|(a, b)| a - b).collect();
        let (difference, error) = mean_and_error(&differences);
        Some(ToBest { difference, error })
    }

    /// Of the whole trials, how many have a ROUGE-L within one standard error of the best one's, itself included; and all.
    /// The error is that of their difference, and of the best one's mean where documents are not known. Call it on a
    /// ranked sweep.
    pub fn near(&self) -> (usize, usize) {
        let Some((_, best)) = self.best() else { return (0, 0) };
        let is_near = |trial: &Trial, score: &Score| {
            let (behind, error) = match self.to_best(trial) {
                Some(to_best) => (-to_best.difference, to_best.error),
                None => (best.rouge.rouge_l - score.rouge.rouge_l, best.error),
            };
            behind <= error.unwrap_or(0.0)
        };
        (self.whole().filter(|(trial, score)| is_near(trial, score)).count(), self.whole().count())
    }
}

/// Mean and standard error of the mean; no error of one value.
pub fn mean_and_error(values: &[f64]) -> (f64, Option<f64>) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n.max(1.0);
    let squares: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
    (mean, (values.len() > 1).then(|| (squares / (n - 1.0) / n).sqrt()))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn trial(ratio: f64, budget: Option<usize>, rouge_l: f64, loss: f64) -> Trial {
        let rouge = Rouge { rouge1: rouge_l + 1.0, rouge2: 1.0, rouge_l, parts: None };
        let score = Score { documents: 9, loss, rouge, error: Some(0.5), sparsity: ratio, seconds: 2.0 };
        let settings = vec![ratio, 1e-4];
        Trial { settings, budget, run: format!("r-{ratio}"), score: Some(score), failed: None, by_document: Vec::new() }
    }

    pub(crate) fn sweep(trials: Vec<Trial>) -> Sweep {
        let axes = vec!["ratio".into(), "lr".into()];
        Sweep {
            name: "games".into(),
            search: "grid".into(),
            axes,
            tokens: "words".into(),
            trials,
            chosen: None,
            notes: Vec::new(),
        }
    }

    #[test]
    fn the_best_comes_first_and_what_failed_last() {
        let broken = Trial { score: None, failed: Some("diverged".into()), ..trial(0.9, None, 0.0, 0.0) };
        let mut all = sweep(vec![
            broken,
            trial(0.1, None, 20.0, 3.0),
            trial(0.2, Some(1), 30.0, 1.0),
            trial(0.3, None, 21.0, 3.2),
            trial(0.4, None, 21.0, 3.1),
            trial(0.5, None, 20.6, 3.0),
        ]);
        all.rank();
        let ratios: Vec<f64> = all.trials.iter().map(|t| t.settings[0]).collect();
        assert_eq!(ratios, [0.4, 0.3, 0.5, 0.1, 0.2, 0.9]);
        assert_eq!(all.near(), (3, 4));
        assert_eq!(sweep(Vec::new()).near(), (0, 0));
    }

    #[test]
    fn trials_are_compared_document_by_document() {
        let with = |ratio, by_document: &[f64]| {
            let mean = mean_and_error(by_document).0;
            Trial { by_document: by_document.to_vec(), ..trial(ratio, None, mean, 3.0) }
        };
        let part = Trial { budget: Some(1), ..with(0.9, &[90.0; 4]) };
        let mut all = sweep(vec![
            with(0.1, &[0.0, 20.0, 40.0, 60.0]),
            // Worse on every document by about as much: nothing that documents differ in hides that.
            with(0.2, &[-1.0, 18.5, 39.0, 58.5]),
            // Worse on one document only.
            with(0.3, &[0.0, 20.0, 40.0, 50.0]),
            trial(0.4, None, 29.6, 3.0),
            part,
        ]);
        all.rank();
        let to_best = |at: f64| all.to_best(all.trials.iter().find(|trial| trial.settings[0] == at).unwrap());
        let near = |found: Option<ToBest>, difference: f64, error: f64| {
            let found = found.unwrap();
            (found.difference - difference).abs() < 1e-9 && found.error.is_some_and(|e| (e - error).abs() < 1e-9)
        };
        assert!(near(to_best(0.2), -1.25, (1.0f64 / 48.0).sqrt()), "{:?}", to_best(0.2));
        assert!(near(to_best(0.3), -2.5, 2.5), "{:?}", to_best(0.3));
        assert_eq!((to_best(0.1), to_best(0.4), to_best(0.9)), (None, None, None));
        // The best, 0.3, and 0.4 by the error of the best one's mean.
        assert_eq!(all.near(), (3, 4));
    }

    #[test]
    fn a_loss_that_is_no_number_comes_back_from_the_file() {
        let text = serde_json::to_string(&sweep(vec![trial(0.1, None, 20.0, f64::NAN)])).unwrap();
        assert!(text.contains("\"loss\":null"), "{text}");
        let read: Sweep = serde_json::from_str(&text).unwrap();
        assert!(read.trials[0].score.is_some_and(|score| score.loss.is_nan() && score.rouge.rouge_l == 20.0), "{text}");
    }

    #[test]
    fn one_value_has_no_error() {
        assert_eq!(mean_and_error(&[3.0]), (3.0, None));
        let (mean, error) = mean_and_error(&[1.0, 3.0]);
        assert!(mean == 2.0 && error.is_some_and(|e| (e - 1.0).abs() < 1e-12), "{error:?}");
        assert_eq!(mean_and_error(&[]), (0.0, None));
    }
}
