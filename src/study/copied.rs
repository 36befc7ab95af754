//! Finished runs that were copied here: what tells their figures is enough, without weights and checkpoints, and the places
//! in their recipes may be those of another machine.

use super::{is_of, is_place_of};
use crate::Result;
use crate::recipe::Recipe;
use crate::run::event::EventBody;
use crate::run::origin::{self, Input};
use crate::run::{RunDir, RunState, journal};
use std::path::Path;

/// The finished run in `folder` of this recipe. Base, adapters and data have the places that are asked for, or
/// their own are not on this machine; and the contents that the run's journal tells, as far as they are here.
///
/// # Errors
/// When the folder cannot be read.
pub fn finished(wanted: &Recipe, folder: &Path) -> Result<Option<RunDir>> {
    for run in RunDir::list(folder)? {
        if run.state() != RunState::Finished {
            continue;
        }
        let Ok(of) = run.recipe() else { continue };
        if is_of(at_places_of(of.clone(), wanted), wanted) && is_made_of(&run, &of, wanted) {
            return Ok(Some(run));
        }
    }
    Ok(None)
}

/// A recipe with the places of `wanted`.
fn at_places_of(mut of: Recipe, wanted: &Recipe) -> Recipe {
    of.base.clone_from(&wanted.base);
    for (adapter, entry) in of.adapters.iter_mut().zip(&wanted.adapters) {
        if let (Some(path), Some(wanted)) = (&mut adapter.path, &entry.path) {
            path.clone_from(wanted);
        }
    }
    of.data.train.clone_from(&wanted.data.train);
    of.data.dev.clone_from(&wanted.data.dev);
    if let (Some(test), Some(wanted)) = (&mut of.data.test, &wanted.data.test) {
        test.clone_from(wanted);
    }
    of
}

/// Whether a run of the recipe `of` was made of what `wanted` names.
fn is_made_of(run: &RunDir, of: &Recipe, wanted: &Recipe) -> bool {
    let told = match journal::last_of(&run.journal_file(), "started").ok().flatten().map(|event| event.body) {
        Some(EventBody::Started(started)) => started.origin.inputs.clone(),
        _ => Vec::new(),
    };
    let here = origin::look(wanted).inputs;
    origin::places(of).iter().zip(origin::places(wanted)).all(|((key, of), (_, wanted))| {
        // A folder that is not there has no files, and says nothing.
        let known = |all: &[Input]| all.iter().find(|input| input.key == *key && input.bytes > 0).cloned();
        let same = known(&told).zip(known(&here)).map(|(told, here)| told.has_contents_of(&here));
        // A place that is here and another one was asked for as another, whatever is in it.
        if is_place_of(of, wanted) { same != Some(false) } else { same == Some(true) && !of.exists() }
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::run::event::Started;
    use crate::run::journal::Journal;
    use crate::run::origin::Origin;
    use std::path::PathBuf;

    /// A project in `folder`: a base, an adapter and data, and the recipe of them.
    fn project(folder: &Path) -> Recipe {
        for (file, text) in [
            ("base/config.json", "{}"),
            ("science/adapter_config.json", "{\"r\": 4}"),
            ("train.jsonl", "train"),
            ("dev.jsonl", "dev"),
            ("test.jsonl", "test"),
        ] {
            let path = folder.join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let data = "train = 'train.jsonl'\ndev = 'dev.jsonl'\ntest = 'test.jsonl'\n";
        let target = "[[adapters]]\nname = 'games'\nrole = 'target'\n";
        let related = "[[adapters]]\nname = 'science'\nrole = 'related'\npath = 'science'\n";
        let text = format!("name = 'games'\nbase = 'base'\n[data]\n{data}{target}{related}");
        Recipe::parse_as(&text, &folder.join("recipe.toml")).unwrap()
    }

    /// A run of it as a slim copy has it: the recipe, the last word, and what its worker found.
    fn run(folder: &Path, recipe: &Recipe, state: &str) -> PathBuf {
        let run = RunDir::create(folder, "games", recipe).unwrap();
        let word = format!(r#"{{"state": "{state}", "text": "", "code": 0, "t": 1.0}}"#);
        std::fs::write(run.path().join("exit.json"), word).unwrap();
        let origin = Box::new(Origin { inputs: origin::look(recipe).inputs, ..Origin::default() });
        let started = Started { origin, ..Started::default() };
        Journal::open(&run.journal_file()).unwrap().append(EventBody::Started(Box::new(started))).unwrap();
        run.path().to_path_buf()
    }

    #[test]
    fn a_slim_copy_from_another_machine_counts_while_its_inputs_are_the_same() {
        let (there, here) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let out = here.path().join("games-eval");
        std::fs::create_dir(&out).unwrap();
        let (old, new) = (project(there.path()), project(here.path()));
        assert!(!is_of(old.clone(), &new), "other places");
        run(&out, &old, "failed");
        assert_eq!(finished(&new, &out), Ok(None), "it has no figures of all methods");
        let copied = run(&out, &old, "finished");
        let found = |wanted: &Recipe| finished(wanted, &out).unwrap().map(|run| run.path().to_path_buf());
        assert_eq!(found(&new), None, "places of this machine are what they are");
        drop(there);
        assert_eq!(found(&new), Some(copied.clone()));
        // Another setting is another run.
        let other = Recipe { seed: 7, ..new.clone() };
        assert_eq!(found(&other), None);
        // So are other contents.
        for file in ["test.jsonl", "science/adapter_config.json", "base/config.json"] {
            let path = here.path().join(file);
            let before = std::fs::read(&path).unwrap();
            std::fs::write(&path, "other").unwrap();
            assert_eq!(found(&new), None, "{file}");
            std::fs::write(&path, before).unwrap();
        }
        assert_eq!(found(&new), Some(copied.clone()));
        // What is not here cannot be told to be the same where its place is another.
        std::fs::rename(here.path().join("base"), here.path().join("gone")).unwrap();
        assert_eq!(found(&new), None);
        // Without a journal the places have to be the same.
        std::fs::rename(here.path().join("gone"), here.path().join("base")).unwrap();
        std::fs::remove_file(copied.join("events.jsonl")).unwrap();
        assert_eq!(found(&new), None);
    }

    #[test]
    fn a_run_counts_where_its_base_is_gone_from_the_place_that_it_names() {
        let folder = tempfile::tempdir().unwrap();
        let recipe = project(folder.path());
        let out = folder.path().join("games-eval");
        let made = run(&out, &recipe, "finished");
        std::fs::remove_dir_all(folder.path().join("base")).unwrap();
        let found = || finished(&recipe, &out).unwrap().map(|run| run.path().to_path_buf());
        assert_eq!(found(), Some(made.clone()));
        std::fs::remove_file(made.join("events.jsonl")).unwrap();
        assert_eq!(found(), Some(made));
    }
}
