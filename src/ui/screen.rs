//! The loop of the screen: keys, news of the run and the clock in; frames and commands out.

use super::beside::Beside;
use super::options::{self, WatchOptions};
use super::picture::{self, render};
use super::setup::{self, Source};
use super::{draw, export, input, sets, status};
use crate::Result;
use crate::app::looks::Frames;
use crate::app::update::update;
use crate::app::watch::method;
use crate::app::{App, Effect, Message};
use crate::recipe::ratios::Rule;
use crate::run::replay::Clock;
use crate::run::tail::{self, TailUpdate};
use crate::run::{RunState, control, replay, write_aside};
use crate::terminal::signals::Signals;
use crate::terminal::wire::Written;
use crate::terminal::{Screen, clipboard, record};
use crate::theme::Theme;
use crossterm::event::Event;
use ratatui::layout::Rect;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

/// At most ten frames a second, but an answer to a key at once.
const FRAME: Duration = Duration::from_millis(100);
/// Over a slow link at most four.
const SLOW_FRAME: Duration = Duration::from_millis(250);
/// News of the run are looked for so often while no key is pressed.
const LOOK: Duration = Duration::from_millis(100);
/// So long news of a long journal are taken in before the next look at the keys.
const TAKE: Duration = Duration::from_millis(2);
/// So long the next slice of a long journal is waited for.
const NEXT: Duration = Duration::from_millis(1);
/// So long the first frame waits for all that there is to show: half of it would look like a run that is not so far.
const FIRST: Duration = Duration::from_millis(100);
/// The same where the journal is so long that the screen says how much of it was read.
const FIRST_OF_LONG: Duration = Duration::from_millis(30);

/// How the user left.
#[derive(Debug, Clone, PartialEq)]
pub struct Ending {
    /// How the run stood.
    pub state: RunState,
    /// Rules that a new recipe of the run's is to have behind its own.
    pub set_up: Option<Vec<Rule>>,
}

/// Shows the run at `dir` until the user leaves; the run is not touched by that.
///
/// # Errors
/// When it is no run, or the terminal cannot be used.
pub fn watch(dir: &Path, options: &WatchOptions) -> Result<Ending> {
    let signals = Signals::take()?;
    let (mut screen, mut theme) = options.claim()?;
    let mut result = show(dir, options, &mut theme, &mut screen, &signals, false);
    if let Ok(Ending { set_up: Some(rules), .. }) = &result {
        let source = Source::Run(dir.to_path_buf(), rules.clone());
        let runs = dir.parent().unwrap_or(dir);
        let shown = setup::screen::show(&source, runs, options, &mut theme, &mut screen, &signals);
        result = shown.and(result);
    }
    drop(screen);
    record::stop();
    result
}

/// Shows the run at `dir` on a screen that is ours already; `theme` is the one that is on in the end.
///
/// # Errors
/// When it is no run, or the terminal is gone.
pub fn show(
    dir: &Path,
    options: &WatchOptions,
    theme: &mut Theme,
    screen: &mut Screen,
    signals: &Signals,
    from_list: bool,
) -> Result<Ending> {
    let mut app = fresh(dir, options);
    app.from_list = from_list;
    follow(app, dir, options, theme, screen, signals)
}

/// The same from a list of methods: at `method`, if there is one.
///
/// # Errors
/// When it is no run, or the terminal is gone.
pub(super) fn show_at(
    dir: &Path,
    method: Option<&str>,
    options: &WatchOptions,
    theme: &mut Theme,
    screen: &mut Screen,
    signals: &Signals,
) -> Result<Ending> {
    let mut app = fresh(dir, options);
    app.from_list = true;
    if let Some(method) = method {
        method::want(&mut app, method);
    }
    follow(app, dir, options, theme, screen, signals)
}

/// A screen of which nothing is known yet.
fn fresh(dir: &Path, options: &WatchOptions) -> App {
    let label = dir.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    App::new(&label, options.read_only)
}

fn follow(
    mut app: App,
    dir: &Path,
    options: &WatchOptions,
    theme: &mut Theme,
    screen: &mut Screen,
    signals: &Signals,
) -> Result<Ending> {
    let (sender, news) = mpsc::sync_channel(tail::WAITING);
    let stop = Arc::new(AtomicBool::new(false));
    // Nobody waits for the follower's end: it only reads, and comes to it within a look at the run.
    let clock = match options.replay {
        Some(speed) => Some(replay::follow(dir, speed, sender, Arc::clone(&stop))?.0),
        None => tail::follow(dir, sender, Arc::clone(&stop)).map(|_| None)?,
    };
    app.looks.themes = options::themes(theme);
    app.looks.debug = options.debug;
    app.looks.replay = options.replay;
    let beside = Beside::new(dir);
    let mut turning = Loop {
        app: &mut app,
        theme,
        screen,
        signals,
        dir,
        options,
        clock,
        beside,
        dirty: true,
        answer: false,
        set_up: None,
    };
    let result = turning.turn(&news);
    // What was chosen with the last keys was not drawn any more.
    turning.dress();
    let set_up = turning.set_up.take();
    stop.store(true, Ordering::Relaxed);
    result.map(|()| Ending { state: app.state, set_up })
}

/// What the loop works on.
struct Loop<'a> {
    app: &'a mut App,
    theme: &'a mut Theme,
    screen: &'a mut Screen,
    signals: &'a Signals,
    dir: &'a Path,
    options: &'a WatchOptions,
    /// The journal's time in a replay.
    clock: Option<Arc<Clock>>,
    /// What is read aside.
    beside: Beside,
    /// Something has changed.
    dirty: bool,
    /// And it is the user who waits for it.
    answer: bool,
    /// What the screen is left for.
    set_up: Option<Vec<Rule>>,
}

impl Loop<'_> {
    fn turn(&mut self, news: &Receiver<TailUpdate>) -> Result<()> {
        let mut drawn: Option<Instant> = None;
        let mut second = 0u64;
        let pace = if self.options.slow_link { SLOW_FRAME } else { FRAME };
        self.first(news)?;
        loop {
            if self.signals.quit() {
                return Ok(());
            }
            self.dirty |= self.screen.heed(self.signals)?;
            self.tick(&mut second)?;
            let more = self.take(news)?;
            for message in self.beside.news() {
                self.dirty = true;
                self.answer |= matches!(message, Message::Looked { .. });
                for effect in update(self.app, message) {
                    self.carry_out(effect)?;
                }
            }
            if self.dirty && (self.answer || drawn.is_none_or(|at| at.elapsed() >= pace)) {
                self.frame()?;
                drawn = Some(Instant::now());
                (self.dirty, self.answer) = (false, false);
            }
            let wait = match drawn {
                _ if more => Duration::ZERO,
                // Of a long journal the next slice is about to come.
                _ if self.app.read.is_some() => NEXT,
                Some(at) if self.dirty => pace.saturating_sub(at.elapsed()),
                _ => LOOK,
            };
            if self.keys(wait)? {
                return Ok(());
            }
        }
    }

    /// Draws what has changed, and takes down what that cost.
    fn frame(&mut self) -> Result<()> {
        let start = Instant::now();
        self.dress();
        if self.options.slow_link {
            self.app.settle(self.theme.ramp.levels());
        }
        self.screen.draw(|frame| draw(self.app, self.theme, frame))?;
        let Written { frames, last, total } = self.screen.written();
        let frames = Frames { count: frames, last, total, seconds: start.elapsed().as_secs_f64() };
        self.app.looks.frames = frames;
        if let Some(sentence) = record::failure() {
            update(self.app, Message::Toast(sentence));
        }
        Ok(())
    }

    /// Puts on the theme that the user wants; one that cannot be read changes nothing.
    fn dress(&mut self) {
        if let Err(e) = self.options.dress(self.theme, &mut self.app.looks.themes) {
            update(self.app, Message::Toast(e.to_string()));
        }
    }

    /// Reads the theme again if its file was written meanwhile.
    fn refresh(&mut self) {
        match self.options.refresh(self.theme) {
            Ok(read) => self.dirty |= read,
            Err(e) => {
                self.dirty = true;
                update(self.app, Message::Toast(e.to_string()));
            }
        }
    }

    /// The clock: it shows in ETA and silence and ends toasts. Once a second is enough.
    fn tick(&mut self, second: &mut u64) -> Result<()> {
        let now = crate::run::now();
        let whole = now as u64 != *second;
        if !whole && !self.app.watch.scrub.is_due(now) && !self.app.ratios.trial.is_due(now) {
            return Ok(());
        }
        if whole {
            *second = now as u64;
            self.refresh();
            let app = &*self.app;
            let silent = app.now - app.last_event > status::SILENT - 2.0;
            // While the run is paused its ETA stands still.
            let left = app.state != RunState::Paused && app.eta().is_some();
            let waits = app.ratios.trial.is_asked();
            self.dirty |= app.toast.is_some() || waits || (!app.state.is_over() && (silent || left));
        } else {
            self.dirty = true;
        }
        for effect in update(self.app, Message::Tick(now)) {
            self.carry_out(effect)?;
        }
        if let Some(clock) = &self.clock {
            update(self.app, Message::Told(clock.now()));
        }
        Ok(())
    }

    /// Takes in what is there at the start, so that the first frame shows it.
    fn first(&mut self, news: &Receiver<TailUpdate>) -> Result<()> {
        let start = Instant::now();
        loop {
            let limit = if self.app.read.is_some() { FIRST_OF_LONG } else { FIRST };
            let Some(left) = limit.checked_sub(start.elapsed()) else { return Ok(()) };
            let Ok(new) = news.recv_timeout(left) else { return Ok(()) };
            let whole = new.caught_up;
            self.hear(new)?;
            if whole {
                return Ok(());
            }
        }
    }

    /// Takes in some news; true if there may be more.
    fn take(&mut self, news: &Receiver<TailUpdate>) -> Result<bool> {
        let start = Instant::now();
        while let Ok(new) = news.try_recv() {
            self.hear(new)?;
            if start.elapsed() >= TAKE {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn hear(&mut self, TailUpdate { events, state, caught_up, read, gone, .. }: TailUpdate) -> Result<()> {
        self.dirty = true;
        for effect in update(self.app, Message::Run { events, state, caught_up }) {
            self.carry_out(effect)?;
        }
        if gone != self.app.gone {
            update(self.app, Message::Gone(gone));
        }
        if read != self.app.read {
            update(self.app, Message::Read(read));
        }
        Ok(())
    }

    /// Takes everything that is typed within `wait`, and what comes with it; true to leave.
    fn keys(&mut self, mut wait: Duration) -> Result<bool> {
        while let Some(event) = self.screen.event(wait)? {
            wait = Duration::ZERO;
            self.dirty |= matches!(event, Event::Resize(..));
            let (width, height) = self.screen.size()?;
            let notice = status::notice(self.app, self.theme, width.saturating_sub(2)).len() as u16;
            let Some(message) = input::message(self.app, event, Rect::new(0, 0, width, height), notice) else {
                continue;
            };
            self.dirty = true;
            self.answer = true;
            for effect in update(self.app, message) {
                match effect {
                    Effect::Quit => return Ok(true),
                    Effect::SetUp(rules) => {
                        self.set_up = Some(rules);
                        return Ok(true);
                    }
                    other => self.carry_out(other)?,
                }
            }
        }
        Ok(false)
    }

    fn carry_out(&mut self, effect: Effect) -> Result<()> {
        match effect {
            // Whoever reads the keys leaves for these.
            Effect::Quit | Effect::SetUp(_) => {}
            Effect::Suspend => self.screen.suspend(self.signals)?,
            Effect::Redraw => self.screen.redraw()?,
            Effect::SavePicture => {
                let said = self.picture().unwrap_or_else(|e| e.to_string());
                update(self.app, Message::Toast(said));
            }
            Effect::SavePane => {
                let said = self.pane().unwrap_or_else(|e| e.to_string());
                update(self.app, Message::Toast(said));
            }
            Effect::CopyRun => {
                let path = std::path::absolute(self.dir).unwrap_or_else(|_| self.dir.to_owned());
                let said = clipboard::send(&path.display().to_string());
                let said = said.map_or_else(|e| e.to_string(), |()| "the run's path: sent to the terminal".into());
                update(self.app, Message::Toast(said));
            }
            Effect::Look { matrix, wanted } => self.beside.look(matrix, wanted),
            Effect::ListRuns => self.beside.list(),
            Effect::Follow(paths) => self.beside.follow(&paths),
            Effect::PauseReplay => self.clock.iter().for_each(|clock| clock.toggle()),
            Effect::Ratios(order) => {
                let message = sets::carry_out(order);
                update(self.app, message);
            }
            Effect::Send(_) if self.clock.is_some() => {
                update(self.app, Message::NotSent("a replay changes nothing".into()));
            }
            Effect::ReadSensitivity => self.beside.sensitivity(),
            Effect::Inquire(question) => {
                let name = question.name().to_owned();
                let message = match self.beside.inquire(question) {
                    Ok(id) => Message::Sent { command: name, id },
                    Err(e) => Message::NotSent(e.to_string()),
                };
                update(self.app, message);
            }
            Effect::Send(command) => {
                let name = command.name().to_owned();
                let message = match control::send(self.dir, command) {
                    Ok(id) => Message::Sent { command: name, id },
                    Err(e) => Message::NotSent(e.to_string()),
                };
                update(self.app, message);
            }
        }
        Ok(())
    }

    /// Draws the screen once more, into a picture in the run directory.
    fn picture(&self) -> Result<String> {
        let (width, height) = self.screen.size()?;
        let svg = render(self.app, self.theme, width, height)?;
        let path = self.dir.join(format!("screen-{}.svg", crate::run::now() as u64));
        write_aside(&path, svg.as_bytes())?;
        Ok(format!("saved {}", path.display()))
    }

    /// The pane with the keys, as a picture and as text in the run directory.
    fn pane(&self) -> Result<String> {
        let size = self.screen.size()?;
        let buffer = picture::pane(self.app, self.theme, size)?;
        let name = format!("{}-{}", self.app.pane.label(), crate::run::now() as u64);
        write_aside(&self.dir.join(format!("{name}.svg")), export::svg(&buffer, self.theme.picture).as_bytes())?;
        write_aside(&self.dir.join(format!("{name}.txt")), export::text(&buffer).as_bytes())?;
        Ok(format!("saved {name}.svg and {name}.txt in {}", self.dir.display()))
    }
}
