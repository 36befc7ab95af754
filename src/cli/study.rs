//! The work on an evaluation or a sweep whose folder says what was asked.

use super::{eval, sweep};
use crate::Result;
use crate::study::{self, Kind, launch};
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
        match plan.kind {
            Kind::Evaluation => eval::worked(&recipe, &plan, folder, &mut None),
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

/// Goes on with it here, as the command that began it did; the tables as text, `None` when a signal came.
///
/// # Errors
/// As [`serve`], and those of the work.
pub fn go_on(folder: &Path, ascii: bool) -> Result<Option<String>> {
    let (plan, recipe) = launch::asked(folder)?;
    match plan.kind {
        Kind::Evaluation => eval::answered(&recipe, &plan, folder, |found| Ok(eval::text(found, folder))),
        Kind::Sweep => {
            let found = study::hold(folder, &plan, &recipe, || sweep::swept(&recipe, &plan, folder))?;
            Ok(found.map(|found| sweep::text(&found, folder, ascii)))
        }
    }
}
