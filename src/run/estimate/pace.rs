//! Time: from a run on this machine with the same base, or from what its cores reach in a product of matrices.

use super::layers::Layers;
use super::need::Need;
use crate::data::preview::{Preview, Split};
use crate::model::config::Config;
use crate::model::{generate, product};
use crate::recipe::{BestBy, Recipe, Recompute};
use crate::run::RunDir;
use crate::run::event::{Event, EventBody};
use crate::run::listing::{each_line, kind};
use crate::text::printable;
use crate::train::plan::Stage;
use std::path::Path;

/// Runs that are looked at, newest first.
const RUNS: usize = 100;
/// The end of a journal that is looked at, bytes.
const WINDOW: u64 = 4 * 1024 * 1024;
/// Share of the rate of a plain product that a training step reaches: what the figures of the README's bench
/// (SmolLM2-135M and the demo's base, on two cores) come to; elsewhere a rough guess.
const SHARE: f64 = 0.7;
/// Bytes of weights a second that go by when one token at a time is written: a guess, measured nowhere.
const STREAM: f64 = 8e9;

/// How fast it goes.
#[derive(Debug, Clone, Default)]
pub(super) struct Speed {
    /// Tokens a second of a training step; none where nothing is known.
    pub tokens: Option<f64>,
    /// Where that comes from.
    pub from: String,
    /// Seconds that the weights take to go by once.
    pub sweep: f64,
    /// Tokens a second of a pass without a way back.
    pub forward: f64,
}

pub(super) fn speed(recipe: &Recipe, need: &Need, config: &Config, runs: &Path, card: bool, device: &str) -> Speed {
    // Forward once, and again those layers that are recomputed, back once to the rows, and the adapters three times.
    let of = |recomputed: usize| 2.0 + recomputed as f64 / config.layers.max(1) as f64;
    let through = of(config.layers - need.whole);
    let known = measured(recipe, runs, device, config.layers).map(|(tokens, name, recomputed)| {
        (tokens * of(recomputed) / through, format!("measured in {}", printable(&name)))
    });
    let linears: f64 = config.modules().map(|m| config.linear_shape(m.projection)).map(|(o, i)| (o * i) as f64).sum();
    let flops = 2.0 * linears * through + 6.0 * need.numbers as f64;
    let (tokens, from) = match known {
        Some((tokens, from)) => (Some(tokens), from),
        None if card => (None, "no run on this card has been measured yet".to_owned()),
        None => {
            let rate = product::measured_rate();
            let from = format!(
                "assumed: {:.0} % of the {:.0} GFLOP/s of a product of matrices here",
                SHARE * 100.0,
                rate / 1e9
            );
            (Some(SHARE * rate / flops), from)
        }
    };
    let forward = tokens.unwrap_or(1.0) * flops / (2.0 * linears + 2.0 * need.numbers as f64);
    Speed { tokens, from, sweep: need.base() as f64 / if card { 1e12 } else { STREAM }, forward }
}

/// Tokens a second, the run and how many of its base's `layers` it recomputed: the newest run of the same base on the same
/// device.
fn measured(recipe: &Recipe, runs: &Path, device: &str, layers: usize) -> Option<(f64, String, usize)> {
    let wanted = std::fs::canonicalize(&recipe.base).ok()?;
    let (place, dtype) = device.split_once(", ")?;
    let here = crate::run::lock::host();
    RunDir::list(runs).ok()?.into_iter().take(RUNS).find_map(|run| {
        let before = run.recipe().ok().filter(|r| std::fs::canonicalize(&r.base).is_ok_and(|base| base == wanted))?;
        let mut file = crate::bounded::open(&run.journal_file()).ok()?;
        let length = file.metadata().ok()?.len();
        let mut same = false;
        let mut speeds = Vec::new();
        // By its memory, of the worker that starts next and of the last one that did.
        let (mut next, mut chosen) = (0, 0);
        let mut see = |line: &[u8], wanted: &[&str]| {
            if kind(line).is_none_or(|kind| !wanted.contains(&kind)) {
                return;
            }
            match serde_json::from_slice::<Event>(line).map(|e| e.body) {
                Ok(EventBody::Started(s)) => {
                    same = s.device.starts_with(place) && s.device.ends_with(dtype) && s.host == here;
                    chosen = std::mem::take(&mut next);
                }
                Ok(EventBody::Warning { text }) => next = Layers::again_in(&text).unwrap_or(next),
                Ok(EventBody::Step(step)) if step.tokens_per_second > 0.0 => speeds.push(step.tokens_per_second),
                _ => {}
            }
        };
        each_line(&mut file, 0, |line| see(line, &["started", "warning"]));
        each_line(&mut file, length.saturating_sub(WINDOW), |line| see(line, &["step"]));
        if !same || speeds.is_empty() {
            return None;
        }
        speeds.sort_by(f64::total_cmp);
        let recomputed = match before.train.recompute {
            Recompute::Auto => chosen,
            Recompute::Always => layers.saturating_sub(1),
            Recompute::Never => 0,
        };
        Some((speeds[speeds.len() / 2], run.name(), recomputed))
    })
}

/// Seconds of a stage: its updates, evaluations and scoring.
pub(super) fn seconds(recipe: &Recipe, preview: &Preview, stage: &Stage, speed: &Speed) -> f64 {
    let split = |name: &str| preview.splits.iter().find(|s| s.name == name);
    let tokens = |split: Option<&Split>| split.map_or(0, |s| s.sequences.iter().map(|s| s.1).sum::<usize>()) as f64;
    let room = recipe.samples.max_new_tokens;
    let writing = |split: Option<&Split>, limit: usize| -> f64 {
        let lengths: Vec<usize> = split.into_iter().flat_map(|s| &s.sequences).take(limit).map(|s| s.0).collect();
        let mut rest = &lengths[..];
        let mut seconds = 0.0;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(generate::together(rest.iter().copied()));
            let prompt = now.iter().sum::<usize>() as f64 / speed.forward;
            seconds += prompt + room as f64 * (speed.sweep + now.len() as f64 / speed.forward);
            rest = later;
        }
        seconds
    };
    let examples = split("train").map_or(0, |s| s.examples);
    let (steps, per_epoch) = stage.steps(examples, recipe.train.batch);
    let epochs = steps as f64 / per_epoch.max(1) as f64;
    let mut seconds = epochs * tokens(split("train")) / speed.tokens.unwrap_or(f64::INFINITY);
    if steps > 0 {
        let every = if recipe.train.eval_every > 0 { recipe.train.eval_every } else { per_epoch.max(1) };
        let whole = if recipe.train.best_by == BestBy::RougeL { writing(split("dev"), usize::MAX) } else { 0.0 };
        let one = tokens(split("dev")) / speed.forward + writing(split("dev"), recipe.samples.documents) + whole;
        seconds += steps.div_ceil(every) as f64 * one;
    }
    if stage.scored {
        let scored = split("test").or_else(|| split("dev"));
        seconds += tokens(scored) / speed.forward + writing(scored, usize::MAX);
    }
    seconds
}
