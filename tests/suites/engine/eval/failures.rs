//! What cannot be compared: refused before anything runs, or a row that says why and costs no other.

use super::standing;
use crate::tiny;
use lopper::run::event::EventBody;
use lopper::run::{RunDir, RunState};
use tiny::{Project, kill, said, until, until_event};

#[test]
fn what_cannot_be_compared_is_refused_in_a_sentence() {
    let project = Project::new();
    project.recipe("", "epochs = 1");
    for (args, why) in [
        (&["--methods", "tiess"][..], "--methods: \"tiess\" is not known here; use all, zero-shot, few-shot, "),
        (&["--methods", "zero-shot", "--against", "ties"], "\"TIES merge\" is none of the methods"),
        (
            &["--methods", "linear"],
            "\"linear\" adds matrices of one rank, and at layers.0.mlp.up_proj they have ranks of their own: games 4, ",
        ),
    ] {
        let said = said(&mut project.command(&[&["eval", "recipe.toml"][..], args].concat()));
        assert!(said.code == Some(2) && said.err.contains(why), "{said:?}");
    }
}

#[test]
fn a_method_that_cannot_be_done_costs_no_other() {
    use RunState::{Failed, Finished};
    let project = Project::new();
    project.recipe("", "epochs = 1");
    // Of the two related adapters one has ranks of its own.
    let asked = [
        "eval",
        "recipe.toml",
        "--out",
        "compared",
        "--seeds",
        "3,4",
        "--methods",
        "zero-shot,linear,dare-linear,merge",
    ];
    let said_json = said(&mut project.command(&[&asked[..], &["--format", "json"]].concat()));
    assert_eq!(said_json.code, Some(2), "{said_json:?}");
    let last = said_json.err.lines().last().unwrap();
    assert_eq!(last, "lopper: 2 of 5 methods could not be done: linear merge, DARE-linear merge");
    let found: serde_json::Value = serde_json::from_str(&said_json.out).unwrap();
    let rows = found["rows"].as_array().unwrap();
    let names: Vec<&str> = rows.iter().map(|row| row["method"].as_str().unwrap()).collect();
    let own = "merge + fine-tune + prune";
    assert_eq!(names, ["zero-shot", "linear merge", "DARE-linear merge", "merge, no training", own]);
    for (at, row) in rows.iter().enumerate() {
        let failed = row["failed"].as_str();
        assert_eq!(failed.is_some(), [1, 2].contains(&at), "{row}");
        assert_eq!(
            (failed.is_some(), row["seeds"] == serde_json::json!([3, 4])),
            (row["loss"].is_null(), failed.is_none())
        );
        assert!(failed.is_none_or(|why| why.contains("ranks of their own: games 4, ")), "{row}");
    }
    for end in ["md", "csv", "html", "tex"] {
        let text = std::fs::read_to_string(project.path(&format!("compared/evaluation.{end}"))).unwrap();
        assert!(text.contains("DARE-linear merge") && text.contains("adds matrices of one rank"), "{text}");
    }
    // As a table: a dash for each figure, the reason below, and nothing that another try would change.
    let text = said(&mut project.command(&asked));
    let line = text.out.lines().find(|line| line.starts_with("linear merge")).unwrap();
    assert!(text.code == Some(2) && line.split_whitespace().skip(2).all(|cell| cell == "-"), "{text:?}");
    assert!(text.out.contains("failed: linear merge: \"linear\" adds matrices of one rank"), "{text:?}");
    // In words, right below the table.
    let said = text.out.lines().find(|line| line.starts_with("R-L: ")).unwrap();
    assert!(said.contains("3 documents") && said.ends_with("; Holm's p for 2 comparisons"), "{said}");
    assert_eq!(RunDir::list(&project.path("compared")).unwrap().len(), 2);
    let found = standing(&project);
    assert_eq!((found.state, found.runs), (Finished, (2, 2)));
    let states: Vec<RunState> = found.lines.iter().map(lopper::study::standing::Line::state).collect();
    assert_eq!(states, [Finished, Failed, Failed, Finished, Finished]);
    assert!(found.lines[1].parts[0].said.contains("ranks of their own") && found.lines[1].cells[0].text.is_empty());
    assert!(found.notes.iter().any(|note| note.starts_with("failed: DARE-linear merge: ")), "{:?}", found.notes);
}

#[test]
fn a_training_that_diverges_costs_no_other_method_and_is_tried_again() {
    let project = Project::new();
    project.recipe("", "epochs = 1");
    let text = std::fs::read_to_string(project.path("recipe.toml")).unwrap();
    project.write("recipe.toml", &text.replace("lr = 1e-3", "lr = 1e30"));
    let asked =
        ["eval", "recipe.toml", "--out", "compared", "--methods", "zero-shot,target-tune,merge", "--format", "json"];
    let first = said(&mut project.command(&asked));
    assert_eq!(first.code, Some(2), "{first:?}");
    let last = first.err.lines().last().unwrap();
    let (tuned, own) = ("target adapter, trained on", "merge + fine-tune + prune");
    assert!(
        last.starts_with(&format!("lopper: 2 of 4 methods could not be done: {tuned}, {own}; `lopper resume ")),
        "{last}"
    );
    let found: serde_json::Value = serde_json::from_str(&first.out).unwrap();
    let rows = found["rows"].as_array().unwrap();
    for (row, (name, is_done)) in
        rows.iter().zip([("zero-shot", true), (tuned, false), ("merge, no training", true), (own, false)])
    {
        assert_eq!((row["method"].as_str(), row["loss"]["mean"].is_number()), (Some(name), is_done), "{row}");
        assert_eq!(row["failed"].as_str().is_some_and(|why| why.contains("the training diverged")), !is_done, "{row}");
        // The method that the others would be compared with is one of those that have no figures.
        assert!(row["against"].is_null(), "{row}");
    }
    // What the first run had scored stays, and another one does what that did not come to.
    let runs = || RunDir::list(&project.path("compared")).unwrap();
    assert_eq!(runs().iter().filter(|run| run.state() == RunState::Failed).count(), 2);
    let standing = standing(&project);
    assert_eq!((standing.state, standing.runs), (RunState::Failed, (0, 1)));
    let parts: Vec<_> = standing.lines.iter().map(|line| &line.parts[0]).collect();
    assert!(parts[0].state == RunState::Finished && parts[2].state == RunState::Finished, "{parts:?}");
    assert!(parts[1].state == RunState::Failed && parts[1].said.contains("the training diverged"), "{parts:?}");
    assert!(parts[0].run == parts[1].run && parts[2].run == parts[3].run && parts[0].run != parts[2].run, "{parts:?}");
    // It is tried again, in the runs that there are.
    let again = project.lopper(&["resume", "compared", "--plain"]);
    assert_eq!(again.code, Some(2), "{again:?}");
    assert!(
        again.out.contains("merge, no training") && again.err.contains(&format!("failed: {tuned}, seed 1: ")),
        "{again:?}"
    );
    assert_eq!(runs().len(), 2);
    let starts = |run: &RunDir| {
        let begun = |event: &lopper::run::event::Event| matches!(event.body, lopper::run::event::EventBody::Started(_));
        tiny::events(run).iter().filter(|event| begun(event)).count()
    };
    assert!(runs().iter().all(|run| starts(run) == 2));
}

#[test]
fn a_target_whose_training_diverges_is_trained_once_and_costs_no_method_of_the_base() {
    let project = Project::new();
    project.recipe("", "epochs = 1");
    let text = std::fs::read_to_string(project.path("recipe.toml")).unwrap();
    let diverging = text.replace("[target]\nepochs = 1", "[target]\nepochs = 1\nlr = 1e30");
    assert_ne!(diverging, text);
    project.write("recipe.toml", &diverging);
    let asked = ["eval", "recipe.toml", "--out", "compared", "--methods", "merge,zero-shot", "--format", "json"];
    let first = said(&mut project.command(&asked));
    assert_eq!(first.code, Some(2), "{first:?}");
    let found: serde_json::Value = serde_json::from_str(&first.out).unwrap();
    // In the order that was asked for.
    let (own, rows) = ("merge + fine-tune + prune", found["rows"].as_array().unwrap());
    let expected = [("merge, no training", false), ("zero-shot", true), (own, false)];
    assert_eq!(rows.len(), expected.len());
    for (row, (name, is_done)) in rows.iter().zip(expected) {
        assert_eq!((row["method"].as_str(), row["loss"]["mean"].is_number()), (Some(name), is_done), "{row}");
        assert_eq!(row["failed"].as_str().is_some_and(|why| why.contains("the training diverged")), !is_done, "{row}");
    }
    let trainings = || {
        let runs = RunDir::list(&project.path("compared")).unwrap();
        assert_eq!(runs.len(), 1, "{runs:?}");
        let alone = |event: &lopper::run::event::Event| matches!(&event.body, lopper::run::event::EventBody::Stage(stage) if stage.method == "target adapter alone");
        tiny::events(&runs[0]).iter().filter(|event| alone(event)).count()
    };
    assert_eq!(trainings(), 1);
    let again = project.lopper(&["resume", "compared", "--plain"]);
    assert!(again.code == Some(2) && again.err.contains(&format!("failed: {own}, seed 1: ")), "{again:?}");
    assert_eq!(trainings(), 2, "what failed is tried again");
}

#[test]
fn a_worker_that_is_killed_goes_on_and_costs_no_method() {
    let project = Project::new();
    // Long enough to be killed while it trains.
    project.recipe("", "epochs = 40");
    let asked = ["eval", "recipe.toml", "--out", "compared", "--methods", "zero-shot", "--format", "json"];
    let piped = std::process::Stdio::piped;
    let evaluation = project.command(&asked).stdout(piped()).stderr(piped()).spawn().unwrap();
    let run = until("the run", || RunDir::list(&project.path("compared")).unwrap().pop());
    until("its journal", || run.journal_file().is_file().then_some(()));
    until_event(&run, "a step", |body| matches!(body, EventBody::Step(_)));
    kill(&run);
    let output = evaluation.wait_with_output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && told.contains("it goes on, this once"), "{told}");
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(found["undone"].is_null() && found["rows"].as_array().unwrap().len() == 2, "{found}");
    assert!(found["rows"].as_array().unwrap().iter().all(|row| row["loss"]["mean"].is_number()), "{found}");
    assert_eq!(RunDir::list(&project.path("compared")).unwrap().len(), 1);
    assert_eq!(run.state(), RunState::Finished);
}
