//! What lies over the form: words to choose from, pickers, questions, the keys.

use super::{estimate, evaluate, fetch, hub};
use crate::app::action::{Action, Entry, Screen};
use crate::app::setup::{Left, Menu, Overlay, Question, Setup};
use crate::theme::Theme;
use crate::ui::runs::table::ago;
use crate::ui::{fit, overlay, palette, picker};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

/// Lines from `top` on, never beyond the last page, with a mark where there are more.
pub(super) fn scrolled(lines: Vec<Line<'static>>, top: usize, theme: &Theme, frame: &mut Frame<'_>, area: Rect) {
    let rows = usize::from(area.height);
    let last = lines.len().saturating_sub(rows);
    let first = top.min(last);
    let shown: Vec<Line<'_>> = lines.into_iter().skip(first).take(rows).collect();
    frame.render_widget(Paragraph::new(shown), area);
    overlay::beyond((first > 0, first < last), theme, frame, area);
}

/// Draws the overlay, if there is one.
pub fn draw(setup: &Setup, theme: &Theme, frame: &mut Frame<'_>, area: Rect) {
    match &setup.overlay {
        // A comparison takes the place of the form.
        None | Some(Overlay::Compare { .. }) => {}
        Some(Overlay::Help { top }) => {
            let lines = overlay::help(Screen::Setup, true, theme);
            setup.over.note(overlay::reaching("keys", lines, *top, theme, frame, area));
        }
        Some(Overlay::Menu(menu)) => words(menu, theme, frame, area),
        Some(Overlay::Fetch { top }) => setup.over.note(fetch::draw(&setup.hub, *top, theme, frame, area)),
        Some(Overlay::Pick(_, open)) => match &open.far {
            Some(far) => hub::draw(setup, open, far, theme, frame, area),
            None => picker::draw(open, theme, frame, area),
        },
        Some(Overlay::Palette(found)) => {
            let works = |e: &Entry| !matches!(e.action, Action::Form(form) if !setup.works(form));
            palette::draw(found, works, theme, frame, area);
        }
        Some(Overlay::Themes(choice)) => palette::themes(&setup.themes, choice, theme, frame, area),
        Some(Overlay::Evaluate(asked)) => evaluate::draw(asked, theme, frame, area),
        Some(Overlay::SaveAs(line, error)) => {
            let hint = "a name, or a path from the recipe's folder; enter saves, esc does not";
            let below = error.as_ref().map_or((hint, theme.dim), |e| (e.as_str(), theme.warn));
            overlay::input("save a copy as", line, below, theme, frame, area);
        }
        Some(Overlay::Ask { question, at }) => ask(setup, question, *at, theme, frame, area),
    }
}

fn words(menu: &Menu, theme: &Theme, frame: &mut Frame<'_>, area: Rect) {
    let width = menu.words.iter().map(|w| w.len()).max().unwrap_or(0) + 4;
    let hint = if menu.several.is_some() { "space: on, off; enter keeps" } else { "enter takes, esc leaves" };
    let width = width.max(hint.len());
    let mut lines: Vec<Line<'_>> = menu
        .words
        .iter()
        .enumerate()
        .map(|(i, word)| {
            let on = menu.several.as_ref().map(|all| all.get(i).copied().unwrap_or(false));
            let mark = match on {
                Some(true) => "[x] ",
                Some(false) => "[ ] ",
                None => "",
            };
            let style = if i == menu.at { theme.selected() } else { theme.text };
            Line::styled(fit::pad(&format!("{mark}{word}"), width, theme), style)
        })
        .collect();
    // A small window shows the words around the cursor.
    let room = usize::from(area.height).saturating_sub(3).max(1);
    let first = (menu.at + 1).saturating_sub(room);
    lines = lines.into_iter().skip(first).take(room).collect();
    lines.push(Line::styled(hint, theme.dim));
    overlay::popup(format!(" {} ", menu.place.setting().name), lines, theme, frame, area);
}

/// What an earlier form has left.
fn left_over(name: &str, left: &Left, more: usize, there: bool) -> String {
    let mut text = format!("{name} has changes that were never saved, the last of them {}.", ago(left.age));
    if left.older {
        text += if there {
            " The file was written since then: restoring brings back the older text with the changes."
        } else {
            " The file that they were made in is gone."
        };
    }
    match more {
        0 => {}
        1 => text += " There is one more such copy, for the next time.",
        n => text += &format!(" There are {n} more such copies, for the next times."),
    }
    text
}

fn ask(setup: &Setup, question: &Question, at: usize, theme: &Theme, frame: &mut Frame<'_>, area: Rect) {
    let width = usize::from(area.width).saturating_sub(4).min(68);
    let name = setup.name();
    let (title, mut lines) = match question {
        Question::Unsaved(_) => {
            (" not saved ", fit::wrap(&[(&format!("{name} has changes that are not saved."), theme.text)], width))
        }
        Question::Overwrite(path, _) => {
            let path = crate::text::printable(&path.display().to_string()).into_owned();
            let text = format!("{path} is there, and is not what this form has read or written.");
            (" replace ", fit::wrap(&[(&text, theme.warn)], width))
        }
        Question::Restore { left, more, there } => {
            (" never saved ", fit::wrap(&[(&left_over(&name, left, *more, *there), theme.text)], width))
        }
        Question::Start => {
            let asks = if setup.is_changed() {
                format!("Save {name} and start a run of it?")
            } else {
                format!("Start a run of {name}?")
            };
            let mut lines = fit::wrap(&[(&asks, theme.text)], width);
            match &setup.seen.estimate {
                Some(Ok(estimate)) => {
                    let style = if estimate::is_tight(estimate) { theme.bad } else { theme.text };
                    lines.extend(fit::wrap(&[(&estimate::needs(estimate), style)], width));
                    lines.extend(fit::wrap(&[(&estimate::takes(estimate), theme.text)], width));
                }
                _ => lines.extend(fit::wrap(&[("memory and time are not known yet", theme.dim)], width)),
            }
            if let Some((bytes, all)) = setup.to_fetch() {
                let least = if all { "" } else { "at least " };
                let text = format!("{least}{} are fetched from the hub first", crate::run::estimate::bytes(bytes));
                lines.extend(fit::wrap(&[(&text, theme.accent)], width));
            }
            (" start ", lines)
        }
    };
    let mut spans = Vec::new();
    for (i, (key, label)) in question.answers().iter().enumerate() {
        let style = if i == at { theme.selected() } else { theme.text };
        spans.push(Span::styled(format!(" {label} ({key}) "), style));
        spans.push(Span::raw(" "));
    }
    let answers = Line::from(spans);
    let answers = if answers.width() <= width {
        vec![answers]
    } else {
        // One below the other where they have no room beside each other.
        answers.spans.into_iter().filter(|s| s.width() > 1).map(Line::from).collect()
    };
    // In a small window the answers are what is needed.
    let room = usize::from(area.height).saturating_sub(3 + answers.len()).max(1);
    lines = fit::limit(lines, room, width, theme);
    lines.push(Line::default());
    lines.extend(answers);
    overlay::popup(title.to_owned(), lines, theme, frame, area);
}
