//! Copies on a disk: what is found, whose it is, and what becomes of it.
#![allow(clippy::unwrap_used)]

use super::*;
use std::os::unix::fs::PermissionsExt;

const SAVED: &str = "base = \"b\"\n";
const TEXT: &str = "base = \"c\" # new\n";

fn kept(file: &Path, text: &str) -> Kept {
    Kept { file: file.to_path_buf(), saved: Some(SAVED.into()), text: text.into() }
}

fn keep(copy: &mut Option<Copy>, file: &Path, text: &str) {
    Copy::keep(copy, &kept(file, text)).unwrap();
}

/// A copy that a form has left which is gone by now.
fn leave(file: &Path, text: &str) {
    let mut copy = None;
    keep(&mut copy, file, text);
}

/// Names of what lies in the folder.
fn names(folder: &Path) -> Vec<String> {
    let name = |entry: std::io::Result<std::fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
    let mut all: Vec<String> = std::fs::read_dir(folder).unwrap().map(name).collect();
    all.sort();
    all
}

#[test]
fn what_was_left_is_found_and_goes_when_it_is_not_needed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("r.toml");
    std::fs::write(&file, SAVED).unwrap();
    assert_eq!(find(&file, Some(SAVED)), Found::default());
    leave(&file, TEXT);
    assert_eq!(names(folder.path()), [".r.toml.unsaved", "r.toml"]);
    let place = folder.path().join(".r.toml.unsaved");
    assert_eq!(place.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    // By hand it is a recipe too.
    assert!(toml::from_str::<toml::Table>(&std::fs::read_to_string(&place).unwrap()).unwrap().contains_key("base"));
    let left = find(&file, Some(SAVED)).left.unwrap();
    assert_eq!((left.text.as_str(), left.older, left.copy.file_name()), (TEXT, false, place.file_name()));
    assert!(left.age < 60.0);
    assert!(find(&file, Some("base = \"d\"\n")).left.unwrap().older);
    assert!(find(&file, None).left.unwrap().older);
    // A file that holds all of it needs no copy.
    assert_eq!(find(&file, Some(TEXT)), Found::default());
    assert_eq!(names(folder.path()), ["r.toml"]);
    leave(&file, TEXT);
    forget(&place);
    assert_eq!(names(folder.path()), ["r.toml"]);
}

#[test]
fn forms_of_one_recipe_have_copies_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("r.toml");
    let (mut one, mut two) = (None, None);
    keep(&mut one, &file, "a = 1\n");
    assert!(is_open(&file));
    keep(&mut two, &file, "a = 2\n");
    keep(&mut one, &file, "a = 3\n");
    assert_eq!(names(folder.path()), [".r.toml.unsaved", ".r.toml.unsaved-2"]);
    // They live: nothing was left, and nobody takes them.
    assert_eq!(find(&file, None), Found::default(), "they are this process's own");
    let [first, second] = [".r.toml.unsaved", ".r.toml.unsaved-2"].map(|name| folder.path().join(name));
    forget(&first);
    assert!(Copy::adopt(&first).is_none() && first.exists());
    drop(one);
    assert_eq!(find(&file, None).left.map(|left| left.text).as_deref(), Some("a = 3\n"));
    // What was left is not written over by a third.
    let mut three = None;
    keep(&mut three, &file, "a = 4\n");
    assert!(folder.path().join(".r.toml.unsaved-3").exists());
    three.into_iter().for_each(Copy::remove);
    drop(two);
    let found = find(&file, None);
    assert_eq!((found.left.map(|left| left.text).as_deref(), found.more), (Some("a = 3\n"), 1));
    // Who takes it over goes on in it.
    let mut four = Copy::adopt(&second);
    assert!(Copy::adopt(&second).is_none());
    keep(&mut four, &file, "a = 5\n");
    four.into_iter().for_each(Copy::remove);
    assert_eq!(names(folder.path()), [".r.toml.unsaved"]);
}

#[test]
fn another_process_is_told_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("r.toml");
    leave(&file, TEXT);
    let place = folder.path().join(".r.toml.unsaved");
    let text = std::fs::read_to_string(&place).unwrap();
    let pid = format!("\"pid\":{}", std::process::id());
    assert!(text.contains(&pid));
    std::fs::write(&place, text.replace(&pid, "\"pid\":1").replace(&host(), "node\\u001b7")).unwrap();
    let held = File::open(&place).unwrap();
    held.lock().unwrap();
    assert_eq!(find(&file, None).open.as_deref(), Some("process 1 on node\\u{1b}7"));
}

#[test]
fn a_copy_goes_with_the_form_to_another_file_and_through_links() {
    let folder = tempfile::tempdir().unwrap();
    let [file, other, link] = ["r.toml", "o.toml", "l.toml"].map(|name| folder.path().join(name));
    std::fs::write(&file, SAVED).unwrap();
    std::os::unix::fs::symlink(&file, &link).unwrap();
    let mut copy = None;
    keep(&mut copy, &link, TEXT);
    keep(&mut copy, &file, TEXT);
    assert_eq!(names(folder.path()), [".r.toml.unsaved", "l.toml", "r.toml"]);
    keep(&mut copy, &other, TEXT);
    assert_eq!(names(folder.path()), [".o.toml.unsaved", "l.toml", "r.toml"]);
    // Taken away by hand: it comes again.
    std::fs::remove_file(folder.path().join(".o.toml.unsaved")).unwrap();
    keep(&mut copy, &other, TEXT);
    assert_eq!(names(folder.path()), [".o.toml.unsaved", "l.toml", "r.toml"]);
}

#[test]
fn a_damaged_copy_is_put_aside_and_said() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("r.toml");
    leave(&file, TEXT);
    let place = folder.path().join(".r.toml.unsaved");
    let whole = std::fs::read(&place).unwrap();
    let cut = &whole[..whole.len() - 3];
    let newer = String::from_utf8(whole.clone()).unwrap().replace("\"v\":1", "\"v\":2");
    let broken: [&[u8]; 5] = [cut, b"\xff\x00", b"\n", b"[", newer.as_bytes()];
    for (i, bytes) in broken.into_iter().enumerate() {
        std::fs::write(&place, bytes).unwrap();
        let found = find(&file, None);
        assert_eq!((found.left, found.said.len()), (None, 1));
        let aside = if i == 0 { ".r.toml.damaged".to_owned() } else { format!(".r.toml.damaged-{}", i + 1) };
        assert!(found.said[0].contains(&format!("{aside} now")), "{:?}", found.said);
        assert_eq!(std::fs::read(folder.path().join(aside)).unwrap(), bytes);
        assert!(!place.exists());
    }
    // One that was begun and never written is nobody's.
    std::fs::write(&place, "").unwrap();
    assert_eq!(find(&file, None), Found::default());
    leave(&file, TEXT);
    assert!(matches!(find(&file, None).left, Some(left) if left.text == TEXT));
}

#[test]
fn a_folder_that_takes_no_copy_is_an_error_and_nothing_is_written_through_a_link() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("r.toml");
    let target = folder.path().join("target");
    std::os::unix::fs::symlink(&target, folder.path().join(".r.toml.unsaved")).unwrap();
    let mut copy = None;
    keep(&mut copy, &file, TEXT);
    assert!(!target.exists() && folder.path().join(".r.toml.unsaved-2").exists());
    copy.take().into_iter().for_each(Copy::remove);
    for n in 2..=MOST {
        std::fs::create_dir(folder.path().join(format!(".r.toml.unsaved-{n}"))).unwrap();
    }
    let said = Copy::keep(&mut copy, &kept(&file, TEXT)).unwrap_err().to_string();
    assert!(said.contains(".r.toml.unsaved and 4 more are there already"), "{said}");
    let long = folder.path().join("x".repeat(250));
    let said = Copy::keep(&mut copy, &kept(&long, TEXT)).unwrap_err().to_string();
    assert!(said.contains("the name is too long"), "{said}");
    let gone = folder.path().join("gone/r.toml");
    assert!(Copy::keep(&mut copy, &kept(&gone, TEXT)).is_err() && copy.is_none());
}
