//! What a changed ratio costs: the prediction on the key stroke, the masks that it gives, the first measured change of
//! the dev loss.
//!
//! ```text
//! cargo bench --bench what_if                          # prediction and masks for an 8B-shaped model, 4 adapters; 5 GB
//! cargo bench --bench what_if -- --run runs/demo-*     # and edits of these finished runs
//! .ci/cuda-build bench --bench what_if -- --device cuda:0 --shape llama-8b    # and of a run on such a base, made for it
//! ```
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "masks.rs"]
mod masks;
#[path = "shape.rs"]
#[allow(dead_code, reason = "another bench measures products with it")]
mod shape;

use clap::Parser;
use lopper::app::update::update;
use lopper::app::{App, Message};
use lopper::model::device;
use lopper::module::Factor;
use lopper::recipe;
use lopper::recipe::ratios::Rule;
use lopper::run::RunState;
use lopper::run::event::{AdapterInfo, Event, EventBody, MatrixInfo, Modules, Stage, Started};
use lopper::run::inquiry::{self, Answer, Asked, Question, Said};
use lopper::run::what_if::Progress;
use lopper::theme::{Depth, Theme};
use masks::{ADAPTERS, RANK, ids, masks, say, size};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use std::fmt::Write;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

#[derive(Parser)]
struct Settings {
    /// Finished runs whose ratios are edited
    #[arg(long, num_args = 1..)]
    run: Vec<PathBuf>,
    /// Edits, prunings and keys of each
    #[arg(long, default_value_t = 10)]
    turns: usize,
    /// Decoder layers of the 8B shape
    #[arg(long, default_value_t = 32)]
    layers: usize,
    /// Edit also a run on a base of this shape with random weights, under target/shapes: llama-8b, llama-1b, llama-30m
    #[arg(long)]
    shape: Option<String>,
    /// Where the masks are computed, and that run: cpu or cuda:N
    #[arg(long, default_value = "cpu")]
    device: String,
    /// Given by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

/// A screen on an 8B-shaped run.
fn screen(layers: usize) -> App {
    let mut started = Started { layers, ..Started::default() };
    started.adapters = ["games", "science", "net", "libs"]
        .map(|name| AdapterInfo { name: name.into(), ..AdapterInfo::default() })
        .to_vec();
    for module in ids(layers) {
        let (inputs, outputs) = size(module.projection);
        for adapter in 0..ADAPTERS {
            for (factor, rows, cols) in [(Factor::A, RANK, inputs), (Factor::B, outputs, RANK)] {
                started.matrices.push(MatrixInfo { module, adapter, factor, rows, cols });
            }
        }
    }
    let n = started.matrices.len();
    let mean = |at: usize| 0.01 + at as f32 / n as f32;
    let half = || vec![Some(0.5); n];
    let modules = Modules {
        step: 1,
        ratio: half(),
        sparsity: half(),
        importance: (0..n).map(|at| Some(mean(at))).collect(),
        quantiles: (0..n).map(|at| Some([0.1, 0.6 + 0.3 * mean(at), 2.0].map(|q| q * mean(at)))).collect(),
        retained: vec![Some(0.9); n],
        flips: vec![Some(0.01); n],
        full: Vec::new(),
    };
    let stage = Stage { of: 1, prunes: true, steps: 9, adapters: (0..ADAPTERS).collect(), ..Stage::default() };
    let bodies = [EventBody::Started(Box::new(started)), EventBody::Stage(stage), EventBody::Modules(modules)];
    let events = bodies.into_iter().map(|body| Event { v: 1, seq: 0, t: 0.0, body }).collect();
    let mut app = App::new("8b", false);
    update(&mut app, Message::Run { events, state: RunState::Running, caught_up: true });
    app
}

/// From the key to the drawn prediction, everything selected.
fn prediction(layers: usize, turns: usize) {
    let theme = Theme::find("default", Depth::True, false).unwrap();
    for (width, height) in [(200, 50), (80, 24)] {
        let mut app = screen(layers);
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        update(&mut app, Message::Key("ctrl-a".into()));
        let mut seconds = Vec::new();
        for turn in 0..40 * turns {
            let start = Instant::now();
            update(&mut app, Message::Key(if turn % 16 < 8 { "+" } else { "-" }.into()));
            terminal.draw(|frame| lopper::ui::draw(&app, &theme, frame)).unwrap();
            seconds.push(start.elapsed().as_secs_f64());
        }
        let n = app.started.as_ref().unwrap().matrices.len();
        say(&format!("key to drawn prediction, {n} matrices, {width}x{height}"), seconds);
    }
}

/// From an edit to the first measured change of the loss: 8 dev documents, ratios that were not asked before.
fn edits(run: &Path, turns: usize) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_lopper"))
        .arg("what-if")
        .arg(run)
        .arg("--serve")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut input, mut output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
    let mut ask = |turn: usize| {
        let rule = format!("layers.{}-{}.*=0.{}", turn % 3, 4 + turn % 3, 70 + turn);
        let rules = vec![Rule::parse(&rule).unwrap()];
        let start = Instant::now();
        let question = Question::WhatIf { rules, documents: 8, samples: 1 };
        inquiry::write(&mut input, &Asked { id: turn.to_string(), question }).unwrap();
        let mut first = None;
        loop {
            let answer: Answer = inquiry::read(&mut output).expect("an answer");
            let Said::WhatIf(found) = answer.said else { panic!("another answer") };
            assert!(found.state != Progress::Failed, "{}", found.text);
            if found.delta.is_some() && first.is_none() {
                first = Some(start.elapsed().as_secs_f64());
            }
            if found.state.is_over() {
                return (first.unwrap(), start.elapsed().as_secs_f64());
            }
        }
    };
    let name = run.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let (first, whole) = ask(0);
    println!("{name}: the first edit, with loading the run: {first:.2} s, with a summary {whole:.2} s");
    let (first, whole): (Vec<f64>, Vec<f64>) = (1..=turns).map(ask).unzip();
    say(&format!("{name}: edit to measured loss, 8 documents"), first);
    say(&format!("{name}: edit to a summary written anew"), whole);
    child.kill().unwrap();
    child.wait().unwrap();
}

/// A finished run of four adapters on a base of that shape, in `folder`. It has learnt next to nothing, which is all the same
/// to the time that an edit takes.
fn shaped(name: &str, device: &str, folder: &Path) -> PathBuf {
    let lopper = Path::new(env!("CARGO_BIN_EXE_lopper"));
    let base = shape::base(name).canonicalize().unwrap();
    let data = |set: &str| Path::new("assets/demo/data").canonicalize().unwrap().join(set);
    let run = |name: &str, adapters: &str| {
        #[allow(clippy::unnecessary_debug_formatting, reason = "a quoted path is a TOML string")]
        let text = format!(
            "name = {name:?}\nbase = {base:?}\ndevice = {device:?}\n[data]\ntrain = {:?}\ndev = {:?}\ntrain_limit = 8\n\
             dev_limit = 8\n[train]\nsteps = 2\n[samples]\ndocuments = 1\nmax_new_tokens = 16\n{adapters}",
            data("train.jsonl"),
            data("dev.jsonl"),
        );
        let recipe = folder.join(format!("{name}.toml"));
        std::fs::write(&recipe, text).unwrap();
        let done =
            Command::new(lopper).arg("run").arg(&recipe).arg("--runs").arg(folder).arg("--plain").output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        let found = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let of_name = |path: &PathBuf| path.is_dir() && path.to_string_lossy().contains(&format!("/{name}-2"));
        found.into_iter().find(of_name).expect("the run")
    };
    let one = run("one", &format!("[[adapters]]\nname = \"one\"\nrole = \"target\"\nrank = {RANK}\n"));
    let adapter = one.join("result/adapter");
    let mut four = String::new();
    for (i, role) in ["target", "related", "related", "related"].iter().enumerate() {
        #[allow(clippy::unnecessary_debug_formatting, reason = "a quoted path is a TOML string")]
        writeln!(four, "[[adapters]]\nname = \"a{i}\"\nrole = \"{role}\"\npath = {adapter:?}").unwrap();
    }
    let all = folder.join(name);
    std::fs::rename(run("four", &four), &all).unwrap();
    all
}

fn main() {
    let settings = Settings::parse();
    prediction(settings.layers, settings.turns);
    masks(
        settings.layers,
        settings.turns,
        &device::open(&settings.device, recipe::cuda_ordinal(&settings.device)).unwrap().device,
    );
    for run in &settings.run {
        edits(run, settings.turns);
    }
    if let Some(name) = &settings.shape {
        let folder = tempfile::tempdir().unwrap();
        edits(&shaped(name, &settings.device, folder.path()), settings.turns);
    }
}
