//! What a screen has to bear: hostile text, pastes of a megabyte, windows that change all the time, keys before it
//! is there. With the real binary.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::pty;
use crate::tiny;
use lopper::run::RunDir;
use lopper::run::control::{Command, send};
use lopper::run::event::{EventBody, Sample};
use lopper::run::journal::Journal;
use pty::Terminal;
use rustix::process::Signal;
use std::time::{Duration, Instant};
use tiny::{Project, until, until_event, utf8};

const SMALL: (u16, u16) = (80, 24);
const LARGE: (u16, u16) = (200, 50);

fn finished(project: &Project) -> RunDir {
    let said = project.lopper(&["run", "recipe.toml", "--plain"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    project.run()
}

/// A run in the stage that prunes, paused.
fn paused() -> (Project, RunDir) {
    let project = Project::new();
    project.recipe("", "steps = 1000000\neval_every = 1000000\ncheckpoint_every = 1000000");
    let run = project.detached();
    until_event(&run, "the second stage", |e| matches!(e, EventBody::Modules(m) if m.prunes()));
    send(run.path(), Command::Pause).unwrap();
    until_event(&run, "the pause", |e| matches!(e, EventBody::Paused { paused: true }));
    (project, run)
}

/// Would set a title, move the cursor out of the window, switch the mouse on, and ring.
const HOSTILE: &str = "a\u{1b}]0;OWNED\u{7}b\u{1b}[99;199Hc\u{1b}[?1003hd\u{9b}5me\u{202e}f\u{8}g";

/// What is left of what was written once everything that lopper itself says to a terminal is taken away.
fn rest(raw: &str) -> String {
    let own = [
        r"\x1b\[[0-9;:]*m",
        r"\x1b\[[0-9]+;[0-9]+H",
        r"\x1b\[(2J|H|0?J|K)",
        r"\x1b\[\?(25|1049|2004|2026|1000|1002|1003|1006|1015)[hl]",
        // Questions.
        r"\x1b\[\?2026\$p",
        r"\x1b\[c",
        r"\x1b\]11;\?\x1b\\",
    ];
    regex::Regex::new(&own.join("|")).unwrap().replace_all(raw, "").into_owned()
}

#[test]
fn nothing_that_was_not_meant_for_it_reaches_the_terminal() {
    let project = Project::new();
    // The base's folder, the data set's texts and ids, an adapter's folder.
    let base = format!("ba{HOSTILE}se").replace('\u{8}', "");
    std::fs::rename(project.path("base"), project.path(&base)).unwrap();
    let recipe = std::fs::read_to_string(project.path("recipe.toml")).unwrap();
    let quoted = serde_json::to_string(&base).unwrap();
    project.write("recipe.toml", &recipe.replace("base = \"base\"", &format!("base = {quoted}")));
    let example = serde_json::json!({"id": HOSTILE, "document": HOSTILE.repeat(3), "summary": HOSTILE});
    project.write("data/dev.jsonl", &(example.to_string() + "\n"));
    let run = finished(&project);
    // A summary as a model may write it, what the worker printed, notes, and another state of the run.
    let mut journal = Journal::open(&run.journal_file()).unwrap();
    let text = format!("{HOSTILE} written by the model");
    journal.append(EventBody::Sample(Sample { step: 1, document: 0, text, rouge_l: 1.0 })).unwrap();
    journal.append(EventBody::Warning { text: HOSTILE.into() }).unwrap();
    std::fs::write(run.log_file(), format!("{HOSTILE}\nprinted by a library\n")).unwrap();
    let notes = format!("tags = [{0}]\nnote = {0}\n", serde_json::to_string("a\u{1b}[99;199Hb").unwrap());
    std::fs::write(run.path().join("notes.toml"), notes).unwrap();

    let check = |screen: &Terminal| {
        let raw = screen.raw();
        assert!(!raw.contains("\x1b[99;199H") && !raw.contains("\x1b[?1003h") && !raw.contains("\x1b]0;"), "{raw:?}");
        let rest = rest(&raw);
        let bad: Vec<char> =
            rest.chars().filter(|c| (c.is_control() && !matches!(c, '\r' | '\n')) || *c == '\u{202e}').collect();
        assert!(bad.is_empty(), "{bad:?} in {rest:?}");
    };
    for size in [SMALL, LARGE] {
        let mut screen = Terminal::start(&project, size, &["attach", utf8(run.path())], &[]);
        screen.shows(&["✓ finished"]);
        screen.press("3");
        screen.shows(&["written by the model", "\\u{1b}]0;OWNED"]);
        screen.press("5");
        screen.shows(&["\\u{1b}[99;199H"]);
        // A paste of it into a line, and its find.
        screen.press("3/");
        screen.press(&format!("\x1b[200~{}\x1b[201~", "\u{9b}5me"));
        screen.shows(&["\\u{9b}5me"]);
        screen.press("\r");
        screen.press("q");
        assert_eq!(screen.ends_tidily().0, 0);
        check(&screen);
        let mut screen = Terminal::start(&project, size, &[], &[]);
        screen.shows(&["1 run", "tiny-"]);
        screen.press("l");
        screen.shows(&["printed by a library", "\\u{1b}]0;OWNED"]);
        screen.press("\x1b");
        screen.hides("printed by a library");
        screen.press("#");
        screen.shows(&["a\\u{1b}[99;199Hb", "enter keeps them"]);
        screen.press("\x1b");
        screen.hides("enter keeps them");
        screen.press("\r");
        screen.shows(&["✓ finished", "q back"]);
        screen.press("q");
        screen.shows(&["1 run"]);
        screen.press("q");
        assert_eq!(screen.ends_tidily().0, 0);
        check(&screen);
    }
    // Lines are no better protected.
    for args in [&["attach", utf8(run.path()), "--plain"][..], &["runs"], &["health"]] {
        // `said` looks for control characters.
        project.lopper(args);
    }
}

#[test]
fn a_megabyte_is_pasted_into_every_line() {
    let (project, run) = paused();
    let paste = format!("\x1b[200~{}\x1b[201~", "x".repeat(1 << 20));
    let mut screen = Terminal::start(&project, SMALL, &["attach", utf8(run.path())], &[]);
    screen.shows(&["mean importance", "‖ paused"]);
    let x = "x".repeat(20);
    screen.press(&paste);
    screen.shows(&["ignored a paste of 1048576 characters"]);
    for (open, question) in [
        ("3/", "search the samples"),
        ("1r", "prune ratio"),
        ("R", "prune rule"),
        ("w", "save the ratios as"),
        (":", "actions"),
    ] {
        screen.press(open);
        screen.shows(&[question]);
        screen.press(&paste);
        screen.shows(&[question, &x]);
        // It is edited as any other line, and bounded.
        screen.press("\x01ab");
        screen.shows(&[question]);
        screen.press("\x15");
        screen.hides(&x);
        screen.press("\x1b");
        screen.hides(question);
    }
    screen.press("2");
    screen.shows(&["train "]);
    screen.press("q");
    assert_eq!(screen.ends_tidily().0, 0);
    assert_eq!(std::fs::read_to_string(run.control_file()).unwrap().lines().count(), 1, "only the test's own pause");

    let mut screen = Terminal::start(&project, SMALL, &[], &[]);
    screen.shows(&["1 run", "tiny-"]);
    for (open, question) in [("#", "tags"), ("n", "note"), ("/", "/xxx")] {
        screen.press(open);
        screen.press(&paste);
        screen.shows(&[question, &x]);
        screen.press("\x1b");
        screen.hides(&x);
    }
    screen.press("q");
    assert_eq!(screen.ends_tidily().0, 0);
    assert!(!run.path().join("notes.toml").exists());
}

#[test]
fn a_storm_of_sizes_while_the_run_goes_on() {
    let project = Project::new();
    project.recipe("", "steps = 1000000\neval_every = 1000000\ncheckpoint_every = 1000000");
    let run = project.detached();
    until_event(&run, "the second stage", |e| matches!(e, EventBody::Modules(m) if m.prunes()));
    for args in [&["attach", utf8(run.path())][..], &[]] {
        let mut screen = Terminal::start(&project, SMALL, args, &[]);
        screen.shows(&["▶ running"]);
        let begun = Instant::now();
        let mut storm = 0;
        // Down to one cell and up again, over and over, faster than frames are drawn, with keys in between.
        while storm < 200 || begun.elapsed() < Duration::from_secs(2) {
            let (wide, high) = [(200, 50), (120, 36), (80, 24), (34, 8), (33, 7), (10, 3), (2, 2), (1, 1)][storm % 8];
            screen.resize((wide, high));
            if storm % 3 == 0 {
                screen.press(["j", "l", "2", "1", "?", "\x1b[B", "m", "[", "i"][storm / 3 % 9]);
            }
            if storm % 16 == 7 {
                screen.press("\x1b");
            }
            std::thread::sleep(Duration::from_millis(1 + storm as u64 % 7));
            storm += 1;
        }
        screen.resize((1, 1));
        std::thread::sleep(Duration::from_millis(200));
        screen.resize(SMALL);
        // Whatever lies over the panes is left.
        until("the state", || {
            screen.press("\x1b");
            std::thread::sleep(Duration::from_millis(100));
            screen.text().contains("▶ running").then_some(())
        });
        screen.resize(LARGE);
        screen.shows(&["▶ running"]);
        screen.press("\x03");
        assert_eq!(screen.ends_tidily().0, 0);
    }
    assert!(lopper::run::lock::is_held(run.path()));
}

#[test]
fn the_shell_gets_the_terminal_and_gives_it_back() {
    let project = Project::new();
    let run = finished(&project);
    let attach = ["attach", utf8(run.path())];
    for (args, shows) in [(&attach[..], "mean importance"), (&[], "1 run")] {
        let mut screen = Terminal::start(&project, SMALL, args, &[]);
        screen.shows(&[shows]);
        for by_key in [true, false, true] {
            if by_key {
                screen.press("\x1a");
            } else {
                screen.signal(Signal::TSTP);
            }
            until("the stop", || screen.is_stopped().then_some(()));
            until("the terminal as it was", || screen.is_given_back().then_some(()));
            // Another program writes on the screen meanwhile; the window changes.
            screen.resize(LARGE);
            screen.signal(Signal::CONT);
            screen.shows(&[shows]);
            screen.resize(SMALL);
            screen.until("the small screen", |text| text.contains(shows) && !text.contains("reference"));
            assert_eq!(screen.modes(), [true, true, true, false]);
        }
        screen.press("q");
        assert_eq!(screen.ends_tidily().0, 0);
    }
}

#[test]
fn signals_and_a_lost_terminal_end_the_list() {
    let project = Project::new();
    finished(&project);
    for signal in [Signal::TERM, Signal::HUP, Signal::INT] {
        let mut screen = Terminal::start(&project, SMALL, &[], &[]);
        screen.shows(&["1 run"]);
        screen.signal(signal);
        screen.ends_tidily();
    }
    let mut screen = Terminal::start(&project, SMALL, &[], &[]);
    screen.shows(&["1 run", "tiny-"]);
    screen.press("?");
    screen.shows(&["this table"]);
    screen.hang_up();
    screen.ends();
}

#[test]
fn keys_typed_before_there_is_a_screen_are_kept() {
    let project = Project::new();
    let run = finished(&project);
    let answer = "\x1b[?2026;2$y\x1b[?62;22c";
    // Before, between and behind the terminal's answers; and with none at all.
    for (before, after) in [("5", "?"), ("5?", ""), ("", "5?")] {
        for answers in [true, false] {
            let mut screen = Terminal::start(&project, LARGE, &["attach", utf8(run.path())], &[]);
            until("the question", || screen.raw().contains("\x1b[?2026$p").then_some(()));
            screen.press(before);
            if answers {
                screen.press(answer);
            }
            screen.press(after);
            screen.shows(&["this table"]);
            screen.press("\x1b");
            screen.hides("this table");
            screen.press("q");
            assert_eq!(screen.ends_tidily().0, 0);
        }
    }
    // A paste is none, however much of it comes how early.
    let mut screen = Terminal::start(&project, LARGE, &["attach", utf8(run.path())], &[]);
    until("the question", || screen.raw().contains("\x1b[?2026$p").then_some(()));
    screen.press("\x1b[200~qqq");
    std::thread::sleep(Duration::from_millis(200));
    screen.press("q\x1b[201~");
    screen.shows(&["ignored a paste of 4 characters", "✓ finished"]);
    screen.press("q");
    assert_eq!(screen.ends_tidily().0, 0);
}

#[test]
fn a_terminal_may_send_anything() {
    let project = Project::new();
    let run = finished(&project);
    let mut screen = Terminal::start(&project, SMALL, &["attach", utf8(run.path()), "--mouse"], &[]);
    screen.shows(&["✓ finished", "mean importance"]);
    // Positions of 0, reports nobody asked for, sequences without an end, letters that are none.
    for odd in [
        "\x1b[0;0R",
        "\x1b[R",
        "\x1b[<0;0;0M",
        "\x1b[<64;0;0M",
        "\x1b[<99999;99999;99999M",
        "\x1b[M\x20\x20\x20",
        "\x1b[M!!!",
        "\x1b[?2026;2$y",
        "\x1b[?62;22c",
        "\x1b[99999~",
        "\x1b[;;;~",
        "\x1b[I\x1b[O",
        "\x1b[1;99A",
        "\x1b[32;0;0M",
    ] {
        screen.press(odd);
        std::thread::sleep(Duration::from_millis(20));
    }
    let writer_takes_bytes = screen.try_press(b"\xff\xc0\xed\xa0\x80\x80");
    assert!(writer_takes_bytes);
    screen.press("?");
    screen.shows(&["this table"]);
    screen.press("q");
    screen.hides("this table");
    screen.press("q");
    assert_eq!(screen.ends_tidily().0, 0);
}

#[test]
fn actions_without_keys_are_not_offered() {
    let project = Project::new();
    finished(&project);
    std::fs::create_dir_all(project.path("config/lopper")).unwrap();
    project.write("config/lopper/keys.toml", "[runs]\ndemo = []\nfilter = []\nhelp = []\nlog = []\n");
    let mut screen = Terminal::start(&project, LARGE, &[], &[]);
    screen.shows(&["1 run", "tiny-", "q leave", "n note"]);
    assert!(!screen.text().contains("l log") && !screen.text().contains("? help"), "{}", screen.text());
    screen.press("/l?q");
    assert_eq!(screen.ends_tidily().0, 0);
}

#[test]
#[ignore = "needs tmux, which .ci/run installs"]
fn within_tmux_the_path_goes_to_its_buffer_and_on_to_its_terminal() {
    let project = Project::new();
    let run = finished(&project);
    let socket = project.path("tmux.socket");
    let command = format!("{} attach {}", env!("CARGO_BIN_EXE_lopper"), utf8(run.path()));
    let args = ["-u", "-S", utf8(&socket), "-f", "/dev/null", "new-session", &command];
    let mut screen = Terminal::of("tmux", &project, SMALL, &args, &[]);
    screen.shows(&["✓ finished", "mean importance"]);
    screen.press("C");
    screen.shows(&["sent to the terminal"]);
    let mut tmux = std::process::Command::new("tmux");
    let buffer = tmux.arg("-S").arg(&socket).arg("show-buffer").env_remove("TMUX").output().unwrap();
    assert_eq!(String::from_utf8_lossy(&buffer.stdout), utf8(run.path()));
    until("the path on its way to the terminal's clipboard", || screen.raw().contains("\x1b]52;").then_some(()));
    // The window's size changes under both, and lopper is left as anywhere.
    screen.resize((2, 2));
    screen.resize((120, 40));
    screen.shows(&["1 heatmap", "5 log", "mean importance"]);
    screen.press("q");
    assert_eq!(screen.ends().0, 0);
}
