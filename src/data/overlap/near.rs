//! Near-duplicates: the exact set-similarity join with prefix filter and length filter (Bayardo, Ma and Srikant,
//! "Scaling up all pairs similarity search", WWW 2007).

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

/// One set of the right side that is near one of the left side.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Near {
    /// Index on the right side.
    pub right: usize,
    /// Index on the left side.
    pub left: usize,
    /// |both| / |either|.
    pub similarity: f64,
}

/// Hashes of all runs of `n` words of a text whose words are separated by spaces, sorted, each once; of a shorter text
/// the one of all its words.
pub fn shingles(words: &str, n: usize) -> Vec<u64> {
    let words: Vec<&str> = words.split(' ').filter(|w| !w.is_empty()).collect();
    let hash = |run: &[&str]| {
        // The standard hasher starts from fixed keys: the same text has the same hash in every run.
        let mut hasher = DefaultHasher::new();
        run.hash(&mut hasher);
        hasher.finish()
    };
    if words.is_empty() {
        return Vec::new();
    }
    let mut all: Vec<u64> = words.windows(n.clamp(1, words.len())).map(hash).collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// For every set of `right` the first of `left` that it has at least `least` (above 0) in common with, by Jaccard
/// similarity. Sets are sorted without repetition; empty ones are near nothing.
pub fn join(right: &[&[u64]], left: &[&[u64]], least: f64) -> Vec<Near> {
    within(right, left, least, |_| left.len())
}

/// As [`join`], of each set with those before it.
pub fn join_before(sets: &[&[u64]], least: f64) -> Vec<Near> {
    within(sets, sets, least, |right| right)
}

/// As [`join`], where a set of the right side is compared with the first `of` ones of the left side.
fn within(right: &[&[u64]], left: &[&[u64]], least: f64, of: impl Fn(usize) -> usize) -> Vec<Near> {
    let mut counts: HashMap<u64, u32> = HashMap::new();
    right.iter().chain(left).copied().flatten().for_each(|s| *counts.entry(*s).or_default() += 1);
    // Two sets that are near enough share one of their rarest members, so that boilerplate costs nothing.
    let prefix = |set: &[u64]| -> Vec<u64> {
        let mut rare: Vec<(u32, u64)> = set.iter().map(|s| (counts.get(s).copied().unwrap_or(0), *s)).collect();
        rare.sort_unstable();
        let needed = (least * set.len() as f64 - 1e-9).ceil() as usize;
        rare.truncate((set.len() + 1).saturating_sub(needed.max(1)));
        rare.into_iter().map(|(_, s)| s).collect()
    };
    let mut index: HashMap<u64, Vec<usize>> = HashMap::new();
    for (i, set) in left.iter().enumerate() {
        for member in prefix(set) {
            index.entry(member).or_default().push(i);
        }
    }
    let mut found = Vec::new();
    // The last set of the right side that a set of the left side was compared with.
    let mut seen = vec![usize::MAX; left.len()];
    for (r, set) in right.iter().enumerate() {
        let mut best: Option<Near> = None;
        for member in prefix(set) {
            for &l in index.get(&member).map_or(&[][..], Vec::as_slice) {
                // The lists ascend: what follows comes after the best.
                if l >= of(r) || best.is_some_and(|b| b.left < l) {
                    break;
                }
                let (a, b) = (set.len() as f64, left[l].len() as f64);
                if std::mem::replace(&mut seen[l], r) == r || a.min(b) < least * a.max(b) {
                    continue;
                }
                let similarity = jaccard(set, left[l]);
                if similarity >= least {
                    best = Some(Near { right: r, left: l, similarity });
                }
            }
        }
        found.extend(best);
    }
    found
}

/// Of sorted sets without repetition; 0 where both are empty.
fn jaccard(a: &[u64], b: &[u64]) -> f64 {
    let (mut i, mut j, mut both) = (0, 0, 0usize);
    while i < a.len() && j < b.len() {
        match a[i].cmp(&b[j]) {
            std::cmp::Ordering::Less => i += 1,
            std::cmp::Ordering::Greater => j += 1,
            std::cmp::Ordering::Equal => (i, j, both) = (i + 1, j + 1, both + 1),
        }
    }
    let either = a.len() + b.len() - both;
    if either == 0 { 0.0 } else { both as f64 / either as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn shingles_are_runs_of_words_and_short_texts_have_one() {
        assert_eq!(shingles(" a b c d e f ", 5).len(), 2);
        assert_eq!(shingles(" a a a a a a a ", 5).len(), 1);
        assert_eq!(shingles(" a b ", 5).len(), 1);
        assert_ne!(shingles(" a b ", 5), shingles(" b a ", 5));
        assert_ne!(shingles(" ab c ", 5), shingles(" a bc ", 5));
        assert!(shingles("", 5).is_empty());
    }

    #[test]
    fn the_join_finds_what_comparing_all_with_all_finds() {
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        let mut set = |like: Option<&Vec<u64>>| -> Vec<u64> {
            let mut members: Vec<u64> = match like {
                Some(other) => other.iter().copied().filter(|_| rng.random_range(0..10) > 0).collect(),
                None => (0..rng.random_range(0..40)).map(|_| rng.random_range(0..90)).collect(),
            };
            (0..rng.random_range(0..3)).for_each(|_| members.push(rng.random_range(0..90)));
            members.sort_unstable();
            members.dedup();
            members
        };
        let left: Vec<Vec<u64>> = (0..200).map(|_| set(None)).collect();
        let right: Vec<Vec<u64>> = (0..200).map(|i| set((i % 2 == 0).then(|| &left[i * 7 % 200]))).collect();
        let (right, left): (Vec<&[u64]>, Vec<&[u64]>) =
            (right.iter().map(Vec::as_slice).collect(), left.iter().map(Vec::as_slice).collect());
        for least in [0.5, 0.8, 1.0] {
            let want: Vec<(usize, usize)> = (0..200)
                .filter_map(|r| (0..200).find(|l| jaccard(right[r], left[*l]) >= least).map(|l| (r, l)))
                .collect();
            let got: Vec<(usize, usize)> = join(&right, &left, least).iter().map(|n| (n.right, n.left)).collect();
            assert_eq!(got, want);
            assert!(least == 1.0 || got.len() > 20, "{}", got.len());
            // Every set stands there with one near it, before or behind.
            let all: Vec<&[u64]> = right.iter().zip(&left).flat_map(|(a, b)| [*a, *b]).collect();
            let want: Vec<(usize, usize)> = (0..all.len())
                .filter_map(|r| (0..r).find(|l| jaccard(all[r], all[*l]) >= least).map(|l| (r, l)))
                .collect();
            let got: Vec<(usize, usize)> = join_before(&all, least).iter().map(|n| (n.right, n.left)).collect();
            assert_eq!(got, want);
        }
    }
}
