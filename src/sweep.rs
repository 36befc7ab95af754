//! Many runs of one recipe with other settings, ranked by what they score on the dev set. The test set is left to the run
//! of the settings that are chosen.

pub mod axis;
pub mod curve;
pub mod plan;
pub mod tables;

use crate::run::event::Rouge;
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;

/// What a run scored on a split.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Score {
    /// Documents.
    pub documents: usize,
    /// Mean loss per summary token, nats.
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

    /// Of the whole trials, how many are within one standard error of the best one's ROUGE-L, itself included; and all.
    /// Call it on a ranked sweep.
    pub fn near(&self) -> (usize, usize) {
        let Some(best) = self.whole().next().map(|(_, score)| *score) else { return (0, 0) };
        let least = best.rouge.rouge_l - best.error.unwrap_or(0.0);
        (self.whole().filter(|(_, score)| score.rouge.rouge_l >= least).count(), self.whole().count())
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
        Trial { settings: vec![ratio, 1e-4], budget, run: format!("r-{ratio}"), score: Some(score), failed: None }
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
    fn one_value_has_no_error() {
        assert_eq!(mean_and_error(&[3.0]), (3.0, None));
        let (mean, error) = mean_and_error(&[1.0, 3.0]);
        assert!(mean == 2.0 && error.is_some_and(|e| (e - 1.0).abs() < 1e-12), "{error:?}");
        assert_eq!(mean_and_error(&[]), (0.0, None));
    }
}
