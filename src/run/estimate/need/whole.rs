//! How many layers keep everything, and what that takes.

use super::{Need, SLACK};
use crate::recipe::Recompute;

/// So much of the free memory is used: others take some too, and the formula is not exact.
const SHARE: f64 = 0.9;
/// What lies tight: nothing of it comes and goes.
const TIGHT: [&str; 2] = ["base weights", "program, tokenizer"];

impl Need {
    /// Bytes of the rows of the largest pass between two layers.
    pub(super) fn row(&self) -> u64 {
        let tokens: u64 = self.largest.iter().map(|s| s.0 as u64).sum();
        tokens * self.config.hidden as u64 * self.width()
    }

    /// What each layer keeps that keeps everything, the lowest first.
    fn traces(&self) -> Vec<u64> {
        self.ranks.iter().map(|rank| self.trace(&self.largest, *rank)).collect()
    }

    /// The most that the layers hold: at the top, or where one further down is run forward again.
    pub(super) fn kept(&self) -> u64 {
        let traces = self.traces();
        // The topmost one is there when its way back begins, kept or not.
        let (below, whole) = traces.split_at(traces.len().saturating_sub(self.whole.max(1)));
        let at_top = below.len() as u64 * self.row() + whole.iter().sum::<u64>();
        let further_down = below.iter().enumerate().map(|(i, trace)| i as u64 * self.row() + trace).max();
        at_top.max(further_down.unwrap_or(0))
    }

    /// Logits of the loss, as far as they are more than what the topmost layer keeps only after them.
    pub(super) fn logits_beside(&self, logits: u64) -> u64 {
        let top = if self.whole == 0 { self.traces().last().copied().unwrap_or(0) } else { 0 };
        logits.saturating_sub(top)
    }

    /// Whether a layer is run forward again on the way back.
    pub(super) fn recomputes(&self) -> bool {
        self.whole < self.config.layers
    }

    /// The fewest layers that keep everything: the topmost one, which is needed first, but where the logits would lie beside
    /// it and are more than its way back needs.
    fn fewest(&self) -> usize {
        let s = &self.largest;
        usize::from(self.logits(s) <= self.backward(s).max(self.forward(s))).min(self.config.layers)
    }

    /// How many layers keep everything, where `free` bytes are there: before the task is `loaded`, or after it.
    pub fn chosen(&self, wanted: Recompute, free: Option<u64>, loaded: bool) -> usize {
        match (wanted, free) {
            (Recompute::Never, _) | (Recompute::Auto, None) => self.config.layers,
            (Recompute::Always, _) => self.fewest(),
            (Recompute::Auto, Some(free)) => self.fitting(free, loaded),
        }
    }

    fn fitting(&self, free: u64, loaded: bool) -> usize {
        let traces = self.traces();
        let fitting = |whole: usize| {
            let (tight, besides) = Self { whole, ..self.clone() }.besides(loaded);
            let room = ((free as f64 * SHARE) as u64).saturating_sub(tight);
            within((room as f64 / (1.0 + SLACK)) as u64, besides, self.row(), &traces)
        };
        let all = traces.len();
        // In a step of one pass gradients come as activations go, unless layers further down are run forward again.
        if fitting(all) == all {
            return all;
        }
        let less = all.saturating_sub(1);
        fitting(less).min(less).max(self.fewest())
    }

    /// What a step needs that is not there yet, beside what the layers keep: what lies tight, and the rest.
    fn besides(&self, loaded: bool) -> (u64, u64) {
        let parts = self.moments().into_iter().find(|m| m.0 == "training").map(|m| m.1).unwrap_or_default();
        let sum = |counts: &dyn Fn(&str) -> bool| parts.iter().filter(|p| counts(p.0)).map(|p| p.1).sum::<u64>();
        let tight = if loaded { 0 } else { sum(&|name| TIGHT.contains(&name)) };
        // The adapters as they were read are there then too.
        let there = if loaded { 4 * self.numbers } else { 0 };
        let rest = sum(&|name| !TIGHT.contains(&name) && name != "activations");
        (tight, (rest + self.row()).saturating_sub(there))
    }
}

/// How many of the top layers can keep everything in `room` bytes. `besides` is needed whatever they keep; one that is run
/// forward again keeps its `input`, one that is not its part of `traces`, the lowest first.
fn within(room: u64, besides: u64, input: u64, traces: &[u64]) -> usize {
    let mut taken = besides + input * traces.len() as u64;
    let fits = |trace: &&u64| {
        taken += trace.saturating_sub(input);
        taken <= room
    };
    traces.iter().rev().take_while(fits).count()
}

#[cfg(test)]
mod tests {
    use super::within;

    #[test]
    fn as_many_layers_keep_everything_as_there_is_room_for() {
        // 100 besides; four inputs of 1, or traces of 10.
        let of = |room| within(room, 100, 1, &[10; 4]);
        assert_eq!([of(0), of(103), of(104), of(112), of(113), of(121), of(122)], [0, 0, 0, 0, 1, 1, 2]);
        assert_eq!([of(139), of(140), of(u64::MAX)], [3, 4, 4]);
        // From the top down: one that does not fit ends it.
        assert_eq!(within(125, 100, 1, &[2, 50, 10, 5]), 2);
        assert_eq!(within(0, 0, 0, &[]), 0);
    }
}
