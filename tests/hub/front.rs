//! What a README.md begins with: the few forms of YAML that cards are written in.

use serde_json::{Map, Value};

fn scalar(text: &str) -> Value {
    let text = text.trim();
    let bare = |quote: char| text.strip_prefix(quote)?.strip_suffix(quote);
    match text {
        _ if bare('"').is_some() || bare('\'').is_some() => bare('"').or_else(|| bare('\'')).into(),
        "true" => true.into(),
        "false" => false.into(),
        "" | "null" | "~" => Value::Null,
        _ => match text.strip_prefix('[').and_then(|t| t.strip_suffix(']')) {
            Some("") => Value::Array(Vec::new()),
            Some(inner) => inner.split(',').map(scalar).collect(),
            None => text.into(),
        },
    }
}

/// `key: value`, `key: [a, b]` and `key:` with lines of `- a` below it; deeper structure is left out.
pub fn matter(text: &str) -> Option<Value> {
    let rest = text.trim_start_matches('\u{feff}').strip_prefix("---")?.strip_prefix(['\n', '\r'])?;
    let mut out = Map::new();
    let mut open: Option<String> = None;
    for line in rest.lines() {
        if line.trim_end() == "---" {
            return Some(out.into());
        }
        let trimmed = line.trim();
        if let (Some(key), Some(item)) = (&open, trimmed.strip_prefix("- ")) {
            if !matches!(out.get(key), Some(Value::Array(_))) {
                out.insert(key.clone(), Value::Array(Vec::new()));
            }
            if let Some(Value::Array(items)) = out.get_mut(key) {
                items.push(scalar(item));
            }
        } else if let (false, Some((key, value))) = (line.starts_with([' ', '#']), trimmed.split_once(':')) {
            out.insert(key.to_owned(), scalar(value));
            open = Some(key.to_owned());
        }
    }
    None
}
