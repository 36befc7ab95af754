//! What the loss would do if each matrix were pruned a little further: from one backward pass over the training
//! examples and the dev documents that choose, for all matrices at once.
//!
//! A matrix's band are the entries that lie about its threshold: kept at a slightly lower ratio, pruned at a slightly
//! higher one. With the gradient at the ratio between the two, −Σ gradient × entry over the band is the rise of the
//! loss from one end of the band to the other up to third order in its width (the midpoint rule).

use super::reopened::Reopened;
use crate::data::{Sequence, batch::micro_batches};
use crate::lora::{Gradients, MergedSet, SquareSums};
use crate::module::Factor;
use crate::prune::Key;
use crate::recipe::ratios::Rule;
use crate::train::step;
use crate::{Error, Result};
use candle_core::Tensor;
use std::collections::BTreeMap;
use std::ops::Range;

/// Training examples that are looked at, at most; as many dev documents.
const EXAMPLES: usize = 96;
/// Parts that they are dealt into, to know how certain a slope is.
const PARTS: usize = 12;
/// No matrix moves further than so many standard deviations of the slopes.
const FAR: f64 = 2.0;

/// Rise of the loss for an entry that is pruned next, in a matrix.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Slope {
    /// Nats per token and entry.
    pub mean: f64,
    /// Its standard error.
    pub se: f64,
    /// Entries in the band.
    pub entries: usize,
}

/// The rules of a band: its lower end, its middle, its upper end.
#[derive(Debug)]
pub struct Band {
    /// The rules, behind the run's own.
    pub rules: [Vec<Rule>; 3],
}

/// The slopes of all matrices, over the training examples and the dev documents `choose`; `gives_up` is asked between
/// batches. The training examples alone would hold that nothing that was learnt is to be pruned.
///
/// # Errors
/// When memory is short, or `gives_up` says so.
pub fn slopes(
    open: &Reopened,
    band: &Band,
    choose: &Range<usize>,
    squares: Option<&SquareSums>,
    gives_up: &mut dyn FnMut() -> Result<bool>,
) -> Result<BTreeMap<Key, Slope>> {
    let [low, middle, high] = &band.rules;
    let scratch = |rules: &[Rule]| open.pruner.scratch(&open.set, rules, squares);
    let (low, middle, high) = (scratch(low)?, scratch(middle)?, scratch(high)?);
    let entries: BTreeMap<Key, usize> = low
        .states
        .iter()
        .zip(&high.states)
        .map(|((key, low), (_, high))| (*key, high.pruned.saturating_sub(low.pruned)))
        .collect();
    let [train, dev] = [&open.task.train, &open.task.dev].map(|split| &split.encoded.sequences);
    let dev = dev.get(choose.clone()).unwrap_or_default();
    let sequences: Vec<Sequence> = train.iter().take(EXAMPLES).chain(dev.iter().take(EXAMPLES)).cloned().collect();
    let settings = &open.recipe.train;
    // Of every part its targets, and of every matrix the sum over them.
    let mut parts: Vec<(f64, BTreeMap<Key, f64>)> = Vec::new();
    for part in 0..PARTS {
        // Dealt in turn: every part has as many of both.
        let part: Vec<usize> = (part..sequences.len()).step_by(PARTS).collect();
        let mut gradients = Gradients::default();
        let mut targets = 0;
        for batch in micro_batches(&sequences, &part, settings.micro_tokens) {
            if gives_up()? {
                return Err(Error::user("given up"));
            }
            targets += batch.targets.len();
            step::pass(&open.task, &middle.set, &batch, (None, 1.0), &mut gradients, None)?;
        }
        if targets > 0 {
            parts.push((targets as f64, rises(&gradients, &low.set, &high.set)?));
        }
    }
    Ok(entries.into_iter().map(|(key, entries)| (key, slope(key, entries, &parts))).collect())
}

/// Of every matrix Σ gradient × (high − low).
fn rises(gradients: &Gradients, low: &MergedSet, high: &MergedSet) -> Result<BTreeMap<Key, f64>> {
    let mut rises = BTreeMap::new();
    for (id, (of_a, of_b)) in &gradients.modules {
        let (Some(low), Some(high)) = (low.modules.get(id), high.modules.get(id)) else { continue };
        for (factor, gradient) in [(Factor::A, of_a), (Factor::B, of_b)] {
            let rise = ((high.tensor(factor) - low.tensor(factor))? * gradient)?;
            for segment in &high.segments {
                let rows: Tensor = rise.narrow(0, segment.start, segment.rank)?;
                rises.insert((*id, segment.adapter, factor), f64::from(rows.sum_all()?.to_scalar::<f32>()?));
            }
        }
    }
    Ok(rises)
}

/// The slope of one matrix over the parts: a ratio of sums, with its standard error.
fn slope(key: Key, entries: usize, parts: &[(f64, BTreeMap<Key, f64>)]) -> Slope {
    let of = |part: &BTreeMap<Key, f64>| part.get(&key).copied().unwrap_or(0.0) / entries.max(1) as f64;
    let targets: f64 = parts.iter().map(|(targets, _)| targets).sum();
    let mean = parts.iter().map(|(_, part)| of(part)).sum::<f64>() / targets.max(1.0);
    let n = parts.len() as f64;
    let squares: f64 = parts.iter().map(|(targets, part)| (of(part) - mean * targets).powi(2)).sum();
    let se = if n > 1.0 { (squares * n / (n - 1.0)).sqrt() / targets.max(1.0) } else { f64::INFINITY };
    Slope { mean, se, entries }
}

/// How far each matrix's ratio should move, in log-odds of about 1 and of 2 at most: up where the loss rises
/// less than elsewhere. What cannot be told from the mean of all moves little (empirical Bayes: as far as the spread
/// of the slopes exceeds what their standard errors explain). `None` where nothing can be told.
pub fn direction(slopes: &[Slope]) -> Option<Vec<f64>> {
    let known: Vec<&Slope> = slopes.iter().filter(|s| s.entries > 0 && s.se.is_finite()).collect();
    let weight: f64 = known.iter().map(|s| s.entries as f64).sum();
    if weight == 0.0 {
        return None;
    }
    let over = |of: &dyn Fn(&Slope) -> f64| known.iter().map(|s| s.entries as f64 * of(s)).sum::<f64>() / weight;
    let mean = over(&|s| s.mean);
    let noise = over(&|s| s.se.powi(2));
    let spread = over(&|s| (s.mean - mean).powi(2)) - noise;
    if !spread.is_finite() || spread <= 0.0 {
        return None;
    }
    let deviation = spread.sqrt();
    let towards = |s: &Slope| {
        let trust = spread / (spread + s.se.powi(2));
        (-trust * (s.mean - mean) / deviation).clamp(-FAR, FAR)
    };
    Some(slopes.iter().map(|s| if s.entries > 0 && s.se.is_finite() { towards(s) } else { 0.0 }).collect())
}
