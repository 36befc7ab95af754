//! How fast the screen is: the real binary in a terminal of 200 x 50.
//!
//! ```text
//! cargo bench --bench screen                       # all, about three minutes; 1 GB of disk in --folder
//! cargo bench --bench screen -- --only live        # live, start, idle or large
//! ```
//! The terminal answers questions at once and knows synchronised updates, so that the end of a frame can be seen: a
//! frame counts when its last byte has come out of the terminal's other end and it shows what was waited for.
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../synthetic/run.rs"]
mod synthetic;
#[path = "screen/watched.rs"]
mod watched;

use clap::Parser;
use lopper::app::Measure;
use lopper::module::{ModuleId, Projection};
use lopper::run::event::{Event, EventBody};
use lopper::run::journal::Journal;
use lopper::run::lock::Lock;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use watched::Watched;

#[derive(Parser)]
struct Settings {
    /// Parts to measure: live, start, idle, large
    #[arg(long, value_delimiter = ',', default_value = "live,start,idle,large")]
    only: Vec<String>,
    /// Keys pressed while a run goes on
    #[arg(long, default_value_t = 400)]
    keys: usize,
    /// Starts of each command
    #[arg(long, default_value_t = 100)]
    starts: usize,
    /// Seconds that an idle screen is watched
    #[arg(long, default_value_t = 60)]
    idle: u64,
    /// Bytes of the large journal
    #[arg(long, default_value_t = 1_000_000_000)]
    bytes: u64,
    /// Where the runs are made; the system's folder for temporary files if left out
    #[arg(long)]
    folder: Option<PathBuf>,
    /// Another build of lopper to measure
    #[arg(long)]
    program: Option<PathBuf>,
    /// Given by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

const RECIPE: &str = "name = \"synthetic\"\nbase = \"base\"\n[data]\ntrain = \"train.jsonl\"\ndev = \"dev.jsonl\"\n\
                      [[adapters]]\nname = \"adapter-0\"\nrole = \"target\"\n";
const LAST_WORD: &str = r#"{"state":"finished","text":"the adapter and the report are in result/","code":0,"t":0}"#;

/// A run directory with a recipe and the journal's first events.
fn run(runs: &Path, name: &str, steps: usize) -> PathBuf {
    let path = runs.join(name);
    std::fs::create_dir_all(&path).unwrap();
    std::fs::write(path.join("recipe.toml"), RECIPE).unwrap();
    let mut journal = Journal::open(&path.join("events.jsonl")).unwrap();
    journal.append(EventBody::Started(Box::new(synthetic::started()))).unwrap();
    journal.append(EventBody::Stage(synthetic::stage(steps))).unwrap();
    path
}

fn count() -> usize {
    synthetic::started().matrices.len()
}

/// Appends the steps of a range.
fn steps(run: &Path, range: std::ops::RangeInclusive<usize>, of: usize) {
    let mut journal = Journal::open(&run.join("events.jsonl")).unwrap();
    for step in range {
        tell(&mut journal, step, of);
    }
}

fn tell(journal: &mut Journal, step: usize, of: usize) {
    journal.append(EventBody::Step(synthetic::update(step, of))).unwrap();
    journal.append(EventBody::Modules(synthetic::modules(step, count()))).unwrap();
    for body in synthetic::asides(step) {
        journal.append(body).unwrap();
    }
}

fn finish(run: &Path) {
    let text = "the adapter and the report are in result/".into();
    Journal::open(&run.join("events.jsonl")).unwrap().append(EventBody::Finished { text }).unwrap();
    std::fs::write(run.join("exit.json"), LAST_WORD).unwrap();
}

/// Milliseconds.
fn ms(d: Duration) -> f64 {
    d.as_secs_f64() * 1000.0
}

/// Median, 99th percentile and largest, in milliseconds.
fn spread(mut all: Vec<Duration>) -> String {
    all.sort();
    let at = |share: f64| ms(all[((all.len() as f64 * share).ceil() as usize).clamp(1, all.len()) - 1]);
    format!("{:.1} ms, p99 {:.1} ms, at most {:.1} ms ({})", at(0.5), at(0.99), at(1.0), all.len())
}

fn row(what: &str, figure: &str) {
    println!("| {what} | {figure} |");
}

/// The heatmap's cursor, as the presses move it.
struct Cursor {
    layer: usize,
    projection: usize,
}

/// A random key with what it leads to on the screen.
fn press(screen: &mut Watched, cursor: &mut Cursor, measure: &mut usize, random: &mut ChaCha8Rng) -> Duration {
    if random.random_bool(0.25) {
        *measure = (*measure + 1) % Measure::ALL.len();
        let meaning = Measure::ALL[*measure].meaning();
        return screen.press("m", meaning, |text| text.contains(meaning));
    }
    let along = random.random_bool(0.5);
    let key = if along {
        let forward = cursor.layer == 0 || (cursor.layer + 1 < synthetic::LAYERS && random.random_bool(0.5));
        cursor.layer = if forward { cursor.layer + 1 } else { cursor.layer - 1 };
        if forward { "l" } else { "h" }
    } else {
        let forward = cursor.projection == 0 || (cursor.projection < 6 && random.random_bool(0.5));
        cursor.projection = if forward { cursor.projection + 1 } else { cursor.projection - 1 };
        if forward { "j" } else { "k" }
    };
    let module = ModuleId::new(cursor.layer, Projection::ALL[cursor.projection]).to_string();
    screen.press(key, &module, |text| text.contains(&module))
}

/// A screen on the heatmap with a measure of its own choice.
fn attached(folder: &Path, run: &Path) -> (Watched, usize) {
    let mut screen = Watched::start(folder, &["attach", run.to_str().unwrap()]);
    let start = screen.start;
    screen.shows("the heatmap", start, |text| text.contains("layers.0.self_attn.q_proj"));
    let text = screen.text();
    let shown = Measure::ALL.iter().position(|m| text.contains(m.meaning())).expect("a measure on the screen");
    (screen, shown)
}

/// Keys while the journal grows by five steps a second.
fn live(settings: &Settings, folder: &Path) {
    let path = run(&folder.join("runs"), "live", 100_000);
    steps(&path, 1..=50, 100_000);
    let _lock = Lock::take(&path).unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let (over, place) = (Arc::clone(&stop), path.join("events.jsonl"));
    let writer = std::thread::spawn(move || {
        let mut journal = Journal::open(&place).unwrap();
        let begun = Instant::now();
        let mut step = 50;
        while !over.load(Ordering::Relaxed) {
            step += 1;
            tell(&mut journal, step, 100_000);
            let next = Duration::from_millis(200 * (step as u64 - 50));
            std::thread::sleep(next.saturating_sub(begun.elapsed()));
        }
        step - 50
    });
    for link in [None, Some("--slow-link")] {
        let mut args = vec!["attach", path.to_str().unwrap()];
        args.extend(link);
        let mut screen = Watched::start(folder, &args);
        let start = screen.start;
        screen.shows("the heatmap", start, |text| text.contains("layers.0.self_attn.q_proj"));
        let text = screen.text();
        let mut measure = Measure::ALL.iter().position(|m| text.contains(m.meaning())).unwrap();
        let (mut cursor, mut random) = (Cursor { layer: 0, projection: 0 }, ChaCha8Rng::seed_from_u64(1));
        let keys = if link.is_some() { settings.keys / 4 } else { settings.keys };
        let (cpu, clock, bytes) = (screen.cpu(), Instant::now(), screen.written());
        let all = (0..keys).map(|_| {
            std::thread::sleep(Duration::from_micros(random.random_range(20_000..180_000)));
            press(&mut screen, &mut cursor, &mut measure, &mut random)
        });
        let all = all.collect();
        let seconds = clock.elapsed().as_secs_f64();
        let with = link.map_or(String::new(), |l| format!(", `{l}`"));
        row(&format!("key to drawn frame, 5 steps a second{with}"), &spread(all));
        let (cpu, bytes) = ((screen.cpu() - cpu) / seconds, (screen.written() - bytes) as f64 / seconds);
        row(
            &format!("the same: CPU, bytes{with}"),
            &format!("{:.1} % of a core, {:.1} kB/s", 100.0 * cpu, bytes / 1e3),
        );
        screen.leave();
    }
    stop.store(true, Ordering::Relaxed);
    let steps = writer.join().unwrap();
    assert!(steps > 10, "the writer kept pace: {steps} steps");
}

/// From the start of the process to the first frame, and to the first that shows the run.
fn start(settings: &Settings, folder: &Path) {
    let runs = folder.join("few");
    for i in 0..5 {
        let path = run(&runs, &format!("run-{i}"), 20);
        steps(&path, 1..=20, 20);
        finish(&path);
    }
    let path = runs.join("run-0");
    let attach = ["attach", path.to_str().unwrap()];
    let list = ["--runs", runs.to_str().unwrap()];
    for (name, args, shows) in [("lopper attach RUN", &attach, "layers.0.self_attn.q_proj"), ("lopper", &list, "run-4")]
    {
        let (mut first, mut whole, mut left) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..settings.starts {
            let mut screen = Watched::start(folder, args);
            let start = screen.start;
            whole.push(screen.shows(shows, start, |text| text.contains(shows)));
            first.push(screen.first.unwrap() - start);
            left.push(screen.leave());
        }
        row(&format!("start to first frame, `{name}`"), &spread(first));
        row("the same: to the first frame with the run", &spread(whole));
        row("the same: `q` to the end of the process", &spread(left));
    }
}

/// What a screen costs that nobody touches and to which nothing happens.
fn idle(settings: &Settings, folder: &Path) {
    let runs = folder.join("idle");
    let finished = run(&runs, "finished", 20);
    steps(&finished, 1..=20, 20);
    finish(&finished);
    let paused = run(&runs, "paused", 40);
    steps(&paused, 1..=20, 40);
    let mut journal = Journal::open(&paused.join("events.jsonl")).unwrap();
    journal.append(EventBody::Paused { paused: true }).unwrap();
    let _lock = Lock::take(&paused).unwrap();
    // Of a run that has just begun the list counts the seconds.
    let over = folder.join("over");
    let old = run(&over, "run-0", 20);
    let t = lopper::run::now() - 9000.0;
    let stage = Event { v: 1, seq: 0, t, body: EventBody::Stage(synthetic::stage(20)) };
    std::fs::write(old.join("events.jsonl"), serde_json::to_string(&stage).unwrap() + "\n").unwrap();
    finish(&old);
    let mut screens: Vec<(&str, Watched)> = vec![
        ("a finished run", Watched::start(folder, &["attach", finished.to_str().unwrap()])),
        ("a paused run", Watched::start(folder, &["attach", paused.to_str().unwrap()])),
        ("the list of runs that are over", Watched::start(folder, &["--runs", over.to_str().unwrap()])),
    ];
    for ((_, screen), shows) in screens.iter_mut().zip(["✓ finished", "‖ paused", "1 run"]) {
        let start = screen.start;
        screen.shows(shows, start, |text| text.contains(shows));
    }
    std::thread::sleep(Duration::from_secs(3));
    let before: Vec<(f64, u64)> = screens.iter().map(|(_, screen)| (screen.cpu(), screen.written())).collect();
    let clock = Instant::now();
    while clock.elapsed() < Duration::from_secs(settings.idle) {
        // The sign of life of a worker that waits.
        std::thread::sleep(Duration::from_secs(5).min(Duration::from_secs(settings.idle)));
        journal.append(EventBody::Heartbeat {}).unwrap();
    }
    let seconds = clock.elapsed().as_secs_f64();
    for ((name, screen), (cpu, bytes)) in screens.iter().zip(before) {
        let (share, bytes) = (100.0 * (screen.cpu() - cpu) / seconds, screen.written() - bytes);
        row(&format!("idle, {name}, {seconds:.0} s"), &format!("{share:.2} % of a core, {bytes} bytes"));
    }
    for (_, screen) in screens {
        screen.leave();
    }
}

/// A journal of so many bytes: the states of a few dozen steps over and over, under other numbers.
fn large_journal(path: &Path, bytes: u64, of: usize) -> usize {
    let columns: Vec<String> = (1..=48)
        .map(|step| {
            let line = serde_json::to_string(&EventBody::Modules(synthetic::modules(step, count()))).unwrap();
            line.split_once(&format!("\"step\":{step},")).unwrap().1.to_owned()
        })
        .collect();
    let place = path.join("events.jsonl");
    let mut written = std::fs::metadata(&place).unwrap().len();
    let mut file = BufWriter::with_capacity(1 << 20, std::fs::File::options().append(true).open(&place).unwrap());
    let (mut seq, mut step) = (2, 0);
    while written < bytes {
        step += 1;
        let t = 1.7e9 + step as f64;
        let head = format!("{{\"v\":1,\"seq\":{seq},\"t\":{t:.1},\"type\":\"modules\",\"step\":{step},");
        seq += 1;
        let columns = &columns[step % columns.len()];
        written += (head.len() + columns.len() + 1) as u64;
        for part in [&head, columns, "\n"] {
            file.write_all(part.as_bytes()).unwrap();
        }
        let mut rest = vec![EventBody::Step(synthetic::update(step, of))];
        rest.extend(synthetic::asides(step));
        for body in rest {
            let line = serde_json::to_string(&Event { v: 1, seq, t, body }).unwrap() + "\n";
            seq += 1;
            written += line.len() as u64;
            file.write_all(line.as_bytes()).unwrap();
        }
    }
    file.flush().unwrap();
    step
}

/// A finished run whose journal is long.
fn large(settings: &Settings, folder: &Path) {
    let path = run(&folder.join("large"), "large", 8000);
    let last = large_journal(&path, settings.bytes, 8000);
    finish(&path);
    let size = std::fs::metadata(path.join("events.jsonl")).unwrap().len() as f64 / 1e9;
    let name = format!("a finished run of {last} steps, journal of {size:.2} GB");
    let mut first = Vec::new();
    for _ in 0..5 {
        let mut screen = Watched::start(folder, &["attach", path.to_str().unwrap()]);
        let start = screen.start;
        screen.shows("the heatmap", start, |text| text.contains("layers.0.self_attn.q_proj"));
        first.push(screen.first.unwrap() - start);
    }
    row(&format!("{name}: start to first frame"), &spread(first));
    let (mut screen, mut measure) = attached(folder, &path);
    let start = screen.start;
    let (mut cursor, mut random) = (Cursor { layer: 0, projection: 0 }, ChaCha8Rng::seed_from_u64(2));
    let mut keys = Vec::new();
    while !screen.text().contains("✓ finished") {
        std::thread::sleep(Duration::from_micros(random.random_range(5_000..60_000)));
        keys.push(press(&mut screen, &mut cursor, &mut measure, &mut random));
    }
    row("the same: complete after", &format!("{:.1} s", start.elapsed().as_secs_f64()));
    row("the same: key to drawn frame meanwhile", &spread(keys));
    let after = (0..100).map(|_| {
        std::thread::sleep(Duration::from_micros(random.random_range(5_000..60_000)));
        press(&mut screen, &mut cursor, &mut measure, &mut random)
    });
    row("the same: key to drawn frame afterwards", &spread(after.collect()));
    let mb = |name: &str| screen.memory(name) as f64 / 1e6;
    row("the same: memory", &format!("{:.0} MB at most, {:.0} MB at the end", mb("VmHWM"), mb("VmRSS")));
    row("the same: `q` to the end of the process", &format!("{:.0} ms", ms(screen.leave())));
}

fn main() {
    let settings = Settings::parse();
    if let Some(program) = &settings.program {
        watched::PROGRAM.set(program.canonicalize().unwrap()).unwrap();
    }
    let folder = match &settings.folder {
        Some(folder) => tempfile::tempdir_in(folder),
        None => tempfile::tempdir(),
    };
    let folder = folder.unwrap();
    println!("| what | figure (median first) |\n|---|---|");
    for part in &settings.only {
        match part.as_str() {
            "live" => live(&settings, folder.path()),
            "start" => start(&settings, folder.path()),
            "idle" => idle(&settings, folder.path()),
            "large" => large(&settings, folder.path()),
            other => panic!("there is no part {other:?}"),
        }
    }
}
