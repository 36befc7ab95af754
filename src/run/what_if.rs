//! What a what-if found: other prune ratios on a copy of the set, against the set as it stands.

use crate::recipe::ratios::Rule;
use serde::{Deserialize, Serialize};

/// See [`super::event::EventBody::WhatIf`].
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct WhatIf {
    /// The id of the request.
    pub request: String,
    /// How far it is.
    pub state: Progress,
    /// The step of the stage at which it was measured.
    pub step: usize,
    /// The rules that were asked, behind the run's own.
    pub rules: Vec<Rule>,
    /// Dev documents asked for the loss, and for summaries.
    pub asked: [usize; 2],
    /// Share of the full ratios at this step, after the schedule, 0 to 1.
    pub share: f64,
    /// Matrices whose mask is another.
    pub changed: usize,
    /// Entries that come back, with the values that they had when they were pruned.
    pub restored: usize,
    /// Share of entries to prune by the ratios alone, 0 to 1.
    pub predicted: f64,
    /// Share of entries that are zero, before and after.
    pub sparsity: [f64; 2],
    /// Share of importance that the masks leave, before and after, the mean over the matrices by size.
    pub retained: [f64; 2],
    /// The dev documents, the first of the split first; empty until all are measured.
    pub losses: Vec<DocumentLoss>,
    /// Loss per summary token, before and after, nats.
    pub loss: Option<[f64; 2]>,
    /// The change of the loss.
    pub delta: Option<Change>,
    /// The summaries, as far as they are written.
    pub summaries: Vec<Summary>,
    /// The change of ROUGE-L, percent points.
    pub rouge: Option<Change>,
    /// Found among what was asked before at this step.
    pub cached: bool,
    /// Seconds that it took so far.
    pub seconds: f64,
    /// Why it was given up, or what failed.
    pub text: String,
}

/// How far a what-if is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Progress {
    /// The masks are known.
    #[default]
    Masks,
    /// The loss is known.
    Loss,
    /// All is known.
    Done,
    /// It was given up.
    Cancelled,
    /// It cannot be answered.
    Failed,
}

impl Progress {
    /// Whether nothing more will come.
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Done | Self::Cancelled | Self::Failed)
    }
}

/// The loss of one dev document.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct DocumentLoss {
    /// Its number in the dev set.
    pub document: usize,
    /// Tokens of its summary.
    pub tokens: usize,
    /// Mean nats per token as things stand.
    pub before: f64,
    /// The same with the other ratios.
    pub after: f64,
}

/// One summary, as the model writes it now and as it would.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Summary {
    /// Its document's number in the dev set.
    pub document: usize,
    /// Greedy, as things stand; control characters made visible.
    pub before: String,
    /// Greedy, with the other ratios.
    pub after: String,
    /// ROUGE-L against the reference, before and after, percent.
    pub rouge_l: [f64; 2],
}

/// A mean of paired differences.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Change {
    /// The mean.
    pub mean: f64,
    /// Its standard error; `None` from one pair.
    pub se: Option<f64>,
}

impl Change {
    /// The change of the loss per token over documents of different lengths: Σ differences over Σ tokens, with the
    /// standard error of a ratio.
    pub fn of_losses(losses: &[DocumentLoss]) -> Option<Self> {
        let tokens: f64 = losses.iter().map(|l| l.tokens as f64).sum();
        if tokens == 0.0 {
            return None;
        }
        let difference = |l: &DocumentLoss| (l.after - l.before) * l.tokens as f64;
        let mean = losses.iter().map(difference).sum::<f64>() / tokens;
        let n = losses.len() as f64;
        let squares: f64 = losses.iter().map(|l| (difference(l) - mean * l.tokens as f64).powi(2)).sum();
        let se = (losses.len() > 1).then(|| (n / (n - 1.0) * squares).sqrt() / tokens);
        Some(Self { mean, se })
    }

    /// The plain mean of differences.
    pub fn of(differences: &[f64]) -> Option<Self> {
        if differences.is_empty() {
            return None;
        }
        let n = differences.len() as f64;
        let mean = differences.iter().sum::<f64>() / n;
        let squares: f64 = differences.iter().map(|d| (d - mean).powi(2)).sum();
        let se = (differences.len() > 1).then(|| (squares / (n - 1.0) / n).sqrt());
        Some(Self { mean, se })
    }

    /// `+0.0123 ± 0.0045`.
    pub fn shown(&self, digits: usize) -> String {
        let se = self.se.map_or(String::new(), |se| format!(" ± {se:.digits$}"));
        // No minus before a zero.
        let mean = if self.mean == 0.0 { 0.0 } else { self.mean };
        format!("{mean:+.digits$}{se}")
    }
}

/// Loss per token over documents, before and after, nats.
pub fn mean_losses(losses: &[DocumentLoss]) -> Option<[f64; 2]> {
    let tokens: f64 = losses.iter().map(|l| l.tokens as f64).sum();
    let mean = |value: fn(&DocumentLoss) -> f64| -> f64 {
        losses.iter().map(|l| value(l) * l.tokens as f64).sum::<f64>() / tokens
    };
    (tokens > 0.0).then(|| [mean(|l| l.before), mean(|l| l.after)])
}

/// What a user has to know of an entry that comes back.
pub const RESTORED: &str = "what was pruned counts as it was when it was pruned; training would have to bring it back";

impl WhatIf {
    /// Why it is no answer: a measured figure is no number, which no line of JSON can hold.
    pub fn unmeasured(&self) -> Option<String> {
        let is_finite = |figures: &[f64]| figures.iter().all(|x| x.is_finite());
        let of_change = |change: Option<Change>| change.is_none_or(|c| is_finite(&[c.mean, c.se.unwrap_or(0.0)]));
        let documents = |of: fn(&DocumentLoss) -> f64| self.losses.iter().all(|loss| of(loss).is_finite());
        let loss = self.loss.unwrap_or_default();
        let no_number =
            |what: &str, when: &str| Some(format!("{what} is no finite number {when}: nothing can be told"));
        let (now, then) = ("as things stand", "with these ratios");
        if !loss[0].is_finite() || !documents(|loss| loss.before) {
            return no_number("the dev loss", now);
        }
        if !loss[1].is_finite() || !documents(|loss| loss.after) || !of_change(self.delta) {
            return no_number("the dev loss", then);
        }
        if !is_finite(&self.retained[..1]) {
            return no_number("the importance", now);
        }
        if !is_finite(&self.retained) {
            return no_number("the importance", then);
        }
        let is_scored = self.summaries.iter().all(|summary| is_finite(&summary.rouge_l)) && of_change(self.rouge);
        let is_counted = is_finite(&self.sparsity) && is_finite(&[self.share, self.predicted]);
        if is_scored && is_counted { None } else { no_number("a figure", then) }
    }

    /// `loss 3.5512 → 3.5623, +0.0111 ± 0.0031`, or how far it is.
    pub fn line(&self) -> String {
        match (self.state, self.loss, &self.delta) {
            (Progress::Cancelled, ..) => format!("given up: {}", self.text),
            (Progress::Failed, ..) => self.text.clone(),
            (_, Some([before, after]), Some(delta)) => format!("loss {before:.4} → {after:.4}, {}", delta.shown(4)),
            _ => format!("sparsity {:.1} %, the loss is being measured", 100.0 * self.sparsity[1]),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_change_of_the_loss_weighs_documents_by_their_tokens() {
        let loss = |tokens, before, after| DocumentLoss { document: 0, tokens, before, after };
        let losses = [loss(10, 2.0, 2.5), loss(30, 1.0, 1.1)];
        let change = Change::of_losses(&losses).unwrap();
        assert!((change.mean - (5.0 + 3.0) / 40.0).abs() < 1e-12, "{change:?}");
        // Residuals 5 - 0.2 * 10 and 3 - 0.2 * 30.
        assert!((change.se.unwrap() - (2.0f64 * 18.0).sqrt() / 40.0).abs() < 1e-12, "{change:?}");
        let [before, after] = mean_losses(&losses).unwrap();
        assert!((after - before - change.mean).abs() < 1e-12);
        assert_eq!(Change::of_losses(&losses[..1]).unwrap().se, None);
        assert_eq!(Change::of_losses(&[]), None);
        assert_eq!(Change { mean: -0.0, se: Some(0.00044) }.shown(3), "+0.000 ± 0.000");
    }
    #[test]
    fn a_figure_that_is_no_number_is_no_answer() {
        let loss = |before, after| DocumentLoss { document: 0, tokens: 9, before, after };
        let found = |before, after| {
            let losses = vec![loss(3.5, 3.6), loss(before, after)];
            let (loss, delta) = (mean_losses(&losses), Change::of_losses(&losses));
            WhatIf { losses, loss, delta, retained: [0.9, 0.8], ..WhatIf::default() }
        };
        assert_eq!((found(3.5, 3.4).unmeasured(), WhatIf::default().unmeasured()), (None, None));
        let told = |found: &WhatIf| found.unmeasured().unwrap();
        assert!(told(&found(f64::NAN, 3.4)).starts_with("the dev loss is no finite number as things stand"));
        for after in [f64::NAN, f64::INFINITY] {
            assert!(told(&found(3.5, after)).starts_with("the dev loss is no finite number with these ratios"));
        }
        let lost = WhatIf { retained: [0.9, f64::NAN], ..found(3.5, 3.4) };
        assert!(told(&lost).starts_with("the importance is no finite number with these ratios"));
        // What has an answer comes back from its line.
        let line = serde_json::to_vec(&found(3.5, 3.4)).unwrap();
        assert!(serde_json::from_slice::<WhatIf>(&line).is_ok());
        assert!(serde_json::from_slice::<WhatIf>(&serde_json::to_vec(&found(3.5, f64::NAN)).unwrap()).is_err());
    }
}
