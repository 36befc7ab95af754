//! The key table has one source: the README holds what `lopper keys` prints.
#![allow(clippy::unwrap_used)]

use lopper::app::action;
use std::process::Command;

fn keys(args: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_lopper")).arg("keys").args(args).output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_readme_holds_the_key_table() {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let (_, rest) = readme.split_once("<!-- keys: `lopper keys --markdown` -->\n").unwrap();
    let (table, _) = rest.split_once("<!-- /keys -->").unwrap();
    assert_eq!(table, keys(&["--markdown"]), "put the output of `lopper keys --markdown` there");
}

#[test]
fn the_plain_table_names_every_key() {
    let plain = keys(&[]);
    for entry in action::all() {
        let line = plain.lines().find(|line| line.contains(entry.help)).unwrap();
        let (shown, _) = line.trim_start().split_once("  ").unwrap();
        assert!(entry.keys.iter().all(|key| shown.split(' ').any(|k| k == *key)), "{line}");
        assert_eq!(line.ends_with("(not with --read-only)"), entry.changes, "{line}");
    }
}
