//! `lopper eval`: the methods of a recipe on the same data and seeds, beside one another.

use super::outcome::{self, Ending, finished, tell};
use crate::data::{Dataset, Fields, dataset};
use crate::eval::bertscore::Scorer;
use crate::eval::evaluation::{Evaluation, Outcome, Written, evaluate, tables};
use crate::recipe::{self, Method, Recipe};
use crate::run::{RunDir, write_aside};
use crate::study::{self, Plan};
use crate::text::printable;
use crate::train::result;
use crate::{Error, Result};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// What is asked.
#[derive(Debug, Clone, clap::Args)]
pub struct Asked {
    /// The recipe
    recipe: PathBuf,
    /// Methods beside the run's own, or "all" [default: those of the recipe, or all]
    #[arg(long, value_delimiter = ',')]
    methods: Vec<String>,
    /// Seeds, each a run [default: the recipe's]
    #[arg(long, value_delimiter = ',')]
    seeds: Vec<u64>,
    /// The method that the others are compared with [default: the run's own]
    #[arg(long)]
    against: Option<String>,
    #[arg(long, value_name = "DIR", help = "The encoder of BERTScore, a BERT or RoBERTa [default: the recipe's]")]
    encoder: Option<PathBuf>,
    /// Its layer; 0: before the first [default: the recipe's, that of `bert-score` for its name, or the last]
    #[arg(long, value_name = "LAYER")]
    encoder_layer: Option<usize>,
    /// The folder of the runs and tables [default: runs/NAME-eval]
    #[arg(long)]
    out: Option<PathBuf>,
    /// The table in this form
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

/// How the table is printed; the folder gets all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Text,
    Markdown,
    Csv,
    Html,
    Latex,
    Json,
}

/// Runs what is missing, one seed after the other, and compares; the table. Lines of progress go to standard error.
///
/// # Errors
/// When the recipe or a method is none, or a run fails; what is finished stays, and the same command goes on.
pub fn report(asked: &Asked) -> Result<Option<String>> {
    let mut recipe = study::launch::recipe(&asked.recipe, |recipe| methods(&asked.methods, recipe))?;
    if let Some(folder) = &asked.encoder {
        recipe.eval.encoder = Some(std::path::absolute(folder).map_err(|e| Error::io("find", folder, &e))?);
    }
    recipe.eval.encoder_layer = asked.encoder_layer.or(recipe.eval.encoder_layer);
    recipe.validate()?;
    if let Some((key, error)) = recipe.file_problems().into_iter().find(|(key, _)| key == "eval.encoder") {
        return Err(error.at(key));
    }
    let out = asked.out.clone().unwrap_or_else(|| study::launch::folder(&recipe, Path::new("runs")));
    let against = asked.against.clone();
    let against = against.map(|name| Method::named(&name).map_or(name, |method| method.label().to_owned()));
    let plan = study::launch::plan(&recipe, &asked.seeds, against);
    if !plan.methods.contains(&plan.reference) {
        let (asked, known) = (printable(&plan.reference), plan.methods.join(", "));
        return Err(Error::user(format!("--against: {asked:?} is none of the methods that are compared: {known}")));
    }
    let Some(found) = study::hold(&out, &plan, &recipe, || compared(&recipe, &plan, &out))? else { return Ok(None) };
    Ok(Some(match asked.format {
        Format::Text => text(&found, &out),
        Format::Markdown => tables::markdown(&found),
        Format::Csv => tables::csv(&found),
        Format::Html => tables::html(&found),
        Format::Latex => tables::latex(&found),
        Format::Json => json(&found)?,
    }))
}

/// The table, and where the files are.
pub(super) fn text(found: &Evaluation, out: &Path) -> String {
    let files = printable(&out.display().to_string()).into_owned();
    format!("{}{files}: evaluation.md, .csv, .html, .tex, .json, and the runs", tables::text(found))
}

/// Runs what is missing and compares; after every seed the tables are about those that are finished. `None` when a signal
/// came.
///
/// # Errors
/// When a run fails or is stopped, or the tables cannot be written.
pub(super) fn compared(recipe: &Recipe, plan: &Plan, out: &Path) -> Result<Option<Evaluation>> {
    let (mut outcomes, mut last) = (Vec::new(), None);
    let notes = leaks(recipe)?;
    // Before the first run.
    let encoder = match &recipe.eval.encoder {
        Some(folder) => Some(Scorer::check(folder, recipe.eval.encoder_layer).map_err(|e| e.at("eval.encoder"))?),
        None => None,
    };
    let mut ending = Ending::of(out);
    for (number, seed) in plan.seeds.iter().enumerate() {
        if ending.is_near()? {
            return Ok(None);
        }
        tell(&format!("seed {seed}, {} of {}", number + 1, plan.seeds.len()));
        let Some(run) = finished(&study::of_seed(recipe, *seed), out, &mut ending)? else { return Ok(None) };
        let Some((split, found)) = read(&run, *seed, recipe, encoder.as_deref(), &mut ending)? else { return Ok(None) };
        outcomes.extend(found);
        let mut found = evaluate(&recipe.name, &split, &plan.reference, &outcomes)?;
        if number + 1 < plan.seeds.len() {
            found.notes.push(format!("seeds so far: {} of {}", number + 1, plan.seeds.len()));
        }
        found.encoder.clone_from(&encoder);
        found.notes.extend(notes.clone());
        write(&found, out)?;
        last = Some(found);
    }
    Ok(last)
}

fn methods(asked: &[String], recipe: &Recipe) -> Result<Vec<Method>> {
    let all = || Recipe { eval: recipe::Eval::default(), ..recipe.clone() }.compared();
    match asked {
        [] => Ok(recipe.compared()),
        [word] if word == "all" => Ok(all()),
        names => names
            .iter()
            .map(|name| {
                Method::named(name).ok_or_else(|| {
                    let known = Method::ALL.map(Method::name).join(", ");
                    Error::user(format!("--methods: {:?} is not known here; use all, {known}", printable(name)))
                })
            })
            .collect(),
    }
}

/// What a run's report has: the split, and each method with what it wrote; `BERTScore` too where what is `asked` names an
/// `encoder`, by its label. `None` where it was ended.
fn read(
    run: &RunDir,
    seed: u64,
    asked: &Recipe,
    encoder: Option<&str>,
    ending: &mut Ending<'_>,
) -> Result<Option<(String, Vec<Outcome>)>> {
    let recipe = run.recipe()?;
    let mut scorer = None;
    let report = outcome::report(run)?;
    let data = match &recipe.data.test {
        Some(test) if report.split == "test" => (test, recipe.data.test_limit),
        _ => (&recipe.data.dev, recipe.data.dev_limit),
    };
    let data = Dataset::read(data.0, Fields::from(&recipe.data), data.1)?;
    let documents: HashMap<&str, &str> = data.examples.iter().map(|e| (e.id.as_str(), e.document.as_str())).collect();
    let mut outcomes = Vec::new();
    for row in &report.rows {
        let written = result::read_summaries(run, &row.method)?;
        let bert = match (&asked.eval.encoder, encoder) {
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
            seed,
            loss: row.loss,
            sparsity: row.sparsity,
            seconds: row.seconds,
            bert,
            written: written.collect(),
        });
    }
    Ok(Some((report.split, outcomes)))
}

/// What the splits of a recipe share, and summaries that stand in their documents.
pub(super) fn leaks(recipe: &Recipe) -> Result<Vec<String>> {
    let data = &recipe.data;
    let (train, dev) = ((Some(&data.train), data.train_limit), (Some(&data.dev), data.dev_limit));
    let mut splits = Vec::new();
    for (name, (path, limit)) in [("train", train), ("dev", dev), ("test", (data.test.as_ref(), data.test_limit))] {
        if let Some(path) = path {
            splits.push((name, Dataset::read(path, Fields::from(data), limit)?.examples));
        }
    }
    let splits: Vec<_> = splits.iter().map(|(name, examples)| (*name, &examples[..])).collect();
    Ok(dataset::leaks(&splits))
}

fn json(of: &Evaluation) -> Result<String> {
    serde_json::to_string_pretty(of).map_err(|e| Error::fault(e.to_string()))
}

fn write(of: &Evaluation, out: &Path) -> Result<()> {
    let files = [
        ("md", tables::markdown(of)),
        ("csv", tables::csv(of)),
        ("html", tables::html(of)),
        ("tex", tables::latex(of)),
        ("json", json(of)?),
    ];
    files.iter().try_for_each(|(end, text)| write_aside(&out.join(format!("evaluation.{end}")), text.as_bytes()))
}
