//! What lies over the panes: help and questions.

use crate::app::{App, Overlay, action};
use crate::theme::Theme;
use ratatui::Frame;
use ratatui::layout::{Constraint, Flex, Layout, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Clear, Paragraph};

fn centred(area: Rect, width: u16, height: u16) -> Rect {
    let [area] = Layout::horizontal([Constraint::Length(width.min(area.width))]).flex(Flex::Center).areas(area);
    let [area] = Layout::vertical([Constraint::Length(height.min(area.height))]).flex(Flex::Center).areas(area);
    area
}

/// Draws the overlay, if there is one.
pub fn draw(app: &App, theme: &Theme, frame: &mut Frame<'_>, area: Rect) {
    let (title, lines) = match app.overlay {
        None => return,
        Some(Overlay::Help) => (" keys ", help(app, theme)),
        Some(Overlay::Stop { yes }) => (" stop ", question(theme, yes)),
    };
    let width = lines.iter().map(Line::width).max().unwrap_or(0) as u16 + 4;
    let place = centred(area, width, lines.len() as u16 + 2);
    let block = super::block(theme, title.to_owned(), true);
    frame.render_widget(Clear, place);
    let inner = block.inner(place);
    frame.render_widget(block, place);
    let inner = Rect { x: inner.x + 1, width: inner.width.saturating_sub(2), ..inner };
    frame.render_widget(Paragraph::new(lines), inner);
}

fn help(app: &App, theme: &Theme) -> Vec<Line<'static>> {
    let all = action::help();
    let column = all.iter().map(|line| line.keys.join(" ").len()).max().unwrap_or(0);
    all.into_iter()
        .map(|line| {
            let style = if line.changes && !app.can_change() { theme.dim } else { theme.text };
            let keys = line.keys.join(" ");
            Line::from(vec![Span::styled(format!("{keys:<column$}  "), theme.accent), Span::styled(line.help, style)])
        })
        .collect()
}

fn question(theme: &Theme, yes: bool) -> Vec<Line<'static>> {
    let (on, off) = (theme.selected(), theme.text);
    vec![
        Line::styled("Stop the run with a checkpoint?", theme.text),
        Line::styled("`lopper resume` goes on from there.", theme.dim),
        Line::default(),
        Line::from(vec![
            Span::styled(" no ", if yes { off } else { on }),
            Span::raw("   "),
            Span::styled(" yes (y) ", if yes { on } else { off }),
        ]),
    ]
}
