//! The work on an evaluation or a sweep, as a process of its own.

use super::{eval, sweep};
use crate::recipe::Recipe;
use crate::study::{self, Kind, Plan};
use crate::text::printable;
use crate::{Error, Result};
use std::path::Path;

/// Works on what was asked of the folder; the exit code. The last word has what went wrong.
///
/// # Errors
/// When the folder does not say what was asked, or another process works on it.
pub fn serve(folder: &Path) -> Result<u8> {
    let Some(plan) = Plan::read(folder) else {
        let shown = printable(&folder.display().to_string()).into_owned();
        return Err(Error::user(format!("{shown} does not say what was asked")));
    };
    let recipe = Recipe::read(&study::recipe_file(folder, plan.kind))?;
    // One that could not take the folder says so itself.
    let mut taken = false;
    let done = study::hold(folder, &plan, &recipe, || {
        taken = true;
        match plan.kind {
            Kind::Evaluation => Ok(eval::compared(&recipe, &plan, folder)?.map(drop)),
            Kind::Sweep => Ok(sweep::swept(&recipe, &plan, folder)?.map(drop)),
        }
    });
    match done {
        Ok(Some(())) => Ok(0),
        Ok(None) => Ok(130),
        Err(error) if taken => Ok(error.exit_code()),
        Err(error) => Err(error),
    }
}
