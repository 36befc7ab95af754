//! Keys and pastes while something lies over the list.

use super::update::{act, toast};
use super::{Edit, Effect, Overlay, Question, Runs};
use crate::app::action::{self, Action, Entry, Screen};
use crate::app::palette::Pressed as Found;
use crate::app::picker::Pressed;
use crate::app::scroll::scrolled;
use crate::run::control::Command;
use crate::run::notes::Notes;
use std::path::PathBuf;

impl Overlay {
    /// Whether the user types there, or is about to decide something.
    pub(super) fn holds_hands(&self) -> bool {
        matches!(self, Self::Edit { .. } | Self::Ask { .. } | Self::Pick(_) | Self::Palette(_) | Self::Themes(_))
    }
}

/// A paste, where something takes text.
pub(super) fn paste(list: &mut Runs, text: &str) -> Vec<Effect> {
    let line = text.trim_end_matches(['\r', '\n']);
    match list.overlay.take() {
        Some(Overlay::Pick(picker)) => return picked(list, picker.paste(text)),
        Some(Overlay::Palette(mut palette)) => {
            palette.paste(text);
            list.overlay = Some(Overlay::Palette(palette));
        }
        Some(Overlay::Edit { edit, path, name, line: mut held }) => {
            held.insert(line);
            list.overlay = Some(Overlay::Edit { edit, path, name, line: held });
        }
        None if list.filtering => {
            list.filter.insert(line);
            list.go_to(list.cursor());
        }
        other => {
            list.overlay = other;
            let count = line.chars().count();
            toast(list, format!("ignored a paste of {count} characters: nothing here takes text"));
        }
    }
    Vec::new()
}

/// A key while something lies over the list.
pub(super) fn press(list: &mut Runs, overlay: Overlay, key: &str) -> Vec<Effect> {
    match overlay {
        Overlay::Help { top } => {
            let last = list.reach.within(action::help_lines(Screen::Runs).saturating_sub(1));
            list.overlay = scrolled(key, top, last).map(|top| Overlay::Help { top });
        }
        Overlay::Pick(picker) => return picked(list, picker.press(key)),
        Overlay::Palette(palette) => match palette.press(key) {
            Found::Open(palette) => list.overlay = Some(Overlay::Palette(palette)),
            Found::Chosen(Entry { action: Action::List(action), .. }) => return act(list, *action),
            Found::Left | Found::Chosen(_) => {}
        },
        Overlay::Themes(choice) => list.overlay = choice.press(key, &mut list.themes).map(Overlay::Themes),
        Overlay::Compare { mut comparison, top } => {
            if comparison.press(key) {
                list.overlay = Some(Overlay::Compare { comparison, top });
                return Vec::new();
            }
            let last = comparison.reach.within(comparison.differ.len().saturating_sub(1));
            list.overlay = scrolled(key, top, last).map(|top| Overlay::Compare { comparison, top });
        }
        Overlay::Log { path, name, lines, back } => {
            let most = lines.len().saturating_sub(1);
            // Up the lines is further back from their end.
            let key = match key {
                "down" | "j" => "up",
                "up" | "k" => "down",
                "page-down" | "space" => "page-up",
                "page-up" => "page-down",
                "home" => "end",
                "end" => "home",
                other => other,
            };
            list.overlay = scrolled(key, back, most).map(|back| Overlay::Log { path, name, lines, back });
        }
        Overlay::Ask { question, path, name, yes } => {
            let turned = matches!(key, "left" | "right" | "h" | "l" | "tab" | "shift-tab");
            if turned {
                list.overlay = Some(Overlay::Ask { question, path, name, yes: !yes });
            } else if key == "y" || (key == "enter" && yes) {
                // Everything else is the safe answer.
                return vec![match question {
                    Question::Stop => Effect::Send(path, Command::Stop),
                    Question::Delete => Effect::Delete(path),
                }];
            }
        }
        Overlay::Edit { edit, path, name, mut line } => match key {
            "esc" => {}
            "enter" => return save(list, edit, path, line.text()),
            _ => {
                line.key(key);
                list.overlay = Some(Overlay::Edit { edit, path, name, line });
            }
        },
    }
    Vec::new()
}

/// A folder was read: an Enter that waited for it counts now.
pub(super) fn entered(list: &mut Runs) -> Vec<Effect> {
    let Some(Overlay::Pick(picker)) = &mut list.overlay else { return Vec::new() };
    if !picker.is_entered() {
        return Vec::new();
    }
    let picker = picker.clone();
    list.overlay = None;
    picked(list, picker.press("enter"))
}

fn picked(list: &mut Runs, pressed: Pressed) -> Vec<Effect> {
    match pressed {
        Pressed::Open(picker, read) => {
            list.overlay = Some(Overlay::Pick(*picker));
            read.map(Effect::ListFolder).into_iter().collect()
        }
        Pressed::Left => Vec::new(),
        Pressed::Picked(item) => vec![Effect::Edit(item.value)],
    }
}

fn save(list: &mut Runs, edit: Edit, path: PathBuf, text: &str) -> Vec<Effect> {
    let Some(row) = list.rows.iter_mut().find(|row| row.path == path) else {
        toast(list, "the run is gone");
        return Vec::new();
    };
    match edit {
        Edit::Tags => row.notes.tags = Notes::tags_of(text),
        Edit::Note => text.trim().clone_into(&mut row.notes.note),
    }
    let notes = row.notes.clone();
    list.go_to(list.cursor());
    vec![Effect::Save(path, notes)]
}

#[cfg(test)]
#[allow(clippy::panic)]
mod tests {
    use super::super::{Message, update};
    use super::*;
    use crate::run::RunState;
    use crate::run::listing::Summary;

    fn list(state: RunState) -> Runs {
        let mut list = Runs::new("runs");
        let path = PathBuf::from("/runs/x");
        update(&mut list, Message::Rows(vec![Summary { path, name: "x".into(), state, ..Summary::default() }]));
        list.themes.names = ["default", "dark", "mono"].map(str::to_owned).to_vec();
        list.themes.wanted = "dark".into();
        list
    }

    fn press(list: &mut Runs, keys: &[&str]) -> Vec<Effect> {
        keys.iter().flat_map(|key| update(list, Message::Key((*key).into()))).collect()
    }

    /// What an action of this name does, chosen in the palette.
    fn find(list: &mut Runs, text: &str) -> Vec<Effect> {
        let letters = text.chars().map(String::from);
        let keys: Vec<String> = [":".to_owned()].into_iter().chain(letters).chain(["enter".to_owned()]).collect();
        keys.into_iter().flat_map(|key| update(list, Message::Key(key))).collect()
    }

    #[test]
    fn the_palette_does_what_keys_do() {
        let mut list = list(RunState::Running);
        assert_eq!(find(&mut list, "pause"), [Effect::Send("/runs/x".into(), Command::Pause)]);
        assert_eq!(find(&mut list, "watch the run"), [Effect::Watch("/runs/x".into())]);
        assert_eq!(find(&mut list, "demo"), [Effect::Demo]);
        assert_eq!(find(&mut list, "quit"), [Effect::Quit]);
        assert!(list.overlay.is_none());
        // A question still asks, and what cannot be done is said.
        assert!(find(&mut list, "stop").is_empty());
        assert!(matches!(&list.overlay, Some(Overlay::Ask { question: Question::Stop, yes: false, .. })));
        press(&mut list, &["esc"]);
        assert!(find(&mut list, "delete").is_empty() && list.overlay.is_none());
        assert!(list.toast.as_ref().is_some_and(|(text, _)| text.contains("stop it before")));
    }

    #[test]
    fn the_palette_offers_what_the_list_has_and_takes_a_paste() {
        let mut list = list(RunState::Finished);
        press(&mut list, &["ctrl-p"]);
        let Some(Overlay::Palette(all)) = &list.overlay else { panic!("{:?}", list.overlay) };
        assert!(all.found.iter().all(|e| matches!(e.action, Action::List(_))));
        assert!(!all.found.iter().any(|e| e.action.name() == "palette"));
        assert!(!list.works(crate::app::action::runs::List::Pause));
        update(&mut list, Message::Paste("worker printed\nq".into()));
        press(&mut list, &["space"]);
        let Some(Overlay::Palette(found)) = &list.overlay else { panic!("{:?}", list.overlay) };
        assert_eq!((found.input.text(), found.found[0].action.name().as_str()), ("worker printed ", "log"));
        assert_eq!(press(&mut list, &["enter"]), [Effect::ReadLog("/runs/x".into())]);
    }

    #[test]
    fn in_a_line_the_keys_of_palette_and_themes_are_typed_or_do_nothing() {
        let mut list = list(RunState::Finished);
        press(&mut list, &["/", ":", "ctrl-t", "ctrl-p"]);
        assert_eq!((list.filter.text(), &list.overlay, list.filtering), (":", &None, true));
        press(&mut list, &["esc", "n", "a", ":", "ctrl-t"]);
        assert!(matches!(&list.overlay, Some(Overlay::Edit { line, .. }) if line.text() == "a:"));
    }

    #[test]
    fn the_key_table_is_not_scrolled_past_its_end_in_secret() {
        let mut list = list(RunState::Finished);
        press(&mut list, &["?"]);
        list.reach.note(3);
        press(&mut list, &["end", "j", "page-down", "k"]);
        assert_eq!(list.overlay, Some(Overlay::Help { top: 2 }));
        // How far it went in the window that it was opened in before says nothing.
        press(&mut list, &["esc", "?", "end"]);
        assert!(matches!(list.overlay, Some(Overlay::Help { top: 10.. })), "{:?}", list.overlay);
    }

    #[test]
    fn a_theme_shows_while_it_is_chosen() {
        let mut list = list(RunState::Finished);
        press(&mut list, &["ctrl-t", "down"]);
        assert_eq!(list.themes.wanted, "mono");
        // What comes late leaves the preview where it is.
        update(&mut list, Message::Compared(Vec::new()));
        assert!(matches!(list.overlay, Some(Overlay::Themes(_))));
        press(&mut list, &["esc"]);
        assert_eq!((list.themes.wanted.as_str(), &list.overlay), ("dark", &None));
        find(&mut list, "theme");
        press(&mut list, &["up", "enter"]);
        assert_eq!((list.themes.wanted.as_str(), &list.overlay), ("default", &None));
    }
}
