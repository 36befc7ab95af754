//! The recipes with the paper's settings: what they say, that each runs to its end on a tiny base and made-up data, and
//! that what they lack is told before anything starts.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::tiny;
use candle_core::{Device, Tensor};
use lopper::lora::Adapter;
use lopper::model::config::Config;
use lopper::module::Projection;
use lopper::recipe::{LrSchedule, Norms, Recipe, Role};
use lopper::run::event::{EventBody, Report, Started};
use lopper::run::{RunDir, RunState};
use lopper::train::plan;
use serde_json::json;
use std::collections::BTreeSet;
use std::ops::Range;
use std::path::{Path, PathBuf};
use tiny::{Project, events, said, utf8};

/// What a target's `train_limit` becomes; the files hold more examples.
const LIMIT: usize = 9;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/evidence/paper")
}

fn recipes() -> Vec<(String, Recipe)> {
    let entries = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let files = entries.filter(|path| path.extension().is_some_and(|end| end == "toml"));
    let mut all: Vec<(String, Recipe)> = files
        .map(|path| (path.file_stem().unwrap().to_str().unwrap().to_owned(), Recipe::read(&path).unwrap()))
        .collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

#[test]
fn every_recipe_has_the_settings_that_are_known() {
    let all = recipes();
    assert_eq!(all.len(), 9);
    for (name, recipe) in &all {
        assert_eq!(&recipe.name, name);
        assert!(recipe.base_shown().contains("meta-llama/Meta-Llama-3-8B-Instruct"), "{}", recipe.base_shown());
        let train = &recipe.train;
        assert_eq!((train.epochs, train.batch, train.lr, train.weight_decay), (10, 8, 1e-4, 0.0));
        assert_eq!((train.schedule, train.dropout, train.warmup), (LrSchedule::Epoch, Some(0.05), 0.0));
        let target = recipe.adapters.iter().find(|adapter| adapter.role == Role::Target).unwrap();
        assert_eq!((target.rank, target.alpha, target.targets.len(), target.path.is_none()), (8, 32.0, 2, true));
        let labels: Vec<String> = plan::stages(recipe).into_iter().map(|stage| stage.label).collect();
        if name.starts_with("related-") {
            assert_eq!((labels, recipe.data.test.is_none()), (vec!["fine-tune".to_owned()], true));
            continue;
        }
        assert!(recipe.data.test.is_some() && recipe.data.train_limit == 50);
        assert_eq!((recipe.prune.norms, recipe.target.epochs), (Norms::Train, 10));
        assert_eq!(labels.last().map(String::as_str), Some("merge + fine-tune + prune"));
        // Each related adapter is what one of the other recipes trains.
        let related: Vec<_> = recipe.adapters.iter().filter(|adapter| adapter.role == Role::Related).collect();
        assert_eq!(related.len(), 2);
        for adapter in related {
            assert_eq!(adapter.path, Some(folder().join("adapters").join(&adapter.name)));
            let of = all.iter().find(|(other, _)| *other == format!("related-{}", adapter.name)).unwrap();
            assert_eq!((of.1.adapters[0].name.as_str(), adapter.weight), (adapter.name.as_str(), 1.0));
        }
    }
}

/// A task's examples as JSON lines, with the fields that the README beside the recipes has for it.
fn examples(task: &str, numbers: Range<usize>) -> String {
    let line = |i: usize| {
        let (sentence, summary) = if task.ends_with("-ja") {
            (format!("{task}の第{i}号の記事です。"), format!("第{i}号の記事"))
        } else {
            (format!("Article {i} of {task} is about number {i}. "), format!("number {i} of {task}"))
        };
        let text = sentence.repeat(1 + i % 2);
        let example = if task.starts_with("xlsum-") {
            json!({"id": format!("{task}-{i}"), "text": text, "summary": summary})
        } else {
            json!({"document": text, "summary": summary})
        };
        example.to_string() + "\n"
    };
    numbers.map(line).collect()
}

/// The recipe and its data in the project's folder, on the project's base. For time it has fewer epochs and examples,
/// and shorter summaries; all else stays as the file has it.
fn put(project: &Project, name: &str, task: &str) {
    let mut text = std::fs::read_to_string(folder().join(format!("{name}.toml"))).unwrap();
    let limit = format!("\ntrain_limit = {LIMIT} ");
    for (from, to) in [
        ("\nbase = \"hf://meta-llama/Meta-Llama-3-8B-Instruct\"", "\ndevice = \"cpu\"\nbase = \"base\""),
        ("\nepochs = 10", "\nepochs = 2"),
        ("\nmax_new_tokens = 128 ", "\nmax_new_tokens = 8 "),
        ("\ntrain_limit = 50 ", limit.as_str()),
    ] {
        let changed = text.replace(from, to);
        assert!(changed != text || name != task && from.contains("train_limit"), "{name} has no {from:?}");
        text = changed;
    }
    project.write(&format!("{name}.toml"), &text);
    std::fs::create_dir_all(project.path(&format!("data/{task}"))).unwrap();
    for (file, numbers) in [("train", 0..12), ("dev", 100..102), ("test", 200..202)] {
        project.write(&format!("data/{task}/{file}.jsonl"), &examples(task, numbers));
    }
}

/// Runs the recipe in lines, as the README beside it says.
fn finished(project: &Project, name: &str) -> (RunDir, Box<Started>, Report) {
    let said = project.lopper(&["run", &format!("{name}.toml"), "--plain"]);
    assert_eq!(said.code, Some(0), "{name}: {said:?}");
    let run = project.runs().into_iter().find(|run| run.recipe().unwrap().name == name).unwrap();
    assert_eq!(run.state(), RunState::Finished, "{name}");
    let started = events(&run).into_iter().find_map(|event| match event.body {
        EventBody::Started(started) => Some(started),
        _ => None,
    });
    let report = std::fs::read(run.result().join("report.json")).unwrap();
    (run, started.unwrap(), serde_json::from_slice(&report).unwrap())
}

/// The result's adapter, at the modules that the recipes name and no others.
fn adapter(project: &Project, run: &RunDir, rank: usize) -> Adapter {
    let config = Config::read(&project.path("base")).unwrap();
    let adapter = Adapter::read(&run.result().join("adapter"), &config, &Device::Cpu).unwrap();
    assert_eq!(adapter.modules.len(), 4);
    for (id, pair) in &adapter.modules {
        assert!(matches!(id.projection, Projection::QProj | Projection::VProj), "{id}");
        assert_eq!(pair.rank(), rank, "{id}");
    }
    adapter
}

fn zeros(tensor: &Tensor) -> usize {
    tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap().iter().filter(|x| **x == 0.0).count()
}

/// Trains a related task's adapter and puts it where the targets look for it.
fn related_task(project: &Project, name: &str) {
    let task = name.strip_prefix("related-").unwrap();
    put(project, name, task);
    let (run, started, report) = finished(project, name);
    assert_eq!((started.train_examples, started.dev_examples, started.test_examples), (12, 2, 0), "{name}");
    let methods: Vec<&str> = report.rows.iter().map(|row| row.method.as_str()).collect();
    assert_eq!((report.split.as_str(), methods), ("dev", vec!["fine-tune"]), "{name}");
    assert!(report.rows[0].loss.is_finite() && report.rows[0].sparsity == 0.0, "{name}: {report:?}");
    // B starts at zero: without one left the training has reached all of it.
    let trained = adapter(project, &run, 8);
    assert!(trained.modules.values().all(|pair| zeros(&pair.a) == 0 && zeros(&pair.b) == 0), "{name}");
    // Two steps an epoch, without a warm-up, x 0.85 an epoch.
    let rate = |body: &EventBody| if let EventBody::Step(step) = body { Some(step.lr) } else { None };
    let rates: Vec<f64> = events(&run).iter().filter_map(|event| rate(&event.body)).collect();
    let wanted = [1e-4, 1e-4, 0.85e-4, 0.85e-4];
    assert_eq!(rates.len(), wanted.len(), "{name}: {rates:?}");
    assert!(rates.iter().zip(wanted).all(|(rate, wanted)| (rate - wanted).abs() < 1e-12), "{name}: {rates:?}");
    let written = project.lopper(&["export", utf8(run.path()), "--adapter", &format!("adapters/{task}")]);
    assert_eq!(written.code, Some(0), "{name}: {written:?}");
}

/// Runs a target on the adapters of its related tasks.
fn target_task(project: &Project, name: &str, recipe: &Recipe) {
    put(project, name, name);
    let (run, started, report) = finished(project, name);
    assert_eq!((started.train_examples, started.dev_examples, started.test_examples), (LIMIT, 2, 2), "{name}");
    // Its own adapter is new, the others are those that the related recipes have made, each of rank 8 and weight 1.
    let of = |name: &str, role: &str, rank: usize, weight: f64| format!("{name} {role} {rank} {weight}");
    let merged: Vec<String> = started.adapters.iter().map(|a| of(&a.name, &a.role, a.rank, a.weight)).collect();
    let wanted: Vec<String> = recipe.adapters.iter().map(|a| of(&a.name, a.role.name(), 8, 1.0)).collect();
    assert_eq!(merged, wanted, "{name}");
    for entry in run.recipe().unwrap().adapters.iter().filter(|entry| entry.role == Role::Related) {
        assert_eq!(entry.path, Some(project.path("adapters").join(&entry.name)), "{name}");
    }
    // Every method has a row of its own, so the related adapters change what the target's own would say.
    let methods: Vec<&str> = report.rows.iter().map(|row| row.method.as_str()).collect();
    let own = "merge + fine-tune + prune";
    let others = ["zero-shot", "target adapter alone", "TIES merge", "LoraHub weights", "merge + fine-tune"];
    assert_eq!((report.split.as_str(), methods), ("test", [&others[..], &[own]].concat()), "{name}");
    let losses: BTreeSet<u64> = report.rows.iter().map(|row| row.loss.to_bits()).collect();
    assert!(losses.len() == 6 && report.rows.iter().all(|row| row.loss.is_finite()), "{name}: {report:?}");
    // Without spaces it is not cut into English words.
    assert_eq!(report.tokens.starts_with("words"), !name.ends_with("-ja"), "{name}: {}", report.tokens);
    let ratio = recipe.prune.ratio;
    assert!(ratio > 0.0 && (report.rows[5].sparsity - ratio).abs() < 0.01, "{name}: {report:?}");
    assert_eq!(report.rows[4].sparsity, 0.0, "{name}: {report:?}");
    // It prunes at every step: two an epoch.
    let prunes = |body: &EventBody| matches!(body, EventBody::Modules(modules) if modules.prunes());
    assert_eq!(events(&run).iter().filter(|event| prunes(&event.body)).count(), 4, "{name}");
    // The result is one adapter of the three, of each of which A and B have lost their share.
    for (id, pair) in adapter(project, &run, 24).modules {
        for start in [0, 8, 16] {
            for (factor, part) in [("A", pair.a.narrow(0, start, 8)), ("B", pair.b.narrow(1, start, 8))] {
                let part = part.unwrap();
                let off = zeros(&part) as f64 - ratio * part.elem_count() as f64;
                assert!(off.abs() <= 1.0, "{name}: {id} {factor} from rank {start}: {off} entries off {ratio}");
            }
        }
    }
}

/// Runs the related tasks of a language and then its targets, as many as there are.
fn run_all(japanese: bool, count: (usize, usize)) {
    let project = Project::new();
    let of_language = recipes().into_iter().filter(|(name, _)| name.ends_with("-ja") == japanese);
    let (related, targets): (Vec<_>, Vec<_>) = of_language.partition(|(name, _)| name.starts_with("related-"));
    assert_eq!((related.len(), targets.len()), count);
    related.iter().for_each(|(name, _)| related_task(&project, name));
    targets.iter().for_each(|(name, recipe)| target_task(&project, name, recipe));
}

#[test]
fn the_english_recipes_run_to_their_end() {
    run_all(false, (2, 2));
}

#[test]
fn the_japanese_recipes_run_to_their_end() {
    run_all(true, (2, 3));
}

#[test]
fn what_they_lack_is_told() {
    let project = Project::new();
    let recipe = folder().join("scitldr.toml");
    for command in ["check", "run"] {
        let said = said(&mut project.command(&[command, tiny::utf8(&recipe)]));
        assert!(said.code == Some(2) && said.err.contains("meta-llama/Meta-Llama-3-8B-Instruct"), "{said:?}");
    }
}
