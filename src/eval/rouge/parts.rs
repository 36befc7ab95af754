//! Precision and recall of ROUGE-1, ROUGE-2 and ROUGE-L, or what is made of them: the one list of these six.

use super::Scores;
pub use crate::run::event::Parts;

/// Their names in CSV, in the order of [`Parts`].
pub const NAMES: [&str; 6] = ["rouge1_p", "rouge1_r", "rouge2_p", "rouge2_r", "rougeL_p", "rougeL_r"];

/// Their heads in tables.
pub const HEADS: [&str; 6] = ["R-1 P", "R-1 R", "R-2 P", "R-2 R", "R-L P", "R-L R"];

impl<T> Parts<T> {
    /// All in their order.
    pub fn all(self) -> [T; 6] {
        [self.rouge1_p, self.rouge1_r, self.rouge2_p, self.rouge2_r, self.rouge_l_p, self.rouge_l_r]
    }
}

impl<T> From<[T; 6]> for Parts<T> {
    fn from([rouge1_p, rouge1_r, rouge2_p, rouge2_r, rouge_l_p, rouge_l_r]: [T; 6]) -> Self {
        Self { rouge1_p, rouge1_r, rouge2_p, rouge2_r, rouge_l_p, rouge_l_r }
    }
}

/// Of one pair, 0 to 1.
pub(super) fn of_pair(scores: &Scores) -> [f64; 6] {
    let Scores { rouge1, rouge2, rouge_l, .. } = *scores;
    [rouge1.precision, rouge1.recall, rouge2.precision, rouge2.recall, rouge_l.precision, rouge_l.recall]
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::eval::rouge::score;
    use crate::eval::segment::Segmentation;

    #[test]
    fn names_heads_and_values_are_in_one_order() {
        let numbers: [f64; 6] = std::array::from_fn(|at| at as f64);
        let parts = Parts::from(numbers);
        assert_eq!(parts.all(), numbers);
        // As JSON names them.
        let value = serde_json::to_value(parts).unwrap();
        assert_eq!(value.as_object().unwrap().len(), numbers.len());
        for ((at, name), head) in NAMES.iter().enumerate().zip(HEADS) {
            assert_eq!(value[name.replace("rougeL", "rouge_l")], at as f64, "{name}");
            assert_eq!(head.to_lowercase().replace("r-", "rouge").replace(' ', "_"), name.to_lowercase());
        }
        assert_eq!(serde_json::from_value::<Parts<f64>>(value).unwrap(), parts);
        let of = of_pair(&score("a small game engine", "a small cat", Segmentation::Words));
        let want = [2.0 / 3.0, 0.5, 0.5, 1.0 / 3.0, 2.0 / 3.0, 0.5];
        assert!(of.iter().zip(want).all(|(got, want)| (got - want).abs() < 1e-12), "{of:?}");
    }
}
