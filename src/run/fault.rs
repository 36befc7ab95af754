//! Deaths on order, for the tests of what a run survives: `LOPPER_FAULT=checkpoint:3` kills the process by SIGKILL at
//! the third time that it comes by `checkpoint`. Builds without debug assertions have none of it.

use std::collections::HashMap;
use std::fs::File;
use std::io::Write;
use std::sync::{Mutex, OnceLock};

/// The place and the visit of the order, if there is one.
fn order() -> Option<&'static (String, u64)> {
    static ORDER: OnceLock<Option<(String, u64)>> = OnceLock::new();
    ORDER
        .get_or_init(|| {
            let text = std::env::var("LOPPER_FAULT").ok().filter(|_| cfg!(debug_assertions))?;
            let (place, visit) = text.split_once(':')?;
            Some((place.to_owned(), visit.parse().ok()?))
        })
        .as_ref()
}

/// Whether the order is for this visit of `place`.
fn is_due(place: &str) -> bool {
    static VISITS: OnceLock<Mutex<HashMap<String, u64>>> = OnceLock::new();
    let Some((wanted, visit)) = order().filter(|(wanted, _)| wanted == place) else { return false };
    let Ok(mut visits) = VISITS.get_or_init(Mutex::default).lock() else { return false };
    let count = visits.entry(wanted.clone()).or_insert(0);
    *count += 1;
    *count == *visit
}

/// The end of this process, as `kill -9` makes it: nothing is flushed, dropped or unlocked by us.
fn die() {
    rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL).ok();
    // The signal has been delivered before the call comes back, but to another thread perhaps.
    std::thread::sleep(std::time::Duration::from_secs(60));
}

/// A place where a worker may be told to die.
pub fn point(place: &str) {
    if is_due(place) {
        die();
    }
}

/// Writes `bytes`, unless this is where the process is told to die: then the first half of them, all but the last
/// one, or all, in turn.
///
/// # Errors
/// When the file cannot be written.
pub fn write(place: &str, file: &mut File, bytes: &[u8]) -> std::io::Result<()> {
    for (suffix, length) in [("half", bytes.len() / 2), ("end", bytes.len().saturating_sub(1)), ("whole", bytes.len())]
    {
        if order().is_some() && is_due(&format!("{place}-{suffix}")) {
            file.write_all(&bytes[..length])?;
            die();
        }
    }
    file.write_all(bytes)
}

/// Asks for more memory than there is, where this is the place and the visit for it: the runtime then ends the process.
pub fn starve(place: &str) {
    if is_due(place) {
        // Half of what an address can name.
        std::hint::black_box(Vec::<u8>::with_capacity(1 << 47));
    }
}
