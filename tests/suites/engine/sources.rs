//! What `lopper models` and `lopper check` find in real folders, good and bad, and the functions below them.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use crate::tiny as project;
use lopper::data::preview;
use lopper::hub::{self, Catalog, Root, RootKind};
use lopper::lora::Adapter;
use lopper::model::config::Config;
use lopper::recipe::Recipe;
use lopper::run::estimate;
use project::{Project, edit_json, fixture, utf8};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

fn below(path: &Path) -> Catalog {
    hub::scan(&[Root { path: path.into(), kind: RootKind::Folder }])
}

fn problem<'a>(found: &'a Catalog, name: &str) -> &'a str {
    let base = found.bases.iter().find(|b| b.name == name).map(|b| &b.problem);
    let adapter = found.adapters.iter().find(|a| a.name == name).map(|a| &a.problem);
    base.or(adapter).unwrap_or_else(|| panic!("{name} is not in {found:#?}")).as_deref().unwrap_or_default()
}

fn copy_all(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            std::fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
        }
    }
}

#[test]
fn bases_and_adapters_are_found_with_what_they_hold() {
    let project = Project::new();
    let found = below(&project.path(""));
    assert_eq!(found.notes, Vec::<String>::new());
    let base = &found.bases[0];
    assert_eq!((base.name.as_str(), base.architecture.as_str(), base.problem.as_ref()), ("base", "llama", None));
    let config = Config::read(&project.path("base")).unwrap();
    let numbers: usize =
        lopper::model::inventory::expected(&config).iter().map(|(_, s)| s.iter().product::<usize>()).sum();
    assert_eq!((base.parameters, base.context, base.layers), (numbers as u64, config.max_position, config.layers));
    assert!(base.bytes >= 2 * base.parameters && !base.dtype.is_empty() && base.chat_template);
    let names: Vec<&str> = found.adapters.iter().map(|a| a.name.as_str()).collect();
    assert_eq!(names, ["net", "science"]);
    assert!(found.adapters.iter().all(|a| a.problem.is_none() && a.rank > 0 && a.bytes > 0 && !a.targets.is_empty()));
    let all = below(&fixture("models"));
    assert!(all.bases.iter().any(|b| b.name == "qwen3" && b.architecture == "qwen3"), "{all:#?}");
    // These fixtures have no tokenizer, and say so.
    assert!(all.bases.iter().all(|b| b.problem.as_ref().is_some_and(|p| p.contains("tokenizer.json is missing"))));
}

#[test]
fn the_hubs_cache_is_read_as_python_lays_it_out() {
    let project = Project::new();
    let cache = project.path("hub");
    let repository = cache.join("models--tiny-org--Tiny-Llama");
    let (blobs, old, new) =
        (repository.join("blobs"), repository.join("snapshots/aaa"), repository.join("snapshots/bbb"));
    for folder in [&blobs, &old, &new, &repository.join("refs")] {
        std::fs::create_dir_all(folder).unwrap();
    }
    for (i, entry) in std::fs::read_dir(project.path("base")).unwrap().enumerate() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, blobs.join(format!("{i}"))).unwrap();
        symlink(format!("../../blobs/{i}"), new.join(path.file_name().unwrap())).unwrap();
    }
    std::fs::write(repository.join("refs/main"), "bbb\n").unwrap();
    copy_all(&project.path("science"), &cache.join("models--tiny-org--science/snapshots/ccc"));
    std::fs::create_dir_all(cache.join("models--tiny-org--half/blobs")).unwrap();
    std::fs::create_dir_all(cache.join("datasets--tiny-org--text/snapshots/ddd")).unwrap();
    let found = hub::scan(&[Root { path: cache.clone(), kind: RootKind::Hub }]);
    assert_eq!(found.bases.len(), 1, "{found:#?}");
    assert_eq!((found.bases[0].name.as_str(), &found.bases[0].path), ("tiny-org/Tiny-Llama", &new));
    assert_eq!(found.bases[0].problem, None);
    assert_eq!(found.adapters[0].name, "tiny-org/science");
    assert_eq!(found.notes, ["tiny-org/half: the hub's cache holds no whole snapshot of it"]);
    // A ref that leads out of the cache is not followed.
    std::fs::write(repository.join("refs/main"), "../../../base").unwrap();
    let found = hub::scan(&[Root { path: cache.clone(), kind: RootKind::Hub }]);
    assert!(found.bases[0].path.starts_with(repository.join("snapshots")), "{found:#?}");
    let said = project_with_hub(&project, &cache);
    assert!(said.contains("base     tiny-org/Tiny-Llama: llama"), "{said}");
}

fn project_with_hub(project: &Project, cache: &Path) -> String {
    let said = project::said(project.command(&["models"]).env("HF_HUB_CACHE", cache));
    assert_eq!(said.code, Some(0), "{said:?}");
    said.out
}

#[test]
fn what_cannot_be_used_is_listed_with_its_reason() {
    let project = Project::new();
    let place = project.path("models");
    let broken = |name: &str| {
        let folder = place.join(name);
        copy_all(&project.path("base"), &folder);
        folder
    };
    let cut = broken("cut");
    let bytes = std::fs::read(cut.join("model.safetensors")).unwrap();
    std::fs::write(cut.join("model.safetensors"), &bytes[..100]).unwrap();
    let short = broken("short");
    std::fs::write(short.join("model.safetensors"), &bytes[..bytes.len() - 1]).unwrap();
    let pickle = broken("pickle");
    std::fs::rename(pickle.join("model.safetensors"), pickle.join("pytorch_model.bin")).unwrap();
    edit_json(&broken("strange").join("config.json"), |c| c["model_type"] = "mamba\u{1b}[2J".into());
    std::fs::remove_file(broken("mute").join("tokenizer.json")).unwrap();
    edit_json(&broken("other").join("config.json"), |c| c["num_hidden_layers"] = 99.into());
    let old = place.join("old");
    copy_all(&project.path("science"), &old);
    std::fs::rename(old.join("adapter_model.safetensors"), old.join("adapter_model.bin")).unwrap();
    let dora = place.join("dora");
    copy_all(&project.path("science"), &dora);
    edit_json(&dora.join("adapter_config.json"), |c| c["use_dora"] = true.into());
    // A program's own config.json is no model; a link to a folder above comes to an end.
    std::fs::create_dir(place.join("program")).unwrap();
    std::fs::write(place.join("program/config.json"), "{\"port\": 80}").unwrap();
    symlink("..", place.join("up")).unwrap();
    symlink("loop", place.join("loop")).unwrap();
    let found = below(&place);
    for (name, why) in [
        ("cut", "it is cut short"),
        ("short", "it is cut short"),
        ("pickle", "is a pickle file"),
        ("strange", "lopper knows the architectures"),
        ("mute", "tokenizer.json is missing"),
        ("other", "is missing, which config.json"),
        ("old", "is a pickle file"),
        ("dora", "use_dora"),
    ] {
        assert!(problem(&found, name).contains(why), "{name}: {}", problem(&found, name));
    }
    assert!(!found.bases.iter().any(|b| b.name == "program"));
    assert_eq!(found.bases.iter().filter(|b| b.name == "base").count(), 1, "through the link, once: {found:#?}");
    let text = serde_json::to_string(&found).unwrap();
    assert!(!text.contains("\\u001b"), "{text}");
    // What can be used comes first.
    let refused: Vec<bool> = found.bases.iter().map(|b| b.problem.is_some()).collect();
    assert!(refused.is_sorted(), "{refused:?}");
}

#[test]
fn a_folder_that_cannot_be_read_is_a_note() {
    let project = Project::new();
    let closed = project.path("models/closed");
    std::fs::create_dir_all(&closed).unwrap();
    std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o000)).unwrap();
    let open_to_us = std::fs::read_dir(&closed).is_ok();
    let found = below(&project.path("models"));
    std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o700)).unwrap();
    // Root reads everything; a file where a folder should be is refused to root as well.
    if !open_to_us {
        assert!(found.notes.iter().any(|n| n.contains("closed") && n.contains("permission denied")), "{found:#?}");
    }
    let said = project.lopper(&["models", "base", "nowhere"]);
    assert_eq!((said.code, said.err.contains("nowhere: no such file or folder")), (Some(2), true), "{said:?}");
    let runs = hub::scan(&[Root { path: project.path("recipe.toml"), kind: RootKind::Runs }]);
    assert!(runs.notes[0].contains("recipe.toml"), "{runs:?}");
}

#[test]
fn a_folder_of_too_many_files_is_left_with_a_note() {
    let folder = tempfile::tempdir().unwrap();
    for i in 0..20_001 {
        std::fs::write(folder.path().join(format!("{i}")), "").unwrap();
    }
    let found = below(folder.path());
    assert_eq!(found.notes.len(), 1);
    assert!(found.notes[0].contains("in part only: it holds too many files"), "{found:?}");
}

#[test]
fn an_adapter_fits_exactly_where_it_loads() {
    let project = Project::new();
    let base = project.path("base");
    let config = Config::read(&base).unwrap();
    let device = candle_core::Device::Cpu;
    let facts = hub::fits(&base, &project.path("science")).unwrap();
    let loaded = Adapter::read(&project.path("science"), &config, &device).unwrap();
    assert_eq!(facts.modules, loaded.modules.len());
    assert_eq!(facts.rank, loaded.modules.values().map(lopper::lora::Pair::rank).max().unwrap());
    let numbers: usize = loaded.modules.values().map(|p| p.a.elem_count() + p.b.elem_count()).sum();
    assert_eq!(facts.parameters, numbers as u64);
    let mut refused = 0;
    for folder in
        ["models/qwen3/adapter", "models/mistral/adapter", "models/smollm/adapter", "peft/layers", "peft/patterns"]
    {
        let folder = fixture(folder);
        let (fits, reads) = (hub::fits(&base, &folder), Adapter::read(&folder, &config, &device));
        assert_eq!(fits.as_ref().err(), reads.as_ref().err(), "{}", folder.display());
        refused += usize::from(fits.is_err());
    }
    assert!(refused > 0);
    // The first mismatch is named, with nothing but the header there.
    let half = project.path("half");
    copy_all(&project.path("science"), &half);
    edit_json(&half.join("adapter_config.json"), |c| c["r"] = 7.into());
    let error = hub::fits(&base, &half).unwrap_err().to_string();
    assert!(error.contains("rank 7 on this base") && error.contains("layers.0.self_attn.q_proj"), "{error}");
}

#[test]
fn the_preview_is_what_the_model_reads() {
    let project = Project::new();
    let long = "a game engine for very long games ".repeat(60);
    let hostile = serde_json::json!({"id": "x\u{1b}", "document": format!("a\u{1b}[2Jb {long}"), "summary": "a game"});
    project.write("data/train.jsonl", &format!("{hostile}\n{}", project::examples(0..5)));
    project.append("data/dev.jsonl", &(project::example(2) + "\n"));
    let text = std::fs::read_to_string(project.path("recipe.toml")).unwrap();
    project.write("recipe.toml", &text.replace("[data]", "[data]\nmax_document_tokens = 40\ndev_limit = 4"));
    let recipe = Recipe::read(&project.path("recipe.toml")).unwrap();
    let found = preview::preview(&recipe, 2).unwrap();
    let train = &found.splits[0];
    assert_eq!((train.name, train.examples, train.first.len()), ("train", 6, 2));
    let first = &train.first[0];
    assert_eq!((first.id.as_str(), first.line, first.summary.as_str()), ("x\\u{1b}", 1, "a game"));
    assert!(first.prompt.starts_with("Summarize the article.\n\nArticle: a\\u{1b}[2Jb a game"), "{}", first.prompt);
    assert!(first.prompt.ends_with("\n\nSummary:") && first.kept_tokens <= 40 && first.document_tokens > 200);
    assert!(train.cut >= 1 && train.tokens_cut >= first.document_tokens - first.kept_tokens);
    assert_eq!(train.document.most, first.document_tokens);
    assert_eq!(train.sequences[0], (first.prompt_tokens, first.prompt_tokens + first.summary_tokens));
    assert_eq!(train.document.bars.iter().sum::<usize>(), 6);
    assert_eq!(found.splits.iter().map(|s| s.name).collect::<Vec<_>>(), ["train", "dev", "test"]);
    assert!(found.warnings[0].contains("1 document of dev also in train"), "{:?}", found.warnings);
    project.append("data/test.jsonl", "{\"document\": \"a game\", \"summary\": \"---\"}\n");
    let found = preview::preview(&recipe, 0).unwrap();
    assert!(found.warnings.last().unwrap().starts_with("1 of 4 references has no token"), "{:?}", found.warnings);
    project.append("data/test.jsonl", "{\"document\": 1}\n");
    let error = preview::preview(&recipe, 0).unwrap_err().to_string();
    assert!(error.contains("test.jsonl:5"), "{error}");
}

#[test]
fn a_check_says_what_a_run_would_and_a_run_tells_its_speed() {
    let project = Project::new();
    let said = project.lopper(&["check", "recipe.toml"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    for want in [
        "base     base: llama",
        "adapter  games (target, new): rank 4, alpha 8, q_proj",
        "adapter  science (related): rank",
        "train    12 examples; tokens: document",
        "none cut",
        "stage    target adapter alone: 3 steps",
        "stage    merge + fine-tune + prune: 6 steps",
        "memory   about ",
        "for 9 steps",
        "assumed: 70 % of the",
    ] {
        assert!(said.out.contains(want), "{want}: {}", said.out);
    }
    let json: serde_json::Value =
        serde_json::from_str(&project.lopper(&["check", "recipe.toml", "--json"]).out).unwrap();
    let parts = json["estimate"]["parts"].as_array().unwrap();
    let sum: u64 = parts.iter().map(|p| p["bytes"].as_u64().unwrap()).sum();
    assert_eq!(json["estimate"]["total"], sum);
    assert_eq!(json["data"]["splits"][0]["examples"], 12);
    assert_eq!(json["data"]["splits"][0]["first"].as_array().unwrap().len(), 1);
    let run = project.detached();
    project::until_over(&run);
    let recipe = Recipe::read(&project.path("recipe.toml")).unwrap();
    let found = preview::preview(&recipe, 0).unwrap();
    let estimate = estimate::estimate(&recipe, &found, &project.path("runs")).unwrap();
    assert_eq!(estimate.speed_from, format!("measured in {}", run.name()));
    // Steps and stages are those that the run made.
    let stages: Vec<(String, usize)> = project::events(&run)
        .into_iter()
        .filter_map(|e| match e.body {
            lopper::run::event::EventBody::Stage(s) => Some((s.method, s.steps)),
            _ => None,
        })
        .collect();
    assert_eq!(estimate.stages.iter().map(|s| (s.method.clone(), s.steps)).collect::<Vec<_>>(), stages);
    let listed = project.lopper(&["models"]).out;
    assert!(listed.contains(&format!("adapter  {}: rank", run.name())), "{listed}");
}

#[test]
fn the_first_problem_of_a_recipe_is_one_sentence_and_exit_code_2() {
    let project = Project::new();
    let refused = |want: &str| {
        let said = project.lopper(&["check", "recipe.toml"]);
        assert_eq!(said.code, Some(2), "{said:?}");
        assert!(said.err.contains(want) && said.err.lines().count() == 1 && said.out.is_empty(), "{want}: {said:?}");
    };
    edit_json(&project.path("net/adapter_config.json"), |c| c["r"] = 7.into());
    refused("adapter net: ");
    copy_all(&fixture("peft/rslora"), &project.path("net"));
    let recipe = std::fs::read_to_string(project.path("recipe.toml")).unwrap();
    project.recipe("", "epochs = 2\n[prune]\nrules = [{ modules = \"layers.77.*\", ratio = 0.1 }]");
    refused("prune rule 1 (modules \"layers.77.*\"");
    project.write("recipe.toml", &recipe);
    project.write("data/dev.jsonl", "{\n");
    refused("dev.jsonl:1: not valid JSON");
    std::fs::remove_file(project.path("base/tokenizer.json")).unwrap();
    refused("tokenizer.json is missing");
    std::fs::write(project.path("base/model.safetensors"), [1, 2, 3]).unwrap();
    refused("too few for a safetensors file");
}

#[test]
fn the_users_own_folders_come_from_settings_and_environment() {
    let project = Project::new();
    // Elsewhere: not below the working folder.
    let elsewhere = tempfile::tempdir().unwrap();
    for name in ["far", "own"] {
        copy_all(&project.path("base"), &elsewhere.path().join(name));
    }
    std::fs::create_dir_all(project.path("config/lopper")).unwrap();
    let own = elsewhere.path().join("own");
    project.write("config/lopper/config.toml", &format!("models = [\"{}\"]\n", utf8(&own)));
    let said = project::said(project.command(&["models"]).env("LOPPER_MODELS", elsewhere.path().join("far")));
    assert!(said.out.contains("base     far: llama") && said.out.contains("base     own: llama"), "{said:?}");
    project.write("config/lopper/config.toml", "\nmodel = []\n");
    let said = project.lopper(&["models"]);
    assert_eq!(said.code, Some(2), "{said:?}");
    assert!(said.err.contains("config.toml: line 2, model = []: the key `model` is not known here"), "{said:?}");
}
