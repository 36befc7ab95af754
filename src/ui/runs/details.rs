//! The run under the cursor, beside the list.

use crate::app::clean;
use crate::app::runs::{Column, Runs};
use crate::run::listing::Summary;
use crate::text::counted;
use crate::theme::Theme;
use crate::ui::{block, fit, status};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use super::table::{ago, figure, progress};

/// Columns of the labels.
const LABEL: usize = 10;
/// Lines of the last message.
const SAID: usize = 6;

/// Draws it, or says that there is none.
pub fn draw(list: &Runs, theme: &Theme, frame: &mut Frame<'_>, area: Rect) {
    let row = list.current();
    let title = row.map_or_else(|| " no run ".to_owned(), |row| format!(" {} ", row.name));
    let title = fit::cut(&title, usize::from(area.width).saturating_sub(4), theme);
    let block = block(theme, title, false);
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let inner = Rect { x: inner.x + 1, width: inner.width.saturating_sub(2), ..inner };
    let width = usize::from(inner.width);
    let lines = match row {
        Some(row) => about(row, list.now, theme, width),
        None => fit::wrap(&[("what is known of the run under the cursor stands here", theme.dim)], width),
    };
    let lines = fit::limit(lines, usize::from(inner.height), width, theme);
    frame.render_widget(Paragraph::new(lines), inner);
}

/// What is known of a run, in lines of `width`.
pub(super) fn about(row: &Summary, now: f64, theme: &Theme, width: usize) -> Vec<Line<'static>> {
    let (glyph, style) = status::state(theme, row.state);
    let mut lines = Vec::new();
    let state = format!("{glyph} {}", row.state.word());
    add(&mut lines, "state", &state, style.add_modifier(Modifier::BOLD), width, theme);
    if !row.said.is_empty() {
        let said = fit::wrap(&[(row.said.as_str(), style)], width);
        lines.extend(fit::limit(said, SAID, width, theme));
        lines.push(Line::default());
    }
    if let Some(kind) = row.study {
        let runs = format!("{}, {} of {} finished", kind.word(), row.stage.0, counted(row.stage.1, "run"));
        add(&mut lines, "what", &runs, theme.text, width, theme);
    } else if row.stage.1 > 0 {
        add(&mut lines, "stage", &progress(row, theme), theme.text, width, theme);
        add(&mut lines, "", &row.method, theme.text, width, theme);
    }
    for (label, column) in [("train loss", Column::Train), ("dev loss", Column::Dev), ("sparsity", Column::Sparsity)] {
        if let Some(text) = figure(row, column, now) {
            add(&mut lines, label, &text, theme.text, width, theme);
        }
    }
    if let Some(rouge) = row.rouge {
        let text = format!("1: {:.2}, 2: {:.2}, L: {:.2}", rouge.rouge1, rouge.rouge2, rouge.rouge_l);
        add(&mut lines, "ROUGE", &text, theme.text, width, theme);
    }
    let took = figure(row, Column::Duration, now).unwrap_or_default();
    add(&mut lines, "started", &format!("{}, took {took}", ago(now - row.started)), theme.text, width, theme);
    lines.push(Line::default());
    if row.study.is_some() {
        lines.extend(fit::wrap(&[("enter opens its table", theme.dim)], width));
    } else if let Some(error) = &row.about.error {
        lines.extend(fit::wrap(&[(error.as_str(), theme.bad)], width));
    } else {
        add(&mut lines, "base", &row.about.base, theme.text, width, theme);
        for (i, (name, role)) in row.about.adapters.iter().enumerate() {
            let label = if i == 0 { "adapters" } else { "" };
            add(&mut lines, label, &format!("{name} ({role})"), theme.text, width, theme);
        }
        for (label, path) in ["train", "dev", "test"].into_iter().zip(&row.about.data) {
            add(&mut lines, label, path, theme.text, width, theme);
        }
    }
    lines.push(Line::default());
    if !row.notes.tags.is_empty() {
        add(&mut lines, "tags", &row.notes.tags.join(" "), theme.accent, width, theme);
    }
    if !row.notes.note.is_empty() {
        add(&mut lines, "note", &clean::text(&row.notes.note), theme.text, width, theme);
    }
    if let Some(error) = &row.notes_error {
        lines.extend(fit::wrap(&[(error.as_str(), theme.warn)], width));
    }
    let path = crate::text::printable(&row.path.display().to_string()).into_owned();
    add(&mut lines, "path", &path, theme.dim, width, theme);
    lines
}

/// A label and its text, wrapped beside it.
fn add(lines: &mut Vec<Line<'static>>, label: &str, text: &str, style: Style, width: usize, theme: &Theme) {
    for (i, mut line) in fit::wrap(&[(text, style)], width.saturating_sub(LABEL + 1)).into_iter().enumerate() {
        let label = if i == 0 { label } else { "" };
        line.spans.insert(0, Span::styled(format!("{label:<LABEL$} "), theme.dim));
        lines.push(line);
    }
}
