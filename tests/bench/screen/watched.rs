//! The real binary in a terminal whose frames are taken down with the time at which the last byte of each came.

use portable_pty::{Child, CommandBuilder, PtySize, native_pty_system};
use std::ffi::OsStr;
use std::io::{Read, Write};
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

/// Ends a frame, on a terminal that knows synchronised updates.
const END: &[u8] = b"\x1b[?2026l";
/// What a terminal is asked at the start, and what this one says at once, as those on a desk do.
const ANSWERS: [(&[u8], &[u8]); 2] = [
    (b"\x1b[?2026$p\x1b[c", b"\x1b[?2026;2$y\x1b[?62;22c"),
    (b"\x1b]11;?\x1b\\\x1b[c", b"\x1b]11;rgb:1414/1616/1b1b\x1b\\\x1b[?62;22c"),
];
/// Nothing takes longer.
const PATIENCE: Duration = Duration::from_secs(120);

/// Of /proc/PID/stat, a second (`USER_HZ`, the same on every Linux).
const TICKS: f64 = 100.0;
/// Another program than the one of this build.
pub static PROGRAM: OnceLock<PathBuf> = OnceLock::new();

/// A frame, whole.
struct Frame {
    at: Instant,
    bytes: Vec<u8>,
}

/// A screen that is looked at.
pub struct Watched {
    writer: Arc<Mutex<Box<dyn Write + Send>>>,
    frames: Receiver<Frame>,
    parser: vt100::Parser,
    child: Box<dyn Child + Send + Sync>,
    written: Arc<AtomicU64>,
    /// When the program was started.
    pub start: Instant,
    /// When its first frame was complete.
    pub first: Option<Instant>,
}

/// Reads what the program writes, answers its questions and cuts it into frames.
fn listen(
    mut reader: Box<dyn Read + Send>,
    writer: &Mutex<Box<dyn Write + Send>>,
    written: &AtomicU64,
    to: &mpsc::Sender<Frame>,
) {
    let mut left = Vec::new();
    let mut asked = 0;
    let mut bytes = vec![0; 65536];
    while let Ok(n @ 1..) = reader.read(&mut bytes) {
        let at = Instant::now();
        written.fetch_add(n as u64, Ordering::Relaxed);
        left.extend_from_slice(&bytes[..n]);
        let find = |left: &[u8], part: &[u8]| left.windows(part.len()).position(|w| w == part);
        while let Some((question, answer)) = ANSWERS.get(asked)
            && find(&left, question).is_some()
        {
            let mut writer = writer.lock().unwrap();
            writer.write_all(answer).and_then(|()| writer.flush()).ok();
            asked += 1;
        }
        while let Some(end) = find(&left, END) {
            let rest = left.split_off(end + END.len());
            if to.send(Frame { at, bytes: std::mem::replace(&mut left, rest) }).is_err() {
                return;
            }
        }
    }
}

impl Watched {
    /// `lopper` with `args` in `folder` on a screen of 200 x 50.
    pub fn start(folder: &Path, args: &[&str]) -> Self {
        Self::start_with(folder, args, &[])
    }

    /// As [`Self::start`], with these variables set.
    pub fn start_with(folder: &Path, args: &[&str], set: &[(&str, &str)]) -> Self {
        let (rows, cols) = (50, 200);
        let pair = native_pty_system().openpty(PtySize { rows, cols, pixel_width: 0, pixel_height: 0 }).unwrap();
        let mut command = CommandBuilder::new(
            PROGRAM.get().map_or(OsStr::new(env!("CARGO_BIN_EXE_lopper")), |program| program.as_os_str()),
        );
        command.args(args);
        command.cwd(folder);
        for name in ["NO_COLOR", "COLORTERM", "LOPPER_THEME", "TMUX", "SSH_CONNECTION"] {
            command.env_remove(name);
        }
        command.env("TERM", "xterm-256color");
        command.env("XDG_CONFIG_HOME", folder.join("config"));
        set.iter().for_each(|(name, value)| command.env(name, value));
        let reader = pair.master.try_clone_reader().unwrap();
        let writer = Arc::new(Mutex::new(pair.master.take_writer().unwrap()));
        let written = Arc::new(AtomicU64::new(0));
        let (sender, frames) = mpsc::channel();
        let (to, count) = (Arc::clone(&writer), Arc::clone(&written));
        std::thread::spawn(move || listen(reader, &to, &count, &sender));
        let start = Instant::now();
        let child = pair.slave.spawn_command(command).unwrap();
        drop(pair.slave);
        // The reader has its own end; this one must stay open.
        std::mem::forget(pair.master);
        let cells = |n: u16| NonZeroU16::new(n).unwrap();
        let parser = vt100::Parser::new(cells(rows), cells(cols), 0);
        Self { writer, frames, parser, child, written, start, first: None }
    }

    /// The time at which a frame was complete that is as `done` wants it, from `since`.
    pub fn shows(&mut self, what: &str, since: Instant, done: impl Fn(&str) -> bool) -> Duration {
        loop {
            let Ok(frame) = self.frames.recv_timeout(PATIENCE) else {
                panic!("waited in vain for {what}; the screen:\n{}", self.parser.screen().contents())
            };
            self.first.get_or_insert(frame.at);
            self.parser.process(&frame.bytes);
            if done(&self.parser.screen().contents()) {
                return frame.at.saturating_duration_since(since);
            }
        }
    }

    /// As [`Self::shows`], from a key on.
    pub fn press(&mut self, key: &str, what: &str, done: impl Fn(&str) -> bool) -> Duration {
        while let Ok(frame) = self.frames.try_recv() {
            self.parser.process(&frame.bytes);
        }
        assert!(!done(&self.parser.screen().contents()), "the screen shows {what} before the key");
        let since = Instant::now();
        self.send(key);
        self.shows(what, since, done)
    }

    /// Types.
    pub fn send(&self, keys: &str) {
        let mut writer = self.writer.lock().unwrap();
        writer.write_all(keys.as_bytes()).and_then(|()| writer.flush()).unwrap();
    }

    /// What the screen shows by now.
    pub fn text(&mut self) -> String {
        while let Ok(frame) = self.frames.try_recv() {
            self.parser.process(&frame.bytes);
        }
        self.parser.screen().contents()
    }

    /// Bytes that were written so far.
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// Seconds of CPU time so far, all threads together.
    pub fn cpu(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.process_id().unwrap())).unwrap();
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        let ticks: f64 = fields[11..13].iter().map(|n| n.parse::<f64>().unwrap()).sum();
        ticks / TICKS
    }

    /// A figure of /proc/PID/status, bytes: `VmHWM` is the most memory that was ever resident.
    pub fn memory(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.process_id().unwrap())).unwrap();
        let line = status.lines().find(|l| l.starts_with(name)).unwrap();
        1024 * line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
    }

    /// Leaves by `q`, and how long that took.
    pub fn leave(mut self) -> Duration {
        let since = Instant::now();
        self.send("q");
        while self.child.try_wait().unwrap().is_none() {
            assert!(since.elapsed() < PATIENCE, "it does not leave");
            std::thread::sleep(Duration::from_micros(200));
        }
        since.elapsed()
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
