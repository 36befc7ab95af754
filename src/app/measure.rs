//! What the heatmap shows, and the range that its colours stand for.

use crate::run::event::Modules;

/// What the heatmap shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// Share of entries that are exactly zero.
    Sparsity,
    /// Mean importance.
    Importance,
    /// Share of the summed importance that the mask leaves.
    Retained,
    /// Share of entries whose mask changed at the last step.
    Flips,
    /// Ratio asked.
    Ratio,
    /// Rise of the dev loss when the part is pruned alone: no figure of the journal's.
    Sensitivity,
}

impl Measure {
    /// Those that the journal tells of every matrix.
    pub const ALL: [Self; 5] = [Self::Sparsity, Self::Importance, Self::Retained, Self::Flips, Self::Ratio];

    /// All, in the order of the key.
    pub const WALK: [Self; 6] =
        [Self::Sparsity, Self::Importance, Self::Retained, Self::Flips, Self::Ratio, Self::Sensitivity];

    /// What it is called.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Sparsity => "sparsity",
            Self::Importance => "mean importance",
            Self::Retained => "retained importance",
            Self::Flips => "mask flips",
            Self::Ratio => "prune ratio",
            Self::Sensitivity => "sensitivity",
        }
    }

    /// What a value says.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Sparsity => "entries that are exactly zero",
            Self::Importance => "mean of an entry (log colours)",
            Self::Retained => "importance that the mask leaves",
            Self::Flips => "entries pruned or revived by the last step",
            Self::Ratio => "entries to prune, as asked",
            Self::Sensitivity => "rise of the dev loss, pruned alone",
        }
    }

    /// Whether other ratios say what its values will be.
    pub const fn follows_ratios(self) -> bool {
        matches!(self, Self::Sparsity | Self::Retained | Self::Ratio)
    }

    /// The measure's column of the journal's `modules`.
    pub fn column(self, modules: &Modules) -> &[Option<f32>] {
        match self {
            Self::Sparsity => &modules.sparsity,
            Self::Importance => &modules.importance,
            Self::Retained => &modules.retained,
            Self::Flips => &modules.flips,
            Self::Ratio => &modules.ratio,
            Self::Sensitivity => &[],
        }
    }

    /// A value in at most seven characters.
    pub fn show(self, value: f32) -> String {
        let percent = f64::from(value) * 100.0;
        match self {
            Self::Sparsity | Self::Ratio if (percent - percent.round()).abs() < 0.05 => format!("{percent:.0}%"),
            // 99.96 % is not all of it.
            Self::Retained if value < 1.0 => format!("{:.1}%", (percent * 10.0 + 1e-3).floor() / 10.0),
            Self::Sparsity | Self::Ratio | Self::Retained => format!("{percent:.1}%"),
            Self::Flips if percent >= 10.0 => format!("{percent:.1}%"),
            Self::Flips => format!("{percent:.2}%"),
            Self::Importance => significant(f64::from(value)),
            Self::Sensitivity => self.show_change(value),
        }
    }

    /// A value in at most `width` characters, `None` if it does not fit.
    pub fn show_within(self, value: f32, width: usize) -> Option<String> {
        let long = self.show(value);
        if long.len() <= width {
            return Some(long);
        }
        let percent = f64::from(value) * 100.0;
        let short = match self {
            Self::Importance if value >= 1.0 => format!("{value:.0}"),
            Self::Importance => return small(value, width),
            Self::Sensitivity => return self.show_change_within(value, width),
            Self::Flips if percent < 10.0 => format!("{percent:.1}%"),
            Self::Retained if value < 1.0 => format!("{:.0}%", percent.floor()),
            _ => format!("{percent:.0}%"),
        };
        (short.len() <= width).then_some(short)
    }

    /// A difference of two values with its sign, in at most seven characters; shares in percentage points.
    pub fn show_change(self, change: f32) -> String {
        let value = self.in_units(change);
        let size = value.abs();
        let text = match size {
            0.0 => "0".into(),
            _ if self == Self::Importance => significant(size),
            10.0.. => format!("{size:.1}"),
            0.005.. => format!("{size:.2}"),
            _ => format!("{size:.0e}"),
        };
        let sign = if value > 0.0 { "+" } else { "-" };
        if size == 0.0 { text } else { format!("{sign}{text}") }
    }

    /// A difference in at most `width` characters, `None` if it does not fit.
    pub fn show_change_within(self, change: f32, width: usize) -> Option<String> {
        let long = self.show_change(change);
        if long.len() <= width {
            return Some(long);
        }
        let value = self.in_units(change);
        let sign = if value > 0.0 { "+" } else { "-" };
        // The most decimals that fit, but nothing that reads as zero.
        let forms = (0..4).rev().map(|d| format!("{:.d$}", value.abs()));
        let short =
            forms.map(|text| format!("{sign}{}", text.strip_prefix("0").filter(|t| !t.is_empty()).unwrap_or(&text)));
        let mut fitting = short.filter(|t| t.len() <= width && t.bytes().any(|b| (b'1'..=b'9').contains(&b)));
        fitting.next()
    }

    /// A difference in the unit that it is shown in.
    fn in_units(self, change: f32) -> f64 {
        f64::from(change)
            * match self {
                Self::Importance => 1.0,
                Self::Sensitivity => 1000.0,
                _ => 100.0,
            }
    }

    /// The unit of a difference.
    pub const fn change_unit(self) -> &'static str {
        match self {
            Self::Importance => "mean of an entry",
            Self::Sensitivity => "0.001 nats per token",
            _ => "percentage points",
        }
    }

    fn index(self) -> usize {
        self as usize
    }
}

/// Two or three significant digits of a value below 1, without the leading 0; nothing that reads as zero.
fn small(value: f32, width: usize) -> Option<String> {
    let decimals = if value < 0.01 { [4, 4, 3, 2] } else { [3, 3, 3, 2] };
    let forms = decimals.into_iter().map(|d| format!("{value:.d$}").trim_start_matches('0').to_owned());
    let fits = |text: &String| text.len() <= width && text.bytes().any(|b| (b'1'..=b'9').contains(&b));
    forms.into_iter().find(fits)
}

/// Three significant digits, in scientific form where that is shorter.
pub fn significant(value: f64) -> String {
    match value.abs() {
        0.0 => "0".into(),
        1e4.. | 0.0..0.001 => format!("{value:.1e}"),
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        1.0.. => format!("{value:.2}"),
        0.1.. => format!("{value:.3}"),
        _ => format!("{value:.4}"),
    }
}

/// The values that the first and the last colour stand for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scale {
    /// First colour.
    pub low: f32,
    /// Last colour.
    pub high: f32,
    /// Whether equal factors, not equal differences, look equal.
    pub log: bool,
}

impl Scale {
    /// Where a value lies, 0 to 1.
    pub fn share(&self, value: f32) -> f32 {
        let share = if self.log {
            let log = |x: f32| x.max(f32::MIN_POSITIVE).ln();
            (log(value) - log(self.low)) / (log(self.high) - log(self.low))
        } else {
            (value - self.low) / (self.high - self.low)
        };
        if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 }
    }

    /// The round range around differences of at most `most`.
    pub fn around_zero(most: f32) -> Self {
        let high = if most > 0.0 && most.is_finite() { round_up(most) } else { 1.0 };
        Self { low: -high, high, log: false }
    }

    /// The round range around values from `low` to `high`.
    fn around(measure: Measure, low: f32, high: f32) -> Self {
        const FLOORS: [f32; 8] = [0.999, 0.995, 0.99, 0.98, 0.95, 0.9, 0.8, 0.5];
        let (low, high, log) = match measure {
            Measure::Sparsity | Measure::Ratio => (0.0, 1.0, false),
            Measure::Retained => (FLOORS.into_iter().find(|f| *f <= low).unwrap_or(0.0), 1.0, false),
            Measure::Flips => (0.0, round_up(high.max(0.001)).min(1.0), false),
            Measure::Importance if high > 0.0 => {
                let high = round_up(high);
                // Six decades at most: below is as good as nothing.
                (round_down(low.max(high * 1e-6)).min(high / 2.0), high, true)
            }
            Measure::Importance => (0.0, 1.0, false),
            Measure::Sensitivity => return Self::around_zero(low.abs().max(high.abs())),
        };
        Self { low, high, log }
    }

    /// The range that takes in these values too.
    #[must_use]
    pub fn widened(self, measure: Measure, values: &[Option<f32>]) -> Self {
        range(measure, values).map_or(self, |fit| if self.holds(&fit) { self } else { self.joined(&fit) })
    }

    fn holds(&self, other: &Self) -> bool {
        self.log == other.log && self.low <= other.low && self.high >= other.high
    }

    fn joined(&self, other: &Self) -> Self {
        if self.log == other.log {
            Self { low: self.low.min(other.low), high: self.high.max(other.high), log: self.log }
        } else {
            *other
        }
    }
}

/// 1, 2 or 5 times a power of ten, not below `x`.
fn round_up(x: f32) -> f32 {
    let power = 10f64.powf(f64::from(x).log10().floor());
    let digits = f64::from(x) / power;
    let step = [1.0, 2.0, 5.0].into_iter().find(|s| digits <= s * 1.000_001).unwrap_or(10.0);
    (step * power) as f32
}

/// 1, 2 or 5 times a power of ten, not above `x`.
fn round_down(x: f32) -> f32 {
    let power = 10f64.powf(f64::from(x).log10().floor());
    let digits = f64::from(x) / power;
    let step = [5.0, 2.0, 1.0].into_iter().find(|s| digits * 1.000_001 >= *s).unwrap_or(1.0);
    (step * power) as f32
}

/// Steps for which a tighter range has to do before it is taken.
const PATIENCE: u8 = 10;

/// The round range around the values of each measure that has any.
fn fits(modules: &Modules) -> impl Iterator<Item = (Measure, Scale)> {
    Measure::ALL.into_iter().filter_map(|measure| Some((measure, range(measure, measure.column(modules))?)))
}

/// The round range around some values; `None` where there are none.
fn range(measure: Measure, values: &[Option<f32>]) -> Option<Scale> {
    let values = values.iter().flatten().copied().filter(|v| v.is_finite());
    let positive = values.filter(|v| measure != Measure::Importance || *v > 0.0);
    let (low, high) = positive.fold((f32::MAX, f32::MIN), |(l, h), v| (l.min(v), h.max(v)));
    (low <= high).then(|| Scale::around(measure, low, high))
}

/// The ranges of all measures. They take in every matrix, so that the colours of two adapters compare, and
/// grow at once but shrink late, so that they do not jump from step to step.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Scales {
    known: [Option<(Scale, u8)>; 5],
}

impl Scales {
    /// Takes in the state of the matrices after a step.
    pub fn see(&mut self, modules: &Modules) {
        for (measure, fit) in fits(modules) {
            let known = &mut self.known[measure.index()];
            *known = Some(match *known {
                Some((scale, _)) if scale == fit => (scale, 0),
                Some((scale, seen)) if scale.holds(&fit) && seen + 1 < PATIENCE => (scale, seen + 1),
                Some((scale, _)) if !scale.holds(&fit) => (scale.joined(&fit), 0),
                _ => (fit, 0),
            });
        }
    }

    /// Takes in the state of the matrices after a step, and forgets none.
    pub fn widen(&mut self, modules: &Modules) {
        for (measure, fit) in fits(modules) {
            let known = &mut self.known[measure.index()];
            *known = Some((known.map_or(fit, |(scale, _)| scale.joined(&fit)), 0));
        }
    }

    /// The range of a measure.
    pub fn of(&self, measure: Measure) -> Scale {
        self.known
            .get(measure.index())
            .copied()
            .flatten()
            .map_or_else(|| Scale::around(measure, 0.0, 1.0), |known| known.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn modules(retained: &[f32], importance: &[f32]) -> Modules {
        let some = |v: &[f32]| v.iter().copied().map(Some).collect();
        Modules { retained: some(retained), importance: some(importance), ..Modules::default() }
    }

    #[test]
    fn ranges_are_round_and_take_in_every_value() {
        let mut scales = Scales::default();
        scales.see(&modules(&[0.9862, 0.9995], &[0.0014, 0.39]));
        assert_eq!(scales.of(Measure::Retained), Scale { low: 0.98, high: 1.0, log: false });
        assert_eq!(scales.of(Measure::Importance), Scale { low: 0.001, high: 0.5, log: true });
        assert_eq!(scales.of(Measure::Sparsity), Scale { low: 0.0, high: 1.0, log: false });
    }

    #[test]
    fn a_range_grows_at_once_and_shrinks_late() {
        let mut scales = Scales::default();
        scales.see(&modules(&[0.91], &[1.0]));
        scales.see(&modules(&[0.79], &[1.0]));
        assert_eq!(scales.of(Measure::Retained).low, 0.5);
        for _ in 1..PATIENCE {
            scales.see(&modules(&[0.97], &[1.0]));
            assert_eq!(scales.of(Measure::Retained).low, 0.5);
        }
        scales.see(&modules(&[0.97], &[1.0]));
        assert_eq!(scales.of(Measure::Retained).low, 0.95);
        // One value that lies a moment outside and back does not shrink it step by step.
        scales.see(&modules(&[0.93], &[1.0]));
        scales.see(&modules(&[0.97], &[1.0]));
        assert_eq!(scales.of(Measure::Retained).low, 0.9);
    }

    #[test]
    fn odd_values_have_a_place() {
        let scale = Scale { low: 0.001, high: 1.0, log: true };
        assert_eq!([0.0, f32::NAN, 5.0].map(|v| scale.share(v)), [0.0, 0.0, 1.0]);
        let flat = Scale { low: 1.0, high: 1.0, log: false };
        assert_eq!(flat.share(1.0), 0.0);
        let mut scales = Scales::default();
        scales.see(&modules(&[f32::INFINITY], &[0.0, 0.0]));
        assert!(scales.of(Measure::Importance).share(0.5) <= 1.0);
    }

    #[test]
    fn changes_have_a_sign_and_fit() {
        let show = |v| Measure::Sparsity.show_change(v);
        assert_eq!([0.0, 0.1234, -0.005, -0.000_01, -1.0].map(show), ["0", "+12.3", "-0.50", "-1e-3", "-100.0"]);
        assert_eq!(Measure::Sparsity.show_change_within(0.1234, 3).as_deref(), Some("+12"));
        assert_eq!(Measure::Sparsity.show_change_within(-0.005, 3).as_deref(), Some("-.5"));
        assert_eq!(Measure::Sparsity.show_change_within(-0.000_001, 3), None, "not -.0");
        assert_eq!(Measure::Importance.show_change_within(0.0312, 5).as_deref(), Some("+.031"));
        for value in [-1e6, -0.3, 1e-9, 123.0] {
            assert!(Measure::Importance.show_change(value).len() <= 8, "{value}");
        }
    }

    #[test]
    fn values_fit_their_cells() {
        assert_eq!(Measure::Sparsity.show(0.5), "50%");
        assert_eq!(Measure::Sparsity.show(0.1234), "12.3%");
        assert_eq!(Measure::Retained.show(0.99996), "99.9%");
        assert_eq!([0.954, 0.98, 1.0].map(|v| Measure::Retained.show(v)), ["95.4%", "98.0%", "100.0%"]);
        assert_eq!(Measure::Retained.show_within(0.9995, 5).as_deref(), Some("99.9%"));
        assert_eq!(Measure::Retained.show_within(0.9995, 4).as_deref(), Some("99%"));
        assert_eq!(Measure::Retained.show_within(1.0, 5).as_deref(), Some("100%"));
        assert_eq!(Measure::Flips.show_within(0.000_434, 5).as_deref(), Some("0.04%"));
        assert_eq!(Measure::Importance.show_within(0.0312, 4).as_deref(), Some(".031"));
        assert_eq!(Measure::Importance.show_within(0.0312, 3).as_deref(), Some(".03"));
        assert_eq!(Measure::Importance.show_within(0.0042, 5).as_deref(), Some(".0042"));
        assert_eq!(Measure::Importance.show_within(0.0042, 3), None, "not .00");
        assert_eq!(Measure::Importance.show_within(0.139, 4).as_deref(), Some(".139"));
        assert_eq!(Measure::Importance.show_within(12345.0, 3), None);
        for value in [0.0, 1e-9, 0.001, 0.0312, 0.5, 1.0, 17.3, 431.0, 1e6, 1.0e20] {
            assert!(Measure::Importance.show(value).len() <= 7, "{value}");
        }
    }
}
