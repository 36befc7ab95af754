//! `lopper check`: all that a run does before it trains, and what it will take.

use crate::data::preview::{self, Preview};
use crate::hub::{self, AdapterFacts, BaseEntry};
use crate::model::device;
use crate::recipe::Recipe;
use crate::run::estimate::{self, Estimate, bytes};
use crate::text::{self, printable};
use crate::{Error, Result};
use serde_json::json;
use std::path::Path;

/// What was found of a recipe that can run.
struct Findings {
    base: BaseEntry,
    adapters: Vec<AdapterFacts>,
    data: Preview,
    estimate: Estimate,
}

/// The findings as lines, or as JSON.
///
/// # Errors
/// The first thing for which the run would not start.
pub fn report(path: &Path, runs: &Path, as_json: bool) -> Result<String> {
    let recipe = Recipe::read(path)?;
    recipe.check_files()?;
    device::check(&recipe.device, recipe.cuda_ordinal())?;
    let adapters = hub::of_recipe(&recipe)?;
    let base = hub::base(&recipe.base);
    if let Some(problem) = base.problem {
        return Err(Error::user(problem));
    }
    let data = preview::preview(&recipe, usize::from(as_json))?;
    let estimate = estimate::estimate(&recipe, &data, runs)?;
    let found = Findings { base, adapters, data, estimate };
    if as_json { found.json(&recipe) } else { Ok(found.lines(&recipe)) }
}

impl Findings {
    fn json(&self, recipe: &Recipe) -> Result<String> {
        let named = |(e, facts): (&crate::recipe::AdapterEntry, &AdapterFacts)| json!({ "name": e.name, "role": e.role, "new": e.path.is_none(), "facts": facts });
        let adapters: Vec<_> = recipe.adapters.iter().zip(&self.adapters).map(named).collect();
        let value = json!({
            "name": recipe.name, "base": self.base, "adapters": adapters, "data": self.data, "estimate": self.estimate,
            "warnings": self.warnings(recipe),
        });
        text::json(&value)
    }

    fn warnings(&self, recipe: &Recipe) -> Vec<String> {
        let found = self.data.warnings.iter().cloned().chain(recipe.odd_methods());
        found.chain(self.estimate.problem()).collect()
    }

    fn lines(&self, recipe: &Recipe) -> String {
        let mut rows: Vec<(&str, String)> = vec![("recipe", printable(&recipe.name).into_owned())];
        rows.push(("base", super::models::base(&self.base)));
        for (entry, facts) in recipe.adapters.iter().zip(&self.adapters) {
            rows.push(("adapter", adapter(entry, facts)));
        }
        for split in &self.data.splits {
            let cut = match split.cut {
                0 => "none cut".to_owned(),
                cut => format!("{cut} cut by {} tokens", split.tokens_cut),
            };
            rows.push((
                split.name,
                format!(
                    "{} examples; tokens: document {} to {} ({} in the middle), prompt up to {}, summary up to {}; {cut}",
                    split.examples,
                    split.document.least,
                    split.document.most,
                    split.document.median,
                    split.prompt.most,
                    split.summary.most
                ),
            ));
        }
        let estimate = &self.estimate;
        for stage in &estimate.stages {
            let steps = if stage.steps == 0 { "no training".into() } else { format!("{} steps", stage.steps) };
            let time = stage.seconds.map_or(String::new(), |s| format!(", about {}", time(s)));
            rows.push(("stage", format!("{}: {steps}{time}", stage.method)));
        }
        let free = estimate.free.map_or("free memory is not known".into(), |free| format!("{} free", bytes(free)));
        let total = bytes(estimate.total);
        rows.push(("memory", format!("about {total} on {} while {}; {free}", estimate.device, estimate.moment)));
        let parts: Vec<String> = estimate.parts.iter().map(|p| format!("{} {}", p.name, bytes(p.bytes))).collect();
        rows.push(("", parts.join(", ")));
        rows.extend(estimate.other_cards().into_iter().map(|text| ("", text)));
        rows.push(("", estimate.recompute()));
        let all = estimate.seconds.map_or("not known".into(), |s| format!("about {}", time(s)));
        let speed = estimate.tokens_per_second.map_or(String::new(), |t| format!("{t:.0} tokens/s, "));
        rows.push(("time", format!("{all} for {} steps ({speed}{})", estimate.steps, estimate.speed_from)));
        rows.extend(self.warnings(recipe).into_iter().map(|text| ("warning", text)));
        rows.iter().map(|(name, text)| format!("{name:8} {text}")).collect::<Vec<_>>().join("\n")
    }
}

fn adapter(entry: &crate::recipe::AdapterEntry, facts: &AdapterFacts) -> String {
    let targets: Vec<&str> = facts.targets.iter().map(|p| p.name()).collect();
    format!(
        "{} ({}{}): rank {}, alpha {}, {} in {} layers, {:.1}M parameters",
        printable(&entry.name),
        entry.role.name(),
        if entry.path.is_none() { ", new" } else { "" },
        facts.rank,
        facts.alpha,
        targets.join(" "),
        facts.layers,
        facts.parameters as f64 / 1e6
    )
}

/// `40 s`, `12 min`, `3.5 h`.
fn time(seconds: f64) -> String {
    match seconds {
        s if s < 90.0 => format!("{:.0} s", s.max(1.0)),
        s if s < 5400.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}
