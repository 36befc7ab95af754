//! The data as the model reads it: how long, how much is cut, the first examples.

use crate::app::setup::Setup;
use crate::data::preview::{Lengths, Preview, Shown, Split};
use crate::text::counted;
use crate::theme::Theme;
use crate::ui::fit;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

/// Lines of a prompt that are shown.
const PROMPT: usize = 14;

/// Draws it from the line that the user has scrolled to.
pub fn draw(setup: &Setup, theme: &Theme, frame: &mut Frame<'_>, area: Rect) {
    if area.height == 0 || area.width == 0 {
        return;
    }
    let lines = lines(setup, theme, usize::from(area.width));
    super::overlay::scrolled(lines, setup.scroll[0], theme, frame, area);
}

/// All its lines.
pub(super) fn lines(setup: &Setup, theme: &Theme, width: usize) -> Vec<Line<'static>> {
    match &setup.seen.preview {
        Some(Ok(preview)) => all(preview, theme, width),
        Some(Err(sentence)) => fit::wrap(&[(sentence.as_str(), theme.bad)], width),
        None if setup.seen.looking => vec![Line::styled("reading the data ...", theme.dim)],
        None if setup.lacks_base() => {
            let text = "The first examples stand here as the model reads them: known once the base is fetched.";
            fit::wrap(&[(text, theme.dim)], width)
        }
        None => {
            let text = "The first examples stand here as the model reads them, with their lengths in tokens, once \
                        base, data.train and data.dev name what is there.";
            fit::wrap(&[(text, theme.dim)], width)
        }
    }
}

fn all(preview: &Preview, theme: &Theme, width: usize) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    for warning in &preview.warnings {
        lines.extend(fit::wrap(&[(warning.as_str(), theme.warn)], width));
    }
    for split in &preview.splits {
        lines.extend(about(split, theme, width));
    }
    let context = format!("the base takes {} tokens at most", crate::text::short(preview.context as u64));
    lines.push(Line::styled(fit::cut(&context, width, theme), theme.dim));
    for split in &preview.splits {
        for example in &split.first {
            lines.push(Line::default());
            lines.extend(one(split.name, example, theme, width));
        }
    }
    lines
}

/// Counts and lengths of a split.
fn about(split: &Split, theme: &Theme, width: usize) -> Vec<Line<'static>> {
    let count = format!(" {}", counted(split.examples, "example"));
    let cut = match split.cut {
        0 => ", none cut".to_owned(),
        n => format!(", {n} cut by {} tokens in all", split.tokens_cut),
    };
    let style = if split.cut > 0 { theme.warn } else { theme.dim };
    let mut lines = fit::wrap(&[(split.name, theme.title()), (&count, theme.text), (&cut, style)], width);
    for (label, lengths) in [("document", &split.document), ("prompt", &split.prompt), ("summary", &split.summary)] {
        let text = format!(
            "  {label:<9}{:>5} to {:<5} median {:<5} p90 {:<5}",
            lengths.least, lengths.most, lengths.median, lengths.p90
        );
        let room = width.saturating_sub(fit::width(&text) + 1);
        let mut spans = vec![Span::styled(fit::cut(&text, width, theme), theme.text)];
        if room >= lengths.bars.len().min(8) && room > 0 {
            spans.push(Span::styled(format!(" {}", bars(lengths, room, theme)), theme.accent));
        }
        lines.push(Line::from(spans));
    }
    lines
}

/// How many are how long, from short to long.
fn bars(lengths: &Lengths, room: usize, theme: &Theme) -> String {
    let most = lengths.bars.iter().copied().max().unwrap_or(0).max(1);
    let level = |n: usize| if n == 0 { " " } else { theme.glyphs.spark[(n * 8).div_ceil(most).clamp(1, 8) - 1] };
    lengths.bars.iter().take(room).map(|n| level(*n)).collect()
}

fn one(split: &str, example: &Shown, theme: &Theme, width: usize) -> Vec<Line<'static>> {
    let kept = if example.kept_tokens < example.document_tokens {
        format!(", of {} document tokens {} kept", example.document_tokens, example.kept_tokens)
    } else {
        String::new()
    };
    let head = format!("{split} line {}: {}", example.line, example.id);
    let figures = format!(" {} prompt tokens{kept}, {} summary tokens", example.prompt_tokens, example.summary_tokens);
    let mut lines = fit::wrap(&[(&head, theme.title()), (&figures, theme.dim)], width);
    let prompt = fit::wrap(&[(example.prompt.as_str(), theme.text)], width);
    if prompt.len() > PROMPT {
        // Beginning and end: the summary follows the end.
        let left = prompt.len() - PROMPT;
        lines.extend(prompt.iter().take(PROMPT - 4).cloned());
        lines.push(Line::styled(format!("{} {left} lines {0}", theme.glyphs.ellipsis), theme.dim));
        lines.extend(prompt.into_iter().skip(PROMPT - 4 + left));
    } else {
        lines.extend(prompt);
    }
    lines.extend(fit::wrap(&[(example.summary.as_str(), theme.good)], width));
    lines
}
