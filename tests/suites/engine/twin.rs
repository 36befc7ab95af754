//! Five steps of update-and-prune on a tiny model with three adapters, from a recipe through the task and the
//! trainer, against the same steps in PyTorch + PEFT (tests/fixtures/twin/make.py wrote the expected values).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, missing_docs)]

use candle_core::{Device, Tensor};
use lopper::data::batch::Epochs;
use lopper::lora::MergedSet;
use lopper::module::Factor;
use lopper::prune::{Key, Pruner};
use lopper::recipe::{OptimizerKind, Recipe};
use lopper::run::event::EventBody;
use lopper::train::optimizer::Optimizer;
use lopper::train::schedule::learning_rate;
use lopper::train::step::Trainer;
use lopper::train::task::Task;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

const SEED: u64 = 3;
const BATCH: usize = 4;

#[derive(Deserialize)]
struct Reference {
    prompt: String,
    order: Vec<Vec<usize>>,
    weights: BTreeMap<String, f64>,
    sequences: Vec<(Vec<u32>, usize)>,
    variants: BTreeMap<String, Variant>,
}

#[derive(Deserialize)]
struct Variant {
    train: Value,
    prune: Value,
    losses: Vec<f64>,
    norms: Vec<f64>,
    zeros: Vec<Vec<usize>>,
    /// Names of the matrices in the order of everything else: module, adapter, factor.
    matrices: Vec<String>,
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

fn reference() -> (Reference, HashMap<String, Tensor>) {
    let folder = fixtures().join("twin");
    let text = std::fs::read_to_string(folder.join("expected.json")).unwrap();
    let tensors = candle_core::safetensors::load(folder.join("expected.safetensors"), &Device::Cpu).unwrap();
    (serde_json::from_str(&text).unwrap(), tensors)
}

/// The tiny Llama with the twin's tokenizer, as one model folder.
fn base(folder: &Path) {
    for (from, name) in [
        ("models/llama", "config.json"),
        ("models/llama", "model.safetensors"),
        ("twin", "tokenizer.json"),
        ("twin", "tokenizer_config.json"),
    ] {
        std::fs::copy(fixtures().join(from).join(name), folder.join(name)).unwrap();
    }
}

fn recipe(reference: &Reference, variant: &Variant, base: &Path) -> Recipe {
    let mut train = variant.train.clone();
    // Two or three passes a step: the gradient of a batch is gathered from them.
    for (key, value) in [("batch", json!(BATCH)), ("micro_tokens", json!(36)), ("steps", json!(5))] {
        train[key] = value;
    }
    let twin = fixtures().join("twin");
    // The target need not come first: here it is the adapter with the fewest modules.
    let adapters: Vec<Value> = ["games", "science", "libs"]
        .iter()
        .map(|name| {
            let role = if *name == "libs" { "target" } else { "related" };
            json!({ "name": name, "role": role, "path": twin.join(name), "weight": reference.weights[*name] })
        })
        .collect();
    let text = toml::to_string(&json!({
        "base": base, "seed": SEED, "device": "cpu", "dtype": "f32", "adapters": adapters, "train": train,
        "prune": variant.prune,
        "data": { "train": twin.join("train.jsonl"), "dev": twin.join("dev.jsonl"), "prompt": reference.prompt },
    }));
    Recipe::parse(&text.unwrap()).unwrap()
}

/// All matrices one after another in PEFT's layout: their names, where they end, their numbers.
fn matrices(set: &MergedSet, names: &[String]) -> Vec<(String, Vec<f32>)> {
    let mut all = Vec::new();
    let adapters: Vec<_> = (0..names.len()).map(|i| set.adapter(i).unwrap()).collect();
    for id in set.modules.keys() {
        for (name, pairs) in names.iter().zip(&adapters) {
            let Some((a, b)) = pairs.get(id) else { continue };
            for (matrix, factor) in [(a, "A"), (b, "B")] {
                all.push((format!("{id}.{name}.{factor}"), matrix.flatten_all().unwrap().to_vec1().unwrap()));
            }
        }
    }
    all
}

/// A matrix's mask in PEFT's layout.
fn mask(pruner: &Pruner, set: &MergedSet, key: Key) -> Vec<u8> {
    let mask = pruner.mask(key).unwrap().unwrap();
    let rank = set.modules[&key.0].segments.iter().find(|s| s.adapter == key.1).unwrap().rank;
    let width = mask.len() / rank;
    match key.2 {
        Factor::A => mask.to_vec(),
        Factor::B => (0..mask.len()).map(|flat| mask[(flat % rank) * width + flat / rank]).collect(),
    }
}

fn unpacked(bytes: &[u8], n: usize) -> Vec<u8> {
    bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1)).take(n).collect()
}

fn relative(got: f64, want: f64) -> f64 {
    (got - want).abs() / want.abs().max(1e-12)
}

/// The largest differences of a variant.
#[derive(Debug, Default)]
struct Worst {
    loss: f64,
    gradient_norm: f64,
    matrix_norm: f64,
    importance: f64,
    weight: f32,
    masks: usize,
    entries: usize,
}

fn run(name: &str) -> Worst {
    let (reference, tensors) = reference();
    let variant = &reference.variants[name];
    let folder = tempfile::tempdir().unwrap();
    base(folder.path());
    let recipe = recipe(&reference, variant, folder.path());
    let mut events: Vec<EventBody> = Vec::new();
    let task = Task::load(&recipe, &mut events).unwrap();
    for (sequence, (tokens, prompt)) in task.train.encoded.sequences.iter().zip(&reference.sequences) {
        assert_eq!((&sequence.tokens, sequence.prompt), (tokens, *prompt), "the twin reads other tokens");
    }
    let examples = task.train.encoded.sequences.len();
    assert_eq!(examples, reference.sequences.len());
    let steps = recipe.train.steps;
    let order: Vec<Vec<usize>> = Epochs::new(examples, BATCH, SEED).take(steps).collect();
    assert_eq!(order, reference.order, "write this order into tests/fixtures/twin/order.json and make it again");

    let names: Vec<String> = recipe.adapters.iter().map(|a| a.name.clone()).collect();
    let mut trainer = Trainer {
        task: &task,
        settings: &recipe.train,
        set: MergedSet::merged(&task.adapters).unwrap(),
        optimizer: Optimizer::new(&recipe.train),
        pruner: Some(Pruner::new(&recipe.prune, names.clone(), SEED).unwrap()),
        key: 0,
    };
    let rows = |what: &str| tensors[&format!("{name}.{what}")].clone();
    let (norms, importance) = (rows("norms").to_vec2::<f32>().unwrap(), rows("importance").to_vec2::<f32>().unwrap());
    let masks = rows("masks").to_vec2::<u8>().unwrap();
    let mut worst = Worst::default();
    for (step, chosen) in order.iter().enumerate() {
        let lr = learning_rate(&recipe.train, recipe.train.lr, step, steps, examples.div_ceil(BATCH));
        let update = trainer.step(step + 1, steps, chosen, lr).unwrap();
        worst.loss = worst.loss.max(relative(update.loss, variant.losses[step]));
        worst.gradient_norm = worst.gradient_norm.max(relative(update.norm, variant.norms[step]));
        let all = matrices(&trainer.set, &names);
        assert_eq!(all.iter().map(|m| &m.0).collect::<Vec<_>>(), variant.matrices.iter().collect::<Vec<_>>());
        let total = all.iter().map(|m| m.1.len()).sum();
        let wanted = unpacked(&masks[step], total);
        let pruner = trainer.pruner.as_ref().unwrap();
        let mut at = 0;
        for (i, ((key, state), (matrix, numbers))) in update.matrices.iter().zip(&all).enumerate() {
            let zeros = numbers.iter().filter(|w| **w == 0.0).count();
            assert_eq!(zeros, variant.zeros[step][i], "{name} step {} {matrix}", step + 1);
            let norm = numbers.iter().map(|w| f64::from(*w) * f64::from(*w)).sum::<f64>().sqrt();
            worst.matrix_norm = worst.matrix_norm.max(relative(norm, f64::from(norms[step][i])));
            worst.importance =
                worst.importance.max(relative(f64::from(state.importance), f64::from(importance[step][i])));
            let got = mask(pruner, &trainer.set, *key);
            worst.masks += got.iter().zip(&wanted[at..]).filter(|(a, b)| a != b).count();
            worst.entries += got.len();
            at += got.len();
        }
        assert_eq!(at, total);
    }
    if recipe.train.optimizer == OptimizerKind::Sgd {
        let want = rows("weights").to_vec1::<f32>().unwrap();
        let got: Vec<f32> = matrices(&trainer.set, &names).into_iter().flat_map(|m| m.1).collect();
        assert_eq!(got.len(), want.len());
        worst.weight = got.iter().zip(&want).fold(0.0, |m, (g, w)| m.max((g - w).abs()));
    }
    println!("{name}: {worst:?}");
    assert!(worst.loss < 1e-3 && worst.gradient_norm < 1e-3, "{name}: {worst:?}");
    assert!(worst.matrix_norm < 1e-3 && worst.importance < 1e-3, "{name}: {worst:?}");
    worst
}

/// Adam's first steps are ± the learning rate whatever the gradient: where it is tiny, rounding decides.
fn adam(name: &str) {
    let worst = run(name);
    assert!(worst.masks * 1000 <= worst.entries, "{name}: more than 0.1 % of the masks differ: {worst:?}");
}

/// Plain gradient descent amplifies nothing: the weights agree and so do all masks.
fn descent(name: &str) {
    let worst = run(name);
    assert!(worst.weight < 1e-5, "{name}: {worst:?}");
    assert_eq!(worst.masks, 0, "{name}: {worst:?}");
}

#[test]
fn adamw_with_direct_importance() {
    adam("adamw");
}

#[test]
fn plain_descent_with_direct_importance_and_rules() {
    descent("sgd");
}

#[test]
fn adamw_with_the_products_importance_over_the_training_set() {
    adam("product");
}

#[test]
fn plain_descent_with_sensitivity_by_row_held_and_recomputed() {
    descent("sensitivity");
}

#[test]
fn adamw_with_running_norms_by_module() {
    adam("running");
}
