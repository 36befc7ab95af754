//! A model's tokenizer: tokenizer.json and what the other files say of special tokens.

use crate::contained::{contained, deep};
use crate::text::printable;
use crate::{Error, Result};
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Text to token ids and back.
#[derive(Debug, Clone)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    /// Tokens that end an answer.
    ends: Vec<u32>,
    /// The token that is appended to a training summary.
    eos: u32,
    bos_text: String,
    eos_text: String,
    chat_template: Option<String>,
}

/// No configuration beside a tokenizer is longer.
const MAX_FILE: u64 = 16 << 20;
/// No tokenizer is longer; that of Qwen3 has 11 MB.
const MAX_TOKENIZER: u64 = 256 << 20;

/// Reads a JSON object of the model folder; an empty one where the file is missing.
fn json(folder: &Path, name: &str) -> Result<Map<String, Value>> {
    let path = folder.join(name);
    let shown = || printable(&path.display().to_string()).into_owned();
    let bytes = match crate::bounded::bytes(&path, MAX_FILE) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Map::new()),
        Err(e) => return Err(Error::io("read", &path, &e)),
    };
    match serde_json::from_slice(&bytes) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(Error::user(format!("{}: a JSON object is needed", shown()))),
        Err(e) => Err(Error::user(format!("{} is not valid JSON: {e}", shown()))),
    }
}

/// What is said where the library gives up on a tokenizer.
const BROKEN: &str = "its parts contradict each other";

/// What the library makes of a text.
fn worked<T>(work: impl FnOnce() -> tokenizers::Result<T>) -> Result<T> {
    match contained(work) {
        Some(done) => done.map_err(|e| Error::fault(format!("the tokenizer failed: {}", printable(&e.to_string())))),
        None => Err(Error::user(format!("the base's tokenizer.json cannot be used: {BROKEN}"))),
    }
}

/// The tokenizer's file in a model folder.
///
/// # Errors
/// When it is missing.
pub fn file(folder: &Path) -> Result<PathBuf> {
    let path = folder.join("tokenizer.json");
    if path.is_file() {
        return Ok(path);
    }
    Err(Error::user(format!(
        "{} is missing; save the tokenizer with transformers' save_pretrained (a fast tokenizer writes it)",
        printable(&path.display().to_string())
    )))
}

/// Whether a model folder has a chat template; its tokenizer is not read.
///
/// # Errors
/// When a file is there and cannot be read.
pub fn has_chat_template(folder: &Path) -> Result<bool> {
    Ok(chat_template(folder, &json(folder, "tokenizer_config.json")?)?.is_some())
}

/// A special token, written as text or as an object with `content`.
fn text_of(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::String(text) => Some(text.clone()),
        Value::Object(object) => object.get("content")?.as_str().map(str::to_owned),
        _ => None,
    }
}

/// An id or a list of ids.
fn ids_of(value: Option<&Value>) -> Vec<u32> {
    let id = |v: &Value| v.as_u64().and_then(|id| u32::try_from(id).ok());
    match value {
        Some(Value::Array(ids)) => ids.iter().filter_map(id).collect(),
        Some(value) => id(value).into_iter().collect(),
        None => Vec::new(),
    }
}

impl Tokenizer {
    /// Reads `tokenizer.json`, `tokenizer_config.json`, `special_tokens_map.json`, `generation_config.json`,
    /// `config.json` and `chat_template.jinja` of a model folder, as far as they are there.
    ///
    /// # Errors
    /// When there is no usable tokenizer.json, or the end-of-sequence token is not known.
    pub fn read(folder: &Path) -> Result<Self> {
        let path = file(folder)?;
        let bytes = crate::bounded::bytes(&path, MAX_TOKENIZER).map_err(|e| Error::io("read", &path, &e))?;
        let refused = |why: String| {
            let place = printable(&path.display().to_string()).into_owned();
            Error::user(format!("{place} is not a tokenizer: {}", printable(&why)))
        };
        // The library takes it for granted that it is JSON, in some places.
        serde_json::from_slice::<serde::de::IgnoredAny>(&bytes).map_err(|e| refused(e.to_string()))?;
        let mut inner = deep(|| tokenizers::Tokenizer::from_bytes(&bytes).map_err(|e| e.to_string()))?
            .unwrap_or_else(|| Err(BROKEN.into()))
            .map_err(refused)?;
        // Training cuts documents itself, by sense; a limit in the file would cut summaries.
        inner.with_truncation(None).map_err(|e| Error::fault(e.to_string()))?;
        inner.with_padding(None);
        let config = json(folder, "tokenizer_config.json")?;
        let map = json(folder, "special_tokens_map.json")?;
        let model = json(folder, "config.json")?;
        let generation = json(folder, "generation_config.json")?;
        let special = |name: &str| text_of(config.get(name)).or_else(|| text_of(map.get(name))).unwrap_or_default();
        let (bos_text, eos_text) = (special("bos_token"), special("eos_token"));
        let mut ends: BTreeSet<u32> = ids_of(generation.get("eos_token_id")).into_iter().collect();
        ends.extend(ids_of(model.get("eos_token_id")));
        let named = inner.token_to_id(&eos_text);
        ends.extend(named);
        let by_id = || [&model, &generation].iter().find_map(|said| ids_of(said.get("eos_token_id")).first().copied());
        let Some(eos) = named.or_else(by_id) else {
            return Err(Error::user(format!(
                "{}: no end-of-sequence token: neither eos_token in tokenizer_config.json nor eos_token_id in \
                 config.json or generation_config.json names one",
                printable(&folder.display().to_string())
            )));
        };
        Ok(Self {
            chat_template: chat_template(folder, &config)?,
            inner,
            ends: ends.into_iter().collect(),
            eos,
            bos_text,
            eos_text,
        })
    }

    /// The ids of `text`; with `special` behind what the tokenizer begins a text with: a beginning token, if it adds
    /// one. What it ends a text with is left out: a prompt goes on.
    ///
    /// # Errors
    /// When the tokenizer refuses the text.
    pub fn encode(&self, text: &str, special: bool) -> Result<Vec<u32>> {
        let encoding = worked(|| self.inner.encode_fast(text, special))?;
        let ids = encoding.get_ids();
        let added = encoding.get_special_tokens_mask().iter().rev().take_while(|added| **added == 1).count();
        // Of an empty text nothing tells its beginning from its end.
        let kept = if special && added < ids.len() { ids.len() - added } else { ids.len() };
        Ok(ids[..kept].to_vec())
    }

    /// The ids of `text` and the byte after each of them.
    ///
    /// # Errors
    /// When the tokenizer refuses the text.
    pub fn encode_with_ends(&self, text: &str) -> Result<Vec<(u32, usize)>> {
        let encoding = worked(|| self.inner.encode(text, false))?;
        Ok(encoding.get_ids().iter().copied().zip(encoding.get_offsets().iter().map(|o| o.1)).collect())
    }

    /// The text of `ids`, special tokens left out.
    ///
    /// # Errors
    /// When the tokenizer refuses the ids.
    pub fn decode(&self, ids: &[u32]) -> Result<String> {
        worked(|| self.inner.decode(ids, true))
    }

    /// Tokens that end an answer.
    pub fn ends(&self) -> &[u32] {
        &self.ends
    }

    /// The token that ends a training summary.
    pub fn eos(&self) -> u32 {
        self.eos
    }

    /// Size of the vocabulary, added tokens included.
    pub fn vocabulary(&self) -> usize {
        self.inner.get_vocab_size(true)
    }

    /// The chat template, if the model has one.
    pub fn chat_template(&self) -> Option<&str> {
        self.chat_template.as_deref()
    }

    /// Text of the beginning token, empty if there is none.
    pub fn bos_text(&self) -> &str {
        &self.bos_text
    }

    /// Text of the end token, empty if it has none.
    pub fn eos_text(&self) -> &str {
        &self.eos_text
    }
}

/// `chat_template.jinja`, or the one in `tokenizer_config.json`: text, or a list with one named `default`.
fn chat_template(folder: &Path, config: &Map<String, Value>) -> Result<Option<String>> {
    let path = folder.join("chat_template.jinja");
    match crate::bounded::text(&path, MAX_FILE) {
        Ok(text) => return Ok(Some(text)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
        Err(e) => return Err(Error::io("read", &path, &e)),
    }
    Ok(match config.get("chat_template") {
        Some(Value::String(text)) => Some(text.clone()),
        Some(Value::Array(named)) => named
            .iter()
            .find(|t| t.get("name").and_then(Value::as_str) == Some("default"))
            .and_then(|t| t.get("template")?.as_str())
            .map(str::to_owned),
        _ => None,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn fixture() -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/template/tokenizer")
    }

    #[test]
    fn special_tokens_come_from_every_file() {
        let tokenizer = Tokenizer::read(&fixture()).unwrap();
        assert_eq!((tokenizer.eos(), tokenizer.ends()), (0, &[0, 2][..]));
        assert_eq!((tokenizer.bos_text(), tokenizer.eos_text()), ("<|begin|>", "<|end|>"));
        assert!(tokenizer.chat_template().unwrap().starts_with("{{ bos_token }}"));
        let ids = tokenizer.encode("a game 日本 👩", true).unwrap();
        assert_eq!(ids[0], 1);
        assert_eq!(tokenizer.decode(&ids).unwrap(), "a game 日本 👩");
    }

    /// Words, with `<s>` before a text and `</s>` behind it.
    fn framing(folder: &Path) {
        let special = |id: u32, text: &str| {
            serde_json::json!({"id": id, "content": text, "single_word": false, "lstrip": false, "rstrip": false,
                "normalized": false, "special": true})
        };
        let token = |text: &str| serde_json::json!({"SpecialToken": {"id": text, "type_id": 0}});
        let sequence = |id: &str| serde_json::json!({"Sequence": {"id": id, "type_id": 0}});
        let ids = |id: u32, text: &str| serde_json::json!({"id": text, "ids": [id], "tokens": [text]});
        let text = serde_json::json!({
            "version": "1.0",
            "added_tokens": [special(0, "<s>"), special(1, "</s>")],
            "pre_tokenizer": {"type": "Whitespace"},
            "post_processor": {
                "type": "TemplateProcessing",
                "single": [token("<s>"), sequence("A"), token("</s>")],
                "pair": [sequence("A"), sequence("B")],
                "special_tokens": {"<s>": ids(0, "<s>"), "</s>": ids(1, "</s>")},
            },
            "model": {"type": "WordLevel", "vocab": {"<s>": 0, "</s>": 1, "a": 2, "game": 3}, "unk_token": "a"},
        });
        std::fs::write(folder.join("tokenizer.json"), text.to_string()).unwrap();
    }

    #[test]
    fn an_end_that_a_tokenizer_adds_is_no_part_of_a_prompt() {
        let folder = tempfile::tempdir().unwrap();
        framing(folder.path());
        std::fs::write(folder.path().join("tokenizer_config.json"), r#"{"eos_token": "</s>"}"#).unwrap();
        let tokenizer = Tokenizer::read(folder.path()).unwrap();
        assert_eq!(tokenizer.encode("a game", true).unwrap(), [0, 2, 3]);
        assert_eq!(tokenizer.encode("a game", false).unwrap(), [2, 3]);
        // One that stands in the text is of the text.
        assert_eq!(tokenizer.encode("a game </s>", true).unwrap(), [0, 2, 3, 1]);
    }

    #[test]
    fn the_end_may_be_named_by_the_settings_of_generation_alone() {
        let folder = tempfile::tempdir().unwrap();
        framing(folder.path());
        let error = Tokenizer::read(folder.path()).unwrap_err().to_string();
        assert!(error.contains("no end-of-sequence token"), "{error}");
        std::fs::write(folder.path().join("generation_config.json"), r#"{"eos_token_id": [1, 3]}"#).unwrap();
        let tokenizer = Tokenizer::read(folder.path()).unwrap();
        assert_eq!((tokenizer.eos(), tokenizer.ends()), (1, &[1, 3][..]));
    }

    #[test]
    fn a_folder_without_a_tokenizer_says_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Tokenizer::read(folder.path()).unwrap_err().to_string().contains("save_pretrained"));
        std::fs::write(folder.path().join("tokenizer.json"), "{\"version\":").unwrap();
        assert!(Tokenizer::read(folder.path()).unwrap_err().to_string().contains("is not a tokenizer"));
    }
}
