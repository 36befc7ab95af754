//! The list of models with search and filters, and what the hub says of one.

use super::answer::Answer;
use super::asking::Asking;
use super::content::hex;
use super::repository::{Gate, Repository};
use super::store::{Commit, Store, Stored};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value, json};
use sha1::{Digest, Sha1};

/// What `expand` may ask for.
const PROPERTIES: &[&str] = &[
    "author",
    "baseModels",
    "cardData",
    "childrenModelCount",
    "config",
    "createdAt",
    "disabled",
    "downloads",
    "downloadsAllTime",
    "evalResults",
    "gated",
    "gguf",
    "inference",
    "inferenceProviderMapping",
    "lastModified",
    "library_name",
    "likes",
    "mask_token",
    "model-index",
    "pipeline_tag",
    "private",
    "resourceGroup",
    "safetensors",
    "sha",
    "siblings",
    "spaces",
    "tags",
    "transformersInfo",
    "trendingScore",
    "usedStorage",
    "widgetData",
    "xetEnabled",
];
/// What it may ask for of one model, but not of a list.
const NOT_IN_LISTS: &[&str] = &["baseModels", "childrenModelCount", "usedStorage"];
const ALWAYS: &[&str] = &["_id", "id"];
/// What the list says of a model that was asked for nothing else.
const SHORT: &[&str] =
    &["modelId", "likes", "trendingScore", "private", "downloads", "tags", "pipeline_tag", "library_name", "createdAt"];
const FULL: &[&str] = &["author", "sha", "lastModified", "gated", "disabled", "siblings"];
const SORTS: &[&str] = &["trendingScore", "downloads", "likes", "createdAt", "lastModified"];

fn gate(repository: &Repository) -> Value {
    match repository.gated {
        Some((Gate::Auto, _)) => "auto".into(),
        Some((Gate::Manual, _)) => "manual".into(),
        None => false.into(),
    }
}

fn siblings(repository: &Repository, blobs: bool) -> Value {
    let files = repository.files.iter().map(|(path, file)| {
        let mut out = json!({"rfilename": path});
        if blobs {
            out["size"] = file.size.into();
            out["blobId"] = file.oid.clone().into();
            if let Some(mut lfs) = file.lfs_entry() {
                lfs["sha256"] = lfs["oid"].take();
                lfs.as_object_mut().unwrap().remove("oid");
                out["lfs"] = lfs;
            }
        }
        out
    });
    files.chain(repository.raw.iter().map(|path| json!({"rfilename": path}))).collect()
}

/// One property of a model; none where the hub would leave it out.
fn property(key: &str, commit: &Commit, blobs: bool) -> Option<Value> {
    let now = &commit.snapshot;
    Some(match key {
        "_id" => hex(Sha1::digest(now.id.as_bytes()))[..24].into(),
        "id" | "modelId" => now.id.clone().into(),
        "author" => now.author()?.into(),
        "sha" => commit.sha.clone().into(),
        "lastModified" => now.modified.clone().into(),
        "createdAt" => now.created.clone().into(),
        "private" => now.private.is_some().into(),
        "gated" => gate(now),
        "disabled" => false.into(),
        "downloads" => now.downloads.into(),
        "downloadsAllTime" => (now.downloads * 3).into(),
        "likes" => now.likes.into(),
        "trendingScore" => now.trending.into(),
        "library_name" => now.library_name()?.into(),
        "pipeline_tag" => now.pipeline_tag()?.into(),
        "tags" => now.all_tags().into(),
        "cardData" => now.card_data()?,
        "config" => now.config()?,
        "safetensors" => now.safetensors()?,
        "siblings" => siblings(now, blobs),
        "usedStorage" => now.storage().into(),
        "spaces" => json!([]),
        _ => return None,
    })
}

fn object<'k>(keys: impl IntoIterator<Item = &'k str>, commit: &Commit, blobs: bool) -> Value {
    let mut out = Map::new();
    for key in keys {
        if let Some(value) = property(key, commit, blobs) {
            out.insert(key.to_owned(), value);
        }
    }
    out.into()
}

fn expand(asking: &Asking, list: bool) -> Result<Vec<&str>, Answer> {
    let asked = asking.values("expand");
    let known = |key: &str| PROPERTIES.contains(&key) && !(list && NOT_IN_LISTS.contains(&key));
    match asked.iter().find(|key| !known(key)) {
        Some(wrong) => Err(Answer::error(400, None, &format!("Invalid expand value: {wrong}"))),
        None => Ok(asked),
    }
}

/// `Link` to the page after this one.
pub fn next(asking: &Asking, cursor: usize) -> String {
    let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let path = asking.target.split('?').next().unwrap();
    let rest = asking.query.iter().filter(|(k, _)| k != "cursor");
    let mut query: Vec<String> = rest.map(|(k, v)| format!("{}={}", encode(k), encode(v))).collect();
    query.push(format!("cursor={cursor}"));
    format!("<{}{path}?{}>; rel=\"next\"", asking.api, query.join("&"))
}

/// From which entry to which a page goes, and the header that leads on.
pub fn page(asking: &Asking, total: usize, most: usize) -> Result<(usize, usize, Option<String>), Answer> {
    let number = |key: &str, otherwise: usize| match asking.value(key).map(str::parse) {
        None => Ok(otherwise),
        Some(Ok(n)) => Ok(n),
        Some(Err(_)) => Err(Answer::error(400, None, &format!("Invalid {key}"))),
    };
    let start = number("cursor", 0)?.min(total);
    let end = (start + number("limit", most)?.clamp(1, most)).min(total);
    Ok((start, end, (end < total).then(|| next(asking, end))))
}

/// GET `/api/models`
pub fn models(store: &Store, asking: &Asking) -> Result<Answer, Answer> {
    asking.known(store)?;
    let expand = expand(asking, true)?;
    let sort = asking.value("sort").unwrap_or("trendingScore");
    if !SORTS.contains(&sort) {
        return Err(Answer::error(400, None, &format!("Invalid sort: {sort}")));
    }
    let search = asking.value("search").unwrap_or_default().to_lowercase();
    let filters = asking.values("filter");
    let fits = |now: &Repository| {
        Store::sees(now, asking.token.as_deref())
            && now.id.to_lowercase().contains(&search)
            && asking.value("author").is_none_or(|author| now.author() == Some(author))
            && asking.value("pipeline_tag").is_none_or(|tag| now.pipeline_tag().as_deref() == Some(tag))
            && asking.value("gated").is_none_or(|g| now.gated.is_some() == (g.eq_ignore_ascii_case("true")))
            && (filters.is_empty() || {
                let tags = now.all_tags();
                filters.iter().all(|f| tags.iter().any(|tag| tag == f))
            })
    };
    let mut found: Vec<&Commit> = store.repositories.values().map(Stored::main).filter(|c| fits(&c.snapshot)).collect();
    // Ties are in the order of the ids: pages have to agree with each other.
    found.sort_by(|a, b| {
        let (a, b) = (&a.snapshot, &b.snapshot);
        match sort {
            "downloads" => b.downloads.cmp(&a.downloads),
            "likes" => b.likes.cmp(&a.likes),
            "createdAt" => b.created.cmp(&a.created),
            "lastModified" => b.modified.cmp(&a.modified),
            _ => b.trending.cmp(&a.trending),
        }
    });
    if asking.value("direction") == Some("1") {
        found.reverse();
    }
    let (start, end, link) = page(asking, found.len(), store.page)?;
    let mut keys: Vec<&str> = ALWAYS.to_vec();
    if expand.is_empty() {
        keys.extend(SHORT);
        if asking.is_set("full") {
            keys.extend(FULL);
        }
        for key in ["cardData", "config"] {
            if asking.is_set(key) {
                keys.push(key);
            }
        }
    } else {
        keys.extend(expand);
    }
    let list: Value = found[start..end].iter().map(|c| object(keys.iter().copied(), c, false)).collect();
    let answer = Answer::json(&list);
    Ok(match link {
        Some(link) => answer.header("Link", link),
        None => answer,
    })
}

/// GET `/api/models/ID` and `/api/models/ID/revision/REV`
pub fn model(store: &Store, asking: &Asking, id: &str, revision: &str) -> Result<Answer, Answer> {
    let commit = store.commit(id, revision, asking)?;
    let expand = expand(asking, false)?;
    if !expand.is_empty() {
        return Ok(Answer::json(&object(ALWAYS.iter().copied().chain(expand), commit, false)));
    }
    let rest = ["cardData", "config", "safetensors", "usedStorage", "spaces"];
    let keys = ALWAYS.iter().chain(SHORT).chain(FULL).copied().chain(rest);
    Ok(Answer::json(&object(keys, commit, asking.is_set("blobs"))))
}
