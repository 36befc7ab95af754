//! Everything a run works on, loaded: base, tokenizer, examples, adapters.

use crate::data::template::Encoded;
use crate::data::{Dataset, Fields, Template, Tokenizer};
use crate::eval::bertscore::Scorer;
use crate::eval::segment::{self, Segmentation};
use crate::lora::Adapter;
use crate::model::config::Config;
use crate::model::decoder::Decoder;
use crate::model::device::{self, Place};
use crate::model::weights::Weights;
use crate::module::ModuleId;
use crate::recipe::{Method, Recipe, Recompute, Role};
use crate::run::estimate::layers::{self, Layers, Loaded};
use crate::run::event::{AdapterInfo, Document, EventBody, Observer, Phase, PhaseKind};
use crate::run::memory;
use crate::{Error, Result, data};
use candle_core::DType;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// One split of the data.
#[derive(Debug)]
pub struct Split {
    /// As the model sees it.
    pub encoded: Encoded,
    /// The ids.
    pub ids: Vec<String>,
    /// The human summaries.
    pub references: Vec<String>,
}

/// An encoder that was looked at.
#[derive(Debug)]
pub struct NamedEncoder {
    /// Its folder.
    pub folder: PathBuf,
    /// The layer that the recipe names.
    pub layer: Option<usize>,
    /// As a report names it.
    pub label: String,
}

/// A loaded recipe.
#[derive(Debug)]
pub struct Task {
    /// The frozen base.
    pub decoder: Decoder,
    /// Its tokenizer.
    pub tokenizer: Tokenizer,
    /// Where it runs.
    pub place: Place,
    /// Training examples.
    pub train: Split,
    /// Dev examples.
    pub dev: Split,
    /// Test examples, if the recipe names some.
    pub test: Option<Split>,
    /// The scored examples with training examples in the prompt, where the report has such a row.
    pub shots: Option<Split>,
    /// How scores cut text into tokens.
    pub segmentation: Segmentation,
    /// The adapters in the recipe's order, with the user's weights.
    pub adapters: Vec<(Adapter, f64)>,
    /// Which of them is the target.
    pub target: usize,
    /// LoRA dropout in training.
    pub dropout: f64,
    /// Which layers keep their activations in training.
    pub layers: Layers,
    /// The encoder of `BERTScore`, if the recipe names one; it is read when something is scored.
    pub encoder: Option<NamedEncoder>,
}

fn phase(observer: &mut (impl Observer + ?Sized), label: &str, done: u64, total: u64) -> Result<()> {
    observer.record(EventBody::Phase(Phase { phase: PhaseKind::Load, label: label.into(), done, total }))
}

fn split(template: &Template<'_>, recipe: &Recipe, path: &Path, limit: usize) -> Result<(Split, Vec<data::Example>)> {
    let dataset = Dataset::read(path, Fields::from(&recipe.data), limit)?;
    let encoded = template.encode(&dataset, recipe.samples.max_new_tokens)?;
    let split = Split {
        encoded,
        ids: dataset.examples.iter().map(|e| e.id.clone()).collect(),
        references: dataset.examples.iter().map(|e| e.summary.clone()).collect(),
    };
    Ok((split, dataset.examples))
}

impl Task {
    /// Loads what `recipe` names. Data and adapters are checked before the weights are read.
    ///
    /// # Errors
    /// The first thing that is missing, damaged or does not fit.
    pub fn load(recipe: &Recipe, observer: &mut (impl Observer + ?Sized)) -> Result<Self> {
        phase(observer, "data", 0, 4)?;
        let config = Config::read(&recipe.base)?;
        let tokenizer = Tokenizer::read(&recipe.base)?;
        let template = Template::new(&tokenizer, &recipe.data, config.max_position)?;
        let (train, train_examples) = split(&template, recipe, &recipe.data.train, recipe.data.train_limit)?;
        let (dev, dev_examples) = split(&template, recipe, &recipe.data.dev, recipe.data.dev_limit)?;
        let test = match &recipe.data.test {
            Some(path) => Some(split(&template, recipe, path, recipe.data.test_limit)?),
            None => None,
        };
        let mut splits = vec![("train", &train_examples[..]), ("dev", &dev_examples[..])];
        splits.extend(test.iter().map(|(_, examples)| ("test", &examples[..])));
        for text in data::dataset::leaks(&splits) {
            observer.record(EventBody::Warning { text })?;
        }
        let shots = if recipe.eval.methods.contains(&Method::FewShot) {
            let (template, used) =
                template.with_shots(&train_examples, recipe.eval.shots, recipe.samples.max_new_tokens)?;
            if used < recipe.eval.shots {
                let text = format!("few-shot: {used} of {} examples fit the prompt", recipe.eval.shots);
                observer.record(EventBody::Warning { text })?;
            }
            let path = recipe.data.test.as_ref().unwrap_or(&recipe.data.dev);
            let limit = if recipe.data.test.is_some() { recipe.data.test_limit } else { recipe.data.dev_limit };
            Some(split(&template, recipe, path, limit)?.0)
        } else {
            None
        };
        let test = test.map(|(split, _)| split);
        phase(observer, "adapters", 1, 4)?;
        let place = device::open(&recipe.device, recipe.cuda_ordinal())?;
        if let Some(text) = place.note.clone() {
            observer.record(EventBody::Warning { text })?;
        }
        if let Some(text) = super::agreement::reached(&place.device)? {
            observer.record(EventBody::Warning { text })?;
        }
        let named = crate::hub::place::of_cache(&recipe.base).map(|reference| reference.id);
        let mut adapters = Vec::with_capacity(recipe.adapters.len());
        for entry in &recipe.adapters {
            let adapter = match &entry.path {
                Some(path) => {
                    Adapter::read(path, &config, &place.device).map_err(|e| e.at(format!("adapter {}", entry.name)))?
                }
                None => Adapter::fresh(entry, &config, recipe.seed, &place.device)?,
            };
            if let Some((other, base)) = named.as_deref().and_then(|base| Some((adapter.other_base(base)?, base))) {
                let text = format!(
                    "adapter {} says that it was trained on {other}, the base is {base}: its sizes fit, its numbers \
                     may not",
                    entry.name
                );
                observer.record(EventBody::Warning { text: crate::text::printable(&text).into_owned() })?;
            }
            adapters.push((adapter, entry.weight));
        }
        let target = recipe.adapters.iter().position(|a| a.role == Role::Target);
        let target = target.ok_or_else(|| Error::user("no adapter has role = \"target\""))?;
        // Before the long part.
        check_ranks(recipe, &adapters)?;
        super::check_rules(&recipe.prune.rules, recipe, &super::matrices(&adapters))?;
        let encoder = match &recipe.eval.encoder {
            Some(folder) => {
                let layer = recipe.eval.encoder_layer;
                let label = Scorer::check(folder, layer).map_err(|e| e.at("eval.encoder"))?;
                Some(NamedEncoder { folder: folder.clone(), layer, label })
            }
            None => None,
        };
        phase(observer, "base model", 2, 4)?;
        let weights = Weights::load(&recipe.base, &config)?;
        let dtype = device::base_type(recipe.dtype, &place.device);
        let decoder =
            Decoder::load(config, &weights, dtype, device::hold(recipe.dtype, place.device.is_cuda()), &place.device)?;
        let dropout = recipe.train.dropout.unwrap_or_else(|| adapters.iter().map(|a| a.0.dropout).fold(0.0, f64::max));
        let layers = fitting(recipe, &decoder, &adapters, &train, (dropout, &place), observer)?;
        phase(observer, "ready", 4, 4)?;
        let references = || test.as_ref().unwrap_or(&dev).references.iter().map(String::as_str);
        let segmentation = Segmentation::of(references())?;
        if let Some(text) = segment::tokenless(references(), segmentation) {
            observer.record(EventBody::Warning { text })?;
        }
        Ok(Self {
            decoder,
            tokenizer,
            place,
            train,
            dev,
            test,
            shots,
            segmentation,
            adapters,
            target,
            dropout,
            layers,
            encoder,
        })
    }

    /// What the report scores: the test set, or dev where there is none; and what it is called.
    pub fn scored_split(&self) -> (&'static str, &Split) {
        self.test.as_ref().map_or(("dev", &self.dev), |test| ("test", test))
    }

    /// The encoder of `BERTScore`, as a report names it.
    pub fn encoder(&self) -> Option<String> {
        self.encoder.as_ref().map(|encoder| encoder.label.clone())
    }

    /// The adapters as the journal describes them.
    pub fn infos(&self, recipe: &Recipe) -> Vec<AdapterInfo> {
        let info = |(entry, (adapter, weight)): (&crate::recipe::AdapterEntry, &(Adapter, f64))| AdapterInfo {
            name: crate::text::printable(&entry.name).into_owned(),
            role: entry.role.name().into(),
            rank: adapter.modules.values().map(crate::lora::Pair::rank).max().unwrap_or(0),
            alpha: adapter.modules.values().map(|p| p.alpha).fold(0.0, f64::max),
            weight: *weight,
        };
        recipe.adapters.iter().zip(&self.adapters).map(info).collect()
    }

    /// The dev documents that samples are written for, safe to show.
    pub fn documents(&self, count: usize) -> Vec<Document> {
        let safe = crate::text::printable_lines;
        (0..count.min(self.dev.ids.len()))
            .map(|i| Document {
                id: crate::text::printable(&self.dev.ids[i]).into_owned(),
                document: safe(&self.dev.encoded.documents[i]),
                reference: safe(&self.dev.references[i]),
            })
            .collect()
    }

    /// Documents that were cut, over all splits.
    pub fn truncated(&self) -> usize {
        [Some(&self.train), Some(&self.dev), self.test.as_ref()]
            .into_iter()
            .flatten()
            .map(|s| s.encoded.truncated)
            .sum()
    }
}

/// Which layers keep their activations, by the memory that is free now that the base is there; said where the recipe leaves
/// it to that and some do not.
fn fitting(
    recipe: &Recipe,
    decoder: &Decoder,
    adapters: &[(Adapter, f64)],
    train: &Split,
    (dropout, place): (f64, &Place),
    observer: &mut (impl Observer + ?Sized),
) -> Result<Layers> {
    let card = place.device.is_cuda();
    let modules = adapters.iter().flat_map(|(adapter, _)| &adapter.modules);
    let loaded = Loaded {
        config: decoder.config(),
        half: decoder.dtype() == DType::BF16,
        card,
        ranks: modules.map(|(module, pair)| (*module, pair.rank())).collect(),
        dropout: dropout > 0.0,
        sequences: train.encoded.sequences.iter().map(|s| (s.prompt, s.tokens.len())).collect(),
    };
    let free = if card { place.free_on_card() } else { memory::free() };
    let layers = layers::layers(recipe, loaded, free);
    if let Some(text) = layers.told(free).filter(|_| recipe.train.recompute == Recompute::Auto) {
        observer.record(EventBody::Warning { text })?;
    }
    Ok(layers)
}

/// Refuses methods that add A to A and B to B where ranks differ at a module.
fn check_ranks(recipe: &Recipe, adapters: &[(Adapter, f64)]) -> Result<()> {
    let adds = |method: &&Method| method.combines().is_some_and(|name| name != "svd");
    let Some(method) = recipe.eval.methods.iter().find(adds) else { return Ok(()) };
    let mut ranks: BTreeMap<ModuleId, Vec<(&str, usize)>> = BTreeMap::new();
    for (entry, (adapter, _)) in recipe.adapters.iter().zip(adapters) {
        for (id, pair) in &adapter.modules {
            ranks.entry(*id).or_default().push((&entry.name, pair.rank()));
        }
    }
    let Some((id, ranks)) = ranks.iter().find(|(_, of)| of.iter().any(|(_, rank)| *rank != of[0].1)) else {
        return Ok(());
    };
    let each: Vec<String> = ranks.iter().map(|(name, rank)| format!("{name} {rank}")).collect();
    Err(Error::user(format!(
        "eval.methods: {:?} adds matrices of one rank, and at {id} they have ranks of their own: {}; leave it out, or use \
         \"svd\"",
        method.name(),
        crate::text::printable(&each.join(", "))
    )))
}
