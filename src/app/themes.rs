//! Choosing a theme, on every screen: what is under the cursor shows at once.

/// The theme of a screen, by name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Themes {
    /// Those that there are.
    pub names: Vec<String>,
    /// The one that the user wants.
    pub wanted: String,
}

/// A choice under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// Index into [`Themes::names`].
    pub at: usize,
    /// The theme to go back to.
    before: String,
}

impl Choice {
    /// Begins at the theme that is on.
    pub fn new(themes: &Themes) -> Self {
        let at = themes.names.iter().position(|name| *name == themes.wanted).unwrap_or(0);
        Self { at, before: themes.wanted.clone() }
    }

    /// A key: movement shows the next one, Enter keeps it, Esc goes back; nothing comes back once it is over.
    #[must_use]
    pub fn press(mut self, key: &str, themes: &mut Themes) -> Option<Self> {
        let count = themes.names.len().max(1);
        match key {
            "enter" => return None,
            "esc" | "q" => {
                self.give_up(themes);
                return None;
            }
            "down" | "j" | "tab" | "ctrl-t" => self.at = (self.at + 1) % count,
            "up" | "k" | "shift-tab" => self.at = (self.at + count - 1) % count,
            "home" => self.at = 0,
            "end" => self.at = count - 1,
            _ => return Some(self),
        }
        if let Some(name) = themes.names.get(self.at) {
            themes.wanted.clone_from(name);
        }
        Some(self)
    }

    /// Goes back to the theme from before.
    pub fn give_up(self, themes: &mut Themes) {
        themes.wanted = self.before;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn themes(wanted: &str) -> Themes {
        Themes { names: ["default", "dark", "mono"].map(str::to_owned).to_vec(), wanted: wanted.into() }
    }

    /// The theme after each key, until the choice is over.
    fn after(wanted: &str, keys: &[&str]) -> (Vec<String>, bool) {
        let mut themes = themes(wanted);
        let mut choice = Some(Choice::new(&themes));
        let mut shown = Vec::new();
        for key in keys {
            choice = choice.unwrap().press(key, &mut themes);
            shown.push(themes.wanted.clone());
        }
        (shown, choice.is_some())
    }

    #[test]
    fn movement_shows_enter_keeps_and_esc_goes_back() {
        let on = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
        assert_eq!(after("dark", &["down", "ctrl-t", "k"]), (on(&["mono", "default", "mono"]), true));
        assert_eq!(after("dark", &["end", "home", "esc"]), (on(&["mono", "default", "dark"]), false));
        assert_eq!(after("dark", &["up", "enter"]), (on(&["default", "default"]), false));
        assert_eq!(after("dark", &["x", "1", "q"]), (on(&["dark", "dark", "dark"]), false));
    }

    #[test]
    fn a_theme_that_is_not_in_the_list_is_gone_back_to() {
        assert_eq!(after("./mine.toml", &["x", "down", "esc"]).0, ["./mine.toml", "dark", "./mine.toml"]);
        let mut none = Themes { wanted: "dark".into(), ..Themes::default() };
        let choice = Choice::new(&none).press("down", &mut none).unwrap();
        assert_eq!((choice.at, none.wanted.as_str()), (0, "dark"));
    }
}
