//! What can be said of a worker that is gone without a last word, and whether memory was short.

use super::event::{EventBody, Started};
use super::{RunDir, journal, launch, lock, memory};
use crate::model::config::Config;
use crate::model::inventory::Inventory;
use crate::recipe::{BaseType, Recipe, Recompute};
use crate::run::estimate::bytes;
use crate::text::printable;

/// What the runtime prints when memory cannot be had, before it ends the process.
const NO_MEMORY: &str = "memory allocation of ";

/// One sentence or two: what the worker printed last, what memory it had, what to do.
pub fn sentence(run: &RunDir) -> String {
    let path = printable(&run.path().display().to_string()).into_owned();
    let log = launch::tail_of_log(run);
    let memory = want_of_memory(run, &log).map(|text| format!("; {text}")).unwrap_or_default();
    format!(
        "the worker is gone without a last word: {log}; `lopper resume {path}` goes on from the last checkpoint{memory}"
    )
}

/// Why memory was short, if that is what it looks like, with the numbers at the time and what to lower.
fn want_of_memory(run: &RunDir, log: &str) -> Option<String> {
    let event = |kind: &str| journal::last_of(&run.journal_file(), kind).ok().flatten().map(|event| event.body);
    let started = match event("started") {
        Some(EventBody::Started(started)) => Some(*started),
        _ => None,
    };
    let kills = || {
        // The kernel counts since its start.
        let same_boot = lock::holder(run.path())?.boot == lock::boot();
        Some((started.as_ref()?.origin.oom_kills?, memory::kills().filter(|_| same_boot)?))
    };
    let why = reason(log, kills())?;
    let path = printable(&run.path().display().to_string()).into_owned();
    Some(format!("{why}{}{}", at_the_time(event("step"), started.as_ref()), advice(run, &path)))
}

/// Why memory is to blame: what the worker printed, or the kernel's count of processes killed for want of memory, when
/// the worker began and now.
fn reason(log: &str, kills: Option<(u64, u64)>) -> Option<String> {
    if log.contains(NO_MEMORY) {
        return Some("memory ran out".to_owned());
    }
    match kills.and_then(|(before, now)| now.checked_sub(before))? {
        0 => None,
        1 => Some("the kernel has killed a process for want of memory since the worker began".to_owned()),
        n => Some(format!("the kernel has killed {n} processes for want of memory since the worker began")),
    }
}

/// ` (it had 1.2 GB at step 14; 2.0 GB were free at its start)`.
fn at_the_time(step: Option<EventBody>, started: Option<&Started>) -> String {
    let mut facts = Vec::new();
    if let Some(EventBody::Step(step)) = step {
        facts.push(format!("it had {} at step {}", bytes(step.memory), step.step));
    }
    if let Some(free) = started.and_then(|s| s.origin.free) {
        facts.push(format!("{} were free at its start", bytes(free)));
    }
    if facts.is_empty() { String::new() } else { format!(" ({})", facts.join("; ")) }
}

/// What can be lowered, from what the recipe has.
fn advice(run: &RunDir, path: &str) -> String {
    let Ok(recipe) = run.recipe() else { return String::new() };
    let train = &recipe.train;
    let mut lower = vec![format!("--set train.micro_tokens={}", (train.micro_tokens / 2).max(1))];
    if train.recompute != Recompute::Always {
        lower.push("--set train.recompute=true".into());
    }
    if recipe.dtype != BaseType::Stored && saved_by_packing(&recipe) > 0 {
        lower.push("--set dtype=stored".into());
    }
    format!(
        ": free some, or lower what a step needs (train.micro_tokens is {}): `lopper resume {path} {}`",
        train.micro_tokens,
        lower.join("`, `")
    )
}

/// Bytes that the base would take less as it is stored; 0 where that cannot be told.
fn saved_by_packing(recipe: &Recipe) -> u64 {
    let half = recipe.dtype == BaseType::Bf16;
    let saves = |config| Some(Inventory::read(&recipe.base).ok()?.packing_saves(&config, half, false));
    Config::read(&recipe.base).ok().and_then(saves).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_blamed_where_something_points_at_it() {
        assert_eq!(reason("worker.log is empty", None), None);
        assert_eq!(reason("worker.log is empty", Some((3, 3))), None);
        // The count begins again with the machine.
        assert_eq!(reason("worker.log is empty", Some((3, 0))), None);
        assert!(reason("", Some((3, 4))).is_some_and(|text| text.contains("killed a process for want of memory")));
        assert!(reason("", Some((3, 5))).is_some_and(|text| text.contains("killed 2 processes")));
        let log = "memory allocation of 68719476736 bytes failed";
        assert_eq!(reason(log, None).as_deref(), Some("memory ran out"));
    }
}
