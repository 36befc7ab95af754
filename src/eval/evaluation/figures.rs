//! What a method has come to over its seeds.

use super::{Figure, Outcome};
use crate::Result;
use crate::eval::bleu::{self, Tokens};
use crate::eval::report::perplexity;
use crate::eval::rouge::{self, parts::Parts};
use crate::eval::segment::Segmentation;
use crate::eval::significance::{self, Resampling};
use crate::eval::surface::{self, Surface};
use crate::run::event::{BertScore, Rouge};
use serde::{Deserialize, Deserializer, Serialize};

/// The figures of a method, each over the seeds that it was scored for.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Figures {
    /// Loss per summary token, nats.
    pub loss: Figure,
    /// The same on dev, of the state that was kept, where the trainings of all seeds have told it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dev_loss: Option<Figure>,
    /// The exponential of the loss.
    #[serde(default)]
    pub perplexity: Figure,
    /// ROUGE-1, F, percent.
    pub rouge1: Figure,
    /// ROUGE-2, F, percent.
    pub rouge2: Figure,
    /// ROUGE-L, F, percent.
    pub rouge_l: Figure,
    /// Precision and recall of these, percent.
    #[serde(flatten, deserialize_with = "parts")]
    pub parts: Parts<Figure>,
    /// ROUGE-Lsum, F, percent.
    pub rouge_l_sum: Figure,
    /// Corpus BLEU, 0 to 100.
    pub bleu: Figure,
    /// Tokens of the summaries for each of the references; NaN where no reference has one.
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

/// Those of a table of an earlier lopper, which has none, are 0.
fn parts<'de, D: Deserializer<'de>>(from: D) -> std::result::Result<Parts<Figure>, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

/// A method's figures, and its ROUGE-L by document, percent, of each seed.
pub(super) struct Scored {
    pub(super) seeds: Vec<u64>,
    /// The names of their runs.
    pub(super) runs: Vec<String>,
    pub(super) figures: Figures,
    rouge_l: Vec<Vec<f64>>,
    said: Said,
}

/// How many summaries say something.
struct Said {
    all: usize,
    /// Those without a token.
    tokenless: usize,
    /// Those of blanks alone.
    blank: usize,
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

    /// The interval of 95 % of ROUGE-L over documents; `None` of one document.
    ///
    /// # Errors
    /// When a score is no number.
    pub(super) fn bounds(&self) -> Result<Option<(f64, f64)>> {
        let scores = self.by_document(&self.seeds);
        if scores.is_empty() {
            return Ok(None);
        }
        Ok(significance::interval(&scores, &Resampling::default())?.bounds)
    }

    /// A sentence on summaries that are empty, or have nothing that a score could find; `None` where there are none.
    pub(super) fn emptiness(&self, method: &str) -> Option<String> {
        let Said { all, tokenless, blank } = self.said;
        let verb = |n: usize, one: &'static str, more: &'static str| if n == 1 { one } else { more };
        let of = format!("{tokenless} of {all} summaries of {method}");
        let part = if blank == 0 { String::new() } else { format!("; {blank} {} empty", verb(blank, "is", "are")) };
        match tokenless {
            0 => None,
            n if n == blank => Some(format!("{of} {} empty", verb(n, "is", "are"))),
            n => Some(format!("{of} {} no token as ROUGE cuts them{part}", verb(n, "has", "have"))),
        }
    }
}

/// What a method wrote under one seed, scored.
struct PerSeed {
    rouge: Rouge,
    parts: [f64; 6],
    /// ROUGE-Lsum, F, percent.
    rouge_l_sum: f64,
    /// ROUGE-L, F, by document, percent.
    rouge_l: Vec<f64>,
    bleu: f64,
    looks: surface::Mean,
    /// Summaries of blanks alone.
    blank: usize,
}

impl PerSeed {
    fn of(outcome: &Outcome, cut: Segmentation) -> Self {
        let scores: Vec<rouge::Scores> =
            outcome.written.iter().map(|w| rouge::score(&w.reference, &w.summary, cut)).collect();
        let rouge = rouge::mean_of(&scores);
        let sums: f64 = scores.iter().map(|score| score.rouge_l_sum.f).sum();
        let pairs = outcome.written.iter().map(|w| (w.reference.as_str(), w.summary.as_str()));
        let looks: Vec<Surface> =
            outcome.written.iter().map(|w| Surface::of(&w.document, &w.reference, &w.summary, cut)).collect();
        Self {
            rouge,
            parts: rouge.parts.unwrap_or_default().all(),
            rouge_l_sum: 100.0 * sums / scores.len().max(1) as f64,
            rouge_l: scores.iter().map(|score| 100.0 * score.rouge_l.f).collect(),
            bleu: bleu::corpus(pairs, Tokens::of(cut)),
            looks: surface::mean(&looks),
            blank: outcome.written.iter().filter(|w| w.summary.trim().is_empty()).count(),
        }
    }
}

/// Scores what a method wrote, one outcome a seed.
pub(super) fn scored(outcomes: &[&Outcome], cut: Segmentation) -> Scored {
    let seeds: Vec<PerSeed> = outcomes.iter().map(|outcome| PerSeed::of(outcome, cut)).collect();
    let of = |value: fn(&PerSeed) -> f64| Figure::of(&seeds.iter().map(value).collect::<Vec<_>>());
    let told = |value: fn(&Outcome) -> f64| Figure::of(&outcomes.iter().map(|o| value(o)).collect::<Vec<_>>());
    let part = |at: usize| Figure::of(&seeds.iter().map(|s| s.parts[at]).collect::<Vec<_>>());
    let parts: [Figure; 6] = std::array::from_fn(part);
    let figures = Figures {
        loss: told(|o| o.loss),
        dev_loss: dev_loss(outcomes),
        perplexity: told(|o| perplexity(o.loss)),
        rouge1: of(|s| s.rouge.rouge1),
        rouge2: of(|s| s.rouge.rouge2),
        rouge_l: of(|s| s.rouge.rouge_l),
        parts: Parts::from(parts),
        rouge_l_sum: of(|s| s.rouge_l_sum),
        bleu: of(|s| s.bleu),
        length: of(|s| s.looks.length_ratio.unwrap_or(f64::NAN)),
        copied: of(|s| s.looks.coverage),
        repeated: of(|s| s.looks.repetition),
        sparsity: told(|o| o.sparsity),
        seconds: told(|o| o.seconds),
        bert: bert(outcomes),
    };
    let counted = |value: fn(&PerSeed) -> usize| seeds.iter().map(value).sum::<usize>();
    let said = Said {
        all: counted(|s| s.looks.documents),
        tokenless: counted(|s| s.looks.empty),
        blank: counted(|s| s.blank),
    };
    Scored {
        seeds: outcomes.iter().map(|o| o.seed).collect(),
        runs: outcomes.iter().map(|o| o.run.clone()).filter(|run| !run.is_empty()).collect(),
        figures,
        said,
        rouge_l: seeds.into_iter().map(|seed| seed.rouge_l).collect(),
    }
}

/// The loss on dev over seeds, where all have it.
fn dev_loss(outcomes: &[&Outcome]) -> Option<Figure> {
    let all: Vec<f64> = outcomes.iter().map(|o| o.dev_loss).collect::<Option<_>>()?;
    (!all.is_empty()).then(|| Figure::of(&all))
}

/// `BERTScore` over seeds, where all have it.
fn bert(outcomes: &[&Outcome]) -> Option<[Figure; 3]> {
    let all: Vec<BertScore> = outcomes.iter().map(|o| o.bert).collect::<Option<_>>()?;
    let figure = |of: fn(&BertScore) -> f64| Figure::of(&all.iter().map(of).collect::<Vec<_>>());
    (!all.is_empty()).then(|| [figure(|b| b.precision), figure(|b| b.recall), figure(|b| b.f)])
}
