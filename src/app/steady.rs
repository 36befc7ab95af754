//! Values in few levels that do not flicker: one that moves to and fro over a border keeps its level, so that
//! over a slow link few cells are sent.

use super::measure::Scale;
use super::{Grid, Measure, Selection};

/// Share of a level that a value has to go beyond its border to leave it.
const HOLD: f32 = 0.5;

/// The levels that are held.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Steady {
    of: Option<(Measure, Selection, usize)>,
    cells: Vec<[Option<usize>; 7]>,
    layers: Vec<Option<usize>>,
}

impl Steady {
    /// Takes the values that show now, in so many levels; levels of another picture are forgotten.
    pub fn take(&mut self, grid: &Grid, scale: Scale, of: (Measure, Selection), levels: usize) {
        let of = Some((of.0, of.1, levels));
        if self.of != of || self.cells.len() != grid.cells.len() {
            let layers = grid.cells.len();
            *self = Self { of, cells: vec![[None; 7]; layers], layers: vec![None; layers] };
        }
        let next = |value: Option<f32>, held: Option<usize>| Some(level(scale.share(value?), held, levels));
        for (held, values) in self.cells.iter_mut().zip(&grid.cells) {
            for (held, value) in held.iter_mut().zip(values) {
                *held = next(*value, *held);
            }
        }
        for (held, value) in self.layers.iter_mut().zip(&grid.layers) {
            *held = next(*value, *held);
        }
    }

    /// The level of a layer's projection.
    pub fn cell(&self, layer: usize, projection: usize) -> Option<usize> {
        *self.cells.get(layer)?.get(projection)?
    }

    /// The level of a layer's mean.
    pub fn layer(&self, layer: usize) -> Option<usize> {
        *self.layers.get(layer)?
    }
}

/// The level of a share of the range, 0 to 1: the one that is held as long as the share is near it.
fn level(share: f32, held: Option<usize>, levels: usize) -> usize {
    let at = share.clamp(0.0, 1.0) * levels as f32;
    let near = |held: usize| at > held as f32 - HOLD && at < (held + 1) as f32 + HOLD;
    held.filter(|held| near(*held)).unwrap_or((at as usize).min(levels.saturating_sub(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_on_a_border_keeps_its_level() {
        let mut held = Some(level(0.5, None, 16));
        assert_eq!(held, Some(8));
        for share in [0.49, 0.51, 0.48, 0.5, 0.47] {
            held = Some(level(share, held, 16));
            assert_eq!(held, Some(8), "{share}");
        }
        // Beyond half a level it goes, and comes back as late.
        held = Some(level(0.46, held, 16));
        assert_eq!(held, Some(7));
        assert_eq!(level(0.51, held, 16), 7);
        assert_eq!(level(0.54, held, 16), 8);
        assert_eq!([-1.0, 2.0, f32::NAN].map(|s| level(s, None, 16)), [0, 15, 0]);
    }

    #[test]
    fn another_picture_starts_anew() {
        let grid = |v: f32| Grid { cells: vec![[Some(v); 7]], layers: vec![Some(v)], ..Grid::default() };
        let scale = Scale { low: 0.0, high: 1.0, log: false };
        let of = |measure| (measure, Selection::default());
        let mut steady = Steady::default();
        steady.take(&grid(0.5), scale, of(Measure::Sparsity), 16);
        steady.take(&grid(0.48), scale, of(Measure::Sparsity), 16);
        assert_eq!((steady.cell(0, 3), steady.layer(0), steady.cell(1, 0)), (Some(8), Some(8), None));
        steady.take(&grid(0.48), scale, of(Measure::Ratio), 16);
        assert_eq!(steady.cell(0, 3), Some(7));
    }
}
