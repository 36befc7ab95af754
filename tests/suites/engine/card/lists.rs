//! Kernels that take rows with their scales, or a list of vectors at once, against plain loops and the pruner's own norms.

use super::{ID, TYPES, empty, f32s, floats, near, ramp, run, set, values};
use candle_core::{DType, Device, Tensor};
use lopper::lora::SquareSums;
use lopper::model::kernels;
use lopper::prune::Pruner;
use lopper::recipe::{self, Importance, Norms};
use std::collections::HashMap;

/// `n` numbers that the type has; there may be none.
fn line(n: usize, seed: f32, dtype: DType) -> Vec<f32> {
    values(&ramp(&[n.max(1)], seed, dtype))[..n].to_vec()
}

/// Numbers as a card has them in `dtype`.
fn packed(numbers: &[f32], dtype: DType) -> Vec<u8> {
    if dtype == DType::F32 {
        return floats(numbers);
    }
    numbers.iter().flat_map(|n| half::bf16::from_f32(*n).to_le_bytes()).collect()
}

#[test]
#[ignore = "needs a C++ compiler"]
fn scaled_rows_are_rounded_once() {
    for ((from, name), (to, other)) in TYPES.into_iter().flat_map(|from| TYPES.map(|to| (from, to))) {
        for (rows, width) in [(1, 1), (3, 0), (0, 5), (5, 61), (16, 300)] {
            let (x, scales) = (line(rows * width, 0.3, from), line(rows, 0.8, DType::F32));
            let want: Vec<f32> = x.iter().enumerate().map(|(i, x)| x * scales[i / width]).collect();
            let want = packed(&want, to);
            let mut buffers = vec![packed(&x, from), floats(&scales), empty(&want)];
            run(&format!("scaled_rows_{name}_{other}"), &mut buffers, &[rows as f64, width as f64]);
            assert_eq!(buffers[2], want, "{rows} x {width}, {name} to {other}");
        }
    }
}

#[test]
#[ignore = "needs a C++ compiler"]
fn sums_of_many_matrices_are_those_of_each() {
    for ((dtype, name), rows) in TYPES.into_iter().flat_map(|t| [1, 64, 200].map(|rows| (t, rows))) {
        // More than a block has threads, none, and others.
        let widths = [5usize, 70, 0, 1, 33];
        let total: usize = widths.iter().sum();
        let all = widths.map(|n| packed(&line(rows * n, 0.2 + n as f32, dtype), dtype));
        let mut buffers = all.to_vec();
        buffers.push(vec![0xff; 4 * total]);
        let sizes: Vec<f64> = [rows as f64, 64.0].into_iter().chain(widths.map(|n| n as f64)).collect();
        run(&format!("column_squares_of_{name}"), &mut buffers, &sizes);
        let mut got = &f32s(&buffers[widths.len()])[..];
        for (x, n) in all.into_iter().zip(widths) {
            let (of_one, rest) = got.split_at(n);
            got = rest;
            let mut alone = vec![x, vec![0xff; 4 * n]];
            run(&format!("column_squares_{name}"), &mut alone, &[rows as f64, n as f64, 64.0]);
            assert_eq!(of_one, f32s(&alone[1]), "{rows} x {n} in {dtype:?}");
            let numbers = line(rows * n, 0.2 + n as f32, dtype);
            let x = Tensor::from_vec(numbers, (rows, n), &Device::Cpu).unwrap();
            if n > 0 {
                near("squares", of_one, &values(&kernels::column_squares(&x).unwrap()), DType::F32);
            }
        }
    }
}

#[test]
#[ignore = "needs a C++ compiler"]
fn norms_and_their_means_are_the_pruners_to_the_bit() {
    // Those of A's and of B's input of the set, and others beside them.
    let lengths = [37, 5, 1, 0, 300];
    for norms in [Norms::Batch, Norms::Running] {
        let running = norms == Norms::Running;
        let settings = recipe::Prune { importance: Importance::Direct, norms, ..recipe::Prune::default() };
        let mut pruner = Pruner::new(&settings, vec!["a".into(), "b".into()], 1).unwrap();
        let set = set(37, 50, false);
        let mut means: Vec<Vec<f32>> = lengths.iter().map(|&n| vec![f32::NAN; n]).collect();
        for step in 0..3 {
            let squared =
                |n: usize| -> Vec<f32> { line(n, 0.1 + step as f32, DType::F32).into_iter().map(|x| x * x).collect() };
            let sums: Vec<Vec<f32>> = lengths.iter().map(|&n| squared(n)).collect();
            let mut buffers = Vec::new();
            for (sums, means) in sums.iter().zip(&means) {
                let means = if running { floats(means) } else { Vec::new() };
                buffers.extend([floats(sums), means, empty(&floats(sums))]);
            }
            run("roots", &mut buffers, &[if step == 0 { 1.0 } else { 0.0 }]);
            for (i, (sums, means)) in sums.iter().zip(&mut means).enumerate() {
                for (mean, now) in means.iter_mut().zip(sums) {
                    let before = if step == 0 { *now } else { *mean };
                    *mean = 0.9 * before + 0.1 * now;
                }
                let of = if running { &*means } else { sums };
                let want: Vec<f32> = of.iter().map(|square| square.sqrt()).collect();
                assert_eq!(f32s(&buffers[3 * i + 2]), want, "{norms:?}, step {step}, input {i}");
                let kept = if running { floats(means) } else { Vec::new() };
                assert_eq!(buffers[3 * i + 1], kept, "{norms:?}, step {step}, input {i}");
            }
            let put = |i: usize| Tensor::from_vec(sums[i].clone(), lengths[i], &Device::Cpu).unwrap();
            let squares = SquareSums { modules: [(ID, (put(0), put(1)))].into() };
            pruner.prune(&set, &squares, None, 1.0, step).unwrap();
            let state: HashMap<String, Tensor> = pruner.state().unwrap().into_iter().collect();
            for (i, side) in ["x", "z"].into_iter().enumerate() {
                assert_eq!(
                    f32s(&buffers[3 * i + 2]),
                    values(&state[&format!("norms.{ID}.{side}")]),
                    "{norms:?}, {side}"
                );
                if running {
                    assert_eq!(f32s(&buffers[3 * i + 1]), values(&state[&format!("running.{ID}.{side}")]), "{side}");
                }
            }
        }
    }
}

#[test]
#[ignore = "needs a C++ compiler"]
fn moments_of_what_is_pruned_are_zeroed_and_no_others() {
    let (mut buffers, mut wanted) = (Vec::new(), Vec::new());
    for (i, n) in [1usize, 0, 61, 300].into_iter().enumerate() {
        let mask: Vec<u8> = (0..n).map(|at| u8::from((at * 7 + i).is_multiple_of(3))).collect();
        wanted.push(mask.clone());
        buffers.push(mask.clone());
        for seed in [0.2, 0.7] {
            let moments = line(n, seed, DType::F32);
            let left: Vec<f32> =
                moments.iter().zip(&mask).map(|(m, pruned)| if *pruned == 1 { 0.0 } else { *m }).collect();
            buffers.push(floats(&moments));
            wanted.push(floats(&left));
        }
    }
    run("forget", &mut buffers, &[]);
    assert_eq!(buffers, wanted);
}
