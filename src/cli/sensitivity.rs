//! `lopper sensitivity`: which matrices the dev loss minds being pruned.

use super::interrupted::Interrupted;
use crate::module::Projection;
use crate::run::RunDir;
use crate::run::sensitivity::{By, Measured, guidance};
use crate::text::{self, printable_lines};
use crate::train::what_if::reopened::Reopened;
use crate::train::what_if::sensitivity::{Measuring, Plan, Told, Unmeasured};
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
    let mut none: Vec<Unmeasured> = Vec::new();
    let (mut new, mut at) = (0, None);
    let whole = measuring.measure(&plan, &mut interrupted, &mut |told| {
        let place = match told {
            Told::Known(measured) | Told::New(measured) => (measured.by, measured.ratio),
            Told::None(group) => (group.by, group.ratio),
        };
        if at != Some(place) {
            at = Some(place);
            let (seconds, word) = (clock.elapsed().as_secs_f64(), place.0.word());
            progress(&format!("{seconds:6.1} s  by {word} at {}", place.1));
        }
        new += usize::from(matches!(told, Told::New(_)));
        match told {
            Told::Known(measured) | Told::New(measured) => all.push(measured.clone()),
            Told::None(group) => none.push(group.clone()),
        }
        Ok(())
    })?;
    let seconds = clock.elapsed().as_secs_f64();
    let code = if whole { 0 } else { 130 };
    if asked.json {
        let value = json!({
            "run": run.name(), "stage": open.stage.1, "step": open.step, "whole": whole, "measured": new,
            "seconds": seconds, "loading": loaded, "groups": all, "unmeasured": none, "notes": open.notes,
        });
        return text::json(&value).map(|text| (text, code));
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
        table(by, &all, &none, &mut text);
    }
    reasons(&none, &mut text);
    if let Some(said) = asked.ratios.iter().find_map(|ratio| guidance(&all, *ratio)) {
        writeln!(text, "\n{said}").ok();
    }
    if !whole {
        text.push_str("\ngiven up; the same command goes on from here\n");
    }
    write!(text, "\n{new} of {} measured now, {seconds:.1} s ({loaded:.1} s to load)", all.len()).ok();
    Ok((printable_lines(&text), code))
}

/// In the place of a change that cannot be told.
const NONE: &str = "no number";
/// Groups whose reason is told.
const REASONS: usize = 8;

/// What stands where there is no change: it was not measured yet, or cannot be.
fn absent(is_none: bool) -> String {
    if is_none { NONE.to_owned() } else { String::new() }
}

/// Why there is no change for some groups.
fn reasons(none: &[Unmeasured], text: &mut String) {
    if none.is_empty() {
        return;
    }
    text.push('\n');
    for group in none.iter().take(REASONS) {
        writeln!(text, "{NONE}: {} pruned to {}: {}", group.group, group.ratio, group.text).ok();
    }
    if let Some(more @ 1..) = none.len().checked_sub(REASONS) {
        writeln!(text, "… and {more} more").ok();
    }
}

/// One table: groups by ratios; modules as layers by projections.
fn table(by: By, all: &[Measured], none: &[Unmeasured], text: &mut String) {
    let mine: Vec<&Measured> = all.iter().filter(|m| m.by == by).collect();
    let none: Vec<&Unmeasured> = none.iter().filter(|group| group.by == by).collect();
    let mut ratios: Vec<f64> = mine.iter().map(|m| m.ratio).chain(none.iter().map(|group| group.ratio)).collect();
    ratios.sort_unstable_by(f64::total_cmp);
    ratios.dedup();
    if ratios.is_empty() {
        return;
    }
    let is_none = |name: &str, ratio: f64| none.iter().any(|group| group.group == name && group.ratio == ratio);
    if by == By::Module {
        let last = none.iter().map(|group| group.group.as_str()).filter_map(layer).max();
        for ratio in ratios {
            modules(ratio, &mine, last, &is_none, text);
        }
        return;
    }
    let mut groups: Vec<&str> = Vec::new();
    for group in mine.iter().map(|m| m.group.as_str()).chain(none.iter().map(|group| group.group.as_str())) {
        if !groups.contains(&group) {
            groups.push(group);
        }
    }
    let heads = ratios.iter().map(|r| format!("{r:>18}")).collect::<Vec<_>>().concat();
    writeln!(text, "\n{:16}{heads}", by.word()).ok();
    for group in groups {
        let cell = |ratio: &f64| {
            let found = mine.iter().find(|m| m.group == group && m.ratio == *ratio);
            let known = found.map(|m| m.delta.shown(4));
            known.unwrap_or_else(|| absent(is_none(group, *ratio)))
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

/// The layer of a module's name.
fn layer(name: &str) -> Option<usize> {
    name.split('.').nth(1)?.parse().ok()
}

/// Thousandths of a nat, layers by projections; `last` of those that cannot be told.
fn modules(
    ratio: f64,
    mine: &[&Measured],
    last: Option<usize>,
    is_none: &dyn Fn(&str, f64) -> bool,
    text: &mut String,
) {
    let heads = Projection::ALL.map(|p| format!("{:>10}", p.name())).concat();
    writeln!(text, "\n{:12}{heads}   at {ratio}, in 0.001 nats", "module").ok();
    let layers = mine.iter().filter_map(|m| layer(&m.group)).chain(last).max().unwrap_or(0);
    for layer in 0..=layers {
        let cell = |p: Projection| {
            let name = crate::module::ModuleId::new(layer, p).to_string();
            let found = mine.iter().find(|m| m.group == name && m.ratio == ratio);
            let known = found.map(|m| format!("{:+.2}", 1000.0 * m.delta.mean));
            known.unwrap_or_else(|| absent(is_none(&name, ratio)))
        };
        let cells = Projection::ALL.map(|p| format!("{:>10}", cell(p))).concat();
        writeln!(text, "layers.{layer:<5}{cells}").ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::what_if::Change;

    fn measured(by: By, group: &str, ratio: f64) -> Measured {
        Measured {
            at: (1, 7, 0),
            by,
            group: group.into(),
            rule: format!("{group}={ratio}"),
            ratio,
            documents: [0, 8],
            on: "5eed".into(),
            loss: [3.5, 3.6],
            delta: Change { mean: 0.1, se: Some(0.02) },
            sparsity: [0.5, 0.6],
            retained: [0.9, 0.8],
            restored: 0,
            seconds: 0.25,
        }
    }

    fn none(by: By, group: &str, ratio: f64) -> Unmeasured {
        let text = "the dev loss is no finite number with these ratios: nothing can be told".to_owned();
        Unmeasured { by, group: group.into(), rule: format!("{group}={ratio}"), ratio, text }
    }

    #[test]
    fn a_group_that_cannot_be_measured_says_so_in_its_row() {
        let all = [measured(By::Layer, "layers.0", 0.5), measured(By::Layer, "layers.1", 0.5)];
        let lost = [none(By::Layer, "layers.1", 0.9), none(By::Adapter, "games", 1.0)];
        let mut text = String::new();
        table(By::Layer, &all, &lost, &mut text);
        let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        let rows: Vec<String> = text.lines().skip(1).map(words).collect();
        let (first, second) = ("layers.0 +0.1000 ± 0.0200", "layers.1 +0.1000 ± 0.0200 no number");
        assert_eq!(rows, ["layer 0.5 0.9", first, second]);
        // Also where nothing else of its kind was measured.
        let mut text = String::new();
        table(By::Adapter, &all, &lost, &mut text);
        assert!(text.contains("\ngames ") && text.contains("no number"), "{text}");
        let mut text = String::new();
        table(By::Module, &[], &[none(By::Module, "layers.1.self_attn.q_proj", 0.9)], &mut text);
        let row = text.lines().find(|line| line.starts_with("layers.1 "));
        assert!(row.is_some_and(|row| row.contains("no number")), "{text}");
    }

    #[test]
    fn the_reasons_are_told_and_counted() {
        let mut text = String::new();
        reasons(&[], &mut text);
        assert_eq!(text, "");
        let all: Vec<Unmeasured> = (0..10).map(|i| none(By::Layer, &format!("layers.{i}"), 0.9)).collect();
        reasons(&all, &mut text);
        let begin = "\nno number: layers.0 pruned to 0.9: the dev loss is no finite number with these ratios";
        assert!(text.starts_with(begin) && text.ends_with("… and 2 more\n"), "{text}");
    }
}
