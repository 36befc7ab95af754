//! The key table has one source: the README holds what `lopper keys` prints, and a user's file changes it everywhere.
#![allow(clippy::unwrap_used)]

use lopper::app::action;
use std::process::{Command, Output};

/// `lopper` with a configuration folder that holds these keys.
fn lopper(args: &[&str], keys: Option<&str>) -> Output {
    let config = tempfile::tempdir().unwrap();
    if let Some(keys) = keys {
        std::fs::create_dir(config.path().join("lopper")).unwrap();
        std::fs::write(config.path().join("lopper/keys.toml"), keys).unwrap();
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_lopper"));
    command.args(args).env("XDG_CONFIG_HOME", config.path()).output().unwrap()
}

fn keys(args: &[&str], file: Option<&str>) -> String {
    let output = lopper(&[&["keys"], args].concat(), file);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_readme_holds_the_key_table() {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let (_, rest) = readme.split_once("<!-- keys: `lopper keys --markdown` -->\n").unwrap();
    let (table, _) = rest.split_once("<!-- /keys -->").unwrap();
    assert_eq!(table, keys(&["--markdown"], None), "put the output of `lopper keys --markdown` there");
}

#[test]
fn the_plain_table_names_every_key() {
    let plain = keys(&[], None);
    for entry in action::all() {
        let line = plain.lines().find(|line| line.contains(entry.help)).unwrap();
        let (shown, _) = line.trim_start().split_once("  ").unwrap();
        assert!(entry.keys.iter().all(|key| shown.split(' ').any(|k| k == *key)), "{line}");
        assert_eq!(line.ends_with("(not with --read-only)"), entry.changes, "{line}");
    }
}

#[test]
fn a_file_changes_the_table_and_default_shows_the_one_without() {
    let file = "[watch]\nraise = [\"ctrl-up\", \"f2\"]\n";
    let raise = |table: &str| table.lines().find(|l| l.contains("raise, lower the ratio")).unwrap().to_owned();
    assert!(raise(&keys(&[], Some(file))).trim_start().starts_with("ctrl-up f2 - "));
    assert_eq!(keys(&["--default"], Some(file)), keys(&[], None));
    let start = keys(&["--toml", "--default"], Some(file));
    assert!(start.contains("[watch]\n") && start.contains("\nraise = [\"+\", \"=\"]"), "{start}");
    // What it prints is a file that it takes.
    assert_eq!(keys(&[], Some(&start)), keys(&[], None));
}

#[test]
fn a_wrong_file_is_refused_with_its_line() {
    for (file, why) in [
        ("[watch]\nrise = [\"+\"]\n", "keys.toml, line 2: there is no action \"rise\""),
        ("\n[watch]\nraise = [\"m\"]\n", "keys.toml, line 3: the key \"m\" would mean both raise and measure"),
    ] {
        for args in [&["keys"][..], &["health"]] {
            let output = lopper(args, Some(file));
            let said = String::from_utf8(output.stderr).unwrap();
            assert!(output.status.code() == Some(2) && said.contains(why), "{args:?} {said}");
        }
    }
}
