//! Keys on a run of four layers, two adapters and three projections: the draft, and what is sent.

use super::*;
use crate::app::update::update;
use crate::app::{Measure, Message, Overlay, Pane};
use crate::module::Projection;
use crate::recipe::ratios::Ratios as Compiled;
use crate::run::RunState;
use crate::run::control::Command;
use crate::run::event::{AdapterInfo, ControlOutcome, Event, EventBody, MatrixInfo, Modules, Stage, Started};
use crate::run::inquiry::Question;
use crate::run::what_if::{Change, Progress, Summary, WhatIf};

const LAYERS: usize = 4;

fn started(layers: usize, adapters: &[&str]) -> Started {
    let mut matrices = Vec::new();
    for layer in 0..layers {
        for projection in [Projection::QProj, Projection::VProj, Projection::UpProj] {
            for adapter in 0..adapters.len() {
                for factor in [Factor::A, Factor::B] {
                    let module = ModuleId::new(layer, projection);
                    matrices.push(MatrixInfo { module, adapter, factor, rows: 8, cols: 125 });
                }
            }
        }
    }
    let adapters = adapters.iter().map(|name| AdapterInfo { name: (*name).into(), ..AdapterInfo::default() });
    Started { layers, adapters: adapters.collect(), matrices, ..Started::default() }
}

fn modules(ratios: &[f64]) -> Modules {
    let n = ratios.len();
    // Later matrices are more concentrated: they lose less.
    let quantiles = |at: usize| {
        let flat = 1.0 - at as f32 / n as f32;
        Some([0.1 * flat, 0.3 + 0.5 * flat, 2.0])
    };
    Modules {
        step: 1,
        ratio: ratios.iter().map(|r| Some(*r as f32)).collect(),
        sparsity: ratios.iter().map(|r| Some(*r as f32)).collect(),
        importance: vec![Some(1.0); n],
        quantiles: (0..n).map(quantiles).collect(),
        retained: vec![None; n],
        flips: vec![None; n],
        full: Vec::new(),
    }
}

pub(super) fn tell(app: &mut App, bodies: Vec<EventBody>, state: RunState) {
    let event = |body| Event { v: 1, seq: 0, t: 0.0, body };
    update(app, Message::Run { events: bodies.into_iter().map(event).collect(), state, caught_up: true });
}

pub(super) fn app() -> App {
    let mut app = App::new("x", false);
    let started = started(LAYERS, &["games", "net"]);
    let n = started.matrices.len();
    let stage = Stage { of: 1, prunes: true, steps: 9, adapters: vec![0, 1], ..Stage::default() };
    let bodies = vec![
        EventBody::Started(Box::new(started)),
        EventBody::Stage(stage),
        EventBody::Modules(modules(&vec![0.5; n])),
    ];
    tell(&mut app, bodies, RunState::Running);
    app
}

/// Presses keys, named or single letters; the effects of the last.
pub(super) fn press(app: &mut App, keys: &str) -> Vec<Effect> {
    let mut last = Vec::new();
    for key in keys.split(' ') {
        last = update(app, Message::Key(key.into()));
    }
    last
}

fn type_in(app: &mut App, text: &str) {
    for c in text.chars() {
        update(app, Message::Key(c.to_string()));
    }
}

pub(super) fn draft(app: &App) -> Vec<(usize, f64)> {
    app.ratios.draft.changes().collect()
}

fn sent(effects: &[Effect]) -> Vec<Rule> {
    match effects {
        [Effect::Send(Command::SetRatios { rules })] => rules.clone(),
        other => panic!("{other:?}"),
    }
}

/// What the run has after the rules.
fn after(app: &App, before: &[f64], rules: &[Rule]) -> Vec<f64> {
    let compiled = Compiled::new(0.0, rules).unwrap();
    let started = app.started.as_ref().unwrap();
    let all = started.matrices.iter().zip(before);
    all.map(|(m, r)| compiled.ruled(m.module, &started.adapters[m.adapter].name, m.factor).unwrap_or(*r)).collect()
}

#[test]
fn keys_edit_a_draft_and_enter_sends_it_as_one_rule() {
    let mut app = app();
    press(&mut app, "l a f +");
    assert_eq!(draft(&app), [(12, 0.55)]);
    press(&mut app, "+ -");
    assert_eq!(draft(&app), [(12, 0.55)]);
    assert_eq!(app.grid(Measure::Ratio, app.selection).unwrap().cells[1][0], Some(0.55));
    let rules = sent(&press(&mut app, "enter"));
    assert_eq!(rules.len(), 1);
    assert_eq!((rules[0].modules.as_str(), rules[0].adapter.as_str()), ("layers.1.self_attn.q_proj", "games"));
    assert_eq!((rules[0].factor, rules[0].ratio), (Some(Factor::A), 0.55));
    assert!(app.ratios.draft.is_empty() && app.pending.get(12) == Some(0.55));
    // Back to where the run's are: no draft.
    press(&mut app, "+ -");
    assert!(app.ratios.draft.is_empty());
    assert!(press(&mut app, "enter").is_empty());
    assert!(app.toast.as_ref().unwrap().0.contains("no draft"), "{:?}", app.toast);
}

#[test]
fn the_map_shows_what_is_expected_of_a_draft() {
    let mut app = app();
    let n = app.started.as_ref().unwrap().matrices.len();
    let now = Modules {
        sparsity: vec![Some(0.5); n],
        importance: vec![Some(1.0); n],
        quantiles: vec![Some([0.1, 0.7, 2.2]); n],
        retained: vec![Some(0.9); n],
        ..modules(&vec![0.5; n])
    };
    tell(&mut app, vec![EventBody::Modules(now.clone())], RunState::Running);
    press(&mut app, "l a f + + +");
    assert_eq!(draft(&app), [(12, 0.65)]);
    let matrix = &app.started.as_ref().unwrap().matrices[12];
    let entries = matrix.rows as f32 * matrix.cols as f32;
    let cells = |measure| app.grid(measure, app.selection).unwrap().cells;
    assert_eq!(cells(Measure::Sparsity)[1][0], Some((0.65 * entries).round() / entries));
    let retained = cells(Measure::Retained)[1][0].unwrap();
    assert!((0.7..0.9).contains(&retained), "{retained}");
    assert!(app.shown_scale(Measure::Retained).low <= retained);
    // What does not follow from ratios, and what has no other ratio, is as it was measured.
    assert_eq!((cells(Measure::Importance)[1][0], cells(Measure::Retained)[0][0]), (Some(1.0), Some(0.9)));
    // Half-way of a schedule half of the ratio is what would be pruned now.
    let half = Modules { full: vec![Some(0.5); n], ratio: vec![Some(0.25); n], ..now };
    tell(&mut app, vec![EventBody::Modules(half)], RunState::Running);
    let cells = |measure| app.grid(measure, app.selection).unwrap().cells;
    assert_eq!(cells(Measure::Sparsity)[1][0], Some((0.325 * entries).round() / entries));
    assert_eq!(cells(Measure::Ratio)[1][0], Some(0.65));
}

#[test]
fn what_the_run_refuses_or_never_gets_is_a_draft_again() {
    let mut app = app();
    press(&mut app, "+ enter");
    update(&mut app, Message::NotSent("disk full".into()));
    assert_eq!(draft(&app).len(), 4);
    press(&mut app, "enter");
    update(&mut app, Message::Sent { command: "set_ratios".into(), id: "1".into() });
    let answer = |ok| EventBody::Control(ControlOutcome { id: "1".into(), ok, ..ControlOutcome::default() });
    tell(&mut app, vec![answer(false)], RunState::Running);
    assert!(draft(&app).len() == 4 && app.pending.is_empty());
    press(&mut app, "enter");
    update(&mut app, Message::Sent { command: "set_ratios".into(), id: "1".into() });
    let mut ratios = vec![0.5; app.started.as_ref().unwrap().matrices.len()];
    ratios[..4].fill(0.55);
    tell(&mut app, vec![answer(true), EventBody::Modules(modules(&ratios))], RunState::Running);
    assert!(draft(&app).is_empty() && app.pending.is_empty());
    // Undo goes back behind what was sent.
    press(&mut app, "u");
    assert_eq!(draft(&app), [(0, 0.5), (1, 0.5), (2, 0.5), (3, 0.5)]);
}

#[test]
fn a_refusal_gives_back_what_it_was_of_and_nothing_else() {
    let mut app = app();
    press(&mut app, "+ enter");
    update(&mut app, Message::Sent { command: "set_ratios".into(), id: "1".into() });
    press(&mut app, "l - enter");
    update(&mut app, Message::Sent { command: "set_ratios".into(), id: "2".into() });
    assert!(draft(&app).is_empty());
    let refused =
        |id: &str| EventBody::Control(ControlOutcome { id: id.into(), ok: false, ..ControlOutcome::default() });
    tell(&mut app, vec![refused("1")], RunState::Running);
    assert_eq!(draft(&app), [(0, 0.55), (1, 0.55), (2, 0.55), (3, 0.55)]);
    tell(&mut app, vec![refused("2")], RunState::Running);
    assert_eq!(draft(&app)[4..], [(12, 0.45), (13, 0.45), (14, 0.45), (15, 0.45)]);
}

#[test]
fn under_a_schedule_the_full_ratios_are_edited() {
    let mut app = app();
    let n = app.started.as_ref().unwrap().matrices.len();
    // Half-way of a linear schedule.
    let half = Modules { full: vec![Some(0.5); n], ..modules(&vec![0.25; n]) };
    tell(&mut app, vec![EventBody::Modules(half)], RunState::Running);
    press(&mut app, "a f +");
    assert_eq!(draft(&app), [(0, 0.55)]);
    assert_eq!(app.grid(Measure::Ratio, app.selection).unwrap().cells[1][0], Some(0.5));
    assert!((forecast::of_draft(&app).unwrap().0.sparsity - 0.5).abs() < 1e-9);
    assert_eq!(sent(&press(&mut app, "enter"))[0].ratio, 0.55);
    // The step that has it: no edit is left.
    update(&mut app, Message::Sent { command: "set_ratios".into(), id: "1".into() });
    let answer = ControlOutcome { id: "1".into(), ok: true, ..ControlOutcome::default() };
    let mut full = vec![Some(0.5); n];
    full[0] = Some(0.55);
    let next = Modules { full, ..modules(&vec![0.3; n]) };
    tell(&mut app, vec![EventBody::Control(answer), EventBody::Modules(next)], RunState::Running);
    assert!(draft(&app).is_empty() && app.pending.is_empty());
    assert_eq!((app.present_ratio(0), app.present_ratio(1)), (Some(0.55), Some(0.5)));
}

#[test]
fn selections_are_rectangles_layers_projections_and_all() {
    let mut app = app();
    let count = |app: &App| targets(app).len();
    assert_eq!(count(&app), 4);
    press(&mut app, "v l j");
    assert_eq!(count(&app), 16);
    press(&mut app, "h k");
    assert_eq!(count(&app), 4);
    press(&mut app, "esc V");
    assert_eq!(count(&app), 12);
    press(&mut app, "l");
    assert_eq!(count(&app), 24);
    press(&mut app, "V");
    assert_eq!(count(&app), 16);
    press(&mut app, "j");
    assert_eq!(count(&app), 32);
    press(&mut app, "V ctrl-a f");
    assert_eq!(count(&app), 24);
    press(&mut app, "a +");
    assert_eq!(draft(&app).len(), 12);
    // Esc ends the selection first, then the draft, which undo brings back.
    press(&mut app, "esc");
    assert!(app.ratios.area.is_none() && draft(&app).len() == 12);
    press(&mut app, "esc");
    assert!(draft(&app).is_empty());
    press(&mut app, "u");
    assert_eq!(draft(&app).len(), 12);
    // Off the heatmap the keys mean nothing.
    press(&mut app, "2 +");
    assert_eq!((app.pane, draft(&app)[0].1), (Pane::Charts, 0.55));
}

#[test]
fn a_prompt_sets_adds_scales_and_says_what_it_would_bring() {
    let mut app = app();
    press(&mut app, "ctrl-a r");
    type_in(&mut app, "*0.9");
    let Some(Overlay::Prompt(prompt)) = &app.overlay else { panic!() };
    assert!(prompt.hint.starts_with("48 matrices: sparsity 45.0 %, retained "), "{}", prompt.hint);
    press(&mut app, "enter");
    assert!(draft(&app).len() == 48 && draft(&app).iter().all(|d| d.1 == 0.45));
    for (text, ratio) in [("+0.1", 0.55), ("-0.30", 0.25), ("0.5", 0.5), ("70%", 0.7), ("+9", 1.0)] {
        press(&mut app, "r");
        type_in(&mut app, text);
        press(&mut app, "enter");
        assert_eq!(super::ratio(&app, 0), Some(ratio), "{text}");
    }
    for bad in ["1.5", "x", "+", "0.5.5", "nan", "*-1", "1e-1"] {
        assert!(ask::Change::parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn a_rule_says_what_it_matches_and_refuses_to_match_nothing() {
    let mut app = app();
    press(&mut app, "R");
    type_in(&mut app, "layers.0-1.*.q_proj=0.8");
    let Some(Overlay::Prompt(prompt)) = &app.overlay else { panic!() };
    assert!(prompt.error.is_none() && prompt.hint.starts_with("8 matrices: "), "{prompt:?}");
    press(&mut app, "enter R");
    assert_eq!(draft(&app).len(), 8);
    type_in(&mut app, "layers.9.*=0.8");
    press(&mut app, "enter");
    let Some(Overlay::Prompt(prompt)) = &app.overlay else { panic!() };
    assert!(prompt.error.as_ref().unwrap().contains("matches no matrix"), "{prompt:?}");
    press(&mut app, "esc R");
    type_in(&mut app, "*.up_proj net B = 1");
    press(&mut app, "enter");
    assert_eq!(draft(&app).iter().filter(|d| d.1 == 1.0).count(), LAYERS);
    for bad in ["x", "layers.3-1.*=0.5", "layers.[=0.5", "a b c d=0.5", "*=2"] {
        assert!(ask::parse_rule(&app, bad).is_err(), "{bad}");
    }
}

#[test]
fn undo_and_redo_have_no_end() {
    let mut app = app();
    for _ in 0..300 {
        press(&mut app, "+ - l");
    }
    for _ in 0..600 {
        press(&mut app, "u");
    }
    assert!(app.ratios.draft.is_empty() && app.toast.is_none());
    press(&mut app, "u");
    assert!(app.toast.as_ref().unwrap().0.contains("no edit"));
    press(&mut app, "ctrl-r");
    assert_eq!(draft(&app).len(), 4);
    press(&mut app, "ctrl-r");
    assert_eq!(draft(&app).len(), 0);
}

#[test]
fn the_ratios_of_an_adapter_are_copied_to_another() {
    let mut app = app();
    press(&mut app, "y");
    assert!(app.toast.as_ref().unwrap().0.contains("chooses the adapter"));
    press(&mut app, "a V + esc y a Y");
    let all = draft(&app);
    assert_eq!((all.len(), app.adapter_label().as_str()), (12, "net"));
    assert!(all.iter().all(|d| d.1 == 0.55));
    let rules = sent(&press(&mut app, "enter"));
    assert_eq!(rules.len(), 1, "{rules:?}");
    assert_eq!((rules[0].modules.as_str(), rules[0].adapter.as_str()), ("layers.0.*", "*"));
}

#[test]
fn presets_keep_the_mean() {
    let mut app = app();
    for (down, mean) in [(1, 0.5), (2, 0.5), (3, 0.5), (4, 0.5)] {
        press(&mut app, "P");
        for _ in 0..down {
            press(&mut app, "j");
        }
        press(&mut app, "enter");
        assert!(!draft(&app).is_empty(), "{down}");
        let (_, then) = forecast::of_draft(&app).unwrap();
        assert!((then.sparsity - mean).abs() < 0.005, "{down}: {then:?}");
        if down == 4 {
            // The estimate is near the same everywhere.
            let modules = app.modules.as_ref().unwrap();
            let kept: Vec<f64> = (0..modules.ratio.len())
                .map(|at| {
                    let sketch = sketch::Sketch::new(&forecast::figures(modules, at).unwrap()).unwrap();
                    1.0 - sketch.lost(super::ratio(&app, at).unwrap())
                })
                .collect();
            let (low, high) = kept.iter().fold((1.0f64, 0.0f64), |(l, h), k| (l.min(*k), h.max(*k)));
            assert!(high - low < 0.02, "{low} {high}");
        }
        press(&mut app, "esc");
    }
    press(&mut app, "P j enter");
    assert_eq!((super::ratio(&app, 0), super::ratio(&app, 47)), (Some(0.3), Some(0.7)));
    assert_eq!(sent(&press(&mut app, "enter")).len(), LAYERS);
}

#[test]
fn rules_are_few_and_give_every_matrix_its_ratio() {
    let mut app = app();
    let n = app.started.as_ref().unwrap().matrices.len();
    let check = |app: &App, wanted: &[f64], before: Option<f64>, most: usize| {
        let started = app.started.as_ref().unwrap();
        let rules = rules::fewest(started, |_| before, |at| Some(wanted[at]));
        assert!(rules.len() <= most, "{rules:#?}");
        assert!(rules.iter().all(|r| r.validate().is_ok()));
        assert_eq!(after(app, &vec![before.unwrap_or(f64::NAN); n], &rules), wanted, "{rules:#?}");
    };
    check(&app, &vec![0.5; n], None, 1);
    check(&app, &vec![0.5; n], Some(0.5), 0);
    let mut hole = vec![0.7; n];
    hole[17] = 0.1;
    check(&app, &hole, Some(0.5), 2);
    let by_adapter: Vec<f64> = (0..n).map(|at| if at / 2 % 2 == 0 { 0.2 } else { 0.9 }).collect();
    check(&app, &by_adapter, None, 2);
    let scattered: Vec<f64> = (0..n).map(|at| f64::from((at * 7919 % 13) as u32) / 20.0).collect();
    check(&app, &scattered, None, n);
    check(&app, &scattered, Some(0.25), n);
    let singles: Vec<f64> = (0..n).map(|at| at as f64 / 100.0).collect();
    check(&app, &singles, None, n);
    // A name with characters of a glob stands for itself.
    if let Some(started) = &mut app.started {
        started.adapters[0].name = "a[1]*".into();
    }
    check(&app, &by_adapter, None, 2);
}

#[test]
fn sets_are_saved_whole_and_loaded_as_a_draft() {
    let mut app = app();
    press(&mut app, "V +");
    assert_eq!(press(&mut app, "w"), [Effect::Ratios(Order::List)]);
    type_in(&mut app, "night/1");
    press(&mut app, "enter");
    assert!(matches!(&app.overlay, Some(Overlay::Prompt(p)) if p.error.is_some()));
    press(&mut app, "backspace backspace 2");
    let saved = press(&mut app, "enter");
    let [Effect::Ratios(Order::Save { name, rules })] = &saved[..] else { panic!("{saved:?}") };
    assert_eq!((name.as_str(), rules.len()), ("night2", 2));
    assert_eq!(press(&mut app, "W"), [Effect::Ratios(Order::List)]);
    update(&mut app, Message::RatioSets(Vec::new()));
    assert!(app.overlay.is_none() && app.toast.as_ref().unwrap().0.contains("no saved sets"));
    press(&mut app, "esc esc W");
    assert!(app.ratios.draft.is_empty());
    let bad = Set { name: "bad".into(), rules: Err("a\u{1b}b".into()) };
    update(&mut app, Message::RatioSets(vec![bad, Set { name: name.clone(), rules: Ok(rules.clone()) }]));
    press(&mut app, "j enter");
    assert_eq!(draft(&app).len(), 12);
    press(&mut app, "w");
    update(&mut app, Message::RatioSets(vec![Set { name: name.clone(), rules: Ok(rules.clone()) }]));
    type_in(&mut app, "night2");
    assert!(matches!(&app.overlay, Some(Overlay::Prompt(p)) if p.hint.contains("replaces")));
}

#[test]
fn nothing_is_edited_read_only_or_before_pruning() {
    let mut app = app();
    app.read_only = true;
    let before = app.ratios.clone();
    press(&mut app, "+ - v V ctrl-a r R P u ctrl-r y Y w W enter");
    assert!(app.ratios == before && app.overlay.is_none());
    press(&mut app, "esc");
    assert!(app.toast.is_none());
    app.read_only = false;
    tell(&mut app, vec![EventBody::Stage(Stage { prunes: false, ..Stage::default() })], RunState::Running);
    press(&mut app, "ctrl-a + R P w");
    assert!(app.ratios.draft.is_empty() && app.overlay.is_none());
    assert!(app.toast.as_ref().unwrap().0.contains("not pruning yet"), "{:?}", app.toast);
}

#[test]
fn a_run_that_is_over_and_has_not_pruned_can_be_asked_what_pruning_would_do() {
    let mut app = app();
    let modules = app.modules.clone().unwrap();
    let unpruned = Modules { ratio: vec![None; modules.ratio.len()], ..modules };
    let stage = Stage { prunes: false, ..app.stage.clone() };
    tell(&mut app, vec![EventBody::Stage(stage), EventBody::Modules(unpruned)], RunState::Finished);
    press(&mut app, "ctrl-a +");
    let changes: Vec<(usize, f64)> = app.ratios.draft.changes().collect();
    assert!(!changes.is_empty() && changes.iter().all(|(_, ratio)| (*ratio - 0.05).abs() < 1e-9), "{changes:?}");
}

#[test]
fn a_run_that_is_over_can_still_be_drafted_on_and_saved_from() {
    let mut app = app();
    tell(&mut app, vec![], RunState::Finished);
    press(&mut app, "ctrl-a +");
    assert_eq!(draft(&app).len(), 48);
    // Nobody takes them any more: a new recipe does, whatever the old one's rules were.
    let effects = press(&mut app, "enter");
    let [Effect::SetUp(rules)] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!(rules.iter().map(|r| (r.modules.as_str(), r.ratio)).collect::<Vec<_>>(), [("*", 0.55)]);
    assert_eq!(draft(&app).len(), 48, "it is there when one comes back");
    press(&mut app, "w");
    assert!(matches!(app.overlay, Some(Overlay::Prompt(_))));
}

fn tick(app: &mut App, now: f64) -> Vec<Effect> {
    update(app, Message::Tick(now))
}

fn asked(effects: &[Effect]) -> Vec<Rule> {
    match effects {
        [Effect::Send(Command::WhatIf { rules, documents: 8, .. })] => rules.clone(),
        other => panic!("{other:?}"),
    }
}

/// Lets the clock ask what the draft does.
fn asks(app: &mut App, now: f64, id: &str) {
    tick(app, now);
    asked(&tick(app, now + 0.2));
    update(app, Message::Sent { command: "what_if".into(), id: id.into() });
}

/// An answer, measured at the step that the run is at.
fn said(request: &str, state: Progress, mean: f64) -> EventBody {
    let delta = Some(Change { mean, se: Some(0.5) });
    EventBody::WhatIf(Box::new(WhatIf { request: request.into(), state, step: 1, delta, ..WhatIf::default() }))
}

/// The rows of the open comparison.
fn kept(app: &App) -> Vec<menu::Item> {
    match &app.overlay {
        Some(Overlay::Ratios(menu)) if menu.compares() => menu.items.clone(),
        other => panic!("{other:?}"),
    }
}

/// Their names, with what they say of the loss.
fn losses(app: &App) -> Vec<String> {
    kept(app).iter().map(|item| format!("{} {}", item.label, item.kept.as_ref().unwrap().loss)).collect()
}

#[test]
fn a_draft_is_tried_once_it_has_been_quiet_and_a_newer_edit_takes_its_place() {
    let mut app = app();
    assert!(tick(&mut app, 100.0).is_empty());
    press(&mut app, "+");
    assert!(app.ratios.trial.is_due(100.0) && tick(&mut app, 100.0).is_empty(), "the clock starts");
    press(&mut app, "+");
    assert!(tick(&mut app, 100.14).is_empty() && !app.ratios.trial.is_due(100.2));
    let rules = asked(&tick(&mut app, 100.3));
    assert_eq!(rules.iter().map(|r| r.ratio).collect::<Vec<_>>(), [0.6]);
    assert!(tick(&mut app, 109.0).is_empty(), "once is enough");
    update(&mut app, Message::Sent { command: "what_if".into(), id: "q1".into() });
    assert_eq!(trial::words(&app).unwrap(), "waits for the worker, 8 s so far");
    tell(&mut app, vec![said("other", Progress::Done, 9.0)], RunState::Running);
    assert_eq!(trial::words(&app).unwrap(), "waits for the worker, 8 s so far");
    tell(&mut app, vec![said("q1", Progress::Done, 0.25)], RunState::Running);
    assert_eq!(trial::words(&app).unwrap(), "loss +0.2500 \u{b1} 0.5000");
    press(&mut app, "K");
    // A newer edit: what is known of the older one goes, its variant stays.
    press(&mut app, "-");
    assert_eq!(trial::words(&app).unwrap(), "measuring");
    asks(&mut app, 110.0, "q2");
    press(&mut app, "K");
    tell(&mut app, vec![said("q1", Progress::Done, 0.75), said("q2", Progress::Loss, -0.125)], RunState::Running);
    assert_eq!(trial::words(&app).unwrap(), "loss -0.1250 \u{b1} 0.5000");
    press(&mut app, "B");
    assert_eq!(losses(&app), ["A +0.7500 \u{b1} 0.5000", "B -0.1250 \u{b1} 0.5000"]);
    // Enter makes a variant the draft again.
    press(&mut app, "enter");
    assert!(!draft(&app).is_empty() && draft(&app).iter().all(|d| d.1 == 0.6), "{:?}", draft(&app));
    // Without a draft nothing is measured any more.
    asks(&mut app, 120.0, "q3");
    press(&mut app, "esc");
    tick(&mut app, 130.0);
    let cancel = Effect::Send(Command::CancelWhatIf { request: "q3".into() });
    assert_eq!((tick(&mut app, 130.2), trial::words(&app)), (vec![cancel], None));
}

#[test]
fn a_variant_takes_the_figures_of_its_own_ratios_whoever_asked() {
    let mut app = app();
    press(&mut app, "+ +");
    asks(&mut app, 100.0, "q1");
    // Another edit, kept before it is asked: the answer that comes is not of it.
    press(&mut app, "- K");
    tell(&mut app, vec![said("q1", Progress::Done, 0.75)], RunState::Running);
    press(&mut app, "B");
    assert_eq!(losses(&app), ["A measuring"]);
    assert_eq!(trial::words(&app).unwrap(), "measuring");
    // Its own comes while the table is open.
    asks(&mut app, 110.0, "q2");
    tell(&mut app, vec![said("q2", Progress::Loss, -0.125)], RunState::Running);
    assert_eq!(losses(&app), ["A -0.1250 \u{b1} 0.5000"]);
    assert_eq!(kept(&app)[0].about, "step 1: loss -0.1250 \u{b1} 0.5000; its summary is being written");
    // Kept while it is measured, which a newer edit ends.
    press(&mut app, "esc +");
    asks(&mut app, 120.0, "q3");
    press(&mut app, "K - - -");
    asks(&mut app, 130.0, "q4");
    let (id, command, text) = ("q3".into(), "what_if".into(), "replaced by a newer one".into());
    let replaced = EventBody::Control(ControlOutcome { id, command, ok: false, text });
    tell(&mut app, vec![replaced], RunState::Running);
    assert_eq!(trial::words(&app).unwrap(), "measuring", "the newest goes on");
    press(&mut app, "B");
    assert_eq!(losses(&app), ["A -0.1250 \u{b1} 0.5000", "B not measured"]);
    assert_eq!(kept(&app)[1].about, "not measured yet: make it the draft");
    // As the draft it is asked anew, and given up again its loss stays.
    press(&mut app, "j enter");
    assert!(draft(&app).iter().all(|d| d.1 == 0.6), "{:?}", draft(&app));
    asks(&mut app, 140.0, "q5");
    tell(&mut app, vec![said("q5", Progress::Loss, 0.5)], RunState::Running);
    let stopped = WhatIf { request: "q5".into(), state: Progress::Cancelled, ..WhatIf::default() };
    tell(&mut app, vec![EventBody::WhatIf(Box::new(stopped))], RunState::Running);
    press(&mut app, "B");
    assert_eq!(losses(&app)[1], "B +0.5000 \u{b1} 0.5000");
    // The same ratios once more are known already.
    press(&mut app, "esc K B");
    assert_eq!(losses(&app)[2], "C +0.5000 \u{b1} 0.5000");
}

#[test]
fn a_variant_says_why_it_was_not_measured() {
    let mut app = app();
    press(&mut app, "+");
    asks(&mut app, 100.0, "q1");
    press(&mut app, "K B");
    let (id, command, text) = ("q1".into(), "what_if".into(), "no memory".into());
    let refused = EventBody::Control(ControlOutcome { id, command, ok: false, text });
    tell(&mut app, vec![refused], RunState::Running);
    assert_eq!(kept(&app)[0].about, "not measured: no memory");
    // Kept too early to be asked, then sent: nothing is left to make the draft.
    press(&mut app, "esc esc l + K enter B j");
    assert_eq!(kept(&app)[1].about, "not measured: these are the run's own ratios now");
}

#[test]
fn a_variant_holds_the_ratios_of_all_adapters_whatever_is_selected() {
    let mut app = app();
    press(&mut app, "a + a K");
    assert_eq!((app.adapter_label().as_str(), draft(&app).len()), ("net", 2));
    press(&mut app, "esc B enter");
    assert_eq!(draft(&app), [(0, 0.55), (1, 0.55)]);
}

#[test]
fn a_comparison_tells_what_was_measured_and_what_is_forecast() {
    let mut app = app();
    press(&mut app, "+");
    asks(&mut app, 100.0, "q1");
    let summary = Summary { document: 0, before: "old".into(), after: "new".into(), rouge_l: [40.0, 33.3] };
    let found = WhatIf {
        request: "q1".into(),
        state: Progress::Done,
        step: 1,
        asked: [8, 1],
        share: 0.5,
        sparsity: [0.5, 0.6],
        retained: [0.95, 0.875],
        loss: Some([2.0, 2.25]),
        delta: Some(Change { mean: 0.25, se: Some(0.5) }),
        summaries: vec![summary.clone()],
        rouge: Some(Change { mean: -6.7, se: None }),
        ..WhatIf::default()
    };
    tell(&mut app, vec![EventBody::WhatIf(Box::new(found))], RunState::Running);
    press(&mut app, "K + K B");
    let rows = kept(&app);
    let all = menu::Kept {
        loss: "+0.2500 \u{b1} 0.5000".into(),
        shares: Some([0.6, 0.875]),
        rouge: Some("-6.7".into()),
        step: Some("1".into()),
        summary: Some(summary),
    };
    assert_eq!(rows[0].kept, Some(all));
    let about = "step 1: loss 2.0000 \u{2192} 2.2500, +0.2500 \u{b1} 0.5000, ROUGE-L -6.7, at 50 % of the full ratios";
    assert_eq!(rows[0].about, about);
    assert_eq!(rows[1].kept, Some(menu::Kept { loss: "measuring".into(), ..menu::Kept::default() }));
    assert!(rows.iter().all(|row| row.forecast.is_some_and(|f| f.sparsity > 0.5 && f.retained.is_some())));
    // Steps and stages on, it is still said where that was.
    let n = app.started.as_ref().unwrap().matrices.len();
    let later = |step| EventBody::Modules(Modules { step, ..modules(&vec![0.5; n]) });
    tell(&mut app, vec![later(5)], RunState::Running);
    press(&mut app, "esc B");
    assert!(kept(&app)[0].about.starts_with("step 1 (now 5): loss "), "{:?}", kept(&app)[0]);
    let stage = Stage { index: 1, of: 2, prunes: true, steps: 9, ..Stage::default() };
    tell(&mut app, vec![EventBody::Stage(stage), later(1)], RunState::Running);
    press(&mut app, "esc B");
    assert!(kept(&app)[0].about.starts_with("step 1 of stage 1: loss "), "{:?}", kept(&app)[0]);
    assert_eq!(kept(&app)[0].kept.as_ref().unwrap().step.as_deref(), Some("1 of stage 1"));
}

#[test]
fn what_was_measured_at_another_step_says_so_and_other_ratios_are_asked_anew() {
    let mut app = app();
    let n = app.started.as_ref().unwrap().matrices.len();
    let mut ratios = vec![0.5; n];
    press(&mut app, "+");
    asks(&mut app, 100.0, "q1");
    tell(&mut app, vec![said("q1", Progress::Done, 0.25)], RunState::Running);
    assert_eq!(trial::words(&app).unwrap(), "loss +0.2500 \u{b1} 0.5000");
    let later = EventBody::Modules(Modules { step: 201, ..modules(&ratios) });
    tell(&mut app, vec![later], RunState::Running);
    assert!(tick(&mut app, 110.0).is_empty() && tick(&mut app, 111.0).is_empty(), "steps alone are no question");
    assert_eq!(trial::words(&app).unwrap(), "loss +0.2500 \u{b1} 0.5000 at step 1");
    // Another screen has changed what the draft lies over.
    ratios[n - 1] = 0.7;
    let later = EventBody::Modules(Modules { step: 202, ..modules(&ratios) });
    tell(&mut app, vec![later], RunState::Running);
    asks(&mut app, 120.0, "q2");
    assert_eq!(trial::words(&app).unwrap(), "measuring");
    tell(&mut app, vec![said("q1", Progress::Done, 0.75)], RunState::Running);
    assert_eq!(trial::words(&app).unwrap(), "measuring", "that was of other ratios");
}

#[test]
fn an_edit_that_changes_nothing_says_so() {
    let mut app = app();
    let set = |app: &mut App, key: &str, text: &str| {
        press(app, key);
        type_in(app, text);
        press(app, "enter");
        app.toast.take().map_or(String::new(), |(text, _)| text)
    };
    assert_eq!(set(&mut app, "r", "1"), "");
    press(&mut app, "+");
    assert_eq!(app.toast.as_ref().unwrap().0, "the ratio here is 1.0 already: nothing to raise");
    assert_eq!(set(&mut app, "r", "100%"), "these are the ratios already");
    assert_eq!(set(&mut app, "R", "layers.0.*.q_proj=0"), "");
    press(&mut app, "-");
    assert_eq!(app.toast.as_ref().unwrap().0, "the ratio here is 0.0 already: nothing to lower");
    assert_eq!(set(&mut app, "R", "layers.0.*.q_proj=0"), "these are the ratios already");
}

#[test]
fn nobody_is_asked_where_nobody_can_answer() {
    let mut app = app();
    app.looks.replay = Some(8.0);
    press(&mut app, "+");
    tick(&mut app, 100.0);
    assert!(tick(&mut app, 100.3).is_empty());
    // A finished run has no worker: a process loads it.
    let mut app = self::app();
    app.state = RunState::Finished;
    press(&mut app, "+");
    tick(&mut app, 100.0);
    assert!(matches!(&tick(&mut app, 100.3)[..], [Effect::Inquire(Question::WhatIf { documents: 8, .. })]));
    let mut app = self::app();
    press(&mut app, "+");
    app.read_only = true;
    assert!(tick(&mut app, 101.0).is_empty() && tick(&mut app, 102.0).is_empty());
    let mut app = self::app();
    press(&mut app, "+");
    assert!(tick(&mut app, 101.0).is_empty() && !tick(&mut app, 102.0).is_empty());
}
