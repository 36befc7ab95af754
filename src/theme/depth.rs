//! How many colours the terminal has, and the nearest one of those.

use ratatui::style::Color;

/// How many colours the terminal has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// 24 bits.
    True,
    /// xterm's 256.
    Indexed,
    /// The terminal's own 16.
    Sixteen,
    /// None, or the user wants none.
    None,
}

/// xterm's default 16 colours; what a terminal really shows is its user's choice.
const ANSI: [((u8, u8, u8), Color); 16] = [
    ((0, 0, 0), Color::Black),
    ((205, 0, 0), Color::Red),
    ((0, 205, 0), Color::Green),
    ((205, 205, 0), Color::Yellow),
    ((0, 0, 238), Color::Blue),
    ((205, 0, 205), Color::Magenta),
    ((0, 205, 205), Color::Cyan),
    ((229, 229, 229), Color::Gray),
    ((127, 127, 127), Color::DarkGray),
    ((255, 0, 0), Color::LightRed),
    ((0, 255, 0), Color::LightGreen),
    ((255, 255, 0), Color::LightYellow),
    ((92, 92, 255), Color::LightBlue),
    ((255, 0, 255), Color::LightMagenta),
    ((0, 255, 255), Color::LightCyan),
    ((255, 255, 255), Color::White),
];

/// The steps of xterm's colour cube.
const CUBE: [u8; 6] = [0, 95, 135, 175, 215, 255];

impl Depth {
    /// From `NO_COLOR`, COLORTERM and TERM.
    pub fn detect() -> Self {
        let env = |name: &str| std::env::var(name).unwrap_or_default();
        Self::of(&env("TERM"), &env("COLORTERM"), !env("NO_COLOR").is_empty())
    }

    /// From the values of TERM and COLORTERM, and whether `NO_COLOR` is set.
    pub fn of(term: &str, color_term: &str, no_color: bool) -> Self {
        let modern = ["kitty", "alacritty", "foot", "ghostty", "wezterm", "direct"];
        if no_color || matches!(term, "" | "dumb" | "unknown") || term.starts_with("vt1") || term.ends_with("-m") {
            Self::None
        } else if matches!(color_term, "truecolor" | "24bit") || modern.iter().any(|m| term.contains(m)) {
            Self::True
        } else if term.contains("256") || !color_term.is_empty() {
            Self::Indexed
        } else {
            // linux, screen, xterm, ansi, rxvt, ... promise no more.
            Self::Sixteen
        }
    }

    /// The nearest colour that a terminal of this depth has; `None` where it has none. Names are the
    /// user's own colours and stay.
    pub fn fit(self, color: Color) -> Option<Color> {
        match (self, color) {
            (Self::None, _) => None,
            (Self::Indexed, Color::Rgb(r, g, b)) => Some(Color::Indexed(nearest_indexed((r, g, b)))),
            (Self::Sixteen, Color::Rgb(r, g, b)) => Some(nearest_ansi((r, g, b))),
            (Self::Sixteen, Color::Indexed(i @ 16..)) => Some(nearest_ansi(indexed(i))),
            (_, color) => Some(color),
        }
    }
}

/// What an index of xterm's cube and greys (16 and up) looks like.
pub fn indexed(i: u8) -> (u8, u8, u8) {
    match i {
        0..16 => ANSI[usize::from(i)].0,
        16..232 => {
            let i = usize::from(i - 16);
            (CUBE[i / 36], CUBE[i / 6 % 6], CUBE[i % 6])
        }
        232.. => {
            let grey = 8 + 10 * (i - 232);
            (grey, grey, grey)
        }
    }
}

/// Squared distance, with the eye's weights for red, green and blue.
fn distance(a: (u8, u8, u8), b: (u8, u8, u8)) -> u32 {
    let part = |x: u8, y: u8, weight: u32| weight * u32::from(x.abs_diff(y)).pow(2);
    part(a.0, b.0, 3) + part(a.1, b.1, 6) + part(a.2, b.2, 1)
}

fn nearest_indexed(rgb: (u8, u8, u8)) -> u8 {
    (16..=255).min_by_key(|i| distance(indexed(*i), rgb)).unwrap_or(16)
}

fn nearest_ansi(rgb: (u8, u8, u8)) -> Color {
    ANSI.iter().min_by_key(|(c, _)| distance(*c, rgb)).map_or(Color::Reset, |(_, color)| *color)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_gives_the_depth() {
        for (term, color_term, no_color, depth) in [
            ("xterm-256color", "", false, Depth::Indexed),
            ("xterm-256color", "truecolor", false, Depth::True),
            ("tmux-256color", "", false, Depth::Indexed),
            ("xterm-kitty", "", false, Depth::True),
            ("linux", "", false, Depth::Sixteen),
            ("screen", "", false, Depth::Sixteen),
            ("dumb", "truecolor", false, Depth::None),
            ("", "", false, Depth::None),
            ("xterm-256color", "truecolor", true, Depth::None),
        ] {
            assert_eq!(Depth::of(term, color_term, no_color), depth, "{term} {color_term} {no_color}");
        }
    }

    #[test]
    fn colours_fit_the_terminal() {
        let orange = Color::Rgb(255, 135, 0);
        assert_eq!(Depth::True.fit(orange), Some(orange));
        assert_eq!(Depth::Indexed.fit(orange), Some(Color::Indexed(208)));
        assert_eq!(Depth::Sixteen.fit(Color::Rgb(250, 5, 5)), Some(Color::LightRed));
        assert_eq!(Depth::Sixteen.fit(Color::Indexed(46)), Some(Color::LightGreen));
        assert_eq!(Depth::Sixteen.fit(Color::Cyan), Some(Color::Cyan));
        assert_eq!(Depth::None.fit(Color::Cyan), None);
    }
}
