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
    /// How it prunes.
    pub pruning: Pruning,
}

/// How a stage prunes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pruning {
    /// Nothing.
    None,
    /// At every step, as the recipe says.
    Each,
    /// At every step the same entries, drawn by chance.
    Random,
    /// Before the first step, and what is pruned stays so.
    Once,
}

/// What a stage starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// Its adapters with the user's weights.
    Weighted,
    /// Its adapters with weights that are searched for.
    Searched,
    /// One adapter, made of them as PEFT's method of this name does.
    Combined(&'static str),
}

/// One stage.
#[derive(Debug, Clone, PartialEq)]
pub struct Stage {
    /// The method's name in tables.
    pub label: String,
    /// Indices of the adapters that take part.
    pub adapters: Vec<usize>,
    /// What it starts from.
    pub start: Start,
    /// Whether the prompt has examples.
    pub shots: bool,
    /// What it trains, if anything.
    pub training: Option<Training>,
    /// The row of what comes of pruning once at its end, if that is scored too.
    pub pruned_once: Option<String>,
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
            Some(t) => (t.epochs.saturating_mul(per_epoch), per_epoch),
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
            prunes: self.training.is_some_and(|t| t.pruning != Pruning::None),
            adapters: self.adapters.clone(),
        }
    }
}

/// The stages of `recipe`: what its report compares, then its own method, last.
pub fn stages(recipe: &Recipe) -> Vec<Stage> {
    let all: Vec<usize> = (0..recipe.adapters.len()).collect();
    let target = recipe.adapters.iter().position(|a| a.role == Role::Target).unwrap_or(0);
    let merges = all.len() > 1;
    let own = match (merges, recipe.prunes()) {
        (true, true) => Method::MergeTunePrune.label().to_owned(),
        (true, false) => Method::MergeTune.label().to_owned(),
        (false, true) => "fine-tune + prune".to_owned(),
        (false, false) => "fine-tune".to_owned(),
    };
    let tuned =
        |pruning| Training { epochs: recipe.train.epochs, steps: recipe.train.steps, lr: recipe.train.lr, pruning };
    // A new target adapter is trained alone first; one that was trained elsewhere is taken as it is.
    let makes_target = merges && recipe.adapters[target].path.is_none() && recipe.target.epochs > 0;
    let plain = |label: &str, adapters: Vec<usize>, training| Stage {
        label: label.to_owned(),
        adapters,
        start: Start::Weighted,
        shots: false,
        training,
        pruned_once: None,
        scored: true,
        makes_target: false,
        own: false,
    };
    let target_alone =
        Training { epochs: recipe.target.epochs, steps: 0, lr: recipe.target.lr, pruning: Pruning::None };
    let target_stage = |scored| Stage {
        scored,
        makes_target,
        ..plain(Method::Target.label(), vec![target], makes_target.then_some(target_alone))
    };
    let methods = &recipe.eval.methods;
    // What is pruned once at the end is scored after the same training without pruning.
    let after = methods.contains(&Method::TunePrune).then(|| Method::TunePrune.label().to_owned());
    let mut stages: Vec<Stage> = Vec::new();
    for method in methods {
        let needs_target = !matches!(method, Method::ZeroShot | Method::FewShot | Method::Target);
        if needs_target && makes_target && !stages.iter().any(|s| s.makes_target) {
            stages.push(target_stage(false));
        }
        let merge = |training| Stage {
            start: method.combines().map_or(Start::Weighted, Start::Combined),
            ..plain(method.label(), all.clone(), training)
        };
        let stage = match method {
            Method::ZeroShot => plain(method.label(), Vec::new(), None),
            Method::FewShot => Stage { shots: true, ..plain(method.label(), Vec::new(), None) },
            Method::Target => target_stage(true),
            Method::TargetTune => plain(method.label(), vec![target], Some(tuned(Pruning::None))),
            Method::Merge
            | Method::Linear
            | Method::Svd
            | Method::Ties
            | Method::DareTies
            | Method::DareLinear
            | Method::MagnitudePrune => merge(None),
            Method::LoraHub => Stage { start: Start::Searched, ..merge(None) },
            Method::MergeTune | Method::TunePrune => Stage {
                label: Method::MergeTune.label().to_owned(),
                pruned_once: after.clone(),
                scored: methods.contains(&Method::MergeTune),
                ..merge(Some(tuned(Pruning::None)))
            },
            Method::PruneTune => merge(Some(tuned(Pruning::Once))),
            Method::RandomPrune => merge(Some(tuned(Pruning::Random))),
            Method::MergeTunePrune => merge(Some(tuned(Pruning::Each))),
        };
        // The own method comes last, and nothing twice.
        if stage.label != own && !stages.iter().any(|s| s.label == stage.label) {
            stages.push(stage);
        }
    }
    if makes_target && !stages.iter().any(|s| s.makes_target) {
        stages.push(target_stage(false));
    }
    let pruning = if recipe.prunes() { Pruning::Each } else { Pruning::None };
    stages.push(Stage { own: true, ..plain(&own, all, Some(tuned(pruning))) });
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
    fn as_many_epochs_as_can_be_written_are_no_few_steps() {
        let mut plain = recipe("");
        plain.train.epochs = usize::MAX;
        let stage = stages(&plain).remove(0);
        assert_eq!(stage.steps(9, 4), (usize::MAX, 3));
        assert_eq!(stage.steps(0, 4), (0, 0));
    }

    #[test]
    fn a_target_that_nothing_trains_before_is_compared_by_no_method_that_takes_it_as_it_is() {
        let alone = recipe("");
        assert!(alone.compared().iter().all(|method| !method.takes_target_as_it_is()), "{:?}", alone.compared());
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
        merge.eval.methods = vec![Method::FewShot, Method::TunePrune, Method::PruneTune];
        assert_eq!(
            labels(&merge),
            [
                "few-shot prompt",
                "target adapter alone",
                "merge + fine-tune",
                "merge + prune once + fine-tune",
                "merge + fine-tune + prune"
            ]
        );
        // Its own row is not asked for, what comes of pruning it is.
        let tuned = &stages(&merge)[2];
        assert!(!tuned.scored && tuned.pruned_once.as_deref() == Some("merge + fine-tune + prune once"), "{tuned:?}");
        merge.adapters[0].path = Some("trained".into());
        merge.eval.methods.clear();
        assert_eq!(labels(&merge), ["merge + fine-tune + prune"]);
    }
}
