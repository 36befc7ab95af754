//! Writing summaries: batched sampling with a key-value cache.

use super::decoder::{Decoder, Pass};
use crate::Result;
use candle_core::{DType, Tensor};
use candle_transformers::generation::{LogitsProcessor, Sampling};

/// Prompt tokens that are read in one pass.
const PREFILL_TOKENS: usize = 4096;
/// Rounds that a card writes before its tokens are looked at.
const ROUNDS_ON_CARD: usize = 8;

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
/// A card goes on with the likeliest token by itself and is waited for only now and then.
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
    let is_greedy = settings.temperature <= 0.0;
    let rounds = if is_greedy && !decoder.device().is_cpu() { ROUNDS_ON_CARD } else { 1 };
    generate_in(rounds, decoder, pass, prompts, settings, progress)
}

/// As [`generate`], where tokens are looked at after every so many `rounds` (1 or more): an answer that has ended in
/// between is written on until then, and that is thrown away.
///
/// # Errors
/// As [`generate`].
pub fn generate_in(
    rounds: usize,
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
        let batch = Batch { prompts: &prompts[range.clone()], first, rounds };
        if !write(decoder, pass, batch, settings, &mut answers[range], progress)? {
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

/// Prompts that are answered together.
#[derive(Clone, Copy)]
struct Batch<'a> {
    prompts: &'a [Vec<u32>],
    /// Prompts before them.
    first: usize,
    /// Rounds after which tokens are looked at.
    rounds: usize,
}

/// One batch; false when `progress` wants to stop.
fn write(
    decoder: &Decoder,
    pass: &Pass,
    Batch { prompts, first, rounds }: Batch<'_>,
    settings: &Generation,
    answers: &mut [Vec<u32>],
    progress: &mut dyn FnMut(usize) -> Result<bool>,
) -> Result<bool> {
    if prompts.iter().any(Vec::is_empty) {
        return Err(crate::Error::user("a prompt without tokens cannot be answered"));
    }
    let tokens: Vec<u32> = prompts.concat();
    let lengths: Vec<usize> = prompts.iter().map(Vec::len).collect();
    // A stream of its own for every prompt: the answer does not depend on what else is in the batch, but for the rounding
    // of products, which a matrix unit does only for more than a few rows.
    let mut samplers: Vec<LogitsProcessor> = (0..prompts.len())
        .map(|i| LogitsProcessor::from_sampling(settings.seed.wrapping_add((first + i) as u64), settings.sampling()))
        .collect();
    let (mut ends, mut caches) = decoder.prefill(&tokens, &lengths, pass, settings.max_new_tokens)?;
    let mut active: Vec<usize> = (0..prompts.len()).collect();
    let mut unseen: Vec<Tensor> = Vec::with_capacity(rounds);
    for round in 1..=settings.max_new_tokens {
        let logits = decoder.logits(&ends)?;
        let mut next = sample(&logits, &active, &mut samplers, settings)?;
        unseen.push(next.clone());
        if unseen.len() >= rounds || round == settings.max_new_tokens {
            let keep = take(&unseen, &active, settings, answers)?;
            unseen.clear();
            if keep.contains(&false) {
                let mut flags = keep.iter();
                active.retain(|_| flags.next().copied().unwrap_or(false));
                if active.is_empty() {
                    break;
                }
                caches.retain(&keep);
                let rows: Vec<u32> = (0u32..).zip(&keep).filter_map(|(row, &kept)| kept.then_some(row)).collect();
                next = next.index_select(&Tensor::new(rows, next.device())?, 0)?;
            }
            if round == settings.max_new_tokens {
                break;
            }
            if !progress(first)? {
                return Ok(false);
            }
        }
        ends = decoder.step(&next, &mut caches, pass)?;
    }
    Ok(true)
}

/// Puts the tokens of some rounds, each one a sequence, to the answers. Whether each goes on.
fn take(unseen: &[Tensor], active: &[usize], settings: &Generation, answers: &mut [Vec<u32>]) -> Result<Vec<bool>> {
    let mut keep = vec![true; active.len()];
    for round in Tensor::stack(unseen, 0)?.to_vec2::<u32>()? {
        for ((&i, token), kept) in active.iter().zip(round).zip(&mut keep) {
            *kept &= !settings.ends.contains(&token);
            if *kept {
                answers[i].push(token);
            }
        }
    }
    Ok(keep)
}

/// The next token of each sequence, where the logits are.
fn sample(
    logits: &Tensor,
    active: &[usize],
    samplers: &mut [LogitsProcessor],
    settings: &Generation,
) -> Result<Tensor> {
    if settings.temperature <= 0.0 {
        return Ok(logits.argmax(1)?);
    }
    let logits = logits.to_dtype(DType::F32)?;
    let next: Result<Vec<u32>> =
        active.iter().enumerate().map(|(row, &i)| Ok(samplers[i].sample(&logits.get(row)?)?)).collect();
    Ok(Tensor::new(next?, logits.device())?)
}
