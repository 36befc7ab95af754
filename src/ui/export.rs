//! The screen as a picture: self-contained SVG from the cells.

use ratatui::buffer::Buffer;
use ratatui::style::{Color, Modifier};
use std::fmt::Write;

/// Size of a cell.
const CELL: (f64, f64) = (8.4, 17.0);
const BACKGROUND: &str = "#14161b";
const TEXT: &str = "#d0d4dc";

/// xterm's 16 colours as most terminals show them.
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
        Color::Indexed(i @ 16..232) => {
            let step = |n: u8| if n == 0 { 0 } else { 55 + 40 * u32::from(n) };
            let i = i - 16;
            Some(format!("#{:02x}{:02x}{:02x}", step(i / 36), step(i / 6 % 6), step(i % 6)))
        }
        Color::Indexed(i) => {
            let grey = 8 + 10 * u32::from(i - 232);
            Some(format!("#{grey:02x}{grey:02x}{grey:02x}"))
        }
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// The cells of `buffer` as an SVG document.
pub fn svg(buffer: &Buffer) -> String {
    let area = buffer.area;
    let (width, height) = (f64::from(area.width) * CELL.0 + 16.0, f64::from(area.height) * CELL.1 + 16.0);
    let mut out = String::new();
    let _ = writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" viewBox=\"0 0 {width:.0} {height:.0}\" font-family=\"DejaVu Sans Mono, Menlo, Consolas, monospace\" font-size=\"14\">\n<rect width=\"100%\" height=\"100%\" rx=\"6\" fill=\"{BACKGROUND}\"/>"
    );
    for y in 0..area.height {
        for x in 0..area.width {
            let Some(cell) = buffer.cell((area.x + x, area.y + y)) else { continue };
            let mut fg = hex(cell.fg).unwrap_or_else(|| TEXT.into());
            let mut bg = hex(cell.bg);
            if cell.modifier.contains(Modifier::REVERSED) {
                let old = bg.take().unwrap_or_else(|| BACKGROUND.into());
                bg = Some(fg);
                fg = old;
            }
            let (left, top) = (8.0 + f64::from(x) * CELL.0, 8.0 + f64::from(y) * CELL.1);
            if let Some(bg) = bg {
                let _ = writeln!(
                    out,
                    "<rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"{bg}\"/>",
                    CELL.0 + 0.2,
                    CELL.1 + 0.2
                );
            }
            let symbol = cell.symbol();
            if !symbol.trim().is_empty() {
                let bold = if cell.modifier.contains(Modifier::BOLD) { " font-weight=\"bold\"" } else { "" };
                let under =
                    if cell.modifier.contains(Modifier::UNDERLINED) { " text-decoration=\"underline\"" } else { "" };
                let _ = writeln!(
                    out,
                    "<text x=\"{left:.1}\" y=\"{:.1}\" fill=\"{fg}\"{bold}{under}>{}</text>",
                    top + 13.0,
                    escape(symbol)
                );
            }
        }
    }
    out.push_str("</svg>\n");
    out
}
