//! Settings of a run that are changed before it goes on.

use super::{RunDir, lock, origin, write_aside};
use crate::recipe::Recipe;
use crate::recipe::draft::{Draft, Place};
use crate::text::printable;
use crate::{Error, Result, bounded};

/// Puts `KEY=VALUE` settings into the run's recipe. The worker that starts next tells the journal what has changed.
///
/// # Errors
/// When a setting is none that a resume may change, its value is refused, or a worker holds the run: the recipe is
/// then as it was.
pub fn set(run: &RunDir, settings: &[String]) -> Result<()> {
    if settings.is_empty() {
        return Ok(());
    }
    // No worker may start on a recipe that is being written.
    let _lock = lock::Lock::take(run.path())?;
    let path = run.recipe_file();
    let text = bounded::text(&path, bounded::SETTINGS).map_err(|e| Error::io("read the recipe", &path, &e))?;
    let mut draft = Draft::parse(&text)?;
    for setting in settings {
        let place = |key: &str| {
            let (section, name) = key.split_once('.').unwrap_or(("", key));
            Place::of(section, name).filter(|_| origin::CHANGEABLE.contains(&key))
        };
        let Some((key, value)) = setting.split_once('=') else {
            return Err(Error::user(format!("--set {}: KEY=VALUE is needed", printable(setting))));
        };
        let Some(place) = place(key.trim()) else {
            return Err(Error::user(format!(
                "{} cannot be changed when a run goes on; these can: {}",
                printable(key.trim()),
                origin::CHANGEABLE.join(", ")
            )));
        };
        // Words may come without their quotes.
        if draft.set(place, value).is_err() {
            draft.set(place, &toml::Value::String(value.trim().to_owned()).to_string())?;
        }
    }
    let text = draft.text();
    Recipe::parse_as(&text, &path)?;
    write_aside(&path, text.as_bytes())
}
