//! What runs are compared by: settings, final scores, the curve of the dev loss, the summaries document by document.

mod paired;

pub use paired::Paired;

use super::RunDir;
use super::control::{Command, Inbox};
use super::event::{Event, EventBody, ReportRow};
use super::listing::{each_line, kind};
use super::matrices::{Last, Matrices};
use crate::recipe::Recipe;
use crate::recipe::ratios::Rule;
use crate::text::printable;
use crate::{Error, Result};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

/// One run of a comparison.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Compared {
    /// Its name.
    pub name: String,
    /// Its recipe, key by key: `train.lr` to `0.0003`; and the prune ratios that were changed under way:
    /// `prune.ratio layers.3.* games A` to `0.9 at step 12 of stage 5`.
    pub settings: BTreeMap<String, String>,
    /// The last row of its report.
    pub row: Option<ReportRow>,
    /// That row's summaries beside those of the first run; `None` of the first, and where neither has any.
    pub paired: Option<Paired>,
    /// Dev loss by step of the last stage that trains.
    pub dev: Vec<(f64, f64)>,
    /// The last state of its matrices.
    pub matrices: Option<Matrices>,
}

/// Points of a curve that are kept.
const POINTS: usize = 20_000;

/// Reads what a comparison needs of `runs`, and compares the summaries of each with those of the first: some seconds where
/// there are thousands of them.
///
/// # Errors
/// As [`read`].
pub fn all(runs: &[RunDir]) -> Result<Vec<Compared>> {
    let mut all: Vec<Compared> = runs.iter().map(read).collect::<Result<_>>()?;
    let written: Vec<_> = runs.iter().zip(&all).map(|(run, compared)| paired::written(run, compared)).collect();
    if let Some((first, others)) = written.split_first() {
        for (compared, other) in all.iter_mut().skip(1).zip(others) {
            compared.paired = paired::compare(first.as_ref(), other.as_ref());
        }
    }
    Ok(all)
}

/// Reads what a comparison needs of `run`.
///
/// # Errors
/// When its recipe cannot be read.
pub fn read(run: &RunDir) -> Result<Compared> {
    let path = run.recipe_file();
    let text =
        crate::bounded::text(&path, crate::bounded::SETTINGS).map_err(|e| crate::Error::io("read", &path, &e))?;
    let table: toml::Table = toml::from_str(&text).map_err(|e| {
        let place = crate::text::printable(&path.display().to_string()).into_owned();
        crate::Error::user(format!("{place}: {}", crate::text::printable(e.message())))
    })?;
    let mut compared = Compared { name: run.name(), ..Compared::default() };
    flatten("", &toml::Value::Table(table), &mut compared.settings);
    compared.settings.remove("name");
    if let Ok(mut file) = crate::bounded::open(&run.journal_file()) {
        // A journal may be long: what does not count is not parsed.
        let mut told = Told::default();
        each_line(&mut file, 0, |line| match kind(line) {
            Some("modules") => told.last.see(line),
            Some("started" | "stage" | "dev" | "report" | "control") => {
                if let Ok(event) = serde_json::from_slice::<Event>(line) {
                    take(event.body, &mut compared, &mut told);
                }
            }
            _ => {}
        });
        compared.matrices = told.last.found();
        if !told.changes.is_empty() {
            name_changes(run, &told.changes, &mut compared.settings);
        }
    }
    Ok(compared)
}

/// Where the journal is while it is read, and what it has told that is looked up later.
#[derive(Debug, Default)]
struct Told {
    /// The stage that the curve is of.
    curve: Option<usize>,
    /// The stage under way, from 1.
    stage: usize,
    changes: Vec<Change>,
    last: Last,
}

/// Prune rules that a worker took under way.
#[derive(Debug)]
struct Change {
    /// The command's id.
    id: String,
    /// `at step 12 of stage 5`.
    when: String,
}

/// Puts each rule that was sent under way beside the settings; the journal says when one was taken, the control
/// file what it was.
fn name_changes(run: &RunDir, changes: &[Change], settings: &mut BTreeMap<String, String>) {
    let sent = Inbox::new(run.path(), HashSet::new()).read().map(|(requests, _)| requests).unwrap_or_default();
    let sent: HashMap<String, Command> = sent.into_iter().map(|request| (request.id, request.command)).collect();
    let mut add = |key: String, value: String| {
        let all = settings.entry(key).or_default();
        *all = if all.is_empty() { value } else { format!("{all}, {value}") };
    };
    for Change { id, when } in changes {
        match sent.get(id) {
            Some(Command::SetRatios { rules }) => {
                rules.iter().for_each(|rule| add(key_of(rule), format!("{} {when}", rule.ratio)));
            }
            _ => add("prune.ratio under way".into(), format!("changed {when}, to what is not in control.jsonl")),
        }
    }
}

/// The matrices of a rule, under the setting that it is about.
fn key_of(rule: &Rule) -> String {
    let adapter = if rule.adapter == "*" { String::new() } else { format!(" {}", rule.adapter) };
    let factor = rule.factor.map(|factor| format!(" {factor}")).unwrap_or_default();
    format!("prune.ratio {}{adapter}{factor}", rule.modules)
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

fn take(body: EventBody, compared: &mut Compared, told: &mut Told) {
    match body {
        EventBody::Started(started) => told.last.start(*started),
        EventBody::Stage(new) => {
            told.last.begin(&new);
            told.stage = new.index + 1;
            // A stage that is resumed is told again, and goes on with its curve.
            if new.steps > 0 && told.curve.replace(new.index) != Some(new.index) {
                compared.dev.clear();
            }
        }
        // A worker keeps what it has taken, also where it is resumed from a checkpoint.
        EventBody::Control(outcome) if outcome.ok && outcome.command == "set_ratios" => {
            let when = format!("{} of stage {}", outcome.text.replacen("from step", "at step", 1), told.stage);
            told.changes.push(Change { id: outcome.id, when });
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
    use super::super::control;
    use super::super::event::{ControlOutcome, Stage};
    use super::super::journal::Journal;
    use super::*;
    use crate::module::Factor;

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
        let (mut compared, mut of) = (Compared::default(), Told::default());
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

    #[test]
    fn ratios_that_were_changed_under_way_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunDir { path: folder.path().to_path_buf() };
        std::fs::write(run.recipe_file(), "base = \"b\"\n[prune]\nratio = 0.5\n").unwrap();
        let rule = |modules: &str, adapter: &str, factor, ratio| Rule {
            modules: modules.into(),
            adapter: adapter.into(),
            factor,
            ratio,
        };
        let send = |rules| control::send(run.path(), Command::SetRatios { rules }).unwrap();
        let first = send(vec![rule("layers.3.*", "*", None, 0.9), rule("*", "games", Some(Factor::A), 0.25)]);
        let second = send(vec![rule("layers.3.*", "*", None, 0.7)]);
        let refused = send(vec![rule("*", "*", None, 1.0)]);
        let mut journal = Journal::open(&run.journal_file()).unwrap();
        let answer = |id: &str, ok, text: &str| {
            let (id, command, text) = (id.to_owned(), "set_ratios".to_owned(), text.to_owned());
            EventBody::Control(ControlOutcome { id, command, ok, text })
        };
        for body in [
            answer(&refused, false, "this stage does not prune"),
            EventBody::Stage(Stage { index: 4, steps: 20, ..Stage::default() }),
            answer(&first, true, "from step 8"),
            answer(&second, true, "from step 12"),
        ] {
            journal.append(body).unwrap();
        }
        let settings = read(&run).unwrap().settings;
        let of = |key: &str| settings.get(key).map(String::as_str);
        assert_eq!(of("prune.ratio layers.3.*"), Some("0.9 at step 8 of stage 5, 0.7 at step 12 of stage 5"));
        assert_eq!(of("prune.ratio * games A"), Some("0.25 at step 8 of stage 5"));
        assert_eq!((of("prune.ratio"), settings.len()), (Some("0.5"), 4), "{settings:?}");
        std::fs::remove_file(run.control_file()).unwrap();
        let settings = read(&run).unwrap().settings;
        assert!(settings["prune.ratio under way"].starts_with("changed at step 8 of stage 5, to what"));
    }
}
