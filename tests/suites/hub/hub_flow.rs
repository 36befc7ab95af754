//! From the hub to a run and back: search, what fits, a recipe of `hf://…`, the result pushed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, dead_code)]

use crate::hub;
use crate::tiny;
use hub::{Fault, Hub, Repository, WRITE};
use lopper::run::RunState;
use lopper::run::event::{EventBody, PhaseKind};
use serde_json::{Value, json};
use tiny::{Project, Said, edit_json, events, said, until_over};

const BASE: &str = "lab/tiny";

/// The tiny project on a hub: its base, two adapters that fit it, one that doesn't, one of a quantised relative.
fn filled(project: &Project) -> Hub {
    let hub = Hub::start();
    hub.add(
        Repository::model(BASE)
            .folder(project.path("base"))
            .library("transformers")
            .pipeline("text-generation")
            .downloads(900),
    );
    let card = |of: &str, relation: &str| json!({"base_model": of, "base_model_relation": relation, "license": "mit"});
    let adapter = |id: &str, name: &str| Repository::model(id).folder(project.path(name)).library("peft");
    hub.add(adapter("lab/science-lora", "science").card(card(BASE, "adapter")).downloads(70));
    hub.add(adapter("else/web-lora", "net").card(card(BASE, "adapter")).downloads(50));
    hub.add(Repository::model("else/tiny-q8").file("config.json", "{}").card(card(BASE, "quantized")).downloads(9));
    hub.add(adapter("else/of-quantised", "net").card(card("else/tiny-q8", "adapter")).downloads(5));
    // Another base's shapes.
    let folder = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(project.path("net")).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
    }
    edit_json(&folder.path().join("adapter_config.json"), |config| config["use_dora"] = true.into());
    hub.add(
        Repository::model("lab/strange")
            .folder(folder.path())
            .library("peft")
            .card(card(BASE, "adapter"))
            .downloads(99),
    );
    hub
}

fn on(project: &Project, hub: &Hub, set: &[(&str, &str)], arguments: &[&str]) -> Said {
    let mut command = project.command(arguments);
    command.env("HF_ENDPOINT", hub.url()).env("HF_HOME", project.path("home"));
    command.env_remove("HF_HUB_CACHE").env_remove("HF_TOKEN").env_remove("HF_HUB_OFFLINE");
    said(command.envs(set.iter().copied()))
}

fn value(said: &Said) -> Value {
    assert_eq!(said.code, Some(0), "{}", said.err);
    serde_json::from_str(&said.out).unwrap()
}

fn ids(value: &Value) -> Vec<String> {
    value.as_array().unwrap().iter().map(|v| v["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_hub_is_searched_by_words_kinds_and_tags() {
    let project = Project::new();
    let hub = filled(&project);
    let found = |arguments: &[&str]| {
        let all: Vec<&str> = ["hub", "search", "--json"].into_iter().chain(arguments.iter().copied()).collect();
        ids(&value(&on(&project, &hub, &[], &all)))
    };
    assert_eq!(found(&["--bases", "tiny"]), [BASE, "else/tiny-q8"]);
    assert_eq!(found(&["--bases"]), [BASE]);
    assert_eq!(found(&["lora"]), ["lab/science-lora", "else/web-lora"]);
    assert_eq!(found(&["--adapters", "--license", "mit", "--author", "else"]), ["else/web-lora", "else/of-quantised"]);
    assert_eq!(found(&["--max-size", "1K", "tiny"]), Vec::<String>::new());
    assert_eq!(found(&["--task", "text-generation"])[0], BASE);
    let lines = on(&project, &hub, &[], &["hub", "search", "tiny"]);
    assert!(lines.out.starts_with("repository") && lines.out.contains("lab/tiny"), "{}", lines.out);
    let none = on(&project, &hub, &[], &["hub", "search", "nothing like it"]);
    assert!(none.out.contains("nothing found"), "{}", none.out);
}

#[test]
fn offline_the_cache_is_searched_by_the_same_words_and_filters() {
    let project = Project::new();
    let hub = filled(&project);
    assert_eq!(on(&project, &hub, &[], &["hub", "fetch", BASE, "lab/science-lora"]).code, Some(0));
    hub.forget();
    let found = |arguments: &[&str]| {
        let all: Vec<&str> = ["hub", "search"].into_iter().chain(arguments.iter().copied()).collect();
        let said = on(&project, &hub, &[("HF_HUB_OFFLINE", "1")], &all);
        assert_eq!(said.code, Some(0), "{said:?}");
        (said.out.contains(BASE), said.out.contains("lab/science-lora"), said.out)
    };
    for (arguments, base, adapter) in [
        (&[][..], true, true),
        (&["--bases"], true, false),
        (&["--adapters", "--author", "LAB"], false, true),
        (&["--author", "else"], false, false),
        (&["TINY", "--max-size", "1B"], true, false),
        (&["--max-size", "1K"], false, false),
    ] {
        let (has_base, has_adapter, out) = found(arguments);
        assert_eq!((has_base, has_adapter), (base, adapter), "{arguments:?}: {out}");
    }
    assert!(found(&["--author", "else"]).2.contains("nothing of it fits"));
    // Nothing here has a card to say so.
    assert!(found(&["--license", "mit", "tiny"]).2.contains("1 is left out: it does not say"));
    assert!(hub.log().is_empty(), "{:?}", hub.log());
}

#[test]
fn what_the_cache_has_is_listed_beside_what_the_hub_returns() {
    let project = Project::new();
    let hub = filled(&project);
    assert_eq!(on(&project, &hub, &[], &["hub", "fetch", "else/web-lora"]).code, Some(0));
    let found = on(&project, &hub, &[], &["hub", "search", "--limit", "1", "lora"]);
    let (of_hub, of_cache) = found.out.split_once("in the cache as well:").unwrap_or_else(|| panic!("{found:?}"));
    assert!(of_hub.contains("lab/science-lora") && !of_hub.contains("web-lora"), "{found:?}");
    assert!(of_cache.contains("else/web-lora"), "{found:?}");
    // What the hub returns stands once.
    let both = on(&project, &hub, &[], &["hub", "search", "lora"]);
    assert!(both.out.matches("else/web-lora").count() == 1 && !both.out.contains("as well"), "{both:?}");
}

#[test]
fn ten_thousand_results_are_read_page_by_page() {
    let project = Project::new();
    let hub = Hub::start();
    hub.many(10_000);
    let found = value(&on(&project, &hub, &[], &["hub", "search", "--limit", "120", "--json"]));
    assert_eq!(found.as_array().unwrap().len(), 120);
    // No more pages than are needed.
    assert_eq!(hub.log().len(), 3, "{:?}", hub.log());
}

#[test]
fn adapters_are_told_apart_by_their_headers_before_a_weight_is_fetched() {
    let project = Project::new();
    let hub = filled(&project);
    let found = value(&on(&project, &hub, &[], &["hub", "adapters", BASE, "--json"]));
    let rows: Vec<(String, bool, String)> = found
        .as_array()
        .unwrap()
        .iter()
        .map(|v| {
            let id = v["repository"]["id"].as_str().unwrap().to_owned();
            (id, v["fit"]["problem"].is_null(), v["made_for"].as_str().unwrap().to_owned())
        })
        .collect();
    let row = |id: &str, fits, of: &str| (id.to_owned(), fits, of.to_owned());
    assert_eq!(
        rows,
        [
            row("lab/science-lora", true, BASE),
            row("else/web-lora", true, BASE),
            row("else/of-quantised", true, "else/tiny-q8"),
            row("lab/strange", false, BASE),
        ]
    );
    let science = &found[0]["fit"]["facts"];
    assert!(science["rank"].as_u64().unwrap() > 0 && science["modules"].as_u64().unwrap() > 0, "{science}");
    let why = found[3]["fit"]["problem"].as_str().unwrap();
    assert!(why.contains("use_dora") && !why.contains("/tmp"), "{why}");
    // Headers alone: ranges of the weights, and nothing of the base but its configuration.
    for asked in hub.log().iter().filter(|a| a.target.contains(".safetensors")) {
        assert!(asked.range.is_some() && !asked.target.contains("lab/tiny/"), "{asked:?}");
    }
    let lines = on(&project, &hub, &[], &["hub", "adapters", BASE]);
    assert!(lines.out.contains("fits") && lines.out.contains("use_dora"), "{}", lines.out);
}

#[test]
fn the_adapters_of_a_base_of_another_name_are_those_of_the_name_that_it_has_now() {
    let project = Project::new();
    let hub = filled(&project);
    hub.add(Repository::model(BASE).folder(project.path("base")).library("transformers").formerly("old/tiny"));
    let card = json!({"base_model": "old/tiny", "base_model_relation": "adapter"});
    hub.add(Repository::model("old/lora").folder(project.path("net")).library("peft").card(card));
    let found = value(&on(&project, &hub, &[], &["hub", "adapters", "old/tiny", "--json"]));
    let made_for = |id: &str| {
        let row = found.as_array().unwrap().iter().find(|v| v["repository"]["id"] == id);
        row.unwrap_or_else(|| panic!("{id}: {found}"))["made_for"].clone()
    };
    assert_eq!(made_for("old/lora"), "old/tiny");
    assert_eq!(made_for("lab/science-lora"), BASE);
    assert_eq!(made_for("else/of-quantised"), "else/tiny-q8");
}

#[test]
fn a_repository_is_shown_with_its_files_licence_and_card() {
    let project = Project::new();
    let hub = filled(&project);
    let card = "---\nlicense: apache-2.0\n---\n# Tiny\n\nA \x1b[31mred\x1b[0m card.\n";
    hub.add(Repository::model("lab/carded").folder(project.path("base")).file("README.md", card));
    let shown = on(&project, &hub, &[], &["hub", "show", "lab/carded"]);
    for part in ["base", "apache-2.0", "model.safetensors", "open", "red"] {
        assert!(shown.out.contains(part), "{part}: {}", shown.out);
    }
    assert!(!shown.out.contains('\x1b'), "{}", shown.out);
}

/// A recipe of the hub's base and adapters.
fn recipe(project: &Project) {
    project.write(
        "recipe.toml",
        "base = \"hf://lab/tiny\"\n[[adapters]]\nname = \"games\"\nrole = \"target\"\nrank = 4\n[[adapters]]\nname = \
         \"science\"\nrole = \"related\"\npath = \"hf://lab/science-lora\"\n[data]\ntrain = \"data/train.jsonl\"\ndev = \
         \"data/dev.jsonl\"\n[train]\nsteps = 2\nbatch = 2\n[prune]\nratio = 0.5\n",
    );
}

/// The folder of a run of [`recipe`] that is over.
fn finished(project: &Project, hub: &Hub) -> String {
    recipe(project);
    assert_eq!(on(project, hub, &[], &["run", "recipe.toml", "--plain"]).code, Some(0));
    project.run().path().to_str().unwrap().to_owned()
}

#[test]
fn a_run_fetches_what_its_recipe_names_and_writes_down_the_commits() {
    let project = Project::new();
    let hub = filled(&project);
    recipe(&project);
    let ran = on(&project, &hub, &[], &["run", "recipe.toml", "--plain"]);
    assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
    let run = project.run();
    let written = std::fs::read_to_string(run.recipe_file()).unwrap();
    for id in [BASE, "lab/science-lora"] {
        let pinned = format!("\"hf://{id}@{}\"", hub.sha(id, "main").unwrap());
        assert!(written.contains(&pinned), "{pinned}: {written}");
    }
    let downloads = events(&run).into_iter().filter(|e| matches!(&e.body, EventBody::Phase(p) if p.phase == PhaseKind::Download && p.total > 0 && p.done == p.total));
    assert_eq!(downloads.count(), 2);
    // The same recipe again, with another commit on main and no network: what was pinned is used.
    std::fs::copy(run.recipe_file(), project.path("again.toml")).unwrap();
    let again = on(&project, &hub, &[("HF_HUB_OFFLINE", "1")], &["run", "again.toml", "--plain", "--name", "again"]);
    assert_eq!(again.code, Some(0), "{}{}", again.out, again.err);
    // What the run wrote loads elsewhere: the base by its name.
    let settings = std::fs::read_to_string(run.result().join("adapter/adapter_config.json")).unwrap();
    assert!(settings.contains("\"lab/tiny\""), "{settings}");
}

#[test]
fn a_recipe_of_the_hub_is_refused_with_a_sentence_under_its_key() {
    let project = Project::new();
    let hub = filled(&project);
    recipe(&project);
    let offline = on(&project, &hub, &[("HF_HUB_OFFLINE", "1")], &["run", "recipe.toml", "--plain"]);
    assert_eq!(offline.code, Some(2));
    assert!(offline.err.contains("base: lab/tiny: not in the cache, and HF_HUB_OFFLINE"), "{}", offline.err);
    let text = std::fs::read_to_string(project.path("recipe.toml")).unwrap();
    project.write("recipe.toml", &text.replace("lab/science-lora", "lab/gone"));
    let gone = on(&project, &hub, &[], &["run", "recipe.toml", "--plain"]);
    assert!(gone.err.contains("adapter science: lab/gone: there is no such repository"), "{}", gone.err);
    project.write("recipe.toml", &text.replace("hf://lab/tiny", "hf://../../etc"));
    let wrong = on(&project, &hub, &[], &["run", "recipe.toml", "--plain"]);
    assert!(wrong.code == Some(2) && wrong.err.contains("names no repository"), "{}", wrong.err);
    let check = on(&project, &hub, &[], &["check", "recipe.toml"]);
    assert_eq!(check.code, Some(2), "{}", check.out);
    assert!(project.runs().is_empty());
}

#[test]
fn a_run_whose_download_broke_off_is_resumed() {
    let project = Project::new();
    let hub = filled(&project);
    recipe(&project);
    hub.fault(Fault::status(503).on("GET", "/blobs/"));
    let ran = on(&project, &hub, &[], &["run", "recipe.toml", "--plain"]);
    assert_eq!(ran.code, Some(1), "{}{}", ran.out, ran.err);
    assert!(ran.err.contains("has trouble (503)"), "{}", ran.err);
    let run = project.run();
    assert_eq!(run.state(), RunState::Failed);
    hub.calm();
    let path = run.path().to_str().unwrap().to_owned();
    let resumed = on(&project, &hub, &[], &["resume", &path, "--plain"]);
    assert_eq!(resumed.code, Some(0), "{}{}", resumed.out, resumed.err);
    until_over(&run);
}

#[test]
fn a_result_is_pushed_and_can_be_fetched_and_used_again() {
    let project = Project::new();
    let hub = filled(&project);
    let path = finished(&project, &hub);
    let token = [("HF_TOKEN", WRITE)];
    let home = project.path("").to_str().unwrap().trim_end_matches('/').to_owned();
    // Nothing leaves the house by itself.
    let dry = on(&project, &hub, &token, &["hub", "push", &path, "lab/games", "--dry-run"]);
    assert!(dry.code == Some(0) && dry.out.contains("base_model: \"lab/tiny\""), "{}{}", dry.out, dry.err);
    assert!(!dry.out.contains(&home), "{}", dry.out);
    let unasked = on(&project, &hub, &token, &["hub", "push", &path, "lab/games"]);
    assert!(unasked.code == Some(2) && unasked.err.contains("--yes"), "{}", unasked.err);
    let stranger = on(&project, &hub, &[], &["hub", "push", &path, "lab/games", "--yes"]);
    assert!(stranger.code == Some(2) && stranger.err.contains("hf auth login"), "{}", stranger.err);
    assert!(hub.repository("lab/games").is_none());
    // A small limit: the weights go in parts.
    hub.parts(4 << 10);
    let pushed = on(&project, &hub, &token, &["hub", "push", &path, "lab/games", "--yes"]);
    assert_eq!(pushed.code, Some(0), "{}{}", pushed.out, pushed.err);
    let there = hub.repository("lab/games").unwrap();
    let mut paths = there.paths();
    paths.retain(|p| *p != ".gitattributes");
    let files = ["README.md", "adapter_config.json", "adapter_model.safetensors", "heatmap.svg", "recipe.toml"];
    assert_eq!(paths, files);
    assert!(there.private.is_some() && there.is_lfs("adapter_model.safetensors"));
    let weights = std::fs::read(project.run().result().join("adapter/adapter_model.safetensors")).unwrap();
    assert!(there.bytes("adapter_model.safetensors").unwrap() == weights);
    for file in ["README.md", "adapter_config.json", "recipe.toml", "heatmap.svg"] {
        let text = String::from_utf8(there.bytes(file).unwrap().to_vec()).unwrap();
        assert!(!text.contains(&home), "{file} tells a path of this machine: {text}");
    }
    // It is an adapter of its base now, and fits it.
    let found = value(&on(&project, &hub, &token, &["hub", "adapters", BASE, "--json"]));
    let games = found.as_array().unwrap().iter().find(|v| v["repository"]["id"] == "lab/games").unwrap();
    assert!(games["fit"]["problem"].is_null(), "{games}");
    assert_eq!(on(&project, &hub, &token, &["hub", "fetch", "lab/games"]).code, Some(0));
    // Once more: what is there is not sent again.
    hub.forget();
    assert_eq!(on(&project, &hub, &token, &["hub", "push", &path, "lab/games", "--yes"]).code, Some(0));
    assert!(hub.log().iter().all(|a| a.method != "PUT"), "{:?}", hub.log());
}

#[test]
fn a_push_that_is_refused_says_why() {
    let project = Project::new();
    let hub = filled(&project);
    let path = finished(&project, &hub);
    let pushed =
        |token: &str, id: &str| on(&project, &hub, &[("HF_TOKEN", token)], &["hub", "push", &path, id, "--yes"]);
    let reader = pushed(hub::READ, "lab/games");
    assert!(reader.code == Some(2) && reader.err.contains("forbids it"), "{}", reader.err);
    let foreign = pushed(WRITE, "meta/games");
    assert!(foreign.code == Some(2) && foreign.err.contains("forbids it"), "{}", foreign.err);
    assert!(pushed(WRITE, "games").err.contains("ORG/NAME"));
    hub.fault(Fault::cut(100).on("PUT", "/upload/").times(1));
    assert_eq!(pushed(WRITE, "lab/games").code, Some(0));
    project.write("recipe.toml", "");
    let none = on(&project, &hub, &[("HF_TOKEN", WRITE)], &["hub", "push", "recipe.toml", "lab/games", "--yes"]);
    assert_eq!(none.code, Some(2));
}

/// What `huggingface_hub` says on this machine, with our hub and our home.
fn python(project: &Project, hub: &Hub, set: &[(&str, &str)], program: &str) -> Said {
    let python = std::env::var("LOPPER_PYTHON").unwrap_or_else(|_| "python3".into());
    let mut command = std::process::Command::new(python);
    command.args(["-c", program]).stdin(std::process::Stdio::null());
    command
        .env("HF_ENDPOINT", hub.url())
        .env("HF_HOME", project.path("home"))
        .env("HF_HUB_DISABLE_XET", "1")
        .env("HF_HUB_DISABLE_PROGRESS_BARS", "1");
    command.env_remove("HF_HUB_CACHE").env_remove("HF_TOKEN").env_remove("HF_HUB_OFFLINE");
    said(command.envs(set.iter().copied()))
}

#[test]
#[ignore = "needs Python's huggingface_hub: .ci/run installs it and sets LOPPER_PYTHON"]
fn a_cache_filled_by_lopper_is_opened_by_python_without_a_network() {
    let project = Project::new();
    let hub = filled(&project);
    assert_eq!(on(&project, &hub, &[], &["hub", "fetch", BASE, "lab/science-lora"]).code, Some(0));
    hub.forget();
    let program = "import huggingface_hub as h, json\nprint(json.dumps([h.hf_hub_download('lab/tiny', 'model.safetensors'), \
                   h.snapshot_download('lab/science-lora'), h.hf_hub_download('lab/tiny', 'config.json', revision='main')]))\n\
                   print(sorted((r.repo_id, r.size_on_disk) for r in h.scan_cache_dir().repos), \
                   [str(w) for w in h.scan_cache_dir().warnings])";
    let found = python(&project, &hub, &[("HF_HUB_OFFLINE", "1")], program);
    assert_eq!(found.code, Some(0), "{}", found.err);
    assert!(found.out.contains("lab/science-lora") && found.out.trim_end().ends_with("[]"), "{}", found.out);
    assert!(hub.log().is_empty(), "{:?}", hub.log());
    // Online it finds nothing to fetch.
    let found =
        python(&project, &hub, &[], "import huggingface_hub as h\nh.hf_hub_download('lab/tiny', 'model.safetensors')");
    assert_eq!(found.code, Some(0), "{}", found.err);
    assert!(hub.log().iter().all(|a| a.method != "GET" || !a.target.contains("blobs")), "{:?}", hub.log());
}

#[test]
#[ignore = "needs Python's huggingface_hub: .ci/run installs it and sets LOPPER_PYTHON"]
fn a_cache_filled_by_python_is_used_without_a_byte_downloaded() {
    let project = Project::new();
    let hub = filled(&project);
    recipe(&project);
    let program =
        "import huggingface_hub as h\nh.snapshot_download('lab/tiny')\nh.snapshot_download('lab/science-lora')";
    let filled = python(&project, &hub, &[], program);
    assert_eq!(filled.code, Some(0), "{}", filled.err);
    hub.forget();
    let ran = on(&project, &hub, &[], &["run", "recipe.toml", "--plain"]);
    assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
    assert!(hub.log().is_empty(), "{:?}", hub.log());
    let pinned = format!("hf://lab/tiny@{}", hub.sha(BASE, "main").unwrap());
    assert!(std::fs::read_to_string(project.run().recipe_file()).unwrap().contains(&pinned));
    // The command line asks for the newest commit, and fetches nothing either.
    assert_eq!(on(&project, &hub, &[], &["hub", "fetch", BASE]).code, Some(0));
    assert!(hub.log().iter().all(|a| !a.target.contains("/resolve/")), "{:?}", hub.log());
}

#[test]
fn a_proxy_is_asked_unless_no_proxy_says_otherwise() {
    let project = Project::new();
    let hub = filled(&project);
    let proxy = [("HF_ENDPOINT", "http://hub.invalid"), ("HTTP_PROXY", hub.url())];
    let found = on(&project, &hub, &proxy, &["hub", "search", "lora", "--json"]);
    assert_eq!(ids(&value(&found)), ["lab/science-lora", "else/web-lora"]);
    let around = [proxy[0], proxy[1], ("NO_PROXY", "hub.invalid")];
    let refused = on(&project, &hub, &around, &["hub", "search", "lora"]);
    assert!(refused.code == Some(1) && refused.err.contains("cannot reach http://hub.invalid"), "{}", refused.err);
}

#[test]
#[ignore = "needs Python's huggingface_hub: .ci/run installs it and sets LOPPER_PYTHON"]
fn the_card_of_a_pushed_result_is_one_that_python_reads() {
    let project = Project::new();
    let hub = filled(&project);
    let path = finished(&project, &hub);
    let token = [("HF_TOKEN", WRITE)];
    let pushed = on(&project, &hub, &token, &["hub", "push", &path, "lab/games", "--yes"]);
    assert_eq!(pushed.code, Some(0), "{}", pushed.err);
    let program = "import huggingface_hub as h\ncard = h.ModelCard.load('lab/games')\ncard.validate()\n\
                   print(card.data.library_name, card.data.base_model, [r.metric_name for r in card.data.eval_results])\n\
                   print(h.model_info('lab/games').private, [m.id for m in h.list_models(filter='base_model:adapter:lab/tiny', \
                   author='lab', sort='downloads')])";
    let read = python(&project, &hub, &token, program);
    assert_eq!(read.code, Some(0), "{}", read.err);
    assert!(read.out.contains("peft lab/tiny ['ROUGE-1', 'ROUGE-2', 'ROUGE-L'"), "{}", read.out);
    assert!(read.out.contains("True") && read.out.contains("'lab/games'"), "{}", read.out);
}
