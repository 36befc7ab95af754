//! The draft of prune ratios on the heatmap, at the sizes that people have.
#![allow(clippy::unwrap_used)]

use lopper::app::ratios::Set;
use lopper::app::update::update;
use lopper::app::{App, Effect, Message};
use lopper::module::{Factor, ModuleId, Projection};
use lopper::recipe::ratios::Rule;
use lopper::run::RunState;
use lopper::run::event::{AdapterInfo, Event, EventBody, MatrixInfo, Modules, Stage, Started};
use lopper::run::inquiry::{Answer, Said};
use lopper::run::sensitivity::{By, Measured};
use lopper::run::what_if::{Change, DocumentLoss, Progress, Summary, WhatIf};
use lopper::theme::{Depth, Theme};
use ratatui::Terminal;
use ratatui::backend::TestBackend;

fn app() -> App {
    let (mut matrices, mut modules) = (Vec::new(), Modules { step: 23, ..Modules::default() });
    for layer in 0..12 {
        for projection in Projection::ALL {
            for adapter in 0..2 {
                for factor in [Factor::A, Factor::B] {
                    let module = ModuleId::new(layer, projection);
                    matrices.push(MatrixInfo { module, adapter, factor, rows: 16, cols: 576 });
                    let mean = 0.002 * (1.0 + layer as f32 + projection as usize as f32);
                    modules.ratio.push(Some(0.5));
                    modules.sparsity.push(Some(0.5));
                    modules.importance.push(Some(mean));
                    modules.quantiles.push(Some([mean * 0.02, mean * (0.3 + 0.04 * layer as f32), mean * 2.2]));
                    modules.retained.push(Some(0.95 - 0.01 * layer as f32));
                    modules.flips.push(Some(0.01));
                }
            }
        }
    }
    let adapter = |name: &str| AdapterInfo { name: name.into(), ..AdapterInfo::default() };
    let started =
        Started { layers: 12, adapters: vec![adapter("games"), adapter("記事")], matrices, ..Started::default() };
    let stage =
        Stage { of: 1, method: "merge + fine-tune + prune".into(), steps: 40, prunes: true, ..Stage::default() };
    let bodies = [EventBody::Started(Box::new(started)), EventBody::Stage(stage), EventBody::Modules(modules)];
    let events = bodies.into_iter().map(|body| Event { v: 1, seq: 0, t: 1000.0, body }).collect();
    let mut app = App::new("demo", false);
    update(&mut app, Message::Run { events, state: RunState::Running, caught_up: true });
    update(&mut app, Message::Tick(1001.0));
    app
}

fn screen(app: &mut App, theme: &Theme, (width, height): (u16, u16), keys: &str) -> String {
    for key in keys.split(' ').filter(|k| !k.is_empty()) {
        update(app, Message::Key(key.into()));
    }
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| lopper::ui::draw(app, theme, frame)).unwrap();
    let text = terminal.backend().to_string();
    assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text}");
    text
}

/// On the measure of ratios, a rectangle raised and a selection over the cursor.
const EDIT: &str = "m m m l v l l j + + v j V";

#[test]
fn a_draft_at_every_size() {
    let theme = Theme::find("default", Depth::True, false).unwrap();
    let mut app = app();
    insta::assert_snapshot!("80x24_draft", screen(&mut app, &theme, (80, 24), EDIT));
    for size in [(40, 10), (120, 40), (200, 50)] {
        insta::assert_snapshot!(format!("{}x{}_draft", size.0, size.1), screen(&mut app, &theme, size, ""));
    }
    insta::assert_snapshot!("80x24_sent", screen(&mut app, &theme, (80, 24), "enter"));
}

#[test]
fn lists_and_lines() {
    let theme = Theme::find("default", Depth::True, false).unwrap();
    let mut app = app();
    insta::assert_snapshot!("80x24_presets", screen(&mut app, &theme, (80, 24), "P j"));
    insta::assert_snapshot!("40x10_presets", screen(&mut app, &theme, (40, 10), "j j j"));
    insta::assert_snapshot!("80x24_rule", screen(&mut app, &theme, (80, 24), "esc R l a y e r s . 0 - 3 . * = 0 . 8"));
    screen(&mut app, &theme, (80, 24), "esc W");
    let rule = Rule { modules: "*.q_proj".into(), adapter: "*".into(), factor: None, ratio: 0.7 };
    let sets = vec![
        Set { name: "夜間-1".into(), rules: Ok(vec![rule]) },
        Set { name: "broken".into(), rules: Err("expected an array".into()) },
    ];
    update(&mut app, Message::RatioSets(sets));
    insta::assert_snapshot!("80x24_sets", screen(&mut app, &theme, (80, 24), ""));
    for width in [1, 34, 35, 79, 300] {
        for height in [1, 8, 9, 36, 100] {
            screen(&mut app, &theme, (width, height), "");
        }
    }
}

#[test]
fn what_a_draft_does() {
    let theme = Theme::find("default", Depth::True, false).unwrap();
    let mut app = app();
    insta::assert_snapshot!("trial_none", screen(&mut app, &theme, (80, 24), "b"));
    screen(&mut app, &theme, (80, 24), &format!("esc {EDIT}"));
    update(&mut app, Message::Tick(1002.0));
    let effects = update(&mut app, Message::Tick(1003.0));
    assert!(matches!(effects[..], [Effect::Send(_)]));
    update(&mut app, Message::Sent { command: "what_if".into(), id: "1".into() });
    insta::assert_snapshot!("trial_asked", screen(&mut app, &theme, (40, 10), "b"));
    let loss = |document, before, after| DocumentLoss { document, tokens: 40 + document, before, after };
    let losses = vec![loss(0, 2.5, 2.75), loss(1, 3.0, 2.875), loss(2, 1.0, 1.0)];
    let found = WhatIf {
        request: "1".into(),
        state: Progress::Done,
        step: 23,
        asked: [3, 2],
        changed: 42,
        sparsity: [0.5, 0.6],
        retained: [0.95, 0.875],
        loss: Some([2.1562, 2.2031]),
        delta: Change::of_losses(&losses),
        losses,
        summaries: vec![
            Summary {
                document: 0,
                before: "A small game about hats for two.".into(),
                after: "A game of hats for one \u{1b}[31mplayer.".into(),
                rouge_l: [40.0, 33.3],
            },
            Summary {
                document: 1, before: "帽子のゲーム".into(), after: "帽子のゲーム".into(), rouge_l: [50.0, 50.0]
            },
        ],
        rouge: Change::of(&[33.3 - 40.0, 0.0]),
        ..WhatIf::default()
    };
    let id = found.request.clone();
    update(&mut app, Message::Answered(Box::new(Answer { id, said: Said::WhatIf(Box::new(found)) })));
    insta::assert_snapshot!("trial_80x24", screen(&mut app, &theme, (80, 24), ""));
    insta::assert_snapshot!("trial_120x40", screen(&mut app, &theme, (120, 40), ""));
    // How far it scrolls is known once it was drawn in that window.
    screen(&mut app, &theme, (40, 10), "");
    insta::assert_snapshot!("trial_40x10", screen(&mut app, &theme, (40, 10), "j j j"));
    let mono = Theme::find("mono", Depth::None, true).unwrap();
    insta::assert_snapshot!("trial_mono", screen(&mut app, &mono, (80, 24), ""));
    for width in [1, 34, 35, 79, 300] {
        for height in [1, 8, 9, 36, 100] {
            screen(&mut app, &theme, (width, height), "");
        }
    }
}

#[test]
fn what_was_kept_is_compared() {
    let theme = Theme::find("default", Depth::True, false).unwrap();
    let mut app = app();
    screen(&mut app, &theme, (80, 24), "+");
    update(&mut app, Message::Tick(1002.0));
    update(&mut app, Message::Tick(1003.0));
    update(&mut app, Message::Sent { command: "what_if".into(), id: "1".into() });
    screen(&mut app, &theme, (80, 24), "K B");
    let found = WhatIf {
        request: "1".into(),
        state: Progress::Done,
        step: 23,
        asked: [8, 1],
        sparsity: [0.5, 0.6],
        retained: [0.95, 0.875],
        loss: Some([2.1562, 2.2031]),
        delta: Some(Change { mean: 0.0396, se: Some(0.1087) }),
        rouge: Some(Change { mean: -6.7, se: None }),
        summaries: vec![Summary {
            document: 0,
            before: "A small game about hats. ".repeat(40),
            after: "帽子の\u{1b}[31mゲーム ".repeat(40),
            rouge_l: [40.0, 33.3],
        }],
        ..WhatIf::default()
    };
    let id = found.request.clone();
    update(&mut app, Message::Answered(Box::new(Answer { id, said: Said::WhatIf(Box::new(found)) })));
    // It came while the table was open.
    let text = screen(&mut app, &theme, (80, 24), "");
    assert!(text.contains("+0.0396 ± 0.1087    60.0 %    87.5 %     -6.7    23 "), "{text}");
    let text = screen(&mut app, &theme, (80, 24), "esc + K B");
    for part in
        ["kept drafts (~: forecast)", "change of loss", "A  +0.0396", "measuring", " ~50.", "now: A small game", "A: "]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    let text = screen(&mut app, &theme, (40, 10), "");
    assert!(text.contains("+0.0396 ± 0.1087    60.0 %") && !text.contains("retained"), "{text}");
    for width in [1, 34, 35, 79, 300] {
        for height in [1, 8, 9, 36, 100] {
            screen(&mut app, &theme, (width, height), "");
        }
    }
}

fn measured(by: By, group: String, ratio: f64, mean: f64) -> Measured {
    Measured {
        at: (0, 23, 0),
        by,
        rule: String::new(),
        group,
        ratio,
        documents: [0, 8],
        on: String::new(),
        loss: [3.5, 3.5 + mean],
        delta: Change { mean, se: Some(0.002) },
        sparsity: [0.5, 0.6],
        retained: [0.9, 0.8],
        restored: 0,
        seconds: 0.25,
    }
}

#[test]
fn what_was_left_out_and_where_it_was_measured() {
    let theme = Theme::find("default", Depth::True, false).unwrap();
    let mut app = app();
    let all =
        vec![measured(By::Layer, "layers.4".into(), 0.7, 0.004), measured(By::Adapter, "games".into(), 1.0, 0.0123)];
    update(&mut app, Message::Sensitivity(all));
    // Where the table has no room for whole adapters, a line has.
    let text = screen(&mut app, &theme, (80, 24), "m m m m");
    assert!(text.contains("gone:  games A+B +12.30 ± 2.00") && text.contains("sensitivity at 0.7  "), "{text}");
    assert!(text.contains("1 of 111 parts at 0.7; z wants a paused or finished run"), "{text}");
    update(&mut app, Message::Sensitivity(vec![measured(By::AdapterFactor, "games A".into(), 1.0, 0.0123)]));
    let text = screen(&mut app, &theme, (120, 40), "");
    assert!(text.contains("  gone ") && !text.contains("gone:"), "{text}");
    let message = Message::Run { events: Vec::new(), state: RunState::Paused, caught_up: true };
    update(&mut app, message);
    assert!(screen(&mut app, &theme, (80, 24), "").contains("z measures on"));
    // The run goes on: the map is as it was.
    let body = EventBody::Modules(Modules { step: 24, ..app.modules.clone().unwrap() });
    let events = vec![Event { v: 1, seq: 0, t: 1000.0, body }];
    update(&mut app, Message::Run { events, state: RunState::Running, caught_up: true });
    let text = screen(&mut app, &theme, (80, 24), "");
    assert!(text.contains("sensitivity at 0.7, step 23  "), "{text}");
}

#[test]
fn what_the_loss_minds() {
    let theme = Theme::find("default", Depth::True, false).unwrap();
    let mut app = app();
    insta::assert_snapshot!("sensitivity_none", screen(&mut app, &theme, (80, 24), "m m m m"));
    let mut all = Vec::new();
    for (i, ratio) in [0.7, 0.9].into_iter().enumerate() {
        let scale = (1 + 3 * i) as f64 / 1000.0;
        for (name, mean) in [("games A", 2.0), ("games B", 12.0), ("記事 A", -5.0), ("記事 B", 0.5)] {
            all.push(measured(By::AdapterFactor, name.into(), ratio, mean * scale));
        }
        all.extend((0..12).map(|l| measured(By::Layer, format!("layers.{l}"), ratio, l as f64 * scale)));
        for (l, p) in (0..12).flat_map(|l| Projection::ALL.map(|p| (l, p))) {
            let mean = (p as usize as f64 - 2.0) * l as f64 / 20.0;
            all.push(measured(By::Module, ModuleId::new(l, p).to_string(), ratio, mean * scale));
        }
    }
    update(&mut app, Message::Sensitivity(all));
    insta::assert_snapshot!("sensitivity_80x24", screen(&mut app, &theme, (80, 24), "l l l l"));
    for size in [(40, 10), (120, 40), (200, 50)] {
        insta::assert_snapshot!(format!("sensitivity_{}x{}", size.0, size.1), screen(&mut app, &theme, size, ""));
    }
    let third = (0..12).map(|l| measured(By::Layer, format!("layers.{l}"), 0.5, f64::from(l) / 4000.0));
    update(&mut app, Message::Sensitivity(third.collect()));
    // Where there is no room for both the key turns from the table to curves.
    screen(&mut app, &theme, (80, 24), "x");
    for size in [(40, 10), (80, 24), (120, 40)] {
        insta::assert_snapshot!(format!("curves_{}x{}", size.0, size.1), screen(&mut app, &theme, size, ""));
    }
    for width in [1, 34, 35, 79, 300] {
        for height in [1, 8, 9, 36, 100] {
            screen(&mut app, &theme, (width, height), "");
        }
    }
    screen(&mut app, &theme, (80, 24), "x");
    let mono = Theme::find("mono", Depth::None, true).unwrap();
    insta::assert_snapshot!("sensitivity_mono", screen(&mut app, &mono, (80, 24), ""));
    for width in [1, 34, 35, 79, 300] {
        for height in [1, 8, 9, 36, 100] {
            screen(&mut app, &theme, (width, height), "");
        }
    }
}

#[test]
fn without_colours_and_in_ascii() {
    let ascii = Theme::find("mono", Depth::True, true).unwrap();
    let mut app = app();
    app.selection.adapter = Some(0);
    let text = screen(&mut app, &ascii, (80, 24), EDIT);
    let own: Vec<&str> = text.lines().filter(|l| !l.contains("記事")).collect();
    assert!(own.iter().all(|l| l.is_ascii()), "{text}");
    insta::assert_snapshot!("ascii_draft", text);
}
