//! What a pruner remembers between steps, into a checkpoint and back.

use super::importance;
use super::shadow::Stand;
use super::{Key, PerInput, Pruner};
use crate::lora::MergedSet;
use crate::module::Factor;
use crate::recipe::{Importance, Norms};
use crate::{Error, Result};
use candle_core::{Device, Tensor, WithDType};
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

/// Named tensors of a checkpoint that are taken one after another.
struct Saved<'a> {
    state: &'a HashMap<String, Tensor>,
    taken: HashSet<String>,
}

impl Saved<'_> {
    /// The `n` numbers of that name.
    fn take<T: WithDType>(&mut self, name: String, n: usize) -> Result<Option<Vec<T>>> {
        let Some(tensor) = self.state.get(&name) else { return Ok(None) };
        if tensor.dims() != [n] || tensor.dtype() != T::DTYPE {
            return Err(Error::user(format!(
                "the checkpoint's pruner.{name} is {:?} {:?}, these adapters need {:?} [{n}]: it belongs to another run",
                tensor.dtype(),
                tensor.dims(),
                T::DTYPE
            )));
        }
        self.taken.insert(name);
        Ok(Some(tensor.to_vec1()?))
    }

    /// The same, where the rest of the run would differ without it.
    fn need<T: WithDType>(&mut self, name: String, n: usize) -> Result<Vec<T>> {
        let missing = Error::user(format!("the checkpoint has no pruner.{name}: it belongs to another run"));
        self.take(name, n)?.ok_or(missing)
    }
}

impl Pruner {
    /// Everything that has to survive a restart, by name.
    ///
    /// # Errors
    /// When memory is short.
    pub fn state(&self) -> Result<Vec<(String, Tensor)>> {
        let mut state = self.stand()?.state("")?;
        if let Some(best) = &self.best {
            state.extend(best.state("best.")?);
        }
        for (id, (x, z)) in &*self.means()? {
            state.push((format!("running.{id}.x"), numbers(x)?));
            state.push((format!("running.{id}.z"), numbers(z)?));
        }
        Ok(state)
    }

    /// The exponential means of squares, in this machine's memory.
    #[cfg_attr(not(feature = "cuda"), allow(clippy::unnecessary_wraps))]
    fn means(&self) -> Result<Cow<'_, PerInput>> {
        #[cfg(feature = "cuda")]
        if let Some(card) = &self.card
            && let Some(running) = card.running()?
        {
            return Ok(Cow::Owned(running));
        }
        Ok(Cow::Borrowed(&self.running))
    }

    /// Takes back what [`Self::state`] gave after a pruning of `set`, with the same settings.
    ///
    /// # Errors
    /// When something is missing, of another size or type, or of a matrix that `set` does not have:
    /// the state of another run. The pruner is then as it was.
    pub fn restore(&mut self, set: &MergedSet, state: &HashMap<String, Tensor>) -> Result<()> {
        let mut saved = Saved { state, taken: HashSet::new() };
        let sensitive = self.settings.importance == Importance::Sensitivity;
        let now = saved.stand("", set, sensitive)?;
        let has_best = state.keys().any(|name| name.starts_with("best."));
        let best = if has_best { Some(Box::new(saved.stand("best.", set, sensitive)?)) } else { None };
        let mut running = self.running.clone();
        for (id, module) in &set.modules {
            if self.settings.importance.wants_norms() && self.settings.norms == Norms::Running {
                let x = saved.need(format!("running.{id}.x"), module.a.dim(1)?)?;
                running.insert(*id, (x, saved.need(format!("running.{id}.z"), module.rank())?));
            }
        }
        if let Some(foreign) = state.keys().filter(|name| !saved.taken.contains(*name)).min() {
            return Err(Error::user(format!(
                "the checkpoint's pruner.{} is of no matrix of these adapters, or of other settings: it belongs to another run",
                crate::text::printable(foreign)
            )));
        }
        self.set_stand(now)?;
        (self.best, self.running) = (best, running);
        self.lie_with(set)
    }
}

impl Saved<'_> {
    /// What a pruning left. Checkpoints of before there was a shadow have masks and sensitivities only.
    fn stand(&mut self, prefix: &str, set: &MergedSet, sensitive: bool) -> Result<Stand> {
        let mut stand = Stand { share: 1.0, ..Stand::default() };
        for (id, module) in &set.modules {
            for segment in &module.segments {
                for factor in [Factor::A, Factor::B] {
                    let key = (*id, segment.adapter, factor);
                    let n = segment.rank * module.tensor(factor).dim(1)?;
                    let mask: Vec<u8> = self.need(format!("{prefix}mask.{}", name(key)), n)?;
                    if let Some(bad) = mask.iter().find(|&&m| m > 1) {
                        return Err(Error::user(format!(
                            "the checkpoint's pruner.{prefix}mask.{} is damaged: {bad} is neither 0 nor 1",
                            name(key)
                        )));
                    }
                    stand.masks.insert(key, mask);
                    if let Some(shadow) = self.take(format!("{prefix}shadow.{}", name(key)), n)? {
                        stand.shadow.insert(key, shadow);
                    }
                    if sensitive {
                        stand.sensitivity.insert(key, self.need(format!("{prefix}sensitivity.{}", name(key)), n)?);
                    }
                }
            }
            let x = self.take(format!("{prefix}norms.{id}.x"), module.a.dim(1)?)?;
            let z = self.take(format!("{prefix}norms.{id}.z"), module.rank())?;
            if let (Some(x), Some(z)) = (x, z) {
                stand.norms.insert(*id, importance::Norms { x, z });
            }
        }
        if let Some(last) = self.take::<f64>(format!("{prefix}last"), 3)? {
            (stand.share, stand.step, stand.rules) = (last[0], last[1] as usize, last[2] as usize);
        }
        Ok(stand)
    }
}

impl Stand {
    fn state(&self, prefix: &str) -> Result<Vec<(String, Tensor)>> {
        let mut state = Vec::new();
        for (key, mask) in &self.masks {
            state.push((format!("{prefix}mask.{}", name(*key)), Tensor::from_slice(mask, mask.len(), &Device::Cpu)?));
            // Where nothing is pruned nothing can come back.
            if let Some(shadow) = self.shadow.get(key).filter(|_| mask.contains(&1)) {
                state.push((format!("{prefix}shadow.{}", name(*key)), numbers(shadow)?));
            }
        }
        for (key, values) in &self.sensitivity {
            state.push((format!("{prefix}sensitivity.{}", name(*key)), numbers(values)?));
        }
        for (id, norms) in self.norms.iter().filter(|(_, norms)| !norms.x.is_empty()) {
            state.push((format!("{prefix}norms.{id}.x"), numbers(&norms.x)?));
            state.push((format!("{prefix}norms.{id}.z"), numbers(&norms.z)?));
        }
        if !self.masks.is_empty() {
            let last = [self.share, self.step as f64, self.rules as f64];
            state.push((format!("{prefix}last"), Tensor::from_slice(&last, 3, &Device::Cpu)?));
        }
        Ok(state)
    }
}

fn numbers(values: &[f32]) -> Result<Tensor> {
    Ok(Tensor::from_slice(values, values.len(), &Device::Cpu)?)
}

fn name((id, adapter, factor): Key) -> String {
    format!("{id}.{adapter}.{factor}")
}
