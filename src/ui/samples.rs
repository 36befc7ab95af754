//! A dev document, its reference and what the model writes, with the words that changed marked.

use crate::app::App;
use crate::theme::Theme;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Modifier;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Wrap};

/// Draws as many documents as fit, from the chosen one on.
pub fn draw(app: &App, theme: &Theme, frame: &mut Frame<'_>, area: Rect) {
    let Some(started) = app.started.as_ref().filter(|s| !s.documents.is_empty()) else {
        frame.render_widget(Paragraph::new(Span::styled("no sample documents yet", theme.dim)), area);
        return;
    };
    let count = started.documents.len();
    let mut lines: Vec<Line<'_>> = Vec::new();
    for i in 0..count {
        let at = (app.document + i) % count;
        let document = &started.documents[at];
        lines.push(Line::from(vec![
            Span::styled(format!("{} ", document.id), theme.accent),
            Span::styled(format!("{}/{count}", at + 1), theme.dim),
        ]));
        // The first document in full as far as it fits, the others in short.
        let limit = if i == 0 {
            usize::from(area.width) * usize::from(area.height / 4).max(1)
        } else {
            usize::from(area.width)
        };
        lines.extend(cut(&document.document, limit).lines().map(|l| Line::styled(l.to_owned(), theme.dim)));
        lines.push(Line::from(vec![
            Span::styled("reference  ", theme.dim),
            Span::styled(document.reference.clone(), theme.good),
        ]));
        match app.samples.get(&at).and_then(|s| s.latest.as_ref().map(|l| (l, &s.before))) {
            None => lines.push(Line::styled("model      not written yet", theme.dim)),
            Some(((method, sample), before)) => {
                let mut spans = vec![Span::styled("model      ", theme.dim)];
                spans.extend(changed(&sample.text, before.as_deref(), theme));
                lines.push(Line::from(spans));
                let when = format!("           ROUGE-L {:5.1} · {method}, step {}", sample.rouge_l, sample.step);
                lines.push(Line::styled(when, theme.dim));
            }
        }
        lines.push(Line::default());
    }
    frame.render_widget(Paragraph::new(lines).wrap(Wrap { trim: false }), area);
}

fn cut(text: &str, limit: usize) -> String {
    if text.chars().count() <= limit {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(limit.saturating_sub(1)).collect();
    short.push('…');
    short
}

/// The words of `text`, those that are not in `before` underlined.
fn changed<'a>(text: &str, before: Option<&str>, theme: &Theme) -> Vec<Span<'a>> {
    let old: Option<std::collections::HashSet<&str>> = before.map(|b| b.split_whitespace().collect());
    let mut spans = Vec::new();
    for word in text.split_whitespace() {
        let new = old.as_ref().is_some_and(|old| !old.contains(word));
        let style = if new { theme.warn.add_modifier(Modifier::UNDERLINED) } else { theme.text };
        spans.push(Span::styled(word.to_owned(), style));
        spans.push(Span::raw(" "));
    }
    spans
}
