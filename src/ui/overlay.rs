//! What lies over the panes: help and questions.

use super::{fit, inspect, matrix, palette};
use crate::app::action::Screen;
use crate::app::{App, Overlay, Prompt, action};
use crate::theme::Theme;
use ratatui::Frame;
use ratatui::layout::{Constraint, Flex, Layout, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Clear, Paragraph};
use unicode_segmentation::UnicodeSegmentation;

/// A place of that size in the middle of `area`, no larger than it.
pub(super) fn centred(area: Rect, width: u16, height: u16) -> Rect {
    let [area] = Layout::horizontal([Constraint::Length(width.min(area.width))]).flex(Flex::Center).areas(area);
    let [area] = Layout::vertical([Constraint::Length(height.min(area.height))]).flex(Flex::Center).areas(area);
    area
}

/// Draws the overlay, if there is one.
pub fn draw(app: &App, theme: &Theme, frame: &mut Frame<'_>, area: Rect) {
    let (title, lines) = match &app.overlay {
        None => return,
        Some(Overlay::Help { top }) => {
            let lines = help(Screen::Watch, app.can_change(), theme);
            return app.looks.reach.note(reaching("keys", lines, *top, theme, frame, area));
        }
        Some(Overlay::Stop { yes }) => (" stop ", question(theme, *yes)),
        Some(Overlay::Ratios(menu)) => {
            let room = (usize::from(area.width).saturating_sub(4).min(62), usize::from(area.height).saturating_sub(2));
            let lines = super::ratios::menu(menu, theme, room);
            // Not all of a long list shows.
            let is_cut = menu.items.len() + 2 > room.1;
            let place = if is_cut { format!(" {}/{}", menu.at + 1, menu.items.len()) } else { String::new() };
            return popup(format!(" {}{place} ", menu.title), lines, theme, frame, area);
        }
        Some(Overlay::Palette(found)) => {
            return palette::draw(found, |e| !e.changes || app.can_change(), theme, frame, area);
        }
        Some(Overlay::Themes(choice)) => return palette::themes(&app.looks.themes, choice, theme, frame, area),
        Some(Overlay::Others(choice)) => return super::picker::draw(&choice.picker, theme, frame, area),
        Some(Overlay::Trial { top }) => return super::trial::draw(app, theme, *top, frame, area),
        Some(Overlay::Module { top }) => return inspect::draw(app, theme, *top, frame, area),
        Some(Overlay::Matrix(look)) => return matrix::draw(app, theme, look, frame, area),
        Some(Overlay::Prompt(prompt)) => return line(prompt, theme, frame, area),
    };
    popup(title.to_owned(), lines, theme, frame, area);
}

/// Lines in a box in the middle.
pub(super) fn popup(title: String, lines: Vec<Line<'_>>, theme: &Theme, frame: &mut Frame<'_>, area: Rect) {
    let width = lines.iter().map(Line::width).max().unwrap_or(0) as u16 + 4;
    let place = centred(area, width, lines.len() as u16 + 2);
    let block = super::block(theme, title, true);
    frame.render_widget(Clear, place);
    let inner = block.inner(place);
    frame.render_widget(block, place);
    let inner = Rect { x: inner.x + 1, width: inner.width.saturating_sub(2), ..inner };
    let lines: Vec<Line<'_>> = lines.into_iter().map(|line| fit::clip(line, usize::from(inner.width), theme)).collect();
    frame.render_widget(Paragraph::new(lines), inner);
}

/// As [`popup`], from line `top` on; the title says how more is seen, where there is more. How far it can be scrolled.
pub(super) fn reaching(
    title: &str,
    lines: Vec<Line<'_>>,
    top: usize,
    theme: &Theme,
    frame: &mut Frame<'_>,
    area: Rect,
) -> usize {
    let rows = usize::from(area.height).saturating_sub(2);
    let most = lines.len().saturating_sub(rows);
    let more = match most {
        0 => "",
        _ if top >= most => " (the end; k: back)",
        _ => " (j, k: more)",
    };
    // What is below counts for the width: the box stays as it is while one scrolls down.
    let shown = lines.into_iter().skip(top.min(most)).collect();
    popup(format!(" {title}{more} "), shown, theme, frame, area);
    most
}

/// A prompt: the question, the line with its cursor, and below it what is wrong or what can be typed.
fn line(prompt: &Prompt, theme: &Theme, frame: &mut Frame<'_>, area: Rect) {
    let below = prompt.error.as_ref().map_or((&prompt.hint, theme.dim), |error| (error, theme.warn));
    input(&prompt.label, &prompt.input, (below.0, below.1), theme, frame, area);
}

/// A line to fill in, in a box with a title, and a sentence below it.
pub(super) fn input(
    title: &str,
    text: &crate::app::prompt::Line,
    below: (&str, ratatui::style::Style),
    theme: &Theme,
    frame: &mut Frame<'_>,
    area: Rect,
) {
    let place = centred(area, 64, 5);
    frame.render_widget(Clear, place);
    let block = super::block(theme, format!(" {title} "), true);
    let inner = block.inner(place);
    frame.render_widget(block, place);
    let inner = Rect { x: inner.x + 1, width: inner.width.saturating_sub(2), ..inner };
    let room = usize::from(inner.width).saturating_sub(1);
    let (text, column) = window(text.text(), text.cursor(), room);
    let mut lines = vec![Line::styled(text, theme.text)];
    lines.extend(fit::wrap(&[below], usize::from(inner.width)));
    frame.render_widget(Paragraph::new(lines), inner);
    if inner.height > 0 {
        frame.set_cursor_position((inner.x + column as u16, inner.y));
    }
}

/// The part of a text that fits `room` columns with its cursor, and the cursor's column. Of a long paste only what shows
/// is measured: frames stay quick.
pub(super) fn window(text: &str, cursor: usize, room: usize) -> (String, usize) {
    // The cursor counts characters; what shows are whole graphemes, each as wide as it is drawn.
    let end = text.char_indices().nth(cursor).map_or(text.len(), |(at, _)| at);
    let (mut from, mut column) = (end, 0);
    for (at, grapheme) in text[..end].grapheme_indices(true).rev() {
        let wide = fit::width(grapheme);
        if column + wide > room {
            break;
        }
        (from, column) = (at, column + wide);
    }
    let (mut to, mut used) = (from, 0);
    for grapheme in text[from..].graphemes(true) {
        used += fit::width(grapheme);
        if used > room {
            break;
        }
        to += grapheme.len();
    }
    (text[from..to].to_owned(), column)
}

/// Marks in the last column of `area`: lines are above its first one, or below its last one.
pub(super) fn beyond((above, below): (bool, bool), theme: &Theme, frame: &mut Frame<'_>, area: Rect) {
    if area.is_empty() {
        return;
    }
    for (more, glyph, y) in [(above, 2, area.y), (below, 3, area.bottom() - 1)] {
        if more {
            let place = Rect::new(area.right() - 1, y, 1, 1);
            frame.render_widget(Span::styled(theme.glyphs.more[glyph], theme.accent), place);
        }
    }
}

/// The key table of a screen; what changes the run is dim where it cannot be changed.
pub(super) fn help(screen: Screen, can_change: bool, theme: &Theme) -> Vec<Line<'static>> {
    let sections: Vec<_> = action::sections().filter(|s| s.screen == screen).collect();
    let column = sections.iter().flat_map(|s| action::help(s)).map(|line| line.keys.join(" ").len()).max().unwrap_or(0);
    let mut lines = Vec::new();
    for section in sections {
        if !lines.is_empty() {
            lines.push(Line::default());
        }
        lines.push(Line::styled(section.title, theme.title()));
        lines.extend(action::help(section).into_iter().map(|line| {
            let style = if line.changes && !can_change { theme.dim } else { theme.text };
            let keys = line.keys.join(" ");
            Line::from(vec![Span::styled(format!("{keys:<column$}  "), theme.accent), Span::styled(line.help, style)])
        }));
    }
    lines
}

fn question(theme: &Theme, yes: bool) -> Vec<Line<'static>> {
    vec![
        Line::styled("Stop the run with a checkpoint?", theme.text),
        Line::styled("`lopper resume` goes on from there.", theme.dim),
        Line::default(),
        answers(theme, yes),
    ]
}

/// The answers to a question, the chosen one marked.
pub(super) fn answers(theme: &Theme, yes: bool) -> Line<'static> {
    let (on, off) = (theme.selected(), theme.text);
    Line::from(vec![
        Span::styled(" no ", if yes { off } else { on }),
        Span::raw("   "),
        Span::styled(" yes (y) ", if yes { on } else { off }),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_shows_its_cursor_by_columns_and_whole_graphemes() {
        assert_eq!(window("abcdef", 0, 4), ("abcd".into(), 0));
        assert_eq!(window("abcdef", 6, 4), ("cdef".into(), 4));
        assert_eq!(window("abcdef", 9, 4), ("cdef".into(), 4), "behind the end");
        assert_eq!(window("", 0, 4), (String::new(), 0));
        assert_eq!(window("abc", 2, 0), (String::new(), 0));
        // Two columns each: where one has no room its half does not show.
        assert_eq!(window("重要度ヒート", 3, 5), ("要度".into(), 4));
        assert_eq!(window("重要度ヒート", 0, 5), ("重要".into(), 0));
        // Three characters that are drawn as one of two columns, and a letter with its accent behind it.
        let (coder, accented) = ("👩\u{200d}💻", "e\u{301}");
        assert_eq!(window(&format!("{coder}{coder}x"), 7, 3), (format!("{coder}x"), 3));
        assert_eq!(window(&format!("ab{accented}"), 4, 2), (format!("b{accented}"), 2));
    }

    #[test]
    fn of_a_long_paste_only_what_shows_is_looked_at() {
        let text = "word ".repeat(400_000);
        let clock = std::time::Instant::now();
        let all = text.chars().count();
        for cursor in [0, all / 2, all] {
            assert_eq!(fit::width(&window(&text, cursor, 60).0), 60);
        }
        // Once through the text; character by character with all that is left it would take hours.
        assert!(clock.elapsed().as_secs() < 20, "{:?}", clock.elapsed());
    }
}
