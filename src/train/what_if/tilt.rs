//! Ratios that lie apart by given offsets and together prune a given share; and as few rules as say so.

use crate::module::{Factor, ModuleId, Projection};
use crate::prune::Key;
use crate::recipe::ratios::Rule;
use std::collections::{BTreeMap, BTreeSet};

/// No matrix is pruned more than this, unless all are.
const MOST: f64 = 0.995;
/// Ratios are multiples of this, so that neighbours have the same and rules are few.
const GRAIN: f64 = 0.001;

/// Ratios that lie `offsets` apart in log-odds, about a level.
#[derive(Debug, Clone, Copy)]
pub struct Tilt<'a> {
    /// Entries of every matrix.
    pub sizes: &'a [f64],
    /// How far every matrix's ratio lies from the level, in log-odds.
    pub offsets: &'a [f64],
    /// Share of all entries that is pruned, 0 to 1.
    pub sparsity: f64,
}

impl Tilt<'_> {
    fn most(&self) -> f64 {
        MOST.max(self.sparsity)
    }

    /// The level at which the share is pruned, in log-odds.
    fn level(&self) -> f64 {
        let all: f64 = self.sizes.iter().sum();
        let pruned = |level: f64| {
            let ratios = self.at(level);
            ratios.iter().zip(self.sizes).map(|(ratio, size)| ratio * size).sum::<f64>() / all.max(1.0)
        };
        let (mut low, mut high) = (-60.0, 60.0);
        for _ in 0..80 {
            let middle = f64::midpoint(low, high);
            if pruned(middle) < self.sparsity { low = middle } else { high = middle }
        }
        low
    }

    fn at(&self, level: f64) -> Vec<f64> {
        self.offsets.iter().map(|o| (1.0 / (1.0 + (-(level + o)).exp())).min(self.most())).collect()
    }

    /// The ratio of every matrix, rounded so that rules are few.
    pub fn ratios(&self) -> Vec<f64> {
        if self.offsets.iter().all(|o| *o == 0.0) || self.sparsity <= 0.0 || self.sparsity >= self.most() {
            return vec![self.sparsity; self.sizes.len()];
        }
        let round = |ratio: f64| (((ratio / GRAIN).round() * GRAIN) * 1e4).round() / 1e4;
        self.at(self.level()).into_iter().map(round).collect()
    }

    /// The ratios with all log-odds lower, and higher, by `half`: between them lies what is pruned next and what was
    /// pruned last.
    pub fn band(&self, half: f64) -> [Vec<f64>; 2] {
        let level = self.level();
        [self.at(level - half), self.at(level + half)]
    }
}

/// Rules that give every matrix its ratio, none of them needing another's: one for all where all have the same, or
/// else by adapter and factor, by projection and by runs of layers.
pub fn rules(keys: &[Key], ratios: &[f64], adapters: &BTreeMap<usize, String>) -> Vec<Rule> {
    let rule = |modules: String, adapter: &str, factor, ratio| Rule { modules, adapter: adapter.into(), factor, ratio };
    let Some(first) = ratios.first() else { return Vec::new() };
    if ratios.iter().all(|ratio| ratio == first) {
        return vec![rule("*".into(), "*", None, *first)];
    }
    let mut by_place: BTreeMap<(usize, Factor), BTreeMap<ModuleId, f64>> = BTreeMap::new();
    for (key, ratio) in keys.iter().zip(ratios) {
        by_place.entry((key.1, key.2)).or_default().insert(key.0, *ratio);
    }
    let mut all = Vec::new();
    for ((adapter, factor), of) in by_place {
        let name = adapters.get(&adapter).map_or_else(|| "*".to_owned(), |name| globset::escape(name));
        let mut say = |modules: String, ratio: f64| all.push(rule(modules, &name, Some(factor), ratio));
        if let Some(ratio) = same(of.values()) {
            say("*".into(), ratio);
            continue;
        }
        let projections: BTreeSet<Projection> = of.keys().map(|id| id.projection).collect();
        for projection in projections {
            let layers: Vec<(usize, f64)> =
                of.iter().filter(|(id, _)| id.projection == projection).map(|(id, r)| (id.layer, *r)).collect();
            if let Some(ratio) = same(layers.iter().map(|(_, ratio)| ratio)) {
                say(format!("*.{projection}"), ratio);
                continue;
            }
            for run in layers.chunk_by(|a, b| a.1 == b.1 && a.0 + 1 == b.0) {
                let ((from, ratio), to) = (run[0], run[run.len() - 1].0);
                let layers = if from == to { from.to_string() } else { format!("{from}-{to}") };
                say(format!("layers.{layers}.*.{projection}"), ratio);
            }
        }
    }
    all
}

/// The ratio that all of them have.
fn same<'a>(mut ratios: impl Iterator<Item = &'a f64>) -> Option<f64> {
    let first = *ratios.next()?;
    ratios.all(|ratio| *ratio == first).then_some(first)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::recipe::ratios::Ratios;

    fn keys() -> Vec<Key> {
        let mut all = Vec::new();
        for layer in 0..4 {
            for projection in [Projection::QProj, Projection::DownProj] {
                for adapter in 0..2 {
                    all.extend([Factor::A, Factor::B].map(|f| (ModuleId::new(layer, projection), adapter, f)));
                }
            }
        }
        all
    }

    fn names() -> BTreeMap<usize, String> {
        [(0, "games".to_owned()), (1, "sci*nce".to_owned())].into()
    }

    #[test]
    fn ratios_prune_the_share_and_lie_apart_by_the_offsets() {
        let sizes = [100.0, 300.0, 50.0];
        let of = |offsets, sparsity| Tilt { sizes: &sizes, offsets, sparsity };
        for sparsity in [0.05, 0.4, 0.8, 0.95] {
            let ratios = of(&[1.0, 0.0, -1.5], sparsity).ratios();
            let pruned = ratios.iter().zip(sizes).map(|(r, s)| r * s).sum::<f64>() / 450.0;
            assert!((pruned - sparsity).abs() < 0.005, "{sparsity}: {ratios:?}");
            assert!(ratios[0] > ratios[1] && ratios[1] > ratios[2], "{ratios:?}");
            assert!(ratios.iter().all(|r| (0.0..=0.995).contains(r)), "{ratios:?}");
        }
        assert_eq!(of(&[0.0; 3], 0.333).ratios(), [0.333; 3]);
        assert_eq!(of(&[1.0, 0.0, 0.0], 1.0).ratios(), [1.0; 3]);
        assert_eq!(of(&[1.0, 0.0, 0.0], 0.0).ratios(), [0.0; 3]);
    }

    #[test]
    fn every_matrix_has_its_ratio_by_the_rules() {
        let (keys, names) = (keys(), names());
        let cases: [&dyn Fn(&Key) -> f64; 4] = [
            &|_| 0.5,
            &|key| if key.1 == 1 { 0.8 } else { 0.3 },
            &|key| if key.0.layer < 2 && key.0.projection == Projection::QProj { 0.9 } else { 0.25 },
            &|key| 0.1 + 0.05 * key.0.layer as f64 + if key.2 == Factor::A { 0.3 } else { 0.0 },
        ];
        for (case, count) in cases.into_iter().zip([1, 4, 12, 32]) {
            let wanted: Vec<f64> = keys.iter().map(case).collect();
            let rules = rules(&keys, &wanted, &names);
            assert_eq!(rules.len(), count, "{rules:?}");
            let ratios = Ratios::new(0.0, &rules).unwrap();
            for (key, ratio) in keys.iter().zip(wanted) {
                assert_eq!(ratios.of(key.0, &names[&key.1], key.2), ratio, "{key:?} {rules:?}");
            }
        }
    }

    #[test]
    fn a_band_has_the_ratios_between_its_ends() {
        let tilt = Tilt { sizes: &[100.0, 300.0], offsets: &[0.5, -0.5], sparsity: 0.4 };
        let (ratios, [low, high]) = (tilt.ratios(), tilt.band(0.5));
        for i in 0..2 {
            assert!(low[i] < ratios[i] && ratios[i] < high[i], "{low:?} {ratios:?} {high:?}");
            let odds = |r: f64| (r / (1.0 - r)).ln();
            assert!((odds(high[i]) - odds(low[i]) - 1.0).abs() < 1e-9);
        }
    }
}
