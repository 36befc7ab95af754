//! The screen as a picture: self-contained SVG from the cells. Backgrounds, blocks, lines and braille are
//! shapes, so that they meet exactly whatever font a viewer has; only letters are text.

use crate::theme::depth;
use ratatui::buffer::{Buffer, Cell};
use ratatui::style::{Color, Modifier};
use std::collections::BTreeMap;
use std::fmt::Write;
use unicode_width::UnicodeWidthStr;

/// Size of a cell.
const CELL: (f64, f64) = (8.4, 17.0);
/// Space around the screen.
const MARGIN: f64 = 8.0;

/// The 16 colours as most terminals' palettes show them.
const ANSI: [&str; 16] = [
    "#1d1f21", "#d0616b", "#8fb573", "#d9b25f", "#6f9fd8", "#b07cc6", "#66b3ba", "#c5c8c6", "#7a8089", "#e5818a",
    "#a5cc86", "#e8c67a", "#8ab4e8", "#c79bd8", "#7fd0d6", "#ffffff",
];

fn hex(color: Color) -> Option<String> {
    let named = |i: usize| Some(ANSI[i].to_owned());
    match color {
        Color::Reset => None,
        Color::Black => named(0),
        Color::Red => named(1),
        Color::Green => named(2),
        Color::Yellow => named(3),
        Color::Blue => named(4),
        Color::Magenta => named(5),
        Color::Cyan => named(6),
        Color::Gray => named(7),
        Color::DarkGray => named(8),
        Color::LightRed => named(9),
        Color::LightGreen => named(10),
        Color::LightYellow => named(11),
        Color::LightBlue => named(12),
        Color::LightMagenta => named(13),
        Color::LightCyan => named(14),
        Color::White => named(15),
        Color::Rgb(r, g, b) => Some(format!("#{r:02x}{g:02x}{b:02x}")),
        Color::Indexed(i @ 0..16) => named(usize::from(i)),
        Color::Indexed(i) => {
            let (r, g, b) = depth::indexed(i);
            Some(format!("#{r:02x}{g:02x}{b:02x}"))
        }
    }
}

/// Red, green and blue of a colour in pictures; `None` for the terminal's own.
pub fn rgb(color: Color) -> Option<(u8, u8, u8)> {
    let hex = hex(color)?;
    let part = |at: usize| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok();
    Some((part(1)?, part(3)?, part(5)?))
}

pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// A number as short as it can be.
fn n(x: f64) -> String {
    let text = format!("{x:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

/// What a cell looks like.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Look {
    front: String,
    back: Option<String>,
    bold: bool,
    underlined: bool,
    faint: bool,
}

fn look(cell: &Cell, background: &str, text: &str) -> Look {
    let mut front = hex(cell.fg).unwrap_or_else(|| text.to_owned());
    let mut back = hex(cell.bg);
    if cell.modifier.contains(Modifier::REVERSED) {
        let old = back.take().unwrap_or_else(|| background.to_owned());
        back = Some(std::mem::replace(&mut front, old));
    }
    Look {
        front,
        back,
        bold: cell.modifier.contains(Modifier::BOLD),
        underlined: cell.modifier.contains(Modifier::UNDERLINED),
        faint: cell.modifier.contains(Modifier::DIM),
    }
}

/// The cells of `buffer` as an SVG document on `background` with `text` in these colours.
pub fn svg(buffer: &Buffer, (background, text): (Color, Color)) -> String {
    let area = buffer.area;
    let background = hex(background).unwrap_or_else(|| ANSI[0].into());
    let text = hex(text).unwrap_or_else(|| ANSI[7].into());
    let (width, height) =
        (f64::from(area.width) * CELL.0 + 2.0 * MARGIN, f64::from(area.height) * CELL.1 + 2.0 * MARGIN);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{w}\" height=\"{h}\" viewBox=\"0 0 {w} {h}\" font-family=\"DejaVu Sans Mono, Menlo, Consolas, monospace\" font-size=\"14\" xml:space=\"preserve\">\n<rect width=\"100%\" height=\"100%\" rx=\"6\" fill=\"{background}\"/>\n",
        w = n(width),
        h = n(height)
    );
    let mut back = String::new();
    let mut shapes: BTreeMap<String, String> = BTreeMap::new();
    let mut letters = String::new();
    for y in 0..area.height {
        let row: Vec<(u16, &Cell, Look)> = (0..area.width)
            .filter_map(|x| buffer.cell((area.x + x, area.y + y)).map(|c| (x, c, look(c, &background, &text))))
            .collect();
        let top = MARGIN + f64::from(y) * CELL.1;
        for run in row.chunk_by(|a, b| a.2.back == b.2.back) {
            let (Some(first), Some(color)) = (run.first(), &run[0].2.back) else { continue };
            let left = MARGIN + f64::from(first.0) * CELL.0;
            let wide = run.len() as f64 * CELL.0;
            let path = format!("M{} {}h{}v{}h-{}z", n(left), n(top), n(wide), n(CELL.1), n(wide));
            let _ = writeln!(back, "<path fill=\"{color}\" shape-rendering=\"crispEdges\" d=\"{path}\"/>");
        }
        // A word at a time: fonts whose letters are a little narrower or wider drift no further than that.
        let mut word: Option<(u16, String, Look)> = None;
        let mut skip = 0;
        for (x, cell, look) in row {
            if skip > 0 {
                skip -= 1;
                continue;
            }
            let symbol = cell.symbol();
            let columns = symbol.width().max(1);
            skip = columns - 1;
            let left = MARGIN + f64::from(x) * CELL.0;
            let drawn = symbol.chars().next().and_then(|c| shape(c, left, top));
            let blank = symbol.trim().is_empty();
            let joins = word.as_ref().is_some_and(|w| w.2 == look) && drawn.is_none() && !blank && columns == 1;
            if !joins && let Some(done) = word.take() {
                letter(&mut letters, &done, top);
            }
            if let Some(path) = drawn {
                let faint = if look.faint { "\" opacity=\".6" } else { "" };
                shapes.entry(format!("{}{faint}", look.front)).or_default().push_str(&path);
            } else if joins {
                if let Some(word) = &mut word {
                    word.1.push_str(symbol);
                }
            } else if columns > 1 {
                // By itself: a font's wide letters need not be twice as wide as its others.
                letter(&mut letters, &(x, symbol.to_owned(), look), top);
            } else if !blank {
                word = Some((x, symbol.to_owned(), look));
            }
        }
        if let Some(done) = word.take() {
            letter(&mut letters, &done, top);
        }
    }
    out.push_str(&back);
    for (color, path) in shapes {
        let _ = writeln!(out, "<path fill=\"{color}\" d=\"{path}\"/>");
    }
    out.push_str(&letters);
    out.push_str("</svg>\n");
    out
}

/// The cells of `buffer` as lines of text, without what is blank at their ends.
pub fn text(buffer: &Buffer) -> String {
    let area = buffer.area;
    let mut out = String::new();
    for y in area.top()..area.bottom() {
        let mut line = String::new();
        let mut skip = 0;
        for x in area.left()..area.right() {
            // The second half of a wide character is no cell of its own.
            if skip > 0 {
                skip -= 1;
                continue;
            }
            let symbol = buffer.cell((x, y)).map_or(" ", Cell::symbol);
            skip = symbol.width().saturating_sub(1);
            line.push_str(symbol);
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

fn letter(out: &mut String, (x, text, look): &(u16, String, Look), top: f64) {
    let bold = if look.bold { " font-weight=\"bold\"" } else { "" };
    let under = if look.underlined { " text-decoration=\"underline\"" } else { "" };
    let faint = if look.faint { " opacity=\".6\"" } else { "" };
    let left = MARGIN + f64::from(*x) * CELL.0;
    let _ = writeln!(
        out,
        "<text x=\"{}\" y=\"{}\" fill=\"{}\"{bold}{under}{faint}>{}</text>",
        n(left),
        n(top + 13.0),
        look.front,
        escape(text)
    );
}

/// The path of a character that is better drawn than written.
fn shape(c: char, left: f64, top: f64) -> Option<String> {
    let (w, h) = CELL;
    let rect = |x: f64, y: f64, w: f64, h: f64| format!("M{} {}h{}v{}h-{}z", n(left + x), n(top + y), n(w), n(h), n(w));
    let (cx, cy) = (w / 2.0, h / 2.0);
    let line = 1.2;
    // Right, left, down, up.
    let arms = |right: bool, to_left: bool, down: bool, up: bool, thick: f64| {
        let mut path = String::new();
        let half = thick / 2.0;
        if right || to_left {
            let from = if to_left { 0.0 } else { cx - half };
            let to = if right { w } else { cx + half };
            path.push_str(&rect(from, cy - half, to - from, thick));
        }
        if down || up {
            let from = if up { 0.0 } else { cy - half };
            let to = if down { h } else { cy + half };
            path.push_str(&rect(cx - half, from, thick, to - from));
        }
        path
    };
    Some(match c {
        '─' => arms(true, true, false, false, line),
        '━' => arms(true, true, false, false, 3.6),
        '┄' => rect(0.5, cy - 0.6, 1.8, line) + &rect(3.3, cy - 0.6, 1.8, line) + &rect(6.1, cy - 0.6, 1.8, line),
        '│' => arms(false, false, true, true, line),
        '╭' | '┌' => arms(true, false, true, false, line),
        '╮' | '┐' => arms(false, true, true, false, line),
        '╰' | '└' => arms(true, false, false, true, line),
        '╯' | '┘' => arms(false, true, false, true, line),
        '┤' => arms(false, true, true, true, line),
        '├' => arms(true, false, true, true, line),
        '┬' => arms(true, true, true, false, line),
        '┴' => arms(true, true, false, true, line),
        '█' => rect(0.0, 0.0, w, h),
        '░' | '▒' | '▓' => shade(c, &rect),
        '●' => {
            let r = 2.9;
            format!("M{} {}a{r} {r} 0 1 0 {d} 0a{r} {r} 0 1 0 -{d} 0z", n(left + cx - r), n(top + cy), d = 2.0 * r)
        }
        '\u{2801}'..='\u{28ff}' => braille(c, &rect),
        _ => return None,
    })
}

/// A quarter, half or three quarters of the cell, in small squares.
fn shade(shade: char, rect: &dyn Fn(f64, f64, f64, f64) -> String) -> String {
    let share = match shade {
        '░' => 1,
        '▒' => 2,
        _ => 3,
    };
    let mut path = String::new();
    let (columns, rows) = (4, 8);
    let (w, h) = (CELL.0 / f64::from(columns), CELL.1 / f64::from(rows));
    for i in 0..columns * rows {
        let (x, y) = (i % columns, i / columns);
        if (x + 2 * y) % 4 < share {
            path.push_str(&rect(f64::from(x) * w, f64::from(y) * h, w, h));
        }
    }
    path
}

fn braille(c: char, rect: &dyn Fn(f64, f64, f64, f64) -> String) -> String {
    let bits = u32::from(c) - 0x2800;
    let places = [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (0, 3), (1, 3)];
    let mut path = String::new();
    for (i, (x, y)) in places.into_iter().enumerate() {
        if bits >> i & 1 == 1 {
            let (x, y) = (f64::from(x) * CELL.0 / 2.0, f64::from(y) * CELL.1 / 4.0);
            path.push_str(&rect(x + 1.2, y + 1.2, 1.9, 1.9));
        }
    }
    path
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use ratatui::layout::Rect;
    use ratatui::style::Style;

    fn picture(text: &str, style: Style) -> String {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 20, 1));
        buffer.set_string(0, 0, text, style);
        svg(&buffer, (Color::Rgb(1, 2, 3), Color::White))
    }

    #[test]
    fn words_are_text_and_lines_are_shapes() {
        let svg = picture("a<b &c ── ⠁", Style::new().fg(Color::Rgb(9, 9, 9)));
        assert!(svg.contains(">a&lt;b</text>") && svg.contains(">&amp;c</text>"), "{svg}");
        assert_eq!(svg.matches("<text").count(), 2);
        assert_eq!(svg.matches("<path").count(), 1);
        assert!(svg.contains("#010203"));
    }

    #[test]
    fn wide_characters_stand_at_their_columns() {
        let svg = picture("重x", Style::new());
        assert!(svg.contains("x=\"8\"") && svg.contains("x=\"24.8\""), "{svg}");
    }

    #[test]
    fn text_has_lines_without_their_blank_ends() {
        let mut buffer = Buffer::empty(Rect::new(3, 2, 8, 3));
        buffer.set_string(3, 2, "重要x", Style::new());
        buffer.set_string(4, 4, "b", Style::new());
        assert_eq!(text(&buffer), "重要x\n\n b\n");
    }

    #[test]
    fn reversed_cells_swap_their_colours() {
        let svg = picture("x", Style::new().fg(Color::Rgb(9, 9, 9)).add_modifier(Modifier::REVERSED));
        assert!(svg.contains("<path fill=\"#090909\"") && svg.contains("fill=\"#010203\">x</text>"), "{svg}");
    }
}
