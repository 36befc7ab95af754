//! The map of how two runs differ: layers to the right, projections below each other.

use crate::app::runs::Comparison;
use crate::app::{Grid, Measure, Scale};
use crate::module::Projection;
use crate::theme::Theme;
use crate::ui::fit;
use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Line;
use ratatui::widgets::Paragraph;

/// Columns of the projections' names, and of the means at the right.
const NAMES: u16 = 6;
const MEANS: u16 = 8;
/// Least columns and rows that a map takes: heading, layers, projections, means, legend.
pub(super) const LEAST: (u16, u16) = (NAMES + MEANS + 12, 11);

/// Draws the difference on show.
pub(super) fn draw(comparison: &Comparison, theme: &Theme, frame: &mut Frame<'_>, area: Rect) {
    let width = usize::from(area.width);
    let view = comparison.view;
    let (first, other) = (&comparison.runs[0], &comparison.runs[view.pair + 1]);
    let heading = format!("{}: {} {} minus 1 {}", view.aspect.label(), view.pair + 2, other.name, first.name);
    frame.render_widget(Line::styled(fit::cut(&heading, width, theme), theme.title()), Rect { height: 1, ..area });
    let area = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
    let Some(difference) = &comparison.maps[view.pair] else {
        let lacks = if first.matrices.is_none() { first } else { other };
        let text = format!("{} has told no state of its matrices: it has made no step", lacks.name);
        frame.render_widget(Paragraph::new(fit::wrap(&[(text.as_str(), theme.dim)], width)), area);
        return;
    };
    if area.width >= LEAST.0 && area.height >= LEAST.1 - 1 {
        let grid = difference.grid(view.aspect);
        let most = grid.cells.iter().flatten().flatten().fold(0.0, |most: f32, v| most.max(v.abs()));
        Map { grid, scale: Scale::around_zero(most), theme, area }.draw(frame.buffer_mut());
    } else {
        let text = "no room for the map: make the window larger";
        frame.render_widget(Paragraph::new(fit::wrap(&[(text, theme.dim)], width)), area);
    }
}

/// A map and its place.
struct Map<'a> {
    grid: &'a Grid,
    scale: Scale,
    theme: &'a Theme,
    area: Rect,
}

impl Map<'_> {
    fn draw(&self, buf: &mut Buffer) {
        let (area, theme) = (self.area, self.theme);
        let rows: Vec<usize> = (0..Projection::ALL.len()).filter(|p| self.grid.projections[*p].is_some()).collect();
        let layers = self.grid.cells.len();
        if rows.is_empty() || layers == 0 {
            let text = "the two runs have no matrix in common that has a value";
            buf.set_stringn(area.x, area.y, text, usize::from(area.width), theme.dim);
            return;
        }
        let room = usize::from(area.width - NAMES - MEANS);
        // More layers than columns: neighbours share a cell.
        let each = layers.div_ceil(room);
        let count = layers.div_ceil(each);
        let wide = (room / count).clamp(1, 9);
        // Heading, means and legend, then as much as there is.
        let spare = usize::from(area.height).saturating_sub(3);
        let high = (spare / rows.len()).clamp(1, 2);
        let left = area.x + NAMES;
        let right = left + (count * wide) as u16;
        buf.set_stringn(area.x, area.y, "layer", usize::from(NAMES), theme.dim);
        let digits = (layers - 1).to_string().len();
        let every = [1, 2, 5, 10, 20, 50, 100].into_iter().find(|n| n * wide > digits).unwrap_or(100);
        for i in (0..count).step_by(every) {
            let text = (i * each).to_string();
            let x = left + (i * wide + wide.saturating_sub(text.len()) / 2) as u16;
            if x + text.len() as u16 <= right {
                buf.set_string(x, area.y, text, theme.dim);
            }
        }
        buf.set_string(right + 3, area.y, "mean", theme.dim);
        let mean = |values: &mut dyn Iterator<Item = Option<f32>>| {
            let (sum, n) = values.flatten().fold((0.0, 0.0), |(sum, n), v| (sum + v, n + 1.0));
            (n > 0.0).then(|| sum / n)
        };
        let cell = |i: usize, p: usize| mean(&mut self.grid.cells.iter().skip(i * each).take(each).map(|row| row[p]));
        let below = |i: usize| mean(&mut self.grid.layers.iter().skip(i * each).take(each).copied());
        let shown = || {
            let inside = rows.iter().flat_map(|p| (0..count).filter_map(|i| cell(i, *p)));
            inside.chain((0..count).filter_map(below))
        };
        let number = wide.checked_sub(1).filter(|room| *room >= 3 && shown().all(|v| within(v, *room).is_some()));
        for (row, p) in rows.iter().enumerate() {
            let y = area.y + 1 + (row * high) as u16;
            let name = Projection::ALL[*p].name().trim_end_matches("_proj");
            buf.set_stringn(area.x, y, name, usize::from(NAMES) - 1, theme.text);
            for i in 0..count {
                let place = Rect::new(left + (i * wide) as u16, y, wide as u16, high as u16);
                self.cell(buf, place, cell(i, *p), number);
            }
            self.beside(buf, right, y, self.grid.projections[*p]);
        }
        let y = area.y + 1 + (rows.len() * high) as u16;
        buf.set_string(area.x, y, "mean", theme.dim);
        for i in 0..count {
            self.cell(buf, Rect::new(left + (i * wide) as u16, y, wide as u16, 1), below(i), number);
        }
        self.beside(buf, right, y, self.grid.all);
        self.legend(buf, y + 1, each);
    }

    fn beside(&self, buf: &mut Buffer, x: u16, y: u16, value: Option<f32>) {
        if let Some(value) = value {
            // Shares of a whole differ by nothing in all: what is left of that is rounding.
            let value = if value.abs() < 1e-7 { 0.0 } else { value };
            let text = format!("{:>7}", Measure::Sparsity.show_change(value));
            buf.set_stringn(x, y, text, usize::from(MEANS), self.theme.text);
        }
    }

    fn cell(&self, buf: &mut Buffer, place: Rect, value: Option<f32>, number: Option<usize>) {
        let (ramp, width) = (self.theme.ramp.diverging(), usize::from(place.width));
        let Some(value) = value else {
            buf.set_string(place.x + (place.width - 1) / 2, place.y, self.theme.glyphs.none, self.theme.dim);
            return;
        };
        let level = ramp.level(self.scale.share(value));
        let (text, style): (String, Style) = ramp.paint(level, width);
        for y in place.top()..place.bottom() {
            buf.set_string(place.x, y, &text, style);
        }
        if let Some(number) = number.and_then(|room| within(value, room)) {
            buf.set_string(place.x, place.y, format!("{number:^width$}"), ramp.behind(level));
        }
    }

    /// What the colours stand for.
    fn legend(&self, buf: &mut Buffer, y: u16, each: usize) {
        let (area, theme, ramp) = (self.area, self.theme, self.theme.ramp.diverging());
        if y >= area.bottom() {
            return;
        }
        let mut x = area.x;
        let mut put = |text: &str, style: Style| {
            let room = usize::from(area.right().saturating_sub(x));
            x = if room > 0 { buf.set_stringn(x, y, text, room, style).0 } else { x };
        };
        put(&format!("{} ", Measure::Sparsity.show_change(self.scale.low)), theme.dim);
        for level in 0..ramp.levels() {
            let (text, style) = ramp.paint(level, 2);
            put(&text, style);
        }
        put(&format!(" {}  {}", Measure::Sparsity.show_change(self.scale.high), "percentage points"), theme.dim);
        if each > 1 {
            put(&format!(", {each} layers a cell"), theme.dim);
        }
    }
}

/// A difference in a cell of few columns.
fn within(value: f32, room: usize) -> Option<String> {
    Measure::Sparsity.show_change_within(value, room)
}
