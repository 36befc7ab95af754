//! The hub for tests is one that the hub's own clients work with, and its faults are what they say.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, dead_code)]

use crate::hub;
mod wire;
use futures::{StreamExt, TryStreamExt};
use hf_hub::repository::{CommitOperation, RepoTreeEntry, RepoTypeModel};
use hf_hub::{HFClient, HFError};
use hub::{Asked, Fault, Gate, Hub, Origin, READ, Repository, WRITE, hex, hostile, iso, tensors};
use reqwest::header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, ETAG, LOCATION};
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::time::{Duration, UNIX_EPOCH};

/// Weights of `lab/tiny`.
fn weights() -> Vec<u8> {
    tensors(&[("a", &[4, 8]), ("b", &[100])])
}

fn tiny() -> Repository {
    Repository::model("lab/tiny")
        .file("README.md", "---\nlicense: apache-2.0\nlanguage:\n- en\n- de\n---\n# Tiny\n")
        .file("config.json", r#"{"model_type":"llama"}"#)
        .file("sub/folder/notes.txt", "notes")
        .lfs("model.safetensors", weights())
        .library("transformers")
        .pipeline("text-generation")
        .downloads(300)
        .likes(3)
}

fn adapter() -> Repository {
    Repository::model("lab/tiny-lora")
        .file("adapter_config.json", r#"{"base_model_name_or_path":"lab/tiny","r":8}"#)
        .lfs("adapter_model.safetensors", tensors(&[("lora_A", &[8, 4])]))
        .card(json!({"base_model": "lab/tiny", "license": "mit"}))
        .library("peft")
        .downloads(200)
}

fn filled() -> Hub {
    let hub = Hub::start();
    hub.add(tiny());
    hub.add(adapter());
    hub.add(Repository::model("lab/secret").file("config.json", "{}").private("hf_owner").downloads(100));
    hub.add(Repository::model("lab/gated").file("config.json", "{}").gated(Gate::Auto, "hf_granted").downloads(50));
    hub
}

struct Client {
    client: HFClient,
    cache: tempfile::TempDir,
}

fn client(hub: &Hub, token: &str) -> Client {
    let cache = tempfile::tempdir().unwrap();
    let builder = HFClient::builder().endpoint(hub.url()).cache_dir(cache.path()).token(token);
    let builder = builder.retry_max_attempts(1).retry_base_delay(Duration::from_millis(1));
    Client { client: builder.build().unwrap(), cache }
}

/// Without redirects: what is on the wire.
async fn ask(method: &str, url: &str, headers: &[(&str, &str)]) -> Response {
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let mut request = client.request(method.parse().unwrap(), url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.unwrap()
}

async fn get(url: &str) -> Response {
    ask("GET", url, &[]).await
}

fn header(response: &Response, name: impl AsRef<str>) -> String {
    response.headers().get(name.as_ref()).map(|v| v.to_str().unwrap().to_owned()).unwrap_or_default()
}

/// Where a file's bytes are: the second origin's URL of an LFS file.
async fn location(hub: &Hub) -> String {
    let url = format!("{}/lab/tiny/resolve/main/model.safetensors", hub.url());
    header(&ask("HEAD", &url, &[]).await, LOCATION)
}

#[tokio::test]
async fn hf_hub_lists_searches_and_filters() {
    let hub = filled();
    let Client { client, cache: _cache } = client(&hub, READ);
    let names = |stream: Vec<hf_hub::repository::ModelInfo>| stream.into_iter().map(|m| m.id).collect::<Vec<_>>();
    let all = client.list_models().sort("downloads").send().unwrap().try_collect().await.unwrap();
    assert_eq!(names(all), ["lab/tiny", "lab/tiny-lora", "lab/gated"]);
    let found = client.list_models().search("LORA").send().unwrap().try_collect().await.unwrap();
    assert_eq!(names(found), ["lab/tiny-lora"]);
    let filter = "base_model:adapter:lab/tiny";
    let adapters = client.list_models().filter(filter).full(true).card_data(true).send().unwrap();
    let adapters: Vec<_> = adapters.try_collect().await.unwrap();
    assert_eq!(adapters.len(), 1);
    assert_eq!(adapters[0].library_name.as_deref(), Some("peft"));
    assert_eq!(adapters[0].card_data.as_ref().unwrap()["license"], "mit");
    assert_eq!(adapters[0].siblings.as_ref().unwrap().len(), 2);
    for (filters, count) in [("filter=peft&filter=license:mit", 1), ("filter=peft,license:apache-2.0", 0)] {
        let list: Value = get(&format!("{}/api/models?{filters}", hub.url())).await.json().await.unwrap();
        assert_eq!(list.as_array().unwrap().len(), count, "{filters}");
    }
    let none = client.list_models().author("nobody").send().unwrap().try_collect().await.unwrap();
    assert!(names(none).is_empty());
}

#[tokio::test]
async fn hf_hub_follows_pages_of_ten_thousand() {
    let hub = Hub::start();
    hub.many(10_000);
    let Client { client, cache: _cache } = client(&hub, READ);
    let all: Vec<_> = client.list_models().sort("downloads").send().unwrap().try_collect().await.unwrap();
    assert_eq!(all.len(), 10_000);
    assert_eq!((all[0].id.as_str(), all[9_999].id.as_str()), ("many/model-00000", "many/model-09999"));
    assert_eq!(hub.log().len(), 10);
    let some = client.list_models().filter("group-3").search("model-00").limit(5).send().unwrap();
    let some: Vec<_> = some.map_ok(|m| m.id).try_collect().await.unwrap();
    assert_eq!(some.len(), 5);
    assert!(some.iter().all(|id| id.ends_with('3')), "{some:?}");
}

#[tokio::test]
async fn hf_hub_reads_info_and_tree() {
    let hub = filled();
    let Client { client, cache: _cache } = client(&hub, READ);
    let model = client.model("lab", "tiny");
    let info = model.info().send().await.unwrap();
    assert_eq!(info.sha, hub.sha("lab/tiny", "main"));
    let safetensors = info.safetensors.unwrap();
    assert_eq!((safetensors.total, safetensors.parameters["F32"]), (132, 132));
    assert_eq!(
        (info.downloads, info.likes, info.pipeline_tag.as_deref()),
        (Some(300), Some(3), Some("text-generation"))
    );
    let tags = info.tags.unwrap();
    for tag in ["transformers", "safetensors", "text-generation", "license:apache-2.0", "en", "de"] {
        assert!(tags.iter().any(|t| t == tag), "{tag} in {tags:?}");
    }
    let some = model.info().expand(vec!["downloads".into(), "gated".into()]).send().await.unwrap();
    assert_eq!((some.downloads, some.likes, some.gated), (Some(300), None, Some(false.into())));
    let wrong = model.info().expand(vec!["dowloads".into()]).send().await.unwrap_err();
    assert!(matches!(wrong, HFError::Http { context } if context.status == 400));
    for (path, status) in [("lab/tiny?expand[]=usedStorage", 200), ("?expand[]=usedStorage", 400)] {
        assert_eq!(get(&format!("{}/api/models/{path}", hub.url())).await.status().as_u16(), status, "{path}");
    }

    hub.page(2);
    let tree: Vec<RepoTreeEntry> = model.list_tree().recursive(true).send().unwrap().try_collect().await.unwrap();
    let seen: Vec<(String, u64)> = tree
        .iter()
        .map(|entry| match entry {
            RepoTreeEntry::File { path, size, .. } => (path.clone(), *size),
            RepoTreeEntry::Directory { path, .. } => (format!("{path}/"), 0),
        })
        .collect();
    let expected = [
        ("README.md", 55),
        ("config.json", 22),
        ("model.safetensors", weights().len() as u64),
        ("sub/", 0),
        ("sub/folder/", 0),
        ("sub/folder/notes.txt", 5),
    ];
    assert_eq!(seen, expected.map(|(path, size)| (path.to_owned(), size)));
    let folder = model.list_tree().path_in_repo("sub").send().unwrap();
    assert_eq!(folder.collect::<Vec<_>>().await.len(), 1);
    let known = model.get_paths_info().paths(vec!["config.json".into(), "sub".into(), "none".into()]).send().await;
    assert_eq!(known.unwrap().len(), 2);
    let refs = model.list_refs().send().await.unwrap();
    assert_eq!(Some(refs.branches[0].target_commit.clone()), hub.sha("lab/tiny", "main"));
}

#[tokio::test]
async fn hf_hub_downloads_plain_and_lfs_files() {
    for relative in [false, true] {
        let hub = filled();
        hub.relative(relative);
        let Client { client, cache } = client(&hub, READ);
        let model = client.model("lab", "tiny");
        let config = model.download_file().filename("config.json").send().await.unwrap();
        assert_eq!(std::fs::read(&config).unwrap(), br#"{"model_type":"llama"}"#);
        let file = model.download_file().filename("model.safetensors").send().await.unwrap();
        assert_eq!(std::fs::read(&file).unwrap(), weights());
        // As `git hash-object` and sha256sum name them.
        let blobs = cache.path().join("models--lab--tiny/blobs");
        assert!(blobs.join("0972e95c1405cc1507c19dcbe784f7a36c930907").exists());
        let sha256 = hex(Sha256::digest(weights()));
        assert!(blobs.join(sha256).exists());
        let folder = model.snapshot_download().send().await.unwrap();
        assert_eq!(std::fs::read(folder.join("sub/folder/notes.txt")).unwrap(), b"notes");
        let part = model.download_file_to_bytes().filename("config.json").range(2..12).send().await.unwrap();
        assert_eq!(part, "model_type");
        let to_blobs: Vec<Asked> = hub.log().into_iter().filter(|a| a.origin == Origin::Blobs).collect();
        assert!(!to_blobs.is_empty() && to_blobs.iter().all(|a| !a.token), "{to_blobs:?}");
    }
}

#[tokio::test]
async fn what_is_missing_or_closed_has_the_hubs_own_errors() {
    let hub = filled();
    let file = |id: &str, revision: &str, path: &str| format!("{}/{id}/resolve/{revision}/{path}", hub.url());
    let info = |id: &str| format!("{}/api/models/{id}", hub.url());
    let good = ("Authorization", "Bearer hf_read");
    let granted = ("Authorization", "Bearer hf_granted");
    let owner = ("Authorization", "Bearer hf_owner");
    let cases = [
        (info("lab/none"), None, 401, "RepoNotFound"),
        (info("lab/none"), Some(good), 404, "RepoNotFound"),
        (info("lab/secret"), None, 401, "RepoNotFound"),
        (info("lab/secret"), Some(good), 404, "RepoNotFound"),
        (info("lab/secret"), Some(owner), 200, ""),
        (info("lab/gated"), None, 200, ""),
        (file("lab/gated", "main", "config.json"), None, 401, "GatedRepo"),
        (file("lab/gated", "main", "config.json"), Some(good), 403, "GatedRepo"),
        (file("lab/gated", "main", "config.json"), Some(granted), 200, ""),
        (file("lab/tiny", "v9", "config.json"), None, 404, "RevisionNotFound"),
        (file("lab/tiny", "main", "none.json"), None, 404, "EntryNotFound"),
        (info("lab/tiny"), Some(("Authorization", "Bearer hf_wrong")), 401, ""),
    ];
    for (url, token, status, code) in cases {
        for method in ["GET", "HEAD"] {
            if method == "HEAD" && url.contains("/api/") {
                continue;
            }
            let response = ask(method, &url, token.as_slice()).await;
            assert_eq!((response.status().as_u16(), header(&response, "x-error-code")), (status, code.into()), "{url}");
            assert_eq!(status >= 400, !header(&response, "x-error-message").is_empty(), "{url}");
        }
    }
    let Client { client, cache: _cache } = client(&hub, READ);
    let missing = client.model("lab", "none").info().send().await.unwrap_err();
    assert!(matches!(missing, HFError::RepoNotFound { .. }), "{missing}");
    let closed = client.model("lab", "gated").download_file().filename("config.json").send().await.unwrap_err();
    assert!(closed.to_string().contains("authorized list"), "{closed}");
    let me = client.whoami().send().await.unwrap();
    assert_eq!(me.username, "tester");
}

#[tokio::test]
async fn an_older_commit_stays_readable() {
    let hub = Hub::start();
    hub.add(Repository::model("lab/tiny").file("a.txt", "one").revision("v1").title("First"));
    let first = hub.sha("lab/tiny", "main").unwrap();
    let named = "0123456789012345678901234567890123456789";
    hub.add(Repository::model("lab/tiny").file("a.txt", "two").title("Second").sha(named));
    assert_eq!(hub.sha("lab/tiny", "main").as_deref(), Some(named));
    for (revision, content) in [("main", "two"), (named, "two"), ("v1", "one"), (&first, "one"), (&first[..8], "one")] {
        let response = get(&format!("{}/lab/tiny/resolve/{revision}/a.txt", hub.url())).await;
        assert_eq!(response.text().await.unwrap(), content, "{revision}");
    }
    let Client { client, cache: _cache } = client(&hub, READ);
    let model = client.model("lab", "tiny");
    let commits = model.list_commits().send().unwrap();
    let titles: Vec<String> = commits.map_ok(|c| c.title).try_collect().await.unwrap();
    assert_eq!(titles, ["Second", "First"]);
}

#[tokio::test]
async fn hf_hub_makes_a_repository_and_commits_to_it() {
    let hub = filled();
    let Client { client, cache: _cache } = client(&hub, WRITE);
    let make = || client.create_repository().repo_id("tester/merged").repo_type(RepoTypeModel).private(true).send();
    make().await.unwrap();
    let again = make().await.unwrap_err();
    assert!(matches!(again, HFError::Conflict { .. }), "{again}");
    let model = client.model("tester", "merged");
    let operations = vec![
        CommitOperation::add_bytes("config.json", b"{}".to_vec()),
        CommitOperation::add_bytes("model.safetensors", weights()),
        CommitOperation::delete(".gitattributes"),
    ];
    // hf-hub does LFS over Xet only; where a hub says "basic", it sends the file in the commit itself.
    let commit = || model.create_commit().operations(operations.clone()).commit_message("Merge").send();
    let refused = commit().await.unwrap_err();
    assert!(refused.to_string().contains("binary files"), "{refused}");
    hub.binaries(true);
    let commit = commit().await.unwrap();
    assert_eq!(commit.commit_oid, hub.sha("tester/merged", "main"));
    let kept = hub.repository("tester/merged").unwrap();
    assert_eq!(kept.paths(), ["config.json", "model.safetensors"]);
    assert_eq!((kept.title.as_str(), kept.bytes("model.safetensors").unwrap().to_vec()), ("Merge", weights()));
    assert!(!kept.is_lfs("model.safetensors"));
    let stale = model.create_commit().operations(vec![CommitOperation::add_bytes("a", b"a".to_vec())]);
    let stale = stale.commit_message("Late").parent_commit("0".repeat(40)).send().await.unwrap_err();
    assert!(matches!(stale, HFError::Http { context } if context.status == 412));
    // Somebody else's namespace, and a token that only reads.
    let foreign = client.create_repository().repo_id("other/merged").repo_type(RepoTypeModel).send().await.unwrap_err();
    assert!(matches!(foreign, HFError::Forbidden { .. }), "{foreign}");
    let reader = self::client(&hub, READ);
    let read_only = reader.client.model("lab", "tiny");
    let refused = read_only.upload_file().path_in_repo("a.txt");
    let refused = refused.source(hf_hub::repository::AddSource::bytes("a")).send().await.unwrap_err();
    assert!(matches!(refused, HFError::Forbidden { .. }), "{refused}");
}

/// One object by way of the LFS batch API; the status of what failed, if something did.
async fn upload(hub: &Hub, id: &str, path: &str, content: &[u8]) -> Result<(), u16> {
    let web = reqwest::Client::new();
    let oid = hex(Sha256::digest(content));
    let checked = |response: Response| match response.status().as_u16() {
        200 => Ok(response),
        status => Err(status),
    };
    let object = json!({"oid": oid, "size": content.len()});
    let batch = json!({"operation": "upload", "transfers": ["basic", "multipart"], "objects": [object]});
    let url = format!("{}/{id}.git/info/lfs/objects/batch", hub.url());
    let batch = checked(web.post(url).bearer_auth(WRITE).json(&batch).send().await.unwrap())?;
    let batch: Value = batch.json().await.unwrap();
    let actions = &batch["objects"][0]["actions"];
    if actions.is_object() {
        let href = actions["upload"]["href"].as_str().unwrap();
        if batch["transfer"] == "multipart" {
            let header = actions["upload"]["header"].as_object().unwrap();
            let size: usize = header["chunk_size"].as_str().unwrap().parse().unwrap();
            let mut parts = Vec::new();
            for (n, chunk) in content.chunks(size).enumerate() {
                let part = web.put(header[&format!("{:05}", n + 1)].as_str().unwrap()).body(chunk.to_vec());
                let part = checked(part.send().await.unwrap())?;
                parts.push(json!({"partNumber": n + 1, "etag": header_of(&part)}));
            }
            checked(web.post(href).json(&json!({"oid": oid, "parts": parts})).send().await.unwrap())?;
        } else {
            checked(web.put(href).body(content.to_vec()).send().await.unwrap())?;
        }
        let verify = web.post(actions["verify"]["href"].as_str().unwrap()).bearer_auth(WRITE).json(&object);
        checked(verify.send().await.unwrap())?;
    }
    let header = json!({"key": "header", "value": {"summary": "Upload", "description": ""}});
    let file = json!({"key": "lfsFile", "value": {"path": path, "algo": "sha256", "oid": oid, "size": content.len()}});
    let commit = web.post(format!("{}/api/models/{id}/commit/main", hub.url())).bearer_auth(WRITE);
    checked(commit.body(format!("{header}\n{file}\n")).send().await.unwrap()).map(drop)
}

fn header_of(response: &Response) -> String {
    header(response, ETAG)
}

#[tokio::test]
async fn large_files_are_uploaded_by_way_of_lfs_whole_or_in_parts() {
    let hub = filled();
    upload(&hub, "lab/tiny", "model.safetensors", &[1; 5000]).await.unwrap();
    hub.parts(1000);
    upload(&hub, "lab/tiny", "other.safetensors", &[2; 4500]).await.unwrap();
    let kept = hub.repository("lab/tiny").unwrap();
    assert!(kept.is_lfs("model.safetensors") && kept.is_lfs("other.safetensors"));
    assert_eq!(kept.bytes("model.safetensors").unwrap(), [1; 5000].as_slice());
    assert_eq!(kept.bytes("other.safetensors").unwrap(), [2; 4500].as_slice());
    let response = reqwest::get(format!("{}/lab/tiny/resolve/main/other.safetensors", hub.url())).await.unwrap();
    assert_eq!(response.bytes().await.unwrap(), [2; 4500].as_slice());
    // What the hub has already is not sent again.
    hub.forget();
    upload(&hub, "lab/tiny", "copy.safetensors", &[2; 4500]).await.unwrap();
    assert!(hub.log().iter().all(|a| a.origin == Origin::Api), "{:?}", hub.log());
    // The second origin refuses once: nothing is committed.
    hub.fault(Fault::status(500).on("PUT", "/upload/").times(1));
    assert_eq!(upload(&hub, "lab/tiny", "late.safetensors", &[3; 100]).await, Err(500));
    assert!(hub.repository("lab/tiny").unwrap().bytes("late.safetensors").is_none());
    upload(&hub, "lab/tiny", "late.safetensors", &[3; 100]).await.unwrap();
}

#[tokio::test]
async fn a_lfs_file_is_at_another_origin_and_can_be_read_in_parts() {
    let hub = filled();
    let url = format!("{}/lab/tiny/resolve/main/model.safetensors", hub.url());
    let head = ask("HEAD", &url, &[]).await;
    assert_eq!(head.status(), StatusCode::FOUND);
    assert_eq!(Some(header(&head, "x-repo-commit")), hub.sha("lab/tiny", "main"));
    let sha256 = hex(Sha256::digest(weights()));
    assert_eq!(header(&head, "x-linked-etag"), format!("\"{sha256}\""));
    assert_eq!(header(&head, "x-linked-size"), weights().len().to_string());
    let blob = header(&head, LOCATION);
    assert!(blob.starts_with(hub.blobs()) && !blob.starts_with(hub.url()), "{blob}");
    let size = weights().len();
    let (all, last) = (0..size, size - 1);
    let cases = [
        ("bytes=0-".to_owned(), 206, all.clone()),
        ("bytes=8-15".to_owned(), 206, 8..16),
        (format!("bytes={last}-"), 206, last..size),
        ("bytes=-4".to_owned(), 206, size - 4..size),
        (format!("bytes=10-{}", size * 2), 206, 10..size),
        (format!("bytes={size}-"), 416, 0..0),
        ("lines=1-2".to_owned(), 200, all),
    ];
    for (range, status, part) in cases {
        let response = ask("GET", &blob, &[("Range", &range)]).await;
        assert_eq!(response.status().as_u16(), status, "{range}");
        assert_eq!(header(&response, CONTENT_LENGTH), part.len().to_string(), "{range}");
        let expected = match status {
            206 => format!("bytes {}-{}/{size}", part.start, part.end - 1),
            416 => format!("bytes */{size}"),
            _ => String::new(),
        };
        assert_eq!(header(&response, CONTENT_RANGE), expected, "{range}");
        assert_eq!(header(&response, ACCEPT_RANGES), "bytes");
        assert_eq!(response.bytes().await.unwrap(), weights()[part], "{range}");
    }
    let asked = hub.log().into_iter().find(|a| a.range.as_deref() == Some("bytes=8-15")).unwrap();
    assert_eq!((asked.status, asked.sent, asked.origin), (206, 8, Origin::Blobs));
    let tag = format!("\"{sha256}\"");
    assert_eq!(ask("HEAD", &url, &[("If-None-Match", &tag)]).await.status(), StatusCode::NOT_MODIFIED);
}

#[tokio::test]
async fn a_file_on_disk_is_served_without_being_read_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("large");
    let content: Vec<u8> = (0..3_000_000u32).map(|i| (i % 251) as u8).collect();
    std::fs::write(&path, &content).unwrap();
    let hub = Hub::start();
    hub.add(Repository::model("lab/large").lfs_from("model.safetensors", &path));
    let url = format!("{}/lab/large/resolve/main/model.safetensors", hub.url());
    assert_eq!(reqwest::get(&url).await.unwrap().bytes().await.unwrap(), content);
    assert_eq!(hub.repository("lab/large").unwrap().bytes("model.safetensors").unwrap(), content);
}

#[tokio::test]
async fn an_id_of_old_and_one_in_other_letters_lead_to_the_repository() {
    let hub = Hub::start();
    hub.add(tiny().formerly("old/tiny"));
    for id in ["old/tiny", "Lab/Tiny"] {
        let response = get(&format!("{}/{id}/resolve/main/config.json", hub.url())).await;
        assert_eq!(
            (response.status().as_u16(), header(&response, LOCATION).as_str()),
            (307, "/lab/tiny/resolve/main/config.json")
        );
        let info: Value = reqwest::get(format!("{}/api/models/{id}", hub.url())).await.unwrap().json().await.unwrap();
        assert_eq!(info["id"], "lab/tiny");
    }
}

#[tokio::test]
async fn hostile_names_reach_the_client_as_they_are() {
    let hub = filled();
    hub.add(hostile());
    let list: Value =
        get(&format!("{}/api/models?search=owned&full=true&cardData=true", hub.url())).await.json().await.unwrap();
    let id = list[0]["id"].as_str().unwrap();
    assert!(id.contains('\u{1b}'), "{id:?}");
    let names: Vec<&str> =
        list[0]["siblings"].as_array().unwrap().iter().map(|s| s["rfilename"].as_str().unwrap()).collect();
    assert!(names.contains(&"../../.bashrc") && names.contains(&"/etc/passwd"), "{names:?}");
    assert!(list[0]["tags"].as_array().unwrap().iter().any(|t| t == "\u{1b}[2J\u{1b}[H"));
    let path =
        percent_encoding::utf8_percent_encode(id, percent_encoding::NON_ALPHANUMERIC).to_string().replace("%2F", "/");
    let tree: Value = get(&format!("{}/api/models/{path}/tree/main", hub.url())).await.json().await.unwrap();
    assert!(tree.as_array().unwrap().iter().any(|e| e["path"] == "../../.bashrc" && e["type"] == "file"));
}

#[test]
fn cards_and_dates_are_read_and_written_as_the_hub_has_them() {
    let readme =
        "---\nlicense: mit\ntags:\n- lora\n- \"sql: yes\"\nlanguage: [en, 'de']\nextra:\n  deep: 1\n---\n# Title\n";
    let repository = Repository::model("lab/card").file("README.md", readme);
    let card = repository.card_data().unwrap();
    assert_eq!(card, json!({"license": "mit", "tags": ["lora", "sql: yes"], "language": ["en", "de"], "extra": null}));
    for none in ["# Title\n", "---\nlicense: mit\n", ""] {
        assert_eq!(Repository::model("lab/none").file("README.md", none).card_data(), None, "{none:?}");
    }
    let at = |seconds: u64| iso(UNIX_EPOCH + Duration::from_millis(seconds * 1000 + 7));
    assert_eq!(at(951_782_400), "2000-02-29T00:00:00.007Z");
    assert_eq!(at(1_735_689_599), "2024-12-31T23:59:59.007Z");
    assert_eq!(at(1_772_323_200), "2026-03-01T00:00:00.007Z");
}

#[test]
#[ignore = "needs Python's huggingface_hub: .ci/run installs it"]
fn pythons_client_lists_downloads_and_uploads() {
    let hub = filled();
    hub.add(tiny().file("config.json", r#"{"model_type":"llama","second":true}"#).title("Second").revision("v2"));
    hub.relative(true);
    hub.parts(1 << 20);
    hub.many(50);
    let home = tempfile::tempdir().unwrap();
    let python = std::env::var("LOPPER_PYTHON").unwrap_or_else(|_| "python3".into());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/hub/check.py");
    let status = std::process::Command::new(python)
        .arg(script)
        .env("HF_ENDPOINT", hub.url())
        .env("HF_HOME", home.path())
        .env("HF_HUB_DISABLE_XET", "1")
        .env("HF_HUB_DISABLE_TELEMETRY", "1")
        .env("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")
        .env_remove("HF_TOKEN")
        .status()
        .unwrap();
    assert!(status.success());
    let kept = hub.repository("tester/from-python").unwrap();
    assert_eq!(kept.paths(), [".gitattributes", "README.md", "big.safetensors", "model.safetensors", "sub/notes.txt"]);
    assert!(kept.is_lfs("big.safetensors") && kept.is_lfs("model.safetensors") && !kept.is_lfs("README.md"));
    assert_eq!(kept.bytes("big.safetensors").unwrap().len(), 3_500_000);
    assert_eq!(kept.title, "From Python");
    assert!(hub.log().iter().filter(|a| a.origin == Origin::Blobs).all(|a| !a.token));
}
