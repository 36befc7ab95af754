//! Curves of other runs over the chart: a colour and a number each, smoothed and placed as the run's own.

use super::{each_step, evaluations, shown};
use crate::app::App;
use crate::app::series::Smoothing;
use crate::app::watch::others::Beside;
use crate::app::{Charts, Curves, Quantity};
use crate::theme::Theme;
use crate::ui::fit;
use crate::ui::plot::Raster;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

/// Points of a curve as they are drawn: smoothed, logarithmic, within the steps on show.
type Placed<'a> = dyn Fn(&[(f64, f64)]) -> Vec<(f64, f64)> + 'a;

/// The colour of a run: those that the newest stage has not.
fn colour(theme: &Theme, run: &Beside) -> Style {
    theme.series[2 + run.place % 4]
}

/// The runs that have something to draw.
fn curves(app: &App) -> impl Iterator<Item = (&Beside, &Curves)> {
    Charts::beside(app).into_iter().filter_map(|(run, curves)| Some((run, curves?)))
}

/// Whether there is anything to draw.
pub(super) fn any(app: &App) -> bool {
    curves(app).next().is_some()
}

/// The points that the vertical axis has to have room for.
pub(super) fn points(app: &App, x: (f64, f64)) -> Vec<(f64, f64)> {
    let charts = &app.watch.charts;
    let lines = |c: &Curves| -> Vec<(f64, f64)> {
        let [_, smooth] = each_step(charts.quantity, charts.smoothing, c);
        [smooth, evaluations(charts.quantity, c)].into_iter().flat_map(|points| shown(points, x)).copied().collect()
    };
    curves(app).flat_map(|(_, c)| lines(c)).collect()
}

/// Draws the lines.
pub(super) fn lines(app: &App, theme: &Theme, raster: &mut Raster, placed: &Placed<'_>) {
    let charts = &app.watch.charts;
    for (run, curves) in curves(app) {
        let [_, smooth] = each_step(charts.quantity, charts.smoothing, curves);
        raster.line(&placed(evaluations(charts.quantity, curves)), colour(theme, run), !smooth.is_empty());
        raster.line(&placed(smooth), colour(theme, run), false);
    }
}

/// Puts each run's number on its evaluations and on the end of its line, so that colours are not all that tells the
/// runs apart.
pub(super) fn numbers(
    app: &App,
    theme: &Theme,
    (raster, inner): (&Raster, Rect),
    buf: &mut Buffer,
    placed: &Placed<'_>,
) {
    let charts = &app.watch.charts;
    for (run, curves) in curves(app) {
        let [_, smooth] = each_step(charts.quantity, charts.smoothing, curves);
        let end = placed(smooth).into_iter().rev().find(|point| raster.cell(*point).is_some());
        for point in placed(evaluations(charts.quantity, curves)).into_iter().chain(end) {
            if let Some((x, y)) = raster.cell(point) {
                buf.set_string(inner.x + x, inner.y + y, (run.place + 1).to_string(), colour(theme, run));
            }
        }
    }
}

/// One line a run: number and name, where its curves stand, and what else there is to know.
pub(super) fn key(app: &App, theme: &Theme, name: usize, width: usize) -> Vec<Line<'static>> {
    let charts = &app.watch.charts;
    let quantity = charts.quantity;
    let step = charts.cursor.unwrap_or(f64::INFINITY);
    let [_, line, dev_line, dashed] = theme.glyphs.swatches;
    let method = app.curves.last().map_or("", |c| c.stage.method.as_str());
    let one = |(run, curves): (&Beside, Option<&Curves>)| {
        let style = colour(theme, run);
        let label = format!("{} {}", run.place + 1, run.name);
        let mut all = vec![fit::fact(fit::pad(&label, name, theme), style, 9)];
        let mut curve = |swatch: &'static str, label: &str, value: Option<f64>, weight| {
            let figure = super::figure(quantity, value, theme);
            let spans = vec![Span::styled(swatch, style), Span::styled(format!(" {label}{figure}"), theme.text)];
            all.push(fit::Fact { spans, weight });
        };
        if let Some(curves) = curves {
            let series = quantity.of(curves);
            let smooth = series.and_then(|s| s.at(charts.smoothing, step));
            match quantity {
                Quantity::Loss => {
                    curve(line, "train", smooth, 8);
                    curve(dashed, "dev", curves.dev.at(Smoothing::Off, step), 10);
                }
                Quantity::RougeL => curve(dev_line, "dev", series.and_then(|s| s.at(Smoothing::Off, step)), 10),
                _ => curve(line, "", smooth, 10),
            }
            if quantity == Quantity::Loss && charts.cursor.is_none() {
                all.push(fit::fact(format!("best{}", super::figure(quantity, curves.best, theme)), theme.text, 5));
            }
            if curves.stage.method != method {
                all.push(fit::fact(curves.stage.method.clone(), theme.dim, 3));
            }
        }
        let (text, style) = match run.known.as_deref() {
            None => ("is being read".to_owned(), theme.dim),
            Some(known) => match (&known.error, known.reading) {
                (Some(error), _) => (error.clone(), theme.warn),
                (None, Some(share)) => (format!("read to {:.0} %", 100.0 * share), theme.dim),
                (None, None) if curves.is_none() => (format!("has no {} yet", quantity.label()), theme.dim),
                (None, None) if !known.state.is_over() => (known.state.word().to_owned(), theme.dim),
                (None, None) => (String::new(), theme.dim),
            },
        };
        all.push(fit::fact(fit::cut(&text, width.saturating_sub(name + 2), theme), style, 4));
        fit::facts(all, "  ", width)
    };
    Charts::beside(app).into_iter().map(one).collect()
}

/// Columns of the longest name.
pub(super) fn longest(app: &App) -> usize {
    app.watch.others.curves.iter().map(|run| fit::width(&run.name) + 2).max().unwrap_or(0)
}
