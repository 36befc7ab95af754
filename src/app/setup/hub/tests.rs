//! What the form asks the hub, and what it makes of the answers.
#![allow(clippy::unwrap_used, clippy::panic)]

use super::super::{Looked, Message, What, update};
use super::*;
use crate::hub::adapters::Candidate;
use crate::hub::catalog::AdapterFacts;
use crate::hub::outline::Fit;
use crate::hub::search::{Facets, Hit, Query};
use crate::hub::{BaseEntry, Catalog};
use std::path::Path;

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const NEW: &str = "[data]\ntrain = \"t\"\ndev = \"d\"\n[[adapters]]\nname = \"games\"\nrole = \"target\"\n";

fn form(base: &str) -> Setup {
    let text = if base.is_empty() { NEW.to_owned() } else { format!("base = \"{base}\"\n{NEW}") };
    let mut form = Setup::new(Path::new("/p/r.toml"), &text, Some(text.clone()), None).unwrap();
    form.at = form.rows.iter().position(|row| row.name == "base").unwrap();
    form
}

fn press(form: &mut Setup, keys: &[&str]) -> Vec<Effect> {
    keys.iter().flat_map(|key| update(form, Message::Key((*key).into()))).collect()
}

fn hit(id: &str) -> Hit {
    Hit {
        id: id.into(),
        commit: Some(COMMIT.into()),
        downloads: 120_345,
        likes: 321,
        parameters: 134_515_008,
        dtype: "BF16".into(),
        updated: "2026-01-31".into(),
        license: "mit".into(),
        ..Hit::default()
    }
}

fn hits(range: std::ops::Range<usize>) -> Vec<Hit> {
    range.map(|i| hit(&format!("lab/model-{i:05}"))).collect()
}

/// The searches among effects, with their tickets.
fn searches(effects: &[Effect]) -> Vec<(u64, Query)> {
    let search = |effect: &Effect| match effect {
        Effect::Hub(Ask::Search { ticket, query }) => Some((*ticket, query.clone())),
        _ => None,
    };
    effects.iter().filter_map(search).collect()
}

fn page(form: &mut Setup, ticket: u64, hits: Vec<Hit>, more: bool) -> Vec<Effect> {
    update(form, Message::Hub(Answer::Page { ticket, hits, more }))
}

fn labels(form: &Setup) -> Vec<String> {
    let Some(Overlay::Pick(_, picker)) = &form.overlay else { panic!("{:?}", form.overlay) };
    (0..picker.count()).map(|i| picker.item(i).unwrap().label.clone()).collect()
}

fn far(form: &Setup) -> &Far {
    let Some(Overlay::Pick(_, picker)) = &form.overlay else { panic!("{:?}", form.overlay) };
    picker.far.as_ref().unwrap()
}

fn cursor(form: &Setup) -> usize {
    let Some(Overlay::Pick(_, picker)) = &form.overlay else { panic!("{:?}", form.overlay) };
    picker.at
}

#[test]
fn every_change_of_the_text_is_one_wish_and_only_the_newest_is_answered() {
    let mut form = form("");
    let opened = searches(&press(&mut form, &["enter"]));
    assert_eq!(opened.len(), 1);
    assert_eq!(
        (opened[0].1.text.as_str(), opened[0].1.kind, opened[0].1.sort),
        ("", Some(Kind::Base), Sort::Downloads)
    );
    assert_eq!(far(&form).state, State::Searching);
    let typed = searches(&press(&mut form, &["s", "m", "left", "down", "o"]));
    assert_eq!(typed.iter().map(|s| s.1.text.as_str()).collect::<Vec<_>>(), ["s", "sm", "som"]);
    // Answers to what was typed before are of no use.
    page(&mut form, opened[0].0, hits(0..5), true);
    page(&mut form, typed[1].0, hits(0..5), true);
    assert!(labels(&form).is_empty() && far(&form).state == State::Searching);
    page(&mut form, typed[2].0, hits(7..9), false);
    assert_eq!(
        (labels(&form), &far(&form).state),
        (vec!["lab/model-00007".into(), "lab/model-00008".into()], &State::All)
    );
    update(&mut form, Message::Hub(Answer::NoPage(typed[1].0, Refusal::Said("too late".into()))));
    assert_eq!(far(&form).state, State::All);
    // A key that changes nothing asks nothing; a space at the end neither.
    assert!(searches(&press(&mut form, &["left", "end", " "])).is_empty());
    // What still fits stays in sight until the answer comes.
    assert_eq!(searches(&press(&mut form, &["ctrl-u", "0", "7"])).len(), 3);
    assert_eq!(labels(&form), ["lab/model-00007"]);
    let left = press(&mut form, &["esc"]);
    assert_eq!(left, [Effect::Hub(Ask::Leave)]);
    assert!(page(&mut form, 99, hits(0..3), false).is_empty() && form.overlay.is_none());
}

#[test]
fn filters_reach_the_hub_and_what_is_none_is_said() {
    let mut form = form("");
    press(&mut form, &["enter"]);
    let asked = searches(&update(&mut form, Message::Paste("smol license:mit size:<3B by:lab".into())));
    let query = &asked[0].1;
    assert_eq!((query.text.as_str(), query.tags.as_slice()), ("smol", &["license:mit".to_owned()][..]));
    assert_eq!((query.most_parameters, query.author.as_deref()), (Some(3_000_000_000), Some("lab")));
    assert_eq!(far(&form).wrong, None);
    update(&mut form, Message::Paste(" colour:red".into()));
    assert!(far(&form).wrong.as_ref().unwrap().contains("is no filter"));
    // What lies here is sifted too; what doesn't say is counted.
    let tags = std::collections::BTreeSet::from(["license:mit".to_owned()]);
    let lab = Facets { author: Some("lab".into()), tags: Some(tags), parameters: 135_000_000, ..Facets::default() };
    let base = |name: &str, facets: Facets| BaseEntry {
        name: name.into(),
        path: format!("/m/{name}").into(),
        facets,
        ..BaseEntry::default()
    };
    let bases = vec![
        base("SmolLM2", lab.clone()),
        base("smol-large", Facets { parameters: 7_000_000_000, ..lab.clone() }),
        base("smol-silent", Facets { tags: None, ..lab.clone() }),
        base("qwen", lab),
    ];
    update(&mut form, Message::Catalog(Catalog { bases, ..Catalog::default() }));
    assert_eq!(labels(&form), ["SmolLM2"]);
    let Some(Overlay::Pick(_, picker)) = &form.overlay else { panic!("{:?}", form.overlay) };
    assert_eq!(picker.unsaid, 1);
}

#[test]
fn a_key_goes_through_the_orders_and_the_next_picker_keeps_it() {
    let mut form = form("");
    press(&mut form, &["enter"]);
    let asked = searches(&press(&mut form, &["ctrl-o", "ctrl-o"]));
    assert_eq!(asked.iter().map(|s| s.1.sort).collect::<Vec<_>>(), [Sort::Likes, Sort::Trending]);
    press(&mut form, &["esc"]);
    assert_eq!(searches(&press(&mut form, &["enter"]))[0].1.sort, Sort::Trending);
    // Elsewhere the key is none.
    press(&mut form, &["esc"]);
    assert!(press(&mut form, &["ctrl-o"]).is_empty());
    press(&mut form, &["/"]);
    assert!(press(&mut form, &["ctrl-o"]).is_empty());
}

#[test]
fn more_results_are_asked_for_as_one_scrolls_and_each_stands_once() {
    let mut form = form("");
    let ticket = searches(&press(&mut form, &["enter"]))[0].0;
    page(&mut form, ticket, hits(0..50), true);
    let more = |effects: &[Effect]| effects.iter().filter(|e| **e == Effect::Hub(Ask::More(ticket))).count();
    assert_eq!(more(&press(&mut form, &["page-down"])), 0);
    let down = press(&mut form, &["page-down", "page-down", "page-down"]);
    assert_eq!((more(&down), cursor(&form)), (1, 40));
    // A page that overlaps: something was uploaded meanwhile.
    page(&mut form, ticket, hits(45..95), true);
    assert_eq!((labels(&form).len(), cursor(&form)), (95, 40));
    // To the very end.
    let mut end = 95;
    while end < 10_000 {
        let effects = press(&mut form, &["page-down", "page-down", "page-down", "page-down", "page-down"]);
        if more(&effects) > 0 {
            page(&mut form, ticket, hits(end..end + 50), end + 50 < 10_000);
            end += 50;
        }
    }
    press(&mut form, &["page-down", "page-down", "page-down"]);
    let all = labels(&form);
    assert_eq!((all.len(), far(&form).state.clone()), (end, State::All));
    assert!(all.windows(2).all(|w| w[0] < w[1]));
    assert_eq!(more(&press(&mut form, &["down", "down"])), 0);
}

#[test]
fn a_path_is_not_searched_for_and_offline_there_is_what_is_here() {
    let mut form = form("");
    let ticket = searches(&press(&mut form, &["enter"]))[0].0;
    update(&mut form, Message::Hub(Answer::NoPage(ticket, Refusal::Offline)));
    assert_eq!(far(&form).state, State::Refused("offline: only what is here".into()));
    let link = format!("hf://lab/cached@{COMMIT}");
    let cached =
        BaseEntry { name: "lab/cached".into(), path: "/c/x".into(), link: Some(link.clone()), ..BaseEntry::default() };
    let here = BaseEntry { name: "own".into(), path: "/m/own".into(), ..BaseEntry::default() };
    update(&mut form, Message::Catalog(Catalog { bases: vec![cached, here], ..Catalog::default() }));
    assert_eq!(labels(&form), ["lab/cached", "own"]);
    for text in ["/", "./", "~", "../x"] {
        press(&mut form, &["ctrl-u"]);
        let effects = update(&mut form, Message::Paste(text.into()));
        assert!(searches(&effects).is_empty() && far(&form).state == State::Idle, "{text}");
    }
    // A name with a slash finds both.
    press(&mut form, &["ctrl-u"]);
    let effects = update(&mut form, Message::Paste("lab/ca".into()));
    assert_eq!(searches(&effects)[0].1.text, "lab/ca");
    update(&mut form, Message::Listed("/p/lab".into(), Vec::new()));
    assert_eq!(labels(&form), ["lab/cached"]);
    // What the cache has is named as the hub names it, and not listed twice.
    page(&mut form, searches(&effects)[0].0, vec![hit("lab/cached"), hit("lab/cartoon")], false);
    assert_eq!(labels(&form), ["lab/cached", "lab/cartoon"]);
    press(&mut form, &["enter"]);
    assert_eq!(form.draft.text().lines().find(|l| l.starts_with("base")), Some(format!("base = \"{link}\"").as_str()));
}

#[test]
fn what_is_chosen_is_pinned_and_told_and_keeps_no_run_from_starting() {
    let mut form = form("");
    let ticket = searches(&press(&mut form, &["enter"]))[0].0;
    page(&mut form, ticket, hits(0..3), false);
    let effects = press(&mut form, &["down", "enter"]);
    let link = format!("hf://lab/model-00001@{COMMIT}");
    assert!(form.draft.text().contains(&format!("base = \"{link}\"")));
    assert_eq!(form.row().value.as_deref(), Some("lab/model-00001"));
    let Some(Effect::Look { ticket, .. }) = effects.into_iter().find(|e| matches!(e, Effect::Look { .. })) else {
        panic!()
    };
    let of = Reference { id: "lab/model-00001".into(), revision: COMMIT.into() };
    let named = Named { lacking: vec![("base".into(), of.clone())], cached: Vec::new() };
    let effects = update(&mut form, Message::Looked(ticket, Looked::Named(named.clone())));
    assert_eq!(effects, [Effect::Hub(Ask::Weigh(vec![of.clone()]))]);
    for looked in
        [Looked::Paths(Vec::new(), None, BTreeMap::new()), Looked::Preview(None), Looked::Estimate(None), Looked::All]
    {
        update(&mut form, Message::Looked(ticket, looked));
    }
    assert_eq!(form.row().told.as_deref(), Some("to fetch: f fetches now, or the run does"));
    let weight = Weight { bytes: 270_000_000, outline: Some("/tmp/outline".into()) };
    let effects = update(&mut form, Message::Hub(Answer::Weighed(of.clone(), Ok(weight))));
    assert_eq!(form.row().told.as_deref(), Some("270 MB to fetch: f fetches now, or the run does"));
    // With the stand-in it is looked again, and nothing is asked twice.
    let [Effect::Look { ticket, outlines, .. }] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!(outlines.get(&of).map(PathBuf::as_path), Some(Path::new("/tmp/outline")));
    assert!(update(&mut form, Message::Looked(*ticket, Looked::Named(named))).is_empty());
    assert!(form.lacks_base() && form.to_fetch() == Some((270_000_000, true)) && form.wrong() == 0);
    press(&mut form, &["R"]);
    assert!(matches!(form.overlay, Some(Overlay::Ask { question: super::super::Question::Start, .. })));
    press(&mut form, &["esc"]);
    // Fetched: it is looked at again.
    assert_eq!(press(&mut form, &["f"]), [Effect::Hub(Ask::Fetch(vec![of]))]);
    let half = Standing { done: 5, total: 10, ..Standing::default() };
    update(&mut form, Message::Hub(Answer::Fetching(half.clone())));
    assert_eq!((form.hub.fetching.as_ref(), &form.overlay), (Some(&half), &Some(Overlay::Fetch { top: 0 })));
    // Behind the form it goes on, and shows again.
    assert!(press(&mut form, &["enter"]).is_empty() && form.overlay.is_none());
    assert!(press(&mut form, &["f"]).is_empty() && matches!(form.overlay, Some(Overlay::Fetch { .. })));
    let effects = update(&mut form, Message::Hub(Answer::Fetched(Ok(270_000_000))));
    assert!(matches!(&effects[..], [Effect::Catalog(_), Effect::Look { .. }]) && form.overlay.is_none());
    assert!(form.toast.as_ref().unwrap().0.starts_with("fetched 270 MB"));
}

#[test]
fn a_fetch_is_cancelled_and_its_late_answers_are_nothing() {
    let mut form = form(&format!("hf://lab/a@{COMMIT}"));
    assert!(press(&mut form, &["f"]).is_empty() && form.toast.is_some());
    let of = Reference { id: "lab/a".into(), revision: COMMIT.into() };
    form.seen.named.lacking = vec![("base".into(), of)];
    press(&mut form, &["f"]);
    assert_eq!(press(&mut form, &["esc"]), [Effect::Hub(Ask::Cancel)]);
    assert!(form.hub.fetching.is_none() && form.overlay.is_none());
    let late = Answer::Fetched(Err(Refusal::Said("cut".into())));
    assert!(update(&mut form, Message::Hub(late)).is_empty());
    assert!(form.toast.as_ref().unwrap().0.contains("cancelled"));
    update(&mut form, Message::Hub(Answer::Fetching(Standing::default())));
    assert!(form.hub.fetching.is_none());
    // One that fails says why.
    press(&mut form, &["f"]);
    let gated = || Message::Hub(Answer::Fetched(Err(Refusal::Said("lab/a is gated: ask for access".into()))));
    update(&mut form, gated());
    assert!(matches!(form.overlay, Some(Overlay::Fetch { .. })));
    assert_eq!(form.hub.failed.as_deref(), Some("lab/a is gated: ask for access"));
    // And is tried again, or not.
    assert!(matches!(press(&mut form, &["f"])[..], [Effect::Hub(Ask::Fetch(_))]) && form.hub.failed.is_none());
    update(&mut form, gated());
    assert!(press(&mut form, &["esc"]).is_empty() && form.overlay.is_none() && form.hub.failed.is_none());
    // Behind the form it is told in a line.
    press(&mut form, &["f", "enter"]);
    update(&mut form, gated());
    assert_eq!(form.toast.as_ref().unwrap().0, "not fetched: lab/a is gated: ask for access");
    assert!(form.overlay.is_none());
}

fn candidate(id: &str) -> Candidate {
    Candidate { hit: hit(id), made_for: "lab/base".into() }
}

/// A form whose base is the hub's, with the adapter picker open; the tickets of search and base.
fn adapters() -> (Setup, u64, u64) {
    let mut form = form(&format!("hf://lab/base@{COMMIT}"));
    let effects = press(&mut form, &["a"]);
    let base = effects.iter().find_map(|effect| match effect {
        Effect::Hub(Ask::Adapters { ticket, base }) => Some((*ticket, base.clone())),
        _ => None,
    });
    let (ticket, base) = base.unwrap();
    assert_eq!((base.id.as_str(), base.revision.as_str()), ("lab/base", COMMIT));
    (form, searches(&effects)[0].0, ticket)
}

#[test]
fn adapters_of_the_base_come_first_and_one_that_does_not_fit_cannot_be_chosen() {
    let (mut form, search, base) = adapters();
    page(&mut form, search, vec![hit("else/other"), hit("lab/bad")], false);
    let found = vec![candidate("lab/good"), candidate("lab/bad")];
    let effects = update(&mut form, Message::Hub(Answer::Candidates(base, found)));
    assert_eq!(labels(&form), ["lab/good", "lab/bad", "else/other"]);
    let asked: Vec<&Effect> = effects.iter().filter(|e| matches!(e, Effect::Hub(Ask::Fits { .. }))).collect();
    let [Effect::Hub(Ask::Fits { ticket, of })] = asked[..] else { panic!("{effects:?}") };
    assert_eq!((*ticket, of.len()), (base, 2));
    // Each header is asked for once.
    assert!(!press(&mut form, &["down", "up"]).iter().any(|e| matches!(e, Effect::Hub(Ask::Fits { .. }))));
    let facts = AdapterFacts { rank: 8, modules: 12, ..AdapterFacts::default() };
    let fit = Fit { bytes: 4_600_000, facts: Some(facts), problem: None };
    update(&mut form, Message::Hub(Answer::Fit(base, of[0].clone(), fit)));
    let bad = Fit { bytes: 0, facts: None, problem: Some("it uses DoRA\u{1b}[2J".into()) };
    update(&mut form, Message::Hub(Answer::Fit(base, of[1].clone(), bad.clone())));
    // A late answer for an older picker changes nothing.
    update(&mut form, Message::Hub(Answer::Fit(base - 1, of[0].clone(), bad)));
    let far = far(&form);
    assert_eq!(far.item(0).unwrap().columns[..4], ["8", "12", "5 MB", "fits"]);
    assert_eq!(far.item(1).unwrap().problem.as_deref(), Some("it uses DoRA\\u{1b}[2J"));
    let before = form.draft.text();
    press(&mut form, &["down", "enter"]);
    let Some(Overlay::Pick(_, picker)) = &form.overlay else { panic!() };
    assert!(picker.note.as_ref().unwrap().contains("DoRA") && form.draft.text() == before);
    press(&mut form, &["up", "enter"]);
    assert!(form.draft.text().contains(&format!("path = \"hf://lab/good@{COMMIT}\"")), "{}", form.draft.text());
    assert!(matches!(form.row().what, What::Adapter(1)) && form.row().cells[3] == "lab/good");
}

#[test]
fn who_is_among_results_stays_there_when_others_come_above() {
    let (mut form, search, base) = adapters();
    page(&mut form, search, vec![hit("else/a"), hit("else/b"), hit("else/c")], false);
    press(&mut form, &["down"]);
    assert_eq!(labels(&form)[cursor(&form)], "else/b");
    update(&mut form, Message::Hub(Answer::Candidates(base, vec![candidate("lab/x"), candidate("lab/y")])));
    assert_eq!(labels(&form)[cursor(&form)], "else/b");
    // Words sift both.
    press(&mut form, &["ctrl-u", "x"]);
    assert_eq!(labels(&form).last().unwrap(), "lab/x");
}

#[test]
fn details_are_asked_for_once_and_what_they_refuse_is_greyed() {
    let mut form = form("");
    let ticket = searches(&press(&mut form, &["enter"]))[0].0;
    let wished = |effects: &[Effect]| -> Vec<String> {
        let of = |effect: &Effect| match effect {
            Effect::Hub(Ask::Details { of, .. }) => Some(of.id.clone()),
            _ => None,
        };
        effects.iter().filter_map(of).collect()
    };
    assert_eq!(wished(&page(&mut form, ticket, hits(0..3), false)), ["lab/model-00000"]);
    assert_eq!(wished(&press(&mut form, &["down"])), ["lab/model-00001"]);
    let of = form.highlighted().unwrap();
    let problem = Some("the architecture \"mamba\" is not known to lopper".to_owned());
    let details = Details { problem, ..Details::default() };
    update(&mut form, Message::Hub(Answer::Details(of.clone(), Box::new(Ok(details)))));
    assert!(matches!(form.details(), Some(Ok(_))));
    press(&mut form, &["enter"]);
    assert!(form.draft.get(Place::of("", "base").unwrap()).is_none() && form.overlay.is_some());
    // Once known, never asked for again.
    assert_eq!(wished(&press(&mut form, &["down", "up"])), ["lab/model-00002"]);
    let refused = Answer::Details(of, Box::new(Err(Refusal::Said("no".into()))));
    assert!(update(&mut form, Message::Hub(refused)).is_empty());
}
