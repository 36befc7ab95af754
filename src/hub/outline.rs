//! What a repository of the hub is before any weight is fetched: its settings, and the headers of its weights by a
//! range of bytes. They are kept in files of the right length without the weights, so that the checks that loading
//! makes are the ones that are made here.

use super::catalog::{self, AdapterFacts};
use super::choice;
use super::client::{Client, bounded};
use super::download::Plan;
use super::failure::Failure;
use super::reference::Reference;
use crate::text::printable;
use crate::{Error, Result};
use futures::StreamExt;
use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE};
use reqwest::{Response, StatusCode};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Enough for the header of an adapter of 32 layers.
const FIRST: usize = 128 << 10;
/// No header of an adapter is longer.
const MAX_HEADER: u64 = 16 << 20;
/// No settings are longer, and no header of a shard's weights that is read for an estimate.
const MAX_JSON: usize = 4 << 20;
/// No tokenizer is longer.
const MAX_TOKENIZER: usize = 64 << 20;
/// Of a base, written last: all else that tells what a run will take is there.
const WHOLE: &str = ".whole";

/// The weights of an adapter.
const ADAPTER: &str = "adapter_model.safetensors";
/// Headers that are read at once.
const AT_ONCE: usize = 8;

/// Whether a stand-in of a base has all that tells what a run will take.
pub fn is_model(folder: &Path) -> bool {
    folder.join(WHOLE).is_file()
}

/// A folder of outlines, gone with this value.
#[derive(Debug)]
pub struct Outlines {
    folder: tempfile::TempDir,
}

/// An adapter of the hub, and whether it fits a base.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Fit {
    /// Bytes of its weights; 0 where they are not known.
    pub bytes: u64,
    /// What it is on the base, if it fits.
    pub facts: Option<AdapterFacts>,
    /// Why it doesn't, as a sentence.
    pub problem: Option<String>,
}

impl Outlines {
    /// An empty folder.
    ///
    /// # Errors
    /// When there is no room for one.
    pub fn new() -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("lopper-").tempdir();
        Ok(Self { folder: folder.map_err(|e| Error::io("make a folder in", &std::env::temp_dir(), &e))? })
    }

    fn place(&self, what: &Reference) -> PathBuf {
        self.folder.path().join(what.id.replace('/', "--")).join(what.revision.replace('/', "--"))
    }

    /// The base's configuration alone, as a folder: enough to tell which adapters fit.
    ///
    /// # Errors
    /// As the hub refuses it, and offline.
    pub async fn base(&self, client: &Client, what: &Reference) -> Result<PathBuf> {
        let folder = self.place(what);
        if !folder.join("config.json").is_file() {
            self.settings(client, what, "config.json", MAX_JSON).await?;
        }
        Ok(folder)
    }

    /// All of a base but the numbers of its weights, as a folder: enough to read examples with its tokenizer and to
    /// tell memory and time. Where its weights are no safetensors, the configuration alone.
    ///
    /// # Errors
    /// As the hub refuses it, and offline.
    pub async fn model(&self, client: &Client, plan: &Plan) -> Result<PathBuf> {
        let what = plan.pinned();
        let folder = self.base(client, &what).await?;
        let all = plan.files.iter().map(|file| file.path.as_str());
        let weights: Vec<&str> = all.clone().filter(|p| p.ends_with(".safetensors") && !p.contains('/')).collect();
        if weights.is_empty() || folder.join(WHOLE).is_file() {
            return Ok(folder);
        }
        for file in all.filter(|path| choice::BESIDE.contains(path) || *path == choice::INDEX) {
            let most = if file == "tokenizer.json" { MAX_TOKENIZER } else { MAX_JSON };
            if !folder.join(file).is_file() {
                self.settings(client, &what, file, most).await?;
            }
        }
        let one = |file: &str| {
            let (path, file) = (folder.join(file), file.to_owned());
            let what = &what;
            async move {
                let name = format!("{what}/{file}");
                let refused = |failure: Failure| failure.sentence(&name, client.environment());
                let (head, size) = header(client, what, &file).await.map_err(refused)?;
                sparse(&path, &head, size)
            }
        };
        let mut work = futures::stream::iter(weights.into_iter().map(one)).buffer_unordered(AT_ONCE);
        while let Some(done) = work.next().await {
            done?;
        }
        drop(work);
        let path = folder.join(WHOLE);
        std::fs::write(&path, "").map_err(|e| Error::io("write", &path, &e))?;
        Ok(folder)
    }

    /// Settings and header of an adapter, as a folder; with the bytes of its weights.
    ///
    /// # Errors
    /// As the hub refuses it, offline, and where the weights are no safetensors.
    pub async fn adapter(&self, client: &Client, what: &Reference) -> Result<(PathBuf, u64)> {
        let folder = self.place(what);
        let weights = folder.join(ADAPTER);
        if let Ok(meta) = std::fs::metadata(&weights) {
            return Ok((folder, meta.len()));
        }
        self.settings(client, what, "adapter_config.json", MAX_JSON).await?;
        let name = format!("{what}/{ADAPTER}");
        let refused = |failure: Failure| match &failure {
            Failure::Status { status: 404, .. } => {
                Error::user("it has no adapter_model.safetensors; a pickle (adapter_model.bin) is not read")
            }
            _ => failure.sentence(&name, client.environment()),
        };
        let (head, size) = header(client, what, ADAPTER).await.map_err(refused)?;
        sparse(&weights, &head, size)?;
        Ok((folder, size))
    }

    /// Whether an adapter fits the base in `base`, by the checks that loading makes.
    pub async fn fit(&self, client: &Client, what: &Reference, base: &Path) -> Fit {
        match self.adapter(client, what).await {
            Err(e) => Fit { bytes: 0, facts: None, problem: Some(e.to_string()) },
            Ok((folder, bytes)) => match catalog::fits(base, &folder) {
                Ok(facts) => Fit { bytes, facts: Some(facts), problem: None },
                Err(e) => Fit { bytes, facts: None, problem: Some(without(&e.to_string(), &folder)) },
            },
        }
    }

    async fn settings(&self, client: &Client, what: &Reference, file: &str, most: usize) -> Result<()> {
        let refused = |failure: Failure| failure.sentence(&format!("{what}/{file}"), client.environment());
        client.online(&what.to_string())?;
        let url = client.address(&what.id, &what.revision, file)?;
        let response = client.get(&url, None).await.map_err(refused)?;
        let text = bounded(response, most).await.map_err(refused)?;
        let folder = self.place(what);
        std::fs::create_dir_all(&folder).map_err(|e| Error::io("make", &folder, &e))?;
        let path = folder.join(file);
        std::fs::write(&path, text).map_err(|e| Error::io("write", &path, &e))
    }
}

/// A sentence without the place of a stand-in, which means nothing to the user.
pub fn without(sentence: &str, folder: &Path) -> String {
    sentence.replace(&format!("{}/", printable(&folder.display().to_string())), "")
}

/// The first bytes of weights, up to the end of their header, and the bytes of the whole file.
async fn header(client: &Client, what: &Reference, file: &str) -> Result<(Vec<u8>, u64), Failure> {
    let url = client.address(&what.id, &what.revision, file)?;
    let response = client.get(&url, Some(&format!("bytes=0-{}", FIRST - 1))).await?;
    let size = size_of(&response).ok_or_else(|| Failure::Nonsense("it doesn't say how long the file is".into()))?;
    let mut head = beginning(response, FIRST).await?;
    let Some(length) = head.first_chunk::<8>().map(|bytes| u64::from_le_bytes(*bytes)) else {
        return Ok((head, size));
    };
    let end = length.saturating_add(8);
    if length <= MAX_HEADER && end <= size && end > head.len() as u64 {
        let range = format!("bytes={}-{}", head.len(), end - 1);
        let response = client.get(&url, Some(&range)).await?;
        if response.status() == StatusCode::PARTIAL_CONTENT {
            let rest = beginning(response, end as usize - head.len()).await?;
            head.extend_from_slice(&rest);
        }
    }
    Ok((head, size))
}

/// Bytes of the whole file.
fn size_of(response: &Response) -> Option<u64> {
    let header = |name| response.headers().get(name).and_then(|v| v.to_str().ok());
    match response.status() {
        StatusCode::PARTIAL_CONTENT => header(CONTENT_RANGE)?.rsplit_once('/')?.1.parse().ok(),
        StatusCode::OK => header(CONTENT_LENGTH)?.parse().ok(),
        _ => None,
    }
}

/// At most `limit` bytes of a body; the rest is not waited for.
async fn beginning(response: Response, limit: usize) -> Result<Vec<u8>, Failure> {
    let mut out = Vec::new();
    let mut pieces = response.bytes_stream();
    while out.len() < limit {
        let Some(piece) = pieces.next().await else { break };
        let piece = piece.map_err(|e| Failure::of_request(&e))?;
        out.extend_from_slice(&piece[..piece.len().min(limit - out.len())]);
    }
    Ok(out)
}

/// A file that begins with `head` and is `size` bytes long, of which the rest takes no room.
fn sparse(path: &Path, head: &[u8], size: u64) -> Result<()> {
    let write = || {
        let mut file = File::create(path)?;
        file.write_all(head)?;
        file.set_len(size.max(head.len() as u64))
    };
    write().map_err(|e| Error::io("write", path, &e))
}
