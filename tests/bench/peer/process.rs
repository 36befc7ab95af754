//! The other side of a benchmark: a Python process that works once for every line it is sent; and how turns are told.

use serde_json::Value;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

pub struct Peer {
    child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Peer {
    /// Starts `script` of tests/bench/peer with its argument; the first line it says is its versions.
    pub fn start(python: &Path, script: &str, argument: impl AsRef<OsStr>) -> Self {
        let mut child = Command::new(python)
            .arg(Path::new("tests/bench/peer").join(script))
            .arg(argument)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the peer's Python starts");
        let orders = child.stdin.take().unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap());
        let mut peer = Self { child, orders, answers };
        println!("peer     {}", peer.line().trim());
        peer
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        assert!(self.answers.read_line(&mut line).unwrap() > 0, "the peer ended; its message is above");
        line
    }

    /// Has it work once; what it says of that.
    pub fn turn(&mut self) -> Value {
        writeln!(self.orders, "go").unwrap();
        serde_json::from_str(&self.line()).unwrap()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Of an even number of values the mean of the two in the middle.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let half = sorted.len() / 2;
    if sorted.len().is_multiple_of(2) { f64::midpoint(sorted[half - 1], sorted[half]) } else { sorted[half] }
}

/// Median, least and most.
pub fn range(values: &[f64]) -> String {
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(0.0, f64::max);
    format!("{:.3} ({low:.3} to {high:.3})", median(values))
}
