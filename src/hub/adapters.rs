//! The hub's adapters of a base, and those of its relatives: quantised, renamed, copied.

use super::choice::Kind;
use super::client::Client;
use super::reference::Reference;
use super::search::{Hit, Query};
use crate::Result;
use std::collections::BTreeSet;

/// Relatives whose adapters are looked for, the most downloaded first.
const RELATIVES: usize = 12;
/// Pages of adapters that are read for one model.
const PAGES: usize = 4;
/// Relations by which a model has the base's own modules.
const SAME: [&str; 1] = ["quantized"];

/// An adapter that was made for a base or for a relative of it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Candidate {
    /// The adapter.
    pub hit: Hit,
    /// The model that its card names.
    pub made_for: String,
}

/// The adapters that cards name for `base` or for one of its relatives, each once: the base's own first.
///
/// # Errors
/// As the hub refuses the first search, and offline; relatives that cannot be searched are left out.
pub async fn of_base(client: &Client, base: &str, query: &Query) -> Result<Vec<Candidate>> {
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    add(client, base, query, &mut found, &mut seen).await?;
    for relative in relatives(client, base).await {
        // What else can be found is better than nothing.
        add(client, &relative, query, &mut found, &mut seen).await.ok();
    }
    Ok(found)
}

async fn add(
    client: &Client,
    model: &str,
    query: &Query,
    found: &mut Vec<Candidate>,
    seen: &mut BTreeSet<String>,
) -> Result<()> {
    let mut query = Query { kind: Some(Kind::Adapter), ..query.clone() };
    query.tags.push(format!("base_model:adapter:{model}"));
    let mut next = None;
    for _ in 0..PAGES {
        let page = client.search(&query, next.as_ref()).await?;
        for hit in page.hits {
            if seen.insert(hit.id.clone()) {
                found.push(Candidate { hit, made_for: model.to_owned() });
            }
        }
        next = page.next;
        if next.is_none() {
            break;
        }
    }
    Ok(())
}

/// Models with the same modules, by what the hub and the cards say: what `base` is called now, what it was quantised
/// from, and what was quantised from one of these.
async fn relatives(client: &Client, base: &str) -> Vec<String> {
    let info = match Reference::parse(base) {
        Ok(reference) => client.info(&reference).await.ok(),
        Err(_) => None,
    };
    let sound = |id: &String| Reference::parse(id).is_ok();
    // From a name of old the hub leads to the one of today; cards have the one or the other.
    let renamed = info.as_ref().map(|info| info.id.clone()).filter(sound).filter(|id| id != base);
    let origin = info.and_then(|info| {
        let tags = info.tags.unwrap_or_default();
        let from = |tag: &String| {
            SAME.iter().find_map(|how| tag.strip_prefix(&format!("base_model:{how}:"))).map(str::to_owned)
        };
        tags.iter().find_map(from).filter(sound)
    });
    let mut all: Vec<String> = renamed.iter().chain(&origin).cloned().collect();
    for root in [Some(base.to_owned()), renamed, origin].into_iter().flatten() {
        let query = Query { tags: vec![format!("base_model:quantized:{root}")], ..Query::default() };
        let Ok(page) = client.search(&query, None).await else { continue };
        all.extend(page.hits.into_iter().map(|hit| hit.id));
    }
    let mut once = BTreeSet::from([base.to_owned()]);
    all.retain(|id| once.insert(id.clone()));
    all.truncate(RELATIVES);
    all
}
