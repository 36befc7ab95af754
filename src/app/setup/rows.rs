//! The rows of the form: what each is called, what it holds, what is wrong there.

use super::Setup;
use crate::app::clean;
use crate::hub::reference::{SCHEME, is_commit};
use crate::recipe::draft::Place;
use crate::recipe::settings::{ADAPTER, Kind, SETTINGS, Setting, default_of};
use crate::text::counted;
use toml::Value;

/// What a row is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// One setting.
    Setting(Place),
    /// An adapter: a row of cells.
    Adapter(usize),
    /// Adds one.
    Add,
}

/// The cells of an adapter's row that can be edited.
pub const CELLS: [&str; 4] = ["name", "role", "weight", "path"];

/// One row.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// What it is about.
    pub what: What,
    /// The heading it stands under.
    pub section: &'static str,
    /// What it is called.
    pub name: &'static str,
    /// What the recipe says, nothing if it is left out.
    pub value: Option<String>,
    /// What holds otherwise.
    pub default: String,
    /// What it is for.
    pub help: &'static str,
    /// What is wrong there.
    pub error: Option<String>,
    /// Of what the hub has: whether it is here, or how much is to be fetched.
    pub told: Option<String>,
    /// Of an adapter: name, role, weight, path, rank, alpha.
    pub cells: Vec<String>,
}

/// The headings, in the order of the form.
const SECTIONS: [(&str, &str); 8] = [
    ("", "run"),
    ("adapters", "adapters"),
    ("data", "data"),
    ("train", "train"),
    ("target", "target"),
    ("prune", "prune"),
    ("samples", "samples"),
    ("eval", "eval"),
];

/// All rows of the form as it stands.
pub(super) fn all(setup: &Setup) -> Vec<Row> {
    let mut rows = Vec::new();
    for (section, heading) in SECTIONS {
        if section == "adapters" {
            adapters(setup, heading, &mut rows);
            continue;
        }
        let own = SETTINGS.iter().enumerate().filter(|(_, s)| s.section == section);
        rows.extend(own.map(|(i, _)| one(setup, Place::Setting(i), heading)));
    }
    rows
}

fn one(setup: &Setup, place: Place, section: &'static str) -> Row {
    let setting = place.setting();
    let value = setup.draft.get(place).map(|value| shown(setting, &value));
    let default = default_of(setting).map_or_else(|| setting.without.to_owned(), |value| shown(setting, &value));
    Row {
        what: What::Setting(place),
        section,
        name: setting.name,
        value,
        default,
        help: setting.help,
        error: error(setup, place),
        told: setup.told(&setting.key()),
        cells: Vec::new(),
    }
}

/// What is wrong at a place: the value itself, then what it names.
fn error(setup: &Setup, place: Place) -> Option<String> {
    if let Some(sentence) = setup.problems.get(&place) {
        return Some(clean::line(sentence));
    }
    setup.draft.get(place)?;
    let key = match place {
        Place::Setting(_) => place.setting().key(),
        Place::Adapter(i, _) if place.setting().name == "path" => {
            let name = setup.draft.get(Place::of_adapter(i, "name")?)?;
            format!("adapter {}", name.as_str()?)
        }
        Place::Adapter(..) => return None,
    };
    if let Some((_, sentence)) = setup.seen.files.iter().find(|(of, _)| *of == key) {
        return Some(sentence.clone());
    }
    match place {
        Place::Adapter(i, _) => setup.seen.adapters.get(&i)?.as_ref().err().cloned(),
        Place::Setting(_) if key == "base" => setup.seen.base.as_ref()?.problem.clone(),
        Place::Setting(_) => None,
    }
}

fn adapters(setup: &Setup, section: &'static str, rows: &mut Vec<Row>) {
    let empty = |what, name| Row {
        what,
        section,
        name,
        value: None,
        default: String::new(),
        help: "",
        error: None,
        told: None,
        cells: Vec::new(),
    };
    for i in 0..setup.draft.adapters() {
        let text = |name: &str| {
            let place = Place::of_adapter(i, name)?;
            setup.draft.get(place).map(|value| shown(place.setting(), &value))
        };
        let new = text("path").is_none();
        let facts = setup.seen.adapters.get(&i).and_then(|facts| facts.as_ref().ok());
        let or_default = |name: &str| {
            let default = || ADAPTER.iter().find(|s| s.name == name).and_then(|s| Some(shown(s, &default_of(s)?)));
            text(name).or_else(default).unwrap_or_default()
        };
        let (rank, alpha) = match facts {
            Some(facts) => (facts.rank.to_string(), number(facts.alpha)),
            None if new => (or_default("rank"), or_default("alpha")),
            None => (String::new(), String::new()),
        };
        let name = text("name").unwrap_or_default();
        let cells = vec![name, or_default("role"), or_default("weight"), text("path").unwrap_or_default(), rank, alpha];
        let mut places = CELLS.iter().filter_map(|name| Place::of_adapter(i, name));
        let wrong = |place: Place| Some(format!("{}: {}", place.setting().name, error(setup, place)?));
        let mut row = empty(What::Adapter(i), "adapter");
        row.section = section;
        row.error = places.find_map(wrong);
        row.told = text("name").and_then(|name| setup.told(&format!("adapter {name}")));
        row.help = if new { "new: trained alone first" } else { "read from its folder" };
        row.cells = cells;
        rows.push(row);
        if new {
            let shape = ["rank", "alpha", "rslora", "targets"].into_iter().filter_map(|n| Place::of_adapter(i, n));
            rows.extend(shape.map(|place| one(setup, place, section)));
        }
    }
    let mut add = empty(What::Add, "add an adapter");
    add.help = "from the folders or the hub";
    rows.push(add);
}

/// A value as the form shows it.
pub fn shown(setting: &Setting, value: &Value) -> String {
    match value {
        Value::String(text) if matches!(setting.kind, Kind::Base | Kind::File) => clean::line(hub_name(text)),
        Value::String(text) => clean::line(text),
        Value::Float(x) => number(*x),
        Value::Array(all) if all.is_empty() => match setting.kind {
            Kind::Words(_) => "none beside".to_owned(),
            _ => "none".to_owned(),
        },
        Value::Array(all) if setting.kind == Kind::Rules && all.iter().all(Value::is_table) => {
            counted(all.len(), "rule")
        }
        Value::Array(all) => {
            let parts: Vec<String> = all.iter().map(|v| shown(setting, v)).collect();
            parts.join(", ")
        }
        other => clean::line(&other.to_string()),
    }
}

/// `ORG/NAME` of `hf://ORG/NAME@COMMIT`; other paths as they are, and a branch or tag stays.
fn hub_name(text: &str) -> &str {
    let Some(name) = text.strip_prefix(SCHEME) else { return text };
    name.split_once('@').filter(|(_, revision)| is_commit(revision)).map_or(name, |(id, _)| id)
}

/// A number as short as it can be told.
pub fn number(x: f64) -> String {
    if x != 0.0 && x.is_finite() && !(1e-3..1e6).contains(&x.abs()) { format!("{x:e}") } else { format!("{x:?}") }
}
