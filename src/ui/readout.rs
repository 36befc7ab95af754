//! What is under the heatmap's cursor, in figures: the selection, then each of its matrices.

use super::{fit, overlay};
use crate::app::measure::significant;
use crate::app::ratios::forecast::Outlook;
use crate::app::ratios::marks;
use crate::app::{App, Measure};
use crate::run::event::{MatrixInfo, Modules};
use crate::theme::Theme;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

/// Columns: measure, heading, width.
const COLUMNS: [(Measure, &str, usize); 5] = [
    (Measure::Ratio, "ratio", 8),
    (Measure::Sparsity, "sparsity", 10),
    (Measure::Retained, "retained", 10),
    (Measure::Flips, "flips", 8),
    (Measure::Importance, "importance", 12),
];
/// Width of each quantile's column.
const QUANTILE: usize = 9;

/// Draws as much as there is room for: the module, headings, the selection, its matrices.
pub fn draw(app: &App, theme: &Theme, frame: &mut Frame<'_>, area: Rect) {
    let (Some(started), Some(modules)) = (&app.started, app.shown()) else { return };
    if area.height == 0 {
        return;
    }
    let module = app.module();
    let mine: Vec<(usize, &MatrixInfo)> = started
        .matrices
        .iter()
        .enumerate()
        .filter(|(_, m)| m.module == module && m.adapter < started.adapters.len())
        .collect();
    let names = mine.iter().map(|(_, m)| fit::width(&app.adapter_name(m.adapter)) + 2).max().unwrap_or(0);
    let label = names.max(app.adapter_label().len() + 4).clamp(12, 24);
    let room = usize::from(area.width);
    // The last column is for the mark of rows that have no room.
    let wide = room.saturating_sub(1);
    let used = label + COLUMNS.iter().map(|c| c.2).sum::<usize>();
    // With room the quantiles too; without it the last columns go.
    let quantiles = wide >= used + 3 * QUANTILE;
    let mut columns = COLUMNS.to_vec();
    while label + columns.iter().map(|c| c.2).sum::<usize>() > wide && columns.len() > 1 {
        columns.pop();
    }
    let mut heading = fit::pad(&module.to_string(), label, theme);
    let long = fit::width(&module.to_string()) > label;
    let mut lines = Vec::new();
    lines.extend(super::ratios::search(app, theme, room));
    // What a draft would bring comes first, whatever else there is room for.
    lines.extend(super::ratios::draft(app, theme, room));
    let left = usize::from(area.height).saturating_sub(lines.len());
    if left == 0 {
        frame.render_widget(Paragraph::new(lines), area);
        return;
    }
    if long && left >= 3 {
        lines.push(title(app, theme, room));
        heading = " ".repeat(label);
    }
    if left >= 2 {
        for (_, name, width) in &columns {
            heading.push_str(&format!("{name:>width$}"));
        }
        if quantiles {
            for name in ["10%", "50%", "90%"] {
                heading.push_str(&format!("{name:>QUANTILE$}"));
            }
        }
        lines.push(Line::styled(heading, theme.dim));
    }
    lines.push(selection(app, theme, &columns, label));
    let all = lines.len() + mine.len();
    for (at, matrix) in mine {
        if lines.len() >= usize::from(area.height) {
            break;
        }
        let shown = app.selection.takes(matrix);
        lines.push(row(app, theme, modules, (at, matrix), &columns, label, quantiles, shown));
    }
    frame.render_widget(Paragraph::new(lines), area);
    overlay::beyond((false, all > usize::from(area.height)), theme, frame, area);
}

/// The module's full name and what edits apply to here.
fn title(app: &App, theme: &Theme, room: usize) -> Line<'static> {
    let mut all = vec![fit::fact(app.module().to_string(), theme.title(), 9)];
    if !app.read_only && app.stage.prunes && app.is_live() {
        all.push(super::ratios::reach(app, theme));
    }
    fit::facts_cut(all, "  ", room, theme)
}

fn selection(app: &App, theme: &Theme, columns: &[(Measure, &str, usize)], label: usize) -> Line<'static> {
    let name = format!("{} {}", app.adapter_label(), app.factor_label());
    let mut spans = vec![Span::styled(fit::pad(&name, label, theme), theme.text)];
    let module = app.module();
    let marks = marks(app).get(module.layer).map(|row| row[module.projection as usize]).unwrap_or_default();
    let wished = app.is_live() && (marks.draft || marks.pending);
    for (measure, _, width) in columns {
        let value = app.shown_grid(*measure, app.selection).and_then(|g| g.module(module));
        let text = value.map_or_else(|| theme.glyphs.none.to_owned(), |v| measure.show(v));
        if wished && measure.follows_ratios() {
            let wish = format!("{}{text}", theme.glyphs.arrow);
            spans.push(Span::styled(fit_right(&wish, *width), theme.warn));
        } else {
            let style = if *measure == app.measure { theme.title() } else { theme.text };
            spans.push(Span::styled(fit_right(&text, *width), style));
        }
    }
    Line::from(spans)
}

fn fit_right(text: &str, width: usize) -> String {
    format!("{}{text}", " ".repeat(width.saturating_sub(fit::width(text))))
}

#[allow(clippy::too_many_arguments)]
fn row(
    app: &App,
    theme: &Theme,
    modules: &Modules,
    (at, matrix): (usize, &MatrixInfo),
    columns: &[(Measure, &str, usize)],
    label: usize,
    quantiles: bool,
    shown: bool,
) -> Line<'static> {
    let style: Style = if shown { theme.text } else { theme.dim };
    let none = theme.glyphs.none;
    let name = fit::pad(&app.adapter_name(matrix.adapter), label.saturating_sub(2), theme);
    let mut spans = vec![Span::styled(format!("{name} {}", matrix.factor), style)];
    let wish = app.ratios.draft.get(at).or_else(|| app.pending.get(at)).filter(|_| app.is_live());
    let outlook = wish.and_then(|_| Outlook::new(app));
    for (measure, _, width) in columns {
        let expected = wish.and_then(|wish| outlook?.of(*measure, at, wish));
        if let Some(expected) = expected {
            let text = format!("{}{}", theme.glyphs.arrow, measure.show(expected));
            spans.push(Span::styled(fit_right(&text, *width), theme.warn));
            continue;
        }
        let value = measure.column(modules).get(at).copied().flatten().filter(|v| v.is_finite());
        let text = value.map_or_else(|| none.to_owned(), |v| measure.show(v));
        spans.push(Span::styled(fit_right(&text, *width), style));
    }
    if quantiles && let Some(values) = modules.quantiles.get(at).copied().flatten() {
        for value in values {
            spans.push(Span::styled(fit_right(&significant(f64::from(value)), QUANTILE), theme.dim));
        }
    }
    Line::from(spans)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::module::{Factor, ModuleId, Projection};
    use crate::run::event::{AdapterInfo, Started};
    use crate::theme::Depth;
    use crate::ui::{export, picture};

    #[test]
    fn matrices_that_have_no_room_are_marked() {
        let theme = Theme::find("mono", Depth::None, true).unwrap();
        let module = ModuleId::new(0, Projection::QProj);
        let matrix = |adapter, factor| MatrixInfo { module, adapter, factor, rows: 2, cols: 2 };
        let adapters = ["one", "two"].map(|name| AdapterInfo { name: name.into(), ..AdapterInfo::default() }).to_vec();
        let matrices = [0, 1].into_iter().flat_map(|a| [Factor::A, Factor::B].map(|f| matrix(a, f))).collect();
        let mut app = App::new("x", false);
        app.started = Some(Started { layers: 1, adapters, matrices, ..Started::default() });
        app.modules = Some(Modules { step: 1, ratio: vec![Some(0.5); 4], ..Modules::default() });
        // The module, the headings, the selection, then four matrices.
        let shown = |height: u16, width: u16| -> Vec<String> {
            let area = Rect::new(0, 0, width, height);
            let cells = picture::drawn((width, height), |frame| draw(&app, &theme, frame, area)).unwrap();
            export::text(&cells).lines().map(str::to_owned).collect()
        };
        let all = shown(7, 60);
        assert!(all[6].starts_with("two") && !all[6].ends_with('v'), "{all:?}");
        let some = shown(5, 60);
        assert!(some[4].starts_with("one") && some[4].ends_with('v') && some[4].len() == 60, "{some:?}");
        // Where the columns fill the line to its end the last gives way to the mark, not a digit of it.
        let full = 16 + COLUMNS.iter().map(|c| c.2).sum::<usize>() as u16;
        assert!(shown(7, full + 1)[1].ends_with("importance") && shown(7, full)[1].ends_with("flips"));
    }
}
