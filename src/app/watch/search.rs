//! Search in documents, references and summaries, without regard to case.

use super::reading::Version;
use crate::app::App;
use std::ops::Range;

/// Where a text stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// The human summary.
    Reference,
    /// A version of the model's.
    Version(Version),
    /// The document itself.
    Document,
}

/// A match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// The document.
    pub document: usize,
    /// Its text.
    pub part: Part,
    /// Which match in it.
    pub nth: usize,
}

/// Places of `query` in `text`, one after the other, in bytes.
pub fn find(text: &str, query: &str) -> Vec<Range<usize>> {
    let wanted: Vec<char> = query.chars().flat_map(char::to_lowercase).collect();
    if wanted.is_empty() {
        return Vec::new();
    }
    // A character may have several in lower case: each remembers where it comes from.
    let folded: Vec<(char, usize, usize)> =
        text.char_indices().flat_map(|(at, c)| c.to_lowercase().map(move |low| (low, at, at + c.len_utf8()))).collect();
    let mut found = Vec::new();
    let mut at = 0;
    while at + wanted.len() <= folded.len() {
        let here = &folded[at..at + wanted.len()];
        if here.iter().zip(&wanted).all(|(have, want)| have.0 == *want) {
            found.push(here[0].1..here[here.len() - 1].2);
            at += wanted.len();
        } else {
            at += 1;
        }
    }
    found
}

/// All matches in the order in which they are stepped through: of each document the reference, the summaries
/// from the newest on, the text.
pub fn all(app: &App, query: &str) -> Vec<Hit> {
    let documents = app.started.as_ref().map_or(&[][..], |s| &s.documents);
    let mut hits = Vec::new();
    for (document, texts) in documents.iter().enumerate() {
        let written = app.samples.get(&document).into_iter().flatten().rev();
        let summaries = written.map(|w| (Part::Version(w.version()), w.text.as_str()));
        let parts = std::iter::once((Part::Reference, texts.reference.as_str()))
            .chain(summaries)
            .chain([(Part::Document, texts.document.as_str())]);
        for (part, text) in parts {
            hits.extend((0..find(text, query).len()).map(|nth| Hit { document, part: part.clone(), nth }));
        }
    }
    hits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_does_not_matter_and_places_are_those_of_the_text() {
        assert_eq!(find("Red red RED", "red"), [0..3, 4..7, 8..11]);
        assert_eq!(find("aaaa", "aa"), [0..2, 2..4]);
        assert_eq!(find("重要度の重要", "重要"), [0..6, 12..18]);
        // İ is two characters in lower case.
        assert_eq!(find("İx x", "x"), [2..3, 4..5]);
        assert!(find("abc", "").is_empty() && find("", "a").is_empty());
    }
}
