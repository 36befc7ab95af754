//! Prune ratios edited in a real terminal: a draft, sent to a worker that obeys; a set on disk and back.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, dead_code)]

use crate::pty;
use crate::tiny;
use lopper::run::event::{EventBody, Modules};
use pty::{SMALL, Terminal};
use tiny::{Project, until_event, utf8};

#[test]
fn a_draft_is_sent_and_obeyed_and_a_set_outlives_the_screen() {
    let project = Project::endless();
    let run = project.detached();
    until_event(&run, "the second stage", |e| matches!(e, EventBody::Modules(_)));
    let home = project.path("config");
    let mut screen = Terminal::attach(&project, &run, SMALL, &[]);
    // All of what the run has written was read: an earlier stage has no ratios to edit.
    screen.shows(&["mean importance", "stage 2/2"]);
    screen.press("R");
    screen.shows(&["prune rule"]);
    screen.press("layers.0.*.q_proj=0.9");
    screen.shows(&["matrices: sparsity"]);
    screen.press("\r");
    screen.shows(&["draft: sparsity 50.0 → ", "enter apply"]);
    screen.press("w");
    screen.shows(&["save the ratios as"]);
    screen.press("night\r");
    screen.shows(&["saved "]);
    screen.press("\r");
    let obeyed = |m: &Modules| m.ratio.contains(&Some(0.9));
    until_event(&run, "the new ratio", |e| matches!(e, EventBody::Modules(m) if obeyed(m)));
    screen.hides("draft: ");
    let set = std::fs::read_to_string(home.join("lopper/ratios/night.toml")).unwrap();
    assert!(set.contains("q_proj") && set.contains("ratio = 0.9"), "{set}");
    // The run's own again, then the saved ones.
    screen.press("u");
    screen.shows(&["draft: sparsity"]);
    screen.press("\r");
    screen.hides("draft: ");
    screen.press("W");
    screen.shows(&["saved ratios", "night", "2 rules"]);
    screen.press("\x1b");
    screen.hides("saved ratios");
    assert_eq!(screen.leave().0, 0);
    assert_eq!(project.lopper(&["stop", utf8(run.path())]).code, Some(0));
    tiny::until_over(&run);
    // A comparison names what was changed under way.
    let settings = lopper::run::compare::read(&run).unwrap().settings;
    let named = |(key, value): (&String, &String)| key.starts_with("prune.ratio ") && value.contains("0.9 at step ");
    assert!(settings.iter().any(named), "{settings:?}");
    // Read-only, nothing of it is there.
    let mut screen = Terminal::attach(&project, &run, SMALL, &["--read-only"]);
    screen.shows(&["mean importance"]);
    screen.press("+");
    screen.shows(&["read-only: `+` changes nothing"]);
    screen.leave();
}

#[test]
fn a_finished_run_is_loaded_to_measure_a_draft_and_shows_what_it_does() {
    let project = Project::new();
    assert_eq!(project.lopper(&["run", "recipe.toml", "--plain"]).code, Some(0));
    let run = project.run();
    let before = std::fs::read(run.journal_file()).unwrap();
    let mut screen = Terminal::attach(&project, &run, SMALL, &[]);
    screen.shows(&["finished", "mean importance", "step 6 of 6"]);
    screen.press("R");
    screen.shows(&["prune rule"]);
    screen.press("*=0.9\r");
    screen.shows(&["draft: sparsity", " ± "]);
    screen.press("b");
    screen.shows(&["what the draft does", "importance retained", "dev document", "ROUGE-L ", "now: ", "draft: "]);
    screen.press("\x1b");
    screen.hides("what the draft does");
    // A newer edit is measured in its turn, and what was asked before is known.
    screen.press("u");
    screen.press("\x12");
    screen.shows(&["draft: sparsity", " ± "]);
    screen.press("b");
    screen.shows(&["known from before"]);
    screen.press("\x1b");
    screen.hides("known from before");
    assert_eq!(screen.leave().0, 0);
    // The run is as it was, and nobody is left behind.
    assert_eq!(std::fs::read(run.journal_file()).unwrap(), before);
    let path = utf8(run.path()).to_owned();
    tiny::until("the end of the process that measured", || {
        tiny::processes(&["what-if", &path]).is_empty().then_some(())
    });
}

#[test]
fn sensitivity_and_proposal_come_to_the_heatmap_and_a_new_recipe_takes_the_proposal() {
    let project = Project::new();
    assert_eq!(project.lopper(&["run", "recipe.toml", "--plain"]).code, Some(0));
    let run = project.run();
    let before = std::fs::read(run.journal_file()).unwrap();
    let mut screen = Terminal::attach(&project, &run, SMALL, &[]);
    screen.shows(&["finished", "mean importance", "step 6 of 6"]);
    screen.press("z");
    screen.shows(&["sensitivity at 0.7", "all is measured", "pruned alone to 0.7", "at 0.3"]);
    let known = std::fs::read_to_string(run.path().join("sensitivity.jsonl")).unwrap();
    for group in ["\"layers.0.self_attn.q_proj\"", "\"adapter-factor\""] {
        assert!(known.contains(group), "{group}: {known}");
    }
    screen.press("Z");
    screen.shows(&["ratios for", "at 50.0 % sparsity"]);
    screen.press("\x15nonsense");
    screen.shows(&["is no goal"]);
    screen.press("\x150.8\r");
    // The draft is measured as any other.
    screen.shows(&["draft: sparsity 50.0 → 80", "prune ratio", " ± "]);
    screen.press("b");
    // Three dev documents are too few to verify with others.
    screen.shows(&["one ratio for all", "mean ratios: "]);
    screen.press("\x1b");
    screen.hides("mean ratios");
    assert_eq!(std::fs::read(run.journal_file()).unwrap(), before, "the run is as it was");
    screen.press("\r");
    screen.shows(&["what the run is called", "science"]);
    screen.press("s");
    screen.shows(&["saved tiny.toml"]);
    assert_eq!(screen.leave().0, 0);
    let copy = project.path("tiny.toml");
    let text = std::fs::read_to_string(&copy).unwrap_or_else(|e| panic!("{copy:?}: {e}"));
    assert!(text.contains("[[prune.rules]]") && text.starts_with("# From the run "), "{text}");
    assert_eq!(project.lopper(&["check", utf8(&copy)]).code, Some(0));
}
