//! Evaluations and sweeps at a glance, beside the runs.

use super::Summary;
use crate::run::notes::Notes;
use crate::run::{RunDir, RunState, as_file_name, worker};
use crate::study::{self, Kind, Plan};
use std::path::Path;
use std::time::SystemTime;

/// The studies of a folder, the newest first.
pub(super) fn look(folder: &Path) -> Vec<Summary> {
    let mut all: Vec<Summary> = study::list(folder).into_iter().map(|(path, kind)| one(&path, kind)).collect();
    all.sort_by(|a, b| b.started.total_cmp(&a.started).then_with(|| a.name.cmp(&b.name)));
    all
}

/// How many of its runs are finished; of an evaluation those of its seeds, the newest of each: others may be of an earlier
/// question.
fn finished(plan: Option<&Plan>, runs: &[RunDir]) -> usize {
    let is_finished = |run: &&RunDir| run.state() == RunState::Finished;
    match plan.filter(|plan| plan.kind == Kind::Evaluation) {
        None => runs.iter().filter(is_finished).count(),
        Some(plan) => {
            let newest = |seed: &u64| {
                let begins = format!("{}-seed-{seed}-", as_file_name(&plan.name));
                runs.iter().find(|run| run.name().starts_with(&begins))
            };
            plan.seeds.iter().filter_map(newest).filter(is_finished).count()
        }
    }
}

fn one(path: &Path, kind: Kind) -> Summary {
    let plan = Plan::read(path);
    let runs = RunDir::list(path).unwrap_or_default();
    let finished = finished(plan.as_ref(), &runs);
    // A sweep ends with a run more: that of the chosen settings.
    let of = plan.as_ref().map_or(runs.len(), |plan| plan.runs.max(finished));
    let made = |path: &Path| {
        let time = std::fs::metadata(path).and_then(|meta| meta.modified()).ok()?;
        time.duration_since(SystemTime::UNIX_EPOCH).ok().map(|d| d.as_secs_f64())
    };
    let written = made(path).unwrap_or(0.0);
    let (notes, notes_error) = match Notes::read(path) {
        Ok(notes) => (notes, None),
        Err(e) => (Notes::default(), Some(e.to_string())),
    };
    let state = study::state(path);
    let word = worker::read_last_word(path).filter(|_| state != RunState::Running);
    Summary {
        path: path.to_path_buf(),
        name: path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default(),
        state,
        stage: (finished, of),
        method: kind.word().to_owned(),
        started: plan.as_ref().map_or(written, |plan| plan.started),
        last: word.as_ref().map_or(written, |word| word.t),
        said: word.map_or(String::new(), |word| word.text),
        notes,
        notes_error,
        study: Some(kind),
        ..Summary::default()
    }
}
