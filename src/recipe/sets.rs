//! Named sets of prune rules in the user's configuration folder, each a TOML file whose text fits a recipe.

use super::ratios::Rule;
use crate::{Error, Result};
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// Characters of a name at most.
const LONGEST: usize = 64;
/// Sets that are looked at, at most.
const MOST: usize = 200;
/// Bytes of a file that may be a set.
const LARGEST: u64 = 4 << 20;

/// Checks the name of a set: it becomes a file's.
///
/// # Errors
/// When it is none.
pub fn check_name(name: &str) -> Result<()> {
    let plain = name.chars().all(|c| c.is_alphanumeric() || "-_.".contains(c));
    if name.is_empty() || !plain || name.starts_with('.') || name.len() > LONGEST {
        return Err(Error::user("a name of letters, digits, '-', '_' and '.' is needed, of 64 bytes at most"));
    }
    Ok(())
}

/// Where the sets are: `$XDG_CONFIG_HOME/lopper/ratios`.
///
/// # Errors
/// When the user has no home.
pub fn folder() -> Result<PathBuf> {
    crate::config::folder()
        .map(|folder| folder.join("ratios"))
        .ok_or_else(|| Error::user("the configuration folder is not known: set HOME or XDG_CONFIG_HOME"))
}

/// The text of a set, which can stand under `[prune]` of a recipe as it is.
pub fn text(rules: &[Rule]) -> String {
    let quoted = |text: &str| toml::Value::String(text.into()).to_string();
    let mut out = String::from("# Prune rules of lopper: they can stand under [prune] of a recipe.\nrules = [\n");
    for rule in rules {
        let factor = rule.factor.map(|f| format!("factor = \"{f}\", ")).unwrap_or_default();
        let (modules, adapter) = (quoted(&rule.modules), quoted(&rule.adapter));
        let ratio = toml::Value::Float(rule.ratio);
        out.push_str(&format!("  {{ modules = {modules}, adapter = {adapter}, {factor}ratio = {ratio} }},\n"));
    }
    out + "]\n"
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    rules: Vec<Rule>,
}

/// The rules of a set's text.
///
/// # Errors
/// When it is none.
pub fn parse(text: &str) -> Result<Vec<Rule>> {
    let file: File = toml::from_str(text).map_err(|e| Error::user(e.message().to_owned()))?;
    file.rules.iter().try_for_each(Rule::validate)?;
    Ok(file.rules)
}

/// Keeps a set in `folder`; its path.
///
/// # Errors
/// When the name is none or the file cannot be written.
pub fn save(folder: &Path, name: &str, rules: &[Rule]) -> Result<PathBuf> {
    check_name(name)?;
    std::fs::create_dir_all(folder).map_err(|e| Error::io("make the folder", folder, &e))?;
    let path = folder.join(format!("{name}.toml"));
    crate::run::write_aside(&path, text(rules).as_bytes())?;
    Ok(path)
}

/// The sets in `folder` by name, each with its rules or what is wrong with it; none where there is no folder.
///
/// # Errors
/// When the folder cannot be read.
pub fn list(folder: &Path) -> Result<Vec<(String, Result<Vec<Rule>>)>> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(Error::io("read", folder, &e)),
    };
    let mut found: Vec<(String, PathBuf)> = Vec::new();
    for path in entries.flatten().map(|entry| entry.path()) {
        let name = path.file_stem().and_then(|n| n.to_str()).filter(|n| check_name(n).is_ok()).map(str::to_owned);
        if let Some(name) = name.filter(|_| path.extension().is_some_and(|e| e == "toml") && path.is_file()) {
            found.push((name, path));
        }
    }
    found.sort();
    found.truncate(MOST);
    Ok(found.into_iter().map(|(name, path)| (name, read(&path))).collect())
}

fn read(path: &Path) -> Result<Vec<Rule>> {
    let size = path.metadata().map_err(|e| Error::io("read", path, &e))?.len();
    if size > LARGEST {
        return Err(Error::user("the file is too large for a set of rules"));
    }
    parse(&std::fs::read_to_string(path).map_err(|e| Error::io("read", path, &e))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::module::Factor;

    #[test]
    fn a_set_is_kept_found_and_fits_a_recipe() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("lopper/ratios");
        assert!(list(&place).unwrap().is_empty());
        let rule = |modules: &str, adapter: &str, factor, ratio| Rule {
            modules: modules.into(),
            adapter: adapter.into(),
            factor,
            ratio,
        };
        let rules = [rule("*", "*", None, 0.5), rule("layers.0-7.*", "記事", Some(Factor::B), 1.0)];
        let path = save(&place, "night-1", &rules).unwrap();
        std::fs::write(place.join("broken.toml"), "rules = 1").unwrap();
        let all = list(&place).unwrap();
        assert_eq!(all.iter().map(|s| s.0.as_str()).collect::<Vec<_>>(), ["broken", "night-1"]);
        assert!(all[0].1.is_err());
        assert_eq!(all[1].1.as_ref().unwrap(), &rules);
        assert_eq!(std::fs::read_dir(&place).unwrap().count(), 2, "nothing is left aside");
        let recipe = format!("[prune]\nratio = 0.1\n{}", std::fs::read_to_string(path).unwrap());
        let value: toml::Table = toml::from_str(&recipe).unwrap();
        let prune: crate::recipe::Prune = value["prune"].clone().try_into().unwrap();
        assert_eq!(prune.rules, rules);
        for bad in ["", "a/b", "..", ".x", "a b", "x\u{1b}", &"x".repeat(65)] {
            assert!(save(&place, bad, &rules).is_err(), "{bad:?}");
        }
    }
}
