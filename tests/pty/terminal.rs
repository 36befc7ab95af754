//! A terminal for tests: a PTY with the real binary in it and an emulator that reads what it writes.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::tiny::{Project, utf8};
use lopper::run::RunDir;
use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use std::io::{Read, Write};
use std::num::NonZeroU16;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Columns and rows of a small and of a large terminal.
pub const SMALL: (u16, u16) = (80, 24);
pub const LARGE: (u16, u16) = (200, 50);
/// How long a test waits for something that has to happen.
const PATIENCE: Duration = Duration::from_secs(180);

struct Emulator {
    parser: vt100::Parser,
    raw: Vec<u8>,
}

pub struct Terminal {
    master: Option<Box<dyn MasterPty + Send>>,
    writer: Option<Box<dyn Write + Send>>,
    emulator: Arc<Mutex<Emulator>>,
    reader: Option<JoinHandle<()>>,
    let_go: Arc<AtomicBool>,
    child: Box<dyn Child + Send + Sync>,
    /// The line discipline before the program started.
    modes: String,
}

fn cells(n: u16) -> NonZeroU16 {
    NonZeroU16::new(n).unwrap()
}

fn size((cols, rows): (u16, u16)) -> PtySize {
    PtySize { rows, cols, pixel_width: 0, pixel_height: 0 }
}

impl Terminal {
    /// `lopper` with `args` in a terminal of 256 colours, with `env` set.
    pub fn start(project: &Project, size: (u16, u16), args: &[&str], env: &[(&str, &str)]) -> Self {
        Self::of(env!("CARGO_BIN_EXE_lopper"), project, size, args, env)
    }

    /// As [`Self::start`], another program.
    pub fn of(
        program: &str,
        project: &Project,
        (columns, rows): (u16, u16),
        args: &[&str],
        env: &[(&str, &str)],
    ) -> Self {
        let pair = native_pty_system().openpty(size((columns, rows))).unwrap();
        let modes = format!("{:?}", pair.master.get_termios().unwrap());
        let mut command = CommandBuilder::new(program);
        command.args(args);
        command.cwd(project.path(""));
        for name in ["NO_COLOR", "COLORTERM", "LOPPER_THEME", "TMUX", "SSH_CONNECTION"] {
            command.env_remove(name);
        }
        command.env("TERM", "xterm-256color");
        command.env("LOPPER_RUNS", project.path("runs"));
        command.env("XDG_CONFIG_HOME", project.path("config"));
        command.env("RAYON_NUM_THREADS", "2");
        // No test asks the real hub.
        command.env("HF_HUB_OFFLINE", "1");
        for (name, value) in env {
            command.env(name, value);
        }
        let mut reader = pair.master.try_clone_reader().unwrap();
        let writer = pair.master.take_writer().unwrap();
        let child = pair.slave.spawn_command(command).unwrap();
        drop(pair.slave);
        let parser = vt100::Parser::new(cells(rows), cells(columns), 0);
        let emulator = Arc::new(Mutex::new(Emulator { parser, raw: Vec::new() }));
        let let_go = Arc::new(AtomicBool::new(false));
        let (sink, stop) = (Arc::clone(&emulator), Arc::clone(&let_go));
        let thread = std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(n @ 1..) = reader.read(&mut bytes) {
                let mut emulator = sink.lock().unwrap();
                emulator.parser.process(&bytes[..n]);
                emulator.raw.extend_from_slice(&bytes[..n]);
                if stop.load(Ordering::Relaxed) {
                    return;
                }
            }
        });
        let (master, writer, reader) = (Some(pair.master), Some(writer), Some(thread));
        Self { master, writer, emulator, reader, let_go, child, modes }
    }

    /// `lopper attach RUN` with more arguments.
    pub fn attach(project: &Project, run: &RunDir, size: (u16, u16), more: &[&str]) -> Self {
        Self::start(project, size, &[&["attach", utf8(run.path())], more].concat(), &[])
    }

    /// Leaves with `q`; as [`Self::ends_tidily`].
    pub fn leave(&mut self) -> (u32, String) {
        self.press("q");
        self.ends_tidily()
    }

    /// Types.
    pub fn press(&mut self, keys: &str) {
        let writer = self.writer.as_mut().unwrap();
        writer.write_all(keys.as_bytes()).unwrap();
        writer.flush().unwrap();
    }

    /// Types; false if nobody listens any more.
    pub fn try_press(&mut self, keys: &[u8]) -> bool {
        let writer = self.writer.as_mut().unwrap();
        writer.write_all(keys).and_then(|()| writer.flush()).is_ok()
    }

    /// Whether the program is stopped, as by ctrl-z.
    pub fn is_stopped(&self) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.process_id().unwrap())).unwrap();
        stat.rsplit_once(") ").unwrap().1.starts_with('T')
    }

    /// Whether the terminal is as it was before: its own modes, and those of the line discipline.
    pub fn is_given_back(&self) -> bool {
        let modes = format!("{:?}", self.master.as_ref().unwrap().get_termios().unwrap());
        self.modes() == [false; 4] && modes == self.modes
    }

    /// How the program has ended, if it has.
    pub fn ended(&mut self) -> Option<portable_pty::ExitStatus> {
        self.child.try_wait().unwrap()
    }

    pub fn resize(&self, to: (u16, u16)) {
        // First what reads: what is written for the new size then finds it.
        self.emulator.lock().unwrap().parser.set_size(cells(to.1), cells(to.0));
        self.master.as_ref().unwrap().resize(size(to)).unwrap();
    }

    /// What is on the screen, line by line.
    pub fn text(&self) -> String {
        self.emulator.lock().unwrap().parser.screen().contents()
    }

    /// The rows, each as wide as the screen.
    pub fn rows(&self) -> Vec<String> {
        let emulator = self.emulator.lock().unwrap();
        let screen = emulator.parser.screen();
        screen.rows(0, screen.size().1.get()).collect()
    }

    /// The cell at a column and row: its text, and whether it is the second half of a wide character.
    pub fn cell(&self, column: u16, row: u16) -> (String, bool) {
        let emulator = self.emulator.lock().unwrap();
        let cell = emulator.parser.screen().cell(row, column).unwrap();
        (cell.contents().to_owned(), cell.is_wide_continuation())
    }

    /// The screen as it is now.
    pub fn screen(&self) -> vt100::Screen {
        self.emulator.lock().unwrap().parser.screen().clone()
    }

    /// Waits until something on the screen has this colour of xterm's 256.
    pub fn wears(&self, color: u8) {
        self.until(&format!("the colour {color}"), |_| {
            let emulator = self.emulator.lock().unwrap();
            let screen = emulator.parser.screen();
            let (rows, columns) = (screen.size().0.get(), screen.size().1.get());
            let at = |row, column| screen.cell(row, column).map(vt100::Cell::fgcolor);
            (0..rows).any(|row| (0..columns).any(|column| at(row, column) == Some(vt100::Color::Idx(color))))
        });
    }

    /// Everything that was written so far.
    pub fn raw(&self) -> String {
        String::from_utf8_lossy(&self.emulator.lock().unwrap().raw).into_owned()
    }

    /// Waits until the screen shows all of these.
    pub fn shows(&self, all: &[&str]) {
        self.until(&format!("{all:?}"), |text| all.iter().all(|part| text.contains(part)));
    }

    /// Waits until the screen does not show this any more.
    pub fn hides(&self, part: &str) {
        self.until(&format!("no {part:?}"), |text| !text.contains(part));
    }

    pub fn until(&self, what: &str, done: impl Fn(&str) -> bool) {
        let start = Instant::now();
        loop {
            let text = self.text();
            if done(&text) {
                return;
            }
            assert!(start.elapsed() < PATIENCE, "waited in vain for {what}; the screen:\n{text}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Whether the alternate screen, a hidden cursor, bracketed paste and the mouse are on.
    pub fn modes(&self) -> [bool; 4] {
        let emulator = self.emulator.lock().unwrap();
        let screen = emulator.parser.screen();
        let mouse = screen.mouse_protocol_mode() != vt100::MouseProtocolMode::None;
        [screen.alternate_screen(), screen.hide_cursor(), screen.bracketed_paste(), mouse]
    }

    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_raw(self.child.process_id().unwrap() as i32).unwrap();
        // One that has just ended is past signals.
        rustix::process::kill_process(pid, signal).ok();
    }

    /// Waits for the program's end and returns its exit code and how long that took; all it wrote is read by then.
    pub fn ends(&mut self) -> (u32, Duration) {
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait().unwrap() {
                let took = start.elapsed();
                // The last words may still be in the terminal when the process is gone.
                if let Some(reader) = self.reader.take() {
                    reader.join().unwrap();
                }
                return (status.exit_code(), took);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("it does not end; the screen:\n{}", self.text());
    }

    /// Waits for the end, checks that the terminal is as it was, and returns the exit code and the normal screen.
    pub fn ends_tidily(&mut self) -> (u32, String) {
        let (code, _) = self.ends();
        assert_eq!(self.modes(), [false; 4], "alternate screen, cursor, paste, mouse");
        let raw = self.raw();
        for mode in ["1049", "2004", "1000", "1002", "1003", "1006", "1015"] {
            let [on, off] = ["h", "l"].map(|end| raw.matches(&format!("\x1b[?{mode}{end}")).count());
            assert_eq!(on, off, "mode {mode}");
        }
        let modes = format!("{:?}", self.master.as_ref().unwrap().get_termios().unwrap());
        assert_eq!(modes, self.modes, "the line discipline");
        (code, self.text())
    }

    /// The connection drops: every end of the terminal that is ours is closed.
    pub fn hang_up(&mut self) {
        self.let_go.store(true, Ordering::Relaxed);
        // The reader wakes up with what this key changes on the screen.
        self.press("\t");
        self.reader.take().unwrap().join().unwrap();
        self.writer = None;
        self.master = None;
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
