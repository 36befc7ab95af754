//! A folder of runs that answer one question: an evaluation of methods and seeds, or a sweep of settings.
//!
//! Beside the runs it has `study.json` (what was asked), `worker.lock`, `worker.log`, `control.jsonl` and `exit.json` of
//! the process that works on it, as a run has them, the tables, written anew whenever a run of it has finished, and of an
//! evaluation `progress.json` (which runs each seed has taken, and what could not be done).

pub mod copied;
pub mod feasible;
pub mod launch;
pub mod looks;
mod progress;
mod reading;
pub mod standing;
mod trials;

pub use progress::Progress;
pub use reading::Reader;
pub use standing::Standing;

use crate::recipe::Recipe;
use crate::run::control::{self, Command};
use crate::run::worker::LastWord;
use crate::run::{RunDir, RunState, lock, now, worker, write_aside};
use crate::text::printable;
use crate::{Error, Result, bounded, sweep};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Which question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Methods on the same data, over seeds.
    Evaluation,
    /// Settings, ranked on dev.
    Sweep,
}

impl Kind {
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Evaluation => "evaluation",
            Self::Sweep => "sweep",
        }
    }

    /// Its table.
    fn table(self, folder: &Path) -> PathBuf {
        folder.join(self.word()).with_extension("json")
    }

    /// Its table in all forms, and what else it comes to.
    fn results(self, folder: &Path) -> impl Iterator<Item = PathBuf> {
        let files: &[&str] = match self {
            Self::Evaluation => &[
                "evaluation.json",
                "evaluation.md",
                "evaluation.csv",
                "evaluation.html",
                "evaluation.tex",
                progress::FILE,
            ],
            Self::Sweep => &["sweep.json", "sweep.md", "sweep.csv", "sweep.svg", "chosen.toml"],
        };
        files.iter().map(|file| folder.join(file))
    }
}

/// `study.json`: what was asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Which question.
    pub kind: Kind,
    /// The recipe's name.
    pub name: String,
    /// Of an evaluation the methods' names in tables, in their order.
    #[serde(default)]
    pub methods: Vec<String>,
    /// Of an evaluation the method that the others are compared with.
    #[serde(default)]
    pub reference: String,
    /// Of an evaluation the seeds, a run each.
    #[serde(default)]
    pub seeds: Vec<u64>,
    /// Runs that it comes to.
    pub runs: usize,
    /// Of a sweep what is searched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub search: Option<Search>,
    /// Unix time of the first start.
    #[serde(default)]
    pub started: f64,
}

/// What a sweep tries.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Search {
    /// The name of the way: grid, random, halving.
    pub way: String,
    /// The settings and rounds.
    pub plan: sweep::plan::Plan,
    /// Whether the test set is looked at when all is done.
    pub test: bool,
}

fn place(folder: &Path) -> PathBuf {
    folder.join("study.json")
}

impl Plan {
    /// What was asked of this folder; `None` where nothing readable says so.
    pub fn read(folder: &Path) -> Option<Self> {
        serde_json::from_slice(&bounded::bytes(&place(folder), bounded::SETTINGS).ok()?).ok()
    }

    fn write(&self, folder: &Path) -> Result<()> {
        let started = Self::read(folder).filter(|old| old.kind == self.kind).map_or_else(now, |old| old.started);
        let text = serde_json::to_vec_pretty(&Self { started, ..self.clone() });
        write_aside(&place(folder), &text.map_err(|e| Error::fault(e.to_string()))?)
    }
}

/// Whether the folder is a study and no run.
pub fn is_one(folder: &Path) -> bool {
    !folder.join("recipe.toml").exists() && kind(folder).is_some()
}

/// What a folder is for, if it is for one question.
pub fn kind(folder: &Path) -> Option<Kind> {
    if place(folder).is_file()
        && let Some(plan) = Plan::read(folder)
    {
        return Some(plan.kind);
    }
    // Of a time before they had plans.
    [Kind::Evaluation, Kind::Sweep].into_iter().find(|kind| kind.table(folder).is_file())
}

/// The studies below `parent`, in no order; none where it cannot be read.
pub fn list(parent: &Path) -> Vec<(PathBuf, Kind)> {
    let entries = std::fs::read_dir(parent).into_iter().flatten().flatten();
    let folders = entries.map(|e| e.path()).filter(|path| path.is_dir() && !path.join("recipe.toml").exists());
    folders.filter_map(|path| kind(&path).map(|kind| (path, kind))).collect()
}

/// How the work on a study stands: by the lock and the last word, as of a run.
pub fn state(folder: &Path) -> RunState {
    if lock::is_held(folder) {
        return RunState::Running;
    }
    match worker::last_word(folder) {
        Some(state) => state,
        None if lock::holder(folder).is_some() => RunState::Crashed,
        None if !place(folder).is_file() => RunState::Finished,
        None => RunState::Created,
    }
}

/// Whether something of a sweep that is finished can be tried again: trials that came to no end. An evaluation of which a
/// run has failed is not finished.
pub fn can_try_again(folder: &Path) -> bool {
    let table = || reading::table::<sweep::Sweep>(folder, Kind::Sweep).ok().flatten();
    kind(folder) == Some(Kind::Sweep) && table().is_some_and(|found| found.trials.iter().any(|t| t.failed.is_some()))
}

/// The recipe of an evaluation or a sweep, as it was asked for, with its methods.
pub fn recipe_file(folder: &Path, kind: Kind) -> PathBuf {
    folder.join(kind.word()).with_extension("toml")
}

/// The recipe of one seed of an evaluation.
pub fn of_seed(recipe: &Recipe, seed: u64) -> Recipe {
    Recipe { seed, name: format!("{}-seed-{seed}", recipe.name), ..recipe.clone() }
}

/// Whether a run's recipe is the one that was wanted.
pub fn is_of(mut of: Recipe, wanted: &Recipe) -> bool {
    if is_place_of(&of.base, &wanted.base) {
        of.base.clone_from(&wanted.base);
    }
    for (adapter, entry) in of.adapters.iter_mut().zip(&wanted.adapters) {
        if let (Some(path), Some(wanted)) = (&mut adapter.path, &entry.path)
            && is_place_of(path, wanted)
        {
            path.clone_from(wanted);
        }
    }
    // It only scores what is there.
    of.eval.encoder.clone_from(&wanted.eval.encoder);
    of.eval.encoder_layer = wanted.eval.encoder_layer;
    // It changes no number.
    of.train.recompute = wanted.train.recompute;
    of == *wanted
}

/// Whether a run's base or adapter is the wanted one: what the hub named by a branch is pinned to a commit in the run.
fn is_place_of(of: &Path, wanted: &Path) -> bool {
    let hub = |path| crate::hub::place::of_cache(path);
    match (hub(of), hub(wanted)) {
        (Some(of), Some(wanted)) => of.id == wanted.id && (of.revision == wanted.revision || !wanted.is_pinned()),
        (None, None) => of == wanted || of.canonicalize().is_ok_and(|of| wanted.canonicalize().is_ok_and(|w| w == of)),
        _ => false,
    }
}

/// Makes the folder with what was asked, for a process to work on.
///
/// # Errors
/// When it cannot be written.
pub fn prepare(folder: &Path, plan: &Plan, recipe: &Recipe) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(|e| Error::io("make the folder", folder, &e))?;
    let text = recipe.to_toml()?;
    let file = recipe_file(folder, plan.kind);
    let before = bounded::text(&file, bounded::SETTINGS).ok();
    let same = Plan::read(folder).is_some_and(|old| Plan { started: plan.started, ..old } == *plan);
    // The tables of another question must not stand as this one's; what is finished fills them in again at once.
    if !same || before.is_some_and(|before| before != text) {
        for file in plan.kind.results(folder) {
            match std::fs::remove_file(&file) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(Error::io("remove", &file, &e)),
                _ => {}
            }
        }
    }
    plan.write(folder)?;
    write_aside(&file, text.as_bytes())
}

/// Does the work on a study as its only worker, and leaves the last word. `None` where `work` was ended by a signal.
///
/// # Errors
/// That of the work; or when another process works on the folder, or it cannot be written.
pub fn hold<T>(
    folder: &Path,
    plan: &Plan,
    recipe: &Recipe,
    work: impl FnOnce() -> Result<Option<T>>,
) -> Result<Option<T>> {
    std::fs::create_dir_all(folder).map_err(|e| Error::io("make the folder", folder, &e))?;
    let held = lock::Lock::take(folder).map_err(|e| {
        let shown = printable(&folder.display().to_string()).into_owned();
        match lock::holder(folder).filter(|_| lock::is_held(folder)) {
            Some(by) => Error::user(format!(
                "process {} on {} works on {shown}; `lopper` shows how far it is",
                by.pid,
                printable(&by.host)
            )),
            None => e,
        }
    })?;
    let last = folder.join("exit.json");
    match std::fs::remove_file(&last) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(Error::io("remove", &last, &e)),
        _ => {}
    }
    let done = prepare(folder, plan, recipe).and_then(|()| work());
    let (state, text, code) = match &done {
        Ok(Some(_)) => ("finished", format!("the tables are in {}", folder.display()), 0),
        Ok(None) => ("stopped", "stopped; a run that was under way goes on by itself".to_owned(), 0),
        Err(error @ Error::Stopped(_)) => ("stopped", error.to_string(), 0),
        Err(error) => ("failed", error.to_string(), error.exit_code()),
    };
    let word = LastWord { state: state.into(), text: printable(&text).into_owned(), code, t: now() };
    let bytes = serde_json::to_vec_pretty(&word).map_err(|e| Error::fault(e.to_string()))?;
    write_aside(&last, &bytes)?;
    drop(held);
    done
}

/// Stops the work on the study, with its run that is under way, which writes a checkpoint; what the command went to.
///
/// # Errors
/// When nobody works on it, or the command cannot be written.
pub fn stop(folder: &Path) -> Result<String> {
    if lock::is_held(folder) {
        // Whoever works on it tells its run: it alone knows which one that is, also before that has begun.
        control::send(folder, Command::Stop)?;
        return Ok(folder.file_name().map_or(String::new(), |name| name.to_string_lossy().into_owned()));
    }
    // One that went on by itself.
    let mut runs = RunDir::list(folder)?.into_iter();
    let Some(run) = runs.find(|run| run.state() == RunState::Running) else {
        return Err(Error::user("nobody works on it"));
    };
    control::send(run.path(), Command::Stop)?;
    Ok(run.name())
}

/// Deletes the folder with all its runs and tables.
///
/// # Errors
/// When it is no study, a process works on it or on a run of it, or its files cannot be removed.
pub fn remove(folder: &Path) -> Result<()> {
    let meta = std::fs::symlink_metadata(folder).map_err(|e| Error::io("delete", folder, &e))?;
    if !meta.is_dir() || kind(folder).is_none() {
        let shown = printable(&folder.display().to_string()).into_owned();
        return Err(Error::user(format!("{shown} is a link, or no evaluation or sweep any more: nothing was deleted")));
    }
    // Held to the end, so that nobody starts on half of it.
    let _held = lock::Lock::take(folder)?;
    // One after another, as there may be more than descriptors: nobody starts one while the folder is held.
    for run in RunDir::list(folder)? {
        drop(lock::Lock::take(run.path())?);
    }
    std::fs::remove_dir_all(folder).map_err(|e| Error::io("delete", folder, &e))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn plan() -> Plan {
        let methods = vec!["zero-shot".into()];
        Plan {
            kind: Kind::Evaluation,
            name: "games".into(),
            methods,
            reference: "zero-shot".into(),
            seeds: vec![1],
            runs: 1,
            search: None,
            started: 0.0,
        }
    }

    #[test]
    fn a_study_has_one_worker_and_a_last_word() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("games-eval");
        let recipe = Recipe::parse(
            "base = 'b'\n[data]\ntrain = 't'\ndev = 'd'\n[[adapters]]\nname = 'games'\nrole = 'target'\n",
        )
        .unwrap();
        let found = hold(&out, &plan(), &recipe, || {
            assert_eq!((state(&out), kind(&out)), (RunState::Running, Some(Kind::Evaluation)));
            let second = hold(&out, &plan(), &recipe, || Ok(Some(()))).unwrap_err().to_string();
            assert!(second.contains(&format!("process {} on ", std::process::id())), "{second}");
            Ok(Some(7))
        });
        assert_eq!((found.unwrap(), state(&out)), (Some(7), RunState::Finished));
        let started = Plan::read(&out).unwrap().started;
        let failed = hold(&out, &plan(), &recipe, || Err::<Option<()>, _>(Error::user("no\u{1b} such base")));
        assert!(failed.is_err() && state(&out) == RunState::Failed);
        assert!(!worker::read_last_word(&out).unwrap().text.contains('\u{1b}'));
        assert!(started > 0.0 && Plan::read(&out).unwrap().started == started);
        assert_eq!(list(folder.path()), [(out.clone(), Kind::Evaluation)]);
        let stopped = || Err::<Option<()>, _>(Error::Stopped("runs/x was stopped".into()));
        assert!(hold(&out, &plan(), &recipe, stopped).is_err() && state(&out) == RunState::Stopped);
        hold(&out, &plan(), &recipe, || Ok(None::<()>)).unwrap();
        assert_eq!(state(&out), RunState::Stopped);
        assert!(stop(&out).unwrap_err().to_string().contains("nobody works on it"));
        remove(&out).unwrap();
        assert!(!out.exists() && folder.path().exists());
    }

    #[test]
    fn a_study_with_a_run_under_way_or_behind_a_link_stays() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("games-eval");
        std::fs::create_dir_all(out.join("run")).unwrap();
        std::fs::write(out.join("sweep.json"), "{}").unwrap();
        std::fs::write(out.join("run/recipe.toml"), "").unwrap();
        let held = lock::Lock::take(&out.join("run")).unwrap();
        assert!(remove(&out).unwrap_err().to_string().contains("already has a worker"));
        drop(held);
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&out, &link).unwrap();
        assert!(remove(&link).unwrap_err().to_string().contains("is a link"));
        assert!(remove(folder.path()).is_err() && out.exists());
        remove(&out).unwrap();
        assert!(!out.exists());
    }

    #[test]
    fn the_table_of_another_question_goes() {
        let folder = tempfile::tempdir().unwrap();
        let recipe = |lr: &str| {
            Recipe::parse(&format!(
                "base = 'b'\n[data]\ntrain = 't'\ndev = 'd'\n[train]\nlr = {lr}\n[[adapters]]\nname = 'games'\nrole = 'target'\n"
            ))
            .unwrap()
        };
        let table = folder.path().join("evaluation.json");
        prepare(folder.path(), &plan(), &recipe("1e-4")).unwrap();
        std::fs::write(&table, "{}").unwrap();
        prepare(folder.path(), &plan(), &recipe("1e-4")).unwrap();
        assert!(table.exists(), "the same question has the same table");
        prepare(folder.path(), &plan(), &recipe("2e-4")).unwrap();
        assert!(!table.exists());
        std::fs::write(&table, "{}").unwrap();
        prepare(folder.path(), &Plan { methods: vec!["target".into()], ..plan() }, &recipe("2e-4")).unwrap();
        assert!(!table.exists());
    }

    #[test]
    fn folders_without_a_plan_are_known_by_their_tables() {
        let folder = tempfile::tempdir().unwrap();
        for (name, file) in [("a", "evaluation.json"), ("b", "sweep.json"), ("c", "other.json")] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
            std::fs::write(folder.path().join(name).join(file), "{}").unwrap();
        }
        let mut found = list(folder.path());
        found.sort();
        assert_eq!(found, [(folder.path().join("a"), Kind::Evaluation), (folder.path().join("b"), Kind::Sweep)]);
        assert_eq!(state(&folder.path().join("b")), RunState::Finished);
        // A damaged plan is none.
        std::fs::write(folder.path().join("b/study.json"), "{").unwrap();
        assert_eq!(kind(&folder.path().join("b")), Some(Kind::Sweep));
    }
}
