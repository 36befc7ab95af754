//! The user's own files: `$XDG_CONFIG_HOME/lopper/keys.toml` and `themes/*.toml`.

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

/// Folder of the user's themes.
pub fn themes() -> Option<PathBuf> {
    folder().map(|folder| folder.join("themes"))
}
