//! The hub's desk against a hub: answers come as they should, what nobody waits for any more ends, and so does the desk.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, dead_code)]

use crate::hub;
use hub::{Fault, Gate, Hub, Repository, demo, hostile, tensors};
use lopper::hub::choice::Kind;
use lopper::hub::desk::{Answer, Ask, Desk, Refusal};
use lopper::hub::environment::Environment;
use lopper::hub::reference::Reference;
use lopper::hub::search::Query;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

/// So long a test waits for what has to come before it fails.
const PATIENCE: Duration = Duration::from_secs(60);

struct User {
    home: tempfile::TempDir,
    desk: Option<Desk>,
    answers: Receiver<Answer>,
}

impl User {
    fn of(url: &str, set: &[(&str, &str)]) -> Self {
        Self::at(tempfile::tempdir().unwrap(), url, set)
    }

    fn at(home: tempfile::TempDir, url: &str, set: &[(&str, &str)]) -> Self {
        let own = [("HF_ENDPOINT", url), ("HF_HOME", home.path().to_str().unwrap())];
        let set: Vec<(String, OsString)> =
            own.iter().chain(set).map(|(name, value)| ((*name).to_owned(), OsString::from(value))).collect();
        let read = move || Environment::of(|name| set.iter().find(|s| s.0 == name).map(|s| s.1.clone()), None);
        let (sender, answers) = mpsc::channel();
        let desk = Desk::open(read, move |answer| drop(sender.send(answer))).unwrap();
        Self { home, desk: Some(desk), answers }
    }

    fn ask(&self, ask: Ask) {
        self.desk.as_ref().unwrap().ask(ask);
    }

    /// The first answer that `found` likes; others before it are dropped.
    fn until<T>(&self, found: impl Fn(Answer) -> Option<T>) -> T {
        loop {
            let answer = self.answers.recv_timeout(PATIENCE).expect("waited in vain for an answer");
            if let Some(value) = found(answer) {
                return value;
            }
        }
    }

    fn search(&self, ticket: u64, query: Query) -> Result<(Vec<String>, bool), Refusal> {
        self.ask(Ask::Search { ticket, query });
        self.page(ticket)
    }

    fn page(&self, ticket: u64) -> Result<(Vec<String>, bool), Refusal> {
        self.until(|answer| match answer {
            Answer::Page { ticket: of, hits, more } if of == ticket => {
                Some(Ok((hits.into_iter().map(|h| h.id).collect(), more)))
            }
            Answer::NoPage(of, why) if of == ticket => Some(Err(why)),
            _ => None,
        })
    }

    fn blobs(&self, id: &str) -> Vec<PathBuf> {
        let folder = self.home.path().join("hub").join(format!("models--{}", id.replace('/', "--"))).join("blobs");
        let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
        entries.map(|e| e.unwrap().path()).collect()
    }
}

fn text(words: &str) -> Query {
    Query { text: words.into(), ..Query::default() }
}

fn of(id: &str) -> Reference {
    Reference::parse(id).unwrap()
}

#[test]
fn of_searches_in_a_hurry_only_the_last_reaches_the_hub() {
    let hub = Hub::start();
    demo().into_iter().for_each(|repository| hub.add(repository));
    // The desk's thread waits for its environment, so that all wishes lie there before it begins.
    let home = tempfile::tempdir().unwrap();
    let (go, gate) = mpsc::channel::<()>();
    let url = hub.url().to_owned();
    let cache = home.path().to_str().unwrap().to_owned();
    let read = move || {
        gate.recv_timeout(PATIENCE).ok();
        let get = |name: &str| match name {
            "HF_ENDPOINT" => Some(OsString::from(&url)),
            "HF_HOME" => Some(OsString::from(&cache)),
            _ => None,
        };
        Environment::of(get, None)
    };
    let (sender, answers) = mpsc::channel();
    let desk = Desk::open(read, move |answer| drop(sender.send(answer))).unwrap();
    for (ticket, words) in ["d", "de", "deb", "debian"].into_iter().enumerate() {
        desk.ask(Ask::Search { ticket: ticket as u64, query: text(words) });
    }
    (0..4).for_each(|_| go.send(()).unwrap());
    let Answer::Page { ticket, hits, .. } = answers.recv_timeout(PATIENCE).unwrap() else { panic!() };
    assert_eq!((ticket, hits.len()), (3, 4));
    let asked: Vec<String> = hub.log().into_iter().map(|asked| asked.target).collect();
    assert!(asked.len() == 1 && asked[0].contains("search=debian"), "{asked:?}");
}

#[test]
fn ten_thousand_results_come_page_by_page() {
    let hub = Hub::start();
    hub.many(10_000);
    let user = User::of(hub.url(), &[]);
    let (mut all, mut more) = user.search(1, text("model")).unwrap();
    while more {
        user.ask(Ask::More(1));
        let (page, next) = user.page(1).unwrap();
        all.extend(page);
        more = next;
    }
    assert_eq!((all.len(), all[0].as_str(), all[9_999].as_str()), (10_000, "many/model-00000", "many/model-09999"));
    // Of another search there is no next page.
    user.ask(Ask::More(7));
    user.ask(Ask::More(1));
    assert_eq!(user.search(2, text("model-00042")).unwrap(), (vec!["many/model-00042".to_owned()], false));
}

#[test]
fn what_the_hub_refuses_is_a_sentence_and_offline_is_a_word() {
    let hub = Hub::start();
    let user = User::of(hub.url(), &[("HF_HUB_OFFLINE", "1")]);
    assert_eq!(user.search(1, text("x")), Err(Refusal::Offline));
    user.ask(Ask::Details { of: of("lab/x"), wanted: Kind::Base, base: None });
    user.ask(Ask::Adapters { ticket: 2, base: of("lab/x") });
    user.ask(Ask::Weigh(vec![of("lab/x")]));
    let (mut seen, wanted) = (Vec::new(), 3);
    while seen.len() < wanted {
        seen.push(user.until(|answer| match answer {
            Answer::Details(_, details) => Some((*details).unwrap_err()),
            Answer::NoCandidates(2, why) => Some(why),
            Answer::Weighed(_, weight) => Some(weight.unwrap_err()),
            _ => None,
        }));
    }
    assert!(seen.iter().all(|why| *why == Refusal::Offline) && hub.log().is_empty(), "{seen:?}");
    hub.fault(Fault::status(401).on("GET", "/api/models"));
    let user = User::of(hub.url(), &[("HF_TOKEN", "hf_old")]);
    let Err(Refusal::Said(sentence)) = user.search(1, text("x")) else { panic!() };
    assert!(sentence.contains("refuses the token") && !sentence.contains("hf_old"), "{sentence}");
    // Nobody listens there any more.
    let url = {
        let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", gone.local_addr().unwrap())
    };
    let user = User::of(&url, &[]);
    let Err(Refusal::Said(sentence)) = user.search(1, text("x")) else { panic!() };
    assert!(sentence.contains("cannot reach http://127.0.0.1"), "{sentence}");
    // A variable that makes no sense.
    let user = User::of("nonsense", &[]);
    let Err(Refusal::Said(sentence)) = user.search(1, text("x")) else { panic!() };
    assert!(sentence.contains("HF_ENDPOINT"), "{sentence}");
}

#[test]
fn details_say_what_is_needed_and_what_is_wrong() {
    let hub = Hub::start();
    demo().into_iter().for_each(|repository| hub.add(repository));
    hub.add(hostile());
    let small = tensors(&[("a", &[2, 2])]);
    let gated = Repository::model("lab/gated").file("config.json", "{}").lfs("model.safetensors", small);
    hub.add(gated.gated(Gate::Manual, "hf_granted"));
    let user = User::of(hub.url(), &[]);
    let details = |id: &str, wanted, base: Option<&str>| {
        user.ask(Ask::Details { of: of(id), wanted, base: base.map(of) });
        user.until(|answer| match answer {
            Answer::Details(which, details) if which == of(id) => Some(*details),
            _ => None,
        })
    };
    let base = details("demo/debian-40m", Kind::Base, None).unwrap();
    assert!(base.needed > 1_000_000 && base.needed == base.missing, "{base:?}");
    assert!(base.card.starts_with("Debian 40M\n\nA small Llama"), "{:?}", base.card);
    assert!(base.page.ends_with("/demo/debian-40m") && base.files.iter().any(|f| f.0 == "config.json"));
    // Of another architecture; an adapter where a base is wanted.
    let other = details("other/micro-gpt", Kind::Base, None).unwrap();
    assert!(other.problem.as_ref().unwrap().contains("gpt2"), "{other:?}");
    let adapter = details("demo/debian-net-lora", Kind::Base, None).unwrap();
    assert!(adapter.problem.as_ref().unwrap().contains("an adapter, no base"), "{adapter:?}");
    let gated = details("lab/gated", Kind::Base, None).unwrap();
    assert!(gated.note.as_ref().unwrap().contains("ask for access at"), "{gated:?}");
    assert!(matches!(details("lab/none", Kind::Base, None), Err(Refusal::Said(s)) if s.contains("no such repository")));
}

#[test]
fn a_cancelled_fetch_goes_on_where_it_was_and_a_closed_desk_leaves_nothing_running() {
    let hub = Hub::start();
    let weights = tensors(&[("model.embed_tokens.weight", &[1024, 512])]);
    let base = Repository::model("lab/base").file("config.json", r#"{"model_type":"llama"}"#);
    hub.add(base.file("tokenizer.json", "{}").lfs("model.safetensors", weights.clone()));
    // A piece now and then: it would take a while.
    hub.fault(Fault::drip(64 << 10, Duration::from_millis(100)).on("GET", "/blobs/"));
    let mut user = User::of(hub.url(), &[]);
    let begun = |user: &User| {
        user.ask(Ask::Fetch(vec![of("lab/base")]));
        user.until(|answer| match answer {
            Answer::Fetching(standing) if standing.done > 100_000 => Some(standing),
            Answer::Fetched(done) => panic!("{done:?}"),
            _ => None,
        })
    };
    let standing = begun(&user);
    assert!(standing.total > weights.len() as u64 && standing.lines.iter().all(|l| l.path.starts_with("lab/base/")));
    user.ask(Ask::Cancel);
    // Whatever was said before the cancel, nothing more is said after this.
    assert!(user.search(1, text("base")).is_ok());
    let part = |user: &User| {
        let parts = user.blobs("lab/base").into_iter().filter(|p| p.to_string_lossy().ends_with(".incomplete"));
        parts.map(|p| std::fs::metadata(p).unwrap().len()).max().unwrap()
    };
    let first = part(&user);
    assert!(first > 0 && first < weights.len() as u64, "{first}");
    // The form ends in the middle: the part stays.
    begun(&user);
    drop(user.desk.take());
    while user.answers.recv_timeout(PATIENCE).is_ok() {}
    let second = part(&user);
    assert!(second >= first && second < weights.len() as u64, "{first} {second}");
    // Another desk on the same cache goes on from there.
    hub.calm();
    hub.forget();
    let user = User::at(user.home, hub.url(), &[]);
    user.ask(Ask::Fetch(vec![of("lab/base")]));
    let came = user.until(|answer| match answer {
        Answer::Fetched(done) => Some(done.unwrap()),
        _ => None,
    });
    assert!(came < weights.len() as u64, "{came}");
    let asked = hub.log().into_iter().filter(|a| a.range.is_some()).filter_map(|a| a.range);
    assert!(
        asked.clone().any(|range| range == format!("bytes={second}-")),
        "{second}: {:?}",
        asked.collect::<Vec<_>>()
    );
    let whole = of("lab/base").folder(&user.home.path().join("hub")).join("model.safetensors");
    assert!(std::fs::read(whole).unwrap() == weights);
}

#[test]
fn adapters_of_a_base_are_held_against_it_by_their_headers() {
    let hub = Hub::start();
    demo().into_iter().for_each(|repository| hub.add(repository));
    let user = User::of(hub.url(), &[]);
    user.ask(Ask::Adapters { ticket: 5, base: of("demo/debian-40m") });
    let found = user.until(|answer| match answer {
        Answer::Candidates(5, found) => Some(found),
        _ => None,
    });
    let ids: Vec<&str> = found.iter().map(|c| c.hit.id.as_str()).collect();
    assert_eq!(
        ids,
        ["demo/debian-science-lora", "demo/debian-net-lora", "else/tuned-on-another-size", "demo/debian-libs-lora"]
    );
    user.ask(Ask::Fits { ticket: 5, of: found.iter().map(|c| c.hit.reference()).collect() });
    let mut fits = Vec::new();
    while fits.len() < 4 {
        fits.push(user.until(|answer| match answer {
            Answer::Fit(5, of, fit) => Some((of.id, fit)),
            _ => None,
        }));
    }
    for (id, fit) in fits {
        if id.starts_with("demo/") {
            assert!(fit.facts.is_some_and(|facts| facts.rank == 8) && fit.problem.is_none(), "{id}");
        } else {
            assert!(fit.facts.is_none() && fit.problem.is_some_and(|p| !p.contains("/tmp")), "{id}");
        }
    }
    // No weights were fetched for that.
    let sent: u64 = hub.log().iter().filter(|a| a.target.contains("adapter_model")).map(|a| a.sent).sum();
    assert!(sent < 1 << 20, "{sent}");
}
