//! What rules leave of an axis over the ratio: a matrix that has a rule's ratio minds no other.

use super::axis::{Axis, Setting};
use crate::hub;
use crate::module::Factor;
use crate::recipe::Recipe;
use crate::recipe::ratios::Ratios;
use crate::{Error, Result};

/// A sentence on the matrices that such an axis does not change; `None` where it changes all, or that cannot be told yet.
///
/// # Errors
/// When it changes none: all its trials would be the same.
pub fn look(recipe: &Recipe, axes: &[Axis]) -> Result<Option<String>> {
    if axes.iter().all(|axis| axis.setting != Setting::Ratio) {
        return Ok(None);
    }
    match matrices(recipe) {
        Some((ruled, all)) if ruled == all => Err(Error::user(
            "--ratio: prune.rules of the recipe give every matrix its ratio, so prune.ratio changes nothing and its trials \
             would all be the same; take out the rules, or vary something else",
        )),
        Some((ruled, all)) if ruled > 0 => Ok(Some(format!(
            "prune.rules of the recipe give {ruled} of {all} matrices their ratio: the axis ratio changes the others alone"
        ))),
        _ => Ok(None),
    }
}

/// Matrices whose ratio a rule has, and all; `None` where there is no rule, or headers cannot be read.
fn matrices(recipe: &Recipe) -> Option<(usize, usize)> {
    if recipe.prune.rules.is_empty() {
        return None;
    }
    let (_, outlines) = hub::catalog::outlines(recipe).ok()?;
    let ratios = Ratios::new(recipe.prune.ratio, &recipe.prune.rules).ok()?;
    let (mut ruled, mut all) = (0, 0);
    for (entry, outline) in recipe.adapters.iter().zip(&outlines) {
        for module in outline.modules.keys() {
            for factor in [Factor::A, Factor::B] {
                all += 1;
                ruled += usize::from(ratios.ruled(*module, &entry.name, factor).is_some());
            }
        }
    }
    Some((ruled, all))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Two layers with two modules each: eight matrices.
    fn recipe(base: &str, rules: &str) -> Recipe {
        let base = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/models").join(base);
        Recipe::parse(&format!(
            "base = '{}'\n[data]\ntrain = 't'\ndev = 'd'\n[prune]\nrules = [{rules}]\n[[adapters]]\nname = 'games'\nrole = \
             'target'\ntargets = ['k_proj', 'v_proj']\n",
            base.display()
        ))
        .unwrap()
    }

    fn looked(base: &str, rules: &str, setting: &Setting) -> Result<Option<String>> {
        let axis = Axis::parse(setting, "0.1,0.5").unwrap();
        look(&recipe(base, rules), &[axis])
    }

    #[test]
    fn an_axis_that_changes_nothing_is_refused_and_one_that_changes_little_is_told() {
        let all = "{ modules = '*.k_proj', ratio = 0.2 }, { modules = '*', factor = 'A', ratio = 0.3 }, \
                   { modules = '*.v_proj', adapter = 'games', factor = 'B', ratio = 0.4 }";
        let why = looked("llama", all, &Setting::Ratio).unwrap_err().to_string();
        assert!(why.starts_with("--ratio: prune.rules of the recipe give every matrix its ratio"), "{why}");
        let some = looked("llama", "{ modules = 'layers.0-0.*', factor = 'A', ratio = 0.2 }", &Setting::Ratio).unwrap();
        assert!(some.as_ref().is_some_and(|some| some.contains(" give 2 of 8 matrices their ratio")), "{some:?}");
        assert_eq!(looked("llama", "", &Setting::Ratio), Ok(None));
        assert_eq!(looked("llama", all, &Setting::Lr), Ok(None));
        // A base that is still to be fetched says nothing; its worker will.
        assert_eq!(looked("none", all, &Setting::Ratio), Ok(None));
    }
}
