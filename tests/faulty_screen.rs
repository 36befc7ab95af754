//! Disks that fail under the screen: what it writes itself (notes, tags, ratio sets, pictures, recipes, what is not saved,
//! the theme, a recording), once with an error of the device, once full, once refused. Each is told in words on the
//! screen, nothing half-written stays, and the screen goes on.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, dead_code)]

#[path = "pty/terminal.rs"]
mod pty;
#[path = "tiny/shim.rs"]
mod shim;
#[path = "tiny/project.rs"]
mod tiny;

use lopper::run::RunDir;
use lopper::run::event::EventBody;
use pty::Terminal;
use std::path::Path;
use tiny::{Project, until, until_event, utf8};

/// An errno, and the words that tell it.
const ERRORS: [(&str, &str); 3] = [("5", "Input/output error"), ("28", "free some space"), ("13", "permission denied")];
const SIZE: (u16, u16) = (160, 40);

/// Everything under a folder, by its name.
fn files(folder: &Path) -> Vec<String> {
    let mut all: Vec<String> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    all.sort();
    all
}

/// The real binary in a terminal, on a disk of which calls of this kind fail on paths of this glob, from
/// the nth on.
fn on_failing_disk(project: &Project, args: &[&str], (call, nth): (&str, &str), path: &str, errno: &str) -> Terminal {
    let shim = utf8(shim::built());
    let env = [
        ("LD_PRELOAD", shim),
        ("FAULTY_CALL", call),
        ("FAULTY_PATH", path),
        ("FAULTY_NTH", nth),
        ("FAULTY_ON", "1"),
        ("FAULTY_ERRNO", errno),
    ];
    Terminal::start(project, SIZE, args, &env)
}

/// What is pressed one after the other, each time when the screen shows the words before it.
type Keys<'a> = &'a [(&'a str, &'a str)];

/// In each way in which a call may fail: the keys, the words of the error, the folder as it was, and a way out.
fn each_error(project: &Project, args: &[&str], path: &str, folder: &Path, keys: Keys<'_>, leave: &[&str]) {
    let before = files(folder);
    for (errno, words) in ERRORS {
        for call in ["open", "write", "rename"] {
            // A rename is not refused for want of room, nor a write to an open file for want of rights.
            if (call, errno) == ("rename", "28") || (call, errno) == ("write", "13") {
                continue;
            }
            let mut screen = on_failing_disk(project, args, (call, "1"), path, errno);
            for (shown, key) in keys {
                screen.shows(&[shown]);
                screen.press(key);
            }
            screen.until(&format!("{words:?} after {call} of {path}"), |text| {
                // A sentence may be broken at the edge of its box.
                let flat: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
                flat.contains(words)
            });
            for key in leave {
                screen.press(key);
                std::thread::sleep(std::time::Duration::from_millis(80));
            }
            assert_eq!(screen.ends_tidily().0, 0, "{call} of {path} with {errno}");
            assert_eq!(files(folder), before, "{call} of {path} with {errno}");
        }
    }
}

fn finished(project: &Project) -> RunDir {
    project.recipe("", "epochs = 1");
    assert_eq!(project.lopper(&["run", "recipe.toml", "--plain"]).code, Some(0));
    project.run()
}

#[test]
fn notes_tags_and_pictures_of_the_list_and_the_run() {
    let project = Project::new();
    let run = finished(&project);
    let list = ["--runs", "runs"];
    each_error(&project, &list, "*runs/tiny-*/*", run.path(), &[("finished", "n"), ("note", "night run\r")], &["q"]);
    each_error(&project, &list, "*runs/tiny-*/*", run.path(), &[("finished", "#"), ("tags", "a b\r")], &["q"]);
    let attach = ["attach", utf8(run.path())];
    each_error(&project, &attach, "*runs/tiny-*/*", run.path(), &[("finished", "S")], &["q"]);
    each_error(&project, &attach, "*runs/tiny-*/*", run.path(), &[("finished", "E")], &["q"]);
}

#[test]
fn a_set_of_ratios() {
    let project = Project::endless();
    let run = project.detached();
    until_event(&run, "the second stage", |e| matches!(e, EventBody::Modules(_)));
    let sets = project.path("config/lopper/ratios");
    std::fs::create_dir_all(&sets).unwrap();
    let keys = [("stage 2/2", "+"), ("draft: ", "w"), ("save the ratios as", "night\r")];
    let attach = ["attach", utf8(run.path())];
    // Out of the question, out of the draft, out of the screen.
    each_error(&project, &attach, "*ratios/*night*", &sets, &keys, &["\x1b", "\x1b", "\x03"]);
    assert_eq!(project.lopper(&["stop", utf8(run.path())]).code, Some(0));
    tiny::until_over(&run);
}

#[test]
fn a_recipe_and_what_of_it_is_not_saved() {
    let project = Project::new();
    project.recipe("", "epochs = 1");
    let before = std::fs::read_to_string(project.path("recipe.toml")).unwrap();
    let edit = ["edit", "recipe.toml"];
    // Its own copy beside it does not fail here.
    let keys =
        [("settings", "/"), ("letters find", "seed\r"), ("seed", "\r"), ("seed", "7\r"), ("of every random", "s")];
    for (errno, words) in ERRORS {
        let mut screen = on_failing_disk(&project, &edit, ("rename", "1"), "*/recipe.toml", errno);
        for (shown, key) in keys {
            screen.shows(&[shown]);
            screen.press(key);
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        screen.until(words, |text| text.split_whitespace().collect::<Vec<_>>().join(" ").contains(words));
        assert_eq!(std::fs::read_to_string(project.path("recipe.toml")).unwrap(), before);
        // What was typed is kept beside it.
        until("the copy", || files(&project.path("")).iter().any(|f| f == ".recipe.toml.unsaved").then_some(()));
        screen.press("\x03");
        std::thread::sleep(std::time::Duration::from_millis(300));
        // It asks, as there is something that is not saved.
        screen.press("n");
        std::thread::sleep(std::time::Duration::from_millis(300));
        if screen.ended().is_none() {
            screen.press("\x03");
            screen.press("y");
        }
        screen.ends();
        std::fs::remove_file(project.path(".recipe.toml.unsaved")).ok();
    }
    // A copy that cannot be kept is told, and the form goes on.
    for (errno, words) in ERRORS {
        let mut screen = on_failing_disk(&project, &edit, ("open", "1"), "*/.recipe.toml*", errno);
        for (shown, key) in &keys[..4] {
            screen.shows(&[shown]);
            screen.press(key);
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        screen.until(words, |text| text.split_whitespace().collect::<Vec<_>>().join(" ").contains(words));
        screen.press("s");
        screen.shows(&["saved"]);
        screen.press("q");
        assert_eq!(screen.ends_tidily().0, 0);
        assert!(std::fs::read_to_string(project.path("recipe.toml")).unwrap().contains("seed = 7"));
        std::fs::write(project.path("recipe.toml"), &before).unwrap();
    }
}

#[test]
fn a_recording_that_fails_is_told_and_the_screen_goes_on() {
    let project = Project::new();
    let run = finished(&project);
    let args = ["attach", utf8(run.path()), "--record", "show.cast"];
    for (errno, words) in ERRORS {
        // Refused at once: the screen does not start.
        let mut screen = on_failing_disk(&project, &args, ("open", "1"), "*show.cast*", errno);
        let (code, _) = screen.ends();
        let text = screen.text().split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(code != 0 && text.contains(words) && text.contains("show.cast"), "{code}: {text}");
        std::fs::remove_file(project.path("show.cast")).ok();
        if errno == "13" {
            continue;
        }
        // Later: said at the end, and the run was shown all the same.
        let mut screen = on_failing_disk(&project, &args, ("write", "3"), "*show.cast*", errno);
        screen.shows(&["finished"]);
        screen.press("2");
        screen.shows(&["loss"]);
        screen.press("q");
        screen.ends();
        let text = screen.text().split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.contains(words) && text.contains("show.cast"), "{text}");
        std::fs::remove_file(project.path("show.cast")).ok();
    }
}
