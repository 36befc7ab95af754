//! `notes.toml`: what people write about a run. No worker reads it.

use super::{RunDir, write_aside};
use crate::text::printable;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Tags and a note, kept in the run directory.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Notes {
    /// Words to find the run by.
    pub tags: Vec<String>,
    /// A sentence.
    pub note: String,
}

/// A larger file is no note.
const LARGEST: u64 = 64 * 1024;

impl Notes {
    /// The notes of `run`, empty where there are none.
    ///
    /// # Errors
    /// When the file is there and is not what it should be: nobody's text is written over.
    pub fn read(run: &Path) -> Result<Self> {
        let path = run.join("notes.toml");
        let text = match std::fs::metadata(&path) {
            Ok(meta) if meta.len() > LARGEST => {
                let path = printable(&path.display().to_string()).into_owned();
                return Err(Error::user(format!("{path} is larger than {} KB: not read", LARGEST / 1024)));
            }
            Ok(_) => crate::bounded::text(&path, LARGEST).map_err(|e| Error::io("read", &path, &e))?,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(e) => return Err(Error::io("read", &path, &e)),
        };
        toml::from_str(&text).map_err(|e| {
            let place = printable(&path.display().to_string()).into_owned();
            Error::user(format!("{place}: {}", printable(e.message())))
        })
    }

    /// Writes them, aside first. Where the group may read the run, it may read them.
    ///
    /// # Errors
    /// When the run directory cannot be written.
    pub fn write(&self, run: &Path) -> Result<()> {
        let text = toml::to_string(self).map_err(|e| Error::fault(e.to_string()))?;
        let path = run.join("notes.toml");
        write_aside(&path, text.as_bytes())?;
        // Whoever writes them is no worker: the user's own mask may be narrower than the run's.
        let run = RunDir { path: run.to_path_buf() };
        if run.is_open_to_group() { super::open_file_to_group(&path) } else { Ok(()) }
    }

    /// Tags from a line: words, with or without `#`, each once.
    pub fn tags_of(line: &str) -> Vec<String> {
        let mut tags: Vec<String> = Vec::new();
        for word in line.split(|c: char| c.is_whitespace() || c == ',') {
            let word = word.trim_start_matches('#');
            if !word.is_empty() && !tags.iter().any(|t| t == word) {
                tags.push(word.to_owned());
            }
        }
        tags
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_group_that_may_read_the_run_may_read_its_notes() {
        use std::os::unix::fs::PermissionsExt;
        let mode = |path: &Path, mode| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        let run = tempfile::tempdir().unwrap();
        let notes = run.path().join("notes.toml");
        for (of_run, before, after) in [(0o700, 0o600, 0o600), (0o750, 0o600, 0o640)] {
            mode(run.path(), of_run);
            Notes::default().write(run.path()).unwrap();
            mode(&notes, before);
            Notes::default().write(run.path()).unwrap();
            assert_eq!(std::fs::metadata(&notes).unwrap().permissions().mode() & 0o777, after);
        }
    }

    #[test]
    fn notes_come_back_as_they_were_written_and_nonsense_is_not_written_over() {
        let run = tempfile::tempdir().unwrap();
        assert_eq!(Notes::read(run.path()).unwrap(), Notes::default());
        let notes = Notes { tags: Notes::tags_of("#good, 記事 good"), note: "a \"quote\"\nand a line".into() };
        assert_eq!(notes.tags, ["good", "記事"]);
        notes.write(run.path()).unwrap();
        assert_eq!(Notes::read(run.path()).unwrap(), notes);
        std::fs::write(run.path().join("notes.toml"), "tags = 3").unwrap();
        assert!(Notes::read(run.path()).unwrap_err().to_string().contains("notes.toml"));
    }
}
