//! What a run will take: memory by part, steps, time.

pub mod layers;
mod need;
mod pace;

use crate::data::preview::Preview;
use crate::eval::bertscore::Scorer;
use crate::lora::adapter::Outline;
use crate::model::config::Config;
use crate::model::inventory::Inventory;
use crate::model::matrix::Hold;
use crate::model::{device, generate};
use crate::recipe::{BaseType, BestBy, Recipe, Recompute};
use crate::train::plan;
use crate::{Result, hub};
use layers::Loaded;
use need::{Need, Prompts};
use std::path::Path;

/// What a run will take.
#[derive(Debug, Clone, PartialEq, Default, serde::Serialize)]
pub struct Estimate {
    /// `cpu` or `cuda:0`: where `device` of the recipe leads on this machine.
    pub device: String,
    /// `f32`, `bf16`, or `stored` for that of their file: type of the frozen weights in memory.
    pub dtype: &'static str,
    /// What needs most: `training`, `pruning`, `writing summaries`, `loading`, `writing a checkpoint`.
    pub moment: &'static str,
    /// The memory of that moment by part, largest first; without those that are 0.
    pub parts: Vec<Part>,
    /// The sum of the parts, bytes.
    pub total: u64,
    /// Decoder layers of the base.
    pub layers: usize,
    /// Layers that are forwarded again in the backward pass, for want of memory or because the recipe says so.
    pub recomputed: usize,
    /// The total with `recompute` the other way round, bytes: without any such layer, or with all of them.
    pub other_recompute: u64,
    /// What `dtype = "stored"` would save of the base's memory, bytes; 0 where it is set or saves nothing.
    pub saved_by_packing: u64,
    /// Memory that is free there, bytes; `None` where the system does not tell.
    pub free: Option<u64>,
    /// Free memory of every card of this machine by ordinal, bytes, where the run leads to one of them.
    pub cards: Vec<u64>,
    /// Stages in their order.
    pub stages: Vec<StageEstimate>,
    /// Updates of all stages.
    pub steps: usize,
    /// Seconds of all stages, scoring included; `None` on a card on which nothing was measured yet.
    pub seconds: Option<f64>,
    /// Tokens that go through a training step, a second.
    pub tokens_per_second: Option<f64>,
    /// Where that figure comes from: an earlier run, or what is assumed; safe to show.
    pub speed_from: String,
}

impl Estimate {
    /// A sentence on each other card of the machine: `cuda:1: 76.0 GB free, enough`.
    pub fn other_cards(&self) -> Vec<String> {
        let all = self.cards.iter().enumerate().map(|(i, free)| (format!("cuda:{i}"), *free));
        all.filter(|(name, _)| *name != self.device)
            .map(|(name, free)| {
                let enough = if self.total <= free { "enough" } else { "too little" };
                format!("{name}: {} free, {enough}", bytes(free))
            })
            .collect()
    }

    /// Which layers are forwarded again, and what it would take the other way round:
    /// `recomputes 12 of 32 layers; with train.recompute = false: 41.0 GB`.
    pub fn recompute(&self) -> String {
        let other = |word: &str| format!("with train.recompute = {word}: {}", bytes(self.other_recompute));
        match self.recomputed {
            0 => other("true"),
            n => format!("recomputes {n} of {} layers; {}", self.layers, other("false")),
        }
    }

    /// Why it will not fit, as a sentence; `None` if it will, or nothing is known of the room.
    pub fn problem(&self) -> Option<String> {
        let free = self.free.filter(|free| *free < self.total)?;
        let mut remedies = Vec::new();
        if self.saved_by_packing > 0 {
            remedies.push("set dtype = \"stored\"");
        }
        // Left to the memory, layers would be forwarded again by now.
        if self.recomputed == 0 && self.other_recompute < self.total {
            remedies.push("set train.recompute = \"auto\"");
        }
        // What is lowered has to be of the moment that needs most.
        match self.moment {
            "writing samples" | "writing summaries" => {
                remedies.push("lower data.max_document_tokens or samples.max_new_tokens");
            }
            "scoring by the encoder" => remedies.push("leave out eval.encoder"),
            "pruning" | "writing a checkpoint" => remedies.push("use fewer adapters or such of a lower rank"),
            "loading" => {}
            _ => remedies.push("lower train.micro_tokens"),
        }
        remedies.push("use a smaller base");
        let remedy = match remedies.as_slice() {
            [one] => (*one).to_owned(),
            [first @ .., last] => format!("{}, or {last}", first.join(", ")),
            [] => String::new(),
        };
        Some(format!(
            "about {} are needed and {} are free on {}: {remedy}",
            bytes(self.total),
            bytes(free),
            self.device
        ))
    }
}

/// `1.4 GB`, `350 MB`, `12 kB`.
pub fn bytes(n: u64) -> String {
    let n = n as f64;
    match n {
        n if n >= 1e9 => format!("{:.1} GB", n / 1e9),
        n if n >= 1e6 => format!("{:.0} MB", n / 1e6),
        n => format!("{:.0} kB", (n / 1e3).ceil()),
    }
}

/// One part of the memory.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Part {
    /// What it is: `base weights`, `activations`.
    pub name: &'static str,
    /// Bytes.
    pub bytes: u64,
}

/// One stage.
#[derive(Debug, Clone, PartialEq, Default, serde::Serialize)]
pub struct StageEstimate {
    /// The method's name as the report shows it.
    pub method: String,
    /// Updates, 0 without training.
    pub steps: usize,
    /// Updates of an epoch, 0 without training.
    pub steps_per_epoch: usize,
    /// Seconds, its evaluations and scoring included; as [`Estimate::seconds`].
    pub seconds: Option<f64>,
}

/// What `recipe` will take on this machine, with its data as [`crate::data::preview::preview`] read it. `runs` is
/// the folder of runs where an earlier one may tell how fast this machine is. Reads headers only, and measures a
/// product of matrices for some tens of milliseconds where no run tells.
///
/// # Errors
/// When the base or an adapter cannot be used.
pub fn estimate(recipe: &Recipe, preview: &Preview, runs: &Path) -> Result<Estimate> {
    let (config, outlines) = hub::catalog::outlines(recipe)?;
    let inventory = Inventory::read(&recipe.base)?;
    inventory.check(&config)?;
    let card = device::leads_to(&recipe.device, recipe.cuda_ordinal());
    let hold = device::hold(recipe.dtype, card.is_some());
    let half = recipe.dtype != BaseType::F32 && card.is_some();
    let mut need = need(recipe, preview, &config, &outlines, half, card.is_some());
    need.packed = (hold != Hold::Numbers).then(|| inventory.held_bytes(&config, hold, half, card.is_some()));
    if let Some(encoder) = &recipe.eval.encoder {
        Scorer::check(encoder, recipe.eval.encoder_layer).map_err(|e| e.at("eval.encoder"))?;
        need.encoder = encoder.join("model.safetensors").metadata().map_or(0, |m| m.len());
    }
    need.tokenizer = recipe.base.join("tokenizer.json").metadata().map_or(0, |m| m.len());
    let free = card.map_or_else(super::memory::free, device::free_on_card);
    need.whole = need.chosen(recipe.train.recompute, free, false);
    let (moment, parts) = need.most();
    let total = parts.iter().map(|p| p.bytes).sum();
    let recomputed = config.layers - need.whole;
    let other = if recomputed == 0 { Recompute::Always } else { Recompute::Never };
    let other = Need { whole: need.chosen(other, free, false), ..need.clone() };
    let device = card.map_or_else(|| "cpu".to_owned(), |card| format!("cuda:{card}"));
    let dtype = device::type_label(hold, half);
    let speed = pace::speed(recipe, &need, &config, runs, card.is_some(), &format!("{device}, {dtype}"));
    let mut stages = Vec::new();
    for stage in plan::stages(recipe) {
        let examples = preview.splits.first().map_or(0, |s| s.examples);
        let (steps, steps_per_epoch) = stage.steps(examples, recipe.train.batch);
        let seconds = speed.tokens.map(|_| pace::seconds(recipe, preview, &stage, &speed));
        stages.push(StageEstimate { method: stage.label, steps, steps_per_epoch, seconds });
    }
    Ok(Estimate {
        dtype,
        moment,
        parts,
        total,
        saved_by_packing: inventory.packing_saves(&config, hold, half, card.is_some()),
        layers: config.layers,
        recomputed,
        other_recompute: other.most().1.iter().map(|p| p.bytes).sum(),
        free,
        cards: if card.is_some() { device::free_on_cards() } else { Vec::new() },
        steps: stages.iter().fold(0, |all: usize, stage| all.saturating_add(stage.steps)),
        seconds: speed.tokens.map(|_| stages.iter().filter_map(|s| s.seconds).sum()),
        stages,
        tokens_per_second: speed.tokens,
        speed_from: speed.from,
        device,
    })
}

/// The passes of a whole step, an evaluation and the summaries that need most, from the examples' lengths.
fn need(recipe: &Recipe, preview: &Preview, config: &Config, outlines: &[Outline], half: bool, card: bool) -> Need {
    let lengths = |name: &str| preview.splits.iter().find(|s| s.name == name).map_or(&[][..], |s| &s.sequences[..]);
    let mut scored = lengths("dev").to_vec();
    scored.extend_from_slice(lengths("test"));
    scored.sort_unstable_by_key(|s| std::cmp::Reverse(s.1));
    let evaluation = need::fullest(need::passes(&scored, recipe.train.micro_tokens));
    let answers = |split: &str, limit: usize| {
        let all: Vec<usize> = lengths(split).iter().take(limit).map(|s| s.0).collect();
        let mut batches = Vec::new();
        let mut rest = &all[..];
        while !rest.is_empty() {
            let (now, later) = rest.split_at(generate::together(rest.iter().copied()));
            batches.push(Prompts { lengths: now.to_vec(), room: recipe.samples.max_new_tokens });
            rest = later;
        }
        batches.into_iter().max_by_key(Prompts::tokens).unwrap_or_default()
    };
    let samples = if recipe.train.best_by == BestBy::RougeL { usize::MAX } else { recipe.samples.documents };
    let modules = outlines.iter().flat_map(|outline| &outline.modules);
    let dropout = outlines.iter().map(|outline| outline.dropout).fold(0.0, f64::max);
    let loaded = Loaded {
        config,
        half,
        card,
        ranks: modules.map(|(module, slot)| (*module, slot.rank)).collect(),
        dropout: recipe.train.dropout.unwrap_or(dropout) > 0.0,
        sequences: lengths("train").to_vec(),
    };
    Need {
        evaluation,
        samples: answers("dev", samples),
        summaries: answers(if lengths("test").is_empty() { "dev" } else { "test" }, usize::MAX),
        ..layers::of_step(recipe, loaded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_other_card_is_told_with_whether_it_has_room() {
        let estimate = Estimate {
            device: "cuda:1".into(),
            total: 21_000_000_000,
            cards: vec![76_000_000_000, 24_000_000_000, 12_000_000_000],
            ..Estimate::default()
        };
        assert_eq!(estimate.other_cards(), ["cuda:0: 76.0 GB free, enough", "cuda:2: 12.0 GB free, too little"]);
    }

    #[test]
    fn what_is_forwarded_again_is_told_and_no_remedy_where_it_is_done_by_itself() {
        let mut estimate = Estimate {
            device: "cpu".into(),
            total: 9_000_000_000,
            other_recompute: 4_000_000_000,
            layers: 32,
            free: Some(8_000_000_000),
            ..Estimate::default()
        };
        // The recipe says false: otherwise layers would be forwarded again.
        assert_eq!(estimate.recompute(), "with train.recompute = true: 4.0 GB");
        let needed = "about 9.0 GB are needed and 8.0 GB are free on cpu: ";
        let remedies = "set train.recompute = \"auto\", lower train.micro_tokens, or use a smaller base";
        assert_eq!(estimate.problem(), Some(format!("{needed}{remedies}")));
        (estimate.recomputed, estimate.other_recompute) = (31, 20_000_000_000);
        assert_eq!(estimate.recompute(), "recomputes 31 of 32 layers; with train.recompute = false: 20.0 GB");
        assert_eq!(estimate.problem(), Some(format!("{needed}lower train.micro_tokens, or use a smaller base")));
        estimate.free = Some(9_000_000_000);
        assert_eq!(estimate.problem(), None);
    }

    #[test]
    fn a_remedy_is_one_for_the_moment_that_needs_most() {
        let of = |moment| Estimate { moment, total: 2_000_000_000, free: Some(1_000_000_000), ..Estimate::default() };
        // No other choice of layers would take less.
        let remedy = |moment| {
            let other_recompute = 2_000_000_000;
            let text = Estimate { other_recompute, ..of(moment) }.problem().unwrap_or_default();
            text.split_once(": ").map(|(_, remedy)| remedy.to_owned()).unwrap_or_default()
        };
        for (moment, want) in [
            ("training", "lower train.micro_tokens, or use a smaller base"),
            ("checking on dev", "lower train.micro_tokens, or use a smaller base"),
            ("writing summaries", "lower data.max_document_tokens or samples.max_new_tokens, or use a smaller base"),
            ("pruning", "use fewer adapters or such of a lower rank, or use a smaller base"),
            ("scoring by the encoder", "leave out eval.encoder, or use a smaller base"),
            ("loading", "use a smaller base"),
        ] {
            assert_eq!(remedy(moment), want, "{moment}");
        }
    }
}
