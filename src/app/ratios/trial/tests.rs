//! What becomes of a question whose answer does not come.

use super::*;
use crate::app::Message;
use crate::app::ratios::tests::{app, press, tell};
use crate::app::update::update;
use crate::run::event::{Dev, EventBody, Modules, Phase, PhaseKind};
use crate::run::inquiry::{Answer, Said};
use crate::run::what_if::Change;

fn tick(app: &mut App, now: f64) -> Vec<Effect> {
    update(app, Message::Tick(now))
}

/// Another edit, and the clock asks what it does.
fn asks(app: &mut App, now: f64, id: &str) {
    press(app, "+");
    tick(app, now);
    assert_eq!(tick(app, now + 0.2).len(), 1);
    update(app, Message::Sent { command: "what_if".into(), id: id.into() });
}

fn said(request: &str, state: Progress, delta: Option<Change>) -> WhatIf {
    WhatIf { request: request.into(), state, step: 1, delta, ..WhatIf::default() }
}

#[test]
fn what_a_worker_was_asked_that_is_gone_ends_with_a_sentence() {
    for state in [RunState::Crashed, RunState::Failed, RunState::Stopped] {
        let mut app = app();
        asks(&mut app, 100.0, "q1");
        press(&mut app, "K");
        tell(&mut app, Vec::new(), state);
        tick(&mut app, 102.0);
        let words = words(&app).unwrap();
        assert!(words.starts_with("not measured: the worker is gone"), "{words}");
        assert!(!app.ratios.trial.is_asked() && app.toast.as_ref().unwrap().0.contains("the worker is gone"));
        let variant = app.ratios.trial.variants[0].found.as_ref().unwrap();
        assert!(variant.state == Progress::Failed && variant.text.contains("the worker is gone"), "{variant:?}");
        // Its late word, by the worker after it, changes nothing; another edit asks the checkpoint.
        let (id, command, text) = ("q1".into(), "what_if".into(), "came when no worker was at the run".into());
        tell(&mut app, vec![EventBody::Control(ControlOutcome { id, command, ok: false, text })], state);
        assert_eq!(super::words(&app).unwrap(), words);
        asks(&mut app, 103.0, "screen-1");
        tick(&mut app, 110.0);
        assert_eq!(super::words(&app).unwrap(), "measuring", "a process is under way");
    }
}

#[test]
fn what_was_known_when_the_worker_went_stays() {
    let mut app = app();
    asks(&mut app, 100.0, "q1");
    let delta = Some(Change { mean: 0.25, se: Some(0.5) });
    tell(&mut app, vec![EventBody::WhatIf(Box::new(said("q1", Progress::Loss, delta)))], RunState::Running);
    tell(&mut app, Vec::new(), RunState::Crashed);
    tick(&mut app, 102.0);
    let found = app.ratios.trial.found.as_ref().unwrap();
    assert!(found.state == Progress::Cancelled && found.text.contains("the worker is gone"), "{found:?}");
    assert_eq!(words(&app).unwrap(), "loss +0.2500 \u{b1} 0.5000");
}

#[test]
fn a_question_that_waits_for_the_worker_says_so() {
    let mut app = app();
    asks(&mut app, 100.0, "q1");
    tick(&mut app, 101.0);
    assert_eq!(words(&app).unwrap(), "measuring");
    // A dev evaluation is under way: the worker answers after it.
    tick(&mut app, 112.5);
    assert_eq!(words(&app).unwrap(), "waits for the worker, 12 s so far");
    let label = "dev loss".into();
    let phase = Phase { phase: PhaseKind::Eval, label, done: 1, total: 9 };
    tell(&mut app, vec![EventBody::Phase(phase)], RunState::Running);
    assert_eq!(words(&app).unwrap(), "waits for the worker (dev loss), 12 s so far");
    tell(&mut app, vec![EventBody::Dev(Dev { step: 1, ..Dev::default() })], RunState::Running);
    assert_eq!(words(&app).unwrap(), "waits for the worker, 12 s so far", "the evaluation is over");
    tell(&mut app, vec![EventBody::WhatIf(Box::new(said("q1", Progress::Masks, None)))], RunState::Running);
    assert_eq!(words(&app).unwrap(), "measuring");
}

#[test]
fn what_is_given_up_says_why() {
    let mut app = app();
    asks(&mut app, 100.0, "q1");
    let stopped = WhatIf { text: "the run stops".into(), ..said("q1", Progress::Cancelled, None) };
    tell(&mut app, vec![EventBody::WhatIf(Box::new(stopped))], RunState::Running);
    assert_eq!(words(&app).unwrap(), "measurement given up: the run stops");
}

#[test]
fn the_end_of_the_process_that_was_asked_is_an_answer() {
    let mut app = app();
    tell(&mut app, Vec::new(), RunState::Finished);
    asks(&mut app, 100.0, "screen-1");
    tick(&mut app, 105.0);
    assert_eq!(words(&app).unwrap(), "measuring");
    let ended = WhatIf { text: "the process has ended".into(), ..said("screen-1", Progress::Failed, None) };
    let answer = Answer { id: "screen-1".into(), said: Said::WhatIf(Box::new(ended)) };
    update(&mut app, Message::Answered(Box::new(answer)));
    assert_eq!(words(&app).unwrap(), "not measured: the process has ended");
}

#[test]
fn a_draft_of_a_finished_run_begins_from_the_ratios_of_its_best_step() {
    let mut app = app();
    let best = |step, best| EventBody::Dev(Dev { step, best, ..Dev::default() });
    // The ratios of half of the matrices were lowered after the best step.
    let first = app.modules.clone().unwrap();
    let half = first.ratio.len() / 2;
    let mut later = Modules { step: 2, ..first };
    later.ratio[half..].fill(Some(0.2));
    later.sparsity[half..].fill(Some(0.2));
    tell(&mut app, vec![best(1, true), EventBody::Modules(later.clone()), best(2, false)], RunState::Running);
    assert_eq!((app.present_ratio(0), app.present_ratio(half)), (Some(0.5), Some(0.2)));
    tell(&mut app, Vec::new(), RunState::Finished);
    assert_eq!((app.present_ratio(0), app.present_ratio(half)), (Some(0.5), Some(0.5)), "the result's");
    // The map shows the set that a draft begins from, before there is one; the last step is one key back.
    let last = app.layers() - 1;
    let ratio = |app: &App| {
        let grid = app.shown_grid(crate::app::Measure::Ratio, crate::app::Selection::default()).unwrap();
        grid.layers[last]
    };
    assert_eq!((ratio(&app), app.step_label().as_str()), (Some(0.5), "step 1 of 9, the best"));
    press(&mut app, "[");
    assert_eq!((ratio(&app), app.step_label().as_str()), (Some(0.2), "step 2 of 9 (the best is 1)"));
    press(&mut app, "]");
    assert_eq!((ratio(&app), app.is_live()), (Some(0.5), true));
    press(&mut app, "a f +");
    tick(&mut app, 100.0);
    let effects = tick(&mut app, 100.2);
    let [Effect::Inquire(Question::WhatIf { rules, .. })] = &effects[..] else { panic!("{effects:?}") };
    assert!(rules.len() == 1 && rules[0].ratio == 0.55, "{rules:?}");
    // The whole set of ratios that the answer is of, and the map, are those that are measured.
    let whole = whole(&app);
    assert!(whole.iter().all(|(at, ratio)| *ratio == if *at == 0 { 0.55 } else { 0.5 }), "{whole:?}");
    let column = |measure| app.ratios.expected(&app, measure).unwrap();
    assert_eq!(column(crate::app::Measure::Ratio)[half..], vec![Some(0.5); half][..]);
    assert_eq!(column(crate::app::Measure::Sparsity)[half..], vec![Some(0.5); half][..]);
    // Where the last step is the best one it is the result.
    press(&mut app, "u");
    tell(&mut app, vec![best(2, true)], RunState::Finished);
    assert_eq!((app.present_ratio(half), app.drafted().unwrap().step), (Some(0.2), 2));
}
