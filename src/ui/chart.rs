//! Loss curves: the current stage in colour, earlier ones dashed behind it.

use super::fit;
use super::plot::{Raster, round_step};
use crate::app::{App, Curves};
use crate::theme::Theme;
use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

/// Ranges of the axes and the steps of their ticks.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Axes {
    x: (f64, f64, f64),
    y: (f64, f64, f64),
}

/// The colours of a stage's curves; `age` 0 is the newest.
fn colours(theme: &Theme, age: usize) -> (Style, Style) {
    match age {
        0 => (theme.series[0], theme.series[1]),
        _ => (theme.series[2 + (age - 1) % 4], theme.series[2 + (age - 1) % 4]),
    }
}

/// Draws the curves and their key.
pub fn draw(app: &App, theme: &Theme, frame: &mut Frame<'_>, area: Rect) {
    let drawn: Vec<(usize, &Curves)> = app
        .curves
        .iter()
        .rev()
        .enumerate()
        .filter(|(age, c)| (*age == 0 || app.earlier) && !(c.train.is_empty() && c.dev.is_empty()))
        .collect();
    if drawn.is_empty() {
        let text = if app.curves.is_empty() { "no stage that trains has begun" } else { "no training step yet" };
        frame.render_widget(Line::styled(text, theme.dim), area);
        return;
    }
    let key = key(&drawn, theme, usize::from(area.width));
    let key_rows = (key.len() as u16).min(area.height.saturating_sub(7).max(2)).min(area.height);
    let plot = Rect { height: area.height - key_rows, ..area };
    let [axes_low, axes_high] = [8, 4];
    if plot.height >= axes_high && plot.width > 3 * axes_low {
        draw_plot(&drawn, theme, frame.buffer_mut(), plot);
    }
    frame.render_widget(Paragraph::new(key), Rect { y: plot.bottom(), height: key_rows, ..area });
}

/// Round ranges around everything that is drawn.
fn axes(drawn: &[(usize, &Curves)], width: u16, height: u16) -> Axes {
    let values = drawn.iter().flat_map(|(age, c)| {
        // Raw values only of the stage whose raw values are drawn.
        let raw = if *age == 0 { c.train.points() } else { &[] };
        raw.iter().chain(c.train.smooth()).chain(c.dev.points())
    });
    let finite = values.map(|p| p.1).filter(|v| v.is_finite());
    let (low, high) = finite.fold((f64::MAX, f64::MIN), |(l, h), v| (l.min(v), h.max(v)));
    let (low, high) = if low > high { (0.0, 1.0) } else { (low, high) };
    let step = round_step(low, high.max(low + 1e-3), usize::from(height / 2).clamp(2, 8));
    let (low, high) = ((low / step).floor() * step, ((high / step).ceil() * step).max(low + step));
    let last = drawn.iter().map(|(_, c)| (c.stage.steps as f64).max(c.train.points().last().map_or(0.0, |p| p.0)));
    let last = last.fold(2.0, f64::max);
    let ticks = round_step(0.0, last, usize::from(width / 10).clamp(1, 12)).max(1.0);
    Axes { x: (0.0, last, ticks), y: (low, high, step) }
}

fn draw_plot(drawn: &[(usize, &Curves)], theme: &Theme, buf: &mut Buffer, area: Rect) {
    // Below the dots: the axis and its numbers.
    let rows = area.height - 2;
    let axes = axes(drawn, area.width, rows);
    let (low, high, step) = axes.y;
    let digits = (-step.log10().floor()).clamp(0.0, 6.0) as usize;
    let label = |v: f64| format!("{v:.digits$}");
    let names = label(low).len().max(label(high).len()) as u16;
    let inner = Rect { x: area.x + names + 2, y: area.y, width: area.width - names - 3, height: rows };
    let mut raster = Raster::new(inner.width, inner.height, (axes.x.0, axes.x.1), (low, high));
    let [vertical, corner, horizontal, tick_left, tick_below] = theme.glyphs.axis;
    let left = inner.x - 1;
    for y in inner.top()..inner.bottom() {
        buf.set_string(left, y, vertical, theme.dim);
    }
    buf.set_string(left, inner.bottom(), corner, theme.dim);
    buf.set_string(inner.x, inner.bottom(), horizontal.repeat(usize::from(inner.width)), theme.dim);
    let count = ((high - low) / step).round() as usize;
    for i in 0..=count {
        let value = low + step * i as f64;
        if let Some((_, row)) = raster.cell((axes.x.0, value)) {
            buf.set_string(left, inner.y + row, tick_left, theme.dim);
            let text = format!("{:>width$}", label(value), width = usize::from(names));
            buf.set_string(area.x, inner.y + row, text, theme.dim);
        }
    }
    step_numbers(&raster, axes, theme, buf, inner, tick_below);
    for (age, curves) in drawn.iter().rev() {
        let (train, dev) = colours(theme, *age);
        if *age == 0 {
            raster.points(curves.train.points(), theme.dim);
        }
        if *age > 0 {
            raster.line(curves.dev.points(), dev, true);
        }
        raster.line(curves.train.smooth(), train, *age > 0);
        if *age == 0 {
            raster.line(curves.dev.points(), dev, false);
        }
    }
    raster.draw(buf, inner, theme);
    if let Some((_, now)) = drawn.first() {
        for point in now.dev.points() {
            if let Some((x, y)) = raster.cell(*point) {
                buf.set_string(inner.x + x, inner.y + y, theme.glyphs.point, colours(theme, 0).1);
            }
        }
    }
}

/// Ticks and step numbers below the axis, the last step at its end.
fn step_numbers(raster: &Raster, axes: Axes, theme: &Theme, buf: &mut Buffer, inner: Rect, tick: &str) {
    let (_, last, every) = axes.x;
    let y = inner.bottom();
    let end = format!("step {last:.0}");
    let end_at = inner.right().saturating_sub(end.len() as u16);
    buf.set_string(end_at, y + 1, &end, theme.dim);
    let mut value = 0.0;
    while value <= last {
        if let Some((column, _)) = raster.cell((value, axes.y.0)) {
            let text = format!("{value:.0}");
            let half = (text.len() as u16 - 1) / 2;
            let x = (inner.x + column).saturating_sub(half);
            buf.set_string(inner.x + column, y, tick, theme.dim);
            if x + (text.len() as u16) < end_at {
                buf.set_string(x, y + 1, text, theme.dim);
            }
        }
        value += every;
    }
}

/// One line a stage, the newest first: how its curves look and where they stand.
fn key(drawn: &[(usize, &Curves)], theme: &Theme, width: usize) -> Vec<Line<'static>> {
    let [raw, smooth, dev_line, earlier] = theme.glyphs.swatches;
    let longest = drawn.iter().map(|(_, c)| fit::width(&c.stage.method)).max().unwrap_or(0);
    let name = longest.min(width.saturating_sub(30).max(8));
    let figure = |v: Option<f64>| v.map_or_else(|| format!("{:>6}", theme.glyphs.none), |v| format!("{v:>6.3}"));
    drawn
        .iter()
        .map(|(age, curves)| {
            let (train, dev) = colours(theme, *age);
            let now = *age == 0;
            let text = if now { theme.text } else { theme.dim };
            let mut all = vec![fit::fact(fit::pad(&curves.stage.method, name, theme), text, 8)];
            let smoothed = figure(curves.train.smooth().last().map(|p| p.1));
            let swatch = if now { smooth } else { earlier };
            all.push(fit::Fact {
                spans: vec![Span::styled(swatch, train), Span::styled(format!(" train {smoothed}"), text)],
                weight: 9,
            });
            let swatch = if now { dev_line } else { earlier };
            all.push(fit::Fact {
                spans: vec![
                    Span::styled(swatch, dev),
                    Span::styled(format!(" dev {}", figure(curves.dev.last())), text),
                ],
                weight: 10,
            });
            all.push(fit::fact(format!("best {}", figure(curves.best)), text, 5));
            if now {
                all.push(fit::fact(format!("{raw} each step"), theme.dim, 1));
            }
            fit::facts(all, "  ", width)
        })
        .collect()
}
