//! How messages change the app: no I/O, effects come back.

use super::action::{self, Action, Screen};
use super::scroll::scrolled;
use super::{
    App, Effect, Hit, Measure, Message, Overlay, Pane, clean, grid, looks, news, prompt, ratios, sensitivity, watch,
};
use crate::module::Factor;
use crate::run::RunState;
use crate::run::control::Command;
use crate::run::event::EventBody;
use crate::run::inquiry::{Answer, Said};

/// Seconds that a toast stays.
const TOAST: f64 = 5.0;

/// One message.
pub fn update(app: &mut App, message: Message) -> Vec<Effect> {
    match message {
        Message::Key(key) => {
            let effects = press(app, &key);
            if app.is_difference() && app.measure == Measure::Sensitivity {
                // Of steps and runs there is none.
                app.measure = Measure::Sparsity;
            }
            ratios::trial::notice(app);
            return effects;
        }
        Message::Paste(text) => {
            if let Some(Overlay::Prompt(prompt)) = app.overlay.take_if(|o| matches!(o, Overlay::Prompt(_))) {
                prompt::paste(app, prompt, &text);
                return Vec::new();
            }
            if let Some(Overlay::Others(choice)) = app.overlay.take_if(|o| matches!(o, Overlay::Others(_))) {
                watch::others::paste(app, choice, &text);
                return Vec::new();
            }
            if let Some(Overlay::Palette(palette)) = &mut app.overlay {
                palette.paste(&text);
                return Vec::new();
            }
            // Each of its letters may be a key that stops the run.
            let count = text.chars().count();
            toast(app, format!("ignored a paste of {count} characters: nothing here takes text"));
        }
        Message::Mouse(hit) => point(app, hit),
        Message::Run { events, state, caught_up } => {
            let saved = events.iter().any(|event| matches!(event.body, EventBody::Checkpoint(_)));
            news::take(app, events, state, caught_up);
            watch::method::arrive(app);
            let mut effects = sensitivity::opened(app);
            if saved {
                effects.extend(watch::matrix::again(app));
            }
            return effects;
        }
        Message::Looked { matrix, found } => watch::matrix::take(app, matrix, found),
        Message::Answered(answer) => answered(app, *answer),
        Message::Sensitivity(all) => sensitivity::take_file(app, all),
        // What comes of these shows where it is asked.
        Message::Sent { command, id } if command == "what_if" => ratios::trial::sent(app, &id),
        Message::Sent { command, id } if command == "sensitivity" => sensitivity::sent(app, &id),
        Message::Sent { command, id } if command == "suggest" => ratios::suggest::sent(app, &id),
        Message::Sent { command, .. } if ["cancel_what_if", "give_up"].contains(&&*command) => {}
        Message::Sent { command, id } => {
            app.pending.sent(&id);
            toast(app, format!("{}: sent", command.replace('_', " ")));
        }
        Message::NotSent(sentence) => {
            let unsent = app.pending.not_sent();
            ratios::not_taken(app, &unsent);
            ratios::trial::not_sent(app);
            ratios::suggest::not_sent(app);
            sensitivity::not_sent(app);
            toast(app, sentence);
        }
        Message::RatioSets(sets) => ratios::take_sets(app, sets),
        Message::Runs(runs) => return watch::others::listed(app, runs),
        Message::Other(path, known) => watch::others::learn(app, &path, &known),
        Message::Toast(text) => toast(app, text),
        Message::Read(share) => app.read = share,
        Message::Gone(text) => app.gone = text,
        Message::Told(now) => app.now = now,
        Message::Tick(now) => {
            app.clock = now;
            if app.looks.replay.is_none() {
                app.now = now;
            }
            watch::scrub::tick(app, now);
            if app.toast.as_ref().is_some_and(|(_, until)| *until < now) {
                app.toast = None;
            }
            return ratios::trial::tick(app, now);
        }
    }
    Vec::new()
}

/// An answer of the process that has loaded the run.
fn answered(app: &mut App, Answer { id, said }: Answer) {
    match said {
        Said::WhatIf(mut found) => {
            clean::what_if(&mut found);
            ratios::trial::take(app, *found);
        }
        Said::Measured(measured) => sensitivity::take(app, *measured),
        Said::Progress(line) => ratios::suggest::told(app, &id, &line),
        Said::Note(text) => news::remark(app, &text),
        Said::Proposed(proposal) => ratios::suggest::take(app, &id, *proposal),
        Said::Ended(why) => {
            if !sensitivity::ended(app, &id, why.as_deref()) {
                ratios::suggest::ended(app, &id, why.as_deref());
            }
        }
    }
}

/// Says something for a while.
pub(super) fn toast(app: &mut App, text: impl AsRef<str>) {
    app.toast = Some((clean::line(text.as_ref()), app.clock + TOAST));
}

/// How far what a draft does can be scrolled before it was drawn, lines.
const LONGEST_TRIAL: usize = 60;

fn press(app: &mut App, key: &str) -> Vec<Effect> {
    let entry = action::of(key, Screen::Watch, app.pane);
    let overlay = app.overlay.take();
    // Texts have a word for it; in a line it is a character.
    let moved = if key == " " { "space" } else { key };
    match overlay {
        // Leaving works from everywhere.
        overlay if key == "ctrl-c" => {
            if let Some(Overlay::Themes(choice)) = overlay {
                choice.give_up(&mut app.looks.themes);
            }
            return vec![Effect::Quit];
        }
        Some(Overlay::Help { top }) => {
            let last = app.looks.reach.within(action::help_lines(Screen::Watch).saturating_sub(1));
            app.overlay = scrolled(moved, top, last).map(|top| Overlay::Help { top });
            return Vec::new();
        }
        Some(Overlay::Trial { top }) => {
            let last = app.looks.reach.within(LONGEST_TRIAL);
            app.overlay = scrolled(moved, top, last).map(|top| Overlay::Trial { top });
            return Vec::new();
        }
        Some(Overlay::Module { top }) => return watch::press_module(app, key, top),
        Some(Overlay::Matrix(look)) => return watch::matrix::press(app, look, key),
        Some(Overlay::Prompt(prompt)) => return prompt::press(app, prompt, key),
        Some(Overlay::Palette(palette)) => return looks::find(app, palette, key),
        Some(Overlay::Themes(choice)) => return looks::choose(app, choice, key),
        Some(Overlay::Others(choice)) => return watch::others::press(app, choice, key),
        Some(Overlay::Ratios(menu)) => return ratios::menu::press(app, menu, key),
        Some(Overlay::Stop { yes }) => return answer(app, key, yes),
        None if key == "esc" => app.toast = None,
        None => {}
    }
    entry.map_or_else(Vec::new, |entry| carry(app, entry, key))
}

/// Does what an entry of the table says, where it may; `said` is what the user chose it by.
pub(super) fn carry(app: &mut App, entry: &action::Entry, said: &str) -> Vec<Effect> {
    if entry.changes && app.looks.replay.is_some() {
        return looks::in_replay(app, entry.action, said);
    }
    if entry.changes && !entry.works(app) {
        let why = if app.read_only {
            "this screen is read-only".to_owned()
        } else {
            format!("the run is {}", app.state.word())
        };
        toast(app, format!("{why}: `{said}` changes nothing"));
        return Vec::new();
    }
    if matches!(entry.action, Action::Ratio(_)) && entry.changes && !app.is_live() {
        toast(app, "this step is past: backspace goes back to the live one, whose ratios can change");
        return Vec::new();
    }
    act(app, entry.action)
}

fn act(app: &mut App, action: Action) -> Vec<Effect> {
    match action {
        Action::Up | Action::Down | Action::Left | Action::Right => walk(app, action),
        Action::First => app.cursor.0 = 0,
        Action::Last => app.cursor.0 = app.layers().saturating_sub(1),
        Action::NextPane => app.pane = step(&Pane::ALL, app.pane, true),
        Action::PreviousPane => app.pane = step(&Pane::ALL, app.pane, false),
        Action::Heatmap => app.pane = Pane::Heatmap,
        Action::Charts => app.pane = Pane::Charts,
        Action::Samples => app.pane = Pane::Samples,
        Action::Report => app.pane = Pane::Report,
        Action::Log => app.pane = Pane::Log,
        Action::Measure | Action::PreviousMeasure => {
            app.measure = step(&Measure::WALK, app.measure, action == Action::Measure);
            app.measure_chosen = true;
            if app.measure == Measure::Sensitivity {
                return vec![Effect::ReadSensitivity];
            }
        }
        Action::Adapter => {
            let count = app.started.as_ref().map_or(0, |s| s.adapters.len());
            let after = app.selection.adapter.map_or(0, |a| a + 1);
            app.selection.adapter = (after < count).then_some(after);
        }
        Action::Factor => {
            app.selection.factor = match app.selection.factor {
                None => Some(Factor::A),
                Some(Factor::A) => Some(Factor::B),
                Some(Factor::B) => None,
            };
        }
        Action::NextDocument => step_document(app, true),
        Action::PreviousDocument => step_document(app, false),
        Action::Earlier if app.curves.len() < 2 => toast(app, "no earlier stage has curves"),
        Action::Earlier => app.earlier = !app.earlier,
        Action::Ratio(edit) => return ratios::act(app, edit),
        Action::Pause => {
            let command = if app.state == RunState::Paused { Command::Resume } else { Command::Pause };
            return vec![Effect::Send(command)];
        }
        Action::Checkpoint => return vec![Effect::Send(Command::Checkpoint)],
        Action::Generate => return vec![Effect::Send(Command::Generate)],
        Action::Stop => app.overlay = Some(Overlay::Stop { yes: false }),
        Action::Picture => return vec![Effect::SavePicture],
        Action::Redraw => return vec![Effect::Redraw],
        Action::Help => {
            app.looks.reach.forget();
            app.overlay = Some(Overlay::Help { top: 0 });
        }
        Action::Suspend => return vec![Effect::Suspend],
        Action::Quit => return vec![Effect::Quit],
        Action::Palette | Action::Theme | Action::Export | Action::CopyRun | Action::ToggleDebug => {
            return looks::act(app, action);
        }
        // The other screens have tables and states of their own.
        Action::List(_) | Action::Form(_) | Action::Study(_) => {}
        Action::Quantity
        | Action::PreviousQuantity
        | Action::Smoothing
        | Action::LogScale
        | Action::ZoomIn
        | Action::ZoomOut
        | Action::ZoomReset
        | Action::StepBack
        | Action::StepOn
        | Action::TenBack
        | Action::TenOn
        | Action::Play
        | Action::Live
        | Action::Compare
        | Action::OtherCurves
        | Action::OtherRun
        | Action::Inspect
        | Action::NextVersion
        | Action::PreviousVersion
        | Action::Differences
        | Action::Search
        | Action::NextMatch => return watch::act(app, action),
    }
    Vec::new()
}

fn answer(app: &mut App, key: &str, yes: bool) -> Vec<Effect> {
    match key {
        "left" | "right" | "h" | "l" | "tab" | "shift-tab" => app.overlay = Some(Overlay::Stop { yes: !yes }),
        // The run may have ended while the question stood there.
        "y" if app.can_change() => return vec![Effect::Send(Command::Stop)],
        "enter" if yes && app.can_change() => return vec![Effect::Send(Command::Stop)],
        // Everything else is the safe answer.
        _ => {}
    }
    Vec::new()
}

fn walk(app: &mut App, action: Action) {
    let forward = matches!(action, Action::Down | Action::Right);
    let vertical = matches!(action, Action::Up | Action::Down);
    match app.pane {
        Pane::Samples if vertical => watch::reading::scroll(app, forward, 1),
        Pane::Log if vertical => scroll_log(app, !forward, 1),
        Pane::Charts if !vertical => watch::charts::walk(app, forward),
        _ if vertical => {
            let rows = app.started.as_ref().map_or_else(|| (0..7).collect(), grid::projections);
            let at = rows.iter().position(|p| *p == app.cursor.1).unwrap_or(0);
            let to = if forward { (at + 1).min(rows.len() - 1) } else { at.saturating_sub(1) };
            app.cursor.1 = rows[to];
        }
        _ if forward => app.cursor.0 = (app.cursor.0 + 1).min(app.layers().saturating_sub(1)),
        _ => app.cursor.0 = app.cursor.0.saturating_sub(1),
    }
}

fn scroll_log(app: &mut App, back: bool, lines: usize) {
    let most = app.log.len().saturating_sub(1);
    app.log_back = if back { (app.log_back + lines).min(most) } else { app.log_back.saturating_sub(lines) };
}

fn point(app: &mut App, hit: Hit) {
    if app.overlay.is_some() {
        return;
    }
    match hit {
        Hit::Pane(pane) => app.pane = pane,
        Hit::Cell(layer, projection) => {
            app.pane = Pane::Heatmap;
            app.cursor = (layer.min(app.layers().saturating_sub(1)), projection.min(6));
        }
        Hit::Wheel(Pane::Log, up) => scroll_log(app, up, 3),
        Hit::Wheel(Pane::Samples, up) => watch::reading::scroll(app, !up, 3),
        Hit::Wheel(Pane::Heatmap, up) => {
            let last = app.layers().saturating_sub(1);
            app.cursor.0 = if up { app.cursor.0.saturating_sub(1) } else { (app.cursor.0 + 1).min(last) };
        }
        Hit::Wheel(..) => {}
    }
}

fn step<T: Copy + PartialEq>(all: &[T], now: T, forward: bool) -> T {
    let at = all.iter().position(|x| *x == now).unwrap_or(0);
    all[(at + if forward { 1 } else { all.len() - 1 }) % all.len()]
}

fn step_document(app: &mut App, forward: bool) {
    let count = app.started.as_ref().map_or(0, |s| s.documents.len()).max(1);
    if count == 1 {
        toast(app, "there is no other sample document");
        return;
    }
    app.document = (app.document + if forward { 1 } else { count - 1 }) % count;
    watch::reading::turn(app);
}
