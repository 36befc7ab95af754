//! What is looked at closely: curves, earlier steps, versions of summaries.

pub mod best;
pub mod charts;
pub mod diff;
pub mod history;
pub mod matrix;
pub mod method;
pub mod others;
pub mod reading;
pub mod scrub;
pub mod search;

pub use charts::{Charts, Quantity};
pub use history::History;
pub use others::Others;
pub use reading::Reading;
pub use scrub::Scrub;

use super::action::Action;
use super::measure::Scales;
use super::update::toast;
use super::{App, Effect, Overlay};
use crate::run::event::{Modules, Stage, Started};

/// State of the charts, the time of the heatmap and the samples.
#[derive(Debug, Clone, Default)]
pub struct Watch {
    /// The charts pane.
    pub charts: Charts,
    /// The states of the matrices so far.
    pub history: History,
    /// Their ranges over all steps.
    pub ranges: Scales,
    /// The step on show.
    pub scrub: Scrub,
    /// The samples pane.
    pub reading: Reading,
    /// Other runs beside this one.
    pub others: Others,
    /// The method that the run is to be shown at, until it is known what there is.
    pub method: Option<String>,
    /// The states of the matrices at the stage's best steps.
    pub best: best::Best,
}

/// Carries out an action of this part.
pub fn act(app: &mut App, action: Action) -> Vec<Effect> {
    match action {
        Action::OtherCurves | Action::OtherRun | Action::Compare => return others::act(app, action),
        Action::Inspect if app.started.is_some() => app.overlay = Some(Overlay::Module { top: 0 }),
        Action::Inspect => toast(app, "the worker has not said yet which modules there are"),
        _ => {
            charts::act(app, action);
            scrub::act(app, action);
            reading::act(app, action);
        }
    }
    Vec::new()
}

/// A worker says what the run is about: the past stays if it speaks of the same matrices.
pub fn start(app: &mut App, started: &Started) {
    if app.started.as_ref().is_some_and(|old| old.matrices != started.matrices) {
        app.watch.history = History::default();
        app.watch.ranges = Scales::default();
        app.watch.best = best::Best::default();
        scrub::forget(app);
    }
    others::align(&mut app.watch.others, started);
}

/// A stage begins.
pub fn begin(app: &mut App, stage: &Stage) {
    app.watch.history.begin(stage);
    best::begin(app, stage);
    scrub::begin(app, stage.steps);
}

/// The state of the matrices after a step.
pub fn take_modules(app: &mut App, modules: &Modules) {
    app.watch.history.push(app.stage.index, modules);
    best::step(app, modules);
    app.watch.ranges.widen(modules);
    if let (Some(curves), Some(started)) = (app.curves.last_mut(), &app.started) {
        charts::take_modules(curves, &started.matrices, modules);
    }
}

/// A key over the module's figures: moves through them and through time or looks into the first, all others close.
pub fn press_module(app: &mut App, key: &str, top: usize) -> Vec<super::Effect> {
    let top = match key {
        "enter" => return matrix::open(app, top),
        "j" | "down" => top + 1,
        "k" | "up" => top.saturating_sub(1),
        "page-down" => top + 10,
        "page-up" => top.saturating_sub(10),
        "home" => 0,
        "[" | "]" | "{" | "}" => {
            let action = match key {
                "[" => Action::StepBack,
                "]" => Action::StepOn,
                "{" => Action::TenBack,
                _ => Action::TenOn,
            };
            scrub::act(app, action);
            top
        }
        _ => return Vec::new(),
    };
    let last = matrix::of_module(app).len().saturating_sub(1);
    app.overlay = Some(Overlay::Module { top: top.min(last) });
    Vec::new()
}
