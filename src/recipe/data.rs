//! Where the examples are and how they are put to the model.

use super::range;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Where the examples are and how they are put to the model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Data {
    /// Training examples, JSONL.
    pub train: PathBuf,
    /// Dev examples, JSONL: early stopping, samples.
    pub dev: PathBuf,
    /// Test examples, JSONL: the report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<PathBuf>,
    /// Name of the document field.
    #[serde(default = "document")]
    pub document: String,
    /// Name of the summary field.
    #[serde(default = "summary")]
    pub summary: String,
    /// Name of the id field; line numbers are used where it is missing.
    #[serde(default = "id")]
    pub id: String,
    /// Use at most this many training examples (the first ones), 0 for all.
    #[serde(default)]
    pub train_limit: usize,
    /// Use at most this many dev examples, 0 for all.
    #[serde(default)]
    pub dev_limit: usize,
    /// Use at most this many test examples, 0 for all.
    #[serde(default)]
    pub test_limit: usize,
    /// The prompt, a Jinja template over `document`; the summary follows it after one space.
    #[serde(default = "prompt")]
    pub prompt: String,
    /// Wrap the prompt as a user turn of the tokenizer's chat template (the summary is the answer).
    #[serde(default)]
    pub chat_template: bool,
    /// Documents are cut to this many tokens; summaries never are.
    #[serde(default = "max_document_tokens")]
    pub max_document_tokens: usize,
}

fn document() -> String {
    "document".into()
}

fn summary() -> String {
    "summary".into()
}

fn id() -> String {
    "id".into()
}

fn prompt() -> String {
    "Summarize the article.\n\nArticle: {{ document }}\n\nSummary:".into()
}

fn max_document_tokens() -> usize {
    1024
}

impl Data {
    pub(super) fn validate(&self) -> Result<()> {
        let files = [("train", Some(&self.train)), ("dev", Some(&self.dev)), ("test", self.test.as_ref())];
        if let Some((key, _)) = files.iter().find(|(_, path)| path.is_some_and(|p| p.as_os_str().is_empty())) {
            return Err(Error::user(format!("data.{key} = \"\": a file is needed")));
        }
        range::at_least_one("data.max_document_tokens", self.max_document_tokens)
    }
}
