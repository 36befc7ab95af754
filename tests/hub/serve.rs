//! `hubd`: the hub for tests as a program, to play with the workbench and to measure it without a network.
//! `cargo run --example hubd -- --demo` and then `HF_ENDPOINT=http://127.0.0.1:PORT lopper`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::print_stderr)]

#[path = "server.rs"]
mod hub;

use clap::Parser;
use hub::{Fault, Hub, Repository};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

/// Files from here on are in LFS, as are all weights.
const LARGE: u64 = 10_000_000;
/// Pauses a second while the bytes of LFS files drip.
const TICKS: u64 = 20;

/// A stand-in for the Hugging Face hub on loopback.
#[derive(Parser)]
#[command(name = "hubd")]
struct Arguments {
    /// Port of the API on 127.0.0.1; any free one by default.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Folder with repositories in it: `DIR/ORG/NAME/files`.
    #[arg(long, value_name = "DIR")]
    folder: Vec<PathBuf>,
    /// Adds a few small models and adapters of generated numbers.
    #[arg(long)]
    demo: bool,
    /// Adds so many models to search in.
    #[arg(long, value_name = "N", default_value_t = 0)]
    many: usize,
    /// Adds a repository whose names and tags are full of escape sequences.
    #[arg(long)]
    hostile: bool,
    /// Lets LFS files through at no more than so many bytes a second.
    #[arg(long, value_name = "BYTES")]
    rate: Option<u64>,
    /// Lets every answer wait so long.
    #[arg(long, value_name = "MILLISECONDS")]
    delay: Option<u64>,
    /// Sends plain files by way of a relative redirect, as huggingface.co does.
    #[arg(long)]
    relative: bool,
}

/// Folders in `folder`, hidden ones left out, in order.
fn folders(folder: &Path) -> Vec<(String, PathBuf)> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut out: Vec<(String, PathBuf)> = entries
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry.path()))
        .filter(|(name, path)| !name.starts_with('.') && path.is_dir())
        .collect();
    out.sort();
    out
}

/// `repository` with the files of `folder` in it, their names after `prefix`.
fn filled(mut repository: Repository, folder: &Path, prefix: &str, newest: &mut Duration) -> Repository {
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        let (inside, about) = (format!("{prefix}{name}"), std::fs::metadata(&path).unwrap());
        if about.is_dir() {
            if name != ".git" && name != ".cache" {
                repository = filled(repository, &path, &format!("{inside}/"), newest);
            }
            continue;
        }
        *newest = (*newest).max(about.modified().unwrap().duration_since(UNIX_EPOCH).unwrap_or_default());
        let weights = path.extension().is_some_and(|e| e == "safetensors");
        repository = if weights || about.len() >= LARGE {
            repository.lfs_from(&inside, &path)
        } else {
            repository.file(&inside, std::fs::read(&path).unwrap())
        };
    }
    repository
}

fn main() {
    let arguments = Arguments::parse();
    let hub = Hub::on(arguments.port).unwrap_or_else(|error| panic!("port {}: {error}", arguments.port));
    hub.relative(arguments.relative);
    for folder in &arguments.folder {
        for (org, path) in folders(folder) {
            for (name, path) in folders(&path) {
                let mut newest = Duration::ZERO;
                let repository = filled(Repository::model(&format!("{org}/{name}")), &path, "", &mut newest);
                let library = if repository.paths().contains(&"adapter_config.json") { "peft" } else { "transformers" };
                let library = repository.library_name().unwrap_or_else(|| library.into());
                hub.add(repository.library(&library).modified(&hub::iso(UNIX_EPOCH + newest)));
            }
        }
    }
    if arguments.demo {
        hub::demo().into_iter().for_each(|repository| hub.add(repository));
    }
    if arguments.hostile {
        hub.add(hub::hostile());
    }
    hub.many(arguments.many);
    if let Some(rate) = arguments.rate {
        let bytes = (rate / TICKS).max(1) as usize;
        hub.fault(Fault::drip(bytes, Duration::from_millis(1000 / TICKS)).on("GET", "/blobs/"));
    }
    if let Some(delay) = arguments.delay {
        hub.fault(Fault::delay(Duration::from_millis(delay)));
    }
    println!("{}", hub.url());
    loop {
        std::thread::park();
    }
}
