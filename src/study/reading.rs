//! The folder of a study, read again and again: of its runs only what is new.

use super::standing::{Cell, Head, Line, Part, Standing};
use super::{Kind, Plan, Progress, is_of, kind, launch, of_seed, recipe_file, state, trials};
use crate::eval::evaluation::columns::{self, Column};
use crate::eval::evaluation::tables;
use crate::eval::evaluation::{Evaluation, Figure, failures};
use crate::recipe::Recipe;
use crate::run::event::ReportRow;
use crate::run::listing::{Listing, Summary};
use crate::run::{RunState, worker};
use crate::text::printable;
use crate::{Error, Result, bounded};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// What is known of a study's folder.
#[derive(Debug)]
pub struct Reader {
    folder: PathBuf,
    kind: Kind,
    listing: Listing,
    /// The recipes of its runs, which never change; `None` of one that cannot be read.
    recipes: HashMap<PathBuf, Option<Recipe>>,
}

impl Reader {
    /// A reader of this folder.
    ///
    /// # Errors
    /// When it is no study.
    pub fn new(folder: &Path) -> Result<Self> {
        let Some(kind) = kind(folder) else {
            return Err(Error::user(format!(
                "{} is no evaluation and no sweep: it has no study.json, evaluation.json or sweep.json",
                printable(&folder.display().to_string())
            )));
        };
        Ok(Self { folder: folder.to_path_buf(), kind, listing: Listing::new(folder), recipes: HashMap::new() })
    }

    /// How it stands now.
    ///
    /// # Errors
    /// When the folder or its table cannot be read.
    pub fn look(&mut self) -> Result<Standing> {
        let plan = Plan::read(&self.folder).filter(|plan| plan.kind == self.kind);
        let runs = self.listing.scan()?;
        let state = state(&self.folder);
        let finished = runs.iter().filter(|run| run.state == RunState::Finished).count();
        let name = self.folder.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let last = worker::read_last_word(&self.folder).filter(|_| state != RunState::Running);
        let mut standing = Standing {
            kind: self.kind,
            name: plan.as_ref().map_or(name, |plan| plan.name.clone()),
            state,
            said: last.map_or(String::new(), |word| word.text),
            runs: (finished, plan.as_ref().map_or(runs.len(), |plan| plan.runs.max(finished))),
            heads: Vec::new(),
            lines: Vec::new(),
            notes: Vec::new(),
            curve: None,
        };
        match self.kind {
            Kind::Evaluation => self.methods(plan.as_ref(), &runs, &mut standing)?,
            Kind::Sweep => trials::fill(table(&self.folder, self.kind)?, plan.as_ref(), &runs, &mut standing),
        }
        Ok(standing)
    }

    fn recipe(&mut self, run: &Path) -> Option<&Recipe> {
        let read = || crate::run::RunDir::open(run).and_then(|run| run.recipe()).ok();
        self.recipes.entry(run.to_path_buf()).or_insert_with(read).as_ref()
    }

    /// The runs of each seed, in the order in which they were begun, as far as there are any.
    fn of_seeds(
        &mut self,
        plan: Option<&Plan>,
        found: Option<&Evaluation>,
        runs: &[Summary],
        progress: &Progress,
    ) -> Vec<(u64, Vec<Summary>)> {
        let wanted = plan.and_then(|_| Recipe::read(&recipe_file(&self.folder, self.kind)).ok());
        let mut seeds = match (plan, found) {
            (Some(plan), _) => plan.seeds.clone(),
            (None, Some(found)) => found.rows.iter().flat_map(|row| row.seeds.clone()).collect(),
            _ => Vec::new(),
        };
        let mut once = std::collections::HashSet::new();
        seeds.retain(|seed| once.insert(*seed));
        let mut all = Vec::new();
        for seed in seeds {
            let named = progress.runs_of(seed).filter_map(|name| runs.iter().find(|run| run.name == name));
            let mut of: Vec<Summary> = named.cloned().collect();
            if of.is_empty() {
                // Of a time before they told, or not come to yet.
                let wanted = wanted.as_ref().map(|recipe| of_seed(recipe, seed));
                let wanted = wanted.map(|recipe| [launch::base_first(&recipe), recipe]);
                let run = runs.iter().find(|run| {
                    self.recipe(&run.path).is_some_and(|of| match &wanted {
                        Some(wanted) => wanted.iter().any(|wanted| is_of(of.clone(), wanted)),
                        None => of.seed == seed,
                    })
                });
                of.extend(run.cloned());
            }
            all.push((seed, of));
        }
        all
    }

    fn methods(&mut self, plan: Option<&Plan>, runs: &[Summary], standing: &mut Standing) -> Result<()> {
        let found: Option<Evaluation> = table(&self.folder, Kind::Evaluation)?;
        let progress = Progress::read(&self.folder);
        let seeds = self.of_seeds(plan, found.as_ref(), runs, &progress);
        let finished = seeds.iter().filter(|(_, runs)| runs.last().is_some_and(|run| run.state == RunState::Finished));
        standing.runs = (finished.count(), seeds.len());
        let mut methods: Vec<String> = plan.map_or_else(Vec::new, |plan| plan.methods.clone());
        if plan.is_none() {
            methods.extend(found.iter().flat_map(|found| &found.rows).map(|row| row.method.clone()));
        }
        let columns = columns::columns(found.as_ref());
        standing.heads = columns
            .iter()
            .map(|column| Head { name: column.head.to_owned(), falls: column.falls, weight: column.weight })
            .collect();
        let reference = found.as_ref().map(|f| &f.reference).or(plan.map(|plan| &plan.reference));
        standing.notes = if let Some(found) = &found {
            tables::legend(found)
        } else {
            let scored = |method: &str| seeds.iter().any(|(_, runs)| scored(runs, method).is_some());
            let told = "figures as the runs tell them; the others come when a run is finished".to_owned();
            let failed = failures(methods.iter().map(String::as_str), &progress.undone, scored);
            std::iter::once(told).chain(failed).collect()
        };
        for method in methods {
            let rows: Vec<&ReportRow> =
                seeds.iter().filter_map(|(_, runs)| scored(runs, &method).map(|(_, row)| row)).collect();
            let done: Vec<u64> =
                seeds.iter().filter(|(_, runs)| scored(runs, &method).is_some()).map(|(seed, _)| *seed).collect();
            // The table counts where it is about the seeds that are scored by now, or the runs are gone.
            let row = found.as_ref().and_then(|f| f.rows.iter().find(|row| row.method == method));
            let row = row.filter(|row| row.seeds == done || done.is_empty());
            let cells = columns.iter().map(|column| match row {
                Some(row) => {
                    let mark = if column.head == columns::RANKED { row.against.map_or("", |a| a.mark()) } else { "" };
                    Cell { text: column.shown(row), value: column.of(row).map(|figure| figure.mean), mark }
                }
                None => early(column, &rows),
            });
            let (stands_out, parts) = (reference == Some(&method), parts(&seeds, &method, &progress));
            standing.lines.push(Line { name: method, cells: cells.collect(), parts, stands_out });
        }
        Ok(())
    }
}

/// Bytes of a table at most: a sweep's has a number for every trial and document.
const TABLE: u64 = 64 << 20;

/// The table of a study; `None` where there is none yet.
pub(super) fn table<T: serde::de::DeserializeOwned>(folder: &Path, kind: Kind) -> Result<Option<T>> {
    let path = kind.table(folder);
    let bytes = match bounded::bytes(&path, TABLE) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(Error::io("read", &path, &e)),
    };
    serde_json::from_slice(&bytes).map(Some).map_err(|e| {
        Error::user(format!("{}: {e}; the same command writes it again", printable(&path.display().to_string())))
    })
}

/// The run of a seed that has scored a method, and what it scored.
fn scored<'a>(runs: &'a [Summary], method: &str) -> Option<(&'a Summary, &'a ReportRow)> {
    let row = |run: &'a Summary| run.report.as_ref()?.rows.iter().find(|row| row.method == method);
    runs.iter().find_map(|run| Some((run, row(run)?)))
}

/// How far each seed is with a method.
fn parts(seeds: &[(u64, Vec<Summary>)], method: &str, progress: &Progress) -> Vec<Part> {
    if let Some(never) = progress.undone.iter().find(|one| one.method == method && one.seed.is_none()) {
        let (state, said) = (RunState::Failed, never.why.clone());
        return vec![Part { label: String::new(), run: None, state, said }];
    }
    seeds
        .iter()
        .map(|(seed, runs)| {
            let label = if seeds.len() > 1 { format!("seed {seed}") } else { String::new() };
            Part { label, ..part(*seed, runs, method, progress) }
        })
        .collect()
}

/// How far the runs of a seed are with a method.
fn part(seed: u64, runs: &[Summary], method: &str, progress: &Progress) -> Part {
    let of = |run: &Summary, state, said: String| Part { run: Some(run.path.clone()), state, said, ..Part::default() };
    if let Some((run, _)) = scored(runs, method) {
        return of(run, RunState::Finished, String::new());
    }
    if let Some(undone) = progress.failure(method, seed) {
        let run = runs.iter().find(|run| undone.run.as_ref() == Some(&run.name));
        let run = run.map(|run| run.path.clone());
        return Part { run, state: RunState::Failed, said: undone.why.clone(), ..Part::default() };
    }
    let Some(run) = runs.last() else { return Part::default() };
    let state = match run.state {
        state @ (RunState::Running | RunState::Paused) if run.method == method => state,
        RunState::Running | RunState::Paused | RunState::Created => RunState::Created,
        state => state,
    };
    let said = match state {
        RunState::Running if run.step.1 > 0 => format!("step {} of {}", run.step.0, run.step.1),
        RunState::Failed | RunState::Crashed => run.said.clone(),
        _ => String::new(),
    };
    of(run, state, said)
}

/// A figure of what the runs have told so far.
fn early(column: &Column, rows: &[&ReportRow]) -> Cell {
    let values: Option<Vec<f64>> = column.early.and_then(|of| rows.iter().map(|row| of(row)).collect());
    let Some(values) = values.filter(|values| !values.is_empty()) else { return Cell::default() };
    let figure = Figure::of(&values);
    Cell { text: column.text(&figure), value: Some(figure.mean), mark: "" }
}
