//! The user's keys: a patch in TOML over the default table.
//!
//! ```toml
//! [watch]
//! raise = ["+", "ctrl-up"]
//! ```

use super::{Entry, Screen, Section};
use crate::app::Pane;
use crate::text::{line_at, printable};
use crate::{Error, Result};
use std::collections::BTreeMap;
use toml::Spanned;

/// Keys with a name of more than one character.
const NAMED: [&str; 16] = [
    "enter",
    "tab",
    "shift-tab",
    "up",
    "down",
    "left",
    "right",
    "home",
    "end",
    "page-up",
    "page-down",
    "backspace",
    "delete",
    "insert",
    "space",
    "esc",
];
/// Keys that stay what they are: they leave.
const FIXED: [&str; 2] = ["ctrl-c", "esc"];
/// Function keys that terminals tell.
const FUNCTION: std::ops::RangeInclusive<u8> = 1..=12;
/// What the screens are called in the file.
const SCREENS: [(&str, Screen); 4] =
    [("watch", Screen::Watch), ("runs", Screen::Runs), ("study", Screen::Study), ("setup", Screen::Setup)];

/// An action's keys as the file has them.
type Table = BTreeMap<Spanned<String>, Spanned<BTreeMap<Spanned<String>, Spanned<toml::Value>>>>;

/// Whether a name is that of a key that a terminal can tell us.
pub fn is_key(name: &str) -> bool {
    let single = |s: &str| s.chars().count() == 1 && !s.chars().any(|c| c.is_control() || c == ' ');
    let function = |s: &str| s.strip_prefix('f').and_then(|n| n.parse().ok()).is_some_and(|n| FUNCTION.contains(&n));
    let plain = |s: &str| NAMED.contains(&s) || function(s);
    match name.strip_prefix("ctrl-") {
        Some(rest) if !rest.is_empty() => plain(rest) || single(rest),
        _ => plain(name) || single(name),
    }
}

/// `table` with the keys that `text`, of the file `file`, gives to actions.
///
/// # Errors
/// Names the file and the line: an unknown screen, action or key, or a key that means two things.
pub fn patched(table: &[Section], file: &str, text: &str) -> Result<Vec<Section>> {
    let place = Place { file, text };
    let parsed: Table = toml::from_str(text).map_err(|e| {
        let message = e.message().split_whitespace().collect::<Vec<_>>().join(" ");
        place.error(e.span().map_or(0, |s| s.start), &message)
    })?;
    let mut patches: Vec<Patch> = Vec::new();
    for (name, actions) in &parsed {
        let at = name.span().start;
        let Some((_, screen)) = SCREENS.iter().find(|s| s.0 == name.get_ref()) else {
            let names: Vec<&str> = SCREENS.iter().map(|s| s.0).collect();
            return Err(place.error(at, &format!("there is no screen {:?}: use {}", name.get_ref(), names.join(", "))));
        };
        for (action, keys) in actions.get_ref() {
            let at = action.span().start;
            let known = entries(table, *screen).any(|e| e.action.name() == *action.get_ref());
            if !known {
                let nearest = nearest(table, *screen, action.get_ref());
                let sentence = format!(
                    "there is no action {:?} on the screen {}{nearest}; `lopper keys --toml` lists them",
                    action.get_ref(),
                    name.get_ref()
                );
                return Err(place.error(at, &sentence));
            }
            let keys = names_of(keys.get_ref())
                .map_err(|why| place.error(keys.span().start, &format!("{}: {why}", action.get_ref())))?;
            patches.push(Patch { screen: *screen, action: action.get_ref().clone(), keys, at });
        }
    }
    let patched: Vec<Section> = table.iter().map(|section| with(section, &patches)).collect();
    patches.iter().try_for_each(|patch| unique(&patched, patch, &place))?;
    Ok(patched)
}

/// One line of the file.
struct Patch {
    screen: Screen,
    action: String,
    keys: Vec<String>,
    at: usize,
}

/// Where a sentence points.
struct Place<'a> {
    file: &'a str,
    text: &'a str,
}

impl Place<'_> {
    fn error(&self, at: usize, sentence: &str) -> Error {
        let line = line_at(self.text, at);
        Error::user(format!("{}, line {line}: {}", printable(self.file), printable(sentence)))
    }
}

fn entries(table: &[Section], screen: Screen) -> impl Iterator<Item = &'static Entry> {
    table.iter().filter(move |s| s.screen == screen).flat_map(|s| s.entries)
}

/// `, did you mean "raise"?` where a name begins as the wrong one does.
fn nearest(table: &[Section], screen: Screen, wrong: &str) -> String {
    let common = |name: &str| name.chars().zip(wrong.chars()).take_while(|(a, b)| a == b).count();
    let best = entries(table, screen).map(|e| e.action.name()).max_by_key(|name| common(name));
    best.filter(|name| common(name) >= 2).map_or_else(String::new, |name| format!(" (did you mean {name:?}?)"))
}

/// The names of the keys, all of them keys.
fn names_of(value: &toml::Value) -> Result<Vec<String>, String> {
    let needed = "a list of keys is needed, such as [\"+\", \"ctrl-up\"]";
    let list = match value {
        toml::Value::Array(list) => list.clone(),
        one @ toml::Value::String(_) => vec![one.clone()],
        _ => return Err(needed.into()),
    };
    let mut names: Vec<String> = Vec::new();
    for key in list {
        let key = key.as_str().ok_or(needed)?.to_owned();
        if FIXED.contains(&key.as_str()) {
            return Err(format!("{key} leaves everywhere and cannot be given away"));
        }
        if !is_key(&key) {
            let named = NAMED.join(", ");
            return Err(format!(
                "there is no key {key:?}: a key is one character, {named}, f1 to f12, or one of these after ctrl-"
            ));
        }
        if !names.contains(&key) {
            names.push(key);
        }
    }
    Ok(names)
}

/// A section with the user's keys. The table lives as long as the program, as the default one does.
fn with(section: &Section, patches: &[Patch]) -> Section {
    let mut entries = section.entries.to_vec();
    for entry in &mut entries {
        let name = entry.action.name();
        if let Some(patch) = patches.iter().rfind(|p| p.screen == section.screen && p.action == name) {
            let mut keys: Vec<&'static str> = patch.keys.iter().map(|key| &*key.clone().leak()).collect();
            // The key that leaves stays where it was.
            keys.extend(entry.keys.iter().filter(|key| FIXED.contains(key)));
            entry.keys = keys.leak();
        }
    }
    Section { entries: entries.leak(), ..*section }
}

/// Whether the keys of a patch mean nothing else where they hold.
fn unique(table: &[Section], patch: &Patch, place: &Place<'_>) -> Result<()> {
    for key in &patch.keys {
        for pane in Pane::ALL {
            let here: Vec<&Entry> = entries(table, patch.screen)
                .filter(|e| e.is_for(pane))
                .flat_map(|e| e.keys.iter().filter(|k| *k == key).map(move |_| e))
                .collect();
            if let [first, second, ..] = here[..] {
                let other = if first.action.name() == patch.action { second } else { first };
                let sentence = format!(
                    "the key {key:?} would mean both {} and {}; give {1} another key, or none: {1} = []",
                    patch.action,
                    other.action.name()
                );
                return Err(place.error(patch.at, &sentence));
            }
        }
    }
    Ok(())
}

/// A file to start from: every action with its keys.
pub fn toml(table: &[Section]) -> String {
    let mut out = String::from(
        "# Keys of lopper. What is left out keeps its default; [] takes an action's keys away.\n# A key is one character, a name such as up, page-down or f12, or one of these after ctrl-.\n",
    );
    for (name, screen) in SCREENS {
        let mut sections = table.iter().filter(|s| s.screen == screen).peekable();
        if sections.peek().is_some() {
            out.push_str(&format!("\n[{name}]\n"));
        }
        for section in sections {
            out.push_str(&format!("# {}\n", section.title));
            for entry in section.entries {
                // These stay whatever the file says.
                let keys: Vec<String> = entry
                    .keys
                    .iter()
                    .filter(|k| !FIXED.contains(k))
                    .map(|k| toml::Value::from(*k).to_string())
                    .collect();
                let line = format!("{} = [{}]", entry.action.name(), keys.join(", "));
                out.push_str(&format!("{line:<36} # {}\n", entry.help));
            }
        }
    }
    out
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::RatioAction;
    use super::super::{Action, default_sections};
    use super::*;

    fn defaults() -> Vec<Section> {
        default_sections().copied().collect()
    }

    fn keys(table: &[Section], action: Action) -> Vec<&'static str> {
        let mut all = entries(table, Screen::Watch).filter(|e| e.action == action);
        all.next().unwrap().keys.to_vec()
    }

    #[test]
    fn a_file_changes_what_it_names_and_nothing_else() {
        let text = "[watch]\nraise = [\"ctrl-up\", \"f2\"]\nlower = \"-\"\nquit = [\"Q\"]\ngenerate = []\n";
        let table = patched(&defaults(), "keys.toml", text).unwrap();
        assert_eq!(keys(&table, Action::Ratio(RatioAction::Raise)), ["ctrl-up", "f2"]);
        assert_eq!(keys(&table, Action::Ratio(RatioAction::Lower)), ["-"]);
        assert_eq!(keys(&table, Action::Quit), ["Q", "ctrl-c"]);
        assert!(keys(&table, Action::Generate).is_empty());
        assert_eq!(keys(&table, Action::Pause), keys(&defaults(), Action::Pause));
    }

    #[test]
    fn two_actions_may_swap_their_keys() {
        let text = "[watch]\nmeasure = [\"a\"]\nadapter = [\"m\"]\n";
        let table = patched(&defaults(), "keys.toml", text).unwrap();
        assert_eq!(keys(&table, Action::Measure), ["a"]);
    }

    #[test]
    fn what_is_wrong_is_said_with_file_and_line() {
        for (text, parts) in [
            ("[watch]\n\nrise = [\"+\"]\n", ["line 3", "no action \"rise\"", "lopper keys --toml"]),
            ("[watch]\nraize = [\"+\"]\n", ["line 2", "no action \"raize\"", "did you mean \"raise\"?"]),
            ("[wotch]\nraise = [\"+\"]\n", ["line 1", "no screen \"wotch\"", "watch, runs, study, setup"]),
            ("[watch]\nraise = [\"hyper-x\"]\n", ["line 2", "no key \"hyper-x\"", "raise"]),
            ("[watch]\nraise = [\"f13\"]\n", ["line 2", "no key \"f13\"", "f1 to f12"]),
            ("[watch]\nraise = 5\n", ["line 2", "raise", "a list of keys is needed"]),
            ("[watch]\nraise = [\"ctrl-c\"]\n", ["line 2", "raise", "ctrl-c leaves everywhere"]),
            ("[watch]\nlower = [\"-\"]\nraise = [\"m\"]\n", ["line 3", "both raise and measure", "measure = []"]),
            ("[watch\n", ["line 1", "keys.toml", ""]),
            ("[watch]\n\"a\\u001b[2J\" = [\"x\"]\n", ["line 2", "no action", "keys.toml"]),
        ] {
            let error = patched(&defaults(), "keys.toml", text).unwrap_err();
            let sentence = error.to_string();
            assert_eq!(error.exit_code(), 2);
            assert!(sentence.starts_with("keys.toml, line ") && !sentence.chars().any(char::is_control), "{sentence}");
            assert!(parts.iter().all(|part| sentence.contains(part)), "{text:?}: {sentence}");
        }
    }

    #[test]
    fn the_file_to_start_from_is_the_default_table() {
        let table = patched(&defaults(), "keys.toml", &toml(&defaults())).unwrap();
        let all = |table: &[Section]| -> Vec<(Action, Vec<&'static str>)> {
            table.iter().flat_map(|s| s.entries).map(|e| (e.action, e.keys.to_vec())).collect()
        };
        assert_eq!(all(&table), all(&defaults()));
    }
}
