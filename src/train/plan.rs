//! The stages of a run: which methods, with which adapters, in which order.

use crate::recipe::{Method, Recipe, Role};
use crate::run::event;

/// What a stage trains.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Training {
    /// Passes over the training examples (0: `steps` counts).
    pub epochs: usize,
    /// Updates instead of epochs.
    pub steps: usize,
    /// Peak learning rate.
    pub lr: f64,
    /// Whether it prunes.
    pub prunes: bool,
}

/// One stage.
#[derive(Debug, Clone, PartialEq)]
pub struct Stage {
    /// The method's name in tables.
    pub label: String,
    /// Indices of the adapters that take part.
    pub adapters: Vec<usize>,
    /// What it trains, if anything.
    pub training: Option<Training>,
    /// Whether it is scored for the report.
    pub scored: bool,
    /// It trains the target adapter that later stages start from.
    pub makes_target: bool,
    /// The run's own: its result is what the user takes away.
    pub own: bool,
}

impl Stage {
    /// Updates it makes over `examples` training examples in batches of `batch`, and those of an epoch.
    pub fn steps(&self, examples: usize, batch: usize) -> (usize, usize) {
        let per_epoch = examples.div_ceil(batch.max(1));
        match self.training {
            None => (0, 0),
            Some(t) if t.steps > 0 => (t.steps, per_epoch),
            Some(t) => (t.epochs * per_epoch, per_epoch),
        }
    }

    /// As the journal says it.
    pub fn event(&self, index: usize, of: usize, examples: usize, batch: usize) -> event::Stage {
        let (steps, steps_per_epoch) = self.steps(examples, batch);
        event::Stage {
            index,
            of,
            method: self.label.clone(),
            steps,
            steps_per_epoch,
            prunes: self.training.is_some_and(|t| t.prunes),
            adapters: self.adapters.clone(),
        }
    }
}

/// The stages of `recipe`: what its report compares, then its own method, last.
pub fn stages(recipe: &Recipe) -> Vec<Stage> {
    let all: Vec<usize> = (0..recipe.adapters.len()).collect();
    let target = recipe.adapters.iter().position(|a| a.role == Role::Target).unwrap_or(0);
    let merges = all.len() > 1;
    let prunes = recipe.prune.ratio > 0.0 || recipe.prune.rules.iter().any(|r| r.ratio > 0.0);
    let tuned =
        |prunes| Training { epochs: recipe.train.epochs, steps: recipe.train.steps, lr: recipe.train.lr, prunes };
    let own = match (merges, prunes) {
        (true, true) => Method::MergeTunePrune.label().to_owned(),
        (true, false) => Method::MergeTune.label().to_owned(),
        (false, true) => "fine-tune + prune".to_owned(),
        (false, false) => "fine-tune".to_owned(),
    };
    // A new target adapter is trained alone first; one that was trained elsewhere is taken as it is.
    let makes_target = merges && recipe.adapters[target].path.is_none() && recipe.target.epochs > 0;
    let target_stage = |scored| Stage {
        label: Method::Target.label().to_owned(),
        adapters: vec![target],
        training: makes_target.then_some(Training {
            epochs: recipe.target.epochs,
            steps: 0,
            lr: recipe.target.lr,
            prunes: false,
        }),
        scored,
        makes_target,
        own: false,
    };
    let mut stages: Vec<Stage> = Vec::new();
    for method in &recipe.eval.methods {
        let plain = |adapters: Vec<usize>, training| Stage {
            label: method.label().to_owned(),
            adapters,
            training,
            scored: true,
            makes_target: false,
            own: false,
        };
        let needs_target = !matches!(method, Method::ZeroShot | Method::Target);
        if needs_target && makes_target && !stages.iter().any(|s| s.makes_target) {
            stages.push(target_stage(false));
        }
        let stage = match method {
            Method::ZeroShot => plain(Vec::new(), None),
            Method::Target => target_stage(true),
            Method::Merge => plain(all.clone(), None),
            Method::MergeTune => plain(all.clone(), Some(tuned(false))),
            Method::MergeTunePrune => plain(all.clone(), Some(tuned(true))),
        };
        // The own method comes last, and nothing twice.
        if stage.label != own && !stages.iter().any(|s| s.label == stage.label) {
            stages.push(stage);
        }
    }
    if makes_target && !stages.iter().any(|s| s.makes_target) {
        stages.push(target_stage(false));
    }
    stages.push(Stage {
        label: own,
        adapters: all,
        training: Some(tuned(prunes)),
        scored: true,
        makes_target: false,
        own: true,
    });
    stages
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn recipe(extra: &str) -> Recipe {
        Recipe::parse(&format!(
            "base = 'b'\n{extra}\n[data]\ntrain = 't'\ndev = 'd'\n[[adapters]]\nname = 'games'\nrole = 'target'\n"
        ))
        .unwrap()
    }

    fn labels(recipe: &Recipe) -> Vec<String> {
        stages(recipe).into_iter().map(|s| s.label).collect()
    }

    #[test]
    fn plain_lora_training_is_one_stage() {
        let mut plain = recipe("");
        plain.prune.ratio = 0.0;
        assert_eq!(labels(&plain), ["fine-tune"]);
        plain.prune.ratio = 0.5;
        assert_eq!(labels(&plain), ["fine-tune + prune"]);
    }

    #[test]
    fn a_new_target_is_trained_alone_before_it_is_merged() {
        let mut merge = recipe("");
        let mut related = merge.adapters[0].clone();
        (related.name, related.role, related.path) = ("science".into(), Role::Related, Some("s".into()));
        merge.adapters.push(related);
        assert_eq!(labels(&merge), ["target adapter alone", "merge + fine-tune + prune"]);
        merge.eval.methods =
            vec![Method::ZeroShot, Method::Merge, Method::Target, Method::MergeTunePrune, Method::MergeTune];
        assert_eq!(
            labels(&merge),
            [
                "zero-shot",
                "target adapter alone",
                "merge, no training",
                "merge + fine-tune",
                "merge + fine-tune + prune"
            ]
        );
        assert!(stages(&merge).last().unwrap().own);
        merge.adapters[0].path = Some("trained".into());
        merge.eval.methods.clear();
        assert_eq!(labels(&merge), ["merge + fine-tune + prune"]);
    }
}
