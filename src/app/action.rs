//! The one table of what a user can do: dispatch, help, footer, `lopper keys` and the README come from it.

pub mod keymap;
mod looks;
mod ratios;
pub mod runs;
pub mod setup;
pub mod study;
mod watch;

pub use ratios::RatioAction;

use super::{App, Pane};
use std::sync::OnceLock;

/// What a key does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Action {
    Up,
    Down,
    Left,
    Right,
    First,
    Last,
    NextPane,
    PreviousPane,
    Heatmap,
    Charts,
    Samples,
    Report,
    Log,
    Measure,
    PreviousMeasure,
    Adapter,
    Factor,
    NextDocument,
    PreviousDocument,
    Earlier,
    Ratio(RatioAction),
    Pause,
    Checkpoint,
    Generate,
    Stop,
    Picture,
    Redraw,
    Help,
    Suspend,
    Quit,
    Palette,
    Theme,
    Export,
    CopyRun,
    ToggleDebug,
    Quantity,
    PreviousQuantity,
    Smoothing,
    LogScale,
    ZoomIn,
    ZoomOut,
    ZoomReset,
    StepBack,
    StepOn,
    TenBack,
    TenOn,
    Play,
    Live,
    Compare,
    OtherCurves,
    OtherRun,
    Inspect,
    NextVersion,
    PreviousVersion,
    Differences,
    Search,
    NextMatch,
    /// In the list of runs.
    List(runs::List),
    /// In the recipe form.
    Form(setup::Form),
    /// In an evaluation or a sweep.
    Study(study::Study),
}

impl Action {
    /// Its name in the key file: `next_pane`. Of an action that belongs to another table, the name there.
    pub fn name(self) -> String {
        let debug = format!("{self:?}");
        let own = debug.rsplit('(').next().unwrap_or_default().trim_end_matches(')');
        let mut out = String::new();
        for c in own.chars() {
            if c.is_uppercase() && !out.is_empty() {
                out.push('_');
            }
            out.extend(c.to_lowercase());
        }
        out
    }
}

/// One row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// What it does.
    pub action: Action,
    /// Names of the keys.
    pub keys: &'static [&'static str],
    /// The sentence in the help; neighbours with the same one share a line.
    pub help: &'static str,
    /// A word for the footer, empty for none.
    pub short: &'static str,
    /// Panes whose footer shows it, all if empty.
    pub panes: &'static [Pane],
    /// Panes in which the keys mean this, all if empty.
    pub only: &'static [Pane],
    /// Whether it changes the run: not with `--read-only`.
    pub changes: bool,
    /// Whether it works on a run that is over too.
    pub after: bool,
}

const fn entry(action: Action, keys: &'static [&'static str], help: &'static str) -> Entry {
    Entry { action, keys, help, short: "", panes: &[], only: &[], changes: false, after: false }
}

impl Entry {
    const fn short(self, short: &'static str) -> Self {
        Self { short, ..self }
    }

    const fn on(self, panes: &'static [Pane]) -> Self {
        Self { panes, ..self }
    }

    /// Keys and footer belong to these panes.
    const fn only(self, panes: &'static [Pane]) -> Self {
        Self { panes, only: panes, ..self }
    }

    const fn changes(self) -> Self {
        Self { changes: true, ..self }
    }

    /// It changes nothing of the run itself, yet belongs to those who may.
    const fn drafts(self) -> Self {
        Self { changes: true, after: true, ..self }
    }

    /// Whether it has an effect now.
    pub fn works(&self, app: &App) -> bool {
        !self.changes || app.can_change() || (self.after && !app.read_only)
    }

    /// Whether its keys mean it while `pane` has the keys.
    pub fn is_for(&self, pane: Pane) -> bool {
        self.only.is_empty() || self.only.contains(&pane)
    }
}

/// The screens: each has keys of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Screen {
    /// A run.
    Watch,
    /// The list of runs.
    Runs,
    /// A recipe.
    Setup,
    /// An evaluation or a sweep.
    Study,
}

/// Entries that belong together, with their heading in the help.
#[derive(Debug, Clone, Copy)]
pub struct Section {
    /// The heading.
    pub title: &'static str,
    /// Where they hold.
    pub screen: Screen,
    /// The entries.
    pub entries: &'static [Entry],
}

const MOVE: &str = "move the cursor; scroll the document, the log";
const ENDS: &str = "first, last layer";
const STEP_PANE: &str = "next, previous pane";
const PANE: &str = "heatmap, charts, samples, report, log";
const STEP_MEASURE: &str = "next, previous measure of the heatmap";
const MAP: &[Pane] = &[Pane::Heatmap];

/// The table of the screen that shows a run.
const WATCH: &[Section] = &[
    Section {
        title: "screen",
        screen: Screen::Watch,
        entries: &[
            entry(Action::Left, &["left", "h"], MOVE),
            entry(Action::Down, &["down", "j"], MOVE),
            entry(Action::Up, &["up", "k"], MOVE),
            entry(Action::Right, &["right", "l"], MOVE),
            entry(Action::First, &["home"], ENDS),
            entry(Action::Last, &["end"], ENDS),
            entry(Action::NextPane, &["tab"], STEP_PANE).short("pane"),
            entry(Action::PreviousPane, &["shift-tab"], STEP_PANE),
            entry(Action::Heatmap, &["1"], PANE),
            entry(Action::Charts, &["2"], PANE),
            entry(Action::Samples, &["3"], PANE),
            entry(Action::Report, &["4"], PANE),
            entry(Action::Log, &["5"], PANE),
            entry(Action::Picture, &["S"], "save the screen as SVG in the run directory"),
            entry(Action::Redraw, &["ctrl-l"], "draw the screen anew"),
            entry(Action::Suspend, &["ctrl-z"], "suspend to the shell; fg comes back"),
            entry(Action::Help, &["?"], "this table").short("help"),
            entry(Action::Quit, &["q", "ctrl-c"], "leave the screen; the run goes on").short("leave"),
        ],
    },
    Section {
        title: "heatmap",
        screen: Screen::Watch,
        entries: &[
            entry(Action::Measure, &["m"], STEP_MEASURE).short("measure").on(MAP),
            entry(Action::PreviousMeasure, &["M"], STEP_MEASURE),
            entry(Action::Adapter, &["a"], "next adapter, then all together").short("adapter").on(MAP),
            entry(Action::Factor, &["f"], "factor A, factor B, then both together").short("A/B").on(MAP),
        ],
    },
    ratios::SECTION,
    watch::TIME,
    watch::CHARTS,
    watch::SAMPLES,
    Section {
        title: "the run",
        screen: Screen::Watch,
        entries: &[
            entry(Action::Pause, &["p"], "pause the run, or let it go on").short("pause").changes(),
            entry(Action::Checkpoint, &["c"], "write a checkpoint now")
                .short("checkpoint")
                .on(&[Pane::Log, Pane::Charts])
                .changes(),
            entry(Action::Generate, &["g"], "write the sample summaries now")
                .short("write now")
                .on(&[Pane::Samples])
                .changes(),
            entry(Action::Stop, &["s"], "stop the run with a checkpoint (asks first)").short("stop").changes(),
        ],
    },
    looks::SECTION,
];

/// The table in use: the default one, or that with the user's keys.
static TABLE: OnceLock<Vec<Section>> = OnceLock::new();

/// Gives the actions the keys of the user's file for as long as the program runs: before anything asks for them.
///
/// # Errors
/// As [`keymap::patched`].
pub fn take_keys(file: &str, text: &str) -> crate::Result<()> {
    let defaults: Vec<Section> = default_sections().copied().collect();
    let table = keymap::patched(&defaults, file, text)?;
    TABLE.set(table).map_err(|_| crate::Error::fault("the keys were taken before"))
}

/// The table, section by section, with the user's keys.
pub fn sections() -> impl Iterator<Item = &'static Section> {
    TABLE.get_or_init(|| default_sections().copied().collect()).iter()
}

/// The table as it is without a file of the user's.
pub fn default_sections() -> impl Iterator<Item = &'static Section> {
    WATCH.iter().chain(runs::SECTIONS).chain(study::SECTIONS).chain(setup::SECTIONS)
}

/// All entries.
pub fn all() -> impl Iterator<Item = &'static Entry> {
    sections().flat_map(|section| section.entries)
}

/// The first key of an action; nothing where the user gave it none.
pub fn key_of(action: Action) -> &'static str {
    all().find(|entry| entry.action == action).and_then(|entry| entry.keys.first()).copied().unwrap_or_default()
}

/// The action of a key on a screen while `pane` has the keys.
pub fn of(key: &str, screen: Screen, pane: Pane) -> Option<&'static Entry> {
    // A table has a word for it; in a line it is a character.
    let key = if key == " " { "space" } else { key };
    let here = sections().filter(|section| section.screen == screen).flat_map(|section| section.entries);
    let mut all = here.filter(|e| e.keys.contains(&key) && e.is_for(pane));
    all.next()
}

/// What the footer offers now.
pub fn offered(app: &App) -> impl Iterator<Item = &'static Entry> {
    let pane = app.pane;
    let entries = sections().filter(|s| s.screen == Screen::Watch).flat_map(|s| s.entries);
    entries.filter(move |e| {
        !e.short.is_empty()
            && !e.keys.is_empty()
            && (e.panes.is_empty() || e.panes.contains(&pane))
            && e.works(app)
            && fits(app, e.action)
    })
}

/// Whether there is something for an action to do that is offered only then.
fn fits(app: &App, action: Action) -> bool {
    match action {
        Action::Ratio(RatioAction::ApplyDraft | RatioAction::ShowTrial) => !app.ratios.draft.is_empty(),
        Action::Ratio(RatioAction::DropDraft) => !app.ratios.draft.is_empty() || app.ratios.area.is_some(),
        _ => true,
    }
}

/// One line of the help: keys, sentence, whether it changes the run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HelpLine {
    /// Names of the keys, first those of the first entry.
    pub keys: Vec<&'static str>,
    /// The sentence.
    pub help: &'static str,
    /// Whether it changes the run.
    pub changes: bool,
}

/// Lines of a screen's help, headings and the empty lines between sections included.
pub fn help_lines(screen: Screen) -> usize {
    sections().filter(|s| s.screen == screen).map(|s| help(s).len() + 2).sum::<usize>().saturating_sub(1)
}

/// A section's entries, neighbours joined that share a sentence.
pub fn help(section: &Section) -> Vec<HelpLine> {
    let mut lines: Vec<HelpLine> = Vec::new();
    for entry in section.entries {
        match lines.last_mut() {
            Some(line) if line.help == entry.help => line.keys.extend(entry.keys),
            _ => lines.push(HelpLine { keys: entry.keys.to_vec(), help: entry.help, changes: entry.changes }),
        }
    }
    lines
}

/// The table in columns, for `lopper keys`.
pub fn plain() -> String {
    let column = sections().flat_map(help).map(|line| line.keys.join(" ").len()).max().unwrap_or(0);
    let mut out = String::new();
    for section in sections() {
        out.push_str(&format!("{}\n", section.title));
        for line in help(section) {
            let changes = if line.changes { " (not with --read-only)" } else { "" };
            out.push_str(&format!("  {:column$}  {}{changes}\n", line.keys.join(" "), line.help));
        }
    }
    out
}

/// The table as Markdown, for `lopper keys --markdown` and the README.
pub fn markdown() -> String {
    let mut out = String::from("| keys | what they do |\n|---|---|\n");
    for section in sections() {
        out.push_str(&format!("| | **{}** |\n", section.title));
        for line in help(section) {
            let keys: Vec<String> = line.keys.iter().map(|key| format!("`{key}`")).collect();
            let changes = if line.changes { " (not with `--read-only`)" } else { "" };
            out.push_str(&format!("| {} | {}{changes} |\n", keys.join(" "), line.help));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_key_means_two_things() {
        for screen in [Screen::Watch, Screen::Runs, Screen::Study, Screen::Setup] {
            for pane in Pane::ALL {
                let entries = sections().filter(|s| s.screen == screen).flat_map(|s| s.entries);
                let keys: Vec<&str> = entries.filter(|e| e.is_for(pane)).flat_map(|e| e.keys).copied().collect();
                let unique: HashSet<&str> = keys.iter().copied().collect();
                assert_eq!(keys.len(), unique.len(), "{screen:?} {pane:?} {keys:?}");
            }
        }
    }

    #[test]
    fn names_are_stable_and_tell_the_actions_of_a_screen_apart() {
        assert_eq!(
            [Action::Up, Action::NextPane, Action::ToggleDebug].map(Action::name),
            ["up", "next_pane", "toggle_debug"]
        );
        for screen in [Screen::Watch, Screen::Runs, Screen::Study, Screen::Setup] {
            let entries = sections().filter(|s| s.screen == screen).flat_map(|s| s.entries);
            let names: Vec<String> = entries.map(|e| e.action.name()).collect();
            assert!(names.iter().all(|n| n.chars().all(|c| c.is_ascii_lowercase() || c == '_')), "{names:?}");
            assert_eq!(names.iter().collect::<HashSet<_>>().len(), names.len(), "{names:?}");
        }
    }

    #[test]
    fn the_help_holds_every_key_and_fits_a_small_terminal() {
        let lines: Vec<HelpLine> = sections().flat_map(help).collect();
        assert_eq!(lines.iter().map(|l| l.keys.len()).sum::<usize>(), all().map(|e| e.keys.len()).sum::<usize>());
        // 80 columns less a border, a margin and the keys.
        let keys = lines.iter().map(|l| l.keys.join(" ").len()).max().unwrap_or(0);
        assert!(lines.iter().all(|l| keys + 2 + l.help.len() <= 76), "{lines:?}");
        assert!(markdown().lines().all(|line| line.starts_with("| ") || line.starts_with("|---")));
    }

    #[test]
    fn the_footer_offers_what_works_now() {
        let mut app = App::new("x", false);
        assert!(offered(&app).any(|e| e.action == Action::Ratio(RatioAction::Raise)));
        app.read_only = true;
        assert!(!offered(&app).any(|e| e.changes));
        app.pane = Pane::Samples;
        assert!(offered(&app).any(|e| e.action == Action::NextDocument));
        assert!(!offered(&app).any(|e| e.action == Action::Measure));
    }
}
