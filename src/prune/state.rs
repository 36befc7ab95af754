//! What a pruner remembers between steps, into a checkpoint and back.

use super::{Key, Pruner};
use crate::lora::MergedSet;
use crate::module::Factor;
use crate::recipe::{Importance, Norms};
use crate::{Error, Result};
use candle_core::{Device, Tensor, WithDType};
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
        let mut state = Vec::new();
        for (key, mask) in &self.masks {
            state.push((format!("mask.{}", name(*key)), Tensor::from_slice(mask, mask.len(), &Device::Cpu)?));
        }
        for (key, values) in &self.sensitivity {
            state
                .push((format!("sensitivity.{}", name(*key)), Tensor::from_slice(values, values.len(), &Device::Cpu)?));
        }
        for (id, (x, z)) in &self.running {
            state.push((format!("running.{id}.x"), Tensor::from_slice(x, x.len(), &Device::Cpu)?));
            state.push((format!("running.{id}.z"), Tensor::from_slice(z, z.len(), &Device::Cpu)?));
        }
        Ok(state)
    }

    /// Takes back what [`Self::state`] gave after a pruning of `set`, with the same settings.
    ///
    /// # Errors
    /// When something is missing, of another size or type, or of a matrix that `set` does not have:
    /// the state of another run. The pruner is then as it was.
    pub fn restore(&mut self, set: &MergedSet, state: &HashMap<String, Tensor>) -> Result<()> {
        let mut saved = Saved { state, taken: HashSet::new() };
        let (mut masks, mut sensitivity, mut running) = (HashMap::new(), HashMap::new(), self.running.clone());
        for (id, module) in &set.modules {
            for segment in &module.segments {
                for factor in [Factor::A, Factor::B] {
                    let key = (*id, segment.adapter, factor);
                    let n = segment.rank * module.tensor(factor).dim(1)?;
                    let mask: Vec<u8> = saved.need(format!("mask.{}", name(key)), n)?;
                    if let Some(bad) = mask.iter().find(|&&m| m > 1) {
                        return Err(Error::user(format!(
                            "the checkpoint's pruner.mask.{} is damaged: {bad} is neither 0 nor 1",
                            name(key)
                        )));
                    }
                    masks.insert(key, mask);
                    if self.settings.importance == Importance::Sensitivity {
                        sensitivity.insert(key, saved.need(format!("sensitivity.{}", name(key)), n)?);
                    }
                }
            }
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
        (self.masks, self.sensitivity, self.running) = (masks, sensitivity, running);
        Ok(())
    }
}

fn name((id, adapter, factor): Key) -> String {
    format!("{id}.{adapter}.{factor}")
}
