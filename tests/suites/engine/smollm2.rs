//! SmolLM2-135M with three adapters against transformers, PEFT and PyTorch (tests/fixtures/smollm2/make.py wrote the
//! expected values), and a whole run through the real binary.
//!
//! The model is no part of the repository: tests/fixtures/smollm2/fetch.py gets it, `cargo test -- --ignored` runs these.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, missing_docs)]

use candle_core::{DType, Device, Tensor};
use lopper::data::batch::Batch;
use lopper::lora::{Adapter, Gradients, MergedSet, SquareSums};
use lopper::model::{config::Config, decoder::Decoder, matrix::Hold, weights::Weights};
use lopper::module::Factor;
use lopper::prune::{Key, Pruner};
use lopper::recipe::Recipe;
use lopper::run::event::EventBody;
use lopper::run::{RunDir, RunState};
use lopper::train::{optimizer::Optimizer, step::Trainer, task::Task};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const NAMES: [&str; 3] = ["games", "science", "net"];
const PROJECTIONS: [&str; 7] = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"];

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/smollm2").join(name)
}

fn base() -> PathBuf {
    let folder = std::env::var_os("LOPPER_SMOLLM2")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target/smollm2"), PathBuf::from);
    assert!(folder.join("model.safetensors").is_file(), "no SmolLM2 in {}: run fetch.py", folder.display());
    folder
}

fn expected() -> (Value, HashMap<String, Tensor>) {
    let json = serde_json::from_slice(&std::fs::read(fixture("expected.json")).unwrap()).unwrap();
    (json, candle_core::safetensors::load(fixture("expected.safetensors"), &Device::Cpu).unwrap())
}

/// make.py's `hashes`.
fn hash(stream: u64, index: usize) -> u64 {
    const STEP: u64 = 0x9E37_79B9_7F4A_7C15;
    let x = ((stream << 32) + index as u64).wrapping_mul(STEP).wrapping_add(STEP);
    let x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

/// make.py's `numbers`.
fn numbers(stream: u64, shape: (usize, usize)) -> Tensor {
    let number = |i| (((hash(stream, i) >> 40) as f64 / f64::from(1 << 24) - 0.5) / 16.0) as f32;
    Tensor::from_vec((0..shape.0 * shape.1).map(number).collect(), shape, &Device::Cpu).unwrap()
}

/// make.py's `sketch`: length, and products with three vectors of signs.
fn sketch(stream: usize, numbers: &[f32]) -> [f64; 4] {
    let mut sums = [0.0; 4];
    for (i, &x) in numbers.iter().enumerate() {
        let x = f64::from(x);
        sums[0] += x * x;
        for (k, sum) in sums[1..].iter_mut().enumerate() {
            *sum += if hash((100_000 + 3 * stream + k) as u64, i) >> 63 == 1 { -x } else { x };
        }
    }
    sums[0] = sums[0].sqrt();
    sums
}

fn flat(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

/// The largest difference of two sketches, as a share of the expected length.
fn off(got: [f64; 4], want: &[f64]) -> f64 {
    got.iter().zip(want).map(|(g, w)| (g - w).abs()).fold(0.0, f64::max) / want[0].max(1e-30)
}

/// Writes make.py's adapters as PEFT folders.
fn write_adapters(folder: &Path, settings: &Value, names: &[&str]) {
    let config = Config::read(&base()).unwrap();
    for (place, name) in names.iter().enumerate() {
        let mut wanted = settings[*name].clone();
        wanted.as_object_mut().unwrap().remove("weight");
        let rank = wanted["r"].as_u64().unwrap() as usize;
        for (key, value) in [("peft_type", json!("LORA")), ("target_modules", json!(PROJECTIONS))] {
            wanted[key] = value;
        }
        let mut tensors = HashMap::new();
        for layer in 0..config.layers {
            for (p, projection) in lopper::module::Projection::ALL.into_iter().enumerate() {
                let (d_out, d_in) = config.linear_shape(projection);
                let stream = (((layer * 7 + p) * names.len() + place) * 2) as u64;
                let prefix = format!("base_model.model.model.layers.{layer}.{}.{projection}", projection.block());
                tensors.insert(format!("{prefix}.lora_A.weight"), numbers(stream, (rank, d_in)));
                tensors.insert(format!("{prefix}.lora_B.weight"), numbers(stream + 1, (d_out, rank)));
            }
        }
        let at = folder.join(name);
        std::fs::create_dir(&at).unwrap();
        std::fs::write(at.join("adapter_config.json"), wanted.to_string()).unwrap();
        candle_core::safetensors::save(&tensors, at.join("adapter_model.safetensors")).unwrap();
    }
}

/// A loaded task with make.py's adapters; `variant` has the recipe's `train` and `prune`.
fn task(reference: &Value, variant: &Value) -> (Recipe, Task) {
    let folder = tempfile::tempdir().unwrap();
    write_adapters(folder.path(), &reference["adapters"], &NAMES);
    let adapters: Vec<Value> = NAMES
        .iter()
        .map(|name| {
            let role = if *name == "games" { "target" } else { "related" };
            let weight = &reference["adapters"][name]["weight"];
            json!({ "name": name, "role": role, "path": folder.path().join(name), "weight": weight })
        })
        .collect();
    let mut train = variant["train"].clone();
    // Two passes a step.
    train["micro_tokens"] = json!(300);
    train["steps"] = json!(5);
    let text = toml::to_string(&json!({
        "base": base(), "device": "cpu", "dtype": "f32", "adapters": adapters, "train": train,
        "prune": variant["prune"],
        "data": { "train": fixture("train.jsonl"), "dev": fixture("dev.jsonl"), "prompt": reference["prompt"] },
    }));
    let recipe = Recipe::parse(&text.unwrap()).unwrap();
    let mut events: Vec<EventBody> = Vec::new();
    let task = Task::load(&recipe, &mut events).unwrap();
    for (i, sequence) in reference["sequences"].as_object().unwrap() {
        let got = &task.train.encoded.sequences[i.parse::<usize>().unwrap()];
        assert_eq!(json!([got.tokens, got.prompt]), *sequence, "transformers' tokens of example {i}");
    }
    (recipe, task)
}

fn order(reference: &Value) -> Vec<Vec<usize>> {
    serde_json::from_value(reference["order"].clone()).unwrap()
}

fn first_batch(reference: &Value, task: &Task) -> Batch {
    Batch::pack(order(reference)[0].iter().map(|&i| &task.train.encoded.sequences[i]))
}

/// Loss, gradients and squares of one batch.
fn gradients(task: &Task, set: &MergedSet, batch: &Batch, whole: usize) -> (f64, Gradients, SquareSums) {
    let decoder = &task.decoder;
    let pass = decoder.pass(Some(set), None).unwrap();
    let (x, packed) = decoder.embed(&batch.tokens, &batch.lengths).unwrap();
    let (x, tape) = decoder.forward_traced(&x, &packed, &pass, whole).unwrap();
    let scale = 1.0 / batch.targets.len() as f64;
    let (loss, gradient) = decoder.loss(&x, &batch.targets, Some(scale)).unwrap();
    let (mut gradients, mut squares) = (Gradients::default(), SquareSums::default());
    decoder.backward(gradient.unwrap(), tape, &packed, &pass, &mut gradients, Some(&mut squares)).unwrap();
    (loss * scale, gradients, squares)
}

#[test]
#[ignore = "needs SmolLM2-135M: tests/fixtures/smollm2/fetch.py"]
fn logits_loss_gradients_and_norms_equal_pefts() {
    let (reference, tensors) = expected();
    let (_, task) = task(&reference, &reference["variants"]["adamw"]);
    let set = MergedSet::merged(&task.adapters).unwrap();
    let batch = first_batch(&reference, &task);
    let vocabulary: Vec<usize> = serde_json::from_value(reference["vocabulary"].clone()).unwrap();
    for (name, adapters) in [("base", None), ("merged", Some(&set))] {
        let pass = task.decoder.pass(adapters, None).unwrap();
        let (x, packed) = task.decoder.embed(&batch.tokens, &batch.lengths).unwrap();
        let rows = task.decoder.logits(&task.decoder.forward(&x, &packed, &pass).unwrap()).unwrap();
        let (rows, want) = (rows.to_vec2::<f32>().unwrap(), tensors[&format!("logits.{name}")].to_vec2::<f32>());
        let want = want.unwrap();
        assert_eq!(rows.len(), want.len());
        let mut worst = 0f32;
        for (row, want) in rows.iter().zip(&want) {
            let largest = row.iter().copied().fold(f32::MIN, f32::max);
            let sum: f64 = row.iter().map(|l| f64::from(l - largest).exp()).sum();
            let got = vocabulary.iter().map(|&v| row[v]).chain([largest + sum.ln() as f32]);
            worst = got.zip(want).fold(worst, |worst, (g, w)| worst.max((g - w).abs()));
        }
        println!("{name}: {} rows of logits, off by {worst:.1e} at most", rows.len());
        assert!(worst < 1e-3, "{name}: {worst}");
    }
    let (loss, gradients, squares) = gradients(&task, &set, &batch, usize::MAX);
    let want = reference["loss"].as_f64().unwrap();
    let f32_loss = reference["f32_loss"].as_f64().unwrap();
    println!("loss {loss:.6}, PyTorch {want:.6}, PEFT in f32 {f32_loss:.6}");
    assert!((loss / want - 1.0).abs() < 1e-3 && (loss / f32_loss - 1.0).abs() < 1e-3);
    let of_gradients = tensors["gradients"].to_vec2::<f64>().unwrap();
    let of_inputs = tensors["inputs"].to_vec2::<f64>().unwrap();
    let (mut k, mut worst, mut worst_input) = (0, 0f64, 0f64);
    for (id, module) in &set.modules {
        let ((a, b), (x, z)) = (&gradients.modules[id], &squares.modules[id]);
        let (x, z) = (x.sqrt().unwrap(), z.sqrt().unwrap());
        for segment in &module.segments {
            let rows = |t: &Tensor| t.narrow(0, segment.start, segment.rank).unwrap();
            for (gradient, norms) in [(rows(a), x.clone()), (rows(b).t().unwrap().contiguous().unwrap(), rows(&z))] {
                worst = worst.max(off(sketch(k, &flat(&gradient)), &of_gradients[k]));
                worst_input = worst_input.max(off(sketch(k, &flat(&norms)), &of_inputs[k]));
                k += 1;
            }
        }
    }
    let f32 = reference["f32"]["gradients"].as_f64().unwrap();
    println!(
        "{k} gradients, off by {worst:.1e} of their length (PEFT in f32 by {f32:.1e}); norms of X by {worst_input:.1e}"
    );
    assert_eq!((k, of_gradients.len(), of_inputs.len()), (1260, 1260, 1260));
    assert!(worst < 1e-3 && worst_input < 1e-3, "gradients {worst}, norms {worst_input}");
}

#[test]
#[ignore = "needs SmolLM2-135M: tests/fixtures/smollm2/fetch.py"]
fn recomputing_layers_gives_the_same_gradients() {
    let (reference, _) = expected();
    let (_, task) = task(&reference, &reference["variants"]["adamw"]);
    let set = MergedSet::merged(&task.adapters).unwrap();
    let batch = first_batch(&reference, &task);
    let (loss, kept, _) = gradients(&task, &set, &batch, 30);
    assert_eq!(kept.modules.len(), 210);
    for whole in [0, 1, 12] {
        let (again, recomputed, _) = gradients(&task, &set, &batch, whole);
        assert_eq!(loss.to_bits(), again.to_bits());
        for (id, (a, b)) in &kept.modules {
            assert_eq!(flat(a), flat(&recomputed.modules[id].0), "{id} A, {whole} whole");
            assert_eq!(flat(b), flat(&recomputed.modules[id].1), "{id} B, {whole} whole");
        }
    }
}

/// A matrix's mask in PEFT's layout.
fn mask(pruner: &Pruner, key: Key, rank: usize) -> Vec<u8> {
    let mask = pruner.mask(key).unwrap().unwrap();
    let width = mask.len() / rank;
    match key.2 {
        Factor::A => mask.to_vec(),
        Factor::B => (0..mask.len()).map(|flat| mask[(flat % rank) * width + flat / rank]).collect(),
    }
}

/// Five steps beside PyTorch's; returns masks that differ of those looked at, and the largest weight difference.
fn steps(name: &str) -> (usize, usize, f32) {
    let (reference, tensors) = expected();
    let variant = &reference["variants"][name];
    let (recipe, task) = task(&reference, variant);
    let mut trainer = Trainer {
        task: &task,
        settings: &recipe.train,
        set: MergedSet::merged(&task.adapters).unwrap(),
        optimizer: Optimizer::new(&recipe.train),
        pruner: Some(Pruner::new(&recipe.prune, NAMES.map(String::from).to_vec(), 1).unwrap()),
        key: 0,
    };
    let rows = |what: &str| tensors[&format!("{name}.{what}")].clone();
    let (importance, lengths) = (rows("importance").to_vec2::<f32>().unwrap(), rows("lengths").to_vec2::<f32>());
    let (lengths, zeros) = (lengths.unwrap(), rows("zeros").to_vec2::<u32>().unwrap());
    let masks = rows("masks").to_vec2::<u8>().unwrap();
    let relative = |got: f64, want: f64| (got / want - 1.0).abs();
    let (mut loss, mut norm, mut score, mut length) = (0f64, 0f64, 0f64, 0f64);
    let (mut differ, mut seen, mut far, mut finals) = (0, 0, 0, Vec::new());
    for (step, chosen) in order(&reference).iter().enumerate() {
        let update = trainer.step(step + 1, 5, chosen, recipe.train.lr).unwrap();
        loss = loss.max(relative(update.loss, variant["losses"][step].as_f64().unwrap()));
        norm = norm.max(relative(update.norm, variant["norms"][step].as_f64().unwrap()));
        let pairs: Vec<_> = (0..NAMES.len()).map(|i| trainer.set.adapter(i).unwrap()).collect();
        let mut bits = Vec::new();
        finals.clear();
        assert_eq!(update.matrices.len(), 1260);
        for (k, (key, state)) in update.matrices.iter().enumerate() {
            let pair = &pairs[key.1][&key.0];
            let weights = flat(if key.2 == Factor::A { &pair.0 } else { &pair.1 });
            let zero = weights.iter().filter(|w| **w == 0.0).count();
            assert_eq!(zero, zeros[step][k] as usize, "{name} step {} {key:?}", step + 1);
            let apart = relative(f64::from(state.importance), f64::from(importance[step][k]));
            far += usize::from(apart >= 1e-3);
            score = score.max(apart);
            let own = weights.iter().map(|w| f64::from(*w).powi(2)).sum::<f64>().sqrt();
            length = length.max(relative(own, f64::from(lengths[step][k])));
            bits.extend(mask(trainer.pruner.as_ref().unwrap(), *key, pair.0.dim(0).unwrap()));
            finals.extend(weights);
        }
        for (i, bit) in bits.iter().step_by(31).enumerate() {
            differ += usize::from(*bit != masks[step][i / 8] >> (7 - i % 8) & 1);
            seen += 1;
        }
    }
    let mut weight = 0f32;
    if name == "sgd" {
        let want = rows("weights").to_vec1::<f32>().unwrap();
        let got: Vec<f32> = finals.into_iter().step_by(61).collect();
        assert_eq!(got.len(), want.len());
        // What only one of the two has pruned counts as a mask that differs.
        let both = got.iter().zip(&want).filter(|(g, w)| (**g == 0.0) == (**w == 0.0));
        weight = both.fold(0.0, |worst, (g, w)| worst.max((g - w).abs()));
    }
    let f32 = &reference["f32"][name];
    println!("{name}: PEFT in f32 is off by importance {} ({} of 6300)", f32["importance"], f32["beyond_1e-3"]);
    println!(
        "{name}: off by loss {loss:.1e}, gradient norm {norm:.1e}, importance {score:.1e} ({far} of 6300 by 1e-3 or more), matrix length {length:.1e}, \
         weight {weight:.1e}; {differ} of {seen} masks differ"
    );
    assert!(loss < 1e-3 && norm < 1e-3 && length < 1e-3);
    assert!(score < 1e-3, "{name}: importance off by {score}, {far} by 1e-3 or more");
    (differ, seen, weight)
}

#[test]
#[ignore = "needs SmolLM2-135M: tests/fixtures/smollm2/fetch.py"]
fn five_adamw_steps_equal_pytorchs() {
    let (differ, seen, _) = steps("adamw");
    assert!(differ * 1000 <= seen, "{differ} of {seen} masks differ");
}

#[test]
#[ignore = "needs SmolLM2-135M: tests/fixtures/smollm2/fetch.py"]
fn five_plain_descent_steps_equal_pytorchs() {
    let (differ, seen, weight) = steps("sgd");
    assert!(weight < 1e-5, "{weight}");
    // Importances that are equal but for the last bit are ties: which of them goes is rounding.
    assert!(differ * 100_000 <= seen, "{differ} of {seen} masks differ");
}

fn lopper(folder: &Path, args: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lopper"));
    command.args(args).current_dir(folder).env("LOPPER_RUNS", folder.join("runs")).stdin(Stdio::null());
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

fn logits(base: &Path, set: Option<&MergedSet>, tokens: &[u32]) -> Vec<f32> {
    let config = Config::read(base).unwrap();
    let weights = Weights::load(base, &config).unwrap();
    let decoder = Decoder::load(config, &weights, DType::F32, Hold::Numbers, &Device::Cpu).unwrap();
    let pass = decoder.pass(set, None).unwrap();
    let (x, packed) = decoder.embed(tokens, &[tokens.len()]).unwrap();
    flat(&decoder.logits(&decoder.forward(&x, &packed, &pass).unwrap()).unwrap())
}

#[test]
#[ignore = "needs SmolLM2-135M: tests/fixtures/smollm2/fetch.py"]
fn blocks_of_llama_cpp_give_the_logits_of_their_numbers() {
    let blocks = base().with_file_name("smollm2-q4_1");
    let config = Config::read(&blocks).unwrap();
    let weights = Weights::load(&blocks, &config).unwrap();
    let decoder = Decoder::load(config, &weights, DType::F32, Hold::Stored, &Device::Cpu).unwrap();
    let tokens: Vec<u32> = (0..200).map(|i| 1000 + 37 * i).collect();
    let pass = decoder.pass(None, None).unwrap();
    let (x, packed) = decoder.embed(&tokens, &[tokens.len()]).unwrap();
    let rows = decoder.forward(&x, &packed, &pass).unwrap();
    let off = worst(&flat(&decoder.logits(&rows).unwrap()), &logits(&base(), None, &tokens));
    println!("blocks of Q4_1 against their numbers in f32: logits {off:.1e}");
    assert!(off < 1e-3, "{off}");
}

fn worst(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).fold(0.0, |worst, (a, b)| worst.max((a - b).abs()))
}

#[test]
#[ignore = "needs SmolLM2-135M: tests/fixtures/smollm2/fetch.py"]
fn a_run_leaves_a_result_that_is_the_merged_pruned_model() {
    let (reference, _) = expected();
    // LOPPER_KEEP names a folder for whoever wants to look at the run afterwards.
    let scratch = tempfile::tempdir().unwrap();
    let folder = std::env::var_os("LOPPER_KEEP").map_or(scratch.path().to_path_buf(), PathBuf::from);
    std::fs::create_dir_all(&folder).unwrap();
    let related = json!({ "r1": { "r": 8, "lora_alpha": 4 }, "r2": { "r": 4, "lora_alpha": 2 }, "r3": { "r": 2, "lora_alpha": 1 } });
    write_adapters(&folder, &related, &["r1", "r2", "r3"]);
    let mut adapters = vec![json!({ "name": "games", "role": "target", "rank": 8, "alpha": 16.0 })];
    adapters.extend(["r1", "r2", "r3"].map(|n| json!({ "name": n, "role": "related", "path": n, "weight": 0.25 })));
    let recipe = json!({
        "name": "smollm2", "base": base(), "device": "cpu", "dtype": "f32",
        "data": { "train": fixture("train.jsonl"), "dev": fixture("dev.jsonl"), "test": fixture("test.jsonl"),
                  "prompt": reference["prompt"] },
        "train": { "steps": 3, "lr": 3e-4 }, "target": { "epochs": 1, "lr": 1e-3 }, "prune": { "ratio": 0.5 },
        "samples": { "documents": 1, "max_new_tokens": 12 }, "adapters": adapters,
    });
    std::fs::write(folder.join("recipe.toml"), toml::to_string(&recipe).unwrap()).unwrap();
    let said = lopper(&folder, &["run", "recipe.toml", "--plain"]);
    assert!(said.contains("50 train, 4 dev, 4 test examples"), "{said}");
    let run: RunDir = RunDir::list(&folder.join("runs")).unwrap().remove(0);
    assert_eq!(run.state(), RunState::Finished);
    let read = |path: &Path| Adapter::read(path, &Config::read(&base()).unwrap(), &Device::Cpu).unwrap();
    // The merge with the matrices of the last checkpoint, segment by segment, against the one adapter of the result.
    let mut kept: Vec<PathBuf> =
        std::fs::read_dir(run.checkpoints()).unwrap().map(|e| e.unwrap().path().join("state.safetensors")).collect();
    kept.retain(|file| file.parent().unwrap().file_name().unwrap().to_str().unwrap().starts_with("stage-1-step-3"));
    let state = candle_core::safetensors::load(&kept[0], &Device::Cpu).unwrap();
    let prefix = if state.keys().any(|k| k.starts_with("best.")) { "best" } else { "now" };
    let mut set = MergedSet::merged(&[
        (
            Adapter::fresh(
                &Recipe::read(&run.recipe_file()).unwrap().adapters[0],
                &Config::read(&base()).unwrap(),
                1,
                &Device::Cpu,
            )
            .unwrap(),
            1.0,
        ),
        (read(&folder.join("r1")), 0.25),
        (read(&folder.join("r2")), 0.25),
        (read(&folder.join("r3")), 0.25),
    ])
    .unwrap();
    for (id, module) in &mut set.modules {
        module.a = state[&format!("{prefix}.{id}.A")].clone();
        module.b = state[&format!("{prefix}.{id}.B")].clone();
    }
    let result = read(&run.result().join("adapter"));
    assert_eq!(result.modules.len(), 210);
    for (id, pair) in &result.modules {
        let module = &set.modules[id];
        let of_b = module.b.t().unwrap();
        for (own, merged) in [(&pair.a, &module.a), (&pair.b, &of_b)] {
            let (own, merged) = (flat(own), flat(merged));
            assert_eq!(own.iter().filter(|w| **w == 0.0).count() * 2, own.len(), "{id}");
            assert!(own.iter().zip(&merged).all(|(o, m)| (*o == 0.0) == (*m == 0.0)), "{id}: other zeros");
        }
    }
    let tokens: Vec<u32> = serde_json::from_value(reference["sequences"]["3"][0].clone()).unwrap();
    let want = logits(&base(), Some(&set), &tokens);
    // For check.py.
    let rows = Tensor::from_vec(want.clone(), (tokens.len(), want.len() / tokens.len()), &Device::Cpu).unwrap();
    let ids = Tensor::new(&tokens[..], &Device::Cpu).unwrap();
    let kept = HashMap::from([("logits", rows), ("tokens", ids)]);
    candle_core::safetensors::save(&kept, folder.join("logits.safetensors")).unwrap();
    let one = MergedSet::merged(&[(result, 1.0)]).unwrap();
    let as_adapter = worst(&want, &logits(&base(), Some(&one), &tokens));
    lopper(&folder, &["export", run.path().to_str().unwrap(), "--merged", "whole"]);
    let as_model = worst(&want, &logits(&folder.join("whole"), None, &tokens));
    let trained = worst(&want, &logits(&base(), None, &tokens));
    println!(
        "result: logits off by {as_adapter:.1e} as an adapter, {as_model:.1e} as a model ({trained:.1} from the base)"
    );
    assert!(as_adapter < 1e-3 && as_model < 1e-3, "{as_adapter} {as_model}");
    assert!(trained > 0.1, "{trained}");
}
