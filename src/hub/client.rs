//! Asking the hub: the `hf-hub` crate for what it offers, requests of our own for ranges and pages.

use super::environment::Environment;
use super::failure::Failure;
use super::reference::Reference;
use crate::text::printable;
use crate::{Error, Result};
use bytes::Bytes;
use futures::StreamExt;
use hf_hub::{HFClient, HFResult};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue, LINK, RANGE};
use reqwest::{RequestBuilder, Response, StatusCode, Url};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::future::Future;
use std::time::Duration;

/// Until a connection stands.
const CONNECT: Duration = Duration::from_secs(10);
/// Between two pieces of an answer.
const SILENCE: Duration = Duration::from_secs(30);
/// A page of JSON above this is refused.
const MAX_JSON: usize = 64 << 20;
/// How often a request that may pass is made again.
const TRIES: u32 = 4;
/// Longest wait that the hub may ask for; above it the user is told.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// Files of one repository that are listed.
const FILES: usize = 20_000;
/// No file is longer; so many of that length can be added up.
const LONGEST: u64 = 1 << 48;
/// All but what a URL's path takes as it is.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A connection to the hub.
#[derive(Debug, Clone)]
pub struct Client {
    environment: Environment,
    http: reqwest::Client,
    hub: HFClient,
}

/// A file of a repository.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct RepositoryFile {
    /// Where it lies in the repository: a plain relative path.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// The name of its blob in the cache: SHA-256 of a large file, git's SHA-1 of a small one.
    pub oid: String,
}

/// An entry of a tree, as the hub sends it. The `hf-hub` crate's own type loses the hash of large files.
#[derive(Debug, serde::Deserialize)]
struct TreeEntry {
    #[serde(rename = "type")]
    kind: String,
    path: String,
    #[serde(default)]
    oid: String,
    #[serde(default)]
    size: u64,
    lfs: Option<Large>,
}

#[derive(Debug, serde::Deserialize)]
struct Large {
    oid: String,
    size: u64,
}

impl Client {
    /// A client; nothing is asked yet.
    ///
    /// # Errors
    /// When the machine's certificates cannot be used.
    pub fn new(environment: Environment) -> Result<Self> {
        let broken = |e: &dyn std::fmt::Display| {
            Error::fault(format!("no client for the hub: {}", super::failure::shown(&e.to_string())))
        };
        let http = reqwest::Client::builder()
            .user_agent(concat!("lopper/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT)
            .read_timeout(SILENCE)
            .redirect(reqwest::redirect::Policy::limited(5))
            .build()
            .map_err(|e| broken(&e))?;
        let mut builder = HFClient::builder()
            .endpoint(&environment.endpoint)
            .client(http.clone())
            .cache_dir(&environment.cache)
            // We wait as long as the hub asks to, which it does not.
            .retry_max_attempts(0);
        if let Some(token) = &environment.token {
            builder = builder.token(token.secret());
        }
        let hub = builder.build().map_err(|e| broken(&e))?;
        Ok(Self { environment, http, hub })
    }

    /// How the hub is reached.
    pub fn environment(&self) -> &Environment {
        &self.environment
    }

    /// The client of the `hf-hub` crate, for what it does well.
    pub(super) fn hub(&self) -> &HFClient {
        &self.hub
    }

    /// Refuses to go on where nothing may be asked.
    ///
    /// # Errors
    /// With `HF_HUB_OFFLINE`.
    pub fn online(&self, what: &str) -> Result<()> {
        if self.environment.offline {
            let what = printable(what);
            return Err(Error::user(format!(
                "{what}: not in the cache, and HF_HUB_OFFLINE says to stay off the network"
            )));
        }
        Ok(())
    }

    /// What the hub says of a repository at a revision, with its commit.
    ///
    /// # Errors
    /// As the hub refuses it, and offline.
    pub async fn info(&self, what: &Reference) -> Result<hf_hub::repository::ModelInfo> {
        self.online(&what.to_string())?;
        let (owner, name) = hf_hub::split_id(&what.id);
        let model = self.hub.model(owner, name);
        let ask = || model.info().revision(what.revision.clone()).send();
        self.patiently(ask).await.map_err(|failure| failure.sentence(&what.to_string(), &self.environment))
    }

    /// The commit that a revision is now.
    ///
    /// # Errors
    /// As [`Self::info`].
    pub async fn commit(&self, what: &Reference) -> Result<String> {
        let info = self.info(what).await?;
        info.sha.filter(|sha| super::reference::is_commit(sha)).ok_or_else(|| {
            Failure::Nonsense("it names no commit".into()).sentence(&what.to_string(), &self.environment)
        })
    }

    /// Every file of a repository at a revision, by path.
    ///
    /// # Errors
    /// As the hub refuses it, offline, and for a path that would lead out of the snapshot's folder.
    pub async fn files(&self, what: &Reference) -> Result<Vec<RepositoryFile>> {
        self.online(&what.to_string())?;
        let refused = |failure: Failure| failure.sentence(&what.to_string(), &self.environment);
        let path = format!("/api/models/{}/tree/{}?recursive=true", what.id, encoded(&what.revision));
        let mut next = Some(self.url(&path)?);
        let mut files = Vec::new();
        while let Some(url) = next {
            let (entries, after) = self.json::<Vec<TreeEntry>>(&url).await.map_err(refused)?;
            next = after;
            for entry in entries.into_iter().filter(|e| e.kind == "file") {
                let (oid, size) = match entry.lfs {
                    Some(lfs) => (lfs.oid, lfs.size),
                    None => (entry.oid, entry.size),
                };
                files.push(checked(RepositoryFile { path: entry.path, size, oid }, what)?);
            }
            if files.len() > FILES {
                return Err(Error::user(format!(
                    "{what} has more than {FILES} files; lopper reads no such repository"
                )));
            }
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(files)
    }

    /// The text of a repository's card, as it is; cut at a length that no card needs.
    ///
    /// # Errors
    /// As the hub refuses it, and offline.
    pub async fn card(&self, what: &Reference) -> Result<String> {
        self.online(&what.to_string())?;
        let refused = |failure: Failure| failure.sentence(&format!("{what}/README.md"), &self.environment);
        let url = self.address(&what.id, &what.revision, "README.md")?;
        let response = self.get(&url, None).await.map_err(refused)?;
        let text = bounded(response, 4 << 20).await.map_err(refused)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    /// Makes a request of the `hf-hub` crate again while that may help.
    pub(super) async fn patiently<T, F: Future<Output = HFResult<T>>>(
        &self,
        ask: impl Fn() -> F,
    ) -> Result<T, Failure> {
        let mut tries = 0;
        loop {
            let failure = match ask().await {
                Ok(value) => return Ok(value),
                Err(error) => Failure::of_hub(&error),
            };
            tries += 1;
            wait(&failure, tries).await.ok_or(failure)?;
        }
    }

    /// A GET of the hub; `range` as a `Range` header has it. Only 200, 206 and 416 come back.
    pub(super) async fn get(&self, url: &Url, range: Option<&str>) -> Result<Response, Failure> {
        let mut tries = 0;
        loop {
            let failure = match self.get_once(url, range).await {
                Ok(response) => return Ok(response),
                Err(failure) => failure,
            };
            tries += 1;
            wait(&failure, tries).await.ok_or(failure)?;
        }
    }

    async fn get_once(&self, url: &Url, range: Option<&str>) -> Result<Response, Failure> {
        let mut request = self.http.get(url.clone()).headers(self.headers(url));
        if let Some(range) = range {
            request = request.header(RANGE, range);
        }
        answered(request, |status| {
            [StatusCode::OK, StatusCode::PARTIAL_CONTENT, StatusCode::RANGE_NOT_SATISFIABLE].contains(&status)
        })
        .await
    }

    /// A POST to the hub; the answer as JSON, null where it is none.
    pub(super) async fn post(&self, url: &Url, media: &str, body: Vec<u8>) -> Result<Value, Failure> {
        let mut tries = 0;
        loop {
            let request = self.http.post(url.clone()).headers(self.headers(url));
            let request = request.header(CONTENT_TYPE, media).header(ACCEPT, media).body(body.clone());
            let failure = match successful(request).await {
                Ok(response) => {
                    let text = bounded(response, MAX_JSON).await?;
                    return Ok(serde_json::from_slice(&text).unwrap_or_default());
                }
                Err(failure) => failure,
            };
            tries += 1;
            wait(&failure, tries).await.ok_or(failure)?;
        }
    }

    /// A PUT of `length` bytes to wherever the hub says; once, since the body is gone then.
    pub(super) async fn put(&self, url: &Url, body: reqwest::Body, length: u64) -> Result<Response, Failure> {
        successful(self.http.put(url.clone()).header(CONTENT_LENGTH, length).body(body)).await
    }

    /// The token goes to the hub and to nobody else.
    fn headers(&self, url: &Url) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let home = Url::parse(&self.environment.endpoint).is_ok_and(|own| own.origin() == url.origin());
        if let Some(token) = self.environment.token.as_ref().filter(|_| home)
            && let Ok(mut value) = HeaderValue::from_str(&format!("Bearer {}", token.secret()))
        {
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        headers
    }

    /// JSON of the hub, and the address of its next page.
    pub(super) async fn json<T: DeserializeOwned>(&self, url: &Url) -> Result<(T, Option<Url>), Failure> {
        let response = self.get(url, None).await?;
        let next = next_page(response.headers(), url);
        let body = bounded(response, MAX_JSON).await?;
        let value = serde_json::from_slice(&body).map_err(|_| {
            let page = body.trim_ascii_start().first() == Some(&b'<');
            let why = if page {
                "a web page in place of data; a proxy or a log-in page may be in between"
            } else {
                "the answer is not what the hub sends"
            };
            Failure::Nonsense(why.into())
        })?;
        Ok((value, next))
    }

    /// The address of a file at a commit.
    pub(super) fn address(&self, id: &str, revision: &str, file: &str) -> Result<Url> {
        let file: Vec<String> = file.split('/').map(encoded).collect();
        self.url(&format!("/{id}/resolve/{}/{}", encoded(revision), file.join("/")))
    }

    /// An address of the hub; `path` begins with a slash and is encoded.
    pub(super) fn url(&self, path: &str) -> Result<Url> {
        let text = format!("{}{path}", self.environment.endpoint);
        let shown = || printable(&format!("{}{path}", self.environment.shown_endpoint())).into_owned();
        Url::parse(&text).map_err(|_| Error::fault(format!("{:?} is no web address", shown())))
    }
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}

async fn successful(request: RequestBuilder) -> Result<Response, Failure> {
    answered(request, |status| status.is_success()).await
}

/// The answer, if `takes` takes its status.
async fn answered(request: RequestBuilder, takes: impl Fn(StatusCode) -> bool) -> Result<Response, Failure> {
    let response = request.send().await.map_err(|e| Failure::of_request(&e))?;
    let status = response.status();
    if takes(status) {
        return Ok(response);
    }
    let headers = response.headers().clone();
    let body = bounded(response, 64 << 10).await.unwrap_or_default();
    Err(Failure::of(status, &headers, &String::from_utf8_lossy(&body)))
}

/// Waits before a request is made again; `None` where that would not help.
async fn wait(failure: &Failure, tries: u32) -> Option<()> {
    if !failure.may_pass() || tries >= TRIES {
        return None;
    }
    let own = Duration::from_millis(200) * 3u32.pow(tries - 1);
    let asked = match failure {
        Failure::Status { wait, .. } => *wait,
        _ => None,
    };
    let time = asked.unwrap_or(own);
    if time > LONGEST_WAIT {
        return None;
    }
    tokio::time::sleep(time).await;
    Some(())
}

/// A body of at most `limit` bytes.
pub(super) async fn bounded(response: Response, limit: usize) -> Result<Vec<u8>, Failure> {
    let mut out = Vec::new();
    let mut pieces = response.bytes_stream();
    while let Some(piece) = pieces.next().await {
        let piece: Bytes = piece.map_err(|e| Failure::of_request(&e))?;
        if out.len() + piece.len() > limit {
            return Err(Failure::Nonsense(format!("an answer of more than {} MB", limit >> 20)));
        }
        out.extend_from_slice(&piece);
    }
    Ok(out)
}

/// The address behind `rel="next"` of a `Link` header, where `asked` was the page. A mirror may pass on the address of
/// the hub itself: the mirror is asked for it, or what comes behind the first page would be missing without a word.
fn next_page(headers: &HeaderMap, asked: &Url) -> Option<Url> {
    let links = headers.get(LINK)?.to_str().ok()?;
    let next = links.split(',').find(|link| link.contains("rel=\"next\""))?;
    let (_, rest) = next.split_once('<')?;
    let next = asked.join(rest.split_once('>')?.0).ok()?;
    if next.origin() == asked.origin() {
        return Some(next);
    }
    let mut here = asked.clone();
    here.set_query(Some(next.query()?));
    Some(here)
}

/// A file's place, size and hash, where they can be trusted to name files with.
fn checked(file: RepositoryFile, what: &Reference) -> Result<RepositoryFile> {
    let refuse = |why: &str| {
        let shown = printable(&file.path).into_owned();
        Err(Error::user(format!(
            "{}: its file {shown:?} {why}; nothing of it is fetched",
            printable(&what.to_string())
        )))
    };
    let parts = || file.path.split('/');
    if file.path.len() > 1024 || parts().any(|p| p.is_empty() || p == "." || p == ".." || p.len() > 255) {
        return refuse("would leave its folder");
    }
    if file.path.contains('\\') || file.path.chars().any(char::is_control) {
        return refuse("has a name that is not one of a file");
    }
    if file.size > LONGEST {
        return refuse("is longer than any file is");
    }
    if ![40, 64].contains(&file.oid.len()) || !file.oid.bytes().all(|b| b.is_ascii_hexdigit()) {
        return refuse("comes without a hash to check it by");
    }
    Ok(RepositoryFile { oid: file.oid.to_ascii_lowercase(), ..file })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_asked_of_whoever_gave_the_first() {
        let asked = Url::parse("https://mirror.example/hub/api/models/a/b/tree/main?recursive=true").unwrap();
        let next = |link: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(LINK, HeaderValue::from_static(link));
            next_page(&headers, &asked).map(|url| url.to_string())
        };
        let own = "https://mirror.example/hub/api/models/a/b/tree/main?cursor=2";
        assert_eq!(next("<https://mirror.example/hub/api/models/a/b/tree/main?cursor=2>; rel=\"next\"").unwrap(), own);
        assert_eq!(next("<https://huggingface.co/api/models/a/b/tree/main?cursor=2>; rel=\"next\"").unwrap(), own);
        assert_eq!(next("</hub/api/models/a/b/tree/main?cursor=2>; rel=\"next\"").unwrap(), own);
        assert_eq!(next("<https://huggingface.co/elsewhere>; rel=\"next\""), None);
        assert_eq!(next("<https://mirror.example/x?cursor=0>; rel=\"prev\""), None);
        assert_eq!(next_page(&HeaderMap::new(), &asked), None);
    }
}
