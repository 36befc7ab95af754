//! What is varied, and the values it takes.

use crate::recipe::Recipe;
use crate::text::printable;
use crate::{Error, Result};
use rand::Rng;
use serde::{Deserialize, Serialize};

/// Values of one axis at most.
const MOST: usize = 1000;

/// A setting that is varied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Setting {
    /// `prune.ratio`, 0 to 1.
    Ratio,
    /// `train.lr`, above 0.
    Lr,
    /// The weight of the adapter of this name.
    Weight(String),
}

/// The values of an axis.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Values {
    /// These, in this order.
    Listed(Vec<f64>),
    /// Any between these, drawn by chance; a learning rate evenly by its logarithm.
    Between(f64, f64),
}

/// A setting with its values.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Axis {
    /// What is varied.
    pub setting: Setting,
    /// Its values.
    pub values: Values,
}

impl Axis {
    /// Reads `0.1,0.5`, `0:0.9:0.1` (from, to, step), both together, or `0.1:0.9` (anything between).
    ///
    /// # Errors
    /// When that is none of these, has no value, or a value that the setting cannot have.
    pub fn parse(setting: &Setting, text: &str) -> Result<Self> {
        let axis = |values| Self { setting: setting.clone(), values };
        let wrong =
            |why: &str| Error::user(format!("{} {:?}: {why}", axis(Values::Between(0.0, 0.0)).flag(), printable(text)));
        let number = |piece: &str| {
            let form = "numbers are needed, as 0.1,0.5, or FROM:TO:STEP, or FROM:TO for anything between";
            piece.trim().parse::<f64>().ok().filter(|n| n.is_finite()).ok_or_else(|| wrong(form))
        };
        if text.trim().is_empty() {
            return Err(wrong("no value is named"));
        }
        let mut listed: Vec<f64> = Vec::new();
        for piece in text.split(',') {
            let numbers = piece.split(':').map(number).collect::<Result<Vec<f64>>>()?;
            match numbers[..] {
                [value] => listed.push(value),
                [from, to] if !text.contains(',') && from < to => {
                    [from, to].into_iter().try_for_each(|value| allowed(setting, value).map_err(|why| wrong(&why)))?;
                    return Ok(axis(Values::Between(from, to)));
                }
                [from, to] if from < to => return Err(wrong("FROM:TO stands alone, without other values")),
                [_, _] => return Err(wrong("FROM has to be below TO")),
                [from, to, step] if step > 0.0 && from <= to => {
                    let steps = ((to - from) / step + 1e-9).floor();
                    if steps >= MOST as f64 {
                        return Err(wrong(&format!("at most {MOST} values")));
                    }
                    listed.extend(stepped(from, to, step, steps as usize));
                }
                [_, _, _] => return Err(wrong("FROM:TO:STEP goes up, with a step above 0")),
                _ => return Err(wrong("FROM:TO:STEP has three numbers")),
            }
        }
        let mut values: Vec<f64> = Vec::new();
        for value in listed {
            allowed(setting, value).map_err(|why| wrong(&why))?;
            if !values.contains(&value) {
                values.push(value);
            }
        }
        if values.len() > MOST {
            return Err(wrong(&format!("at most {MOST} values")));
        }
        Ok(axis(Values::Listed(values)))
    }

    /// As tables name it.
    pub fn name(&self) -> String {
        match &self.setting {
            Setting::Ratio => "ratio".to_owned(),
            Setting::Lr => "lr".to_owned(),
            Setting::Weight(adapter) => format!("weight {}", printable(adapter)),
        }
    }

    /// As the command line names it.
    fn flag(&self) -> String {
        format!("--{}", self.name())
    }

    /// Puts a value into a recipe.
    ///
    /// # Errors
    /// When no adapter has the name of a weight.
    pub fn set(&self, recipe: &mut Recipe, value: f64) -> Result<()> {
        match &self.setting {
            Setting::Ratio => recipe.prune.ratio = value,
            Setting::Lr => recipe.train.lr = value,
            Setting::Weight(name) => {
                let names: Vec<&str> = recipe.adapters.iter().map(|a| a.name.as_str()).collect();
                let known = names.join(", ");
                if names.len() == 1 {
                    return Err(Error::user(format!("{}: the weight of an only adapter does not count", self.flag())));
                }
                let Some(adapter) = recipe.adapters.iter_mut().find(|a| a.name == *name) else {
                    return Err(Error::user(format!("{}: no adapter has this name; there are {known}", self.flag())));
                };
                adapter.weight = value;
            }
        }
        Ok(())
    }

    /// A value by chance.
    pub fn draw(&self, rng: &mut impl Rng) -> f64 {
        match &self.values {
            Values::Listed(values) => values.get(rng.random_range(0..values.len().max(1))).copied().unwrap_or_default(),
            Values::Between(from, to) => {
                let at = rng.random::<f64>();
                let value = match self.setting {
                    Setting::Lr => (from.ln() + at * (to.ln() - from.ln())).exp(),
                    Setting::Ratio | Setting::Weight(_) => from + at * (to - from),
                };
                short(value, to - from).max(*from).min(*to)
            }
        }
    }
}

/// `from` and the values of `steps` steps up to `to`. What was typed stays as it is; of the others the digits are kept
/// that make a difference to a step, so that 3 · 0.1 is 0.3.
fn stepped(from: f64, to: f64, step: f64, steps: usize) -> impl Iterator<Item = f64> {
    let digits = (9.0 - step.log10().floor()).clamp(0.0, 320.0) as usize;
    (0..=steps).map(move |i| {
        let value = from + i as f64 * step;
        if i == 0 {
            from
        } else if (value - to).abs() < 1e-6 * step {
            to
        } else {
            // Without the sign of a zero.
            format!("{value:.digits$}").parse().unwrap_or(value) + 0.0
        }
    })
}

/// Four significant digits, so that names stay short, and as many more as the range is narrow.
fn short(value: f64, range: f64) -> f64 {
    let more = (value.abs() / range).log10().floor().clamp(0.0, 12.0) as usize;
    let digits = 3 + more;
    format!("{value:.digits$e}").parse().unwrap_or(value)
}

/// A value as tables and names have it: `0.5`, `0.0003`, `1e-5`.
pub fn shown(value: f64) -> String {
    if value != 0.0 && !(1e-4..1e6).contains(&value.abs()) { format!("{value:e}") } else { value.to_string() }
}

fn allowed(setting: &Setting, value: f64) -> std::result::Result<(), String> {
    match setting {
        Setting::Ratio if !(0.0..=1.0).contains(&value) => Err(format!("{value} is no ratio; 0 to 1 is needed")),
        Setting::Lr if value <= 0.0 => Err(format!("{value} is no learning rate; a number above 0 is needed")),
        _ => Ok(()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn listed(text: &str) -> Vec<f64> {
        match Axis::parse(&Setting::Ratio, text).unwrap().values {
            Values::Listed(values) => values,
            Values::Between(..) => Vec::new(),
        }
    }

    #[test]
    fn values_are_listed_stepped_or_between() {
        assert_eq!(listed("0:0.9:0.1"), [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]);
        assert_eq!(listed("0.5, 0.5,0.1:0.3:0.1"), [0.5, 0.1, 0.2, 0.3]);
        assert_eq!(listed("0.5:0.5:0.1"), [0.5]);
        assert_eq!([0.0, 0.5, 3e-4, 1e-5, 1e30].map(shown), ["0", "0.5", "0.0003", "1e-5", "1e30"]);
        let between = Axis::parse(&Setting::Lr, "1e-5:1e-3").unwrap();
        assert_eq!(between.values, Values::Between(1e-5, 1e-3));
        let mut rng = <rand_chacha::ChaCha8Rng as rand::SeedableRng>::seed_from_u64(1);
        let drawn: Vec<f64> = (0..400).map(|_| between.draw(&mut rng)).collect();
        assert!(drawn.iter().all(|v| (1e-5..=1e-3).contains(v)));
        let low = drawn.iter().filter(|v| **v < 1e-4).count();
        assert!((150..250).contains(&low), "{low} of 400 below the middle of the logarithms");
    }

    #[test]
    fn fine_steps_and_narrow_ranges_are_not_rounded_into_one() {
        let fine = listed("0.0001:0.00010005:0.00000001");
        assert_eq!(fine, [1e-4, 1.0001e-4, 1.0002e-4, 1.0003e-4, 1.0004e-4, 1.0005e-4]);
        // What is typed stays what it is, in a list and at the ends of a range.
        assert_eq!(listed("0.123456789,0.1234567891234"), [0.123_456_789, 0.123_456_789_123_4]);
        assert_eq!(listed("0.1234567891234:0.3234567891234:0.1")[0], 0.123_456_789_123_4);
        assert_eq!(listed("0.1:0.3000000000001:0.1"), [0.1, 0.2, 0.300_000_000_000_1]);
        let weights = Axis::parse(&Setting::Weight("a".into()), "-0.3:0.3:0.1").unwrap().values;
        assert_eq!(weights, Values::Listed(vec![-0.3, -0.2, -0.1, 0.0, 0.1, 0.2, 0.3]));
        assert!(matches!(weights, Values::Listed(values) if shown(values[3]) == "0"));
        let mut rng = <rand_chacha::ChaCha8Rng as rand::SeedableRng>::seed_from_u64(1);
        for (setting, range, from, to) in
            [(Setting::Lr, "1e-4:1.0001e-4", 1e-4, 1.0001e-4), (Setting::Ratio, "0.99955:0.99965", 0.99955, 0.99965)]
        {
            let axis = Axis::parse(&setting, range).unwrap();
            let mut drawn: Vec<f64> = (0..50).map(|_| axis.draw(&mut rng)).collect();
            assert!(drawn.iter().all(|value| (from..=to).contains(value)), "{drawn:?}");
            drawn.sort_by(f64::total_cmp);
            drawn.dedup();
            assert!(drawn.len() > 40, "{drawn:?}");
        }
        // A wide range has short names.
        assert_eq!((short(0.123_456, 0.8), short(2.345_678e-5, 1e-3)), (0.1235, 2.346e-5));
    }

    #[test]
    fn what_is_no_axis_is_refused_in_a_sentence() {
        for (setting, text, why) in [
            (Setting::Ratio, "", "--ratio \"\": no value is named"),
            (Setting::Ratio, "0.5,1.5", "--ratio \"0.5,1.5\": 1.5 is no ratio; 0 to 1 is needed"),
            (Setting::Ratio, "-0.1:0.5:0.1", "-0.1 is no ratio"),
            (Setting::Ratio, "NaN", "numbers are needed"),
            (Setting::Ratio, "0.1,,0.2", "numbers are needed"),
            (Setting::Ratio, "0.9:0.1", "FROM has to be below TO"),
            (Setting::Ratio, "0.1:0.9,0.5", "FROM:TO stands alone"),
            (Setting::Ratio, "0:1:0", "goes up, with a step above 0"),
            (Setting::Ratio, "0:1:0.1:2", "has three numbers"),
            (Setting::Ratio, "0:1:1e-9", "at most 1000 values"),
            (Setting::Lr, "0", "0 is no learning rate"),
            (Setting::Weight("a\u{1b}".into()), "x\u{1b}", "--weight a\\u{1b} \"x\\\\u{1b}\": numbers"),
        ] {
            let said = Axis::parse(&setting, text).unwrap_err().to_string();
            assert!(said.contains(why), "{said}");
        }
    }
}
