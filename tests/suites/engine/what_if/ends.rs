//! A what-if has a last word also where it cannot be answered: the run stops, the training ends, results are scored.

use super::*;
use lopper::run::event::PhaseKind;

/// Says what to order when it has heard what the run tells.
type Asks<'a> = &'a mut dyn FnMut(&EventBody) -> Option<Command>;

/// A run in this process, and its user.
struct Talk<'a> {
    dir: RunDir,
    asks: Asks<'a>,
    orders: Vec<Request>,
    said: Vec<EventBody>,
}

impl Observer for Talk<'_> {
    fn record(&mut self, body: EventBody) -> lopper::Result<()> {
        if let Some(command) = (self.asks)(&body) {
            let id = format!("{}-{}", command.name(), self.said.len());
            self.orders.push(Request { v: 1, id, t: 0.0, command });
        }
        self.said.push(body);
        Ok(())
    }
}

impl Session for Talk<'_> {
    fn commands(&mut self) -> lopper::Result<Vec<Request>> {
        Ok(std::mem::take(&mut self.orders))
    }

    fn dir(&self) -> &RunDir {
        &self.dir
    }
}

/// Works on a new run of the project; the run, how it ended and what it told.
pub(super) fn talked(project: &Project, asks: Asks<'_>) -> (RunDir, Outcome, Vec<EventBody>) {
    let recipe = Recipe::read(&project.path("recipe.toml")).unwrap();
    let dir = RunDir::create(&project.path("runs"), "talk", &recipe).unwrap();
    let mut session = Talk { dir: dir.clone(), asks, orders: Vec::new(), said: Vec::new() };
    let outcome = lopper::train::execute(&dir.recipe().unwrap(), &mut session).unwrap();
    (dir, outcome, session.said)
}

/// After one of these the training has ninety-nine times as long for itself.
fn rarely(rule: &str) -> Command {
    Command::WhatIf { rules: vec![Rule::parse(rule).unwrap()], documents: 3, samples: 0, share: 0.01 }
}

/// Asks at `step`, and again after the answer; then `more` says what to order, by how many orders there were.
fn asks_twice(
    step: usize,
    mut more: impl FnMut(usize, &EventBody) -> Option<Command>,
) -> impl FnMut(&EventBody) -> Option<Command> {
    let mut orders = 0;
    move |body: &EventBody| {
        let order = match orders {
            0 => is_step_of(body, step).then(|| rarely("*=0.9")),
            1 => is_answer(body, "what_if").then(|| rarely("*=0.8")),
            so_far => more(so_far, body),
        };
        orders += usize::from(order.is_some());
        order
    }
}

/// The last words on what-ifs, and where in the journal they are.
fn last_words(said: &[EventBody]) -> Vec<(usize, &WhatIf)> {
    let all = said.iter().enumerate();
    all.filter_map(|(at, body)| match body {
        EventBody::WhatIf(found) if found.state.is_over() => Some((at, &**found)),
        _ => None,
    })
    .collect()
}

fn position(said: &[EventBody], is_it: impl Fn(&EventBody) -> bool) -> usize {
    said.iter().position(is_it).unwrap()
}

fn is_answer(body: &EventBody, to: &str) -> bool {
    matches!(body, EventBody::Control(outcome) if outcome.command == to)
}

/// Of the stage that prunes.
fn is_step_of(body: &EventBody, step: usize) -> bool {
    matches!(body, EventBody::Modules(modules) if modules.prunes() && modules.step == step)
}

#[test]
fn a_stop_ends_a_what_if_that_waits_for_its_share_of_time() {
    let project = Project::new();
    project.recipe("", "epochs = 5");
    let mut asks = asks_twice(2, |orders, body| match body {
        EventBody::Step(_) if orders == 2 => Some(Command::Stop),
        _ => None,
    });
    let (_, outcome, said) = talked(&project, &mut asks);
    assert!(matches!(outcome, Outcome::Stopped(_)), "{outcome:?}");
    let ends = last_words(&said);
    let [(_, first), (at, second)] = &ends[..] else { panic!("{ends:?}") };
    assert_eq!(
        (first.state, second.state, second.text.as_str()),
        (Progress::Done, Progress::Cancelled, "the run stops")
    );
    assert_eq!(second.rules, [Rule::parse("*=0.8").unwrap()]);
    let EventBody::Control(answer) = &said[at + 1] else { panic!("{:?}", said[at + 1]) };
    assert_eq!((answer.id.as_str(), answer.ok), (second.request.as_str(), false));
    assert_eq!(answer.text, "given up: the run stops");
    assert!(*at < position(&said, |body| is_answer(body, "stop")));
}

#[test]
fn a_pause_lets_a_what_if_go_first_that_waits_for_its_share_of_time() {
    let project = Project::new();
    project.recipe("", "epochs = 5");
    let mut asks = asks_twice(2, |orders, body| match body {
        EventBody::Step(_) if orders == 2 => Some(Command::Pause),
        body if orders == 3 && is_answer(body, "what_if") => Some(Command::Resume),
        _ => None,
    });
    let (_, outcome, said) = talked(&project, &mut asks);
    assert!(matches!(outcome, Outcome::Finished(_)), "{outcome:?}");
    let ends = last_words(&said);
    let [(_, first), (at, second)] = &ends[..] else { panic!("{ends:?}") };
    assert_eq!((first.state, second.state), (Progress::Done, Progress::Done));
    let paused = |is: bool| position(&said, |body| matches!(body, EventBody::Paused { paused } if *paused == is));
    assert!(paused(true) < *at && *at < paused(false), "{at}");
}

#[test]
fn the_end_of_the_training_ends_a_what_if_that_waits_before_anything_is_scored() {
    let project = Project::new();
    // The last step but one.
    let (_, outcome, said) = talked(&project, &mut asks_twice(5, |_, _| None));
    assert!(matches!(outcome, Outcome::Finished(_)), "{outcome:?}");
    let ends = last_words(&said);
    let [(_, first), (at, second)] = &ends[..] else { panic!("{ends:?}") };
    assert_eq!((first.state, second.state), (Progress::Done, Progress::Cancelled));
    assert!(second.text.contains("nothing is trained now"), "{second:?}");
    let own = position(&said, |body| matches!(body, EventBody::Stage(stage) if stage.prunes));
    let is_scoring = |body: &EventBody| matches!(body, EventBody::Phase(phase) if phase.phase == PhaseKind::Eval);
    let scored = own + position(&said[own..], is_scoring);
    assert!(*at < scored, "{at} {scored}");
}

#[test]
fn while_results_are_scored_a_what_if_is_answered_at_once_with_a_sentence() {
    let project = Project::new();
    let (mut own, mut asked) = (false, None);
    let mut events = 0;
    let (_, outcome, said) = talked(&project, &mut |body| {
        let at = events;
        events += 1;
        own |= matches!(body, EventBody::Stage(stage) if stage.prunes);
        let is_scoring = matches!(body, EventBody::Phase(phase) if phase.phase == PhaseKind::Eval);
        if !own || !is_scoring || asked.is_some() {
            return None;
        }
        asked = Some(at);
        Some(ask("*=0.9", 3, 0))
    });
    assert!(matches!(outcome, Outcome::Finished(_)), "{outcome:?}");
    let ends = last_words(&said);
    let [(at, found)] = &ends[..] else { panic!("{ends:?}") };
    assert_eq!((Some(*at), found.state), (asked.map(|asked| asked + 1), Progress::Failed));
    assert!(found.text.contains("ask when a stage trains, or the run is over"), "{found:?}");
    assert!(is_answer(&said[at + 1], "what_if"), "{:?}", said[at + 1]);
}

#[test]
fn what_only_waits_is_taken_back_at_once_and_what_is_under_way_goes_on() {
    let project = Project::new();
    assert_eq!(project.lopper(&["run", "recipe.toml", "--plain"]).code, Some(0));
    let mut served = Served::start(&project, &project.run());
    let ratios = (1..100).map(|i| f64::from(i) / 100.0).collect();
    served.ask("map", Inquired::Sensitivity { ratios, documents: 3 });
    served.next();
    served.ask("found", Inquired::Suggest { goal: Goal::Sparsity(0.8) });
    served.ask("back", Inquired::GiveUp { request: "found".into() });
    let all = served.until_over("found");
    assert_eq!(all.last().unwrap().said, Said::Ended(Some("given up".into())));
    assert!(!all.iter().any(|answer| answer.id == "map" && answer.said.is_over()), "{all:?}");
    served.ask("end", Inquired::GiveUp { request: "map".into() });
    assert_eq!(served.until_over("map").pop().unwrap().said, Said::Ended(Some("given up".into())));
}
