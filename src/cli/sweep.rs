//! `lopper sweep`: other settings of a recipe, ranked on its dev set.

use super::outcome::{self, Ending, tell};
use crate::data::{Dataset, Fields, overlap};
use crate::eval::rouge;
use crate::eval::segment::Segmentation;
use crate::recipe::Recipe;
use crate::run::{RunDir, as_file_name, write_aside};
use crate::study::looks;
use crate::sweep::axis::{Axis, Setting};
use crate::sweep::curve::{self, Curve};
use crate::sweep::plan::{Plan, Search};
use crate::sweep::{Chosen, Score, Sweep, Trial, mean_and_error, order, ruled, tables};
use crate::text::{self, printable};
use crate::train::result;
use crate::{Error, Result, study};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// What is asked.
#[derive(Debug, Clone, clap::Args)]
pub struct Asked {
    /// The recipe
    recipe: PathBuf,
    /// Prune ratios: 0.1,0.5 or FROM:TO:STEP; FROM:TO for anything between, drawn by chance
    #[arg(long, value_name = "VALUES", allow_hyphen_values = true)]
    ratio: Option<String>,
    /// Learning rates, in the same forms
    #[arg(long, value_name = "VALUES", allow_hyphen_values = true)]
    lr: Option<String>,
    /// Weights of an adapter: science=0.5,1.0 (again for another adapter)
    #[arg(long, value_name = "ADAPTER=VALUES")]
    weight: Vec<String>,
    /// All combinations, some by chance, or successive halving
    #[arg(long, value_enum, default_value = "grid")]
    search: Way,
    /// Settings that are drawn by chance (random: needed; halving: instead of all combinations)
    #[arg(long)]
    trials: Option<usize>,
    /// halving: one of so many goes on, with so many times the training
    #[arg(long, default_value_t = 3)]
    eta: usize,
    /// Seed of what is drawn by chance [default: the recipe's]
    #[arg(long)]
    seed: Option<u64>,
    /// Leave the test set alone also when all is done
    #[arg(long)]
    no_test: bool,
    /// The folder of the runs and tables [default: runs/NAME-sweep]
    #[arg(long)]
    out: Option<PathBuf>,
    /// The table in this form
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

/// How settings are searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Way {
    Grid,
    Random,
    Halving,
}

/// How the table is printed; the folder gets all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Text,
    Markdown,
    Csv,
    Json,
}

/// Runs what is missing, one trial after the other, chooses, and scores the test set by the choice; the table. Lines of
/// progress go to standard error. `None` when a signal came.
///
/// # Errors
/// When the recipe or what is asked is wrong, or no trial comes to its end; what is finished stays.
pub fn report(asked: &Asked, ascii: bool) -> Result<Option<String>> {
    let mut recipe = Recipe::read(&asked.recipe)?;
    if recipe.name.is_empty() {
        recipe.name = asked.recipe.file_stem().map_or("run".into(), |stem| stem.to_string_lossy().into_owned());
    }
    let search = search(asked)?;
    let plan = Plan::new(&recipe, axes(asked)?, search, asked.seed.unwrap_or(recipe.seed))?;
    if let Some(text) = plan.shortage(search) {
        tell(&text);
    }
    ruled::look(&recipe, &plan.axes)?;
    look_at_data(&recipe)?;
    let folder = || Path::new("runs").join(format!("{}-sweep", as_file_name(&recipe.name)));
    let out = asked.out.clone().unwrap_or_else(folder);
    let search = study::Search { way: search.name().to_owned(), test: !asked.no_test, plan };
    let study = study::Plan {
        kind: study::Kind::Sweep,
        name: recipe.name.clone(),
        methods: Vec::new(),
        reference: String::new(),
        seeds: Vec::new(),
        runs: search.plan.trials(),
        search: Some(search),
        started: 0.0,
    };
    let work = || swept(&recipe, &study, &out);
    let Some(sweep) = study::hold(&out, &study, &recipe, work)? else { return Ok(None) };
    Ok(Some(match asked.format {
        Format::Text => text(&sweep, &out, ascii),
        Format::Markdown => tables::markdown(&sweep, None),
        Format::Csv => tables::csv(&sweep),
        Format::Json => text::json(&sweep)?,
    }))
}

/// The table with the curve, and where the files are.
pub(super) fn text(found: &Sweep, out: &Path, ascii: bool) -> String {
    let files = printable(&out.display().to_string()).into_owned();
    let curve = Curve::of(found).map_or(String::new(), |curve| format!("\n{}", curve.text(ascii)));
    format!("{}{curve}{files}: sweep.md, .csv, .json, .svg, chosen.toml, and the runs", tables::text(found))
}

/// Runs all trials and the one that is chosen; after every trial the tables are about those so far. `None` when a
/// signal came.
///
/// # Errors
/// When the folder does not say what is searched, no trial comes to its end, one cannot start or is stopped, or the
/// tables cannot be written.
pub(super) fn swept(recipe: &Recipe, study: &study::Plan, out: &Path) -> Result<Option<Sweep>> {
    let Some(study::Search { way, plan, test }) = &study.search else {
        return Err(Error::user("it does not say what was searched; the same `lopper sweep` goes on with it"));
    };
    let mut notes = overlap::of_recipe(&recipe.data)?;
    notes.extend(ruled::look(recipe, &plan.axes)?);
    let begun = Sweep {
        name: recipe.name.clone(),
        search: way.clone(),
        axes: plan.axes.iter().map(Axis::name).collect(),
        tokens: String::new(),
        trials: Vec::new(),
        chosen: None,
        notes,
    };
    let mut ending = Ending::of(out);
    let Some(mut sweep) = run(plan, recipe, begun, &mut ending, out)? else { return Ok(None) };
    sweep.rank();
    let Some(best) = sweep.best().map(|(trial, _)| trial.clone()) else {
        let why = sweep.trials.iter().find_map(|trial| trial.failed.clone()).unwrap_or_default();
        return Err(Error::user(format!("no trial came to its end: {why}")));
    };
    sweep.tokens = segmentation(&out.join(&best.run))?.label();
    let wanted = plan.chosen(recipe, &best.settings)?;
    write_aside(&out.join("chosen.toml"), wanted.to_toml()?.as_bytes())?;
    let mut chosen = Chosen { settings: best.settings, run: None, test: None, looks: 0 };
    if recipe.data.test.is_some() && *test {
        if ending.is_near()? {
            return Ok(None);
        }
        tell(&format!("chosen: {}", tables::settings(&sweep, &chosen.settings)));
        let Some(run) = outcome::finished(&wanted, out, &mut ending, &mut |_| Ok(()))? else { return Ok(None) };
        (chosen.test, chosen.run) = (Some(score(&run)?.0), Some(run.name()));
        chosen.looks = looks::at_test_of(&run, out)?;
    }
    sweep.chosen = Some(chosen);
    write(&sweep, out)?;
    Ok(Some(sweep))
}

fn axes(asked: &Asked) -> Result<Vec<Axis>> {
    let mut axes = Vec::new();
    for (setting, text) in [(Setting::Ratio, &asked.ratio), (Setting::Lr, &asked.lr)] {
        if let Some(text) = text {
            axes.push(Axis::parse(&setting, text)?);
        }
    }
    for text in &asked.weight {
        let Some((name, values)) = text.split_once('=') else {
            return Err(Error::user(format!(
                "--weight {:?}: ADAPTER=VALUES is needed, as science=0.5,1.0",
                printable(text)
            )));
        };
        axes.push(Axis::parse(&Setting::Weight(name.to_owned()), values)?);
    }
    Ok(axes)
}

fn search(asked: &Asked) -> Result<Search> {
    match (asked.search, asked.trials) {
        (Way::Grid, None) => Ok(Search::Grid),
        (Way::Grid, Some(_)) => {
            Err(Error::user("--trials goes with --search random or halving; a grid has all combinations"))
        }
        (Way::Random, Some(trials)) => Ok(Search::Random(trials)),
        (Way::Random, None) => Err(Error::user("--search random needs --trials N")),
        (Way::Halving, trials) => Ok(Search::Halving { trials, eta: asked.eta }),
    }
}

/// Refuses a choice that would be made on the test set, in whatever order and by whatever names.
fn look_at_data(recipe: &Recipe) -> Result<()> {
    let read = |path: &Path, limit| Dataset::read(path, Fields::from(&recipe.data), limit);
    let dev = read(&recipe.data.dev, recipe.data.dev_limit).map_err(|e| e.at("data.dev"))?;
    if dev.examples.len() < 2 {
        return Err(Error::user("data.dev has one example: nothing can be chosen by it"));
    }
    let Some(path) = &recipe.data.test else { return Ok(()) };
    let test = read(path, recipe.data.test_limit).map_err(|e| e.at("data.test"))?;
    let texts =
        |of: &Dataset| of.examples.iter().map(|e| (e.document.clone(), e.summary.clone())).collect::<BTreeSet<_>>();
    let (dev, test) = (texts(&dev), texts(&test));
    if test.is_subset(&dev) || dev.is_subset(&test) {
        return Err(Error::user(
            "data.dev and data.test are the same, or one is a part of the other: the choice would be made on the test set",
        ));
    }
    Ok(())
}

/// All trials of the plan; `None` when a signal came.
fn run(plan: &Plan, recipe: &Recipe, mut sweep: Sweep, ending: &mut Ending<'_>, out: &Path) -> Result<Option<Sweep>> {
    let mut alive = plan.points.clone();
    let mut number = 0;
    for rung in &plan.rungs {
        alive.truncate(rung.trials);
        let mut round = Vec::new();
        for point in &alive {
            number += 1;
            if ending.is_near()? {
                return Ok(None);
            }
            let wanted = plan.recipe(recipe, point, rung.budget)?;
            tell(&format!("trial {number} of {}: {}", plan.trials(), printable(&wanted.name)));
            let trial = |run: &RunDir, score, by_document, failed| Trial {
                settings: point.clone(),
                budget: rung.budget,
                run: run.name(),
                score,
                failed,
                by_document,
            };
            match outcome::finished(&wanted, out, ending, &mut |_| Ok(())) {
                Ok(None) => return Ok(None),
                Ok(Some(run)) => {
                    let (score, by_document) = score(&run)?;
                    round.push(trial(&run, Some(score), by_document, None));
                }
                // One that diverges is no reason to leave the others; one that cannot even start is.
                Err(error) => match outcome::failed(&wanted, out)? {
                    Some(run) => {
                        tell(&format!("failed: {}", printable(&error.to_string())));
                        round.push(trial(&run, None, Vec::new(), Some(error.to_string())));
                    }
                    None => return Err(error),
                },
            }
            let mut so_far = sweep.clone();
            so_far.trials.extend(round.clone());
            show(so_far, out)?;
        }
        round.sort_by(order);
        alive = round.iter().filter(|trial| trial.score.is_some()).map(|trial| trial.settings.clone()).collect();
        sweep.trials.extend(round);
    }
    Ok(Some(sweep))
}

/// Writes the tables of the trials so far.
fn show(mut sweep: Sweep, out: &Path) -> Result<()> {
    sweep.rank();
    let best = sweep.best().map(|(trial, _)| trial.run.clone());
    if let Some(run) = best {
        sweep.tokens = segmentation(&out.join(run))?.label();
    }
    write(&sweep, out)
}

/// What a run's own method scored, and the ROUGE-L of each document.
fn score(run: &RunDir) -> Result<(Score, Vec<f64>)> {
    let report = outcome::report(run)?;
    let row = report.rows.last().ok_or_else(|| {
        Error::user(format!("{}: its report is empty; delete the run", printable(&run.path().display().to_string())))
    })?;
    let written = result::read_summaries(run, &row.method)?;
    let cut = Segmentation::of(written.iter().map(|(_, reference, _)| reference.as_str()))?;
    let by_document: Vec<f64> =
        written.iter().map(|(_, reference, summary)| 100.0 * rouge::score(reference, summary, cut).rouge_l.f).collect();
    let score = Score {
        documents: row.documents,
        loss: row.loss,
        // As the error is: the report may have been made with another dictionary.
        rouge: rouge::mean(written.iter().map(|(_, reference, summary)| (reference.as_str(), summary.as_str())), cut),
        error: mean_and_error(&by_document).1,
        sparsity: row.sparsity,
        seconds: row.seconds,
    };
    Ok((score, by_document))
}

/// How the texts of a run are cut for ROUGE.
fn segmentation(run: &Path) -> Result<Segmentation> {
    let run = RunDir::open(run)?;
    let report = outcome::report(&run)?;
    let method = report.rows.last().map_or("", |row| row.method.as_str());
    let written = result::read_summaries(&run, method)?;
    Segmentation::of(written.iter().map(|(_, reference, _)| reference.as_str()))
}

fn write(of: &Sweep, out: &Path) -> Result<()> {
    let title = format!("{}: the best of each prune ratio on dev", of.name);
    let picture = Curve::of(of).map(|found| curve::svg(&title, &found, Curve::of_loss(of).as_ref()));
    if let Some(svg) = &picture {
        write_aside(&out.join("sweep.svg"), svg.as_bytes())?;
    }
    let files = [
        ("md", tables::markdown(of, picture.as_ref().map(|_| "sweep.svg"))),
        ("csv", tables::csv(of)),
        ("json", text::json(of)?),
    ];
    files.iter().try_for_each(|(end, text)| write_aside(&out.join(format!("sweep.{end}")), text.as_bytes()))
}
