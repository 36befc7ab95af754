//! Calls of the system that fail on order: tests/fixtures/faulty/faulty.c, put before the real binary by `LD_PRELOAD`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::tiny::fixture;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The library that makes calls fail, built once.
pub fn built() -> &'static Path {
    static SHIM: OnceLock<PathBuf> = OnceLock::new();
    SHIM.get_or_init(|| {
        let to = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("faulty-{}.so", std::process::id()));
        let mut cc = Command::new("cc");
        cc.args(["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-O1", "-o"]).arg(&to);
        cc.arg(fixture("faulty/faulty.c")).arg("-ldl");
        let output = cc.output().unwrap_or_else(|e| {
            panic!("this test builds tests/fixtures/faulty/faulty.c and needs a C compiler as `cc`: {e}")
        });
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        to
    })
}
