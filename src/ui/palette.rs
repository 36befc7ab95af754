//! Lists that lie over the panes: the command palette and the themes.

use super::fit;
use super::overlay::{centred, window};
use crate::app::action::Entry;
use crate::app::themes::{Choice, Themes};
use crate::app::{Palette, palette};
use crate::theme::Theme;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Clear, Paragraph};

/// Columns and most rows of the palette, borders included.
const SIZE: (u16, u16) = (76, 20);

/// A bordered box over the panes, cleared; what lies inside it.
pub(super) fn boxed(title: &str, theme: &Theme, frame: &mut Frame<'_>, place: Rect) -> Rect {
    frame.render_widget(Clear, place);
    let block = super::block(theme, format!(" {title} "), true);
    let inner = block.inner(place);
    frame.render_widget(block, place);
    Rect { x: inner.x + 1, width: inner.width.saturating_sub(2), ..inner }
}

/// The first of `shown` rows so that `at` is among them.
pub(super) fn first(at: usize, shown: usize) -> usize {
    (at + 1).saturating_sub(shown)
}

/// Beside the rows of a list whether there are more above and below them.
pub(super) fn edges(theme: &Theme, frame: &mut Frame<'_>, list: Rect, (above, below): (bool, bool)) {
    for (more, y, glyph) in [(above, list.y, 2), (below, list.bottom().saturating_sub(1), 3)] {
        if more && list.height > 0 {
            let mark = Span::styled(theme.glyphs.more[glyph], theme.accent);
            frame.render_widget(mark, Rect::new(list.right(), y, 1, 1));
        }
    }
}

/// The palette: a line to type in, below it name, sentence and keys of what fits; dim what has nothing to do now.
pub fn draw(found: &Palette, works: impl Fn(&Entry) -> bool, theme: &Theme, frame: &mut Frame<'_>, area: Rect) {
    let height = (found.found.len().max(1) as u16 + 3).min(SIZE.1).min(area.height);
    let inner = boxed("actions", theme, frame, centred(area, SIZE.0, height));
    if inner.height == 0 || inner.width < 4 {
        return;
    }
    let width = usize::from(inner.width);
    let (text, column) = window(found.input.text(), found.input.cursor(), width - 3);
    let mut lines = vec![Line::from(vec![Span::styled("> ", theme.accent), Span::styled(text, theme.text)])];
    if found.found.is_empty() {
        lines.push(Line::styled("no action has these letters in this order", theme.dim));
    }
    let shown = usize::from(inner.height).saturating_sub(1);
    let keys = found.found.iter().map(|e| fit::width(&e.keys.join(" "))).max().unwrap_or(0).min(width / 3);
    let name = found.found.iter().map(|e| palette::title(e).len()).max().unwrap_or(0);
    let name = name.min(width.saturating_sub(keys + 2));
    for (i, entry) in found.found.iter().enumerate().skip(first(found.at, shown)).take(shown) {
        let can = works(entry);
        let title = fit::pad(&palette::title(entry), name, theme);
        let sentence = width.saturating_sub(name + keys + 4);
        // A few letters of a sentence say nothing.
        let sentence = if sentence >= 12 { fit::pad(entry.help, sentence, theme) } else { " ".repeat(sentence) };
        let keys = fit::cut(&entry.keys.join(" "), keys, theme);
        lines.push(if i == found.at {
            Line::styled(fit::pad(&format!("{title}  {sentence}  {keys}"), width, theme), theme.selected())
        } else {
            let plain = if can { theme.text } else { theme.dim };
            Line::from(vec![
                Span::styled(format!("{title}  "), plain),
                Span::styled(format!("{sentence}  "), theme.dim),
                Span::styled(keys, theme.accent),
            ])
        });
    }
    frame.render_widget(Paragraph::new(lines), inner);
    let top = first(found.at, shown);
    let list = Rect { y: inner.y + 1, height: inner.height - 1, ..inner };
    edges(theme, frame, list, (top > 0, top + shown < found.found.len()));
    frame.set_cursor_position((inner.x + 2 + column as u16, inner.y));
}

/// The themes by name, the one that shows marked.
pub fn themes(themes: &Themes, choice: &Choice, theme: &Theme, frame: &mut Frame<'_>, area: Rect) {
    let names = &themes.names;
    let width = names.iter().map(|n| fit::width(n)).max().unwrap_or(0).max(26) as u16 + 4;
    // At the right, so that most of what the theme changes is to be seen.
    let height = (names.len() as u16 + 3).min(area.height);
    let place = centred(area, width, height);
    let place = Rect { x: area.right().saturating_sub(place.width + 1).max(area.x), ..place };
    let inner = boxed("theme", theme, frame, place);
    let room = usize::from(inner.width);
    let shown = usize::from(inner.height).saturating_sub(1);
    let mut lines: Vec<Line<'_>> = names
        .iter()
        .enumerate()
        .skip(first(choice.at, shown))
        .take(shown)
        .map(|(i, name)| {
            let style = if i == choice.at { theme.selected() } else { theme.text };
            Line::styled(fit::pad(name, room, theme), style)
        })
        .collect();
    lines.push(Line::styled(fit::cut("enter keeps, esc goes back", room, theme), theme.dim));
    frame.render_widget(Paragraph::new(lines), inner);
    let top = first(choice.at, shown);
    let list = Rect { height: inner.height.saturating_sub(1), ..inner };
    edges(theme, frame, list, (top > 0, top + shown < names.len()));
}
