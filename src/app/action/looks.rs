//! Keys of the look of the screen, and of what leaves it.

use super::{Action, Screen, Section, entry};

/// The section.
pub const SECTION: Section = Section {
    title: "look and show",
    screen: Screen::Watch,
    entries: &[
        entry(Action::Palette, &[":", "ctrl-p"], "find an action by its name, and do it"),
        entry(Action::Theme, &["ctrl-t"], "choose the theme, with a preview"),
        entry(Action::Export, &["E"], "save the pane as SVG and text into the run"),
        entry(Action::CopyRun, &["C"], "copy the run's path to the terminal's clipboard"),
        entry(Action::ToggleDebug, &["f12"], "show or hide frames, bytes and draw time"),
    ],
};
