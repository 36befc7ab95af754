//! A run set up in a real terminal: a new recipe, filled in, started, watched, and what is on disk afterwards.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, dead_code)]

use crate::form;
use crate::pty;
use crate::tiny;
use form::{pick, set};
use lopper::recipe::Recipe;
use pty::Terminal;
use tiny::{Project, until_over, utf8};

const SMALL: (u16, u16) = (80, 24);

#[test]
fn a_new_recipe_is_filled_in_started_and_watched() {
    let project = Project::new();
    std::fs::remove_file(project.path("recipe.toml")).unwrap();
    let mut screen = Terminal::start(&project, SMALL, &["new"], &[]);
    screen.shows(&["recipe.toml", "new, not saved", "3 things to mend", "the key `base` is missing"]);
    // Nothing starts while something is wrong.
    screen.press("R");
    screen.shows(&["not started: base: the key `base` is missing"]);
    pick(&mut screen, "base", "./base", "base/");
    screen.shows(&["2 things to mend"]);
    pick(&mut screen, "data.train", "train.jsonl", "data/train.jsonl");
    pick(&mut screen, "data.dev", "dev.jsonl", "data/dev.jsonl");
    screen.shows(&["nothing is wrong"]);
    screen.press("a");
    screen.shows(&["╭ add an adapter"]);
    screen.press("./science");
    screen.shows(&["> ./science", "science/"]);
    screen.press("\r");
    screen.hides("╭ add an adapter");
    screen.shows(&["related", "science"]);
    set(&mut screen, "adapters.rank", "4");
    set(&mut screen, "train.batch", "0");
    screen.shows(&["at least 1 is needed", "1 thing to mend"]);
    set(&mut screen, "train.batch", "4");
    set(&mut screen, "train.epochs", "2");
    set(&mut screen, "target.epochs", "1");
    set(&mut screen, "samples.documents", "1");
    set(&mut screen, "samples.max_new", "6");
    set(&mut screen, "device", "cpu");
    screen.shows(&["nothing is wrong"]);
    screen.press("2");
    screen.shows(&["train 12 examples", "game engine"]);
    screen.press("3");
    screen.shows(&["needs about ", " free", "steps"]);
    screen.press("R");
    screen.shows(&["Save recipe.toml and start a run of it?", "needs about "]);
    screen.press("\r");
    screen.shows(&["stage ", "1 heatmap", "q back"]);
    let run = project.run();
    screen.press("q");
    screen.shows(&["recipe.toml", "saved"]);
    screen.press("q");
    assert_eq!(screen.ends_tidily().0, 0);
    until_over(&run);
    assert_eq!(run.state(), lopper::run::RunState::Finished);
    // `lopper run` takes the same file; the run has what the form had.
    let text = std::fs::read_to_string(project.path("recipe.toml")).unwrap();
    assert!(text.starts_with("# A recipe of lopper") && text.contains("base = \"base\"\n"), "{text}");
    let recipe = Recipe::read(&project.path("recipe.toml")).unwrap();
    assert_eq!(run.recipe().unwrap(), recipe);
    assert_eq!((recipe.train.batch, recipe.adapters.len(), recipe.adapters[0].rank), (4, 2, 4));
    // Nothing is overwritten by a name.
    let mut screen = Terminal::start(&project, SMALL, &["new", "recipe.toml"], &[]);
    let (code, said) = (screen.ends().0, screen.text());
    assert!(code == 2 && said.replace('\n', "").contains("is there already; `lopper edit` opens it"), "{code} {said}");
}

#[test]
fn an_edit_is_one_line_of_the_file_and_the_list_opens_the_form() {
    let project = Project::new();
    let before = std::fs::read_to_string(project.path("recipe.toml")).unwrap();
    let before = before.replace("lr = 1e-3", "lr = 1e-3   # found by hand") + "# the end\n";
    project.write("recipe.toml", &before);
    let mut screen = Terminal::start(&project, SMALL, &["edit", "recipe.toml"], &[]);
    screen.shows(&["recipe.toml", "saved", "nothing is wrong"]);
    set(&mut screen, "train.lr", "5e-4");
    screen.shows(&["changed, not saved"]);
    screen.press("q");
    screen.shows(&["has changes that are not saved", "drop the changes"]);
    screen.press("\x1b");
    screen.hides("drop the changes");
    screen.press("s");
    screen.shows(&["saved recipe.toml"]);
    screen.press("q");
    assert_eq!(screen.ends_tidily().0, 0);
    let after = std::fs::read_to_string(project.path("recipe.toml")).unwrap();
    assert_eq!(after, before.replace("lr = 1e-3", "lr = 5e-4"));
    // From the list: a recipe is opened; somebody else's change is not written over.
    let mut screen = Terminal::start(&project, SMALL, &[], &[]);
    screen.shows(&["no runs in", "a new"]);
    screen.press("e");
    screen.shows(&["╭ open a recipe", "recipe.toml"]);
    screen.press("\r");
    screen.shows(&["nothing is wrong"]);
    project.write("recipe.toml", &before);
    set(&mut screen, "train.lr", "7e-4");
    screen.press("s");
    screen.shows(&["is not what this form has"]);
    screen.press("\r");
    screen.hides("is not what this form");
    screen.press("qd");
    screen.shows(&["no runs in"]);
    assert_eq!(std::fs::read_to_string(project.path("recipe.toml")).unwrap(), before);
    screen.press("a");
    screen.shows(&["recipe-2.toml", "new, not saved"]);
    screen.press("qd");
    screen.shows(&["no runs in"]);
    screen.press("q");
    assert_eq!(screen.ends_tidily().0, 0);
    assert!(!project.path("recipe-2.toml").exists());
    let said = project.lopper(&["edit", "recipe.toml"]);
    assert!(said.code == Some(2) && said.err.contains("the form needs a terminal"), "{said:?}");
    // A run's recipe is a record.
    let run = project.detached();
    let mut screen = Terminal::start(&project, SMALL, &["edit", utf8(&run.recipe_file())], &[]);
    let (code, text) = screen.ends_tidily();
    assert!(code == 2 && text.replace('\n', "").contains("is the record of a run"), "{code} {text}");
    drop(screen);
    let mut screen = Terminal::start(&project, SMALL, &[], &[]);
    screen.shows(&["tiny-"]);
    screen.press("c");
    screen.shows(&["tiny.toml", "new, not saved", "nothing is wrong"]);
    screen.press("=");
    screen.shows(&["╭ compare with", "recipe.toml"]);
    screen.press("recipe.toml\r");
    screen.shows(&["settings are the same"]);
    screen.press("q");
    screen.hides("settings are the same");
    screen.press("\x03");
    screen.shows(&["drop the changes"]);
    screen.press("\x03");
    screen.shows(&["tiny-"]);
    screen.press("q");
    assert_eq!(screen.ends_tidily().0, 0);
    tiny::until_over(&run);
}

#[test]
fn the_form_has_a_picture() {
    let project = Project::new();
    let picture =
        |keys: &str| project.lopper(&["picture", "recipe.toml", "--size", "200x50", "--out", "x.svg", "--keys", keys]);
    let said = picture("] ] down");
    assert_eq!(said.code, Some(0), "{said:?}");
    let svg = std::fs::read_to_string(project.path("x.svg")).unwrap();
    assert!(
        svg.starts_with("<svg") && [">nothing<", ">wrong<", ">settings<"].iter().all(|word| svg.contains(word)),
        "{svg}"
    );
    std::fs::remove_file(project.path("x.svg")).unwrap();
    let said = picture("down down down right s");
    assert!(said.code == Some(2) && said.err.contains("would write or start"), "{said:?}");
    assert!(!project.path("x.svg").exists());
}
