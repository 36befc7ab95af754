//! A worker that the kernel kills for want of memory, within a control group with a limit.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

use crate::survive::hungry;
use crate::tiny;
use lopper::run::{RunState, lock};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tiny::{Project, Said, utf8};

/// A control group of our own, and one without a limit beside it; they go with this.
struct Group {
    folder: PathBuf,
    beside: PathBuf,
    limit: &'static str,
}

impl Group {
    /// In the second version's tree where that has memory, else in the first's; `None` where none can be made.
    fn new() -> Option<Self> {
        let name = format!("lopper-test-{}", std::process::id());
        let root = Path::new("/sys/fs/cgroup");
        let has_memory = |root: &Path| {
            std::fs::read_to_string(root.join("cgroup.controllers"))
                .is_ok_and(|all| all.split_whitespace().any(|one| one == "memory"))
        };
        if has_memory(root) {
            std::fs::write(root.join("cgroup.subtree_control"), "+memory").ok()?;
            return Self::within(root, &name, "memory.max");
        }
        Self::within(&root.join("memory"), &name, "memory.limit_in_bytes")
    }

    fn within(root: &Path, name: &str, limit: &'static str) -> Option<Self> {
        let made = Self { folder: root.join(name), beside: root.join(format!("{name}-beside")), limit };
        std::fs::create_dir(&made.folder).ok()?;
        std::fs::create_dir(&made.beside).ok()?;
        Some(made)
    }

    fn allow(&self, bytes: u64) {
        std::fs::write(self.folder.join(self.limit), bytes.to_string()).unwrap();
        // Where there is room to swap to, that is not memory.
        std::fs::write(self.folder.join("memory.swap.max"), "0").ok();
    }

    /// Processes of it that the kernel has killed.
    fn kills(&self) -> u64 {
        let file = if self.limit == "memory.max" { "memory.events" } else { "memory.oom_control" };
        let text = std::fs::read_to_string(self.folder.join(file)).unwrap();
        text.lines().find_map(|line| line.strip_prefix("oom_kill ")).unwrap().trim().parse().unwrap()
    }

    /// `lopper` with `args` within it, and the most memory that a worker had, bytes. Once there is a worker, that
    /// alone stays: a kernel that has killed it may go on to what else is in the group before its memory is back.
    fn lopper(&self, project: &Project, args: &[&str]) -> (Said, u64) {
        let lopper = project.command(args);
        let mut command = std::process::Command::new("sh");
        let enter = format!("echo $$ >'{}' && exec \"$0\" \"$@\"", self.folder.join("cgroup.procs").display());
        command.arg("-c").arg(enter).arg(lopper.get_program()).args(args).current_dir(project.path("."));
        command.envs(lopper.get_envs().filter_map(|(key, value)| Some((key, value?))));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().unwrap();
        let looker = child.id();
        let mut both_within = true;
        let waits = std::thread::spawn(move || child.wait_with_output().unwrap());
        let mut most = 0;
        while !waits.is_finished() {
            for run in project.runs() {
                let holder = lock::holder(run.path()).filter(|h| h.pid != looker && lock::is_held(run.path()));
                if holder.is_some() && std::mem::take(&mut both_within) {
                    let moved = std::fs::write(self.beside.join("cgroup.procs"), looker.to_string());
                    assert!(moved.is_ok() || waits.is_finished(), "{moved:?}");
                }
                let status = holder.map(|h| format!("/proc/{}/status", h.pid));
                let text = status.and_then(|path| std::fs::read_to_string(path).ok()).unwrap_or_default();
                let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
                most = most.max(line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or(0) << 10);
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        let output = waits.join().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (Said { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }, most)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // The last process of it may still be on its way out.
        for _ in 0..100 {
            let gone =
                [&self.folder, &self.beside].map(|folder| std::fs::remove_dir(folder).is_ok() || !folder.exists());
            if gone == [true; 2] {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    }
}

#[test]
#[ignore = "makes a control group, which needs root and a system that has them: .ci/run"]
fn a_worker_that_the_kernel_kills_for_want_of_memory_says_so_and_goes_on_with_less() {
    const LESS: [&str; 2] = ["--set", "train.micro_tokens=512"];
    let Some(group) = Group::new() else {
        println!("left out: no control group with memory can be made here");
        return;
    };
    let project = hungry();
    let alone = |recipe: &str, name: &str| {
        let (said, most) = group.lopper(&project, &["run", recipe, "--plain", "--name", name]);
        assert_eq!(said.code, Some(0), "{said:?}");
        std::fs::remove_dir_all(project.run().path()).unwrap();
        most
    };
    let much = alone("recipe.toml", "whole");
    let recipe = std::fs::read_to_string(project.path("recipe.toml")).unwrap();
    project.write("less.toml", &recipe.replace("65536", "512"));
    let little = alone("less.toml", "less");
    assert!(much > little + (100 << 20), "{much}, {little}");
    group.allow(little + (much - little) / 3);
    assert_eq!(group.kills(), 0);
    let (said, _) = group.lopper(&project, &["run", "recipe.toml", "--plain"]);
    let run = project.run();
    let path = utf8(run.path());
    println!("{} of {much} bytes: {}", little + (much - little) / 3, said.err);
    assert!(group.kills() >= 1, "nobody was killed: {said:?}");
    assert_eq!((said.code, said.err.lines().count(), run.state()), (Some(1), 1, RunState::Crashed), "{said:?}");
    for part in [
        "the worker is gone without a last word",
        "for want of memory since the worker began",
        " were free at its start)",
        "train.micro_tokens is 65536",
        &format!("`lopper resume {path} --set train.micro_tokens=32768`"),
    ] {
        assert!(said.err.contains(part), "{part}: {said:?}");
    }
    let (resumed, _) = group.lopper(&project, &[&["resume", path, "--plain"][..], &LESS].concat());
    assert_eq!(resumed.code, Some(0), "{resumed:?}");
    assert_eq!(run.state(), RunState::Finished);
}
