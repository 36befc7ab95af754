//! Disks that fail: every write of a run and of the commands beside it, once with an error of the device (EIO), a full
//! disk (ENOSPC), a refusal (EACCES). Nothing is mounted: tests/fixtures/faulty/faulty.c is put before the real binary.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

use crate::shim;
use crate::tiny;
use lopper::run::event::EventBody;
use lopper::run::{RunDir, RunState};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use tiny::{Project, Said, assert_tidy, promptly, result, until_over, utf8};

const EIO: i32 = 5;
const EACCES: i32 = 13;
const ENOSPC: i32 = 28;

/// A call that is to fail.
#[derive(Debug, Clone)]
struct Fault {
    /// As faulty.c has them.
    call: String,
    /// A glob.
    path: String,
    nth: usize,
    errno: i32,
    /// Whether every one after it fails as well: the disk is gone.
    for_good: bool,
}

impl Fault {
    fn new(call: &str, path: &str, nth: usize, errno: i32) -> Self {
        Self { call: call.into(), path: path.into(), nth, errno, for_good: false }
    }
}

/// A case: a command under a fault, with the log of its calls.
struct Case<'a> {
    project: &'a Project,
    runs: PathBuf,
    log: PathBuf,
}

impl<'a> Case<'a> {
    fn new(project: &'a Project, name: &str) -> Self {
        let runs = project.path(&format!("runs/{name}"));
        std::fs::create_dir_all(&runs).unwrap();
        Self { project, runs, log: project.path(&format!("{name}.log")) }
    }

    fn command(&self, fault: Option<&Fault>, watched: &str, args: &[&str]) -> Command {
        let mut command = self.project.command(args);
        command.env("LOPPER_RUNS", &self.runs).env("LD_PRELOAD", shim::built()).env("FAULTY_LOG", &self.log);
        command.env("FAULTY_PATH", fault.map_or(watched, |f| f.path.as_str()));
        if let Some(fault) = fault {
            command.env("FAULTY_CALL", &fault.call).env("FAULTY_NTH", fault.nth.to_string());
            command.env("FAULTY_ERRNO", fault.errno.to_string());
            if fault.for_good {
                command.env("FAULTY_ON", "1");
            }
        }
        command
    }

    /// What a command under `fault` says, within a time in which none should still be at it.
    fn said(&self, fault: &Fault, args: &[&str]) -> Said {
        let limit = Duration::from_secs(20);
        let said = promptly(&mut self.command(Some(fault), "", args), limit, &format!("{fault:?}: {args:?}"));
        assert!(!said.err.contains("panicked") && !said.err.contains("has a bug"), "{fault:?}: {said:?}");
        said
    }

    /// The calls so far, those that failed alone where `failed`.
    fn calls(&self, failed: bool) -> Vec<(String, String)> {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let call = |line: &str| {
            let line = if failed { line.strip_prefix("FAIL ")? } else { line };
            line.split_once(' ').map(|(call, path)| (call.to_owned(), path.to_owned()))
        };
        text.lines().filter_map(call).collect()
    }

    fn run(&self) -> Option<RunDir> {
        let mut runs = RunDir::list(&self.runs).unwrap();
        assert!(runs.len() < 2, "{runs:?}");
        runs.pop()
    }
}

/// One sentence, no panic.
fn assert_one_sentence(said: &Said, what: &str) {
    assert!(matches!(said.code, Some(1 | 2)), "{what}: {said:?}");
    assert!(said.err.starts_with("lopper: ") && said.err.lines().count() == 1, "{what}: {said:?}");
}

/// The words of an error.
fn why(errno: i32) -> &'static str {
    match errno {
        EIO => "Input/output error",
        EACCES => "permission denied",
        _ => "free some space",
    }
}

/// A path as a glob that fits it in every run: numbers of processes, of steps and the run's own name are stars.
fn class(path: &str, runs: &Path) -> String {
    let path = path.strip_prefix(utf8(runs)).unwrap();
    // `/NAME-DATE-TIME/…`
    let inside = path[1..].split_once('/').map_or(String::new(), |(_, rest)| format!("/{rest}"));
    let mut glob = String::new();
    for part in inside.split_inclusive(['-', '.', '/']) {
        let digits = part.trim_end_matches(['-', '.', '/']);
        if digits.starts_with("tmp") {
            // A name of tempfile's.
            glob.push_str("tmp*");
        } else if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) {
            glob.push('*');
            glob.push_str(&part[digits.len()..]);
        } else {
            glob.push_str(part);
        }
    }
    glob
}

const TRAIN: &str = "epochs = 2\ndropout = 0.1\ncheckpoint_every = 2";

/// What a call that failed may cost nothing: what is kept beside, or taken away when it is of no use any more.
fn is_harmless(call: &str, path: &str) -> bool {
    path.ends_with("worker.spare") || call == "unlink" || path.contains("/.stage-")
}

/// Calls and globs of their paths, with how often they came.
type Calls = BTreeMap<(String, String), usize>;

/// Every call of a run that writes, in `(call, glob)` with how often it came.
fn calls_of_a_run(project: &Project) -> (Calls, (Vec<u8>, serde_json::Value)) {
    let case = Case::new(project, "whole");
    let watched = format!("{}/*", utf8(&case.runs));
    let output = case.command(None, &watched, &["run", "recipe.toml", "--plain"]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let mut all = BTreeMap::new();
    for (call, path) in case.calls(false) {
        if call != "read" {
            *all.entry((call, class(&path, &case.runs))).or_insert(0) += 1;
        }
    }
    let want = result(&case.run().unwrap());
    (all, want)
}

/// A run under `fault` to its end, however that is; then without, to the same result. Whether the fault came about.
fn run_and_go_on(project: &Project, name: &str, fault: &Fault, want: &(Vec<u8>, serde_json::Value)) -> bool {
    let case = Case::new(project, name);
    let fault = &Fault { path: format!("{}/*{}", utf8(&case.runs), fault.path), ..fault.clone() };
    let said = case.said(fault, &["run", "recipe.toml", "--plain"]);
    let failed = case.calls(true);
    let Some((call, path)) = failed.first() else {
        assert_eq!(said.code, Some(0), "{fault:?}: {said:?}");
        return false;
    };
    let what = format!("{fault:?} at {path}");
    let run = case.run();
    if let Some(run) = run.as_ref().filter(|_| call != "unlink" && fault.call != "*") {
        until_over(run);
        assert_tidy(run);
    }
    if said.code == Some(0) {
        // Where the journal's last line fails all is done, and exit.json says so.
        let is_end = path.ends_with("/events.jsonl") && run.as_ref().is_some_and(|r| r.state() == RunState::Finished);
        assert!(is_harmless(call, path) || is_end, "{what}: nobody was told: {said:?}");
    } else {
        assert_one_sentence(&said, &what);
        // What is written aside is named as what it will be.
        // Where the worker cannot write its last words either, that is what is told.
        let gone = fault.call == "*" && said.err.contains("the worker is gone without a last word");
        assert!(gone || said.err.contains(why(fault.errno)), "{what}: {said:?}");
    }
    let Some(run) = run else {
        let left: Vec<_> = std::fs::read_dir(&case.runs).unwrap().collect();
        assert!(left.is_empty(), "{what}: {left:?}");
        return true;
    };
    if run.state() != RunState::Finished {
        let resumed = project.lopper(&["resume", utf8(run.path()), "--plain"]);
        assert_eq!(resumed.code, Some(0), "{what}: {said:?}, {resumed:?}");
        assert_tidy(&run);
    }
    assert!(result(&run) == *want, "{what}: another result");
    std::fs::remove_dir_all(&case.runs).unwrap();
    true
}

/// Does every one of `cases`, and says all that went wrong.
fn all_of(cases: &[Fault], mut one: impl FnMut(usize, &Fault) -> bool) -> usize {
    let mut came = 0;
    let mut wrong = Vec::new();
    for (i, fault) in cases.iter().enumerate() {
        match std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| one(i, fault))) {
            Ok(due) => came += usize::from(due),
            Err(e) => wrong.push(e.downcast_ref::<String>().cloned().unwrap_or_default()),
        }
    }
    assert!(wrong.is_empty(), "{} of {}: {}", wrong.len(), cases.len(), wrong.join("\n\n"));
    came
}

#[test]
fn a_write_that_fails_is_told_and_the_run_goes_on_to_the_same_numbers() {
    let project = Project::new();
    project.recipe("", TRAIN);
    let (calls, want) = calls_of_a_run(&project);
    // Every file once, and what stood still or left something behind before.
    let once = |(call, path): &(String, String)| {
        let files = call == "write" || (call == "rename" && !path.contains("/checkpoints/"));
        files || path.ends_with("worker.lock") || (call == "open" && path == "/events.jsonl")
    };
    let cases: Vec<Fault> = calls
        .iter()
        .filter(|(of, _)| once(of))
        .map(|((call, path), count)| Fault::new(call, path, count.div_ceil(2), EIO))
        .collect();
    let clock = Instant::now();
    let came = all_of(&cases, |i, fault| run_and_go_on(&project, &format!("eio-{i}"), fault, &want));
    println!("{came} of {} cases came about, {:?}", cases.len(), clock.elapsed());
    assert!(cases.len() > 12 && came * 10 >= cases.len() * 9, "{came} of {}", cases.len());
}

#[test]
#[ignore = "fails every call in several ways, which takes minutes: .ci/run"]
fn every_call_of_a_run_may_fail_in_every_way() {
    let project = Project::new();
    project.recipe("", TRAIN);
    let (calls, want) = calls_of_a_run(&project);
    let mut cases = Vec::new();
    for ((call, path), count) in &calls {
        for (errno, for_good) in [(EIO, false), (EIO, true), (EACCES, true), (ENOSPC, false)] {
            let mut nths = vec![1, count.div_ceil(2), *count];
            nths.dedup();
            // Of a disk that is gone, the first call that fails is the one that is told.
            nths.truncate(if for_good { 1 } else { 3 });
            cases.extend(nths.into_iter().map(|nth| Fault { for_good, ..Fault::new(call, path, nth, errno) }));
        }
    }
    let clock = Instant::now();
    let came = all_of(&cases, |i, fault| match fault.errno {
        ENOSPC => run_and_make_room(&project, &format!("case-{i}"), fault, &want),
        _ => run_and_go_on(&project, &format!("case-{i}"), fault, &want),
    });
    println!("{came} of {} cases came about, {:?}", cases.len(), clock.elapsed());
    assert!(came * 10 >= cases.len() * 9, "{came} of {}", cases.len());
}

#[test]
fn a_disk_that_goes_altogether_costs_what_was_not_on_it() {
    let project = Project::new();
    project.recipe("", TRAIN);
    let (calls, want) = calls_of_a_run(&project);
    let all: usize = calls.values().sum();
    let gone = |nth| Fault { for_good: true, ..Fault::new("*", "*", nth, EIO) };
    let cases: Vec<Fault> = (1..=all).step_by(all / 8).map(gone).collect();
    let came = all_of(&cases, |i, fault| run_and_go_on(&project, &format!("gone-{i}"), fault, &want));
    assert!(came + 1 >= cases.len(), "{came} of {}", cases.len());
}

/// A run for which a disk is full once: it pauses and is told to go on, or never began. Whether the fault came about.
fn run_and_make_room(project: &Project, name: &str, fault: &Fault, want: &(Vec<u8>, serde_json::Value)) -> bool {
    let case = Case::new(project, name);
    let fault = &Fault { path: format!("{}/*{}", utf8(&case.runs), fault.path), ..fault.clone() };
    let said = case.said(fault, &["run", "recipe.toml", "--detach"]);
    if said.code != Some(0) {
        assert_one_sentence(&said, &format!("{fault:?}"));
        assert!(said.err.contains("free some space"), "{fault:?}: {said:?}");
    }
    if let Some(run) = case.run() {
        let is_paused = || {
            let last = lopper::run::journal::last_of(&run.journal_file(), "paused").unwrap();
            matches!(last.map(|e| e.body), Some(EventBody::Paused { paused: true }))
        };
        let begun = Instant::now();
        while lopper::run::lock::is_held(run.path()) {
            if is_paused() {
                project.lopper(&["continue", utf8(run.path())]);
            }
            assert!(begun.elapsed() < Duration::from_secs(100), "{fault:?} hangs");
            std::thread::sleep(Duration::from_millis(50));
        }
        if run.state() != RunState::Finished {
            let resumed = project.lopper(&["resume", utf8(run.path()), "--plain"]);
            assert_eq!(resumed.code, Some(0), "{fault:?}: {said:?}, {resumed:?}");
        }
        assert!(result(&run) == *want, "{fault:?}: another result");
    }
    let came = !case.calls(true).is_empty();
    std::fs::remove_dir_all(&case.runs).unwrap();
    came
}

/// Commands that write beside a run: what they are given, and where.
fn commands<'a>(run: &'a str, to: &'a str) -> Vec<(Vec<&'a str>, &'static str)> {
    vec![
        (vec!["export", run, "--adapter", to], "*out.*"),
        (vec!["export", run, "--merged", to], "*out.*"),
        (vec!["report", run, "--html", to], "*out.*"),
        (vec!["picture", run, "--out", to], "*out.*"),
        (vec!["sensitivity", run], "*/sensitivity.jsonl"),
        (vec!["suggest", run, "--sparsity", "0.3", "--out", to], "*out.*"),
        (vec!["pause", run], "*/control.jsonl"),
    ]
}

#[test]
fn commands_beside_a_run_leave_nothing_half_written() {
    let project = Project::new();
    project.recipe("", "epochs = 1");
    assert_eq!(project.lopper(&["run", "recipe.toml", "--plain"]).code, Some(0));
    let run = utf8(project.run().path()).to_owned();
    let endless = Project::endless();
    let live = endless.detached();
    let live_path = utf8(live.path()).to_owned();
    let mut tried = 0;
    for (i, name) in ["adapter", "merged", "html", "svg", "sensitivity", "rules.toml", "pause"].iter().enumerate() {
        let to = format!("out.{name}");
        let of = if *name == "pause" { &live_path } else { &run };
        let (args, watched) = commands(of, &to).swap_remove(i);
        // Which calls there are, from one that succeeds.
        let case = Case::new(&project, &format!("calls-{name}"));
        let output = case.command(None, watched, &args).output().unwrap();
        assert!(output.status.success(), "{args:?}: {output:?}");
        let remove = || {
            let path = project.path(&to);
            if path.is_dir() {
                std::fs::remove_dir_all(path).unwrap();
            } else {
                std::fs::remove_file(path).ok();
            }
            std::fs::remove_file(Path::new(&run).join("sensitivity.jsonl")).ok();
        };
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        case.calls(false).into_iter().for_each(|(call, _)| *counts.entry(call).or_default() += 1);
        assert!(counts.contains_key("write"), "{args:?}: {counts:?}");
        for (call, count) in counts.iter().filter(|(call, _)| !matches!(call.as_str(), "read" | "unlink" | "copy")) {
            for (nth, errno) in [(1, EIO), (*count, ENOSPC), (1, EACCES)] {
                remove();
                let fault = Fault::new(call, watched, nth, errno);
                let mut said = case.said(&fault, &args);
                let what = format!("{args:?}, {fault:?}");
                // Before it come the lines of what was measured.
                said.err = said.err.lines().last().unwrap_or_default().to_owned();
                assert_one_sentence(&said, &what);
                assert!(said.err.contains(why(errno)), "{what}: {said:?}");
                let left: Vec<String> = std::fs::read_dir(project.path("."))
                    .unwrap()
                    .map(|e| e.unwrap().file_name().into_string().unwrap())
                    .filter(|name| name.contains("out"))
                    .collect();
                // A folder that was renamed and not synced is whole.
                let whole = call == "sync" && left.iter().all(|name| *name == to);
                assert!(left.is_empty() || whole, "{what}: {left:?}");
                tried += 1;
            }
        }
        remove();
        assert_eq!(project.lopper(&args).code, Some(0), "{args:?} again");
        remove();
    }
    println!("{tried} calls failed");
    tiny::kill(&live);
}

#[test]
fn a_read_that_fails_is_told() {
    let project = Project::new();
    project.recipe("", "epochs = 1");
    let case = Case::new(&project, "reads");
    for name in [
        "recipe.toml",
        "base/config.json",
        "base/tokenizer.json",
        "base/model.safetensors",
        "science/adapter_config.json",
        "science/adapter_model.safetensors",
        "data/train.jsonl",
    ] {
        let fault = Fault { for_good: true, ..Fault::new("read", &format!("*/{name}"), 1, EIO) };
        for args in [&["check", "recipe.toml"][..], &["run", "recipe.toml", "--plain"]] {
            let said = case.said(&fault, args);
            assert!(matches!(said.code, Some(1 | 2)), "{name}: {args:?}: {said:?}");
            assert!((said.out.clone() + &said.err).contains("Input/output error"), "{name}: {args:?}: {said:?}");
        }
    }
    assert_eq!(project.lopper(&["run", "recipe.toml", "--plain"]).code, Some(0));
    let runs = RunDir::list(&project.path("runs")).unwrap();
    let run = runs.into_iter().find(|run| run.state() == RunState::Finished).unwrap();
    for name in ["events.jsonl", "recipe.toml"] {
        let fault = Fault { for_good: true, ..Fault::new("read", &format!("*/{name}"), 1, EIO) };
        for args in [&["attach", utf8(run.path()), "--plain"][..], &["report", utf8(run.path()), "--html", "a.html"]] {
            let said = case.said(&fault, args);
            if said.code != Some(0) {
                assert_one_sentence(&said, &format!("{name}: {args:?}"));
            }
        }
    }
}
