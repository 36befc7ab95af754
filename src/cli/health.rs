//! What this machine and this lopper can do.

use crate::model::device;
use crate::{Error, Result};
use std::fmt::Write;
use std::path::Path;

/// One line a fact.
///
/// # Errors
/// Never on a sane machine.
pub fn report(runs: &Path) -> Result<String> {
    let mut out = String::new();
    let mut line =
        |name: &str, value: String| writeln!(out, "{name:10} {value}").map_err(|e| Error::fault(e.to_string()));
    line("lopper", env!("CARGO_PKG_VERSION").into())?;
    let cuda = match (cfg!(feature = "cuda"), device::has_driver()) {
        (false, true) => {
            "not built in, although this machine has an NVIDIA driver: cargo build --release --features cuda"
        }
        (false, false) => "not built in; no NVIDIA driver on this machine",
        (true, false) => "built in; no NVIDIA driver on this machine (libcuda.so.1): the CPU is used",
        (true, true) => "built in; NVIDIA driver found",
    };
    line("cuda", cuda.into())?;
    line("threads", rayon::current_num_threads().to_string())?;
    let env = |name: &str| std::env::var(name).unwrap_or_else(|_| "not set".into());
    let terminal = format!("TERM {}, COLORTERM {}, NO_COLOR {}", env("TERM"), env("COLORTERM"), env("NO_COLOR"));
    line("terminal", crate::text::printable(&terminal).into_owned())?;
    line("locale", crate::text::printable(&env("LANG")).into_owned())?;
    let state = if runs.is_dir() { "there" } else { "made by the first run" };
    line("runs", format!("{} ({state})", runs.display()))?;
    line("demo", format!("{} (unpacked by `lopper demo`)", crate::demo::folder()?.display()))?;
    Ok(out)
}
