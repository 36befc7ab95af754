//! `lopper hub`: search, show, adapters, fetch, push.

mod fetch;
mod push;
mod table;

use super::say;
use crate::hub::adapters::{self, Candidate};
use crate::hub::choice::Kind;
use crate::hub::client::Client;
use crate::hub::download::{self, Plan};
use crate::hub::environment::Environment;
use crate::hub::outline::{Fit, Outlines};
use crate::hub::reference::Reference;
use crate::hub::search::{Facets, Hit, Query, Sort};
use crate::hub::{self, card, supply};
use crate::run::RunDir;
use crate::run::estimate::bytes;
use crate::text::{self, counted, printable};
use crate::theme::Theme;
use crate::{Error, Result};
use clap::Subcommand;
use futures::StreamExt;
use std::path::{Path, PathBuf};

/// Adapters whose headers are read at the same time.
const AT_ONCE: usize = 8;
/// Pages of a search that are read where few results are asked for: a filter that the hub does not know may leave
/// nothing of any.
const PAGES: usize = 40;

/// What is done with the hub.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Search bases and adapters; offline, those in the cache
    Search {
        /// Words of the name
        text: Vec<String>,
        /// Adapters alone (library peft)
        #[arg(long, conflicts_with = "bases")]
        adapters: bool,
        /// Bases alone
        #[arg(long)]
        bases: bool,
        #[command(flatten)]
        narrow: Narrow,
        /// Results at most
        #[arg(long, default_value_t = 20, value_name = "N", value_parser = at_most)]
        limit: usize,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Say what a repository holds: files, sizes, parameters, licence, access, the beginning of its card
    Show {
        /// ORG/NAME or ORG/NAME@REVISION
        repository: Reference,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// List the adapters of a base and whether each fits it, by their headers alone
    Adapters {
        /// ORG/NAME of the hub, or a folder
        base: String,
        /// Words of the adapters' names
        #[arg(long, default_value = "")]
        text: String,
        #[command(flatten)]
        narrow: Narrow,
        /// Adapters at most
        #[arg(long, default_value_t = 20, value_name = "N", value_parser = at_most)]
        limit: usize,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Fetch bases and adapters into the cache that Python's tools share; goes on where it broke off
    Fetch {
        /// ORG/NAME or ORG/NAME@REVISION
        #[arg(required = true)]
        repositories: Vec<Reference>,
        /// The weights, where a repository has several
        #[arg(long, value_name = "FILE")]
        file: Option<String>,
        /// Say what would be fetched, and fetch nothing
        #[arg(long)]
        dry_run: bool,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Upload a finished run's adapter with a model card, after a preview and a confirmation
    Push {
        /// The run directory
        run: PathBuf,
        /// ORG/NAME; made where there is none
        repository: Reference,
        /// Let everybody see a repository that is made
        #[arg(long)]
        public: bool,
        /// Show what would be uploaded, and upload nothing
        #[arg(long)]
        dry_run: bool,
        /// Don't ask
        #[arg(long, conflicts_with = "dry_run")]
        yes: bool,
    },
}

/// What results must be.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Narrow {
    /// An organisation or user
    #[arg(long)]
    author: Option<String>,
    /// text-generation, …
    #[arg(long)]
    task: Option<String>,
    /// apache-2.0, mit, …
    #[arg(long)]
    license: Option<String>,
    /// en, ja, …
    #[arg(long)]
    language: Option<String>,
    /// Any tag of the hub
    #[arg(long)]
    tag: Vec<String>,
    /// Most parameters: 500M, 3B
    #[arg(long, value_name = "SIZE", value_parser = parameters)]
    max_size: Option<u64>,
    /// The order
    #[arg(long, value_enum, default_value_t)]
    sort: Sort,
}

impl Narrow {
    fn query(&self, text: &str, kind: Option<Kind>) -> Query {
        let mut tags = self.tag.clone();
        tags.extend(self.license.iter().map(|license| format!("license:{license}")));
        tags.extend(self.language.clone());
        Query {
            text: text.to_owned(),
            kind,
            tags,
            task: self.task.clone(),
            author: self.author.clone(),
            most_parameters: self.max_size,
            sort: self.sort,
        }
    }
}

/// `500M`, `3B`, `1.5b` or a number.
fn parameters(text: &str) -> std::result::Result<u64, String> {
    let upper = text.trim().to_ascii_uppercase();
    let units = [("K", 1e3), ("M", 1e6), ("B", 1e9), ("T", 1e12)];
    let (number, unit) = units.iter().find_map(|(u, n)| Some((upper.strip_suffix(u)?, *n))).unwrap_or((&upper, 1.0));
    let number: Option<f64> = number.parse().ok().filter(|n: &f64| *n > 0.0 && n.is_finite());
    number.map(|n| (n * unit) as u64).ok_or_else(|| "a number of parameters, such as 500M or 3B".to_owned())
}

/// How many results are asked for: none at all would read as if there were none.
fn at_most(text: &str) -> std::result::Result<usize, String> {
    text.parse().ok().filter(|n| *n > 0).ok_or_else(|| "1 or more is needed".to_owned())
}

/// Does it.
///
/// # Errors
/// As the hub refuses it, and where the cache cannot be written.
pub fn run(verb: &Verb, theme: &Theme) -> Result<u8> {
    let client = Client::new(Environment::read()?)?;
    match verb {
        Verb::Search { text, adapters, bases, narrow, limit, json } => {
            let kind = if *adapters { Some(Kind::Adapter) } else { bases.then_some(Kind::Base) };
            search(&client, &narrow.query(&text.join(" "), kind), *limit, *json)
        }
        Verb::Show { repository, json } => show(&client, repository, *json),
        Verb::Adapters { base, text, narrow, limit, json } => {
            fitting(&client, base, &narrow.query(text, Some(Kind::Adapter)), *limit, *json)
        }
        Verb::Fetch { repositories, file, dry_run, json } => {
            fetch::fetch(&client, repositories, file.as_deref(), *dry_run, *json)
        }
        Verb::Push { run, repository, public, dry_run, yes } => {
            let asked = push::Asked { public: *public, dry_run: *dry_run, yes: *yes };
            push::push(&client, &RunDir::open(run)?, repository, asked, theme)
        }
    }
}

fn as_json(value: &impl serde::Serialize) -> Result<()> {
    say(&text::json(value)?)
}

fn search(client: &Client, query: &Query, limit: usize, json: bool) -> Result<u8> {
    if client.environment().offline {
        return cached(client, query, json);
    }
    let most = PAGES.max(2 * limit.div_ceil(hub::search::PAGE));
    let found = supply::wait(async {
        let (mut hits, mut next, mut read) = (Vec::new(), None, 0);
        while hits.len() < limit && read < most && (read == 0 || next.is_some()) {
            let page = client.search(query, next.as_ref()).await?;
            hits.extend(page.hits);
            (next, read) = (page.next, read + 1);
        }
        // The end of what is looked at, not of what there is.
        let ended = hits.len() < limit && next.is_some();
        let more = next.is_some() || hits.len() > limit;
        hits.truncate(limit);
        Ok((hits, more, ended))
    });
    let (hits, more, ended) = found?;
    if json {
        as_json(&hits)?;
        return Ok(0);
    }
    let mut text = if hits.is_empty() {
        "nothing found; try fewer words or filters".to_owned()
    } else {
        table::hits(&hits, |hit| is_cached(client, hit))
    };
    if ended {
        let looked_at = most.saturating_mul(hub::search::PAGE);
        text += &format!("\nof the first {looked_at} that the hub names; more words of the name find others");
    } else if more {
        text += &format!("\nmore than {}; --limit shows more", counted(limit, "result"));
    }
    if let Some(cached) = beside(client, query, &hits) {
        text = format!("{}\n\n{}", text.trim_end(), cached.trim_end());
    }
    say(&text)?;
    Ok(0)
}

/// What of the cache fits, and how many entries do not say whether they do.
fn of_cache(client: &Client, query: &Query) -> (hub::Catalog, usize) {
    let root = hub::Root { path: client.environment().cache.clone(), kind: hub::RootKind::Hub };
    let mut found = hub::scan(&[root]);
    let words: Vec<String> = query.text.split_whitespace().map(str::to_lowercase).collect();
    let mut unsaid = 0;
    let mut fits = |name: &str, facets: &Facets| {
        let lets = query.lets(facets);
        let named = words.iter().all(|word| name.to_lowercase().contains(word));
        unsaid += usize::from(named && lets.is_none());
        named && lets == Some(true)
    };
    found.bases.retain(|entry| query.kind != Some(Kind::Adapter) && fits(&entry.name, &entry.facets));
    found.adapters.retain(|entry| query.kind != Some(Kind::Base) && fits(&entry.name, &entry.facets));
    (found, unsaid)
}

/// The cache's own, where the network is not asked.
fn cached(client: &Client, query: &Query, json: bool) -> Result<u8> {
    let (found, unsaid) = of_cache(client, query);
    if json {
        return as_json(&found).map(|()| 0);
    }
    let what = if found.bases.is_empty() && found.adapters.is_empty() {
        "nothing of it fits; try fewer words or filters\n".to_owned()
    } else {
        super::models::lines(&found)
    };
    let silent = match unsaid {
        0 => String::new(),
        1 => "1 is left out: it does not say what a filter asks for\n".to_owned(),
        n => format!("{n} are left out: they do not say what a filter asks for\n"),
    };
    say(&format!("offline: what the cache holds\n{what}{silent}"))?;
    Ok(0)
}

/// What the cache has beside the hub's answer: a repository that is renamed, private or further down the list.
fn beside(client: &Client, query: &Query, hits: &[Hit]) -> Option<String> {
    let (mut found, _) = of_cache(client, query);
    let listed = |name: &str| hits.iter().any(|hit| hit.id == name);
    found.bases.retain(|entry| !listed(&entry.name));
    found.adapters.retain(|entry| !listed(&entry.name));
    let any = !(found.bases.is_empty() && found.adapters.is_empty());
    any.then(|| format!("in the cache as well:\n{}", super::models::lines(&found)))
}

fn is_cached(client: &Client, hit: &Hit) -> bool {
    let reference = Reference { id: hit.id.clone(), revision: hub::reference::MAIN.into() };
    supply::is_whole(&reference.folder(&client.environment().cache))
}

fn show(client: &Client, what: &Reference, json: bool) -> Result<u8> {
    let found = supply::wait(async {
        let info = client.info(what).await?;
        let files = client.files(what).await?;
        let card = if files.iter().any(|f| f.path == "README.md") { client.card(what).await.ok() } else { None };
        let commit = info.sha.clone().filter(|sha| hub::reference::is_commit(sha));
        let pinned = Reference { id: what.id.clone(), revision: commit.unwrap_or_else(|| what.revision.clone()) };
        let plan = download::plan_of(client, what, &pinned, &files, None).await;
        Ok((info, files, card, plan))
    });
    let (info, files, card, plan) = found?;
    let hit = Hit::of_info(&info);
    if json {
        as_json(&serde_json::json!({ "repository": hit, "files": files, "card": card }))?;
        return Ok(0);
    }
    let mut rows = vec![("repository", what.to_string())];
    let mut row = |key, value: String| {
        if !value.is_empty() {
            rows.push((key, value));
        }
    };
    row("commit", hit.commit.clone().unwrap_or_default());
    row(
        "kind",
        hub::choice::kind(&files, &what.id).map_or_else(|e| e.to_string(), |k| format!("{k:?}").to_lowercase()),
    );
    row("parameters", table::parameters(&hit));
    row("licence", hit.license.clone());
    row("task", hit.task.clone());
    row("library", hit.library.clone());
    row("made from", hit.made_from.join(", "));
    row("access", access(client, &hit));
    row("downloads", format!("{} in 30 days, {}", hit.downloads, counted(hit.likes as usize, "like")));
    row("updated", hit.updated.clone());
    let total: u64 = files.iter().map(|f| f.size).sum();
    row("files", format!("{}, {}", counted(files.len(), "file"), bytes(total)));
    row(
        "needed",
        match &plan {
            Ok(plan) => needed(plan, &client.environment().cache),
            Err(e) => e.to_string(),
        },
    );
    let mut text: Vec<String> = rows.iter().map(|(key, value)| format!("{key:12}{}", printable(value))).collect();
    for file in files.iter().take(40) {
        let is_needed = plan.as_ref().is_ok_and(|plan| plan.files.iter().any(|f| f.path == file.path));
        let mark = if is_needed { '*' } else { ' ' };
        text.push(format!("  {mark} {:>9}  {}", bytes(file.size), printable(&file.path)));
    }
    if files.len() > 40 {
        text.push(format!("    and {} more", files.len() - 40));
    }
    if plan.is_ok() {
        text.push("  * what `lopper hub fetch` takes".into());
    }
    if let Some(card) = card {
        text.push(String::new());
        text.push(card::head(&card, 12));
    }
    say(&text.join("\n"))?;
    Ok(0)
}

/// What a fetch takes of a repository, and how much of that `cache` lacks.
fn needed(plan: &Plan, cache: &Path) -> String {
    let here = match plan.missing(cache) {
        0 => "all of it here".to_owned(),
        missing => format!("{} to fetch", bytes(missing)),
    };
    format!("{}, {}, {here}", counted(plan.files.len(), "file"), bytes(plan.bytes()))
}

fn access(client: &Client, hit: &Hit) -> String {
    match (hit.gated, hit.private) {
        (true, _) => format!("gated: ask for it at {}/{}", client.environment().shown_endpoint(), hit.id),
        (_, true) => "private".into(),
        _ => "open".into(),
    }
}

/// A base by folder, cached snapshot or outline.
async fn base_folder(client: &Client, outlines: &Outlines, base: &str) -> Result<(PathBuf, Option<String>)> {
    let folder = Path::new(base);
    if folder.is_dir() {
        return Ok((folder.to_path_buf(), hub::place::of_cache(folder).map(|r| r.id)));
    }
    let reference = Reference::parse(base)?;
    Ok((hub::details::base_folder(client, outlines, &reference).await?, Some(reference.id)))
}

fn fitting(client: &Client, base: &str, query: &Query, limit: usize, json: bool) -> Result<u8> {
    let outlines = Outlines::new()?;
    let found = supply::wait(async {
        let (folder, id) = base_folder(client, &outlines, base).await?;
        let id = id.ok_or_else(|| {
            Error::user(format!(
                "{} is no folder of the hub's cache, so that no card names it; use ORG/NAME",
                printable(base)
            ))
        })?;
        let mut found = adapters::of_base(client, &id, query).await?;
        let more = found.len() > limit;
        found.truncate(limit);
        let look = |candidate: Candidate| {
            let (outlines, folder) = (&outlines, &folder);
            async move {
                let fit = outlines.fit(client, &candidate.hit.reference(), folder).await;
                (candidate, fit)
            }
        };
        let all: Vec<(Candidate, Fit)> = futures::stream::iter(found).map(look).buffered(AT_ONCE).collect().await;
        Ok((all, more, id))
    });
    let (mut all, more, id) = found?;
    // What can be merged first; the order is kept otherwise.
    all.sort_by_key(|(_, fit)| fit.problem.is_some());
    if json {
        let values: Vec<_> = all
            .iter()
            .map(|(c, fit)| serde_json::json!({ "repository": c.hit, "made_for": c.made_for, "fit": fit }))
            .collect();
        as_json(&values)?;
        return Ok(0);
    }
    if all.is_empty() {
        say(&format!("no adapter on the hub names {id} as its base"))?;
        return Ok(0);
    }
    let mut text = table::adapters(&all, &id, |hit| is_cached(client, hit));
    if more {
        text += &format!("\nmore than {limit}; --limit shows more");
    }
    say(&text)?;
    Ok(0)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use crate::cli::Cli;
    use clap::Parser;

    #[test]
    fn results_of_which_there_are_to_be_none_are_refused() {
        for command in [&["search"][..], &["adapters", "a/b"]] {
            let asked =
                |limit: &str| Cli::try_parse_from([&["lopper", "hub"][..], command, &["--limit", limit]].concat());
            for limit in ["0", "-1", "many"] {
                assert!(asked(limit).is_err(), "{command:?} {limit}");
            }
            assert!(asked("0").unwrap_err().to_string().contains("1 or more is needed"));
            assert!(asked("1").is_ok());
        }
    }
}
