//! The characters that the screen is drawn with: in ASCII for terminals in which box characters take two cells.

use ratatui::symbols::border;

/// A set of characters; every one is a single cell wide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Glyphs {
    /// Borders of panes.
    pub border: border::Set<'static>,
    /// Horizontal line.
    pub line: &'static str,
    /// Done part of a progress bar.
    pub full: &'static str,
    /// Open part of a progress bar.
    pub open: &'static str,
    /// Text was cut here.
    pub ellipsis: &'static str,
    /// Between facts in a line.
    pub dot: &'static str,
    /// The cursor around a cell, left and right.
    pub cursor: [&'static str; 2],
    /// The cursor on a cell of one column.
    pub small_cursor: &'static str,
    /// No value.
    pub none: &'static str,
    /// Something is pending here.
    pub pending: &'static str,
    /// Something is a draft here.
    pub draft: &'static str,
    /// Around a selected cell, left and right.
    pub chosen: [&'static str; 2],
    /// A selected cell of one column.
    pub small_chosen: &'static str,
    /// From one value to another.
    pub arrow: &'static str,
    /// More to the left, right, above and below.
    pub more: [&'static str; 4],
    /// States: running, paused, finished, stopped, failed, created.
    pub states: [&'static str; 6],
    /// Sample swatches of a raw, a smooth and a dev curve, and one of an earlier stage.
    pub swatches: [&'static str; 4],
    /// A dev evaluation in the chart.
    pub point: &'static str,
    /// Axis: vertical, corner, horizontal, tick on the vertical, tick on the horizontal.
    pub axis: [&'static str; 5],
    /// Small values to large ones, in one cell each.
    pub spark: [&'static str; 8],
    /// Whether curves are drawn with braille dots.
    pub braille: bool,
}

const ASCII_BORDER: border::Set<'static> = border::Set {
    top_left: "+",
    top_right: "+",
    bottom_left: "+",
    bottom_right: "+",
    vertical_left: "|",
    vertical_right: "|",
    horizontal_top: "-",
    horizontal_bottom: "-",
};

/// For terminals that draw Unicode.
pub const UNICODE: Glyphs = Glyphs {
    border: border::ROUNDED,
    line: "─",
    full: "━",
    open: "─",
    ellipsis: "…",
    dot: "·",
    cursor: ["[", "]"],
    small_cursor: "+",
    none: "·",
    pending: "*",
    draft: "!",
    chosen: ["(", ")"],
    small_chosen: "=",
    arrow: "→",
    more: ["‹", "›", "↑", "↓"],
    states: ["▶", "‖", "✓", "■", "✗", "○"],
    swatches: ["⠂⠄", "──", "─●", "┄┄"],
    point: "●",
    axis: ["│", "└", "─", "┤", "┬"],
    spark: ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"],
    braille: true,
};

/// For all others.
pub const ASCII: Glyphs = Glyphs {
    border: ASCII_BORDER,
    line: "-",
    full: "#",
    open: ".",
    ellipsis: "~",
    dot: "|",
    cursor: ["[", "]"],
    small_cursor: "+",
    none: ".",
    pending: "*",
    draft: "!",
    chosen: ["(", ")"],
    small_chosen: "=",
    arrow: ">",
    more: ["<", ">", "^", "v"],
    states: [">", "=", "*", "-", "!", "."],
    swatches: ["..", "--", "-o", "- "],
    point: "o",
    axis: ["|", "+", "-", "+", "+"],
    spark: ["_", ".", ":", "-", "=", "+", "*", "#"],
    braille: false,
};

#[cfg(test)]
mod tests {
    use super::*;
    use unicode_width::UnicodeWidthStr;

    #[test]
    fn every_glyph_is_one_cell_and_the_ascii_set_is_ascii() {
        for glyphs in [UNICODE, ASCII] {
            let singles = [glyphs.line, glyphs.full, glyphs.open, glyphs.ellipsis, glyphs.dot, glyphs.none];
            let rest =
                [glyphs.pending, glyphs.draft, glyphs.small_chosen, glyphs.arrow, glyphs.small_cursor, glyphs.point];
            let all = singles
                .iter()
                .chain(&rest)
                .chain(&glyphs.cursor)
                .chain(&glyphs.chosen)
                .chain(&glyphs.more)
                .chain(&glyphs.states);
            for glyph in all.chain(&glyphs.axis).chain(&glyphs.spark) {
                assert_eq!(glyph.width(), 1, "{glyph}");
                assert!(glyphs.braille || glyph.is_ascii(), "{glyph}");
            }
            for swatch in glyphs.swatches {
                assert_eq!(swatch.width(), 2, "{swatch}");
                assert!(glyphs.braille || swatch.is_ascii(), "{swatch}");
            }
        }
    }
}
