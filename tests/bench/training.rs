//! A training as the benches time it: its settings, examples, recipe and adapters.

use crate::shape;
use candle_core::{Device, Tensor};
use lopper::lora::Adapter;
use lopper::model::config::Config;
use lopper::recipe::Recipe;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::Read;
use std::path::{Path, PathBuf};

#[derive(clap::Args, Clone)]
pub struct Training {
    /// Folder of the base model
    #[arg(long, default_value = "assets/demo/base")]
    pub base: PathBuf,
    /// A base of this shape with random weights instead, under target/shapes: llama-8b, llama-1b, llama-30m; with -q4k behind
    /// it a GGUF file in blocks of `Q4_K`
    #[arg(long)]
    pub shape: Option<String>,
    /// Examples in a step
    #[arg(long, default_value_t = 4)]
    pub batch: usize,
    /// Document tokens of an example; the demo's documents are joined and cut to it
    #[arg(long, default_value_t = 256)]
    pub length: usize,
    /// Summary tokens of an example; 0 leaves the demo's summaries as they are
    #[arg(long, default_value_t = 0)]
    pub summary: usize,
    /// Threads
    #[arg(long, default_value_t = 2)]
    pub threads: usize,
    /// cpu or cuda:N
    #[arg(long, default_value = "cpu")]
    pub device: String,
    /// f32 or bf16 base, or stored: matrices as the file has them
    #[arg(long, default_value = "f32")]
    pub dtype: String,
    /// Merged adapters
    #[arg(long, default_value_t = 4)]
    pub adapters: usize,
    /// Share of every matrix that is pruned
    #[arg(long, default_value_t = 0.5)]
    pub ratio: f64,
    /// Forward layers again in the backward pass: all, or with `auto` as many as the memory asks for
    #[arg(long, default_value = "false", default_missing_value = "true", num_args = 0..=1)]
    pub recompute: String,
}

impl Training {
    /// Writes the base of the shape if there is none, and takes the threads for this process.
    pub fn settle(&mut self) {
        if let Some(name) = &self.shape {
            self.base = shape::base(name);
        }
        rayon::ThreadPoolBuilder::new().num_threads(self.threads).build_global().unwrap();
    }

    /// The demo's documents, joined until they are long enough to be cut.
    fn examples(&self, folder: &Path) -> PathBuf {
        let text = std::fs::read_to_string("assets/demo/data/train.jsonl").expect("the demo's data");
        let rows: Vec<Value> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        let mut lines = String::new();
        for first in 0..self.batch {
            let documents = rows.iter().cycle().skip(first * 7).take(4 + self.length / 20);
            let document = documents.map(|r| r["document"].as_str().unwrap()).collect::<Vec<_>>().join("\n");
            // A word is about a token and a half.
            let words = rows.iter().cycle().skip(first).flat_map(|r| r["summary"].as_str().unwrap().split(' '));
            let summary = match self.summary {
                0 => rows[first % rows.len()]["summary"].as_str().unwrap().to_owned(),
                tokens => words.take(tokens * 2 / 3).collect::<Vec<_>>().join(" "),
            };
            writeln!(lines, "{}", json!({ "document": document, "summary": summary })).unwrap();
        }
        let path = folder.join("examples.jsonl");
        std::fs::write(&path, lines).unwrap();
        path
    }

    /// The recipe: its first adapter is drawn, the others are `a1`, `a2` and so on in `folder`, where the examples are written.
    pub fn recipe(&self, folder: &Path) -> Recipe {
        let data = self.examples(folder);
        #[allow(clippy::unnecessary_debug_formatting, reason = "a quoted path is a TOML string")]
        let adapters: String = (0..self.adapters)
            .map(|i| match i {
                0 => "[[adapters]]\nname = \"a0\"\nrole = \"target\"\n".to_owned(),
                i => {
                    let path = folder.join(format!("a{i}"));
                    format!("[[adapters]]\nname = \"a{i}\"\nrole = \"related\"\npath = {path:?}\n")
                }
            })
            .collect();
        #[allow(clippy::unnecessary_debug_formatting, reason = "a quoted path is a TOML string")]
        let text = format!(
            "base = {base:?}\ndevice = \"{device}\"\ndtype = \"{dtype}\"\n[data]\ntrain = {data:?}\ndev = {data:?}\n\
             max_document_tokens = {length}\n[train]\nlr = 2e-4\nbatch = {batch}\nmicro_tokens = 100000\n\
             recompute = \"{recompute}\"\n[prune]\nratio = {ratio}\n{adapters}",
            base = self.base.canonicalize().expect("the base's folder"),
            device = self.device,
            dtype = self.dtype,
            length = self.length,
            batch = self.batch,
            recompute = self.recompute,
            ratio = self.ratio,
        );
        Recipe::parse(&text).unwrap()
    }
}

/// The recipe's adapters with values in B too, so that the prune has something to choose from.
pub fn adapters(recipe: &Recipe, config: &Config, device: &Device) -> Vec<Adapter> {
    (0..recipe.adapters.len())
        .map(|i| {
            let seed = 100 + i as u64;
            let fresh = Adapter::fresh(&recipe.adapters[0], config, seed, device).unwrap();
            let matrices = fresh.modules.iter().map(|(id, pair)| {
                let shape = pair.b.dims2().unwrap();
                let values = (0..shape.0 * shape.1).map(|k| ((k * 7919 + i * 31) % 2001) as f32 / 1e5 - 0.01);
                let b = Tensor::from_vec(values.collect::<Vec<f32>>(), shape, device).unwrap();
                (*id, (pair.a.clone(), b))
            });
            fresh.with_matrices(matrices.collect()).unwrap()
        })
        .collect()
}

/// Seconds to read the files of a folder.
pub fn reading(folder: &Path) -> f64 {
    let mut buffer = vec![0; 1 << 24];
    let clock = std::time::Instant::now();
    for entry in std::fs::read_dir(folder).unwrap() {
        let mut file = std::fs::File::open(entry.unwrap().path()).unwrap();
        while file.read(&mut buffer).unwrap_or(0) > 0 {}
    }
    clock.elapsed().as_secs_f64()
}

/// The largest resident memory of this process so far, bytes; on a card see `Place::most_memory`.
pub fn memory() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    1024.0 * line.trim().trim_end_matches(" kB").parse::<f64>().unwrap()
}
