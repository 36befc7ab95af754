//! Methods compared on the same documents, over several seeds: what each scores, how far that varies, and whether it
//! differs from one of them by more than chance.

mod against;
pub mod columns;
mod csv;
mod figures;
mod legend;
pub mod tables;
mod undone;

pub use against::Against;
pub use figures::Figures;
pub use undone::{Undone, failures};

use super::bleu::Tokens;
use super::segment::{self, Segmentation};
use crate::run::event::{BertScore, number};
use crate::{Error, Result};
use figures::{Scored, scored};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// What a method wrote for one document.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Written {
    /// The document's id.
    pub id: String,
    /// The document.
    pub document: String,
    /// The human summary.
    pub reference: String,
    /// The method's.
    pub summary: String,
}

/// One method under one seed.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Outcome {
    /// The method's name in tables.
    pub method: String,
    /// The seed.
    pub seed: u64,
    /// The name of the run directory.
    pub run: String,
    /// Mean loss per summary token, nats.
    pub loss: f64,
    /// The same on dev, of the state that was kept, where its training has told it.
    pub dev_loss: Option<f64>,
    /// Share of adapter parameters that are exactly zero, 0 to 1.
    pub sparsity: f64,
    /// Seconds of training.
    pub seconds: f64,
    /// `BERTScore`, where an encoder was given.
    pub bert: Option<BertScore>,
    /// What it wrote, in the order of the data.
    pub written: Vec<Written>,
}

/// A figure over seeds.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Figure {
    /// The mean over the seeds; NaN where it is no number, as of a loss that is none: `null` in JSON.
    #[serde(deserialize_with = "number")]
    pub mean: f64,
    /// Their standard deviation; `None` of one seed, and where it is no number.
    pub spread: Option<f64>,
}

impl Figure {
    /// Of one value a seed.
    pub fn of(values: &[f64]) -> Self {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n.max(1.0);
        let squares: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
        let spread = (values.len() > 1).then(|| (squares / (n - 1.0)).sqrt());
        Self { mean, spread: spread.filter(|spread| spread.is_finite()) }
    }

    /// Itself; `None` where its mean is no number.
    pub fn known(self) -> Option<Self> {
        (!self.mean.is_nan()).then_some(self)
    }
}

/// One method over all seeds.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Row {
    /// The method's name.
    pub method: String,
    /// The seeds that it was scored for.
    pub seeds: Vec<u64>,
    /// The names of the run directories that scored it, in the order of the seeds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub runs: Vec<String>,
    /// Why it has no figures, as a sentence; `None` where it has some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
    /// Its figures; `None` where it could not be done under any seed.
    #[serde(flatten)]
    pub figures: Option<Figures>,
    /// The interval of 95 % of its ROUGE-L by bootstrap over documents, each with its mean over the seeds; `None` of one
    /// document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rouge_l_bounds: Option<(f64, f64)>,
    /// Beside the method that all are compared with; `None` for itself, and where one of both has no figures.
    pub against: Option<Against>,
}

/// The whole comparison.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// The recipe's name.
    pub name: String,
    /// `test`, or `dev` where there is no test set.
    pub split: String,
    /// Documents.
    pub documents: usize,
    /// How texts are cut for ROUGE, and for BLEU.
    pub tokens: [String; 2],
    /// The method that all others are compared with.
    pub reference: String,
    /// One a method, in the order of the report.
    pub rows: Vec<Row>,
    /// Whether the best method is better than that one, or that one than the next, in a sentence that is safe to show.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<String>,
    /// What could not be done.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub undone: Vec<Undone>,
    /// What makes these figures say less than they seem to.
    pub notes: Vec<String>,
    /// The encoder and layer of `BERTScore`, where one was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoder: Option<String>,
}

/// What is compared.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The recipe's name.
    pub name: &'a str,
    /// `test`, or `dev` where there is no test set.
    pub split: &'a str,
    /// The method that the others are compared with.
    pub reference: &'a str,
    /// The methods in their order; others come behind them.
    pub methods: &'a [String],
}

/// Compares what all methods wrote. A method that could not be done has a row without figures.
///
/// # Errors
/// When nothing was written, methods or seeds have not the same documents, or the reference is no method.
pub fn evaluate(asked: &Asked<'_>, outcomes: &[Outcome], undone: &[Undone]) -> Result<Evaluation> {
    let first = outcomes.first().ok_or_else(|| Error::user("no method was scored"))?;
    let same = |other: &Outcome| other.written.iter().map(document).eq(first.written.iter().map(document));
    if let Some(other) = outcomes.iter().find(|other| !same(other)) {
        return Err(Error::user(format!(
            "{} (seed {}) was scored on other documents than {} (seed {}): their data differ",
            other.method, other.seed, first.method, first.seed
        )));
    }
    let references = || first.written.iter().map(|w| w.reference.as_str());
    let cut = Segmentation::of(references())?;
    let of = |method: &str| outcomes.iter().filter(|o| o.method == method).collect::<Vec<_>>();
    let mut done: HashMap<&str, Scored> = HashMap::new();
    let mut methods: Vec<&str> = Vec::new();
    let named = asked.methods.iter().map(String::as_str);
    let others = outcomes.iter().map(|o| o.method.as_str()).chain(undone.iter().map(|u| u.method.as_str()));
    for method in named.chain(others) {
        let outcomes = of(method);
        if methods.contains(&method) || outcomes.is_empty() && undone.iter().all(|u| u.method != method) {
            continue;
        }
        methods.push(method);
        if !outcomes.is_empty() {
            done.insert(method, scored(&outcomes, cut));
        }
    }
    if !methods.contains(&asked.reference) {
        return Err(Error::user(format!(
            "{:?} is none of the methods that were scored: {}",
            asked.reference,
            methods.join(", ")
        )));
    }
    let base = done.get(asked.reference);
    let mut notes: Vec<String> = segment::tokenless(references(), cut).into_iter().collect();
    let (mut rows, mut comparisons) = (Vec::new(), Vec::new());
    for method in methods {
        let Some(found) = done.get(method) else {
            let failed = Some(undone::reasons(method, undone));
            rows.push(Row { method: method.to_owned(), failed, ..Row::default() });
            comparisons.push(None);
            continue;
        };
        notes.extend(found.emptiness(method));
        comparisons.push(match base.filter(|_| method != asked.reference) {
            Some(base) => against::compared(found, base)?,
            None => None,
        });
        rows.push(Row {
            method: method.to_owned(),
            seeds: found.seeds.clone(),
            runs: found.runs.clone(),
            failed: None,
            figures: Some(found.figures.clone()),
            rouge_l_bounds: found.bounds()?,
            against: None,
        });
    }
    against::put(&mut rows, &comparisons);
    Ok(Evaluation {
        name: asked.name.to_owned(),
        split: asked.split.to_owned(),
        documents: first.written.len(),
        tokens: [cut.label(), Tokens::of(cut).told()],
        reference: asked.reference.to_owned(),
        verdict: against::verdict(&rows, &comparisons, asked.reference),
        rows,
        undone: undone.to_vec(),
        notes,
        encoder: None,
    })
}

/// What tells a document from others: its id, which may be a line's number, and what it is scored by.
fn document(written: &Written) -> (&str, &str) {
    (&written.id, &written.reference)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
