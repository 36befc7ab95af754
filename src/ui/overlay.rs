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
    let Some(overlay) = &app.overlay else { return };
    let (title, lines): (&str, Vec<Line<'_>>) = match overlay {
        Overlay::Help => {
            let line = |e: &action::Entry| {
                let style = if e.changes && app.read_only { theme.dim } else { theme.text };
                Line::from(vec![
                    Span::styled(format!("{:<14}", e.keys.join(" ")), theme.accent),
                    Span::styled(e.help, style),
                ])
            };
            (" keys ", action::TABLE.iter().map(line).collect())
        }
        Overlay::Confirm { question, yes, .. } => {
            let (on, off) = (theme.selected(), theme.text);
            let answers = Line::from(vec![
                Span::styled(" no ", if *yes { off } else { on }),
                Span::raw("   "),
                Span::styled(" yes (y) ", if *yes { on } else { off }),
            ]);
            (" please confirm ", vec![Line::styled(question.clone(), theme.text), Line::default(), answers])
        }
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
