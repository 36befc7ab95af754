//! The columns of an evaluation's tables: what they show, and of what is known before a table is written.

use super::{Evaluation, Figure, Row};
use crate::run::event::ReportRow;

/// A column of the tables.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// Its head.
    pub head: &'static str,
    /// Where a row has it.
    pub figure: fn(&Row) -> Option<Figure>,
    /// Digits behind the point.
    pub digits: usize,
    /// As a row shows it.
    pub shown: fn(&Row) -> String,
    /// Where the report of a run that is under way has it.
    pub early: Option<fn(&ReportRow) -> Option<f64>>,
    /// Whether its larger values come first.
    pub falls: bool,
    /// Higher stays longer where there is no room for all.
    pub weight: u8,
}

/// The column of `BERTScore`, which is there when an encoder was given.
const BERT: Column = Column {
    head: "BERT",
    figure: |row| row.bert.map(|bert| bert[2]),
    digits: 2,
    shown: |row| row.bert.map_or(String::new(), |bert| shown(&bert[2], 2)),
    early: Some(|row| row.bert.map(|bert| bert.f)),
    falls: true,
    weight: 8,
};

const COLUMNS: [Column; 10] = [
    Column {
        head: "loss",
        figure: |row| Some(row.loss),
        digits: 3,
        shown: |row| shown(&row.loss, 3),
        early: Some(|row| Some(row.loss)),
        falls: false,
        weight: 9,
    },
    Column {
        head: "R-1",
        figure: |row| Some(row.rouge1),
        digits: 2,
        shown: |row| shown(&row.rouge1, 2),
        early: Some(|row| Some(row.rouge.rouge1)),
        falls: true,
        weight: 7,
    },
    Column {
        head: "R-2",
        figure: |row| Some(row.rouge2),
        digits: 2,
        shown: |row| shown(&row.rouge2, 2),
        early: Some(|row| Some(row.rouge.rouge2)),
        falls: true,
        weight: 6,
    },
    Column {
        head: RANKED,
        figure: |row| Some(row.rouge_l),
        digits: 2,
        shown: |row| shown(&row.rouge_l, 2),
        early: Some(|row| Some(row.rouge.rouge_l)),
        falls: true,
        weight: 10,
    },
    Column {
        head: "BLEU",
        figure: |row| Some(row.bleu),
        digits: 2,
        shown: |row| shown(&row.bleu, 2),
        early: None,
        falls: true,
        weight: 3,
    },
    Column {
        head: "length",
        figure: |row| Some(row.length),
        digits: 2,
        shown: |row| shown(&row.length, 2),
        early: None,
        falls: true,
        weight: 2,
    },
    Column {
        head: "copied",
        figure: |row| Some(row.copied),
        digits: 2,
        shown: |row| shown(&row.copied, 2),
        early: None,
        falls: true,
        weight: 1,
    },
    Column {
        head: "repeated",
        figure: |row| Some(row.repeated),
        digits: 2,
        shown: |row| shown(&row.repeated, 2),
        early: None,
        falls: false,
        weight: 1,
    },
    Column {
        head: "sparsity",
        figure: |row| Some(row.sparsity),
        digits: 3,
        shown: |row| percent(row.sparsity.mean),
        early: Some(|row| Some(row.sparsity)),
        falls: true,
        weight: 5,
    },
    Column {
        head: "train",
        figure: |row| Some(row.seconds),
        digits: 0,
        shown: |row| seconds(row.seconds.mean),
        early: Some(|row| Some(row.seconds)),
        falls: false,
        weight: 4,
    },
];

/// The head of the column that significance is about.
pub const RANKED: &str = "R-L";

/// The columns of an evaluation; of one without a table yet, those that every one has.
pub fn columns(of: Option<&Evaluation>) -> Vec<Column> {
    let mut all = COLUMNS.to_vec();
    if of.is_some_and(|of| of.encoder.is_some()) {
        all.insert(4, BERT);
    }
    all
}

fn percent(share: f64) -> String {
    format!("{:.1}%", 100.0 * share)
}

fn seconds(seconds: f64) -> String {
    format!("{seconds:.0}s")
}

impl Column {
    /// As the column shows what runs have told of a row before its table is written.
    pub fn shown_early(&self, figure: &Figure) -> String {
        match self.head {
            "sparsity" => percent(figure.mean),
            "train" => seconds(figure.mean),
            _ => shown(figure, self.digits),
        }
    }
}

fn shown(figure: &Figure, digits: usize) -> String {
    let spread = figure.spread.map_or(String::new(), |spread| format!("±{spread:.digits$}"));
    format!("{:.digits$}{spread}", figure.mean)
}
