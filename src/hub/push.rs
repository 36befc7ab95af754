//! A run's result as a repository of the hub: what is uploaded, and the upload.

mod lfs;

use super::card::{self, Facts};
use super::client::Client;
use super::failure::Failure;
use super::place;
use super::reference::{MAIN, Reference};
use super::supply;
use crate::recipe::Recipe;
use crate::run::RunDir;
use crate::text::{hex, printable};
use crate::{Error, Result};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hf_hub::repository::RepoTypeModel;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::io::Read;
use std::path::{Path, PathBuf};

/// The weights, the one file that can be large.
const WEIGHTS: &str = "adapter_model.safetensors";
/// What the hub asks to see of a file before it says how it wants it.
const SAMPLE: usize = 512;

/// Content of a file that is uploaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// What was made for the upload.
    Made(Vec<u8>),
    /// What is on disk.
    Disk(PathBuf),
}

/// A file that is uploaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Its path in the repository.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// What is in it.
    pub content: Content,
}

impl Item {
    fn made(path: &str, content: impl Into<Vec<u8>>) -> Self {
        let content = content.into();
        Self { path: path.into(), size: content.len() as u64, content: Content::Made(content) }
    }

    fn open(&self) -> Result<Box<dyn Read + Send>> {
        match &self.content {
            Content::Made(bytes) => Ok(Box::new(std::io::Cursor::new(bytes.clone()))),
            Content::Disk(path) => {
                let file = std::fs::File::open(path).map_err(|e| Error::io("read", path, &e))?;
                Ok(Box::new(file))
            }
        }
    }

    fn bytes(&self) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        self.open()?.read_to_end(&mut out).map_err(|e| Error::fault(format!("cannot read {}: {e}", self.path)))?;
        Ok(out)
    }
}

/// A result, ready to be uploaded. No path of this machine is in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Parcel {
    /// `ORG/NAME`.
    pub id: String,
    /// The commit's message.
    pub message: String,
    /// The files.
    pub files: Vec<Item>,
    /// What should be said before it leaves the house.
    pub remarks: Vec<String>,
}

impl Parcel {
    /// The result of a finished run. `picture`: name and content of what the card shows.
    ///
    /// # Errors
    /// When the run has no result, or it cannot be read.
    pub fn of(run: &RunDir, id: &Reference, picture: Option<(&str, Vec<u8>)>) -> Result<Self> {
        let facts = Facts::of(run)?;
        let folder = run.result().join("adapter");
        let weights = folder.join(WEIGHTS);
        let size = std::fs::metadata(&weights).map_err(|e| Error::io("read", &weights, &e))?.len();
        let card = card::card(&facts, &id.id, picture.as_ref().map(|(name, _)| *name));
        let mut files = vec![
            Item::made("README.md", card),
            Item::made("adapter_config.json", settings(&folder.join("adapter_config.json"), &facts)?),
            Item { path: WEIGHTS.into(), size, content: Content::Disk(weights) },
            Item::made("recipe.toml", told_to_others(&facts.recipe).to_toml()?),
        ];
        files.extend(picture.map(|(name, content)| Item::made(name, content)));
        let mut remarks = Vec::new();
        if facts.base().is_none() {
            remarks.push(format!(
                "the base {} is a folder of this machine: nobody else can load the adapter unless the card says which \
                 model it is (a base of the hub, hf://ORG/NAME in the recipe, is named by itself)",
                printable(&facts.recipe.base.display().to_string())
            ));
        }
        if facts.report.is_none() {
            remarks.push("no method was scored: the card has no table of scores".into());
        }
        Ok(Self { id: id.id.clone(), message: format!("Upload {} with lopper", facts.name), files, remarks })
    }

    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|f| f.size).sum()
    }

    /// The text of the card.
    pub fn card(&self) -> String {
        let card = self.files.iter().find(|f| f.path == "README.md").and_then(|f| f.bytes().ok());
        String::from_utf8_lossy(&card.unwrap_or_default()).into_owned()
    }
}

/// PEFT's settings of the result, with the base by its name on the hub.
fn settings(path: &Path, facts: &Facts) -> Result<Vec<u8>> {
    let text = std::fs::read(path).map_err(|e| Error::io("read", path, &e))?;
    let shown = || printable(&path.display().to_string()).into_owned();
    let mut value: Value =
        serde_json::from_slice(&text).map_err(|e| Error::user(format!("{} is damaged: {e}", shown())))?;
    let Some(map) = value.as_object_mut() else {
        return Err(Error::user(format!("{} is damaged: it is no object", shown())));
    };
    match facts.base() {
        Some(base) => {
            map.insert("base_model_name_or_path".into(), base.id.into());
            map.insert("revision".into(), base.commit.into());
        }
        None => {
            map.insert("base_model_name_or_path".into(), own_name(&facts.recipe.base).display().to_string().into());
        }
    }
    serde_json::to_vec_pretty(&value).map_err(|e| Error::fault(e.to_string()))
}

/// What of a path may be told to others: nothing but its last part, unless it is the hub's.
fn own_name(path: &Path) -> PathBuf {
    if place::of_cache(path).is_some() {
        return path.to_path_buf();
    }
    path.file_name().map_or_else(|| PathBuf::from("folder"), PathBuf::from)
}

fn told_to_others(recipe: &Recipe) -> Recipe {
    let mut told = recipe.clone();
    told.base = own_name(&recipe.base);
    for adapter in &mut told.adapters {
        adapter.path = adapter.path.as_deref().map(own_name);
    }
    told.data.train = own_name(&recipe.data.train);
    told.data.dev = own_name(&recipe.data.dev);
    told.data.test = recipe.data.test.as_deref().map(own_name);
    told
}

/// What the hub has under a name now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum There {
    /// Nothing: it will be made.
    Nothing,
    /// A repository that all can see.
    Public,
    /// A repository that some can see.
    Private,
}

impl Client {
    /// The account of the token.
    ///
    /// # Errors
    /// Without a token, offline, and where the hub refuses it.
    pub async fn account(&self) -> Result<String> {
        self.online("the account")?;
        let endpoint = self.environment().shown_endpoint();
        if self.environment().token.is_none() {
            return Err(Error::user(format!(
                "you are not logged in to {endpoint}: `hf auth login`, or set HF_TOKEN to a token that may write \
                 ({endpoint}/settings/tokens)"
            )));
        }
        let (who, _) = self
            .json::<Value>(&self.url("/api/whoami-v2")?)
            .await
            .map_err(|f| f.sentence("the account", self.environment()))?;
        let name = who.get("name").and_then(Value::as_str).unwrap_or("unknown");
        Ok(printable(name).into_owned())
    }

    /// What the hub has under `id`.
    ///
    /// # Errors
    /// As the hub refuses it, and offline.
    pub async fn there(&self, id: &Reference) -> Result<There> {
        self.online(&id.id)?;
        let url = self.url(&format!("/api/models/{}", id.id))?;
        match self.json::<Value>(&url).await {
            Ok((value, _)) => {
                let private = value.get("private").and_then(Value::as_bool).unwrap_or_default();
                Ok(if private { There::Private } else { There::Public })
            }
            Err(Failure::Status { status: 401 | 404, .. }) => Ok(There::Nothing),
            Err(failure) => Err(failure.sentence(&id.id, self.environment())),
        }
    }

    /// Uploads a parcel as one commit, making the repository where there is none, and returns the commit's page.
    /// `told`: the file that is uploaded, and how many bytes of the parcel are.
    ///
    /// # Errors
    /// As the hub refuses it. Files that are there already are not sent again by the next try; nothing shows before
    /// the commit.
    pub async fn push(&self, parcel: &Parcel, private: bool, told: &(dyn Fn(&str, u64) + Sync)) -> Result<String> {
        let refused = |failure: Failure| failure.sentence(&parcel.id, self.environment());
        let make = || {
            let ask = self.hub().create_repository().repo_id(&parcel.id).repo_type(RepoTypeModel);
            ask.private(private).exist_ok(true).send()
        };
        self.patiently(make).await.map_err(refused)?;
        let large = self.large(parcel).await.map_err(refused)?;
        let mut lines = vec![json!({"key": "header", "value": {"summary": parcel.message, "description": ""}})];
        let mut sent = 0;
        for item in &parcel.files {
            told(&item.path, sent);
            if large.contains(&item.path) {
                let (of, begin) = (item.clone(), sent);
                let oid = supply::blocking(move || sha256(&of)).await?;
                lfs::upload(self, &parcel.id, item, &oid, &|bytes| told(&item.path, begin + bytes))
                    .await
                    .map_err(|f| f.sentence(&format!("{}/{}", parcel.id, item.path), self.environment()))?;
                let value = json!({"path": item.path, "algo": "sha256", "oid": oid, "size": item.size});
                lines.push(json!({"key": "lfsFile", "value": value}));
            } else {
                let content = BASE64_STANDARD.encode(item.bytes()?);
                let value = json!({"path": item.path, "content": content, "encoding": "base64"});
                lines.push(json!({"key": "file", "value": value}));
            }
            sent += item.size;
        }
        told("the commit", sent);
        let body = lines.iter().map(Value::to_string).collect::<Vec<_>>().join("\n") + "\n";
        let url = self.url(&format!("/api/models/{}/commit/{MAIN}", parcel.id))?;
        let answer = self.post(&url, "application/x-ndjson", body.into_bytes()).await.map_err(refused)?;
        let page = answer.get("commitUrl").and_then(Value::as_str).map(|url| printable(url).into_owned());
        Ok(page.unwrap_or_else(|| format!("{}/{}", self.environment().shown_endpoint(), parcel.id)))
    }

    /// The paths that the hub wants by its store of large files.
    async fn large(&self, parcel: &Parcel) -> Result<Vec<String>, Failure> {
        let mut files = Vec::new();
        for item in &parcel.files {
            let mut sample = vec![0; SAMPLE.min(item.size as usize)];
            let read = item.open()?.read_exact(&mut sample);
            read.map_err(|e| Error::fault(format!("cannot read {}: {e}", item.path)))?;
            files.push(json!({"path": item.path, "size": item.size, "sample": BASE64_STANDARD.encode(sample)}));
        }
        let url = self.url(&format!("/api/models/{}/preupload/{MAIN}", parcel.id))?;
        let answer = self.post(&url, "application/json", json!({"files": files}).to_string().into_bytes()).await?;
        let modes = answer.get("files").and_then(Value::as_array).cloned().unwrap_or_default();
        let is_large = |mode: &&Value| mode.get("uploadMode").and_then(Value::as_str) == Some("lfs");
        Ok(modes.iter().filter(is_large).filter_map(|m| m.get("path")?.as_str().map(str::to_owned)).collect())
    }
}

/// The hash by which the store of large files knows a file.
fn sha256(item: &Item) -> Result<String> {
    let (mut hash, mut file, mut buffer) = (Sha256::new(), item.open()?, vec![0; 1 << 20]);
    loop {
        match file.read(&mut buffer).map_err(|e| Error::fault(format!("cannot read {}: {e}", item.path)))? {
            0 => return Ok(hex(&hash.finalize())),
            n => hash.update(&buffer[..n]),
        }
    }
}
