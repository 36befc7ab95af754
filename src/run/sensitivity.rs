//! `sensitivity.jsonl` of a run: what pruning one group of matrices alone does to the dev loss, one line a
//! measurement. Kept, so that a map goes on where it broke off.

use super::RunDir;
use super::what_if::Change;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::io::{Read, Write};

/// What a group has in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum By {
    /// A of everything, B of everything.
    Factor,
    /// One adapter.
    Adapter,
    /// One projection in all layers.
    Projection,
    /// One layer.
    Layer,
    /// One linear of one layer.
    Module,
}

impl By {
    /// The coarse ones, which take the fewest measurements, first.
    pub const ALL: [Self; 5] = [Self::Factor, Self::Adapter, Self::Projection, Self::Layer, Self::Module];

    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Factor => "factor",
            Self::Adapter => "adapter",
            Self::Projection => "projection",
            Self::Layer => "layer",
            Self::Module => "module",
        }
    }
}

/// One measurement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// Stage and step of the set, and how many rules it had.
    pub at: (usize, usize, usize),
    /// What the group has in common.
    pub by: By,
    /// The group, as people read it.
    pub group: String,
    /// Its matrices as a rule is typed, with the ratio.
    pub rule: String,
    /// The ratio of its matrices; the others stay as they are.
    pub ratio: f64,
    /// The dev documents, from and to.
    pub documents: [usize; 2],
    /// Dev loss before and after, nats per summary token.
    pub loss: [f64; 2],
    /// The change.
    pub delta: Change,
    /// Share of all entries that is zero, before and after.
    pub sparsity: [f64; 2],
    /// Share of importance left over all, before and after.
    pub retained: [f64; 2],
    /// Entries that come back with the values that they had when they were pruned.
    pub restored: usize,
    /// Seconds that it took.
    pub seconds: f64,
}

impl Measured {
    /// Whether it answers the same question.
    pub fn is_of(&self, at: (usize, usize, usize), rule: &str, documents: [usize; 2]) -> bool {
        self.at == at && self.rule == rule && self.documents == documents
    }
}

fn place(run: &RunDir) -> std::path::PathBuf {
    run.path().join("sensitivity.jsonl")
}

/// What was measured before; lines that are no measurement are left out.
///
/// # Errors
/// When the file is there and cannot be read.
pub fn read(run: &RunDir) -> Result<Vec<Measured>> {
    let path = place(run);
    let mut text = Vec::new();
    match std::fs::File::open(&path) {
        Ok(mut file) => file.read_to_end(&mut text).map_err(|e| Error::io("read", &path, &e))?,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(Error::io("read", &path, &e)),
    };
    Ok(text.split(|b| *b == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect())
}

/// Adds one measurement.
///
/// # Errors
/// When the file cannot be written.
pub fn append(run: &RunDir, measured: &Measured) -> Result<()> {
    let path = place(run);
    let json = serde_json::to_string(measured).map_err(|e| Error::fault(e.to_string()))?;
    let write = || {
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(&path)?;
        // The line before may be torn; an empty one is none.
        let torn = std::fs::read(&path)?.last().is_some_and(|last| *last != b'\n');
        file.write_all(format!("{}{json}\n", if torn { "\n" } else { "" }).as_bytes())
    };
    write().map_err(|e| Error::io("write", &path, &e))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_line_costs_that_line_only() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("recipe.toml"), "").unwrap();
        let run = RunDir::open(folder.path()).unwrap();
        assert_eq!(read(&run).unwrap(), []);
        let measured = |group: &str| Measured {
            at: (1, 7, 0),
            by: By::Layer,
            group: group.into(),
            rule: format!("{group}.*=0.5"),
            ratio: 0.5,
            documents: [0, 8],
            loss: [3.5, 3.6],
            delta: Change { mean: 0.1, se: None },
            sparsity: [0.5, 0.6],
            retained: [0.9, 0.8],
            restored: 0,
            seconds: 0.25,
        };
        append(&run, &measured("layers.0")).unwrap();
        let mut file = std::fs::OpenOptions::new().append(true).open(place(&run)).unwrap();
        file.write_all(b"{\"at\":[1,7").unwrap();
        append(&run, &measured("layers.1")).unwrap();
        let all = read(&run).unwrap();
        assert_eq!(all, [measured("layers.0"), measured("layers.1")]);
        assert!(
            all[0].is_of((1, 7, 0), "layers.0.*=0.5", [0, 8]) && !all[0].is_of((1, 8, 0), "layers.0.*=0.5", [0, 8])
        );
    }
}
