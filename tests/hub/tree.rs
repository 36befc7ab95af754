//! A commit's files and folders, and the commits themselves.

use super::answer::Answer;
use super::asking::{Asking, pairs};
use super::content::{File, hex};
use super::listing::page;
use super::repository::Repository;
use super::store::{Commit, Store};
use serde_json::{Value, json};
use sha1::{Digest, Sha1};
use std::collections::BTreeMap;

fn title(commit: &Commit) -> Value {
    json!({"id": commit.sha, "title": commit.snapshot.title, "date": commit.snapshot.modified})
}

fn file(path: &str, file: &File, commit: &Commit, expand: bool) -> Value {
    let mut out = json!({"type": "file", "oid": file.oid, "size": file.size});
    if let Some(lfs) = file.lfs_entry() {
        out["lfs"] = lfs;
    }
    out["path"] = path.into();
    if expand {
        out["lastCommit"] = title(commit);
        out["securityFileStatus"] =
            json!({"status": "safe", "avScan": {"virusFound": false}, "pickleImportScan": null});
    }
    out
}

fn folder(path: &str, commit: &Commit, expand: bool) -> Value {
    let oid = hex(Sha1::digest(format!("{} {path}", commit.sha)));
    let mut out = json!({"type": "directory", "oid": oid, "size": 0, "path": path});
    if expand {
        out["lastCommit"] = title(commit);
    }
    out
}

/// Folders above the files: `a/b/c` has `a` and `a/b`.
fn folders(repository: &Repository) -> impl Iterator<Item = &str> {
    repository.files.keys().flat_map(|path| path.match_indices('/').map(|(at, _)| &path[..at]))
}

/// GET `/api/models/ID/tree/REV[/PATH]`
pub fn tree(store: &Store, asking: &Asking, id: &str, revision: &str, path: &str) -> Result<Answer, Answer> {
    let commit = store.commit(id, revision, asking)?;
    let now = &commit.snapshot;
    let (recursive, expand) = (asking.is_set("recursive"), asking.is_set("expand"));
    let prefix = if path.is_empty() { String::new() } else { format!("{path}/") };
    let here = |entry: &str| entry.strip_prefix(&prefix).is_some_and(|rest| recursive || !rest.contains('/'));
    let mut entries: BTreeMap<&str, Value> = BTreeMap::new();
    folders(now).filter(|f| here(f)).for_each(|f| {
        entries.insert(f, folder(f, commit, expand));
    });
    now.files.iter().filter(|(p, _)| here(p)).for_each(|(p, f)| {
        entries.insert(p, file(p, f, commit, expand));
    });
    if path.is_empty() {
        for raw in &now.raw {
            let made_up = File::plain(raw.clone().into_bytes().into());
            entries.insert(raw, file(raw, &made_up, commit, expand));
        }
    } else if entries.is_empty() {
        let message = format!("{path} does not exist on \"{revision}\"");
        return Err(Answer::error(404, Some("EntryNotFound"), &message).header("X-Repo-Commit", &commit.sha));
    }
    let (start, end, link) = page(asking, entries.len(), store.page)?;
    let list: Vec<Value> = entries.into_values().skip(start).take(end - start).collect();
    let answer = Answer::json(&list.into());
    Ok(match link {
        Some(link) => answer.header("Link", link),
        None => answer,
    })
}

/// POST `/api/models/ID/paths-info/REV`, with a form or JSON
pub fn paths_info(store: &Store, asking: &Asking, id: &str, revision: &str, body: &[u8]) -> Result<Answer, Answer> {
    let commit = store.commit(id, revision, asking)?;
    let is_json = asking.header("content-type").is_some_and(|kind| kind.starts_with("application/json"));
    let (paths, expand): (Vec<String>, bool) = if is_json {
        let body: Value = serde_json::from_slice(body).map_err(|e| Answer::error(400, None, &e.to_string()))?;
        let paths = body["paths"].as_array().cloned().unwrap_or_default();
        let paths = paths.iter().filter_map(|p| p.as_str().map(str::to_owned)).collect();
        (paths, body["expand"].as_bool().unwrap_or(false))
    } else {
        let form = pairs(&String::from_utf8_lossy(body));
        let expand = form.iter().any(|(k, v)| k == "expand" && v.eq_ignore_ascii_case("true"));
        (form.into_iter().filter(|(k, _)| k == "paths" || k == "paths[]").map(|(_, v)| v).collect(), expand)
    };
    let now = &commit.snapshot;
    let known = paths.iter().filter_map(|path| match now.files.get(path) {
        Some(f) => Some(file(path, f, commit, expand)),
        None => folders(now).any(|f| f == path).then(|| folder(path, commit, expand)),
    });
    Ok(Answer::json(&known.collect()))
}

/// GET `/api/models/ID/refs`
pub fn refs(store: &Store, asking: &Asking, id: &str) -> Result<Answer, Answer> {
    let stored = store.find(id, asking)?;
    let entry = |kind: &str, name: &str, sha: &str| {
        let full = if name.starts_with("refs/") { name.to_owned() } else { format!("refs/{kind}/{name}") };
        json!({"name": name, "ref": full, "targetCommit": sha})
    };
    let branches = |requests: bool| -> Value {
        let some = stored.branches.iter().filter(|(name, _)| name.starts_with("refs/pr/") == requests);
        some.map(|(name, sha)| entry("heads", name, sha)).collect()
    };
    let tags: Value = stored.tags.iter().map(|(name, sha)| entry("tags", name, sha)).collect();
    let mut out = json!({"tags": tags, "branches": branches(false), "converts": []});
    if asking.is_set("include_prs") {
        out["pullRequests"] = branches(true);
    }
    Ok(Answer::json(&out))
}

/// GET `/api/models/ID/commits/REV`, the newest first
pub fn commits(store: &Store, asking: &Asking, id: &str, revision: &str) -> Result<Answer, Answer> {
    let sha = store.commit(id, revision, asking)?.sha.clone();
    let history = store.find(id, asking)?.history(&sha);
    let (start, end, link) = page(asking, history.len(), store.page)?;
    let list: Value = history[start..end]
        .iter()
        .map(|commit| {
            let now = &commit.snapshot;
            json!({
                "id": commit.sha,
                "title": now.title,
                "message": now.description,
                "authors": [{"user": "tester"}],
                "date": now.modified,
            })
        })
        .collect();
    let answer = Answer::json(&list).header("X-Total-Count", history.len().to_string());
    Ok(match link {
        Some(link) => answer.header("Link", link),
        None => answer,
    })
}
