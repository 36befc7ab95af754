//! A run's screen as a picture, without a terminal: for reports, and for the README.

use super::screen::render;
use crate::app::update::update;
use crate::app::{App, Effect, Message};
use crate::run::RunDir;
use crate::run::event::{Event, EventBody};
use crate::run::journal::Reader;
use crate::run::tail::Tail;
use crate::theme::Theme;
use crate::{Error, Result};

/// The screen of `run` at `size` after `keys`, as SVG; with `until`, as it stood right after that step of
/// its last stage.
///
/// # Errors
/// When the journal cannot be read or a key has no meaning.
pub fn of_run(run: &RunDir, theme: &Theme, size: (u16, u16), until: Option<usize>, keys: &[String]) -> Result<String> {
    let mut app = match until {
        Some(step) => early(run, step)?,
        None => now(run)?,
    };
    for key in keys {
        if !is_key(key) {
            return Err(Error::user(format!("there is no key {key:?}; `lopper keys` lists them")));
        }
        let effects = update(&mut app, Message::Key(key.clone()));
        if effects.iter().any(|effect| matches!(effect, Effect::Send(_))) {
            return Err(Error::user(format!("the key {key:?} would change the run; a picture does not")));
        }
    }
    render(&app, theme, size.0, size.1)
}

/// As somebody who attaches sees it.
fn now(run: &RunDir) -> Result<App> {
    let mut app = App::new(&run.name(), false);
    let mut tail = Tail::new(run.clone());
    loop {
        let news = tail.poll()?;
        update(&mut app, Message::Run { events: news.events, state: news.state, caught_up: news.caught_up });
        if news.caught_up {
            update(&mut app, Message::Tick(crate::run::now()));
            return Ok(app);
        }
    }
}

/// As somebody saw it who was there right after `step` of the last stage.
fn early(run: &RunDir, step: usize) -> Result<App> {
    let all = Reader::new(&run.journal_file()).read(usize::MAX, u64::MAX)?;
    let stage = all.iter().rposition(|e| matches!(e.body, EventBody::Stage(_))).unwrap_or(0);
    let reached = |e: &Event| matches!(&e.body, EventBody::Modules(m) if m.step == step);
    let end = all.iter().skip(stage).position(reached).map(|at| stage + at + 1);
    let end =
        end.ok_or_else(|| Error::user(format!("the last stage of {} has no step {step}", run.path().display())))?;
    let mut app = App::new(&run.name(), false);
    let now = all.get(end - 1).map_or(0.0, |e| e.t);
    let events = all.into_iter().take(end).collect();
    update(&mut app, Message::Run { events, state: crate::run::RunState::Running, caught_up: true });
    update(&mut app, Message::Tick(now));
    Ok(app)
}

/// Whether a name is that of a key: one character, or one with a name.
fn is_key(name: &str) -> bool {
    const NAMED: [&str; 14] = [
        "space",
        "backspace",
        "enter",
        "esc",
        "tab",
        "shift-tab",
        "up",
        "down",
        "left",
        "right",
        "home",
        "end",
        "page-up",
        "page-down",
    ];
    name.chars().count() == 1 || NAMED.contains(&name) || name.starts_with("ctrl-")
}
