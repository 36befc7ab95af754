//! The tiny models of tests/fixtures/models on a device, in a type: what two devices, types or paths are compared by.
#![allow(dead_code, clippy::unwrap_used)]

use candle_core::{DType, Device, Tensor};
use lopper::lora::{Adapter, Gradients, MergedSet, SquareSums};
use lopper::model::generate::{Generation, generate};
use lopper::model::{config::Config, decoder::Decoder, linear::Dropout, matrix::Hold, weights::Weights};
use lopper::prune::Pruner;
use lopper::recipe::Recipe;
use lopper::train::optimizer::{self, Optimizer};
use serde_json::json;
use std::path::Path;

pub const FAMILIES: [&str; 5] = ["llama", "mistral", "qwen2", "qwen3", "smollm"];

pub struct Case {
    decoder: Decoder,
    set: MergedSet,
    inputs: Vec<Vec<u32>>,
    targets: Vec<(u32, u32)>,
}

/// Numbers by name, in this machine's memory.
pub type Named = Vec<(String, Vec<f32>)>;

fn numbers(x: &Tensor) -> Vec<f32> {
    x.to_device(&Device::Cpu).unwrap().to_dtype(DType::F32).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

/// The largest difference of any entry over the largest entry of its tensor.
pub fn worst(got: &Named, want: &Named) -> f32 {
    assert_eq!(got.iter().map(|g| &g.0).collect::<Vec<_>>(), want.iter().map(|w| &w.0).collect::<Vec<_>>());
    let largest = |x: &[f32]| x.iter().fold(0f32, |m, v| m.max(v.abs()));
    got.iter().zip(want).fold(0.0, |worst, ((name, got), (_, want))| {
        assert_eq!(got.len(), want.len(), "{name}");
        let off = got.iter().zip(want).fold(0f32, |m, (g, w)| m.max((g - w).abs()));
        assert!(off.is_finite(), "{name}");
        worst.max(off / largest(want).max(1e-12))
    })
}

/// The length of the difference over the length of `want`, all tensors together.
pub fn distance(got: &Named, want: &Named) -> f64 {
    let square = |x: &mut dyn Iterator<Item = f64>| x.map(|v| v * v).sum::<f64>().sqrt();
    let all = |named: &Named| named.iter().flat_map(|n| n.1.iter().map(|v| f64::from(*v))).collect::<Vec<_>>();
    let (got, want) = (all(got), all(want));
    square(&mut got.iter().zip(&want).map(|(g, w)| g - w)) / square(&mut want.iter().copied())
}

impl Case {
    pub fn new(name: &str, dtype: DType, device: &Device) -> Self {
        Self::with_base(name, name, dtype, Hold::Numbers, device)
    }

    /// `name` with the weights of the folder `base`, held as `hold` says.
    pub fn with_base(name: &str, base: &str, dtype: DType, hold: Hold, device: &Device) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/models").join(name);
        let base = folder.with_file_name(base);
        let config = Config::read(&base).unwrap();
        let weights = Weights::load(&base, &config).unwrap();
        let adapter = Adapter::read(&folder.join("adapter"), &config, device).unwrap();
        let decoder = Decoder::load(config, &weights, dtype, hold, device).unwrap();
        let text = std::fs::read_to_string(folder.join("expected.json")).unwrap();
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        let inputs: Vec<Vec<u32>> = serde_json::from_value(json["inputs"].clone()).unwrap();
        let places: Vec<Vec<usize>> = serde_json::from_value(json["targets"].clone()).unwrap();
        let mut targets = Vec::new();
        let mut start = 0;
        for (ids, places) in inputs.iter().zip(places) {
            targets.extend(places.into_iter().map(|t| ((start + t - 1) as u32, ids[t])));
            start += ids.len();
        }
        Self { decoder, set: MergedSet::merged(&[(adapter, 0.7)]).unwrap(), inputs, targets }
    }

    fn backward(&self) -> (f64, Gradients, SquareSums) {
        let (tokens, lengths) = (self.inputs.concat(), self.inputs.iter().map(Vec::len).collect::<Vec<_>>());
        let pass = self.decoder.pass(Some(&self.set), None).unwrap();
        let (x, packed) = self.decoder.embed(&tokens, &lengths).unwrap();
        let (x, tape) = self.decoder.forward_traced(&x, &packed, &pass, usize::MAX).unwrap();
        let scale = 1.0 / self.targets.len() as f64;
        let (loss, dx) = self.decoder.loss(&x, &self.targets, Some(scale)).unwrap();
        let (mut gradients, mut squares) = (Gradients::default(), SquareSums::default());
        self.decoder.backward(dx.unwrap(), tape, &packed, &pass, &mut gradients, Some(&mut squares)).unwrap();
        (loss * scale, gradients, squares)
    }

    /// The loss alone.
    pub fn loss(&self, dropout: Option<Dropout>) -> f64 {
        let lengths: Vec<usize> = self.inputs.iter().map(Vec::len).collect();
        let pass = self.decoder.pass(Some(&self.set), dropout).unwrap();
        let (x, packed) = self.decoder.embed(&self.inputs.concat(), &lengths).unwrap();
        let x = self.decoder.forward_hidden(&x, &packed, &pass).unwrap();
        self.decoder.loss(&x, &self.targets, None).unwrap().0
    }

    /// The loss, every gradient and every sum of squares.
    pub fn gradients(&self) -> (f64, Named, Named) {
        let (loss, gradients, squares) = self.backward();
        let named = |id: &dyn std::fmt::Display, (a, b): &(Tensor, Tensor)| {
            [(format!("{id}.A"), numbers(a)), (format!("{id}.B"), numbers(b))]
        };
        let gradients = gradients.modules.iter().flat_map(|(id, pair)| named(id, pair)).collect();
        (loss, gradients, squares.modules.iter().flat_map(|(id, pair)| named(id, pair)).collect())
    }

    /// Greedy answers of 12 tokens.
    pub fn answers(&self) -> Vec<Vec<u32>> {
        let pass = self.decoder.pass(Some(&self.set), None).unwrap();
        let settings = Generation { max_new_tokens: 12, temperature: 0.0, top_p: 1.0, seed: 1, ends: Vec::new() };
        generate(&self.decoder, &pass, &self.inputs, &settings, &mut |_| Ok(true)).unwrap()
    }

    /// Five updates, each with a pruning to half: losses, the zeros of every matrix after each, the matrices at last.
    pub fn prune(self, optimizer: &str, importance: &str) -> (Vec<f64>, Vec<Vec<usize>>, Named) {
        let text = toml::to_string(&json!({
            "base": "x", "data": { "train": "x", "dev": "x" },
            "adapters": [{ "name": "a", "role": "target", "path": "x" }],
            "train": { "optimizer": optimizer, "weight_decay": 0.01 },
            "prune": { "ratio": 0.5, "importance": importance, "moments": "zero" },
        }));
        let recipe = Recipe::parse(&text.unwrap()).unwrap();
        let mut pruner = Pruner::new(&recipe.prune, vec!["a".into()], 1).unwrap();
        let mut optimizer = Optimizer::new(&recipe.train);
        let (mut losses, mut zeros) = (Vec::new(), Vec::new());
        for step in 1..=5 {
            let (loss, gradients, squares) = self.backward();
            let scale = optimizer::clip_factor(optimizer::global_norm(&gradients).unwrap(), 1.0);
            optimizer.step(&self.set, &gradients, 1e-3, scale).unwrap();
            let states = pruner.prune(&self.set, &squares, Some(&gradients), 1.0, step).unwrap();
            optimizer.forget_pruned(&self.set, &pruner).unwrap();
            losses.push(loss);
            zeros.push(states.iter().map(|s| s.1.pruned).collect());
        }
        let matrices = self
            .set
            .modules
            .iter()
            .flat_map(|(id, m)| [(format!("{id}.A"), numbers(&m.a)), (format!("{id}.B"), numbers(&m.b))]);
        (losses, zeros, matrices.collect())
    }
}
