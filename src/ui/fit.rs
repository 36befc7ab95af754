//! Text in cells: how wide it is, how it is cut and wrapped, and which facts fit into a line.

use crate::theme::Theme;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

/// Columns that `text` takes.
pub fn width(text: &str) -> usize {
    text.width()
}

/// `text` in at most `width` columns; what is cut off is shown by the theme's ellipsis.
pub fn cut(text: &str, width: usize, theme: &Theme) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut out = String::new();
    let mut used = 0;
    for grapheme in text.graphemes(true) {
        used += grapheme.width();
        if used + 1 > width {
            break;
        }
        out.push_str(grapheme);
    }
    // Not in the middle of a word, where that costs little.
    if let Some(space) = out.rfind(' ').filter(|at| out[*at..].width() <= 1 + width / 4 && *at > 0) {
        out.truncate(space);
    }
    if width > 0 {
        out.push_str(theme.glyphs.ellipsis);
    }
    out
}

/// `text`, cut or filled with spaces to exactly `width` columns.
pub fn pad(text: &str, width: usize, theme: &Theme) -> String {
    let mut out = cut(text, width, theme);
    out.extend(std::iter::repeat_n(' ', width.saturating_sub(out.width())));
    out
}

/// A piece of text that is not broken.
struct Atom<'a> {
    text: &'a str,
    space_before: bool,
    style: Style,
}

/// Words; characters of two columns are words of their own, since Japanese is written without spaces.
fn atoms<'a>(text: &'a str, style: Style, space_before: bool, out: &mut Vec<Atom<'a>>) {
    let mut space = space_before;
    for word in text.split_whitespace() {
        let mut start = 0;
        for (at, grapheme) in word.grapheme_indices(true) {
            if grapheme.width() > 1 {
                for piece in [&word[start..at], grapheme] {
                    if !piece.is_empty() {
                        out.push(Atom { text: piece, space_before: space, style });
                        space = false;
                    }
                }
                start = at + grapheme.len();
            }
        }
        if start < word.len() {
            out.push(Atom { text: &word[start..], space_before: space, style });
        }
        space = true;
    }
}

/// Text of several styles, wrapped at words to `width` columns; line breaks stay. Words that are longer than
/// a line are broken.
pub fn wrap(parts: &[(&str, Style)], width: usize) -> Vec<Line<'static>> {
    let width = width.max(1);
    let mut lines: Vec<Vec<Span<'static>>> = vec![Vec::new()];
    let mut used = 0;
    for (i, (text, style)) in parts.iter().enumerate() {
        let after_space =
            i > 0 && (parts[i - 1].0.ends_with(char::is_whitespace) || text.starts_with(char::is_whitespace));
        for (n, row) in text.split('\n').enumerate() {
            if n > 0 {
                lines.push(Vec::new());
                used = 0;
            }
            let mut all = Vec::new();
            atoms(row, *style, after_space || i == 0, &mut all);
            for atom in all {
                let gap = usize::from(atom.space_before && used > 0);
                let size = atom.text.width();
                if used + gap + size <= width {
                    let gap = " ".repeat(gap);
                    used += gap.len() + size;
                    push(&mut lines, format!("{gap}{}", atom.text), atom.style);
                    continue;
                }
                if used > 0 {
                    lines.push(Vec::new());
                    used = 0;
                }
                for grapheme in atom.text.graphemes(true) {
                    if used > 0 && used + grapheme.width() > width {
                        lines.push(Vec::new());
                        used = 0;
                    }
                    used += grapheme.width();
                    push(&mut lines, grapheme.to_owned(), atom.style);
                }
            }
        }
    }
    lines.into_iter().map(Line::from).collect()
}

/// Appends to the last line, joined with its last span where the style is the same.
fn push(lines: &mut [Vec<Span<'static>>], text: String, style: Style) {
    let Some(line) = lines.last_mut() else { return };
    match line.last_mut() {
        Some(span) if span.style == style => span.content.to_mut().push_str(&text),
        _ => line.push(Span::styled(text, style)),
    }
}

/// At most `limit` lines; a cut is shown at the end of the last one.
pub fn limit(mut lines: Vec<Line<'static>>, limit: usize, width: usize, theme: &Theme) -> Vec<Line<'static>> {
    if lines.len() > limit {
        lines.truncate(limit);
        if let Some(last) = lines.last_mut() {
            let style = last.spans.last().map_or(theme.dim, |s| s.style);
            if last.spans.last().is_some_and(|span| span.content.ends_with(theme.glyphs.ellipsis)) {
                return lines;
            }
            // A piece that is shorter than the mark makes no room for it.
            while last.width() + 2 > width {
                let Some(span) = last.spans.pop() else { break };
                let room = span.width().saturating_sub(2);
                let kept = cut(&span.content, room, theme).trim_end_matches(theme.glyphs.ellipsis).to_owned();
                if !kept.is_empty() {
                    last.spans.push(Span::styled(kept, span.style));
                }
            }
            last.push_span(Span::styled(format!(" {}", theme.glyphs.ellipsis), style));
        }
    }
    lines
}

/// A line of several styles in at most `width` columns, as [`cut`] does it.
pub fn clip<'a>(line: Line<'a>, width: usize, theme: &Theme) -> Line<'a> {
    if line.width() <= width {
        return line;
    }
    let mut left = width;
    let mut out = Line { spans: Vec::new(), ..line };
    for span in line.spans {
        if span.width() < left {
            left -= span.width();
            out.spans.push(span);
            continue;
        }
        // The mark stands also for what follows.
        out.spans.push(Span::styled(cut(&format!("{} ", span.content), left, theme), span.style));
        break;
    }
    out
}

/// A fact of a line, and how much it matters.
#[derive(Debug, Clone)]
pub struct Fact {
    /// What is shown.
    pub spans: Vec<Span<'static>>,
    /// Higher stays longer.
    pub weight: u8,
}

/// One fact of one style.
pub fn fact(text: impl Into<String>, style: Style, weight: u8) -> Fact {
    Fact { spans: vec![Span::styled(text.into(), style)], weight }
}

impl Fact {
    fn width(&self) -> usize {
        self.spans.iter().map(Span::width).sum()
    }
}

/// The facts that fit into `width` columns with `gap` between them: the least weighty are left out whole.
pub fn facts(mut all: Vec<Fact>, gap: &str, width: usize) -> Line<'static> {
    all.retain(|f| f.width() > 0);
    loop {
        let total: usize = all.iter().map(Fact::width).sum::<usize>() + gap.width() * all.len().saturating_sub(1);
        if total <= width || all.len() <= 1 {
            break;
        }
        // Of equals the last goes first.
        let least = all.iter().enumerate().min_by_key(|(i, f)| (f.weight, std::cmp::Reverse(*i))).map(|(i, _)| i);
        all.remove(least.unwrap_or(0));
    }
    let mut spans = Vec::new();
    for (i, fact) in all.into_iter().enumerate() {
        if i > 0 {
            spans.push(Span::raw(gap.to_owned()));
        }
        spans.extend(fact.spans);
    }
    Line::from(spans)
}

/// As [`facts`]; one that is wider than the whole line is cut as [`cut`] does it.
pub fn facts_cut(all: Vec<Fact>, gap: &str, width: usize, theme: &Theme) -> Line<'static> {
    clip(facts(all, gap, width), width, theme)
}

/// `0:42`, `12:05`, `2h10`, `3d04h`.
pub fn duration(seconds: f64) -> String {
    let s = seconds.clamp(0.0, 1e9).round() as u64;
    match s {
        0..3600 => format!("{}:{:02}", s / 60, s % 60),
        3600..86_400 => format!("{}h{:02}", s / 3600, s / 60 % 60),
        _ => format!("{}d{:02}h", s / 86_400, s / 3600 % 24),
    }
}

/// `578 MB`, `1.24 GB`.
pub fn bytes(n: u64) -> String {
    match n {
        0..1_000_000_000 => format!("{} MB", n / 1_000_000),
        _ => format!("{:.2} GB", n as f64 / 1e9),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::theme::Depth;

    fn theme() -> Theme {
        Theme::find("default", Depth::True, false).unwrap()
    }

    fn text(lines: &[Line<'_>]) -> Vec<String> {
        lines.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn wide_characters_are_cut_and_wrapped_by_their_columns() {
        let theme = theme();
        assert_eq!(cut("重要度ヒート", 7, &theme), "重要度…");
        assert_eq!(pad("重要度", 8, &theme), "重要度  ");
        assert_eq!(width(&pad("重要度ヒート", 8, &theme)), 8);
        let plain = Style::new();
        assert_eq!(text(&wrap(&[("重要度ヒートマップ", plain)], 7)), ["重要度", "ヒート", "マップ"]);
        assert_eq!(text(&wrap(&[("one two three", plain)], 7)), ["one two", "three"]);
        assert_eq!(text(&wrap(&[("abcdefghij", plain)], 4)), ["abcd", "efgh", "ij"]);
        assert_eq!(text(&wrap(&[("a\nb", plain)], 4)), ["a", "b"]);
        for columns in 1..12 {
            let lines = wrap(&[("Go ist 言語 👩\u{200d}💻 emoji", plain), (" more", Style::new().bold())], columns);
            assert!(lines.iter().all(|l| l.width() <= columns.max(2)), "{columns}: {lines:?}");
        }
    }

    #[test]
    fn a_cut_leaves_whole_words_and_is_shown() {
        let theme = theme();
        assert_eq!(cut("merge + fine-tune + prune", 21, &theme), "merge + fine-tune +…");
        assert_eq!(cut("abc", 0, &theme), "");
        let lines = limit(wrap(&[("one two three four", Style::new())], 9), 1, 9, &theme);
        assert_eq!(text(&lines), ["one two …"]);
        let lines = limit(wrap(&[("重要度ヒートマップ", Style::new())], 7), 2, 7, &theme);
        assert!(lines.len() == 2 && lines[1].width() <= 7, "{lines:?}");
        // Also where the line ends with a short piece of another style.
        let parts = [("one two", Style::new()), ("!", Style::new().bold()), (" more", Style::new())];
        assert_eq!(text(&limit(wrap(&parts, 8), 1, 8, &theme)), ["one …"]);
        let line = || Line::from(vec![Span::raw("keys "), Span::raw("a sentence")]);
        let clipped = [15, 9, 5, 0].map(|width| clip(line(), width, &theme).to_string());
        assert_eq!(clipped, ["keys a sentence", "keys a…", "keys…", ""]);
    }

    #[test]
    fn what_matters_least_is_left_out_whole() {
        let all =
            || vec![fact("name", Style::new(), 9), fact("detail", Style::new(), 1), fact("state", Style::new(), 5)];
        assert_eq!(facts(all(), "  ", 40).to_string(), "name  detail  state");
        assert_eq!(facts(all(), "  ", 12).to_string(), "name  state");
        assert_eq!(facts(all(), "  ", 5).to_string(), "name");
        let cut = [40, 12, 4, 3, 0].map(|width| facts_cut(all(), "  ", width, &theme()).to_string());
        assert_eq!(cut, ["name  detail  state", "name  state", "name", "na…", ""]);
    }

    #[test]
    fn times_and_sizes_are_short() {
        assert_eq!([0.0, 42.4, 725.0, 7800.0, 273_600.0].map(duration), ["0:00", "0:42", "12:05", "2h10", "3d04h"]);
        assert_eq!([578_000_000, 1_240_000_000].map(bytes), ["578 MB", "1.24 GB"]);
    }
}
