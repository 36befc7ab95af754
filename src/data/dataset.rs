//! JSONL files of documents and summaries.

mod foreign;

use crate::text::printable;
use crate::{Error, Result, recipe};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// Longest line that is read, in bytes: a longer one is hardly one example.
pub const LINE_LIMIT: usize = 16 << 20;

/// One document with its human summary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Example {
    /// The id field, or the line number where there is none.
    pub id: String,
    /// The text to summarise, as it stands in the file.
    pub document: String,
    /// The summary, without white space around it.
    pub summary: String,
    /// Line in the file, from 1.
    pub line: usize,
}

/// The names of the fields that hold an example.
#[derive(Debug, Clone, Copy)]
pub struct Fields<'a> {
    /// Field with the document.
    pub document: &'a str,
    /// Field with the summary.
    pub summary: &'a str,
    /// Field with the id: text or an integer; may be missing.
    pub id: &'a str,
}

impl<'a> From<&'a recipe::Data> for Fields<'a> {
    fn from(data: &'a recipe::Data) -> Self {
        Self { document: &data.document, summary: &data.summary, id: &data.id }
    }
}

/// The examples of one file, in its order.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// Where they were read.
    pub path: PathBuf,
    /// At least one.
    pub examples: Vec<Example>,
}

impl Dataset {
    /// Reads the first `limit` examples of a JSONL file (0: all of them). A UTF-8 byte order mark,
    /// CRLF line ends and blank lines are accepted. Lines after the limit are not looked at.
    ///
    /// # Errors
    /// Names file and line and what is wrong there: another format, not UTF-8, not JSON, not an object, a field that
    /// is missing, empty or no text, a line above [`LINE_LIMIT`]; or that the file has no example.
    pub fn read(path: &Path, fields: Fields<'_>, limit: usize) -> Result<Self> {
        let io = |e: &std::io::Error| Error::io("read the examples", path, e);
        if path.is_dir() {
            return Err(Error::user(format!("{} is a folder; a JSONL file is needed", shown(path))));
        }
        let file = crate::bounded::open(path).map_err(|e| io(&e))?;
        let mut reader = BufReader::new(file);
        let mut examples = Vec::new();
        let mut bytes = Vec::new();
        for line in 1.. {
            bytes.clear();
            (&mut reader).take(LINE_LIMIT as u64 + 1).read_until(b'\n', &mut bytes).map_err(|e| io(&e))?;
            if bytes.is_empty() {
                break;
            }
            if let Some(example) = parse(&bytes, line, fields).map_err(|e| e.at(place(path, line)))? {
                examples.push(example);
                if examples.len() == limit {
                    break;
                }
            }
        }
        if examples.is_empty() {
            return Err(Error::user(format!(
                "{} holds no example; one JSON object a line with {:?} and {:?} is needed",
                shown(path),
                fields.document,
                fields.summary
            )));
        }
        Ok(Self { path: path.to_path_buf(), examples })
    }

    /// `file:line` of an example of this file, for sentences.
    pub fn place(&self, example: &Example) -> String {
        place(&self.path, example.line)
    }
}

fn shown(path: &Path) -> String {
    printable(&path.display().to_string()).into_owned()
}

fn place(path: &Path, line: usize) -> String {
    format!("{}:{line}", shown(path))
}

/// The example of one line, `None` for a blank one.
fn parse(bytes: &[u8], line: usize, fields: Fields<'_>) -> Result<Option<Example>> {
    if line == 1
        && let Some(what) = foreign::by_bytes(bytes)
    {
        return Err(Error::user(what));
    }
    if bytes.len() > LINE_LIMIT {
        return Err(Error::user(format!("the line is longer than {} MiB; is this JSONL?", LINE_LIMIT >> 20)));
    }
    if line == 1 && (bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff])) {
        return Err(Error::user("the file is UTF-16; save it as UTF-8"));
    }
    let text = std::str::from_utf8(bytes).map_err(|e| {
        Error::user(format!("byte {} of the line is not valid UTF-8; save the file as UTF-8", e.valid_up_to() + 1))
    })?;
    let text = if line == 1 { text.strip_prefix('\u{feff}').unwrap_or(text) } else { text };
    let text = text.trim_end_matches(['\n', '\r']);
    if text.trim().is_empty() {
        return Ok(None);
    }
    let hint = |found: Option<&str>| found.filter(|_| line == 1).map_or_else(String::new, |hint| format!("; {hint}"));
    let value: Value = serde_json::from_str(text).map_err(|e| not_json(&e, &hint(foreign::by_text(text, fields))))?;
    let Value::Object(mut object) = value else {
        let hint = hint(foreign::by_value(&value));
        return Err(Error::user(format!("{} where a JSON object (one a line) is needed{hint}", kind(&value))));
    };
    let id = match object.get(fields.id) {
        None | Some(Value::Null) => line.to_string(),
        Some(Value::String(id)) => id.clone(),
        Some(Value::Number(id)) => id.to_string(),
        Some(other) => {
            return Err(Error::user(format!(
                "the id field {:?} is {}; text or a number is needed",
                fields.id,
                kind(other)
            )));
        }
    };
    let mut take = |name: &str| match object.get_mut(name).map(Value::take) {
        Some(Value::String(text)) if text.trim().is_empty() => Err(Error::user(format!("the field {name:?} is empty"))),
        Some(Value::String(text)) => Ok(text),
        Some(other) => Err(Error::user(format!("the field {name:?} is {}; text is needed", kind(&other)))),
        None => {
            let there: Vec<String> = object
                .keys()
                .take(12)
                .map(|k| format!("{:?}", printable(k).chars().take(40).collect::<String>()))
                .collect();
            let there = if there.is_empty() { "no field".to_owned() } else { there.join(", ") };
            Err(Error::user(format!(
                "the field {name:?} is missing; the line has {there} (data.document and data.summary in the recipe name the fields)"
            )))
        }
    };
    let document = take(fields.document)?;
    // One field for both (copying, a language-model task) is legal: take() left null behind.
    let summary = if fields.summary == fields.document { document.clone() } else { take(fields.summary)? };
    Ok(Some(Example { id, document, summary: summary.trim().to_owned(), line }))
}

fn not_json(e: &serde_json::Error, hint: &str) -> Error {
    let text = e.to_string();
    let what = text.split(" at line ").next().unwrap_or(&text);
    Error::user(format!("not valid JSON at column {}: {what}; JSONL has one JSON object a line{hint}", e.column()))
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// One sentence for each thing that makes scores on these splits look better than they are: documents that two of
/// them share, word for word or nearly, and summaries that stand in their documents ([`super::overlap`]). `splits`
/// are (name, examples), as `("train", …)`.
pub fn leaks(splits: &[(&str, &[Example])]) -> Vec<String> {
    super::overlap::find(splits).sentences()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
#[path = "dataset/tests.rs"]
mod tests;
