//! What a run has scored, with what it wrote.

use crate::Result;
use crate::cli::outcome::{Ending, tell};
use crate::data::{Dataset, Fields};
use crate::eval::bertscore::Scorer;
use crate::eval::evaluation::{Outcome, Written};
use crate::recipe::Recipe;
use crate::run::RunDir;
use crate::run::event::Report;
use crate::text::printable;
use crate::train::result;
use std::collections::HashMap;

/// What is read of a run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'a> {
    /// The run's seed.
    pub(super) seed: u64,
    /// The recipe as it was asked for, which may name an encoder that the run's does not.
    pub(super) recipe: &'a Recipe,
    /// That encoder, by its label.
    pub(super) encoder: Option<&'a str>,
}

/// Each method of a run's report with what it wrote; `BERTScore` too where an encoder is wanted. `None` where it was ended.
///
/// # Errors
/// When the run's files or its data cannot be read, the encoder cannot be used, or a stop was sent.
pub(super) fn read(
    run: &RunDir,
    report: &Report,
    wanted: Wanted<'_>,
    ending: &mut Ending<'_>,
) -> Result<Option<Vec<Outcome>>> {
    let asked = wanted.recipe;
    let recipe = run.recipe()?;
    let mut scorer = None;
    let data = match &recipe.data.test {
        Some(test) if report.split == "test" => (test, recipe.data.test_limit),
        _ => (&recipe.data.dev, recipe.data.dev_limit),
    };
    let data = Dataset::read(data.0, Fields::from(&recipe.data), data.1)?;
    let documents: HashMap<&str, &str> = data.examples.iter().map(|e| (e.id.as_str(), e.document.as_str())).collect();
    let mut outcomes = Vec::new();
    for row in &report.rows {
        let written = result::read_summaries(run, &row.method)?;
        let bert = match (&asked.eval.encoder, wanted.encoder) {
            // The run has computed the same.
            (Some(folder), label)
                if row.bert.is_some()
                    && recipe.eval.encoder.as_ref() == Some(folder)
                    && report.encoder.as_deref() == label =>
            {
                row.bert
            }
            (Some(folder), _) => {
                let scorer = match &mut scorer {
                    Some(scorer) => scorer,
                    none => {
                        none.insert(Scorer::open(folder, asked.eval.encoder_layer).map_err(|e| e.at("eval.encoder"))?)
                    }
                };
                let pairs: Vec<_> =
                    written.iter().map(|(_, reference, text)| (reference.as_str(), text.as_str())).collect();
                tell(&format!("BERTScore of {}", printable(&row.method)));
                let Some(mean) = scorer.mean(pairs.into_iter(), &mut |_, _| Ok(!ending.is_near()?))? else {
                    return Ok(None);
                };
                Some(mean)
            }
            (None, _) => None,
        };
        let written = written.into_iter().map(|(id, reference, summary)| Written {
            document: documents.get(id.as_str()).map_or(String::new(), |d| (*d).to_owned()),
            id,
            reference,
            summary,
        });
        outcomes.push(Outcome {
            method: row.method.clone(),
            seed: wanted.seed,
            loss: row.loss,
            sparsity: row.sparsity,
            seconds: row.seconds,
            bert,
            written: written.collect(),
        });
    }
    Ok(Some(outcomes))
}
