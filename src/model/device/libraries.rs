//! NVIDIA's libraries: whether the loader will find them, without loading them.
//!
//! A build by `.ci/cuda-build` loads them when a card is first used, and the crate that does it panics where
//! one is missing. So they are looked for first, where the loader looks.

use std::path::{Path, PathBuf};

/// What a card needs, the driver's own first, with the name that most machines have.
const NEEDED: [(&str, &str); 4] = [
    ("libcuda.so", "libcuda.so.1"),
    ("libcublas.so", "libcublas.so.13"),
    ("libcublasLt.so", "libcublasLt.so.13"),
    ("libcurand.so", "libcurand.so.10"),
];

/// Version endings that the bindings try, and none.
const VERSIONS: [&str; 7] = ["", ".1", ".9", ".10", ".11", ".12", ".13"];

/// Folders of the system, beside those of the loader's cache.
const SYSTEM: [&str; 8] = [
    "/lib/x86_64-linux-gnu",
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/lib64",
    "/usr/lib64",
    "/lib",
    "/usr/lib",
    "/run/opengl-driver/lib",
];

/// The loader's list of libraries by name.
const CACHE: &str = "/etc/ld.so.cache";

/// Where the loader looks.
#[derive(Debug, Default)]
struct Places {
    folders: Vec<PathBuf>,
    /// The loader's cache: names and paths, each ended by a zero byte.
    cache: Vec<u8>,
    /// Paths of what this process has loaded already (a build that links the libraries).
    loaded: String,
}

impl Places {
    fn here() -> Self {
        let mut folders: Vec<PathBuf> =
            std::env::var_os("LD_LIBRARY_PATH").map(|p| std::env::split_paths(&p).collect()).unwrap_or_default();
        folders.extend(beside());
        folders.extend(SYSTEM.map(PathBuf::from));
        let loaded = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
        Self { folders, cache: std::fs::read(CACHE).unwrap_or_default(), loaded }
    }

    fn has(&self, name: &str) -> bool {
        if self.loaded.contains(&format!("/{name}")) {
            return true;
        }
        VERSIONS.iter().map(|version| format!("{name}{version}")).any(|file| {
            self.folders.iter().any(|folder| folder.join(&file).exists()) || self.cached(&file).any(|p| p.exists())
        })
    }

    /// The paths that the loader's cache has for a file of this name.
    fn cached<'a>(&'a self, file: &'a str) -> impl Iterator<Item = PathBuf> + 'a {
        let texts = self.cache.split(|&byte| byte == 0).filter_map(|text| std::str::from_utf8(text).ok());
        texts.filter(move |text| text.strip_suffix(file).is_some_and(|folder| folder.ends_with('/'))).map(|text| {
            // The first one comes right after binary data.
            PathBuf::from(text.find('/').map_or(text, |start| &text[start..]))
        })
    }
}

/// The folder beside the program that builds by `.ci/cuda-build` look into.
fn beside() -> Option<PathBuf> {
    std::env::current_exe().ok().as_deref().and_then(Path::parent).map(|folder| folder.join("lib"))
}

/// What is missing for the use of a card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing(Vec<&'static str>);

impl Missing {
    /// Whether it is the driver itself.
    pub fn driver(&self) -> bool {
        self.0.first() == Some(&NEEDED[0].1)
    }
}

impl std::fmt::Display for Missing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let beside = beside().map_or_else(String::new, |folder| format!("{}, ", folder.display()));
        let looked = format!("looked in LD_LIBRARY_PATH, {beside}the system's folders and {CACHE}");
        if self.driver() {
            write!(f, "there is no NVIDIA driver here: {} was not found ({looked})", self.0[0])
        } else {
            let verb = if self.0.len() == 1 { "was" } else { "were" };
            write!(
                f,
                "{} {verb} not found ({looked}); the README's section on CUDA says where to get it",
                self.0.join(", ")
            )
        }
    }
}

fn missing(places: &Places) -> Option<Missing> {
    let gone: Vec<&str> = NEEDED.iter().filter(|(name, _)| !places.has(name)).map(|(_, usual)| *usual).collect();
    (!gone.is_empty()).then_some(Missing(gone))
}

/// What this machine lacks, if anything.
pub fn check() -> Option<Missing> {
    missing(&Places::here())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_library_that_is_missing_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str| std::fs::write(folder.path().join(name), "").unwrap();
        let places = || Places { folders: vec![folder.path().into()], ..Places::default() };
        let gone = missing(&places()).unwrap();
        assert!(gone.driver());
        assert!(gone.to_string().starts_with("there is no NVIDIA driver here: libcuda.so.1 was not found (looked in "));
        put("libcuda.so.1");
        put("libcublasLt.so.12");
        put("libcublas.so.12.old");
        let gone = missing(&places()).unwrap();
        assert!(!gone.driver());
        assert!(gone.to_string().starts_with("libcublas.so.13, libcurand.so.10 were not found (looked in "));
        put("libcublas.so.13");
        put("libcurand.so.10");
        assert_eq!(missing(&places()), None);
    }

    #[test]
    fn the_loaders_cache_and_what_is_loaded_count() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("libcuda.so.1");
        let mut cache = b"glibc-ld.so.cache1.1\0\x07\xfflibcuda.so.1\0".to_vec();
        cache.extend(path.to_str().unwrap().bytes());
        cache.push(0);
        let places = Places { cache, ..Places::default() };
        assert!(!places.has("libcuda.so"), "the cache is out of date");
        std::fs::write(&path, "").unwrap();
        assert!(places.has("libcuda.so"));
        assert!(!places.has("libcublas.so"));
        let places =
            Places { loaded: "7f00-7f01 r-xp 0 fe:00 1 /opt/lib/libcuda.so.560.1\n".into(), ..Places::default() };
        assert!(places.has("libcuda.so"));
    }
}
