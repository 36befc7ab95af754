//! The screen in a real terminal, on runs of the tiny project: what shows, what keys do, how it is left.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::pty;
use crate::tiny;
use lopper::run::event::EventBody;
use lopper::run::{RunDir, RunState};
use pty::{LARGE, SMALL, Terminal};
use rustix::process::Signal;
use std::time::Duration;
use tiny::{Project, until, until_event, until_over, utf8};

/// Long for leaving, even on a machine that has other work; short for somebody who waits.
const SECONDS: Duration = Duration::from_secs(20);

/// A run in the stage that prunes, paused, so that its worker leaves the processor to the test.
fn paused() -> (Project, RunDir) {
    let project = Project::endless();
    let run = project.detached();
    until_event(&run, "the second stage", |e| matches!(e, EventBody::Modules(m) if m.prunes()));
    lopper::run::control::send(run.path(), lopper::run::control::Command::Pause).unwrap();
    until_event(&run, "the pause", |e| matches!(e, EventBody::Paused { paused: true }));
    (project, run)
}

fn orders(run: &RunDir) -> String {
    std::fs::read_to_string(run.control_file()).unwrap_or_default()
}

#[test]
fn a_run_is_started_watched_steered_left_and_attached_to() {
    let project = Project::endless();
    let mut screen = Terminal::start(&project, SMALL, &["run", "recipe.toml"], &[]);
    // The heatmap with its legend and figures; the head with its loss.
    screen.shows(&["▶ running", "stage 2/2 merge + fine-tune + prune", "mean importance", "layer", "down_proj"]);
    screen.shows(&["loss ", " tok/s", "ETA ", "all adapters A+B", "sparsity", "50%"]);
    assert_eq!(screen.modes(), [true, true, true, false]);
    screen.press("m");
    screen.shows(&["retained importance", "100.0%", "net"]);
    screen.press("a");
    screen.shows(&["games A+B"]);
    screen.press("f");
    screen.until("games A", |text| !text.contains("games A+B"));
    screen.press("\x1b[B");
    screen.shows(&["layers.0.self_attn.k_proj"]);
    screen.press("l");
    screen.shows(&["layers.1.self_attn.k_proj"]);
    // Back in time, played on by the clock, and live again.
    screen.press("[[");
    screen.shows(&["(live is "]);
    screen.press(" ");
    screen.shows(&["▶ step "]);
    screen.press("\x7f");
    screen.hides("(live is ");
    screen.press("2");
    screen.shows(&["train ", " dev ", "nats per summary token", "step 1000000"]);
    screen.press("3");
    screen.shows(&["d100", "1 of 1", "reference", "game engine 100", "R-L"]);
    screen.press("5");
    screen.shows(&["stage 2 of 2: merge + fine-tune + prune"]);
    screen.press("?");
    screen.shows(&["leave the screen; the run goes on"]);
    screen.press("q");
    screen.hides("leave the screen; the run goes on");
    let run = project.run();
    screen.press("1p");
    screen.shows(&["‖ paused"]);
    screen.press("p");
    screen.shows(&["▶ running"]);
    // The safe answer is under the cursor.
    screen.press("s");
    screen.shows(&["Stop the run with a checkpoint?"]);
    screen.press("\r");
    screen.hides("Stop the run with a checkpoint?");
    let (code, normal) = screen.leave();
    assert_eq!(code, 0, "{normal}");
    let unwrapped = normal.replace('\n', "");
    assert!(
        unwrapped.contains(&format!("the run goes on; watch it with: lopper attach {}", utf8(run.path()))),
        "{normal}"
    );
    assert!(!normal.contains("mean importance") && !orders(&run).contains("stop"), "{normal}");
    assert_eq!(run.state(), RunState::Running);
    drop(screen);

    let mut screen = Terminal::attach(&project, &run, LARGE, &[]);
    screen.shows(&["▶ running", "1 heatmap", "2 charts", "3 samples", "4 report", "5 log"]);
    screen.shows(&["mean importance", "game engine 100", "forward ", "each step", "science", "net"]);
    screen.press("s");
    screen.shows(&["Stop the run with a checkpoint?"]);
    screen.press("y");
    screen.shows(&["■ stopped", "lopper resume"]);
    until_over(&run);
    let (code, normal) = screen.leave();
    assert!(code == 0 && normal.contains("the run is stopped: "), "{code} {normal}");
    assert_eq!(run.state(), RunState::Stopped);
    // The same screen without a terminal.
    let path = utf8(run.path());
    let said = project.lopper(&["picture", path, "--size", "80x24", "--out", "x.svg", "--keys", "2 e"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    let svg = std::fs::read_to_string(project.path("x.svg")).unwrap();
    assert!(svg.starts_with("<svg") && svg.contains(">stopped</text>") && svg.contains(">nats</text>"), "{svg}");
    for (keys, why) in
        [("no-key", "there is no key \"no-key\""), ("p", "would change the run"), ("E", "would write a file")]
    {
        let said = project.lopper(&["picture", path, "--until", "1", "--out", "y.svg", "--keys", keys]);
        assert!(said.code == Some(2) && said.err.contains(why), "{said:?}");
    }
    assert!(!project.path("y.svg").exists());
}

#[test]
fn no_size_is_too_small_and_the_mouse_works() {
    let (project, run) = paused();
    let mut screen = Terminal::attach(&project, &run, SMALL, &["--mouse", "--read-only"]);
    screen.shows(&["mean importance", "read-only"]);
    assert_eq!(screen.modes(), [true, true, true, true]);
    screen.resize((10, 3));
    screen.until("the sentence", |text| text.contains("paused") && !text.contains("read-only"));
    for to in [(1, 1), (33, 8), (200, 2), (2, 50), (34, 8), (120, 36), (500, 100), (10, 3)] {
        screen.resize(to);
    }
    screen.resize(SMALL);
    screen.shows(&["mean importance", "all adapters A+B", "read-only"]);
    // The third tab, in the fourth row.
    let rows = screen.rows();
    let (row, tabs) = rows.iter().enumerate().find(|(_, row)| row.contains("3 samples")).unwrap();
    let column = tabs[..tabs.find("3 samples").unwrap()].chars().count();
    screen.press(&format!("\x1b[<0;{};{}M\x1b[<0;{};{}m", column + 2, row + 1, column + 2, row + 1));
    screen.shows(&["game engine 100"]);
    screen.press("p");
    screen.shows(&["read-only: `p` changes nothing"]);
    assert_eq!(screen.leave().0, 0);
    assert_eq!(orders(&run).lines().count(), 1, "only the test's own pause");
    assert_eq!(run.state(), RunState::Running);
}

#[test]
fn signals_and_a_lost_terminal_end_the_screen_and_not_the_run() {
    let (project, run) = paused();
    let attach = ["attach", utf8(run.path())];
    for signal in [Signal::TERM, Signal::HUP, Signal::INT] {
        let mut screen = Terminal::start(&project, SMALL, &attach, &[]);
        screen.shows(&["mean importance"]);
        screen.signal(signal);
        assert!(screen.ends().1 < SECONDS, "{signal:?}");
        screen.ends_tidily();
        assert_eq!(run.state(), RunState::Running, "{signal:?}");
    }
    let mut screen = Terminal::start(&project, SMALL, &attach, &[]);
    screen.shows(&["mean importance"]);
    screen.hang_up();
    assert!(screen.ends().1 < SECONDS);
    assert_eq!(run.state(), RunState::Running);
    // The worker still obeys.
    assert_eq!(project.lopper(&["stop", utf8(run.path())]).code, Some(0));
    until_over(&run);
    assert_eq!(run.state(), RunState::Stopped);
}

/// The parameters of every SGR sequence.
fn colours(raw: &str) -> Vec<String> {
    let sgr = regex::Regex::new("\x1b\\[([0-9;:]*)m").unwrap();
    let all = sgr.captures_iter(raw).flat_map(|c| c[1].split([';', ':']).map(str::to_owned).collect::<Vec<_>>());
    all.filter(|p| matches!(p.parse::<u32>(), Ok(30..=38 | 40..=48 | 90..=97 | 100..=107))).collect()
}

#[test]
fn it_works_without_colours_and_without_unicode() {
    let (project, run) = paused();
    let attach = ["attach", utf8(run.path()), "--ascii"];
    let mut coloured = Terminal::start(&project, LARGE, &attach, &[]);
    coloured.shows(&["= paused", "mean importance", "+ 1 heatmap | step ", "game engine 100"]);
    let text = coloured.text();
    assert!(text.is_ascii(), "{text}");
    assert!(!colours(&coloured.raw()).is_empty());
    coloured.leave();
    let mut plain = Terminal::start(&project, SMALL, &attach[..2], &[("NO_COLOR", "1")]);
    plain.shows(&["‖ paused", "mean importance"]);
    // Shades instead of colours.
    plain.until("shades", |text| text.lines().any(|l| l.contains("q_proj") && l.contains(['░', '▒', '▓', '█', '.'])));
    plain.leave();
    assert_eq!(colours(&plain.raw()), Vec::<String>::new());
    let mut dumb = Terminal::start(&project, SMALL, &attach, &[("TERM", "dumb")]);
    dumb.shows(&["= paused", "mean importance"]);
    dumb.leave();
    assert_eq!(colours(&dumb.raw()), Vec::<String>::new());
}

#[test]
fn japanese_stands_at_its_columns() {
    let project = Project::endless();
    let example = serde_json::json!({"id": "記事", "document": "重要度の低いパラメータを零にする。", "summary": "日本語の要約です"});
    project.write("data/dev.jsonl", &(example.to_string() + "\n"));
    let run = project.detached();
    until_event(&run, "the second stage", |e| matches!(e, EventBody::Modules(m) if m.prunes()));
    lopper::run::control::send(run.path(), lopper::run::control::Command::Pause).unwrap();
    let mut screen = Terminal::attach(&project, &run, SMALL, &[]);
    screen.shows(&["‖ paused"]);
    screen.press("3");
    screen.shows(&["日本語の要約です", "重要度の低いパラメータを零にする。", "記事  1 of 1"]);
    let row = screen.rows().iter().position(|row| row.contains("日本語")).unwrap() as u16;
    // A margin, eleven columns of labels, then two columns a character.
    for (i, c) in "日本語の要約です".chars().enumerate() {
        let column = 12 + 2 * i as u16;
        assert_eq!(screen.cell(column, row), (c.to_string(), false));
        assert!(screen.cell(column + 1, row).1, "{c}");
    }
    // With borders: the right one stands in the last column of every row of the samples.
    screen.resize(LARGE);
    screen.until("five panes", |text| text.matches('╯').count() == 5 && text.contains("日本語の要約です"));
    let row = screen.rows().iter().position(|row| row.contains("日本語")).unwrap() as u16;
    for row in row - 1..row + 3 {
        assert_eq!(screen.cell(199, row).0, "│", "{}", screen.text());
    }
    screen.leave();
}

#[test]
fn a_paste_is_never_a_key() {
    let (project, run) = paused();
    let mut screen = Terminal::attach(&project, &run, SMALL, &[]);
    screen.shows(&["mean importance"]);
    screen.press("\x1b[200~sy\x1b[201~");
    screen.shows(&["ignored a paste of 2 characters"]);
    screen.press("\x1b[200~q\r\ns\ry\x1b[A\x1b[201~");
    screen.until("the second paste", |text| text.contains("ignored a paste of ") && !text.contains("of 2 characters"));
    // Even where the question is open already.
    screen.press("s");
    screen.shows(&["Stop the run with a checkpoint?"]);
    screen.press("\x1b[200~yyy\x1b[201~");
    screen.shows(&["ignored a paste of 3 characters"]);
    screen.press("\x1b");
    screen.hides("Stop the run with a checkpoint?");
    assert_eq!(screen.leave().0, 0);
    assert_eq!(orders(&run).lines().count(), 1, "only the test's own pause: {}", orders(&run));
    assert_eq!(run.state(), RunState::Running);
    until("the worker", || lopper::run::lock::is_held(run.path()).then_some(()));
}

/// A run directory as a worker leaves it, without the work.
fn over(project: &Project, name: &str, last_word: &str) -> RunDir {
    let path = project.path("runs").join(name);
    std::fs::create_dir_all(&path).unwrap();
    let mut recipe = lopper::recipe::Recipe::read(&project.path("recipe.toml")).unwrap();
    recipe.name = name.into();
    std::fs::write(path.join("recipe.toml"), recipe.to_toml().unwrap()).unwrap();
    let mut journal = lopper::run::journal::Journal::open(&path.join("events.jsonl")).unwrap();
    let stage = lopper::run::event::Stage { of: 1, steps: 3, method: "plain".into(), ..Default::default() };
    let dev = lopper::run::event::Dev { step: 3, loss: 2.625, ..Default::default() };
    let text = format!("the end of {name}");
    for body in [EventBody::Stage(stage), EventBody::Dev(dev), EventBody::Finished { text: text.clone() }] {
        journal.append(body).unwrap();
    }
    let word = format!("{{\"state\":\"{last_word}\",\"text\":\"{text}\",\"code\":0,\"t\":{}}}", lopper::run::now());
    std::fs::write(path.join("exit.json"), word).unwrap();
    RunDir::open(&path).unwrap()
}

#[test]
fn the_list_leads_to_a_run_and_back_and_is_filtered() {
    let project = Project::new();
    over(&project, "alpha", "finished");
    let beta = over(&project, "beta", "stopped");
    let mut screen = Terminal::start(&project, SMALL, &[], &[]);
    screen.shows(&["2 runs", "alpha", "beta", "✓ finished", "■ stopped", "2.625"]);
    // The order of their names, then down to the second: it is still there after the way back.
    screen.press("ooj");
    screen.press("\r");
    screen.shows(&["beta", "stage 1/1 plain", "the end of beta", "q back"]);
    screen.press("q");
    screen.shows(&["2 runs", "r resume"]);
    screen.press("nlooks good\r");
    until("the note", || {
        let notes = std::fs::read_to_string(beta.path().join("notes.toml")).unwrap_or_default();
        notes.contains("note = \"looks good\"").then_some(())
    });
    screen.press("#first\r");
    screen.press("/#fir");
    screen.until("only beta", |text| text.contains("beta") && !text.contains("alpha"));
    screen.press("\r");
    screen.shows(&["1 of 2 with \"#fir\""]);
    screen.press("\x1b");
    screen.shows(&["alpha"]);
    screen.press("k  =");
    screen.shows(&["settings are the same", "dev loss"]);
    screen.press("qq");
    let (code, text) = screen.ends_tidily();
    assert_eq!(code, 0, "{text}");
}

#[test]
fn a_run_is_deleted_and_another_one_resumed_from_the_list() {
    let project = Project::endless();
    let gone = over(&project, "gone", "finished");
    let run = project.detached();
    until_event(&run, "a step", |e| matches!(e, EventBody::Step(_)));
    let mut screen = Terminal::start(&project, LARGE, &[], &[]);
    screen.shows(&["▶ running", "✓ finished", "tiny-", "games (target)"]);
    // By name: `gone` first. The safe answer is under the cursor.
    screen.press("ookd\r");
    screen.press("d");
    screen.shows(&["Delete gone with its checkpoints and its result?"]);
    screen.press("y");
    screen.shows(&["deleted gone", "1 run "]);
    assert!(!gone.path().exists() && project.path("recipe.toml").exists());
    screen.press("d");
    screen.shows(&["stop it before you delete it"]);
    screen.press("p");
    screen.shows(&["‖ paused"]);
    screen.press("sy");
    screen.shows(&["■ stopped"]);
    screen.press("r");
    screen.shows(&["▶ running"]);
    screen.press("sy");
    screen.shows(&["■ stopped"]);
    screen.leave();
    assert_eq!(run.state(), RunState::Stopped);
}

#[test]
fn an_empty_folder_says_how_to_begin() {
    let project = Project::new();
    let mut screen = Terminal::start(&project, SMALL, &[], &[]);
    screen.shows(&["no runs in", "starts the demo", "lopper run RECIPE.toml"]);
    screen.press("?");
    screen.shows(&["watch the run; q comes back to the list"]);
    screen.press("\x1b");
    screen.hides("watch the run; q comes back to the list");
    assert_eq!(screen.leave().0, 0);
}
