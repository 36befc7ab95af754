//! Runs side by side: the settings that differ, final figures, curves.

use crate::app::clean;
use crate::run::compare::Compared;
use std::collections::BTreeSet;

/// Runs that are compared at most: as many as there are colours for their curves.
pub const MOST: usize = 6;

/// Runs side by side. Every text in it is harmless.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Comparison {
    /// The runs.
    pub runs: Vec<Compared>,
    /// Settings that are not the same in all: the key, and its value in each run.
    pub differ: Vec<(String, Vec<Option<String>>)>,
    /// Settings that are the same in all.
    pub alike: usize,
}

impl Comparison {
    /// Of what was read.
    pub fn new(mut runs: Vec<Compared>) -> Self {
        runs.truncate(MOST);
        for run in &mut runs {
            run.name = clean::line(&run.name);
            if let Some(row) = &mut run.row {
                row.method = clean::line(&row.method);
            }
            let settings = std::mem::take(&mut run.settings);
            run.settings = settings.into_iter().map(|(k, v)| (clean::line(&k), clean::line(&v))).collect();
        }
        let keys: BTreeSet<&String> = runs.iter().flat_map(|run| run.settings.keys()).collect();
        let row = |key: &String| runs.iter().map(|run| run.settings.get(key).cloned()).collect::<Vec<_>>();
        let rows: Vec<_> = keys.into_iter().map(|key| (key.clone(), row(key))).collect();
        let all = rows.len();
        let differ: Vec<_> =
            rows.into_iter().filter(|(_, values)| values.windows(2).any(|pair| pair[0] != pair[1])).collect();
        let alike = all - differ.len();
        Self { runs, differ, alike }
    }

    /// Whether any run has a curve.
    pub fn has_curves(&self) -> bool {
        self.runs.iter().any(|run| !run.dev.is_empty())
    }
}
