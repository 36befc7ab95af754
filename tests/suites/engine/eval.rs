//! `lopper eval` on the tiny project: methods side by side, over seeds, once.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::tiny;
use lopper::run::{RunDir, RunState};
use std::collections::BTreeSet;
use tiny::{Project, said};

fn evaluated(project: &Project, more: &[&str]) -> serde_json::Value {
    let args = ["eval", "recipe.toml", "--out", "compared", "--format", "json"];
    let said = said(&mut project.command(&[&args[..], more].concat()));
    assert_eq!(said.code, Some(0), "{said:?}");
    serde_json::from_str(&said.out).unwrap()
}

#[test]
fn methods_are_compared_over_seeds_and_nothing_runs_twice() {
    let project = Project::new();
    project.recipe("", "epochs = 1");
    // Of the two related adapters the one that has one rank everywhere.
    let text = std::fs::read_to_string(project.path("recipe.toml")).unwrap();
    project.write("recipe.toml", &text[..text.rfind("[[adapters]]").unwrap()]);
    let asked = ["--seeds", "3,4", "--methods", "zero-shot,merge,ties,svd"];
    let found = evaluated(&project, &asked);
    let rows = found["rows"].as_array().unwrap();
    let names: Vec<&str> = rows.iter().map(|row| row["method"].as_str().unwrap()).collect();
    assert_eq!(names, ["zero-shot", "merge, no training", "TIES merge", "SVD merge", "merge + fine-tune + prune"]);
    assert_eq!((&found["reference"], &found["documents"]), (&names[4].into(), &3.into()));
    for row in rows {
        assert_eq!(row["seeds"], serde_json::json!([3, 4]), "{row}");
        assert_eq!(row["against"].is_null(), row["method"] == names[4], "{row}");
    }
    // The base has no seed, the new target adapter does.
    let spread = |at: usize| rows[at]["loss"]["spread"].as_f64().unwrap();
    assert!(spread(0) == 0.0 && spread(4) > 0.0, "{found}");
    let losses: BTreeSet<u64> = rows.iter().map(|row| row["loss"]["mean"].as_f64().unwrap().to_bits()).collect();
    assert_eq!(losses.len(), rows.len());
    for end in ["md", "csv", "html", "tex", "json"] {
        let text = std::fs::read_to_string(project.path(&format!("compared/evaluation.{end}"))).unwrap();
        assert!(text.contains("TIES merge"), "{text}");
    }
    // Every row's run can be opened, and the same question makes no other.
    let runs = || RunDir::list(&project.path("compared")).unwrap();
    let before = runs();
    assert!(before.len() == 2 && before.iter().all(|run| run.state() == RunState::Finished), "{before:?}");
    let again = evaluated(&project, &asked);
    assert_eq!((again, runs().len()), (found, 2));
    // A seed more makes one run more; another method is another run.
    evaluated(&project, &["--seeds", "3,4,5", "--methods", "zero-shot,merge,ties,svd", "--against", "ties"]);
    assert_eq!(runs().len(), 3);
}

#[test]
fn a_run_that_was_killed_goes_on() {
    let project = Project::new();
    project.recipe("", "epochs = 1");
    let asked = ["--methods", "zero-shot"];
    let whole = evaluated(&project, &asked);
    let run = RunDir::list(&project.path("compared")).unwrap().remove(0);
    // As if its worker had been killed while it wrote the result.
    std::fs::remove_file(run.path().join("exit.json")).unwrap();
    std::fs::remove_file(run.result().join("report.json")).unwrap();
    assert_eq!(run.state(), RunState::Crashed);
    let again = evaluated(&project, &asked);
    assert_eq!(RunDir::list(&project.path("compared")).unwrap().len(), 1);
    let loss = |found: &serde_json::Value| found["rows"][1]["loss"]["mean"].as_f64().unwrap();
    assert_eq!(loss(&again), loss(&whole));
}

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
