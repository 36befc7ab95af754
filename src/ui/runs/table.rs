//! One line a run: as many columns as fit, the least weighty left out first.

use crate::app::clean;
use crate::app::runs::{Column, Runs, order};
use crate::run::RunState;
use crate::run::listing::Summary;
use crate::study::Kind;
use crate::theme::Theme;
use crate::ui::{fit, status};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

/// What stands in a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cell {
    Mark,
    State,
    Name,
    Progress,
    Figure(Column),
    Note,
}

/// A column: what, least width, how much it matters.
const COLUMNS: [(Cell, usize, u8); 11] = [
    (Cell::Mark, 1, 10),
    (Cell::State, 10, 9),
    (Cell::Name, 12, 10),
    (Cell::Progress, 13, 8),
    (Cell::Figure(Column::Train), 6, 5),
    (Cell::Figure(Column::Dev), 6, 7),
    (Cell::Figure(Column::Rouge), 8, 6),
    (Cell::Figure(Column::Sparsity), 9, 2),
    (Cell::Figure(Column::Started), 10, 4),
    (Cell::Figure(Column::Duration), 6, 1),
    (Cell::Note, 12, 3),
];

/// Columns and their widths for a table of `width`; `name` and `note` are what the longest of them take.
fn columns(width: usize, name: usize, note: usize) -> Vec<(Cell, usize)> {
    let mut all: Vec<(Cell, usize, u8)> =
        COLUMNS.into_iter().filter(|(cell, ..)| *cell != Cell::Note || note > 0).collect();
    let taken = |all: &[(Cell, usize, u8)]| all.iter().map(|c| c.1 + 1).sum::<usize>().saturating_sub(1);
    // Half of a long name is kept before a column is.
    let least = name.clamp(8, 24);
    all.iter_mut().filter(|c| c.0 == Cell::Name).for_each(|c| c.1 = least);
    while taken(&all) > width && all.len() > 2 {
        let at = all.iter().enumerate().min_by_key(|(_, c)| c.2).map_or(0, |(i, _)| i);
        all.remove(at);
    }
    let mut free = width.saturating_sub(taken(&all));
    for (cell, wanted) in [(Cell::Name, name), (Cell::Note, note)] {
        if let Some(column) = all.iter_mut().find(|c| c.0 == cell) {
            let more = wanted.saturating_sub(column.1).min(free);
            column.1 += more;
            free -= more;
        }
    }
    let over = taken(&all).saturating_sub(width);
    all.iter_mut().filter(|c| c.0 == Cell::Name).for_each(|c| c.1 = c.1.saturating_sub(over));
    all.into_iter().map(|(cell, width, _)| (cell, width)).collect()
}

/// Draws the table with its head; the cursor's row is always in sight.
pub fn draw(list: &Runs, shown: &[&Summary], theme: &Theme, frame: &mut Frame<'_>, area: Rect) {
    let inner = Rect { x: area.x + 1, width: area.width.saturating_sub(2), ..area };
    let width = usize::from(inner.width);
    let name = shown.iter().map(|row| fit::width(&row.name)).max().unwrap_or(0);
    let note = shown.iter().map(|row| fit::width(&note(row))).max().unwrap_or(0);
    let columns = columns(width, name, note);
    let rows = usize::from(inner.height).saturating_sub(1).max(1);
    let cursor = list.cursor();
    let first = (cursor + 1).saturating_sub(rows.div_ceil(2)).min(shown.len().saturating_sub(rows));
    let mut lines = vec![head(list, &columns, theme)];
    for (i, row) in shown.iter().enumerate().skip(first).take(rows) {
        lines.push(line(list, row, i == cursor, &columns, width, theme));
    }
    frame.render_widget(Paragraph::new(lines), inner);
    let (above, below) = (first > 0, first + rows < shown.len());
    let x = area.right() - 1;
    if above {
        frame.render_widget(Span::styled(theme.glyphs.more[2], theme.accent), Rect::new(x, area.y + 1, 1, 1));
    }
    if below {
        frame.render_widget(Span::styled(theme.glyphs.more[3], theme.accent), Rect::new(x, area.bottom() - 1, 1, 1));
    }
}

fn head(list: &Runs, columns: &[(Cell, usize)], theme: &Theme) -> Line<'static> {
    let (by, falls) = list.order;
    let mut spans = Vec::new();
    for (cell, width) in columns {
        let (label, column) = match cell {
            Cell::Mark => ("", None),
            Cell::State => (Column::State.label(), Some(Column::State)),
            Cell::Name => (Column::Name.label(), Some(Column::Name)),
            Cell::Progress => ("stage    step", None),
            Cell::Figure(column) => (column.label(), Some(*column)),
            Cell::Note => ("note", None),
        };
        let here = column == Some(by);
        let way = if here { theme.glyphs.more[if falls { 3 } else { 2 }] } else { "" };
        let text = format!("{label}{way}");
        let style = if here { theme.accent } else { theme.dim };
        let text = fit::cut(&text, *width, theme);
        let text = if matches!(cell, Cell::Figure(_)) { right(&text, *width) } else { fit::pad(&text, *width, theme) };
        spans.extend([Span::styled(text, style), Span::raw(" ")]);
    }
    Line::from(spans)
}

fn right(text: &str, width: usize) -> String {
    format!("{}{text}", " ".repeat(width.saturating_sub(fit::width(text))))
}

fn line(
    list: &Runs,
    row: &Summary,
    here: bool,
    columns: &[(Cell, usize)],
    width: usize,
    theme: &Theme,
) -> Line<'static> {
    let (glyph, state) = status::state(theme, row.state);
    let mut spans = Vec::new();
    for (i, (cell, width)) in columns.iter().enumerate() {
        let (text, style): (String, Style) = match cell {
            Cell::Mark if list.marked.contains(&row.path) => (theme.glyphs.pending.to_owned(), theme.accent),
            Cell::Mark => (" ".to_owned(), theme.text),
            Cell::State => (fit::pad(&format!("{glyph} {}", row.state.word()), *width, theme), state),
            Cell::Name => (fit::pad(&row.name, *width, theme), theme.text),
            Cell::Progress => (fit::pad(&progress(row, theme), *width, theme), theme.text),
            Cell::Figure(column) => {
                let text = figure(row, *column, list.now);
                let style = if text.is_some() { theme.text } else { theme.dim };
                (right(text.as_deref().unwrap_or(theme.glyphs.none), *width), style)
            }
            Cell::Note => (fit::pad(&note(row), *width, theme), theme.dim),
        };
        if i > 0 {
            spans.push(Span::raw(" "));
        }
        spans.push(Span::styled(text, style));
    }
    if here {
        let used: usize = spans.iter().map(Span::width).sum();
        spans.push(Span::raw(" ".repeat(width.saturating_sub(used))));
        for span in &mut spans {
            span.style = theme.under_cursor(span.style);
        }
    }
    Line::from(spans)
}

/// `2/5   14/120`: number of the stage, step of the stage. Of a study `eval 1/3`: runs that are finished.
pub fn progress(row: &Summary, theme: &Theme) -> String {
    if let Some(kind) = row.study {
        let word = match kind {
            Kind::Evaluation => "eval",
            Kind::Sweep => "sweep",
        };
        return format!("{word} {}/{}", row.stage.0, row.stage.1);
    }
    if row.stage.1 == 0 {
        return theme.glyphs.none.to_owned();
    }
    let short = |n: usize| if n < 10_000 { n.to_string() } else { crate::text::short(n as u64) };
    let stage = format!("{}/{}", row.stage.0, row.stage.1);
    let step = if row.step.1 > 0 { format!("{}/{}", short(row.step.0), short(row.step.1)) } else { String::new() };
    format!("{stage:<4}{step:>9}").trim_end().to_owned()
}

/// A figure as the table shows it.
pub fn figure(row: &Summary, column: Column, now: f64) -> Option<String> {
    let loss = |v: Option<f64>| v.map(|v| if v < 1000.0 { format!("{v:.3}") } else { format!("{v:.0}") });
    match column {
        Column::Train => loss(row.train_loss),
        Column::Dev => loss(row.dev_loss),
        Column::Rouge => row.rouge.map(|r| format!("{:.2}", r.rouge_l)),
        Column::Sparsity => row.sparsity.map(|s| format!("{:.1} %", 100.0 * s)),
        Column::Started => Some(ago(now - row.started)),
        Column::Duration => Some(took(row, now)),
        Column::State | Column::Name => None,
    }
}

/// How long a run took. One under way says whole minutes: a list that nobody touches is not written every second.
fn took(row: &Summary, now: f64) -> String {
    let seconds = order::duration(row, now);
    match seconds as u64 / 60 {
        _ if row.state != RunState::Running => fit::duration(seconds),
        0 => "< 1 min".to_owned(),
        minutes @ 1..60 => format!("{minutes} min"),
        minutes => fit::duration(minutes as f64 * 60.0),
    }
}

/// `just now`, `5 min ago`, `3 h ago`, `2 d ago`.
pub fn ago(seconds: f64) -> String {
    let s = seconds.clamp(0.0, 1e10) as u64;
    match s {
        0..60 => "just now".to_owned(),
        60..3600 => format!("{} min ago", s / 60),
        3600..86_400 => format!("{} h ago", s / 3600),
        _ => format!("{} d ago", s / 86_400),
    }
}

/// Tags, then the note.
fn note(row: &Summary) -> String {
    let mut text: Vec<String> = row.notes.tags.iter().map(|tag| format!("#{tag}")).collect();
    if !row.notes.note.is_empty() {
        // As it is in its file, so that it is written back unchanged: harmless only here.
        text.push(clean::line(&row.notes.note));
    }
    text.join(" ")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn columns_fit_and_the_least_weighty_go_first() {
        for width in 4..250 {
            for (name, note) in [(3, 0), (26, 0), (60, 40)] {
                let all = columns(width, name, note);
                let taken = all.iter().map(|c| c.1 + 1).sum::<usize>() - 1;
                assert!(taken <= width, "{width}: {all:?}");
            }
        }
        let names = |width| columns(width, 20, 20).into_iter().map(|c| c.0).collect::<Vec<_>>();
        assert!(names(78).contains(&Cell::Figure(Column::Rouge)) && !names(78).contains(&Cell::Note));
        assert_eq!(names(38), [Cell::Mark, Cell::State, Cell::Name]);
        assert_eq!(names(190).len(), COLUMNS.len());
    }

    #[test]
    fn a_note_from_a_file_reaches_no_terminal_raw() {
        let mut row = Summary::default();
        row.notes.note = "a\u{1b}[2J\u{202e}b\nc".into();
        assert_eq!(note(&row), "a\\u{1b}[2J\\u{202e}b↵c");
        let theme = Theme::find("mono", crate::theme::Depth::None, true).unwrap();
        let lines = super::super::details::about(&row, 0.0, &theme, 60);
        let shown: String = lines.iter().flat_map(|l| &l.spans).map(|s| s.content.as_ref()).collect();
        assert!(shown.contains("[2J") && !shown.contains(['\u{1b}', '\u{202e}', '\n']), "{shown:?}");
    }

    #[test]
    fn ages_are_coarse_so_that_they_do_not_flicker() {
        assert_eq!([5.0, 130.0, 7300.0, 200_000.0].map(ago), ["just now", "2 min ago", "2 h ago", "2 d ago"]);
        // A run under way changes once a minute, a paused one not at all.
        let mut row = Summary { started: 1000.0, last: 1030.0, state: RunState::Running, ..Summary::default() };
        let shown = |row: &Summary, now: f64| figure(row, Column::Duration, 1000.0 + now).unwrap();
        assert_eq!([59.0, 60.0, 119.0, 3599.0].map(|now| shown(&row, now)), ["< 1 min", "1 min", "1 min", "59 min"]);
        assert_eq!([7200.0, 7259.0, 90_000.0].map(|now| shown(&row, now)), ["2h00", "2h00", "1d01h"]);
        row.state = RunState::Paused;
        assert_eq!([40.0, 4000.0].map(|now| shown(&row, now)), ["0:30", "0:30"]);
    }
}
