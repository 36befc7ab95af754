//! Methods compared on the same documents, over several seeds: what each scores, how far that varies, and whether it
//! differs from one of them by more than chance.

pub mod columns;
pub mod tables;

use super::bleu::{self, Tokens};
use super::rouge;
use super::segment::{self, Segmentation};
use super::significance::{self, Resampling};
use super::surface::{self, Surface};
use crate::run::event::BertScore;
use crate::{Error, Result};
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
    /// Mean loss per summary token, nats.
    pub loss: f64,
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
    /// The mean over the seeds.
    pub mean: f64,
    /// Their standard deviation; `None` of one seed.
    pub spread: Option<f64>,
}

impl Figure {
    /// Of one value a seed.
    pub fn of(values: &[f64]) -> Self {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n.max(1.0);
        let squares: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
        Self { mean, spread: (values.len() > 1).then(|| (squares / (n - 1.0)).sqrt()) }
    }
}

/// A method against the one that all are compared with, by ROUGE-L of the same documents.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Against {
    /// Mean difference, percent points: above 0 this method is better.
    pub difference: f64,
    /// Its interval of 95 %, by paired bootstrap over documents; `None` of one document.
    pub bounds: Option<(f64, f64)>,
    /// Two-sided p-value of the paired randomisation test.
    pub p: f64,
}

impl Against {
    /// `**` below 0.01, `*` below 0.05.
    pub const fn mark(&self) -> &'static str {
        if self.p < 0.01 {
            "**"
        } else if self.p < 0.05 {
            "*"
        } else {
            ""
        }
    }
}

/// One method over all seeds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The method's name.
    pub method: String,
    /// The seeds.
    pub seeds: Vec<u64>,
    /// Loss per summary token, nats.
    pub loss: Figure,
    /// ROUGE-1, F, percent.
    pub rouge1: Figure,
    /// ROUGE-2, F, percent.
    pub rouge2: Figure,
    /// ROUGE-L, F, percent.
    pub rouge_l: Figure,
    /// ROUGE-Lsum, F, percent.
    pub rouge_l_sum: Figure,
    /// Corpus BLEU, 0 to 100.
    pub bleu: Figure,
    /// Tokens of the summaries for each of the references.
    pub length: Figure,
    /// Share of the summaries' tokens that are copied from the document in fragments, 0 to 1.
    pub copied: Figure,
    /// Share of the summaries' 4-grams that stood there before, 0 to 1.
    pub repeated: Figure,
    /// Share of adapter parameters that are zero, 0 to 1.
    pub sparsity: Figure,
    /// Seconds of training.
    pub seconds: Figure,
    /// `BERTScore`: precision, recall and F, percent; where an encoder was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bert: Option<[Figure; 3]>,
    /// Beside the method that all are compared with; `None` for itself.
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
    /// What makes these figures say less than they seem to.
    pub notes: Vec<String>,
    /// The encoder and layer of `BERTScore`, where one was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoder: Option<String>,
}

/// Compares what all methods wrote. `reference` is the name of the method that the others are compared with.
///
/// # Errors
/// When there is nothing, methods or seeds have not the same documents, or `reference` is no method.
pub fn evaluate(name: &str, split: &str, reference: &str, outcomes: &[Outcome]) -> Result<Evaluation> {
    let first = outcomes.first().ok_or_else(|| Error::user("no method was scored"))?;
    let ids = |outcome: &Outcome| outcome.written.iter().map(|w| w.id.clone()).collect::<Vec<_>>();
    let all = ids(first);
    if let Some(other) = outcomes.iter().find(|o| ids(o) != all) {
        return Err(Error::user(format!(
            "{} (seed {}) was scored on other documents than {} (seed {}): their data differ",
            other.method, other.seed, first.method, first.seed
        )));
    }
    let cut = Segmentation::of(first.written.iter().map(|w| w.reference.as_str()))?;
    let mut methods: Vec<&str> = Vec::new();
    for outcome in outcomes {
        if !methods.contains(&outcome.method.as_str()) {
            methods.push(&outcome.method);
        }
    }
    let of = |method: &str| outcomes.iter().filter(|o| o.method == method).collect::<Vec<_>>();
    let scored: HashMap<&str, Scored> = methods.iter().map(|m| (*m, scored(&of(m), cut))).collect();
    let Some(base) = scored.get(reference) else {
        let names = methods.join(", ");
        return Err(Error::user(format!("{reference:?} is none of the methods that were scored: {names}")));
    };
    let mut rows = Vec::new();
    for method in &methods {
        let mut row = scored[method].row.clone();
        if *method != reference {
            // Scores of several seeds are averaged document by document: seeds are no further documents.
            let found = significance::compare(&scored[method].rouge_l, &base.rouge_l, &Resampling::default())?;
            row.against = Some(Against { difference: found.difference, bounds: found.bounds, p: found.p });
        }
        rows.push(row);
    }
    Ok(Evaluation {
        name: name.to_owned(),
        split: split.to_owned(),
        documents: all.len(),
        tokens: [cut.label(), Tokens::of(cut).label().to_owned()],
        reference: reference.to_owned(),
        rows,
        notes: segment::tokenless(first.written.iter().map(|w| w.reference.as_str()), cut).into_iter().collect(),
        encoder: None,
    })
}

/// A method's row, and its ROUGE-L by document, the mean over seeds, percent.
struct Scored {
    row: Row,
    rouge_l: Vec<f64>,
}

fn scored(outcomes: &[&Outcome], cut: Segmentation) -> Scored {
    let n = outcomes.first().map_or(0, |o| o.written.len());
    let mut by_document = vec![0.0; n];
    let mut columns: [Vec<f64>; 8] = std::array::from_fn(|_| Vec::new());
    for outcome in outcomes {
        let scores: Vec<rouge::Scores> =
            outcome.written.iter().map(|w| rouge::score(&w.reference, &w.summary, cut)).collect();
        let mean = |of: fn(&rouge::Scores) -> f64| 100.0 * scores.iter().map(of).sum::<f64>() / n.max(1) as f64;
        for (sum, score) in by_document.iter_mut().zip(&scores) {
            *sum += 100.0 * score.rouge_l.f / outcomes.len() as f64;
        }
        let pairs = outcome.written.iter().map(|w| (w.reference.as_str(), w.summary.as_str()));
        let looks: Vec<Surface> =
            outcome.written.iter().map(|w| Surface::of(&w.document, &w.reference, &w.summary, cut)).collect();
        let looks = surface::mean(&looks);
        let values = [
            mean(|s| s.rouge1.f),
            mean(|s| s.rouge2.f),
            mean(|s| s.rouge_l.f),
            mean(|s| s.rouge_l_sum.f),
            bleu::corpus(pairs, Tokens::of(cut)),
            looks.length_ratio.unwrap_or(0.0),
            looks.coverage,
            looks.repetition,
        ];
        columns.iter_mut().zip(values).for_each(|(column, value)| column.push(value));
    }
    let [rouge1, rouge2, rouge_l, rouge_l_sum, bleu, length, copied, repeated] = columns.map(|c| Figure::of(&c));
    let figure = |of: fn(&Outcome) -> f64| Figure::of(&outcomes.iter().map(|o| of(o)).collect::<Vec<_>>());
    let row = Row {
        method: outcomes.first().map_or(String::new(), |o| o.method.clone()),
        seeds: outcomes.iter().map(|o| o.seed).collect(),
        loss: figure(|o| o.loss),
        rouge1,
        rouge2,
        rouge_l,
        rouge_l_sum,
        bleu,
        length,
        copied,
        repeated,
        sparsity: figure(|o| o.sparsity),
        seconds: figure(|o| o.seconds),
        bert: bert(outcomes),
        against: None,
    };
    Scored { row, rouge_l: by_document }
}

/// `BERTScore` over seeds, where all have it.
fn bert(outcomes: &[&Outcome]) -> Option<[Figure; 3]> {
    let all: Vec<BertScore> = outcomes.iter().map(|o| o.bert).collect::<Option<_>>()?;
    let figure = |of: fn(&BertScore) -> f64| Figure::of(&all.iter().map(of).collect::<Vec<_>>());
    (!all.is_empty()).then(|| [figure(|b| b.precision), figure(|b| b.recall), figure(|b| b.f)])
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn outcome(method: &str, seed: u64, summaries: &[&str]) -> Outcome {
        let written = summaries.iter().enumerate().map(|(i, summary)| Written {
            id: format!("d{i}"),
            document: "a small game engine for the web".into(),
            reference: "small game engine".into(),
            summary: (*summary).into(),
        });
        Outcome {
            method: method.into(),
            seed,
            loss: 1.0 + seed as f64,
            written: written.collect(),
            ..Outcome::default()
        }
    }

    #[test]
    fn methods_are_compared_document_by_document_over_seeds() {
        let good = ["small game engine"; 8];
        let bad = ["a web page"; 8];
        let all =
            [outcome("good", 1, &good), outcome("bad", 1, &bad), outcome("good", 2, &good), outcome("bad", 2, &bad)];
        let found = evaluate("games", "test", "good", &all).unwrap();
        assert_eq!((found.documents, found.rows.len()), (8, 2));
        let [good, bad] = &found.rows[..] else { panic!("{found:?}") };
        assert_eq!((good.rouge_l.mean, good.rouge_l.spread, good.against), (100.0, Some(0.0), None));
        assert!((good.loss.mean - 2.5).abs() < 1e-12 && good.seeds == [1, 2], "{good:?}");
        let against = bad.against.unwrap();
        // Seeds are no documents: 2 / 2^8, not 2 / 2^16.
        assert!((against.p - 2.0 / 256.0).abs() < 1e-9 && against.mark() == "**", "{against:?}");
        assert!((against.difference + 100.0).abs() < 1e-9 && (good.length.mean - 1.0).abs() < 1e-9);
        assert!(good.copied.mean > bad.copied.mean);
    }

    #[test]
    fn empty_summaries_references_without_a_word_and_one_document_have_figures() {
        let mut empty = outcome("empty", 1, &["", " \n", "", ""]);
        let mut marks = outcome("marks", 1, &["...", "small game engine", "囲碁", "small"]);
        for outcome in [&mut empty, &mut marks] {
            outcome.written[1].reference = "...".into();
            outcome.written[2].reference = "囲碁".into();
        }
        let found = evaluate("n", "test", "marks", &[empty.clone(), marks.clone()]).unwrap();
        let figures =
            |row: &Row| [row.rouge1, row.rouge_l, row.bleu, row.length, row.copied, row.repeated].map(|f| f.mean);
        assert_eq!(figures(&found.rows[0]), [0.0; 6]);
        assert!(figures(&found.rows[1]).iter().all(|f| f.is_finite()) && found.rows[1].rouge_l.mean > 0.0);
        assert!(found.notes[0].starts_with("2 of 4 references have no token"), "{:?}", found.notes);
        [&mut empty, &mut marks].into_iter().for_each(|outcome| outcome.written.truncate(1));
        let one = evaluate("n", "test", "marks", &[empty, marks]).unwrap();
        let against = one.rows[0].against.unwrap();
        assert!(against.bounds.is_none() && against.p == 1.0 && one.notes.is_empty(), "{against:?}");
    }

    #[test]
    fn a_hundred_thousand_characters_are_scored_within_seconds() {
        let long = "one two three four five ".repeat(4_167);
        let mut outcome = outcome("long", 1, &["one two three", "four five six"]);
        outcome.written.iter_mut().for_each(|w| (w.document, w.reference) = (long.clone(), long.clone()));
        let clock = std::time::Instant::now();
        let found = evaluate("n", "test", "long", &[outcome]).unwrap();
        assert!(found.rows[0].rouge1.mean > 0.0 && clock.elapsed().as_secs() < 30, "{:?}", clock.elapsed());
    }

    #[test]
    fn other_documents_or_an_unknown_method_are_refused() {
        let all = [outcome("good", 1, &["x"; 3]), outcome("bad", 1, &["x"; 2])];
        let refused = |all: &[Outcome], reference: &str| evaluate("n", "test", reference, all).unwrap_err().to_string();
        assert!(refused(&all, "good").contains("bad (seed 1) was scored on other documents"));
        assert!(refused(&all[..1], "best").contains("\"best\" is none of the methods that were scored: good"));
        assert!(refused(&[], "best").contains("no method"));
    }
}
