//! Evaluations on the real screen: asked for in the form, found in the list, opened, watched, left.
#![allow(clippy::unwrap_used)]

use crate::pty::{LARGE, SMALL, Terminal};
use crate::tiny::{Project, said, until};
use lopper::run::{RunDir, RunState};
use lopper::study;

#[test]
fn an_evaluation_is_opened_from_the_list_and_a_row_of_it() {
    let project = Project::new();
    project.recipe("", "epochs = 1");
    let asked = ["eval", "recipe.toml", "--seeds", "3,4", "--methods", "zero-shot", "--out", "runs/tiny-eval"];
    assert_eq!(said(&mut project.command(&asked)).code, Some(0));
    let mut screen = Terminal::start(&project, SMALL, &[], &[]);
    screen.shows(&["1 evaluation", "tiny-eval", "✓ finished", "eval 2/2"]);
    screen.press("\r");
    screen.shows(&["tiny-eval", "2 of 2 runs", "zero-shot", "R-L", "2/2", "3 test documents"]);
    screen.press("oO");
    screen.shows(&["by loss ↓"]);
    screen.press("\r");
    screen.shows(&["seed 3 finished", "seed 4 finished"]);
    screen.press("j\r");
    // At the method of the row: what it has written.
    screen.shows(&["tiny-seed-4", "q back", "reference"]);
    screen.press("q");
    screen.shows(&["by loss ↓", "q back"]);
    screen.press("q");
    screen.shows(&["eval 2/2"]);
    let (code, text) = screen.leave();
    assert_eq!(code, 0, "{text}");
    // The same by its path, and as a picture.
    let mut screen = Terminal::start(&project, LARGE, &["attach", "runs/tiny-eval"], &[]);
    screen.shows(&["2 of 2 runs", "zero-shot", "BLEU", "repeated"]);
    assert_eq!(screen.leave().0, 0);
    let made = said(&mut project.command(&["picture", "runs/tiny-eval", "--out", "x.svg", "--keys", "tab"]));
    assert_eq!(made.code, Some(0), "{made:?}");
    assert!(std::fs::read_to_string(project.path("x.svg")).unwrap().contains("ROUGE"));
    let led = said(&mut project.command(&["picture", "runs/tiny-eval", "--out", "y.svg", "--keys", "enter enter"]));
    assert_eq!(led.code, Some(2), "{led:?}");
}

#[test]
fn an_evaluation_is_asked_for_in_the_form_outlives_the_screen_stops_and_goes_on() {
    let project = Project::endless();
    let mut screen = Terminal::start(&project, SMALL, &["edit", "recipe.toml"], &[]);
    screen.shows(&["nothing is wrong"]);
    screen.press("E");
    screen.shows(&["compare methods", "seeds", "[x] zero-shot"]);
    // No methods beside the run's own.
    screen.press(",2\x1b[Ba\r");
    screen.shows(&["tiny-eval", "running", "0 of 2 runs", "merge + fine-tune + prune", "step"]);
    screen.press("q");
    screen.shows(&["nothing is wrong"]);
    screen.press("q");
    screen.ends();
    let folder = project.path("runs/tiny-eval");
    assert_eq!(study::state(&folder), RunState::Running);
    assert_eq!(study::Plan::read(&folder).unwrap().seeds, [1, 2]);
    let mut screen = Terminal::start(&project, SMALL, &[], &[]);
    screen.shows(&["▶ running", "tiny-eval", "eval 0/2"]);
    screen.press("d");
    screen.shows(&["stop it before you delete it"]);
    screen.press("sy");
    screen.shows(&["■ stopped"]);
    screen.press("r");
    screen.shows(&["▶ running"]);
    let runs = || RunDir::list(&folder).unwrap();
    until("the same run under way again", || (runs()[0].state() == RunState::Running).then_some(()));
    assert_eq!(runs().len(), 1);
    screen.press("sy");
    screen.shows(&["■ stopped"]);
    screen.press("d");
    screen.shows(&["with all its runs and tables"]);
    screen.press("y");
    screen.shows(&["no runs in"]);
    assert!(!folder.exists());
    assert_eq!(screen.leave().0, 0);
}
