//! The command palette: every action of the screen, found by a few letters of its name or sentence.

use super::Pane;
use super::action::runs::List;
use super::action::setup::Form;
use super::action::{self, Action, Entry, Screen};
use super::prompt::Line;
use nucleo_matcher::pattern::{AtomKind, CaseMatching, Normalization, Pattern};
use nucleo_matcher::{Config, Matcher, Utf32Str};

/// The palette while it is open.
#[derive(Debug, Clone, PartialEq)]
pub struct Palette {
    /// Whose actions.
    screen: Screen,
    /// The pane that had the keys.
    pane: Pane,
    /// What was typed.
    pub input: Line,
    /// What fits it, the best first.
    pub found: Vec<&'static Entry>,
    /// The one that Enter does.
    pub at: usize,
}

/// What came of a key.
#[derive(Debug, Clone, PartialEq)]
pub enum Pressed {
    /// It stays open.
    Open(Palette),
    /// The user left it, or Enter found nothing.
    Left,
    /// This is to be done.
    Chosen(&'static Entry),
}

/// What an action is called for people: `next pane`.
pub fn title(entry: &Entry) -> String {
    entry.action.name().replace('_', " ")
}

/// Whether it opens what is open already.
fn is_palette(action: Action) -> bool {
    matches!(
        action,
        Action::Palette
            | Action::List(List::Palette)
            | Action::Form(Form::Palette)
            | Action::Study(action::study::Study::Palette)
    )
}

/// The actions that hold on `screen` while `pane` has the keys and that `text` fits: a key by its name, then by
/// how well the letters sit in name and sentence.
fn search(screen: Screen, pane: Pane, text: &str) -> Vec<&'static Entry> {
    let here = action::sections().filter(|s| s.screen == screen).flat_map(|s| s.entries);
    let all = here.filter(|e| e.is_for(pane) && !is_palette(e.action));
    let text = text.trim();
    if text.is_empty() {
        return all.collect();
    }
    let mut matcher = Matcher::new(Config::DEFAULT);
    let pattern = Pattern::new(text, CaseMatching::Ignore, Normalization::Smart, AtomKind::Fuzzy);
    let mut letters = Vec::new();
    let mut score = |text: &str| pattern.score(Utf32Str::new(text, &mut letters), &mut matcher);
    let mut found: Vec<(u32, &Entry)> = all
        .filter_map(|entry| {
            if entry.keys.contains(&text) {
                return Some((u32::MAX, entry));
            }
            // A word of the name says more than one of the sentence.
            let name = score(&title(entry)).map(|s| s.saturating_mul(2));
            name.max(score(&format!("{} {}", title(entry), entry.help))).map(|s| (s, entry))
        })
        .collect();
    // Of equals the table's order stays.
    found.sort_by_key(|(score, _)| std::cmp::Reverse(*score));
    found.into_iter().map(|(_, entry)| entry).collect()
}

impl Palette {
    /// All actions of a screen that hold while `pane` has the keys.
    pub fn new(screen: Screen, pane: Pane) -> Self {
        Self { screen, pane, input: Line::default(), found: search(screen, pane, ""), at: 0 }
    }

    /// A key: Enter does what is chosen, Esc leaves, arrows move, the rest is typed.
    pub fn press(mut self, key: &str) -> Pressed {
        let last = self.found.len().saturating_sub(1);
        match key {
            "esc" => return Pressed::Left,
            "enter" => return self.found.get(self.at).map_or(Pressed::Left, |entry| Pressed::Chosen(entry)),
            "down" | "ctrl-n" | "tab" => self.at = (self.at + 1).min(last),
            "up" | "ctrl-p" | "shift-tab" => self.at = self.at.saturating_sub(1),
            "page-down" => self.at = (self.at + 10).min(last),
            "page-up" => self.at = self.at.saturating_sub(10),
            _ => {
                if self.input.key(key) {
                    self.renew();
                }
            }
        }
        Pressed::Open(self)
    }

    /// A paste: its first line.
    pub fn paste(&mut self, text: &str) {
        self.input.insert(text.lines().next().unwrap_or_default());
        self.renew();
    }

    fn renew(&mut self) {
        let found = search(self.screen, self.pane, self.input.text());
        if found != self.found {
            (self.found, self.at) = (found, 0);
        }
    }
}

#[cfg(test)]
#[allow(clippy::panic)]
mod tests {
    use super::super::update::update;
    use super::super::{App, Effect, Message, Overlay};
    use super::*;

    fn keys(app: &mut App, keys: &[&str]) -> Vec<Effect> {
        keys.iter().flat_map(|key| update(app, Message::Key((*key).into()))).collect()
    }

    fn first(text: &str) -> Action {
        search(Screen::Watch, Pane::Heatmap, text)[0].action
    }

    #[test]
    fn letters_find_actions_by_name_sentence_and_key() {
        for (text, action) in [
            ("nxt pane", Action::NextPane),
            ("chkpt", Action::Checkpoint),
            ("samp", Action::Samples),
            ("suspend", Action::Suspend),
            ("stop", Action::Stop),
            ("E", Action::Export),
            ("clipboard", Action::CopyRun),
            ("QUIT", Action::Quit),
        ] {
            assert_eq!(first(text), action, "{text}");
        }
        assert!(search(Screen::Watch, Pane::Heatmap, "xyzzy").is_empty());
        assert_eq!(
            search(Screen::Watch, Pane::Heatmap, " ").len() + 1,
            action::sections()
                .filter(|s| s.screen == Screen::Watch)
                .flat_map(|s| s.entries)
                .filter(|e| e.is_for(Pane::Heatmap))
                .count()
        );
    }

    #[test]
    fn enter_does_what_is_chosen() {
        let mut app = App::new("x", false);
        assert!(keys(&mut app, &[":", "r", "e", "p", "o", "enter"]).is_empty());
        assert_eq!((app.pane, &app.overlay), (Pane::Report, &None));
        assert_eq!(keys(&mut app, &["ctrl-p", "q", "u", "i", "t", "enter"]), [Effect::Quit]);
        // The keys of movement choose another.
        keys(&mut app, &[":", "l", "o", "g", "down", "up", "enter"]);
        assert_eq!(app.pane, Pane::Log);
    }

    #[test]
    fn esc_leaves_and_nothing_found_does_nothing() {
        let mut app = App::new("x", false);
        assert!(keys(&mut app, &[":", "q", "esc"]).is_empty() && app.overlay.is_none());
        assert!(keys(&mut app, &[":", "x", "y", "z", "z", "y", "enter"]).is_empty() && app.overlay.is_none());
        keys(&mut app, &[":"]);
        update(&mut app, Message::Paste("stop\nqqq".into()));
        let Some(Overlay::Palette(palette)) = &app.overlay else { panic!("{:?}", app.overlay) };
        assert_eq!((palette.input.text(), palette.found[0].action), ("stop", Action::Stop));
    }

    #[test]
    fn read_only_holds_for_the_palette_too() {
        let mut app = App::new("x", true);
        assert!(keys(&mut app, &[":", "p", "a", "u", "s", "e", "enter"]).is_empty());
        assert!(app.toast.is_some_and(|(text, _)| text.contains("read-only")));
    }
}
