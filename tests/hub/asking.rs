//! A request, taken apart.

use super::answer::Answer;
use super::store::{Store, WRITE};
use hyper::HeaderMap;
use percent_encoding::percent_decode_str;

/// Which of the hub's two origins was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    Api,
    Blobs,
}

pub struct Asking {
    pub origin: Origin,
    pub method: String,
    /// Path and query as they came.
    pub target: String,
    /// The path's parts, decoded: a revision `refs%2Fpr%2F1` is one part.
    pub path: Vec<String>,
    pub query: Vec<(String, String)>,
    pub headers: HeaderMap,
    pub token: Option<String>,
    /// Where the two origins are: `http://127.0.0.1:1234`.
    pub api: String,
    pub blobs: String,
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// Pairs of a query or a form.
pub fn pairs(text: &str) -> Vec<(String, String)> {
    let plain = |part: &str| decoded(&part.replace('+', " "));
    text.split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').map_or((plain(pair), String::new()), |(k, v)| (plain(k), plain(v))))
        .collect()
}

impl Asking {
    pub fn new(origin: Origin, parts: &hyper::http::request::Parts, api: &str, blobs: &str) -> Self {
        let token = parts.headers.get("authorization").and_then(|v| v.to_str().ok());
        Self {
            origin,
            method: parts.method.as_str().to_owned(),
            target: parts.uri.path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string),
            path: parts.uri.path().split('/').filter(|part| !part.is_empty()).map(decoded).collect(),
            query: pairs(parts.uri.query().unwrap_or_default()),
            headers: parts.headers.clone(),
            token: token.and_then(|v| v.strip_prefix("Bearer ")).map(str::to_owned),
            api: api.to_owned(),
            blobs: blobs.to_owned(),
        }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub fn value(&self, key: &str) -> Option<&str> {
        self.query.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str())
    }

    /// Values of `key`, of `key[]`, and what they hold between commas.
    pub fn values(&self, key: &str) -> Vec<&str> {
        let list = format!("{key}[]");
        let fits = self.query.iter().filter(|(k, _)| *k == key || *k == list);
        fits.flat_map(|(_, v)| v.split(',')).filter(|v| !v.is_empty()).collect()
    }

    pub fn is_set(&self, key: &str) -> bool {
        self.value(key).is_some_and(|v| matches!(v, "true" | "True" | "1"))
    }

    /// An unknown token is refused wherever it comes.
    pub fn known(&self, store: &Store) -> Result<(), Answer> {
        match &self.token {
            Some(token) if !store.knows(token) => {
                Err(Answer::error(401, None, "Invalid credentials in Authorization header"))
            }
            _ => Ok(()),
        }
    }

    /// Who may change things: the one token that writes, and it only in its own namespaces.
    pub fn writes(&self, namespace: &str) -> Result<(), Answer> {
        match self.token.as_deref() {
            None => Err(Answer::error(401, None, "Invalid username or password.")),
            Some(WRITE) if super::store::NAMESPACES.contains(&namespace) => Ok(()),
            Some(WRITE) => Err(Answer::error(403, None, "Authorization error.")),
            Some(_) => Err(Answer::error(
                403,
                None,
                "You must use a write token to upload to a repository. Your token has the read role only.",
            )),
        }
    }
}
