//! Repositories made of nothing: for long lists, for playing, and such as nobody should trust.

use super::repository::Repository;
use serde_json::{Map, json};

/// A SafeTensors file of `F32` zeros-and-ramps: names with their shapes.
pub fn tensors(named: &[(&str, &[usize])]) -> Vec<u8> {
    let mut header = Map::new();
    let mut data = Vec::new();
    for (name, shape) in named {
        let start = data.len();
        let count: usize = shape.iter().product();
        for i in 0..count {
            data.extend_from_slice(&((i % 97) as f32 * 0.01 - 0.5).to_le_bytes());
        }
        header.insert((*name).into(), json!({"dtype": "F32", "shape": shape, "data_offsets": [start, data.len()]}));
    }
    let mut header = serde_json::Value::from(header).to_string();
    // The data begins at a multiple of eight.
    while !header.len().is_multiple_of(8) {
        header.push(' ');
    }
    let mut out = (header.len() as u64).to_le_bytes().to_vec();
    out.extend_from_slice(header.as_bytes());
    out.extend_from_slice(&data);
    out
}

/// Small models in great number.
pub fn many(count: usize) -> impl Iterator<Item = Repository> {
    (0..count).map(move |i| {
        Repository::model(&format!("many/model-{i:05}"))
            .file("config.json", r#"{"model_type":"llama"}"#)
            .library("transformers")
            .pipeline("text-generation")
            .tags([format!("group-{}", i % 10)])
            .downloads((count - i) as u64)
            .likes(i as u64)
    })
}

/// Names, tags and a card with control characters, escape sequences and paths that lead out of the folder.
pub fn hostile() -> Repository {
    Repository::model("evil/\u{1b}]0;owned\u{7}model")
        .file("config.json", "{\"model_type\":\"\\u001b[2Jllama\"}")
        .file("README.md", "\u{1b}[31mred\u{1b}[0m\u{9b}2J\u{202e}txet\n")
        .tags(["\u{1b}[2J\u{1b}[H", "line\nbreak", "\u{202e}gat", "tab\there", "bell\u{7}"])
        .library("\u{1b}[5mblink")
        .pipeline("text-\u{1b}]52;c;ZXZpbA==\u{7}generation")
        .card(json!({"license": "\u{1b}[8mhidden", "base_model": "\u{1b}[1mlab/tiny", "language": ["\u{9b}31m"]}))
        .raw_sibling("../../.bashrc")
        .raw_sibling("/etc/passwd")
        .raw_sibling("a/../../b")
        .raw_sibling("\u{1b}[2Jmodel.safetensors")
        .raw_sibling("C:\\Windows\\system.ini")
}

/// A base model, two adapters of it and one more model, with nothing but generated numbers in them.
pub fn demo() -> Vec<Repository> {
    let config = json!({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 64, "intermediate_size": 128,
        "num_attention_heads": 4, "num_key_value_heads": 2, "num_hidden_layers": 2, "vocab_size": 640,
    });
    let weights = tensors(&[
        ("model.embed_tokens.weight", &[640, 64]),
        ("model.layers.0.self_attn.q_proj.weight", &[64, 64]),
        ("model.layers.1.self_attn.q_proj.weight", &[64, 64]),
    ]);
    let base = Repository::model("lab/tiny-llama")
        .file("README.md", "---\nlicense: apache-2.0\nlanguage: en\n---\n# Tiny llama\nGenerated numbers.\n")
        .file("config.json", config.to_string())
        .lfs("model.safetensors", weights)
        .library("transformers")
        .pipeline("text-generation")
        .downloads(120_345)
        .likes(321)
        .trending(12);
    let adapter = |name: &str, rank: usize, downloads: u64| {
        let config = json!({
            "base_model_name_or_path": "lab/tiny-llama", "peft_type": "LORA", "task_type": "CAUSAL_LM",
            "r": rank, "lora_alpha": 2 * rank, "target_modules": ["q_proj"],
        });
        let module = "base_model.model.model.layers.0.self_attn.q_proj";
        let (down, up) = (format!("{module}.lora_A.weight"), format!("{module}.lora_B.weight"));
        let weights = tensors(&[(&down, &[rank, 64]), (&up, &[64, rank])]);
        Repository::model(&format!("lab/{name}"))
            .file("README.md", format!("---\nbase_model: lab/tiny-llama\nlicense: mit\n---\n# {name}\n"))
            .file("adapter_config.json", config.to_string())
            .lfs("adapter_model.safetensors", weights)
            .library("peft")
            .tags(["lora"])
            .downloads(downloads)
            .likes(downloads / 100)
    };
    let other = Repository::model("other/micro-gpt")
        .file("config.json", r#"{"model_type":"gpt2","architectures":["GPT2LMHeadModel"]}"#)
        .lfs("model.safetensors", tensors(&[("wte.weight", &[100, 32])]))
        .library("transformers")
        .downloads(77);
    vec![base, adapter("tiny-llama-sql-lora", 8, 4200), adapter("tiny-llama-chat-lora", 16, 3100), other]
}
