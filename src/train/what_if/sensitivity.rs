//! How much the dev loss minds the pruning of each group of matrices, one group at a time: the others stay as they
//! are.

use super::reopened::Reopened;
use super::{Answers, Asker, Question, Subject};
use crate::Result;
use crate::module::{Factor, Projection};
use crate::prune::Pruner;
use crate::recipe::ratios::Rule;
use crate::recipe::{AdapterEntry, Role};
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
}

/// A group of which nothing can be told at a ratio. It is kept in no file: the next time it is tried again.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Unmeasured {
    /// What its matrices have in common.
    pub by: By,
    /// The group, as people read it.
    pub group: String,
    /// Its matrices as a rule is typed, with the ratio.
    pub rule: String,
    /// The ratio.
    pub ratio: f64,
    /// Why.
    pub text: String,
}

/// What is told of a group at a ratio.
#[derive(Debug, Clone, Copy)]
pub enum Told<'a> {
    /// It was measured before.
    Known(&'a Measured),
    /// It was measured now.
    New(&'a Measured),
    /// It cannot be measured: a figure is no number with this ratio.
    None(&'a Unmeasured),
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
        By::RoleFactor => {
            let group = |role: Role, of: &str, factor: Factor| Group {
                by,
                name: format!("{} {factor}", role.name()),
                rule: rule("*".into(), of, Some(factor)),
            };
            let roles = [Role::Target, Role::Related];
            let named = roles.into_iter().filter_map(|role| Some((role, any_of(&of_role(open, role))?)));
            named.flat_map(|(role, of)| [Factor::A, Factor::B].map(|factor| group(role, &of, factor))).collect()
        }
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

/// The adapters in the set, in the recipe's order.
fn entries(open: &Reopened) -> impl Iterator<Item = &AdapterEntry> {
    let segments = open.set.modules.values().flat_map(|m| &m.segments);
    let all: BTreeSet<usize> = segments.map(|s| s.adapter).collect();
    all.into_iter().filter_map(|adapter| open.recipe.adapters.get(adapter))
}

/// Their names.
fn adapters(open: &Reopened) -> Vec<String> {
    entries(open).map(|adapter| adapter.name.clone()).collect()
}

/// The names of those of a role.
fn of_role(open: &Reopened, role: Role) -> Vec<&str> {
    entries(open).filter(|adapter| adapter.role == role).map(|adapter| adapter.name.as_str()).collect()
}

/// The glob that takes adapters of these names and no other: `{utils,games}`; `None` of no name.
fn any_of(names: &[&str]) -> Option<String> {
    // Between braces a comma parts names.
    let escaped = |name: &&str| globset::escape(name).replace(',', "[,]");
    match names {
        [] => None,
        [name] => Some(globset::escape(name)),
        names => Some(format!("{{{}}}", names.iter().map(escaped).collect::<Vec<_>>().join(","))),
    }
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

/// Measurements of one set on the same documents.
#[derive(Debug)]
pub struct Measuring<'a> {
    run: &'a RunDir,
    open: &'a Reopened,
    /// What was measured so far, of whichever set.
    known: Vec<Measured>,
    documents: [usize; 2],
    /// What they and the base are.
    on: String,
    /// What prunes in the place of the run's own, where its schedule is under way.
    unscheduled: Option<Pruner>,
    answers: Answers,
}

impl<'a> Measuring<'a> {
    /// Begins, on these dev documents.
    ///
    /// # Errors
    /// When the run's file cannot be read, or memory is short.
    pub fn of(run: &'a RunDir, open: &'a Reopened, documents: Range<usize>) -> Result<Self> {
        let known = sensitivity::read(run)?;
        let end = documents.end.min(open.task.dev.references.len());
        let documents = [documents.start.min(end), end];
        let on = fingerprint(open, documents);
        Ok(Self { run, open, known, documents, on, unscheduled: open.unscheduled()?, answers: Answers::default() })
    }

    /// Measures what is not known yet and calls `told` with every group; ends early when `asker` gives up. True when
    /// all was told. Every group gets the ratios that are named, also under a schedule.
    ///
    /// # Errors
    /// When the run's file fails, memory is short, or nothing can be told of the set as it stands.
    pub fn measure(
        &mut self,
        plan: &Plan,
        asker: &mut dyn Asker,
        told: &mut dyn FnMut(Told<'_>) -> Result<()>,
    ) -> Result<bool> {
        let (open, documents) = (self.open, self.documents);
        let at = (open.stage.0, open.step, open.pruner.settings().rules.len());
        let subject = Subject { pruner: self.unscheduled.as_ref().unwrap_or(&open.pruner), ..open.subject() };
        for (group, rule) in measurements(open, plan) {
            let typed = rule.typed();
            let known = || self.known.iter().filter(|m| m.is_of(at, &typed, documents, &self.on));
            if let Some(known) = known().find(|m| m.by == group.by && m.group == group.name) {
                told(Told::Known(known))?;
                continue;
            }
            // The same matrices under another name, as the one adapter of a role.
            if let Some(other) = known().next() {
                let measured = Measured { by: group.by, group: group.name, ..other.clone() };
                keep(self.run, &mut self.known, measured, told)?;
                continue;
            }
            if asker.gives_up()?.is_some() {
                return Ok(false);
            }
            let ratio = rule.ratio;
            let question = Question { rules: vec![rule], documents: documents[0]..documents[1], samples: 0 };
            let found = match self.answers.attempt(&subject, &question, asker)? {
                Ok(found) => found,
                // Of this group alone: the others can be measured.
                Err(text) => {
                    let Group { by, name: group, .. } = group;
                    told(Told::None(&Unmeasured { by, group, rule: typed, ratio, text }))?;
                    continue;
                }
            };
            if found.state != Progress::Done {
                return Ok(false);
            }
            let WhatIf { loss: Some(loss), delta: Some(delta), sparsity, retained, restored, seconds, .. } = found
            else {
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
                on: self.on.clone(),
                loss,
                delta,
                sparsity,
                retained,
                restored,
                seconds,
            };
            keep(self.run, &mut self.known, measured, told)?;
        }
        Ok(true)
    }
}

/// Puts a new measurement into the file, tells it, and knows it from then on.
fn keep(
    run: &RunDir,
    known: &mut Vec<Measured>,
    measured: Measured,
    told: &mut dyn FnMut(Told<'_>) -> Result<()>,
) -> Result<()> {
    sensitivity::append(run, &measured)?;
    told(Told::New(&measured))?;
    known.push(measured);
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::module::ModuleId;
    use crate::recipe::ratios::Ratios;

    #[test]
    fn the_adapters_of_a_role_are_one_rule_that_can_be_typed_and_takes_no_others() {
        let others = ["gam", "games2", "utilsgames", "utils,games", "x"];
        let sets: [&[&str]; 5] =
            [&["games"], &["utils", "games"], &["a,b", "a", "記事"], &["{a,b}", "[c]"], &["sci*nce", "a?", "b"]];
        for names in sets {
            let adapter = any_of(names).unwrap();
            assert_eq!(adapter.contains(','), names.len() > 1, "{adapter}");
            let rule = Rule { modules: "*".into(), adapter, factor: Some(Factor::B), ratio: 0.7 };
            assert_eq!(Rule::parse(&rule.typed()).unwrap(), rule);
            let ratios = Ratios::new(0.0, &[rule]).unwrap();
            let of = |name: &str, factor| ratios.of(ModuleId::new(0, Projection::QProj), name, factor);
            for name in names {
                assert_eq!((of(name, Factor::B), of(name, Factor::A)), (0.7, 0.0), "{name}");
            }
            for name in others {
                assert_eq!(of(name, Factor::B), 0.0, "{name}");
            }
        }
        assert_eq!(any_of(&[]), None);
    }
}
