//! The screen on a fixed journal at the sizes that people have, cell by cell. After a change that is meant:
//! `INSTA_UPDATE=always cargo test --test workbench snapshots::`, then read the difference.
#![allow(clippy::unwrap_used)]

use lopper::app::update::update;
use lopper::app::watch::others::Other;
use lopper::app::{App, Message};
use lopper::module::{Factor, ModuleId, Projection};
use lopper::run::RunState;
use lopper::run::course::{Slice, Told};
use lopper::run::event::{
    AdapterInfo, Checkpoint, Dev, Document, Event, EventBody, MatrixInfo, Modules, Report, ReportRow, Rouge, Sample,
    Seconds, Stage, Started, Step,
};
use lopper::run::listing::Summary;
use lopper::run::matrices::Matrices;
use lopper::theme::{Depth, Theme};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use std::sync::Arc;

const LAYERS: usize = 12;
const STEPS: usize = 40;

fn started() -> Started {
    let names = [("games", "target", 16), ("science", "related", 8), ("net", "related", 8)];
    let adapters: Vec<AdapterInfo> = names
        .into_iter()
        .map(|(name, role, rank)| AdapterInfo { name: name.into(), role: role.into(), rank, alpha: 32.0, weight: 1.0 })
        .collect();
    let mut matrices = Vec::new();
    for layer in 0..LAYERS {
        for projection in Projection::ALL {
            for adapter in 0..adapters.len() {
                for factor in [Factor::A, Factor::B] {
                    let module = ModuleId::new(layer, projection);
                    matrices.push(MatrixInfo { module, adapter, factor, rows: 16, cols: 576 });
                }
            }
        }
    }
    let document = |id: &str, document: &str, reference: &str| Document {
        id: id.into(),
        document: document.into(),
        reference: reference.into(),
    };
    Started {
        lopper: "0.1.0".into(),
        pid: 4711,
        host: "host".into(),
        device: "cpu, 8 threads, f32".into(),
        base: "base".into(),
        base_parameters: 134_515_008,
        layers: LAYERS,
        adapter_parameters: 9_800_000,
        adapters,
        matrices,
        train_examples: 50,
        dev_examples: 32,
        test_examples: 42,
        truncated: 0,
        documents: vec![
            document(
                "oneisenough",
                "One Is Enough, a 2D platform game in which a ball has to convert other balls.",
                "2D platform game about the epic struggle of balls",
            ),
            document(
                "記事",
                "重要度の低いパラメータを零にすると、少ないデータでも要約が良くなる。",
                "低い重要度の要素を零にする",
            ),
        ],
        name: "demo".into(),
        ..Started::default()
    }
}

/// The state of all matrices: importance over three decades, a ratio of its own in layer 3.
fn modules(step: usize, matrices: &[MatrixInfo]) -> Modules {
    let mut all = Modules { step, ..Modules::default() };
    for matrix in matrices {
        let (layer, projection) = (matrix.module.layer as f32, matrix.module.projection as usize as f32);
        let ratio = if matrix.module.layer == 3 { 0.65 } else { 0.5 };
        let importance = 0.0015 * (0.35 * layer + 0.4 * projection).exp() / (1.0 + matrix.adapter as f32);
        all.ratio.push(Some(ratio));
        all.sparsity.push(Some(ratio));
        all.importance.push(Some(importance));
        all.quantiles.push(Some([importance * 0.01, importance * 0.5, importance * 2.4]));
        all.retained.push(Some(0.999 - 0.002 * layer));
        all.flips.push(Some(0.0125 / (1.0 + layer)));
    }
    all
}

fn stage(index: usize, method: &str, prunes: bool) -> EventBody {
    let method = method.into();
    EventBody::Stage(Stage { index, of: 2, method, steps: STEPS, steps_per_epoch: 20, prunes, adapters: vec![0, 1, 2] })
}

fn journal() -> Vec<Event> {
    let started = started();
    let matrices = started.matrices.clone();
    let mut bodies = vec![EventBody::Started(Box::new(started)), stage(0, "target adapter alone", false)];
    let training = |bodies: &mut Vec<EventBody>, steps: usize, from: f64, prunes: bool| {
        for step in 1..=steps {
            let wave = (step as f64 * 1.7).sin() * 0.12;
            let seconds = Seconds { data: 0.01, forward: 0.4, backward: 0.6, optimiser: 0.05, prune: 0.1 };
            bodies.push(EventBody::Step(Step {
                step,
                epoch: step as f64 / 20.0,
                loss: from * (-0.015 * step as f64).exp() + wave,
                lr: 1e-4,
                grad_norm: 1.25,
                tokens_per_second: 1234.0,
                seconds,
                memory: 614_000_000,
            }));
            if prunes {
                bodies.push(EventBody::Modules(modules(step, &matrices)));
            }
            if step % 10 == 0 {
                let loss = 0.1 + from * (-0.012 * step as f64).exp();
                bodies.push(EventBody::Dev(Dev { step, loss, rouge: None, documents: 32, best: true }));
            }
        }
    };
    training(&mut bodies, STEPS, 3.6, false);
    let sample = |step: usize, document: usize, text: &str, rouge_l: f64| {
        EventBody::Sample(Sample { step, document, text: text.into(), rouge_l })
    };
    bodies.push(sample(40, 0, "game about \u{1b}[31mballs", 33.3));
    let row = |method: &str, rouge_l: f64, sparsity: f64| ReportRow {
        method: method.into(),
        documents: 42,
        loss: 3.598,
        rouge: Rouge { rouge1: rouge_l + 4.0, rouge2: rouge_l / 4.0, rouge_l, parts: None },
        sparsity,
        seconds: 23.0,
        bert: None,
    };
    bodies.push(EventBody::Report(Report {
        split: "test".into(),
        rows: vec![row("target adapter alone", 21.69, 0.0)],
        ..Report::default()
    }));
    bodies.push(stage(1, "merge + fine-tune + prune", true));
    training(&mut bodies, 23, 3.4, true);
    bodies.push(sample(20, 0, "2D platform game with balls", 57.1));
    bodies.push(sample(20, 1, "重要度の低い要素を零にする", 76.9));
    bodies.push(EventBody::Checkpoint(Checkpoint { step: 20, path: "checkpoints/stage-1-step-20".into(), best: true }));
    let at = |(i, body)| Event { v: 1, seq: i as u64, t: 1000.0 + i as f64, body };
    bodies.into_iter().enumerate().map(at).collect()
}

fn app() -> App {
    let events = journal();
    let end = events.last().unwrap().t;
    let mut app = App::new("demo-20261125-160820", false);
    update(&mut app, Message::Run { events, state: RunState::Running, caught_up: true });
    update(&mut app, Message::Tick(end + 1.0));
    app
}

/// The screen after `keys`.
fn screen(app: &mut App, theme: &Theme, (width, height): (u16, u16), keys: &[&str]) -> String {
    for key in keys {
        update(app, Message::Key((*key).into()));
    }
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| lopper::ui::draw(app, theme, frame)).unwrap();
    let text = terminal.backend().to_string();
    assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text}");
    text
}

fn coloured() -> Theme {
    Theme::find("default", Depth::True, false).unwrap()
}

#[test]
fn all_at_once() {
    insta::assert_snapshot!(screen(&mut app(), &coloured(), (200, 50), &[]));
}

#[test]
fn one_pane_at_a_time() {
    let mut app = app();
    for (name, keys) in [
        ("heatmap", &["m", "m", "m", "m", "right", "right", "down", "a", "f"][..]),
        ("loss", &["2"]),
        ("samples", &["3", "n"]),
        ("report", &["4"]),
        ("log", &["5"]),
        ("help", &["?"]),
        ("stop", &["esc", "s"]),
    ] {
        insta::assert_snapshot!(format!("80x24_{name}"), screen(&mut app, &coloured(), (80, 24), keys));
    }
}

#[test]
fn in_a_corner() {
    insta::assert_snapshot!("40x10", screen(&mut app(), &coloured(), (40, 10), &[]));
    insta::assert_snapshot!("20x4", screen(&mut app(), &coloured(), (20, 4), &[]));
}

#[test]
fn without_colours() {
    let mono = Theme::find("mono", Depth::True, false).unwrap();
    insta::assert_snapshot!("mono", screen(&mut app(), &mono, (80, 24), &["m"]));
    let ascii = Theme::find("mono", Depth::True, true).unwrap();
    let mut app = app();
    // Its sample is Japanese: this pane would not be ASCII.
    let text = screen(&mut app, &ascii, (80, 24), &["m"]);
    assert!(text.is_ascii(), "{text}");
    insta::assert_snapshot!("ascii", text);
}

#[test]
fn no_size_panics_and_nothing_is_drawn_outside() {
    let theme = coloured();
    let mut app = app();
    for overlay in [&[][..], &["?"], &["esc", "s"]] {
        for width in [1, 2, 9, 33, 34, 35, 79, 119, 120, 121, 300] {
            for height in [1, 2, 7, 8, 9, 23, 35, 36, 37, 100] {
                screen(&mut app, &theme, (width, height), &[]);
            }
        }
        screen(&mut app, &theme, (80, 24), overlay);
    }
}

/// The samples with more versions of a summary.
fn versions() -> App {
    let mut app = app();
    let sample = |seq: u64, step: usize, document: usize, text: &str| {
        let body = EventBody::Sample(Sample { step, document, text: text.into(), rouge_l: 61.5 });
        Event { v: 1, seq, t: 2000.0, body }
    };
    let events = vec![
        sample(900, 22, 0, "2D platform game about red balls"),
        sample(901, 22, 1, "重要度の低いパラメータを零にする"),
        sample(902, 23, 0, "platform game about the struggle of balls"),
    ];
    update(&mut app, Message::Run { events, state: RunState::Running, caught_up: true });
    app
}

#[test]
fn every_quantity_has_a_chart() {
    let mut app = app();
    insta::assert_snapshot!(
        "chart_log",
        screen(&mut app, &coloured(), (80, 24), &["2", "L", "<", "left", "left", "left"])
    );
    insta::assert_snapshot!("chart_rouge", screen(&mut app, &coloured(), (80, 24), &["0", "x"]));
    let mono = Theme::find("mono", Depth::True, true).unwrap();
    let text = screen(&mut app, &mono, (80, 24), &["x", "x", "x", "x", "L", "o"]);
    assert!(text.is_ascii(), "{text}");
    insta::assert_snapshot!("chart_flips_ascii", text);
    insta::assert_snapshot!("chart_40x10", screen(&mut app, &coloured(), (40, 10), &["x"]));
}

#[test]
fn earlier_steps_and_changes_show_on_the_map() {
    let mut app = app();
    insta::assert_snapshot!("past", screen(&mut app, &coloured(), (120, 40), &["m", "[", "[", "["]));
    insta::assert_snapshot!("past_40x10", screen(&mut app, &coloured(), (40, 10), &[]));
    let ascii = Theme::find("mono", Depth::True, true).unwrap();
    let text = screen(&mut app, &ascii, (80, 24), &["D", "{"]);
    assert!(text.is_ascii(), "{text}");
    insta::assert_snapshot!("change_ascii", text);
}

#[test]
fn a_module_is_inspected() {
    let mut app = app();
    insta::assert_snapshot!("module_80x24", screen(&mut app, &coloured(), (80, 24), &["i", "["]));
    insta::assert_snapshot!("module_200x50", screen(&mut app, &coloured(), (200, 50), &["j"]));
    insta::assert_snapshot!("module_40x10", screen(&mut app, &coloured(), (40, 10), &[]));
}

#[test]
fn summaries_have_versions_changes_and_matches() {
    let mut app = versions();
    insta::assert_snapshot!("versions", screen(&mut app, &coloured(), (80, 24), &["3"]));
    let mono = Theme::find("mono", Depth::True, false).unwrap();
    insta::assert_snapshot!("versions_mono", screen(&mut app, &mono, (80, 24), &["t", "n"]));
    let keys = ["n", "/", "b", "a", "l", "l", "s", "enter", "."];
    insta::assert_snapshot!("search", screen(&mut app, &coloured(), (80, 24), &keys));
    insta::assert_snapshot!("search_40x10", screen(&mut app, &coloured(), (40, 10), &[".", ".", ".", ".", "."]));
    // At its end a key more does not scroll on in secret.
    let end = screen(&mut app, &coloured(), (40, 10), &["j"; 30]);
    screen(&mut app, &coloured(), (40, 10), &["j"; 30]);
    assert_eq!(end, screen(&mut app, &coloured(), (40, 10), &[]));
    assert_ne!(end, screen(&mut app, &coloured(), (40, 10), &["k"]));
}

#[test]
fn no_size_panics_on_charts_time_module_or_versions() {
    let theme = coloured();
    for keys in [&["2", "<", "left", "L"][..], &["[", "D", "["], &["[", "i"], &["3", "t"], &["3", "/", "x"]] {
        let mut app = versions();
        screen(&mut app, &theme, (80, 24), keys);
        for width in [1, 9, 33, 34, 35, 60, 119, 120, 300] {
            for height in [1, 7, 8, 9, 14, 23, 36, 100] {
                screen(&mut app, &theme, (width, height), &[]);
            }
        }
    }
}

/// Another run of the same kind, whose losses lie a little higher and whose layer 5 is pruned less; its adapter `net`
/// goes by another name.
fn other(higher: f64) -> Other {
    let (mut told, mut state) = (Vec::new(), None);
    for event in journal() {
        match event.body {
            EventBody::Started(started) => {
                let mut started = *started;
                started.adapters[2].name = "libs".into();
                state = Some(Matrices { started, ..Matrices::default() });
            }
            EventBody::Stage(stage) => told.push(Told::Stage(stage)),
            EventBody::Step(step) => told.push(Told::Step(Step { loss: step.loss + higher, ..step })),
            EventBody::Dev(dev) => told.push(Told::Dev(Dev { loss: dev.loss + higher, ..dev })),
            EventBody::Modules(mut modules) => {
                let state = state.as_mut().unwrap();
                for (matrix, sparsity) in state.started.matrices.iter().zip(&mut modules.sparsity) {
                    *sparsity = Some(if matrix.module.layer == 5 { 0.25 } else { 0.55 });
                }
                state.modules = modules;
            }
            _ => {}
        }
    }
    let mut other = Other::default();
    other.take(Slice { told, state: RunState::Running, matrices: state, caught_up: true, read: 1.0 });
    other
}

/// Tells the screen of other runs, and of what is in two of them.
fn others(app: &mut App, names: &[&str]) {
    let run = |name: &&str| Summary {
        name: (*name).into(),
        path: format!("/runs/{name}").into(),
        state: RunState::Running,
        stage: (2, 2),
        method: "merge + fine-tune + prune".into(),
        dev_loss: Some(3.125),
        ..Summary::default()
    };
    update(app, Message::Runs(names.iter().map(run).collect()));
}

fn known(app: &mut App) {
    update(app, Message::Other("/runs/half-20261126-101500".into(), Arc::new(other(0.4))));
    update(app, Message::Other("/runs/deep-20261126-111500".into(), Arc::new(other(-0.3))));
}

const OTHERS: [&str; 3] = ["half-20261126-101500", "deep-20261126-111500", "重要度-20261126-121500"];

#[test]
fn curves_of_other_runs_lie_over_the_chart() {
    let mut app = app();
    screen(&mut app, &coloured(), (80, 24), &["2", "O"]);
    others(&mut app, &OTHERS);
    let keys = ["enter", "down", "enter", "down", "enter"];
    insta::assert_snapshot!("others_pick", screen(&mut app, &coloured(), (80, 24), &keys));
    known(&mut app);
    insta::assert_snapshot!("others_80x24", screen(&mut app, &coloured(), (80, 24), &["esc"]));
    insta::assert_snapshot!("others_120x40", screen(&mut app, &coloured(), (120, 40), &["e"]));
    let keys = ["L", "o", "left", "left", "left", "left", "<"];
    insta::assert_snapshot!("others_zoom", screen(&mut app, &coloured(), (80, 24), &keys));
    // A quantity that one of them alone has, and sizes that nobody has.
    screen(&mut app, &coloured(), (80, 24), &["x"]);
    for size in [(34, 8), (40, 10), (60, 12), (200, 50)] {
        screen(&mut app, &coloured(), size, &[]);
    }
}

#[test]
fn the_heatmap_shows_the_difference_to_another_run() {
    let mut app = app();
    screen(&mut app, &coloured(), (80, 24), &["O"]);
    others(&mut app, &OTHERS);
    screen(&mut app, &coloured(), (80, 24), &["enter"]);
    known(&mut app);
    insta::assert_snapshot!("difference_80x24", screen(&mut app, &coloured(), (80, 24), &["right"; 5]));
    insta::assert_snapshot!("difference_120x40", screen(&mut app, &coloured(), (120, 40), &["a"]));
    let ascii = Theme::find("mono", Depth::True, true).unwrap();
    let text = screen(&mut app, &ascii, (80, 24), &["a", "a"]);
    assert!(text.is_ascii(), "{text}");
    insta::assert_snapshot!("difference_ascii", text);
}
