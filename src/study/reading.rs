//! The folder of a study, read again and again: of its runs only what is new.

use super::standing::{Cell, Head, Line, Part, Standing};
use super::{Kind, Plan, is_of, kind, of_seed, recipe_file, state, trials};
use crate::eval::evaluation::columns::{self, Column};
use crate::eval::evaluation::tables;
use crate::eval::evaluation::{Evaluation, Figure};
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

    /// The run of each seed, as far as there is one.
    fn of_seeds(
        &mut self,
        plan: Option<&Plan>,
        found: Option<&Evaluation>,
        runs: &[Summary],
    ) -> Vec<(u64, Option<Summary>)> {
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
            let wanted = wanted.as_ref().map(|recipe| of_seed(recipe, seed));
            let run = runs.iter().find(|run| {
                self.recipe(&run.path).is_some_and(|of| match &wanted {
                    Some(wanted) => is_of(of.clone(), wanted),
                    None => of.seed == seed,
                })
            });
            all.push((seed, run.cloned()));
        }
        all
    }

    fn methods(&mut self, plan: Option<&Plan>, runs: &[Summary], standing: &mut Standing) -> Result<()> {
        let found: Option<Evaluation> = table(&self.folder, Kind::Evaluation)?;
        let seeds = self.of_seeds(plan, found.as_ref(), runs);
        let finished = seeds.iter().filter(|(_, run)| run.as_ref().is_some_and(|r| r.state == RunState::Finished));
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
        for method in methods {
            let rows: Vec<&ReportRow> = seeds.iter().filter_map(|(_, run)| scored(run.as_ref()?, &method)).collect();
            let parts: Vec<Part> =
                seeds.iter().map(|(seed, run)| part(*seed, seeds.len() > 1, run.as_ref(), &method)).collect();
            let done =
                |(seed, run): &(u64, Option<Summary>)| run.as_ref().and_then(|run| scored(run, &method)).map(|_| *seed);
            let done: Vec<u64> = seeds.iter().filter_map(done).collect();
            // The table counts where it is about the seeds that are scored by now, or the runs are gone.
            let row = found.as_ref().and_then(|f| f.rows.iter().find(|row| row.method == method));
            let row = row.filter(|row| row.seeds == done || done.is_empty());
            let cells = columns.iter().map(|column| match row {
                Some(row) => {
                    let figure = (column.figure)(row);
                    let mark = if column.head == columns::RANKED { row.against.map_or("", |a| a.mark()) } else { "" };
                    Cell { text: (column.shown)(row), value: figure.map(|f| f.mean), mark }
                }
                None => early(column, &rows),
            });
            standing.lines.push(Line {
                stands_out: reference == Some(&method),
                name: method.clone(),
                cells: cells.collect(),
                parts,
            });
        }
        standing.notes = found.as_ref().map_or_else(
            || vec!["figures as the runs tell them; the others come when a run is finished".to_owned()],
            tables::legend,
        );
        Ok(())
    }
}

/// The table of a study; `None` where there is none yet.
fn table<T: serde::de::DeserializeOwned>(folder: &Path, kind: Kind) -> Result<Option<T>> {
    let path = kind.table(folder);
    let bytes = match bounded::bytes(&path, bounded::SETTINGS) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(Error::io("read", &path, &e)),
    };
    serde_json::from_slice(&bytes).map(Some).map_err(|e| {
        Error::user(format!("{}: {e}; the same command writes it again", printable(&path.display().to_string())))
    })
}

fn scored<'a>(run: &'a Summary, method: &str) -> Option<&'a ReportRow> {
    run.report.as_ref()?.rows.iter().find(|row| row.method == method)
}

/// How far a seed's run is with a method.
fn part(seed: u64, several: bool, run: Option<&Summary>, method: &str) -> Part {
    let label = if several { format!("seed {seed}") } else { String::new() };
    let Some(run) = run else { return Part { label, ..Part::default() } };
    let state = match run.state {
        _ if scored(run, method).is_some() => RunState::Finished,
        state @ (RunState::Running | RunState::Paused) if run.method == method => state,
        RunState::Running | RunState::Paused | RunState::Created => RunState::Created,
        state => state,
    };
    let said = match state {
        RunState::Running if run.step.1 > 0 => format!("step {} of {}", run.step.0, run.step.1),
        RunState::Failed | RunState::Crashed => run.said.clone(),
        _ => String::new(),
    };
    Part { label, run: Some(run.path.clone()), state, said }
}

/// A figure of what the runs have told so far.
fn early(column: &Column, rows: &[&ReportRow]) -> Cell {
    let values: Option<Vec<f64>> = column.early.and_then(|of| rows.iter().map(|row| of(row)).collect());
    let Some(values) = values.filter(|values| !values.is_empty()) else { return Cell::default() };
    let figure = Figure::of(&values);
    Cell { text: column.shown_early(&figure), value: Some(figure.mean), mark: "" }
}
