//! What an evaluation has come to so far: the runs that each seed has taken, and what could not be done.

use crate::eval::evaluation::Undone;
use crate::run::write_aside;
use crate::{Error, Result, bounded};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Its file.
pub(super) const FILE: &str = "progress.json";

fn place(folder: &Path) -> PathBuf {
    folder.join(FILE)
}

/// `progress.json`. What one run of a seed could not do, a later one leaves out: a seed may have taken several.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Progress {
    /// Seeds and the names of their run directories, those of a seed in the order in which they were begun.
    pub runs: Vec<(u64, String)>,
    /// What could not be done.
    pub undone: Vec<Undone>,
}

impl Progress {
    /// What is known of this folder; nothing where nothing readable says so.
    pub fn read(folder: &Path) -> Self {
        let read = || -> Option<Self> {
            serde_json::from_slice(&bounded::bytes(&place(folder), bounded::SETTINGS).ok()?).ok()
        };
        read().unwrap_or_default()
    }

    /// Writes it into the folder.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let text = serde_json::to_vec_pretty(self).map_err(|e| Error::fault(e.to_string()))?;
        write_aside(&place(folder), &text)
    }

    /// Forgets what no seed could do: it is looked at again.
    pub fn begin(&mut self) {
        self.undone.retain(|undone| undone.seed.is_some());
    }

    /// Forgets what is known of a seed: it is tried again.
    pub fn begin_seed(&mut self, seed: u64) {
        self.runs.retain(|(of, _)| *of != seed);
        self.undone.retain(|undone| undone.seed != Some(seed));
    }

    /// Takes in what could not be done; false where that is known for the method and the seed.
    pub fn add(&mut self, undone: Undone) -> bool {
        let known = |one: &Undone| one.method == undone.method && (one.seed.is_none() || one.seed == undone.seed);
        if self.undone.iter().any(known) {
            return false;
        }
        self.undone.push(undone);
        true
    }

    /// What could not be done for any of these seeds.
    pub fn of(&self, seeds: &[u64]) -> Vec<Undone> {
        let counts = |undone: &&Undone| undone.seed.is_none_or(|seed| seeds.contains(&seed));
        self.undone.iter().filter(counts).cloned().collect()
    }

    /// The names of a seed's run directories, in the order in which they were begun.
    pub fn runs_of(&self, seed: u64) -> impl Iterator<Item = &str> {
        self.runs.iter().filter(move |(of, _)| *of == seed).map(|(_, name)| name.as_str())
    }

    /// Why a method could not be done under a seed.
    pub fn failure(&self, method: &str, seed: u64) -> Option<&Undone> {
        self.undone.iter().find(|one| one.method == method && one.seed.is_none_or(|of| of == seed))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_that_is_tried_again_is_forgotten_and_nothing_stands_there_twice() {
        let folder = tempfile::tempdir().unwrap();
        let undone = |method: &str, seed| Undone { method: method.into(), seed, why: "hard".into(), run: None };
        let mut progress = Progress::read(folder.path());
        assert_eq!(progress, Progress::default());
        progress.runs = vec![(1, "a".into()), (2, "b".into()), (1, "c".into())];
        assert!(progress.add(undone("linear", None)) && !progress.add(undone("linear", Some(1))));
        assert!(progress.add(undone("own", Some(1))) && !progress.add(undone("own", Some(1))));
        assert!(progress.add(undone("own", Some(2))));
        progress.write(folder.path()).unwrap();
        assert_eq!(Progress::read(folder.path()), progress);
        assert_eq!(progress.runs_of(1).collect::<Vec<_>>(), ["a", "c"]);
        assert_eq!(progress.of(&[2]).len(), 2);
        assert!(progress.failure("linear", 7).is_some() && progress.failure("own", 7).is_none());
        progress.begin_seed(1);
        assert!(progress.runs_of(1).next().is_none() && progress.failure("own", 1).is_none());
        assert!(progress.failure("own", 2).is_some());
        progress.begin();
        assert!(progress.failure("linear", 1).is_none() && progress.undone.len() == 1);
        std::fs::write(folder.path().join(FILE), "{").unwrap();
        assert_eq!(Progress::read(folder.path()), Progress::default());
    }
}
