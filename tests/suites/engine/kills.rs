//! Workers that are killed at any moment, and in the middle of every write that counts: nothing is lost, the result
//! is that of a run that nobody disturbed, and every command is answered once.
//!
//! `LOPPER_KILLS=200 cargo test --test engine kills:: -- --ignored --nocapture`; `LOPPER_SEED` for another choice of moments.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::zombie_processes)]

use crate::tiny;
use lopper::recipe::ratios::Rule;
use lopper::run::control::{Command, send};
use lopper::run::event::EventBody;
use lopper::run::{RunDir, RunState, lock};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use tiny::{Project, assert_tidy, events, result, utf8};

/// Every place in which a worker can be told to die, and how often it comes by in one life, about.
const PLACES: [(&str, u64); 10] = [
    ("checkpoint", 40),
    ("journal-half", 120),
    ("journal-end", 120),
    ("journal-whole", 120),
    ("lock", 1),
    ("lock-half", 1),
    ("control", 4),
    ("aside-half", 10),
    ("exit", 2),
    ("result", 5),
];

fn project() -> Project {
    let project = Project::new();
    // Everything that a checkpoint has to carry is in use: dropout, sensitivity, a schedule, patience.
    project.recipe("seed = 3", "epochs = 8\ndropout = 0.1\neval_every = 5\ncheckpoint_every = 4\npatience = 50");
    project.append(
        "recipe.toml",
        "[prune]\nratio = 0.5\nimportance = \"sensitivity\"\nschedule = \"cubic\"\nmoments = \"zero\"\n",
    );
    project
}

/// All that a run leaves and that has to be the same: the adapter bit by bit, the report without its times, every
/// summary.
type Left = ((Vec<u8>, serde_json::Value), serde_json::Value, BTreeMap<String, Vec<u8>>);

fn left(run: &RunDir) -> Left {
    let report = std::fs::read(run.result().join("report.json")).unwrap();
    let mut report: serde_json::Value = serde_json::from_slice(&report).unwrap();
    for row in report["rows"].as_array_mut().unwrap() {
        row["seconds"].take();
    }
    let summaries = std::fs::read_dir(run.result().join("summaries")).unwrap().map(|entry| {
        let path = entry.unwrap().path();
        (path.file_name().unwrap().to_str().unwrap().to_owned(), std::fs::read(&path).unwrap())
    });
    (result(run), report, summaries.collect())
}

/// What the run leaves that nobody disturbs, and the seconds that it took.
fn undisturbed() -> &'static (Left, f64) {
    static LEFT: OnceLock<(Left, f64)> = OnceLock::new();
    LEFT.get_or_init(|| {
        let project = project();
        let clock = Instant::now();
        let said = project.lopper(&["run", "recipe.toml", "--plain"]);
        assert_eq!(said.code, Some(0), "{said:?}");
        (left(&project.run()), clock.elapsed().as_secs_f64())
    })
}

/// Copies a folder as a power cut would leave it: file by file, while they are written.
fn snapshot(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    let Ok(entries) = std::fs::read_dir(from) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            snapshot(&path, &target);
        } else {
            // What was removed meanwhile is not there.
            std::fs::copy(&path, &target).ok();
        }
    }
}

/// Commands that do not change the result.
fn harmless(rng: &mut ChaCha8Rng) -> Vec<Command> {
    let rule = Rule { modules: "*".into(), adapter: "*".into(), factor: None, ratio: 0.5 };
    match rng.random_range(0..4) {
        0 => vec![Command::Pause, Command::Resume],
        1 => vec![Command::Checkpoint],
        2 => vec![Command::Generate],
        _ => vec![Command::SetRatios { rules: vec![rule] }],
    }
}

/// What came of a campaign.
#[derive(Debug, Default)]
struct Tally {
    runs: usize,
    kills: usize,
    by_place: BTreeMap<&'static str, usize>,
    commands: usize,
    copies: usize,
}

/// One run, killed until it is finished all the same.
fn killed_run(rng: &mut ChaCha8Rng, tally: &mut Tally, enough: usize) {
    let (want, seconds) = undisturbed();
    let project = project();
    let recipe = lopper::recipe::Recipe::read(&project.path("recipe.toml")).unwrap();
    let run = RunDir::create(&project.path("runs"), "killed", &recipe).unwrap();
    let mut sent = BTreeMap::new();
    let mut copies = Vec::new();
    while run.state() != RunState::Finished {
        // Lives that all end early would never come to an end.
        let spared = tally.kills >= enough || rng.random_bool(0.05);
        let place = PLACES[rng.random_range(0..PLACES.len())];
        let at_a_place = !spared && rng.random_bool(0.7);
        let mut worker = if rng.random_bool(0.2) {
            project.command(&["resume", utf8(run.path()), "--plain"])
        } else {
            project.command(&["worker", utf8(run.path())])
        };
        if at_a_place {
            worker.env("LOPPER_FAULT", format!("{}:{}", place.0, rng.random_range(1..=place.1)));
        }
        let mut worker: Child = worker.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let epoch = lock::holder(run.path()).map_or(0, |holder| holder.epoch);
        let end = Instant::now() + Duration::from_secs_f64(rng.random_range(0.02..seconds * 1.2));
        let copy_at = rng.random_bool(0.15).then(|| rng.random_range(0.0..1.0));
        let begin = Instant::now();
        let mut copied = false;
        loop {
            std::thread::sleep(Duration::from_millis(rng.random_range(5..60)));
            if worker.try_wait().unwrap().is_some() {
                break;
            }
            let share = begin.elapsed().as_secs_f64() / (end - begin).as_secs_f64().max(1e-3);
            if copy_at.is_some_and(|at| share > at) && !copied && run.state() == RunState::Running {
                let copy = project.path(&format!("runs/copy-{}", copies.len()));
                snapshot(run.path(), &copy);
                copies.push(copy);
                copied = true;
            }
            if !spared && sent.len() < 60 && run.state() == RunState::Running && rng.random_bool(0.2) {
                for command in harmless(rng) {
                    let id = send(run.path(), command).unwrap();
                    sent.insert(id, lopper::run::now());
                    std::thread::sleep(Duration::from_millis(rng.random_range(0..20)));
                }
                if rng.random_bool(0.2) {
                    // A sender that dies in its write has sent nothing, and nothing of the next is lost.
                    let mut sender = project.command(&["continue", utf8(run.path())]);
                    sender.env("LOPPER_FAULT", "send-half:1").stdout(Stdio::null()).stderr(Stdio::null());
                    sender.status().unwrap();
                }
            }
            if !spared && Instant::now() > end {
                // The lock names the worker, also where a follower was started.
                if let Some(holder) = lock::holder(run.path())
                    && holder.epoch > epoch
                    && lock::is_held(run.path())
                {
                    let pid = rustix::process::Pid::from_raw(holder.pid as i32).unwrap();
                    rustix::process::kill_process(pid, rustix::process::Signal::KILL).ok();
                } else {
                    worker.kill().ok();
                }
                break;
            }
        }
        let status = worker.wait().unwrap();
        let deadline = Instant::now() + Duration::from_secs(60);
        while lock::is_held(run.path()) {
            assert!(Instant::now() < deadline, "the worker outlives its kill");
            std::thread::sleep(Duration::from_millis(2));
        }
        if !status.success() {
            tally.kills += 1;
            *tally.by_place.entry(if at_a_place { place.0 } else { "anywhere" }).or_default() += 1;
        }
        assert!(
            !matches!(run.state(), RunState::Failed | RunState::Stopped),
            "{:?}",
            lopper::run::worker::read_last_word(run.path())
        );
    }
    assert!(left(&run) == *want, "after {tally:?}");
    assert_tidy(&run);
    // The journal is whole, and every command is answered once.
    let journal = events(&run);
    assert!(journal.iter().enumerate().all(|(i, e)| e.seq == i as u64), "numbered without a gap");
    let over = journal.iter().rfind(|e| matches!(e.body, EventBody::Finished { .. })).unwrap().t;
    let mut answers: BTreeMap<String, usize> = BTreeMap::new();
    for event in &journal {
        if let EventBody::Control(outcome) = &event.body {
            *answers.entry(outcome.id.clone()).or_default() += 1;
        }
    }
    for (id, at) in &sent {
        // One that was sent while the worker wrote its last word may stay unanswered: the run is over.
        let late = *at > over - 0.25;
        let count = answers.get(id).copied().unwrap_or(0);
        assert!(count == 1 || (late && count == 0), "the command {id} has {count} answers");
    }
    assert!(answers.values().all(|count| *count == 1), "{answers:?}");
    tally.commands += sent.len();
    tally.runs += 1;
    for copy in copies {
        let Ok(copy) = RunDir::open(&copy) else { continue };
        if copy.state() == RunState::Finished {
            continue;
        }
        // Of the journal's end, what was not yet synced may be missing.
        if let Ok(bytes) = std::fs::read(copy.journal_file()) {
            let kept = bytes.len() - rng.random_range(0..=bytes.len().min(300));
            std::fs::write(copy.journal_file(), &bytes[..kept]).unwrap();
        }
        let said = project.lopper(&["resume", utf8(copy.path()), "--plain"]);
        assert_eq!(said.code, Some(0), "{said:?}");
        assert!(left(&copy) == *want, "a copy of the run after {tally:?}");
        assert_tidy(&copy);
        tally.copies += 1;
    }
}

fn campaign(kills: usize, seed: u64) -> Tally {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut tally = Tally::default();
    while tally.kills < kills {
        killed_run(&mut rng, &mut tally, kills);
    }
    tally
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

#[test]
fn a_run_that_is_killed_again_and_again_loses_nothing() {
    let tally = campaign(10, 1);
    assert!(tally.kills >= 10, "{tally:?}");
}

#[test]
#[ignore = "takes minutes: LOPPER_KILLS (200) kills"]
fn two_hundred_kills_lose_nothing() {
    let clock = Instant::now();
    let tally = campaign(number("LOPPER_KILLS", 200) as usize, number("LOPPER_SEED", 1));
    println!("{tally:?} in {:.0} s; undisturbed {:.1} s", clock.elapsed().as_secs_f64(), undisturbed().1);
}

#[test]
fn a_worker_dies_at_every_place_and_the_run_goes_on() {
    // Each place once: a place that no worker comes by would make the campaign blind.
    let project = project();
    let recipe = lopper::recipe::Recipe::read(&project.path("recipe.toml")).unwrap();
    let run = RunDir::create(&project.path("runs"), "places", &recipe).unwrap();
    for (place, _) in PLACES {
        if place == "control" {
            send(run.path(), Command::Checkpoint).unwrap();
        }
        let mut worker = project.command(&["worker", utf8(run.path())]);
        let status = worker.env("LOPPER_FAULT", format!("{place}:1")).stdout(Stdio::null()).status().unwrap();
        assert!(!status.success(), "nobody came by {place}");
        assert_eq!(run.state(), RunState::Crashed, "{place}");
    }
    let said = project.lopper(&["resume", utf8(run.path()), "--plain"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(left(&run) == undisturbed().0);
    assert_tidy(&run);
}
