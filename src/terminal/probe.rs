//! Asks the terminal what it can do and waits a short while for the answer. The last question is one that every
//! terminal answers (DA1): then those before it are answered or never will be. Keys that are typed meanwhile come
//! between the answers.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io::Write;
use std::time::{Duration, Instant};

/// Does it know synchronised updates (DECRQM of mode 2026)?
const SYNC: &str = "\x1b[?2026$p";
/// What is the colour of its background?
const BACKGROUND: &str = "\x1b]11;?\x1b\\";
/// What are you?
const WHO: &str = "\x1b[c";
/// A terminal that answers within this time answers the second question in it, too.
const NEAR: Duration = Duration::from_millis(25);
/// The colour's answer, once asked for, must not end up as keys: so long it is waited for.
const DRAIN: Duration = Duration::from_millis(250);

/// What the terminal said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Answers {
    /// It knows synchronised updates.
    pub sync: bool,
    /// Its background is dark, or not.
    pub dark: Option<bool>,
}

/// Asks within `limit`, for the background only a terminal that is near and only if `background`; with the answers
/// comes all that was read, for [`super::keys::Keys`]. Raw mode is on, and nobody reads keys yet. An answer about updates
/// that comes later does no harm: it is no key.
pub fn ask(limit: Duration, background: bool) -> (Answers, Vec<u8>) {
    let start = Instant::now();
    let mut heard = Vec::new();
    let mut answers = Answers::default();
    if dialogue(&format!("{SYNC}{WHO}"), limit, &mut heard) {
        answers = parse(&heard);
        if background && start.elapsed() < NEAR {
            let mut second = Vec::new();
            dialogue(&format!("{BACKGROUND}{WHO}"), DRAIN, &mut second);
            answers.dark = parse(&second).dark;
            heard.append(&mut second);
        }
    }
    (answers, heard)
}

/// Writes a question and reads until the answer to its last part; false without one in time.
fn dialogue(question: &str, limit: Duration, heard: &mut Vec<u8>) -> bool {
    let mut out = std::io::stdout();
    if out.write_all(question.as_bytes()).and_then(|()| out.flush()).is_err() {
        return false;
    }
    let start = Instant::now();
    while let Some(left) = limit.checked_sub(start.elapsed()) {
        if !read(left, heard) {
            return false;
        }
        if is_complete(heard) {
            return true;
        }
    }
    false
}

/// Reads what comes next within `limit`; false if nothing does.
fn read(limit: Duration, heard: &mut Vec<u8>) -> bool {
    let start = Instant::now();
    let stdin = std::io::stdin();
    loop {
        let Some(left) = limit.checked_sub(start.elapsed()) else { return false };
        let left = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: i64::from(left.subsec_nanos()) };
        let mut fds = [PollFd::new(&stdin, PollFlags::IN)];
        match poll(&mut fds, Some(&left)) {
            Ok(0) => return false,
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => continue,
            Err(_) => return false,
        }
        let mut bytes = [0; 4096];
        match rustix::io::read(&stdin, &mut bytes) {
            Ok(n @ 1..) => {
                heard.extend_from_slice(&bytes[..n]);
                return true;
            }
            Err(rustix::io::Errno::INTR) => {}
            _ => return false,
        }
    }
}

/// The parameters of each `ESC [ ? … final`.
fn sequences(answer: &str, last: char) -> impl Iterator<Item = &str> {
    answer.split("\x1b[?").skip(1).filter_map(move |rest| {
        let end = rest.find(|c: char| !(c.is_ascii_digit() || c == ';' || c == '$'))?;
        (rest[end..].starts_with(last)).then(|| &rest[..end])
    })
}

fn is_complete(answer: &[u8]) -> bool {
    sequences(&String::from_utf8_lossy(answer), 'c').next().is_some()
}

fn parse(answer: &[u8]) -> Answers {
    let answer = String::from_utf8_lossy(answer);
    // 0: not known, 4: off for ever.
    let sync = sequences(&answer, 'y').any(|p| matches!(p, "2026;1$" | "2026;2$" | "2026;3$"));
    Answers { sync, dark: background(&answer).map(|(r, g, b)| 0.2126 * r + 0.7152 * g + 0.0722 * b < 0.5) }
}

/// Red, green and blue of `ESC ] 11 ; rgb:RRRR/GGGG/BBBB`, 0 to 1.
fn background(answer: &str) -> Option<(f64, f64, f64)> {
    let (_, rest) = answer.split_once("\x1b]11;rgb")?;
    let (_, rest) = rest.split_once(':')?;
    let end = rest.find(['\x1b', '\x07'])?;
    let mut parts = rest[..end].split('/').map(|hex| {
        let most = 16f64.powi(i32::try_from(hex.len()).ok()?) - 1.0;
        (1..=4).contains(&hex.len()).then_some(())?;
        u32::from_str_radix(hex, 16).ok().map(|v| f64::from(v) / most)
    });
    Some((parts.next()??, parts.next()??, parts.next()??))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_and_others_are_not() {
        let dark = Some(true);
        for (answer, sync, is_dark, complete) in [
            ("\x1b[?2026;2$y\x1b[?62;22c", true, None, true),
            ("\x1b[?2026;0$y\x1b[?1;2c", false, None, true),
            ("\x1b[?2026;4$y", false, None, false),
            ("\x1b]11;rgb:1414/1616/1b1b\x1b\\\x1b[?6c", false, dark, true),
            ("\x1b]11;rgba:ffff/ffff/ffff/ffff\x07\x1b[?62c", false, Some(false), true),
            ("\x1b]11;rgb:f/f/e\x07", false, Some(false), false),
            ("\x1b]11;rgb:zz/00/00\x07\x1b[?62c", false, None, true),
            ("qqq\x1b[A\x1b[?2", false, None, false),
            ("", false, None, false),
        ] {
            assert_eq!(parse(answer.as_bytes()), Answers { sync, dark: is_dark }, "{answer:?}");
            assert_eq!(is_complete(answer.as_bytes()), complete, "{answer:?}");
        }
    }
}
