//! Loss curves: the current stage in colour, earlier ones dim behind it.

use crate::app::App;
use crate::theme::Theme;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::symbols::Marker;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Axis, Chart, Dataset, GraphType, Paragraph};

/// Draws the curves and their key.
pub fn draw(app: &App, theme: &Theme, frame: &mut Frame<'_>, area: Rect) {
    let all = || app.curves.iter().flat_map(|c| c.train.points().iter().chain(c.dev.points()));
    if all().next().is_none() {
        frame.render_widget(Paragraph::new(Span::styled("no training step yet", theme.dim)), area);
        return;
    }
    let (low, high) = all().fold((f64::MAX, f64::MIN), |(l, h), p| (l.min(p.1), h.max(p.1)));
    // Bounds on a grid of a quarter nat: they don't move with every step.
    let (low, high) = ((low * 4.0).floor() / 4.0, (high * 4.0).ceil() / 4.0 + if low == high { 0.25 } else { 0.0 });
    let last = app.curves.iter().map(|c| c.stage.steps as f64).fold(1.0, f64::max);
    let marker = if theme.ascii { Marker::Dot } else { Marker::Braille };
    let mut sets = Vec::new();
    let count = app.curves.len();
    for (i, curves) in app.curves.iter().enumerate() {
        let now = i + 1 == count;
        let set = |data, style, graph| Dataset::default().marker(marker).graph_type(graph).style(style).data(data);
        if now {
            sets.push(set(curves.train.points(), theme.dim, GraphType::Scatter));
        }
        sets.push(set(curves.train.smooth(), if now { theme.accent } else { theme.dim }, GraphType::Line));
        sets.push(set(curves.dev.points(), if now { theme.warn } else { theme.dim }, GraphType::Line));
    }
    let labels = |values: [f64; 3], digits: usize| values.map(|v| Line::styled(format!("{v:.digits$}"), theme.dim));
    let chart = Chart::new(sets)
        .legend_position(None)
        .x_axis(
            Axis::default()
                .bounds([1.0, last.max(2.0)])
                .labels(labels([1.0, (1.0 + last) / 2.0, last], 0))
                .style(theme.dim),
        )
        .y_axis(
            Axis::default()
                .bounds([low, high])
                .labels(labels([low, f64::midpoint(low, high), high], 2))
                .style(theme.dim),
        );
    let key_rows = (count as u16).min(area.height / 3).max(1);
    let [plot, key] = Layout::vertical([Constraint::Min(0), Constraint::Length(key_rows)]).areas(area);
    frame.render_widget(chart, plot);
    let mut lines: Vec<Line<'_>> = Vec::new();
    for (i, curves) in app.curves.iter().enumerate().rev().take(usize::from(key_rows)) {
        let now = i + 1 == count;
        let (name, dev) = if now { (theme.accent, theme.warn) } else { (theme.dim, theme.dim) };
        let figure = |v: Option<f64>| v.map_or_else(|| "    -".into(), |v| format!("{v:5.3}"));
        lines.push(Line::from(vec![
            Span::styled(format!("{:<26} ", curves.stage.method), name),
            Span::styled(format!("train {} ", figure(curves.train.smooth().last().map(|p| p.1))), name),
            Span::styled(format!("dev {}", figure(curves.dev.last())), dev),
        ]));
    }
    frame.render_widget(Paragraph::new(lines), key);
}
