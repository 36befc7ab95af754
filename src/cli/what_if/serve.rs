//! `lopper what-if RUN --serve`: what-ifs of a run without a worker, for a screen that watches it. Questions come in as
//! lines of JSON, the form of the control file; answers go out as lines of JSON, as far as they are known. A newer
//! question takes an older one's place; it ends with its input, or when nobody has asked for a while.

use crate::run::RunDir;
use crate::run::control::{Command, Request};
use crate::run::what_if::{Progress, WhatIf};
use crate::train::orders::REPLACED;
use crate::train::what_if::reopened::Reopened;
use crate::train::what_if::{Answers, Asker, Question};
use crate::{Error, Result};
use std::io::{BufRead, Read, Write};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, TryRecvError};
use std::time::Duration;

/// A model is not held longer than this for someone who does not ask.
const IDLE: Duration = Duration::from_secs(600);
/// No question is longer, bytes.
const LONGEST: u64 = 4 << 20;

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
            loop {
                let mut line = String::new();
                match input.by_ref().take(LONGEST).read_line(&mut line) {
                    Ok(1..) => {}
                    _ => return,
                }
                if let Ok(request) = serde_json::from_str::<Request>(&line)
                    && sender.send(request).is_err()
                {
                    return;
                }
            }
        })
        .map_err(|e| Error::fault(format!("no thread could be started: {e}")))?;
    let mut next: Option<Request> = None;
    let mut open: Option<Reopened> = None;
    let mut answers = Answers::default();
    loop {
        let request = match next.take().map_or_else(|| asked.recv_timeout(IDLE), Ok) {
            Ok(request) => request,
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return Ok(()),
        };
        let Command::WhatIf { rules, documents, samples, .. } = request.command else { continue };
        let question = Question { rules, documents: 0..documents, samples };
        let mut customer = Customer { asked: &asked, next: &mut next, id: &request.id };
        let found = answer(run, &mut open, &mut answers, &question, &mut customer);
        let found = found.unwrap_or_else(|e| WhatIf {
            state: Progress::Failed,
            rules: question.rules.clone(),
            text: e.to_string(),
            ..WhatIf::default()
        });
        customer.news(&found)?;
    }
}

/// The answer; the run is loaded for the first one.
fn answer(
    run: &RunDir,
    open: &mut Option<Reopened>,
    answers: &mut Answers,
    question: &Question,
    asker: &mut dyn Asker,
) -> Result<WhatIf> {
    let open = match open {
        Some(open) => open,
        None => open.insert(Reopened::load(run)?),
    };
    open.check(&question.rules)?;
    answers.answer(&open.subject(), question, asker)
}

/// The screen.
struct Customer<'a> {
    asked: &'a Receiver<Request>,
    next: &'a mut Option<Request>,
    id: &'a str,
}

impl Asker for Customer<'_> {
    fn news(&mut self, so_far: &WhatIf) -> Result<()> {
        let what_if = WhatIf { request: self.id.to_owned(), ..so_far.clone() };
        let mut line = serde_json::to_vec(&what_if).map_err(|e| Error::fault(e.to_string()))?;
        line.push(b'\n');
        let mut out = std::io::stdout().lock();
        out.write_all(&line).and_then(|()| out.flush()).map_err(|e| Error::user(format!("nobody listens: {e}")))
    }

    fn gives_up(&mut self) -> Result<Option<String>> {
        match self.asked.try_recv() {
            Ok(Request { command: Command::CancelWhatIf { request }, .. }) if request != self.id => Ok(None),
            Ok(Request { command: Command::CancelWhatIf { .. }, .. }) => Ok(Some("cancelled".into())),
            Ok(newer) => {
                *self.next = Some(newer);
                Ok(Some(REPLACED.into()))
            }
            Err(TryRecvError::Empty) => Ok(None),
            Err(TryRecvError::Disconnected) => Ok(Some("the screen was left".into())),
        }
    }
}
