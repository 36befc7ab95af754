//! The settings: name, value, and beside it what it is for or what is wrong.

use super::slots::{Slot, Slots};
use crate::app::setup::{CELLS, Pane, Row, Setup, What};
use crate::recipe::settings::Kind;
use crate::theme::Theme;
use crate::ui::fit;
use crate::ui::overlay::window;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;
use unicode_segmentation::UnicodeSegmentation;

/// Columns of a setting's name.
const NAME: usize = 19;
/// Columns of an adapter's role, weight, rank and alpha.
const ROLE: usize = 8;
const FIGURE: usize = 7;

/// Widths of the columns.
pub(super) struct Columns {
    name: usize,
    value: usize,
    about: usize,
}

/// The columns of a row in `width`.
pub(super) fn columns(width: usize) -> Columns {
    let name = NAME.min(width * 2 / 5);
    let rest = width.saturating_sub(name + 4);
    let value = if rest < 40 { rest } else { (rest * 2 / 5).clamp(18, 44) };
    Columns { name, value, about: rest.saturating_sub(value + 1) }
}

/// Draws the rows around the cursor, and below them what there is to say of its row.
pub fn draw(setup: &Setup, theme: &Theme, frame: &mut Frame<'_>, area: Rect) {
    if area.height == 0 || area.width < 10 {
        return;
    }
    let width = usize::from(area.width);
    let columns = columns(width);
    let slots = Slots::new(setup, area.height);
    let rows = slots.rows;
    let mut lines: Vec<Line<'static>> = Vec::new();
    let mut cursor = None;
    for (y, slot) in slots.shown().enumerate() {
        lines.push(match slot {
            Slot::Gap => Line::default(),
            Slot::Heading(section) => heading(section, &columns, theme, width),
            Slot::Row(i) => {
                let (line, column) = line(setup, &setup.rows[i], i == setup.at, &columns, theme, width);
                cursor = cursor.or(column.map(|column| (column, y)));
                line
            }
        });
    }
    frame.render_widget(Paragraph::new(lines), Rect { height: rows as u16, ..area });
    for (more, glyph, y) in [(slots.first > 0, 2, area.y), (slots.first < slots.last, 3, area.y + rows as u16 - 1)] {
        if more {
            let place = Rect::new(area.right() - 1, y, 1, 1);
            frame.render_widget(Span::styled(theme.glyphs.more[glyph], theme.accent), place);
        }
    }
    if let Some((column, y)) = cursor {
        frame.set_cursor_position((area.x + column as u16, area.y + y as u16));
    }
    let below = area.height - rows as u16;
    let place = Rect { y: area.bottom() - below, height: below, ..area };
    let text = fit::limit(about(setup, theme, width), usize::from(below), width, theme);
    frame.render_widget(Paragraph::new(text), place);
}

fn heading(section: &str, columns: &Columns, theme: &Theme, width: usize) -> Line<'static> {
    if section != "adapters" {
        return Line::styled(section.to_owned(), theme.title());
    }
    let mut spans = vec![Span::styled(fit::pad(section, columns.name + 2, theme), theme.title())];
    let labels = [("role", ROLE), ("weight", FIGURE), ("rank", FIGURE), ("alpha", FIGURE)];
    spans.extend(labels.map(|(label, room)| Span::styled(fit::pad(label, room + 1, theme), theme.dim)));
    if width > columns.name + 2 + ROLE + 3 * FIGURE + 10 {
        spans.push(Span::styled("folder", theme.dim));
    }
    Line::from(spans)
}

/// A row, and the column of the cursor in its text while it is edited.
fn line(
    setup: &Setup,
    row: &Row,
    at: bool,
    columns: &Columns,
    theme: &Theme,
    width: usize,
) -> (Line<'static>, Option<usize>) {
    let wrong = row.error.is_some();
    let mark = if wrong { theme.glyphs.states[4] } else { " " };
    let mut spans = vec![Span::styled(format!("{mark} "), theme.bad)];
    let mut cursor = None;
    match row.what {
        What::Add => spans.push(Span::styled(format!("+ {}", row.name), theme.dim)),
        What::Setting(place) => {
            let name = if row.section == "adapters" { format!("  {}", row.name) } else { row.name.to_owned() };
            spans.push(Span::styled(fit::pad(&name, columns.name, theme), theme.text));
            spans.push(Span::raw(" "));
            let editing = setup.editing.as_ref().filter(|e| at && e.place == place);
            let (mut value, mut about) = (columns.value, columns.about);
            let (text, style) = match (editing, &row.value) {
                (Some(editing), _) => {
                    // A long text takes the room of the explanation, which stands below too.
                    if fit::width(editing.line.text()) >= columns.value && columns.about > 0 {
                        (value, about) = (columns.value + 1 + columns.about, 0);
                    }
                    let (text, column) = window(editing.line.text(), editing.line.cursor(), value.saturating_sub(1));
                    cursor = Some(columns.name + 3 + column);
                    let style = if editing.error.is_some() { theme.bad } else { theme.text };
                    (text, style.add_modifier(Modifier::UNDERLINED))
                }
                (None, held) => {
                    let style = if held.is_some() { theme.text } else { theme.dim };
                    let text = held.as_ref().unwrap_or(&row.default);
                    let turns = matches!(place.setting().kind, Kind::Switch | Kind::Word(..));
                    let [left, right, ..] = theme.glyphs.more;
                    let text = if at && turns { format!("{left} {text} {right}") } else { text.clone() };
                    // Of a path the end counts, of a word for nothing its beginning.
                    let kind = if held.is_some() { place.setting().kind } else { Kind::Text };
                    (ending(&text, kind, columns.value, theme), style)
                }
            };
            spans.push(Span::styled(fit::pad(&text, value, theme), style));
            let error = editing.map_or(row.error.as_ref(), |e| e.error.as_ref());
            let told = row.told.as_deref().map_or((row.help, theme.dim), |told| (told, theme.accent));
            let (text, style) = error.map_or(told, |e| (e.as_str(), theme.bad));
            spans.push(Span::styled(format!(" {}", fit::cut(text, about, theme)), style));
        }
        What::Adapter(_) => cursor = adapter(setup, row, at, columns, theme, width, &mut spans),
    }
    // A value that is typed stands out by itself.
    let chosen = at && setup.pane == Pane::Settings && setup.editing.is_none();
    if chosen && !matches!(row.what, What::Adapter(_)) {
        let used: usize = spans.iter().map(Span::width).sum();
        spans.push(Span::raw(" ".repeat(width.saturating_sub(used))));
        for span in &mut spans {
            // In one colour but for what is wrong: others would be blocks of their own when reversed.
            let style = if span.style == theme.bad && wrong { theme.bad } else { theme.text };
            span.style = style.add_modifier(Modifier::REVERSED);
        }
    }
    (Line::from(spans), cursor)
}

/// Texts, columns and numbers of an adapter's cells; rank and alpha are read from its folder and have no number.
pub(super) fn cells(row: &Row, columns: &Columns, width: usize) -> [(String, usize, Option<usize>); 6] {
    let [name, role, weight, path, rank, alpha] =
        [0, 1, 2, 3, 4, 5].map(|i| row.cells.get(i).cloned().unwrap_or_default());
    let used = 2 + columns.name + 1 + ROLE + 1 + 3 * (FIGURE + 1);
    let rest = width.saturating_sub(used);
    // Beside the folder as far as there is room for a few words.
    let folder = if path.is_empty() { 5 } else { fit::width(&path).clamp(6, rest.max(6)) };
    let folder = if row.error.is_some() || row.told.is_some() { folder.min(rest / 3) } else { folder };
    [
        (name, columns.name, Some(0)),
        (role, ROLE, Some(1)),
        (weight, FIGURE, Some(2)),
        (rank, FIGURE, None),
        (alpha, FIGURE, None),
        (if path.is_empty() { "(new)".to_owned() } else { path }, folder, Some(3)),
    ]
}

/// The cells of an adapter; the one under the cursor is marked.
fn adapter(
    setup: &Setup,
    row: &Row,
    at: bool,
    columns: &Columns,
    theme: &Theme,
    width: usize,
    spans: &mut Vec<Span<'static>>,
) -> Option<usize> {
    let told = row.told.as_deref().map_or((row.help, theme.dim), |told| (told, theme.accent));
    let about = row.error.as_ref().map_or(told, |e| (e.as_str(), theme.bad));
    let mut column = 2;
    let mut cursor = None;
    for (text, room, cell) in cells(row, columns, width) {
        let room = room.min(width.saturating_sub(column));
        if room == 0 {
            break;
        }
        let chosen = at && setup.pane == Pane::Settings && cell == Some(setup.cell);
        let editing =
            setup.editing.as_ref().filter(|e| chosen && cell.is_some_and(|c| e.place.setting().name == CELLS[c]));
        let plain = if cell.is_none() { theme.dim } else { theme.text };
        let (text, style) = match editing {
            Some(editing) => {
                let (text, at) = window(editing.line.text(), editing.line.cursor(), room.saturating_sub(1));
                cursor = Some(column + at);
                let style = if editing.error.is_some() { theme.bad } else { theme.text };
                (text, style.add_modifier(Modifier::UNDERLINED))
            }
            None if chosen => (text, theme.selected()),
            None => (text, if at { plain.add_modifier(Modifier::BOLD) } else { plain }),
        };
        let kind = if cell == Some(3) { Kind::File } else { Kind::Text };
        spans.push(Span::styled(fit::pad(&ending(&text, kind, room, theme), room, theme), style));
        spans.push(Span::raw(" "));
        column += room + 1;
    }
    let room = width.saturating_sub(column);
    if room >= 12 {
        spans.push(Span::styled(fit::cut(about.0, room, theme), about.1));
    }
    cursor
}

/// A value in `width` columns; of a path that is too long its end, where paths differ.
fn ending(text: &str, kind: Kind, width: usize, theme: &Theme) -> String {
    if fit::width(text) <= width || !matches!(kind, Kind::File | Kind::Base) {
        return fit::cut(text, width, theme);
    }
    let mut kept: Vec<&str> = Vec::new();
    let mut used = 1;
    for grapheme in text.graphemes(true).rev() {
        used += fit::width(grapheme);
        if used > width {
            break;
        }
        kept.push(grapheme);
    }
    kept.push(theme.glyphs.ellipsis);
    kept.reverse();
    kept.concat()
}

/// What there is to say of the row under the cursor, and what is wrong with the whole.
fn about(setup: &Setup, theme: &Theme, width: usize) -> Vec<Line<'static>> {
    let row = setup.row();
    let mut lines = Vec::new();
    let typed = setup.editing.as_ref().map(|e| &e.error);
    let error = typed.map_or(row.error.as_ref(), |error| error.as_ref());
    if let Some(error) = error {
        lines.extend(fit::wrap(&[(error.as_str(), theme.bad)], width));
    } else if let Some(whole) = &setup.whole {
        lines.extend(fit::wrap(&[(whole.as_str(), theme.bad)], width));
    }
    let key = match row.what {
        What::Setting(place) => place.setting().key(),
        What::Adapter(_) => "adapter".to_owned(),
        What::Add => String::new(),
    };
    let mut parts: Vec<(String, Style)> = vec![(format!("{key} "), theme.accent)];
    match row.what {
        What::Setting(place) => {
            parts.push((row.help.to_owned(), theme.text));
            parts.push((said(setup, row, place.setting().kind), theme.dim));
            if place.setting().kind == Kind::Base && row.value.is_some() {
                parts.push((base_facts(setup), theme.dim));
            }
        }
        What::Adapter(i) => parts.push((adapter_facts(setup, i), theme.text)),
        What::Add => parts.push((format!("{}: {}", row.name, row.help), theme.text)),
    }
    if let Some(told) = &row.told {
        parts.push((format!("; {told}"), theme.accent));
    }
    let parts: Vec<(&str, Style)> = parts.iter().map(|(text, style)| (text.as_str(), *style)).collect();
    lines.extend(fit::wrap(&parts, width));
    lines
}

/// What a value is, or would be, in full.
fn said(setup: &Setup, row: &Row, kind: Kind) -> String {
    if setup.editing.is_some() {
        return match kind {
            Kind::Lines => " (\\n is a line break)".to_owned(),
            Kind::Rules => " (as TOML)".to_owned(),
            _ => format!(" (default: {})", row.default),
        };
    }
    match &row.value {
        None => format!(" (left out: {})", row.default),
        // Long values are cut in their row.
        Some(value) if matches!(kind, Kind::Lines | Kind::File | Kind::Base | Kind::Rules | Kind::Words(_)) => {
            format!(": {value}")
        }
        Some(_) => format!(" (default: {})", row.default),
    }
}

fn base_facts(setup: &Setup) -> String {
    let Some(base) = setup.seen.base.as_ref().filter(|b| b.problem.is_none() && b.parameters > 0) else {
        return String::new();
    };
    let template = if base.chat_template { ", with a chat template" } else { "" };
    format!(
        "; {}, {} parameters in {}, {} layers, {} tokens{template}",
        base.architecture,
        crate::text::short(base.parameters),
        base.dtype,
        base.layers,
        base.context
    )
}

fn adapter_facts(setup: &Setup, i: usize) -> String {
    match setup.seen.adapters.get(&i) {
        Some(Ok(facts)) => {
            let targets: Vec<&str> = facts.targets.iter().map(|p| p.name()).collect();
            let rslora = if facts.rslora { ", rsLoRA" } else { "" };
            let base = facts.base.as_ref().map(|base| format!(", made on {base}")).unwrap_or_default();
            format!(
                "rank {}, alpha {}{rslora}, {} parameters in {} modules: {}{base}",
                facts.rank,
                facts.alpha,
                crate::text::short(facts.parameters),
                facts.modules,
                targets.join(" ")
            )
        }
        _ => "left, right: its cells; enter edits one, space turns the role, delete takes it out".to_owned(),
    }
}
