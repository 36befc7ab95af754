//! The columns of an evaluation's tables: what they show, and of what is known before a table is written.

use super::{Evaluation, Figure, Figures, Row};
use crate::run::event::ReportRow;

/// A column of the tables.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// Its head.
    pub head: &'static str,
    /// Where it stands among the figures of a row.
    pub figure: fn(&Figures) -> Option<Figure>,
    /// Digits behind the point.
    pub digits: usize,
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
    figure: |of| of.bert.map(|bert| bert[2]),
    digits: 2,
    early: Some(|row| row.bert.map(|bert| bert.f)),
    falls: true,
    weight: 8,
};

/// The column of ROUGE-L's interval, which is there when one is known.
const INTERVALS: Column = Column { head: INTERVAL, figure: |_| None, digits: 1, early: None, falls: true, weight: 2 };

const COLUMNS: [Column; 10] = [
    Column {
        head: "loss",
        figure: |of| Some(of.loss),
        digits: 3,
        early: Some(|row| Some(row.loss)),
        falls: false,
        weight: 9,
    },
    Column {
        head: "R-1",
        figure: |of| Some(of.rouge1),
        digits: 2,
        early: Some(|row| Some(row.rouge.rouge1)),
        falls: true,
        weight: 7,
    },
    Column {
        head: "R-2",
        figure: |of| Some(of.rouge2),
        digits: 2,
        early: Some(|row| Some(row.rouge.rouge2)),
        falls: true,
        weight: 6,
    },
    Column {
        head: RANKED,
        figure: |of| Some(of.rouge_l),
        digits: 2,
        early: Some(|row| Some(row.rouge.rouge_l)),
        falls: true,
        weight: 10,
    },
    Column { head: "BLEU", figure: |of| Some(of.bleu), digits: 2, early: None, falls: true, weight: 3 },
    Column { head: "length", figure: |of| of.length.known(), digits: 2, early: None, falls: true, weight: 2 },
    Column { head: "copied", figure: |of| Some(of.copied), digits: 2, early: None, falls: true, weight: 1 },
    Column { head: "repeated", figure: |of| Some(of.repeated), digits: 2, early: None, falls: false, weight: 1 },
    Column {
        head: "sparsity",
        figure: |of| Some(of.sparsity),
        digits: 3,
        early: Some(|row| Some(row.sparsity)),
        falls: true,
        weight: 5,
    },
    Column {
        head: "train",
        figure: |of| Some(of.seconds),
        digits: 0,
        early: Some(|row| Some(row.seconds)),
        falls: false,
        weight: 4,
    },
];

/// The head of the column that significance is about.
pub const RANKED: &str = "R-L";

/// The head of the column of its interval.
pub const INTERVAL: &str = "95 %";

/// The columns of an evaluation; of one without a table yet, those that every one has.
pub fn columns(of: Option<&Evaluation>) -> Vec<Column> {
    let mut all = COLUMNS.to_vec();
    if of.is_some_and(|of| of.encoder.is_some()) {
        all.insert(4, BERT);
    }
    if of.is_some_and(|of| of.rows.iter().any(|row| row.rouge_l_bounds.is_some())) {
        all.insert(4, INTERVALS);
    }
    all
}

impl Column {
    /// A row's figure; `None` where the row has none. Of an interval the lower bound.
    pub fn of(&self, row: &Row) -> Option<Figure> {
        if self.head == INTERVAL {
            return row.rouge_l_bounds.map(|(low, _)| Figure { mean: low, spread: None });
        }
        row.figures.as_ref().and_then(self.figure)
    }

    /// As a row shows it; empty where the row has none.
    pub fn shown(&self, row: &Row) -> String {
        if self.head == INTERVAL {
            let digits = self.digits;
            return row
                .rouge_l_bounds
                .map_or(String::new(), |(low, high)| format!("{low:.digits$} to {high:.digits$}"));
        }
        self.of(row).map_or(String::new(), |figure| self.text(&figure))
    }

    /// As the column shows a figure.
    pub fn text(&self, figure: &Figure) -> String {
        match self.head {
            "sparsity" => format!("{:.1}%", 100.0 * figure.mean),
            "train" => format!("{:.0}s", figure.mean),
            _ => {
                let digits = self.digits;
                let spread = figure.spread.map_or(String::new(), |spread| format!("±{spread:.digits$}"));
                format!("{:.digits$}{spread}", figure.mean)
            }
        }
    }
}
