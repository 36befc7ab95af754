//! Bases of a size with random weights: what a card is measured with where no model of that size can be had.

use candle_core::{Device, Tensor};
use half::bf16;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

#[path = "blocks.rs"]
mod blocks;

/// Random numbers that are used again and again, from another place for each tensor.
const NUMBERS: usize = 1 << 24;

#[derive(Clone, Copy)]
struct Shape {
    name: &'static str,
    hidden: usize,
    intermediate: usize,
    layers: usize,
    heads: usize,
    kv_heads: usize,
    vocabulary: usize,
    tie: bool,
}

const SHAPES: [Shape; 3] = [
    Shape {
        name: "llama-8b",
        hidden: 4096,
        intermediate: 14336,
        layers: 32,
        heads: 32,
        kv_heads: 8,
        vocabulary: 128_256,
        tie: false,
    },
    Shape {
        name: "llama-1b",
        hidden: 2048,
        intermediate: 8192,
        layers: 16,
        heads: 32,
        kv_heads: 8,
        vocabulary: 128_256,
        tie: true,
    },
    // For a look at whether it works.
    Shape {
        name: "llama-30m",
        hidden: 512,
        intermediate: 1024,
        layers: 4,
        heads: 8,
        kv_heads: 2,
        vocabulary: 32_000,
        tie: false,
    },
];

/// The folder of a base of that shape under `target/shapes`, written if it is not there: bf16, or with `-q4k` behind the name
/// one GGUF file in blocks of `Q4_K`; the demo's tokenizer.
pub fn base(name: &str) -> PathBuf {
    let plain = name.strip_suffix("-q4k");
    let Some(shape) = SHAPES.into_iter().find(|shape| shape.name == plain.unwrap_or(name)) else {
        panic!("no shape {name}: {}, or with -q4k", SHAPES.map(|shape| shape.name).join(", "));
    };
    let folder = Path::new("target/shapes").join(name);
    if folder.join("config.json").is_file() {
        return folder;
    }
    std::fs::create_dir_all(&folder).unwrap();
    for file in ["tokenizer.json", "tokenizer_config.json"] {
        std::fs::copy(Path::new("assets/demo/base").join(file), folder.join(file)).unwrap();
    }
    if plain.is_some() {
        blocks::write(shape, &folder.join("model.gguf"));
    } else {
        write_numbers(shape, &folder);
    }
    let Shape { hidden, intermediate, layers, heads, kv_heads, vocabulary, tie, .. } = shape;
    let config = json!({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu", "hidden_size": hidden,
        "intermediate_size": intermediate, "num_hidden_layers": layers, "num_attention_heads": heads,
        "num_key_value_heads": kv_heads, "head_dim": hidden / heads, "max_position_embeddings": 8192,
        "vocab_size": vocabulary, "rms_norm_eps": 1e-5, "rope_theta": 500_000.0, "tie_word_embeddings": tie,
        "attention_bias": false, "mlp_bias": false, "bos_token_id": 1, "eos_token_id": 2, "torch_dtype": "bfloat16",
    });
    // Last: a folder with it is whole.
    std::fs::write(folder.join("config.json"), config.to_string()).unwrap();
    folder
}

impl Shape {
    /// Half the range of its numbers: as wide as a trained model's, sums over `hidden` of them stay near 1.
    fn wide(self) -> f32 {
        1.7 / (self.hidden as f32).sqrt()
    }

    /// Names and sizes of a layer's tensors, and behind the last layer those of the rest.
    fn tensors(self, part: usize) -> Vec<(String, Vec<usize>)> {
        let Self { hidden, intermediate, layers, heads, kv_heads, vocabulary, tie, .. } = self;
        let head = hidden / heads;
        let mut tensors: Vec<(String, Vec<usize>)> = Vec::new();
        if part == layers {
            tensors.push(("model.embed_tokens.weight".into(), vec![vocabulary, hidden]));
            tensors.push(("model.norm.weight".into(), vec![hidden]));
            if !tie {
                tensors.push(("lm_head.weight".into(), vec![vocabulary, hidden]));
            }
        } else {
            let mut add = |name: &str, shape: &[usize]| {
                tensors.push((format!("model.layers.{part}.{name}.weight"), shape.to_vec()));
            };
            add("input_layernorm", &[hidden]);
            add("post_attention_layernorm", &[hidden]);
            add("self_attn.q_proj", &[heads * head, hidden]);
            add("self_attn.k_proj", &[kv_heads * head, hidden]);
            add("self_attn.v_proj", &[kv_heads * head, hidden]);
            add("self_attn.o_proj", &[hidden, heads * head]);
            add("mlp.gate_proj", &[intermediate, hidden]);
            add("mlp.up_proj", &[intermediate, hidden]);
            add("mlp.down_proj", &[hidden, intermediate]);
        }
        tensors
    }
}

/// Files of bf16, one a layer.
fn write_numbers(shape: Shape, folder: &Path) {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let wide = shape.wide();
    let bytes: Vec<u8> =
        (0..NUMBERS).flat_map(|_| bf16::from_f32((random.random::<f32>() * 2.0 - 1.0) * wide).to_le_bytes()).collect();
    let mut index = BTreeMap::new();
    for part in 0..=shape.layers {
        let file = format!("model-{part:05}.safetensors");
        let data: Vec<(String, Vec<usize>, Vec<u8>)> = shape
            .tensors(part)
            .into_iter()
            .map(|(name, shape)| {
                let count: usize = shape.iter().product();
                let numbers = if shape.len() == 1 {
                    bf16::ONE.to_le_bytes().repeat(count)
                } else {
                    let from = 2 * random.random_range(0..NUMBERS);
                    bytes.iter().cycle().skip(from).take(2 * count).copied().collect()
                };
                index.insert(name.clone(), file.clone());
                (name, shape, numbers)
            })
            .collect();
        let views = data
            .iter()
            .map(|(name, shape, bytes)| (name.clone(), TensorView::new(Dtype::BF16, shape.clone(), bytes).unwrap()));
        safetensors::serialize_to_file(views, None, &folder.join(&file)).unwrap();
    }
    let index = json!({ "metadata": {}, "weight_map": index });
    std::fs::write(folder.join("model.safetensors.index.json"), index.to_string()).unwrap();
}

/// Floating-point operations a second of a product of bf16 matrices of 8192 x 8192 on `device`: the best of some.
pub fn products_rate(device: &Device) -> f64 {
    const N: usize = 8192;
    let make = || Tensor::rand(-1f32, 1f32, (N, N), device).unwrap().to_dtype(candle_core::DType::BF16).unwrap();
    let (a, b) = (make(), make());
    let best = (0..10).map(|_| {
        device.synchronize().unwrap();
        let clock = std::time::Instant::now();
        let _c = a.matmul(&b).unwrap();
        device.synchronize().unwrap();
        clock.elapsed().as_secs_f64()
    });
    2.0 * (N as f64).powi(3) / best.fold(f64::INFINITY, f64::min)
}
