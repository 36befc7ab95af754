//! The table of the list of runs.

use super::looks::{PALETTE, THEME};
use super::{Action, Entry, Screen, Section, entry};

/// What a key does in the list of runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum List {
    Up,
    Down,
    First,
    Last,
    PageUp,
    PageDown,
    Filter,
    Order,
    Reverse,
    Mark,
    Compare,
    Watch,
    Pause,
    Stop,
    Resume,
    Log,
    Tags,
    Note,
    Delete,
    Demo,
    New,
    Clone,
    Edit,
    Palette,
    Theme,
    Redraw,
    Suspend,
    Help,
    Quit,
}

const fn list(action: List, keys: &'static [&'static str], help: &'static str) -> Entry {
    entry(Action::List(action), keys, help)
}

const MOVE: &str = "move between the runs";
const PAGE: &str = "ten runs up, down";
const ENDS: &str = "first, last run";
const ORDER: &str = "sort by the next column, the other way round";

/// The sections of the list.
pub(super) const SECTIONS: &[Section] = &[
    Section {
        title: "list of runs",
        screen: Screen::Runs,
        entries: &[
            list(List::Watch, &["enter"], "watch the run; q comes back to the list").short("watch"),
            list(List::Down, &["down", "j"], MOVE),
            list(List::Up, &["up", "k"], MOVE),
            list(List::PageUp, &["page-up"], PAGE),
            list(List::PageDown, &["page-down"], PAGE),
            list(List::First, &["home"], ENDS),
            list(List::Last, &["end"], ENDS),
            list(List::Filter, &["/"], "only runs with these words (name, state, tags)").short("filter"),
            list(List::Order, &["o"], ORDER).short("sort"),
            list(List::Reverse, &["O"], ORDER),
            list(List::Mark, &["space"], "mark the run for a comparison").short("mark"),
            list(List::Compare, &["="], "compare the marked runs").short("compare"),
            list(List::New, &["a"], "set up a run: a new recipe in the form").short("new"),
            list(List::Edit, &["e"], "open a recipe in the form").short("recipe"),
            list(List::Palette, PALETTE.0, PALETTE.1),
            list(List::Theme, THEME.0, THEME.1),
            list(List::Redraw, &["ctrl-l"], "draw the screen anew"),
            list(List::Suspend, &["ctrl-z"], "suspend to the shell; fg comes back"),
            list(List::Help, &["?"], "this table").short("help"),
            list(List::Quit, &["q", "ctrl-c"], "leave the list; all runs go on").short("leave"),
        ],
    },
    Section {
        title: "a run of the list",
        screen: Screen::Runs,
        entries: &[
            list(List::Resume, &["r"], "go on with what stopped, failed or crashed").short("resume"),
            list(List::Pause, &["p"], "pause a run under way, or let it go on").short("pause"),
            list(List::Stop, &["s"], "stop a run with a checkpoint (asks first)").short("stop"),
            list(List::Clone, &["c"], "a new recipe from that of the run, in the form").short("clone"),
            list(List::Log, &["l"], "what the worker printed: the end of worker.log").short("log"),
            list(List::Tags, &["#"], "edit the tags, kept in notes.toml of the run").short("tags"),
            list(List::Note, &["n"], "edit the note, kept in notes.toml of the run").short("note"),
            list(List::Delete, &["d"], "delete the run directory (asks first)").short("delete"),
            list(List::Demo, &["D"], "start the demo").short("demo"),
        ],
    },
];
