//! Tells the build which commit it is of, where git can say, and compiles the kernels for a card, where one is built for.

use std::process::Command;

fn git(args: &[&str]) -> Option<String> {
    let output = Command::new("git").args(args).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}

/// The kernels as PTX, which the driver makes code of for the card that is there. Products and sums are not contracted: they
/// are the same numbers as the CPU's.
#[cfg(feature = "cuda")]
fn kernels() {
    let out = std::path::PathBuf::from(std::env::var_os("OUT_DIR").unwrap_or_default());
    let sources = ["rows", "numbers", "select", "attend"].map(|name| format!("src/card/{name}.cu"));
    let built = cudaforge::KernelBuilder::new()
        .source_files(sources)
        .watch(["src/card/common.cuh"])
        .args(["-std=c++17", "-O3", "-fmad=false"])
        .build_ptx()
        .and_then(|ptx| ptx.write(out.join("card.rs")));
    if let Err(error) = built {
        println!("cargo::error=src/card cannot be compiled: {error}");
    }
}

fn main() {
    #[cfg(feature = "cuda")]
    kernels();
    println!("cargo::rerun-if-changed=build.rs");
    let mut commit = String::new();
    // A build for tests would be made anew at every commit; it says that it does not know.
    if std::env::var("PROFILE").as_deref() == Ok("release") {
        // In an unpacked crate, `git` would answer for whatever repository it lies in.
        let own = git(&["ls-files", "--error-unmatch", "Cargo.toml"]).is_some();
        if let Some(head) = git(&["rev-parse", "--short=12", "HEAD"]).filter(|_| own) {
            let differs = git(&["status", "--porcelain", "--untracked-files=no"]).is_none_or(|text| !text.is_empty());
            commit = head + if differs { "+" } else { "" };
        }
        for name in ["HEAD", "logs/HEAD", "index"] {
            if let Some(path) = git(&["rev-parse", "--git-path", name]) {
                println!("cargo::rerun-if-changed={path}");
            }
        }
        println!("cargo::rerun-if-changed=src");
    }
    println!("cargo::rustc-env=LOPPER_COMMIT={commit}");
}
