//! A long run with screens that come and go: what the worker takes at its end is what it took at its beginning.
//!
//! `LOPPER_STEPS=20000 cargo test --test workbench steps -- --ignored --nocapture` on the tests' tiny model,
//! `LOPPER_MINUTES=120 cargo test --test workbench hours -- --ignored --nocapture` on the demo.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

use crate::pty;
use crate::tiny;
use lopper::run::event::EventBody;
use lopper::run::journal::Reader;
use lopper::run::{RunDir, RunState};
use pty::Terminal;
use std::time::{Duration, Instant};
use tiny::{Project, copy_folder, kill, processes, until_event, utf8};

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

/// What worker and screen had when so much of the time was over.
struct Mark {
    share: f64,
    worker: Taken,
    screen: Taken,
}

/// Lets screens come and go until all of the time is over by `share`, and looks at a tenth, a half and the end of it.
fn soak(project: &Project, run: &RunDir, mut share: impl FnMut() -> f64) -> [Mark; 3] {
    let clock = Instant::now();
    let pid = lopper::run::lock::holder(run.path()).unwrap().pid;
    // One that stays, and others that come and go.
    let path = utf8(run.path()).to_owned();
    let mut staying = Terminal::start(project, (120, 36), &["attach", &path], &[]);
    staying.shows(&["running"]);
    let screen_pid = processes(&["attach", &path]).into_iter().min().unwrap();
    let (mut come, mut marks) = (0, Vec::<Mark>::new());
    while run.state() == RunState::Running && marks.len() < 3 {
        let at = share();
        if at >= [0.1, 0.5, 0.99][marks.len()] && run.state() == RunState::Running {
            let mark = Mark { share: at, worker: taken(pid), screen: taken(screen_pid) };
            println!(
                "{:.0} % after {:.0} s: worker {:?}, screen {:?}",
                100.0 * mark.share,
                clock.elapsed().as_secs_f64(),
                mark.worker,
                mark.screen
            );
            marks.push(mark);
        }
        let sizes = [(200, 50), (80, 24), (120, 36)];
        let mut passing = Terminal::start(project, sizes[come % 3], &["attach", &path], &[]);
        passing.shows(&["running"]);
        for key in ["2", "x", "3", "n", "1", "m", "["] {
            passing.press(key);
            std::thread::sleep(Duration::from_millis(30));
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
        std::thread::sleep(Duration::from_millis(300));
    }
    println!("{come} screens came and went in {:.0} s", clock.elapsed().as_secs_f64());
    marks.try_into().unwrap_or_else(|marks: Vec<Mark>| panic!("the run was too short: {} marks", marks.len()))
}

/// What was taken at a tenth of the time is what is taken at its end.
fn worker_is_flat([first, _, last]: &[Mark; 3]) {
    assert_eq!(last.worker.descriptors, first.worker.descriptors);
    assert_eq!(last.worker.threads, first.worker.threads);
    let grown = last.worker.memory as f64 / first.worker.memory as f64;
    assert!(grown < 1.05, "the worker's memory has grown by a factor of {grown:.3}");
}

/// The screen's, since half of the time.
fn screen_is_flat([_, half, last]: &[Mark; 3]) {
    let grown = last.screen.memory as f64 / half.screen.memory as f64;
    assert!(grown < 1.05, "the screen's memory has grown by a factor of {grown:.3} since half of the time");
    // One may be open for the moment of a look at the journal.
    assert!(last.screen.descriptors <= half.screen.descriptors + 2);
}

/// The step that a run's own stage has come to.
fn step_of(reader: &mut Reader, mut step: usize) -> usize {
    for event in reader.read(10_000, 8 << 20).unwrap() {
        match event.body {
            EventBody::Step(s) => step = s.step,
            EventBody::Stage(stage) if stage.prunes => step = 0,
            _ => {}
        }
    }
    step
}

fn pruning_begins(run: &RunDir) {
    until_event(run, "the pruning stage", |e| matches!(e, EventBody::Modules(m) if m.prunes()));
}

#[test]
#[ignore = "takes LOPPER_STEPS (20,000) steps: five minutes and more"]
fn many_steps_with_screens_that_come_and_go_take_no_more_at_their_end() {
    let steps: usize = std::env::var("LOPPER_STEPS").map_or(20_000, |text| text.parse().unwrap());
    let project = Project::new();
    let every = (steps / 40).max(1);
    project.recipe("", &format!("steps = {steps}\neval_every = {every}\ncheckpoint_every = {every}"));
    let run = project.detached();
    pruning_begins(&run);
    let (mut reader, mut step) = (Reader::new(&run.journal_file()), 0);
    let marks = soak(&project, &run, || {
        step = step_of(&mut reader, step);
        step as f64 / steps as f64
    });
    tiny::until_over(&run);
    assert_eq!(run.state(), RunState::Finished);
    worker_is_flat(&marks);
    // The screen keeps 4096 steps: until it has them it grows.
    if steps >= 20_000 {
        screen_is_flat(&marks);
    }
}

#[test]
#[ignore = "takes LOPPER_MINUTES (120)"]
fn hours_of_the_demo_with_screens_that_come_and_go_take_no_more_at_their_end() {
    let minutes: f64 = std::env::var("LOPPER_MINUTES").map_or(120.0, |text| text.parse().unwrap());
    let project = Project::new();
    let recipe = lopper::demo::prepare().unwrap();
    // Nothing of the tests' own model may stay beside the demo's.
    for name in ["base", "data"] {
        std::fs::remove_dir_all(project.path(name)).unwrap();
    }
    copy_folder(recipe.parent().unwrap(), &project.path("."));
    let text = std::fs::read_to_string(recipe).unwrap();
    let endless = "[train]\nsteps = 1000000\neval_every = 100\ncheckpoint_every = 100";
    let changed = text.replace("[train]\nepochs = 2", endless).replace(r#"methods = ["zero-shot"#, "methods = [] # [");
    assert!(changed.contains(endless) && changed.contains("methods = [] #"));
    project.write("recipe.toml", &changed);
    let run = project.detached();
    pruning_begins(&run);
    let clock = Instant::now();
    let marks = soak(&project, &run, || clock.elapsed().as_secs_f64() / (60.0 * minutes));
    let mut reader = Reader::new(&run.journal_file());
    let (mut step, mut before) = (step_of(&mut reader, 0), usize::MAX);
    while step != before {
        (before, step) = (step, step_of(&mut reader, step));
    }
    println!("{step} steps");
    kill(&run);
    worker_is_flat(&marks);
    // The screen keeps 4096 steps: until it has them it grows.
    if step >= 20_000 {
        screen_is_flat(&marks);
    }
}
