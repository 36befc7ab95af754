//! The list of runs at the sizes that people have, cell by cell. After a change that is meant:
//! `INSTA_UPDATE=always cargo test --test workbench snapshots_runs::`, then read the difference.
#![allow(clippy::unwrap_used)]

use lopper::app::runs::{Message, Runs, update};
use lopper::eval::evaluation::Against;
use lopper::module::{Factor, ModuleId, Projection};
use lopper::run::RunState;
use lopper::run::compare::{Compared, Paired};
use lopper::run::event::{AdapterInfo, MatrixInfo, ReportRow, Rouge, Started};
use lopper::run::listing::{About, Summary};
use lopper::run::matrices::Matrices;
use lopper::run::notes::Notes;
use lopper::theme::{Depth, Theme};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use std::path::PathBuf;

const NOW: f64 = 1_800_000_000.0;

fn run(name: &str, state: RunState, age: f64) -> Summary {
    let adapters = [("games", "target"), ("science", "related"), ("net", "related")];
    Summary {
        path: PathBuf::from(format!("/home/k/runs/{name}")),
        name: name.into(),
        state,
        stage: (5, 5),
        method: "merge + fine-tune + prune".into(),
        step: (14, 14),
        train_loss: Some(3.215),
        dev_loss: Some(3.302),
        started: NOW - age,
        last: NOW - age + 1234.0,
        about: About {
            base: "/models/SmolLM2-135M".into(),
            adapters: adapters.map(|(name, role)| (name.into(), role.into())).into(),
            data: ["train", "dev", "test"].map(|name| format!("/data/games/{name}.jsonl")).into(),
            error: None,
        },
        ..Summary::default()
    }
}

fn rows() -> Vec<Summary> {
    let mut running = run("demo-20261125-165125", RunState::Running, 260.0);
    (running.step, running.stage, running.sparsity) = ((8, 14), (4, 5), Some(0.5));
    running.last = NOW - 3.0;
    running.said = "a document was cut to 160 tokens".into();
    let mut paused = run("long-20261124-081500", RunState::Paused, 90_000.0);
    (paused.step, paused.train_loss) = ((123_456, 1_000_000), Some(2.5));
    let mut finished = run("net-20261123-100000", RunState::Finished, 200_000.0);
    finished.rouge = Some(Rouge { rouge1: 22.49, rouge2: 7.69, rouge_l: 21.79, parts: None });
    finished.sparsity = Some(0.5);
    finished.said = "the adapter and the report are in /home/k/runs/net-20261123-100000/result".into();
    finished.notes =
        Notes { tags: vec!["baseline".into(), "記事".into()], note: "half pruned, the base of all".into() };
    let mut failed = run("bad-20261122-100000", RunState::Failed, 300_000.0);
    (failed.stage, failed.step, failed.train_loss, failed.dev_loss) = ((0, 0), (0, 0), None, None);
    failed.said = "base: cannot read /models/none: no such file or folder".into();
    let crashed = run("重要度-20261121-100000", RunState::Crashed, 400_000.0);
    vec![running, paused, finished, failed, crashed]
}

fn list(rows: Vec<Summary>) -> Runs {
    let mut list = Runs::new("runs");
    update(&mut list, Message::Tick(NOW));
    update(&mut list, Message::Rows(rows));
    list.themes.names = lopper::theme::THEMES.iter().map(|t| t.0.to_owned()).collect();
    list.themes.wanted = "default".into();
    list
}

fn press(list: &mut Runs, keys: &[&str]) {
    for key in keys {
        update(list, Message::Key((*key).into()));
    }
}

fn screen(list: &Runs, theme: &Theme, (width, height): (u16, u16)) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| lopper::ui::runs::draw(list, theme, frame)).unwrap();
    let text = terminal.backend().to_string();
    assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text}");
    text
}

fn coloured() -> Theme {
    Theme::find("default", Depth::True, false).unwrap()
}

const SIZES: [(u16, u16); 4] = [(40, 10), (80, 24), (120, 40), (200, 50)];

#[test]
fn the_list_at_every_size() {
    for size in SIZES {
        let mut list = list(rows());
        press(&mut list, &["j", "space", "space", "k"]);
        insta::assert_snapshot!(format!("list_{}x{}", size.0, size.1), screen(&list, &coloured(), size));
    }
}

#[test]
fn the_clock_alone_changes_nothing_within_a_minute() {
    let mut fresh = run("fresh", RunState::Paused, 10.0);
    fresh.last = NOW - 4.0;
    for rows in [rows(), vec![fresh]] {
        for keys in [&[][..], &["j"]] {
            let mut list = list(rows.clone());
            press(&mut list, keys);
            let before = screen(&list, &coloured(), (200, 50));
            update(&mut list, Message::Tick(NOW + 1.0));
            update(&mut list, Message::Tick(NOW + 20.0));
            assert_eq!(screen(&list, &coloured(), (200, 50)), before);
        }
    }
}

#[test]
fn nothing_to_list() {
    let theme = coloured();
    insta::assert_snapshot!("empty", screen(&list(Vec::new()), &theme, (80, 24)));
    insta::assert_snapshot!("unread", screen(&Runs::new("runs"), &theme, (80, 10)));
    let mut list = list(rows());
    press(&mut list, &["/", "x", "y", "z"]);
    insta::assert_snapshot!("no_match", screen(&list, &theme, (80, 10)));
    update(&mut list, Message::Unreadable("cannot list the runs in runs: permission denied".into()));
    insta::assert_snapshot!("unreadable", screen(&list, &theme, (80, 10)));
}

#[test]
fn what_lies_over_the_list() {
    let theme = coloured();
    for (name, keys) in [
        ("delete", &["end", "d"][..]),
        ("stop", &["s"]),
        ("tags", &["j", "j", "#", "space", "x"]),
        ("note", &["j", "j", "n"]),
        ("help", &["?"]),
        ("filter", &["/", "n", "e", "t"]),
        ("actions", &["j", "j", ":"]),
        ("actions_found", &[":", "r", "e", "c", "i", "p", "e", "down"]),
        ("themes", &["ctrl-t", "j"]),
    ] {
        let mut list = list(rows());
        press(&mut list, keys);
        insta::assert_snapshot!(format!("over_{name}"), screen(&list, &theme, (80, 24)));
    }
    for (name, key) in [("actions", ":"), ("themes", "ctrl-t")] {
        let mut list = list(rows());
        press(&mut list, &[key]);
        insta::assert_snapshot!(format!("over_{name}_40x10"), screen(&list, &theme, (40, 10)));
    }
    let mut list = list(rows());
    press(&mut list, &["l"]);
    insta::assert_snapshot!("log_empty", screen(&list, &theme, (80, 10)));
    let lines = (0..30).map(|i| format!("line {i} of what the worker printed: 重要度 {}", "x ".repeat(i))).collect();
    let path = list.rows[0].path.clone();
    update(&mut list, Message::Log(path, lines));
    press(&mut list, &["k", "k"]);
    insta::assert_snapshot!("log", screen(&list, &theme, (80, 10)));
}

fn compared() -> Vec<Compared> {
    let curve = |from: f64| (0..8).map(|i| (f64::from(i) * 7.0, from - 0.05 * f64::from(i))).collect();
    let run = |name: &str, lr: &str, from: f64, rouge_l: Option<f64>| Compared {
        name: name.into(),
        settings: [
            ("base", "/models/SmolLM2-135M"),
            ("train.lr", lr),
            ("prune.ratio", "0.5"),
            ("data.train", if lr == "0.001" { "/data/games/more/train.jsonl" } else { "/data/games/train.jsonl" }),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into(),
        row: rouge_l.map(|rouge_l| ReportRow {
            method: "merge + fine-tune + prune".into(),
            documents: 66,
            loss: 3.549,
            rouge: Rouge { rouge1: rouge_l + 1.0, rouge2: rouge_l / 3.0, rouge_l, parts: None },
            sparsity: 0.5,
            seconds: 37.0,
            bert: None,
        }),
        dev: curve(from),
        ..Compared::default()
    };
    let mut demo = run("demo-20261125-165125", "0.001", 3.8, Some(22.4));
    demo.paired = Some(Paired::Told(Against { difference: 0.61, bounds: Some((-1.1, 2.3)), p: 0.26, p_holm: None }));
    demo.settings.insert("prune.ratio layers.3.* games A".into(), "0.9 at step 8 of stage 5".into());
    let mut none = run("重要度-20261121-100000", "0.0003", 3.9, None);
    none.paired = Some(Paired::Not("no summaries".into()));
    vec![run("net-20261123-100000", "0.0003", 4.0, Some(21.79)), demo, none]
}

#[test]
fn a_comparison_at_every_size() {
    for size in SIZES {
        let mut list = list(rows());
        update(&mut list, Message::Compared(compared()));
        insta::assert_snapshot!(format!("compare_{}x{}", size.0, size.1), screen(&list, &coloured(), size));
    }
}

#[test]
fn a_comparison_tells_whether_summaries_are_better_by_more_than_chance() {
    let shown = |runs: Vec<Compared>, size| {
        let mut list = list(rows());
        update(&mut list, Message::Compared(runs));
        screen(&list, &coloured(), size)
    };
    let mut runs = compared();
    let text = shown(runs.clone(), (80, 24));
    assert!(text.contains("R-L over 1") && text.contains("+0.61 p=0.260") && text.contains("no summaries"), "{text}");
    assert!(text.contains("95 % of it") && text.contains("-1.10 to +2.30"), "{text}");
    let sure = Against { difference: -2.5, bounds: Some((-3.0, -2.0)), p: 0.0004, p_holm: None };
    runs[1].paired = Some(Paired::Told(sure));
    assert!(shown(runs.clone(), (120, 40)).contains("-2.50 p<0.001"));
    // Six runs leave narrow columns: a mark tells it.
    runs = (0..6).map(|_| runs[1].clone()).collect();
    let text = shown(runs.clone(), (80, 24));
    assert!(text.contains("-2.50**") && !text.contains("95 % of it"), "{text}");
    // Nothing is said where nothing was compared.
    runs.iter_mut().for_each(|run| run.paired = None);
    assert!(!shown(runs, (80, 24)).contains("R-L over 1"));
}

/// The end of a run of so many layers: pruned to `ratio`, layer 2 to half of it, its later layers the more important.
fn matrices(layers: usize, ratio: f32, steep: f32) -> Matrices {
    let mut all = Matrices::default();
    for layer in 0..layers {
        for projection in Projection::ALL {
            let module = ModuleId::new(layer, projection);
            all.started.matrices.push(MatrixInfo { module, adapter: 0, factor: Factor::A, rows: 8, cols: 64 });
            all.modules.sparsity.push(Some(if layer == 2 { ratio / 2.0 } else { ratio }));
            all.modules.importance.push(Some(0.001 * (steep * layer as f32).exp()));
            all.modules.retained.push(Some(0.99 - 0.01 * ratio * layer as f32));
        }
    }
    let adapters = vec![AdapterInfo { name: "games".into(), ..AdapterInfo::default() }];
    all.started = Started { layers, adapters, ..all.started };
    all
}

#[test]
fn a_comparison_shows_where_the_matrices_differ() {
    let mut runs = compared();
    runs[0].matrices = Some(matrices(12, 0.5, 0.1));
    runs[1].matrices = Some(matrices(12, 0.75, 0.2));
    let shown = |runs: &[Compared], size, keys: &[&str]| {
        let mut list = list(rows());
        update(&mut list, Message::Compared(runs.to_vec()));
        press(&mut list, keys);
        screen(&list, &coloured(), size)
    };
    insta::assert_snapshot!("map_80x24", shown(&runs, (80, 24), &["tab"]));
    insta::assert_snapshot!("map_share_80x24", shown(&runs, (80, 24), &["tab", "m"]));
    insta::assert_snapshot!("map_120x40", shown(&runs, (120, 40), &["m"]));
    insta::assert_snapshot!("map_none_80x24", shown(&runs, (80, 24), &["tab", "right"]));
    assert_eq!(shown(&runs, (80, 24), &["tab", "right", "left", "tab", "tab"]), shown(&runs, (80, 24), &["tab"]));
    assert_eq!(shown(&runs, (80, 24), &["tab", "l", "l"]), shown(&runs, (80, 24), &["tab"]));
    for layers in [1, 32, 126, 2000] {
        for run in &mut runs {
            run.matrices = Some(matrices(layers, 0.5, 0.0));
        }
        for size in [(24, 6), (30, 14), (80, 24), (120, 40), (300, 100)] {
            shown(&runs, size, &["tab", "m", "m", "right"]);
        }
    }
    let ascii = Theme::find("mono", Depth::True, true).unwrap();
    let mut list = list(rows());
    runs.truncate(2);
    runs[0].matrices = Some(matrices(126, 0.5, 0.01));
    runs[1].matrices = Some(matrices(126, 0.25, 0.02));
    update(&mut list, Message::Compared(runs));
    press(&mut list, &["tab"]);
    let text = screen(&list, &ascii, (80, 24));
    assert!(text.contains("2 layers a cell"), "{text}");
}

#[test]
fn without_colours() {
    let mono = Theme::find("mono", Depth::True, true).unwrap();
    let plain: Vec<_> = rows().into_iter().filter(|row| row.name.is_ascii() && row.notes.tags.is_empty()).collect();
    let text = screen(&list(plain), &mono, (120, 40));
    assert!(text.is_ascii(), "{text}");
    insta::assert_snapshot!("ascii", text);
}

#[test]
fn no_size_panics_however_many_runs_there_are() {
    let theme = coloured();
    let many: Vec<_> = (0..200).map(|i| run(&format!("run-{i}"), RunState::Finished, f64::from(i))).collect();
    for rows in [Vec::new(), rows(), many] {
        for keys in [&[][..], &["?"], &["d"], &["n"], &["/"], &["l"], &[":"], &["ctrl-t"]] {
            let mut list = list(rows.clone());
            press(&mut list, &["end"]);
            press(&mut list, keys);
            for size in [(1, 1), (2, 9), (23, 5), (24, 6), (25, 7), (40, 10), (119, 3), (120, 12), (300, 100)] {
                screen(&list, &theme, size);
                if keys.is_empty() {
                    let mut list = list.clone();
                    update(&mut list, Message::Compared(compared()));
                    screen(&list, &theme, size);
                }
            }
        }
    }
}

#[test]
fn evaluations_and_sweeps_are_rows_that_open() {
    use lopper::app::runs::Effect;
    use lopper::study::Kind;
    let study = |name: &str, kind: Kind, state: RunState, runs: (usize, usize), age: f64| Summary {
        about: About::default(),
        step: (0, 0),
        train_loss: None,
        dev_loss: None,
        stage: runs,
        method: kind.word().into(),
        study: Some(kind),
        ..run(name, state, age)
    };
    let mut stopped = study("games-sweep", Kind::Sweep, RunState::Stopped, (4, 12), 9000.0);
    stopped.said = "stopped; a run that is under way goes on by itself".into();
    let mut all = rows();
    all.extend([study("games-eval", Kind::Evaluation, RunState::Running, (1, 3), 100.0), stopped]);
    let mut list = list(all);
    insta::assert_snapshot!("studies_80x24", screen(&list, &coloured(), (80, 24)));
    insta::assert_snapshot!("studies_200x50", screen(&list, &coloured(), (200, 50)));
    let keys = |list: &mut Runs, keys: &[&str]| -> Vec<Effect> {
        keys.iter().flat_map(|key| update(list, Message::Key((*key).into()))).collect()
    };
    let path = |name: &str| PathBuf::from(format!("/home/k/runs/{name}"));
    assert_eq!(keys(&mut list, &["enter"]), [Effect::Study(path("games-eval"))]);
    // What is for single runs is said to be, and changes nothing.
    for key in ["space", "c", "p"] {
        assert!(keys(&mut list, &[key]).is_empty());
        assert!(list.toast.as_ref().unwrap().0.contains("a folder of runs (evaluation)"), "{key}: {:?}", list.toast);
        assert!(list.marked.is_empty());
    }
    assert!(matches!(&keys(&mut list, &["s", "y"])[..], [Effect::Send(of, _)] if *of == path("games-eval")));
    assert!(keys(&mut list, &["r"]).is_empty(), "it is under way");
    // Words find a sweep by its kind.
    keys(&mut list, &["/", "s", "w", "e", "e", "p", "enter"]);
    assert_eq!(list.shown().len(), 1);
    assert_eq!(keys(&mut list, &["r"]), [Effect::Resume(path("games-sweep"))]);
    assert_eq!(keys(&mut list, &["d", "y"]), [Effect::Delete(path("games-sweep"))]);
}
