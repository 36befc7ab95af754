//! What there is to know of a repository of the hub before any of its weights is fetched.

use super::card;
use super::catalog::AdapterFacts;
use super::choice::{self, Kind};
use super::client::Client;
use super::download::{self, Plan};
use super::outline::{Fit, Outlines, without};
use super::reference::Reference;
use crate::Result;
use crate::model::config::Config;
use crate::text::printable;
use std::path::{Path, PathBuf};

/// Lines of a card that are kept.
const CARD: usize = 60;

/// A repository; every text safe to show.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Details {
    /// Its page, for a browser.
    pub page: String,
    /// Its files with their bytes, by path.
    pub files: Vec<(String, u64)>,
    /// How many of them lopper reads.
    pub read: usize,
    /// Bytes of these.
    pub needed: u64,
    /// Bytes of that which the cache lacks.
    pub missing: u64,
    /// Why lopper cannot use it, as a sentence.
    pub problem: Option<String>,
    /// What else the hub says of it: that access has to be asked for.
    pub note: Option<String>,
    /// Of a base: architecture, layers, longest sequence.
    pub about: String,
    /// Of an adapter: what it is on the base that it was looked at for.
    pub facts: Option<AdapterFacts>,
    /// The beginning of its card as plain text.
    pub card: String,
}

/// What a repository weighs, and what stands in for it until it is here.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Weight {
    /// Bytes that the cache lacks.
    pub bytes: u64,
    /// A folder with its settings and headers; none where they cannot be had.
    pub outline: Option<PathBuf>,
}

/// The revision as a commit; nothing is asked where it is one.
async fn pinned(client: &Client, what: &Reference) -> Result<Reference> {
    let revision = if what.is_pinned() { what.revision.clone() } else { client.commit(what).await? };
    Ok(Reference { id: what.id.clone(), revision })
}

impl Details {
    /// Of a repository that is to be of the kind `wanted`; an adapter is held against `base`, if there is one.
    ///
    /// # Errors
    /// As the hub refuses the list of its files, and offline.
    pub async fn of(
        client: &Client,
        outlines: &Outlines,
        what: &Reference,
        wanted: Kind,
        base: Option<&Reference>,
    ) -> Result<Self> {
        let at = pinned(client, what).await?;
        let listed = client.files(&at).await?;
        let mut details = Self {
            page: printable(&format!("{}/{}", client.environment().shown_endpoint(), what.id)).into_owned(),
            files: listed.iter().map(|f| (printable(&f.path).into_owned(), f.size)).collect(),
            ..Self::default()
        };
        match download::plan_of(client, what, &at, &listed, None).await {
            Err(e) => details.problem = Some(e.to_string()),
            Ok(plan) if plan.kind != wanted => {
                let is = if plan.kind == Kind::Adapter { "an adapter, no base" } else { "a base, no adapter" };
                details.problem = Some(format!("{} is {is}", what.id));
            }
            Ok(plan) => {
                details.read = plan.files.len();
                (details.needed, details.missing) = (plan.bytes(), plan.missing(&client.environment().cache));
                details.look(client, outlines, &plan, base).await;
            }
        }
        if listed.iter().any(|f| f.path == "README.md") {
            // A card that cannot be had is no reason to say nothing.
            let text = client.card(&at).await.unwrap_or_default();
            details.card = card::head(&text, CARD);
        }
        Ok(details)
    }

    /// Settings and headers, by the checks that loading makes.
    async fn look(&mut self, client: &Client, outlines: &Outlines, plan: &Plan, base: Option<&Reference>) {
        let at = plan.pinned();
        if plan.kind == Kind::Base {
            match outlines.base(client, &at).await {
                Err(e) => self.note = Some(e.to_string()),
                Ok(folder) => match Config::read(&folder) {
                    Err(e) => self.problem = Some(without(&e.to_string(), &folder)),
                    Ok(config) => {
                        let architecture = architecture(&folder);
                        self.about =
                            format!("{architecture}, {} layers, {} tokens", config.layers, config.max_position);
                    }
                },
            }
            return;
        }
        let Some(base) = base else { return };
        match base_folder(client, outlines, base).await {
            Err(e) => self.note = Some(e.to_string()),
            Ok(folder) => {
                let Fit { facts, problem, .. } = outlines.fit(client, &at, &folder).await;
                (self.facts, self.problem) = (facts, problem);
            }
        }
    }
}

fn architecture(folder: &Path) -> String {
    let said = super::catalog::json(&folder.join("config.json")).unwrap_or_default();
    printable(said.get("model_type").and_then(|v| v.as_str()).unwrap_or_default()).into_owned()
}

/// A folder with the configuration of a base: its own where the cache has it, a stand-in otherwise.
///
/// # Errors
/// As the hub refuses its configuration, and offline.
pub async fn base_folder(client: &Client, outlines: &Outlines, base: &Reference) -> Result<PathBuf> {
    let own = base.folder(&client.environment().cache);
    if own.join("config.json").is_file() { Ok(own) } else { outlines.base(client, base).await }
}

/// What is to be fetched of a repository, with a stand-in until it is here.
///
/// # Errors
/// As the hub refuses it, offline, and where lopper reads nothing of it.
pub async fn weigh(client: &Client, outlines: &Outlines, what: &Reference) -> Result<Weight> {
    let at = pinned(client, what).await?;
    let listed = client.files(&at).await?;
    let plan = download::plan_of(client, what, &at, &listed, None).await?;
    let outline = match choice::kind(&listed, &what.id)? {
        Kind::Base => match outlines.model(client, &plan).await {
            Ok(folder) => Some(folder),
            // The adapters can be held against its configuration still.
            Err(_) => outlines.base(client, &at).await.ok(),
        },
        Kind::Adapter => outlines.adapter(client, &at).await.ok().map(|(folder, _)| folder),
    };
    Ok(Weight { bytes: plan.missing(&client.environment().cache), outline })
}
