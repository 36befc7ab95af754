//! What a method has come to over its seeds.

use super::{Figure, Outcome};
use crate::eval::bleu::{self, Tokens};
use crate::eval::report::perplexity;
use crate::eval::rouge;
use crate::eval::segment::Segmentation;
use crate::eval::surface::{self, Surface};
use crate::run::event::BertScore;
use serde::{Deserialize, Serialize};

/// The figures of a method, each over the seeds that it was scored for.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Figures {
    /// Loss per summary token, nats.
    pub loss: Figure,
    /// The exponential of the loss.
    #[serde(default)]
    pub perplexity: Figure,
    /// ROUGE-1, F, percent.
    pub rouge1: Figure,
    /// ROUGE-1, precision, percent.
    #[serde(default)]
    pub rouge1_p: Figure,
    /// ROUGE-1, recall, percent.
    #[serde(default)]
    pub rouge1_r: Figure,
    /// ROUGE-2, F, percent.
    pub rouge2: Figure,
    /// ROUGE-2, precision, percent.
    #[serde(default)]
    pub rouge2_p: Figure,
    /// ROUGE-2, recall, percent.
    #[serde(default)]
    pub rouge2_r: Figure,
    /// ROUGE-L, F, percent.
    pub rouge_l: Figure,
    /// ROUGE-L, precision, percent.
    #[serde(default)]
    pub rouge_l_p: Figure,
    /// ROUGE-L, recall, percent.
    #[serde(default)]
    pub rouge_l_r: Figure,
    /// ROUGE-Lsum, F, percent.
    pub rouge_l_sum: Figure,
    /// Corpus BLEU, 0 to 100.
    pub bleu: Figure,
    /// Tokens of the summaries for each of the references.
    pub length: Figure,
    /// Share of the summaries' tokens that are copied from the document in fragments, 0 to 1.
    pub copied: Figure,
    /// Share of the summaries' 4-grams that stood there before, 0 to 1.
    pub repeated: Figure,
    /// Share of adapter parameters that are zero, 0 to 1.
    pub sparsity: Figure,
    /// Seconds of training.
    pub seconds: Figure,
    /// `BERTScore`: precision, recall and F, percent; where an encoder was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bert: Option<[Figure; 3]>,
}

/// A method's figures, and its ROUGE-L by document, percent, of each seed.
pub(super) struct Scored {
    pub(super) seeds: Vec<u64>,
    pub(super) figures: Figures,
    rouge_l: Vec<Vec<f64>>,
}

impl Scored {
    /// ROUGE-L by document over these seeds; scores of several are averaged document by document, as seeds are no
    /// further documents.
    pub(super) fn by_document(&self, seeds: &[u64]) -> Vec<f64> {
        let of: Vec<&Vec<f64>> =
            self.seeds.iter().zip(&self.rouge_l).filter(|(seed, _)| seeds.contains(seed)).map(|(_, all)| all).collect();
        let documents = of.first().map_or(0, |all| all.len());
        (0..documents).map(|at| of.iter().map(|all| all[at]).sum::<f64>() / of.len() as f64).collect()
    }
}

/// Scores what a method wrote, one outcome a seed.
pub(super) fn scored(outcomes: &[&Outcome], cut: Segmentation) -> Scored {
    let mut rouge_l = Vec::new();
    let mut columns: [Vec<f64>; 14] = std::array::from_fn(|_| Vec::new());
    for outcome in outcomes {
        let scores: Vec<rouge::Scores> =
            outcome.written.iter().map(|w| rouge::score(&w.reference, &w.summary, cut)).collect();
        rouge_l.push(scores.iter().map(|score| 100.0 * score.rouge_l.f).collect());
        let mean = rouge::mean_of(&scores);
        let parts = mean.parts.unwrap_or_default();
        let sums: f64 = scores.iter().map(|score| score.rouge_l_sum.f).sum();
        let pairs = outcome.written.iter().map(|w| (w.reference.as_str(), w.summary.as_str()));
        let looks: Vec<Surface> =
            outcome.written.iter().map(|w| Surface::of(&w.document, &w.reference, &w.summary, cut)).collect();
        let looks = surface::mean(&looks);
        let values = [
            mean.rouge1,
            parts.rouge1_p,
            parts.rouge1_r,
            mean.rouge2,
            parts.rouge2_p,
            parts.rouge2_r,
            mean.rouge_l,
            parts.rouge_l_p,
            parts.rouge_l_r,
            100.0 * sums / scores.len().max(1) as f64,
            bleu::corpus(pairs, Tokens::of(cut)),
            looks.length_ratio.unwrap_or(0.0),
            looks.coverage,
            looks.repetition,
        ];
        columns.iter_mut().zip(values).for_each(|(column, value)| column.push(value));
    }
    let [
        rouge1,
        rouge1_p,
        rouge1_r,
        rouge2,
        rouge2_p,
        rouge2_r,
        rouge_l_mean,
        rouge_l_p,
        rouge_l_r,
        rouge_l_sum,
        bleu,
        length,
        copied,
        repeated,
    ] = columns.map(|column| Figure::of(&column));
    let figure = |of: fn(&Outcome) -> f64| Figure::of(&outcomes.iter().map(|o| of(o)).collect::<Vec<_>>());
    let figures = Figures {
        loss: figure(|o| o.loss),
        perplexity: figure(|o| perplexity(o.loss)),
        rouge1,
        rouge1_p,
        rouge1_r,
        rouge2,
        rouge2_p,
        rouge2_r,
        rouge_l: rouge_l_mean,
        rouge_l_p,
        rouge_l_r,
        rouge_l_sum,
        bleu,
        length,
        copied,
        repeated,
        sparsity: figure(|o| o.sparsity),
        seconds: figure(|o| o.seconds),
        bert: bert(outcomes),
    };
    Scored { seeds: outcomes.iter().map(|o| o.seed).collect(), figures, rouge_l }
}

/// `BERTScore` over seeds, where all have it.
fn bert(outcomes: &[&Outcome]) -> Option<[Figure; 3]> {
    let all: Vec<BertScore> = outcomes.iter().map(|o| o.bert).collect::<Option<_>>()?;
    let figure = |of: fn(&BertScore) -> f64| Figure::of(&all.iter().map(of).collect::<Vec<_>>());
    (!all.is_empty()).then(|| [figure(|b| b.precision), figure(|b| b.recall), figure(|b| b.f)])
}
