//! Keys of the picker, and what of another run shows.
#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;
use crate::app::update::update;
use crate::app::{Charts, Measure, Message, Selection};
use crate::module::{Factor, ModuleId, Projection};
use crate::run::course::Means;
use crate::run::event::{AdapterInfo, Dev, Event, EventBody, MatrixInfo, Step};
use crate::run::listing::Summary;

fn press(app: &mut App, keys: &[&str]) -> Vec<Effect> {
    keys.iter().flat_map(|key| update(app, Message::Key((*key).into()))).collect()
}

fn started(adapters: &[&str], factors: &[(usize, Factor)]) -> Started {
    let matrix = |(adapter, factor): &(usize, Factor)| MatrixInfo {
        module: ModuleId::new(0, Projection::QProj),
        adapter: *adapter,
        factor: *factor,
        rows: 2,
        cols: 2,
    };
    Started {
        layers: 1,
        adapters: adapters.iter().map(|name| AdapterInfo { name: (*name).into(), ..AdapterInfo::default() }).collect(),
        matrices: factors.iter().map(matrix).collect(),
        ..Started::default()
    }
}

fn stage(index: usize, method: &str, steps: usize) -> Stage {
    Stage { index, of: 2, method: method.into(), steps, prunes: true, ..Stage::default() }
}

/// A run with two adapters in the first step of its second stage, and the other runs that its picker was told of.
fn app() -> App {
    let mut app = App::new("own", false);
    let started = started(&["games", "net"], &[(0, Factor::A), (1, Factor::B)]);
    let modules = Modules { step: 1, sparsity: vec![Some(0.5), Some(0.75)], ..Modules::default() };
    let bodies = [
        EventBody::Started(Box::new(started)),
        EventBody::Stage(stage(1, "tune", 10)),
        EventBody::Step(Step { step: 1, loss: 3.0, ..Step::default() }),
        EventBody::Modules(modules),
    ];
    let event = |(i, body)| Event { v: 1, seq: i as u64, t: 0.0, body };
    let events = bodies.into_iter().enumerate().map(event).collect();
    update(&mut app, Message::Run { events, state: RunState::Running, caught_up: true });
    (app.measure, app.measure_chosen) = (Measure::Sparsity, true);
    app
}

fn list(app: &mut App, names: &[&str]) -> Vec<Effect> {
    let run = |name: &&str| Summary { name: (*name).into(), path: format!("/r/{name}").into(), ..Summary::default() };
    update(app, Message::Runs(names.iter().map(run).collect()))
}

fn slice(told: Vec<Told>, matrices: Option<Matrices>) -> Slice {
    Slice { told, state: RunState::Finished, matrices, caught_up: true, read: 1.0 }
}

fn step(step: usize, loss: f64) -> Told {
    Told::Step(Step { step, loss, ..Step::default() })
}

/// A run of two stages; the matrices of its adapters stand in another order.
fn other() -> Other {
    let mut other = Other::default();
    let state = Matrices {
        started: started(&["net", "games"], &[(0, Factor::A), (1, Factor::A)]),
        stage: stage(1, "last", 20),
        modules: Modules { step: 20, sparsity: vec![Some(0.125), Some(0.25)], ..Modules::default() },
    };
    let means = Means { step: 2, sparsity: Some(0.25), ..Means::default() };
    let told = vec![
        Told::Stage(stage(0, "tune", 20)),
        step(1, 4.0),
        Told::Dev(Dev { step: 1, loss: 5.0, ..Dev::default() }),
        Told::Means(means),
        Told::Stage(stage(1, "last\u{1b}", 20)),
        step(1, 2.0),
        step(30, 1.0),
    ];
    assert!(other.take(slice(told, Some(state))));
    other
}

fn follow(paths: &[&str]) -> Effect {
    Effect::Follow(paths.iter().map(PathBuf::from).collect())
}

#[test]
fn several_runs_are_laid_over_the_charts_and_taken_off_again() {
    let mut app = app();
    assert_eq!(press(&mut app, &["2", "O"]), [Effect::ListRuns]);
    list(&mut app, &["a", "b", "c", "d", "e\u{1b}"]);
    assert_eq!(press(&mut app, &["enter"]), [follow(&["/r/a"])]);
    // It stays open, the cursor where it was, and finds by letters.
    assert_eq!(press(&mut app, &["down", "enter"]), [follow(&["/r/a", "/r/b"])]);
    let Some(Overlay::Others(choice)) = &app.overlay else { panic!("{:?}", app.overlay) };
    assert!(choice.picker.at == 1 && choice.picker.found[1].detail.starts_with("on show as 2"), "{choice:?}");
    press(&mut app, &["up", "enter", "ctrl-u", "c", "enter", "ctrl-u"]);
    let shown: Vec<_> = app.watch.others.curves.iter().map(|run| (run.name.as_str(), run.place)).collect();
    assert_eq!(shown, [("b", 1), ("c", 0)], "b keeps its colour, c takes the free one");
    press(&mut app, &["home", "up", "up", "up", "up", "enter", "ctrl-u", "d", "enter"]);
    assert!(press(&mut app, &["ctrl-u", "e", "enter"]).is_empty());
    let Some(Overlay::Others(choice)) = &app.overlay else { panic!("{:?}", app.overlay) };
    assert!(choice.picker.note.as_ref().is_some_and(|note| note.contains("4 runs")), "{choice:?}");
    assert!(choice.picker.found[0].label == "e\\u{1b}", "{choice:?}");
    press(&mut app, &["esc"]);
    assert!(app.overlay.is_none() && app.watch.others.curves.len() == MOST);
    // An Enter that comes before the list counts when it is there.
    assert_eq!(press(&mut app, &["O", "c", "enter"]), [Effect::ListRuns]);
    assert_eq!(list(&mut app, &["a", "b", "c", "d"]), [follow(&["/r/a", "/r/b", "/r/d"])]);
    press(&mut app, &["esc"]);
    // A paste is a text, and a folder without other runs is said.
    press(&mut app, &["O"]);
    update(&mut app, Message::Paste("qb\nx".into()));
    assert!(matches!(&app.overlay, Some(Overlay::Others(choice)) if choice.picker.input.text() == "qb"));
    update(&mut app, Message::Runs(Vec::new()));
    assert!(app.overlay.is_none() && app.toast.as_ref().is_some_and(|(text, _)| text.contains("no other run")));
}

#[test]
fn the_curves_are_those_of_the_same_method_or_the_last_ones() {
    let mut app = app();
    press(&mut app, &["2", "O"]);
    list(&mut app, &["a"]);
    press(&mut app, &["enter", "esc"]);
    assert!(Charts::beside(&app)[0].1.is_none());
    update(&mut app, Message::Other("/r/a".into(), Arc::new(other())));
    update(&mut app, Message::Other("/r/nobody".into(), Arc::new(other())));
    let train = |app: &App| Charts::beside(app)[0].1.map(|c| c.train.points().to_vec());
    assert_eq!(train(&app), Some(vec![(1.0, 4.0)]));
    assert_eq!(Charts::end(&app), 10.0);
    // The quantity that another stage alone has, and one that none has.
    app.watch.charts.quantity = Quantity::Sparsity;
    assert_eq!(Charts::beside(&app)[0].1.and_then(|c| Quantity::Sparsity.of(c)?.last()), Some(25.0));
    app.watch.charts.quantity = Quantity::Flips;
    assert!(Charts::beside(&app)[0].1.is_none());
    // Another method here: the last stage there, and the chart reaches as far as it.
    app.watch.charts.quantity = Quantity::Loss;
    let event = Event { v: 1, seq: 9, t: 0.0, body: EventBody::Stage(stage(2, "new", 10)) };
    update(&mut app, Message::Run { events: vec![event], state: RunState::Running, caught_up: true });
    assert_eq!(train(&app), Some(vec![(1.0, 2.0), (30.0, 1.0)]));
    assert_eq!(Charts::end(&app), 30.0);
    assert!(!Charts::beside(&app)[0].1.unwrap().stage.method.contains('\u{1b}'));
}

#[test]
fn a_run_that_is_resumed_goes_on_with_its_curves_and_old_stages_are_forgotten() {
    let mut other = other();
    other.take(slice(vec![Told::Stage(stage(1, "last\u{1b}", 20)), step(30, 0.5), step(31, 0.25)], None));
    let points = |other: &Other| other.curves("last\\u{1b}", Quantity::Loss).unwrap().train.points().to_vec();
    assert_eq!(points(&other), [(1.0, 2.0), (30.0, 0.5), (31.0, 0.25)]);
    assert!(!other.take(slice(Vec::new(), None)), "nothing new is no change");
    for index in 2..40 {
        other.take(slice(vec![Told::Stage(stage(index, "more", 5)), step(1, 1.0)], None));
    }
    assert_eq!(other.stages.len(), STAGES);
}

#[test]
fn the_heatmap_shows_the_difference_to_a_run_by_name_and_factor() {
    let mut app = app();
    let module = ModuleId::new(0, Projection::QProj);
    let value = |app: &App, adapter| {
        let selection = Selection { adapter, factor: None };
        app.change_grid(Measure::Sparsity, selection).and_then(|grid| grid.module(module))
    };
    // A step is compared with first.
    press(&mut app, &["1", "D"]);
    assert_eq!(value(&app, None), Some(0.0));
    assert_eq!(press(&mut app, &["O"]), [Effect::ListRuns]);
    list(&mut app, &["a", "b"]);
    assert_eq!(press(&mut app, &["enter"]), [follow(&["/r/a"])]);
    assert!(app.overlay.is_none() && app.watch.scrub.reference.is_none() && app.is_difference());
    assert_eq!(value(&app, None), None, "nothing is known of it yet");
    update(&mut app, Message::Other("/r/a".into(), Arc::new(other())));
    // games A is 0.5 here and 0.25 there; net B is not there.
    assert_eq!((value(&app, Some(0)), value(&app, Some(1)), value(&app, None)), (Some(0.25), None, Some(0.25)));
    // A worker that starts with other matrices.
    let again = EventBody::Started(Box::new(started(&["net"], &[(0, Factor::A)])));
    let modules = EventBody::Modules(Modules { step: 2, sparsity: vec![Some(1.0)], ..Modules::default() });
    let events = [again, modules].map(|body| Event { v: 1, seq: 9, t: 0.0, body }).to_vec();
    update(&mut app, Message::Run { events, state: RunState::Running, caught_up: true });
    assert_eq!(value(&app, None), Some(0.875));
    // The key of differences leaves, and so does picking it again.
    assert_eq!(press(&mut app, &["D"]), [follow(&[])]);
    assert!(!app.is_difference());
    press(&mut app, &["O"]);
    list(&mut app, &["a", "b"]);
    press(&mut app, &["down", "enter", "O"]);
    list(&mut app, &["a", "b"]);
    assert_eq!(press(&mut app, &["down", "enter"]), [follow(&[])]);
    assert!(app.watch.others.base.is_none());
}
