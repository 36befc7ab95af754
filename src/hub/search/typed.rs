//! What is typed to search the hub: words of a name, and filters as words with a prefix.

use super::Query;
use crate::hub::reference::SCHEME;
use crate::text::printable;

/// The filters as the user is told of them.
pub const HINT: &str = "license:mit task:text-generation lang:ja by:ORG size:<3B";

/// A typed text as a query, and what of it is not understood, as a sentence.
pub fn typed(text: &str) -> (Query, Option<String>) {
    let mut query = Query::default();
    let mut words: Vec<&str> = Vec::new();
    let mut wrong = None;
    for word in text.split_whitespace() {
        let Some((prefix, value)) = word.split_once(':').filter(|_| !word.starts_with(SCHEME)) else {
            // A reference finds its repository.
            let plain = word.strip_prefix(SCHEME).unwrap_or(word);
            words.push(plain.split_once('@').map_or(plain, |(id, _)| id));
            continue;
        };
        if !["license", "licence", "task", "lang", "language", "by", "author", "size"].contains(&prefix) {
            wrong = Some(format!("{:?} is no filter; there are {HINT}", printable(prefix)));
            continue;
        }
        if value.is_empty() {
            // It is still being typed.
            continue;
        }
        match prefix {
            "license" | "licence" => query.tags.push(format!("license:{}", value.to_lowercase())),
            "task" => query.task = Some(value.to_owned()),
            "lang" | "language" => query.tags.push(value.to_lowercase()),
            "by" | "author" => query.author = Some(value.to_owned()),
            _ => match size(value) {
                Some(most) => query.most_parameters = Some(most),
                None if value == "<" => {}
                None => {
                    wrong = Some(format!("size:{} is no size; size:<3B finds up to 3 billion", printable(value)));
                }
            },
        }
    }
    query.text = words.join(" ");
    (query, wrong)
}

/// `<3B`, `3b`, `<=1.7B`, `500M`: parameters.
fn size(text: &str) -> Option<u64> {
    let plain = text.trim_start_matches('<').trim_start_matches('=');
    let (number, factor) = match plain.char_indices().next_back()? {
        (at, 'b' | 'B') => (&plain[..at], 1e9),
        (at, 'm' | 'M') => (&plain[..at], 1e6),
        (at, 'k' | 'K') => (&plain[..at], 1e3),
        _ => (plain, 1.0),
    };
    let value: f64 = number.parse().ok()?;
    (value.is_finite() && value > 0.0).then_some((value * factor) as u64)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn words_and_filters_are_told_apart() {
        let (query, wrong) = typed("  smol license:MIT task:text-generation lang:ja  instruct by:lab size:<1.7B ");
        assert_eq!(wrong, None);
        assert_eq!(query.text, "smol instruct");
        assert_eq!(query.tags, ["license:mit", "ja"]);
        assert_eq!((query.task.as_deref(), query.author.as_deref()), (Some("text-generation"), Some("lab")));
        assert_eq!(query.most_parameters, Some(1_700_000_000));
        assert_eq!(typed(""), (Query::default(), None));
    }

    #[test]
    fn a_reference_finds_its_repository() {
        assert_eq!(typed("hf://lab/tiny@main").0.text, "lab/tiny");
        assert_eq!(typed("lab/tiny").0.text, "lab/tiny");
    }

    #[test]
    fn what_is_no_filter_is_said_and_what_is_half_typed_is_not() {
        for half in ["license:", "size:", "size:<", "by:", "lang:"] {
            assert_eq!(typed(half), (Query::default(), None), "{half}");
        }
        let (query, wrong) = typed("smol colour:red");
        assert_eq!(query.text, "smol");
        assert!(wrong.unwrap().contains("\"colour\" is no filter; there are license:mit"));
        for bad in ["size:>3B", "size:many", "size:-1", "size:<B", "size:<0", "size:inf"] {
            let (query, wrong) = typed(bad);
            assert_eq!(query.most_parameters, None, "{bad}");
            assert!(wrong.is_some_and(|w| w.contains("is no size")), "{bad}");
        }
        for (text, most) in [("size:3B", 3_000_000_000), ("size:<=500m", 500_000_000), ("size:<7000", 7000)] {
            assert_eq!(typed(text).0.most_parameters, Some(most), "{text}");
        }
        assert!(typed("\u{1b}[2J:x").1.unwrap().chars().all(|c| !c.is_control()));
    }
}
