//! Evaluations and sweeps at the sizes that people have, cell by cell. After a change that is meant:
//! `INSTA_UPDATE=always cargo test --test workbench snapshots_study::`, then read the difference.
#![allow(clippy::unwrap_used)]

use lopper::app::study::{Effect, Message, Study, update};
use lopper::run::RunState;
use lopper::study::standing::{Cell, Head, Line, Part};
use lopper::study::{Kind, Standing};
use lopper::sweep::curve::Curve;
use lopper::theme::{Depth, Theme};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use std::path::PathBuf;

const COLUMNS: [(&str, bool, u8); 10] = [
    ("loss", false, 9),
    ("R-1", true, 7),
    ("R-2", true, 6),
    ("R-L", true, 10),
    ("BLEU", true, 3),
    ("length", true, 2),
    ("copied", true, 1),
    ("repeated", false, 1),
    ("sparsity", true, 5),
    ("train", false, 4),
];

fn heads(columns: &[(&str, bool, u8)]) -> Vec<Head> {
    columns.iter().map(|(name, falls, weight)| Head { name: (*name).into(), falls: *falls, weight: *weight }).collect()
}

fn cell(value: f64, spread: f64) -> Cell {
    Cell { text: format!("{value:.2}±{spread:.2}"), value: Some(value), mark: "" }
}

fn part(seed: u64, state: RunState, said: &str) -> Part {
    let run = (state != RunState::Created).then(|| PathBuf::from(format!("/runs/games-eval/games-seed-{seed}-x")));
    Part { label: format!("seed {seed}"), run, state, said: said.into() }
}

fn line(name: &str, rouge_l: f64, mark: &'static str, parts: Vec<Part>) -> Line {
    let mut cells: Vec<Cell> = (0..10).map(|i| cell(rouge_l + f64::from(i) - 3.0, 0.25)).collect();
    cells[3].mark = mark;
    Line { name: name.into(), cells, parts, stands_out: false }
}

fn evaluation() -> Standing {
    let done = || vec![part(1, RunState::Finished, ""), part(2, RunState::Finished, "")];
    let mut own = line(
        "merge + fine-tune + prune",
        21.8,
        "",
        vec![part(1, RunState::Finished, ""), part(2, RunState::Running, "step 8 of 14")],
    );
    own.stands_out = true;
    own.cells[4..8].fill(Cell::default());
    let mut waiting = line(
        "merge + prune once + fine-tune",
        0.0,
        "",
        vec![
            part(1, RunState::Failed, "the loss is no number any more; \u{1b}[31mlower train.lr"),
            part(2, RunState::Created, ""),
        ],
    );
    waiting.cells.fill(Cell::default());
    Standing {
        kind: Kind::Evaluation,
        name: "games".into(),
        state: RunState::Running,
        said: String::new(),
        runs: (1, 2),
        heads: heads(&COLUMNS),
        lines: vec![
            line("zero-shot", 21.3, "", done()),
            line("target adapter alone", 23.6, "**", done()),
            line("merge, no training", 22.8, "*", done()),
            waiting,
            own,
        ],
        notes: vec![
            "66 test documents, greedy summaries, loss in nats per summary token; mean ± standard deviation of 2 seeds"
                .into(),
            "R: ROUGE F over words; BLEU over 13a tokens".into(),
            "* p < 0.05, ** p < 0.01: R-L differs from that of merge + fine-tune + prune (paired randomisation over \
             documents)"
                .into(),
            "note: 2 documents of test stand in train, word for word".into(),
        ],
        curve: None,
    }
}

fn sweep() -> Standing {
    let columns = [
        ("ratio", false, 8),
        ("lr", false, 8),
        ("R-L", true, 9),
        ("R-1", true, 5),
        ("R-2", true, 4),
        ("dev loss", false, 7),
        ("sparsity", true, 3),
        ("train", false, 2),
    ];
    let trial = |ratio: f64, rouge_l: f64| {
        let plain = |value: f64, text: String| Cell { text, value: Some(value), mark: "" };
        Line {
            name: format!("ratio {ratio}, lr 0.0001"),
            cells: vec![
                plain(ratio, format!("{ratio}")),
                plain(1e-4, "0.0001".into()),
                plain(rouge_l, format!("{rouge_l:.2}±0.50")),
                plain(rouge_l + 1.0, format!("{:.2}", rouge_l + 1.0)),
                plain(7.0, "7.00".into()),
                plain(3.0 + ratio, format!("{:.3}", 3.0 + ratio)),
                plain(ratio, format!("{:.1}%", 100.0 * ratio)),
                plain(12.0, "12s".into()),
            ],
            parts: vec![Part { run: Some("/runs/x".into()), state: RunState::Finished, ..Part::default() }],
            stands_out: rouge_l > 21.5,
        }
    };
    let curve = Curve {
        best: vec![(0.0, 20.0, 0.5), (0.3, 21.0, 0.5), (0.5, 22.0, 0.5), (0.9, 18.0, 0.5)],
        others: vec![(0.5, 19.0)],
    };
    Standing {
        kind: Kind::Sweep,
        name: "games".into(),
        state: RunState::Finished,
        said: "the tables are in /runs/games-sweep".into(),
        runs: (5, 5),
        heads: heads(&columns),
        lines: vec![trial(0.5, 22.0), trial(0.3, 21.0), trial(0.0, 20.0), trial(0.9, 18.0)],
        notes: vec!["9 dev documents, greedy summaries; R: ROUGE F over words".into()],
        curve: Some([curve.text(false), curve.text(true)]),
    }
}

fn study(standing: Standing) -> Study {
    let mut study = Study::new(if standing.kind == Kind::Sweep { "games-sweep" } else { "games-eval" });
    study.themes.names = lopper::theme::THEMES.iter().map(|t| t.0.to_owned()).collect();
    study.themes.wanted = "default".into();
    update(&mut study, Message::Tick(1000.0));
    update(&mut study, Message::Standing(Box::new(standing)));
    study
}

fn press(study: &mut Study, keys: &[&str]) -> Vec<Effect> {
    keys.iter().flat_map(|key| update(study, Message::Key((*key).into()))).collect()
}

fn screen(study: &Study, theme: &Theme, (width, height): (u16, u16)) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| lopper::ui::study::draw(study, theme, frame)).unwrap();
    let text = terminal.backend().to_string();
    assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text}");
    text
}

fn coloured() -> Theme {
    Theme::find("default", Depth::True, false).unwrap()
}

const SIZES: [(u16, u16); 4] = [(40, 10), (80, 24), (120, 40), (200, 50)];

#[test]
fn an_evaluation_and_a_sweep_at_every_size() {
    for size in SIZES {
        let mut evaluation = study(evaluation());
        press(&mut evaluation, &["j", "j", "j"]);
        insta::assert_snapshot!(format!("eval_{}x{}", size.0, size.1), screen(&evaluation, &coloured(), size));
        insta::assert_snapshot!(format!("sweep_{}x{}", size.0, size.1), screen(&study(sweep()), &coloured(), size));
    }
    for size in [(1, 1), (23, 5), (24, 6), (30, 7), (500, 200)] {
        for pane in 0..3 {
            let mut study = study(sweep());
            press(&mut study, &["tab"].repeat(pane));
            screen(&study, &coloured(), size);
        }
    }
}

#[test]
fn what_lies_over_the_table_and_beside_it() {
    let theme = coloured();
    for (name, keys) in [
        ("seeds", &["enter"][..]),
        ("help", &["?"]),
        ("notes", &["tab"]),
        ("by_rouge", &["o", "o", "o", "o"]),
        ("actions", &[":"]),
        ("themes", &["ctrl-t"]),
    ] {
        let mut study = study(evaluation());
        press(&mut study, keys);
        insta::assert_snapshot!(format!("over_{name}"), screen(&study, &theme, (80, 24)));
    }
    let mut swept = study(sweep());
    press(&mut swept, &["tab", "tab"]);
    insta::assert_snapshot!("curve", screen(&swept, &theme, (80, 24)));
    let ascii = Theme::find("mono", Depth::None, true).unwrap();
    insta::assert_snapshot!("curve_ascii", screen(&swept, &ascii, (80, 24)));
    let text = screen(&study(evaluation()), &ascii, (80, 24));
    // The texts have one sign of their own.
    assert!(text.chars().all(|c| c.is_ascii() || c == '±'), "{text}");
    let mut none = Study::new("games-eval");
    update(&mut none, Message::Unreadable("cannot read /runs/games-eval: permission denied".into()));
    insta::assert_snapshot!("unreadable", screen(&none, &theme, (80, 10)));
}

#[test]
fn rows_are_sorted_by_figures_and_open_their_runs() {
    let names = |study: &Study| study.rows().iter().map(|row| row.name.clone()).collect::<Vec<_>>();
    let mut study = study(evaluation());
    // By R-L: what has no figure yet comes last either way, and the cursor stays on its row.
    press(&mut study, &["j", "o", "o", "o", "o"]);
    assert_eq!(names(&study)[0], "target adapter alone");
    assert_eq!(names(&study)[4], "merge + prune once + fine-tune");
    assert_eq!(study.current().unwrap().name, "target adapter alone");
    press(&mut study, &["O"]);
    assert_eq!((names(&study)[0].as_str(), names(&study)[4].as_str()), ("zero-shot", "merge + prune once + fine-tune"));
    assert_eq!(study.current().unwrap().name, "target adapter alone");
    // Two seeds: a choice; one that has begun: at once; none: a sentence.
    assert!(press(&mut study, &["enter"]).is_empty());
    let watch = |seed: u64, method: &str| {
        let run = format!("/runs/games-eval/games-seed-{seed}-x").into();
        [Effect::Watch { run, method: Some(method.into()) }]
    };
    assert_eq!(press(&mut study, &["down", "enter"]), watch(2, "target adapter alone"));
    press(&mut study, &["end"]);
    assert_eq!(press(&mut study, &["enter"]), watch(1, "merge + prune once + fine-tune"));
    // What comes in leaves the cursor on its row, and a damaged name is harmless.
    let mut next = evaluation();
    next.lines[3].parts.iter_mut().for_each(|part| part.run = None);
    next.notes.push("x\u{1b}[2Jy".into());
    update(&mut study, Message::Standing(Box::new(next)));
    assert_eq!(study.current().unwrap().name, "merge + prune once + fine-tune");
    assert!(press(&mut study, &["enter"]).is_empty());
    assert!(study.toast.as_ref().unwrap().0.contains("no run of it was begun"), "{:?}", study.toast);
    assert!(!study.standing.as_ref().unwrap().notes.concat().contains('\u{1b}'));
    assert_eq!(press(&mut study, &["q"]), [Effect::Quit]);
}
