//! The rules on matrices of one size, entry by entry, in f32 as PEFT computes them.

use super::method::{Rule, Sign};
use crate::{Error, Result};

/// Asks for the mask of the matrix at an index: its entries, the chance to be kept.
pub(super) type Draw<'a> = dyn FnMut(usize, usize, f64) -> Result<Vec<bool>> + 'a;

impl Rule {
    /// One matrix from several, each with its weight.
    pub(super) fn merge(self, mut tensors: Vec<Vec<f32>>, weights: &[f32], draw: &mut Draw<'_>) -> Result<Vec<f32>> {
        let count = tensors.first().map_or(0, Vec::len);
        if let Some(density) = self.density().filter(|d| *d < 1.0) {
            for (i, tensor) in tensors.iter_mut().enumerate() {
                if self.draws() {
                    drop_by_chance(tensor, &draw(i, count, density)?, density)?;
                } else {
                    keep_largest(tensor, density);
                }
            }
        }
        let entries = |at: usize| tensors.iter().zip(weights).map(move |(tensor, weight)| (tensor[at], *weight));
        Ok((0..count)
            .map(|at| match self.sign() {
                None => entries(at).map(|(x, weight)| x * weight).sum(),
                Some(sign) => elected(entries(at), sign),
            })
            .collect())
    }
}

/// Zeroes all but the ⌊density · n⌋ entries of the largest size; among equal ones the first stay.
fn keep_largest(tensor: &mut [f32], density: f64) {
    let kept = (density * tensor.len() as f64) as usize;
    if kept == 0 {
        tensor.fill(0.0);
        return;
    }
    let mut sizes: Vec<f32> = tensor.iter().map(|x| x.abs()).collect();
    let (_, least, _) = sizes.select_nth_unstable_by(kept - 1, |a, b| b.total_cmp(a));
    let least = *least;
    let mut equal = kept - tensor.iter().filter(|x| x.abs() > least).count();
    for x in tensor.iter_mut() {
        if x.abs() == least && equal > 0 {
            equal -= 1;
        } else if x.abs() <= least {
            *x = 0.0;
        }
    }
}

fn drop_by_chance(tensor: &mut [f32], mask: &[bool], density: f64) -> Result<()> {
    if mask.len() != tensor.len() {
        return Err(Error::fault(format!("a mask of {} entries is for a matrix of {}", mask.len(), tensor.len())));
    }
    for (x, kept) in tensor.iter_mut().zip(mask) {
        *x = if *kept { *x / density as f32 } else { 0.0 };
    }
    Ok(())
}

/// The weighted sum of what has the majority's sign, divided by how many do. A zero has no sign; a tie is positive.
fn elected(entries: impl Iterator<Item = (f32, f32)> + Clone, sign: Sign) -> f32 {
    let sum: f32 = match sign {
        Sign::Total => entries.clone().map(|(x, _)| x).sum(),
        Sign::Frequency => entries.clone().map(|(x, _)| if x == 0.0 { 0.0 } else { x.signum() }).sum(),
    };
    let positive = sum >= 0.0;
    let (mut merged, mut count) = (0.0, 0u32);
    for (x, weight) in entries {
        if (positive && x > 0.0) || (!positive && x < 0.0) {
            merged += x * weight;
            count += 1;
        }
    }
    merged / count.max(1) as f32
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn merged(rule: Rule, tensors: &[&[f32]], weights: &[f32]) -> Vec<f32> {
        rule.merge(tensors.iter().map(|t| t.to_vec()).collect(), weights, &mut |_, _, _| panic!("no mask is asked for"))
            .unwrap()
    }

    #[test]
    fn the_largest_stay_and_the_first_of_equal_ones() {
        let rule = Rule::Magnitude { density: 0.5 };
        assert_eq!(merged(rule, &[&[1.0, -4.0, 2.0, 3.0, 0.0]], &[2.0]), [0.0, -8.0, 0.0, 6.0, 0.0]);
        assert_eq!(merged(rule, &[&[1.0, -1.0, 1.0, 1.0]], &[1.0]), [1.0, -1.0, 0.0, 0.0]);
        assert_eq!(merged(Rule::Magnitude { density: 0.1 }, &[&[1.0, 2.0]], &[1.0]), [0.0, 0.0]);
        assert_eq!(merged(Rule::Magnitude { density: 1.0 }, &[&[1.0, 2.0]], &[1.0]), [1.0, 2.0]);
    }

    #[test]
    fn the_majority_decides_by_size_or_by_number() {
        let tensors: [&[f32]; 3] = [&[5.0, 1.0, 0.0], &[-1.0, -1.0, 0.0], &[-1.0, 0.0, 2.0]];
        let ties = |sign| merged(Rule::Ties { density: 1.0, sign }, &tensors, &[1.0, 1.0, 0.5]);
        // By size 5 beats −2; a tie is positive; one entry alone is not divided.
        assert_eq!(ties(Sign::Total), [5.0, 1.0, 1.0]);
        assert_eq!(ties(Sign::Frequency), [-0.75, 1.0, 1.0]);
    }

    #[test]
    fn a_mask_that_does_not_fit_is_a_fault() {
        let rule = Rule::DareLinear { density: 0.5 };
        let error = rule.merge(vec![vec![1.0, 2.0]], &[1.0], &mut |_, _, _| Ok(vec![true])).unwrap_err();
        assert!(error.to_string().contains("a mask of 1 entries"), "{error}");
        let kept = rule.merge(vec![vec![1.0, 2.0]], &[1.0], &mut |_, _, _| Ok(vec![true, false])).unwrap();
        assert_eq!(kept, [2.0, 0.0]);
    }
}
