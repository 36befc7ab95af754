//! `lopper merge`: several adapters become one, without training.

use crate::lora::combine::{Drawn, Method, Settings, Sign, folders};
use crate::lora::{Pair, export};
use crate::text::{counted, printable};
use crate::{Error, Result};
use std::path::{Path, PathBuf};

/// What is asked.
#[derive(Debug, Clone, clap::Args)]
pub struct Asked {
    /// The folder of the base that the adapters belong to
    #[arg(long)]
    base: PathBuf,
    #[arg(
        long,
        help = "linear, cat, svd, ties, dare_linear, dare_ties, magnitude_prune, or one of the last four with _svd"
    )]
    method: String,
    /// An adapter's folder and its weight; once for each adapter
    #[arg(long = "adapter", value_name = "DIR[=WEIGHT]", required = true)]
    adapters: Vec<String>,
    /// Share of entries to keep, above 0 to 1 (ties, dare and magnitude)
    #[arg(long)]
    density: Option<f64>,
    /// Which sign wins: that of the sum, or that of most (ties, with dare or without) [default: total]
    #[arg(long, value_enum)]
    majority: Option<Majority>,
    /// Rank of the result (svd) [default: the largest of the adapters]
    #[arg(long)]
    rank: Option<usize>,
    /// Quantile to which the result's entries are cut (svd)
    #[arg(long)]
    clamp: Option<f64>,
    /// Seed of what is dropped by chance (dare)
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The new folder
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Majority {
    Total,
    Frequency,
}

/// Writes the merged adapter and says what it is.
///
/// # Errors
/// When the method or a setting is none, an adapter does not fit the base, ranks differ where they must not, or
/// the folder is there already.
pub fn report(asked: &Asked) -> Result<String> {
    let sign = asked.majority.map(|m| if matches!(m, Majority::Total) { Sign::Total } else { Sign::Frequency });
    let settings = Settings { density: asked.density, sign, rank: asked.rank, clamp: asked.clamp };
    let method = Method::named(&asked.method, &settings)?;
    if asked.out.exists() {
        return Err(Error::user(format!("{} exists; name a new folder", shown(&asked.out))));
    }
    let adapters: Vec<_> = asked.adapters.iter().map(|text| weighted(text)).collect::<Result<_>>()?;
    let merged = folders(&asked.base, &adapters, &method, &mut Drawn { seed: asked.seed })?;
    export::adapter(&asked.out, &merged)?;
    let ranks = || merged.modules.values().map(Pair::rank);
    let (least, most) = (ranks().min().unwrap_or(0), ranks().max().unwrap_or(0));
    let rank = if least == most { format!("rank {most}") } else { format!("ranks {least} to {most}") };
    let modules = counted(merged.modules.len(), "module");
    let how = if adapters.len() == 1 { "linear" } else { method.name() };
    Ok(format!("{}: {how} of {}, {rank}, {modules}", shown(&asked.out), counted(adapters.len(), "adapter")))
}

fn shown(path: &Path) -> String {
    printable(&path.display().to_string()).into_owned()
}

/// `DIR` or `DIR=WEIGHT`; a folder whose own name has a `=` is one.
fn weighted(text: &str) -> Result<(PathBuf, f64)> {
    let whole = PathBuf::from(text);
    let Some((folder, weight)) = text.rsplit_once('=').filter(|_| !whole.is_dir()) else { return Ok((whole, 1.0)) };
    match weight.trim().parse::<f64>() {
        Ok(weight) if weight.is_finite() => Ok((folder.into(), weight)),
        _ => Err(Error::user(format!(
            "--adapter {}: \"{}\" is no weight; a number is needed, such as 0.5",
            printable(text),
            printable(weight)
        ))),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn fixture(path: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(path)
    }

    #[test]
    fn adapters_are_merged_into_a_folder_or_refused_in_words() {
        let folder = tempfile::tempdir().unwrap();
        let adapter = |name: &str| fixture(&format!("combine/{name}")).display().to_string();
        let asked = Asked {
            base: fixture("models/llama"),
            method: "ties".into(),
            adapters: vec![adapter("one"), adapter("two") + "=0.5", adapter("three") + "=-0.25"],
            density: Some(0.5),
            majority: None,
            rank: None,
            clamp: None,
            seed: 1,
            out: folder.path().join("out"),
        };
        let said = report(&asked).unwrap();
        assert!(said.ends_with("out: ties of 3 adapters, rank 4, 4 modules"), "{said}");
        assert!(asked.out.join("adapter_model.safetensors").is_file());
        let refused = |asked: &Asked| report(asked).unwrap_err().to_string();
        assert!(refused(&asked).contains("exists; name a new folder"));
        let again = Asked { out: folder.path().join("again"), ..asked.clone() };
        assert!(refused(&Asked { density: None, ..again.clone() }).contains("ties needs a density"));
        assert!(refused(&Asked { adapters: vec![adapter("one") + "=much"], ..again.clone() }).contains("is no weight"));
        assert!(refused(&Asked { adapters: vec![adapter("nobody")], ..again.clone() }).contains("no such file"));
        let mixed = vec![adapter("one"), adapter("narrow")];
        assert!(refused(&Asked { adapters: mixed.clone(), ..again.clone() }).contains("the same rank; they have 4, 2"));
        let cat = Asked { adapters: mixed, method: "cat".into(), density: None, ..again };
        assert!(report(&cat).unwrap().ends_with("again: cat of 2 adapters, ranks 4 to 6, 3 modules"));
    }
}
