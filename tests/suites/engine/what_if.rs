//! What-ifs: a run with them is bit for bit the run without, the same ratios give the same loss, a newer one cancels.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, dead_code)]

mod ends;
mod measured;
mod streamed;

use crate::tiny;
use lopper::recipe::Recipe;
use lopper::recipe::ratios::Rule;
use lopper::run::control::{Command, Request, send};
use lopper::run::event::{Event, EventBody, Observer};
use lopper::run::inquiry::{self, Answer, Asked, Question as Inquired, Said};
use lopper::run::proposal::Goal;
use lopper::run::sensitivity::{self, By};
use lopper::run::session::Session;
use lopper::run::what_if::{Progress, WhatIf};
use lopper::run::worker::Outcome;
use lopper::run::{RunDir, RunState};
use lopper::train::checkpoint::{Position, newest};
use lopper::train::what_if::reopened::Reopened;
use lopper::train::what_if::{Answers, Asker, Question};
use serde_json::json;
use std::collections::HashMap;
use std::path::PathBuf;
use tiny::{Project, copy_folder, events, result, until, until_event, until_over, utf8};

/// The method of the project's last stage.
const OWN: &str = "merge + fine-tune + prune";

fn ask(rule: &str, documents: usize, samples: usize) -> Command {
    Command::WhatIf { rules: vec![Rule::parse(rule).unwrap()], documents, samples, share: 1.0 }
}

fn what_ifs(run: &RunDir) -> Vec<WhatIf> {
    let found = events(run).into_iter().filter_map(|e| match e.body {
        EventBody::WhatIf(found) => Some(*found),
        _ => None,
    });
    found.collect()
}

/// Waits for the last word on a request.
fn answer(run: &RunDir, request: &str) -> WhatIf {
    let is_last = |e: &EventBody| matches!(e, EventBody::WhatIf(w) if w.request == request && w.state.is_over());
    match until_event(run, "the answer", is_last).body {
        EventBody::WhatIf(found) => *found,
        _ => unreachable!(),
    }
}

fn paused(project: &Project) -> RunDir {
    let run = project.detached();
    until_event(&run, "a pruned step", |e| matches!(e, EventBody::Modules(m) if m.prunes()));
    pause(&run);
    run
}

fn count(run: &RunDir, is_one: impl Fn(&EventBody) -> bool) -> usize {
    events(run).iter().filter(|e| is_one(&e.body)).count()
}

/// Pauses a run under way; the step that it stands at.
fn pause(run: &RunDir) -> usize {
    let pauses = || count(run, |e| matches!(e, EventBody::Paused { paused: true }));
    let before = pauses();
    send(run.path(), Command::Pause).unwrap();
    until("the pause", || (pauses() > before).then_some(()));
    let step = |e: Event| if let EventBody::Step(step) = e.body { Some(step.step) } else { None };
    events(run).into_iter().rev().find_map(step).unwrap()
}

/// Lets a paused run go on by a step at least.
fn go_on(run: &RunDir) {
    let steps = || count(run, |e| matches!(e, EventBody::Step(_)));
    let before = steps();
    send(run.path(), Command::Resume).unwrap();
    until("a step", || (steps() > before).then_some(()));
}

/// Every tensor of a checkpoint's file as its bytes, and where the run stands but for the seconds.
fn checkpoint(run: &RunDir, name: &str) -> (HashMap<String, Vec<u8>>, serde_json::Value) {
    let folder = run.checkpoints().join(name);
    let bytes = std::fs::read(folder.join("state.safetensors")).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let all = tensors.tensors().into_iter().map(|(name, view)| (name, view.data().to_vec())).collect();
    let mut position: serde_json::Value =
        serde_json::from_slice(&std::fs::read(folder.join("position.json")).unwrap()).unwrap();
    position["seconds"].take();
    position["rows"].take();
    (all, position)
}

/// What the journal says of the training, without times.
fn told(run: &RunDir) -> Vec<String> {
    lines(events(run).into_iter().map(|e| e.body))
}

fn lines(said: impl IntoIterator<Item = EventBody>) -> Vec<String> {
    let line = |body: EventBody| match body {
        EventBody::Step(s) => Some(format!("{} {} {} {}", s.step, s.loss.to_bits(), s.grad_norm.to_bits(), s.lr)),
        EventBody::Modules(modules) => Some(format!("{modules:?}")),
        EventBody::Dev(dev) => Some(format!("{dev:?}")),
        EventBody::Sample(sample) => Some(format!("{sample:?}")),
        _ => None,
    };
    said.into_iter().filter_map(line).collect()
}

/// Everything that may hide a change in use: dropout, running norms, sampling, a schedule.
fn busy(importance: &str) -> Project {
    let project = Project::new();
    project.recipe("seed = 3", "epochs = 20\ndropout = 0.1\neval_every = 5\ncheckpoint_every = 7");
    project.append(
        "recipe.toml",
        &format!("[prune]\nratio = 0.5\nimportance = \"{importance}\"\nschedule = \"cubic\"\nnorms = \"running\"\n"),
    );
    project
}

fn asked_in_between_is_the_same_run(importance: &str) {
    let alone = busy(importance);
    let said = alone.lopper(&["run", "recipe.toml", "--plain"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    let asked = busy(importance);
    let run = asked.detached();
    let rules = ["*=0.9", "layers.0.*=0.1", "* science A=0.7", "*=0", "*=1"];
    let mut answers = Vec::new();
    for (i, step) in [3, 9, 17, 30, 45].into_iter().enumerate() {
        until_event(&run, "a step", |e| matches!(e, EventBody::Modules(m) if m.prunes() && m.step >= step));
        let request = send(run.path(), ask(rules[i], 3, 2)).unwrap();
        answers.push(answer(&run, &request));
    }
    until_over(&run);
    assert_eq!(run.state(), RunState::Finished);
    for found in &answers {
        assert!(found.state == Progress::Done && found.changed > 0 && found.losses.len() == 3, "{found:?}");
        assert!(found.delta.unwrap().mean != 0.0 && found.summaries.len() == 2, "{found:?}");
    }
    assert!(answers[1].restored > 0 && answers[0].restored == 0, "{answers:?}");
    let before = alone.run();
    assert!(told(&before) == told(&run), "losses, masks' figures, dev and samples");
    assert!(result(&before) == result(&run));
    for name in ["stage-1-step-56", "stage-1-step-60"] {
        let (tensors, position) = checkpoint(&before, name);
        assert!(tensors.keys().any(|n| n.starts_with("optimizer.")) && tensors.keys().any(|n| n.contains("shadow")));
        assert_eq!((tensors, position), checkpoint(&run, name));
    }
}

#[test]
fn a_run_with_what_ifs_is_bit_for_bit_the_run_without() {
    asked_in_between_is_the_same_run("direct");
}

#[test]
fn a_run_with_what_ifs_by_sensitivity_too() {
    asked_in_between_is_the_same_run("sensitivity");
}

/// What a pause met.
#[derive(Debug)]
struct Met {
    step: usize,
    /// Where the newest checkpoint stands.
    newest: Position,
    /// How many there are.
    kept: usize,
}

/// A run whose pauses come with given steps of the stage that prunes, and end by themselves.
struct Pausing<'a> {
    dir: RunDir,
    at: &'a [usize],
    /// Of the stage that prunes.
    step: usize,
    prunes: bool,
    orders: Vec<Command>,
    told: Vec<EventBody>,
    met: Vec<Met>,
}

impl Pausing<'_> {
    /// The run as it is in a pause.
    fn copy(&self) -> PathBuf {
        self.dir.path().with_file_name(format!("copy-{}", self.step))
    }
}

impl Observer for Pausing<'_> {
    fn record(&mut self, body: EventBody) -> lopper::Result<()> {
        match &body {
            EventBody::Stage(stage) => self.prunes = stage.prunes,
            EventBody::Step(step) if self.prunes => {
                self.step = step.step;
                if self.at.contains(&self.step) {
                    self.orders.push(Command::Pause);
                }
            }
            EventBody::Paused { paused: true } => {
                let newest = newest(&self.dir.checkpoints()).unwrap().0.unwrap().position;
                let kept = std::fs::read_dir(self.dir.checkpoints()).unwrap().count();
                self.met.push(Met { step: self.step, newest, kept });
                copy_folder(self.dir.path(), &self.copy());
                self.orders.push(Command::Resume);
            }
            _ => {}
        }
        self.told.push(body);
        Ok(())
    }
}

impl Session for Pausing<'_> {
    fn commands(&mut self) -> lopper::Result<Vec<Request>> {
        let request = |command: Command| Request { v: 1, id: command.name().into(), t: 0.0, command };
        Ok(self.orders.drain(..).map(request).collect())
    }

    fn dir(&self) -> &RunDir {
        &self.dir
    }
}

/// Works on the run to its end, with pauses at these steps.
fn worked<'a>(run: &RunDir, at: &'a [usize]) -> Pausing<'a> {
    let (orders, told, met) = (Vec::new(), Vec::new(), Vec::new());
    let mut session = Pausing { dir: run.clone(), at, step: 0, prunes: false, orders, told, met };
    let outcome = lopper::train::execute(&run.recipe().unwrap(), &mut session).unwrap();
    assert!(matches!(outcome, Outcome::Finished(_)), "{outcome:?}");
    session
}

#[test]
fn a_pause_keeps_its_step_and_a_run_with_pauses_is_bit_for_bit_the_run_without() {
    let project = busy("sensitivity");
    let recipe = Recipe::read(&project.path("recipe.toml")).unwrap();
    let [alone, run] = ["alone", "paused"].map(|name| RunDir::create(&project.path("runs"), name, &recipe).unwrap());
    let without = worked(&alone, &[]);
    assert!(without.met.is_empty());
    // The first step, one in the middle of an epoch, one with a checkpoint, with an evaluation, with both, the last.
    let steps = [1, 8, 14, 25, 35, 60];
    let with = worked(&run, &steps);
    assert_eq!(with.met.iter().map(|m| m.step).collect::<Vec<_>>(), steps);
    for Met { step, newest, kept } in &with.met {
        assert_eq!((newest.stage, newest.step, *kept), (1, *step, 2), "{newest:?}");
        assert!(newest.evaluated < *step && !newest.trained, "{newest:?}");
    }
    // One of a step is enough, unless that was evaluated after it.
    let written = |step: usize| {
        let name = format!("checkpoints/stage-1-step-{step}");
        let is_one =
            |e: &&EventBody| matches!(e, EventBody::Checkpoint(c) if c.step == step && c.path.starts_with(&name));
        with.told.iter().filter(is_one).count()
    };
    assert_eq!([1, 8, 14, 25, 28, 35, 60].map(written), [1, 1, 1, 1, 1, 2, 2]);
    assert!(lines(without.told) == lines(with.told) && result(&alone) == result(&run));
    let last = checkpoint(&alone, "stage-1-step-60");
    assert!(last.0.keys().any(|name| name.starts_with("best.")) && last == checkpoint(&run, "stage-1-step-60.2"));
    // As if it had been killed in the pause. What was not evaluated then is evaluated, and kept as such.
    for (step, name) in [(8, "stage-1-step-60"), (35, "stage-1-step-60"), (60, "stage-1-step-60.2")] {
        let copy = RunDir::open(&run.path().with_file_name(format!("copy-{step}"))).unwrap();
        worked(&copy, &[]);
        assert!(result(&alone) == result(&copy) && last == checkpoint(&copy, name), "from step {step}");
    }
}

#[test]
fn while_paused_it_answers_at_once_and_knows_what_it_was_asked() {
    let project = Project::endless();
    let run = paused(&project);
    let ask_for = |rule: &str| {
        let request = send(run.path(), ask(rule, 3, 1)).unwrap();
        answer(&run, &request)
    };
    let same = ask_for("*=0.5");
    assert_eq!((same.changed, same.restored, same.cached), (0, 0, false));
    for loss in &same.losses {
        assert_eq!(loss.before.to_bits(), loss.after.to_bits(), "{same:?}");
    }
    assert_eq!(same.summaries[0].before, same.summaries[0].after);
    let more = ask_for("*=0.9");
    assert!((more.sparsity[1] - 0.9).abs() < 0.01 && (more.predicted - 0.9).abs() < 0.01, "{more:?}");
    assert!(more.retained[1] < more.retained[0] && more.delta.unwrap().mean != 0.0, "{more:?}");
    // The same ratios in other words.
    let request = send(
        run.path(),
        Command::WhatIf {
            rules: vec![Rule::parse("* A=0.9").unwrap(), Rule::parse("* B=0.9").unwrap()],
            documents: 3,
            samples: 1,
            share: 1.0,
        },
    );
    let again = answer(&run, &request.unwrap());
    assert!(again.cached && again.losses == more.losses && again.summaries == more.summaries, "{again:?}");
    let wrong = ask_for("layers.77.*=0.5");
    assert!(wrong.state == Progress::Failed && wrong.text.contains("matches no matrix"), "{wrong:?}");
    // Progress was told on the way.
    let steps: Vec<Progress> =
        what_ifs(&run).into_iter().filter(|w| w.request == more.request).map(|w| w.state).collect();
    assert_eq!(steps, [Progress::Masks, Progress::Loss, Progress::Done]);
    assert_eq!(project.lopper(&["stop", utf8(run.path())]).code, Some(0));
    until_over(&run);
}

#[test]
fn a_newer_what_if_cancels_the_older_one() {
    let project = Project::endless();
    let run = paused(&project);
    // All that is asked at once but the last is given up, before or in the middle.
    let requests: Vec<String> = (1..9).map(|i| send(run.path(), ask(&format!("*=0.{i}"), 3, 3)).unwrap()).collect();
    let last = answer(&run, requests.last().unwrap());
    assert_eq!(last.state, Progress::Done);
    let answers: HashMap<String, bool> = events(&run)
        .into_iter()
        .filter_map(|e| match e.body {
            EventBody::Control(c) if c.command == "what_if" => Some((c.id, c.ok)),
            _ => None,
        })
        .collect();
    let done = requests[..7].iter().filter(|id| answers[*id]).count();
    assert!(done < 7, "{answers:?}");
    assert_eq!(project.lopper(&["stop", utf8(run.path())]).code, Some(0));
    until_over(&run);
}

/// Gives up at the n-th time it is asked.
struct Impatient(usize, usize);

impl Asker for Impatient {
    fn news(&mut self, _: &WhatIf) -> lopper::Result<()> {
        Ok(())
    }

    fn gives_up(&mut self) -> lopper::Result<Option<String>> {
        self.1 += 1;
        Ok((self.1 >= self.0).then(|| "enough".into()))
    }
}

#[test]
fn given_up_at_any_moment_it_leaves_nothing_wrong_behind() {
    let project = Project::new();
    assert_eq!(project.lopper(&["run", "recipe.toml", "--plain"]).code, Some(0));
    let open = Reopened::load(&project.run()).unwrap();
    let question = Question { rules: vec![Rule::parse("*=0.8").unwrap()], documents: 0..3, samples: 1 };
    let whole = Answers::default().answer(&open.subject(), &question, &mut Impatient(usize::MAX, 0)).unwrap();
    assert_eq!(whole.state, Progress::Done);
    let mut answers = Answers::default();
    let mut moments = 0;
    for moment in 1.. {
        let found = answers.answer(&open.subject(), &question, &mut Impatient(moment, 0)).unwrap();
        if found.state == Progress::Done {
            assert_eq!((found.losses, found.summaries), (whole.losses, whole.summaries));
            break;
        }
        assert_eq!((found.state, found.text.as_str()), (Progress::Cancelled, "enough"));
        moments += 1;
    }
    assert!(moments > 3, "{moments}");
}

#[test]
fn a_finished_run_is_asked_from_its_result() {
    let project = Project::new();
    let said = project.lopper(&["run", "recipe.toml", "--plain"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    let run = project.run();
    let mut best = events(&run).into_iter().filter_map(|e| match e.body {
        EventBody::Dev(dev) if dev.best => Some(dev),
        _ => None,
    });
    let best = best.next_back().unwrap();
    let json = |rule: &str| -> WhatIf {
        let said = project.lopper(&["what-if", utf8(run.path()), "--set", rule, "--samples", "1", "--json"]);
        assert_eq!(said.code, Some(0), "{said:?}");
        serde_json::from_str(&said.out).unwrap()
    };
    let same = json("*=0.5");
    assert_eq!((same.step, same.changed, same.losses.len()), (best.step, 0, 3));
    let [before, after] = same.loss.unwrap();
    assert_eq!(before.to_bits(), after.to_bits());
    assert!((before - best.loss).abs() < 1e-9, "{before} {}", best.loss);
    let dense = json("*=0");
    assert!(dense.restored > 0 && dense.sparsity[1] < 0.01 && dense.delta.unwrap().mean != 0.0, "{dense:?}");
    // What comes back is what went: pruning it again by the same order gives the set that there was.
    let open = Reopened::load(&run).unwrap();
    let rule = |text: &str| vec![Rule::parse(text).unwrap()];
    let whole = open.pruner.scratch(&open.set, &rule("*=0"), None).unwrap();
    let again = open.pruner.scratch(&open.set, &rule("*=0.5"), None).unwrap();
    assert!(whole.restored > 0 && again.changed == 0);
    let mut different = 0;
    for (id, module) in &open.set.modules {
        let numbers = |t: &candle_core::Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let (now, then) = (numbers(&module.a), numbers(&whole.set.modules[id].a));
        assert!(now.iter().zip(&then).all(|(now, then)| *now == 0.0 || now.to_bits() == then.to_bits()));
        different += now.iter().zip(&then).filter(|(now, then)| now != then).count();
    }
    assert!(different > 0);
    let said = project.lopper(&["what-if", utf8(run.path()), "--set", "* net=0.9", "--samples", "2"]);
    for part in ["asked      * net=0.9", "sparsity   50.0 % → ", "loss ", " ± ", "ROUGE-L", "document 1: "] {
        assert!(said.code == Some(0) && said.out.contains(part), "{part}: {said:?}");
    }
    let said = project.lopper(&["what-if", utf8(run.path()), "--set", "* nett=0.9"]);
    assert!(said.code == Some(2) && said.err.contains("matches no matrix"), "{said:?}");
    let said = project.lopper(&["what-if", utf8(run.path()), "--set", "layers.0.*"]);
    assert!(said.code == Some(2) && said.err.contains("is no rule"), "{said:?}");
}

#[test]
fn a_living_run_is_asked_through_its_files() {
    let project = Project::endless();
    let run = project.detached();
    until_event(&run, "a pruned step", |e| matches!(e, EventBody::Modules(m) if m.prunes()));
    let said = project.lopper(&["what-if", utf8(run.path()), "--set", "*=0.9", "--documents", "2", "--json"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    let found: WhatIf = serde_json::from_str(&said.out).unwrap();
    assert!(found.step > 0 && found.losses.len() == 2 && !found.request.is_empty(), "{found:?}");
    let found: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!((found["run"].as_str(), found["stage"].as_str()), (Some(&*run.name()), Some(OWN)));
    assert_eq!(found["notes"], json!([]));
    assert_eq!(project.lopper(&["stop", utf8(run.path())]).code, Some(0));
    until_over(&run);
    // Stopped, it answers from its checkpoint.
    let said = project.lopper(&["what-if", utf8(run.path()), "--set", "*=0.9", "--json"]);
    assert_eq!(said.code, Some(0), "{said:?}");
}

#[test]
fn a_map_of_sensitivity_goes_on_where_it_broke_off() {
    let project = Project::new();
    assert_eq!(project.lopper(&["run", "recipe.toml", "--plain"]).code, Some(0));
    let run = project.run();
    let map = |by: &str| -> serde_json::Value {
        let args = ["sensitivity", utf8(run.path()), "--by", by, "--ratios", "0.9,0.2", "--documents", "2", "--json"];
        let said = project.lopper(&args);
        assert_eq!(said.code, Some(0), "{said:?}");
        serde_json::from_str(&said.out).unwrap()
    };
    let first = map("adapter");
    // Three adapters at two ratios, and each left out.
    assert_eq!((first["measured"].as_u64(), first["groups"].as_array().unwrap().len()), (Some(9), 9));
    let lines = lopper::run::sensitivity::read(&run).unwrap();
    assert!(lines.iter().any(|m| m.delta.mean != 0.0) && lines.iter().all(|m| m.documents == [0, 2]));
    assert!(lines.iter().filter(|m| m.ratio == 0.2).all(|m| m.restored > 0 && m.sparsity[1] < m.sparsity[0]));
    // Half of it is lost; the rest is known.
    let file = run.path().join("sensitivity.jsonl");
    let bytes = std::fs::read(&file).unwrap();
    std::fs::write(&file, &bytes[..bytes.len() / 2]).unwrap();
    let again = map("adapter");
    assert!((4..9).contains(&again["measured"].as_u64().unwrap()), "{again}");
    let deltas = |map: &serde_json::Value| -> Vec<String> {
        let groups = map["groups"].as_array().unwrap().iter();
        groups.map(|m| format!("{} {} {}", m["rule"], m["delta"], m["loss"])).collect()
    };
    assert_eq!(deltas(&first), deltas(&again));
    let said = project.lopper(&["sensitivity", utf8(run.path()), "--by", "factor,module", "--ratios", "0.7"]);
    for part in ["factor", "\nB  ", "layers.1", "q_proj", "each group pruned alone"] {
        assert!(said.code == Some(0) && said.out.contains(part), "{part}: {said:?}");
    }
}

#[test]
fn suggested_ratios_meet_the_sparsity_and_are_compared_with_uniform_ones() {
    let project = Project::new();
    project.write("data/dev.jsonl", &tiny::examples(100..112));
    assert_eq!(project.lopper(&["run", "recipe.toml", "--plain"]).code, Some(0));
    let run = project.run();
    let asked = |goal: [&str; 2], documents: &str| {
        let args = ["suggest", utf8(run.path()), "--documents", documents, "--json"];
        // One that is there is not written over.
        std::fs::remove_file(project.path("rules.toml")).ok();
        let said = project.lopper(&[&args[..], &goal, &["--out", "rules.toml"]].concat());
        assert_eq!(said.code, Some(0), "{said:?}");
        serde_json::from_str::<serde_json::Value>(&said.out).unwrap()
    };
    let ask = |goal| asked(goal, "6");
    for sparsity in ["0.35", "0.6", "0.85"] {
        let found = ask(["--sparsity", sparsity]);
        let (met, wanted) = (found["sparsity"].as_f64().unwrap(), sparsity.parse::<f64>().unwrap());
        assert!((met - wanted).abs() < 0.01, "{found}");
        assert_eq!(found["documents"], serde_json::json!([[0, 6], [6, 12]]));
        assert_eq!((&found["verified_on_choosing"], &found["goal"]["sparsity"]), (&false.into(), &wanted.into()));
        let figure = |name: &str, i: usize| found[name][i]["mean"].as_f64().unwrap();
        // The gain is the difference of the two.
        let gain = found["gain"]["mean"].as_f64().unwrap();
        assert!((figure("verified", 0) - figure("verified", 1) - gain).abs() < 1e-9, "{found}");
        let rules = lopper::recipe::sets::parse(&std::fs::read_to_string(project.path("rules.toml")).unwrap()).unwrap();
        let other = rules.iter().any(|r| r.ratio != rules[0].ratio);
        assert_eq!(other, !found["moves"].as_array().unwrap().is_empty(), "{found}");
        // It leaves the one ratio only where that is better.
        assert!(figure("chosen", 0) <= figure("chosen", 1), "{found}");
        let (least, most) = found["groups"].as_array().unwrap().iter().fold((1.0_f64, 0.0_f64), |(least, most), g| {
            let ratio = g[1].as_f64().unwrap();
            (least.min(ratio), most.max(ratio))
        });
        assert!(least <= wanted + 0.01 && most >= wanted - 0.01, "{found}");
    }
    // Neither those that chose nor those that did not lose more than was allowed.
    let found = ask(["--max-loss", "0.5"]);
    let rise = |of: &str| found[of][0]["mean"].as_f64().unwrap();
    assert!(rise("chosen") <= 0.5 && rise("verified") <= 0.5 && found["sparsity"].as_f64().unwrap() > 0.0, "{found}");
    assert_eq!(found["goal"], serde_json::json!({"max_loss": 0.5}));
    let found = asked(["--sparsity", "0.6"], "10");
    assert_eq!((&found["documents"], &found["verified_on_choosing"]), (&json!([[0, 10], [0, 10]]), &true.into()));
    let said = project.lopper(&["suggest", utf8(run.path()), "--sparsity", "0.6", "--documents", "6"]);
    assert!(said.code == Some(0) && said.out.contains("proposal less uniform: "), "{said:?}");
}

#[test]
fn slopes_tell_what_the_loss_does_across_their_band() {
    use candle_core::Tensor;
    use lopper::data::batch::micro_batches;
    use lopper::lora::Gradients;
    use lopper::train::step;
    use lopper::train::what_if::slopes::{Band, direction, slopes};
    let project = Project::new();
    project.recipe("", "epochs = 4");
    assert_eq!(project.lopper(&["run", "recipe.toml", "--plain"]).code, Some(0));
    let open = Reopened::load(&project.run()).unwrap();
    let rules = |ratio: &str| vec![Rule::parse(&format!("*={ratio}")).unwrap()];
    let band = Band { rules: ["0.55", "0.65", "0.75"].map(rules) };
    let found = slopes(&open, &band, &(0..2), None, &mut || Ok(false)).unwrap();
    let [train, dev] = [&open.task.train, &open.task.dev].map(|split| &split.encoded.sequences);
    let sequences = &[&train[..], &dev[..2]].concat();
    let all: Vec<usize> = (0..sequences.len()).collect();
    let settings = &open.recipe.train;
    // The derivative along the band, by central differences about its middle.
    let set = |ratio: &str| open.pruner.scratch(&open.set, &rules(ratio), None).unwrap().set;
    let (low, middle, high) = (set("0.55"), set("0.65"), set("0.75"));
    let loss = |along: f64| {
        let mut set = middle.clone();
        for (id, module) in &mut set.modules {
            let at =
                |from: &Tensor, low: &Tensor, high: &Tensor| (from + ((high - low).unwrap() * along).unwrap()).unwrap();
            let (low, high) = (&low.modules[id], &high.modules[id]);
            module.a = at(&module.a, &low.a, &high.a);
            module.b = at(&module.b, &low.b, &high.b);
        }
        let (mut nats, mut targets) = (0.0, 0);
        for batch in micro_batches(sequences, &all, settings.micro_tokens) {
            let gradients = &mut Gradients::default();
            nats += step::pass(&open.task, &set, &batch, (None, 1.0), gradients, None).unwrap().nats;
            targets += batch.targets.len();
        }
        nats / targets as f64
    };
    let measured = (loss(0.005) - loss(-0.005)) / 0.01;
    let told: f64 = found.values().map(|slope| slope.mean * slope.entries as f64).sum();
    assert!((told - measured).abs() < 0.02 * measured.abs() + 1e-3, "{told} {measured}");
    // Ratios go up where the loss rises less than elsewhere.
    let of: Vec<_> = found.values().copied().collect();
    let moves = direction(&of).unwrap();
    let least = (0..of.len()).min_by(|a, b| of[*a].mean.total_cmp(&of[*b].mean)).unwrap();
    let most = (0..of.len()).max_by(|a, b| of[*a].mean.total_cmp(&of[*b].mean)).unwrap();
    assert!(moves[least] > 0.0 && moves[most] < 0.0, "{moves:?}");
    assert!(moves.iter().all(|m| m.abs() <= 2.0), "{moves:?}");
}

#[test]
fn what_the_first_layers_gave_is_used_again_and_changes_no_bit() {
    let project = Project::new();
    assert_eq!(project.lopper(&["run", "recipe.toml", "--plain"]).code, Some(0));
    let open = Reopened::load(&project.run()).unwrap();
    let question = |rule: &str| Question { rules: vec![Rule::parse(rule).unwrap()], documents: 0..3, samples: 0 };
    let mut answers = Answers::default();
    let mut patient = Impatient(usize::MAX, 0);
    answers.answer(&open.subject(), &question("layers.1.*=0.2"), &mut patient).unwrap();
    let asked = patient.1;
    let with = answers.answer(&open.subject(), &question("layers.1.*=0.9"), &mut patient).unwrap();
    let layers = patient.1 - asked;
    let mut alone = Impatient(usize::MAX, 0);
    answers.rest();
    let without = answers.answer(&open.subject(), &question("layers.1.*=0.9"), &mut alone).unwrap();
    assert!(without.cached);
    let mut fresh = Answers::default();
    fresh.answer(&open.subject(), &question("layers.1.*=0.3"), &mut alone).unwrap();
    fresh.rest();
    let before = alone.1;
    let without = fresh.answer(&open.subject(), &question("layers.1.*=0.9"), &mut alone).unwrap();
    assert!(layers < alone.1 - before, "{layers} of {}", alone.1 - before);
    assert!(with.delta.unwrap().mean != 0.0);
    assert_eq!(with.losses, without.losses);
}

/// The process that answers a screen, with what it says.
struct Served {
    child: std::process::Child,
    input: Option<std::process::ChildStdin>,
    answers: std::io::BufReader<std::process::ChildStdout>,
}

impl Served {
    fn start(project: &Project, run: &RunDir) -> Self {
        let mut child = project
            .command(&["what-if", utf8(run.path()), "--serve"])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let (input, output) = (child.stdin.take(), child.stdout.take().unwrap());
        Self { child, input, answers: std::io::BufReader::new(output) }
    }

    fn ask(&mut self, id: &str, question: Inquired) {
        inquiry::write(self.input.as_mut().unwrap(), &Asked { id: id.into(), question }).unwrap();
    }

    fn next(&mut self) -> Answer {
        inquiry::read(&mut self.answers).expect("an answer")
    }

    /// What a what-if found that was asked alone.
    fn what_if(&mut self, id: &str) -> WhatIf {
        self.ask(id, what_if("*=0.9"));
        match self.until_over(id).pop().unwrap().said {
            Said::WhatIf(found) => *found,
            other => panic!("{other:?}"),
        }
    }

    /// Everything up to the last word on a question.
    fn until_over(&mut self, id: &str) -> Vec<Answer> {
        let mut all = Vec::new();
        loop {
            let answer = self.next();
            let is_last = answer.id == id && answer.said.is_over();
            all.push(answer);
            if is_last {
                return all;
            }
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn what_if(rule: &str) -> Inquired {
    Inquired::WhatIf { rules: vec![Rule::parse(rule).unwrap()], documents: 3, samples: 0 }
}

#[test]
fn a_screen_gets_what_ifs_while_a_map_is_measured_and_can_take_questions_back() {
    let project = Project::new();
    assert_eq!(project.lopper(&["run", "recipe.toml", "--plain"]).code, Some(0));
    let run = project.run();
    let mut served = Served::start(&project, &run);
    let ratios = vec![0.7, 0.9];
    served.ask("map", Inquired::Sensitivity { ratios: ratios.clone(), documents: 3 });
    let first = served.next();
    assert!(first.id == "map" && matches!(first.said, Said::Measured(_)), "{first:?}");
    served.ask("draft", what_if("*=0.9"));
    served.ask("wrong", what_if("layers.77.*=0.5"));
    let all = served.until_over("map");
    let at = |id: &str| all.iter().position(|a| a.id == id && a.said.is_over());
    // The newer one may have taken the older one's place before that was begun.
    let wrong = at("wrong").unwrap_or_else(|| panic!("{all:?}"));
    assert!(wrong < all.len() - 1, "in between");
    match &all[wrong].said {
        Said::WhatIf(found) => assert!(found.state == Progress::Failed && found.request == "wrong", "{found:?}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(all.last().unwrap().said, Said::Ended(None));
    let measured = |all: &[Answer]| all.iter().filter(|a| matches!(a.said, Said::Measured(_))).count();
    let (whole, groups) = (1 + measured(&all), sensitivity::read(&run).unwrap());
    assert_eq!(groups.len(), whole, "every measurement is kept, once");
    let parts = groups.iter().filter(|m| m.by == By::AdapterFactor && m.ratio == 0.9);
    assert_eq!(parts.count() % 2, 0);
    // Known ones are told again at once and not measured again.
    served.ask("again", Inquired::Sensitivity { ratios, documents: 3 });
    assert_eq!(measured(&served.until_over("again")), whole);
    assert_eq!(sensitivity::read(&run).unwrap(), groups);
    // One that is taken back ends; one that waited behind it is answered.
    served.ask("more", Inquired::Sensitivity { ratios: vec![0.3, 0.5, 0.1, 0.2, 0.4, 0.6, 0.8], documents: 3 });
    served.next();
    served.ask("found", Inquired::Suggest { goal: Goal::Sparsity(0.8) });
    served.ask("back", Inquired::GiveUp { request: "more".into() });
    let all = served.until_over("more");
    assert_eq!(all.last().unwrap().said, Said::Ended(Some("given up".into())));
    let all = served.until_over("found");
    let proposal = all.iter().find_map(|a| match &a.said {
        Said::Proposed(proposal) => Some(proposal),
        _ => None,
    });
    assert!((proposal.unwrap().sparsity - 0.8).abs() < 0.01, "{all:?}");
    assert!(all.iter().any(|a| matches!(&a.said, Said::Progress(line) if line.contains("round 1"))), "{all:?}");
    // It goes when nobody can ask any more.
    served.input = None;
    assert!(served.child.wait().unwrap().success());
}

#[test]
fn a_screen_is_answered_about_where_the_run_has_come_to() {
    let project = Project::endless();
    let run = project.detached();
    until_event(&run, "a pruned step", |e| matches!(e, EventBody::Modules(m) if m.prunes()));
    let first = pause(&run);
    let mut served = Served::start(&project, &run);
    let before = served.what_if("1");
    assert!(before.state == Progress::Done && before.step == first, "{first}: {before:?}");
    assert!(served.what_if("2").cached, "the same set");
    go_on(&run);
    let second = pause(&run);
    let after = served.what_if("3");
    assert!(second > first && after.step == second && !after.cached, "{second}: {after:?}");
    assert!(before.losses != after.losses);
    // What is measured of an older set ends where a newer one is asked for.
    let ratios = (1..100).map(|i| f64::from(i) / 100.0).collect();
    served.ask("map", Inquired::Sensitivity { ratios, documents: 3 });
    let measured = served.next();
    assert!(matches!(&measured.said, Said::Measured(m) if m.at.1 == second), "{measured:?}");
    go_on(&run);
    let third = pause(&run);
    served.ask("4", what_if("*=0.9"));
    let all = served.until_over("4");
    let ends = all.iter().filter(|a| a.id == "map" && a.said.is_over()).map(|a| &a.said);
    let why = Said::Ended(Some("the run has gone on: ask again".into()));
    assert_eq!(ends.collect::<Vec<_>>(), [&why]);
    assert!(matches!(&all.last().unwrap().said, Said::WhatIf(found) if found.step == third), "{:?}", all.last());
    assert_eq!(project.lopper(&["stop", utf8(run.path())]).code, Some(0));
    until_over(&run);
    assert_eq!(served.what_if("5").step, third);
}

#[test]
fn what_should_be_known_of_a_set_is_told_with_every_answer() {
    let project = Project::new();
    assert_eq!(project.lopper(&["run", "recipe.toml", "--plain"]).code, Some(0));
    let run = project.run();
    let whole = std::fs::read_dir(run.checkpoints()).unwrap().next().unwrap().unwrap().path();
    let damage = || {
        let folder = run.checkpoints().join("stage-9-step-1");
        std::fs::create_dir(&folder).unwrap();
        std::fs::copy(whole.join("position.json"), folder.join("position.json")).unwrap();
        std::fs::write(folder.join("state.safetensors"), b"half").unwrap();
    };
    // A question leaves it where it is.
    let mend = || std::fs::remove_dir_all(run.checkpoints().join("stage-9-step-1")).unwrap();
    let is_note = |text: &str| text.contains("stage-9-step-1") && text.contains(" is damaged: ");
    let path = utf8(run.path());
    for args in [&["what-if", path, "--set", "*=0.9"][..], &["suggest", path, "--sparsity", "0.6"]] {
        damage();
        let said = project.lopper(args);
        let first = said.out.lines().next().unwrap_or_default();
        assert!(said.code == Some(0) && first.starts_with("note: ") && is_note(first), "{said:?}");
        let asked = || -> serde_json::Value {
            let said = project.lopper(&[args, &["--json"]].concat());
            assert_eq!(said.code, Some(0), "{said:?}");
            serde_json::from_str(&said.out).unwrap()
        };
        let found = asked();
        let notes = found["notes"].as_array().unwrap();
        assert!(notes.len() == 1 && is_note(notes[0].as_str().unwrap()), "{found}");
        assert_eq!((found["run"].as_str(), found["stage"].as_str()), (Some(&*run.name()), Some(OWN)));
        assert!(found["step"].as_u64() > Some(0) && found["seconds"].as_f64() > Some(0.0), "{found}");
        mend();
        assert_eq!(asked()["notes"], json!([]));
    }
    damage();
    let mut served = Served::start(&project, &run);
    served.ask("1", what_if("*=0.9"));
    let all = served.until_over("1");
    assert!(matches!(&all[0].said, Said::Note(text) if is_note(text)), "{all:?}");
    served.ask("2", what_if("*=0.8"));
    let all = served.until_over("2");
    assert!(!all.iter().any(|a| matches!(a.said, Said::Note(_))), "once, where it is loaded: {all:?}");
}

#[test]
fn a_run_without_a_checkpoint_is_refused_with_a_sentence() {
    let project = Project::new();
    let run = project.detached();
    send(run.path(), Command::Stop).unwrap();
    until_over(&run);
    std::fs::remove_dir_all(run.checkpoints()).ok();
    let mut served = Served::start(&project, &run);
    served.ask("map", Inquired::Sensitivity { ratios: vec![0.5], documents: 3 });
    match served.until_over("map").pop().unwrap().said {
        Said::Ended(Some(why)) => assert!(why.contains("has no checkpoint to ask"), "{why}"),
        other => panic!("{other:?}"),
    }
    served.ask("draft", what_if("*=0.9"));
    match served.until_over("draft").pop().unwrap().said {
        Said::WhatIf(found) => assert!(found.request == "draft" && found.text.contains("no checkpoint"), "{found:?}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn while_it_trains_what_ifs_take_no_more_than_their_share() {
    let project = Project::endless();
    let run = project.detached();
    until_event(&run, "a pruned step", |e| matches!(e, EventBody::Modules(m) if m.prunes()));
    let share = 0.2;
    let requests: Vec<String> = (1..6)
        .map(|i| {
            let rules = vec![Rule::parse(&format!("*=0.{i}1")).unwrap()];
            let request = send(run.path(), Command::WhatIf { rules, documents: 3, samples: 3, share }).unwrap();
            assert_eq!(answer(&run, &request).state, Progress::Done);
            request
        })
        .collect();
    // By the journal's clock: from the end of one to the begin of the next the training has its four fifths. Steps and
    // a busy machine only make that longer.
    let spans: Vec<(f64, f64)> = requests
        .iter()
        .map(|id| {
            let mut of = events(&run).into_iter().filter_map(|e| match e.body {
                EventBody::WhatIf(w) if w.request == *id => Some((e.t, w.seconds)),
                _ => None,
            });
            let (end, seconds) = of.next_back().unwrap();
            (end - seconds, end)
        })
        .collect();
    for pair in spans.windows(2) {
        let [(begin, end), (next, _)] = pair else { unreachable!() };
        let (took, rest) = (end - begin, next - end);
        assert!(rest > took * (1.0 / share - 1.0) * 0.95 - 0.002, "{took} s, then {rest} s: {spans:?}");
    }
    assert_eq!(project.lopper(&["stop", utf8(run.path())]).code, Some(0));
    until_over(&run);
}

#[test]
fn a_what_if_is_taken_back_and_the_run_goes_on() {
    let project = Project::endless();
    let run = paused(&project);
    let request = send(run.path(), ask("*=0.9", 3, 3)).unwrap();
    send(run.path(), Command::CancelWhatIf { request: request.clone() }).unwrap();
    let is_answer = |e: &EventBody| matches!(e, EventBody::Control(c) if c.id == request && c.command == "what_if");
    let EventBody::Control(outcome) = until_event(&run, "the answer", is_answer).body else { unreachable!() };
    // It may have been done already.
    assert!(outcome.ok || ["given up", "given up: cancelled"].contains(&&*outcome.text), "{outcome:?}");
    let after = send(run.path(), ask("*=0.8", 3, 0)).unwrap();
    assert_eq!(answer(&run, &after).state, Progress::Done);
    assert_eq!(project.lopper(&["stop", utf8(run.path())]).code, Some(0));
    until_over(&run);
}

#[test]
fn ctrl_c_ends_a_map_and_the_same_command_goes_on() {
    use std::io::{BufRead, BufReader};
    use std::process::Stdio;
    let project = Project::new();
    assert_eq!(project.lopper(&["run", "recipe.toml", "--plain"]).code, Some(0));
    let run = project.run();
    let ratios = (1..60).map(|i| format!("0.{i:02}")).collect::<Vec<_>>().join(",");
    let args = ["sensitivity", utf8(run.path()), "--ratios", &ratios];
    let mut child = project.command(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    let mut said = BufReader::new(child.stderr.take().unwrap());
    said.read_line(&mut line).unwrap();
    assert!(line.contains("by factor"), "{line}");
    let pid = rustix::process::Pid::from_raw(child.id().cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    std::io::copy(&mut said, &mut std::io::sink()).unwrap();
    let out = child.wait_with_output().unwrap();
    let text = String::from_utf8(out.stdout).unwrap();
    assert_eq!(out.status.code(), Some(130), "{text}");
    assert!(text.contains("the same command goes on from here"), "{text}");
    let known = sensitivity::read(&run).unwrap().len();
    let whole = project.lopper(&args);
    assert_eq!(whole.code, Some(0), "{whole:?}");
    let all = sensitivity::read(&run).unwrap();
    assert!(known > 0 && all.len() > known, "{known} of {}", all.len());
    assert!(whole.out.contains(&format!("{} of {} measured now", all.len() - known, all.len())), "{}", whole.out);
}
