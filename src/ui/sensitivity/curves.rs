//! The same as curves: the rise of the loss over the ratio that a part is pruned to.

use super::{called, figure};
use crate::app::App;
use crate::app::sensitivity::{rows, view};
use crate::run::sensitivity::By;
use crate::theme::Theme;
use crate::ui::axes::{self, Vertical};
use crate::ui::fit;
use crate::ui::plot::Raster;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

/// Least rows and columns of the curves themselves, and of the names beside them.
const LEAST: (u16, u16) = (5, 24);
const NAMES: u16 = 31;
/// Columns of a figure beside a name.
const FIGURE: usize = 9;

/// Rows that curves want below a table.
pub const WANTED: u16 = 10;

/// A part, its points and how it is drawn.
struct Curve {
    name: String,
    points: Vec<(f64, f64)>,
    style: Style,
    /// At the ratio that the map shows.
    here: Option<(String, Style)>,
}

/// The parts that have points, as many as there are colours and rows for their names, and how many there are more: those
/// under the cursor, then those of adapters, which the selection of adapter and factor narrows.
fn all(app: &App, theme: &Theme, rows_below: usize) -> (Vec<Curve>, usize) {
    let known = &app.sensitivity;
    let ratio = known.ratio();
    let takes = |(by, name): &(By, String)| match by {
        By::Module | By::Layer | By::Projection => true,
        By::AdapterFactor => view::is_selected(app, name),
        By::Factor | By::RoleFactor | By::Adapter => false,
    };
    let measured = rows(app).into_iter().filter(takes);
    let mut found: Vec<Curve> = measured
        .filter_map(|(by, name)| {
            let points = view::points(known, by, &name);
            let here = ratio.and_then(|ratio| known.of(by, &name, ratio)).map(|m| figure(m, FIGURE, theme));
            (!points.is_empty()).then(|| Curve { name: short(by, &name), points, style: theme.text, here })
        })
        .collect();
    let most = if found.len() > rows_below { rows_below.saturating_sub(1) } else { rows_below };
    let most = most.min(theme.series.len());
    let more = found.len().saturating_sub(most);
    found.truncate(most);
    for (curve, style) in found.iter_mut().zip(theme.series) {
        curve.style = style;
    }
    (found, more)
}

/// Whether there is room for curves.
pub fn fits(area: Rect) -> bool {
    area.height >= LEAST.0 + 2 && area.width >= LEAST.1 + NAMES
}

/// Draws the curves with their names beside them.
pub fn draw(app: &App, theme: &Theme, frame: &mut Frame<'_>, area: Rect) {
    // Below the heading of the names.
    let (curves, more) = all(app, theme, usize::from(area.height).saturating_sub(1));
    let points = || curves.iter().flat_map(|curve| curve.points.iter().copied());
    if curves.is_empty() || !fits(area) {
        let text = if curves.is_empty() { "no part of these has been measured" } else { "no room for curves here" };
        frame.render_widget(Line::styled(text, theme.dim), area);
        return;
    }
    let names = NAMES.max(area.width / 4).min(44);
    let plot = Rect { width: area.width - names - 2, ..area };
    let (low, high) = points().fold((0.0f64, 0.0f64), |(l, h), (_, y)| (l.min(y), h.max(y)));
    let vertical = Vertical::new((low, high.max(low + 1e-3)), false, usize::from(area.height / 2).clamp(2, 6));
    let x = points().fold((f64::MAX, f64::MIN), |(l, h), (x, _)| (l.min(x), h.max(x)));
    // A single ratio lies in the middle.
    let x = if x.0 < x.1 { x } else { (x.0 - 0.1, x.1 + 0.1) };
    let left = (vertical.width() + 2).min(plot.width / 3);
    let inner = Rect { x: plot.x + left, width: plot.width - left - 1, height: plot.height - 2, ..plot };
    let mut raster = Raster::new(inner.width, inner.height, x, vertical.range);
    let buf = frame.buffer_mut();
    axes::frame(&raster, &vertical, x, theme, buf, inner);
    let ticks: Vec<(f64, String)> = app.sensitivity.ratios().into_iter().map(|r| (r, ratio(r))).collect();
    // The name of the last one may stand into the gap.
    axes::below(&raster, (vertical.range.0, &ticks), theme, buf, Rect { width: inner.width + 2, ..inner });
    if let Some((column, _)) = app.sensitivity.ratio().and_then(|r| raster.cell((r, vertical.range.0))) {
        for y in inner.top()..inner.bottom() {
            buf.set_string(inner.x + column, y, theme.glyphs.axis[0], theme.dim);
        }
    }
    raster.line(&[(x.0, 0.0), (x.1, 0.0)], theme.dim, true);
    for curve in curves.iter().rev() {
        raster.line(&curve.points, curve.style, false);
    }
    raster.draw(buf, inner, theme);
    for curve in curves.iter().rev() {
        for (x, y) in curve.points.iter().filter_map(|point| raster.cell(*point)) {
            buf.set_string(inner.x + x, inner.y + y, theme.glyphs.point, curve.style);
        }
    }
    let beside = Rect { x: area.right() - names, width: names, ..area };
    frame.render_widget(Paragraph::new(key(&curves, more, theme, beside)), beside);
}

/// What a part is called where there is little room: `layers.4 q_proj`.
fn short(by: By, name: &str) -> String {
    let words: Vec<&str> = name.split('.').collect();
    match (by, &words[..]) {
        (By::Module, [first, number, .., projection]) => format!("{first}.{number} {projection}"),
        _ => called(by, name),
    }
}

fn ratio(ratio: f64) -> String {
    if ratio < 1.0 { format!("{ratio}") } else { "gone".into() }
}

/// A line a curve: how it looks, what it is called, and the figure at the ratio that the map shows.
fn key(curves: &[Curve], more: usize, theme: &Theme, area: Rect) -> Vec<Line<'static>> {
    let swatch = theme.glyphs.swatches[2];
    let name = usize::from(area.width).saturating_sub(fit::width(swatch) + 1 + FIGURE);
    let mut lines = vec![Line::styled(format!("{:>1$}", "0.001 nats", usize::from(area.width)), theme.dim)];
    for curve in curves {
        let (text, style) = curve.here.clone().unwrap_or_else(|| (theme.glyphs.none.to_owned(), theme.dim));
        let gap = " ".repeat(FIGURE.saturating_sub(fit::width(&text)));
        lines.push(Line::from(vec![
            Span::styled(swatch, curve.style),
            Span::styled(format!(" {}", fit::pad(&curve.name, name, theme)), theme.text),
            Span::styled(format!("{gap}{text}"), style),
        ]));
    }
    if more > 0 {
        let text = fit::cut(&format!("{more} more: a, f choose"), usize::from(area.width), theme);
        lines.push(Line::styled(text, theme.dim));
    }
    lines.truncate(usize::from(area.height));
    lines
}
