//! Weights of the adapters that are searched for without gradients, as in `LoraHub` (Huang et al. 2023, arXiv 2307.13269):
//! the loss of a few training examples plus 0.05 of the mean of the weights' sizes, each weight within ±1.5. `LoraHub`
//! weighs A and B and multiplies the sums, which needs one rank for all; here a weight is on what an adapter adds, as
//! everywhere in this program.

use super::evaluate;
use super::stage::Context;
use crate::lora::{Adapter, MergedSet};
use crate::run::event::{EventBody, Phase, PhaseKind};
use crate::text::counted;
use crate::{Error, Result};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Training examples whose loss is looked at, the first ones.
const EXAMPLES: usize = 16;
/// Weights lie within this of 0.
const MOST: f64 = 1.5;
/// Of the mean size of the weights, on the loss.
const PENALTY: f64 = 0.05;

/// The merge with the best weights that were found in the recipe's number of steps; `None` when stopped.
///
/// # Errors
/// When memory is short, the run's files fail, or the loss is a number with none of the weights.
pub fn searched(context: &mut Context<'_>) -> Result<Option<MergedSet>> {
    let adapters: Vec<(Adapter, f64)> = context.task.adapters.iter().map(|(a, _)| (a.clone(), 1.0)).collect();
    let set = MergedSet::merged(&adapters)?;
    let steps = context.recipe.eval.hub_steps;
    // From the weights of the recipe on: a (1+1) evolution strategy whose steps grow by what helps and shrink by what
    // does not (the rule of a fifth).
    let mut rng = ChaCha8Rng::seed_from_u64(context.recipe.seed ^ 0x10ea_0b0b);
    let mut best = context.task.adapters.iter().map(|(_, w)| w.clamp(-MOST, MOST)).collect::<Vec<f64>>();
    let mut best_loss = f64::INFINITY;
    let mut width = 0.5;
    for step in 0..steps {
        let tried: Vec<f64> = if step == 0 {
            best.clone()
        } else {
            best.iter().map(|w| (w + width * normal(&mut rng)).clamp(-MOST, MOST)).collect()
        };
        let weighted = with_weights(&set, &tried);
        let (task, micro) = (context.task, context.recipe.train.micro_tokens);
        let loss =
            evaluate::loss_of_first(task, Some(&weighted), &task.train, EXAMPLES, micro, &mut |_, _| context.tick())?;
        let Some(loss) = loss else { return Ok(None) };
        let loss = loss + PENALTY * tried.iter().map(|w| w.abs()).sum::<f64>() / tried.len().max(1) as f64;
        if loss < best_loss {
            (best, best_loss) = (tried, loss);
            width *= 1.5;
        } else {
            width *= 1.5f64.powf(-0.25);
        }
        let label = format!("weights, loss {best_loss:.4} so far");
        let (done, total) = (step as u64 + 1, steps as u64);
        context.session.record(EventBody::Phase(Phase { phase: PhaseKind::Eval, label, done, total }))?;
    }
    check(best_loss, steps)?;
    let shown: Vec<String> =
        context.recipe.adapters.iter().zip(&best).map(|(a, w)| format!("{} {w:.2}", a.name)).collect();
    let text = crate::text::printable(&format!("LoraHub's weights: {}", shown.join(", "))).into_owned();
    context.session.record(EventBody::Warning { text })?;
    Ok(Some(with_weights(&set, &best)))
}

/// Refuses weights that no loss speaks for: those of the recipe would pass as found.
fn check(best_loss: f64, steps: usize) -> Result<()> {
    if best_loss.is_finite() {
        return Ok(());
    }
    Err(Error::user(format!(
        "LoraHub found no weights: the loss is no number with any of the {} that it tried; check the base and the \
         adapters",
        counted(steps, "set")
    )))
}

/// One number of the standard normal distribution (Box and Muller).
fn normal(rng: &mut impl Rng) -> f64 {
    let (u, v): (f64, f64) = (rng.random_range(f64::MIN_POSITIVE..1.0), rng.random());
    (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}

/// A set without weights, weighted.
fn with_weights(set: &MergedSet, weights: &[f64]) -> MergedSet {
    let mut set = set.clone();
    for segment in set.modules.values_mut().flat_map(|m| &mut m.segments) {
        segment.scale *= weights[segment.adapter];
    }
    set
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_search_in_which_no_loss_is_a_number_has_found_nothing() {
        let why = check(f64::INFINITY, 40).unwrap_err();
        assert_eq!(why.exit_code(), 2);
        assert!(why.to_string().contains("no number with any of the 40 sets that it tried"), "{why}");
        assert_eq!(check(2.5, 40), Ok(()));
    }
}
