//! What the hub has for an open picker: results as they come, below what is on this machine.

use super::Item;
use crate::app::clean;
use crate::hub::adapters::Candidate;
use crate::hub::choice::Kind;
use crate::hub::outline::Fit;
use crate::hub::reference::{Reference, SCHEME};
use crate::hub::search::{self, Hit, Query, Sort};
use crate::text::short;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// What happens at the hub.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum State {
    /// Nothing: the text is a path of this machine.
    #[default]
    Idle,
    /// It is asked.
    Searching,
    /// It has answered, and has more.
    More,
    /// It has answered, and has no more.
    All,
    /// It is not asked, or cannot be: the sentence.
    Refused(String),
}

/// What the hub has for a picker.
#[derive(Debug, Clone, PartialEq)]
pub struct Far {
    /// What is looked for.
    pub kind: Kind,
    /// The order of the results.
    pub sort: Sort,
    /// What happens at the hub.
    pub state: State,
    /// The base that adapters are to fit, if it is one of the hub.
    pub base: Option<Reference>,
    /// Whether the adapters of the base are still looked for.
    pub asks_base: bool,
    /// What of the text is not understood.
    pub wrong: Option<String>,
    /// Of the newest search; answers to others are of no use.
    pub(in crate::app) ticket: u64,
    /// Of the newest question for the adapters of the base.
    pub(in crate::app) base_ticket: u64,
    /// Whether the next results begin a list.
    fresh: bool,
    /// The path that the text began as.
    pub(super) begun: Option<String>,
    /// What was searched for last.
    asked: Option<(String, Sort)>,
    /// What the text asks for; the adapters of the base are sifted here.
    query: Query,
    /// The adapters of the base.
    candidates: Vec<Item>,
    /// Where an adapter of the base is among them.
    places: BTreeMap<String, usize>,
    /// Those that fit the words.
    shown: Vec<usize>,
    hits: Vec<Item>,
    /// Those that do not stand above.
    listed: Vec<usize>,
    /// Names that stand there already.
    known: BTreeSet<String>,
    /// What this machine has, as `hf://ORG/NAME@COMMIT`.
    cached: BTreeSet<String>,
    /// What of that stands above: it is not listed twice.
    here: BTreeSet<String>,
    /// Adapters whose headers were asked for.
    checked: BTreeSet<String>,
}

impl Far {
    /// Nothing yet; `base`: what adapters are to fit.
    pub fn new(kind: Kind, sort: Sort, base: Option<Reference>) -> Self {
        Self {
            kind,
            sort,
            state: State::Idle,
            asks_base: base.is_some(),
            base,
            wrong: None,
            ticket: 0,
            base_ticket: 0,
            fresh: true,
            begun: None,
            asked: None,
            query: Query::default(),
            candidates: Vec::new(),
            places: BTreeMap::new(),
            shown: Vec::new(),
            hits: Vec::new(),
            listed: Vec::new(),
            known: BTreeSet::new(),
            cached: BTreeSet::new(),
            here: BTreeSet::new(),
            checked: BTreeSet::new(),
        }
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.shown.len() + self.listed.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The entry at a place: first the adapters of the base, then the results of the search.
    pub fn item(&self, at: usize) -> Option<&Item> {
        match self.shown.get(at) {
            Some(place) => self.candidates.get(*place),
            None => self.hits.get(*self.listed.get(at - self.shown.len())?),
        }
    }

    /// How many adapters of the base stand above the results of the search.
    pub(in crate::app) fn above(&self) -> usize {
        self.shown.len()
    }

    /// What this machine has: results are marked so.
    pub(super) fn cached(&mut self, items: &[Item]) {
        self.cached = links(items);
        let cached = &self.cached;
        let is_cached = |item: &Item| item.value.to_str().is_some_and(|link| cached.contains(link));
        self.candidates.iter_mut().chain(&mut self.hits).filter(|i| is_cached(i)).for_each(|i| i.mark = CACHED);
    }

    /// What of this machine stands above the results: it is not listed twice.
    pub(super) fn beside(&mut self, found: &[Item]) {
        let here = links(found);
        if here != self.here {
            self.here = here;
            self.sift();
        }
    }

    /// After a key: the search to make, if text or order are others now. A path of this machine is not searched for.
    pub(in crate::app) fn wish(&mut self, text: &str, ticket: u64) -> Option<Query> {
        let now = (text.trim().to_owned(), self.sort);
        if self.asked.as_ref() == Some(&now) {
            return None;
        }
        let (mut query, wrong) = search::typed(&now.0);
        self.wrong = wrong.as_deref().map(clean::line);
        self.query.clone_from(&query);
        self.asked = Some(now);
        if is_path(text) || self.begun.as_deref() == Some(text) {
            (self.ticket, self.state) = (ticket, State::Idle);
            self.hits.clear();
            self.sift();
            return None;
        }
        // What still fits stays until the answer comes.
        let words = words(&query.text);
        self.hits.retain(|item| has_all(item, &words));
        self.sift();
        query.kind = Some(self.kind);
        query.sort = self.sort;
        (self.ticket, self.state, self.fresh) = (ticket, State::Searching, true);
        Some(query)
    }

    /// The adapters of the base that fit words and filters, and the results that stand nowhere else.
    fn sift(&mut self) {
        let words = words(&self.query.text);
        let fits = |item: &Item| has_all(item, &words) && self.query.lets(&item.facets) == Some(true);
        self.shown = (0..self.candidates.len())
            .filter(|i| fits(&self.candidates[*i]) && !self.is_here(&self.candidates[*i]))
            .collect();
        self.listed = (0..self.hits.len()).filter(|i| !self.is_here(&self.hits[*i])).collect();
    }

    fn is_here(&self, item: &Item) -> bool {
        item.value.to_str().is_some_and(|link| self.here.contains(link))
    }

    /// Results of the newest search.
    pub(in crate::app) fn page(&mut self, hits: &[Hit], more: bool) {
        // Those that are there are of an older one.
        if std::mem::take(&mut self.fresh) {
            self.hits.clear();
            self.listed.clear();
            self.known = self.places.keys().cloned().collect();
        }
        for hit in hits {
            if !self.known.insert(hit.id.clone()) {
                continue;
            }
            let item = self.of(hit, None);
            if !self.is_here(&item) {
                self.listed.push(self.hits.len());
            }
            self.hits.push(item);
        }
        self.state = if more { State::More } else { State::All };
    }

    /// The adapters of the base.
    pub(in crate::app) fn candidates(&mut self, found: &[Candidate]) {
        self.asks_base = false;
        for candidate in found {
            if self.places.contains_key(&candidate.hit.id) {
                continue;
            }
            self.places.insert(candidate.hit.id.clone(), self.candidates.len());
            let facets = candidate.hit.facets();
            let item = Item { facets, ..self.of(&candidate.hit, Some(&candidate.made_for)) };
            self.candidates.push(item);
        }
        let places = &self.places;
        self.hits.retain(|item| !places.contains_key(&item.label));
        self.known.extend(self.places.keys().cloned());
        self.sift();
    }

    /// Whether an adapter fits.
    pub(in crate::app) fn fit(&mut self, of: &Reference, fit: &Fit) {
        let Some(item) = self.places.get(&of.id).and_then(|place| self.candidates.get_mut(*place)) else { return };
        if let Some(facts) = &fit.facts {
            let figures = [facts.rank.to_string(), facts.modules.to_string(), size(fit.bytes), "fits".to_owned()];
            item.columns.splice(0..figures.len(), figures);
        }
        item.problem = fit.problem.as_deref().map(clean::line);
    }

    /// What was learnt of an entry by its details.
    pub(in crate::app) fn refuse(&mut self, of: &Reference, problem: &str) {
        let place = self.places.get(&of.id).and_then(|place| self.candidates.get_mut(*place));
        let item = place.or_else(|| self.hits.iter_mut().find(|item| item.label == of.id));
        if let Some(item) = item {
            item.problem = Some(clean::line(problem));
        }
    }

    /// The adapters of the base around `at` whose headers were not asked for yet.
    pub(in crate::app) fn unchecked(&mut self, at: usize) -> Vec<Reference> {
        let mut all = Vec::new();
        for place in self.shown.iter().skip(at.saturating_sub(AROUND)).take(2 * AROUND) {
            let Some(item) = self.candidates.get(*place) else { continue };
            let reference = item.value.to_str().and_then(|text| Reference::parse(text).ok());
            if let Some(reference) = reference.filter(|_| self.checked.insert(item.label.clone())) {
                all.push(reference);
            }
        }
        all
    }

    /// Whether more results are to be asked for: the cursor is near the end of those that are there.
    pub(in crate::app) fn wants_more(&mut self, at: usize) -> bool {
        let wants = self.state == State::More && at + NEAR >= self.len();
        if wants {
            self.state = State::Searching;
        }
        wants
    }

    fn of(&self, hit: &Hit, made_for: Option<&str>) -> Item {
        let mark = match hit {
            _ if self.cached.contains(&hit.reference().link()) => CACHED,
            Hit { private: true, .. } => "private",
            Hit { gated: true, .. } => "gated",
            _ => "hub",
        };
        let license = if hit.license.is_empty() { "-" } else { &hit.license };
        let popular = [short(hit.downloads), short(hit.likes)];
        let columns: Vec<String> = match (self.kind, made_for) {
            (Kind::Adapter, made_for) => {
                let on = made_for
                    .map(str::to_owned)
                    .or_else(|| hit.made_from.iter().find_map(|from| from.strip_prefix("adapter:")).map(str::to_owned));
                let unknown = std::iter::repeat_n(String::new(), 4);
                unknown.chain(popular).chain([on.unwrap_or_default()]).collect()
            }
            (Kind::Base, _) => {
                let parameters = if hit.parameters > 0 { short(hit.parameters) } else { String::new() };
                let facts = [parameters, hit.dtype.clone()];
                facts.into_iter().chain(popular).chain([hit.updated.clone(), license.to_owned()]).collect()
            }
        };
        Item {
            label: clean::line(&hit.id),
            value: PathBuf::from(hit.reference().link()),
            mark,
            columns: columns.iter().map(|text| clean::line(text)).collect(),
            ..Item::default()
        }
    }
}

/// The mark of what the hub's cache has.
pub(in crate::app) const CACHED: &str = "cached";
/// Rows around the cursor whose headers are asked for.
const AROUND: usize = 20;
/// Rows before the end at which more results are asked for.
const NEAR: usize = 20;

/// Whether a text is a path of this machine, not a name of the hub.
pub(super) fn is_path(text: &str) -> bool {
    ["/", "./", "../", "~"].iter().any(|begin| text.trim_start().starts_with(begin))
}

/// The hub's names among items.
fn links(items: &[Item]) -> BTreeSet<String> {
    items.iter().filter_map(|item| item.value.to_str()).filter(|v| v.starts_with(SCHEME)).map(str::to_owned).collect()
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_lowercase).collect()
}

fn has_all(item: &Item, words: &[String]) -> bool {
    let name = item.label.to_lowercase();
    words.iter().all(|word| name.contains(word))
}

/// Bytes, or nothing where they are not known.
pub(in crate::app) fn size(bytes: u64) -> String {
    if bytes == 0 { String::new() } else { crate::run::estimate::bytes(bytes) }
}
