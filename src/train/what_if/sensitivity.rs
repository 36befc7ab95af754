//! How much the dev loss minds the pruning of each group of matrices, one group at a time: the others stay as they
//! are.

use super::reopened::Reopened;
use super::{Answers, Asker, Question, Subject};
use crate::Result;
use crate::module::{Factor, Projection};
use crate::recipe::ratios::Rule;
use crate::run::sensitivity::{self, By, Measured};
use crate::run::what_if::{Progress, WhatIf};
use crate::run::{RunDir, origin};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::ops::Range;

/// Matrices that are pruned together.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// What they have in common.
    pub by: By,
    /// As people read it.
    pub name: String,
    /// The rule that takes them, at ratio 0.
    pub rule: Rule,
}

/// What is to be measured.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The groups.
    pub by: Vec<By>,
    /// Their ratios.
    pub ratios: Vec<f64>,
    /// Whether whole adapters are left out as well.
    pub ablations: bool,
    /// The dev documents.
    pub documents: Range<usize>,
}

/// The groups of the matrices in the set.
pub fn groups(open: &Reopened, by: By) -> Vec<Group> {
    let rule = |modules: String, adapter: &str, factor| Rule { modules, adapter: adapter.into(), factor, ratio: 0.0 };
    let whole = |modules: String, name: String| Group { by, name, rule: rule(modules, "*", None) };
    let modules = open.set.modules.keys();
    match by {
        By::Factor => [Factor::A, Factor::B]
            .map(|factor| Group { by, name: factor.to_string(), rule: rule("*".into(), "*", Some(factor)) })
            .to_vec(),
        By::Adapter => {
            let group = |name: String| Group { by, rule: rule("*".into(), &globset::escape(&name), None), name };
            adapters(open).into_iter().map(group).collect()
        }
        By::AdapterFactor => {
            let group = |name: &str, factor| {
                let rule = rule("*".into(), &globset::escape(name), Some(factor));
                Group { by, name: format!("{name} {factor}"), rule }
            };
            adapters(open).iter().flat_map(|name| [Factor::A, Factor::B].map(|factor| group(name, factor))).collect()
        }
        By::Projection => {
            let all: BTreeSet<Projection> = modules.map(|id| id.projection).collect();
            all.into_iter().map(|p| whole(format!("*.{p}"), p.to_string())).collect()
        }
        By::Layer => {
            let all: BTreeSet<usize> = modules.map(|id| id.layer).collect();
            all.into_iter().map(|layer| whole(format!("layers.{layer}.*"), format!("layers.{layer}"))).collect()
        }
        By::Module => modules.map(|id| whole(id.to_string(), id.to_string())).collect(),
    }
}

/// The names of the adapters in the set, in the recipe's order.
fn adapters(open: &Reopened) -> Vec<String> {
    let segments = open.set.modules.values().flat_map(|m| &m.segments);
    let all: BTreeSet<usize> = segments.map(|s| s.adapter).collect();
    all.iter().filter_map(|adapter| open.recipe.adapters.get(*adapter).map(|a| a.name.clone())).collect()
}

/// Everything in order: coarse groups before fine ones, and of each the first ratio of all before the second, so
/// that the map is whole early.
pub fn measurements(open: &Reopened, plan: &Plan) -> Vec<(Group, Rule)> {
    let mut all = Vec::new();
    for by in By::ALL.into_iter().filter(|by| plan.by.contains(by)) {
        let groups = groups(open, by);
        let at = |group: &Group, ratio: f64| (group.clone(), Rule { ratio, ..group.rule.clone() });
        if by == By::Adapter && plan.ablations {
            all.extend(groups.iter().map(|group| at(group, 1.0)));
        }
        for ratio in &plan.ratios {
            all.extend(groups.iter().map(|group| at(group, *ratio)));
        }
    }
    all
}

/// What a measurement rests on beside the set: the base, and these dev documents as the model reads them.
fn fingerprint(open: &Reopened, [from, to]: [usize; 2]) -> String {
    let mut hash = Sha256::new();
    hash.update(origin::of_base(&open.recipe).as_bytes());
    for sequence in open.task.dev.encoded.sequences.get(from..to).unwrap_or_default() {
        let numbers = [sequence.prompt, sequence.tokens.len()];
        numbers.iter().for_each(|n| hash.update((*n as u64).to_le_bytes()));
        sequence.tokens.iter().for_each(|token| hash.update(token.to_le_bytes()));
    }
    let mut text = crate::text::hex(&hash.finalize());
    // Enough to tell a few states of a file apart.
    text.truncate(16);
    text
}

/// Measures what is not known yet and calls `told` with every measurement (whether it was known); ends early when
/// `asker` gives up. True when all is there. Every group gets the ratios that are named, also under a schedule.
///
/// # Errors
/// When the run's file fails, or memory is short.
pub fn measure(
    run: &RunDir,
    open: &Reopened,
    plan: &Plan,
    asker: &mut dyn Asker,
    told: &mut dyn FnMut(&Measured, bool) -> Result<()>,
) -> Result<bool> {
    let known = sensitivity::read(run)?;
    let at = (open.stage.0, open.step, open.pruner.settings().rules.len());
    let end = plan.documents.end.min(open.task.dev.references.len());
    let documents = [plan.documents.start.min(end), end];
    let on = fingerprint(open, documents);
    let unscheduled = open.unscheduled()?;
    let subject = Subject { pruner: unscheduled.as_ref().unwrap_or(&open.pruner), ..open.subject() };
    let mut answers = Answers::default();
    for (group, rule) in measurements(open, plan) {
        let typed = rule.typed();
        if let Some(known) = known.iter().find(|m| m.is_of(at, &typed, documents, &on)) {
            told(known, true)?;
            continue;
        }
        if asker.gives_up()?.is_some() {
            return Ok(false);
        }
        let ratio = rule.ratio;
        let question = Question { rules: vec![rule], documents: documents[0]..documents[1], samples: 0 };
        let found = answers.answer(&subject, &question, asker)?;
        if found.state != Progress::Done {
            return Ok(false);
        }
        let WhatIf { loss: Some(loss), delta: Some(delta), sparsity, retained, restored, seconds, .. } = found else {
            continue;
        };
        let (by, group) = (group.by, group.name);
        let measured = Measured {
            at,
            by,
            group,
            rule: typed,
            ratio,
            documents,
            on: on.clone(),
            loss,
            delta,
            sparsity,
            retained,
            restored,
            seconds,
        };
        sensitivity::append(run, &measured)?;
        told(&measured, false)?;
    }
    Ok(true)
}
