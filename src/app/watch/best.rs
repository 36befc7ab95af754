//! The best step of a stage: a run that is finished is what it was then, with the masks and the ratios of then.

use super::history::Place;
use crate::app::App;
use crate::run::RunState;
use crate::run::event::{Dev, Modules, Stage};

/// States that are kept: a run that goes on from a checkpoint goes back by a few evaluations at most.
const STATES: usize = 16;

/// The states of the matrices at the steps of a stage that were better than all before them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Best {
    /// The stage's number and method.
    of: (usize, String),
    /// The newest last.
    states: Vec<Modules>,
}

impl Best {
    /// Forgets the steps from this one on: a worker was killed after them, and the one that goes on makes them anew.
    fn rewind(&mut self, step: usize) {
        self.states.retain(|state| state.step < step);
    }
}

/// A stage begins; one that is resumed goes on.
pub(super) fn begin(app: &mut App, stage: &Stage) {
    let best = &mut app.watch.best;
    if (best.of.0, &best.of.1) != (stage.index, &stage.method) {
        *best = Best { of: (stage.index, stage.method.clone()), states: Vec::new() };
    }
}

/// The state after a step.
pub(super) fn step(app: &mut App, modules: &Modules) {
    app.watch.best.rewind(modules.step);
}

/// The dev set was scored.
pub fn score(app: &mut App, dev: &Dev) {
    app.watch.best.rewind(dev.step);
    if !dev.best {
        return;
    }
    // A worker that goes on scores what the one before it has trained.
    let here = app.modules.as_ref().filter(|modules| modules.step == dev.step).cloned();
    let here = here.or_else(|| kept(app, dev.step));
    let states = &mut app.watch.best.states;
    let Some(here) = here else {
        // Those before it are not the best any more.
        states.clear();
        return;
    };
    if states.len() == STATES {
        states.remove(0);
    }
    states.push(here);
}

/// The state after a step of this stage, if it is kept.
fn kept(app: &App, step: usize) -> Option<Modules> {
    let (history, place) = (&app.watch.history, Place { stage: app.stage.index, step });
    let at = history.index(place);
    if history.place(at) == Some(place) { history.modules(at) } else { None }
}

impl App {
    /// The state that a draft of ratios is over: that of the last step. Of a run that is finished that of the best one:
    /// its set is the result, and what answers are of.
    pub fn drafted(&self) -> Option<&Modules> {
        self.result().or(self.modules.as_ref())
    }

    /// The state at the best step, where that is not the last one, of a run that is finished. The heatmap shows it in
    /// the place of the last step, which `[` goes back to.
    pub fn result(&self) -> Option<&Modules> {
        let last = self.modules.as_ref().filter(|_| self.state == RunState::Finished)?;
        self.watch.best.states.last().filter(|best| best.step != last.step)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::app::Message;
    use crate::app::update::update;
    use crate::module::{Factor, ModuleId, Projection};
    use crate::run::event::{Event, EventBody, MatrixInfo, Started};

    fn tell(app: &mut App, bodies: Vec<EventBody>, state: RunState) {
        let at = |(i, body)| Event { v: 1, seq: i as u64, t: 0.0, body };
        let events = bodies.into_iter().enumerate().map(at).collect();
        update(app, Message::Run { events, state, caught_up: true });
    }

    fn stage() -> EventBody {
        EventBody::Stage(Stage { of: 1, method: "own".into(), steps: 40, prunes: true, ..Stage::default() })
    }

    /// A step whose share of zeros is a hundredth of its number, under one ratio for all steps.
    fn modules(step: usize) -> EventBody {
        let (ratio, sparsity) = (vec![Some(0.5)], vec![Some(step as f32 / 100.0)]);
        EventBody::Modules(Modules { step, ratio, sparsity, ..Modules::default() })
    }

    fn dev(step: usize, best: bool) -> EventBody {
        EventBody::Dev(Dev { step, best, ..Dev::default() })
    }

    /// Steps from the first to the last, with these evaluations after the steps that they are of.
    fn steps(from: usize, to: usize, scored: &[(usize, bool)]) -> Vec<EventBody> {
        let of = |step: usize| scored.iter().filter(move |(at, _)| *at == step).map(|(at, best)| dev(*at, *best));
        (from..=to).flat_map(|step| std::iter::once(modules(step)).chain(of(step))).collect()
    }

    fn app() -> App {
        let mut app = App::new("x", false);
        let module = ModuleId::new(0, Projection::QProj);
        let matrices = vec![MatrixInfo { module, adapter: 0, factor: Factor::A, rows: 2, cols: 2 }];
        let started = Started { layers: 1, matrices, ..Started::default() };
        tell(&mut app, vec![EventBody::Started(Box::new(started)), stage()], RunState::Running);
        app
    }

    /// What the heatmap shows at the end, and what it calls that.
    fn at_the_end(mut app: App) -> (Option<f32>, String) {
        tell(&mut app, Vec::new(), RunState::Finished);
        (app.shown().unwrap().sparsity[0], app.step_label())
    }

    #[test]
    fn a_finished_run_shows_the_masks_of_its_best_step_also_where_the_ratios_stayed() {
        let mut app = app();
        tell(&mut app, steps(1, 12, &[(4, true), (8, true), (12, false)]), RunState::Running);
        assert_eq!((app.result(), app.shown().unwrap().step), (None, 12), "it goes on");
        assert_eq!(at_the_end(app.clone()), (Some(0.08), "step 8 of 40, the best".into()));
        // One whose last step is the best is what it is then.
        tell(&mut app, steps(13, 16, &[(16, true)]), RunState::Running);
        assert_eq!(at_the_end(app), (Some(0.16), "step 16 of 40".into()));
    }

    #[test]
    fn a_best_step_that_a_kill_has_taken_back_is_none_of_the_result() {
        let mut app = app();
        tell(&mut app, steps(1, 20, &[(4, true), (8, true), (18, true)]), RunState::Running);
        // Killed, and resumed from step 10 with another learning rate: no step is as good as the 18th was.
        let mut again = vec![stage()];
        again.extend(steps(11, 24, &[(12, false), (18, false), (24, false)]));
        tell(&mut app, again, RunState::Running);
        assert_eq!(at_the_end(app.clone()), (Some(0.08), "step 8 of 40, the best".into()));
        // Resumed from a step of which the score was still to come.
        let scored = vec![stage(), dev(8, true), modules(9), modules(10)];
        tell(&mut app, scored, RunState::Running);
        assert_eq!(at_the_end(app.clone()), (Some(0.08), "step 8 of 40, the best".into()));
        tell(&mut app, vec![stage(), dev(8, false), modules(9)], RunState::Running);
        assert_eq!(at_the_end(app), (Some(0.04), "step 4 of 40, the best".into()));
    }

    #[test]
    fn of_many_best_steps_the_newest_are_kept_and_none_of_another_stage() {
        let mut app = app();
        let all: Vec<(usize, bool)> = (1..=40).map(|step| (step, true)).collect();
        tell(&mut app, steps(1, 40, &all), RunState::Running);
        assert_eq!(app.watch.best.states.len(), STATES);
        tell(&mut app, vec![stage(), modules(30), modules(31)], RunState::Running);
        assert_eq!(at_the_end(app.clone()), (Some(0.29), "step 29 of 40, the best".into()));
        let next = Stage { index: 1, of: 2, method: "next".into(), steps: 9, ..Stage::default() };
        tell(&mut app, vec![EventBody::Stage(next), modules(1), modules(2)], RunState::Running);
        assert_eq!(at_the_end(app), (Some(0.02), "step 2 of 9".into()));
    }
}
