//! What lies over the list: questions, lines to fill in, a log, the keys.

use crate::app::action::{Action, Entry, Screen};
use crate::app::runs::{Edit, Overlay, Question, Runs};
use crate::theme::Theme;
use crate::ui::{block, fit, overlay, palette};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Line;
use ratatui::widgets::{Clear, Paragraph};

/// Draws the overlay, if there is one.
pub fn draw(list: &Runs, theme: &Theme, frame: &mut Frame<'_>, area: Rect) {
    match &list.overlay {
        // A comparison takes the place of the list.
        None | Some(Overlay::Compare { .. }) => {}
        Some(Overlay::Help { top }) => {
            let lines = overlay::help(Screen::Runs, true, theme);
            list.reach.note(overlay::reaching("keys", lines, *top, theme, frame, area));
        }
        Some(Overlay::Ask { question, path, name, yes }) => {
            let width = usize::from(area.width).saturating_sub(4).min(72);
            let (title, asks, then) = match question {
                Question::Stop => (" stop ", format!("Stop {name} with a checkpoint?"), "r goes on from there."),
                Question::Delete if list.rows.iter().any(|row| row.path == *path && row.study.is_some()) => (
                    " delete ",
                    format!("Delete {name} with all its runs and tables?"),
                    "They cannot be brought back. Nothing else is touched.",
                ),
                Question::Delete => (
                    " delete ",
                    format!("Delete {name} with its checkpoints and its result?"),
                    "It cannot be brought back. Nothing else is touched.",
                ),
            };
            let mut lines = fit::wrap(&[(asks.as_str(), theme.text)], width);
            lines.extend(fit::wrap(&[(then, theme.dim)], width));
            lines.extend([Line::default(), overlay::answers(theme, *yes)]);
            overlay::popup(title.to_owned(), lines, theme, frame, area);
        }
        Some(Overlay::Palette(found)) => {
            let works = |e: &Entry| !matches!(e.action, Action::List(action) if !list.works(action));
            palette::draw(found, works, theme, frame, area);
        }
        Some(Overlay::Themes(choice)) => palette::themes(&list.themes, choice, theme, frame, area),
        Some(Overlay::Pick(open)) => crate::ui::picker::draw(open, theme, frame, area),
        Some(Overlay::Edit { edit, name, line, .. }) => {
            let (what, hint) = match edit {
                Edit::Tags => ("tags", "words, with or without #; enter keeps them, esc leaves them"),
                Edit::Note => ("note", "a sentence; enter keeps it, esc leaves it"),
            };
            let title = fit::cut(&format!("{what} of {name}"), 56, theme);
            overlay::input(&title, line, (hint, theme.dim), theme, frame, area);
        }
        Some(Overlay::Log { name, lines, back, .. }) => {
            let place = Rect { y: area.y + 1, height: area.height.saturating_sub(2), ..area };
            let up = if *back > 0 { format!(", {back} lines up") } else { String::new() };
            let title = format!(" worker.log of {name}{up} ");
            let title = fit::cut(&title, usize::from(area.width).saturating_sub(4), theme);
            frame.render_widget(Clear, place);
            let block = block(theme, title, true);
            let inner = block.inner(place);
            frame.render_widget(block, place);
            log(lines, *back, theme, frame, Rect { x: inner.x + 1, width: inner.width.saturating_sub(2), ..inner });
        }
    }
}

fn log(lines: &[String], back: usize, theme: &Theme, frame: &mut Frame<'_>, area: Rect) {
    let (width, height) = (usize::from(area.width), usize::from(area.height));
    if lines.is_empty() {
        let text = "worker.log is empty: the worker printed nothing. What happened in the run is in its own log \
                    (enter, then 5).";
        frame.render_widget(Paragraph::new(fit::wrap(&[(text, theme.dim)], width)), area);
        return;
    }
    // Wrapped from the end, as far as there is room.
    let mut shown = Vec::new();
    for line in lines[..lines.len() - back.min(lines.len() - 1)].iter().rev() {
        shown.extend(fit::wrap(&[(line.as_str(), theme.text)], width).into_iter().rev());
        if shown.len() >= height {
            break;
        }
    }
    shown.truncate(height);
    shown.reverse();
    frame.render_widget(Paragraph::new(shown), area);
}
