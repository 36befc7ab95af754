//! One update-and-prune step, alternately with the same step in PEFT (`tests/bench/peer/peft_step.py`).
//!
//! ```text
//! cargo bench --bench step                                       # lopper alone, on the demo's base
//! cargo bench --bench step -- --peer python3                     # against torch + PEFT of that Python
//! cargo bench --bench step -- --peer python3 --base target/smollm2
//! .ci/cuda-build bench --bench step -- --peer python3 --shape llama-8b --device cuda:0 --dtype bf16 --length 1024
//! ```
//! Both sides have the same weights, four adapters of rank 16 on all seven projections, the same
//! examples, AdamW, a ratio of 0.5 and the same number of threads. The sides take turns step by step,
//! so that whatever else the machine does hits both; the first turns are not counted. The largest resident memory of each
//! side is told at the end.
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use candle_core::Tensor;
use clap::Parser;
use lopper::data::batch::Epochs;
use lopper::lora::{Adapter, MergedSet, export};
use lopper::model::product::measured_rate;
use lopper::module::Projection;
use lopper::prune::Pruner;
use lopper::recipe::Recipe;
use lopper::run::event::EventBody;
use lopper::train::optimizer::Optimizer;
use lopper::train::step::Trainer;
use lopper::train::task::Task;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Instant;

#[path = "peer/process.rs"]
mod process;
#[path = "shape.rs"]
mod shape;

use process::{Peer, median, range};

#[derive(Parser)]
struct Settings {
    /// Folder of the base model
    #[arg(long, default_value = "assets/demo/base")]
    base: PathBuf,
    /// A base of this shape with random weights instead, under target/shapes: llama-8b, llama-1b, llama-30m
    #[arg(long)]
    shape: Option<String>,
    /// Python with torch, transformers and peft; none times lopper alone
    #[arg(long)]
    peer: Option<PathBuf>,
    /// Examples in a step
    #[arg(long, default_value_t = 4)]
    batch: usize,
    /// Document tokens of an example; the demo's documents are joined and cut to it
    #[arg(long, default_value_t = 256)]
    length: usize,
    /// Summary tokens of an example; 0 leaves the demo's summaries as they are
    #[arg(long, default_value_t = 0)]
    summary: usize,
    /// Turns that count
    #[arg(long, default_value_t = 7)]
    turns: usize,
    /// Turns before them
    #[arg(long, default_value_t = 2)]
    warmup: usize,
    /// Threads of each side
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// cpu or cuda:N
    #[arg(long, default_value = "cpu")]
    device: String,
    /// f32 or bf16 base
    #[arg(long, default_value = "f32")]
    dtype: String,
    /// Merged adapters
    #[arg(long, default_value_t = 4)]
    adapters: usize,
    /// Share of every matrix that is pruned
    #[arg(long, default_value_t = 0.5)]
    ratio: f64,
    /// Without pruning, and without a peer
    #[arg(long, conflicts_with = "peer")]
    unpruned: bool,
    /// Forward each layer again in the backward pass
    #[arg(long)]
    recompute: bool,
    /// Given by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

/// Seconds to read the files of a folder.
fn reading(folder: &Path) -> f64 {
    let mut buffer = vec![0; 1 << 24];
    let clock = Instant::now();
    for entry in std::fs::read_dir(folder).unwrap() {
        let mut file = std::fs::File::open(entry.unwrap().path()).unwrap();
        while file.read(&mut buffer).unwrap_or(0) > 0 {}
    }
    clock.elapsed().as_secs_f64()
}

/// The demo's documents, joined until they are long enough to be cut.
fn examples(settings: &Settings, folder: &Path) -> PathBuf {
    let text = std::fs::read_to_string("assets/demo/data/train.jsonl").expect("the demo's data");
    let rows: Vec<Value> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let mut lines = String::new();
    for first in 0..settings.batch {
        let documents = rows.iter().cycle().skip(first * 7).take(4 + settings.length / 20);
        let document = documents.map(|r| r["document"].as_str().unwrap()).collect::<Vec<_>>().join("\n");
        // A word is about a token and a half.
        let words = rows.iter().cycle().skip(first).flat_map(|r| r["summary"].as_str().unwrap().split(' '));
        let summary = match settings.summary {
            0 => rows[first % rows.len()]["summary"].as_str().unwrap().to_owned(),
            tokens => words.take(tokens * 2 / 3).collect::<Vec<_>>().join(" "),
        };
        writeln!(lines, "{}", json!({ "document": document, "summary": summary })).unwrap();
    }
    let path = folder.join("examples.jsonl");
    std::fs::write(&path, lines).unwrap();
    path
}

fn recipe(settings: &Settings, folder: &Path) -> Recipe {
    let data = examples(settings, folder);
    let adapters: String = (0..settings.adapters)
        .map(|i| match i {
            0 => "[[adapters]]\nname = \"a0\"\nrole = \"target\"\n".to_owned(),
            i => format!("[[adapters]]\nname = \"a{i}\"\nrole = \"related\"\npath = \"unused\"\n"),
        })
        .collect();
    #[allow(clippy::unnecessary_debug_formatting, reason = "a quoted path is a TOML string")]
    let text = format!(
        "base = {base:?}\ndevice = \"{device}\"\ndtype = \"{dtype}\"\n[data]\ntrain = {data:?}\ndev = {data:?}\n\
         max_document_tokens = {length}\n[train]\nlr = 2e-4\nbatch = {batch}\nmicro_tokens = 100000\n\
         recompute = {recompute}\n[prune]\nratio = {ratio}\n{adapters}",
        base = settings.base.canonicalize().expect("the base's folder"),
        device = settings.device,
        dtype = settings.dtype,
        length = settings.length,
        batch = settings.batch,
        recompute = settings.recompute,
        ratio = settings.ratio,
    );
    Recipe::parse(&text).unwrap()
}

/// Adapters with values in B too, so that the prune has something to choose from.
fn adapters(recipe: &Recipe, task: &Task) -> Vec<Adapter> {
    (0..recipe.adapters.len())
        .map(|i| {
            let seed = 100 + i as u64;
            let fresh = Adapter::fresh(&recipe.adapters[0], task.decoder.config(), seed, &task.place.device).unwrap();
            let matrices = fresh.modules.iter().map(|(id, pair)| {
                let shape = pair.b.dims2().unwrap();
                let values = (0..shape.0 * shape.1).map(|k| ((k * 7919 + i * 31) % 2001) as f32 / 1e5 - 0.01);
                let b = Tensor::from_vec(values.collect::<Vec<f32>>(), shape, &task.place.device).unwrap();
                (*id, (pair.a.clone(), b))
            });
            fresh.with_matrices(matrices.collect()).unwrap()
        })
        .collect()
}

/// Floating-point operations of a step, the fewest: every linear forward and back to its input, every adapter forward and
/// back to its input and its matrices, attention's four products (the lower halves, forward and back), the loss at the
/// targets.
fn operations(task: &Task, set: &MergedSet) -> f64 {
    let config = task.decoder.config();
    let linears: usize = Projection::ALL.iter().map(|p| config.linear_shape(*p)).map(|(o, i)| o * i).sum();
    let adapters: usize = set.modules.values().map(|m| m.a.elem_count() + m.b.elem_count()).sum();
    let sequences = &task.train.encoded.sequences;
    let tokens: usize = sequences.iter().map(|s| s.tokens.len()).sum();
    let targets: usize = sequences.iter().map(|s| s.tokens.len() - s.prompt).sum();
    let squares: usize = sequences.iter().map(|s| s.tokens.len().pow(2)).sum();
    let attention = 6 * config.layers * config.heads * config.head_dim * squares;
    (tokens * (4 * linears * config.layers + 6 * adapters) + attention + 4 * targets * config.hidden * config.vocab)
        as f64
}

/// The largest resident memory of this process so far, bytes; on a card see `Place::most_memory`.
fn memory() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    1024.0 * line.trim().trim_end_matches(" kB").parse::<f64>().unwrap()
}

fn main() {
    let mut settings = Settings::parse();
    if let Some(name) = &settings.shape {
        settings.base = shape::base(name);
    }
    let settings = settings;
    rayon::ThreadPoolBuilder::new().num_threads(settings.threads).build_global().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let recipe = recipe(&settings, folder.path());
    let mut plain = recipe.clone();
    plain.adapters.truncate(1);
    let clock = Instant::now();
    let task = Task::load(&plain, &mut Vec::<EventBody>::new()).unwrap();
    let loaded = clock.elapsed().as_secs_f64();
    println!(
        "loading  {loaded:.2} s; reading the base's files, now that the system has them, {:.2} s",
        reading(&settings.base)
    );
    let adapters = adapters(&recipe, &task);
    let sequences = &task.train.encoded.sequences;
    let tokens: usize = sequences.iter().map(|s| s.tokens.len()).sum();
    let widest = sequences.iter().map(|s| s.tokens.len()).max().unwrap();
    for (i, adapter) in adapters.iter().enumerate() {
        export::adapter(&folder.path().join(format!("a{i}")), adapter).unwrap();
    }
    let peer = json!({
        "base": recipe.base, "device": settings.device, "dtype": settings.dtype, "threads": settings.threads,
        "adapters": settings.adapters, "ratio": settings.ratio, "lr": recipe.train.lr, "clip": recipe.train.clip,
        "recompute": settings.recompute,
        "sequences": sequences.iter().map(|s| json!({ "tokens": s.tokens, "prompt": s.prompt })).collect::<Vec<_>>(),
    });
    std::fs::write(folder.path().join("step.json"), peer.to_string()).unwrap();
    println!(
        "{}: {} examples, {tokens} tokens (padded to {} for the peer), {} adapters, ratio {}, {} threads, {}",
        settings.base.display(),
        settings.batch,
        widest * settings.batch,
        settings.adapters,
        settings.ratio,
        settings.threads,
        task.place.label
    );
    let set: Vec<(Adapter, f64)> = adapters.into_iter().map(|a| (a, 1.0)).collect();
    let names = recipe.adapters.iter().map(|a| a.name.clone()).collect();
    let mut trainer = Trainer {
        task: &task,
        settings: &recipe.train,
        set: MergedSet::merged(&set).unwrap(),
        optimizer: Optimizer::new(&recipe.train),
        pruner: (!settings.unpruned).then(|| Pruner::new(&recipe.prune, names, 1).unwrap()),
        key: 1,
    };
    let mut peer = settings.peer.as_deref().map(|python| Peer::start(python, "peft_step.py", folder.path()));
    let mut order = Epochs::new(sequences.len(), settings.batch, 1);
    let (mut ours, mut theirs, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    let mut their_memory = 0.0;
    for turn in 0..settings.warmup + settings.turns {
        let chosen = order.next().unwrap();
        let clock = Instant::now();
        let update = trainer.step(turn + 1, 1_000_000, &chosen, recipe.train.lr).unwrap();
        task.place.device.synchronize().unwrap();
        let own = clock.elapsed().as_secs_f64();
        let s = update.seconds;
        let mut line = format!(
            "turn {turn}: lopper {own:.3} s (forward {:.3}, backward {:.3}, update {:.3}, prune {:.3}), loss {:.4}",
            s.forward, s.backward, s.optimiser, s.prune, update.loss
        );
        if let Some(peer) = &mut peer {
            let answer = peer.turn();
            let number = |name: &str| answer[name].as_f64().unwrap();
            let (seconds, loss) = (number("seconds"), number("loss"));
            their_memory = number("memory");
            write!(line, "; PEFT {seconds:.3} s, loss {loss:.4}").unwrap();
            // Two sides that do different work have nothing to compare.
            let allowed = if settings.dtype == "f32" { 2e-3 } else { 3e-2 };
            assert!((loss - update.loss).abs() < allowed * loss, "the losses part: {line}");
            if turn >= settings.warmup {
                theirs.push(seconds);
                ratios.push(seconds / own);
            }
        }
        if turn >= settings.warmup {
            ours.push(own);
        }
        println!("{line}");
    }
    println!("lopper   {} s a step, {:.0} tokens/s", range(&ours), tokens as f64 / median(&ours));
    let (work, rate, product) = if task.place.device.is_cpu() {
        (operations(&task, &trainer.set), measured_rate(), "768 x 768")
    } else {
        (operations(&task, &trainer.set), shape::products_rate(&task.place.device), "8192 x 8192 in bf16")
    };
    println!(
        "floor    {:.3} s: {:.0} GFLOP at the {:.0} GFLOP/s that a product of {product} reaches here; {:.0} % of a step",
        work / rate,
        work / 1e9,
        rate / 1e9,
        100.0 * work / rate / median(&ours)
    );
    if peer.is_some() {
        println!("PEFT     {} s a step, {:.0} tokens/s", range(&theirs), tokens as f64 / median(&theirs));
        println!("ratio    lopper is {} times as fast (median of the turns' ratios)", range(&ratios));
        let (own, other) = (task.place.most_memory().map_or_else(memory, |bytes| bytes as f64), their_memory);
        println!("memory   {:.2} GB at most, PEFT {:.2} GB: {:.2} of it", own / 1e9, other / 1e9, own / other);
    }
}
