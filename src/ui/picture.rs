//! A run's screen as a picture, without a terminal: for reports, and for the README.

use super::{beside, draw, export, layout, sets, status};
use crate::app::action::keymap;
use crate::app::ratios::Order;
use crate::app::update::update;
use crate::app::{App, Effect, Message};
use crate::run::event::{Event, EventBody};
use crate::run::journal::{Reader, last_of};
use crate::run::tail::Tail;
use crate::run::{RunDir, RunState};
use crate::theme::Theme;
use crate::{Error, Result};
use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

/// Events and bytes of the journal that are read at once, about.
const SLICE: usize = 500;
const SLICE_BYTES: u64 = 1024 * 1024;

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
        check_key(key)?;
        for effect in update(&mut app, Message::Key(key.clone())) {
            let would = match effect {
                // Only looked up.
                Effect::Ratios(order @ Order::List) => {
                    update(&mut app, sets::carry_out(order));
                    continue;
                }
                // Read at once: there is no later in a picture.
                Effect::Look { matrix, wanted } => {
                    update(&mut app, beside::look(run.path(), matrix, &wanted));
                    continue;
                }
                Effect::ListRuns => {
                    update(&mut app, beside::runs(run.path()));
                    continue;
                }
                Effect::Follow(paths) => {
                    for path in paths {
                        let known = beside::whole(&path);
                        update(&mut app, Message::Other(path, known));
                    }
                    continue;
                }
                Effect::Quit | Effect::Suspend | Effect::Redraw | Effect::PauseReplay => continue,
                Effect::Send(_) => "change the run",
                Effect::ReadSensitivity => {
                    update(&mut app, beside::sensitivity(run.path()));
                    continue;
                }
                Effect::Inquire(_) => "measure something",
                Effect::SetUp(_) => "set up a run",
                Effect::Ratios(Order::Save { .. }) | Effect::SavePicture | Effect::SavePane => "write a file",
                Effect::CopyRun => "write to the clipboard",
            };
            return Err(Error::user(format!("the key {key:?} would {would}; a picture does not")));
        }
    }
    render(&app, theme, size.0, size.1)
}

/// What `draw` draws at a size, cell by cell.
///
/// # Errors
/// Never on a sane size.
pub fn drawn((width, height): (u16, u16), draw: impl FnOnce(&mut Frame<'_>)) -> Result<Buffer> {
    let backend = ratatui::backend::TestBackend::new(width, height);
    let mut terminal = ratatui::Terminal::new(backend).map_err(|e| Error::fault(e.to_string()))?;
    terminal.draw(draw).map_err(|e| Error::fault(e.to_string()))?;
    Ok(terminal.backend().buffer().clone())
}

/// The app at a size, as SVG.
///
/// # Errors
/// Never on a sane size.
pub fn render(app: &App, theme: &Theme, width: u16, height: u16) -> Result<String> {
    Ok(export::svg(&drawn((width, height), |frame| draw(app, theme, frame))?, theme.picture))
}

/// The pane with the keys, as it stands on a screen of that size.
///
/// # Errors
/// When the screen is too small to have panes.
pub fn pane(app: &App, theme: &Theme, (width, height): (u16, u16)) -> Result<Buffer> {
    let notice = status::notice(app, theme, width.saturating_sub(2)).len() as u16;
    let places = layout::places(app, Rect::new(0, 0, width, height), notice);
    let panes = places.map(|p| p.panes).unwrap_or_default();
    let Some((_, area, _)) = panes.into_iter().find(|(pane, ..)| *pane == app.pane) else {
        return Err(Error::user("the window is too small to have panes; make it larger first"));
    };
    // Nothing that lies over it.
    let bare = App { overlay: None, ..app.clone() };
    let all = drawn((width, height), |frame| draw(&bare, theme, frame))?;
    Ok(part(&all, area))
}

/// A part of what was drawn.
pub fn part(all: &Buffer, area: Rect) -> Buffer {
    let mut out = Buffer::empty(area);
    for position in area.positions() {
        if let (Some(to), Some(from)) = (out.cell_mut(position), all.cell(position)) {
            *to = from.clone();
        }
    }
    out
}

/// The app as somebody who attaches sees it.
///
/// # Errors
/// When the journal cannot be read.
pub fn now(run: &RunDir) -> Result<App> {
    let mut app = App::new(&run.name(), false);
    let mut tail = Tail::new(run.clone());
    loop {
        let news = tail.poll()?;
        let message = Message::Run { events: news.events, state: news.state, caught_up: news.caught_up };
        if update(&mut app, message).contains(&Effect::ReadSensitivity) {
            update(&mut app, beside::sensitivity(run.path()));
        }
        if news.caught_up {
            update(&mut app, Message::Tick(crate::run::now()));
            return Ok(app);
        }
    }
}

/// As somebody saw it who was there right after `step` of the last stage.
fn early(run: &RunDir, step: usize) -> Result<App> {
    let journal = run.journal_file();
    // Where the last stage begins is looked for from the end; what comes after the step is not read.
    let stage = last_of(&journal, "stage")?.map_or(0, |event| event.seq);
    let mut app = App::new(&run.name(), false);
    if told_until(&mut Reader::new(&journal), &mut app, (stage, step))? {
        return Ok(app);
    }
    let place = crate::text::printable(&run.path().display().to_string()).into_owned();
    Err(Error::user(format!("the last stage of {place} has no step {step}")))
}

/// Tells the app the events up to the state after a step, the first of that number from event `seq` on; false where
/// there is none.
fn told_until(reader: &mut Reader, app: &mut App, (seq, step): (u64, usize)) -> Result<bool> {
    loop {
        let mut events = reader.read(SLICE, SLICE_BYTES)?;
        if events.is_empty() {
            return Ok(false);
        }
        let reached = |e: &Event| e.seq >= seq && matches!(&e.body, EventBody::Modules(m) if m.step == step);
        let end = events.iter().position(reached);
        events.truncate(end.map_or(events.len(), |at| at + 1));
        let now = events.last().map_or(0.0, |e| e.t);
        update(app, Message::Run { events, state: RunState::Running, caught_up: end.is_some() });
        if end.is_some() {
            update(app, Message::Tick(now));
            return Ok(true);
        }
    }
}

/// Refuses what is no name of a key.
///
/// # Errors
/// When it is none.
pub(super) fn check_key(name: &str) -> Result<()> {
    if keymap::is_key(name) {
        return Ok(());
    }
    Err(Error::user(format!("there is no key {name:?}; `lopper keys` lists them")))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::run::event::{Modules, Stage};
    use crate::run::journal::Journal;

    #[test]
    fn a_journal_is_read_as_far_as_the_step_of_its_last_stage() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("recipe.toml"), "").unwrap();
        let run = RunDir::open(folder.path()).unwrap();
        let mut journal = Journal::open(&run.journal_file()).unwrap();
        for index in 0..2 {
            journal.append(EventBody::Stage(Stage { index, of: 2, steps: 3000, ..Stage::default() })).unwrap();
            for step in 1..=3000 {
                let modules = Modules { step, sparsity: vec![Some(0.5)], ..Modules::default() };
                journal.append(EventBody::Modules(modules)).unwrap();
            }
        }
        let app = early(&run, 700).unwrap();
        assert_eq!((app.stage.index, app.modules.as_ref().unwrap().step), (1, 700));
        assert_eq!(app.watch.history.len(), 3700);
        let mut reader = Reader::new(&run.journal_file());
        let mut app = App::new("x", false);
        assert!(told_until(&mut reader, &mut app, (3001, 700)).unwrap());
        assert!(reader.offset() < reader.length() * 3 / 4, "{} of {}", reader.offset(), reader.length());
        assert!(early(&run, 3001).unwrap_err().to_string().contains("has no step 3001"));
    }
}
