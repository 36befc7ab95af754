//! Everything that is read from outside, damaged in every way: no panic, no allocation above 64 MB, no input that takes
//! a second. A few thousand inputs each; `LOPPER_INPUTS=1000000 cargo test --test mutate` for more, `LOPPER_SEED` for
//! others. What once broke something lies in tests/fixtures/corpus.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::type_complexity,
    unsafe_code
)]

use lopper::data::chat;
use lopper::data::tokenizer::Tokenizer;
use lopper::lora::adapter::Settings;
use lopper::model::config::Config;
use lopper::model::gguf::Gguf;
use lopper::model::header;
use lopper::recipe::Recipe;
use lopper::run::control::{Command, Inbox, send};
use lopper::run::event::{Event, EventBody, Modules, Started, Step, VERSION};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::alloc::{GlobalAlloc, Layout, System};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// No input may make lopper ask for more at once, bytes.
const MOST: usize = 64 << 20;
/// No input may take longer.
const LONGEST: Duration = Duration::from_secs(1);

/// The largest request for memory since it was last asked.
static LARGEST: AtomicUsize = AtomicUsize::new(0);

struct Counting;

// SAFETY: every call is handed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LARGEST.fetch_max(layout.size(), Ordering::Relaxed);
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        LARGEST.fetch_max(size, Ordering::Relaxed);
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn fixture(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(path)
}

fn read(path: &str) -> Vec<u8> {
    std::fs::read(fixture(path)).unwrap()
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

/// Numbers that formats trip over.
const NUMBERS: [&str; 16] = [
    "0",
    "-1",
    "-0",
    "1e999",
    "-1e999",
    "1e-999",
    "NaN",
    "0.1",
    "255",
    "65536",
    "2147483648",
    "4294967295",
    "9223372036854775807",
    "18446744073709551615",
    "18446744073709551616",
    "999999999999999999999999999999",
];

/// Pieces that mean something in one of the formats.
const PIECES: [&str; 24] = [
    "{",
    "}",
    "[",
    "]",
    "\"",
    "\\",
    "\\u0000",
    "\\ud800",
    ",",
    ":",
    "null",
    "true",
    "\n",
    "\r",
    "\0",
    "{{",
    "}}",
    "{%",
    "%}",
    "#",
    "..",
    "=",
    "(a{900}){900}",
    "\u{feff}",
];

/// One of `corpus`, changed in one to six ways.
fn mutated(rng: &mut ChaCha8Rng, corpus: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = corpus[rng.random_range(0..corpus.len())].clone();
    for _ in 0..rng.random_range(1..=6) {
        let at = if bytes.is_empty() { 0 } else { rng.random_range(0..bytes.len()) };
        let end = (at + rng.random_range(1..=16)).min(bytes.len());
        match rng.random_range(0..11) {
            0 if !bytes.is_empty() => bytes[at] ^= 1 << rng.random_range(0..8),
            1 => bytes.truncate(at),
            2 => drop(bytes.drain(at..end)),
            3 => drop(bytes.splice(at..at, NUMBERS[rng.random_range(0..NUMBERS.len())].bytes())),
            4 => drop(bytes.splice(at..at, PIECES[rng.random_range(0..PIECES.len())].bytes())),
            // A number that is there becomes another.
            5 => {
                let is_digit = |b: &u8| b.is_ascii_digit();
                if let Some(start) = bytes[at..].iter().position(is_digit).map(|i| i + at) {
                    let stop = bytes[start..].iter().position(|b| !is_digit(b)).map_or(bytes.len(), |i| i + start);
                    bytes.splice(start..stop, NUMBERS[rng.random_range(0..NUMBERS.len())].bytes());
                }
            }
            // Deep nesting.
            6 => {
                let piece = ["[", "{\"a\":", "(", "{{(", "{%if a%}", "a.", "[[", "not ", "-"][rng.random_range(0..9)];
                let deep = piece.repeat(1 << rng.random_range(0..14));
                bytes.splice(at..at, deep.bytes());
            }
            // Something twice: keys, too.
            7 => {
                let end = (at + rng.random_range(1..200)).min(bytes.len());
                let piece = bytes[at..end].to_vec();
                bytes.splice(at..at, piece);
            }
            // Bytes that are no UTF-8, and words of a binary format.
            8 => {
                let word = [0xffff_ffff_ffff_ffffu64, 0x8000_0000_0000_0000, 1 << 40, 1 << 31, 0, rng.random()];
                let word = word[rng.random_range(0..word.len())].to_le_bytes();
                let n = [1, 2, 4, 8][rng.random_range(0..4)];
                let end = (at + n).min(bytes.len());
                bytes.splice(at..end, word[..n].iter().copied());
            }
            9 => {
                let other = &corpus[rng.random_range(0..corpus.len())];
                let from = rng.random_range(0..=other.len());
                let until = (from + rng.random_range(0..300)).min(other.len());
                bytes.splice(at..at, other[from..until].iter().copied());
            }
            _ => bytes.extend_from_slice(&[rng.random(), rng.random(), rng.random()]),
        }
        bytes.truncate(256 << 10);
    }
    bytes
}

/// Feeds `eat` with so many mutations of `corpus`, and what lies in tests/fixtures/corpus/NAME first.
fn sweep(name: &str, corpus: &[Vec<u8>], default: u64, eat: impl Fn(&[u8])) {
    let (count, seed) = (number("LOPPER_INPUTS", default), number("LOPPER_SEED", 1));
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let kept = std::fs::read_dir(fixture("corpus").join(name)).into_iter().flatten();
    let kept: Vec<Vec<u8>> = kept.map(|entry| std::fs::read(entry.unwrap().path()).unwrap()).collect();
    let (mut slowest, mut largest) = (Duration::ZERO, 0);
    for i in 0..kept.len() as u64 + count {
        let input = kept.get(i as usize).cloned().unwrap_or_else(|| mutated(&mut rng, corpus));
        let keep = |why: &str| -> ! {
            let path = std::env::temp_dir().join(format!("lopper-{name}-{seed}-{i}"));
            std::fs::write(&path, &input).unwrap();
            panic!("{name}: input {i} of seed {seed} {why}; it is kept in {}", path.display());
        };
        let time = || {
            LARGEST.store(0, Ordering::Relaxed);
            let clock = Instant::now();
            if std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| eat(&input))).is_err() {
                keep("panics");
            }
            clock.elapsed()
        };
        // A machine with other things to do may take its time: the shortest of some counts.
        let mut took = time();
        for _ in 0..4 {
            if took > LONGEST {
                took = took.min(time());
            }
        }
        let large = LARGEST.load(Ordering::Relaxed);
        (slowest, largest) = (slowest.max(took), largest.max(large));
        if took > LONGEST {
            keep(&format!("takes {took:?}"));
        }
        if large > MOST {
            keep(&format!("asks for {large} bytes"));
        }
    }
    println!("{name}: {count} inputs, slowest {slowest:?}, largest allocation {largest} bytes");
}

/// Of a file of safetensors, the header and a few numbers.
fn head(mut bytes: Vec<u8>) -> Vec<u8> {
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    bytes.truncate(8 + length + 64);
    bytes
}

fn safetensors(default: u64) {
    let files = ["models/llama/adapter/adapter_model.safetensors", "peft/rslora/adapter_model.safetensors"];
    let whole = header_of("{\"w\":{\"dtype\":\"F32\",\"shape\":[2,4],\"data_offsets\":[0,32]}}");
    let corpus: Vec<Vec<u8>> = files.iter().map(|path| head(read(path))).chain([whole]).collect();
    sweep("safetensors", &corpus, default, |bytes| {
        drop(header::parse(bytes));
        // With the length of the header put right, so that its JSON is looked at whatever was done to it.
        if bytes.len() > 40 {
            let mut right = bytes.to_vec();
            right[..8].copy_from_slice(&((bytes.len() - 40) as u64).to_le_bytes());
            drop(header::parse(&right));
        }
    });
}

fn header_of(json: &str) -> Vec<u8> {
    let mut bytes = (json.len() as u64).to_le_bytes().to_vec();
    bytes.extend(json.bytes());
    bytes.extend([0; 32]);
    bytes
}

fn gguf(default: u64) {
    let mut whole = read("models/llama-q8_0/model.gguf");
    // Of the numbers, a few.
    let start = whole.len().min(24 << 10);
    let short = whole[..start].to_vec();
    whole.truncate(64 << 10);
    // On a disk of memory, where there is one.
    let folder = tempfile::tempdir_in(if Path::new("/dev/shm").is_dir() { "/dev/shm" } else { "/tmp" }).unwrap();
    let path = folder.path().join("model.gguf");
    sweep("gguf", &[short, whole], default, |bytes| {
        std::fs::write(&path, bytes).unwrap();
        if let Ok(gguf) = Gguf::open(&path)
            && let Ok(tensors) = gguf.tensors()
            && let Some(name) = tensors.keys().next()
        {
            drop(gguf.tensor(name, Some(2)));
        }
    });
}

/// Calls `eat` with what is text; what is none is refused where the file is read.
fn texts(name: &str, corpus: &[Vec<u8>], default: u64, eat: impl Fn(&str)) {
    sweep(name, corpus, default, |bytes| {
        if let Ok(text) = std::str::from_utf8(bytes) {
            eat(text);
        }
    });
}

fn adapter_config(default: u64) {
    let folders = ["models/llama/adapter", "peft/rslora", "peft/all_linear", "peft/patterns", "peft/layers"];
    let corpus: Vec<Vec<u8>> = folders.iter().map(|f| read(&format!("{f}/adapter_config.json"))).collect();
    texts("adapter_config", &corpus, default, |text| drop(Settings::parse(text)));
}

const RECIPE: &str = r#"name = "tiny" # a comment
base = "base"
seed = 3
[data]
train = "train.jsonl"
dev = "dev.jsonl"
prompt = "Summarize.\n\n{{ document }}\n"
[train]
batch = 4
lr = 1e-3
betas = [0.9, 0.999]
[prune]
ratio = 0.5
rules = [{ modules = "layers.0-7.*.q_proj", adapter = "*", factor = "A", ratio = 0.2 }]
[eval]
methods = ["zero-shot", "target"]
[[adapters]]
name = "games"
role = "target"
rank = 4
alpha = 8
[[adapters]]
name = "science"
path = "science"
role = "related"
weight = 0.5
"#;

fn recipe(default: u64) {
    texts("recipe", &[RECIPE.into()], default, |text| {
        if let Ok(recipe) = Recipe::parse(text) {
            drop(recipe.to_toml());
        }
    });
}

fn journal_line(default: u64) {
    let step = Step { step: 3, loss: 2.5, ..Step::default() };
    let modules = Modules {
        step: 3,
        ratio: vec![Some(0.5), None],
        quantiles: vec![Some([0.1, 0.2, 0.3]), None],
        ..Modules::default()
    };
    let bodies = [
        EventBody::Started(Box::new(Started { name: "tiny".into(), layers: 2, ..Started::default() })),
        EventBody::Step(step),
        EventBody::Modules(modules),
        EventBody::Warning { text: "a \"quote\" and 日本".into() },
        EventBody::Paused { paused: true },
    ];
    let line = |body| serde_json::to_vec(&Event { v: VERSION, seq: 7, t: 1000.25, body }).unwrap();
    let corpus: Vec<Vec<u8>> = bodies.into_iter().map(line).collect();
    sweep("journal_line", &corpus, default, |bytes| drop(Event::parse(bytes)));
}

fn control_line(default: u64) {
    let folder = tempfile::tempdir_in(if Path::new("/dev/shm").is_dir() { "/dev/shm" } else { "/tmp" }).unwrap();
    let rule =
        lopper::recipe::ratios::Rule { modules: "layers.1.*".into(), adapter: "*".into(), factor: None, ratio: 0.5 };
    for command in [Command::Pause, Command::Stop, Command::SetRatios { rules: vec![rule] }] {
        send(folder.path(), command).unwrap();
    }
    let path = folder.path().join("control.jsonl");
    let lines = std::fs::read(&path).unwrap();
    let corpus: Vec<Vec<u8>> =
        lines.split_inclusive(|b| *b == b'\n').map(<[u8]>::to_vec).chain([lines.clone()]).collect();
    sweep("control_line", &corpus, default, |bytes| {
        std::fs::write(&path, bytes).unwrap();
        drop(Inbox::new(folder.path(), std::collections::HashSet::new()).read());
    });
}

fn template(default: u64) {
    let chat: serde_json::Value = serde_json::from_slice(&read("template/chat.json")).unwrap();
    let mut corpus = vec![
        b"Summarize the article.\n\nArticle: {{ document }}\n\nSummary:".to_vec(),
        b"{% for m in messages %}{{ bos_token ~ m['role'] | upper }}: {{ m.content.strip()[:20] * 3 }}{% if not loop.last %}\n{% endif %}{% endfor %}{{ '%05d' | format(7) }}".to_vec(),
    ];
    strings(&chat, &mut corpus);
    let growing = String::from_utf8(read("template/growing.txt")).unwrap();
    // Of those that double a text, others are made.
    corpus.extend(growing.lines().filter(|line| line.contains("a='x")).map(|line| line.as_bytes().to_vec()));
    texts("template", &corpus, default, |text| {
        drop(chat::render(text, "a document", "<s>", "</s>"));
        drop(chat::prompt(text, "a document"));
    });
}

/// Templates that make much of little, each in another way.
#[test]
fn templates_that_grow_are_stopped() {
    let growing = String::from_utf8(read("template/growing.txt")).unwrap();
    let (mut slowest, mut largest) = (Duration::ZERO, 0);
    for line in growing.lines() {
        LARGEST.store(0, Ordering::Relaxed);
        let clock = Instant::now();
        // Some of them write a number in the end.
        drop(chat::render(line, "a document", "<s>", "</s>"));
        let (took, large) = (clock.elapsed(), LARGEST.load(Ordering::Relaxed));
        assert!(large <= MOST, "{large} bytes: {line}");
        (slowest, largest) = (slowest.max(took), largest.max(large));
    }
    println!("growing: {} templates, slowest {slowest:?}, largest {largest} bytes", growing.lines().count());
}

/// The strings with template tags in a value.
fn strings(value: &serde_json::Value, out: &mut Vec<Vec<u8>>) {
    match value {
        serde_json::Value::String(text) if text.contains("{%") => out.push(text.as_bytes().to_vec()),
        serde_json::Value::Array(all) => all.iter().for_each(|v| strings(v, out)),
        serde_json::Value::Object(all) => all.values().for_each(|v| strings(v, out)),
        _ => {}
    }
}

fn model_config(default: u64) {
    let corpus: Vec<Vec<u8>> = ["llama", "mistral", "qwen2", "qwen3", "smollm"]
        .iter()
        .map(|m| read(&format!("models/{m}/config.json")))
        .collect();
    texts("model_config", &corpus, default, |text| drop(Config::parse(text)));
}

fn tokenizer(default: u64) {
    let folder = tempfile::tempdir_in(if Path::new("/dev/shm").is_dir() { "/dev/shm" } else { "/tmp" }).unwrap();
    let path = folder.path().join("tokenizer.json");
    let config = read("template/tokenizer/tokenizer_config.json");
    std::fs::write(folder.path().join("tokenizer_config.json"), &config).unwrap();
    // Its vocabulary is most of it and takes most of the time: a small one is mutated, too.
    let whole = read("template/tokenizer/tokenizer.json");
    let mut small: serde_json::Value = serde_json::from_slice(&whole).unwrap();
    let vocab = small["model"]["vocab"].as_object_mut().unwrap();
    vocab.retain(|_, id| id.as_u64().unwrap() < 24);
    small["model"]["merges"] = serde_json::json!([]);
    let small = serde_json::to_vec(&small).unwrap();
    sweep("tokenizer", &[small.clone(), small, whole], default, |bytes| {
        std::fs::write(&path, bytes).unwrap();
        if let Ok(tokenizer) = Tokenizer::read(folder.path()) {
            drop(tokenizer.encode("a game 日本 👩", true));
            drop(tokenizer.decode(&[0, 1, 2, 3, u32::MAX]));
        }
    });
}

/// Inputs that every `cargo test` tries, of each kind.
const FEW: u64 = 3000;

#[test]
fn damaged_headers_of_weights_are_refused() {
    safetensors(FEW);
    gguf(FEW);
}

#[test]
fn damaged_settings_are_refused() {
    adapter_config(FEW);
    model_config(FEW);
    recipe(FEW);
}

#[test]
fn damaged_lines_of_a_run_are_refused() {
    journal_line(FEW);
    control_line(FEW);
}

#[test]
fn damaged_templates_and_tokenizers_are_refused() {
    template(FEW);
    tokenizer(FEW / 10);
}

#[test]
#[ignore = "takes an hour: a million inputs each (LOPPER_INPUTS, LOPPER_SEED, LOPPER_ONLY)"]
fn a_million_damaged_inputs_of_each_kind_are_refused() {
    let all: [(&str, fn(u64)); 9] = [
        ("safetensors", safetensors),
        ("journal_line", journal_line),
        ("control_line", control_line),
        ("adapter_config", adapter_config),
        ("model_config", model_config),
        ("recipe", recipe),
        ("gguf", gguf),
        ("template", template),
        ("tokenizer", |_| tokenizer(20_000)),
    ];
    let only = std::env::var("LOPPER_ONLY").unwrap_or_default();
    for (name, sweep) in all {
        if only.is_empty() || only.split(',').any(|wanted| wanted == name) {
            sweep(1_000_000);
        }
    }
}
