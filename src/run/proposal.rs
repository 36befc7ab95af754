//! Ratios per module that were found for a goal, with what they are worth.

use super::what_if::Change;
use crate::recipe::ratios::Rule;
use serde::{Deserialize, Serialize};

/// What is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Goal {
    /// This share of all entries pruned, 0 to 1.
    Sparsity(f64),
    /// As much pruned as the loss rises by this at most, nats per token.
    MaxLoss(f64),
}

impl Goal {
    /// `0.6` and `60%` are a sparsity, `+0.01` is a loss.
    ///
    /// # Errors
    /// A sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        const FORM: &str = "0.6 is a sparsity, +0.01 what the loss may rise by";
        let text = text.trim();
        let number = |digits: &str| digits.trim().parse::<f64>().ok().filter(|v| v.is_finite());
        let wrong = || format!("{text:?} is no goal: {FORM}");
        if let Some(digits) = text.strip_prefix('+') {
            return number(digits).filter(|loss| *loss > 0.0).map(Self::MaxLoss).ok_or_else(wrong);
        }
        let share = match text.strip_suffix('%') {
            Some(digits) => number(digits).map(|v| v / 100.0),
            None => number(text),
        };
        match share.ok_or_else(wrong)? {
            share if share > 0.0 && share < 1.0 => Ok(Self::Sparsity(share)),
            share => Err(format!("{share} leaves nothing to choose: above 0 and below 1 is needed")),
        }
    }

    /// `at 60.0 % sparsity`, `for +0.01 of loss`.
    pub fn words(&self) -> String {
        match self {
            Self::Sparsity(share) => format!("at {:.1} % sparsity", 100.0 * share),
            Self::MaxLoss(most) => format!("for {most:+} of loss"),
        }
    }
}

/// A move of all ratios that lowered the loss.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Move {
    /// How far, in log-odds for a slope of one standard deviation.
    pub by: f64,
    /// Change of the loss against the ratios before it, on the documents that choose.
    pub gain: Change,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Proposal {
    /// Share of all entries that the ratios prune.
    pub sparsity: f64,
    /// The moves from the same ratio for all to the proposal, in their order; none where none is better.
    pub moves: Vec<Move>,
    /// The ratios as rules that cover every matrix.
    pub rules: Vec<Rule>,
    /// The set as it stands: its sparsity and loss on the documents that verify.
    pub stands: [f64; 2],
    /// Documents that chose, from and to; that verified.
    pub documents: [[usize; 2]; 2],
    /// Change of the loss on the documents that chose: proposal, the same ratio for all.
    pub chosen: [Change; 2],
    /// Change of the loss on the documents that verify: proposal, the same ratio for all.
    pub verified: [Change; 2],
    /// Proposal less the same ratio for all, paired, on the documents that verify.
    pub gain: Change,
    /// What-ifs that were measured for it.
    pub measured: usize,
    /// Passes forward and back over the training examples and the documents that choose.
    pub slopes: usize,
    /// Mean ratio, by entries, of the matrices of every adapter and factor, projection and third of the layers.
    pub groups: Vec<(String, f64)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_is_a_share_or_a_rise() {
        assert_eq!(Goal::parse(" 0.6 "), Ok(Goal::Sparsity(0.6)));
        assert_eq!(Goal::parse("75%"), Ok(Goal::Sparsity(0.75)));
        assert_eq!(Goal::parse("+0.01"), Ok(Goal::MaxLoss(0.01)));
        for wrong in ["", "x", "0", "1", "1.5", "-0.1", "+0", "+", "nan", "+inf", "%"] {
            assert!(Goal::parse(wrong).is_err(), "{wrong}");
        }
        assert_eq!(Goal::Sparsity(0.6).words(), "at 60.0 % sparsity");
        assert_eq!(Goal::MaxLoss(0.01).words(), "for +0.01 of loss");
    }
}
