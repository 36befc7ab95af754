//! Curves over the steps: the current stage in colour, earlier ones dashed behind it.

mod beside;

use super::axes::{self, Vertical};
use super::plot::Raster;
use super::{fit, layout};
use crate::app::series::Smoothing;
use crate::app::{App, Charts, Curves, Quantity};
use crate::theme::Theme;
use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

/// A stage's curves and its age; 0 is the newest.
type Drawn<'a> = [(usize, &'a Curves)];

/// The colours of a stage's curves; those of earlier stages may be taken by other runs.
fn colours(app: &App, theme: &Theme, age: usize) -> (Style, Style) {
    match age {
        0 => (theme.series[0], theme.series[1]),
        _ if !app.watch.others.curves.is_empty() => (theme.dim, theme.dim),
        _ => (theme.series[2 + (age - 1) % 4], theme.series[2 + (age - 1) % 4]),
    }
}

/// What the pane shows, for its title: quantity, unit, smoothing, scale, the step under the cursor.
pub fn about(app: &App, theme: &Theme) -> String {
    let charts = &app.watch.charts;
    let mut all = vec![charts.quantity.label().to_owned(), charts.quantity.unit().to_owned()];
    if charts.smoothing != Smoothing::Off && charts.quantity != Quantity::RougeL {
        all.push(format!("mean of {}", charts.smoothing.keep()));
    }
    if charts.log {
        all.push("log".into());
    }
    all.join(&format!(" {} ", theme.glyphs.dot))
}

/// Draws the curves and their key.
pub fn draw(app: &App, theme: &Theme, frame: &mut Frame<'_>, area: Rect) {
    // Where a pane has no border, its title takes a row, if that leaves enough for the curves.
    let area = if layout::is_wide(frame.area()) || area.height < 6 {
        area
    } else {
        let title = fit::cut(&about(app, theme), usize::from(area.width), theme);
        frame.render_widget(Line::styled(title, theme.title()), area);
        Rect { y: area.y + 1, height: area.height - 1, ..area }
    };
    let drawn: Vec<(usize, &Curves)> = Charts::drawn(app).collect();
    if drawn.is_empty() && app.watch.others.curves.is_empty() {
        let quantity = app.watch.charts.quantity;
        let text = if app.curves.is_empty() && quantity == Quantity::Loss {
            "no stage that trains has begun"
        } else {
            quantity.absence()
        };
        frame.render_widget(Paragraph::new(fit::wrap(&[(text, theme.dim)], usize::from(area.width))), area);
        return;
    }
    let key = key(app, &drawn, theme, usize::from(area.width));
    let key_rows = (key.len() as u16).min(area.height.saturating_sub(7).max(2)).min(area.height);
    let plot = Rect { height: area.height - key_rows, ..area };
    let [axes_low, axes_high] = [8, 4];
    if plot.height >= axes_high && plot.width > 3 * axes_low {
        if drawn.is_empty() && !beside::any(app) {
            let text = app.watch.charts.quantity.absence();
            frame.render_widget(Paragraph::new(fit::wrap(&[(text, theme.dim)], usize::from(plot.width))), plot);
        } else {
            draw_plot(app, &drawn, theme, frame.buffer_mut(), plot);
        }
    }
    frame.render_widget(Paragraph::new(key), Rect { y: plot.bottom(), height: key_rows, ..area });
}

/// The curve of a stage that is drawn as evaluations: a point each.
fn evaluations(quantity: Quantity, curves: &Curves) -> &[(f64, f64)] {
    match quantity {
        Quantity::Loss => curves.dev.points(),
        Quantity::RougeL => quantity.of(curves).map_or(&[], |s| s.points()),
        _ => &[],
    }
}

/// The curve of a stage that has a value at each step: as it is, and its moving mean.
fn each_step(quantity: Quantity, smoothing: Smoothing, curves: &Curves) -> [&[(f64, f64)]; 2] {
    match quantity.of(curves).filter(|_| quantity != Quantity::RougeL) {
        Some(series) => [series.points(), series.smooth(smoothing)],
        None => [&[], &[]],
    }
}

/// The points of the steps on show, and the neighbours that the line comes from and goes to.
fn shown(points: &[(f64, f64)], (from, to): (f64, f64)) -> &[(f64, f64)] {
    let first = points.partition_point(|p| p.0 < from).saturating_sub(1);
    let last = (points.partition_point(|p| p.0 <= to) + 1).min(points.len());
    &points[first.min(last)..last]
}

/// The vertical axis, round around everything that is drawn.
fn vertical(app: &App, drawn: &Drawn<'_>, x: (f64, f64), height: u16) -> Vertical {
    let charts = &app.watch.charts;
    let values = drawn.iter().flat_map(|(age, c)| {
        let [raw, smooth] = each_step(charts.quantity, charts.smoothing, c);
        // Raw values only of the stage whose raw values are drawn.
        let raw = if *age == 0 { raw } else { &[] };
        [raw, smooth, evaluations(charts.quantity, c)].into_iter().flat_map(move |points| shown(points, x))
    });
    let values = values.copied().chain(beside::points(app, x));
    let inside = values.filter(|p| (x.0..=x.1).contains(&p.0)).map(|p| p.1);
    let inside = inside.filter(|v| v.is_finite() && (!charts.log || *v > 0.0));
    let (low, high) = inside.fold((f64::MAX, f64::MIN), |(l, h), v| (l.min(v), h.max(v)));
    let (low, high) = if low > high { (0.0, 1.0) } else { (low, high) };
    // A flat curve lies in the middle of something, what floating point makes of it included.
    let flat = high - low <= 1e-4 * high.abs().max(low.abs());
    let room = if flat { 0.1 * high.abs().max(1e-9) } else { 0.0 };
    let (low, high) = (low - room, high + room);
    Vertical::new((low, high), charts.log, usize::from(height / 2).clamp(2, 8))
}

fn draw_plot(app: &App, drawn: &Drawn<'_>, theme: &Theme, buf: &mut Buffer, area: Rect) {
    let charts = &app.watch.charts;
    let x = charts.range(Charts::end(app));
    // Below the dots: the axis and its numbers.
    let rows = area.height - 2;
    let vertical = vertical(app, drawn, x, rows);
    let names = vertical.width().min(area.width / 3);
    let inner = Rect { x: area.x + names + 2, y: area.y, width: area.width - names - 3, height: rows };
    let mut raster = Raster::new(inner.width, inner.height, x, vertical.range);
    axes::draw(&raster, &vertical, x, theme, buf, inner);
    let placed = |points: &[(f64, f64)]| -> Vec<(f64, f64)> {
        shown(points, x).iter().filter_map(|p| Some((p.0, vertical.place(p.1)?))).collect()
    };
    for (age, curves) in drawn.iter().rev() {
        if *age == 0 {
            // Behind the newest stage's own, before those of earlier ones.
            beside::lines(app, theme, &mut raster, &placed);
        }
        let (train, dev) = colours(app, theme, *age);
        let [raw, smooth] = each_step(charts.quantity, charts.smoothing, curves);
        let evaluations = placed(evaluations(charts.quantity, curves));
        if *age == 0 && charts.smoothing != Smoothing::Off {
            raster.line(&placed(raw), theme.dim, false);
        }
        if *age > 0 {
            raster.line(&evaluations, dev, true);
        }
        raster.line(&placed(smooth), train, *age > 0);
        if *age == 0 {
            raster.line(&evaluations, dev, false);
        }
    }
    if drawn.first().is_none_or(|(age, _)| *age > 0) {
        beside::lines(app, theme, &mut raster, &placed);
    }
    let at = charts.cursor.and_then(|step| raster.cell((step, vertical.range.0)));
    if let Some((column, _)) = at {
        for y in inner.top()..inner.bottom() {
            buf.set_string(inner.x + column, y, theme.glyphs.axis[0], theme.accent);
        }
    }
    raster.draw(buf, inner, theme);
    beside::numbers(app, theme, (&raster, inner), buf, &placed);
    if let Some((_, now)) = drawn.first().filter(|(age, _)| *age == 0) {
        for point in placed(evaluations(charts.quantity, now)) {
            if let Some((x, y)) = raster.cell(point) {
                buf.set_string(inner.x + x, inner.y + y, theme.glyphs.point, colours(app, theme, 0).1);
            }
        }
    }
    if let (Some((column, _)), Some(step)) = (at, charts.cursor) {
        let text = format!("{step:.0}");
        let y = inner.bottom() + 1;
        let x = (inner.x + column).saturating_sub(text.len() as u16 / 2);
        let x = x.min(inner.right().saturating_sub(text.len() as u16));
        // No number of the axis runs into it.
        let from = x.saturating_sub(3).max(area.x);
        let to = (x + text.len() as u16 + 3).min(area.right());
        buf.set_string(from, y, " ".repeat(usize::from(to - from)), theme.dim);
        buf.set_string(x, y, text, theme.title());
    }
}

/// A value behind its label, in columns that do not move.
fn figure(quantity: Quantity, value: Option<f64>, theme: &Theme) -> String {
    let text = value.map_or_else(|| theme.glyphs.none.to_owned(), |v| quantity.show(v));
    format!("{}{text}", " ".repeat(7usize.saturating_sub(fit::width(&text))))
}

/// One line a stage, the newest first, the other runs behind that: how its curves look, and where they stand, at the cursor or now.
fn key(app: &App, drawn: &Drawn<'_>, theme: &Theme, width: usize) -> Vec<Line<'static>> {
    let charts = &app.watch.charts;
    let [raw_line, smooth_line, dev_line, earlier] = theme.glyphs.swatches;
    let longest = drawn.iter().map(|(_, c)| fit::width(&c.stage.method)).max().unwrap_or(0).max(beside::longest(app));
    let name = longest.min(width.saturating_sub(30).max(8));
    let quantity = charts.quantity;
    let step = charts.cursor.unwrap_or(f64::INFINITY);
    let figure = |value: Option<f64>| figure(quantity, value, theme);
    let mut lines: Vec<Line<'static>> = drawn
        .iter()
        .map(|(age, curves)| {
            let (train, dev) = colours(app, theme, *age);
            let now = *age == 0;
            let text = if now { theme.text } else { theme.dim };
            let mut all = vec![fit::fact(fit::pad(&curves.stage.method, name, theme), text, 8)];
            let mut curve = |swatch: &'static str, style: Style, label: &str, value: Option<f64>, weight: u8| {
                let swatch = Span::styled(if now { swatch } else { earlier }, style);
                let spans = vec![swatch, Span::styled(format!(" {label}{}", figure(value)), text)];
                all.push(fit::Fact { spans, weight });
            };
            let series = quantity.of(curves);
            let smooth = series.and_then(|s| s.at(charts.smoothing, step));
            match quantity {
                Quantity::Loss => {
                    curve(smooth_line, train, "train", smooth, 9);
                    curve(dev_line, dev, "dev", curves.dev.at(Smoothing::Off, step), 10);
                }
                Quantity::RougeL => curve(dev_line, dev, "dev", series.and_then(|s| s.at(Smoothing::Off, step)), 10),
                _ => curve(smooth_line, train, "", smooth, 10),
            }
            if quantity == Quantity::Loss && charts.cursor.is_none() {
                all.push(fit::fact(format!("best{}", figure(curves.best)), text, 5));
            }
            if now && charts.smoothing != Smoothing::Off && quantity != Quantity::RougeL {
                let raw = series.and_then(|s| s.at(Smoothing::Off, step));
                all.push(fit::fact(format!("{raw_line} each step{}", figure(raw)), theme.dim, 1));
            }
            fit::facts(all, "  ", width)
        })
        .collect();
    let newest = usize::from(drawn.first().is_some_and(|(age, _)| *age == 0));
    lines.splice(newest..newest, beside::key(app, theme, name, width));
    lines
}
