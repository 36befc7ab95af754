//! Where everything is: drawing and the mouse use the same places.

use super::{data, estimate, slots};
use crate::app::setup::{Hit, Pane, Setup};
use crate::theme::Theme;
use crate::ui::fit;
use crossterm::event::{MouseButton, MouseEvent, MouseEventKind};
use ratatui::layout::{Position, Rect};

/// From here on all panes show at once.
const WIDE: (u16, u16) = (120, 24);
/// Below this only a sentence is drawn.
const LEAST: (u16, u16) = (30, 6);

/// The places of a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Places {
    /// File, state, figures.
    pub(super) head: Rect,
    /// Between head and foot.
    pub(super) body: Rect,
    /// One tab a pane; nothing where all panes show.
    pub(super) tabs: Option<Rect>,
    /// The panes that show: with border, and within it.
    pub(super) panes: Vec<(Pane, Rect, Rect)>,
    /// Keys and messages.
    pub(super) foot: Rect,
}

/// A tab's text, with its margins.
pub(super) fn label(pane: Pane) -> String {
    let number = Pane::ALL.iter().position(|p| *p == pane).unwrap_or(0) + 1;
    format!(" {number} {} ", pane.label())
}

/// Whether something is wrong in a pane: then its tab has a mark.
pub(super) fn is_wrong(setup: &Setup, pane: Pane) -> bool {
    match pane {
        Pane::Settings => setup.wrong() > 0,
        Pane::Data => matches!(setup.seen.preview, Some(Err(_))),
        Pane::Estimate => matches!(setup.seen.estimate, Some(Err(_))),
    }
}

impl Places {
    /// The places in `area`; `None` where it is too small for any.
    pub(super) fn new(setup: &Setup, theme: &Theme, area: Rect) -> Option<Self> {
        if area.width < LEAST.0 || area.height < LEAST.1 {
            return None;
        }
        let inside = Rect { x: area.x + 1, width: area.width - 2, ..area };
        let body = Rect { y: area.y + 1, height: area.height - 2, ..area };
        let wide = area.width >= WIDE.0 && area.height >= WIDE.1;
        let panes = if wide {
            all(setup, theme, body)
        } else {
            let inner = Rect { x: body.x + 1, y: body.y + 1, width: body.width - 2, height: body.height - 1 };
            vec![(setup.pane, Rect { x: body.x, width: body.width, ..inner }, inner)]
        };
        Some(Self {
            head: Rect { height: 1, ..inside },
            body,
            tabs: (!wide).then_some(Rect { height: 1, ..body }),
            panes,
            foot: Rect { y: area.bottom() - 1, height: 1, ..inside },
        })
    }

    /// What the mouse says there.
    pub(super) fn hit(&self, setup: &Setup, theme: &Theme, mouse: MouseEvent) -> Option<Hit> {
        let at = Position { x: mouse.column, y: mouse.row };
        let pane = self.panes.iter().find(|(_, area, _)| area.contains(at));
        match mouse.kind {
            // Beside the panes the wheel is for the one with the keys.
            MouseEventKind::ScrollUp => Some(Hit::Wheel(pane.map_or(setup.pane, |p| p.0), true)),
            MouseEventKind::ScrollDown => Some(Hit::Wheel(pane.map_or(setup.pane, |p| p.0), false)),
            MouseEventKind::Down(MouseButton::Left) => {
                if self.tabs.is_some_and(|tabs| tabs.contains(at)) {
                    return self.tab(setup, theme, at.x).map(Hit::Pane);
                }
                let (pane, _, inner) = pane?;
                let row = (*pane == Pane::Settings).then(|| slots::row_at(setup, *inner, at)).flatten();
                Some(row.map_or(Hit::Pane(*pane), |(row, cell)| Hit::Row(row, cell)))
            }
            _ => None,
        }
    }

    fn tab(&self, setup: &Setup, theme: &Theme, column: u16) -> Option<Pane> {
        let mut x = self.tabs?.x;
        for pane in Pane::ALL {
            let mark = if is_wrong(setup, pane) { fit::width(theme.glyphs.states[4]) } else { 0 };
            let end = x + (label(pane).len() + mark) as u16;
            if (x..end).contains(&column) {
                return Some(pane);
            }
            x = end + 1;
        }
        None
    }

    /// Lines by which data and estimate can be scrolled; behind other panes, once they show.
    pub(super) fn reach(&self, setup: &Setup, theme: &Theme) -> [usize; 2] {
        [Pane::Data, Pane::Estimate].map(|pane| {
            let shown = self.panes.iter().find(|p| p.0 == pane).or(self.panes.first());
            let Some((_, _, area)) = shown else { return 0 };
            let width = usize::from(area.width);
            let lines = match pane {
                Pane::Data => data::lines(setup, theme, width),
                _ => estimate::lines(setup, theme, width),
            };
            lines.len().saturating_sub(usize::from(area.height))
        })
    }
}

/// The settings at the left, data and estimate at the right, each within a border.
fn all(setup: &Setup, theme: &Theme, body: Rect) -> Vec<(Pane, Rect, Rect)> {
    let side = (body.width * 2 / 5).clamp(46, 84);
    let left = Rect { width: body.width - side, ..body };
    let wanted = estimate::lines(setup, theme, usize::from(side) - 4).len() as u16 + 2;
    let below = wanted.clamp(6, body.height / 2);
    let right = Rect { x: left.right(), width: side, height: body.height - below, ..body };
    let under = Rect { y: right.bottom(), height: below, ..right };
    let inner = |area: Rect| Rect {
        x: area.x + 2,
        y: area.y + 1,
        width: area.width.saturating_sub(4),
        height: area.height.saturating_sub(2),
    };
    Pane::ALL.into_iter().zip([left, right, under]).map(|(pane, area)| (pane, area, inner(area))).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;
    use crate::app::setup::{CELLS, Message, What, update};
    use crate::theme::Depth;
    use crate::ui::picture::drawn;
    use crossterm::event::KeyModifiers;
    use ratatui::buffer::Buffer;
    use std::path::Path;

    const FILE: &str = "base = \"models/b\"\n[data]\ntrain = \"t\"\ndev = \"d\"\n[train]\nlr = 0\n\
        [[adapters]]\nname = \"games\"\nrole = \"target\"\n[[adapters]]\nname = \"net\"\npath = \"adapters/net\"\n\
        role = \"related\"\n";

    fn theme() -> Theme {
        Theme::find("mono", Depth::None, true).unwrap()
    }

    fn form() -> Setup {
        Setup::new(Path::new("/p/r.toml"), FILE, None, None).unwrap()
    }

    fn draw(form: &Setup, size: (u16, u16)) -> Buffer {
        drawn(size, |frame| super::super::draw(form, &theme(), frame)).unwrap()
    }

    fn line(buffer: &Buffer, y: u16) -> String {
        (0..buffer.area.width).map(|x| buffer[(x, y)].symbol()).collect()
    }

    fn hit(form: &Setup, size: (u16, u16), kind: MouseEventKind, (column, row): (u16, u16)) -> Option<Hit> {
        let places = Places::new(form, &theme(), Rect::new(0, 0, size.0, size.1))?;
        places.hit(form, &theme(), MouseEvent { kind, column, row, modifiers: KeyModifiers::NONE })
    }

    const CLICK: MouseEventKind = MouseEventKind::Down(MouseButton::Left);

    #[test]
    fn a_click_means_the_row_that_is_drawn_there() {
        for size in [(40, 10), (80, 24), (120, 24), (200, 50)] {
            for at in [0, 5, 20, form().rows.len() - 1] {
                let mut form = form();
                form.at = at;
                let buffer = draw(&form, size);
                let mut found = Vec::new();
                for y in 0..size.1 {
                    let Some(Hit::Row(row, cell)) = hit(&form, size, CLICK, (5, y)) else { continue };
                    let adapter = matches!(form.rows[row].what, What::Adapter(_));
                    let name = if adapter { form.rows[row].cells[0].as_str() } else { form.rows[row].name };
                    let begin: String = name.chars().take(8).collect();
                    assert!(line(&buffer, y).contains(&begin), "{size:?} {at} {y} {name}: {}", line(&buffer, y));
                    assert_eq!(cell, adapter.then_some(0));
                    found.push(row);
                }
                assert!(found.contains(&at) && found.windows(2).all(|w| w[1] == w[0] + 1), "{size:?} {at} {found:?}");
            }
        }
    }

    #[test]
    fn a_click_on_an_adapter_means_the_cell_that_is_drawn_there() {
        let mut form = form();
        let row = form.rows.iter().rposition(|row| matches!(row.what, What::Adapter(_))).unwrap();
        form.at = row;
        let buffer = draw(&form, (120, 40));
        let y = (0..40).find(|y| line(&buffer, *y).contains("adapters/net")).unwrap();
        for (cell, text) in [(0, "net"), (1, "related"), (3, "adapters/net")] {
            let x = line(&buffer, y).find(text).unwrap() as u16;
            assert_eq!(hit(&form, (120, 40), CLICK, (x, y)), Some(Hit::Row(row, Some(cell))), "{}", CELLS[cell]);
        }
    }

    #[test]
    fn tabs_and_panes_are_chosen_where_they_are_drawn() {
        let form = form();
        // The first has a mark behind it: something is wrong with `lr`.
        let tabs = line(&draw(&form, (80, 24)), 1);
        for pane in Pane::ALL {
            let x = tabs.find(pane.label()).unwrap() as u16;
            assert_eq!(hit(&form, (80, 24), CLICK, (x, 1)), Some(Hit::Pane(pane)));
        }
        assert_eq!(hit(&form, (80, 24), CLICK, (79, 1)), None);
        let all = draw(&form, (120, 40));
        for pane in Pane::ALL {
            let title = label(pane);
            let y = (1..40).find(|y| line(&all, *y).contains(title.trim_end())).unwrap();
            let x = line(&all, y).find(title.trim()).unwrap() as u16;
            assert_eq!(hit(&form, (120, 40), CLICK, (x, y)), Some(Hit::Pane(pane)), "{title}");
            let wheel = hit(&form, (120, 40), MouseEventKind::ScrollDown, (x, y + 1));
            assert_eq!(wheel, Some(Hit::Wheel(pane, false)));
        }
        assert_eq!(hit(&form, (120, 40), MouseEventKind::ScrollUp, (0, 0)), Some(Hit::Wheel(Pane::Settings, true)));
        assert_eq!(hit(&form, (20, 5), CLICK, (3, 3)), None);
    }

    #[test]
    fn no_text_is_scrolled_beyond_its_end() {
        let mut form = form();
        let places = Places::new(&form, &theme(), Rect::new(0, 0, 40, 10)).unwrap();
        let reach = places.reach(&form, &theme());
        update(&mut form, Message::Reach([4, reach[1]]));
        for _ in 0..3 {
            update(&mut form, Message::Mouse(Hit::Wheel(Pane::Data, false)));
        }
        assert_eq!(form.scroll, [4, 0]);
        update(&mut form, Message::Mouse(Hit::Wheel(Pane::Data, true)));
        assert_eq!((form.scroll, form.pane), ([1, 0], Pane::Settings));
    }
}
