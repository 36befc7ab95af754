//! The table of evaluations and sweeps.

use super::looks::{PALETTE, THEME};
use super::{Action, Entry, Screen, Section, entry};

/// What a key does on the screen of an evaluation or a sweep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Study {
    Open,
    Up,
    Down,
    PageUp,
    PageDown,
    First,
    Last,
    Order,
    Reverse,
    NextPane,
    Palette,
    Theme,
    Redraw,
    Suspend,
    Help,
    Quit,
}

const fn study(action: Study, keys: &'static [&'static str], help: &'static str) -> Entry {
    entry(Action::Study(action), keys, help)
}

const MOVE: &str = "move between the rows; scroll the notes";
const PAGE: &str = "ten rows up, down";
const ENDS: &str = "first, last row";
const ORDER: &str = "sort by the next column, the other way round";

/// The section of the screen.
pub(super) const SECTIONS: &[Section] = &[Section {
    title: "evaluation, sweep",
    screen: Screen::Study,
    entries: &[
        study(Study::Open, &["enter"], "watch the row's run; of several seeds one").short("open"),
        study(Study::Down, &["down", "j"], MOVE),
        study(Study::Up, &["up", "k"], MOVE),
        study(Study::PageUp, &["page-up"], PAGE),
        study(Study::PageDown, &["page-down"], PAGE),
        study(Study::First, &["home"], ENDS),
        study(Study::Last, &["end"], ENDS),
        study(Study::Order, &["o"], ORDER).short("sort"),
        study(Study::Reverse, &["O"], ORDER),
        study(Study::NextPane, &["tab"], "the table, the notes, the curve of a sweep").short("notes"),
        study(Study::Palette, PALETTE.0, PALETTE.1),
        study(Study::Theme, THEME.0, THEME.1),
        study(Study::Redraw, &["ctrl-l"], "draw the screen anew"),
        study(Study::Suspend, &["ctrl-z"], "suspend to the shell; fg comes back"),
        study(Study::Help, &["?"], "this table").short("help"),
        study(Study::Quit, &["q", "ctrl-c"], "leave the screen; what is under way goes on").short("back"),
    ],
}];
