//! `lopper sweep` on the tiny project: ranked on dev, gone on with after it broke off, the test set scored once.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::tiny;
use lopper::run::event::EventBody;
use lopper::run::{RunDir, RunState};
use serde_json::Value;
use std::collections::BTreeSet;
use std::process::Stdio;
use tiny::{Project, events, said};

fn project() -> Project {
    let project = Project::new();
    project.recipe("", "epochs = 1");
    project
}

fn swept(project: &Project, out: &str, more: &[&str]) -> Value {
    let args = ["sweep", "recipe.toml", "--out", out, "--format", "json"];
    let said = said(&mut project.command(&[&args[..], more].concat()));
    assert_eq!(said.code, Some(0), "{said:?}");
    serde_json::from_str(&said.out).unwrap()
}

fn runs(project: &Project, out: &str) -> Vec<RunDir> {
    RunDir::list(&project.path(out)).unwrap()
}

/// Scores by settings, without what differs from run to run: names, seconds.
fn figures(found: &Value) -> Vec<(String, String)> {
    let score = |of: &Value| {
        let keys = ["loss", "rouge1", "rouge2", "rouge_l", "error", "sparsity", "documents"];
        keys.map(|key| of[key].to_string()).join(" ")
    };
    let mut all: Vec<(String, String)> = found["trials"]
        .as_array()
        .unwrap()
        .iter()
        .map(|trial| (format!("{} {}", trial["settings"], trial["budget"]), score(&trial["score"])))
        .collect();
    all.push((found["chosen"]["settings"].to_string(), score(&found["chosen"]["test"])));
    all
}

/// The cells of the table, without what differs from run to run: names, seconds.
fn cells(project: &Project, out: &str) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(project.path(&format!("{out}/sweep.csv"))).unwrap();
    let heads: Vec<&str> = text.lines().next().unwrap().split(',').collect();
    let stays = |at: usize| !matches!(heads[at], "train_seconds" | "run");
    let of = |line: &str| -> Vec<String> {
        line.split(',').enumerate().filter(|(at, _)| stays(*at)).map(|(_, cell)| cell.to_owned()).collect()
    };
    text.lines().map(of).collect()
}

/// Rows of the test set that were written into the journals of all runs.
fn test_rows(project: &Project, out: &str) -> Vec<String> {
    let rows = |run: &RunDir| {
        events(run).into_iter().filter_map(|event| match event.body {
            EventBody::Report(report) if report.split == "test" => Some(report.rows.len()),
            _ => None,
        })
    };
    let all = runs(project, out);
    let with = |run: &RunDir| rows(run).map(|n| format!("{} {n}", run.recipe().unwrap().name)).collect::<Vec<_>>();
    all.iter().flat_map(with).collect()
}

#[test]
fn trials_are_ranked_on_dev_and_the_choice_alone_sees_the_test_set() {
    let project = project();
    let asked = ["--ratio", "0,0.6", "--lr", "1e-3,1e-2"];
    let found = swept(&project, "s", &asked);
    let trials = found["trials"].as_array().unwrap();
    assert_eq!((trials.len(), &found["axes"]), (4, &serde_json::json!(["ratio", "lr"])));
    let number = |trial: &Value, key: &str| trial["score"][key].as_f64().unwrap();
    for pair in trials.windows(2) {
        let key = |trial: &Value| (-number(trial, "rouge_l"), number(trial, "loss"));
        assert!(key(&pair[0]) <= key(&pair[1]), "{found}");
    }
    let losses: BTreeSet<u64> = trials.iter().map(|trial| number(trial, "loss").to_bits()).collect();
    assert_eq!(losses.len(), 4);
    for trial in trials {
        let ratio = trial["settings"][0].as_f64().unwrap();
        assert!((number(trial, "sparsity") - ratio).abs() < 0.01 && trial["score"]["documents"] == 3, "{trial}");
    }
    // Four trials without a test set and the chosen one with it, scored once.
    assert_eq!(found["chosen"]["settings"], trials[0]["settings"]);
    assert_eq!((runs(&project, "s").len(), &found["chosen"]["looks"]), (5, &1.into()));
    assert_eq!(test_rows(&project, "s"), ["tiny-chosen 1"]);
    // The chosen run is its trial once more: the same dev losses.
    let dev = |name: &str| -> Vec<String> {
        let run = RunDir::open(&project.path(&format!("s/{name}"))).unwrap();
        let of = |body| if let EventBody::Dev(dev) = body { Some(format!("{:?}", dev.loss)) } else { None };
        events(&run).into_iter().filter_map(|event| of(event.body)).collect()
    };
    let (best, chosen) = (trials[0]["run"].as_str().unwrap(), found["chosen"]["run"].as_str().unwrap());
    assert!(dev(best) == dev(chosen) && !dev(best).is_empty());
    for (end, part) in
        [("md", "![dev ROUGE-L"), ("csv", "\"ratio\",\"lr\",training,"), ("json", "\"trials\""), ("svg", "<polyline")]
    {
        let text = std::fs::read_to_string(project.path(&format!("s/sweep.{end}"))).unwrap();
        assert!(text.contains(part), "{text}");
    }
    let chosen = lopper::recipe::Recipe::read(&project.path("s/chosen.toml")).unwrap();
    assert_eq!(Some(chosen.prune.ratio), trials[0]["settings"][0].as_f64());
    // The same question runs nothing again; one ratio more makes one run more, and another choice would be told.
    assert_eq!((swept(&project, "s", &asked), runs(&project, "s").len()), (found.clone(), 5));
    let said = said(&mut project.command(&[&["--ascii", "sweep", "recipe.toml", "--out", "s"][..], &asked].concat()));
    assert!(said.out.is_ascii() || said.out.contains('±'), "{}", said.out);
    assert!(said.out.contains("prune ratio") && said.out.contains("chosen: ratio "), "{}", said.out);
    let more = swept(&project, "s", &["--ratio", "0,0.3,0.6", "--lr", "1e-3,1e-2", "--no-test"]);
    assert_eq!((more["trials"].as_array().unwrap().len(), runs(&project, "s").len()), (6, 7));
    assert!(more["chosen"]["test"].is_null() && test_rows(&project, "s").len() == 1);
}

#[test]
fn a_sweep_that_was_killed_goes_on_to_the_same_figures() {
    let project = project();
    let asked = ["--ratio", "0:0.8:0.4", "--weight", "science=0.5"];
    let whole = swept(&project, "whole", &asked);
    let args = ["sweep", "recipe.toml", "--out", "broken"];
    let mut command = project.command(&[&args[..], &asked].concat());
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let second = tiny::until("the second trial", || {
        runs(&project, "broken").into_iter().find(|run| {
            run.recipe().is_ok_and(|recipe| recipe.name.contains("ratio-0.4")) && lopper::run::lock::is_held(run.path())
        })
    });
    child.kill().unwrap();
    child.wait().unwrap();
    if lopper::run::lock::is_held(second.path()) {
        tiny::kill(&second);
    }
    let first = runs(&project, "broken").into_iter().find(|run| run.recipe().unwrap().name.contains("ratio-0-"));
    let before = std::fs::read(first.unwrap().journal_file()).unwrap();
    // By its folder alone, as a process of its own; a stop ends that.
    let listed = project.lopper(&["runs", "--runs", "."]).out;
    assert!(listed.contains("broken") && listed.contains("sweep, 1 of 3 runs"), "{listed}");
    let resumed = project.lopper(&["resume", "broken"]);
    assert_eq!(resumed.code, Some(0), "{resumed:?}");
    tiny::until("a stop", || (project.lopper(&["stop", "broken"]).code == Some(0)).then_some(()));
    let folder = project.path("broken");
    tiny::until("its end", || (lopper::study::state(&folder) != RunState::Running).then_some(()));
    assert_eq!(lopper::study::state(&folder), RunState::Stopped);
    assert!(project.lopper(&["stop", "broken"]).err.contains("nobody works on it"));
    let here = project.lopper(&["resume", "broken", "--plain"]);
    assert_eq!(here.code, Some(0), "{here:?}");
    assert!(here.out.contains("chosen: ratio ") && here.out.contains("broken: sweep.md"), "{here:?}");
    // The table that it leaves, before the same question writes it again.
    let (left, right) = (cells(&project, "broken"), cells(&project, "whole"));
    assert_eq!(left, right);
    assert!(left.len() == 4 && left.iter().all(|row| row.len() == left[0].len()), "{left:?}");
    let refused = project.lopper(&["resume", "broken", "--plain"]);
    assert!(refused.code == Some(2) && refused.err.contains("is finished"), "{refused:?}");
    let again = swept(&project, "broken", &asked);
    assert_eq!(figures(&again), figures(&whole));
    assert_eq!((runs(&project, "broken").len(), test_rows(&project, "broken").len()), (4, 1));
    let first = runs(&project, "broken").into_iter().find(|run| run.recipe().unwrap().name.contains("ratio-0-"));
    assert_eq!(std::fs::read(first.unwrap().journal_file()).unwrap(), before, "a finished trial ran again");
}

#[test]
fn halving_gives_few_the_whole_training_and_what_diverges_is_a_row() {
    let project = Project::new();
    project.recipe("", "steps = 4");
    let halving = swept(&project, "h", &["--ratio", "0:0.6:0.2", "--search", "halving", "--eta", "2"]);
    let trials = halving["trials"].as_array().unwrap();
    let budgets: Vec<String> = trials.iter().map(|trial| trial["budget"].to_string()).collect();
    assert_eq!(budgets, ["null", "2", "2", "1", "1", "1", "1"]);
    assert_eq!((&halving["chosen"]["settings"], runs(&project, "h").len()), (&trials[0]["settings"], 8));
    let random = ["--ratio", "0.1:0.9", "--search", "random", "--trials", "3", "--seed", "7"];
    let found = swept(&project, "r", &random);
    assert_eq!(found["trials"].as_array().unwrap().len(), 3);
    assert_eq!((swept(&project, "r", &random), runs(&project, "r").len()), (found, 4));
    // A learning rate beyond all reason fails alone.
    let found = swept(&project, "f", &["--lr", "1e-3,1e30"]);
    let trials = found["trials"].as_array().unwrap();
    assert!(trials[0]["failed"].is_null() && trials[1]["score"].is_null(), "{found}");
    assert!(trials[1]["failed"].as_str().unwrap().contains("diverged"), "{found}");
    assert_eq!(runs(&project, "f").iter().filter(|run| run.state() == RunState::Failed).count(), 1);
    // It is tried again, and where all trials came to their end there is nothing to try.
    let again = project.lopper(&["resume", "f", "--plain"]);
    assert!(again.code == Some(0) && again.err.contains("failed: the training diverged"), "{again:?}");
    assert_eq!(runs(&project, "f").len(), 3);
    let refused = project.lopper(&["resume", "r", "--plain"]);
    assert!(refused.code == Some(2) && refused.err.contains("is finished"), "{refused:?}");
}

#[test]
fn what_cannot_be_searched_is_refused_before_anything_runs() {
    let project = project();
    let refused = |args: &[&str], why: &str| {
        let said = said(&mut project.command(&[&["sweep", "recipe.toml"][..], args].concat()));
        assert!(said.code == Some(2) && said.err.contains(why), "{args:?}: {said:?}");
    };
    refused(&[], "nothing is varied; name values with --ratio, --lr or --weight");
    refused(&["--ratio", ""], "--ratio \"\": no value is named");
    refused(&["--ratio", "-0.5"], "-0.5 is no ratio; 0 to 1 is needed");
    refused(&["--ratio", "0:2:0.5"], "1.5 is no ratio; 0 to 1 is needed");
    refused(&["--lr", "0"], "0 is no learning rate");
    refused(&["--weight", "science"], "ADAPTER=VALUES is needed");
    refused(&["--weight", "sience=1"], "no adapter has this name; there are games, science, net");
    refused(&["--rank", "4,8"], "unexpected argument '--rank'");
    refused(&["--ratio", "0.1,0.2", "--trials", "2"], "--trials goes with --search random or halving");
    refused(&["--ratio", "0.1:0.2", "--search", "random"], "--search random needs --trials N");
    refused(&["--ratio", "0.1,0.2", "--search", "halving"], "has nothing to cut: 2 settings of 1 epoch");
    let recipe = std::fs::read_to_string(project.path("recipe.toml")).unwrap();
    let asked = ["--ratio", "0.1,0.2"];
    // The same texts in another order, by other names.
    let dev = std::fs::read_to_string(project.path("data/dev.jsonl")).unwrap();
    let turned: Vec<String> = dev.lines().rev().map(|line| line.replace("\"id\": \"", "\"id\": \"other-")).collect();
    project.write("data/turned.jsonl", &turned.join("\n"));
    for (from, to, why) in [
        ("test = \"data/test.jsonl\"", "test = \"data/dev.jsonl\"", "the choice would be made on the test set"),
        ("test = \"data/test.jsonl\"", "test = \"data/turned.jsonl\"", "the choice would be made on the test set"),
        ("dev = \"data/dev.jsonl\"\n", "", "the key `dev` is missing"),
        ("data/dev.jsonl", "data/none.jsonl", "none.jsonl: no such file"),
        ("data/dev.jsonl", "data/one.jsonl", "data.dev has one example: nothing can be chosen by it"),
        ("data/dev.jsonl", "data/empty.jsonl", "holds no example"),
    ] {
        project.write("data/one.jsonl", &tiny::examples(0..1));
        project.write("data/empty.jsonl", "\n");
        assert!(recipe.contains(from), "{recipe}");
        project.write("recipe.toml", &recipe.replace(from, to));
        refused(&asked, why);
    }
    assert!(!project.path("runs").exists());
}
