//! The lines of a journal, of which few are parsed.

use crate::run::event::Event;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};

/// The type of an event stands this near to the start of its line.
const TYPE_WITHIN: usize = 120;
/// What a worker says at its start is read up to so many bytes.
const LONGEST: u64 = 16 * 1024 * 1024;

/// Calls `see` with each complete line from `from` on.
pub(in crate::run) fn each_line(file: &mut File, from: u64, mut see: impl FnMut(&[u8])) {
    if file.seek(SeekFrom::Start(from)).is_err() {
        return;
    }
    let mut reader = BufReader::with_capacity(256 * 1024, file);
    let mut line = Vec::new();
    loop {
        line.clear();
        match (&mut reader).take(LONGEST).read_until(b'\n', &mut line) {
            Ok(1..) if line.last() == Some(&b'\n') => see(&line),
            // Part of a line that lopper has not written: no event, and neither is the rest.
            Ok(n) if n as u64 == LONGEST => see(&line),
            // The end, or a line that is still being written.
            _ => return,
        }
    }
}

/// The type of the event in a line, as the journal's writer puts it there.
pub(crate) fn kind(line: &[u8]) -> Option<&str> {
    const KEY: &[u8] = b"\"type\":\"";
    let head = &line[..line.len().min(TYPE_WITHIN)];
    let at = head.windows(KEY.len()).position(|w| w == KEY)? + KEY.len();
    let end = head[at..].iter().position(|b| *b == b'"')?;
    std::str::from_utf8(&head[at..at + end]).ok()
}

/// Whether a stage begins behind `from`.
pub(super) fn holds_a_stage(file: &mut File, from: u64) -> bool {
    let mut found = false;
    each_line(file, from, |line| found |= kind(line) == Some("stage"));
    found
}

/// The time of the first event.
pub(super) fn first_time(file: &mut File) -> Option<f64> {
    let mut head = [0; TYPE_WITHIN];
    file.seek(SeekFrom::Start(0)).ok()?;
    let n = file.read(&mut head).ok()?;
    let text = String::from_utf8_lossy(&head[..n]).into_owned();
    let (_, rest) = text.split_once("\"t\":")?;
    rest.split(',').next()?.trim().parse().ok()
}

/// The first line, if it is complete and not too long to be the start of a run.
pub(super) fn first_line(file: &mut File) -> Option<Vec<u8>> {
    file.seek(SeekFrom::Start(0)).ok()?;
    let mut line = Vec::new();
    BufReader::new(file).take(LONGEST).read_until(b'\n', &mut line).ok()?;
    (line.last() == Some(&b'\n')).then_some(line)
}

/// The last line of each type that counts: the others are not parsed.
#[derive(Debug, Default)]
pub(super) struct Newest {
    lines: Vec<(&'static str, usize, Vec<u8>)>,
    count: usize,
}

const KINDS: [&str; 12] = [
    "started",
    "stage",
    "step",
    "dev",
    "modules",
    "report",
    "paused",
    "warning",
    "finished",
    "stopped",
    "failed",
    "heartbeat",
];

impl Newest {
    /// Takes in the next line.
    pub(super) fn see(&mut self, line: &[u8]) {
        self.count += 1;
        let Some(kind) = kind(line).and_then(|k| KINDS.into_iter().find(|known| *known == k)) else { return };
        if matches!(kind, "stage" | "started") {
            // Figures of the stage before say nothing about this one.
            self.lines.retain(|(k, ..)| !matches!(*k, "step" | "dev" | "modules"));
        }
        match self.lines.iter_mut().find(|(k, ..)| *k == kind) {
            Some((_, at, old)) => {
                *at = self.count;
                old.clear();
                old.extend_from_slice(line);
            }
            None => self.lines.push((kind, self.count, line.to_vec())),
        }
    }

    /// In the order in which they were written.
    pub(super) fn into_events(mut self) -> impl Iterator<Item = Event> {
        self.lines.sort_by_key(|(_, at, _)| *at);
        self.lines.into_iter().filter_map(|(_, _, line)| serde_json::from_slice(&line).ok())
    }
}
