//! An evaluation or a sweep: the table that fills in, how its rows stand, the notes and the curve.

mod overlay;
pub mod screen;
mod table;

pub use screen::{picture_of_study, watch};

use super::fit::{self, Fact, fact, facts, facts_cut};
use super::status;
use crate::app::action::study::Study as Key;
use crate::app::action::{self, Action, Screen};
use crate::app::study::{Pane, Study, told};
use crate::run::RunState;
use crate::text::counted;
use crate::theme::Theme;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Modifier;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Wrap};

/// Below this only a sentence is drawn.
const LEAST: (u16, u16) = (24, 6);
/// Columns of the curve, and with the notes beside it.
const CURVE: (u16, u16) = (70, 110);

/// Draws the whole screen.
pub fn draw(study: &Study, theme: &Theme, frame: &mut Frame<'_>) {
    let area = frame.area();
    if area.width == 0 || area.height == 0 {
        return;
    }
    if area.width < LEAST.0 || area.height < LEAST.1 {
        let text = format!("{}; a larger window shows it", study.folder);
        frame.render_widget(Paragraph::new(text).wrap(Wrap { trim: true }), area);
        return;
    }
    let inside = Rect { x: area.x + 1, width: area.width - 2, ..area };
    let body = Rect { y: area.y + 1, height: area.height - 2, ..inside };
    frame.render_widget(head(study, theme, usize::from(inside.width)), Rect { height: 1, ..inside });
    match (&study.standing, &study.error) {
        (_, Some(error)) => {
            let lines = fit::wrap(&[(error.as_str(), theme.bad)], usize::from(body.width));
            frame.render_widget(Paragraph::new(lines), body);
        }
        (None, None) => {
            let text = Line::styled(format!("reading {}", study.folder), theme.dim);
            frame.render_widget(text, body);
        }
        (Some(_), None) => panes(study, theme, frame, body),
    }
    foot(study, theme, frame, Rect { y: area.bottom() - 1, height: 1, ..inside });
    overlay::draw(study, theme, frame, area);
}

/// The table with what there is room for below it, or what the user went to.
fn panes(study: &Study, theme: &Theme, frame: &mut Frame<'_>, area: Rect) {
    match study.pane {
        Pane::Notes => return notes(study, study.top, theme, frame, area),
        Pane::Curve => return curve(study, theme, frame, area),
        Pane::Table => {}
    }
    let rows = study.rows().len() as u16 + 1;
    // The row under the cursor is told in words below the table.
    let said = area.height.saturating_sub(6).min(2);
    let table_height = rows.min(area.height - said);
    table::draw(study, theme, frame, Rect { height: table_height, ..area });
    row(study, theme, frame, Rect { y: area.y + table_height, height: said, ..area });
    let used = table_height + said + 1;
    if used + 1 >= area.height {
        return;
    }
    let below = Rect { y: area.y + used, height: area.height - used, ..area };
    let drawn = study.standing.as_ref().and_then(|s| s.curve.as_ref()).map(|c| c[0].lines().count() as u16);
    match drawn {
        Some(height) if below.height >= height && area.width >= CURVE.1 => {
            curve(study, theme, frame, Rect { width: CURVE.0, ..below });
            let right = Rect { x: below.x + CURVE.0 + 2, width: below.width - CURVE.0 - 2, ..below };
            notes(study, 0, theme, frame, right);
        }
        _ => notes(study, 0, theme, frame, below),
    }
}

/// What is told of the row under the cursor.
fn row(study: &Study, theme: &Theme, frame: &mut Frame<'_>, area: Rect) {
    let Some(row) = study.current() else { return };
    let width = usize::from(area.width);
    let told = told(row);
    let mut parts: Vec<(String, ratatui::style::Style)> = vec![(format!("{}: ", row.name), theme.title())];
    for (i, (text, state)) in told.iter().enumerate() {
        let between = if i > 0 { ", " } else { "" };
        parts.push((format!("{between}{text}"), status::state(theme, *state).1));
    }
    let parts: Vec<(&str, ratatui::style::Style)> = parts.iter().map(|(text, style)| (text.as_str(), *style)).collect();
    let lines = fit::limit(fit::wrap(&parts, width), usize::from(area.height), width, theme);
    frame.render_widget(Paragraph::new(lines), area);
}

fn notes(study: &Study, top: usize, theme: &Theme, frame: &mut Frame<'_>, area: Rect) {
    let Some(standing) = &study.standing else { return };
    let (width, height) = (usize::from(area.width), usize::from(area.height));
    let mut lines = Vec::new();
    if !standing.said.is_empty() && standing.state != RunState::Finished && top == 0 {
        lines.extend(fit::wrap(&[(standing.said.as_str(), status::state(theme, standing.state).1)], width));
    }
    for note in standing.notes.iter().skip(top) {
        let style = if note.starts_with("note: ") || note.starts_with("failed: ") { theme.warn } else { theme.dim };
        lines.extend(fit::wrap(&[(note.as_str(), style)], width));
    }
    let lines = fit::limit(lines, height, width, theme);
    frame.render_widget(Paragraph::new(lines), area);
}

fn curve(study: &Study, theme: &Theme, frame: &mut Frame<'_>, area: Rect) {
    let Some(curve) = study.standing.as_ref().and_then(|standing| standing.curve.as_ref()) else { return };
    let text = &curve[usize::from(!theme.glyphs.braille)];
    let lines: Vec<Line<'_>> = text.lines().map(|line| Line::styled(line.to_owned(), theme.text)).collect();
    frame.render_widget(Paragraph::new(lines), area);
}

fn head(study: &Study, theme: &Theme, width: usize) -> Line<'static> {
    let mut parts =
        vec![fact("lopper", theme.title(), 3), fact(fit::cut(&study.folder, width / 2, theme), theme.text, 9)];
    if let Some(standing) = &study.standing {
        parts.push(fact(standing.kind.word(), theme.dim, 6));
        let (glyph, style) = status::state(theme, standing.state);
        let word = if standing.state == RunState::Created { "not begun" } else { standing.state.word() };
        parts.push(fact(format!("{glyph} {word}"), style.add_modifier(Modifier::BOLD), 8));
        parts.push(fact(format!("{} of {}", standing.runs.0, counted(standing.runs.1, "run")), theme.text, 7));
    }
    let order = match &study.order {
        Some((name, falls)) if !name.is_empty() => {
            Some(format!("by {name} {}", theme.glyphs.more[if *falls { 3 } else { 2 }]))
        }
        Some(_) => Some("the other way round".to_owned()),
        None => None,
    };
    parts.extend(order.map(|text| fact(text, theme.accent, 5)));
    facts_cut(parts, "  ", width, theme)
}

/// One line: a message, or the keys that have something to do.
fn foot(study: &Study, theme: &Theme, frame: &mut Frame<'_>, area: Rect) {
    let width = usize::from(area.width);
    if let Some((text, _)) = &study.toast {
        frame.render_widget(Line::styled(fit::cut(text, width, theme), theme.warn), area);
        return;
    }
    let entries = action::sections().filter(|s| s.screen == Screen::Study).flat_map(|s| s.entries);
    let (mut all, mut ends) = (Vec::new(), Vec::new());
    for entry in entries.filter(|e| !e.short.is_empty() && !e.keys.is_empty()) {
        let Action::Study(action) = entry.action else { continue };
        if !study.works(action) {
            continue;
        }
        let panes = study.panes();
        let at = panes.iter().position(|pane| *pane == study.pane).unwrap_or(0);
        let word = match (action, panes[(at + 1) % panes.len()]) {
            (Key::NextPane, Pane::Table) => "table",
            (Key::NextPane, Pane::Curve) => "curve",
            _ => entry.short,
        };
        let does = Fact {
            spans: vec![Span::styled(format!("{} ", entry.keys[0]), theme.accent), Span::styled(word, theme.dim)],
            weight: if action == Key::Open { 8 } else { 6 },
        };
        if matches!(action, Key::Help | Key::Quit) {
            ends.push(Fact { weight: 9, ..does });
        } else {
            all.push(does);
        }
    }
    all.append(&mut ends);
    frame.render_widget(facts(all, "  ", width), area);
}
