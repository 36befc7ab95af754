//! Every setting of a recipe, one row each: what it is called, what can stand there, what it is for.

use super::{Method, Recipe};
use toml::Value;

/// What a setting takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Text in one line.
    Text,
    /// Text in which `\n` is a line break.
    Lines,
    /// A folder with a base.
    Base,
    /// A file of examples.
    File,
    /// A number, or a list of them, as TOML.
    Number,
    /// One of these words; others may be typed where the flag says so.
    Word(&'static [&'static str], bool),
    /// `true` or `false`.
    Switch,
    /// Any of these words, in the order in which they are chosen.
    Words(&'static [&'static str]),
    /// A list of tables as TOML.
    Rules,
}

/// One setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    /// Its table, empty at the top.
    pub section: &'static str,
    /// Its key there.
    pub name: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// What it is for, in a line.
    pub help: &'static str,
    /// What holds where it is left out and has no value of its own; empty if it has one.
    pub without: &'static str,
}

const fn row(section: &'static str, name: &'static str, kind: Kind, help: &'static str) -> Setting {
    Setting { section, name, kind, help, without: "" }
}

impl Setting {
    const fn or(self, without: &'static str) -> Self {
        Self { without, ..self }
    }

    /// `train.lr`, or `base` at the top.
    pub fn key(&self) -> String {
        if self.section.is_empty() { self.name.to_owned() } else { format!("{}.{}", self.section, self.name) }
    }

    /// Whether a recipe must have it.
    pub fn is_required(&self) -> bool {
        self.without == REQUIRED
    }
}

const REQUIRED: &str = "needed";
const METHODS: &[&str] = &{
    let mut names = [""; Method::ALL.len()];
    let mut at = 0;
    while at < names.len() {
        names[at] = Method::ALL[at].name();
        at += 1;
    }
    names
};
const PROJECTIONS: &[&str] = &["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"];

/// All settings outside the adapters, section by section.
pub const SETTINGS: &[Setting] = &[
    row("", "name", Kind::Text, "what the run is called").or("the file's name"),
    row("", "base", Kind::Base, "the frozen model: a folder in Hugging Face layout").or(REQUIRED),
    row("", "seed", Kind::Number, "of every random choice"),
    row("", "device", Kind::Word(&["auto", "cpu", "cuda:0"], true), "where it is computed: auto, cpu, cuda:N"),
    row(
        "",
        "dtype",
        Kind::Word(&["auto", "f32", "bf16", "stored"], false),
        "of the base; auto: f32, bf16 on CUDA; or stored",
    ),
    row("data", "train", Kind::File, "training examples: JSON lines").or(REQUIRED),
    row("data", "dev", Kind::File, "dev examples: best checkpoint, samples").or(REQUIRED),
    row("data", "test", Kind::File, "test examples: the report").or("none: dev is scored"),
    row("data", "document", Kind::Text, "name of the document's field"),
    row("data", "summary", Kind::Text, "name of the summary's field"),
    row("data", "id", Kind::Text, "name of the id's field"),
    row("data", "prompt", Kind::Lines, "Jinja over document; the summary follows it"),
    row("data", "chat_template", Kind::Switch, "wrap the prompt as a user's turn of the model's template"),
    row("data", "max_document_tokens", Kind::Number, "longer documents are cut, summaries never"),
    row("data", "train_limit", Kind::Number, "use the first so many; 0: all"),
    row("data", "dev_limit", Kind::Number, "use the first so many; 0: all"),
    row("data", "test_limit", Kind::Number, "use the first so many; 0: all"),
    row("train", "epochs", Kind::Number, "passes over the training examples"),
    row("train", "steps", Kind::Number, "updates instead of epochs, if above 0"),
    row("train", "batch", Kind::Number, "examples an update"),
    row("train", "micro_tokens", Kind::Number, "tokens a forward pass: smaller needs less memory"),
    row("train", "optimizer", Kind::Word(&["adamw", "sgd"], false), "what updates the adapters"),
    row("train", "lr", Kind::Number, "peak learning rate"),
    row(
        "train",
        "schedule",
        Kind::Word(&["linear", "cosine", "constant", "epoch"], false),
        "learning rate after the warm-up; epoch: x 0.85 each",
    ),
    row("train", "warmup", Kind::Number, "share of the steps that warm up, 0 to 1"),
    row("train", "weight_decay", Kind::Number, "AdamW's, decoupled"),
    row("train", "betas", Kind::Number, "AdamW's two, such as [0.9, 0.999]"),
    row("train", "eps", Kind::Number, "AdamW's epsilon"),
    row("train", "clip", Kind::Number, "largest norm of the gradients; 0: no limit"),
    row("train", "dropout", Kind::Number, "on the adapters' input, 0 to 1").or("the adapters' largest"),
    row(
        "train",
        "recompute",
        Kind::Word(&["auto", "true", "false"], false),
        "layers forward again; auto: if memory is short",
    ),
    row("train", "eval_every", Kind::Number, "steps between evaluations; 0: every epoch"),
    row("train", "best_by", Kind::Word(&["dev-loss", "rouge-l"], false), "which checkpoint is best"),
    row("train", "patience", Kind::Number, "evaluations without a better one, then stop; 0: never"),
    row("train", "checkpoint_every", Kind::Number, "steps between checkpoints; 0: every epoch"),
    row("target", "epochs", Kind::Number, "the new target adapter alone, before the merge"),
    row("target", "lr", Kind::Number, "its peak learning rate"),
    row("prune", "ratio", Kind::Number, "share of every matrix that is zero after each update"),
    row(
        "prune",
        "importance",
        Kind::Word(&["direct", "product", "sensitivity", "magnitude", "random"], false),
        "direct |W|*norm(X), or another measure",
    ),
    row("prune", "norms", Kind::Word(&["batch", "running", "train"], false), "over which tokens norm(X) is taken"),
    row("prune", "group", Kind::Word(&["matrix", "row", "module"], false), "what competes for a place"),
    row("prune", "schedule", Kind::Word(&["constant", "linear", "cubic"], false), "the ratio over the steps"),
    row("prune", "hold", Kind::Switch, "once pruned, always pruned"),
    row("prune", "moments", Kind::Word(&["keep", "zero"], false), "of pruned entries, in the optimiser"),
    row("prune", "rules", Kind::Rules, "exceptions: [{ modules = \"layers.0-7.*\", ratio = 0.2 }]"),
    row("samples", "documents", Kind::Number, "dev documents that are summarised while training"),
    row("samples", "max_new_tokens", Kind::Number, "longest summary, in tokens"),
    row("samples", "temperature", Kind::Number, "0: greedy; the report is always greedy"),
    row("samples", "top_p", Kind::Number, "nucleus, 0 to 1"),
    row("eval", "methods", Kind::Words(METHODS), "rows of the report beside the run's own"),
    row("eval", "shots", Kind::Number, "training examples in the prompt of few-shot"),
    row("eval", "hub_steps", Kind::Number, "weights that lora-hub tries"),
    row("eval", "density", Kind::Number, "share that ties, dare-*, magnitude-prune keep"),
    row("eval", "encoder", Kind::Text, "folder of a BERT or RoBERTa: BERTScore in the report").or("none: no BERTScore"),
    row("eval", "encoder_layer", Kind::Number, "its embeddings count; 0: before the first")
        .or("bert-score's, or the last"),
];

/// The settings of an adapter; those after `path` are for a new one.
pub const ADAPTER: &[Setting] = &[
    row("adapters", "name", Kind::Text, "short name on screen and in rules").or(REQUIRED),
    row("adapters", "role", Kind::Word(&["target", "related"], false), "exactly one adapter is the target")
        .or(REQUIRED),
    row("adapters", "weight", Kind::Number, "factor on what it adds"),
    row("adapters", "path", Kind::File, "a PEFT folder; without one the target starts new").or("a new one"),
    row("adapters", "rank", Kind::Number, "rank of the new adapter"),
    row("adapters", "alpha", Kind::Number, "alpha of the new adapter: it is scaled by alpha / rank"),
    row("adapters", "rslora", Kind::Switch, "scale the new adapter by alpha / root of rank"),
    row("adapters", "targets", Kind::Words(PROJECTIONS), "what the new adapter is attached to"),
];

/// The setting of that table and key.
pub fn find(section: &str, name: &str) -> Option<&'static Setting> {
    SETTINGS.iter().chain(ADAPTER).find(|s| s.section == section && s.name == name)
}

/// What holds where the setting is left out, as TOML; `None` where it has no value of its own.
pub fn default_of(setting: &Setting) -> Option<Value> {
    if !setting.without.is_empty() {
        return None;
    }
    let recipe: Recipe = toml::Value::Table(super::probe::least()).try_into().ok()?;
    let all = Value::try_from(&recipe).ok()?;
    let table = match setting.section {
        "" => &all,
        "adapters" => all.get("adapters")?.get(0)?,
        section => all.get(section)?,
    };
    table.get(setting.name).cloned()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// Keys of everything that a recipe can hold.
    fn keys() -> BTreeSet<(String, String)> {
        let text = "base = 'b'\n[data]\ntrain = 't'\ndev = 'd'\ntest = 'e'\n[train]\ndropout = 0.1\n\
                    [eval]\nencoder = 'e'\nencoder_layer = 1\n\
                    [[adapters]]\nname = 'x'\nrole = 'target'\npath = 'p'\n";
        let all = Value::try_from(Recipe::parse(text).unwrap()).unwrap();
        let mut out = BTreeSet::new();
        for (key, value) in all.as_table().unwrap() {
            let table = if key == "adapters" { &value[0] } else { value };
            match table.as_table() {
                Some(inner) => out.extend(inner.keys().map(|name| (key.clone(), name.clone()))),
                None => drop(out.insert((String::new(), key.clone()))),
            }
        }
        out
    }

    #[test]
    fn every_key_of_a_recipe_is_a_setting_and_no_other() {
        let all = SETTINGS.iter().chain(ADAPTER);
        let settings: BTreeSet<_> = all.map(|s| (s.section.to_owned(), s.name.to_owned())).collect();
        assert_eq!(settings, keys());
        assert_eq!(settings.len(), SETTINGS.len() + ADAPTER.len());
    }

    #[test]
    fn every_word_is_one_that_the_parser_takes_and_none_is_missing() {
        let check = super::super::probe::check;
        for setting in SETTINGS.iter().chain(ADAPTER) {
            let (words, open, list) = match setting.kind {
                Kind::Word(words, open) => (words, open, false),
                Kind::Words(words) => (words, false, true),
                _ => continue,
            };
            let value = |word: &str| if list { vec![word].into() } else { Value::from(word) };
            for word in words {
                // A related adapter needs a path.
                if *word != "related" {
                    check(setting, &value(word), &toml::Table::new()).unwrap();
                }
            }
            if !open {
                let said = check(setting, &value("nonsense"), &toml::Table::new()).unwrap_err();
                let known = said.split('`').skip(3).step_by(2).collect::<Vec<_>>();
                assert_eq!(known, words, "{}: {said}", setting.key());
            }
        }
    }

    #[test]
    fn what_is_left_out_has_the_parsers_value_or_a_word_for_it() {
        for setting in SETTINGS.iter().chain(ADAPTER) {
            assert_eq!(default_of(setting).is_some(), setting.without.is_empty(), "{}", setting.key());
            assert!(setting.help.len() <= 60, "{}", setting.help);
        }
        assert_eq!(default_of(find("train", "lr").unwrap()), Some(Value::Float(1e-4)));
        assert_eq!(default_of(find("adapters", "rank").unwrap()), Some(Value::Integer(16)));
    }
}
