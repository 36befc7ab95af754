//! Summaries are told as they are written.

use super::*;

/// Keeps what it hears, until there are so many summaries in it.
struct Listener {
    enough: usize,
    heard: Vec<WhatIf>,
    asked: usize,
}

impl Listener {
    fn new(enough: usize) -> Self {
        Self { enough, heard: Vec::new(), asked: 0 }
    }

    fn told(&self) -> Vec<(Progress, usize)> {
        self.heard.iter().map(|found| (found.state, found.summaries.len())).collect()
    }
}

impl Asker for Listener {
    fn news(&mut self, so_far: &WhatIf) -> lopper::Result<()> {
        self.heard.push(so_far.clone());
        Ok(())
    }

    fn gives_up(&mut self) -> lopper::Result<Option<String>> {
        self.asked += 1;
        let count = self.heard.last().map_or(0, |found| found.summaries.len());
        Ok((count >= self.enough).then(|| "enough".into()))
    }
}

#[test]
fn the_first_summary_is_told_before_the_others_are_written_and_is_not_written_twice() {
    let project = Project::new();
    assert_eq!(project.lopper(&["run", "recipe.toml", "--plain"]).code, Some(0));
    let open = Reopened::load(&project.run()).unwrap();
    let question =
        |rule: &str, samples: usize| Question { rules: vec![Rule::parse(rule).unwrap()], documents: 0..3, samples };
    let mut answers = Answers::default();
    let mut patient = Listener::new(usize::MAX);
    let one = answers.answer(&open.subject(), &question("*=0.9", 1), &mut patient).unwrap();
    assert_eq!(patient.told(), [(Progress::Masks, 0), (Progress::Loss, 0)]);
    let mut patient = Listener::new(usize::MAX);
    let three = answers.answer(&open.subject(), &question("*=0.9", 3), &mut patient).unwrap();
    assert_eq!(patient.told(), [(Progress::Masks, 0), (Progress::Loss, 0), (Progress::Loss, 1)]);
    assert_eq!((&patient.heard[2].summaries, &three.summaries[..1]), (&one.summaries, &one.summaries[..]));
    assert_eq!(three.summaries.iter().map(|summary| summary.document).collect::<Vec<_>>(), [0, 1, 2]);
    assert!(patient.heard[2].rouge.unwrap().se.is_none() && three.rouge.unwrap().se.is_some(), "{three:?}");
    // What was known made it shorter and changed nothing.
    let mut fresh = Listener::new(usize::MAX);
    let anew = Answers::default().answer(&open.subject(), &question("*=0.9", 3), &mut fresh).unwrap();
    assert!(anew.summaries == three.summaries && patient.asked < fresh.asked, "{} {}", patient.asked, fresh.asked);
    // The same masks write the same, alone and with others.
    let same = answers.answer(&open.subject(), &question("*=0.5", 3), &mut fresh).unwrap();
    assert!(same.changed == 0 && same.summaries.iter().all(|s| s.before == s.after), "{same:?}");
    // Given up after the first that one is kept.
    let mut hasty = Listener::new(1);
    let given_up = answers.answer(&open.subject(), &question("*=0.8", 3), &mut hasty).unwrap();
    assert_eq!((given_up.state, given_up.summaries.len(), given_up.losses.len()), (Progress::Cancelled, 1, 3));
}
