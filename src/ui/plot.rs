//! A raster of dots for curves: braille, or a few ASCII characters where there is none.

use crate::theme::Theme;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

/// Dots of a cell: two columns of four.
const DOTS: (usize, usize) = (2, 4);
/// Bits of a braille character by column and row.
const BITS: [[u8; 4]; 2] = [[0x01, 0x02, 0x04, 0x40], [0x08, 0x10, 0x20, 0x80]];

/// A picture of dots, one style a cell: what is drawn last counts.
#[derive(Debug)]
pub struct Raster {
    size: (usize, usize),
    cells: Vec<(u8, Style)>,
    x: (f64, f64),
    y: (f64, f64),
}

impl Raster {
    /// An empty raster of `width` × `height` cells over the ranges `x` and `y`.
    pub fn new(width: u16, height: u16, x: (f64, f64), y: (f64, f64)) -> Self {
        let size = (usize::from(width), usize::from(height));
        Self { size, cells: vec![(0, Style::new()); size.0 * size.1], x, y }
    }

    /// The dot of a point, as fractions of dots; y grows downwards.
    fn dot(&self, (x, y): (f64, f64)) -> Option<(f64, f64)> {
        let share = |v: f64, (low, high): (f64, f64)| if high > low { (v - low) / (high - low) } else { 0.5 };
        let (columns, rows) = ((self.size.0 * DOTS.0) as f64, (self.size.1 * DOTS.1) as f64);
        let at = (share(x, self.x) * (columns - 1.0), (1.0 - share(y, self.y)) * (rows - 1.0));
        (at.0.is_finite() && at.1.is_finite()).then_some(at)
    }

    /// The cell of a point, if it is in the picture.
    pub fn cell(&self, point: (f64, f64)) -> Option<(u16, u16)> {
        let (x, y) = self.dot(point)?;
        let (x, y) = (x.round(), y.round());
        let inside = x >= 0.0 && y >= 0.0 && x < (self.size.0 * DOTS.0) as f64 && y < (self.size.1 * DOTS.1) as f64;
        inside.then(|| ((x as usize / DOTS.0) as u16, (y as usize / DOTS.1) as u16))
    }

    fn set(&mut self, x: f64, y: f64, style: Style) {
        let (x, y) = (x.round(), y.round());
        if x < 0.0 || y < 0.0 {
            return;
        }
        let (x, y) = (x as usize, y as usize);
        let (column, row) = (x / DOTS.0, y / DOTS.1);
        if column < self.size.0 && row < self.size.1 {
            let cell = &mut self.cells[row * self.size.0 + column];
            cell.0 |= BITS[x % DOTS.0][y % DOTS.1];
            cell.1 = style;
        }
    }

    /// Single points.
    pub fn points(&mut self, points: &[(f64, f64)], style: Style) {
        for point in points {
            if let Some((x, y)) = self.dot(*point) {
                self.set(x, y, style);
            }
        }
    }

    /// A line through the points; every second pair of dots is left out where it is `dashed`.
    pub fn line(&mut self, points: &[(f64, f64)], style: Style, dashed: bool) {
        let mut drawn = 0usize;
        for pair in points.windows(2) {
            let (Some(from), Some(to)) = (self.dot(pair[0]), self.dot(pair[1])) else { continue };
            let steps = (to.0 - from.0).abs().max((to.1 - from.1).abs()).ceil().clamp(1.0, 10_000.0) as usize;
            for i in 0..=steps {
                let share = i as f64 / steps as f64;
                let x = from.0 + (to.0 - from.0) * share;
                // Dashes by the column, so that many short pieces make the same pattern as a long one.
                if !dashed || (x.round() as i64).rem_euclid(4) < 2 {
                    self.set(x, from.1 + (to.1 - from.1) * share, style);
                }
                drawn += 1;
            }
        }
        if drawn == 0 {
            self.points(points, style);
        }
    }

    /// Puts the dots into `area`.
    pub fn draw(&self, buf: &mut Buffer, area: Rect, theme: &Theme) {
        for (at, (bits, style)) in self.cells.iter().enumerate().filter(|(_, (bits, _))| *bits > 0) {
            let (x, y) = (area.x + (at % self.size.0) as u16, area.y + (at / self.size.0) as u16);
            if x < area.right() && y < area.bottom() {
                buf.set_string(x, y, symbol(*bits, theme.glyphs.braille).to_string(), *style);
            }
        }
    }
}

fn symbol(bits: u8, braille: bool) -> char {
    if braille {
        return char::from_u32(0x2800 + u32::from(bits)).unwrap_or('.');
    }
    let upper = bits & (BITS[0][0] | BITS[0][1] | BITS[1][0] | BITS[1][1]) > 0;
    let lower = bits & (BITS[0][2] | BITS[0][3] | BITS[1][2] | BITS[1][3]) > 0;
    match (upper, lower) {
        (true, false) => '\'',
        (false, true) => '.',
        _ => ':',
    }
}

/// A round step that makes at most `most` parts of the range from `low` to `high`.
pub fn round_step(low: f64, high: f64, most: usize) -> f64 {
    let least = ((high - low) / most.max(1) as f64).max(1e-12);
    let power = 10f64.powf(least.log10().floor());
    [1.0, 2.0, 5.0].into_iter().map(|s| s * power).find(|s| *s >= least * 0.999_999).unwrap_or(10.0 * power)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::theme::Depth;

    fn picture(raster: &Raster, ascii: bool) -> Vec<String> {
        let area = Rect::new(0, 0, 4, 2);
        let mut buf = Buffer::empty(area);
        raster.draw(&mut buf, area, &Theme::find("mono", Depth::None, ascii).unwrap());
        (0..2).map(|y| (0..4).map(|x| buf[(x, y)].symbol().to_owned()).collect()).collect()
    }

    #[test]
    fn a_line_goes_from_corner_to_corner() {
        let mut raster = Raster::new(4, 2, (0.0, 1.0), (0.0, 1.0));
        raster.line(&[(0.0, 0.0), (1.0, 1.0)], Style::new(), false);
        assert_eq!(picture(&raster, true), ["  .'", ".'  "]);
        assert_eq!(picture(&raster, false), ["  ⡠⠊", "⡠⠊  "]);
    }

    #[test]
    fn points_outside_and_numbers_that_are_none_are_left_out() {
        let mut raster = Raster::new(4, 2, (0.0, 1.0), (0.0, 1.0));
        raster.points(&[(2.0, 0.5), (0.5, -3.0), (f64::NAN, 0.5), (f64::INFINITY, 1.0)], Style::new());
        raster.line(&[(0.0, f64::INFINITY), (1.0, 0.0)], Style::new(), false);
        raster.line(&[(0.0, 0.5), (1e300, 0.5)], Style::new(), false);
        assert!(picture(&raster, false)[0].trim().is_empty());
        assert_eq!(raster.cell((0.0, 0.0)), Some((0, 1)));
        assert_eq!(raster.cell((1.5, 0.0)), None);
    }

    #[test]
    fn ticks_are_round() {
        assert_eq!(round_step(0.0, 14.0, 5), 5.0);
        assert_eq!(round_step(2.4, 4.0, 4), 0.5);
        assert!((round_step(2.50, 2.52, 4) - 0.005).abs() < 1e-12);
        assert_eq!(round_step(0.0, 0.0, 4), 1e-12);
    }
}
