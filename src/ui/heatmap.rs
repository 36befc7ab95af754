//! Layers × projections: layers run to the right, so that a model of 30 layers fits 80 columns.

use crate::app::{App, Measure};
use crate::module::Projection;
use crate::theme::{Depth, Theme, ramp};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

/// Width of the projections' names.
const NAMES: u16 = 10;

/// Lowest and highest value that the colours stand for.
fn range(measure: Measure, grid: &[[Option<f32>; 7]]) -> (f32, f32) {
    if measure.is_share() && measure != Measure::Flips {
        return (0.0, 1.0);
    }
    let values = || grid.iter().flatten().flatten().copied();
    let (low, high) = values().fold((f32::MAX, f32::MIN), |(l, h), v| (l.min(v), h.max(v)));
    match measure {
        // Steps of a nice number, so that the scale does not change with every step of the run.
        Measure::Flips => (
            0.0,
            if high > 0.1 {
                1.0
            } else if high > 0.01 {
                0.1
            } else {
                0.01
            },
        ),
        _ if low > high => (0.0, 1.0),
        _ => (0.0, high.max(f32::MIN_POSITIVE)),
    }
}

fn share(value: f32, (low, high): (f32, f32)) -> f32 {
    if high > low { (value - low) / (high - low) } else { 0.0 }
}

/// A value in at most five characters.
pub(crate) fn number(measure: Measure, value: f32) -> String {
    match measure {
        Measure::Flips => format!("{:.2}%", value * 100.0),
        _ if measure.is_share() => format!("{:.0}%", value * 100.0),
        _ if value >= 1000.0 || (value < 0.01 && value > 0.0) => format!("{value:.0e}"),
        _ => format!("{value:.2}"),
    }
}

/// Draws the map, its legend and what is under the cursor.
pub fn draw(app: &App, theme: &Theme, frame: &mut Frame<'_>, area: Rect) {
    let layers = app.layers();
    if layers == 0 || app.modules.is_none() {
        let text = if app.stage.prunes || app.started.is_none() {
            "waiting for the first pruning step"
        } else {
            "this stage does not prune: the map comes with one that does"
        };
        frame.render_widget(Paragraph::new(Span::styled(text, theme.dim)), area);
        return;
    }
    let grid = app.grid(app.measure);
    let range = range(app.measure, &grid);
    let room = area.width.saturating_sub(NAMES + 1);
    let cell = (room / layers as u16).clamp(1, 6);
    let shown = usize::from(room / cell).min(layers).max(1);
    // The part of the layers around the cursor.
    let first = app.cursor.0.saturating_sub(shown / 2).min(layers - shown);
    let tall = area.height >= 20;
    let mut lines = vec![header(first, shown, cell, theme)];
    for (p, projection) in Projection::ALL.into_iter().enumerate() {
        let mark = if p == app.cursor.1 { theme.accent } else { theme.text };
        let mut spans = vec![Span::styled(format!("{:<width$}", projection.name(), width = usize::from(NAMES)), mark)];
        let mut blank = vec![Span::raw(" ".repeat(usize::from(NAMES)))];
        for layer in first..first + shown {
            let here = (layer, p) == app.cursor;
            let (text, style) = cell_of(app.measure, grid[layer][p], range, usize::from(cell), theme, here);
            blank.push(Span::styled(" ".repeat(usize::from(cell)), style.remove_modifier(Modifier::all())));
            spans.push(Span::styled(text, style));
        }
        lines.push(Line::from(spans));
        if tall {
            lines.push(Line::from(blank));
        }
    }
    lines.push(Line::default());
    lines.push(legend(app.measure, range, theme));
    lines.extend(read_out(app, theme));
    frame.render_widget(Paragraph::new(lines), area);
}

fn header(first: usize, shown: usize, cell: u16, theme: &Theme) -> Line<'static> {
    let cell = usize::from(cell);
    // A number where there is room for it.
    let every = if cell >= 3 { 1 } else { 5usize.div_ceil(cell).max(if cell == 1 { 5 } else { 2 }) };
    let mut text = format!("{:<width$}", "layer", width = usize::from(NAMES));
    let mut layer = first;
    while layer < first + shown {
        let span = every.min(first + shown - layer);
        let number = layer.to_string();
        let width = span * cell;
        text.push_str(&if number.len() <= width { format!("{number:<width$}") } else { " ".repeat(width) });
        layer += span;
    }
    Line::styled(text, theme.dim)
}

fn cell_of(
    measure: Measure,
    value: Option<f32>,
    range: (f32, f32),
    width: usize,
    theme: &Theme,
    here: bool,
) -> (String, Style) {
    let Some(value) = value else {
        let style = if here { theme.selected() } else { theme.dim };
        return (format!("{:^width$}", "·"), style);
    };
    let share = share(value, range);
    let level = ramp::level(share);
    let text = match (width, theme.depth) {
        (5.., _) => format!("{:^width$}", number(measure, value)),
        (4, _) if measure.is_share() && measure != Measure::Flips => format!("{:^width$}", number(measure, value)),
        (_, Depth::None) => format!("{:<width$}", ramp::digit(share)),
        _ if here && width >= 2 => format!("{:<width$}", "◂▸"),
        _ if here => "▪".into(),
        _ => " ".repeat(width),
    };
    let style = match ramp::background(level, theme.depth) {
        Some(color) => Style::new().bg(color).fg(ramp::foreground(level)),
        None => theme.text,
    };
    (text, if here { style.add_modifier(Modifier::REVERSED | Modifier::BOLD) } else { style })
}

fn legend(measure: Measure, range: (f32, f32), theme: &Theme) -> Line<'static> {
    let unit = if measure.is_share() { "share of entries" } else { "|W|·‖X‖, mean" };
    let unit = if measure == Measure::Retained { "share of summed importance" } else { unit };
    let mut spans = vec![Span::styled(format!("{} ", number(measure, range.0)), theme.dim)];
    for level in 0..ramp::LEVELS {
        spans.push(match ramp::background(level, theme.depth) {
            Some(color) => Span::styled("  ", Style::new().bg(color)),
            None => Span::styled(format!("{} ", ramp::digit(level as f32 / ramp::LEVELS as f32)), theme.text),
        });
    }
    spans.push(Span::styled(format!(" {}  {unit}", number(measure, range.1)), theme.dim));
    Line::from(spans)
}

fn read_out(app: &App, theme: &Theme) -> Vec<Line<'static>> {
    let module = app.module();
    let say = |measure: Measure| app.value(module, measure).map_or_else(|| "-".into(), |v| number(measure, v));
    let pending = app.pending.get(&module).map(|r| format!(" → {:.0}% asked", r * 100.0)).unwrap_or_default();
    let mut lines = vec![
        Line::from(vec![
            Span::styled(module.to_string(), theme.accent),
            Span::styled(format!("  {} {}", app.adapter_label(), app.factor_label()), theme.dim),
        ]),
        Line::from(vec![
            Span::styled("ratio ", theme.dim),
            Span::styled(say(Measure::Ratio), theme.text),
            Span::styled(pending, theme.warn),
            Span::styled("  sparsity ", theme.dim),
            Span::styled(say(Measure::Sparsity), theme.text),
            Span::styled("  retained ", theme.dim),
            Span::styled(say(Measure::Retained), theme.text),
            Span::styled("  flips ", theme.dim),
            Span::styled(say(Measure::Flips), theme.text),
        ]),
    ];
    let quantiles = app.started.as_ref().zip(app.modules.as_ref()).and_then(|(started, modules)| {
        let chosen = |m: &crate::run::event::MatrixInfo| {
            m.module == module && app.adapter.is_none_or(|a| a == m.adapter) && app.factor.is_none_or(|f| f == m.factor)
        };
        let at = started.matrices.iter().position(chosen)?;
        modules.quantiles.get(at).copied().flatten()
    });
    let mut importance =
        vec![Span::styled("importance ", theme.dim), Span::styled(say(Measure::Importance), theme.text)];
    if let Some([low, middle, high]) = quantiles {
        let n = |v| number(Measure::Importance, v);
        importance.push(Span::styled(format!("  10/50/90%: {} {} {}", n(low), n(middle), n(high)), theme.dim));
    }
    lines.push(Line::from(importance));
    lines
}
