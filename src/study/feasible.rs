//! Which methods cannot be done whatever the seed, as far as headers and data tell before anything runs.

use crate::Result;
use crate::data::{Dataset, Fields, Template, Tokenizer};
use crate::hub;
use crate::model::config::Config;
use crate::module::ModuleId;
use crate::recipe::{Method, Recipe};
use crate::text::printable;
use std::collections::BTreeMap;

/// The methods that `recipe` names and that cannot be done with its adapters or its data, each with the reason. What cannot
/// be read yet says nothing: loading will.
pub fn impossible(recipe: &Recipe) -> Vec<(Method, String)> {
    let methods = &recipe.eval.methods;
    let mut found = Vec::new();
    if methods.iter().any(|method| adds(*method))
        && let Some(why) = other_ranks(recipe)
    {
        let each = methods.iter().filter(|method| adds(**method));
        found.extend(each.map(|method| (*method, format!("{:?} adds matrices of one rank, and {why}", method.name()))));
    }
    if methods.contains(&Method::FewShot)
        && let Ok(0) = shots(recipe)
    {
        let why = "the first training example does not fit the prompt: with it, less than half of the base's context would be left";
        found.push((Method::FewShot, why.to_owned()));
    }
    found
}

/// Whether a method adds A to A and B to B.
fn adds(method: Method) -> bool {
    method.combines().is_some_and(|name| name != "svd")
}

/// Where adapters have ranks of their own: at a module that several have, or else the largest of each.
fn other_ranks(recipe: &Recipe) -> Option<String> {
    let (_, outlines) = hub::catalog::outlines(recipe).ok()?;
    let names = || recipe.adapters.iter().map(|entry| printable(&entry.name).into_owned());
    let mut at: BTreeMap<ModuleId, Vec<(String, usize)>> = BTreeMap::new();
    for (name, outline) in names().zip(&outlines) {
        for (id, slot) in &outline.modules {
            at.entry(*id).or_default().push((name.clone(), slot.rank));
        }
    }
    let differ = |ranks: &[(String, usize)]| ranks.iter().any(|(_, rank)| *rank != ranks[0].1);
    let told = |ranks: &[(String, usize)]| {
        ranks.iter().map(|(name, rank)| format!("{name} {rank}")).collect::<Vec<_>>().join(", ")
    };
    if let Some((id, ranks)) = at.iter().find(|(_, ranks)| differ(ranks)) {
        return Some(format!("at {id} they have ranks of their own: {}", told(ranks)));
    }
    let most = |outline: &crate::lora::adapter::Outline| outline.modules.values().map(|slot| slot.rank).max();
    let largest: Vec<(String, usize)> =
        names().zip(&outlines).map(|(name, outline)| (name, most(outline).unwrap_or(0))).collect();
    differ(&largest).then(|| format!("the adapters have ranks of their own: {}", told(&largest)))
}

/// How many training examples fit the prompt of few-shot, up to one.
fn shots(recipe: &Recipe) -> Result<usize> {
    let tokenizer = Tokenizer::read(&recipe.base)?;
    let template = Template::new(&tokenizer, &recipe.data, Config::read(&recipe.base)?.max_position)?;
    let train = Dataset::read(&recipe.data.train, Fields::from(&recipe.data), 1)?;
    Ok(template.with_shots(&train.examples, 1, recipe.samples.max_new_tokens)?.1)
}
