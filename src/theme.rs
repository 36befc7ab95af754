//! Colours by role, the ramp of the heatmap and the glyphs, as far as the terminal can show them.

pub mod depth;
pub mod diverging;
pub mod file;
pub mod glyphs;
pub mod ramp;
pub mod shelf;

pub use depth::Depth;
pub use diverging::Diverging;
pub use glyphs::Glyphs;
pub use ramp::Ramp;
pub use shelf::Shelf;

use crate::Result;
use file::Roles;
use ratatui::style::{Color, Modifier, Style};

/// The embedded themes, by name.
pub const THEMES: [(&str, &str); 5] = [
    ("default", include_str!("../themes/default.toml")),
    ("dark", include_str!("../themes/dark.toml")),
    ("light", include_str!("../themes/light.toml")),
    ("high-contrast", include_str!("../themes/high-contrast.toml")),
    ("mono", include_str!("../themes/mono.toml")),
];

/// What each role looks like.
#[derive(Debug, Clone)]
pub struct Theme {
    /// Its name, or the path of its file.
    pub name: String,
    /// The files that it came from, and when they were written.
    pub files: shelf::Files,
    /// Plain text.
    pub text: Style,
    /// Labels, borders, hints.
    pub dim: Style,
    /// Titles, keys, the cursor's row and column.
    pub accent: Style,
    /// Good states, and words of a summary that the reference has too.
    pub good: Style,
    /// Warnings and what is pending.
    pub warn: Style,
    /// Failures.
    pub bad: Style,
    /// Curves: training, dev, then earlier stages.
    pub series: [Style; 6],
    /// Background and text of pictures; a terminal has its own.
    pub picture: (Color, Color),
    /// Colours of the heatmap.
    pub ramp: Ramp,
    /// Colours of the terminal.
    pub depth: Depth,
    /// Characters that are drawn with.
    pub glyphs: Glyphs,
}

impl Theme {
    /// The embedded theme of that name, or the one in that file (a name with a `/` or `.toml` in it).
    ///
    /// # Errors
    /// When there is none, or its file is wrong; the sentence says where.
    pub fn find(name: &str, depth: Depth, ascii: bool) -> Result<Self> {
        Shelf::default().find(name, depth, ascii)
    }

    /// The roles as a terminal of `depth` shows them.
    pub fn new(roles: &Roles, depth: Depth, ascii: bool) -> Self {
        let plain = depth == Depth::None;
        let style = |color: Color| depth.fit(color).map_or(Style::new(), |c| Style::new().fg(c));
        // Without colours weight has to tell the roles apart.
        let strong = |color: Color| if plain { Style::new().add_modifier(Modifier::BOLD) } else { style(color) };
        Self {
            name: String::new(),
            files: shelf::Files::default(),
            text: style(roles.text),
            dim: if plain { Style::new().add_modifier(Modifier::DIM) } else { style(roles.dim) },
            accent: strong(roles.accent),
            good: strong(roles.good),
            warn: strong(roles.warn),
            bad: strong(roles.bad),
            series: roles.series.map(style),
            picture: roles.picture,
            ramp: Ramp::new(roles.ramp, depth, ascii),
            depth,
            glyphs: if ascii { glyphs::ASCII } else { glyphs::UNICODE },
        }
    }

    /// The theme for a slow link: fewer colours in the heatmap.
    #[must_use]
    pub fn for_slow_link(self) -> Self {
        Self { ramp: self.ramp.coarse(), ..self }
    }

    /// What is selected.
    pub fn selected(&self) -> Style {
        self.accent.add_modifier(Modifier::REVERSED)
    }

    /// `style` on the row under the cursor: reversed, and what is dim elsewhere as bright as the rest, so that it is one bar.
    pub fn under_cursor(&self, style: Style) -> Style {
        let style = if style.fg == self.dim.fg { style.patch(self.text) } else { style };
        style.remove_modifier(Modifier::DIM).add_modifier(Modifier::REVERSED)
    }

    /// Titles.
    pub fn title(&self) -> Style {
        self.accent.add_modifier(Modifier::BOLD)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_row_under_the_cursor_is_one_bar() {
        for depth in [Depth::True, Depth::Sixteen, Depth::None] {
            let theme = Theme::find("dark", depth, false).unwrap();
            let bar = theme.text.add_modifier(Modifier::REVERSED);
            let [text, dim, good] = [theme.text, theme.dim, theme.good].map(|style| theme.under_cursor(style));
            assert_eq!((text.fg, text.add_modifier), (bar.fg, bar.add_modifier));
            assert_eq!((dim.fg, dim.add_modifier), (bar.fg, bar.add_modifier));
            assert_eq!(good.fg, theme.good.fg, "what tells something keeps its colour");
        }
    }

    #[test]
    fn every_theme_parses_at_every_depth() {
        for (name, _) in THEMES {
            for depth in [Depth::True, Depth::Indexed, Depth::Sixteen, Depth::None] {
                let theme = Theme::find(name, depth, false).unwrap();
                if theme.depth == Depth::None {
                    for style in [theme.text, theme.dim, theme.accent, theme.bad, theme.series[0]] {
                        assert_eq!((style.fg, style.bg), (None, None), "{name}");
                    }
                }
            }
        }
        let sentence = Theme::find("nope", Depth::True, false).unwrap_err().to_string();
        assert!(sentence.contains("\"nope\"") && sentence.contains("high-contrast"), "{sentence}");
    }
}
