//! Files themselves: where they are, and their bytes or a part of them.

use super::answer::Answer;
use super::asking::Asking;
use super::content::{Content, File};
use super::store::Store;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use std::ops::Range;

const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.').remove(b'~');
const EXPOSED: &str = "X-Repo-Commit,X-Request-Id,X-Error-Code,X-Error-Message,X-Total-Count,ETag,Link,Accept-Ranges,\
                       Content-Range,X-Linked-Size,X-Linked-ETag,X-Xet-Hash";

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, PATH).to_string()
}

/// What a Range header asks of `size` bytes: nothing it understands, a part, or one that is not there.
fn asked(header: Option<&str>, size: u64) -> Option<Result<Range<u64>, ()>> {
    let (first, last) = header?.strip_prefix("bytes=")?.split_once('-')?;
    Some(match (first.parse::<u64>(), last.parse::<u64>()) {
        (Ok(a), Ok(b)) if a <= b && a < size => Ok(a..size.min(b.saturating_add(1))),
        (Ok(a), Err(_)) if last.is_empty() && a < size => Ok(a..size),
        (Err(_), Ok(n)) if first.is_empty() && n > 0 && size > 0 => Ok(size.saturating_sub(n)..size),
        (Ok(a), Ok(b)) if a > b => return None,
        (Err(_), Err(_)) => return None,
        _ => Err(()),
    })
}

/// The bytes of `content`, or the part that was asked for.
fn bytes(asking: &Asking, content: Content, etag: &str, kind: &str) -> Answer {
    let size = content.size();
    let range = asked(asking.header("range"), size);
    let mut answer = Answer::new(200, kind, "").header("ETag", format!("\"{etag}\"")).header("Accept-Ranges", "bytes");
    (answer.content, answer.part) = (content, 0..size);
    match range {
        Some(Ok(part)) => {
            answer.status = 206;
            answer.set("Content-Range", format!("bytes {}-{}/{size}", part.start, part.end - 1));
            answer.part = part;
        }
        Some(Err(())) => {
            answer.status = 416;
            answer.set("Content-Range", format!("bytes */{size}"));
            answer.part = 0..0;
        }
        None => {}
    }
    answer
}

fn plain(asking: &Asking, file: &File, path: &str) -> Answer {
    let json = std::path::Path::new(path).extension().is_some_and(|ending| ending == "json");
    let kind = if json { "application/json" } else { "text/plain; charset=utf-8" };
    bytes(asking, file.content.clone(), file.etag(), kind)
}

fn disposition(path: &str) -> String {
    let name = path.rsplit('/').next().unwrap_or(path);
    let ascii: String = name.chars().map(|c| if c == ' ' || c.is_ascii_graphic() { c } else { '?' }).collect();
    format!("inline; filename*=UTF-8''{}; filename=\"{}\";", encoded(name), ascii.replace(['"', '\\'], "?"))
}

/// HEAD and GET `/ID/resolve/REV/FILE`
pub fn resolve(store: &Store, asking: &Asking, id: &str, revision: &str, path: &str) -> Result<Answer, Answer> {
    let commit = store.readable(id, revision, asking)?;
    let common =
        |answer: Answer| answer.header("X-Repo-Commit", &commit.sha).header("Access-Control-Expose-Headers", EXPOSED);
    let Some(file) = commit.snapshot.files.get(path) else {
        return Err(common(Answer::error(404, Some("EntryNotFound"), "Entry not found")));
    };
    let quoted = format!("\"{}\"", file.etag());
    if asking.header("if-none-match").is_some_and(|tags| tags.split(',').any(|tag| tag.trim() == quoted)) {
        return Ok(common(Answer::new(304, "text/plain", "").header("ETag", quoted)));
    }
    let linked = |answer: Answer, location: String| {
        common(answer)
            .header("Accept-Ranges", "bytes")
            .header("X-Linked-ETag", &quoted)
            .header("X-Linked-Size", file.size.to_string())
            .header("Location", location)
    };
    if let Some(sha256) = &file.sha256 {
        let name = encoded(&disposition(path)).replace('/', "%2F");
        let origin = store.elsewhere.as_deref().unwrap_or(&asking.blobs);
        let location = format!("{origin}/blobs/{sha256}?response-content-disposition={name}&X-Amz-Signature=0");
        let body = format!("Found. Redirecting to {location}");
        return Ok(linked(Answer::new(302, "text/plain; charset=utf-8", body), location).header("ETag", &quoted));
    }
    if store.relative {
        let whole = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let from = whole(asking.target.split('?').next().unwrap_or_default());
        let to = format!("/api/resolve-cache/models/{id}/{}/{}", commit.sha, encoded(path));
        let location = format!("{to}?{from}=&etag={}", whole(&quoted));
        let body = format!("Temporary Redirect. Redirecting to {location}");
        return Ok(linked(Answer::new(307, "text/plain; charset=utf-8", body), location));
    }
    Ok(common(plain(asking, file, path)).header("Content-Disposition", disposition(path)))
}

/// HEAD and GET `/api/resolve-cache/models/ID/SHA/FILE`, where the relative 307 leads
pub fn cached(store: &Store, asking: &Asking, id: &str, sha: &str, path: &str) -> Result<Answer, Answer> {
    let commit = store.readable(id, sha, asking)?;
    let file = commit.snapshot.files.get(path).filter(|f| f.sha256.is_none());
    let file = file.ok_or_else(|| Answer::error(404, Some("EntryNotFound"), "Entry not found"))?;
    let answer = plain(asking, file, path).header("X-Repo-Commit", &commit.sha);
    Ok(answer.header("Content-Disposition", disposition(path)))
}

/// HEAD and GET `/blobs/SHA256` of the second origin: no tokens, no names
pub fn blob(store: &Store, asking: &Asking, sha256: &str) -> Result<Answer, Answer> {
    let missing = || Answer::new(403, "application/xml", "<Error><Code>AccessDenied</Code></Error>");
    let content = store.blobs.get(sha256).ok_or_else(missing)?;
    Ok(bytes(asking, content.clone(), sha256, "application/octet-stream"))
}
