//! How messages change the app: no I/O, effects come back.

use super::action::{self, Action};
use super::{App, CommandKey, Curves, Effect, Measure, Message, Overlay, Pane};
use crate::module::Factor;
use crate::recipe::ratios::Rule;
use crate::run::RunState;
use crate::run::control::Command;
use crate::run::event::{Event, EventBody};

/// Seconds that a toast stays.
const TOAST: f64 = 5.0;

/// One message.
pub fn update(app: &mut App, message: Message) -> Vec<Effect> {
    match message {
        Message::Key(key) => return press(app, &key),
        Message::Run { events, state } => {
            app.state = state;
            for event in events {
                take(app, event);
            }
        }
        Message::Toast(text) => app.toast = Some((text, app.now + TOAST)),
        Message::Tick(now) => {
            app.now = now;
            if app.toast.as_ref().is_some_and(|(_, until)| *until < now) {
                app.toast = None;
            }
        }
    }
    Vec::new()
}

fn take(app: &mut App, event: Event) {
    app.last_event = event.t;
    match event.body {
        EventBody::Started(started) => {
            app.started = Some(*started);
            app.notice.clear();
        }
        EventBody::Stage(stage) => {
            if app.stage_began == 0.0 || app.stage.index != stage.index || app.stage.method != stage.method {
                app.modules = None;
                app.step = None;
            }
            app.stage_began = event.t;
            app.phase = None;
            // A stage that is resumed draws its curve anew.
            app.curves.retain(|c| c.stage.index < stage.index);
            if stage.steps > 0 {
                app.curves.push(Curves { stage: stage.clone(), ..Curves::default() });
            }
            app.stage = stage;
        }
        EventBody::Phase(phase) => app.phase = Some(phase),
        EventBody::Step(step) => {
            if let Some(curves) = app.curves.last_mut() {
                curves.train.push(step.step as f64, step.loss);
            }
            app.phase = None;
            app.step_at = event.t;
            app.step = Some(step);
        }
        EventBody::Modules(modules) => {
            if let Some(started) = &app.started {
                for (matrix, ratio) in started.matrices.iter().zip(&modules.ratio) {
                    if app
                        .pending
                        .get(&matrix.module)
                        .is_some_and(|want| ratio.is_some_and(|r| (r - want).abs() < 1e-3))
                    {
                        app.pending.remove(&matrix.module);
                    }
                }
            }
            app.modules = Some(modules);
        }
        EventBody::Dev(dev) => {
            if let Some(curves) = app.curves.last_mut() {
                curves.dev.push(dev.step as f64, dev.loss);
            }
        }
        EventBody::Sample(sample) => {
            let summaries = app.samples.entry(sample.document).or_default();
            summaries.before = summaries.latest.take().map(|(_, old)| old.text);
            summaries.latest = Some((app.stage.method.clone(), sample));
        }
        EventBody::Report(report) => app.report = Some(report),
        EventBody::Control(outcome) => {
            let refused = if outcome.ok { "" } else { "refused, " };
            app.toast = Some((format!("{}: {refused}{}", outcome.command, outcome.text), app.now + TOAST));
            if !outcome.ok {
                app.pending.clear();
            }
        }
        EventBody::Checkpoint(checkpoint) => app.toast = Some((format!("wrote {}", checkpoint.path), app.now + TOAST)),
        EventBody::Warning { text }
        | EventBody::Finished { text }
        | EventBody::Stopped { text }
        | EventBody::Failed { text } => app.notice = text,
        EventBody::Paused { .. } | EventBody::Heartbeat {} | EventBody::Unknown => {}
    }
}

fn press(app: &mut App, key: &str) -> Vec<Effect> {
    match app.overlay.take() {
        Some(Overlay::Help) => return Vec::new(),
        Some(Overlay::Confirm { question, command, yes }) => return confirm(app, key, question, command, yes),
        None => {}
    }
    let Some(entry) = action::of(key) else { return Vec::new() };
    if entry.changes && (app.read_only || app.state.is_over()) {
        let why = if app.read_only { "read-only" } else { app.state.word() };
        app.toast = Some((format!("{why}: this key changes nothing here"), app.now + TOAST));
        return Vec::new();
    }
    let layers = app.layers();
    match entry.action {
        Action::Up if app.pane == Pane::Samples => step_document(app, false),
        Action::Down if app.pane == Pane::Samples => step_document(app, true),
        Action::Up => app.cursor.1 = app.cursor.1.saturating_sub(1),
        Action::Down => app.cursor.1 = (app.cursor.1 + 1).min(6),
        Action::Left => app.cursor.0 = app.cursor.0.saturating_sub(1),
        Action::Right => app.cursor.0 = (app.cursor.0 + 1).min(layers.saturating_sub(1)),
        Action::NextPane => app.pane = next(&Pane::ALL, app.pane),
        Action::Heatmap => app.pane = Pane::Heatmap,
        Action::Charts => app.pane = Pane::Charts,
        Action::Samples => app.pane = Pane::Samples,
        Action::Report => app.pane = Pane::Report,
        Action::Measure => app.measure = next(&Measure::ALL, app.measure),
        Action::Adapter => {
            let count = app.started.as_ref().map_or(0, |s| s.adapters.len());
            let after = app.adapter.map_or(0, |a| a + 1);
            app.adapter = (after < count).then_some(after);
        }
        Action::Factor => {
            app.factor = match app.factor {
                None => Some(Factor::A),
                Some(Factor::A) => Some(Factor::B),
                Some(Factor::B) => None,
            };
        }
        Action::NextDocument => step_document(app, true),
        Action::PreviousDocument => step_document(app, false),
        Action::Raise => return tweak(app, 0.05),
        Action::Lower => return tweak(app, -0.05),
        Action::Pause => {
            let command = if app.state == RunState::Paused { Command::Resume } else { Command::Pause };
            return vec![Effect::Send(command)];
        }
        Action::Checkpoint => return vec![Effect::Send(Command::Checkpoint)],
        Action::Generate => return vec![Effect::Send(Command::Generate)],
        Action::Stop => {
            app.overlay = Some(Overlay::Confirm {
                question: "Stop the run with a checkpoint?".into(),
                command: Box::new(CommandKey::Stop),
                yes: false,
            });
        }
        Action::Picture => return vec![Effect::SavePicture],
        Action::Help => app.overlay = Some(Overlay::Help),
        Action::Suspend => return vec![Effect::Suspend],
        Action::Quit => return vec![Effect::Quit],
    }
    Vec::new()
}

fn confirm(app: &mut App, key: &str, question: String, command: Box<CommandKey>, yes: bool) -> Vec<Effect> {
    match key {
        "y" => {}
        "enter" if yes => {}
        "left" | "right" | "h" | "l" | "tab" => {
            app.overlay = Some(Overlay::Confirm { question, command, yes: !yes });
            return Vec::new();
        }
        // Everything else is the safe answer.
        _ => return Vec::new(),
    }
    match *command {
        CommandKey::Stop => vec![Effect::Send(Command::Stop)],
    }
}

fn next<T: Copy + PartialEq>(all: &[T], now: T) -> T {
    let at = all.iter().position(|x| *x == now).unwrap_or(0);
    all[(at + 1) % all.len()]
}

fn step_document(app: &mut App, forward: bool) {
    let count = app.started.as_ref().map_or(0, |s| s.documents.len()).max(1);
    app.document = (app.document + if forward { 1 } else { count - 1 }) % count;
}

fn tweak(app: &mut App, by: f32) -> Vec<Effect> {
    let module = app.module();
    let Some(now) = app.pending.get(&module).copied().or_else(|| app.value(module, Measure::Ratio)) else {
        app.toast = Some(("this module is not being pruned now".into(), app.now + TOAST));
        return Vec::new();
    };
    let ratio = ((f64::from(now + by).clamp(0.0, 1.0) * 20.0).round() / 20.0).clamp(0.0, 1.0);
    app.pending.insert(module, ratio as f32);
    let adapter = match (app.adapter, &app.started) {
        (Some(i), Some(started)) => started.adapters.get(i).map_or_else(|| "*".into(), |a| a.name.clone()),
        _ => "*".into(),
    };
    let rule = Rule { modules: module.to_string(), adapter, factor: app.factor, ratio };
    vec![Effect::Send(Command::SetRatios { rules: vec![rule] })]
}
