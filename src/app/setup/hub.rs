//! The hub in the form: what its pickers ask, what comes back, what is still to be fetched.

use super::{Effect, Overlay, Purpose, Setup, fits};
use crate::app::clean;
use crate::app::picker::far::{CACHED, State};
use crate::app::picker::{Far, Item};
use crate::hub::choice::Kind;
use crate::hub::desk::{Answer, Ask, Refusal};
use crate::hub::details::{Details, Weight};
use crate::hub::download::Standing;
use crate::hub::reference::Reference;
use crate::hub::search::Sort;
use crate::recipe::draft::Place;
use crate::run::estimate::bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// What is known of the hub.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Hub {
    tickets: u64,
    /// The order of results, kept from picker to picker.
    sort: Sort,
    /// What there is to know of repositories; of adapters for one base.
    details: BTreeMap<Reference, Result<Details, Refusal>>,
    /// The base that they are for.
    details_for: Option<Reference>,
    /// What was asked for last.
    asked: Option<Reference>,
    /// What there is to fetch of repositories that the recipe names.
    weights: BTreeMap<Reference, Result<Weight, Refusal>>,
    weighing: BTreeSet<Reference>,
    /// How far the fetch is, while there is one.
    pub fetching: Option<Standing>,
    /// Why the last fetch that was looked at came to nothing: shown until a key is pressed.
    pub failed: Option<String>,
}

/// Repositories of the hub that the recipe names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Named {
    /// Those that are still to be fetched, under their keys: `base`, `adapter NAME`.
    pub lacking: Vec<(String, Reference)>,
    /// The keys of those that are in the cache.
    pub cached: Vec<String>,
}

impl Setup {
    /// Details of what is under the cursor of an open picker, if they are there.
    pub fn details(&self) -> Option<&Result<Details, Refusal>> {
        self.hub.details.get(&self.highlighted()?)
    }

    /// The repository under the cursor of an open picker.
    pub fn highlighted(&self) -> Option<Reference> {
        let Some(Overlay::Pick(_, picker)) = &self.overlay else { return None };
        picker.far.as_ref()?;
        Reference::of_recipe(&picker.item(picker.at)?.value)?.ok()
    }

    /// What a repository of the recipe weighs, if that is known.
    pub fn weight(&self, of: &Reference) -> Option<&Result<Weight, Refusal>> {
        self.hub.weights.get(of)
    }

    /// Bytes that are to be fetched, and whether these are all.
    pub fn to_fetch(&self) -> Option<(u64, bool)> {
        let mut known = (0, true);
        for (_, of) in &self.seen.named.lacking {
            match self.hub.weights.get(of) {
                Some(Ok(weight)) => known.0 += weight.bytes,
                _ => known.1 = false,
            }
        }
        (!self.seen.named.lacking.is_empty()).then_some(known)
    }

    /// The state of what the recipe names at `key`, in a few words: whether it is what it was for the run that this is a
    /// copy of, and of a repository where it is.
    pub(super) fn told(&self, key: &str) -> Option<String> {
        if let Some((_, what)) = self.since.iter().find(|(of, _)| of == key) {
            return Some((*what).to_owned());
        }
        if self.seen.named.cached.iter().any(|of| of == key) {
            return Some("in the cache".to_owned());
        }
        let (_, of) = self.seen.named.lacking.iter().find(|(other, _)| other == key)?;
        Some(match self.hub.weights.get(of) {
            Some(Ok(weight)) => format!("{} to fetch: f fetches now, or the run does", bytes(weight.bytes)),
            Some(Err(why)) => format!("to fetch; the hub: {}", clean::line(why.sentence())),
            None => "to fetch: f fetches now, or the run does".to_owned(),
        })
    }

    /// Whether the base is named and still to be fetched.
    pub fn lacks_base(&self) -> bool {
        self.seen.named.lacking.iter().any(|(key, _)| key == "base")
    }

    /// Whether an answer of the hub is awaited.
    pub fn awaits_hub(&self) -> bool {
        let picking = match &self.overlay {
            Some(Overlay::Pick(_, picker)) => picker.far.as_ref(),
            _ => None,
        };
        let searching = picking.is_some_and(|far| far.state == State::Searching || far.asks_base);
        let detailed = self.highlighted().is_none_or(|of| self.hub.details.contains_key(&of));
        searching || !detailed || !self.hub.weighing.is_empty()
    }

    fn ticket(&mut self) -> u64 {
        self.hub.tickets += 1;
        self.hub.tickets
    }

    /// The base of the recipe, if it is one of the hub.
    fn base_of_hub(&self) -> Option<Reference> {
        let value = self.draft.get(Place::of("", "base")?)?;
        let path = PathBuf::from(value.as_str()?);
        match Reference::of_recipe(&path) {
            Some(reference) => reference.ok(),
            None => Reference::of_folder(&self.ground().whole(value.as_str()?)),
        }
    }

    /// Stand-ins for what is still to be fetched.
    pub(super) fn outlines(&self) -> BTreeMap<Reference, PathBuf> {
        let known = |(of, weight): (&Reference, &Result<Weight, Refusal>)| {
            Some((of.clone(), weight.as_ref().ok()?.outline.clone()?))
        };
        self.hub.weights.iter().filter_map(known).collect()
    }
}

/// What the hub has for a picker, if it has anything.
pub(super) fn far(setup: &mut Setup, purpose: Purpose) -> (Option<Box<Far>>, Vec<Effect>) {
    let kind = match purpose {
        Purpose::Base => Kind::Base,
        Purpose::Adapter | Purpose::AdapterPath(_) => Kind::Adapter,
        _ => return (None, Vec::new()),
    };
    let base = setup.base_of_hub().filter(|_| kind == Kind::Adapter);
    if setup.hub.details_for != base {
        setup.hub.details.clear();
        setup.hub.details_for.clone_from(&base);
    }
    setup.hub.asked = None;
    let mut far = Far::new(kind, setup.hub.sort, base.clone());
    far.base_ticket = setup.ticket();
    let ticket = far.base_ticket;
    let asks = base.map(|base| Effect::Hub(Ask::Adapters { ticket, base }));
    (Some(Box::new(far)), asks.into_iter().collect())
}

/// The next order of the results.
pub(super) fn next_sort(setup: &mut Setup) -> Vec<Effect> {
    let Some(Overlay::Pick(_, picker)) = &mut setup.overlay else { return Vec::new() };
    let Some(far) = &mut picker.far else { return Vec::new() };
    let at = Sort::ALL.iter().position(|sort| *sort == far.sort).unwrap_or(0);
    far.sort = Sort::ALL[(at + 1) % Sort::ALL.len()];
    setup.hub.sort = far.sort;
    go_on(setup)
}

/// After something has changed in an open picker: what is to be asked now.
pub(super) fn go_on(setup: &mut Setup) -> Vec<Effect> {
    let ticket = setup.ticket();
    let Some(Overlay::Pick(_, picker)) = &mut setup.overlay else { return Vec::new() };
    let at = picker.far_at();
    let text = picker.input.text().to_owned();
    let Some(far) = &mut picker.far else { return Vec::new() };
    let mut effects = Vec::new();
    if let Some(query) = far.wish(&text, ticket) {
        effects.push(Effect::Hub(Ask::Search { ticket, query }));
    }
    let of = far.unchecked(at);
    if !of.is_empty() {
        effects.push(Effect::Hub(Ask::Fits { ticket: far.base_ticket, of }));
    }
    if far.wants_more(at) {
        effects.push(Effect::Hub(Ask::More(far.ticket)));
    }
    let (wanted, base) = (far.kind, far.base.clone());
    picker.keep_within();
    if let Some(of) = setup.highlighted().filter(|of| !setup.hub.details.contains_key(of))
        && setup.hub.asked.as_ref() != Some(&of)
    {
        setup.hub.asked = Some(of.clone());
        effects.push(Effect::Hub(Ask::Details { of, wanted, base }));
    }
    effects
}

/// The picker has closed.
pub(super) fn leave(setup: &mut Setup, purpose: Purpose) -> Vec<Effect> {
    setup.hub.asked = None;
    let has = matches!(purpose, Purpose::Base | Purpose::Adapter | Purpose::AdapterPath(_));
    has.then_some(Effect::Hub(Ask::Leave)).into_iter().collect()
}

/// Asks for what is to be fetched of what the recipe names.
pub(super) fn named(setup: &mut Setup, named: Named) -> Vec<Effect> {
    let new = |of: &Reference| !setup.hub.weights.contains_key(of) && !setup.hub.weighing.contains(of);
    let of: Vec<Reference> = named.lacking.iter().map(|(_, of)| of.clone()).filter(new).collect();
    setup.hub.weighing.extend(of.iter().cloned());
    setup.seen.named = named;
    let mut effects = fits::ask(setup);
    effects.extend((!of.is_empty()).then_some(Effect::Hub(Ask::Weigh(of))));
    effects
}

/// What could not be told is asked for again.
pub(super) fn again(setup: &mut Setup) {
    setup.hub.weights.retain(|_, weight| weight.is_ok());
    setup.hub.details.retain(|_, details| details.is_ok());
}

/// The wish to fetch what the recipe lacks, or to see how far that is.
pub(super) fn fetch(setup: &mut Setup) -> Vec<Effect> {
    setup.over.forget();
    if setup.hub.fetching.is_some() {
        setup.overlay = Some(Overlay::Fetch { top: 0 });
        return Vec::new();
    }
    let of: Vec<Reference> = setup.seen.named.lacking.iter().map(|(_, of)| of.clone()).collect();
    if of.is_empty() {
        setup.say(if setup.seen.looking {
            "still looking at what the recipe names"
        } else {
            "the recipe names nothing that is still to be fetched"
        });
        return Vec::new();
    }
    setup.hub.fetching = Some(Standing::default());
    setup.overlay = Some(Overlay::Fetch { top: 0 });
    vec![Effect::Hub(Ask::Fetch(of))]
}

/// A key while the files that are fetched show.
pub(super) fn press(setup: &mut Setup, top: usize, key: &str) -> Vec<Effect> {
    if setup.hub.failed.take().is_some() {
        return if key == "f" { fetch(setup) } else { Vec::new() };
    }
    let lines = setup.hub.fetching.as_ref().map_or(0, |standing| standing.lines.len());
    let last = setup.over.within(lines.saturating_sub(1));
    match key {
        "esc" => {
            setup.hub.fetching = None;
            setup.say("the fetch is cancelled; what has come stays, and f goes on from there");
            return vec![Effect::Hub(Ask::Cancel)];
        }
        "enter" | "q" => {
            setup.say("fetching goes on; f shows how far it is");
            return Vec::new();
        }
        "down" | "j" => setup.overlay = Some(Overlay::Fetch { top: (top + 1).min(last) }),
        "up" | "k" => setup.overlay = Some(Overlay::Fetch { top: top.min(last).saturating_sub(1) }),
        _ => setup.overlay = Some(Overlay::Fetch { top }),
    }
    Vec::new()
}

/// A sentence that is harmless.
fn tidy(why: Refusal) -> Refusal {
    match why {
        Refusal::Said(sentence) => Refusal::Said(clean::line(&sentence)),
        Refusal::Offline => Refusal::Offline,
    }
}

/// Details with every text in them harmless.
fn tidied(mut details: Details) -> Details {
    for text in [&mut details.page, &mut details.about] {
        *text = clean::line(text);
    }
    for text in [&mut details.problem, &mut details.note].into_iter().flatten() {
        *text = clean::line(text);
    }
    details.files.iter_mut().for_each(|(path, _)| *path = clean::line(path));
    details.card = clean::text(&details.card);
    details
}

/// An answer of the hub.
pub(super) fn take(setup: &mut Setup, answer: Answer) -> Vec<Effect> {
    match answer {
        Answer::Page { ticket, hits, more } => on_far(setup, ticket, false, |far| far.page(&hits, more)),
        Answer::NoPage(ticket, why) => on_far(setup, ticket, false, |far| {
            far.state = State::Refused(clean::line(why.sentence()));
        }),
        Answer::Candidates(ticket, found) => on_far(setup, ticket, true, |far| far.candidates(&found)),
        Answer::NoCandidates(ticket, why) => on_far(setup, ticket, true, |far| {
            far.asks_base = false;
            if far.state == State::Idle || why == Refusal::Offline {
                far.state = State::Refused(clean::line(why.sentence()));
            }
        }),
        Answer::Fit(ticket, of, fit) => on_far(setup, ticket, true, |far| far.fit(&of, &fit)),
        Answer::Details(of, details) => {
            if let (Some(Overlay::Pick(_, picker)), Ok(details)) = (&mut setup.overlay, &*details)
                && let (Some(far), Some(problem)) = (&mut picker.far, &details.problem)
            {
                far.refuse(&of, problem);
            }
            if setup.hub.asked.as_ref() == Some(&of) {
                setup.hub.asked = None;
            }
            setup.hub.details.insert(of, details.map(tidied).map_err(tidy));
            go_on(setup)
        }
        Answer::Weighed(of, weight) => {
            setup.hub.weighing.remove(&of);
            setup.hub.weights.insert(of, weight.map_err(tidy));
            setup.renew_rows();
            // With the stand-ins more can be said of the recipe.
            let stands = setup.seen.named.lacking.iter().any(|(_, of)| setup.outlines().contains_key(of));
            let mut effects = fits::ask(setup);
            effects.extend((setup.hub.weighing.is_empty() && stands).then(|| setup.look()));
            effects
        }
        Answer::Fetching(standing) => {
            if let Some(fetching) = &mut setup.hub.fetching {
                *fetching = standing;
            }
            Vec::new()
        }
        Answer::Fetched(done) => fetched(setup, done),
    }
}

/// A change of what the hub has for the open picker, if the answer is for it.
fn on_far(setup: &mut Setup, ticket: u64, of_base: bool, change: impl FnOnce(&mut Far)) -> Vec<Effect> {
    let Some(Overlay::Pick(_, picker)) = &mut setup.overlay else { return Vec::new() };
    let among = picker.at >= picker.found.len() && picker.far_at() > 0;
    let Some(far) = &mut picker.far else { return Vec::new() };
    if ticket != if of_base { far.base_ticket } else { far.ticket } {
        return Vec::new();
    }
    let before = far.above();
    change(far);
    // Who is among the results of the search stays there when others come above.
    if among && before != far.above() {
        picker.at += far.above().saturating_sub(before);
    }
    go_on(setup)
}

fn fetched(setup: &mut Setup, done: Result<u64, Refusal>) -> Vec<Effect> {
    if setup.hub.fetching.take().is_none() {
        // It was cancelled.
        return Vec::new();
    }
    let looked_at = matches!(setup.overlay, Some(Overlay::Fetch { .. }));
    match done {
        Ok(came) => setup.say(format!("fetched {}: the recipe has all that it names of the hub", bytes(came))),
        // A sentence has no room in a line.
        Err(why) if looked_at => setup.hub.failed = Some(clean::line(why.sentence())),
        Err(why) => setup.say(format!("not fetched: {}", why.sentence())),
    }
    if looked_at && setup.hub.failed.is_none() {
        setup.overlay = None;
    }
    // Some of it may be here even so.
    setup.hub.weights.clear();
    vec![Effect::Catalog(setup.file.clone()), setup.look()]
}

/// The catalog's entries with their marks: what is in the hub's cache is named as a recipe names it.
pub(super) fn marked(mut item: Item, link: Option<&String>) -> Item {
    item.mark = if link.is_some() { CACHED } else { "here" };
    if let Some(link) = link {
        item.value = PathBuf::from(link);
    }
    item
}

#[cfg(test)]
mod tests;
