//! A run as lines, for pipes and logs.

use crate::run::event::{EventBody, Phase, PhaseKind, Stage, Started, Step};
use crate::run::tail::Tail;
use crate::run::{RunDir, shell};
use crate::text::{counted, printable};
use crate::{Error, Result};
use std::io::Write;
use std::time::Duration;

/// Why the following ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The run is over.
    Over,
    /// Nobody reads the lines any more; the run goes on.
    Unread,
    /// This signal; the run goes on.
    Signal(i32),
}

/// Prints the run's events as `tail` gives them until the run is over, or `signal` gives one that came.
///
/// # Errors
/// When the journal cannot be read, the lines cannot be written, the worker is gone without a last word, or `signal` says so.
pub fn follow(
    run: &RunDir,
    mut tail: Tail,
    out: &mut dyn Write,
    signal: &mut dyn FnMut() -> Result<Option<i32>>,
) -> Result<End> {
    let path = printable(&run.path().display().to_string()).into_owned();
    let mut lines = Lines::default();
    let mut text = vec![format!("run {path}")];
    loop {
        let update = tail.poll()?;
        for event in &update.events {
            lines.event(&event.body, event.t, &mut text);
        }
        let caught = signal()?;
        if caught.is_some() && !update.state.is_over() {
            let word = shell::word(run.path());
            text.push(format!("the run goes on; `lopper attach {word}` watches it, `lopper stop {word}` stops it"));
        }
        for line in text.drain(..) {
            match writeln!(out, "{line}").and_then(|()| out.flush()) {
                Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => return Ok(End::Unread),
                Err(e) => return Err(Error::fault(format!("cannot write the output: {e}; the run goes on"))),
                Ok(()) => {}
            }
        }
        if let Some(text) = update.gone {
            return Err(Error::fault(text));
        }
        if update.state.is_over() {
            return Ok(End::Over);
        }
        if let Some(signal) = caught {
            return Ok(End::Signal(signal));
        }
        if !run.path().is_dir() {
            return Err(Error::fault(format!("{path} is gone: somebody removed or moved the run directory")));
        }
        if update.caught_up {
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

/// Lines of one piece of work come at most this often, in seconds...
const PACE: f64 = 1.0;
/// ... and at most this many, ...
const LINES: u64 = 50;
/// ... but one after so many seconds at the latest.
const SILENCE: f64 = 30.0;

/// When a line on some piece of work was last written. Goes by the events' own time, so that a run reads the
/// same while it goes on and afterwards.
#[derive(Debug, Default, Clone, Copy)]
struct Pace {
    last: Option<(f64, u64)>,
}

impl Pace {
    /// Whether `done` of `total` at the time `t` is worth a line.
    fn due(&mut self, t: f64, done: u64, total: u64) -> bool {
        let due = done == total
            || self.last.is_none_or(|(then, at)| {
                t - then >= SILENCE || (t - then >= PACE && done.saturating_sub(at) >= total.div_ceil(LINES))
            });
        if due {
            self.last = Some((t, done));
        }
        due
    }
}

/// Turns events into lines.
#[derive(Debug, Default)]
struct Lines {
    started: Option<Started>,
    stage: Stage,
    /// Time of the stage's first line, and its steps before that (after a resume).
    began: f64,
    before: Option<usize>,
    steps: Pace,
    phase: Pace,
    label: String,
    /// A failure is the last line only if something follows: else it is the error of this command.
    failed: Option<String>,
}

impl Lines {
    fn event(&mut self, body: &EventBody, t: f64, out: &mut Vec<String>) {
        out.extend(self.failed.take());
        match body {
            EventBody::Started(started) => {
                out.push(opening(started));
                self.started = Some(*started.clone());
            }
            EventBody::Stage(stage) => {
                out.push(format!("stage {}/{}: {}", stage.index + 1, stage.of, stage.method));
                self.stage = stage.clone();
                (self.began, self.before, self.steps) = (t, None, Pace::default());
            }
            EventBody::Phase(phase) => self.phase(phase, t, out),
            EventBody::Step(step) => {
                let before = *self.before.get_or_insert(step.step.saturating_sub(1));
                if self.steps.due(t, step.step as u64, self.stage.steps as u64) {
                    out.push(self.step(step, before, t));
                }
            }
            EventBody::Dev(dev) => {
                let rouge = dev.rouge.map(|r| format!("  ROUGE-L {:.2}", r.rouge_l)).unwrap_or_default();
                let best = if dev.best { "  (best)" } else { "" };
                out.push(format!("  step {:>4}  dev loss {:.4}{rouge}{best}", dev.step, dev.loss));
            }
            EventBody::Sample(sample) => {
                if let Some(document) = self.started.as_ref().and_then(|s| s.documents.get(sample.document)) {
                    let id = printable(&document.id);
                    let indent = unicode_width::UnicodeWidthStr::width(&*id);
                    out.push(format!("    {id}: {}", printable(&sample.text)));
                    out.push(format!("    {:indent$}  reference: {}", "", printable(&document.reference)));
                }
            }
            EventBody::Checkpoint(checkpoint) => out.push(format!("  checkpoint {}", printable(&checkpoint.path))),
            EventBody::Control(c) => {
                let refused = if c.ok { "" } else { "refused, " };
                out.push(format!("  {}: {refused}{}", printable(&c.command), printable(&c.text)));
            }
            EventBody::Paused { paused } => out.push(if *paused { "  paused".into() } else { "  goes on".into() }),
            EventBody::Warning { text } => out.push(format!("  note: {}", printable(text))),
            EventBody::Report(report) if self.stage.index + 1 == self.stage.of => {
                out.push(String::new());
                out.extend(crate::eval::report::table(report).lines().map(str::to_owned));
                out.push(format!(
                    "({} set; R-1, R-2, R-L: ROUGE F in percent; loss in nats per summary token)",
                    printable(&report.split)
                ));
            }
            EventBody::Finished { text } => out.push(format!("finished: {}", printable(text))),
            EventBody::Stopped { text } => out.push(printable(text).into_owned()),
            EventBody::Failed { text } => self.failed = Some(format!("failed: {}", printable(text))),
            EventBody::Report(_)
            | EventBody::Modules(_)
            | EventBody::WhatIf(_)
            | EventBody::Heartbeat {}
            | EventBody::Unknown => {}
        }
    }

    fn phase(&mut self, phase: &Phase, t: f64, out: &mut Vec<String>) {
        if self.label != phase.label {
            self.label.clone_from(&phase.label);
            self.phase = Pace::default();
        }
        // The first batch of a scoring says more than its beginning.
        let empty = phase.phase == PhaseKind::Eval && phase.done == 0;
        if !empty && self.phase.due(t, phase.done, phase.total) {
            out.push(format!("  {} {}", printable(&phase.label), phase.counts()));
        }
    }

    fn step(&self, step: &Step, before: usize, t: f64) -> String {
        let total = self.stage.steps;
        let left = total.saturating_sub(step.step) as f64;
        let eta = (t - self.began) / step.step.saturating_sub(before).max(1) as f64 * left;
        format!(
            "  step {:>4}/{total}  epoch {:.2}  loss {:.4}  lr {:.2e}  grad {:.3}  {:.0} tok/s  {:.0} MB  ETA {}",
            step.step,
            step.epoch,
            step.loss,
            step.lr,
            step.grad_norm,
            step.tokens_per_second,
            step.memory as f64 / 1e6,
            duration(eta)
        )
    }
}

/// What the run is about, as its first line.
fn opening(started: &Started) -> String {
    let cut =
        if started.truncated > 0 { format!("; {} cut", counted(started.truncated, "document")) } else { String::new() };
    format!(
        "{}: {} of {:.1}M parameters on {}; {}, {} trainable parameters; {} train, {} dev, {} test examples{cut}",
        printable(&started.name),
        printable(&started.base),
        started.base_parameters as f64 / 1e6,
        printable(&started.device),
        counted(started.adapters.len(), "adapter"),
        started.adapter_parameters,
        started.train_examples,
        started.dev_examples,
        started.test_examples,
    )
}

/// `7s`, `3m05s`, `2h10m`.
fn duration(seconds: f64) -> String {
    let s = seconds.max(0.0).round() as u64;
    match s {
        0..60 => format!("{s}s"),
        60..3600 => format!("{}m{:02}s", s / 60, s % 60),
        _ => format!("{}h{:02}m", s / 3600, s / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(steps: usize, seconds: f64) -> Vec<String> {
        let mut lines = Lines::default();
        let mut out = Vec::new();
        lines.event(&EventBody::Stage(Stage { steps, of: 1, ..Stage::default() }), 100.0, &mut out);
        for step in 1..=steps {
            let event = EventBody::Step(Step { step, ..Step::default() });
            lines.event(&event, 100.0 + step as f64 * seconds, &mut out);
        }
        out
    }

    #[test]
    fn lines_are_few_whatever_the_steps_take() {
        assert_eq!(run(1000, 0.001).len(), 3, "first and last");
        assert!((45..=60).contains(&run(1000, 0.5).len()));
        // A step a minute: each is told.
        assert_eq!(run(30, 60.0).len(), 31);
        let slow = run(10_000, 1.0);
        assert!((300..=400).contains(&slow.len()), "{}", slow.len());
        assert!(slow[100].ends_with("ETA 1h57m") || slow[100].contains("ETA 1h"), "{}", slow[100]);
    }

    #[test]
    fn the_time_left_counts_the_steps_since_the_resume() {
        let mut lines = Lines::default();
        let mut out = Vec::new();
        lines.event(&EventBody::Stage(Stage { steps: 100, of: 1, ..Stage::default() }), 0.0, &mut out);
        lines.event(&EventBody::Step(Step { step: 91, ..Step::default() }), 2.0, &mut out);
        assert!(out[1].ends_with("ETA 18s"), "{}", out[1]);
    }

    #[test]
    fn nothing_from_outside_reaches_the_terminal_raw() {
        let hostile = "a\x1b[2J\u{9b}31m\u{202e}b";
        let mut lines = Lines::default();
        let mut out = Vec::new();
        let started = Started {
            name: hostile.into(),
            base: hostile.into(),
            device: hostile.into(),
            documents: vec![crate::run::event::Document {
                id: hostile.into(),
                document: hostile.into(),
                reference: hostile.into(),
            }],
            ..Started::default()
        };
        let sample = crate::run::event::Sample { text: hostile.into(), ..Default::default() };
        for body in [
            EventBody::Started(Box::new(started)),
            EventBody::Sample(sample),
            EventBody::Warning { text: hostile.into() },
            EventBody::Stopped { text: hostile.into() },
            EventBody::Failed { text: hostile.into() },
            EventBody::Finished { text: hostile.into() },
        ] {
            lines.event(&body, 0.0, &mut out);
        }
        assert_eq!(out.len(), 7, "{out:?}");
        assert!(out.iter().all(|line| line.contains("\\u{1b}[2J") && !line.chars().any(char::is_control)), "{out:?}");
    }

    #[test]
    fn a_report_says_once_how_rouge_cuts_texts() {
        use crate::run::event::{Report, ReportRow};
        let mut lines = Lines::default();
        let mut out = Vec::new();
        lines.event(&EventBody::Stage(Stage { of: 1, ..Stage::default() }), 0.0, &mut out);
        let row = ReportRow { method: "zero-shot".into(), ..ReportRow::default() };
        let report = Report { split: "test".into(), rows: vec![row], tokens: "words\x1b".into(), encoder: None };
        lines.event(&EventBody::Report(report), 0.0, &mut out);
        assert_eq!(out.iter().filter(|line| line.contains("words\\u{1b}")).count(), 1, "{out:?}");
        assert!(out.last().is_some_and(|line| line.starts_with("(test set; ")), "{out:?}");
    }
}
