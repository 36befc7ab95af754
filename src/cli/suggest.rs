//! `lopper suggest`: ratios per module for a sparsity or for a loss, measured against the same ratio for all.

use super::interrupted::Interrupted;
use crate::recipe::ratios::Rule;
use crate::recipe::sets;
use crate::run::RunDir;
use crate::run::proposal::{Goal, Proposal};
use crate::run::what_if::RESTORED;
use crate::text::{self, printable, printable_lines};
use crate::train::what_if::reopened::Reopened;
use crate::train::what_if::suggest::{Documents, ROUNDS, suggest};
use crate::{Error, Result};
use serde::Serialize;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Rules that are written out.
const RULES: usize = 12;

/// What is asked.
#[derive(Debug, Clone, clap::Args)]
pub struct Asked {
    /// The run directory
    run: PathBuf,
    /// Share of all entries to prune
    #[arg(long, conflicts_with = "max_loss", required_unless_present = "max_loss")]
    sparsity: Option<f64>,
    /// Prune as much as raises the dev loss by this at most, nats per token
    #[arg(long)]
    max_loss: Option<f64>,
    /// Dev documents to choose by [default: half of them, 64 at most]; the rest verifies
    #[arg(long)]
    documents: Option<usize>,
    /// How often the slopes are taken anew, at most
    #[arg(long, default_value_t = ROUNDS)]
    rounds: usize,
    /// As JSON
    #[arg(long)]
    json: bool,
    /// A new file for the rules, as they stand under [prune] of a recipe
    #[arg(long, value_name = "FILE.toml")]
    out: Option<PathBuf>,
}

/// The proposal for programs.
#[derive(Serialize)]
struct Told<'a> {
    #[serde(flatten)]
    found: &'a Proposal,
    goal: Goal,
    run: String,
    /// The method of the stage that the step is of.
    stage: &'a str,
    step: usize,
    seconds: f64,
    notes: &'a [String],
    /// There were too few documents to verify with others: what was measured on them is what chose.
    verified_on_choosing: bool,
}

/// The proposal as text.
///
/// # Errors
/// When a share is none, or the run cannot be asked.
pub fn report(asked: &Asked, progress: &mut dyn FnMut(&str)) -> Result<String> {
    if let Some(share) = asked.sparsity.filter(|share| !(0.0..=1.0).contains(share)) {
        return Err(Error::user(format!("--sparsity {share}: a share from 0.0 to 1.0 is needed")));
    }
    let goal = match (asked.sparsity, asked.max_loss) {
        (Some(sparsity), _) => Goal::Sparsity(sparsity),
        (None, Some(most)) if most.is_finite() => Goal::MaxLoss(most),
        (None, Some(most)) => return Err(Error::user(format!("--max-loss {most}: a number of nats is needed"))),
        (None, None) => return Err(Error::user("--sparsity or --max-loss is needed")),
    };
    if asked.documents == Some(0) {
        return Err(Error::user("--documents 0: at least one dev document is needed to choose by"));
    }
    if asked.rounds == 0 {
        return Err(Error::user("--rounds 0: at least one is needed"));
    }
    let run = RunDir::open(&asked.run)?;
    if let Some(path) = &asked.out {
        // Before minutes of search.
        free_place(path)?;
    }
    let clock = Instant::now();
    let mut interrupted = Interrupted::listen();
    let open = Reopened::load(&run)?;
    let documents = Documents::of(open.task.dev.references.len(), asked.documents);
    let found = suggest(&open, goal, &documents, asked.rounds, &mut interrupted, &mut |line| {
        progress(&format!("{:6.1} s  {line}", clock.elapsed().as_secs_f64()));
        Ok(())
    })?;
    if let Some(path) = &asked.out {
        crate::run::write_aside(path, sets::text(&found.rules).as_bytes())?;
    }
    let seconds = clock.elapsed().as_secs_f64();
    if asked.json {
        let told = Told {
            found: &found,
            goal,
            run: run.name(),
            stage: &open.stage.1,
            step: open.step,
            seconds,
            notes: &open.notes,
            verified_on_choosing: chose_all(&found),
        };
        return text::json(&told);
    }
    Ok(printable_lines(&lines(&found, &open.notes, seconds)))
}

/// Refuses a place where no new file can be made.
fn free_place(path: &Path) -> Result<()> {
    let refused = |why: &str| Err(Error::user(format!("--out {}: {why}", printable(&path.display().to_string()))));
    if path.symlink_metadata().is_ok() {
        return refused("it exists; name a new file");
    }
    match path.parent() {
        Some(folder) if folder.as_os_str().is_empty() || folder.is_dir() => Ok(()),
        _ => refused("its folder does not exist; make it first"),
    }
}

/// Whether no other documents verify than those that chose.
fn chose_all(found: &Proposal) -> bool {
    let [choose, verify] = found.documents;
    choose == verify
}

fn lines(found: &Proposal, notes: &[String], seconds: f64) -> String {
    let mut text = String::new();
    for note in notes {
        writeln!(text, "note: {note}").ok();
    }
    let [[from, to], [check_from, check_to]] = found.documents;
    let [now, loss] = found.stands;
    let same = if chose_all(found) { "; too few documents to verify with others" } else { "" };
    let percent = |share: f64| format!("{:.1} %", 100.0 * share);
    // What one reads; all of them are in the file.
    for rule in found.rules.iter().take(RULES) {
        writeln!(text, "{}", Rule::typed(rule)).ok();
    }
    if let Some(more @ 1..) = found.rules.len().checked_sub(RULES) {
        writeln!(text, "… and {more} more: --out FILE.toml keeps all, as they stand under [prune] of a recipe").ok();
    }
    if found.moves.is_empty() {
        writeln!(text, "\nno move from one ratio for all lowers the loss: the proposal is the one ratio").ok();
    } else {
        writeln!(text, "\nmean ratio").ok();
        for (name, ratio) in &found.groups {
            writeln!(text, "  {name:24} {:>6}", percent(*ratio)).ok();
        }
        writeln!(text, "\nmoves along the slopes of the loss that lowered the dev loss").ok();
    }
    for of in &found.moves {
        writeln!(text, "  by {:<5} {}", of.by, of.gain.shown(4)).ok();
    }
    writeln!(text, "\nsparsity   {} → {}; {RESTORED}", percent(now), percent(found.sparsity)).ok();
    writeln!(text, "chosen on  documents {} to {to}, verified on {} to {check_to}{same}", from + 1, check_from + 1)
        .ok();
    writeln!(text, "dev loss   {loss:.4} as things stand").ok();
    let rows = [("proposal", 0), ("uniform", 1)];
    for (name, i) in rows {
        let (chosen, verified) = (found.chosen[i].shown(4), found.verified[i].shown(4));
        writeln!(text, "{name:10} {verified} ({chosen} where it was chosen)").ok();
    }
    writeln!(text, "proposal less uniform: {} (below 0: better)", found.gain.shown(4)).ok();
    let (measured, slopes) = (found.measured, found.slopes);
    write!(text, "{measured} what-ifs and {slopes} times the slopes measured, {seconds:.1} s").ok();
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_place_without_room_for_a_new_file_is_refused_before_the_search() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| free_place(&folder.path().join(name)).map_err(|e| (e.exit_code(), e.to_string()));
        assert_eq!(at("rules.toml"), Ok(()));
        assert_eq!(free_place(Path::new("no-such-file-here.toml")), Ok(()));
        std::fs::write(folder.path().join("there.toml"), "").unwrap();
        let (code, said) = at("there.toml").unwrap_err();
        assert!(code == 2 && said.ends_with("there.toml: it exists; name a new file"), "{said}");
        let (code, said) = at("nowhere/rules.toml").unwrap_err();
        assert!(code == 2 && said.contains("its folder does not exist"), "{said}");
    }
}
