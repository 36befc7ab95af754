//! Keys, pastes, clicks and news at random, on every screen: nothing panics, nothing raw is drawn.
//!
//! ```text
//! cargo test --test workbench random:: -- --ignored --nocapture      # ten minutes with the real binary; LOPPER_SEED, LOPPER_MINUTES
//! ```
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

use crate::pty;
use crate::synthetic;
use crate::tiny;
use crossterm::event::{Event as Said, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use lopper::app::runs::{self, Runs};
use lopper::app::setup::{self, Setup};
use lopper::app::update::update;
use lopper::app::{App, Effect, Message, Overlay, action, ratios};
use lopper::hub::AdapterFacts;
use lopper::hub::adapters::Candidate;
use lopper::hub::desk::{Answer, Ask, Refusal};
use lopper::hub::details::{Details, Weight};
use lopper::hub::download::Standing;
use lopper::hub::outline::Fit;
use lopper::hub::reference::Reference;
use lopper::hub::search::Hit;
use lopper::recipe::ratios::Rule;
use lopper::run::blocks::{BARS, Block, Blocks, Histogram};
use lopper::run::event::{ControlOutcome, Event, EventBody};
use lopper::run::inquiry::{self, Question, Said as Answered};
use lopper::run::listing::{Listing, Summary};
use lopper::run::proposal::Proposal;
use lopper::run::sensitivity::{By, Measured};
use lopper::run::what_if::{Change, WhatIf};
use lopper::run::{RunDir, RunState, compare};
use lopper::theme::{Depth, THEMES, Theme};
use lopper::ui;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::layout::Rect;
use std::collections::{HashSet, VecDeque};
use std::mem::Discriminant;
use std::path::Path;
use std::time::{Duration, Instant};
use tiny::{Project, utf8};

/// What was done last: printed where something panics.
struct Trail {
    seed: u64,
    done: VecDeque<String>,
}

impl Trail {
    fn new(seed: u64) -> Self {
        Self { seed, done: VecDeque::new() }
    }

    fn add(&mut self, what: String) {
        self.done.push_back(what);
        if self.done.len() > 60 {
            self.done.pop_front();
        }
    }
}

impl Drop for Trail {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("seed {}, the last of what was done: {:?}", self.seed, self.done);
        }
    }
}

/// Text that hopes to reach the terminal as it is.
const HOSTILE: [&str; 6] =
    ["a\x1b]0;x\x07b", "\u{9b}31m", "重要度\u{202e}e\u{301}\u{301}", "\r\n\t\0", "0.5", "layers.0.*.q_proj = 0.9"];
/// Keys of editing and of movement, whether or not the table knows them.
const OTHERS: [&str; 22] = [
    "esc",
    "enter",
    "backspace",
    "delete",
    "left",
    "right",
    "up",
    "down",
    "home",
    "end",
    "page-up",
    "page-down",
    "tab",
    "shift-tab",
    "ctrl-u",
    "ctrl-w",
    "ctrl-k",
    "ctrl-n",
    "f1",
    "insert",
    "space",
    " ",
];

/// All keys of the table, those of editing, and letters.
fn keys() -> Vec<String> {
    let mut all: Vec<String> = action::all().flat_map(|e| e.keys).map(|k| (*k).to_owned()).collect();
    all.extend(OTHERS.map(str::to_owned));
    all.extend("0123456789.=*+-,aeqyxz重é".chars().map(String::from));
    all
}

/// A window: mostly small, often tiny, seldom large.
fn size(random: &mut ChaCha8Rng) -> (u16, u16) {
    match random.random_range(0..20) {
        0..6 => (random.random_range(1..60), random.random_range(1..16)),
        6..14 => (80, 24),
        14..17 => (random.random_range(34..130), random.random_range(8..40)),
        17..19 => (120, 36),
        _ => (200, 50),
    }
}

fn theme(random: &mut ChaCha8Rng) -> Theme {
    let (name, _) = THEMES.choose(random).unwrap();
    let depth = *[Depth::True, Depth::Indexed].choose(random).unwrap();
    let theme = Theme::find(name, depth, random.random_bool(0.2)).unwrap();
    if random.random_bool(0.3) { theme.for_slow_link() } else { theme }
}

/// Draws, and looks at every cell.
fn drawn(size: (u16, u16), render: impl FnOnce(&mut ratatui::Frame<'_>)) {
    let mut terminal = Terminal::new(TestBackend::new(size.0, size.1)).unwrap();
    terminal.draw(render).unwrap();
    for cell in terminal.backend().buffer().content() {
        assert!(!cell.symbol().chars().any(char::is_control), "{:?}", cell.symbol());
    }
}

/// A run of the tiny project, and its journal.
fn real() -> (Project, RunDir, Vec<Event>) {
    let project = Project::new();
    let said = project.lopper(&["run", "recipe.toml", "--plain"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    let run = project.run();
    let events = tiny::events(&run);
    (project, run, events)
}

/// A few steps of the large run that nobody made.
fn large() -> Vec<Event> {
    let started = synthetic::started();
    let count = started.matrices.len();
    let mut bodies = vec![EventBody::Started(Box::new(started)), EventBody::Stage(synthetic::stage(30))];
    for step in 1..=30 {
        bodies.push(EventBody::Step(synthetic::update(step, 30)));
        bodies.push(EventBody::Modules(synthetic::modules(step, count)));
        bodies.extend(synthetic::asides(step));
    }
    let at = |(i, body)| Event { v: 1, seq: i as u64, t: 1000.0 + i as f64, body };
    bodies.into_iter().enumerate().map(at).collect()
}

/// What the program would do for the app, and what comes of it.
/// A measurement of a part, named so or as a part may be.
fn measured(name: &str, random: &mut ChaCha8Rng) -> Measured {
    let known = [(By::Layer, "layers.1"), (By::Module, "layers.0.mlp.up_proj"), (By::Projection, "q_proj")];
    let (by, group) = *known.choose(random).unwrap();
    let group = if random.random_bool(0.3) { name } else { group };
    let mean = *[0.01, -1e9, f64::NAN, 1e-12].choose(random).unwrap();
    Measured {
        at: (1, random.random_range(0..2), 0),
        by,
        group: group.into(),
        rule: name.into(),
        ratio: *[0.7, 0.9, 1.0, 1e-3].choose(random).unwrap(),
        documents: [9, 8],
        on: String::new(),
        loss: [3.0, 3.0 + mean],
        delta: Change { mean, se: random.random_bool(0.5).then_some(mean) },
        sparsity: [0.5; 2],
        retained: [0.5; 2],
        restored: 0,
        seconds: 1.0,
    }
}

fn proposal(name: &str) -> Proposal {
    Proposal {
        sparsity: 0.5,
        moves: Vec::new(),
        rules: vec![Rule::parse("*=0.8").unwrap(), Rule::parse("layers.0.*=0.3").unwrap()],
        stands: [0.5, f64::NAN],
        documents: [[0, 16], [16, 32]],
        chosen: [Change::default(); 2],
        verified: [Change::default(); 2],
        gain: Change { mean: f64::INFINITY, se: None },
        measured: 1,
        slopes: 1,
        groups: vec![(name.into(), f64::NAN)],
    }
}

fn carry_out(app: &mut App, effect: Effect, random: &mut ChaCha8Rng) {
    match effect {
        Effect::Send(_) if random.random_bool(0.2) => {
            update(app, Message::NotSent(HOSTILE.choose(random).unwrap().to_string()));
        }
        Effect::Send(command) => {
            let name = command.name().to_owned();
            update(app, Message::Sent { command: name.clone(), id: "id".into() });
            if random.random_bool(0.7) {
                let text = HOSTILE.choose(random).unwrap().to_string();
                let outcome = ControlOutcome { id: "id".into(), command: name, ok: random.random_bool(0.7), text };
                let event = Event { v: 1, seq: 0, t: app.now, body: EventBody::Control(outcome) };
                update(app, Message::Run { events: vec![event], state: app.state, caught_up: true });
            }
        }
        Effect::Look { matrix, .. } => {
            let (high, wide) = *[(1, 1), (4, 9), (64, 512)].choose(random).unwrap();
            let mut block = || Block { entries: random.random_range(1..9), zeros: random.random_range(0..2), sum: 1.0 };
            let grid = (0..high).map(|_| (0..wide).map(|_| block()).collect()).collect();
            let histogram = Histogram { range: (1e-9, 3.0), bars: (0..BARS as u64).collect() };
            let blocks = Blocks { shape: (high, wide), grid, histogram, ..Blocks::default() };
            let found = if random.random_bool(0.8) { Ok(blocks) } else { Err(HOSTILE[1].to_string()) };
            update(app, Message::Looked { matrix, found });
        }
        Effect::ReadSensitivity => {
            update(app, Message::Sensitivity(HOSTILE.iter().map(|text| measured(text, random)).collect()));
        }
        Effect::Inquire(question) => {
            let name = question.name().to_owned();
            update(app, Message::Sent { command: name, id: "id".into() });
            let mut says = |said| update(app, Message::Answered(Box::new(inquiry::Answer { id: "id".into(), said })));
            let text = HOSTILE.choose(random).unwrap().to_string();
            says(Answered::Note(text.clone()));
            match question {
                Question::Sensitivity { .. } => drop(says(Answered::Measured(Box::new(measured(&text, random))))),
                Question::Suggest { .. } => {
                    says(Answered::Progress(text.clone()));
                    if random.random_bool(0.7) {
                        says(Answered::Proposed(Box::new(proposal(&text))));
                    }
                }
                Question::WhatIf { rules, .. } => {
                    let found = WhatIf { request: "id".into(), rules, text: text.clone(), ..WhatIf::default() };
                    says(Answered::WhatIf(Box::new(found)));
                }
                Question::GiveUp { .. } => {}
            }
            if random.random_bool(0.5) {
                says(Answered::Ended(random.random_bool(0.5).then_some(text)));
            }
        }
        Effect::ListRuns => {
            let summary = |text: &&str| Summary { path: (*text).into(), name: (*text).into(), ..Summary::default() };
            update(app, Message::Runs(HOSTILE.iter().map(summary).collect()));
        }
        Effect::Follow(paths) => {
            for path in paths {
                update(app, Message::Other(path, std::sync::Arc::default()));
            }
        }
        Effect::Ratios(_) => {
            let set = |name: &str, rules| ratios::Set { name: name.into(), rules };
            let sets = vec![set("night", Ok(Vec::new())), set(HOSTILE[0], Err(HOSTILE[1].into()))];
            update(app, Message::RatioSets(sets));
        }
        _ => {
            update(app, Message::Toast(HOSTILE.choose(random).unwrap().to_string()));
        }
    }
}

/// Which overlays were drawn.
type Seen<T> = HashSet<Discriminant<T>>;

/// The app with what happens to it, `count` things.
fn watch(events: &[Event], seed: u64, count: usize, seen: &mut Seen<Overlay>) {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut trail = Trail::new(seed);
    let keys = keys();
    let mut app = App::new("random", random.random_bool(0.1));
    app.looks.replay = random.random_bool(0.1).then_some(2.0);
    app.looks.themes.names = THEMES.iter().map(|(name, _)| (*name).to_owned()).collect();
    let (mut at, mut clock) = (0, 1000.0);
    let (mut theme, mut window) = (theme(&mut random), (80, 24));
    for _ in 0..count {
        let message = match random.random_range(0..100) {
            // What opens more than one overlay in a row is rare otherwise.
            0..20 if matches!(app.overlay, Some(Overlay::Module { .. })) => Some(Message::Key("enter".into())),
            0..80 => Some(Message::Key(keys.choose(&mut random).unwrap().clone())),
            80..83 => Some(Message::Paste(HOSTILE.choose(&mut random).unwrap().to_string())),
            83..87 => {
                let kind = *[
                    MouseEventKind::Down(MouseButton::Left),
                    MouseEventKind::ScrollUp,
                    MouseEventKind::ScrollDown,
                    MouseEventKind::Moved,
                ]
                .choose(&mut random)
                .unwrap();
                let (column, row) = (random.random_range(0..window.0), random.random_range(0..window.1));
                let mouse = Said::Mouse(MouseEvent { kind, column, row, modifiers: KeyModifiers::NONE });
                ui::input::message(&app, mouse, Rect::new(0, 0, window.0, window.1), 0)
            }
            87..92 => {
                clock += random.random_range(0.0..10.0);
                Some(Message::Tick(clock))
            }
            92..94 => Some(Message::Read(random.random_bool(0.5).then(|| random.random()))),
            _ => {
                let to = (at + random.random_range(1..10)).min(events.len());
                let news = events[at..to].to_vec();
                // From the end the run starts again, as after a resume.
                at = if to == events.len() && random.random_bool(0.2) { 0 } else { to };
                let over = [RunState::Finished, RunState::Stopped, RunState::Failed, RunState::Crashed];
                let going = [RunState::Running, RunState::Running, RunState::Running, RunState::Paused];
                let states = if to == events.len() { over } else { going };
                let state = *states.choose(&mut random).unwrap();
                Some(Message::Run { events: news, state, caught_up: random.random_bool(0.8) })
            }
        };
        let Some(message) = message else { continue };
        match &message {
            Message::Run { .. } => trail.add(format!("news up to {at}")),
            other => trail.add(format!("{other:?}")),
        }
        for effect in update(&mut app, message) {
            carry_out(&mut app, effect, &mut random);
        }
        if random.random_bool(0.02) {
            (theme, window) = (self::theme(&mut random), size(&mut random));
            trail.add(format!("{window:?}"));
        }
        if random.random_bool(0.5) {
            if theme.ramp.is_coarse() {
                app.settle(theme.ramp.levels());
            }
            seen.extend(app.overlay.iter().map(std::mem::discriminant));
            drawn(window, |frame| ui::draw(&app, &theme, frame));
        }
    }
}

#[test]
fn a_hundred_thousand_keys_on_the_screen_of_a_run() {
    let (_project, _run, events) = real();
    let mut seen = Seen::new();
    for seed in 0..50 {
        watch(&events, seed, 2000, &mut seen);
    }
    let large = large();
    for seed in 100..104 {
        watch(&large, seed, 1000, &mut seen);
    }
    assert_eq!(seen.len(), 10, "not everything that can lie over the panes did");
}

#[test]
fn eighty_thousand_keys_on_the_list_of_runs() {
    let (project, run, _) = real();
    let folder = project.path("runs");
    for i in 0..5 {
        let copy = folder.join(format!("copy-{i}"));
        std::fs::create_dir(&copy).unwrap();
        for name in ["recipe.toml", "events.jsonl", "exit.json"] {
            std::fs::copy(run.path().join(name), copy.join(name)).unwrap();
        }
    }
    std::fs::remove_file(folder.join("copy-0/exit.json")).unwrap();
    std::fs::write(folder.join("copy-1/recipe.toml"), "\u{1b}[31m = nonsense").unwrap();
    std::fs::write(folder.join("copy-2/notes.toml"), "nonsense").unwrap();
    let rows = Listing::new(&folder).scan().unwrap();
    assert_eq!(rows.len(), 6);
    let mut seen = Seen::new();
    for seed in 0..40 {
        list(&rows, seed, 2000, &mut seen);
    }
    assert_eq!(seen.len(), 8, "not everything that can lie over the list did");
}

/// The list with what happens to it, `count` things.
fn list(all: &[Summary], seed: u64, count: usize, seen: &mut Seen<runs::Overlay>) {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut trail = Trail::new(seed);
    let keys = keys();
    let mut list = Runs::new("runs");
    list.themes.names = THEMES.iter().map(|(name, _)| (*name).to_owned()).collect();
    let mut rows = all.to_vec();
    let (mut theme, mut window, mut clock) = (theme(&mut random), (80, 24), 1000.0);
    for _ in 0..count {
        let message = match random.random_range(0..100) {
            0..88 => runs::Message::Key(keys.choose(&mut random).unwrap().clone()),
            88..91 => runs::Message::Paste(HOSTILE.choose(&mut random).unwrap().to_string()),
            91..95 => {
                clock += random.random_range(0.0..10.0);
                runs::Message::Tick(clock)
            }
            95 => runs::Message::Unreadable(HOSTILE.choose(&mut random).unwrap().to_string()),
            _ => {
                // Runs come and go, and change.
                rows = all.iter().filter(|_| random.random_bool(0.8)).cloned().collect();
                for row in &mut rows {
                    let states = [RunState::Created, RunState::Running, RunState::Paused, RunState::Stopped, row.state];
                    row.state = *states.choose(&mut random).unwrap();
                    row.said = HOSTILE.choose(&mut random).unwrap().to_string();
                }
                runs::Message::Rows(rows.clone())
            }
        };
        match &message {
            runs::Message::Rows(rows) => trail.add(format!("{} rows", rows.len())),
            other => trail.add(format!("{other:?}")),
        }
        for effect in runs::update(&mut list, message) {
            answer(&mut list, effect, &mut rows, &mut random);
        }
        if random.random_bool(0.02) {
            (theme, window) = (self::theme(&mut random), size(&mut random));
            trail.add(format!("{window:?}"));
        }
        if random.random_bool(0.5) {
            seen.extend(list.overlay.iter().map(std::mem::discriminant));
            drawn(window, |frame| ui::runs::draw(&list, &theme, frame));
        }
    }
}

/// What the program would do for the list, and what comes of it.
fn answer(list: &mut Runs, effect: runs::Effect, rows: &mut Vec<Summary>, random: &mut ChaCha8Rng) {
    let message = match effect {
        runs::Effect::Compare(paths) => {
            let all = paths.iter().map(|path| RunDir::open(path).and_then(|run| compare::read(&run)));
            match all.collect::<lopper::Result<Vec<_>>>() {
                Ok(all) => runs::Message::Compared(all),
                Err(e) => runs::Message::Toast(e.to_string()),
            }
        }
        runs::Effect::ReadLog(path) => {
            let count = random.random_range(0..40);
            let lines = (0..count).map(|i| format!("{i} {}", HOSTILE.choose(random).unwrap())).collect();
            runs::Message::Log(path, lines)
        }
        runs::Effect::Delete(path) => {
            rows.retain(|row| row.path != path);
            runs::Message::Rows(rows.clone())
        }
        runs::Effect::Save(path, notes) => {
            rows.iter_mut().filter(|row| row.path == path).for_each(|row| row.notes = notes.clone());
            runs::Message::Rows(rows.clone())
        }
        runs::Effect::Resume(path) => runs::Message::Begun(path),
        _ => runs::Message::Toast(HOSTILE.choose(random).unwrap().to_string()),
    };
    runs::update(list, message);
}

/// A recipe with two adapters, and something wrong.
const RECIPE: &str = "base = \"models/b\"\n[data]\ntrain = \"t\"\ndev = \"d\"\n[train]\nlr = 0\n\
    [[adapters]]\nname = \"games\"\nrole = \"target\"\n[[adapters]]\nname = \"net\"\npath = \"adapters/net\"\n\
    role = \"related\"\n";

#[test]
fn forty_thousand_keys_on_the_recipe_form() {
    let mut seen = Seen::new();
    for seed in 0..20 {
        form(seed, 2000, &mut seen);
    }
    assert_eq!(seen.len(), 9, "not everything that keys can put over the form did");
}

/// The form with what is typed and clicked there, `count` things; nothing is looked up or written.
fn form(seed: u64, count: usize, seen: &mut Seen<setup::Overlay>) {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut trail = Trail::new(seed);
    let keys = keys();
    let mut form = Setup::new(Path::new("/p/r.toml"), RECIPE, None, None).unwrap();
    form.themes.names = THEMES.iter().map(|(name, _)| (*name).to_owned()).collect();
    let (mut theme, mut window, mut clock) = (theme(&mut random), (80, 24), 1000.0);
    for _ in 0..count {
        let pane = *setup::Pane::ALL.choose(&mut random).unwrap();
        let message = match random.random_range(0..100) {
            0..85 => setup::Message::Key(keys.choose(&mut random).unwrap().clone()),
            85..88 => setup::Message::Paste(HOSTILE.choose(&mut random).unwrap().to_string()),
            88..90 => setup::Message::Mouse(setup::Hit::Pane(pane)),
            90..94 => {
                let cell = random.random_bool(0.5).then(|| random.random_range(0..setup::CELLS.len()));
                setup::Message::Mouse(setup::Hit::Row(random.random_range(0..80), cell))
            }
            94..97 => setup::Message::Mouse(setup::Hit::Wheel(pane, random.random_bool(0.5))),
            97 => setup::Message::Reach([random.random_range(0..9), random.random_range(0..9)]),
            _ => {
                clock += random.random_range(0.0..10.0);
                setup::Message::Tick(clock)
            }
        };
        trail.add(format!("{message:?}"));
        let mut effects = setup::update(&mut form, message);
        while let Some(effect) = effects.pop() {
            for message in of_hub(effect, &mut random) {
                trail.add(format!("{message:?}"));
                effects.extend(setup::update(&mut form, message));
            }
        }
        if random.random_bool(0.02) {
            (theme, window) = (self::theme(&mut random), size(&mut random));
            trail.add(format!("{window:?}"));
        }
        if random.random_bool(0.3) {
            seen.extend(form.overlay.iter().map(std::mem::discriminant));
            drawn(window, |frame| ui::setup::draw(&form, &theme, frame));
        }
    }
}

/// What a hub that nobody should trust answers, late or never.
fn of_hub(effect: setup::Effect, random: &mut ChaCha8Rng) -> Vec<setup::Message> {
    let mut word = || HOSTILE.choose(random).unwrap().to_string();
    let mut hit = |i: usize| Hit {
        id: format!("lab/model-{i}"),
        commit: (!i.is_multiple_of(3)).then(|| "0123456789abcdef0123456789abcdef01234567".to_owned()),
        license: word(),
        updated: word(),
        dtype: word(),
        gated: i.is_multiple_of(5),
        downloads: u64::MAX >> i,
        ..Hit::default()
    };
    let refused = || Refusal::Said(HOSTILE[0].to_string());
    let answer = match effect {
        setup::Effect::Look { ticket, .. } => {
            let of = Reference::parse("lab/model-1").unwrap();
            let named = setup::Named { lacking: vec![("base".into(), of)], cached: vec!["adapter net".into()] };
            return vec![setup::Message::Looked(ticket, setup::Looked::Named(named))];
        }
        setup::Effect::Hub(Ask::Search { ticket, .. }) => {
            let hits = (0..40).map(&mut hit).collect();
            vec![Answer::Page { ticket, hits, more: true }, Answer::NoPage(ticket - 1, refused())]
        }
        setup::Effect::Hub(Ask::More(ticket)) => vec![Answer::NoPage(ticket, refused())],
        setup::Effect::Hub(Ask::Adapters { ticket, .. }) => {
            let found = (30..50).map(|i| Candidate { hit: hit(i), made_for: "lab/base".into() }).collect();
            vec![Answer::Candidates(ticket, found)]
        }
        setup::Effect::Hub(Ask::Fits { ticket, of }) => {
            let fit = |problem: Option<String>| Fit { bytes: 1 << 40, facts: Some(AdapterFacts::default()), problem };
            let answers = of.into_iter().enumerate();
            answers
                .map(|(i, of)| Answer::Fit(ticket, of, fit((!i.is_multiple_of(2)).then(|| HOSTILE[1].to_string()))))
                .collect()
        }
        setup::Effect::Hub(Ask::Details { of, .. }) => {
            let details = Details { card: word(), about: word(), files: vec![(word(), 7)], ..Details::default() };
            vec![Answer::Details(of, Box::new(if random.random_bool(0.5) { Ok(details) } else { Err(refused()) }))]
        }
        setup::Effect::Hub(Ask::Weigh(of)) => {
            of.into_iter().map(|of| Answer::Weighed(of, Ok(Weight { bytes: 9, outline: None }))).collect()
        }
        setup::Effect::Hub(Ask::Fetch(_)) => vec![Answer::Fetching(Standing::default())],
        _ => Vec::new(),
    };
    answer.into_iter().map(setup::Message::Hub).collect()
}

/// A number from the environment.
fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect(name))
}

/// What a key is as bytes of a terminal.
fn bytes(key: &str) -> Vec<u8> {
    let known = match key {
        "esc" => "\x1b",
        "enter" => "\r",
        "backspace" => "\x7f",
        "delete" => "\x1b[3~",
        "left" => "\x1b[D",
        "right" => "\x1b[C",
        "up" => "\x1b[A",
        "down" => "\x1b[B",
        "home" => "\x1b[H",
        "end" => "\x1b[F",
        "page-up" => "\x1b[5~",
        "page-down" => "\x1b[6~",
        "tab" => "\t",
        "shift-tab" => "\x1b[Z",
        "insert" => "\x1b[2~",
        "space" => " ",
        "f1" => "\x1bOP",
        "f12" => "\x1b[24~",
        _ => "",
    };
    if !known.is_empty() {
        return known.into();
    }
    match key.strip_prefix("ctrl-").map(str::as_bytes) {
        Some([letter @ b'a'..=b'z']) => vec![letter - b'a' + 1],
        _ => key.into(),
    }
}

/// A screen that is typed at until it is left or the time is up; how many keys it took.
fn type_at(project: &Project, args: &[&str], trail: &mut Trail, random: &mut ChaCha8Rng, until: Instant) -> usize {
    let mut screen = pty::Terminal::start(project, size(random), args, &[]);
    trail.add(format!("{args:?}"));
    // Before that, ctrl-c ends it as it ends any program.
    tiny::until("the alternate screen", || screen.raw().contains("\x1b[?1049h").then_some(()));
    let keys = keys();
    let mut count = 0;
    while Instant::now() < until {
        let burst = random.random_range(1..12);
        for _ in 0..burst {
            let typed = match random.random_range(0..100) {
                0..2 => {
                    format!("\x1b[200~{}\x1b[201~", HOSTILE.choose(random).unwrap().replace('\x1b', "")).into_bytes()
                }
                2..4 => format!(
                    "\x1b[<{};{};{}M",
                    [0, 64, 65].choose(random).unwrap(),
                    random.random_range(1..99),
                    random.random_range(1..40)
                )
                .into_bytes(),
                // An escape before a letter would be that letter with Alt.
                4..96 => bytes(keys.choose(random).unwrap()),
                _ => {
                    let to = size(random);
                    trail.add(format!("{to:?}"));
                    screen.resize(to);
                    continue;
                }
            };
            trail.add(String::from_utf8_lossy(&typed).escape_debug().to_string());
            if !screen.try_press(&typed) {
                break;
            }
            count += 1;
        }
        std::thread::sleep(Duration::from_millis(random.random_range(0..25)));
        // Who is stopped by ctrl-z goes on.
        screen.signal(rustix::process::Signal::CONT);
        if let Some(status) = screen.ended() {
            if !status.success() {
                std::thread::sleep(Duration::from_millis(300));
                let raw = screen.raw();
                let said = raw.rsplit("\x1b[?1049l").next().unwrap_or_default();
                panic!("it ended with {status} and said:\n{}", lopper::text::printable_lines(said));
            }
            // Whether the modes are balanced cannot be seen here: ctrl-z and ctrl-c that come while the terminal is the
            // shell's make it throw away what was written and not yet read.
            break;
        }
    }
    let raw = screen.raw();
    assert!(!raw.contains("panicked") && !raw.contains("BACKTRACE"), "{}", screen.text());
    count
}

#[test]
#[ignore = "ten minutes"]
fn ten_minutes_of_random_keys() {
    let (project, run, _) = real();
    // The demo would take the machine for itself.
    let config = project.path("config/lopper");
    std::fs::create_dir_all(&config).unwrap();
    std::fs::write(config.join("keys.toml"), "[runs]\ndemo = []\n").unwrap();
    let kept = project.path("kept");
    std::fs::create_dir(&kept).unwrap();
    let again = |i: usize| {
        let copy = project.path("runs").join(format!("copy-{i}"));
        std::fs::create_dir_all(&copy).unwrap();
        for name in ["recipe.toml", "events.jsonl", "exit.json"] {
            std::fs::copy(kept.join(name), copy.join(name)).unwrap();
        }
        copy
    };
    for name in ["recipe.toml", "events.jsonl", "exit.json"] {
        std::fs::copy(run.path().join(name), kept.join(name)).unwrap();
    }
    let seed = number("LOPPER_SEED", 1);
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut trail = Trail::new(seed);
    let until = Instant::now() + Duration::from_secs(60 * number("LOPPER_MINUTES", 10));
    let (mut screens, mut count) = (0, 0);
    while Instant::now() < until {
        let copy = again(screens % 4);
        let path: &Path = &copy;
        let steady = project.path("kept");
        let args: &[&str] = match random.random_range(0..5) {
            0 => &[],
            1 => &["attach", utf8(path), "--replay", "4x"],
            2 => &["attach", utf8(path), "--mouse", "--slow-link"],
            3 => &["attach", utf8(&steady), "--ascii", "--debug"],
            _ => &["attach", utf8(path), "--mouse"],
        };
        count += type_at(&project, args, &mut trail, &mut random, until);
        screens += 1;
    }
    println!("{count} keys on {screens} screens, seed {seed}");
    assert!(screens > 3 && count > 1000);
}
