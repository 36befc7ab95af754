//! What the hub answers: status, headers, and a body that is sent piece by piece.

use super::content::Content;
use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, StreamBody};
use hyper::body::Frame;
use hyper::header::{HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use serde_json::{Value, json};
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

pub type Body = UnsyncBoxBody<Bytes, io::Error>;

/// Bytes that are read from disk and sent at a time.
const PIECE: usize = 512 << 10;
/// How long the last bytes before a cut have to leave the machine.
const FLUSH: Duration = Duration::from_millis(100);

pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub content: Content,
    /// The part of `content` that is sent.
    pub part: Range<u64>,
    pub manner: Box<Manner>,
}

/// How a body is sent. All of it, at once, as it is: the default.
#[derive(Clone, Debug, Default)]
pub struct Manner {
    /// What Content-Length says, where that is not the truth.
    pub claim: Option<u64>,
    /// The connection ends after so many bytes.
    pub cut: Option<u64>,
    /// So many bytes at a time, with a pause after each.
    pub drip: Option<(usize, Duration)>,
    /// One byte is another.
    pub wrong: bool,
}

impl Answer {
    pub fn new(status: u16, content_type: &str, body: impl Into<Bytes>) -> Self {
        let body = body.into();
        Self {
            status,
            headers: vec![("Content-Type".into(), content_type.into())],
            part: 0..body.len() as u64,
            content: Content::Memory(body),
            manner: Box::default(),
        }
    }

    pub fn json(value: &Value) -> Self {
        Self::new(200, "application/json; charset=utf-8", value.to_string())
    }

    pub fn error(status: u16, code: Option<&str>, message: &str) -> Self {
        let body = json!({"error": message}).to_string();
        let mut answer = Self::new(status, "application/json; charset=utf-8", body).header("X-Error-Message", message);
        if let Some(code) = code {
            answer = answer.header("X-Error-Code", code);
        }
        answer
    }

    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Puts `value` where the header is, or adds it.
    pub fn set(&mut self, name: &str, value: String) {
        self.headers.retain(|(n, _)| !n.eq_ignore_ascii_case(name));
        self.headers.push((name.into(), value));
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The answer for the wire; `sent` counts the body's bytes as they go.
    pub fn into_response(self, head: bool, sent: Arc<AtomicU64>) -> Response<Body> {
        let length = self.manner.claim.unwrap_or(self.part.end - self.part.start);
        let mut response = Response::new(Body::default());
        *response.status_mut() = StatusCode::from_u16(self.status).unwrap();
        for (name, value) in &self.headers {
            // Names from outside may hold what no header may.
            let clean: Vec<u8> = value.bytes().filter(|b| *b >= b' ' && *b != 0x7f).collect();
            let value = HeaderValue::from_bytes(&clean).unwrap();
            response.headers_mut().append(HeaderName::from_bytes(name.as_bytes()).unwrap(), value);
        }
        if self.status != 304 && self.status != 204 && !response.headers().contains_key("content-length") {
            response.headers_mut().insert("content-length", HeaderValue::from(length));
        }
        *response.body_mut() = if head || self.status == 304 || self.status == 204 {
            Empty::new().map_err(|never| match never {}).boxed_unsync()
        } else {
            body(self.content, self.part, *self.manner, sent)
        };
        response
    }
}

fn body(content: Content, part: Range<u64>, manner: Manner, sent: Arc<AtomicU64>) -> Body {
    let end = manner.cut.map_or(part.end, |cut| part.end.min(part.start + cut));
    let piece = manner.drip.map_or(PIECE, |(bytes, _)| bytes.max(1));
    // One byte before the last: every header and magic number stays what it was.
    let wrong = manner.wrong.then(|| part.end.saturating_sub(2).max(part.start));
    let start = part.start;
    let stream = futures::stream::unfold(Some(start), move |at| {
        let (content, sent, manner) = (content.clone(), Arc::clone(&sent), manner.clone());
        async move {
            let at = at?;
            if at >= end {
                manner.cut?;
                tokio::time::sleep(FLUSH).await;
                return Some((Err(io::Error::other("cut")), None));
            }
            if let (Some((_, pause)), true) = (manner.drip, at > start) {
                tokio::time::sleep(pause).await;
            }
            let len = piece.min((end - at) as usize);
            let read = match &content {
                Content::Memory(_) => content.read(at, len),
                Content::Disk(_) => tokio::task::spawn_blocking(move || content.read(at, len)).await.unwrap(),
            };
            match read {
                Ok(bytes) if bytes.is_empty() => Some((Err(io::ErrorKind::UnexpectedEof.into()), None)),
                Ok(mut bytes) => {
                    let next = at + bytes.len() as u64;
                    if let Some(place) = wrong.filter(|w| (at..next).contains(w)) {
                        let mut changed = bytes.to_vec();
                        changed[(place - at) as usize] ^= 0x55;
                        bytes = changed.into();
                    }
                    sent.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                    Some((Ok(Frame::data(bytes)), Some(next)))
                }
                Err(error) => Some((Err(error), None)),
            }
        }
    });
    StreamBody::new(stream).boxed_unsync()
}
