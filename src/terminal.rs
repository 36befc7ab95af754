//! The terminal's life: set up, restored exactly once on every way out, watched for a hang-up.

pub mod signals;
pub mod stderr;

use crate::{Error, Result};
use crossterm::cursor;
use crossterm::event::{DisableBracketedPaste, DisableMouseCapture, EnableBracketedPaste, EnableMouseCapture};
use crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode};
use ratatui::backend::CrosstermBackend;
use ratatui::{Frame, Terminal};
use std::io::{IsTerminal, Stdout, stdin, stdout};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether our modes are on.
static CLAIMED: AtomicBool = AtomicBool::new(false);
/// Whether the mouse is among them.
static MOUSE: AtomicBool = AtomicBool::new(false);
static HOOK: Once = Once::new();

/// The screen while it is ours; given back when dropped.
#[derive(Debug)]
pub struct Screen {
    terminal: Terminal<CrosstermBackend<Stdout>>,
    mouse: bool,
}

fn failed(e: &std::io::Error) -> Error {
    Error::fault(format!("the terminal cannot be used: {e}"))
}

fn claim(mouse: bool) -> Result<()> {
    // Before the first mode changes, so that a failure half-way is undone too.
    CLAIMED.store(true, Ordering::SeqCst);
    enable_raw_mode().map_err(|e| failed(&e))?;
    crossterm::execute!(stdout(), EnterAlternateScreen, cursor::Hide, EnableBracketedPaste).map_err(|e| failed(&e))?;
    if mouse {
        MOUSE.store(true, Ordering::SeqCst);
        crossterm::execute!(stdout(), EnableMouseCapture).map_err(|e| failed(&e))?;
    }
    stderr::keep();
    Ok(())
}

/// Gives the terminal back, once; safe to call from anywhere, a panic included.
pub fn restore() {
    if !CLAIMED.swap(false, Ordering::SeqCst) {
        return;
    }
    // Nothing can be done about a terminal that is gone: each step is tried for itself.
    if MOUSE.swap(false, Ordering::SeqCst) {
        crossterm::execute!(stdout(), DisableMouseCapture).ok();
    }
    crossterm::execute!(stdout(), DisableBracketedPaste, cursor::Show, LeaveAlternateScreen).ok();
    disable_raw_mode().ok();
    stderr::give_back();
}

impl Screen {
    /// Takes the terminal: raw, on its alternate screen, with bracketed paste, and the mouse if wanted.
    ///
    /// # Errors
    /// When standard input or output is none, or it refuses.
    pub fn claim(mouse: bool) -> Result<Self> {
        if !stdout().is_terminal() || !stdin().is_terminal() {
            return Err(Error::user("standard input and output are no terminal; use --plain"));
        }
        HOOK.call_once(|| {
            let before = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |info| {
                restore();
                before(info);
            }));
        });
        let terminal =
            claim(mouse).and_then(|()| Terminal::new(CrosstermBackend::new(stdout())).map_err(|e| failed(&e)));
        match terminal {
            Ok(terminal) => Ok(Self { terminal, mouse }),
            Err(e) => {
                restore();
                Err(e)
            }
        }
    }

    /// Draws a frame: what changed is written.
    ///
    /// # Errors
    /// When the terminal is gone, or was given back because something panicked.
    pub fn draw(&mut self, render: impl FnOnce(&mut Frame<'_>)) -> Result<()> {
        if !CLAIMED.load(Ordering::SeqCst) {
            return Err(Error::fault("a part of lopper panicked; the run goes on"));
        }
        self.terminal.draw(render).map(drop).map_err(|e| failed(&e))
    }

    /// Columns and rows.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn size(&self) -> Result<(u16, u16)> {
        self.terminal.size().map(|s| (s.width, s.height)).map_err(|e| failed(&e))
    }

    /// Forgets what is on the screen: the next frame is written whole.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn redraw(&mut self) -> Result<()> {
        // `Terminal::clear` would ask for the cursor's position and wait for the answer.
        let area = self.terminal.size().map_err(|e| failed(&e))?;
        self.terminal.resize(area.into()).map_err(|e| failed(&e))
    }

    /// Gives the terminal to the shell and stops this process until it is continued.
    ///
    /// # Errors
    /// When the terminal refuses afterwards.
    pub fn suspend(&mut self) -> Result<()> {
        restore();
        signal_hook::low_level::emulate_default_handler(signal_hook::consts::SIGTSTP).map_err(|e| failed(&e))?;
        self.reclaim()
    }

    /// Sets our modes again: a shell that continues a stopped process has set its own.
    ///
    /// # Errors
    /// When the terminal refuses.
    pub fn reclaim(&mut self) -> Result<()> {
        restore();
        claim(self.mouse)?;
        self.redraw()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        restore();
    }
}
