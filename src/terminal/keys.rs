//! What is typed, pasted and clicked, and the moment when the window gets another size. crossterm 0.29 reads these
//! too, but loses what comes together with a new size until the next key (event/source/unix/mio.rs), and stands still
//! within half a sequence.

use super::typed;
use crossterm::event::Event;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use std::collections::VecDeque;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// What began, a sequence or a character, ends within this time...
const REST: Duration = Duration::from_millis(50);
/// ... and a paste within this, or goes on: each of its letters may be a key that stops the run.
const PASTE_REST: Duration = Duration::from_secs(2);
/// So many bytes at most are read before they are looked at.
const PIECE: usize = 1 << 20;

/// The reader of a terminal's input.
#[derive(Debug)]
pub struct Keys {
    input: OwnedFd,
    /// Readable after a new size was signalled.
    resized: UnixStream,
    /// What has begun and not ended.
    pending: Vec<u8>,
    /// When the last byte came.
    last: Instant,
    ready: VecDeque<Event>,
}

impl Keys {
    /// Reads from `input`, and listens to SIGWINCH from now on.
    ///
    /// # Errors
    /// When the handler cannot be installed.
    pub fn new(input: OwnedFd) -> io::Result<Self> {
        let (resized, sender) = UnixStream::pair()?;
        resized.set_nonblocking(true)?;
        signal_hook::low_level::pipe::register(signal_hook::consts::SIGWINCH, sender)?;
        Ok(Self { input, resized, pending: Vec::new(), last: Instant::now(), ready: VecDeque::new() })
    }

    /// Takes bytes that somebody else has read, before anything that is still to come.
    pub fn push(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
        self.last = Instant::now();
        self.ready.extend(typed::take(&mut self.pending));
    }

    /// The next event within `wait`; none also when a signal comes, a new size among them.
    ///
    /// # Errors
    /// When the input cannot be read.
    pub fn next(&mut self, wait: Duration) -> io::Result<Option<Event>> {
        let begun = Instant::now();
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(Some(event));
            }
            let mut limit = wait.saturating_sub(begun.elapsed());
            if !self.pending.is_empty() {
                let rest = if typed::is_paste_open(&self.pending) { PASTE_REST } else { REST };
                let rest = rest.saturating_sub(self.last.elapsed());
                if rest.is_zero() {
                    self.ready.extend(typed::torn(&self.pending));
                    self.pending.clear();
                    continue;
                }
                limit = limit.min(rest);
            }
            match self.wait(limit)? {
                Woken::Typed if self.read()? => {}
                Woken::Signal => return Ok(None),
                Woken::Typed | Woken::Gone => {
                    // The watch on the terminal ends the process.
                    std::thread::sleep(limit.min(REST));
                    return Ok(None);
                }
                Woken::Time if begun.elapsed() >= wait => return Ok(None),
                Woken::Time => {}
            }
        }
    }

    fn wait(&self, limit: Duration) -> io::Result<Woken> {
        let limit = Timespec { tv_sec: limit.as_secs().min(3600) as i64, tv_nsec: limit.subsec_nanos().into() };
        let mut fds = [PollFd::new(&self.input, PollFlags::IN), PollFd::new(&self.resized, PollFlags::IN)];
        match poll(&mut fds, Some(&limit)) {
            Ok(0) => return Ok(Woken::Time),
            Ok(_) => {}
            Err(Errno::INTR) => return Ok(Woken::Signal),
            Err(e) => return Err(e.into()),
        }
        let [typed, resized] = [fds[0].revents(), fds[1].revents()];
        if typed.intersects(PollFlags::IN) {
            return Ok(Woken::Typed);
        }
        if resized.intersects(PollFlags::IN) {
            while (&self.resized).read(&mut [0; 64]).is_ok_and(|n| n > 0) {}
            return Ok(Woken::Signal);
        }
        Ok(Woken::Gone)
    }

    /// Reads all that is there; false at the end of all.
    fn read(&mut self) -> io::Result<bool> {
        let (before, mut bytes) = (self.pending.len(), [0; 4096]);
        while self.pending.len() < before + PIECE {
            match rustix::io::read(&self.input, &mut bytes) {
                Ok(0) => break,
                Ok(n) => self.pending.extend_from_slice(&bytes[..n]),
                Err(Errno::INTR) => {}
                // A terminal that has hung up.
                Err(Errno::IO) => break,
                Err(e) => return Err(e.into()),
            }
            let mut fds = [PollFd::new(&self.input, PollFlags::IN)];
            if poll(&mut fds, Some(&Timespec::default())) != Ok(1) || !fds[0].revents().intersects(PollFlags::IN) {
                break;
            }
        }
        if self.pending.len() == before {
            return Ok(false);
        }
        self.last = Instant::now();
        // A long paste comes in many pieces: its end is looked for in the new one alone.
        if typed::is_paste_open(&self.pending[..before])
            && !typed::ends_paste(&self.pending[before.saturating_sub(8)..])
        {
            return Ok(true);
        }
        self.ready.extend(typed::take(&mut self.pending));
        // A sequence comes in one piece; what is alone is the key.
        if self.pending == b"\x1b" {
            self.ready.extend(typed::torn(&self.pending));
            self.pending.clear();
        }
        Ok(true)
    }
}

/// Why the wait is over.
#[derive(Debug, PartialEq, Eq)]
enum Woken {
    Typed,
    Signal,
    Time,
    /// There is no terminal any more.
    Gone,
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::ui::input::key_name;
    use std::io::Write;
    use std::os::fd::AsFd;

    const LONG: Duration = Duration::from_secs(20);

    fn keys() -> (Keys, UnixStream) {
        let (input, typist) = UnixStream::pair().unwrap();
        (Keys::new(input.as_fd().try_clone_to_owned().unwrap()).unwrap(), typist)
    }

    fn name(event: Event) -> String {
        match event {
            Event::Key(key) => key_name(key).unwrap_or_else(|| format!("{key:?}")),
            Event::Paste(text) => format!("<{} bytes>", text.len()),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn keys_come_one_by_one_in_their_order_and_none_is_kept_back() {
        let (mut keys, mut typist) = keys();
        assert_eq!(keys.next(Duration::ZERO).unwrap(), None);
        typist.write_all(b"ab\x1b[Bq\x1b").unwrap();
        for expected in ["a", "b", "down", "q", "esc"] {
            assert_eq!(name(keys.next(LONG).unwrap().unwrap()), expected);
        }
        assert_eq!(keys.next(Duration::ZERO).unwrap(), None);
        // Also with no time at all.
        typist.write_all(b"xy").unwrap();
        assert_eq!(name(keys.next(Duration::ZERO).unwrap().unwrap()), "x");
        assert_eq!(name(keys.next(Duration::ZERO).unwrap().unwrap()), "y");
        keys.push(b"\x1b[?62;22cz");
        assert_eq!(name(keys.next(Duration::ZERO).unwrap().unwrap()), "z");
    }

    #[test]
    fn what_is_torn_is_waited_for_and_then_let_go() {
        let (mut keys, mut typist) = keys();
        typist.write_all(b"\x1b[").unwrap();
        assert_eq!(keys.next(Duration::from_millis(1)).unwrap(), None);
        keys.last = Instant::now();
        typist.write_all(b"A").unwrap();
        assert_eq!(name(keys.next(LONG).unwrap().unwrap()), "up");
        typist.write_all(b"\x1b[").unwrap();
        assert_eq!(keys.next(REST * 3).unwrap(), None);
        typist.write_all(b"A").unwrap();
        assert_eq!(name(keys.next(LONG).unwrap().unwrap()), "A");
    }

    #[test]
    fn a_long_paste_is_one_event() {
        let (mut keys, mut typist) = keys();
        let writes = std::thread::spawn(move || {
            typist.write_all(b"\x1b[200~").unwrap();
            for _ in 0..1000 {
                typist.write_all(&[b's'; 1000]).unwrap();
            }
            // The end in two pieces.
            typist.write_all(b"\x1b[20").unwrap();
            std::thread::sleep(Duration::from_millis(20));
            typist.write_all(b"1~j").unwrap();
            typist
        });
        let mut named = Vec::new();
        while named.len() < 2 {
            named.extend(keys.next(LONG).unwrap().map(name));
        }
        assert_eq!(named, ["<1000000 bytes>", "j"]);
        drop(writes.join().unwrap());
        assert_eq!(keys.next(Duration::ZERO).unwrap(), None);
    }

    #[test]
    fn a_new_size_ends_the_wait_and_no_key_is_lost_beside_it() {
        let (mut keys, mut typist) = keys();
        typist.write_all(b"j").unwrap();
        signal_hook::low_level::raise(signal_hook::consts::SIGWINCH).unwrap();
        let mut named = Vec::new();
        while named.is_empty() {
            named.extend(keys.next(LONG).unwrap().map(name));
        }
        assert_eq!(named, ["j"]);
    }
}
