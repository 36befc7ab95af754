//! Memory by part: what the decoder, the trainer and the pruner hold at the moments that need most. A formula
//! of shapes; every term names the code that allocates it.

mod whole;

use super::Part;
use crate::model::attention::{self, Heads, queries_at_once};
use crate::model::config::Config;
use crate::model::decoder::logits_at_once;
use crate::model::{inventory, matrix};
use crate::module::Projection;

/// The program itself: code, thread stacks, packed panels of matrix products; fitted to the run on
/// the tiny fixtures.
const PROGRAM: u64 = 18_000_000;
/// Bytes of memory a byte of tokenizer.json takes as vocabulary, merges and their maps. Chosen beforehand, as
/// [`SLACK`]: with both, seven measured runs (demo, SmolLM2-135M) came within 15 % of the formula.
const TOKENIZER: u64 = 12;
/// Share that the allocator holds beside what is in use (free lists, arenas of threads); chosen
/// beforehand, see [`TOKENIZER`].
const SLACK: f64 = 0.08;

/// Sequences of one pass: (tokens, tokens with a loss).
pub(super) type Sequences = Vec<(usize, usize)>;

/// Prompts that are answered together.
#[derive(Debug, Clone, Default)]
pub(super) struct Prompts {
    pub lengths: Vec<usize>,
    /// Tokens that each may add.
    pub room: usize,
}

impl Prompts {
    pub fn tokens(&self) -> usize {
        self.lengths.iter().sum()
    }
}

/// The passes of sequences (prompt tokens, all tokens), longest first, as [`crate::data::batch::micro_batches`] cuts them.
pub(super) fn passes(sorted: &[(usize, usize)], micro_tokens: usize) -> Vec<Sequences> {
    let mut all: Vec<Sequences> = Vec::new();
    let mut tokens = 0;
    for &(prompt, length) in sorted {
        if let Some(pass) = all.last_mut().filter(|_| tokens + length <= micro_tokens) {
            pass.push((length, length - prompt));
        } else {
            all.push(vec![(length, length - prompt)]);
            tokens = 0;
        }
        tokens += length;
    }
    all
}

/// The one with the most tokens: that of the longest sequence may be half empty.
pub(super) fn fullest(passes: Vec<Sequences>) -> Sequences {
    passes.into_iter().max_by_key(|s| s.iter().map(|s| s.0).sum::<usize>()).unwrap_or_default()
}

/// What the formula needs to know.
#[derive(Debug, Clone)]
pub(super) struct Need {
    pub config: Config,
    /// Σ of ranks over a layer's adapted modules, by layer.
    pub ranks: Vec<usize>,
    /// Numbers in all A and B.
    pub numbers: u64,
    /// Base and activations in bf16: on a card only.
    pub half: bool,
    /// Bytes of the base where its matrices are held as they are stored, or in bf16 beside activations in f32.
    pub packed: Option<u64>,
    /// The latter of these.
    pub halves: bool,
    /// Whether what enters a product is rounded to bf16, as a matrix unit takes it.
    pub rounds: bool,
    /// On a card: what stays in this machine's memory does not count.
    pub card: bool,
    /// Layers at the top that keep everything for the way back; those below are run forward again.
    pub whole: usize,
    pub dropout: bool,
    /// Moments that the optimiser keeps of each number.
    pub moments: u64,
    pub sensitivity: bool,
    /// Whether anything is pruned: what entries were before that is kept.
    pub prunes: bool,
    /// Passes of the largest step.
    pub passes: usize,
    /// The largest pass of training.
    pub largest: Sequences,
    /// The largest pass that computes dev or test loss.
    pub evaluation: Sequences,
    /// What is answered together while the optimiser's state is there.
    pub samples: Prompts,
    /// What is answered together for the report.
    pub summaries: Prompts,
    pub threads: usize,
    /// Bytes of the file of the encoder that scores summaries; 0 without one.
    pub encoder: u64,
    /// Bytes of tokenizer.json.
    pub tokenizer: u64,
}

impl Need {
    /// Bytes of one activation.
    fn width(&self) -> u64 {
        if self.half { 2 } else { 4 }
    }

    /// Of the widest rows that enter a product the rounded ones, half as large: numbers a token.
    fn rounded(&self) -> u64 {
        u64::from(self.rounds) * self.config.intermediate.max(self.config.hidden) as u64 / 2
    }

    pub fn base(&self) -> u64 {
        if let Some(bytes) = self.packed {
            return bytes;
        }
        let numbers: usize = inventory::expected(&self.config).iter().map(|(_, s)| s.iter().product::<usize>()).sum();
        numbers as u64 * self.width()
    }

    /// Numbers of queries and of keys (as many values) a token.
    fn heads(&self) -> (u64, u64) {
        let (q, kv) = (self.config.linear_shape(Projection::QProj).0, self.config.linear_shape(Projection::KProj).0);
        (q as u64, kv as u64)
    }

    /// What a layer keeps for the way back (`decoder::Trace`), bytes: x, h, mid, h2; q, attended; k, v; gate, up, act;
    /// z of every adapted module; before head norms also raw q and k.
    fn trace(&self, sequences: &[(usize, usize)], rank: usize) -> u64 {
        let (q, kv) = self.heads();
        let raw = if self.config.qk_norm { q + kv } else { 0 };
        let row =
            4 * self.config.hidden as u64 + 2 * q + 2 * kv + raw + 3 * self.config.intermediate as u64 + rank as u64;
        let tokens: u64 = sequences.iter().map(|s| s.0 as u64).sum();
        tokens * row * self.width()
    }

    /// Attention scores that are there at once: those of a block of queries, of the sequences that run at once.
    fn scores(&self, sequences: &[(usize, usize)]) -> u64 {
        let heads = self.config.heads;
        let block = |s: &(usize, usize)| (heads * queries_at_once(s.0, heads, self.card) * s.0) as u64;
        let mut blocks: Vec<u64> = sequences.iter().map(block).collect();
        blocks.sort_unstable_by_key(|b| std::cmp::Reverse(*b));
        blocks.iter().take(if self.card { 1 } else { self.threads }).sum()
    }

    /// What attention over f32 in this machine's memory holds, numbers: by all threads, and on the way back as partial sums;
    /// `None` where it is computed by tensor operations.
    fn attention_in_memory(&self, sequences: &[(usize, usize)]) -> Option<[u64; 2]> {
        let of = &self.config;
        let heads = Heads { query: of.heads, key: of.kv_heads, dim: of.head_dim };
        let lengths = sequences.iter().map(|s| s.0);
        let held = || attention::scratch_numbers(lengths, heads, self.threads).map(|n| n as u64);
        (!self.half && !self.card).then(held)
    }

    /// What a layer needs beside its trace, forward: q, k and v before they are turned or by head, and scores, or the MLP's
    /// output; masks of dropout.
    fn forward(&self, sequences: &[(usize, usize)]) -> u64 {
        let tokens: u64 = sequences.iter().map(|s| s.0 as u64).sum();
        let (q, kv) = self.heads();
        let dropout = if self.dropout { 2 * self.config.intermediate.max(self.config.hidden) as u64 } else { 0 };
        let scores = self.attention_in_memory(sequences).map_or_else(|| self.scores(sequences), |[scratch, _]| scratch);
        (tokens * (2 * q + 2 * kv + dropout + self.rounded()) + scores) * self.width()
    }

    /// What a layer's way back needs beside its trace: `d_act`, `d_gate` and `d_up` together, three rows of the hidden width;
    /// or of the attention the matrices of scores, partial sums, and the gradients, also before they are turned back.
    fn backward(&self, sequences: &[(usize, usize)]) -> u64 {
        let tokens: u64 = sequences.iter().map(|s| s.0 as u64).sum();
        let (q, kv) = self.heads();
        let (hidden, inner) = (self.config.hidden as u64, self.config.intermediate as u64);
        let dropout = if self.dropout { 2 * inner.max(hidden) } else { 0 };
        let mlp = tokens * (3 * inner + 3 * hidden + dropout + self.rounded());
        let attention = match self.attention_in_memory(sequences) {
            Some([scratch, sums]) => scratch + sums + tokens * (2 * (q + 2 * kv) + 2 * hidden),
            None => 3 * self.scores(sequences) + tokens * (3 * (q + 2 * kv) + 2 * hidden),
        };
        mlp.max(attention) * self.width()
    }

    /// Logits of the loss, with their gradient in place.
    fn logits(&self, sequences: &[(usize, usize)]) -> u64 {
        let targets: usize = sequences.iter().map(|s| s.1).sum();
        let rows = targets.min(logits_at_once(self.config.vocab)) as u64;
        // What is rounded of them on the way back is half as large.
        let bytes = if self.rounds { self.width() * 3 / 2 } else { self.width() };
        rows * self.config.vocab as u64 * bytes
    }

    /// Rotary tables.
    fn tables(&self, sequences: &[(usize, usize)]) -> u64 {
        let tokens: u64 = sequences.iter().map(|s| s.0 as u64).sum();
        tokens * self.config.head_dim as u64 * self.width()
    }

    /// One pass of training at its top layer, where all layers' memory is there: (activations, working room, logits).
    fn training(&self) -> (u64, u64, u64) {
        let s = &self.largest;
        let row = self.row();
        let logits = self.logits_beside(self.logits(s));
        // The logits are gone when the way back begins; the gradient of the rows stays and is added to.
        (self.kept() + row, 2 * row + self.backward(s).max(self.forward(s)).max(logits), logits)
    }

    /// Masks of dropout, which are kept until a pass is over: a bit an input. A card draws them anew.
    fn dropout_bits(&self) -> u64 {
        let inputs: usize = Projection::ALL.iter().map(|p| self.config.linear_shape(*p).1).sum();
        let layers = self.ranks.iter().filter(|rank| **rank > 0).count();
        let tokens: usize = self.largest.iter().map(|s| s.0).sum();
        if self.dropout && !self.card { (layers * tokens * inputs / 8) as u64 } else { 0 }
    }

    /// Answering: (one layer's activations, keys and values, working room).
    fn writing(&self, prompts: &Prompts) -> (u64, u64) {
        let sequences: Sequences = prompts.lengths.iter().map(|t| (*t, 1)).collect();
        let largest = self.ranks.iter().copied().max().unwrap_or(0);
        let room = (prompts.tokens() + prompts.room * prompts.lengths.len()) as u64;
        let cache = room * 2 * self.heads().1 * self.config.layers as u64 * self.width();
        let logits = 2 * prompts.lengths.len() as u64 * self.config.vocab as u64 * self.width();
        let tokens = prompts.tokens() as u64 * self.config.hidden as u64 * self.width();
        (self.trace(&sequences, largest) + self.forward(&sequences) + tokens + logits + self.tables(&sequences), cache)
    }

    /// The moments and their parts.
    fn moments(&self) -> Vec<(&'static str, Vec<(&'static str, u64)>)> {
        let n = self.numbers;
        // Masks and what was pruned; in this machine's memory also sensitivities, and all of it of the best set too.
        let host = u64::from(!self.card);
        let smoothed = if self.sensitivity { 4 * n } else { 0 };
        let pruned = if self.prunes { 4 * n } else { 0 };
        let masks = if self.card { 5 * n } else { 2 * (n + pruned + smoothed) };
        let base = ("base weights", self.base());
        let program = if self.card { 600_000_000 } else { PROGRAM + TOKENIZER * self.tokenizer };
        let program = ("program, tokenizer", program);
        let unpacked = ("unpacked rows", if self.packed.is_some() { matrix::unpacked(self.card) } else { 0 });
        // A pass's copies: in bf16 of all, on a card in f32 of B with its scale, half of all.
        let copies = if self.half || self.card { 2 * n } else { 0 };
        // As loaded, as they are trained, the best so far.
        let adapters = ("adapters", 12 * n + copies);
        let moments = ("optimiser moments", 4 * self.moments * n);
        let masks = ("prune masks", masks);
        let held = [base, unpacked, adapters, moments, masks, program];
        let bits = ("dropout masks", self.dropout_bits());
        let gradients = |there: bool| ("gradients", if there { 4 * n } else { 0 });
        let (activations, working, logits) = self.training();
        let with = |more: &[(&'static str, u64)]| held.iter().chain(more).copied().collect::<Vec<_>>();
        let evaluation = {
            let s = &self.evaluation;
            let rows: u64 = s.iter().map(|s| s.0 as u64).sum::<u64>() * self.config.hidden as u64 * self.width();
            let layer = self.trace(s, self.ranks.iter().copied().max().unwrap_or(0)) + self.forward(s);
            layer.max(self.logits(s)) + rows + self.tables(s)
        };
        let (layer, cache) = self.writing(&self.samples);
        let (report_layer, report_cache) = self.writing(&self.summaries);
        let light = [base, unpacked, ("adapters", 8 * n + copies), program];
        vec![
            ("training", {
                let logits = if working > logits { ("logits", 0) } else { ("logits", logits) };
                with(&[
                    gradients(self.passes > 1 || self.recomputes()),
                    bits,
                    ("activations", activations),
                    ("working room", working + self.tables(&self.largest) - logits.1),
                    logits,
                ])
            }),
            // Scores and new masks beside the old ones.
            ("pruning", with(&[gradients(true), ("prune scores", host * 5 * n)])),
            ("checking on dev", with(&[("activations", evaluation)])),
            ("writing samples", with(&[("activations", layer), ("keys and values", cache)])),
            (
                "writing summaries",
                [&light[..], &[("activations", report_layer), ("keys and values", report_cache)]].concat(),
            ),
            // Its file, and its numbers.
            ("scoring by the encoder", [&light[..], &[("encoder", 2 * self.encoder)]].concat()),
            ("loading", [&light[..], &[("largest tensor", self.largest_tensor())]].concat()),
            // Moments and masks are copied, and written from there.
            ("writing a checkpoint", with(&[("copies", host * (4 * self.moments * n + masks.1))])),
        ]
    }

    /// Room that the largest tensor takes twice while it is read.
    fn largest_tensor(&self) -> u64 {
        let numbers = (self.config.vocab * self.config.hidden) as u64;
        // A packed one is copied as it is; at four bits and more a byte is more than it takes. In bf16 it is there four times.
        let bytes = if self.halves {
            6
        } else if self.packed.is_some() {
            1
        } else {
            4
        };
        numbers * bytes * u64::from(!self.card)
    }

    /// The moment that needs most, and its parts, largest first.
    pub fn most(&self) -> (&'static str, Vec<Part>) {
        let sum = |parts: &[(&str, u64)]| parts.iter().map(|p| p.1).sum::<u64>();
        let (moment, mut parts) = self.moments().into_iter().max_by_key(|m| sum(&m.1)).unwrap_or_default();
        // The allocator holds on to some of what comes and goes; what stays lies tight.
        let fixed = ["base weights", "program, tokenizer"];
        let moving: u64 = parts.iter().filter(|p| !fixed.contains(&p.0)).map(|p| p.1).sum();
        parts.push(("allocator", (moving as f64 * SLACK) as u64));
        parts.retain(|p| p.1 > 0);
        parts.sort_by_key(|p| std::cmp::Reverse(p.1));
        (moment, parts.into_iter().map(|(name, bytes)| Part { name, bytes }).collect())
    }
}

#[cfg(test)]
#[path = "need/tests.rs"]
mod tests;
