//! How messages change the screen of an evaluation or a sweep: no I/O, effects come back.

use super::{Effect, Message, Overlay, Pane, Study, next_order, reversed, tidy, told};
use crate::app;
use crate::app::action::study::Study as Key;
use crate::app::action::{self, Action, Entry, Screen};
use crate::app::clean;
use crate::app::palette::{Palette, Pressed};
use crate::app::scroll::{PAGE, scrolled};
use crate::app::themes::Choice;

/// Seconds that a toast stays.
const TOAST: f64 = 5.0;

/// One message.
pub fn update(study: &mut Study, message: Message) -> Vec<Effect> {
    match message {
        Message::Key(key) => return press(study, if key == " " { "space" } else { &key }),
        Message::Paste(text) => {
            if let Some(Overlay::Palette(palette)) = &mut study.overlay {
                palette.paste(&text);
                return Vec::new();
            }
            let count = text.chars().count();
            toast(study, &format!("ignored a paste of {count} characters: nothing here takes text"));
        }
        Message::Standing(standing) => {
            // The cursor stays on its row, wherever that went.
            let at = study.cursor();
            (study.standing, study.error) = (Some(tidy(*standing)), None);
            if study.selected.is_none() {
                study.go_to(at);
            }
        }
        Message::Unreadable(sentence) => study.error = Some(clean::line(&sentence)),
        Message::Toast(text) => toast(study, &text),
        Message::Tick(now) => {
            study.now = now;
            if study.toast.as_ref().is_some_and(|(_, until)| *until < now) {
                study.toast = None;
            }
        }
    }
    Vec::new()
}

fn toast(study: &mut Study, text: &str) {
    study.toast = Some((clean::line(text), study.now + TOAST));
}

fn press(study: &mut Study, key: &str) -> Vec<Effect> {
    if key == "ctrl-c" {
        return vec![Effect::Quit];
    }
    if let Some(overlay) = study.overlay.take() {
        return over(study, overlay, key);
    }
    if key == "esc" {
        study.toast = None;
        study.pane = Pane::Table;
        return Vec::new();
    }
    match action::of(key, Screen::Study, app::Pane::Heatmap).map(|entry| entry.action) {
        Some(Action::Study(action)) => act(study, action),
        _ => Vec::new(),
    }
}

fn over(study: &mut Study, overlay: Overlay, key: &str) -> Vec<Effect> {
    match overlay {
        Overlay::Help { top } => {
            let last = study.reach.within(action::help_lines(Screen::Study).saturating_sub(1));
            study.overlay = scrolled(key, top, last).map(|top| Overlay::Help { top });
        }
        Overlay::Palette(palette) => match palette.press(key) {
            Pressed::Open(palette) => study.overlay = Some(Overlay::Palette(palette)),
            Pressed::Chosen(Entry { action: Action::Study(action), .. }) => return act(study, *action),
            Pressed::Left | Pressed::Chosen(_) => {}
        },
        Overlay::Themes(choice) => study.overlay = choice.press(key, &mut study.themes).map(Overlay::Themes),
        Overlay::Runs { row, runs, at } => {
            let last = runs.len().saturating_sub(1);
            match key {
                "enter" => {
                    let method = study.method(&row);
                    let chosen = runs.into_iter().nth(at);
                    return chosen.map(|(_, run)| Effect::Watch { run, method }).into_iter().collect();
                }
                "esc" | "q" => {}
                _ => {
                    let at = scrolled(key, at, last).unwrap_or(at);
                    study.overlay = Some(Overlay::Runs { row, runs, at });
                }
            }
        }
    }
    Vec::new()
}

fn act(study: &mut Study, action: Key) -> Vec<Effect> {
    match action {
        Key::Open => return open(study),
        Key::Up => walk(study, false, 1),
        Key::Down => walk(study, true, 1),
        Key::PageUp => walk(study, false, PAGE),
        Key::PageDown => walk(study, true, PAGE),
        Key::First => walk(study, false, usize::MAX),
        Key::Last => walk(study, true, usize::MAX),
        Key::Order => order(study, next_order(study)),
        Key::Reverse => order(study, reversed(study)),
        Key::NextPane => {
            let panes = study.panes();
            let at = panes.iter().position(|pane| *pane == study.pane).unwrap_or(0);
            study.pane = panes[(at + 1) % panes.len()];
        }
        Key::Palette => {
            study.overlay = Some(Overlay::Palette(Palette::new(Screen::Study, app::Pane::Heatmap)));
        }
        Key::Theme => study.overlay = Some(Overlay::Themes(Choice::new(&study.themes))),
        Key::Help => {
            study.reach.forget();
            study.overlay = Some(Overlay::Help { top: 0 });
        }
        Key::Redraw => return vec![Effect::Redraw],
        Key::Suspend => return vec![Effect::Suspend],
        Key::Quit => return vec![Effect::Quit],
    }
    Vec::new()
}

/// The cursor stays on its row.
fn order(study: &mut Study, order: Option<(String, bool)>) {
    study.go_to(study.cursor());
    study.order = order;
    study.go_to(study.cursor());
}

fn walk(study: &mut Study, forward: bool, by: usize) {
    let step = |at: usize| if forward { at.saturating_add(by) } else { at.saturating_sub(by) };
    if study.pane == Pane::Notes {
        let notes = study.standing.as_ref().map_or(0, |standing| standing.notes.len());
        study.top = step(study.top).min(notes.saturating_sub(1));
    } else {
        study.go_to(step(study.cursor()));
    }
}

/// Watches the row's run, or asks which.
fn open(study: &mut Study) -> Vec<Effect> {
    let Some(row) = study.current().cloned() else {
        toast(study, "no run was begun yet: there is no row to open");
        return Vec::new();
    };
    let label = |part: &crate::study::standing::Part| {
        let one = crate::study::standing::Line { parts: vec![part.clone()], ..row.clone() };
        told(&one).pop().map_or(String::new(), |(text, _)| text)
    };
    let mut runs: Vec<_> = row.parts.iter().filter_map(|part| Some((label(part), part.run.clone()?))).collect();
    match runs.len() {
        0 => toast(study, &format!("{}: no run of it was begun", row.name)),
        1 => {
            let method = study.method(&row.name);
            return runs.pop().map(|(_, run)| Effect::Watch { run, method }).into_iter().collect();
        }
        _ => study.overlay = Some(Overlay::Runs { row: row.name, runs, at: 0 }),
    }
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_table_is_not_scrolled_past_its_end_in_secret() {
        let mut study = Study::new("compared");
        let press = |study: &mut Study, keys: &[&str]| {
            keys.iter().for_each(|key| drop(update(study, Message::Key((*key).into()))));
        };
        press(&mut study, &["?"]);
        study.reach.note(3);
        press(&mut study, &["end", "j", "page-down", "k"]);
        assert_eq!(study.overlay, Some(Overlay::Help { top: 2 }));
        // How far it went in the window that it was opened in before says nothing.
        press(&mut study, &["esc", "?", "end"]);
        assert!(matches!(study.overlay, Some(Overlay::Help { top: 10.. })), "{:?}", study.overlay);
    }
}
