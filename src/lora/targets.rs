//! Which modules a PEFT configuration names: lists, suffixes, regular expressions, layers.

use crate::module::ModuleId;
use crate::text::printable;
use crate::{Error, Result};
use regex::{Regex, RegexBuilder};

/// No expression is longer, bytes: compiling one may take a thousand times its length.
const LONGEST: usize = 4 << 10;
/// There are no more modules to be named one by one.
const MOST: usize = 8192;

/// A module's name inside the base, as PEFT matches it: `model.layers.7.self_attn.q_proj`.
pub fn name(module: ModuleId) -> String {
    format!("model.{module}")
}

/// Names by list or by one regular expression.
#[derive(Debug, Clone)]
pub enum Names {
    /// A whole name or its last parts after a dot.
    List(Vec<String>),
    /// A regular expression over the whole name.
    Pattern(Regex),
    /// `"all-linear"`: every linear but the output projection.
    AllLinear,
}

impl Names {
    /// A string of `target_modules` or `exclude_modules`: a regular expression over the whole name.
    ///
    /// # Errors
    /// When it uses what Rust's regular expressions don't have (look-around, back-references).
    pub fn pattern(key: &str, text: &str) -> Result<Self> {
        regex(key, text, &format!("^(?:{text})$")).map(Self::Pattern)
    }

    /// Whether `name` is meant.
    pub fn matches(&self, name: &str) -> bool {
        match self {
            Self::List(list) => list
                .iter()
                .any(|end| name == end || name.strip_suffix(end.as_str()).is_some_and(|rest| rest.ends_with('.'))),
            Self::Pattern(pattern) => pattern.is_match(name),
            Self::AllLinear => name != "lm_head" && name != "model.embed_tokens",
        }
    }
}

/// `target_modules` with its exceptions and its restriction to layers.
#[derive(Debug, Clone)]
pub struct Targets {
    /// `target_modules`.
    pub names: Names,
    /// `exclude_modules`.
    pub exclude: Option<Names>,
    /// `layers_to_transform`; empty for all.
    pub layers: Vec<usize>,
    /// `layers_pattern`, each compiled; empty for any name of the list of layers.
    pub layers_pattern: Vec<Regex>,
}

impl Targets {
    /// PEFT's `check_target_module_exists`.
    pub fn matches(&self, name: &str) -> bool {
        if self.exclude.as_ref().is_some_and(|e| e.matches(name)) || !self.names.matches(name) {
            return false;
        }
        self.layers.is_empty() || self.layer(name).is_some_and(|layer| self.layers.contains(&layer))
    }

    /// The layer's number as PEFT reads it from a name.
    fn layer(&self, name: &str) -> Option<usize> {
        if self.layers_pattern.is_empty() {
            // PEFT's `.*?\.[^.]*\.(\d+)\.`: the first number with two names before it and something after.
            let parts: Vec<&str> = name.split('.').collect();
            let inner = parts.get(2..parts.len().saturating_sub(1))?;
            return inner.iter().find_map(|part| part.parse().ok());
        }
        self.layers_pattern.iter().find_map(|p| p.captures(name)?.name("idx")?.as_str().parse().ok())
    }
}

/// One entry of `layers_pattern`.
///
/// # Errors
/// When it is no regular expression that Rust knows.
pub fn layers_pattern(text: &str) -> Result<Regex> {
    regex("layers_pattern", text, &format!(r"^(?:|.*?\.)(?:{text})\.(?P<idx>\d+)\."))
}

/// `rank_pattern` or `alpha_pattern`: the first key that matches counts (PEFT's `get_pattern_key`).
#[derive(Debug, Clone, Default)]
pub struct Pattern<T> {
    entries: Vec<(Regex, String, T)>,
}

impl<T: Copy> Pattern<T> {
    /// Compiles the keys, in the file's order.
    ///
    /// # Errors
    /// Names the key that is no regular expression that Rust knows.
    pub fn new(field: &str, entries: impl IntoIterator<Item = (String, T)>) -> Result<Self> {
        let compile = |(key, value): (String, T)| {
            regex(field, &key, &format!(r"^(?:.*\.)?(?:{key})$")).map(|pattern| (pattern, key, value))
        };
        let entries: Vec<_> = entries.into_iter().collect();
        if entries.len() > MOST {
            return Err(Error::user(format!("{field}: {} entries are more than a model has modules", entries.len())));
        }
        Ok(Self { entries: entries.into_iter().map(compile).collect::<Result<_>>()? })
    }

    /// The value for a module of this name, if a key matches.
    pub fn of(&self, name: &str) -> Option<T> {
        let first = self.entries.iter().find(|(pattern, ..)| pattern.is_match(name));
        // PEFT looks the name itself up when no key matches as an expression.
        first.or_else(|| self.entries.iter().find(|(_, key, _)| key == name)).map(|(.., value)| *value)
    }
}

fn regex(field: &str, text: &str, whole: &str) -> Result<Regex> {
    if text.len() > LONGEST {
        return Err(Error::user(format!("{field}: an expression of {} bytes is longer than any real one", text.len())));
    }
    RegexBuilder::new(whole).size_limit(1 << 20).build().map_err(|e| {
        let why = e.to_string();
        Error::user(format!(
            "{field} {:?} is no regular expression that lopper knows ({}): write it as a list of module names",
            printable(text),
            printable(why.lines().last().unwrap_or_default().trim())
        ))
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const Q3: &str = "model.layers.3.self_attn.q_proj";

    fn list(names: &[&str]) -> Names {
        Names::List(names.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn list_entries_match_whole_names_and_suffixes_after_a_dot() {
        assert!(list(&["q_proj"]).matches(Q3));
        assert!(list(&["self_attn.q_proj"]).matches(Q3));
        assert!(list(&[Q3]).matches(Q3));
        assert!(!list(&["proj"]).matches(Q3));
        assert!(!list(&["layers.13.self_attn.q_proj"]).matches(Q3));
    }

    #[test]
    fn a_string_must_match_the_whole_name() {
        assert!(Names::pattern("target_modules", r".*\.(q|v)_proj").unwrap().matches(Q3));
        assert!(!Names::pattern("target_modules", r"(q|v)_proj").unwrap().matches(Q3));
        assert!(!Names::pattern("target_modules", r"a|.*q_pro").unwrap().matches(Q3));
        let look = Names::pattern("target_modules", r"(?!x).*").unwrap_err().to_string();
        assert!(look.contains("target_modules") && look.contains("(?!x).*"), "{look}");
    }

    #[test]
    fn layers_and_exclusions_restrict_a_list() {
        let mut targets =
            Targets { names: list(&["q_proj"]), exclude: None, layers: vec![1, 3], layers_pattern: Vec::new() };
        assert!(targets.matches(Q3) && !targets.matches(&Q3.replace('3', "2")));
        targets.layers_pattern = vec![layers_pattern("layers").unwrap()];
        assert!(targets.matches(Q3));
        targets.layers_pattern = vec![layers_pattern("h").unwrap()];
        assert!(!targets.matches(Q3));
        targets.layers_pattern.clear();
        targets.exclude = Some(list(&["layers.3.self_attn.q_proj"]));
        assert!(!targets.matches(Q3) && targets.matches(&Q3.replace('3', "1")));
    }

    #[test]
    fn the_first_matching_pattern_key_counts() {
        let entries =
            [("layers.3.self_attn.q_proj".to_owned(), 2), ("q_proj".to_owned(), 5), (r"k_pr.*".to_owned(), 7)];
        let pattern = Pattern::new("rank_pattern", entries).unwrap();
        assert_eq!(pattern.of(Q3), Some(2));
        assert_eq!(pattern.of("model.layers.1.self_attn.q_proj"), Some(5));
        assert_eq!(pattern.of("model.layers.1.self_attn.k_proj"), Some(7));
        assert_eq!(pattern.of("model.layers.1.self_attn.v_proj"), None);
    }
}
