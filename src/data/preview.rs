//! What the examples of a recipe become: counts, lengths, and the first of them as the model reads them.

use crate::recipe::Recipe;
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

/// Reads the data of `recipe` with its base's tokenizer and template, as training does; shows the first `limit`
/// examples of each split.
///
/// # Errors
/// As training would: names file and line of an example that is malformed or does not fit, or what is wrong with
/// the tokenizer or the prompt.
pub fn preview(recipe: &Recipe, limit: usize) -> Result<Preview> {
    let _ = (recipe, limit);
    Err(Error::fault("not there yet"))
}
