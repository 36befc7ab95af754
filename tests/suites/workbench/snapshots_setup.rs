//! The recipe form at the sizes that people have, cell by cell. After a change that is meant:
//! `INSTA_UPDATE=always cargo test --test workbench snapshots_setup::`, then read the difference.
#![allow(clippy::unwrap_used, clippy::panic)]

use lopper::app::picker::Item;
use lopper::app::setup::{Effect, Found, Left, Looked, Message, Named, Setup, update};
use lopper::data::preview::{Lengths, Preview, Shown, Split};
use lopper::hub::adapters::Candidate;
use lopper::hub::desk::{Answer, Ask, Refusal};
use lopper::hub::details::{Details, Weight};
use lopper::hub::download::{Line as File, Standing, State};
use lopper::hub::outline::Fit;
use lopper::hub::reference::Reference;
use lopper::hub::search::Hit;
use lopper::hub::{AdapterEntry, AdapterFacts, BaseEntry, Catalog};
use lopper::module::Projection;
use lopper::recipe::draft::NEW;
use lopper::run::compare;
use lopper::run::estimate::{Estimate, Part, StageEstimate};
use lopper::theme::{Depth, Theme};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use std::path::Path;

const FILE: &str = "\
# Games from descriptions.
name = \"games\"
base = \"models/SmolLM2-135M\"

[data]
train = \"data/games/a-folder-with-a-long-name/and-another-one/train.jsonl\"
dev = \"data/dev.jsonl\"
prompt = \"Describe the package in one line.\\n\\nArticle: {{ document }}\\n\\nSummary:\"

[train]
lr = 3e-4

[eval]
methods = [\"zero-shot\", \"target\", \"merge\"]

[[adapters]]
name = \"games\"
role = \"target\"
rank = 8

[[adapters]]
name = \"記事\"
path = \"adapters/記事\"
role = \"related\"
weight = 0.5
";

fn lengths(least: usize, most: usize) -> Lengths {
    let bars = vec![1, 4, 9, 17, 12, 6, 3, 0, 1];
    Lengths { least, median: least.midpoint(most), p90: most - most / 10, most, total: most * 20, width: 20, bars }
}

fn preview() -> Preview {
    let split = |name: &'static str, examples: usize, cut: usize| Split {
        name,
        path: format!("/p/data/{name}.jsonl").into(),
        examples,
        first: (1..3)
            .map(|line| Shown {
                id: format!("{name}-{line}"),
                line,
                prompt:
                    "Describe the package in one line.\n\nArticle: A small game engine for two players, which 重要度 \
                         shows as a heatmap of every module in the terminal.\n\nSummary:"
                        .into(),
                summary: "game engine for two".into(),
                document_tokens: 140,
                kept_tokens: if cut > 0 { 120 } else { 140 },
                prompt_tokens: 131,
                summary_tokens: 6,
            })
            .collect(),
        cut,
        tokens_cut: cut * 20,
        document: lengths(12, 180),
        prompt: lengths(24, 160),
        summary: lengths(3, 21),
        sequences: Vec::new(),
    };
    let warnings = vec!["1 document of dev is in train too".into()];
    Preview { splits: vec![split("train", 50, 3), split("dev", 20, 0)], warnings, context: 8192 }
}

fn estimate(total: u64) -> Estimate {
    let part = |name, share: f64| Part { name, bytes: (total as f64 * share) as u64 };
    let stage = |method: &str, steps, seconds| StageEstimate {
        method: method.into(),
        steps,
        steps_per_epoch: 7,
        seconds: Some(seconds),
    };
    Estimate {
        device: "cpu".into(),
        dtype: "f32",
        moment: "training",
        saved_by_packing: 0,
        parts: vec![part("activations", 0.5), part("base weights", 0.4), part("optimiser", 0.1)],
        total,
        layers: 30,
        recomputed: 0,
        other_recompute: total / 2,
        free: Some(6_000_000_000),
        cards: Vec::new(),
        stages: vec![stage("zero-shot", 0, 31.0), stage("merge + fine-tune + prune", 21, 190.0)],
        steps: 42,
        seconds: Some(250.0),
        tokens_per_second: Some(812.0),
        speed_from: "as in the run games-20261124-101500".into(),
    }
}

fn new() -> Setup {
    let mut form = Setup::new(Path::new("/p/recipe.toml"), NEW, None, None).unwrap();
    form.begin();
    form.seen.looking = false;
    form
}

/// A recipe of which everything was looked at.
fn filled(text: &str, total: u64) -> Setup {
    let mut form = Setup::new(Path::new("/p/games.toml"), text, Some(FILE.into()), None).unwrap();
    let Effect::Look { ticket, .. } = form.begin().remove(1) else { panic!() };
    let base = BaseEntry {
        name: "SmolLM2-135M".into(),
        architecture: "llama".into(),
        parameters: 134_515_008,
        dtype: "BF16".into(),
        layers: 30,
        context: 8192,
        chat_template: true,
        ..BaseEntry::default()
    };
    let facts = AdapterFacts {
        rank: 16,
        alpha: 32.0,
        targets: vec![Projection::QProj, Projection::VProj],
        layers: 30,
        modules: 60,
        parameters: 921_600,
        base: Some("HuggingFaceTB/SmolLM2-135M".into()),
        ..AdapterFacts::default()
    };
    for looked in [
        Looked::Paths(Vec::new(), Some(base), [(1, Ok(facts))].into()),
        Looked::Preview(Some(Ok(preview()))),
        Looked::Estimate(Some(Ok(estimate(total)))),
        Looked::All,
    ] {
        update(&mut form, Message::Looked(ticket, looked));
    }
    form.themes.names = lopper::theme::THEMES.iter().map(|t| t.0.to_owned()).collect();
    form.themes.wanted = "default".into();
    form
}

fn good() -> Setup {
    filled(FILE, 1_240_000_000)
}

fn press(form: &mut Setup, keys: &[&str]) {
    for key in keys {
        update(form, Message::Key((*key).into()));
    }
}

fn screen(form: &Setup, theme: &Theme, (width, height): (u16, u16)) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| lopper::ui::setup::draw(form, theme, frame)).unwrap();
    let text = terminal.backend().to_string();
    assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text}");
    text
}

fn coloured() -> Theme {
    Theme::find("default", Depth::Indexed, false).unwrap()
}

const SIZES: [(u16, u16); 4] = [(40, 10), (80, 24), (120, 40), (200, 50)];

#[test]
fn a_new_recipe_at_every_size() {
    for size in SIZES {
        insta::assert_snapshot!(format!("new_{}x{}", size.0, size.1), screen(&new(), &coloured(), size));
    }
}

#[test]
fn a_recipe_at_every_size() {
    for size in SIZES {
        let mut form = good();
        press(&mut form, &["home", "]"]);
        insta::assert_snapshot!(format!("adapters_{}x{}", size.0, size.1), screen(&form, &coloured(), size));
    }
    for (name, keys) in [("data", &["2"][..]), ("estimate", &["3"])] {
        for size in [(40, 10), (80, 24)] {
            let mut form = good();
            press(&mut form, keys);
            insta::assert_snapshot!(format!("{name}_{}x{}", size.0, size.1), screen(&form, &coloured(), size));
        }
    }
}

#[test]
fn what_is_wrong_stands_beside_it() {
    let text = FILE.replace("lr = 3e-4", "lr = \"fast\"\nbatch = 0\noptimizer = \"adam\"").replace("= 0.5", "= inf");
    for size in [(80, 24), (200, 50)] {
        let mut form = filled(&text, 5_900_000_000);
        press(&mut form, &["home", "/", "t", "r", "a", "i", "n", ".", "l", "r", "enter"]);
        insta::assert_snapshot!(format!("wrong_{}x{}", size.0, size.1), screen(&form, &coloured(), size));
    }
    let mut form = good();
    press(&mut form, &["/", "p", "r", "u", "n", "e", ".", "r", "a", "t", "i", "o", "enter", "enter", "ctrl-u", "2"]);
    insta::assert_snapshot!("typed_80x24", screen(&form, &coloured(), (80, 24)));
    insta::assert_snapshot!("typed_40x10", screen(&form, &coloured(), (40, 10)));
    let mut form = good();
    press(&mut form, &["/", "p", "r", "o", "m", "p", "t", "enter", "enter"]);
    insta::assert_snapshot!("prompt", screen(&form, &coloured(), (80, 24)));
    let unknown = FILE.replace("lr = 3e-4", "learning_rate = 3e-4");
    insta::assert_snapshot!("unknown", screen(&filled(&unknown, 1), &coloured(), (80, 24)));
}

fn catalog() -> Catalog {
    let base = |name: &str, problem: Option<&str>| BaseEntry {
        name: name.into(),
        path: format!("/hub/{name}").into(),
        architecture: "llama".into(),
        parameters: 134_515_008,
        dtype: "BF16".into(),
        problem: problem.map(str::to_owned),
        ..BaseEntry::default()
    };
    let adapter = AdapterEntry {
        name: "org/science".into(),
        path: "/hub/science".into(),
        rank: 16,
        alpha: 32.0,
        targets: vec!["q_proj".into(), "v_proj".into()],
        base: Some("HuggingFaceTB/SmolLM2-135M".into()),
        ..AdapterEntry::default()
    };
    let bases = vec![
        base("HuggingFaceTB/SmolLM2-135M", None),
        base("重要度/モデル", None),
        base(
            "org/mamba",
            Some("the architecture \"mamba\" is not known to lopper; known are llama, mistral, qwen2 and qwen3"),
        ),
    ];
    Catalog { bases, adapters: vec![adapter], notes: Vec::new() }
}

#[test]
fn what_lies_over_the_form() {
    let theme = coloured();
    for (name, keys) in [
        ("help", &["?"][..]),
        ("menu", &["/", "i", "m", "p", "o", "r", "t", "enter", "enter", "j"]),
        ("methods", &["end", "k", "k", "k", "k", "k", "enter", "j"]),
        ("start", &["R"]),
        ("evaluate", &["E", ",", "2", "down", "down", "space"]),
        ("leave", &["home", "]", "space", "q"]),
        ("copy", &["S"]),
        ("find", &["/", "r", "a", "t", "i", "o"]),
        ("actions", &[":", "s", "a", "v", "e"]),
        ("actions_all", &[":"]),
        ("themes", &["ctrl-t", "j"]),
    ] {
        let mut form = good();
        press(&mut form, keys);
        insta::assert_snapshot!(format!("over_{name}"), screen(&form, &theme, (80, 24)));
    }
    for (name, key) in [("actions", ":"), ("themes", "ctrl-t")] {
        let mut form = good();
        press(&mut form, &[key]);
        insta::assert_snapshot!(format!("over_{name}_40x10"), screen(&form, &theme, (40, 10)));
    }
    for (name, keys) in [("base", &["home", "j", "enter", "ctrl-u", "down", "down"][..]), ("adapter", &["a"])] {
        for size in [(40, 10), (80, 24), (200, 50)] {
            let mut form = good();
            update(&mut form, Message::Catalog(catalog()));
            press(&mut form, keys);
            insta::assert_snapshot!(format!("pick_{name}_{}x{}", size.0, size.1), screen(&form, &theme, size));
        }
    }
    let mut form = good();
    press(&mut form, &["a", "/", "p", "/"]);
    let folders = ["adapters", "models"].map(|name| Item::of_path(&Path::new("/p").join(name), true));
    update(&mut form, Message::Listed("/p".into(), folders.into()));
    insta::assert_snapshot!("pick_path", screen(&form, &theme, (80, 24)));
    // Of a path that is there, it goes on from that.
    let mut form = good();
    press(&mut form, &["home", "j", "enter"]);
    let folders = ["SmolLM2-135M", "SmolLM2-360M"].map(|name| Item::of_path(&Path::new("/p/models").join(name), true));
    update(&mut form, Message::Listed("/p/models".into(), folders.into()));
    insta::assert_snapshot!("pick_begun", screen(&form, &theme, (80, 24)));
}

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

fn hit(id: &str, downloads: u64) -> Hit {
    Hit {
        id: id.into(),
        commit: Some(COMMIT.into()),
        downloads,
        likes: downloads / 100,
        updated: "2026-01-31".into(),
        license: "apache-2.0".into(),
        parameters: 134_515_008,
        dtype: "BF16".into(),
        ..Hit::default()
    }
}

/// Puts an answer of the hub to the newest ticket of its kind.
fn answer(form: &mut Setup, effects: &[Effect], make: impl Fn(u64) -> Answer) -> Vec<Effect> {
    let search = effects.iter().rev().find_map(|effect| match effect {
        Effect::Hub(Ask::Search { ticket, .. }) => Some(*ticket),
        _ => None,
    });
    update(form, Message::Hub(make(search.unwrap())))
}

fn open(form: &mut Setup, keys: &[&str]) -> Vec<Effect> {
    keys.iter().flat_map(|key| update(form, Message::Key((*key).into()))).collect()
}

/// The base's picker, emptied, with results of the hub.
fn on_the_hub() -> (Setup, Vec<Effect>) {
    let mut form = good();
    let mut catalog = catalog();
    catalog.bases[0].link = Some(format!("hf://HuggingFaceTB/SmolLM2-135M@{COMMIT}"));
    update(&mut form, Message::Catalog(catalog));
    let effects = open(&mut form, &["home", "j", "enter", "ctrl-u"]);
    (form, effects)
}

fn results() -> Vec<Hit> {
    let mut all: Vec<Hit> = (0..60).map(|i| hit(&format!("lab/model-{i:02}"), 999_000 - 1000 * i)).collect();
    all[0] = hit("HuggingFaceTB/SmolLM2-1.7B-Instruct-with-a-long-name", 12_345_678);
    all[0].parameters = 1_711_376_384;
    (all[1].gated, all[2].private, all[3].dtype) = (true, true, "F8_E4M3".into());
    (all[4].parameters, all[4].license) = (0, "a-licence-with-a-long-name".into());
    // None of these come raw from a hub, whatever it sends.
    (all[5].license, all[5].updated) = ("\u{1b}[2J\u{202e}tim".into(), "\u{7}".into());
    all
}

#[test]
fn the_hub_in_the_picker_of_the_base() {
    let details = Details {
        page: "https://huggingface.co/lab/model-01".into(),
        files: ["README.md", "config.json", "model.safetensors", "tokenizer.json", "onnx/model.onnx"]
            .iter()
            .zip([3_000, 700, 269_060_552, 2_104_556, 500_000_000])
            .map(|(name, size)| ((*name).to_owned(), size))
            .collect(),
        needed: 271_165_808,
        missing: 271_165_808,
        about: "llama, 30 layers, 8192 tokens".into(),
        note: Some("lab/model-01/config.json is gated: ask for access at https://huggingface.co/lab/model-01".into()),
        card: "SmolLM2\n\nA small language model, \\u{1b}[31mnot red. 重要度\n\nTable of contents\nModel summary"
            .into(),
        ..Details::default()
    };
    for size in [(40, 10), (80, 24), (120, 40), (200, 50)] {
        let (mut form, effects) = on_the_hub();
        answer(&mut form, &effects, |ticket| Answer::Page { ticket, hits: results(), more: true });
        press(&mut form, &["down", "down", "down", "down"]);
        let of = form.highlighted().unwrap();
        assert_eq!(of.id, "lab/model-01");
        update(&mut form, Message::Hub(Answer::Details(of, Box::new(Ok(details.clone())))));
        insta::assert_snapshot!(format!("hub_base_{}x{}", size.0, size.1), screen(&form, &coloured(), size));
    }
    let (mut form, effects) = on_the_hub();
    answer(&mut form, &effects, |ticket| Answer::NoPage(ticket, Refusal::Offline));
    insta::assert_snapshot!("hub_offline", screen(&form, &coloured(), (80, 24)));
    let (mut form, effects) = on_the_hub();
    let sentence = "the search: https://huggingface.co refuses the token; make a new one at \
                    https://huggingface.co/settings/tokens and log in with `hf auth login` or set HF_TOKEN";
    answer(&mut form, &effects, |ticket| Answer::NoPage(ticket, Refusal::Said(sentence.into())));
    insta::assert_snapshot!("hub_refused", screen(&form, &coloured(), (80, 24)));
    let (mut form, _) = on_the_hub();
    update(&mut form, Message::Paste("smol colour:red".into()));
    insta::assert_snapshot!("hub_no_filter", screen(&form, &coloured(), (80, 24)));
}

#[test]
fn the_hub_in_the_picker_of_adapters() {
    for size in [(80, 24), (120, 40)] {
        let text = FILE.replace("models/SmolLM2-135M", &format!("hf://HuggingFaceTB/SmolLM2-135M@{COMMIT}"));
        let mut form = filled(&text, 1_240_000_000);
        update(&mut form, Message::Catalog(catalog()));
        let effects = open(&mut form, &["a"]);
        let ticket = effects.iter().find_map(|effect| match effect {
            Effect::Hub(Ask::Adapters { ticket, .. }) => Some(*ticket),
            _ => None,
        });
        let ticket = ticket.unwrap();
        let mut other = hit("else/anything", 12);
        other.made_from = vec!["adapter:else/base".into()];
        answer(&mut form, &effects, |ticket| Answer::Page { ticket, hits: vec![other.clone()], more: false });
        let found = ["lab/news-lora", "lab/strange", "lab/waits"]
            .map(|id| Candidate { hit: hit(id, 4200), made_for: "HuggingFaceTB/SmolLM2-135M".into() });
        update(&mut form, Message::Hub(Answer::Candidates(ticket, found.to_vec())));
        let of = |id: &str| Reference { id: id.into(), revision: COMMIT.into() };
        let facts = AdapterFacts { rank: 16, modules: 60, ..AdapterFacts::default() };
        let fits = Fit { bytes: 3_700_000, facts: Some(facts), problem: None };
        let not =
            Fit { bytes: 0, facts: None, problem: Some("adapter_config.json: use_dora = true is not read".into()) };
        update(&mut form, Message::Hub(Answer::Fit(ticket, of("lab/news-lora"), fits)));
        update(&mut form, Message::Hub(Answer::Fit(ticket, of("lab/strange"), not)));
        press(&mut form, &["down", "down"]);
        insta::assert_snapshot!(format!("hub_adapter_{}x{}", size.0, size.1), screen(&form, &coloured(), size));
    }
}

#[test]
fn what_is_to_be_fetched_and_how_far_it_is() {
    let base = Reference { id: "HuggingFaceTB/SmolLM2-135M".into(), revision: COMMIT.into() };
    let text = FILE.replace("models/SmolLM2-135M", &base.link());
    let lacking = || {
        let mut form = Setup::new(Path::new("/p/games.toml"), &text, Some(text.clone()), None).unwrap();
        let Effect::Look { ticket, .. } = form.begin().remove(1) else { panic!() };
        let named = Named { lacking: vec![("base".into(), base.clone())], cached: vec!["adapter 記事".into()] };
        for looked in [
            Looked::Named(named),
            Looked::Paths(Vec::new(), None, std::collections::BTreeMap::new()),
            Looked::Preview(None),
            Looked::Estimate(None),
        ] {
            update(&mut form, Message::Looked(ticket, looked));
        }
        let weight = Weight { bytes: 271_165_808, outline: None };
        update(&mut form, Message::Hub(Answer::Weighed(base.clone(), Ok(weight))));
        update(&mut form, Message::Looked(ticket, Looked::All));
        form
    };
    for size in [(80, 24), (120, 40)] {
        let mut form = lacking();
        press(&mut form, &["home", "j"]);
        insta::assert_snapshot!(format!("hub_lacking_{}x{}", size.0, size.1), screen(&form, &coloured(), size));
    }
    let mut form = lacking();
    press(&mut form, &["R"]);
    insta::assert_snapshot!("hub_start", screen(&form, &coloured(), (80, 24)));
    let line = |path: &str, size, done, state| File { path: path.into(), size, done, state };
    let standing = Standing {
        lines: vec![
            line("HuggingFaceTB/SmolLM2-135M/config.json", 700, 700, State::Done),
            line("HuggingFaceTB/SmolLM2-135M/model.safetensors", 269_060_552, 90_000_000, State::Running),
            line("HuggingFaceTB/SmolLM2-135M/tokenizer.json", 2_104_556, 0, State::Waiting),
            line("lab/news/adapter_config.json", 900, 0, State::Locked),
            line("lab/news/adapter_model.safetensors", 4_600_000, 2_000_000, State::Again),
        ],
        done: 92_000_700,
        total: 275_766_708,
        rate: 4_500_000.0,
        left: Some(40.8),
    };
    for size in [(40, 10), (80, 24)] {
        let mut form = lacking();
        press(&mut form, &["f"]);
        update(&mut form, Message::Hub(Answer::Fetching(standing.clone())));
        insta::assert_snapshot!(format!("hub_fetch_{}x{}", size.0, size.1), screen(&form, &coloured(), size));
    }
    let mut form = lacking();
    press(&mut form, &["f"]);
    update(&mut form, Message::Hub(Answer::Fetching(standing)));
    press(&mut form, &["enter", "esc"]);
    insta::assert_snapshot!("hub_fetch_behind", screen(&form, &coloured(), (80, 24)));
    // A long sentence is there as a whole.
    let full = "HuggingFaceTB/SmolLM2-135M needs 180 MB in /home/me/.cache/huggingface/hub and 64 MB to spare, where 3 \
                MB are free; free some space (the largest there is lab/old with 4.2 GB, `hf cache ls` lists all), or set \
                HF_HUB_CACHE to a folder on a larger disk; what has come is kept";
    for size in [(40, 10), (80, 24)] {
        let mut form = lacking();
        press(&mut form, &["f"]);
        update(&mut form, Message::Hub(Answer::Fetched(Err(Refusal::Said(full.into())))));
        insta::assert_snapshot!(format!("hub_full_{}x{}", size.0, size.1), screen(&form, &coloured(), size));
    }
}

/// What an earlier form has left.
fn asked(mut form: Setup, older: bool, more: usize) -> Setup {
    let left = Left { copy: "/p/.games.toml.unsaved".into(), text: FILE.replace("3e-4", "1e-4"), age: 240.0, older };
    update(&mut form, Message::Unsaved(Found { left: Some(left), more, ..Found::default() }));
    form
}

#[test]
fn what_was_left_is_asked_about() {
    let theme = coloured();
    insta::assert_snapshot!("restore_80x24", screen(&asked(good(), false, 0), &theme, (80, 24)));
    insta::assert_snapshot!("restore_older_80x24", screen(&asked(good(), true, 2), &theme, (80, 24)));
    for (name, form) in [("new", asked(new(), false, 0)), ("older", asked(good(), true, 2))] {
        insta::assert_snapshot!(format!("restore_{name}_40x10"), screen(&form, &theme, (40, 10)));
    }
    let mut form = asked(good(), false, 0);
    press(&mut form, &["r"]);
    insta::assert_snapshot!("restored_80x24", screen(&form, &theme, (80, 24)));
}

#[test]
fn a_comparison_of_recipes() {
    let other = FILE.replace("lr = 3e-4", "lr = 1e-3\nbatch = 4").replace("weight = 0.5", "weight = 0.25");
    let both = [(FILE, Path::new("/p/games.toml")), (other.as_str(), Path::new("/p/other.toml"))];
    let mut form = good();
    update(&mut form, Message::Compared(compare::recipes(both).unwrap()));
    insta::assert_snapshot!("compare", screen(&form, &coloured(), (80, 24)));
}

#[test]
fn without_colours() {
    let mono = Theme::find("mono", Depth::None, true).unwrap();
    let plain = |size| {
        let mut form = filled(&FILE.replace("記事", "net"), 5_900_000_000);
        press(&mut form, &["home", "]"]);
        screen(&form, &mono, size)
    };
    for size in [(40, 10), (80, 24), (120, 40), (200, 50)] {
        let text = plain(size);
        // The documents are Japanese in part.
        assert!(text.chars().all(|c| c.is_ascii() || "重要度".contains(c)), "{text}");
        insta::assert_snapshot!(format!("ascii_{}x{}", size.0, size.1), text);
    }
}

#[test]
fn no_size_panics() {
    let theme = coloured();
    for keys in [
        &[][..],
        &["?"],
        &["R"],
        &["q"],
        &["/", "r"],
        &["end", "enter"],
        &["2"],
        &["3"],
        &["a"],
        &["S"],
        &[":"],
        &["ctrl-t"],
    ] {
        for form in [new(), good(), asked(good(), true, 1), filled(&FILE.replace("3e-4", "'x'"), u64::MAX)] {
            let mut form = form;
            update(&mut form, Message::Catalog(catalog()));
            press(&mut form, keys);
            for size in
                [(1, 1), (2, 9), (29, 5), (30, 6), (31, 7), (40, 10), (119, 3), (120, 24), (121, 25), (300, 100)]
            {
                screen(&form, &theme, size);
            }
            press(&mut form, &["esc", "home", "end", "enter"]);
            screen(&form, &theme, (40, 10));
        }
    }
}
