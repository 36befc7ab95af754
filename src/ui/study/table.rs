//! One line a row: as many columns as fit, the least weighty left out first.

use crate::app::study::{Study, best};
use crate::run::RunState;
use crate::study::standing::{Cell, Line as Row, Standing};
use crate::theme::Theme;
use crate::ui::{fit, status};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

/// Columns that a name has at least.
const NAME: usize = 14;
/// The columns whose best value stands out.
const RANKED: [&str; 3] = ["R-L", "loss", "dev loss"];

/// A column that is shown: which, its width, and whether it has marks.
struct Place {
    at: usize,
    width: usize,
    marks: usize,
}

impl Place {
    fn taken(&self) -> usize {
        self.width + self.marks + 2
    }
}

/// The columns that fit beside names of so many columns into `width`, and what is left for the names.
fn places(standing: &Standing, name: usize, width: usize) -> (usize, Vec<Place>) {
    let mut all: Vec<Place> = (0..standing.heads.len())
        .map(|at| {
            let cells = || standing.lines.iter().filter_map(|line| line.cells.get(at));
            let texts = cells().map(|cell| fit::width(&cell.text));
            // One more for the arrow of the order.
            let width = texts.chain([fit::width(&standing.heads[at].name) + 1]).max().unwrap_or(0);
            Place { at, width, marks: cells().map(|cell| cell.mark.len()).max().unwrap_or(0) }
        })
        .collect();
    let taken = |all: &[Place]| all.iter().map(Place::taken).sum::<usize>();
    let least = name.min(NAME.max(width / 3));
    while least + taken(&all) > width && !all.is_empty() {
        let weight = |place: &Place| standing.heads[place.at].weight;
        let lightest = all.iter().enumerate().min_by_key(|(i, place)| (weight(place), usize::MAX - i)).map(|(i, _)| i);
        all.remove(lightest.unwrap_or(0));
    }
    (name.min(width.saturating_sub(taken(&all))), all)
}

/// Draws the table with its head; the cursor's row is always in sight.
pub(super) fn draw(study: &Study, theme: &Theme, frame: &mut Frame<'_>, area: Rect) {
    let Some(standing) = &study.standing else { return };
    let rows = study.rows();
    if rows.is_empty() {
        frame.render_widget(Line::styled("no run was begun yet", theme.dim), area);
        return;
    }
    let width = usize::from(area.width);
    let several = rows.iter().any(|row| row.parts.len() > 1);
    let counts = if several { rows.iter().map(|row| count(row).len()).max().unwrap_or(0) + 1 } else { 0 };
    let state = 2 + counts;
    let name = rows.iter().map(|row| fit::width(&row.name)).max().unwrap_or(0).max(6);
    let (name, places) = places(standing, name, width.saturating_sub(state));
    let mut lines = vec![head(study, standing, state + name, &places, theme)];
    let shown = usize::from(area.height).saturating_sub(1).max(1);
    let cursor = study.cursor();
    let first = (cursor + 1).saturating_sub(shown.div_ceil(2)).min(rows.len().saturating_sub(shown));
    for (i, row) in rows.iter().enumerate().skip(first).take(shown) {
        let mut line = start(row, (name, counts), theme);
        for place in &places {
            line.extend(cell(standing, row, place, theme));
        }
        if i == cursor {
            let used: usize = line.iter().map(Span::width).sum();
            line.push(Span::raw(" ".repeat(width.saturating_sub(used))));
            for span in &mut line {
                span.style = theme.under_cursor(span.style);
            }
        }
        lines.push(Line::from(line));
    }
    frame.render_widget(Paragraph::new(lines), area);
    for (more, glyph, y) in [(first > 0, 2, area.y + 1), (first + shown < rows.len(), 3, area.bottom() - 1)] {
        if more {
            let place = Rect::new(area.right() - 1, y, 1, 1);
            frame.render_widget(Span::styled(theme.glyphs.more[glyph], theme.accent), place);
        }
    }
}

fn head(study: &Study, standing: &Standing, before: usize, places: &[Place], theme: &Theme) -> Line<'static> {
    let what = match standing.kind {
        crate::study::Kind::Evaluation => "method",
        crate::study::Kind::Sweep => "settings",
    };
    let mut spans = vec![Span::styled(fit::pad(&format!("  {what}"), before, theme), theme.dim)];
    for place in places {
        let name = &standing.heads[place.at].name;
        let by = study.order.as_ref().filter(|(by, _)| by == name);
        let way = by.map_or("", |(_, falls)| theme.glyphs.more[if *falls { 3 } else { 2 }]);
        let style = if by.is_some() { theme.accent } else { theme.dim };
        let text = right(&format!("{name}{way}"), place.width);
        spans.push(Span::styled(format!("  {text}{}", " ".repeat(place.marks)), style));
    }
    Line::from(spans)
}

fn right(text: &str, width: usize) -> String {
    format!("{}{text}", " ".repeat(width.saturating_sub(fit::width(text))))
}

/// `2/3` of a row with several runs.
fn count(row: &Row) -> String {
    let (done, all) = row.done();
    format!("{done}/{all}")
}

/// Glyph, count and name.
fn start(row: &Row, (name, counts): (usize, usize), theme: &Theme) -> Vec<Span<'static>> {
    let (glyph, state) = status::state(theme, row.state());
    let mut spans = vec![Span::styled(format!("{glyph} "), state)];
    let style = if row.stands_out { theme.accent.add_modifier(Modifier::BOLD) } else { theme.text };
    let style = if row.state() == RunState::Created { theme.dim } else { style };
    spans.push(Span::styled(fit::pad(&row.name, name, theme), style));
    if counts > 0 {
        spans.push(Span::styled(right(&count(row), counts), theme.dim));
    }
    spans
}

fn cell(standing: &Standing, row: &Row, place: &Place, theme: &Theme) -> [Span<'static>; 2] {
    let empty = Cell::default();
    let cell = row.cells.get(place.at).unwrap_or(&empty);
    let (text, style) = if cell.text.is_empty() {
        (theme.glyphs.none, theme.dim)
    } else {
        let ranked = RANKED.contains(&standing.heads[place.at].name.as_str());
        let stands_out = ranked && cell.value.is_some() && cell.value == best(standing, place.at);
        (cell.text.as_str(), if stands_out { theme.good.add_modifier(Modifier::BOLD) } else { theme.text })
    };
    let style: Style = style;
    let mark = format!("{:<width$}", cell.mark, width = place.marks);
    // A blank is as the row is, also under the cursor.
    let of_mark = if cell.mark.is_empty() { style } else { theme.warn };
    [Span::styled(format!("  {}", right(text, place.width)), style), Span::styled(mark, of_mark)]
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::study::Kind;
    use crate::study::standing::Head;

    #[test]
    fn columns_fit_and_the_least_weighty_go_first() {
        let heads = ["loss", "R-L", "copied"].into_iter().zip([9, 10, 1]);
        let heads: Vec<Head> = heads.map(|(name, weight)| Head { name: name.into(), falls: true, weight }).collect();
        let cell = |mark| Cell { text: "21.00±0.25".into(), value: Some(21.0), mark };
        let line = Row { name: "x".repeat(30), cells: vec![cell(""), cell("**"), cell("")], ..Row::default() };
        let standing = Standing {
            kind: Kind::Evaluation,
            name: "games".into(),
            state: RunState::Finished,
            said: String::new(),
            runs: (1, 1),
            heads,
            lines: vec![line],
            notes: Vec::new(),
            curve: None,
        };
        for width in 1..120 {
            let (name, all) = places(&standing, 30, width);
            assert!(name + all.iter().map(Place::taken).sum::<usize>() <= width, "{width}");
        }
        let shown = |width| places(&standing, 30, width).1.iter().map(|place| place.at).collect::<Vec<_>>();
        assert_eq!((shown(100), shown(46), shown(30)), (vec![0, 1, 2], vec![0, 1], vec![1]));
    }
}
