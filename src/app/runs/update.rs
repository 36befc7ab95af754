//! How messages change the list: no I/O, effects come back.

use super::compare::MOST;
use super::{Column, Comparison, Edit, Effect, Message, Overlay, Question, Runs, over, tidy};
use crate::app::action::runs::List;
use crate::app::action::{self, Action, Screen};
use crate::app::palette::Palette;
use crate::app::picker::Picker;
use crate::app::prompt::Line;
use crate::app::scroll::PAGE;
use crate::app::themes::Choice;
use crate::app::{Pane, clean};
use crate::run::RunState;
use crate::run::control::Command;
use crate::run::listing::Summary;

/// Seconds that a toast stays.
const TOAST: f64 = 5.0;

/// One message.
pub fn update(list: &mut Runs, message: Message) -> Vec<Effect> {
    match message {
        Message::Key(key) => return press(list, if key == " " { "space" } else { &key }),
        Message::Paste(text) => return over::paste(list, &text),
        Message::Rows(rows) => take(list, rows),
        Message::Unreadable(sentence) => list.error = Some(clean::line(&sentence)),
        Message::Log(of, new) => {
            if let Some(Overlay::Log { path, lines, back, .. }) = &mut list.overlay
                && *path == of
            {
                let grown = new.len().saturating_sub(lines.len());
                // Who reads further up keeps his place.
                *back = if *back > 0 { *back + grown } else { 0 };
                *lines = new.iter().map(|line| clean::line(line)).collect();
            }
        }
        // What was read in the meantime takes no line from under the user's hands.
        Message::Compared(_) if list.overlay.as_ref().is_some_and(Overlay::holds_hands) => {
            toast(list, "the comparison is read; ask for it again");
        }
        Message::Compared(runs) => {
            list.overlay = Some(Overlay::Compare { comparison: Comparison::new(runs), top: 0 });
        }
        Message::Recipes(items) => {
            if let Some(Overlay::Pick(picker)) = &mut list.overlay {
                picker.fill(items);
            }
        }
        Message::Listed(folder, items) => {
            if let Some(Overlay::Pick(picker)) = &mut list.overlay {
                picker.list(&folder, items);
            }
            return over::entered(list);
        }
        Message::Begun(path) => list.selected = Some(path),
        Message::Toast(text) => toast(list, text),
        Message::Tick(now) => {
            list.now = now;
            if list.toast.as_ref().is_some_and(|(_, until)| *until < now) {
                list.toast = None;
            }
        }
    }
    Vec::new()
}

pub(super) fn toast(list: &mut Runs, text: impl AsRef<str>) {
    list.toast = Some((clean::line(text.as_ref()), list.now + TOAST));
}

/// The cursor stays on its run, wherever that went.
fn take(list: &mut Runs, rows: Vec<Summary>) {
    list.rows = rows.into_iter().map(tidy).collect();
    (list.loaded, list.error) = (true, None);
    list.marked.retain(|path| list.rows.iter().any(|row| row.path == *path));
    list.go_to(list.cursor());
}

fn press(list: &mut Runs, key: &str) -> Vec<Effect> {
    if key == "ctrl-c" {
        return vec![Effect::Quit];
    }
    if let Some(overlay) = list.overlay.take() {
        return over::press(list, overlay, key);
    }
    if list.filtering {
        filter(list, key);
        return Vec::new();
    }
    if key == "esc" {
        list.toast = None;
        list.filter = Line::default();
        list.go_to(list.cursor());
        return Vec::new();
    }
    match action::of(key, Screen::Runs, Pane::Heatmap).map(|entry| entry.action) {
        Some(Action::List(action)) => act(list, action),
        _ => Vec::new(),
    }
}

fn filter(list: &mut Runs, key: &str) {
    match key {
        "enter" => list.filtering = false,
        "esc" => {
            list.filtering = false;
            list.filter = Line::default();
        }
        "up" => list.go_to(list.cursor().saturating_sub(1)),
        "down" => list.go_to(list.cursor() + 1),
        _ => drop(list.filter.key(key)),
    }
    if !matches!(key, "up" | "down") {
        list.go_to(list.cursor());
    }
}

/// Does what an action says.
pub(super) fn act(list: &mut Runs, action: List) -> Vec<Effect> {
    match action {
        List::Up => list.go_to(list.cursor().saturating_sub(1)),
        List::Down => list.go_to(list.cursor() + 1),
        List::PageUp => list.go_to(list.cursor().saturating_sub(PAGE)),
        List::PageDown => list.go_to(list.cursor() + PAGE),
        List::First => list.go_to(0),
        List::Last => list.go_to(usize::MAX),
        List::Filter => list.filtering = true,
        List::Order => {
            let at = Column::ALL.iter().position(|c| *c == list.order.0).unwrap_or(0);
            let column = Column::ALL[(at + 1) % Column::ALL.len()];
            list.order = (column, column.falls());
            list.go_to(list.cursor());
        }
        List::Reverse => {
            list.order.1 = !list.order.1;
            list.go_to(list.cursor());
        }
        List::Compare => return compare(list),
        List::Help => {
            list.reach.forget();
            list.overlay = Some(Overlay::Help { top: 0 });
        }
        List::Demo => {
            toast(list, "starting the demo");
            return vec![Effect::Demo];
        }
        List::New => return vec![Effect::New],
        List::Edit => {
            list.overlay = Some(Overlay::Pick(Picker::new("open a recipe", false, list.ground.clone())));
            return vec![Effect::Recipes(list.ground.folder.clone())];
        }
        List::Palette => list.overlay = Some(Overlay::Palette(Palette::new(Screen::Runs, Pane::Heatmap))),
        List::Theme => list.overlay = Some(Overlay::Themes(Choice::new(&list.themes))),
        List::Redraw => return vec![Effect::Redraw],
        List::Suspend => return vec![Effect::Suspend],
        List::Quit => return vec![Effect::Quit],
        _ => {
            let Some(row) = list.current().cloned() else {
                toast(list, "there is no run under the cursor");
                return Vec::new();
            };
            return act_on(list, &row, action);
        }
    }
    Vec::new()
}

/// What concerns the run under the cursor.
fn act_on(list: &mut Runs, row: &Summary, action: List) -> Vec<Effect> {
    let (path, name, word) = (row.path.clone(), row.name.clone(), row.state.word());
    let alive = matches!(row.state, RunState::Running | RunState::Paused);
    if let Some(kind) = row.study {
        let what = kind.word();
        match action {
            List::Watch => return vec![Effect::Study(path)],
            List::Mark | List::Clone | List::Pause => {
                toast(list, format!("{name} is a folder of runs ({what}); enter opens it"));
                return Vec::new();
            }
            _ => {}
        }
    }
    match action {
        List::Watch if row.state == RunState::Created => toast(list, format!("{name} has had no worker; r starts one")),
        List::Watch => return vec![Effect::Watch(path)],
        List::Mark => {
            if !list.marked.remove(&path) {
                list.marked.insert(path);
            }
            list.go_to(list.cursor() + 1);
        }
        List::Pause | List::Stop if !alive => toast(list, format!("{name} is {word}: it has no worker")),
        List::Pause => {
            let command = if row.state == RunState::Paused { Command::Resume } else { Command::Pause };
            return vec![Effect::Send(path, command)];
        }
        List::Stop => list.overlay = Some(Overlay::Ask { question: Question::Stop, path, name, yes: false }),
        List::Resume if alive || row.state == RunState::Finished => {
            toast(list, format!("{name} is {word}: there is nothing to resume"));
        }
        List::Resume => {
            toast(list, format!("starting a worker on {name}"));
            return vec![Effect::Resume(path)];
        }
        List::Delete if alive => toast(list, format!("{name} is {word}: stop it before you delete it")),
        List::Delete => list.overlay = Some(Overlay::Ask { question: Question::Delete, path, name, yes: false }),
        List::Tags | List::Note => {
            if let Some(error) = &row.notes_error {
                toast(list, format!("not edited, so that nothing is lost: {error}"));
                return Vec::new();
            }
            let (edit, text) = match action {
                List::Tags => (Edit::Tags, row.notes.tags.join(" ")),
                _ => (Edit::Note, row.notes.note.clone()),
            };
            let mut line = Line::default();
            line.insert(&text);
            list.overlay = Some(Overlay::Edit { edit, path, name, line });
        }
        List::Clone => return vec![Effect::Clone(path)],
        List::Log => {
            list.overlay = Some(Overlay::Log { path: path.clone(), name, lines: Vec::new(), back: 0 });
            return vec![Effect::ReadLog(path)];
        }
        _ => {}
    }
    Vec::new()
}

fn compare(list: &mut Runs) -> Vec<Effect> {
    let marked = list.marked();
    match marked.len() {
        0 | 1 => toast(list, "mark two runs or more with the space bar, then compare them"),
        n if n > MOST => toast(list, format!("{n} runs are marked; up to {MOST} can be compared")),
        _ => return vec![Effect::Compare(marked)],
    }
    Vec::new()
}
