//! What an evaluation is to compare: a line of seeds and the methods.

use crate::app::setup::Evaluate;
use crate::theme::Theme;
use crate::ui::{fit, overlay};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

/// Columns of it.
const WIDTH: usize = 46;

/// Draws it over the form.
pub(super) fn draw(asked: &Evaluate, theme: &Theme, frame: &mut Frame<'_>, area: Rect) {
    let width = WIDTH.min(usize::from(area.width).saturating_sub(6));
    let (text, _) = overlay::window(asked.seeds.text(), asked.seeds.cursor(), width.saturating_sub(9));
    let style = if asked.at == 0 { theme.selected() } else { theme.text };
    let seeds = Span::styled(
        fit::pad(&format!("{text}{}", if asked.at == 0 { "_" } else { "" }), width.saturating_sub(7), theme),
        style,
    );
    let mut lines = vec![Line::from(vec![Span::styled("seeds  ", theme.dim), seeds])];
    let methods = asked.methods.iter().enumerate().map(|(i, (method, on))| {
        let mark = if *on { "[x]" } else { "[ ]" };
        let style = if i + 1 == asked.at { theme.selected() } else { theme.text };
        Line::styled(fit::pad(&format!("{mark} {}", method.label()), width, theme), style)
    });
    // A small window shows the methods around the cursor.
    let room = usize::from(area.height).saturating_sub(5).max(1);
    let first = asked.at.saturating_sub(room);
    lines.extend(methods.skip(first).take(room));
    let hint = ("space: on, off; a: all; enter starts", theme.dim);
    let below = asked.error.as_ref().map_or(hint, |error| (error.as_str(), theme.warn));
    lines.push(Line::styled(fit::cut(below.0, width, theme), below.1));
    overlay::popup(" compare methods ".to_owned(), lines, theme, frame, area);
}
