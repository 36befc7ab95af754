//! Searching the hub, page by page.

mod facets;
mod typed;

pub use facets::Facets;
pub use typed::{HINT, typed};

use super::choice::Kind;
use super::client::Client;
use super::failure::Failure;
use super::reference::{Reference, is_commit};
use crate::text::printable;
use crate::{Error, Result};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Url;
use serde_json::Value;

/// Results of a page.
pub const PAGE: usize = 50;
/// What is asked of every result; the hub gives nothing else then.
const EXPAND: [&str; 12] = [
    "author",
    "createdAt",
    "downloads",
    "gated",
    "lastModified",
    "library_name",
    "likes",
    "pipeline_tag",
    "private",
    "safetensors",
    "sha",
    "tags",
];

/// What results are sorted by, most first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Sort {
    /// Downloads of the last 30 days.
    #[default]
    Downloads,
    /// Likes.
    Likes,
    /// What is looked at most now.
    Trending,
    /// The last change.
    Updated,
}

impl Sort {
    /// All, in the order in which a key goes through them.
    pub const ALL: [Self; 4] = [Self::Downloads, Self::Likes, Self::Trending, Self::Updated];

    /// The hub's name.
    const fn field(self) -> &'static str {
        match self {
            Self::Downloads => "downloads",
            Self::Likes => "likes",
            Self::Trending => "trendingScore",
            Self::Updated => "lastModified",
        }
    }

    /// Our name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Downloads => "downloads",
            Self::Likes => "likes",
            Self::Trending => "trending",
            Self::Updated => "updated",
        }
    }
}

/// What is looked for. Empty fields ask for nothing.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Query {
    /// Words of the name.
    pub text: String,
    /// Bases or adapters alone.
    pub kind: Option<Kind>,
    /// Tags that results must have: `license:mit`, `en`, `base_model:adapter:ORG/NAME`.
    pub tags: Vec<String>,
    /// `text-generation`, …
    pub task: Option<String>,
    /// An organisation or user.
    pub author: Option<String>,
    /// Most parameters; what doesn't say how many it has is left out.
    pub most_parameters: Option<u64>,
    /// The order.
    pub sort: Sort,
}

/// A repository that was found; every text safe to show.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize)]
pub struct Hit {
    /// `ORG/NAME`.
    pub id: String,
    /// The commit of `main`.
    pub commit: Option<String>,
    /// Base or adapter, by library and tags.
    pub is_adapter: bool,
    /// Downloads of the last 30 days.
    pub downloads: u64,
    /// Likes.
    pub likes: u64,
    /// The day of the last change: `2026-01-31`.
    pub updated: String,
    /// Whether access has to be asked for.
    pub gated: bool,
    /// Whether only some accounts see it.
    pub private: bool,
    /// `peft`, `transformers`, …
    pub library: String,
    /// `text-generation`, …
    pub task: String,
    /// `apache-2.0`, …
    pub license: String,
    /// Parameters by the safetensors' headers, 0 where they are not known.
    pub parameters: u64,
    /// How most of them are stored: `BF16`.
    pub dtype: String,
    /// What it is made from: `adapter:ORG/NAME`, `quantized:ORG/NAME`.
    pub made_from: Vec<String>,
    /// All that the hub sorts it under.
    #[serde(skip)]
    pub tags: Vec<String>,
}

impl Hit {
    /// The repository at the commit that was found.
    pub fn reference(&self) -> Reference {
        Reference {
            id: self.id.clone(),
            revision: self.commit.clone().unwrap_or_else(|| super::reference::MAIN.into()),
        }
    }

    /// Of what the hub says of one model.
    pub fn of_info(info: &hf_hub::repository::ModelInfo) -> Self {
        let value = serde_json::to_value(info).unwrap_or_default();
        Self::of(&value).unwrap_or_else(|| Self { id: printable(&info.id).into_owned(), ..Self::default() })
    }

    /// Of what the hub says of a model; `None` where its name is none of the hub's.
    fn of(value: &Value) -> Option<Self> {
        let text =
            |key: &str| value.get(key).and_then(Value::as_str).map(|t| printable(t).into_owned()).unwrap_or_default();
        let number = |key: &str| value.get(key).and_then(Value::as_u64).unwrap_or_default();
        let id = Reference::parse(value.get("id").or_else(|| value.get("modelId"))?.as_str()?).ok()?.id;
        let tags: Vec<String> = value
            .get("tags")
            .and_then(Value::as_array)
            .map(|all| all.iter().filter_map(Value::as_str).map(|t| printable(t).into_owned()).collect())
            .unwrap_or_default();
        let behind =
            |prefix: &str| tags.iter().find_map(|t| t.strip_prefix(prefix)).map(str::to_owned).unwrap_or_default();
        let weights = value.get("safetensors");
        let kinds = weights.and_then(|w| w.get("parameters")?.as_object());
        let most = kinds.and_then(|kinds| kinds.iter().max_by_key(|(_, n)| n.as_u64()).map(|(kind, _)| kind.clone()));
        let library = text("library_name");
        Some(Self {
            commit: value.get("sha").and_then(Value::as_str).filter(|sha| is_commit(sha)).map(str::to_owned),
            is_adapter: library == "peft" || tags.iter().any(|t| t == "peft" || t.starts_with("base_model:adapter:")),
            downloads: number("downloads"),
            likes: number("likes"),
            updated: text("lastModified").chars().take(10).collect(),
            gated: !matches!(value.get("gated"), None | Some(Value::Bool(false) | Value::Null)),
            private: value.get("private").and_then(Value::as_bool).unwrap_or_default(),
            task: text("pipeline_tag"),
            license: behind("license:"),
            parameters: weights.and_then(|w| w.get("total")?.as_u64()).unwrap_or_default(),
            dtype: printable(&most.unwrap_or_default()).into_owned(),
            made_from: tags
                .iter()
                .filter_map(|t| t.strip_prefix("base_model:").filter(|rest| rest.contains(':')))
                .map(str::to_owned)
                .collect(),
            library,
            id,
            tags,
        })
    }
}

/// Some results.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page {
    /// In the order asked for.
    pub hits: Vec<Hit>,
    /// Where the next ones are.
    pub next: Option<Url>,
}

impl Query {
    /// The address of the first page.
    fn url(&self, client: &Client) -> Result<Url> {
        let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let mut pairs: Vec<(&str, String)> = Vec::new();
        if !self.text.trim().is_empty() {
            pairs.push(("search", self.text.trim().to_owned()));
        }
        match self.kind {
            Some(Kind::Adapter) => pairs.push(("filter", "peft".into())),
            // What is named is found whatever its card says; what is only looked through should be for text.
            Some(Kind::Base) if self.text.trim().is_empty() && self.task.is_none() => {
                pairs.push(("pipeline_tag", "text-generation".into()));
            }
            Some(Kind::Base) | None => {}
        }
        pairs.extend(self.tags.iter().map(|tag| ("filter", tag.clone())));
        pairs.extend(self.task.iter().map(|task| ("pipeline_tag", task.clone())));
        pairs.extend(self.author.iter().map(|author| ("author", author.clone())));
        pairs.push(("sort", self.sort.field().into()));
        pairs.push(("direction", "-1".into()));
        pairs.push(("limit", PAGE.to_string()));
        pairs.extend(EXPAND.iter().map(|field| ("expand[]", (*field).to_owned())));
        let query: Vec<String> =
            pairs.iter().map(|(key, value)| format!("{}={}", encoded(key), encoded(value))).collect();
        client.url(&format!("/api/models?{}", query.join("&")))
    }

    /// What the hub cannot be asked for.
    fn takes(&self, hit: &Hit) -> bool {
        let kind = match self.kind {
            Some(Kind::Base) => !hit.is_adapter,
            Some(Kind::Adapter) => hit.is_adapter,
            None => true,
        };
        let size = self.most_parameters.is_none_or(|most| hit.parameters > 0 && hit.parameters <= most);
        let task = self.task.as_ref().is_none_or(|task| hit.task == *task || hit.task.is_empty());
        kind && size && task
    }
}

impl Client {
    /// A page of results: the first, or the one that an earlier page names. A page may have fewer results than
    /// [`PAGE`], none even, and a next one nevertheless.
    ///
    /// # Errors
    /// As the hub refuses it, and offline.
    pub async fn search(&self, query: &Query, next: Option<&Url>) -> Result<Page> {
        if self.environment().offline {
            return Err(Error::user("the hub is not searched: HF_HUB_OFFLINE says to stay off the network"));
        }
        let url = match next {
            Some(url) => url.clone(),
            None => query.url(self)?,
        };
        let refused = |failure: Failure| failure.sentence("the search", self.environment());
        let (values, next) = self.json::<Vec<Value>>(&url).await.map_err(refused)?;
        Ok(Page { hits: values.iter().filter_map(Hit::of).filter(|hit| query.takes(hit)).collect(), next })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_hit_is_read_from_what_the_hub_says() {
        let hit = Hit::of(&json!({
            "id": "a/b", "sha": "0123456789abcdef0123456789abcdef01234567", "downloads": 7, "likes": 2, "gated": "manual",
            "lastModified": "2026-01-31T10:00:00.000Z", "library_name": "peft", "pipeline_tag": "text-generation",
            "tags": ["peft", "license:mit", "base_model:c/d", "base_model:adapter:c/d", "x\u{1b}[2J"],
            "safetensors": {"parameters": {"F32": 3, "BF16": 40}, "total": 43},
        }));
        let hit = hit.unwrap();
        assert_eq!(
            (hit.downloads, hit.parameters, hit.dtype.as_str(), hit.updated.as_str()),
            (7, 43, "BF16", "2026-01-31")
        );
        assert!(hit.is_adapter && hit.gated && !hit.private && hit.license == "mit");
        assert_eq!(hit.made_from, ["adapter:c/d"]);
        assert_eq!(hit.reference().revision, "0123456789abcdef0123456789abcdef01234567");
    }

    #[test]
    fn names_that_are_none_are_left_out() {
        for id in ["../../etc", "a/\u{1b}[2J", ""] {
            assert_eq!(Hit::of(&json!({"id": id})), None);
        }
        assert_eq!(Hit::of(&json!({"downloads": 3})), None);
        assert!(!Hit::of(&json!({"id": "gpt2"})).unwrap().gated);
    }
}
