//! The form as a picture, without a terminal: for the README.

use super::jobs::Jobs;
use super::screen::Source;
use crate::app::setup::{Effect, Message, Setup, update};
use crate::hub::desk::Ask;
use crate::theme::Theme;
use crate::ui::{export, picture};
use crate::{Error, Result};
use std::path::Path;
use std::time::{Duration, Instant};

/// As long as it waits for what a key has others look at.
const PATIENCE: Duration = Duration::from_secs(60);
/// News are looked for so often.
const LOOK: Duration = Duration::from_millis(10);

/// The form on the recipe in `file` at a size after `keys`, as SVG. Earlier runs in `runs` may tell how fast this
/// machine is.
///
/// # Errors
/// When the recipe cannot be opened, or a key has no meaning or would write, start or leave.
pub fn picture_of_form(file: &Path, runs: &Path, theme: &Theme, size: (u16, u16), keys: &[String]) -> Result<String> {
    let mut form = Source::File(file.to_path_buf()).form()?;
    let mut jobs = Jobs::new(runs)?;
    for effect in form.begin() {
        jobs.begin(effect);
    }
    settle(&mut form, &mut jobs);
    for key in keys {
        picture::check_key(key)?;
        for effect in update(&mut form, Message::Key(key.clone())) {
            match effect {
                Effect::Save { .. }
                | Effect::Start(_)
                | Effect::Evaluate(..)
                | Effect::Watch(_)
                | Effect::Study(_)
                | Effect::Hub(Ask::Fetch(_)) => {
                    return Err(Error::user(format!("the key {key:?} would write or start; a picture does not")));
                }
                Effect::Quit | Effect::Suspend | Effect::Redraw | Effect::Recover { .. } => {}
                other => jobs.begin(other),
            }
        }
        settle(&mut form, &mut jobs);
    }
    form.toast = None;
    let buffer = picture::drawn(size, |frame| super::draw(&form, theme, frame))?;
    Ok(export::svg(&buffer, theme.picture))
}

/// Waits until all that was begun has been told.
fn settle(form: &mut Setup, jobs: &mut Jobs) {
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        let done = jobs.is_done();
        for message in jobs.news().collect::<Vec<_>>() {
            for effect in update(form, message) {
                jobs.begin(effect);
            }
        }
        if done && !form.seen.looking && !form.awaits_hub() {
            return;
        }
        std::thread::sleep(LOOK);
    }
}
