//! What can be said of a worker that is gone without a last word, and whether memory was short.

use super::event::{EventBody, Started};
use super::{RunDir, journal, launch, lock, memory, shell};
use crate::model::config::Config;
use crate::model::device;
use crate::model::inventory::Inventory;
use crate::recipe::{BaseType, Recipe, Recompute};
use crate::run::estimate::bytes;

/// What the runtime prints when memory cannot be had, before it ends the process.
const NO_MEMORY: &str = "memory allocation of ";

/// One sentence or two: what the worker printed last, what memory it had, what to do.
pub fn sentence(run: &RunDir) -> String {
    let path = shell::word(run.path());
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
    let path = shell::word(run.path());
    let recomputed = started.as_ref().and_then(|started| started.origin.recomputed);
    Some(format!("{why}{}{}", at_the_time(event("step"), started.as_ref()), advice(run, recomputed, &path)))
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

/// What can be lowered, from what the recipe has and the layers that the last worker forwarded again.
fn advice(run: &RunDir, recomputed: Option<[usize; 2]>, path: &str) -> String {
    let Ok(recipe) = run.recipe() else { return String::new() };
    let (mut lower, besides) = less(&recipe, recomputed);
    if recipe.dtype != BaseType::Stored && saved_by_packing(&recipe) > 0 {
        lower.push("--set dtype=stored".into());
    }
    format!(
        ": free some, or lower what a step needs (train.micro_tokens is {}): `lopper resume {path} {}`{besides}",
        recipe.train.micro_tokens,
        lower.join("`, `")
    )
}

/// Settings with which a step needs less and a resume may begin, and in words what none of them can lower.
/// `recomputed` are the layers that are forwarded again already, and of how many.
pub(crate) fn less(recipe: &Recipe, recomputed: Option<[usize; 2]>) -> (Vec<String>, String) {
    let train = &recipe.train;
    let mut lower = vec![format!("--set train.micro_tokens={}", (train.micro_tokens / 2).max(1))];
    // The topmost layer is needed first: forwarded again it saves next to nothing.
    let some_are_left = recomputed.is_none_or(|[again, of]| again + 1 < of);
    if train.recompute != Recompute::Always && some_are_left {
        lower.push("--set train.recompute=true".into());
    }
    let longest = recipe.data.max_document_tokens;
    let besides = if train.micro_tokens <= longest {
        format!("; a pass takes a document at least: a new run with data.max_document_tokens below {longest} helps")
    } else {
        String::new()
    };
    (lower, besides)
}

/// Bytes that the base would take less as it is stored; 0 where that cannot be told.
fn saved_by_packing(recipe: &Recipe) -> u64 {
    let hold = device::hold(recipe.dtype, false);
    let saves = |config| Some(Inventory::read(&recipe.base).ok()?.packing_saves(&config, hold, false, false));
    Config::read(&recipe.base).ok().and_then(saves).unwrap_or(0)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_left_to_lower_is_advised() {
        let recipe = |train: &str| {
            let adapter = "[[adapters]]\nname = 'x'\nrole = 'target'\n";
            Recipe::parse(&format!("base = 'b'\n[data]\ntrain = 't'\ndev = 'd'\n{adapter}[train]\n{train}")).unwrap()
        };
        let half = "--set train.micro_tokens=1024";
        let both = [half, "--set train.recompute=true"];
        let auto = |recomputed| less(&recipe(""), recomputed).0;
        assert_eq!(auto(None), both);
        assert_eq!([auto(Some([0, 32])), auto(Some([12, 32]))], [both, both]);
        // All but the topmost one, or all.
        assert_eq!([auto(Some([31, 32])), auto(Some([32, 32]))], [[half], [half]]);
        assert_eq!(less(&recipe("recompute = true"), None).0, [half]);
        assert_eq!(less(&recipe("recompute = false"), Some([0, 32])).0, both);
        // Where a pass is no longer than a document may be, documents are what is left.
        assert_eq!(less(&recipe(""), None).1, "");
        let (lower, besides) = less(&recipe("micro_tokens = 1024"), None);
        assert_eq!(lower[0], "--set train.micro_tokens=512");
        assert!(besides.contains("data.max_document_tokens below 1024"), "{besides}");
    }

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
