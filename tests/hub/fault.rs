//! What can go wrong between client and hub, on order: for some requests, some times.

use super::answer::Answer;
use bytes::Bytes;
use sha2::{Digest, Sha256};
use std::time::Duration;

/// A fault with its filter. Without one it hits every request it can be done to, and hits forever:
/// `Fault::status(503).on("GET", "/resolve/").times(2)`.
#[derive(Clone, Debug)]
pub struct Fault {
    kind: Kind,
    method: Option<String>,
    path: String,
    after: usize,
    times: Option<usize>,
    hits: u64,
}

/// Before the hub looks at a request, or with its answer ready.
pub enum Stage<'a> {
    Before,
    After(&'a Answer),
}

#[derive(Clone, Debug)]
pub enum Kind {
    Status { status: u16, body: Option<Bytes>, headers: Vec<(String, String)> },
    Cut(u64),
    Drip(usize, Duration),
    Longer(u64),
    Shorter(u64),
    Claim(u64),
    WrongBytes,
    RedirectLoop,
    Delay(Duration),
    Silence,
    NoRange,
    ChangingEtag,
}

impl Fault {
    fn of(kind: Kind) -> Self {
        Self { kind, method: None, path: String::new(), after: 0, times: None, hits: 0 }
    }

    /// This status, with the hub's own kind of body unless [`Self::body`] gives another.
    pub fn status(status: u16) -> Self {
        Self::of(Kind::Status { status, body: None, headers: Vec::new() })
    }

    /// 403 with XML to GETs from the second origin only: the HEAD before them answers well.
    pub fn forbidden_blob() -> Self {
        let xml = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>AccessDenied</Code></Error>";
        Self::status(403).body(xml).header("Content-Type", "application/xml").on("GET", "/blobs/")
    }

    /// A sign-in page where JSON should be, as a hotel's network sends it.
    pub fn html() -> Self {
        let page = "<!DOCTYPE html><html><head><title>Sign in</title></head><body>Sign in</body></html>";
        Self::status(200).body(page).header("Content-Type", "text/html; charset=utf-8")
    }

    /// 429 as huggingface.co says it: `RateLimit` headers with the seconds to wait, no Retry-After.
    pub fn rate_limited(seconds: u64) -> Self {
        let state = format!("\"api\";r=0;t={seconds}");
        Self::status(429).header("RateLimit", &state).header("RateLimit-Policy", "\"fixed window\";\"api\";q=500;w=300")
    }

    /// The connection ends after `bytes` of the answer's body, or of the request's where it has one.
    pub fn cut(bytes: u64) -> Self {
        Self::of(Kind::Cut(bytes))
    }

    /// The body comes `bytes` at a time with `pause` between.
    pub fn drip(bytes: usize, pause: Duration) -> Self {
        Self::of(Kind::Drip(bytes, pause))
    }

    /// Content-Length says `by` bytes more than come before the connection ends.
    pub fn longer(by: u64) -> Self {
        Self::of(Kind::Longer(by))
    }

    /// Content-Length and body are `by` bytes short.
    pub fn shorter(by: u64) -> Self {
        Self::of(Kind::Shorter(by))
    }

    /// Content-Length (and X-Linked-Size) say `bytes`; the body is what it is.
    pub fn claim(bytes: u64) -> Self {
        Self::of(Kind::Claim(bytes))
    }

    /// One byte of the body is another, its length is right.
    pub fn wrong_bytes() -> Self {
        Self::of(Kind::WrongBytes)
    }

    /// 302 to the same URL.
    pub fn redirect_loop() -> Self {
        Self::of(Kind::RedirectLoop)
    }

    /// The answer comes after `pause`.
    pub fn delay(pause: Duration) -> Self {
        Self::of(Kind::Delay(pause))
    }

    /// The connection is taken, no answer ever comes.
    pub fn silence() -> Self {
        Self::of(Kind::Silence)
    }

    /// A Range is not looked at: 200 with the whole file.
    pub fn no_range() -> Self {
        Self::of(Kind::NoRange)
    }

    /// `ETag` and `X-Linked-ETag` are others with every request.
    pub fn changing_etag() -> Self {
        Self::of(Kind::ChangingEtag)
    }

    /// Body of a [`Self::status`].
    pub fn body(mut self, content: impl Into<Bytes>) -> Self {
        if let Kind::Status { body, .. } = &mut self.kind {
            *body = Some(content.into());
        }
        self
    }

    /// Header of a [`Self::status`]: `("Retry-After", "2")`.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        if let Kind::Status { headers, .. } = &mut self.kind {
            headers.push((name.into(), value.into()));
        }
        self
    }

    /// Only requests of this method whose path and query contain `path`. Those to the second origin begin with
    /// `/blobs/` (downloads) or `/upload/`; downloads name the file in their query. So `model.safetensors` fits both
    /// origins, `/resolve/` the first, `/blobs/` the second.
    pub fn on(mut self, method: &str, path: &str) -> Self {
        self.method = Some(method.into());
        self.path(path)
    }

    /// Only requests whose path and query contain `path`.
    pub fn path(mut self, path: &str) -> Self {
        self.path = path.into();
        self
    }

    /// Only the first `times` requests that it happens to.
    pub fn times(mut self, times: usize) -> Self {
        self.times = Some(times);
        self
    }

    /// The first `requests` it fits pass.
    pub fn after(mut self, requests: usize) -> Self {
        self.after = requests;
        self
    }

    /// What happens to this request at this stage, and its number among those it happened to.
    pub fn strike(&mut self, method: &str, target: &str, stage: &Stage) -> Option<(Kind, u64)> {
        let named = self.method.as_deref().is_none_or(|m| m == method) && target.contains(&self.path);
        let fits = named && self.kind.concerns(method, stage);
        if !fits || self.times == Some(0) {
            return None;
        }
        if self.after > 0 {
            self.after -= 1;
            return None;
        }
        self.times = self.times.map(|n| n - 1);
        self.hits += 1;
        Some((self.kind.clone(), self.hits))
    }
}

impl Kind {
    /// Faults of a body leave redirects alone: who follows one does not read it. That of a range needs one.
    fn concerns(&self, method: &str, stage: &Stage) -> bool {
        let upload = ["POST", "PUT"].contains(&method);
        match (self, stage) {
            (Self::Status { .. } | Self::RedirectLoop | Self::Delay(_) | Self::Silence, Stage::Before) => true,
            (Self::Cut(_), Stage::Before) => upload,
            (Self::Claim(_) | Self::ChangingEtag, Stage::After(_)) => true,
            (Self::Longer(_) | Self::Shorter(_), Stage::After(answer)) => !(300..400).contains(&answer.status),
            (Self::NoRange, Stage::After(answer)) => [206, 416].contains(&answer.status),
            (Self::Cut(_) | Self::Drip(..) | Self::WrongBytes, Stage::After(answer)) => {
                method != "HEAD" && !upload && !(300..400).contains(&answer.status)
            }
            _ => false,
        }
    }

    /// The answer in place of the hub's own.
    pub fn instead(&self, target: &str) -> Option<Answer> {
        match self {
            Self::Status { status, body, headers } => {
                let mut answer = match body {
                    Some(body) => Answer::new(*status, "text/plain; charset=utf-8", body.clone()),
                    None => Answer::error(*status, None, "Ordered by the test"),
                };
                headers.iter().for_each(|(name, value)| answer.set(name, value.clone()));
                Some(answer)
            }
            Self::RedirectLoop => Some(Answer::new(302, "text/plain", "Found").header("Location", target)),
            _ => None,
        }
    }

    /// What it makes of the hub's answer; `hit` is its number among those it was done to.
    pub fn spoil(&self, answer: &mut Answer, hit: u64) {
        let length = answer.part.end - answer.part.start;
        match self {
            Self::Cut(bytes) => answer.manner.cut = Some(*bytes),
            Self::Drip(bytes, pause) => answer.manner.drip = Some((*bytes, *pause)),
            Self::Longer(by) => answer.manner.claim = Some(length + by),
            Self::Shorter(by) => answer.part.end -= length.min(*by),
            Self::Claim(bytes) => {
                answer.manner.claim = Some(*bytes);
                if answer.get("X-Linked-Size").is_some() {
                    answer.set("X-Linked-Size", bytes.to_string());
                }
            }
            Self::WrongBytes => answer.manner.wrong = true,
            Self::NoRange => {
                answer.status = 200;
                answer.headers.retain(|(name, _)| name != "Content-Range");
                answer.part = 0..answer.content.size();
            }
            Self::ChangingEtag => {
                for name in ["ETag", "X-Linked-ETag"] {
                    if let Some(old) = answer.get(name) {
                        let other = super::content::hex(Sha256::digest(format!("{old}{hit}")));
                        let other = format!("\"{}\"", &other[..old.trim_matches('"').len().min(64)]);
                        answer.set(name, other);
                    }
                }
            }
            _ => {}
        }
        // A body that is shorter than promised ends the connection.
        if matches!(answer.manner.claim, Some(claim) if claim > length) && answer.manner.cut.is_none() {
            answer.manner.cut = Some(length);
        }
    }
}
