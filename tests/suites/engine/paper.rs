//! The recipes with the paper's settings: what they say, and that what they lack is told before anything starts.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::tiny;
use lopper::recipe::{LrSchedule, Norms, Recipe, Role};
use lopper::train::plan;
use std::path::{Path, PathBuf};
use tiny::{Project, said};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/evidence/paper")
}

fn recipes() -> Vec<(String, Recipe)> {
    let entries = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let files = entries.filter(|path| path.extension().is_some_and(|end| end == "toml"));
    let mut all: Vec<(String, Recipe)> = files
        .map(|path| (path.file_stem().unwrap().to_str().unwrap().to_owned(), Recipe::read(&path).unwrap()))
        .collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

#[test]
fn every_recipe_has_the_settings_that_are_known() {
    let all = recipes();
    assert_eq!(all.len(), 9);
    for (name, recipe) in &all {
        assert_eq!(&recipe.name, name);
        assert!(recipe.base_shown().contains("meta-llama/Meta-Llama-3-8B-Instruct"), "{}", recipe.base_shown());
        let train = &recipe.train;
        assert_eq!((train.epochs, train.batch, train.lr, train.weight_decay), (10, 8, 1e-4, 0.0));
        assert_eq!((train.schedule, train.dropout, train.warmup), (LrSchedule::Epoch, Some(0.05), 0.0));
        let target = recipe.adapters.iter().find(|adapter| adapter.role == Role::Target).unwrap();
        assert_eq!((target.rank, target.alpha, target.targets.len(), target.path.is_none()), (8, 32.0, 2, true));
        let labels: Vec<String> = plan::stages(recipe).into_iter().map(|stage| stage.label).collect();
        if name.starts_with("related-") {
            assert_eq!((labels, recipe.data.test.is_none()), (vec!["fine-tune".to_owned()], true));
            continue;
        }
        assert!(recipe.data.test.is_some() && recipe.data.train_limit == 50);
        assert_eq!((recipe.prune.norms, recipe.target.epochs), (Norms::Train, 10));
        assert_eq!(labels.last().map(String::as_str), Some("merge + fine-tune + prune"));
        // Each related adapter is what one of the other recipes trains.
        let related: Vec<_> = recipe.adapters.iter().filter(|adapter| adapter.role == Role::Related).collect();
        assert_eq!(related.len(), 2);
        for adapter in related {
            assert_eq!(adapter.path, Some(folder().join("adapters").join(&adapter.name)));
            let of = all.iter().find(|(other, _)| *other == format!("related-{}", adapter.name)).unwrap();
            assert_eq!((of.1.adapters[0].name.as_str(), adapter.weight), (adapter.name.as_str(), 1.0));
        }
    }
}

#[test]
fn what_they_lack_is_told() {
    let project = Project::new();
    let recipe = folder().join("scitldr.toml");
    for command in ["check", "run"] {
        let said = said(&mut project.command(&[command, tiny::utf8(&recipe)]));
        assert!(said.code == Some(2) && said.err.contains("meta-llama/Meta-Llama-3-8B-Instruct"), "{said:?}");
    }
}
