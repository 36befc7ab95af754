//! What a card computes with, tensor operations, against the CPU's own passes over slices, both on the CPU: the
//! best check of the path for cards where there is none. tests/suites/engine/decoder.rs and tests/suites/engine/twin.rs hold the CPU's passes
//! against transformers and PEFT.
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

mod small;

use crate::case;
use candle_core::quantized::GgmlDType;
use candle_core::{DType, Device, Tensor};
use case::{Case, FAMILIES, distance, worst};
use lopper::model::kernels::{self, Causal};
use lopper::model::matrix::Hold;
use lopper::model::rounded;
use small::Small;
use std::sync::Mutex;

/// The switch is one for the whole process.
static SWITCH: Mutex<()> = Mutex::new(());

/// What `f` gives with the passes over slices, and with tensor operations.
fn both<T>(f: impl Fn() -> T) -> (T, T) {
    let _alone = SWITCH.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    kernels::tensor_operations_only(false);
    let slices = f();
    kernels::tensor_operations_only(true);
    let operations = f();
    kernels::tensor_operations_only(false);
    (slices, operations)
}

fn ramp(shape: &[usize], seed: f32) -> Tensor {
    let n: usize = shape.iter().product();
    let values: Vec<f32> = (0..n).map(|i| ((i as f32 * 0.7311 + seed) * 1.913).sin() * 1.5).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

fn same(what: &str, f: impl Fn() -> Tensor) {
    let (slices, operations) = both(|| ("x".to_owned(), f().flatten_all().unwrap().to_vec1::<f32>().unwrap()));
    let off = worst(&vec![operations], &vec![slices]);
    assert!(off < 1e-5, "{what}: off by {off}");
}

#[test]
fn every_kernel_has_two_paths_that_agree() {
    let (x, w, dy) = (ramp(&[5, 32], 0.1), ramp(&[32], 0.5), ramp(&[5, 32], 0.9));
    same("rms norm", || kernels::rms_norm(&x, &w, 1e-5).unwrap());
    same("rms norm backward", || kernels::rms_norm_backward(&x, &w, 1e-5, &dy).unwrap());
    same("swiglu", || kernels::swiglu(&x, &dy).unwrap());
    let up = ramp(&[5, 32], 0.3);
    same("gate's gradient", || kernels::swiglu_backward(&x, &up, &dy).unwrap().0);
    same("up's gradient", || kernels::swiglu_backward(&x, &up, &dy).unwrap().1);
    for causal in [Causal { window: None }, Causal { window: Some(3) }] {
        let scores = ramp(&[2, 10, 5], 0.1);
        let p =
            |mask| kernels::causal_softmax(scores.copy().unwrap(), 0.25, causal, &causal.block(0..5), mask).unwrap();
        same("causal softmax", || p(None));
        let mask = kernels::hidden(&causal.block(0..5), causal, DType::F32, &Device::Cpu).unwrap();
        same("causal softmax with a mask at hand", || p(Some(&mask)));
        let weights = p(None);
        same("softmax backward", || kernels::softmax_backward(ramp(&[2, 10, 5], 0.9), &weights, 0.25).unwrap());
    }
    let losses = |scale| kernels::cross_entropy(ramp(&[4, 3000], 0.3), &[7, 0, 2999, 1234], scale).unwrap();
    same("cross-entropy", || Tensor::new(losses(None).0, &Device::Cpu).unwrap());
    same("cross-entropy's gradient", || losses(Some(0.25)).1.unwrap());
}

#[test]
fn whole_models_give_the_same_loss_gradients_norms_and_answers() {
    for name in FAMILIES {
        let case = Case::new(name, DType::F32, &Device::Cpu);
        let ((loss, gradients, squares), other) = both(|| case.gradients());
        let offs = [(other.0 / loss - 1.0).abs() as f32, worst(&other.1, &gradients), worst(&other.2, &squares)];
        println!("{name}: loss, gradients, norms off by {offs:?}");
        // An entry of a gradient, as a share of its tensor's largest; the two paths round every sum differently.
        assert!(offs.iter().all(|&off| off < 5e-5), "{name}: loss, gradients, norms off by {offs:?}");
        let (answers, others) = both(|| case.answers());
        assert_eq!(answers, others, "{name}");
    }
}

#[test]
fn five_updates_and_prunings_give_the_same_losses_zeros_and_matrices() {
    for (optimizer, importance) in [("adamw", "direct"), ("sgd", "sensitivity")] {
        let run = || Case::new("llama", DType::F32, &Device::Cpu).prune(optimizer, importance);
        let ((losses, zeros, matrices), other) = both(run);
        assert_eq!(zeros, other.1, "{optimizer}");
        let loss = losses.iter().zip(&other.0).fold(0.0, |m: f64, (a, b)| m.max((b / a - 1.0).abs()));
        let off = worst(&other.2, &matrices);
        println!("{optimizer}: loss off by {loss:e}, matrices by {off:e}");
        assert!(loss < 1e-5, "{optimizer}: loss off by {loss}");
        // Adam's first steps are ± the learning rate whatever the gradient: an entry may go the other way.
        assert!(off < if optimizer == "sgd" { 1e-5 } else { 1e-2 }, "{optimizer}: matrices off by {off}");
    }
}

#[test]
fn a_base_in_bf16_is_within_a_hundredth_of_f32() {
    for name in FAMILIES {
        let (full, half) = (Case::new(name, DType::F32, &Device::Cpu), Case::new(name, DType::BF16, &Device::Cpu));
        let ((want, gradients, _), (got, others, _)) = (full.gradients(), half.gradients());
        let (loss, all, one) = ((got / want - 1.0).abs(), distance(&others, &gradients), worst(&others, &gradients));
        println!(
            "{name}: bf16 loss off by {loss:e}, gradients by {all:e}, an entry by {one:e} of its tensor's largest"
        );
        assert!(loss < 1e-2, "{name}: loss {got}, in f32 {want}");
        // No measure of quality: measured were 0.05 to 0.10, and a wrong sign or a lost term would be above.
        assert!(all < 0.2, "{name}: gradients off by {all}");
        let (losses, zeros, _) = half.prune("adamw", "direct");
        assert_eq!(zeros, full.prune("adamw", "direct").1, "{name}");
        assert!(losses.iter().all(|l| l.is_finite()));
    }
}

#[test]
fn a_base_in_its_blocks_gives_the_losses_and_gradients_of_its_numbers() {
    for (name, base) in [("llama", "llama-q8_0"), ("qwen3", "qwen3")] {
        let unpacked = Case::with_base(name, base, DType::F32, Hold::Numbers, &Device::Cpu);
        let packed = Case::with_base(name, base, DType::F32, Hold::Stored, &Device::Cpu);
        let (want, got) = (unpacked.gradients(), packed.gradients());
        assert!((want.0 - got.0).abs() < 1e-6 * want.0, "{name}: {} and {}", want.0, got.0);
        let off = worst(&got.1, &want.1).max(worst(&got.2, &want.2));
        assert!(off < 1e-5, "{name}: off by {off}");
        assert_eq!(packed.answers(), unpacked.answers(), "{name}");
    }
}

/// With a matrix unit activations are rounded, too; without one the matrices alone are.
#[test]
fn a_base_in_bf16_beside_f32_is_near_the_base_in_f32() {
    let _alone = SWITCH.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    for name in FAMILIES {
        let whole = Case::new(name, DType::F32, &Device::Cpu);
        let halves = Case::with_base(name, name, DType::F32, Hold::Halves, &Device::Cpu);
        let (want, got) = (whole.gradients(), halves.gradients());
        let loss = (got.0 / want.0 - 1.0).abs();
        let off = distance(&got.1, &want.1);
        println!("{name}: loss off by {loss:e}, gradients by {off:e}");
        assert!(loss < 1e-2, "{name}: loss {}, in f32 {}", got.0, want.0);
        // These are the gradients at activations that were rounded on their way: measured were 0.02 to 0.33 with a unit, of which
        // the way back alone gives 0.006. What a linear does with rounded numbers is compared in `linear`.
        let most = if rounded::unit() { 0.5 } else { 0.1 };
        assert!(off < most, "{name}: gradients off by {off}");
        assert!(loss > 0.0 || !rounded::unit(), "{name}: nothing was rounded");
    }
    // Matrices of f32 become others.
    let [want, got] = [Hold::Numbers, Hold::Halves].map(|hold| Small::new(256, 512, GgmlDType::F32, hold).gradients());
    let (loss, off) = ((got.0 / want.0 - 1.0).abs(), distance(&got.1, &want.1));
    assert!(loss > 0.0 && loss < 1e-2 && off > 1e-4 && off < 0.1, "loss off by {loss}, gradients by {off}");
}

#[test]
fn a_hundred_updates_give_the_same_losses() {
    for (optimizer, lr) in [("sgd", 2e-2), ("adamw", 1e-4)] {
        let (fast, plain) = both(|| Small::new(64, 96, GgmlDType::F32, Hold::Numbers).train(optimizer, lr, 100));
        let off = fast.iter().zip(&plain).fold(0.0, |m: f64, (a, b)| m.max((a / b - 1.0).abs()));
        println!("{optimizer}: from {} to {}, off by {off:e} at most", fast[0], fast[100]);
        assert!(fast[100] < fast[0] - 0.05, "{optimizer}: nothing was learnt: {} and {}", fast[0], fast[100]);
        assert!(off < 1e-4, "{optimizer}: losses off by {off}");
    }
}

/// `llama-q8_0` above has rows too short for the blocks of 256.
#[test]
fn gradients_through_blocks_of_256_are_those_through_their_numbers() {
    for kind in [GgmlDType::Q4K, GgmlDType::Q5K, GgmlDType::Q6K, GgmlDType::Q4_0] {
        let of = |hold: Hold| Small::new(256, 512, kind, hold).gradients();
        let (want, got) = (of(Hold::Numbers), of(Hold::Stored));
        assert!(want.1.len() == 2 * 7 * 2 && want.1.iter().all(|(_, x)| x.iter().any(|g| g.abs() > 1e-6)), "{kind:?}");
        let (loss, off) = ((got.0 / want.0 - 1.0).abs(), worst(&got.1, &want.1));
        println!("{kind:?}: loss off by {loss:e}, gradients by {off:e}");
        assert!(loss < 1e-6 && off < 1e-5, "{kind:?}: loss off by {loss}, gradients by {off}");
    }
}
