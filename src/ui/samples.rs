//! Dev documents, their references and what each stage's model wrote of them.

use super::fit;
use crate::app::{App, Written};
use crate::theme::Theme;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;
use std::collections::HashSet;
use unicode_segmentation::UnicodeSegmentation;

/// Columns of the labels at the left.
const LABEL: usize = 11;

/// Draws the chosen document in full, then the others as far as they fit.
pub fn draw(app: &App, theme: &Theme, frame: &mut Frame<'_>, area: Rect) {
    let count = app.started.as_ref().map_or(0, |s| s.documents.len());
    if count == 0 {
        let text = if app.started.is_some() { "this run writes no sample summaries" } else { "waiting for the worker" };
        frame.render_widget(Line::styled(text, theme.dim), area);
        return;
    }
    let (width, height) = (usize::from(area.width), usize::from(area.height));
    let mut lines: Vec<Line<'static>> = Vec::new();
    for i in 0..count {
        let block = document(app, theme, (app.document + i) % count, width, height, i == 0);
        // A document that would be cut off is left out, but for the first.
        let gap = usize::from(i > 0);
        if i > 0 && lines.len() + gap + block.len() > height {
            break;
        }
        lines.extend(std::iter::repeat_n(Line::default(), gap));
        lines.extend(block);
    }
    frame.render_widget(Paragraph::new(lines), area);
}

/// The lines of one document; the one that is not `chosen` in short.
fn document(app: &App, theme: &Theme, at: usize, width: usize, height: usize, chosen: bool) -> Vec<Line<'static>> {
    let Some(document) = app.started.as_ref().and_then(|s| s.documents.get(at)) else { return Vec::new() };
    let count = app.started.as_ref().map_or(0, |s| s.documents.len());
    let written = app.samples.get(&at).map_or(&[][..], Vec::as_slice);
    let name = if chosen { theme.title() } else { theme.accent };
    let head = vec![fit::fact(document.id.clone(), name, 9), fit::fact(format!("{} of {count}", at + 1), theme.dim, 8)];
    let mut lines = vec![fit::facts(head, "  ", width)];
    let words = words(&document.reference);
    let text_width = width.saturating_sub(LABEL).max(8);
    let most = if chosen { (height / 3).max(1) } else { 2 };
    let body = fit::limit(fit::wrap(&[(&document.document, theme.dim)], text_width), most, text_width, theme);
    labelled("document", theme, body, &mut lines);
    let reference = fit::limit(fit::wrap(&[(&document.reference, theme.good)], text_width), 3, text_width, theme);
    labelled("reference", theme, reference, &mut lines);
    if written.is_empty() {
        labelled("model", theme, vec![Line::styled("not written yet", theme.dim)], &mut lines);
    }
    let newest = written.len().saturating_sub(1);
    for (i, one) in written.iter().enumerate().rev() {
        if chosen || i == newest {
            lines.extend(summary(one, i == newest, &words, theme, text_width));
        }
    }
    lines
}

/// A summary under its ROUGE-L, method and step; words that the reference has too stand out.
fn summary(
    one: &Written,
    newest: bool,
    reference: &HashSet<String>,
    theme: &Theme,
    width: usize,
) -> Vec<Line<'static>> {
    let pieces: Vec<(&str, Style)> = one
        .text
        .split_word_bounds()
        .map(|word| (word, if reference.contains(&word.to_lowercase()) { theme.good } else { theme.text }))
        .collect();
    let text = fit::limit(fit::wrap(&pieces, width), 3, width, theme);
    let step = if one.step > 0 { format!(", step {}", one.step) } else { String::new() };
    let style = if newest { theme.text } else { theme.dim };
    let source = fit::cut(&format!("{}{step}", one.method), width, theme);
    let mut lines = Vec::new();
    for (i, mut line) in std::iter::once(Line::styled(source, theme.dim)).chain(text).enumerate() {
        let label = if i == 0 {
            format!("{:<width$}", format!("R-L {:>5.1}", one.rouge_l), width = LABEL)
        } else {
            " ".repeat(LABEL)
        };
        line.spans.insert(0, Span::styled(label, if newest { style.add_modifier(Modifier::BOLD) } else { style }));
        // The line's own style belongs to the text, not to the label.
        let own = std::mem::take(&mut line.style);
        for span in line.spans.iter_mut().skip(1) {
            span.style = own.patch(span.style);
        }
        lines.push(line);
    }
    lines
}

fn labelled(label: &str, theme: &Theme, body: Vec<Line<'static>>, lines: &mut Vec<Line<'static>>) {
    for (i, mut line) in body.into_iter().enumerate() {
        let label = if i == 0 { label } else { "" };
        line.spans.insert(0, Span::styled(format!("{label:<LABEL$}"), theme.dim));
        lines.push(line);
    }
}

/// The words of a text, as ROUGE compares them: in lower case, without punctuation.
fn words(text: &str) -> HashSet<String> {
    text.unicode_words().map(str::to_lowercase).collect()
}
