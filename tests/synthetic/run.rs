//! A run that nobody made: 224 modules of four adapters, A and B, whose values all drift from step to step.
#![allow(dead_code, clippy::unwrap_used)]

use lopper::module::{Factor, ModuleId, Projection};
use lopper::run::event::{
    AdapterInfo, Dev, Document, EventBody, MatrixInfo, Modules, Rouge, Sample, Seconds, Stage, Started, Step,
};

/// Decoder layers, with seven modules each.
pub const LAYERS: usize = 32;
/// Adapters of every module.
pub const ADAPTERS: usize = 4;

pub fn started() -> Started {
    let name = |i: usize| AdapterInfo {
        name: format!("adapter-{i}"),
        role: "related".into(),
        rank: 16,
        alpha: 32.0,
        weight: 1.0,
    };
    let mut matrices = Vec::new();
    for layer in 0..LAYERS {
        for projection in Projection::ALL {
            for adapter in 0..ADAPTERS {
                for factor in [Factor::A, Factor::B] {
                    let module = ModuleId::new(layer, projection);
                    matrices.push(MatrixInfo { module, adapter, factor, rows: 16, cols: 4096 });
                }
            }
        }
    }
    let document = |i: usize| Document {
        id: format!("document-{i}"),
        document: format!("Package {i} is a small game engine, number {i} of its kind. ").repeat(20),
        reference: format!("game engine number {i}"),
    };
    Started {
        layers: LAYERS,
        adapters: (0..ADAPTERS).map(name).collect(),
        matrices,
        documents: (0..4).map(document).collect(),
        ..Started::default()
    }
}

/// The only stage of a run of so many steps.
pub fn stage(steps: usize) -> Stage {
    Stage {
        of: 1,
        method: "merge + fine-tune + prune".into(),
        steps,
        prunes: true,
        adapters: (0..ADAPTERS).collect(),
        ..Stage::default()
    }
}

/// As the worker writes it: four significant digits.
fn short(x: f32) -> f32 {
    format!("{x:.3e}").parse().unwrap()
}

/// All matrices at a step: each value has a course and a rhythm of its own and moves at every step, by up to 5 %
/// of itself to and fro and by 20 % along its course over 100 steps.
pub fn modules(step: usize, count: usize) -> Modules {
    let mut all = Modules { step, ..Modules::default() };
    for i in 0..count {
        let (t, own) = (step as f32, (i as f32 * 0.7).sin());
        let drift = (1.0 + 0.002 * own * t) * (1.0 + 0.05 * (1.3 * t + i as f32).sin());
        let importance = 0.002 * (1.5 * own).exp() * drift;
        all.ratio.push(Some(0.5));
        all.sparsity.push(Some(short((0.5 + 0.2 * own) * drift.min(1.4))));
        all.importance.push(Some(short(importance)));
        all.quantiles.push(Some([importance * 0.1, importance * 0.6, importance * 2.0].map(short)));
        all.retained.push(Some(short(0.9 + 0.05 * own * drift)));
        all.flips.push(Some(short(0.01 * (1.0 + own) * drift)));
    }
    all
}

/// The update of a step, of so many.
pub fn update(step: usize, steps: usize) -> Step {
    let t = step as f64;
    let seconds = Seconds { data: 0.01, forward: 0.4 + 0.05 * t.sin(), backward: 0.6, optimiser: 0.05, prune: 0.1 };
    let loss = 3.4 * (-0.004 * t).exp() + 0.12 * (1.7 * t).sin();
    Step {
        step,
        epoch: t / 20.0,
        loss,
        lr: 1e-4 * (1.0 - t / steps as f64),
        grad_norm: 1.2 + 0.3 * (0.9 * t).sin(),
        tokens_per_second: 1234.0 + 50.0 * t.sin(),
        seconds,
        memory: 614_000_000,
    }
}

/// What else is said after some steps: evaluations and summaries.
pub fn asides(step: usize) -> Vec<EventBody> {
    let t = step as f64;
    let mut all = Vec::new();
    if step.is_multiple_of(10) {
        let rouge = Some(Rouge { rouge1: 25.0 + t.sin(), rouge2: 8.0, rouge_l: 22.0 + t.cos(), parts: None });
        let loss = 0.1 + 3.4 * (-0.003 * t).exp();
        all.push(EventBody::Dev(Dev { step, loss, rouge, documents: 32, best: step.is_multiple_of(20) }));
    }
    if step.is_multiple_of(20) {
        let text = format!("game engine after {step} steps");
        all.push(EventBody::Sample(Sample { step, document: step / 20 % 4, text, rouge_l: 22.0 + t.sin() }));
    }
    all
}
