//! A measure over all modules: the cells of the heatmap and their means.

use super::measure::Measure;
use crate::module::{Factor, ModuleId, Projection};
use crate::run::event::{MatrixInfo, Modules, Started};

/// Which matrices count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Selection {
    /// One adapter (index into [`Started::adapters`]), or all.
    pub adapter: Option<usize>,
    /// One factor, or both.
    pub factor: Option<Factor>,
}

impl Selection {
    /// Whether a matrix counts.
    pub fn takes(&self, matrix: &MatrixInfo) -> bool {
        self.adapter.is_none_or(|a| a == matrix.adapter) && self.factor.is_none_or(|f| f == matrix.factor)
    }
}

/// A mean weighted by the number of entries.
#[derive(Debug, Clone, Copy, Default)]
struct Mean {
    sum: f64,
    size: f64,
}

impl Mean {
    fn add(&mut self, value: f32, size: f64) {
        self.sum += f64::from(value) * size;
        self.size += size;
    }

    fn value(self) -> Option<f32> {
        (self.size > 0.0).then(|| (self.sum / self.size) as f32)
    }
}

/// Values of one measure; `None` where no chosen matrix has one.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Grid {
    /// By layer and projection, in the order of [`Projection::ALL`].
    pub cells: Vec<[Option<f32>; 7]>,
    /// Mean of each layer.
    pub layers: Vec<Option<f32>>,
    /// Mean of each projection.
    pub projections: [Option<f32>; 7],
    /// Mean of all.
    pub all: Option<f32>,
}

impl Grid {
    /// The means, weighted by size, over the matrices that `selection` takes.
    pub fn new(started: &Started, modules: &Modules, measure: Measure, selection: Selection) -> Self {
        Self::of(started, measure.column(modules).iter().copied(), selection)
    }

    /// As [`Self::new`], of a column with a value for each matrix.
    pub fn of(started: &Started, column: impl Iterator<Item = Option<f32>>, selection: Selection) -> Self {
        let size = |matrix: &MatrixInfo| matrix.rows as f64 * matrix.cols as f64;
        Self::gathered(started, column, selection, size, Mean::value)
    }

    /// As [`Self::of`], but sums in the place of means: of shares of a whole.
    pub fn sums(started: &Started, column: impl Iterator<Item = Option<f32>>, selection: Selection) -> Self {
        let sum = |mean: Mean| (mean.size > 0.0).then_some(mean.sum as f32);
        Self::gathered(started, column, selection, |_| 1.0, sum)
    }

    /// The same cells; of layers and projections the plain means of their cells.
    #[must_use]
    pub fn means_of_cells(self) -> Self {
        let mean = |values: &mut dyn Iterator<Item = Option<f32>>| {
            let mut mean = Mean::default();
            values.flatten().for_each(|value| mean.add(value, 1.0));
            mean.value()
        };
        let layers = self.cells.iter().map(|row| mean(&mut row.iter().copied())).collect();
        let projections = std::array::from_fn(|p| mean(&mut self.cells.iter().map(|row| row[p])));
        let all = mean(&mut self.cells.iter().flatten().copied());
        Self { layers, projections, all, ..self }
    }

    fn gathered(
        started: &Started,
        column: impl Iterator<Item = Option<f32>>,
        selection: Selection,
        size: impl Fn(&MatrixInfo) -> f64,
        value_of: impl Fn(Mean) -> Option<f32>,
    ) -> Self {
        let mut cells = vec![[Mean::default(); 7]; started.layers];
        let mut layers = vec![Mean::default(); started.layers];
        let (mut projections, mut all) = ([Mean::default(); 7], Mean::default());
        for (matrix, value) in started.matrices.iter().zip(column) {
            let (layer, projection) = (matrix.module.layer, matrix.module.projection as usize);
            let (Some(value), true) = (value.filter(|v| v.is_finite()), layer < started.layers) else { continue };
            if selection.takes(matrix) {
                let size = size(matrix);
                for mean in [&mut cells[layer][projection], &mut layers[layer], &mut projections[projection], &mut all]
                {
                    mean.add(value, size);
                }
            }
        }
        Self {
            cells: cells.into_iter().map(|row| row.map(&value_of)).collect(),
            layers: layers.into_iter().map(&value_of).collect(),
            projections: projections.map(&value_of),
            all: value_of(all),
        }
    }

    /// The value of one module.
    pub fn module(&self, module: ModuleId) -> Option<f32> {
        self.cells.get(module.layer).and_then(|row| row[module.projection as usize])
    }
}

/// The projections that some matrix belongs to, as indices into [`Projection::ALL`]; all if none does.
pub fn projections(started: &Started) -> Vec<usize> {
    let used: Vec<usize> = (0..Projection::ALL.len())
        .filter(|p| started.matrices.iter().any(|m| m.module.projection as usize == *p))
        .collect();
    if used.is_empty() { (0..Projection::ALL.len()).collect() } else { used }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::event::AdapterInfo;

    fn matrix(layer: usize, adapter: usize, factor: Factor, rows: usize) -> MatrixInfo {
        MatrixInfo { module: ModuleId::new(layer, Projection::VProj), adapter, factor, rows, cols: 1 }
    }

    #[test]
    fn means_weigh_by_size_and_skip_what_is_not_there() {
        let started = Started {
            layers: 2,
            adapters: vec![AdapterInfo::default(), AdapterInfo::default()],
            matrices: vec![
                matrix(0, 0, Factor::A, 1),
                matrix(0, 1, Factor::B, 3),
                matrix(1, 0, Factor::A, 4),
                // A journal may say anything.
                matrix(99, 0, Factor::A, usize::MAX),
            ],
            ..Started::default()
        };
        let modules =
            Modules { sparsity: vec![Some(0.0), Some(0.8), None, Some(0.5), Some(0.5)], ..Modules::default() };
        let both = Grid::new(&started, &modules, Measure::Sparsity, Selection::default());
        assert_eq!((both.cells[0][2], both.cells[1][2], both.all), (Some(0.6), None, Some(0.6)));
        assert_eq!(both.layers, [Some(0.6), None]);
        assert_eq!(both.projections[2], Some(0.6));
        let b = Selection { adapter: None, factor: Some(Factor::B) };
        assert_eq!(Grid::new(&started, &modules, Measure::Sparsity, b).all, Some(0.8));
        let first = Selection { adapter: Some(0), factor: None };
        assert_eq!(Grid::new(&started, &modules, Measure::Sparsity, first).all, Some(0.0));
        assert_eq!(projections(&started), [2]);
        assert_eq!(projections(&Started::default()).len(), 7);
    }
}
