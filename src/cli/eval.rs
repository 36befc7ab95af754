//! `lopper eval`: the methods of a recipe on the same data and seeds, beside one another.

mod attempts;
mod scores;

use super::outcome::{Ending, tell};
use crate::data::overlap;
use crate::eval::bertscore::Scorer;
use crate::eval::evaluation::{self, Evaluation, evaluate, tables};
use crate::recipe::{self, Method, Recipe};
use crate::run::{RunDir, shell, write_aside};
use crate::study::{self, Plan, Progress, looks};
use crate::text::{self, counted, printable};
use crate::{Error, Result};
use std::collections::BTreeSet;
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
/// When the recipe or a method is none, nothing can be scored, or, with the table printed, where a method could not be done;
/// what is finished stays, and the same command goes on.
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
    answered(&recipe, &plan, &out, |found| {
        Ok(match asked.format {
            Format::Text => text(found, &out),
            Format::Markdown => tables::markdown(found),
            Format::Csv => tables::csv(found),
            Format::Html => tables::html(found),
            Format::Latex => tables::latex(found),
            Format::Json => text::json(found)?,
        })
    })
}

/// Works on an evaluation here, and gives its table as `shown` has it; `None` when a signal came.
///
/// # Errors
/// Those of the work. Where methods could not be done the table is printed, and the sentence that counts them is the error.
pub(super) fn answered(
    recipe: &Recipe,
    plan: &Plan,
    out: &Path,
    shown: impl Fn(&Evaluation) -> Result<String>,
) -> Result<Option<String>> {
    let mut found = None;
    let done = study::hold(out, plan, recipe, || worked(recipe, plan, out, &mut found));
    let Some(found) = found else { return done.map(|_| None) };
    let text = shown(&found)?;
    let Some(error) = done.err().or_else(|| found.undone_sentence().map(Error::user)) else { return Ok(Some(text)) };
    super::say(&text)?;
    Err(error)
}

/// Works on an evaluation; `found` is its table, also where it fails because a run of it has: only then is there something
/// to try again.
///
/// # Errors
/// As [`compared`], and where methods could not be done because a run has failed.
pub(super) fn worked(recipe: &Recipe, plan: &Plan, out: &Path, found: &mut Option<Evaluation>) -> Result<Option<()>> {
    let Some(table) = compared(recipe, plan, out)? else { return Ok(None) };
    let has_failed = table.undone.iter().any(|undone| undone.run.is_some());
    let sentence = table.undone_sentence().filter(|_| has_failed);
    *found = Some(table);
    let Some(sentence) = sentence else { return Ok(Some(())) };
    let folder = shell::word(out);
    Err(Error::user(format!("{sentence}; `lopper resume {folder}` tries again what failed")))
}

/// The table, and where the files are.
pub(super) fn text(found: &Evaluation, out: &Path) -> String {
    let files = printable(&out.display().to_string()).into_owned();
    format!("{}{files}: evaluation.md, .csv, .html, .tex, .json, and the runs", tables::text(found))
}

/// Runs what is missing and compares; after every seed the tables are about those that are finished. What fails costs no
/// other method and no other seed. `None` when a signal came.
///
/// # Errors
/// When a run cannot start or is stopped, nothing was scored at all, or the tables cannot be written.
fn compared(recipe: &Recipe, plan: &Plan, out: &Path) -> Result<Option<Evaluation>> {
    let mut notes = overlap::of_recipe(&recipe.data)?;
    notes.extend(recipe.odd_methods());
    // Before the first run.
    let encoder = match &recipe.eval.encoder {
        Some(folder) => Some(Scorer::check(folder, recipe.eval.encoder_layer).map_err(|e| e.at("eval.encoder"))?),
        None => None,
    };
    let mut ending = Ending::of(out);
    let mut progress = Progress::read(out);
    // A seed that is tried again forgets its earlier runs: they are this evaluation's all the same.
    let before: Vec<String> = progress.runs.iter().map(|(_, name)| name.clone()).collect();
    progress.begin();
    let (mut outcomes, mut split) = (Vec::new(), String::new());
    let (mut last, mut failure) = (None, None);
    // A run that has scored the test set, and how many others have.
    let (mut tested, mut others) = (None, None);
    let mut builds = BTreeSet::new();
    for (number, seed) in plan.seeds.iter().enumerate() {
        if ending.is_near()? {
            return Ok(None);
        }
        tell(&format!("seed {seed}, {} of {}", number + 1, plan.seeds.len()));
        let Some(found) = attempts::of_seed(recipe, *seed, out, &mut ending, &mut progress)? else { return Ok(None) };
        failure = failure.or(found.error);
        for (run, report) in found.runs.iter().filter(|(_, report)| !report.rows.is_empty()) {
            let wanted = scores::Wanted { seed: *seed, recipe, encoder: encoder.as_deref() };
            let Some(read) = scores::read(run, report, wanted, &mut ending)? else { return Ok(None) };
            split.clone_from(&report.split);
            if split == "test" {
                tested = Some(run.clone());
            }
            outcomes.extend(read.outcomes);
            builds.extend(read.builds);
        }
        if outcomes.is_empty() {
            continue;
        }
        let asked =
            evaluation::Asked { name: &recipe.name, split: &split, reference: &plan.reference, methods: &plan.methods };
        let mut found = evaluate(&asked, &outcomes, &progress.of(&plan.seeds[..=number]))?;
        if number + 1 < plan.seeds.len() {
            found.notes.push(format!("seeds so far: {} of {}", number + 1, plan.seeds.len()));
        }
        if let Some(run) = &tested {
            // Runs of all folders around are looked at for it: once at first, and once when this evaluation's own are known.
            if others.is_none() || number + 1 == plan.seeds.len() {
                others = Some(by_others(run, out, &progress, &before));
            }
            found.notes.extend(others.and_then(looked_at));
        }
        found.notes.extend(scores::several(&builds));
        found.encoder.clone_from(&encoder);
        found.notes.extend(notes.clone());
        write(&found, out)?;
        last = Some(found);
    }
    match (last, failure) {
        (None, Some(error)) => Err(error),
        (last, _) => Ok(last),
    }
}

/// Other runs that have scored the test set that `run` has.
fn by_others(run: &RunDir, out: &Path, progress: &Progress, before: &[String]) -> usize {
    let own: Vec<String> = progress.runs.iter().map(|(_, name)| name).chain(before).cloned().collect();
    // A folder beside this one that cannot be read is no reason to have no table.
    looks::by_others(run, out, &own).unwrap_or(0)
}

/// A sentence on other runs that have scored the same test set; `None` where there are none.
fn looked_at(others: usize) -> Option<String> {
    let who = counted(others, "other run");
    let told = format!("the test set was scored by {who} as well, here or beside this folder: no clean test any more");
    (others > 0).then_some(told)
}

fn methods(asked: &[String], recipe: &Recipe) -> Result<Vec<Method>> {
    let eval = || recipe::Eval { methods: Vec::new(), ..recipe.eval.clone() };
    let all = || Recipe { eval: eval(), ..recipe.clone() }.compared();
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

fn write(of: &Evaluation, out: &Path) -> Result<()> {
    let files = [
        ("md", tables::markdown(of)),
        ("csv", tables::csv(of)),
        ("html", tables::html(of)),
        ("tex", tables::latex(of)),
        ("json", text::json(of)?),
    ];
    files.iter().try_for_each(|(end, text)| write_aside(&out.join(format!("evaluation.{end}")), text.as_bytes()))
}
