//! `lopper sensitivity`: which matrices the dev loss minds being pruned.

use super::interrupted::Interrupted;
use crate::module::Projection;
use crate::run::RunDir;
use crate::run::sensitivity::{By, Measured, guidance};
use crate::text::printable_lines;
use crate::train::what_if::reopened::Reopened;
use crate::train::what_if::sensitivity::{Measuring, Plan};
use crate::{Error, Result};
use serde_json::json;
use std::fmt::Write;
use std::path::PathBuf;
use std::time::Instant;

/// What is asked.
#[derive(Debug, Clone, clap::Args)]
pub struct Asked {
    /// The run directory
    run: PathBuf,
    /// Groups that are pruned alone, coarse ones first [default: all of them]
    #[arg(long, value_enum, value_delimiter = ',')]
    by: Vec<By>,
    /// Their ratios, in this order
    #[arg(long, value_delimiter = ',', default_value = "0.7,0.9,0.5,0.3")]
    ratios: Vec<f64>,
    /// Dev documents to measure the loss on
    #[arg(long, default_value_t = 8)]
    documents: usize,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// The map as text, and the exit code. What was measured before is in the run and is not measured again.
///
/// # Errors
/// When a ratio is none, or the run cannot be asked.
pub fn report(asked: &Asked, progress: &mut dyn FnMut(&str)) -> Result<(String, u8)> {
    if let Some(bad) = asked.ratios.iter().find(|r| !(0.0..=1.0).contains(*r)) {
        return Err(Error::user(format!("--ratios {bad}: a share from 0.0 to 1.0 is needed")));
    }
    if asked.documents == 0 {
        return Err(Error::user("--documents 0: at least one dev document is needed"));
    }
    let run = RunDir::open(&asked.run)?;
    let clock = Instant::now();
    let mut interrupted = Interrupted::listen();
    let open = Reopened::load(&run)?;
    let loaded = clock.elapsed().as_secs_f64();
    let by = if asked.by.is_empty() { By::ALL.to_vec() } else { asked.by.clone() };
    let plan = Plan { by, ratios: asked.ratios.clone(), ablations: true };
    let mut measuring = Measuring::of(&run, &open, 0..asked.documents)?;
    let mut all: Vec<Measured> = Vec::new();
    let (mut new, mut at) = (0, None);
    let mut firsts: Vec<(By, f64, f64)> = Vec::new();
    let whole = measuring.measure(&plan, &mut interrupted, &mut |measured, known| {
        let place = (measured.by, measured.ratio);
        if at != Some(place) {
            at = Some(place);
            let (seconds, word) = (clock.elapsed().as_secs_f64(), measured.by.word());
            progress(&format!("{seconds:6.1} s  by {word} at {}", measured.ratio));
            firsts.push((measured.by, measured.ratio, seconds));
        }
        new += usize::from(!known);
        all.push(measured.clone());
        Ok(())
    })?;
    let seconds = clock.elapsed().as_secs_f64();
    let code = if whole { 0 } else { 130 };
    if asked.json {
        let value = json!({
            "run": run.name(), "stage": open.stage.1, "step": open.step, "whole": whole, "measured": new,
            "seconds": seconds, "loading": loaded, "groups": all, "notes": open.notes,
        });
        let text = serde_json::to_string_pretty(&value).map_err(|e| Error::fault(e.to_string()))?;
        return Ok((text, code));
    }
    let mut text = String::new();
    for note in &open.notes {
        writeln!(text, "note: {note}").ok();
    }
    if let Some(first) = all.first() {
        let [from, to] = first.documents;
        writeln!(
            text,
            "step {}: dev loss {:.4} on documents {} to {to}; each group pruned alone, the others as they are",
            open.step,
            first.loss[0],
            from + 1
        )
        .ok();
    }
    for by in By::ALL {
        table(by, &all, &mut text);
    }
    if let Some(said) = asked.ratios.iter().find_map(|ratio| guidance(&all, *ratio)) {
        writeln!(text, "\n{said}").ok();
    }
    if !whole {
        text.push_str("\ngiven up; the same command goes on from here\n");
    }
    write!(text, "\n{new} of {} measured now, {seconds:.1} s ({loaded:.1} s to load)", all.len()).ok();
    Ok((printable_lines(&text), code))
}

/// One table: groups by ratios; modules as layers by projections.
fn table(by: By, all: &[Measured], text: &mut String) {
    let mine: Vec<&Measured> = all.iter().filter(|m| m.by == by).collect();
    let mut ratios: Vec<f64> = mine.iter().map(|m| m.ratio).collect();
    ratios.sort_unstable_by(f64::total_cmp);
    ratios.dedup();
    if mine.is_empty() {
        return;
    }
    if by == By::Module {
        for ratio in ratios {
            modules(ratio, &mine, text);
        }
        return;
    }
    let mut groups: Vec<&str> = Vec::new();
    for measured in &mine {
        if !groups.contains(&measured.group.as_str()) {
            groups.push(&measured.group);
        }
    }
    let heads = ratios.iter().map(|r| format!("{r:>18}")).collect::<Vec<_>>().concat();
    writeln!(text, "\n{:16}{heads}", by.word()).ok();
    for group in groups {
        let cell = |ratio: &f64| {
            let found = mine.iter().find(|m| m.group == group && m.ratio == *ratio);
            found.map_or(String::new(), |m| m.delta.shown(4))
        };
        let cells = ratios.iter().map(|ratio| format!("{:>18}", cell(ratio))).collect::<Vec<_>>().concat();
        writeln!(text, "{group:16}{cells}").ok();
    }
    if by == By::Adapter && mine.iter().any(|m| m.ratio == 1.0) {
        text.push_str(
            "(at 1 the adapter is left out; its A alone or B alone at 0 does the same, as only B A counts)\n",
        );
    }
}

/// Thousandths of a nat, layers by projections.
fn modules(ratio: f64, mine: &[&Measured], text: &mut String) {
    let heads = Projection::ALL.map(|p| format!("{:>10}", p.name())).concat();
    writeln!(text, "\n{:12}{heads}   at {ratio}, in 0.001 nats", "module").ok();
    let layers = mine.iter().filter_map(|m| m.group.split('.').nth(1)?.parse::<usize>().ok()).max().unwrap_or(0);
    for layer in 0..=layers {
        let cell = |p: Projection| {
            let name = crate::module::ModuleId::new(layer, p).to_string();
            let found = mine.iter().find(|m| m.group == name && m.ratio == ratio);
            found.map_or(String::new(), |m| format!("{:+.2}", 1000.0 * m.delta.mean))
        };
        let cells = Projection::ALL.map(|p| format!("{:>10}", cell(p))).concat();
        writeln!(text, "layers.{layer:<5}{cells}").ok();
    }
}
