//! The draft, tried on a copy by the run's worker: asked a moment after the last edit, a newer edit takes its place.
//! Drafts with their figures can be kept as variants.

use super::menu::{self, Item};
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
const SAMPLES: usize = 1;
/// Variants that can be kept.
const MOST: usize = 26;

/// What became of the draft.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Trial {
    /// The draft that was tried, or is about to be.
    of: Vec<(usize, f64)>,
    /// Since when it has not changed, while it is to be tried.
    quiet: Quiet,
    /// The request, empty until it has an id.
    request: Option<String>,
    /// What is known so far.
    pub found: Option<WhatIf>,
    /// What was kept.
    pub variants: Vec<Variant>,
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

/// A draft that was kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Variant {
    /// A, B, C.
    pub name: String,
    /// The ratios of all its matrices.
    pub ratios: Vec<(usize, f64)>,
    /// Its request, if it was tried.
    request: Option<String>,
    /// What is known of it.
    pub found: Option<WhatIf>,
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
        self.quiet != Quiet::Over || self.request.is_some() && !self.found.as_ref().is_some_and(|f| f.state.is_over())
    }
}

/// Whether anybody can be asked: the run's worker, or a process that loads the run.
fn can_ask(app: &App) -> bool {
    !app.read_only && app.looks.replay.is_none()
}

/// Whether the run's worker is there to be asked; otherwise a process loads the run.
fn has_worker(app: &App) -> bool {
    matches!(app.state, RunState::Running | RunState::Paused)
}

/// Looks whether the draft is another than before: then it is to be tried.
pub fn notice(app: &mut App) {
    let draft: Vec<(usize, f64)> = app.ratios.draft.changes().collect();
    let can_ask = can_ask(app);
    let trial = &mut app.ratios.trial;
    if trial.of != draft {
        trial.of = draft;
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
            return ask(app);
        }
        _ => {}
    }
    Vec::new()
}

fn ask(app: &mut App) -> Vec<Effect> {
    if !can_ask(app) {
        return Vec::new();
    }
    if app.ratios.trial.of.is_empty() {
        let asked = app.ratios.trial.request.take().filter(|id| !id.is_empty());
        let with_worker = has_worker(app);
        let back = |request| {
            if with_worker {
                Effect::Send(Command::CancelWhatIf { request })
            } else {
                Effect::Inquire(Question::GiveUp { request })
            }
        };
        return asked.map(back).into_iter().collect();
    }
    let Some(started) = &app.started else { return Vec::new() };
    let rules: Vec<Rule> = rules::fewest(started, |at| app.present_ratio(at), |at| ratio(app, at));
    app.ratios.trial.request = Some(String::new());
    let (documents, samples) = (DOCUMENTS, SAMPLES);
    vec![if has_worker(app) {
        Effect::Send(Command::WhatIf { rules, documents, samples, share: what_if_share() })
    } else {
        Effect::Inquire(Question::WhatIf { rules, documents, samples })
    }]
}

/// The question is in the control file under `id`.
pub fn sent(app: &mut App, id: &str) {
    if let Some(request) = app.ratios.trial.request.as_mut().filter(|request| request.is_empty()) {
        id.clone_into(request);
    }
}

/// It could not be sent.
pub fn not_sent(app: &mut App) {
    app.ratios.trial.request.take_if(|request| request.is_empty());
}

/// The worker has said something of a what-if.
pub fn take(app: &mut App, found: WhatIf) {
    let trial = &mut app.ratios.trial;
    let is_of = |request: &Option<String>| request.as_ref() == Some(&found.request);
    for variant in trial.variants.iter_mut().filter(|variant| is_of(&variant.request)) {
        variant.found = Some(found.clone());
    }
    if is_of(&trial.request) && trial.quiet == Quiet::Over && !trial.of.is_empty() {
        trial.found = Some(found);
    }
}

/// The worker's last word on a request: one that came to nothing never had figures.
pub fn answered(app: &mut App, outcome: &ControlOutcome) {
    if !outcome.ok && outcome.command == "what_if" {
        let known = app.ratios.trial.found.as_ref().is_some_and(|f| f.state.is_over());
        if !known && app.ratios.trial.request.as_ref() == Some(&outcome.id) {
            let (request, text) = (outcome.id.clone(), outcome.text.clone());
            take(app, WhatIf { request, text, state: Progress::Failed, ..WhatIf::default() });
        }
    }
}

/// Keeps the draft, with what is known of it.
pub fn keep(app: &mut App) {
    let ratios: Vec<(usize, f64)> = app.ratios.draft.changes().collect();
    let count = app.ratios.trial.variants.len();
    if ratios.is_empty() {
        toast(app, "there is no draft to keep: + - r R P edit the ratios first");
    } else if count == MOST {
        toast(app, format!("{MOST} variants are kept already"));
    } else {
        let name = char::from(b'A' + count as u8).to_string();
        let (request, found) = (app.ratios.trial.request.clone(), app.ratios.trial.found.clone());
        let everything = super::matrices(app, |_, _| true);
        let whole: Vec<(usize, f64)> = everything.into_iter().filter_map(|at| Some((at, ratio(app, at)?))).collect();
        toast(app, format!("kept as {name}; B compares what was kept"));
        app.ratios.trial.variants.push(Variant { name, ratios: whole, request, found });
    }
}

/// The table of what was kept; Enter makes one the draft.
pub fn compare(app: &mut App) {
    if app.ratios.trial.variants.is_empty() {
        toast(app, "nothing is kept yet: K keeps the draft with its figures");
        return;
    }
    let items = app.ratios.trial.variants.iter().map(|variant| {
        let loss = variant.found.as_ref().and_then(|f| f.delta).map_or("not measured".into(), |d| d.shown(4));
        Item::new(app, &format!("{}  {loss}", variant.name), about(variant.found.as_ref()), Ok(variant.ratios.clone()))
    });
    let items = items.collect();
    menu::open(app, "kept drafts: change of the dev loss", items);
}

/// Everything that was measured, in one line.
fn about(found: Option<&WhatIf>) -> String {
    let Some(found) = found else { return "it was never tried: the worker was not there".into() };
    let mut text = format!("step {}: {}", found.step, found.line());
    if found.state == Progress::Done {
        text.push_str(&format!(", measured sparsity {:.1} %", 100.0 * found.sparsity[1]));
    }
    if let Some(rouge) = &found.rouge {
        text.push_str(&format!(", ROUGE-L {}", rouge.shown(1)));
    }
    text
}

/// What is known of the draft, in few words; `None` where it is not tried.
pub fn words(app: &App) -> Option<String> {
    let trial = &app.ratios.trial;
    let Some(found) = &trial.found else { return trial.is_asked().then(|| "measuring".into()) };
    match found.state {
        Progress::Failed => Some(format!("not measured: {}", found.text)),
        Progress::Cancelled => Some("measurement given up".into()),
        _ => Some(found.delta.map_or_else(|| "measuring".into(), |delta| format!("loss {}", delta.shown(4)))),
    }
}

/// What became of the summaries, in few words.
pub fn summaries(app: &App) -> Option<String> {
    let found = app.ratios.trial.found.as_ref().filter(|f| f.state == Progress::Done && !f.summaries.is_empty())?;
    let changed = found.summaries.iter().filter(|s| s.before != s.after).count();
    let rouge = found.rouge.map_or(String::new(), |rouge| format!(", ROUGE-L {}", rouge.shown(1)));
    Some(format!("{changed} of {} summaries changed{rouge}", found.summaries.len()))
}
