//! Learning rate over the steps.

use crate::recipe::{LrSchedule, Train};

/// The learning rate of update `step` (from 0) of `total`, as transformers' schedulers with warm-up give it.
pub fn learning_rate(settings: &Train, peak: f64, step: usize, total: usize, steps_per_epoch: usize) -> f64 {
    let warmup = (settings.warmup * total as f64).ceil() as usize;
    if step < warmup {
        return peak * step as f64 / warmup.max(1) as f64;
    }
    let left = (total - warmup).max(1) as f64;
    let done = (step - warmup) as f64 / left;
    peak * match settings.schedule {
        LrSchedule::Linear => (1.0 - done).max(0.0),
        LrSchedule::Cosine => 0.5 * (1.0 + (std::f64::consts::PI * done).cos()),
        LrSchedule::Constant => 1.0,
        LrSchedule::Epoch => 0.85f64.powi((step / steps_per_epoch.max(1)) as i32),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of transformers 5.23's `get_{linear,cosine}_schedule_with_warmup(optimizer, 2, 10)`, lr 1.
    #[test]
    fn schedules_equal_transformers() {
        let lr = |schedule, step| learning_rate(&Train { schedule, warmup: 0.2, ..Train::default() }, 1.0, step, 10, 5);
        for (step, want) in [(0, 0.0), (1, 0.5), (2, 1.0), (5, 0.625), (9, 0.125)] {
            assert!((lr(LrSchedule::Linear, step) - want).abs() < 1e-12, "linear {step}");
        }
        for (step, want) in [(1, 0.5), (2, 1.0), (5, 0.691_341_716_182_545), (9, 0.038_060_233_744_356_62)] {
            assert!((lr(LrSchedule::Cosine, step) - want).abs() < 1e-12, "cosine {step}");
        }
        assert!((lr(LrSchedule::Constant, 9) - 1.0).abs() < 1e-12);
        assert!((lr(LrSchedule::Epoch, 9) - 0.85).abs() < 1e-12);
    }
}
