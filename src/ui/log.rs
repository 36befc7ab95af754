//! What was said, the newest at the bottom.

use super::fit;
use crate::app::{App, Tone};
use crate::theme::Theme;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

/// How a tone looks.
pub fn style(theme: &Theme, tone: Tone) -> Style {
    match tone {
        Tone::Plain => theme.text,
        Tone::Good => theme.good,
        Tone::Warn => theme.warn,
        Tone::Bad => theme.bad,
    }
}

/// Draws the lines that fit, from the end or from where it is scrolled to.
pub fn draw(app: &App, theme: &Theme, frame: &mut Frame<'_>, area: Rect) {
    let Some(start) = app.log.front().map(|n| n.t) else {
        frame.render_widget(Line::styled("nothing was said yet", theme.dim), area);
        return;
    };
    let (width, height) = (usize::from(area.width), usize::from(area.height));
    let times: Vec<String> =
        [app.log.back(), app.log.front()].iter().flatten().map(|n| fit::duration(n.t - start)).collect();
    let column = times.iter().map(String::len).max().unwrap_or(0).max(5) + 1;
    let mut lines: Vec<Line<'static>> = Vec::new();
    let shown = app.log.len().saturating_sub(app.log_back).max(1);
    // From the newest upwards until the pane is full.
    for note in app.log.iter().take(shown).rev() {
        let time = format!("+{:<column$}", fit::duration(note.t - start));
        let indent = time.len() + 1;
        let body = fit::wrap(&[(&note.text, style(theme, note.tone))], width.saturating_sub(indent));
        for (i, mut line) in body.into_iter().enumerate().rev() {
            let left = if i == 0 { format!("{time} ") } else { " ".repeat(indent) };
            line.spans.insert(0, Span::styled(left, theme.dim));
            lines.push(line);
        }
        if lines.len() >= height {
            break;
        }
    }
    lines.truncate(height);
    lines.reverse();
    frame.render_widget(Paragraph::new(lines), area);
}
