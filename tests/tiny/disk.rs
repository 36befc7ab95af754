//! Small disks for tests, which need root.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::tiny::Project;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A small disk of memory, unmounted at the end.
pub struct Disk(PathBuf);

impl Disk {
    /// Of `size` (`16m`), mounted at a place of the project's folder.
    pub fn new(project: &Project, name: &str, size: &str) -> Self {
        let path = project.path(name);
        std::fs::create_dir_all(&path).unwrap();
        let status =
            Command::new("mount").args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]).arg(&path).status();
        assert!(status.unwrap().success(), "mounting needs root");
        Self(path)
    }

    /// Leaves so many bytes.
    pub fn fill(&self, left: u64) {
        let stat = rustix::fs::statvfs(&self.0).unwrap();
        let free = stat.f_bavail * stat.f_frsize;
        let bytes = free.saturating_sub(left) / stat.f_frsize * stat.f_frsize;
        // The run takes its part meanwhile.
        let mut file = std::fs::File::create(self.0.join("filler")).unwrap();
        std::io::Write::write_all(&mut file, &vec![1; bytes as usize]).ok();
    }

    pub fn empty(&self) {
        std::fs::remove_file(self.0.join("filler")).unwrap();
    }

    pub fn read_only(&self) {
        self.again("ro");
    }

    /// Makes it as large as `size` (`80m`).
    pub fn grow(&self, size: &str) {
        self.again(&format!("size={size}"));
    }

    fn again(&self, option: &str) {
        let status = Command::new("mount").args(["-o", &format!("remount,{option}")]).arg(&self.0).status();
        assert!(status.unwrap().success());
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(&self.0).status().ok();
    }
}
