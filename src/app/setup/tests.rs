//! Keys in the form, and what comes of them.
#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;
use crate::hub::AdapterEntry;
use crate::recipe::draft::NEW;

const FILE: &str = "\
# A recipe with comments.
base = \"models/b\"
[data]
train = \"t.jsonl\"
dev = \"d.jsonl\"
[train]
lr = 1e-4 # by hand
epochs = 3
[[adapters]]
name = \"games\"
role = \"target\"
[[adapters]]
name = \"net\"
path = \"adapters/net\"
role = \"related\"
";

fn form() -> Setup {
    Setup::new(Path::new("/p/r.toml"), FILE, Some(FILE.into()), Some("/home/k".into())).unwrap()
}

fn press(setup: &mut Setup, keys: &[&str]) -> Vec<Effect> {
    keys.iter().flat_map(|key| update(setup, Message::Key((*key).into()))).collect()
}

/// The cursor on a setting.
fn at(setup: &mut Setup, key: &str) {
    let found = setup.rows.iter().position(|row| match row.what {
        What::Setting(place) => place.setting().key() == key,
        What::Adapter(i) => row.cells[0] == key || format!("#{i}") == key,
        What::Add => key == "+",
    });
    setup.at = found.unwrap();
}

fn typed(setup: &mut Setup, text: &str) -> Vec<Effect> {
    let mut all: Vec<String> = vec!["enter".into(), "ctrl-u".into()];
    all.extend(text.chars().map(String::from));
    all.into_iter().flat_map(|key| update(setup, Message::Key(key))).collect()
}

/// The lines of the draft that are not in the file, and how many of the file's are gone.
fn changed(setup: &Setup) -> (Vec<String>, usize) {
    let text = setup.draft.text();
    let new = text.lines().filter(|l| !FILE.lines().any(|f| f == *l)).map(str::to_owned).collect();
    (new, FILE.lines().filter(|f| !text.lines().any(|l| l == *f)).count())
}

#[test]
fn a_value_is_checked_as_it_is_typed_and_kept_by_enter() {
    let mut form = form();
    assert_eq!((form.wrong(), form.is_changed()), (0, false));
    at(&mut form, "train.lr");
    assert!(typed(&mut form, "-3").is_empty());
    assert_eq!(form.editing.as_ref().unwrap().error.as_deref(), Some("a number above 0 is needed"));
    assert!(press(&mut form, &["home", "delete", "end", "e", "-"]).is_empty());
    assert!(form.editing.as_ref().unwrap().error.as_ref().unwrap().contains("where a number is needed"));
    let effects = press(&mut form, &["4", "enter"]);
    assert!(matches!(effects[..], [Effect::Look { .. }]), "{effects:?}");
    assert_eq!(changed(&form), (vec!["lr = 3e-4 # by hand".into()], 1));
    assert_eq!((form.wrong(), form.is_changed()), (0, true));
    // A wrong value is kept too, and said, and undone.
    typed(&mut form, "fast");
    press(&mut form, &["enter"]);
    assert_eq!(form.row().error.as_deref(), Some("the text \"fast\" stands where a number is needed"));
    assert_eq!(form.wrong(), 1);
    press(&mut form, &["R"]);
    assert!(form.overlay.is_none() && form.toast.as_ref().unwrap().0.starts_with("not started: lr: "));
    press(&mut form, &["u"]);
    assert_eq!((form.wrong(), form.row().value.as_deref()), (0, Some("3e-4")));
    press(&mut form, &["u", "u"]);
    assert_eq!(form.draft.text(), FILE);
    press(&mut form, &["ctrl-r", "esc"]);
    assert!(form.is_changed());
    // Esc leaves a value as it was.
    typed(&mut form, "9");
    press(&mut form, &["esc"]);
    assert_eq!(form.row().value.as_deref(), Some("3e-4"));
}

#[test]
fn words_are_cycled_or_chosen_and_a_default_is_left_out() {
    let mut form = form();
    at(&mut form, "train.schedule");
    press(&mut form, &["right"]);
    assert_eq!(form.row().value.as_deref(), Some("cosine"));
    press(&mut form, &["left"]);
    assert_eq!((form.row().value.as_deref(), form.row().default.as_str()), (None, "linear"));
    assert_eq!(form.draft.text(), FILE);
    press(&mut form, &["enter", "end", "enter"]);
    assert_eq!(changed(&form).0, ["schedule = \"epoch\""]);
    press(&mut form, &["delete"]);
    assert_eq!(form.draft.text(), FILE);
    // What the file says stays said, default or not.
    at(&mut form, "train.epochs");
    typed(&mut form, "5");
    press(&mut form, &["enter"]);
    typed(&mut form, "3");
    press(&mut form, &["enter"]);
    assert_eq!(form.draft.text(), FILE);
    at(&mut form, "train.recompute");
    press(&mut form, &["space"]);
    assert_eq!((form.row().value.as_deref(), form.row().default.as_str()), (Some("true"), "auto"));
    assert_eq!(changed(&form).0, ["recompute = true"]);
    press(&mut form, &["space"]);
    assert_eq!(form.row().value.as_deref(), Some("false"));
    press(&mut form, &["left"]);
    assert_eq!(form.row().value.as_deref(), Some("true"));
    // In the list the cursor begins at what the file has.
    press(&mut form, &["enter", "down", "enter"]);
    assert_eq!(changed(&form).0, ["recompute = false"]);
    press(&mut form, &["right"]);
    assert_eq!(form.row().value, None);
    at(&mut form, "eval.methods");
    press(&mut form, &["enter", "space", "j", "j", "space", "enter"]);
    assert!(form.draft.text().contains("methods = [\"zero-shot\", \"target\"]"), "{}", form.draft.text());
    at(&mut form, "prune.ratio");
    typed(&mut form, ".7");
    press(&mut form, &["enter"]);
    assert!(form.draft.text().contains("ratio = 0.7"));
    at(&mut form, "device");
    press(&mut form, &["right"]);
    assert_eq!(form.row().value.as_deref(), Some("cpu"));
    typed(&mut form, "cuda:x");
    assert!(form.editing.as_ref().unwrap().error.is_some());
}

#[test]
fn a_prompt_has_line_breaks_and_takes_pastes() {
    let mut form = form();
    at(&mut form, "data.prompt");
    typed(&mut form, "");
    update(&mut form, Message::Paste("Summarize.\n\n{{ document }}\n".into()));
    press(&mut form, &["enter"]);
    assert!(form.draft.text().contains(r#"prompt = "Summarize.\n\n{{ document }}""#), "{}", form.draft.text());
    press(&mut form, &["enter"]);
    assert_eq!(form.editing.as_ref().unwrap().line.text(), r"Summarize.\n\n{{ document }}");
    press(&mut form, &["esc"]);
    update(&mut form, Message::Paste("q".into()));
    assert!(form.toast.as_ref().unwrap().0.contains("ignored a paste"));
}

#[test]
fn a_new_recipe_says_what_it_needs_and_pickers_give_it() {
    let mut form = Setup::new(Path::new("/p/recipe.toml"), NEW, None, None).unwrap();
    assert_eq!((form.wrong(), form.row().name), (3, "base"));
    assert!(matches!(form.begin()[..], [Effect::Catalog(_), Effect::Look { .. }, Effect::Recover { saved: None, .. }]));
    press(&mut form, &["enter"]);
    assert!(matches!(&form.overlay, Some(Overlay::Pick(Purpose::Base, picker)) if picker.is_waiting()));
    let base = BaseEntry { name: "smol".into(), path: "/p/models/smol".into(), ..BaseEntry::default() };
    let net = AdapterEntry { name: "org/net work".into(), path: "/hub/net".into(), rank: 8, ..AdapterEntry::default() };
    update(&mut form, Message::Catalog(Catalog { bases: vec![base], adapters: vec![net], ..Catalog::default() }));
    press(&mut form, &["s", "m", "enter"]);
    assert_eq!((form.wrong(), form.row().value.as_deref()), (2, Some("models/smol")));
    at(&mut form, "data.train");
    assert_eq!(press(&mut form, &["enter"]).len(), 1);
    let found = Item { label: "t".into(), value: "/p/data/t.jsonl".into(), ..Item::default() };
    let Some(Overlay::Pick(purpose, _)) = form.overlay.clone() else { panic!() };
    update(&mut form, Message::Found(purpose, vec![found]));
    press(&mut form, &["enter"]);
    at(&mut form, "data.dev");
    press(&mut form, &["enter"]);
    assert_eq!(press(&mut form, &["d", "/"]).len(), 1);
    update(&mut form, Message::Listed("/p/d".into(), vec![Item::of_path(Path::new("/p/d/dev.jsonl"), false)]));
    press(&mut form, &["enter"]);
    assert_eq!(form.wrong(), 0);
    let text = form.draft.text();
    assert!(text.contains("train = \"data/t.jsonl\"") && text.contains("dev = \"d/dev.jsonl\""), "{text}");
    press(&mut form, &["a", "enter"]);
    assert_eq!(form.row().cells[..4], ["net-work", "related", "1.0", "/hub/net"]);
    assert_eq!((form.wrong(), form.draft.adapters()), (0, 2));
    // The same one again has another name.
    press(&mut form, &["a", "enter"]);
    assert_eq!(form.row().cells[0], "net-work-2");
}

#[test]
fn adapters_have_cells_and_exactly_one_is_the_target() {
    let mut form = form();
    at(&mut form, "net");
    press(&mut form, &["right", "right", "enter", "ctrl-u", "0", ".", "5", "enter"]);
    assert_eq!(form.row().cells[2], "0.5");
    press(&mut form, &["space"]);
    // The new adapter that was the target has no folder, and is told so.
    assert_eq!(form.row().cells[1], "target");
    at(&mut form, "games");
    assert!(form.row().error.as_ref().unwrap().contains("a related adapter needs a path"), "{:?}", form.row());
    press(&mut form, &["space"]);
    assert_eq!((form.wrong(), form.row().cells[1].as_str()), (0, "target"));
    press(&mut form, &["space"]);
    assert!(form.wrong() > 0);
    press(&mut form, &["u", "delete"]);
    assert_eq!(form.draft.adapters(), 1);
    assert_eq!(form.whole.as_deref(), Some("0 adapters have role = \"target\"; exactly one is needed"));
    // With no target the picker offers a new one.
    form.catalog = Some(Catalog::default());
    press(&mut form, &["a", "enter"]);
    assert_eq!((form.wrong(), form.row().cells[1].as_str()), (0, "target"));
    let shape = form.rows.iter().filter(|r| r.name == "rank" || r.name == "targets").count();
    assert_eq!(shape, 2);
    at(&mut form, "adapters.rank");
    typed(&mut form, "0");
    assert_eq!(form.editing.as_ref().unwrap().error.as_deref(), Some("1 to 4096 is needed"));
}

#[test]
fn what_was_seen_stands_at_its_rows_and_old_news_do_not() {
    let mut form = form();
    let Effect::Look { ticket, .. } = form.begin().remove(1) else { panic!() };
    let paths = || {
        let files = vec![("data.dev".to_owned(), "cannot read\u{1b}[2J /p/d.jsonl".to_owned())];
        let base = BaseEntry { problem: Some("no config.json".into()), ..BaseEntry::default() };
        Looked::Paths(files, Some(base), [(1, Err("rank 4 does not fit".into()))].into())
    };
    update(&mut form, Message::Looked(ticket - 1, paths()));
    assert_eq!(form.wrong(), 0);
    update(&mut form, Message::Looked(ticket, paths()));
    assert_eq!(form.wrong(), 3);
    at(&mut form, "data.dev");
    assert!(form.row().error.as_ref().unwrap().contains("\\u{1b}"));
    at(&mut form, "net");
    assert_eq!(form.row().error.as_deref(), Some("path: rank 4 does not fit"));
    let facts = AdapterFacts { rank: 4, alpha: 8.0, ..AdapterFacts::default() };
    update(&mut form, Message::Looked(ticket, Looked::Paths(Vec::new(), None, [(1, Ok(facts))].into())));
    assert_eq!((form.wrong(), &form.row().cells[4..]), (0, &["4".to_owned(), "8.0".to_owned()][..]));
    update(&mut form, Message::Looked(ticket, Looked::Preview(Some(Err("t.jsonl, line 3: no summary".into())))));
    update(&mut form, Message::Looked(ticket, Looked::All));
    assert!(!form.seen.looking);
    press(&mut form, &["R"]);
    assert_eq!(form.pane, Pane::Data);
    assert!(form.toast.as_ref().unwrap().0.contains("line 3"));
}

#[test]
fn a_start_saves_first_and_comes_back_from_the_run() {
    let mut form = form();
    at(&mut form, "train.epochs");
    press(&mut form, &["R"]);
    assert!(matches!(form.overlay, Some(Overlay::Ask { question: Question::Start, .. })));
    assert!(press(&mut form, &["esc"]).is_empty());
    let effects = press(&mut form, &["R", "enter"]);
    let [Effect::Save { path, text, expected, replace: false, then: Then::Start }] = &effects[..] else {
        panic!("{effects:?}")
    };
    assert_eq!((path.as_path(), text.as_str(), expected.as_deref()), (Path::new("/p/r.toml"), FILE, Some(FILE)));
    let effects = update(&mut form, Message::Saved(path.clone(), text.clone(), Then::Start));
    assert_eq!(effects, [Effect::Start("/p/r.toml".into())]);
    press(&mut form, &["R"]);
    assert!(form.overlay.is_none(), "one start at a time");
    assert_eq!(update(&mut form, Message::Started("/runs/x".into())), [Effect::Watch("/runs/x".into())]);
    press(&mut form, &["R"]);
    assert!(form.overlay.is_some());
}

#[test]
fn leaving_and_opening_ask_for_what_is_not_saved() {
    let mut form = form();
    assert_eq!(press(&mut form, &["q"]), [Effect::Quit]);
    at(&mut form, "train.recompute");
    press(&mut form, &["space"]);
    assert!(press(&mut form, &["q"]).is_empty());
    assert!(press(&mut form, &["esc"]).is_empty() && form.overlay.is_none());
    assert_eq!(press(&mut form, &["q", "d"]), [Effect::Quit]);
    assert_eq!(press(&mut form, &["ctrl-c", "ctrl-c"]), [Effect::Quit]);
    form.overlay = None;
    let effects = press(&mut form, &["q", "enter"]);
    assert!(matches!(&effects[..], [Effect::Save { then: Then::Leave, .. }]));
    let text = form.draft.text();
    assert_eq!(update(&mut form, Message::Saved("/p/r.toml".into(), text, Then::Leave)), [Effect::Quit]);
    assert!(!form.is_changed());
    // Somebody else has written the file.
    press(&mut form, &["space"]);
    press(&mut form, &["s"]);
    update(&mut form, Message::Differs("/p/r.toml".into(), Then::Stay));
    assert!(press(&mut form, &["enter"]).is_empty(), "the safe answer is under the cursor");
    update(&mut form, Message::Differs("/p/r.toml".into(), Then::Stay));
    assert!(matches!(&press(&mut form, &["y"])[..], [Effect::Save { replace: true, .. }]));
    // A copy: the form goes on with it.
    let effects = press(&mut form, &["S", "ctrl-u", "x", "enter"]);
    assert!(matches!(&effects[..], [Effect::Save { path, expected: None, .. }] if path == Path::new("/p/x.toml")));
    let text = form.draft.text();
    update(&mut form, Message::Saved("/p/x.toml".into(), text, Then::Stay));
    assert_eq!((form.name().as_str(), form.is_changed()), ("x.toml", false));
    press(&mut form, &["S", "ctrl-u", "enter"]);
    assert!(matches!(&form.overlay, Some(Overlay::SaveAs(_, Some(_)))));
    update(&mut form, Message::Opened("/p/o.toml".into(), "seed = \n".into()));
    assert!(form.toast.as_ref().unwrap().0.contains("/p/o.toml: line 1"));
    update(&mut form, Message::Opened("/p/o.toml".into(), NEW.into()));
    assert_eq!((form.name().as_str(), form.wrong()), ("o.toml", 3));
}

#[test]
fn panes_sections_and_settings_are_gone_to() {
    let mut form = form();
    press(&mut form, &["home", "]"]);
    assert_eq!(form.row().section, "adapters");
    press(&mut form, &["]", "j", "["]);
    assert_eq!((form.row().section, form.row().name), ("data", "train"));
    press(&mut form, &["["]);
    assert_eq!(form.row().section, "adapters");
    press(&mut form, &["/", "m", "i", "c", "r", "o", "enter"]);
    assert_eq!(form.row().name, "micro_tokens");
    press(&mut form, &[":", "l", "e", "a", "v", "e", "esc", "tab", "j", "j"]);
    assert_eq!((form.pane, form.scroll), (Pane::Data, [2, 0]));
    press(&mut form, &["enter"]);
    assert!(form.pane == Pane::Settings && form.editing.is_none());
    press(&mut form, &["3", "2", "shift-tab", "end"]);
    assert_eq!((form.pane, form.at), (Pane::Settings, form.rows.len() - 1));
    assert_eq!(press(&mut form, &[":", "s", "u", "s", "p", "enter"]), [Effect::Suspend]);
    let effects = press(&mut form, &["="]);
    assert!(matches!(&effects[..], [Effect::Search(Purpose::Compare, _)]));
}

#[test]
fn a_path_is_gone_on_from_and_the_same_one_stays_as_it_is_written() {
    let text = FILE.replace("models/b", "./models/b");
    let mut form = Setup::new(Path::new("/p/r.toml"), &text, Some(text.clone()), None).unwrap();
    at(&mut form, "base");
    assert_eq!(press(&mut form, &["enter"]), [Effect::List("/p/./models".into())]);
    let listed = || ["a-b", "b", "b-2"].map(|name| Item::of_path(&Path::new("/p/./models").join(name), true)).to_vec();
    update(&mut form, Message::Listed("/p/./models".into(), listed()));
    assert!(press(&mut form, &["enter"]) == [Effect::Hub(Ask::Leave)] && !form.is_changed());
    press(&mut form, &["enter"]);
    update(&mut form, Message::Listed("/p/./models".into(), listed()));
    press(&mut form, &["-", "2", "enter"]);
    assert_eq!(form.row().value.as_deref(), Some("models/b-2"));
    // Files that suit stand there once the line is empty.
    at(&mut form, "data.train");
    let effects = press(&mut form, &["enter"]);
    assert!(matches!(&effects[..], [Effect::Search(..), Effect::List(folder)] if folder == Path::new("/p/.")));
    let Some(Overlay::Pick(purpose, picker)) = form.overlay.clone() else { panic!() };
    assert_eq!(picker.input.text(), "./t.jsonl");
    let found = Item { label: "x".into(), value: "/p/data/x.jsonl".into(), ..Item::default() };
    update(&mut form, Message::Found(purpose, vec![found]));
    press(&mut form, &["ctrl-u", "enter"]);
    assert_eq!(form.row().value.as_deref(), Some("data/x.jsonl"));
    // An adapter's folder elsewhere.
    let text = FILE.replace("adapters/net", "/hub/net");
    let mut form = Setup::new(Path::new("/p/r.toml"), &text, Some(text.clone()), None).unwrap();
    at(&mut form, "net");
    form.cell = CELLS.iter().position(|cell| *cell == "path").unwrap();
    assert_eq!(press(&mut form, &["enter"]), [Effect::List("/hub".into())]);
}

#[test]
fn what_is_kept_is_what_the_file_does_not_have() {
    let mut form = form();
    assert_eq!(form.kept(), None);
    at(&mut form, "train.recompute");
    press(&mut form, &["space"]);
    let kept = form.kept().unwrap();
    assert_eq!((kept.file.as_path(), kept.saved.as_deref()), (Path::new("/p/r.toml"), Some(FILE)));
    assert!(kept.text.contains("recompute = true"));
    press(&mut form, &["u"]);
    assert_eq!(form.kept(), None);
    press(&mut form, &["ctrl-r"]);
    update(&mut form, Message::Saved("/p/r.toml".into(), kept.text.clone(), Then::Stay));
    assert_eq!(form.kept(), None);
    // Back to what it was opened with is a change by now.
    press(&mut form, &["u"]);
    assert_eq!(form.kept().unwrap().saved, Some(kept.text));
    // A value that is still typed is no part of it; a new recipe that nobody has touched is not kept.
    let mut new = Setup::new(Path::new("/p/recipe.toml"), NEW, None, None).unwrap();
    at(&mut new, "train.lr");
    typed(&mut new, "3e-4");
    assert!(new.is_changed() && new.kept().is_none());
    press(&mut new, &["enter"]);
    assert!(new.kept().unwrap().text.contains("lr = 3e-4"));
    press(&mut new, &["u"]);
    assert_eq!(new.kept(), None);
}

#[test]
fn what_was_left_is_restored_put_off_or_dropped() {
    let left = || Left {
        copy: "/p/.r.toml.unsaved".into(),
        text: FILE.replace("epochs = 3", "epochs = 9"),
        age: 60.0,
        older: false,
    };
    let asked = || {
        let mut form = form();
        update(&mut form, Message::Unsaved(Found { left: Some(left()), ..Found::default() }));
        form
    };
    for key in ["r", "enter"] {
        let mut form = asked();
        let effects = press(&mut form, &[key]);
        assert!(matches!(&effects[..], [Effect::Adopt(copy), Effect::Look { .. }] if *copy == left().copy));
        assert_eq!((form.draft.text(), form.saved.as_deref()), (left().text, Some(FILE)));
        assert_eq!(form.kept().map(|kept| kept.text), Some(left().text));
        press(&mut form, &["u"]);
        assert_eq!((form.draft.text().as_str(), form.kept()), (FILE, None));
    }
    for key in ["f", "esc", "x"] {
        let mut form = asked();
        assert!(press(&mut form, &[key]).is_empty() && !form.is_changed());
        assert!(form.toast.as_ref().unwrap().0.contains("stay in .r.toml.unsaved"), "{:?}", form.toast);
    }
    let mut form = asked();
    assert_eq!(press(&mut form, &["d"]), [Effect::Forget(left().copy)]);
    assert!(!form.is_changed());
    // What is of no use, and who else is at it, is said.
    let found = Found { open: Some("process 7 on k".into()), said: vec!["x is damaged".into()], ..Found::default() };
    update(&mut form, Message::Unsaved(found));
    let said = &form.toast.as_ref().unwrap().0;
    assert!(said.contains("x is damaged; another form has changes of r.toml") && said.contains("process 7"), "{said}");
    assert!(form.overlay.is_none());
}

#[test]
fn a_copy_of_a_run_says_what_has_changed_since() {
    let mut form = form();
    assert!(!form.begin().iter().any(|effect| matches!(effect, Effect::Since(_))));
    form.run = Some("/runs/a".into());
    assert!(form.begin().contains(&Effect::Since("/runs/a".into())));
    update(&mut form, Message::Since(Vec::new()));
    assert!(form.toast.is_none());
    let since = ["data.dev", "adapter net"].map(|key| (key.to_owned(), "has changed since that run"));
    update(&mut form, Message::Since(since.to_vec()));
    let toast = form.toast.clone().map(|toast| toast.0);
    assert_eq!(toast.as_deref(), Some("data.dev has changed since that run; 1 more beside"));
    for key in ["data.dev", "net"] {
        at(&mut form, key);
        assert_eq!(form.row().told.as_deref(), Some("has changed since that run"), "{key}");
    }
    at(&mut form, "data.train");
    assert_eq!(form.row().told, None);
}

#[test]
fn what_has_its_default_already_says_so() {
    let mut form = form();
    at(&mut form, "train.schedule");
    assert!(press(&mut form, &["delete"]).is_empty());
    assert!(form.toast.as_ref().unwrap().0.contains("schedule has its default already"), "{:?}", form.toast);
    assert_eq!(form.draft.text(), FILE);
}
