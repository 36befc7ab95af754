//! Which entries go: exactly round(ratio · n) with the lowest importance, ties by lowest flat index.

use super::Key;
use super::select::{self, Threshold};
use crate::model::kernels::vectorised;
use crate::module::Factor;

/// One scored matrix. Rows are ranks: an entry's position is rank · width + column.
#[derive(Debug)]
pub struct Part<'a> {
    /// Which matrix (B lies transposed).
    pub key: Key,
    /// r.
    pub rank: usize,
    /// `d_in` for A, `d_out` for B.
    pub width: usize,
    /// Share to prune, 0 to 1.
    pub ratio: f64,
    /// The same at the schedule's end.
    pub full: f64,
    /// Nothing is pruned: there is nothing to rank yet.
    pub idle: bool,
    /// Entries that stay pruned (1), for `hold`.
    pub held: Option<&'a [u8]>,
    /// Entries that are pruned now (1) and go before all others: the same ratio then gives the same mask.
    pub pruned: Option<&'a [u8]>,
    /// Importance of every entry, finite and not negative.
    pub scores: Vec<f32>,
    /// The entries themselves.
    pub weights: &'a [f32],
}

impl Part<'_> {
    /// The rank among entries of one matrix in PEFT's layout (A: r × `d_in`, B: `d_out` × r), row by row.
    fn flat(&self, position: usize) -> usize {
        match self.key.2 {
            Factor::A => position,
            Factor::B => (position % self.width) * self.rank + position / self.width,
        }
    }

    /// Orders entries: held ones first, then those pruned now, then by importance. Non-negative floats compare as
    /// their bits do.
    fn sort_key(&self, position: usize) -> u32 {
        if self.is_held(position) {
            return 0;
        }
        let kept = self.pruned.is_some_and(|pruned| pruned[position] == 0);
        (self.scores[position] + 0.0).to_bits() + 1 + if kept { 1 << 31 } else { 0 }
    }

    fn is_held(&self, position: usize) -> bool {
        self.held.is_some_and(|held| held[position] == 1)
    }

    fn held_among(&self, positions: impl Iterator<Item = usize>) -> usize {
        self.held.map_or(0, |held| positions.map(|p| usize::from(held[p])).sum())
    }
}

impl Part<'_> {
    /// The [`sort_key`](Self::sort_key)s of all entries, as signed numbers in the same order.
    fn keys(&self) -> Vec<i32> {
        let mut keys = vec![0; self.scores.len()];
        let (scores, pruned, held) = (&self.scores[..], self.pruned, self.held);
        vectorised!({
            for (key, score) in keys.iter_mut().zip(scores) {
                *key = ((*score + 0.0).to_bits() + 1) as i32;
            }
            for (key, pruned) in keys.iter_mut().zip(pruned.unwrap_or_default()) {
                *key ^= i32::from(*pruned == 1) << 31;
            }
            for (key, held) in keys.iter_mut().zip(held.unwrap_or_default()) {
                *key = if *held == 1 { i32::MIN } else { *key };
            }
        });
        keys
    }
}

/// 1 where a key is below `end`.
fn marked(keys: &[i32], end: i32) -> Vec<u8> {
    let mut mask = vec![0; keys.len()];
    vectorised!({
        for (place, key) in mask.iter_mut().zip(keys) {
            *place = u8::from(*key < end);
        }
    });
    mask
}

/// round(ratio · n), halves away from zero.
pub fn count(ratio: f64, n: usize) -> usize {
    ((ratio * n as f64).round() as usize).min(n)
}

/// Calls `mark` for the `k` entries with the lowest key, ties by lowest `order`.
fn mark_lowest<E: Copy, O: Ord>(
    entries: impl Iterator<Item = E> + Clone,
    k: usize,
    key: impl Fn(E) -> u32,
    order: impl Fn(E) -> O,
    mut mark: impl FnMut(E),
) {
    if k == 0 {
        return;
    }
    let mut keys: Vec<u32> = entries.clone().map(&key).collect();
    if k >= keys.len() {
        return entries.for_each(mark);
    }
    let (below, &mut threshold, _) = keys.select_nth_unstable(k - 1);
    let room = k - below.iter().filter(|&&key| key < threshold).count();
    drop(keys);
    let mut ties = Vec::new();
    for entry in entries {
        match key(entry).cmp(&threshold) {
            std::cmp::Ordering::Less => mark(entry),
            std::cmp::Ordering::Equal => ties.push(entry),
            std::cmp::Ordering::Greater => {}
        }
    }
    if ties.len() > room {
        ties.select_nth_unstable_by_key(room - 1, |&entry| order(entry));
    }
    ties.into_iter().take(room).for_each(mark);
}

/// All entries of the matrix compete.
pub fn by_matrix(part: &Part<'_>) -> Vec<u8> {
    let n = part.scores.len();
    let k = if part.idle { 0 } else { count(part.ratio, n).max(part.held_among(0..n)) };
    if k == 0 || k == n {
        return vec![u8::from(k > 0); n];
    }
    let keys = part.keys();
    let Threshold { key: threshold, below, ties } = select::lowest(&keys, k);
    if below + ties == k
        && let Some(end) = threshold.checked_add(1)
    {
        return marked(&keys, end);
    }
    let mut mask = marked(&keys, threshold);
    let mut equal: Vec<usize> = (0..n).filter(|p| keys[*p] == threshold).collect();
    equal.select_nth_unstable_by_key(k - below - 1, |p| part.flat(*p));
    equal.into_iter().take(k - below).for_each(|p| mask[p] = 1);
    mask
}

/// The entries of one output row compete (Wanda's grouping): a row of A is a rank, a row of B an output.
pub fn by_row(part: &Part<'_>) -> Vec<u8> {
    let mut mask = vec![0; part.scores.len()];
    if part.idle {
        return mask;
    }
    // Positions of row i: from start(i), every stride-th.
    let (rows, length, stride) = match part.key.2 {
        Factor::A => (part.rank, part.width, 1),
        Factor::B => (part.width, part.rank, part.width),
    };
    for row in 0..rows {
        let start = if part.key.2 == Factor::A { row * part.width } else { row };
        let positions = (0..length).map(|i| start + i * stride);
        let k = count(part.ratio, length).max(part.held_among(positions.clone()));
        mark_lowest(positions, k, |p| part.sort_key(p), |p| p, |p| mask[p] = 1);
    }
    mask
}

/// A and B of all adapters of the module compete; the ratio is the mean of theirs by size. Ties go by
/// matrix, then by flat index.
pub fn by_module(parts: &[Part<'_>]) -> Vec<Vec<u8>> {
    let mut masks: Vec<Vec<u8>> = parts.iter().map(|p| vec![0; p.scores.len()]).collect();
    let ranked = parts.iter().enumerate().filter(|(_, p)| !p.idle);
    let wanted: f64 = ranked.clone().map(|(_, p)| p.ratio * p.scores.len() as f64).sum();
    let held: usize = ranked.clone().map(|(_, p)| p.held_among(0..p.scores.len())).sum();
    let entries = ranked.flat_map(|(i, p)| (0..p.scores.len()).map(move |position| (i, position)));
    mark_lowest(
        entries,
        (wanted.round() as usize).max(held),
        |(i, position)| parts[i].sort_key(position),
        |(i, position)| (i, parts[i].flat(position)),
        |(i, position)| masks[i][position] = 1,
    );
    masks
}
