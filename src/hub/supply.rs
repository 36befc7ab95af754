//! What a recipe needs of the hub: its revisions pinned before a run is made, its files fetched by the worker.

use super::cache;
use super::client::Client;
use super::download::{self, Board};
use super::environment::Environment;
use super::place;
use super::reference::Reference;
use crate::model::inventory::Inventory;
use crate::recipe::Recipe;
use crate::run::control::Command;
use crate::run::event::{EventBody, Phase, PhaseKind};
use crate::run::session::Session;
use crate::run::worker::Outcome;
use crate::{Error, Result};
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// How often the worker tells how far a download is, and reads its commands.
const TICK: Duration = Duration::from_millis(500);

/// Runs a task of the network to its end on this thread.
///
/// # Errors
/// As the task, or when no runtime can be made.
pub fn wait<T>(task: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| Error::fault(format!("no task can be started: {e}")))?;
    let done = runtime.block_on(task);
    // A name that is looked up, or a file that is written, may not hold up the end.
    runtime.shutdown_timeout(Duration::from_secs(2));
    done
}

/// File work beside the tasks of the network.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|_| Error::fault("a task beside the network ended early"))?
}

/// Whether the folder has all that lopper reads of a base or an adapter; not whether lopper can use it.
pub fn is_whole(folder: &Path) -> bool {
    let has = |name: &str| folder.join(name).is_file();
    if has("adapter_config.json") {
        return has("adapter_model.safetensors");
    }
    has("config.json") && has("tokenizer.json") && Inventory::read(folder).is_ok()
}

/// The folders of a recipe that are the hub's and not whole yet, under their keys, each once.
fn missing(recipe: &Recipe) -> Vec<(String, PathBuf, Reference)> {
    let adapters = recipe.adapters.iter().filter_map(|a| Some((format!("adapter {}", a.name), a.path.as_ref()?)));
    let folders = std::iter::once(("base".to_owned(), &recipe.base)).chain(adapters);
    let mut all: Vec<(String, PathBuf, Reference)> = Vec::new();
    for (key, folder) in folders {
        let Some(reference) = place::of_cache(folder).filter(|_| !is_whole(folder)) else { continue };
        if !all.iter().any(|(_, known, _)| known == folder) {
            all.push((key, folder.clone(), reference));
        }
    }
    all
}

/// The keys of a recipe whose folders the worker will fetch, with what it fetches.
pub fn to_fetch(recipe: &Recipe) -> Vec<(String, Reference)> {
    missing(recipe).into_iter().map(|(key, _, reference)| (key, reference)).collect()
}

/// A wish to give up, from another thread; it stays until it is heard.
#[derive(Debug, Clone, Default)]
pub struct Halt(Arc<Notify>);

impl Halt {
    /// Gives up.
    pub fn ask(&self) {
        self.0.notify_one();
    }
}

/// Asks the hub for the commit of every folder that is to be fetched, so that the run can be repeated. Nothing is
/// asked where the cache has all.
///
/// # Errors
/// The first repository that the hub refuses, under its key; offline, the first that the cache lacks; and where `halt`
/// is asked for before the hub has answered.
pub fn pin(recipe: &mut Recipe, halt: &Halt) -> Result<()> {
    let missing = missing(recipe);
    if missing.is_empty() {
        return Ok(());
    }
    let client = Client::new(Environment::read()?)?;
    for (key, folder, reference) in missing {
        let commit = wait(async {
            tokio::select! {
                commit = client.commit(&reference) => commit.map_err(|e| e.at(&key)),
                () = halt.0.notified() => Err(Error::user("it was given up before the hub had answered")),
            }
        })?;
        let pinned = Reference { revision: commit, ..reference }.folder(&client.environment().cache);
        let paths = std::iter::once(&mut recipe.base).chain(recipe.adapters.iter_mut().filter_map(|a| a.path.as_mut()));
        paths.filter(|path| **path == folder).for_each(|path| path.clone_from(&pinned));
    }
    Ok(())
}

/// Fetches what `recipe` needs and the cache lacks, telling the journal how far it is. `Some` where the user stopped
/// it.
///
/// # Errors
/// The first file that cannot be fetched, or a journal that cannot be written.
pub fn fetch(recipe: &Recipe, session: &mut dyn Session) -> Result<Option<Outcome>> {
    let missing = missing(recipe);
    if missing.is_empty() {
        return Ok(None);
    }
    let client = Client::new(Environment::read()?)?;
    for (key, _, reference) in missing {
        if let Some(outcome) = wait(watched(&client, &reference, session)).map_err(|e| e.at(&key))? {
            return Ok(Some(outcome));
        }
    }
    Ok(None)
}

/// Fetches a repository, waiting for room in the cache where there is none.
async fn watched(client: &Client, reference: &Reference, session: &mut dyn Session) -> Result<Option<Outcome>> {
    loop {
        match at_once(client, reference, session).await {
            Err(full @ Error::Full { .. }) => {
                let cache = &client.environment().cache;
                session.hold_for(full, cache::ground(cache).unwrap_or(cache))?;
            }
            other => return other,
        }
    }
}

async fn at_once(client: &Client, reference: &Reference, session: &mut dyn Session) -> Result<Option<Outcome>> {
    let board = Board::default();
    let work = async {
        let plan = download::plan(client, reference, None).await?;
        download::fetch(client, &plan, &board).await
    };
    let mut work = std::pin::pin!(work);
    let label = format!("fetching {}", reference.id);
    let mut told = None;
    loop {
        for request in session.commands()? {
            if request.command == Command::Stop {
                let text = "what was fetched is kept; resume goes on from there";
                session.answer(&request, true, text)?;
                return Ok(Some(Outcome::Stopped(format!("stopped while {label}: {text}"))));
            }
            session.answer(&request, false, "files are fetched from the hub; only stop is possible now")?;
        }
        let ended = tokio::time::timeout(TICK, &mut work).await;
        let standing = board.standing();
        let phase =
            Phase { phase: PhaseKind::Download, label: label.clone(), done: standing.done, total: standing.total };
        if told.as_ref() != Some(&phase) {
            session.record(EventBody::Phase(phase.clone()))?;
            told = Some(phase);
        }
        if let Ok(ended) = ended {
            return ended.map(|_| None);
        }
    }
}
