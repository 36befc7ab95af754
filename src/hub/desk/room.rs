//! The work behind the desk: one task a kind of request.

use super::{Answer, Ask, Refusal};
use crate::Result;
use crate::hub::client::Client;
use crate::hub::details::{self, Details};
use crate::hub::download::{self, Board, Line, Plan, Standing, State};
use crate::hub::environment::Environment;
use crate::hub::outline::Outlines;
use crate::hub::reference::Reference;
use crate::hub::search::Query;
use crate::hub::{adapters, supply};
use crate::{Error, text::printable};
use futures::StreamExt;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

/// While somebody types, a search begins so long after the last key; the first key is answered at once.
const TYPING: Duration = Duration::from_millis(70);
/// While the cursor moves, details are asked for so long after the last move; those of the first at once.
const MOVING: Duration = Duration::from_millis(150);
/// Headers that are asked for at the same time.
const AT_ONCE: usize = 6;
/// How often the standing of a fetch is told.
const TICK: Duration = Duration::from_millis(250);
/// Pages without a single result that are gone through for one wish.
const EMPTY: usize = 20;

type Tell = Arc<dyn Fn(Answer) + Send + Sync>;
type Read = Box<dyn Fn() -> Result<Environment> + Send>;

/// A search and where its next results are.
#[derive(Debug, Clone)]
struct Search {
    ticket: u64,
    query: Query,
    next: Option<reqwest::Url>,
}

/// A task that ends when its place is taken.
#[derive(Default)]
struct Task(Option<JoinHandle<()>>);

impl Task {
    fn set(&mut self, work: impl Future<Output = ()> + 'static) {
        self.end();
        self.0 = Some(tokio::task::spawn_local(work));
    }

    fn end(&mut self) {
        if let Some(task) = self.0.take() {
            task.abort();
        }
    }
}

/// What keeps wishes that come in a hurry from all being made.
struct Rest {
    pause: Duration,
    last: Option<Instant>,
}

impl Rest {
    const fn new(pause: Duration) -> Self {
        Self { pause, last: None }
    }

    /// So long the wish of `now` has to wait for a newer one to take its place: not at all after some quiet.
    fn before(&mut self, now: Instant) -> Duration {
        let last = self.last.replace(now);
        if last.is_none_or(|last| now.duration_since(last) >= self.pause) { Duration::ZERO } else { self.pause }
    }
}

/// What the desk's thread has at hand.
pub(super) struct Room {
    environment: Read,
    tell: Tell,
    client: Option<Client>,
    outlines: Option<Arc<Outlines>>,
    /// The last search, once its first results are there.
    searched: Arc<Mutex<Option<Search>>>,
    base: Option<Reference>,
    typing: Rest,
    moving: Rest,
    search: Task,
    details: Task,
    adapters: Task,
    fits: Vec<Task>,
    weigh: Vec<Task>,
    fetch: Task,
}

impl Room {
    pub(super) fn new(environment: Read, tell: Tell) -> Self {
        Self {
            environment,
            tell,
            client: None,
            outlines: None,
            searched: Arc::default(),
            base: None,
            typing: Rest::new(TYPING),
            moving: Rest::new(MOVING),
            search: Task::default(),
            details: Task::default(),
            adapters: Task::default(),
            fits: Vec::new(),
            weigh: Vec::new(),
            fetch: Task::default(),
        }
    }

    /// The client of the environment as it is now: a user may have logged in meanwhile.
    fn client(&mut self) -> Result<Client> {
        let environment = (self.environment)()?;
        match &self.client {
            Some(client) if *client.environment() == environment => Ok(client.clone()),
            _ => {
                let client = Client::new(environment)?;
                self.client = Some(client.clone());
                Ok(client)
            }
        }
    }

    /// Client and stand-ins.
    fn both(&mut self) -> Result<(Client, Arc<Outlines>)> {
        let client = self.client()?;
        let outlines = match &self.outlines {
            Some(outlines) => Arc::clone(outlines),
            None => Arc::clone(self.outlines.insert(Arc::new(Outlines::new()?))),
        };
        Ok((client, outlines))
    }

    /// Begins what is asked for.
    pub(super) fn take(&mut self, ask: Ask) {
        match ask {
            Ask::Search { ticket, query } => {
                *self.searched.lock().unwrap_or_else(PoisonError::into_inner) = None;
                let pause = self.typing.before(Instant::now());
                self.begin_search(Search { ticket, query, next: None }, pause);
            }
            Ask::More(ticket) => {
                let last = self.searched.lock().unwrap_or_else(PoisonError::into_inner).clone();
                if let Some(search) = last.filter(|s| s.ticket == ticket && s.next.is_some()) {
                    self.begin_search(search, Duration::ZERO);
                }
            }
            Ask::Details { of, wanted, base } => {
                let tell = Arc::clone(&self.tell);
                // The cursor may be on its way to somewhere else.
                let pause = self.moving.before(Instant::now());
                match self.both() {
                    Err(e) => tell(Answer::Details(of, Box::new(Err(said(&e))))),
                    Ok((client, outlines)) => self.details.set(async move {
                        tokio::time::sleep(pause).await;
                        let details = if is_offline(&client) {
                            Err(Refusal::Offline)
                        } else {
                            let found = Details::of(&client, &outlines, &of, wanted, base.as_ref()).await;
                            found.map_err(|e| said(&e))
                        };
                        tell(Answer::Details(of, Box::new(details)));
                    }),
                }
            }
            Ask::Adapters { ticket, base } => {
                self.end_fits();
                let tell = Arc::clone(&self.tell);
                self.base = Some(base.clone());
                match self.client() {
                    Err(e) => tell(Answer::NoCandidates(ticket, said(&e))),
                    Ok(client) if is_offline(&client) => tell(Answer::NoCandidates(ticket, Refusal::Offline)),
                    Ok(client) => self.adapters.set(async move {
                        let found = adapters::of_base(&client, &base.id, &Query::default()).await;
                        tell(match found {
                            Ok(found) => Answer::Candidates(ticket, found),
                            Err(e) => Answer::NoCandidates(ticket, said(&e)),
                        });
                    }),
                }
            }
            Ask::Fits { ticket, of } => self.begin_fits(ticket, of),
            Ask::Weigh(of) => self.begin_weigh(of),
            Ask::Fetch(of) => {
                let tell = Arc::clone(&self.tell);
                match self.client() {
                    Err(e) => tell(Answer::Fetched(Err(said(&e)))),
                    Ok(client) => self.fetch.set(async move {
                        let done = fetch(&client, &of, &tell).await;
                        tell(Answer::Fetched(done.map_err(|e| said(&e))));
                    }),
                }
            }
            Ask::Cancel => self.fetch.end(),
            Ask::Leave => {
                self.search.end();
                self.details.end();
                self.adapters.end();
                self.end_fits();
            }
        }
    }

    fn begin_search(&mut self, search: Search, pause: Duration) {
        let (tell, searched) = (Arc::clone(&self.tell), Arc::clone(&self.searched));
        let ticket = search.ticket;
        let client = match self.client() {
            Ok(client) if is_offline(&client) => return tell(Answer::NoPage(ticket, Refusal::Offline)),
            Ok(client) => client,
            Err(e) => return tell(Answer::NoPage(ticket, said(&e))),
        };
        self.search.set(async move {
            tokio::time::sleep(pause).await;
            let mut next = search.next.clone();
            let mut hits = Vec::new();
            // What the hub cannot be asked for is sifted here: a page may be empty and not the last.
            for _ in 0..EMPTY {
                match client.search(&search.query, next.as_ref()).await {
                    Err(e) => return tell(Answer::NoPage(ticket, said(&e))),
                    Ok(page) => (hits, next) = (page.hits, page.next),
                }
                if next.is_none() || !hits.is_empty() {
                    break;
                }
            }
            let more = next.is_some();
            *searched.lock().unwrap_or_else(PoisonError::into_inner) = Some(Search { next, ..search });
            tell(Answer::Page { ticket, hits, more });
        });
    }

    fn begin_fits(&mut self, ticket: u64, of: Vec<Reference>) {
        let (Some(base), Ok((client, outlines))) = (self.base.clone(), self.both()) else { return };
        let tell = Arc::clone(&self.tell);
        let mut task = Task::default();
        task.set(async move {
            let folder = match details::base_folder(&client, &outlines, &base).await {
                Ok(folder) => folder,
                Err(e) => return tell(Answer::NoCandidates(ticket, said(&e))),
            };
            let one = |what: Reference| {
                let (client, outlines, folder) = (&client, &outlines, &folder);
                async move {
                    let fit = outlines.fit(client, &what, folder).await;
                    (what, fit)
                }
            };
            let mut work = futures::stream::iter(of.into_iter().map(one)).buffer_unordered(AT_ONCE);
            while let Some((what, fit)) = work.next().await {
                tell(Answer::Fit(ticket, what, fit));
            }
        });
        self.fits.retain(|task| task.0.as_ref().is_some_and(|t| !t.is_finished()));
        self.fits.push(task);
    }

    fn begin_weigh(&mut self, of: Vec<Reference>) {
        let tell = Arc::clone(&self.tell);
        let (client, outlines) = match self.both() {
            Ok((client, _)) if is_offline(&client) => {
                return of.into_iter().for_each(|what| tell(Answer::Weighed(what, Err(Refusal::Offline))));
            }
            Ok(both) => both,
            Err(e) => return of.into_iter().for_each(|what| tell(Answer::Weighed(what, Err(said(&e))))),
        };
        let mut task = Task::default();
        task.set(async move {
            for what in of {
                let weight = details::weigh(&client, &outlines, &what).await;
                tell(Answer::Weighed(what, weight.map_err(|e| said(&e))));
            }
        });
        self.weigh.retain(|task| task.0.as_ref().is_some_and(|t| !t.is_finished()));
        self.weigh.push(task);
    }

    fn end_fits(&mut self) {
        self.fits.drain(..).for_each(|mut task| task.end());
    }

    /// Ends everything.
    pub(super) fn leave(&mut self) {
        self.take(Ask::Leave);
        self.fetch.end();
        self.weigh.drain(..).for_each(|mut task| task.end());
    }

    /// Says why nothing can be done.
    pub(super) fn closed(&self, why: &str) {
        (self.tell)(Answer::Fetched(Err(Refusal::Said(why.to_owned()))));
    }
}

fn is_offline(client: &Client) -> bool {
    client.environment().offline
}

fn said(error: &Error) -> Refusal {
    Refusal::Said(printable(&error.to_string()).into_owned())
}

/// Fetches all, one repository after the other, telling how far it is.
async fn fetch(client: &Client, of: &[Reference], tell: &Tell) -> Result<u64> {
    tell(Answer::Fetching(Standing::default()));
    let mut plans = Vec::new();
    for what in of {
        let folder = what.folder(&client.environment().cache);
        if !(what.is_pinned() && supply::is_whole(&folder)) {
            plans.push(download::plan(client, what, None).await?);
        }
    }
    let boards: Vec<Board> = plans.iter().map(|_| Board::default()).collect();
    let work = async {
        for (plan, board) in plans.iter().zip(&boards) {
            download::fetch(client, plan, board).await?;
        }
        Ok(())
    };
    let mut work = std::pin::pin!(work);
    loop {
        let ended = tokio::time::timeout(TICK, &mut work).await;
        tell(Answer::Fetching(standing(&plans, &boards)));
        if let Ok(ended) = ended {
            return ended.map(|()| boards.iter().map(Board::arrived).sum());
        }
    }
}

/// All downloads as one.
fn standing(plans: &[Plan], boards: &[Board]) -> Standing {
    let mut all = Standing::default();
    for (plan, board) in plans.iter().zip(boards) {
        let one = board.standing();
        all.rate += one.rate;
        all.done += one.done;
        let begun = !one.lines.is_empty();
        let waiting = plan.files.iter().map(|f| Line {
            path: printable(&f.path).into_owned(),
            size: f.size,
            done: 0,
            state: State::Waiting,
        });
        let lines: Vec<Line> = if begun { one.lines } else { waiting.collect() };
        all.total += lines.iter().map(|l| l.size).sum::<u64>();
        all.lines.extend(lines.into_iter().map(|l| Line { path: format!("{}/{}", plan.id, l.path), ..l }));
    }
    all.left = (all.rate > 0.0).then(|| all.total.saturating_sub(all.done) as f64 / all.rate);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_wish_after_some_quiet_is_not_held_up_and_those_in_a_hurry_are() {
        let mut rest = Rest::new(Duration::from_millis(70));
        let start = Instant::now();
        let pauses = [0, 40, 80, 149, 219, 1000].map(|ms| rest.before(start + Duration::from_millis(ms)).as_millis());
        assert_eq!(pauses, [0, 70, 70, 70, 0, 0]);
    }
}
