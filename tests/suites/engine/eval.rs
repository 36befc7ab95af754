//! `lopper eval` on the tiny project: methods side by side, over seeds, once.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod all;
mod copied;
mod failures;
mod notes;

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
    // What the table has no room for.
    let figure = |key: &str| rows[0][key]["mean"].as_f64().unwrap();
    assert!((figure("perplexity") - figure("loss").exp()).abs() < 1e-9, "{found}");
    assert!(figure("rouge1_p") >= 0.0 && figure("rouge_l_r") <= 100.0, "{found}");
    let csv = std::fs::read_to_string(project.path("compared/evaluation.csv")).unwrap();
    assert!(csv.contains(",perplexity,perplexity_sd,") && csv.contains(",rougeL_p,rougeL_p_sd,"), "{csv}");
    // A mean's interval over documents, Holm's p, the runs behind a row, and the dev loss that trainings have told.
    let name = |seed: u64| {
        let mut runs = RunDir::list(&project.path("compared")).unwrap().into_iter();
        runs.find(|run| run.recipe().unwrap().seed == seed).unwrap().name()
    };
    for row in rows {
        let bounds: Vec<f64> =
            row["rouge_l_bounds"].as_array().unwrap().iter().map(|bound| bound.as_f64().unwrap()).collect();
        let mean = row["rouge_l"]["mean"].as_f64().unwrap();
        assert!(bounds[0] <= mean + 1e-9 && mean <= bounds[1] + 1e-9, "{row}");
        assert_eq!(row["runs"], serde_json::json!([name(3), name(4)]), "{row}");
        assert_eq!(row["dev_loss"]["mean"].is_number(), row["method"] == names[4], "{row}");
        let p = |key: &str| row["against"][key].as_f64();
        assert!(p("p_holm") >= p("p") && p("p_holm").is_none_or(|p| p <= 1.0), "{row}");
    }
    assert!(csv.contains(",dev_loss,dev_loss_sd,") && csv.contains(",rougeL_low,rougeL_high,"), "{csv}");
    assert!(csv.contains(&format!(",\"{};{}\",", name(3), name(4))), "{csv}");
    let page = std::fs::read_to_string(project.path("compared/evaluation.html")).unwrap();
    assert!(page.contains(&format!("<a href=\"./{0}/\">{0}</a>", name(4))), "{page}");
    let verdict = found["verdict"].as_str().unwrap();
    assert!(verdict.starts_with("R-L: ") && verdict.ends_with("; Holm's p for 4 comparisons"), "{verdict}");
    assert!(page.contains("marks: Holm's p for 4 comparisons") && standing(&project).notes[0] == verdict, "{page}");
    let run = RunDir::list(&project.path("compared")).unwrap().remove(0);
    let read = |name: &str| std::fs::read_to_string(run.result().join(name)).unwrap();
    assert!(read("report.csv").starts_with("method,documents,loss,perplexity,rouge1,rouge1_p,rouge1_r,"));
    let report: serde_json::Value = serde_json::from_str(&read("report.json")).unwrap();
    let row = &report["rows"][0];
    assert!(report["tokens"].as_str().unwrap().starts_with("words") && read("report.csv").contains(",rouge_tokens\n"));
    assert!(row["rouge"]["rouge2_r"].is_number() && row["perplexity"].as_f64().unwrap() > 1.0, "{report}");
    assert!(read("report.md").contains("| method | perplexity | R-1 P | R-1 R |"), "{}", read("report.md"));
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
fn what_was_made_of_other_inputs_does_not_count() {
    let project = Project::new();
    project.recipe("", "epochs = 1");
    let asked = ["--methods", "zero-shot", "--seeds", "3,3"];
    let first = evaluated(&project, &asked);
    assert_eq!(first["rows"][0]["seeds"], serde_json::json!([3]), "{first}");
    let runs = || RunDir::list(&project.path("compared")).unwrap().len();
    assert_eq!(runs(), 1);
    // A reference is mended.
    let text = std::fs::read_to_string(project.path("data/test.jsonl")).unwrap();
    let mut rows: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    rows[0]["summary"] = "another one".into();
    let lines: Vec<String> = rows.iter().map(ToString::to_string).collect();
    project.write("data/test.jsonl", &lines.join("\n"));
    let second = evaluated(&project, &asked);
    assert!(second["rows"][0]["loss"] != first["rows"][0]["loss"], "{second}");
    assert_eq!(runs(), 2);
    // Another adapter by the same name; a table of another question is not left either.
    let old = project.path("compared/evaluation.md");
    assert!(old.is_file());
    let recipe = std::fs::read_to_string(project.path("recipe.toml")).unwrap();
    let at = recipe.find("path = \"").unwrap() + 8;
    let path = &recipe[at..at + recipe[at..].find('"').unwrap()];
    let said =
        std::process::Command::new("cp").args(["-r", path, "copied"]).current_dir(project.path(".")).status().unwrap();
    assert!(said.success());
    project.write("recipe.toml", &recipe.replacen(path, "copied", 1));
    evaluated(&project, &asked);
    assert_eq!(runs(), 3);
    assert_eq!(evaluated(&project, &asked)["rows"].as_array().map(Vec::len), Some(2));
    assert_eq!(runs(), 3);
}

fn standing(project: &Project) -> lopper::study::Standing {
    lopper::study::Reader::new(&project.path("compared")).unwrap().look().unwrap()
}

#[test]
fn the_table_is_read_while_it_fills_in_and_says_what_stopped_it() {
    let project = Project::new();
    project.recipe("", "epochs = 1");
    let asked = ["--seeds", "3,4", "--methods", "zero-shot,tune-prune"];
    let whole = evaluated(&project, &asked);
    let names = ["zero-shot", "merge + fine-tune + prune once", "merge + fine-tune + prune"];
    let found = standing(&project);
    assert_eq!((found.state, found.runs, found.name.as_str()), (RunState::Finished, (2, 2), "tiny"));
    assert_eq!(found.lines.iter().map(|line| line.name.as_str()).collect::<Vec<_>>(), names);
    let column = |found: &lopper::study::Standing, name: &str| found.heads.iter().position(|h| h.name == name).unwrap();
    let (rouge, bleu) = (column(&found, "R-L"), column(&found, "BLEU"));
    for (line, row) in found.lines.iter().zip(whole["rows"].as_array().unwrap()) {
        assert_eq!(line.cells[rouge].value, row["rouge_l"]["mean"].as_f64(), "{line:?}");
        assert_eq!(line.state(), RunState::Finished);
        let seeds: Vec<_> = line.parts.iter().map(|part| part.label.as_str()).collect();
        assert_eq!(seeds, ["seed 3", "seed 4"]);
    }
    assert!(found.lines[2].stands_out && found.notes.iter().any(|note| note.contains("3 test documents")));
    // As it stood in the middle: one seed compared, the other has told of its first method.
    let of = |seed: u64| {
        let mut runs = RunDir::list(&project.path("compared")).unwrap().into_iter();
        runs.find(|run| run.recipe().unwrap().seed == seed).unwrap()
    };
    let (third, fourth) = (of(3), of(4));
    let path = fourth.journal_file();
    let text = std::fs::read_to_string(&path).unwrap();
    let first = text.lines().position(|line| line.contains("\"type\":\"report\"")).unwrap();
    let lines: Vec<&str> = text.lines().take(first + 1).collect();
    std::fs::write(&path, lines.join("\n") + "\n").unwrap();
    std::fs::remove_file(fourth.path().join("exit.json")).unwrap();
    let found = standing(&project);
    assert_eq!(found.runs, (1, 2));
    let states = |at: usize| found.lines[at].parts.iter().map(|part| part.state).collect::<Vec<_>>();
    assert_eq!(states(0), [RunState::Finished; 2]);
    assert_eq!(states(2), [RunState::Finished, RunState::Crashed]);
    // Both seeds are scored, so the table counts; of the others the one seed that is.
    assert!(found.lines[0].cells[bleu].value.is_some() && found.lines[2].cells[bleu].value.is_none());
    let alone = |at: usize| found.lines[at].cells[rouge].text.clone();
    assert!(alone(0).contains('±') && !alone(2).contains('±'), "{:?}", found.lines);
    assert_eq!(found.lines[2].parts[0].run.as_deref(), Some(third.path()));
    // What the table says is not believed where it is damaged.
    project.write("compared/evaluation.json", "{");
    let error = lopper::study::Reader::new(&project.path("compared")).unwrap().look().unwrap_err().to_string();
    assert!(error.contains("evaluation.json") && error.contains("the same command writes it again"), "{error}");
    let none = lopper::study::Reader::new(&project.path("data")).unwrap_err().to_string();
    assert!(none.contains("is no evaluation and no sweep"), "{none}");
}

#[test]
fn an_encoder_adds_a_column_and_trains_nothing_again() {
    let project = Project::new();
    project.recipe("", "epochs = 1");
    let asked = ["--methods", "zero-shot"];
    let plain = evaluated(&project, &asked);
    assert!(plain["rows"][0]["bert"].is_null() && plain["encoder"].is_null());
    let encoder = tiny::fixture("bert_score/bert");
    let with = ["--encoder", encoder.to_str().unwrap(), "--encoder-layer", "2"];
    let found = evaluated(&project, &[&asked[..], &with].concat());
    assert_eq!(found["encoder"], "bert, layer 2");
    for row in found["rows"].as_array().unwrap() {
        let f = row["bert"][2]["mean"].as_f64().unwrap();
        assert!(f > 0.0 && f < 100.0, "{row}");
    }
    assert_eq!(RunDir::list(&project.path("compared")).unwrap().len(), 1);
    let table = std::fs::read_to_string(project.path("compared/evaluation.md")).unwrap();
    assert!(
        table.contains("| R-L | 95 % | BERT | BLEU |") && table.contains("BERTScore F by bert, layer 2"),
        "{table}"
    );
    let csv = std::fs::read_to_string(project.path("compared/evaluation.csv")).unwrap();
    assert!(csv.contains("bert_f,bert_f_sd"), "{csv}");
    assert!(standing(&project).heads.iter().any(|head| head.name == "BERT"));
    // A run whose recipe names it scores the same itself.
    let text = std::fs::read_to_string(project.path("recipe.toml")).unwrap();
    let named = format!("[eval]\nmethods = [\"zero-shot\"]\nencoder = {encoder:?}\nencoder_layer = 2\n");
    project.write("recipe.toml", &text.replace("[samples]", &format!("{named}[samples]")));
    assert_eq!(project.lopper(&["run", "recipe.toml", "--plain"]).code, Some(0));
    let report = std::fs::read(project.run().result().join("report.json")).unwrap();
    let report: serde_json::Value = serde_json::from_slice(&report).unwrap();
    assert_eq!(report["encoder"], "bert, layer 2");
    for at in 0..2 {
        let (own, other) = (&report["rows"][at]["bert"]["f"], &found["rows"][at]["bert"][2]["mean"]);
        assert!((own.as_f64().unwrap() - other.as_f64().unwrap()).abs() < 1e-9, "{report} {found}");
    }
    let text = std::fs::read_to_string(project.run().result().join("report.md")).unwrap();
    assert!(text.contains("BERTScore F by bert, layer 2, not rescaled") && text.contains("| R-L | BERT |"), "{text}");
    // What is no encoder is told before anything runs.
    for (folder, why) in
        [("data", "eval.encoder: "), ("missing", "eval.encoder: "), ("base", "its model_type is \"llama\"")]
    {
        let args = ["eval", "recipe.toml", "--out", "other", "--encoder", folder];
        let said = said(&mut project.command(&args));
        assert!(said.code == Some(2) && said.err.contains(why), "{said:?}");
        assert!(RunDir::list(&project.path("other")).unwrap().is_empty());
    }
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
    std::fs::remove_file(project.path("compared/exit.json")).unwrap();
    let here = project.lopper(&["resume", "compared", "--plain"]);
    assert_eq!(here.code, Some(0), "{here:?}");
    assert!(here.out.contains("zero-shot") && here.out.contains("compared: evaluation.md"), "{here:?}");
    let again = evaluated(&project, &asked);
    assert_eq!(RunDir::list(&project.path("compared")).unwrap().len(), 1);
    let loss = |found: &serde_json::Value| found["rows"][1]["loss"]["mean"].as_f64().unwrap();
    assert_eq!(loss(&again), loss(&whole));
}
