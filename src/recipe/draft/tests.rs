//! Edits keep what they do not touch; what is wrong is found place by place.
#![allow(clippy::unwrap_used)]

use super::*;

const FILE: &str = "\
# The head of the file.
name = \"mine\"
base = \"models/b\"   # a folder

# What is read.
[data]
dev   = \"d.jsonl\"
train = \"t.jsonl\" # out of order

[train]
# The peak.
lr = 1e-4            # found by hand
epochs = 3

[[adapters]]
name = \"games\" # the task
role = \"target\"

# From a colleague.
[[adapters]]
name = \"net\"
path = \"adapters/net\"
role = \"related\"
";

fn draft() -> Draft {
    Draft::parse(FILE).unwrap()
}

fn place(section: &str, name: &str) -> Place {
    Place::of(section, name).unwrap()
}

/// The lines that differ: `-old`, `+new`.
fn changed(draft: &Draft) -> Vec<String> {
    let text = draft.text();
    let diff = similar::TextDiff::from_lines(FILE, &text);
    let all = diff.iter_all_changes().filter(|c| c.tag() != similar::ChangeTag::Equal);
    all.map(|c| format!("{}{}", c.tag(), c.value().trim_end())).collect()
}

#[test]
fn one_value_is_one_line_and_comments_stay() {
    for (at, toml, want) in [
        (
            place("train", "lr"),
            "3e-4",
            ["-lr = 1e-4            # found by hand", "+lr = 3e-4            # found by hand"],
        ),
        (place("", "base"), "\"c\"", ["-base = \"models/b\"   # a folder", "+base = \"c\"   # a folder"]),
        (place("data", "dev"), "'e'", ["-dev   = \"d.jsonl\"", "+dev   = 'e'"]),
        (Place::of_adapter(0, "name").unwrap(), "\"x\"", ["-name = \"games\" # the task", "+name = \"x\" # the task"]),
    ] {
        let mut draft = draft();
        draft.set(at, toml).unwrap();
        assert_eq!(changed(&draft), want);
    }
}

#[test]
fn what_is_new_is_added_to_its_table() {
    let mut draft = draft();
    draft.set(place("train", "batch"), "4").unwrap();
    assert_eq!(changed(&draft), ["+batch = 4"]);
    draft.set(place("prune", "ratio"), "0.7").unwrap();
    draft.set(Place::of_adapter(1, "weight").unwrap(), "0.5").unwrap();
    draft.set(place("", "seed"), "7").unwrap();
    let recipe = Recipe::parse(&draft.text()).unwrap();
    assert_eq!((recipe.train.batch, recipe.prune.ratio, recipe.seed, recipe.adapters[1].weight), (4, 0.7, 7, 0.5));
    assert!(changed(&draft).iter().all(|line| line.starts_with('+')), "{}", draft.text());
}

#[test]
fn the_head_of_a_new_recipe_stays_its_head() {
    let mut draft = Draft::parse(NEW).unwrap();
    draft.set(place("", "base"), "\"b\"").unwrap();
    draft.set(place("", "seed"), "2").unwrap();
    let text = draft.text();
    assert!(
        text.starts_with("# A recipe of lopper") && text.contains("\n\nbase = \"b\"\nseed = 2\n\n[data]\n"),
        "{text}"
    );
}

#[test]
fn taking_a_value_away_keeps_the_comments_above_it() {
    let mut draft = draft();
    draft.unset(place("", "name"));
    assert_eq!(changed(&draft), ["-name = \"mine\""]);
    let mut draft = self::draft();
    draft.unset(place("train", "lr"));
    assert_eq!(changed(&draft), ["-lr = 1e-4            # found by hand"]);
    // The last key of the head.
    let mut draft = Draft::parse("# head\nbase = 'b'\n[data]\ntrain = 't'\n").unwrap();
    draft.unset(place("", "base"));
    assert_eq!(draft.text(), "# head\n[data]\ntrain = 't'\n");
}

#[test]
fn adapters_come_and_go() {
    let mut draft = draft();
    draft
        .add_adapter(&[("name", "\"libs\"".into()), ("path", "\"l\"".into()), ("role", "\"related\"".into())])
        .unwrap();
    assert_eq!((draft.adapters(), Recipe::parse(&draft.text()).unwrap().adapters[2].name.as_str()), (3, "libs"));
    draft.remove_adapter(1);
    let names =
        |draft: &Draft| Recipe::parse(&draft.text()).unwrap().adapters.into_iter().map(|a| a.name).collect::<Vec<_>>();
    assert_eq!(names(&draft), ["games", "libs"]);
    // The same in a file that writes them in one line.
    let text = "base = 'b'\nadapters = [{ name = 'x', role = 'target' }] # two\n[data]\ntrain = 't'\ndev = 'd'\n";
    let mut inline = Draft::parse(text).unwrap();
    inline.set(Place::of_adapter(0, "weight").unwrap(), "0.5").unwrap();
    inline.add_adapter(&[("name", "'y'".into()), ("path", "'p'".into()), ("role", "'related'".into())]).unwrap();
    assert_eq!(names(&inline), ["x", "y"]);
    assert!(inline.text().contains("# two"));
    inline.remove_adapter(0);
    inline.remove_adapter(0);
    inline.add_adapter(&[("name", "'z'".into()), ("role", "'target'".into())]).unwrap();
    assert_eq!(names(&inline), ["z"]);
}

#[test]
fn problems_stand_at_their_places() {
    let file = Path::new("/x/r.toml");
    let said = |text: &str| {
        let (found, whole) = Draft::parse(text).unwrap().problems(file);
        let mut all: Vec<_> = found.into_iter().map(|(p, s)| format!("{}: {s}", p.setting().key())).collect();
        all.extend(whole);
        all
    };
    assert!(said(FILE).is_empty(), "{:?}", said(FILE));
    assert_eq!(
        said(&FILE.replace("lr = 1e-4", "lr = -1").replace("epochs = 3", "epochs = 'x'\nbatch = 0")),
        [
            "train.epochs: the text \"x\" stands where a whole number of 0 or more is needed",
            "train.batch: at least 1 is needed",
            "train.lr: a number above 0 is needed"
        ]
    );
    assert!(said(&FILE.replace("epochs = 3", "epochs = 0\nsteps = 4")).is_empty());
    assert_eq!(
        said(NEW),
        [
            "base: the key `base` is missing",
            "data.train: the key `train` is missing",
            "data.dev: the key `dev` is missing"
        ]
    );
    assert_eq!(said(&FILE.replace("net\"\npath", "games\"\npath")), ["adapters.name: this name is used twice"]);
    assert_eq!(said(&FILE.replace("path = \"adapters/net\"\n", "")).len(), 1);
    assert_eq!(
        said(&FILE.replace("\"related\"", "\"target\"")),
        ["2 adapters have role = \"target\"; exactly one is needed"]
    );
    assert!(said(&FILE.replace("epochs = 3", "epoch = 3"))[0].contains("the key `epoch` is not known here"));
    assert!(Draft::parse("lr = \n").is_err());
}

#[test]
fn what_is_right_can_be_looked_at_while_something_is_wrong() {
    let file = Path::new("/x/r.toml");
    let sound = Draft::parse(&FILE.replace("lr = 1e-4", "lr = -1")).unwrap().sound_recipe(file).unwrap();
    assert_eq!((sound.train.lr, sound.base.to_str(), sound.train.epochs), (1e-4, Some("/x/models/b"), 3));
    assert!(Draft::parse(NEW).unwrap().sound_recipe(file).is_none());
}
