//! The user's decisions, as TOML: base, adapters, data, training, pruning, evaluation.

pub mod ratios;

use crate::module::Projection;
use crate::{Error, Result};
use ratios::Rule;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Everything a run depends on. Same recipe, same device and thread count: same losses and masks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// What the run is called on screen; the recipe's file name if left out.
    #[serde(default)]
    pub name: String,
    /// Folder of the base model in Hugging Face layout.
    pub base: PathBuf,
    /// Seed of every random choice.
    #[serde(default = "defaults::seed")]
    pub seed: u64,
    /// `auto`, `cpu` or `cuda:N`.
    #[serde(default = "defaults::device")]
    pub device: String,
    /// Type of the frozen weights in memory.
    #[serde(default)]
    pub dtype: BaseType,
    /// The adapters to merge. Exactly one has the role `target`.
    pub adapters: Vec<AdapterEntry>,
    /// The examples.
    pub data: Data,
    /// How to train the merged set.
    #[serde(default)]
    pub train: Train,
    /// How the target adapter is trained alone before the merge (0 epochs: not at all).
    #[serde(default)]
    pub target: TargetStage,
    /// What to prune.
    #[serde(default)]
    pub prune: Prune,
    /// Which dev documents to summarise while training.
    #[serde(default)]
    pub samples: Samples,
    /// What to score at the end.
    #[serde(default)]
    pub eval: Eval,
}

/// Type of the frozen weights in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BaseType {
    /// f32 on CPU, bf16 on CUDA.
    #[default]
    Auto,
    /// 32-bit floats.
    F32,
    /// bfloat16.
    Bf16,
}

/// What an adapter is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The task at hand.
    Target,
    /// Another task that may help.
    Related,
}

impl Role {
    /// As the recipe writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Target => "target",
            Self::Related => "related",
        }
    }
}

/// One adapter of the merge: a PEFT folder, or (target only) a new one of the given shape.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdapterEntry {
    /// Short name on screen and in rules.
    pub name: String,
    /// Folder with adapter_config.json and adapter_model.safetensors; none makes a new adapter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// `target` or `related`.
    pub role: Role,
    /// Factor on its contribution.
    #[serde(default = "defaults::one")]
    pub weight: f64,
    /// Rank of a new adapter.
    #[serde(default = "defaults::rank")]
    pub rank: usize,
    /// Alpha of a new adapter.
    #[serde(default = "defaults::alpha")]
    pub alpha: f64,
    /// Scaling alpha/√r instead of alpha/r for a new adapter.
    #[serde(default)]
    pub rslora: bool,
    /// Modules of a new adapter.
    #[serde(default = "defaults::targets")]
    pub targets: Vec<Projection>,
}

/// Where the examples are and how they are put to the model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Data {
    /// Training examples, JSONL.
    pub train: PathBuf,
    /// Dev examples, JSONL: early stopping, samples.
    pub dev: PathBuf,
    /// Test examples, JSONL: the report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<PathBuf>,
    /// Name of the document field.
    #[serde(default = "defaults::document")]
    pub document: String,
    /// Name of the summary field.
    #[serde(default = "defaults::summary")]
    pub summary: String,
    /// Name of the id field; line numbers are used where it is missing.
    #[serde(default = "defaults::id")]
    pub id: String,
    /// Use at most this many training examples (the first ones), 0 for all.
    #[serde(default)]
    pub train_limit: usize,
    /// Use at most this many dev examples, 0 for all.
    #[serde(default)]
    pub dev_limit: usize,
    /// Use at most this many test examples, 0 for all.
    #[serde(default)]
    pub test_limit: usize,
    /// The prompt, a Jinja template over `document`; the summary follows it after one space.
    #[serde(default = "defaults::prompt")]
    pub prompt: String,
    /// Wrap the prompt as a user turn of the tokenizer's chat template (the summary is the answer).
    #[serde(default)]
    pub chat_template: bool,
    /// Documents are cut to this many tokens; summaries never are.
    #[serde(default = "defaults::max_document_tokens")]
    pub max_document_tokens: usize,
}

/// How to train.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Train {
    /// Passes over the training examples.
    pub epochs: usize,
    /// Optimiser steps instead of epochs, if above 0.
    pub steps: usize,
    /// Examples per optimiser step.
    pub batch: usize,
    /// Tokens per forward pass; a batch is cut into as many passes as it takes.
    pub micro_tokens: usize,
    /// `adamw` or `sgd`.
    pub optimizer: OptimizerKind,
    /// Peak learning rate.
    pub lr: f64,
    /// Shape of the learning rate after the warm-up.
    pub schedule: LrSchedule,
    /// Share of the steps that warm up, 0 to 1.
    pub warmup: f64,
    /// AdamW's decoupled weight decay.
    pub weight_decay: f64,
    /// AdamW's betas.
    pub betas: [f64; 2],
    /// AdamW's epsilon.
    pub eps: f64,
    /// Gradients are scaled to at most this norm, 0 for never.
    pub clip: f64,
    /// LoRA dropout, 0 to 1; `None` takes the largest of the adapters' own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dropout: Option<f64>,
    /// Forward each layer again in the backward pass instead of keeping its activations.
    pub recompute: bool,
    /// Evaluate on dev every so many steps, 0 for once an epoch.
    pub eval_every: usize,
    /// What decides which checkpoint is best.
    pub best_by: BestBy,
    /// Stop after so many evaluations without a better one, 0 for never.
    pub patience: usize,
    /// Checkpoint every so many steps, 0 for once an epoch.
    pub checkpoint_every: usize,
}

/// The optimiser.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OptimizerKind {
    /// AdamW, decoupled weight decay.
    #[default]
    Adamw,
    /// Plain gradient descent.
    Sgd,
}

/// Shape of the learning rate after the warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LrSchedule {
    /// Straight down to 0.
    #[default]
    Linear,
    /// Half a cosine down to 0.
    Cosine,
    /// Stays.
    Constant,
    /// Times 0.85 after every epoch (GRASP-LoRA's setting).
    Epoch,
}

/// What decides which checkpoint is best.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BestBy {
    /// Lowest dev loss.
    #[default]
    DevLoss,
    /// Highest ROUGE-L of dev summaries.
    RougeL,
}

/// Training of the target adapter alone, before the merge.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TargetStage {
    /// Passes over the training examples, 0 to skip the stage. Only for a new target adapter.
    pub epochs: usize,
    /// Peak learning rate.
    pub lr: f64,
}

/// What to prune.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Prune {
    /// Share of every matrix to zero after each step, 0 to 1.
    pub ratio: f64,
    /// Exceptions by module, adapter and factor; the last one that matches counts.
    pub rules: Vec<Rule>,
    /// Importance measure.
    pub importance: Importance,
    /// Which tokens the norms are taken over.
    pub norms: Norms,
    /// What competes for a place under the mask.
    pub group: Group,
    /// Ratio over the steps.
    pub schedule: RatioSchedule,
    /// Once pruned, always pruned.
    pub hold: bool,
    /// What happens to the optimiser's moments of pruned entries.
    pub moments: Moments,
}

/// Importance measure; see method.md's step 4 and the README.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Importance {
    /// |W_ij| · ‖X_j‖₂ (Wanda's form, read literally).
    #[default]
    Direct,
    /// Wanda's score of the product B·A carried back to its factors.
    Product,
    /// |W_ij · ∂L/∂W_ij|, smoothed over steps.
    Sensitivity,
    /// |W_ij|.
    Magnitude,
    /// A random number: the control.
    Random,
}

/// Which tokens the norms of X are taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Norms {
    /// This step's batch.
    #[default]
    Batch,
    /// Exponential mean of squares over steps, factor 0.9.
    Running,
    /// The whole training set, computed again before every pruning.
    Train,
}

/// What competes for a place under the mask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Group {
    /// All entries of a matrix.
    #[default]
    Matrix,
    /// The entries of one output row (Wanda's grouping).
    Row,
    /// A and B of all adapters of the module together.
    Module,
}

/// Ratio over the steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RatioSchedule {
    /// The full ratio from the first step.
    #[default]
    Constant,
    /// Linear from 0 to the ratio at the last step.
    Linear,
    /// 1 − (1 − t)³ of the ratio.
    Cubic,
}

/// What happens to the optimiser's moments of pruned entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Moments {
    /// They stay, so that an entry can come back.
    #[default]
    Keep,
    /// They are zeroed with the entry.
    Zero,
}

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

/// What to score at the end.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Eval {
    /// The methods of the report beside the run's own, in this order.
    pub methods: Vec<Method>,
}

/// A way to use the base and the adapters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// The base alone.
    ZeroShot,
    /// The target adapter, trained alone.
    Target,
    /// All adapters added, no further training.
    Merge,
    /// Merge, then fine-tune without pruning.
    MergeTune,
    /// Merge, then fine-tune and prune at every step (the paper's).
    MergeTunePrune,
}

impl Method {
    /// As tables show it.
    pub const fn label(self) -> &'static str {
        match self {
            Self::ZeroShot => "zero-shot",
            Self::Target => "target adapter alone",
            Self::Merge => "merge, no training",
            Self::MergeTune => "merge + fine-tune",
            Self::MergeTunePrune => "merge + fine-tune + prune",
        }
    }
}

mod defaults {
    use crate::module::Projection;
    pub fn seed() -> u64 {
        1
    }
    pub fn device() -> String {
        "auto".into()
    }
    pub fn one() -> f64 {
        1.0
    }
    pub fn rank() -> usize {
        16
    }
    pub fn alpha() -> f64 {
        32.0
    }
    pub fn targets() -> Vec<Projection> {
        Projection::ALL.to_vec()
    }
    pub fn document() -> String {
        "document".into()
    }
    pub fn summary() -> String {
        "summary".into()
    }
    pub fn id() -> String {
        "id".into()
    }
    pub fn prompt() -> String {
        "Summarize the article.\n\nArticle: {{ document }}\n\nSummary:".into()
    }
    pub fn max_document_tokens() -> usize {
        1024
    }
}

impl Default for Train {
    fn default() -> Self {
        Self {
            epochs: 3,
            steps: 0,
            batch: 8,
            micro_tokens: 2048,
            optimizer: OptimizerKind::Adamw,
            lr: 1e-4,
            schedule: LrSchedule::Linear,
            warmup: 0.05,
            weight_decay: 0.0,
            betas: [0.9, 0.999],
            eps: 1e-8,
            clip: 1.0,
            dropout: None,
            recompute: false,
            eval_every: 0,
            best_by: BestBy::DevLoss,
            patience: 0,
            checkpoint_every: 0,
        }
    }
}

impl Default for TargetStage {
    fn default() -> Self {
        Self { epochs: 3, lr: 2e-4 }
    }
}

impl Default for Prune {
    fn default() -> Self {
        Self {
            ratio: 0.5,
            rules: Vec::new(),
            importance: Importance::Direct,
            norms: Norms::Batch,
            group: Group::Matrix,
            schedule: RatioSchedule::Constant,
            hold: false,
            moments: Moments::Keep,
        }
    }
}

impl Default for Samples {
    fn default() -> Self {
        Self { documents: 3, max_new_tokens: 48, temperature: 0.0, top_p: 1.0 }
    }
}

impl Recipe {
    /// Reads and validates a recipe; relative paths in it are taken from its folder.
    ///
    /// # Errors
    /// Names the file, and the line or the field, and what is allowed there.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|e| Error::io("read the recipe", path, &e))?;
        let mut recipe = Self::parse(&text).map_err(|e| e.at(path.display()))?;
        recipe.resolve_paths(path.parent().unwrap_or(Path::new("")));
        if recipe.name.is_empty() {
            recipe.name = path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
        }
        Ok(recipe)
    }

    /// Parses and validates TOML; paths stay as written.
    ///
    /// # Errors
    /// Names the line or the field, and what is allowed there.
    pub fn parse(text: &str) -> Result<Self> {
        let recipe: Self = toml::from_str(text).map_err(|e| Error::user(e.to_string().trim_end()))?;
        recipe.validate()?;
        Ok(recipe)
    }

    /// The recipe as TOML.
    ///
    /// # Errors
    /// When a path is not Unicode.
    pub fn to_toml(&self) -> Result<String> {
        toml::to_string(self).map_err(|e| Error::user(format!("the recipe cannot be written as TOML: {e}")))
    }

    fn resolve_paths(&mut self, folder: &Path) {
        let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_path_buf());
        let place = |p: &mut PathBuf| *p = folder.join(&*p);
        place(&mut self.base);
        self.adapters.iter_mut().filter_map(|a| a.path.as_mut()).for_each(place);
        place(&mut self.data.train);
        place(&mut self.data.dev);
        self.data.test.iter_mut().for_each(place);
    }

    /// Checks every field's range and that the parts fit together.
    ///
    /// # Errors
    /// Names the first field that is wrong, its value and what is allowed.
    pub fn validate(&self) -> Result<()> {
        let share = |name: &str, value: f64| {
            if (0.0..=1.0).contains(&value) {
                Ok(())
            } else {
                Err(Error::user(format!("{name} = {value}: a share from 0.0 to 1.0 is needed")))
            }
        };
        let above = |name: &str, value: f64| {
            if value > 0.0 && value.is_finite() {
                Ok(())
            } else {
                Err(Error::user(format!("{name} = {value}: a number above 0 is needed")))
            }
        };
        share("prune.ratio", self.prune.ratio)?;
        for rule in &self.prune.rules {
            rule.validate()?;
        }
        share("train.warmup", self.train.warmup)?;
        share("samples.top_p", self.samples.top_p)?;
        if let Some(dropout) = self.train.dropout {
            share("train.dropout", dropout)?;
            if dropout >= 1.0 {
                return Err(Error::user("train.dropout = 1.0 would drop everything; use a share below 1.0"));
            }
        }
        above("train.lr", self.train.lr)?;
        above("target.lr", self.target.lr)?;
        above("train.eps", self.train.eps)?;
        for (name, value) in [
            ("train.batch", self.train.batch),
            ("train.micro_tokens", self.train.micro_tokens),
            ("data.max_document_tokens", self.data.max_document_tokens),
            ("samples.max_new_tokens", self.samples.max_new_tokens),
        ] {
            if value == 0 {
                return Err(Error::user(format!("{name} = 0: at least 1 is needed")));
            }
        }
        if self.train.epochs == 0 && self.train.steps == 0 {
            return Err(Error::user(
                "train.epochs = 0 and train.steps = 0: set one of them, or there is nothing to train",
            ));
        }
        for (i, beta) in self.train.betas.iter().enumerate() {
            if !(0.0..1.0).contains(beta) {
                return Err(Error::user(format!(
                    "train.betas[{i}] = {beta}: a number from 0.0 to below 1.0 is needed"
                )));
            }
        }
        for (name, value) in [
            ("train.weight_decay", self.train.weight_decay),
            ("train.clip", self.train.clip),
            ("samples.temperature", self.samples.temperature),
        ] {
            if !(value >= 0.0 && value.is_finite()) {
                return Err(Error::user(format!("{name} = {value}: 0 or more is needed")));
            }
        }
        self.validate_adapters()?;
        if !(self.device == "auto" || self.device == "cpu" || self.cuda_ordinal().is_some()) {
            return Err(Error::user(format!("device = {:?}: use \"auto\", \"cpu\" or \"cuda:0\"", self.device)));
        }
        Ok(())
    }

    fn validate_adapters(&self) -> Result<()> {
        let targets = self.adapters.iter().filter(|a| a.role == Role::Target).count();
        if targets != 1 {
            return Err(Error::user(format!("{targets} adapters have role = \"target\"; exactly one is needed")));
        }
        for (i, adapter) in self.adapters.iter().enumerate() {
            let at = |text: String| Err(Error::user(format!("adapters[{i}] ({}): {text}", adapter.name)));
            if adapter.name.is_empty() || adapter.name.chars().any(|c| !(c.is_alphanumeric() || "-_.".contains(c))) {
                return at("a name of letters, digits, '-', '_' and '.' is needed".into());
            }
            if self.adapters[..i].iter().any(|other| other.name == adapter.name) {
                return at("this name is used twice".into());
            }
            if adapter.path.is_none() && adapter.role == Role::Related {
                return at("a related adapter needs a path to a PEFT folder".into());
            }
            if !adapter.weight.is_finite() {
                return at(format!("weight = {}: a finite number is needed", adapter.weight));
            }
            if adapter.path.is_none() && (adapter.rank == 0 || adapter.rank > 4096) {
                return at(format!("rank = {}: 1 to 4096 is needed", adapter.rank));
            }
            if adapter.path.is_none() && adapter.targets.is_empty() {
                return at("targets is empty; name at least one projection, such as \"q_proj\"".into());
            }
        }
        Ok(())
    }

    /// N of `cuda:N` (`cuda` is `cuda:0`).
    pub fn cuda_ordinal(&self) -> Option<usize> {
        match self.device.as_str() {
            "cuda" => Some(0),
            other => other.strip_prefix("cuda:")?.parse().ok(),
        }
    }
}
