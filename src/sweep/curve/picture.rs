//! The curve of a sweep as SVG.

use super::Curve;
use crate::eval::markup;
use crate::text::printable;
use std::fmt::Write;

/// The picture's width.
const WIDTH: f64 = 640.0;
/// Places beside the panels, above the first and below the last, and between both.
const MARGINS: (f64, f64, f64, f64) = (64.0, 24.0, 40.0, 56.0);
const BETWEEN: f64 = 28.0;
/// Heights of the panel of ROUGE-L and of that of the loss.
const HEIGHTS: (f64, f64) = (284.0, 180.0);

/// As a picture: the curve with the standard errors of the best, and the loss of the same trials, where there is one, in a
/// panel below it.
pub fn svg(title: &str, rouge: &Curve, loss: Option<&Curve>) -> String {
    let (before, behind, above, below) = MARGINS;
    let height = above + HEIGHTS.0 + loss.map_or(0.0, |_| BETWEEN + HEIGHTS.1) + below;
    let title = markup::html(&printable(title));
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n<text \
         x=\"{before}\" y=\"22\" font-size=\"14\">{title}</text>\n"
    );
    // Both have the ratios at the same places: those of ROUGE-L, which always is a number.
    let ratios = rouge.ranges(true).0;
    let bottom = above + HEIGHTS.0;
    let panel = Panel { ratios, top: above, bottom, label: "dev ROUGE-L, %", digits: 2, color: "#0b6bcb" };
    panel.draw(rouge, &mut out);
    let bottom = loss.map_or(bottom, |loss| {
        let (top, bottom) = (bottom + BETWEEN, bottom + BETWEEN + HEIGHTS.1);
        let panel = Panel { ratios, top, bottom, label: "dev loss, nats", digits: 3, color: "#b3541e" };
        panel.draw(loss, &mut out);
        bottom
    });
    for (ratio, _, _) in &rouge.best {
        let at = panel.x(*ratio);
        writeln!(out, "<text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{ratio}</text>", bottom + 18.0).ok();
    }
    let middle = f64::midpoint(before, WIDTH - behind);
    writeln!(out, "<text x=\"{middle:.1}\" y=\"{:.1}\" text-anchor=\"middle\">prune ratio</text>", bottom + 40.0).ok();
    out + "</svg>\n"
}

/// A figure against the ratio.
struct Panel {
    /// The least and the largest ratio.
    ratios: (f64, f64),
    top: f64,
    bottom: f64,
    label: &'static str,
    /// Digits behind the point.
    digits: usize,
    color: &'static str,
}

impl Panel {
    fn x(&self, ratio: f64) -> f64 {
        let ((before, behind, _, _), (left, right)) = (MARGINS, self.ratios);
        before + (ratio - left) / (right - left) * (WIDTH - before - behind)
    }

    /// Axes, the points of all trials, and the line through the best of each ratio with their errors.
    fn draw(&self, curve: &Curve, out: &mut String) {
        let Self { top, bottom, label, digits, color, .. } = *self;
        let (x0, x1) = (MARGINS.0, WIDTH - MARGINS.1);
        let (low, high) = curve.ranges(true).1;
        let y = |v: f64| top + (high - v) / (high - low) * (bottom - top);
        for i in 0..=4 {
            let v = low + f64::from(i) / 4.0 * (high - low);
            let at = y(v);
            writeln!(out, "<path d=\"M{x0:.1} {at:.1}H{x1:.1}\" stroke=\"#dddddd\"/>").ok();
            let (x, y) = (x0 - 8.0, at + 4.0);
            writeln!(out, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"end\">{v:.digits$}</text>").ok();
        }
        for (ratio, _, _) in &curve.best {
            writeln!(out, "<path d=\"M{:.1} {bottom:.1}v5\" stroke=\"#333333\"/>", self.x(*ratio)).ok();
        }
        writeln!(out, "<path d=\"M{x0:.1} {top:.1}V{bottom:.1}H{x1:.1}\" fill=\"none\" stroke=\"#333333\"/>").ok();
        let turned = format!("transform=\"translate(16 {:.1}) rotate(-90)\"", f64::midpoint(top, bottom));
        writeln!(out, "<text {turned} text-anchor=\"middle\">{label}</text>").ok();
        for (ratio, v) in &curve.others {
            let (x, y) = (self.x(*ratio), y(*v));
            writeln!(out, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"#bbbbbb\"/>").ok();
        }
        let line: Vec<String> =
            curve.best.iter().map(|(ratio, v, _)| format!("{:.1},{:.1}", self.x(*ratio), y(*v))).collect();
        let line = line.join(" ");
        writeln!(out, "<polyline points=\"{line}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"2\"/>").ok();
        for (ratio, v, error) in &curve.best {
            let (at, middle) = (self.x(*ratio), y(*v));
            if *error > 0.0 {
                let (top, end) = (y(v + error), y(v - error));
                writeln!(out, "<path d=\"M{at:.1} {top:.1}V{end:.1}\" stroke=\"{color}\"/>").ok();
            }
            writeln!(out, "<circle cx=\"{at:.1}\" cy=\"{middle:.1}\" r=\"4\" fill=\"{color}\"/>").ok();
        }
    }
}
