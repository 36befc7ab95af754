//! Keys in the list, and what comes of them.

use super::*;
use crate::run::RunState;
use crate::run::event::Rouge;

fn row(name: &str, state: RunState, started: f64) -> Summary {
    let path = PathBuf::from(format!("/runs/{name}"));
    Summary { path, name: name.into(), state, started, last: started + 60.0, ..Summary::default() }
}

fn list() -> Runs {
    let mut list = Runs::new("runs");
    let mut best = row("net-1", RunState::Finished, 100.0);
    best.rouge = Some(Rouge { rouge_l: 30.0, ..Rouge::default() });
    best.notes.tags = vec!["Baseline".into()];
    let mut worse = row("net-2", RunState::Stopped, 200.0);
    worse.rouge = Some(Rouge { rouge_l: 20.0, ..Rouge::default() });
    let rows = vec![best, worse, row("demo", RunState::Running, 300.0), row("bad", RunState::Failed, 50.0)];
    update(&mut list, Message::Tick(1000.0));
    update(&mut list, Message::Rows(rows));
    list
}

fn press(list: &mut Runs, keys: &[&str]) -> Vec<Effect> {
    keys.iter().flat_map(|key| update(list, Message::Key((*key).into()))).collect()
}

fn names(list: &Runs) -> Vec<&str> {
    list.shown().into_iter().map(|row| row.name.as_str()).collect()
}

#[test]
fn the_newest_stands_first_and_the_cursor_stays_on_its_run() {
    let mut list = list();
    assert_eq!(names(&list), ["demo", "net-2", "net-1", "bad"]);
    press(&mut list, &["j"]);
    assert_eq!(list.current().map(|r| r.name.as_str()), Some("net-2"));
    let mut rows = list.rows.clone();
    rows.push(row("newer", RunState::Running, 400.0));
    update(&mut list, Message::Rows(rows.clone()));
    assert_eq!((list.cursor(), list.current().map(|r| r.name.as_str())), (2, Some("net-2")));
    // It is gone: the cursor stays in its place.
    rows.retain(|r| r.name != "net-2");
    update(&mut list, Message::Rows(rows));
    assert_eq!((list.cursor(), list.current().map(|r| r.name.as_str())), (2, Some("net-1")));
    press(&mut list, &["end", "j", "page-down"]);
    assert_eq!(list.cursor(), 3);
    press(&mut list, &["home", "k", "page-up"]);
    assert_eq!(list.cursor(), 0);
}

#[test]
fn the_filter_works_as_typed_on_name_state_and_tags() {
    let mut list = list();
    press(&mut list, &["/", "n", "e", "t"]);
    assert_eq!(names(&list), ["net-2", "net-1"]);
    // Keys of the list are letters here.
    press(&mut list, &[" ", "s", "t", "o", "p"]);
    assert_eq!(names(&list), ["net-2"]);
    assert!(press(&mut list, &["enter", "q"]) == [Effect::Quit]);
    press(&mut list, &["/", "ctrl-u", "#", "b", "a", "s", "e"]);
    assert_eq!(names(&list), ["net-1"]);
    press(&mut list, &["esc"]);
    assert_eq!(list.shown().len(), 4);
    press(&mut list, &["/", "x", "y", "enter", "enter"]);
    assert!(list.shown().is_empty() && list.current().is_none() && list.toast.is_some());
    press(&mut list, &["esc"]);
    assert_eq!(list.shown().len(), 4);
}

#[test]
fn runs_without_a_figure_come_last_either_way() {
    let mut list = list();
    press(&mut list, &["o", "o", "o", "o", "o"]);
    assert_eq!(list.order, (Column::Rouge, true));
    assert_eq!(names(&list), ["net-1", "net-2", "demo", "bad"]);
    press(&mut list, &["O"]);
    assert_eq!(names(&list), ["net-2", "net-1", "demo", "bad"]);
    list.order = (Column::State, false);
    assert_eq!(names(&list)[..2], ["demo", "bad"]);
}

#[test]
fn only_runs_without_a_worker_are_deleted_and_only_after_a_yes() {
    let mut list = list();
    assert!(press(&mut list, &["d", "y"]).is_empty() && list.overlay.is_none());
    assert!(list.toast.as_ref().is_some_and(|(text, _)| text.contains("stop it")));
    press(&mut list, &["j", "d"]);
    assert!(matches!(&list.overlay, Some(Overlay::Ask { name, yes: false, .. }) if name == "net-2"));
    assert!(press(&mut list, &["enter"]).is_empty() && list.overlay.is_none());
    assert_eq!(press(&mut list, &["d", "y"]), [Effect::Delete("/runs/net-2".into())]);
    assert_eq!(press(&mut list, &["d", "tab", "enter"]), [Effect::Delete("/runs/net-2".into())]);
}

#[test]
fn what_a_key_does_depends_on_how_the_run_stands() {
    let mut list = list();
    assert_eq!(press(&mut list, &["enter"]), [Effect::Watch("/runs/demo".into())]);
    assert_eq!(press(&mut list, &["p"]), [Effect::Send("/runs/demo".into(), Command::Pause)]);
    assert_eq!(press(&mut list, &["s", "y"]), [Effect::Send("/runs/demo".into(), Command::Stop)]);
    assert!(press(&mut list, &["r"]).is_empty());
    assert_eq!(press(&mut list, &["j", "r"]), [Effect::Resume("/runs/net-2".into())]);
    assert!(press(&mut list, &["p"]).is_empty());
    assert!(press(&mut list, &["j", "r"]).is_empty());
    assert_eq!(press(&mut list, &["D"]), [Effect::Demo]);
}

#[test]
fn tags_and_notes_are_edited_and_saved() {
    let mut list = list();
    let saved = press(&mut list, &["#", "g", "o", "o", "d", " ", "#", "x", "enter"]);
    let Some(Effect::Save(path, notes)) = saved.first() else { panic!("{saved:?}") };
    assert_eq!((path.to_str(), notes.tags.as_slice()), (Some("/runs/demo"), &["good".to_owned(), "x".to_owned()][..]));
    update(&mut list, Message::Key("n".into()));
    update(&mut list, Message::Paste("line\u{1b}[2J\n".into()));
    let saved = press(&mut list, &["enter"]);
    assert!(matches!(&saved[..], [Effect::Save(_, notes)] if notes.note == "line\\u{1b}[2J" && notes.tags.len() == 2));
    assert!(press(&mut list, &["n", "x", "esc"]).is_empty());
    list.rows[0].notes_error = Some("notes.toml: nonsense".into());
    press(&mut list, &["end", "k", "n"]);
    assert!(list.overlay.is_none() && list.toast.is_some(), "nobody's text is written over");
}

#[test]
fn marked_runs_are_compared() {
    let mut list = list();
    assert!(press(&mut list, &[" ", "="]).is_empty());
    let effects = press(&mut list, &[" ", "="]);
    assert_eq!(effects, [Effect::Compare(vec!["/runs/demo".into(), "/runs/net-2".into()])]);
    let run = |name: &str, lr: &str| Compared {
        name: name.into(),
        settings: [("train.lr", lr), ("base", "b")].map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
        ..Compared::default()
    };
    update(&mut list, Message::Compared(vec![run("a\u{1b}", "1"), run("b", "2")]));
    let Some(Overlay::Compare { comparison, .. }) = &list.overlay else { panic!("{:?}", list.overlay) };
    assert_eq!(comparison.differ, [("train.lr".to_owned(), vec![Some("1".to_owned()), Some("2".to_owned())])]);
    assert_eq!((comparison.alike, comparison.runs[0].name.as_str()), (1, "a\\u{1b}"));
    press(&mut list, &["q"]);
    assert!(list.overlay.is_none());
    // One that comes late takes no line from under the user's hands.
    press(&mut list, &["n", "x"]);
    update(&mut list, Message::Compared(vec![run("a", "1"), run("b", "2")]));
    assert!(matches!(&list.overlay, Some(Overlay::Edit { line, .. }) if line.text().ends_with('x')));
    assert!(list.toast.is_some());
}

#[test]
fn a_log_keeps_the_place_of_who_reads_further_up() {
    let mut list = list();
    assert_eq!(press(&mut list, &["l"]), [Effect::ReadLog("/runs/demo".into())]);
    let lines = |n: usize| (0..n).map(|i| format!("line {i}\u{1b}")).collect::<Vec<_>>();
    update(&mut list, Message::Log("/runs/demo".into(), lines(30)));
    press(&mut list, &["k", "k"]);
    update(&mut list, Message::Log("/runs/demo".into(), lines(33)));
    update(&mut list, Message::Log("/runs/other".into(), lines(3)));
    let Some(Overlay::Log { lines, back, .. }) = &list.overlay else { panic!("{:?}", list.overlay) };
    assert_eq!((lines.len(), *back), (33, 5));
    assert!(!lines[0].contains('\u{1b}'));
}

#[test]
fn texts_from_runs_are_harmless() {
    let mut hostile = row("x\u{1b}[2J", RunState::Failed, 1.0);
    hostile.said = "a\u{7}".into();
    hostile.notes.tags = vec!["\u{202e}".into()];
    hostile.about.adapters = vec![("\u{9b}".into(), "related".into())];
    let mut list = Runs::new("a\u{1b}b");
    update(&mut list, Message::Rows(vec![hostile]));
    let shown = format!("{}{}{:?}{:?}", list.rows[0].name, list.rows[0].said, list.rows[0].notes.tags, list.folder);
    assert!(!shown.chars().any(char::is_control), "{shown}");
    assert!(!list.rows[0].about.adapters[0].0.contains('\u{9b}'));
}
