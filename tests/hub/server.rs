//! A hub for tests, on loopback: it speaks the Hugging Face hub's HTTP API on one port and serves LFS files from
//! another, as the real one does from its CDN. What can go wrong on the way comes on order (see [`Fault`]).
//!
//! `#[path = "hub/server.rs"] mod hub;` and then
//! `let hub = Hub::start(); hub.add(Repository::model("lab/tiny").file("config.json", "{}"));`
//! The server stops when the `Hub` is dropped; it may be used from plain and from async tests.
#![allow(dead_code, unused_imports, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod answer;
mod asking;
mod clock;
mod content;
mod fault;
mod front;
mod listing;
mod repository;
mod resolve;
mod route;
mod samples;
mod store;
mod tree;
mod upload;
mod weights;

pub use asking::Origin;
pub use clock::iso;
pub use content::sha256_of;
pub use content::{File, hex};
pub use fault::Fault;
pub use repository::{Gate, Repository};
pub use samples::{demo, hostile, tensors};
pub use store::{READ, WRITE};

use answer::{Answer, Body};
use asking::Asking;
use fault::{Kind, Stage};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use sha2::{Digest, Sha256};
use std::io::{self, Write};
use std::net::TcpListener;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use store::Store;
use tokio::runtime::Runtime;

/// A request as the hub saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    pub origin: Origin,
    pub method: String,
    /// Path and query.
    pub target: String,
    pub range: Option<String>,
    /// Whether an Authorization header came; which one is nobody's business.
    pub token: bool,
    /// 0 as long as there is no answer.
    pub status: u16,
    /// Bytes of the answer's body that went out.
    pub sent: u64,
}

/// A line of the log while its answer is still on the way.
struct Entry {
    asked: Asked,
    sent: Arc<AtomicU64>,
}

struct Shared {
    store: Mutex<Store>,
    log: Mutex<Vec<Arc<Mutex<Entry>>>>,
    api: String,
    blobs: String,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub struct Hub {
    shared: Arc<Shared>,
    runtime: Option<Runtime>,
}

impl Hub {
    /// A hub with nothing in it, on two free ports of 127.0.0.1.
    pub fn start() -> Self {
        Self::on(0).unwrap()
    }

    /// As [`Self::start`], its API on `port`.
    pub fn on(port: u16) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let listen = |port: u16| -> io::Result<(tokio::net::TcpListener, String)> {
            let listener = TcpListener::bind(("127.0.0.1", port))?;
            listener.set_nonblocking(true)?;
            let url = format!("http://{}", listener.local_addr()?);
            let _inside = runtime.enter();
            Ok((tokio::net::TcpListener::from_std(listener)?, url))
        };
        let ((api_listener, api), (blob_listener, blobs)) = (listen(port)?, listen(0)?);
        let shared = Arc::new(Shared { store: Mutex::new(Store::new()), log: Mutex::new(Vec::new()), api, blobs });
        runtime.spawn(accept(Origin::Api, api_listener, Arc::clone(&shared)));
        runtime.spawn(accept(Origin::Blobs, blob_listener, Arc::clone(&shared)));
        Ok(Self { shared, runtime: Some(runtime) })
    }

    /// For `HF_ENDPOINT`: `http://127.0.0.1:1234`.
    pub fn url(&self) -> &str {
        &self.shared.api
    }

    /// The second origin, where LFS files come from.
    pub fn blobs(&self) -> &str {
        &self.shared.blobs
    }

    /// LFS files come from another server, at `url`, from now on.
    pub fn blobs_from(&self, url: &str) {
        locked(&self.shared.store).elsewhere = Some(url.to_owned());
    }

    /// Takes in a repository, or a new commit of one it has: older revisions stay readable.
    pub fn add(&self, repository: Repository) {
        locked(&self.shared.store).add("main", repository);
    }

    /// A commit on another branch (`refs/pr/1`).
    pub fn add_to(&self, branch: &str, repository: Repository) {
        locked(&self.shared.store).add(branch, repository);
    }

    /// `count` small models, `many/model-00000` and so on; downloads fall, likes rise.
    pub fn many(&self, count: usize) {
        let mut store = locked(&self.shared.store);
        samples::many(count).for_each(|repository| {
            store.add("main", repository);
        });
    }

    /// From now on this goes wrong, together with what was ordered before.
    pub fn fault(&self, fault: Fault) {
        locked(&self.shared.store).faults.push(fault);
    }

    /// Nothing goes wrong any more.
    pub fn calm(&self) {
        locked(&self.shared.store).faults.clear();
    }

    /// Lists have at most `entries` on a page (1000 by default).
    pub fn page(&self, entries: usize) {
        locked(&self.shared.store).page = entries.max(1);
    }

    /// Plain files come by way of a 307 to a relative URL, as huggingface.co has it.
    pub fn relative(&self, yes: bool) {
        locked(&self.shared.store).relative = yes;
    }

    /// LFS objects above `bytes` are uploaded in parts of that size.
    pub fn parts(&self, bytes: u64) {
        locked(&self.shared.store).part = Some(bytes.max(1));
    }

    /// Binary files are taken in the commit itself, which huggingface.co refuses: for hf-hub, which sends them there
    /// where a hub offers no Xet.
    pub fn binaries(&self, yes: bool) {
        locked(&self.shared.store).binaries = yes;
    }

    /// Requests so far, in the order in which they came.
    pub fn log(&self) -> Vec<Asked> {
        let entries = locked(&self.shared.log);
        let asked = |entry: &Arc<Mutex<Entry>>| {
            let entry = locked(entry);
            Asked { sent: entry.sent.load(Ordering::Relaxed), ..entry.asked.clone() }
        };
        entries.iter().map(asked).collect()
    }

    /// Empties the log.
    pub fn forget(&self) {
        locked(&self.shared.log).clear();
    }

    /// What `main` holds now, uploads too.
    pub fn repository(&self, id: &str) -> Option<Repository> {
        Some(locked(&self.shared.store).repositories.get(id)?.main().snapshot.clone())
    }

    /// The commit that a branch, a tag or a sha stands for.
    pub fn sha(&self, id: &str, revision: &str) -> Option<String> {
        Some(locked(&self.shared.store).repositories.get(id)?.revision(revision)?.sha.clone())
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        // Dropping a runtime waits, which async tests may not; connections that hang end here.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn accept(origin: Origin, listener: tokio::net::TcpListener, shared: Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept().await {
        let _ = stream.set_nodelay(true);
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            let service = service_fn(move |request| serve(origin, request, Arc::clone(&shared)));
            // A connection that a fault or the client ended is no error of the hub's.
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn serve(origin: Origin, request: Request<Incoming>, shared: Arc<Shared>) -> io::Result<Response<Body>> {
    let (parts, incoming) = request.into_parts();
    let asking = Asking::new(origin, &parts, &shared.api, &shared.blobs);
    let sent = Arc::new(AtomicU64::new(0));
    let entry = Arc::new(Mutex::new(Entry {
        asked: Asked {
            origin,
            method: asking.method.clone(),
            target: asking.target.clone(),
            range: asking.header("range").map(str::to_owned),
            token: asking.headers.contains_key("authorization"),
            status: 0,
            sent: 0,
        },
        sent: Arc::clone(&sent),
    }));
    locked(&shared.log).push(Arc::clone(&entry));
    let faults = locked(&shared.store).strike(&asking, &Stage::Before);
    let mut cut = None;
    for (fault, _) in &faults {
        match fault {
            Kind::Delay(pause) => tokio::time::sleep(*pause).await,
            Kind::Silence => std::future::pending().await,
            Kind::Cut(bytes) => cut = Some(*bytes),
            _ => {}
        }
    }
    let instead = faults.iter().find_map(|(fault, _)| fault.instead(&asking.target));
    let mut answer = match instead {
        // Who sends a body wants to see it taken before it reads the answer.
        Some(answer) => incoming.collect().await.map(|_| answer).map_err(io::Error::other)?,
        None if cut.is_some() => {
            let _ = taken(incoming, &mut io::sink(), cut).await;
            return Err(io::Error::other("cut"));
        }
        None if origin == Origin::Blobs && asking.method == "PUT" => put(&asking, incoming, &shared).await?,
        None => {
            let mut body = Vec::new();
            taken(incoming, &mut body, None).await?;
            route::answer(&mut locked(&shared.store), &asking, &body)
        }
    };
    let faults = locked(&shared.store).strike(&asking, &Stage::After(&answer));
    faults.iter().for_each(|(fault, hit)| fault.spoil(&mut answer, *hit));
    locked(&entry).asked.status = answer.status;
    Ok(answer.into_response(asking.method == "HEAD", sent))
}

/// Writes a request's body on, at most `most` bytes of it, and returns its sha256.
async fn taken(mut body: Incoming, to: &mut impl Write, most: Option<u64>) -> io::Result<String> {
    let (mut hash, mut count) = (Sha256::new(), 0);
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame.map_err(io::Error::other)?.into_data() {
            count += data.len() as u64;
            hash.update(&data);
            to.write_all(&data)?;
        }
        if most.is_some_and(|most| count >= most) {
            break;
        }
    }
    Ok(content::hex(hash.finalize()))
}

async fn put(asking: &Asking, body: Incoming, shared: &Shared) -> io::Result<Answer> {
    if asking.path.first().is_none_or(|first| first != "upload") {
        return Ok(Answer::new(403, "application/xml", "<Error><Code>AccessDenied</Code></Error>"));
    }
    let path = locked(&shared.store).upload();
    let sha256 = taken(body, &mut std::fs::File::create(&path)?, None).await?;
    let answer = upload::put(&mut locked(&shared.store), &asking.path[1..], &path, &sha256);
    Ok(answer.unwrap_or_else(|refusal| refusal))
}
