//! A colour-blind-safe ramp (viridis, by van der Walt and Smith, CC0), in few levels: a cell whose
//! level stays is not sent again.

use super::Depth;
use ratatui::style::Color;

/// Levels of the ramp.
pub const LEVELS: usize = 12;

const RGB: [(u8, u8, u8); LEVELS] = [
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

/// The nearest colours of xterm's 256.
const INDEXED: [u8; LEVELS] = [53, 54, 60, 61, 24, 30, 36, 36, 77, 113, 184, 220];

/// The level of a share of the range, 0 to 1.
pub fn level(share: f32) -> usize {
    ((share.clamp(0.0, 1.0) * LEVELS as f32) as usize).min(LEVELS - 1)
}

/// Background of a level, `None` where there are no colours.
pub fn background(level: usize, depth: Depth) -> Option<Color> {
    let (r, g, b) = RGB[level.min(LEVELS - 1)];
    match depth {
        Depth::True => Some(Color::Rgb(r, g, b)),
        Depth::Indexed => Some(Color::Indexed(INDEXED[level.min(LEVELS - 1)])),
        Depth::None => None,
    }
}

/// A text colour that is readable on the level.
pub fn foreground(level: usize) -> Color {
    if level >= 6 { Color::Black } else { Color::White }
}

/// The level as one digit, for terminals without colours.
pub fn digit(share: f32) -> char {
    char::from_digit(((share.clamp(0.0, 1.0) * 10.0) as u32).min(9), 10).unwrap_or('?')
}
