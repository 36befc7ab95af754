//! A run from a recipe: checked, made, and given a worker.

use super::{RunDir, launch};
use crate::Result;
use crate::hub::supply::{self, Halt};
use crate::model::device;
use crate::recipe::Recipe;
use std::path::Path;
use std::process::Child;

/// Makes a run of `recipe` in the folder `runs` and starts its worker. What the hub has and the cache lacks is pinned
/// to its commit first, which takes as long as the hub takes to answer; the worker fetches it.
///
/// # Errors
/// When a path or the device is not there, or the worker cannot be started.
pub fn start(recipe: &Recipe, runs: &Path) -> Result<(RunDir, Child)> {
    make(recipe, runs, false, &Halt::default())
}

/// As [`start`]; where `group` is set, the group may read the run.
///
/// # Errors
/// As [`start`].
pub fn start_for(recipe: &Recipe, runs: &Path, group: bool) -> Result<(RunDir, Child)> {
    make(recipe, runs, group, &Halt::default())
}

/// As [`start`]; as long as the hub has not answered, `halt` ends it, and there is no run.
///
/// # Errors
/// As [`start`], and where it was ended.
pub fn start_unless(recipe: &Recipe, runs: &Path, halt: &Halt) -> Result<(RunDir, Child)> {
    make(recipe, runs, false, halt)
}

fn make(recipe: &Recipe, runs: &Path, group: bool, halt: &Halt) -> Result<(RunDir, Child)> {
    let mut recipe = recipe.clone();
    supply::pin(&mut recipe, halt)?;
    let fetched = supply::to_fetch(&recipe);
    let known = |key: &str| fetched.iter().any(|(other, _)| other == key);
    if let Some((key, error)) = recipe.file_problems().into_iter().find(|(key, _)| !known(key)) {
        return Err(error.at(key));
    }
    device::check(&recipe.device, recipe.cuda_ordinal())?;
    let run = RunDir::create(runs, &recipe.name, &recipe)?;
    if group {
        run.open_to_group()?;
    }
    let worker = launch::launch(&run)?;
    Ok((run, worker))
}
