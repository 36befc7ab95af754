//! Ratios of single matrices as few rules: boxes of layers, projections, adapters and factors.

use super::tidy;
use crate::module::{Factor, Projection};
use crate::recipe::ratios::Rule;
use crate::run::event::Started;
use std::collections::{BTreeMap, HashMap};

/// A matrix on the way to its ratio.
#[derive(Debug, Clone, Copy)]
struct Cell {
    layer: usize,
    projection: Projection,
    adapter: usize,
    factor: Factor,
    /// What it has by the rules so far; not a number where nothing is known.
    now: f64,
    /// What it is to have; `None` where that does not matter.
    wanted: Option<f64>,
}

impl Cell {
    fn is_wrong(&self) -> bool {
        self.wanted.is_some_and(|w| w != self.now)
    }
}

/// Which projections a rule takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Linears {
    All,
    Block(&'static str),
    One(Projection),
}

impl Linears {
    fn takes(self, p: Projection) -> bool {
        match self {
            Self::All => true,
            Self::Block(block) => p.block() == block,
            Self::One(one) => p == one,
        }
    }
}

/// What a rule is about.
#[derive(Debug, Clone, Copy)]
struct Shape {
    linears: Linears,
    adapter: Option<usize>,
    factor: Option<Factor>,
    /// First and last layer, all if left out.
    layers: Option<(usize, usize)>,
}

impl Shape {
    const ALL: Self = Self { linears: Linears::All, adapter: None, factor: None, layers: None };

    fn takes(&self, cell: &Cell) -> bool {
        self.layers.is_none_or(|(from, to)| (from..=to).contains(&cell.layer)) && self.takes_across(cell)
    }

    fn takes_across(&self, cell: &Cell) -> bool {
        self.linears.takes(cell.projection)
            && self.adapter.is_none_or(|a| a == cell.adapter)
            && self.factor.is_none_or(|f| f == cell.factor)
    }

    fn rule(&self, started: &Started, ratio: f64) -> Rule {
        let layers = self.layers.map(|(from, to)| if from == to { from.to_string() } else { format!("{from}-{to}") });
        let modules = match (layers, self.linears) {
            (None, Linears::All) => "*".to_owned(),
            (None, Linears::Block(block)) => format!("*.{block}.*"),
            (None, Linears::One(p)) => format!("*.{p}"),
            (Some(layers), Linears::All) => format!("layers.{layers}.*"),
            (Some(layers), Linears::Block(block)) => format!("layers.{layers}.{block}.*"),
            (Some(layers), Linears::One(p)) => format!("layers.{layers}.{}.{p}", p.block()),
        };
        let name = self.adapter.and_then(|a| started.adapters.get(a));
        let adapter = name.map_or_else(|| "*".into(), |a| globset::escape(&a.name));
        Rule { modules, adapter, factor: self.factor, ratio }
    }
}

/// The rules that give the matrices their ratios: `wanted` by matrix of the run, `None` where a rule may not
/// matter, over what they have `now`. The last rule that matches counts.
pub fn fewest(
    started: &Started,
    now: impl Fn(usize) -> Option<f64>,
    wanted: impl Fn(usize) -> Option<f64>,
) -> Vec<Rule> {
    let cells: Vec<Cell> = started
        .matrices
        .iter()
        .enumerate()
        // A journal may say anything.
        .filter(|(_, m)| m.module.layer < started.layers)
        .map(|(at, m)| Cell {
            layer: m.module.layer,
            projection: m.module.projection,
            adapter: m.adapter,
            factor: m.factor,
            now: now(at).unwrap_or(f64::NAN),
            wanted: wanted(at).map(tidy),
        })
        .collect();
    // The same from several beginnings: exact boxes alone, or first a common ratio for all, for each adapter,
    // projection, factor or layer, whose exceptions follow.
    let one = |f: &dyn Fn(&Cell) -> Shape| -> Vec<Shape> {
        let mut seen: BTreeMap<String, Shape> = BTreeMap::new();
        for cell in &cells {
            let shape = f(cell);
            seen.entry(format!("{shape:?}")).or_insert(shape);
        }
        seen.into_values().collect()
    };
    let beginnings: [Vec<Shape>; 6] = [
        Vec::new(),
        vec![Shape::ALL],
        one(&|c| Shape { adapter: Some(c.adapter), ..Shape::ALL }),
        one(&|c| Shape { linears: Linears::One(c.projection), ..Shape::ALL }),
        one(&|c| Shape { factor: Some(c.factor), ..Shape::ALL }),
        one(&|c| Shape { layers: Some((c.layer, c.layer)), ..Shape::ALL }),
    ];
    let mut best: Option<Vec<(Shape, f64)>> = None;
    for beginning in beginnings {
        let limit = best.as_ref().map_or(usize::MAX, Vec::len);
        if let Some(found) = cover(cells.clone(), &beginning, limit) {
            best = Some(found);
        }
    }
    best.unwrap_or_default().iter().map(|(shape, ratio)| shape.rule(started, *ratio)).collect()
}

/// The commonest ratios over `beginning`, then boxes until all is right; `None` if that takes `limit` rules.
fn cover(mut cells: Vec<Cell>, beginning: &[Shape], limit: usize) -> Option<Vec<(Shape, f64)>> {
    let mut rules = Vec::new();
    for shape in beginning {
        let mut counts: HashMap<u64, (usize, f64)> = HashMap::new();
        let inside = || cells.iter().filter(|c| shape.takes(c));
        for wanted in inside().filter_map(|c| c.wanted) {
            counts.entry(wanted.to_bits()).or_insert((0, wanted)).0 += 1;
        }
        let Some((_, ratio)) = counts.into_values().max_by(|a, b| a.0.cmp(&b.0).then(b.1.total_cmp(&a.1))) else {
            continue;
        };
        if inside().any(|c| c.is_wrong() && c.wanted == Some(ratio)) {
            apply(&mut cells, shape, ratio);
            rules.push((*shape, ratio));
        }
    }
    let last = cells.iter().map(|c| c.layer).max().unwrap_or(0);
    let mut from = 0;
    while let Some(at) = (from..cells.len()).find(|at| cells[*at].is_wrong()) {
        if rules.len() + 1 >= limit {
            return None;
        }
        let (shape, ratio) = widest(&cells, &cells[at], last);
        apply(&mut cells, &shape, ratio);
        rules.push((shape, ratio));
        from = at;
    }
    (rules.len() < limit).then_some(rules)
}

fn apply(cells: &mut [Cell], shape: &Shape, ratio: f64) {
    cells.iter_mut().filter(|c| shape.takes(c)).for_each(|c| c.now = ratio);
}

/// The box around a cell that mends most and breaks nothing.
fn widest(cells: &[Cell], cell: &Cell, last: usize) -> (Shape, f64) {
    let ratio = cell.wanted.unwrap_or(cell.now);
    let exact = Shape {
        linears: Linears::One(cell.projection),
        adapter: Some(cell.adapter),
        factor: Some(cell.factor),
        layers: Some((cell.layer, cell.layer)),
    };
    // Where every matrix has a ratio of its own there is nothing to join.
    if cells.iter().filter(|c| c.wanted == Some(ratio) && c.is_wrong()).nth(1).is_none() {
        return (exact, ratio);
    }
    let mut best = (exact, (0, 0));
    for linears in [Linears::One(cell.projection), Linears::Block(cell.projection.block()), Linears::All] {
        for adapter in [Some(cell.adapter), None] {
            for factor in [Some(cell.factor), None] {
                let shape = Shape { linears, adapter, factor, layers: None };
                // By layer: what it mends, what it touches that does not matter; `None` where it would break.
                let mut layers = vec![Some((0usize, 0usize)); last + 1];
                for c in cells.iter().filter(|c| shape.takes_across(c)) {
                    if let Some((mends, beside)) = &mut layers[c.layer] {
                        match c.wanted {
                            None => *beside += 1,
                            Some(w) if w != ratio => layers[c.layer] = None,
                            Some(_) => *mends += usize::from(c.is_wrong()),
                        }
                    }
                }
                if layers[cell.layer].is_none() {
                    continue;
                }
                let mends = |layer: usize| layers[layer].map_or(0, |l| l.0);
                let ok = |layer: &usize| layers[*layer].is_some();
                let mut low = (0..cell.layer).rev().take_while(ok).last().unwrap_or(cell.layer);
                let mut high = (cell.layer + 1..=last).take_while(ok).last().unwrap_or(cell.layer);
                let whole = low == 0 && high == last;
                if !whole {
                    // Not further than it is of use.
                    low = (low..=cell.layer).find(|l| mends(*l) > 0).unwrap_or(cell.layer);
                    high = (cell.layer..=high).rev().find(|l| mends(*l) > 0).unwrap_or(cell.layer);
                }
                let (gain, beside) = layers[low..=high].iter().flatten().fold((0, 0), |(g, b), l| (g + l.0, b + l.1));
                let score = (gain, usize::MAX - beside);
                if score > best.1 {
                    best = (Shape { layers: (!whole).then_some((low, high)), ..shape }, score);
                }
            }
        }
    }
    (best.0, ratio)
}
