//! What makes a score look better, or surer, than it is: documents that two splits share, word for word or nearly,
//! summaries that stand in their document, and documents that a split has several times.

mod near;

use super::dataset::{Dataset, Example, Fields};
use crate::text::{counted, printable};
use crate::{Result, recipe};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use unicode_segmentation::UnicodeSegmentation;

/// Two documents are nearly the same from this Jaccard similarity of their shingles on.
pub const NEAR: f64 = 0.8;

/// Words of a shingle.
pub const SHINGLE: usize = 5;

/// From this share of a split on, summaries that stand in their documents are told: a short one may do so by chance.
const LEAKING: f64 = 0.05;

/// Ids in a sentence.
const NAMED: usize = 3;

/// One example of a split.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Place {
    /// Its id as the file has it.
    pub id: String,
    /// Its line in the file, from 1.
    pub line: usize,
}

impl Place {
    fn of(example: &Example) -> Self {
        Self { id: example.id.clone(), line: example.line }
    }
}

/// Two examples with the same or nearly the same document.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Twin {
    /// The one in the later split (dev, test).
    pub here: Place,
    /// The one in the earlier split (train): where there are several, the last that is the same, or the first that
    /// is near enough.
    pub there: Place,
    /// Jaccard similarity of the shingles, [`NEAR`] to 1; 1 where the words are the same.
    pub similarity: f64,
}

/// What two splits share.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Shared {
    /// The later split, such as `test`.
    pub split: String,
    /// The earlier one, such as `train`.
    pub with: String,
    /// Examples of `split` in all.
    pub examples: usize,
    /// Examples whose document is in both, compared by the SHA-256 of its lower-cased words: white space, marks and
    /// case don't count.
    pub same: Vec<Twin>,
    /// Examples whose document is nearly one of the other split, of those that are not the same.
    pub near: Vec<Twin>,
}

/// Summaries of a split that stand word for word in their document.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Leak {
    /// The split.
    pub split: String,
    /// Examples of it in all.
    pub examples: usize,
    /// The examples; never empty.
    pub places: Vec<Place>,
}

/// Documents of a split that it has before, word for word or nearly.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Repeats {
    /// The split.
    pub split: String,
    /// Examples of it in all.
    pub examples: usize,
    /// Examples whose document stands before them, each with the first that is near enough; never empty.
    pub twins: Vec<Twin>,
}

/// Everything that was found; empty lists where nothing was.
#[derive(Debug, Clone, PartialEq, Default, serde::Serialize)]
pub struct Findings {
    /// For each pair of splits that share documents.
    pub shared: Vec<Shared>,
    /// For each split with such summaries.
    pub leaks: Vec<Leak>,
    /// For each split but the first, which is trained on, that has a document several times: means over its documents
    /// are less sure than they seem.
    pub repeats: Vec<Repeats>,
}

/// Compares every split with those before it, what is scored with itself, and every summary with its document. `splits` are (name, examples), as
/// `("train", …)`. Near-duplicates are found exactly, not by sampling; 10,000 documents beside 10,000 take
/// seconds.
pub fn find(splits: &[(&str, &[Example])]) -> Findings {
    let mut findings = Findings::default();
    let texts: Vec<Vec<Text>> = splits.iter().map(|(_, examples)| examples.iter().map(Text::of).collect()).collect();
    for (right, (split, examples)) in splits.iter().enumerate() {
        for (left, (with, others)) in splits[..right].iter().enumerate() {
            let found = shared((examples, &texts[right]), (others, &texts[left]));
            let (same, near) = found;
            if !same.is_empty() || !near.is_empty() {
                let (split, with) = ((*split).to_owned(), (*with).to_owned());
                findings.shared.push(Shared { split, with, examples: examples.len(), same, near });
            }
        }
        if right > 0 {
            let twins = repeats(examples, &texts[right]);
            if !twins.is_empty() {
                findings.repeats.push(Repeats { split: (*split).to_owned(), examples: examples.len(), twins });
            }
        }
        let leaking = examples.iter().zip(&texts[right]).filter(|(_, text)| text.leaks);
        let places: Vec<Place> = leaking.map(|(example, _)| Place::of(example)).collect();
        if !places.is_empty() {
            findings.leaks.push(Leak { split: (*split).to_owned(), examples: examples.len(), places });
        }
    }
    // As the splits are named: what train shares first.
    let order = |name: &str| splits.iter().position(|(split, _)| *split == name);
    findings.shared.sort_by_key(|s| (order(&s.with), order(&s.split)));
    findings
}

/// What there is to tell of the splits that a recipe names: [`Findings::sentences`].
///
/// # Errors
/// When one cannot be read.
pub fn of_recipe(data: &recipe::Data) -> Result<Vec<String>> {
    let all = [
        ("train", Some(&data.train), data.train_limit),
        ("dev", Some(&data.dev), data.dev_limit),
        ("test", data.test.as_ref(), data.test_limit),
    ];
    let mut read = Vec::new();
    for (name, path, limit) in all {
        if let Some(path) = path {
            read.push((name, Dataset::read(path, Fields::from(data), limit)?.examples));
        }
    }
    let splits: Vec<(&str, &[Example])> = read.iter().map(|(name, examples)| (*name, &examples[..])).collect();
    Ok(find(&splits).sentences())
}

impl Findings {
    /// One sentence for each finding that a user should know of; safe to show. Summaries that stand in their document
    /// are told from a twentieth of a split on.
    pub fn sentences(&self) -> Vec<String> {
        let mut out = Vec::new();
        for shared in &self.shared {
            let Shared { split, with, .. } = shared;
            if let Some(first) = shared.same.first() {
                let documents = counted(shared.same.len(), "document");
                out.push(format!(
                    "{documents} of {split} also in {with} (first: line {} of {split}, line {} of {with}): scores on {split} will be too good",
                    first.here.line, first.there.line
                ));
            }
            if let Some(first) = shared.near.first() {
                let verb = if shared.near.len() == 1 { "is" } else { "are" };
                out.push(format!(
                    "{} of {split} {verb} nearly in {with} (first: line {} of {split}, line {} of {with}, {:.0} % of their {SHINGLE}-word passages the same): scores on {split} may be too good",
                    counted(shared.near.len(), "document"), first.here.line, first.there.line, first.similarity * 100.0
                ));
            }
        }
        for repeats in &self.repeats {
            let Some(first) = repeats.twins.first() else { continue };
            let verb = if repeats.twins.len() == 1 { "repeats" } else { "repeat" };
            out.push(format!(
                "{} of {} {verb} another of them, or nearly so (first: line {} repeats line {}): intervals and p take documents as independent and are too sure",
                counted(repeats.twins.len(), "document"), repeats.split, first.here.line, first.there.line
            ));
        }
        for leak in self.leaks.iter().filter(|l| l.places.len() as f64 >= LEAKING * l.examples as f64) {
            let ids: Vec<String> =
                leak.places.iter().take(NAMED).map(|p| format!("\"{}\"", printable(&p.id))).collect();
            let dots = if leak.places.len() > NAMED { ", …" } else { "" };
            out.push(format!(
                "{} of the {} summaries of {} stand word for word in their documents (ids {}{dots}): copying alone scores well there",
                leak.places.len(), leak.examples, leak.split, ids.join(", ")
            ));
        }
        out
    }
}

/// An example as it is compared.
struct Text {
    /// Of the document's lower-cased words.
    hash: [u8; 32],
    /// Hashes of the document's shingles, sorted, each once.
    shingles: Vec<u64>,
    /// Whether the summary's words stand in the document's.
    leaks: bool,
}

impl Text {
    fn of(example: &Example) -> Self {
        let document = normal(&example.document);
        let summary = normal(&example.summary);
        let shingles = near::shingles(&document, SHINGLE);
        // Both begin and end with a space, so that only whole words are found.
        let leaks = summary.len() > 1 && document.contains(&summary);
        Self { hash: Sha256::digest(document.as_bytes()).into(), shingles, leaks }
    }
}

/// The lower-cased words (Unicode's; a Han or Hiragana character is one) with a space around each. A text without words
/// stays as it is.
fn normal(text: &str) -> String {
    let lower = text.to_lowercase();
    let mut out = String::with_capacity(lower.len() + 2);
    for word in lower.unicode_words() {
        out.push(' ');
        out.push_str(word);
    }
    if out.is_empty() {
        return lower.trim().to_owned();
    }
    out.push(' ');
    out
}

type Side<'a> = (&'a [Example], &'a [Text]);

fn shared(right: Side<'_>, left: Side<'_>) -> (Vec<Twin>, Vec<Twin>) {
    let known: HashMap<&[u8; 32], usize> = left.1.iter().enumerate().map(|(i, text)| (&text.hash, i)).collect();
    let twin = |i: usize, j: usize, similarity: f64| Twin {
        here: Place::of(&right.0[i]),
        there: Place::of(&left.0[j]),
        similarity,
    };
    let mut same = Vec::new();
    let mut rest = Vec::new();
    for (i, text) in right.1.iter().enumerate() {
        match known.get(&text.hash) {
            Some(j) => same.push(twin(i, *j, 1.0)),
            None => rest.push(i),
        }
    }
    let here: Vec<&[u64]> = rest.iter().map(|i| &right.1[*i].shingles[..]).collect();
    let there: Vec<&[u64]> = left.1.iter().map(|text| &text.shingles[..]).collect();
    let found = near::join(&here, &there, NEAR);
    let near = found.into_iter().map(|n| twin(rest[n.right], n.left, n.similarity)).collect();
    (same, near)
}

/// Examples whose document stands before them in the same split, word for word or nearly.
fn repeats(examples: &[Example], texts: &[Text]) -> Vec<Twin> {
    let sets: Vec<&[u64]> = texts.iter().map(|text| &text.shingles[..]).collect();
    let near = near::join_before(&sets, NEAR).into_iter();
    near.map(|n| Twin {
        here: Place::of(&examples[n.right]),
        there: Place::of(&examples[n.left]),
        similarity: n.similarity,
    })
    .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
#[path = "overlap/tests.rs"]
mod tests;
