//! Dev documents, their references and what the model wrote of them, version by version.

use super::fit;
use super::marks::{self, Piece};
use crate::app::watch::reading;
use crate::app::watch::search::Part;
use crate::app::{App, Written};
use crate::theme::{Depth, Theme};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;
use std::collections::HashSet;
use unicode_segmentation::UnicodeSegmentation;

/// Columns of the labels at the left.
const LABEL: usize = 11;
/// Lines of a summary that is not the one on show.
const SHORT: usize = 3;

/// Draws the chosen document, which scrolls under its name, then the others as far as they fit.
pub fn draw(app: &App, theme: &Theme, frame: &mut Frame<'_>, area: Rect) {
    let count = app.started.as_ref().map_or(0, |s| s.documents.len());
    if count == 0 {
        let text = if app.started.is_some() { "this run writes no sample summaries" } else { "waiting for the worker" };
        frame.render_widget(Line::styled(text, theme.dim), area);
        return;
    }
    if area.height == 0 {
        return;
    }
    let width = usize::from(area.width);
    let height = usize::from(area.height) - 1;
    let lines = chosen(app, theme, width);
    let reading = &app.watch.reading;
    let most = lines.len().saturating_sub(height);
    let mut top = reading.top.get().min(most);
    if reading.follow
        && let Some(at) = marks::current(&lines, theme)
        && !(top..top + height).contains(&at)
    {
        top = at.saturating_sub(height / 3).min(most);
    }
    reading.top.set(top);
    frame.render_widget(head(app, theme, app.document, width, (top, most)), area);
    let mut shown: Vec<Line<'static>> = lines.into_iter().skip(top).take(height).collect();
    for i in 1..count {
        let block = other(app, theme, (app.document + i) % count, width);
        // A document that would be cut off is left out.
        if shown.len() + 1 + block.len() > height {
            break;
        }
        shown.push(Line::default());
        shown.extend(block);
    }
    frame.render_widget(Paragraph::new(shown), Rect { y: area.y + 1, height: area.height - 1, ..area });
}

/// Name and number of a document; of the chosen one also the version, the match and how far it is scrolled.
fn head(app: &App, theme: &Theme, at: usize, width: usize, (top, most): (usize, usize)) -> Line<'static> {
    let documents = app.started.as_ref().map_or(&[][..], |s| &s.documents);
    let id = documents.get(at).map_or("", |d| d.id.as_str());
    let chosen = at == app.document;
    let name = if chosen { theme.title() } else { theme.accent };
    let mut all = vec![
        fit::fact(fit::cut(id, width, theme), name, 9),
        fit::fact(format!("{} of {}", at + 1, documents.len()), theme.dim, 8),
    ];
    if chosen {
        if let Some(version) = reading::shown(app) {
            let count = reading::versions(app).len();
            let style = if version + 1 < count { theme.warn } else { theme.dim };
            all.push(fit::fact(format!("version {} of {count}", version + 1), style, 7));
        }
        let reading = &app.watch.reading;
        if !reading.query.is_empty() && reading.hit.is_some() {
            let (nth, count) = reading.count;
            let query = fit::cut(&reading.query, 16, theme);
            all.push(fit::fact(format!("\"{query}\" {nth} of {count}"), theme.warn, 6));
        }
        if most > 0 {
            let [_, _, up, down] = theme.glyphs.more;
            let arrows = match (top > 0, top < most) {
                (true, true) => format!("{up}{down}"),
                (true, false) => format!("{up} "),
                _ => format!(" {down}"),
            };
            all.push(fit::fact(format!("{arrows} j k"), theme.dim, 5));
        }
    }
    fit::facts(all, "  ", width)
}

/// The text with its matches marked, wrapped.
fn body(app: &App, theme: &Theme, part: &Part, text: &str, pieces: Vec<Piece>, width: usize) -> Vec<Line<'static>> {
    let marked = marks::marked(app, theme, part, text, pieces);
    let parts: Vec<(&str, Style)> = marked.iter().map(|(text, style)| (text.as_str(), *style)).collect();
    fit::wrap(&parts, width)
}

/// All lines of the chosen document but its name.
fn chosen(app: &App, theme: &Theme, width: usize) -> Vec<Line<'static>> {
    let Some(document) = app.started.as_ref().and_then(|s| s.documents.get(app.document)) else { return Vec::new() };
    let room = width.saturating_sub(LABEL).max(8);
    let mut lines = Vec::new();
    let text = &document.reference;
    let pieces = vec![Piece::Kept(0..text.len(), theme.good)];
    labelled("reference", theme, body(app, theme, &Part::Reference, text, pieces, room), &mut lines);
    let words = words(&document.reference);
    let all = reading::versions(app);
    match reading::shown(app) {
        None => {
            let text = if app.can_change() { "not written yet: g writes it now" } else { "not written yet" };
            labelled("model", theme, vec![Line::styled(text, theme.dim)], &mut lines);
        }
        Some(at) => {
            lines.extend(version(app, theme, at, &words, room));
            // What the other stages wrote last.
            for one in last_of_stages(all).filter(|one| one.stage != all[at].stage) {
                let pieces = in_reference(&one.text, &words, theme);
                let text = body(app, theme, &Part::Version(one.version()), &one.text, pieces, room);
                lines.extend(summary(one, "", false, fit::limit(text, SHORT, room, theme), theme, room));
            }
        }
    }
    let text = &document.document;
    let pieces = vec![Piece::Kept(0..text.len(), theme.dim)];
    labelled("document", theme, body(app, theme, &Part::Document, text, pieces, room), &mut lines);
    lines
}

/// A document that is not the chosen one, in short: its newest summary.
fn other(app: &App, theme: &Theme, at: usize, width: usize) -> Vec<Line<'static>> {
    let Some(document) = app.started.as_ref().and_then(|s| s.documents.get(at)) else { return Vec::new() };
    let room = width.saturating_sub(LABEL).max(8);
    let mut lines = vec![head(app, theme, at, width, (0, 0))];
    let reference = fit::limit(fit::wrap(&[(&document.reference, theme.good)], room), SHORT, room, theme);
    labelled("reference", theme, reference, &mut lines);
    if let Some(one) = reading::newest(app, at) {
        let pieces = in_reference(&one.text, &words(&document.reference), theme);
        let text = body(app, theme, &Part::Version(one.version()), &one.text, pieces, room);
        lines.extend(summary(one, "", true, fit::limit(text, SHORT, room, theme), theme, room));
    } else {
        labelled("model", theme, vec![Line::styled("not written yet", theme.dim)], &mut lines);
    }
    let text = fit::limit(fit::wrap(&[(&document.document, theme.dim)], room), 2, room, theme);
    labelled("document", theme, text, &mut lines);
    lines
}

/// The last version of each stage, the newest first.
fn last_of_stages(all: &[Written]) -> impl Iterator<Item = &Written> {
    let last = |i: usize| all[i + 1..].iter().all(|later| later.stage != all[i].stage);
    (0..all.len()).rev().filter(move |i| last(*i)).map(|i| &all[i])
}

/// The version on show: what changed since the one before, or plain.
fn version(app: &App, theme: &Theme, at: usize, words: &HashSet<String>, room: usize) -> Vec<Line<'static>> {
    let all = reading::versions(app);
    let (one, before) = (&all[at], at.checked_sub(1).map(|i| &all[i]));
    let compared = before.filter(|_| !app.watch.reading.plain);
    let pieces = compared.and_then(|old| marks::changes(&old.text, &one.text, theme));
    let note = match (compared, &pieces) {
        (Some(old), Some(_)) if old.text == one.text => format!("as at {}", source(old, Some(one))),
        (Some(old), Some(_)) => format!("changes since {}", source(old, Some(one))),
        (Some(_), None) => "too long to compare".to_owned(),
        // Colours say it for themselves: it is that of the reference.
        (None, _) if theme.depth == Depth::None => "bold: words of the reference".to_owned(),
        (None, _) => String::new(),
    };
    let pieces = pieces.unwrap_or_else(|| in_reference(&one.text, words, theme));
    let text = body(app, theme, &Part::Version(one.version()), &one.text, pieces, room);
    summary(one, &note, true, text, theme, room)
}

/// Method and step of a version; only the step where `beside` is of the same stage.
fn source(one: &Written, beside: Option<&Written>) -> String {
    let same = beside.is_some_and(|b| b.stage == one.stage);
    match (same, one.step) {
        (true, step) => format!("step {step}"),
        (false, 0) => one.method.clone(),
        (false, step) => format!("{}, step {step}", one.method),
    }
}

/// Words that the reference has too stand out.
fn in_reference(text: &str, reference: &HashSet<String>, theme: &Theme) -> Vec<Piece> {
    let word = |(at, word): (usize, &str)| {
        let style = if reference.contains(&word.to_lowercase()) { theme.good } else { theme.text };
        Piece::Kept(at..at + word.len(), style)
    };
    text.split_word_bound_indices().map(word).collect()
}

/// A summary under its ROUGE-L, method and step.
fn summary(
    one: &Written,
    note: &str,
    strong: bool,
    text: Vec<Line<'static>>,
    theme: &Theme,
    width: usize,
) -> Vec<Line<'static>> {
    let style = if strong { theme.text } else { theme.dim };
    let mut all = vec![fit::fact(fit::cut(&source(one, None), width, theme), theme.dim, 9)];
    if !note.is_empty() {
        all.push(fit::fact(note, theme.dim, 1));
    }
    let mut lines = Vec::new();
    for (i, mut line) in std::iter::once(fit::facts(all, "  ", width)).chain(text).enumerate() {
        let label = if i == 0 {
            format!("{:<width$}", format!("R-L {:>5.1}", one.rouge_l), width = LABEL)
        } else {
            " ".repeat(LABEL)
        };
        line.spans.insert(0, Span::styled(label, if strong { style.add_modifier(Modifier::BOLD) } else { style }));
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn without_colours_words_of_the_reference_are_told_by_their_weight() {
        let bold = |name: &str, depth: Depth| -> Vec<bool> {
            let theme = Theme::find(name, depth, true).unwrap();
            let pieces = in_reference("A Game about cats", &words("a small game"), &theme);
            let weights = pieces.into_iter().filter_map(|piece| match piece {
                Piece::Kept(range, style) if range.len() > 1 || range.start == 0 => {
                    assert!((depth == Depth::True && name != "mono") || style.fg.is_none());
                    Some(style.add_modifier.contains(Modifier::BOLD))
                }
                _ => None,
            });
            weights.collect()
        };
        assert_eq!(bold("mono", Depth::True), [true, true, false, false]);
        assert_eq!(bold("default", Depth::None), [true, true, false, false]);
        assert_eq!(bold("default", Depth::True), [false; 4], "colour tells it");
    }
}
