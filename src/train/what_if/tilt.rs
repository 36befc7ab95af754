//! Ratios that lie apart along a few axes (A against B, one adapter against the others, early layers against late
//! ones, ...) and together prune a given share; and as few rules as say so.

use crate::module::{Factor, ModuleId, Projection};
use crate::prune::Key;
use crate::recipe::ratios::Rule;
use std::collections::{BTreeMap, BTreeSet};

/// No matrix is pruned more than this, unless all are.
const MOST: f64 = 0.97;
/// Ratios are multiples of this, so that neighbours have the same and rules are few.
const GRAIN: f64 = 0.005;

/// A direction in which the ratios of all matrices can be moved together.
#[derive(Debug, Clone, PartialEq)]
pub struct Axis {
    /// As people read it; further along it these are pruned more.
    pub name: String,
    /// How far each matrix moves, in log-odds of its ratio, about 1 at most.
    pub moves: Vec<f64>,
}

/// What is known of the matrices beside their names, one value each: the axes of these are spread to a standard
/// deviation of 1.
#[derive(Debug, Clone, Default)]
pub struct Known<'a> {
    /// Share of the importance that the same ratio for all leaves, 0 to 1.
    pub retained: &'a [f64],
    /// Rise of the dev loss that was measured with the module pruned alone, by entry, nats; empty if that was not.
    pub costs: &'a [f64],
}

/// The axes, those that move much with one measurement first.
pub fn axes(keys: &[Key], adapters: &BTreeMap<usize, String>, known: &Known<'_>) -> Vec<Axis> {
    let mut all = Vec::new();
    let mut axis = |name: String, of: &dyn Fn(&Key) -> f64| {
        let moves: Vec<f64> = keys.iter().map(of).collect();
        // One that moves all alike moves none against another.
        if moves.iter().any(|m| (m - moves[0]).abs() > 1e-9) {
            all.push(Axis { name, moves });
        }
    };
    axis("A against B".into(), &|key| if key.2 == Factor::A { 0.5 } else { -0.5 });
    for (adapter, name) in adapters {
        axis(name.clone(), &|key| f64::from(u8::from(key.1 == *adapter)));
    }
    let last = keys.iter().map(|key| key.0.layer).max().unwrap_or(0).max(1) as f64;
    let place = |key: &Key| 2.0 * key.0.layer as f64 / last - 1.0;
    axis("late layers".into(), &place);
    axis("the first and the last layers".into(), &|key| 2.0 * place(key).powi(2) - 1.0);
    for projection in Projection::ALL {
        axis(projection.to_string(), &|key| f64::from(u8::from(key.0.projection == projection)));
    }
    let spread = [("importance in few entries", known.retained, 1.0), ("measured as cheap", known.costs, -1.0)];
    all.extend(spread.into_iter().filter_map(|(name, values, sign)| {
        let moves: Vec<f64> = standard(values)?.into_iter().map(|v| sign * v).collect();
        (moves.len() == keys.len()).then(|| Axis { name: name.into(), moves })
    }));
    all
}

/// Values with mean 0 and standard deviation 1, cut at 2; `None` where they do not differ.
fn standard(values: &[f64]) -> Option<Vec<f64>> {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let deviation = (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt();
    (deviation > 1e-12).then(|| values.iter().map(|v| ((v - mean) / deviation).clamp(-2.0, 2.0)).collect())
}

/// The ratio of every matrix: the same for all, moved by `offsets` in log-odds, so that of all entries the share
/// `sparsity` is pruned.
pub fn ratios(sizes: &[f64], offsets: &[f64], sparsity: f64) -> Vec<f64> {
    let most = MOST.max(sparsity);
    let at = |level: f64| offsets.iter().map(move |o| (1.0 / (1.0 + (-(level + o)).exp())).min(most));
    let all: f64 = sizes.iter().sum();
    let pruned = |level: f64| at(level).zip(sizes).map(|(ratio, size)| ratio * size).sum::<f64>() / all.max(1.0);
    if offsets.iter().all(|o| *o == 0.0) || sparsity <= 0.0 || sparsity >= most {
        return vec![sparsity; sizes.len()];
    }
    let (mut low, mut high) = (-60.0, 60.0);
    for _ in 0..80 {
        let middle = f64::midpoint(low, high);
        if pruned(middle) < sparsity { low = middle } else { high = middle }
    }
    at(low).map(|ratio| (ratio / GRAIN).round() * GRAIN).map(|ratio| (ratio * 1e4).round() / 1e4).collect()
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
        for sparsity in [0.05, 0.4, 0.8, 0.95] {
            let ratios = ratios(&sizes, &[1.0, 0.0, -1.5], sparsity);
            let pruned = ratios.iter().zip(sizes).map(|(r, s)| r * s).sum::<f64>() / 450.0;
            assert!((pruned - sparsity).abs() < 0.005, "{sparsity}: {ratios:?}");
            assert!(ratios[0] > ratios[1] && ratios[1] > ratios[2], "{ratios:?}");
            assert!(ratios.iter().all(|r| (0.0..=0.97).contains(r)), "{ratios:?}");
        }
        assert_eq!(ratios(&sizes, &[0.0; 3], 0.333), [0.333; 3]);
        assert_eq!(ratios(&sizes, &[1.0, 0.0, 0.0], 1.0), [1.0; 3]);
        assert_eq!(ratios(&sizes, &[1.0, 0.0, 0.0], 0.0), [0.0; 3]);
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
    fn axes_move_matrices_against_one_another() {
        let keys = keys();
        let retained: Vec<f64> = (0..keys.len()).map(|i| i as f64 / 40.0).collect();
        let all = axes(&keys, &names(), &Known { retained: &retained, costs: &[] });
        let names: Vec<&str> = all.iter().map(|axis| axis.name.as_str()).collect();
        let wanted = [
            "A against B",
            "games",
            "sci*nce",
            "late layers",
            "the first and the last layers",
            "q_proj",
            "down_proj",
            "importance in few entries",
        ];
        assert_eq!(names, wanted);
        assert!(all.iter().all(|axis| axis.moves.len() == keys.len()));
        // One projection alone is no axis, nor are values that do not differ.
        let one: Vec<Key> = keys.iter().filter(|k| k.0.projection == Projection::QProj).copied().collect();
        let flat = vec![0.5; one.len()];
        let all = axes(&one, &names_of_one(), &Known { retained: &flat, costs: &flat });
        assert_eq!(all.len(), 4, "{all:?}");
    }

    fn names_of_one() -> BTreeMap<usize, String> {
        [(0, "games".to_owned())].into()
    }
}
