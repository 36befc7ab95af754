//! How much the dev loss minds the pruning of each part, as far as it was measured: what the heatmap shows of that, and
//! the request for more.

pub mod view;

use super::update::toast;
use super::{App, Effect, Grid, Measure, Scale, clean};
use crate::module::{Factor, Projection};
use crate::run::RunState;
use crate::run::event::Started;
use crate::run::inquiry::Question;
use crate::run::sensitivity::{By, Measured, guidance};
use std::collections::{BTreeSet, HashMap};

/// The ratios that parts are pruned to, in this order: the first shows most.
pub const RATIOS: [f64; 4] = [0.7, 0.9, 0.5, 0.3];
/// Dev documents that the loss is measured on.
const DOCUMENTS: usize = 8;
/// The roles of adapters.
const ROLES: [&str; 2] = ["target", "related"];
/// Measurements that are kept: far more than any model has parts.
const MOST: usize = 100_000;

/// What is known.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sensitivity {
    /// Measurements of one set on the same documents, the newest last.
    all: Vec<Measured>,
    /// Where among them a group's is, by what it has in common and its ratio.
    places: HashMap<String, HashMap<(By, u64), usize>>,
    /// The run's file was read when the run was over.
    opened: bool,
    /// The request under way, empty until it has an id.
    request: Option<String>,
    /// The ratio that the user wants to see.
    chosen: Option<f64>,
    /// Curves in the place of the table.
    curves: bool,
}

impl Sensitivity {
    /// Whether something is measured now.
    pub fn is_asked(&self) -> bool {
        self.request.is_some()
    }

    /// The measurements.
    pub fn all(&self) -> &[Measured] {
        &self.all
    }

    /// Whether curves are wanted where there is no room for table and curves.
    pub fn shows_curves(&self) -> bool {
        self.curves
    }

    /// The ratio that the map shows: the chosen one, else the first of [`RATIOS`] with a measured module, else with anything,
    /// else another.
    pub fn ratio(&self) -> Option<f64> {
        if let Some(ratio) = self.chosen.filter(|ratio| self.all.iter().any(|m| m.ratio == *ratio)) {
            return Some(ratio);
        }
        let has =
            |ratio: f64, by: Option<By>| self.all.iter().any(|m| m.ratio == ratio && by.is_none_or(|by| m.by == by));
        let of_modules = RATIOS.into_iter().find(|ratio| has(*ratio, Some(By::Module)));
        let of_any = || RATIOS.into_iter().find(|ratio| has(*ratio, None));
        of_modules.or_else(of_any).or_else(|| self.all.last().map(|m| m.ratio))
    }

    /// All ratios that something was pruned to, rising; 1 leaves a part out.
    pub fn ratios(&self) -> Vec<f64> {
        let mut all: Vec<f64> = self.all.iter().map(|m| m.ratio).collect();
        all.sort_unstable_by(f64::total_cmp);
        all.dedup();
        all
    }

    /// One measurement.
    pub fn of(&self, by: By, group: &str, ratio: f64) -> Option<&Measured> {
        self.places.get(group)?.get(&key(by, ratio)).and_then(|at| self.all.get(*at))
    }

    /// What it says of the adapters' factors, in a sentence.
    pub fn guidance(&self) -> Option<String> {
        RATIOS.into_iter().find_map(|ratio| guidance(&self.all, ratio))
    }

    /// Measured and wanted at a ratio.
    pub fn count(&self, started: &Started, ratio: f64) -> (usize, usize) {
        (self.all.iter().filter(|m| m.ratio == ratio).count(), parts(started))
    }

    fn take(&mut self, mut measured: Measured) {
        measured.group = clean::line(&measured.group);
        measured.rule = clean::line(&measured.rule);
        let is_same = |known: &Measured| {
            (known.at, known.documents, &known.on) == (measured.at, measured.documents, &measured.on)
        };
        if !self.all.last().is_none_or(is_same) {
            self.all.clear();
            self.places.clear();
        }
        let key = key(measured.by, measured.ratio);
        match self.places.get(&measured.group).and_then(|of| of.get(&key)).copied() {
            Some(at) => self.all[at] = measured,
            None if self.all.len() < MOST => {
                self.places.entry(measured.group.clone()).or_default().insert(key, self.all.len());
                self.all.push(measured);
            }
            None => {}
        }
    }
}

/// What tells a group's measurements apart.
fn key(by: By, ratio: f64) -> (By, u64) {
    // A zero has one sign.
    (by, (ratio + 0.0).to_bits())
}

/// Groups of a run at one ratio.
fn parts(started: &Started) -> usize {
    let count = |of: &mut dyn Iterator<Item = usize>| of.collect::<BTreeSet<_>>().len();
    let matrices = &started.matrices;
    let adapters = count(&mut matrices.iter().map(|m| m.adapter));
    let layers = count(&mut matrices.iter().map(|m| m.module.layer));
    let projections = count(&mut matrices.iter().map(|m| m.module.projection as usize));
    let modules = count(&mut matrices.iter().map(|m| m.module.layer * 7 + m.module.projection as usize));
    2 + 2 * roles(started).len() + 3 * adapters + projections + layers + modules
}

/// The roles that adapters with matrices have.
fn roles(started: &Started) -> Vec<&'static str> {
    let mine: BTreeSet<usize> = started.matrices.iter().map(|m| m.adapter).collect();
    let has = |role: &str| mine.iter().filter_map(|at| started.adapters.get(*at)).any(|a| a.role == role);
    ROLES.into_iter().filter(|role| has(role)).collect()
}

/// Reads the run's file where the run is over: what is known of it belongs to its result.
pub fn opened(app: &mut App) -> Vec<Effect> {
    if !app.state.is_over() || !app.caught_up {
        // It may be resumed, and measured elsewhere.
        app.sensitivity.opened = false;
        return Vec::new();
    }
    if std::mem::replace(&mut app.sensitivity.opened, true) { Vec::new() } else { vec![Effect::ReadSensitivity] }
}

/// What the measurements say of a run that is over, in a line; `None` where nothing was measured, or the map itself tells it.
/// It begins with the step that they are of, unless that is the one on show.
pub fn guidance_line(app: &App) -> Option<String> {
    if !app.state.is_over() || app.measure == Measure::Sensitivity {
        return None;
    }
    let said = app.sensitivity.guidance()?;
    Some(elsewhere(app).map_or_else(|| said.clone(), |place| format!("{place}: {said}")))
}

/// What the run's file says.
pub fn take_file(app: &mut App, all: Vec<Measured>) {
    all.into_iter().for_each(|measured| app.sensitivity.take(measured));
}

/// An answer to the request `id`.
pub fn take(app: &mut App, measured: Measured) {
    app.sensitivity.take(measured);
}

/// The request has an id.
pub fn sent(app: &mut App, id: &str) {
    if let Some(request) = app.sensitivity.request.as_mut().filter(|request| request.is_empty()) {
        id.clone_into(request);
    }
}

/// It could not be sent.
pub fn not_sent(app: &mut App) {
    app.sensitivity.request.take_if(|request| request.is_empty());
}

/// The last word on the request `id`; false if it is another's.
pub fn ended(app: &mut App, id: &str, why: Option<&str>) -> bool {
    let mine = app.sensitivity.request.take_if(|request| request == id).is_some();
    if mine {
        let all = app.sensitivity.all.len();
        match why {
            None => toast(app, format!("the sensitivity is measured: {all} parts and ratios")),
            Some(why) => toast(app, format!("{why}: {all} parts and ratios are measured, the key goes on from there")),
        }
    }
    mine
}

/// Why nothing that takes long can be measured of this run now.
pub fn refusal(app: &App) -> Option<String> {
    if app.looks.replay.is_some() {
        return Some("a replay measures nothing".into());
    }
    match app.state {
        RunState::Running => Some("the run is under way: p pauses it, then it can be measured".into()),
        RunState::Created => Some("the run has not begun: there is nothing to measure".into()),
        _ => None,
    }
}

/// The key: shows the map and goes on measuring it, or gives that up.
pub fn measure(app: &mut App) -> Vec<Effect> {
    if app.is_difference() {
        toast(app, "the map shows a difference: D leaves that first");
        return Vec::new();
    }
    (app.measure, app.measure_chosen) = (Measure::Sensitivity, true);
    if let Some(request) = app.sensitivity.request.clone() {
        return if request.is_empty() { Vec::new() } else { vec![Effect::Inquire(Question::GiveUp { request })] };
    }
    if let Some(why) = refusal(app) {
        toast(app, why);
        return vec![Effect::ReadSensitivity];
    }
    app.sensitivity.request = Some(String::new());
    let question = Question::Sensitivity { ratios: RATIOS.to_vec(), documents: DOCUMENTS };
    vec![Effect::ReadSensitivity, Effect::Inquire(question)]
}

/// Where it was measured, unless that is the step on show: `step 7`, `step 7 of stage 2`.
pub fn elsewhere(app: &App) -> Option<String> {
    let (stage, step, _) = app.sensitivity.all.last()?.at;
    let shown = app.watch.scrub.shown.as_ref().or_else(|| app.past());
    let live = app.drafted().map(|modules| (app.stage.index, modules.step));
    let here = shown.map(|shown| (shown.place.stage, shown.place.step)).or(live);
    if here == Some((stage, step)) {
        return None;
    }
    let is_of_stage = here.is_some_and(|(here, _)| here == stage);
    Some(if is_of_stage { format!("step {step}") } else { format!("step {step} of stage {}", stage + 1) })
}

/// Changes of the loss, nats per token: of every module; of every layer and projection as a whole, not their means.
/// `None` before anything is measured.
pub fn grid(app: &App) -> Option<Grid> {
    let started = app.started.as_ref()?;
    let known = &app.sensitivity;
    let ratio = known.ratio()?;
    let mut grid =
        Grid { cells: vec![[None; 7]; started.layers], layers: vec![None; started.layers], ..Grid::default() };
    let projection = |name: &str| Projection::ALL.iter().position(|p| p.name() == name);
    let layer = |text: &str| text.strip_prefix("layers.")?.parse::<usize>().ok().filter(|l| *l < started.layers);
    for measured in known.all.iter().filter(|m| m.ratio == ratio) {
        let value = Some(measured.delta.mean as f32).filter(|v| v.is_finite());
        match measured.by {
            By::Module => {
                // layers.3.self_attn.q_proj
                let mut words = measured.group.splitn(3, '.');
                let (Some(first), Some(number), Some(rest)) = (words.next(), words.next(), words.next()) else {
                    continue;
                };
                let name = rest.rsplit('.').next().unwrap_or_default();
                if let (Some(l), Some(p)) = (layer(&format!("{first}.{number}")), projection(name)) {
                    grid.cells[l][p] = value;
                }
            }
            By::Layer => {
                if let Some(l) = layer(&measured.group) {
                    grid.layers[l] = value;
                }
            }
            By::Projection => {
                if let Some(p) = projection(&measured.group) {
                    grid.projections[p] = value;
                }
            }
            By::Factor | By::RoleFactor | By::Adapter | By::AdapterFactor => {}
        }
    }
    Some(grid)
}

/// The range around zero that holds every module's change; before one is known, every layer's and projection's.
pub fn scale(grid: Option<&Grid>) -> Scale {
    let most = |of: &mut dyn Iterator<Item = &Option<f32>>| of.flatten().fold(0.0, |most: f32, v| most.max(v.abs()));
    let Some(grid) = grid else { return Scale::around_zero(0.0) };
    let modules = most(&mut grid.cells.iter().flatten());
    let whole = if modules > 0.0 { modules } else { most(&mut grid.layers.iter().chain(&grid.projections)) };
    Scale::around_zero(whole)
}

/// The parts that belong to the module under the cursor, then those that belong to all, as the table shows them.
pub fn rows(app: &App) -> Vec<(By, String)> {
    let module = app.module();
    let mut rows = vec![
        (By::Module, module.to_string()),
        (By::Layer, format!("layers.{}", module.layer)),
        (By::Projection, module.projection.to_string()),
    ];
    let names: Vec<String> = app.started.iter().flat_map(|s| &s.adapters).map(|a| a.name.clone()).collect();
    rows.extend(
        names.iter().flat_map(|name| [Factor::A, Factor::B].map(|f| (By::AdapterFactor, format!("{name} {f}")))),
    );
    let roles = app.started.as_ref().map(roles).unwrap_or_default();
    rows.extend(roles.iter().flat_map(|role| [Factor::A, Factor::B].map(|f| (By::RoleFactor, format!("{role} {f}")))));
    rows.extend([Factor::A, Factor::B].map(|f| (By::Factor, f.to_string())));
    rows.extend(names.into_iter().map(|name| (By::Adapter, name)));
    rows
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::app::Message;
    use crate::app::update::update;
    use crate::module::ModuleId;
    use crate::run::event::{AdapterInfo, Event, EventBody, MatrixInfo, Modules, Stage};
    use crate::run::inquiry::{Answer, Said};
    use crate::run::what_if::Change;

    fn measured(by: By, group: &str, ratio: f64, mean: f64) -> Measured {
        Measured {
            at: (1, 7, 0),
            by,
            group: group.into(),
            rule: format!("{group}={ratio}"),
            ratio,
            documents: [0, 8],
            on: String::new(),
            loss: [3.5, 3.5 + mean],
            delta: Change { mean, se: Some(0.001) },
            sparsity: [0.5, 0.6],
            retained: [0.9, 0.8],
            restored: 0,
            seconds: 0.25,
        }
    }

    fn app(state: RunState) -> App {
        let mut app = App::new("x", false);
        let matrices = (0..2).flat_map(|layer| {
            [Projection::QProj, Projection::UpProj].into_iter().flat_map(move |p| {
                [Factor::A, Factor::B].map(|factor| MatrixInfo {
                    module: ModuleId::new(layer, p),
                    adapter: 0,
                    factor,
                    rows: 4,
                    cols: 4,
                })
            })
        });
        let adapters = vec![AdapterInfo { name: "games".into(), ..AdapterInfo::default() }];
        let started = Started { layers: 2, adapters, matrices: matrices.collect(), ..Started::default() };
        let ratio = vec![Some(0.5); started.matrices.len()];
        let bodies = [
            EventBody::Started(Box::new(started)),
            EventBody::Stage(Stage { steps: 9, prunes: true, ..Stage::default() }),
            EventBody::Modules(Modules { step: 7, sparsity: ratio.clone(), ratio, ..Modules::default() }),
        ];
        let events = bodies.into_iter().map(|body| Event { v: 1, seq: 0, t: 0.0, body }).collect();
        update(&mut app, Message::Run { events, state, caught_up: true });
        app
    }

    fn said(app: &mut App, id: &str, said: Said) {
        update(app, Message::Answered(Box::new(Answer { id: id.into(), said })));
    }

    #[test]
    fn the_map_fills_as_parts_are_measured_and_the_key_gives_up_and_goes_on() {
        let mut app = app(RunState::Finished);
        let effects = update(&mut app, Message::Key("z".into()));
        let [Effect::ReadSensitivity, Effect::Inquire(question)] = &effects[..] else { unreachable!("{effects:?}") };
        assert_eq!(question.name(), "sensitivity");
        assert!(app.measure == Measure::Sensitivity && grid(&app).is_none() && app.sensitivity.is_asked());
        update(&mut app, Message::Sent { command: "sensitivity".into(), id: "screen-1".into() });
        let known = vec![measured(By::Layer, "layers.1", 0.7, 0.03), measured(By::Projection, "up_proj", 0.7, -0.01)];
        update(&mut app, Message::Sensitivity(known));
        let map = grid(&app).unwrap();
        assert_eq!((map.layers[1], map.projections[Projection::UpProj as usize]), (Some(0.03), Some(-0.01)));
        assert_eq!((scale(Some(&map)).high, map.cells[1][0]), (0.05, None));
        said(
            &mut app,
            "screen-1",
            Said::Measured(Box::new(measured(By::Module, "layers.1.self_attn.q_proj", 0.7, 0.002))),
        );
        let map = grid(&app).unwrap();
        assert_eq!((map.cells[1][0], scale(Some(&map)).high), (Some(0.002), 0.002));
        assert_eq!(app.sensitivity.count(app.started.as_ref().unwrap(), 0.7), (3, 2 + 3 + 2 + 2 + 4));
        let effects = update(&mut app, Message::Key("z".into()));
        assert_eq!(effects, [Effect::Inquire(Question::GiveUp { request: "screen-1".into() })]);
        said(&mut app, "screen-1", Said::Ended(Some("given up".into())));
        assert!(!app.sensitivity.is_asked());
        assert!(app.toast.as_ref().unwrap().0.starts_with("given up: 3 parts"), "{:?}", app.toast);
        // Another set's measurements are another map; no name of a file's makes it panic.
        for group in ["layers.99.self_attn.q_proj", "layers.x", "q", "", "layers.1.mlp.dance\u{1b}[2J"] {
            let mut other = measured(By::Module, group, 0.7, 0.5);
            other.at = (1, 9, 0);
            update(&mut app, Message::Sensitivity(vec![other]));
        }
        let map = grid(&app).unwrap();
        assert!(map.cells.iter().flatten().all(Option::is_none) && map.layers == [None, None]);
        assert!(app.sensitivity.all().iter().all(|m| !m.group.contains('\u{1b}')));
    }

    #[test]
    fn what_was_left_out_is_among_the_ratios_and_another_step_is_told() {
        let mut app = app(RunState::Finished);
        assert_eq!(elsewhere(&app), None, "nothing is measured");
        let all = [measured(By::Adapter, "games", 1.0, 0.3), measured(By::Layer, "layers.1", 0.7, 0.03)];
        update(&mut app, Message::Sensitivity(all.to_vec()));
        assert_eq!(app.sensitivity.ratios(), [0.7, 1.0]);
        assert_eq!((app.sensitivity.ratio(), elsewhere(&app).unwrap().as_str()), (Some(0.7), "step 7 of stage 2"));
        let here = all.map(|measured| Measured { at: (0, 7, 0), ..measured });
        update(&mut app, Message::Sensitivity(here.to_vec()));
        assert_eq!(elsewhere(&app), None);
        let body = EventBody::Modules(Modules { step: 8, ..app.modules.clone().unwrap() });
        let events = vec![Event { v: 1, seq: 0, t: 0.0, body }];
        update(&mut app, Message::Run { events, state: RunState::Finished, caught_up: true });
        assert_eq!(elsewhere(&app).unwrap(), "step 7");
        // Back at that step it is the one on show.
        update(&mut app, Message::Key("[".into()));
        assert_eq!(elsewhere(&app), None);
    }

    #[test]
    fn another_ratio_is_chosen_among_those_that_are_measured() {
        let mut app = app(RunState::Finished);
        // The first key reads what is known.
        assert_eq!(update(&mut app, Message::Key(">".into())), [Effect::ReadSensitivity]);
        assert!(app.measure == Measure::Sensitivity);
        let part = |ratio, mean| measured(By::Module, "layers.1.self_attn.q_proj", ratio, mean);
        let gone = measured(By::Adapter, "games", 1.0, 0.1);
        update(&mut app, Message::Sensitivity(vec![part(0.5, 0.001), part(0.9, 0.009), part(0.7, 0.004), gone]));
        assert_eq!(app.sensitivity.ratio(), Some(0.7));
        // The first key shows the map, the next ones turn it.
        app.measure = Measure::Sparsity;
        update(&mut app, Message::Key(">".into()));
        assert!(app.measure == Measure::Sensitivity && app.sensitivity.ratio() == Some(0.7));
        update(&mut app, Message::Key(">".into()));
        assert_eq!((app.sensitivity.ratio(), grid(&app).unwrap().cells[1][0]), (Some(0.9), Some(0.009)));
        update(&mut app, Message::Key(">".into()));
        assert!(app.toast.as_ref().unwrap().0.contains("no higher ratio") && app.sensitivity.ratio() == Some(0.9));
        update(&mut app, Message::Key("<".into()));
        update(&mut app, Message::Key("<".into()));
        assert_eq!(app.sensitivity.ratio(), Some(0.5));
        let curve = view::points(&app.sensitivity, By::Module, "layers.1.self_attn.q_proj");
        assert_eq!(curve, [(0.5, 1.0), (0.7, 4.0), (0.9, 9.0)]);
        // Measurements of another step: the chosen ratio is none of theirs.
        let other = Measured { at: (1, 8, 0), ..part(0.3, 0.002) };
        update(&mut app, Message::Sensitivity(vec![other]));
        assert_eq!(app.sensitivity.ratio(), Some(0.3));
    }

    #[test]
    fn what_was_measured_of_a_run_that_is_over_is_read_and_said_when_it_is_opened() {
        let tell = |app: &mut App, state, caught_up| update(app, Message::Run { events: Vec::new(), state, caught_up });
        let mut app = App::new("x", false);
        assert!(
            tell(&mut app, RunState::Running, true).is_empty() && tell(&mut app, RunState::Finished, false).is_empty()
        );
        assert_eq!(tell(&mut app, RunState::Finished, true), [Effect::ReadSensitivity]);
        assert!(tell(&mut app, RunState::Finished, true).is_empty(), "once");
        let mut app = self::app(RunState::Finished);
        assert_eq!(guidance_line(&app), None);
        let part = |group: &str, mean| Measured { at: (0, 7, 0), ..measured(By::AdapterFactor, group, 0.7, mean) };
        update(&mut app, Message::Sensitivity(vec![part("games A", 0.02), part("games B", 0.0)]));
        let line = guidance_line(&app).unwrap();
        assert!(line.starts_with("of 2 parts pruned alone to 0.7, games A costs the most"), "{line}");
        // Of another step it says of which; the map says it itself.
        let body = EventBody::Modules(Modules { step: 8, ..app.modules.clone().unwrap() });
        let events = vec![Event { v: 1, seq: 0, t: 0.0, body }];
        update(&mut app, Message::Run { events, state: RunState::Finished, caught_up: true });
        assert!(guidance_line(&app).unwrap().starts_with("step 7: of 2 parts"), "{:?}", guidance_line(&app));
        app.measure = Measure::Sensitivity;
        assert_eq!(guidance_line(&app), None);
        (app.measure, app.state) = (Measure::Sparsity, RunState::Running);
        assert_eq!(guidance_line(&app), None, "there is no result yet");
    }

    #[test]
    fn a_part_has_one_measurement_a_ratio_the_newest() {
        let mut app = app(RunState::Finished);
        let all: Vec<Measured> =
            (0..500u32).map(|i| measured(By::Layer, &format!("l{i}"), 0.7, f64::from(i))).collect();
        update(&mut app, Message::Sensitivity(all.clone()));
        update(&mut app, Message::Sensitivity(all));
        let again = [measured(By::Layer, "l7", 0.7, 0.25), measured(By::Module, "l7", 0.7, 0.5)];
        update(&mut app, Message::Sensitivity(again.to_vec()));
        let known = |by, ratio| app.sensitivity.of(by, "l7", ratio).map(|m| m.delta.mean);
        assert_eq!(
            (known(By::Layer, 0.7), known(By::Module, 0.7), known(By::Layer, 0.5)),
            (Some(0.25), Some(0.5), None)
        );
        assert_eq!(app.sensitivity.all().len(), 501);
        let other = Measured { at: (1, 8, 0), ..measured(By::Layer, "l9", 0.0, 0.1) };
        update(&mut app, Message::Sensitivity(vec![other]));
        assert!(
            app.sensitivity.of(By::Layer, "l7", 0.7).is_none() && app.sensitivity.of(By::Layer, "l9", -0.0).is_some()
        );
    }

    #[test]
    fn the_factors_of_roles_are_parts_and_rows() {
        let mut app = app(RunState::Finished);
        let started = app.started.as_mut().unwrap();
        let before = parts(started);
        started.adapters[0].role = "target".into();
        // One without matrices has no part.
        started.adapters.push(AdapterInfo { role: "related".into(), ..AdapterInfo::default() });
        assert_eq!((roles(started), parts(started)), (vec!["target"], before + 2));
        let rows = rows(&app);
        assert!(
            rows.contains(&(By::RoleFactor, "target B".into()))
                && !rows.contains(&(By::RoleFactor, "related A".into()))
        );
    }

    #[test]
    fn a_run_under_way_is_not_measured_beside_its_training() {
        let mut app = app(RunState::Running);
        assert_eq!(update(&mut app, Message::Key("z".into())), [Effect::ReadSensitivity]);
        assert!(app.toast.as_ref().unwrap().0.contains("p pauses it") && !app.sensitivity.is_asked());
        app.state = RunState::Paused;
        assert_eq!(update(&mut app, Message::Key("z".into())).len(), 2);
        update(&mut app, Message::NotSent("no".into()));
        assert!(!app.sensitivity.is_asked());
    }
}
