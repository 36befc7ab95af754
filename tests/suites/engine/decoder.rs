//! The decoder against transformers and PEFT: logits, loss and every adapter's gradient of five tiny
//! models (tests/fixtures/models/make.py wrote the expected values).
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use candle_core::{DType, Device, Tensor};
use lopper::lora::{Adapter, Gradients, MergedSet, SquareSums};
use lopper::model::{config::Config, decoder::Decoder, generate, linear::Dropout, matrix::Hold, weights::Weights};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

struct Case {
    folder: PathBuf,
    decoder: Decoder,
    set: MergedSet,
    expected: HashMap<String, Tensor>,
    inputs: Vec<Vec<u32>>,
    targets: Vec<Vec<usize>>,
    loss: f64,
}

const FAMILIES: [&str; 5] = ["llama", "mistral", "qwen2", "qwen3", "smollm"];

fn case(name: &str) -> Case {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/models").join(name);
    let config = Config::read(&folder).unwrap();
    let weights = Weights::load(&folder, &config).unwrap();
    let adapter = Adapter::read(&folder.join("adapter"), &config, &Device::Cpu).unwrap();
    let decoder = Decoder::load(config, &weights, DType::F32, Hold::Numbers, &Device::Cpu).unwrap();
    let json: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(folder.join("expected.json")).unwrap()).unwrap();
    Case {
        decoder,
        set: MergedSet::merged(&[(adapter, 1.0)]).unwrap(),
        expected: candle_core::safetensors::load(folder.join("expected.safetensors"), &Device::Cpu).unwrap(),
        inputs: serde_json::from_value(json["inputs"].clone()).unwrap(),
        targets: serde_json::from_value(json["targets"].clone()).unwrap(),
        loss: json["loss"].as_f64().unwrap(),
        folder,
    }
}

impl Case {
    fn tokens(&self) -> (Vec<u32>, Vec<usize>) {
        (self.inputs.concat(), self.inputs.iter().map(Vec::len).collect())
    }

    /// Packed (row, token) pairs of the loss.
    fn packed_targets(&self) -> Vec<(u32, u32)> {
        let mut start = 0;
        let mut all = Vec::new();
        for (ids, places) in self.inputs.iter().zip(&self.targets) {
            all.extend(places.iter().map(|&t| ((start + t - 1) as u32, ids[t])));
            start += ids.len();
        }
        all
    }

    fn gradients(&self, whole: usize, dropout: Option<Dropout>) -> (f64, Gradients, SquareSums) {
        let (tokens, lengths) = self.tokens();
        let targets = self.packed_targets();
        let pass = self.decoder.pass(Some(&self.set), dropout).unwrap();
        let (x, packed) = self.decoder.embed(&tokens, &lengths).unwrap();
        let (x, tape) = self.decoder.forward_traced(&x, &packed, &pass, whole).unwrap();
        let scale = 1.0 / targets.len() as f64;
        let (loss, dx) = self.decoder.loss(&x, &targets, Some(scale)).unwrap();
        let mut gradients = Gradients::default();
        let mut squares = SquareSums::default();
        self.decoder.backward(dx.unwrap(), tape, &packed, &pass, &mut gradients, Some(&mut squares)).unwrap();
        (loss * scale, gradients, squares)
    }
}

fn worst(got: &Tensor, want: &Tensor) -> f32 {
    (got - want).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap()
}

fn largest(x: &Tensor) -> f32 {
    x.abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap()
}

#[test]
fn logits_equal_transformers_with_and_without_adapters() {
    for name in FAMILIES {
        let case = case(name);
        let (tokens, lengths) = case.tokens();
        for (set, prefix) in [(None, "logits"), (Some(&case.set), "adapted")] {
            let pass = case.decoder.pass(set, None).unwrap();
            let (x, packed) = case.decoder.embed(&tokens, &lengths).unwrap();
            let logits = case.decoder.logits(&case.decoder.forward(&x, &packed, &pass).unwrap()).unwrap();
            let mut start = 0;
            for (i, &t) in lengths.iter().enumerate() {
                let off = worst(&logits.narrow(0, start, t).unwrap(), &case.expected[&format!("{prefix}.{i}")]);
                assert!(off < 1e-3, "{name} {prefix}.{i}: logits off by {off}");
                start += t;
            }
        }
    }
}

#[test]
fn loss_and_every_gradient_equal_pefts() {
    for name in FAMILIES {
        let case = case(name);
        let (loss, gradients, _) = case.gradients(usize::MAX, None);
        assert!((loss / case.loss - 1.0).abs() < 1e-4, "{name}: loss {loss}, PEFT has {}", case.loss);
        let mut seen = 0;
        for (id, (a, b)) in &gradients.modules {
            for (got, factor) in [(a.clone(), "A"), (b.t().unwrap().contiguous().unwrap(), "B")] {
                let key = format!("grad.base_model.model.model.{id}.lora_{factor}.weight");
                let want = case.expected.get(&key).unwrap_or_else(|| panic!("no {key}"));
                let off = worst(&got, want) / largest(want);
                assert!(off < 1e-3, "{name} {key}: off by {off} of its largest entry");
                assert!(largest(&got) > 0.0, "{name} {key}: no gradient");
                seen += 1;
            }
        }
        assert_eq!(seen, 28, "{name}: every adapter matrix gets a gradient");
    }
}

#[test]
fn recomputing_layers_gives_the_same_gradients() {
    for (name, dropout) in [("qwen3", None), ("mistral", Some(Dropout { p: 0.3, key: 7 }))] {
        let case = case(name);
        let layers = case.decoder.config().layers;
        let (loss, all, squares) = case.gradients(layers, dropout);
        // None keeps everything, some in the middle, all, and more than there are.
        for whole in (0..=layers + 1).filter(|whole| *whole != layers) {
            let (loss2, again, squares2) = case.gradients(whole, dropout);
            assert_eq!(loss.to_bits(), loss2.to_bits(), "{name}, {whole} of {layers} whole");
            assert_eq!(all.modules.len(), again.modules.len());
            for (id, (a, b)) in &all.modules {
                assert_eq!(worst(a, &again.modules[id].0), 0.0, "{name} {id}, {whole} of {layers} whole");
                assert_eq!(worst(b, &again.modules[id].1), 0.0, "{name} {id}, {whole} of {layers} whole");
                assert_eq!(worst(&squares.modules[id].0, &squares2.modules[id].0), 0.0);
                assert_eq!(worst(&squares.modules[id].1, &squares2.modules[id].1), 0.0);
            }
        }
    }
}

#[test]
fn a_sequence_does_not_see_what_it_is_packed_with() {
    let case = case("mistral");
    let pass = case.decoder.pass(Some(&case.set), None).unwrap();
    let run = |tokens: &[u32], lengths: &[usize]| {
        let (x, packed) = case.decoder.embed(tokens, lengths).unwrap();
        case.decoder.logits(&case.decoder.forward(&x, &packed, &pass).unwrap()).unwrap()
    };
    let (tokens, lengths) = case.tokens();
    let together = run(&tokens, &lengths);
    let alone = run(&case.inputs[1], &[lengths[1]]);
    assert!(worst(&together.narrow(0, lengths[0], lengths[1]).unwrap(), &alone) < 1e-5);
}

#[test]
fn greedy_generation_with_the_cache_equals_reading_everything_again() {
    for name in FAMILIES {
        let case = case(name);
        let pass = case.decoder.pass(Some(&case.set), None).unwrap();
        let settings =
            generate::Generation { max_new_tokens: 14, temperature: 0.0, top_p: 1.0, seed: 1, ends: Vec::new() };
        let answers = generate::generate(&case.decoder, &pass, &case.inputs, &settings, &mut |_| Ok(true)).unwrap();
        for (prompt, answer) in case.inputs.iter().zip(&answers) {
            let mut tokens = prompt.clone();
            for &token in answer {
                let (x, packed) = case.decoder.embed(&tokens, &[tokens.len()]).unwrap();
                let logits = case.decoder.logits(&case.decoder.forward(&x, &packed, &pass).unwrap()).unwrap();
                let last = logits.get(tokens.len() - 1).unwrap().to_vec1::<f32>().unwrap();
                let best = last.iter().copied().fold(f32::MIN, f32::max);
                // Equal up to rounding: two tokens may tie.
                assert!(best - last[token as usize] < 1e-4, "{name}: {token} is not the likeliest token");
                tokens.push(token);
            }
            assert_eq!(answer.len(), 14);
        }
    }
}

#[test]
fn answers_that_are_looked_at_now_and_then_are_those_that_are_looked_at_at_once() {
    let case = case("llama");
    let pass = case.decoder.pass(Some(&case.set), None).unwrap();
    let answers = |rounds: usize, temperature: f64, ends: &[u32]| {
        let settings =
            generate::Generation { max_new_tokens: 14, temperature, top_p: 1.0, seed: 1, ends: ends.to_vec() };
        let mut done = Vec::new();
        let mut progress = |finished| {
            done.push(finished);
            Ok(true)
        };
        let found =
            generate::generate_in(rounds, &case.decoder, &pass, &case.inputs, &settings, &mut progress).unwrap();
        assert_eq!(done.last(), Some(&case.inputs.len()));
        found
    };
    let whole = answers(1, 0.0, &[]);
    // Ends that cut the first answer, and perhaps others, in the middle of a round and at its end.
    for at in [0, 3, 4, 12, 13] {
        let ends = [whole[0][at]];
        let want: Vec<Vec<u32>> =
            whole.iter().map(|answer| answer.iter().copied().take_while(|token| *token != ends[0]).collect()).collect();
        for rounds in [1, 5, 14, 100] {
            assert_eq!(answers(rounds, 0.0, &ends), want, "{rounds} rounds, end {at}");
        }
    }
    assert_eq!(answers(1, 0.8, &[]), answers(5, 0.8, &[]));
}

#[test]
fn dropout_is_the_same_again_and_thins_the_gradient() {
    let case = case("llama");
    let (tokens, lengths) = case.tokens();
    let run = |dropout| {
        let pass = case.decoder.pass(Some(&case.set), dropout).unwrap();
        let (x, packed) = case.decoder.embed(&tokens, &lengths).unwrap();
        let (x, _) = case.decoder.forward_traced(&x, &packed, &pass, usize::MAX).unwrap();
        case.decoder.loss(&x, &case.packed_targets(), None).unwrap().0
    };
    let dropped = run(Some(Dropout { p: 0.3, key: 7 }));
    assert_eq!(dropped.to_bits(), run(Some(Dropout { p: 0.3, key: 7 })).to_bits());
    assert!((dropped - run(Some(Dropout { p: 0.3, key: 8 }))).abs() > 1e-6);
    assert!((dropped - run(None)).abs() > 1e-6);
    assert_eq!(run(None).to_bits(), run(Some(Dropout { p: 0.0, key: 7 })).to_bits());
    assert!(case.folder.is_dir());
}
