//! A recipe while it is edited: the text with its comments and its order, and single values in it.

use super::settings::{ADAPTER, SETTINGS, Setting, default_of};
use super::{Recipe, probe};
use crate::text::printable;
use crate::{Error, Result};
use std::collections::BTreeMap;
use std::path::Path;
use toml::{Table, Value};
use toml_edit::{DocumentMut, Item, TableLike};

/// What a new recipe begins with.
pub const NEW: &str = "\
# A recipe of lopper: `lopper run` starts it, `lopper edit` opens it. What is left out keeps its default.

[data]

[[adapters]]
name = \"mine\"
role = \"target\"
";

/// Where a value stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// Of [`SETTINGS`], by its index.
    Setting(usize),
    /// Of an adapter, by its index and that in [`ADAPTER`].
    Adapter(usize, usize),
}

impl Place {
    /// The setting.
    pub fn setting(self) -> &'static Setting {
        match self {
            Self::Setting(i) => &SETTINGS[i.min(SETTINGS.len() - 1)],
            Self::Adapter(_, i) => &ADAPTER[i.min(ADAPTER.len() - 1)],
        }
    }

    fn is_at_head(self) -> bool {
        matches!(self, Self::Setting(_)) && self.setting().section.is_empty()
    }

    /// The place of a setting outside the adapters.
    pub fn of(section: &str, name: &str) -> Option<Self> {
        SETTINGS.iter().position(|s| s.section == section && s.name == name).map(Self::Setting)
    }

    /// The place of a setting of an adapter.
    pub fn of_adapter(adapter: usize, name: &str) -> Option<Self> {
        ADAPTER.iter().position(|s| s.name == name).map(|i| Self::Adapter(adapter, i))
    }
}

/// A recipe's text as a document.
#[derive(Debug, Clone)]
pub struct Draft {
    document: DocumentMut,
}

impl PartialEq for Draft {
    fn eq(&self, other: &Self) -> bool {
        self.text() == other.text()
    }
}

impl Draft {
    /// Of a text that is TOML; whether it is a recipe, [`Self::problems`] says.
    ///
    /// # Errors
    /// Names the line.
    pub fn parse(text: &str) -> Result<Self> {
        // The recipe's own reader says what is wrong with the text, in its words.
        toml::from_str::<Table>(text).map_err(|e| super::syntax::sentence(text, &e))?;
        let document = text.parse::<DocumentMut>().map_err(|e| Error::user(printable(e.message())))?;
        Ok(Self { document })
    }

    /// The text.
    pub fn text(&self) -> String {
        self.document.to_string()
    }

    /// How many adapters there are.
    pub fn adapters(&self) -> usize {
        match self.document.get("adapters") {
            Some(Item::ArrayOfTables(all)) => all.len(),
            Some(Item::Value(toml_edit::Value::Array(all))) => all.len(),
            _ => 0,
        }
    }

    fn adapter(&self, at: usize) -> Option<&dyn TableLike> {
        match self.document.get("adapters")? {
            Item::ArrayOfTables(all) => all.get(at).map(|t| t as &dyn TableLike),
            Item::Value(toml_edit::Value::Array(all)) => Some(all.get(at)?.as_inline_table()? as &dyn TableLike),
            _ => None,
        }
    }

    fn table(&self, place: Place) -> Option<&dyn TableLike> {
        match place {
            Place::Adapter(at, _) => self.adapter(at),
            Place::Setting(_) if place.setting().section.is_empty() => Some(self.document.as_table()),
            Place::Setting(_) => self.document.get(place.setting().section)?.as_table_like(),
        }
    }

    fn table_mut(&mut self, place: Place) -> Option<&mut dyn TableLike> {
        let section = place.setting().section;
        match place {
            Place::Adapter(at, _) => match self.document.get_mut("adapters")? {
                Item::ArrayOfTables(all) => all.get_mut(at).map(|t| t as &mut dyn TableLike),
                Item::Value(toml_edit::Value::Array(all)) => {
                    Some(all.get_mut(at)?.as_inline_table_mut()? as &mut dyn TableLike)
                }
                _ => None,
            },
            Place::Setting(_) if section.is_empty() => Some(self.document.as_table_mut()),
            Place::Setting(_) => {
                if self.document.get(section).is_none() {
                    self.document.insert(section, Item::Table(toml_edit::Table::new()));
                }
                self.document.get_mut(section)?.as_table_like_mut()
            }
        }
    }

    /// The value at a place, if there is one.
    pub fn get(&self, place: Place) -> Option<Value> {
        let item = self.table(place)?.get(place.setting().name)?;
        value_of(item)
    }

    /// Puts a value, as TOML, at a place; comments and order stay as they are.
    ///
    /// # Errors
    /// When the text is no TOML value, or the file has something else where the table should be.
    pub fn set(&mut self, place: Place, toml: &str) -> Result<()> {
        let mut value: toml_edit::Value =
            toml.trim().parse().map_err(|_| Error::user(format!("{} is no TOML value", printable(toml))))?;
        let setting = place.setting();
        let head = if self.get(place).is_none() && place.is_at_head() { self.take_head() } else { None };
        let wrong = || Error::user(format!("{} is no table in this file", setting.section));
        let table = self.table_mut(place).ok_or_else(wrong)?;
        match table.get_mut(setting.name) {
            Some(Item::Value(old)) => {
                *value.decor_mut() = old.decor().clone();
                *old = value;
            }
            Some(other) => *other = Item::Value(value),
            None => drop(table.insert(setting.name, Item::Value(value))),
        }
        if let (Some(head), Some(mut key)) = (head, table.key_mut(setting.name)) {
            key.leaf_decor_mut().set_prefix(head);
        }
        Ok(())
    }

    /// In a file that begins with a table: the comment above that, as far as an empty line parts it from the table.
    fn take_head(&mut self) -> Option<String> {
        if self.document.iter().any(|(_, item)| item.is_value()) {
            return None;
        }
        let (_, Item::Table(first)) = self.document.iter_mut().next()? else { return None };
        let text = first.decor().prefix()?.as_str()?.to_owned();
        let (head, rest) = text.rsplit_once("\n\n").filter(|(head, _)| head.contains('#'))?;
        first.decor_mut().set_prefix(format!("\n{rest}"));
        Some(format!("{head}\n\n"))
    }

    /// Takes a value away; the comment above it goes to the next key, that of the file's head stays there.
    pub fn unset(&mut self, place: Place) {
        let name = place.setting().name;
        let Some(table) = self.table_mut(place) else { return };
        let next = table.iter().skip_while(|(key, _)| *key != name).nth(1).map(|(key, _)| key.to_owned());
        let above = table.key(name).and_then(|key| key.leaf_decor().prefix()?.as_str().map(str::to_owned));
        if table.remove(name).is_none() {
            return;
        }
        let Some(above) = above.filter(|text| text.contains('#')) else { return };
        match next.and_then(|next| table.get_key_value_mut(&next).map(|(key, item)| keep(key, item, &above))) {
            Some(true) => {}
            _ if matches!(place, Place::Setting(_)) && place.setting().section.is_empty() => self.keep_at_head(&above),
            _ => {}
        }
    }

    /// A comment of the head, when no key is left there, goes above the first table.
    fn keep_at_head(&mut self, above: &str) {
        for (_, item) in self.document.iter_mut() {
            let decor = match item {
                Item::Table(table) => table.decor_mut(),
                Item::ArrayOfTables(all) => match all.get_mut(0) {
                    Some(table) => table.decor_mut(),
                    None => continue,
                },
                _ => continue,
            };
            let old = decor.prefix().and_then(|p| p.as_str()).unwrap_or_default().to_owned();
            decor.set_prefix(format!("{above}{old}"));
            return;
        }
    }

    /// Adds an adapter with these values, as TOML, behind the others.
    ///
    /// # Errors
    /// When a text is no TOML value, or `adapters` is something else than a list in this file.
    pub fn add_adapter(&mut self, values: &[(&str, String)]) -> Result<()> {
        let mut table = toml_edit::Table::new();
        for (key, toml) in values {
            let value: toml_edit::Value =
                toml.parse().map_err(|_| Error::user(format!("{} is no TOML value", printable(toml))))?;
            table.insert(key, Item::Value(value));
        }
        if self.document.get("adapters").is_none_or(|item| item.as_array().is_some_and(toml_edit::Array::is_empty)) {
            self.document.remove("adapters");
            self.document.insert("adapters", Item::ArrayOfTables(toml_edit::ArrayOfTables::new()));
        }
        match self.document.get_mut("adapters") {
            Some(Item::ArrayOfTables(all)) => {
                table.decor_mut().set_prefix("\n");
                all.push(table);
            }
            Some(Item::Value(toml_edit::Value::Array(all))) => all.push(table.into_inline_table()),
            _ => return Err(Error::user("adapters is no list in this file")),
        }
        Ok(())
    }

    /// Takes an adapter away.
    pub fn remove_adapter(&mut self, at: usize) {
        match self.document.get_mut("adapters") {
            Some(Item::ArrayOfTables(all)) if at < all.len() => drop(all.remove(at)),
            Some(Item::Value(toml_edit::Value::Array(all))) if at < all.len() => drop(all.remove(at)),
            _ => {}
        }
    }

    /// Every place of the recipe, in the order of the form: settings, then adapter by adapter.
    pub fn places(&self) -> impl Iterator<Item = Place> + use<> {
        let adapters = self.adapters();
        let own = (0..adapters).flat_map(|a| (0..ADAPTER.len()).map(move |i| Place::Adapter(a, i)));
        (0..SETTINGS.len()).map(Place::Setting).chain(own)
    }

    /// The values of the table around a place that are right on their own.
    fn sound(&self, place: Place) -> Table {
        let mut out = Table::new();
        let same = |other: &Place| match (place, *other) {
            (Place::Adapter(a, _), Place::Adapter(b, _)) => a == b,
            (Place::Setting(_), Place::Setting(_)) => place.setting().section == other.setting().section,
            _ => false,
        };
        for other in self.places().filter(same).filter(|other| *other != place) {
            if let Some(value) = self.get(other) {
                // What needs its neighbours is right among them; a path makes a related adapter right.
                let alone = probe::check(other.setting(), &value, &Table::new());
                if alone.is_ok() || other.setting().name == "role" {
                    out.insert(other.setting().name.to_owned(), value);
                }
            }
        }
        out
    }

    /// What is wrong with `value` at a place of this recipe.
    ///
    /// # Errors
    /// The parser's sentence, without the place.
    pub fn check(&self, place: Place, value: &Value) -> Result<(), String> {
        probe::check(place.setting(), value, &self.sound(place))
    }

    /// What is wrong, place by place, and with the whole where no place is to blame.
    pub fn problems(&self, file: &Path) -> (BTreeMap<Place, String>, Option<String>) {
        let mut found = BTreeMap::new();
        for place in self.places() {
            let said = match self.get(place) {
                Some(value) => self.check(place, &value).err(),
                None => probe::missing(place.setting()),
            };
            found.extend(said.map(|sentence| (place, sentence)));
        }
        let whole = Recipe::parse_as(&self.text(), file).err().map(|e| e.to_string());
        let Some(whole) = whole.filter(|_| found.is_empty()) else { return (found, None) };
        // A sentence about one of the adapters belongs there.
        let about = whole.strip_prefix("adapters[").and_then(|rest| rest.split_once(']'));
        match about.and_then(|(at, rest)| Some((at.parse().ok()?, rest))) {
            Some((at, rest)) => {
                let sentence = rest.split_once("): ").map_or(rest, |(_, sentence)| sentence).to_owned();
                found.extend(Place::of_adapter(at, "name").map(|place| (place, sentence)));
                (found, None)
            }
            None => (found, Some(whole)),
        }
    }

    /// A recipe of every value that is right, with the parser's default for the rest: what can be looked at while
    /// something else is still wrong. `None` before base, training and dev data are there.
    pub fn sound_recipe(&self, file: &Path) -> Option<Recipe> {
        let mut table = probe::least();
        let (wrong, _) = self.problems(file);
        for place in (0..SETTINGS.len()).map(Place::Setting) {
            let setting = place.setting();
            let value = self.get(place).filter(|_| !wrong.contains_key(&place));
            if value.is_none() && setting.is_required() {
                return None;
            }
            let Some(value) = value else { continue };
            let table = match setting.section {
                "" => &mut table,
                section => table.entry(section).or_insert_with(|| Value::Table(Table::new())).as_table_mut()?,
            };
            table.insert(setting.name.to_owned(), value);
        }
        let mut recipe = probe::read(table).ok()?;
        recipe.settle(file).ok()?;
        Some(recipe)
    }

    /// Whether a value is the one that holds where it is left out.
    pub fn is_default(place: Place, value: &Value) -> bool {
        default_of(place.setting()).as_ref() == Some(value)
    }
}

/// Puts a comment above a key, before what stands there already.
fn keep(mut key: toml_edit::KeyMut<'_>, item: &mut Item, above: &str) -> bool {
    let decor = match item {
        Item::Value(_) => key.leaf_decor_mut(),
        Item::Table(table) => table.decor_mut(),
        _ => return false,
    };
    let old = decor.prefix().and_then(|p| p.as_str()).unwrap_or_default().to_owned();
    decor.set_prefix(format!("{above}{old}"));
    true
}

/// An item as a plain value.
fn value_of(item: &Item) -> Option<Value> {
    let mut alone = DocumentMut::new();
    let item = item.clone().into_value().ok()?;
    alone.insert("x", Item::Value(item));
    toml::from_str::<Table>(&alone.to_string()).ok()?.remove("x")
}

#[cfg(test)]
mod tests;
