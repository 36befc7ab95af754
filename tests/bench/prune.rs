//! What pruning costs: the masks of an 8B-shaped model with four adapters, and a training step with them beside the same step
//! without.
//!
//! ```text
//! cargo bench --bench prune                                          # 1,792 matrices (5 GB), then steps on the demo's base
//! cargo bench --bench prune -- --only step --base target/smollm2     # --turns 20
//! cargo bench --bench prune -- --only masks                          # --layers 8
//! .ci/cuda-build bench --bench prune -- --device cuda:0 --shape llama-8b --dtype bf16 --length 1024
//! ```
//! The two steps have the same weights, adapters, examples and optimiser, and take turns; which one is first changes from turn
//! to turn. The step without takes no norms either.
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "masks.rs"]
mod masks;
#[path = "peer/process.rs"]
#[allow(dead_code, reason = "there is no peer here")]
mod process;
#[path = "shape.rs"]
#[allow(dead_code, reason = "another bench measures products with it")]
mod shape;
#[path = "training.rs"]
#[allow(dead_code, reason = "another bench reads the base's files")]
mod training;

use clap::{Parser, ValueEnum};
use lopper::data::batch::Epochs;
use lopper::lora::{Adapter, MergedSet};
use lopper::model::device;
use lopper::prune::Pruner;
use lopper::recipe;
use lopper::run::event::EventBody;
use lopper::train::optimizer::Optimizer;
use lopper::train::step::Trainer;
use lopper::train::task::Task;
use process::range;
use std::time::Instant;
use training::Training;

#[derive(Parser)]
struct Settings {
    #[command(flatten)]
    training: Training,
    /// Turns that count
    #[arg(long, default_value_t = 10)]
    turns: usize,
    /// Turns of the steps before them
    #[arg(long, default_value_t = 2)]
    warmup: usize,
    /// Decoder layers of the 8B shape whose masks are computed
    #[arg(long, default_value_t = 32)]
    layers: usize,
    /// Nothing but this
    #[arg(long)]
    only: Option<Part>,
    /// Given by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    Masks,
    Step,
}

/// The same step with and without pruning.
fn steps(settings: &Settings) {
    let training = &settings.training;
    let folder = tempfile::tempdir().unwrap();
    let recipe = training.recipe(folder.path());
    let mut plain = recipe.clone();
    plain.adapters.truncate(1);
    let task = Task::load(&plain, &mut Vec::<EventBody>::new()).unwrap();
    let sequences = &task.train.encoded.sequences;
    let tokens: usize = sequences.iter().map(|s| s.tokens.len()).sum();
    println!(
        "{}: {} examples, {tokens} tokens, {} adapters, ratio {}, {} threads, {}",
        training.base.display(),
        training.batch,
        training.adapters,
        training.ratio,
        training.threads,
        task.place.label
    );
    let trainer = |pruner: Option<Pruner>| {
        // Made for each: an update changes the matrices in place.
        let adapters = training::adapters(&recipe, task.decoder.config(), &task.place.device);
        let set: Vec<(Adapter, f64)> = adapters.into_iter().map(|a| (a, 1.0)).collect();
        Trainer {
            task: &task,
            settings: &recipe.train,
            set: MergedSet::merged(&set).unwrap(),
            optimizer: Optimizer::new(&recipe.train),
            pruner,
            key: 1,
        }
    };
    let names = recipe.adapters.iter().map(|a| a.name.clone()).collect();
    let mut sides = [trainer(Some(Pruner::new(&recipe.prune, names, 1).unwrap())), trainer(None)];
    let mut order = Epochs::new(sequences.len(), training.batch, 1);
    let mut seconds = [Vec::new(), Vec::new()];
    let (mut ratios, mut masks) = (Vec::new(), Vec::new());
    for turn in 0..settings.warmup + settings.turns {
        let chosen = order.next().unwrap();
        let (mut took, mut losses, mut mask) = ([0.0; 2], [0.0; 2], 0.0);
        for side in [turn % 2, 1 - turn % 2] {
            let clock = Instant::now();
            let update = sides[side].step(turn + 1, 1_000_000, &chosen, recipe.train.lr).unwrap();
            task.place.device.synchronize().unwrap();
            took[side] = clock.elapsed().as_secs_f64();
            losses[side] = update.loss;
            mask += update.seconds.prune;
        }
        // The first loss is computed before anything is pruned.
        assert!(turn > 0 || (losses[0] - losses[1]).abs() < 1e-5 * losses[1], "the steps differ: {losses:?}");
        println!("turn {turn}: with {:.3} s (prune {mask:.3}), without {:.3} s", took[0], took[1]);
        if turn >= settings.warmup {
            ratios.push(took[0] / took[1]);
            masks.push(mask);
            seconds.iter_mut().zip(took).for_each(|(all, one)| all.push(one));
        }
    }
    println!("with     {} s a step, of it masks {}", range(&seconds[0]), range(&masks));
    println!("without  {} s a step", range(&seconds[1]));
    println!("ratio    pruning makes a step {} times as long (median of the turns' ratios)", range(&ratios));
}

fn main() {
    let mut settings = Settings::parse();
    settings.training.settle();
    let name = &settings.training.device;
    if settings.only != Some(Part::Step) {
        let place = device::open(name, recipe::cuda_ordinal(name)).unwrap();
        masks::masks(settings.layers, settings.turns, &place.device);
    }
    if settings.only != Some(Part::Masks) {
        steps(&settings);
    }
}
