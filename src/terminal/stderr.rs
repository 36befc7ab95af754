//! Standard error while the screen is ours: what a library prints would tear the picture, so it is kept in
//! memory and written when the terminal is given back.

use std::fs::File;
use std::io::{IsTerminal, Read, Seek, SeekFrom, Write};
use std::os::fd::OwnedFd;
use std::sync::Mutex;

/// More than this is not worth keeping.
const MOST: u64 = 64 * 1024;

/// The real standard error and the file that stands in for it.
static KEPT: Mutex<Option<(OwnedFd, File)>> = Mutex::new(None);

/// Puts a file in memory in the place of a standard error that is a terminal. Where that fails, prints
/// tear the picture and nothing else.
pub fn keep() {
    if !std::io::stderr().is_terminal() {
        return;
    }
    let Ok(mut kept) = KEPT.lock() else { return };
    let swap = || -> std::io::Result<(OwnedFd, File)> {
        let file = File::from(rustix::fs::memfd_create("lopper-stderr", rustix::fs::MemfdFlags::CLOEXEC)?);
        let real = rustix::io::fcntl_dupfd_cloexec(std::io::stderr(), 3)?;
        rustix::stdio::dup2_stderr(&file)?;
        Ok((real, file))
    };
    if kept.is_none() {
        *kept = swap().ok();
    }
}

/// Puts the real one back and writes to it what was printed meanwhile.
pub fn give_back() {
    // A panic while the lock was held must not hide its own message.
    let kept = match KEPT.try_lock() {
        Ok(mut kept) => kept.take(),
        Err(_) => None,
    };
    let Some((real, mut file)) = kept else { return };
    if rustix::stdio::dup2_stderr(&real).is_err() {
        return;
    }
    let mut text = Vec::new();
    if file.seek(SeekFrom::Start(0)).is_ok() && file.take(MOST).read_to_end(&mut text).is_ok() {
        let text = crate::text::printable_lines(&String::from_utf8_lossy(&text));
        if !text.is_empty() {
            writeln!(std::io::stderr(), "{text}").ok();
        }
    }
}
