//! How the screen looks and how it gets to the terminal: theme, debug line, and what leaves it.

use super::action::{Action, Screen};
use super::palette::{self, Palette, Pressed};
use super::scroll::Reach;
use super::steady::Steady;
use super::themes::{Choice, Themes};
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
    /// The theme, and those that there are.
    pub themes: Themes,
    /// Levels of the heatmap over a slow link; empty otherwise.
    pub steady: Steady,
    /// How many times as fast a run that is over is told once more; `None` for one that is watched.
    pub replay: Option<f64>,
    /// How far the text that lies over the panes can be scrolled.
    pub reach: Reach,
}

/// What the keys of this part do.
pub fn act(app: &mut App, action: Action) -> Vec<Effect> {
    match action {
        Action::Palette => app.overlay = Some(Overlay::Palette(Palette::new(Screen::Watch, app.pane))),
        Action::Theme => app.overlay = Some(Overlay::Themes(Choice::new(&app.looks.themes))),
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

/// A key while a theme is chosen.
pub fn choose(app: &mut App, choice: Choice, key: &str) -> Vec<Effect> {
    app.overlay = choice.press(key, &mut app.looks.themes).map(Overlay::Themes);
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
        app.looks.themes.names = ["default", "dark", "mono"].map(str::to_owned).to_vec();
        app.looks.themes.wanted = "dark".into();
        app
    }

    fn keys(app: &mut App, keys: &[&str]) -> Vec<Effect> {
        keys.iter().flat_map(|key| update(app, Message::Key((*key).into()))).collect()
    }

    #[test]
    fn a_theme_shows_while_it_is_chosen() {
        let mut app = app();
        keys(&mut app, &["ctrl-t", "ctrl-t"]);
        assert_eq!(app.looks.themes.wanted, "mono");
        assert!(matches!(app.overlay, Some(Overlay::Themes(_))));
        keys(&mut app, &["esc"]);
        assert_eq!((app.looks.themes.wanted.as_str(), &app.overlay), ("dark", &None));
        keys(&mut app, &["ctrl-t", "up", "enter"]);
        assert_eq!((app.looks.themes.wanted.as_str(), &app.overlay), ("default", &None));
        // Who leaves has chosen nothing: the list goes on with the theme from before.
        assert_eq!(keys(&mut app, &["ctrl-t", "up", "ctrl-c"]), [Effect::Quit]);
        assert_eq!(app.looks.themes.wanted, "default");
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
