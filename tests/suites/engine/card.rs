//! The kernels of src/card against the same passes on the CPU, each run by `tests/card/emulate.cpp`: a card's threads, blocks,
//! barriers and shuffles by the kernels' own source, without a card. On a card itself: `engine::cuda`.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, missing_docs)]

mod dropout;
mod lists;

use candle_core::{DType, Device, Tensor};
use lopper::lora::{MergedModule, MergedSet, SquareSums, merge::Segment};
use lopper::model::attention::{self, Cache, Heads};
use lopper::model::kernels::{self, Block, Causal};
use lopper::module::{Factor, ModuleId, Projection};
use lopper::prune::{MatrixState, Pruner};
use lopper::recipe::ratios::Rule;
use lopper::recipe::{self, Importance, RatioSchedule, Train};
use lopper::train::optimizer::Optimizer;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The emulation, compiled once.
fn emulation() -> &'static Path {
    static PROGRAM: OnceLock<(tempfile::TempDir, PathBuf)> = OnceLock::new();
    let (_, program) = PROGRAM.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("emulate");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/card/emulate.cpp");
        let compiler = std::env::var("CXX").unwrap_or_else(|_| "c++".into());
        // Without contraction, as the kernels are compiled for a card.
        let flags =
            ["-std=c++17", "-O1", "-ffp-contract=off", "-Wall", "-Wextra", "-Wno-unknown-pragmas", "-Werror", "-o"];
        let status = Command::new(&compiler).args(flags).arg(&program).arg(source).status();
        assert!(status.unwrap_or_else(|e| panic!("{compiler}: {e}")).success());
        (folder, program)
    });
    program
}

/// Runs `kernel` over `buffers`, which it changes.
fn run(kernel: &str, buffers: &mut [Vec<u8>], numbers: &[f64]) {
    let folder = tempfile::tempdir().unwrap();
    let (request, answer) = (folder.path().join("request"), folder.path().join("answer"));
    let word = |n: usize| (n as u64).to_le_bytes().to_vec();
    let mut bytes = [word(kernel.len()), kernel.as_bytes().to_vec(), word(buffers.len())].concat();
    buffers.iter().for_each(|b| bytes.extend([word(b.len()), b.clone()].concat()));
    bytes.extend(word(numbers.len()));
    numbers.iter().for_each(|n| bytes.extend(n.to_le_bytes()));
    std::fs::write(&request, bytes).unwrap();
    let output = Command::new(emulation()).args([&request, &answer]).output().unwrap();
    assert!(output.status.success(), "{kernel}: {}", String::from_utf8_lossy(&output.stderr));
    let mut answer = &std::fs::read(answer).unwrap()[..];
    for buffer in buffers {
        let (own, rest) = answer.split_at(buffer.len());
        buffer.copy_from_slice(own);
        answer = rest;
    }
}

fn f32s(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
}

fn floats(numbers: &[f32]) -> Vec<u8> {
    numbers.iter().flat_map(|n| n.to_le_bytes()).collect()
}

/// A tensor's numbers as a card has them in `dtype`.
fn bytes(x: &Tensor, dtype: DType) -> Vec<u8> {
    let x = x.flatten_all().unwrap();
    if dtype == DType::F32 {
        return floats(&x.to_vec1().unwrap());
    }
    x.to_dtype(dtype).unwrap().to_vec1::<half::bf16>().unwrap().iter().flat_map(|n| n.to_le_bytes()).collect()
}

/// The numbers of a buffer.
fn numbers(buffer: &[u8], dtype: DType) -> Vec<f32> {
    if dtype == DType::F32 {
        return f32s(buffer);
    }
    buffer.chunks(2).map(|b| half::bf16::from_le_bytes(b.try_into().unwrap()).to_f32()).collect()
}

fn values(x: &Tensor) -> Vec<f32> {
    x.flatten_all().unwrap().to_vec1().unwrap()
}

/// Numbers of which no two are alike, none beyond 1.5, and none that bf16 does not have.
fn ramp(shape: &[usize], seed: f32, dtype: DType) -> Tensor {
    let n: usize = shape.iter().product();
    let values: Vec<f32> = (0..n).map(|i| ((i as f32 * 0.7311 + seed) * 1.913).sin() * 1.5).collect();
    let x = Tensor::from_vec(values, shape, &Device::Cpu).unwrap();
    x.to_dtype(dtype).unwrap().to_dtype(DType::F32).unwrap()
}

fn empty(like: &[u8]) -> Vec<u8> {
    vec![0xff; like.len()]
}

/// The largest difference, over the largest number.
#[track_caller]
fn near(what: &str, got: &[f32], want: &[f32], dtype: DType) {
    assert_eq!(got.len(), want.len(), "{what}");
    let largest = want.iter().fold(0.1f32, |m, v| m.max(v.abs()));
    let off = got.iter().zip(want).map(|(g, w)| if g.is_nan() { f32::NAN } else { (g - w).abs() / largest });
    let worst = off.fold(0f32, |m, v| if v.is_nan() { v } else { m.max(v) });
    assert!(worst < if dtype == DType::F32 { 1e-5 } else { 1e-2 }, "{what} in {dtype:?}: off by {worst}");
}

const TYPES: [(DType, &str); 2] = [(DType::F32, "float"), (DType::BF16, "bf16")];

#[test]
#[ignore = "needs a C++ compiler"]
fn norms_and_swiglu_are_the_cpus() {
    for ((dtype, name), (rows, width)) in
        TYPES.into_iter().flat_map(|t| [(1, 1), (3, 31), (2, 64), (5, 200)].map(|s| (t, s)))
    {
        let make = |seed| ramp(&[rows, width], seed, dtype);
        let (x, dy, w) = (make(0.1), make(0.9), ramp(&[width], 0.5, dtype));
        let what = format!("{rows} x {width}");
        let mut buffers = vec![bytes(&x, dtype), bytes(&w, dtype), empty(&bytes(&x, dtype))];
        run(&format!("rms_norm_{name}"), &mut buffers, &[rows as f64, width as f64, 1e-5]);
        near(&what, &numbers(&buffers[2], dtype), &values(&kernels::rms_norm(&x, &w, 1e-5).unwrap()), dtype);
        let mut buffers = vec![bytes(&x, dtype), bytes(&w, dtype), bytes(&dy, dtype), empty(&bytes(&x, dtype))];
        run(&format!("rms_norm_backward_{name}"), &mut buffers, &[rows as f64, width as f64, 1e-5]);
        let want = values(&kernels::rms_norm_backward(&x, &w, 1e-5, &dy).unwrap());
        near(&what, &numbers(&buffers[3], dtype), &want, dtype);

        let (gate, up) = (make(0.2), make(0.7));
        let n = (rows * width) as f64;
        let mut buffers = vec![bytes(&gate, dtype), bytes(&up, dtype), empty(&bytes(&x, dtype))];
        run(&format!("swiglu_{name}"), &mut buffers, &[2.0, n]);
        near(&what, &numbers(&buffers[2], dtype), &values(&kernels::swiglu(&gate, &up).unwrap()), dtype);
        let both = [bytes(&x, dtype), bytes(&x, dtype)].concat();
        let mut buffers = vec![bytes(&gate, dtype), bytes(&up, dtype), bytes(&dy, dtype), empty(&both)];
        run(&format!("swiglu_backward_{name}"), &mut buffers, &[2.0, n]);
        let (d_gate, d_up) = kernels::swiglu_backward(&gate, &up, &dy).unwrap();
        near(&what, &numbers(&buffers[3], dtype), &[values(&d_gate), values(&d_up)].concat(), dtype);
    }
}

#[test]
#[ignore = "needs a C++ compiler"]
fn softmax_under_the_mask_and_its_way_back_are_the_cpus() {
    for (dtype, name) in TYPES {
        for (t, window, queries) in [
            (5, None, 0..5),
            (70, None, 33..70),
            (70, Some(7), 20..41),
            (9, Some(1), 0..9),
            // More than a block's threads take at once, from other places in a four on.
            (301, None, 290..301),
            (420, Some(210), 401..415),
        ] {
            let causal = Causal { window };
            let block: Block = causal.block(queries);
            let (n, width, heads) = (block.queries.len(), block.keys.len(), 2);
            let (s, dp) = (ramp(&[heads, 3 * n, width], 0.3, dtype), ramp(&[heads, 3 * n, width], 0.8, dtype));
            let want = kernels::causal_softmax(s.copy().unwrap(), 0.25, causal, &block, None).unwrap();
            let rows = (heads * 3 * n) as f64;
            let mut buffers = vec![bytes(&s, dtype)];
            let window = window.unwrap_or(0) as f64;
            let places =
                [rows, width as f64, n as f64, block.queries.start as f64, block.keys.start as f64, window, 0.25];
            run(&format!("causal_softmax_{name}"), &mut buffers, &places);
            near(&format!("{t}, {block:?}"), &numbers(&buffers[0], dtype), &values(&want), dtype);
            let p = bytes(&want, dtype);
            let want = kernels::softmax_backward(dp.copy().unwrap(), &want, 0.25).unwrap();
            // Also where p does not begin at the same place of four as dp.
            for skew in [0, 1] {
                let before = vec![0; skew * dtype.size_in_bytes()];
                let mut buffers = vec![bytes(&dp, dtype), [before, p.clone()].concat()];
                run(&format!("softmax_backward_{name}"), &mut buffers, &[rows, width as f64, 0.25, skew as f64]);
                let what = format!("{t}, {block:?} back, {skew} before");
                near(&what, &numbers(&buffers[0], dtype), &values(&want), dtype);
            }
        }
    }
}

#[test]
#[ignore = "needs a C++ compiler"]
fn cross_entropy_is_the_cpus() {
    for ((dtype, name), vocabulary) in TYPES.into_iter().flat_map(|t| [1, 7, 1000].map(|v| (t, v))) {
        let logits = (ramp(&[4, vocabulary], 0.3, dtype) * 8.0).unwrap();
        let targets: Vec<u32> = [0, 3, 6, 999].iter().map(|t| t % vocabulary as u32).collect();
        let ids: Vec<u8> = targets.iter().flat_map(|t| t.to_le_bytes()).collect();
        for scale in [None, Some(0.25)] {
            let (losses, gradient) = kernels::cross_entropy(logits.copy().unwrap(), &targets, scale).unwrap();
            let mut buffers = vec![bytes(&logits, dtype), ids.clone(), vec![0; 16]];
            run(&format!("cross_entropy_{name}"), &mut buffers, &[4.0, vocabulary as f64, scale.unwrap_or(0.0)]);
            near("losses", &f32s(&buffers[2]), &losses, dtype);
            let left = values(&gradient.unwrap_or_else(|| logits.clone()));
            near("gradient", &numbers(&buffers[0], dtype), &left, dtype);
        }
    }
}

#[test]
#[ignore = "needs a C++ compiler"]
fn turned_axes_and_sums_of_columns_are_the_cpus() {
    for (dtype, name) in TYPES {
        for (rows, columns, width) in [(1, 1, 1), (7, 3, 40), (4, 9, 16)] {
            let x = ramp(&[rows, columns, width], 0.4, dtype);
            let mut buffers = vec![bytes(&x, dtype), empty(&bytes(&x, dtype))];
            let sizes = [(rows * columns) as f64, rows as f64, columns as f64, width as f64];
            run(&format!("swap_axes_{name}"), &mut buffers, &sizes);
            assert_eq!(buffers[1], bytes(&x.transpose(0, 1).unwrap().contiguous().unwrap(), dtype));
        }
        for (rows, columns) in [(1, 1), (64, 33), (200, 70)] {
            let x = ramp(&[rows, columns], 0.6, dtype);
            let mut buffers = vec![bytes(&x, dtype), vec![0xff; 4 * columns]];
            run(&format!("column_squares_{name}"), &mut buffers, &[rows as f64, columns as f64, 64.0]);
            near("squares", &f32s(&buffers[1]), &values(&kernels::column_squares(&x).unwrap()), DType::F32);
        }
    }
}

#[test]
#[ignore = "needs a C++ compiler"]
fn the_next_token_of_all_sequences_is_each_ones() {
    for ((dtype, name), (query, key, dim, window)) in TYPES
        .into_iter()
        .flat_map(|t| [(4, 2, 16, None), (3, 1, 64, None), (2, 2, 80, Some(5)), (4, 4, 200, None)].map(|c| (t, c)))
    {
        let (heads, lengths, room) = (Heads { query, key, dim }, [1, 9, 22], 3);
        let make = |n: usize, heads: usize, seed: f32| ramp(&[n, heads, dim], seed, dtype);
        let mut caches: Vec<Cache> =
            lengths.iter().map(|&t| Cache::new(&make(t, key, 0.1), &make(t, key, 0.4), room).unwrap()).collect();
        let [q, k, v] = [(query, 0.2), (key, 0.6), (key, 0.9)].map(|(n, seed)| make(lengths.len(), n, seed));
        let mut buffers = [&q, &k, &v].map(|x| bytes(x, dtype)).to_vec();
        buffers.push(empty(&buffers[0]));
        let mut sizes =
            vec![query as f64, key as f64, dim as f64, window.unwrap_or(0) as f64, 1.0 / (dim as f64).sqrt()];
        for t in lengths {
            // As `Cache` lays them out: (key heads, room, dim).
            for seed in [0.1, 0.4] {
                let kept = make(t, key, seed).transpose(0, 1).unwrap();
                let rest = Tensor::zeros((key, room, dim), DType::F32, &Device::Cpu).unwrap();
                buffers.push(bytes(&Tensor::cat(&[kept, rest], 1).unwrap(), dtype));
            }
            sizes.extend([(t + 1) as f64, (t + room) as f64]);
        }
        run(&format!("attend_{name}"), &mut buffers, &sizes);
        let want = attention::step(&mut caches, (&q, &k, &v), heads, Causal { window }).unwrap();
        near(&format!("{heads:?}"), &numbers(&buffers[3], dtype), &values(&want), dtype);
        // The new one lies behind the others.
        let keys = numbers(&buffers[6], dtype);
        assert_eq!(keys[9 * dim..10 * dim], values(&k)[key * dim..][..dim]);
    }
}

const ID: ModuleId = ModuleId::new(3, Projection::UpProj);

/// Two adapters of ranks 3 and 2 at one module; some entries are zero, some alike.
fn set(d_in: usize, d_out: usize, silent: bool) -> MergedSet {
    let make = |width: usize, seed: f32| {
        let mut x = values(&ramp(&[5, width], seed, DType::F32));
        for (i, x) in x.iter_mut().enumerate() {
            *x = if i % 7 == 0 {
                0.0
            } else if i % 5 == 0 {
                0.25
            } else {
                *x
            };
            // B of the second adapter.
            *x = if silent && seed > 0.5 && i >= 3 * width { 0.0 } else { *x };
        }
        Tensor::from_vec(x, (5, width), &Device::Cpu).unwrap()
    };
    let segments = vec![
        Segment { adapter: 0, start: 0, rank: 3, scale: 2.0 },
        Segment { adapter: 1, start: 3, rank: 2, scale: 1.0 },
    ];
    MergedSet { modules: [(ID, MergedModule { a: make(d_in, 0.1), b: make(d_out, 0.9), segments })].into() }
}

/// Its matrices as the kernels take them: weights, in the order adapter, A, B.
fn matrices(set: &MergedSet) -> Vec<(usize, Factor, usize, Vec<f32>)> {
    let module = &set.modules[&ID];
    let mut all = Vec::new();
    for segment in &module.segments {
        for factor in [Factor::A, Factor::B] {
            let width = module.tensor(factor).dim(1).unwrap();
            let numbers = values(module.tensor(factor));
            all.push((
                segment.rank,
                factor,
                width,
                numbers[segment.start * width..segment.rows().end * width].to_vec(),
            ));
        }
    }
    all
}

/// What the kernels say of a matrix.
struct Figures {
    total: f64,
    lost: f64,
    pruned: usize,
    zeros: usize,
    flips: usize,
    restored: usize,
    quantiles: Vec<f32>,
    n: usize,
}

impl Figures {
    fn of(parts: &[u8], quantiles: &[f32], n: usize) -> Self {
        let parts: Vec<_> = parts.chunks(32).collect();
        let double = |at: usize| parts.iter().map(|p| f64::from_le_bytes(p[at..at + 8].try_into().unwrap())).sum();
        let count =
            |at: usize| parts.iter().map(|p| u32::from_le_bytes(p[at..at + 4].try_into().unwrap()) as usize).sum();
        Self {
            total: double(0),
            lost: double(8),
            pruned: count(16),
            zeros: count(20),
            flips: count(24),
            restored: count(28),
            quantiles: quantiles.to_vec(),
            n,
        }
    }

    fn flips(&self, n: usize) -> f64 {
        self.flips as f64 / n as f64
    }

    #[track_caller]
    fn same(&self, what: &str, state: &MatrixState) {
        let n = self.n as f64;
        assert_eq!(self.quantiles, state.quantiles, "{what}");
        assert_eq!(self.pruned, state.pruned, "{what}");
        assert_eq!(self.zeros as f64 / n, state.sparsity, "{what}");
        assert_eq!(Some(self.flips(self.n)), state.flips, "{what}");
        assert!((self.total / n - f64::from(state.importance)).abs() < 1e-6, "{what}");
        if self.total > 0.0 {
            assert!((1.0 - self.lost / self.total - state.retained).abs() < 1e-9, "{what}");
        }
    }
}

/// What the kernels are asked.
struct Asked<'a> {
    importance: Importance,
    hold: bool,
    norms: &'a [Vec<f32>; 2],
}

impl Asked<'_> {
    /// All matrices of `set` pruned at `ratio`, or only tried: what they become, and what is said of them.
    fn run(
        &self,
        set: &MergedSet,
        ratio: f64,
        tried: bool,
        masks: &mut [Vec<u8>],
        shadows: &mut [Vec<f32>],
    ) -> (Vec<Vec<f32>>, Vec<Figures>) {
        let here = matrices(set);
        let (mut buffers, mut numbers) = (Vec::new(), Vec::new());
        for (i, (rank, factor, width, weights)) in here.iter().enumerate() {
            let norm = match (self.importance, factor) {
                (Importance::Magnitude, _) => &[][..],
                (_, Factor::A) => &self.norms[0][..],
                (_, Factor::B) => &self.norms[1][if i < 2 { 0..3 } else { 3..5 }],
            };
            let to = if tried { vec![0xff; 4 * weights.len()] } else { Vec::new() };
            buffers.extend([floats(weights), floats(norm), masks[i].clone(), floats(&shadows[i]), to]);
            let k = lopper::prune::mask::count(ratio, weights.len());
            let flags = if *factor == Factor::B { 1 + 2 } else { 0 }
                + 4 * i32::from(self.hold)
                + if ratio < 1.0 { 8 } else { 0 }
                + 16 * i32::from(tried);
            numbers.extend([*width as f64, *rank as f64, k as f64, f64::from(flags)]);
        }
        // Quantiles, three parts a matrix, what was found.
        let n = here.len();
        buffers.extend([vec![0; n * 3 * 4], vec![0; n * 3 * 32], vec![0; n * 32]]);
        run("prune", &mut buffers, &numbers);
        let quantiles = f32s(&buffers[5 * n]);
        let mut figures = Vec::new();
        let mut left = Vec::new();
        for i in 0..n {
            figures.push(Figures::of(
                &buffers[5 * n + 1][96 * i..96 * (i + 1)],
                &quantiles[3 * i..3 * i + 3],
                here[i].3.len(),
            ));
            masks[i].clone_from(&buffers[5 * i + 2]);
            shadows[i] = f32s(&buffers[5 * i + 3]);
            left.push(f32s(&buffers[5 * i + if tried { 4 } else { 0 }]));
        }
        (left, figures)
    }
}

#[test]
#[ignore = "needs a C++ compiler"]
fn prunings_leave_the_cpus_zeros_and_figures() {
    let all = [Importance::Direct, Importance::Magnitude];
    for (importance, hold, silent) in
        all.into_iter().flat_map(|i| [(i, false, false), (i, true, false), (i, false, true)])
    {
        for (d_in, d_out, ratios) in
            [(37, 50, [0.3, 0.5, 0.2]), (1600, 8, [0.5, 0.0, 1.0]), (300, 2000, [0.6, 0.1, 0.55])]
        {
            let what = format!("{importance:?}, hold {hold}, silent {silent}, {d_in} x {d_out}");
            let set = set(d_in, d_out, silent);
            let squares = [d_in, 5].map(|n| (ramp(&[n], 0.2, DType::F32).abs().unwrap() + 0.1).unwrap());
            let norms = squares.clone().map(|x| values(&x.sqrt().unwrap()));
            let squares = SquareSums { modules: [(ID, (squares[0].clone(), squares[1].clone()))].into() };
            let settings = recipe::Prune {
                ratio: 1.0,
                schedule: RatioSchedule::Linear,
                importance,
                hold,
                ..recipe::Prune::default()
            };
            let mut pruner = Pruner::new(&settings, vec!["a".into(), "b".into()], 1).unwrap();
            let mut masks: Vec<Vec<u8>> = matrices(&set).iter().map(|m| vec![0; m.3.len()]).collect();
            let mut shadows: Vec<Vec<f32>> = masks.iter().map(|m| vec![0.0; m.len()]).collect();
            for (step, ratio) in ratios.into_iter().enumerate() {
                let asked = Asked { importance, hold, norms: &norms };
                let (sent, figures) = asked.run(&set, ratio, false, &mut masks, &mut shadows);
                let states = pruner.prune(&set, &squares, None, ratio, step).unwrap();
                for (i, ((key, state), got)) in states.iter().zip(&figures).enumerate() {
                    let what = format!("{what}, step {step}, {key:?}");
                    assert_eq!(masks[i], pruner.mask(*key).unwrap().unwrap(), "{what}");
                    got.same(&what, &MatrixState { flips: state.flips.or(Some(got.flips(masks[i].len()))), ..*state });
                }
                assert_eq!(sent, matrices(&set).into_iter().map(|m| m.3).collect::<Vec<_>>(), "{what}, step {step}");

                // Another ratio is tried, and nothing changes.
                let rule = Rule::parse("*=0.4").unwrap();
                let (before, shadowed) = (masks.clone(), shadows.clone());
                let share = pruner.present_share();
                let (got, figures) = asked.run(&set, 0.4 * share, true, &mut masks, &mut shadows);
                assert_eq!((&masks, &shadows), (&before, &shadowed), "{what}");
                let scratch = pruner.scratch(&set, &[rule], None).unwrap();
                for ((key, state), got) in scratch.states.iter().zip(&figures) {
                    got.same(&format!("{what}, tried after step {step}, {key:?}"), state);
                }
                assert_eq!(figures.iter().map(|f| f.restored).sum::<usize>(), scratch.restored, "{what}");
                let wanted: Vec<_> = matrices(&scratch.set).into_iter().map(|m| m.3).collect();
                assert_eq!(got, wanted, "{what}, tried after step {step}");
                // What an update between two prunings does: everything moves, and zeros come back.
                for tensor in [&set.modules[&ID].a, &set.modules[&ID].b] {
                    let more = ramp(tensor.dims(), step as f32 + 3.0, DType::F32);
                    let moved = if silent { tensor.copy().unwrap() } else { (tensor + (more * 0.3).unwrap()).unwrap() };
                    tensor.slice_set(&moved, 0, 0).unwrap();
                }
            }
        }
    }
}

#[test]
#[ignore = "needs a C++ compiler"]
fn an_importance_that_is_no_number_changes_nothing() {
    for broken in [f32::NAN, f32::INFINITY] {
        let weights = [1.0, 2.0, broken, 4.0, 5.0, 6.0];
        let mut buffers = vec![
            floats(&weights),
            Vec::new(),
            vec![1, 0, 0, 0, 1, 0],
            vec![0; 24],
            Vec::new(),
            vec![0; 12],
            vec![0; 96],
            vec![0; 32],
        ];
        run("prune", &mut buffers, &[3.0, 2.0, 3.0, 0.0]);
        assert_eq!(buffers[0], floats(&weights));
        assert_eq!(buffers[2], [1, 0, 0, 0, 1, 0]);
        assert_eq!(buffers[7][16] & 8, 8, "and it is told");
    }
}

#[test]
#[ignore = "needs a C++ compiler"]
fn updates_are_the_optimizers() {
    let set = set(61, 20, false);
    let train = Train { weight_decay: 0.1, ..Train::default() };
    let mut optimizer = Optimizer::new(&train);
    let weights = set.modules[&ID].a.clone();
    let mut buffers = vec![floats(&values(&weights)), Vec::new(), vec![0; 4 * 305], vec![0; 4 * 305]];
    for step in 1..=5 {
        let gradient = ramp(&[5, 61], 0.3 * step as f32, DType::F32);
        let gradients = lopper::lora::Gradients {
            modules: [(ID, (gradient.clone(), set.modules[&ID].b.zeros_like().unwrap()))].into(),
        };
        buffers[1] = floats(&values(&gradient));
        let [beta1, beta2] = train.betas;
        let (lr, scale) = (1e-2, 0.7);
        let rate = lr / (1.0 - beta1.powi(step));
        let correction = (1.0 - beta2.powi(step)).sqrt();
        let numbers = [scale, 1.0 - lr * 0.1, 1.0 - beta1, beta2, 1.0 - beta2, train.eps, rate, correction]
            .map(|n| f64::from(n as f32));
        run("adamw", &mut buffers, &numbers);
        optimizer.step(&set, &gradients, lr, scale).unwrap();
        assert_eq!(f32s(&buffers[0]), values(&weights), "step {step}");
    }
    let state = optimizer.state().unwrap();
    assert_eq!(
        f32s(&buffers[2]),
        values(&state.iter().find(|s| s.0.starts_with("m.") && s.0.ends_with('A')).unwrap().1)
    );

    let gradient = ramp(&[5, 61], 0.4, DType::F32);
    let mut sums = vec![floats(&values(&weights)), floats(&values(&gradient)), vec![0; 24]];
    run("squares", &mut sums, &[]);
    let got: f64 = sums[2].chunks(8).map(|b| f64::from_le_bytes(b.try_into().unwrap())).sum();
    let want: f64 = values(&gradient).iter().map(|g| f64::from(*g) * f64::from(*g)).sum();
    assert!((got / want - 1.0).abs() < 1e-12, "{got}, {want}");
    let mut descended = sums[..2].to_vec();
    run("descend", &mut descended, &[f64::from(0.05f32), f64::from(0.9f32)]);
    let want: Vec<f32> = values(&weights).iter().zip(values(&gradient)).map(|(w, g)| w * 0.9 - 0.05 * g).collect();
    assert_eq!(f32s(&descended[0]), want);
}
