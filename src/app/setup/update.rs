//! How messages change the form: no I/O, effects come back.

use super::rows::What;
use super::{
    Effect, Message, Overlay, Pane, Purpose, Question, Setup, Then, edit, evaluate, fits, hub, look, over, pick, point,
    restore,
};
use crate::app::action::setup::Form;
use crate::app::action::{self, Action, Screen};
use crate::app::palette::Palette;
use crate::app::prompt::Line;
use crate::app::runs::Comparison;
use crate::app::scroll::PAGE;
use crate::app::themes::Choice;
use crate::app::{self, clean};
use std::path::Path;

/// One message.
pub fn update(setup: &mut Setup, message: Message) -> Vec<Effect> {
    match message {
        Message::Key(key) => return press(setup, if key == " " { "space" } else { &key }),
        Message::Paste(text) => return over::paste(setup, &text),
        Message::Mouse(hit) => return point::point(setup, hit),
        Message::Reach(lines) => setup.reach = lines,
        Message::Looked(ticket, looked) => return look::take(setup, ticket, looked),
        Message::Hub(answer) => return hub::take(setup, answer),
        Message::Catalog(catalog) => {
            setup.catalog = Some(catalog);
            fits::forget(setup);
            let mut effects = fits::ask(setup);
            effects.extend(pick::catalog(setup));
            return effects;
        }
        Message::Fits(against, fits) => {
            fits::take(setup, &against, fits);
            return pick::catalog(setup);
        }
        Message::Found(purpose, items) => {
            if let Some(Overlay::Pick(of, picker)) = &mut setup.overlay
                && *of == purpose
            {
                picker.fill(items);
            }
            return pick::entered(setup);
        }
        Message::Listed(folder, items) => {
            if let Some(Overlay::Pick(_, picker)) = &mut setup.overlay {
                picker.list(&folder, items);
            }
            let mut effects = hub::go_on(setup);
            effects.extend(pick::entered(setup));
            return effects;
        }
        Message::Saved(path, text, then) => return saved(setup, &path, text, then),
        Message::Differs(path, then) => {
            over::end_choice(setup);
            setup.overlay = Some(Overlay::Ask { question: Question::Overwrite(path, then), at: 0 });
        }
        Message::Opened(path, text) => return opened(setup, &path, &text),
        Message::Since(since) => {
            if let [(first, what), rest @ ..] = since.as_slice() {
                let more = if rest.is_empty() { String::new() } else { format!("; {} more beside", rest.len()) };
                setup.say(format!("{} {what}{more}", crate::app::clean::line(first)));
            }
            setup.since = since;
            setup.renew_rows();
        }
        Message::Unsaved(found) => restore::found(setup, found),
        Message::Compared(both) => {
            over::end_choice(setup);
            setup.overlay = Some(Overlay::Compare { comparison: Comparison::new(both), top: 0 });
        }
        Message::Started(run) => {
            over::end_choice(setup);
            (setup.starting, setup.toast) = (false, None);
            return vec![Effect::Watch(run)];
        }
        Message::Evaluating(folder) => {
            over::end_choice(setup);
            (setup.starting, setup.toast) = (false, None);
            return vec![Effect::Study(folder)];
        }
        Message::NotStarted(text) => {
            setup.starting = false;
            setup.say(format!("not started: {text}"));
        }
        Message::Toast(text) => setup.say(text),
        Message::Tick(now) => {
            setup.now = now;
            if setup.toast.as_ref().is_some_and(|(_, until)| *until < now) {
                setup.toast = None;
                if setup.starting {
                    setup.say(setup.start_told());
                }
            }
        }
    }
    Vec::new()
}

fn saved(setup: &mut Setup, path: &Path, text: String, then: Then) -> Vec<Effect> {
    let moved = *path != *setup.file;
    setup.file = path.to_path_buf();
    setup.saved = Some(text);
    setup.say(format!("saved {}", setup.name()));
    // Relative paths start at the file's folder.
    let mut effects = if moved { setup.changed() } else { Vec::new() };
    match then {
        // Somebody who types on while the disk is slow is not thrown out.
        Then::Leave if setup.is_changed() => setup.say("not left: there are changes since that save"),
        Then::Stay => {}
        Then::Leave => effects.push(Effect::Quit),
        Then::Open(other) => effects.push(Effect::Open(other)),
        Then::Start => {
            setup.starting = true;
            setup.say(setup.start_told());
            effects.push(Effect::Start(setup.file.clone()));
        }
        Then::Evaluate(methods, seeds) => {
            setup.starting = true;
            setup.say("starting the evaluation");
            effects.push(Effect::Evaluate(setup.file.clone(), methods, seeds));
        }
    }
    effects
}

impl Setup {
    /// What is said while a run is started.
    fn start_told(&self) -> &'static str {
        if self.seen.named.lacking.is_empty() {
            "starting the run"
        } else {
            "starting the run: the hub is asked for what is to be fetched; esc gives up"
        }
    }
}

fn opened(setup: &mut Setup, path: &Path, text: &str) -> Vec<Effect> {
    match Setup::new(path, text, Some(text.to_owned()), setup.home.clone()) {
        Ok(mut new) => {
            over::end_choice(setup);
            (new.ticket, new.now, new.catalog) = (setup.ticket, setup.now, setup.catalog.take());
            new.themes = std::mem::take(&mut setup.themes);
            new.hub = std::mem::take(&mut setup.hub);
            *setup = new;
            setup.begin()
        }
        Err(e) => {
            setup.say(e.at(clean::line(&path.display().to_string())).to_string());
            Vec::new()
        }
    }
}

fn press(setup: &mut Setup, key: &str) -> Vec<Effect> {
    if key == "ctrl-c" {
        let asked = matches!(setup.overlay, Some(Overlay::Ask { question: Question::Unsaved(Then::Leave), .. }));
        setup.editing = None;
        over::end_choice(setup);
        // Asked once, and meant the second time.
        return if asked { vec![Effect::Quit] } else { leave(setup) };
    }
    if let Some(overlay) = setup.overlay.take() {
        return over::press(setup, overlay, key);
    }
    if let Some(editing) = setup.editing.take() {
        return edit::press(setup, editing, key);
    }
    if key == "esc" {
        setup.toast = None;
        if setup.starting {
            setup.say("giving up the start");
            return vec![Effect::GiveUp];
        }
        return Vec::new();
    }
    match action::of(key, Screen::Setup, app::Pane::Heatmap).map(|entry| entry.action) {
        Some(Action::Form(action)) => act(setup, action),
        _ => Vec::new(),
    }
}

fn leave(setup: &mut Setup) -> Vec<Effect> {
    if !setup.is_changed() {
        return vec![Effect::Quit];
    }
    setup.overlay = Some(Overlay::Ask { question: Question::Unsaved(Then::Leave), at: 0 });
    Vec::new()
}

/// Does what an action says.
pub(super) fn act(setup: &mut Setup, action: Form) -> Vec<Effect> {
    match action {
        Form::Up => walk(setup, setup.pane, false, 1),
        Form::Down => walk(setup, setup.pane, true, 1),
        Form::PageUp => walk(setup, setup.pane, false, PAGE),
        Form::PageDown => walk(setup, setup.pane, true, PAGE),
        Form::First => walk(setup, setup.pane, false, usize::MAX),
        Form::Last => walk(setup, setup.pane, true, usize::MAX),
        Form::NextSection | Form::PreviousSection => section(setup, action == Form::NextSection),
        Form::NextPane | Form::PreviousPane => {
            let at = Pane::ALL.iter().position(|p| *p == setup.pane).unwrap_or(0);
            setup.pane = Pane::ALL[(at + if action == Form::NextPane { 1 } else { 2 }) % 3];
        }
        Form::Settings => setup.pane = Pane::Settings,
        Form::Data => setup.pane = Pane::Data,
        Form::Estimate => setup.pane = Pane::Estimate,
        Form::Find => return pick::open(setup, Purpose::Setting),
        Form::Edit | Form::Next | Form::Previous | Form::Switch | Form::Unset if setup.pane != Pane::Settings => {
            setup.pane = Pane::Settings;
        }
        Form::Edit => return edit::enter(setup),
        Form::Next => return edit::step(setup, true),
        Form::Previous => return edit::step(setup, false),
        Form::Switch => return edit::switch(setup),
        Form::Unset => return edit::unset(setup),
        Form::Add => return pick::open(setup, Purpose::Adapter),
        Form::Fetch => return hub::fetch(setup),
        Form::Sort => setup.say("this orders the hub's results: pick a base or add an adapter first"),
        Form::Undo => return setup.step(true),
        Form::Redo => return setup.step(false),
        Form::Save => return save(setup, Then::Stay),
        Form::SaveAs => {
            let stem = setup.file.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
            let line = Line::new(&clean::line(&format!("{stem}-2.toml")));
            setup.overlay = Some(Overlay::SaveAs(line, None));
        }
        Form::Open => return pick::open(setup, Purpose::Open),
        Form::Compare => return pick::open(setup, Purpose::Compare),
        Form::Start => start(setup),
        Form::Evaluate => evaluate::open(setup),
        Form::Renew => {
            setup.say("looking again at folders, data and memory");
            hub::again(setup);
            return vec![Effect::Catalog(setup.file.clone()), setup.look()];
        }
        Form::Palette => {
            setup.overlay = Some(Overlay::Palette(Palette::new(Screen::Setup, app::Pane::Heatmap)));
        }
        Form::Theme => setup.overlay = Some(Overlay::Themes(Choice::new(&setup.themes))),
        Form::Redraw => return vec![Effect::Redraw],
        Form::Suspend => return vec![Effect::Suspend],
        Form::Help => {
            setup.over.forget();
            setup.overlay = Some(Overlay::Help { top: 0 });
        }
        Form::Quit => return leave(setup),
    }
    Vec::new()
}

/// Moves the cursor in the settings, or the lines of another pane, never beyond their ends.
pub(super) fn walk(setup: &mut Setup, pane: Pane, forward: bool, by: usize) {
    let (at, last) = match pane {
        Pane::Settings => (&mut setup.at, setup.rows.len() - 1),
        Pane::Data => (&mut setup.scroll[0], setup.reach[0]),
        Pane::Estimate => (&mut setup.scroll[1], setup.reach[1]),
    };
    // A window that has grown shows its last page from further up.
    let now = (*at).min(last);
    *at = if forward { now.saturating_add(by).min(last) } else { now.saturating_sub(by) };
}

/// The first row of the next section, or of this one and then the one before.
fn section(setup: &mut Setup, forward: bool) {
    setup.pane = Pane::Settings;
    let first = |i: &usize| *i == 0 || setup.rows[*i].section != setup.rows[*i - 1].section;
    let mut firsts = (0..setup.rows.len()).filter(first);
    let to = if forward { firsts.find(|i| *i > setup.at) } else { firsts.take_while(|i| *i < setup.at).last() };
    setup.at = to.unwrap_or(if forward { setup.rows.len() - 1 } else { 0 });
}

/// The wish to write the recipe to its file.
pub(super) fn save(setup: &Setup, then: Then) -> Vec<Effect> {
    let (path, text) = (setup.file.clone(), setup.draft.text());
    vec![Effect::Save { path, text, expected: setup.saved.clone(), replace: false, then }]
}

/// Asks before a start, unless something is wrong.
fn start(setup: &mut Setup) {
    if is_sound(setup) {
        setup.overlay = Some(Overlay::Ask { question: Question::Start, at: 0 });
    }
}

/// Whether a run of the recipe can be started; if not, that is said, and the cursor goes there.
pub(super) fn is_sound(setup: &mut Setup) -> bool {
    let wrong = setup.rows.iter().position(|row| row.error.is_some());
    let data = match &setup.seen.preview {
        Some(Err(sentence)) => Some(sentence.clone()),
        _ => None,
    };
    let estimate = match &setup.seen.estimate {
        Some(Err(sentence)) => Some(sentence.clone()),
        _ => None,
    };
    if setup.starting {
        setup.say("the run is being started; esc gives up as long as the hub is asked");
    } else if let Some(at) = wrong {
        (setup.at, setup.pane) = (at, Pane::Settings);
        let row = setup.row();
        let (name, sentence) = (row.name, row.error.clone().unwrap_or_default());
        let name = if matches!(row.what, What::Adapter(_)) { row.cells[0].clone() } else { name.to_owned() };
        setup.say(format!("not started: {name}: {sentence}"));
    } else if let Some(sentence) = setup.whole.clone() {
        setup.say(format!("not started: {sentence}"));
    } else if let Some(sentence) = data {
        setup.pane = Pane::Data;
        setup.say(format!("not started: {sentence}"));
    } else if let Some(sentence) = estimate {
        setup.pane = Pane::Estimate;
        setup.say(format!("not started: {sentence}"));
    } else {
        return true;
    }
    false
}
