//! Axes of a chart: round ranges and numbers, linear or logarithmic.

use super::plot::{Raster, round_step};
use crate::theme::Theme;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

/// The vertical axis. Values are placed as they are, or by their logarithm.
#[derive(Debug, Clone, PartialEq)]
pub struct Vertical {
    /// The range, as it is placed.
    pub range: (f64, f64),
    /// Where the numbers stand, as it is placed, and what they say.
    pub ticks: Vec<(f64, String)>,
    log: bool,
}

impl Vertical {
    /// A round range around `low` to `high` with at most `most` numbers or so.
    pub fn new((low, high): (f64, f64), log: bool, most: usize) -> Self {
        if log && low > 0.0 && high < f64::MAX / 10.0 {
            return Self::logarithmic(low, high, most);
        }
        let (low, high) = (low.max(-1e300), high.min(1e300));
        let step = round_step(low, high.max(low + low.abs() * 1e-9), most);
        let (low, high) = ((low / step).floor() * step, ((high / step).ceil() * step).max(low + step));
        let count = ((high - low) / step).round().min(50.0) as usize;
        let ticks = (0..=count).map(|i| low + step * i as f64).map(|v| (v, number(v, step))).collect();
        Self { range: (low, high), ticks, log: false }
    }

    fn logarithmic(low: f64, high: f64, most: usize) -> Self {
        // 1, 2 and 5 of every decade; of many decades the powers of ten, of very many each second one.
        let decades = high.log10() - low.log10();
        let digits: &[f64] = if decades * 3.0 <= most as f64 { &[1.0, 2.0, 5.0] } else { &[1.0] };
        let every = (decades / most.max(1) as f64).ceil().max(1.0) as i32;
        let (first, last) = (low.log10().floor() as i32, high.log10().ceil() as i32);
        let round: Vec<f64> = (first..=last)
            .filter(|power| power.rem_euclid(every) == 0)
            .flat_map(|power| digits.iter().map(move |d| d * 10f64.powi(power)))
            .collect();
        let within = round.iter().filter(|v| (low..=high).contains(*v)).count();
        if within >= 2 {
            let from = round.iter().copied().filter(|v| *v <= low).fold(low, |a, b| if a < low { a.max(b) } else { b });
            let to = round.iter().copied().find(|v| *v >= high).unwrap_or(high);
            let ticks = round.into_iter().filter(|v| (from..=to).contains(v)).map(|v| (v.log10(), number(v, v)));
            return Self { range: (from.log10(), to.log10()), ticks: ticks.collect(), log: true };
        }
        // Less than that: the numbers of a linear axis, placed by their logarithm.
        let linear = Self::new((low, high), false, most);
        let positive: Vec<(f64, String)> = linear.ticks.into_iter().filter(|t| t.0 > 0.0).collect();
        let from = positive.iter().map(|t| t.0).filter(|v| *v <= low).fold(0.0, f64::max);
        let from = if from > 0.0 { from } else { low };
        let ticks = positive.into_iter().filter(|t| t.0 >= from).map(|(v, text)| (v.log10(), text)).collect();
        Self { range: (from.log10(), linear.range.1.max(low * 1.001).log10()), ticks, log: true }
    }

    /// Where a value is placed.
    pub fn place(&self, value: f64) -> Option<f64> {
        let placed = if self.log { value.log10() } else { value };
        placed.is_finite().then_some(placed)
    }

    /// Columns of the widest number.
    pub fn width(&self) -> u16 {
        self.ticks.iter().map(|t| t.1.len()).max().unwrap_or(0) as u16
    }
}

/// A number with the decimals that its axis' step needs.
fn number(value: f64, step: f64) -> String {
    // What floating point leaves of zero.
    let value = if value.abs() < step.abs() * 1e-6 { 0.0 } else { value };
    if value != 0.0 && (value.abs() >= 1e6 || step.abs() < 1e-4) {
        return format!("{value:.1e}");
    }
    let digits = (-step.abs().log10() - 1e-9).ceil().clamp(0.0, 6.0) as usize;
    format!("{value:.digits$}")
}

/// Draws both axes with their numbers around `inner`; `x` is the first and the last step.
pub fn draw(raster: &Raster, vertical: &Vertical, x: (f64, f64), theme: &Theme, buf: &mut Buffer, inner: Rect) {
    frame(raster, vertical, x, theme, buf, inner);
    steps(raster, vertical.range.0, x, theme, buf, inner);
}

/// Draws both axes around `inner`, and the numbers of the vertical one.
pub fn frame(raster: &Raster, vertical: &Vertical, x: (f64, f64), theme: &Theme, buf: &mut Buffer, inner: Rect) {
    let [line, corner, horizontal, tick_left, _] = theme.glyphs.axis;
    let left = inner.x - 1;
    for y in inner.top()..inner.bottom() {
        buf.set_string(left, y, line, theme.dim);
    }
    buf.set_string(left, inner.bottom(), corner, theme.dim);
    buf.set_string(inner.x, inner.bottom(), horizontal.repeat(usize::from(inner.width)), theme.dim);
    let names = vertical.width();
    for (at, text) in &vertical.ticks {
        if let Some((_, row)) = raster.cell((x.0, *at)) {
            buf.set_string(left, inner.y + row, tick_left, theme.dim);
            let text = format!("{text:>width$}", width = usize::from(names));
            buf.set_string(inner.x.saturating_sub(2 + names), inner.y + row, text, theme.dim);
        }
    }
}

/// Ticks and step numbers below the axis, the last step at its end.
fn steps(raster: &Raster, low: f64, x: (f64, f64), theme: &Theme, buf: &mut Buffer, inner: Rect) {
    let (first, last) = x;
    let every = round_step(first, last, usize::from(inner.width / 10).clamp(1, 12)).max(1.0);
    let end = format!("step {last:.0}");
    let end_at = inner.right().saturating_sub(end.len() as u16);
    buf.set_string(end_at, inner.bottom() + 1, &end, theme.dim);
    let start = (first / every).ceil() * every;
    // Counted: where a journal tells absurd steps, adding one part may change nothing.
    let values = (0..=24).map(|i| start + every * f64::from(i)).take_while(|value| *value <= last);
    let ticks: Vec<(f64, String)> = values.map(|value| (value, format!("{value:.0}"))).collect();
    below(raster, (low, &ticks), theme, buf, Rect { width: end_at.saturating_sub(inner.x + 1), ..inner });
}

/// Ticks at the lower end of `raster`, whose first value is `low`, and as many of their names as there is room for left
/// of `inner`'s right edge.
pub fn below(raster: &Raster, (low, ticks): (f64, &[(f64, String)]), theme: &Theme, buf: &mut Buffer, inner: Rect) {
    let [.., tick] = theme.glyphs.axis;
    let mut free = 0;
    for (value, text) in ticks {
        let Some((column, _)) = raster.cell((*value, low)) else { continue };
        let at = inner.x + column;
        buf.set_string(at, inner.bottom(), tick, theme.dim);
        let width = text.len() as u16;
        let x = at.saturating_sub(width.saturating_sub(1) / 2);
        if x >= free && x + width <= inner.right() {
            buf.set_string(x, inner.bottom() + 1, text, theme.dim);
            free = x + width + 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(axis: &Vertical) -> Vec<&str> {
        axis.ticks.iter().map(|t| t.1.as_str()).collect()
    }

    #[test]
    fn numbers_are_round_and_have_the_decimals_they_need() {
        assert_eq!(texts(&Vertical::new((2.4, 4.0), false, 4)), ["2.0", "2.5", "3.0", "3.5", "4.0"]);
        assert_eq!(texts(&Vertical::new((0.0, 1234.0), false, 3)), ["0", "500", "1000", "1500"]);
        assert_eq!(texts(&Vertical::new((0.0, 2e-5), false, 2)), ["0.00000", "1.0e-5", "2.0e-5"]);
        assert_eq!(texts(&Vertical::new((0.25, 0.26), false, 2)), ["0.250", "0.255", "0.260"]);
    }

    #[test]
    fn a_logarithmic_axis_has_decades_or_what_there_is() {
        let axis = Vertical::new((0.002, 3.0), true, 8);
        assert_eq!(texts(&axis), ["0.001", "0.010", "0.1", "1", "10"].map(|t| if t == "0.010" { "0.01" } else { t }));
        assert!(axis.range.0 <= 0.002f64.log10() && axis.range.1 >= 3f64.log10());
        let axis = Vertical::new((3.0, 4.2), true, 5);
        assert!(axis.ticks.len() >= 2 && axis.range.0 <= 3f64.log10() && axis.range.1 >= 4.2f64.log10(), "{axis:?}");
        // Zero has no logarithm: the axis is linear, and says so by its numbers.
        assert_eq!(Vertical::new((0.0, 1.0), true, 2).place(0.0), Some(0.0));
        assert_eq!(axis.place(0.0), None);
    }

    #[test]
    fn no_range_is_too_odd() {
        for (low, high) in [(0.0, 0.0), (-1e300, 1e300), (5.0, 5.0), (1e-300, 1e300), (1e300, 1e300), (-3.0, -3.0)] {
            for log in [false, true] {
                let axis = Vertical::new((low, high), log, 5);
                assert!(axis.range.0.is_finite() && axis.range.1.is_finite(), "{low} {high} {axis:?}");
                assert!(axis.ticks.len() <= 60 && axis.width() < 12, "{low} {high} {log} {axis:?}");
            }
        }
    }
}
