//! Pruning, optimisers and learning rates against torch and transformers (tests/fixtures/prune/make.py wrote
//! the expected values), and what holds without a reference: counts, ties, hold, states of other runs.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::naive_bytecount, missing_docs)]

use candle_core::{Device, Tensor};
use lopper::lora::{Gradients, MergedModule, MergedSet, SquareSums, merge::Segment};
use lopper::module::{Factor, ModuleId, Projection};
use lopper::prune::{MatrixState, Pruner};
use lopper::recipe::{self, Group, Importance, Moments, Norms, OptimizerKind, RatioSchedule, Train};
use lopper::train::optimizer::{Optimizer, clip_factor, global_norm};
use lopper::train::schedule::learning_rate;
use serde::Deserialize;
use std::collections::HashMap;

const ID: ModuleId = ModuleId::new(3, Projection::UpProj);

fn fixture(name: &str) -> serde_json::Value {
    let path = format!("{}/tests/fixtures/prune/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
    let mut value: serde_json::Value = serde_json::from_str(&text).unwrap();
    value[name].take()
}

fn tensor(values: &[f32], shape: (usize, usize)) -> Tensor {
    Tensor::from_slice(values, shape, &Device::Cpu).unwrap()
}

fn numbers(x: &Tensor) -> Vec<f32> {
    x.flatten_all().unwrap().to_vec1().unwrap()
}

/// A row-major `rows` × `cols` matrix, transposed.
fn turned<T: Copy>(values: &[T], rows: usize, cols: usize) -> Vec<T> {
    (0..cols).flat_map(|c| (0..rows).map(move |r| values[r * cols + c])).collect()
}

fn segments(ranks: &[usize]) -> Vec<Segment> {
    let mut start = 0;
    let segment = |(adapter, &rank): (usize, &usize)| {
        start += rank;
        Segment { adapter, start: start - rank, rank, scale: 2.0 }
    };
    ranks.iter().enumerate().map(segment).collect()
}

fn names(n: usize) -> Vec<String> {
    (0..n).map(|i| format!("a{i}")).collect()
}

/// One module of adapters (A, B) in PEFT's layout.
fn set(pairs: &[(Vec<f32>, Vec<f32>)], ranks: &[usize], d_in: usize, d_out: usize) -> MergedSet {
    let rank = ranks.iter().sum();
    let (a, b) = joined(pairs, ranks, d_out);
    let module = MergedModule { a: tensor(&a, (rank, d_in)), b: tensor(&b, (rank, d_out)), segments: segments(ranks) };
    MergedSet { modules: [(ID, module)].into() }
}

/// The rows of all adapters one after another, B turned.
fn joined(pairs: &[(Vec<f32>, Vec<f32>)], ranks: &[usize], d_out: usize) -> (Vec<f32>, Vec<f32>) {
    let a = pairs.iter().flat_map(|p| p.0.clone()).collect();
    let b = pairs.iter().zip(ranks).flat_map(|(p, &r)| turned(&p.1, d_out, r)).collect();
    (a, b)
}

fn squares(x: &[f32], z: &[f32]) -> SquareSums {
    let put = |v: &[f32]| Tensor::from_slice(v, v.len(), &Device::Cpu).unwrap();
    SquareSums { modules: [(ID, (put(x), put(z)))].into() }
}

fn gradients(pairs: &[(Vec<f32>, Vec<f32>)], ranks: &[usize], d_in: usize, d_out: usize) -> Gradients {
    let module = set(pairs, ranks, d_in, d_out).modules.remove(&ID).unwrap();
    Gradients { modules: [(ID, (module.a, module.b))].into() }
}

/// The matrices of one adapter in PEFT's layout.
fn pair(set: &MergedSet, adapter: usize) -> [Vec<f32>; 2] {
    let pairs = set.adapter(adapter).unwrap();
    [numbers(&pairs[&ID].0), numbers(&pairs[&ID].1)]
}

/// The mask in PEFT's layout.
fn mask(pruner: &Pruner, adapter: usize, factor: Factor, rank: usize) -> Vec<u8> {
    let mask = pruner.mask((ID, adapter, factor)).unwrap().unwrap();
    if factor == Factor::A { mask.to_vec() } else { turned(mask, rank, mask.len() / rank) }
}

fn relative(got: f64, want: f64) -> f64 {
    (got - want).abs() / want.abs().max(1e-30)
}

type Matrices = Vec<(Vec<f32>, Vec<f32>)>;

#[derive(Deserialize)]
struct Material {
    d_in: usize,
    d_out: usize,
    ranks: Vec<usize>,
    start: Matrices,
    steps: Vec<MaterialStep>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct MaterialStep {
    updates: Matrices,
    gradients: Matrices,
    x: Vec<f32>,
    z: Vec<Vec<f32>>,
}

#[derive(Deserialize)]
struct Case {
    settings: serde_json::Value,
    steps: Vec<Expected>,
}

#[derive(Deserialize)]
struct Expected {
    masks: Vec<String>,
    importance: Vec<f64>,
    retained: Vec<f64>,
    flips: Vec<Option<f64>>,
}

/// Adds an update to the matrices in place, as an optimiser does.
fn add(set: &MergedSet, update: &(Vec<f32>, Vec<f32>)) {
    let module = &set.modules[&ID];
    for (matrix, values) in [(&module.a, &update.0), (&module.b, &update.1)] {
        let sum: Vec<f32> = numbers(matrix).iter().zip(values).map(|(w, u)| w + u).collect();
        matrix.slice_set(&tensor(&sum, matrix.dims2().unwrap()), 0, 0).unwrap();
    }
}

#[test]
fn masks_of_every_measure_group_and_schedule_equal_torchs() {
    let mut prunings = 0;
    for material in serde_json::from_value::<Vec<Material>>(fixture("masks")).unwrap() {
        let Material { d_in, d_out, ranks, .. } = &material;
        for case in &material.cases {
            let settings: recipe::Prune = serde_json::from_value(case.settings.clone()).unwrap();
            let mut pruner = Pruner::new(&settings, names(ranks.len()), 1).unwrap();
            let set = set(&material.start, ranks, *d_in, *d_out);
            for (number, (step, want)) in material.steps.iter().zip(&case.steps).enumerate() {
                add(&set, &joined(&step.updates, ranks, *d_out));
                let before: Vec<[Vec<f32>; 2]> = (0..ranks.len()).map(|i| pair(&set, i)).collect();
                let progress = (number + 1) as f64 / material.steps.len() as f64;
                let states = pruner
                    .prune(
                        &set,
                        &squares(&step.x, &step.z.concat()),
                        Some(&gradients(&step.gradients, ranks, *d_in, *d_out)),
                        progress,
                        number + 1,
                    )
                    .unwrap();
                assert_eq!(states.len(), 2 * ranks.len());
                for (i, (key, state)) in states.iter().enumerate() {
                    let at = format!("{} step {number} adapter {} {}", case.settings, key.1, key.2);
                    assert_eq!((key.0, key.1, key.2 == Factor::B), (ID, i / 2, i % 2 == 1));
                    let got = mask(&pruner, key.1, key.2, ranks[key.1]);
                    let text: String = got.iter().map(|m| if *m == 1 { '1' } else { '0' }).collect();
                    assert_eq!(text, want.masks[i], "{at}");
                    let after = &pair(&set, key.1)[i % 2];
                    for ((w, old), m) in after.iter().zip(&before[key.1][i % 2]).zip(&got) {
                        assert_eq!(w.to_bits(), if *m == 1 { 0 } else { old.to_bits() }, "{at}");
                    }
                    assert_eq!(state.pruned, got.iter().filter(|m| **m == 1).count(), "{at}");
                    let zeros = after.iter().filter(|w| **w == 0.0).count();
                    assert!(relative(state.sparsity, zeros as f64 / after.len() as f64) < 1e-9 || zeros == 0, "{at}");
                    assert!(relative(f64::from(state.importance), want.importance[i]) < 1e-5, "{at}");
                    assert!((state.retained - want.retained[i]).abs() < 1e-5, "{at}: {}", state.retained);
                    assert_eq!(state.flips.is_some(), want.flips[i].is_some(), "{at}");
                    assert!((state.flips.unwrap_or(0.0) - want.flips[i].unwrap_or(0.0)).abs() < 1e-6, "{at}");
                    prunings += 1;
                }
            }
        }
    }
    assert!(prunings > 700, "{prunings}");
}

/// A module of one adapter of rank `rank` with 8 inputs and 6 outputs, entries 1, 2, 3, … and norms of 1.
fn plain(rank: usize) -> (MergedSet, SquareSums) {
    let count = |n: usize| (1..=n).map(|i| i as f32).collect::<Vec<f32>>();
    (set(&[(count(rank * 8), count(rank * 6))], &[rank], 8, 6), squares(&[1.0; 8], &vec![1.0; rank]))
}

fn pruner(settings: &recipe::Prune) -> Pruner {
    Pruner::new(settings, names(2), 5).unwrap()
}

fn zeros(values: &[f32]) -> usize {
    values.iter().filter(|w| **w == 0.0).count()
}

fn only(states: &[(lopper::prune::Key, MatrixState)], factor: Factor) -> MatrixState {
    states.iter().find(|s| s.0.2 == factor).unwrap().1
}

#[test]
fn exactly_the_rounded_share_of_every_matrix_goes() {
    for importance in
        [Importance::Direct, Importance::Product, Importance::Sensitivity, Importance::Magnitude, Importance::Random]
    {
        for percent in 0..=100 {
            let (set, squares) = plain(3);
            let gradients = gradients(&[(vec![0.5; 24], vec![0.25; 18])], &[3], 8, 6);
            let settings = recipe::Prune { ratio: f64::from(percent) / 100.0, importance, ..Default::default() };
            pruner(&settings).prune(&set, &squares, Some(&gradients), 1.0, 1).unwrap();
            // In whole numbers: halves go up.
            let want = |n: usize| (2 * percent as usize * n + 100) / 200;
            let [a, b] = pair(&set, 0);
            assert_eq!((zeros(&a), zeros(&b)), (want(24), want(18)), "{importance:?} {percent} %");
        }
    }
}

#[test]
fn ties_go_by_the_lowest_index_of_pefts_layout() {
    let set = set(&[(vec![2.0; 24], vec![-1.0; 18])], &[3], 8, 6);
    let settings = recipe::Prune { ratio: 1.0 / 3.0, ..Default::default() };
    pruner(&settings).prune(&set, &squares(&[1.0; 8], &[1.0; 3]), None, 1.0, 1).unwrap();
    let [a, b] = pair(&set, 0);
    assert!(a[..8].iter().all(|w| *w == 0.0) && a[8..].iter().all(|w| *w == 2.0), "{a:?}");
    assert!(b[..6].iter().all(|w| *w == 0.0) && b[6..].iter().all(|w| *w == -1.0), "{b:?}");
}

#[test]
fn a_feature_that_is_never_active_goes_first() {
    let (set, _) = plain(2);
    let mut x = [1.0; 8];
    x[7] = 0.0;
    let settings = recipe::Prune { ratio: 0.125, ..Default::default() };
    pruner(&settings).prune(&set, &squares(&x, &[1.0; 2]), None, 1.0, 1).unwrap();
    assert_eq!(
        pair(&set, 0)[0].iter().enumerate().filter(|(_, w)| **w == 0.0).map(|p| p.0).collect::<Vec<_>>(),
        [7, 15]
    );
}

#[test]
fn random_depends_on_seed_and_step_and_not_on_the_weights() {
    let settings = recipe::Prune { ratio: 0.5, importance: Importance::Random, ..Default::default() };
    let chosen = |seed: u64, step: usize, scale: f32| {
        let n = 4000;
        let a: Vec<f32> = (1..=n).map(|i| i as f32 * scale).collect();
        let set = set(&[(a, vec![1.0; 3])], &[1], n, 3);
        let mut pruner = Pruner::new(&settings, names(1), seed).unwrap();
        pruner.prune(&set, &SquareSums::default(), None, 1.0, step).unwrap();
        mask(&pruner, 0, Factor::A, 1)
    };
    let first = chosen(1, 1, 1.0);
    assert_eq!(first, chosen(1, 1, -3.0));
    for other in [chosen(2, 1, 1.0), chosen(1, 2, 1.0)] {
        let same = first.iter().zip(&other).filter(|(a, b)| a == b).count();
        // Two independent halves of 4,000 agree in 2,000 ± 32 places.
        assert!((1800..2200).contains(&same), "{same}");
    }
    let low: usize = first[..2000].iter().map(|m| *m as usize).sum();
    assert!((800..1200).contains(&low), "spread over the matrix: {low}");
}

#[test]
fn what_is_held_never_comes_back_whatever_its_weight_does() {
    for (group, schedule, ratio) in [
        (Group::Matrix, RatioSchedule::Constant, 0.5),
        (Group::Matrix, RatioSchedule::Linear, 1.0),
        (Group::Row, RatioSchedule::Cubic, 0.7),
        (Group::Module, RatioSchedule::Linear, 0.6),
        (Group::Matrix, RatioSchedule::Constant, 1.0),
    ] {
        let (set, squares) = plain(3);
        let settings = recipe::Prune { ratio, group, schedule, hold: true, ..Default::default() };
        let mut pruner = pruner(&settings);
        let mut gone: Vec<Vec<u8>> = vec![vec![0; 24], vec![0; 18]];
        for step in 1..=6usize {
            // The update turns the order round and gives pruned entries the largest weights of all.
            let up = |n: usize| (0..n).map(|i| ((i * 7 + step * 5) % 11) as f32 * 10.0).collect::<Vec<f32>>();
            add(&set, &(up(24), up(18)));
            pruner.prune(&set, &squares, None, step as f64 / 6.0, step).unwrap();
            for (i, factor) in [Factor::A, Factor::B].into_iter().enumerate() {
                let now = pruner.mask((ID, 0, factor)).unwrap().unwrap().to_vec();
                assert!(gone[i].iter().zip(&now).all(|(old, new)| old <= new), "{group:?} {schedule:?} step {step}");
                gone[i] = now;
            }
        }
        let total: usize = gone.iter().flatten().map(|m| *m as usize).sum();
        let rows = if group == Group::Row { 3 * 6 + 6 * 2 } else { (ratio * 42.0).round() as usize };
        assert_eq!(total, rows, "{group:?} {schedule:?}");
    }
}

#[test]
fn a_matrix_that_was_pruned_whole_stays_under_its_mask() {
    for hold in [false, true] {
        let (set, squares) = plain(2);
        let mut pruner = pruner(&recipe::Prune { ratio: 1.0, hold, ..Default::default() });
        for step in 1..=3 {
            // No update came: all weights are zero, and were pruned before.
            let states = pruner.prune(&set, &squares, None, 1.0, step).unwrap();
            assert_eq!(zeros(&pair(&set, 0).concat()), 28);
            assert_eq!((only(&states, Factor::A).pruned, only(&states, Factor::B).pruned), (16, 12), "step {step}");
            assert_eq!(only(&states, Factor::A).flips, (step > 1).then_some(0.0));
        }
        add(&set, &(vec![3.0; 16], vec![3.0; 12]));
        pruner.prune(&set, &squares, None, 1.0, 4).unwrap();
        assert_eq!(zeros(&pair(&set, 0).concat()), 28);
        // The user takes the ratio back: without hold everything may return, with it nothing.
        let rule = recipe::ratios::Rule { modules: "*".into(), adapter: "*".into(), factor: None, ratio: 0.0 };
        pruner.add_rules(&[rule]).unwrap();
        add(&set, &(vec![3.0; 16], vec![3.0; 12]));
        pruner.prune(&set, &squares, None, 1.0, 5).unwrap();
        assert_eq!(zeros(&pair(&set, 0).concat()), if hold { 28 } else { 0 });
    }
}

#[test]
fn what_cannot_be_ranked_yet_is_left_alone() {
    let fresh = || set(&[((1..=24).map(|i| i as f32).collect(), vec![0.0; 18])], &[3], 8, 6);
    let squares = squares(&[1.0; 8], &[1.0; 3]);
    // B of a new adapter is zero; under `product` and `sensitivity` nothing comes through it to A either.
    for (importance, of_a) in [
        (Importance::Direct, 12),
        (Importance::Magnitude, 12),
        (Importance::Random, 12),
        (Importance::Product, 0),
        (Importance::Sensitivity, 0),
    ] {
        for group in [Group::Matrix, Group::Row, Group::Module] {
            let set = fresh();
            let gradients = gradients(&[(vec![0.0; 24], vec![0.5; 18])], &[3], 8, 6);
            let settings = recipe::Prune { importance, group, ..Default::default() };
            let mut pruner = pruner(&settings);
            let states = pruner.prune(&set, &squares, Some(&gradients), 1.0, 1).unwrap();
            let pruned = (only(&states, Factor::A).pruned, only(&states, Factor::B).pruned);
            assert_eq!(pruned, (of_a, 0), "{importance:?} {group:?}");
            assert!((only(&states, Factor::B).sparsity - 1.0).abs() < 1e-12);
            assert_eq!(zeros(&pair(&set, 0)[0]), of_a);
        }
        // A ratio of 1 needs no ranking.
        let set = fresh();
        let gradients = gradients(&[(vec![0.0; 24], vec![0.5; 18])], &[3], 8, 6);
        let settings = recipe::Prune { ratio: 1.0, importance, ..Default::default() };
        pruner(&settings).prune(&set, &squares, Some(&gradients), 1.0, 1).unwrap();
        assert_eq!(zeros(&pair(&set, 0).concat()), 42, "{importance:?}");
    }
}

#[test]
fn missing_norms_and_gradients_are_faults_and_not_ones() {
    let (set, squares) = plain(2);
    for importance in [Importance::Direct, Importance::Product] {
        let settings = recipe::Prune { importance, ..Default::default() };
        let error = pruner(&settings).prune(&set, &SquareSums::default(), None, 1.0, 1).unwrap_err().to_string();
        assert!(error.contains("layers.3.mlp.up_proj has no norms"), "{error}");
    }
    let settings = recipe::Prune { importance: Importance::Sensitivity, ..Default::default() };
    let error = pruner(&settings).prune(&set, &squares, None, 1.0, 1).unwrap_err().to_string();
    assert!(error.contains("needs gradients"), "{error}");
    let settings = recipe::Prune { importance: Importance::Magnitude, norms: Norms::Train, ..Default::default() };
    let mut magnitude = pruner(&settings);
    assert!(!magnitude.wants_train_norms() && !magnitude.wants_step_norms());
    magnitude.prune(&set, &SquareSums::default(), None, 1.0, 1).unwrap();
    assert_eq!(zeros(&pair(&set, 0).concat()), 14);
}

#[test]
fn an_importance_that_is_no_number_stops_with_the_matrix_named() {
    let (set, squares) = plain(2);
    let mut poisoned = vec![0.0; 12];
    poisoned[5] = f32::NAN;
    add(&set, &(vec![0.0; 16], poisoned));
    let error = pruner(&recipe::Prune::default()).prune(&set, &squares, None, 1.0, 1).unwrap_err().to_string();
    assert!(error.contains("entry 5 of layers.3.mlp.up_proj B is NaN") && error.contains("learning rate"), "{error}");
}

/// A pruner after two steps, its settings and its set.
fn experienced(importance: Importance, norms: Norms) -> (Pruner, recipe::Prune, MergedSet, SquareSums, Gradients) {
    let (set, squares) = plain(2);
    let gradients = gradients(&[(vec![0.5; 16], (0..12).map(|i| i as f32).collect())], &[2], 8, 6);
    let settings = recipe::Prune { importance, norms, hold: true, ..Default::default() };
    let mut pruner = pruner(&settings);
    for step in 1..=2 {
        pruner.prune(&set, &squares, Some(&gradients), 1.0, step).unwrap();
    }
    (pruner, settings, set, squares, gradients)
}

#[test]
fn a_restored_pruner_goes_on_as_the_one_that_never_stopped() {
    for (importance, norms) in [(Importance::Direct, Norms::Running), (Importance::Sensitivity, Norms::Batch)] {
        let (mut old, settings, set, _, gradients) = experienced(importance, norms);
        let state: HashMap<String, Tensor> = old.state().unwrap().into_iter().collect();
        let mut new = pruner(&settings);
        new.restore(&set, &state).unwrap();
        let copy = set.snapshot().unwrap();
        let other = squares(&[3.0, 0.1, 4.0, 1.0, 5.0, 9.0, 2.0, 6.0], &[0.2, 7.0]);
        for set in [&set, &copy] {
            add(set, &((0..16).map(|i| i as f32).collect(), (0..12).map(|i| 2.0 * i as f32).collect()));
        }
        let want = old.prune(&set, &other, Some(&gradients), 1.0, 3).unwrap();
        assert_eq!(new.prune(&copy, &other, Some(&gradients), 1.0, 3).unwrap(), want);
        assert_eq!(pair(&set, 0), pair(&copy, 0));
    }
}

#[test]
fn a_state_of_another_run_is_refused_and_changes_nothing() {
    let refused = |importance, norms, change: &dyn Fn(&mut HashMap<String, Tensor>), told: &str| {
        let (pruner_, settings, set, squares, gradients) = experienced(importance, norms);
        let mut state: HashMap<String, Tensor> = pruner_.state().unwrap().into_iter().collect();
        change(&mut state);
        let mut new = pruner(&settings);
        let error = new.restore(&set, &state).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        let error = error.to_string();
        assert!(error.contains(told), "{error}");
        assert!(new.mask((ID, 0, Factor::A)).unwrap().is_none());
        new.prune(&set, &squares, Some(&gradients), 1.0, 3).unwrap();
    };
    let put = |name: &'static str, n: usize| {
        move |state: &mut HashMap<String, Tensor>| {
            let old = state.get(name).map_or(candle_core::DType::F32, Tensor::dtype);
            state.insert(name.into(), Tensor::zeros(n, old, &Device::Cpu).unwrap());
        }
    };
    let drop = |name: &'static str| move |state: &mut HashMap<String, Tensor>| drop(state.remove(name).unwrap());
    let (a, b) = ("mask.layers.3.mlp.up_proj.0.A", "mask.layers.3.mlp.up_proj.0.B");
    refused(Importance::Direct, Norms::Batch, &put(a, 24), "these adapters need U8 [16]");
    refused(Importance::Direct, Norms::Batch, &drop(b), "has no pruner.mask.layers.3.mlp.up_proj.0.B");
    refused(Importance::Direct, Norms::Batch, &put("mask.layers.3.mlp.up_proj.1.A", 16), "of no matrix");
    let bad = |state: &mut HashMap<String, Tensor>| {
        state.insert(a.into(), Tensor::new(&[3u8; 16], &Device::Cpu).unwrap());
    };
    refused(Importance::Direct, Norms::Batch, &bad, "3 is neither 0 nor 1");
    let float = |state: &mut HashMap<String, Tensor>| {
        state.insert(a.into(), Tensor::new(&[1f32; 16], &Device::Cpu).unwrap());
    };
    refused(Importance::Direct, Norms::Batch, &float, "F32 [16]");
    refused(Importance::Direct, Norms::Running, &put("running.layers.3.mlp.up_proj.x", 7), "need F32 [8]");
    refused(Importance::Direct, Norms::Running, &drop("running.layers.3.mlp.up_proj.z"), "has no pruner.running");
    let name = "sensitivity.layers.3.mlp.up_proj.0.B";
    refused(Importance::Sensitivity, Norms::Batch, &put(name, 13), "need F32 [12]");
    refused(Importance::Sensitivity, Norms::Batch, &drop(name), "has no pruner.sensitivity");
}

#[derive(Deserialize)]
struct Optimizers {
    shapes: Vec<(usize, usize)>,
    start: Vec<Vec<f32>>,
    gradients: Vec<Vec<Vec<f32>>>,
    cases: Vec<OptimizerCase>,
}

#[derive(Deserialize)]
struct OptimizerCase {
    kind: OptimizerKind,
    settings: serde_json::Value,
    steps: Vec<OptimizerStep>,
}

#[derive(Deserialize)]
struct OptimizerStep {
    lr: f64,
    norm: f64,
    weights: Vec<Vec<f32>>,
    #[serde(default)]
    m: Vec<Vec<f32>>,
    #[serde(default)]
    v: Vec<Vec<f32>>,
}

/// One module whose A and (turned) B are two parameters of torch's.
fn two(values: &[Vec<f32>], shapes: &[(usize, usize)]) -> (Tensor, Tensor) {
    (tensor(&values[0], shapes[0]), tensor(&values[1], shapes[1]))
}

/// Largest difference as a share of the largest number.
fn off(got: &[f32], want: &[f32]) -> f32 {
    let largest = want.iter().fold(f32::MIN_POSITIVE, |m, w| m.max(w.abs()));
    got.iter().zip(want).fold(0f32, |m, (g, w)| m.max((g - w).abs())) / largest
}

#[test]
fn updates_equal_torchs_adamw_and_sgd() {
    let reference: Optimizers = serde_json::from_value(fixture("optimizer")).unwrap();
    let mut worst = [0f32; 3];
    for case in &reference.cases {
        let mut train: Train = serde_json::from_value(case.settings.clone()).unwrap();
        train.optimizer = case.kind;
        train.clip = case.settings["clip"].as_f64().unwrap_or(0.0);
        (train.warmup, train.schedule) = (0.4, recipe::LrSchedule::Cosine);
        let mut optimizer = Optimizer::new(&train);
        let (a, b) = two(&reference.start, &reference.shapes);
        let set = MergedSet { modules: [(ID, MergedModule { a, b, segments: segments(&[3]) })].into() };
        for (number, (now, want)) in reference.gradients.iter().zip(&case.steps).enumerate() {
            let gradients = Gradients { modules: [(ID, two(now, &reference.shapes))].into() };
            let norm = global_norm(&gradients).unwrap();
            assert!(relative(norm, want.norm) < 1e-6, "norm {norm}, torch has {}", want.norm);
            let lr = learning_rate(&train, 0.01, number, reference.gradients.len(), 1);
            assert!((lr - want.lr).abs() < 1e-15, "{lr} {}", want.lr);
            optimizer.step(&set, &gradients, lr, clip_factor(norm, train.clip)).unwrap();
            let module = &set.modules[&ID];
            for (i, (matrix, factor)) in [(&module.a, "A"), (&module.b, "B")].into_iter().enumerate() {
                worst[0] = worst[0].max(off(&numbers(matrix), &want.weights[i]));
                let state: HashMap<String, Tensor> = optimizer.state().unwrap().into_iter().collect();
                assert_eq!(state.is_empty(), case.kind == OptimizerKind::Sgd);
                if case.kind == OptimizerKind::Adamw {
                    worst[1] = worst[1].max(off(&numbers(&state[&format!("m.{ID}.{factor}")]), &want.m[i]));
                    worst[2] = worst[2].max(off(&numbers(&state[&format!("v.{ID}.{factor}")]), &want.v[i]));
                }
            }
        }
        assert_eq!(optimizer.steps(), 5);
    }
    println!("largest differences: weights {:.1e}, first moment {:.1e}, second {:.1e}", worst[0], worst[1], worst[2]);
    assert!(worst.iter().all(|w| *w < 1e-6), "{worst:?}");
}

#[test]
fn learning_rates_equal_transformers() {
    let cases = fixture("schedules");
    let mut rates = 0;
    for case in cases.as_array().unwrap() {
        let total = case["total"].as_u64().unwrap() as usize;
        let schedule = serde_json::from_value(case["schedule"].clone()).unwrap();
        let train = Train { schedule, warmup: case["warmup"].as_f64().unwrap() / total as f64, ..Train::default() };
        for (step, want) in case["rates"].as_array().unwrap().iter().enumerate() {
            let got = learning_rate(&train, case["peak"].as_f64().unwrap(), step, total, 4);
            assert!((got - want.as_f64().unwrap()).abs() < 1e-15, "{case} step {step}: {got}");
            rates += 1;
        }
    }
    assert_eq!(rates, 356);
}

#[test]
fn moments_of_pruned_entries_are_kept_or_forgotten() {
    let (set, squares) = plain(2);
    let gradients = gradients(&[(vec![0.5; 16], vec![0.25; 12])], &[2], 8, 6);
    let settings = recipe::Prune { moments: Moments::Zero, ..Default::default() };
    let (mut optimizer, mut pruner) = (Optimizer::new(&Train::default()), pruner(&settings));
    optimizer.step(&set, &gradients, 1e-3, 1.0).unwrap();
    pruner.prune(&set, &squares, Some(&gradients), 1.0, 1).unwrap();
    optimizer.forget_pruned(&set, &pruner).unwrap();
    for factor in [Factor::A, Factor::B] {
        let mask = pruner.whole_mask(ID, &set.modules[&ID], factor).unwrap().unwrap();
        let state: HashMap<String, Tensor> = optimizer.state().unwrap().into_iter().collect();
        for moment in ["m", "v"] {
            for (value, pruned) in numbers(&state[&format!("{moment}.{ID}.{factor}")]).iter().zip(&mask) {
                assert_eq!(*value == 0.0, *pruned == 1, "{moment} {factor}");
            }
        }
    }
}

#[test]
fn an_optimizers_state_of_another_run_is_refused() {
    let (set, _) = plain(2);
    let gradients = gradients(&[(vec![0.5; 16], vec![0.25; 12])], &[2], 8, 6);
    let mut optimizer = Optimizer::new(&Train::default());
    optimizer.step(&set, &gradients, 1e-3, 1.0).unwrap();
    let good: HashMap<String, Tensor> = optimizer.state().unwrap().into_iter().collect();
    let mut missing = good.clone();
    missing.remove("v.layers.3.mlp.up_proj.B");
    let error = Optimizer::new(&Train::default()).restore(&set, &missing, 1).unwrap_err().to_string();
    assert!(error.contains("no moments of layers.3.mlp.up_proj B"), "{error}");
    let error = Optimizer::new(&Train::default()).restore(&plain(3).0, &good, 1).unwrap_err().to_string();
    assert!(error.contains("another size"), "{error}");
    let mut again = Optimizer::new(&Train::default());
    again.restore(&set, &good, 1).unwrap();
    let copy = set.snapshot().unwrap();
    optimizer.step(&set, &gradients, 1e-3, 0.5).unwrap();
    again.step(&copy, &gradients, 1e-3, 0.5).unwrap();
    assert_eq!(pair(&set, 0), pair(&copy, 0));
    let plain_descent = Train { optimizer: OptimizerKind::Sgd, ..Train::default() };
    Optimizer::new(&plain_descent).restore(&set, &HashMap::new(), 1).unwrap();
    let wrong = Gradients { modules: [(ID, (tensor(&[0.0; 8], (1, 8)), tensor(&[0.0; 6], (1, 6))))].into() };
    let error = optimizer.step(&set, &wrong, 1e-3, 1.0).unwrap_err().to_string();
    assert!(error.contains("the gradient of layers.3.mlp.up_proj A is [1, 8]"), "{error}");
}
