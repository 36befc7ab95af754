//! A small llama with random weights in a GGUF file, of widths as its blocks need them, and an adapter on all its linears.

use crate::case::Named;
use candle_core::quantized::gguf_file::{self, Value};
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{DType, Device, Tensor};
use lopper::lora::{Adapter, Gradients, MergedSet};
use lopper::model::{config::Config, decoder::Decoder, matrix::Hold, weights::Weights};
use lopper::recipe::Recipe;
use lopper::train::optimizer::{self, Optimizer};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::json;
use std::path::Path;

const LAYERS: usize = 2;
const HEADS: usize = 4;
const KEY_HEADS: usize = 2;
const VOCABULARY: usize = 96;
/// Tokens of the sequences.
const LENGTHS: [usize; 2] = [12, 7];
/// The first token of each that there is a loss for.
const PROMPT: usize = 3;

pub struct Small {
    decoder: Decoder,
    set: MergedSet,
    tokens: Vec<u32>,
    targets: Vec<(u32, u32)>,
}

/// Names and sizes of the tensors.
fn tensors(hidden: usize, inner: usize) -> Vec<(String, Vec<usize>)> {
    let keys = hidden / HEADS * KEY_HEADS;
    let mut all = vec![
        ("token_embd.weight".to_owned(), vec![VOCABULARY, hidden]),
        ("output_norm.weight".to_owned(), vec![hidden]),
        ("output.weight".to_owned(), vec![VOCABULARY, hidden]),
    ];
    for layer in 0..LAYERS {
        let parts = [
            ("attn_norm", vec![hidden]),
            ("ffn_norm", vec![hidden]),
            ("attn_q", vec![hidden, hidden]),
            ("attn_k", vec![keys, hidden]),
            ("attn_v", vec![keys, hidden]),
            ("attn_output", vec![hidden, hidden]),
            ("ffn_gate", vec![inner, hidden]),
            ("ffn_up", vec![inner, hidden]),
            ("ffn_down", vec![hidden, inner]),
        ];
        all.extend(parts.map(|(part, shape)| (format!("blk.{layer}.{part}.weight"), shape)));
    }
    all
}

/// Writes the base to `folder`, its matrices as `kind`.
fn write(folder: &Path, hidden: usize, inner: usize, kind: GgmlDType) {
    let mut random = ChaCha8Rng::seed_from_u64(7);
    let mut written = Vec::new();
    for (name, shape) in tensors(hidden, inner) {
        let n: usize = shape.iter().product();
        let (middle, wide) = if shape.len() == 1 { (1.0, 0.2) } else { (0.0, 1.7 / (shape[1] as f32).sqrt()) };
        let values: Vec<f32> = (0..n).map(|_| middle + wide * random.random_range(-1f32..1.0)).collect();
        let kind = if shape.len() == 1 { GgmlDType::F32 } else { kind };
        let tensor = Tensor::from_vec(values, shape, &Device::Cpu).unwrap();
        written.push((name, QTensor::quantize(&tensor, kind).unwrap()));
    }
    let listed: Vec<(&str, &QTensor)> = written.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
    let mut file = std::fs::File::create(folder.join("model.gguf")).unwrap();
    let architecture = Value::String("llama".into());
    gguf_file::write(&mut file, &[("general.architecture", &architecture)], &listed).unwrap();
    let config = json!({
        "model_type": "llama", "hidden_act": "silu", "hidden_size": hidden, "intermediate_size": inner,
        "num_hidden_layers": LAYERS, "num_attention_heads": HEADS, "num_key_value_heads": KEY_HEADS,
        "max_position_embeddings": 64, "vocab_size": VOCABULARY, "rms_norm_eps": 1e-5, "rope_theta": 10_000.0,
        "tie_word_embeddings": false,
    });
    std::fs::write(folder.join("config.json"), config.to_string()).unwrap();
}

fn recipe(optimizer: &str) -> Recipe {
    let text = format!(
        "base = 'x'\n[data]\ntrain = 'x'\ndev = 'x'\n[train]\noptimizer = '{optimizer}'\nweight_decay = 0.01\n\
         [[adapters]]\nname = 'a'\nrole = 'target'\nrank = 4\nalpha = 8.0\n"
    );
    Recipe::parse(&text).unwrap()
}

impl Small {
    /// A base of these widths with matrices stored as `kind`, held as `hold` says.
    pub fn new(hidden: usize, inner: usize, kind: GgmlDType, hold: Hold) -> Self {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), hidden, inner, kind);
        let config = Config::read(folder.path()).unwrap();
        let weights = Weights::load(folder.path(), &config).unwrap();
        let fresh = Adapter::fresh(&recipe("adamw").adapters[0], &config, 1, &Device::Cpu).unwrap();
        let mut random = ChaCha8Rng::seed_from_u64(8);
        let matrices = fresh.modules.iter().map(|(id, pair)| {
            let shape = pair.b.dims2().unwrap();
            let values: Vec<f32> = (0..shape.0 * shape.1).map(|_| random.random_range(-0.05f32..0.05)).collect();
            (*id, (pair.a.clone(), Tensor::from_vec(values, shape, &Device::Cpu).unwrap()))
        });
        let adapter = fresh.with_matrices(matrices.collect()).unwrap();
        let decoder = Decoder::load(config, &weights, DType::F32, hold, &Device::Cpu).unwrap();
        let tokens: Vec<u32> =
            (0..LENGTHS.iter().sum::<usize>()).map(|_| random.random_range(0..VOCABULARY as u32)).collect();
        let mut targets = Vec::new();
        let mut start = 0;
        for length in LENGTHS {
            targets.extend((start + PROMPT..start + length).map(|at| (at as u32 - 1, tokens[at])));
            start += length;
        }
        Self { decoder, set: MergedSet::merged(&[(adapter, 1.0)]).unwrap(), tokens, targets }
    }

    fn backward(&self) -> (f64, Gradients) {
        let pass = self.decoder.pass(Some(&self.set), None).unwrap();
        let (x, packed) = self.decoder.embed(&self.tokens, &LENGTHS).unwrap();
        let (x, tape) = self.decoder.forward_traced(&x, &packed, &pass, usize::MAX).unwrap();
        let scale = 1.0 / self.targets.len() as f64;
        let (loss, dx) = self.decoder.loss(&x, &self.targets, Some(scale)).unwrap();
        let mut gradients = Gradients::default();
        self.decoder.backward(dx.unwrap(), tape, &packed, &pass, &mut gradients, None).unwrap();
        (loss * scale, gradients)
    }

    /// The loss and the gradient of every matrix.
    pub fn gradients(&self) -> (f64, Named) {
        let (loss, gradients) = self.backward();
        let numbers = |x: &Tensor| x.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let named = gradients
            .modules
            .iter()
            .flat_map(|(id, (a, b))| [(format!("{id}.A"), numbers(a)), (format!("{id}.B"), numbers(b))])
            .collect();
        (loss, named)
    }

    /// The loss before each of so many updates, and after the last.
    pub fn train(self, optimizer: &str, lr: f64, steps: usize) -> Vec<f64> {
        let mut by = Optimizer::new(&recipe(optimizer).train);
        let mut losses = Vec::new();
        for _ in 0..steps {
            let (loss, gradients) = self.backward();
            let factor = optimizer::clip_factor(optimizer::global_norm(&gradients).unwrap(), 1.0);
            by.step(&self.set, &gradients, lr, factor).unwrap();
            losses.push(loss);
        }
        losses.push(self.backward().0);
        losses
    }
}
