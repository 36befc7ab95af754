//! What the hub refuses, as sentences: which page to visit, how to log in, how long to wait.

use super::environment::Environment;
use crate::Error;
use crate::text::printable;
use hf_hub::HFError;
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use std::time::{Duration, SystemTime};

/// A hub's message above this is cut.
const LONGEST: usize = 200;

/// Why a request came to nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The hub answered with an error.
    Status {
        /// The HTTP status.
        status: u16,
        /// `X-Error-Code`: `RepoNotFound`, `GatedRepo`, `RevisionNotFound`, `EntryNotFound`.
        code: String,
        /// What it said, safe to show.
        message: String,
        /// How long it asks to wait.
        wait: Option<Duration>,
    },
    /// No answer: the network, a name, a certificate. The reason, safe to show.
    Network(String),
    /// An answer that makes no sense: HTML in place of JSON, a length that is wrong. The reason, safe to show.
    Nonsense(String),
    /// Something on this machine.
    Local(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Local(error)
    }
}

impl Failure {
    /// Of an answer that is no success; `body` as far as it was read.
    pub fn of(status: StatusCode, headers: &HeaderMap, body: &str) -> Self {
        let said = |name: &str| headers.get(name).map(|v| String::from_utf8_lossy(v.as_bytes()).into_owned());
        let in_body =
            || serde_json::from_str::<serde_json::Value>(body).ok()?.get("error")?.as_str().map(str::to_owned);
        Self::Status {
            status: status.as_u16(),
            code: said("x-error-code").unwrap_or_default(),
            message: shown(&said("x-error-message").or_else(in_body).unwrap_or_default()),
            wait: waiting_time_of(headers),
        }
    }

    /// Of a request that was not answered.
    pub fn of_request(error: &reqwest::Error) -> Self {
        if error.is_decode() {
            return Self::Nonsense("the answer is not what the hub sends".into());
        }
        if error.is_redirect() {
            return Self::Nonsense("it sends from one address to the next without an end".into());
        }
        if error.is_timeout() {
            return Self::Network("no answer in time".into());
        }
        // The innermost reason says it best: "connection refused".
        let mut reason: &dyn std::error::Error = error;
        while let Some(inner) = reason.source() {
            reason = inner;
        }
        Self::Network(shown(&reason.to_string()))
    }

    /// Of what the `hf-hub` crate says.
    pub fn of_hub(error: &HFError) -> Self {
        use HFError as E;
        // The context's type has no public name.
        macro_rules! of_context {
            ($context:expr, $code:expr, $wait:expr) => {
                Self::Status {
                    status: $context.status.as_u16(),
                    code: $context.error_code.clone().unwrap_or_else(|| $code.to_owned()),
                    message: shown($context.server_message.as_deref().unwrap_or_default()),
                    wait: $wait,
                }
            };
        }
        let missing = |code: &str| Self::Status { status: 404, code: code.into(), message: String::new(), wait: None };
        match error {
            E::Http { context } | E::AuthRequired { context } | E::Forbidden { context } | E::Conflict { context } => {
                of_context!(context, "", None)
            }
            E::RateLimited { retry_after, context } => of_context!(context, "", *retry_after),
            E::RepoNotFound { context: Some(context), .. } => of_context!(context, "RepoNotFound", None),
            E::RevisionNotFound { context: Some(context), .. } => of_context!(context, "RevisionNotFound", None),
            E::EntryNotFound { context: Some(context), .. } => of_context!(context, "EntryNotFound", None),
            E::RepoNotFound { .. } => missing("RepoNotFound"),
            E::RevisionNotFound { .. } => missing("RevisionNotFound"),
            E::EntryNotFound { .. } => missing("EntryNotFound"),
            E::Request { source, .. } => Self::of_request(source),
            E::Json(_) => Self::Nonsense("the answer is not what the hub sends".into()),
            E::Io(e) => Self::Local(Error::fault(format!("the hub's client failed: {}", shown(&e.to_string())))),
            other => Self::Nonsense(shown(&other.to_string())),
        }
    }

    /// Whether the same request may go well a little later.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Status { status, .. } => matches!(status, 408 | 429 | 500 | 502 | 503 | 504),
            Self::Network(_) => true,
            Self::Nonsense(_) | Self::Local(_) => false,
        }
    }

    /// The sentence for the user. `what`: a repository, with `@REVISION` and `/FILE` where one was asked for.
    pub fn sentence(&self, what: &str, environment: &Environment) -> Error {
        let host = environment.shown_endpoint();
        let what = shortened(&printable(what));
        let id = repository_of(&what);
        let (status, code, message, wait) = match self {
            Self::Local(error) => return error.clone(),
            Self::Network(why) => {
                return Error::fault(format!("{what}: cannot reach {host}: {why}{}", advice(environment)));
            }
            Self::Nonsense(why) => return Error::fault(format!("{what}: {host} answers strangely: {why}")),
            Self::Status { status, code, message, wait } => (*status, code.as_str(), message.as_str(), wait),
        };
        let logged_in = environment.token.is_some();
        let log_in = "log in with `hf auth login` or set HF_TOKEN";
        match (status, code) {
            (_, "GatedRepo") if logged_in => Error::user(format!(
                "{what} is gated and your account has no access: ask for it at {host}/{id}{}",
                quoted(message)
            )),
            (_, "GatedRepo") => {
                Error::user(format!("{what} is gated: ask for access at {host}/{id}, then {log_in}{}", quoted(message)))
            }
            (404, "RevisionNotFound") => Error::user(format!("{what}: no such revision; {host}/{id}/refs lists them")),
            (404, "EntryNotFound") => Error::user(format!("{what}: no such file; {host}/{id}/tree lists them")),
            (401 | 404, "RepoNotFound" | "") if !logged_in => Error::user(format!(
                "{what}: there is no such repository at {host}, or it is private; if it is yours, {log_in}"
            )),
            (401, "RepoNotFound") | (404, _) => {
                Error::user(format!("{what}: there is no such repository at {host}, or your account may not see it"))
            }
            (401, _) => Error::user(format!(
                "{what}: {host} refuses the token{}; make a new one at {host}/settings/tokens and {log_in}",
                quoted(message)
            )),
            (403, _) => Error::user(format!("{what}: {host} forbids it{}; see {host}/{id}", quoted(message))),
            (409, _) => {
                Error::user(format!("{what}: {host} has it already or it changed meanwhile{}", quoted(message)))
            }
            (429, _) => {
                let time = wait.map_or(String::new(), |wait| format!(" for {} s", wait.as_secs().max(1)));
                Error::fault(format!("{what}: {host} asks to wait{time} (429, too many requests); try again then"))
            }
            (500.., _) => {
                Error::fault(format!("{what}: {host} has trouble ({status}){}; try again later", quoted(message)))
            }
            _ => Error::fault(format!("{what}: {host} answers {status}{}", quoted(message))),
        }
    }
}

/// With the beginning of a commit instead of the whole.
fn shortened(what: &str) -> String {
    match what.split_once('@') {
        Some((id, rest)) if rest.get(..40).is_some_and(super::reference::is_commit) => {
            format!("{id}@{}{}", &rest[..12], &rest[40..])
        }
        _ => what.to_owned(),
    }
}

/// `ORG/NAME` of `ORG/NAME@REVISION` or `ORG/NAME/FILE`.
fn repository_of(what: &str) -> String {
    let plain = what.split('@').next().unwrap_or_default();
    plain.split('/').take(2).collect::<Vec<_>>().join("/")
}

/// What to look at where nothing answers.
fn advice(environment: &Environment) -> &'static str {
    if environment.endpoint.contains("huggingface.co") {
        "; what is in the cache stays usable with HF_HUB_OFFLINE=1"
    } else {
        "; HF_ENDPOINT says where the hub is"
    }
}

fn quoted(message: &str) -> String {
    if message.is_empty() { String::new() } else { format!(" (\"{message}\")") }
}

/// Text of the hub or the network on one line, cut, without control characters.
pub(super) fn shown(text: &str) -> String {
    let text: String = text.trim().chars().take(LONGEST).collect();
    printable(&text).into_owned()
}

/// `Retry-After`, or the `t` of the hub's own `RateLimit: "api";r=0;t=55`.
fn waiting_time_of(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|v| v.to_str().ok());
    if let Some(asked) = text(RETRY_AFTER.as_str()) {
        return waiting_time(asked, SystemTime::now());
    }
    let limit = text("ratelimit").filter(|limit| limit.split(';').any(|part| part.trim() == "r=0"))?;
    let seconds = limit.split(';').find_map(|part| part.trim().strip_prefix("t="))?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// `Retry-After`: seconds or a date.
fn waiting_time(text: &str, now: SystemTime) -> Option<Duration> {
    if let Ok(seconds) = text.trim().parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let then = httpdate::parse_http_date(text).ok()?;
    Some(then.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn environment(token: bool) -> Environment {
        let home = std::path::Path::new("/nobody");
        Environment::of(|name| (token && name == "HF_TOKEN").then(|| "hf_secret".into()), Some(home)).unwrap()
    }

    fn said(status: u16, code: &str, token: bool) -> String {
        let failure = Failure::Status { status, code: code.into(), message: String::new(), wait: None };
        failure.sentence("a/b", &environment(token)).to_string()
    }

    #[test]
    fn a_gated_repository_names_its_page_and_the_login() {
        let anonymous = said(401, "GatedRepo", false);
        assert!(anonymous.contains("https://huggingface.co/a/b") && anonymous.contains("hf auth login"), "{anonymous}");
        let known = said(403, "GatedRepo", true);
        assert!(known.contains("https://huggingface.co/a/b") && !known.contains("hf auth login"), "{known}");
    }

    #[test]
    fn what_stands_before_the_host_is_never_told() {
        use std::ffi::OsString;
        let get = |name: &str| (name == "HF_ENDPOINT").then(|| OsString::from("https://me:hunter2@mirror.example"));
        let environment = Environment::of(get, Some(std::path::Path::new("/nobody"))).unwrap();
        let failure = Failure::Network("no route".into());
        let said = failure.sentence("a/b", &environment).to_string();
        assert!(said.contains("cannot reach https://mirror.example: ") && !said.contains("hunter2"), "{said}");
    }

    #[test]
    fn a_missing_repository_is_told_from_a_bad_token() {
        assert!(said(401, "RepoNotFound", false).contains("or it is private"));
        assert!(said(404, "RepoNotFound", true).contains("your account may not see it"));
        let bad = said(401, "", true);
        assert!(bad.contains("refuses the token") && !bad.contains("secret"), "{bad}");
    }

    #[test]
    fn the_time_to_wait_is_seconds_or_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_770);
        assert_eq!(waiting_time("17", now), Some(Duration::from_secs(17)));
        assert_eq!(waiting_time("Sun, 06 Nov 1994 08:49:37 GMT", now), Some(Duration::from_secs(7)));
        assert_eq!(waiting_time("Sat, 06 Nov 1993 08:49:37 GMT", now), Some(Duration::ZERO));
        assert_eq!(waiting_time("soon", now), None);
        let limited = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert("ratelimit", reqwest::header::HeaderValue::from_static(text));
            waiting_time_of(&headers)
        };
        assert_eq!(limited("\"api\";r=0;t=55"), Some(Duration::from_secs(55)));
        assert_eq!(limited("\"api\";r=7;t=55"), None);
    }

    #[test]
    fn what_the_hub_says_is_safe_to_show() {
        let mut headers = HeaderMap::new();
        headers.insert("x-error-message", reqwest::header::HeaderValue::from_bytes(b"no\x9b2J entry").unwrap());
        let failure = Failure::of(StatusCode::FORBIDDEN, &headers, "");
        let sentence = failure.sentence("a/\x1b[2Jb", &environment(true)).to_string();
        assert!(!sentence.contains('\x1b') && !sentence.contains('\u{9b}'), "{sentence}");
        let body = Failure::of(StatusCode::BAD_GATEWAY, &HeaderMap::new(), "{\"error\":\"down\\nfor now\"}");
        let commit = "0123456789abcdef0123456789abcdef01234567";
        let said = body.sentence(&format!("a/b@{commit}/c"), &environment(true)).to_string();
        assert!(said.contains("down↵for now") && said.starts_with("a/b@0123456789ab/c: "), "{said}");
    }
}
