//! Methods and their scores.

use crate::app::App;
use crate::theme::Theme;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

/// Draws the rows so far; the best ROUGE-L and the lowest loss stand out.
pub fn draw(app: &App, theme: &Theme, frame: &mut Frame<'_>, area: Rect) {
    let Some(report) = &app.report else {
        frame.render_widget(Paragraph::new(Span::styled("no method is scored yet", theme.dim)), area);
        return;
    };
    let name = report
        .rows
        .iter()
        .map(|r| r.method.len())
        .max()
        .unwrap_or(6)
        .clamp(6, usize::from(area.width).saturating_sub(38).max(6));
    let best = report.rows.iter().map(|r| r.rouge.rouge_l).fold(f64::MIN, f64::max);
    let lowest = report.rows.iter().map(|r| r.loss).fold(f64::MAX, f64::min);
    let mut lines = vec![Line::styled(
        format!("{:<name$}  {:>6} {:>6} {:>6} {:>6} {:>8}", "method", "loss", "R-1", "R-2", "R-L", "sparsity"),
        theme.dim,
    )];
    for row in &report.rows {
        let mark = |good: bool| if good { theme.good } else { theme.text };
        let method: String = row.method.chars().take(name).collect();
        lines.push(Line::from(vec![
            Span::styled(format!("{method:<name$}  "), theme.text),
            Span::styled(format!("{:>6.3} ", row.loss), mark(row.loss <= lowest)),
            Span::styled(format!("{:>6.2} {:>6.2} ", row.rouge.rouge1, row.rouge.rouge2), theme.text),
            Span::styled(format!("{:>6.2} ", row.rouge.rouge_l), mark(row.rouge.rouge_l >= best)),
            Span::styled(format!("{:>7.1}%", row.sparsity * 100.0), theme.text),
        ]));
    }
    let documents = report.rows.first().map_or(0, |r| r.documents);
    lines.push(Line::styled(
        format!("{} set, {documents} documents; ROUGE F in percent, loss in nats", report.split),
        theme.dim,
    ));
    frame.render_widget(Paragraph::new(lines), area);
}
