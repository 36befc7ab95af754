//! A tiny project in a temporary folder, and the real binary on it: the llama of tests/fixtures/models with its
//! vocabulary grown to the tokenizer of tests/fixtures/template, two related adapters, a handful of examples.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use candle_core::{DType, Device, Tensor};
use lopper::run::RunDir;
use lopper::run::event::{Event, EventBody};
use lopper::run::journal::Reader;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Tokens of the tokenizer in tests/fixtures/template.
const VOCABULARY: usize = 640;

/// How long a test waits for something that has to happen before it fails instead of hanging.
const PATIENCE: Duration = Duration::from_secs(300);

pub struct Project {
    folder: tempfile::TempDir,
}

/// What a command said and returned.
#[derive(Debug)]
pub struct Said {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

pub fn fixture(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(path)
}

fn copy(from: &Path, to: &Path, names: &[&str]) {
    std::fs::create_dir_all(to).unwrap();
    for name in names {
        std::fs::copy(from.join(name), to.join(name)).unwrap();
    }
}

/// Everything in the folder `from`, in `to`.
pub fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy_folder(&path, &target);
        } else {
            std::fs::copy(&path, &target).unwrap();
        }
    }
}

/// Rows of `table` over and over, each time in other proportions.
fn grown(table: &Tensor) -> Tensor {
    let (rows, columns) = table.dims2().unwrap();
    let old: Vec<f32> = table.to_dtype(DType::F32).unwrap().flatten_all().unwrap().to_vec1().unwrap();
    let number = |i: usize, j: usize| old[(i % rows) * columns + j] * (0.37 * (i * (j + 1)) as f32).cos();
    let new: Vec<f32> =
        (0..VOCABULARY).flat_map(|i| (0..columns).map(move |j| (i, j))).map(|(i, j)| number(i, j)).collect();
    Tensor::from_vec(new, (VOCABULARY, columns), &Device::Cpu).unwrap().to_dtype(table.dtype()).unwrap()
}

pub fn edit_json(path: &Path, edit: impl FnOnce(&mut serde_json::Value)) {
    let mut value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    edit(&mut value);
    std::fs::write(path, value.to_string()).unwrap();
}

pub fn example(i: usize) -> String {
    let text = format!("Package {i} is a small game engine for number {i}. ").repeat(1 + i % 3);
    serde_json::json!({"id": format!("d{i}"), "document": text, "summary": format!("game engine {i}")}).to_string()
}

pub fn examples(numbers: std::ops::Range<usize>) -> String {
    numbers.map(|i| example(i) + "\n").collect()
}

impl Project {
    /// The whole project with [`Self::recipe`]'s defaults.
    pub fn new() -> Self {
        let this = Self { folder: tempfile::tempdir().unwrap() };
        let base = this.path("base");
        copy(&fixture("models/llama"), &base, &["config.json"]);
        copy(&fixture("template/tokenizer"), &base, &["tokenizer.json", "tokenizer_config.json"]);
        edit_json(&base.join("config.json"), |config| {
            config["vocab_size"] = VOCABULARY.into();
            config["bos_token_id"] = 1.into();
            config["eos_token_id"] = 0.into();
        });
        let weights = fixture("models/llama/model.safetensors");
        let mut tensors = candle_core::safetensors::load(weights, &Device::Cpu).unwrap();
        for name in ["model.embed_tokens.weight", "lm_head.weight"] {
            let table = grown(&tensors[name]);
            tensors.insert(name.into(), table);
        }
        candle_core::safetensors::save(&tensors, base.join("model.safetensors")).unwrap();
        let files = ["adapter_config.json", "adapter_model.safetensors"];
        copy(&fixture("models/llama/adapter"), &this.path("science"), &files);
        copy(&fixture("peft/rslora"), &this.path("net"), &files);
        std::fs::create_dir(this.path("data")).unwrap();
        this.write("data/train.jsonl", &examples(0..12));
        this.write("data/dev.jsonl", &examples(100..103));
        this.write("data/test.jsonl", &examples(200..203));
        this.recipe("", "");
        this
    }

    /// A project whose training ends only when it is told to.
    pub fn endless() -> Self {
        let this = Self::new();
        this.recipe("", "steps = 1000000\neval_every = 1000000\ncheckpoint_every = 1000000");
        this
    }

    /// Writes recipe.toml: `top` goes to the top and `train` into `[train]` (by default two epochs of three
    /// steps), beside one new and two related adapters.
    pub fn recipe(&self, top: &str, train: &str) {
        let mut text = format!("name = \"tiny\"\nbase = \"base\"\ndevice = \"cpu\"\n{top}\n");
        text += "[data]\ntrain = \"data/train.jsonl\"\ndev = \"data/dev.jsonl\"\ntest = \"data/test.jsonl\"\n";
        let train = if train.is_empty() { "epochs = 2" } else { train };
        write!(text, "[train]\nbatch = 4\nlr = 1e-3\n{train}\n[target]\nepochs = 1\n").unwrap();
        text += "[samples]\ndocuments = 1\nmax_new_tokens = 6\n";
        text += "[[adapters]]\nname = \"games\"\nrole = \"target\"\nrank = 4\nalpha = 8\n";
        for name in ["science", "net"] {
            writeln!(text, "[[adapters]]\nname = \"{name}\"\npath = \"{name}\"\nrole = \"related\"\nweight = 0.5")
                .unwrap();
        }
        self.write("recipe.toml", &text);
    }

    /// A place below the project's folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    pub fn append(&self, name: &str, text: &str) {
        let old = std::fs::read_to_string(self.path(name)).unwrap();
        self.write(name, &(old + text));
    }

    /// `lopper` with `args` in the project's folder, on two threads, runs in `runs/`.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lopper"));
        command.args(args).current_dir(self.folder.path());
        command.env("XDG_CONFIG_HOME", self.path("config"));
        command.env("LOPPER_RUNS", self.path("runs")).env("RAYON_NUM_THREADS", "2").env("RUST_BACKTRACE", "1");
        // No test asks the real hub.
        command.env("HF_HUB_OFFLINE", "1").stdin(Stdio::null());
        command
    }

    pub fn lopper(&self, args: &[&str]) -> Said {
        said(&mut self.command(args))
    }

    /// Starts a run of recipe.toml that goes on by itself.
    pub fn detached(&self) -> RunDir {
        let said = self.lopper(&["run", "recipe.toml", "--detach"]);
        assert_eq!(said.code, Some(0), "{said:?}");
        RunDir::open(Path::new(said.out.lines().next().unwrap())).unwrap()
    }

    /// All runs, in the order of their names.
    pub fn runs(&self) -> Vec<RunDir> {
        let mut runs = RunDir::list(&self.path("runs")).unwrap();
        runs.sort_by_key(RunDir::name);
        runs
    }

    /// The only run there is.
    pub fn run(&self) -> RunDir {
        let mut runs = self.runs();
        assert_eq!(runs.len(), 1, "{runs:?}");
        runs.remove(0)
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        // A test that failed half-way leaves no worker behind.
        for run in RunDir::list(&self.path("runs")).into_iter().flatten() {
            if lopper::run::lock::is_held(run.path()) {
                kill(&run);
            }
        }
    }
}

/// Runs `command` and checks what holds for every command: no panic, no backtrace, nothing raw on the terminal.
pub fn said(command: &mut Command) -> Said {
    let output = command.stdout(Stdio::piped()).stderr(Stdio::piped()).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let said = Said { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) };
    for text in [&said.out, &said.err] {
        assert!(
            !text.contains("panicked") && !text.contains("BACKTRACE") && !text.contains("stack backtrace"),
            "{said:?}"
        );
        assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{said:?}");
    }
    said
}

/// What `command` says, `what` it is, within a time in which it should not still be at it.
pub fn promptly(command: &mut Command, limit: Duration, what: &str) -> Said {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let begun = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if begun.elapsed() > limit {
            child.kill().unwrap();
            panic!("{what} hangs");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Said { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

pub fn utf8(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The journal so far.
pub fn events(run: &RunDir) -> Vec<Event> {
    Reader::new(&run.journal_file()).read(usize::MAX, u64::MAX).unwrap()
}

/// Waits until `done` gives something.
pub fn until<T>(what: &str, mut done: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = done() {
            return value;
        }
        assert!(start.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Waits for an event that `found` likes.
pub fn until_event(run: &RunDir, what: &str, found: impl Fn(&EventBody) -> bool) -> Event {
    let mut reader = Reader::new(&run.journal_file());
    until(what, || {
        let news = reader.read(usize::MAX, u64::MAX).unwrap();
        let failed = news.iter().find(|e| matches!(e.body, EventBody::Failed { .. }) && !found(&e.body));
        assert!(failed.is_none(), "waiting for {what}: {failed:?}");
        news.into_iter().find(|e| found(&e.body))
    })
}

/// Waits until the run has no worker any more.
pub fn until_over(run: &RunDir) {
    until("the worker's end", || (!lopper::run::lock::is_held(run.path())).then_some(()));
}

/// kill -9 of the run's worker, and waits until it is gone.
pub fn kill(run: &RunDir) {
    let holder = lopper::run::lock::holder(run.path()).unwrap();
    let pid = rustix::process::Pid::from_raw(holder.pid as i32).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    until_over(run);
}

/// The result's adapter, bit by bit, without the place of its base: what has to be the same whenever the run is.
pub fn result(run: &RunDir) -> (Vec<u8>, serde_json::Value) {
    let read = |name: &str| std::fs::read(run.result().join("adapter").join(name)).unwrap();
    let mut config: serde_json::Value = serde_json::from_slice(&read("adapter_config.json")).unwrap();
    config["base_model_name_or_path"].take();
    (read("adapter_model.safetensors"), config)
}

/// Nothing half-written lies in the run directory.
pub fn assert_tidy(run: &RunDir) {
    let mut folders = vec![run.path().to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            let half = name.contains(".part") || name == "adapter.new" || name == "worker.spare";
            assert!(!half, "{} was left", path.display());
            if path.is_dir() {
                folders.push(path);
            }
        }
    }
}

/// The processes with these words on their command line.
pub fn processes(words: &[&str]) -> Vec<u32> {
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    let of = |pid: &u32| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).into_owned();
        words.iter().all(|word| line.split('\0').any(|w| w == *word))
    };
    all.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()).filter(of).collect()
}
