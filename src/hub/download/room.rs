//! Room in the hub's cache: looked at before a download, and told where it ends in the middle of one.

use super::Plan;
use crate::hub::cache;
use crate::run::estimate::bytes;
use crate::text::printable;
use crate::{Error, Result};
use std::path::Path;

/// Room that is left on the disk.
const SLACK: u64 = 64_000_000;

/// Whether the disk has room for what `cache` lacks of `plan`.
///
/// # Errors
/// [`Error::Full`] where it has not.
pub(super) fn check(plan: &Plan, cache: &Path) -> Result<()> {
    let need = plan.missing(cache).saturating_add(SLACK);
    match cache::free(cache) {
        Some(free) if need > free => Err(full(plan, cache, Some(free))),
        _ => Ok(()),
    }
}

/// A write that found no room, as the user is to read it; any other error as it is.
pub(super) fn told(error: Error, plan: &Plan, cache: &Path) -> Error {
    match error {
        Error::Full { .. } => full(plan, cache, cache::free(cache)),
        other => other,
    }
}

/// Which folder has no room, for how much, how much it has, and what can be freed.
fn full(plan: &Plan, cache: &Path, free: Option<u64>) -> Error {
    let missing = plan.missing(cache);
    let need = missing.saturating_add(SLACK);
    let folder = printable(&cache.display().to_string()).into_owned();
    let there = match free {
        // Room that may not be used.
        Some(free) if free >= need => format!("where {} are free but no more can be written (a quota?)", bytes(free)),
        Some(free) => format!("where {} are free", bytes(free)),
        None => "where there is too little room".to_owned(),
    };
    let kept = if missing < plan.bytes() { "; what has come is kept" } else { "" };
    let what = cache::largest(cache, &plan.id)
        .map_or_else(String::new, |(id, size)| format!("the largest there is {id} with {}, ", bytes(size)));
    let text = format!(
        "{} needs {} in {folder} and {} to spare, {there}; free some space ({what}`hf cache ls` lists all), or set \
         HF_HUB_CACHE to a folder on a larger disk{kept}",
        plan.id,
        bytes(missing),
        bytes(SLACK),
    );
    Error::Full { text, need }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;
    use crate::hub::cache::Shelf;
    use crate::hub::choice::Kind;
    use crate::hub::client::RepositoryFile;

    fn plan(size: u64) -> Plan {
        let commit = "0123456789abcdef0123456789abcdef01234567";
        let file = RepositoryFile { path: "model.safetensors".into(), size, oid: "a".repeat(64) };
        let (id, revision) = ("lab/tiny".into(), "main".into());
        Plan { id, revision, commit: commit.into(), kind: Kind::Base, files: vec![file] }
    }

    #[test]
    fn a_full_cache_says_where_how_much_and_what_to_free() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path();
        let plan = plan(2_000_000);
        let disk = |path| cache::failed("write", Path::new(path), &std::io::Error::from_raw_os_error(28));
        let shelf = Shelf::of(place, &plan.pinned());
        shelf.make().unwrap();
        let Error::Full { text, need } = full(&plan, place, Some(3000)) else { panic!() };
        assert_eq!(need, 2_000_000 + SLACK);
        let begin = format!(
            "lab/tiny needs 2 MB in {} and 64 MB to spare, where 3 kB are free; free some space",
            place.display()
        );
        assert!(text.starts_with(&begin), "{text}");
        assert!(
            text.ends_with("(`hf cache ls` lists all), or set HF_HUB_CACHE to a folder on a larger disk"),
            "{text}"
        );
        // With a part that has come, and another repository that could go.
        std::fs::write(shelf.part(&plan.files[0]), vec![0; 1_000_000]).unwrap();
        let other = place.join("models--lab--old/blobs");
        std::fs::create_dir_all(&other).unwrap();
        std::fs::write(other.join("x"), vec![0; 40_000]).unwrap();
        let text = full(&plan, place, Some(3000)).to_string();
        assert!(text.starts_with("lab/tiny needs 1 MB in"), "{text}");
        assert!(text.contains("the largest there is lab/old with 40 kB") && text.ends_with("what has come is kept"));
        // A disk with room that says it has none.
        let text = told(disk("/x/blobs/a"), &plan, place).to_string();
        assert!(text.contains("but no more can be written (a quota?)") && !text.contains("/x/blobs"), "{text}");
        let other = Error::fault("else");
        assert_eq!(told(other.clone(), &plan, place), other);
    }

    #[test]
    fn room_is_asked_for_beyond_what_is_missing() {
        let folder = tempfile::tempdir().unwrap();
        check(&plan(1), folder.path()).unwrap();
        let refused = check(&plan(1 << 60), folder.path()).unwrap_err();
        assert!(matches!(refused, Error::Full { need, .. } if need == (1 << 60) + SLACK), "{refused}");
    }
}
