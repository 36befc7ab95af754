//! Memory and time before the start.

use crate::app::setup::Setup;
use crate::run::estimate::{Estimate, bytes};
use crate::text::counted;
use crate::theme::Theme;
use crate::ui::fit;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

/// Columns of a part's bar.
const BAR: usize = 16;

/// Whether the memory may not do: more than nine tenths of what is free.
pub fn is_tight(estimate: &Estimate) -> bool {
    estimate.free.is_some_and(|free| estimate.total as f64 > 0.9 * free as f64)
}

/// `needs about 21.0 GB, 76.0 GB free`.
pub fn needs(estimate: &Estimate) -> String {
    let free = estimate.free.map(|free| format!(", {} free", bytes(free))).unwrap_or_default();
    format!("needs about {}{free}", bytes(estimate.total))
}

/// `about 4:10 for 120 steps`.
pub fn takes(estimate: &Estimate) -> String {
    let steps = counted(estimate.steps, "step");
    match estimate.seconds {
        None => steps,
        Some(s) if s < 1.0 => format!("less than a second for {steps}"),
        Some(s) => format!("about {} for {steps}", fit::duration(s)),
    }
}

/// Draws it from the line that the user has scrolled to.
pub fn draw(setup: &Setup, theme: &Theme, frame: &mut Frame<'_>, area: Rect) {
    if area.height == 0 || area.width == 0 {
        return;
    }
    let lines = lines(setup, theme, usize::from(area.width));
    super::overlay::scrolled(lines, setup.scroll[1], theme, frame, area);
}

/// All lines.
pub fn lines(setup: &Setup, theme: &Theme, width: usize) -> Vec<Line<'static>> {
    match &setup.seen.estimate {
        Some(Ok(estimate)) => all(estimate, theme, width),
        Some(Err(sentence)) => fit::wrap(&[(sentence.as_str(), theme.bad)], width),
        None if setup.seen.looking => vec![Line::styled("estimating ...", theme.dim)],
        None if setup.lacks_base() => {
            fit::wrap(&[("Memory and time stand here: known once the base is fetched.", theme.dim)], width)
        }
        None => {
            let text = "Memory and time stand here once nothing is wrong with the settings and the data.";
            fit::wrap(&[(text, theme.dim)], width)
        }
    }
}

fn all(estimate: &Estimate, theme: &Theme, width: usize) -> Vec<Line<'static>> {
    let style = if is_tight(estimate) { theme.bad } else { theme.title() };
    let mut lines =
        fit::wrap(&[(&needs(estimate), style), (&format!(" (while {})", estimate.moment), theme.dim)], width);
    let close = is_tight(estimate).then(|| "this is close: another program may take what is free".to_owned());
    if let Some(sentence) = estimate.problem().or(close) {
        lines.extend(fit::wrap(&[(&sentence, theme.warn)], width));
    }
    let name = estimate.parts.iter().map(|p| fit::width(p.name)).max().unwrap_or(0);
    for part in &estimate.parts {
        let share = part.bytes as f64 / estimate.total.max(1) as f64;
        let full = ((share * BAR as f64).round() as usize).min(BAR);
        let text = format!("  {} {:>8} ", fit::pad(part.name, name, theme), bytes(part.bytes));
        let mut spans = vec![Span::styled(fit::cut(&text, width, theme), theme.text)];
        if fit::width(&text) + BAR <= width {
            spans.push(Span::styled(theme.glyphs.full.repeat(full), theme.accent));
        }
        lines.push(Line::from(spans));
    }
    lines.extend(fit::wrap(&[(&estimate.recompute(), theme.dim)], width));
    for card in estimate.other_cards() {
        lines.extend(fit::wrap(&[(&card, theme.dim)], width));
    }
    lines.push(Line::default());
    lines.extend(fit::wrap(&[(&takes(estimate), theme.title())], width));
    let method = estimate.stages.iter().map(|s| fit::width(&s.method)).max().unwrap_or(0).min(width / 2);
    for stage in &estimate.stages {
        let steps = match stage.steps {
            0 => "no training".to_owned(),
            n => format!("{n} steps, {} an epoch", stage.steps_per_epoch),
        };
        let name = fit::pad(&stage.method, method, theme);
        let time = stage.seconds.map(fit::duration).unwrap_or_default();
        let text = format!("  {name} {time:>7}  {steps}");
        lines.push(Line::styled(fit::cut(&text, width, theme), theme.text));
    }
    let speed = estimate.tokens_per_second.map(|t| format!("{t:.0} tokens a second: ")).unwrap_or_default();
    let from = format!("{speed}{}; {} on {}", estimate.speed_from, estimate.dtype, estimate.device);
    lines.extend(fit::wrap(&[(&from, theme.dim)], width));
    lines
}
