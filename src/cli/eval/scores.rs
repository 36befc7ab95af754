//! What a run has scored, with what it wrote.

use crate::Result;
use crate::cli::outcome::{Ending, tell};
use crate::data::{Dataset, Fields};
use crate::eval::bertscore::Scorer;
use crate::eval::evaluation::{Outcome, Written};
use crate::recipe::Recipe;
use crate::run::RunDir;
use crate::run::event::{Event, EventBody, Report};
use crate::run::journal::Reader;
use crate::run::listing;
use crate::text::printable;
use crate::train::result;
use std::collections::{BTreeSet, HashMap};

/// What is asked of a run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'a> {
    /// The run's seed.
    pub(super) seed: u64,
    /// The recipe as it was asked for, which may name an encoder that the run's does not.
    pub(super) recipe: &'a Recipe,
    /// That encoder, by its label.
    pub(super) encoder: Option<&'a str>,
}

/// What is read of a run.
#[derive(Debug, Default)]
pub(super) struct Read {
    /// Each method of its report with what it wrote.
    pub(super) outcomes: Vec<Outcome>,
    /// The builds of lopper that its workers were of, as far as these knew.
    pub(super) builds: BTreeSet<String>,
}

/// Each method of a run's report with what it wrote; `BERTScore` too where an encoder is wanted. `None` where it was ended.
///
/// # Errors
/// When the run's files or its data cannot be read, the encoder cannot be used, or a stop was sent.
pub(super) fn read(run: &RunDir, report: &Report, wanted: Wanted<'_>, ending: &mut Ending<'_>) -> Result<Option<Read>> {
    let asked = wanted.recipe;
    let recipe = run.recipe()?;
    let mut scorer = None;
    // Not by the run's own recipe: of a run that was copied it names places of another machine.
    let data = match &asked.data.test {
        Some(test) if report.split == "test" => (test, asked.data.test_limit),
        _ => (&asked.data.dev, asked.data.dev_limit),
    };
    let data = Dataset::read(data.0, Fields::from(&asked.data), data.1)?;
    let documents: HashMap<&str, &str> = data.examples.iter().map(|e| (e.id.as_str(), e.document.as_str())).collect();
    let Told { dev_losses, builds } = told(run)?;
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
        let written = written.into_iter().enumerate().map(|(at, (id, reference, summary))| {
            // Several may have an id: then their order tells them apart, which is that of the data.
            let here = data.examples.get(at).filter(|e| e.id == id).map(|e| e.document.as_str());
            let document = here.or_else(|| documents.get(id.as_str()).copied()).unwrap_or_default().to_owned();
            Written { id, document, reference, summary }
        });
        outcomes.push(Outcome {
            method: row.method.clone(),
            seed: wanted.seed,
            run: run.name(),
            loss: row.loss,
            dev_loss: dev_losses.get(&row.method).copied(),
            sparsity: row.sparsity,
            seconds: row.seconds,
            bert,
            written: written.collect(),
        });
    }
    Ok(Some(Read { outcomes, builds }))
}

/// What a run's journal tells beside its report: nothing is computed.
#[derive(Debug, Default)]
struct Told {
    /// The loss on dev of what each training has kept, by its method.
    dev_losses: HashMap<String, f64>,
    /// Commits that its workers were built from.
    builds: BTreeSet<String>,
}

fn told(run: &RunDir) -> Result<Told> {
    let (mut method, mut told) = (String::new(), Told::default());
    let look = |line: &[u8]| {
        // Most lines are of other types, and long.
        if matches!(listing::kind(line), Some("stage" | "dev" | "started")) {
            match Event::parse(line).map(|event| event.body) {
                Ok(EventBody::Stage(stage)) => method = stage.method,
                Ok(EventBody::Dev(dev)) if dev.best => {
                    told.dev_losses.insert(method.clone(), dev.loss);
                }
                Ok(EventBody::Started(started)) if !started.origin.commit.is_empty() => {
                    told.builds.insert(started.origin.commit.clone());
                }
                _ => {}
            }
        }
        true
    };
    Reader::new(&run.journal_file()).lines(u64::MAX, look)?;
    Ok(told)
}

/// A sentence on figures that are of several builds; `None` where all are of one.
pub(super) fn several(builds: &BTreeSet<String>) -> Option<String> {
    if builds.len() < 2 {
        return None;
    }
    let names = builds.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
    Some(format!("the runs are of several builds of lopper ({names}): they may differ by more than their seeds"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::run::event::{Dev, Stage, Started};
    use crate::run::journal::Journal;
    use crate::run::origin::Origin;

    #[test]
    fn the_loss_on_dev_is_that_of_the_best_state_of_each_training() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("recipe.toml"), "").unwrap();
        let run = RunDir::open(folder.path()).unwrap();
        assert!(told(&run).unwrap().dev_losses.is_empty());
        let mut journal = Journal::open(&run.journal_file()).unwrap();
        let stage = |method: &str| EventBody::Stage(Stage { method: method.into(), ..Stage::default() });
        let dev = |loss, best| EventBody::Dev(Dev { loss, best, ..Dev::default() });
        let all = [
            stage("target adapter alone"),
            dev(3.5, true),
            dev(3.0, true),
            dev(4.0, false),
            stage("merge, no training"),
            stage("merge + fine-tune"),
            dev(2.5, true),
        ];
        all.into_iter().for_each(|body| {
            journal.append(body).unwrap();
        });
        let found = told(&run).unwrap().dev_losses;
        let of = |method: &str| found.get(method).copied();
        assert_eq!((of("target adapter alone"), of("merge + fine-tune")), (Some(3.0), Some(2.5)));
        assert_eq!(of("merge, no training"), None);
    }

    #[test]
    fn a_run_that_another_build_has_gone_on_with_is_told() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("recipe.toml"), "").unwrap();
        let run = RunDir::open(folder.path()).unwrap();
        let mut journal = Journal::open(&run.journal_file()).unwrap();
        let mut started = |commit: &str| {
            let origin = Box::new(Origin { commit: commit.into(), ..Origin::default() });
            journal.append(EventBody::Started(Box::new(Started { origin, ..Started::default() }))).unwrap();
        };
        // One that does not know its commit says nothing.
        ["abc", "", "abc"].into_iter().for_each(&mut started);
        assert_eq!(several(&told(&run).unwrap().builds), None);
        started("def+");
        let sentence = several(&told(&run).unwrap().builds).unwrap();
        assert!(sentence.starts_with("the runs are of several builds of lopper (abc, def+): "), "{sentence}");
    }
}
