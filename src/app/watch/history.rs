//! The states of all matrices so far, in bounded memory: the newest steps are all there, of older ones every
//! second, fourth, ... stays when room runs out.

use crate::run::event::{Modules, Stage};
use std::collections::{BTreeMap, VecDeque};

/// Numbers that are kept in all, four bytes each: 64 MB.
const NUMBERS: usize = 16 << 20;
/// Numbers of a matrix: ratio, sparsity, importance, three quantiles, retained, flips.
const COLUMNS: usize = 8;
/// Steps that are kept however large each is.
const FEWEST: usize = 16;
/// Steps that are kept however small each is: as many as a curve has points.
const MOST: usize = 4096;
/// Stages whose names are kept.
const STAGES: usize = 1000;

/// A step of a stage: its place in the order of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The stage's number.
    pub stage: usize,
    /// The step in it.
    pub step: usize,
}

/// One state; a number that is not there is NaN.
#[derive(Debug, Clone)]
struct Frame {
    place: Place,
    ordinal: usize,
    numbers: Box<[f32]>,
}

impl Frame {
    fn new(place: Place, ordinal: usize, modules: &Modules) -> Self {
        let count = count(modules);
        let mut numbers = Vec::with_capacity(count * COLUMNS);
        for column in [&modules.ratio, &modules.sparsity, &modules.importance, &modules.retained, &modules.flips] {
            numbers.extend((0..count).map(|i| column.get(i).copied().flatten().unwrap_or(f32::NAN)));
        }
        for i in 0..count {
            numbers.extend(modules.quantiles.get(i).copied().flatten().unwrap_or([f32::NAN; 3]));
        }
        Self { place, ordinal, numbers: numbers.into() }
    }

    fn count(&self) -> usize {
        self.numbers.len() / COLUMNS
    }

    fn column(&self, at: usize) -> &[f32] {
        let count = self.count();
        &self.numbers[at * count..(at + 1) * count]
    }

    fn modules(&self) -> Modules {
        let number = |v: f32| (!v.is_nan()).then_some(v);
        let column = |at: usize| self.column(at).iter().copied().map(number).collect();
        let quantiles = self.numbers[5 * self.count()..].chunks_exact(3);
        Modules {
            step: self.place.step,
            ratio: column(0),
            sparsity: column(1),
            importance: column(2),
            retained: column(3),
            flips: column(4),
            quantiles: quantiles.map(|q| number(q[0]).map(|low| [low, q[1], q[2]])).collect(),
            // Only the live step is edited.
            full: Vec::new(),
        }
    }
}

/// Matrices that a state speaks of.
fn count(modules: &Modules) -> usize {
    let columns = [&modules.ratio, &modules.sparsity, &modules.importance, &modules.retained, &modules.flips];
    columns.into_iter().map(Vec::len).max().unwrap_or(0)
}

/// What is kept of a run.
#[derive(Debug, Clone)]
pub struct History {
    frames: VecDeque<Frame>,
    stages: BTreeMap<usize, Stage>,
    pushed: usize,
    stride: usize,
    room: usize,
}

impl Default for History {
    fn default() -> Self {
        Self { frames: VecDeque::new(), stages: BTreeMap::new(), pushed: 0, stride: 1, room: NUMBERS }
    }
}

impl History {
    /// A stage begins; what a resumed run does anew is forgotten when it gets there.
    pub fn begin(&mut self, stage: &Stage) {
        while self.frames.back().is_some_and(|f| f.place.stage > stage.index) {
            self.frames.pop_back();
        }
        self.stages.split_off(&stage.index);
        self.stages.insert(stage.index, stage.clone());
        if self.stages.len() > STAGES {
            self.stages.pop_first();
        }
    }

    /// The state after a step.
    pub fn push(&mut self, stage: usize, modules: &Modules) {
        let place = Place { stage, step: modules.step };
        while self.frames.back().is_some_and(|f| f.place >= place) {
            self.frames.pop_back();
        }
        self.frames.push_back(Frame::new(place, self.pushed, modules));
        self.pushed += 1;
        let each = (count(modules) * COLUMNS).max(1);
        let most = (self.room / each).clamp(FEWEST, MOST);
        if self.frames.len() > most {
            self.thin(most);
        }
    }

    /// Makes room for an eighth more steps: then it is done seldom.
    fn thin(&mut self, most: usize) {
        let newest = self.pushed.saturating_sub(most / 4);
        let enough = most - most / 8;
        while self.frames.len() > enough && self.stride < self.pushed {
            let stride = self.stride;
            self.frames.retain(|f| f.ordinal >= newest || f.ordinal.is_multiple_of(stride));
            if self.frames.len() > enough {
                self.stride *= 2;
            }
        }
        while self.frames.len() > most {
            self.frames.pop_front();
        }
    }

    /// Steps that are kept.
    pub fn len(&self) -> usize {
        self.frames.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// The place of the step that is `index`-th of those kept.
    pub fn place(&self, index: usize) -> Option<Place> {
        self.frames.get(index).map(|f| f.place)
    }

    /// The index of a step, or of the last one before it.
    pub fn index(&self, place: Place) -> usize {
        self.frames.partition_point(|f| f.place <= place).saturating_sub(1)
    }

    /// The state at an index.
    pub fn modules(&self, index: usize) -> Option<Modules> {
        self.frames.get(index).map(Frame::modules)
    }

    /// The stage of a number, as it was announced.
    pub fn stage(&self, index: usize) -> Option<&Stage> {
        self.stages.get(&index)
    }

    /// The last stage of this method.
    pub fn stage_of(&self, method: &str) -> Option<&Stage> {
        self.stages.values().rev().find(|stage| stage.method == method)
    }

    /// Indices of the first step of each stage.
    pub fn stage_starts(&self) -> Vec<usize> {
        let changed = |i: &usize| *i == 0 || self.frames[*i].place.stage != self.frames[*i - 1].place.stage;
        (0..self.frames.len()).filter(changed).collect()
    }

    /// Sparsity and mean importance of a matrix over the steps, `width` of them at most, evenly spread.
    pub fn course(&self, matrix: usize, width: usize) -> [Vec<Option<f32>>; 2] {
        let count = self.frames.len();
        let width = width.min(count);
        let at = |i: usize| if width > 1 { i * (count - 1) / (width - 1) } else { count.saturating_sub(1) };
        let value = |frame: &Frame, column: usize| {
            let numbers = frame.column(column);
            numbers.get(matrix).copied().filter(|v| v.is_finite())
        };
        let column = |column| (0..width).map(|i| value(&self.frames[at(i)], column)).collect();
        [column(1), column(2)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn modules(step: usize) -> Modules {
        let value = step as f32;
        Modules {
            step,
            ratio: vec![Some(0.5), None],
            sparsity: vec![Some(value), None],
            importance: vec![Some(value * 2.0), None],
            quantiles: vec![Some([1.0, 2.0, value]), None],
            retained: vec![None, Some(0.25)],
            flips: vec![Some(0.0), Some(1.0)],
            full: Vec::new(),
        }
    }

    #[test]
    fn a_state_comes_back_as_it_was() {
        let mut history = History::default();
        history.push(2, &modules(7));
        assert_eq!(history.modules(0), Some(modules(7)));
        assert_eq!((history.modules(1), history.place(0)), (None, Some(Place { stage: 2, step: 7 })));
        // A journal may hold columns of any length.
        let odd = Modules { step: 8, sparsity: vec![Some(1.0); 3], quantiles: vec![None; 9], ..Modules::default() };
        history.push(2, &odd);
        assert_eq!(history.modules(1).map(|m| (m.sparsity.len(), m.flips)), Some((3, vec![None; 3])));
        history.push(2, &Modules { step: 9, ..Modules::default() });
        assert_eq!(history.course(1, 10)[0], [None, Some(1.0), None]);
    }

    #[test]
    fn a_resumed_run_takes_the_place_of_what_it_does_anew() {
        let mut history = History::default();
        for (stage, step) in [(1, 1), (1, 2), (1, 3), (1, 4)] {
            history.push(stage, &modules(step));
        }
        history.begin(&Stage { index: 1, ..Stage::default() });
        assert_eq!(history.len(), 4);
        history.push(1, &modules(3));
        assert_eq!((history.len(), history.place(2)), (3, Some(Place { stage: 1, step: 3 })));
        history.begin(&Stage { index: 0, ..Stage::default() });
        assert!(history.is_empty());
    }

    #[test]
    fn a_long_run_stays_small_and_even() {
        let mut history = History { room: 100 * 2 * COLUMNS, ..History::default() };
        for step in 1..=100_000 {
            history.push(step / 50_000, &modules(step));
            assert!(history.len() <= 100, "{step}");
        }
        assert!(history.len() > 60);
        let steps: Vec<usize> = (0..history.len()).filter_map(|i| history.place(i)).map(|p| p.step).collect();
        assert_eq!((steps[0], steps.last()), (1, Some(&100_000)));
        // The last 12 at least are there one by one; of the others no gap is much larger than their mean.
        assert!(steps.windows(2).rev().take(12).all(|w| w[1] - w[0] == 1), "{steps:?}");
        let widest = steps.windows(2).map(|w| w[1] - w[0]).max();
        assert!(widest.is_some_and(|w| w < 6000), "{steps:?}");
        assert_eq!(history.index(Place { stage: 0, step: 0 }), 0);
        assert_eq!(history.stage_starts().len(), 3);
    }

    #[test]
    fn a_course_has_the_ends_and_the_width_asked_for() {
        let mut history = History::default();
        for step in 0..1000 {
            history.push(0, &modules(step));
        }
        let [sparsity, importance] = history.course(0, 20);
        assert_eq!((sparsity.len(), sparsity[0], sparsity[19]), (20, Some(0.0), Some(999.0)));
        assert_eq!(importance[19], Some(1998.0));
        assert_eq!(history.course(99, 20)[0], [None; 20]);
        assert!(History::default().course(0, 20)[0].is_empty());
    }
}
