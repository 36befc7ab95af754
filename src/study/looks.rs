//! How often a test set has been scored: one that was looked at more than once is no clean test any more.

use super::list;
use crate::run::event::{Event, EventBody};
use crate::run::{RunDir, RunState, journal, listing};
use crate::{Error, Result};
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// Bytes from a journal's beginning within which a run that began has said what it found.
const FIRST_BYTES: u64 = 16 << 20;

/// Runs that have scored the test set of `run`, itself included, also where they came to no end: in the folder of runs
/// that holds `study`, and in the evaluations and sweeps beside it. A test set is the same where name and contents of its
/// file are. A run that is there twice, as a copy or by a link, has looked once.
///
/// # Errors
/// When a folder cannot be read.
pub fn at_test_of(run: &RunDir, study: &Path) -> Result<usize> {
    Ok(all_at_test_of(run, &whole(study)?)?.len())
}

/// The same of other runs than these of `study`, by the names of their directories.
///
/// # Errors
/// When a folder cannot be read.
pub fn by_others(run: &RunDir, study: &Path, own: &[String]) -> Result<usize> {
    let study = whole(study)?;
    let is_own = |of: &RunDir| of.path().parent() == Some(study.as_path()) && own.contains(&of.name());
    Ok(all_at_test_of(run, &study)?.iter().filter(|of| !is_own(of)).count())
}

/// A folder by one name, so that nothing is counted twice.
fn whole(folder: &Path) -> Result<PathBuf> {
    folder.canonicalize().map_err(|e| Error::io("find", folder, &e))
}

/// The runs that have scored the test set of `run`, in the folders that may have some.
fn all_at_test_of(run: &RunDir, study: &Path) -> Result<Vec<RunDir>> {
    let Some(Begun { test, .. }) = begun(run) else { return Ok(Vec::new()) };
    let parent = study.parent().unwrap_or(study);
    // The study first: of a run that is there twice it has the one that counts.
    let others = list(parent).into_iter().map(|(folder, _)| folder).filter(|folder| folder != study);
    let folders: Vec<_> = [study.to_path_buf(), parent.to_path_buf()].into_iter().chain(others).collect();
    let (mut looks, mut seen) = (Vec::new(), HashSet::new());
    for folder in folders {
        for run in RunDir::list(&folder)? {
            let Some(begun) = begun(&run).filter(|begun| begun.test == test) else { continue };
            if has_scored(&run) && seen.insert((run.name(), begun.at.to_bits())) {
                looks.push(run);
            }
        }
    }
    Ok(looks)
}

/// Whether a run has scored its test set, where it has one: by its end, or else by the rows that it has told.
fn has_scored(run: &RunDir) -> bool {
    if run.state() == RunState::Finished {
        return true;
    }
    let last = journal::last_of(&run.journal_file(), "report").ok().flatten();
    last.is_some_and(
        |event| matches!(&event.body, EventBody::Report(report) if report.split == "test" && !report.rows.is_empty()),
    )
}

/// What a run began with.
struct Begun {
    /// The hash of its test set.
    test: String,
    /// When, Unix time: with the run's name it tells a copy from another run.
    at: f64,
}

/// What a run began with; `None` where it has no test set or was not begun.
fn begun(run: &RunDir) -> Option<Begun> {
    let event = first_started(run).or_else(|| journal::last_of(&run.journal_file(), "started").ok().flatten())?;
    let EventBody::Started(started) = &event.body else { return None };
    let test = started.origin.inputs.iter().find(|input| input.key == "data.test")?.sha256.clone();
    Some(Begun { test, at: event.t })
}

/// Where it stands in a run that was never gone on with: near the beginning, however long the journal is.
fn first_started(run: &RunDir) -> Option<Event> {
    let mut first = None;
    let look = |line: &[u8]| {
        if listing::kind(line) == Some("started") {
            first = Event::parse(line).ok();
        }
        first.is_none()
    };
    journal::Reader::new(&run.journal_file()).lines(FIRST_BYTES, look).ok()?;
    first
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::run::event::{Report, ReportRow, Started};
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
        // Of an evaluation those beside its own.
        let of = |name: &str| RunDir::open(&other.join(name)).unwrap();
        let names = |all: &[&str]| all.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let seeds = names(&["games-seed-1"]);
        assert_eq!(by_others(&of("games-seed-1"), &other, &seeds).unwrap(), 2);
        run(&other, "games-seed-2", "a", "finished");
        assert_eq!(by_others(&of("games-seed-1"), &other, &seeds).unwrap(), 3, "of another question");
        let seeds = names(&["games-seed-1", "games-seed-2", "games", "chosen"]);
        assert_eq!(by_others(&of("games-seed-1"), &other, &seeds).unwrap(), 2, "a name is one of this folder");
    }

    #[test]
    fn a_run_that_is_there_twice_has_looked_once() {
        let folder = tempfile::tempdir().unwrap();
        let (own, other) = (folder.path().join("games-eval"), folder.path().join("games-eval-slim"));
        let first = run(&own, "games-seed-1", "a", "finished");
        for study in [&own, &other] {
            std::fs::create_dir_all(study.join("games-seed-1")).unwrap();
            std::fs::write(study.join("evaluation.json"), "{}").unwrap();
        }
        for file in ["recipe.toml", "exit.json", "events.jsonl"] {
            std::fs::copy(first.path().join(file), other.join("games-seed-1").join(file)).unwrap();
        }
        std::os::unix::fs::symlink(&own, folder.path().join("link")).unwrap();
        let seeds = ["games-seed-1".to_owned()];
        assert_eq!((at_test_of(&first, &own), by_others(&first, &own, &seeds)), (Ok(1), Ok(0)));
        let copy = RunDir::open(&other.join("games-seed-1")).unwrap();
        assert_eq!((at_test_of(&copy, &other), by_others(&copy, &other, &seeds)), (Ok(1), Ok(0)));
        // By the same name at another time it is another run.
        run(folder.path(), "games-seed-1", "a", "finished");
        assert_eq!((at_test_of(&first, &own), by_others(&first, &own, &seeds)), (Ok(2), Ok(1)));
    }

    #[test]
    fn a_run_that_failed_counts_once_it_has_scored_the_test_set() {
        let folder = tempfile::tempdir().unwrap();
        let own = folder.path().join("games-sweep");
        let chosen = run(&own, "chosen", "a", "finished");
        let tell = |run: &RunDir, split: &str, rows: usize| {
            let report = Report { split: split.into(), rows: vec![ReportRow::default(); rows], ..Report::default() };
            Journal::open(&run.journal_file()).unwrap().append(EventBody::Report(report)).unwrap();
        };
        for (name, state, split, rows, looks) in [
            ("failed-before", "failed", "test", 0, 1),
            ("failed-on-dev", "failed", "dev", 2, 1),
            ("failed", "failed", "test", 1, 2),
            ("stopped", "stopped", "test", 2, 3),
        ] {
            tell(&run(&own, name, "a", state), split, rows);
            assert_eq!(at_test_of(&chosen, &own).unwrap(), looks, "{name}");
        }
        // Of another test set, or a journal that is damaged: none of these.
        tell(&run(&own, "another-test", "b", "failed"), "test", 1);
        let damaged = run(&own, "damaged", "a", "failed");
        std::fs::write(damaged.journal_file(), "{").unwrap();
        assert_eq!(at_test_of(&chosen, &own).unwrap(), 3);
    }
}
