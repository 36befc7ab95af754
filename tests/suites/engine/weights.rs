//! Weights on a disk that fails, or that somebody cuts or writes over, while they are read and afterwards.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::{shim, tiny};
use lopper::run::RunState;
use lopper::run::event::EventBody;
use std::fs::File;
use std::path::Path;
use std::time::Duration;
use tiny::{Project, promptly, result, until, until_event, until_over, utf8};

fn cut(path: &Path, to: u64) {
    File::options().write(true).open(path).unwrap().set_len(to).unwrap();
}

/// Everything that reads weights while they go: one sentence with the file, no signal, and the run goes on to the same
/// numbers when they are there again.
#[test]
fn weights_that_fail_while_they_are_read_are_told_in_a_sentence() {
    let project = Project::new();
    project.recipe("", "epochs = 1");
    assert_eq!(project.lopper(&["run", "recipe.toml", "--plain"]).code, Some(0));
    let want = result(&project.run());
    std::fs::remove_dir_all(project.run().path()).unwrap();
    let mut failed = 0;
    for (file, nth, cut_to) in [
        ("base/model.safetensors", 2, None),
        ("base/model.safetensors", 5, None),
        ("base/model.safetensors", 9, Some("4096")),
        ("base/model.safetensors", 15, Some("100")),
        ("net/adapter_model.safetensors", 2, None),
        ("net/adapter_model.safetensors", 4, Some("1000")),
        ("net/adapter_model.safetensors", 9, Some("1000")),
    ] {
        let path = project.path(file);
        let whole = std::fs::read(&path).unwrap();
        for args in [&["check", "recipe.toml"][..], &["models", "."], &["run", "recipe.toml", "--plain"]] {
            let mut command = project.command(args);
            command.env("LD_PRELOAD", shim::built()).env("FAULTY_CALL", "read");
            command.env("FAULTY_PATH", format!("*/{file}")).env("FAULTY_NTH", nth.to_string()).env("FAULTY_ERRNO", "5");
            match cut_to {
                Some(bytes) => command.env("FAULTY_CUT", bytes),
                None => command.env("FAULTY_ON", "1"),
            };
            let what = format!("{args:?}: {file}, read {nth}, {cut_to:?}");
            let said = promptly(&mut command, Duration::from_secs(60), &what);
            let now = std::fs::metadata(&path).unwrap().len() as usize;
            std::fs::write(&path, &whole).unwrap();
            assert!(!said.err.contains("panicked") && !said.err.contains("has a bug"), "{what}: {said:?}");
            if said.code != Some(0) {
                failed += 1;
                assert!(matches!(said.code, Some(1 | 2)) && said.err.lines().count() == 1, "{what}: {said:?}");
                assert!(said.err.contains(file), "{what}: {said:?}");
                let why = if cut_to.is_some() { ["shorter", "cut short"] } else { ["Input/output error"; 2] };
                assert!(why.iter().any(|why| said.err.contains(why)), "{what}: {said:?}");
            } else if args[0] == "run" {
                assert!(now == whole.len() || cut_to.is_some(), "{what}: {said:?}");
            }
            for run in project.runs() {
                if run.state() != RunState::Finished {
                    assert_eq!(run.state(), RunState::Failed, "{what}: {said:?}");
                    let resumed = project.lopper(&["resume", utf8(run.path()), "--plain"]);
                    assert_eq!(resumed.code, Some(0), "{what}: {said:?}, {resumed:?}");
                }
                assert!(result(&run) == want, "{what}: another result");
                std::fs::remove_dir_all(run.path()).unwrap();
            }
        }
    }
    assert!(failed >= 10, "{failed}");
}

#[test]
fn weights_that_are_cut_while_a_run_trains_do_not_end_it() {
    let project = Project::endless();
    let run = project.detached();
    let path = utf8(run.path()).to_owned();
    let step = |n: usize| move |e: &EventBody| matches!(e, EventBody::Step(step) if step.step >= n);
    until_event(&run, "a step", step(3));
    let base = project.path("base/model.safetensors");
    let whole = std::fs::read(&base).unwrap();
    cut(&base, 4096);
    let at = tiny::events(&run).len();
    until("steps after that", || {
        let steps = tiny::events(&run)[at..].iter().filter(|e| matches!(e.body, EventBody::Step(_))).count();
        (steps > 5).then_some(())
    });
    assert_eq!(project.lopper(&["stop", &path]).code, Some(0));
    until_over(&run);
    assert_eq!(run.state(), RunState::Stopped);
    // Going on needs them.
    let refused = project.lopper(&["resume", &path, "--plain"]);
    assert!(refused.code == Some(2) && refused.err.contains("model.safetensors"), "{refused:?}");
    assert!(refused.err.contains("cut short"), "{refused:?}");
    std::fs::write(&base, &whole).unwrap();
    let before = tiny::events(&run).len();
    let mut resumed = project.command(&["resume", &path, "--plain"]);
    let mut resumed = resumed.stdout(std::process::Stdio::null()).spawn().unwrap();
    until("a step of the next worker", || {
        tiny::events(&run)[before..].iter().any(|e| matches!(&e.body, EventBody::Step(_))).then_some(())
    });
    assert_eq!(project.lopper(&["stop", &path]).code, Some(0));
    assert!(resumed.wait().unwrap().success());
}
