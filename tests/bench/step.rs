//! One update-and-prune step, alternately with the same step in PEFT (`tests/bench/peer/peft_step.py`).
//!
//! ```text
//! cargo bench --bench step                                       # lopper alone, on the demo's base
//! cargo bench --bench step -- --peer python3                     # against torch + PEFT of that Python
//! cargo bench --bench step -- --peer python3 --base target/smollm2
//! cargo bench --bench step -- --peer python3 --base target/smollm2 --adapters 1 --unpruned   # plain LoRA
//! .ci/cuda-build bench --bench step -- --peer python3 --shape llama-8b --device cuda:0 --dtype bf16 --length 1024
//! .ci/cuda-build bench --bench step -- --shape llama-8b-q4k --device cuda:0 --dtype stored --batch 1 --length 1024
//! ```
//! Both sides have the same weights, four adapters of rank 16 on all seven projections, the same
//! examples, AdamW, a ratio of 0.5 and the same number of threads. The sides take turns step by step,
//! so that whatever else the machine does hits both; the first turns are not counted. The largest resident memory of each
//! side is told at the end.
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use candle_core::DType;
use clap::Parser;
use lopper::data::batch::Epochs;
use lopper::lora::{Adapter, MergedSet, export};
use lopper::model::product::measured_rate;
use lopper::module::Projection;
use lopper::prune::Pruner;
use lopper::recipe::BaseType;
use lopper::run::event::EventBody;
use lopper::train::optimizer::Optimizer;
use lopper::train::step::Trainer;
use lopper::train::task::Task;
use serde_json::json;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Instant;

#[path = "peer/process.rs"]
mod process;
#[path = "shape.rs"]
mod shape;
#[path = "training.rs"]
mod training;

use process::{Peer, median, range};
use training::Training;

#[derive(Parser)]
struct Settings {
    #[command(flatten)]
    training: Training,
    /// Python with torch, transformers and peft; none times lopper alone
    #[arg(long)]
    peer: Option<PathBuf>,
    /// Turns that count
    #[arg(long, default_value_t = 7)]
    turns: usize,
    /// Turns before them
    #[arg(long, default_value_t = 2)]
    warmup: usize,
    /// Without pruning, on both sides
    #[arg(long)]
    unpruned: bool,
    /// Given by cargo
    #[arg(long, hide = true)]
    bench: bool,
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

fn main() {
    let mut settings = Settings::parse();
    settings.training.settle();
    let (settings, training) = (&settings, &settings.training);
    let folder = tempfile::tempdir().unwrap();
    let recipe = training.recipe(folder.path());
    let mut plain = recipe.clone();
    plain.adapters.truncate(1);
    let clock = Instant::now();
    let task = Task::load(&plain, &mut Vec::<EventBody>::new()).unwrap();
    let loaded = clock.elapsed().as_secs_f64();
    println!(
        "loading  {loaded:.2} s; reading the base's files, now that the system has them, {:.2} s",
        training::reading(&training.base)
    );
    let adapters = training::adapters(&recipe, task.decoder.config(), &task.place.device);
    let sequences = &task.train.encoded.sequences;
    let tokens: usize = sequences.iter().map(|s| s.tokens.len()).sum();
    let widest = sequences.iter().map(|s| s.tokens.len()).max().unwrap();
    for (i, adapter) in adapters.iter().enumerate() {
        export::adapter(&folder.path().join(format!("a{i}")), adapter).unwrap();
    }
    // On the CPU activations are f32 beside a base in bf16; a PEFT user would have both in bf16.
    let half = recipe.dtype == BaseType::Bf16 || task.decoder.dtype() == DType::BF16;
    let ratio = if settings.unpruned { 0.0 } else { training.ratio };
    let peer = json!({
        "base": recipe.base, "device": training.device, "dtype": if half { "bf16" } else { "f32" },
        "threads": training.threads, "adapters": training.adapters, "ratio": ratio, "lr": recipe.train.lr,
        "clip": recipe.train.clip, "recompute": training.recompute == "true",
        "sequences": sequences.iter().map(|s| json!({ "tokens": s.tokens, "prompt": s.prompt })).collect::<Vec<_>>(),
    });
    std::fs::write(folder.path().join("step.json"), peer.to_string()).unwrap();
    println!(
        "{}: {} examples, {tokens} tokens (padded to {} for the peer), {} adapters, ratio {ratio}, {} threads, {}",
        training.base.display(),
        training.batch,
        widest * training.batch,
        training.adapters,
        training.threads,
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
    let mut order = Epochs::new(sequences.len(), training.batch, 1);
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
            let allowed = if half { 3e-2 } else { 2e-3 };
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
    // Before the rate of a product is measured, whose matrices are no part of a step.
    let own = task.place.most_memory().map_or_else(training::memory, |bytes| bytes as f64);
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
        println!(
            "memory   {:.2} GB at most, PEFT {:.2} GB: {:.2} of it",
            own / 1e9,
            their_memory / 1e9,
            own / their_memory
        );
    } else {
        println!("memory   {:.2} GB at most", own / 1e9);
    }
}
