//! Masks of every matrix of an 8B-shaped model with four adapters: 1,792 of them, 168 million entries.

use candle_core::{Device, Tensor};
use lopper::lora::merge::Segment;
use lopper::lora::{MergedModule, MergedSet, SquareSums};
use lopper::module::{ModuleId, Projection};
use lopper::prune::Pruner;
use lopper::recipe::Prune;
use lopper::recipe::ratios::Rule;
use rand::{Rng, SeedableRng};
use std::time::Instant;

pub const ADAPTERS: usize = 4;
pub const RANK: usize = 16;

/// Inputs and outputs of a linear of Llama-3-8B.
pub fn size(projection: Projection) -> (usize, usize) {
    match projection {
        Projection::QProj | Projection::OProj => (4096, 4096),
        Projection::KProj | Projection::VProj => (4096, 1024),
        Projection::GateProj | Projection::UpProj => (4096, 14336),
        Projection::DownProj => (14336, 4096),
    }
}

pub fn ids(layers: usize) -> impl Iterator<Item = ModuleId> {
    (0..layers).flat_map(|layer| Projection::ALL.map(|p| ModuleId::new(layer, p)))
}

pub fn say(name: &str, mut seconds: Vec<f64>) {
    seconds.sort_by(f64::total_cmp);
    let at = |share: f64| 1e3 * seconds[((seconds.len() - 1) as f64 * share).round() as usize];
    println!("{name}: {:.1} ms, p99 {:.1} ms, most {:.1} ms ({} times)", at(0.5), at(0.99), at(1.0), seconds.len());
}

/// Masks of all matrices: of a pruning step, and of other ratios on a copy.
pub fn masks(layers: usize, turns: usize, device: &Device) {
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(1);
    // One tensor's worth of noise, cut at another place for each.
    let pool: Vec<f32> = (0..(1 << 21) + 99_991).map(|_| random.random::<f32>() - 0.5).collect();
    let mut tensor = |rows: usize, cols: usize| {
        let from = random.random_range(0..99_991);
        let values: Vec<f32> = pool[from..].iter().copied().cycle().take(rows * cols).collect();
        Tensor::from_vec(values, (rows, cols), device).unwrap()
    };
    let (mut set, mut squares) = (MergedSet::default(), SquareSums::default());
    for id in ids(layers) {
        let (inputs, outputs) = size(id.projection);
        let rank = ADAPTERS * RANK;
        let segments =
            (0..ADAPTERS).map(|adapter| Segment { adapter, start: adapter * RANK, rank: RANK, scale: 1.0 }).collect();
        set.modules.insert(id, MergedModule { a: tensor(rank, inputs), b: tensor(rank, outputs), segments });
        let ones = |n: usize| (tensor(1, n).flatten_all().unwrap().abs().unwrap() + 0.5).unwrap();
        let mut ones = ones;
        squares.modules.insert(id, (ones(inputs), ones(rank)));
    }
    let names = ["games", "science", "net", "libs"].map(str::to_owned).to_vec();
    let mut pruner = Pruner::new(&Prune { ratio: 0.5, ..Prune::default() }, names, 1).unwrap();
    let entries = set.parameters();
    let mut seconds = Vec::new();
    for step in 1..=turns {
        let start = Instant::now();
        let states = pruner.prune(&set, &squares, None, 1.0, step).unwrap();
        seconds.push(start.elapsed().as_secs_f64());
        assert_eq!(states.len(), 2 * ADAPTERS * set.modules.len());
    }
    let n = 2 * ADAPTERS * set.modules.len();
    say(&format!("a pruning step, {n} matrices, {entries} entries"), seconds);
    let mut seconds = Vec::new();
    for turn in 0..turns {
        let rule = Rule::parse(&format!("*=0.{}", 51 + 3 * turn)).unwrap();
        let start = Instant::now();
        let other = pruner.scratch(&set, &[rule], None).unwrap();
        seconds.push(start.elapsed().as_secs_f64());
        assert_eq!(other.changed, n);
    }
    say(&format!("masks of other ratios on a copy, {n} matrices"), seconds);
}
