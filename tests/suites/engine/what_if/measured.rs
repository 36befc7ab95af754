//! What a measurement of the sensitivity is of: the documents as they were, and the ratio that is named.

use super::*;

fn map(project: &Project, run: &RunDir, by: &str, ratios: &str) -> serde_json::Value {
    let args = ["sensitivity", utf8(run.path()), "--by", by, "--ratios", ratios, "--documents", "2", "--json"];
    let said = project.lopper(&args);
    assert_eq!(said.code, Some(0), "{said:?}");
    serde_json::from_str(&said.out).unwrap()
}

#[test]
fn what_was_measured_on_other_documents_is_measured_anew() {
    let project = Project::new();
    assert_eq!(project.lopper(&["run", "recipe.toml", "--plain"]).code, Some(0));
    let run = project.run();
    let measured = || map(&project, &run, "adapter", "0.9")["measured"].as_u64().unwrap();
    // Three adapters, at this ratio and left out.
    assert_eq!([measured(), measured()], [6, 0]);
    let before = std::fs::read_to_string(project.path("data/dev.jsonl")).unwrap();
    project.write("data/dev.jsonl", &tiny::examples(300..303));
    assert_eq!([measured(), measured()], [6, 0]);
    let all = sensitivity::read(&run).unwrap();
    assert!(all[0].on != all[6].on && all[0].loss[0] != all[6].loss[0], "{all:?}");
    assert!(all.len() == 12 && all.iter().all(|m| m.on.len() == 16), "{all:?}");
    // What is behind them does not count, and they are known again.
    project.write("data/dev.jsonl", &(before + &tiny::examples(300..301)));
    assert_eq!(measured(), 0);
    // A line of an older lopper does not say what it is of.
    let file = run.path().join("sensitivity.jsonl");
    let old = std::fs::read_to_string(&file).unwrap().lines().fold(String::new(), |all, line| {
        let mut line: serde_json::Value = serde_json::from_str(line).unwrap();
        line.as_object_mut().unwrap().remove("on");
        format!("{all}{line}\n")
    });
    std::fs::write(&file, old).unwrap();
    assert_eq!(measured(), 6);
}

#[test]
fn under_a_schedule_a_group_is_pruned_to_the_ratio_that_is_named() {
    let project = Project::new();
    project.recipe("", "epochs = 5");
    project.append("recipe.toml", "[prune]\nratio = 0.5\nschedule = \"linear\"\n");
    // About half-way.
    let (run, outcome, _) = ends::talked(&project, &mut |body| {
        matches!(body, EventBody::Modules(m) if m.prunes() && m.step == 8).then_some(Command::Stop)
    });
    assert!(matches!(outcome, Outcome::Stopped(_)), "{outcome:?}");
    let found = map(&project, &run, "factor", "0.7,0.1");
    let groups = found["groups"].as_array().unwrap();
    let sparsity = |group: &serde_json::Value, at: usize| group["sparsity"][at].as_f64().unwrap();
    let before = sparsity(&groups[0], 0);
    assert!((before - 0.5 * 8.0 / 15.0).abs() < 0.01, "{before}");
    // All of A and then all of B at a ratio: together everything.
    for (wanted, of_both) in [0.7, 0.1].into_iter().zip(groups.chunks(2)) {
        let change: f64 = of_both.iter().map(|group| sparsity(group, 1) - before).sum();
        assert!(of_both.iter().all(|group| group["ratio"] == wanted), "{of_both:?}");
        assert!((before + change - wanted).abs() < 0.01, "{before} {change} {wanted}");
    }
    // What is not named stays bit for bit as it is, and a what-if is still as far as the schedule is.
    let open = Reopened::load(&run).unwrap();
    let plain = open.unscheduled().unwrap().unwrap();
    assert_eq!(plain.scratch(&open.set, &[], None).unwrap().changed, 0);
    let question = Question { rules: vec![Rule::parse("*=0.9").unwrap()], documents: 0..2, samples: 0 };
    let found = Answers::default().answer(&open.subject(), &question, &mut Impatient(usize::MAX, 0)).unwrap();
    assert!(
        (found.share - 8.0 / 15.0).abs() < 1e-9 && (found.sparsity[1] - 0.9 * found.share).abs() < 0.01,
        "{found:?}"
    );
}
