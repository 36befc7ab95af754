//! What is picked from lists: bases, adapters, files, recipes, settings.

use super::edit::{put, quoted};
use super::fits::Fit;
use super::rows::{What, number};
use super::{Effect, Overlay, Question, Setup, Then, fits, hub};
use crate::app::clean;
use crate::app::picker::far::size;
use crate::app::picker::{Ground, Item, Picker, Pressed};
use crate::hub::reference::SCHEME;
use crate::hub::{AdapterEntry, BaseEntry};
use crate::recipe::draft::Place;
use crate::text::short;
use std::path::PathBuf;
use toml::Value;

/// What for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// The base.
    Base,
    /// One more adapter.
    Adapter,
    /// The folder of an adapter.
    AdapterPath(usize),
    /// A file of examples.
    File(Place),
    /// Another recipe to edit.
    Open,
    /// A recipe to compare with.
    Compare,
    /// A setting to go to.
    Setting,
}

impl Purpose {
    const fn title(self) -> &'static str {
        match self {
            Self::Base => "base",
            Self::Adapter => "add an adapter",
            Self::AdapterPath(_) => "adapter",
            Self::File(_) => "examples",
            Self::Open => "open a recipe",
            Self::Compare => "compare with",
            Self::Setting => "setting",
        }
    }
}

/// Opens the picker.
pub(super) fn open(setup: &mut Setup, purpose: Purpose) -> Vec<Effect> {
    let folders = matches!(purpose, Purpose::Base | Purpose::Adapter | Purpose::AdapterPath(_));
    let ground = if purpose == Purpose::Setting { Ground::default() } else { setup.ground() };
    let mut picker = Picker::new(purpose.title(), folders, ground);
    let mut effects = Vec::new();
    match purpose {
        Purpose::Setting => picker.fill(settings(setup)),
        Purpose::File(_) | Purpose::Open | Purpose::Compare => {
            effects.push(Effect::Search(purpose, setup.file.clone()));
        }
        Purpose::Base | Purpose::Adapter | Purpose::AdapterPath(_) => {
            let (far, asks) = hub::far(setup, purpose);
            picker.far = far;
            effects.extend(asks);
            if setup.catalog.is_some() {
                picker.fill(known(setup, purpose));
                picker.note = notes(setup);
            }
        }
    }
    // What is there already is a path to go on from.
    let path = place_of(purpose).and_then(|place| path_at(setup, place));
    if let Some(path) = path.filter(|path| !path.starts_with(SCHEME)) {
        effects.extend(picker.begin_with(&path).map(Effect::List));
    }
    setup.overlay = Some(Overlay::Pick(purpose, Box::new(picker)));
    effects.extend(fits::ask(setup));
    effects.extend(hub::go_on(setup));
    effects
}

/// The setting whose path is picked.
fn place_of(purpose: Purpose) -> Option<Place> {
    match purpose {
        Purpose::Base => Place::of("", "base"),
        Purpose::AdapterPath(i) => Place::of_adapter(i, "path"),
        Purpose::File(place) => Some(place),
        Purpose::Adapter | Purpose::Open | Purpose::Compare | Purpose::Setting => None,
    }
}

/// The path that the recipe has there.
fn path_at(setup: &Setup, place: Place) -> Option<String> {
    setup.draft.get(place)?.as_str().map(str::to_owned)
}

/// The catalog has come: an open picker shows it.
pub(super) fn catalog(setup: &mut Setup) -> Vec<Effect> {
    let Some(Overlay::Pick(purpose, _)) = setup.overlay else { return Vec::new() };
    if !matches!(purpose, Purpose::Base | Purpose::Adapter | Purpose::AdapterPath(_)) {
        return Vec::new();
    }
    let (items, note) = (known(setup, purpose), notes(setup));
    if let Some(Overlay::Pick(_, picker)) = &mut setup.overlay {
        picker.fill(items);
        picker.note = note;
    }
    hub::go_on(setup)
}

/// What was left out of the catalog, and why.
fn notes(setup: &Setup) -> Option<String> {
    let notes = setup.catalog.as_ref().map(|c| c.notes.join("; ")).filter(|text| !text.is_empty());
    notes.map(|text| clean::line(&text))
}

fn settings(setup: &Setup) -> Vec<Item> {
    let item = |row: &super::Row| {
        let value = row.value.clone().unwrap_or_else(|| row.default.clone());
        let key = match row.what {
            What::Setting(place) => place.setting().key(),
            What::Adapter(_) => format!("adapter {}", row.cells[0]),
            What::Add => row.name.to_owned(),
        };
        Item { label: key, detail: format!("{value}  {}", row.help), ..Item::default() }
    };
    let numbered = setup.rows.iter().enumerate().map(|(i, row)| (i, item(row)));
    // The row's number travels as its value.
    numbered.map(|(i, item)| Item { value: PathBuf::from(i.to_string()), ..item }).collect()
}

/// Bases or adapters that were found.
fn known(setup: &Setup, purpose: Purpose) -> Vec<Item> {
    let Some(catalog) = &setup.catalog else { return Vec::new() };
    if purpose == Purpose::Base {
        return catalog.bases.iter().map(base).collect();
    }
    let new = Item { label: "a new adapter".into(), detail: "rank 16, trained alone first".into(), ..Item::default() };
    let offer = purpose == Purpose::Adapter && !has_target(setup);
    let mut adapters: Vec<Item> = catalog.adapters.iter().map(|entry| adapter(entry, setup.fit(&entry.path))).collect();
    // What cannot be used on this base comes last, as what cannot be used at all does.
    adapters.sort_by_key(|item| item.problem.is_some());
    offer.then_some(new).into_iter().chain(adapters).collect()
}

fn base(entry: &BaseEntry) -> Item {
    let size = if entry.parameters > 0 { short(entry.parameters) } else { String::new() };
    let facts = [entry.architecture.as_str(), &size, &entry.dtype];
    let detail = facts.into_iter().filter(|f| !f.is_empty()).collect::<Vec<_>>().join(" ");
    let mut tags = entry.facets.tags.iter().flatten();
    let license = tags.find_map(|tag| tag.strip_prefix("license:")).unwrap_or_default();
    let columns = [&size, &entry.dtype, "", "", "", license];
    let item = Item {
        label: clean::line(&entry.name),
        detail: clean::line(&detail),
        value: entry.path.clone(),
        folder: true,
        problem: entry.problem.as_deref().map(clean::line),
        columns: columns.into_iter().map(clean::line).collect(),
        facets: entry.facets.clone(),
        ..Item::default()
    };
    hub::marked(item, entry.link.as_ref())
}

/// `fit`: what it is on the base of the recipe, if that is known.
fn adapter(entry: &AdapterEntry, fit: Option<&Fit>) -> Item {
    let rank = if entry.rank > 0 { entry.rank.to_string() } else { String::new() };
    let (modules, fits) = match fit {
        Some(Ok(facts)) => (facts.modules.to_string(), "fits"),
        _ => (String::new(), ""),
    };
    let columns = [&rank, &modules, &size(entry.bytes), fits, "", "", entry.base.as_deref().unwrap_or_default()];
    let unfit = fit.and_then(|fit| fit.as_ref().err());
    let mut facts = Vec::new();
    if entry.rank > 0 {
        facts.push(format!("r {} alpha {}", entry.rank, number(entry.alpha)));
    }
    if !entry.targets.is_empty() {
        facts.push(entry.targets.join(","));
    }
    facts.extend(entry.base.as_ref().map(|base| format!("on {base}")));
    let item = Item {
        label: clean::line(&entry.name),
        detail: clean::line(&facts.join(" ")),
        value: entry.path.clone(),
        folder: true,
        problem: entry.problem.as_deref().map(clean::line).or_else(|| unfit.cloned()),
        columns: columns.into_iter().map(clean::line).collect(),
        facets: entry.facets.clone(),
        ..Item::default()
    };
    hub::marked(item, entry.link.as_ref())
}

fn has_target(setup: &Setup) -> bool {
    let role = |i| setup.draft.get(Place::of_adapter(i, "role")?);
    (0..setup.draft.adapters()).filter_map(role).any(|role: Value| role.as_str() == Some("target"))
}

/// What was looked for has come: an Enter that waited for it counts now.
pub(super) fn entered(setup: &mut Setup) -> Vec<Effect> {
    let Some(Overlay::Pick(purpose, picker)) = &mut setup.overlay else { return Vec::new() };
    if !picker.is_entered() {
        return Vec::new();
    }
    let (purpose, picker) = (*purpose, picker.clone());
    setup.overlay = None;
    pressed(setup, purpose, picker.press("enter"))
}

/// A key, or a paste, while the picker is open.
pub(super) fn pressed(setup: &mut Setup, purpose: Purpose, pressed: Pressed) -> Vec<Effect> {
    match pressed {
        Pressed::Open(picker, read) => {
            setup.overlay = Some(Overlay::Pick(purpose, picker));
            let mut effects: Vec<Effect> = read.map(Effect::List).into_iter().collect();
            effects.extend(hub::go_on(setup));
            effects
        }
        Pressed::Left => hub::leave(setup, purpose),
        Pressed::Picked(item) => {
            let mut effects = hub::leave(setup, purpose);
            effects.extend(picked(setup, purpose, &item));
            effects
        }
    }
}

fn picked(setup: &mut Setup, purpose: Purpose, item: &Item) -> Vec<Effect> {
    if let Some(place) = place_of(purpose) {
        let ground = setup.ground();
        // The same path stays as it is written.
        let same = path_at(setup, place).is_some_and(|path| ground.whole(&path) == item.value);
        let toml = quoted(&ground.written(&item.value));
        return if same { Vec::new() } else { put(setup, place, &toml) };
    }
    match purpose {
        Purpose::Base | Purpose::File(_) | Purpose::AdapterPath(_) => Vec::new(),
        Purpose::Adapter => add(setup, item),
        Purpose::Open if setup.is_changed() => {
            let question = Question::Unsaved(Then::Open(item.value.clone()));
            setup.overlay = Some(Overlay::Ask { question, at: 0 });
            Vec::new()
        }
        Purpose::Open => vec![Effect::Open(item.value.clone())],
        Purpose::Compare => {
            let (text, file) = (setup.draft.text(), setup.file.clone());
            vec![Effect::Compare { text, file, other: item.value.clone() }]
        }
        Purpose::Setting => {
            let at = item.value.to_str().and_then(|text| text.parse::<usize>().ok());
            setup.at = at.unwrap_or(setup.at).min(setup.rows.len() - 1);
            setup.pane = super::Pane::Settings;
            Vec::new()
        }
    }
}

/// One more adapter: related, or the target where there is none.
fn add(setup: &mut Setup, item: &Item) -> Vec<Effect> {
    let new = item.value.as_os_str().is_empty();
    let role = if has_target(setup) { "related" } else { "target" };
    let stem = if new { "mine" } else { item.label.rsplit('/').next().unwrap_or("adapter") };
    let name = free_name(setup, stem);
    let mut values = vec![("name", quoted(&name)), ("role", quoted(role))];
    if !new {
        values.push(("path", quoted(&setup.ground().written(&item.value))));
    }
    let effects = setup.change(|draft| draft.add_adapter(&values));
    let last = setup.draft.adapters().saturating_sub(1);
    if let Some(at) = setup.rows.iter().position(|row| row.what == What::Adapter(last)) {
        (setup.at, setup.cell) = (at, 0);
    }
    effects
}

/// A name that the recipe takes and that no other adapter has.
fn free_name(setup: &Setup, stem: &str) -> String {
    let kept: String =
        stem.chars().map(|c| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '-' }).take(40).collect();
    let stem = if kept.is_empty() { "adapter".to_owned() } else { kept };
    let name_of = |i| setup.draft.get(Place::of_adapter(i, "name")?)?.as_str().map(str::to_owned);
    let taken: Vec<String> = (0..setup.draft.adapters()).filter_map(name_of).collect();
    let numbered = (1..).map(|n| if n == 1 { stem.clone() } else { format!("{stem}-{n}") });
    numbered.take(1000).find(|name| !taken.contains(name)).unwrap_or(stem)
}
