//! The best step of a stage: a run that is finished is what it was then, with the ratios that it had then.

use crate::app::App;
use crate::run::RunState;
use crate::run::event::{Dev, Modules, Stage};

/// The state of the matrices at the best step so far.
#[derive(Debug, Clone, PartialEq)]
pub struct Best {
    modules: Modules,
    stage: Stage,
    /// Whether other ratios were set since.
    is_left: bool,
}

/// A stage begins; one that is resumed goes on.
pub(super) fn begin(app: &mut App, stage: &Stage) {
    app.watch.best.take_if(|best| (best.stage.index, &best.stage.method) != (stage.index, &stage.method));
}

/// The state after a step.
pub(super) fn step(app: &mut App, modules: &Modules) {
    if let Some(best) = &mut app.watch.best {
        best.is_left = best.modules.full_ratios() != modules.full_ratios();
    }
}

/// The dev set was scored.
pub fn score(app: &mut App, dev: &Dev) {
    let here = app.modules.as_ref().filter(|modules| modules.step == dev.step);
    if dev.best {
        let stage = app.stage.clone();
        app.watch.best = here.map(|modules| Best { modules: modules.clone(), stage, is_left: false });
    }
}

impl App {
    /// The state that a draft of ratios is over: that of the last step. Of a run that is finished and had other ratios set
    /// after its best step, that of the best one: its set is the result, and what answers are of.
    pub fn drafted(&self) -> Option<&Modules> {
        self.result().or(self.modules.as_ref())
    }

    /// The state at the best step, where it is another than the last one's: of a run that is finished and had other ratios
    /// set after it. The heatmap shows it in the place of the last step, which `[` goes back to.
    pub fn result(&self) -> Option<&Modules> {
        let best = self.watch.best.as_ref().filter(|best| best.is_left && self.state == RunState::Finished);
        best.map(|best| &best.modules).filter(|_| self.modules.is_some())
    }
}
