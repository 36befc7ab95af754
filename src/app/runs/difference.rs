//! How the matrices of two runs differ at their ends, as maps of layers × projections.

use crate::app::{Grid, Selection};
use crate::run::matrices::Matrices;

/// Less of a share is what rounding leaves of nothing.
const NOISE: f32 = 1e-6;

/// What a map shows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Aspect {
    /// Share of entries that are exactly zero.
    #[default]
    Sparsity,
    /// Share of the run's summed importance that lies in a module.
    Share,
    /// Share of a module's importance that the mask leaves.
    Retained,
}

impl Aspect {
    /// All, in the order of the key.
    pub const ALL: [Self; 3] = [Self::Sparsity, Self::Share, Self::Retained];

    /// What it is called.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Sparsity => "sparsity",
            Self::Share => "share of all importance",
            Self::Retained => "retained importance",
        }
    }
}

/// The differences of a run's matrices to the first run's, by aspect; over matrices that both have.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference([Grid; 3]);

impl Difference {
    /// `other` minus `first`; adapters meet by name.
    pub fn new(first: &Matrices, other: &Matrices) -> Self {
        let order = other.order(&first.started);
        let minus = |other: &[Option<f32>], first: &[Option<f32>]| -> Vec<Option<f32>> {
            let then = |at: &Option<usize>| at.and_then(|at| other.get(at).copied().flatten());
            order.iter().map(then).zip(first).map(|(now, then)| Some(now? - (*then)?)).collect()
        };
        let both = |now: &[Option<f32>], then: &[Option<f32>]| {
            Grid::of(&first.started, minus(now, then).into_iter(), Selection::default())
        };
        let shares = |column: Vec<Option<f32>>| {
            let mut grid = Grid::sums(&first.started, column.into_iter(), Selection::default());
            for value in grid.cells.iter_mut().flatten().flatten().filter(|value| value.abs() < NOISE) {
                *value = 0.0;
            }
            grid.means_of_cells()
        };
        let share = minus(&other.importance_shares(), &first.importance_shares());
        let (now, then) = (&other.modules, &first.modules);
        Self([both(&now.sparsity, &then.sparsity), shares(share), both(&now.retained, &then.retained)])
    }

    /// The map of an aspect.
    pub fn grid(&self, aspect: Aspect) -> &Grid {
        &self.0[aspect as usize]
    }
}

/// Which difference of a comparison shows, and where there is no room for all, whether it or the settings.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct View {
    /// Whether the map takes the place of settings and curves.
    pub map: bool,
    /// What it shows.
    pub aspect: Aspect,
    /// The run that the first one is taken from: its place behind the first, from 0.
    pub pair: usize,
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::module::{Factor, ModuleId, Projection};
    use crate::run::event::{AdapterInfo, MatrixInfo, Modules, Started};

    fn run(adapters: &[&str], matrices: &[(usize, usize)], sparsity: &[f32], importance: &[f32]) -> Matrices {
        let some = |values: &[f32]| values.iter().copied().map(Some).collect();
        let matrix = |(layer, adapter): &(usize, usize)| MatrixInfo {
            module: ModuleId::new(*layer, Projection::VProj),
            adapter: *adapter,
            factor: Factor::A,
            rows: 2,
            cols: 1,
        };
        let adapter = |name: &&str| AdapterInfo { name: (*name).into(), ..AdapterInfo::default() };
        Matrices {
            started: Started {
                layers: 2,
                adapters: adapters.iter().map(adapter).collect(),
                matrices: matrices.iter().map(matrix).collect(),
                ..Started::default()
            },
            modules: Modules { sparsity: some(sparsity), importance: some(importance), ..Modules::default() },
            ..Matrices::default()
        }
    }

    #[test]
    fn a_difference_is_over_what_both_have() {
        let first = run(&["a", "b"], &[(0, 0), (0, 1), (1, 0)], &[0.5, 0.5, 0.5], &[1.0, 1.0, 2.0]);
        // Ten times as important everywhere: the shares count. What only this one has shows nowhere.
        let other = run(&["b", "a"], &[(0, 1), (1, 1), (1, 0)], &[0.75, 0.25, 0.9], &[10.0, 30.0, 0.0]);
        let difference = Difference::new(&first, &other);
        let sparsity = difference.grid(Aspect::Sparsity);
        assert_eq!((sparsity.cells[0][2], sparsity.cells[1][2], sparsity.all), (Some(0.25), Some(-0.25), Some(0.0)));
        let share = difference.grid(Aspect::Share);
        assert_eq!((share.cells[0][2], share.cells[1][2]), (Some(0.0), Some(0.25)));
        assert_eq!(difference.grid(Aspect::Retained).all, None);
        let same = Difference::new(&first, &first);
        assert!(same.grid(Aspect::Share).cells.iter().all(|row| row[2] == Some(0.0)));
    }
}
