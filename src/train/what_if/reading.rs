//! How a set does on dev documents: the loss of each, and summaries.

use super::{Asker, Subject};
use crate::Result;
use crate::data::Batch;
use crate::data::batch::micro_groups;
use crate::lora::MergedSet;
use crate::train::evaluate;
use candle_core::Tensor;
use std::collections::HashMap;
use std::ops::Range;

/// Bytes of layers' inputs that are kept, at most.
const MOST: usize = 256 << 20;

/// Why a measurement ended early.
pub(super) struct GivenUp(pub String);

/// A result, or why there is none.
pub(super) type Early<T> = Result<std::result::Result<T, GivenUp>>;

/// What went into every layer, by batch: a set that differs from some layer on only goes on from there.
pub(super) type Inputs = Vec<Vec<Tensor>>;

/// The inputs of another set's pass over the same documents.
pub(super) enum From<'a> {
    /// They are kept here, if there is room.
    Kept(&'a mut Option<Inputs>),
    /// Known, and the same up to this layer.
    Layer(usize, &'a Inputs),
    /// Not known.
    Start,
}

/// Nats and tokens of these dev documents, in their order.
pub(super) fn losses(
    subject: &Subject<'_>,
    set: &MergedSet,
    documents: &[usize],
    mut from: From<'_>,
    asker: &mut dyn Asker,
) -> Early<Vec<(f64, usize)>> {
    let decoder = &subject.task.decoder;
    let sequences = &subject.task.dev.encoded.sequences;
    let pass = decoder.pass(Some(set), None)?;
    let config = decoder.config();
    let tokens: usize = documents.iter().filter_map(|i| sequences.get(*i)).map(|s| s.tokens.len()).sum();
    let fits = tokens * config.hidden * config.layers * decoder.dtype().size_in_bytes() <= MOST;
    let mut inputs = Inputs::new();
    let mut found: HashMap<usize, (f64, usize)> = HashMap::new();
    let groups = micro_groups(sequences, documents, subject.recipe.train.micro_tokens);
    for (number, group) in groups.into_iter().enumerate() {
        let batch = Batch::pack(group.iter().map(|&i| &sequences[i]));
        let (embedded, packed) = decoder.embed(&batch.tokens, &batch.lengths)?;
        let known = match &from {
            From::Layer(layer, inputs) => {
                inputs.get(number).and_then(|all| all.get(*layer)).map(|x| (*layer, x.clone()))
            }
            _ => None,
        };
        let (first, x) = known.unwrap_or((0, embedded));
        let keeps = fits && matches!(from, From::Kept(_));
        let (mut why, mut seen) = (None, Vec::new());
        let x = decoder.forward_from(first, &x, &packed, &pass, &mut |x| {
            if keeps {
                seen.push(x.clone());
            }
            why = asker.gives_up()?;
            Ok(why.is_none())
        })?;
        let Some(x) = x else { return Ok(Err(GivenUp(why.unwrap_or_default()))) };
        inputs.push(seen);
        let losses = decoder.losses(&x, &batch.targets)?;
        // A target's row says which document it is of.
        let (mut end, mut at) = (0, 0);
        for (document, length) in group.iter().zip(&batch.lengths) {
            end += length;
            let own = batch.targets[at..].iter().take_while(|(row, _)| (*row as usize) < end).count();
            let sum = losses[at..at + own].iter().map(|&l| f64::from(l)).sum();
            found.insert(*document, (sum, own));
            at += own;
        }
    }
    if let From::Kept(kept) = &mut from {
        **kept = fits.then_some(inputs);
    }
    Ok(Ok(documents.iter().map(|i| found.get(i).copied().unwrap_or_default()).collect()))
}

/// Greedy summaries of these dev documents, written together.
pub(super) fn texts(
    subject: &Subject<'_>,
    set: &MergedSet,
    documents: &Range<usize>,
    asker: &mut dyn Asker,
) -> Early<Vec<String>> {
    let greedy = evaluate::greedy(subject.recipe);
    let mut why = None;
    let texts = evaluate::summaries_of(
        subject.task,
        Some(set),
        &subject.task.dev,
        documents.clone(),
        (&greedy, subject.recipe.seed),
        &mut |_, _| {
            why = asker.gives_up()?;
            Ok(why.is_none())
        },
    )?;
    Ok(texts.ok_or_else(|| GivenUp(why.unwrap_or_default())))
}
