//! Repositories made, files taken in: what the hub's write side does.

use super::answer::Answer;
use super::asking::Asking;
use super::content::{Content, File, hex};
use super::repository::Repository;
use super::store::{Parts, Store, WRITE};
use base64::Engine;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::io::{Read, Write};
use std::path::Path;

/// Larger files have to go through LFS.
const PLAIN_LIMIT: u64 = 10 << 20;
const LFS_NAMES: &[&str] =
    &["safetensors", "bin", "gguf", "pt", "pth", "ckpt", "onnx", "npy", "npz", "h5", "zip", "gz", "parquet", "model"];
const ATTRIBUTES: &str = "*.safetensors filter=lfs diff=lfs merge=lfs -text\n";

fn parsed(body: &[u8]) -> Result<Value, Answer> {
    serde_json::from_slice(body).map_err(|error| Answer::error(400, None, &format!("Invalid JSON: {error}")))
}

fn namespace(id: &str) -> &str {
    id.split_once('/').map_or("", |(namespace, _)| namespace)
}

/// The repository's state on `branch`, where who asks may change it.
fn writable(store: &Store, asking: &Asking, id: &str, branch: &str) -> Result<Repository, Answer> {
    store.find(id, asking)?;
    asking.writes(namespace(id))?;
    Ok(store.commit(id, branch, asking)?.snapshot.clone())
}

/// POST `/api/repos/create`
pub fn create(store: &mut Store, asking: &Asking, body: &[u8]) -> Result<Answer, Answer> {
    asking.known(store)?;
    let body = parsed(body)?;
    let name = body["name"].as_str().unwrap_or_default();
    let owner = body["organization"].as_str().unwrap_or("tester");
    if let Err(mut refusal) = asking.writes(owner) {
        if asking.token.as_deref() == Some(WRITE) {
            let why = format!("You don't have the rights to create a model under the namespace \"{owner}\"");
            refusal = Answer::error(403, None, &why);
        }
        return Err(refusal);
    }
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if name.is_empty() || name.len() > 96 || !name.chars().all(fits) || name.starts_with(['-', '.']) {
        return Err(Answer::error(400, None, &format!("Invalid repo name: \"{name}\"")));
    }
    let id = format!("{owner}/{name}");
    let url = format!("{}/{id}", asking.api);
    if store.repositories.keys().any(|known| known.eq_ignore_ascii_case(&id)) {
        let message = format!("You already created this model repo: {id}");
        let mut answer = Answer::json(&json!({"error": message, "url": url}));
        answer.status = 409;
        return Err(answer.header("X-Error-Message", message));
    }
    let private = body["private"].as_bool() == Some(true) || body["visibility"].as_str() == Some("private");
    let mut made = Store::now(Repository::model(&id).file(".gitattributes", ATTRIBUTES).title("initial commit"));
    made.created.clone_from(&made.modified);
    made.private = private.then(|| WRITE.to_owned());
    store.add("main", made);
    Ok(Answer::json(&json!({"url": url, "name": id, "id": id, "private": private})))
}

/// DELETE `/api/repos/delete`
pub fn delete(store: &mut Store, asking: &Asking, body: &[u8]) -> Result<Answer, Answer> {
    let body = parsed(body)?;
    let owner = body["organization"].as_str().unwrap_or("tester");
    let id = format!("{owner}/{}", body["name"].as_str().unwrap_or_default());
    store.find(&id, asking)?;
    asking.writes(owner)?;
    store.repositories.remove(&id);
    Ok(Answer::new(200, "text/plain", "OK"))
}

/// POST `/api/models/ID/branch/NAME` and `/tag/REV`
pub fn name(
    store: &mut Store,
    asking: &Asking,
    id: &str,
    kind: &str,
    name: &str,
    body: &[u8],
) -> Result<Answer, Answer> {
    let body = if body.is_empty() { Value::Null } else { parsed(body)? };
    let (new, from) = match kind {
        "branch" => (name.to_owned(), body["startingPoint"].as_str().unwrap_or("main").to_owned()),
        _ => (body["tag"].as_str().unwrap_or_default().to_owned(), name.to_owned()),
    };
    writable(store, asking, id, &from)?;
    let sha = store.commit(id, &from, asking)?.sha.clone();
    let stored = store.repositories.get_mut(id).unwrap();
    let names = if kind == "branch" { &mut stored.branches } else { &mut stored.tags };
    if names.contains_key(&new) {
        return Err(Answer::error(409, None, &format!("Reference already exists: {new}")));
    }
    names.insert(new, sha);
    Ok(Answer::new(201, "text/plain", "Created"))
}

/// POST `/api/models/ID/preupload/REV`: which files go through LFS
pub fn preupload(store: &Store, asking: &Asking, id: &str, branch: &str, body: &[u8]) -> Result<Answer, Answer> {
    let now = writable(store, asking, id, branch)?;
    let body = parsed(body)?;
    let files = body["files"].as_array().ok_or_else(|| Answer::error(400, None, "files is required"))?;
    let modes = files.iter().map(|file| {
        let path = file["path"].as_str().unwrap_or_default();
        let size = file["size"].as_u64().unwrap_or_default();
        let sample = file["sample"].as_str().and_then(|s| base64::engine::general_purpose::STANDARD.decode(s).ok());
        let named = path.rsplit_once('.').is_some_and(|(_, ending)| LFS_NAMES.contains(&ending));
        let binary = sample.is_some_and(|s| s.contains(&0));
        let mode = if named || binary || size > PLAIN_LIMIT { "lfs" } else { "regular" };
        let oid = now.files.get(path).map(File::etag);
        json!({"path": path, "uploadMode": mode, "shouldIgnore": false, "oid": oid})
    });
    Ok(Answer::json(&json!({"files": modes.collect::<Vec<_>>()})))
}

/// POST `/ID.git/info/lfs/objects/batch`: where the blobs go
pub fn batch(store: &Store, asking: &Asking, id: &str, body: &[u8]) -> Result<Answer, Answer> {
    writable(store, asking, id, "main")?;
    let body = parsed(body)?;
    let mut parted = false;
    let mut objects = Vec::new();
    for object in body["objects"].as_array().into_iter().flatten() {
        let (oid, size) = (object["oid"].as_str().unwrap_or_default(), object["size"].as_u64().unwrap_or_default());
        let mut out = json!({"oid": oid, "size": size, "authenticated": true});
        let well = oid.len() == 64 && oid.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        if !well {
            out["error"] = json!({"code": 422, "message": "Invalid oid"});
        } else if !store.blobs.contains_key(oid) {
            let target = format!("{}/upload/{oid}", asking.blobs);
            let verify = format!("{}/{id}.git/info/lfs/objects/verify", asking.api);
            let upload = match store.part.filter(|part| size > *part) {
                Some(part) => {
                    parted = true;
                    let mut header = json!({"chunk_size": part.to_string()});
                    for n in 1..=size.div_ceil(part) {
                        header[format!("{n:05}")] = format!("{target}/{n}?X-Amz-Signature=0").into();
                    }
                    json!({"href": format!("{}/api/complete_multipart?oid={oid}", asking.api), "header": header})
                }
                None => json!({"href": format!("{target}?X-Amz-Signature=0")}),
            };
            out["actions"] = json!({"upload": upload, "verify": {"href": verify}});
        }
        objects.push(out);
    }
    let transfer = if parted { "multipart" } else { "basic" };
    let mut answer = Answer::json(&json!({"transfer": transfer, "objects": objects}));
    answer.set("Content-Type", "application/vnd.git-lfs+json; charset=utf-8".into());
    Ok(answer)
}

/// PUT `/upload/OID` and `/upload/OID/PART` of the second origin; the body is in `file` by now, `sha256` is its hash
pub fn put(store: &mut Store, path: &[String], file: &Path, sha256: &str) -> Result<Answer, Answer> {
    let refused = |code: &str| Answer::new(400, "application/xml", format!("<Error><Code>{code}</Code></Error>"));
    match path {
        [oid] if oid == sha256 => {
            let content = Content::disk(file, Some(store.folder.clone())).map_err(|_| refused("InternalError"))?;
            store.blobs.insert(oid.clone(), content);
        }
        [_] => return Err(refused("BadDigest")),
        [oid, part] => {
            let part: u64 = part.parse().map_err(|_| refused("InvalidPart"))?;
            let parts = &mut store.parts.entry(oid.clone()).or_default().0;
            parts.insert(part, (sha256[..32].to_owned(), file.to_owned()));
        }
        _ => return Err(refused("NoSuchKey")),
    }
    Ok(Answer::new(200, "text/plain", "").header("ETag", format!("\"{}\"", &sha256[..32])))
}

/// POST `/api/complete_multipart?oid=OID`: the parts become one blob
pub fn complete(store: &mut Store, asking: &Asking, body: &[u8]) -> Result<Answer, Answer> {
    let wrong = |why: &str| Answer::error(400, None, why);
    let body = parsed(body)?;
    let oid = asking.value("oid").unwrap_or_default().to_owned();
    let Parts(parts) = store.parts.remove(&oid).ok_or_else(|| wrong("No such upload"))?;
    let named = body["parts"].as_array().cloned().unwrap_or_default();
    let same = named.len() == parts.len()
        && named.iter().zip(&parts).all(|(named, (n, (etag, _)))| {
            named["partNumber"].as_u64() == Some(*n)
                && named["etag"].as_str().is_some_and(|e| e.trim_matches('"') == etag)
        });
    if body["oid"].as_str() != Some(&oid) || !same {
        return Err(wrong("The parts are not those that were uploaded"));
    }
    let path = store.upload();
    let mut whole = std::fs::File::create(&path).unwrap();
    let mut hash = Sha256::new();
    for (_, part) in parts.values() {
        let mut bytes = Vec::new();
        std::fs::File::open(part).unwrap().read_to_end(&mut bytes).unwrap();
        hash.update(&bytes);
        whole.write_all(&bytes).unwrap();
    }
    if hex(hash.finalize()) != oid {
        return Err(wrong("The content is not what its oid says"));
    }
    store.blobs.insert(oid, Content::disk(&path, Some(store.folder.clone())).unwrap());
    Ok(Answer::json(&json!({"success": true})))
}

/// POST `/ID.git/info/lfs/objects/verify`
pub fn verify(store: &Store, asking: &Asking, id: &str, body: &[u8]) -> Result<Answer, Answer> {
    writable(store, asking, id, "main")?;
    let body = parsed(body)?;
    let blob = body["oid"].as_str().and_then(|oid| store.blobs.get(oid));
    match blob {
        Some(content) if Some(content.size()) == body["size"].as_u64() => Ok(Answer::json(&json!({"success": true}))),
        Some(_) => Err(Answer::error(422, None, "The object's size is another")),
        None => Err(Answer::error(404, None, "Object not found")),
    }
}

/// One line of a commit, done to the files.
fn apply(store: &Store, now: &mut Repository, key: &str, value: &Value) -> Result<(), Answer> {
    let wrong = |why: &str| Answer::error(400, None, why);
    let path = value["path"].as_str().unwrap_or_default().to_owned();
    if path.split('/').any(|part| ["", ".", "..", ".git"].contains(&part)) {
        return Err(wrong(&format!("Invalid path: \"{path}\"")));
    }
    match key {
        "file" => {
            let content = value["content"].as_str().unwrap_or_default();
            let content = match value["encoding"].as_str() {
                Some("base64") => base64::engine::general_purpose::STANDARD
                    .decode(content)
                    .map_err(|_| wrong("content is not base64"))?,
                _ => content.as_bytes().to_vec(),
            };
            let binary = content.contains(&0) && !store.binaries;
            if binary || content.len() as u64 > PLAIN_LIMIT {
                let what = if binary { "binary files" } else { "files larger than 10 MiB" };
                let why = format!("Your push was rejected because it contains {what}. Offending files: - {path}");
                return Err(wrong(&why));
            }
            now.files.insert(path, File::plain(content.into()));
        }
        "lfsFile" => {
            let oid = value["oid"].as_str().unwrap_or_default();
            let content = store.blobs.get(oid).filter(|c| value["size"].as_u64().is_none_or(|n| n == c.size()));
            let content = content.ok_or_else(|| {
                wrong("Your push was rejected because an LFS pointer pointed to a file that does not exist")
            })?;
            now.files.insert(path, File::lfs(content.clone(), oid.to_owned()));
        }
        "deletedFile" => {
            let gone = now.files.remove(&path);
            gone.ok_or_else(|| Answer::error(404, Some("EntryNotFound"), "A file with this name doesn't exist"))?;
        }
        "deletedFolder" => {
            let below = format!("{}/", path.trim_end_matches('/'));
            now.files.retain(|path, _| !path.starts_with(&below));
        }
        _ => return Err(wrong(&format!("Unknown operation: {key}"))),
    }
    Ok(())
}

/// POST `/api/models/ID/commit/REV`: lines of JSON, the header first
pub fn commit(store: &mut Store, asking: &Asking, id: &str, branch: &str, body: &[u8]) -> Result<Answer, Answer> {
    let mut now = writable(store, asking, id, branch)?;
    let head = store.commit(id, branch, asking)?.sha.clone();
    let mut lines = body.split(|b| *b == b'\n').filter(|line| !line.is_empty()).map(parsed);
    let header = lines.next().transpose()?.filter(|line| line["key"] == "header");
    let header = header.ok_or_else(|| Answer::error(400, None, "The first line has to be the header"))?;
    let header = &header["value"];
    let Some(summary) = header["summary"].as_str().filter(|s| !s.is_empty()) else {
        return Err(Answer::error(400, None, "summary is required"));
    };
    if header["parentCommit"].as_str().is_some_and(|parent| parent != head) {
        let why = "A commit has happened since. Please refresh and try again.";
        return Err(Answer::error(412, None, why));
    }
    for line in lines {
        let line = line?;
        apply(store, &mut now, line["key"].as_str().unwrap_or_default(), &line["value"])?;
    }
    summary.clone_into(&mut now.title);
    header["description"].as_str().unwrap_or_default().clone_into(&mut now.description);
    let mut out = json!({"success": true, "hookOutput": ""});
    let request = asking.is_set("create_pr").then(|| {
        let number = store.repositories[id].branches.keys().filter(|b| b.starts_with("refs/pr/")).count() + 1;
        out["pullRequestUrl"] = format!("{}/{id}/discussions/{number}", asking.api).into();
        format!("refs/pr/{number}")
    });
    let sha = store.add(request.as_deref().unwrap_or(branch), Store::now(now));
    out["commitOid"] = sha.clone().into();
    out["commitUrl"] = format!("{}/{id}/commit/{sha}", asking.api).into();
    Ok(Answer::json(&out))
}
