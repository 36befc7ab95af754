//! What a frame costs over the wire while a run goes on and every value drifts.
#![allow(clippy::unwrap_used)]

use lopper::app::update::update;
use lopper::app::{App, Message};
use lopper::module::{Factor, ModuleId, Projection};
use lopper::run::RunState;
use lopper::run::event::{AdapterInfo, Event, EventBody, MatrixInfo, Modules, Seconds, Stage, Started, Step};
use lopper::terminal::wire::Wire;
use lopper::theme::{Depth, Theme};
use ratatui::Terminal;

const LAYERS: usize = 32;
const ADAPTERS: usize = 4;
const STEPS: usize = 400;

fn started() -> Started {
    let name = |i: usize| AdapterInfo {
        name: format!("adapter-{i}"),
        role: "related".into(),
        rank: 16,
        alpha: 32.0,
        weight: 1.0,
    };
    let mut matrices = Vec::new();
    for layer in 0..LAYERS {
        for projection in Projection::ALL {
            for adapter in 0..ADAPTERS {
                for factor in [Factor::A, Factor::B] {
                    let module = ModuleId::new(layer, projection);
                    matrices.push(MatrixInfo { module, adapter, factor, rows: 16, cols: 4096 });
                }
            }
        }
    }
    Started { layers: LAYERS, adapters: (0..ADAPTERS).map(name).collect(), matrices, ..Started::default() }
}

/// All matrices at a step: each value has a course and a rhythm of its own and moves at every step, by up to 5 %
/// of itself to and fro and by 20 % along its course over 100 steps.
fn modules(step: usize, count: usize) -> Modules {
    let mut all = Modules { step, ..Modules::default() };
    for i in 0..count {
        let (t, own) = (step as f32, (i as f32 * 0.7).sin());
        let drift = (1.0 + 0.002 * own * t) * (1.0 + 0.05 * (1.3 * t + i as f32).sin());
        let importance = 0.002 * (1.5 * own).exp() * drift;
        all.ratio.push(Some(0.5));
        all.sparsity.push(Some((0.5 + 0.2 * own) * drift.min(1.4)));
        all.importance.push(Some(importance));
        all.quantiles.push(Some([importance * 0.1, importance * 0.6, importance * 2.0]));
        all.retained.push(Some(0.9 + 0.05 * own * drift));
        all.flips.push(Some(0.01 * (1.0 + own) * drift));
    }
    all
}

/// The news of one step.
fn news(step: usize, count: usize) -> Vec<EventBody> {
    let t = step as f64;
    let seconds = Seconds { data: 0.01, forward: 0.4 + 0.05 * t.sin(), backward: 0.6, optimiser: 0.05, prune: 0.1 };
    let loss = 3.4 * (-0.004 * t).exp() + 0.12 * (1.7 * t).sin();
    vec![
        EventBody::Step(Step {
            step,
            epoch: t / 20.0,
            loss,
            lr: 1e-4 * (1.0 - t / STEPS as f64),
            grad_norm: 1.2 + 0.3 * (0.9 * t).sin(),
            tokens_per_second: 1234.0 + 50.0 * t.sin(),
            seconds,
            memory: 614_000_000,
        }),
        EventBody::Modules(modules(step, count)),
    ]
}

/// Bytes of each frame, a step a frame, with the heatmap on this measure.
fn frames(slow: bool, keys: &[&str]) -> Vec<u64> {
    let theme = Theme::find("dark", Depth::True, false).unwrap();
    let theme = if slow { theme.for_slow_link() } else { theme };
    let mut terminal = Terminal::new(Wire::new(std::io::sink(), Some((200, 50)))).unwrap();
    let mut app = App::new("demo", false);
    let started = started();
    let count = started.matrices.len();
    assert_eq!(count, 224 * ADAPTERS * 2);
    let stage = Stage {
        of: 1,
        method: "merge + fine-tune + prune".into(),
        steps: STEPS,
        prunes: true,
        adapters: vec![0, 1, 2, 3],
        ..Stage::default()
    };
    let mut seq = 0;
    let mut tell = |app: &mut App, bodies: Vec<EventBody>, t: f64| {
        let events = bodies.into_iter().map(|body| {
            seq += 1;
            Event { v: 1, seq, t, body }
        });
        let events = events.collect();
        update(app, Message::Run { events, state: RunState::Running, caught_up: true });
        update(app, Message::Tick(t));
    };
    tell(&mut app, vec![EventBody::Started(Box::new(started)), EventBody::Stage(stage)], 1000.0);
    for key in keys {
        update(&mut app, Message::Key((*key).into()));
    }
    let mut all = Vec::new();
    for step in 1..=120 {
        tell(&mut app, news(step, count), 1000.0 + step as f64);
        // Drawn twice: the second time nothing has changed.
        let mut before = terminal.backend().written().total;
        for again in [false, true] {
            if slow {
                app.settle(theme.ramp.levels());
            }
            terminal.draw(|frame| lopper::ui::draw(&app, &theme, frame)).unwrap();
            let total = terminal.backend().written().total;
            if again {
                assert_eq!(total, before, "bytes for nothing at step {step}");
            } else {
                all.push(total - before);
            }
            before = total;
        }
    }
    // The first ones fill the screen.
    all.split_off(5)
}

/// The measures by the keys that lead to them from the first one.
const MEASURES: [&[&str]; 4] = [&["m"], &["m", "m"], &["m", "m", "m"], &["m", "m", "m", "m", "m"]];

#[test]
fn a_live_frame_costs_less_than_40_kb_and_6_over_a_slow_link() {
    for keys in MEASURES {
        for (slow, limit) in [(false, 40_000), (true, 6_000)] {
            let all = frames(slow, keys);
            let (most, mean) = (all.iter().max().unwrap(), all.iter().sum::<u64>() / all.len() as u64);
            println!("{keys:?} slow: {slow}: mean {mean}, most {most}");
            assert!(*most < limit, "{keys:?} slow: {slow}: {all:?}");
            assert!(mean > 100, "nothing moved: {all:?}");
        }
    }
}
