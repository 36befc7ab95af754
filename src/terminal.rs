//! The terminal's life: set up, restored exactly once on every way out, watched for a hang-up.

pub mod clipboard;
pub mod keys;
pub mod probe;
pub mod record;
pub mod signals;
pub mod stderr;
pub mod typed;
pub mod wire;

use crate::{Error, Result};
use crossterm::cursor;
use crossterm::event::{DisableBracketedPaste, DisableMouseCapture, EnableBracketedPaste, EnableMouseCapture, Event};
use crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode};
use keys::Keys;
use ratatui::{Frame, Terminal};
use signals::Signals;
use std::io::{self, IsTerminal, Write, stdin, stdout};
use std::os::fd::AsFd;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use wire::{Wire, Written};

/// Whether our modes are on.
static CLAIMED: AtomicBool = AtomicBool::new(false);
/// Whether the mouse is among them.
static MOUSE: AtomicBool = AtomicBool::new(false);
/// Whether frames are synchronised updates.
static SYNC: AtomicBool = AtomicBool::new(false);
static HOOK: Once = Once::new();

/// Standard output, with an ear on it for the recording.
#[derive(Debug, Default)]
struct Out;

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes).map(|()| bytes.len())
    }

    // Whole, so that no character is cut in two for the recording.
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        stdout().write_all(bytes)?;
        record::output(bytes);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        stdout().flush()
    }
}

/// The screen while it is ours; given back when dropped.
#[derive(Debug)]
pub struct Screen {
    terminal: Terminal<Wire<Out>>,
    mouse: bool,
    keys: Keys,
    /// Put off for a new size.
    next: Option<Event>,
    /// Columns and rows, as far as was told.
    told: (u16, u16),
}

/// The sentence for a terminal that fails.
fn failed(e: &std::io::Error) -> Error {
    signals::leave_if_gone();
    Error::fault(format!("the terminal cannot be used: {e}"))
}

fn claim(mouse: bool) -> Result<()> {
    // Before the first mode changes, so that a failure half-way is undone too.
    CLAIMED.store(true, Ordering::SeqCst);
    enable_raw_mode().map_err(|e| failed(&e))?;
    crossterm::execute!(Out, EnterAlternateScreen, cursor::Hide, EnableBracketedPaste).map_err(|e| failed(&e))?;
    if mouse {
        MOUSE.store(true, Ordering::SeqCst);
        crossterm::execute!(Out, EnableMouseCapture).map_err(|e| failed(&e))?;
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
        crossterm::execute!(Out, DisableMouseCapture).ok();
    }
    if SYNC.load(Ordering::SeqCst) {
        Out.write_all(wire::END).ok();
    }
    crossterm::execute!(Out, DisableBracketedPaste, cursor::Show, LeaveAlternateScreen).ok();
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
                if !crate::contained::is_quiet() {
                    restore();
                }
                before(info);
            }));
        });
        let input = stdin().as_fd().try_clone_to_owned().and_then(Keys::new).map_err(|e| failed(&e))?;
        let terminal = claim(mouse).and_then(|()| Terminal::new(Wire::new(Out, None)).map_err(|e| failed(&e)));
        match terminal {
            Ok(terminal) => {
                let told = terminal.size().map_or((0, 0), |s| (s.width, s.height));
                Ok(Self { terminal, mouse, keys: input, next: None, told })
            }
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

    /// Asks the terminal what it can do, for at most `limit`, before anything is drawn and any key is read;
    /// what is typed meanwhile comes from [`Self::event`]. From then on frames are synchronised updates where it knows them.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn probe(&mut self, limit: Duration, background: bool) -> Result<probe::Answers> {
        let (answers, heard) = probe::ask(limit, background);
        self.keys.push(&heard);
        SYNC.store(answers.sync, Ordering::SeqCst);
        self.terminal.backend_mut().synchronise(answers.sync);
        // Some terminals print what they do not understand.
        self.redraw().map(|()| answers)
    }

    /// What the user does next, within `wait`.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn event(&mut self, wait: Duration) -> Result<Option<Event>> {
        if let Some(event) = self.next.take() {
            return Ok(Some(event));
        }
        let event = self.keys.next(wait).map_err(|e| failed(&e))?;
        let (width, height) = self.size()?;
        if std::mem::replace(&mut self.told, (width, height)) != (width, height) {
            record::resize((width, height));
            self.next = event;
            return Ok(Some(Event::Resize(width, height)));
        }
        Ok(event)
    }

    /// What was written so far.
    pub fn written(&self) -> Written {
        self.terminal.backend().written()
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
        self.terminal.backend_mut().forget();
        let area = self.terminal.size().map_err(|e| failed(&e))?;
        self.terminal.resize(area.into()).map_err(|e| failed(&e))
    }

    /// Gives the terminal to the shell and stops this process until it is continued.
    ///
    /// # Errors
    /// When the terminal refuses afterwards.
    pub fn suspend(&mut self, signals: &Signals) -> Result<()> {
        restore();
        signal_hook::low_level::emulate_default_handler(signal_hook::consts::SIGTSTP).map_err(|e| failed(&e))?;
        self.reclaim()?;
        // What continued us needs no second answer.
        signals.go_on();
        Ok(())
    }

    /// Suspends or reclaims, as `signals` say; true if the screen has to be drawn anew.
    ///
    /// # Errors
    /// When the terminal refuses.
    pub fn heed(&mut self, signals: &Signals) -> Result<bool> {
        let stopped = signals.stop();
        if stopped {
            self.suspend(signals)?;
        }
        let continued = signals.go_on();
        if continued {
            self.reclaim()?;
        }
        Ok(stopped || continued)
    }

    /// Sets our modes again: a shell that continues a stopped process has set its own.
    ///
    /// # Errors
    /// When the terminal refuses.
    fn reclaim(&mut self) -> Result<()> {
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
