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
