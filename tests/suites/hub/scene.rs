//! The hub's scene of the README: search, see what fits, download three adapters, start. Makes its recording and its
//! pictures anew: `cargo test --test hub scene:: -- --ignored`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, dead_code)]

use crate::hub;
use crate::picture;
use crate::pty;
use crate::tiny;
use hub::{Fault, Hub, Repository, demo};
use pty::Terminal;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tiny::{Project, utf8};

/// Columns and rows of the other recordings too.
const SIZE: (u16, u16) = (120, 36);
/// Bytes of a file that arrive each [`TICK`].
const DRIP: usize = 300_000;
const TICK: Duration = Duration::from_millis(50);

fn assets(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("assets").join(path)
}

/// An adapter of the demo that lopper cannot merge, for what `edit` makes of its settings.
fn refused(id: &str, about: &str, downloads: u64, edit: impl FnOnce(&mut Value)) -> Repository {
    let text = std::fs::read(assets("demo/adapters/net/adapter_config.json")).unwrap();
    let mut settings: Value = serde_json::from_slice(&text).unwrap();
    edit(&mut settings);
    Repository::model(id)
        .folder(assets("demo/adapters/net"))
        .file("adapter_config.json", settings.to_string())
        .file("README.md", format!("---\nbase_model: demo/debian-40m\nlicense: mit\n---\n# {about}\n"))
        .library("peft")
        .downloads(downloads)
        .likes(downloads / 90)
}

fn filled() -> Hub {
    let hub = Hub::start();
    demo().into_iter().for_each(|repository| hub.add(repository));
    hub.add(refused("else/debian-dora", "Debian with DoRA", 3900, |s| s["use_dora"] = json!(true)));
    hub.add(refused("else/debian-prompts", "Prompts for Debian", 2100, |s| s["peft_type"] = json!("PROMPT_TUNING")));
    hub.fault(Fault::drip(DRIP, TICK).on("GET", "/blobs/"));
    hub
}

/// A folder with the demo's examples and nothing else.
fn emptied() -> Project {
    let project = Project::new();
    for name in ["base", "science", "net"] {
        std::fs::remove_dir_all(project.path(name)).unwrap();
    }
    std::fs::remove_file(project.path("recipe.toml")).unwrap();
    for name in ["train", "dev", "test"] {
        let file = format!("data/{name}.jsonl");
        std::fs::copy(assets("demo").join(&file), project.path(&file)).unwrap();
    }
    project
}

/// Somebody who types and looks.
struct Person(Terminal);

impl Person {
    fn looks(&self, seconds: f64) {
        let _ = &self.0;
        std::thread::sleep(Duration::from_secs_f64(seconds));
    }

    fn types(&mut self, text: &str) {
        for letter in text.chars() {
            self.0.press(&letter.to_string());
            self.looks(0.12);
        }
    }

    fn presses(&mut self, key: &str, shows: &[&str]) {
        self.0.press(key);
        self.0.shows(shows);
        self.looks(0.6);
    }

    /// Goes to a setting, and picks the file that a few letters find.
    fn picks(&mut self, key: &str, letters: &str, shows: &str) {
        self.presses("/", &["╭ setting"]);
        self.types(key);
        self.presses("\r", &[key]);
        self.presses("\r", &["│ > "]);
        self.types(letters);
        self.0.shows(&[shows]);
        self.looks(0.8);
        self.0.press("\r");
        self.0.hides("│ > ");
    }

    /// Takes the adapter that a word finds in the picker.
    fn takes(&mut self, word: &str) {
        self.presses("a", &["╭ add an adapter", "fits"]);
        self.types(word);
        let name = format!("demo/debian-{word}-lora");
        self.0.until(&name, |text| text.contains(&format!("> {word}")) && text.contains(&name));
        self.looks(1.0);
        self.0.press("\r");
        self.0.hides("╭ add an adapter");
        self.0.shows(&[&format!("debian-{word}-lora")]);
    }

    fn keeps(&self, name: &str) {
        std::fs::write(assets("pictures").join(name), picture::svg(&self.0.screen())).unwrap();
    }
}

#[test]
#[ignore = "takes a minute and writes assets/pictures/hub*"]
fn search_see_what_fits_download_three_adapters_start() {
    let (project, hub) = (emptied(), filled());
    let (home, tape) = (project.path("home"), project.path("hub.cast"));
    let set = [
        ("HF_ENDPOINT", hub.url()),
        ("HF_HOME", utf8(&home)),
        ("HF_HUB_OFFLINE", "0"),
        ("COLORTERM", "truecolor"),
        ("RAYON_NUM_THREADS", "1"),
    ];
    let mut person = Person(Terminal::start(&project, SIZE, &["new", "debian.toml", "--record", utf8(&tape)], &set));
    person.0.shows(&["the key `base` is missing"]);
    person.looks(1.5);
    // Search.
    person.presses("\r", &["demo/debian-40m", "by downloads"]);
    person.looks(1.5);
    person.types("debian");
    person.0.shows(&["1 result of the hub", "A small Llama for synopses", "files needed, 30 MB"]);
    person.looks(2.5);
    person.0.press("\r");
    person.0.hides("│ > ");
    person.0.shows(&["to fetch: f fetches now"]);
    person.looks(1.0);
    // What fits.
    person.presses("a", &["demo/debian-science-lora", "use_dora", "else/tuned-on-another-size"]);
    person.looks(1.5);
    person.presses("\x1b[B", &["2/"]);
    person.0.shows(&["Debian with DoRA"]);
    person.looks(2.5);
    person.keeps("hub-adapters-120x36.svg");
    person.presses("\x1b[A", &["1/"]);
    person.0.press("\r");
    person.0.hides("╭ add an adapter");
    person.0.shows(&["debian-science-lora"]);
    person.looks(1.0);
    person.takes("net");
    person.takes("libs");
    person.picks("data.train", "train", "data/train.jsonl");
    person.picks("data.dev", "dev", "data/dev.jsonl");
    person.looks(1.0);
    // Download.
    person.presses("f", &["╭ fetch", "demo/debian-40m/model.gguf"]);
    person.0.until("a part of it", |text| text.contains(" of 29 MB") && text.contains("/s, "));
    person.looks(1.5);
    person.keeps("hub-fetch-120x36.svg");
    person.0.shows(&["the recipe has all that it names of the hub"]);
    person.0.shows(&["nothing is wrong", "needs about"]);
    person.looks(2.0);
    // Start.
    person.presses("R", &["start a run of it?", "needs about"]);
    person.looks(1.5);
    person.presses("\r", &["stage ", "1 heatmap", "q back"]);
    person.0.until("steps", |text| text.contains("step 3"));
    person.looks(3.0);
    person.presses("q", &["debian.toml", "saved"]);
    person.0.press("q");
    assert_eq!(person.0.ends_tidily().0, 0);
    std::fs::copy(&tape, assets("pictures/hub.cast")).unwrap();
}
