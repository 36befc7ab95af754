//! The cost of a module as a curve over its ratio, from a few measurements and from how its importance is spread;
//! and the cheapest ratios of many modules for a sparsity.

/// What is known of one module.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Known {
    /// Entries.
    pub size: f64,
    /// The ratio that it has now: the cost there is 0.
    pub stands: f64,
    /// Ratios that were measured, rising, each with the change of the loss and its standard error.
    pub measured: Vec<(f64, f64, f64)>,
    /// Share of the importance lost at every knot of the grid, rising.
    pub lost: Vec<f64>,
}

/// The ratio of knot `at` of a grid of so many.
pub fn knot(at: usize, knots: usize) -> f64 {
    at as f64 / (knots - 1) as f64
}

/// Draws measurements towards what modules of that size cost in the mean, by how much noise is in them.
pub fn shrink(all: &mut [Known]) {
    let count = all.iter().map(|k| k.measured.len()).min().unwrap_or(0);
    let size: f64 = all.iter().map(|k| k.size).sum();
    for at in 0..count {
        let mean = all.iter().map(|k| k.measured[at].1).sum::<f64>() / size;
        let n = all.len().max(2) as f64;
        let spread = all.iter().map(|k| (k.measured[at].1 - mean * k.size).powi(2)).sum::<f64>() / (n - 1.0);
        let noise = all.iter().map(|k| k.measured[at].2.powi(2)).sum::<f64>() / n;
        let real = (spread - noise).max(0.0);
        for known in all.iter_mut() {
            let (_, cost, se) = &mut known.measured[at];
            let trust = real / (real + se.powi(2)).max(f64::MIN_POSITIVE);
            *cost = mean * known.size + trust * (*cost - mean * known.size);
        }
    }
}

/// The cost at every knot: 0 where the module stands, between measurements as the importance is lost. It may fall:
/// pruning can help.
pub fn costs(known: &Known) -> Vec<f64> {
    let measured = known.measured.iter().map(|m| (m.0, m.1)).filter(|m| (m.0 - known.stands).abs() > 1e-6);
    let mut points: Vec<(f64, f64)> = measured.chain([(known.stands, 0.0)]).collect();
    points.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let places: Vec<(f64, f64)> = points.iter().map(|p| (lost_at(&known.lost, p.0), p.1)).collect();
    known.lost.iter().map(|lost| between(&places, *lost)).collect()
}

/// The share of the importance lost at a ratio between knots.
fn lost_at(lost: &[f64], ratio: f64) -> f64 {
    let place = ratio.clamp(0.0, 1.0) * (lost.len() - 1) as f64;
    let at = (place as usize).min(lost.len() - 2);
    lost[at] + (lost[at + 1] - lost[at]) * (place - at as f64)
}

/// A line through rising points; beyond them as the nearest two go on.
fn between(points: &[(f64, f64)], x: f64) -> f64 {
    let last = points.len() - 1;
    if last == 0 {
        return points[0].1;
    }
    let right = points.iter().position(|p| p.0 >= x).unwrap_or(last).clamp(1, last);
    let ((x0, y0), (x1, y1)) = (points[right - 1], points[right]);
    if x1 - x0 < 1e-12 { y1 } else { y0 + (y1 - y0) * (x - x0) / (x1 - x0) }
}

/// The ratios with the lowest summed cost of which the modules' mean by size is `sparsity`, none above `most`.
pub fn cheapest(all: &[(f64, Vec<f64>)], sparsity: f64, most: f64) -> Vec<f64> {
    let knots = all.first().map_or(2, |m| m.1.len());
    // Of every curve the hull from below: there the next step is never cheaper than the one before.
    let mut steps: Vec<(f64, usize, f64)> = Vec::new();
    for (module, (size, costs)) in all.iter().enumerate() {
        let mut hull: Vec<(f64, f64)> = Vec::new();
        for (at, cost) in costs.iter().enumerate().filter(|(at, _)| knot(*at, knots) <= most + 1e-9) {
            let point = (knot(at, knots), *cost);
            while let [.., a, b] = hull[..] {
                if (b.1 - a.1) * (point.0 - b.0) < (point.1 - b.1) * (b.0 - a.0) {
                    break;
                }
                hull.pop();
            }
            hull.push(point);
        }
        for pair in hull.windows(2) {
            let width = pair[1].0 - pair[0].0;
            steps.push(((pair[1].1 - pair[0].1) / (width * size), module, width));
        }
    }
    steps.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut room: f64 = sparsity * all.iter().map(|m| m.0).sum::<f64>();
    let mut ratios = vec![0.0; all.len()];
    for (_, module, width) in steps {
        let taken = width.min(room / all[module].0);
        ratios[module] += taken;
        room -= taken * all[module].0;
        if room <= 0.0 {
            break;
        }
    }
    ratios
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(measured: &[(f64, f64, f64)]) -> Known {
        let lost = (0..21).map(|at| knot(at, 21).powi(2)).collect();
        Known { size: 100.0, stands: 0.5, measured: measured.to_vec(), lost }
    }

    #[test]
    fn a_curve_goes_through_what_is_known() {
        let costs = costs(&known(&[(0.3, -0.02, 0.0), (0.7, 0.05, 0.0), (0.9, 0.04, 0.0)]));
        for (knot, cost) in [(6, -0.02), (10, 0.0), (14, 0.05), (18, 0.04)] {
            assert!((costs[knot] - cost).abs() < 1e-9, "{costs:?}");
        }
        // Between 0.5 and 0.7 as the squares grow; beyond 0.9 as before it.
        assert!((costs[12] - 0.05 * (0.36 - 0.25) / (0.49 - 0.25)).abs() < 1e-9 && costs[20] < 0.04, "{costs:?}");
    }

    #[test]
    fn noise_is_drawn_to_the_mean_and_what_is_certain_stays() {
        let mut all = [known(&[(0.9, 0.1, 1.0)]), known(&[(0.9, 0.3, 1.0)])];
        shrink(&mut all);
        assert!(all.iter().all(|k| (k.measured[0].1 - 0.2).abs() < 1e-9), "{all:?}");
        let mut all = [known(&[(0.9, 0.1, 0.0)]), known(&[(0.9, 0.3, 0.0)])];
        shrink(&mut all);
        assert!((all[0].measured[0].1 - 0.1).abs() < 1e-9, "{all:?}");
    }

    #[test]
    fn the_cheap_module_is_pruned_first_and_the_sparsity_is_met() {
        let line = |slope: f64| (0..21).map(|at| slope * knot(at, 21).powi(2)).collect::<Vec<f64>>();
        let all = [(100.0, line(1.0)), (300.0, line(9.0))];
        let ratios = cheapest(&all, 0.5, 0.95);
        assert!(ratios[0] > ratios[1] && ratios[0] <= 0.95 + 1e-9, "{ratios:?}");
        assert!((ratios[0] * 100.0 + ratios[1] * 300.0 - 200.0).abs() < 1e-9, "{ratios:?}");
        let same = [(100.0, line(1.0)), (100.0, line(1.0))];
        let ratios = cheapest(&same, 0.6, 0.95);
        assert!(ratios.iter().all(|r| (r - 0.6).abs() < 0.05 + 1e-9), "{ratios:?}");
    }
}
