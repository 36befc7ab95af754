//! What is told beside the figures, and data at its edges.

use super::{evaluated, standing};
use crate::tiny;
use lopper::run::RunDir;
use tiny::{Project, said};

#[test]
fn a_target_that_nothing_trains_is_told_where_a_method_takes_it_as_it_is() {
    let project = Project::new();
    project.recipe("", "epochs = 1");
    let text = std::fs::read_to_string(project.path("recipe.toml")).unwrap();
    let text = text.replace("[target]\nepochs = 1", "[target]\nepochs = 0");
    project.write("recipe.toml", &text.replace("[samples]", "[eval]\nmethods = [\"merge\"]\n[samples]"));
    let why = "eval.methods: \"merge\" takes the target adapter as it is";
    let checked = said(&mut project.command(&["check", "recipe.toml"]));
    assert!(checked.code == Some(0) && checked.out.contains(why), "{checked:?}");
    let found = evaluated(&project, &[]);
    assert!(found["notes"].to_string().contains("takes the target adapter as it is"), "{found}");
}

#[test]
fn other_runs_that_have_scored_the_test_set_are_told() {
    let project = Project::new();
    project.recipe("", "epochs = 1");
    let why = "the test set was scored by 1 other run as well";
    let first = evaluated(&project, &["--methods", "zero-shot"]);
    assert!(!first["notes"].to_string().contains("scored by"), "{first}");
    let second = evaluated(&project, &["--methods", "merge"]);
    assert!(second["notes"].to_string().contains(why), "{second}");
    assert!(standing(&project).notes.iter().any(|note| note.starts_with(&format!("note: {why}"))));
    // Without that one nobody else has looked at it.
    for run in RunDir::list(&project.path("compared")).unwrap() {
        if second["rows"][0]["runs"][0] != run.name() {
            std::fs::remove_dir_all(run.path()).unwrap();
        }
    }
    let third = evaluated(&project, &["--methods", "merge"]);
    assert!(!third["notes"].to_string().contains("scored by"), "{third}");
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
