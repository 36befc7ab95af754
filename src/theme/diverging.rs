//! The ramp of signed values: from blue over neutral to orange, which colour-blind eyes tell apart. Without
//! colours the sign and a digit say the same.

use super::Depth;
use ratatui::style::{Color, Modifier, Style};

/// Levels on each side of zero.
const SIDE: usize = 5;

/// Minus, zero and plus, for dark backgrounds.
const DARK: [(u8, u8, u8); 3] = [(90, 175, 255), (45, 45, 50), (255, 165, 50)];
/// The same for light ones.
const LIGHT: [(u8, u8, u8); 3] = [(10, 80, 170), (236, 236, 236), (185, 75, 0)];

/// Colours of xterm's 256, from minus to plus.
const INDEXED: [u8; 2 * SIDE + 1] = [81, 74, 67, 60, 239, 236, 94, 130, 172, 208, 215];
/// The same for light backgrounds.
const INDEXED_LIGHT: [u8; 2 * SIDE + 1] = [25, 68, 74, 110, 152, 255, 223, 216, 173, 166, 130];

/// A diverging ramp as a terminal can show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Diverging {
    light: bool,
    depth: Depth,
    ascii: bool,
}

impl Diverging {
    /// For a light or a dark background.
    pub(super) fn new(light: bool, depth: Depth, ascii: bool) -> Self {
        Self { light, depth, ascii }
    }

    /// How many levels there are; the middle one is zero.
    pub fn levels(self) -> usize {
        2 * SIDE + 1
    }

    /// The level of a share of the range, 0 to 1. Only zero itself is neutral.
    pub fn level(self, share: f32) -> usize {
        let signed = (share.clamp(0.0, 1.0) - 0.5) * 2.0;
        let size = ((signed.abs() * SIDE as f32).ceil() as usize).min(SIDE);
        if signed > 0.0 { SIDE + size } else { SIDE - size }
    }

    /// Steps from zero, and whether upwards.
    fn signed(level: usize) -> (usize, bool) {
        let level = level.min(2 * SIDE);
        (level.abs_diff(SIDE), level > SIDE)
    }

    /// What `width` columns of a level look like.
    pub fn paint(self, level: usize, width: usize) -> (String, Style) {
        let style = self.behind(level);
        if matches!(self.depth, Depth::True | Depth::Indexed) {
            return (" ".repeat(width), style);
        }
        let (size, plus) = Self::signed(level);
        let sign = if plus { '+' } else { '-' };
        let text = match (size, width) {
            (0, _) => if self.ascii { "0" } else { "·" }.to_owned(),
            // In one column two sizes of each sign.
            (1..=2, 1) => sign.to_string(),
            (_, 1) => if plus { "#" } else { "=" }.to_owned(),
            _ => format!("{sign}{size}"),
        };
        (format!("{text:^width$}"), style)
    }

    /// The style of text on a level: readable on it.
    pub fn behind(self, level: usize) -> Style {
        let Some(back) = self.background(level) else { return Style::new() };
        let (size, _) = Self::signed(level);
        let dark_text = if self.light { size <= 3 } else { size >= 3 };
        let front = match (self.depth, dark_text) {
            (Depth::True, true) => Color::Rgb(10, 10, 10),
            (Depth::True, false) => Color::Rgb(245, 245, 245),
            (Depth::Indexed, true) => Color::Indexed(16),
            (Depth::Indexed, false) => Color::Indexed(255),
            // Blue is dark, yellow is bright in every palette.
            (_, _) if level > SIDE => Color::Black,
            _ => Color::White,
        };
        Style::new().bg(back).fg(front)
    }

    /// The style of the cursor's marks on a level.
    pub fn cursor(self, level: usize) -> Style {
        let style = self.behind(level).add_modifier(Modifier::BOLD);
        if self.depth == Depth::None { style.add_modifier(Modifier::REVERSED) } else { style }
    }

    fn background(self, level: usize) -> Option<Color> {
        let level = level.min(2 * SIDE);
        let (size, plus) = Self::signed(level);
        match self.depth {
            Depth::None => None,
            Depth::Sixteen => Some(match (size, plus) {
                (0, _) => Color::Black,
                (_, true) => Color::Yellow,
                (_, false) => Color::Blue,
            }),
            Depth::Indexed => Some(Color::Indexed(if self.light { INDEXED_LIGHT[level] } else { INDEXED[level] })),
            Depth::True => {
                let [minus, zero, most] = if self.light { LIGHT } else { DARK };
                let end = if plus { most } else { minus };
                // The first step is seen already.
                let share = if size == 0 { 0.0 } else { 0.15 + 0.85 * size as f32 / SIDE as f32 };
                let mix = |a: u8, b: u8| (f32::from(a) + (f32::from(b) - f32::from(a)) * share).round() as u8;
                Some(Color::Rgb(mix(zero.0, end.0), mix(zero.1, end.1), mix(zero.2, end.2)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_level_looks_different_and_fills_its_width() {
        for depth in [Depth::True, Depth::Indexed, Depth::Sixteen, Depth::None] {
            for (light, ascii) in [(false, false), (true, false), (false, true)] {
                let ramp = Diverging::new(light, depth, ascii);
                let looks: HashSet<String> = (0..ramp.levels()).map(|l| format!("{:?}", ramp.paint(l, 2))).collect();
                assert_eq!(looks.len(), ramp.levels(), "{depth:?} {light}");
                for width in 1..9 {
                    for level in 0..=ramp.levels() {
                        let (text, _) = ramp.paint(level, width);
                        assert_eq!(text.chars().count(), width);
                        assert!(!ascii || text.is_ascii());
                    }
                }
            }
        }
    }

    #[test]
    fn only_zero_is_neutral_and_signs_are_never_mixed_up() {
        let ramp = Diverging::new(false, Depth::None, true);
        assert_eq!([0.0, 0.499, 0.5, 0.501, 1.0].map(|s| ramp.level(s)), [0, 4, 5, 6, 10]);
        assert_eq!([0, 4, 5, 6, 10].map(|l| ramp.paint(l, 2).0), ["-5", "-1", "0 ", "+1", "+5"]);
    }
}
