//! Two real runs beside each other: curves of one that is under way over those of one that is over, the heatmaps'
//! difference, and both in the list's comparison.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, dead_code)]

use crate::pty;
use crate::tiny;
use lopper::run::control::{Command, send};
use lopper::run::event::EventBody;
use pty::{SMALL, Terminal};
use tiny::{Project, until_event, until_over};

/// The last step of the chart's axis.
fn end(text: &str) -> Option<usize> {
    text.lines().filter_map(|line| line.trim_end().rsplit_once("step ")).find_map(|(_, number)| number.parse().ok())
}

#[test]
fn another_run_lies_over_the_charts_and_under_the_heatmap() {
    let project = Project::new();
    let said = project.lopper(&["run", "recipe.toml", "--plain"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    let over = project.run();
    project.recipe("", "steps = 1000000\neval_every = 1000000\ncheckpoint_every = 1000000");
    project.append("recipe.toml", "[prune]\nratio = 0.8\n");
    let said = project.lopper(&["run", "recipe.toml", "--name", "other", "--detach"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    let other = project.runs().into_iter().find(|run| run.name().starts_with("other")).unwrap();
    until_event(&other, "the stage that prunes", |e| matches!(e, EventBody::Modules(m) if m.prunes()));

    let mut screen = Terminal::attach(&project, &over, SMALL, &[]);
    screen.shows(&["finished", "layer"]);
    screen.press("2");
    screen.until("an axis of six steps", |text| end(text) == Some(6));
    screen.press("O");
    screen.shows(&["curves of other runs", &other.name(), "running"]);
    screen.press("oth\r");
    screen.shows(&["on show as 1"]);
    screen.press("\x1b");
    screen.hides("curves of other runs");
    screen.shows(&[&format!("1 {}", other.name()), "train "]);
    // The run goes on, and so do its curves.
    screen.until("an axis that grows", |text| end(text).is_some_and(|step| step > 6));
    let step = end(&screen.text()).unwrap();
    screen.until("an axis that goes on growing", |text| end(text).is_some_and(|end| end > step));
    screen.press("O");
    screen.shows(&["on show as 1"]);
    screen.press("\r");
    screen.hides("on show as 1");
    screen.press("\x1b");
    screen.hides(&format!("1 {}", other.name()));
    screen.until("an axis of six steps", |text| end(text) == Some(6));

    screen.press("1MO");
    screen.shows(&["difference to another run", &other.name()]);
    screen.press("\r");
    screen.shows(&[&format!("minus {}", other.name()), "sparsity minus other", "-30.0", "here "]);
    screen.press("D");
    screen.hides("minus other");
    let (code, normal) = screen.leave();
    assert_eq!(code, 0, "{normal}");

    send(other.path(), Command::Stop).unwrap();
    until_over(&other);
    let mut screen = Terminal::start(&project, SMALL, &[], &[]);
    screen.shows(&[&over.name(), &other.name(), "stopped"]);
    screen.press("  =");
    screen.shows(&["prune.ratio", "dev loss by step", "tab map"]);
    screen.press("\t");
    screen.shows(&["sparsity: 2 ", " minus 1 ", "percentage points", "30.0"]);
    screen.press("m");
    screen.shows(&["share of all importance: 2 "]);
    screen.press("\t");
    screen.shows(&["dev loss by step"]);
    screen.press("q");
    screen.hides("dev loss by step");
    let (code, normal) = screen.leave();
    assert_eq!(code, 0, "{normal}");
}
