//! Runs side by side: the settings that differ, final figures, curves.

use super::difference::{Aspect, Difference, View};
use crate::app::action::{self, Action, Screen};
use crate::app::scroll::Reach;
use crate::app::{Pane, clean};
use crate::run::compare::{Compared, Paired};
use std::collections::BTreeSet;

/// Runs that are compared at most: as many as there are colours for their curves.
pub const MOST: usize = 6;

/// Runs side by side. Every text in it is harmless.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Comparison {
    /// The runs.
    pub runs: Vec<Compared>,
    /// Settings that are not the same in all: the key, and its value in each run.
    pub differ: Vec<(String, Vec<Option<String>>)>,
    /// Settings that are the same in all.
    pub alike: usize,
    /// How the matrices of each run behind the first differ from the first run's, where both have told a state.
    pub maps: Vec<Option<Difference>>,
    /// What of it shows.
    pub view: View,
    /// How far it can be scrolled.
    pub reach: Reach,
}

impl Comparison {
    /// Of what was read.
    pub fn new(mut runs: Vec<Compared>) -> Self {
        runs.truncate(MOST);
        for run in &mut runs {
            run.name = clean::line(&run.name);
            if let Some(row) = &mut run.row {
                row.method = clean::line(&row.method);
            }
            if let Some(Paired::Not(why)) = &mut run.paired {
                *why = clean::line(why);
            }
            if let Some(matrices) = &mut run.matrices {
                clean::started(&mut matrices.started);
            }
            let settings = std::mem::take(&mut run.settings);
            run.settings = settings.into_iter().map(|(k, v)| (clean::line(&k), clean::line(&v))).collect();
        }
        let keys: BTreeSet<&String> = runs.iter().flat_map(|run| run.settings.keys()).collect();
        let row = |key: &String| runs.iter().map(|run| run.settings.get(key).cloned()).collect::<Vec<_>>();
        let rows: Vec<_> = keys.into_iter().map(|key| (key.clone(), row(key))).collect();
        let all = rows.len();
        let differ: Vec<_> =
            rows.into_iter().filter(|(_, values)| values.windows(2).any(|pair| pair[0] != pair[1])).collect();
        let alike = all - differ.len();
        let first = runs.first().and_then(|run| run.matrices.as_ref());
        let map = |run: &Compared| Some(Difference::new(first?, run.matrices.as_ref()?));
        let maps = runs.iter().skip(1).map(map).collect();
        Self { runs, differ, alike, maps, view: View::default(), reach: Reach::default() }
    }

    /// Whether there is a map to show.
    pub fn has_maps(&self) -> bool {
        self.maps.iter().any(Option::is_some)
    }

    /// A key of the map; false if it is none.
    pub fn press(&mut self, key: &str) -> bool {
        if !self.has_maps() {
            return false;
        }
        let (view, last) = (&mut self.view, self.maps.len() - 1);
        // The keys of a run's heatmap, whatever the user has made of them.
        match action::of(key, Screen::Watch, Pane::Heatmap).map(|entry| entry.action) {
            Some(Action::NextPane | Action::PreviousPane) => view.map = !view.map,
            Some(Action::Measure) => view.aspect = Aspect::ALL[(view.aspect as usize + 1) % Aspect::ALL.len()],
            Some(Action::Left) => view.pair = view.pair.checked_sub(1).unwrap_or(last),
            Some(Action::Right) => view.pair = if view.pair < last { view.pair + 1 } else { 0 },
            _ => return false,
        }
        true
    }

    /// Whether any run has a curve.
    pub fn has_curves(&self) -> bool {
        self.runs.iter().any(|run| !run.dev.is_empty())
    }
}
