//! Where everything is: drawing and the mouse use the same places.

use super::heatmap::Map;
use crate::app::{App, Hit, Pane};
use ratatui::layout::{Constraint, Layout, Position, Rect};

/// The places of a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    /// State, progress, figures.
    pub head: Rect,
    /// The last word of a run that is over.
    pub notice: Rect,
    /// One tab a pane; empty where all panes show.
    pub tabs: Rect,
    /// The panes that show: with border, and within it.
    pub panes: Vec<(Pane, Rect, Rect)>,
    /// Keys and toasts.
    pub foot: Rect,
}

/// Smallest window in which anything is laid out.
pub const LEAST: (u16, u16) = (34, 8);
/// Smallest window that shows all panes at once.
const WIDE: (u16, u16) = (120, 36);

/// Whether all panes show at once, with a border and a title each.
pub fn is_wide(area: Rect) -> bool {
    area.width >= WIDE.0 && area.height >= WIDE.1
}

/// Columns of a tab's text, with its margins.
pub fn tab(pane: Pane) -> String {
    let number = Pane::ALL.iter().position(|p| *p == pane).unwrap_or(0) + 1;
    format!(" {number} {} ", pane.label())
}

/// The first tab that shows, so that the one of `pane` does: in narrow windows not all of them fit.
pub fn first_tab(pane: Pane, width: u16) -> usize {
    let at = Pane::ALL.iter().position(|p| *p == pane).unwrap_or(0);
    let wide = |from: usize| Pane::ALL[from..=at].iter().map(|p| tab(*p).len() + 1).sum::<usize>() - 1;
    (0..at).find(|from| wide(*from) <= usize::from(width)).unwrap_or(at)
}

/// The places in `area`, with `notice` lines for the last word; `None` where it is too small for any.
pub fn places(app: &App, area: Rect, notice: u16) -> Option<Places> {
    if area.width < LEAST.0 || area.height < LEAST.1 {
        return None;
    }
    let wide = is_wide(area);
    let notice = notice.min(area.height / 4);
    let [head, said, tabs, body, foot] = Layout::vertical([
        Constraint::Length(2),
        Constraint::Length(notice),
        Constraint::Length(u16::from(!wide)),
        Constraint::Min(0),
        Constraint::Length(1),
    ])
    .areas(area);
    let panes = if wide {
        all(app, body)
    } else {
        // A margin instead of a border: each row counts.
        let inner = Rect { x: body.x + 1, width: body.width - 2, ..body };
        vec![(app.pane, body, inner)]
    };
    Some(Places { head, notice: said, tabs, panes, foot })
}

fn all(app: &App, body: Rect) -> Vec<(Pane, Rect, Rect)> {
    let [left, right] = Layout::horizontal([Constraint::Percentage(58), Constraint::Percentage(42)]).areas(body);
    // Cells of two rows, the read-out with a line for every matrix as far as there is room.
    let map_height = (body.height * 2 / 3).clamp(22, 33);
    let [map, chart] = Layout::vertical([Constraint::Length(map_height), Constraint::Min(0)]).areas(left);
    let rows = app.report.as_ref().map_or(1, |r| r.rows.len()).clamp(1, 8) as u16;
    let cut = u16::from(app.report.as_ref().is_some_and(|r| !r.tokens.is_empty()));
    let [samples, report, log] = Layout::vertical([
        Constraint::Min(12),
        Constraint::Length(rows + 4 + cut),
        Constraint::Length(body.height / 6 + 2),
    ])
    .areas(right);
    let inner = |area: Rect| Rect {
        x: area.x + 2,
        y: area.y + 1,
        width: area.width.saturating_sub(4),
        height: area.height.saturating_sub(2),
    };
    [(Pane::Heatmap, map), (Pane::Charts, chart), (Pane::Samples, samples), (Pane::Report, report), (Pane::Log, log)]
        .map(|(pane, area)| (pane, area, inner(area)))
        .to_vec()
}

impl Places {
    /// What is at a cell of the screen.
    pub fn hit(&self, app: &App, column: u16, row: u16) -> Option<Hit> {
        let at = Position { x: column, y: row };
        if self.tabs.contains(at) {
            let mut x = self.tabs.x;
            for pane in Pane::ALL.into_iter().skip(first_tab(app.pane, self.tabs.width)) {
                let end = x + tab(pane).len() as u16;
                if (x..end).contains(&column) {
                    return Some(Hit::Pane(pane));
                }
                x = end + 1;
            }
            return None;
        }
        let (pane, _, inner) = self.panes.iter().find(|(_, area, _)| area.contains(at))?;
        let cell = (*pane == Pane::Heatmap).then(|| Map::new(app, *inner)?.at(column, row)).flatten();
        Some(cell.map_or(Hit::Pane(*pane), |(layer, projection)| Hit::Cell(layer, projection)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tab_of_the_pane_shows_in_a_narrow_window_and_is_what_is_clicked() {
        assert_eq!(Pane::ALL.map(|pane| first_tab(pane, 80)), [0; 5]);
        assert_eq!(Pane::ALL.map(|pane| first_tab(pane, 40)), [0, 0, 0, 1, 2]);
        let mut app = App::new("x", false);
        app.pane = Pane::Log;
        let hit = |app: &App| places(app, Rect::new(0, 0, 40, 10), 0).and_then(|places| places.hit(app, 1, 2));
        assert_eq!(hit(&app), Some(Hit::Pane(Pane::Samples)));
        app.pane = Pane::Heatmap;
        assert_eq!(hit(&app), Some(Hit::Pane(Pane::Heatmap)));
    }
}
