//! Ratios per module for a sparsity or for a loss, looked for by a process that loads the run; what it finds becomes the
//! draft.

use super::ask::matched;
use super::edit;
use crate::app::update::toast;
use crate::app::{App, Effect, Measure, clean, prompt, sensitivity};
use crate::recipe::ratios::Ratios as Compiled;
use crate::run::inquiry::Question;
use crate::run::proposal::{Goal, Proposal};

/// Dev documents that choose; the others verify.
const DOCUMENTS: usize = 16;
/// What can be typed.
pub const GOAL: &str = "0.6 for a sparsity, +0.01 for what the loss may rise by";

/// The search and what it found.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Suggestion {
    /// The request under way, empty until it has an id.
    request: Option<String>,
    /// What it is for.
    goal: Option<Goal>,
    /// How far it is.
    pub line: String,
    /// What was found last, and the draft that it became.
    found: Option<(Proposal, Vec<(usize, f64)>)>,
}

impl Suggestion {
    /// `looking for ratios at 60.0 % sparsity: round 2 of 4: ...`; `None` when nothing is looked for.
    pub fn words(&self) -> Option<String> {
        let goal = self.goal.filter(|_| self.request.is_some())?;
        let line = if self.line.is_empty() { "loading the run" } else { self.line.trim() };
        Some(format!("looking for ratios {}: {line}", goal.words()))
    }
}

/// The proposal, as long as it is the draft.
pub fn proposed(app: &App) -> Option<&Proposal> {
    let (proposal, draft) = app.ratios.suggestion.found.as_ref()?;
    app.ratios.draft.changes().eq(draft.iter().copied()).then_some(proposal)
}

/// The key: asks what for, or gives up.
pub fn ask(app: &mut App) -> Vec<Effect> {
    if let Some(request) = app.ratios.suggestion.request.clone() {
        return if request.is_empty() { Vec::new() } else { vec![Effect::Inquire(Question::GiveUp { request })] };
    }
    let all = super::matrices(app, |_, _| true);
    if super::refused(app, &all) {
        return Vec::new();
    }
    if let Some(why) = sensitivity::refusal(app) {
        toast(app, why);
        return Vec::new();
    }
    let now = super::forecast::of_draft(app).map_or(0.5, |(_, then)| then.sparsity);
    let text = format!("{:.2}", now.clamp(0.05, 0.95));
    prompt::ask(app, prompt::Purpose::Suggest, "ratios for", GOAL, &text);
    Vec::new()
}

/// What would be looked for, as it is typed.
///
/// # Errors
/// What is wrong with it.
pub fn check(text: &str) -> Result<String, String> {
    if text.trim().is_empty() {
        return Ok(GOAL.into());
    }
    let goal = Goal::parse(text)?;
    Ok(format!("ratios per module {}, by slopes and measurements: may take minutes", goal.words()))
}

/// Begins to look.
pub fn begin(app: &mut App, text: &str) -> Vec<Effect> {
    let Ok(goal) = Goal::parse(text) else { return Vec::new() };
    let suggestion = &mut app.ratios.suggestion;
    (suggestion.request, suggestion.goal, suggestion.line) = (Some(String::new()), Some(goal), String::new());
    vec![Effect::Inquire(Question::Suggest { goal, documents: DOCUMENTS })]
}

/// The request has an id.
pub fn sent(app: &mut App, id: &str) {
    if let Some(request) = app.ratios.suggestion.request.as_mut().filter(|request| request.is_empty()) {
        id.clone_into(request);
    }
}

/// It could not be sent.
pub fn not_sent(app: &mut App) {
    app.ratios.suggestion.request.take_if(|request| request.is_empty());
}

fn is_of(app: &App, id: &str) -> bool {
    app.ratios.suggestion.request.as_deref() == Some(id)
}

/// How far it is.
pub fn told(app: &mut App, id: &str, line: &str) {
    if is_of(app, id) {
        app.ratios.suggestion.line = clean::line(line);
    }
}

/// The last word; nothing to say where it is another's.
pub fn ended(app: &mut App, id: &str, why: Option<&str>) {
    if is_of(app, id) {
        app.ratios.suggestion.request = None;
        if let Some(why) = why {
            toast(app, format!("no ratios were looked for to the end: {why}"));
        }
    }
}

/// What was found becomes the draft, as one edit.
pub fn take(app: &mut App, id: &str, mut proposal: Proposal) {
    if !is_of(app, id) {
        return;
    }
    proposal.groups.iter_mut().for_each(|(name, _)| *name = clean::line(name));
    let wanted = match Compiled::new(0.0, &proposal.rules) {
        Ok(rules) => matched(app, &rules),
        Err(e) => return toast(app, format!("the proposal cannot be read: {e}")),
    };
    let changed = edit(app, &wanted);
    if changed == 0 {
        return toast(app, "the proposal is what the run has already");
    }
    (app.measure, app.measure_chosen) = (Measure::Ratio, true);
    toast(app, format!("{}; b says more, u takes it back", worth(&proposal)));
    let draft = app.ratios.draft.changes().collect();
    app.ratios.suggestion.found = Some((proposal, draft));
}

/// `sparsity 60.0 %, loss -0.0719 ± 0.0130 against one ratio for all`.
pub fn worth(proposal: &Proposal) -> String {
    format!("sparsity {:.1} %, loss {} against one ratio for all", 100.0 * proposal.sparsity, proposal.gain.shown(4))
}
