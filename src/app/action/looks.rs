//! Keys of the look of the screen, and of what leaves it.

use super::{Action, Screen, Section, entry};

/// Keys and sentences that every screen has.
pub(super) const PALETTE: (&[&str], &str) = (&[":", "ctrl-p"], "find an action by its name, and do it");
pub(super) const THEME: (&[&str], &str) = (&["ctrl-t"], "choose the theme, with a preview");

/// The section.
pub const SECTION: Section = Section {
    title: "look and show",
    screen: Screen::Watch,
    entries: &[
        entry(Action::Palette, PALETTE.0, PALETTE.1),
        entry(Action::Theme, THEME.0, THEME.1),
        entry(Action::Export, &["E"], "save the pane as SVG and text into the run"),
        entry(Action::CopyRun, &["C"], "copy the run's path to the terminal's clipboard"),
        entry(Action::ToggleDebug, &["f12"], "show or hide frames, bytes and draw time"),
    ],
};
