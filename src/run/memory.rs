//! Memory that is free on this machine.

use std::path::{Path, PathBuf};

/// Bytes that a new process can have: what the kernel calls available, or less where a control group or the limit on
/// address space (`ulimit -v`) allows less. `None` where the system does not tell.
pub fn free() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let groups = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let limits = [allowed(Path::new("/sys/fs/cgroup"), &groups), limit()];
    Some(limits.into_iter().flatten().fold(available(&text)?, u64::min))
}

/// What is left of the limit on this process's address space, if there is one.
fn limit() -> Option<u64> {
    let most = rustix::process::getrlimit(rustix::process::Resource::As).current?;
    Some(most.saturating_sub(taken()?))
}

/// Bytes of address space that this process has. `None` where the system does not tell.
pub fn taken() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmSize:"))?;
    line.trim().trim_end_matches("kB").trim().parse::<u64>().ok().map(|kb| kb * 1024)
}

/// Processes that the kernel has killed for want of memory since it started. `None` where it does not tell.
pub fn kills() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/vmstat").ok()?;
    text.lines().find_map(|line| line.strip_prefix("oom_kill "))?.trim().parse().ok()
}

/// `MemAvailable` of /proc/meminfo, bytes.
fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|l| l.strip_prefix("MemAvailable:"))?;
    line.trim().trim_end_matches("kB").trim().parse::<u64>().ok().map(|kb| kb * 1024)
}

/// Where a version of the control groups has its numbers.
struct Version {
    /// What its line in /proc/self/cgroup has before the group.
    line: fn(&str) -> Option<&str>,
    /// Its tree below the mount.
    tree: &'static str,
    limit: &'static str,
    used: &'static str,
    /// File pages that can be dropped, in `memory.stat`: also those that were read more than once, as a base is by every
    /// run of it.
    droppable: [&'static str; 2],
}

const VERSIONS: [Version; 2] = [
    Version {
        line: |line| line.strip_prefix("0::"),
        tree: "",
        limit: "memory.max",
        used: "memory.current",
        droppable: ["inactive_file ", "active_file "],
    },
    Version {
        line: |line| {
            let (controllers, group) = line.split_once(':')?.1.split_once(':')?;
            controllers.split(',').any(|one| one == "memory").then_some(group)
        },
        tree: "memory",
        limit: "memory.limit_in_bytes",
        used: "memory.usage_in_bytes",
        droppable: ["total_inactive_file ", "total_active_file "],
    },
];

/// What is left of the tightest limit of the control groups of `groups` (/proc/self/cgroup) and those above them; file
/// pages that can be dropped count as left.
fn allowed(mount: &Path, groups: &str) -> Option<u64> {
    VERSIONS.iter().filter_map(|version| version.allowed(mount, groups)).min()
}

impl Version {
    fn allowed(&self, mount: &Path, groups: &str) -> Option<u64> {
        let own = groups.lines().find_map(self.line)?;
        let root = mount.join(self.tree);
        let mut folder: PathBuf = root.join(own.trim().trim_start_matches('/'));
        let mut least = None;
        while folder.starts_with(&root) {
            let number = |name: &str| std::fs::read_to_string(folder.join(name)).ok()?.trim().parse::<u64>().ok();
            if let (Some(limit), Some(used)) = (number(self.limit), number(self.used)) {
                let stat = std::fs::read_to_string(folder.join("memory.stat")).unwrap_or_default();
                let pages = |name: &str| stat.lines().find_map(|l| l.strip_prefix(name)?.trim().parse::<u64>().ok());
                let droppable: u64 = self.droppable.into_iter().filter_map(pages).sum();
                let left = limit.saturating_sub(used.saturating_sub(droppable));
                least = Some(least.map_or(left, |least: u64| least.min(left)));
            }
            if !folder.pop() {
                break;
            }
        }
        least
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_tightest_limit_above_counts() {
        assert_eq!(available("MemTotal: 9 kB\nMemAvailable:   12 kB\n"), Some(12 * 1024));
        let mount = tempfile::tempdir().unwrap();
        let inner = mount.path().join("a/b");
        std::fs::create_dir_all(&inner).unwrap();
        let write = |folder: &Path, max: &str, current: &str| {
            std::fs::write(folder.join("memory.max"), max).unwrap();
            std::fs::write(folder.join("memory.current"), current).unwrap();
        };
        write(&inner, "max\n", "5\n");
        assert_eq!(allowed(mount.path(), "0::/a/b\n"), None);
        write(&mount.path().join("a"), "1000\n", "700\n");
        std::fs::write(mount.path().join("a/memory.stat"), "anon 1\ninactive_file 60\nactive_file 40\n").unwrap();
        assert_eq!(allowed(mount.path(), "0::/a/b\n"), Some(400));
        write(&inner, "300\n", "200\n");
        assert_eq!(allowed(mount.path(), "1:cpu:/x\n0::/a/b\n"), Some(100));
        // The first version has a tree for each of what it controls.
        let old = mount.path().join("memory/c");
        std::fs::create_dir_all(&old).unwrap();
        std::fs::write(old.join("memory.limit_in_bytes"), "90\n").unwrap();
        std::fs::write(old.join("memory.usage_in_bytes"), "60\n").unwrap();
        std::fs::write(old.join("memory.stat"), "inactive_file 0\ntotal_inactive_file 15\ntotal_active_file 5\n")
            .unwrap();
        assert_eq!(allowed(mount.path(), "4:cpu,memory:/c\n0::/\n"), Some(50));
        assert_eq!(allowed(mount.path(), "4:cpu,memory:/c\n0::/a/b\n"), Some(50));
        assert_eq!(allowed(mount.path(), "4:cpu,memoryless:/c\n0::/\n"), None);
    }
}
