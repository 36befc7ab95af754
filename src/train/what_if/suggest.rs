//! Ratios per module for a sparsity, or for a loss that may be lost: from the same ratio for all, moved to where the
//! loss rises least, as far as the loss of dev documents falls, and verified on others.

use super::reopened::Reopened;
use super::slopes::{self, Band, Slope};
use super::tilt::{self, Tilt};
use super::{Answers, Asker, Question};
use crate::lora::SquareSums;
use crate::module::{Factor, Projection};
use crate::prune::{Key, scratch};
use crate::recipe::ratios::Rule;
use crate::run::proposal::{Goal, Move, Proposal};
use crate::run::what_if::{Change, DocumentLoss, Progress, WhatIf};
use crate::train::step;
use crate::{Error, Result};
use std::collections::BTreeMap;
use std::ops::Range;

/// How far the ratios are moved along the slopes, in log-odds for a slope of one standard deviation: each as long as it
/// lowers the loss further, ...
const FURTHER: [f64; 3] = [1.0, 2.0, 4.0];
/// ... and these where the second of those does not.
const NEARER: [f64; 2] = [0.5, 0.25];
/// A round that lowers the loss by less is the last one, nats per token.
const LEAST: f64 = 0.0005;
/// How often the slopes are taken anew where the ratios lie then, at most.
pub const ROUNDS: usize = 4;
/// Dev documents that choose where nobody says how many.
const CHOOSE: usize = 64;
/// Half of the band that slopes are taken over, in log-odds of the ratios.
const BAND: f64 = 0.4;
/// Sparsities that a loss is looked for at: multiples of this.
const SPARSITIES: usize = 20;

/// The dev documents: those that choose, and those that verify.
#[derive(Debug, Clone, PartialEq)]
pub struct Documents {
    /// Moves are measured on these.
    pub choose: Range<usize>,
    /// The proposal is compared on these; the same as `choose` where there are too few.
    pub verify: Range<usize>,
}

impl Documents {
    /// `choose` of `all` to choose by (where none is said half of them, 64 at most, all of less than 8) and the rest to
    /// verify with, where at least four are left.
    pub fn of(all: usize, choose: Option<usize>) -> Self {
        let choose = choose.unwrap_or(if all < 8 { all } else { all.div_ceil(2).min(CHOOSE) });
        let choose = 0..choose.min(all);
        let verify = if all >= choose.end + 4 { choose.end..all } else { choose.clone() };
        Self { choose, verify }
    }
}

/// A search under way.
struct Search<'a, 'b> {
    open: &'a Reopened,
    answers: Answers,
    asker: &'b mut dyn Asker,
    told: &'b mut dyn FnMut(&str) -> Result<()>,
    measured: usize,
    slopes: usize,
    rounds: usize,
    choose: Range<usize>,
    keys: Vec<Key>,
    sizes: Vec<f64>,
    names: BTreeMap<usize, String>,
    squares: Option<SquareSums>,
}

/// Ratios that were measured.
#[derive(Clone)]
struct Point {
    offsets: Vec<f64>,
    rules: Vec<Rule>,
    found: WhatIf,
    moves: Vec<Move>,
}

impl Point {
    /// What the last move changed the loss by.
    fn gain(&self) -> f64 {
        self.moves.last().map_or(0.0, |m| m.gain.mean)
    }
}

/// What ratios do, or why a figure is no number with them: others can be measured then.
type Attempt = std::result::Result<WhatIf, String>;

impl Search<'_, '_> {
    fn attempt(&mut self, rules: &[Rule], documents: &Range<usize>) -> Result<Attempt> {
        let question = Question { rules: rules.to_vec(), documents: documents.clone(), samples: 0 };
        let found = self.answers.attempt(&self.open.subject(), &question, self.asker)?;
        let is_cached = found.as_ref().is_ok_and(|found| found.cached);
        self.measured += usize::from(!is_cached);
        if found.as_ref().is_ok_and(|found| found.state != Progress::Done) {
            return Err(Error::user("given up"));
        }
        Ok(found)
    }

    /// The same where no other ratios will do.
    fn ask(&mut self, rules: &[Rule], documents: &Range<usize>) -> Result<WhatIf> {
        self.attempt(rules, documents)?.map_err(Error::user)
    }

    fn rules(&self, ratios: &[f64]) -> Vec<Rule> {
        tilt::rules(&self.keys, ratios, &self.names)
    }

    /// The rules of the ratios moved by `offsets` from the same for all.
    fn tilted(&self, offsets: &[f64], sparsity: f64) -> Vec<Rule> {
        self.rules(&Tilt { sizes: &self.sizes, offsets, sparsity }.ratios())
    }

    /// The ratios moved by `offsets` from the same for all.
    fn at(&mut self, offsets: Vec<f64>, moves: Vec<Move>, sparsity: f64) -> Result<Point> {
        let rules = self.tilted(&offsets, sparsity);
        let found = self.ask(&rules, &self.choose.clone())?;
        Ok(Point { offsets, rules, found, moves })
    }

    /// Where the ratios at a point should move.
    fn direction(&mut self, point: &Point, sparsity: f64) -> Result<Option<Vec<f64>>> {
        let tilt = Tilt { sizes: &self.sizes, offsets: &point.offsets, sparsity };
        let [low, high] = tilt.band(BAND);
        let band = Band { rules: [self.rules(&low), point.rules.clone(), self.rules(&high)] };
        let asker = &mut *self.asker;
        let mut gives_up = || Ok(asker.gives_up()?.is_some());
        let slopes = slopes::slopes(self.open, &band, &self.choose, self.squares.as_ref(), &mut gives_up)?;
        self.slopes += 1;
        let slopes: Vec<Slope> = self.keys.iter().map(|key| slopes.get(key).copied().unwrap_or_default()).collect();
        Ok(slopes::direction(&slopes))
    }

    /// From the same ratio for all along the slopes, as long as that lowers the loss.
    fn best(&mut self, sparsity: f64) -> Result<Point> {
        let mut best = self.at(vec![0.0; self.keys.len()], Vec::new(), sparsity)?;
        if sparsity <= 0.0 || sparsity >= 1.0 {
            return Ok(best);
        }
        for round in 1..=self.rounds {
            let loss = best.found.loss.unwrap_or_default()[1];
            (self.told)(&format!("round {round} of {}: loss {loss:.4} at {:.0} %", self.rounds, 100.0 * sparsity))?;
            let Some(direction) = self.direction(&best, sparsity)? else { break };
            let Some(point) = self.along(&best, &direction, sparsity)? else { break };
            best = point;
            if best.gain() > -LEAST {
                break;
            }
        }
        Ok(best)
    }

    /// The lowest loss in a direction, if it is lower than where it starts.
    fn along(&mut self, start: &Point, direction: &[f64], sparsity: f64) -> Result<Option<Point>> {
        lowest(|by| Ok(self.moved(start, direction, by, sparsity)?.map(|point| (point.gain(), point))))
    }

    /// The ratios moved by so much; `None` where the loss is no number there.
    fn moved(&mut self, start: &Point, direction: &[f64], by: f64, sparsity: f64) -> Result<Option<Point>> {
        let offsets: Vec<f64> = start.offsets.iter().zip(direction).map(|(o, d)| o + by * d).collect();
        let rules = self.tilted(&offsets, sparsity);
        let found = match self.attempt(&rules, &self.choose.clone())? {
            Ok(found) => found,
            Err(why) => {
                (self.told)(&format!("  moved by {by}: {why}"))?;
                return Ok(None);
            }
        };
        let gain = paired(&found, &start.found);
        (self.told)(&format!("  moved by {by}: {}", gain.shown(4)))?;
        let mut moves = start.moves.clone();
        moves.push(Move { by, gain });
        Ok(Some(Point { offsets, rules, found, moves }))
    }

    /// The largest of the sparsities from `between.start` on and below `between.end` at which these offsets still cost `most`
    /// at most on `documents`; `first` is where it is looked for.
    fn within(
        &mut self,
        offsets: &[f64],
        most: f64,
        between: Range<usize>,
        first: usize,
        documents: &Range<usize>,
    ) -> Result<usize> {
        last_within(between, first, |step| {
            let sparsity = step as f64 / SPARSITIES as f64;
            let rise = rise(&self.attempt(&self.tilted(offsets, sparsity), documents)?);
            (self.told)(&format!("  at {:.0} %: {rise:+.4}", 100.0 * sparsity))?;
            Ok(rise <= most)
        })
    }
}

/// The last of `between` that `holds`, where what comes before one that holds does too, and the first is known to: asked from
/// `first` on in doubled steps, then by halves. Each answer is a measurement, so the fewer the better.
fn last_within(between: Range<usize>, first: usize, mut holds: impl FnMut(usize) -> Result<bool>) -> Result<usize> {
    let Range { start: mut within, end: mut beyond } = between;
    let (mut next, mut step, mut sides) = (first, 2, [false; 2]);
    while beyond - within > 1 {
        next = next.clamp(within + 1, beyond - 1);
        let held = holds(next)?;
        sides[usize::from(held)] = true;
        if held {
            within = next;
            next += step;
        } else {
            beyond = next;
            next = next.saturating_sub(step);
        }
        step *= 2;
        if sides == [true; 2] {
            next = usize::midpoint(within, beyond);
        }
    }
    Ok(within)
}

/// The longest of [`FURTHER`] that lowers the loss more than those before it, or one of [`NEARER`] where that is the
/// first or none. `moved` says what a length changes the loss by; `None` where that is no number: as a loss that rises.
fn lowest<P>(mut moved: impl FnMut(f64) -> Result<Option<(f64, P)>>) -> Result<Option<P>> {
    let mut lowest: Option<(f64, f64, P)> = None;
    for lengths in [&FURTHER[..], &NEARER] {
        for by in lengths {
            let so_far = lowest.as_ref().map_or(0.0, |(_, gain, _)| *gain);
            if let Some((gain, point)) = moved(*by)?.filter(|(gain, _)| *gain < so_far) {
                lowest = Some((*by, gain, point));
            } else if lowest.is_some() || lengths.len() == FURTHER.len() {
                break;
            }
        }
        if lowest.as_ref().is_some_and(|(by, ..)| *by > FURTHER[0]) {
            break;
        }
    }
    Ok(lowest.map(|(.., point)| point))
}

/// What ratios cost; without end where the loss is no number with them.
fn rise(found: &Attempt) -> f64 {
    found.as_ref().ok().and_then(|found| found.delta).map_or(f64::INFINITY, |delta| delta.mean)
}

/// The loss of one what-if less that of another, document by document.
fn paired(mine: &WhatIf, theirs: &WhatIf) -> Change {
    let pairs = mine.losses.iter().zip(&theirs.losses).map(|(m, t)| DocumentLoss { before: t.after, ..*m });
    Change::of_losses(&pairs.collect::<Vec<_>>()).unwrap_or_default()
}

/// The same ratio for all.
fn uniform(ratio: f64) -> Vec<Rule> {
    vec![Rule { modules: "*".into(), adapter: "*".into(), factor: None, ratio }]
}

/// Finds ratios for `goal` in so many rounds at most ([`ROUNDS`] by default); `told` hears how far it is.
///
/// # Errors
/// When the run's schedule is under way, `asker` gives up, or memory is short.
pub fn suggest(
    open: &Reopened,
    goal: Goal,
    documents: &Documents,
    rounds: usize,
    asker: &mut dyn Asker,
    told: &mut dyn FnMut(&str) -> Result<()>,
) -> Result<Proposal> {
    let share = open.pruner.present_share();
    if share < 1.0 {
        let when = if open.is_finished() {
            "and its best set is from before its end: prune.schedule = \"constant\" makes one that can be asked"
        } else {
            "which is under way: ask it when it is finished"
        };
        return Err(Error::user(format!(
            "the ratios of this run rise by its schedule, {when} ({:.0} % of them so far)",
            100.0 * share
        )));
    }
    let (keys, sizes): (Vec<Key>, Vec<f64>) =
        scratch::sizes(&open.set).into_iter().map(|(key, size)| (key, size as f64)).unzip();
    let names = open.recipe.adapters.iter().enumerate().map(|(i, a)| (i, a.name.clone())).collect();
    let squares = if open.pruner.lacks_norms() {
        Some(step::train_squares(&open.task, &open.set, &open.recipe.train)?)
    } else {
        None
    };
    let mut search = Search {
        open,
        answers: Answers::default(),
        asker,
        told,
        measured: 0,
        slopes: 0,
        rounds,
        choose: documents.choose.clone(),
        keys,
        sizes,
        names,
        squares,
    };
    let (sparsity, best) = match goal {
        Goal::Sparsity(sparsity) => (sparsity, search.best(sparsity)?),
        Goal::MaxLoss(most) => {
            // As far as one ratio for all goes, moves from there, as far as these go, and then back to where also
            // the documents that had no say in them lose no more.
            let choose = documents.choose.clone();
            let even = search.within(&vec![0.0; search.keys.len()], most, 0..SPARSITIES, SPARSITIES / 2, &choose)?;
            let least = || Error::user(format!("even at 5 % the dev loss rises by more than {most}"));
            if even == 0 {
                return Err(least());
            }
            let best = search.best(even as f64 / SPARSITIES as f64)?;
            let further = search.within(&best.offsets, most, even..SPARSITIES, even + 2, &choose)?;
            let kept = search.within(&best.offsets, most, 0..further + 1, further, &documents.verify)?;
            if kept == 0 {
                return Err(least());
            }
            let sparsity = kept as f64 / SPARSITIES as f64;
            (sparsity, search.at(best.offsets, best.moves, sparsity)?)
        }
    };
    let Point { offsets, rules, moves, found: chosen } = best;
    let equal = uniform(sparsity);
    let chosen = [chosen.delta, search.ask(&equal, &documents.choose)?.delta].map(Option::unwrap_or_default);
    let (mine, theirs) = (search.ask(&rules, &documents.verify)?, search.ask(&equal, &documents.verify)?);
    let ratios = Tilt { sizes: &search.sizes, offsets: &offsets, sparsity }.ratios();
    Ok(Proposal {
        sparsity: mine.sparsity[1],
        moves,
        stands: [mine.sparsity[0], mine.loss.unwrap_or_default()[0]],
        documents: [documents.choose.clone(), documents.verify.clone()].map(|d| [d.start, d.end]),
        chosen,
        verified: [mine.delta, theirs.delta].map(Option::unwrap_or_default),
        gain: paired(&mine, &theirs),
        measured: search.measured,
        slopes: search.slopes,
        groups: groups(&search.keys, &search.sizes, &search.names, &ratios),
        rules,
    })
}

/// Mean ratio, by entries, of every adapter and factor, projection and third of the layers that there are.
fn groups(keys: &[Key], sizes: &[f64], names: &BTreeMap<usize, String>, ratios: &[f64]) -> Vec<(String, f64)> {
    let layers = keys.iter().map(|key| key.0.layer).max().unwrap_or(0) + 1;
    let third = |layer: usize| 3 * layer / layers;
    let mut groups: Vec<(String, [f64; 2])> = Vec::new();
    let mut group = |name: String, of: &dyn Fn(&Key) -> bool| {
        let sum = keys.iter().zip(sizes).zip(ratios).filter(|((key, _), _)| of(key));
        let sums = sum.fold([0.0; 2], |[sum, all], ((_, size), ratio)| [sum + size * ratio, all + size]);
        groups.push((name, sums));
    };
    for (adapter, name) in names {
        for factor in [Factor::A, Factor::B] {
            group(format!("{name} {factor}"), &|key| key.1 == *adapter && key.2 == factor);
        }
    }
    for projection in Projection::ALL {
        group(projection.to_string(), &|key| key.0.projection == projection);
    }
    for part in 0..3 {
        let of: Vec<usize> = (0..layers).filter(|layer| third(*layer) == part).collect();
        let (Some(first), Some(last)) = (of.first(), of.last()) else { continue };
        group(format!("layers {first}-{last}"), &|key| third(key.0.layer) == part);
    }
    groups.into_iter().filter(|(_, [_, all])| *all > 0.0).map(|(name, [sum, all])| (name, sum / all)).collect()
}

#[cfg(test)]
mod tests {
    use super::{Change, WhatIf, last_within, lowest, rise};
    use std::ops::Range;

    #[test]
    fn a_move_whose_loss_is_no_number_gains_nothing_and_does_not_end_the_search() {
        // Of each length what it changes the loss by.
        let found = |gains: [Option<f64>; 5]| {
            let (lengths, mut asked) = ([1.0, 2.0, 4.0, 0.5, 0.25], Vec::new());
            let lowest = lowest(|by| {
                asked.push(by);
                let at = lengths.iter().position(|length| *length == by).unwrap();
                Ok(gains[at].map(|gain| (gain, by)))
            });
            (lowest.unwrap(), asked)
        };
        let gains = [Some(-0.1), Some(-0.2), None, Some(-0.9), Some(-0.9)];
        assert_eq!(found(gains), (Some(2.0), vec![1.0, 2.0, 4.0]));
        assert_eq!(found([None, None, None, None, Some(-0.1)]), (Some(0.25), vec![1.0, 0.5, 0.25]));
        assert_eq!(found([Some(-0.1), None, None, Some(-0.2), None]), (Some(0.5), vec![1.0, 2.0, 0.5, 0.25]));
        assert_eq!(found([None; 5]), (None, vec![1.0, 0.5, 0.25]));
        assert_eq!(found([Some(f64::NAN), None, None, Some(0.1), Some(0.0)]), (None, vec![1.0, 0.5, 0.25]));
    }

    #[test]
    fn ratios_with_which_the_loss_is_no_number_cost_more_than_any_may() {
        let delta = Some(Change { mean: 0.25, ..Change::default() });
        let measured = |step| if step < 7 { Ok(WhatIf { delta, ..WhatIf::default() }) } else { Err("no".to_owned()) };
        let within = last_within(0..20, 10, |step| Ok(rise(&measured(step)) <= 0.3));
        assert_eq!((within.unwrap(), rise(&measured(7))), (6, f64::INFINITY));
        assert_eq!(rise(&Ok(WhatIf::default())), f64::INFINITY);
    }

    fn asked(between: Range<usize>, first: usize, last: usize) -> (usize, Vec<usize>) {
        let mut asked = Vec::new();
        let found = last_within(between, first, |step| {
            asked.push(step);
            Ok(step <= last)
        });
        (found.unwrap(), asked)
    }

    #[test]
    fn the_last_that_holds_is_found_with_few_questions() {
        assert_eq!(asked(9..20, 11, 12), (12, vec![11, 13, 12]));
        assert_eq!(asked(0..13, 12, 10), (10, vec![12, 10, 11]));
        assert_eq!(asked(0..13, 12, 0), (0, vec![12, 10, 6, 1]));
        assert_eq!(asked(19..20, 21, 19), (19, vec![]));
        for last in 0..20 {
            for first in 0..25 {
                let (found, asked) = asked(0..20, first, last);
                assert_eq!(found, last.min(19));
                assert!(asked.len() <= 7, "{first} {last} {asked:?}");
            }
        }
    }
}
