//! Where themes come from: the embedded ones, the user's folder, which overrides and adds, and files by path.

use super::file::Roles;
use super::{Depth, THEMES, Theme};
use crate::text::printable;
use crate::{Error, Result};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Files and when they were written; `None` for one that is gone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Files(Vec<(PathBuf, Option<SystemTime>)>);

fn written(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path).and_then(|m| m.modified()).ok()
}

impl Files {
    fn add(&mut self, path: &Path) {
        self.0.push((path.to_owned(), written(path)));
    }

    /// Whether one of them was written since.
    pub fn changed(&self) -> bool {
        self.0.iter().any(|(path, then)| written(path) != *then)
    }

    /// The same files as they are now.
    #[must_use]
    pub fn renewed(&self) -> Self {
        Self(self.0.iter().map(|(path, _)| (path.clone(), written(path))).collect())
    }
}

/// The themes that there are.
#[derive(Debug, Clone, Default)]
pub struct Shelf {
    /// The user's folder.
    folder: Option<PathBuf>,
}

/// The themes on the way from the first one to the last that it inherits.
#[derive(Default)]
struct Chain {
    names: Vec<String>,
    files: Files,
}

impl Shelf {
    /// The embedded themes and those in `folder`.
    pub fn with(folder: Option<PathBuf>) -> Self {
        Self { folder }
    }

    /// Their names: the embedded ones, then those that the user added.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = THEMES.iter().map(|t| t.0.to_owned()).collect();
        let Some(Ok(entries)) = self.folder.as_ref().map(std::fs::read_dir) else { return names };
        let mut own: Vec<String> = entries
            .filter_map(|entry| {
                let path = entry.ok()?.path();
                let name = path.file_stem()?.to_str()?.to_owned();
                let fits = path.extension()? == "toml" && printable(&name) == name && !names.contains(&name);
                fits.then_some(name)
            })
            .collect();
        own.sort();
        names.extend(own);
        names
    }

    /// The theme of that name, or the one in that file (a name with a `/` or `.toml` in it).
    ///
    /// # Errors
    /// When there is none, or its file is wrong; the sentence says where.
    pub fn find(&self, name: &str, depth: Depth, ascii: bool) -> Result<Theme> {
        let is_file = name.contains('/') || Path::new(name).extension().is_some_and(|e| e == "toml");
        let mut chain = Chain::default();
        let roles = if is_file { self.read(Path::new(name), &mut chain)? } else { self.named(name, &mut chain)? };
        let depth = if name == "mono" { Depth::None } else { depth };
        Ok(Theme { name: name.to_owned(), files: chain.files, ..Theme::new(&roles, depth, ascii) })
    }

    /// An embedded theme.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn embedded(&self, name: &str) -> Result<Roles> {
        let (_, text) = THEMES.iter().find(|t| t.0 == name).ok_or_else(|| self.unknown(name))?;
        Roles::parse(name, text, &mut |parent| self.embedded(parent))
    }

    fn named(&self, name: &str, chain: &mut Chain) -> Result<Roles> {
        let path = self.folder.as_ref().map(|folder| folder.join(format!("{name}.toml")));
        let before = chain.names.iter().any(|n| n == name);
        let is_embedded = THEMES.iter().any(|t| t.0 == name);
        match path {
            // The user's `dark` inherits the embedded `dark`.
            _ if before && is_embedded => self.embedded(name),
            _ if before => {
                let way = chain.names.join(" inherits ");
                Err(Error::user(format!("a theme cannot inherit itself: {way} inherits {name}")))
            }
            Some(path) if path.is_file() && !name.contains('/') => {
                chain.names.push(name.to_owned());
                self.read(&path, chain)
            }
            _ => self.embedded(name),
        }
    }

    fn read(&self, path: &Path, chain: &mut Chain) -> Result<Roles> {
        chain.files.add(path);
        let text = std::fs::read_to_string(path).map_err(|e| Error::io("read the theme", path, &e))?;
        let name = printable(&path.display().to_string()).into_owned();
        Roles::parse(&name, &text, &mut |parent| self.named(parent, chain))
    }

    /// The sentence for a theme that is not there.
    fn unknown(&self, name: &str) -> Error {
        Error::user(format!(
            "there is no theme {name:?}: the themes are {}, or the path of a theme file such as ./mine.toml",
            self.names().join(", ")
        ))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use ratatui::style::Color;

    fn shelf(files: &[(&str, &str)]) -> (tempfile::TempDir, Shelf) {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let shelf = Shelf::with(Some(folder.path().to_owned()));
        (folder, shelf)
    }

    fn accent(shelf: &Shelf, name: &str) -> Option<Color> {
        shelf.find(name, Depth::True, false).unwrap().accent.fg
    }

    #[test]
    fn the_users_folder_overrides_and_adds() {
        let (_folder, shelf) = shelf(&[
            ("dark.toml", "inherits = \"dark\"\naccent = \"#010203\"\n"),
            ("night.toml", "inherits = \"dark\"\ndim = \"#040506\"\n"),
            ("notes.txt", "no theme"),
        ]);
        assert_eq!(shelf.names(), ["default", "dark", "light", "high-contrast", "mono", "night"]);
        assert_eq!(accent(&shelf, "dark"), Some(Color::Rgb(1, 2, 3)));
        // Through the user's own dark.
        assert_eq!(accent(&shelf, "night"), Some(Color::Rgb(1, 2, 3)));
        assert_eq!(accent(&Shelf::default(), "dark"), Some(Color::Rgb(124, 199, 232)));
        let sentence = shelf.find("nope", Depth::True, false).unwrap_err().to_string();
        assert!(sentence.contains("night"), "{sentence}");
    }

    #[test]
    fn a_theme_that_inherits_itself_is_refused() {
        let (_folder, shelf) = shelf(&[
            ("a.toml", "text = \"red\"\ninherits = \"b\"\n"),
            ("b.toml", "inherits = \"c\"\n"),
            ("c.toml", "inherits = \"a\"\n"),
            ("self.toml", "inherits = \"self\"\n"),
        ]);
        let sentence = shelf.find("a", Depth::True, false).unwrap_err().to_string();
        assert!(
            sentence.contains("a.toml, line 2") && sentence.contains("a inherits b inherits c inherits a"),
            "{sentence}"
        );
        let sentence = shelf.find("self", Depth::True, false).unwrap_err().to_string();
        assert!(sentence.contains("self.toml, line 1") && sentence.contains("self inherits self"), "{sentence}");
    }

    #[test]
    fn a_change_of_any_file_of_the_chain_is_seen() {
        let (folder, shelf) = shelf(&[("a.toml", "inherits = \"b\"\n"), ("b.toml", "accent = \"#010203\"\n")]);
        let theme = shelf.find("a", Depth::True, false).unwrap();
        assert!(!theme.files.changed());
        let b = folder.path().join("b.toml");
        std::fs::write(&b, "accent = \"#020304\"\n").unwrap();
        let later = SystemTime::now() + std::time::Duration::from_secs(5);
        std::fs::File::options().append(true).open(&b).unwrap().set_modified(later).unwrap();
        assert!(theme.files.changed());
        assert!(!theme.files.renewed().changed());
        assert_eq!(accent(&shelf, "a"), Some(Color::Rgb(2, 3, 4)));
        assert!(!shelf.find("dark", Depth::True, false).unwrap().files.changed());
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let sentence = Shelf::default().find("/nowhere/x.toml", Depth::True, false).unwrap_err().to_string();
        assert!(sentence.contains("/nowhere/x.toml"), "{sentence}");
    }
}
