//! `lopper eval`: the methods of a recipe on the same data and seeds, beside one another.

use super::outcome::{self, finished, tell};
use crate::data::{Dataset, Fields, dataset};
use crate::eval::evaluation::{Evaluation, Outcome, Written, evaluate, tables};
use crate::recipe::{Method, Recipe};
use crate::run::{RunDir, as_file_name, write_aside};
use crate::text::printable;
use crate::train::{plan, result};
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
    let mut recipe = Recipe::read(&asked.recipe)?;
    recipe.eval.methods = methods(&asked.methods, &recipe)?;
    recipe.validate()?;
    if recipe.name.is_empty() {
        recipe.name = asked.recipe.file_stem().map_or("run".into(), |stem| stem.to_string_lossy().into_owned());
    }
    let folder = || Path::new("runs").join(format!("{}-eval", as_file_name(&recipe.name)));
    let out = asked.out.clone().unwrap_or_else(folder);
    let seeds = if asked.seeds.is_empty() { vec![recipe.seed] } else { asked.seeds.clone() };
    let own = plan::stages(&recipe).pop().map_or(String::new(), |stage| stage.label);
    let reference = match &asked.against {
        None => own,
        Some(name) => named(name).map_or_else(|| name.clone(), |method| method.label().to_owned()),
    };
    let (mut outcomes, mut split) = (Vec::new(), String::new());
    for (number, seed) in seeds.iter().enumerate() {
        let mut wanted = recipe.clone();
        wanted.seed = *seed;
        wanted.name = format!("{}-seed-{seed}", recipe.name);
        tell(&format!("seed {seed}, {} of {}", number + 1, seeds.len()));
        let Some(run) = finished(&wanted, &out)? else { return Ok(None) };
        let (of, found) = read(&run, *seed)?;
        outcomes.extend(found);
        split = of;
    }
    let mut found = evaluate(&recipe.name, &split, &reference, &outcomes)?;
    found.notes.extend(leaks(&recipe)?);
    write(&found, &out)?;
    Ok(Some(match asked.format {
        Format::Text => {
            let files = printable(&out.display().to_string()).into_owned();
            format!("{}{files}: evaluation.md, .csv, .html, .tex, .json, and the runs", tables::text(&found))
        }
        Format::Markdown => tables::markdown(&found),
        Format::Csv => tables::csv(&found),
        Format::Html => tables::html(&found),
        Format::Latex => tables::latex(&found),
        Format::Json => json(&found)?,
    }))
}

fn named(name: &str) -> Option<Method> {
    Method::ALL.into_iter().find(|method| method.name() == name || method.label() == name)
}

fn methods(asked: &[String], recipe: &Recipe) -> Result<Vec<Method>> {
    let fits = |method: &Method| recipe.prunes() || !method.prunes();
    let all = || Method::ALL.into_iter().filter(fits).collect();
    match asked {
        [] if recipe.eval.methods.is_empty() => Ok(all()),
        [] => Ok(recipe.eval.methods.clone()),
        [word] if word == "all" => Ok(all()),
        names => names
            .iter()
            .map(|name| {
                named(name).ok_or_else(|| {
                    let known = Method::ALL.map(Method::name).join(", ");
                    Error::user(format!("--methods: {:?} is not known here; use all, {known}", printable(name)))
                })
            })
            .collect(),
    }
}

/// What a run's report has: the split, and each method with what it wrote.
fn read(run: &RunDir, seed: u64) -> Result<(String, Vec<Outcome>)> {
    let recipe = run.recipe()?;
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
            written: written.collect(),
        });
    }
    Ok((report.split, outcomes))
}

/// What the splits of a recipe share, and summaries that stand in their documents.
fn leaks(recipe: &Recipe) -> Result<Vec<String>> {
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
