//! The last state of a run's matrices, to set beside another run's: they meet by module, adapter's name and factor.

use super::event::{Event, EventBody, MatrixInfo, Modules, Stage, Started};
use crate::module::{Factor, ModuleId};
use std::collections::HashMap;

/// The matrices of a run and their last state.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Matrices {
    /// What the run is about, without its documents.
    pub started: Started,
    /// The stage that the state belongs to.
    pub stage: Stage,
    /// The state; columns align with [`Started::matrices`] of `started`.
    pub modules: Modules,
}

impl Matrices {
    /// For each matrix of `other` its place among this run's, if it is there.
    pub fn order(&self, other: &Started) -> Vec<Option<usize>> {
        let mut places: HashMap<(ModuleId, &str, Factor), usize> = HashMap::new();
        for (at, matrix) in self.started.matrices.iter().enumerate() {
            if let Some(name) = name(&self.started, matrix) {
                places.entry((matrix.module, name, matrix.factor)).or_insert(at);
            }
        }
        let place = |matrix: &MatrixInfo| places.get(&(matrix.module, name(other, matrix)?, matrix.factor)).copied();
        other.matrices.iter().map(place).collect()
    }

    /// The state in the order of the matrices of `other`; one that this run lacks has no value.
    pub fn beside(&self, other: &Started) -> Modules {
        let order = self.order(other);
        let column = |column: &[Option<f32>]| -> Vec<Option<f32>> {
            order.iter().map(|at| at.and_then(|at| column.get(at).copied().flatten())).collect()
        };
        let modules = &self.modules;
        Modules {
            step: modules.step,
            ratio: column(&modules.ratio),
            sparsity: column(&modules.sparsity),
            importance: column(&modules.importance),
            quantiles: order.iter().map(|at| at.and_then(|at| modules.quantiles.get(at).copied().flatten())).collect(),
            retained: column(&modules.retained),
            flips: column(&modules.flips),
            full: Vec::new(),
        }
    }

    /// Of each matrix the share of the run's summed importance that lies in it, 0 to 1; nothing where no matrix is
    /// important.
    pub fn importance_shares(&self) -> Vec<Option<f32>> {
        let sums: Vec<Option<f64>> = self
            .started
            .matrices
            .iter()
            .zip(&self.modules.importance)
            .map(|(matrix, mean)| mean.filter(|v| v.is_finite() && *v >= 0.0).map(|v| f64::from(v) * entries(matrix)))
            .collect();
        let all: f64 = sums.iter().flatten().sum();
        let share = |sum: Option<f64>| sum.map(|sum| (sum / all) as f32).filter(|share| share.is_finite());
        sums.into_iter().map(share).collect()
    }
}

fn name<'a>(started: &'a Started, matrix: &MatrixInfo) -> Option<&'a str> {
    started.adapters.get(matrix.adapter).map(|adapter| adapter.name.as_str())
}

fn entries(matrix: &MatrixInfo) -> f64 {
    matrix.rows as f64 * matrix.cols as f64
}

/// The mean of a column of [`Modules`] over the matrices that have a value, weighted by their entries.
pub fn mean(matrices: &[MatrixInfo], column: &[Option<f32>]) -> Option<f64> {
    let (mut sum, mut size) = (0.0, 0.0);
    for (matrix, value) in matrices.iter().zip(column) {
        if let Some(value) = value.filter(|v| v.is_finite()) {
            sum += f64::from(value) * entries(matrix);
            size += entries(matrix);
        }
    }
    (size > 0.0).then(|| sum / size)
}

/// Takes in the lines of a journal, and parses only the last state of the matrices.
#[derive(Debug, Default)]
pub(super) struct Last {
    started: Option<Started>,
    stage: Stage,
    /// The line with the state, and its stage.
    line: Vec<u8>,
    of: Stage,
}

impl Last {
    /// A worker has started; what was said of other matrices is forgotten.
    pub(super) fn start(&mut self, mut started: Started) {
        started.documents.clear();
        if self.started.as_ref().is_some_and(|old| old.matrices != started.matrices) {
            self.line.clear();
        }
        self.started = Some(started);
    }

    /// A stage begins.
    pub(super) fn begin(&mut self, stage: &Stage) {
        self.stage = stage.clone();
    }

    /// A line with the state of all matrices.
    pub(super) fn see(&mut self, line: &[u8]) {
        self.line.clear();
        self.line.extend_from_slice(line);
        self.of.clone_from(&self.stage);
    }

    /// What the run has told of its matrices at its start.
    pub(super) fn matrices(&self) -> &[MatrixInfo] {
        self.started.as_ref().map_or(&[], |started| &started.matrices)
    }

    /// The last state, if there is one.
    pub(super) fn found(&self) -> Option<Matrices> {
        let EventBody::Modules(modules) = Event::parse(&self.line).ok()?.body else { return None };
        Some(Matrices { started: self.started.clone()?, stage: self.of.clone(), modules })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::module::Projection;
    use crate::run::event::AdapterInfo;

    fn started(adapters: &[&str], matrices: &[(usize, usize, Factor, usize)]) -> Started {
        let info = |&(layer, adapter, factor, rows): &(usize, usize, Factor, usize)| MatrixInfo {
            module: ModuleId::new(layer, Projection::QProj),
            adapter,
            factor,
            rows,
            cols: 1,
        };
        let adapter = |name: &&str| AdapterInfo { name: (*name).into(), ..AdapterInfo::default() };
        Started {
            adapters: adapters.iter().map(adapter).collect(),
            matrices: matrices.iter().map(info).collect(),
            ..Started::default()
        }
    }

    #[test]
    fn matrices_meet_by_module_name_and_factor_wherever_they_stand() {
        let other = Matrices {
            started: started(&["net", "games"], &[(0, 1, Factor::A, 4), (0, 0, Factor::A, 4), (1, 1, Factor::B, 4)]),
            modules: Modules {
                step: 9,
                sparsity: vec![Some(0.1), Some(0.2), Some(0.3)],
                retained: vec![Some(0.9)],
                ..Modules::default()
            },
            ..Matrices::default()
        };
        // The same adapters in another order, another rank, and what the other run lacks; the last one is no adapter's.
        let mine = started(
            &["games", "net", "libs"],
            &[
                (0, 0, Factor::A, 8),
                (0, 1, Factor::A, 8),
                (0, 1, Factor::B, 8),
                (1, 0, Factor::B, 8),
                (0, 2, Factor::A, 8),
                (0, 7, Factor::A, 8),
            ],
        );
        let beside = other.beside(&mine);
        assert_eq!(beside.sparsity, [Some(0.1), Some(0.2), None, Some(0.3), None, None]);
        assert_eq!(beside.retained, [Some(0.9), None, None, None, None, None]);
        assert_eq!((beside.step, beside.flips), (9, vec![None; 6]));
    }

    #[test]
    fn shares_weigh_importance_by_entries_and_make_one() {
        let mut run = Matrices {
            started: started(&["a"], &[(0, 0, Factor::A, 1), (0, 0, Factor::B, 3), (1, 0, Factor::A, 4)]),
            ..Matrices::default()
        };
        run.modules.importance = vec![Some(1.0), Some(1.0), None];
        assert_eq!(run.importance_shares(), [Some(0.25), Some(0.75), None]);
        assert_eq!(
            mean(&run.started.matrices, &[Some(1.0), Some(0.2), None]),
            Some((1.0 + 3.0 * f64::from(0.2f32)) / 4.0)
        );
        run.modules.importance = vec![Some(0.0); 3];
        assert_eq!(run.importance_shares(), [None; 3]);
        assert_eq!(mean(&run.started.matrices, &[Some(f32::NAN)]), None);
    }
}
