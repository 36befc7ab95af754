//! The table of the recipe form.

use super::looks::{PALETTE, THEME};
use super::{Action, Entry, Screen, Section, entry};

/// What a key does in the recipe form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Form {
    Up,
    Down,
    PageUp,
    PageDown,
    First,
    Last,
    NextSection,
    PreviousSection,
    NextPane,
    PreviousPane,
    Settings,
    Data,
    Estimate,
    Find,
    Edit,
    Next,
    Previous,
    Switch,
    Unset,
    Add,
    Fetch,
    Sort,
    Undo,
    Redo,
    Save,
    SaveAs,
    Open,
    Compare,
    Start,
    Evaluate,
    Renew,
    Palette,
    Theme,
    Redraw,
    Suspend,
    Help,
    Quit,
}

const fn form(action: Form, keys: &'static [&'static str], help: &'static str) -> Entry {
    entry(Action::Form(action), keys, help)
}

const MOVE: &str = "move between settings; scroll data, estimate";
const PAGE: &str = "ten lines up, down";
const ENDS: &str = "first, last setting";
const SECTION: &str = "previous, next section";
const PANE: &str = "next, previous pane";
const PANES: &str = "settings, data, estimate";
const CHOICE: &str = "previous, next choice; of an adapter the cell";
const UNDO: &str = "undo, redo a change";

/// The sections of the form.
pub(super) const SECTIONS: &[Section] = &[
    Section {
        title: "recipe form",
        screen: Screen::Setup,
        entries: &[
            form(Form::Down, &["down", "j"], MOVE),
            form(Form::Up, &["up", "k"], MOVE),
            form(Form::PageUp, &["page-up"], PAGE),
            form(Form::PageDown, &["page-down"], PAGE),
            form(Form::First, &["home"], ENDS),
            form(Form::Last, &["end"], ENDS),
            form(Form::PreviousSection, &["["], SECTION),
            form(Form::NextSection, &["]"], SECTION),
            form(Form::NextPane, &["tab"], PANE).short("pane"),
            form(Form::PreviousPane, &["shift-tab"], PANE),
            form(Form::Settings, &["1"], PANES),
            form(Form::Data, &["2"], PANES),
            form(Form::Estimate, &["3"], PANES),
            form(Form::Find, &["/"], "go to a setting by a few letters of its name").short("find"),
            form(Form::Palette, PALETTE.0, PALETTE.1),
            form(Form::Theme, THEME.0, THEME.1),
            form(Form::Redraw, &["ctrl-l"], "draw the screen anew"),
            form(Form::Suspend, &["ctrl-z"], "suspend to the shell; fg comes back"),
            form(Form::Help, &["?"], "this table").short("help"),
            form(Form::Quit, &["q", "ctrl-c"], "leave the form (asks if something is not saved)").short("leave"),
        ],
    },
    Section {
        title: "a setting",
        screen: Screen::Setup,
        entries: &[
            form(Form::Edit, &["enter"], "edit it, choose a word, pick a folder or a file").short("edit"),
            form(Form::Previous, &["left", "h"], CHOICE),
            form(Form::Next, &["right", "l"], CHOICE),
            form(Form::Switch, &["space"], "next choice; an adapter: target or related").short("switch"),
            form(Form::Unset, &["delete", "backspace"], "back to the default; an adapter: take it out")
                .short("default"),
            form(Form::Add, &["a"], "add an adapter from a folder or the hub").short("adapter"),
            form(Form::Sort, &["ctrl-o"], "order the hub's results another way (pickers)"),
            form(Form::Fetch, &["f"], "fetch what the recipe lacks of the hub").short("fetch"),
            form(Form::Undo, &["u"], UNDO).short("undo"),
            form(Form::Redo, &["ctrl-r"], UNDO),
        ],
    },
    Section {
        title: "the recipe",
        screen: Screen::Setup,
        entries: &[
            form(Form::Start, &["R"], "save, start the run and watch it (asks first)").short("run"),
            form(Form::Evaluate, &["E"], "save, compare methods over seeds (asks which)").short("evaluate"),
            form(Form::Save, &["s", "ctrl-s"], "save the recipe").short("save"),
            form(Form::SaveAs, &["S"], "save under another name; go on with that copy").short("copy"),
            form(Form::Open, &["o"], "open another recipe").short("open"),
            form(Form::Compare, &["="], "what differs from another recipe, or a run's").short("compare"),
            form(Form::Renew, &["f5"], "look at folders, data and memory again"),
        ],
    },
];
