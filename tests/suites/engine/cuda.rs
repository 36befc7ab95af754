//! A card against the CPU on the tiny models. They need one: `.ci/cuda-build test --test engine cuda:: -- --ignored`.
#![cfg(feature = "cuda")]
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

use crate::case;
use candle_core::{DType, Device};
use case::{Case, FAMILIES, distance, worst};
use lopper::model::{device, linear::Dropout};
use lopper::train::agreement;

/// The first card, as a run opens it.
fn card() -> Device {
    let place = device::open("cuda:0", Some(0)).unwrap();
    assert!(place.memory() > 0);
    println!("{}", device::cards().join("; "));
    place.device
}

#[test]
#[ignore = "needs a CUDA device"]
fn every_kernel_gives_the_cpus_numbers() {
    let all = agreement::measure(&card()).unwrap();
    all.iter().for_each(|d| println!("{} in {:?}: off by {:e}", d.kernel, d.dtype, d.off));
    assert!(all.iter().all(agreement::Distance::is_rounding));
}

#[test]
#[ignore = "needs a CUDA device"]
fn loss_gradients_and_norms_equal_the_cpus_in_f32() {
    let card = card();
    for name in FAMILIES {
        let (want, gradients, squares) = Case::new(name, DType::F32, &Device::Cpu).gradients();
        let (got, others, other_squares) = Case::new(name, DType::F32, &card).gradients();
        let offs = [(got / want - 1.0).abs() as f32, worst(&others, &gradients), worst(&other_squares, &squares)];
        println!("{name} in f32: loss, gradients, norms off by {offs:?}");
        assert!(offs.iter().all(|&off| off < 1e-4), "{name}: loss, gradients, norms off by {offs:?}");
    }
}

#[test]
#[ignore = "needs a CUDA device"]
fn bf16_is_as_near_to_f32_as_on_the_cpu() {
    let card = card();
    for name in FAMILIES {
        let (want, gradients, _) = Case::new(name, DType::F32, &Device::Cpu).gradients();
        let here = distance(&Case::new(name, DType::BF16, &Device::Cpu).gradients().1, &gradients);
        let (got, others, _) = Case::new(name, DType::BF16, &card).gradients();
        let (loss, there) = ((got / want - 1.0).abs(), distance(&others, &gradients));
        println!("{name} in bf16: loss off by {loss:e}, gradients by {there:e}, on the CPU by {here:e}");
        assert!(loss < 1e-2, "{name}: loss {got}, in f32 on the CPU {want}");
        assert!(there < 1.5 * here, "{name}: gradients off by {there}, on the CPU by {here}");
    }
}

#[test]
#[ignore = "needs a CUDA device"]
fn five_updates_and_prunings_leave_the_same_zeros() {
    let card = card();
    for (optimizer, importance) in [("adamw", "direct"), ("adamw", "product"), ("sgd", "sensitivity")] {
        let (losses, zeros, matrices) = Case::new("llama", DType::F32, &Device::Cpu).prune(optimizer, importance);
        let other = Case::new("llama", DType::F32, &card).prune(optimizer, importance);
        let loss = losses.iter().zip(&other.0).fold(0.0, |m: f64, (a, b)| m.max((b / a - 1.0).abs()));
        println!("{optimizer} {importance}: loss off by {loss:e}, matrices by {:e}", worst(&other.2, &matrices));
        assert_eq!(zeros, other.1, "{optimizer} {importance}");
        assert!(loss < 1e-4, "{optimizer} {importance}: loss off by {loss}");
        let bf16 = Case::new("llama", DType::BF16, &card).prune(optimizer, importance);
        assert_eq!(zeros, bf16.1, "{optimizer} {importance} in bf16");
    }
}

#[test]
#[ignore = "needs a CUDA device"]
fn greedy_answers_are_the_cpus() {
    let card = card();
    for name in FAMILIES {
        let want = Case::new(name, DType::F32, &Device::Cpu).answers();
        assert_eq!(Case::new(name, DType::F32, &card).answers(), want, "{name}");
    }
}

#[test]
#[ignore = "needs a CUDA device"]
fn dropout_on_a_card_is_the_same_again_and_the_cpus() {
    let [case, here] = [card(), Device::Cpu].map(|device| Case::new("llama", DType::F32, &device));
    let loss = |key| case.loss(Some(Dropout { p: 0.3, key }));
    assert_eq!(loss(7).to_bits(), loss(7).to_bits());
    let want = here.loss(Some(Dropout { p: 0.3, key: 7 }));
    assert!((loss(7) / want - 1.0).abs() < 1e-4, "{} and {want}", loss(7));
    assert!((loss(7) - loss(8)).abs() > 1e-6);
    assert!((loss(7) - case.loss(None)).abs() > 1e-6);
}
