//! The draft of prune ratios: what it would bring, and the lists of sets to choose from.

use super::fit::{self, Fact};
use crate::app::App;
use crate::app::ratios::forecast::{Forecast, of_draft};
use crate::app::ratios::menu::Item;
use crate::app::ratios::{Menu, trial};
use crate::theme::Theme;
use ratatui::text::{Line, Span};

/// Columns of a forecast: `50.0 → 54.2 %` and its like.
const FIGURE: usize = 7;

fn percent(share: f64) -> String {
    format!("{:.1}", 100.0 * share)
}

/// As [`percent`], but 99.96 % is not all of it.
fn kept(share: f64) -> String {
    if share < 1.0 { format!("{:.1}", (1000.0 * share + 1e-3).floor() / 10.0) } else { percent(share) }
}

/// Figures without what ASCII has not.
pub(super) fn spelled(text: &str, theme: &Theme) -> String {
    if theme.glyphs.arrow.is_ascii() {
        text.replace('±', "+-").replace('→', theme.glyphs.arrow)
    } else {
        text.to_owned()
    }
}

/// `draft: sparsity 50.0 → 54.2 %, retained 97.1 → 95.8 %`, as much of it as `width` columns hold; `None`
/// without a draft.
pub fn draft(app: &App, theme: &Theme, width: usize) -> Option<Line<'static>> {
    if app.ratios.draft.is_empty() {
        return None;
    }
    let (now, then) = of_draft(app)?;
    let arrow = theme.glyphs.arrow;
    let change = |show: fn(f64) -> String, from: f64, to: f64| format!("{} {arrow} {} %", show(from), show(to));
    let mut all =
        vec![fit::fact(format!("draft: sparsity {}", change(percent, now.sparsity, then.sparsity)), theme.warn, 9)];
    if let (Some(from), Some(to)) = (now.retained, then.retained) {
        all.push(fit::fact(format!("retained {} (estimate)", change(kept, from, to)), theme.warn, 8));
    }
    // That it is measured matters less than what is expected; what was measured matters more.
    let measured = trial::words(app).map(|text| if text == "measuring" { (text, 7) } else { (text, 10) }).into_iter();
    for (text, weight) in measured.chain(trial::summaries(app).map(|text| (text, 6))) {
        all.push(fit::fact(spelled(&text, theme), theme.good, weight));
    }
    if app.modules.as_ref().is_some_and(|m| !m.full.is_empty()) {
        all.push(fit::fact("at the schedule's end", theme.dim, 7));
    }
    // The estimate rests on the entries as they are: those that were pruned hardly count in it.
    let lowered = app.ratios.draft.changes().any(|(at, ratio)| app.present_ratio(at).is_some_and(|now| ratio < now));
    if lowered {
        all.push(fit::fact("what comes back starts near zero", theme.dim, 5));
    }
    let count = app.ratios.draft.changes().count();
    all.push(fit::fact(format!("{count} matrices"), theme.dim, 3));
    Some(fit::facts(all, "  ", width))
}

/// How far a search for ratios is; `None` while there is none.
pub fn search(app: &App, theme: &Theme, width: usize) -> Option<Line<'static>> {
    let words = app.ratios.suggestion.words()?;
    Some(Line::styled(fit::cut(&spelled(&words, theme), width, theme), theme.good))
}

/// What edits apply to: the selection, or that there is none.
pub fn reach(app: &App, theme: &Theme) -> Fact {
    let place = format!("{}, {}", app.adapter_label(), app.factor_label());
    if app.ratios.area.is_some() {
        let count = crate::app::ratios::targets(app).len();
        fit::fact(format!("{count} matrices selected of {place}"), theme.warn, 5)
    } else {
        fit::fact(format!("edits the ratio of {place}"), theme.dim, 1)
    }
}

/// A list: its lines with the one under the cursor, at most `rows`, and what that one says below.
pub fn menu(menu: &Menu, theme: &Theme, (width, rows): (usize, usize)) -> Vec<Line<'static>> {
    let names = menu.items.iter().map(|i| fit::width(&spelled(&i.label, theme))).max().unwrap_or(0).min(30);
    let shown = rows.saturating_sub(2).max(1);
    let first = menu.at.saturating_sub(shown - 1);
    let mut lines = Vec::new();
    // The heading of the figures.
    let figures = names + 2 + 2 * (FIGURE + 3) <= width;
    if figures && rows > 3 {
        let gap = " ".repeat(names + 2);
        lines.push(Line::styled(format!("{gap}{:>9} {:>10}", "sparsity", "retained"), theme.dim));
    }
    let room = rows.saturating_sub(lines.len() + 1).max(1);
    let first = if menu.at >= first + room { menu.at + 1 - room } else { first };
    for (at, item) in menu.items.iter().enumerate().skip(first).take(room) {
        let style = if at == menu.at { theme.selected() } else { theme.text };
        let mut text = fit::pad(&spelled(&item.label, theme), names, theme);
        if figures {
            text.push_str(&format!("  {}", figures_of(item, theme)));
        }
        lines.push(Line::styled(fit::pad(&text, width, theme), style));
    }
    if rows > 1 {
        lines.push(below(menu, theme, width));
    }
    lines
}

fn figures_of(item: &Item, theme: &Theme) -> String {
    let none = theme.glyphs.none;
    let figure = |show: fn(f64) -> String, share: Option<f64>| {
        share.map_or_else(|| none.to_owned(), |s| format!("{} %", show(s)))
    };
    let Forecast { sparsity, retained } = item.forecast.unwrap_or_default();
    let sparsity = figure(percent, item.forecast.map(|_| sparsity));
    let right = |text: &str, width: usize| format!("{}{text}", " ".repeat(width.saturating_sub(fit::width(text))));
    format!("{} {}", right(&sparsity, 9), right(&figure(kept, retained), 10))
}

fn below(menu: &Menu, theme: &Theme, width: usize) -> Line<'static> {
    let Some(item) = menu.items.get(menu.at) else { return Line::default() };
    let (text, style) = match &item.wanted {
        Ok(_) => (item.about.as_str(), theme.dim),
        Err(why) => (why.as_str(), theme.warn),
    };
    Line::from(Span::styled(fit::cut(&spelled(text, theme), width, theme), style))
}
