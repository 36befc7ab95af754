//! Sets of ratios that are often wanted, all with the mean that the ratios have now.

use super::forecast::equal_retained;
use super::menu::Item;
use super::{ratio, tidy};
use crate::app::App;

/// How far the first and the last layer lie from the mean in a ramp, at most.
const SLOPE: f64 = 0.2;

/// A matrix that a preset gives a ratio.
#[derive(Debug, Clone, Copy)]
struct Matrix {
    at: usize,
    layer: usize,
    size: f64,
    ratio: f64,
}

/// The presets for these matrices.
pub fn all(app: &App, scope: &[usize]) -> Vec<Item> {
    let (Some(started), Some(modules)) = (&app.started, app.drafted()) else { return Vec::new() };
    let matrices: Vec<Matrix> = scope
        .iter()
        .filter_map(|&at| {
            let m = started.matrices.get(at)?;
            Some(Matrix { at, layer: m.module.layer, size: m.rows as f64 * m.cols as f64, ratio: ratio(app, at)? })
        })
        .collect();
    let size: f64 = matrices.iter().map(|m| m.size).sum();
    if size <= 0.0 {
        return Vec::new();
    }
    let mean = (matrices.iter().map(|m| m.ratio * m.size).sum::<f64>() / size).clamp(0.0, 1.0);
    let each = |f: &dyn Fn(&Matrix) -> f64| matrices.iter().map(|m| (m.at, f(m))).collect::<Vec<_>>();
    let ramp = |up: bool| {
        let by = SLOPE.min(mean).min(1.0 - mean);
        let by = if up { by } else { -by };
        // -1 in the first layer, 1 in the last, of those that are edited; centred by size.
        let (low, high) = matrices.iter().fold((usize::MAX, 0), |(l, h), m| (l.min(m.layer), h.max(m.layer)));
        let place = move |m: &Matrix| match (high - low) as f64 {
            0.0 => 0.0,
            span => 2.0 * (m.layer - low) as f64 / span - 1.0,
        };
        let centre = matrices.iter().map(|m| place(m) * m.size).sum::<f64>() / size;
        each(&|m| percent((mean + by * (place(m) - centre)).clamp(0.0, 1.0)))
    };
    let per_cent = |x: f64| format!("{:.0} %", 100.0 * x);
    let by = SLOPE.min(mean).min(1.0 - mean);
    let (few, many) = (per_cent(mean - by), per_cent(mean + by));
    let last = app.layers().saturating_sub(1);
    let edge = |m: &Matrix| m.layer == 0 || m.layer == last;
    let inner: f64 = matrices.iter().filter(|m| !edge(m)).map(|m| m.size).sum();
    let protect = if inner > 0.0 {
        let rest = tidy((mean * size / inner).min(1.0));
        Ok(each(&|m| if edge(m) { 0.0 } else { rest }))
    } else {
        Err("there is no layer between the first and the last here".to_owned())
    };
    let sized: Vec<(usize, f64)> = matrices.iter().map(|m| (m.at, m.size)).collect();
    let item = |label: &str, about: String, wanted| Item::new(app, label, about, wanted);
    vec![
        item("uniform", format!("{:.1} % everywhere", 100.0 * mean), Ok(each(&|_| tidy(mean)))),
        item("later layers more", format!("{few} first to {many} last"), Ok(ramp(true))),
        item("earlier layers more", format!("{many} first to {few} last"), Ok(ramp(false))),
        item("protect first and last layer", "0 % there, the rest more".into(), protect),
        item("equal retained importance", "an estimate".into(), Ok(equal_retained(modules, &sized, mean))),
    ]
}

fn percent(ratio: f64) -> f64 {
    tidy((ratio * 1000.0).round() / 1000.0)
}
