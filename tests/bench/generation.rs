//! Greedy answers, alternately with transformers (`tests/bench/peer/generate.py`).
//!
//! ```text
//! cargo bench --bench generation -- --base target/smollm2                       # lopper alone
//! cargo bench --bench generation -- --base target/smollm2 --peer python3        # beside transformers in f32
//! cargo bench --bench generation -- --base target/smollm2-q4_1 --dtype stored --peer python3 --peer-base target/smollm2
//! .ci/cuda-build bench --bench generation -- --base target/smollm2 --device cuda:0 --dtype bf16 --batch 32 --peer python3
//! ```
//! Both sides read the same prompts and write the same number of tokens, with a key-value cache and as many threads. A turn
//! is the whole answer, the reading of the prompt included; what both wrote is compared where both compute in f32.
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use candle_core::DType;
use clap::Parser;
use lopper::data::Tokenizer;
use lopper::lora::{Adapter, MergedSet};
use lopper::model::config::Config;
use lopper::model::decoder::{Decoder, Pass};
use lopper::model::device;
use lopper::model::generate::{Generation, generate};
use lopper::model::weights::Weights;
use lopper::recipe::{BaseType, cuda_ordinal};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::Instant;

#[path = "peer/process.rs"]
mod process;

use process::{Peer, range};

#[derive(Parser)]
struct Settings {
    /// Folder of the base model
    #[arg(long, default_value = "assets/demo/base")]
    base: PathBuf,
    /// Python with torch and transformers; none times lopper alone
    #[arg(long)]
    peer: Option<PathBuf>,
    /// The peer's folder, where it is not the same
    #[arg(long)]
    peer_base: Option<PathBuf>,
    /// Where both sides compute: cpu or cuda:N
    #[arg(long, default_value = "cpu")]
    device: String,
    /// f32, on a card also bf16, or stored: matrices as the file has them
    #[arg(long, default_value = "f32", value_parser = ["f32", "bf16", "stored"])]
    dtype: String,
    /// An adapter in PEFT's format; the peer has none, so without one
    #[arg(long, conflicts_with = "peer")]
    adapter: Option<PathBuf>,
    /// Prompts at once
    #[arg(long, default_value_t = 1)]
    batch: usize,
    /// Tokens of a prompt
    #[arg(long, default_value_t = 64)]
    prompt: usize,
    /// Tokens that are written
    #[arg(long, default_value_t = 64)]
    tokens: usize,
    /// Turns that count
    #[arg(long, default_value_t = 7)]
    turns: usize,
    /// Threads of each side
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Given by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

fn prompts(settings: &Settings) -> Vec<Vec<u32>> {
    let text = std::fs::read_to_string("assets/demo/data/train.jsonl").expect("the demo's data");
    let tokenizer = Tokenizer::read(&settings.base).unwrap();
    let documents: Vec<String> = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["document"].as_str().unwrap().to_owned())
        .collect();
    (0..settings.batch)
        .map(|i| {
            let joined: Vec<&str> = documents.iter().cycle().skip(i * 3).take(8).map(String::as_str).collect();
            let mut ids = tokenizer.encode(&joined.join("\n"), false).unwrap();
            assert!(ids.len() >= settings.prompt, "the demo's documents are too short for --prompt");
            ids.truncate(settings.prompt);
            ids
        })
        .collect()
}

fn main() {
    let settings = Settings::parse();
    rayon::ThreadPoolBuilder::new().num_threads(settings.threads).build_global().unwrap();
    let config = Config::read(&settings.base).unwrap();
    let weights = Weights::load(&settings.base, &config).unwrap();
    let device = device::open(&settings.device, cuda_ordinal(&settings.device)).unwrap().device;
    let wanted = match settings.dtype.as_str() {
        "bf16" => BaseType::Bf16,
        "stored" => BaseType::Stored,
        _ => BaseType::F32,
    };
    let (dtype, hold) = (device::base_type(wanted, &device), device::hold(wanted, device.is_cuda()));
    let half = dtype == DType::BF16;
    let adapter = settings.adapter.as_ref().map(|path| Adapter::read(path, &config, &device).unwrap());
    let decoder = Decoder::load(config, &weights, dtype, hold, &device).unwrap();
    let set = adapter.map(|adapter| MergedSet::merged(&[(adapter, 1.0)]).unwrap());
    let pass = set.map_or_else(Pass::default, |set| decoder.pass(Some(&set), None).unwrap());
    let prompts = prompts(&settings);
    let how = Generation { max_new_tokens: settings.tokens, temperature: 0.0, top_p: 1.0, seed: 1, ends: Vec::new() };
    let mut peer = settings.peer.as_deref().map(|python| {
        let base = settings.peer_base.as_ref().unwrap_or(&settings.base).canonicalize().unwrap();
        let asked = json!({
            "base": base, "threads": settings.threads, "tokens": settings.tokens, "prompts": prompts,
            "device": settings.device, "dtype": if half { "bfloat16" } else { "float32" },
        });
        Peer::start(python, "generate.py", asked.to_string())
    });
    let written = (settings.batch * settings.tokens) as f64;
    let (mut ours, mut theirs, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for turn in 0..=settings.turns {
        let clock = Instant::now();
        let answers = generate(&decoder, &pass, &prompts, &how, &mut |_| Ok(true)).unwrap();
        let own = written / clock.elapsed().as_secs_f64();
        let mut line = format!("turn {turn}: lopper {own:.1} tokens/s");
        if let Some(peer) = &mut peer {
            let answer = peer.turn();
            let other = written / answer["seconds"].as_f64().unwrap();
            let same =
                answers.iter().zip(answer["answers"].as_array().unwrap()).filter(|(a, b)| json!(a) == **b).count();
            line += &format!("; transformers {other:.1}; {same} of {} answers are the same", settings.batch);
            if settings.dtype == "f32" {
                assert!(2 * same >= settings.batch, "the answers part: {line}");
            }
            if turn > 0 {
                theirs.push(other);
                ratios.push(own / other);
            }
        }
        // The first one reads the weights into the cache.
        if turn > 0 {
            ours.push(own);
        }
        println!("{line}");
    }
    println!(
        "lopper       {} tokens/s, {} x {} after {}, {}",
        range(&ours),
        settings.batch,
        settings.tokens,
        settings.prompt,
        settings.dtype
    );
    if peer.is_some() {
        println!("transformers {} tokens/s, {}", range(&theirs), if half { "bf16" } else { "f32" });
        println!("ratio        lopper writes {} times as many (median of the turns' ratios)", range(&ratios));
    }
}
