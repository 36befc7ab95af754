//! The walls between engine, app and screen, as the design draws them.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

fn sources(folder: &Path, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, out);
        } else if path.extension().is_some_and(|e| e == "rs") {
            out.push(path);
        }
    }
}

/// Every line of code (comments left out) with its place: `ui/heatmap.rs:12`.
fn lines() -> Vec<(String, String, String)> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&src, &mut files);
    assert!(files.len() > 40, "{files:?}");
    let mut out = Vec::new();
    for file in files {
        let name = file.strip_prefix(&src).unwrap().to_str().unwrap().to_owned();
        let room = name.split('/').next().unwrap().trim_end_matches(".rs").to_owned();
        for (i, line) in std::fs::read_to_string(&file).unwrap().lines().enumerate() {
            let code = line.trim_start();
            if !code.starts_with("//") {
                out.push((room.clone(), format!("{name}:{}", i + 1), code.to_owned()));
            }
        }
    }
    out
}

/// Whether the code names the crate: as a word, or as the beginning of a crate's name (`candle_core`).
fn names(code: &str, krate: &str) -> bool {
    code.match_indices(krate).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        let after = &code[at + krate.len()..];
        let end = after.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(after.len());
        let path = after[end..].starts_with("::") || code.starts_with("use ");
        path && !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '"')
    })
}

/// The lines that name `krate` in rooms where `allowed` says no.
fn breaches(krate: &str, allowed: impl Fn(&str) -> bool) -> Vec<String> {
    let all = lines();
    let found = all.into_iter().filter(|(room, _, code)| !allowed(room) && names(code, krate));
    found.map(|(_, place, code)| format!("{place}: {code}")).collect()
}

#[test]
fn only_the_screen_knows_the_terminal() {
    for krate in ["ratatui", "crossterm"] {
        let found = breaches(krate, |room| ["ui", "theme", "terminal"].contains(&room));
        assert!(found.is_empty(), "{found:#?}");
    }
}

#[test]
fn only_the_engine_knows_tensors() {
    let found = breaches("candle", |room| ["card", "model", "lora", "prune", "train", "eval"].contains(&room));
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn the_engine_is_plain_code_without_tasks() {
    let found = breaches("tokio", |room| !["card", "model", "lora", "prune", "data", "train", "eval"].contains(&room));
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn the_screen_knows_no_engine() {
    for room in ["card", "model", "lora", "train", "prune"] {
        for form in ["crate", "super::super"] {
            let found: Vec<_> = lines()
                .into_iter()
                .filter(|(r, _, code)| {
                    ["ui", "app", "theme", "terminal"].contains(&r.as_str())
                        && code.contains(&format!("{form}::{room}::"))
                })
                .collect();
            assert!(found.is_empty(), "{found:#?}");
        }
    }
}

#[test]
fn the_search_finds_what_it_has_to() {
    for code in ["use ratatui::Frame;", "    let x = ratatui::init();", "pub fn f(x: &ratatui::buffer::Buffer)"] {
        assert!(names(code.trim(), "ratatui"), "{code}");
    }
    assert!(names("use candle_core::Tensor;", "candle") && names("-> candle_nn::Linear", "candle"));
    assert!(!names("let candle = 1;", "candle") && !names("let x = \"candle::x\";", "candle"));
    // The walls are not tested on an empty house.
    assert!(!breaches("ratatui", |_| false).is_empty() && !breaches("candle", |_| false).is_empty());
}
