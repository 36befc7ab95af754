//! The command line: what a user types, and what each command does.

mod check;
mod eval;
mod health;
mod hub;
mod interrupted;
mod merge;
mod models;
mod outcome;
mod plain;
mod sensitivity;
mod study;
mod suggest;
mod sweep;
mod what_if;

use crate::app::action;
use crate::eval::report;
use crate::recipe::{Recipe, Recompute};
use crate::run::control::{self, Command as Order};
use crate::run::tail::Tail;
use crate::run::{RunDir, RunState, change, launch, listing, shell, start, worker};
use crate::text::{printable, printable_lines};
use crate::ui::{self, WatchOptions};
use crate::{Error, Result, config, contained, demo, terminal, train};
use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{Parser, Subcommand};
use color_eyre::config::{HookBuilder, Theme};
use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use unicode_width::UnicodeWidthStr;

/// Merge LoRA adapters, fine-tune them on a few dozen examples, prune them at every step.
///
/// Without a command: the list of runs, from which runs are watched, steered and compared.
#[derive(Debug, Parser)]
#[command(name = "lopper", version, max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    look: Look,
    /// Folder that holds the runs
    #[arg(long = "runs", id = "folder", value_name = "RUNS")]
    folder: Option<PathBuf>,
    /// Record the screen into a new file for asciinema
    #[arg(long = "record", id = "tape", value_name = "FILE.cast")]
    record: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Verb>,
}

/// How the screen looks.
#[derive(Debug, Clone, clap::Args)]
struct Look {
    /// Theme of the screen: default, dark, light, high-contrast, mono, or a theme file
    #[arg(long, global = true, env = "LOPPER_THEME")]
    theme: Option<String>,
    /// ASCII characters only
    #[arg(long, global = true)]
    ascii: bool,
    /// Listen to the mouse (the terminal's own selection then needs Shift)
    #[arg(long, global = true)]
    mouse: bool,
    /// For a slow connection: at most 4 frames a second, fewer colours, few bytes
    #[arg(long, global = true)]
    slow_link: bool,
    /// Don't ask the terminal for its background and what it can do
    #[arg(long, global = true)]
    no_probe: bool,
    /// Show frames, bytes and draw time
    #[arg(long, global = true)]
    debug: bool,
}

/// A recording of the screen.
#[derive(Debug, Clone, Default, clap::Args)]
struct Tape {
    /// Record the screen into a new file for asciinema
    #[arg(long, value_name = "FILE.cast", conflicts_with = "plain")]
    record: Option<PathBuf>,
}

impl From<Look> for WatchOptions {
    fn from(look: Look) -> Self {
        let Look { theme, ascii, mouse, slow_link, no_probe, debug } = look;
        // A variable that is empty says nothing.
        let theme = theme.filter(|name| !name.is_empty());
        Self { ascii, mouse, theme, slow_link, no_probe, debug, ..Self::default() }
    }
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run the built-in project: a small model, three related adapters, 50 examples
    Demo {
        /// Lines instead of the screen
        #[arg(long)]
        plain: bool,
        #[command(flatten)]
        tape: Tape,
        #[command(flatten)]
        place: Place,
    },
    /// Set up a run: a new recipe in a form, checked as it is typed, with memory and time before the start
    New {
        /// The new recipe [default: recipe.toml, or recipe-2.toml where that is there]
        recipe: Option<PathBuf>,
        /// Record the screen into a new file for asciinema
        #[arg(long, value_name = "FILE.cast")]
        record: Option<PathBuf>,
        #[command(flatten)]
        place: Place,
    },
    /// Open a recipe in the form; its comments and order stay
    Edit {
        /// The recipe, a TOML file
        recipe: PathBuf,
        /// Record the screen into a new file for asciinema
        #[arg(long, value_name = "FILE.cast")]
        record: Option<PathBuf>,
        #[command(flatten)]
        place: Place,
    },
    /// Start a run from a recipe and watch it
    Run {
        /// The recipe, a TOML file
        recipe: PathBuf,
        /// Lines instead of the screen
        #[arg(long)]
        plain: bool,
        /// Start it and come back at once
        #[arg(long)]
        detach: bool,
        /// Name of the run instead of the recipe's
        #[arg(long)]
        name: Option<String>,
        /// auto, cpu or cuda:N instead of the recipe's device
        #[arg(long)]
        device: Option<String>,
        /// Forward every layer again in the backward pass, whatever memory is free
        #[arg(long)]
        recompute: bool,
        /// Let your group read the run directory (a colleague then attaches with read access)
        #[arg(long)]
        group_readable: bool,
        #[command(flatten)]
        tape: Tape,
        #[command(flatten)]
        place: Place,
    },
    /// Check a recipe as a run would before it trains, and say what it will take
    Check {
        /// The recipe, a TOML file
        recipe: PathBuf,
        /// As JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        place: Place,
    },
    /// List the bases and adapters that are found, and why some cannot be used
    Models {
        /// Folders to look through instead of the usual ones
        folders: Vec<PathBuf>,
        /// As JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        place: Place,
    },
    /// Search the hub, see what fits a base, fetch it into the cache that Python's tools share
    Hub {
        #[command(subcommand)]
        verb: hub::Verb,
    },
    /// Watch a run that is under way or over
    Attach {
        /// The run directory
        run: PathBuf,
        /// Lines instead of the screen
        #[arg(long)]
        plain: bool,
        /// No key changes anything
        #[arg(long)]
        read_only: bool,
        /// Tell a run that is over once more, so many times as fast: 8x
        #[arg(long, value_name = "SPEED", value_parser = speed, conflicts_with = "plain")]
        replay: Option<f64>,
        #[command(flatten)]
        tape: Tape,
    },
    /// Go on with a run from its last checkpoint, or with an evaluation or a sweep
    Resume {
        /// The run directory, or the folder of an evaluation or a sweep
        run: PathBuf,
        /// Lines instead of the screen; an evaluation or a sweep goes on in this terminal instead of as a process of its own
        #[arg(long)]
        plain: bool,
        #[arg(long, value_name = "KEY=VALUE", help = "Change a setting first, such as train.micro_tokens=512")]
        set: Vec<String>,
    },
    /// Let a run write a checkpoint after its current step and wait
    Pause {
        /// The run directory
        run: PathBuf,
    },
    /// Let a paused run go on
    Continue {
        /// The run directory
        run: PathBuf,
    },
    /// Stop a run with a checkpoint, or an evaluation or a sweep with its run
    Stop {
        /// The run directory, or the folder of an evaluation or a sweep
        run: PathBuf,
    },
    /// Measure what other prune ratios would do to a run, on a copy: the run goes on untouched
    WhatIf {
        #[command(flatten)]
        asked: what_if::Asked,
    },
    /// Measure how much the dev loss minds the pruning of each part of a run's adapters
    Sensitivity {
        #[command(flatten)]
        asked: sensitivity::Asked,
    },
    /// Find prune ratios per module for a sparsity or a loss, and compare them with the same ratio for all
    Suggest {
        #[command(flatten)]
        asked: suggest::Asked,
    },
    /// Run the methods of a recipe on the same data and seeds and compare them
    Eval {
        #[command(flatten)]
        asked: eval::Asked,
    },
    /// Search prune ratios, learning rates and weights on the dev set; the test set is scored by the choice alone
    Sweep {
        #[command(flatten)]
        asked: sweep::Asked,
    },
    /// List the runs
    Runs {
        #[command(flatten)]
        place: Place,
    },
    /// Write a finished run's result somewhere else
    Export {
        /// The run directory
        run: PathBuf,
        /// A folder for one PEFT adapter: all adapters of the merge, pruned
        #[arg(long, value_name = "FOLDER", conflicts_with = "merged", required_unless_present = "merged")]
        adapter: Option<PathBuf>,
        /// A folder for the base with the adapters merged into its weights
        #[arg(long, value_name = "FOLDER")]
        merged: Option<PathBuf>,
    },
    /// Merge adapters into one PEFT adapter without training: linear, ties, svd and the others of PEFT
    Merge {
        #[command(flatten)]
        asked: merge::Asked,
    },
    /// Write a run as one HTML file: settings, heatmaps, curves, samples, scores
    Report {
        /// The run directory
        run: PathBuf,
        /// The page
        #[arg(long, value_name = "FILE")]
        html: PathBuf,
    },
    /// Say what this machine and this lopper can do
    Health {
        #[command(flatten)]
        place: Place,
    },
    /// Print the key table of the screen
    Keys {
        /// As the table of the README
        #[arg(long)]
        markdown: bool,
        /// As a file to start from: put it into lopper/keys.toml of the configuration folder
        #[arg(long, conflicts_with = "markdown")]
        toml: bool,
        /// Without the keys of your own file
        #[arg(long)]
        default: bool,
    },
    /// Draw a run's screen, or the list of runs, into an SVG file
    Picture {
        /// The run directory, a folder of runs, an evaluation, a sweep, or a recipe
        run: PathBuf,
        #[command(flatten)]
        place: Place,
        /// Columns x rows of the screen
        #[arg(long, default_value = "200x50", value_parser = size)]
        size: (u16, u16),
        /// The picture
        #[arg(long, value_name = "FILE.svg")]
        out: PathBuf,
        /// Only what the run had written up to this step of its last stage
        #[arg(long, value_name = "STEP")]
        until: Option<usize>,
        /// Keys to press first, as the key table names them: `2`, `m`, `down`
        #[arg(long, value_delimiter = ' ')]
        keys: Vec<String>,
    },
    /// Work on a run (started by the other commands)
    #[command(hide = true)]
    Worker {
        /// The run directory
        run: PathBuf,
    },
    /// Work on an evaluation (started by the screen)
    #[command(hide = true)]
    Study {
        /// Its folder
        folder: PathBuf,
    },
    /// Render templates for a process that does not trust them (started by the other commands)
    #[command(hide = true)]
    Render,
}

#[derive(Debug, clap::Args)]
struct Place {
    /// Folder that holds the runs
    #[arg(long, env = "LOPPER_RUNS", default_value = RUNS, value_parser = OsStringValueParser::new().map(runs_folder))]
    runs: PathBuf,
}

/// Where runs are if nothing else is said.
const RUNS: &str = "runs";

/// The folder that holds the runs; a variable that is empty says nothing.
fn runs_folder(said: OsString) -> PathBuf {
    if said.is_empty() { RUNS.into() } else { said.into() }
}

/// Parses the command line, does what it says, and returns the exit code: 0, 1 for a fault, 2 for
/// something that the user can mend.
pub fn main() -> ExitCode {
    let colours = if std::io::stderr().is_terminal() { Theme::dark() } else { Theme::new() };
    if let Err(e) = HookBuilder::default().display_env_section(false).theme(colours).install() {
        outcome::tell(&format!("lopper: {e}"));
    }
    contained::quieten();
    crate::data::render::serve_by(own_file());
    let cli = Cli::parse();
    let done = dispatch(cli);
    let lost = terminal::record::ended_early().map(Error::fault);
    // One line each, and nothing raw of what file names and files hold.
    for e in lost.iter().chain(done.as_ref().err()) {
        // Where even this cannot be written there is nobody to tell.
        writeln!(std::io::stderr(), "lopper: {}", printable(&e.to_string())).ok();
    }
    match (done, lost) {
        (Ok(0), Some(e)) | (Err(e), _) => ExitCode::from(e.exit_code()),
        (Ok(code), _) => ExitCode::from(code),
    }
}

/// This program: the same one also when its file has been replaced meanwhile.
fn own_file() -> PathBuf {
    let running = PathBuf::from("/proc/self/exe");
    if running.exists() { running } else { std::env::current_exe().unwrap_or_else(|_| "lopper".into()) }
}

fn dispatch(cli: Cli) -> Result<u8> {
    let look = cli.look;
    // A worker has no keys, and a wrong file of keys must not stop it.
    let without = matches!(
        cli.command,
        Some(Verb::Worker { .. } | Verb::Study { .. } | Verb::Render | Verb::Keys { default: true, .. })
    );
    if !without && let Some((path, text)) = config::key_file()? {
        action::take_keys(&path.display().to_string(), &text)?;
    }
    if cli.command.is_some() && cli.record.is_some() {
        return Err(Error::user("--record goes after the command: lopper attach RUN --record FILE.cast"));
    }
    let Some(verb) = cli.command else {
        if on_terminal() {
            let place = || runs_folder(std::env::var_os("LOPPER_RUNS").unwrap_or_default());
            let folder = cli.folder.unwrap_or_else(place);
            ui::runs::list(&folder, &WatchOptions { record: cli.record, ..look.into() })?;
        } else {
            use clap::CommandFactory;
            say(&Cli::command().render_help().to_string())?;
        }
        return Ok(0);
    };
    if cli.folder.is_some() {
        return Err(Error::user("--runs stands behind the command: `lopper demo --runs FOLDER`"));
    }
    match verb {
        Verb::Demo { plain, tape, place } => {
            let recipe = Recipe::read(&demo::prepare()?)?;
            let run = start::start(&recipe, &place.runs)?.0;
            follow(&run, plain, false, &WatchOptions { record: tape.record, ..look.into() })
        }
        Verb::New { recipe, record, place } => {
            form(&ui::setup::Source::New(recipe), &place.runs, &WatchOptions { record, ..look.into() })
        }
        Verb::Edit { recipe, record, place } => {
            form(&ui::setup::Source::File(recipe), &place.runs, &WatchOptions { record, ..look.into() })
        }
        Verb::Run { recipe, plain, detach, name, device, recompute, group_readable, tape, place } => {
            let mut recipe = Recipe::read(&recipe)?;
            recipe.name = name.unwrap_or(recipe.name);
            recipe.device = device.unwrap_or(recipe.device);
            recipe.train.recompute = if recompute { Recompute::Always } else { recipe.train.recompute };
            recipe.validate()?;
            let run = start::start_for(&recipe, &place.runs, group_readable)?.0;
            follow(&run, plain, detach, &WatchOptions { record: tape.record, ..look.into() })
        }
        Verb::Check { recipe, json, place } => {
            check::report(&recipe, &place.runs, json).and_then(|text| say(&text)).map(|()| 0)
        }
        Verb::Models { folders, json, place } => {
            models::report(&folders, &place.runs, json).and_then(|text| say(&text)).map(|()| 0)
        }
        Verb::Hub { verb } => hub::run(&verb, &WatchOptions::from(look).picture_theme()?),
        Verb::Attach { run, plain, read_only, replay, tape } => {
            if crate::study::is_one(&run) && !plain && on_terminal() {
                ui::study::watch(&run, &WatchOptions { record: tape.record, ..look.into() })?;
                return Ok(0);
            }
            let run = RunDir::open(&run)?;
            if run.state() == RunState::Created {
                let (path, word) = (run.path().display(), shell::word(run.path()));
                return Err(Error::user(format!("{path} has never had a worker; `lopper resume {word}` starts one")));
            }
            let options = WatchOptions { read_only, replay, record: tape.record, ..look.into() };
            watch(&run, Tail::new(run.clone()), plain, &options)
        }
        Verb::Resume { run, plain, set } if crate::study::is_one(&run) => {
            if !set.is_empty() {
                return Err(Error::user("--set is for a run; `lopper edit` makes a recipe for another evaluation"));
            }
            if !crate::study::can_try_again(&run) {
                refuse_finished(&run, crate::study::state(&run))?;
            }
            if plain {
                return match study::go_on(&run, look.ascii)? {
                    Some(text) => say(&text).map(|()| 0),
                    None => Ok(130),
                };
            }
            crate::study::launch::resume(&run)?;
            let path = shell::word(&run);
            say(&format!("it goes on; `lopper attach {path}` shows how far it is, `lopper stop {path}` stops it"))
                .map(|()| 0)
        }
        Verb::Resume { run, plain, set } => {
            let run = RunDir::open(&run)?;
            refuse_finished(run.path(), run.state())?;
            change::set(&run, &set)?;
            let tail = Tail::from_end(run.clone())?;
            launch::launch(&run)?;
            watch(&run, tail, plain, &look.into())
        }
        Verb::Pause { run } => order(&run, Order::Pause),
        Verb::Continue { run } => order(&run, Order::Resume),
        Verb::Stop { run } => order(&run, Order::Stop),
        Verb::WhatIf { asked } => {
            let (text, code) = what_if::report(&asked)?;
            if text.is_empty() { Ok(code) } else { say(&text).map(|()| code) }
        }
        Verb::Sensitivity { asked } => {
            let (text, code) = sensitivity::report(&asked, &mut outcome::tell)?;
            say(&text).map(|()| code)
        }
        Verb::Suggest { asked } => suggest::report(&asked, &mut outcome::tell).and_then(|text| say(&text)).map(|()| 0),
        Verb::Eval { asked } => match eval::report(&asked)? {
            Some(text) => say(&text).map(|()| 0),
            None => Ok(130),
        },
        Verb::Sweep { asked } => match sweep::report(&asked, look.ascii)? {
            Some(text) => say(&text).map(|()| 0),
            None => Ok(130),
        },
        Verb::Runs { place } => list(&place.runs),
        Verb::Export { run, adapter, merged } => export(&RunDir::open(&run)?, adapter.as_deref(), merged.as_deref()),
        Verb::Merge { asked } => merge::report(&asked).and_then(|text| say(&text)).map(|()| 0),
        Verb::Report { run, html } => {
            let run = RunDir::open(&run)?;
            let theme = WatchOptions::from(look).picture_theme()?;
            crate::run::write_aside(&html, ui::page::of_run(&run, &theme)?.as_bytes())?;
            say(&html.display().to_string())?;
            Ok(0)
        }
        Verb::Health { place } => health::report(&place.runs).and_then(|text| say(&text)).map(|()| 0),
        Verb::Keys { markdown, toml, .. } => {
            let table: Vec<_> = action::sections().copied().collect();
            say(&match (markdown, toml) {
                (true, _) => action::markdown(),
                (_, true) => action::keymap::toml(&table),
                _ => action::plain(),
            })?;
            Ok(0)
        }
        Verb::Picture { run, place, size, out, until, keys } => {
            let theme = WatchOptions::from(look).picture_theme()?;
            let svg = if run.is_file() && until.is_none() {
                ui::setup::picture_of_form(&run, &place.runs, &theme, size, &keys)?
            } else if crate::study::is_one(&run) {
                ui::study::picture_of_study(&run, &theme, size, &keys)?
            } else if run.is_dir() && !run.join("recipe.toml").exists() && until.is_none() {
                ui::runs::picture_of_list(&run, &theme, size, &keys)?
            } else {
                ui::picture::of_run(&RunDir::open(&run)?, &theme, size, until, &keys)?
            };
            crate::run::write_aside(&out, svg.as_bytes())?;
            say(&out.display().to_string())?;
            Ok(0)
        }
        Verb::Study { folder } => {
            launch::detach();
            study::serve(&folder)
        }
        Verb::Render => {
            crate::data::render::serve(&mut std::io::BufReader::new(std::io::stdin()), &mut std::io::stdout())
                .map(|()| 0)
        }
        Verb::Worker { run } => {
            launch::detach();
            worker::serve(&run, |recipe, session| match crate::hub::supply::fetch(recipe, session)? {
                Some(stopped) => Ok(stopped),
                None => train::execute(recipe, session),
            })
        }
    }
}

/// `200x50` as columns and rows.
fn size(text: &str) -> std::result::Result<(u16, u16), String> {
    let parsed = text.split_once('x').and_then(|(w, h)| Some((w.parse().ok()?, h.parse().ok()?)));
    parsed
        .filter(|(w, h)| (10..=500).contains(w) && (3..=200).contains(h))
        .ok_or_else(|| "columns x rows, such as 80x24, up to 500x200".to_owned())
}

/// `8x` or `8` as a speed.
fn speed(text: &str) -> std::result::Result<f64, String> {
    let number: Option<f64> = text.strip_suffix('x').unwrap_or(text).parse().ok();
    number.filter(|n| (0.1..=1000.0).contains(n)).ok_or_else(|| "a speed from 0.1x to 1000x, such as 8x".to_owned())
}

/// Writes to standard output, without control characters; a reader that has gone away is no error.
fn say(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match writeln!(out, "{}", printable_lines(text.trim_end())).and_then(|()| out.flush()) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Error::fault(format!("cannot write the output: {e}")))
        }
        _ => Ok(()),
    }
}

/// A run that has just been started.
fn follow(run: &RunDir, plain: bool, detach: bool, options: &WatchOptions) -> Result<u8> {
    if detach {
        say(&detached(run.path()))?;
        return Ok(0);
    }
    watch(run, Tail::new(run.clone()), plain, options)
}

/// Where a run is that goes on by itself, on a line of its own for scripts, and how to watch it.
fn detached(run: &Path) -> String {
    format!("{}\nwatch it with: lopper attach {}", printable(&run.display().to_string()), shell::word(run))
}

/// The recipe form, which needs a terminal.
fn form(source: &ui::setup::Source, runs: &Path, options: &WatchOptions) -> Result<u8> {
    if !on_terminal() {
        return Err(Error::user("the form needs a terminal; a recipe is a TOML file that any editor writes"));
    }
    ui::setup::edit(source, runs, options)?;
    Ok(0)
}

fn on_terminal() -> bool {
    std::io::stdout().is_terminal() && std::io::stdin().is_terminal()
}

/// The screen on a terminal, lines elsewhere. A failed run is this command's error; 0 while it goes on.
fn watch(run: &RunDir, tail: Tail, plain: bool, options: &WatchOptions) -> Result<u8> {
    if !on_terminal() && (options.record.is_some() || options.replay.is_some()) {
        return Err(Error::user("a recording or a replay needs a terminal for its screen"));
    }
    if plain || !on_terminal() {
        let signal = interrupted::Interrupted::listen();
        match plain::follow(run, tail, &mut std::io::stdout(), &mut || Ok(signal.signal()))? {
            plain::End::Over => {}
            plain::End::Unread => return Ok(0),
            // As a shell counts it.
            plain::End::Signal(signal) => return Ok(128 + signal as u8),
        }
    } else {
        let ending = ui::watch(run.path(), options)?;
        let (path, word) = (run.path().display(), shell::word(run.path()));
        if ending.state.is_over() {
            say(&format!("the run is {}: {path}", ending.state.word()))?;
            if let Some(report) = last_report(run)? {
                say(&report::table(&report))?;
            }
        } else {
            say(&format!("the run goes on; watch it with: lopper attach {word}"))?;
        }
    }
    match worker::read_last_word(run.path()).and_then(|word| word.error()) {
        Some(error) => Err(error),
        None => Ok(0),
    }
}

fn refuse_finished(path: &Path, state: RunState) -> Result<()> {
    if state == RunState::Finished {
        return Err(Error::user(format!("{} is finished; there is nothing to resume", path.display())));
    }
    Ok(())
}

fn order(run: &Path, command: Order) -> Result<u8> {
    if command == Order::Stop && crate::study::is_one(run) {
        let to = crate::study::stop(run)?;
        return say(&format!("stop: sent to {to}")).map(|()| 0);
    }
    let run = RunDir::open(run)?;
    if run.state() != RunState::Running {
        return Err(Error::user(format!("{} has no worker: it is {}", run.path().display(), run.state().word())));
    }
    let name = command.name();
    control::send(run.path(), command)?;
    say(&format!("{name}: sent to {}", run.name()))?;
    Ok(0)
}

fn list(runs: &Path) -> Result<u8> {
    let mut rows: Vec<[String; 3]> = Vec::new();
    for run in RunDir::list(runs)? {
        let word = worker::read_last_word(run.path()).map(|w| w.text).unwrap_or_default();
        rows.push([run.name(), run.state().word().to_owned(), word]);
    }
    for study in listing::studies(runs) {
        let (done, of) = study.stage;
        let said = format!("{}, {done} of {of} runs  {}", study.method, study.said);
        rows.push([study.name, study.state.word().to_owned(), said]);
    }
    if rows.is_empty() {
        say(&format!("no runs in {}; `lopper demo` makes one", runs.display()))?;
        return Ok(0);
    }
    let width = rows.iter().map(|[name, ..]| name.width()).max().unwrap_or(0);
    let line = |[name, state, said]: &[String; 3]| {
        let blanks = " ".repeat(width - name.width());
        format!("{}{blanks}  {state:8}  {}", printable(name), printable(said)).trim_end().to_owned()
    };
    say(&rows.iter().map(line).collect::<Vec<_>>().join("\n"))?;
    Ok(0)
}

fn export(run: &RunDir, adapter: Option<&Path>, merged: Option<&Path>) -> Result<u8> {
    let source = run.result().join("adapter");
    if !source.is_dir() {
        return Err(Error::user(format!("{} has no result yet: it is {}", run.path().display(), run.state().word())));
    }
    let recipe = run.recipe()?;
    if let Some(target) = adapter {
        train::result::copy_adapter(&recipe, &source, target)?;
        say(&format!("{}: one PEFT adapter", target.display()))?;
    }
    if let Some(target) = merged {
        train::result::merged_model(&recipe, &source, target)?;
        say(&format!("{}: the merged model", target.display()))?;
    }
    Ok(0)
}

/// The newest report in the run's journal.
fn last_report(run: &RunDir) -> Result<Option<crate::run::event::Report>> {
    let last = crate::run::journal::last_of(&run.journal_file(), "report")?;
    Ok(last.and_then(|event| match event.body {
        crate::run::event::EventBody::Report(report) => Some(report),
        _ => None,
    }))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        super::Cli::command().debug_assert();
    }

    #[test]
    fn the_command_that_watches_a_run_can_be_pasted() {
        let said = |path: &str| super::detached(std::path::Path::new(path));
        assert_eq!(said("/runs/a-1"), "/runs/a-1\nwatch it with: lopper attach /runs/a-1");
        assert_eq!(said("/my runs/a-1"), "/my runs/a-1\nwatch it with: lopper attach '/my runs/a-1'");
    }

    #[test]
    fn a_folder_of_runs_that_is_empty_is_none() {
        use clap::Parser;
        let of = |args: &[&str]| match super::Cli::try_parse_from(args).map(|cli| cli.command) {
            Ok(Some(super::Verb::Runs { place })) => Some(place.runs),
            _ => None,
        };
        assert_eq!(of(&["lopper", "runs", "--runs", ""]), Some("runs".into()));
        assert_eq!(of(&["lopper", "runs", "--runs", "a b"]), Some("a b".into()));
        assert_eq!(super::runs_folder("".into()), std::path::Path::new("runs"));
    }
}
