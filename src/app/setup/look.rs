//! What is seen of what a recipe names, as it comes in.

use super::hub::{self, Named};
use super::{Effect, Setup};
use crate::app::clean;
use crate::data::preview::Preview;
use crate::hub::{AdapterFacts, BaseEntry};
use crate::run::estimate::Estimate;
use std::collections::BTreeMap;

/// Something that was seen.
#[derive(Debug, Clone, PartialEq)]
pub enum Looked {
    /// Repositories of the hub that the recipe names.
    Named(Named),
    /// Paths that are wrong, under their keys; the base; the adapters with a path.
    Paths(Vec<(String, String)>, Option<BaseEntry>, BTreeMap<usize, Result<AdapterFacts, String>>),
    /// The data, nothing while base or files are missing.
    Preview(Option<Result<Preview, String>>),
    /// Memory and time, nothing while something is wrong.
    Estimate(Option<Result<Estimate, String>>),
    /// That was all.
    All,
}

/// Takes it in.
pub(super) fn take(setup: &mut Setup, ticket: u64, looked: Looked) -> Vec<Effect> {
    // Of a draft that has changed meanwhile nothing is taken: the newer look is under way.
    if ticket != setup.ticket {
        return Vec::new();
    }
    let mut effects = Vec::new();
    let seen = &mut setup.seen;
    match looked {
        Looked::Named(named) => effects = hub::named(setup, named),
        Looked::Paths(mut files, mut base, adapters) => {
            files.iter_mut().for_each(|(_, sentence)| *sentence = clean::line(sentence));
            if let Some(problem) = base.as_mut().and_then(|b| b.problem.as_mut()) {
                *problem = clean::line(problem);
            }
            let tidy = |(i, facts): (usize, Result<_, String>)| (i, facts.map_err(|e| clean::line(&e)));
            (seen.files, seen.base) = (files, base);
            seen.adapters = adapters.into_iter().map(tidy).collect();
        }
        Looked::Preview(preview) => seen.preview = preview.map(|p| p.map_err(|e| clean::line(&e))),
        Looked::Estimate(estimate) => seen.estimate = estimate.map(|p| p.map_err(|e| clean::line(&e))),
        Looked::All => seen.looking = false,
    }
    setup.renew_rows();
    effects
}
