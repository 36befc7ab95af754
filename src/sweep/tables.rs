//! A sweep as text, Markdown and CSV.

use super::axis::shown;
use super::{Chosen, Sweep, ToBest, Trial};
use crate::eval::markup;
use crate::text::{counted, printable};
use std::fmt::Write;
use unicode_width::UnicodeWidthStr;

const SCORES: [&str; 8] = ["R-L", "to best", "R-1", "R-2", "dev loss", "sparsity", "train", "run"];

/// Settings as people read them: `ratio 0.5, lr 0.0001`.
pub fn settings(of: &Sweep, values: &[f64]) -> String {
    of.axes.iter().zip(values).map(|(axis, value)| format!("{axis} {}", shown(*value))).collect::<Vec<_>>().join(", ")
}

/// A mean and its standard error: `18.52±2.36`.
pub fn with_error(mean: &str, error: Option<f64>) -> String {
    error.map_or_else(|| mean.to_owned(), |error| format!("{mean}±{error:.2}"))
}

/// How far a trial is from the best one, with the error of the difference: `-0.52±0.31`; empty of the best.
pub fn to_best(of: Option<ToBest>) -> String {
    of.map_or(String::new(), |found| with_error(&format!("{:+.2}", found.difference), found.error))
}

fn heads(of: &Sweep) -> Vec<String> {
    let part = of.trials.iter().any(|trial| trial.budget.is_some());
    let budget = part.then(|| "training".to_owned());
    of.axes.iter().cloned().chain(budget).chain(SCORES.map(String::from)).collect()
}

fn cells(of: &Sweep, trial: &Trial) -> Vec<String> {
    let mut cells: Vec<String> = trial.settings.iter().map(|value| shown(*value)).collect();
    if of.trials.iter().any(|trial| trial.budget.is_some()) {
        cells.push(trial.budget.map_or("all".to_owned(), |budget| budget.to_string()));
    }
    let scores = match &trial.score {
        Some(score) => {
            let rouge = score.rouge;
            [
                with_error(&format!("{:.2}", rouge.rouge_l), score.error),
                to_best(of.to_best(trial)),
                format!("{:.2}", rouge.rouge1),
                format!("{:.2}", rouge.rouge2),
                format!("{:.3}", score.loss),
                format!("{:.1}%", 100.0 * score.sparsity),
                format!("{:.0}s", score.seconds),
            ]
        }
        None => ["failed", "", "", "", "", "", ""].map(String::from),
    };
    cells.extend(scores);
    cells.push(printable(&trial.run).into_owned());
    cells
}

/// What the figures are, what was chosen and how sure that is, in plain words.
pub fn legend(of: &Sweep) -> Vec<String> {
    let documents = of.best().map_or(0, |(_, score)| score.documents);
    let mut lines = vec![format!(
        "{} dev documents, greedy summaries; R: ROUGE F over {}, ± standard error over documents; loss in nats per summary token",
        documents, of.tokens
    )];
    let (near, all) = of.near();
    if all > 1 {
        lines.push(format!(
            "{near} of {} with the whole training within one standard error of the best (of the difference, document by document): among them dev does not decide",
            counted(all, "trial")
        ));
    }
    for trial in of.trials.iter().filter(|trial| trial.failed.is_some()) {
        let why = printable(trial.failed.as_deref().unwrap_or_default()).into_owned();
        lines.push(format!("failed: {}: {why}", settings(of, &trial.settings)));
    }
    if let Some(chosen) = &of.chosen {
        lines.push(choice(of, chosen));
    }
    lines.extend(of.notes.iter().map(|note| format!("note: {}", printable(note))));
    lines
}

fn choice(of: &Sweep, chosen: &Chosen) -> String {
    let mut line = format!("chosen: {} (chosen.toml)", settings(of, &chosen.settings));
    match (&chosen.test, &chosen.run) {
        (Some(score), Some(run)) => {
            let rouge = score.rouge;
            write!(
                line,
                "; {} test documents: R-L {}, R-1 {:.2}, R-2 {:.2}, loss {:.3} ({})",
                score.documents,
                with_error(&format!("{:.2}", rouge.rouge_l), score.error),
                rouge.rouge1,
                rouge.rouge2,
                score.loss,
                printable(run)
            )
            .ok();
            if chosen.looks > 1 {
                write!(
                    line,
                    "; the test set was scored {} times by runs of this sweep and those beside it: no clean test any more",
                    chosen.looks
                )
                .ok();
            }
        }
        _ => line.push_str("; the test set was not scored"),
    }
    line
}

/// Aligned for a terminal, with the legend.
pub fn text(of: &Sweep) -> String {
    let mut lines = vec![heads(of)];
    lines.extend(of.trials.iter().map(|trial| cells(of, trial)));
    let last = lines[0].len() - 1;
    let widths: Vec<usize> =
        (0..=last).map(|at| lines.iter().map(|line| line[at].width()).max().unwrap_or(0)).collect();
    let mut out = String::new();
    for line in &lines {
        let padded = line.iter().zip(&widths).enumerate().map(|(at, (cell, width))| {
            let gap = " ".repeat(width - cell.width());
            // Names to the left, numbers to the right.
            if at == last { cell.clone() } else { gap + cell }
        });
        writeln!(out, "{}", padded.collect::<Vec<_>>().join("  ").trim_end()).ok();
    }
    for line in legend(of) {
        writeln!(out, "{line}").ok();
    }
    out
}

/// A Markdown table with the legend and, where there is one, the picture of the curve.
pub fn markdown(of: &Sweep, picture: Option<&str>) -> String {
    let heads = heads(of);
    let title = markup::markdown(&printable(&format!("{}: {} search", of.name, of.search)));
    let names: Vec<String> = heads.iter().map(|head| markup::markdown(&printable(head))).collect();
    let mut out = format!("# {title}\n\n| {} |\n", names.join(" | "));
    writeln!(out, "|{}---|", "---:|".repeat(heads.len() - 1)).ok();
    for trial in &of.trials {
        let cells: Vec<String> = cells(of, trial).iter().map(|cell| markup::markdown(cell)).collect();
        writeln!(out, "| {} |", cells.join(" | ")).ok();
    }
    out.push('\n');
    for line in legend(of) {
        writeln!(out, "{}\n", markup::markdown(&line)).ok();
    }
    if let Some(picture) = picture {
        writeln!(out, "![dev ROUGE-L and loss against the prune ratio]({picture})").ok();
    }
    out
}

/// All figures in full precision, one trial a line.
pub fn csv(of: &Sweep) -> String {
    let quoted = |text: &str| format!("\"{}\"", printable(text).replace('"', "\"\""));
    let axes: String = of.axes.iter().map(|axis| quoted(axis) + ",").collect();
    let mut out = format!(
        "{axes}training,rougeL,rougeL_error,to_best,to_best_error,rouge1,rouge2,dev_loss,sparsity,train_seconds,run,failed\n"
    );
    for trial in &of.trials {
        let settings: Vec<String> = trial.settings.iter().map(f64::to_string).collect();
        let budget = trial.budget.map_or("all".to_owned(), |budget| budget.to_string());
        let number = |value: Option<f64>| value.map_or(String::new(), |value| value.to_string());
        let to_best = of.to_best(trial);
        let scores = trial.score.map_or(",,,,,,,,".to_owned(), |s| {
            let r = s.rouge;
            let first = [Some(r.rouge_l), s.error, to_best.map(|t| t.difference), to_best.and_then(|t| t.error)];
            let rest = [r.rouge1, r.rouge2, s.loss, s.sparsity, s.seconds].map(Some);
            first.into_iter().chain(rest).map(number).collect::<Vec<_>>().join(",")
        });
        let failed = trial.failed.as_deref().map_or(String::new(), quoted);
        writeln!(out, "{},{budget},{scores},{},{failed}", settings.join(","), quoted(&trial.run)).ok();
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::Score;
    use super::super::tests::{sweep, trial};
    use super::*;

    fn searched() -> Sweep {
        let broken = Trial { score: None, failed: Some("di\u{1b}verged".into()), ..trial(0.9, None, 0.0, 0.0) };
        let mut all = sweep(vec![
            broken,
            Trial { by_document: vec![20.0, 22.0], ..trial(0.25, None, 21.0, 3.0) },
            trial(0.5, Some(2), 22.0, 3.1),
            Trial { by_document: vec![20.5, 23.5], ..trial(0.5, None, 22.0, 3.1) },
        ]);
        all.rank();
        all.notes.push("3 of 9 dev \u{1b}documents stand in test".to_owned());
        let test = Score { documents: 66, ..all.trials[0].score.unwrap_or_default() };
        all.chosen =
            Some(Chosen { settings: vec![0.5, 1e-4], run: Some("games-chosen".into()), test: Some(test), looks: 1 });
        all
    }

    #[test]
    fn the_three_forms_hold_the_same_trials() {
        let of = searched();
        let text = text(&of);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].starts_with("ratio      lr  training         R-L     to best    R-1"), "{text}");
        assert!(lines[1].starts_with("  0.5  0.0001       all  22.00±0.50"), "{text}");
        assert!(lines[4].contains("failed") && !text.contains('\u{1b}'), "{text}");
        assert!(text.contains("1 of 2 trials with the whole training within one standard error"), "{text}");
        let chosen = "chosen: ratio 0.5, lr 0.0001 (chosen.toml); 66 test documents: R-L 22.00±0.50, R-1 23.00";
        assert!(text.contains(chosen), "{text}");
        let markdown = markdown(&of, Some("sweep.svg"));
        assert!(text.contains("note: 3 of 9 dev ") && markdown.contains("note: 3 of 9 dev "), "{text}");
        assert!(
            markdown.contains("| 0.25 | 0.0001 | all | 21.00±0.50 | -1.00±0.50 | 22.00 |")
                && markdown.ends_with("(sweep.svg)\n")
        );
        let csv = csv(&of);
        let columns = |line: &str| line.split(',').count();
        assert!(csv.lines().all(|line| columns(line) == 14) && csv.contains("di\\u{1b}verged"), "{csv}");
    }

    #[test]
    fn a_second_look_at_the_test_set_is_told() {
        let mut of = searched();
        of.chosen.iter_mut().for_each(|chosen| chosen.looks = 2);
        assert!(text(&of).contains("scored 2 times by runs of this sweep and those beside it"), "{}", text(&of));
        of.chosen.iter_mut().for_each(|chosen| (chosen.run, chosen.test) = (None, None));
        assert!(text(&of).contains("the test set was not scored"), "{}", text(&of));
    }
}
