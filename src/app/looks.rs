//! How the screen looks and how it gets to the terminal: theme, debug line, and what leaves it.

use super::action::{Action, Screen};
use super::palette::{self, Palette, Pressed};
use super::steady::Steady;
use super::{App, Effect, Overlay, update};

/// What the drawing of frames has cost so far.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Frames {
    /// Frames that were written.
    pub count: u64,
    /// Bytes of the last one.
    pub last: u64,
    /// Bytes of all.
    pub total: u64,
    /// Seconds that the last one took, drawing and writing.
    pub seconds: f64,
}

/// The look of the screen.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Looks {
    /// Whether the debug line shows.
    pub debug: bool,
    /// What frames cost.
    pub frames: Frames,
    /// Names of the themes that there are.
    pub themes: Vec<String>,
    /// The theme that the user wants.
    pub theme: String,
    /// Levels of the heatmap over a slow link; empty otherwise.
    pub steady: Steady,
    /// How many times as fast a run that is over is told once more; `None` for one that is watched.
    pub replay: Option<f64>,
}

/// Choosing a theme: what is under the cursor shows at once.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    /// Index into [`Looks::themes`].
    pub at: usize,
    /// The theme to go back to.
    pub before: String,
}

/// What the keys of this part do.
pub fn act(app: &mut App, action: Action) -> Vec<Effect> {
    match action {
        Action::Palette => app.overlay = Some(Overlay::Palette(Palette::new(Screen::Watch, app.pane))),
        Action::Theme => {
            let before = app.looks.theme.clone();
            let at = app.looks.themes.iter().position(|name| *name == before).unwrap_or(0);
            app.overlay = Some(Overlay::Themes(Choice { at, before }));
        }
        Action::ToggleDebug => app.looks.debug = !app.looks.debug,
        Action::Export => return vec![Effect::SavePane],
        Action::CopyRun => return vec![Effect::CopyRun],
        _ => {}
    }
    Vec::new()
}

/// A key while the palette is open.
pub fn find(app: &mut App, palette: Palette, key: &str) -> Vec<Effect> {
    match palette.press(key) {
        Pressed::Open(palette) => app.overlay = Some(Overlay::Palette(palette)),
        Pressed::Left => {}
        Pressed::Chosen(entry) => return update::carry(app, entry, &palette::title(entry)),
    }
    Vec::new()
}

/// A key that would change the run, while one that is over is told once more: pausing pauses that.
pub fn in_replay(app: &mut App, action: Action, said: &str) -> Vec<Effect> {
    if action == Action::Pause && !app.state.is_over() {
        return vec![Effect::PauseReplay];
    }
    update::toast(app, format!("this is a replay: `{said}` changes nothing"));
    Vec::new()
}

/// A key while a theme is chosen: movement shows the next one, Enter keeps it, Esc goes back.
pub fn choose(app: &mut App, mut choice: Choice, key: &str) -> Vec<Effect> {
    let count = app.looks.themes.len().max(1);
    match key {
        "enter" => return Vec::new(),
        "esc" | "q" => {
            app.looks.theme = choice.before;
            return Vec::new();
        }
        "down" | "j" | "tab" | "ctrl-t" => choice.at = (choice.at + 1) % count,
        "up" | "k" | "shift-tab" => choice.at = (choice.at + count - 1) % count,
        "home" => choice.at = 0,
        "end" => choice.at = count - 1,
        _ => {}
    }
    if let Some(name) = app.looks.themes.get(choice.at) {
        app.looks.theme.clone_from(name);
    }
    app.overlay = Some(Overlay::Themes(choice));
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::super::Message;
    use super::super::update::update;
    use super::*;
    use crate::run::RunState;

    fn app() -> App {
        let mut app = App::new("x", false);
        app.looks.themes = ["default", "dark", "mono"].map(str::to_owned).to_vec();
        app.looks.theme = "dark".into();
        app
    }

    fn keys(app: &mut App, keys: &[&str]) -> Vec<Effect> {
        keys.iter().flat_map(|key| update(app, Message::Key((*key).into()))).collect()
    }

    #[test]
    fn a_theme_shows_while_it_is_chosen() {
        let mut app = app();
        keys(&mut app, &["ctrl-t", "ctrl-t"]);
        assert_eq!(app.looks.theme, "mono");
        keys(&mut app, &["j"]);
        assert_eq!(app.looks.theme, "default");
        keys(&mut app, &["esc"]);
        assert_eq!((app.looks.theme.as_str(), &app.overlay), ("dark", &None));
        keys(&mut app, &["ctrl-t", "up", "enter"]);
        assert_eq!((app.looks.theme.as_str(), &app.overlay), ("default", &None));
    }

    #[test]
    fn the_keys_of_this_part_do_what_they_say() {
        let mut app = app();
        assert_eq!(keys(&mut app, &["E"]), [Effect::SavePane]);
        assert_eq!(keys(&mut app, &["C"]), [Effect::CopyRun]);
        keys(&mut app, &["f12"]);
        assert!(app.looks.debug);
        keys(&mut app, &["f12"]);
        assert!(!app.looks.debug);
    }

    #[test]
    fn a_replay_is_paused_and_nothing_else_changes() {
        let mut app = app();
        app.looks.replay = Some(8.0);
        app.state = RunState::Running;
        assert_eq!(keys(&mut app, &["p"]), [Effect::PauseReplay]);
        assert_eq!(keys(&mut app, &[":", "p", "a", "u", "s", "e", "enter"]), [Effect::PauseReplay]);
        for key in ["s", "c", "+", "g"] {
            assert!(keys(&mut app, &[key]).is_empty() && app.overlay.is_none(), "{key}");
            assert!(app.toast.take().is_some_and(|(text, _)| text.contains("replay")), "{key}");
        }
        app.state = RunState::Finished;
        assert!(keys(&mut app, &["p"]).is_empty());
    }
}
