//! A run from a recipe: checked, made, and given a worker.

use super::{RunDir, launch};
use crate::Result;
use crate::model::device;
use crate::recipe::Recipe;
use std::path::Path;
use std::process::Child;

/// Makes a run of `recipe` in the folder `runs` and starts its worker.
///
/// # Errors
/// When a path or the device is not there, or the worker cannot be started.
pub fn start(recipe: &Recipe, runs: &Path) -> Result<(RunDir, Child)> {
    recipe.check_files()?;
    device::check(&recipe.device, recipe.cuda_ordinal())?;
    let run = RunDir::create(runs, &recipe.name, recipe)?;
    let worker = launch::launch(&run)?;
    Ok((run, worker))
}
