//! How fast the picker of the form is with a hub on loopback that has 10,000 bases: the real binary in a terminal of
//! 200 x 50.
//!
//! ```text
//! cargo bench --bench hub                          # two minutes; -- --only keys,scroll
//! ```
//! A figure counts from a key to the last byte of the frame that shows what the key led to.
#![allow(dead_code, clippy::print_stdout, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../hub/server.rs"]
mod hub;
#[path = "screen/watched.rs"]
mod watched;

use clap::Parser;
use hub::Hub;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use watched::Watched;

#[derive(Parser)]
struct Settings {
    /// Parts to measure: keys, scroll
    #[arg(long, value_delimiter = ',', default_value = "keys,scroll")]
    only: Vec<String>,
    /// Searches of each kind
    #[arg(long, default_value_t = 100)]
    searches: usize,
    /// Bases of the hub
    #[arg(long, default_value_t = 10_000)]
    results: usize,
    /// Another build of lopper to measure
    #[arg(long)]
    program: Option<PathBuf>,
    /// Given by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

/// Median, 99th percentile and largest, in milliseconds.
fn spread(mut all: Vec<Duration>) -> String {
    all.sort();
    let at =
        |share: f64| all[((all.len() as f64 * share).ceil() as usize).clamp(1, all.len()) - 1].as_secs_f64() * 1000.0;
    format!("{:.1} ms, p99 {:.1} ms, at most {:.1} ms ({})", at(0.5), at(0.99), at(1.0), all.len())
}

fn row(what: &str, figure: &str) {
    println!("| {what} | {figure} |");
}

/// A new form whose base is about to be chosen, the first results in sight.
fn picker(folder: &Path, hub: &Hub) -> Watched {
    let home = folder.join("home");
    let set = [
        ("HF_ENDPOINT", hub.url()),
        ("HF_HOME", home.to_str().unwrap()),
        ("HF_HUB_OFFLINE", "0"),
        ("LOPPER_RUNS", folder.to_str().unwrap()),
    ];
    let mut screen = Watched::start_with(folder, &["new"], &set);
    let start = screen.start;
    screen.shows("the form", start, |text| text.contains("the key `base` is missing"));
    screen.press("\r", "the first results", |text| text.contains("model-00000"));
    screen
}

/// From a key to the results that it leads to, none of which were on the screen before.
fn keys(settings: &Settings, folder: &Path, hub: &Hub) {
    let mut screen = picker(folder, hub);
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let (mut single, mut last) = (Vec::new(), Vec::new());
    // What is typed finds ten results, and a digit more one of them.
    for _ in 0..settings.searches {
        let number = random.random_range(settings.results / 10..settings.results);
        let (most, digit) = (number / 10, number % 10);
        // As fast as people type who type fast.
        for (i, letter) in format!("{most:04}").chars().enumerate() {
            std::thread::sleep(Duration::from_millis(if i == 0 { 400 } else { random.random_range(80..160) }));
            screen.send(&letter.to_string());
        }
        let since = Instant::now();
        let name = format!("model-{:05}", most * 10 + 9);
        let found = |text: &str| text.contains(&name) && text.contains("results of the hub");
        last.push(if found(&screen.text()) { since.elapsed() } else { screen.shows(&name, since, found) });
        std::thread::sleep(Duration::from_millis(400));
        single.push(screen.press(&digit.to_string(), "the one result", |text| {
            text.contains(&format!("model-{number:05}")) && text.contains("1 result of the hub")
        }));
        screen.press("\x15", "all results", |text| text.contains("model-00000") && text.contains("and more"));
    }
    row("one key to its results, drawn", &spread(single));
    row("the last key of a word that is typed fast, to its results", &spread(last));
}

/// From a key that scrolls to its frame, to the end of the results and back; pages come in meanwhile.
fn scroll(settings: &Settings, folder: &Path, hub: &Hub) {
    let mut screen = picker(folder, hub);
    let mut random = ChaCha8Rng::seed_from_u64(2);
    let (mut down, mut up, mut waits) = (Vec::new(), Vec::new(), Vec::new());
    let mut at = 1;
    while at < settings.results {
        // Never beyond what has come: that would be the hub's time.
        let since = Instant::now();
        let enough = |text: &str| reached(text).is_some_and(|(_, all)| all >= (at + 10).min(settings.results));
        if !enough(&screen.text()) {
            waits.push(screen.shows("more results", since, enough));
        }
        std::thread::sleep(Duration::from_millis(random.random_range(20..50)));
        let (key, by) = if random.random_bool(0.5) { ("\x1b[6~", 10) } else { ("\x1b[B", 1) };
        at = (at + by).min(settings.results);
        down.push(screen.press(key, "the next row", |text| reached(text).is_some_and(|(here, _)| here == at)));
    }
    while up.len() < 500 && at > 10 {
        std::thread::sleep(Duration::from_millis(random.random_range(20..50)));
        let (key, by) = if random.random_bool(0.5) { ("\x1b[5~", 10) } else { ("\x1b[A", 1) };
        at -= by;
        up.push(screen.press(key, "the row before", |text| reached(text).is_some_and(|(here, _)| here == at)));
    }
    row(&format!("scrolling {} results: key to drawn frame, pages coming in", settings.results), &spread(down));
    row("the same, all of them there", &spread(up));
    if !waits.is_empty() {
        row("the same: waits for a page", &spread(waits));
    }
    row("the same: memory", &format!("{:.0} MB at most", screen.memory("VmHWM") as f64 / 1e6));
}

/// The place under the cursor and how many there are, from `31/95` at the end of the line of the hub's state.
fn reached(text: &str) -> Option<(usize, usize)> {
    let line = text.lines().find(|line| line.contains("of the hub") || line.contains("searching"))?;
    let (here, all) = line.split_whitespace().find_map(|word| word.split_once('/'))?;
    Some((here.parse().ok()?, all.parse().ok()?))
}

fn main() {
    let settings = Settings::parse();
    if let Some(program) = &settings.program {
        watched::PROGRAM.set(program.canonicalize().unwrap()).unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start();
    hub.many(settings.results);
    println!("| what | figure (median first) |\n|---|---|");
    for part in &settings.only {
        match part.as_str() {
            "keys" => keys(&settings, folder.path(), &hub),
            "scroll" => scroll(&settings, folder.path(), &hub),
            other => panic!("there is no part {other:?}"),
        }
    }
}
