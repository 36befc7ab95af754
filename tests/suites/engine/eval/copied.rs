//! Finished runs of another machine: what tells their figures is enough, without weights and checkpoints.

use super::evaluated;
use crate::tiny;
use lopper::run::RunDir;
use serde_json::json;
use std::path::Path;
use tiny::Project;

/// Copies of a run's files those that a table is made of.
fn slim(from: &Path, to: &Path) {
    let summaries = "result/summaries";
    std::fs::create_dir_all(to.join(summaries)).unwrap();
    for file in ["recipe.toml", "exit.json", "events.jsonl", "result/report.json"] {
        std::fs::copy(from.join(file), to.join(file)).unwrap();
    }
    for file in std::fs::read_dir(from.join(summaries)).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), to.join(summaries).join(file.file_name())).unwrap();
    }
}

#[test]
fn finished_seeds_of_another_machine_are_gone_on_with_and_not_run_again() {
    let (there, here) = (Project::new(), Project::new());
    for project in [&there, &here] {
        project.recipe("", "epochs = 1");
    }
    let first = evaluated(&there, &["--methods", "zero-shot", "--seeds", "3"]);
    let run = RunDir::list(&there.path("compared")).unwrap().remove(0);
    slim(run.path(), &here.path("compared").join(run.name()));
    drop(there);
    let runs = || RunDir::list(&here.path("compared")).unwrap().len();
    let same = evaluated(&here, &["--methods", "zero-shot", "--seeds", "3"]);
    assert_eq!((&same["rows"], runs()), (&first["rows"], 1));
    // The next seed stands beside it.
    let both = evaluated(&here, &["--methods", "zero-shot", "--seeds", "3,4"]);
    let row = &both["rows"][1];
    assert_eq!((&row["seeds"], &row["runs"][0], runs()), (&json!([3, 4]), &json!(run.name()), 2));
    assert!(row["loss"]["spread"].as_f64().unwrap() > 0.0 && both["undone"].is_null(), "{both}");
}
