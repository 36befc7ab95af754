//! A desk for the hub: requests in, answers out, each as it comes. It has a thread of its own, so that nobody who asks
//! waits, and ends with its owner.

mod room;

use super::adapters::Candidate;
use super::choice::Kind;
use super::details::{Details, Weight};
use super::download::Standing;
use super::environment::Environment;
use super::outline::Fit;
use super::reference::Reference;
use super::search::{Hit, Query};
use crate::{Error, Result};
use room::Room;
use std::sync::mpsc;
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};

/// What is still under way gets so long when the desk closes.
const END: Duration = Duration::from_millis(500);
/// The owner waits so long for the thread; after that it is left to itself.
const PATIENCE: Duration = Duration::from_millis(800);

/// A request. A newer one of the same kind takes the place of the older, of which nothing is heard any more.
#[derive(Debug, Clone, PartialEq)]
pub enum Ask {
    /// The first results.
    Search {
        /// Comes back with the results.
        ticket: u64,
        /// What is looked for.
        query: Query,
    },
    /// The results behind those of the search with this ticket.
    More(u64),
    /// What there is to know of a repository.
    Details {
        /// Which.
        of: Reference,
        /// What it is to be.
        wanted: Kind,
        /// What an adapter is held against.
        base: Option<Reference>,
    },
    /// The adapters of a base.
    Adapters {
        /// Comes back with them.
        ticket: u64,
        /// The base.
        base: Reference,
    },
    /// Whether these adapters fit the base that was asked for last. They add up until another base is asked for.
    Fits {
        /// Comes back with each.
        ticket: u64,
        /// The adapters.
        of: Vec<Reference>,
    },
    /// What is to be fetched of these.
    Weigh(Vec<Reference>),
    /// Fetch these.
    Fetch(Vec<Reference>),
    /// End the fetch; what has come stays.
    Cancel,
    /// Nobody looks for anything any more: search, details and adapters end.
    Leave,
}

/// An answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// Results, and whether there are more.
    Page {
        /// Of the search.
        ticket: u64,
        /// In the order asked for.
        hits: Vec<Hit>,
        /// Whether there are more.
        more: bool,
    },
    /// No results.
    NoPage(u64, Refusal),
    /// The adapters of a base.
    Candidates(u64, Vec<Candidate>),
    /// Whether an adapter fits.
    Fit(u64, Reference, Fit),
    /// No adapters, and why.
    NoCandidates(u64, Refusal),
    /// What there is to know of a repository.
    Details(Reference, Box<Result<Details, Refusal>>),
    /// What is to be fetched of a repository.
    Weighed(Reference, Result<Weight, Refusal>),
    /// How far the fetch is.
    Fetching(Standing),
    /// The fetch is over: bytes that came, or the sentence.
    Fetched(Result<u64, Refusal>),
}

/// Why there is nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// `HF_HUB_OFFLINE`.
    Offline,
    /// A sentence, safe to show.
    Said(String),
}

impl Refusal {
    /// As a sentence.
    pub fn sentence(&self) -> &str {
        match self {
            Self::Offline => "offline: only what is here",
            Self::Said(sentence) => sentence,
        }
    }
}

/// The desk; it closes when it is dropped, within a second.
#[derive(Debug)]
pub struct Desk {
    asks: Option<UnboundedSender<Ask>>,
    ended: mpsc::Receiver<()>,
}

impl Desk {
    /// Opens a desk: `environment` is read anew for each request, `tell` gets the answers, on the desk's thread.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub fn open(
        environment: impl Fn() -> Result<Environment> + Send + 'static,
        tell: impl Fn(Answer) + Send + Sync + 'static,
    ) -> Result<Self> {
        let (asks, asked) = tokio::sync::mpsc::unbounded_channel();
        let (end, ended) = mpsc::channel();
        let work = move || {
            serve(asked, Room::new(Box::new(environment), std::sync::Arc::new(tell)));
            end.send(()).ok();
        };
        let thread = std::thread::Builder::new().name("hub".into()).spawn(work);
        thread.map_err(|e| Error::fault(format!("no thread could be started: {e}")))?;
        Ok(Self { asks: Some(asks), ended })
    }

    /// Asks for something.
    pub fn ask(&self, ask: Ask) {
        if let Some(asks) = &self.asks {
            asks.send(ask).ok();
        }
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.asks = None;
        self.ended.recv_timeout(PATIENCE).ok();
    }
}

fn serve(mut asked: UnboundedReceiver<Ask>, mut room: Room) {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        return room.closed("no task can be started: the system has no room for one");
    };
    let tasks = tokio::task::LocalSet::new();
    tasks.block_on(&runtime, async {
        while let Some(ask) = asked.recv().await {
            room.take(ask);
        }
        room.leave();
    });
    drop((room, tasks));
    // A name that is looked up, or a file that is written, may not hold up the end.
    runtime.shutdown_timeout(END);
}
