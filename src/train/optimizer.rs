//! AdamW and plain gradient descent over a merged set.

mod forget;

use crate::lora::{Gradients, MergedSet};
use crate::model::kernels::{PIECE, in_memory, slice, slice_mut, with_slices};
use crate::module::{Factor, ModuleId};
use crate::recipe::{OptimizerKind, Train};
use crate::{Error, Result};
use candle_core::{CpuStorage, Device, InplaceOp2, Layout, Tensor};
use rayon::prelude::*;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;
#[cfg(feature = "cuda")]
use {
    crate::card::{self, Trained},
    crate::model::kernels,
};

/// First and second moment of one tensor.
#[derive(Debug, Clone)]
enum Moments {
    /// On CPU: plain numbers, so that an update is one pass.
    Host(Vec<f32>, Vec<f32>),
    /// On a card.
    Device(Tensor, Tensor),
}

/// The optimiser and its state.
#[derive(Debug)]
pub struct Optimizer {
    settings: Train,
    step: u64,
    moments: BTreeMap<(ModuleId, Factor), Moments>,
}

/// The numbers of one update of AdamW.
#[derive(Debug, Clone, Copy)]
struct AdamW {
    /// On the gradient.
    gradient_scale: f64,
    /// On the weight.
    decay: f64,
    /// 1 − β₁: how far the first moment goes towards the gradient.
    towards: f64,
    beta2: f64,
    /// 1 − β₂: in f32 the difference itself would be off by 1e-5.
    rest2: f64,
    eps: f64,
    /// lr / (1 − β₁ᵗ)
    rate: f64,
    /// √(1 − β₂ᵗ)
    correction: f64,
}

impl AdamW {
    /// All of them in their order, each rounded once.
    fn rounded(self) -> [f32; 8] {
        let Self { gradient_scale, decay, towards, beta2, rest2, eps, rate, correction } = self;
        [gradient_scale, decay, towards, beta2, rest2, eps, rate, correction].map(|number| number as f32)
    }
}

/// One fused AdamW pass: exactly `torch.optim.AdamW`'s arithmetic, in f32.
struct Adam<'a> {
    moments: Mutex<(&'a mut [f32], &'a mut [f32])>,
    of: AdamW,
}

impl InplaceOp2 for Adam<'_> {
    fn name(&self) -> &'static str {
        "adamw"
    }

    fn cpu_fwd(&self, s1: &mut CpuStorage, l1: &Layout, s2: &CpuStorage, l2: &Layout) -> candle_core::Result<()> {
        let (weights, gradient) = (slice_mut(s1, l1)?, slice(s2, l2)?);
        let Ok(mut moments) = self.moments.lock() else { candle_core::bail!("the optimiser's state is lost") };
        let (m, v) = &mut *moments;
        let [gradient_scale, decay, towards, beta2, rest2, eps, rate, correction] = self.of.rounded();
        weights
            .par_chunks_mut(PIECE)
            .zip(gradient.par_chunks(PIECE))
            .zip(m.par_chunks_mut(PIECE).zip(v.par_chunks_mut(PIECE)))
            .for_each(|((weights, gradient), (m, v))| {
                for (((w, g), m), v) in weights.iter_mut().zip(gradient).zip(m.iter_mut()).zip(v.iter_mut()) {
                    let g = g * gradient_scale;
                    *w *= decay;
                    *m += (g - *m) * towards;
                    *v = *v * beta2 + rest2 * g * g;
                    *w -= rate * *m / (v.sqrt() / correction + eps);
                }
            });
        Ok(())
    }
}

struct Descend {
    rate: f32,
    decay: f32,
}

impl InplaceOp2 for Descend {
    fn name(&self) -> &'static str {
        "sgd"
    }

    fn cpu_fwd(&self, s1: &mut CpuStorage, l1: &Layout, s2: &CpuStorage, l2: &Layout) -> candle_core::Result<()> {
        let (weights, gradient) = (slice_mut(s1, l1)?, slice(s2, l2)?);
        weights.par_chunks_mut(PIECE).zip(gradient.par_chunks(PIECE)).for_each(|(weights, gradient)| {
            for (w, g) in weights.iter_mut().zip(gradient) {
                *w = *w * self.decay - self.rate * g;
            }
        });
        Ok(())
    }
}

/// Norm of all gradients together, as `torch.nn.utils.clip_grad_norm_` computes it.
///
/// # Errors
/// When the device fails.
pub fn global_norm(gradients: &Gradients) -> Result<f64> {
    #[cfg(feature = "cuda")]
    {
        let all: Vec<&Tensor> = gradients.modules.values().flat_map(|(a, b)| [a, b]).collect();
        if !all.is_empty() && all.iter().all(|g| kernels::trained_on_card(g)) {
            return Ok(card::square_sum(&all)?.sqrt());
        }
    }
    let mut sum = 0.0;
    let mut on_card = Vec::new();
    for tensor in gradients.modules.values().flat_map(|(a, b)| [a, b]) {
        match square_sum(tensor)? {
            Some(square) => sum += square,
            None => on_card.push(tensor.sqr()?.sum_all()?),
        }
    }
    if !on_card.is_empty() {
        // One wait for the card, not one for each matrix.
        sum += Tensor::stack(&on_card, 0)?.to_vec1::<f32>()?.into_iter().map(f64::from).sum::<f64>();
    }
    Ok(sum.sqrt())
}

/// The sum of squares of a tensor that lies in this machine's memory.
fn square_sum(tensor: &Tensor) -> Result<Option<f64>> {
    if tensor.is_contiguous() && in_memory(tensor) {
        // Sums of pieces in their order: the same on any number of threads.
        let pieces = |x: &[f32]| -> Vec<f64> {
            x.par_chunks(PIECE).map(|piece| piece.iter().map(|&g| f64::from(g) * f64::from(g)).sum::<f64>()).collect()
        };
        return Ok(Some(with_slices([tensor], |[x]| Ok(pieces(x).iter().sum()))?));
    }
    Ok(None)
}

/// The factor that brings a gradient of `norm` down to `max` (0 for never).
pub fn clip_factor(norm: f64, max: f64) -> f64 {
    if max > 0.0 { (max / (norm + 1e-6)).min(1.0) } else { 1.0 }
}

impl Optimizer {
    /// An optimiser without moments yet.
    pub fn new(settings: &Train) -> Self {
        Self { settings: settings.clone(), step: 0, moments: BTreeMap::new() }
    }

    /// One update of every matrix with learning rate `lr`, gradients scaled by `scale` first.
    ///
    /// # Errors
    /// When a gradient does not fit its matrix.
    pub fn step(&mut self, set: &MergedSet, gradients: &Gradients, lr: f64, scale: f64) -> Result<()> {
        self.step += 1;
        #[cfg(feature = "cuda")]
        if self.step_on_card(set, gradients, lr, scale)? {
            return Ok(());
        }
        for (id, (a, b)) in &gradients.modules {
            let module = set.get(*id).ok_or_else(|| without_adapter(*id))?;
            self.update(*id, Factor::A, &module.a, a, lr, scale)?;
            self.update(*id, Factor::B, &module.b, b, lr, scale)?;
        }
        Ok(())
    }

    /// The update of all matrices at once, where they lie on a card; false where they don't.
    #[cfg(feature = "cuda")]
    fn step_on_card(&mut self, set: &MergedSet, gradients: &Gradients, lr: f64, scale: f64) -> Result<bool> {
        let mut pairs = Vec::with_capacity(2 * gradients.modules.len());
        for (id, (a, b)) in &gradients.modules {
            let module = set.get(*id).ok_or_else(|| without_adapter(*id))?;
            pairs.push(((*id, Factor::A), &module.a, a));
            pairs.push(((*id, Factor::B), &module.b, b));
        }
        if !pairs
            .iter()
            .all(|(_, weights, gradient)| kernels::trained_on_card(weights) && kernels::trained_on_card(gradient))
        {
            return Ok(false);
        }
        let adam = self.settings.optimizer != OptimizerKind::Sgd;
        for ((id, factor), weights, gradient) in &pairs {
            fits(*id, *factor, weights, gradient)?;
            if adam && let Entry::Vacant(entry) = self.moments.entry((*id, *factor)) {
                entry.insert(fresh(weights)?);
            }
        }
        let trained: Vec<Trained<'_>> = pairs
            .iter()
            .map(|(key, weights, gradient)| {
                let moments = match self.moments.get(key) {
                    Some(Moments::Device(m, v)) => Some((m, v)),
                    _ => None,
                };
                Trained { weights, gradient, moments }
            })
            .collect();
        if adam {
            card::adamw(&trained, self.adam(lr, scale).rounded())?;
        } else {
            card::descend(&trained, (lr * scale) as f32, self.decay(lr) as f32)?;
        }
        Ok(true)
    }

    /// What is left of every weight before its update.
    fn decay(&self, lr: f64) -> f64 {
        1.0 - lr * self.settings.weight_decay
    }

    /// The numbers of this step's update.
    fn adam(&self, lr: f64, scale: f64) -> AdamW {
        let [beta1, beta2] = self.settings.betas;
        AdamW {
            gradient_scale: scale,
            decay: self.decay(lr),
            towards: 1.0 - beta1,
            beta2,
            rest2: 1.0 - beta2,
            eps: self.settings.eps,
            rate: lr / (1.0 - beta1.powf(self.step as f64)),
            correction: (1.0 - beta2.powf(self.step as f64)).sqrt(),
        }
    }

    fn update(
        &mut self,
        id: ModuleId,
        factor: Factor,
        weights: &Tensor,
        gradient: &Tensor,
        lr: f64,
        scale: f64,
    ) -> Result<()> {
        fits(id, factor, weights, gradient)?;
        let gradient = gradient.contiguous()?;
        if self.settings.optimizer == OptimizerKind::Sgd {
            let (rate, decay) = (lr * scale, self.decay(lr));
            if in_memory(weights) {
                weights.inplace_op2(&gradient, &Descend { rate: rate as f32, decay: decay as f32 })?;
            } else {
                weights.slice_set(&((weights * decay)? - (gradient * rate)?)?, 0, 0)?;
            }
            return Ok(());
        }
        let of = self.adam(lr, scale);
        let moments = match self.moments.entry((id, factor)) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(fresh(weights)?),
        };
        match moments {
            Moments::Host(m, v) => weights.inplace_op2(&gradient, &Adam { moments: Mutex::new((m, v)), of })?,
            Moments::Device(m, v) => {
                let g = (gradient * scale)?;
                *m = ((&*m * self.settings.betas[0])? + (&g * of.towards)?)?;
                *v = ((&*v * of.beta2)? + (g.sqr()? * of.rest2)?)?;
                let denominator = ((v.sqrt()? / of.correction)? + of.eps)?;
                let next = ((weights * of.decay)? - ((&*m / denominator)? * of.rate)?)?;
                weights.slice_set(&next, 0, 0)?;
            }
        }
        Ok(())
    }

    /// Updates made so far.
    pub fn steps(&self) -> u64 {
        self.step
    }

    /// The moments by name, on CPU.
    ///
    /// # Errors
    /// When memory is short.
    pub fn state(&self) -> Result<Vec<(String, Tensor)>> {
        let mut state = Vec::with_capacity(2 * self.moments.len());
        for ((id, factor), moments) in &self.moments {
            let (m, v) = match moments {
                Moments::Host(m, v) => {
                    (Tensor::from_slice(m, m.len(), &Device::Cpu)?, Tensor::from_slice(v, v.len(), &Device::Cpu)?)
                }
                Moments::Device(m, v) => {
                    (m.flatten_all()?.to_device(&Device::Cpu)?, v.flatten_all()?.to_device(&Device::Cpu)?)
                }
            };
            state.push((format!("m.{id}.{factor}"), m));
            state.push((format!("v.{id}.{factor}"), v));
        }
        Ok(state)
    }

    /// Takes back what [`Self::state`] gave after `steps` updates of `set`.
    ///
    /// # Errors
    /// When a moment is missing or has another size than its matrix.
    pub fn restore(&mut self, set: &MergedSet, state: &HashMap<String, Tensor>, steps: u64) -> Result<()> {
        self.step = steps;
        for (id, module) in &set.modules {
            for factor in [Factor::A, Factor::B] {
                if self.settings.optimizer == OptimizerKind::Sgd {
                    continue;
                }
                let (Some(m), Some(v)) =
                    (state.get(&format!("m.{id}.{factor}")), state.get(&format!("v.{id}.{factor}")))
                else {
                    return Err(Error::user(format!(
                        "the checkpoint has no moments of {id} {factor}: it belongs to another run"
                    )));
                };
                let weights = module.tensor(factor);
                if m.elem_count() != weights.elem_count() || v.elem_count() != weights.elem_count() {
                    return Err(Error::user(format!(
                        "the checkpoint's moments of {id} {factor} have another size than the adapter"
                    )));
                }
                let moments = if in_memory(weights) {
                    Moments::Host(m.to_vec1()?, v.to_vec1()?)
                } else {
                    let put = |x: &Tensor| x.reshape(weights.shape())?.to_device(weights.device());
                    Moments::Device(put(m)?, put(v)?)
                };
                self.moments.insert((*id, factor), moments);
            }
        }
        Ok(())
    }
}

fn fresh(weights: &Tensor) -> Result<Moments> {
    if in_memory(weights) {
        let n = weights.elem_count();
        return Ok(Moments::Host(vec![0.0; n], vec![0.0; n]));
    }
    Ok(Moments::Device(weights.zeros_like()?, weights.zeros_like()?))
}

fn without_adapter(id: ModuleId) -> Error {
    Error::fault(format!("a gradient for {id}, which has no adapter"))
}

/// Refuses a gradient of another shape than its matrix.
fn fits(id: ModuleId, factor: Factor, weights: &Tensor, gradient: &Tensor) -> Result<()> {
    if gradient.dims() == weights.dims() {
        return Ok(());
    }
    Err(Error::fault(format!(
        "the gradient of {id} {factor} is {:?}, the matrix {:?}",
        gradient.dims(),
        weights.dims()
    )))
}
