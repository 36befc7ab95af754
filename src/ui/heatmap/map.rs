//! Where the cells of the heatmap and what belongs to it stand.

use crate::app::{App, Measure, grid};
use crate::ui::timeline;
use ratatui::layout::Rect;

/// Columns of the means at the right.
const MEANS: u16 = 7;
/// Least rows of the read-out.
const READ_OUT: u16 = 3;
/// Rows that the table or the curves of sensitivity want.
const CURVES: u16 = 15;

/// Where the cells of the map are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Map {
    /// Top left corner of the first cell.
    pub origin: (u16, u16),
    /// Columns and rows of a cell.
    pub cell: (u16, u16),
    /// First layer shown, and how many are.
    pub layers: (usize, usize),
    /// Projections shown, as indices into [`Projection::ALL`](crate::module::Projection::ALL).
    pub rows: Vec<usize>,
    /// Whether there are projections above and below those shown.
    pub more: (bool, bool),
    /// Columns of the projections' names.
    pub names: u16,
    /// Whether the means of rows and layers are shown.
    pub means: (bool, bool),
    /// Row of the legend.
    pub legend: u16,
    /// Rows of the read-out.
    pub read_out: Rect,
    /// The line of the steps; without rows where there is none.
    pub time: Rect,
}

/// The first of `shown` things so that `at` is among them: it moves by half of what is shown, so that the
/// picture does not slide under every key.
fn window(at: usize, shown: usize, all: usize) -> usize {
    let half = (shown / 2).max(1);
    (at / half * half).saturating_sub(half / 2).min(all.saturating_sub(shown))
}

impl Map {
    /// The map in `area`; `None` before the run has said how many layers there are, or without room.
    pub fn new(app: &App, area: Rect) -> Option<Self> {
        let started = app.started.as_ref().filter(|s| s.layers > 0)?;
        let time = Rect { height: timeline::rows(app, area), ..area };
        let area = Rect { y: area.y + time.height, height: area.height - time.height, ..area };
        let rows = grid::projections(started);
        let layers = started.layers.min(usize::from(u16::MAX / 8)) as u16;
        // Long names where they cost no column of the cells.
        let names = if area.width >= 11 + 2 * layers + MEANS { 11 } else { 6 };
        let means_right = area.width >= names + MEANS + 12;
        let room = area.width.checked_sub(names + if means_right { MEANS } else { 0 }).filter(|r| *r > 0)?;
        let width = (room / layers).clamp(if room >= 4 { 2 } else { 1 }, 9);
        let width = if width * layers > room && layers <= room { 1 } else { width };
        let shown = usize::from(room / width).min(started.layers);
        let n = rows.len() as u16;
        // Header, legend, then what there is room for: cells, read-out, means, air.
        let spare = area.height.checked_sub(2).filter(|s| *s > 0)?;
        // The title, the headings, the selection and each of its matrices.
        let wanted = READ_OUT + 2 * started.adapters.len().min(4) as u16;
        // Curves take rather more than small cells lose.
        let wanted = if app.measure == Measure::Sensitivity { wanted.max(CURVES) } else { wanted };
        let height = match spare {
            s if s >= 3 * n + wanted + 3 && width >= 5 => 3,
            s if s > 2 * n + wanted && width >= 2 => 2,
            _ => 1,
        };
        let visible = n.min(spare / height).max(1);
        let first = window(rows.iter().position(|p| *p == app.cursor.1).unwrap_or(0), usize::from(visible), rows.len());
        let more = (first > 0, first + usize::from(visible) < rows.len());
        let rows: Vec<usize> = rows.into_iter().skip(first).take(usize::from(visible)).collect();
        let mut left = spare - visible * height;
        let mut take = |wanted: u16, keep: u16| {
            let ok = left >= wanted + keep;
            left -= if ok { wanted } else { 0 };
            ok
        };
        let means_below = take(1, READ_OUT);
        // Air only where no row of the read-out is lost for it.
        let gap_read_out = u16::from(take(1, wanted));
        let gap_legend = u16::from(take(1, wanted));
        let y = area.y + 1;
        let legend = y + visible * height + u16::from(means_below) + gap_legend;
        let read_out = Rect { y: legend + 1 + gap_read_out, height: left, ..area };
        Some(Self {
            origin: (area.x + names, y),
            cell: (width, height),
            layers: (window(app.cursor.0, shown, started.layers), shown),
            rows,
            more,
            names,
            means: (means_right, means_below),
            legend,
            read_out,
            time,
        })
    }

    /// Layer and projection at a cell of the screen.
    pub fn at(&self, column: u16, row: u16) -> Option<(usize, usize)> {
        let layer = usize::from(column.checked_sub(self.origin.0)? / self.cell.0);
        let projection = self.rows.get(usize::from(row.checked_sub(self.origin.1)? / self.cell.1))?;
        (layer < self.layers.1).then_some((self.layers.0 + layer, *projection))
    }

    /// Where a cell stands: a layer that is shown, and a row of [`Self::rows`].
    pub(super) fn place(&self, layer: usize, row: usize) -> Rect {
        let x = self.origin.0 + (layer - self.layers.0) as u16 * self.cell.0;
        let y = self.origin.1 + row as u16 * self.cell.1;
        Rect { x, y, width: self.cell.0, height: self.cell.1 }
    }
}
