//! The line above the heatmap: which step it shows, and where that lies in the run.

use super::fit;
use crate::app::App;
use crate::app::watch::history::Place;
use crate::app::watch::others::Other;
use crate::app::watch::scrub;
use crate::theme::Theme;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

/// Least rows of the pane in which the line stands always, and while an earlier step is on show.
const ROOM: (u16, u16) = (16, 5);

/// Rows that the line takes at the top of `area`.
pub fn rows(app: &App, area: Rect) -> u16 {
    let scrub = &app.watch.scrub;
    let moved = scrub.shown.is_some() || app.is_difference() || scrub.plays() || app.past().is_some();
    let wanted = if moved { area.height >= ROOM.1 } else { area.height >= ROOM.0 };
    u16::from(wanted && !app.watch.history.is_empty())
}

/// What the line says.
fn words(app: &App, theme: &Theme) -> (String, bool) {
    let scrub = &app.watch.scrub;
    let history = &app.watch.history;
    let mut text = app.step_label();
    if text.is_empty() {
        text = "[ goes back to earlier stages".into();
    }
    if app.past().is_some() {
        text = format!("this stage has no steps: {text}");
    }
    if let Some(shown) = scrub.shown.as_ref().or(app.past())
        && let Some(stage) = history.stage(shown.place.stage).filter(|s| s.index != app.stage.index)
    {
        text = format!("{text}, {}", stage.method);
    }
    if let Some(reference) = &scrub.reference {
        let shown = scrub.shown.as_ref().or(app.past());
        let other = reference.place.stage != shown.map_or(app.stage.index, |s| s.place.stage);
        let stage = if other { format!(" of stage {}", reference.place.stage + 1) } else { String::new() };
        text = format!("{text} minus step {}{stage}", reference.place.step);
    }
    if let Some(base) = &app.watch.others.base {
        let name = &base.run.name;
        text = match (base.run.known.as_deref(), &base.modules) {
            (_, Some(modules)) => format!("{text} minus {name} (step {})", modules.step),
            (Some(Other { error: Some(error), .. }), None) => error.clone(),
            (Some(Other { reading: None, .. }), None) => format!("{text}: {name} has made no step to compare with"),
            (_, None) => format!("{text} minus {name}, which is being read"),
        };
    }
    if scrub.plays() {
        text = format!("{} {text}", theme.glyphs.states[0]);
    }
    (text, scrub.shown.is_some() || app.is_difference() || app.past().is_some())
}

/// Draws the words and the bar: all steps that are kept, the one on show, the one compared with.
pub fn draw(app: &App, theme: &Theme, buf: &mut Buffer, area: Rect) {
    let (text, moved) = words(app, theme);
    let history = &app.watch.history;
    let width = usize::from(area.width);
    // Room for the numbers to grow, so that the bar keeps its place.
    let text = fit::cut(&text, width, theme);
    let wide = fit::width(&text).next_multiple_of(8).max(24);
    buf.set_string(area.x, area.y, &text, if moved { theme.warn } else { theme.text });
    let room = width.saturating_sub(wide + 1);
    let count = history.len();
    if room < 8 || count == 0 {
        return;
    }
    let column = |index: usize| if count > 1 { index.min(count - 1) * (room - 1) / (count - 1) } else { room - 1 };
    let left = area.x + (wide + 1) as u16;
    let here = column(match app.result().filter(|_| app.is_live()) {
        Some(best) => history.index(Place { stage: app.stage.index, step: best.step }),
        None => scrub::index(app),
    });
    for at in 0..room {
        let (glyph, style) =
            if at <= here { (theme.glyphs.full, theme.accent) } else { (theme.glyphs.open, theme.dim) };
        buf.set_string(left + at as u16, area.y, glyph, style);
    }
    for start in history.stage_starts().into_iter().filter(|s| *s > 0) {
        buf.set_string(left + column(start) as u16, area.y, theme.glyphs.axis[0], theme.dim);
    }
    if let Some(reference) = &app.watch.scrub.reference {
        let at = column(history.index(reference.place)) as u16;
        buf.set_string(left + at, area.y, theme.glyphs.none, theme.warn);
    }
    buf.set_string(left + here as u16, area.y, theme.glyphs.point, if moved { theme.warn } else { theme.accent });
}
