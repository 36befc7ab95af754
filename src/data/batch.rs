//! Packed batches without padding, and the order of the examples.

use super::template::Sequence;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// Sequences one after another, for one pass through the model.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Batch {
    /// The tokens of all sequences, without padding.
    pub tokens: Vec<u32>,
    /// Length of each sequence; they add up to the tokens.
    pub lengths: Vec<usize>,
    /// Where there is a loss: row i of the batch has to predict the token. The rows of a sequence
    /// are those from its prompt's last token to its last but one.
    pub targets: Vec<(u32, u32)>,
}

impl Batch {
    /// Packs `sequences` in their order.
    pub fn pack<'a>(sequences: impl IntoIterator<Item = &'a Sequence>) -> Self {
        let mut batch = Self::default();
        for sequence in sequences {
            let start = batch.tokens.len();
            batch.targets.extend(
                (sequence.prompt.max(1)..sequence.tokens.len()).map(|i| ((start + i - 1) as u32, sequence.tokens[i])),
            );
            batch.tokens.extend_from_slice(&sequence.tokens);
            batch.lengths.push(sequence.tokens.len());
        }
        batch
    }
}

/// Cuts the examples of one optimiser step into batches of at most `micro_tokens` tokens (a longer
/// sequence is a batch of its own), sequences of similar length together. `chosen` are indices into
/// `sequences`; every one of them is in exactly one batch. The same input gives the same batches.
pub fn micro_batches(sequences: &[Sequence], chosen: &[usize], micro_tokens: usize) -> Vec<Batch> {
    let pack = |group: Vec<usize>| Batch::pack(group.into_iter().map(|i| &sequences[i]));
    micro_groups(sequences, chosen, micro_tokens).into_iter().map(pack).collect()
}

/// The indices of the sequences in each batch of [`micro_batches`].
pub fn micro_groups(sequences: &[Sequence], chosen: &[usize], micro_tokens: usize) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = chosen.iter().copied().filter(|&i| i < sequences.len()).collect();
    order.sort_by_key(|&i| std::cmp::Reverse(sequences[i].tokens.len()));
    let mut groups = Vec::new();
    let mut first = 0;
    let mut tokens = 0;
    for (at, &i) in order.iter().enumerate() {
        let length = sequences[i].tokens.len();
        if at > first && tokens + length > micro_tokens {
            groups.push(order[first..at].to_vec());
            first = at;
            tokens = 0;
        }
        tokens += length;
    }
    if first < order.len() {
        groups.push(order[first..].to_vec());
    }
    groups
}

/// Which examples each optimiser step takes: every epoch in a new order that depends on the seed and
/// the epoch's number alone, so that a run can go on at any step.
#[derive(Debug, Clone)]
pub struct Epochs {
    examples: usize,
    batch: usize,
    seed: u64,
    next: usize,
    /// The epoch that `order` belongs to.
    epoch: Option<usize>,
    order: Vec<usize>,
}

impl Epochs {
    /// Steps of `batch` out of `examples` examples (an epoch's last step takes what is left), from
    /// the first step. An empty set has no steps.
    pub fn new(examples: usize, batch: usize, seed: u64) -> Self {
        Self { examples, batch: batch.max(1), seed, next: 0, epoch: None, order: Vec::new() }
    }

    /// Continues after `done` steps.
    #[must_use]
    pub fn after(mut self, done: usize) -> Self {
        self.next = done;
        self
    }

    /// Steps of one epoch.
    pub fn steps_per_epoch(&self) -> usize {
        self.examples.div_ceil(self.batch)
    }

    /// Steps taken so far.
    pub fn done(&self) -> usize {
        self.next
    }
}

impl Iterator for Epochs {
    /// Indices of the examples of one step.
    type Item = Vec<usize>;

    /// Never ends, except for an empty set.
    fn next(&mut self) -> Option<Vec<usize>> {
        let per_epoch = self.steps_per_epoch();
        if per_epoch == 0 {
            return None;
        }
        let (epoch, step) = (self.next / per_epoch, self.next % per_epoch);
        if self.epoch != Some(epoch) {
            self.order = shuffled(self.examples, self.seed, epoch as u64);
            self.epoch = Some(epoch);
        }
        self.next += 1;
        let from = step * self.batch;
        Some(self.order[from..self.examples.min(from + self.batch)].to_vec())
    }
}

/// Fisher-Yates over `ChaCha8` with the seed as key and the epoch as stream; written out, so that the
/// order doesn't change with a version of `rand`.
fn shuffled(n: usize, seed: u64, epoch: u64) -> Vec<usize> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(epoch);
    let mut order: Vec<usize> = (0..n).collect();
    for i in (1..n).rev() {
        let j = (u128::from(rng.next_u64()) * (i as u128 + 1)) >> 64;
        order.swap(i, j as usize);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sequence(first: u32, prompt: usize, length: usize) -> Sequence {
        Sequence { tokens: (first..first + length as u32).collect(), prompt }
    }

    #[test]
    fn rows_predict_the_summary_and_only_it() {
        let batch = Batch::pack(&[sequence(10, 2, 5), sequence(20, 3, 4)]);
        assert_eq!(batch.tokens, [10, 11, 12, 13, 14, 20, 21, 22, 23]);
        assert_eq!(batch.lengths, [5, 4]);
        assert_eq!(batch.targets, [(1, 12), (2, 13), (3, 14), (7, 23)]);
    }

    #[test]
    fn micro_batches_keep_every_example_and_the_limit() {
        let sequences: Vec<Sequence> = [9, 3, 30, 4, 8, 2].iter().map(|&n| sequence(n as u32 * 100, 1, n)).collect();
        let batches = micro_batches(&sequences, &[5, 4, 3, 2, 1, 0], 12);
        let lengths: Vec<&[usize]> = batches.iter().map(|b| &b.lengths[..]).collect();
        assert_eq!(lengths, [&[30][..], &[9], &[8, 4], &[3, 2]]);
        let targets: usize = batches.iter().map(|b| b.targets.len()).sum();
        assert_eq!(targets, sequences.iter().map(|s| s.tokens.len() - 1).sum::<usize>());
        assert!(micro_batches(&sequences, &[], 12).is_empty());
        assert_eq!(micro_batches(&sequences, &[1, 3], 1).len(), 2);
    }

    #[test]
    fn every_epoch_takes_every_example_once_in_its_own_order() {
        let steps: Vec<Vec<usize>> = Epochs::new(10, 4, 3).take(6).collect();
        assert_eq!(steps.iter().map(Vec::len).collect::<Vec<_>>(), [4, 4, 2, 4, 4, 2]);
        let epoch = |k: usize| steps[3 * k..3 * k + 3].concat();
        assert_ne!(epoch(0), epoch(1));
        for k in 0..2 {
            let mut all = epoch(k);
            all.sort_unstable();
            assert_eq!(all, (0..10).collect::<Vec<_>>());
        }
    }

    #[test]
    fn the_order_goes_on_where_it_stopped_and_depends_on_the_seed() {
        let whole: Vec<_> = Epochs::new(11, 3, 5).take(20).collect();
        for done in [0, 1, 4, 7] {
            assert_eq!(Epochs::new(11, 3, 5).after(done).take(20 - done).collect::<Vec<_>>(), whole[done..]);
        }
        assert_ne!(Epochs::new(11, 3, 6).take(4).collect::<Vec<_>>(), whole[..4]);
        // Pins the stream: a change here would change every run that is resumed or repeated.
        assert_eq!(shuffled(6, 1, 0), PINNED);
        assert_eq!(Epochs::new(0, 3, 5).next(), None);
    }

    const PINNED: [usize; 6] = [1, 3, 4, 5, 0, 2];
}
