//! `lopper what-if RUN --serve`: answers of a run without a worker, for a screen that watches it ([`inquiry`]). A newer
//! what-if takes an older one's place; the longer questions wait for one another, and what-ifs are answered in between
//! their parts. A run that has gone on since it was loaded is loaded anew. It ends with its input, or when nobody has
//! asked for a while.

use crate::run::RunDir;
use crate::run::inquiry::{self, Answer, Asked, Question, Said};
use crate::run::sensitivity::By;
use crate::run::what_if::{Progress, WhatIf};
use crate::train::orders::REPLACED;
use crate::train::what_if::reopened::Reopened;
use crate::train::what_if::sensitivity::{Measuring, Plan, Told};
use crate::train::what_if::suggest::{Documents, ROUNDS, suggest};
use crate::train::what_if::{self, Answers, Asker};
use crate::{Error, Result};
use std::collections::{HashSet, VecDeque};
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::time::Duration;

/// A model is not held longer than this for someone who does not ask.
const IDLE: Duration = Duration::from_secs(600);
/// Why a question is not answered to its end.
const GIVEN_UP: &str = "given up";
/// The same, when nobody listens.
const LEFT: &str = "the screen was left";
/// The same, when the run was continued meanwhile.
const OUTDATED: &str = "the run has gone on: ask again";

/// Answers until nobody asks any more.
///
/// # Errors
/// When the answers cannot be written.
pub fn serve(run: &RunDir) -> Result<()> {
    let (sender, asked) = mpsc::channel();
    std::thread::Builder::new()
        .name("questions".into())
        .spawn(move || {
            let mut input = std::io::stdin().lock();
            while let Some(asked) = inquiry::read::<Asked>(&mut input) {
                if sender.send(asked).is_err() {
                    return;
                }
            }
        })
        .map_err(|e| Error::fault(format!("no thread could be started: {e}")))?;
    let mut counter = Counter { asked, newer: None, waiting: VecDeque::new(), given_up: HashSet::new() };
    let mut open: Option<Reopened> = None;
    let mut answers = Answers::default();
    while let Some(Asked { id, question }) = counter.wait() {
        if matches!(question, Question::GiveUp { .. }) {
            continue;
        }
        if open.as_ref().is_some_and(|open| !open.is_current(run)) {
            // First of all it goes: there may be no room for two.
            open = None;
            answers = Answers::default();
        }
        let open = match &mut open {
            Some(open) => open,
            None => match Reopened::load(run) {
                Ok(loaded) => {
                    loaded.notes.iter().try_for_each(|note| say(&id, Said::Note(note.clone())))?;
                    open.insert(loaded)
                }
                Err(e) => {
                    say(&id, ended(&id, &question, Progress::Failed, e.to_string()))?;
                    continue;
                }
            },
        };
        match question {
            Question::WhatIf { rules, documents, samples } => {
                let question = what_if::Question { rules, documents: 0..documents, samples };
                answer(open, &mut answers, &mut counter, &id, &question)?;
            }
            long => {
                let (answers, counter) = (&mut answers, &mut counter);
                let mut customer = Patient { run, open, answers, counter, id: &id, outdated: false };
                let ended = customer.search(&long).unwrap_or_else(|e| Some(e.to_string()));
                say(&id, Said::Ended(if customer.outdated { Some(OUTDATED.into()) } else { ended }))?;
            }
        }
    }
    Ok(())
}

fn say(id: &str, said: Said) -> Result<()> {
    inquiry::write(&mut std::io::stdout().lock(), &Answer { id: id.to_owned(), said })
}

/// The last word on what is not answered.
fn ended(id: &str, question: &Question, state: Progress, text: String) -> Said {
    match question {
        Question::WhatIf { .. } => {
            Said::WhatIf(Box::new(WhatIf { request: id.to_owned(), state, text, ..WhatIf::default() }))
        }
        _ => Said::Ended(Some(text)),
    }
}

/// Where questions come in.
struct Counter {
    asked: Receiver<Asked>,
    /// A what-if that took another's place.
    newer: Option<Asked>,
    /// The longer questions that wait.
    waiting: VecDeque<Asked>,
    /// Questions that were taken back while they were under way.
    given_up: HashSet<String>,
}

impl Counter {
    /// The next question; `None` when there will be none.
    fn wait(&mut self) -> Option<Asked> {
        self.newer.take().or_else(|| self.waiting.pop_front()).or_else(|| self.asked.recv_timeout(IDLE).ok())
    }

    /// Sorts what has come in meanwhile. What is not begun for that has its last word here.
    ///
    /// # Errors
    /// Nobody asks any more.
    fn sort(&mut self) -> std::result::Result<(), String> {
        loop {
            let (dropped, why) = match self.asked.try_recv() {
                Ok(Asked { question: Question::GiveUp { request }, .. }) => (self.taken_back(request), GIVEN_UP),
                Ok(asked @ Asked { question: Question::WhatIf { .. }, .. }) => (self.newer.replace(asked), REPLACED),
                Ok(asked) => {
                    self.waiting.push_back(asked);
                    continue;
                }
                Err(TryRecvError::Empty) => return Ok(()),
                Err(TryRecvError::Disconnected) => return Err(LEFT.into()),
            };
            if let Some(Asked { id, question }) = dropped {
                let said = ended(&id, &question, Progress::Cancelled, why.into());
                say(&id, said).map_err(|_| LEFT.to_owned())?;
            }
        }
    }

    /// The question of this id, where it has only waited so far; otherwise it is noted.
    fn taken_back(&mut self, id: String) -> Option<Asked> {
        let is_it = |asked: &Asked| asked.id == id;
        if self.newer.as_ref().is_some_and(is_it) {
            return self.newer.take();
        }
        if let Some(at) = self.waiting.iter().position(is_it) {
            return self.waiting.remove(at);
        }
        self.given_up.insert(id);
        None
    }
}

/// Answers a what-if.
fn answer(
    open: &Reopened,
    answers: &mut Answers,
    counter: &mut Counter,
    id: &str,
    question: &what_if::Question,
) -> Result<()> {
    let mut customer = Customer { counter, id };
    let found = open
        .check(&question.rules)
        .and_then(|()| answers.answer(&open.subject(), question, &mut customer))
        .unwrap_or_else(|e| WhatIf {
            state: Progress::Failed,
            rules: question.rules.clone(),
            text: e.to_string(),
            ..WhatIf::default()
        });
    customer.news(&found)
}

/// Who asked a what-if.
struct Customer<'a> {
    counter: &'a mut Counter,
    id: &'a str,
}

impl Asker for Customer<'_> {
    fn news(&mut self, so_far: &WhatIf) -> Result<()> {
        say(self.id, Said::WhatIf(Box::new(WhatIf { request: self.id.to_owned(), ..so_far.clone() })))
    }

    fn gives_up(&mut self) -> Result<Option<String>> {
        if let Err(left) = self.counter.sort() {
            return Ok(Some(left));
        }
        if self.counter.given_up.remove(self.id) {
            return Ok(Some("cancelled".into()));
        }
        Ok(self.counter.newer.is_some().then(|| REPLACED.into()))
    }
}

/// Who asked something that takes long: other what-ifs are answered in between.
struct Patient<'a> {
    run: &'a RunDir,
    open: &'a Reopened,
    answers: &'a mut Answers,
    counter: &'a mut Counter,
    id: &'a str,
    /// Given up, because another set is to be asked by now.
    outdated: bool,
}

impl Patient<'_> {
    /// Answers it; why not to its end.
    fn search(&mut self, question: &Question) -> Result<Option<String>> {
        let (run, open, id) = (self.run, self.open, self.id.to_owned());
        match question {
            Question::Sensitivity { ratios, documents } => {
                let mut measuring = Measuring::of(run, open, 0..*documents)?;
                for (i, ratio) in ratios.iter().enumerate() {
                    let plan = Plan { by: By::ALL.to_vec(), ratios: vec![*ratio], ablations: i == 0 };
                    let whole = measuring.measure(&plan, self, &mut |told| match told {
                        Told::Known(measured) | Told::New(measured) => {
                            say(&id, Said::Measured(Box::new(measured.clone())))
                        }
                        Told::None(none) => {
                            say(&id, Said::Note(format!("{} pruned to {}: {}", none.group, none.ratio, none.text)))
                        }
                    })?;
                    if !whole {
                        return Ok(Some(GIVEN_UP.into()));
                    }
                }
            }
            Question::Suggest { goal } => {
                let documents = Documents::of(open.task.dev.references.len(), None);
                let mut told = |line: &str| say(&id, Said::Progress(line.to_owned()));
                let found = suggest(open, *goal, &documents, ROUNDS, self, &mut told)?;
                say(&id, Said::Proposed(Box::new(found)))?;
            }
            Question::WhatIf { .. } | Question::GiveUp { .. } => {}
        }
        Ok(None)
    }
}

impl Asker for Patient<'_> {
    fn news(&mut self, _: &WhatIf) -> Result<()> {
        Ok(())
    }

    fn gives_up(&mut self) -> Result<Option<String>> {
        loop {
            if let Err(left) = self.counter.sort() {
                return Ok(Some(left));
            }
            if self.counter.given_up.remove(self.id) {
                return Ok(Some(GIVEN_UP.into()));
            }
            if self.counter.newer.is_some() && !self.open.is_current(self.run) {
                // What-ifs are answered from the newer set, which takes the place of this one.
                self.outdated = true;
                return Ok(Some(OUTDATED.into()));
            }
            let Some(Asked { id, question: Question::WhatIf { rules, documents, samples } }) =
                self.counter.newer.take_if(|asked| matches!(asked.question, Question::WhatIf { .. }))
            else {
                return Ok(None);
            };
            let question = what_if::Question { rules, documents: 0..documents, samples };
            answer(self.open, self.answers, self.counter, &id, &question)?;
        }
    }
}
