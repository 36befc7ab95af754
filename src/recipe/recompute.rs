//! Which layers are forwarded again on the way back: a word or a switch.

use serde::de::{Deserialize, Deserializer, Error, Visitor};
use serde::{Serialize, Serializer};
use std::fmt;

/// Which layers are forwarded again in the backward pass instead of keeping their activations. It changes no number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Recompute {
    /// As many as the memory asks for, from the lowest up: none where it is enough.
    #[default]
    Auto,
    /// Every layer but the topmost, and that too where it would be missed.
    Always,
    /// None.
    Never,
}

impl Serialize for Recompute {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Auto => to.serialize_str("auto"),
            Self::Always => to.serialize_bool(true),
            Self::Never => to.serialize_bool(false),
        }
    }
}

impl<'de> Deserialize<'de> for Recompute {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(WordOrSwitch)
    }
}

struct WordOrSwitch;

impl Visitor<'_> for WordOrSwitch {
    type Value = Recompute;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("true, false or \"auto\"")
    }

    fn visit_bool<E: Error>(self, on: bool) -> Result<Recompute, E> {
        Ok(if on { Recompute::Always } else { Recompute::Never })
    }

    fn visit_str<E: Error>(self, word: &str) -> Result<Recompute, E> {
        match word {
            "auto" => Ok(Recompute::Auto),
            "true" => Ok(Recompute::Always),
            "false" => Ok(Recompute::Never),
            other => Err(E::unknown_variant(other, &["auto", "true", "false"])),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::recipe::Recipe;

    fn recipe(train: &str) -> crate::Result<Recipe> {
        Recipe::parse(&format!(
            "base = 'b'\n[data]\ntrain = 't'\ndev = 'd'\n[[adapters]]\nname = 'x'\nrole = 'target'\n[train]\n{train}"
        ))
    }

    #[test]
    fn recompute_is_a_word_or_a_switch_and_auto_where_it_is_left_out() {
        for (text, want, written) in [
            ("", Recompute::Auto, "recompute = \"auto\""),
            ("recompute = 'auto'", Recompute::Auto, "recompute = \"auto\""),
            ("recompute = true", Recompute::Always, "recompute = true"),
            ("recompute = false", Recompute::Never, "recompute = false"),
            ("recompute = 'true'", Recompute::Always, "recompute = true"),
            ("recompute = 'false'", Recompute::Never, "recompute = false"),
        ] {
            let read = recipe(text).unwrap();
            assert_eq!(read.train.recompute, want, "{text}");
            let again = read.to_toml().unwrap();
            assert!(again.lines().any(|line| line == written), "{text}: {again}");
            assert_eq!(Recipe::parse(&again).unwrap(), read, "{text}");
        }
    }

    #[test]
    fn another_word_is_refused_with_those_that_are_known() {
        let said = |text: &str| recipe(text).unwrap_err().to_string();
        let known = "line 9, recompute = 'some': `some` is not known here; use `auto`, `true`, `false`";
        assert_eq!(said("recompute = 'some'"), known);
        let kind = "line 9, recompute = 1: the whole number `1` stands where true, false or \"auto\" is needed";
        assert_eq!(said("recompute = 1"), kind);
    }
}
