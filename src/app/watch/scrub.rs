//! The step that the heatmap shows: the live one, or an earlier one; and the one that it is compared with.

use super::history::Place;
use crate::app::action::Action;
use crate::app::update::toast;
use crate::app::{App, Measure, Scale, Selection, grid};
use crate::run::event::Modules;

/// Seconds between two steps while it plays: four a second.
const BEAT: f64 = 0.25;

/// A state of the matrices and where it belongs.
#[derive(Debug, Clone, PartialEq)]
pub struct Shown {
    /// The step.
    pub place: Place,
    /// The state after it.
    pub modules: Modules,
}

/// Which step is on show.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Scrub {
    /// An earlier step; the live one if left out.
    pub shown: Option<Shown>,
    /// The step that the heatmap is compared with.
    pub reference: Option<Shown>,
    /// The last step of the stages before, while this one has no steps at all.
    pub past: Option<Shown>,
    /// When the next step is due, while it plays.
    next: Option<f64>,
}

impl Scrub {
    /// Whether it plays.
    pub fn plays(&self) -> bool {
        self.next.is_some()
    }

    /// Whether the next step is due.
    pub fn is_due(&self, now: f64) -> bool {
        self.next.is_some_and(|next| next <= now)
    }
}

/// Where the live step is among those kept: behind the last one before the first of a stage that has steps, and where an
/// earlier one is the result.
fn live(app: &App) -> usize {
    let count = app.watch.history.len();
    let is_last = app.modules.is_some() || app.watch.scrub.past.is_some();
    if is_last && app.result().is_none() { count.saturating_sub(1) } else { count }
}

/// A stage begins: one without steps shows what the last one with steps ended with.
pub fn begin(app: &mut App, steps: usize) {
    let history = &app.watch.history;
    let newest = history.len().checked_sub(1).filter(|_| steps == 0);
    let shown = |at: usize| Some(Shown { place: history.place(at)?, modules: history.modules(at)? });
    app.watch.scrub.past = newest.and_then(shown);
}

/// The index of the step on show.
pub fn index(app: &App) -> usize {
    app.watch.scrub.shown.as_ref().map_or_else(|| live(app), |shown| app.watch.history.index(shown.place))
}

/// Shows the step at an index; at the live one and beyond, what comes.
fn show(app: &mut App, to: usize) {
    let scrub = &mut app.watch.scrub;
    scrub.shown = match (app.watch.history.place(to), app.watch.history.modules(to)) {
        (Some(place), Some(modules)) => Some(Shown { place, modules }),
        _ => None,
    };
    if to >= live(app) {
        app.watch.scrub.shown = None;
        app.watch.scrub.next = None;
    }
}

/// Shows the last step of a stage that is kept.
pub(super) fn show_end(app: &mut App, stage: usize) {
    if stage == app.stage.index && app.result().is_some() {
        // It ended with its best step.
        app.watch.scrub.shown = None;
        return;
    }
    let to = app.watch.history.index(Place { stage, step: usize::MAX });
    if app.watch.history.place(to).is_some_and(|place| place.stage == stage) {
        show(app, to);
    }
}

fn back(app: &mut App, by: usize) {
    app.watch.scrub.next = None;
    let at = index(app);
    if app.watch.history.is_empty() || at == 0 {
        toast(app, "there is no earlier step of the heatmap");
        return;
    }
    show(app, at.saturating_sub(by));
}

/// The clock: shows the next step when it is due.
pub fn tick(app: &mut App, now: f64) {
    let Some(next) = app.watch.scrub.next.filter(|next| *next <= now) else { return };
    // A screen that slept does not race after what it missed.
    app.watch.scrub.next = Some(if now - next < BEAT { next + BEAT } else { now + BEAT });
    let to = index(app) + 1;
    show(app, to);
}

fn play(app: &mut App) {
    if app.watch.scrub.next.take().is_some() {
        return;
    }
    if app.watch.history.len() < 2 {
        toast(app, "there are no steps of the heatmap to play yet");
        return;
    }
    if app.watch.scrub.shown.is_none() {
        // From the end it starts again, with the first step of the newest stage that pruned.
        let starts = app.watch.history.stage_starts();
        let start = starts.into_iter().rev().find(|s| s + 1 < app.watch.history.len()).unwrap_or(0);
        show(app, start);
    }
    app.watch.scrub.next = Some(app.clock + BEAT);
}

/// Leaves the comparison with a step.
pub fn leave(app: &mut App) {
    app.watch.scrub.reference = None;
}

/// Marks the step on show as the one to compare with, or leaves the comparison.
fn compare(app: &mut App) {
    if app.watch.scrub.reference.take().is_some() {
        return;
    }
    let place = |step| Place { stage: app.stage.index, step };
    let live = app.drafted().map(|modules| Shown { place: place(modules.step), modules: modules.clone() });
    let marked = app.watch.scrub.shown.clone().or(live).or_else(|| app.watch.scrub.past.clone());
    if let Some(marked) = &marked {
        let step = marked.place.step;
        toast(app, format!("the heatmap shows the change since step {step}: [ and ] choose the other step, D leaves"));
    } else {
        toast(app, "no step is on show: there is nothing to compare with");
    }
    app.watch.scrub.reference = marked;
}

/// An action of this part.
pub fn act(app: &mut App, action: Action) {
    match action {
        Action::StepBack => back(app, 1),
        Action::TenBack => back(app, 10),
        Action::StepOn | Action::TenOn if app.is_live() => toast(app, "there is no later step of the heatmap"),
        Action::StepOn | Action::TenOn => {
            app.watch.scrub.next = None;
            let to = index(app) + if action == Action::StepOn { 1 } else { 10 };
            show(app, to);
        }
        Action::Play => play(app),
        Action::Live => {
            app.watch.scrub.shown = None;
            app.watch.scrub.next = None;
        }
        Action::Compare => compare(app),
        _ => {}
    }
}

/// Other matrices than before: nothing of the past fits.
pub fn forget(app: &mut App) {
    app.watch.scrub = Scrub::default();
}

impl App {
    /// The state that the heatmap shows: an earlier step's or the live one, which of a finished run is its result; in a
    /// stage without steps the last one.
    pub fn shown(&self) -> Option<&Modules> {
        let scrub = &self.watch.scrub;
        let [shown, past] = [&scrub.shown, &scrub.past].map(|s| s.as_ref().map(|s| &s.modules));
        shown.or(self.drafted()).or(past)
    }

    /// The step that the heatmap shows because the stage has none.
    pub fn past(&self) -> Option<&Shown> {
        self.watch.scrub.past.as_ref().filter(|_| self.is_live() && self.modules.is_none())
    }

    /// Whether the heatmap shows what is now, so that requests and their marks belong there.
    pub fn is_live(&self) -> bool {
        self.watch.scrub.shown.is_none()
    }

    /// A measure of the step on show.
    pub fn shown_grid(&self, measure: Measure, selection: Selection) -> Option<grid::Grid> {
        if self.is_live() && self.modules.is_some() {
            return self.grid(measure, selection);
        }
        Some(grid::Grid::new(self.started.as_ref()?, self.shown()?, measure, selection))
    }

    /// Whether the heatmap shows a difference: to another step, or to another run.
    pub fn is_difference(&self) -> bool {
        self.watch.scrub.reference.is_some() || self.watch.others.base.is_some()
    }

    /// How a measure of the step on show differs from that of the other step or run, if there is one; of a run that is
    /// still being read nothing is known.
    pub fn change_grid(&self, measure: Measure, selection: Selection) -> Option<grid::Grid> {
        let (reference, base) = (&self.watch.scrub.reference, &self.watch.others.base);
        let then = match (reference, base) {
            (Some(step), _) => Some(&step.modules),
            (None, Some(base)) => base.modules.as_ref(),
            (None, None) => return None,
        };
        let then = then.map_or(&[][..], |then| measure.column(then));
        let pairs = measure.column(self.shown()?).iter().zip(then);
        let change = pairs.map(|(now, then)| Some((*now)? - (*then)?));
        Some(grid::Grid::of(self.started.as_ref()?, change, selection))
    }

    /// What the heatmap's colours stand for: the live step's range, with what a draft would bring; all steps' while an
    /// earlier one is on show, so that their colours compare.
    pub fn shown_scale(&self, measure: Measure) -> Scale {
        if !self.is_live() {
            return self.watch.ranges.of(measure);
        }
        let expected = self.ratios.expected(self, measure).unwrap_or_default();
        // The scales follow the last steps.
        let result = self.result().map_or(&[][..], |modules| measure.column(modules));
        self.scales.of(measure).widened(measure, result).widened(measure, &expected)
    }

    /// The range around zero that holds every module's change.
    pub fn change_scale(&self, measure: Measure) -> Scale {
        let grid = self.change_grid(measure, Selection::default());
        let all = grid.iter().flat_map(|g| g.cells.iter().flatten().flatten());
        Scale::around_zero(all.fold(0.0, |most: f32, v| most.max(v.abs())))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::app::Message;
    use crate::app::update::update;
    use crate::module::{Factor, ModuleId, Projection};
    use crate::run::RunState;
    use crate::run::event::{Event, EventBody, MatrixInfo, Stage, Started};

    fn events(bodies: Vec<EventBody>) -> Message {
        let at = |(i, body)| Event { v: 1, seq: i as u64, t: 0.0, body };
        let events = bodies.into_iter().enumerate().map(at).collect();
        Message::Run { events, state: RunState::Running, caught_up: true }
    }

    fn stage(index: usize) -> EventBody {
        EventBody::Stage(Stage {
            index,
            of: 3,
            method: format!("m{index}"),
            steps: 40,
            prunes: true,
            ..Stage::default()
        })
    }

    fn modules(step: usize) -> EventBody {
        EventBody::Modules(Modules { step, sparsity: vec![Some(step as f32 / 100.0)], ..Modules::default() })
    }

    /// Stage 0 with steps 1 to 5, stage 1 with steps 1 to 20.
    fn app() -> App {
        let mut app = App::new("x", false);
        let module = ModuleId::new(0, Projection::QProj);
        let matrices = vec![MatrixInfo { module, adapter: 0, factor: Factor::A, rows: 2, cols: 2 }];
        let mut bodies = vec![EventBody::Started(Box::new(Started { layers: 1, matrices, ..Started::default() }))];
        bodies.push(stage(0));
        bodies.extend((1..=5).map(modules));
        bodies.push(stage(1));
        bodies.extend((1..=20).map(modules));
        update(&mut app, events(bodies));
        app.measure = Measure::Sparsity;
        app.measure_chosen = true;
        app
    }

    fn press(app: &mut App, keys: &[&str]) {
        for key in keys {
            update(app, Message::Key((*key).into()));
        }
    }

    fn place(app: &App) -> Option<(usize, usize)> {
        app.watch.scrub.shown.as_ref().map(|s| (s.place.stage, s.place.step))
    }

    #[test]
    fn time_goes_back_across_stages_and_on_to_what_is_live() {
        let mut app = app();
        press(&mut app, &["["]);
        assert_eq!((place(&app), app.shown().unwrap().step), (Some((1, 19)), 19));
        press(&mut app, &["{", "{"]);
        assert_eq!(place(&app), Some((0, 4)));
        press(&mut app, &["{"]);
        assert_eq!(place(&app), Some((0, 1)));
        press(&mut app, &["}", "]"]);
        assert_eq!(place(&app), Some((1, 7)));
        // News do not move it.
        update(&mut app, events(vec![modules(21)]));
        assert_eq!((place(&app), app.modules.as_ref().unwrap().step), (Some((1, 7)), 21));
        press(&mut app, &["backspace"]);
        assert_eq!(app.shown().unwrap().step, 21);
        press(&mut app, &["[", "]"]);
        assert!(app.is_live());
        press(&mut app, &["]", "}"]);
        assert!(app.is_live() && app.toast.as_ref().unwrap().0.contains("no later step"));
        press(&mut app, &["{", "{", "{", "["]);
        assert_eq!(place(&app), Some((0, 1)));
        assert!(app.toast.as_ref().unwrap().0.contains("no earlier step"));
    }

    #[test]
    fn a_stage_without_states_has_those_of_the_stages_before() {
        let mut app = app();
        update(&mut app, events(vec![stage(2)]));
        assert!(app.shown().is_none());
        press(&mut app, &["["]);
        assert_eq!(place(&app), Some((1, 20)));
        press(&mut app, &["]"]);
        assert!(app.is_live());
        let mut empty = App::new("x", false);
        press(&mut empty, &["[", "]", "{", " ", "D", "backspace"]);
        assert!(empty.toast.is_some() && empty.is_live() && !empty.watch.scrub.plays());
    }

    #[test]
    fn a_stage_without_steps_shows_how_the_last_one_ended() {
        let mut app = app();
        update(&mut app, events(vec![EventBody::Stage(Stage { index: 2, of: 3, ..Stage::default() })]));
        assert_eq!((app.shown().unwrap().step, app.is_live(), app.modules.is_none()), (20, true, true));
        assert_eq!(app.step_label(), "step 20 of 40 of stage 2");
        let grid = app.shown_grid(Measure::Sparsity, Selection::default()).unwrap();
        assert_eq!(grid.module(app.module()), Some(0.2));
        // The same step is not shown twice.
        press(&mut app, &["["]);
        assert_eq!(place(&app), Some((1, 19)));
        press(&mut app, &["D", "]"]);
        let change = app.change_grid(Measure::Sparsity, Selection::default()).unwrap().module(app.module()).unwrap();
        assert!(app.is_live() && (change - 0.01).abs() < 1e-6);
        press(&mut app, &["D", "D"]);
        assert_eq!(app.watch.scrub.reference.as_ref().unwrap().place, Place { stage: 1, step: 20 });
        // There is nothing to edit, and it goes when a stage trains again.
        let effects = update(&mut app, Message::Key("+".into()));
        assert!(effects.is_empty() && app.ratios.draft.is_empty() && app.toast.is_some());
        update(&mut app, events(vec![stage(3)]));
        assert!(app.shown().is_none());
    }

    #[test]
    fn it_plays_by_the_clock_until_it_is_live() {
        let mut app = app();
        update(&mut app, Message::Tick(100.0));
        press(&mut app, &[" "]);
        assert_eq!((place(&app), app.watch.scrub.plays()), (Some((1, 1)), true));
        update(&mut app, Message::Tick(100.1));
        assert_eq!(place(&app), Some((1, 1)));
        update(&mut app, Message::Tick(100.3));
        update(&mut app, Message::Tick(100.6));
        assert_eq!(place(&app), Some((1, 3)));
        press(&mut app, &["space"]);
        update(&mut app, Message::Tick(110.0));
        assert_eq!((place(&app), app.watch.scrub.plays()), (Some((1, 3)), false));
        press(&mut app, &[" "]);
        for i in 0..40 {
            update(&mut app, Message::Tick(111.0 + 0.25 * f64::from(i)));
        }
        assert!(app.is_live() && !app.watch.scrub.plays());
    }

    #[test]
    fn in_a_replay_that_stands_toasts_end_and_steps_play() {
        let mut app = app();
        app.looks.replay = Some(8.0);
        update(&mut app, Message::Tick(1000.0));
        update(&mut app, Message::Told(50.0));
        assert_eq!((app.clock, app.now), (1000.0, 50.0));
        update(&mut app, Message::Toast("saved".into()));
        press(&mut app, &[" "]);
        assert!(app.watch.scrub.plays());
        for (clock, toasts) in [(1004.0, true), (1005.5, false)] {
            update(&mut app, Message::Tick(clock));
            update(&mut app, Message::Told(50.0));
            assert_eq!(app.toast.is_some(), toasts, "{clock}");
        }
        assert_eq!(place(&app), Some((1, 3)));
    }

    #[test]
    fn the_change_is_that_from_the_marked_step() {
        let mut app = app();
        let module = app.module();
        press(&mut app, &["[", "[", "D"]);
        let change =
            |app: &App| app.change_grid(Measure::Sparsity, Selection::default()).unwrap().module(module).unwrap();
        assert_eq!(change(&app), 0.0);
        press(&mut app, &["["]);
        assert!((change(&app) + 0.01).abs() < 1e-6);
        press(&mut app, &["backspace"]);
        assert!((change(&app) - 0.02).abs() < 1e-6);
        let scale = app.change_scale(Measure::Sparsity);
        assert!(scale.low == -scale.high && scale.high >= 0.02);
        press(&mut app, &["D"]);
        assert!(app.change_grid(Measure::Sparsity, Selection::default()).is_none());
    }

    #[test]
    fn ratios_are_not_changed_on_a_step_that_is_past() {
        let mut app = app();
        press(&mut app, &["["]);
        let effects = update(&mut app, Message::Key("+".into()));
        assert!(effects.is_empty() && app.toast.as_ref().is_some_and(|t| t.0.contains("backspace")), "{:?}", app.toast);
    }

    #[test]
    fn other_matrices_have_another_history() {
        let mut app = app();
        press(&mut app, &["[", "D"]);
        update(&mut app, events(vec![EventBody::Started(Box::new(Started { layers: 3, ..Started::default() }))]));
        assert!(app.watch.history.is_empty() && app.is_live() && app.watch.scrub.reference.is_none());
    }
}
