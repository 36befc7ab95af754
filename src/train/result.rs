//! What the user takes away: `result/`.

use super::task::{Split, Task};
use crate::eval::report;
use crate::lora::{MergedSet, export};
use crate::recipe::Recipe;
use crate::run::event::{Report, ReportRow};
use crate::run::{RunDir, fault, write_aside};
use crate::{Error, Result};
use std::path::Path;

fn make(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(|e| Error::io("make the folder", folder, &e))
}

/// Removes a folder, if it is there.
fn remove(folder: &Path) -> Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::io("replace", folder, &e)),
        _ => Ok(()),
    }
}

/// Puts the folder that `make` makes as `new` in the place of `old`.
fn replace(old: &Path, new: &Path, make: impl FnOnce() -> Result<()>) -> Result<()> {
    make()?;
    fault::point("result");
    remove(old)?;
    fault::point("result");
    std::fs::rename(new, old).map_err(|e| Error::io("rename to", old, &e))?;
    fault::point("result");
    Ok(())
}

/// Writes a method's summaries as `result/summaries/METHOD.jsonl`.
///
/// # Errors
/// When the file cannot be written.
pub fn write_summaries(dir: &RunDir, method: &str, split: &Split, texts: &[String]) -> Result<()> {
    let folder = dir.result().join("summaries");
    make(&folder)?;
    let mut lines = String::new();
    for ((id, reference), text) in split.ids.iter().zip(&split.references).zip(texts) {
        lines.push_str(&serde_json::json!({ "id": id, "reference": reference, "summary": text }).to_string());
        lines.push('\n');
    }
    write_aside(&folder.join(summaries_name(method)), lines.as_bytes())
}

/// The name of a method's file of summaries.
fn summaries_name(method: &str) -> String {
    let name: String =
        method.chars().filter(|c| *c != ',').map(|c| if c.is_alphanumeric() { c } else { '-' }).collect();
    name.split('-').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-") + ".jsonl"
}

/// Reads a method's summaries: id, reference and summary of every document.
///
/// # Errors
/// When the file is not there or a line of it is damaged.
pub fn read_summaries(dir: &RunDir, method: &str) -> Result<Vec<(String, String, String)>> {
    #[derive(serde::Deserialize)]
    struct Line {
        id: String,
        reference: String,
        summary: String,
    }
    let path = dir.result().join("summaries").join(summaries_name(method));
    let text = std::fs::read_to_string(&path).map_err(|e| Error::io("read", &path, &e))?;
    let line = |(at, line): (usize, &str)| {
        serde_json::from_str::<Line>(line).map(|line| (line.id, line.reference, line.summary)).map_err(|e| {
            let path = path.display().to_string();
            Error::user(format!("{}:{}: {e}", crate::text::printable(&path), at + 1))
        })
    };
    text.lines().enumerate().map(line).collect()
}

/// Writes the merged adapter and the report.
///
/// # Errors
/// When a file cannot be written; an older result stays until the new one is complete.
pub fn write(recipe: &Recipe, task: &Task, set: &MergedSet, rows: &[ReportRow], dir: &RunDir) -> Result<()> {
    let folder = dir.result();
    make(&folder)?;
    let (adapter, new) = (folder.join("adapter"), folder.join("adapter.new"));
    remove(&new)?;
    fault::point("result");
    let made = replace(&adapter, &new, || export::merged_adapter(&new, set, None, recipe.base_name().as_deref()));
    if made.is_err() {
        // A resume writes it again.
        std::fs::remove_dir_all(&new).ok();
    }
    made?;
    let split = if task.test.is_some() { "test" } else { "dev" };
    let tokens = task.segmentation.label();
    let report = Report { split: split.into(), rows: rows.to_vec(), tokens, encoder: task.encoder() };
    write_aside(&folder.join("report.json"), report::json(&report)?.as_bytes())?;
    write_aside(&folder.join("report.csv"), report::csv(&report).as_bytes())?;
    let text = format!(
        "# {}\n\nScores on the {split} set ({}), greedy summaries; loss in nats per summary token.{}\n\n{}\nPerplexity, precision \
         (P) and recall (R):\n\n{}",
        crate::text::printable(&recipe.name),
        report.tokens,
        report
            .encoder
            .as_ref()
            .map_or(String::new(), |encoder| format!(" BERT: BERTScore F by {encoder}, not rescaled.")),
        report::markdown(&report),
        report::more(&report)
    );
    write_aside(&folder.join("report.md"), text.as_bytes())?;
    write_aside(&folder.join("recipe.toml"), recipe.to_toml()?.as_bytes())
}

/// The result as a set of one adapter, for export.
fn reload(recipe: &Recipe, source: &Path) -> Result<(crate::model::config::Config, MergedSet)> {
    let config = crate::model::config::Config::read(&recipe.base)?;
    let adapter = crate::lora::Adapter::read(source, &config, &candle_core::Device::Cpu)?;
    Ok((config, MergedSet::merged(&[(adapter, 1.0)])?))
}

/// Writes the result's adapter once more, as `target`.
///
/// # Errors
/// When the result is damaged, or `target` exists or cannot be written.
pub fn copy_adapter(recipe: &Recipe, source: &Path, target: &Path) -> Result<()> {
    let (_, set) = reload(recipe, source)?;
    export::merged_adapter(target, &set, None, recipe.base_name().as_deref())
}

/// Writes the base with the result's adapter merged into its weights, as `target`.
///
/// # Errors
/// When the result is damaged, or `target` exists or cannot be written.
pub fn merged_model(recipe: &Recipe, source: &Path, target: &Path) -> Result<()> {
    let (config, set) = reload(recipe, source)?;
    export::merged_model(target, &recipe.base, &config, &set, |_, _| {})
}
