//! Keys and pastes while something lies over the form.

use super::update::{act, save};
use super::{Effect, Overlay, Question, Setup, Then, edit, evaluate, hub, pick, restore};
use crate::app::action::setup::Form;
use crate::app::action::{self, Action, Entry, Screen};
use crate::app::palette::Pressed;
use crate::app::prompt::Line;
use crate::app::scroll::scrolled;

/// Something else comes over the form: a theme that was only looked at is taken off.
pub(super) fn end_choice(setup: &mut Setup) {
    if let Some(Overlay::Themes(choice)) = setup.overlay.take_if(|o| matches!(o, Overlay::Themes(_))) {
        choice.give_up(&mut setup.themes);
    }
}

/// A paste, where something takes text.
pub(super) fn paste(setup: &mut Setup, text: &str) -> Vec<Effect> {
    if let Some(editing) = setup.editing.take() {
        edit::paste(setup, editing, text);
        return Vec::new();
    }
    match setup.overlay.take() {
        Some(Overlay::Pick(purpose, picker)) => return pick::pressed(setup, purpose, picker.paste(text)),
        Some(Overlay::SaveAs(mut line, _)) => {
            line.insert(text.lines().next().unwrap_or_default());
            setup.overlay = Some(Overlay::SaveAs(line, None));
        }
        Some(Overlay::Evaluate(asked)) => evaluate::paste(setup, asked, text),
        Some(Overlay::Palette(mut palette)) => {
            palette.paste(text);
            setup.overlay = Some(Overlay::Palette(palette));
        }
        other => {
            setup.overlay = other;
            let count = text.chars().count();
            setup.say(format!("ignored a paste of {count} characters: nothing here takes text"));
        }
    }
    Vec::new()
}

/// A key while something lies over the form.
pub(super) fn press(setup: &mut Setup, overlay: Overlay, key: &str) -> Vec<Effect> {
    match overlay {
        Overlay::Help { top } => {
            let last = setup.over.within(action::help_lines(Screen::Setup).saturating_sub(1));
            setup.overlay = scrolled(key, top, last).map(|top| Overlay::Help { top });
        }
        Overlay::Compare { comparison, top } => {
            let last = comparison.reach.within(comparison.differ.len().saturating_sub(1));
            setup.overlay = scrolled(key, top, last).map(|top| Overlay::Compare { comparison, top });
        }
        Overlay::Menu(menu) => return edit::choose(setup, menu, key),
        Overlay::Pick(purpose, picker) if picker.far.is_some() && is_sort(key) => {
            setup.overlay = Some(Overlay::Pick(purpose, picker));
            return hub::next_sort(setup);
        }
        Overlay::Pick(purpose, picker) => return pick::pressed(setup, purpose, picker.press(key)),
        Overlay::Fetch { top } => return hub::press(setup, top, key),
        Overlay::Palette(palette) => match palette.press(key) {
            Pressed::Open(palette) => setup.overlay = Some(Overlay::Palette(palette)),
            Pressed::Chosen(Entry { action: Action::Form(form), .. }) => return act(setup, *form),
            Pressed::Left | Pressed::Chosen(_) => {}
        },
        Overlay::Themes(choice) => setup.overlay = choice.press(key, &mut setup.themes).map(Overlay::Themes),
        Overlay::Evaluate(asked) => return evaluate::press(setup, asked, key),
        Overlay::SaveAs(line, _) => return save_as(setup, line, key),
        Overlay::Ask { question, at } => return answer(setup, question, at, key),
    }
    Vec::new()
}

fn is_sort(key: &str) -> bool {
    let entry = action::of(key, Screen::Setup, crate::app::Pane::Heatmap);
    entry.is_some_and(|entry| entry.action == Action::Form(Form::Sort))
}

fn save_as(setup: &mut Setup, mut line: Line, key: &str) -> Vec<Effect> {
    match key {
        "esc" => return Vec::new(),
        "enter" => {
            let text = line.text().trim();
            let path = setup.ground().whole(text);
            if text.is_empty() || text.ends_with('/') || path.file_name().is_none() {
                setup.overlay = Some(Overlay::SaveAs(line, Some("the name of a file is needed".into())));
                return Vec::new();
            }
            let path = if path.extension().is_none() { path.with_extension("toml") } else { path };
            if path == setup.file {
                return save(setup, Then::Stay);
            }
            let text = setup.draft.text();
            return vec![Effect::Save { path, text, expected: None, replace: false, then: Then::Stay }];
        }
        _ => drop(line.key(key)),
    }
    setup.overlay = Some(Overlay::SaveAs(line, None));
    Vec::new()
}

fn answer(setup: &mut Setup, question: Question, at: usize, key: &str) -> Vec<Effect> {
    let answers = question.answers();
    let next = |by: usize| (at + by) % answers.len();
    let chosen = match key {
        "right" | "l" | "tab" | "down" => {
            setup.overlay = Some(Overlay::Ask { at: next(1), question });
            return Vec::new();
        }
        "left" | "h" | "shift-tab" | "up" => {
            setup.overlay = Some(Overlay::Ask { at: next(answers.len() - 1), question });
            return Vec::new();
        }
        "enter" => answers[at.min(answers.len() - 1)].0,
        key => answers.iter().map(|a| a.0).find(|k| *k == key).unwrap_or("esc"),
    };
    match (question, chosen) {
        (Question::Restore { left, .. }, "r") => restore::restore(setup, &left),
        (Question::Restore { left, .. }, "d") => vec![Effect::Forget(left.copy)],
        (Question::Restore { left, .. }, _) => {
            restore::put_off(setup, &left);
            Vec::new()
        }
        (_, "esc") => Vec::new(),
        (Question::Unsaved(then), "s") => save(setup, then),
        (Question::Unsaved(Then::Open(path)), _) => vec![Effect::Open(path)],
        (Question::Unsaved(_), _) => vec![Effect::Quit],
        // Saved even where nothing has changed: what starts is what is shown.
        (Question::Start, _) => save(setup, Then::Start),
        (Question::Overwrite(path, then), _) => {
            let text = setup.draft.text();
            vec![Effect::Save { path, text, expected: None, replace: true, then }]
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::super::{Message, update};
    use super::*;
    use crate::app::themes::Themes;
    use std::path::Path;

    const FILE: &str = "base = \"b\"\n[data]\ntrain = \"t\"\ndev = \"d\"\n";

    fn form() -> Setup {
        let mut form = Setup::new(Path::new("/p/r.toml"), FILE, Some(FILE.into()), None).unwrap();
        let names = ["default", "dark", "mono"].map(str::to_owned).to_vec();
        form.themes = Themes { names, wanted: "dark".into() };
        form
    }

    fn press(form: &mut Setup, keys: &[&str]) -> Vec<Effect> {
        keys.iter().flat_map(|key| update(form, Message::Key((*key).into()))).collect()
    }

    /// Types a text and Enter.
    fn type_in(form: &mut Setup, text: &str) -> Vec<Effect> {
        let mut keys: Vec<String> = text.chars().map(String::from).collect();
        keys.push("enter".into());
        keys.into_iter().flat_map(|key| update(form, Message::Key(key))).collect()
    }

    #[test]
    fn the_palette_does_what_keys_do() {
        let mut form = form();
        press(&mut form, &[":"]);
        assert_eq!(type_in(&mut form, "undo"), []);
        assert!(form.toast.as_ref().unwrap().0.contains("nothing to undo"));
        press(&mut form, &["ctrl-p"]);
        assert!(matches!(&type_in(&mut form, "open another")[..], [Effect::Search(..)]));
        assert!(matches!(form.overlay, Some(Overlay::Pick(..))));
        press(&mut form, &["esc", ":"]);
        assert_eq!(type_in(&mut form, "leave"), [Effect::Quit]);
        // Itself it does not offer.
        press(&mut form, &[":"]);
        let Some(Overlay::Palette(palette)) = &form.overlay else { panic!("{:?}", form.overlay) };
        let names: Vec<String> = palette.found.iter().map(|e| e.action.name()).collect();
        assert!(names.contains(&"theme".to_owned()) && !names.contains(&"palette".to_owned()), "{names:?}");
    }

    #[test]
    fn in_a_value_the_keys_of_palette_and_themes_are_typed_or_do_nothing() {
        let mut form = form();
        let name = form.rows.iter().position(|row| row.name == "name").unwrap();
        form.at = name;
        press(&mut form, &["enter", "ctrl-u", "a", ":", "b", "ctrl-t", "ctrl-p"]);
        assert_eq!((form.editing.as_ref().unwrap().line.text(), &form.overlay), ("a:b", &None));
        press(&mut form, &["enter"]);
        assert_eq!((form.row().value.as_deref(), form.themes.wanted.as_str()), (Some("a:b"), "dark"));
    }

    #[test]
    fn the_key_table_is_not_scrolled_past_its_end_in_secret() {
        let mut form = form();
        press(&mut form, &["?"]);
        form.over.note(3);
        press(&mut form, &["end", "j", "page-down", "k"]);
        assert_eq!(form.overlay, Some(Overlay::Help { top: 2 }));
        // How far it went in the window that it was opened in before says nothing.
        press(&mut form, &["esc", "?", "end"]);
        assert!(matches!(form.overlay, Some(Overlay::Help { top: 10.. })), "{:?}", form.overlay);
    }

    #[test]
    fn a_theme_shows_while_it_is_chosen() {
        let mut form = form();
        press(&mut form, &["ctrl-t", "down"]);
        assert_eq!(form.themes.wanted, "mono");
        press(&mut form, &["esc"]);
        assert_eq!((form.themes.wanted.as_str(), &form.overlay), ("dark", &None));
        press(&mut form, &[":"]);
        type_in(&mut form, "theme");
        press(&mut form, &["home", "enter"]);
        assert_eq!((form.themes.wanted.as_str(), &form.overlay), ("default", &None));
        assert_eq!(form.draft.text(), FILE);
    }

    #[test]
    fn what_comes_over_a_choice_takes_the_preview_off() {
        let news = [
            Message::Differs("/p/r.toml".into(), Then::Stay),
            Message::Compared(Vec::new()),
            Message::Opened("/p/o.toml".into(), FILE.into()),
            Message::Started("/runs/x".into()),
            Message::Key("ctrl-c".into()),
        ];
        for message in news {
            let mut form = form();
            press(&mut form, &["ctrl-t", "down"]);
            update(&mut form, message.clone());
            assert_eq!((form.themes.wanted.as_str(), form.themes.names.len()), ("dark", 3), "{message:?}");
            assert!(!matches!(form.overlay, Some(Overlay::Themes(_))), "{message:?}");
        }
    }
}
