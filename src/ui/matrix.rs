//! One matrix in blocks: ranks down, features across, what they sum to at the sides, and how large its entries are.

use super::fit::{self, fact};
use super::inspect::{self, spark};
use crate::app::App;
use crate::app::measure::significant;
use crate::app::watch::matrix::{Found, Look, Shown};
use crate::run::blocks::{Block, Blocks};
use crate::run::event::MatrixInfo;
use crate::theme::Theme;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Clear, Paragraph};

/// Columns of the ranks at the left, and of what they sum to at the right.
const SIDES: (usize, usize) = (5, 8);
/// Lines of the histogram's bars.
const HIGH: usize = 4;

/// Draws the overlay.
pub fn draw(app: &App, theme: &Theme, look: &Look, frame: &mut Frame<'_>, area: Rect) {
    let inner = inspect::open(&format!(" {} ", app.module()), theme, frame, area);
    let (width, height) = (usize::from(inner.width), usize::from(inner.height));
    let Some(matrix) = app.started.as_ref().and_then(|s| s.matrices.get(look.matrix)) else { return };
    let lines = match &look.found {
        Found::Waiting => fit::wrap(&[("the newest checkpoint is being read", theme.dim)], width),
        Found::Not(why) => fit::wrap(&[(why, theme.warn)], width),
        Found::Here(blocks) => {
            let mut lines = vec![head(app, theme, matrix, blocks, width)];
            lines.extend(map(theme, look.shown, blocks, (width, height.saturating_sub(1))));
            lines
        }
    };
    frame.render_widget(Paragraph::new(lines), inner);
    let keys = fit::facts(vec![fact("j k another  m zeros, sizes  Esc back", theme.dim, 1)], "  ", width);
    if height > 1 && keys.width() <= width {
        let last = Rect { y: inner.bottom() - 1, height: 1, ..inner };
        frame.render_widget(Clear, last);
        frame.render_widget(Paragraph::new(keys), last);
    }
}

/// Which matrix, of when, and what it comes to.
fn head(app: &App, theme: &Theme, matrix: &MatrixInfo, blocks: &Blocks, width: usize) -> Line<'static> {
    let all = blocks.all();
    let name = fit::cut(&app.adapter_name(matrix.adapter), width.saturating_sub(16).max(6), theme);
    let (ranks, features) = blocks.shape;
    let kept = all.entries - all.zeros;
    let facts = vec![
        fact(format!("{name} {}", matrix.factor), theme.title(), 9),
        fact(format!("{ranks} ranks x {features} features"), theme.text, 5),
        fact(format!("{} zeros", percent(all.sparsity())), theme.text, 8),
        fact(format!("mean |w| {}", significant(f64::from(all.mean()))), theme.text, 4),
        fact(format!("{} kept", crate::text::short(kept)), theme.dim, 2),
        fact(format!("checkpoint of step {}, stage {}", blocks.step, blocks.stage + 1), theme.dim, 7),
    ];
    fit::facts(facts, "  ", width)
}

fn percent(share: f32) -> String {
    format!("{:.1}%", share * 100.0)
}

/// The blocks with their sides, the legend and the histogram, in `room` columns and lines, the last line left free.
fn map(theme: &Theme, shown: Shown, blocks: &Blocks, room: (usize, usize)) -> Vec<Line<'static>> {
    // The profile of the features, the legend, a blank, the histogram with its axis, and the keys.
    let bars = if room.1 >= HIGH + 14 { HIGH } else { 1 };
    let below = 2 + usize::from(bars > 1) + bars + 1 + 1;
    let sides = if room.0 > 40 { SIDES } else { (SIDES.0, 0) };
    let (Some(rows), Some(columns)) =
        (room.1.checked_sub(below + 1).filter(|r| *r > 0), room.0.checked_sub(sides.0 + sides.1).filter(|c| *c > 0))
    else {
        return vec![Line::styled("too little room for the matrix: make the window larger", theme.warn)];
    };
    let cells = blocks.within(rows, columns);
    let value = |block: &Block| if shown == Shown::Zeros { block.sparsity() } else { block.mean() };
    let most = match shown {
        Shown::Zeros => 1.0,
        Shown::Sizes => cells.iter().flatten().map(Block::mean).fold(f32::MIN_POSITIVE, f32::max),
    };
    let show = |v: f32| if shown == Shown::Zeros { percent(v) } else { significant(f64::from(v)) };
    let (ranks, high) = (blocks.shape.0, cells.len());
    let wide = cells.first().map_or(0, Vec::len);
    // A small matrix is drawn larger, each block in several columns and lines.
    let each = (columns / wide.max(1)).clamp(1, 4);
    let tall = (rows / high.max(1)).clamp(1, 3);
    let mut lines = vec![Line::default()];
    let mut under = vec![Block::default(); wide];
    for (y, row) in cells.iter().enumerate() {
        let mut whole = Block::default();
        let mut spans = vec![Span::styled(format!("{:>3}  ", (y * ranks).div_ceil(high.max(1))), theme.dim)];
        for (block, under) in row.iter().zip(&mut under) {
            whole.add(block);
            under.add(block);
            spans.push(cell(theme, value(block) / most, each));
        }
        if sides.1 > 0 {
            spans.push(Span::styled(format!("{:>8}", show(value(&whole))), theme.text));
        }
        for line in 0..tall {
            let mut spans = spans.clone();
            if line > 0 {
                spans[0] = Span::raw(" ".repeat(SIDES.0));
                spans.truncate(1 + row.len());
            }
            lines.push(Line::from(spans));
        }
    }
    let profile: Vec<Option<f32>> =
        under.iter().flat_map(|block| std::iter::repeat_n(Some(value(block)), each)).collect();
    lines.push(Line::from(vec![
        Span::styled(format!("{:<5}", "all"), theme.dim),
        Span::styled(spark(&profile, theme.glyphs.spark), theme.series[0]),
    ]));
    lines.push(legend(theme, shown, &show(most), room.0));
    if bars > 1 {
        lines.push(Line::default());
    }
    lines.extend(histogram(theme, blocks, bars, room.0));
    lines
}

fn cell(theme: &Theme, share: f32, width: usize) -> Span<'static> {
    let (text, style) = theme.ramp.paint(theme.ramp.level(share), width);
    Span::styled(text, style)
}

fn legend(theme: &Theme, shown: Shown, most: &str, width: usize) -> Line<'static> {
    let name = if shown == Shown::Zeros { "zeros" } else { "mean |w|" };
    let mut spans = vec![Span::styled(name, theme.title()), Span::styled("  0 ", theme.dim)];
    let levels = theme.ramp.levels();
    spans.extend((0..levels).map(|level| {
        let (text, style): (String, Style) = theme.ramp.paint(level, 1);
        Span::styled(text, style)
    }));
    spans.push(Span::styled(format!(" {most}"), theme.dim));
    let all = [fit::Fact { spans, weight: 2 }, fact("right: by rank, below: by feature", theme.dim, 1)];
    fit::facts(all.into(), "  ", width)
}

/// Bars of how many entries have which size, over `high` lines, and their axis.
fn histogram(theme: &Theme, blocks: &Blocks, high: usize, width: usize) -> Vec<Line<'static>> {
    let bars = &blocks.histogram.bars;
    let Some(most) = bars.iter().copied().max().filter(|most| *most > 0) else {
        return vec![Line::styled("every entry is zero", theme.dim)];
    };
    let each = (width.saturating_sub(SIDES.0) / bars.len()).clamp(1, 2);
    let mut lines = Vec::with_capacity(high + 1);
    for line in (0..high).rev() {
        let mut text = String::new();
        for bar in bars {
            // In eighths of a line; what is there shows.
            let eighths = (*bar as f64 / most as f64 * (high * 8) as f64).ceil() as usize;
            let here = eighths.saturating_sub(line * 8).min(8);
            let glyph = here.checked_sub(1).map_or(" ", |level| theme.glyphs.spark[level]);
            text.push_str(&glyph.repeat(each));
        }
        lines.push(Line::from(vec![Span::raw(" ".repeat(SIDES.0)), Span::styled(text, theme.series[0])]));
    }
    let [low, top] = [blocks.histogram.range.0, blocks.histogram.range.1].map(|v| significant(f64::from(v)));
    let gap = (bars.len() * each).saturating_sub(low.len() + top.len()).max(1);
    let axis = format!("{}{low}{}{top}", " ".repeat(SIDES.0), " ".repeat(gap));
    let told = vec![fact(axis, theme.dim, 2), fact("entries by size |w|, logarithmic", theme.dim, 1)];
    lines.push(fit::facts(told, "  ", width));
    lines
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::run::blocks::Histogram;
    use crate::theme::Depth;

    fn text(lines: &[Line<'_>]) -> Vec<String> {
        lines.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn every_size_of_a_window_gets_what_fits() {
        let theme = Theme::find("mono", Depth::None, true).unwrap();
        let block = |zeros| Block { entries: 4, zeros, sum: 4.0 };
        let blocks = Blocks {
            shape: (2, 8),
            grid: vec![vec![block(0), block(4)], vec![block(2), block(2)]],
            histogram: Histogram { range: (0.001, 1.0), bars: vec![1, 0, 8, 4] },
            ..Blocks::default()
        };
        let lines = text(&map(&theme, Shown::Zeros, &blocks, (60, 24)));
        for (line, rank) in [(1, "  0  "), (4, "  1  ")] {
            assert!(lines[line].starts_with(rank) && lines[line].ends_with("50.0%"), "{lines:#?}");
        }
        assert!(lines.iter().any(|line| line.contains("0.001") && line.contains("logarithmic")), "{lines:#?}");
        let sizes = text(&map(&theme, Shown::Sizes, &blocks, (60, 24)));
        assert!(sizes.iter().any(|line| line.contains("mean |w|")), "{sizes:#?}");
        for (width, height) in [(1, 1), (5, 9), (12, 12), (40, 10), (300, 90)] {
            let lines = map(&theme, Shown::Zeros, &blocks, (width, height));
            assert!(lines.len() <= height.max(1), "{width} x {height}: {:#?}", text(&lines));
        }
        let none = Blocks { histogram: Histogram::default(), ..blocks };
        assert!(text(&map(&theme, Shown::Zeros, &none, (60, 24))).iter().any(|l| l == "every entry is zero"));
    }
}
