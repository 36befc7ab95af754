//! What a card begins with: of its YAML the keys that are words or lists of words, which is how cards say licence,
//! language, task and tags. Deeper structure is left out.

use std::collections::BTreeMap;

/// The words under each key; nothing where the card has no header.
pub fn front(card: &str) -> BTreeMap<String, Vec<String>> {
    let mut out: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let text = card.trim_start_matches('\u{feff}').replace("\r\n", "\n");
    let Some(header) = text.strip_prefix("---\n").and_then(|rest| rest.split_once("\n---")).map(|(header, _)| header)
    else {
        return out;
    };
    let mut open: Option<&str> = None;
    for line in header.lines() {
        let trimmed = line.trim();
        if let (Some(key), Some(word)) = (open, trimmed.strip_prefix("- ")) {
            out.entry(key.to_owned()).or_default().extend(plain(word));
        } else if !line.starts_with([' ', '\t', '#', '-'])
            && let Some((key, value)) = trimmed.split_once(':')
        {
            let value = value.trim();
            let listed = value.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
            let words: Vec<String> = match listed {
                Some(inner) => inner.split(',').filter_map(plain).collect(),
                None => plain(value).into_iter().collect(),
            };
            open = value.is_empty().then_some(key);
            out.insert(key.to_owned(), words);
        }
    }
    out
}

/// A word without quotes and remarks; nothing where it is none.
fn plain(text: &str) -> Option<String> {
    let text = text.trim();
    let quoted = |quote: char| text.strip_prefix(quote)?.split_once(quote).map(|(inner, _)| inner);
    let bare = || text.split_once(" #").map_or(text, |(word, _)| word).trim();
    let word = quoted('"').or_else(|| quoted('\'')).unwrap_or_else(bare);
    let is_word = !word.is_empty() && !word.ends_with(':') && !word.contains(": ") && !["null", "~"].contains(&word);
    is_word.then(|| word.to_owned())
}

#[cfg(test)]
mod tests {
    use super::front;

    #[test]
    fn words_and_lists_are_read_and_what_lies_deeper_is_not() {
        let card = "---\r\nlicense: 'mit' # open\r\nlanguage:\r\n- en\r\n- \"ja\"\r\ntags: [a, \"b\"]\r\nbase_model: lab/tiny\r\n\
                    model-index:\r\n- name: x\r\n  results:\r\n  - task:\r\n      type: y\r\npipeline_tag: ~\r\n---\r\nlicense: no\r\n";
        let read = front(card);
        let of = |key: &str| read.get(key).map(Vec::as_slice).unwrap_or_default().join(" ");
        assert_eq!((of("license"), of("language"), of("tags")), ("mit".into(), "en ja".into(), "a b".into()));
        assert_eq!(
            (of("base_model"), of("pipeline_tag"), of("model-index")),
            ("lab/tiny".into(), String::new(), String::new())
        );
        assert!(!read.contains_key("type") && front("# no header").is_empty() && front("---\nlicense: mit").is_empty());
    }
}
