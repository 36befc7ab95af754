//! How often a test set has been scored: one that was looked at more than once is no clean test any more.

use super::list;
use crate::run::event::{Event, EventBody};
use crate::run::journal::Reader;
use crate::run::{RunDir, RunState};
use crate::{Error, Result};
use std::path::Path;

/// Bytes that are read of a journal at most: a worker tells what it found before its first stage.
const BYTES: u64 = 16 << 20;

/// Finished runs that have scored the test set of `run`, itself included: in the folder of runs that holds `study`, and in
/// the evaluations and sweeps beside it. A test set is the same where name and contents of its file are.
///
/// # Errors
/// When a folder cannot be read.
pub fn at_test_of(run: &RunDir, study: &Path) -> Result<usize> {
    let Some(test) = test_set(run) else { return Ok(0) };
    // By one name, so that nothing is counted twice.
    let study = study.canonicalize().map_err(|e| Error::io("find", study, &e))?;
    let parent = study.parent().unwrap_or(&study);
    let mut folders: Vec<_> = list(parent).into_iter().map(|(folder, _)| folder).collect();
    folders.push(parent.to_path_buf());
    if !folders.contains(&study) {
        folders.push(study);
    }
    let mut looks = 0;
    for folder in folders {
        let runs = RunDir::list(&folder)?.into_iter().filter(|run| run.state() == RunState::Finished);
        looks += runs.filter(|run| test_set(run).as_ref() == Some(&test)).count();
    }
    Ok(looks)
}

/// The hash of the test set that a run has found; `None` where it has none or was not begun.
fn test_set(run: &RunDir) -> Option<String> {
    let mut found = None;
    let look = |line: &[u8]| {
        if let Ok(Event { body: EventBody::Started(started), .. }) = Event::parse(line) {
            found = Some(started);
        }
        found.is_none()
    };
    Reader::new(&run.journal_file()).lines(BYTES, look).ok()?;
    found?.origin.inputs.iter().find(|input| input.key == "data.test").map(|input| input.sha256.clone())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::run::event::Started;
    use crate::run::journal::Journal;
    use crate::run::origin::{Input, Origin};

    /// A run below `folder` that has found this test set, and how it ended.
    fn run(folder: &Path, name: &str, test: &str, state: &str) -> RunDir {
        let path = folder.join(name);
        std::fs::create_dir_all(&path).unwrap();
        std::fs::write(path.join("recipe.toml"), "").unwrap();
        let word = format!(r#"{{"state": "{state}", "text": "", "code": 0, "t": 1.0}}"#);
        std::fs::write(path.join("exit.json"), word).unwrap();
        let input = |key: &str, sha256: &str| Input { key: key.into(), sha256: sha256.into(), ..Input::default() };
        let inputs = vec![input("data.dev", "dev"), input("data.test", test)];
        let origin = Box::new(Origin { inputs, ..Origin::default() });
        let run = RunDir::open(&path).unwrap();
        let mut journal = Journal::open(&run.journal_file()).unwrap();
        journal.append(EventBody::Started(Box::new(Started { origin, ..Started::default() }))).unwrap();
        run
    }

    #[test]
    fn the_runs_beside_a_study_and_of_other_studies_count() {
        let folder = tempfile::tempdir().unwrap();
        let (own, other) = (folder.path().join("games-sweep"), folder.path().join("games-eval"));
        let chosen = run(&own, "chosen", "a", "finished");
        assert_eq!(at_test_of(&chosen, &own).unwrap(), 1);
        run(&own, "failed", "a", "failed");
        run(&own, "another-test", "b", "finished");
        run(folder.path(), "games", "a", "finished");
        run(&other, "games-seed-1", "a", "finished");
        assert_eq!(at_test_of(&chosen, &own).unwrap(), 2, "a folder that is no study is not looked into");
        for (study, table) in [(&own, "sweep.json"), (&other, "evaluation.json")] {
            std::fs::write(study.join(table), "{}").unwrap();
        }
        assert_eq!(at_test_of(&chosen, &own).unwrap(), 3);
    }
}
