//! The hub's cache without room, or without leave to write: one sentence, what has come is kept, and a run waits for
//! room instead of dying.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, dead_code)]

use crate::disk;
use crate::hub;
use crate::shim;
use crate::tiny;
use disk::Disk;
use hub::{Fault, Hub, Repository};
use lopper::run::event::EventBody;
use lopper::run::{RunDir, RunState};
use lopper::text::hex;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tiny::{Project, Said, assert_tidy, events, said, until, until_event, until_over, utf8};

const BASE: &str = "lab/tiny";
const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const WEIGHTS: &str = "model.safetensors";

fn base(project: &Project) -> Repository {
    Repository::model(BASE).folder(project.path("base")).sha(COMMIT)
}

/// A recipe whose base is the hub's, and nowhere else any more.
fn recipe(project: &Project) {
    project.recipe("", "steps = 2");
    let text = std::fs::read_to_string(project.path("recipe.toml")).unwrap();
    project.write("recipe.toml", &text.replace("base = \"base\"", &format!("base = \"hf://{BASE}\"")));
    std::fs::remove_dir_all(project.path("base")).unwrap();
}

fn lopper(project: &Project, hub: &Hub, cache: &Path, args: &[&str]) -> Command {
    let mut command = project.command(args);
    command.env("HF_ENDPOINT", hub.url()).env("HF_HUB_CACHE", cache).env("HF_HUB_OFFLINE", "0");
    command.env_remove("HF_TOKEN");
    command
}

/// A run that goes on by itself.
fn detached(project: &Project, hub: &Hub, cache: &Path) -> RunDir {
    let said = said(&mut lopper(project, hub, cache, &["run", "recipe.toml", "--detach"]));
    assert_eq!(said.code, Some(0), "{said:?}");
    RunDir::open(Path::new(said.out.lines().next().unwrap())).unwrap()
}

/// The reason of a pause for room in `cache`.
fn pause(run: &RunDir, cache: &Path) -> String {
    until_event(run, "the pause", |e| matches!(e, EventBody::Paused { paused: true }));
    let told = events(run).into_iter().find_map(|e| match e.body {
        EventBody::Warning { text } if text.starts_with("paused: ") => Some(text),
        _ => None,
    });
    let told = told.expect("the reason");
    assert!(told.starts_with(&format!("paused: {BASE} needs ")) && told.contains(utf8(cache)), "{told}");
    for part in [" are free", "; free some space (", "`hf cache ls`", "HF_HUB_CACHE", "`lopper continue "] {
        assert!(told.contains(part), "{part}: {told}");
    }
    assert!(lopper::run::lock::is_held(run.path()), "the worker lives");
    told
}

fn blobs(cache: &Path) -> PathBuf {
    cache.join("models--lab--tiny/blobs")
}

/// What has come of the weights.
fn part(cache: &Path) -> Option<PathBuf> {
    let entries = std::fs::read_dir(blobs(cache)).ok()?;
    entries.map(|e| e.unwrap().path()).find(|path| path.extension().is_some_and(|x| x == "incomplete"))
}

/// Every byte of the weights is right, and nothing unfinished is left.
fn assert_whole(hub: &Hub, cache: &Path) {
    let file = cache.join("models--lab--tiny/snapshots").join(COMMIT).join(WEIGHTS);
    let hash = hex(&Sha256::digest(std::fs::read(&file).unwrap()));
    assert_eq!(std::fs::read_link(&file).unwrap().file_name().unwrap().to_str(), Some(hash.as_str()));
    assert_eq!(part(cache), None);
    assert_eq!(hub.sha(BASE, "main").as_deref(), Some(COMMIT));
}

/// Ranges that were asked for of the weights.
fn ranges(hub: &Hub) -> Vec<Option<String>> {
    hub.log().into_iter().filter(|a| a.target.starts_with("/blobs/")).map(|a| a.range).collect()
}

/// The base on a hub that says of its weights that no disk has room for them.
fn boasting(project: &Project) -> (Hub, Repository) {
    let hub = Hub::start();
    let honest = base(project);
    let mut boasting = honest.clone();
    boasting.files.get_mut(WEIGHTS).unwrap().size = 1 << 47;
    hub.add(boasting);
    (hub, honest)
}

#[test]
fn a_run_without_room_in_the_hubs_cache_waits_until_it_is_told_to_try_again() {
    let project = Project::new();
    let (hub, honest) = boasting(&project);
    recipe(&project);
    let cache = project.path("hub");
    let run = detached(&project, &hub, &cache);
    assert!(pause(&run, &cache).contains("lab/tiny needs 140737.5 GB in "));
    // Nothing was fetched, and there is still no room.
    assert_eq!(ranges(&hub), []);
    assert_eq!(project.lopper(&["continue", utf8(run.path())]).code, Some(0));
    until("the second pause", || {
        let pauses = events(&run).into_iter().filter(|e| matches!(e.body, EventBody::Paused { paused: true }));
        (pauses.count() >= 2).then_some(())
    });
    hub.add(honest);
    assert_eq!(project.lopper(&["continue", utf8(run.path())]).code, Some(0));
    until_over(&run);
    assert_eq!(run.state(), RunState::Finished, "{:?}", lopper::run::worker::read_last_word(run.path()));
    assert_whole(&hub, &cache);
    assert_tidy(&run);
}

#[test]
fn a_run_that_waits_for_room_in_the_hubs_cache_is_stopped_and_resumed() {
    let project = Project::new();
    let (hub, honest) = boasting(&project);
    recipe(&project);
    let cache = project.path("hub");
    let run = detached(&project, &hub, &cache);
    pause(&run, &cache);
    let stop = project.lopper(&["stop", utf8(run.path())]);
    assert_eq!(stop.code, Some(0), "{stop:?}");
    until_over(&run);
    assert_eq!(run.state(), RunState::Stopped);
    hub.add(honest);
    let resumed = said(&mut lopper(&project, &hub, &cache, &["resume", utf8(run.path()), "--plain"]));
    assert_eq!(resumed.code, Some(0), "{resumed:?}");
    assert_eq!(run.state(), RunState::Finished);
}

fn assert_one_sentence(said: &Said, code: i32, has: &[&str]) {
    assert_eq!(said.code, Some(code), "{said:?}");
    assert!(said.err.starts_with("lopper: ") && said.err.lines().count() == 1, "{said:?}");
    has.iter().for_each(|part| assert!(said.err.contains(part), "{part}: {said:?}"));
}

#[test]
fn a_cache_that_is_no_folder_is_told_in_a_sentence() {
    let project = Project::new();
    let hub = Hub::start();
    hub.add(base(&project));
    for place in ["hub", "hub/models--lab--tiny", "hub/models--lab--tiny/blobs", "hub/.locks"] {
        let cache = project.path("hub");
        let file = project.path(place);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, "").unwrap();
        let told = said(&mut lopper(&project, &hub, &cache, &["hub", "fetch", BASE]));
        assert_one_sentence(
            &told,
            2,
            &["cannot make the hub's cache in ", "; HF_HUB_CACHE can name a folder of yours"],
        );
        std::fs::remove_file(&file).unwrap();
        std::fs::remove_dir_all(&cache).ok();
    }
}

/// Makes the `nth` call on what is fetched fail.
fn fails<'a>(command: &'a mut Command, call: &str, nth: usize, errno: i32) -> &'a mut Command {
    command.env("LD_PRELOAD", shim::built()).env("FAULTY_PATH", "*/blobs/*").env("FAULTY_CALL", call);
    command.env("FAULTY_NTH", nth.to_string()).env("FAULTY_ERRNO", errno.to_string())
}

#[test]
fn a_disk_that_fails_in_the_middle_of_a_download_keeps_what_has_come() {
    let project = Project::new();
    let hub = Hub::start();
    hub.add(base(&project));
    for (call, errno, code, has) in [
        ("write", 28, 1, &["but no more can be written (a quota?)", "free some space", "what has come is kept"][..]),
        ("write", 5, 1, &["cannot write ", ".lopper.incomplete: Input/output error"]),
        ("open", 13, 2, &["permission denied; HF_HUB_CACHE can name a folder of yours"]),
        ("rename", 5, 1, &["Input/output error"]),
    ] {
        let cache = project.path(&format!("{call}-{errno}"));
        let fetch = ["hub", "fetch", BASE];
        hub.fault(Fault::drip(20_000, Duration::from_millis(20)).on("GET", "/blobs/"));
        // Small files have parts as well.
        let nth = if call == "write" { 7 } else { 1 };
        let told = said(fails(&mut lopper(&project, &hub, &cache, &fetch), call, nth, errno));
        assert_one_sentence(&told, code, has);
        hub.calm();
        hub.forget();
        let kept = part(&cache).map_or(0, |part| part.metadata().unwrap().len());
        assert_eq!(said(&mut lopper(&project, &hub, &cache, &fetch)).code, Some(0));
        assert_whole(&hub, &cache);
        if call == "write" {
            assert!(kept > 0 && ranges(&hub) == [Some(format!("bytes={kept}-"))], "{kept}: {:?}", ranges(&hub));
        }
    }
}

#[test]
fn a_run_whose_download_finds_no_room_goes_on_where_it_was() {
    let project = Project::new();
    let hub = Hub::start();
    hub.add(base(&project));
    recipe(&project);
    let cache = project.path("hub");
    hub.fault(Fault::drip(20_000, Duration::from_millis(20)).on("GET", "/blobs/"));
    let mut command = lopper(&project, &hub, &cache, &["run", "recipe.toml", "--detach"]);
    let said = said(fails(&mut command, "write", 7, 28));
    assert_eq!(said.code, Some(0), "{said:?}");
    let run = RunDir::open(Path::new(said.out.lines().next().unwrap())).unwrap();
    assert!(pause(&run, &cache).contains("what has come is kept"));
    hub.calm();
    hub.forget();
    let kept = part(&cache).unwrap().metadata().unwrap().len();
    assert_eq!(project.lopper(&["continue", utf8(run.path())]).code, Some(0));
    until_over(&run);
    assert_eq!(run.state(), RunState::Finished, "{:?}", lopper::run::worker::read_last_word(run.path()));
    assert_whole(&hub, &cache);
    assert_eq!(ranges(&hub), [Some(format!("bytes={kept}-"))]);
}

#[test]
#[ignore = "mounts small disks, which needs root: .ci/run"]
fn a_run_goes_on_by_itself_when_the_hubs_cache_has_room() {
    // Too small from the beginning; filled by somebody else in the middle.
    for in_the_middle in [false, true] {
        let project = Project::new();
        let hub = Hub::start();
        hub.add(base(&project));
        recipe(&project);
        let disk = Disk::new(&project, "hub", if in_the_middle { "80m" } else { "20m" });
        hub.fault(Fault::drip(4 << 10, Duration::from_millis(100)).on("GET", "/blobs/"));
        let run = detached(&project, &hub, disk.path());
        if in_the_middle {
            until("some of the weights", || {
                part(disk.path()).filter(|p| p.metadata().is_ok_and(|m| m.len() > 8 << 10))
            });
            disk.fill(0);
        }
        let told = pause(&run, disk.path());
        assert_eq!(told.contains("what has come is kept"), in_the_middle, "{told}");
        assert_eq!(part(disk.path()).is_some(), in_the_middle);
        hub.calm();
        hub.forget();
        if in_the_middle {
            disk.empty();
        } else {
            disk.grow("80m");
        }
        until_over(&run);
        assert_eq!(run.state(), RunState::Finished, "{:?}", lopper::run::worker::read_last_word(run.path()));
        assert_whole(&hub, disk.path());
        let asked = ranges(&hub);
        assert_eq!(asked.len(), 1, "{asked:?}");
        assert_eq!(asked[0].is_some(), in_the_middle, "it goes on where it was: {asked:?}");
        assert_tidy(&run);
    }
}

#[test]
#[ignore = "mounts small disks, which needs root: .ci/run"]
fn a_full_or_read_only_cache_ends_a_fetch_with_a_sentence_and_the_next_goes_on() {
    let project = Project::new();
    let hub = Hub::start();
    hub.add(base(&project));
    let disk = Disk::new(&project, "hub", "80m");
    hub.fault(Fault::drip(4 << 10, Duration::from_millis(100)).on("GET", "/blobs/"));
    let told = std::thread::scope(|scope| {
        let fetch = scope.spawn(|| said(&mut lopper(&project, &hub, disk.path(), &["hub", "fetch", BASE])));
        until("some of the weights", || part(disk.path()).filter(|p| p.metadata().is_ok_and(|m| m.len() > 8 << 10)));
        disk.fill(0);
        fetch.join().unwrap()
    });
    assert_one_sentence(&told, 1, &["lab/tiny needs ", "free some space", "what has come is kept"]);
    // Before anything is asked for, the next time.
    hub.calm();
    hub.forget();
    let fetch = || said(&mut lopper(&project, &hub, disk.path(), &["hub", "fetch", BASE]));
    assert_one_sentence(&fetch(), 1, &["where 0 kB are free", "what has come is kept"]);
    assert_eq!(ranges(&hub), []);
    disk.empty();
    assert_eq!(fetch().code, Some(0));
    assert_whole(&hub, disk.path());
    assert!(matches!(&ranges(&hub)[..], [Some(range)] if range.starts_with("bytes=")), "{:?}", ranges(&hub));
    // What is there is used on a disk that can only be read; what is not is refused.
    hub.add(Repository::model("lab/other").folder(project.path("base")));
    disk.read_only();
    assert_eq!(fetch().code, Some(0));
    let told = said(&mut lopper(&project, &hub, disk.path(), &["hub", "fetch", "lab/other"]));
    assert_one_sentence(&told, 2, &["read-only; HF_HUB_CACHE can name a folder of yours"]);
}
