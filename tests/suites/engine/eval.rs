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

/// A line of a data file.
fn line(document: &str, summary: &str) -> String {
    serde_json::json!({"document": document, "summary": summary}).to_string() + "\n"
}

#[test]
fn data_that_flatters_is_told_beside_the_figures() {
    let project = Project::new();
    project.recipe("", "epochs = 1");
    // dev is train; the test set has one of train's documents with other marks, and summaries that stand in their documents.
    let train = tiny::examples(0..12);
    project.write("data/dev.jsonl", &train);
    let again = "PACKAGE 0, is a small game engine for number 0";
    project.write("data/test.jsonl", &(line(again, "small game engine") + &line("A tool that reads mail.", "囲碁")));
    let found = evaluated(&project, &["--methods", "zero-shot"]);
    let notes: Vec<&str> = found["notes"].as_array().unwrap().iter().map(|note| note.as_str().unwrap()).collect();
    for why in [
        "1 of 2 references has no token as ROUGE cuts them",
        "12 documents of dev also in train",
        "1 document of test also in train",
        "1 of the 2 summaries of test stand word for word in their documents",
    ] {
        assert!(notes.iter().any(|note| note.starts_with(why)), "{why}: {notes:?}");
    }
    let table = std::fs::read_to_string(project.path("compared/evaluation.md")).unwrap();
    assert!(table.contains("note: 12 documents of dev also in train"), "{table}");
    let said = said(&mut project.command(&["check", "recipe.toml"]));
    assert!(said.out.contains("12 documents of dev also in train"), "{said:?}");
}

#[test]
fn one_example_and_a_document_of_a_hundred_thousand_characters_are_enough() {
    let project = Project::new();
    project.recipe("", "epochs = 1");
    let recipe = std::fs::read_to_string(project.path("recipe.toml")).unwrap();
    project.write("recipe.toml", &recipe.replace("[train]\n", "max_document_tokens = 40\n[train]\n"));
    let long = "日本語とEnglishが混ざった長い文書です。 ".repeat(4_200);
    assert!(long.chars().count() > 100_000);
    for name in ["train", "dev", "test"] {
        project.write(&format!("data/{name}.jsonl"), &line(&format!("{name} {long}"), "mixed 文書"));
    }
    let found = evaluated(&project, &["--methods", "zero-shot,few-shot,merge-tune"]);
    let rows = found["rows"].as_array().unwrap();
    assert_eq!((rows.len(), &found["documents"]), (4, &1.into()));
    assert!(rows.iter().all(|row| row["loss"]["mean"].as_f64().unwrap().is_finite()), "{found}");
    assert!(rows[0]["against"]["bounds"].is_null() && rows[0]["against"]["p"] == 1.0, "{found}");
    let notes = found["notes"].to_string();
    assert!(
        notes.contains("1 document of test is nearly in train") && notes.contains("of dev is nearly in train"),
        "{notes}"
    );
}

#[test]
fn references_that_are_missing_or_empty_are_refused_with_their_line() {
    let project = Project::new();
    project.recipe("", "epochs = 1");
    for (bad, why) in [
        ("{\"document\": \"a text\"}", "test.jsonl:2: the field \"summary\" is missing"),
        ("{\"document\": \"a text\", \"summary\": \" \"}", "test.jsonl:2: the field \"summary\" is empty"),
    ] {
        project.write("data/test.jsonl", &(line("a document", "a summary") + bad + "\n"));
        for command in ["eval", "check"] {
            let said = said(&mut project.command(&[command, "recipe.toml"]));
            assert!(said.code == Some(2) && (said.err + &said.out).contains(why), "{command} {why}");
        }
    }
}
