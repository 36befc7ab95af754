//! The whole way through the real binary: a run from its recipe to its result, and the user's orders meanwhile.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::tiny;
use candle_core::{DType, Device, Tensor};
use lopper::lora::{Adapter, MergedSet};
use lopper::model::config::Config;
use lopper::model::decoder::Decoder;
use lopper::model::matrix::Hold;
use lopper::model::weights::Weights;
use lopper::recipe::Recipe;
use lopper::recipe::ratios::Rule;
use lopper::run::blocks::{self, Wanted};
use lopper::run::control::{Command, send};
use lopper::run::event::{EventBody, Report};
use lopper::run::{RunDir, RunState};
use std::os::unix::fs::PermissionsExt;
use tiny::{Project, assert_tidy, events, result, until, until_event, until_over, utf8};

/// A training that ends only when it is told to.
const ENDLESS: &str = "steps = 1000000\neval_every = 1000000\ncheckpoint_every = 1000000";

fn zeros(tensor: &Tensor) -> usize {
    tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap().iter().filter(|x| **x == 0.0).count()
}

#[test]
fn a_run_goes_from_its_recipe_to_its_result() {
    let project = Project::new();
    let said = project.lopper(&["run", "recipe.toml", "--plain"]);
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{said:?}");
    let run = project.run();
    for line in [
        "tiny: ",
        "3 adapters, ",
        "12 train, 3 dev, 3 test examples",
        "stage 1/2: target adapter alone",
        "stage 2/2: merge + fine-tune + prune",
        "  step    1/6  epoch 0.33  loss ",
        "ETA ",
        "dev loss ",
        "reference: game engine 100",
        "test summaries 3/3",
        "method ",
        "finished: the adapter and the report are in ",
    ] {
        assert!(said.out.contains(line), "{line}: {}", said.out);
    }
    // The journal: numbered without a gap, from `started` to `finished`, every step told.
    let journal = events(&run);
    assert!(journal.iter().enumerate().all(|(i, e)| e.seq == i as u64));
    assert!(matches!(journal.last().unwrap().body, EventBody::Finished { .. }));
    let steps: Vec<_> =
        journal.iter().filter_map(|e| if let EventBody::Step(s) = &e.body { Some(s.step) } else { None }).collect();
    assert_eq!(steps, [1, 2, 3, 1, 2, 3, 4, 5, 6]);
    assert!(journal.iter().filter(|e| matches!(&e.body, EventBody::Modules(m) if m.prunes())).count() == 6);
    // The target adapter's training prunes nothing, and tells what matters in it.
    assert!(journal.iter().filter(|e| matches!(&e.body, EventBody::Modules(m) if !m.prunes())).count() == 3);
    // Looked into, every matrix of the checkpoint has the zeros that the journal tells of its step.
    let started =
        journal.iter().find_map(|e| if let EventBody::Started(s) = &e.body { Some(s) } else { None }).unwrap();
    let mut looked = 0;
    for (at, matrix) in started.matrices.iter().enumerate() {
        let wanted = Wanted::of(started, at).unwrap();
        let blocks = blocks::read(&run, &wanted).unwrap();
        let told = journal.iter().rev().find_map(|e| match &e.body {
            EventBody::Modules(m) if m.prunes() && m.step == blocks.step => m.sparsity[at],
            _ => None,
        });
        let all = blocks.all();
        assert_eq!(all.entries, (matrix.rows * matrix.cols) as u64);
        assert!((f64::from(told.unwrap()) * all.entries as f64 - all.zeros as f64).abs() < 1e-3, "{matrix:?} {all:?}");
        looked += all.zeros;
    }
    assert!(looked > 0);
    // What is left in the run directory.
    assert_eq!(run.state(), RunState::Finished);
    assert_eq!(std::fs::metadata(run.path()).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(std::fs::read(run.log_file()).unwrap(), b"");
    assert_tidy(&run);
    let kept = Recipe::read(&run.recipe_file()).unwrap();
    assert_eq!(kept, { Recipe::read(&project.path("recipe.toml")).unwrap() });
    let report: Report = serde_json::from_slice(&std::fs::read(run.result().join("report.json")).unwrap()).unwrap();
    assert_eq!((report.split.as_str(), report.rows.len(), report.rows[0].documents), ("test", 1, 3));
    assert!(report.rows[0].loss.is_finite() && (report.rows[0].sparsity - 0.5).abs() < 1e-6);
    let markdown = std::fs::read_to_string(run.result().join("report.md")).unwrap();
    assert!(markdown.starts_with("# tiny\n") && markdown.contains("| merge + fine-tune + prune | 3 |"), "{markdown}");
    let summaries = std::fs::read_to_string(run.result().join("summaries/merge-fine-tune-prune.jsonl")).unwrap();
    assert_eq!(summaries.lines().count(), 3);
    // The adapter: half of every matrix is exactly zero, ranks are concatenated.
    let config = Config::read(&project.path("base")).unwrap();
    let adapter = Adapter::read(&run.result().join("adapter"), &config, &Device::Cpu).unwrap();
    assert_eq!(adapter.modules.len(), 14);
    let all: usize = adapter.modules.values().map(|p| p.a.elem_count() + p.b.elem_count()).sum();
    let gone: usize = adapter.modules.values().map(|p| zeros(&p.a) + zeros(&p.b)).sum();
    assert_eq!(2 * gone, all);
    // Whoever looks later reads the same.
    let again = project.lopper(&["attach", utf8(run.path()), "--plain"]);
    assert_eq!((again.code, &again.out), (Some(0), &said.out));
    let list = project.lopper(&["runs"]);
    assert!(list.out.starts_with(&format!("{}  finished  the adapter", run.name())), "{list:?}");
    // A finished run takes no orders.
    for (verb, why) in [("pause", "has no worker: it is finished"), ("resume", "there is nothing to resume")] {
        let said = project.lopper(&[verb, utf8(run.path())]);
        assert!(said.code == Some(2) && said.err.contains(why), "{said:?}");
    }
}

fn logits(base: &std::path::Path, adapter: Option<&std::path::Path>) -> Tensor {
    let config = Config::read(base).unwrap();
    let weights = Weights::load(base, &config).unwrap();
    let set = adapter.map(|folder| {
        let adapter = Adapter::read(folder, &config, &Device::Cpu).unwrap();
        MergedSet::merged(&[(adapter, 1.0)]).unwrap()
    });
    let decoder = Decoder::load(config, &weights, DType::F32, Hold::Numbers, &Device::Cpu).unwrap();
    let pass = decoder.pass(set.as_ref(), None).unwrap();
    let tokens: Vec<u32> = (0..40).map(|i| (i * 37 + 5) % 640).collect();
    let (x, packed) = decoder.embed(&tokens, &[40]).unwrap();
    decoder.logits(&decoder.forward(&x, &packed, &pass).unwrap()).unwrap()
}

fn worst(a: &Tensor, b: &Tensor) -> f32 {
    (a - b).unwrap().abs().unwrap().max_all().unwrap().to_scalar().unwrap()
}

#[test]
fn the_result_is_exported_as_an_adapter_and_as_a_model() {
    let project = Project::new();
    // The base in f32: the merged weights are then not rounded to the base's bf16.
    let file = project.path("base/model.safetensors");
    let mut tensors = candle_core::safetensors::load(&file, &Device::Cpu).unwrap();
    tensors.values_mut().for_each(|t| *t = t.to_dtype(DType::F32).unwrap());
    candle_core::safetensors::save(&tensors, &file).unwrap();
    project.recipe("", "epochs = 1");
    assert_eq!(project.lopper(&["run", "recipe.toml", "--plain"]).code, Some(0));
    let run = project.run();
    let path = utf8(run.path());
    let both = project.lopper(&["export", path, "--adapter", "a", "--merged", "m"]);
    assert_eq!(both.code, Some(2), "one at a time: {both:?}");
    for (option, folder) in [("--adapter", "out/adapter"), ("--merged", "out/model")] {
        let said = project.lopper(&["export", path, option, folder]);
        assert_eq!(said.code, Some(0), "{said:?}");
        let again = project.lopper(&["export", path, option, folder]);
        assert!(again.code == Some(2) && again.err.contains("exists already"), "{again:?}");
    }
    let base = project.path("base");
    let adapted = logits(&base, Some(&run.result().join("adapter")));
    assert_eq!(worst(&adapted, &logits(&base, Some(&project.path("out/adapter")))), 0.0);
    let merged = worst(&adapted, &logits(&project.path("out/model"), None));
    assert!(merged < 1e-3, "{merged}");
    assert!(worst(&adapted, &logits(&base, None)) > 0.1, "the adapter does something");
}

#[test]
fn plain_lora_training_is_one_adapter_and_no_pruning() {
    let project = Project::new();
    project.recipe("", "epochs = 1");
    let text = std::fs::read_to_string(project.path("recipe.toml")).unwrap();
    let alone = text.split("[[adapters]]\nname = \"science\"").next().unwrap().to_owned() + "[prune]\nratio = 0.0\n";
    project.write("recipe.toml", &alone);
    let said = project.lopper(&["run", "recipe.toml", "--plain", "--name", "a related one"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.out.contains("stage 1/1: fine-tune\n"), "{}", said.out);
    let run = project.run();
    assert!(run.name().starts_with("a-related-one-"));
    let config = Config::read(&project.path("base")).unwrap();
    let adapter = Adapter::read(&run.result().join("adapter"), &config, &Device::Cpu).unwrap();
    assert!(adapter.modules.values().all(|p| p.rank() == 4 && zeros(&p.a) == 0 && zeros(&p.b) == 0));
    assert!(!events(&run).iter().any(|e| matches!(&e.body, EventBody::Modules(m) if m.prunes())));
}

#[test]
fn the_report_compares_the_methods_in_order() {
    let project = Project::new();
    project.recipe("", "epochs = 1");
    project.append("recipe.toml", "[eval]\nmethods = [\"zero-shot\", \"target\", \"merge\", \"merge-tune\"]\n");
    let said = project.lopper(&["run", "recipe.toml", "--plain"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    let report = std::fs::read(project.run().result().join("report.json")).unwrap();
    let report: Report = serde_json::from_slice(&report).unwrap();
    let methods: Vec<&str> = report.rows.iter().map(|r| r.method.as_str()).collect();
    let want =
        ["zero-shot", "target adapter alone", "merge, no training", "merge + fine-tune", "merge + fine-tune + prune"];
    assert_eq!(methods, want);
    assert_eq!(report.rows.iter().map(|r| r.sparsity > 0.4).collect::<Vec<_>>(), [false, false, false, false, true]);
    // Each method is a model of its own.
    let losses: std::collections::BTreeSet<u64> = report.rows.iter().map(|r| r.loss.to_bits()).collect();
    assert_eq!(losses.len(), 5);
}

#[test]
fn the_controls_of_the_report_are_what_they_say() {
    let project = Project::new();
    project.recipe("", "epochs = 1");
    let all = ["few-shot", "target-tune", "lora-hub", "merge", "tune-prune", "prune-tune", "random-prune"];
    project.append("recipe.toml", &format!("[eval]\nshots = 2\nhub_steps = 6\nmethods = {all:?}\n"));
    let said = project.lopper(&["run", "recipe.toml", "--plain"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    let run = project.run();
    let report = std::fs::read(run.result().join("report.json")).unwrap();
    let report: Report = serde_json::from_slice(&report).unwrap();
    let pruned: Vec<(&str, bool)> =
        report.rows.iter().map(|r| (r.method.as_str(), (r.sparsity - 0.5).abs() < 0.02)).collect();
    let want = [
        ("few-shot prompt", false),
        ("target adapter, trained on", false),
        ("LoraHub weights", false),
        ("merge, no training", false),
        ("merge + fine-tune + prune once", true),
        ("merge + prune once + fine-tune", true),
        ("merge + fine-tune + prune at random", true),
        ("merge + fine-tune + prune", true),
    ];
    assert_eq!(pruned, want);
    let losses: std::collections::BTreeSet<u64> = report.rows.iter().map(|r| r.loss.to_bits()).collect();
    assert_eq!(losses.len(), want.len());
    // Tried weights are never worse than those of the recipe, which are the first, by the loss that is searched with.
    let tried: Vec<f64> = events(&run)
        .iter()
        .filter_map(|e| match &e.body {
            EventBody::Phase(p) => p.label.strip_prefix("weights, loss ")?.split(' ').next()?.parse().ok(),
            _ => None,
        })
        .collect();
    assert!(tried.len() == 6 && tried.windows(2).all(|pair| pair[1] <= pair[0]), "{tried:?}");
    let told =
        |text: &str| events(&run).iter().any(|e| matches!(&e.body, EventBody::Warning { text: t } if t.contains(text)));
    assert!(told("LoraHub's weights: games "), "{said:?}");
}

/// Of every pruning of a method's stage, the share of entries that changed sides.
fn flips(run: &RunDir, method: &str) -> Vec<f32> {
    let all = events(run);
    let begins = all.iter().position(|e| matches!(&e.body, EventBody::Stage(s) if s.method == method && s.prunes));
    let stage = all[begins.unwrap() + 1..].iter().take_while(|e| !matches!(e.body, EventBody::Stage(_)));
    stage
        .filter_map(|e| match &e.body {
            EventBody::Modules(m) => Some(m.flips.iter().flatten().sum()),
            _ => None,
        })
        .collect()
}

#[test]
fn what_is_pruned_once_or_by_chance_stays_so() {
    let project = Project::new();
    project.recipe("", "epochs = 2\ncheckpoint_every = 1");
    project.append("recipe.toml", "[eval]\nmethods = [\"prune-tune\", \"random-prune\"]\n");
    assert_eq!(project.lopper(&["run", "recipe.toml", "--plain"]).code, Some(0));
    let run = project.run();
    let once = flips(&run, "merge + prune once + fine-tune");
    assert!(once.len() == 6 && once.iter().all(|f| *f == 0.0), "{once:?}");
    let chance = flips(&run, "merge + fine-tune + prune at random");
    assert!(chance.len() == 6 && chance[1..].iter().all(|f| *f == 0.0), "{chance:?}");
    let each = flips(&run, "merge + fine-tune + prune");
    assert!(each[1..].iter().any(|f| *f > 0.0), "{each:?}");
}

#[test]
fn a_method_that_cannot_be_is_refused_by_name() {
    let project = Project::new();
    for (settings, methods, why) in [
        ("[prune]\nratio = 0.0", "tune-prune", "there is nothing to prune: set prune.ratio above 0"),
        ("[prune]\nimportance = \"sensitivity\"", "prune-tune", "knows nothing without a training step"),
        ("", "few-shot", "eval.shots = 0 leaves no example"),
        ("", "ties-and-dyes", "`ties-and-dyes` is not known here; use `zero-shot`"),
    ] {
        project.recipe("", "epochs = 1");
        project.append("recipe.toml", &format!("[eval]\nshots = 0\nmethods = [{methods:?}]\n{settings}\n"));
        let said = project.lopper(&["check", "recipe.toml"]);
        assert!(said.code == Some(2) && said.err.contains(why), "{said:?}");
    }
}

#[test]
fn a_training_that_gets_no_better_is_stopped_early() {
    let project = Project::new();
    project.recipe("", "epochs = 50\nlr = 1e-30\npatience = 2\nbest_by = \"rouge-l\"");
    let text = std::fs::read_to_string(project.path("recipe.toml")).unwrap();
    project.write("recipe.toml", &text.replacen("lr = 1e-3\n", "", 1));
    let said = project.lopper(&["run", "recipe.toml", "--plain"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.out.contains("note: stopped early at step 9: no better dev result in 2 evaluations"), "{}", said.out);
    assert!(said.out.contains("ROUGE-L "), "{}", said.out);
}

#[test]
fn a_run_obeys_while_it_goes_on() {
    let project = Project::new();
    project.recipe("", ENDLESS);
    let run = project.detached();
    let path = utf8(run.path()).to_owned();
    let order = |verb: &str| {
        let said = project.lopper(&[verb, &path]);
        assert!(said.code == Some(0) && said.out.contains("sent to"), "{said:?}");
    };
    let prunes = |event: &EventBody| matches!(event, EventBody::Modules(m) if m.prunes());
    until_event(&run, "the second stage", prunes);
    order("pause");
    until_event(&run, "the pause", |e| matches!(e, EventBody::Paused { paused: true }));
    let paused = || events(&run).iter().filter(|e| matches!(e.body, EventBody::Step(_))).count();
    let steps = paused();
    // Samples and checkpoints are made in a pause as well; training is not.
    send(run.path(), Command::Generate).unwrap();
    send(run.path(), Command::Checkpoint).unwrap();
    let answered = |command: &str, ok: bool| {
        let command = command.to_owned();
        until_event(&run, &command, |e| matches!(e, EventBody::Control(c) if c.command == command && c.ok == ok));
    };
    answered("generate", true);
    answered("checkpoint", true);
    let rule = |modules: &str, ratio| Rule { modules: modules.into(), adapter: "*".into(), factor: None, ratio };
    send(run.path(), Command::SetRatios { rules: vec![rule("layers.1-0.*", 0.5)] }).unwrap();
    answered("set_ratios", false);
    send(run.path(), Command::SetRatios { rules: vec![rule("layers.99.*", 0.5)] }).unwrap();
    until_event(
        &run,
        "a rule without a matrix",
        |e| matches!(e, EventBody::Control(c) if !c.ok && c.text.contains("layers.99.*") && c.text.contains("no matrix")),
    );
    send(run.path(), Command::SetRatios { rules: vec![rule("layers.1.*", 0.875)] }).unwrap();
    answered("set_ratios", true);
    assert_eq!(paused(), steps);
    order("continue");
    until("steps after the pause", || (paused() > steps).then_some(()));
    // The new ratios hold from the next step, in layer 1 only.
    let matrices = events(&run).into_iter().find_map(|e| match e.body {
        EventBody::Started(started) => Some(started.matrices),
        _ => None,
    });
    let matrices = matrices.unwrap();
    until_event(&run, "the new ratios", |e| {
        let EventBody::Modules(modules) = e else { return false };
        let right = |(m, s): (&lopper::run::event::MatrixInfo, &Option<f32>)| {
            (s.unwrap_or(-1.0) - if m.module.layer == 1 { 0.875 } else { 0.5 }).abs() < 1e-3
        };
        matrices.iter().zip(&modules.sparsity).all(right)
    });
    order("stop");
    until_over(&run);
    assert_eq!(run.state(), RunState::Stopped);
    assert_tidy(&run);
    let stopped = project.lopper(&["attach", &path, "--plain"]);
    assert_eq!(stopped.code, Some(0), "{stopped:?}");
    assert!(stopped.out.trim_end().ends_with("goes on"), "says how to go on: {}", stopped.out);
    let none = project.lopper(&["export", &path, "--adapter", "x"]);
    assert!(none.code == Some(2) && none.err.contains("has no result yet: it is stopped"), "{none:?}");
    // The rules are still there after a resume.
    let before = events(&run).len();
    let mut resumed = project.command(&["resume", &path, "--plain"]);
    let resumed = resumed.stdout(std::process::Stdio::piped()).spawn().unwrap();
    until("a step after the resume", || {
        events(&run)[before..].iter().any(|e| matches!(&e.body, EventBody::Modules(m) if m.prunes())).then_some(())
    });
    order("stop");
    let output = resumed.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let lines = String::from_utf8(output.stdout).unwrap();
    assert!(lines.contains("goes on from stage 2, step ") && !lines.contains("stage 1/2"), "only what is new: {lines}");
    let modules = events(&run)[before..].iter().find_map(|e| match &e.body {
        EventBody::Modules(modules) => Some(modules.ratio.clone()),
        _ => None,
    });
    for (matrix, ratio) in matrices.iter().zip(modules.unwrap()) {
        assert_eq!(ratio, Some(if matrix.module.layer == 1 { 0.875 } else { 0.5 }));
    }
}

#[test]
fn a_rule_that_matches_nothing_is_refused() {
    let project = Project::new();
    project.recipe("", "epochs = 1\n[prune]\nrules = [{ modules = \"*.q_porj\", ratio = 0.5 }]");
    let said = project.lopper(&["run", "recipe.toml", "--plain"]);
    assert_eq!(said.code, Some(2), "{said:?}");
    assert!(said.err.contains("prune rule 1") && said.err.contains("*.q_porj"), "{said:?}");
}

#[test]
fn an_interrupted_follower_leaves_the_run_alone() {
    let project = Project::new();
    project.recipe("", ENDLESS);
    let mut command = project.command(&["run", "recipe.toml", "--plain"]);
    let follower = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let run = until("the run", || project.runs().pop());
    until_event(&run, "a step", |e| matches!(e, EventBody::Step(_)));
    let pid = rustix::process::Pid::from_child(&follower);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let output = follower.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("the run goes on; `lopper attach"), "{text}");
    assert_eq!(run.state(), RunState::Running);
    assert_eq!(project.lopper(&["stop", utf8(run.path())]).code, Some(0));
    until_over(&run);
}

#[test]
fn runs_of_one_name_and_second_do_not_meet() {
    let project = Project::new();
    project.recipe("", "epochs = 1");
    let mut commands: Vec<_> = (0..3).map(|_| project.command(&["run", "recipe.toml", "--detach"])).collect();
    let children: Vec<_> =
        commands.iter_mut().map(|c| c.stdout(std::process::Stdio::null()).spawn().unwrap()).collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    let runs: Vec<RunDir> = project.runs();
    assert_eq!(runs.len(), 3);
    for run in &runs {
        until_over(run);
        assert_eq!(run.state(), RunState::Finished, "{}", run.name());
        // Same recipe, same seed, same threads: the same numbers.
        assert!(result(run) == result(&runs[0]));
    }
    let recipe = Recipe::read(&project.path("recipe.toml")).unwrap();
    let names: Vec<String> =
        (0..20).map(|_| RunDir::create(&project.path("more"), "x/../y", &recipe).unwrap().name()).collect();
    let distinct: std::collections::BTreeSet<&String> = names.iter().collect();
    assert_eq!(distinct.len(), 20);
    assert!(names.iter().all(|n| n.starts_with("x-..-y-")) && names.iter().any(|n| n.ends_with("-1")), "{names:?}");
}
