//! Ratios per module for a sparsity or for a loss, looked for by a process that loads the run; what it finds becomes the
//! draft.

use super::ask::matched;
use super::edit;
use crate::app::update::toast;
use crate::app::{App, Effect, Measure, clean, prompt, sensitivity};
use crate::recipe::ratios::Ratios as Compiled;
use crate::run::inquiry::Question;
use crate::run::proposal::{Goal, Proposal};

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
    vec![Effect::Inquire(Question::Suggest { goal })]
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

/// `sparsity 60.0 %, loss -0.0719 ± 0.0130 against one ratio for all`. Where the documents that chose are those that
/// verified, the gain is flattered by that and says so; where no move lowered the loss, there is none to tell.
pub fn worth(proposal: &Proposal) -> String {
    let sparsity = format!("sparsity {:.1} %", 100.0 * proposal.sparsity);
    if proposal.moves.is_empty() {
        return format!("no move from one ratio for all lowers the loss: the proposal is the one ratio, {sparsity}");
    }
    let [chose, verified] = proposal.documents;
    // Before the rest, which a narrow line cuts.
    let on = if chose == verified { " on the documents that chose," } else { "" };
    format!("{sparsity}, loss {}{on} against one ratio for all", proposal.gain.shown(4))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::app::ratios::tests::{app, draft, press, tell};
    use crate::app::update::update;
    use crate::app::{Message, Overlay};
    use crate::recipe::ratios::Rule;
    use crate::run::RunState;
    use crate::run::inquiry::{Answer, Said};
    use crate::run::proposal::Move;
    use crate::run::what_if::Change;

    fn said(app: &mut App, id: &str, said: Said) {
        update(app, Message::Answered(Box::new(Answer { id: id.into(), said })));
    }

    fn proposal(rules: &[&str]) -> Box<Proposal> {
        let change = |mean| Change { mean, se: Some(0.01) };
        Box::new(Proposal {
            sparsity: 0.8,
            moves: vec![Move { by: 1.0, gain: change(-0.1) }],
            rules: rules.iter().map(|rule| Rule::parse(rule).unwrap()).collect(),
            stands: [0.5, 3.5],
            documents: [[0, 16], [16, 32]],
            chosen: [change(0.1), change(0.2)],
            verified: [change(0.1), change(0.2)],
            gain: change(-0.1),
            measured: 9,
            slopes: 2,
            groups: vec![("games\u{1b}[2J A".into(), 0.8)],
        })
    }

    #[test]
    fn a_proposal_becomes_the_draft_as_one_edit_and_a_newer_edit_is_none() {
        let mut app = app();
        assert!(press(&mut app, "Z").is_empty() && app.toast.as_ref().unwrap().0.contains("p pauses it"));
        tell(&mut app, vec![], RunState::Finished);
        press(&mut app, "Z");
        assert!(matches!(&app.overlay, Some(Overlay::Prompt(prompt)) if prompt.input.text() == "0.50"));
        let effects = press(&mut app, "ctrl-u + 0 . 0 1 enter");
        let goal = Goal::MaxLoss(0.01);
        assert_eq!(effects, [Effect::Inquire(Question::Suggest { goal })]);
        update(&mut app, Message::Sent { command: "suggest".into(), id: "s1".into() });
        assert_eq!(app.ratios.suggestion.words().unwrap(), "looking for ratios for +0.01 of loss: loading the run");
        said(&mut app, "other", Said::Progress("no".into()));
        said(&mut app, "s1", Said::Progress("round 1\u{1b}[2J".into()));
        let words = app.ratios.suggestion.words().unwrap();
        assert!(words.contains(": round 1") && !words.contains('\u{1b}'), "{words}");
        said(&mut app, "other", Said::Proposed(proposal(&["*=0.9"])));
        assert!(draft(&app).is_empty(), "another's answer");
        said(&mut app, "s1", Said::Proposed(proposal(&["*=0.8", "layers.0.*=0.7"])));
        said(&mut app, "s1", Said::Ended(None));
        assert!(draft(&app).len() == 48 && draft(&app).iter().any(|d| d.1 == 0.7), "{:?}", draft(&app));
        assert!(app.measure == Measure::Ratio && app.ratios.suggestion.words().is_none());
        assert!(proposed(&app).is_some_and(|p| !p.groups[0].0.contains('\u{1b}')));
        assert!(app.toast.as_ref().unwrap().0.contains("loss -0.1000"), "{:?}", app.toast);
        press(&mut app, "+");
        assert!(proposed(&app).is_none(), "it is another draft now");
        press(&mut app, "u");
        assert!(proposed(&app).is_some());
        press(&mut app, "u");
        assert!(draft(&app).is_empty(), "one edit");
    }

    #[test]
    fn a_gain_says_what_it_rests_on() {
        let mut found = proposal(&["*=0.8"]);
        assert_eq!(worth(&found), "sparsity 80.0 %, loss -0.1000 ± 0.0100 against one ratio for all");
        found.documents = [[0, 6]; 2];
        let on_the_same =
            "sparsity 80.0 %, loss -0.1000 ± 0.0100 on the documents that chose, against one ratio for all";
        assert_eq!(worth(&found), on_the_same);
        found.moves.clear();
        let none = "no move from one ratio for all lowers the loss: the proposal is the one ratio, sparsity 80.0 %";
        assert_eq!(worth(&found), none);
    }

    #[test]
    fn a_search_is_given_up_and_what_fails_is_said() {
        let mut app = app();
        tell(&mut app, vec![], RunState::Finished);
        press(&mut app, "Z");
        press(&mut app, "enter");
        assert!(press(&mut app, "Z").is_empty(), "not before it has an id");
        update(&mut app, Message::Sent { command: "suggest".into(), id: "s1".into() });
        assert_eq!(press(&mut app, "Z"), [Effect::Inquire(Question::GiveUp { request: "s1".into() })]);
        said(&mut app, "s1", Said::Ended(Some("given up".into())));
        assert!(app.ratios.suggestion.words().is_none() && app.toast.as_ref().unwrap().0.ends_with("given up"));
        press(&mut app, "Z");
        press(&mut app, "enter");
        update(&mut app, Message::NotSent("no process".into()));
        assert!(app.ratios.suggestion.words().is_none());
        for wrong in ["", "x", "1.5", "-0.1"] {
            assert_eq!(check(wrong).is_err(), !wrong.is_empty(), "{wrong}");
        }
    }
}
