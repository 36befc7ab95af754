//! A repository of the hub for tests: one commit's files, and what the hub says about it.

use super::content::{Content, File, hex, sha256_of};
use super::{front, weights};
use bytes::Bytes;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::Path;

/// Who may read a gated repository's files: everyone who accepts its terms, or whom its owner lets in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    Auto,
    Manual,
}

/// What a repository holds at one commit, and what the hub tells of it. Made by a builder:
/// `Repository::model("ORG/NAME").file("config.json", "{}").lfs("model.safetensors", bytes).downloads(7)`.
#[derive(Clone, Debug)]
pub struct Repository {
    pub id: String,
    pub files: BTreeMap<String, File>,
    /// Names in listing and tree that have no file behind them.
    pub raw: Vec<String>,
    pub tags: Vec<String>,
    pub downloads: u64,
    pub likes: u64,
    pub trending: u64,
    pub modified: String,
    pub created: String,
    pub library: Option<String>,
    pub pipeline: Option<String>,
    pub card: Option<Value>,
    /// The token that sees it.
    pub private: Option<String>,
    /// The token that may read its files.
    pub gated: Option<(Gate, String)>,
    pub sha: Option<String>,
    /// Names of git tags that point to this commit.
    pub revisions: Vec<String>,
    pub formerly: Option<String>,
    pub title: String,
    pub description: String,
}

impl Repository {
    /// A model without files; `id` is `ORG/NAME`, or just `NAME` as of old.
    pub fn model(id: &str) -> Self {
        let when = "2026-01-02T03:04:05.000Z";
        Self {
            id: id.into(),
            files: BTreeMap::new(),
            raw: Vec::new(),
            tags: Vec::new(),
            downloads: 0,
            likes: 0,
            trending: 0,
            modified: when.into(),
            created: when.into(),
            library: None,
            pipeline: None,
            card: None,
            private: None,
            gated: None,
            sha: None,
            revisions: Vec::new(),
            formerly: None,
            title: "Upload model".into(),
            description: String::new(),
        }
    }

    /// A plain file: its bytes are in git, its `ETag` is the blob's sha1.
    pub fn file(mut self, path: &str, content: impl Into<Bytes>) -> Self {
        self.files.insert(path.into(), File::plain(content.into()));
        self
    }

    /// The files of a folder; weights in LFS.
    pub fn folder(mut self, folder: impl AsRef<Path>) -> Self {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            let large = name.contains(".gguf") || name.contains(".safetensors");
            let bytes = std::fs::read(&path).unwrap();
            self = if large { self.lfs(name, bytes) } else { self.file(name, bytes) };
        }
        self
    }

    /// A file in LFS: its bytes come from the second origin, its `ETag` is their sha256.
    pub fn lfs(mut self, path: &str, content: impl Into<Bytes>) -> Self {
        let content = content.into();
        let sha256 = hex(Sha256::digest(&content));
        self.files.insert(path.into(), File::lfs(Content::Memory(content), sha256));
        self
    }

    /// As [`Self::lfs`], from a file on disk that is never in memory as a whole.
    pub fn lfs_from(mut self, path: &str, from: impl AsRef<Path>) -> Self {
        let content = Content::disk(from.as_ref(), None).unwrap();
        self.files.insert(path.into(), File::lfs(content, sha256_of(from.as_ref())));
        self
    }

    /// A name in listing and tree without a file behind it: `../../.bashrc`.
    pub fn raw_sibling(mut self, path: &str) -> Self {
        self.raw.push(path.into());
        self
    }

    pub fn tags<T: Into<String>>(mut self, tags: impl IntoIterator<Item = T>) -> Self {
        self.tags.extend(tags.into_iter().map(Into::into));
        self
    }

    pub fn downloads(mut self, count: u64) -> Self {
        self.downloads = count;
        self
    }

    pub fn likes(mut self, count: u64) -> Self {
        self.likes = count;
        self
    }

    pub fn trending(mut self, score: u64) -> Self {
        self.trending = score;
        self
    }

    /// ISO 8601 with milliseconds, as the hub has it: `2026-01-02T03:04:05.000Z`.
    pub fn modified(mut self, when: &str) -> Self {
        self.modified = when.into();
        self
    }

    /// As [`Self::modified`].
    pub fn created(mut self, when: &str) -> Self {
        self.created = when.into();
        self
    }

    pub fn library(mut self, name: &str) -> Self {
        self.library = Some(name.into());
        self
    }

    pub fn pipeline(mut self, tag: &str) -> Self {
        self.pipeline = Some(tag.into());
        self
    }

    /// The card's metadata, in place of what a README.md begins with.
    pub fn card(mut self, card: Value) -> Self {
        self.card = Some(card);
        self
    }

    /// Only who comes with `token` sees it.
    pub fn private(mut self, token: &str) -> Self {
        self.private = Some(token.into());
        self
    }

    /// Everyone sees it, only who comes with `token` reads its files.
    pub fn gated(mut self, gate: Gate, token: &str) -> Self {
        self.gated = Some((gate, token.into()));
        self
    }

    /// The commit's name (40 hex digits), otherwise computed from what is in it.
    pub fn sha(mut self, sha: &str) -> Self {
        self.sha = Some(sha.into());
        self
    }

    /// A git tag on this commit.
    pub fn revision(mut self, name: &str) -> Self {
        self.revisions.push(name.into());
        self
    }

    /// An id it had before: the hub sends who asks for it on with 307.
    pub fn formerly(mut self, id: &str) -> Self {
        self.formerly = Some(id.into());
        self
    }

    /// The commit's message.
    pub fn title(mut self, title: &str) -> Self {
        self.title = title.into();
        self
    }

    /// Names of its files, in order.
    pub fn paths(&self) -> Vec<&str> {
        self.files.keys().map(String::as_str).collect()
    }

    /// A file's content.
    pub fn bytes(&self, path: &str) -> Option<Bytes> {
        let file = self.files.get(path)?;
        Some(file.content.read(0, file.size as usize).unwrap())
    }

    pub fn is_lfs(&self, path: &str) -> bool {
        self.files.get(path).is_some_and(|f| f.sha256.is_some())
    }

    pub fn author(&self) -> Option<&str> {
        self.id.split_once('/').map(|(author, _)| author)
    }

    pub fn storage(&self) -> u64 {
        self.files.values().map(|f| f.size).sum()
    }

    fn text(&self, path: &str) -> Option<String> {
        let file = self.files.get(path).filter(|f| f.size < 1 << 20)?;
        String::from_utf8(file.content.read(0, file.size as usize).ok()?.to_vec()).ok()
    }

    fn object(&self, path: &str) -> Option<Map<String, Value>> {
        serde_json::from_str(&self.text(path)?).ok()
    }

    /// What the card says: given by the builder, or what README.md begins with.
    pub fn card_data(&self) -> Option<Value> {
        self.card.clone().or_else(|| self.text("README.md").and_then(|text| front::matter(&text)))
    }

    pub fn library_name(&self) -> Option<String> {
        self.library.clone().or_else(|| Some(self.card_data()?.get("library_name")?.as_str()?.to_owned()))
    }

    pub fn pipeline_tag(&self) -> Option<String> {
        self.pipeline.clone().or_else(|| Some(self.card_data()?.get("pipeline_tag")?.as_str()?.to_owned()))
    }

    /// As the hub makes them: library, format, task, the author's own, base model, licence, language.
    pub fn all_tags(&self) -> Vec<String> {
        let card = self.card_data().unwrap_or(Value::Null);
        let listed = |key: &str| -> Vec<String> {
            match card.get(key) {
                Some(Value::String(one)) => vec![one.clone()],
                Some(Value::Array(many)) => many.iter().filter_map(|v| v.as_str().map(str::to_owned)).collect(),
                _ => Vec::new(),
            }
        };
        let mut tags: Vec<String> = self.library_name().into_iter().collect();
        if self.files.keys().any(|path| path.ends_with(".safetensors")) {
            tags.push("safetensors".into());
        }
        tags.extend(self.pipeline_tag());
        tags.extend(self.tags.iter().cloned());
        tags.extend(listed("tags"));
        tags.extend(listed("language"));
        let adapter = self.files.contains_key("adapter_config.json");
        let relation = card.get("base_model_relation").and_then(Value::as_str);
        let relation = relation.unwrap_or(if adapter { "adapter" } else { "finetune" });
        for base in listed("base_model") {
            tags.extend([format!("base_model:{base}"), format!("base_model:{relation}:{base}")]);
        }
        tags.extend(listed("license").iter().map(|name| format!("license:{name}")));
        tags.push("region:us".into());
        let mut seen = std::collections::HashSet::new();
        tags.retain(|tag| seen.insert(tag.clone()));
        tags
    }

    /// What the hub keeps of `config.json` and `adapter_config.json`.
    pub fn config(&self) -> Option<Value> {
        let some = |from: &Map<String, Value>, keys: &[&str]| -> Map<String, Value> {
            keys.iter().filter_map(|k| Some(((*k).to_owned(), from.get(*k)?.clone()))).collect()
        };
        let mut out =
            self.object("config.json").map(|c| some(&c, &["architectures", "model_type"])).unwrap_or_default();
        if let Some(adapter) = self.object("adapter_config.json") {
            out.insert("peft".into(), some(&adapter, &["base_model_name_or_path", "task_type"]).into());
        }
        (!out.is_empty()).then(|| out.into())
    }

    /// Parameters by type and in all, from the headers of its SafeTensors files.
    pub fn safetensors(&self) -> Option<Value> {
        let mut parameters: BTreeMap<String, u64> = BTreeMap::new();
        for (path, file) in &self.files {
            if path.ends_with(".safetensors") {
                for (kind, count) in weights::parameters(&file.content)? {
                    *parameters.entry(kind).or_default() += count;
                }
            }
        }
        let total: u64 = parameters.values().sum();
        (!parameters.is_empty()).then(|| json!({"parameters": parameters, "total": total}))
    }
}
