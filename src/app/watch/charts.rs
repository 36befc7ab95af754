//! The charts pane: which quantity, how smooth, on which scale, which steps, and the cursor.

use super::others::Beside;
use crate::app::action::Action;
use crate::app::series::{Series, Smoothing};
use crate::app::update::toast;
use crate::app::{App, Curves};
use crate::run::course::Means;
use crate::run::event::{Dev, MatrixInfo, Modules, Step};
use crate::run::matrices::mean;

/// What a chart shows over the steps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Quantity {
    /// Loss on the training and the dev set.
    #[default]
    Loss,
    /// ROUGE-L of the dev summaries.
    RougeL,
    /// Learning rate.
    LearningRate,
    /// Norm of the gradients before clipping.
    GradNorm,
    /// Tokens per second.
    Speed,
    /// Share of mask entries that the step changed.
    Flips,
    /// Share of entries that are exactly zero.
    Sparsity,
    /// Share of the summed importance that the mask leaves.
    Retained,
}

impl Quantity {
    /// All, in the order of the key.
    pub const ALL: [Self; 8] = [
        Self::Loss,
        Self::RougeL,
        Self::LearningRate,
        Self::GradNorm,
        Self::Speed,
        Self::Flips,
        Self::Sparsity,
        Self::Retained,
    ];

    /// What it is called.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Loss => "loss",
            Self::RougeL => "ROUGE-L (dev)",
            Self::LearningRate => "learning rate",
            Self::GradNorm => "gradient norm",
            Self::Speed => "speed",
            Self::Flips => "mask flips",
            Self::Sparsity => "sparsity",
            Self::Retained => "retained importance",
        }
    }

    /// Its unit.
    pub const fn unit(self) -> &'static str {
        match self {
            Self::Loss => "nats per summary token",
            Self::RougeL => "percent",
            Self::LearningRate => "per update",
            Self::GradNorm => "before clipping",
            Self::Speed => "tokens/s",
            Self::Flips => "% of entries per step",
            Self::Sparsity => "% of entries",
            Self::Retained => "% of the sum",
        }
    }

    /// Why there is nothing of it yet.
    pub const fn absence(self) -> &'static str {
        match self {
            Self::RougeL => "no dev evaluation has scored summaries: x shows the next quantity",
            Self::Flips => "no mask has been compared yet: the curve comes with the second step of a stage",
            _ => "no training step yet",
        }
    }

    /// A value for the read-out, in at most seven characters for sane ones.
    pub fn show(self, value: f64) -> String {
        match self {
            Self::Loss if value.abs() < 1000.0 => format!("{value:.3}"),
            Self::RougeL if value.abs() < 1000.0 => format!("{value:.2}"),
            Self::Speed if value.abs() < 1e6 => format!("{value:.0}"),
            Self::LearningRate => format!("{value:.1e}"),
            Self::Flips if value.abs() < 1000.0 => format!("{value:.2}%"),
            Self::Sparsity | Self::Retained if value.abs() < 1000.0 => format!("{value:.1}%"),
            _ => crate::app::measure::significant(value),
        }
    }

    /// Whether a stage has a curve of it.
    pub fn is_in(self, curves: &Curves) -> bool {
        self.of(curves).is_some() || (self == Self::Loss && !curves.dev.is_empty())
    }

    /// Its curve in a stage; for the loss that of training.
    pub fn of(self, curves: &Curves) -> Option<&Series> {
        match self {
            Self::Loss => Some(&curves.train),
            _ => curves.more.get(&self),
        }
        .filter(|series| !series.is_empty())
    }
}

/// Takes in an update.
pub fn take_step(curves: &mut Curves, step: &Step) {
    let at = step.step as f64;
    curves.train.push(at, step.loss);
    for (quantity, value) in [
        (Quantity::LearningRate, step.lr),
        (Quantity::GradNorm, step.grad_norm),
        (Quantity::Speed, step.tokens_per_second),
    ] {
        curves.more.entry(quantity).or_default().push(at, value);
    }
}

/// Takes in the state of the matrices.
pub fn take_modules(curves: &mut Curves, matrices: &[MatrixInfo], modules: &Modules) {
    let [sparsity, retained, flips] =
        [&modules.sparsity, &modules.retained, &modules.flips].map(|column| mean(matrices, column));
    take_means(curves, Means { step: modules.step, sparsity, retained, flips });
}

/// Takes in the means over all matrices after a step.
pub fn take_means(curves: &mut Curves, Means { step, sparsity, retained, flips }: Means) {
    for (quantity, value) in [(Quantity::Flips, flips), (Quantity::Sparsity, sparsity), (Quantity::Retained, retained)]
    {
        if let Some(value) = value {
            curves.more.entry(quantity).or_default().push(step as f64, 100.0 * value);
        }
    }
}

/// Takes in an evaluation.
pub fn take_dev(curves: &mut Curves, dev: &Dev) {
    let at = dev.step as f64;
    curves.dev.push(at, dev.loss);
    if let Some(rouge) = &dev.rouge {
        curves.more.entry(Quantity::RougeL).or_default().push(at, rouge.rouge_l);
    }
    curves.best = Some(curves.best.map_or(dev.loss, |best| best.min(dev.loss)));
}

/// Fewest steps that fill the chart.
const CLOSEST: f64 = 4.0;
/// Key presses that cross the chart.
const STRIDES: f64 = 60.0;

/// State of the pane.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Charts {
    /// What is shown.
    pub quantity: Quantity,
    /// How smooth.
    pub smoothing: Smoothing,
    /// Whether equal factors, not equal differences, look equal.
    pub log: bool,
    /// The steps that are shown, all if left out.
    pub window: Option<(f64, f64)>,
    /// The step under the cursor.
    pub cursor: Option<f64>,
}

impl Charts {
    /// The curves that are drawn, the newest stage first, with its age.
    pub fn drawn(app: &App) -> impl Iterator<Item = (usize, &Curves)> {
        let quantity = app.watch.charts.quantity;
        app.curves.iter().rev().enumerate().filter(move |(age, c)| (*age == 0 || app.earlier) && quantity.is_in(c))
    }

    /// The other runs whose curves lie over these, each with its stage of the method that is under way here, or its
    /// last one, if it has the quantity.
    pub fn beside(app: &App) -> Vec<(&Beside, Option<&Curves>)> {
        let method = app.curves.last().map_or("", |c| c.stage.method.as_str());
        app.watch.others.drawn(method, app.watch.charts.quantity)
    }

    /// The last step of the chart.
    pub fn end(app: &App) -> f64 {
        let quantity = app.watch.charts.quantity;
        let last = |points: &[(f64, f64)]| points.last().map_or(0.0, |p| p.0);
        let reached = |c: &Curves| {
            let dev = if quantity == Quantity::Loss { last(c.dev.points()) } else { 0.0 };
            quantity.of(c).map_or(0.0, |s| last(s.points())).max(dev)
        };
        let own = Self::drawn(app).map(|(_, c)| (c.stage.steps as f64).max(reached(c)));
        // Of the others what there is: one that has just begun does not make these small.
        let others = Self::beside(app).into_iter().filter_map(|(_, c)| c.map(reached));
        own.chain(others).fold(2.0, f64::max)
    }

    /// First and last step on show, in a chart that ends at `end`.
    pub fn range(&self, end: f64) -> (f64, f64) {
        self.window.filter(|w| w.1 <= end && w.1 > w.0).unwrap_or((0.0, end))
    }

    /// Half the steps around the cursor, or twice as many.
    fn zoom(&mut self, end: f64, closer: bool) {
        let (from, to) = self.range(end);
        let width = if closer { (to - from) / 2.0 } else { (to - from) * 2.0 };
        if closer && width < CLOSEST {
            return;
        }
        if width >= end {
            self.window = None;
            return;
        }
        let centre = self.cursor.unwrap_or(to).clamp(from, to);
        // What is under the cursor stays where it is.
        let share = (centre - from) / (to - from);
        let from = (centre - share * width).clamp(0.0, end - width);
        self.window = Some((from, from + width));
    }

    /// Moves the cursor; a window goes with it.
    fn step(&mut self, end: f64, reached: f64, forward: bool) {
        let (from, to) = self.range(end);
        let stride = ((to - from) / STRIDES).round().max(1.0);
        // It appears where the news are.
        let Some(at) = self.cursor else {
            self.cursor = Some(reached.clamp(from.ceil(), to.floor()));
            return;
        };
        let at = (at + if forward { stride } else { -stride }).clamp(0.0, end);
        self.cursor = Some(at);
        if at < from || at > to {
            let width = to - from;
            let from = (if forward { at - 0.75 * width } else { at - 0.25 * width }).clamp(0.0, end - width);
            self.window = Some((from, from + width));
        }
    }
}

/// Moves the cursor of the pane.
pub fn walk(app: &mut App, forward: bool) {
    let end = Charts::end(app);
    let quantity = app.watch.charts.quantity;
    let newest = Charts::drawn(app).next().and_then(|(_, c)| quantity.of(c)?.points().last().map(|p| p.0));
    let reached = newest.unwrap_or(0.0);
    app.watch.charts.step(end, reached, forward);
}

/// An action of the pane.
pub fn act(app: &mut App, action: Action) {
    let end = Charts::end(app);
    let charts = &mut app.watch.charts;
    let before = charts.window;
    match action {
        Action::Quantity => charts.quantity = after(&Quantity::ALL, charts.quantity, 1),
        Action::PreviousQuantity => charts.quantity = after(&Quantity::ALL, charts.quantity, Quantity::ALL.len() - 1),
        Action::Smoothing => charts.smoothing = after(&Smoothing::ALL, charts.smoothing, 1),
        Action::LogScale => charts.log = !charts.log,
        Action::ZoomIn => charts.zoom(end, true),
        Action::ZoomOut => charts.zoom(end, false),
        Action::ZoomReset => (charts.window, charts.cursor) = (None, None),
        _ => {}
    }
    let is_same = charts.window == before;
    match action {
        Action::ZoomIn if is_same => toast(app, "the chart cannot show fewer steps"),
        Action::ZoomOut if is_same => toast(app, "the chart shows all steps already"),
        _ => {}
    }
}

fn after<T: Copy + PartialEq>(all: &[T], now: T, by: usize) -> T {
    let at = all.iter().position(|x| *x == now).unwrap_or(0);
    all[(at + by) % all.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::update::update;
    use crate::app::{Message, Pane};
    use crate::module::{Factor, ModuleId, Projection};
    use crate::run::event::Stage;

    fn app() -> App {
        let mut app = App::new("x", false);
        app.pane = Pane::Charts;
        let mut curves = Curves { stage: Stage { steps: 100, ..Stage::default() }, ..Curves::default() };
        for step in 1..=50 {
            take_step(&mut curves, &Step { step: step as usize, loss: 1.0, lr: 1e-4, ..Step::default() });
        }
        app.curves.push(curves);
        app
    }

    fn press(app: &mut App, keys: &[&str]) {
        for key in keys {
            update(app, Message::Key((*key).into()));
        }
    }

    #[test]
    fn keys_choose_quantity_smoothing_and_scale() {
        let mut app = app();
        press(&mut app, &["x", "x", "o", "L"]);
        let charts = app.watch.charts;
        assert_eq!((charts.quantity, charts.smoothing, charts.log), (Quantity::LearningRate, Smoothing::Much, true));
        press(&mut app, &["X", "X", "X", "o", "L"]);
        let charts = app.watch.charts;
        assert_eq!((charts.quantity, charts.smoothing, charts.log), (Quantity::Retained, Smoothing::Off, false));
        // On another pane they are no keys of the chart.
        press(&mut app, &["1", "x", "o", "L"]);
        assert_eq!(app.watch.charts, charts);
    }

    #[test]
    fn a_zoom_that_changes_nothing_says_so() {
        let mut app = App::new("x", false);
        act(&mut app, Action::ZoomOut);
        assert!(app.toast.as_ref().is_some_and(|toast| toast.0.contains("all steps already")), "{:?}", app.toast);
        act(&mut app, Action::ZoomIn);
        assert!(app.toast.as_ref().is_some_and(|toast| toast.0.contains("cannot show fewer")), "{:?}", app.toast);
    }

    #[test]
    fn the_zoom_stays_around_the_cursor_and_within_the_steps() {
        let mut app = app();
        press(&mut app, &["right"]);
        assert_eq!(app.watch.charts.cursor, Some(50.0));
        press(&mut app, &["<"]);
        assert_eq!(app.watch.charts.range(100.0), (25.0, 75.0));
        press(&mut app, &["<"; 9]);
        let (from, to) = app.watch.charts.range(100.0);
        assert!(to - from >= CLOSEST && from < 50.0 && to > 50.0, "{from} {to}");
        press(&mut app, &["right"; 30]);
        let (from, to) = app.watch.charts.range(100.0);
        assert!(app.watch.charts.cursor.is_some_and(|c| from <= c && c <= to && c > 70.0), "{from} {to}");
        press(&mut app, &["left"; 200]);
        assert_eq!((app.watch.charts.cursor, app.watch.charts.range(100.0).0), (Some(0.0), 0.0));
        press(&mut app, &[">"; 9]);
        assert_eq!(app.watch.charts.window, None);
        press(&mut app, &["<", "0"]);
        assert_eq!((app.watch.charts.window, app.watch.charts.cursor), (None, None));
    }

    #[test]
    fn means_weigh_the_matrices_by_their_size() {
        let matrix = |rows| MatrixInfo {
            module: ModuleId::new(0, Projection::QProj),
            adapter: 0,
            factor: Factor::A,
            rows,
            cols: 2,
        };
        let mut curves = Curves::default();
        let modules = Modules {
            step: 3,
            sparsity: vec![Some(1.0), Some(0.2), None],
            flips: vec![Some(f32::NAN)],
            ..Modules::default()
        };
        take_modules(&mut curves, &[matrix(1), matrix(3), matrix(9)], &modules);
        let points = Quantity::Sparsity.of(&curves).map(Series::points);
        assert!(points.is_some_and(|p| p.len() == 1 && (p[0].1 - 40.0).abs() < 1e-4), "{points:?}");
        assert!(Quantity::Flips.of(&curves).is_none());
    }

    #[test]
    fn an_empty_chart_takes_every_key() {
        let mut app = App::new("x", false);
        app.pane = Pane::Charts;
        press(&mut app, &["left", "<", "<", ">", "x", "right", "right", "0", "o", "L"]);
        assert_eq!(app.watch.charts.quantity, Quantity::RougeL);
    }
}
