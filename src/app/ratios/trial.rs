//! The draft, tried on a copy by the run's worker: asked a moment after the last edit, a newer edit takes its place.
//! Drafts with their figures can be kept as [variants].

#[cfg(test)]
mod tests;

use super::variants::{self, Variant};
use super::{ratio, rules};
use crate::app::update::toast;
use crate::app::{App, Effect};
use crate::recipe::ratios::Rule;
use crate::run::RunState;
use crate::run::control::{Command, what_if_share};
use crate::run::event::ControlOutcome;
use crate::run::inquiry::Question;
use crate::run::what_if::{Progress, WhatIf};

/// Seconds without an edit after which the draft is tried.
const QUIET: f64 = 0.15;
/// Dev documents that the loss is measured on.
const DOCUMENTS: usize = 8;
/// Summaries that are written.
const SAMPLES: usize = 3;
/// Seconds without a word after which it is said that the worker is waited for: it answers between two steps, so that a dev
/// evaluation, or the share of its time that the training has, comes first.
const PATIENCE: f64 = 2.0;
/// Questions whose answers are still known by their ids: more than can be under way.
const REMEMBERED: usize = 32;

/// What became of the draft.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Trial {
    /// What the draft changes that was tried, or is about to be.
    of: Vec<(usize, f64)>,
    /// The ratios of all matrices with it, which an answer is of; none where there is nothing to try.
    ratios: Vec<(usize, f64)>,
    /// The stage that it is of.
    stage: usize,
    /// Since when it has not changed, while it is to be tried.
    quiet: Quiet,
    /// What was asked, the newest last.
    asked: Vec<Asked>,
    /// What is known so far.
    pub found: Option<WhatIf>,
    /// What was kept.
    pub variants: Vec<Variant>,
}

/// A question, as long as somebody may want its answer.
#[derive(Debug, Clone, PartialEq)]
struct Asked {
    /// Its id, empty until it has one.
    id: String,
    /// The ratios of all matrices that it is about.
    ratios: Vec<(usize, f64)>,
    /// The stage that it is about.
    stage: usize,
    /// When it was asked, by the user's clock.
    at: f64,
    /// The run's worker was asked, not a process that loads the run.
    of_worker: bool,
    /// It has its last word, or was taken back.
    over: bool,
}

/// How long a draft has not changed.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
enum Quiet {
    /// It is not to be tried, or was already.
    #[default]
    Over,
    /// The clock has not said.
    Unknown,
    /// Since then.
    Since(f64),
}

impl Trial {
    /// Whether the clock is waited for.
    pub fn is_due(&self, now: f64) -> bool {
        match self.quiet {
            Quiet::Over => false,
            Quiet::Unknown => true,
            Quiet::Since(since) => now >= since + QUIET,
        }
    }

    /// Whether an answer is on its way.
    pub fn is_asked(&self) -> bool {
        let waits = |asked: &Asked| !asked.over && asked.ratios == self.ratios;
        self.quiet != Quiet::Over || self.asked.last().is_some_and(waits)
    }

    /// Whether an answer for these ratios is on its way.
    pub fn awaits(&self, ratios: &[(usize, f64)]) -> bool {
        self.ratios == ratios && self.is_asked()
    }

    /// What is known of these ratios and the stage that it is of, where they are the draft's.
    pub fn known(&self, ratios: &[(usize, f64)]) -> Option<(usize, &WhatIf)> {
        self.found.as_ref().filter(|_| self.ratios == ratios).map(|found| (self.stage, found))
    }
}

/// The ratios of all matrices that take part, those of the draft among them.
pub fn whole(app: &App) -> Vec<(usize, f64)> {
    let count = app.started.as_ref().map_or(0, |started| started.matrices.len());
    (0..count).filter_map(|at| Some((at, ratio(app, at)?))).collect()
}

/// Whether anybody can be asked: the run's worker, or a process that loads the run.
fn can_ask(app: &App) -> bool {
    !app.read_only && app.looks.replay.is_none()
}

/// Whether the run's worker is there to be asked; otherwise a process loads the run.
fn has_worker(app: &App) -> bool {
    matches!(app.state, RunState::Running | RunState::Paused)
}

/// Looks whether the draft is another than before, or over other ratios or in another stage: then it is to be tried.
pub fn notice(app: &mut App) {
    let draft: Vec<(usize, f64)> = app.ratios.draft.changes().collect();
    let (ratios, stage) = if draft.is_empty() { (Vec::new(), 0) } else { (whole(app), app.stage.index) };
    let can_ask = can_ask(app);
    let trial = &mut app.ratios.trial;
    if trial.of != draft || trial.ratios != ratios || trial.stage != stage {
        (trial.of, trial.ratios, trial.stage) = (draft, ratios, stage);
        trial.found = None;
        trial.quiet = if can_ask { Quiet::Unknown } else { Quiet::Over };
    }
}

/// The clock: asks once the draft has been quiet for long enough.
pub fn tick(app: &mut App, now: f64) -> Vec<Effect> {
    notice(app);
    match app.ratios.trial.quiet {
        Quiet::Unknown => app.ratios.trial.quiet = Quiet::Since(now),
        // A clock that was set back does not make it wait for ever.
        Quiet::Since(since) if now >= since + QUIET || now < since => {
            app.ratios.trial.quiet = Quiet::Over;
            let effects = ask(app);
            variants::refresh(app);
            return effects;
        }
        _ => {}
    }
    Vec::new()
}

fn ask(app: &mut App) -> Vec<Effect> {
    if !can_ask(app) {
        return Vec::new();
    }
    let of_worker = has_worker(app);
    if app.ratios.trial.ratios.is_empty() {
        let Some(asked) = app.ratios.trial.asked.last_mut().filter(|asked| !asked.over) else { return Vec::new() };
        asked.over = true;
        let request = asked.id.clone();
        return match (request.is_empty(), asked.of_worker) {
            (true, _) => Vec::new(),
            (false, true) => vec![Effect::Send(Command::CancelWhatIf { request })],
            (false, false) => vec![Effect::Inquire(Question::GiveUp { request })],
        };
    }
    let Some(started) = &app.started else { return Vec::new() };
    let rules: Vec<Rule> = rules::fewest(started, |at| app.present_ratio(at), |at| ratio(app, at));
    let trial = &mut app.ratios.trial;
    trial.asked.retain(|asked| !asked.id.is_empty());
    if trial.asked.len() == REMEMBERED {
        trial.asked.remove(0);
    }
    let (ratios, stage) = (trial.ratios.clone(), trial.stage);
    trial.asked.push(Asked { id: String::new(), ratios, stage, at: app.clock, of_worker, over: false });
    let (documents, samples) = (DOCUMENTS, SAMPLES);
    vec![if of_worker {
        Effect::Send(Command::WhatIf { rules, documents, samples, share: what_if_share() })
    } else {
        Effect::Inquire(Question::WhatIf { rules, documents, samples })
    }]
}

/// The question is in the control file under `id`.
pub fn sent(app: &mut App, id: &str) {
    if let Some(asked) = app.ratios.trial.asked.iter_mut().find(|asked| asked.id.is_empty()) {
        id.clone_into(&mut asked.id);
    }
}

/// It could not be sent.
pub fn not_sent(app: &mut App) {
    app.ratios.trial.asked.retain(|asked| !asked.id.is_empty());
    variants::refresh(app);
}

/// The run is over: a worker that is gone without a word answers nothing any more, and what it was asked ends here.
pub fn lost(app: &mut App) {
    let waiting = app.ratios.trial.asked.iter().filter(|asked| asked.of_worker && !asked.over);
    let requests: Vec<String> = waiting.map(|asked| asked.id.clone()).collect();
    if requests.is_empty() {
        return;
    }
    let text = "the worker is gone; the next edit asks anew".to_owned();
    for request in requests {
        // What is known of it stays.
        let known = app.ratios.trial.found.clone().filter(|found| found.request == request).unwrap_or_default();
        let state = if known.delta.is_some() { Progress::Cancelled } else { Progress::Failed };
        take(app, WhatIf { request, state, text: text.clone(), ..known });
    }
    toast(app, format!("not measured to its end: {text}"));
}

/// The worker has said something of a what-if: it is of the ratios that were asked, whatever the draft is by now.
pub fn take(app: &mut App, found: WhatIf) {
    let trial = &mut app.ratios.trial;
    let Some(at) = trial.asked.iter().rposition(|asked| asked.id == found.request) else { return };
    let is_newest = at + 1 == trial.asked.len();
    let asked = &mut trial.asked[at];
    asked.over |= found.state.is_over();
    for variant in trial.variants.iter_mut().filter(|variant| variant.ratios == asked.ratios) {
        variant.learn(asked.stage, &found);
    }
    let is_draft = (&asked.ratios, asked.stage) == (&trial.ratios, trial.stage);
    if is_newest && is_draft && trial.quiet == Quiet::Over {
        trial.found = Some(found);
    }
    variants::refresh(app);
}

/// The worker's last word on a request: one that came to nothing never had figures.
pub fn answered(app: &mut App, outcome: &ControlOutcome) {
    if outcome.ok || outcome.command != "what_if" {
        return;
    }
    let asked = &app.ratios.trial.asked;
    let Some(at) = asked.iter().rposition(|asked| asked.id == outcome.id && !asked.over) else { return };
    // An older one gave way to the newest: that is no failure.
    let state = if at + 1 == asked.len() { Progress::Failed } else { Progress::Cancelled };
    let (request, text) = (outcome.id.clone(), outcome.text.clone());
    take(app, WhatIf { request, state, text, ..WhatIf::default() });
}

/// What is known of the draft, in few words; `None` where it is not tried.
pub fn words(app: &App) -> Option<String> {
    let trial = &app.ratios.trial;
    let Some(found) = &trial.found else { return trial.is_asked().then(|| unanswered(app)) };
    match found.state {
        Progress::Failed => Some(format!("not measured: {}", found.text)),
        Progress::Cancelled if found.delta.is_none() => Some(format!("measurement given up: {}", found.text)),
        _ => {
            let loss = found.delta.map(|delta| format!("loss {}{}", delta.shown(4), since(app, found.step)));
            Some(loss.unwrap_or_else(|| "measuring".into()))
        }
    }
}

/// What becomes of a draft of which nothing is known yet: `measuring`, or for how long its question has waited for the
/// worker, and for what.
fn unanswered(app: &App) -> String {
    let trial = &app.ratios.trial;
    let newest = trial.asked.last().filter(|asked| trial.quiet == Quiet::Over && asked.ratios == trial.ratios);
    let waited = newest.filter(|asked| asked.of_worker).map_or(0.0, |asked| app.clock - asked.at);
    if waited < PATIENCE {
        return "measuring".into();
    }
    let meanwhile = app.phase.as_ref().map_or(String::new(), |phase| format!(" ({})", phase.label));
    format!("waits for the worker{meanwhile}, {} s so far", waited as u64)
}

/// ` at step 120`, where the heatmap shows another step by now.
fn since(app: &App, step: usize) -> String {
    let is_past = app.drafted().is_some_and(|modules| modules.step != step);
    if is_past { format!(" at step {step}") } else { String::new() }
}

/// What became of the summaries, in few words.
pub fn summaries(app: &App) -> Option<String> {
    let found = app.ratios.trial.found.as_ref().filter(|f| f.state == Progress::Done && !f.summaries.is_empty())?;
    let changed = found.summaries.iter().filter(|s| s.before != s.after).count();
    let rouge = found.rouge.map_or(String::new(), |rouge| format!(", ROUGE-L {}", rouge.shown(1)));
    Some(format!("{changed} of {} summaries changed{rouge}", found.summaries.len()))
}
