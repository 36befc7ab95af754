//! Loss and summaries of a split.

use super::task::{Split, Task};
use crate::Result;
use crate::data::batch;
use crate::eval::bertscore::Scorer;
use crate::eval::rouge;
use crate::lora::MergedSet;
use crate::model::generate::{Generation, generate};
use crate::recipe::{Recipe, Samples};
use crate::run::event::{BertScore, Rouge};
use std::ops::Range;

/// Called between pieces of work with (done, total); says whether to go on.
pub type Progress<'a> = dyn FnMut(usize, usize) -> Result<bool> + 'a;

/// Mean loss per summary token over a split, in nats; `None` when `progress` stopped it.
///
/// # Errors
/// When memory is short.
pub fn loss(
    task: &Task,
    set: Option<&MergedSet>,
    split: &Split,
    micro_tokens: usize,
    progress: &mut Progress<'_>,
) -> Result<Option<f64>> {
    loss_of_first(task, set, split, usize::MAX, micro_tokens, progress)
}

/// As [`loss`], of the first `limit` examples.
///
/// # Errors
/// When memory is short.
pub fn loss_of_first(
    task: &Task,
    set: Option<&MergedSet>,
    split: &Split,
    limit: usize,
    micro_tokens: usize,
    progress: &mut Progress<'_>,
) -> Result<Option<f64>> {
    let pass = task.decoder.pass(set, None)?;
    let all: Vec<usize> = (0..split.encoded.sequences.len().min(limit)).collect();
    let (mut sum, mut count, mut done) = (0.0, 0, 0);
    for batch in batch::micro_batches(&split.encoded.sequences, &all, micro_tokens) {
        let (x, packed) = task.decoder.embed(&batch.tokens, &batch.lengths)?;
        let x = task.decoder.forward_hidden(&x, &packed, &pass)?;
        sum += task.decoder.loss(&x, &batch.targets, None)?.0;
        count += batch.targets.len();
        done += batch.lengths.len();
        if !progress(done, all.len())? {
            return Ok(None);
        }
    }
    Ok(Some(sum / count.max(1) as f64))
}

/// Summaries of the first `limit` documents of a split, with control characters made visible; `None`
/// when `progress` stopped it.
///
/// # Errors
/// When memory is short.
pub fn summaries(
    task: &Task,
    set: Option<&MergedSet>,
    split: &Split,
    limit: usize,
    (samples, seed): (&Samples, u64),
    progress: &mut Progress<'_>,
) -> Result<Option<Vec<String>>> {
    summaries_of(task, set, split, 0..limit, (samples, seed), progress)
}

/// As [`summaries`], of the documents in `chosen`.
///
/// # Errors
/// When memory is short.
pub fn summaries_of(
    task: &Task,
    set: Option<&MergedSet>,
    split: &Split,
    chosen: Range<usize>,
    (samples, seed): (&Samples, u64),
    progress: &mut Progress<'_>,
) -> Result<Option<Vec<String>>> {
    let pass = task.decoder.pass(set, None)?;
    let mut prompts = split.encoded.prompts();
    prompts.truncate(chosen.end);
    prompts.drain(..chosen.start.min(prompts.len()));
    let settings = Generation {
        max_new_tokens: samples.max_new_tokens,
        temperature: samples.temperature,
        top_p: samples.top_p,
        // A document's own, whatever is written beside it.
        seed: seed.wrapping_add(chosen.start as u64),
        ends: task.tokenizer.ends().to_vec(),
    };
    let mut stopped = false;
    let answers = generate(&task.decoder, &pass, &prompts, &settings, &mut |done| {
        let go_on = progress(done, prompts.len())?;
        stopped |= !go_on;
        Ok(go_on)
    })?;
    if stopped {
        return Ok(None);
    }
    let text = |ids: &Vec<u32>| Ok(crate::text::printable_lines(task.tokenizer.decode(ids)?.trim()));
    answers.iter().map(text).collect::<Result<_>>().map(Some)
}

/// Greedy settings with the recipe's length: what reports are made with.
pub fn greedy(recipe: &Recipe) -> Samples {
    Samples { temperature: 0.0, ..recipe.samples }
}

/// Mean `BERTScore` of `texts` against a split's references, where the recipe names an encoder; `None` within when `progress`
/// stopped it.
///
/// # Errors
/// When the encoder cannot take a text, or memory is short.
pub fn bertscore(
    task: &Task,
    split: &Split,
    texts: &[String],
    progress: &mut Progress<'_>,
) -> Result<Option<Option<BertScore>>> {
    let Some(encoder) = &task.encoder else { return Ok(Some(None)) };
    // Not kept: it may be larger than the base.
    let mut scorer = Scorer::open(&encoder.folder, encoder.layer).map_err(|e| e.at("eval.encoder"))?;
    let pairs: Vec<_> = split.references.iter().map(String::as_str).zip(texts.iter().map(String::as_str)).collect();
    Ok(scorer.mean(pairs.into_iter(), progress)?.map(Some))
}

/// Mean ROUGE of `texts` against a split's references.
pub fn rouge(task: &Task, split: &Split, texts: &[String]) -> Rouge {
    rouge::mean(split.references.iter().map(String::as_str).zip(texts.iter().map(String::as_str)), task.segmentation)
}
