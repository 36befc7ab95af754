//! `hf://ORG/NAME@REVISION`: a repository of the hub, and where the cache has it.

use super::environment;
use crate::text::printable;
use crate::{Error, Result};
use reqwest::Url;
use std::fmt;
use std::path::{Path, PathBuf};

/// How a recipe names the hub, after `huggingface_hub`'s file system.
pub const SCHEME: &str = "hf://";
/// The revision if none is said.
pub const MAIN: &str = "main";
/// The hub's own hosts.
const HOSTS: [&str; 2] = ["huggingface.co", "hf.co"];
/// What the hub's pages of other things than models begin with.
const OTHERS: [&str; 9] =
    ["api", "blog", "collections", "datasets", "docs", "models", "organizations", "papers", "spaces"];
/// As the hub has it.
const LONGEST: usize = 96;

/// A repository and one of its revisions.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    /// `ORG/NAME`, or a bare `NAME` of the hub's first models.
    pub id: String,
    /// A branch, a tag or a commit; `main` if none is said.
    pub revision: String,
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.id)?;
        if self.revision == MAIN { Ok(()) } else { write!(f, "@{}", self.revision) }
    }
}

impl std::str::FromStr for Reference {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::parse(text)
    }
}

impl Reference {
    /// Of `ORG/NAME` or `ORG/NAME@REVISION`, with or without `hf://`, or the address of one of its pages.
    ///
    /// # Errors
    /// When that is no name of a repository or of a revision.
    pub fn parse(text: &str) -> Result<Self> {
        let text = text.trim();
        if text.contains("://")
            && let Some((id, revision)) = of_page(text, environment::own_endpoint().as_deref())
        {
            return Self::sound(text, &id, &revision);
        }
        let plain = text.strip_prefix(SCHEME).unwrap_or(text);
        let plain = plain.strip_prefix("models/").filter(|rest| rest.contains('/')).unwrap_or(plain);
        let (id, revision) = plain.split_once('@').unwrap_or((plain, MAIN));
        Self::sound(text, id, revision)
    }

    /// What was read of `text`, if it can be.
    fn sound(text: &str, id: &str, revision: &str) -> Result<Self> {
        if !is_id(id) {
            let shown = printable(text).into_owned();
            return Err(Error::user(format!(
                "{shown:?} names no repository of the hub; use ORG/NAME or ORG/NAME@REVISION"
            )));
        }
        if !is_revision(revision) {
            let shown = printable(revision).into_owned();
            return Err(Error::user(format!("{shown:?} is no revision of {id}; use a branch, a tag or a commit")));
        }
        Ok(Self { id: id.to_owned(), revision: revision.to_owned() })
    }

    /// Of a path of a recipe, `None` where it doesn't begin with `hf://`.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub fn of_recipe(path: &Path) -> Option<Result<Self>> {
        path.to_str().filter(|text| text.starts_with(SCHEME)).map(Self::parse)
    }

    /// Whether the revision is a commit, which never changes.
    pub fn is_pinned(&self) -> bool {
        is_commit(&self.revision)
    }

    /// `hf://ORG/NAME@REVISION`, as a recipe has it.
    pub fn link(&self) -> String {
        format!("{SCHEME}{self}")
    }

    /// Its folder in the cache: `models--ORG--NAME`.
    pub fn repository(&self, cache: &Path) -> PathBuf {
        cache.join(format!("models--{}", self.id.replace('/', "--")))
    }

    /// The commit that the cache has for the revision.
    pub fn cached_commit(&self, cache: &Path) -> Option<String> {
        if self.is_pinned() {
            return Some(self.revision.clone());
        }
        let commit = std::fs::read_to_string(self.repository(cache).join("refs").join(&self.revision)).ok()?;
        Some(commit.trim().to_owned()).filter(|c| is_commit(c))
    }

    /// The folder with its files: the snapshot that the cache has, or the place where one will be.
    pub fn folder(&self, cache: &Path) -> PathBuf {
        let revision = self.cached_commit(cache).unwrap_or_else(|| self.revision.replace('/', "--"));
        self.repository(cache).join("snapshots").join(revision)
    }

    /// Of a folder `models--ORG--NAME/snapshots/REVISION`, wherever it is and whether it is there; `None` of any other.
    pub fn of_folder(folder: &Path) -> Option<Self> {
        let revision = folder.file_name()?.to_str()?;
        let snapshots = folder.parent().filter(|p| p.ends_with("snapshots"))?;
        let id = snapshots.parent()?.file_name()?.to_str()?.strip_prefix("models--")?.replacen("--", "/", 1);
        (is_id(&id) && is_revision(revision)).then(|| Self { id, revision: revision.to_owned() })
    }
}

/// Repository and revision of a page that was pasted: `https://huggingface.co/ORG/NAME`, `…/tree/REVISION`,
/// `…/blob/REVISION/FILE`, also of the hub at `own`; `None` of any other address.
fn of_page(text: &str, own: Option<&str>) -> Option<(String, String)> {
    let web = |text: &str| Url::parse(text).ok().filter(|url| ["http", "https"].contains(&url.scheme()));
    let url = web(text)?;
    let own = own.and_then(|own| web(own.trim()));
    let place = |url: &Url| (url.host_str().map(str::to_owned), url.port_or_known_default());
    let is_own = |own: &Url| place(own) == place(&url);
    let path = match own.filter(is_own) {
        // A mirror may lie in a folder.
        Some(own) => {
            let within = url.path().strip_prefix(own.path().trim_end_matches('/'));
            within.filter(|path| path.is_empty() || path.starts_with('/'))?
        }
        None if url.host_str().is_some_and(|host| HOSTS.contains(&host)) => url.path(),
        None => return None,
    };
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let of = |name: &[&str], revision: &str| {
        // A branch may have slashes, which an address has encoded.
        Some((name.join("/"), revision.replace("%2F", "/").replace("%2f", "/")))
    };
    match parts[..] {
        [first, ..] if OTHERS.contains(&first) => None,
        [org, name, "tree" | "blob" | "resolve" | "raw" | "commit" | "commits", revision, ..] => {
            of(&[org, name], revision)
        }
        [name, "tree" | "blob" | "resolve" | "raw" | "commit" | "commits", revision, ..] => of(&[name], revision),
        [name] => of(&[name], MAIN),
        [org, name, ..] => of(&[org, name], MAIN),
        [] => None,
    }
}

/// 40 hex digits.
pub fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// `ORG/NAME` by the hub's rules; nothing that could lead out of a folder.
fn is_id(id: &str) -> bool {
    let parts: Vec<&str> = id.split('/').collect();
    let sound = |part: &&str| {
        !part.is_empty()
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
            && !part.starts_with(['-', '.'])
            && !part.ends_with(['-', '.'])
            && !part.contains("--")
            && !part.contains("..")
    };
    id.len() <= LONGEST && parts.len() <= 2 && parts.iter().all(sound)
}

/// A name that git takes and that stays within its folder.
fn is_revision(revision: &str) -> bool {
    // git keeps `NAME.lock` for itself.
    let is_lock = |part: &str| part.to_ascii_lowercase().rsplit('.').next().is_some_and(|end| end == "lock");
    let sound = |part: &str| !part.is_empty() && !part.starts_with('.') && !is_lock(part);
    revision.len() <= 255
        && revision.split('/').all(sound)
        && !revision.contains("..")
        && revision.bytes().all(|b| b.is_ascii_graphic() && !b"~^:?*[\\\"'<>|@".contains(&b))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

    #[test]
    fn a_reference_is_read_with_and_without_scheme_and_revision() {
        let read = |text: &str| Reference::parse(text).map(|r| (r.id.clone(), r.revision.clone(), r.link())).unwrap();
        let plain = ("a/b".to_owned(), "main".to_owned(), "hf://a/b".to_owned());
        assert_eq!(read("a/b"), plain);
        assert_eq!(read("hf://a/b"), plain);
        assert_eq!(read(" hf://models/a/b "), plain);
        assert_eq!(read("gpt2").0, "gpt2");
        assert_eq!(read("a/b@refs/pr/1").1, "refs/pr/1");
        assert_eq!(read(&format!("a/b@{COMMIT}")).2, format!("hf://a/b@{COMMIT}"));
    }

    #[test]
    fn the_address_of_a_page_is_read_as_what_it_shows() {
        let read = |text: &str| Reference::parse(text).map(|r| r.to_string());
        for (page, reference) in [
            ("", "a/b"),
            ("/", "a/b"),
            ("?not-for-all-audiences=true#card", "a/b"),
            ("/tree/main", "a/b"),
            ("/tree/refs%2Fpr%2F1", "a/b@refs/pr/1"),
            ("/blob/v1.0/model.safetensors", "a/b@v1.0"),
            ("/resolve/dev/config.json?download=true", "a/b@dev"),
            ("/discussions/3", "a/b"),
        ] {
            for host in ["https://huggingface.co", "http://hf.co"] {
                assert_eq!(read(&format!(" {host}/a/b{page} ")).unwrap(), reference, "{host}{page}");
            }
            // A mirror, in a folder.
            let at = |own| of_page(&format!("https://me@mirror.example:8443/hf/a/b{page}"), own);
            let found = at(Some("https://u:p@mirror.example:8443/hf/")).unwrap();
            assert_eq!(Reference::sound("", &found.0, &found.1).unwrap().to_string(), reference, "{page}");
            for elsewhere in [None, Some("https://mirror.example/hf"), Some("https://mirror.example:8443/h")] {
                assert_eq!(at(elsewhere), None);
            }
        }
        let commit = format!("https://huggingface.co/a/b/commit/{COMMIT}");
        assert_eq!(read(&commit).unwrap(), format!("a/b@{COMMIT}"));
        assert_eq!(read("https://huggingface.co/gpt2").unwrap(), "gpt2");
        assert_eq!(read("https://huggingface.co/gpt2/tree/dev").unwrap(), "gpt2@dev");
        for other in [
            "https://huggingface.co",
            "https://huggingface.co/datasets/a/b",
            "https://huggingface.co/spaces/a/b",
            "https://huggingface.co/a/b/tree/..%2Fx",
            "https://huggingface.co/a/b%20c",
            "https://huggingface.co.example/a/b",
            "https://example.com/a/b",
            "ftp://huggingface.co/a/b",
        ] {
            assert!(read(other).unwrap_err().to_string().contains("; use "), "{other}");
        }
    }

    #[test]
    fn what_could_lead_out_of_the_cache_is_no_reference() {
        for text in
            ["", "/", "a/", "/etc/passwd", "../b", "a/..", "a/b/c", "a b", "a/b@", "a/b@../x", "a/b@/x", "a/b@x//y"]
        {
            assert!(Reference::parse(text).is_err(), "{text}");
        }
        let wrong = Reference::parse("a/\x1b[2J").unwrap_err().to_string();
        assert!(!wrong.contains('\x1b') && wrong.contains("ORG/NAME"), "{wrong}");
    }

    #[test]
    fn the_cache_has_it_where_python_puts_it() {
        let cache = tempfile::tempdir().unwrap();
        let cache = cache.path();
        let main = Reference::parse("a/b").unwrap();
        assert_eq!(main.folder(cache), cache.join("models--a--b/snapshots/main"));
        std::fs::create_dir_all(cache.join("models--a--b/refs")).unwrap();
        std::fs::write(cache.join("models--a--b/refs/main"), COMMIT).unwrap();
        let folder = cache.join("models--a--b/snapshots").join(COMMIT);
        assert_eq!(main.folder(cache), folder);
        let pinned = Reference::of_folder(&folder).unwrap();
        assert!(pinned.is_pinned() && pinned.id == "a/b" && pinned.folder(cache) == folder);
        assert_eq!(Reference::of_folder(Path::new("/x/models--a--b/main")), None);
        std::fs::write(cache.join("models--a--b/refs/main"), "../../../etc").unwrap();
        assert_eq!(main.folder(cache), cache.join("models--a--b/snapshots/main"));
    }
}
