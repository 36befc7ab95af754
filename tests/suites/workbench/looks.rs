//! Keys and themes of the user, the slow link, recordings, replays and reports: with the real binary.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::pty;
use crate::tiny;
use lopper::run::RunDir;
use pty::{LARGE, SMALL, Terminal};
use std::time::{Duration, Instant, SystemTime};
use tiny::{Project, until, utf8};

/// A run of the tiny project that is over.
fn finished() -> (Project, RunDir) {
    let project = Project::new();
    let said = project.lopper(&["run", "recipe.toml", "--plain"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    let run = project.run();
    (project, run)
}

/// A file below the user's configuration of lopper.
fn configure(project: &Project, name: &str, text: &str) {
    let path = project.path("config/lopper").join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

#[test]
fn the_users_keys_and_themes_hold_on_the_screen() {
    let (project, run) = finished();
    configure(&project, "keys.toml", "[watch]\nhelp = [\"f2\"]\ncharts = [\"ctrl-up\"]\n");
    configure(&project, "themes/mine.toml", "inherits = \"dark\"\naccent = 201\n");
    let mut screen = Terminal::attach(&project, &run, SMALL, &["--theme", "mine"]);
    screen.shows(&["✓ finished", "f2 help"]);
    screen.press("?");
    screen.press("\x1b[1;5A");
    screen.shows(&["train ", " dev "]);
    screen.press("\x1bOQ");
    screen.shows(&["heatmap, charts, samples, report, log", "1 ctrl-up 3 4 5"]);
    screen.press("q");
    // The palette finds and does; its keys are the user's.
    screen.press(":");
    screen.shows(&["╭ actions"]);
    screen.press("help");
    screen.shows(&["> help", "f2"]);
    screen.press("\r");
    screen.shows(&["heatmap, charts, samples, report, log"]);
    screen.press("q");
    screen.hides("heatmap, charts, samples, report, log");
    // The theme's colour, and the next one as soon as its file is saved.
    assert!(screen.raw().contains("38;5;201") && !screen.raw().contains("38;5;202"));
    configure(&project, "themes/mine.toml", "inherits = \"dark\"\naccent = 202\n");
    let file = std::fs::File::options().append(true).open(project.path("config/lopper/themes/mine.toml")).unwrap();
    file.set_modified(SystemTime::now() + Duration::from_secs(5)).unwrap();
    until("the new colour", || screen.raw().contains("38;5;202").then_some(()));
    configure(&project, "themes/mine.toml", "accent = \"no-colour\"\n");
    file.set_modified(SystemTime::now() + Duration::from_secs(9)).unwrap();
    screen.shows(&["line 1: accent"]);
    // Another theme, chosen with a preview.
    screen.press("\x14");
    screen.shows(&["╭ theme", "high-contrast", "mine"]);
    screen.press("\r");
    assert_eq!(screen.leave().0, 0);
}

#[test]
fn palette_and_themes_go_along_from_the_list_to_the_run_and_the_form() {
    let (project, _run) = finished();
    let accent = |color: u8, later: u64| {
        configure(&project, "themes/mine.toml", &format!("inherits = \"dark\"\naccent = {color}\n"));
        let path = project.path("config/lopper/themes/mine.toml");
        let file = std::fs::File::options().append(true).open(path).unwrap();
        file.set_modified(SystemTime::now() + Duration::from_secs(later)).unwrap();
    };
    accent(201, 0);
    let mut screen = Terminal::start(&project, SMALL, &["--theme", "dark"], &[]);
    screen.shows(&["1 run", "✓ finished", "enter watch"]);
    // An action of the list by what it does.
    screen.press(":");
    screen.shows(&["╭ actions", "watch the run"]);
    screen.press("worker printed");
    screen.shows(&["> worker printed", "log "]);
    screen.press("\r");
    screen.shows(&["worker.log of tiny-"]);
    screen.press("q");
    screen.hides("worker.log of tiny-");
    // The accent of `dark` among xterm's 256; the preview shows, and goes again.
    screen.wears(116);
    screen.press("\x14");
    screen.shows(&["╭ theme", "high-contrast", "mine"]);
    screen.press("\x1b[F");
    screen.wears(201);
    screen.press("\x1b");
    screen.hides("╭ theme");
    screen.wears(116);
    screen.press("\x14\x1b[F\r");
    screen.wears(201);
    // Its file is followed here too.
    accent(202, 5);
    screen.wears(202);
    screen.press("\r");
    screen.shows(&["the adapter and the report are in", "q back"]);
    screen.wears(202);
    // Another one, chosen beside the run, is on in the list after the return.
    screen.press("\x14");
    screen.shows(&["╭ theme"]);
    screen.press("\x1b[Hj\r");
    screen.wears(116);
    screen.press("q");
    screen.shows(&["1 run", "enter watch"]);
    screen.wears(116);
    // In the form: the palette, a theme through it, its file.
    screen.press("a");
    screen.shows(&["recipe-2.toml", "new, not saved"]);
    screen.wears(116);
    screen.press(":");
    screen.shows(&["╭ actions"]);
    screen.press("choose the theme");
    screen.shows(&["> choose the theme"]);
    screen.press("\r");
    screen.shows(&["╭ theme"]);
    screen.press("\x1b[F");
    screen.wears(202);
    screen.press("\r");
    screen.hides("╭ theme");
    accent(203, 9);
    screen.wears(203);
    accent(204, 13);
    configure(&project, "themes/mine.toml", "accent = \"no-colour\"\n");
    screen.shows(&["line 1: accent"]);
    // A theme that is only looked at stays behind where the form is left in the midst of it.
    accent(205, 17);
    screen.wears(205);
    screen.press("\x14");
    screen.shows(&["╭ theme"]);
    screen.press("\x1b[H\x03");
    screen.shows(&["drop the changes"]);
    screen.wears(205);
    screen.press("d");
    screen.shows(&["1 run", "enter watch"]);
    screen.wears(205);
    assert_eq!(screen.leave().0, 0);
}

#[test]
fn a_screen_at_rest_writes_nothing() {
    let (project, _run) = finished();
    configure(&project, "themes/mine.toml", "inherits = \"dark\"\naccent = 201\n");
    let mut screen = Terminal::start(&project, SMALL, &["edit", "recipe.toml", "--theme", "mine"], &[]);
    screen.shows(&["recipe.toml", "saved", "nothing is wrong"]);
    screen.hides("looking ...");
    screen.press("\x14");
    screen.shows(&["╭ theme"]);
    // Once it has come to rest, over several looks at the theme's file.
    let rests = || {
        let before = screen.raw().len();
        std::thread::sleep(Duration::from_millis(2500));
        (screen.raw().len() == before).then_some(())
    };
    until("rest", rests);
    screen.press("\x1b");
    screen.hides("╭ theme");
    screen.press("q");
    assert_eq!(screen.ends_tidily().0, 0);
}

#[test]
fn what_leaves_the_screen() {
    let (project, run) = finished();
    let path = utf8(run.path());
    let mut screen = Terminal::attach(&project, &run, SMALL, &["--record", "x.cast"]);
    screen.shows(&["✓ finished"]);
    screen.press("4E");
    screen.shows(&["saved report-"]);
    let saved = |end: &str| {
        let mut all = std::fs::read_dir(run.path()).unwrap().map(|e| e.unwrap().path());
        let found =
            all.find(|p| p.file_name().unwrap().to_str().unwrap().starts_with("report-") && utf8(p).ends_with(end));
        std::fs::read_to_string(found.unwrap()).unwrap()
    };
    assert!(saved(".txt").contains("R-L") && !saved(".txt").contains("finished"), "{}", saved(".txt"));
    assert!(saved(".svg").starts_with("<svg"));
    screen.press("C");
    screen.shows(&["sent to the terminal"]);
    assert!(screen.raw().contains("\x1b]52;c;"));
    screen.resize((100, 30));
    screen.press("\x1b[24~");
    screen.shows(&["frames", "B/frame", "draw "]);
    assert_eq!(screen.leave().0, 0);
    // What was recorded is what the terminal was sent, the clipboard left out.
    let cast = std::fs::read_to_string(project.path("x.cast")).unwrap();
    let lines: Vec<serde_json::Value> = cast.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((lines[0]["version"].as_u64(), lines[0]["width"].as_u64()), (Some(2), Some(80)));
    let output: String = lines[1..].iter().filter(|l| l[1] == "o").map(|l| l[2].as_str().unwrap()).collect();
    assert!(lines.iter().any(|l| l[1] == "r" && l[2] == "100x30"), "{cast}");
    assert!(output.contains("\x1b[?1049h") && output.contains("\x1b[?1049l") && !output.contains("]52;"));
    let mut player = vt100::Parser::new(30.try_into().unwrap(), 100.try_into().unwrap(), 0);
    player.process(output.split("\x1b[?1049l").next().unwrap().as_bytes());
    assert!(player.screen().contents().contains("finished"));
    // No recording replaces a file.
    let mut again = Terminal::attach(&project, &run, SMALL, &["--record", "x.cast"]);
    let (code, text) = again.ends_tidily();
    assert!(code == 2 && text.contains("there is a file of that name"), "{text}");
    // And none is made without a screen.
    let said = project.lopper(&["attach", path, "--record", "y.cast"]);
    assert!(said.code == Some(2) && said.err.contains("needs a terminal"), "{said:?}");
}

#[test]
fn a_run_that_is_over_is_told_once_more() {
    let (project, run) = finished();
    let path = utf8(run.path());
    let before = std::fs::read(run.control_file()).unwrap_or_default();
    let mut screen = Terminal::attach(&project, &run, SMALL, &["--replay", "0.5x"]);
    screen.shows(&["replay 0.5x", "▶ running"]);
    screen.press("p");
    screen.shows(&["‖ paused"]);
    screen.press("s");
    screen.shows(&["this is a replay: `s` changes nothing"]);
    screen.press("p");
    screen.shows(&["▶ running"]);
    assert_eq!(screen.leave().0, 0);
    let mut screen = Terminal::attach(&project, &run, SMALL, &["--replay", "1000x"]);
    screen.shows(&["✓ finished", "the adapter and the report are in"]);
    assert_eq!(screen.leave().0, 0);
    assert_eq!(std::fs::read(run.control_file()).unwrap_or_default(), before);
    let said = project.lopper(&["attach", path, "--replay", "fast"]);
    assert!(said.code == Some(2) && said.err.contains("such as 8x"), "{said:?}");
}

#[test]
fn frames_are_synchronised_where_the_terminal_says_so() {
    let (project, run) = finished();
    let attach = ["attach", utf8(run.path()), "--slow-link"];
    let answer = "\x1b[?2026;2$y\x1b[?62;22c";
    // On a machine with other work the answer may come too late: then it does no harm, and there is a next time.
    let synchronised = (0..5).any(|_| {
        let mut screen = Terminal::start(&project, LARGE, &attach, &[]);
        let start = Instant::now();
        while !screen.raw().contains("\x1b[?2026$p") && start.elapsed() < Duration::from_secs(60) {
            std::thread::sleep(Duration::from_millis(1));
        }
        screen.press(answer);
        screen.shows(&["✓ finished", "mean importance"]);
        screen.press("?");
        screen.shows(&["this table"]);
        screen.press("q");
        assert_eq!(screen.leave().0, 0);
        let raw = screen.raw();
        let [begun, ended] = ["h", "l"].map(|end| raw.matches(&format!("\x1b[?2026{end}")).count());
        assert!(begun <= ended, "{begun} {ended}");
        begun > 0
    });
    assert!(synchronised);
    // Asked only if wanted, and an answer that nobody waits for is no key.
    let mut screen = Terminal::attach(&project, &run, SMALL, &["--no-probe"]);
    screen.shows(&["✓ finished", "mean importance"]);
    screen.press(answer);
    screen.press("2");
    screen.shows(&["train ", " dev "]);
    assert_eq!(screen.leave().0, 0);
    assert!(!screen.raw().contains("?2026") && !screen.raw().contains("\x1b]11;?"));
}

#[test]
fn a_dark_terminal_gets_the_dark_theme() {
    let (project, run) = finished();
    let dressed = (0..5).any(|_| {
        let mut screen = Terminal::attach(&project, &run, SMALL, &[]);
        let start = Instant::now();
        while !screen.raw().contains("\x1b[?2026$p") && start.elapsed() < Duration::from_secs(60) {
            std::thread::sleep(Duration::from_micros(100));
        }
        screen.press("\x1b[?2026;0$y\x1b[?62c");
        // Asked only of a terminal that answers at once.
        std::thread::sleep(Duration::from_millis(20));
        let asked = screen.raw().contains("\x1b]11;?");
        if asked {
            screen.press("\x1b]11;rgb:1414/1616/1b1b\x1b\\\x1b[?62c");
        }
        screen.shows(&["✓ finished"]);
        assert_eq!(screen.leave().0, 0);
        // The accent of `dark` among xterm's 256.
        asked && screen.raw().contains("38;5;116")
    });
    assert!(dressed);
}

#[test]
fn a_report_is_one_page_without_scripts() {
    let project = Project::new();
    let hostile =
        serde_json::json!({"id": "<script>alert(1)</script>", "document": "a\u{1b}[2Jb <img src=x>", "summary": "x"});
    project.write("data/dev.jsonl", &(hostile.to_string() + "\n"));
    let said = project.lopper(&["run", "recipe.toml", "--plain"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    let run = project.run();
    let said = project.lopper(&["report", utf8(run.path()), "--html", "x.html"]);
    assert_eq!((said.code, said.out.trim()), (Some(0), "x.html"), "{said:?}");
    let page = std::fs::read_to_string(project.path("x.html")).unwrap();
    for part in [
        "<h2>Scores",
        "<h2>Heatmaps",
        "<h2>Loss",
        "<h2>Samples",
        "<h2>Settings",
        "retained importance",
        "&lt;script&gt;",
        "ROUGE-L",
    ] {
        assert!(page.contains(part), "{part}");
    }
    assert_eq!(page.matches("<svg").count(), 6, "five measures and the curves");
    assert!(!page.contains("<script") && !page.contains("<img") && !page.contains('\u{1b}'));
    for from_elsewhere in ["src=\"", "href=", "url(", "@import"] {
        assert!(!page.contains(from_elsewhere), "{from_elsewhere}");
    }
}
