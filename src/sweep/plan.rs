//! Which settings are tried, with how much training each.

use super::axis::{self, Axis, Values};
use crate::recipe::Recipe;
use crate::text::counted;
use crate::{Error, Result};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// Trials of one sweep at most.
const MOST: usize = 1000;

/// How settings are searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Search {
    /// All combinations.
    Grid,
    /// So many, by chance.
    Random(usize),
    /// Successive halving (Jamieson and Talwalkar, AISTATS 2016): all, or so many by chance, with little training each;
    /// the best of them with more, the last with all.
    Halving {
        /// How many at first; `None` for all combinations.
        trials: Option<usize>,
        /// One of so many goes on, with so many times the training.
        eta: usize,
    },
}

impl Search {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Grid => "grid",
            Self::Random(_) => "random",
            Self::Halving { .. } => "halving",
        }
    }
}

/// A round of trials.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rung {
    /// How many settings take part: the best of the rung before.
    pub trials: usize,
    /// Epochs (or steps, where the recipe counts these) of each; `None` for all that the recipe has.
    pub budget: Option<usize>,
}

/// What is to be run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// What is varied.
    pub axes: Vec<Axis>,
    /// Settings in the order of the axes.
    pub points: Vec<Vec<f64>>,
    /// The rounds; the last has the recipe's whole training.
    pub rungs: Vec<Rung>,
}

impl Plan {
    /// Plans a search over `axes`; the same seed draws the same settings.
    ///
    /// # Errors
    /// When there is nothing to vary, a grid has no end, or halving has nothing to halve.
    pub fn new(recipe: &Recipe, axes: Vec<Axis>, search: Search, seed: u64) -> Result<Self> {
        if axes.is_empty() {
            return Err(Error::user("nothing is varied; name values with --ratio, --lr or --weight NAME=VALUES"));
        }
        if let Some(at) = (1..axes.len()).find(|at| axes[..*at].iter().any(|a| a.setting == axes[*at].setting)) {
            return Err(Error::user(format!("--{} is named twice; one list has all its values", axes[at].name())));
        }
        let mut scratch = recipe.clone();
        axes.iter().try_for_each(|axis| axis.set(&mut scratch, 0.5))?;
        let grid = grid(&axes)?;
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let endless = || {
            Error::user("FROM:TO has no end of values: use FROM:TO:STEP, or --search random or halving with --trials N")
        };
        let points = match search {
            Search::Grid | Search::Halving { trials: None, .. } => grid.ok_or_else(endless)?,
            Search::Random(n) | Search::Halving { trials: Some(n), .. } => drawn(&axes, grid, n, &mut rng)?,
        };
        let rungs = match search {
            Search::Grid | Search::Random(_) => vec![Rung { trials: points.len(), budget: None }],
            Search::Halving { eta, .. } => rungs(recipe, points.len(), eta)?,
        };
        Ok(Self { axes, points, rungs })
    }

    /// What is to be told where there are fewer settings than were asked for.
    pub fn shortage(&self, search: Search) -> Option<String> {
        let (Search::Random(asked) | Search::Halving { trials: Some(asked), .. }) = search else { return None };
        let found = counted(self.points.len(), "different setting");
        let fewer = self.points.len() < asked;
        fewer.then(|| format!("--trials {asked} finds only {found}: a wider range or finer steps have more"))
    }

    /// Runs in all.
    pub fn trials(&self) -> usize {
        self.rungs.iter().map(|rung| rung.trials).sum()
    }

    /// The recipe of a trial: these settings, this much training, scored on dev alone.
    ///
    /// # Errors
    /// When the recipe cannot have these settings.
    pub fn recipe(&self, of: &Recipe, point: &[f64], budget: Option<usize>) -> Result<Recipe> {
        let mut recipe = of.clone();
        for (axis, value) in self.axes.iter().zip(point) {
            axis.set(&mut recipe, *value)?;
        }
        let unit = if recipe.train.steps > 0 { "steps" } else { "epochs" };
        if let Some(budget) = budget {
            *if recipe.train.steps > 0 { &mut recipe.train.steps } else { &mut recipe.train.epochs } = budget;
        }
        (recipe.data.test, recipe.data.test_limit) = (None, 0);
        recipe.eval.methods.clear();
        let setting =
            |(axis, value): (&Axis, &f64)| format!("-{}-{}", axis.name().replace(' ', "-"), axis::shown(*value));
        let settings = self.axes.iter().zip(point).map(setting);
        let less = budget.map_or(String::new(), |budget| format!("-{unit}-{budget}"));
        recipe.name = format!("{}{}{less}", of.name, settings.collect::<String>());
        recipe.validate()?;
        Ok(recipe)
    }

    /// The recipe of the settings that are chosen: the whole training, and the test set of the recipe.
    ///
    /// # Errors
    /// When the recipe cannot have these settings.
    pub fn chosen(&self, of: &Recipe, point: &[f64]) -> Result<Recipe> {
        let mut recipe = self.recipe(of, point, None)?;
        (recipe.data.test, recipe.data.test_limit) = (of.data.test.clone(), of.data.test_limit);
        recipe.name = format!("{}-chosen", of.name);
        Ok(recipe)
    }
}

/// All combinations, the last axis changing fastest; `None` where an axis has no end of values.
fn grid(axes: &[Axis]) -> Result<Option<Vec<Vec<f64>>>> {
    let mut points = vec![Vec::new()];
    for axis in axes {
        let Values::Listed(values) = &axis.values else { return Ok(None) };
        if points.len() * values.len() > MOST {
            let all: usize = axes
                .iter()
                .map(|axis| if let Values::Listed(values) = &axis.values { values.len() } else { 1 })
                .fold(1, usize::saturating_mul);
            return Err(Error::user(format!("{all} combinations are more than the {MOST} that a sweep may have")));
        }
        points = points
            .iter()
            .flat_map(|point: &Vec<f64>| values.iter().map(|value| point.iter().copied().chain([*value]).collect()))
            .collect();
    }
    Ok(Some(points))
}

/// `n` different settings by chance; all of a grid that has no more, in its order.
fn drawn(axes: &[Axis], grid: Option<Vec<Vec<f64>>>, n: usize, rng: &mut ChaCha8Rng) -> Result<Vec<Vec<f64>>> {
    if n == 0 || n > MOST {
        return Err(Error::user(format!("--trials {n}: 1 to {MOST} is needed")));
    }
    if let Some(mut points) = grid {
        if n < points.len() {
            points.shuffle(rng);
            points.truncate(n);
        }
        return Ok(points);
    }
    let mut points: Vec<Vec<f64>> = Vec::new();
    // Values are rounded: a narrow range may not have so many.
    for _ in 0..100 * n {
        let point: Vec<f64> = axes.iter().map(|axis| axis.draw(rng)).collect();
        if points.len() < n && !points.contains(&point) {
            points.push(point);
        }
    }
    Ok(points)
}

fn rungs(recipe: &Recipe, trials: usize, eta: usize) -> Result<Vec<Rung>> {
    if eta < 2 {
        return Err(Error::user(format!("--eta {eta}: 2 or more is needed")));
    }
    let (all, unit) =
        if recipe.train.steps > 0 { (recipe.train.steps, "step") } else { (recipe.train.epochs, "epoch") };
    let (mut cuts, mut least) = (0, 1);
    while least * eta <= trials.min(all) {
        (cuts, least) = (cuts + 1, least * eta);
    }
    if cuts == 0 {
        return Err(Error::user(format!(
            "halving by {eta} has nothing to cut: {} of {}; try more settings, more training, a smaller --eta, or --search random",
            counted(trials, "setting"),
            counted(all, unit)
        )));
    }
    let rung = |at: u32| {
        let (past, left) = (eta.pow(at), eta.pow(cuts - at));
        let budget = (at < cuts).then(|| (all as f64 / left as f64).round() as usize);
        Rung { trials: trials.div_ceil(past), budget }
    };
    Ok((0..=cuts).map(rung).collect())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::axis::Setting;
    use super::*;

    fn recipe() -> Recipe {
        Recipe::parse(
            "name = 'games'\nbase = 'b'\n[data]\ntrain = 't'\ndev = 'd'\ntest = 'x'\n[train]\nepochs = 9\n[eval]\nmethods = \
             ['zero-shot']\n[[adapters]]\nname = 'games'\nrole = 'target'\n[[adapters]]\nname = 'science'\nrole = \
             'related'\npath = 's'",
        )
        .unwrap()
    }

    fn axes(ratio: &str, lr: &str) -> Vec<Axis> {
        vec![Axis::parse(&Setting::Ratio, ratio).unwrap(), Axis::parse(&Setting::Lr, lr).unwrap()]
    }

    #[test]
    fn a_grid_has_all_combinations_and_a_draw_some_of_them() {
        let plan = Plan::new(&recipe(), axes("0,0.5", "1e-4,3e-4,1e-3"), Search::Grid, 1).unwrap();
        assert_eq!((plan.points.len(), plan.trials()), (6, 6));
        assert_eq!(plan.points[1], [0.0, 3e-4]);
        let random =
            |seed| Plan::new(&recipe(), axes("0:0.9:0.1", "1e-4:1e-3"), Search::Random(8), seed).unwrap().points;
        assert!(random(1) == random(1) && random(1) != random(2) && random(1).len() == 8);
        let some = Plan::new(&recipe(), axes("0:0.9:0.1", "1e-4"), Search::Random(4), 1).unwrap().points;
        let distinct: std::collections::BTreeSet<u64> = some.iter().map(|p| p[0].to_bits()).collect();
        assert_eq!((some.len(), distinct.len()), (4, 4));
        assert_eq!(Plan::new(&recipe(), axes("0:0.9:0.1", "1e-4"), Search::Random(40), 1).unwrap().points.len(), 10);
    }

    #[test]
    fn fewer_settings_than_were_asked_for_are_told() {
        let told = |ratio: &str, search| Plan::new(&recipe(), axes(ratio, "1e-4"), search, 1).unwrap().shortage(search);
        // A range in which a number has no room for more.
        let narrow = format!("0.5:{}", 0.5 + f64::EPSILON / 2.0);
        let why = told(&narrow, Search::Random(40)).unwrap();
        assert!(why.starts_with("--trials 40 finds only 2 different settings: "), "{why}");
        let why = told("0:0.9:0.1", Search::Halving { trials: Some(11), eta: 3 }).unwrap();
        assert!(why.starts_with("--trials 11 finds only 10 different settings: "), "{why}");
        assert_eq!(told("0.1:0.9", Search::Random(40)), None);
        assert_eq!(told("0.1,0.2", Search::Random(2)), None);
        assert_eq!(told("0.1,0.2", Search::Grid), None);
        assert_eq!(told("0:0.9:0.1", Search::Halving { trials: None, eta: 3 }), None);
    }

    #[test]
    fn halving_gives_the_last_the_whole_training() {
        let search = Search::Halving { trials: None, eta: 3 };
        let plan = Plan::new(&recipe(), axes("0:0.9:0.1", "1e-4"), search, 1).unwrap();
        let rung = |trials, budget| Rung { trials, budget };
        assert_eq!(plan.rungs, [rung(10, Some(1)), rung(4, Some(3)), rung(2, None)]);
        let mut short = recipe();
        short.train.epochs = 2;
        let why = Plan::new(&short, axes("0:0.9:0.1", "1e-4"), search, 1).unwrap_err().to_string();
        assert!(why.contains("halving by 3 has nothing to cut: 10 settings of 2 epochs"), "{why}");
        short.train.steps = 40;
        let plan =
            Plan::new(&short, axes("0:0.9:0.1", "1e-4"), Search::Halving { trials: Some(5), eta: 2 }, 1).unwrap();
        assert_eq!(plan.rungs, [rung(5, Some(10)), rung(3, Some(20)), rung(2, None)]);
        assert_eq!(plan.recipe(&short, &plan.points[0], Some(10)).unwrap().train.steps, 10);
    }

    #[test]
    fn a_trial_knows_no_test_set_and_the_chosen_one_does() {
        let mut axes = axes("0.5", "1e-4");
        axes.push(Axis::parse(&Setting::Weight("science".into()), "0.7").unwrap());
        let plan = Plan::new(&recipe(), axes, Search::Grid, 1).unwrap();
        let trial = plan.recipe(&recipe(), &plan.points[0], Some(3)).unwrap();
        assert_eq!(trial.name, "games-ratio-0.5-lr-0.0001-weight-science-0.7-epochs-3");
        assert_eq!((trial.prune.ratio, trial.train.lr, trial.adapters[1].weight), (0.5, 1e-4, 0.7));
        assert!(trial.data.test.is_none() && trial.eval.methods.is_empty() && trial.train.epochs == 3);
        let chosen = plan.chosen(&recipe(), &plan.points[0]).unwrap();
        assert_eq!(
            (chosen.data.test, chosen.train.epochs, chosen.name.as_str()),
            (recipe().data.test, 9, "games-chosen")
        );
    }

    #[test]
    fn what_cannot_be_searched_is_refused_in_a_sentence() {
        let why = |axes: Vec<Axis>, search| Plan::new(&recipe(), axes, search, 1).unwrap_err().to_string();
        let weight = |name: &str| vec![Axis::parse(&Setting::Weight(name.into()), "1").unwrap()];
        assert!(why(Vec::new(), Search::Grid).contains("nothing is varied"));
        assert!(why(axes("0.1:0.9", "1"), Search::Grid).contains("FROM:TO has no end of values"));
        assert!(why(axes("0:1:0.01", "0.1:2:0.1"), Search::Grid).contains("2020 combinations are more than the 1000"));
        assert!(why(axes("0.1", "1"), Search::Random(0)).contains("--trials 0: 1 to 1000 is needed"));
        assert!(
            why(weight("scienc"), Search::Grid)
                .contains("--weight scienc: no adapter has this name; there are games, science")
        );
        assert!(
            why([weight("science"), weight("science")].concat(), Search::Grid)
                .contains("--weight science is named twice")
        );
    }
}
