//! Weighted merges without training: several adapters become one, as PEFT's `LoraModel.add_weighted_adapter` does it.
//!
//! | method | of | how |
//! |---|---|---|
//! | `cat` | A and B | ranks side by side: exactly Σ `w_i` `s_i` `B_i` `A_i`, of rank Σ `r_i` |
//! | `linear` | A and B | `A = Σ ±√(w_i s_i) A_i`, `B = Σ √(w_i s_i) B_i`: a rough approximation of the sum of products |
//! | `magnitude_prune` | A and B | the same, of each matrix only the largest entries |
//! | `ties` | A and B | the same, and of those only what has the sign of the majority, averaged (Yadav et al., "TIES-merging", 2023) |
//! | `dare_linear`, `dare_ties` | A and B | as `linear` and `ties`, with entries dropped by chance and the rest scaled up (Yu et al., "Language models are super Mario", 2024) |
//! | `svd`, `magnitude_prune_svd`, `ties_svd`, `dare_linear_svd`, `dare_ties_svd` | `s_i` `B_i` `A_i` | the same on the products; the result is the best approximation of the given rank |
//!
//! Where an adapter lacks a module, the others are merged there; the result has the modules of all. One adapter alone
//! is always merged by `linear`, as PEFT does.
//!
//! Two things are not PEFT's. The result's own scaling is 1: PEFT takes over `use_rslora` from the first adapter and
//! then multiplies everything by √r. And `cat` adds no rows of zeros where an adapter lacks a module.
//!
//! Cost: `svd` works on the factors, whatever the size of the model. The other `…_svd` hold the products of one module
//! at a time, (adapters + 1) · `d_out` · `d_in` · 4 bytes: 940 MB for three adapters at 14336 x 4096.

mod factor;
mod masks;
mod method;
mod rule;

pub use masks::{Drawn, Masks, Place};
pub use method::{Method, Rule, Settings, Sign};

use super::adapter::{Adapter, Pair};
use crate::model::config::Config;
use crate::module::{Factor, ModuleId};
use crate::{Error, Result};
use candle_core::{Device, Tensor};
use factor::{Shape, Thin};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// One adapter's matrices at one module, as numbers.
struct Part {
    /// Its place among the adapters.
    adapter: usize,
    /// r × `d_in`.
    a: Vec<f32>,
    /// `d_out` × r.
    b: Vec<f32>,
    rank: usize,
    /// `w_i` `s_i`.
    scale: f64,
    scaling: f64,
    weight: f64,
}

/// Merges `adapters`, each with its weight (any finite number), into one. `masks` says which entries DARE keeps; the
/// other methods don't ask it.
///
/// # Errors
/// When there is no adapter, a setting is out of range, ranks differ where the method needs the same, the adapters
/// belong to bases of different sizes, or a decomposition fails.
pub fn combine(adapters: &[(&Adapter, f64)], method: &Method, masks: &mut dyn Masks) -> Result<Adapter> {
    method.check()?;
    let Some((first, _)) = adapters.first() else {
        return Err(Error::user("there is no adapter to merge: at least one is needed"));
    };
    if let Some(at) = adapters.iter().position(|(_, weight)| !weight.is_finite()) {
        return Err(Error::user(format!("the weight of adapter {} is {}, which is no number", at + 1, adapters[at].1)));
    }
    let alone = Method::Factors(Rule::Sum);
    let method = if adapters.len() == 1 { &alone } else { method };
    let ranks: Vec<usize> = adapters.iter().map(|(adapter, _)| rank(adapter)).collect();
    if matches!(method, Method::Factors(_)) && ranks.iter().any(|r| *r != ranks[0]) {
        let list: Vec<String> = ranks.iter().map(ToString::to_string).collect();
        return Err(Error::user(format!(
            "{} adds up A with A and B with B, for which all adapters must have the same rank; they have {}: use cat, or a method that ends in svd",
            method.name(),
            list.join(", ")
        )));
    }
    let most = ranks.iter().copied().max().unwrap_or(0);
    let ids: BTreeSet<ModuleId> = adapters.iter().flat_map(|(adapter, _)| adapter.modules.keys().copied()).collect();
    let mut modules = BTreeMap::new();
    for id in ids {
        let (parts, shape) = parts(adapters, id)?;
        let thin = match method {
            Method::Cat => cat(&parts, shape),
            Method::Factors(rule) => factors(&parts, *rule, id, masks)?,
            Method::Svd { rule, rank, clamp } => {
                let rank = rank.unwrap_or(most);
                let mut thin = svd(&parts, shape, *rule, rank, id, masks).map_err(|e| e.at(id))?;
                if let Some(quantile) = clamp {
                    thin.clamp(*quantile);
                }
                thin
            }
        };
        modules.insert(id, pair(thin, shape, device(first))?);
    }
    Ok(Adapter { modules, dropout: first.dropout, rslora: false, base: first.base.clone() })
}

/// Reads PEFT folders, each with its weight, for the base in the folder `base`, and merges them on the CPU.
///
/// # Errors
/// As [`combine`]; or when the base's configuration cannot be read or an adapter does not fit it.
pub fn folders(base: &Path, adapters: &[(PathBuf, f64)], method: &Method, masks: &mut dyn Masks) -> Result<Adapter> {
    let config = Config::read(base)?;
    let read = |(folder, _): &(PathBuf, f64)| Adapter::read(folder, &config, &Device::Cpu);
    let read: Vec<Adapter> = adapters.iter().map(read).collect::<Result<_>>()?;
    let weighted: Vec<(&Adapter, f64)> = read.iter().zip(adapters).map(|(adapter, (_, w))| (adapter, *w)).collect();
    combine(&weighted, method, masks)
}

/// The largest rank of an adapter, by which PEFT compares them.
fn rank(adapter: &Adapter) -> usize {
    adapter.modules.values().map(Pair::rank).max().unwrap_or(0)
}

fn device(adapter: &Adapter) -> &Device {
    adapter.modules.values().next().map_or(&Device::Cpu, |pair| pair.a.device())
}

/// The adapters that have a module, at least one, and its size.
fn parts(adapters: &[(&Adapter, f64)], id: ModuleId) -> Result<(Vec<Part>, Shape)> {
    let mut parts = Vec::new();
    let mut shape: Option<Shape> = None;
    for (index, (adapter, weight)) in adapters.iter().enumerate() {
        let Some(pair) = adapter.modules.get(&id) else { continue };
        let (rank, d_in) = pair.a.dims2()?;
        let (d_out, columns) = pair.b.dims2()?;
        let own = Shape { d_out, d_in };
        let whole = *shape.get_or_insert(own);
        if own != whole || columns != rank {
            return Err(Error::user(format!(
                "{id}: adapter {} is {d_out} x {d_in} there, another one {} x {}; they belong to different bases",
                index + 1,
                whole.d_out,
                whole.d_in
            )));
        }
        let numbers = |tensor: &Tensor| -> Result<Vec<f32>> { Ok(tensor.detach().flatten_all()?.to_vec1()?) };
        let (a, b, scaling) = (numbers(&pair.a)?, numbers(&pair.b)?, pair.scaling);
        parts.push(Part { adapter: index, a, b, rank, scale: weight * scaling, scaling, weight: *weight });
    }
    shape.map(|shape| (parts, shape)).ok_or_else(|| Error::fault(format!("no adapter has {id}")))
}

fn pair(thin: Thin, shape: Shape, device: &Device) -> Result<Pair> {
    let Thin { a, b, rank } = thin;
    let a = Tensor::from_vec(a, (rank, shape.d_in), device)?;
    let b = Tensor::from_vec(b, (shape.d_out, rank), device)?;
    Ok(Pair { a, b, alpha: rank as f64, scaling: 1.0 })
}

/// Ranks side by side; each adapter's scale goes into its rows of A.
fn cat(parts: &[Part], shape: Shape) -> Thin {
    let rank = parts.iter().map(|p| p.rank).sum();
    let a = parts.iter().flat_map(|p| p.a.iter().map(|x| (f64::from(*x) * p.scale) as f32)).collect();
    let mut b = Vec::with_capacity(shape.d_out * rank);
    for row in 0..shape.d_out {
        parts.iter().for_each(|p| b.extend_from_slice(&p.b[row * p.rank..(row + 1) * p.rank]));
    }
    Thin { a, b, rank }
}

/// The rule on all A and on all B, each with the root of its adapter's scale; a negative scale goes with A.
fn factors(parts: &[Part], rule: Rule, id: ModuleId, masks: &mut dyn Masks) -> Result<Thin> {
    let rank = parts[0].rank;
    if parts.iter().any(|p| p.rank != rank) {
        return Err(Error::user(format!(
            "{id}: the adapters have different ranks there; use cat, or a method that ends in svd"
        )));
    }
    let mut merged = |factor: Factor| -> Result<Vec<f32>> {
        let tensors = parts.iter().map(|p| if factor == Factor::A { p.a.clone() } else { p.b.clone() }).collect();
        let sign = |scale: f64| if factor == Factor::A && scale < 0.0 { -1.0 } else { 1.0 };
        let weights: Vec<f32> = parts.iter().map(|p| (p.scale.abs().sqrt() * sign(p.scale)) as f32).collect();
        rule.merge(tensors, &weights, &mut |i, count, density| {
            masks.keep(Place { module: id, adapter: parts[i].adapter, factor: Some(factor) }, count, density)
        })
    };
    Ok(Thin { a: merged(Factor::A)?, b: merged(Factor::B)?, rank })
}

/// The rule on the products, and the best approximation of it of rank `rank`.
fn svd(parts: &[Part], shape: Shape, rule: Rule, rank: usize, id: ModuleId, masks: &mut dyn Masks) -> Result<Thin> {
    if rule == Rule::Sum {
        return factor::of_factors(&cat(parts, shape), shape, rank);
    }
    let products = parts.iter().map(|p| factor::product(&p.b, &p.a, p.rank, shape, p.scaling as f32)).collect();
    let weights: Vec<f32> = parts.iter().map(|p| p.weight as f32).collect();
    let merged = rule.merge(products, &weights, &mut |i, count, density| {
        masks.keep(Place { module: id, adapter: parts[i].adapter, factor: None }, count, density)
    })?;
    factor::of_matrix(&merged, shape, rank)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
#[path = "combine/tests.rs"]
mod tests;
