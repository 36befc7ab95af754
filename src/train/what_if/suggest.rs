//! Ratios per module for a sparsity, or for a loss that may be lost: from the same ratio for all, moved along the axes
//! that lower the measured loss, and verified on other dev documents.

use super::reopened::Reopened;
use super::tilt::{self, Axis, Known};
use super::{Answers, Asker, Question};
use crate::prune::Key;
use crate::recipe::ratios::Rule;
use crate::run::RunDir;
use crate::run::sensitivity::{self, By, Measured};
use crate::run::what_if::{Change, DocumentLoss, Progress, WhatIf};
use crate::{Error, Result};
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

/// How far one move along an axis goes, in log-odds of the ratios, round after round.
const MOVES: [f64; 2] = [1.0, 0.5];
/// A move counts if it lowers the loss by so many standard errors: some thirty are tried, of which at one standard error
/// five would seem to help by chance.
const CERTAIN: f64 = 2.0;
/// Sparsities that a loss is looked for at: multiples of this.
const SPARSITIES: usize = 20;

/// What is wanted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Goal {
    /// This share of all entries pruned.
    Sparsity(f64),
    /// As much pruned as the loss rises by this at most, nats per token.
    MaxLoss(f64),
}

/// The dev documents: those that choose, and those that verify.
#[derive(Debug, Clone, PartialEq)]
pub struct Documents {
    /// Moves are measured on these.
    pub choose: Range<usize>,
    /// The proposal is compared on these; the same as `choose` where there are too few.
    pub verify: Range<usize>,
}

impl Documents {
    /// `choose` of `all` to choose by and the rest to verify with, where at least four are left.
    pub fn of(all: usize, choose: usize) -> Self {
        let choose = 0..choose.min(all);
        let verify = if all >= choose.end + 4 { choose.end..all } else { choose.clone() };
        Self { choose, verify }
    }
}

/// A move along an axis that lowered the loss.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Move {
    /// The axis; further along it these are pruned more.
    pub axis: String,
    /// How far, in log-odds of the ratios.
    pub by: f64,
    /// Change of the loss against the ratios before it, on the documents that choose.
    pub gain: Change,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Proposal {
    /// Share of all entries that the ratios prune.
    pub sparsity: f64,
    /// The moves from the same ratio for all to the proposal, in their order; none where none is better.
    pub moves: Vec<Move>,
    /// The ratios as rules that cover every matrix.
    pub rules: Vec<Rule>,
    /// The set as it stands: its sparsity and loss on the documents that verify.
    pub stands: [f64; 2],
    /// Documents that chose, from and to; that verified.
    pub documents: [[usize; 2]; 2],
    /// Change of the loss on the documents that chose: proposal, the same ratio for all.
    pub chosen: [Change; 2],
    /// Change of the loss on the documents that verify: proposal, the same ratio for all.
    pub verified: [Change; 2],
    /// Proposal less the same ratio for all, paired, on the documents that verify.
    pub gain: Change,
    /// What-ifs that were measured for it.
    pub measured: usize,
}

/// A search under way.
struct Search<'a, 'b> {
    open: &'a Reopened,
    answers: Answers,
    asker: &'b mut dyn Asker,
    told: &'b mut dyn FnMut(&str) -> Result<()>,
    measured: usize,
    choose: Range<usize>,
    keys: Vec<Key>,
    sizes: Vec<f64>,
    names: BTreeMap<usize, String>,
}

/// Ratios that were measured.
#[derive(Clone)]
struct Point {
    offsets: Vec<f64>,
    rules: Vec<Rule>,
    found: WhatIf,
    moves: Vec<Move>,
}

impl Search<'_, '_> {
    fn ask(&mut self, rules: &[Rule], documents: &Range<usize>) -> Result<WhatIf> {
        let question = Question { rules: rules.to_vec(), documents: documents.clone(), samples: 0 };
        let found = self.answers.answer(&self.open.subject(), &question, self.asker)?;
        self.measured += usize::from(!found.cached);
        if found.state == Progress::Done { Ok(found) } else { Err(Error::user("given up")) }
    }

    /// The ratios moved by `offsets` from the same for all.
    fn at(&mut self, offsets: Vec<f64>, moves: Vec<Move>, sparsity: f64) -> Result<Point> {
        let ratios = tilt::ratios(&self.sizes, &offsets, sparsity);
        let rules = tilt::rules(&self.keys, &ratios, &self.names);
        let found = self.ask(&rules, &self.choose.clone())?;
        Ok(Point { offsets, rules, found, moves })
    }

    /// From the same ratio for all, move by move, as long as one lowers the loss by more than noise would.
    fn best(&mut self, axes: &[Axis], sparsity: f64) -> Result<Point> {
        let mut best = self.at(vec![0.0; self.keys.len()], Vec::new(), sparsity)?;
        for (round, by) in MOVES.into_iter().enumerate() {
            // Where an axis went before it is tried first.
            let mut ways: HashMap<&str, f64> = HashMap::new();
            for Move { axis, by, .. } in &best.moves {
                if let Some(axis) = axes.iter().find(|a| a.name == *axis) {
                    ways.insert(&axis.name, by.signum());
                }
            }
            (self.told)(&format!(
                "round {} of {}: {} axes, moved by {by}; loss {:.4} so far",
                round + 1,
                MOVES.len(),
                axes.len(),
                best.found.loss.unwrap_or_default()[1]
            ))?;
            for axis in axes {
                let first = ways.get(axis.name.as_str()).copied().unwrap_or(1.0);
                for way in [first, -first] {
                    let moved = self.moved(&best, axis, way * by, sparsity)?;
                    let Some(mut better) = moved else { continue };
                    // What helped may help once more.
                    if let Some(still) = self.moved(&better, axis, way * by, sparsity)? {
                        better = still;
                    }
                    best = better;
                    break;
                }
            }
        }
        Ok(best)
    }

    /// The point that lies `by` further along the axis, if its loss is lower by more than [`CERTAIN`] standard errors.
    fn moved(&mut self, from: &Point, axis: &Axis, by: f64, sparsity: f64) -> Result<Option<Point>> {
        let offsets: Vec<f64> = from.offsets.iter().zip(&axis.moves).map(|(o, m)| o + by * m).collect();
        let mut point = self.at(offsets, from.moves.clone(), sparsity)?;
        let gain = paired(&point.found, &from.found);
        if gain.mean + CERTAIN * gain.se.unwrap_or(0.0) >= 0.0 {
            return Ok(None);
        }
        (self.told)(&format!("  {} {by:+.1}: {}", axis.name, gain.shown(4)))?;
        point.moves.push(Move { axis: axis.name.clone(), by, gain });
        Ok(Some(point))
    }

    /// The largest of the sparsities at which these offsets still cost `most` at most, by halves.
    fn within(&mut self, offsets: &[f64], most: f64, from: usize) -> Result<usize> {
        let (mut within, mut beyond) = (from, SPARSITIES);
        while beyond - within > 1 {
            let middle = usize::midpoint(within, beyond);
            let point = self.at(offsets.to_vec(), Vec::new(), middle as f64 / SPARSITIES as f64)?;
            if mean(&point.found) <= most {
                within = middle;
            } else {
                beyond = middle;
            }
        }
        Ok(within)
    }
}

fn mean(found: &WhatIf) -> f64 {
    found.delta.map_or(f64::INFINITY, |d| d.mean)
}

/// The loss of one what-if less that of another, document by document.
fn paired(mine: &WhatIf, theirs: &WhatIf) -> Change {
    let pairs = mine.losses.iter().zip(&theirs.losses).map(|(m, t)| DocumentLoss { before: t.after, ..*m });
    Change::of_losses(&pairs.collect::<Vec<_>>()).unwrap_or_default()
}

/// The same ratio for all.
fn uniform(ratio: f64) -> Vec<Rule> {
    vec![Rule { modules: "*".into(), adapter: "*".into(), factor: None, ratio }]
}

/// Finds ratios for `goal`; `told` hears how far it is.
///
/// # Errors
/// When the run's schedule is under way, `asker` gives up, the run's file fails or memory is short.
pub fn suggest(
    run: &RunDir,
    open: &Reopened,
    goal: Goal,
    documents: &Documents,
    asker: &mut dyn Asker,
    told: &mut dyn FnMut(&str) -> Result<()>,
) -> Result<Proposal> {
    if open.pruner.present_share() < 1.0 {
        return Err(Error::user("the ratios of this run still rise by its schedule: ask it when it is finished"));
    }
    let (keys, sizes): (Vec<Key>, Vec<f64>) =
        super::scratch::sizes(&open.set).into_iter().map(|(key, size)| (key, size as f64)).unzip();
    let names: BTreeMap<usize, String> =
        open.recipe.adapters.iter().enumerate().map(|(i, a)| (i, a.name.clone())).collect();
    let choose = documents.choose.clone();
    let mut search = Search { open, answers: Answers::default(), asker, told, measured: 0, choose, keys, sizes, names };
    let costs = costs(&sensitivity::read(run)?, open, &search.keys, &search.sizes);
    let (sparsity, best) = match goal {
        Goal::Sparsity(sparsity) => {
            let axes = axes(&search, &costs, sparsity)?;
            (sparsity, search.best(&axes, sparsity)?)
        }
        Goal::MaxLoss(most) => {
            // As far as one ratio for all goes, moves from there, and as far as these go.
            let even = search.within(&vec![0.0; search.keys.len()], most, 0)?;
            if even == 0 {
                return Err(Error::user(format!("even at 5 % the dev loss rises by more than {most}")));
            }
            let sparsity = even as f64 / SPARSITIES as f64;
            let axes = axes(&search, &costs, sparsity)?;
            let best = search.best(&axes, sparsity)?;
            let further = search.within(&best.offsets, most, even)?;
            let sparsity = further as f64 / SPARSITIES as f64;
            (sparsity, search.at(best.offsets, best.moves, sparsity)?)
        }
    };
    let Point { rules, moves, found: chosen, .. } = best;
    let equal = uniform(sparsity);
    let chosen = [chosen.delta, search.ask(&equal, &documents.choose)?.delta].map(Option::unwrap_or_default);
    let (mine, theirs) = (search.ask(&rules, &documents.verify)?, search.ask(&equal, &documents.verify)?);
    Ok(Proposal {
        sparsity: mine.sparsity[1],
        moves,
        stands: [mine.sparsity[0], mine.loss.unwrap_or_default()[0]],
        documents: [documents.choose.clone(), documents.verify.clone()].map(|d| [d.start, d.end]),
        chosen,
        verified: [mine.delta, theirs.delta].map(Option::unwrap_or_default),
        gain: paired(&mine, &theirs),
        measured: search.measured,
        rules,
    })
}

/// The axes at a sparsity.
fn axes(search: &Search<'_, '_>, costs: &[f64], sparsity: f64) -> Result<Vec<Axis>> {
    let open = search.open;
    let squares = if open.pruner.lacks_norms() {
        Some(super::step::train_squares(&open.task, &open.set, &open.recipe.train)?)
    } else {
        None
    };
    let even = open.pruner.scratch(&open.set, &uniform(sparsity), squares.as_ref())?;
    let retained: HashMap<Key, f64> = even.states.into_iter().map(|(key, state)| (key, state.retained)).collect();
    let retained: Vec<f64> = search.keys.iter().map(|key| retained.get(key).copied().unwrap_or(1.0)).collect();
    Ok(tilt::axes(&search.keys, &search.names, &Known { retained: &retained, costs }))
}

/// What every matrix's module costs by entry, of `lopper sensitivity` on this set; empty if not all were measured.
fn costs(lines: &[Measured], open: &Reopened, keys: &[Key], sizes: &[f64]) -> Vec<f64> {
    let at = (open.stage.0, open.step, open.pruner.settings().rules.len());
    let mut modules: HashMap<String, f64> = HashMap::new();
    for (key, size) in keys.iter().zip(sizes) {
        *modules.entry(key.0.to_string()).or_default() += size;
    }
    // Of the ratios the one that was measured with all modules and takes away the most.
    let mine = |line: &&Measured| line.at == at && line.by == By::Module && modules.contains_key(&line.group);
    let mut by_ratio: BTreeMap<u64, HashMap<&str, f64>> = BTreeMap::new();
    for line in lines.iter().filter(mine) {
        by_ratio.entry(line.ratio.to_bits()).or_default().insert(&line.group, line.delta.mean);
    }
    let Some(costs) = by_ratio.into_values().rfind(|known| known.len() == modules.len()) else { return Vec::new() };
    let cost = |key: &Key| {
        let name = key.0.to_string();
        Some(costs.get(name.as_str())? / modules.get(&name)?)
    };
    keys.iter().map(|key| cost(key).unwrap_or(0.0)).collect()
}
