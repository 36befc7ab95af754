//! Lines that the user types about ratios: a change, a rule, a name.

use super::forecast::{Forecast, both};
use super::{Order, put, ratio, refused, rules, targets, tidy};
use crate::app::update::toast;
use crate::app::{App, Effect};
use crate::recipe::ratios::{Ratios as Compiled, Rule};
use crate::recipe::sets;

/// What can be typed for a change.
pub const CHANGE: &str = "0.5 sets, +0.1 or -0.1 adds, *0.9 scales";
/// What can be typed for a rule.
pub const RULE: &str = "layers.0-7.*.q_proj=0.8, also MODULES ADAPTER A=0.8; globs";
/// What can be typed for a name.
pub const NAME: &str = "letters, digits, '-', '_' and '.'";

/// What to do with a ratio.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Change {
    /// It becomes this.
    Set(f64),
    /// This is added.
    Add(f64),
    /// It is multiplied by this.
    Scale(f64),
}

impl Change {
    /// `0.5`, `+0.1`, `-0.1`, `*0.9`; `50%` is 0.5.
    ///
    /// # Errors
    /// A sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let number = |digits: &str| -> Result<f64, String> {
            let digits = digits.trim();
            let (digits, unit) = digits.strip_suffix('%').map_or((digits, 1.0), |rest| (rest.trim(), 100.0));
            let plain = digits.chars().all(|c| c.is_ascii_digit() || c == '.');
            let value = digits.parse::<f64>().ok().filter(|v| plain && v.is_finite()).map(|v| v / unit);
            value.ok_or_else(|| format!("{text:?} is no ratio: {CHANGE}"))
        };
        match text.chars().next() {
            Some('+') => number(&text[1..]).map(Self::Add),
            Some('-') => number(&text[1..]).map(|v| Self::Add(-v)),
            Some('*') => number(&text[1..]).map(Self::Scale),
            _ => match number(text)? {
                share @ 0.0..=1.0 => Ok(Self::Set(share)),
                _ => Err(format!("{text} is no share: 0.0 to 1.0 is needed")),
            },
        }
    }

    /// The ratio after the change.
    pub fn apply(self, ratio: f64) -> f64 {
        tidy(match self {
            Self::Set(to) => to,
            Self::Add(by) => ratio + by,
            Self::Scale(by) => ratio * by,
        })
        .clamp(0.0, 1.0)
    }

    /// The ratios of these matrices after the change.
    pub fn of(self, app: &App, matrices: &[usize]) -> Vec<(usize, f64)> {
        matrices.iter().filter_map(|at| Some((*at, self.apply(ratio(app, *at)?)))).collect()
    }
}

/// What these ratios would bring, over the draft.
pub fn forecast_of(app: &App, wanted: &[(usize, f64)]) -> Option<Forecast> {
    let mut all = vec![None; app.started.as_ref()?.matrices.len()];
    for (at, ratio) in wanted {
        *all.get_mut(*at)? = Some(*ratio);
    }
    both(app, |at| all[at].or_else(|| app.ratios.draft.get(at))).map(|(_, then)| then)
}

/// `12 matrices: sparsity 54.2 %, retained 95.8 % (estimate)`.
fn brings(app: &App, wanted: &[(usize, f64)]) -> String {
    let mut text = counted(wanted.len(), "matrix", "matrices");
    if let Some(forecast) = forecast_of(app, wanted) {
        text.push_str(&format!(": sparsity {:.1} %", 100.0 * forecast.sparsity));
        if let Some(retained) = forecast.retained {
            text.push_str(&format!(", retained {:.1} % (estimate)", 100.0 * retained));
        }
    }
    text
}

/// A number with its noun.
pub fn counted(n: usize, one: &str, more: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { more })
}

/// What a change would bring, as it is typed.
///
/// # Errors
/// What is wrong with it.
pub fn check_change(app: &App, text: &str) -> Result<String, String> {
    if text.trim().is_empty() {
        return Ok(format!("{CHANGE}; {}", counted(targets(app).len(), "matrix", "matrices")));
    }
    Ok(brings(app, &Change::parse(text)?.of(app, &targets(app))))
}

/// Puts a change into the draft.
pub fn change(app: &mut App, text: &str) {
    if let Ok(change) = Change::parse(text) {
        let targets = targets(app);
        let wanted = change.of(app, &targets);
        if !refused(app, &targets) {
            put(app, &wanted);
        }
    }
}

/// The matrices that a typed rule takes, with their new ratios.
///
/// # Errors
/// A sentence.
pub fn parse_rule(app: &App, text: &str) -> Result<Vec<(usize, f64)>, String> {
    let (place, value) = text.rsplit_once('=').ok_or_else(|| format!("a rule is {RULE}"))?;
    let rule = Rule::of_place(place).ok_or_else(|| format!("a rule is {RULE}"))?;
    let change = Change::parse(value)?;
    let compiled = Compiled::new(0.0, std::slice::from_ref(&rule)).map_err(|e| e.to_string())?;
    let found = matched(app, &compiled);
    if found.is_empty() {
        return Err("the rule matches no matrix of this stage".into());
    }
    let all: Vec<usize> = found.iter().map(|(at, _)| *at).collect();
    Ok(change.of(app, &all))
}

/// The matrices that rules take, with their ratios.
pub fn matched(app: &App, rules: &Compiled) -> Vec<(usize, f64)> {
    let Some(started) = &app.started else { return Vec::new() };
    let all = started.matrices.iter().enumerate();
    let taken = all.filter(|(at, m)| m.adapter < started.adapters.len() && app.present_ratio(*at).is_some());
    taken
        .filter_map(|(at, m)| Some((at, tidy(rules.ruled(m.module, &started.adapters[m.adapter].name, m.factor)?))))
        .collect()
}

/// What a rule would bring, as it is typed.
///
/// # Errors
/// What is wrong with it.
pub fn check_rule(app: &App, text: &str) -> Result<String, String> {
    if text.trim().is_empty() { Ok(RULE.into()) } else { parse_rule(app, text).map(|wanted| brings(app, &wanted)) }
}

/// Puts a rule into the draft.
pub fn rule(app: &mut App, text: &str) {
    if let Ok(wanted) = parse_rule(app, text) {
        put(app, &wanted);
    }
}

/// What a name would do, as it is typed.
///
/// # Errors
/// What is wrong with it.
pub fn check_name(app: &App, text: &str) -> Result<String, String> {
    let name = text.trim();
    if name.is_empty() {
        return Ok(NAME.into());
    }
    sets::check_name(name).map_err(|e| e.to_string())?;
    let known = app.ratios.names.iter().any(|n| n == name);
    Ok(if known { format!("replaces the set {name}") } else { "a new set, as rules of a recipe".into() })
}

/// Keeps the present ratios, the draft's included.
pub fn save(app: &mut App, text: &str) -> Vec<Effect> {
    let name = text.trim().to_owned();
    let Some(started) = app.started.as_ref().filter(|_| !name.is_empty()) else {
        toast(app, "not saved: a name is needed");
        return Vec::new();
    };
    let rules = rules::fewest(started, |_| None, |at| ratio(app, at));
    vec![Effect::Ratios(Order::Save { name, rules })]
}
