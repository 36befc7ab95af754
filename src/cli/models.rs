//! `lopper models`: the bases and adapters that are found, and why some cannot be used.

use crate::hub::{self, AdapterEntry, BaseEntry, Catalog};
use crate::run::estimate::bytes;
use crate::text::{self, printable};
use crate::{Error, Result};
use std::path::{Path, PathBuf};

/// What is found in `folders`, or in the usual places where none is named; as lines or as JSON.
///
/// # Errors
/// When a named folder is none, or the user's settings cannot be read.
pub fn report(folders: &[PathBuf], runs: &Path, as_json: bool) -> Result<String> {
    let roots = if folders.is_empty() {
        hub::roots(None, runs)?
    } else {
        for folder in folders {
            std::fs::read_dir(folder).map_err(|e| Error::io("look through", folder, &e))?;
        }
        folders.iter().map(|path| hub::Root { path: path.clone(), kind: hub::RootKind::Folder }).collect()
    };
    let found = hub::scan(&roots);
    if as_json {
        return text::json(&found);
    }
    Ok(lines(&found))
}

/// What was found, a line each.
pub fn lines(found: &Catalog) -> String {
    let mut out = String::new();
    let mut line = |text: &str| {
        out += text;
        out.push('\n');
    };
    for entry in &found.bases {
        line(&format!("base     {}", base(entry)));
    }
    for entry in &found.adapters {
        line(&format!("adapter  {}", adapter(entry)));
    }
    if found.bases.is_empty() && found.adapters.is_empty() {
        line("no bases and no adapters found; name a folder, or set LOPPER_MODELS or models in lopper/config.toml");
    }
    for note in &found.notes {
        line(&format!("note     {note}"));
    }
    out
}

/// A base in one line.
pub fn base(entry: &BaseEntry) -> String {
    let path = printable(&entry.path.display().to_string()).into_owned();
    if let Some(problem) = &entry.problem {
        return format!("{}: cannot be used: {problem}", entry.name);
    }
    let chat = if entry.chat_template { ", chat template" } else { "" };
    format!(
        "{}: {}, {:.1}M parameters, {}, {}, {} tokens{chat}: {path}",
        entry.name,
        entry.architecture,
        entry.parameters as f64 / 1e6,
        entry.dtype,
        bytes(entry.bytes),
        entry.context
    )
}

fn adapter(entry: &AdapterEntry) -> String {
    let path = printable(&entry.path.display().to_string()).into_owned();
    if let Some(problem) = &entry.problem {
        return format!("{}: cannot be used: {problem}", entry.name);
    }
    let base = entry.base.as_ref().map_or(String::new(), |base| format!(", for {base}"));
    let (rank, alpha, targets) = (entry.rank, entry.alpha, entry.targets.join(" "));
    format!("{}: rank {rank}, alpha {alpha}, {targets}{base}, {}: {path}", entry.name, bytes(entry.bytes))
}
