//! A run as lines, for pipes and logs.

use crate::run::event::{EventBody, PhaseKind, Started, Step};
use crate::run::tail::Tail;
use crate::run::{RunDir, RunState, launch};
use crate::{Error, Result};
use std::io::Write;
use std::time::{Duration, Instant};

/// Step and phase lines come at most this often.
const PACE: Duration = Duration::from_secs(1);

/// Prints the run's events as they come, from the first, until it is over. A reader of the output that
/// has gone away ends it quietly; the run goes on.
///
/// # Errors
/// When the journal cannot be read.
pub fn follow(run: &RunDir, out: &mut dyn Write) -> Result<()> {
    let mut lines = Lines::default();
    let mut tail = Tail::new(run.clone());
    let mut text = vec![format!("run {}", run.path().display())];
    loop {
        let update = tail.poll()?;
        for event in &update.events {
            lines.event(&event.body, event.t, &mut text);
        }
        for line in text.drain(..) {
            if let Err(e) = writeln!(out, "{line}").and_then(|()| out.flush()) {
                return if e.kind() == std::io::ErrorKind::BrokenPipe {
                    Ok(())
                } else {
                    Err(Error::fault(e.to_string()))
                };
            }
        }
        if update.state.is_over() {
            if update.state == RunState::Crashed {
                return Err(Error::fault(format!(
                    "the worker is gone without a last word: {}; `lopper resume {}` goes on from the last checkpoint",
                    launch::tail_of_log(run),
                    run.path().display()
                )));
            }
            return Ok(());
        }
        if update.caught_up {
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

/// Turns events into lines.
#[derive(Debug, Default)]
struct Lines {
    started: Option<Started>,
    stage: crate::run::event::Stage,
    stage_began: f64,
    last: Option<Instant>,
    label: String,
}

impl Lines {
    fn due(&mut self) -> bool {
        let due = self.last.is_none_or(|last| last.elapsed() >= PACE);
        if due {
            self.last = Some(Instant::now());
        }
        due
    }

    fn event(&mut self, body: &EventBody, t: f64, out: &mut Vec<String>) {
        match body {
            EventBody::Started(started) => {
                out.push(format!(
                    "{}: {} of {}M parameters on {}; {} adapters, {} trainable parameters; {} train, {} dev, {} test examples{}",
                    started.name,
                    started.base,
                    (started.base_parameters as f64 / 1e5).round() / 10.0,
                    started.device,
                    started.adapters.len(),
                    started.adapter_parameters,
                    started.train_examples,
                    started.dev_examples,
                    started.test_examples,
                    if started.truncated > 0 { format!("; {} documents cut", started.truncated) } else { String::new() }
                ));
                self.started = Some(*started.clone());
            }
            EventBody::Stage(stage) => {
                out.push(format!("stage {}/{}: {}", stage.index + 1, stage.of, stage.method));
                self.stage = stage.clone();
                self.stage_began = t;
                self.last = None;
            }
            EventBody::Phase(phase) => {
                let new = self.label != phase.label;
                if (new || phase.done == phase.total || self.due())
                    && !(phase.phase == PhaseKind::Eval && phase.done == 0)
                {
                    self.label.clone_from(&phase.label);
                    out.push(format!("  {} {}/{}", phase.label, phase.done, phase.total));
                }
            }
            EventBody::Step(step) => {
                if step.step == 1 || step.step == self.stage.steps || self.due() {
                    out.push(self.step(step, t));
                }
            }
            EventBody::Dev(dev) => {
                let rouge = dev.rouge.map(|r| format!("  ROUGE-L {:.2}", r.rouge_l)).unwrap_or_default();
                let best = if dev.best { "  (best)" } else { "" };
                out.push(format!("  step {:>4}  dev loss {:.4}{rouge}{best}", dev.step, dev.loss));
            }
            EventBody::Sample(sample) => {
                if let Some(document) = self.started.as_ref().and_then(|s| s.documents.get(sample.document)) {
                    let line = |text: &str| crate::text::printable(text).into_owned();
                    out.push(format!("    {}: {}", line(&document.id), line(&sample.text)));
                    out.push(format!(
                        "    {:indent$}  reference: {}",
                        "",
                        line(&document.reference),
                        indent = document.id.len()
                    ));
                }
            }
            EventBody::Checkpoint(checkpoint) => out.push(format!("  checkpoint {}", checkpoint.path)),
            EventBody::Control(c) => {
                out.push(format!(
                    "  {}: {}{}",
                    c.command,
                    if c.ok { "" } else { "refused, " },
                    crate::text::printable(&c.text)
                ));
            }
            EventBody::Paused { paused } => out.push(if *paused { "  paused".into() } else { "  goes on".into() }),
            EventBody::Warning { text } => out.push(format!("  note: {}", crate::text::printable(text))),
            EventBody::Report(report) if report.rows.len() > 1 || self.stage.index + 1 == self.stage.of => {
                if self.stage.index + 1 == self.stage.of {
                    out.push(String::new());
                    out.extend(super::report_table(report).lines().map(str::to_owned));
                    out.push(format!(
                        "({} set; R-1, R-2, R-L: ROUGE F in percent; loss in nats per summary token)",
                        report.split
                    ));
                }
            }
            EventBody::Finished { text } => out.push(format!("finished: {}", crate::text::printable(text))),
            EventBody::Stopped { text } => out.push(crate::text::printable(text).into_owned()),
            EventBody::Failed { text } => out.push(format!("failed: {}", crate::text::printable(text))),
            EventBody::Report(_) | EventBody::Modules(_) | EventBody::Heartbeat {} | EventBody::Unknown => {}
        }
    }

    fn step(&self, step: &Step, t: f64) -> String {
        let total = self.stage.steps;
        let left = total.saturating_sub(step.step);
        let eta = (t - self.stage_began) / step.step.max(1) as f64 * left as f64;
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

/// `7s`, `3m05s`, `2h10m`.
fn duration(seconds: f64) -> String {
    let s = seconds.max(0.0).round() as u64;
    match s {
        0..60 => format!("{s}s"),
        60..3600 => format!("{}m{:02}s", s / 60, s % 60),
        _ => format!("{}h{:02}m", s / 3600, s / 60 % 60),
    }
}
