//! From nothing to a base that trains, beside the time that reading its files takes once the system has them.
//!
//! ```text
//! cargo bench --bench load                                       # the demo's base
//! cargo bench --bench load -- --base target/smollm2              # --dtype stored
//! .ci/cuda-build bench --bench load -- --shape llama-8b --device cuda:0 --dtype bf16
//! ```
//! In every turn the files are read by one thread, then a process loads the decoder alone, and another one all that a training
//! needs, adapters of a file among it, and makes one step. Their clocks begin when they have started; opening a card counts.
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "peer/process.rs"]
#[allow(dead_code, reason = "there is no peer here")]
mod process;
#[path = "shape.rs"]
#[allow(dead_code, reason = "another bench measures products with it")]
mod shape;
#[path = "training.rs"]
mod training;

use candle_core::Device;
use clap::{Parser, ValueEnum};
use lopper::lora::{MergedSet, export};
use lopper::model::config::Config;
use lopper::model::decoder::Decoder;
use lopper::model::device;
use lopper::model::weights::Weights;
use lopper::prune::Pruner;
use lopper::recipe::Recipe;
use lopper::run::event::EventBody;
use lopper::train::optimizer::Optimizer;
use lopper::train::step::Trainer;
use lopper::train::task::Task;
use process::{median, range};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;
use training::Training;

#[derive(Parser)]
struct Settings {
    #[command(flatten)]
    training: Training,
    /// Turns that count, after one that reads the files into the system's memory
    #[arg(long, default_value_t = 7)]
    turns: usize,
    /// What this process does, if it is one of a turn
    #[arg(long, hide = true, requires = "folder")]
    part: Option<Part>,
    /// The adapters that it reads
    #[arg(long, hide = true)]
    folder: Option<PathBuf>,
    /// Given by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Part {
    Decoder,
    Step,
}

/// The decoder alone.
fn decoder(recipe: &Recipe) -> Value {
    let clock = Instant::now();
    let place = device::open(&recipe.device, recipe.cuda_ordinal()).unwrap();
    let opened = clock.elapsed().as_secs_f64();
    let config = Config::read(&recipe.base).unwrap();
    let weights = Weights::load(&recipe.base, &config).unwrap();
    let dtype = device::base_type(recipe.dtype, &place.device);
    let decoder =
        Decoder::load(config, &weights, dtype, device::hold(recipe.dtype, place.device.is_cuda()), &place.device)
            .unwrap();
    place.device.synchronize().unwrap();
    let decoded = clock.elapsed().as_secs_f64() - opened;
    json!({ "opened": opened, "decoder": decoded, "parameters": decoder.parameters() })
}

/// All of a training, and its first step.
fn first_step(recipe: &Recipe) -> Value {
    let clock = Instant::now();
    let task = Task::load(recipe, &mut Vec::<EventBody>::new()).unwrap();
    let names = recipe.adapters.iter().map(|a| a.name.clone()).collect();
    let mut trainer = Trainer {
        task: &task,
        settings: &recipe.train,
        set: MergedSet::merged(&task.adapters).unwrap(),
        optimizer: Optimizer::new(&recipe.train),
        pruner: Some(Pruner::new(&recipe.prune, names, 1).unwrap()),
        key: 1,
    };
    task.place.device.synchronize().unwrap();
    let ready = clock.elapsed().as_secs_f64();
    let chosen: Vec<usize> = (0..task.train.encoded.sequences.len()).collect();
    let update = trainer.step(1, 1_000_000, &chosen, recipe.train.lr).unwrap();
    task.place.device.synchronize().unwrap();
    assert!(update.loss.is_finite());
    let stepped = clock.elapsed().as_secs_f64();
    let memory = task.place.most_memory().map_or_else(training::memory, |bytes| bytes as f64);
    json!({ "ready": ready, "stepped": stepped, "memory": memory, "label": task.place.label })
}

/// What a process of its own says of `part`, with this one's other settings.
fn measured(part: &str, folder: &Path) -> Value {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(std::env::args_os().skip(1)).args(["--part", part, "--folder"]).arg(folder).stderr(Stdio::inherit());
    let output = child.output().unwrap();
    assert!(output.status.success(), "the process ended; its message is above");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn main() {
    let mut settings = Settings::parse();
    settings.training.settle();
    let training = &settings.training;
    if let (Some(part), Some(folder)) = (settings.part, &settings.folder) {
        let recipe = training.recipe(folder);
        println!("{}", if matches!(part, Part::Decoder) { decoder(&recipe) } else { first_step(&recipe) });
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let recipe = training.recipe(folder.path());
    let adapters = training::adapters(&recipe, &Config::read(&recipe.base).unwrap(), &Device::Cpu);
    for (i, adapter) in adapters.iter().enumerate().skip(1) {
        export::adapter(&folder.path().join(format!("a{i}")), adapter).unwrap();
    }
    drop(adapters);
    // Reading, decoder, ready, stepped.
    let mut seconds = [(); 4].map(|()| Vec::new());
    let mut ratios = [(); 3].map(|()| Vec::new());
    let mut memory = 0f64;
    for turn in 0..=settings.turns {
        let read = training::reading(&recipe.base);
        let alone = measured("decoder", folder.path());
        let all = measured("step", folder.path());
        let number = |said: &Value, name: &str| said[name].as_f64().unwrap();
        let took = [read, number(&alone, "decoder"), number(&all, "ready"), number(&all, "stepped")];
        println!(
            "turn {turn}: reading {read:.3} s; decoder {:.3} s, after {:.3} s for the device; ready to train {:.3} s, first step \
             done {:.3} s; {}",
            took[1],
            number(&alone, "opened"),
            took[2],
            took[3],
            all["label"].as_str().unwrap_or_default()
        );
        memory = memory.max(number(&all, "memory"));
        if turn > 0 {
            seconds.iter_mut().zip(took).for_each(|(all, one)| all.push(one));
            ratios.iter_mut().zip(&took[1..]).for_each(|(all, one)| all.push(one / read));
        }
    }
    let size: u64 = std::fs::read_dir(&recipe.base).unwrap().map(|e| e.unwrap().metadata().unwrap().len()).sum();
    let rate = size as f64 / 1e9 / median(&seconds[0]);
    println!("reading  {} s, {:.2} GB at {rate:.2} GB/s", range(&seconds[0]), size as f64 / 1e9);
    let names = ["decoder ", "ready   ", "stepped "];
    for ((name, seconds), ratios) in names.iter().zip(&seconds[1..]).zip(&ratios) {
        println!("{name} {} s, {} times the reading (median of the turns' ratios)", range(seconds), range(ratios));
    }
    println!("memory   {:.2} GB at most, the step's among it", memory / 1e9);
}
