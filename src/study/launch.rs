//! An evaluation, or a sweep that goes on, as a process of its own, which outlives the screen that asked for it.

use super::{Kind, Plan, prepare, recipe_file};
use crate::recipe::{Method, Recipe};
use crate::run::{as_file_name, launch, lock};
use crate::text::printable;
use crate::train::plan;
use crate::{Error, Result};
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::Child;

/// What an evaluation of `recipe` comes to, whose methods stand in it. `against`: the name in tables of the method that
/// the others are compared with, instead of the run's own. Each seed counts once; without any it is the recipe's.
pub fn plan(recipe: &Recipe, seeds: &[u64], against: Option<String>) -> Plan {
    let mut once = HashSet::new();
    let mut seeds = if seeds.is_empty() { vec![recipe.seed] } else { seeds.to_vec() };
    seeds.retain(|seed| once.insert(*seed));
    let stages = plan::stages(recipe);
    let own = stages.last().map_or(String::new(), |stage| stage.label.clone());
    Plan {
        kind: Kind::Evaluation,
        name: recipe.name.clone(),
        methods: stages.iter().flat_map(rows).collect(),
        reference: against.unwrap_or(own),
        runs: seeds.len(),
        seeds,
        search: None,
        started: 0.0,
    }
}

/// The rows of tables that a stage comes to: the names of its methods.
pub fn rows(stage: &plan::Stage) -> impl Iterator<Item = String> {
    [stage.scored.then(|| stage.label.clone()), stage.pruned_once.clone()].into_iter().flatten()
}

/// The recipe with the methods of the base alone first, where a new target adapter is trained: a run ends where that
/// training fails, and they are scored by then.
pub fn base_first(recipe: &Recipe) -> Recipe {
    let mut recipe = recipe.clone();
    if plan::stages(&recipe).iter().any(|stage| stage.makes_target) {
        recipe.eval.methods.sort_by_key(|method| !matches!(method, Method::ZeroShot | Method::FewShot));
    }
    recipe
}

/// The recipe in `file` with these methods and, where it has none, the file's name.
///
/// # Errors
/// When it cannot be read, or a setting or a method of it is wrong.
pub fn recipe(file: &Path, methods: impl FnOnce(&Recipe) -> Result<Vec<Method>>) -> Result<Recipe> {
    let mut recipe = Recipe::read(file)?;
    recipe.eval.methods = methods(&recipe)?;
    recipe.validate()?;
    if recipe.name.is_empty() {
        recipe.name = file.file_stem().map_or("run".into(), |stem| stem.to_string_lossy().into_owned());
    }
    Ok(recipe)
}

/// The folder of a recipe's evaluation in `runs`.
pub fn folder(recipe: &Recipe, runs: &Path) -> PathBuf {
    runs.join(format!("{}-eval", as_file_name(&recipe.name)))
}

/// Starts an evaluation of the recipe in `file`: its folder in `runs`, and the process. Without seeds it takes the
/// recipe's.
///
/// # Errors
/// When the recipe, a path in it or a method is wrong, another process works on the folder, or it cannot be written.
pub fn begin(file: &Path, methods: &[Method], seeds: &[u64], runs: &Path) -> Result<(PathBuf, Child)> {
    let recipe = recipe(file, |_| Ok(methods.to_vec()))?;
    let out = folder(&recipe, runs);
    let out = std::path::absolute(&out).map_err(|e| Error::io("find", &out, &e))?;
    if lock::is_held(&out) {
        let shown = printable(&out.display().to_string()).into_owned();
        return Err(Error::user(format!("{shown} is being worked on; the list of runs shows how far it is")));
    }
    prepare(&out, &plan(&recipe, seeds, None), &recipe)?;
    let child = resume(&out)?;
    Ok((out, child))
}

/// Goes on with an evaluation or a sweep: what is finished is not run again.
///
/// # Errors
/// When the folder does not say what was asked, or the process cannot be started.
pub fn resume(folder: &Path) -> Result<Child> {
    asked(folder)?;
    launch::process("study", folder)
}

/// What was asked of an evaluation or a sweep.
///
/// # Errors
/// When the folder does not say that, or its recipe cannot be read.
pub fn asked(folder: &Path) -> Result<(Plan, Recipe)> {
    let says = |plan: &Plan| plan.kind == Kind::Evaluation || plan.search.is_some();
    let plan = Plan::read(folder).filter(|plan| says(plan) && recipe_file(folder, plan.kind).is_file());
    let Some(plan) = plan else {
        return Err(Error::user(format!(
            "{} does not say what was asked; the same `lopper eval` or `lopper sweep` goes on with it",
            printable(&folder.display().to_string())
        )));
    };
    let recipe = Recipe::read(&recipe_file(folder, plan.kind))?;
    Ok((plan, recipe))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_base_comes_before_a_target_that_is_trained_and_stays_elsewhere() {
        use Method::{FewShot, Merge, Ties, ZeroShot};
        let recipe = |epochs: usize| {
            let text = format!(
                "base = 'b'\n[data]\ntrain = 't'\ndev = 'd'\n[target]\nepochs = {epochs}\n[[adapters]]\n\
                 name = 'games'\nrole = 'target'\n[[adapters]]\nname = 'science'\nrole = 'related'\npath = 's'\n"
            );
            let mut recipe = Recipe::parse(&text).unwrap();
            recipe.eval.methods = vec![Ties, FewShot, Merge, ZeroShot];
            recipe
        };
        let first = base_first(&recipe(1));
        assert_eq!(first.eval.methods, [FewShot, ZeroShot, Ties, Merge]);
        assert_eq!(plan::stages(&first).iter().position(|stage| stage.makes_target), Some(2));
        assert_eq!(base_first(&first), first);
        assert_eq!(base_first(&recipe(0)), recipe(0));
        // The table is in the order that was asked for.
        assert_eq!(super::plan(&recipe(1), &[], None).methods[0], Ties.label());
    }
}
