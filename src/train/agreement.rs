//! Whether this build's kernels give on this card what the CPU gives: every one of them on a few numbers, before a run uses
//! them. A card, a driver or a compiler with which they don't is met with candle's operations and a sentence.

use super::optimizer::Optimizer;
use crate::lora::merge::Segment;
use crate::lora::{Gradients, MergedModule, MergedSet, SquareSums};
use crate::model::attention::{self, Cache, Heads};
use crate::model::kernels::{self, Causal};
use crate::model::linear::{Attached, Dropout, Frozen};
use crate::model::matrix::Matrix;
use crate::model::product::{As, product_onto};
use crate::module::{ModuleId, Projection};
use crate::prune::{Key, MatrixState, Pruner};
use crate::recipe::ratios::Rule;
use crate::recipe::{Norms, OptimizerKind, Prune, Train};
use crate::{Error, Result};
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
    let largest = want.iter().fold(1e-6f32, |m, v| m.max(v.abs()));
    let far = got.iter().zip(want).map(|(g, w)| (g - w).abs() / largest);
    far.fold(0.0, |most, far| if far.is_nan() || most.is_nan() { f32::NAN } else { most.max(far) })
}

/// The pieces of the decoder on a device, in a type, by name: narrow and wide rows, heads of every width.
fn pieces(device: &Device, dtype: DType) -> Result<Vec<(&'static str, Vec<f32>)>> {
    let make =
        |shape: &[usize], seed: f32| -> Result<Tensor> { Ok(ramp(shape, seed)?.to_device(device)?.to_dtype(dtype)?) };
    let mut all = Vec::new();
    for width in [64, 1025, 4096] {
        let (x, w, dy) = (make(&[7, width], 0.1)?, make(&[width], 0.5)?, make(&[7, width], 0.9)?);
        all.push(("norm", numbers(&kernels::rms_norm(&x, &w, 1e-5)?)?));
        all.push(("norm's way back", numbers(&kernels::rms_norm_backward(&x, &w, 1e-5, &dy)?)?));
        all.push(("SwiGLU", numbers(&kernels::swiglu(&x, &dy)?)?));
        let (d_gate, d_up) = kernels::swiglu_backward(&x, &dy, &x)?;
        all.push(("SwiGLU's way back", numbers(&d_gate)?));
        all.push(("SwiGLU's way back", numbers(&d_up)?));
    }
    all.push(("sums of columns", numbers(&kernels::column_squares(&make(&[200, 70], 0.1)?)?)?));
    for sums in kernels::column_squares_of(&[&make(&[200, 24], 0.2)?, &make(&[200, 7], 0.7)?])? {
        all.push(("sums of columns", numbers(&sums)?));
    }
    // Dropout forward, and added to what comes back.
    let (a, b) = (ramp(&[3, 1025], 0.2)?.to_device(device)?, ramp(&[3, 40], 0.5)?.to_device(device)?);
    let module = MergedModule { a, b, segments: vec![Segment { adapter: 0, start: 0, rank: 3, scale: 1.0 }] };
    let attached = Attached::new(&module, dtype, Some(Dropout { p: 0.3, key: 5 }), 2)?;
    let (x, dy) = (make(&[7, 1025], 0.3)?, make(&[7, 40], 0.9)?);
    all.push(("dropout", numbers(&attached.input(&x)?)?));
    let linear = Frozen::new(Matrix::Dense(make(&[40, 1025], 0.6)?), None);
    let (_, z) = linear.forward(&x, Some(&attached))?;
    let adapters = z.as_ref().map(|z| (&attached, z));
    if let (Some(dx), _) = linear.backward(&dy, &x, adapters, true)? {
        all.push(("dropout's way back", numbers(&dx)?));
    }
    // As B becomes a pass's copy, and as the gradient of that comes back.
    let (b, scales) = (ramp(&[9, 1500], 0.4)?.to_device(device)?, ramp(&[9, 1], 0.8)?.to_device(device)?);
    let copy = kernels::scaled_rows(&b, &scales, dtype)?;
    all.push(("scaled rows", numbers(&copy)?));
    all.push(("scaled rows", numbers(&kernels::scaled_rows(&copy, &scales, DType::F32)?)?));
    for (queries, window) in [(20..70, Some(40)), (0..600, None)] {
        let causal = Causal { window };
        let block = causal.block(queries);
        let shape = [2, block.queries.len(), block.keys.len()];
        let p = kernels::causal_softmax(make(&shape, 0.3)?, 0.25, causal, &block, None)?;
        all.push(("softmax", numbers(&p)?));
        all.push(("softmax's way back", numbers(&kernels::softmax_backward(make(&shape, 0.8)?, &p, 0.25)?)?));
    }
    let targets = [3, 0, 2999];
    let (losses, gradient) = kernels::cross_entropy(make(&[3, 3000], 0.2)?, &targets, Some(0.5))?;
    all.push(("losses", losses));
    let mut gradient = gradient.map(|g| numbers(&g)).transpose()?.unwrap_or_default();
    let of_targets: Vec<f32> = targets.iter().enumerate().map(|(i, t)| gradient[3000 * i + *t as usize]).collect();
    targets.iter().enumerate().for_each(|(i, t)| gradient[3000 * i + *t as usize] = 0.0);
    all.extend([("the loss's gradient at targets", of_targets), ("the loss's gradient", gradient)]);
    all.push(("turned axes", numbers(&kernels::swap_axes(&make(&[5, 3, 33], 0.4)?)?)?));
    for (ta, tb) in [(As::Is, As::Is), (As::Is, As::T), (As::T, As::Is)] {
        let a = make(if ta == As::T { &[33, 9] } else { &[9, 33] }, 0.1)?;
        let b = make(if tb == As::T { &[21, 33] } else { &[33, 21] }, 0.6)?;
        all.push(("product", numbers(&product_onto(make(&[9, 21], 0.3)?, &a, ta, &b, tb)?)?));
    }
    for (dim, window) in [(16, None), (64, Some(40)), (128, None), (256, None)] {
        let heads = Heads { query: 6, key: 2, dim };
        let mut kept = Vec::new();
        for t in [3, 50] {
            kept.push(Cache::new(&make(&[t, 2, dim], 0.1)?, &make(&[t, 2, dim], 0.4)?, 2)?);
        }
        let (q, k, v) = (make(&[2, 6, dim], 0.2)?, make(&[2, 2, dim], 0.6)?, make(&[2, 2, dim], 0.7)?);
        for _ in 0..2 {
            let rows = attention::step(&mut kept, (&q, &k, &v), heads, Causal { window })?;
            all.push(("next token", numbers(&rows)?));
        }
    }
    Ok(all)
}

const ID: ModuleId = ModuleId::new(0, Projection::UpProj);

/// What became of matrices, one list for each figure.
fn figures(states: &[(Key, MatrixState)]) -> Vec<(&'static str, Vec<f32>)> {
    let of = |figure: &dyn Fn(&MatrixState) -> f64| states.iter().map(|(_, s)| figure(s) as f32).collect();
    vec![
        ("sparsity", of(&|s| s.sparsity)),
        ("importance", of(&|s| f64::from(s.importance))),
        ("quantile", of(&|s| f64::from(s.quantiles[0]))),
        ("median", of(&|s| f64::from(s.quantiles[1]))),
        ("quantile", of(&|s| f64::from(s.quantiles[2]))),
        ("retained importance", of(&|s| s.retained)),
        ("pruned entries", of(&|s| s.pruned as f64)),
        ("changed entries", of(&|s| s.flips.unwrap_or(-1.0))),
    ]
}

/// Updates and prunings on a device, and other ratios tried there: what they leave.
fn updates(device: &Device, optimizer: OptimizerKind, hold: bool) -> Result<Vec<(&'static str, Vec<f32>)>> {
    let make = |shape: &[usize], seed: f32| -> Result<Tensor> { Ok(ramp(shape, seed)?.to_device(device)?) };
    let segments = vec![
        Segment { adapter: 0, start: 0, rank: 3, scale: 1.0 },
        Segment { adapter: 1, start: 3, rank: 5, scale: 1.0 },
    ];
    let module = MergedModule { a: make(&[8, 3000], 0.1)?, b: make(&[8, 700], 0.2)?, segments };
    let set = MergedSet { modules: [(ID, module)].into() };
    let norms = if hold { Norms::Running } else { Norms::Batch };
    let settings = Prune { ratio: 0.5, hold, norms, ..Prune::default() };
    let mut pruner = Pruner::new(&settings, vec!["a".into(), "b".into()], 1)?;
    let mut optimizer = Optimizer::new(&Train { optimizer, ..Train::default() });
    let mut all = Vec::new();
    let left = |set: &MergedSet, what: &'static str, all: &mut Vec<(&'static str, Vec<f32>)>| -> Result<()> {
        for tensor in [&set.modules[&ID].a, &set.modules[&ID].b] {
            all.push((what, numbers(tensor)?));
        }
        Ok(())
    };
    for step in 1..=3 {
        let seed = step as f32;
        let gradients = Gradients { modules: [(ID, (make(&[8, 3000], seed)?, make(&[8, 700], seed)?))].into() };
        all.push(("norm of gradients", vec![super::optimizer::global_norm(&gradients)? as f32]));
        optimizer.step(&set, &gradients, 1e-2, 0.5)?;
        left(&set, "update", &mut all)?;
        let (x, z) = (make(&[3000], 0.3 * seed)?, make(&[8], 0.6 * seed)?);
        let squares = SquareSums { modules: [(ID, (x.sqr()?, z.sqr()?))].into() };
        let states = pruner.prune(&set, &squares, None, 1.0, step)?;
        all.extend(figures(&states));
        left(&set, "pruning", &mut all)?;
        for (key, _) in &states {
            let mask = pruner.mask(*key)?.unwrap_or_default();
            all.push(("mask", mask.iter().map(|m| f32::from(*m)).collect()));
        }
        optimizer.forget_pruned(&set, &pruner)?;
        for (_, moments) in optimizer.state()? {
            all.push(("moments", numbers(&moments)?));
        }
        let rule = Rule { modules: "*".into(), adapter: "*".into(), factor: None, ratio: 0.3 };
        for tried in [pruner.scratch(&set, &[rule], None)?, pruner.present(&set, None)?] {
            all.extend(figures(&tried.states));
            left(&tried.set, "tried masks", &mut all)?;
        }
    }
    Ok(all)
}

/// The same with every optimiser, with entries that come back and that don't, and by the norms of a step and by their means.
fn all_updates(device: &Device) -> Result<Vec<(&'static str, Vec<f32>)>> {
    let mut all = updates(device, OptimizerKind::Adamw, false)?;
    all.extend(updates(device, OptimizerKind::Sgd, true)?);
    Ok(all)
}

/// Every kernel on `device` against the CPU.
///
/// # Errors
/// When one cannot be run.
pub fn measure(device: &Device) -> Result<Vec<Distance>> {
    let mut all = Vec::new();
    let wanted = [pieces(&Device::Cpu, DType::F32)?, all_updates(&Device::Cpu)?];
    for dtype in [DType::F32, DType::BF16] {
        let got = pieces(device, dtype)?;
        let of = got.iter().zip(&wanted[0]);
        all.extend(of.map(|((kernel, got), (_, want))| Distance { kernel, dtype, off: off(got, want) }));
    }
    let got = all_updates(device)?;
    let of = got.iter().zip(&wanted[1]);
    all.extend(of.map(|((kernel, got), (_, want))| Distance { kernel, dtype: DType::F32, off: off(got, want) }));
    Ok(all)
}

/// The same in a sentence.
pub fn told(all: &[Distance]) -> String {
    if let Some(far) = all.iter().find(|distance| !distance.is_rounding()) {
        return format!("{} in {:?} is off by {:e}", far.kernel, far.dtype, far.off);
    }
    let most = |dtype| all.iter().filter(|d| d.dtype == dtype).fold(0f32, |most, d| most.max(d.off));
    format!("within {:.0e} of the CPU in f32, {:.0e} in bf16", most(DType::F32), most(DType::BF16))
}

/// Sees to it that kernels are used on `device` only if they agree with the CPU there; otherwise says why they are not.
///
/// # Errors
/// When the card does not work any more after a kernel that failed.
pub fn reached(device: &Device) -> Result<Option<String>> {
    if !device.is_cuda() {
        return Ok(None);
    }
    let why = match measure(device) {
        Ok(all) if all.iter().all(Distance::is_rounding) => return Ok(None),
        Ok(all) => told(&all),
        Err(error) => {
            // Some failures leave a card as it was, and some nothing that works.
            let alive = Tensor::zeros(1, DType::F32, device).and_then(|x| x.to_vec1::<f32>());
            if alive.is_err() {
                let why = crate::text::printable(&error.to_string()).into_owned();
                return Err(Error::user(format!(
                    "the card stopped at a kernel of lopper's: {why}; device = \"cpu\" works"
                )));
            }
            error.to_string()
        }
    };
    kernels::do_without_card();
    let why = crate::text::printable(&why);
    Ok(Some(format!("the kernels for cards are not used, candle's operations are: on this card {why}")))
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
        assert_eq!(reached(&Device::Cpu).unwrap(), None);
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
