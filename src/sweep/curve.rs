//! Dev ROUGE-L against the prune ratio: as characters, and, with the loss below it, as SVG.

mod picture;

pub use picture::svg;

use super::{Score, Sweep};
use std::fmt::Write;

/// The curve: for each ratio the best of all whole trials, and the others.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Curve {
    /// Ratio, ROUGE-L in percent and its standard error, by ratio; or the loss of these trials, whose error is not known: 0.
    pub best: Vec<(f64, f64, f64)>,
    /// Ratio and ROUGE-L, or loss, of every other trial.
    pub others: Vec<(f64, f64)>,
}

/// Columns and rows of the drawing in characters.
const SIZE: (usize, usize) = (60, 12);

impl Curve {
    /// The curve of a ranked sweep; `None` where it has fewer than two ratios.
    pub fn of(sweep: &Sweep) -> Option<Self> {
        Self::through(sweep, |score| (score.rouge.rouge_l, score.error.unwrap_or(0.0)))
    }

    /// The dev loss of the same trials, nats; `None` where fewer than two of the best of a ratio have one.
    pub fn of_loss(sweep: &Sweep) -> Option<Self> {
        Self::through(sweep, |score| (score.loss, 0.0))
    }

    /// The best trial of each ratio, and the others, by a figure and its error; what is no number has no point.
    fn through(sweep: &Sweep, of: impl Fn(&Score) -> (f64, f64)) -> Option<Self> {
        let at = sweep.axes.iter().position(|axis| axis == "ratio")?;
        let mut curve = Self::default();
        let mut seen = Vec::new();
        for (trial, score) in sweep.whole() {
            let (ratio, (value, error)) = (*trial.settings.get(at)?, of(score));
            let is_best = !seen.contains(&ratio);
            seen.push(ratio);
            if !value.is_finite() {
                continue;
            }
            if is_best {
                curve.best.push((ratio, value, error));
            } else {
                curve.others.push((ratio, value));
            }
        }
        curve.best.sort_by(|a, b| a.0.total_cmp(&b.0));
        (curve.best.len() > 1).then_some(curve)
    }

    /// Ranges of ratio and ROUGE-L, none of them empty.
    fn ranges(&self, errors: bool) -> ((f64, f64), (f64, f64)) {
        let wide = |(low, high): (f64, f64)| if high - low < 1e-9 { (low - 0.5, high + 0.5) } else { (low, high) };
        let span = |all: &mut dyn Iterator<Item = f64>| {
            wide(all.fold((f64::MAX, f64::MIN), |(low, high), v| (low.min(v), high.max(v))))
        };
        let error = |e: f64| if errors { e } else { 0.0 };
        let heights = self.best.iter().flat_map(|(_, y, e)| [y - error(*e), y + error(*e)]);
        (
            span(&mut self.best.iter().map(|point| point.0)),
            span(&mut heights.chain(self.others.iter().map(|point| point.1))),
        )
    }

    /// Drawn in characters, braille or, with `ascii`, ASCII only: a line through the best of each ratio, dots for the others.
    pub fn text(&self, ascii: bool) -> String {
        let ((left, right), (low, high)) = self.ranges(false);
        let (columns, rows) = SIZE;
        // Dots a cell.
        let (across, down) = if ascii { (1, 1) } else { (2, 4) };
        let (width, height) = (columns * across, rows * down);
        let x = |ratio: f64| ((ratio - left) / (right - left) * (width - 1) as f64).round() as usize;
        let y = |v: f64| ((high - v) / (high - low) * (height - 1) as f64).round() as usize;
        let mut dots = vec![false; width * height];
        for pair in self.best.windows(2) {
            for column in x(pair[0].0)..=x(pair[1].0) {
                let (from, to) = (x(pair[0].0), x(pair[1].0));
                let share = if to > from { (column - from) as f64 / (to - from) as f64 } else { 0.0 };
                let v = pair[0].1 + share * (pair[1].1 - pair[0].1);
                dots[y(v) * width + column] = true;
                // Steep parts have no gaps.
                if column > from {
                    let before = pair[0].1 + (share - 1.0 / (to - from) as f64) * (pair[1].1 - pair[0].1);
                    let (a, b) = (y(before).min(y(v)), y(before).max(y(v)));
                    (a + 1..b).for_each(|row| dots[row * width + column] = true);
                }
            }
        }
        let mut cells: Vec<Vec<char>> = (0..rows)
            .map(|row| {
                let cell = |column| Self::cell(&dots, width, (column * across, row * down), ascii);
                (0..columns).map(cell).collect()
            })
            .collect();
        let (other, best) = if ascii { ('o', '*') } else { ('∘', '●') };
        let mut mark = |ratio: f64, v: f64, c: char| cells[y(v) / down][x(ratio) / across] = c;
        self.others.iter().for_each(|point| mark(point.0, point.1, other));
        self.best.iter().for_each(|point| mark(point.0, point.1, best));
        let (bar, corner, dash) = if ascii { ('|', '+', '-') } else { ('│', '└', '─') };
        let mut out = String::from("dev ROUGE-L\n");
        for (row, line) in cells.iter().enumerate() {
            let value = high - (high - low) * row as f64 / (rows - 1) as f64;
            let label = if row % 4 == 0 || row + 1 == rows { format!("{value:6.2}") } else { " ".repeat(6) };
            let line: String = line.iter().collect();
            writeln!(out, "{label} {bar}{}", line.trim_end()).ok();
        }
        writeln!(out, "{:6} {corner}{}", "", dash.to_string().repeat(columns)).ok();
        let (from, to) = (format!("{left}"), format!("{right}"));
        let gap = columns.saturating_sub(from.len() + to.len());
        writeln!(out, "{:8}{from}{:^gap$}{to}", "", "prune ratio").ok();
        out
    }

    /// The cell at a dot: what its dots make together.
    fn cell(dots: &[bool], width: usize, (x, y): (usize, usize), ascii: bool) -> char {
        if ascii {
            return if dots[y * width + x] { '.' } else { ' ' };
        }
        // Unicode numbers the dots of braille down the left, then down the right, the last row behind all others.
        let bits = [(0, 0, 0), (0, 1, 1), (0, 2, 2), (1, 0, 3), (1, 1, 4), (1, 2, 5), (0, 3, 6), (1, 3, 7)];
        let set = bits.iter().filter(|(dx, dy, _)| dots[(y + dy) * width + x + dx]);
        let code = set.fold(0u32, |code, (_, _, bit)| code | 1 << bit);
        if code == 0 { ' ' } else { char::from_u32(0x2800 + code).unwrap_or(' ') }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::tests::{sweep, trial};
    use super::*;

    fn curve() -> Curve {
        let mut all = sweep(vec![
            trial(0.9, None, 18.0, 3.0),
            trial(0.0, None, 20.0, 3.0),
            trial(0.5, None, 22.0, 3.0),
            trial(0.5, None, 19.0, 3.0),
            trial(0.5, Some(1), 99.0, 3.0),
        ]);
        all.rank();
        Curve::of(&all).unwrap()
    }

    #[test]
    fn the_curve_has_the_best_of_each_ratio() {
        assert_eq!(curve().best, [(0.0, 20.0, 0.5), (0.5, 22.0, 0.5), (0.9, 18.0, 0.5)]);
        assert_eq!(curve().others, [(0.5, 19.0)]);
        assert_eq!(Curve::of(&sweep(vec![trial(0.5, None, 1.0, 1.0)])), None);
        let mut without = sweep(vec![trial(0.5, None, 1.0, 1.0), trial(0.6, None, 1.0, 1.0)]);
        let flat = Curve::of(&without).unwrap();
        assert!(flat.text(true).contains('*') && !svg("x", &flat, None).contains("NaN"));
        without.axes[0] = "lr".into();
        assert_eq!(Curve::of(&without), None);
    }

    #[test]
    fn it_is_drawn_in_characters_from_edge_to_edge() {
        let text = curve().text(true);
        let lines: Vec<&str> = text.lines().collect();
        assert!(text.is_ascii() && lines.len() == 15, "{text}");
        let row = |line: &str| lines.iter().position(|l| l.starts_with(line)).unwrap();
        assert_eq!((row(" 22.00 |"), row(" 18.00 |")), (1, 12));
        let column = |c: char, at: usize| lines[at].chars().position(|x| x == c);
        assert_eq!(column('*', 1), Some(8 + 33));
        assert_eq!(column('*', 12), Some(8 + 59));
        assert_eq!(text.matches('*').count(), 3);
        assert_eq!(text.matches('o').count() - "prune ratio".matches('o').count(), 1);
        let braille = curve().text(false);
        assert!(braille.chars().any(|c| ('\u{2801}'..='\u{28ff}').contains(&c)) && braille.matches('●').count() == 3);
        let wide = braille.lines().map(|l| l.chars().count()).max().unwrap();
        assert!(wide <= 8 + SIZE.0 + 1, "{wide}\n{braille}");
    }

    #[test]
    fn the_picture_has_all_points_and_takes_no_markup() {
        let drawn = svg("a <b> & \u{1b}", &curve(), None);
        assert_eq!((drawn.matches("r=\"4\"").count(), drawn.matches("r=\"3\"").count()), (3, 1));
        assert!(drawn.contains("a &lt;b&gt; &amp; ") && !drawn.contains('\u{1b}'), "{drawn}");
        assert!(drawn.ends_with("</svg>\n") && !drawn.contains("loss"), "{drawn}");
    }

    #[test]
    fn the_loss_of_the_same_trials_stands_below_with_an_axis_of_its_own() {
        let mut all = sweep(vec![
            trial(0.0, None, 20.0, 3.5),
            trial(0.5, None, 22.0, 3.0),
            // Less loss, and yet not the best of its ratio.
            trial(0.5, None, 19.0, 2.5),
            trial(0.7, None, 21.0, f64::NAN),
            trial(0.7, None, 18.0, 2.75),
            trial(0.9, None, 18.0, 4.0),
        ]);
        all.rank();
        let loss = Curve::of_loss(&all).unwrap();
        assert_eq!(loss.best, [(0.0, 3.5, 0.0), (0.5, 3.0, 0.0), (0.9, 4.0, 0.0)]);
        assert_eq!(loss.others, [(0.5, 2.5), (0.7, 2.75)]);
        let drawn = svg("x", &Curve::of(&all).unwrap(), Some(&loss));
        assert_eq!((drawn.matches("<polyline").count(), drawn.matches("prune ratio").count()), (2, 1));
        assert!(drawn.contains(">dev ROUGE-L, %<") && drawn.contains(">dev loss, nats<"), "{drawn}");
        // Each axis from its least to its most, the error of ROUGE-L among it.
        for label in [">17.50<", ">22.50<", ">2.500<", ">4.000<"] {
            assert_eq!(drawn.matches(label).count(), 1, "{label}: {drawn}");
        }
        assert!(!drawn.contains("NaN") && drawn.matches("r=\"4\"").count() == 4 + 3, "{drawn}");
        // Both panels have the ratios at the same places.
        let x = |panel: &str| panel.split("points=\"").nth(1).unwrap().split(',').next().unwrap().to_owned();
        let (above, below) = drawn.split_once("dev loss").unwrap();
        assert_eq!(x(above), x(below));
        assert_eq!(Curve::of_loss(&sweep(vec![trial(0.1, None, 1.0, f64::NAN), trial(0.2, None, 1.0, 1.0)])), None);
    }
}
