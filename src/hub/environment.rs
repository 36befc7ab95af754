//! The hub as this machine is set up for it, by the variables and files of Python's `huggingface_hub`.

use crate::text::printable;
use crate::{Error, Result};
use reqwest::Url;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

/// Where the hub is if nothing else is said.
const ENDPOINT: &str = "https://huggingface.co";
/// A token file above this is no token file.
const MAX_TOKEN: u64 = 64 << 10;

/// A user's token. It never reaches a screen, a log or an error: only [`Token::secret`] gives it.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// What is sent with requests to the hub.
    pub fn secret(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// How the hub is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    /// `HF_ENDPOINT` without a slash at its end. For people: [`Self::shown_endpoint`].
    pub endpoint: String,
    /// `HF_TOKEN`, or what the token file holds; none with `HF_HUB_DISABLE_IMPLICIT_TOKEN`.
    pub token: Option<Token>,
    /// `HF_HUB_CACHE`: repositories as `models--ORG--NAME`.
    pub cache: PathBuf,
    /// `HF_HUB_OFFLINE`: nothing is asked over the network.
    pub offline: bool,
}

impl Environment {
    /// Of this process.
    ///
    /// # Errors
    /// When a variable says something that cannot be used, or the token file cannot be read.
    pub fn read() -> Result<Self> {
        Self::of(variable, etcetera::home_dir().ok().as_deref())
    }

    /// Of the variables that `env` gives (none empty) and the home folder.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn of(env: impl Fn(&str) -> Option<OsString>, home: Option<&Path>) -> Result<Self> {
        let text = |name: &str| env(name).and_then(|value| value.into_string().ok());
        let set = |name: &str| text(name).is_some_and(|value| is_true(&value));
        let cache = hub_cache(&env, home).ok_or_else(|| {
            Error::user("there is no home folder for the hub's cache; set HF_HOME to a folder of yours")
        })?;
        let endpoint = text("HF_ENDPOINT").unwrap_or_else(|| ENDPOINT.to_owned());
        let endpoint = endpoint.trim().trim_end_matches('/').to_owned();
        let sound = Url::parse(&endpoint)
            .is_ok_and(|url| ["http", "https"].contains(&url.scheme()) && url.host_str().is_some());
        if !sound {
            let shown = shown(&endpoint);
            return Err(Error::user(format!("HF_ENDPOINT = {shown:?}: a web address is needed, such as {ENDPOINT}")));
        }
        let token = if set("HF_HUB_DISABLE_IMPLICIT_TOKEN") { None } else { token(&env, home)? };
        let offline = set("HF_HUB_OFFLINE") || set("TRANSFORMERS_OFFLINE");
        Ok(Self { endpoint, token, cache, offline })
    }

    /// Where the hub is, safe to show: without the name and password that may stand before the host.
    pub fn shown_endpoint(&self) -> String {
        shown(&self.endpoint)
    }
}

/// `HF_ENDPOINT` of this process, if it is set.
pub(super) fn own_endpoint() -> Option<String> {
    variable("HF_ENDPOINT").and_then(|value| value.into_string().ok())
}

/// An address without name and password, safe to show.
fn shown(address: &str) -> String {
    let known = Url::parse(address).ok().filter(|url| ["http", "https"].contains(&url.scheme()));
    let Some(mut url) = known else {
        // Whatever this is, a password in it would stand before an `@`.
        return printable(address.rsplit_once('@').map_or(address, |(_, host)| host)).into_owned();
    };
    if url.username().is_empty() && url.password().is_none() {
        return printable(address).into_owned();
    }
    let (name, password) = (url.set_username(""), url.set_password(None));
    if name.is_err() || password.is_err() {
        return String::new();
    }
    printable(url.as_str().trim_end_matches('/')).into_owned()
}

/// As Python's `huggingface_hub` reads a switch.
fn is_true(value: &str) -> bool {
    ["1", "on", "yes", "true"].contains(&value.trim().to_ascii_lowercase().as_str())
}

/// The user's token: a variable, then a file.
fn token(env: &impl Fn(&str) -> Option<OsString>, home: Option<&Path>) -> Result<Option<Token>> {
    for name in ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"] {
        let Some(value) = env(name) else { continue };
        let value =
            value.into_string().map_err(|_| Error::user(format!("{name} holds no token: it is not Unicode")))?;
        return checked(&value, name);
    }
    let place = env("HF_TOKEN_PATH").map(|path| place(path, env, home));
    let Some(file) = place.or_else(|| house(env, home).map(|house| house.join("token"))) else { return Ok(None) };
    match std::fs::metadata(&file) {
        Ok(meta) if meta.is_file() && meta.len() <= MAX_TOKEN => {}
        Ok(_) => return Err(Error::user(format!("{} is no token file", printable(&file.display().to_string())))),
        Err(_) => return Ok(None),
    }
    let text = std::fs::read_to_string(&file).map_err(|e| Error::io("read the token of the hub in", &file, &e))?;
    checked(&text, &printable(&file.display().to_string()))
}

/// A token can be sent in a header; nothing else is one.
fn checked(text: &str, from: &str) -> Result<Option<Token>> {
    let text = text.trim();
    if !text.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(Error::user(format!("{from} holds no token: a token is one word; `hf auth login` writes it anew")));
    }
    Ok((!text.is_empty()).then(|| Token(text.to_owned())))
}

/// `HF_HOME`.
fn house(env: &impl Fn(&str) -> Option<OsString>, home: Option<&Path>) -> Option<PathBuf> {
    let own = env("HF_HOME").map(|path| place(path, env, home));
    let own = own.or_else(|| env("XDG_CACHE_HOME").map(|cache| place(cache, env, home).join("huggingface")));
    own.or_else(|| home.map(|home| home.join(".cache/huggingface")))
}

/// Where this user's `huggingface_hub` keeps what it fetched; `None` without a home.
pub fn cache() -> Option<PathBuf> {
    hub_cache(&variable, etcetera::home_dir().ok().as_deref())
}

/// A variable of this process that is not empty.
fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// Where Python's `huggingface_hub` keeps what it fetched.
fn hub_cache(env: &impl Fn(&str) -> Option<OsString>, home: Option<&Path>) -> Option<PathBuf> {
    if let Some(cache) = env("HF_HUB_CACHE").or_else(|| env("HUGGINGFACE_HUB_CACHE")) {
        return Some(place(cache, env, home));
    }
    house(env, home).map(|house| house.join("hub"))
}

/// A path as Python expands it: `~` at its beginning, `$NAME` and `${NAME}` anywhere.
fn place(value: OsString, env: &impl Fn(&str) -> Option<OsString>, home: Option<&Path>) -> PathBuf {
    let Some(text) = value.to_str() else { return PathBuf::from(value) };
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let braced = rest.strip_prefix('{').and_then(|inner| inner.split_once('}'));
        let (name, after) = braced.unwrap_or_else(|| {
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
            rest.split_at(end)
        });
        match env(name).filter(|_| !name.is_empty()).and_then(|value| value.into_string().ok()) {
            Some(value) => {
                out.push_str(&value);
                rest = after;
            }
            None => out.push('$'),
        }
    }
    out.push_str(rest);
    match (out.strip_prefix('~'), home) {
        (Some(""), Some(home)) => home.to_path_buf(),
        (Some(rest), Some(home)) if rest.starts_with('/') => home.join(rest.trim_start_matches('/')),
        _ => PathBuf::from(out),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn of(set: &[(&str, &str)]) -> Result<Environment> {
        let get = |name: &str| set.iter().find(|s| s.0 == name).map(|s| OsString::from(s.1));
        Environment::of(get, Some(Path::new("/nobody")))
    }

    #[test]
    fn the_cache_is_where_python_has_it() {
        let cache = |set: &[(&str, &str)]| of(set).unwrap().cache;
        assert_eq!(cache(&[]), Path::new("/nobody/.cache/huggingface/hub"));
        assert_eq!(cache(&[("XDG_CACHE_HOME", "/x")]), Path::new("/x/huggingface/hub"));
        assert_eq!(cache(&[("HF_HOME", "/f"), ("XDG_CACHE_HOME", "/x")]), Path::new("/f/hub"));
        assert_eq!(cache(&[("HF_HUB_CACHE", "/c"), ("HF_HOME", "/f")]), Path::new("/c"));
        assert_eq!(cache(&[("HF_HOME", "~/models")]), Path::new("/nobody/models/hub"));
        assert_eq!(
            cache(&[("HF_HOME", "${SCRATCH}/a$USER"), ("SCRATCH", "/s"), ("USER", "me")]),
            Path::new("/s/ame/hub")
        );
        assert_eq!(cache(&[("HF_HOME", "/$NOTHING/${HERE")]), Path::new("/$NOTHING/${HERE/hub"));
    }

    #[test]
    fn the_endpoint_is_a_web_address_without_a_slash() {
        assert_eq!(of(&[]).unwrap().endpoint, "https://huggingface.co");
        assert_eq!(of(&[("HF_ENDPOINT", "http://127.0.0.1:8/")]).unwrap().endpoint, "http://127.0.0.1:8");
        let wrong = of(&[("HF_ENDPOINT", "hf\x1b[2J.co")]).unwrap_err().to_string();
        assert!(wrong.starts_with("HF_ENDPOINT = ") && !wrong.contains('\x1b'), "{wrong}");
        assert!(of(&[("HF_ENDPOINT", "file:///etc")]).is_err());
    }

    #[test]
    fn a_name_and_a_password_before_the_host_are_used_and_not_shown() {
        let set = |endpoint: &str| of(&[("HF_ENDPOINT", endpoint)]);
        for (endpoint, shown) in [
            ("https://me:hunter2@mirror.example/hf/", "https://mirror.example/hf"),
            ("http://hunter2@127.0.0.1:8", "http://127.0.0.1:8"),
            ("https:me:hunter2@mirror.example", "https://mirror.example"),
            ("https://mirror.example/@hf", "https://mirror.example/@hf"),
        ] {
            let environment = set(endpoint).unwrap();
            assert_eq!(environment.endpoint, endpoint.trim_end_matches('/'));
            assert_eq!(environment.shown_endpoint(), shown);
        }
        for wrong in ["me:hunter2@mirror.example", "ftp://me:hunter2@mirror.example", "https://me:hunter2@"] {
            let why = set(wrong).unwrap_err().to_string();
            assert!(why.starts_with("HF_ENDPOINT = ") && !why.contains("hunter2"), "{why}");
        }
    }

    #[test]
    fn switches_are_read_as_python_reads_them() {
        for (value, offline) in [("1", true), ("ON", true), ("True", true), ("yes", true), ("0", false), ("no", false)]
        {
            assert_eq!(of(&[("HF_HUB_OFFLINE", value)]).unwrap().offline, offline, "{value}");
        }
        assert!(of(&[("TRANSFORMERS_OFFLINE", "1")]).unwrap().offline);
    }

    #[test]
    fn a_token_comes_from_the_variable_then_from_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        std::fs::write(&file, "hf_file\n").unwrap();
        let home = folder.path().to_str().unwrap();
        let secret = |set: &[(&str, &str)]| of(set).unwrap().token.map(|t| t.secret().to_owned());
        assert_eq!(secret(&[("HF_HOME", home)]).as_deref(), Some("hf_file"));
        assert_eq!(secret(&[("HF_TOKEN_PATH", file.to_str().unwrap())]).as_deref(), Some("hf_file"));
        assert_eq!(secret(&[("HF_HOME", home), ("HF_TOKEN", " hf_own\n")]).as_deref(), Some("hf_own"));
        assert_eq!(secret(&[("HF_HOME", home), ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")]), None);
        assert_eq!(secret(&[]), None);
    }

    #[test]
    fn what_is_no_token_is_refused_and_never_shown() {
        let wrong = of(&[("HF_TOKEN", "hf_secret second")]).unwrap_err().to_string();
        assert!(wrong.contains("HF_TOKEN") && !wrong.contains("secret"), "{wrong}");
        let shown = format!("{:?}", of(&[("HF_TOKEN", "hf_secret")]).unwrap());
        assert!(!shown.contains("secret"), "{shown}");
    }
}
