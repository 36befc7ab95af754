//! The hub in the form, in a real terminal: searched, chosen, fetched, run, and what a user is told where that fails.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, dead_code)]

use crate::form;
use crate::hub;
use crate::pty;
use crate::tiny;
use form::{open, pick, set};
use hub::{Fault, Hub, Repository, hostile};
use pty::Terminal;
use serde_json::json;
use std::time::Duration;
use tiny::{Project, edit_json, until_over, utf8};

const SMALL: (u16, u16) = (80, 24);

/// The project's models on a hub, and nowhere else: a base, an adapter that fits it, one that cannot.
fn moved(project: &Project) -> Hub {
    let hub = Hub::start();
    let card = "---\nlicense: mit\n---\n# Tiny \u{1b}[31mbase\nMade of numbers.\n";
    let base =
        Repository::model("lab/tiny").folder(project.path("base")).file("README.md", card).library("transformers");
    hub.add(base.pipeline("text-generation").downloads(900));
    let of_base = || json!({"base_model": "lab/tiny", "base_model_relation": "adapter", "license": "mit"});
    let adapter =
        |id: &str, name: &str| Repository::model(id).folder(project.path(name)).library("peft").card(of_base());
    hub.add(adapter("lab/science-lora", "science").downloads(70));
    edit_json(&project.path("net/adapter_config.json"), |config| config["use_dora"] = true.into());
    hub.add(adapter("lab/strange", "net").downloads(99));
    hub.add(hostile());
    hub.many(300);
    for name in ["base", "science", "net"] {
        std::fs::remove_dir_all(project.path(name)).unwrap();
    }
    std::fs::remove_file(project.path("recipe.toml")).unwrap();
    hub
}

fn start(project: &Project, hub: &Hub, set: &[(&str, &str)]) -> Terminal {
    let home = project.path("home");
    let own = [("HF_ENDPOINT", hub.url()), ("HF_HOME", utf8(&home)), ("HF_HUB_OFFLINE", "0")];
    Terminal::start(project, SMALL, &["new"], &own.iter().chain(set).copied().collect::<Vec<_>>())
}

/// Leaves a form that is not saved.
fn leave(screen: &mut Terminal) {
    screen.press("\x03");
    screen.shows(&["drop the changes"]);
    screen.press("\x03");
    assert_eq!(screen.ends_tidily().0, 0);
}

/// The base from the hub: its name is typed, the first that fits is taken.
fn take_base(screen: &mut Terminal) {
    open(screen, "base");
    screen.shows(&["│ > ", "by downloads", "ctrl-o order"]);
    screen.press("tiny");
    screen.shows(&[
        "> tiny",
        "1 result of the hub",
        "lab/tiny ",
        " hub ",
        "Tiny \\u{1b}[31mbase",
        "Made of numbers.",
        "to fetch",
    ]);
    screen.press("\r");
    screen.hides("│ > ");
}

#[test]
fn base_and_adapter_are_picked_from_the_hub_fetched_and_run() {
    let project = Project::new();
    let hub = moved(&project);
    let mut screen = start(&project, &hub, &[]);
    screen.shows(&["the key `base` is missing"]);
    take_base(&mut screen);
    screen.shows(&["lab/tiny", "to fetch: f fetch"]);
    screen.press("a");
    screen.shows(&["lab/strange", "lab/science-lora", "fits"]);
    // The one that cannot be used cannot be chosen.
    screen.press("strange");
    screen.shows(&["> strange", "lab/strange"]);
    screen.until("the reason", |text| text.to_lowercase().contains("dora"));
    screen.press("\r");
    screen.shows(&["╭ add an adapter"]);
    screen.press("\x15science");
    screen.shows(&["> science", "lab/science-lora", "fits"]);
    screen.press("\r");
    screen.hides("╭ add an adapter");
    screen.shows(&["related", "science-lora", "to fetch"]);
    pick(&mut screen, "data.train", "train.jsonl", "data/train.jsonl");
    pick(&mut screen, "data.dev", "dev.jsonl", "data/dev.jsonl");
    // Nothing is wrong although nothing is here, and what it will need is told by the headers.
    screen.shows(&["nothing is wrong", "to fetch"]);
    screen.shows(&["nothing is wrong", "needs about"]);
    let needs = |screen: &Terminal| {
        let text = screen.text();
        text.split_once("needs about ").unwrap().1.split(',').next().unwrap().to_owned()
    };
    let before = needs(&screen);
    screen.press("f");
    screen.shows(&["fetched", "the recipe has all"]);
    screen.shows(&["nothing is wrong", "needs about"]);
    assert_eq!(needs(&screen), before);
    for (key, value) in [
        ("train.steps", "2"),
        ("train.batch", "2"),
        ("samples.documents", "1"),
        ("samples.max_new", "6"),
        ("device", "cpu"),
    ] {
        set(&mut screen, key, value);
    }
    open(&mut screen, "base");
    screen.shows(&["lab/tiny ", " cached "]);
    screen.press("\x1b");
    screen.hides("│ > ");
    screen.press("R");
    screen.shows(&["start a run of it?"]);
    screen.press("\r");
    screen.shows(&["stage ", "1 heatmap", "q back"]);
    let run = project.run();
    screen.press("q");
    screen.shows(&["recipe.toml", "saved"]);
    screen.press("q");
    assert_eq!(screen.ends_tidily().0, 0);
    until_over(&run);
    assert_eq!(run.state(), lopper::run::RunState::Finished);
    let text = std::fs::read_to_string(project.path("recipe.toml")).unwrap();
    for (key, id) in [("base", "lab/tiny"), ("path", "lab/science-lora")] {
        let line = format!("{key} = \"hf://{id}@{}\"", hub.sha(id, "main").unwrap());
        assert!(text.contains(&line), "{line}: {text}");
    }
    assert!(!screen.raw().contains("\u{1b}[31mbase"));
}

#[test]
fn a_fetch_is_cancelled_with_esc_and_the_form_ends_in_the_middle_of_one() {
    let project = Project::new();
    let hub = moved(&project);
    hub.fault(Fault::drip(4 << 10, Duration::from_millis(200)).on("GET", "/blobs/"));
    let mut screen = start(&project, &hub, &[]);
    take_base(&mut screen);
    screen.shows(&["to fetch: f fetch"]);
    screen.press("f");
    screen.shows(&["╭ fetch", "lab/tiny/model.safetensors", "esc cancels"]);
    screen.press("\x1b");
    screen.shows(&["the fetch is cancelled"]);
    screen.hides("╭ fetch");
    screen.press("f");
    screen.shows(&["╭ fetch", "lab/tiny/model.safetensors"]);
    screen.press("\r");
    screen.shows(&["fetching "]);
    leave(&mut screen);
    let blobs = project.path("home/hub/models--lab--tiny/blobs");
    let parts = std::fs::read_dir(blobs)
        .unwrap()
        .filter(|e| e.as_ref().unwrap().path().extension().is_some_and(|x| x == "incomplete"));
    assert!(parts.count() > 0);
}

#[test]
fn where_the_hub_cannot_be_asked_the_user_is_told_and_goes_on() {
    let project = Project::new();
    let hub = moved(&project);
    let mut screen = start(&project, &hub, &[("HF_HUB_OFFLINE", "1")]);
    open(&mut screen, "base");
    screen.shows(&["offline: only what is here"]);
    screen.press("\x1b");
    screen.hides("│ > ");
    leave(&mut screen);
    assert!(hub.log().is_empty());
    let mut screen = start(&project, &hub, &[("HF_TOKEN", "hf_old")]);
    hub.fault(Fault::status(401).on("GET", "/api/models"));
    open(&mut screen, "base");
    screen.shows(&["refuses the token"]);
    // A path does all the same.
    screen.press("/");
    screen.shows(&["> /", "a path of this machine"]);
    screen.press("\x1b");
    screen.hides("│ > ");
    leave(&mut screen);
    assert!(!screen.raw().contains("hf_old"));
    let mut screen = start(&project, &hub, &[("HF_ENDPOINT", "http://127.0.0.1:9")]);
    open(&mut screen, "base");
    screen.shows(&["cannot reach http://127.0.0.1:9"]);
    screen.press("\x1b");
    screen.hides("│ > ");
    leave(&mut screen);
}
