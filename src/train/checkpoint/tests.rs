//! Who moves a checkpoint that cannot be read.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::lora::Pair;
use crate::module::{ModuleId, Projection};
use candle_core::DType;

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
    let (found, complaints) = newest(&checkpoints).unwrap();
    assert_eq!((found.unwrap().folder, complaints.len()), (first, 1));
    assert!(!second.exists() && checkpoints.join("damaged-stage-0-step-2").exists());
    assert_eq!(newest(&checkpoints).unwrap().1, Vec::<String>::new());
    // One of the same name is damaged later: both are out of the way.
    assert_eq!(at(&checkpoints, 2), second);
    std::fs::write(second.join("state.safetensors"), b"half").unwrap();
    assert_eq!(newest(&checkpoints).unwrap().1.len(), 1);
    assert!(!second.exists() && checkpoints.join("damaged-stage-0-step-2.2").exists());
}

#[test]
fn a_checkpoint_that_cannot_be_read_for_now_is_told_and_stays_where_it_is() {
    use rustix::io::Errno;
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (at(folder.path(), 1), at(folder.path(), 2));
    for errno in [Errno::IO, Errno::STALE, Errno::ACCESS] {
        let fails = |of: &Path| if of == second { Err(not_read(of, &errno.into())) } else { read(of) };
        let (found, unreadable) = look(folder.path(), &fails);
        assert_eq!(found.unwrap().folder, first);
        let told: Vec<String> = unreadable.into_iter().map(complaint).collect();
        let [why] = &told[..] else { panic!("{told:?}") };
        assert!(why.starts_with("cannot read ") && why.ends_with("the checkpoint before it"), "{why}");
        assert!(second.exists(), "{why}");
    }
    // With no other one the run does not begin anew behind the user's back.
    let none = |of: &Path| -> Read { Err(not_read(of, &Errno::ACCESS.into())) };
    let refused = taken(look(folder.path(), &none)).map(|_| ());
    assert!(matches!(&refused, Err(Error::User(text)) if text.contains("would begin anew")), "{refused:?}");
    assert!(first.exists() && second.exists());
    // What the run writes when it has gone on from before is kept, although it is of an earlier step.
    let third = at(folder.path(), 0);
    assert!(second.exists() && third.exists() && !first.exists());
    // Half of one never is a whole one again.
    std::fs::remove_file(second.join("state.safetensors")).unwrap();
    assert_eq!((newest(folder.path()).unwrap().1.len(), second.exists()), (1, false));
}

#[test]
fn without_a_checkpoint_that_can_be_read_there_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let (found, unreadable) = readable(folder.path());
    assert!(found.is_none() && unreadable.is_empty());
    std::fs::create_dir(folder.path().join("stage-0-step-1")).unwrap();
    let (found, unreadable) = readable(folder.path());
    assert!(found.is_none() && unreadable.len() == 1, "{unreadable:?}");
    assert!(unreadable[0].1.ends_with("; there is none before it that can be read"), "{unreadable:?}");
    assert!(folder.path().join("stage-0-step-1").exists());
}

/// A new adapter of rank 2 at these projections of one layer, 4 wide.
fn adapter(projections: &[Projection]) -> Adapter {
    let zeros = |shape: (usize, usize)| Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
    let pair = || Pair { a: zeros((2, 4)), b: zeros((4, 2)), alpha: 4.0, scaling: 2.0 };
    let modules = projections.iter().map(|projection| (ModuleId::new(0, *projection), pair())).collect();
    Adapter { modules, dropout: 0.0, rslora: false, base: None }
}

#[test]
fn a_checkpoint_of_another_recipe_is_refused_and_not_taken_in_part() {
    let folder = tempfile::tempdir().unwrap();
    let (narrow, wide) = (adapter(&[Projection::QProj]), adapter(&[Projection::QProj, Projection::VProj]));
    let set = MergedSet::merged(&[(narrow.clone(), 1.0)]).unwrap();
    let optimizer = Optimizer::new(&crate::recipe::Train::default());
    let state = State { set: &set, best: None, optimizer: &optimizer, pruner: None };
    let position = Position { v: 1, stage: 2, step: 3, target_trained: true, ..Position::default() };
    write(folder.path(), &position, Some(&narrow), Some(state)).unwrap();
    let found = readable(folder.path()).0.unwrap();
    let told = |error: Error, what: &str| {
        assert_eq!(error.exit_code(), 2);
        let text = error.to_string();
        assert!(text.contains(what) && text.contains("stage-2-step-3 has "), "{text}");
    };
    found.fill_whole("now", &set).unwrap();
    let other = MergedSet::merged(&[(wide.clone(), 1.0)]).unwrap();
    told(found.fill_whole("now", &other).unwrap_err(), "not all of the matrices \"now\"");
    told(found.fill_whole("best", &set).unwrap_err(), "not all of the matrices \"best\"");
    found.check_stage(3).unwrap();
    told(found.check_stage(2).unwrap_err(), "stage 3, where the recipe has 2");
    assert!(found.target(&narrow).unwrap().is_some());
    told(found.target(&wide).unwrap_err(), "a trained target adapter without layers.0.self_attn.v_proj");
    // Where it was not trained alone there is nothing to miss.
    write(folder.path(), &Position { step: 4, target_trained: false, ..position }, None, Some(state)).unwrap();
    assert!(readable(folder.path()).0.unwrap().target(&wide).unwrap().is_none());
}
