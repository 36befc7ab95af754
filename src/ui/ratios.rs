//! The draft of prune ratios: what it would bring, and the lists of sets to choose from.

use super::fit::{self, Fact};
use super::trial::with_draft;
use crate::app::App;
use crate::app::ratios::forecast::{Forecast, of_draft};
use crate::app::ratios::menu::Item;
use crate::app::ratios::{Menu, trial};
use crate::theme::Theme;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

/// Columns of a forecast: `50.0 → 54.2 %` and its like.
const FIGURE: usize = 7;
/// What is told of kept drafts: where not all of it fits, the last columns go.
const COLUMNS: [&str; 5] = ["change of loss", "sparsity", "retained", "ROUGE-L", "step"];
/// Lines below the kept drafts, at most: a sentence of up to two, and the summaries.
const BELOW: usize = 12;
/// Lines of that sentence.
const SENTENCE: usize = 2;

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
    let is_waited_for = app.ratios.trial.found.is_none();
    let measured = trial::words(app).map(|text| {
        let weight = if is_waited_for || text == "measuring" { 7 } else { 10 };
        (text, weight)
    });
    for (text, weight) in measured.into_iter().chain(trial::summaries(app).map(|text| (text, 6))) {
        all.push(fit::fact(spelled(&text, theme), theme.good, weight));
    }
    if app.drafted().is_some_and(|m| !m.full.is_empty()) {
        all.push(fit::fact("at the schedule's end", theme.dim, 7));
    }
    // The estimate rests on the entries as they are; on a copy they count as they were when they were pruned.
    let lowered = app.ratios.draft.changes().any(|(at, ratio)| app.present_ratio(at).is_some_and(|now| ratio < now));
    if lowered {
        all.push(fit::fact("what comes back hardly counts in the estimate", theme.dim, 5));
    }
    let count = app.ratios.draft.changes().count();
    all.push(fit::fact(format!("{count} matrices"), theme.dim, 3));
    // Why it was not measured may be a long sentence.
    Some(fit::facts_cut(all, "  ", width, theme))
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
    if menu.compares() {
        return comparison(menu, theme, (width, rows));
    }
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
    format!("{} {}", right(&sparsity, 9), right(&figure(kept, retained), 10))
}

/// `text` at the right end of `width` columns.
fn right(text: &str, width: usize) -> String {
    format!("{}{text}", " ".repeat(width.saturating_sub(fit::width(text))))
}

/// Kept drafts beside one another; below them a sentence on the one under the cursor, and its summary with the present
/// one.
fn comparison(menu: &Menu, theme: &Theme, (width, rows): (usize, usize)) -> Vec<Line<'static>> {
    let (head, table) = compared(&menu.items, theme, width);
    let mut lines = Vec::new();
    if rows > 3 {
        lines.push(Line::styled(head, theme.dim));
    }
    let left = rows.saturating_sub(lines.len());
    // The box keeps its size while one walks through the list, which has a third of it at least.
    let has_summary = menu.items.iter().any(|item| item.kept.as_ref().is_some_and(|kept| kept.summary.is_some()));
    let wanted = if has_summary { BELOW } else { SENTENCE };
    let list = menu.items.len().min((left / 3).max(1));
    let below = wanted.min(left.saturating_sub(list));
    let room = left.saturating_sub(below).max(1);
    let first = (menu.at + 1).saturating_sub(room);
    for (at, row) in table.into_iter().enumerate().skip(first).take(room) {
        lines.push(Line::styled(row, if at == menu.at { theme.selected() } else { theme.text }));
    }
    if let Some(item) = menu.items.get(menu.at) {
        let details = details(item, theme, (width, below));
        let blank = below.saturating_sub(details.len());
        lines.extend(details);
        lines.extend(std::iter::repeat_n(Line::default(), blank));
    }
    lines
}

/// The heading and the rows of kept drafts, with as many columns as fit.
fn compared(items: &[Item], theme: &Theme, width: usize) -> (String, Vec<String>) {
    let names = items.iter().map(|item| fit::width(&item.label)).max().unwrap_or(0);
    let cells: Vec<[String; 5]> = items.iter().map(|item| cells(item, theme)).collect();
    let wide = |at: usize| 2 + cells.iter().map(|row| fit::width(&row[at])).fold(COLUMNS[at].len(), usize::max);
    let mut columns: Vec<usize> = (0..COLUMNS.len()).map(wide).collect();
    while columns.len() > 1 && names + columns.iter().sum::<usize>() > width {
        columns.pop();
    }
    let row = |name: &str, cells: &[String]| {
        let mut text = fit::pad(name, names, theme);
        for (cell, column) in cells.iter().zip(&columns) {
            text.push_str(&right(cell, *column));
        }
        fit::pad(&text, width, theme)
    };
    let head = row("", &COLUMNS.map(str::to_owned)[..]);
    let rows = items.iter().zip(&cells).map(|(item, cells)| row(&item.label, &cells[..])).collect();
    (head, rows)
}

/// What is known of a kept draft, in the order of [`COLUMNS`]; what is not measured as it is forecast.
fn cells(item: &Item, theme: &Theme) -> [String; 5] {
    let none = || theme.glyphs.none.to_owned();
    let Some(known) = &item.kept else { return std::array::from_fn(|_| none()) };
    let share = |show: fn(f64) -> String, measured: Option<f64>, forecast: Option<f64>| match (measured, forecast) {
        (Some(measured), _) => format!("{} %", show(measured)),
        (None, Some(forecast)) => format!("~{} %", show(forecast)),
        (None, None) => none(),
    };
    [
        spelled(&known.loss, theme),
        share(percent, known.shares.map(|shares| shares[0]), item.forecast.map(|forecast| forecast.sparsity)),
        share(kept, known.shares.map(|shares| shares[1]), item.forecast.and_then(|forecast| forecast.retained)),
        known.rouge.as_ref().map_or_else(none, |rouge| spelled(rouge, theme)),
        known.step.clone().unwrap_or_else(none),
    ]
}

/// The sentence on a kept draft, then the present summary and its own, as far as `room` lines hold them.
fn details(item: &Item, theme: &Theme, (width, room): (usize, usize)) -> Vec<Line<'static>> {
    let sentence = fit::wrap(&[(&spelled(&item.about, theme), theme.dim)], width);
    let mut lines = fit::limit(sentence, room.min(SENTENCE), width, theme);
    let left = room.saturating_sub(lines.len());
    let summary = item.kept.as_ref().and_then(|kept| kept.summary.as_ref());
    let Some(summary) = summary.filter(|_| left > 1) else { return lines };
    let now = fit::wrap(&[("now: ", theme.dim), (&summary.before, theme.text)], width);
    let name = format!("{}: ", item.label);
    let pieces = with_draft(summary, theme);
    let parts: Vec<(&str, Style)> = std::iter::once((name.as_str(), theme.dim))
        .chain(pieces.iter().map(|(text, style)| (text.as_str(), *style)))
        .collect();
    let then = fit::wrap(&parts, width);
    // Both whole where they fit, else half of the room for each.
    let most = (left / 2).max(left.saturating_sub(then.len()));
    let now = fit::limit(now, most, width, theme);
    let rest = left.saturating_sub(now.len());
    lines.extend(now);
    lines.extend(fit::limit(then, rest, width, theme));
    lines
}

fn below(menu: &Menu, theme: &Theme, width: usize) -> Line<'static> {
    let Some(item) = menu.items.get(menu.at) else { return Line::default() };
    let (text, style) = match &item.wanted {
        Ok(_) => (item.about.as_str(), theme.dim),
        Err(why) => (why.as_str(), theme.warn),
    };
    Line::from(Span::styled(fit::cut(&spelled(text, theme), width, theme), style))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::app::ratios::menu::Kept;
    use crate::run::what_if::Summary;
    use crate::theme::Depth;

    fn item(label: &str, about: &str, kept: Kept) -> Item {
        let forecast = Some(Forecast { sparsity: 0.5421, retained: Some(0.958) });
        Item { label: label.into(), about: about.into(), wanted: Ok(Vec::new()), forecast, kept: Some(kept) }
    }

    fn shown(of: &Menu, room: (usize, usize)) -> Vec<String> {
        let theme = Theme::find("mono", Depth::None, true).unwrap();
        menu(of, &theme, room).iter().map(|line| line.to_string().trim_end().to_owned()).collect()
    }

    #[test]
    fn kept_drafts_stand_beside_one_another_as_far_as_there_is_room() {
        let measured = Kept {
            loss: "+0.0111 ± 0.0031".into(),
            shares: Some([0.6, 0.9996]),
            rouge: Some("-6.7".into()),
            step: Some("23".into()),
            summary: Some(Summary {
                document: 0,
                before: "one two three".into(),
                after: "one two four".into(),
                rouge_l: [40.0, 33.3],
            }),
        };
        let waits = Kept { loss: "not measured".into(), ..Kept::default() };
        let items = vec![item("A", "step 23: loss", measured), item("B", "not measured yet", waits)];
        let mut list = Menu { title: "kept".into(), items, at: 0 };
        let lines = shown(&list, (62, 22));
        let table = [
            "      change of loss  sparsity  retained  ROUGE-L  step",
            "A  +0.0111 +- 0.0031    60.0 %    99.9 %     -6.7    23",
            "B       not measured   ~54.2 %   ~95.8 %        .     .",
            "step 23: loss",
            "now: one two three",
        ];
        assert_eq!(lines[..5], table);
        assert!(lines[5].starts_with("A: one two "), "{lines:#?}");
        assert_eq!(lines.len(), 3 + BELOW, "the box keeps its size");
        list.at = 1;
        assert_eq!(shown(&list, (62, 22)).len(), 3 + BELOW);
        assert_eq!(shown(&list, (62, 22))[3..5], ["not measured yet", ""]);
        // What matters less goes first.
        list.at = 0;
        let lines = shown(&list, (36, 8));
        let small =
            ["      change of loss  sparsity", "A  +0.0111 +- 0.0031    60.0 %", "B       not measured   ~54.2 %"];
        assert_eq!((lines.len(), &lines[..3]), (8, &small.map(str::to_owned)[..]));
        assert_eq!(lines[4], "now: one two three");
        for width in [0, 1, 10, 300] {
            for rows in 0..6 {
                let lines = shown(&list, (width, rows));
                assert!(lines.len() <= rows.max(1) + 1, "{width}x{rows}: {lines:#?}");
            }
        }
    }
}
