//! The loop of the screen: keys, news of the run and the clock in; frames and commands out.

use super::{draw, export};
use crate::app::update::update;
use crate::app::{App, Effect, Message};
use crate::run::tail::{self, TailUpdate};
use crate::run::{RunState, control, write_aside};
use crate::terminal::{self, Screen};
use crate::theme::{Depth, Theme};
use crate::{Error, Result};
use crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

/// At most ten frames a second.
const FRAME: Duration = Duration::from_millis(100);

/// How to watch.
#[derive(Debug, Clone, Default)]
pub struct WatchOptions {
    /// No key changes anything.
    pub read_only: bool,
    /// Borders in ASCII.
    pub ascii: bool,
    /// Name of the theme, `default` if left out.
    pub theme: Option<String>,
}

/// How the user left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ending {
    /// How the run stood.
    pub state: RunState,
}

/// The action table's name of a key.
fn name(key: KeyEvent) -> Option<String> {
    if key.kind == KeyEventKind::Release {
        return None;
    }
    Some(match key.code {
        KeyCode::Char(c) if key.modifiers.contains(KeyModifiers::CONTROL) => format!("ctrl-{c}"),
        KeyCode::Char(c) => c.to_string(),
        KeyCode::Up => "up".into(),
        KeyCode::Down => "down".into(),
        KeyCode::Left => "left".into(),
        KeyCode::Right => "right".into(),
        KeyCode::Tab => "tab".into(),
        KeyCode::Enter => "enter".into(),
        KeyCode::Esc => "esc".into(),
        _ => return None,
    })
}

/// Shows the run at `dir` until the user leaves; the run is not touched by that.
///
/// # Errors
/// When it is no run, or the terminal cannot be used.
pub fn watch(dir: &Path, options: &WatchOptions) -> Result<Ending> {
    let theme = Theme::named(options.theme.as_deref().unwrap_or("default"), Depth::detect(), options.ascii)?;
    let (sender, news) = mpsc::channel();
    let stop = Arc::new(AtomicBool::new(false));
    let follower = tail::follow(dir, sender, Arc::clone(&stop))?;
    let quit = terminal::quit_signals()?;
    let mut screen = Screen::claim()?;
    terminal::watch_for_hang_up()?;
    let label = dir.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let mut app = App::new(crate::text::printable(&label).into_owned(), options.read_only);
    let result = turn(&mut app, &theme, &mut screen, &news, &quit, dir);
    stop.store(true, Ordering::Relaxed);
    drop(screen);
    drop(news);
    follower.join().ok();
    result.map(|()| Ending { state: app.state })
}

fn turn(
    app: &mut App,
    theme: &Theme,
    screen: &mut Screen,
    news: &Receiver<TailUpdate>,
    quit: &AtomicBool,
    dir: &Path,
) -> Result<()> {
    let failed = |e: &std::io::Error| Error::fault(format!("the terminal cannot be used: {e}"));
    let mut dirty = true;
    let mut drawn: Option<Instant> = None;
    let mut second = 0u64;
    loop {
        if quit.load(Ordering::Relaxed) {
            return Ok(());
        }
        for TailUpdate { events, state, .. } in news.try_iter().take(64) {
            dirty = true;
            update(app, Message::Run { events, state });
        }
        let now = crate::run::now();
        // The clock shows in the silence of a run and ends toasts: once a second is enough.
        if now as u64 != second {
            second = now as u64;
            let shows = app.toast.is_some() || (!app.state.is_over() && now - app.last_event > 14.0);
            update(app, Message::Tick(now));
            dirty |= shows;
        }
        if dirty && drawn.is_none_or(|at| at.elapsed() >= FRAME) {
            screen.terminal.draw(|frame| draw(app, theme, frame)).map_err(|e| failed(&e))?;
            drawn = Some(Instant::now());
            dirty = false;
        }
        // Everything that is typed is taken before the next frame.
        let mut wait = FRAME;
        while event::poll(wait).map_err(|e| failed(&e))? {
            wait = Duration::ZERO;
            let effects = match event::read().map_err(|e| failed(&e))? {
                Event::Key(key) => match name(key) {
                    Some(key) => update(app, Message::Key(key)),
                    None => continue,
                },
                Event::Resize(..) => Vec::new(),
                _ => continue,
            };
            dirty = true;
            for effect in effects {
                match effect {
                    Effect::Quit => return Ok(()),
                    Effect::Suspend => screen.suspend()?,
                    Effect::SavePicture => {
                        let said = picture(app, theme, screen, dir).unwrap_or_else(|e| e.to_string());
                        update(app, Message::Toast(said));
                    }
                    Effect::Send(command) => {
                        let name = command.name();
                        let said = match control::send(dir, command) {
                            Ok(_) => format!("{name}: sent"),
                            Err(e) => e.to_string(),
                        };
                        update(app, Message::Toast(said));
                    }
                }
            }
        }
    }
}

/// Draws the screen once more, into a picture in the run directory.
fn picture(app: &App, theme: &Theme, screen: &mut Screen, dir: &Path) -> Result<String> {
    let size = screen.terminal.size().map_err(|e| Error::fault(e.to_string()))?;
    let svg = render(app, theme, size.width, size.height)?;
    let path = dir.join(format!("screen-{}.svg", crate::run::now() as u64));
    write_aside(&path, svg.as_bytes())?;
    Ok(format!("saved {}", path.display()))
}

/// The app at a size, as SVG.
///
/// # Errors
/// Never on a sane size.
pub fn render(app: &App, theme: &Theme, width: u16, height: u16) -> Result<String> {
    let backend = ratatui::backend::TestBackend::new(width, height);
    let mut terminal = ratatui::Terminal::new(backend).map_err(|e| Error::fault(e.to_string()))?;
    terminal.draw(|frame| draw(app, theme, frame)).map_err(|e| Error::fault(e.to_string()))?;
    Ok(export::svg(terminal.backend().buffer()))
}
