//! What a frame costs over the wire while a run goes on and every value drifts.
#![allow(clippy::unwrap_used)]

use crate::synthetic;
use lopper::app::update::update;
use lopper::app::{App, Message};
use lopper::run::RunState;
use lopper::run::event::{Event, EventBody};
use lopper::terminal::wire::Wire;
use lopper::theme::{Depth, Theme};
use ratatui::Terminal;

const STEPS: usize = 400;

/// The news of one step.
fn news(step: usize, count: usize) -> Vec<EventBody> {
    vec![EventBody::Step(synthetic::update(step, STEPS)), EventBody::Modules(synthetic::modules(step, count))]
}

/// Bytes of each frame, a step a frame, with the heatmap on this measure.
fn frames(slow: bool, keys: &[&str]) -> Vec<u64> {
    let theme = Theme::find("dark", Depth::True, false).unwrap();
    let theme = if slow { theme.for_slow_link() } else { theme };
    let mut terminal = Terminal::new(Wire::new(std::io::sink(), Some((200, 50)))).unwrap();
    let mut app = App::new("demo", false);
    let started = synthetic::started();
    let count = started.matrices.len();
    assert_eq!(count, 224 * synthetic::ADAPTERS * 2);
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
    tell(&mut app, vec![EventBody::Started(Box::new(started)), EventBody::Stage(synthetic::stage(STEPS))], 1000.0);
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
