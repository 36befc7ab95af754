//! Fetching a repository's files into the cache: several at once, resumed where they broke off, and only what has the
//! right length and hash gets a name.

pub mod board;
mod part;
mod room;

pub use board::{Board, Line, Standing, State};

use super::cache::Shelf;
use super::choice::{self, Kind};
use super::client::{Client, RepositoryFile};
use super::failure::Failure;
use super::reference::Reference;
use crate::Result;
use futures::StreamExt;
use std::path::{Path, PathBuf};
use std::sync::Once;

/// Files that are fetched at the same time, as Python's client has it.
const AT_ONCE: usize = 8;

/// What is to be fetched.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Plan {
    /// `ORG/NAME`.
    pub id: String,
    /// What was asked for: `main`, a tag, a commit.
    pub revision: String,
    /// The commit that it is.
    pub commit: String,
    /// Base or adapter.
    pub kind: Kind,
    /// The files that are needed, whether the cache has them or not.
    pub files: Vec<RepositoryFile>,
}

impl Plan {
    /// The revision as a commit.
    pub fn pinned(&self) -> Reference {
        Reference { id: self.id.clone(), revision: self.commit.clone() }
    }

    /// Bytes of all its files.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|f| f.size).sum()
    }

    /// Bytes that `cache` lacks.
    pub fn missing(&self, cache: &Path) -> u64 {
        let shelf = Shelf::of(cache, &self.pinned());
        let lacking = self.files.iter().filter(|f| !shelf.has(f, &self.commit));
        lacking.map(|f| f.size - shelf.begun(f)).sum()
    }
}

/// Finds out what has to be fetched of a repository. `file`: the weights that the user chose among several.
///
/// # Errors
/// As the hub refuses it, offline, and where the repository holds nothing that lopper reads.
pub async fn plan(client: &Client, what: &Reference, file: Option<&str>) -> Result<Plan> {
    let commit = client.commit(what).await?;
    let pinned = Reference { id: what.id.clone(), revision: commit };
    let listed = client.files(&pinned).await?;
    plan_of(client, what, &pinned, &listed, file).await
}

/// As [`plan`], of a commit whose files are known.
///
/// # Errors
/// As [`plan`].
pub async fn plan_of(
    client: &Client,
    what: &Reference,
    pinned: &Reference,
    listed: &[RepositoryFile],
    file: Option<&str>,
) -> Result<Plan> {
    let shown = what.to_string();
    let kind = choice::kind(listed, &shown)?;
    let sharded = kind == Kind::Base && file.is_none() && listed.iter().any(|f| f.path == choice::INDEX);
    let shards = if sharded { Some(shards(client, pinned).await?) } else { None };
    let files = choice::needed(listed, shards.as_deref(), file, &shown)?;
    Ok(Plan { id: what.id.clone(), revision: what.revision.clone(), commit: pinned.revision.clone(), kind, files })
}

/// The files that the index of a base names.
async fn shards(client: &Client, what: &Reference) -> Result<Vec<String>> {
    let url = client.address(&what.id, &what.revision, choice::INDEX)?;
    let refused = |failure: Failure| failure.sentence(&format!("{what}/{}", choice::INDEX), client.environment());
    let (index, _) = client.json::<serde_json::Value>(&url).await.map_err(refused)?;
    let map = index.get("weight_map").and_then(|map| map.as_object());
    let map = map.ok_or_else(|| refused(Failure::Nonsense("the index has no weight_map".into())))?;
    let names: std::collections::BTreeSet<String> =
        map.values().filter_map(|v| v.as_str()).map(str::to_owned).collect();
    Ok(names.into_iter().collect())
}

/// Fetches what the cache lacks of `plan` and returns the snapshot's folder. What was fetched stays when this fails or
/// is dropped, and the next call goes on from there.
///
/// # Errors
/// The first file that cannot be fetched, a cache that cannot be written; [`crate::Error::Full`] of a disk without
/// room, before anything is fetched or in the middle.
pub async fn fetch(client: &Client, plan: &Plan, board: &Board) -> Result<PathBuf> {
    let cache = &client.environment().cache;
    fetched(client, plan, board).await.map_err(|error| room::told(error, plan, cache))
}

/// Lets glibc keep what the pieces of a download were in: their size is some hundreds of kB, which it would hand back to
/// the system and ask for again, page by page, six times as often. Both of its thresholds rise with the largest block
/// that was ever freed (mallopt(3), `M_MMAP_THRESHOLD`); the pages of this one are never touched.
fn keep_pieces() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| drop(std::hint::black_box(Vec::<u8>::with_capacity(16 << 20))));
}

async fn fetched(client: &Client, plan: &Plan, board: &Board) -> Result<PathBuf> {
    keep_pieces();
    let cache = &client.environment().cache;
    let shelf = Shelf::of(cache, &plan.pinned());
    shelf.make()?;
    board.begin(&plan.files);
    if plan.files.iter().any(|file| !shelf.has(file, &plan.commit)) {
        client.online(&plan.id)?;
        room::check(plan, cache)?;
    }
    let work = plan.files.iter().enumerate().map(|(i, file)| one(client, plan, &shelf, board, i, file));
    let mut work = futures::stream::iter(work).buffer_unordered(AT_ONCE);
    while let Some(done) = work.next().await {
        done?;
    }
    // Last: a folder that a reference leads to is whole.
    if !plan.pinned().revision.eq(&plan.revision) {
        shelf.refer(&plan.revision, &plan.commit)?;
    }
    Ok(shelf.snapshot(&plan.commit))
}

async fn one(
    client: &Client,
    plan: &Plan,
    shelf: &Shelf,
    board: &Board,
    index: usize,
    file: &RepositoryFile,
) -> Result<()> {
    if !shelf.has(file, &plan.commit) {
        let _lock = shelf.lock(file, || board.set(index, State::Locked)).await?;
        // Another program may have fetched it meanwhile.
        if !shelf.has(file, &plan.commit) {
            let told = |at, state| {
                // In this order: what lay on the disk did not arrive now.
                board.at(index, at);
                board.set(index, state);
            };
            let fetched = part::fetch(client, plan, shelf, file, &told);
            let named =
                |failure: Failure| failure.sentence(&format!("{}/{}", plan.id, file.path), client.environment());
            fetched.await.map_err(named).inspect_err(|e| board.set(index, State::Failed(e.to_string())))?;
        }
    }
    shelf.show(file, &plan.commit)?;
    board.at(index, file.size);
    board.set(index, State::Done);
    Ok(())
}
