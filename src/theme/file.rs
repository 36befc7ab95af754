//! Theme files: roles and their colours as TOML, over an embedded theme.

use super::ramp;
use crate::{Error, Result};
use ratatui::style::Color;
use toml::Spanned;

/// What a theme file says, complete.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Roles {
    /// Plain text.
    pub text: Color,
    /// Labels, borders, hints.
    pub dim: Color,
    /// Titles, keys, cursor.
    pub accent: Color,
    /// Good states.
    pub good: Color,
    /// Warnings.
    pub warn: Color,
    /// Failures.
    pub bad: Color,
    /// Curves: training, dev, then four of earlier stages.
    pub series: [Color; 6],
    /// Background and text of pictures.
    pub picture: (Color, Color),
    /// Colours of the heatmap.
    pub ramp: ramp::Name,
}

const KEYS: &str = "inherits, text, dim, accent, good, warn, bad, series, picture_background, picture_text and ramp";

const START: Roles = Roles {
    text: Color::Reset,
    dim: Color::DarkGray,
    accent: Color::Cyan,
    good: Color::Green,
    warn: Color::Yellow,
    bad: Color::Red,
    series: [Color::Cyan, Color::Yellow, Color::Magenta, Color::Blue, Color::Green, Color::Red],
    picture: (Color::Rgb(20, 22, 27), Color::Rgb(208, 212, 220)),
    ramp: ramp::Name::Viridis,
};

/// Where a sentence points: a file and its text, to count lines.
struct Place<'a> {
    name: &'a str,
    text: &'a str,
}

impl Place<'_> {
    fn error(&self, at: usize, sentence: &str) -> Error {
        let line = crate::text::line_at(self.text, at);
        Error::user(format!("theme {}, line {line}: {sentence}", self.name))
    }
}

impl Roles {
    /// Parses TOML; what it leaves out is as in the theme that it `inherits`, which `parent` finds; as in `default`
    /// if it says nothing.
    ///
    /// # Errors
    /// Names the file, the line and the key that is wrong.
    pub fn parse(name: &str, text: &str, parent: &mut dyn FnMut(&str) -> Result<Self>) -> Result<Self> {
        let place = Place { name, text };
        let table: std::collections::BTreeMap<Spanned<String>, Spanned<toml::Value>> =
            toml::from_str(text).map_err(|e| place.error(e.span().map_or(0, |s| s.start), &one_line(e.message())))?;
        let inherits = table.iter().find(|(key, _)| key.get_ref() == "inherits").map(|(_, value)| value);
        let mut roles = match inherits {
            Some(value) => parent(value.get_ref().as_str().unwrap_or_default())
                .map_err(|e| place.error(value.span().start, &format!("inherits = {}: {e}", shown(value))))?,
            None if name == "default" => START,
            None => parent("default")?,
        };
        for (key, value) in &table {
            let color = |value: &toml::Value| {
                color(value).map_err(|why| place.error(key.span().start, &format!("{}: {why}", key.get_ref())))
            };
            match key.get_ref().as_str() {
                "inherits" => {}
                "text" => roles.text = color(value.get_ref())?,
                "dim" => roles.dim = color(value.get_ref())?,
                "accent" => roles.accent = color(value.get_ref())?,
                "good" => roles.good = color(value.get_ref())?,
                "warn" => roles.warn = color(value.get_ref())?,
                "bad" => roles.bad = color(value.get_ref())?,
                "picture_background" => roles.picture.0 = color(value.get_ref())?,
                "picture_text" => roles.picture.1 = color(value.get_ref())?,
                "series" => {
                    let list = value.get_ref().as_array().filter(|a| (2..=6).contains(&a.len())).ok_or_else(|| {
                        place.error(
                            key.span().start,
                            "series: a list of 2 to 6 colours is needed: training, dev, earlier stages",
                        )
                    })?;
                    for (role, value) in roles.series.iter_mut().zip(list) {
                        *role = color(value)?;
                    }
                }
                "ramp" => {
                    roles.ramp = value.get_ref().clone().try_into().map_err(|_| {
                        let sentence = format!("ramp = {}: viridis, viridis-reversed or grey is needed", shown(value));
                        place.error(value.span().start, &sentence)
                    })?;
                }
                other => {
                    let other = crate::text::printable(other);
                    return Err(
                        place.error(key.span().start, &format!("there is no key {other:?}; the keys are {KEYS}"))
                    );
                }
            }
        }
        Ok(roles)
    }
}

fn color(value: &toml::Value) -> Result<Color, String> {
    let needed =
        "is no colour: a name (red, lightblue, darkgray, reset), \"#rrggbb\" or a number from 0 to 255 is needed";
    let parsed = match value {
        toml::Value::String(text) => text.parse().ok(),
        toml::Value::Integer(i) => u8::try_from(*i).ok().map(Color::Indexed),
        _ => None,
    };
    parsed.ok_or_else(|| format!("{} {needed}", one_line(&value.to_string())))
}

fn shown(value: &Spanned<toml::Value>) -> String {
    one_line(&value.get_ref().to_string())
}

fn one_line(text: &str) -> String {
    crate::text::printable(&text.split_whitespace().collect::<Vec<_>>().join(" ")).into_owned()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Roles> {
        let shelf = super::super::Shelf::default();
        Roles::parse("mine.toml", text, &mut |name| shelf.embedded(name))
    }

    #[test]
    fn a_file_changes_only_what_it_names() {
        let roles = parse("inherits = \"dark\"\naccent = \"#ff8800\"\ndim = 244\n").unwrap();
        let dark = super::super::Shelf::default().embedded("dark").unwrap();
        assert_eq!(roles, Roles { accent: Color::Rgb(255, 136, 0), dim: Color::Indexed(244), ..dark });
    }

    #[test]
    fn what_is_wrong_is_said_with_file_line_and_key() {
        for (text, parts) in [
            ("text = \"red\"\naccent = \"#zz\"\n", ["line 2", "accent", "#zz"]),
            ("\n\nacent = \"red\"\n", ["line 3", "\"acent\"", "accent"]),
            ("dim = 256\n", ["line 1", "dim", "256"]),
            ("ramp = \"jet\"\n", ["line 1", "ramp", "viridis"]),
            ("series = [\"red\"]\n", ["line 1", "series", "2 to 6"]),
            ("inherits = \"nope\"\n", ["line 1", "inherits", "nope"]),
            ("text = \n", ["line 1", "mine.toml", "theme"]),
            ("text = 1\ntext = 2\n", ["line 2", "mine.toml", "duplicate"]),
        ] {
            let sentence = parse(text).unwrap_err().to_string();
            assert!(sentence.contains("mine.toml") && !sentence.contains('\n'), "{sentence}");
            assert!(parts.iter().all(|part| sentence.contains(part)), "{text:?}: {sentence}");
        }
    }
}
