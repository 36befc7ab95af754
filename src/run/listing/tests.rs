//! Summaries of runs, from journals as workers write them.

use super::super::event::{Dev, MatrixInfo, Modules, Report, ReportRow, Stage, Started, Step};
use super::super::journal::Journal;
use super::*;

const RECIPE: &str = r#"
base = "base"
[data]
train = "train.jsonl"
dev = "dev.jsonl"
[[adapters]]
name = "games"
role = "target"
"#;

fn run(folder: &Path, name: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::create_dir_all(&path).unwrap();
    std::fs::write(path.join("recipe.toml"), RECIPE).unwrap();
    path
}

fn write(run: &Path, bodies: Vec<EventBody>) {
    let mut journal = Journal::open(&run.join("events.jsonl")).unwrap();
    bodies.into_iter().for_each(|body| journal.append(body).unwrap());
}

fn stage(index: usize, of: usize, steps: usize) -> EventBody {
    EventBody::Stage(Stage { index, of, method: format!("method {index}"), steps, ..Stage::default() })
}

fn step(step: usize, loss: f64) -> EventBody {
    EventBody::Step(Step { step, loss, ..Step::default() })
}

fn dev(step: usize, loss: f64) -> EventBody {
    EventBody::Dev(Dev { step, loss, ..Dev::default() })
}

#[test]
fn a_summary_holds_the_last_figures_of_the_last_stage() {
    let folder = tempfile::tempdir().unwrap();
    let path = run(folder.path(), "one");
    let mut listing = Listing::new(folder.path());
    assert_eq!(listing.scan().unwrap()[0].state, RunState::Created);
    write(&path, vec![stage(0, 2, 8), step(8, 4.0), dev(8, 3.5), stage(1, 2, 6), step(1, 3.0)]);
    let seen = listing.scan().unwrap().remove(0);
    assert_eq!((seen.stage, seen.step), ((2, 2), (1, 6)));
    assert_eq!((seen.train_loss, seen.dev_loss, seen.rouge), (Some(3.0), None, None));
    // No lock and no last word.
    assert_eq!(seen.state, RunState::Crashed);
    assert_eq!(seen.about.adapters, [("games".to_owned(), "target".to_owned())]);
    let modules = Modules { sparsity: vec![Some(0.5), None, Some(0.7)], ..Modules::default() };
    write(&path, vec![step(2, 2.5), EventBody::Modules(modules), dev(2, 2.8), EventBody::Paused { paused: true }]);
    let lock = lock::Lock::take(&path).unwrap();
    let seen = listing.scan().unwrap().remove(0);
    assert_eq!((seen.train_loss, seen.dev_loss, seen.step.0), (Some(2.5), Some(2.8), 2));
    assert!((seen.sparsity.unwrap() - 0.6).abs() < 1e-6);
    assert_eq!(seen.state, RunState::Paused);
    // While it is paused its worker only says that it lives.
    let journal = path.join("events.jsonl");
    let whole = std::fs::read_to_string(&journal).unwrap();
    std::fs::write(&journal, whole + "{\"v\":1,\"seq\":99,\"t\":9e9,\"type\":\"heartbeat\"}\n").unwrap();
    assert_eq!(listing.scan().unwrap(), [seen]);
    let rows =
        vec![ReportRow { sparsity: 0.5, rouge: Rouge { rouge_l: 21.5, ..Rouge::default() }, ..ReportRow::default() }];
    write(&path, vec![EventBody::Report(Report { split: "test".into(), rows, ..Report::default() })]);
    std::fs::write(path.join("exit.json"), r#"{"state":"failed","text":"the disk is full","code":1,"t":1.0}"#).unwrap();
    drop(lock);
    let seen = listing.scan().unwrap().remove(0);
    assert_eq!((seen.state, seen.said.as_str()), (RunState::Failed, "the disk is full"));
    assert_eq!((seen.rouge.unwrap().rouge_l, seen.sparsity), (21.5, Some(0.5)));
    // A fresh look finds the same.
    assert_eq!(Listing::new(folder.path()).scan().unwrap().remove(0), seen);
}

#[test]
fn a_long_journal_is_read_from_its_end_and_a_torn_line_later() {
    let folder = tempfile::tempdir().unwrap();
    let path = run(folder.path(), "long");
    let long = || EventBody::Warning { text: "x".repeat(100_000) };
    let mut bodies = vec![stage(0, 1, 9)];
    bodies.extend((1..30).flat_map(|i| [step(i, i as f64), long()]));
    write(&path, bodies);
    let mut listing = Listing::new(folder.path());
    let seen = listing.scan().unwrap().remove(0);
    // The stage stands 3 MB before the end.
    assert_eq!((seen.stage, seen.step, seen.train_loss), ((1, 1), (29, 9), Some(29.0)));
    let journal = path.join("events.jsonl");
    let whole = std::fs::read_to_string(&journal).unwrap();
    std::fs::write(&journal, whole.clone() + r#"{"v":1,"seq":99,"t":5.0,"type":"dev","#).unwrap();
    assert_eq!(listing.scan().unwrap()[0].dev_loss, None);
    let rest = r#"{"v":1,"seq":99,"t":5.0,"type":"dev","step":1,"loss":1.5,"rouge":null,"documents":3,"best":true}"#;
    std::fs::write(&journal, whole + rest + "\n").unwrap();
    assert_eq!(listing.scan().unwrap()[0].dev_loss, Some(1.5));
}

#[test]
fn two_hundred_runs_are_cheap_to_look_at_again() {
    let folder = tempfile::tempdir().unwrap();
    for i in 0..200 {
        let path = run(folder.path(), &format!("run-{i}"));
        let mut bodies = vec![stage(0, 1, 50)];
        bodies.extend((1..=50).map(|i| step(i, 2.0)));
        write(&path, bodies);
    }
    let mut listing = Listing::new(folder.path());
    assert_eq!(listing.scan().unwrap().len(), 200);
    let start = std::time::Instant::now();
    assert_eq!(listing.scan().unwrap().len(), 200);
    // Generous: a machine under test has other work. It takes about 10 ms.
    assert!(start.elapsed().as_millis() < 500, "{:?}", start.elapsed());
}

#[test]
fn a_bad_recipe_and_bad_notes_are_said_and_the_run_is_listed() {
    let folder = tempfile::tempdir().unwrap();
    let path = run(folder.path(), "bad");
    std::fs::write(path.join("recipe.toml"), "base = 3").unwrap();
    std::fs::write(path.join("notes.toml"), "note = 3").unwrap();
    let seen = Listing::new(folder.path()).scan().unwrap().remove(0);
    assert!(seen.about.error.unwrap().contains("recipe.toml"));
    assert!(seen.notes_error.unwrap().contains("notes.toml"));
}

#[test]
fn the_sparsity_of_a_run_under_way_weighs_matrices_by_their_size() {
    let folder = tempfile::tempdir().unwrap();
    let matrix = |rows, cols| MatrixInfo {
        module: crate::module::ModuleId::new(0, crate::module::Projection::ALL[0]),
        adapter: 0,
        factor: crate::module::Factor::A,
        rows,
        cols,
    };
    let started = || {
        let matrices = vec![matrix(2, 30), matrix(5, 5), matrix(2, 10)];
        EventBody::Started(Box::new(Started { matrices, ..Started::default() }))
    };
    let modules = |shares: &[Option<f32>]| {
        EventBody::Modules(Modules { step: 1, sparsity: shares.to_vec(), ..Modules::default() })
    };
    // (60 * 0.25 + 20 * 0.75) / 80; the second matrix takes no part.
    let three = [Some(0.25), None, Some(0.75)];
    write(&run(folder.path(), "a"), vec![started(), stage(0, 1, 9), modules(&three)]);
    // Of a long journal only its first line and its end are read.
    let mut long = vec![started(), stage(0, 1, 9)];
    long.extend((0..4).map(|_| EventBody::Warning { text: "x".repeat(100_000) }));
    long.extend([stage(0, 1, 9), modules(&three)]);
    write(&run(folder.path(), "b"), long);
    // The sizes of other matrices say nothing.
    write(&run(folder.path(), "c"), vec![started(), stage(0, 1, 9), modules(&[Some(0.25), Some(0.75)])]);
    write(&run(folder.path(), "d"), vec![stage(0, 1, 9), modules(&three)]);
    write(&run(folder.path(), "e"), vec![started(), stage(0, 1, 9), modules(&[None, None, None])]);
    let mut seen = Listing::new(folder.path()).scan().unwrap();
    seen.sort_by(|a, b| a.name.cmp(&b.name));
    let shares: Vec<Option<f64>> = seen.iter().map(|run| run.sparsity).collect();
    assert_eq!(shares, [Some(0.375), Some(0.375), Some(0.5), Some(0.5), None]);
}
