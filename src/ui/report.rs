//! Methods and their scores.

use super::fit;
use crate::app::App;
use crate::run::event::{Report, ReportRow};
use crate::text::printable;
use crate::theme::Theme;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

/// Columns of the bars.
const BAR: usize = 12;

/// A column: heading, width, the figure of a row.
type Column = (&'static str, usize, fn(&ReportRow) -> String);

/// The figures, in the order in which they stand; from the right they give way to the names.
const COLUMNS: [Column; 6] = [
    ("R-L", 7, |r| format!("{:.2}", r.rouge.rouge_l)),
    ("R-1", 7, |r| format!("{:.2}", r.rouge.rouge1)),
    ("R-2", 7, |r| format!("{:.2}", r.rouge.rouge2)),
    ("loss", 8, |r| format!("{:.3}", r.loss)),
    ("sparsity", 10, |r| format!("{:.1}%", r.sparsity * 100.0)),
    ("training", 10, |r| if r.seconds > 0.0 { fit::duration(r.seconds) } else { String::new() }),
];

/// Draws the rows so far; the best ROUGE-L and the lowest loss stand out.
pub fn draw(app: &App, theme: &Theme, frame: &mut Frame<'_>, area: Rect) {
    let Some(report) = app.report.as_ref().filter(|r| !r.rows.is_empty()) else {
        let text = if app.state.is_over() { "no method was scored" } else { "no method is scored yet" };
        frame.render_widget(Line::styled(text, theme.dim), area);
        return;
    };
    let width = usize::from(area.width);
    let longest = report.rows.iter().map(|r| fit::width(&r.method)).max().unwrap_or(6).max(6);
    let mut columns = COLUMNS.to_vec();
    if report.encoder.is_some() {
        columns.insert(3, ("BERT", 7, |r| r.bert.map_or(String::new(), |bert| format!("{:.2}", bert.f))));
    }
    let taken = |columns: &[Column]| columns.iter().map(|c| c.1).sum::<usize>();
    while longest + taken(&columns) > width && columns.len() > 1 {
        columns.pop();
    }
    let name = longest.min(width.saturating_sub(taken(&columns)));
    let bars = width >= name + taken(&columns) + BAR + 2;
    let best = report.rows.iter().map(|r| r.rouge.rouge_l).fold(f64::MIN, f64::max);
    let lowest = report.rows.iter().map(|r| r.loss).fold(f64::MAX, f64::min);
    let mut heading = " ".repeat(name);
    for (label, width, _) in &columns {
        heading.push_str(&format!("{label:>width$}"));
    }
    let mut lines = vec![Line::styled(heading, theme.dim)];
    for row in &report.rows {
        let mut spans = vec![Span::styled(fit::pad(&row.method, name, theme), theme.text)];
        for (label, width, figure) in &columns {
            let stands_out = (*label == "R-L" && row.rouge.rouge_l >= best) || (*label == "loss" && row.loss <= lowest);
            let style = if stands_out { theme.good.add_modifier(Modifier::BOLD) } else { theme.text };
            spans.push(Span::styled(format!("{:>width$}", figure(row)), style));
        }
        if bars {
            spans.push(Span::raw("  "));
            spans.extend(bar(row.rouge.rouge_l / best.max(1e-9), theme, row.rouge.rouge_l >= best));
        }
        lines.push(Line::from(spans));
    }
    let documents = report.rows.iter().map(|r| r.documents).max().unwrap_or(0);
    let notes = vec![
        fit::fact(format!("{documents} {} documents", report.split), theme.dim, 9),
        fit::fact("R: ROUGE F, percent", theme.dim, 8),
        fit::fact("loss: nats per token", theme.dim, 7),
    ];
    lines.push(fit::facts(notes, "  ", width));
    lines.extend(cut(report).map(|text| Line::styled(fit::cut(&text, width, theme), theme.dim)));
    frame.render_widget(Paragraph::new(whole(lines, usize::from(area.height), width, theme)), area);
}

/// The lines, where there is room for all; else those that fit, and how many more there are.
fn whole(mut lines: Vec<Line<'static>>, height: usize, width: usize, theme: &Theme) -> Vec<Line<'static>> {
    if lines.len() > height && height > 1 {
        let more = lines.len() + 1 - height;
        lines.truncate(height - 1);
        let text = format!("{} {more} more lines: a larger window shows them", theme.glyphs.ellipsis);
        lines.push(Line::styled(fit::cut(&text, width, theme), theme.dim));
    }
    lines
}

/// How texts are cut for ROUGE; `None` in what an earlier lopper has written.
fn cut(report: &Report) -> Option<String> {
    (!report.tokens.is_empty()).then(|| format!("R over {}", printable(&report.tokens)))
}

/// A share of the best ROUGE-L.
fn bar(share: f64, theme: &Theme, best: bool) -> [Span<'static>; 2] {
    let full = ((share * BAR as f64).round() as usize).min(BAR);
    let style: Style = if best { theme.good } else { theme.accent };
    [Span::styled(theme.glyphs.full.repeat(full), style), Span::styled(theme.glyphs.open.repeat(BAR - full), theme.dim)]
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_room_is_counted() {
        let theme = Theme::find("mono", crate::theme::Depth::None, true).unwrap();
        let text = |height: usize| -> Vec<String> {
            let lines = (0..5).map(|i| Line::from(i.to_string())).collect();
            whole(lines, height, 60, &theme).iter().map(ToString::to_string).collect()
        };
        assert_eq!(text(5), ["0", "1", "2", "3", "4"]);
        assert_eq!(text(3), ["0", "1", "~ 3 more lines: a larger window shows them"]);
        assert_eq!(text(1).len(), 5);
    }

    #[test]
    fn a_report_says_how_rouge_cuts_texts_where_it_knows() {
        let report = Report { tokens: "words\u{1b}[31m".into(), ..Report::default() };
        assert_eq!((cut(&report).as_deref(), cut(&Report::default())), (Some("R over words\\u{1b}[31m"), None));
    }
}
