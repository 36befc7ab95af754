//! A picker: a line to type in, below it what fits; what cannot be picked is dim, with the reason.

use super::fit;
use super::overlay::{centred, window};
use super::palette::{boxed, edges, first};
use crate::app::picker::{Item, Picker};
use crate::theme::Theme;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

/// Columns and most rows, borders included.
const SIZE: (u16, u16) = (100, 20);

/// Draws it over `area`.
pub fn draw(picker: &Picker, theme: &Theme, frame: &mut Frame<'_>, area: Rect) {
    // The box keeps its size while the user types.
    let inner = boxed(&picker.title, theme, frame, centred(area, SIZE.0, SIZE.1));
    if inner.height == 0 || inner.width < 4 {
        return;
    }
    let width = usize::from(inner.width);
    let (text, column) = window(picker.input.text(), picker.input.cursor(), width - 3);
    let mut lines = vec![Line::from(vec![Span::styled("> ", theme.accent), Span::styled(text, theme.text)])];
    let below = below(picker, theme, width, usize::from(inner.height / 3).max(1));
    let shown = usize::from(inner.height).saturating_sub(1 + below.len());
    if picker.found.is_empty() && shown > 0 {
        let sentence = if picker.is_waiting() {
            "looking ..."
        } else if !picker.takes_paths() {
            "nothing has these letters in this order"
        } else if picker.input.text().is_empty() {
            "nothing was found; a path can be typed"
        } else {
            "nothing fits; enter takes it as a path"
        };
        lines.push(Line::styled(fit::cut(sentence, width, theme), theme.dim));
    }
    let label = picker.found.iter().map(|i| fit::width(&name(i))).max().unwrap_or(0).min(width * 3 / 5);
    for (i, item) in picker.found.iter().enumerate().skip(first(picker.at, shown)).take(shown) {
        let about = item.problem.as_ref().unwrap_or(&item.detail);
        let room = width.saturating_sub(label + 2);
        let about = fit::pad(about, room, theme);
        let name = fit::pad(&name(item), label, theme);
        lines.push(if i == picker.at {
            let style = if item.problem.is_some() { theme.dim.patch(theme.selected()) } else { theme.selected() };
            Line::styled(fit::pad(&format!("{name}  {about}"), width, theme), style)
        } else {
            let style = if item.problem.is_some() { theme.dim } else { theme.text };
            Line::from(vec![Span::styled(format!("{name}  "), style), Span::styled(about, theme.dim)])
        });
    }
    frame.render_widget(Paragraph::new(lines), Rect { height: inner.height - below.len() as u16, ..inner });
    let place = Rect { y: inner.bottom() - below.len() as u16, height: below.len() as u16, ..inner };
    frame.render_widget(Paragraph::new(below), place);
    let top = first(picker.at, shown);
    let list = Rect { y: inner.y + 1, height: shown as u16, ..inner };
    edges(theme, frame, list, (top > 0, top + shown < picker.found.len()));
    frame.set_cursor_position((inner.x + 2 + column as u16, inner.y));
}

fn name(item: &Item) -> String {
    if item.folder && item.detail.is_empty() { format!("{}/", item.label) } else { item.label.clone() }
}

/// Why it was not picked, what is wrong with what is under the cursor, or what can be done.
fn below(picker: &Picker, theme: &Theme, width: usize, most: usize) -> Vec<Line<'static>> {
    let problem = picker.found.get(picker.at).and_then(|item| item.problem.as_ref());
    let (text, style) = match (&picker.note, problem) {
        (Some(note), _) => (note.clone(), theme.warn),
        (None, Some(problem)) => (problem.clone(), theme.warn),
        (None, None) => match picker.found.get(picker.at) {
            Some(item) if item.value.is_absolute() => {
                (crate::text::printable(&item.value.display().to_string()).into_owned(), theme.dim)
            }
            _ if !picker.takes_paths() => ("letters find, enter goes there, esc leaves".to_owned(), theme.dim),
            _ => ("letters find, a / goes through folders, tab completes".to_owned(), theme.dim),
        },
    };
    fit::limit(fit::wrap(&[(text.as_str(), style)], width), most, width, theme)
}
