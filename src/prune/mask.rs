//! Which entries go: exactly round(ratio · n) with the lowest importance, ties by lowest flat index.

use super::Key;
use crate::module::Factor;

/// One scored matrix. Rows are ranks: an entry's position is rank · width + column.
#[derive(Debug)]
pub struct Part<'a> {
    /// Which matrix.
    pub key: Key,
    /// r.
    pub rank: usize,
    /// d_in for A, d_out for B.
    pub width: usize,
    /// A or B (B lies transposed).
    pub factor: Factor,
    /// Share to prune, 0 to 1.
    pub ratio: f64,
    /// Nothing is pruned: the matrix is entirely zero.
    pub idle: bool,
    /// Entries that stay pruned (1), for `hold`.
    pub held: Option<&'a [u8]>,
    /// Importance of every entry, finite and not negative.
    pub scores: Vec<f32>,
    /// Smoothed sensitivity to keep.
    pub sensitivity: Option<Vec<f32>>,
    /// The entries themselves.
    pub weights: &'a [f32],
}

impl Part<'_> {
    /// The rank among entries of one matrix in PEFT's layout (A: r × d_in, B: d_out × r), row by row.
    fn flat(&self, position: usize) -> usize {
        match self.factor {
            Factor::A => position,
            Factor::B => (position % self.width) * self.rank + position / self.width,
        }
    }

    /// Orders entries: held ones first, then by importance. Non-negative floats compare as their bits do.
    fn sort_key(&self, position: usize) -> u32 {
        if self.held.is_some_and(|held| held[position] == 1) { 0 } else { (self.scores[position] + 0.0).to_bits() + 1 }
    }

    fn held_among(&self, positions: impl Iterator<Item = usize>) -> usize {
        self.held.map_or(0, |held| positions.map(|p| held[p] as usize).sum())
    }
}

/// round(ratio · n), halves away from zero.
pub fn count(ratio: f64, n: usize) -> usize {
    ((ratio * n as f64).round() as usize).min(n)
}

/// Positions (into `keys`) of the `k` lowest keys, ties by lowest `order`.
fn lowest(keys: &[u32], k: usize, order: impl Fn(usize) -> usize) -> Vec<usize> {
    if k == 0 {
        return Vec::new();
    }
    if k >= keys.len() {
        return (0..keys.len()).collect();
    }
    let mut sorted = keys.to_vec();
    let (_, &mut threshold, _) = sorted.select_nth_unstable(k - 1);
    let mut chosen: Vec<usize> = (0..keys.len()).filter(|&i| keys[i] < threshold).collect();
    let mut ties: Vec<usize> = (0..keys.len()).filter(|&i| keys[i] == threshold).collect();
    let room = k - chosen.len();
    if ties.len() > room && room > 0 {
        ties.select_nth_unstable_by_key(room - 1, |&i| order(i));
    }
    chosen.extend_from_slice(&ties[..room]);
    chosen
}

/// All entries of the matrix compete.
pub fn by_matrix(part: &Part<'_>) -> Vec<u8> {
    let n = part.scores.len();
    let mut mask = vec![0; n];
    if part.idle {
        return mask;
    }
    let k = count(part.ratio, n).max(part.held_among(0..n));
    let keys: Vec<u32> = (0..n).map(|p| part.sort_key(p)).collect();
    for position in lowest(&keys, k, |p| part.flat(p)) {
        mask[position] = 1;
    }
    mask
}

/// The entries of one output row compete (Wanda's grouping): a row of A is a rank, a row of B an output.
pub fn by_row(part: &Part<'_>) -> Vec<u8> {
    let mut mask = vec![0; part.scores.len()];
    if part.idle {
        return mask;
    }
    let (rows, length) = match part.factor {
        Factor::A => (part.rank, part.width),
        Factor::B => (part.width, part.rank),
    };
    for row in 0..rows {
        let position = |i: usize| match part.factor {
            Factor::A => row * part.width + i,
            Factor::B => i * part.width + row,
        };
        let keys: Vec<u32> = (0..length).map(|i| part.sort_key(position(i))).collect();
        let k = count(part.ratio, length).max(part.held_among((0..length).map(position)));
        for i in lowest(&keys, k, |i| i) {
            mask[position(i)] = 1;
        }
    }
    mask
}

/// A and B of all adapters of the module compete; the ratio is the mean of theirs by size. Ties go by
/// matrix, then by flat index.
pub fn by_module(parts: &[Part<'_>]) -> Vec<Vec<u8>> {
    let mut masks: Vec<Vec<u8>> = parts.iter().map(|p| vec![0; p.scores.len()]).collect();
    let entries: Vec<(usize, usize)> = parts
        .iter()
        .enumerate()
        .filter(|(_, p)| !p.idle)
        .flat_map(|(i, p)| (0..p.scores.len()).map(move |position| (i, position)))
        .collect();
    let wanted: f64 = parts.iter().filter(|p| !p.idle).map(|p| p.ratio * p.scores.len() as f64).sum();
    let held: usize = parts.iter().filter(|p| !p.idle).map(|p| p.held_among(0..p.scores.len())).sum();
    let keys: Vec<u32> = entries.iter().map(|&(i, p)| parts[i].sort_key(p)).collect();
    let k = (wanted.round() as usize).min(keys.len()).max(held);
    let order = |e: usize| (entries[e].0 << 40) + parts[entries[e].0].flat(entries[e].1);
    for e in lowest(&keys, k, order) {
        masks[entries[e].0][entries[e].1] = 1;
    }
    masks
}
