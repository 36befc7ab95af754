//! `lopper what-if`: other prune ratios on a copy of a run's set, measured.

mod serve;

use super::interrupted::Interrupted;
use crate::app::watch::diff::{self, Piece};
use crate::recipe::ratios::Rule;
use crate::run::control::{self, Command, what_if_share};
use crate::run::event::EventBody;
use crate::run::journal;
use crate::run::tail::Tail;
use crate::run::what_if::{Progress, RESTORED, WhatIf};
use crate::run::{RunDir, RunState};
use crate::text::{self, printable};
use crate::train::what_if::reopened::Reopened;
use crate::train::what_if::{Answers, Question};
use crate::{Error, Result};
use serde::Serialize;
use std::path::PathBuf;
use std::time::Duration;

/// What is asked.
#[derive(Debug, Clone, clap::Args)]
pub struct Asked {
    /// The run directory
    run: PathBuf,
    /// A ratio for some matrices: 'layers.0-7.*=0.8', 'layers.3.* science A=0.5'; the last that matches counts
    #[arg(long = "set", value_name = "RULE", required_unless_present = "serve")]
    set: Vec<String>,
    /// Dev documents to measure the loss on
    #[arg(long, default_value_t = 8)]
    documents: usize,
    /// Dev documents to write summaries of
    #[arg(long, default_value_t = 0)]
    samples: usize,
    /// Share of the time that a run under way may spend on it
    #[arg(long, default_value_t = what_if_share())]
    share: f64,
    /// As JSON
    #[arg(long)]
    json: bool,
    /// Questions and answers as lines of JSON, for a screen
    #[arg(long, hide = true, conflicts_with = "set")]
    serve: bool,
}

/// The answer for programs.
#[derive(Serialize)]
struct Told<'a> {
    #[serde(flatten)]
    found: &'a WhatIf,
    run: String,
    /// The method of the stage that its step is of.
    stage: Option<String>,
    notes: &'a [String],
}

/// The answer as text, and the exit code.
///
/// # Errors
/// When a rule is malformed, or the run cannot be asked.
pub fn report(asked: &Asked) -> Result<(String, u8)> {
    let rules: Vec<Rule> = asked.set.iter().map(|text| Rule::parse(text)).collect::<Result<_>>()?;
    if asked.documents == 0 {
        return Err(Error::user("--documents 0: a what-if needs at least one dev document"));
    }
    if !(0.0..=1.0).contains(&asked.share) {
        // What is no number no worker can read.
        return Err(Error::user(format!("--share {}: a share from 0.0 to 1.0 is needed", asked.share)));
    }
    let run = RunDir::open(&asked.run)?;
    if asked.serve {
        return serve::serve(&run).map(|()| (String::new(), 0));
    }
    let interrupted = Interrupted::listen();
    let (found, stage, notes) = if run.state() == RunState::Running {
        (of_worker(&run, rules, asked, &interrupted)?, None, Vec::new())
    } else {
        let open = Reopened::load(&run)?;
        open.check(&rules)?;
        let question = Question { rules, documents: 0..asked.documents, samples: asked.samples };
        let found = Answers::default().answer(&open.subject(), &question, &mut interrupted.clone())?;
        (found, Some(open.stage.1), open.notes)
    };
    if found.state == Progress::Failed {
        return Err(Error::user(found.text));
    }
    let code = if found.state == Progress::Cancelled { 130 } else { 0 };
    if asked.json {
        let stage = match stage {
            None => stage_under_way(&run)?,
            known => known,
        };
        let told = Told { found: &found, run: run.name(), stage, notes: &notes };
        return text::json(&told).map(|text| (text, code));
    }
    let mut text: Vec<String> = notes.iter().map(|note| format!("note: {}", printable(note))).collect();
    lines(&found, &mut text);
    Ok((text.join("\n"), code))
}

/// The method of the stage that the run is at.
fn stage_under_way(run: &RunDir) -> Result<Option<String>> {
    Ok(match journal::last_of(&run.journal_file(), "stage")?.map(|event| event.body) {
        Some(EventBody::Stage(stage)) => Some(stage.method),
        _ => None,
    })
}

/// Asks the run's worker, and waits for its last word on it.
fn of_worker(run: &RunDir, rules: Vec<Rule>, asked: &Asked, interrupted: &Interrupted) -> Result<WhatIf> {
    let mut tail = Tail::from_end(run.clone())?;
    let command = Command::WhatIf { rules, documents: asked.documents, samples: asked.samples, share: asked.share };
    let request = control::send(run.path(), command)?;
    let mut cancelled = false;
    loop {
        let update = tail.poll()?;
        for event in update.events {
            match event.body {
                EventBody::WhatIf(found) if found.request == request && found.state.is_over() => return Ok(*found),
                // It never got as far as a measurement.
                EventBody::Control(answer) if answer.id == request && !answer.ok => {
                    let state = if cancelled { Progress::Cancelled } else { Progress::Failed };
                    return Ok(WhatIf { request, state, text: answer.text, ..WhatIf::default() });
                }
                _ => {}
            }
        }
        if update.state.is_over() && update.caught_up {
            let path = run.path().display();
            return Err(Error::user(format!("{path} is {} now; ask again", update.state.word())));
        }
        if interrupted.is_set() && !cancelled {
            cancelled = true;
            control::send(run.path(), Command::CancelWhatIf { request: request.clone() })?;
        }
        if update.caught_up {
            std::thread::sleep(Duration::from_millis(30));
        }
    }
}

/// The answer for people.
fn lines(found: &WhatIf, out: &mut Vec<String>) {
    let percent = |share: f64| format!("{:.1} %", 100.0 * share);
    let mut row = |name: &str, text: String| out.push(format!("{name:10} {text}"));
    let rules: Vec<String> = found.rules.iter().map(Rule::typed).collect();
    row("asked", printable(&rules.join(", ")).into_owned());
    if found.state == Progress::Cancelled && found.asked[0] == 0 {
        // Before its turn came: there are no other masks to tell of.
        row("given up", printable(&found.text).into_owned());
        return;
    }
    let at = if found.share < 1.0 {
        format!(" (the schedule is at {} of the ratios)", percent(found.share))
    } else {
        String::new()
    };
    row("step", format!("{}{at}; {} matrices have another mask", found.step, found.changed));
    let [before, after] = found.sparsity.map(percent);
    row("sparsity", format!("{before} → {after} ({} by the ratios)", percent(found.predicted)));
    let [before, after] = found.retained.map(percent);
    row("importance", format!("{before} → {after} of it left"));
    if found.restored > 0 {
        row("note", format!("{} entries come back: {RESTORED}", found.restored));
    }
    let documents = found.losses.len();
    let cached = if found.cached { ", asked before" } else { "" };
    match found.state {
        Progress::Cancelled | Progress::Failed => row("given up", printable(&found.text).into_owned()),
        _ => row("dev", format!("{} ({documents} documents, {:.1} s{cached})", found.line(), found.seconds)),
    }
    if let Some(rouge) = &found.rouge {
        row("ROUGE-L", format!("{} points over {} summaries", rouge.shown(2), found.summaries.len()));
    }
    for summary in &found.summaries {
        let [before, after] = summary.rouge_l;
        out.push(format!("\ndocument {}: ROUGE-L {before:.1} → {after:.1}", summary.document + 1));
        if summary.before == summary.after {
            out.push(format!("  the same: {}", printable(&summary.after)));
        } else {
            out.push(format!("  now:     {}", printable(&summary.before)));
            out.push(format!("  then:    {}", printable(&summary.after)));
            if let Some(pieces) = diff::words(&summary.before, &summary.after) {
                out.push(format!("  changes: {}", printable(&marked(&pieces))));
            }
        }
    }
}

/// `a game [-with-] {+about red+} balls`.
fn marked(pieces: &[Piece]) -> String {
    let mark = |piece: &Piece| match piece {
        Piece::Same(text) => text.clone(),
        Piece::Removed(text) => format!("[-{text}-]"),
        Piece::Added(text) => format!("{{+{text}+}}"),
    };
    pieces.iter().map(mark).collect()
}
