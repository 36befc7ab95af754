//! `BERTScore` (Zhang et al. 2020, arXiv 1904.09675): how well the tokens of a summary and of its reference match by their
//! contextual embeddings. As the Python package `bert-score` gives it without idf and without rescaling.

mod encoder;
mod layers;

pub use encoder::Encoder;
use encoder::Outline;

use crate::run::event::BertScore;
use crate::{Error, Result};
use candle_core::{D, Tensor};
use std::collections::HashMap;

/// Embeddings of references are kept up to so many numbers (of 4 bytes): every method is held against the same ones.
const KEPT: usize = 64 << 20;

/// A text as an encoder has it.
#[derive(Debug, Clone)]
struct Embedded {
    /// One row a token, of length 1.
    rows: Tensor,
    /// Which of them count: all but the special ones, which others may match all the same.
    counts: Vec<bool>,
}

/// Scores summaries by one encoder.
#[derive(Debug)]
pub struct Scorer {
    encoder: Encoder,
    kept: HashMap<String, Embedded>,
    numbers: usize,
}

impl Scorer {
    /// By the encoder in a folder, and the embeddings behind its layer `layer`, 0 being those before the first. Without one
    /// it is the layer that `bert-score` takes for a model of that name, or the last.
    ///
    /// # Errors
    /// When the folder holds no encoder of a known kind, is damaged, or has no such layer.
    pub fn open(folder: &std::path::Path, layer: Option<usize>) -> Result<Self> {
        Ok(Self { encoder: Encoder::open(folder, layer)?, kept: HashMap::new(), numbers: 0 })
    }

    /// Looks at the encoder in `folder` without its weights: what a report says of it.
    ///
    /// # Errors
    /// As [`Self::open`], as far as can be told so.
    pub fn check(folder: &std::path::Path, layer: Option<usize>) -> Result<String> {
        Outline::read(folder, layer).map(|outline| outline.label())
    }

    /// What a report says of the encoder: `bert-base-uncased, layer 9`.
    pub fn label(&self) -> String {
        self.encoder.label()
    }

    /// Precision, recall and F of one summary, 0 to 1. Of an empty text all are 0.
    ///
    /// # Errors
    /// When the encoder cannot take a text, or memory is short.
    pub fn score(&mut self, reference: &str, summary: &str) -> Result<BertScore> {
        if !self.kept.contains_key(reference) {
            let embedded = self.embed(reference)?;
            self.numbers += embedded.rows.elem_count();
            if self.numbers > KEPT {
                self.kept.clear();
                self.numbers = embedded.rows.elem_count();
            }
            self.kept.insert(reference.to_owned(), embedded);
        }
        let summary = self.embed(summary)?;
        let Some(reference) = self.kept.get(reference) else { return Ok(BertScore::default()) };
        matched(reference, &summary).map_err(Error::from)
    }

    /// Means over pairs of reference and summary, percent; `None` where `progress`, called with how many are done, ends it.
    ///
    /// # Errors
    /// As [`Self::score`], or that of `progress`.
    pub fn mean<'a>(
        &mut self,
        pairs: impl ExactSizeIterator<Item = (&'a str, &'a str)>,
        progress: &mut dyn FnMut(usize, usize) -> Result<bool>,
    ) -> Result<Option<BertScore>> {
        let count = pairs.len();
        let mut sum = BertScore::default();
        for (done, (reference, summary)) in pairs.enumerate() {
            if !progress(done, count)? {
                return Ok(None);
            }
            let one = self.score(reference, summary)?;
            sum.precision += one.precision;
            sum.recall += one.recall;
            sum.f += one.f;
        }
        let mean = |sum: f64| 100.0 * sum / count.max(1) as f64;
        Ok(Some(BertScore { precision: mean(sum.precision), recall: mean(sum.recall), f: mean(sum.f) }))
    }

    fn embed(&self, text: &str) -> Result<Embedded> {
        let (ids, counts) = self.encoder.tokens(text)?;
        let rows = self.encoder.hidden(&ids)?;
        let lengths = rows.sqr()?.sum_keepdim(D::Minus1)?.sqrt()?;
        Ok(Embedded { rows: rows.broadcast_div(&lengths)?, counts })
    }
}

/// Greedy matching: of every token the best match on the other side.
fn matched(reference: &Embedded, summary: &Embedded) -> candle_core::Result<BertScore> {
    let any = |of: &Embedded| of.counts.iter().any(|counts| *counts);
    if !any(reference) || !any(summary) {
        return Ok(BertScore::default());
    }
    let similar = summary.rows.matmul(&reference.rows.t()?)?;
    let mean = |best: Vec<f32>, of: &Embedded| {
        let counted: Vec<f64> =
            best.iter().zip(&of.counts).filter(|(_, on)| **on).map(|(v, _)| f64::from(*v)).collect();
        counted.iter().sum::<f64>() / counted.len() as f64
    };
    let precision = mean(similar.max(1)?.to_vec1()?, summary);
    let recall = mean(similar.max(0)?.to_vec1()?, reference);
    let f = 2.0 * precision * recall / (precision + recall);
    Ok(BertScore { precision, recall, f: if f.is_nan() { 0.0 } else { f } })
}

#[cfg(test)]
mod tests;
