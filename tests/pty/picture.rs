//! What a terminal shows, as a picture.
#![allow(clippy::unwrap_used)]

use lopper::theme::{Depth, Theme};
use lopper::ui::export;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};

fn color(of: vt100::Color) -> Color {
    match of {
        vt100::Color::Default => Color::Reset,
        vt100::Color::Idx(i) => Color::Indexed(i),
        vt100::Color::Rgb(r, g, b) => Color::Rgb(r, g, b),
    }
}

fn style(cell: &vt100::Cell) -> Style {
    let all = [
        (cell.bold(), Modifier::BOLD),
        (cell.dim(), Modifier::DIM),
        (cell.italic(), Modifier::ITALIC),
        (cell.underline(), Modifier::UNDERLINED),
        (cell.inverse(), Modifier::REVERSED),
    ];
    let plain = Style::new().fg(color(cell.fgcolor())).bg(color(cell.bgcolor()));
    all.into_iter().filter(|(has, _)| *has).fold(plain, |style, (_, modifier)| style.add_modifier(modifier))
}

/// The screen as SVG, as lopper makes pictures of its own.
pub fn svg(screen: &vt100::Screen) -> String {
    let (rows, columns) = (screen.size().0.get(), screen.size().1.get());
    let mut buffer = Buffer::empty(Rect::new(0, 0, columns, rows));
    for row in 0..rows {
        for column in 0..columns {
            let Some(cell) = screen.cell(row, column) else { continue };
            let text = if cell.has_contents() || cell.is_wide_continuation() { cell.contents() } else { " " };
            buffer[(column, row)].set_symbol(text).set_style(style(cell));
        }
    }
    export::svg(&buffer, Theme::find("dark", Depth::True, false).unwrap().picture)
}
