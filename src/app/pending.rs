//! Prune ratios that were asked for and do not show in the run yet.

use std::collections::BTreeMap;

/// Where a request stands.
#[derive(Debug, Clone, PartialEq)]
enum Stand {
    /// Not yet in the control file.
    New,
    /// In the control file under this id.
    Sent(String),
    /// The worker has taken it: the next step's state holds it.
    Taken,
}

/// What was asked for, by matrix (its place in the run's list).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Pending {
    asked: BTreeMap<usize, (f64, Stand)>,
}

impl Pending {
    /// The ratio that was asked for.
    pub fn get(&self, matrix: usize) -> Option<f64> {
        self.asked.get(&matrix).map(|(ratio, _)| *ratio)
    }

    /// Whether nothing is pending.
    pub fn is_empty(&self) -> bool {
        self.asked.is_empty()
    }

    /// A ratio is being asked for; a newer wish replaces an older one.
    pub fn ask(&mut self, matrix: usize, ratio: f64) {
        self.asked.insert(matrix, (ratio, Stand::New));
    }

    /// What was new is in the control file under `id`.
    pub fn sent(&mut self, id: &str) {
        for (_, stand) in self.asked.values_mut().filter(|(_, stand)| *stand == Stand::New) {
            *stand = Stand::Sent(id.into());
        }
    }

    /// What was new could not be sent: it is given back.
    pub fn not_sent(&mut self) -> Vec<(usize, f64)> {
        self.give_back(|stand| *stand == Stand::New)
    }

    /// The worker has answered `id`: a refusal gives back what it was of, consent lasts until the next step shows it.
    pub fn answered(&mut self, id: &str, ok: bool) -> Vec<(usize, f64)> {
        let sent = |stand: &Stand| matches!(stand, Stand::Sent(sent) if sent == id);
        if ok {
            self.asked.values_mut().filter(|(_, s)| sent(s)).for_each(|(_, stand)| *stand = Stand::Taken);
            return Vec::new();
        }
        self.give_back(sent)
    }

    fn give_back(&mut self, which: impl Fn(&Stand) -> bool) -> Vec<(usize, f64)> {
        let (back, kept): (BTreeMap<_, _>, _) =
            std::mem::take(&mut self.asked).into_iter().partition(|(_, (_, stand))| which(stand));
        self.asked = kept;
        back.into_iter().map(|(matrix, (ratio, _))| (matrix, ratio)).collect()
    }

    /// A new state of the matrices is there.
    pub fn stepped(&mut self) {
        self.asked.retain(|_, (_, stand)| *stand != Stand::Taken);
    }

    /// Nobody will answer any more.
    pub fn clear(&mut self) {
        self.asked.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_shows_until_the_run_shows_it() {
        let (all, one) = (3, 4);
        let mut pending = Pending::default();
        pending.ask(all, 0.5);
        pending.sent("a");
        pending.ask(one, 0.7);
        pending.sent("b");
        assert_eq!((pending.get(all), pending.get(one)), (Some(0.5), Some(0.7)));
        // A step that the worker made before it read the wish.
        pending.stepped();
        assert_eq!(pending.get(one), Some(0.7));
        pending.answered("b", true);
        assert_eq!(pending.get(one), Some(0.7));
        pending.stepped();
        assert_eq!(pending.get(one), None);
        assert_eq!(pending.get(all), Some(0.5));
        pending.answered("a", false);
        assert_eq!(pending.get(all), None);
    }

    #[test]
    fn an_old_answer_does_not_end_a_newer_wish() {
        let target = 7;
        let mut pending = Pending::default();
        pending.ask(target, 0.5);
        pending.sent("a");
        pending.ask(target, 0.55);
        pending.sent("b");
        pending.answered("a", false);
        assert_eq!(pending.get(target), Some(0.55));
        pending.ask(target, 0.6);
        pending.not_sent();
        assert_eq!(pending.get(target), None);
    }
}
