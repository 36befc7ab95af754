//! The k lowest of many keys, in about two readings of them: a sample tells between which two keys the k-th lies, one
//! pass counts what is below and gathers what is between (Floyd and Rivest 1975, with one level).

use crate::model::kernels::vectorised;

/// Keys from here on are sampled; fewer are selected among as they are.
const MANY: usize = 8192;
/// Keys in the sample.
const SAMPLE: usize = 1024;
/// Keys that are looked at together: a bit each.
const CHUNK: usize = 64;

/// Where the k lowest keys end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Threshold {
    /// The k-th lowest key.
    pub key: i32,
    /// Keys below it.
    pub below: usize,
    /// Keys equal to it.
    pub ties: usize,
}

/// The threshold of the `k` lowest of `keys`, 1 ≤ k ≤ their number.
pub fn lowest(keys: &[i32], k: usize) -> Threshold {
    if keys.len() >= MANY
        && let Some(found) = sampled(keys, k)
    {
        return found;
    }
    among(keys.to_vec(), 0, k)
}

/// The threshold among `keys`, with `less` others below all of them.
fn among(mut keys: Vec<i32>, less: usize, k: usize) -> Threshold {
    let (_, &mut key, _) = keys.select_nth_unstable(k - 1 - less);
    let below = less + keys.iter().filter(|&&other| other < key).count();
    Threshold { key, below, ties: keys.iter().filter(|&&other| other == key).count() }
}

/// By a sample; `None` where it was not like the whole.
fn sampled(keys: &[i32], k: usize) -> Option<Threshold> {
    let stride = keys.len() / SAMPLE;
    // No column of a matrix is sampled alone.
    let mut sample: Vec<i32> = keys.iter().step_by(stride - usize::from(stride.is_multiple_of(2))).copied().collect();
    sample.sort_unstable();
    let n = sample.len() as f64;
    let share = k as f64 / keys.len() as f64;
    // Three standard deviations of the rank in the sample.
    let margin = 3.0 * (n * share * (1.0 - share)).sqrt() + 2.0;
    let at = |rank: f64| sample.get(rank as usize).copied();
    let low = if share * n > margin { at(share * n - margin)? } else { i32::MIN };
    let high = at(share * n + margin).unwrap_or(i32::MAX);
    let (mut below, mut between) = (0, Vec::with_capacity(keys.len() / 8));
    let wide = high.wrapping_sub(low).cast_unsigned();
    let (chunks, rest) = keys.as_chunks::<CHUNK>();
    vectorised!({
        for chunk in chunks {
            let (mut lower, mut inside) = (0u32, 0u64);
            for (i, &key) in chunk.iter().enumerate() {
                lower += u32::from(key < low);
                inside |= u64::from(key.wrapping_sub(low).cast_unsigned() <= wide) << i;
            }
            below += lower as usize;
            // Few are: a look at each of them costs less than one at each key.
            while inside != 0 {
                between.push(chunk[inside.trailing_zeros() as usize % CHUNK]);
                inside &= inside - 1;
            }
        }
    });
    below += rest.iter().filter(|&&key| key < low).count();
    between.extend(rest.iter().filter(|&&key| key >= low && key <= high));
    (below < k && k <= below + between.len()).then(|| among(between, below, k))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng};

    fn plainly(keys: &[i32], k: usize) -> Threshold {
        let mut sorted = keys.to_vec();
        sorted.sort_unstable();
        let key = sorted[k - 1];
        let below = sorted.iter().filter(|&&other| other < key).count();
        Threshold { key, below, ties: sorted.iter().filter(|&&other| other == key).count() }
    }

    #[test]
    fn it_is_what_sorting_gives() {
        let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(5);
        for n in [1, 2, 100, MANY - 1, MANY, MANY + 1, 20_011, 65_536] {
            let noise: Vec<i32> = (0..n).map(|_| random.random()).collect();
            let few: Vec<i32> = noise.iter().map(|key| key % 3).collect();
            let equal = vec![7; n];
            let rising: Vec<i32> = (0..n as i32).collect();
            // What a sample with a stride sees nothing of.
            let mut rows: Vec<i32> = (0..n).map(|i| if i % 8 == 0 { 0 } else { noise[i] }).collect();
            rows[0] = i32::MIN;
            let ends: Vec<i32> = noise.iter().map(|key| if *key > 0 { i32::MAX } else { i32::MIN }).collect();
            for keys in [&noise, &few, &equal, &rising, &rows, &ends] {
                for share in [0.0, 0.01, 0.1, 0.5, 0.7, 0.999, 1.0] {
                    let k = ((n as f64 * share) as usize).clamp(1, n);
                    assert_eq!(lowest(keys, k), plainly(keys, k), "{n} keys, the {k} lowest");
                }
            }
        }
    }
}
