//! The lines of the settings: headings and rows, and which of them show.

use super::form::{cells, columns};
use crate::app::setup::{Setup, What};
use ratatui::layout::{Position, Rect};

/// What stands on a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slot {
    /// Nothing.
    Gap,
    /// The heading of a section.
    Heading(&'static str),
    /// A row, by its index.
    Row(usize),
}

/// The lines of the settings, and which of them show.
pub(super) struct Slots {
    all: Vec<Slot>,
    /// The first that shows.
    pub(super) first: usize,
    /// The first of the last page.
    pub(super) last: usize,
    /// As many show at most; below them stands what there is to say of the row under the cursor.
    pub(super) rows: usize,
}

impl Slots {
    /// Those on `height` lines, around the row under the cursor.
    pub(super) fn new(setup: &Setup, height: u16) -> Self {
        let below = if height >= 12 { 3 } else { u16::from(height >= 4) };
        let rows = usize::from(height - below);
        let mut all = Vec::new();
        let mut here = 0;
        let mut section = "";
        for (i, row) in setup.rows.iter().enumerate() {
            if row.section != section {
                section = row.section;
                if i > 0 && rows >= 12 {
                    all.push(Slot::Gap);
                }
                all.push(Slot::Heading(section));
            }
            if i == setup.at {
                here = all.len();
            }
            all.push(Slot::Row(i));
        }
        let last = all.len().saturating_sub(rows);
        // The heading of the first section stays in sight with its first row.
        let first = if here <= 1 { 0 } else { (here + 1).saturating_sub(rows.div_ceil(2)).min(last) };
        Self { all, first, last, rows }
    }

    /// Those that show, from above.
    pub(super) fn shown(&self) -> impl Iterator<Item = Slot> + '_ {
        self.all.iter().skip(self.first).take(self.rows).copied()
    }
}

/// The row at a place of the screen where the settings fill `area`, and of an adapter the cell.
pub(super) fn row_at(setup: &Setup, area: Rect, at: Position) -> Option<(usize, Option<usize>)> {
    if !area.contains(at) {
        return None;
    }
    let Slot::Row(row) = Slots::new(setup, area.height).shown().nth(usize::from(at.y - area.y))? else { return None };
    let What::Adapter(_) = setup.rows.get(row)?.what else { return Some((row, None)) };
    let width = usize::from(area.width);
    let mut end = 2;
    let cell = cells(&setup.rows[row], &columns(width), width).into_iter().find(|(_, room, _)| {
        end += room + 1;
        usize::from(at.x - area.x) < end
    });
    Some((row, cell.and_then(|(_, _, cell)| cell)))
}
