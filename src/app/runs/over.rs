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
            let last = action::help_lines(Screen::Runs).saturating_sub(1);
            list.overlay = scrolled(key, top, last).map(|top| Overlay::Help { top });
        }
        Overlay::Pick(picker) => return picked(list, picker.press(key)),
        Overlay::Palette(palette) => match palette.press(key) {
            Found::Open(palette) => list.overlay = Some(Overlay::Palette(palette)),
            Found::Chosen(Entry { action: Action::List(action), .. }) => return act(list, *action),
            Found::Left | Found::Chosen(_) => {}
        },
        Overlay::Themes(choice) => list.overlay = choice.press(key, &mut list.themes).map(Overlay::Themes),
        Overlay::Compare { comparison, top } => {
            let last = comparison.differ.len().saturating_sub(1);
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
