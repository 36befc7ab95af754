//! What is written and scored: sample summaries and the report's methods.

use super::{Importance, Recipe, Role, range};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Which dev documents to summarise while training.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Samples {
    /// How many of the first dev documents.
    pub documents: usize,
    /// Longest summary, in tokens.
    pub max_new_tokens: usize,
    /// 0 for greedy.
    pub temperature: f64,
    /// Nucleus, 0 to 1.
    pub top_p: f64,
}

impl Default for Samples {
    fn default() -> Self {
        Self { documents: 3, max_new_tokens: 48, temperature: 0.0, top_p: 1.0 }
    }
}

/// What to score at the end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Eval {
    /// The methods of the report beside the run's own, in this order.
    pub methods: Vec<Method>,
    /// Training examples in the prompt of `few-shot`.
    pub shots: usize,
    /// Weights that `lora-hub` tries.
    pub hub_steps: usize,
    /// Share of entries that `ties`, `dare-ties`, `dare-linear` and `magnitude-prune` keep, above 0 to 1.
    pub density: f64,
    /// The encoder of `BERTScore`, a folder; without one it is not computed.
    pub encoder: Option<PathBuf>,
    /// The layer whose embeddings it takes, 0 for those before the first.
    pub encoder_layer: Option<usize>,
}

impl Default for Eval {
    fn default() -> Self {
        Self { methods: Vec::new(), shots: 3, hub_steps: 40, density: 0.5, encoder: None, encoder_layer: None }
    }
}

/// A way to use the base and the adapters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// The base alone.
    ZeroShot,
    /// The base, with training examples in the prompt.
    FewShot,
    /// The target adapter, trained alone.
    Target,
    /// The target adapter, trained on for as long as the merge is.
    TargetTune,
    /// All adapters added, no further training.
    Merge,
    /// A and B added apart (PEFT's `linear`).
    Linear,
    /// The best approximation of the sum by one adapter of the largest rank (PEFT's `svd`).
    Svd,
    /// Trim, elect signs, average (Yadav et al. 2023; PEFT's `ties`).
    Ties,
    /// Drop by chance, then ties (PEFT's `dare_ties`).
    DareTies,
    /// Drop by chance, then add (Yu et al. 2024; PEFT's `dare_linear`).
    DareLinear,
    /// Keep the largest entries, then add (PEFT's `magnitude_prune`).
    MagnitudePrune,
    /// All adapters added, by weights that are searched without gradients (`LoraHub`, Huang et al. 2023).
    LoraHub,
    /// Merge, then fine-tune without pruning.
    MergeTune,
    /// Merge, fine-tune, then prune once.
    TunePrune,
    /// Merge, prune once, then fine-tune what is left.
    PruneTune,
    /// Merge, then fine-tune and prune at every step the same entries, drawn by chance: a control.
    RandomPrune,
    /// Merge, then fine-tune and prune at every step (the paper's).
    MergeTunePrune,
}

impl Method {
    /// The method of this name, in recipes or in tables; the merge also by PEFT's, `cat`.
    pub fn named(name: &str) -> Option<Self> {
        if name == "cat" {
            return Some(Self::Merge);
        }
        Self::ALL.into_iter().find(|method| method.name() == name || method.label() == name)
    }

    /// All, in the order of a report.
    pub const ALL: [Self; 17] = [
        Self::ZeroShot,
        Self::FewShot,
        Self::Target,
        Self::TargetTune,
        Self::Merge,
        Self::Linear,
        Self::Svd,
        Self::Ties,
        Self::DareTies,
        Self::DareLinear,
        Self::MagnitudePrune,
        Self::LoraHub,
        Self::MergeTune,
        Self::TunePrune,
        Self::PruneTune,
        Self::RandomPrune,
        Self::MergeTunePrune,
    ];

    /// As recipes name it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ZeroShot => "zero-shot",
            Self::FewShot => "few-shot",
            Self::Target => "target",
            Self::TargetTune => "target-tune",
            Self::Merge => "merge",
            Self::Linear => "linear",
            Self::Svd => "svd",
            Self::Ties => "ties",
            Self::DareTies => "dare-ties",
            Self::DareLinear => "dare-linear",
            Self::MagnitudePrune => "magnitude-prune",
            Self::LoraHub => "lora-hub",
            Self::MergeTune => "merge-tune",
            Self::MergeTunePrune => "merge-tune-prune",
            Self::RandomPrune => "random-prune",
            Self::PruneTune => "prune-tune",
            Self::TunePrune => "tune-prune",
        }
    }

    /// As tables show it.
    pub const fn label(self) -> &'static str {
        match self {
            Self::ZeroShot => "zero-shot",
            Self::FewShot => "few-shot prompt",
            Self::Target => "target adapter alone",
            Self::TargetTune => "target adapter, trained on",
            Self::Merge => "merge, no training",
            Self::Linear => "linear merge",
            Self::Svd => "SVD merge",
            Self::Ties => "TIES merge",
            Self::DareTies => "DARE-TIES merge",
            Self::DareLinear => "DARE-linear merge",
            Self::MagnitudePrune => "magnitude-pruned merge",
            Self::LoraHub => "LoraHub weights",
            Self::MergeTune => "merge + fine-tune",
            Self::MergeTunePrune => "merge + fine-tune + prune",
            Self::RandomPrune => "merge + fine-tune + prune at random",
            Self::PruneTune => "merge + prune once + fine-tune",
            Self::TunePrune => "merge + fine-tune + prune once",
        }
    }

    /// PEFT's name, of those that make one adapter of all.
    pub const fn combines(self) -> Option<&'static str> {
        match self {
            Self::Linear => Some("linear"),
            Self::Svd => Some("svd"),
            Self::Ties => Some("ties"),
            Self::DareTies => Some("dare_ties"),
            Self::DareLinear => Some("dare_linear"),
            Self::MagnitudePrune => Some("magnitude_prune"),
            _ => None,
        }
    }

    /// Whether it is a way to prune.
    pub const fn prunes(self) -> bool {
        matches!(self, Self::MergeTunePrune | Self::RandomPrune | Self::PruneTune | Self::TunePrune)
    }

    /// Whether it uses the target adapter as it is, without training it further.
    pub const fn takes_target_as_it_is(self) -> bool {
        matches!(
            self,
            Self::Target
                | Self::Merge
                | Self::Linear
                | Self::Svd
                | Self::Ties
                | Self::DareTies
                | Self::DareLinear
                | Self::MagnitudePrune
                | Self::LoraHub
        )
    }
}

impl Samples {
    pub(super) fn validate(&self) -> Result<()> {
        range::share("samples.top_p", self.top_p)?;
        range::at_least_one("samples.max_new_tokens", self.max_new_tokens)?;
        range::not_negative("samples.temperature", self.temperature)
    }
}

impl Eval {
    pub(super) fn validate(&self) -> Result<()> {
        if !(self.density > 0.0 && self.density <= 1.0) {
            let density = self.density;
            return Err(Error::user(format!("eval.density = {density}: a share above 0.0 to 1.0 is needed")));
        }
        match (&self.encoder, self.encoder_layer) {
            (Some(folder), _) if folder.as_os_str().is_empty() => {
                Err(Error::user("eval.encoder = \"\": a folder is needed"))
            }
            (None, Some(layer)) => {
                Err(Error::user(format!("eval.encoder_layer = {layer}: eval.encoder says of which encoder")))
            }
            _ => Ok(()),
        }
    }
}

impl Recipe {
    /// Whether the target adapter is new and nothing trains it before it is merged: alone it adds nothing to the base.
    fn target_is_blank(&self) -> bool {
        let new = self.adapters.iter().any(|a| a.role == Role::Target && a.path.is_none());
        new && (self.adapters.len() == 1 || self.target.epochs == 0)
    }

    /// The methods that are compared unless others are asked for: those of `[eval]`, or all that suit the settings: where
    /// there is something to prune, an example for the prompt, a target adapter that something trains.
    pub fn compared(&self) -> Vec<Method> {
        let blank = self.target_is_blank();
        let fits = |method: &Method| self.why_not(*method).is_none() && !(blank && method.takes_target_as_it_is());
        match self.eval.methods.as_slice() {
            [] => Method::ALL.into_iter().filter(fits).collect(),
            methods => methods.to_vec(),
        }
    }

    /// What is odd about the methods that it names, as sentences that are safe to show.
    pub fn odd_methods(&self) -> Vec<String> {
        let blank = self.target_is_blank();
        let odd = self.eval.methods.iter().filter(|method| blank && method.takes_target_as_it_is());
        let names: Vec<String> = odd.map(|method| format!("{:?}", method.name())).collect();
        if names.is_empty() {
            return Vec::new();
        }
        let take = if names.len() == 1 { "takes" } else { "take" };
        let remedy = if self.adapters.len() == 1 { "" } else { ", or target.epochs above 0" };
        vec![format!(
            "eval.methods: {} {take} the target adapter as it is, and that is new and nothing has trained it: it adds nothing to \
             the base; give it a path{remedy}",
            names.join(", ")
        )]
    }

    /// Why a method cannot be compared, whatever base, adapters and data are like.
    fn why_not(&self, method: Method) -> Option<&'static str> {
        match method {
            _ if method.prunes() && !self.prunes() => Some("there is nothing to prune: set prune.ratio above 0"),
            Method::PruneTune | Method::TunePrune if self.prune.importance == Importance::Sensitivity => {
                Some("prune.importance = \"sensitivity\" knows nothing without a training step")
            }
            Method::FewShot if self.eval.shots == 0 => Some("eval.shots = 0 leaves no example for the prompt"),
            Method::LoraHub if self.eval.hub_steps == 0 => Some("eval.hub_steps = 0 tries no weights"),
            _ => None,
        }
    }

    pub(super) fn validate_methods(&self) -> Result<()> {
        let wrong = self.eval.methods.iter().find_map(|method| Some((method.name(), self.why_not(*method)?)));
        wrong.map_or(Ok(()), |(name, why)| Err(Error::user(format!("eval.methods: {name:?}: {why}"))))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn recipe(eval: &str, adapters: &str) -> Result<Recipe> {
        Recipe::parse(&format!(
            "base = 'b'\n[data]\ntrain = 't'\ndev = 'd'\n[eval]\n{eval}\n[[adapters]]\nname = 'games'\nrole = 'target'\n{adapters}"
        ))
    }

    const RELATED: &str = "[[adapters]]\nname = 'science'\nrole = 'related'\npath = 's'\n";

    #[test]
    fn few_shot_without_a_shot_is_refused_where_it_is_named_and_left_out_where_it_is_not() {
        let why = recipe("methods = ['few-shot']\nshots = 0", RELATED).unwrap_err().to_string();
        assert_eq!(why, "eval.methods: \"few-shot\": eval.shots = 0 leaves no example for the prompt");
        assert!(!recipe("shots = 0", RELATED).unwrap().compared().contains(&Method::FewShot));
        assert!(recipe("shots = 1", RELATED).unwrap().compared().contains(&Method::FewShot));
        let none = recipe("hub_steps = 0", RELATED).unwrap().compared();
        assert!(!none.contains(&Method::LoraHub) && none.contains(&Method::MergeTunePrune), "{none:?}");
    }

    #[test]
    fn a_blank_target_that_is_named_as_it_is_is_told_and_not_refused() {
        let methods = "methods = ['zero-shot', 'target', 'merge']";
        let alone = recipe(methods, "").unwrap().odd_methods();
        assert_eq!(alone.len(), 1);
        assert!(
            alone[0].starts_with("eval.methods: \"target\", \"merge\" take the target adapter as it is"),
            "{alone:?}"
        );
        assert!(alone[0].ends_with("give it a path"), "{alone:?}");
        // It is trained alone before, unless the recipe says otherwise.
        let mut merged = recipe("methods = ['linear']", RELATED).unwrap();
        assert!(merged.odd_methods().is_empty());
        merged.target.epochs = 0;
        assert!(merged.odd_methods()[0].contains("\"linear\" takes the target adapter"), "{:?}", merged.odd_methods());
        merged.adapters[0].path = Some("trained".into());
        assert!(merged.odd_methods().is_empty());
        assert!(recipe("", "").unwrap().odd_methods().is_empty(), "default lists leave them out");
    }
}
