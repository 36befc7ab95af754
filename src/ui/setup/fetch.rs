//! The files that are fetched, and how far each is.

use crate::app::setup::Hub;
use crate::hub::download::{Line as File, Standing, State};
use crate::run::estimate::bytes;
use crate::theme::Theme;
use crate::ui::{fit, overlay};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

/// Columns of a file's figures.
const FIGURES: usize = 18;
/// Columns of the bar.
const BAR: usize = 20;

/// `34%, 4 MB/s, 0:42 left`.
pub(super) fn figures(standing: &Standing) -> String {
    let share = standing.done as f64 / standing.total.max(1) as f64;
    let rate = if standing.rate > 0.0 { format!(", {}/s", bytes(standing.rate as u64)) } else { String::new() };
    let left = standing.left.map(|s| format!(", {} left", fit::duration(s))).unwrap_or_default();
    format!("{:.0}%{rate}{left}", (share * 100.0).floor())
}

/// Draws it over the form.
pub(super) fn draw(hub: &Hub, top: usize, theme: &Theme, frame: &mut Frame<'_>, area: Rect) {
    let width = usize::from(area.width).saturating_sub(4).min(92);
    if let Some(sentence) = &hub.failed {
        let room = usize::from(area.height).saturating_sub(3).max(1);
        let mut lines = fit::limit(fit::wrap(&[(sentence, theme.bad)], width), room, width, theme);
        lines.push(Line::styled(fit::cut("f tries again (what has come stays), esc closes", width, theme), theme.dim));
        return overlay::popup(" not fetched ".to_owned(), lines, theme, frame, area);
    }
    let mut lines = Vec::new();
    match &hub.fetching {
        Some(standing) if !standing.lines.is_empty() => {
            let (all, here) = (bytes(standing.total), bytes(standing.done));
            let share = standing.done as f64 / standing.total.max(1) as f64;
            let full = ((share * BAR as f64) as usize).min(BAR);
            let figures = format!(" {here} of {all}, {}", figures(standing));
            let [_, _, _, _, _, _, _, mark] = theme.glyphs.spark;
            lines.push(Line::from(vec![
                Span::styled(mark.repeat(full), theme.accent),
                Span::styled(".".repeat(BAR - full), theme.dim),
                Span::styled(fit::cut(&figures, width.saturating_sub(BAR), theme), theme.text),
            ]));
            let room = usize::from(area.height).saturating_sub(5).clamp(1, 16);
            let from = top.min(standing.lines.len().saturating_sub(room));
            lines.extend(standing.lines.iter().skip(from).take(room).map(|file| line(file, theme, width)));
        }
        _ => lines.push(Line::styled(fit::pad("asking the hub for the files ...", width, theme), theme.dim)),
    }
    let keys = fit::cut("esc cancels (what has come stays), enter goes on behind the form", width, theme);
    lines.push(Line::styled(keys, theme.dim));
    overlay::popup(" fetch ".to_owned(), lines, theme, frame, area);
}

fn line(file: &File, theme: &Theme, width: usize) -> Line<'static> {
    let (text, style) = match &file.state {
        State::Waiting => ("waits".to_owned(), theme.dim),
        State::Locked => ("another fetches".to_owned(), theme.warn),
        State::Again => (format!("again at {}", bytes(file.done)), theme.warn),
        State::Running => (format!("{} of {}", bytes(file.done), bytes(file.size)), theme.accent),
        State::Done => (bytes(file.size), theme.good),
        State::Failed(_) => ("failed".to_owned(), theme.bad),
    };
    let figures = fit::pad(&text, FIGURES, theme);
    let name = fit::pad(&file.path, width.saturating_sub(FIGURES + 1), theme);
    Line::from(vec![Span::styled(format!("{name} "), theme.text), Span::styled(figures, style)])
}
