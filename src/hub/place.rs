//! Folders of a recipe that are the hub's: `hf://ORG/NAME@COMMIT` in the file, a snapshot of the cache in memory.

use super::environment::{self, Environment};
use super::reference::Reference;
use crate::{Error, Result};
use std::path::{Path, PathBuf};

/// The folder that `path` of a recipe in `folder` means: the cache's snapshot for `hf://…`, which need not be there.
///
/// # Errors
/// When what follows `hf://` names no repository, or the cache has no place.
pub fn resolved(path: &Path, folder: &Path) -> Result<PathBuf> {
    match Reference::of_recipe(path) {
        Some(reference) => Ok(reference?.folder(&Environment::read()?.cache)),
        None => Ok(folder.join(path)),
    }
}

/// What a folder of a recipe is called in its file: `hf://ORG/NAME@COMMIT` for a snapshot of this user's cache, so
/// that the recipe means the same on another machine.
///
/// # Errors
/// Those of the serializer: a path that is not Unicode.
pub fn written<S: serde::Serializer>(path: &Path, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    match of_cache(path) {
        Some(reference) => serializer.serialize_str(&reference.link()),
        None => serde::Serialize::serialize(path, serializer),
    }
}

/// As [`written`], of a path that may be left out.
///
/// # Errors
/// As [`written`].
#[allow(clippy::ref_option, reason = "serde's signature")]
pub fn written_if_any<S: serde::Serializer>(
    path: &Option<PathBuf>,
    serializer: S,
) -> std::result::Result<S::Ok, S::Error> {
    match path {
        Some(path) => written(path, serializer),
        None => serializer.serialize_none(),
    }
}

/// The repository of a snapshot in this user's cache, whether it is there or not; `None` of any other folder.
pub fn of_cache(path: &Path) -> Option<Reference> {
    let reference = Reference::of_folder(path)?;
    path.starts_with(reference.repository(&environment::cache()?)).then_some(reference)
}

/// What to say of a folder of the cache that is not there; `None` of any other folder.
pub fn absent(path: &Path) -> Option<Error> {
    let reference = of_cache(path)?;
    Some(Error::user(format!("{reference} is not in the hub's cache; `lopper hub fetch {reference}` fetches it")))
}
