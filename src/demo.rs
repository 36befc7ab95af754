//! The built-in project: a small base, three related adapters, a target task. See assets/demo/README.md.

use crate::lora::export::file;
use crate::{Error, Result};
use std::path::PathBuf;

macro_rules! embedded {
    ($($path:literal),* $(,)?) => {
        &[$(($path, include_bytes!(concat!("../assets/demo/", $path)))),*]
    };
}

const FILES: &[(&str, &[u8])] = embedded![
    "recipe.toml",
    "base/config.json",
    "base/model.gguf",
    "base/tokenizer.json",
    "base/tokenizer_config.json",
    "adapters/science/adapter_config.json",
    "adapters/science/adapter_model.safetensors",
    "adapters/net/adapter_config.json",
    "adapters/net/adapter_model.safetensors",
    "adapters/libs/adapter_config.json",
    "adapters/libs/adapter_model.safetensors",
    "data/train.jsonl",
    "data/dev.jsonl",
    "data/test.jsonl",
];

/// A number that changes with the files, so that a newer lopper unpacks its own.
fn fingerprint() -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    for (path, bytes) in FILES {
        path.hash(&mut hasher);
        bytes.hash(&mut hasher);
    }
    hasher.finish()
}

/// Where the files are unpacked: below the user's cache folder.
///
/// # Errors
/// When the user has no home.
pub fn folder() -> Result<PathBuf> {
    use etcetera::BaseStrategy;
    let base = etcetera::choose_base_strategy()
        .map_err(|_| Error::user("the cache folder is not known: set HOME or XDG_CACHE_HOME"))?;
    Ok(base.cache_dir().join("lopper").join(format!("demo-{:016x}", fingerprint())))
}

/// Unpacks the project, if it is not there whole, and returns its recipe.
///
/// # Errors
/// When the files cannot be written.
pub fn prepare() -> Result<PathBuf> {
    let folder = folder()?;
    let whole =
        FILES.iter().all(|(path, bytes)| folder.join(path).metadata().is_ok_and(|m| m.len() == bytes.len() as u64));
    if !whole {
        if folder.exists() {
            std::fs::remove_dir_all(&folder).map_err(|e| Error::io("replace", &folder, &e))?;
        }
        if let Some(parent) = folder.parent() {
            std::fs::create_dir_all(parent).map_err(|e| Error::io("make the folder", parent, &e))?;
        }
        file::folder(&folder, |aside| {
            for (path, bytes) in FILES {
                let path = aside.join(path);
                if let Some(parent) = path.parent() {
                    std::fs::create_dir_all(parent).map_err(|e| Error::io("make the folder", parent, &e))?;
                }
                std::fs::write(&path, bytes).map_err(|e| Error::io("write", &path, &e))?;
            }
            Ok(())
        })?;
    }
    Ok(folder.join("recipe.toml"))
}
