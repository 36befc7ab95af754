//! Whether this build's kernels give on this card what the CPU gives: every one of them once, on a few numbers, before they are
//! used. A card, a driver or a compiler with which they don't is met with candle's operations and a sentence.

use super::optimizer::Optimizer;
use crate::Result;
use crate::lora::merge::Segment;
use crate::lora::{Gradients, MergedModule, MergedSet, SquareSums};
use crate::model::attention::{self, Cache, Heads};
use crate::model::kernels::{self, Causal};
use crate::model::product::{As, product_onto};
use crate::module::{ModuleId, Projection};
use crate::prune::Pruner;
use crate::recipe::{Prune, Train};
use candle_core::{DType, Device, Tensor};

/// How far a kernel's numbers are from the CPU's, over the largest of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Distance {
    /// Which kernel.
    pub kernel: &'static str,
    /// In which type.
    pub dtype: DType,
    /// How far: not a number where the card gave none.
    pub off: f32,
}

impl Distance {
    /// Whether the type explains it.
    pub fn is_rounding(&self) -> bool {
        self.off < if self.dtype == DType::BF16 { 3e-2 } else { 1e-4 }
    }
}

/// Numbers between −1.5 and 1.5 that bf16 has too.
fn ramp(shape: &[usize], seed: f32) -> Result<Tensor> {
    let n: usize = shape.iter().product();
    let values: Vec<f32> = (0..n).map(|i| ((i as f32 * 0.7311 + seed) * 1.913).sin() * 1.5).collect();
    Ok(Tensor::from_vec(values, shape, &Device::Cpu)?.to_dtype(DType::BF16)?.to_dtype(DType::F32)?)
}

fn numbers(x: &Tensor) -> Result<Vec<f32>> {
    Ok(x.to_device(&Device::Cpu)?.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?)
}

fn off(got: &[f32], want: &[f32]) -> f32 {
    if got.len() != want.len() {
        return f32::NAN;
    }
    let largest = want.iter().fold(0.1f32, |m, v| m.max(v.abs()));
    let far = got.iter().zip(want).map(|(g, w)| (g - w).abs() / largest);
    far.fold(0.0, |most, far| if far.is_nan() || most.is_nan() { f32::NAN } else { most.max(far) })
}

/// The pieces of the decoder on a device, in a type, by name.
fn pieces(device: &Device, dtype: DType) -> Result<Vec<(&'static str, Vec<f32>)>> {
    let make =
        |shape: &[usize], seed: f32| -> Result<Tensor> { Ok(ramp(shape, seed)?.to_device(device)?.to_dtype(dtype)?) };
    let mut all = Vec::new();
    let (x, w, dy) = (make(&[7, 96], 0.1)?, make(&[96], 0.5)?, make(&[7, 96], 0.9)?);
    all.push(("norm", numbers(&kernels::rms_norm(&x, &w, 1e-5)?)?));
    all.push(("norm's way back", numbers(&kernels::rms_norm_backward(&x, &w, 1e-5, &dy)?)?));
    all.push(("SwiGLU", numbers(&kernels::swiglu(&x, &dy)?)?));
    let (d_gate, d_up) = kernels::swiglu_backward(&x, &dy, &x)?;
    all.push(("SwiGLU's way back", [numbers(&d_gate)?, numbers(&d_up)?].concat()));
    all.push(("sums of columns", numbers(&kernels::column_squares(&x)?)?));
    let causal = Causal { window: Some(40) };
    let block = causal.block(20..70);
    let shape = [2, 100, block.keys.len()];
    let p = kernels::causal_softmax(make(&shape, 0.3)?, 0.25, causal, &block, None)?;
    all.push(("softmax", numbers(&p)?));
    all.push(("softmax's way back", numbers(&kernels::softmax_backward(make(&shape, 0.8)?, &p, 0.25)?)?));
    let targets = [3, 0, 2999];
    let (losses, gradient) = kernels::cross_entropy(make(&[3, 3000], 0.2)?, &targets, Some(0.5))?;
    let gradient = gradient.map(|g| numbers(&g)).transpose()?.unwrap_or_default();
    all.push(("cross-entropy", [losses, gradient].concat()));
    all.push(("turned axes", numbers(&kernels::swap_axes(&make(&[5, 3, 33], 0.4)?)?)?));
    for (ta, tb) in [(As::Is, As::Is), (As::Is, As::T), (As::T, As::Is)] {
        let a = make(if ta == As::T { &[33, 9] } else { &[9, 33] }, 0.1)?;
        let b = make(if tb == As::T { &[21, 33] } else { &[33, 21] }, 0.6)?;
        all.push(("product", numbers(&product_onto(make(&[9, 21], 0.3)?, &a, ta, &b, tb)?)?));
    }
    let heads = Heads { query: 6, key: 2, dim: 80 };
    let mut kept = Vec::new();
    for t in [3, 50] {
        kept.push(Cache::new(&make(&[t, 2, 80], 0.1)?, &make(&[t, 2, 80], 0.4)?, 2)?);
    }
    let (q, k, v) = (make(&[2, 6, 80], 0.2)?, make(&[2, 2, 80], 0.6)?, make(&[2, 2, 80], 0.7)?);
    for _ in 0..2 {
        all.push(("next token", numbers(&attention::step(&mut kept, (&q, &k, &v), heads, causal)?)?));
    }
    Ok(all)
}

/// Updates and prunings on a device: what they leave.
fn updates(device: &Device) -> Result<Vec<(&'static str, Vec<f32>)>> {
    const ID: ModuleId = ModuleId::new(0, Projection::UpProj);
    let make = |shape: &[usize], seed: f32| -> Result<Tensor> { Ok(ramp(shape, seed)?.to_device(device)?) };
    let segments = vec![
        Segment { adapter: 0, start: 0, rank: 3, scale: 1.0 },
        Segment { adapter: 1, start: 3, rank: 5, scale: 1.0 },
    ];
    let module = MergedModule { a: make(&[8, 3000], 0.1)?, b: make(&[8, 700], 0.2)?, segments };
    let set = MergedSet { modules: [(ID, module)].into() };
    let settings = Prune { ratio: 0.5, ..Prune::default() };
    let mut pruner = Pruner::new(&settings, vec!["a".into(), "b".into()], 1)?;
    let mut optimizer = Optimizer::new(&Train::default());
    let mut all = Vec::new();
    for step in 1..=3 {
        let seed = step as f32;
        let gradients = Gradients { modules: [(ID, (make(&[8, 3000], seed)?, make(&[8, 700], seed)?))].into() };
        all.push(("norm of gradients", vec![super::optimizer::global_norm(&gradients)? as f32]));
        optimizer.step(&set, &gradients, 1e-2, 0.5)?;
        let squares = SquareSums { modules: [(ID, (make(&[3000], 0.3)?.sqr()?, make(&[8], 0.6)?.sqr()?))].into() };
        let states = pruner.prune(&set, &squares, None, 1.0, step)?;
        let figures = states.iter().flat_map(|(_, s)| {
            [
                s.sparsity as f32,
                s.importance,
                s.quantiles[0],
                s.quantiles[1],
                s.quantiles[2],
                s.retained as f32,
                s.pruned as f32,
            ]
        });
        all.push(("figures of pruning", figures.collect()));
        for tensor in [&set.modules[&ID].a, &set.modules[&ID].b] {
            all.push(("update and pruning", numbers(tensor)?));
        }
        for (key, _) in &states {
            let mask = pruner.mask(*key)?.unwrap_or_default();
            all.push(("mask", mask.iter().map(|m| f32::from(*m)).collect()));
        }
    }
    Ok(all)
}

/// Every kernel on `device` against the CPU.
///
/// # Errors
/// When one cannot be run.
pub fn measure(device: &Device) -> Result<Vec<Distance>> {
    let mut all = Vec::new();
    let wanted = [pieces(&Device::Cpu, DType::F32)?, updates(&Device::Cpu)?];
    for dtype in [DType::F32, DType::BF16] {
        let got = pieces(device, dtype)?;
        let of = got.iter().zip(&wanted[0]);
        all.extend(of.map(|((kernel, got), (_, want))| Distance { kernel, dtype, off: off(got, want) }));
    }
    let got = updates(device)?;
    let of = got.iter().zip(&wanted[1]);
    all.extend(of.map(|((kernel, got), (_, want))| Distance { kernel, dtype: DType::F32, off: off(got, want) }));
    Ok(all)
}

/// The same in a sentence.
pub fn told(all: &[Distance]) -> String {
    match all.iter().find(|distance| !distance.is_rounding()) {
        Some(far) => format!("{} in {:?} is off by {:e}", far.kernel, far.dtype, far.off),
        None => {
            let most = |dtype| all.iter().filter(|d| d.dtype == dtype).fold(0f32, |most, d| most.max(d.off));
            format!("within {:.0e} of the CPU in f32, {:.0e} in bf16", most(DType::F32), most(DType::BF16))
        }
    }
}

/// Sees to it that kernels are used on `device` only if they agree with the CPU there; otherwise says why they are not.
pub fn reached(device: &Device) -> Option<String> {
    if !device.is_cuda() {
        return None;
    }
    let why = match measure(device) {
        Ok(all) if all.iter().all(Distance::is_rounding) => return None,
        Ok(all) => told(&all),
        Err(error) => error.to_string(),
    };
    kernels::do_without_card();
    Some(format!(
        "the kernels for cards are not used, candle's operations are: on this card {}",
        crate::text::printable(&why)
    ))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_agrees_with_itself_and_bf16_with_f32_to_its_rounding() {
        let all = measure(&Device::Cpu).unwrap();
        assert!(all.iter().all(|d| d.is_rounding() && (d.dtype == DType::BF16 || d.off == 0.0)), "{all:?}");
        assert!(all.iter().any(|d| d.dtype == DType::BF16 && d.off > 1e-3), "bf16 was not tried: {all:?}");
        assert_eq!(reached(&Device::Cpu), None);
        let text = told(&all);
        assert!(text.starts_with("within 0e0 of the CPU in f32, ") && text.ends_with(" in bf16"), "{text}");
        let far = Distance { kernel: "softmax", dtype: DType::BF16, off: 0.5 };
        assert_eq!(told(&[all, vec![far]].concat()), "softmax in BF16 is off by 5e-1");
    }

    #[test]
    fn other_numbers_and_none_are_found_out() {
        let far = |got: &[f32]| Distance { kernel: "norm", dtype: DType::F32, off: off(got, &[1.0, 2.0]) };
        assert!(far(&[1.0, 2.0]).is_rounding());
        for got in [&[1.0, 2.1][..], &[1.0, f32::NAN], &[f32::INFINITY, 2.0], &[1.0]] {
            assert!(!far(got).is_rounding(), "{got:?}");
        }
    }
}
