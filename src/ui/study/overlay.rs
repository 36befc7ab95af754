//! What lies over the table: the keys, the runs of a row, actions and themes.

use crate::app::action::{Action, Entry, Screen};
use crate::app::study::{Overlay, Study};
use crate::theme::Theme;
use crate::ui::{fit, overlay, palette};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Line;

/// Draws the overlay, if there is one.
pub(super) fn draw(study: &Study, theme: &Theme, frame: &mut Frame<'_>, area: Rect) {
    match &study.overlay {
        None => {}
        Some(Overlay::Help { top }) => {
            let lines = overlay::help(Screen::Study, true, theme);
            study.reach.note(overlay::reaching("keys", lines, *top, theme, frame, area));
        }
        Some(Overlay::Palette(found)) => {
            let works = |e: &Entry| !matches!(e.action, Action::Study(action) if !study.works(action));
            palette::draw(found, works, theme, frame, area);
        }
        Some(Overlay::Themes(choice)) => palette::themes(&study.themes, choice, theme, frame, area),
        Some(Overlay::Runs { row, runs, at }) => {
            let hint = "enter watches it, esc leaves";
            let most = usize::from(area.width).saturating_sub(6);
            let width = runs.iter().map(|run| fit::width(&run.0)).max().unwrap_or(0).max(hint.len()).min(most);
            let room = usize::from(area.height).saturating_sub(3).max(1);
            let first = (at + 1).saturating_sub(room);
            let mut lines: Vec<Line<'_>> = runs
                .iter()
                .enumerate()
                .skip(first)
                .take(room)
                .map(|(i, (text, _))| {
                    let style = if i == *at { theme.selected() } else { theme.text };
                    Line::styled(fit::pad(text, width, theme), style)
                })
                .collect();
            lines.push(Line::styled(hint, theme.dim));
            overlay::popup(format!(" {} ", fit::cut(row, most, theme)), lines, theme, frame, area);
        }
    }
}
