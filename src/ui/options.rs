//! How the screen is to look and how it gets to the terminal, as the command line says it.

use crate::Result;
use crate::app::themes::Themes;
use crate::terminal::{Screen, record};
use crate::theme::{Depth, Shelf, Theme};
use std::path::PathBuf;
use std::time::Duration;

/// So long a terminal on this machine may take to say what it can do.
const PROBE: Duration = Duration::from_millis(30);
/// The same over SSH.
const FAR_PROBE: Duration = Duration::from_millis(100);
/// The same over a slow link.
const SLOW_PROBE: Duration = Duration::from_millis(400);

/// How to watch.
#[derive(Debug, Clone, Default)]
pub struct WatchOptions {
    /// No key changes anything.
    pub read_only: bool,
    /// ASCII characters only.
    pub ascii: bool,
    /// Listen to the mouse; the terminal's own selection then needs Shift.
    pub mouse: bool,
    /// Name or file of the theme; if left out, what suits the terminal's background, or `default`.
    pub theme: Option<String>,
    /// Few and small frames.
    pub slow_link: bool,
    /// Do not ask the terminal what it can do.
    pub no_probe: bool,
    /// Show the debug line from the start.
    pub debug: bool,
    /// Record what is written to the terminal into this file.
    pub record: Option<PathBuf>,
    /// Tell a run that is over once more, so many times as fast.
    pub replay: Option<f64>,
}

impl WatchOptions {
    /// The theme, as this terminal can show it.
    ///
    /// # Errors
    /// When there is none of that name, or its file is wrong.
    pub fn find_theme(&self) -> Result<Theme> {
        self.load(self.theme.as_deref().unwrap_or("default"))
    }

    /// The theme of that name, as this terminal and this link can show it.
    pub(super) fn load(&self, name: &str) -> Result<Theme> {
        let theme = shelf().find(name, Depth::detect(), self.ascii)?;
        Ok(if self.slow_link { theme.for_slow_link() } else { theme })
    }

    /// Puts on the theme that the user wants; one that cannot be read changes nothing.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub(super) fn dress(&self, theme: &mut Theme, themes: &mut Themes) -> Result<()> {
        if themes.wanted != theme.name {
            *theme = self.load(&themes.wanted).inspect_err(|_| themes.wanted.clone_from(&theme.name))?;
        }
        Ok(())
    }

    /// Reads the theme again if its file was written meanwhile; true if it was.
    ///
    /// # Errors
    /// Why it cannot be read; said once, until the file is written again.
    pub(super) fn refresh(&self, theme: &mut Theme) -> Result<bool> {
        if !theme.files.changed() {
            return Ok(false);
        }
        *theme = self.load(&theme.name).inspect_err(|_| theme.files = theme.files.renewed())?;
        Ok(true)
    }

    /// Takes the terminal, and asks it what it can do.
    ///
    /// # Errors
    /// When there is none, the theme is wrong, or a recording cannot be written.
    pub fn claim(&self) -> Result<(Screen, Theme)> {
        let mut theme = self.find_theme()?;
        if let Some(path) = &self.record {
            record::start(path, crossterm::terminal::size().unwrap_or((80, 24)))?;
        }
        let mut screen = Screen::claim(self.mouse)?;
        let term = std::env::var("TERM").unwrap_or_default();
        if !self.no_probe && !matches!(term.as_str(), "" | "dumb") {
            // Themes with colours of their own only where they can be shown.
            let colours = matches!(Depth::detect(), Depth::True | Depth::Indexed);
            // `SSH_TTY` would be out of date within tmux.
            let far = std::env::var_os("SSH_CONNECTION").is_some_and(|v| !v.is_empty());
            let limit = match (self.slow_link, far) {
                (true, _) => SLOW_PROBE,
                (_, true) => FAR_PROBE,
                _ => PROBE,
            };
            let answers = screen.probe(limit, self.theme.is_none() && colours)?;
            if let Some(dark) = answers.dark {
                theme = self.load(if dark { "dark" } else { "light" })?;
            }
        }
        Ok((screen, theme))
    }

    /// The theme with all colours, for a picture: `dark` if none was named.
    ///
    /// # Errors
    /// As [`Self::find_theme`].
    pub fn picture_theme(&self) -> Result<Theme> {
        shelf().find(self.theme.as_deref().unwrap_or("dark"), Depth::True, self.ascii)
    }
}

/// The themes that there are, this one on.
pub(super) fn themes(theme: &Theme) -> Themes {
    Themes { names: shelf().names(), wanted: theme.name.clone() }
}

/// The embedded themes and the user's.
fn shelf() -> Shelf {
    Shelf::with(crate::config::themes())
}
