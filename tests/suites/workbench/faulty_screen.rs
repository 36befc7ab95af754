//! Disks that fail under the screen: what it writes itself (notes, tags, ratio sets, pictures), once with an error of the
//! device, once full, once refused. Each is told in words on the screen, nothing half-written stays, and the screen goes
//! on.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, dead_code)]

use crate::pty;
use crate::shim;
use crate::tiny;
use lopper::run::RunDir;
use lopper::run::event::EventBody;
use pty::Terminal;
use std::path::Path;
use tiny::{Project, until_event, utf8};

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

/// The real binary in a terminal, on a disk of which every call of this kind fails on paths of this glob.
fn on_failing_disk(project: &Project, args: &[&str], call: &str, path: &str, errno: &str) -> Terminal {
    let shim = utf8(shim::built());
    let env = [
        ("LD_PRELOAD", shim),
        ("FAULTY_CALL", call),
        ("FAULTY_PATH", path),
        ("FAULTY_NTH", "1"),
        ("FAULTY_ON", "1"),
        ("FAULTY_ERRNO", errno),
    ];
    Terminal::start(project, SIZE, args, &env)
}

/// What is pressed one after the other, each time when the screen shows the words before it.
type Keys<'a> = &'a [(&'a str, &'a str)];

/// In each way in which a call may fail: the keys, the words of the error, the folder as it was, and a way out.
fn each_error(project: &Project, args: &[&str], path: &str, folder: &Path, keys: Keys<'_>, leave: &[&str]) {
    let calls = ["open", "write", "rename"].map(|call| (call, path));
    each_error_of(&calls, project, args, folder, keys, leave);
}

/// The same of these calls, each on paths of a glob; a rename's is where it goes to.
fn each_error_of(
    calls: &[(&str, &str)],
    project: &Project,
    args: &[&str],
    folder: &Path,
    keys: Keys<'_>,
    leave: &[&str],
) {
    let before = files(folder);
    for (errno, words) in ERRORS {
        for &(call, path) in calls {
            // A rename is not refused for want of room, nor a write to an open file for want of rights.
            if (call, errno) == ("rename", "28") || (call, errno) == ("write", "13") {
                continue;
            }
            let mut screen = on_failing_disk(project, args, call, path, errno);
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
    let keys = [
        ("stage 2/2", ""),
        ("mean importance", ""),
        ("edits the ratio", "+"),
        ("draft: ", "w"),
        ("save the ratios as", "night\r"),
    ];
    let attach = ["attach", utf8(run.path())];
    // Out of the question, out of the draft, out of the screen.
    each_error(&project, &attach, "*ratios/*night*", &sets, &keys, &["\x1b", "\x1b", "\x03"]);
    assert_eq!(project.lopper(&["stop", utf8(run.path())]).code, Some(0));
    tiny::until_over(&run);
}

/// A recording that ends early: what each command shows first, and what it takes to leave.
fn recording_fails(project: &Project, args: &[&str], shows: &str, leave: &[&str]) {
    // The disk refuses one write in the middle, or is gone for good: then half a line cannot be taken back.
    let faults = ERRORS.map(|(errno, words)| (errno, words, "write", false));
    for (errno, words, call, gone) in faults.into_iter().chain([("5", "Input/output error", "*", true)]) {
        let what = format!("{args:?}: {call} with {errno}");
        std::fs::remove_file(project.path("x.cast")).ok();
        let args = [args, &["--record", "x.cast"]].concat();
        let shim = utf8(shim::built());
        let mut env = vec![("LD_PRELOAD", shim), ("FAULTY_CALL", call), ("FAULTY_PATH", "*/x.cast")];
        env.extend([("FAULTY_NTH", "7"), ("FAULTY_ERRNO", errno)]);
        env.extend(gone.then_some(("FAULTY_ON", "1")));
        let mut screen = Terminal::start(project, SIZE, &args, &env);
        screen.shows(&[shows]);
        // Every key draws, and so records.
        let said = |text: &str| {
            let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
            flat.contains("cannot go on recording into x.cast") && flat.contains(words)
        };
        for _ in 0..12 {
            screen.press("?");
            std::thread::sleep(std::time::Duration::from_millis(120));
            screen.press("\x1b");
            std::thread::sleep(std::time::Duration::from_millis(120));
            if said(&screen.text()) {
                break;
            }
        }
        screen.until(&what, said);
        // The screen goes on.
        screen.press("?");
        screen.shows(&["this table"]);
        for key in ["\x1b"].iter().chain(leave) {
            screen.press(key);
            std::thread::sleep(std::time::Duration::from_millis(80));
        }
        let (code, text) = screen.ends_tidily();
        assert!(code == 1 && said(&text), "{what}: {code}, {text}");
        let kept = if gone { "with a torn line at its end" } else { "what was recorded until then is there" };
        assert!(text.split_whitespace().collect::<Vec<_>>().join(" ").contains(kept), "{what}: {text}");
        let cast = std::fs::read_to_string(project.path("x.cast")).unwrap();
        let whole = cast.rsplit_once('\n').unwrap();
        assert_eq!(whole.1.is_empty(), !gone, "{what}: {cast}");
        let lines: Vec<serde_json::Value> = whole.0.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!((lines[0]["version"].as_u64(), lines[0]["width"].as_u64()), (Some(2), Some(160)), "{what}");
        assert!(lines[1..].iter().all(|line| line[0].is_f64() && line[1] == "o" && line[2].is_string()), "{what}");
        assert!(lines.len() > 3, "{what}: {cast}");
    }
}

#[test]
fn a_recording_of_the_list_the_form_and_a_run() {
    let project = Project::new();
    let run = finished(&project);
    recording_fails(&project, &["attach", utf8(run.path())], "finished", &["q"]);
    recording_fails(&project, &["edit", "recipe.toml"], "nothing is wrong", &["\x03"]);
    recording_fails(&project, &["--runs", "runs"], "finished", &["q"]);
}

/// Changes the learning rate in the form.
const CHANGE: Keys<'static> = &[
    ("nothing is wrong", "/"),
    ("╭ setting", "train.lr"),
    ("> train.lr", "\r"),
    ("lr", "\r"),
    ("enter keep", "\x155e-4"),
];

#[test]
fn a_recipe_and_the_copy_of_what_is_not_saved() {
    let project = Project::new();
    let before = std::fs::read_to_string(project.path("recipe.toml")).unwrap();
    let folder = project.path(".");
    let edit = ["edit", "recipe.toml"];
    let save = [CHANGE, &[("5e-4", "\r"), ("changed, not saved", "s")]].concat();
    // The copy is taken away as the changes are dropped.
    let calls = [("open", "*/recipe.part"), ("write", "*/recipe.part"), ("rename", "*/recipe.toml")];
    each_error_of(&calls, &project, &edit, &folder, &save, &["\x1b", "\x03", "d"]);
    // Kept by itself while the user goes on.
    let change = [CHANGE, &[("5e-4", "\r")]].concat();
    each_error(&project, &edit, "*/.recipe.toml.unsaved*", &folder, &change, &["\x1b", "\x03", "d"]);
    assert_eq!(std::fs::read_to_string(project.path("recipe.toml")).unwrap(), before);
}
