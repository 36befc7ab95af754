//! The user's own files: `$XDG_CONFIG_HOME/lopper/config.toml`, `keys.toml` and `themes/*.toml`.

use crate::{Error, Result};
use std::path::PathBuf;

/// The folder of the user's settings, `None` for a user without a home.
pub fn folder() -> Option<PathBuf> {
    use etcetera::BaseStrategy;
    etcetera::choose_base_strategy().ok().map(|base| base.config_dir().join("lopper"))
}

/// Path and text of the key file, `None` if there is none.
///
/// # Errors
/// When it is there and cannot be read.
pub fn key_file() -> Result<Option<(PathBuf, String)>> {
    let Some(path) = folder().map(|folder| folder.join("keys.toml")) else { return Ok(None) };
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(Some((path, text))),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Error::io("read", &path, &e)),
    }
}

/// `config.toml`, as far as it is there.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    models: Vec<String>,
}

/// The folders where the user keeps bases and adapters: those of `LOPPER_MODELS` (as in `PATH`), then `models` of
/// `config.toml`; `~` is the home.
///
/// # Errors
/// When `config.toml` is there and cannot be read, or says something that is not known.
pub fn model_folders() -> Result<Vec<PathBuf>> {
    let mut found: Vec<PathBuf> = std::env::var_os("LOPPER_MODELS")
        .map(|list| std::env::split_paths(&list).filter(|p| !p.as_os_str().is_empty()).collect())
        .unwrap_or_default();
    let Some(path) = folder().map(|folder| folder.join("config.toml")) else { return Ok(found) };
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(found),
        Err(e) => return Err(Error::io("read", &path, &e)),
    };
    let settings: Settings = toml::from_str(&text).map_err(|e| {
        crate::recipe::syntax::sentence(&text, &e).at(crate::text::printable(&path.display().to_string()))
    })?;
    found.extend(settings.models.iter().map(|text| expanded(text)));
    Ok(found)
}

/// `text` as a path, with `~/` as the home.
pub fn expanded(text: &str) -> PathBuf {
    match (text.strip_prefix('~'), etcetera::home_dir()) {
        (Some(""), Ok(home)) => home,
        (Some(rest), Ok(home)) if rest.starts_with('/') => home.join(rest.trim_start_matches('/')),
        _ => PathBuf::from(text),
    }
}

/// Folder of the user's themes.
pub fn themes() -> Option<PathBuf> {
    folder().map(|folder| folder.join("themes"))
}
