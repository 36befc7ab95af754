//! Disks that are full or read-only, and pipes and folders where files should be: one sentence, nothing half-written,
//! and a run that waits for room instead of dying.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::disk;
use crate::tiny;
use disk::Disk;
use lopper::run::event::EventBody;
use lopper::run::{RunDir, RunState};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tiny::{Project, Said, assert_tidy, copy_folder, events, result, until, until_event, until_over, utf8};

/// What a command says within a time in which none should still be at it.
fn promptly(project: &Project, args: &[&str]) -> Said {
    tiny::promptly(&mut project.command(args), Duration::from_secs(60), &format!("{args:?}"))
}

/// A refusal: one sentence, no panic.
fn assert_one_sentence(said: &Said, what: &str) {
    assert!(matches!(said.code, Some(1 | 2)), "{what}: {said:?}");
    assert!(said.err.starts_with("lopper: ") && said.err.lines().count() == 1, "{what}: {said:?}");
    assert!(!said.err.contains("panicked"), "{what}: {said:?}");
}

fn pipe(path: &Path) {
    rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0).unwrap();
}

/// A run that was stopped in its second stage.
fn stopped(project: &Project) -> RunDir {
    project.recipe("", "epochs = 40\neval_every = 1000000\ncheckpoint_every = 1000000");
    let run = project.detached();
    until_event(&run, "the second stage", |e| matches!(e, EventBody::Modules(m) if m.prunes()));
    assert_eq!(project.lopper(&["stop", utf8(run.path())]).code, Some(0));
    until_over(&run);
    assert_eq!(run.state(), RunState::Stopped);
    run
}

#[test]
fn a_pipe_or_a_folder_in_place_of_a_file_is_told_in_a_sentence() {
    let project = Project::new();
    let run = stopped(&project);
    let mut count = 0;
    for name in ["events.jsonl", "control.jsonl", "worker.lock", "worker.log", "exit.json", "notes.toml", "recipe.toml"]
    {
        for folder in [false, true] {
            count += 1;
            let path = project.path(&format!("runs/copy-{count}"));
            copy_folder(run.path(), &path);
            let file = path.join(name);
            std::fs::remove_file(&file).ok();
            if folder {
                std::fs::create_dir(&file).unwrap();
            } else {
                pipe(&file);
            }
            let what = format!("{name} as a {}", if folder { "folder" } else { "pipe" });
            let path = utf8(&path);
            // No command hangs or panics, whatever it makes of it.
            for args in [
                &["runs"][..],
                &["attach", path, "--plain"],
                &["pause", path],
                &["report", path, "--html", "page.html"],
                &["picture", path, "--out", "picture.svg"],
                &["export", path, "--adapter", "adapter"],
            ] {
                let said = promptly(&project, args);
                assert!(said.code.is_some() && !said.err.contains("panicked"), "{what}: {args:?}: {said:?}");
                if said.code != Some(0) {
                    assert_one_sentence(&said, &what);
                }
            }
            // A worker refuses what it has to write and cannot; the file stays what it was.
            let said = promptly(&project, &["worker", path]);
            // A pipe can be taken away, and is: nothing but the last word belongs there.
            let is_replaced = name == "exit.json" && !folder;
            let needs = !is_replaced && !matches!(name, "notes.toml" | "worker.log");
            if needs {
                assert_one_sentence(&said, &what);
                assert!(said.err.contains(name), "{what}: {said:?}");
                assert!(!file.is_file(), "{what}");
            } else {
                assert_eq!(said.code, Some(0), "{what}: {said:?}");
            }
            if name == "worker.log" {
                let again = project.path(&format!("runs/again-{count}"));
                copy_folder(run.path(), &again);
                let file = again.join(name);
                std::fs::remove_file(&file).ok();
                if folder {
                    std::fs::create_dir(&file).unwrap();
                } else {
                    pipe(&file);
                }
                assert_one_sentence(&promptly(&project, &["resume", utf8(&again), "--plain"]), &what);
            }
        }
    }
    // The files of a base, an adapter, the examples.
    for name in [
        "base/config.json",
        "base/tokenizer.json",
        "base/tokenizer_config.json",
        "base/model.safetensors",
        "science/adapter_config.json",
        "science/adapter_model.safetensors",
        "data/train.jsonl",
    ] {
        let whole = std::fs::read(project.path(name)).unwrap();
        std::fs::remove_file(project.path(name)).unwrap();
        pipe(&project.path(name));
        for args in [&["check", "recipe.toml"][..], &["models"], &["run", "recipe.toml", "--plain"]] {
            let said = promptly(&project, args);
            assert!(args[0] == "models" || matches!(said.code, Some(1 | 2)), "{name}: {args:?}: {said:?}");
            assert!(!said.err.contains("panicked"), "{name}: {said:?}");
            if args[0] == "run" {
                assert_one_sentence(&said, name);
            }
        }
        std::fs::remove_file(project.path(name)).unwrap();
        std::fs::write(project.path(name), whole).unwrap();
    }
}

fn paused_for_room(run: &RunDir) {
    until_event(run, "the pause", |e| matches!(e, EventBody::Paused { paused: true }));
    until("the reason", || {
        let said = events(run).into_iter().any(|e| {
            matches!(&e.body, EventBody::Warning { text } if text.starts_with("paused: ") && text.contains("free some space"))
        });
        said.then_some(())
    });
}

#[test]
#[ignore = "mounts small disks, which needs root: .ci/run"]
fn a_run_waits_for_room_on_its_disk_and_ends_as_if_there_had_been_some() {
    const TRAIN: &str = "epochs = 20\ndropout = 0.1\ncheckpoint_every = 2";
    let other = Project::new();
    other.recipe("", TRAIN);
    assert_eq!(other.lopper(&["run", "recipe.toml", "--plain"]).code, Some(0));
    let want = result(&other.run());
    // What little room there is decides which write fails first: a checkpoint, the journal, a checkpoint half-way.
    for left in [0, 24 << 10, 100 << 10, 350 << 10, 600 << 10] {
        let project = Project::new();
        project.recipe("", TRAIN);
        let disk = Disk::new(&project, "runs", "16m");
        let run = project.detached();
        disk.fill(left);
        paused_for_room(&run);
        assert!(lopper::run::lock::is_held(run.path()));
        let list = project.lopper(&["runs"]);
        assert!(list.code == Some(0) && !list.out.contains("failed"), "{list:?}");
        // It goes on by itself.
        disk.empty();
        until_over(&run);
        assert_eq!(run.state(), RunState::Finished, "{left}: {:?}", lopper::run::worker::read_last_word(run.path()));
        assert!(result(&run) == want, "{left}");
        assert_tidy(&run);
        let journal = events(&run);
        assert!(journal.iter().enumerate().all(|(i, e)| e.seq == i as u64), "{left}");
    }
}

#[test]
#[ignore = "mounts small disks, which needs root: .ci/run"]
fn a_run_that_waits_for_room_can_be_given_up() {
    let project = Project::endless();
    project.recipe("", "steps = 1000000\neval_every = 1000000\ncheckpoint_every = 3");
    let disk = Disk::new(&project, "runs", "16m");
    let run = project.detached();
    until_event(&run, "a checkpoint", |e| matches!(e, EventBody::Checkpoint(_)));
    disk.fill(200 << 10);
    paused_for_room(&run);
    assert_eq!(project.lopper(&["stop", utf8(run.path())]).code, Some(0));
    until_over(&run);
    assert_eq!(run.state(), RunState::Failed);
    let said = project.lopper(&["attach", utf8(run.path()), "--plain"]);
    assert!(said.code == Some(1) && said.err.contains("free some space"), "{said:?}");
    assert!(said.out.contains("stop: refused, there is no room for a checkpoint"), "{}", said.out);
    // And goes on when there is room.
    disk.empty();
    let before = events(&run).len();
    let mut resumed = project.command(&["resume", utf8(run.path()), "--plain"]);
    let mut resumed = resumed.stdout(Stdio::null()).spawn().unwrap();
    until("a checkpoint", || {
        events(&run)[before..].iter().any(|e| matches!(e.body, EventBody::Checkpoint(_))).then_some(())
    });
    assert_eq!(project.lopper(&["stop", utf8(run.path())]).code, Some(0));
    assert!(resumed.wait().unwrap().success());
}

/// Everything that writes somewhere else than into a run, each to a place below `to`.
fn writers(run: &str, to: &Path) -> Vec<Vec<String>> {
    let place = |name: &str| utf8(&to.join(name)).to_owned();
    let words = |all: &[&str]| all.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>();
    vec![
        words(&["export", run, "--adapter", &place("adapter")]),
        words(&["export", run, "--merged", &place("merged")]),
        words(&["report", run, "--html", &place("page.html")]),
        words(&["picture", run, "--out", &place("picture.svg")]),
        words(&["run", "recipe.toml", "--plain", "--runs", &place("runs")]),
    ]
}

#[test]
#[ignore = "mounts small disks, which needs root: .ci/run"]
fn a_full_or_read_only_disk_is_told_in_a_sentence_and_nothing_half_written_stays() {
    let project = Project::new();
    assert_eq!(project.lopper(&["run", "recipe.toml", "--plain"]).code, Some(0));
    let run = project.run();
    for read_only in [false, true] {
        let disk = Disk::new(&project, if read_only { "locked" } else { "full" }, "1m");
        if read_only {
            disk.read_only();
        } else {
            disk.fill(0);
        }
        for args in writers(utf8(run.path()), disk.path()) {
            let words: Vec<&str> = args.iter().map(String::as_str).collect();
            let said = promptly(&project, &words);
            assert_one_sentence(&said, &args.join(" "));
            let why = if read_only { "read-only" } else { "disk is full" };
            assert!(said.err.contains(why), "{args:?}: {said:?}");
        }
        let left: Vec<_> = std::fs::read_dir(disk.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        let left: Vec<_> = left.into_iter().filter(|name| name != "filler" && name != "runs").collect();
        assert!(left.is_empty(), "{left:?}");
        assert!(RunDir::list(&disk.path().join("runs")).unwrap().is_empty(), "no half of a run");
    }
    // A run on a disk that has become read-only can be looked at, and not be steered.
    let disk = Disk::new(&project, "kept", "16m");
    let kept = disk.path().join("run");
    copy_folder(run.path(), &kept);
    disk.read_only();
    let path = utf8(&kept);
    for args in [
        &["attach", path, "--plain"][..],
        &["report", path, "--html", "page.html"],
        &["export", path, "--adapter", "a"],
    ] {
        assert_eq!(project.lopper(args).code, Some(0), "{args:?}");
    }
    std::fs::remove_file(run.path().join("exit.json")).unwrap();
    for args in [&["resume", path][..], &["pause", path]] {
        assert_one_sentence(&promptly(&project, args), &args.join(" "));
    }
}
