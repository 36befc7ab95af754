//! Prune ratios being edited: a draft over the run's own, its selection, and what it would bring.

pub mod ask;
pub mod draft;
pub mod forecast;
pub mod menu;
pub mod presets;
pub mod rules;
pub mod sketch;
pub mod suggest;
#[cfg(test)]
mod tests;
pub mod trial;
pub mod variants;

pub use menu::Menu;

use super::action::RatioAction;
use super::update::toast;
use super::{App, Effect, Measure, clean, prompt};
use crate::module::{Factor, ModuleId};
use crate::recipe::ratios::Rule;
use crate::run::control::Command;
use draft::Draft;

/// What `+` and `-` change a ratio by.
const STEP: f64 = 0.05;

/// Which cells edits apply to, from an anchor to the cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Area {
    /// A rectangle of layers and projections.
    Cells(usize, usize),
    /// Whole layers.
    Layers(usize),
    /// Whole projections.
    Projections(usize),
    /// Everything.
    All,
}

/// A named set of rules.
#[derive(Debug, Clone, PartialEq)]
pub struct Set {
    /// Its name.
    pub name: String,
    /// Its rules, or what is wrong with its file.
    pub rules: Result<Vec<Rule>, String>,
}

/// What is to be done with named sets.
#[derive(Debug, Clone, PartialEq)]
pub enum Order {
    /// Keep rules under a name.
    Save {
        /// The name.
        name: String,
        /// The rules.
        rules: Vec<Rule>,
    },
    /// Say which there are.
    List,
}

/// The ratios of one adapter, to be pasted into another.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Copied {
    /// The adapter's name.
    pub adapter: String,
    ratios: Vec<(ModuleId, Factor, f64)>,
}

/// All about editing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ratios {
    /// The edits.
    pub draft: Draft,
    /// The selection, if there is one.
    pub area: Option<Area>,
    /// What was copied.
    pub copied: Copied,
    /// Names of the sets that there are, as far as they were looked for.
    pub names: Vec<String>,
    /// The draft on a copy, and what was kept.
    pub trial: trial::Trial,
    /// Ratios that are looked for.
    pub suggestion: suggest::Suggestion,
    /// The list of sets was asked for.
    wants_sets: bool,
}

/// A ratio to four digits, as the journal has them: equal ones are the same number.
pub fn tidy(ratio: f64) -> f64 {
    (ratio * 1e4).round() / 1e4
}

impl Ratios {
    /// Whether a cell of the heatmap is selected.
    pub fn selects(&self, cursor: (usize, usize), layer: usize, projection: usize) -> bool {
        let between = |a: usize, b: usize, x: usize| (a.min(b)..=a.max(b)).contains(&x);
        match self.area {
            None => false,
            Some(Area::All) => true,
            Some(Area::Layers(from)) => between(from, cursor.0, layer),
            Some(Area::Projections(from)) => between(from, cursor.1, projection),
            Some(Area::Cells(l, p)) => between(l, cursor.0, layer) && between(p, cursor.1, projection),
        }
    }

    /// A column of the journal's with what is expected of the ratios that are wanted over what is; `None` where nothing
    /// else is wanted, or the measure does not follow from ratios.
    pub fn expected(&self, app: &App, measure: Measure) -> Option<Vec<Option<f32>>> {
        if self.draft.is_empty() && app.pending.is_empty() {
            return None;
        }
        let modules = app.drafted().filter(|_| measure.follows_ratios())?;
        let outlook = forecast::Outlook::new(app)?;
        let now = if measure == Measure::Ratio { modules.full_ratios() } else { measure.column(modules) };
        let wanted = |at: usize| self.draft.get(at).or_else(|| app.pending.get(at));
        let expected = |at: usize| outlook.of(measure, at, wanted(at)?);
        // What takes no part in pruning has no value, also with a wish.
        Some(now.iter().enumerate().map(|(at, now)| now.and(expected(at).or(*now))).collect())
    }
}

/// How a cell of the heatmap differs from the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Marks {
    /// Some matrix has another ratio in the draft.
    pub draft: bool,
    /// Some matrix waits for a ratio that was sent.
    pub pending: bool,
}

/// The marks of all cells, by layer and projection.
pub fn marks(app: &App) -> Vec<[Marks; 7]> {
    let mut all = vec![[Marks::default(); 7]; app.layers()];
    let Some(started) = &app.started else { return all };
    for (at, matrix) in started.matrices.iter().enumerate().filter(|(_, m)| app.selection.takes(m)) {
        if let Some(cells) = all.get_mut(matrix.module.layer) {
            let cell = &mut cells[matrix.module.projection as usize];
            cell.draft |= app.ratios.draft.get(at).is_some();
            cell.pending |= app.pending.get(at).is_some();
        }
    }
    all
}

/// The ratio that a matrix has with the draft; `None` where it takes no part in pruning.
pub fn ratio(app: &App, matrix: usize) -> Option<f64> {
    let present = app.present_ratio(matrix)?;
    Some(app.ratios.draft.get(matrix).unwrap_or(present))
}

/// The matrices that edits apply to: those of the selection or under the cursor, of the chosen adapter and factor.
pub fn targets(app: &App) -> Vec<usize> {
    let here = |layer: usize, projection: usize| match app.ratios.area {
        None => (layer, projection) == app.cursor,
        Some(_) => app.ratios.selects(app.cursor, layer, projection),
    };
    matrices(app, here)
}

/// As [`targets`], but everything without a selection.
pub fn scope(app: &App) -> Vec<usize> {
    if app.ratios.area.is_some() { targets(app) } else { matrices(app, |_, _| true) }
}

fn matrices(app: &App, here: impl Fn(usize, usize) -> bool) -> Vec<usize> {
    let Some(started) = &app.started else { return Vec::new() };
    let all = started.matrices.iter().enumerate();
    let taken = all.filter(|(_, m)| app.selection.takes(m) && here(m.module.layer, m.module.projection as usize));
    taken.map(|(at, _)| at).filter(|at| app.present_ratio(*at).is_some()).collect()
}

/// Puts ratios into the draft; how many matrices changed.
pub fn edit(app: &mut App, wanted: &[(usize, f64)]) -> usize {
    let mut ratios = std::mem::take(&mut app.ratios);
    let changed = ratios.draft.set(wanted, |at| app.present_ratio(at));
    app.ratios = ratios;
    changed
}

/// As [`edit`], and says so where it changes nothing.
fn put(app: &mut App, wanted: &[(usize, f64)]) {
    if edit(app, wanted) == 0 {
        toast(app, "these are the ratios already");
    }
}

/// Says why there is nothing to edit; true if there is nothing.
fn refused(app: &mut App, targets: &[usize]) -> bool {
    if targets.is_empty() {
        let why = if app.modules.is_some() && (app.stage.prunes || app.state.is_over()) {
            "there is no such matrix here"
        } else if app.state.is_over() {
            "this run has trained nothing"
        } else {
            "this stage is not pruning yet"
        };
        toast(app, format!("{why}: no ratio to change"));
    }
    targets.is_empty()
}

/// A key.
pub fn act(app: &mut App, action: RatioAction) -> Vec<Effect> {
    match action {
        RatioAction::Raise => step(app, STEP),
        RatioAction::Lower => step(app, -STEP),
        RatioAction::ApplyDraft => return apply(app),
        RatioAction::DropDraft => drop_draft(app),
        RatioAction::SelectCells => {
            let on = matches!(app.ratios.area, Some(Area::Cells(..)));
            app.ratios.area = (!on).then_some(Area::Cells(app.cursor.0, app.cursor.1));
        }
        RatioAction::SelectLines => {
            app.ratios.area = match app.ratios.area {
                Some(Area::Layers(_)) => Some(Area::Projections(app.cursor.1)),
                Some(Area::Projections(_)) => None,
                _ => Some(Area::Layers(app.cursor.0)),
            };
        }
        RatioAction::SelectAll => app.ratios.area = Some(Area::All),
        RatioAction::ChangeRatio => {
            let targets = targets(app);
            if !refused(app, &targets) {
                prompt::ask(app, prompt::Purpose::Ratio, "prune ratio", ask::CHANGE, "");
            }
        }
        RatioAction::RatioRule => {
            let all = matrices(app, |_, _| true);
            if !refused(app, &all) {
                prompt::ask(app, prompt::Purpose::RatioRule, "prune rule", ask::RULE, "");
            }
        }
        RatioAction::Presets => {
            let scope = scope(app);
            if !refused(app, &scope) {
                menu::open(app, "presets at the present mean", presets::all(app, &scope));
            }
        }
        RatioAction::ShowTrial => {
            app.looks.reach.forget();
            app.overlay = Some(super::Overlay::Trial { top: 0 });
        }
        RatioAction::Sensitivity => return super::sensitivity::measure(app),
        RatioAction::SensitivityCurves => return super::sensitivity::view::toggle_curves(app),
        RatioAction::LowerMap => return super::sensitivity::view::turn(app, false),
        RatioAction::HigherMap => return super::sensitivity::view::turn(app, true),
        RatioAction::Suggest => return suggest::ask(app),
        RatioAction::KeepVariant => variants::keep(app),
        RatioAction::CompareVariants => variants::compare(app),
        RatioAction::Undo => travel(app, false),
        RatioAction::Redo => travel(app, true),
        RatioAction::CopyRatios => copy(app),
        RatioAction::PasteRatios => paste(app),
        RatioAction::SaveRatios => {
            let all = matrices(app, |_, _| true);
            if !refused(app, &all) {
                prompt::ask(app, prompt::Purpose::RatioSet, "save the ratios as", ask::NAME, "");
                return vec![Effect::Ratios(Order::List)];
            }
        }
        RatioAction::LoadRatios => {
            let all = matrices(app, |_, _| true);
            if !refused(app, &all) {
                app.ratios.wants_sets = true;
                return vec![Effect::Ratios(Order::List)];
            }
        }
    }
    Vec::new()
}

fn step(app: &mut App, by: f64) {
    let targets = targets(app);
    if !refused(app, &targets) && edit(app, &ask::Change::Add(by).of(app, &targets)) == 0 {
        let (end, way) = if by > 0.0 { ("1.0", "raise") } else { ("0.0", "lower") };
        toast(app, format!("the ratio here is {end} already: nothing to {way}"));
    }
}

/// Sends the draft as rules.
fn apply(app: &mut App) -> Vec<Effect> {
    let changes: Vec<(usize, f64)> =
        app.ratios.draft.changes().filter(|(at, _)| app.present_ratio(*at).is_some()).collect();
    let Some(started) = app.started.as_ref().filter(|_| !changes.is_empty()) else {
        toast(app, "there is no draft to send: + - r R P edit the ratios first");
        return Vec::new();
    };
    if app.state.is_over() {
        // Nobody takes them any more: a new run begins with them, whatever the recipe's own were.
        return vec![Effect::SetUp(rules::fewest(started, |_| None, |at| ratio(app, at)))];
    }
    let rules = rules::fewest(started, |at| app.present_ratio(at), |at| ratio(app, at));
    for (at, ratio) in &changes {
        app.pending.ask(*at, *ratio);
    }
    app.ratios.draft.clear();
    app.ratios.area = None;
    vec![Effect::Send(Command::SetRatios { rules })]
}

/// Rules that were sent came to nothing: what they held is a draft again.
pub fn not_taken(app: &mut App, sent: &[(usize, f64)]) {
    let mut ratios = std::mem::take(&mut app.ratios);
    ratios.draft.put_back(sent, |at| app.present_ratio(at));
    app.ratios = ratios;
}

/// The run's own ratios are new.
pub fn settle(app: &mut App) {
    if !app.ratios.draft.is_empty() {
        let mut ratios = std::mem::take(&mut app.ratios);
        ratios.draft.settle(|at| app.present_ratio(at));
        app.ratios = ratios;
    }
}

fn drop_draft(app: &mut App) {
    if app.ratios.area.take().is_some() || app.ratios.draft.is_empty() {
        return;
    }
    let back: Vec<(usize, f64)> =
        app.ratios.draft.changes().filter_map(|(at, _)| Some((at, app.present_ratio(at)?))).collect();
    edit(app, &back);
    toast(app, "the draft is dropped; u brings it back");
}

fn travel(app: &mut App, forth: bool) {
    let mut ratios = std::mem::take(&mut app.ratios);
    let base = |at| app.present_ratio(at);
    let found = if forth { ratios.draft.redo(base) } else { ratios.draft.undo(base) };
    app.ratios = ratios;
    if found.is_none() {
        toast(app, if forth { "there is no edit to make again" } else { "there is no edit to take back" });
    }
}

fn copy(app: &mut App) {
    let Some(adapter) = app.selection.adapter else {
        toast(app, "a chooses the adapter whose ratios y copies");
        return;
    };
    let Some(started) = &app.started else { return };
    let mine = started.matrices.iter().enumerate().filter(|(_, m)| m.adapter == adapter);
    let ratios: Vec<_> = mine.filter_map(|(at, m)| Some((m.module, m.factor, ratio(app, at)?))).collect();
    let (name, count) = (app.adapter_name(adapter), ratios.len());
    if count == 0 {
        toast(app, format!("{name} has no ratios to copy"));
        return;
    }
    app.ratios.copied = Copied { adapter: name.clone(), ratios };
    toast(app, format!("copied {count} ratios of {name}; a chooses another adapter, Y pastes"));
}

fn paste(app: &mut App) {
    let copied = &app.ratios.copied;
    if copied.ratios.is_empty() {
        toast(app, "nothing is copied: y copies the ratios of an adapter");
        return;
    }
    let known: std::collections::HashMap<_, _> = copied.ratios.iter().map(|(m, f, r)| ((*m, *f), *r)).collect();
    let Some(started) = &app.started else { return };
    let place = |at: usize| started.matrices.get(at).map(|m| (m.module, m.factor));
    let wanted: Vec<(usize, f64)> =
        scope(app).into_iter().filter_map(|at| Some((at, *known.get(&place(at)?)?))).collect();
    let (from, to) = (copied.adapter.clone(), app.adapter_label());
    let changed = edit(app, &wanted);
    toast(app, format!("{changed} of {} ratios of {to} are now others, as in {from}", wanted.len()));
}

/// The named sets that there are.
pub fn take_sets(app: &mut App, sets: Vec<Set>) {
    let sets: Vec<Set> = sets.into_iter().map(|set| Set { name: clean::line(&set.name), ..set }).collect();
    app.ratios.names = sets.iter().map(|set| set.name.clone()).collect();
    if std::mem::take(&mut app.ratios.wants_sets) {
        if sets.is_empty() {
            toast(app, "there are no saved sets of ratios yet: w saves one");
        } else {
            let items = sets.into_iter().map(|set| menu::set(app, set)).collect();
            menu::open(app, "saved ratios", items);
        }
    }
}
