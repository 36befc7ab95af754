//! Runs side by side: final figures, the settings that differ, dev losses in one chart.

use super::difference;
use crate::app::runs::Comparison;
use crate::run::compare::{Compared, Paired};
use crate::theme::Theme;
use crate::ui::fit;
use crate::ui::plot::{Raster, round_step};
use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

/// Rows of the smallest chart that says something, its heading included.
const CHART: u16 = 7;
/// Fewer lines for the settings are none.
const LEAST: usize = 2;
/// Columns of a run that an interval takes: `-10.10 to +14.01`, or nearly.
const INTERVAL: usize = 14;
/// Columns and rows with room for curves and map beside each other.
const BOTH: (u16, u16) = (116, 30);

/// Draws the comparison, its settings from line `top` on.
pub fn draw(comparison: &Comparison, top: usize, theme: &Theme, frame: &mut Frame<'_>, area: Rect) {
    let width = usize::from(area.width);
    let table = table(comparison, theme, width);
    let (fixed, settings) = table;
    // With room, curves and map stand side by side below the settings; the map alone takes it all.
    let both = comparison.has_maps() && area.width >= BOTH.0 && area.height >= BOTH.1;
    if comparison.has_maps() && comparison.view.map {
        let rows = 1.min(area.height);
        frame.render_widget(Paragraph::new(fixed.into_iter().take(1).collect::<Vec<_>>()), area);
        let place = Rect { y: area.y + rows, height: area.height - rows, ..area };
        return difference::draw(comparison, theme, frame, place);
    }
    let wanted = (fixed.len() + settings.len()) as u16;
    let chart = if both {
        area.height.saturating_sub(wanted + 1).clamp(difference::LEAST.1, area.height * 2 / 3)
    } else if comparison.has_curves() && area.height >= 2 * CHART {
        area.height.saturating_sub(wanted).clamp(CHART.max(area.height / 3), area.height / 2)
    } else {
        0
    };
    let rows = usize::from(area.height - chart);
    let (mut lines, mut moving) = (fixed, settings);
    if lines.len() + LEAST > rows {
        // Without room for settings the figures move with them, below the names of the runs.
        let mut figures = lines.split_off(1.min(lines.len()));
        figures.append(&mut moving);
        moving = figures;
    }
    let room = rows.saturating_sub(lines.len());
    let most = moving.len().saturating_sub(room);
    comparison.reach.note(most);
    let first = top.min(most);
    let more = moving.len() > first + room;
    lines.extend(moving.into_iter().skip(first).take(room));
    frame.render_widget(Paragraph::new(lines), Rect { height: area.height - chart, ..area });
    if more && area.width > 0 {
        let place = Rect::new(area.right() - 1, area.bottom() - chart - 1, 1, 1);
        frame.render_widget(Span::styled(theme.glyphs.more[3], theme.accent), place);
    }
    if chart > 0 {
        let below = Rect { y: area.bottom() - chart, height: chart, ..area };
        if both {
            let half = if comparison.has_curves() { area.width / 2 } else { 0 };
            curves(comparison, theme, frame, Rect { width: half.saturating_sub(2), ..below });
            let right = Rect { x: area.x + half, width: area.width - half, ..below };
            difference::draw(comparison, theme, frame, right);
        } else {
            curves(comparison, theme, frame, below);
        }
    }
}

/// The figures, and the settings: one line each.
fn table(comparison: &Comparison, theme: &Theme, width: usize) -> (Vec<Line<'static>>, Vec<Line<'static>>) {
    let runs = &comparison.runs;
    let longest = comparison.differ.iter().map(|(key, _)| fit::width(key)).max().unwrap_or(0);
    let label = longest.clamp(10, (width / 3).max(10));
    let column = width.saturating_sub(label) / runs.len().max(1);
    let column = column.saturating_sub(2).clamp(4, 40);
    let row = |name: &str, cells: Vec<(String, Style)>, style: Style| {
        let mut spans = vec![Span::styled(fit::pad(name, label, theme), style)];
        for (text, style) in cells {
            spans.extend([Span::raw("  "), Span::styled(fit::pad(&text, column, theme), style)]);
        }
        Line::from(spans)
    };
    let none = || (theme.glyphs.none.to_owned(), theme.dim);
    let figures = |name: &str, of: &dyn Fn(&Compared) -> Option<String>| {
        let cells = runs.iter().map(|run| of(run).map_or_else(none, |text| (text, theme.text))).collect();
        row(name, cells, theme.dim)
    };
    let score = |name: &str, of: fn(&crate::run::event::ReportRow) -> f64, digits: usize| {
        figures(name, &|run| run.row.as_ref().map(|row| format!("{:.digits$}", of(row))))
    };
    let colour =
        |(i, run): (usize, &Compared)| (format!("{} {}", i + 1, run.name), theme.series[i % theme.series.len()]);
    let mut fixed = vec![row("run", runs.iter().enumerate().map(colour).collect(), theme.title())];
    // Recipes have no figures.
    if comparison.runs.iter().any(|run| run.row.is_some() || !run.dev.is_empty()) {
        fixed.push(figures("method", &|run| run.row.as_ref().map(|row| row.method.clone())));
        fixed.push(score("ROUGE-1", |row| row.rouge.rouge1, 2));
        fixed.push(score("ROUGE-2", |row| row.rouge.rouge2, 2));
        fixed.push(score("ROUGE-L", |row| row.rouge.rouge_l, 2));
        // Whether that is more than chance, for which a narrow column has a mark alone.
        if runs.iter().any(|run| run.paired.is_some()) {
            fixed.push(figures("R-L over 1", &|run| run.paired.as_ref().map(|paired| over(paired, column))));
            if column >= INTERVAL {
                fixed.push(figures("95 % of it", &|run| run.paired.as_ref().and_then(interval)));
            }
        }
        fixed.push(score("loss", |row| row.loss, 3));
        fixed.push(figures("dev loss", &|run| run.dev.last().map(|point| format!("{:.3}", point.1))));
        fixed.push(figures("sparsity", &|run| run.row.as_ref().map(|row| format!("{:.1} %", 100.0 * row.sparsity))));
        fixed.push(figures("training", &|run| run.row.as_ref().map(|row| fit::duration(row.seconds))));
    }
    let (differ, alike) = (comparison.differ.len(), comparison.alike);
    let heading = match differ {
        0 => format!("all {alike} settings are the same"),
        1 => format!("1 setting differs, {alike} are the same"),
        _ => format!("{differ} settings differ, {alike} are the same"),
    };
    fixed.push(Line::styled(fit::cut(&heading, width, theme), theme.title()));
    let settings = comparison.differ.iter().map(|(key, values)| {
        let cells =
            values.iter().map(|value| value.clone().map_or_else(none, |text| (tail(&text, column), theme.text)));
        row(key, cells.collect(), theme.dim)
    });
    (fixed, settings.collect())
}

/// `+0.61 p=0.260`: how far a run's summaries are above the first run's by ROUGE-L; or why that cannot be told.
fn over(paired: &Paired, column: usize) -> String {
    match paired {
        Paired::Not(why) => why.clone(),
        Paired::Told(found) if column < INTERVAL => format!("{:+.2}{}", found.difference, found.mark()),
        Paired::Told(found) if found.p < 0.001 => format!("{:+.2} p<0.001", found.difference),
        Paired::Told(found) => format!("{:+.2} p={:.3}", found.difference, found.p),
    }
}

fn interval(paired: &Paired) -> Option<String> {
    let Paired::Told(found) = paired else { return None };
    found.bounds.map(|(low, high)| format!("{low:+.2} to {high:+.2}"))
}

/// Of a path that is too long its end: there paths differ.
fn tail(text: &str, width: usize) -> String {
    if fit::width(text) <= width || !text.starts_with('/') {
        return text.to_owned();
    }
    let parts: Vec<&str> = text.split('/').collect();
    let fits = |from: &usize| fit::width(&parts[*from..].join("/")) <= width;
    let from = (1..parts.len()).find(fits).unwrap_or(parts.len() - 1);
    parts[from..].join("/")
}

fn curves(comparison: &Comparison, theme: &Theme, frame: &mut Frame<'_>, area: Rect) {
    let heading = fit::cut("dev loss by step, nats per summary token", usize::from(area.width), theme);
    frame.render_widget(Line::styled(heading, theme.title()), Rect { height: 1, ..area });
    let area = Rect { y: area.y + 1, height: area.height - 1, ..area };
    if area.width < 24 || area.height < 4 {
        return;
    }
    plot(comparison, theme, frame.buffer_mut(), area);
}

fn plot(comparison: &Comparison, theme: &Theme, buf: &mut Buffer, area: Rect) {
    let points = || comparison.runs.iter().flat_map(|run| &run.dev);
    let (low, high) = points().fold((f64::MAX, f64::MIN), |(l, h), p| (l.min(p.1), h.max(p.1)));
    let rows = area.height - 2;
    let step = round_step(low, high.max(low + 1e-3), usize::from(rows / 2).clamp(2, 8));
    let (low, high) = ((low / step).floor() * step, ((high / step).ceil() * step).max(low + step));
    let first = points().map(|p| p.0).fold(f64::MAX, f64::min).min(1.0);
    let last = points().map(|p| p.0).fold(2.0, f64::max);
    let digits = (-step.log10().floor()).clamp(0.0, 6.0) as usize;
    let names = format!("{low:.digits$}").len().max(format!("{high:.digits$}").len()) as u16;
    if area.width < names + 12 {
        return;
    }
    let inner = Rect { x: area.x + names + 2, y: area.y, width: area.width - names - 3, height: rows };
    let [vertical, corner, horizontal, tick, _] = theme.glyphs.axis;
    for y in inner.top()..inner.bottom() {
        buf.set_string(inner.x - 1, y, vertical, theme.dim);
    }
    buf.set_string(inner.x - 1, inner.bottom(), corner, theme.dim);
    buf.set_string(inner.x, inner.bottom(), horizontal.repeat(usize::from(inner.width)), theme.dim);
    let mut raster = Raster::new(inner.width, rows, (first, last), (low, high));
    let count = (((high - low) / step).round() as usize).min(100);
    for i in 0..=count {
        let value = low + step * i as f64;
        if let Some((_, row)) = raster.cell((first, value)) {
            buf.set_string(inner.x - 1, inner.y + row, tick, theme.dim);
            let text = format!("{value:>width$.digits$}", width = usize::from(names));
            buf.set_string(area.x, inner.y + row, text, theme.dim);
        }
    }
    let style = |i: usize| theme.series[i % theme.series.len()];
    for (i, run) in comparison.runs.iter().enumerate() {
        raster.line(&run.dev, style(i), i % 2 == 1);
    }
    raster.draw(buf, inner, theme);
    // Points by number, so that the curves can be told apart without colours.
    for (i, run) in comparison.runs.iter().enumerate() {
        for (x, y) in run.dev.iter().filter_map(|point| raster.cell(*point)) {
            buf.set_string(inner.x + x, inner.y + y, (i + 1).to_string(), style(i));
        }
    }
    let end = format!("step {last:.0}");
    buf.set_string(inner.right().saturating_sub(end.len() as u16), inner.bottom() + 1, &end, theme.dim);
    buf.set_string(inner.x, inner.bottom() + 1, format!("{first:.0}"), theme.dim);
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::theme::Depth;
    use crate::ui::{export, picture};

    #[test]
    fn in_a_low_window_the_figures_scroll_and_no_further_than_to_their_end() {
        let theme = Theme::find("mono", Depth::None, true).unwrap();
        let run = |name: &str| Compared { name: name.into(), dev: vec![(1.0, 2.0)], ..Compared::default() };
        let comparison = Comparison::new(vec![run("one"), run("two")]);
        let shown = |top: usize| -> Vec<String> {
            let area = Rect::new(0, 0, 40, 6);
            let cells = picture::drawn((40, 6), |frame| draw(&comparison, top, &theme, frame, area)).unwrap();
            export::text(&cells).lines().map(str::to_owned).collect()
        };
        let first = shown(0);
        assert!(first[0].contains("1 one") && first[1].starts_with("method") && first[5].ends_with('v'), "{first:?}");
        // The runs' names, eight lines of figures and the heading of the settings on six lines.
        let last = shown(99);
        assert!(last[0].contains("1 one") && last[5].starts_with("all 0 settings"), "{last:?}");
        assert_eq!((comparison.reach.within(0), shown(4) == last), (4, true));
    }
}
