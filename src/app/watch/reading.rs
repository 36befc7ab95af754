//! The samples pane: which version of a summary, how far down the document, and what is searched for.

use super::search::{self, Hit, Part};
use crate::app::action::Action;
use crate::app::update::toast;
use crate::app::{App, Written, prompt};
use std::cell::Cell;

/// Versions of a document's summary that are kept.
const VERSIONS: usize = 256;

/// A version: its stage and step.
pub type Version = (usize, usize);

/// State of the pane.
#[derive(Debug, Clone, Default)]
pub struct Reading {
    /// The version on show, the newest if left out.
    pub version: Option<Version>,
    /// The method whose newest versions are meant by that, where it has written any; every method's if left out.
    pub method: Option<String>,
    /// Without the differences to the version before.
    pub plain: bool,
    /// Lines scrolled. Only the drawing knows how the lines wrap: it notes here how far it went, so that a key
    /// at the end does not scroll on in secret.
    pub top: Cell<usize>,
    /// What is searched for, empty for nothing.
    pub query: String,
    /// The match that was jumped to.
    pub hit: Option<Hit>,
    /// Its number and how many there are.
    pub count: (usize, usize),
    /// Whether the lines scroll to it.
    pub follow: bool,
}

impl Written {
    /// Which version it is.
    pub fn version(&self) -> Version {
        (self.stage, self.step)
    }
}

/// Takes in a version: of a step that is written again, the newer one counts; what a run that was resumed
/// does anew is forgotten.
pub fn take(all: &mut Vec<Written>, written: Written) {
    all.retain(|old| old.stage <= written.stage && old.version() != written.version());
    all.push(written);
    if all.len() > VERSIONS {
        // The last one of each stage stays.
        let spare = all.windows(2).position(|w| w[0].stage == w[1].stage).unwrap_or(0);
        all.remove(spare);
    }
}

/// Versions of the document on show.
pub fn versions(app: &App) -> &[Written] {
    app.samples.get(&app.document).map_or(&[], Vec::as_slice)
}

/// The index of the version on show.
pub fn shown(app: &App) -> Option<usize> {
    let all = versions(app);
    let chosen = app.watch.reading.version.and_then(|v| all.iter().position(|w| w.version() == v));
    chosen.or_else(|| last(app, all))
}

/// The newest of a document's versions, of those that are meant.
fn last(app: &App, all: &[Written]) -> Option<usize> {
    let method = app.watch.reading.method.as_ref();
    let own = method.and_then(|method| all.iter().rposition(|written| written.method == *method));
    own.or(all.len().checked_sub(1))
}

/// What was written newest of a document that is not on show.
pub fn newest(app: &App, document: usize) -> Option<&Written> {
    let all = app.samples.get(&document)?;
    all.get(last(app, all)?)
}

/// Shows what a method has written, of every document, until another version is chosen.
pub fn follow(app: &mut App, method: &str) {
    app.watch.reading.method = Some(method.to_owned());
    turn(app);
}

/// Another document is on show.
pub fn turn(app: &mut App) {
    let reading = &mut app.watch.reading;
    reading.version = None;
    reading.follow = false;
    reading.top.set(0);
}

/// Scrolls the document.
pub fn scroll(app: &mut App, forward: bool, lines: usize) {
    let reading = &mut app.watch.reading;
    reading.follow = false;
    let top = reading.top.get();
    reading.top.set(if forward { top.saturating_add(lines) } else { top.saturating_sub(lines) });
}

fn step(app: &mut App, forward: bool) {
    let Some(at) = shown(app) else {
        toast(app, "no summary of this document is written yet");
        return;
    };
    let to = if forward { at + 1 } else { at.saturating_sub(1) };
    if !forward && at == 0 {
        toast(app, "this is the first version of the summary");
    } else if forward && to == versions(app).len() {
        toast(app, "this is the newest version of the summary");
    }
    let all = versions(app);
    // At the newest one it follows what comes.
    let version = all.get(to).filter(|_| to + 1 < all.len()).map(Written::version);
    let reading = &mut app.watch.reading;
    reading.version = version;
    reading.method = None;
    reading.follow = false;
    reading.top.set(0);
}

/// An action of the pane.
pub fn act(app: &mut App, action: Action) {
    match action {
        Action::PreviousVersion => step(app, false),
        Action::NextVersion => step(app, true),
        Action::Differences => app.watch.reading.plain = !app.watch.reading.plain,
        Action::Search => {
            let query = app.watch.reading.query.clone();
            let hint = "in documents, references and summaries; empty for none";
            prompt::ask(app, prompt::Purpose::SearchSamples, "search the samples", hint, &query);
        }
        Action::NextMatch if app.watch.reading.query.is_empty() => toast(app, "nothing is searched for: / searches"),
        Action::NextMatch => next(app),
        _ => {}
    }
}

/// What is wrong with a query.
pub fn check(app: &App, query: &str) -> Option<String> {
    let query = query.trim();
    let none = !query.is_empty() && search::all(app, query).is_empty();
    none.then(|| "no document, reference or summary holds that".to_owned())
}

/// Searches for it from the document on show.
pub fn search_for(app: &mut App, query: &str) {
    let reading = &mut app.watch.reading;
    query.trim().clone_into(&mut reading.query);
    reading.hit = None;
    if !app.watch.reading.query.is_empty() {
        next(app);
    }
}

/// Jumps to the next match, from the last one to the first.
fn next(app: &mut App) {
    let all = search::all(app, &app.watch.reading.query);
    let last = app.watch.reading.hit.as_ref().filter(|hit| hit.document == app.document);
    let after = last.and_then(|hit| all.iter().position(|h| h == hit)).map(|at| (at + 1) % all.len().max(1));
    let at = after.or_else(|| all.iter().position(|h| h.document >= app.document)).unwrap_or(0);
    let Some(hit) = all.get(at).cloned() else {
        toast(app, "no document, reference or summary holds that");
        return;
    };
    if hit.document != app.document {
        app.document = hit.document;
        turn(app);
    }
    let reading = &mut app.watch.reading;
    match hit.part {
        Part::Version(version) => reading.version = Some(version),
        Part::Reference | Part::Document => {}
    }
    reading.count = (at + 1, all.len());
    reading.hit = Some(hit);
    reading.follow = true;
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::app::update::update;
    use crate::app::{Message, Overlay, Pane};
    use crate::run::event::{Document, Started};

    fn written(stage: usize, step: usize, text: &str) -> Written {
        Written { stage, method: format!("m{stage}"), step, text: text.into(), rouge_l: 1.0 }
    }

    fn app() -> App {
        let mut app = App::new("x", false);
        app.pane = Pane::Samples;
        let document = |document: &str, reference: &str| Document {
            id: "d".into(),
            document: document.into(),
            reference: reference.into(),
        };
        let documents = vec![document("red balls and Red walls", "a game"), document("重要度の話", "red")];
        app.started = Some(Started { documents, ..Started::default() });
        let all = vec![written(0, 0, "zero"), written(1, 10, "a red ball"), written(1, 20, "a ball")];
        app.samples.insert(0, all);
        app
    }

    fn press(app: &mut App, keys: &[&str]) {
        for key in keys {
            update(app, Message::Key((*key).into()));
        }
    }

    fn search(app: &mut App, query: &str) {
        press(app, &["/", "ctrl-u"]);
        for c in query.chars() {
            press(app, &[&c.to_string()]);
        }
        press(app, &["enter"]);
    }

    #[test]
    fn versions_are_kept_and_replaced_where_they_are_written_again() {
        let mut all = Vec::new();
        for (stage, step) in [(0, 0), (1, 10), (1, 20), (1, 10), (2, 5)] {
            take(&mut all, written(stage, step, "x"));
        }
        let kept = |all: &[Written]| all.iter().map(Written::version).collect::<Vec<_>>();
        assert_eq!(kept(&all), [(0, 0), (1, 20), (1, 10), (2, 5)]);
        take(&mut all, written(1, 30, "x"));
        assert_eq!(kept(&all), [(0, 0), (1, 20), (1, 10), (1, 30)]);
        for step in 0..1000 {
            take(&mut all, written(3, step, "x"));
        }
        assert_eq!((all.len(), all[0].stage, all[1].version()), (VERSIONS, 0, (1, 30)));
    }

    #[test]
    fn versions_are_stepped_through_and_the_newest_one_follows() {
        let mut app = app();
        assert_eq!(shown(&app), Some(2));
        press(&mut app, &["t"]);
        assert_eq!(shown(&app), Some(1));
        press(&mut app, &["t", "t", "t"]);
        assert_eq!(shown(&app), Some(0));
        press(&mut app, &["T", "T", "T", "d"]);
        assert_eq!((shown(&app), app.watch.reading.version, app.watch.reading.plain), (Some(2), None, true));
        press(&mut app, &["t", "n"]);
        assert_eq!((shown(&app), app.document), (None, 1));
        press(&mut app, &["t"]);
        assert!(app.toast.is_some());
    }

    #[test]
    fn j_and_k_scroll_and_another_document_starts_at_its_top() {
        let mut app = app();
        press(&mut app, &["j", "j", "k", "down"]);
        assert_eq!((app.watch.reading.top.get(), app.document), (2, 0));
        press(&mut app, &["n"]);
        assert_eq!((app.watch.reading.top.get(), app.document), (0, 1));
    }

    #[test]
    fn a_search_goes_through_all_texts_and_comes_back() {
        let mut app = app();
        search(&mut app, "RED");
        let mut seen = Vec::new();
        for _ in 0..5 {
            let reading = &app.watch.reading;
            seen.push((app.document, reading.hit.as_ref().unwrap().part.clone(), reading.count.0));
            press(&mut app, &["."]);
        }
        let version = Part::Version((1, 10));
        let expected =
            [(0, version.clone(), 1), (0, Part::Document, 2), (0, Part::Document, 3), (1, Part::Reference, 4)];
        assert_eq!(seen[..4], expected);
        assert_eq!(seen[4], (0, version, 1));
        assert_eq!((app.watch.reading.version, app.watch.reading.count.1), (Some((1, 10)), 4));
    }

    #[test]
    fn a_search_for_nothing_ends_and_one_without_a_match_says_so() {
        let mut app = app();
        search(&mut app, "nowhere");
        assert!(matches!(&app.overlay, Some(Overlay::Prompt(p)) if p.error.is_some()), "{:?}", app.overlay);
        press(&mut app, &["esc"]);
        search(&mut app, "重要");
        assert_eq!(app.document, 1);
        search(&mut app, "");
        assert!(app.watch.reading.query.is_empty() && app.watch.reading.hit.is_none());
        press(&mut app, &["."]);
        assert!(app.toast.is_some());
    }
}
