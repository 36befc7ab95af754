//! What a run's journal tells of its curves and its matrices, read slice by slice and gone on with as it grows: of a
//! long journal nothing is kept but the place that was reached.

use super::event::{Dev, Event, EventBody, Stage, Step};
use super::journal::Reader;
use super::listing::kind;
use super::matrices::{Last, Matrices, mean};
use super::{RunDir, RunState};
use crate::Result;
use serde::Deserialize;

/// Bytes of the journal in one slice, about.
const SLICE: u64 = 4 << 20;
/// Points in one slice at most.
const POINTS: usize = 4000;

/// Something that a curve is made of, in the order of the journal.
#[derive(Debug, Clone, PartialEq)]
pub enum Told {
    /// A stage begins, or goes on after a resume.
    Stage(Stage),
    /// An update.
    Step(Step),
    /// An evaluation.
    Dev(Dev),
    /// The means over all matrices after a step, weighted by their entries.
    Means(Means),
}

/// See [`Told::Means`]; shares from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Means {
    /// The step of the stage.
    pub step: usize,
    /// Entries that are exactly zero.
    pub sparsity: Option<f64>,
    /// Importance that survived the mask.
    pub retained: Option<f64>,
    /// Entries whose mask the step changed.
    pub flips: Option<f64>,
}

/// The next part of a course.
#[derive(Debug, Clone, PartialEq)]
pub struct Slice {
    /// What was told.
    pub told: Vec<Told>,
    /// How the run stands.
    pub state: RunState,
    /// The last state of the matrices, if it is another one than before; once everything was read.
    pub matrices: Option<Matrices>,
    /// Whether this is all there is for now.
    pub caught_up: bool,
    /// The share of the journal that has been read, 0 to 1.
    pub read: f32,
}

/// The columns that means are made of: the others are not read.
#[derive(Deserialize)]
struct Columns {
    step: usize,
    sparsity: Vec<Option<f32>>,
    retained: Vec<Option<f32>>,
    flips: Vec<Option<f32>>,
}

/// A reader of one run's course.
#[derive(Debug)]
pub struct Course {
    dir: RunDir,
    reader: Reader,
    last: Last,
    /// A state of the matrices was told that was not handed out yet.
    fresh: bool,
    paused: bool,
}

impl Course {
    /// The course of a run from its first event.
    pub fn new(dir: RunDir) -> Self {
        let reader = Reader::new(&dir.journal_file());
        Self { dir, reader, last: Last::default(), fresh: false, paused: false }
    }

    /// The next slice.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub fn poll(&mut self) -> Result<Slice> {
        // The state first: what a worker wrote before its last word is then in what follows.
        let state = self.dir.state();
        let mut told = Vec::new();
        let before = self.reader.offset();
        let (last, paused, fresh) = (&mut self.last, &mut self.paused, &mut self.fresh);
        self.reader.lines(SLICE, |line| {
            if let Some(point) = take(line, last, paused, fresh) {
                told.push(point);
            }
            told.len() < POINTS
        })?;
        let (done, length) = (self.reader.offset(), self.reader.length());
        let caught_up = done == before;
        let matrices = (caught_up && std::mem::take(&mut self.fresh)).then(|| self.last.found()).flatten();
        let state = if state == RunState::Running && self.paused { RunState::Paused } else { state };
        let read = if length > 0 { (done as f32 / length as f32).min(1.0) } else { 1.0 };
        Ok(Slice { told, state, matrices, caught_up, read })
    }
}

/// What a line adds to the course; what does not count is not parsed.
fn take(line: &[u8], last: &mut Last, paused: &mut bool, fresh: &mut bool) -> Option<Told> {
    match kind(line)? {
        "modules" => {
            last.see(line);
            *fresh = true;
            let Columns { step, sparsity, retained, flips } = serde_json::from_slice(line).ok()?;
            let of = |column: &[Option<f32>]| mean(last.matrices(), column);
            Some(Told::Means(Means { step, sparsity: of(&sparsity), retained: of(&retained), flips: of(&flips) }))
        }
        "started" | "stage" | "step" | "dev" | "paused" => match Event::parse(line).ok()?.body {
            EventBody::Started(started) => {
                *paused = false;
                last.start(*started);
                None
            }
            EventBody::Stage(stage) => {
                last.begin(&stage);
                Some(Told::Stage(stage))
            }
            EventBody::Step(step) => Some(Told::Step(step)),
            EventBody::Dev(dev) => Some(Told::Dev(dev)),
            EventBody::Paused { paused: now } => {
                *paused = now;
                None
            }
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::module::{Factor, ModuleId, Projection};
    use crate::run::event::{MatrixInfo, Modules, Sample, Started};
    use crate::run::journal::Journal;

    fn matrix(rows: usize) -> MatrixInfo {
        MatrixInfo { module: ModuleId::new(0, Projection::QProj), adapter: 0, factor: Factor::A, rows, cols: 1 }
    }

    fn modules(step: usize, values: [f32; 2]) -> EventBody {
        let column = values.map(Some).to_vec();
        let quantiles = vec![None; 2];
        let (ratio, importance, retained, flips) = (column.clone(), column.clone(), column.clone(), vec![None; 2]);
        let full = Vec::new();
        EventBody::Modules(Modules { step, ratio, sparsity: column, importance, quantiles, retained, flips, full })
    }

    #[test]
    fn a_course_has_what_curves_need_and_goes_on_with_the_journal() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunDir { path: folder.path().to_path_buf() };
        let mut journal = Journal::open(&run.journal_file()).unwrap();
        let matrices = vec![matrix(1), matrix(3)];
        let stage = |index| EventBody::Stage(Stage { index, steps: 4, ..Stage::default() });
        for body in [
            EventBody::Started(Box::new(Started { matrices: matrices.clone(), ..Started::default() })),
            stage(0),
            EventBody::Step(Step { step: 1, loss: 3.0, ..Step::default() }),
            modules(1, [1.0, 0.2]),
            EventBody::Sample(Sample::default()),
            EventBody::Dev(Dev { step: 1, loss: 2.5, ..Dev::default() }),
        ] {
            journal.append(body).unwrap();
        }
        let mut course = Course::new(run);
        let first = course.poll().unwrap();
        assert!(!first.caught_up && first.matrices.is_none() && first.read == 1.0, "{first:?}");
        let [Told::Stage(_), Told::Step(step), Told::Means(means), Told::Dev(dev)] = &first.told[..] else {
            unreachable!("{first:?}")
        };
        assert_eq!((step.loss, dev.loss, means.step, means.flips), (3.0, 2.5, 1, None));
        assert!(means.sparsity.is_some_and(|mean| (mean - 0.4).abs() < 1e-6), "{means:?}");
        let second = course.poll().unwrap();
        let state = second.matrices.unwrap();
        assert!(second.caught_up && second.told.is_empty());
        assert_eq!((state.modules.sparsity, state.started.matrices), (vec![Some(1.0), Some(0.2)], matrices));
        // Nothing new is no new state; what is written then is.
        assert_eq!(course.poll().unwrap().matrices, None);
        journal.append(stage(1)).unwrap();
        journal.append(modules(2, [0.5, 0.5])).unwrap();
        assert_eq!(course.poll().unwrap().told.len(), 2);
        let last = course.poll().unwrap().matrices.unwrap();
        assert_eq!((last.modules.step, last.stage.index), (2, 1));
    }

    #[test]
    fn a_long_journal_comes_in_slices_and_odd_lines_are_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunDir { path: folder.path().to_path_buf() };
        let mut text = String::from("[1,2\n{\"type\":\"step\",\"loss\":\"x\"}\n");
        let mut journal = Journal::open(&run.journal_file()).unwrap();
        for step in 1..=(2 * POINTS + 10) {
            journal.append(EventBody::Step(Step { step, ..Step::default() })).unwrap();
        }
        drop(journal);
        text += &std::fs::read_to_string(run.journal_file()).unwrap();
        std::fs::write(run.journal_file(), text).unwrap();
        let mut course = Course::new(run);
        let mut slices = Vec::new();
        while slices.last().is_none_or(|slice: &Slice| !slice.caught_up) {
            slices.push(course.poll().unwrap());
        }
        assert!(slices.iter().all(|slice| slice.told.len() <= POINTS));
        assert_eq!(slices.iter().map(|slice| slice.told.len()).sum::<usize>(), 2 * POINTS + 10);
        assert!(slices[0].read < 0.6 && slices.windows(2).all(|pair| pair[0].read <= pair[1].read));
    }
}
