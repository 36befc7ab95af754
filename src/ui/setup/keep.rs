//! Keeps what is not saved in a copy, on a thread of its own: it is there whenever the process ends, whatever ends it.

use super::super::threads::thread;
use super::unsaved::{self, Copy};
use crate::Result;
use crate::app::setup::{Kept, Message};
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The first change is written at once, those that follow so far apart.
const PAUSE: Duration = Duration::from_millis(500);

enum Wish {
    Keep(Kept),
    Adopt(PathBuf),
    Forget(PathBuf),
    /// Nothing is to be kept any more.
    Remove,
}

/// Hands over what is to be kept; waits, when dropped, until it is written.
#[derive(Debug)]
pub(super) struct Keeper {
    to: Sender<Message>,
    /// The last wish, so that only news are wished for.
    last: Option<Kept>,
    /// Begun with the first wish.
    thread: Option<(Sender<Wish>, JoinHandle<()>)>,
}

impl Keeper {
    /// Says to `to` what goes wrong.
    pub(super) fn new(to: Sender<Message>) -> Self {
        Self { to, last: None, thread: None }
    }

    /// What there is to keep now.
    pub(super) fn keep(&mut self, kept: Option<Kept>) -> Result<()> {
        if kept == self.last {
            return Ok(());
        }
        self.last.clone_from(&kept);
        self.wish(kept.map_or(Wish::Remove, Wish::Keep))
    }

    /// What was left in this copy is ours now.
    pub(super) fn adopt(&mut self, copy: PathBuf) -> Result<()> {
        self.wish(Wish::Adopt(copy))
    }

    /// Takes away a copy that was left.
    pub(super) fn forget(&mut self, copy: PathBuf) -> Result<()> {
        self.wish(Wish::Forget(copy))
    }

    fn wish(&mut self, wish: Wish) -> Result<()> {
        if self.thread.is_none() {
            let (wishes, wished) = mpsc::channel();
            let writer = Writer { to: self.to.clone(), copy: None, warned: false };
            self.thread = Some((wishes, thread("keep", move || writer.serve(&wished))?));
        }
        if let Some((wishes, _)) = &self.thread {
            wishes.send(wish).ok();
        }
        Ok(())
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        if let Some((wishes, thread)) = self.thread.take() {
            drop(wishes);
            thread.join().ok();
        }
    }
}

/// Does it.
struct Writer {
    to: Sender<Message>,
    copy: Option<Copy>,
    /// Whether it was said that nothing can be kept.
    warned: bool,
}

impl Writer {
    fn serve(mut self, wished: &Receiver<Wish>) {
        let mut next: Option<Kept> = None;
        let mut written: Option<Instant> = None;
        loop {
            let wish = match &next {
                None => wished.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(_) => wished.recv_timeout(written.map_or(Duration::ZERO, |at| PAUSE.saturating_sub(at.elapsed()))),
            };
            match wish {
                Ok(Wish::Keep(kept)) => next = Some(kept),
                Ok(Wish::Adopt(copy)) => {
                    // Where another form was faster, the next change finds a place of its own.
                    if let Some(copy) = Copy::adopt(&copy) {
                        self.copy.replace(copy).into_iter().for_each(Copy::remove);
                    }
                }
                Ok(Wish::Forget(copy)) => unsaved::forget(&copy),
                Ok(Wish::Remove) => {
                    next = None;
                    self.copy.take().into_iter().for_each(Copy::remove);
                }
                Err(ended) => {
                    if let Some(kept) = next.take() {
                        self.write(&kept);
                        written = Some(Instant::now());
                    }
                    if ended == RecvTimeoutError::Disconnected {
                        return;
                    }
                }
            }
        }
    }

    fn write(&mut self, kept: &Kept) {
        match Copy::keep(&mut self.copy, kept) {
            Ok(()) => self.warned = false,
            Err(_) if self.warned => {}
            Err(e) => {
                self.warned = true;
                self.to.send(Message::Toast(format!("no copy is kept of changes that are not saved: {e}"))).ok();
            }
        }
    }
}
