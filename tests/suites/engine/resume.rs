//! A run that is stopped or killed and resumed ends with the same bits as one that was left alone.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::zombie_processes)]

use crate::tiny;
use lopper::run::event::EventBody;
use lopper::run::{RunDir, RunState};
use std::io::Write;
use std::process::Stdio;
use std::sync::OnceLock;
use tiny::{Project, assert_tidy, events, kill, result, until, until_event, until_over, utf8};

/// Long enough that a signal meets the run in the middle: 60 merged steps, a checkpoint every 7, everything that
/// a checkpoint has to carry in use (dropout, running norms, sensitivity, patience).
const TRAIN: &str = "epochs = 20\ndropout = 0.1\neval_every = 5\ncheckpoint_every = 7\npatience = 50";

fn project() -> Project {
    let project = Project::new();
    project.recipe("seed = 3", TRAIN);
    project.append(
        "recipe.toml",
        "[prune]\nratio = 0.5\nimportance = \"sensitivity\"\nschedule = \"cubic\"\nmoments = \"zero\"\n",
    );
    project
}

/// The result of the run that nobody disturbs.
fn undisturbed() -> &'static (Vec<u8>, serde_json::Value) {
    static RESULT: OnceLock<(Vec<u8>, serde_json::Value)> = OnceLock::new();
    RESULT.get_or_init(|| {
        let project = project();
        let said = project.lopper(&["run", "recipe.toml", "--plain"]);
        assert_eq!(said.code, Some(0), "{said:?}");
        result(&project.run())
    })
}

fn resume(project: &Project, run: &RunDir) -> tiny::Said {
    let said = project.lopper(&["resume", utf8(run.path()), "--plain"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert_eq!(run.state(), RunState::Finished);
    assert_tidy(run);
    said
}

/// The journal is whole: every line that is complete is an event, numbered without a gap.
fn assert_numbered(run: &RunDir) {
    for (i, event) in events(run).iter().enumerate() {
        assert_eq!(event.seq, i as u64);
    }
}

/// Steps of each stage as they stand in the journal, counted once.
fn is_step(body: &EventBody, stage_prunes: bool, step: usize) -> bool {
    match body {
        EventBody::Modules(modules) => stage_prunes && modules.prunes() && modules.step >= step,
        EventBody::Step(s) => !stage_prunes && s.step >= step,
        _ => false,
    }
}

#[test]
fn stopped_and_resumed_is_the_same_run() {
    let project = project();
    let run = project.detached();
    let stop_at = |step: usize| {
        until_event(&run, "a step of the merge", |e| is_step(e, true, step));
        let said = project.lopper(&["stop", utf8(run.path())]);
        assert_eq!(said.code, Some(0), "{said:?}");
        until_over(&run);
        assert_eq!(run.state(), RunState::Stopped);
        let said = project.lopper(&["attach", utf8(run.path()), "--plain"]);
        assert!(said.out.contains("stop: stopped with checkpoints/stage-1-step-"), "{}", said.out);
    };
    stop_at(2);
    let mut resumed = project.command(&["resume", utf8(run.path()), "--plain"]);
    let mut resumed = resumed.stdout(Stdio::null()).spawn().unwrap();
    stop_at(24);
    assert!(resumed.wait().unwrap().success());
    resume(&project, &run);
    assert!(result(&run) == *undisturbed());
    assert_numbered(&run);
    // A ratio on its way tells where it goes.
    let states = events(&run).into_iter().filter_map(|e| match e.body {
        EventBody::Modules(modules) if modules.prunes() => Some(modules),
        _ => None,
    });
    let states: Vec<_> = states.collect();
    assert!(states.iter().flat_map(|m| m.full.iter().flatten()).all(|full| *full == 0.5));
    assert!(states[0].full.len() == states[0].ratio.len() && states[0].ratio.iter().flatten().all(|r| *r < 0.5));
}

#[test]
fn killed_at_any_moment_and_resumed_is_the_same_run() {
    let project = project();
    #[allow(clippy::type_complexity)]
    let moments: [(&str, &dyn Fn(&EventBody) -> bool); 6] = [
        ("loading", &|e| matches!(e, EventBody::Phase(_))),
        ("the target adapter's training", &|e| is_step(e, false, 2)),
        ("the first merged step", &|e| is_step(e, true, 1)),
        ("an evaluation", &|e| matches!(e, EventBody::Dev(d) if d.step == 20)),
        ("a checkpoint", &|e| matches!(e, EventBody::Checkpoint(c) if c.path == "checkpoints/stage-1-step-28")),
        ("the scoring", &|e| matches!(e, EventBody::Phase(p) if p.label.starts_with("test"))),
    ];
    for (moment, found) in moments {
        let run = project.detached();
        until_event(&run, moment, found);
        assert!(lopper::run::lock::is_held(run.path()), "the run was over before it could be killed at {moment}");
        kill(&run);
        assert_eq!(run.state(), RunState::Crashed, "{moment}");
        let said = project.lopper(&["attach", utf8(run.path()), "--plain"]);
        assert_eq!(said.code, Some(1), "{said:?}");
        assert!(
            said.err.contains("the worker is gone without a last word: worker.log is empty; `lopper resume"),
            "{said:?}"
        );
        resume(&project, &run);
        assert!(result(&run) == *undisturbed(), "killed at {moment}");
        assert_numbered(&run);
    }
}

#[test]
fn killed_again_and_again_is_the_same_run() {
    let project = project();
    let run = project.detached();
    let mut kills = 0;
    for pause in (0..).map(|i| 20 + 37 * (i % 9)) {
        // Wherever it happens to be.
        std::thread::sleep(std::time::Duration::from_millis(pause));
        if run.state() == RunState::Finished {
            break;
        }
        if lopper::run::lock::is_held(run.path()) {
            kill(&run);
            kills += 1;
        }
        if run.state() == RunState::Finished {
            break;
        }
        let mut follower = project.command(&["resume", utf8(run.path()), "--plain"]);
        // The follower's fate is the worker's; only the run counts here.
        follower.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        until("a worker", || {
            (lopper::run::lock::is_held(run.path()) || run.state() == RunState::Finished).then_some(())
        });
        // Runs that are killed too soon every time never end.
        if kills > 12 {
            until_over(&run);
        }
    }
    assert!(kills > 0);
    assert_eq!(run.state(), RunState::Finished);
    assert!(result(&run) == *undisturbed(), "{kills} kills");
    assert_numbered(&run);
    assert_tidy(&run);
}

/// A run that was stopped after some steps of the merge, with two checkpoints at least.
fn stopped(project: &Project) -> RunDir {
    let run = project.detached();
    until_event(
        &run,
        "two checkpoints",
        |e| matches!(e, EventBody::Checkpoint(c) if c.path.contains("stage-1-step-14")),
    );
    assert_eq!(project.lopper(&["stop", utf8(run.path())]).code, Some(0));
    until_over(&run);
    assert_eq!(run.state(), RunState::Stopped);
    run
}

#[test]
fn a_torn_journal_and_a_damaged_checkpoint_do_not_end_a_run() {
    let project = project();
    let run = stopped(&project);
    let mut journal = std::fs::OpenOptions::new().append(true).open(run.journal_file()).unwrap();
    journal.write_all(b"{\"v\":1,\"seq\":99,\"t\":1.0,\"type\":\"st").unwrap();
    // A worker that was killed while it wrote a checkpoint.
    let half = run.checkpoints().join(".stage-1-step-21.partial-4711");
    std::fs::create_dir(&half).unwrap();
    std::fs::write(half.join("state.safetensors"), b"half").unwrap();
    let newest = |run: &RunDir| {
        let step = |p: &std::path::PathBuf| p.to_str().unwrap().rsplit('-').next().unwrap().parse::<usize>().unwrap();
        let folders = std::fs::read_dir(run.checkpoints()).unwrap().map(|e| e.unwrap().path());
        folders.filter(|p| p.to_str().unwrap().contains("/stage-1-")).max_by_key(step).unwrap()
    };
    let damaged = newest(&run).join("state.safetensors");
    let bytes = std::fs::read(&damaged).unwrap();
    std::fs::write(&damaged, &bytes[..bytes.len() / 2]).unwrap();
    let said = resume(&project, &run);
    let note = format!("note: {} is damaged: ", damaged.display());
    assert!(said.out.contains(&note) && said.out.contains("; going on from the checkpoint before it"), "{}", said.out);
    assert!(said.out.contains("goes on from stage 2, step "), "{}", said.out);
    assert!(result(&run) == *undisturbed());
    assert_numbered(&run);
}

#[test]
fn of_two_resumes_at_once_one_wins_and_the_other_says_who() {
    let project = project();
    let run = stopped(&project);
    let mut commands: Vec<_> = (0..2).map(|_| project.command(&["resume", utf8(run.path()), "--plain"])).collect();
    let children: Vec<_> =
        commands.iter_mut().map(|c| c.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()).collect();
    let outputs: Vec<_> = children.into_iter().map(|c| c.wait_with_output().unwrap()).collect();
    let mut codes: Vec<_> = outputs.iter().map(|o| o.status.code()).collect();
    codes.sort_unstable();
    assert_eq!(codes, [Some(0), Some(2)], "{outputs:?}");
    let loser = outputs.iter().find(|o| o.status.code() == Some(2)).unwrap();
    let text = String::from_utf8(loser.stderr.clone()).unwrap();
    assert!(text.contains("already has a worker: process ") && text.contains("`lopper attach "), "{text}");
    assert_eq!(run.state(), RunState::Finished);
    assert_numbered(&run);
    // While a worker is at it, the sentence is the same without a race.
    let endless = Project::new();
    endless.recipe("", "steps = 1000000\neval_every = 1000000");
    let run = endless.detached();
    let said = endless.lopper(&["resume", utf8(run.path()), "--plain"]);
    let pid = lopper::run::lock::holder(run.path()).unwrap().pid;
    assert!(said.code == Some(2) && said.err.contains(&format!("already has a worker: process {pid} on ")), "{said:?}");
    // A second worker started by hand says so as well, and touches nothing.
    let before = std::fs::read(run.path().join("worker.lock")).unwrap();
    let said = endless.lopper(&["worker", utf8(run.path())]);
    assert!(said.code == Some(2) && said.err.contains("already has a worker"), "{said:?}");
    assert_eq!(std::fs::read(run.path().join("worker.lock")).unwrap(), before);
}

#[test]
fn a_stop_that_came_too_late_does_not_stop_the_next_worker() {
    let project = project();
    let run = stopped(&project);
    lopper::run::control::send(run.path(), lopper::run::control::Command::Stop).unwrap();
    let said = resume(&project, &run);
    assert!(said.out.contains("stop: refused, came when no worker was at the run"), "{}", said.out);
}
