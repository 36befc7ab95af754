//! What the run's events change on the screen.

use super::measure::Measure;
use super::pace::Pace;
use super::update::toast;
use super::watch::{self, charts};
use super::{App, Curves, Note, Overlay, Tone, Written, clean};
use crate::run::RunState;
use crate::run::event::{Event, EventBody, Modules, Sample, Stage};

/// Lines of the log that are kept.
const LOG: usize = 2000;
/// Events that are older are history: nothing to point at.
const NEWS: f64 = 15.0;

/// The run's state and what it said since the last time.
pub fn take(app: &mut App, events: Vec<Event>, state: RunState, caught_up: bool) {
    app.state = state;
    app.caught_up = caught_up;
    for event in events {
        take_event(app, clean::event(event));
    }
    if state.is_over() {
        app.pending.clear();
        app.phase = None;
        super::ratios::trial::lost(app);
    }
}

fn note(app: &mut App, t: f64, tone: Tone, text: impl Into<String>) {
    app.log.push_back(Note { t, tone, text: text.into() });
    if app.log.len() > LOG {
        app.log.pop_front();
    }
    // What is being read stays where it is.
    if app.log_back > 0 {
        app.log_back = (app.log_back + 1).min(LOG);
    }
}

/// Says what is not in the journal: it shows for a while, and stays in the log.
pub(super) fn remark(app: &mut App, text: &str) {
    let (now, text) = (app.now, clean::line(text));
    toast(app, &text);
    note(app, now, Tone::Warn, text);
}

fn take_event(app: &mut App, event: Event) {
    let t = event.t;
    app.last_event = t;
    let is_news = app.now - t < NEWS;
    match event.body {
        EventBody::Started(started) => {
            let text = format!("worker {} on {}, {}", started.pid, started.host, started.device);
            note(app, t, Tone::Plain, text);
            let rows = super::grid::projections(&started);
            if !rows.contains(&app.cursor.1) {
                app.cursor.1 = rows.first().copied().unwrap_or(0);
            }
            app.cursor.0 = app.cursor.0.min(started.layers.saturating_sub(1));
            app.selection.adapter = app.selection.adapter.filter(|a| *a < started.adapters.len());
            app.document = app.document.min(started.documents.len().saturating_sub(1));
            if app.started.as_ref().is_some_and(|old| old.matrices != started.matrices) {
                // Edits of other matrices, and lists of such.
                app.ratios = super::ratios::Ratios::default();
                app.overlay.take_if(|overlay| matches!(overlay, Overlay::Ratios(_)));
            }
            watch::start(app, &started);
            app.started = Some(*started);
            app.notice = None;
            app.phase = None;
            app.pending.clear();
        }
        EventBody::Stage(stage) => take_stage(app, t, stage),
        EventBody::Phase(phase) => {
            if app.phase.as_ref().is_none_or(|p| p.label != phase.label || p.total != phase.total) {
                app.phases = Pace::default();
            }
            app.phases.reach(t, phase.done as f64);
            app.phase = Some(phase);
        }
        EventBody::Step(step) => {
            if let Some(curves) = app.curves.last_mut() {
                charts::take_step(curves, &step);
            }
            app.phase = None;
            app.steps.reach(t, step.step as f64);
            app.step = Some(step);
        }
        EventBody::Modules(modules) => take_modules(app, modules),
        EventBody::Dev(dev) => {
            if let Some(curves) = app.curves.last_mut() {
                charts::take_dev(curves, &dev);
            }
            watch::best::score(app, &dev);
            // What comes next is no part of the evaluation that this ends.
            app.phase = None;
            let rouge = dev.rouge.map(|r| format!(", ROUGE-L {:.2}", r.rouge_l)).unwrap_or_default();
            let best = if dev.best { " (best)" } else { "" };
            note(app, t, Tone::Plain, format!("step {}: dev loss {:.4}{rouge}{best}", dev.step, dev.loss));
        }
        EventBody::Sample(sample) => take_sample(app, sample),
        EventBody::Report(report) => app.report = Some(report),
        EventBody::Control(outcome) => {
            let refused = app.pending.answered(&outcome.id, outcome.ok);
            super::ratios::not_taken(app, &refused);
            super::ratios::trial::answered(app, &outcome);
            let refused = if outcome.ok { "" } else { "refused, " };
            let text = format!("{}: {refused}{}", outcome.command.replace('_', " "), outcome.text);
            // What-ifs follow one another with every edit, and show beside it.
            if is_news && !outcome.command.ends_with("what_if") {
                toast(app, text.clone());
            }
            note(app, t, if outcome.ok { Tone::Plain } else { Tone::Warn }, text);
        }
        EventBody::Checkpoint(checkpoint) => {
            let best = if checkpoint.best { " (best)" } else { "" };
            note(app, t, Tone::Plain, format!("checkpoint {}{best}", checkpoint.path));
        }
        EventBody::Paused { paused } => {
            for pace in [&mut app.steps, &mut app.phases] {
                if paused { pace.pause(t) } else { pace.go_on(t) }
            }
            note(app, t, Tone::Plain, if paused { "paused" } else { "goes on" });
        }
        EventBody::Warning { text } => say(app, t, Tone::Warn, text),
        EventBody::Finished { text } => say(app, t, Tone::Good, text),
        EventBody::Stopped { text } => say(app, t, Tone::Warn, text),
        EventBody::Failed { text } => say(app, t, Tone::Bad, text),
        EventBody::WhatIf(found) => super::ratios::trial::take(app, *found),
        EventBody::Heartbeat {} | EventBody::Unknown => {}
    }
}

fn say(app: &mut App, t: f64, tone: Tone, text: String) {
    app.notice = Some(Note { t, tone, text: text.clone() });
    note(app, t, tone, text);
}

fn take_stage(app: &mut App, t: f64, stage: Stage) {
    note(app, t, Tone::Plain, format!("stage {} of {}: {}", stage.index + 1, stage.of, stage.method));
    app.modules = None;
    app.step = None;
    app.phase = None;
    app.steps = Pace::default();
    app.pending.clear();
    // A stage that is resumed goes on with its curve, from the step of its checkpoint.
    app.curves.retain(|c| c.stage.index <= stage.index);
    let resumed = app.curves.last().is_some_and(|c| c.stage.index == stage.index && c.stage.method == stage.method);
    if stage.steps > 0 && !resumed {
        app.curves.retain(|c| c.stage.index < stage.index);
        app.curves.push(Curves { stage: stage.clone(), ..Curves::default() });
    }
    watch::begin(app, &stage);
    app.stage = stage;
}

fn take_modules(app: &mut App, modules: Modules) {
    app.scales.see(&modules);
    app.pending.stepped();
    watch::take_modules(app, &modules);
    if !app.measure_chosen {
        // With one ratio for all, sparsity is the same everywhere: importance tells the modules apart.
        let mut asked = modules.ratio.iter().flatten();
        let first = asked.next();
        let same = asked.all(|r| Some(r) == first);
        app.measure = if same { Measure::Importance } else { Measure::Sparsity };
    }
    app.modules = Some(modules);
    super::ratios::settle(app);
}

fn take_sample(app: &mut App, sample: Sample) {
    let written = Written {
        stage: app.stage.index,
        method: app.stage.method.clone(),
        step: sample.step,
        text: sample.text,
        rouge_l: sample.rouge_l,
    };
    // A journal may name any document.
    let known = app.started.as_ref().map_or(0, |s| s.documents.len());
    if sample.document < known {
        watch::reading::take(app.samples.entry(sample.document).or_default(), written);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::Message;
    use crate::app::update::update;
    use crate::run::inquiry::{Answer, Said};

    #[test]
    fn what_is_to_be_known_of_a_set_that_answers_shows_and_stays_in_the_log() {
        let mut app = App::new("x", false);
        let said = Said::Note("a checkpoint is damaged\u{1b}[2J".into());
        update(&mut app, Message::Answered(Box::new(Answer { id: "screen-1".into(), said })));
        let last = app.log.back().unwrap();
        assert!(last.tone == Tone::Warn && last.text.starts_with("a checkpoint is damaged"), "{last:?}");
        assert!(!last.text.contains('\u{1b}') && app.toast.as_ref().unwrap().0 == last.text, "{:?}", app.toast);
    }
}
