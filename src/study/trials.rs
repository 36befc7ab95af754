//! How a sweep stands: its trials by rank, then what is under way or was not ranked.

use super::Plan;
use super::standing::{Cell, Head, Line, Part, Standing};
use crate::run::RunState;
use crate::run::listing::Summary;
use crate::sweep::curve::Curve;
use crate::sweep::{Sweep, Trial, tables};

/// Fills the standing of a sweep of these runs.
pub(super) fn fill(found: Option<Sweep>, plan: Option<&Plan>, runs: &[Summary], standing: &mut Standing) {
    let sweep = found.unwrap_or_else(|| Sweep {
        name: plan.map_or(String::new(), |plan| plan.name.clone()),
        search: String::new(),
        axes: Vec::new(),
        tokens: String::new(),
        trials: Vec::new(),
        chosen: None,
        notes: Vec::new(),
    });
    let mut heads: Vec<Head> =
        sweep.axes.iter().map(|axis| Head { name: axis.clone(), falls: false, weight: 8 }).collect();
    let scores = [("R-L", true, 9), ("to best", true, 6), ("R-1", true, 5), ("R-2", true, 4), ("dev loss", false, 7)];
    let rest = [("sparsity", true, 3), ("train", false, 2)];
    heads.extend(scores.into_iter().chain(rest).map(|(name, falls, weight)| Head { name: name.into(), falls, weight }));
    let chosen = sweep.chosen.as_ref();
    for trial in &sweep.trials {
        let run = runs.iter().find(|run| run.name == trial.run);
        let state = if trial.score.is_some() { RunState::Finished } else { RunState::Failed };
        let said = trial.failed.clone().unwrap_or_default();
        let part = Part { label: String::new(), run: run.map(|run| run.path.clone()), state, said };
        standing.lines.push(Line {
            name: name(&sweep, trial),
            cells: cells(&sweep, trial),
            parts: vec![part],
            stands_out: trial.budget.is_none() && chosen.is_some_and(|chosen| chosen.settings == trial.settings),
        });
    }
    for run in runs.iter().filter(|run| sweep.trials.iter().all(|trial| trial.run != run.name)) {
        let is_chosen = chosen.is_some_and(|chosen| chosen.run.as_ref() == Some(&run.name));
        let said = if run.step.1 > 0 { format!("step {} of {}", run.step.0, run.step.1) } else { String::new() };
        let part = Part { label: String::new(), run: Some(run.path.clone()), state: run.state, said };
        standing.lines.push(Line {
            name: if is_chosen { "chosen, on the test set".to_owned() } else { run.name.clone() },
            cells: vec![Cell::default(); heads.len()],
            parts: vec![part],
            stands_out: is_chosen,
        });
    }
    standing.heads = heads;
    if !sweep.trials.is_empty() {
        standing.notes = tables::legend(&sweep);
    }
    if let Some(plan) = plan.filter(|plan| plan.runs > sweep.trials.len()) {
        standing.notes.insert(0, format!("{} of {} trials so far", sweep.trials.len(), plan.runs));
    }
    standing.curve = Curve::of(&sweep).map(|curve| [curve.text(false), curve.text(true)]);
}

/// The settings, and how much of the training they had where that is not all.
fn name(sweep: &Sweep, trial: &Trial) -> String {
    let budget = trial.budget.map_or(String::new(), |budget| format!(" (training {budget})"));
    format!("{}{budget}", tables::settings(sweep, &trial.settings))
}

/// As many settings as there are axes, whatever the file says, then the scores.
fn cells(sweep: &Sweep, trial: &Trial) -> Vec<Cell> {
    let plain = |value: f64, text: String| Cell { text, value: Some(value), mark: "" };
    let settings = trial.settings.iter().map(|value| plain(*value, crate::sweep::axis::shown(*value)));
    let mut cells: Vec<Cell> = settings.collect();
    cells.resize(sweep.axes.len(), Cell::default());
    match &trial.score {
        None => cells.extend(std::iter::repeat_n(Cell::default(), 7)),
        Some(score) => {
            let rouge = score.rouge;
            let to_best = sweep.to_best(trial);
            // The best one stands at its own place when they are sorted by it.
            let is_best = sweep.best().is_some_and(|(best, _)| best.run == trial.run);
            let behind = to_best.map(|found| found.difference).or(is_best.then_some(0.0));
            cells.extend([
                plain(rouge.rouge_l, tables::with_error(&format!("{:.2}", rouge.rouge_l), score.error)),
                Cell { text: tables::to_best(to_best), value: behind, mark: "" },
                plain(rouge.rouge1, format!("{:.2}", rouge.rouge1)),
                plain(rouge.rouge2, format!("{:.2}", rouge.rouge2)),
                plain(score.loss, format!("{:.3}", score.loss)),
                plain(score.sparsity, format!("{:.1}%", 100.0 * score.sparsity)),
                plain(score.seconds, format!("{:.0}s", score.seconds)),
            ]);
        }
    }
    cells
}
