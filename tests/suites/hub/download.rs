//! Downloads from a hub with faults: nothing is lost, no part is ever taken for whole, each fault gets a sentence.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, dead_code)]

use crate::hub;
use hub::{Fault, Gate, Hub, Origin, Repository, hostile, tensors};
use lopper::hub::client::Client;
use lopper::hub::download::{self, Board};
use lopper::hub::environment::Environment;
use lopper::hub::reference::Reference;
use lopper::hub::supply::{is_whole, wait};
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::Duration;

const BASE: &str = "lab/base";
const ADAPTER: &str = "lab/lora";

/// Two megabytes that look like nothing.
fn weights() -> Vec<u8> {
    let mut bytes = tensors(&[("model.embed_tokens.weight", &[1024, 512])]);
    let mut state = 1u64;
    let begin = bytes.len() - 1024 * 512 * 4;
    for byte in &mut bytes[begin..] {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        *byte = (state >> 56) as u8;
    }
    bytes
}

fn base() -> Repository {
    Repository::model(BASE)
        .file("config.json", r#"{"model_type":"llama"}"#)
        .file("tokenizer.json", "{}")
        .file("README.md", "# Base")
        .lfs("model.safetensors", weights())
        .lfs("pytorch_model.bin", vec![0; 999])
}

fn filled() -> Hub {
    let hub = Hub::start();
    hub.add(base());
    hub.add(
        Repository::model(ADAPTER)
            .file("adapter_config.json", r#"{"r":8}"#)
            .lfs("adapter_model.safetensors", tensors(&[("lora_A", &[8, 4])])),
    );
    hub.add(Repository::model("lab/secret").file("config.json", "{}").private("hf_owner"));
    let small = tensors(&[("a", &[2, 2])]);
    let gated = Repository::model("lab/gated").file("config.json", "{}").lfs("model.safetensors", small);
    hub.add(gated.gated(Gate::Manual, "hf_granted"));
    hub
}

/// A user with an own cache.
struct User {
    home: tempfile::TempDir,
    set: Vec<(&'static str, String)>,
}

impl User {
    fn of(hub: &Hub) -> Self {
        let home = tempfile::tempdir().unwrap();
        let set = vec![("HF_ENDPOINT", hub.url().to_owned()), ("HF_HOME", home.path().to_str().unwrap().to_owned())];
        Self { home, set }
    }

    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.set.push((name, value.into()));
        self
    }

    fn client(&self) -> Client {
        let get = |name: &str| self.set.iter().find(|s| s.0 == name).map(|s| OsString::from(&s.1));
        Client::new(Environment::of(get, None).unwrap()).unwrap()
    }

    fn cache(&self) -> PathBuf {
        self.home.path().join("hub")
    }

    fn fetch(&self, what: &str) -> Result<PathBuf, String> {
        let client = self.client();
        let work = async {
            let plan = download::plan(&client, &Reference::parse(what)?, None).await?;
            download::fetch(&client, &plan, &Board::default()).await
        };
        wait(work).map_err(|e| e.to_string())
    }

    /// Names in `blobs` of a repository.
    fn blobs(&self, id: &str) -> Vec<String> {
        let folder = self.cache().join(format!("models--{}", id.replace('/', "--"))).join("blobs");
        let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
        entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect()
    }

    fn lopper(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lopper"));
        command.env_clear().args(arguments).envs(self.set.iter().map(|(k, v)| (*k, v.as_str())));
        command.current_dir(self.home.path()).output().unwrap()
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The fault leaves no whole file behind; without it the same fetch goes well and gives the right bytes.
fn refused_then_mended(hub: &Hub, user: &User) -> String {
    let said = user.fetch(BASE).unwrap_err();
    let whole: Vec<String> = user.blobs(BASE).into_iter().filter(|n| n.len() == 64).collect();
    assert!(whole.is_empty(), "{said}: {whole:?}");
    assert!(!said.chars().any(char::is_control), "{said}");
    hub.calm();
    let folder = user.fetch(BASE).unwrap();
    assert!(std::fs::read(folder.join("model.safetensors")).unwrap() == weights(), "{said}: other bytes");
    let left: Vec<String> = user.blobs(BASE).into_iter().filter(|n| n.contains("incomplete")).collect();
    assert!(left.is_empty(), "{left:?}");
    said
}

#[test]
fn what_is_needed_is_fetched_into_the_layout_of_pythons_cache() {
    let hub = filled();
    let user = User::of(&hub);
    let folder = user.fetch(BASE).unwrap();
    let commit = hub.sha(BASE, "main").unwrap();
    let shelf = user.cache().join("models--lab--base");
    assert_eq!(folder, shelf.join("snapshots").join(&commit));
    assert_eq!(std::fs::read_to_string(shelf.join("refs/main")).unwrap(), commit);
    let mut names: Vec<String> =
        std::fs::read_dir(&folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    // No pickle, no card.
    assert_eq!(names, ["config.json", "model.safetensors", "tokenizer.json"]);
    let link = std::fs::read_link(folder.join("model.safetensors")).unwrap();
    assert!(link.starts_with("../../blobs") && link.file_name().unwrap().len() == 64, "{link:?}");
    assert!(is_whole(&folder));
    // The second time nothing is fetched.
    hub.forget();
    user.fetch(BASE).unwrap();
    assert!(hub.log().iter().all(|asked| !asked.target.contains("/resolve/")), "{:?}", hub.log());
}

#[test]
fn a_cut_connection_is_resumed_where_it_broke() {
    let hub = filled();
    let user = User::of(&hub);
    hub.fault(Fault::cut(700_001).on("GET", "/blobs/").times(2));
    let folder = user.fetch(BASE).unwrap();
    assert!(std::fs::read(folder.join("model.safetensors")).unwrap() == weights());
    let asked: Vec<_> = hub.log().into_iter().filter(|a| a.target.starts_with("/blobs/")).collect();
    let ranges: Vec<Option<&str>> = asked.iter().map(|a| a.range.as_deref()).collect();
    assert_eq!(ranges, [None, Some("bytes=700001-"), Some("bytes=1400002-")], "{asked:?}");
}

#[test]
fn a_download_that_was_given_up_goes_on_with_the_next_command() {
    let hub = filled();
    let user = User::of(&hub);
    hub.fault(Fault::cut(300_000).on("GET", "/blobs/").times(1));
    hub.fault(Fault::status(503).on("GET", "/blobs/").after(1));
    let said = user.fetch(BASE).unwrap_err();
    assert!(said.contains("503") && said.contains("try again later"), "{said}");
    hub.calm();
    hub.forget();
    user.fetch(BASE).unwrap();
    let ranges: Vec<_> = hub.log().into_iter().filter(|a| a.target.starts_with("/blobs/")).map(|a| a.range).collect();
    assert_eq!(ranges, [Some("bytes=300000-".to_owned())]);
}

#[test]
fn a_server_without_ranges_begins_anew() {
    let hub = filled();
    let user = User::of(&hub);
    hub.fault(Fault::cut(500_000).on("GET", "/blobs/").times(1));
    hub.fault(Fault::no_range().on("GET", "/blobs/"));
    let folder = user.fetch(BASE).unwrap();
    assert!(std::fs::read(folder.join("model.safetensors")).unwrap() == weights());
}

#[test]
fn an_error_page_of_the_blobs_server_is_never_taken_for_the_file() {
    let hub = filled();
    let user = User::of(&hub);
    hub.fault(Fault::forbidden_blob());
    let said = refused_then_mended(&hub, &user);
    assert!(said.contains("model.safetensors"), "{said}");
}

#[test]
fn a_file_with_a_wrong_hash_is_thrown_away() {
    let hub = filled();
    let user = User::of(&hub);
    hub.fault(Fault::wrong_bytes().on("GET", "/blobs/"));
    let said = refused_then_mended(&hub, &user);
    assert!(said.contains("another hash than it lists") && said.contains("nothing of it was kept"), "{said}");
    // Once wrong, then right.
    let user = User::of(&hub);
    hub.fault(Fault::wrong_bytes().on("GET", "/blobs/").times(1));
    user.fetch(BASE).unwrap();
    // A small file has git's hash.
    let user = User::of(&hub);
    hub.fault(Fault::wrong_bytes().on("GET", "/config.json"));
    let said = user.fetch(BASE).unwrap_err();
    assert!(said.contains("config.json") && said.contains("another hash"), "{said}");
}

#[test]
fn a_wrong_length_is_told() {
    let hub = filled();
    for fault in [Fault::longer(10), Fault::shorter(10), Fault::claim(5 << 30)] {
        let user = User::of(&hub);
        hub.fault(fault.on("GET", "/blobs/"));
        let said = refused_then_mended(&hub, &user);
        assert!(said.contains("bytes where 2097") || said.contains("broke off"), "{said}");
    }
}

#[test]
fn refusals_say_which_page_to_visit_and_how_to_log_in() {
    let hub = filled();
    let host = hub.url();
    let anonymous = User::of(&hub);
    let known = User::of(&hub).with("HF_TOKEN", "hf_granted");
    let said = anonymous.fetch("lab/gated").unwrap_err();
    assert!(said.contains(&format!("{host}/lab/gated")) && said.contains("hf auth login"), "{said}");
    let said = User::of(&hub).with("HF_TOKEN", hub::READ).fetch("lab/gated").unwrap_err();
    assert!(said.contains("no access") && said.contains(&format!("{host}/lab/gated")), "{said}");
    known.fetch("lab/gated").unwrap();
    let said = anonymous.fetch("lab/secret").unwrap_err();
    assert!(said.contains("or it is private") && said.contains("hf auth login"), "{said}");
    let said = anonymous.fetch("lab/nothing").unwrap_err();
    assert!(said.contains("no such repository"), "{said}");
    let said = anonymous.fetch("lab/base@v9").unwrap_err();
    assert!(said.contains("lab/base@v9: no such revision") && said.contains("lab/base/refs"), "{said}");
    let said = User::of(&hub).with("HF_TOKEN", "hf_wrong").fetch(BASE).unwrap_err();
    assert!(said.contains("token") && !said.contains("hf_wrong"), "{said}");
}

#[test]
fn the_token_goes_to_the_hub_and_not_to_the_server_of_the_blobs() {
    let hub = filled();
    User::of(&hub).with("HF_TOKEN", hub::READ).fetch(BASE).unwrap();
    let log = hub.log();
    assert!(log.iter().any(|a| a.token), "{log:?}");
    assert!(log.iter().filter(|a| a.target.starts_with("/blobs/")).all(|a| !a.token), "{log:?}");
    assert!(log.iter().any(|a| a.origin == Origin::Blobs));
}

#[test]
fn the_hub_is_waited_for_as_long_as_it_asks() {
    let hub = filled();
    let user = User::of(&hub);
    hub.fault(Fault::status(429).header("Retry-After", "1").path("/api/models").times(1));
    hub.fault(Fault::status(429).header("Retry-After", "1").on("GET", "/resolve/").times(1));
    let start = std::time::Instant::now();
    user.fetch(BASE).unwrap();
    assert!(start.elapsed() >= Duration::from_secs(2), "{:?}", start.elapsed());
    let user = User::of(&hub);
    hub.fault(Fault::status(429).header("Retry-After", "3600").path("/api/models"));
    let said = user.fetch(BASE).unwrap_err();
    assert!(said.contains("asks to wait for 3600 s"), "{said}");
}

#[test]
fn trouble_that_passes_is_passed_over_and_trouble_that_stays_is_told() {
    let hub = filled();
    let user = User::of(&hub);
    hub.fault(Fault::status(500).times(2));
    user.fetch(BASE).unwrap();
    let user = User::of(&hub);
    hub.fault(Fault::status(502).path("/api/"));
    let said = user.fetch(BASE).unwrap_err();
    assert!(said.contains("has trouble (502)"), "{said}");
    hub.calm();
    hub.fault(Fault::html().path("/api/"));
    let said = user.fetch(BASE).unwrap_err();
    assert!(said.contains("answers strangely"), "{said}");
    hub.calm();
    hub.fault(Fault::redirect_loop().on("GET", "/blobs/"));
    let said = refused_then_mended(&hub, &user);
    assert!(said.contains("without an end"), "{said}");
}

#[test]
fn a_slow_drip_arrives() {
    let hub = Hub::start();
    hub.add(base().lfs("model.safetensors", tensors(&[("a", &[10, 10])])));
    hub.fault(Fault::drip(50, Duration::from_millis(20)).on("GET", "/blobs/"));
    let user = User::of(&hub);
    user.fetch(BASE).unwrap();
}

#[test]
fn hostile_names_fetch_nothing() {
    let hub = Hub::start();
    for (i, path) in ["../../.bashrc", "/etc/passwd", "a/../../b", "a\\..\\b", "a\u{1b}[2Jb", ".."].iter().enumerate() {
        let id = format!("lab/evil{i}");
        hub.add(Repository::model(&id).file("config.json", "{}").lfs("model.safetensors", "x").raw_sibling(path));
        let user = User::of(&hub);
        let said = user.fetch(&id).unwrap_err();
        assert!(said.contains("nothing of it is fetched") && !said.contains('\u{1b}'), "{said}");
        assert!(!user.cache().exists());
    }
    hub.add(hostile());
    // Lengths that would not add up.
    let mut endless = base();
    endless.files.get_mut("model.safetensors").unwrap().size = 1 << 60;
    hub.add(endless);
    let user = User::of(&hub);
    let said = user.fetch(BASE).unwrap_err();
    assert!(said.contains("is longer than any file is; nothing of it is fetched"), "{said}");
    assert!(!user.cache().exists());
}

#[test]
fn offline_nothing_is_asked() {
    let hub = filled();
    let user = User::of(&hub).with("HF_HUB_OFFLINE", "1");
    let said = user.fetch(BASE).unwrap_err();
    assert!(said.contains("HF_HUB_OFFLINE"), "{said}");
    assert!(hub.log().is_empty(), "{:?}", hub.log());
}

#[test]
fn two_at_once_fetch_each_file_once() {
    let hub = filled();
    let user = User::of(&hub);
    hub.fault(Fault::drip(200_000, Duration::from_millis(30)).on("GET", "/blobs/"));
    std::thread::scope(|scope| {
        let both = [scope.spawn(|| user.fetch(BASE)), scope.spawn(|| user.fetch(BASE))];
        for one in both {
            one.join().unwrap().unwrap();
        }
    });
    let asked: Vec<_> = hub.log().into_iter().filter(|a| a.target.starts_with("/blobs/")).collect();
    assert_eq!(asked.len(), 1, "{asked:?}");
}

#[test]
fn a_lock_of_another_program_is_waited_for() {
    let hub = filled();
    let user = User::of(&hub);
    let plan = wait(async { download::plan(&user.client(), &Reference::parse(ADAPTER)?, None).await }).unwrap();
    let locks = user.cache().join(".locks/models--lab--lora");
    std::fs::create_dir_all(&locks).unwrap();
    let weights = plan.files.iter().find(|f| f.path.ends_with("safetensors")).unwrap();
    let lock = std::fs::File::create(locks.join(format!("{}.lock", weights.oid))).unwrap();
    lock.lock().unwrap();
    std::thread::scope(|scope| {
        let one = scope.spawn(|| user.fetch(ADAPTER));
        std::thread::sleep(Duration::from_millis(700));
        assert!(!one.is_finished());
        lock.unlock().unwrap();
        one.join().unwrap().unwrap();
    });
}

#[test]
fn the_command_line_tells_what_a_recipe_writes_and_exits_with_the_kind_of_failure() {
    let hub = filled();
    let user = User::of(&hub);
    let done = user.lopper(&["hub", "fetch", BASE, ADAPTER]);
    assert!(done.status.success(), "{}", text(&done.stderr));
    let commit = hub.sha(ADAPTER, "main").unwrap();
    assert!(
        text(&done.stdout).contains(&format!("in a recipe: \"hf://{ADAPTER}@{commit}\"")),
        "{}",
        text(&done.stdout)
    );
    for (arguments, code, said) in [
        (&["hub", "fetch", "lab/nothing"][..], 2, "no such repository"),
        (&["hub", "fetch", "../x"][..], 2, "names no repository"),
        (&["hub", "fetch", "lab/base", "--file", "q4.gguf"][..], 2, "has no weights"),
    ] {
        let done = user.lopper(arguments);
        assert_eq!(done.status.code(), Some(code), "{arguments:?}");
        assert!(text(&done.stderr).contains(said), "{}", text(&done.stderr));
    }
    hub.fault(Fault::status(503).path("/api/"));
    assert_eq!(user.lopper(&["hub", "fetch", "lab/base"]).status.code(), Some(1));
}

#[test]
fn a_killed_download_goes_on_where_it_was() {
    let hub = filled();
    let user = User::of(&hub);
    hub.fault(Fault::drip(100_000, Duration::from_millis(50)).on("GET", "/blobs/"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_lopper"));
    command.env_clear().args(["hub", "fetch", BASE]).envs(user.set.iter().map(|(k, v)| (*k, v.as_str())));
    let mut child = command.spawn().unwrap();
    let begun = || {
        let part = user.blobs(BASE).into_iter().find(|n| n.contains("incomplete"));
        let folder = user.cache().join("models--lab--base/blobs");
        part.and_then(|name| std::fs::metadata(folder.join(name)).ok()).map_or(0, |m| m.len())
    };
    while begun() < 300_000 {
        assert!(child.try_wait().unwrap().is_none(), "it ended early");
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    hub.calm();
    hub.forget();
    let kept = begun();
    user.fetch(BASE).unwrap();
    let asked: Vec<_> = hub.log().into_iter().filter(|a| a.target.starts_with("/blobs/")).map(|a| a.range).collect();
    assert_eq!(asked, [Some(format!("bytes={kept}-"))]);
}

#[test]
fn a_disk_without_room_is_told_before_anything_is_fetched() {
    let hub = filled();
    let user = User::of(&hub);
    let client = user.client();
    let mut plan = wait(async { download::plan(&client, &Reference::parse(BASE)?, None).await }).unwrap();
    plan.files.iter_mut().for_each(|f| f.size = 1 << 60);
    hub.forget();
    let said = wait(async { download::fetch(&client, &plan, &Board::default()).await }).unwrap_err().to_string();
    assert!(said.contains("are free; free some space"), "{said}");
    assert!(hub.log().is_empty());
}

#[test]
fn a_sharded_base_is_fetched_by_its_index() {
    let hub = Hub::start();
    let index = r#"{"weight_map":{"a":"model-1.safetensors","b":"model-2.safetensors"}}"#;
    hub.add(
        Repository::model("lab/large")
            .file("config.json", "{}")
            .file("tokenizer.json", "{}")
            .file("model.safetensors.index.json", index)
            .lfs("model-1.safetensors", tensors(&[("a", &[2, 2])]))
            .lfs("model-2.safetensors", tensors(&[("b", &[2, 2])]))
            .lfs("consolidated.safetensors", tensors(&[("c", &[2, 2])])),
    );
    let user = User::of(&hub);
    let folder = user.fetch("lab/large").unwrap();
    assert!(folder.join("model-2.safetensors").is_file() && !folder.join("consolidated.safetensors").exists());
}
