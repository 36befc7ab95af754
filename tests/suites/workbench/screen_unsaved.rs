//! Changes in the recipe form that nobody has saved, when the form ends otherwise than by `q`: a terminal that hangs
//! up, a signal, a kill.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, dead_code)]

use crate::form;
use crate::pty;
use crate::tiny;
use form::{pick, set};
use pty::{SMALL, Terminal};
use rustix::process::Signal;
use tiny::{Project, until};

const ASKED: &str = "has changes that were never saved";

fn edit(project: &Project) -> Terminal {
    Terminal::start(project, SMALL, &["edit", "recipe.toml"], &[])
}

/// Waits until a copy holds a text.
fn keeps(project: &Project, copy: &str, text: &str) {
    let holds = || std::fs::read_to_string(project.path(copy)).is_ok_and(|held| held.contains(text)).then_some(());
    until(&format!("{text} in {copy}"), holds);
}

/// Waits until there is no copy any more.
fn drops(project: &Project, copy: &str) {
    until(&format!("the end of {copy}"), || (!project.path(copy).exists()).then_some(()));
}

fn saved(project: &Project) -> String {
    std::fs::read_to_string(project.path("recipe.toml")).unwrap()
}

#[test]
fn changes_outlive_a_hang_up_a_signal_and_a_kill() {
    let project = Project::new();
    let before = saved(&project);
    let mut screen = edit(&project);
    screen.shows(&["nothing is wrong"]);
    assert!(!project.path(".recipe.toml.unsaved").exists());
    set(&mut screen, "train.lr", "5e-4");
    keeps(&project, ".recipe.toml.unsaved", "lr = 5e-4");
    screen.hang_up();
    let (code, _) = screen.ends();
    assert!([0, 129].contains(&code), "{code}");
    assert_eq!(saved(&project), before);
    // Restored, the form is on from there: the value stands in it, and in the copy once more after a signal.
    let mut screen = edit(&project);
    screen.shows(&[ASKED, "restore", "look at the file as it is", "drop them"]);
    screen.press("\r");
    screen.shows(&["changed, not saved", "restored, not saved yet"]);
    set(&mut screen, "train.batch", "3");
    screen.signal(Signal::TERM);
    assert_eq!(screen.ends_tidily().0, 0);
    keeps(&project, ".recipe.toml.unsaved", "batch = 3");
    let mut screen = edit(&project);
    screen.shows(&[ASKED]);
    screen.press("r");
    screen.shows(&["changed, not saved"]);
    set(&mut screen, "seed", "77");
    keeps(&project, ".recipe.toml.unsaved", "seed = 77");
    screen.signal(Signal::KILL);
    screen.ends();
    let mut screen = edit(&project);
    screen.shows(&[ASKED]);
    screen.press("r");
    screen.shows(&["changed, not saved"]);
    screen.press("s");
    screen.shows(&["saved recipe.toml"]);
    drops(&project, ".recipe.toml.unsaved");
    let after = before.replace("lr = 1e-3", "lr = 5e-4").replace("batch = 4", "batch = 3");
    assert!(saved(&project).contains("seed = 77") && after.lines().all(|line| saved(&project).contains(line)));
    // Dropped by intention, nothing is left; nothing is asked.
    set(&mut screen, "seed", "78");
    keeps(&project, ".recipe.toml.unsaved", "seed = 78");
    screen.press("qd");
    assert_eq!(screen.ends_tidily().0, 0);
    assert!(!project.path(".recipe.toml.unsaved").exists());
    let mut screen = edit(&project);
    screen.shows(&["nothing is wrong"]);
    assert!(!screen.text().contains(ASKED));
    assert_eq!(screen.leave().0, 0);
}

#[test]
fn a_new_recipe_is_offered_again_and_a_file_that_was_written_since_is_named() {
    let project = Project::new();
    std::fs::remove_file(project.path("recipe.toml")).unwrap();
    // Untouched it leaves nothing.
    let mut screen = Terminal::start(&project, SMALL, &["new"], &[]);
    screen.shows(&["recipe.toml", "new, not saved"]);
    screen.signal(Signal::TERM);
    assert_eq!(screen.ends_tidily().0, 0);
    assert!(!project.path(".recipe.toml.unsaved").exists());
    let mut screen = Terminal::start(&project, SMALL, &["new"], &[]);
    screen.shows(&["3 things to mend"]);
    pick(&mut screen, "base", "./base", "base/");
    screen.shows(&["2 things to mend"]);
    keeps(&project, ".recipe.toml.unsaved", "base = \"base\"");
    // A second one does not take its file from it.
    let mut second = Terminal::start(&project, SMALL, &["new"], &[]);
    second.shows(&["recipe-2.toml", "3 things to mend"]);
    second.press("qd");
    assert_eq!(second.ends_tidily().0, 0);
    screen.signal(Signal::KILL);
    screen.ends();
    // From the list, put off, and restored.
    let mut screen = Terminal::start(&project, SMALL, &[], &[]);
    screen.shows(&["no runs in"]);
    screen.press("a");
    screen.shows(&[ASKED, "begin anew"]);
    screen.press("f");
    screen.shows(&["3 things to mend", "stay in .recipe.toml.unsaved"]);
    screen.press("qd");
    screen.shows(&["no runs in"]);
    assert!(project.path(".recipe.toml.unsaved").exists());
    screen.press("a");
    screen.shows(&[ASKED]);
    screen.press("r");
    screen.shows(&["2 things to mend"]);
    screen.signal(Signal::KILL);
    screen.ends();
    // Somebody has written the file meanwhile; the form's `o` asks too.
    project.recipe("", "");
    let written = saved(&project);
    project.write("other.toml", &written);
    let mut screen = Terminal::start(&project, SMALL, &["edit", "other.toml"], &[]);
    screen.shows(&["nothing is wrong"]);
    screen.press("o");
    screen.shows(&["╭ open a recipe", "recipe.toml"]);
    screen.press("./recipe.toml");
    screen.shows(&["> ./recipe.toml"]);
    screen.press("\r");
    screen.shows(&[ASKED, "The file was written since then"]);
    screen.press("d");
    drops(&project, ".recipe.toml.unsaved");
    screen.shows(&["nothing is wrong", "saved"]);
    assert_eq!(screen.leave().0, 0);
    assert_eq!(saved(&project), written);
}

#[test]
fn two_forms_on_one_recipe_keep_a_copy_each() {
    let project = Project::new();
    let mut first = edit(&project);
    first.shows(&["nothing is wrong"]);
    set(&mut first, "seed", "5");
    keeps(&project, ".recipe.toml.unsaved", "seed = 5");
    let mut second = edit(&project);
    second.shows(&["another form has changes of recipe.toml that are not saved: process "]);
    assert!(!second.text().contains(ASKED));
    set(&mut second, "seed", "6");
    keeps(&project, ".recipe.toml.unsaved-2", "seed = 6");
    keeps(&project, ".recipe.toml.unsaved", "seed = 5");
    // The connection of both drops; what is newest is offered first, the other one next time.
    second.signal(Signal::KILL);
    second.ends();
    first.hang_up();
    first.ends();
    let mut screen = edit(&project);
    screen.shows(&[ASKED, "There is one more such copy"]);
    screen.press("r");
    screen.shows(&["changed, not saved"]);
    screen.press("s");
    screen.shows(&["saved recipe.toml"]);
    drops(&project, ".recipe.toml.unsaved-2");
    assert!(saved(&project).contains("seed = 6"));
    assert_eq!(screen.leave().0, 0);
    let mut screen = edit(&project);
    screen.shows(&[ASKED, "The file was written since then"]);
    screen.press("d");
    drops(&project, ".recipe.toml.unsaved");
    assert_eq!(screen.leave().0, 0);
}

#[test]
fn a_saved_form_below_a_run_leaves_nothing_and_one_that_was_changed_since_does() {
    let project = Project::endless();
    let mut screen = edit(&project);
    screen.shows(&["nothing is wrong"]);
    set(&mut screen, "seed", "5");
    keeps(&project, ".recipe.toml.unsaved", "seed = 5");
    screen.press("R");
    screen.shows(&["Save recipe.toml and start a run of it?"]);
    screen.press("\r");
    screen.shows(&["1 heatmap", "q back"]);
    drops(&project, ".recipe.toml.unsaved");
    screen.signal(Signal::HUP);
    assert_eq!(screen.ends_tidily().0, 0);
    assert!(!project.path(".recipe.toml.unsaved").exists() && saved(&project).contains("seed = 5"));
    tiny::kill(&project.run());
    let mut screen = edit(&project);
    screen.shows(&["nothing is wrong"]);
    set(&mut screen, "seed", "6");
    screen.signal(Signal::HUP);
    assert_eq!(screen.ends_tidily().0, 0);
    keeps(&project, ".recipe.toml.unsaved", "seed = 6");
}

#[test]
fn a_damaged_copy_is_said_and_put_aside_and_a_copy_that_cannot_be_is_said_once() {
    let project = Project::new();
    project.write(".recipe.toml.unsaved", "# lopper-unsaved {\"v\":1,\nbase = ");
    let mut screen = edit(&project);
    screen.shows(&["the copy of unsaved changes .recipe.toml.unsaved is not as it was written"]);
    assert_eq!(screen.leave().0, 0);
    assert!(project.path(".recipe.toml.damaged").exists() && !project.path(".recipe.toml.unsaved").exists());
    // A name that has no room for what marks the copy.
    let long = format!("{}.toml", "x".repeat(245));
    project.write(&long, &saved(&project));
    let mut screen = Terminal::start(&project, SMALL, &["edit", &long], &[]);
    screen.shows(&["nothing is wrong"]);
    set(&mut screen, "seed", "5");
    screen.shows(&["no copy is kept of changes that are not saved"]);
    set(&mut screen, "seed", "6");
    screen.press("s");
    screen.shows(&["saved xxx"]);
    assert_eq!(screen.leave().0, 0);
    assert!(std::fs::read_to_string(project.path(&long)).unwrap().contains("seed = 6"));
}
