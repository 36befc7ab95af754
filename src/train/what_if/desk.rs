//! Where a worker answers what-ifs: between two steps, for a bounded share of the time; at once while it is paused.

use super::super::orders::{Orders, REPLACED, STOPS};
use super::super::stage::Context;
use super::super::step::Trainer;
use super::{Answers, Asker, Question, Subject};
use crate::Result;
use crate::run::control::{Command, Request};
use crate::run::event::EventBody;
use crate::run::session::Session;
use crate::run::what_if::{Progress, WhatIf};
use std::time::{Duration, Instant};

/// The desk of one stage.
#[derive(Debug, Default)]
pub struct Desk {
    answers: Answers,
    /// When the training has had its share of the time since the last answer.
    free: Option<Instant>,
}

/// The one who asked, through the run's files.
struct Customer<'a> {
    session: &'a mut dyn Session,
    orders: &'a mut Orders,
    request: &'a Request,
    /// The run's files fail: then it is not the question that cannot be answered.
    broken: bool,
}

impl Asker for Customer<'_> {
    fn news(&mut self, so_far: &WhatIf) -> Result<()> {
        let what_if = WhatIf { request: self.request.id.clone(), ..so_far.clone() };
        let told = self.session.record(EventBody::WhatIf(Box::new(what_if)));
        self.broken |= told.is_err();
        told
    }

    fn gives_up(&mut self) -> Result<Option<String>> {
        let read = self.orders.read(self.session);
        self.broken |= read.is_err();
        read?;
        if self.orders.keeps_what_if() {
            return Ok(None);
        }
        let why = match (self.orders.what_if(), self.orders.wants_stop()) {
            (Some(_), _) => REPLACED,
            (None, true) => STOPS,
            (None, false) => "cancelled",
        };
        Ok(Some(why.into()))
    }
}

impl Desk {
    /// Answers the what-if that waits, if it is its turn.
    ///
    /// # Errors
    /// When the run's files fail or memory is short.
    pub fn serve(&mut self, context: &mut Context<'_>, trainer: &Trainer<'_>) -> Result<()> {
        let Some(Request { command: Command::WhatIf { rules, documents, samples, share }, .. }) =
            context.orders.what_if().cloned()
        else {
            if !context.orders.is_paused() {
                self.answers.rest();
            }
            return Ok(());
        };
        let Some(pruner) = trainer.pruner.as_ref() else { return Ok(()) };
        let question = Question { rules, documents: 0..documents, samples };
        let subject = Subject {
            recipe: context.recipe,
            task: context.task,
            set: &trainer.set,
            pruner,
            step: context.position.step,
        };
        let checked = super::super::check_rules(&question.rules, context.recipe, context.matrices)
            .and_then(|()| self.answers.known(&subject, &question));
        let waits = !context.orders.is_paused() && self.free.is_some_and(|free| Instant::now() < free);
        if waits && matches!(checked, Ok(None)) {
            return Ok(());
        }
        let Some(request) = context.orders.take_what_if() else { return Ok(()) };
        let clock = Instant::now();
        let (session, orders) = (&mut *context.session, &mut *context.orders);
        let mut customer = Customer { session, orders, request: &request, broken: false };
        let found = match checked {
            Err(error) => Err(error),
            Ok(Some(known)) => Ok(known),
            Ok(None) => self.answers.answer(&subject, &question, &mut customer),
        };
        let found = match found {
            Ok(found) => found,
            Err(error) if customer.broken => return Err(error),
            // Want of memory, say: the training goes on.
            Err(error) => {
                self.answers.rest();
                let (step, rules, text) = (subject.step, question.rules, error.to_string());
                WhatIf { state: Progress::Failed, step, rules, text, ..WhatIf::default() }
            }
        };
        customer.news(&found)?;
        context.session.answer(&request, found.state == Progress::Done, &found.line())?;
        if !context.orders.is_paused() {
            self.answers.rest();
            let rest = clock.elapsed().as_secs_f64() * (1.0 / share.clamp(0.01, 1.0) - 1.0);
            self.free = Some(Instant::now() + Duration::from_secs_f64(rest));
        }
        Ok(())
    }
}
