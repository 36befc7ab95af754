//! The loop of the screen: keys, news of the run and the clock in; frames and commands out.

use super::{draw, export, input, status};
use crate::app::update::update;
use crate::app::{App, Effect, Message};
use crate::run::tail::{self, TailUpdate};
use crate::run::{RunState, control, write_aside};
use crate::terminal::Screen;
use crate::terminal::signals::Signals;
use crate::theme::{Depth, Theme};
use crate::{Error, Result};
use crossterm::event;
use ratatui::layout::Rect;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

/// At most thirty frames a second.
const FRAME: Duration = Duration::from_millis(33);
/// News of the run are looked for so often while no key is pressed.
const LOOK: Duration = Duration::from_millis(100);
/// Slices of a long journal that are taken in before the next look at the keys.
const SLICES: usize = 4;

/// How to watch.
#[derive(Debug, Clone, Default)]
pub struct WatchOptions {
    /// No key changes anything.
    pub read_only: bool,
    /// ASCII characters only.
    pub ascii: bool,
    /// Listen to the mouse; the terminal's own selection then needs Shift.
    pub mouse: bool,
    /// Name or file of the theme, `default` if left out.
    pub theme: Option<String>,
}

impl WatchOptions {
    /// The theme, as this terminal can show it.
    ///
    /// # Errors
    /// When there is none of that name, or its file is wrong.
    pub fn find_theme(&self) -> Result<Theme> {
        Theme::find(self.theme.as_deref().unwrap_or("default"), Depth::detect(), self.ascii)
    }

    /// The theme with all colours, for a picture: `dark` if none was named.
    ///
    /// # Errors
    /// As [`Self::find_theme`].
    pub fn picture_theme(&self) -> Result<Theme> {
        Theme::find(self.theme.as_deref().unwrap_or("dark"), Depth::True, self.ascii)
    }
}

/// How the user left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ending {
    /// How the run stood.
    pub state: RunState,
}

/// Shows the run at `dir` until the user leaves; the run is not touched by that.
///
/// # Errors
/// When it is no run, or the terminal cannot be used.
pub fn watch(dir: &Path, options: &WatchOptions) -> Result<Ending> {
    let theme = options.find_theme()?;
    let signals = Signals::take()?;
    let mut screen = Screen::claim(options.mouse)?;
    show(dir, options, &theme, &mut screen, &signals, false)
}

/// Shows the run at `dir` on a screen that is ours already.
///
/// # Errors
/// When it is no run, or the terminal is gone.
pub fn show(
    dir: &Path,
    options: &WatchOptions,
    theme: &Theme,
    screen: &mut Screen,
    signals: &Signals,
    from_list: bool,
) -> Result<Ending> {
    let (sender, news) = mpsc::channel();
    let stop = Arc::new(AtomicBool::new(false));
    let follower = tail::follow(dir, sender, Arc::clone(&stop))?;
    let label = dir.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let mut app = App::new(&label, options.read_only);
    app.from_list = from_list;
    let result = Loop { app: &mut app, theme, screen, signals, dir, dirty: true }.turn(&news);
    stop.store(true, Ordering::Relaxed);
    drop(news);
    follower.join().ok();
    result.map(|()| Ending { state: app.state })
}

/// What the loop works on.
struct Loop<'a> {
    app: &'a mut App,
    theme: &'a Theme,
    screen: &'a mut Screen,
    signals: &'a Signals,
    dir: &'a Path,
    dirty: bool,
}

fn failed(e: &std::io::Error) -> Error {
    Error::fault(format!("the terminal cannot be used: {e}"))
}

impl Loop<'_> {
    fn turn(&mut self, news: &Receiver<TailUpdate>) -> Result<()> {
        let mut drawn: Option<Instant> = None;
        let mut second = 0u64;
        loop {
            if self.signals.quit() {
                return Ok(());
            }
            self.stopped_or_continued()?;
            self.tick(&mut second);
            let more = self.take(news);
            if self.dirty && drawn.is_none_or(|at| at.elapsed() >= FRAME) {
                self.screen.draw(|frame| draw(self.app, self.theme, frame))?;
                drawn = Some(Instant::now());
                self.dirty = false;
            }
            let wait = match drawn {
                _ if more => Duration::ZERO,
                Some(at) if self.dirty => FRAME.saturating_sub(at.elapsed()),
                _ => LOOK,
            };
            if self.keys(wait)? {
                return Ok(());
            }
        }
    }

    fn stopped_or_continued(&mut self) -> Result<()> {
        if self.signals.stop() {
            self.screen.suspend()?;
            self.signals.go_on();
            self.dirty = true;
        }
        if self.signals.go_on() {
            self.screen.reclaim()?;
            self.dirty = true;
        }
        Ok(())
    }

    /// The clock: it shows in ETA and silence and ends toasts. Once a second is enough.
    fn tick(&mut self, second: &mut u64) {
        let now = crate::run::now();
        if self.app.watch.scrub.is_due(now) {
            update(self.app, Message::Tick(now));
            self.dirty = true;
        }
        if now as u64 != *second {
            *second = now as u64;
            let app = &mut *self.app;
            let silent = app.now - app.last_event > status::SILENT - 2.0;
            self.dirty |= app.toast.is_some() || (!app.state.is_over() && (silent || app.eta().is_some()));
            update(app, Message::Tick(now));
        }
    }

    /// Takes in some news; true if there are more.
    fn take(&mut self, news: &Receiver<TailUpdate>) -> bool {
        let mut taken = 0;
        for TailUpdate { events, state, caught_up, .. } in news.try_iter().take(SLICES) {
            self.dirty = true;
            taken += 1;
            update(self.app, Message::Run { events, state, caught_up });
        }
        taken == SLICES
    }

    /// Takes everything that is typed within `wait`, and what comes with it; true to leave.
    fn keys(&mut self, mut wait: Duration) -> Result<bool> {
        while event::poll(wait).map_err(|e| failed(&e))? {
            wait = Duration::ZERO;
            let event = event::read().map_err(|e| failed(&e))?;
            self.dirty |= matches!(event, event::Event::Resize(..));
            let (width, height) = self.screen.size()?;
            let notice = status::notice(self.app, self.theme, width.saturating_sub(2)).len() as u16;
            let Some(message) = input::message(self.app, event, Rect::new(0, 0, width, height), notice) else {
                continue;
            };
            self.dirty = true;
            for effect in update(self.app, message) {
                if effect == Effect::Quit {
                    return Ok(true);
                }
                self.carry_out(effect)?;
            }
        }
        Ok(false)
    }

    fn carry_out(&mut self, effect: Effect) -> Result<()> {
        match effect {
            Effect::Quit => {}
            Effect::Suspend => {
                self.screen.suspend()?;
                self.signals.go_on();
            }
            Effect::Redraw => self.screen.redraw()?,
            Effect::SavePicture => {
                let said = self.picture().unwrap_or_else(|e| e.to_string());
                update(self.app, Message::Toast(said));
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
}

/// The app at a size, as SVG.
///
/// # Errors
/// Never on a sane size.
pub fn render(app: &App, theme: &Theme, width: u16, height: u16) -> Result<String> {
    let backend = ratatui::backend::TestBackend::new(width, height);
    let mut terminal = ratatui::Terminal::new(backend).map_err(|e| Error::fault(e.to_string()))?;
    terminal.draw(|frame| draw(app, theme, frame)).map_err(|e| Error::fault(e.to_string()))?;
    Ok(export::svg(terminal.backend().buffer(), theme.picture))
}
