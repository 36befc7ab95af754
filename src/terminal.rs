//! The terminal's life: set up, restored exactly once on every way out, watched for a hang-up.

use crate::{Error, Result};
use crossterm::cursor;
use crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use std::io::{IsTerminal, Stdout, stdout};
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether our modes are on.
static CLAIMED: AtomicBool = AtomicBool::new(false);

/// The screen while it is ours; given back when dropped.
#[derive(Debug)]
pub struct Screen {
    /// What is drawn on.
    pub terminal: Terminal<CrosstermBackend<Stdout>>,
}

fn failed(e: &std::io::Error) -> Error {
    Error::fault(format!("the terminal cannot be used: {e}"))
}

fn claim() -> Result<()> {
    // Before the first mode changes, so that a failure half-way is undone too.
    CLAIMED.store(true, Ordering::SeqCst);
    enable_raw_mode().map_err(|e| failed(&e))?;
    crossterm::execute!(stdout(), EnterAlternateScreen, cursor::Hide).map_err(|e| failed(&e))
}

/// Gives the terminal back, once; safe to call from anywhere, a panic included.
pub fn restore() {
    if CLAIMED.swap(false, Ordering::SeqCst) {
        // Nothing can be done about a terminal that is gone.
        crossterm::execute!(stdout(), cursor::Show, LeaveAlternateScreen).ok();
        disable_raw_mode().ok();
    }
}

impl Screen {
    /// Takes the terminal.
    ///
    /// # Errors
    /// When standard output is none, or it refuses.
    pub fn claim() -> Result<Self> {
        if !stdout().is_terminal() {
            return Err(Error::user("standard output is no terminal; use --plain"));
        }
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            restore();
            before(info);
        }));
        let claimed = claim().and_then(|()| Terminal::new(CrosstermBackend::new(stdout())).map_err(|e| failed(&e)));
        match claimed {
            Ok(terminal) => Ok(Self { terminal }),
            Err(e) => {
                restore();
                Err(e)
            }
        }
    }

    /// Gives the terminal to the shell and stops this process until it is continued.
    ///
    /// # Errors
    /// When the terminal refuses afterwards.
    pub fn suspend(&mut self) -> Result<()> {
        restore();
        signal_hook::low_level::emulate_default_handler(signal_hook::consts::SIGTSTP).map_err(|e| failed(&e))?;
        claim()?;
        self.terminal.clear().map_err(|e| failed(&e))
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        restore();
    }
}

/// Leaves as soon as the terminal is gone: a reader of a dead terminal would spin for ever
/// (crossterm issue 793). Nothing is written on the way out.
///
/// # Errors
/// When no thread can be started.
pub fn watch_for_hang_up() -> Result<()> {
    use rustix::event::{PollFd, PollFlags, poll};
    let watch = || {
        let stdin = std::io::stdin();
        loop {
            // No event is asked for: hang-up and error are always told.
            let mut fds = [PollFd::new(&stdin, PollFlags::empty())];
            match poll(&mut fds, None) {
                Ok(_) if fds[0].revents().intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL) => {
                    std::process::exit(129);
                }
                Ok(_) | Err(rustix::io::Errno::INTR) => std::thread::sleep(std::time::Duration::from_millis(50)),
                Err(_) => return,
            }
        }
    };
    std::thread::Builder::new().name("hang-up".into()).spawn(watch).map(drop).map_err(|e| failed(&e))
}

/// A flag that is raised by SIGTERM, SIGINT and SIGHUP.
///
/// # Errors
/// When the handlers cannot be installed.
pub fn quit_signals() -> Result<std::sync::Arc<AtomicBool>> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    let flag = std::sync::Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGINT, SIGHUP] {
        signal_hook::flag::register(signal, std::sync::Arc::clone(&flag)).map_err(|e| failed(&e))?;
    }
    Ok(flag)
}
