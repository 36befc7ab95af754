//! Which of the hub's answers a request gets.

use super::answer::Answer;
use super::asking::{Asking, Origin};
use super::store::{NAMESPACES, READ, Store, WRITE};
use super::{listing, resolve, tree, upload};
use serde_json::json;

/// What follows an id in a path; no part of one.
const VERBS: &[&str] =
    &["revision", "tree", "paths-info", "refs", "commits", "commit", "preupload", "branch", "tag", "resolve"];

/// `ORG/NAME` or `NAME` at the beginning of a path, and the parts after it.
fn id<'p>(path: &[&'p str]) -> Option<(String, Vec<&'p str>)> {
    match path {
        [org, name, rest @ ..] if !VERBS.contains(name) => Some((format!("{org}/{name}"), rest.to_vec())),
        [name, rest @ ..] => Some(((*name).to_owned(), rest.to_vec())),
        [] => None,
    }
}

fn whoami(store: &Store, asking: &Asking) -> Result<Answer, Answer> {
    asking.known(store)?;
    let Some(token) = asking.token.as_deref() else {
        return Err(Answer::error(401, None, "Invalid username or password."));
    };
    let owner = [WRITE, READ].contains(&token);
    let orgs: Vec<_> =
        NAMESPACES[1..].iter().filter(|_| owner).map(|org| json!({"type": "org", "name": org})).collect();
    let name = if owner { NAMESPACES[0] } else { "guest" };
    let role = if token == WRITE { "write" } else { "read" };
    Ok(Answer::json(&json!({
        "type": "user",
        "id": "000000000000000000000001",
        "name": name,
        "fullname": "A Tester",
        "email": "tester@example.org",
        "emailVerified": true,
        "canPay": false,
        "isPro": false,
        "avatarUrl": "/avatars/0.svg",
        "orgs": orgs,
        "auth": {"type": "access_token", "accessToken": {"displayName": "test", "role": role}},
    })))
}

fn lost() -> Answer {
    Answer::error(404, None, "Sorry, we can't find the page you are looking for.")
}

fn models(store: &mut Store, asking: &Asking, path: &[&str], body: &[u8]) -> Result<Answer, Answer> {
    let Some((id, rest)) = id(path) else { return listing::models(store, asking) };
    match (asking.method.as_str(), rest.as_slice()) {
        ("GET", []) => listing::model(store, asking, &id, "main"),
        ("GET", ["revision", rev]) => listing::model(store, asking, &id, rev),
        ("GET", ["tree", rev, path @ ..]) => tree::tree(store, asking, &id, rev, &path.join("/")),
        ("POST", ["paths-info", rev]) => tree::paths_info(store, asking, &id, rev, body),
        ("GET", ["refs"]) => tree::refs(store, asking, &id),
        ("GET", ["commits", rev]) => tree::commits(store, asking, &id, rev),
        ("POST", ["preupload", rev]) => upload::preupload(store, asking, &id, rev, body),
        ("POST", ["commit", rev]) => upload::commit(store, asking, &id, rev, body),
        ("POST", [kind @ ("branch" | "tag"), name]) => upload::name(store, asking, &id, kind, name, body),
        _ => Err(lost()),
    }
}

/// Answers of the first origin.
fn api(store: &mut Store, asking: &Asking, body: &[u8]) -> Result<Answer, Answer> {
    let path: Vec<&str> = asking.path.iter().map(String::as_str).collect();
    match (asking.method.as_str(), path.as_slice()) {
        ("GET", ["api", "whoami-v2"]) => whoami(store, asking),
        ("POST", ["api", "repos", "create"]) => upload::create(store, asking, body),
        ("DELETE", ["api", "repos", "delete"]) => upload::delete(store, asking, body),
        ("POST", ["api", "validate-yaml"]) => Ok(Answer::json(&json!({"errors": [], "warnings": []}))),
        ("POST", ["api", "complete_multipart"]) => upload::complete(store, asking, body),
        ("GET" | "HEAD", ["api", "resolve-cache", "models", rest @ ..]) => match id(rest) {
            Some((id, rest)) if rest.len() > 1 => resolve::cached(store, asking, &id, rest[0], &rest[1..].join("/")),
            _ => Err(lost()),
        },
        (_, ["api", "models", rest @ ..]) => models(store, asking, rest, body),
        ("POST", [.., "info", "lfs", "objects", what @ ("batch" | "verify")]) => {
            let id = path[..path.len() - 4].join("/");
            let id = id.strip_suffix(".git").ok_or_else(lost)?;
            match *what {
                "batch" => upload::batch(store, asking, id, body),
                _ => upload::verify(store, asking, id, body),
            }
        }
        ("GET" | "HEAD", rest) => match id(rest) {
            Some((id, rest)) if rest.len() > 2 && rest[0] == "resolve" => {
                resolve::resolve(store, asking, &id, rest[1], &rest[2..].join("/"))
            }
            _ => Err(lost()),
        },
        _ => Err(lost()),
    }
}

/// The hub's answer, as if nothing could go wrong. What is uploaded to the second origin does not come this way.
pub fn answer(store: &mut Store, asking: &Asking, body: &[u8]) -> Answer {
    let result = match asking.origin {
        Origin::Api => api(store, asking, body),
        Origin::Blobs => match asking.path.as_slice() {
            [blobs, sha256] if blobs == "blobs" && ["GET", "HEAD"].contains(&asking.method.as_str()) => {
                resolve::blob(store, asking, sha256)
            }
            _ => Err(Answer::new(403, "application/xml", "<Error><Code>AccessDenied</Code></Error>")),
        },
    };
    result.unwrap_or_else(|refusal| refusal).header("X-Request-Id", "Root=1-0")
}
