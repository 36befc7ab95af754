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
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmSize:"))?;
    let taken = line.trim().trim_end_matches("kB").trim().parse::<u64>().ok()? * 1024;
    Some(most.saturating_sub(taken))
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

/// What is left of the tightest limit of the control groups (version 2) of `groups` (/proc/self/cgroup) and those
/// above them; file pages that can be dropped count as left.
fn allowed(mount: &Path, groups: &str) -> Option<u64> {
    let own = groups.lines().find_map(|line| line.strip_prefix("0::"))?;
    let mut folder: PathBuf = mount.join(own.trim().trim_start_matches('/'));
    let mut least = None;
    while folder.starts_with(mount) {
        let number = |name: &str| std::fs::read_to_string(folder.join(name)).ok()?.trim().parse::<u64>().ok();
        if let (Some(limit), Some(used)) = (number("memory.max"), number("memory.current")) {
            let stat = std::fs::read_to_string(folder.join("memory.stat")).unwrap_or_default();
            let droppable = stat.lines().find_map(|l| l.strip_prefix("inactive_file ")?.trim().parse::<u64>().ok());
            let left = limit.saturating_sub(used.saturating_sub(droppable.unwrap_or(0)));
            least = Some(least.map_or(left, |least: u64| least.min(left)));
        }
        if !folder.pop() {
            break;
        }
    }
    least
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
        std::fs::write(mount.path().join("a/memory.stat"), "anon 1\ninactive_file 100\n").unwrap();
        assert_eq!(allowed(mount.path(), "0::/a/b\n"), Some(400));
        write(&inner, "300\n", "200\n");
        assert_eq!(allowed(mount.path(), "1:cpu:/x\n0::/a/b\n"), Some(100));
    }
}
