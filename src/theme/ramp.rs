//! The colours of the heatmap: perceptually ordered, safe for colour-blind eyes, in few levels, so that a
//! cell whose level stays is not sent again. Where colours are few, shades and digits tell the levels apart.

use super::{Depth, Diverging};
use ratatui::style::{Color, Modifier, Style};
use serde::Deserialize;

/// Which colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Name {
    /// From dark violet to yellow (by van der Walt and Smith, CC0).
    Viridis,
    /// The same from yellow to dark violet, for light backgrounds: more is darker.
    ViridisReversed,
    /// From black to white.
    Grey,
}

/// Twelve points of viridis.
const VIRIDIS: [(u8, u8, u8); 12] = [
    (68, 1, 84),
    (72, 33, 115),
    (67, 62, 133),
    (56, 88, 140),
    (45, 112, 142),
    (37, 133, 142),
    (30, 155, 138),
    (43, 176, 127),
    (81, 197, 106),
    (133, 213, 74),
    (194, 223, 35),
    (253, 231, 37),
];

/// Colours of xterm's 256 along viridis, each clearly lighter than the one before.
const VIRIDIS_256: [u8; 10] = [53, 54, 55, 24, 30, 36, 77, 149, 220, 226];

/// Greys of xterm's 256.
const GREY_256: [u8; 10] = [233, 235, 238, 240, 243, 245, 248, 250, 253, 255];

/// The same in sixteen steps, for slow links.
const VIRIDIS_COARSE: [u8; 16] = [53, 54, 55, 24, 25, 30, 31, 36, 72, 77, 113, 149, 184, 220, 226, 227];
const GREY_COARSE: [u8; 16] = [232, 234, 235, 237, 238, 240, 241, 243, 245, 246, 248, 249, 251, 252, 254, 255];

/// Background, colour of the shade over it, and the shade: from black over blue and cyan to white.
const SIXTEEN: [(Color, Color, char); 10] = [
    (Color::Black, Color::Blue, ' '),
    (Color::Black, Color::Blue, '▒'),
    (Color::Blue, Color::Cyan, ' '),
    (Color::Blue, Color::Cyan, '░'),
    (Color::Blue, Color::Cyan, '▒'),
    (Color::Blue, Color::Cyan, '▓'),
    (Color::Cyan, Color::Gray, ' '),
    (Color::Cyan, Color::Gray, '▒'),
    (Color::Gray, Color::White, ' '),
    (Color::White, Color::White, ' '),
];

/// More is more ink.
const SHADES: [&str; 10] = ["  ", " .", " ░", "░░", "░▒", "▒▒", "▒▓", "▓▓", "▓█", "██"];

/// A ramp as a terminal can show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ramp {
    name: Name,
    depth: Depth,
    ascii: bool,
    coarse: bool,
}

impl Ramp {
    /// The colours `name` for a terminal of `depth`; levels as digits where it has few colours and `ascii`.
    pub fn new(name: Name, depth: Depth, ascii: bool) -> Self {
        Self { name, depth, ascii, coarse: false }
    }

    /// The ramp for a slow link: sixteen indexed colours where there are that many, as backgrounds only.
    #[must_use]
    pub fn coarse(self) -> Self {
        let depth = if self.depth == Depth::True { Depth::Indexed } else { self.depth };
        Self { depth, coarse: true, ..self }
    }

    /// Whether it is that for a slow link.
    pub fn is_coarse(self) -> bool {
        self.coarse
    }

    /// The ramp of signed values for the same terminal.
    pub fn diverging(self) -> Diverging {
        Diverging::new(self.name == Name::ViridisReversed, self.depth, self.ascii)
    }

    /// How many levels can be told apart.
    pub fn levels(self) -> usize {
        match self.depth {
            Depth::True => 24,
            Depth::Indexed if self.coarse => 16,
            _ => 10,
        }
    }

    /// The level of a share of the range, 0 to 1.
    pub fn level(self, share: f32) -> usize {
        let levels = self.levels();
        ((share.clamp(0.0, 1.0) * levels as f32) as usize).min(levels - 1)
    }

    /// What `width` columns of a level look like.
    pub fn paint(self, level: usize, width: usize) -> (String, Style) {
        let level = level.min(self.levels() - 1);
        match self.depth {
            Depth::Indexed if self.coarse => {
                let back = self.background(level).map_or(Style::new(), |back| Style::new().bg(back));
                (" ".repeat(width), back)
            }
            Depth::True | Depth::Indexed => (" ".repeat(width), self.behind(level)),
            _ if self.ascii => {
                let digit = char::from_digit(level as u32, 10).unwrap_or('?');
                (format!("{digit:^width$}"), self.behind(level))
            }
            Depth::Sixteen => {
                let (back, front, shade) = SIXTEEN[self.index(level)];
                (shade.to_string().repeat(width), Style::new().fg(front).bg(back))
            }
            // The second character is the denser one.
            Depth::None => {
                let shade = SHADES[level];
                let text = if width == 1 { shade.chars().skip(1).collect() } else { shade.repeat(width.div_ceil(2)) };
                (text.chars().take(width).collect(), Style::new())
            }
        }
    }

    /// The style of text on a level: readable on it.
    pub fn behind(self, level: usize) -> Style {
        let level = level.min(self.levels() - 1);
        let Some(back) = self.background(level) else { return Style::new() };
        let front = match (self.depth, self.is_dark(level)) {
            (Depth::True, true) => Color::Rgb(245, 245, 245),
            (Depth::True, false) => Color::Rgb(10, 10, 10),
            (Depth::Indexed, true) => Color::Indexed(255),
            (Depth::Indexed, false) => Color::Indexed(16),
            (_, true) => Color::White,
            (_, false) => Color::Black,
        };
        Style::new().bg(back).fg(front)
    }

    /// The style of the cursor's marks on a level.
    pub fn cursor(self, level: usize) -> Style {
        let style = self.behind(level).add_modifier(Modifier::BOLD);
        if self.depth == Depth::None { style.add_modifier(Modifier::REVERSED) } else { style }
    }

    fn index(self, level: usize) -> usize {
        if self.name == Name::ViridisReversed { self.levels() - 1 - level } else { level }
    }

    fn is_dark(self, level: usize) -> bool {
        let share = self.index(level) as f32 / (self.levels() - 1) as f32;
        match self.depth {
            Depth::Sixteen => self.index(level) < 6,
            _ => share < 0.5,
        }
    }

    /// Background of a level, `None` where there are no colours.
    pub fn background(self, level: usize) -> Option<Color> {
        let i = self.index(level.min(self.levels() - 1));
        match (self.depth, self.name) {
            (Depth::None, _) => None,
            (Depth::Sixteen, _) => Some(SIXTEEN[i].0),
            (Depth::Indexed, Name::Grey) if self.coarse => Some(Color::Indexed(GREY_COARSE[i])),
            (Depth::Indexed, _) if self.coarse => Some(Color::Indexed(VIRIDIS_COARSE[i])),
            (Depth::Indexed, Name::Grey) => Some(Color::Indexed(GREY_256[i])),
            (Depth::Indexed, _) => Some(Color::Indexed(VIRIDIS_256[i])),
            (Depth::True, Name::Grey) => {
                let grey = (10.0 + 245.0 * i as f32 / (self.levels() - 1) as f32) as u8;
                Some(Color::Rgb(grey, grey, grey))
            }
            (Depth::True, _) => {
                let at = i as f32 / (self.levels() - 1) as f32 * (VIRIDIS.len() - 1) as f32;
                let (from, to) = (VIRIDIS[at as usize], VIRIDIS[(at as usize + 1).min(VIRIDIS.len() - 1)]);
                let mix = |a: u8, b: u8| (f32::from(a) + (f32::from(b) - f32::from(a)) * at.fract()).round() as u8;
                Some(Color::Rgb(mix(from.0, to.0), mix(from.1, to.1), mix(from.2, to.2)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::theme::depth::indexed;
    use std::collections::HashSet;

    const DEPTHS: [Depth; 4] = [Depth::True, Depth::Indexed, Depth::Sixteen, Depth::None];
    const NAMES: [Name; 3] = [Name::Viridis, Name::ViridisReversed, Name::Grey];

    #[test]
    fn every_level_looks_different_at_every_depth() {
        for name in NAMES {
            for depth in DEPTHS {
                for ascii in [false, true] {
                    let ramp = Ramp::new(name, depth, ascii);
                    let looks: HashSet<String> =
                        (0..ramp.levels()).map(|level| format!("{:?}", ramp.paint(level, 2))).collect();
                    assert_eq!(looks.len(), ramp.levels(), "{name:?} {depth:?} {ascii}");
                    for width in 1..7 {
                        assert!((0..ramp.levels()).all(|l| ramp.paint(l, width).0.chars().count() == width));
                    }
                }
            }
        }
    }

    #[test]
    fn over_a_slow_link_a_cell_is_a_background() {
        for name in NAMES {
            let ramp = Ramp::new(name, Depth::True, false).coarse();
            assert_eq!(ramp.levels(), 16);
            let looks: HashSet<String> = (0..16).map(|level| format!("{:?}", ramp.paint(level, 3))).collect();
            assert_eq!(looks.len(), 16);
            let (text, style) = ramp.paint(3, 3);
            assert!(text == "   " && style.fg.is_none() && matches!(style.bg, Some(Color::Indexed(_))));
        }
        assert_eq!(Ramp::new(Name::Viridis, Depth::Sixteen, false).coarse().levels(), 10);
    }

    #[test]
    fn the_colours_grow_lighter_with_the_value() {
        let light = |color: Option<Color>| {
            let (r, g, b) = match color {
                Some(Color::Rgb(r, g, b)) => (r, g, b),
                Some(Color::Indexed(i)) => indexed(i),
                other => panic!("{other:?}"),
            };
            let linear = |x: u8| (f64::from(x) / 255.0).powf(2.2);
            0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b)
        };
        for name in [Name::Viridis, Name::Grey] {
            for depth in [Depth::True, Depth::Indexed] {
                let ramp = Ramp::new(name, depth, false);
                for ramp in [ramp, ramp.coarse()] {
                    let all: Vec<f64> = (0..ramp.levels()).map(|l| light(ramp.background(l))).collect();
                    assert!(all.windows(2).all(|w| w[0] < w[1]), "{name:?} {depth:?} {all:?}");
                }
            }
        }
    }

    #[test]
    fn shares_beyond_the_range_take_the_end_levels() {
        let ramp = Ramp::new(Name::Viridis, Depth::Indexed, false);
        assert_eq!([-1.0, 0.0, 0.55, 1.0, 2.0, f32::NAN].map(|s| ramp.level(s)), [0, 0, 5, 9, 9, 0]);
    }
}
