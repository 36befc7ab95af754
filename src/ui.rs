//! Data in, cells out.

pub mod chart;
pub mod export;
pub mod heatmap;
pub mod overlay;
pub mod report;
pub mod samples;
pub mod screen;
pub mod status;

pub use screen::{Ending, WatchOptions, watch};

use crate::app::{App, Pane};
use crate::theme::Theme;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::symbols::border;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Paragraph};

/// ASCII borders, for terminals in which box characters take two cells.
const ASCII: border::Set<'_> = border::Set {
    top_left: "+",
    top_right: "+",
    bottom_left: "+",
    bottom_right: "+",
    vertical_left: "|",
    vertical_right: "|",
    horizontal_top: "-",
    horizontal_bottom: "-",
};

/// Draws the whole screen.
pub fn draw(app: &App, theme: &Theme, frame: &mut Frame<'_>) {
    let area = frame.area();
    if area.width == 0 || area.height == 0 {
        return;
    }
    if area.width < 30 || area.height < 8 {
        let text = format!("lopper: {} (a larger window shows more)", app.state.word());
        frame.render_widget(Paragraph::new(text).wrap(ratatui::widgets::Wrap { trim: true }), area);
        return;
    }
    let wide = area.width >= 120 && area.height >= 34;
    let [head, body, foot] =
        Layout::vertical([Constraint::Length(3), Constraint::Min(0), Constraint::Length(1)]).areas(area);
    status::head(app, theme, frame, head);
    if wide {
        let [left, right] = Layout::horizontal([Constraint::Percentage(55), Constraint::Percentage(45)]).areas(body);
        let [map, chart] = Layout::vertical([Constraint::Length(24), Constraint::Min(0)]).areas(left);
        let rows = app.report.as_ref().map_or(0, |r| r.rows.len()) as u16;
        let [samples, report] =
            Layout::vertical([Constraint::Min(0), Constraint::Length(rows.max(1) + 5)]).areas(right);
        for (pane, area) in
            [(Pane::Heatmap, map), (Pane::Charts, chart), (Pane::Samples, samples), (Pane::Report, report)]
        {
            self::pane(app, theme, frame, area, pane, app.pane == pane);
        }
    } else {
        let [tabs, body] = Layout::vertical([Constraint::Length(1), Constraint::Min(0)]).areas(body);
        let mut spans = Vec::new();
        for (i, pane) in Pane::ALL.into_iter().enumerate() {
            let style = if pane == app.pane { theme.selected() } else { theme.dim };
            spans.push(Span::styled(format!(" {} {} ", i + 1, pane.label()), style));
            spans.push(Span::raw(" "));
        }
        frame.render_widget(Line::from(spans), tabs);
        pane(app, theme, frame, body, app.pane, true);
    }
    status::foot(app, theme, frame, foot);
    overlay::draw(app, theme, frame, area);
}

fn pane(app: &App, theme: &Theme, frame: &mut Frame<'_>, area: Rect, pane: Pane, focused: bool) {
    let title = match pane {
        Pane::Heatmap => format!(" {} · {} · {} ", app.measure.label(), app.adapter_label(), app.factor_label()),
        Pane::Charts => " loss, nats per summary token ".to_owned(),
        Pane::Samples => " sample summaries ".to_owned(),
        Pane::Report => " report ".to_owned(),
    };
    let block = block(theme, title, focused);
    let inner = block.inner(area);
    frame.render_widget(block, area);
    match pane {
        Pane::Heatmap => heatmap::draw(app, theme, frame, inner),
        Pane::Charts => chart::draw(app, theme, frame, inner),
        Pane::Samples => samples::draw(app, theme, frame, inner),
        Pane::Report => report::draw(app, theme, frame, inner),
    }
}

fn block(theme: &Theme, title: String, focused: bool) -> Block<'static> {
    let style = if focused { theme.accent } else { theme.dim };
    let block = Block::bordered().border_style(style).title(Span::styled(title, style));
    if theme.ascii { block.border_set(ASCII) } else { block }
}
