//! What the examples of a recipe become: counts, lengths, and the first of them as the model reads them.

use super::dataset::{self, Dataset, Fields};
use super::template::{Encoded, Template};
use super::tokenizer::Tokenizer;
use crate::eval::segment::{self, Segmentation};
use crate::model::config::Config;
use crate::recipe::Recipe;
use crate::text::{printable, printable_lines};
use crate::{Error, Result};
use std::path::PathBuf;

/// The data of a recipe as the model reads it.
#[derive(Debug, Clone, PartialEq, Default, serde::Serialize)]
pub struct Preview {
    /// Train, dev and, if the recipe names one, test.
    pub splits: Vec<Split>,
    /// What is odd about them, such as documents in two splits; safe to show.
    pub warnings: Vec<String>,
    /// Longest sequence that the base can take, tokens.
    pub context: usize,
}

/// One split.
#[derive(Debug, Clone, PartialEq, Default, serde::Serialize)]
pub struct Split {
    /// `train`, `dev` or `test`.
    pub name: &'static str,
    /// Its file.
    #[serde(serialize_with = "crate::text::path_as_text")]
    pub path: PathBuf,
    /// Examples that are used.
    pub examples: usize,
    /// The first of them.
    pub first: Vec<Shown>,
    /// How many documents are cut.
    pub cut: usize,
    /// Document tokens that are cut away, over all of them.
    pub tokens_cut: usize,
    /// Tokens of the whole documents, before they are cut.
    pub document: Lengths,
    /// Tokens of the prompts: frame and document after the cut.
    pub prompt: Lengths,
    /// Tokens of the summaries with their end.
    pub summary: Lengths,
    /// Prompt tokens and all tokens of each example, in the file's order.
    #[serde(skip)]
    pub sequences: Vec<(usize, usize)>,
}

/// One example as the model reads it.
#[derive(Debug, Clone, PartialEq, Default, serde::Serialize)]
pub struct Shown {
    /// Its id, safe to show.
    pub id: String,
    /// Its line in the file, from 1.
    pub line: usize,
    /// The prompt as rendered, with the document as it was cut and the chat template if it is used; safe to show,
    /// line breaks kept.
    pub prompt: String,
    /// The human summary; safe to show, line breaks kept.
    pub summary: String,
    /// Tokens of the whole document.
    pub document_tokens: usize,
    /// Tokens of it that are kept; the same where nothing is cut.
    pub kept_tokens: usize,
    /// Tokens of the prompt.
    pub prompt_tokens: usize,
    /// Tokens of the summary with its end.
    pub summary_tokens: usize,
}

/// Lengths in tokens.
#[derive(Debug, Clone, PartialEq, Default, serde::Serialize)]
pub struct Lengths {
    /// The shortest.
    pub least: usize,
    /// The middle one.
    pub median: usize,
    /// Nine tenths are at most this long.
    pub p90: usize,
    /// The longest.
    pub most: usize,
    /// All together.
    pub total: usize,
    /// Width of a bar of `bars`, tokens: 1, 2 or 5 times a power of ten.
    pub width: usize,
    /// How many are 0 to below `width` long, `width` to below 2 · `width`, …; at most 20 bars.
    pub bars: Vec<usize>,
}

/// Widest histogram.
const BARS: usize = 20;

impl Lengths {
    /// Of `all`, in any order.
    pub fn of(mut all: Vec<usize>) -> Self {
        all.sort_unstable();
        let (Some(&least), Some(&most)) = (all.first(), all.last()) else { return Self::default() };
        let at = |share: f64| all[((all.len() - 1) as f64 * share).ceil() as usize];
        let width = (0..).flat_map(|power| [1, 2, 5].map(|digit| digit * 10usize.pow(power)));
        let width = width.take(40).find(|width| most / width < BARS).unwrap_or(most);
        let mut bars = vec![0; most / width + 1];
        all.iter().for_each(|length| bars[length / width] += 1);
        Self { least, median: all[(all.len() - 1) / 2], p90: at(0.9), most, total: all.iter().sum(), width, bars }
    }
}

/// Reads the data of `recipe` with its base's tokenizer and template, as training does; shows the first `limit`
/// examples of each split.
///
/// # Errors
/// As training would: names file and line of an example that is malformed or does not fit, or what is wrong with
/// the tokenizer or the prompt.
pub fn preview(recipe: &Recipe, limit: usize) -> Result<Preview> {
    let Config { max_position: context, vocab, .. } = Config::read(&recipe.base)?;
    let tokenizer = Tokenizer::read(&recipe.base)?;
    let template = Template::new(&tokenizer, &recipe.data, context)?;
    let data = &recipe.data;
    let test = data.test.as_ref().map(|path| ("test", path, data.test_limit));
    let named = [("train", &data.train, data.train_limit), ("dev", &data.dev, data.dev_limit)];
    let mut splits = Vec::new();
    let mut read = Vec::new();
    for (name, path, most) in named.into_iter().chain(test) {
        let dataset = Dataset::read(path, Fields::from(data), most)?;
        let encoded = template.encode(&dataset, recipe.samples.max_new_tokens)?;
        known(&dataset, &encoded, vocab)?;
        splits.push(split(name, &template, &encoded, &dataset, limit)?);
        read.push((name, dataset));
    }
    let examples: Vec<_> = read.iter().map(|(name, set)| (*name, &set.examples[..])).collect();
    let mut warnings = dataset::leaks(&examples);
    // The split that is scored: test, or dev where there is none.
    if let Some((_, scored)) = examples.last() {
        let references = || scored.iter().map(|example| example.summary.as_str());
        warnings.extend(segment::tokenless(references(), Segmentation::of(references())?));
    }
    Ok(Preview { splits, warnings, context })
}

/// Refuses tokens that the base has no row for: a run would find them in the middle of its work.
fn known(dataset: &Dataset, encoded: &Encoded, vocab: usize) -> Result<()> {
    for (example, sequence) in dataset.examples.iter().zip(&encoded.sequences) {
        if let Some(token) = sequence.tokens.iter().find(|token| **token as usize >= vocab) {
            return Err(Error::user(format!(
                "{}: token {token} is outside the base's vocabulary of {vocab}: the tokenizer belongs to another model, \
                 or tokens were added to it and not to the base",
                dataset.place(example)
            )));
        }
    }
    Ok(())
}

fn split(
    name: &'static str,
    template: &Template<'_>,
    encoded: &Encoded,
    dataset: &Dataset,
    limit: usize,
) -> Result<Split> {
    let mut whole = Vec::with_capacity(dataset.examples.len());
    let (mut cut, mut tokens_cut) = (0, 0);
    let mut first = Vec::new();
    for (i, ((example, document), sequence)) in
        dataset.examples.iter().zip(&encoded.documents).zip(&encoded.sequences).enumerate()
    {
        let tokens = template.document_tokens(&example.document)?;
        let mut kept = tokens;
        if document.len() < example.document.len() {
            kept = template.document_tokens(document)?;
            cut += 1;
            tokens_cut += tokens.saturating_sub(kept);
        }
        whole.push(tokens);
        if i < limit {
            first.push(Shown {
                id: printable(&example.id).into_owned(),
                line: example.line,
                prompt: printable_lines(&template.rendered(document)?),
                summary: printable_lines(&example.summary),
                document_tokens: tokens,
                kept_tokens: kept,
                prompt_tokens: sequence.prompt,
                summary_tokens: sequence.tokens.len() - sequence.prompt,
            });
        }
    }
    let sequences: Vec<_> = encoded.sequences.iter().map(|s| (s.prompt, s.tokens.len())).collect();
    Ok(Split {
        name,
        path: dataset.path.clone(),
        examples: dataset.examples.len(),
        first,
        cut,
        tokens_cut,
        document: Lengths::of(whole),
        prompt: Lengths::of(sequences.iter().map(|s| s.0).collect()),
        summary: Lengths::of(sequences.iter().map(|s| s.1 - s.0).collect()),
        sequences,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_token_that_the_base_does_not_have_is_told_with_its_line() {
        use crate::data::{Example, Sequence};
        let example = |line| Example { id: String::new(), document: "a".into(), summary: "b".into(), line };
        let dataset = Dataset { path: "dev.jsonl".into(), examples: vec![example(1), example(3)] };
        let sequence = |tokens: &[u32]| Sequence { tokens: tokens.to_vec(), prompt: 1 };
        let encoded = Encoded { sequences: vec![sequence(&[0, 7]), sequence(&[1, 8, 2])], ..Encoded::default() };
        assert_eq!(known(&dataset, &encoded, 9), Ok(()));
        let error = known(&dataset, &encoded, 8).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().starts_with("dev.jsonl:3: token 8 is outside the base's vocabulary of 8"), "{error}");
    }

    #[test]
    fn lengths_are_counted_and_lie_in_round_bars() {
        let lengths = Lengths::of(vec![7, 3, 120, 45, 46, 0, 99, 100, 8, 9]);
        assert_eq!((lengths.least, lengths.median, lengths.p90, lengths.most, lengths.total), (0, 9, 120, 120, 437));
        assert_eq!((lengths.width, lengths.bars.len(), lengths.bars.iter().sum::<usize>()), (10, 13, 10));
        assert_eq!((lengths.bars[0], lengths.bars[4], lengths.bars[12]), (5, 2, 1));
        assert_eq!(Lengths::of(vec![5]).bars, [0, 0, 0, 0, 0, 1]);
        assert_eq!(Lengths::of(Vec::new()), Lengths::default());
    }
}
