//! Signals as flags that the screen's loop looks at, and a watch on a terminal that hangs up.

use crate::{Error, Result};
use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGTERM, SIGTSTP};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What was signalled since the last look.
#[derive(Debug, Clone)]
pub struct Signals {
    quit: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
    go_on: Arc<AtomicBool>,
}

/// How a process ends whose terminal has hung up: as the signal would end it.
const HUNG_UP: i32 = 129;

impl Signals {
    /// Takes SIGTERM, SIGINT and SIGHUP (leave), SIGTSTP (suspend) and SIGCONT (draw anew); from now on a
    /// terminal that hangs up ends the process.
    ///
    /// # Errors
    /// When handlers or the watching thread cannot be installed.
    pub fn take() -> Result<Self> {
        let signals = Self { quit: Arc::default(), stop: Arc::default(), go_on: Arc::default() };
        let table = [
            (SIGTERM, &signals.quit),
            (SIGINT, &signals.quit),
            (SIGHUP, &signals.quit),
            (SIGTSTP, &signals.stop),
            (SIGCONT, &signals.go_on),
        ];
        for (signal, flag) in table {
            signal_hook::flag::register(signal, Arc::clone(flag))
                .map_err(|e| Error::fault(format!("the signals cannot be watched: {e}")))?;
        }
        watch_for_hang_up()?;
        Ok(signals)
    }

    /// Whether to leave. Stays so.
    pub fn quit(&self) -> bool {
        self.quit.load(Ordering::Relaxed)
    }

    /// Whether to suspend, once.
    pub fn stop(&self) -> bool {
        self.stop.swap(false, Ordering::Relaxed)
    }

    /// Whether the process was continued, once.
    pub fn go_on(&self) -> bool {
        self.go_on.swap(false, Ordering::Relaxed)
    }
}

/// Leaves as soon as the terminal is gone: a reader of a dead terminal would spin for ever
/// (crossterm issue 793). Nothing is written on the way out.
fn watch_for_hang_up() -> Result<()> {
    let watch = || {
        loop {
            match gone(None) {
                Ok(true) => std::process::exit(HUNG_UP),
                Ok(false) | Err(rustix::io::Errno::INTR) => std::thread::sleep(std::time::Duration::from_millis(50)),
                Err(_) => return,
            }
        }
    };
    std::thread::Builder::new()
        .name("hang-up".into())
        .spawn(watch)
        .map(drop)
        .map_err(|e| Error::fault(format!("no thread could be started: {e}")))
}

/// Leaves if the terminal is gone: what was written to it or read of it may have failed before the watch saw that.
pub(super) fn leave_if_gone() {
    if gone(Some(&rustix::event::Timespec::default())) == Ok(true) {
        std::process::exit(HUNG_UP);
    }
}

/// Whether the terminal is gone; `limit`: how long to wait for that, for ever if none.
fn gone(limit: Option<&rustix::event::Timespec>) -> rustix::io::Result<bool> {
    use rustix::event::{PollFd, PollFlags, poll};
    let stdin = std::io::stdin();
    // No event is asked for: hang-up and error are always told.
    let mut fds = [PollFd::new(&stdin, PollFlags::empty())];
    poll(&mut fds, limit)?;
    Ok(fds[0].revents().intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL))
}
