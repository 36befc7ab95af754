//! What runs are compared by: settings, final scores, the curve of the dev loss.

use super::RunDir;
use super::event::{Event, EventBody, ReportRow};
use super::listing::{each_line, kind};
use crate::recipe::Recipe;
use crate::text::printable;
use crate::{Error, Result};
use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

/// One run of a comparison.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Compared {
    /// Its name.
    pub name: String,
    /// Its recipe, key by key: `train.lr` to `0.0003`.
    pub settings: BTreeMap<String, String>,
    /// The last row of its report.
    pub row: Option<ReportRow>,
    /// Dev loss by step of the last stage that trains.
    pub dev: Vec<(f64, f64)>,
}

/// Points of a curve that are kept.
const POINTS: usize = 20_000;

/// Reads what a comparison needs of `run`.
///
/// # Errors
/// When its recipe cannot be read.
pub fn read(run: &RunDir) -> Result<Compared> {
    let path = run.recipe_file();
    let text = std::fs::read_to_string(&path).map_err(|e| crate::Error::io("read", &path, &e))?;
    let table: toml::Table = toml::from_str(&text).map_err(|e| {
        let place = crate::text::printable(&path.display().to_string()).into_owned();
        crate::Error::user(format!("{place}: {}", crate::text::printable(e.message())))
    })?;
    let mut compared = Compared { name: run.name(), ..Compared::default() };
    flatten("", &toml::Value::Table(table), &mut compared.settings);
    compared.settings.remove("name");
    if let Ok(mut file) = File::open(run.journal_file()) {
        // A journal may be long: what does not count is not parsed.
        let mut stage = None;
        each_line(&mut file, 0, |line| {
            if matches!(kind(line), Some("stage" | "dev" | "report"))
                && let Ok(event) = serde_json::from_slice::<Event>(line)
            {
                take(event.body, &mut compared, &mut stage);
            }
        });
    }
    Ok(compared)
}

/// What recipes are compared by: their texts and files. Settings that are left out have their defaults, unless one
/// of them is not valid yet; then what is written is compared.
///
/// # Errors
/// When a text is no TOML.
pub fn recipes(all: [(&str, &Path); 2]) -> Result<Vec<Compared>> {
    let full = |(text, file): &(&str, &Path)| toml::Value::try_from(Recipe::parse_as(text, file).ok()?).ok();
    let whole: Option<Vec<_>> = all.iter().map(full).collect();
    let written = |(text, file): &(&str, &Path)| {
        let place = crate::text::printable(&file.display().to_string()).into_owned();
        let table = toml::from_str(text).map_err(|e| Error::user(format!("{place}: {}", printable(e.message()))))?;
        Ok(toml::Value::Table(table))
    };
    let values = whole.map_or_else(|| all.iter().map(written).collect::<Result<Vec<_>>>(), Ok)?;
    let name = |file: &Path| {
        let last = |path: &Path| path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        // Every run's is called recipe.toml.
        match file.parent() {
            Some(run) if run.join("events.jsonl").exists() => last(run),
            _ => last(file),
        }
    };
    let compared = |(value, (_, file)): (toml::Value, &(&str, &Path))| {
        let mut compared = Compared { name: name(file), ..Compared::default() };
        flatten("", &value, &mut compared.settings);
        compared.settings.remove("name");
        compared
    };
    Ok(values.into_iter().zip(&all).map(compared).collect())
}

/// `stage` is the number of the stage that the curve is of.
fn take(body: EventBody, compared: &mut Compared, stage: &mut Option<usize>) {
    match body {
        // A stage that is resumed is told again, and goes on with its curve.
        EventBody::Stage(new) if new.steps > 0 => {
            let resumed = stage.replace(new.index) == Some(new.index);
            if !resumed {
                compared.dev.clear();
            }
        }
        EventBody::Dev(dev) if dev.loss.is_finite() => {
            let step = dev.step as f64;
            // A run that was resumed goes on from its checkpoint.
            compared.dev.retain(|p| p.0 < step);
            if compared.dev.len() < POINTS {
                compared.dev.push((step, dev.loss));
            }
        }
        EventBody::Report(report) => compared.row = report.rows.into_iter().last(),
        _ => {}
    }
}

/// Every value under its whole key, rules by their number. Adapters stand under their name, the target adapter
/// under `target`, so that those of two runs meet; what only a new adapter has is left out of a read one.
fn flatten(key: &str, value: &toml::Value, out: &mut BTreeMap<String, String>) {
    let below = |name: &str| if key.is_empty() { name.to_owned() } else { format!("{key}.{name}") };
    match value {
        toml::Value::Table(table) => table.iter().for_each(|(name, value)| flatten(&below(name), value, out)),
        toml::Value::Array(all) if key == "adapters" => all.iter().for_each(|value| adapter(value, out)),
        toml::Value::Array(all) if all.iter().any(toml::Value::is_table) => {
            all.iter().enumerate().for_each(|(i, value)| flatten(&below(&i.to_string()), value, out));
        }
        toml::Value::String(text) => {
            out.insert(key.to_owned(), text.clone());
        }
        other => {
            out.insert(key.to_owned(), other.to_string());
        }
    }
}

fn adapter(value: &toml::Value, out: &mut BTreeMap<String, String>) {
    let text = |key: &str| value.get(key).and_then(toml::Value::as_str);
    let is_target = text("role") == Some("target");
    let place =
        if is_target { "adapters.target".to_owned() } else { format!("adapters.{}", text("name").unwrap_or("")) };
    let read = value.get("path").is_some();
    for (name, value) in value.as_table().into_iter().flatten() {
        let counts = match name.as_str() {
            "role" => false,
            "name" => is_target,
            "rank" | "alpha" | "rslora" | "targets" => !read,
            _ => true,
        };
        if counts {
            flatten(&format!("{place}.{name}"), value, out);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn settings_stand_under_their_whole_keys() {
        let text = "base = \"b\"\n[train]\nlr = 1e-3\n[prune]\nrules = []\n\
                    [[adapters]]\nname = \"games\"\nrole = \"target\"\nrank = 4\n\
                    [[adapters]]\nname = \"net\"\nrole = \"related\"\npath = \"n\"\nrank = 9\n";
        let mut out = BTreeMap::new();
        flatten("", &toml::Value::Table(toml::from_str(text).unwrap()), &mut out);
        let all: Vec<_> = out.iter().map(|(k, v)| format!("{k}={v}")).collect();
        assert_eq!(
            all,
            [
                "adapters.net.path=n",
                "adapters.target.name=games",
                "adapters.target.rank=4",
                "base=b",
                "prune.rules=[]",
                "train.lr=0.001"
            ]
        );
    }

    #[test]
    fn the_curve_is_that_of_the_last_stage_and_of_what_was_gone_on_with() {
        let dev = |step, loss| EventBody::Dev(super::super::event::Dev { step, loss, ..Default::default() });
        let stage = |index, steps| EventBody::Stage(super::super::event::Stage { index, steps, ..Default::default() });
        let (mut compared, mut of) = (Compared::default(), None);
        for body in [stage(0, 4), dev(2, 9.0), stage(1, 4), dev(2, 3.0), dev(4, 2.0), dev(3, 2.5), stage(2, 0)] {
            take(body, &mut compared, &mut of);
        }
        assert_eq!(compared.dev, [(2.0, 3.0), (3.0, 2.5)]);
        // Resumed: the worker tells its stage again.
        for body in [stage(1, 4), dev(3, 2.25), dev(4, 2.0)] {
            take(body, &mut compared, &mut of);
        }
        assert_eq!(compared.dev, [(2.0, 3.0), (3.0, 2.25), (4.0, 2.0)]);
    }
}
