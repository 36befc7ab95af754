//! What the hub holds: repositories with their commits, blobs, faults that wait.

use super::answer::Answer;
use super::asking::Asking;
use super::clock;
use super::content::{Content, hex};
use super::fault::{Fault, Kind, Stage};
use super::repository::Repository;
use sha1::{Digest, Sha1};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::SystemTime;

/// The token of the user `tester`, who owns the namespaces `tester` and `lab` and may write there.
pub const WRITE: &str = "hf_write";
/// A token that may only read.
pub const READ: &str = "hf_read";
/// Where [`WRITE`] may write.
pub const NAMESPACES: [&str; 2] = ["tester", "lab"];

#[derive(Clone)]
pub struct Commit {
    pub sha: String,
    pub parent: Option<String>,
    pub snapshot: Repository,
}

#[derive(Default)]
pub struct Stored {
    pub commits: Vec<Commit>,
    /// `main`, `refs/pr/1`, … and the commits they are at.
    pub branches: BTreeMap<String, String>,
    pub tags: BTreeMap<String, String>,
}

/// A blob that is being uploaded in parts.
#[derive(Default)]
pub struct Parts(pub BTreeMap<u64, (String, std::path::PathBuf)>);

pub struct Store {
    pub repositories: BTreeMap<String, Stored>,
    /// Blobs by sha256, those that no commit names yet too.
    pub blobs: HashMap<String, Content>,
    pub parts: HashMap<String, Parts>,
    pub faults: Vec<Fault>,
    /// Most entries of a page.
    pub page: usize,
    /// Where LFS files come from, if not from the second origin.
    pub elsewhere: Option<String>,
    /// Plain files come by way of a 307 to a relative URL.
    pub relative: bool,
    /// Larger objects are uploaded in parts of this size.
    pub part: Option<u64>,
    /// Binary files are taken in the commit itself.
    pub binaries: bool,
    pub folder: Arc<tempfile::TempDir>,
    pub uploads: u64,
}

impl Stored {
    pub fn main(&self) -> &Commit {
        let sha = &self.branches["main"];
        self.commits.iter().find(|c| c.sha == *sha).unwrap()
    }

    pub fn at(&self, sha: &str) -> Option<&Commit> {
        self.commits.iter().find(|c| c.sha == sha)
    }

    /// The commit of a branch, tag, sha, or the beginning of one.
    pub fn revision(&self, name: &str) -> Option<&Commit> {
        let name = name.strip_prefix("refs/heads/").unwrap_or(name);
        let name = name.strip_prefix("refs/tags/").unwrap_or(name);
        if let Some(sha) = self.branches.get(name).or_else(|| self.tags.get(name)) {
            return self.at(sha);
        }
        let hex = name.len() >= 7 && name.bytes().all(|b| b.is_ascii_hexdigit());
        self.commits.iter().find(|c| hex && c.sha.starts_with(name))
    }

    /// Puts a commit on top of `branch`, and returns its sha.
    pub fn commit(&mut self, branch: &str, snapshot: Repository) -> String {
        let parent = self.branches.get(branch).or_else(|| self.branches.get("main")).cloned();
        let sha = snapshot.sha.clone().unwrap_or_else(|| {
            let mut hash = Sha1::new();
            hash.update(format!("{} {parent:?} {} {}\n", snapshot.id, snapshot.title, snapshot.modified));
            for (path, file) in &snapshot.files {
                hash.update(format!("{path}\0{}\n", file.oid));
            }
            hex(hash.finalize())
        });
        snapshot.revisions.iter().for_each(|tag| {
            self.tags.insert(tag.clone(), sha.clone());
        });
        self.branches.insert(branch.to_owned(), sha.clone());
        self.commits.retain(|c| c.sha != sha);
        self.commits.push(Commit { sha: sha.clone(), parent: parent.filter(|p| *p != sha), snapshot });
        sha
    }

    /// From `sha` to the first commit.
    pub fn history(&self, sha: &str) -> Vec<&Commit> {
        std::iter::successors(self.at(sha), |c| self.at(c.parent.as_deref()?)).collect()
    }
}

impl Store {
    pub fn new() -> Self {
        Self {
            repositories: BTreeMap::new(),
            blobs: HashMap::new(),
            parts: HashMap::new(),
            faults: Vec::new(),
            page: 1000,
            elsewhere: None,
            relative: false,
            part: None,
            binaries: false,
            folder: Arc::new(tempfile::tempdir().unwrap()),
            uploads: 0,
        }
    }

    /// Another file name in the hub's own folder.
    pub fn upload(&mut self) -> std::path::PathBuf {
        self.uploads += 1;
        self.folder.path().join(self.uploads.to_string())
    }

    pub fn add(&mut self, branch: &str, repository: Repository) -> String {
        for file in repository.files.values() {
            if let Some(sha256) = &file.sha256 {
                self.blobs.insert(sha256.clone(), file.content.clone());
            }
        }
        self.repositories.entry(repository.id.clone()).or_default().commit(branch, repository)
    }

    /// A snapshot of `repository` that is made now.
    pub fn now(mut repository: Repository) -> Repository {
        repository.modified = clock::iso(SystemTime::now());
        (repository.sha, repository.revisions) = (None, Vec::new());
        repository
    }

    pub fn knows(&self, token: &str) -> bool {
        let theirs = |repository: &Repository| {
            repository.private.as_deref() == Some(token)
                || repository.gated.as_ref().is_some_and(|(_, granted)| granted == token)
        };
        [WRITE, READ].contains(&token) || self.repositories.values().any(|r| theirs(&r.main().snapshot))
    }

    pub fn sees(repository: &Repository, token: Option<&str>) -> bool {
        repository.private.as_deref().is_none_or(|key| token == Some(key))
    }

    /// The repository, where who asks may know of it; otherwise the hub's answer.
    pub fn find(&self, id: &str, asking: &Asking) -> Result<&Stored, Answer> {
        asking.known(self)?;
        if let Some(stored) = self.repositories.get(id) {
            if Self::sees(&stored.main().snapshot, asking.token.as_deref()) {
                return Ok(stored);
            }
        } else if let Some(moved) = self.moved(id, asking) {
            return Err(moved);
        }
        Err(match &asking.token {
            None => Answer::error(401, Some("RepoNotFound"), "Invalid username or password."),
            Some(_) => Answer::error(404, Some("RepoNotFound"), "Repository not found"),
        })
    }

    /// 307 from an id of old, or one in other letters, to what it is called now.
    fn moved(&self, id: &str, asking: &Asking) -> Option<Answer> {
        let names = |stored: &&Stored| {
            let now = &stored.main().snapshot;
            now.id.eq_ignore_ascii_case(id) || now.formerly.as_deref() == Some(id)
        };
        let now = &self.repositories.values().find(names)?.main().snapshot;
        if !Self::sees(now, asking.token.as_deref()) {
            return None;
        }
        let location = asking.target.replacen(&format!("/{id}"), &format!("/{}", now.id), 1);
        Some(Answer::new(307, "text/plain", "Temporary Redirect").header("Location", location))
    }

    /// The commit of a revision that who asks may know of.
    pub fn commit(&self, id: &str, revision: &str, asking: &Asking) -> Result<&Commit, Answer> {
        let missing = || Answer::error(404, Some("RevisionNotFound"), &format!("Invalid rev id: {revision}"));
        self.find(id, asking)?.revision(revision).ok_or_else(missing)
    }

    /// As [`Self::commit`], where its files may be read too.
    pub fn readable(&self, id: &str, revision: &str, asking: &Asking) -> Result<&Commit, Answer> {
        let gated = self.find(id, asking)?.main().snapshot.gated.as_ref();
        match (gated, &asking.token) {
            (Some((_, granted)), Some(token)) if granted != token => Err(Answer::error(
                403,
                Some("GatedRepo"),
                &format!(
                    "Access to model {id} is restricted and you are not in the authorized list. \
                     Visit https://huggingface.co/{id} to ask for access."
                ),
            )),
            (Some(_), None) => Err(Answer::error(
                401,
                Some("GatedRepo"),
                &format!(
                    "Access to model {id} is restricted. You must have access to it and be authenticated \
                     to access it. Please log in."
                ),
            )),
            _ => self.commit(id, revision, asking),
        }
    }

    /// What happens to a request at this stage, in the order in which it was ordered.
    pub fn strike(&mut self, asking: &Asking, stage: &Stage) -> Vec<(Kind, u64)> {
        self.faults.iter_mut().filter_map(|fault| fault.strike(&asking.method, &asking.target, stage)).collect()
    }
}
