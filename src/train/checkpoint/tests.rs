//! Who moves a checkpoint that cannot be read.
#![allow(clippy::unwrap_used)]

use super::*;

fn at(checkpoints: &Path, step: usize) -> PathBuf {
    write(checkpoints, &Position { v: 1, step, ..Position::default() }, None, None).unwrap()
}

#[test]
fn only_the_worker_puts_a_checkpoint_aside_that_cannot_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let checkpoints = folder.path().join("checkpoints");
    let (first, second) = (at(&checkpoints, 1), at(&checkpoints, 2));
    std::fs::write(second.join("state.safetensors"), b"half").unwrap();
    for _ in 0..2 {
        let (found, unreadable) = readable(&checkpoints);
        assert_eq!(found.unwrap().folder, first);
        let [(skipped, why)] = &unreadable[..] else { panic!("{unreadable:?}") };
        assert!(*skipped == second && second.exists(), "{skipped:?}");
        assert!(why.contains(" is damaged: ") && why.contains("the checkpoint before it"), "{why}");
    }
    let (found, complaints) = newest(&checkpoints);
    assert_eq!((found.unwrap().folder, complaints.len()), (first, 1));
    assert!(!second.exists() && checkpoints.join("damaged-stage-0-step-2").exists());
    assert_eq!(newest(&checkpoints).1, Vec::<String>::new());
}

#[test]
fn without_a_checkpoint_that_can_be_read_there_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let (found, unreadable) = readable(folder.path());
    assert!(found.is_none() && unreadable.is_empty());
    std::fs::create_dir(folder.path().join("stage-0-step-1")).unwrap();
    let (found, unreadable) = readable(folder.path());
    assert!(found.is_none() && unreadable.len() == 1, "{unreadable:?}");
    assert!(folder.path().join("stage-0-step-1").exists());
}
