//! Prune ratios by rule: globs over modules and adapters, resolved to every matrix.

use crate::module::{Factor, ModuleId};
use crate::{Error, Result};
use globset::{GlobBuilder, GlobMatcher};
use serde::{Deserialize, Serialize};

/// "These matrices have this ratio."
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Glob over module names such as `layers.7.self_attn.q_proj`; `{0-7}` or `0-7` is a range of layers.
    #[serde(default = "everything")]
    pub modules: String,
    /// Glob over adapter names.
    #[serde(default = "everything")]
    pub adapter: String,
    /// A or B; both if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub factor: Option<Factor>,
    /// Share to prune, 0 to 1.
    pub ratio: f64,
}

fn everything() -> String {
    "*".into()
}

/// How a rule is typed.
pub const TYPED: &str =
    "MODULES[ ADAPTER][ A|B]=RATIO, such as layers.0-7.*.q_proj=0.8 or \"layers.3.* science A=0.5\"";

impl Rule {
    /// The matrices that `MODULES`, `MODULES ADAPTER`, `MODULES A` or `MODULES ADAPTER A` name, at ratio 0; `None`
    /// where it is none of these.
    pub fn of_place(place: &str) -> Option<Self> {
        let mut words: Vec<&str> = place.split_whitespace().collect();
        let factor = match words.last() {
            Some(&"A") if words.len() > 1 => Some(Factor::A),
            Some(&"B") if words.len() > 1 => Some(Factor::B),
            _ => None,
        };
        if factor.is_some() {
            words.pop();
        }
        let (modules, adapter) = match words[..] {
            [modules] => (modules, "*"),
            [modules, adapter] => (modules, adapter),
            _ => return None,
        };
        Some(Self { modules: modules.into(), adapter: adapter.into(), factor, ratio: 0.0 })
    }

    /// `layers.0-7.*=0.8`; see [`TYPED`].
    ///
    /// # Errors
    /// Names what is wrong and how a rule is typed.
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = || Error::user(format!("{text:?} is no rule: {TYPED}"));
        let (place, ratio) = text.rsplit_once('=').ok_or_else(wrong)?;
        let rule = Self::of_place(place).ok_or_else(wrong)?;
        let rule = Self { ratio: ratio.trim().parse().map_err(|_| wrong())?, ..rule };
        rule.validate()?;
        Ok(rule)
    }

    /// As [`Self::parse`] reads it.
    pub fn typed(&self) -> String {
        let adapter = if self.adapter == "*" { String::new() } else { format!(" {}", self.adapter) };
        let factor = self.factor.map_or(String::new(), |factor| format!(" {factor}"));
        format!("{}{adapter}{factor}={}", self.modules, self.ratio)
    }

    /// Checks the globs and the ratio.
    ///
    /// # Errors
    /// Names what is wrong.
    pub fn validate(&self) -> Result<()> {
        if !(0.0..=1.0).contains(&self.ratio) {
            return Err(Error::user(format!(
                "prune rule {:?}: ratio = {}: a share from 0.0 to 1.0 is needed",
                self.modules, self.ratio
            )));
        }
        Matcher::new(self).map(drop)
    }
}

/// The rules of a recipe, compiled.
#[derive(Debug, Clone)]
pub struct Ratios {
    default: f64,
    rules: Vec<Matcher>,
}

#[derive(Debug, Clone)]
struct Matcher {
    modules: GlobMatcher,
    layers: Option<std::ops::RangeInclusive<usize>>,
    adapter: GlobMatcher,
    factor: Option<Factor>,
    ratio: f64,
}

impl Matcher {
    fn new(rule: &Rule) -> Result<Self> {
        let glob = |pattern: &str| {
            GlobBuilder::new(pattern)
                .literal_separator(false)
                .build()
                .map(|g| g.compile_matcher())
                .map_err(|e| Error::user(format!("prune rule {pattern:?} is not a glob: {}", e.kind())))
        };
        let (pattern, layers) = split_layer_range(&rule.modules)?;
        Ok(Self {
            modules: glob(&pattern)?,
            layers,
            adapter: glob(&rule.adapter)?,
            factor: rule.factor,
            ratio: rule.ratio,
        })
    }

    /// `module` is the name.
    fn matches(&self, module: &str, layer: usize, adapter: &str, factor: Factor) -> bool {
        self.factor.is_none_or(|f| f == factor)
            && self.layers.as_ref().is_none_or(|range| range.contains(&layer))
            && self.adapter.is_match(adapter)
            && self.modules.is_match(module)
    }
}

/// `layers.0-7.*` is `layers.*.*` with the layers 0 to 7.
fn split_layer_range(pattern: &str) -> Result<(String, Option<std::ops::RangeInclusive<usize>>)> {
    let mut parts: Vec<&str> = pattern.split('.').collect();
    let Some(second) = parts.get(1).copied().filter(|_| parts[0] == "layers") else {
        return Ok((pattern.to_owned(), None));
    };
    let Some((from, to)) = second.trim_matches(['{', '}']).split_once('-') else {
        return Ok((pattern.to_owned(), None));
    };
    let (Ok(from), Ok(to)) = (from.parse::<usize>(), to.parse::<usize>()) else {
        return Err(Error::user(format!("prune rule {pattern:?}: {second:?} is not a range of layers such as 0-7")));
    };
    if from > to {
        return Err(Error::user(format!("prune rule {pattern:?}: the range of layers {second:?} is empty")));
    }
    parts[1] = "*";
    Ok((parts.join("."), Some(from..=to)))
}

impl Ratios {
    /// Compiles the default and its exceptions.
    ///
    /// # Errors
    /// When a glob is malformed.
    pub fn new(default: f64, rules: &[Rule]) -> Result<Self> {
        Ok(Self { default, rules: rules.iter().map(Matcher::new).collect::<Result<_>>()? })
    }

    /// The first rule, counted from 1, that matches none of `matrices` (module, adapter name, factor).
    pub fn idle<'a>(&self, matrices: &(impl Iterator<Item = (ModuleId, &'a str, Factor)> + Clone)) -> Option<usize> {
        let idle = |rule: &Matcher| {
            let takes = |(module, adapter, factor): (ModuleId, &str, Factor)| {
                rule.matches(&module.to_string(), module.layer, adapter, factor)
            };
            !matrices.clone().any(takes)
        };
        self.rules.iter().position(idle).map(|index| index + 1)
    }

    /// The ratio of one matrix: the last rule that matches, or the default.
    pub fn of(&self, module: ModuleId, adapter: &str, factor: Factor) -> f64 {
        self.ruled(module, adapter, factor).unwrap_or(self.default)
    }

    /// The ratio of the last rule that matches a matrix.
    pub fn ruled(&self, module: ModuleId, adapter: &str, factor: Factor) -> Option<f64> {
        let name = module.to_string();
        self.rules.iter().rev().find(|r| r.matches(&name, module.layer, adapter, factor)).map(|r| r.ratio)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::module::Projection;

    fn rule(modules: &str, adapter: &str, factor: Option<Factor>, ratio: f64) -> Rule {
        Rule { modules: modules.into(), adapter: adapter.into(), factor, ratio }
    }

    #[test]
    fn the_last_matching_rule_counts() {
        let ratios = Ratios::new(
            0.5,
            &[rule("layers.0-7.*.q_proj", "*", None, 0.8), rule("*", "science", Some(Factor::B), 0.1)],
        )
        .unwrap();
        let q = |layer| ModuleId::new(layer, Projection::QProj);
        assert_eq!(ratios.of(q(7), "games", Factor::A), 0.8);
        assert_eq!(ratios.of(q(8), "games", Factor::A), 0.5);
        assert_eq!(ratios.of(q(7), "science", Factor::B), 0.1);
        assert_eq!(ratios.of(ModuleId::new(3, Projection::DownProj), "games", Factor::B), 0.5);
    }

    #[test]
    fn a_rule_that_matches_nothing_is_found() {
        let all = [(ModuleId::new(0, Projection::QProj), "games", Factor::A)];
        let idle = |rules: &[Rule]| Ratios::new(0.5, rules).unwrap().idle(&all.iter().copied());
        assert_eq!(idle(&[rule("*", "*", None, 0.1), rule("layers.0.*", "games", Some(Factor::A), 0.1)]), None);
        assert_eq!(idle(&[rule("*", "*", None, 0.1), rule("layers.1.*", "*", None, 0.1)]), Some(2));
        assert_eq!(idle(&[rule("*", "gmaes", None, 0.1)]), Some(1));
        assert_eq!(idle(&[rule("*", "*", Some(Factor::B), 0.1)]), Some(1));
    }

    #[test]
    fn a_rule_is_read_as_it_is_typed() {
        for (text, wanted) in [
            ("layers.0-7.*=0.8", rule("layers.0-7.*", "*", None, 0.8)),
            ("layers.3.* science A=0.5", rule("layers.3.*", "science", Some(Factor::A), 0.5)),
            ("* B=1", rule("*", "*", Some(Factor::B), 1.0)),
        ] {
            assert_eq!(Rule::parse(text).unwrap(), wanted);
            assert_eq!(wanted.typed(), text);
        }
        for text in ["layers.0.*", "a b c d=0.5", "=0.5", "*=x", "*=1.5", "layers.7-3.*=0.5"] {
            Rule::parse(text).unwrap_err();
        }
    }

    #[test]
    fn bad_rules_are_named() {
        assert!(rule("layers.7-3.*", "*", None, 0.5).validate().unwrap_err().to_string().contains("7-3"));
        assert!(rule("layers.[", "*", None, 0.5).validate().is_err());
        assert!(rule("*", "*", None, 1.5).validate().unwrap_err().to_string().contains("1.5"));
    }
}
