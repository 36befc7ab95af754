//! Values in the hands of the user: typed in place, cycled, chosen from a list, taken back.

use super::rows::{CELLS, What, number};
use super::{Effect, Overlay, Purpose, Setup};
use crate::app::clean;
use crate::app::prompt::Line;
use crate::recipe::draft::{Draft, Place};
use crate::recipe::settings::{Kind, default_of};
use toml::Value;

/// A value that is typed.
#[derive(Debug, Clone, PartialEq)]
pub struct Editing {
    /// Where.
    pub place: Place,
    /// The text.
    pub line: Line,
    /// What is wrong with it as it stands.
    pub error: Option<String>,
}

/// Words to choose from.
#[derive(Debug, Clone, PartialEq)]
pub struct Menu {
    /// For which setting.
    pub place: Place,
    /// The words.
    pub words: &'static [&'static str],
    /// Those that are chosen, where several may be.
    pub several: Option<Vec<bool>>,
    /// The one under the cursor.
    pub at: usize,
}

/// TOML of a text.
pub(super) fn quoted(text: &str) -> String {
    // JSON's escapes are TOML's too, and stay in one line.
    serde_json::Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}

/// TOML of a word to choose: a switch has no quotes.
fn chosen_word(word: &str) -> String {
    if matches!(word, "true" | "false") { word.to_owned() } else { quoted(word) }
}

/// The word that a value is.
fn word_of(value: &Value) -> Option<&str> {
    match value {
        Value::Boolean(true) => Some("true"),
        Value::Boolean(false) => Some("false"),
        other => other.as_str(),
    }
}

/// A text with `\n` for its line breaks, and back.
fn folded(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\n', "\\n").replace('\t', "\\t")
}

fn unfolded(text: &str) -> String {
    let mut out = String::new();
    let mut all = text.chars();
    while let Some(c) = all.next() {
        match (c, if c == '\\' { all.next() } else { None }) {
            ('\\', Some('n')) => out.push('\n'),
            ('\\', Some('t')) => out.push('\t'),
            ('\\', Some('\\') | None) => out.push('\\'),
            ('\\', Some(other)) => out.extend(['\\', other]),
            _ => out.push(c),
        }
    }
    out
}

/// What stands in the line when a value is first edited.
fn as_typed(kind: Kind, value: &Value) -> String {
    match (kind, value) {
        (Kind::Lines, Value::String(text)) => folded(text),
        (_, Value::String(text)) => text.clone(),
        (_, Value::Float(x)) => number(*x),
        (_, other) => other.to_string(),
    }
}

/// The typed text as TOML; nothing where it is empty: then the setting is left out.
fn as_toml(kind: Kind, text: &str) -> Option<String> {
    let plain = text.trim();
    if plain.is_empty() {
        return None;
    }
    Some(match kind {
        Kind::Lines => quoted(&unfolded(text)),
        Kind::Number | Kind::Switch | Kind::Rules | Kind::Words(_) => {
            if value_of(plain).is_some() {
                return Some(plain.to_owned());
            }
            // `.5` is a number to people, if not to TOML.
            match plain.parse::<f64>().ok().filter(|x| x.is_finite()) {
                Some(x) => format!("{x:?}"),
                None => quoted(plain),
            }
        }
        _ => quoted(plain),
    })
}

/// A TOML text as a value.
fn value_of(text: &str) -> Option<Value> {
    toml::from_str::<toml::Table>(&format!("x = {text}")).ok().filter(|t| t.len() == 1)?.remove("x")
}

/// Enter on the row under the cursor.
pub(super) fn enter(setup: &mut Setup) -> Vec<Effect> {
    let Some(place) = setup.place() else { return super::pick::open(setup, Purpose::Adapter) };
    match place.setting().kind {
        Kind::Base => super::pick::open(setup, Purpose::Base),
        Kind::File => {
            let purpose = match place {
                Place::Adapter(i, _) => Purpose::AdapterPath(i),
                Place::Setting(_) => Purpose::File(place),
            };
            super::pick::open(setup, purpose)
        }
        Kind::Switch => turn(setup, true),
        Kind::Word(words, false) => {
            let now = current(setup, place);
            let at = words.iter().position(|word| now.as_ref().and_then(word_of) == Some(word)).unwrap_or(0);
            setup.overlay = Some(Overlay::Menu(Menu { place, words, several: None, at }));
            Vec::new()
        }
        Kind::Words(words) => {
            let now = current(setup, place);
            let held: Vec<&str> =
                now.as_ref().and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
            let several = Some(words.iter().map(|word| held.contains(word)).collect());
            setup.overlay = Some(Overlay::Menu(Menu { place, words, several, at: 0 }));
            Vec::new()
        }
        Kind::Text | Kind::Lines | Kind::Number | Kind::Rules | Kind::Word(..) => {
            let text = current(setup, place).map(|value| as_typed(place.setting().kind, &value)).unwrap_or_default();
            let mut line = Line::default();
            line.insert(&text);
            let mut editing = Editing { place, line, error: None };
            examine(setup, &mut editing);
            setup.editing = Some(editing);
            Vec::new()
        }
    }
}

/// The value that holds at a place.
fn current(setup: &Setup, place: Place) -> Option<Value> {
    setup.draft.get(place).or_else(|| default_of(place.setting()))
}

/// What is wrong with the text as it stands.
fn examine(setup: &Setup, editing: &mut Editing) {
    let setting = editing.place.setting();
    editing.error = match as_toml(setting.kind, editing.line.text()) {
        None if setting.is_required() => Some(format!("{} is needed", setting.name)),
        None => None,
        Some(toml) => match value_of(&toml) {
            None => Some("this is no TOML value".to_owned()),
            Some(value) => setup.draft.check(editing.place, &value).err().map(|e| clean::line(&e)),
        },
    };
}

/// A key while a value is typed: Enter keeps it, wrong or not; Esc leaves it as it was.
pub(super) fn press(setup: &mut Setup, mut editing: Editing, key: &str) -> Vec<Effect> {
    match key {
        "esc" => return Vec::new(),
        "enter" | "tab" | "down" | "up" => {
            let done = keep(setup, &editing);
            match key {
                "down" | "tab" => setup.at = (setup.at + 1).min(setup.rows.len() - 1),
                "up" => setup.at = setup.at.saturating_sub(1),
                _ => {}
            }
            return done;
        }
        _ => drop(editing.line.key(key)),
    }
    examine(setup, &mut editing);
    setup.editing = Some(editing);
    Vec::new()
}

/// A paste into the line; line breaks as they are typed there.
pub(super) fn paste(setup: &mut Setup, mut editing: Editing, text: &str) {
    let text = text.trim_end_matches(['\r', '\n']);
    let text = if editing.place.setting().kind == Kind::Lines {
        folded(&text.replace("\r\n", "\n").replace('\r', "\n"))
    } else {
        text.to_owned()
    };
    editing.line.insert(&text);
    examine(setup, &mut editing);
    setup.editing = Some(editing);
}

/// Puts what was typed into the draft.
fn keep(setup: &mut Setup, editing: &Editing) -> Vec<Effect> {
    let toml = as_toml(editing.place.setting().kind, editing.line.text());
    match toml {
        Some(toml) => put(setup, editing.place, &toml),
        None => take_out(setup, editing.place),
    }
}

/// Puts a value, as TOML. The default is left out, unless the file had the setting when it was opened.
pub(super) fn put(setup: &mut Setup, place: Place, toml: &str) -> Vec<Effect> {
    let value = value_of(toml);
    let same = value.is_some() && setup.draft.get(place) == value;
    if same {
        return Vec::new();
    }
    let is_default = value.as_ref().is_some_and(|v| Draft::is_default(place, v) || alike(place, v));
    if is_default && !setup.had(place) {
        return take_out(setup, place);
    }
    setup.change(|draft| draft.set(place, toml))
}

/// `1` is the default where that is `1.0`.
fn alike(place: Place, value: &Value) -> bool {
    let float = |v: &Value| v.as_float().or_else(|| v.as_integer().map(|n| n as f64));
    default_of(place.setting()).is_some_and(|d| float(&d).is_some() && float(&d) == float(value))
}

fn take_out(setup: &mut Setup, place: Place) -> Vec<Effect> {
    if setup.draft.get(place).is_none() {
        return Vec::new();
    }
    setup.change(|draft| {
        draft.unset(place);
        Ok(())
    })
}

/// Delete: the setting back to its default, the adapter out.
pub(super) fn unset(setup: &mut Setup) -> Vec<Effect> {
    match setup.row().what {
        What::Setting(place) if setup.draft.get(place).is_none() => {
            setup.say(format!("{} has its default already", place.setting().name));
            Vec::new()
        }
        What::Setting(place) => take_out(setup, place),
        What::Adapter(i) => {
            let name = setup.row().cells[0].clone();
            let done = setup.change(|draft| {
                draft.remove_adapter(i);
                Ok(())
            });
            setup.say(format!("{name} is taken out; u brings it back"));
            done
        }
        What::Add => {
            setup.say("there is nothing to take out here: enter adds an adapter");
            Vec::new()
        }
    }
}

/// Left, right: the next choice, or the next cell of an adapter.
pub(super) fn step(setup: &mut Setup, forward: bool) -> Vec<Effect> {
    if matches!(setup.row().what, What::Adapter(_)) {
        let last = CELLS.len() - 1;
        setup.cell = if forward { (setup.cell + 1).min(last) } else { setup.cell.saturating_sub(1) };
        return Vec::new();
    }
    turn(setup, forward)
}

/// The space bar: the next choice, or the role of an adapter.
pub(super) fn switch(setup: &mut Setup) -> Vec<Effect> {
    let What::Adapter(i) = setup.row().what else { return turn(setup, true) };
    role(setup, i)
}

/// The next word of a setting that has words; others stay.
fn turn(setup: &mut Setup, forward: bool) -> Vec<Effect> {
    let Some(place) = setup.place() else { return Vec::new() };
    let now = current(setup, place);
    match (place.setting().kind, &now) {
        (Kind::Switch, _) => {
            let on = now.as_ref().and_then(Value::as_bool).unwrap_or(false);
            put(setup, place, if on { "false" } else { "true" })
        }
        (Kind::Word(words, _), _) => {
            let at = words.iter().position(|w| now.as_ref().and_then(word_of) == Some(w));
            let next = match at {
                Some(at) => (at + if forward { 1 } else { words.len() - 1 }) % words.len(),
                None => 0,
            };
            put(setup, place, &chosen_word(words[next]))
        }
        _ => {
            setup.say("enter edits this one");
            Vec::new()
        }
    }
}

/// Makes an adapter the target, and the one that was it related; or the target related.
fn role(setup: &mut Setup, adapter: usize) -> Vec<Effect> {
    let role_of = |i: usize| Place::of_adapter(i, "role");
    let is_target = |setup: &Setup, i: usize| {
        role_of(i).and_then(|place| setup.draft.get(place)).is_some_and(|v| v.as_str() == Some("target"))
    };
    let now = is_target(setup, adapter);
    let others: Vec<usize> = (0..setup.draft.adapters()).filter(|i| *i != adapter && is_target(setup, *i)).collect();
    setup.change(|draft| {
        let mut set = |i: usize, word: &str| role_of(i).map_or(Ok(()), |place| draft.set(place, &quoted(word)));
        set(adapter, if now { "related" } else { "target" })?;
        if !now {
            others.into_iter().try_for_each(|i| set(i, "related"))?;
        }
        Ok(())
    })
}

/// A key while words are chosen from.
pub(super) fn choose(setup: &mut Setup, mut menu: Menu, key: &str) -> Vec<Effect> {
    let count = menu.words.len();
    match key {
        "esc" | "q" => return Vec::new(),
        "down" | "j" | "tab" => menu.at = (menu.at + 1) % count,
        "up" | "k" | "shift-tab" => menu.at = (menu.at + count - 1) % count,
        "home" => menu.at = 0,
        "end" => menu.at = count - 1,
        "space" if menu.several.is_some() => {
            if let Some(chosen) = menu.several.as_mut().and_then(|all| all.get_mut(menu.at)) {
                *chosen = !*chosen;
            }
        }
        "enter" | "space" => return chosen(setup, &menu),
        _ => {}
    }
    setup.overlay = Some(Overlay::Menu(menu));
    Vec::new()
}

fn chosen(setup: &mut Setup, menu: &Menu) -> Vec<Effect> {
    let Some(several) = &menu.several else {
        let word = menu.words[menu.at];
        // The role of one adapter is a matter of all.
        return match menu.place {
            Place::Adapter(i, _) if menu.place.setting().name == "role" && word == "target" => {
                let is = setup.draft.get(menu.place).is_some_and(|v| v.as_str() == Some("target"));
                if is { Vec::new() } else { role(setup, i) }
            }
            place => put(setup, place, &chosen_word(word)),
        };
    };
    let words: Vec<&str> = menu.words.iter().zip(several).filter(|(_, on)| **on).map(|(word, _)| *word).collect();
    let held: Vec<String> = current(setup, menu.place)
        .and_then(|v| v.as_array().map(|all| all.iter().filter_map(|v| v.as_str().map(str::to_owned)).collect()))
        .unwrap_or_default();
    // The order of the file stays where nothing else has changed.
    if words.len() == held.len() && words.iter().all(|word| held.iter().any(|h| h == word)) {
        return Vec::new();
    }
    let list: Vec<String> = words.into_iter().map(quoted).collect();
    put(setup, menu.place, &format!("[{}]", list.join(", ")))
}
