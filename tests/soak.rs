//! A long run with screens that come and go: what the worker takes at its end is what it took at its beginning.
//!
//! `LOPPER_STEPS=20000 cargo test --test soak -- --ignored --nocapture`
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

#[path = "pty/terminal.rs"]
mod pty;
#[path = "tiny/project.rs"]
mod tiny;

use lopper::run::RunState;
use lopper::run::event::EventBody;
use lopper::run::journal::Reader;
use pty::Terminal;
use std::time::Instant;
use tiny::{Project, until_event, utf8};

/// What a process has: resident memory in kB, open descriptors, threads.
#[derive(Debug, Clone, Copy)]
struct Taken {
    memory: u64,
    descriptors: usize,
    threads: u64,
}

fn taken(pid: u32) -> Taken {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    };
    let descriptors = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
    Taken { memory: field("VmRSS:"), descriptors, threads: field("Threads:") }
}

/// The process with these words on its command line.
fn process(words: &[&str]) -> u32 {
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let of = |pid: &u32| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let line: Vec<String> = line.split(|b| *b == 0).map(|w| String::from_utf8_lossy(w).into_owned()).collect();
        words.iter().all(|word| line.iter().any(|w| w == word))
    };
    pids.filter(of).min().unwrap()
}

#[test]
#[ignore = "takes LOPPER_STEPS (20,000) steps: ten minutes and more"]
fn a_long_run_with_screens_that_come_and_go_takes_no_more_at_its_end() {
    let steps: usize = std::env::var("LOPPER_STEPS").map_or(20_000, |text| text.parse().unwrap());
    let project = Project::new();
    let every = (steps / 40).max(1);
    project.recipe("", &format!("steps = {steps}\neval_every = {every}\ncheckpoint_every = {every}"));
    let run = project.detached();
    until_event(&run, "the second stage", |e| matches!(e, EventBody::Modules(m) if m.prunes()));
    let clock = Instant::now();
    let worker = lopper::run::lock::holder(run.path()).unwrap().pid;
    // One that stays, and others that come and go.
    let path = utf8(run.path()).to_owned();
    let mut staying = Terminal::start(&project, (120, 36), &["attach", &path], &[]);
    staying.shows(&["running"]);
    let screen = process(&["attach", &path]);
    let mut reader = Reader::new(&run.journal_file());
    let (mut step, mut come, mut journal) = (0, 0, [None, None, None]);
    while run.state() == RunState::Running && step < steps {
        for event in reader.read(10_000, 8 << 20).unwrap() {
            match event.body {
                EventBody::Step(s) => step = s.step,
                EventBody::Stage(stage) if stage.prunes => step = 0,
                _ => {}
            }
        }
        for (mark, at) in [(0, steps / 10), (1, steps / 2), (2, steps * 99 / 100)] {
            if step >= at && journal[mark].is_none() && run.state() == RunState::Running {
                journal[mark] = Some((step, taken(worker), taken(screen)));
                println!(
                    "step {step}, {:.0} s: worker {:?}, screen {:?}",
                    clock.elapsed().as_secs_f64(),
                    taken(worker),
                    taken(screen)
                );
            }
        }
        let sizes = [(200, 50), (80, 24), (120, 36)];
        let mut passing = Terminal::start(&project, sizes[come % 3], &["attach", &path], &[]);
        passing.shows(&["running"]);
        for key in ["2", "x", "3", "n", "1", "m", "["] {
            passing.press(key);
            std::thread::sleep(std::time::Duration::from_millis(30));
        }
        staying.press(["2", "1", "5", "m"][come % 4]);
        if come % 5 == 4 {
            // A connection that drops.
            passing.hang_up();
            passing.ends();
        } else {
            passing.press("\x03");
            passing.ends();
        }
        come += 1;
        std::thread::sleep(std::time::Duration::from_millis(300));
    }
    let [Some((_, before, _)), Some((_, _, half)), Some((_, after, shown))] = journal else {
        panic!("the run was too short: {journal:?}")
    };
    println!("{steps} steps in {:.0} s, {come} screens came and went", clock.elapsed().as_secs_f64());
    tiny::until_over(&run);
    assert_eq!(run.state(), RunState::Finished);
    assert_eq!(after.descriptors, before.descriptors);
    assert_eq!(after.threads, before.threads);
    let grown = after.memory as f64 / before.memory as f64;
    assert!(grown < 1.05, "the worker's memory has grown by a factor of {grown:.3}");
    // The screen keeps 4096 steps: until it has them it grows.
    if steps >= 20_000 {
        let grown = shown.memory as f64 / half.memory as f64;
        assert!(grown < 1.05, "the screen's memory has grown by a factor of {grown:.3} since half of the steps");
        // One may be open for the moment of a look at the journal.
        assert!(shown.descriptors <= half.descriptors + 2, "{half:?}, {shown:?}");
    }
}
