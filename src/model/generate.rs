//! Writing summaries: batched sampling with a key-value cache.

use super::decoder::{Decoder, Pass};
use crate::Result;
use candle_core::{DType, Tensor};
use candle_transformers::generation::{LogitsProcessor, Sampling};

/// Prompt tokens that are read in one pass.
const PREFILL_TOKENS: usize = 4096;

/// How to write.
#[derive(Debug, Clone, PartialEq)]
pub struct Generation {
    /// Longest answer, in tokens.
    pub max_new_tokens: usize,
    /// 0 for greedy.
    pub temperature: f64,
    /// Nucleus, 0 to 1.
    pub top_p: f64,
    /// Seed of the sampling.
    pub seed: u64,
    /// Tokens that end an answer; they are not part of it.
    pub ends: Vec<u32>,
}

impl Generation {
    fn sampling(&self) -> Sampling {
        if self.temperature <= 0.0 {
            Sampling::ArgMax
        } else if self.top_p >= 1.0 {
            Sampling::All { temperature: self.temperature }
        } else {
            Sampling::TopP { p: self.top_p, temperature: self.temperature }
        }
    }
}

/// The answer to each of `prompts`, in order. `progress` gets the number of finished prompts and says
/// whether to go on; when it says no, what is written so far comes back.
///
/// # Errors
/// When a prompt is empty or memory is short.
pub fn generate(
    decoder: &Decoder,
    pass: &Pass,
    prompts: &[Vec<u32>],
    settings: &Generation,
    progress: &mut dyn FnMut(usize) -> Result<bool>,
) -> Result<Vec<Vec<u32>>> {
    let mut answers = vec![Vec::new(); prompts.len()];
    let mut first = 0;
    while first < prompts.len() {
        let count = together(prompts[first..].iter().map(Vec::len));
        let range = first..first + count;
        if !write(decoder, pass, &prompts[range.clone()], settings, first, &mut answers[range], progress)? {
            break;
        }
        first += count;
        if !progress(first)? {
            break;
        }
    }
    Ok(answers)
}

/// How many prompts of these lengths are answered together, the first ones: at least one if there is one.
pub fn together(lengths: impl Iterator<Item = usize>) -> usize {
    let mut tokens = 0;
    lengths
        .enumerate()
        .take_while(|(i, length)| {
            tokens += length;
            *i == 0 || tokens <= PREFILL_TOKENS
        })
        .count()
}

/// One batch; false when `progress` wants to stop.
fn write(
    decoder: &Decoder,
    pass: &Pass,
    prompts: &[Vec<u32>],
    settings: &Generation,
    done: usize,
    answers: &mut [Vec<u32>],
    progress: &mut dyn FnMut(usize) -> Result<bool>,
) -> Result<bool> {
    if prompts.iter().any(Vec::is_empty) {
        return Err(crate::Error::user("a prompt without tokens cannot be answered"));
    }
    let tokens: Vec<u32> = prompts.concat();
    let lengths: Vec<usize> = prompts.iter().map(Vec::len).collect();
    // A stream of its own for every prompt: the answer does not depend on what else is in the batch.
    let mut samplers: Vec<LogitsProcessor> = (0..prompts.len())
        .map(|i| LogitsProcessor::from_sampling(settings.seed.wrapping_add((done + i) as u64), settings.sampling()))
        .collect();
    let (mut rows, mut caches) = decoder.prefill(&tokens, &lengths, pass, settings.max_new_tokens)?;
    let mut active: Vec<usize> = (0..prompts.len()).collect();
    for round in 0..settings.max_new_tokens {
        let logits = decoder.logits(&rows)?;
        let next = sample(&logits, &active, &mut samplers, settings)?;
        let keep: Vec<bool> = next.iter().map(|t| !settings.ends.contains(t)).collect();
        for ((&i, &token), &kept) in active.iter().zip(&next).zip(&keep) {
            if kept {
                answers[i].push(token);
            }
        }
        if round + 1 == settings.max_new_tokens {
            break;
        }
        let mut flags = keep.iter();
        active.retain(|_| flags.next().copied().unwrap_or(false));
        if active.is_empty() {
            break;
        }
        caches.retain(&keep);
        let next: Vec<u32> = next.into_iter().zip(&keep).filter_map(|(t, &k)| k.then_some(t)).collect();
        rows = decoder.step(&next, &mut caches, pass)?;
        if !progress(done)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn sample(
    logits: &Tensor,
    active: &[usize],
    samplers: &mut [LogitsProcessor],
    settings: &Generation,
) -> Result<Vec<u32>> {
    if settings.temperature <= 0.0 {
        return Ok(logits.argmax(1)?.to_vec1()?);
    }
    let logits = logits.to_dtype(DType::F32)?;
    active.iter().enumerate().map(|(row, &i)| Ok(samplers[i].sample(&logits.get(row)?)?)).collect()
}
