//! Colours by role, and the ramp of the heatmap.

pub mod ramp;

use crate::{Error, Result};
use ratatui::style::{Color, Modifier, Style};
use serde::Deserialize;

/// How many colours the terminal has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// 24 bits.
    True,
    /// 256 colours.
    Indexed,
    /// None, or the user wants none: levels are shown as digits.
    None,
}

impl Depth {
    /// From COLORTERM, TERM and NO_COLOR.
    pub fn detect() -> Self {
        let env = |name: &str| std::env::var(name).unwrap_or_default();
        let term = env("TERM");
        if !env("NO_COLOR").is_empty() || term == "dumb" || term.ends_with("-m") || term == "vt100" {
            Self::None
        } else if matches!(env("COLORTERM").as_str(), "truecolor" | "24bit") || term.contains("direct") {
            Self::True
        } else {
            Self::Indexed
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    text: Color,
    dim: Color,
    accent: Color,
    good: Color,
    warn: Color,
    bad: Color,
}

/// The embedded themes, by name.
pub const THEMES: [(&str, &str); 4] = [
    ("default", include_str!("../themes/default.toml")),
    ("dark", include_str!("../themes/dark.toml")),
    ("light", include_str!("../themes/light.toml")),
    ("mono", include_str!("../themes/mono.toml")),
];

/// What each role looks like.
#[derive(Debug, Clone, Copy)]
pub struct Theme {
    /// Plain text.
    pub text: Style,
    /// Labels, borders, old curves.
    pub dim: Style,
    /// Titles and the current curve.
    pub accent: Style,
    /// Good states.
    pub good: Style,
    /// Warnings and what is pending.
    pub warn: Style,
    /// Failures.
    pub bad: Style,
    /// Colours of the terminal.
    pub depth: Depth,
    /// Borders in ASCII.
    pub ascii: bool,
}

impl Theme {
    /// The theme of that name.
    ///
    /// # Errors
    /// When there is none; the sentence lists them.
    pub fn named(name: &str, depth: Depth, ascii: bool) -> Result<Self> {
        let name = if depth == Depth::None { "mono" } else { name };
        let Some((_, text)) = THEMES.iter().find(|t| t.0 == name) else {
            let names: Vec<&str> = THEMES.iter().map(|t| t.0).collect();
            return Err(Error::user(format!("there is no theme {name:?}; the themes are {}", names.join(", "))));
        };
        let file: File = toml::from_str(text).map_err(|e| Error::fault(format!("theme {name}: {e}")))?;
        let style = |color: Color| Style::new().fg(color);
        let plain = depth == Depth::None;
        let strong = |style: Style| if plain { style.add_modifier(Modifier::BOLD) } else { style };
        Ok(Self {
            text: style(file.text),
            dim: if plain { style(file.dim).add_modifier(Modifier::DIM) } else { style(file.dim) },
            accent: strong(style(file.accent)),
            good: strong(style(file.good)),
            warn: strong(style(file.warn)),
            bad: strong(style(file.bad)),
            depth,
            ascii,
        })
    }

    /// What is selected.
    pub fn selected(&self) -> Style {
        self.text.add_modifier(Modifier::REVERSED)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_theme_parses() {
        for (name, _) in THEMES {
            Theme::named(name, Depth::True, false).unwrap();
        }
        assert!(Theme::named("nope", Depth::True, false).unwrap_err().to_string().contains("default"));
    }
}
