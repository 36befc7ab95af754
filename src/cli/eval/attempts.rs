//! The runs of one seed: what one of them could not do, the next leaves out.

use crate::cli::outcome::{self, Ending, tell};
use crate::eval::evaluation::Undone;
use crate::recipe::{Method, Recipe};
use crate::run::event::Report;
use crate::run::{RunDir, RunState};
use crate::study::{self, Progress, feasible, launch};
use crate::text::printable;
use crate::train::plan::{self, Stage};
use crate::{Error, Result};
use std::path::Path;

/// What the runs of a seed have come to.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Each run with what it has scored.
    pub(super) runs: Vec<(RunDir, Report)>,
    /// What ended the last run that failed.
    pub(super) error: Option<Error>,
}

/// Runs what is missing of a seed: where a run fails, what it had scored stays, and another one does what it did not come
/// to. `None` when a signal came.
///
/// # Errors
/// When a run cannot be started or is stopped, or fails at what is no method's; when a file cannot be read or written.
pub(super) fn of_seed(
    recipe: &Recipe,
    seed: u64,
    out: &Path,
    ending: &mut Ending<'_>,
    progress: &mut Progress,
) -> Result<Option<Found>> {
    progress.begin_seed(seed);
    let mut wanted = study::of_seed(recipe, seed);
    let mut found = Found::default();
    loop {
        let impossible = feasible::impossible(&wanted);
        leave_out(&mut wanted, impossible, progress);
        let first = launch::base_first(&wanted);
        // A run that was begun in another order goes on in that, unless there is a finished one.
        let begun = outcome::found(&wanted, out)?.map(|run| run.state());
        if first != wanted && begun != Some(RunState::Finished) && (begun.is_none() || is_finished(&first, out)?) {
            wanted = first;
        }
        progress.write(out)?;
        let mut begun = |run: &RunDir| {
            progress.runs.push((seed, run.name()));
            progress.write(out)
        };
        let error = match outcome::finished(&wanted, out, ending, &mut begun) {
            Ok(None) => return Ok(None),
            Ok(Some(run)) => {
                let report = outcome::report(&run)?;
                found.runs.push((run, report));
                return Ok(Some(found));
            }
            Err(error) => error,
        };
        // One that cannot even start, or was stopped, is a reason to leave the others.
        let Some(run) = outcome::failed(&wanted, out)? else { return Err(error) };
        let stages = plan::stages(&wanted);
        let at = outcome::failed_at(&run)?.filter(|at| *at < stages.len());
        if at.is_none() {
            // What it fetched may tell more than was known before.
            let impossible = feasible::impossible(&run.recipe()?);
            if !impossible.is_empty() {
                leave_out(&mut wanted, impossible, progress);
                found.error = Some(error);
                continue;
            }
        }
        let report = outcome::told(&run)?;
        let Split { mut lost, rest } = split(&stages, at, &report);
        let scored_all = lost.is_empty() && rest.is_empty();
        let rest = untried(rest, progress, seed);
        let goes_on = !rest.is_empty() && keep(&mut wanted, &rest);
        if !goes_on {
            lost.extend(rest);
        }
        for method in lost {
            let why = error.to_string();
            let line = format!("failed: {}, seed {seed}: {}", printable(&method), printable(&why));
            if progress.add(Undone { method, seed: Some(seed), why, run: Some(run.name()) }) {
                tell(&line);
            }
        }
        progress.write(out)?;
        found.runs.push((run, report));
        if scored_all {
            // It failed at what comes behind the scores: its result cannot be written.
            return Err(error);
        }
        found.error = Some(error);
        if !goes_on {
            return Ok(Some(found));
        }
    }
}

/// Whether there is a finished run of this recipe in `out`.
fn is_finished(wanted: &Recipe, out: &Path) -> Result<bool> {
    Ok(outcome::found(wanted, out)?.is_some_and(|run| run.state() == RunState::Finished))
}

/// Takes methods that cannot be done out of the recipe.
fn leave_out(wanted: &mut Recipe, impossible: Vec<(Method, String)>, progress: &mut Progress) {
    for (method, why) in impossible {
        wanted.eval.methods.retain(|one| *one != method);
        let line = format!("left out: {}: {}", method.label(), printable(&why));
        if progress.add(Undone { method: method.label().to_owned(), seed: None, why, run: None }) {
            tell(&line);
        }
    }
}

/// Leaves of the recipe's methods those that have these rows; false where that is all of them, and the run would be the
/// same.
fn keep(wanted: &mut Recipe, rows: &[String]) -> bool {
    let before = wanted.eval.methods.len();
    wanted.eval.methods.retain(|method| rows.iter().any(|row| row == method.label()));
    wanted.eval.methods.len() < before
}

/// Of the rows that a run did not come to, those that no run of the seed has failed at. The others keep their reason:
/// what they need, as a target adapter whose training fails, would be tried for nothing.
fn untried(mut rest: Vec<String>, progress: &Progress, seed: u64) -> Vec<String> {
    rest.retain(|row| progress.failure(row, seed).is_none());
    rest
}

/// What a run that failed leaves undone.
#[derive(Debug, PartialEq, Eq)]
struct Split {
    /// The rows that it has failed at.
    lost: Vec<String>,
    /// The rows that it did not come to.
    rest: Vec<String>,
}

/// Of a run that failed `at` this stage, or before its first; `report` has what it had scored.
fn split(stages: &[Stage], at: Option<usize>, report: &Report) -> Split {
    let rows = |stages: &[Stage]| stages.iter().flat_map(launch::rows).collect::<Vec<String>>();
    let is_missing = |row: &String| report.rows.iter().all(|scored| scored.method != *row);
    let lost = match at {
        None => rows(stages),
        // Whatever uses the target adapter has none without this stage.
        Some(at) if stages[at].makes_target => {
            let with_target: Vec<Stage> =
                stages[at..].iter().filter(|stage| !stage.adapters.is_empty()).cloned().collect();
            rows(&with_target)
        }
        Some(at) => rows(&stages[at..=at]),
    };
    let lost: Vec<String> = lost.into_iter().filter(is_missing).collect();
    let rest = rows(stages).into_iter().filter(|row| is_missing(row) && !lost.contains(row)).collect();
    Split { lost, rest }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::run::event::ReportRow;

    fn recipe(methods: &[Method]) -> Recipe {
        let mut recipe = Recipe::parse(
            "base = 'b'\n[data]\ntrain = 't'\ndev = 'd'\n[[adapters]]\nname = 'games'\nrole = 'target'\n[[adapters]]\nname = \
             'science'\nrole = 'related'\npath = 's'\n",
        )
        .unwrap();
        recipe.eval.methods = methods.to_vec();
        recipe
    }

    fn report(rows: &[&str]) -> Report {
        let row = |method: &&str| ReportRow { method: (*method).into(), ..ReportRow::default() };
        Report { split: "test".into(), rows: rows.iter().map(row).collect(), ..Report::default() }
    }

    fn labels(methods: &[Method]) -> Vec<String> {
        methods.iter().map(|method| method.label().to_owned()).collect()
    }

    #[test]
    fn a_method_that_fails_costs_itself_alone() {
        use Method::{FewShot, Linear, Merge, MergeTune, MergeTunePrune, TargetTune, TunePrune, ZeroShot};
        let mut wanted = recipe(&[ZeroShot, TargetTune, Merge, TunePrune]);
        let stages = plan::stages(&wanted);
        let names: Vec<&str> = stages.iter().map(|stage| stage.label.as_str()).collect();
        assert_eq!(names[1], "target adapter alone");
        let found = split(&stages, Some(2), &report(&["zero-shot"]));
        assert_eq!(found.lost, labels(&[TargetTune]));
        assert_eq!(found.rest, labels(&[Merge, TunePrune, MergeTunePrune]));
        assert!(keep(&mut wanted, &found.rest) && wanted.eval.methods == [Merge, TunePrune]);
        assert!(!keep(&mut wanted, &found.rest), "the same run would fail again");
        // A training whose own row is not asked for costs what comes of it.
        let stages = plan::stages(&wanted);
        let at = stages.iter().position(|stage| stage.label == MergeTune.label());
        let found = split(&stages, at, &report(&[Merge.label()]));
        assert_eq!((found.lost, found.rest), (labels(&[TunePrune]), labels(&[MergeTunePrune])));
        // The run's own is the last.
        let found = split(&stages, Some(stages.len() - 1), &report(&[Merge.label(), TunePrune.label()]));
        assert_eq!((found.lost, found.rest), (labels(&[MergeTunePrune]), Vec::new()));
        // Without the target adapter there is nothing to merge; the base goes on.
        let stages = plan::stages(&recipe(&[Linear, FewShot]));
        let found = split(&stages, Some(0), &report(&[]));
        assert_eq!((found.lost, found.rest), (labels(&[Linear, MergeTunePrune]), labels(&[FewShot])));
        // A run for the base alone that fails has nothing left that could be done without that adapter.
        let mut progress = Progress::default();
        for method in [Linear, MergeTunePrune] {
            let (method, why) = (method.label().to_owned(), "diverged".to_owned());
            progress.add(Undone { method, seed: Some(1), why, run: Some("run".into()) });
        }
        let of_base = plan::stages(&recipe(&[FewShot]));
        let found = split(&of_base, Some(0), &report(&[]));
        assert_eq!((&found.lost, &found.rest), (&labels(&[FewShot]), &labels(&[MergeTunePrune])));
        assert!(untried(found.rest.clone(), &progress, 1).is_empty());
        assert_eq!(untried(found.rest.clone(), &progress, 2), found.rest, "another seed is another training");
        // It is tried again by the next process.
        progress.begin_seed(1);
        assert_eq!(untried(found.rest.clone(), &progress, 1), found.rest);
        // What did not come to a stage has failed at all that it had not scored before.
        let found = split(&stages, None, &report(&[FewShot.label()]));
        assert_eq!((found.lost, found.rest), (labels(&[Linear, MergeTunePrune]), Vec::new()));
    }
}
