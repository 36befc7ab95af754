//! The entries of one adapter's matrix in a run's newest checkpoint, summed up in blocks: what is zero where, and how
//! large the rest is.

use super::RunDir;
use super::event::{MatrixInfo, Started};
use crate::model::file::WeightFile;
use crate::model::header::{self, Stored};
use crate::module::{Factor, ModuleId};
use crate::train::checkpoint;
use crate::{Error, Result};
use std::ops::Range;

/// Rows and columns of blocks at most.
pub const MOST: (usize, usize) = (64, 512);
/// Bars of the histogram.
pub const BARS: usize = 32;

/// Which matrix is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The module.
    pub module: ModuleId,
    /// A or B.
    pub factor: Factor,
    /// The ranks of all adapters of the module, in the run's order.
    pub ranks: Vec<usize>,
    /// The adapter, an index into them.
    pub at: usize,
    /// Whether it is the target adapter, which a stage of its own trains alone.
    pub alone: bool,
}

impl Wanted {
    /// The matrix at this place of the run's list.
    pub fn of(started: &Started, at: usize) -> Option<Self> {
        let matrix = started.matrices.get(at)?;
        let rank = |m: &MatrixInfo| if m.factor == Factor::A { m.rows } else { m.cols };
        let (mut ranks, mut place) = (Vec::new(), 0);
        for (i, other) in started.matrices.iter().enumerate() {
            if other.module == matrix.module && other.factor == matrix.factor {
                if i == at {
                    place = ranks.len();
                }
                ranks.push(rank(other));
            }
        }
        let alone = started.adapters.get(matrix.adapter).is_some_and(|a| a.role == "target");
        Some(Self { module: matrix.module, factor: matrix.factor, ranks, at: place, alone })
    }
}

/// Some entries of a matrix.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Block {
    /// How many they are.
    pub entries: u64,
    /// How many of them are exactly zero: pruned, or not trained yet.
    pub zeros: u64,
    /// The sum of their absolute values.
    pub sum: f64,
}

impl Block {
    /// The share of zeros, 0 to 1.
    pub fn sparsity(&self) -> f32 {
        (self.zeros as f64 / self.entries.max(1) as f64) as f32
    }

    /// The mean absolute value of all entries.
    pub fn mean(&self) -> f32 {
        (self.sum / self.entries.max(1) as f64) as f32
    }

    /// Takes in others.
    pub fn add(&mut self, other: &Self) {
        self.entries += other.entries;
        self.zeros += other.zeros;
        self.sum += other.sum;
    }
}

/// How many entries have which absolute value; zeros are left out.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Histogram {
    /// The least and the largest value, both above zero.
    pub range: (f32, f32),
    /// Entries by equal parts of the logarithm between them.
    pub bars: Vec<u64>,
}

/// A matrix in blocks.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Blocks {
    /// Number of the checkpoint's stage, from 0, and the step it was written after.
    pub stage: usize,
    /// See [`Self::stage`].
    pub step: usize,
    /// Ranks, and features of the hidden state (`d_in` of A, `d_out` of B): B lies here as A does, one rank a row.
    pub shape: (usize, usize),
    /// Blocks by row; each row as long as the first; at most [`MOST`].
    pub grid: Vec<Vec<Block>>,
    /// How large what is not zero is.
    pub histogram: Histogram,
}

impl Blocks {
    /// Everything together.
    pub fn all(&self) -> Block {
        self.grid.iter().flatten().fold(Block::default(), |mut all, block| {
            all.add(block);
            all
        })
    }

    /// The same matrix in at most so many rows and columns of blocks.
    #[must_use]
    pub fn within(&self, rows: usize, columns: usize) -> Vec<Vec<Block>> {
        let (high, wide) = (self.grid.len(), self.grid.first().map_or(0, Vec::len));
        let (rows, columns) = (rows.clamp(1, high.max(1)), columns.clamp(1, wide.max(1)));
        let mut out = vec![vec![Block::default(); columns]; rows];
        for (y, row) in self.grid.iter().enumerate() {
            for (x, block) in row.iter().enumerate() {
                out[y * rows / high][x * columns / wide].add(block);
            }
        }
        out
    }

    /// Sums up `values`, rank by rank, `features` each.
    fn of(values: impl Fn(usize) -> f32, (ranks, features): (usize, usize)) -> Self {
        let (rows, columns) = (ranks.min(MOST.0), features.min(MOST.1));
        let mut grid = vec![vec![Block::default(); columns]; rows];
        let (mut low, mut high) = (f32::MAX, 0.0f32);
        for rank in 0..ranks {
            for feature in 0..features {
                let value = values(rank * features + feature).abs();
                let block = &mut grid[rank * rows / ranks][feature * columns / features];
                block.entries += 1;
                if value == 0.0 {
                    block.zeros += 1;
                } else {
                    block.sum += f64::from(value);
                    (low, high) = (low.min(value), high.max(value));
                }
            }
        }
        let mut histogram = Histogram::default();
        if high > 0.0 {
            histogram = Histogram { range: (low, high), bars: vec![0; BARS] };
            let (from, span) = (low.ln(), (high.ln() - low.ln()).max(f32::MIN_POSITIVE));
            for value in (0..ranks * features).map(&values).filter(|v| *v != 0.0) {
                let bar = ((value.abs().ln() - from) / span * BARS as f32) as usize;
                histogram.bars[bar.min(BARS - 1)] += 1;
            }
        }
        Self { shape: (ranks, features), grid, histogram, ..Self::default() }
    }
}

/// The matrix in the newest checkpoint of `run` that has it. Only its own bytes are read.
///
/// # Errors
/// When no checkpoint has it, with what to do; when one is damaged.
pub fn read(run: &RunDir, wanted: &Wanted) -> Result<Blocks> {
    let name = format!("now.{}.{}", wanted.module, wanted.factor);
    for folder in checkpoint::list(&run.checkpoints()) {
        let file = match WeightFile::open(&folder.join("state.safetensors")) {
            Ok(file) => file,
            // The worker may remove an old one meanwhile.
            Err(_) if !folder.exists() => continue,
            Err(e) => return Err(e),
        };
        let entries = header::read(&file)?;
        let Some(entry) = entries.get(&name) else { continue };
        let (&[ranks, features], Stored::F32) = (&entry.shape[..], entry.stored) else {
            return Err(Error::user(format!("{name} is no matrix of f32")).at(header::place(file.path())));
        };
        let Some(rows) = rows(wanted, ranks) else { continue };
        let start = entry.bytes.start;
        let mine = file.read(start + rows.start * features * 4..start + rows.end * features * 4)?;
        let (values, _) = mine.as_chunks::<4>();
        let value = |i: usize| values.get(i).map_or(0.0, |b| f32::from_le_bytes(*b));
        let position = checkpoint::position(&folder)?;
        let blocks = Blocks::of(value, (rows.len(), features));
        return Ok(Blocks { stage: position.stage, step: position.step, ..blocks });
    }
    Err(Error::user("no checkpoint has this matrix yet: `c` writes one while the run trains"))
}

/// The rows of the wanted adapter in a matrix of so many.
fn rows(wanted: &Wanted, all: usize) -> Option<Range<usize>> {
    let rank = *wanted.ranks.get(wanted.at)?;
    let start: usize = wanted.ranks[..wanted.at].iter().sum();
    if wanted.ranks.iter().sum::<usize>() == all {
        return Some(start..start + rank);
    }
    (wanted.alone && rank == all).then_some(0..rank)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_counted_where_they_are() {
        // Two ranks of four features; zeros in one corner.
        let values = [0.0, 0.0, 1.0, -2.0, 4.0, 8.0, 16.0, -32.0];
        let blocks = Blocks::of(|i| values[i], (2, 4));
        assert_eq!(blocks.grid.len(), 2);
        assert_eq!(blocks.grid[0][3], Block { entries: 1, zeros: 0, sum: 2.0 });
        let all = blocks.all();
        assert_eq!((all.entries, all.zeros, all.sum), (8, 2, 63.0));
        assert!((all.sparsity() - 0.25).abs() < 1e-6);
        let two = blocks.within(1, 2);
        assert_eq!(two, [[Block { entries: 4, zeros: 2, sum: 12.0 }, Block { entries: 4, zeros: 0, sum: 51.0 }]]);
        assert_eq!(blocks.within(9, 9), blocks.grid);
        assert_eq!(blocks.histogram.range, (1.0, 32.0));
        assert_eq!(blocks.histogram.bars.iter().sum::<u64>(), 6);
        assert!(blocks.histogram.bars[0] == 1 && blocks.histogram.bars[BARS - 1] == 1);
        // One value, and none.
        assert_eq!(Blocks::of(|_| 3.0, (1, 2)).histogram.bars[0], 2);
        assert_eq!(Blocks::of(|_| 0.0, (1, 2)).histogram, Histogram::default());
    }

    #[test]
    fn a_large_matrix_keeps_every_entry_in_few_blocks() {
        let blocks = Blocks::of(|i| (i % 3) as f32, (100, 1000));
        assert_eq!((blocks.grid.len(), blocks.grid[0].len()), MOST);
        assert_eq!(blocks.all().entries, 100_000);
        assert!(blocks.grid.iter().flatten().all(|block| block.entries > 0));
        let few = blocks.within(7, 30);
        assert_eq!(few.iter().flatten().map(|b| b.entries).sum::<u64>(), 100_000);
    }

    #[test]
    fn an_adapter_has_its_rows_and_the_target_alone_has_all() {
        let wanted = |at, alone| Wanted {
            module: ModuleId { layer: 0, projection: crate::module::Projection::ALL[0] },
            factor: Factor::A,
            ranks: vec![8, 4, 16],
            at,
            alone,
        };
        assert_eq!(rows(&wanted(1, false), 28), Some(8..12));
        assert_eq!(rows(&wanted(2, true), 16), Some(0..16));
        assert_eq!(rows(&wanted(2, false), 16), None);
        assert_eq!(rows(&wanted(3, false), 28), None);
    }
}
