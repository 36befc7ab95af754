//! Ratios per module for a sparsity, or for a loss that may be lost: from what each module costs alone, measured
//! and interpolated by importance, and verified on other dev documents against the same ratio for all.

use super::curve::{self, Known};
use super::reopened::Reopened;
use super::sensitivity::{self, Plan};
use super::{Answers, Asker, Question};
use crate::module::ModuleId;
use crate::recipe::ratios::Rule;
use crate::run::RunDir;
use crate::run::sensitivity::{By, Measured};
use crate::run::what_if::{Change, DocumentLoss, Progress, WhatIf};
use crate::{Error, Result};
use serde::Serialize;
use std::collections::BTreeMap;
use std::ops::Range;

/// Knots of the curves: every twentieth.
const KNOTS: usize = 21;
/// No module is pruned more than this, unless all are.
const MOST: f64 = 0.95;
/// How far from the same ratio for all towards the cheapest ones the proposals lie that are measured.
const WAYS: [f64; 4] = [0.25, 0.5, 0.75, 1.0];

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
    /// Costs are measured on these.
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

/// What was found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Proposal {
    /// Share of all entries that the ratios prune.
    pub sparsity: f64,
    /// How far the ratios lie from the same for all towards the cheapest, 0 to 1.
    pub way: f64,
    /// One rule a module.
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
    /// What-ifs that were measured for it, those known before left out.
    pub measured: usize,
}

/// A search under way.
struct Search<'a, 'b> {
    open: &'a Reopened,
    answers: Answers,
    asker: &'b mut dyn Asker,
    measured: usize,
}

/// Why nothing came of it.
fn given_up() -> Error {
    Error::user("given up; what was measured is kept, and the same command goes on from there")
}

impl Search<'_, '_> {
    fn ask(&mut self, rules: &[Rule], documents: &Range<usize>) -> Result<WhatIf> {
        let question = Question { rules: rules.to_vec(), documents: documents.clone(), samples: 0 };
        let found = self.answers.answer(&self.open.subject(), &question, self.asker)?;
        self.measured += usize::from(!found.cached);
        if found.state == Progress::Done { Ok(found) } else { Err(given_up()) }
    }

    /// The best of the ways to the cheapest ratios for a sparsity, by the documents that choose: that with the lowest
    /// loss, one standard error of its distance from the same ratio for all added, so that noise alone moves nothing.
    fn best(&mut self, costs: &Costs, sparsity: f64, choose: &Range<usize>) -> Result<(f64, Vec<Rule>, WhatIf)> {
        let cheapest = curve::cheapest(&costs.curves, sparsity, MOST.max(sparsity));
        let equal = self.ask(&uniform(sparsity), choose)?;
        let mut best = (0.0, costs.rules(&cheapest, sparsity, 0.0), equal.clone());
        let mut lowest = 0.0;
        for way in WAYS {
            let rules = costs.rules(&cheapest, sparsity, way);
            let found = self.ask(&rules, choose)?;
            let gain = paired(&found, &equal);
            let most = gain.mean + gain.se.unwrap_or(0.0);
            if most < lowest {
                (lowest, best) = (most, (way, rules, found));
            }
        }
        Ok(best)
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

/// The costs of all modules.
struct Costs {
    modules: Vec<ModuleId>,
    /// Entries, and cost by knot.
    curves: Vec<(f64, Vec<f64>)>,
}

impl Costs {
    fn rules(&self, ratios: &[f64], uniform: f64, way: f64) -> Vec<Rule> {
        let rule = |(id, ratio): (&ModuleId, &f64)| Rule {
            modules: id.to_string(),
            adapter: "*".into(),
            factor: None,
            ratio: ((uniform + way * (ratio - uniform)).clamp(0.0, 1.0) * 1e4).round() / 1e4,
        };
        self.modules.iter().zip(ratios).map(rule).collect()
    }
}

/// The same ratio for all.
fn uniform(ratio: f64) -> Vec<Rule> {
    vec![Rule { modules: "*".into(), adapter: "*".into(), factor: None, ratio }]
}

/// Finds ratios for `goal`; `told` hears of every measurement of a module.
///
/// # Errors
/// When the run's schedule is under way, `asker` gives up, the run's file fails or memory is short.
pub fn suggest(
    run: &RunDir,
    open: &Reopened,
    goal: Goal,
    documents: &Documents,
    ratios: &[f64],
    asker: &mut dyn Asker,
    told: &mut dyn FnMut(&Measured, bool) -> Result<()>,
) -> Result<Proposal> {
    if open.pruner.present_share() < 1.0 {
        return Err(Error::user("the ratios of this run still rise by its schedule: ask it when it is finished"));
    }
    let plan =
        Plan { by: vec![By::Module], ratios: ratios.to_vec(), ablations: false, documents: documents.choose.clone() };
    let mut lines = Vec::new();
    let mut measured = 0;
    let whole = sensitivity::measure(run, open, &plan, asker, &mut |line, known| {
        lines.push(line.clone());
        measured += usize::from(!known);
        told(line, known)
    })?;
    if !whole {
        return Err(given_up());
    }
    let costs = costs(open, &lines)?;
    let mut search = Search { open, answers: Answers::default(), asker, measured };
    let choose = &documents.choose;
    let (sparsity, (way, rules, chosen)) = match goal {
        Goal::Sparsity(sparsity) => (sparsity, search.best(&costs, sparsity, choose)?),
        Goal::MaxLoss(most) => {
            // The largest of nineteen sparsities that is still within, found by halves.
            let (mut within, mut beyond, mut best) = (0, 20, None);
            while beyond - within > 1 {
                let middle = usize::midpoint(within, beyond);
                let sparsity = middle as f64 / 20.0;
                let found = search.best(&costs, sparsity, choose)?;
                if mean(&found.2) <= most {
                    (within, best) = (middle, Some((sparsity, found)));
                } else {
                    beyond = middle;
                }
            }
            best.ok_or_else(|| Error::user(format!("even at 5 % the dev loss rises by more than {most}")))?
        }
    };
    let equal = uniform(sparsity);
    let chosen = [chosen.delta, search.ask(&equal, choose)?.delta].map(Option::unwrap_or_default);
    let (mine, theirs) = (search.ask(&rules, &documents.verify)?, search.ask(&equal, &documents.verify)?);
    Ok(Proposal {
        sparsity: mine.sparsity[1],
        way,
        stands: [mine.sparsity[0], mine.loss.unwrap_or_default()[0]],
        documents: [[choose.start, choose.end], [documents.verify.start, documents.verify.end]],
        chosen,
        verified: [mine.delta, theirs.delta].map(Option::unwrap_or_default),
        gain: paired(&mine, &theirs),
        measured: search.measured,
        rules,
    })
}

/// Curves of what every module costs.
fn costs(open: &Reopened, lines: &[Measured]) -> Result<Costs> {
    let squares = if open.pruner.lacks_norms() {
        Some(super::step::train_squares(&open.task, &open.set, &open.recipe.train)?)
    } else {
        None
    };
    let sizes = super::scratch::sizes(&open.set);
    let mut all: BTreeMap<ModuleId, Known> = open.set.modules.keys().map(|id| (*id, Known::default())).collect();
    for (key, size) in &sizes {
        if let Some(known) = all.get_mut(&key.0) {
            known.size += *size as f64;
        }
    }
    for (key, state) in &open.pruner.present(&open.set, squares.as_ref())?.states {
        if let Some(known) = all.get_mut(&key.0) {
            known.stands += state.pruned as f64 / known.size;
        }
    }
    for at in 0..KNOTS {
        // Importance of A and of B has units of its own: shares count, by size.
        let scratch = open.pruner.scratch(&open.set, &uniform(curve::knot(at, KNOTS)), squares.as_ref())?;
        all.values_mut().for_each(|known| known.lost.push(0.0));
        for (key, state) in &scratch.states {
            let size = sizes.get(key).map_or(0.0, |n| *n as f64);
            if let Some(known) = all.get_mut(&key.0) {
                known.lost[at] += (1.0 - state.retained) * size / known.size;
            }
        }
    }
    for (id, known) in &mut all {
        let name = id.to_string();
        let mine = lines.iter().filter(|line| line.group == name);
        known.measured = mine.map(|line| (line.ratio, line.delta.mean, line.delta.se.unwrap_or(0.0))).collect();
        known.measured.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    }
    let (modules, mut known): (Vec<ModuleId>, Vec<Known>) = all.into_iter().unzip();
    curve::shrink(&mut known);
    let curves = known.iter().map(|known| (known.size, curve::costs(known))).collect();
    Ok(Costs { modules, curves })
}
