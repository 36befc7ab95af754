//! What stands below an evaluation's table.

use super::columns::{Column, INTERVAL, RANKED, columns};
use super::tables::name;
use super::{Evaluation, Row, failures};
use crate::text::{counted, printable};
use std::collections::BTreeSet;

/// What is found, and what the figures are, in plain words.
pub fn legend(of: &Evaluation) -> Vec<String> {
    lines_of(of, &columns(Some(of)))
}

/// The same of a table that shows these columns.
pub(super) fn lines_of(of: &Evaluation, columns: &[Column]) -> Vec<String> {
    let mut lines: Vec<String> = of.verdict.iter().map(|verdict| printable(verdict).into_owned()).collect();
    lines.extend([
        format!(
            "{} {} documents, greedy summaries, loss in nats per summary token{}",
            of.documents,
            printable(&of.split),
            spread(of)
        ),
        format!("R: ROUGE F over {}; BLEU over {} tokens", printable(&of.tokens[0]), printable(&of.tokens[1])),
        "length: tokens for each of the reference; copied: share of tokens in fragments of the document; repeated: of 4-grams"
            .to_owned(),
        compared(of),
    ]);
    if columns.iter().any(|column| column.head == INTERVAL) {
        let seeds = if seeds_of(of).1 > 1 { ", each with its mean over the seeds" } else { "" };
        lines.push(format!("{INTERVAL}: interval of {RANKED}, by bootstrap over the documents{seeds}"));
    }
    lines.extend(other_seeds(of));
    if let Some(encoder) = &of.encoder {
        lines.push(format!("BERT: BERTScore F by {}, not rescaled", printable(encoder)));
    }
    let scored = |method: &str| of.rows.iter().any(|row| row.method == method && row.figures.is_some());
    lines.extend(failures(of.rows.iter().map(|row| row.method.as_str()), &of.undone, scored));
    lines.extend(of.notes.iter().map(|note| format!("note: {}", printable(note))));
    lines
}

/// The least and the most seeds of a row with figures.
fn seeds_of(of: &Evaluation) -> (usize, usize) {
    let seeds = || of.rows.iter().filter(|row| row.figures.is_some()).map(|row| row.seeds.len());
    (seeds().min().unwrap_or(0), seeds().max().unwrap_or(0))
}

/// What the figures of several seeds are.
fn spread(of: &Evaluation) -> String {
    match seeds_of(of) {
        (_, 0 | 1) => String::new(),
        (least, most) if least < most => format!("; mean ± standard deviation of up to {most} seeds"),
        (_, most) => format!("; mean ± standard deviation of {most} seeds"),
    }
}

/// What the marks say, or why there are none.
fn compared(of: &Evaluation) -> String {
    let reference = printable(&of.reference);
    if of.rows.iter().any(|row| row.method == of.reference && row.figures.is_none()) {
        return format!("R-L is compared with that of no method: {reference} has none");
    }
    let all = of.rows.iter().filter(|row| row.against.is_some_and(|a| a.p_holm.is_some())).count();
    let marks = if all > 0 { format!("; marks: Holm's p for {}", counted(all, "comparison")) } else { String::new() };
    format!(
        "* p < 0.05, ** p < 0.01: R-L differs from that of {reference} (paired randomisation over documents{marks})"
    )
}

/// That methods are compared over other seeds than their means are of; `None` where all are scored for the same.
fn other_seeds(of: &Evaluation) -> Option<String> {
    let seeds = |row: &Row| row.seeds.iter().copied().collect::<BTreeSet<u64>>();
    let reference = seeds(of.rows.iter().find(|row| row.method == of.reference)?);
    let differ = of.rows.iter().filter(|row| row.against.is_some() && seeds(row) != reference);
    let names: Vec<String> = differ.map(name).collect();
    (!names.is_empty()).then(|| {
        format!(
            "R-L of {} is compared with that of {} over the seeds that both have, the means are over all that each has",
            names.join(", "),
            printable(&of.reference)
        )
    })
}
