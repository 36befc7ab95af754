//! Methods compared on the same documents, over several seeds: what each scores, how far that varies, and whether it
//! differs from one of them by more than chance.

pub mod columns;
mod figures;
pub mod tables;
mod undone;

pub use figures::Figures;
pub use undone::{Undone, failures};

use super::bleu::Tokens;
use super::segment::{self, Segmentation};
use super::significance::{self, Comparison, Resampling};
use crate::run::event::BertScore;
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

/// Summaries against others of the same documents, by ROUGE-L.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Against {
    /// Mean difference, percent points: above 0 these are better.
    pub difference: f64,
    /// Its interval of 95 %, by paired bootstrap over documents; `None` of one document.
    pub bounds: Option<(f64, f64)>,
    /// Two-sided p-value of the paired randomisation test.
    pub p: f64,
}

impl Against {
    /// Compares ROUGE-L by document, in percent, the documents in the same order.
    ///
    /// # Errors
    /// When there is no document, or their numbers differ.
    pub fn of(scores: &[f64], others: &[f64]) -> Result<Self> {
        let Comparison { difference, bounds, p, .. } = significance::compare(scores, others, &Resampling::default())?;
        Ok(Self { difference, bounds, p })
    }

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
    /// The seeds that it was scored for.
    pub seeds: Vec<u64>,
    /// Why it has no figures, as a sentence; `None` where it has some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
    /// Its figures; `None` where it could not be done under any seed.
    #[serde(flatten)]
    pub figures: Option<Figures>,
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
    let ids = |outcome: &Outcome| outcome.written.iter().map(|w| w.id.clone()).collect::<Vec<_>>();
    let all = ids(first);
    if let Some(other) = outcomes.iter().find(|o| ids(o) != all) {
        return Err(Error::user(format!(
            "{} (seed {}) was scored on other documents than {} (seed {}): their data differ",
            other.method, other.seed, first.method, first.seed
        )));
    }
    let cut = Segmentation::of(first.written.iter().map(|w| w.reference.as_str()))?;
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
    let mut rows = Vec::new();
    for method in methods {
        let Some(found) = done.get(method) else {
            let failed = Some(undone::reasons(method, undone));
            rows.push(Row { method: method.to_owned(), seeds: Vec::new(), failed, figures: None, against: None });
            continue;
        };
        let against = match base.filter(|_| method != asked.reference) {
            Some(base) => against(found, base)?,
            None => None,
        };
        rows.push(Row {
            method: method.to_owned(),
            seeds: found.seeds.clone(),
            failed: None,
            figures: Some(found.figures.clone()),
            against,
        });
    }
    Ok(Evaluation {
        name: asked.name.to_owned(),
        split: asked.split.to_owned(),
        documents: all.len(),
        tokens: [cut.label(), Tokens::of(cut).label().to_owned()],
        reference: asked.reference.to_owned(),
        rows,
        undone: undone.to_vec(),
        notes: segment::tokenless(first.written.iter().map(|w| w.reference.as_str()), cut).into_iter().collect(),
        encoder: None,
    })
}

/// A method beside another, over the seeds that both were scored for; `None` where there is none.
fn against(found: &Scored, base: &Scored) -> Result<Option<Against>> {
    let both: Vec<u64> = found.seeds.iter().copied().filter(|seed| base.seeds.contains(seed)).collect();
    if both.is_empty() {
        return Ok(None);
    }
    Against::of(&found.by_document(&both), &base.by_document(&both)).map(Some)
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

    fn asked(reference: &str) -> Asked<'_> {
        Asked { name: "games", split: "test", reference, methods: &[] }
    }

    fn undone(method: &str, seed: Option<u64>) -> Undone {
        Undone { method: method.into(), seed, why: format!("{method} is hard"), run: seed.map(|s| format!("run-{s}")) }
    }

    #[test]
    fn methods_are_compared_document_by_document_over_seeds() {
        let good = ["small game engine"; 8];
        let bad = ["a web page"; 8];
        let all =
            [outcome("good", 1, &good), outcome("bad", 1, &bad), outcome("good", 2, &good), outcome("bad", 2, &bad)];
        let found = evaluate(&asked("good"), &all, &[]).unwrap();
        assert_eq!((found.documents, found.rows.len()), (8, 2));
        let [good, bad] = &found.rows[..] else { panic!("{found:?}") };
        assert_eq!((&good.seeds[..], good.against), (&[1, 2][..], None));
        let against = bad.against.unwrap();
        let (good, bad) = (good.figures.as_ref().unwrap(), bad.figures.as_ref().unwrap());
        assert_eq!((good.rouge_l.mean, good.rouge_l.spread), (100.0, Some(0.0)));
        assert!((good.loss.mean - 2.5).abs() < 1e-12, "{good:?}");
        // Of the losses 2 and 3.
        assert!((good.perplexity.mean - f64::midpoint(2f64.exp(), 3f64.exp())).abs() < 1e-9, "{good:?}");
        assert!((good.rouge1_p.mean - 100.0).abs() < 1e-9 && bad.rouge1_r.mean < 1e-9, "{good:?}");
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
        let found = evaluate(&asked("marks"), &[empty.clone(), marks.clone()], &[]).unwrap();
        let figures = |row: &Row| {
            let of = row.figures.as_ref().unwrap();
            [of.rouge_l, of.rouge1, of.bleu, of.length, of.copied, of.repeated].map(|f| f.mean)
        };
        assert_eq!(figures(&found.rows[0]), [0.0; 6]);
        assert!(figures(&found.rows[1]).iter().all(|f| f.is_finite()) && figures(&found.rows[1])[0] > 0.0);
        assert!(found.notes[0].starts_with("2 of 4 references have no token"), "{:?}", found.notes);
        [&mut empty, &mut marks].into_iter().for_each(|outcome| outcome.written.truncate(1));
        let one = evaluate(&asked("marks"), &[empty, marks], &[]).unwrap();
        let against = one.rows[0].against.unwrap();
        assert!(against.bounds.is_none() && against.p == 1.0 && one.notes.is_empty(), "{against:?}");
    }

    #[test]
    fn a_hundred_thousand_characters_are_scored_within_seconds() {
        let long = "one two three four five ".repeat(4_167);
        let mut outcome = outcome("long", 1, &["one two three", "four five six"]);
        outcome.written.iter_mut().for_each(|w| (w.document, w.reference) = (long.clone(), long.clone()));
        let clock = std::time::Instant::now();
        let found = evaluate(&asked("long"), &[outcome], &[]).unwrap();
        let rouge1 = found.rows[0].figures.as_ref().unwrap().rouge1.mean;
        assert!(rouge1 > 0.0 && clock.elapsed().as_secs() < 30, "{:?}", clock.elapsed());
    }

    #[test]
    fn other_documents_or_an_unknown_method_are_refused() {
        let all = [outcome("good", 1, &["x"; 3]), outcome("bad", 1, &["x"; 2])];
        let refused = |all: &[Outcome], reference: &str| evaluate(&asked(reference), all, &[]).unwrap_err().to_string();
        assert!(refused(&all, "good").contains("bad (seed 1) was scored on other documents"));
        assert!(refused(&all[..1], "best").contains("\"best\" is none of the methods that were scored: good"));
        assert!(refused(&[], "best").contains("no method"));
    }

    #[test]
    fn what_could_not_be_done_keeps_its_row_and_costs_no_other() {
        let all = [outcome("good", 1, &["small game engine"; 8]), outcome("bad", 1, &["a web page"; 8])];
        let more = [outcome("good", 2, &["small game engine"; 8])];
        let methods = ["never", "bad", "good", "own"].map(str::to_owned);
        let asked = Asked { methods: &methods, ..asked("good") };
        let failed = [undone("own", Some(1)), undone("own", Some(2)), undone("bad", Some(2)), undone("never", None)];
        let found = evaluate(&asked, &[&all[..], &more].concat(), &failed).unwrap();
        let rows: Vec<_> = found.rows.iter().map(|row| (row.method.as_str(), row.figures.is_some())).collect();
        assert_eq!(rows, [("never", false), ("bad", true), ("good", true), ("own", false)]);
        assert_eq!(found.rows[0].failed.as_deref(), Some("never is hard"));
        assert!(found.rows[0].seeds.is_empty() && found.rows[1].failed.is_none());
        // Over the one seed that both have.
        let against = found.rows[1].against.unwrap();
        assert!((against.difference + 100.0).abs() < 1e-9, "{against:?}");
        let told = found.undone_sentence().unwrap();
        assert_eq!(told, "2 of 4 methods could not be done: never, own; and 1 not for every seed: bad");
        // As JSON and back: no figure of a row without.
        let text = serde_json::to_string(&found).unwrap();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert!(value["rows"][0]["loss"].is_null() && value["rows"][1]["loss"]["mean"].is_number(), "{text}");
        assert_eq!(serde_json::from_str::<Evaluation>(&text).unwrap(), found);
        // Without the method that the others are compared with there is nothing to compare them with.
        let own = evaluate(&Asked { reference: "own", ..asked }, &all, &failed).unwrap();
        assert!(own.rows.iter().all(|row| row.against.is_none()), "{own:?}");
        assert!(evaluate(&asked, &all, &[]).unwrap().undone_sentence().is_none());
        assert!(evaluate(&asked, &[], &failed).is_err());
    }

    #[test]
    fn a_table_of_an_earlier_lopper_is_read() {
        let figure = r#"{"mean": 1.5, "spread": null}"#;
        let keys = "loss rouge1 rouge2 rouge_l rouge_l_sum bleu length copied repeated sparsity seconds";
        let figures: Vec<String> = keys.split(' ').map(|key| format!("\"{key}\": {figure}")).collect();
        let row = format!("{{\"method\": \"m\", \"seeds\": [1], {}, \"against\": null}}", figures.join(", "));
        let row: Row = serde_json::from_str(&row).unwrap();
        let figures = row.figures.unwrap();
        assert_eq!((figures.loss.mean, figures.perplexity, row.failed), (1.5, Figure::default(), None));
    }
}
