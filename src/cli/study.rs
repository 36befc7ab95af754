//! The work on an evaluation or a sweep whose folder says what was asked.

use super::{eval, sweep};
use crate::Result;
use crate::recipe::Recipe;
use crate::study::{self, Kind, Plan, launch};
use std::path::Path;

/// Works on what was asked of the folder as a process of its own; the exit code. The last word has what went wrong.
///
/// # Errors
/// When the folder does not say what was asked, or another process works on it.
pub fn serve(folder: &Path) -> Result<u8> {
    let (plan, recipe) = launch::asked(folder)?;
    // One that could not take the folder says so itself.
    let mut taken = false;
    let done = study::hold(folder, &plan, &recipe, || {
        taken = true;
        work(folder, &plan, &recipe, false)
    });
    match done {
        Ok(Some(_)) => Ok(0),
        Ok(None) => Ok(130),
        Err(error) if taken => Ok(error.exit_code()),
        Err(error) => Err(error),
    }
}

/// Goes on with it here, as the command that began it did; the tables as text, `None` when a signal came.
///
/// # Errors
/// As [`serve`], and those of the work.
pub fn go_on(folder: &Path, ascii: bool) -> Result<Option<String>> {
    let (plan, recipe) = launch::asked(folder)?;
    study::hold(folder, &plan, &recipe, || work(folder, &plan, &recipe, ascii))
}

fn work(folder: &Path, plan: &Plan, recipe: &Recipe, ascii: bool) -> Result<Option<String>> {
    match plan.kind {
        Kind::Evaluation => Ok(eval::compared(recipe, plan, folder)?.map(|found| eval::text(&found, folder))),
        Kind::Sweep => Ok(sweep::swept(recipe, plan, folder)?.map(|found| sweep::text(&found, folder, ascii))),
    }
}
