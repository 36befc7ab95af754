//! The one table of what a user can do: dispatch, help and footer come from it.

/// What a key does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Action {
    Up,
    Down,
    Left,
    Right,
    NextPane,
    Heatmap,
    Charts,
    Samples,
    Report,
    Measure,
    Adapter,
    Factor,
    NextDocument,
    PreviousDocument,
    Raise,
    Lower,
    Pause,
    Checkpoint,
    Generate,
    Stop,
    Picture,
    Help,
    Suspend,
    Quit,
}

/// One row of the table.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// What it does.
    pub action: Action,
    /// Names of the keys.
    pub keys: &'static [&'static str],
    /// The sentence in the help.
    pub help: &'static str,
    /// One or two words for the footer, empty for none.
    pub short: &'static str,
    /// Whether it changes the run: not with `--read-only`.
    pub changes: bool,
}

const fn entry(
    action: Action,
    keys: &'static [&'static str],
    help: &'static str,
    short: &'static str,
    changes: bool,
) -> Entry {
    Entry { action, keys, help, short, changes }
}

/// The table.
pub const TABLE: &[Entry] = &[
    entry(Action::Up, &["up", "k"], "cursor up (samples: previous document)", "", false),
    entry(Action::Down, &["down", "j"], "cursor down (samples: next document)", "", false),
    entry(Action::Left, &["left", "h"], "cursor left", "", false),
    entry(Action::Right, &["right", "l"], "cursor right", "", false),
    entry(Action::NextPane, &["tab"], "next pane", "pane", false),
    entry(Action::Heatmap, &["1"], "heatmap of modules", "", false),
    entry(Action::Charts, &["2"], "loss curves", "", false),
    entry(Action::Samples, &["3"], "sample summaries", "", false),
    entry(Action::Report, &["4"], "report", "", false),
    entry(
        Action::Measure,
        &["m"],
        "next measure: sparsity, importance, retained importance, mask flips, ratio",
        "measure",
        false,
    ),
    entry(Action::Adapter, &["a"], "next adapter, then all", "adapter", false),
    entry(Action::Factor, &["f"], "A, B, or both", "A/B", false),
    entry(Action::NextDocument, &["n"], "next sample document", "", false),
    entry(Action::PreviousDocument, &["N"], "previous sample document", "", false),
    entry(Action::Raise, &["+", "="], "prune ratio of the module under the cursor up by 0.05", "+/- ratio", true),
    entry(Action::Lower, &["-"], "prune ratio of the module under the cursor down by 0.05", "", true),
    entry(Action::Pause, &["p"], "pause, or go on", "pause", true),
    entry(Action::Checkpoint, &["c"], "write a checkpoint now", "", true),
    entry(Action::Generate, &["g"], "write the sample summaries now", "", true),
    entry(Action::Stop, &["s"], "stop with a checkpoint", "stop", true),
    entry(Action::Picture, &["S"], "save this screen as an SVG picture", "", false),
    entry(Action::Help, &["?"], "this table", "help", false),
    entry(Action::Suspend, &["ctrl-z"], "suspend to the shell", "", false),
    entry(Action::Quit, &["q", "ctrl-c", "esc"], "leave the screen; the run goes on", "quit", false),
];

/// The action of a key.
pub fn of(key: &str) -> Option<&'static Entry> {
    TABLE.iter().find(|e| e.keys.contains(&key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_means_two_things() {
        let keys: Vec<&str> = TABLE.iter().flat_map(|e| e.keys).copied().collect();
        let unique: std::collections::HashSet<&str> = keys.iter().copied().collect();
        assert_eq!(keys.len(), unique.len());
    }
}
