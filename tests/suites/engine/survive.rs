//! What a run keeps of itself, who may see it, and what it says when its memory runs out.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::tiny;
use lopper::run::event::{EventBody, Started};
use lopper::run::{RunDir, RunState, lock};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tiny::{Project, events, result, said, until, until_event, until_over, utf8};

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn starts(run: &RunDir) -> Vec<Started> {
    let all = events(run).into_iter();
    all.filter_map(|e| if let EventBody::Started(started) = e.body { Some(*started) } else { None }).collect()
}

/// Every file below a folder.
fn files(folder: &Path, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, out);
        } else {
            out.push(path);
        }
    }
}

#[test]
fn a_run_is_its_owners_unless_the_group_was_let_in() {
    let project = Project::new();
    project.recipe("", "epochs = 1");
    // Whatever the user's own mask is.
    for (umask, args, folder, file) in [
        ("0022", &["run", "recipe.toml", "--plain", "--name", "own"][..], 0o700, 0o644),
        ("0077", &["run", "recipe.toml", "--plain", "--name", "group", "--group-readable"], 0o750, 0o640),
    ] {
        let mut shell = project.command(&[]);
        let program = shell.get_program().to_owned();
        shell = {
            let mut sh = std::process::Command::new("sh");
            sh.arg("-c").arg(format!("umask {umask}; exec \"$@\"")).arg("sh").arg(program).args(args);
            sh.current_dir(project.path(".")).env("LOPPER_RUNS", project.path("runs")).env("RAYON_NUM_THREADS", "2");
            sh.env("XDG_CONFIG_HOME", project.path("config")).stdin(Stdio::null());
            sh
        };
        let output = said(&mut shell);
        assert_eq!(output.code, Some(0), "{output:?}");
        let name = args[4];
        let run = project.runs().into_iter().find(|run| run.name().starts_with(name)).unwrap();
        assert_eq!(mode(run.path()), folder, "{name}");
        let mut all = Vec::new();
        files(run.path(), &mut all);
        assert!(all.len() > 10);
        for path in all {
            // What only a worker reads is its owner's in any case.
            if path.starts_with(run.checkpoints()) {
                continue;
            }
            let allowed = mode(&path);
            assert!(allowed & 0o040 != 0, "{} is {allowed:o}", path.display());
            assert!(folder == 0o700 || allowed.trailing_zeros() >= 3, "{} is {allowed:o}", path.display());
            assert!(path.ends_with("events.jsonl") <= (allowed == file), "{} is {allowed:o}", path.display());
        }
    }
}

#[test]
fn a_token_is_in_no_file_and_in_no_word() {
    const TOKEN: &str = "hf_SecretSecretSecretSecret123456";
    let project = Project::new();
    project.recipe("", "epochs = 1");
    let mut words = Vec::new();
    let mut tell = |args: &[&str], code: i32| {
        let mut command = project.command(args);
        // Nobody listens there: the hub cannot be reached.
        command.env("HF_TOKEN", TOKEN).env("HF_ENDPOINT", "http://127.0.0.1:9").env("HF_HOME", project.path("hf"));
        command.env_remove("HF_HUB_OFFLINE");
        let said = said(&mut command);
        assert_eq!(said.code, Some(code), "{said:?}");
        words.push(said.out + &said.err);
    };
    tell(&["run", "recipe.toml", "--plain"], 0);
    let run = project.run();
    let path = utf8(run.path()).to_owned();
    tell(&["attach", &path, "--plain"], 0);
    tell(&["report", &path, "--html", "page.html"], 0);
    tell(&["health"], 0);
    tell(&["check", "recipe.toml"], 0);
    tell(&["hub", "search", "x"], 1);
    let recipe = std::fs::read_to_string(project.path("recipe.toml")).unwrap();
    project.write("hub.toml", &recipe.replace("base = \"base\"", "base = \"hf://lab/base\""));
    tell(&["run", "hub.toml", "--plain"], 1);
    assert!(words.iter().all(|text| !text.contains(TOKEN)), "{words:#?}");
    let mut all = Vec::new();
    files(&project.path("."), &mut all);
    assert!(
        all.iter().any(|path| path.ends_with("events.jsonl")) && all.iter().any(|path| path.ends_with("page.html"))
    );
    for path in all {
        let bytes = std::fs::read(&path).unwrap();
        let found = bytes.windows(TOKEN.len()).any(|window| window == TOKEN.as_bytes());
        assert!(!found, "the token is in {}", path.display());
    }
}

#[test]
fn a_run_says_where_it_comes_from_and_what_has_changed_since() {
    let project = Project::new();
    project.recipe("seed = 5", "steps = 1000000\neval_every = 1000000\ncheckpoint_every = 1000000");
    let run = project.detached();
    let path = utf8(run.path()).to_owned();
    let stop = || {
        until_event(&run, "a step", |e| matches!(e, EventBody::Modules(m) if m.prunes()));
        assert_eq!(project.lopper(&["stop", &path]).code, Some(0));
        until_over(&run);
        assert_eq!(run.state(), RunState::Stopped);
    };
    stop();
    let origin = starts(&run).remove(0).origin;
    assert_eq!(origin.seed, 5);
    let keys: Vec<&str> = origin.inputs.iter().map(|input| input.key.as_str()).collect();
    assert_eq!(keys, ["base", "adapter science", "adapter net", "data.train", "data.dev", "data.test"]);
    for input in &origin.inputs {
        assert!(input.sha256.len() == 64 && input.bytes > 0 && input.modified > 1.6e9, "{input:?}");
    }
    assert!(origin.free.is_some_and(|free| free > 1 << 20) && origin.oom_kills.is_some());
    // A copy of the run in the form is told the same.
    assert_eq!(lopper::run::origin::since(&run).unwrap(), []);
    // An input changes, and settings that may.
    project.append("data/dev.jsonl", &tiny::examples(7..8));
    let since = lopper::run::origin::since(&run).unwrap();
    assert_eq!(since, [("data.dev".to_owned(), "has changed since that run")]);
    let refused = project.lopper(&["resume", &path, "--set", "train.batch=2"]);
    assert!(refused.code == Some(2) && refused.err.contains("train.batch cannot be changed"), "{refused:?}");
    let refused = project.lopper(&["resume", &path, "--set", "train.micro_tokens=0"]);
    assert!(refused.code == Some(2) && refused.err.contains("micro_tokens"), "{refused:?}");
    let before = events(&run).len();
    let mut resumed =
        project.command(&["resume", &path, "--plain", "--set", "train.micro_tokens=64", "--set", "dtype=f32"]);
    let mut resumed = resumed.stdout(Stdio::null()).spawn().unwrap();
    until("a step of the next worker", || {
        events(&run)[before..].iter().any(|e| matches!(&e.body, EventBody::Step(_))).then_some(())
    });
    assert_eq!(project.lopper(&["stop", &path]).code, Some(0));
    assert!(resumed.wait().unwrap().success());
    let warnings: Vec<String> = events(&run)[before..]
        .iter()
        .filter_map(|e| if let EventBody::Warning { text } = &e.body { Some(text.clone()) } else { None })
        .collect();
    for expected in [
        "data.dev has changed since the run began",
        "train.micro_tokens is 64, it was 2048 before",
        "dtype is \"f32\", it was \"auto\" before",
    ] {
        assert!(warnings.iter().any(|text| text.contains(expected)), "{expected}: {warnings:?}");
    }
    assert!(!warnings.iter().any(|text| text.contains("base")), "{warnings:?}");
    assert_eq!(starts(&run).len(), 2);
}

#[test]
fn a_worker_without_memory_says_so_and_goes_on_with_less() {
    let project = Project::new();
    project.recipe("", "epochs = 4\ncheckpoint_every = 2");
    let mut starved = project.command(&["run", "recipe.toml", "--plain"]);
    let output = starved.env("LOPPER_FAULT", "memory:9").env_remove("RUST_BACKTRACE").output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let run = project.run();
    assert_eq!(run.state(), RunState::Crashed);
    let text = String::from_utf8(output.stderr).unwrap();
    let path = utf8(run.path());
    for part in [
        "the worker is gone without a last word: memory allocation of 140737488355328 bytes failed",
        "goes on from the last checkpoint; memory ran out (it had ",
        " at step 5; ",
        " were free at its start)",
        "(train.micro_tokens is 2048)",
        &format!("`lopper resume {path} --set train.micro_tokens=1024`"),
        "`--set train.recompute=true`",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let said = project.lopper(&[
        "resume",
        path,
        "--plain",
        "--set",
        "train.micro_tokens=1024",
        "--set",
        "train.recompute=true",
    ]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.out.contains("note: train.recompute is true, it was \"auto\" before"), "{}", said.out);
    assert_eq!(run.state(), RunState::Finished);
    let _ = result(&run);
    // Of all checkpoints the newest two are kept.
    let written = events(&run).iter().filter(|e| matches!(e.body, EventBody::Checkpoint(_))).count();
    assert!(written >= 6, "{written}");
    assert_eq!(std::fs::read_dir(run.checkpoints()).unwrap().count(), 2);
}

#[test]
fn a_lock_names_its_worker_and_when_it_began() {
    let project = Project::endless();
    let begun = lopper::run::now();
    let run = project.detached();
    let holder = lock::holder(run.path()).unwrap();
    assert!(holder.pid > 1 && holder.host == lock::host() && holder.boot == lock::boot() && holder.epoch == 1);
    assert!(holder.since >= begun && holder.since <= lopper::run::now());
    tiny::kill(&run);
    // One that is gone is no hindrance, and the next has a number above it.
    let mut resumed = project.command(&["resume", utf8(run.path()), "--plain"]);
    let mut resumed = resumed.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    until("the next worker", || lock::holder(run.path()).filter(|h| h.epoch == 2 && h.pid != holder.pid));
    tiny::kill(&run);
    resumed.wait().unwrap();
}

#[test]
fn several_look_on_at_once() {
    let project = Project::endless();
    let run = project.detached();
    until_event(&run, "a step", |e| matches!(e, EventBody::Step(_)));
    let mut commands: Vec<_> = (0..2).map(|_| project.command(&["attach", utf8(run.path()), "--plain"])).collect();
    let children: Vec<_> = commands.iter_mut().map(|c| c.stdout(Stdio::piped()).spawn().unwrap()).collect();
    std::thread::sleep(std::time::Duration::from_secs(1));
    assert_eq!(project.lopper(&["stop", utf8(run.path())]).code, Some(0));
    for child in children {
        let output = child.wait_with_output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && text.contains("  step ") && text.contains("goes on\n"), "{text}");
    }
}

#[test]
#[ignore = "becomes another user, which needs root: .ci/run"]
fn a_colleague_with_read_access_looks_on_and_cannot_steer() {
    let project = Project::endless();
    let open = |path: &Path, mode| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    open(&project.path("."), 0o755);
    let started = project.lopper(&["run", "recipe.toml", "--detach", "--group-readable"]);
    assert_eq!(started.code, Some(0), "{started:?}");
    let run = project.run();
    until_event(&run, "a step", |e| matches!(e, EventBody::Step(_)));
    let group = std::os::unix::fs::MetadataExt::gid(&std::fs::metadata(run.path()).unwrap()).to_string();
    let as_colleague = |group: &str, args: &[&str]| {
        let lopper = project.command(args);
        let mut command = std::process::Command::new("setpriv");
        command.args(["--reuid", "65534", "--regid", group, "--clear-groups", "--"]);
        command.arg(lopper.get_program()).args(args).current_dir(project.path(".")).stdin(Stdio::null());
        command.env("XDG_CONFIG_HOME", project.path("config")).env("HOME", "/nonexistent");
        command
    };
    let path = utf8(run.path());
    let mut watching = as_colleague(&group, &["attach", path, "--plain"]).stdout(Stdio::piped()).spawn().unwrap();
    std::thread::sleep(std::time::Duration::from_secs(1));
    let refused = said(&mut as_colleague(&group, &["pause", path]));
    assert!(refused.code == Some(2) && refused.err.contains("permission denied"), "{refused:?}");
    // One who is not of the group sees nothing.
    let stranger = said(&mut as_colleague("65534", &["attach", path, "--plain"]));
    assert!(stranger.code == Some(2) && stranger.out.is_empty(), "{stranger:?}");
    assert_eq!(run.state(), RunState::Running);
    assert_eq!(project.lopper(&["stop", path]).code, Some(0));
    let mut text = String::new();
    std::io::Read::read_to_string(watching.stdout.as_mut().unwrap(), &mut text).unwrap();
    assert!(watching.wait().unwrap().success());
    assert!(text.contains("  step ") && text.contains("stopped with"), "{text}");
}

/// A project whose step takes as much memory as `micro_tokens` allows: documents as long as the model reads them, and all
/// activations kept, whatever is free.
pub fn hungry() -> Project {
    let project = Project::new();
    let line = |i: usize| {
        let text = format!("Package {i} is a small game engine for number {i}. ").repeat(40);
        serde_json::json!({"id": format!("d{i}"), "document": text, "summary": format!("game engine {i}")}).to_string()
    };
    let lines: String = (0..200).map(|i| line(i) + "\n").collect();
    project.write("data/train.jsonl", &lines);
    project.recipe("", "batch = 200\nmicro_tokens = 65536\nsteps = 3\ncheckpoint_every = 1\nrecompute = false");
    let recipe = std::fs::read_to_string(project.path("recipe.toml")).unwrap();
    project.write("recipe.toml", &recipe.replace("batch = 4\n", ""));
    project
}

/// `lopper` with `args` in so much address space, kB, and the most that its processes had, kB.
fn within(project: &Project, limit: Option<u64>, args: &[&str]) -> (tiny::Said, u64) {
    let lopper = project.command(args);
    let mut command = std::process::Command::new("sh");
    let limit = limit.map_or("unlimited".to_owned(), |kb| kb.to_string());
    command.arg("-c").arg(format!("ulimit -v {limit}; exec \"$0\" \"$@\"")).arg(lopper.get_program()).args(args);
    command.current_dir(project.path(".")).envs(lopper.get_envs().filter_map(|(key, value)| Some((key, value?))));
    // How many arenas glibc reserves, 64 MB each, depends on how its threads meet.
    command.env("MALLOC_ARENA_MAX", "1");
    command.env_remove("RUST_BACKTRACE").stdin(Stdio::null());
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let waits = std::thread::spawn(move || child.wait_with_output().unwrap());
    let mut most = 0;
    while !waits.is_finished() {
        for run in project.runs() {
            let status =
                lock::holder(run.path()).and_then(|h| std::fs::read_to_string(format!("/proc/{}/status", h.pid)).ok());
            let peak = status.and_then(|text| {
                let line = text.lines().find_map(|line| line.strip_prefix("VmPeak:"))?.to_owned();
                line.trim().trim_end_matches(" kB").parse::<u64>().ok()
            });
            most = most.max(peak.unwrap_or(0));
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let output = waits.join().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (tiny::Said { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }, most)
}

#[test]
fn a_worker_whose_memory_is_limited_says_so_and_goes_on_with_less() {
    const LESS: [&str; 2] = ["--set", "train.micro_tokens=512"];
    let project = hungry();
    // What it takes with much and with little at a time.
    let (whole, much) = within(&project, None, &["run", "recipe.toml", "--plain", "--name", "whole"]);
    assert_eq!(whole.code, Some(0), "{whole:?}");
    let recipe = std::fs::read_to_string(project.path("recipe.toml")).unwrap();
    project.write("less.toml", &recipe.replace("65536", "512"));
    std::fs::remove_dir_all(project.run().path()).unwrap();
    let (whole, little) = within(&project, None, &["run", "less.toml", "--plain", "--name", "less"]);
    assert_eq!(whole.code, Some(0), "{whole:?}");
    std::fs::remove_dir_all(project.run().path()).unwrap();
    assert!(much > little + (100 << 10), "{much} kB, {little} kB");
    let limit = little + (much - little) / 3;
    let (said, _) = within(&project, Some(limit), &["run", "recipe.toml", "--plain"]);
    let run = project.run();
    let path = utf8(run.path()).to_owned();
    assert!(said.code == Some(1) && said.err.lines().count() == 1, "{said:?}");
    assert!(matches!(run.state(), RunState::Crashed | RunState::Failed), "{said:?}");
    for part in
        ["memory", "train.micro_tokens is 65536", &format!("`lopper resume {path} --set train.micro_tokens=32768`")]
    {
        assert!(said.err.contains(part), "{part}: {said:?}");
    }
    assert!(!said.err.contains("panicked") && !said.err.contains("has a bug"), "{said:?}");
    let (resumed, _) = within(&project, Some(limit), &[&["resume", &path, "--plain"][..], &LESS].concat());
    assert_eq!(resumed.code, Some(0), "{resumed:?}");
    assert_eq!(run.state(), RunState::Finished);
    // With too little for anything, whatever of it is wanted first: one sentence, no panic.
    for share in [45, 60, 75, 85, 95] {
        let name = format!("at-{share}");
        let (said, _) =
            within(&project, Some(little * share / 100), &["run", "recipe.toml", "--plain", "--name", &name]);
        assert!(matches!(said.code, Some(1 | 2)) && said.err.contains("memory"), "{share}: {said:?}");
        assert!(said.err.starts_with("lopper: ") && said.err.lines().count() == 1, "{share}: {said:?}");
    }
}

#[test]
fn a_worker_that_is_killed_says_so_and_goes_on_with_other_settings() {
    let project = Project::endless();
    let run = project.detached();
    until_event(&run, "a step", |e| matches!(e, EventBody::Modules(m) if m.prunes()));
    // As the kernel does where memory runs out.
    tiny::kill(&run);
    assert_eq!(run.state(), RunState::Crashed);
    let said = project.lopper(&["attach", utf8(run.path()), "--plain"]);
    let path = utf8(run.path());
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.err.contains("gone without a last word"), "{said:?}");
    assert!(said.err.contains(&format!("`lopper resume {path}` goes on")), "{said:?}");
    let before = events(&run).len();
    let mut resumed = project.command(&["resume", path, "--plain", "--set", "train.micro_tokens=64"]);
    let mut resumed = resumed.stdout(Stdio::null()).spawn().unwrap();
    until("a step of the next worker", || {
        events(&run)[before..].iter().any(|e| matches!(&e.body, EventBody::Step(_))).then_some(())
    });
    assert_eq!(project.lopper(&["stop", path]).code, Some(0));
    assert!(resumed.wait().unwrap().success());
}
