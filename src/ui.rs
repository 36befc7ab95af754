//! Data in, cells out.

pub mod axes;
mod beside;
pub mod chart;
pub mod export;
pub mod files;
pub mod fit;
pub mod heatmap;
pub mod input;
mod inquiry;
pub mod inspect;
pub mod layout;
pub mod log;
pub mod marks;
mod matrix;
pub mod options;
pub mod overlay;
mod pacing;
pub mod page;
pub mod paint;
pub mod palette;
pub mod picker;
pub mod picture;
pub mod plot;
pub mod ratios;
pub mod readout;
pub mod report;
pub mod runs;
pub mod samples;
pub mod screen;
mod sensitivity;
pub mod sets;
pub mod setup;
pub mod status;
pub mod study;
mod threads;
pub mod timeline;
mod trial;

pub use options::WatchOptions;
pub use screen::{Ending, watch};

use crate::app::{App, Pane};
use crate::theme::Theme;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Paragraph, Wrap};

/// Draws the whole screen.
pub fn draw(app: &App, theme: &Theme, frame: &mut Frame<'_>) {
    let area = frame.area();
    if area.width == 0 || area.height == 0 {
        return;
    }
    let notice = status::notice(app, theme, area.width.saturating_sub(2));
    let Some(places) = layout::places(app, area, notice.len() as u16) else {
        frame.render_widget(Paragraph::new(status::sentence(app)).wrap(Wrap { trim: true }), area);
        return;
    };
    status::head(app, theme, frame, places.head);
    let said = Rect { x: places.notice.x + 1, width: places.notice.width.saturating_sub(2), ..places.notice };
    // A low window has no room for all of it.
    let notice = fit::limit(notice, usize::from(said.height), usize::from(said.width), theme);
    frame.render_widget(Paragraph::new(notice), said);
    if places.tabs.height > 0 {
        tabs(app, theme, frame, places.tabs);
    }
    let bordered = places.panes.len() > 1;
    for (pane, outer, inner) in &places.panes {
        if bordered {
            frame.render_widget(block(theme, title(app, theme, *pane, outer.width), app.pane == *pane), *outer);
        }
        match pane {
            Pane::Heatmap => heatmap::draw(app, theme, frame, *inner),
            Pane::Charts => chart::draw(app, theme, frame, *inner),
            Pane::Samples => samples::draw(app, theme, frame, *inner),
            Pane::Report => report::draw(app, theme, frame, *inner),
            Pane::Log => log::draw(app, theme, frame, *inner),
        }
    }
    status::foot(app, theme, frame, places.foot);
    overlay::draw(app, theme, frame, area);
}

/// The tabs, and what the pane shows to their right.
fn tabs(app: &App, theme: &Theme, frame: &mut Frame<'_>, area: Rect) {
    let mut spans = Vec::new();
    for pane in Pane::ALL.into_iter().skip(layout::first_tab(app.pane, area.width)) {
        let style = if pane == app.pane { theme.selected() } else { theme.dim };
        spans.push(Span::styled(layout::tab(pane), style));
        spans.push(Span::raw(" "));
    }
    let line = Line::from(spans);
    let room = usize::from(area.width).saturating_sub(line.width() + 2);
    // The charts have a line of their own for it.
    let about = if app.pane == Pane::Charts { String::new() } else { about(app, theme, app.pane) };
    if !about.is_empty() && fit::width(&about) <= room {
        let width = fit::width(&about) as u16;
        let right = Rect { x: area.right() - width - 1, width, ..area };
        frame.render_widget(Line::styled(about, theme.text), right);
    }
    frame.render_widget(line, area);
}

/// What a pane shows now, beside its name.
fn about(app: &App, theme: &Theme, pane: Pane) -> String {
    match pane {
        Pane::Heatmap => app.step_label(),
        Pane::Charts => chart::about(app, theme),
        Pane::Samples => String::new(),
        Pane::Report => app.report.as_ref().map_or_else(String::new, |r| format!("{} set", r.split)),
        Pane::Log if app.log_back > 0 => format!("{} newer below", app.log_back),
        Pane::Log => String::new(),
    }
}

fn title(app: &App, theme: &Theme, pane: Pane, width: u16) -> String {
    let about = about(app, theme, pane);
    let separator = if about.is_empty() { String::new() } else { format!(" {} ", theme.glyphs.dot) };
    fit::cut(&format!(" {}{separator}{about} ", layout::tab(pane).trim()), usize::from(width).saturating_sub(4), theme)
}

fn block(theme: &Theme, title: String, focused: bool) -> Block<'static> {
    let (border, name) = if focused { (theme.accent, theme.title()) } else { (theme.dim, theme.dim) };
    Block::bordered().border_set(theme.glyphs.border).border_style(border).title(Span::styled(title, name))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::app::{Note, Tone};
    use crate::run::RunState;
    use crate::theme::Depth;

    #[test]
    fn a_last_word_that_a_low_window_cuts_says_so() {
        let theme = Theme::find("mono", Depth::None, true).unwrap();
        let mut app = App::new("x", false);
        app.state = RunState::Failed;
        app.notice = Some(Note { t: 0.0, tone: Tone::Bad, text: "one two three four ".repeat(20) });
        let cells = picture::drawn((60, 8), |frame| draw(&app, &theme, frame)).unwrap();
        let shown = export::text(&cells);
        let lines: Vec<&str> = shown.lines().collect();
        assert!(lines[3].ends_with('~') && !lines[2].ends_with('~'), "{shown}");
    }
}
