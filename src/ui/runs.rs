//! The list of runs: a table, the run under the cursor beside it where there is room, keys below.

pub(super) mod compare;
mod details;
mod difference;
mod jobs;
mod overlay;
pub mod screen;
pub(super) mod table;

pub use screen::{list, picture_of_list};

use super::fit::{self, Fact, fact, facts, facts_cut};
use super::status;
use crate::app::action::runs::List;
use crate::app::action::{self, Action, Screen};
use crate::app::runs::{Overlay, Runs};
use crate::run::RunState;
use crate::study::Kind;
use crate::text::counted;
use crate::theme::Theme;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Wrap};

/// Columns from which on the run under the cursor stands beside the list.
const WIDE: u16 = 120;
/// Below this only a sentence is drawn.
const LEAST: (u16, u16) = (24, 6);

/// Draws the whole screen.
pub fn draw(list: &Runs, theme: &Theme, frame: &mut Frame<'_>) {
    let area = frame.area();
    if area.width == 0 || area.height == 0 {
        return;
    }
    if area.width < LEAST.0 || area.height < LEAST.1 {
        let text = format!("{} runs; a larger window shows them", list.rows.len());
        frame.render_widget(Paragraph::new(text).wrap(Wrap { trim: true }), area);
        return;
    }
    let inside = Rect { x: area.x + 1, width: area.width - 2, ..area };
    let body = Rect { y: area.y + 1, height: area.height - 2, ..area };
    frame.render_widget(head(list, theme, usize::from(inside.width)), Rect { height: 1, ..inside });
    if let Some(Overlay::Compare { comparison, top }) = &list.overlay {
        compare::draw(comparison, *top, theme, frame, Rect { x: inside.x, width: inside.width, ..body });
    } else {
        let side = if area.width >= WIDE { (area.width / 3).clamp(40, 64) } else { 0 };
        let left = Rect { width: body.width - side, ..body };
        let shown = list.shown();
        if shown.is_empty() {
            let place = Rect { x: left.x + 1, width: left.width - 2, y: left.y + 1, height: left.height - 1 };
            frame.render_widget(Paragraph::new(empty(list, theme)).wrap(Wrap { trim: true }), place);
        } else {
            table::draw(list, &shown, theme, frame, left);
        }
        if side > 0 {
            details::draw(list, theme, frame, Rect { x: left.right(), width: side, ..body });
        }
    }
    foot(list, theme, frame, Rect { y: area.bottom() - 1, height: 1, ..inside });
    overlay::draw(list, theme, frame, area);
}

/// Where there is nothing to list: why, and what to do.
fn empty(list: &Runs, theme: &Theme) -> Vec<Line<'static>> {
    if let Some(error) = &list.error {
        return vec![Line::styled(error.clone(), theme.bad)];
    }
    if !list.loaded {
        return vec![Line::styled(format!("reading the runs in {}", list.folder), theme.dim)];
    }
    if !list.rows.is_empty() {
        let none = format!("no run has \"{}\" in its name, state or tags", list.filter.text());
        return vec![Line::styled(none, theme.text), Line::styled("esc shows all runs again", theme.dim)];
    }
    let key = |key: &'static str, does: &'static str| {
        Line::from(vec![Span::styled(key, theme.accent), Span::styled(does, theme.text)])
    };
    vec![
        Line::styled(format!("no runs in {} yet", list.folder), theme.text),
        Line::default(),
        key("a", "  sets up a run of yours: base, adapters, data, settings"),
        key("D", "  starts the demo: a small base, three adapters, 50 examples"),
        key("lopper run RECIPE.toml", "  starts a recipe of yours"),
        key("lopper --runs FOLDER", "  lists the runs of another folder"),
    ]
}

fn head(list: &Runs, theme: &Theme, width: usize) -> Line<'static> {
    let count = |state: RunState| list.rows.iter().filter(|row| row.state == state).count();
    let all = list.rows.len();
    let of = |kind: Option<Kind>| list.rows.iter().filter(|row| row.study == kind).count();
    let mut parts = vec![fact("lopper", theme.title(), 8), fact(counted(of(None), "run"), theme.text, 9)];
    for kind in [Kind::Evaluation, Kind::Sweep] {
        let n = of(Some(kind));
        if n > 0 {
            parts.push(fact(counted(n, kind.word()), theme.text, 5));
        }
    }
    for state in [RunState::Running, RunState::Paused, RunState::Failed, RunState::Crashed] {
        let n = count(state);
        if n > 0 {
            let (glyph, style) = status::state(theme, state);
            parts.push(fact(format!("{glyph} {n} {}", state.word()), style, 7));
        }
    }
    let filter = list.filter.text();
    if !filter.is_empty() && !list.filtering {
        let shown = list.shown().len();
        let words = fit::cut(filter, 24, theme);
        parts.push(fact(format!("{shown} of {all} with \"{words}\" (esc: all)"), theme.warn, 10));
    }
    let (column, falls) = list.order;
    let way = theme.glyphs.more[if falls { 3 } else { 2 }];
    parts.push(fact(format!("by {} {way}", column.label()), theme.dim, 4));
    let marked = list.marked().len();
    if marked > 0 {
        parts.push(fact(format!("{marked} marked"), theme.accent, 6));
    }
    parts.push(fact(format!("in {}", fit::cut(&list.folder, width / 2, theme)), theme.dim, 5));
    facts_cut(parts, "  ", width, theme)
}

/// One line: the filter, a message, or the keys that have something to do.
fn foot(list: &Runs, theme: &Theme, frame: &mut Frame<'_>, area: Rect) {
    let width = usize::from(area.width);
    if list.filtering && list.overlay.is_none() {
        let (text, column) = super::overlay::window(list.filter.text(), list.filter.cursor(), width.saturating_sub(2));
        let spans = vec![Span::styled("/", theme.accent), Span::styled(text, theme.text)];
        let used = 1 + fit::width(&spans[1].content);
        let mut line = Line::from(spans);
        let hint = "enter keeps it, esc shows all";
        if used + hint.len() + 3 <= width {
            line.push_span(Span::styled(format!("   {hint}"), theme.dim));
        }
        frame.render_widget(line, area);
        frame.set_cursor_position((area.x + 1 + column as u16, area.y));
        return;
    }
    if let Some((text, _)) = &list.toast {
        frame.render_widget(Line::styled(fit::cut(text, width, theme), theme.warn), area);
        return;
    }
    let closes = matches!(list.overlay, Some(Overlay::Compare { .. } | Overlay::Log { .. } | Overlay::Help { .. }));
    if closes {
        let mut keys = vec![key("j k", "scroll", theme, 5), key("page-up page-down", "ten lines", theme, 3)];
        if let Some(Overlay::Compare { comparison, .. }) = &list.overlay
            && comparison.has_maps()
        {
            let other = if comparison.view.map { "settings, curves" } else { "map" };
            keys.push(key(action::key_of(Action::NextPane), other, theme, 7));
            keys.push(key(action::key_of(Action::Measure), "sparsity, importance", theme, 4));
            if comparison.maps.len() > 1 {
                keys.push(key("left right", "other pair", theme, 6));
            }
        }
        keys.push(key("q", "close", theme, 9));
        frame.render_widget(facts(keys, "  ", width), area);
        return;
    }
    let entries = action::sections().filter(|s| s.screen == Screen::Runs).flat_map(|s| s.entries);
    let mut all = Vec::new();
    let mut ends = Vec::new();
    for entry in entries.filter(|e| !e.short.is_empty() && !e.keys.is_empty()) {
        let Action::List(action) = entry.action else { continue };
        if !list.works(action) {
            continue;
        }
        let paused = list.current().is_some_and(|row| row.state == RunState::Paused);
        let word = if action == List::Pause && paused { "go on" } else { entry.short };
        // Help and leaving stand at the end, where a user looks for them.
        if matches!(action, List::Help | List::Quit) {
            ends.push(key(entry.keys[0], word, theme, 9));
        } else {
            let weight = match action {
                List::Watch => 8,
                List::New => 5,
                List::Demo => u8::from(list.rows.is_empty()) * 7 + 1,
                List::Stop | List::Resume | List::Pause | List::Filter => 6,
                List::Mark | List::Compare => 5,
                _ => 4,
            };
            all.push(key(entry.keys[0], word, theme, weight));
        }
    }
    all.append(&mut ends);
    frame.render_widget(facts(all, "  ", width), area);
}

fn key(key: &str, does: &str, theme: &Theme, weight: u8) -> Fact {
    let spans = vec![Span::styled(format!("{key} "), theme.accent), Span::styled(does.to_owned(), theme.dim)];
    Fact { spans, weight }
}
