//! How it is shown: at which ratio, as a table or as curves over the ratios.

use super::Sensitivity;
use crate::app::update::toast;
use crate::app::{App, Effect, Measure};
use crate::run::sensitivity::{By, Measured};

/// Ratio and rise of the dev loss in 0.001 nats per token, by rising ratio.
pub fn points(known: &Sensitivity, by: By, group: &str) -> Vec<(f64, f64)> {
    let point = |ratio: f64| Some((ratio, 1000.0 * known.of(by, group, ratio)?.delta.mean));
    known.ratios().into_iter().filter_map(point).filter(|(_, y)| y.is_finite()).collect()
}

/// Whether the selection of adapter and factor takes a factor of an adapter: `games A`.
pub fn is_selected(app: &App, name: &str) -> bool {
    let Some((adapter, factor)) = name.rsplit_once(' ') else { return false };
    let of_adapter = app.selection.adapter.is_none_or(|a| app.adapter_name(a) == adapter);
    of_adapter && app.selection.factor.is_none_or(|f| f.to_string() == factor)
}

/// The map at the next lower or higher ratio that something was pruned to.
pub fn turn(app: &mut App, up: bool) -> Vec<Effect> {
    if show(app) {
        choose_next(app, up);
    }
    unread(app)
}

fn choose_next(app: &mut App, up: bool) {
    let now = app.sensitivity.ratio();
    let mut ratios = app.sensitivity.ratios();
    // What whole adapters alone were pruned to is on no map.
    let on_map = |m: &Measured| matches!(m.by, By::Module | By::Layer | By::Projection);
    ratios.retain(|ratio| app.sensitivity.all.iter().any(|m| m.ratio == *ratio && on_map(m)));
    if let Some(at) = ratios.iter().position(|ratio| Some(*ratio) == now) {
        let next = if up { at + 1 } else { at.wrapping_sub(1) };
        match ratios.get(next) {
            Some(ratio) => app.sensitivity.chosen = Some(*ratio),
            None => toast(app, format!("no {} ratio is measured", if up { "higher" } else { "lower" })),
        }
    }
}

/// Curves in the place of the table, or the table again.
pub fn toggle_curves(app: &mut App) -> Vec<Effect> {
    if show(app) {
        app.sensitivity.curves ^= true;
    }
    unread(app)
}

/// What an earlier screen measured lies in the run's file.
fn unread(app: &App) -> Vec<Effect> {
    if app.sensitivity.all.is_empty() { vec![Effect::ReadSensitivity] } else { Vec::new() }
}

/// Whether the map is on show; it is from now on, unless it cannot be.
fn show(app: &mut App) -> bool {
    if app.is_difference() {
        toast(app, "the map shows a difference: D leaves that first");
        return false;
    }
    let was = std::mem::replace(&mut app.measure, Measure::Sensitivity) == Measure::Sensitivity;
    app.measure_chosen = true;
    was
}
