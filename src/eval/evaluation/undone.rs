//! What could not be done, and how it is told.

use super::Evaluation;
use crate::text::{counted, printable};
use serde::{Deserialize, Serialize};

/// A method that could not be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undone {
    /// Its name in tables.
    pub method: String,
    /// The seed for which it could not be done; `None` where it cannot be for any.
    pub seed: Option<u64>,
    /// Why, as a sentence.
    pub why: String,
    /// The name of the run directory that failed at it; `None` where nothing was tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
}

/// Why a method could not be done: each sentence once, with its seeds where not all have the same.
pub(super) fn reasons(method: &str, undone: &[Undone]) -> String {
    let mut all: Vec<(&str, Vec<u64>)> = Vec::new();
    for one in undone.iter().filter(|one| one.method == method) {
        match all.iter_mut().find(|(why, _)| *why == one.why) {
            Some((_, seeds)) => seeds.extend(one.seed),
            None => all.push((one.why.as_str(), one.seed.into_iter().collect())),
        }
    }
    let several = all.len() > 1;
    let sentence = |(why, seeds): &(&str, Vec<u64>)| {
        if several && !seeds.is_empty() { format!("{}: {why}", named(seeds)) } else { (*why).to_owned() }
    };
    all.iter().map(sentence).collect::<Vec<_>>().join("; ")
}

/// `seed 1`, `seeds 1, 2`.
fn named(seeds: &[u64]) -> String {
    let list: Vec<String> = seeds.iter().map(u64::to_string).collect();
    format!("seed{} {}", if seeds.len() == 1 { "" } else { "s" }, list.join(", "))
}

/// A line for each method that could not be done, in the order of `methods`; of those that were `scored` for some seed
/// with the seeds that are missing. Safe to show.
pub fn failures<'a>(
    methods: impl Iterator<Item = &'a str>,
    undone: &[Undone],
    scored: impl Fn(&str) -> bool,
) -> Vec<String> {
    let line = |method: &str| {
        let seeds: Vec<u64> = undone.iter().filter(|one| one.method == method).filter_map(|one| one.seed).collect();
        let part = if scored(method) && !seeds.is_empty() { format!(", {}", named(&seeds)) } else { String::new() };
        let why = reasons(method, undone);
        (!why.is_empty()).then(|| format!("failed: {}{part}: {}", printable(method), printable(&why)))
    };
    methods.filter_map(line).collect()
}

impl Evaluation {
    /// What could not be done, in a sentence that is safe to show; `None` where all was done.
    pub fn undone_sentence(&self) -> Option<String> {
        let is_undone = |method: &str| self.undone.iter().any(|one| one.method == method);
        let (part, none): (Vec<_>, Vec<_>) =
            self.rows.iter().filter(|row| is_undone(&row.method)).partition(|row| row.figures.is_some());
        let names = |rows: &[&super::Row]| {
            rows.iter().map(|row| printable(&row.method).into_owned()).collect::<Vec<_>>().join(", ")
        };
        let all = counted(self.rows.len(), "method");
        match (none.len(), part.len()) {
            (0, 0) => None,
            (0, n) => Some(format!("{n} of {all} could not be done for every seed: {}", names(&part))),
            (n, 0) => Some(format!("{n} of {all} could not be done: {}", names(&none))),
            (n, m) => Some(format!(
                "{n} of {all} could not be done: {}; and {m} not for every seed: {}",
                names(&none),
                names(&part)
            )),
        }
    }
}
