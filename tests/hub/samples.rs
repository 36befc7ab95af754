//! Repositories for long lists, for playing (with what the demo is made of), and such as nobody should trust.

use super::repository::{Gate, Repository};
use serde_json::{Map, json};
use std::path::Path;

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

/// The demo's base and adapters as repositories, an adapter that does not fit it, a model of another family, a gated one.
pub fn demo() -> Vec<Repository> {
    let base = Repository::model("demo/debian-40m")
        .file(
            "README.md",
            "---\nlicense: apache-2.0\nlanguage: en\n---\n# Debian 40M\n\nA small Llama for synopses of Debian packages, cut \
             from SmolLM2-135M: 10 of 30 layers, a vocabulary of 8k.\n\n## Use\n\nIt comes with lopper's demo.\n",
        )
        .library("transformers")
        .pipeline("text-generation")
        .downloads(120_345)
        .likes(321)
        .trending(12);
    let base = of_assets(base, "base");
    let card = |name: &str| {
        let task = "synopses of Debian packages";
        format!(
            "---\nbase_model: demo/debian-40m\nlicense: apache-2.0\n---\n# {name}\n\nLoRA of rank 8 for {task}: {name}.\n"
        )
    };
    let adapter = |name: &str, downloads: u64| {
        let repository = Repository::model(&format!("demo/debian-{name}-lora")).file("README.md", card(name));
        let repository = repository.library("peft").tags(["lora", "summarization"]);
        of_assets(repository.downloads(downloads).likes(downloads / 100), &format!("adapters/{name}"))
    };
    let module = "base_model.model.model.layers.0.self_attn.q_proj";
    let strange = json!({
        "base_model_name_or_path": "demo/debian-40m", "peft_type": "LORA", "task_type": "CAUSAL_LM",
        "r": 8, "lora_alpha": 16, "target_modules": ["q_proj"], "layers_to_transform": [0],
    });
    let (down, up) = (format!("{module}.lora_A.weight"), format!("{module}.lora_B.weight"));
    let strange = Repository::model("else/tuned-on-another-size")
        .file("README.md", "---\nbase_model: demo/debian-40m\nlicense: mit\n---\n# Another size\n")
        .file("adapter_config.json", strange.to_string())
        .lfs("adapter_model.safetensors", tensors(&[(&down, &[8, 64]), (&up, &[64, 8])]))
        .library("peft")
        .downloads(2900);
    let other = Repository::model("other/micro-gpt")
        .file("config.json", r#"{"model_type":"gpt2","architectures":["GPT2LMHeadModel"]}"#)
        .lfs("model.safetensors", tensors(&[("wte.weight", &[100, 32])]))
        .library("transformers")
        .downloads(77);
    let gated = Repository::model("lab/gated-llama")
        .file("config.json", r#"{"model_type":"llama"}"#)
        .lfs("model.safetensors", tensors(&[("model.norm.weight", &[64])]))
        .library("transformers")
        .downloads(55_000)
        .gated(Gate::Manual, "hf_granted");
    let adapters = [("science", 4200), ("net", 3100), ("libs", 1800)].map(|(name, n)| adapter(name, n));
    [base, strange, other, gated].into_iter().chain(adapters).collect()
}

/// `repository` with the files of a folder of assets/demo.
fn of_assets(repository: Repository, folder: &str) -> Repository {
    repository.folder(Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/demo").join(folder))
}
