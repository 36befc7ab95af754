//! What this machine and this lopper can do.

use crate::model::{device, rounded};
use crate::train::agreement;
use crate::{Error, Result};
use std::fmt::Write;
use std::path::Path;

/// What lopper's kernels give on the first card beside the CPU; `None` without one.
fn kernels() -> Result<Option<String>> {
    let Some(ordinal) = device::leads_to("auto", None) else { return Ok(None) };
    let place = device::open(&format!("cuda:{ordinal}"), Some(ordinal))?;
    Ok(Some(match agreement::measure(&place.device) {
        Ok(all) => agreement::told(&all),
        Err(error) => format!("not used on {}: {}", place.label, crate::text::printable(&error.to_string())),
    }))
}

/// One line a fact.
///
/// # Errors
/// Never on a sane machine.
pub fn report(runs: &Path) -> Result<String> {
    let mut out = String::new();
    let mut line =
        |name: &str, value: String| writeln!(out, "{name:10} {value}").map_err(|e| Error::fault(e.to_string()));
    let commit = crate::run::origin::commit();
    let of = if commit.is_empty() { String::new() } else { format!(" of commit {commit}") };
    line("lopper", format!("{}{of}", env!("CARGO_PKG_VERSION")))?;
    for (i, text) in device::cards().into_iter().enumerate() {
        line(if i == 0 { "cuda" } else { "" }, text)?;
    }
    if let Ok(Some(text)) = kernels() {
        line("kernels", text)?;
    }
    line("bf16", format!("on the CPU {}", rounded::told()))?;
    line("threads", rayon::current_num_threads().to_string())?;
    line("log-out", crate::text::printable(&crate::run::logout::advice()).into_owned())?;
    let env = |name: &str| std::env::var(name).unwrap_or_else(|_| "not set".into());
    let terminal = format!("TERM {}, COLORTERM {}, NO_COLOR {}", env("TERM"), env("COLORTERM"), env("NO_COLOR"));
    line("terminal", crate::text::printable(&terminal).into_owned())?;
    line("locale", crate::text::printable(&env("LANG")).into_owned())?;
    let state = if runs.is_dir() { "there" } else { "made by the first run" };
    line("runs", format!("{} ({state})", runs.display()))?;
    // Where there is no home, this is told as the rest is.
    let demo = crate::demo::folder().map(|folder| format!("{} (unpacked by `lopper demo`)", folder.display()));
    line("demo", demo.unwrap_or_else(|why| why.to_string()))?;
    Ok(out)
}
