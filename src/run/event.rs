//! What a worker says while it works: one line of `events.jsonl` each.

use super::estimate::bytes;
use crate::module::{Factor, ModuleId};
use serde::{Deserialize, Deserializer, Serialize};

/// Version of the journal's format, the `v` of every line.
pub const VERSION: u32 = 1;

/// One line of the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Format version, [`VERSION`].
    pub v: u32,
    /// Line number from 0, without gaps, across worker restarts.
    pub seq: u64,
    /// Unix time in seconds.
    pub t: f64,
    /// What happened.
    #[serde(flatten)]
    pub body: EventBody,
}

/// A line with the state of all matrices: what a journal mostly consists of, read without the detour that an
/// event of any type takes.
#[derive(Deserialize)]
struct ModulesLine {
    v: u32,
    seq: u64,
    t: f64,
    #[serde(rename = "type")]
    kind: ModulesKind,
    step: usize,
    ratio: Vec<Option<f32>>,
    sparsity: Vec<Option<f32>>,
    importance: Vec<Option<f32>>,
    quantiles: Vec<Option<[f32; 3]>>,
    retained: Vec<Option<f32>>,
    flips: Vec<Option<f32>>,
    #[serde(default)]
    full: Vec<Option<f32>>,
}

/// Their type.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum ModulesKind {
    Modules,
}

impl Event {
    /// The event in a line of the journal.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(line: &[u8]) -> serde_json::Result<Self> {
        if super::listing::kind(line) == Some("modules")
            && let Ok(ModulesLine {
                v,
                seq,
                t,
                kind,
                step,
                ratio,
                sparsity,
                importance,
                quantiles,
                retained,
                flips,
                full,
            }) = serde_json::from_slice(line)
        {
            let ModulesKind::Modules = kind;
            let modules = Modules { step, ratio, sparsity, importance, quantiles, retained, flips, full };
            return Ok(Self { v, seq, t, body: EventBody::Modules(modules) });
        }
        serde_json::from_slice(line)
    }
}

/// What happened. Readers skip types that they don't know ([`EventBody::Unknown`]).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum EventBody {
    /// First event of every worker start: everything that later events refer to.
    Started(Box<Started>),
    /// A stage begins: one method of a comparison, or the only one of a plain run. The events that
    /// follow belong to it; step numbers start again at 1.
    Stage(Stage),
    /// Progress of work that is not training steps.
    Phase(Phase),
    /// One optimiser update.
    Step(Step),
    /// The state of every matrix after a step; columns align with [`Started::matrices`].
    Modules(Modules),
    /// An evaluation on the dev set.
    Dev(Dev),
    /// A summary that the model wrote for a fixed dev document.
    Sample(Sample),
    /// A checkpoint is complete on disk.
    Checkpoint(Checkpoint),
    /// A command was read, and what came of it.
    Control(ControlOutcome),
    /// What is known so far of a what-if; a later event of the same request has all of it and more.
    WhatIf(Box<super::what_if::WhatIf>),
    /// Training pauses or goes on.
    Paused {
        /// True when it pauses.
        paused: bool,
    },
    /// Something the user should know; the run goes on.
    Warning {
        /// The sentence.
        text: String,
    },
    /// The final scores, one row a method; written again, longer, as methods finish.
    Report(Report),
    /// The worker lives; written when nothing else was for a few seconds.
    Heartbeat {},
    /// The run is complete.
    Finished {
        /// The sentence for the user, with the place of the result.
        text: String,
    },
    /// The user stopped it; it can be resumed from the checkpoint.
    Stopped {
        /// The sentence for the user.
        text: String,
    },
    /// The run cannot go on.
    Failed {
        /// The sentence for the user.
        text: String,
    },
    /// A type from a later version.
    #[serde(other)]
    Unknown,
}

/// What the run is about; see [`EventBody::Started`].
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Started {
    /// lopper's version.
    pub lopper: String,
    /// Process id of the worker.
    pub pid: u32,
    /// Host name of the worker.
    pub host: String,
    /// `cpu` with the thread count, or the card's name.
    pub device: String,
    /// The base as the recipe names it.
    pub base: String,
    /// Parameters of the frozen base.
    pub base_parameters: u64,
    /// Decoder layers of the base.
    pub layers: usize,
    /// Parameters of all A and B.
    pub adapter_parameters: u64,
    /// The adapters in the order of the merge.
    pub adapters: Vec<AdapterInfo>,
    /// Every prunable matrix; the columns of [`Modules`] align with it.
    pub matrices: Vec<MatrixInfo>,
    /// Examples used for training.
    pub train_examples: usize,
    /// Examples in the dev set.
    pub dev_examples: usize,
    /// Examples in the test set, 0 if there is none.
    pub test_examples: usize,
    /// Documents that were cut to the budget.
    pub truncated: usize,
    /// The fixed dev documents that samples are written for.
    pub documents: Vec<Document>,
    /// What is the same in every line that the user sees of this run: its name.
    pub name: String,
    /// What it takes to make the run again.
    #[serde(default)]
    pub origin: Box<super::origin::Origin>,
}

/// One adapter of the merge.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct AdapterInfo {
    /// The recipe's name for it.
    pub name: String,
    /// `target` or `related`.
    pub role: String,
    /// LoRA rank (the largest where `rank_pattern` differs).
    pub rank: usize,
    /// LoRA alpha.
    pub alpha: f64,
    /// The user's weight.
    pub weight: f64,
}

/// One prunable matrix.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct MatrixInfo {
    /// The module it belongs to.
    pub module: ModuleId,
    /// Index into [`Started::adapters`].
    pub adapter: usize,
    /// A or B.
    pub factor: Factor,
    /// Rows (A: r, B: `d_out`).
    pub rows: usize,
    /// Columns (A: `d_in`, B: r).
    pub cols: usize,
}

/// A fixed dev document.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Document {
    /// Its id in the data set, or its line number.
    pub id: String,
    /// The text (what the model reads, after truncation).
    pub document: String,
    /// The human summary.
    pub reference: String,
}

/// See [`EventBody::Stage`].
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Stage {
    /// Number from 0.
    pub index: usize,
    /// How many stages there are.
    pub of: usize,
    /// The method's name as the report shows it: `merge + fine-tune + prune`.
    pub method: String,
    /// Optimiser steps that it will make, 0 for a method without training.
    pub steps: usize,
    /// Steps per epoch, 0 for a method without training.
    pub steps_per_epoch: usize,
    /// Whether it prunes.
    pub prunes: bool,
    /// Indices into [`Started::adapters`] of those that take part.
    pub adapters: Vec<usize>,
}

/// What a phase does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PhaseKind {
    /// Files come from the hub.
    Download,
    /// Weights and data are read.
    Load,
    /// Training steps.
    Train,
    /// Scoring or writing summaries.
    Eval,
    /// Adapters are combined.
    Merge,
    /// Results are written.
    Save,
}

/// See [`EventBody::Phase`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Phase {
    /// What kind of work.
    pub phase: PhaseKind,
    /// What exactly, for people: `test summaries`.
    pub label: String,
    /// Units done.
    pub done: u64,
    /// Units in all, 0 if unknown.
    pub total: u64,
}

impl Phase {
    /// `3/12`, or `1.2 GB/2.7 GB` of a download.
    pub fn counts(&self) -> String {
        match self.phase {
            PhaseKind::Download => format!("{}/{}", bytes(self.done), bytes(self.total)),
            _ => format!("{}/{}", self.done, self.total),
        }
    }
}

/// See [`EventBody::Step`].
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Step {
    /// Number from 1 within the stage.
    pub step: usize,
    /// Epochs done, with fraction.
    pub epoch: f64,
    /// Mean loss per summary token, nats.
    pub loss: f64,
    /// Learning rate of this update.
    pub lr: f64,
    /// Norm of all gradients before clipping.
    pub grad_norm: f64,
    /// Tokens through the model (prompt and summary), per second of this step.
    pub tokens_per_second: f64,
    /// Where the time went.
    pub seconds: Seconds,
    /// Peak resident memory of the worker (CPU) or memory used on the card, bytes.
    pub memory: u64,
}

/// Seconds of one step by part.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Seconds {
    /// Batching and tokens.
    pub data: f64,
    /// Forward passes.
    pub forward: f64,
    /// Backward passes, recompute included.
    pub backward: f64,
    /// Clip and update.
    pub optimiser: f64,
    /// Importance, threshold, mask.
    pub prune: f64,
}

impl Seconds {
    /// The whole step.
    pub fn total(&self) -> f64 {
        self.data + self.forward + self.backward + self.optimiser + self.prune
    }
}

/// See [`EventBody::Modules`]. Columns, so that a line for a thousand matrices stays small; numbers
/// are rounded to four significant digits. Matrices that take no part in the stage hold `null`
/// in every column.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Modules {
    /// The step of the stage, 0 before training.
    pub step: usize,
    /// Prune ratio asked, 0 to 1.
    pub ratio: Vec<Option<f32>>,
    /// Share that is exactly zero, 0 to 1.
    pub sparsity: Vec<Option<f32>>,
    /// Mean importance before pruning (the measure's own unit).
    pub importance: Vec<Option<f32>>,
    /// Importance at the quantiles 0.1, 0.5, 0.9.
    pub quantiles: Vec<Option<[f32; 3]>>,
    /// Share of the summed importance that survived the mask, 0 to 1.
    pub retained: Vec<Option<f32>>,
    /// Share of entries whose mask changed since the last step, 0 to 1.
    pub flips: Vec<Option<f32>>,
    /// The ratio that the schedule leads to, 0 to 1; left out where it is `ratio` from the first step on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub full: Vec<Option<f32>>,
}

impl Modules {
    /// The ratio of every matrix at the schedule's end.
    pub fn full_ratios(&self) -> &[Option<f32>] {
        if self.full.is_empty() { &self.ratio } else { &self.full }
    }

    /// How far the schedule is: the ratios of this step over those at its end, 0 to 1.
    pub fn share(&self) -> f64 {
        if self.full.is_empty() {
            return 1.0;
        }
        let sum = |column: &[Option<f32>]| column.iter().flatten().map(|r| f64::from(*r)).sum::<f64>();
        let full = sum(&self.full);
        if full > 0.0 { (sum(&self.ratio) / full).clamp(0.0, 1.0) } else { 1.0 }
    }

    /// Whether any matrix is asked to be pruned: a stage that prunes nothing tells importances all the same.
    pub fn prunes(&self) -> bool {
        self.ratio.iter().flatten().any(|ratio| *ratio > 0.0)
    }
}

/// See [`EventBody::Dev`].
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Dev {
    /// The step of the stage, 0 before training.
    pub step: usize,
    /// Mean loss per summary token, nats.
    pub loss: f64,
    /// ROUGE of greedy summaries, if they were written.
    pub rouge: Option<Rouge>,
    /// Dev documents scored.
    pub documents: usize,
    /// Best so far in this stage.
    pub best: bool,
}

/// ROUGE F-measures in percent, 0 to 100.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Rouge {
    /// ROUGE-1.
    pub rouge1: f64,
    /// ROUGE-2.
    pub rouge2: f64,
    /// ROUGE-L.
    pub rouge_l: f64,
    /// Precision and recall; `None` in what an earlier lopper has written.
    #[serde(flatten)]
    pub parts: Option<Parts<f64>>,
}

/// Precision (how much of the summary is in the reference) and recall (how much of the reference is in the summary) of
/// ROUGE-1, ROUGE-2 and ROUGE-L: of each something. Of a run means over documents, percent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Parts<T> {
    /// ROUGE-1, precision.
    pub rouge1_p: T,
    /// ROUGE-1, recall.
    pub rouge1_r: T,
    /// ROUGE-2, precision.
    pub rouge2_p: T,
    /// ROUGE-2, recall.
    pub rouge2_r: T,
    /// ROUGE-L, precision.
    pub rouge_l_p: T,
    /// ROUGE-L, recall.
    pub rouge_l_r: T,
}

/// See [`EventBody::Sample`].
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Sample {
    /// The step of the stage, 0 before training.
    pub step: usize,
    /// Index into [`Started::documents`].
    pub document: usize,
    /// What the model wrote, control characters made visible.
    pub text: String,
    /// Its ROUGE-L against the reference, percent.
    pub rouge_l: f64,
}

/// See [`EventBody::Checkpoint`].
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The step of the stage.
    pub step: usize,
    /// Folder below the run directory.
    pub path: String,
    /// Best on dev so far.
    pub best: bool,
}

/// See [`EventBody::Control`].
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ControlOutcome {
    /// The command's id.
    pub id: String,
    /// The command's name.
    pub command: String,
    /// True if it was carried out.
    pub ok: bool,
    /// What came of it, for the user.
    pub text: String,
}

/// See [`EventBody::Report`].
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Report {
    /// `test`, or `dev` where the recipe has no test set.
    pub split: String,
    /// One row a method.
    pub rows: Vec<ReportRow>,
    /// How texts are cut for ROUGE; empty in what an earlier lopper has written.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub tokens: String,
    /// The encoder and layer of `BERTScore`, where one was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoder: Option<String>,
}

/// `BERTScore` of summaries against their references, the mean over documents, percent; without rescaling.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct BertScore {
    /// How well the summary's tokens are matched by the reference's.
    pub precision: f64,
    /// How well the reference's tokens are matched by the summary's.
    pub recall: f64,
    /// The mean over documents of both's harmonic mean.
    pub f: f64,
}

/// One method's scores.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ReportRow {
    /// The method's name.
    pub method: String,
    /// Documents scored.
    pub documents: usize,
    /// Mean loss per summary token, nats; NaN where it is no number: `null` in JSON.
    #[serde(deserialize_with = "number")]
    pub loss: f64,
    /// Scores of the greedy summaries.
    pub rouge: Rouge,
    /// Share of adapter parameters that are exactly zero, 0 to 1.
    pub sparsity: f64,
    /// Seconds of training.
    pub seconds: f64,
    /// `BERTScore` of the same summaries, where an encoder was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bert: Option<BertScore>,
}

/// A number, or NaN for the `null` that JSON has in its place.
///
/// # Errors
/// When it is neither.
pub fn number<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    Ok(Option::<f64>::deserialize(from)?.unwrap_or(f64::NAN))
}

/// Receives what the engine has to say. The journal is one implementation, a test's vector another.
pub trait Observer {
    /// Takes one event.
    ///
    /// # Errors
    /// When it can't be kept (disk full, run directory gone): the run has to stop.
    fn record(&mut self, body: EventBody) -> crate::Result<()>;
}

impl Observer for Vec<EventBody> {
    fn record(&mut self, body: EventBody) -> crate::Result<()> {
        self.push(body);
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_short_way_through_a_line_of_modules_leads_to_the_same_event() {
        let body = EventBody::Modules(Modules {
            step: 7,
            ratio: vec![Some(0.5), None],
            sparsity: vec![Some(0.1234), None],
            importance: vec![Some(1.5e-9), None],
            quantiles: vec![Some([1e-3, 0.25, 17.0]), None],
            retained: vec![None, Some(1.0)],
            flips: vec![Some(0.0), Some(1.0)],
            full: vec![Some(0.8), None],
        });
        let event = Event { v: VERSION, seq: 3, t: 1000.25, body };
        let line = serde_json::to_vec(&event).unwrap();
        assert_eq!(super::super::listing::kind(&line), Some("modules"));
        assert_eq!(Event::parse(&line).unwrap(), event);
        assert_eq!(serde_json::from_slice::<Event>(&line).unwrap(), event);
        // What is no such line is read the long way, or not at all.
        let other = br#"{"v":1,"seq":0,"t":0,"type":"warning","text":"\"type\":\"modules\""}"#;
        assert!(matches!(Event::parse(other).unwrap().body, EventBody::Warning { .. }));
        assert!(Event::parse(&line[..line.len() - 2]).is_err());
    }

    #[test]
    fn a_loss_that_is_no_number_is_written_and_read() {
        for loss in [f64::NAN, f64::INFINITY] {
            let row = |loss| ReportRow { method: "merge".into(), documents: 3, loss, ..ReportRow::default() };
            let report = Report { split: "test".into(), rows: vec![row(loss), row(2.5)], ..Report::default() };
            let event = Event { v: VERSION, seq: 3, t: 1000.25, body: EventBody::Report(report) };
            let line = serde_json::to_vec(&event).unwrap();
            let EventBody::Report(read) = Event::parse(&line).unwrap().body else { panic!("{event:?}") };
            assert!(read.rows[0].loss.is_nan() && read.rows[0].documents == 3, "{read:?}");
            assert_eq!((read.rows[1].loss, read.tokens.as_str()), (2.5, ""));
        }
        // Left out is not the same as no number.
        let line = br#"{"v":1,"seq":0,"t":0,"type":"report","split":"test","rows":[{"method":"m","documents":3}]}"#;
        assert!(Event::parse(line).is_err());
    }
}
