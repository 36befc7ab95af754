//! Other runs of the folder beside this one: their curves over the charts, their last matrices under the heatmap.

mod choice;

pub use choice::{Choice, listed, paste, press};

use super::charts::{Quantity, take_dev, take_means, take_step};
use super::scrub;
use crate::app::action::Action;
use crate::app::{App, Curves, Effect, Overlay, clean};
use crate::run::RunState;
use crate::run::course::{Slice, Told};
use crate::run::event::{Modules, Stage, Started};
use crate::run::matrices::Matrices;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Runs whose curves are laid over the charts at most: as many as there are colours left.
pub const MOST: usize = 4;
/// Stages of another run whose curves are kept, the newest.
const STAGES: usize = 8;

/// What is known of another run so far. Every text in it is harmless.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Other {
    /// How it stands.
    pub state: RunState,
    /// The share of its journal that has been read, 0 to 1, until all was.
    pub reading: Option<f32>,
    /// Why it cannot be read.
    pub error: Option<String>,
    /// Curves of its stages that train, the newest last.
    stages: Vec<Arc<Curves>>,
    /// The last state of its matrices.
    pub matrices: Option<Arc<Matrices>>,
}

impl Other {
    /// Takes in the next slice; true if anything is different now.
    pub fn take(&mut self, slice: Slice) -> bool {
        let reading = (!slice.caught_up).then_some(slice.read);
        let changed = !slice.told.is_empty()
            || slice.matrices.is_some()
            || self.error.is_some()
            || (self.state, self.reading) != (slice.state, reading);
        (self.state, self.reading, self.error) = (slice.state, reading, None);
        slice.told.into_iter().for_each(|told| self.tell(told));
        if let Some(mut matrices) = slice.matrices {
            clean::started(&mut matrices.started);
            matrices.stage.method = clean::line(&matrices.stage.method);
            self.matrices = Some(Arc::new(matrices));
        }
        changed
    }

    fn tell(&mut self, told: Told) {
        let curves = match told {
            Told::Stage(stage) => return self.begin(stage),
            _ => self.stages.last_mut().map(Arc::make_mut),
        };
        match (curves, told) {
            (Some(curves), Told::Step(step)) => take_step(curves, &step),
            (Some(curves), Told::Dev(dev)) => take_dev(curves, &dev),
            (Some(curves), Told::Means(means)) => take_means(curves, means),
            _ => {}
        }
    }

    /// A stage that is resumed goes on with its curves.
    fn begin(&mut self, mut stage: Stage) {
        stage.method = clean::line(&stage.method);
        self.stages.retain(|c| c.stage.index <= stage.index);
        let same = |c: &Arc<Curves>| c.stage.index == stage.index && c.stage.method == stage.method;
        if stage.steps == 0 || self.stages.last().is_some_and(same) {
            return;
        }
        self.stages.retain(|c| c.stage.index < stage.index);
        self.stages.push(Arc::new(Curves { stage, ..Curves::default() }));
        if self.stages.len() > STAGES {
            self.stages.remove(0);
        }
    }

    /// The curves that lie beside those of a stage of `method`: of the stage of that method, or of the last one.
    pub fn curves(&self, method: &str, quantity: Quantity) -> Option<&Curves> {
        let mut having = self.stages.iter().rev().filter(|c| quantity.is_in(c));
        let same = having.clone().find(|c| c.stage.method == method);
        same.or_else(|| having.next()).map(AsRef::as_ref)
    }
}

/// Another run, and what was read of it.
#[derive(Debug, Clone)]
pub struct Beside {
    /// Its directory.
    pub path: PathBuf,
    /// Its name.
    pub name: String,
    /// Its place among the colours, from 0; it keeps it while others come and go.
    pub place: usize,
    /// What is known so far; nothing before it was looked at.
    pub known: Option<Arc<Other>>,
}

/// The run that the heatmap is compared with.
#[derive(Debug, Clone)]
pub struct Base {
    /// The run.
    pub run: Beside,
    /// Its last state in the order of this run's matrices, once both are known.
    pub modules: Option<Modules>,
}

/// The other runs on show.
#[derive(Debug, Clone, Default)]
pub struct Others {
    /// Those with curves in the charts, in the order of their choice.
    pub curves: Vec<Beside>,
    /// The one that the heatmap is compared with.
    pub base: Option<Base>,
}

impl Others {
    /// The directories of all that are on show.
    pub fn paths(&self) -> Vec<PathBuf> {
        let mut all: Vec<PathBuf> = self.curves.iter().map(|run| run.path.clone()).collect();
        all.extend(self.base.iter().map(|base| base.run.path.clone()));
        all.sort();
        all.dedup();
        all
    }

    /// What is known of a run that is on show already.
    fn known(&self, path: &Path) -> Option<Arc<Other>> {
        let mut all = self.curves.iter().chain(self.base.iter().map(|base| &base.run));
        all.find(|run| run.path == path).and_then(|run| run.known.clone())
    }

    /// Lays a run's curves over the charts, or takes them off; false where there is no colour left.
    fn toggle(&mut self, path: &Path, name: &str) -> bool {
        if let Some(at) = self.curves.iter().position(|run| run.path == path) {
            self.curves.remove(at);
            return true;
        }
        let Some(place) = (0..MOST).find(|place| self.curves.iter().all(|run| run.place != *place)) else {
            return false;
        };
        let known = self.known(path);
        self.curves.push(Beside { path: path.to_path_buf(), name: name.to_owned(), place, known });
        true
    }

    /// The runs whose curves are drawn, with those curves if there are any.
    pub fn drawn<'a>(&'a self, method: &str, quantity: Quantity) -> Vec<(&'a Beside, Option<&'a Curves>)> {
        let curves = |run: &'a Beside| run.known.as_ref().and_then(|known| known.curves(method, quantity));
        self.curves.iter().map(|run| (run, curves(run))).collect()
    }
}

/// What is known of a run that is on show by now.
pub fn learn(app: &mut App, path: &Path, known: &Arc<Other>) {
    let others = &mut app.watch.others;
    let base = others.base.iter_mut().map(|base| &mut base.run);
    for run in others.curves.iter_mut().chain(base).filter(|run| run.path == path) {
        run.known = Some(Arc::clone(known));
    }
    if let Some(started) = &app.started {
        align(&mut app.watch.others, started);
    }
}

/// Puts the base's matrices into the order of this run's.
pub fn align(others: &mut Others, started: &Started) {
    if let Some(base) = &mut others.base {
        let matrices = base.run.known.as_ref().and_then(|known| known.matrices.as_ref());
        base.modules = matrices.map(|matrices| matrices.beside(started));
    }
}

/// Compares the heatmap with a run, or not any more where it was that one.
fn compare(app: &mut App, path: &Path, name: &str) {
    let others = &mut app.watch.others;
    if others.base.take().is_some_and(|base| base.run.path == path) {
        return;
    }
    let known = others.known(path);
    let run = Beside { path: path.to_path_buf(), name: name.to_owned(), place: 0, known };
    others.base = Some(Base { run, modules: None });
    if let Some(started) = &app.started {
        align(others, started);
    }
    // One difference at a time.
    scrub::leave(app);
}

/// An action of this part.
pub fn act(app: &mut App, action: Action) -> Vec<Effect> {
    let choice = match action {
        Action::OtherCurves => Choice::curves(),
        Action::OtherRun => Choice::base(),
        // The key that leaves a difference leaves this one too.
        Action::Compare if app.watch.others.base.take().is_some() => {
            return vec![Effect::Follow(app.watch.others.paths())];
        }
        Action::Compare => {
            scrub::act(app, action);
            return Vec::new();
        }
        _ => return Vec::new(),
    };
    app.overlay = Some(Overlay::Others(choice));
    vec![Effect::ListRuns]
}

#[cfg(test)]
mod tests;
