//! Marks in a text: what changed since the version before, and what a search found.

use crate::app::App;
use crate::app::watch::diff;
use crate::app::watch::search::{self, Part};
use crate::theme::{Depth, Theme};
use ratatui::style::{Modifier, Style};
use ratatui::text::Line;
use std::ops::Range;

/// A piece of what is shown of a text.
#[derive(Debug, Clone, PartialEq)]
pub enum Piece {
    /// A part of the text itself.
    Kept(Range<usize>, Style),
    /// Something between its parts.
    Beside(String, Style),
}

/// The changes from `old` to `new`; where there are no colours, in wdiff's brackets. `None` for texts that are
/// too long.
pub fn changes(old: &str, new: &str, theme: &Theme) -> Option<Vec<Piece>> {
    let plain = theme.depth == Depth::None;
    let added = theme.accent.add_modifier(Modifier::UNDERLINED);
    let removed = theme.bad.add_modifier(Modifier::CROSSED_OUT);
    let mut at = 0;
    let mut out = Vec::new();
    let mut keep = |text: &str, style: Style, out: &mut Vec<Piece>| {
        out.push(Piece::Kept(at..at + text.len(), style));
        at += text.len();
    };
    let pieces = diff::words(old, new)?;
    for (i, piece) in pieces.iter().enumerate() {
        match piece {
            diff::Piece::Same(text) => keep(text, theme.text, &mut out),
            diff::Piece::Added(text) if plain => {
                out.push(Piece::Beside("{+".into(), added));
                keep(text, added, &mut out);
                out.push(Piece::Beside("+}".into(), added));
            }
            diff::Piece::Added(text) => keep(text, added, &mut out),
            diff::Piece::Removed(text) if plain => out.push(Piece::Beside(format!("[-{text}-]"), removed)),
            diff::Piece::Removed(text) => {
                out.push(Piece::Beside(text.clone(), removed));
                // Not one word of two.
                if matches!(pieces.get(i + 1), Some(diff::Piece::Added(next)) if !next.starts_with(' ')) {
                    out.push(Piece::Beside(" ".into(), theme.text));
                }
            }
        }
    }
    Some(out)
}

/// The match that was jumped to; nothing else in a text looks like it.
fn here(theme: &Theme) -> Style {
    theme.selected().add_modifier(Modifier::BOLD | Modifier::UNDERLINED)
}

/// The pieces as text, with what the search found marked.
pub fn marked(app: &App, theme: &Theme, part: &Part, text: &str, pieces: Vec<Piece>) -> Vec<(String, Style)> {
    let reading = &app.watch.reading;
    let found = search::find(text, &reading.query);
    let hit = reading.hit.as_ref().filter(|h| h.document == app.document && h.part == *part).map(|h| h.nth);
    let mut out = Vec::new();
    for piece in pieces {
        let (range, style) = match piece {
            Piece::Beside(text, style) => {
                out.push((text, style));
                continue;
            }
            Piece::Kept(range, style) => (range, style),
        };
        let mut at = range.start;
        let first = found.partition_point(|f| f.end <= range.start);
        for (nth, place) in found.iter().enumerate().skip(first).take_while(|(_, f)| f.start < range.end) {
            let (from, to) = (place.start.max(at), place.end.min(range.end));
            let mark = if hit == Some(nth) { here(theme) } else { theme.warn.add_modifier(Modifier::REVERSED) };
            for (cut, style) in [(at..from, style), (from..to, mark)] {
                if let Some(text) = text.get(cut).filter(|t| !t.is_empty()) {
                    out.push((text.to_owned(), style));
                }
            }
            at = to;
        }
        if let Some(text) = text.get(at..range.end).filter(|t| !t.is_empty()) {
            out.push((text.to_owned(), style));
        }
    }
    out
}

/// The line of the match that was jumped to.
pub fn current(lines: &[Line<'_>], theme: &Theme) -> Option<usize> {
    let here = here(theme);
    lines.iter().position(|line| line.spans.iter().any(|span| span.style == here))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::app::watch::search::Hit;

    fn shown(pieces: &[(String, Style)]) -> String {
        pieces.iter().map(|(text, _)| text.as_str()).collect()
    }

    #[test]
    fn changes_have_brackets_without_colours_and_the_new_text_in_order() {
        let app = App::new("x", false);
        let mono = Theme::find("mono", Depth::None, true).unwrap();
        let (old, new) = ("a game with balls", "a game about balls");
        let pieces = changes(old, new, &mono).unwrap();
        let text = shown(&marked(&app, &mono, &Part::Document, new, pieces));
        assert_eq!(text, "a game [-with-]{+about+} balls");
        let theme = Theme::find("default", Depth::True, false).unwrap();
        let pieces = changes(old, new, &theme).unwrap();
        assert_eq!(shown(&marked(&app, &theme, &Part::Document, new, pieces)), "a game with about balls");
    }

    #[test]
    fn matches_are_marked_across_pieces() {
        let theme = Theme::find("default", Depth::True, false).unwrap();
        let mut app = App::new("x", false);
        app.watch.reading.query = "b重".into();
        app.watch.reading.hit = Some(Hit { document: 0, part: Part::Document, nth: 1 });
        let text = "ab重c b重";
        let pieces = vec![Piece::Kept(0..2, theme.text), Piece::Kept(2..text.len(), theme.dim)];
        let all = marked(&app, &theme, &Part::Document, text, pieces);
        assert_eq!(all.iter().map(|p| p.0.as_str()).collect::<Vec<_>>(), ["a", "b", "重", "c ", "b重"]);
        assert!(all[1].1.add_modifier.contains(Modifier::REVERSED) && all[1].1 == all[2].1);
        assert_eq!(all[4].1, here(&theme));
    }
}
